"""How wide are the bounds of the operations, and does any right derivative lie outside of them?

The right ones are those of `operations_by_hand`: backward passes as people write them, which share nothing with the
reference. Each is run in the format that it is held against.
"""

import inspect
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import click
import numpy as np

from benchmarks.operations_by_hand import BY_HAND
from benchmarks.report import Table, json_option, show
from properties.meta.drawn import array, possible_sizes
from reference.operations import OPERATIONS
from reference.operations.operation import Input, Operation
from reference.program import derivative
from reference.truth import Enclosed, truth

Array = np.ndarray[Any, Any]
FORMATS = ("float64", "float32", "bfloat16")
MEASURED = ("float64", "float32")
"""The formats that NumPy computes in."""
SCALES = (1.0, 1.0, 1.0, 1e-3, 10.0, 100.0)
"""Of the numbers of a case: most are near 1, and some saturate whatever can."""
TINY = 1e-300
REAL = ("real", "distinct")
WITHOUT_OTHER = 40
"""Cases of an operation that has no other program, and those of every operation in bfloat16."""


class Case(NamedTuple):
    """What an operation is called with."""

    sizes: Mapping[str, int]
    options: Mapping[str, Any]
    inputs: Sequence[Array]
    cotangents: Sequence[Array]

    @property
    def rounded(self) -> "Case":
        """The case in numbers of float32."""
        inputs, cotangents = ([_rounded(one) for one in arrays] for arrays in (self.inputs, self.cotangents))
        return self._replace(inputs=inputs, cotangents=cotangents)


def cases(operation: Operation, count: int) -> Iterator[Case]:
    """So many cases: sizes, options and numbers at random, of several scales, one in four with ties."""
    rng = np.random.default_rng(zlib.crc32(operation.name.encode()))
    while count:
        options = {name: some[rng.integers(len(some))] for name, some in operation.options.items()}
        sizes = possible_sizes(operation, options, rng)
        if sizes is None:
            continue
        count -= 1
        scale, ties = rng.choice(SCALES), rng.random() < 0.25
        inputs = [_numbers(one, sizes, rng, scale, ties=ties) for one in operation.inputs.values()]
        known = derivative(operation, options, sizes)
        outputs = known.program.outputs[: known.outputs]
        shapes = [known.program.shape(outputs[place], sizes) for place in known.pulled]
        yield Case(sizes, options, inputs, [rng.standard_normal(shape) for shape in shapes])


def _numbers(
    one: Input, sizes: Mapping[str, int], rng: np.random.Generator, scale: float, *, ties: bool
) -> Array:
    drawn = array(one, sizes, rng)
    if one.values in REAL:
        drawn = drawn * scale
        if ties and one.values == "real":
            drawn = np.round(drawn * 2) / 2
    return drawn


def _rounded(x: Array) -> Array:
    return np.asarray(x.astype(np.float32).astype(np.float64) if x.dtype.kind == "f" else x)


@dataclass
class Seen:
    """What was measured of an operation."""

    widths: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in FORMATS})
    worst: dict[str, float] = field(default_factory=lambda: dict.fromkeys(MEASURED, 0.0))
    alarms: list[str] = field(default_factory=list[str])
    unbounded: int = 0
    overflowed: int = 0
    first: list[float] = field(default_factory=list[float])
    again: list[float] = field(default_factory=list[float])
    judged: int = 0


def measured(operation: Operation, count: int) -> Seen:
    """So many cases of an operation, against every program by hand."""
    seen, sizes_seen = Seen(), set[Any]()
    for number, case in enumerate(cases(operation, count)):
        key = repr((sorted(case.sizes.items()), case.options))
        times = seen.again if key in sizes_seen else seen.first
        sizes_seen.add(key)
        for name in FORMATS if number < WITHOUT_OTHER else MEASURED:
            one = case if name == "float64" else case.rounded
            started = perf_counter()
            found = truth(operation, one.inputs, one.cotangents, one.options, one.sizes, format=name)
            if name == "float64":
                times.append(perf_counter() - started)
            seen.widths[name].append(max(map(_width, found.gradients.values())))
            if name in MEASURED:
                _compare(operation, one, [*found.outputs, *found.gradients.values()], name, seen)
    return seen


def _width(one: Enclosed) -> float:
    """The largest bound relative to the largest entry; 0 of an array of zeros, of which no share is anything."""
    largest = float(np.max(np.abs(one.value), initial=0))
    if not np.isfinite(largest):
        return float("inf")
    return float(np.max(one.error, initial=0) / largest) if largest > 0 else 0.0


def _compare(operation: Operation, case: Case, right: Sequence[Enclosed], name: str, seen: Seen) -> None:
    inputs, cotangents = (
        [one.astype(name) if one.dtype.kind == "f" else one for one in arrays]
        for arrays in (case.inputs, case.cotangents)
    )
    for by_hand in BY_HAND.get(operation.name, ()):
        seen.judged += 1
        try:
            with np.errstate(all="ignore"):
                value, backward = by_hand(*(one.copy() for one in inputs), **case.options)
                gradients = backward(
                    cotangents[0].copy() if len(cotangents) == 1 else tuple(one.copy() for one in cotangents)
                )
        except np.linalg.LinAlgError:  # of a matrix that is singular
            seen.overflowed += 1
            continue
        outputs = value if isinstance(value, tuple) else (value,)
        found = [*outputs, *gradients]
        if not all(np.isfinite(one).all() for one in found):
            seen.overflowed += 1  # unstable, as a verdict would have it: no question of rounding
            continue
        ratios = list(map(_ratio, right, found))
        seen.unbounded += any(map(np.isnan, ratios))
        ratio = max((one for one in ratios if not np.isnan(one)), default=0.0)
        if ratio > 1:
            seen.alarms.append(f"{by_hand.__name__} {name} {ratio:.3g} {dict(case.sizes)} {case.options}")
        seen.worst[name] = max(seen.worst[name], ratio)


def _ratio(right: Enclosed, found: Array) -> float:
    """The largest |difference| / bound; NaN where no entry has a bound."""
    away = np.maximum(np.abs(np.asarray(found, float) - right.value) - right.open, 0)
    bounded = np.isfinite(right.error) & np.isfinite(right.open)
    if not np.any(bounded):
        return 0.0 if np.size(right.value) == 0 else float("nan")
    ratios = np.where(away == 0, 0, away / np.maximum(right.error, TINY))
    return float(np.max(ratios[bounded]))


def _lines(operation: Operation) -> int:
    return len(inspect.getsource(operation.forward).splitlines())


def _milliseconds(seconds: Sequence[float]) -> float:
    return 1e3 * median(seconds) if seconds else float("nan")


@click.command("operations")
@click.option("--cases", "count", default=320, show_default=True, help="Cases of each operation.")
@click.option("--only", default="", help="The operations whose names contain this.")
@json_option
def command(count: int, only: str, path: Path | None) -> None:
    """Bounds of the operations, held against backward passes written by hand."""
    rows: list[Any] = []
    alarms: list[Any] = []
    judged = unbounded = overflowed = 0
    for operation in OPERATIONS.values():
        if only not in operation.name:
            continue
        seen = measured(operation, count if operation.name in BY_HAND else min(count, WITHOUT_OTHER))
        judged += seen.judged
        unbounded += seen.unbounded
        overflowed += seen.overflowed
        alarms += [(operation.name, *told.split(" ", 3)) for told in seen.alarms]
        has_other = operation.name in BY_HAND
        rows.append(
            (
                operation.name,
                _lines(operation),
                *(f"{median(seen.widths[name]):.1e}" for name in FORMATS),
                *(seen.worst[name] if has_other else "" for name in MEASURED),
                len(seen.alarms) if has_other else "",
                _milliseconds(seen.first),
                _milliseconds(seen.again),
            )
        )
    columns = (
        "operation",
        "lines",
        *FORMATS,
        *(f"worst in {name}" for name in MEASURED),
        "alarms",
        "ms, new",
        "ms, known",
    )
    note = (
        f"{judged} right derivatives by hand, {len(alarms)} outside of their bound, {unbounded} with an array that has "
        f"none, {overflowed} that gave no finite number. Under a format: the median of the largest bound relative to "
        "the largest entry; worst: the largest difference / bound; ms: value and bound in float64 of a case of new "
        "sizes, and of sizes seen before."
    )
    tables = [Table("Bounds of the operations", columns, rows, note)]
    if alarms:
        tables.append(
            Table("False alarms", ("operation", "by hand", "format", "ratio", "case"), alarms[:100])
        )
    show("operations", tables, path)
