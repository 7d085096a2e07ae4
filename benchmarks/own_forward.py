"""Does the subject's own forward pass suffice as the truth? Right gradients held against it, and nearly right ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.progress import track

from benchmarks.own_forward_operations import BY_NAME, OPERATIONS, Written
from benchmarks.report import Table, json_option, show
from properties.comparison import Comparison, Named, compare
from reference.slopes import Vjp, slopes

FACTOR = 1 + 1e-6
_DOMAINS = {"positive": (0.0, np.inf), "unit": (0.0, 1.0)}
_CHUNK = 25


@dataclass(frozen=True)
class Case:
    """Inputs, a cotangent, and the right gradients, None for an input without one."""

    inputs: list[Any]
    dy: Any
    within: list[tuple[float, float] | None]
    gradients: list[Any]


def drawn(one: Written, seed: int, *, single: bool) -> Case:
    """A case whose numbers are of size 1e-4 to 1e4: all of one size, or each of its own; with ties and zeros."""
    random = np.random.default_rng([seed, *one.name.encode()])
    wide = random.random() < 0.5
    inputs = [
        _input(random, spec.split(), min(one.bounded, one.single) if single else one.bounded, wide=wide)
        for spec in one.inputs
    ]
    floats = [i for i, array in enumerate(inputs) if array.dtype.kind == "f"]
    if not one.smooth and random.random() < 0.3:
        for i in floats:
            flat = inputs[i].reshape(-1)
            if random.random() < 0.5:
                flat[random.integers(flat.size, size=3)] = flat[0]
            else:
                flat[random.integers(flat.size)] = 0
    if single:
        inputs = [array.astype(np.float32) if array.dtype.kind == "f" else array for array in inputs]
    with np.errstate(all="ignore"):
        y = np.asarray(one.forward(*inputs))
        dy = (random.standard_normal(y.shape) * 10 ** random.uniform(-2, 2)).astype(y.dtype)
        found = iter(one.backward(dy, *inputs))
    within = [_DOMAINS.get(spec.split()[0]) for spec in one.inputs]
    return Case(inputs, dy, within, [next(found) if i in floats else None for i in range(len(inputs))])


def _input(random: np.random.Generator, spec: Sequence[str], bounded: float, *, wide: bool) -> Any:
    kind, shape = spec[0], tuple(map(int, spec[1:]))
    match kind:
        case "labels":
            return random.integers(0, shape[-1], shape[:-1])
        case "counts":
            return random.integers(0, 6, shape)
        case "unit":
            near = 10 ** random.uniform(-4, -0.31, shape)
            return np.where(random.random(shape) < 0.5, near, 1 - near)
        case _:
            high = np.log10(bounded)
            size = 10 ** (random.uniform(-4, high, shape) if wide else random.uniform(-4, high - 0.5))
            size = size * (1 if wide else abs(random.standard_normal(shape)) + 1e-3)
            return np.minimum(size, bounded) * (random.choice([-1, 1], shape) if kind == "real" else 1)


@dataclass
class Tally:
    """What came of the cases of one operation."""

    cases: int = 0
    alarms: list[str] = field(default_factory=list)
    seen: list[bool] = field(default_factory=list)
    largest_seen: list[bool] = field(default_factory=list)
    open: int = 0
    entries: int = 0
    calls: int = 0
    numbers: int = 0
    resolutions: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Take in another tally."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def judged(found: Vjp, gradients: Sequence[Any]) -> Comparison:
    """Gradients, None for an input without one, held against what was measured."""
    actual, truth, error, opened = (dict[str, Any]() for _ in range(4))
    for i, entries in enumerate(found.entries):
        if entries is not None:
            actual[f"d{i}"] = gradients[i]
            truth[f"d{i}"], error[f"d{i}"], opened[f"d{i}"] = entries.value, entries.error, entries.open
    actual["lines"] = found.projected(gradients)
    truth["lines"], error["lines"], opened["lines"] = found.value, found.error, found.open
    named: tuple[Named, ...] = (actual, truth, error, opened)
    return compare(*named)


def _single(one: Written, inputs: list[Any]) -> tuple[Any]:
    """Forward in single precision, whatever it is given; its outputs as doubles."""
    arrays = [array.astype(np.float32) if array.dtype.kind == "f" else array for array in inputs]
    return (np.asarray(one.forward(*arrays)).astype(np.float64),)


def _double(one: Written, inputs: list[Any]) -> tuple[Any]:
    return (one.forward(*inputs),)


def tried(one: Written, seed: int, *, single: bool, complex_steps: bool = True) -> Tally:
    """One case: the right gradient, and that with one entry times `FACTOR`."""
    case = drawn(one, seed, single=single)
    tally = Tally()
    gradients = [None if array is None else np.asarray(array, np.float64) for array in case.gradients]
    if not all(np.isfinite(array).all() for array in gradients if array is not None):
        return tally
    inputs = [np.asarray(array, np.float64 if array.dtype.kind == "f" else None) for array in case.inputs]
    with np.errstate(all="ignore"):
        found = slopes(
            partial(_single if single else _double, one),
            inputs,
            cotangents=[np.asarray(case.dy, np.float64)],
            within=case.within,
            single=single and seed % 2 == 0,  # every other one has to be found out
            complex_steps=complex_steps,
            seed=seed,
        ).vjp([case.dy])
    right = judged(found, gradients)
    tally.cases, tally.calls, tally.open, tally.ratios = 1, found.calls, right.open, [right.ratio]
    tally.resolutions = [found.resolution]
    tally.entries = tally.numbers = sum(array.size for array in gradients if array is not None)
    if not right.holds:
        tally.alarms = [f"{one.name}, seed {seed}, single {single}, complex {complex_steps}: {right.worst}"]
    random = np.random.default_rng(seed)
    places = [
        (abs(float(number)), i, index)
        for i, array in enumerate(gradients)
        if array is not None
        for index, number in np.ndenumerate(array)
        if number != 0
    ]
    if places:
        for chosen, seen in (
            (places[random.integers(len(places))], tally.seen),
            (max(places), tally.largest_seen),
        ):
            _, i, index = chosen
            wrong = [None if array is None else array.copy() for array in gradients]
            part = wrong[i]
            if part is not None:
                part[index] *= FACTOR
            seen.append(not judged(found, wrong).holds)
    return tally


def _tally(work: tuple[str, int, int, bool, bool]) -> tuple[str, Tally]:
    name, start, count, single, complex_steps = work
    found = Tally()
    for seed in range(start, start + count):
        found.add(tried(BY_NAME[name], seed, single=single, complex_steps=complex_steps))
    return name, found


def tallies(
    count: int, seed: int, processes: int, *, single: bool, complex_steps: bool
) -> Iterator[tuple[str, Tally]]:
    """The tallies of `count` cases for each operation, by chunks, in several processes."""
    work = [
        (one.name, seed * 1_000_000 + start, min(_CHUNK, count - start), single, complex_steps)
        for one in OPERATIONS
        for start in range(0, count, _CHUNK)
    ]
    with get_context("spawn").Pool(processes) as pool:
        yield from track(pool.imap_unordered(_tally, work), "own forward", len(work), transient=True)


def table(found: dict[str, Tally], title: str) -> Table:
    """One row for each operation."""
    rows: list[Any] = []
    total = Tally()
    for one in [*OPERATIONS, None]:
        tally = total if one is None else found[one.name]
        if one is not None:
            total.add(tally)
        cases = max(1, tally.cases)
        rows.append(
            (
                "all" if one is None else one.name,
                tally.cases,
                len(tally.alarms),
                float(np.mean(tally.largest_seen or [np.nan])),
                float(np.mean(tally.seen or [np.nan])),
                float(np.median(tally.resolutions or [np.nan])),
                tally.open / max(1, tally.entries),
                float(np.max(tally.ratios or [np.nan])),
                tally.numbers / cases,
                tally.calls / cases,
            )
        )
    columns = (
        "operation", "cases", "accused", "largest seen", "any seen", "resolution", "open", "worst", "numbers", "calls",
    )  # fmt: skip
    return Table(
        title,
        columns,
        rows,
        "seen: one entry times 1 + 1e-6, the largest, or any that is not 0; resolution: median relative error that is "
        "seen; open: share of entries at a kink; worst: largest |difference| / (error + open); calls of forward a case",
    )


@click.command("own-forward")
@click.option("--cases", "count", default=250, show_default=True, help="How many cases for each operation.")
@click.option("--seed", default=0, show_default=True)
@click.option("--processes", default=1, show_default=True)
@json_option
def command(count: int, seed: int, processes: int, path: Path | None) -> None:
    """Right gradients against their own forward pass alone: none may be accused."""
    tables: list[Table] = []
    alarms: list[str] = []
    for title, single, complex_steps in (
        ("Forward passes in double precision", False, True),
        ("In double precision, by differences alone", False, False),
        ("In single precision", True, False),
    ):
        found = {one.name: Tally() for one in OPERATIONS}
        for name, tally in tallies(count, seed, processes, single=single, complex_steps=complex_steps):
            found[name].add(tally)
        tables.append(table(found, title))
        alarms += [alarm for tally in found.values() for alarm in tally.alarms]
    show("own-forward", tables, path)
    for alarm in alarms[:20]:
        click.echo(alarm)
    if alarms:
        raise SystemExit(1)
