"""Drawn layers and networks of layers, as the tests of layers need them, and how they are judged.

A case is one string of bytes, cut up: the first few choose its sizes and its kind, and each further two
choose a number of `strategies.DYADICS`. That is quick to draw, and shrinks to small sizes and simple numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any, NamedTuple

import numpy as np
from hypothesis import find, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from manual_backprop import averages
from manual_backprop.layers import LAYERS
from manual_backprop.stack import Stack
from properties.comparison import Comparison, compare
from properties.cross_derivatives import (
    ROWS,
    Case,
    Floats,
    Row,
    case_of,
    case_shapes,
    cut,
    parameters_of,
)
from properties.strategies import DYADICS
from reference import layers
from reference.arithmetic.bounded import Enclosed

ROW = {row.name: row for row in ROWS}
AT_MOST = 3
"""Samples, and units, of a counterexample."""

each_gets_its_share = settings(
    max_examples=max(10, settings().max_examples // 4),  # of a property that runs over many layers
    deadline=None,  # the first example of a shape waits for JAX
)

_MOST = AT_MOST + 1
"""Samples, and units below, of a case before it shrinks: more than a counterexample may have."""
_HEADER = 8


def _size(shapes: Sequence[tuple[int, ...]]) -> int:
    return sum(int(np.prod(shape)) for shape in shapes)


def _texts(most: int) -> SearchStrategy[bytes]:
    """Bytes for a header and `most` numbers."""
    return st.binary(min_size=_HEADER + 2 * most, max_size=_HEADER + 2 * most)


def _numbers(text: bytes) -> Floats:
    return DYADICS[np.frombuffer(text[_HEADER:], ">u2").astype(int)]


_DEGENERATE = ("no", "no", "no", "constant columns", "constant rows", "zero")
_FACTORS = 2.0 ** np.array([0, 1, -1, 4, -4, 8, -8])


@st.composite
def layer_cases(draw: DrawFn, row: Row, sizes: tuple[int, int] | None = None) -> tuple[Floats, Case]:
    """dy and a case, of `sizes` (samples, units) or of up to 4 each.

    x is scaled by a power of two, and in some cases its columns or its rows are constant.
    """
    most = sizes or (_MOST, _MOST)
    upstream = most[0] * (most[1] + 1)  # a dense layer has one unit more than inputs
    text = draw(_texts(upstream + _size(case_shapes(row, *most))))
    numbers = _numbers(text)
    samples, units = sizes or (1 + text[0] % _MOST, 1 + text[1] % _MOST)
    x, parameters = case_of(row, samples, units, numbers[upstream:])
    match _DEGENERATE[text[2] % len(_DEGENERATE)]:
        case "constant columns":
            x = x[:1] + np.zeros((samples, 1))
        case "constant rows":
            x = x[:, :1] + np.zeros(units)
        case "zero":
            x = np.zeros_like(x)
        case _:
            x = x * _FACTORS[text[3] % len(_FACTORS)]
    y, _ = row.subject.forward(x, *parameters)
    return cut(numbers, [y.shape])[0], Case(x, parameters)


class Batch(NamedTuple):
    """A network's parameters with a weighted batch; each weight is positive or 0, and one is positive."""

    parameters: list[tuple[Any, ...]]
    inputs: Any
    targets: Any
    weights: Any


@dataclass(frozen=True)
class Network:
    """Layers by name, the loss, and the strength of the penalty."""

    names: tuple[str, ...]
    loss: str = "mse"
    penalty: float = 0

    @property
    def rows(self) -> list[Row]:
        """The table's rows for the layers."""
        return [ROW[name] for name in self.names]

    @cached_property
    def stack(self) -> Stack:
        """The hand-written network."""
        contrastive = self.loss == "contrastive"
        batch_loss = averages.CONTRASTIVE if contrastive else averages.average_of(self.loss)
        return Stack(tuple(LAYERS[name] for name in self.names), batch_loss, self.penalty)

    @property
    def penalised(self) -> tuple[tuple[bool, ...], ...]:
        """Which parameters are weight matrices."""
        return tuple(
            tuple(array == "W" for array, _ in row.feeds) or (False,) * len(row.shapes(1, 1))
            for row in self.rows
        )

    def units(self, inputs: int) -> list[int]:
        """The units of the inputs and of each layer: a dense layer has one more than the layer below."""
        sizes = [inputs]
        for name in self.names:
            sizes.append(sizes[-1] + (name == "dense"))
        return sizes

    def shapes(self, samples: int, inputs: int) -> list[list[tuple[int, ...]]]:
        """The shapes of the inputs and the targets, and then those of each layer's parameters."""
        sizes = self.units(inputs)
        below = zip(self.rows, sizes, strict=False)
        return [
            [(samples, inputs), (samples, sizes[-1])],
            *(list(row.shapes(samples, m)) for row, m in below),
        ]

    def batch(self, samples: int, inputs: int, found: Floats, weights: Floats) -> Batch:
        """The batch with these numbers, as many as `shapes` take."""
        shapes = self.shapes(samples, inputs)
        arrays = iter(cut(found, [shape for group in shapes for shape in group]))
        (x, y), *parameters = [[next(arrays) for _ in group] for group in shapes]
        return Batch(
            [parameters_of(*pair) for pair in zip(self.rows, parameters, strict=True)], x, y, weights
        )

    def bounds(self, batch: Batch) -> list[tuple[Enclosed | None, ...]]:
        """The bounded gradient of the whole batch."""
        return layers.gradient(self.names, self.loss, *batch, penalised=self.penalised, strength=self.penalty)


@st.composite
def batches(
    draw: DrawFn, network: Network, *weights: str, samples: int | None = None, inputs: int | None = None
) -> Batch:
    """Batches of up to 4 samples and 2 inputs; `weights` are some of equal, unequal and masked."""
    text = draw(_texts(sum(_size(group) for group in network.shapes(samples or _MOST, inputs or 2))))
    n, m = samples or 1 + text[0] % _MOST, inputs or 1 + text[1] % 2
    counts = np.frombuffer(text[3 : 3 + n], np.uint8)
    match weights[text[2] % len(weights)]:
        case "equal":
            shares = np.ones(n)
        case "unequal":
            shares = (1.0 + counts % 4) / 2
        case _:
            shares = np.where(counts % 2 == 0, 1.0, 0.0)
            shares[0] = max(shares[0], 1 - shares.max())  # one of them is left
    return network.batch(n, m, _numbers(text), shares)


def compared(found: Sequence[Any], truth: Sequence[Enclosed | None]) -> Comparison:
    """Arrays with the truth, by its bounds; a parameter whose truth is None is given, not learned, and left out.

    Args:
        found: arrays; None for a parameter that is learned is wrong in every entry.
        truth: of the same shapes.
    """
    pairs = {str(at): (one, right) for at, (one, right) in enumerate(zip(found, truth, strict=True)) if right}
    actual = {
        place: np.full(right.value.shape, np.nan) if one is None else one
        for place, (one, right) in pairs.items()
    }
    value, error, opened = ({place: right[part] for place, (_, right) in pairs.items()} for part in range(3))
    return compare(actual, value, error, opened)


def disagree(found: Sequence[Any], truth: Sequence[Enclosed | None]) -> bool:
    """Whether an entry is further from the truth than rounding and open kinks explain."""
    return not compared(found, truth).holds


def around(found: Sequence[Any], bounds: Sequence[Enclosed | None]) -> list[Enclosed | None]:
    """The arrays as the truth, with the errors of these bounds."""
    return [
        bound and bound._replace(value=np.full(bound.value.shape, np.nan) if one is None else one)
        for one, bound in zip(found, bounds, strict=True)
    ]


def flat(gradients: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The arrays of all layers in one list."""
    return [array for arrays in gradients for array in arrays]


def learned(gradients: Sequence[Any]) -> list[Any]:
    """The arrays without the None of those that are given."""
    return [array for array in gradients if array is not None]


def add_bounds(one: Sequence[tuple[Any, ...]], other: Sequence[tuple[Any, ...]]) -> list[Enclosed | None]:
    """What rounding may make of the difference of two gradients: both errors together."""
    return [
        a if a is None else Enclosed(a.value, a.error + b.error, a.open + b.open)
        for a, b in zip(flat(one), flat(other), strict=True)
    ]


def smallest(strategy: SearchStrategy[Any], refutes: Callable[[Any], bool]) -> Any:
    """The smallest case that refutes, as Hypothesis shrinks it; fails where there is none."""
    return find(
        strategy,
        refutes,
        settings=settings(max_examples=300, database=None, deadline=None),
        random=Random(582867),  # noqa: S311  (Hypothesis takes no other)
    )
