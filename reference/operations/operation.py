"""What an operation is: a forward pass with named inputs, whose shapes are written in named axes.

Axes are a string of dimensions, separated by spaces: names, numbers, and integer arithmetic on them
("n d", "n 4*k", "n t+1", "n*(n-1)//2"; "" for a scalar). Equal names have equal sizes.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

VALUES = (
    "real",
    "positive",
    "nonzero",
    "unit",
    "probabilities",
    "distinct",
    "ties",
    "signs",
    "onehot",
    "mask",
    "counts",
    "labels",
)
"""What the numbers of an input are: see `properties.values`, which draws them."""

WITHOUT_GRADIENT = ("labels", "mask", "counts")
"""Values that have no gradient."""

_ARITHMETIC: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


class AxesError(ValueError):
    """Axes that can't be read; the message is one sentence for their author."""


@dataclass(frozen=True)
class Input:
    """One input of an operation.

    Attributes:
        axes: its dimensions, as the module's docstring has it.
        values: one of `VALUES`, or a function (rng, shape, sizes) that returns the array.
        below: labels lie in [0, below): a number, or a dimension such as "v".
        ignore: a label that stands for "none", drawn now and then, such as -100.
        constant: whether its gradient is not asked for although it is made of floats.
    """

    axes: str = ""
    values: str | Callable[..., Any] = "real"
    below: str | int | None = None
    ignore: int | None = None
    constant: bool = False

    @property
    def dimensions(self) -> tuple[str, ...]:
        """One expression for each axis."""
        return tuple(self.axes.split())

    @property
    def differentiable(self) -> bool:
        """Whether a backward pass returns a gradient for it."""
        return not self.constant and self.values not in WITHOUT_GRADIENT

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Its shape for the sizes of the named axes. Raises `AxesError`."""
        return tuple(size_of(dimension, sizes) for dimension in self.dimensions)


@dataclass(frozen=True)
class Operation:
    """A forward pass, and what it is called with.

    Attributes:
        name: what it is called; unique.
        forward: a function in `jax.numpy` of the inputs, in order, and of the options by keyword; returns one
            array, or a tuple of arrays.
        inputs: by name, in the order of `forward`.
        options: the values of each keyword to draw from, the default first.
        sizes: the sizes of a named axis to draw from, where they are not free.
        valid: whether a combination (sizes, options) makes sense.
        formulations: other programs that sensible people write for the same function; the bound of the operation
            covers each of them.
        also: other names by which people know it.
        outputs: for several outputs, which of them are differentiable; empty for one.
        mixes: whether a sample's part (axis n) depends on other samples, in an output or in the terms of a sum.
        above: inequalities between the named axes that hold for all sizes, such as "h >= kh": `valid` need not
            repeat them, and the trace with symbolic sizes knows them.
        concrete: the axes whose sizes have to be numbers when the operation is traced.
    """

    name: str
    forward: Callable[..., Any]
    inputs: Mapping[str, Input]
    options: Mapping[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    valid: Callable[[Mapping[str, int], Mapping[str, Any]], bool] = lambda sizes, options: True
    formulations: tuple[Callable[..., Any], ...] = ()
    also: tuple[str, ...] = ()
    outputs: tuple[bool, ...] = ()
    mixes: bool = False
    above: tuple[str, ...] = ()
    concrete: tuple[str, ...] = ()

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of all axes, in the order in which they occur."""
        return names_of(dimension for one in self.inputs.values() for dimension in one.dimensions)

    def possible(self, sizes: Mapping[str, int], options: Mapping[str, Any]) -> bool:
        """Whether the sizes satisfy `above`, and `valid` admits them with the options."""
        larger = (one.split(">=") for one in self.above)
        return all(size_of(a.strip(), sizes) >= size_of(b.strip(), sizes) for a, b in larger) and self.valid(
            sizes, options
        )

    @property
    def differentiable(self) -> tuple[int, ...]:
        """The places of the inputs that have a gradient."""
        return tuple(i for i, one in enumerate(self.inputs.values()) if one.differentiable)


def inputs(**axes: str | Input) -> dict[str, Input]:
    """Inputs by name; a string stands for real numbers with these axes."""
    return {name: Input(one) if isinstance(one, str) else one for name, one in axes.items()}


def names_of(dimensions: Iterable[str]) -> tuple[str, ...]:
    """The names of axes in some dimensions, each once, in order."""
    return tuple(dict.fromkeys(name for one in dimensions for name in re.findall(r"[A-Za-z_]\w*", one)))


def output_name(names: Iterable[str]) -> str:
    """What an output is called beside inputs and options of these names: "y", unless that or "dy" is one of theirs."""
    taken = {other for name in names for other in (name, f"d{name}")}
    for said in ("y", "out", *(f"out_{number}" for number in range(len(taken)))):
        if not any(re.fullmatch(rf"d?{said}\d*", one) for one in taken):
            return said
    raise AssertionError("of more names than are taken one is free")


def size_of(dimension: str, sizes: Mapping[str, int]) -> int:
    """The size of a dimension such as "4*k" for the sizes of its names.

    Raises:
        AxesError: where it is no integer arithmetic on known names.
    """
    return _evaluate(_tree(dimension), dimension, sizes)


@cache
def _tree(dimension: str) -> ast.expr:
    try:
        return ast.parse(dimension, mode="eval").body
    except SyntaxError:
        raise AxesError(
            f"{dimension!r} is no axis: write a name, a number, or arithmetic as in 4*k."
        ) from None


def _evaluate(node: ast.expr, dimension: str, sizes: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name) if name in sizes:
            return sizes[name]
        case ast.Name(id=name):
            raise AxesError(f"The axis {name} of {dimension!r} has no size.")
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
            numbers = _evaluate(left, dimension, sizes), _evaluate(right, dimension, sizes)
            return _ARITHMETIC[type(sign)](*numbers)
        case _:
            raise AxesError(
                f"{dimension!r} is no axis: write a name, a number, or arithmetic with +, -, * and //."
            )
