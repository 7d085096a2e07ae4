"""The contribution matrix: how often a gradient counts each sample and output."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from properties.cases import Array
from properties.diagnosis.networks import Network
from properties.diagnosis.probes import Probe
from properties.diagnosis.trials import sketch

MOST_CELLS = 256
"""More cells than this are too many to show, and to fit."""


MOST_SHOWN = 30
"""More cells than these are not looked at one by one."""


@dataclass(frozen=True)
class Counted:
    """c (N, K) with Σ_ij c_ij g_ij = the gradient, each entry known to ± `error`.

    `known` marks the cells that contribute anything at all: for the others c is 1.
    """

    c: Array
    error: float
    known: Array

    def is_near(self, number: Array | float) -> Array:
        """Which entries may be this number: (N, K) booleans."""
        return abs(self.c - number) <= self.error


def contributions(probe: Probe) -> dict[str, Array]:
    """g_ij by array, (N·K, size): what comes back where ∂L/∂o is kept at one cell."""
    network = Network(probe.case)
    (error,) = network.of("error")
    cells = [
        network.candidate("", [(error, partial(_one_cell, i, j))]).at(probe) or {}
        for i in range(probe.case.samples)
        for j in range(probe.case.outputs)
    ]
    return {name: np.stack([cell[name].ravel() for cell in cells]) for name in probe.right}


def _one_cell(i: int, j: int, v: Array) -> Array:
    kept = np.zeros_like(v)
    kept[i, j] = v[i, j]
    return kept


def fitted(probe: Probe, arrays: Sequence[str]) -> Counted | None:
    """c by least squares on some arrays; None where it is not determined, or does not explain them all.

    The simplest c that explains them is taken: one number for all cells, one for each output, one for
    each sample, a single cell, and only then any numbers. A softmax needs this order, since the K
    contributions of a sample to its z have the sum 0, and any c is as good as others.
    """
    samples, outputs = probe.case.samples, probe.case.outputs
    count = samples * outputs
    if count > MOST_CELLS:
        return None
    cells = contributions(probe)
    alone = np.eye(count)
    groupings = [
        np.ones((1, count)),
        np.tile(np.eye(outputs), samples),
        np.repeat(np.eye(samples), outputs, axis=1),
    ]
    near = _may_explain(probe, {name: cells[name] for name in arrays})
    for groups in filter(near, (*groupings, *alone[:, None], alone)) if near else ():
        found = _weighted(probe, {name: groups @ cells[name] for name in arrays})
        if found is not None:
            c, error, known = found
            shape = samples, outputs
            return Counted((c @ groups).reshape(shape), error, _known(groups, known, cells).reshape(shape))
    return None


def of_samples(probe: Probe, arrays: Sequence[str]) -> list[float] | None:
    """How often each sample counts, (n,), where its outputs count alike; None where that explains nothing."""
    samples, outputs = probe.case.samples, probe.case.outputs
    if samples * outputs > MOST_CELLS:
        return None
    cells = contributions(probe)
    groups = np.repeat(np.eye(samples), outputs, axis=1)
    found = _weighted(probe, {name: groups @ cells[name] for name in arrays})
    return None if found is None or not found[2].all() else found[0].tolist()


def _known(groups: Array, known: Array, cells: dict[str, Array]) -> Array:
    """The cells that contribute something: those of known groups, and those in none, whose c is 0."""
    contributes = np.any([array.any(axis=1) for array in cells.values()], axis=0)
    return contributes & ((known @ groups > 0) | ~groups.any(axis=0))


def _in_units(probe: Probe, terms: dict[str, Array]) -> tuple[Array, Array] | None:
    """Terms (size, groups) and the answer (size,), each array in units of its rounding; None where it has none."""
    unit = {name: probe.reach(name, probe.answer[name]) for name in terms}
    if any(not 0 < size < np.inf for size in unit.values()):
        return None
    with np.errstate(all="ignore"):  # a rounding may be so small that an array in its units overflows
        g = np.concatenate([terms[name] / unit[name] for name in terms], axis=1).T  # (size, groups)
        s = np.concatenate([probe.answer[name].ravel() / unit[name] for name in terms])
    return (g, s) if np.isfinite(g).all() and np.isfinite(s).all() else None


def _may_explain(probe: Probe, cells: dict[str, Array]) -> Callable[[Array], bool] | None:
    """Whether groups of cells may explain the answer at all, quickly; None where no groups do.

    With g = Q R, |s − g w|² = |s − Q Qᵀ s|² + |Qᵀ s − R w|², and a residual of rounding alone is at most √size.
    """
    found = _in_units(probe, cells)
    if found is None:
        return None
    size = len(found[1])
    small = sketch(np.column_stack(found))
    g, s = small[:, :-1], small[:, -1]
    q, r = np.linalg.qr(g)
    t = q.T @ s
    rest = float(((s - q @ t) ** 2).sum())

    def may(groups: Array) -> bool:
        terms = r @ groups.T
        weights = np.linalg.lstsq(terms, t, rcond=None)[0]
        return float(((t - terms @ weights) ** 2).sum()) + rest <= SLACK * size

    return may if rest <= SLACK * size else None


SLACK = 4.0
"""For the rounding of this."""


def _weighted(probe: Probe, terms: dict[str, Array]) -> tuple[Array, float, Array] | None:
    """The weights of terms (groups, size) whose sum explains the arrays, their error, and which are known.

    Every array counts in units of its rounding, so that a residual of 1 is rounding, and the error of a
    weight is at most √size / (the smallest singular value).
    """
    in_units = _in_units(probe, terms)
    if in_units is None:
        return None
    g, s = in_units
    known = np.asarray(g.any(axis=0))
    if not known.any() or len(g) < known.sum():
        return None
    u, singular, vt = np.linalg.svd(g[:, known], full_matrices=False)
    if singular[-1] <= singular[0] * np.finfo(float).eps * len(g):
        return None
    weights = np.ones(len(known))
    weights[known] = vt.T @ (u.T @ s / singular)
    for name, term in terms.items():
        if not probe.is_explained(name, (weights @ term).reshape(probe.answer[name].shape)):
            return None
    return weights, float(np.sqrt(len(g)) / singular[-1]), known


def shown(own: Probe | None, fresh: Sequence[Probe]) -> list[list[float]] | None:
    """c for people: of the smallest case, or of a fresh one where some cells of the smallest contribute nothing.

    Of all arrays, else of the weights alone; None where it means nothing.
    """
    found: Counted | None = None
    of_fresh = [
        _of_everything(probe)
        for probe in fresh
        if probe.fault is None and probe.wrong and probe.case.samples * probe.case.outputs <= MOST_SHOWN
    ]
    if of_fresh and not any(of_fresh):  # it fits the smallest case by chance
        return None
    of_own = _of_everything(own) if own is not None and own.fault is None else None
    for counted in (of_own, *of_fresh):
        if counted is not None and counted.known.all() and counted.c.size <= MOST_SHOWN:
            found = counted
            break
        found = found or counted
    table = found and [[_plain(float(x), found.error) for x in row] for row in found.c]
    # All ones tell nothing of a gradient that is wrong in another way.
    return table if table and any(x != 1 for row in table for x in row) else None


def _of_everything(probe: Probe) -> Counted | None:
    everything = list(probe.right)
    weights = [name for name in everything if name.startswith("dW")]
    return next((c for arrays in (everything, weights) if (c := fitted(probe, arrays)) is not None), None)


def _plain(number: float, error: float) -> float:
    """The whole number that it may be, or its first six digits."""
    whole = float(round(number))
    return whole if abs(number - whole) <= min(error, 2.0**-10) else float(f"{number:.6g}")


@dataclass(frozen=True)
class Kept:
    """Terms that are left out: the mistake, and the one weight that the others count with, ± `error`."""

    name: str
    weight: float
    error: float
    renormalised: float
    """The weight of a mean over the kept samples alone; 1 where outputs are dropped."""

    def is_weighted(self, by: float) -> bool:
        """Whether the kept terms count so often, or would but for the divisor of a mean over them alone."""
        return any(abs(self.weight - by * mean) <= self.error for mean in (1, self.renormalised))


def kept_cells(counted: Counted) -> Kept | None:
    """The mistake that a contribution matrix shows by itself; None for no such, or where all cells count.

    A cell that contributes nothing fits whatever the others show.
    """
    zero = counted.is_near(0) & counted.known
    kept = ~zero & counted.known
    weight = counted.c[kept]
    if (
        not zero.any()
        or not kept.any()
        or np.ptp(weight) > 2 * counted.error
        or abs(weight).min() < 4 * counted.error
    ):
        return None
    rows, columns = kept.any(axis=1), kept.any(axis=0)
    renormalised = 1.0
    if kept.sum() == 1 < min(kept.shape) and zero[rows].any() and zero[:, columns].any():
        name = "one_cell_only"
    elif not (zero.any(axis=0) & columns).any():  # each output is kept or dropped as a whole
        name = "one_output_only" if columns.sum() == 1 else "outputs_dropped"
    elif not (zero.any(axis=1) & rows).any():
        name = "one_sample_only" if rows.sum() == 1 else "samples_dropped"
        renormalised = rows.size / rows.sum()
    else:
        return None
    return Kept(name, float(weight.mean()), counted.error, renormalised)
