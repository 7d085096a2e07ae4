"""What the cases of a default run visit: every event, in how many cases, and in how many runs."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

import manual_backprop
from benchmarks.report import Table, json_option, show
from manual_backprop import ACTIVATIONS, LOSSES, OUTPUTS
from properties.cases import Array, Case
from properties.meta.samples import samples
from properties.problem import read
from properties.strategies import EDGES, LARGEST, REGULAR, cases
from reference.network import forward, layers_of

SATURATED = {"tanh": 19.1, "sigmoid": 36.8, "softplus": 36.8, "softmax": 36.8}
"""Where |z| makes the slope less than a rounding of 1: 1 - tanh² z < 2^-53 from 19.1 on, σ(-z) from 36.8."""

SEEN = 0.5
"""An event that fewer runs visit than this share is a hole."""


class Visit:
    """A case with its forward pass in float64: what events ask about."""

    def __init__(self, case: Case) -> None:
        """Run the case forward."""
        self.case = case
        wide = [(W.astype(float), None if b is None else b.astype(float)) for W, b in case.parameters]
        with np.errstate(all="ignore"):
            self.zs, self.hs = forward(
                np, layers_of(wide, case.hidden, case.output), case.inputs.astype(float)
            )
        self.names = [case.hidden] * (len(self.zs) - 1) + [case.output]

    @property
    def arrays(self) -> list[Array]:
        """All that is given to the subject, but for labels."""
        given = [array for pair in self.case.parameters for array in pair if array is not None]
        return [*given, self.case.inputs, *([self.case.targets] if self.case.targets.ndim > 1 else [])]

    def largest_z(self, *activations: str) -> float:
        """The largest |z| that meets one of these activations."""
        zs = [abs(z).max() for z, name in zip(self.zs, self.names, strict=True) if name in activations]
        return max(zs, default=0.0)

    def kinks(self) -> Array:
        """Every z that meets a relu, in one row."""
        zs = [z.ravel() for z, name in zip(self.zs, self.names, strict=True) if name == "relu"]
        return np.concatenate(zs) if zs else np.ones(0)

    def near(self) -> float:
        """Some roundings of 1, in the format of the case."""
        return 64 * float(np.finfo(self.case.inputs.dtype).eps)

    def opened(self) -> bool:
        """Whether a kink leaves more open than rounding."""
        truth = self.case.oracle
        pairs = zip(truth.open, truth.error, strict=True)
        return any(
            (k > e).any()
            for opened, error in pairs
            for k, e in zip(opened, error, strict=True)
            if k is not None
        )


def _magnitudes(visit: Visit) -> Array:
    return np.concatenate([abs(array[array != 0]).ravel() for array in visit.arrays])


def _dead_unit(visit: Visit) -> bool:
    return any(
        name == "relu" and (z <= 0).all(axis=0).any() for z, name in zip(visit.zs, visit.names, strict=True)
    )


EVENTS: Mapping[str, Callable[[Visit], bool]] = {
    "one sample": lambda v: v.case.samples == 1,
    "several samples": lambda v: v.case.samples > 1,
    "one output": lambda v: v.case.outputs == 1,
    "one input": lambda v: v.case.sizes[0] == 1,
    "a hidden layer of one unit": lambda v: 1 in v.case.sizes[1:-1],
    "more than 8 units or samples": lambda v: max(*v.case.sizes, v.case.samples) > LARGEST,
    "more than 32 units": lambda v: max(v.case.sizes) > 32,
    "no square weights": lambda v: all(W.shape[0] != W.shape[1] for W, _ in v.case.parameters),
    "square weights": lambda v: any(W.shape[0] == W.shape[1] > 1 for W, _ in v.case.parameters),
    "n, K and all widths different": lambda v: len({*v.case.sizes, v.case.samples}) == len(v.case.sizes) + 1,
    "as many samples as outputs, more than 1": lambda v: v.case.samples == v.case.outputs > 1,
    "a z that is 0 at a relu": lambda v: bool((v.kinks() == 0).any()),
    "a z within rounding of 0 at a relu": lambda v: bool(
        ((v.kinks() != 0) & (abs(v.kinks()) < v.near())).any()
    ),
    "entries that a kink leaves open": Visit.opened,
    "a relu unit that is off for all samples": _dead_unit,
    "tanh beyond a rounding of 1": lambda v: v.largest_z("tanh") > SATURATED["tanh"],
    "sigmoid beyond a rounding of 1": lambda v: v.largest_z("sigmoid") > SATURATED["sigmoid"],
    "softplus beyond a rounding": lambda v: v.largest_z("softplus") > SATURATED["softplus"],
    "softmax beyond a rounding of 1": lambda v: v.largest_z("softmax") > SATURATED["softmax"],
    "any |z| > 709, where e^z overflows": lambda v: v.largest_z(*OUTPUTS) > 709,
    "the truth overflows": lambda v: v.case.overflows,
    "a column of inputs that is 0": lambda v: bool((v.case.inputs == 0).all(axis=0).any()),
    "a sample of inputs that is 0": lambda v: bool((v.case.inputs == 0).all(axis=1).any()),
    "all inputs 0": lambda v: not v.case.inputs.any(),
    "a matrix of weights that is 0": lambda v: any(not W.any() for W, _ in v.case.parameters),
    "a gradient that is 0 throughout": lambda v: not any(dW.any() for dW, _ in v.case.oracle.gradient),
    "a bias that is 0": lambda v: any(b is not None and (b == 0).any() for _, b in v.case.parameters),
    "two inputs that are equal": lambda v: np.unique(v.case.inputs).size < v.case.inputs.size,
    "outputs that equal their targets": lambda v: bool((v.hs[-1] == v.case.rows).any()),
    "a value below 1e-7": lambda v: bool((_magnitudes(v) < 1e-7).any()),
    "a value above 1e7": lambda v: bool((_magnitudes(v) > 1e7).any()),
    "inputs above 16": lambda v: bool((abs(v.case.inputs) > 16).any()),
}


def _choices(case: Case) -> Iterable[tuple[str, str]]:
    labels = case.targets.ndim == 1
    one_hot = not labels and bool(
        np.isin(case.targets, (0, 1)).all() and (case.targets.sum(axis=1) == 1).all()
    )
    yield "regime", case.regime
    yield "dtype", str(case.inputs.dtype)
    yield "layers", str(len(case.parameters))
    if len(case.parameters) > 1:
        yield "hidden", case.hidden
    yield "output", case.output
    yield "loss", case.loss
    yield "reduction", case.reduction
    yield "targets", "labels" if labels else "one_hot" if one_hot else "real"
    yield "bias", str(case.parameters[0][1] is not None)


def combinations() -> list[str]:
    """Every hidden activation with every output and every loss that goes with it."""
    return [
        f"{hidden}, {output}, {loss}"
        for hidden, output, loss in product(ACTIVATIONS, OUTPUTS, LOSSES)
        if LOSSES[loss].output in {None, output}
    ]


@dataclass
class Visits:
    """What some runs visited: in how many cases each event, and of each run which, and how different its cases are."""

    cases: Counter[str] = field(default_factory=Counter)
    runs: list[set[str]] = field(default_factory=list)
    different: list[int] = field(default_factory=list)
    joined: list[int] = field(default_factory=list)
    combinations: set[str] = field(default_factory=set)

    def add(self, run: Iterable[Case]) -> None:
        """Count the cases of one run."""
        seen, shapes, joined = set[str](), set[object](), set[str]()
        for case in run:
            visit = Visit(case)
            names = [name for name, happens in EVENTS.items() if happens(visit)]
            names += [f"{key}: {value}" for key, value in _choices(case)]
            self.cases.update(names)
            seen.update(names)
            shapes.add((*case.choices.values(), *case.sizes, case.samples, str(case.inputs.dtype)))
            joined.add(f"{case.hidden}, {case.output}, {case.loss}")
        self.runs.append(seen)
        self.different.append(len(shapes))
        self.joined.append(len(joined))
        self.combinations |= joined


@click.command("coverage")
@click.option("--runs", default=30, show_default=True, help="How many runs to look at.")
@click.option(
    "--cases", "count", default=100, show_default=True, help="Cases of a run: the default of a law."
)
@click.option("--seed", default=0, show_default=True)
@json_option
def command(runs: int, count: int, seed: int, path: Path | None) -> None:
    """What shapes, choices and special values the cases of a run visit."""
    claims = read(manual_backprop.PROBLEM)
    regular, edges = Visits(), Visits()
    for run in range(runs):
        for visits, regimes in ((regular, REGULAR), (edges, EDGES)):
            visits.add(samples(cases(claims, regimes), count, start=seed * runs + run))
    choices = sorted({*regular.cases, *edges.cases} - {*EVENTS})
    rows = [_row(name, regular, edges, runs * count) for name in (*EVENTS, *choices)]
    title = f"{runs} runs of {count} regular cases and {count} at the edges"
    variety = [
        ("different networks (choices, sizes, samples)", *_medians(regular, edges, "different"), count),
        ("different (hidden, output, loss)", *_medians(regular, edges, "joined"), len(combinations())),
        ("the same, in all runs", len(regular.combinations), len(edges.combinations), len(combinations())),
    ]
    tables = [Table(title, COLUMNS, rows), Table("Variety of a run, medians", VARIETY, variety)]
    show("coverage", tables, path)


COLUMNS = ("", "regular cases", "cases at the edges", "runs", "")
VARIETY = ("", "regular", "at the edges", "of")


def _row(name: str, regular: Visits, edges: Visits, count: int) -> tuple[Any, ...]:
    """The share of cases of either kind, and of runs where cases of any kind visit it."""
    seen = [name in one or name in other for one, other in zip(regular.runs, edges.runs, strict=True)]
    share = sum(seen) / len(seen)
    return (
        *(name, regular.cases[name] / count, edges.cases[name] / count, share),
        "hole" if share < SEEN else "",
    )


def _medians(regular: Visits, edges: Visits, what: str) -> tuple[float, float]:
    return median(getattr(regular, what)), median(getattr(edges, what))
