"""Which derivatives of a layer vanish, so that the sum of the chain rule may lose those terms.

∂L/∂x_ik = Σ_l Σ_j ∂L/∂y_lj ∂y_lj/∂x_ik has a term for every sample l and every unit j. Three families of
terms may be zero: those between units of one sample (j ≠ k), those between samples (l ≠ i), and, for a
weight, those of a unit that it doesn't feed. `table` measures them: every entry of a layer's Jacobian, by
autodiff, on drawn cases, is zero if rounding can explain it (`reference.layers`), and a witness if not.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from manual_backprop.activations import ACTIVATIONS
from manual_backprop.layers import LAYERS, Layer
from reference import layers
from reference.arithmetic.bounded import Enclosed

Floats = NDArray[np.float64]

FAMILIES = {
    "units": "between units of one sample",
    "samples": "between samples",
    "weights": "from a weight to a unit it doesn't feed",
}


@dataclass(frozen=True)
class Row:
    """A layer of `manual_backprop.layers.LAYERS` and of `reference.layers`.

    `shapes(n, units)` are those of its parameters; `feeds` gives for each learned parameter, by name, the
    axis that counts the units which it feeds.
    """

    name: str
    shapes: Callable[[int, int], tuple[tuple[int, ...], ...]] = lambda n, units: ()
    feeds: tuple[tuple[str, int], ...] = ()

    @property
    def subject(self) -> Layer:
        """The hand-written layer."""
        return LAYERS[self.name]


def _of_units(name: str, *names: str) -> Row:
    return Row(name, lambda n, m: ((m,),) * len(names), tuple((p, 0) for p in names))


ROWS = (
    Row("dense", lambda n, m: ((m, m + 1), (m + 1,)), (("W", 1), ("b", 0))),
    *map(_of_units, ACTIVATIONS),
    Row("dropout", lambda n, m: ((n, m),)),
    Row("residual", lambda n, m: ((m, m), (m,)), (("W", 1), ("b", 0))),
    Row("tied", lambda n, m: ((m, m + 1),), (("W", 0),)),
    _of_units("softmax"),
    _of_units("layer_norm", "gain", "shift"),
    _of_units("rms_norm", "gain"),
    _of_units("batch_norm", "gain", "shift"),
)


class Case(NamedTuple):
    """A layer's input x, (n, units), and its parameters."""

    x: Floats
    parameters: tuple[Any, ...]


def case_shapes(row: Row, samples: int, units: int) -> list[tuple[int, ...]]:
    """The shapes of x and of the parameters."""
    return [(samples, units), *row.shapes(samples, units)]


def cut(numbers: Floats, shapes: Sequence[tuple[int, ...]]) -> list[Floats]:
    """The flat numbers as arrays of these shapes, in order; there may be more numbers than needed."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    starts = [0, *ends[:-1]]
    return [numbers[start:end].reshape(shape) for start, end, shape in zip(starts, ends, shapes, strict=True)]


def parameters_of(row: Row, arrays: Sequence[Floats]) -> tuple[Any, ...]:
    """The arrays as a layer's parameters: a mask keeps what is positive."""
    return tuple(array > 0 if row.subject.by_sample else array for array in arrays)


def case_of(row: Row, samples: int, units: int, numbers: Floats) -> Case:
    """The case whose arrays hold these numbers, in order."""
    x, *arrays = cut(numbers, case_shapes(row, samples, units))
    return Case(x, parameters_of(row, arrays))


def bounded_backward(row: Row, dy: Floats, case: Case) -> list[Enclosed]:
    """dx and the gradient of what is learned, with what rounding may do to each entry."""
    return layers.backward(row.name, dy, case.x, case.parameters)


class Witness(NamedTuple):
    """A derivative that is not zero: ∂y[output]/∂array[entry], its value, and what rounding could explain."""

    output: tuple[int, ...]
    array: str
    entry: tuple[int, ...]
    value: float
    bound: float

    def __str__(self) -> str:
        """The derivative as a formula, ∂y[0,1]/∂x[0,0] = −0.12."""
        output, entry = (",".join(map(str, indices)) for indices in (self.output, self.entry))
        return f"∂y[{output}]/∂{self.array}[{entry}] = {self.value:.3g}".replace("-", "−")


def _family(shape: tuple[int, ...], family: str, axis: int) -> NDArray[np.bool_]:
    """Which entries of a Jacobian, (n, units, *shape of the array), belong to the family.

    `axis` is that of the array which counts its units, or the units that it feeds.
    """
    where = np.indices(shape)
    elsewhere = where[1] != where[2 + axis]
    if family == "weights":
        return elsewhere
    same_sample = where[0] == where[2]
    return same_sample & elsewhere if family == "units" else ~same_sample


class Cell(NamedTuple):
    """One family of a layer's derivatives: how many were measured, and the largest that is not zero."""

    entries: int
    witness: Witness | None

    @property
    def vanishes(self) -> bool:
        """Whether none was found to differ from zero."""
        return self.witness is None

    def __str__(self) -> str:
        """The cell as the table shows it."""
        if not self.entries:
            return "no weights"
        return "0" if self.witness is None else f"≠ 0: {self.witness}"


def cells(row: Row, case: Case) -> dict[str, Cell]:
    """Each family on one case: the Jacobian by autodiff, told zero or not by the bound."""
    jacobians = layers.jacobians(row.name, case.x, case.parameters)
    arrays = list(zip([("x", 1), *row.feeds], jacobians, strict=True))
    found: dict[str, Cell] = {}
    for family in FAMILIES:
        entries, witness = 0, None
        for (array, axis), (jacobian, error, opened) in arrays:
            if (array == "x") == (family == "weights"):
                continue
            bound = error + opened
            members = _family(jacobian.shape, family, axis)
            entries += int(members.sum())
            sizes = np.where(members & (abs(jacobian) > bound), abs(jacobian), 0)
            if sizes.max() > (abs(witness.value) if witness else 0):
                at = tuple(map(int, np.unravel_index(sizes.argmax(), sizes.shape)))
                witness = Witness(at[:2], array, at[2:], float(jacobian[at]), float(bound[at]))
        found[family] = Cell(entries, witness)
    return found


class Measured(NamedTuple):
    """A row of the table."""

    layer: str
    cells: dict[str, Cell]

    @property
    def remains(self) -> str:
        """What the chain rule's sum over samples and units keeps when its zeros are dropped."""
        over = [family for family in ("units", "samples") if not self.cells[family].vanishes]
        return "one term" if not over else "a sum over " + " and ".join(over)


SAMPLES, UNITS = 3, 4


def drawn(row: Row, cases: int, seed: int) -> Iterator[Case]:
    """Cases of 3 samples and 4 units with normal numbers, the same for the same seed."""
    random = np.random.default_rng(seed)
    size = sum(int(np.prod(shape)) for shape in case_shapes(row, SAMPLES, UNITS))
    for _ in range(cases):
        yield case_of(row, SAMPLES, UNITS, random.standard_normal(size))


def measure(row: Row, cases: int = 4, seed: int = 0) -> Measured:
    """The row of the table for a layer, from so many drawn cases; the witnesses are of the first with one."""
    found = [cells(row, case) for case in drawn(row, cases, seed)]
    merged: dict[str, Cell] = {}
    for family in FAMILIES:
        witnesses = [one[family].witness for one in found if one[family].witness is not None]
        merged[family] = Cell(sum(one[family].entries for one in found), witnesses[0] if witnesses else None)
    return Measured(row.name, merged)


def table(cases: int = 4, seed: int = 0) -> list[Measured]:
    """The whole table, a row for each layer."""
    return [measure(row, cases, seed) for row in ROWS]


_HEADINGS = ("layer", *FAMILIES.values(), "what is left of the sum")


def _texts(rows: Sequence[Measured]) -> list[list[str]]:
    return [[row.layer, *(str(row.cells[family]) for family in FAMILIES), row.remains] for row in rows]


def as_text(rows: Sequence[Measured], width: int = 160) -> str:
    """The table for a terminal of this many columns."""
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in _HEADINGS:
        grid.add_column(heading, overflow="fold")
    for texts in _texts(rows):
        grid.add_row(*texts)
    console = Console(file=StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        console.print(grid, markup=False)
    return captured.get()


def as_markdown(rows: Sequence[Measured]) -> str:
    """The table in Markdown."""
    lines = [list(_HEADINGS), ["---"] * len(_HEADINGS), *_texts(rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def as_json(rows: Sequence[Measured]) -> str:
    """The table as a JSON list: for each layer and family whether it vanishes, and the witness if not."""
    return json.dumps(
        [
            {
                "layer": row.layer,
                **{
                    family: {
                        "vanishes": cell.vanishes,
                        "entries": cell.entries,
                        "witness": cell.witness and cell.witness._asdict(),
                    }
                    for family, cell in row.cells.items()
                },
                "remains": row.remains,
            }
            for row in rows
        ],
        indent=2,
    )
