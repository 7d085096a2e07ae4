"""A program read in numbers that carry a bound: what rounding, and an undecided comparison, may have done to them.

**Rounding** (running error analysis: N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., SIAM
2002, section 3.3). Beside each x goes an e, such that every sensible program's x̂ has |x̂ - x| ≤ e. With the unit
roundoff u and γ_m = (m + `FREEDOM`) u / (1 - (m + `FREEDOM`) u):

- a sum of m products in any order errs by γ_m Σ|a||b| (Higham, eq. 3.5), and errors that come in pass on as
  Σ|a| e_b + e_a (|b| + e_b); a product or a sum of two numbers is m = 1; `FREEDOM` = 8 roundings are granted to
  every sum, since factors may stand at any place and in any order;
- f(z): |f(ẑ) - f(z)| ≤ |f'(z)| e_z + sup|f''| e_z²/2, then the function's own error, `FORMULA` u = 16 u relative to
  max(1, |f|): a library's function errs by at most 4 units in the last place, 8 u, and a sensible formula makes at
  most four further operations on numbers of size 1. It is absolute below 1, for exp as for tanh and σ, since
  1 - h², log(1 + e^z) - z and the like cancel the leading digits of numbers near 1.

**Undecided comparisons.** Where a comparison of two numbers that vary lies within their errors, or they are equal, nobody can
say how it comes out, and any slope between is right: the result lies in the hull of both branches, [x - down, x + up],
apart from its e. So "within rounding" and "open at a kink" stay apart. Comparisons are not local: x against max(x)
compares x with itself. So a maximum remembers of what it is one.

**What is known from structure.** `low` is a number that x and every x̂ are at least: squares and exponentials are
not negative, v + ε is at least ε; one of x - max(x) is 0, so Σ exp(x - max x) is at least 1 (`some`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from reference.arithmetic import floats, moves
from reference.arithmetic.reading import Arithmetic, Rule, scan

Array = np.ndarray[Any, Any]

FORMULA = 16
FREEDOM = 8


@dataclass(frozen=True)
class Format:
    """A floating-point format: unit roundoffs of a result and of sums inside, and the smallest normal number."""

    name: str
    unit: float
    sums: float
    tiny: float
    largest: float


def _format(name: str, bits: int, tiny: float, largest: float, sums: float | None = None) -> Format:
    unit = 2.0**-bits
    return Format(name, unit, sums or unit, tiny, largest)


FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        _format("float64", 53, 2.0**-1022, float(np.finfo(np.float64).max)),
        _format("float32", 24, 2.0**-126, float(np.finfo(np.float32).max)),
        _format("float16", 11, 2.0**-14, 65504.0),
        _format("bfloat16", 8, 2.0**-126, 3.3895e38),
        _format("float16 with float32 sums", 11, 2.0**-14, 65504.0, 2.0**-24),
        _format("bfloat16 with float32 sums", 8, 2.0**-126, 3.3895e38, 2.0**-24),
    )
}


NONE = 0.0
"""No error, or nothing open: a plain number, which costs nothing to carry along."""


def none(part: Any) -> bool:
    """Whether a part of a number is `NONE`; NumPy's scalars are numbers like any other."""
    return type(part) is float


class Bounded:
    """A number with its bounds, in arrays of one shape; a plain 0.0 stands for none.

    Attributes:
        x: the number.
        e: |x̂ - x| ≤ e, but for what is open.
        down, up: an undecided comparison may carry it to anywhere in [x - down, x + up].
        low: x and x̂ are at least that; None where nothing is known.
        some: (axes, v): along these axes some entry is at least v.
        extreme: of what it is the maximum or the minimum.
        varies: whether it depends on an input that is differentiated.
    """

    __slots__ = ("down", "e", "extreme", "low", "some", "up", "varies", "x")

    def __init__(
        self,
        x: Any,
        e: Any = 0.0,
        down: Any = 0.0,
        up: Any = 0.0,
        *,
        low: Any = None,
        some: Any = None,
        extreme: "Extreme | None" = None,
        varies: bool = False,
    ) -> None:
        """As the attributes."""
        self.x, self.e, self.down, self.up = x, e, down, up
        self.low, self.some, self.extreme, self.varies = low, some, extreme, varies

    @property
    def is_open(self) -> bool:
        """Whether an undecided comparison may have done anything."""
        return not (none(self.up) and none(self.down))

    @property
    def size(self) -> Any:
        """The largest |x| that an open comparison admits."""
        if not self.is_open:
            return np.abs(self.x)
        return np.maximum(np.abs(self.x - self.down), np.abs(self.x + self.up))

    @property
    def ends(self) -> tuple[Any, Any]:
        """The hull of what an open comparison admits."""
        return self.x - self.down, self.x + self.up

    @property
    def least(self) -> Any:
        """What every x̂ is at least."""
        least = self.x - self.down - self.e if self.is_open else self.x - self.e
        return least if self.low is None else np.maximum(least, self.low)

    @property
    def smallest(self) -> Any:
        """What every |x̂| is at least, where x has one sign for sure; else 0 or less."""
        away = np.maximum(self.x - self.down, -(self.x + self.up)) if self.is_open else np.abs(self.x)
        away = away - self.e
        return away if self.low is None else np.maximum(away, self.low)


class Extreme(NamedTuple):
    """The maximum (sign 1) or minimum (-1) of a number and another, or of its entries along axes."""

    of: Bounded
    other: "Bounded | tuple[int, ...]"
    sign: int


def _hull(x: Any, ends: Sequence[Any]) -> tuple[Any, Any]:
    """How far below and above x the given ends lie."""
    lowest, highest = ends[0], ends[0]
    for end in ends[1:]:
        lowest, highest = np.minimum(lowest, end), np.maximum(highest, end)
    return np.maximum(x - lowest, 0), np.maximum(highest - x, 0)


def _both(function: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """A function of two lower bounds, None where one is unknown."""
    return None if a is None or b is None else function(a, b)


# --- moves: each part alike -----------------------------------------------------------------------------------


def _moved(function: Callable[..., Any], *, keeps: bool = False) -> Rule:
    """The rule of a move; with `keeps`, a maximum stays one of the same number."""

    def rule(arithmetic: Any, a: Bounded, **parameters: Any) -> Any:
        del arithmetic

        def part(p: Any) -> Any:
            return p if p is None or none(p) else function(p, **parameters)

        x = function(a.x, **parameters)
        if isinstance(x, list):
            parts = [part(p) for p in (a.e, a.down, a.up)]
            return [
                Bounded(one, *(p if none(p) else p[i] for p in parts), varies=a.varies)
                for i, one in enumerate(x)
            ]
        low = part(a.low) if isinstance(a.low, np.ndarray) and a.low.ndim else a.low
        extreme = a.extreme if keeps else None
        return Bounded(x, part(a.e), part(a.down), part(a.up), low=low, extreme=extreme, varies=a.varies)

    return rule


def _parts(values: Sequence[Bounded], function: Callable[..., Any]) -> Bounded:
    """A move of several numbers at once, such as a concatenation."""

    def together(parts: Sequence[Any]) -> Any:
        if all(none(part) for part in parts):
            return NONE
        filled = [np.broadcast_to(part, value.x.shape) for part, value in zip(parts, values, strict=True)]
        return function(*filled)

    return Bounded(
        function(*(value.x for value in values)),
        *(together([getattr(value, name) for value in values]) for name in ("e", "down", "up")),
        varies=any(value.varies for value in values),
    )


def _concatenate(_: Any, *values: Bounded, dimension: int) -> Bounded:
    return _parts(values, lambda *arrays: np.concatenate(arrays, dimension))


def _stack(_: Any, *values: Bounded, axis: int) -> Bounded:
    return _parts(values, lambda *arrays: np.stack(arrays, axis))


def _pad(_: Any, a: Bounded, value: Bounded, *, padding_config: Any) -> Bounded:
    return _parts([a, value], lambda x, v: moves.pad(x, v, padding_config=padding_config))


def _dynamic_slice(_: Any, a: Bounded, *indices: Bounded, slice_sizes: Any) -> Bounded:
    return _parts([a], lambda x: moves.dynamic_slice(x, *(i.x for i in indices), slice_sizes=slice_sizes))


def _dynamic_update_slice(_: Any, a: Bounded, update: Bounded, *indices: Bounded) -> Bounded:
    return _parts([a, update], lambda x, u: moves.dynamic_update_slice(x, u, *(i.x for i in indices)))


# --- sums and products ----------------------------------------------------------------------------------------


def _add(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
    x = a.x + b.x
    if isinstance(x, np.generic | np.ndarray) and x.dtype.kind in "iub":
        return Bounded(x)
    e = a.e + b.e + self.gamma(1) * (a.size + a.e + b.size + b.e)
    if not np.isfinite(x).all():  # -inf stands for "left out", and stays that
        e = np.where(np.isinf(x), 0.0, e)
    down, up = (NONE, NONE) if not (a.is_open or b.is_open) else (a.down + b.down, a.up + b.up)
    return Bounded(x, e, down, up, low=_both(np.add, a.low, b.low))


def _neg(_: Any, a: Bounded) -> Bounded:
    return Bounded(-a.x, a.e, a.up, a.down)


def _sub(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
    found = _add(self, a, Bounded(-b.x, b.e, b.up, b.down))
    if (
        b.extreme is not None
        and b.extreme.of is a
        and b.extreme.sign > 0
        and isinstance(b.extreme.other, tuple)
    ):
        found.some = (b.extreme.other, 0.0)  # x - max(x): one of them is 0, in every program
    return found


def _mul(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
    x = a.x * b.x
    if isinstance(x, np.generic | np.ndarray) and x.dtype.kind in "iub":
        return Bounded(x)
    size_a, size_b = a.size, b.size
    largest = size_b + b.e
    e = size_a * b.e + (a.e + self.gamma(1) * (size_a + a.e)) * largest + self.format.tiny
    down, up = NONE, NONE
    if a.is_open or b.is_open:
        (p, q), (r, s) = a.ends, b.ends
        down, up = _hull(x, (p * r, p * s, q * r, q * s))
    low = None
    if a is b:
        low = 0.0
    elif a.low is not None and b.low is not None and np.all(a.low >= 0) and np.all(b.low >= 0):
        low = a.low * b.low
    return Bounded(x, e, down, up, low=low)


def _div(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
    x = floats.divided(a.x, b.x)
    if x.dtype.kind in "iu":
        return Bounded(x)
    down, up, size = NONE, NONE, np.abs(x)
    if a.is_open or b.is_open:
        (p, q), (r, s) = a.ends, b.ends
        if b.low is not None:
            r = np.maximum(r, b.low)
        down, up = _hull(x, (p / r, p / s, q / r, q / s))
        sure = (r > 0) | (s < 0)
        down, up = np.where(sure, down, np.inf), np.where(sure, up, np.inf)
        size = np.maximum(np.abs(x - down), np.abs(x + up))
    smallest = b.smallest
    smallest = np.where(smallest > 0, smallest, 0)
    e = (a.e + size * b.e) / smallest
    e = np.where(smallest > 0, e, np.inf)
    e = e + self.gamma(1) * (size + e) + self.format.tiny
    low = None
    if a.low is not None and b.low is not None and np.all(a.low >= 0) and np.all(b.low >= 0):
        low = 0.0
    return Bounded(x, e, down, up, low=low)


def _product(
    self: "Bounding", a: Bounded, b: Bounded, to_a: Callable[[Array], Array], to_b: Callable[[Array], Array]
) -> Bounded:
    """The product of two stacks of matrices, brought there by `to_a` and `to_b`."""

    def part(p: Any, to: Callable[[Array], Array], shape: Any) -> Any:
        return p if none(p) else to(np.broadcast_to(p, shape))

    left, right = to_a(a.x), to_b(b.x)
    terms = left.shape[-1]
    a_e, b_e = part(a.e, to_a, a.x.shape), part(b.e, to_b, b.x.shape)
    size_a, size_b = np.abs(left), np.abs(right)
    down, up = NONE, NONE
    if a.is_open or b.is_open:
        a_ends = [part(p, to_a, a.x.shape) for p in (a.down, a.up)]
        b_ends = [part(p, to_b, b.x.shape) for p in (b.down, b.up)]
        down, up = _open_product(left, right, a_ends, b_ends)
        size_a = np.maximum(np.abs(left - a_ends[0]), np.abs(left + a_ends[1]))
        size_b = np.maximum(np.abs(right - b_ends[0]), np.abs(right + b_ends[1]))
    gamma = self.gamma_of_sums(terms)
    inner = a_e + gamma * (size_a + a_e)
    e = np.matmul(inner, size_b + b_e)
    if not none(b_e):
        e = e + np.matmul(size_a, b_e)
    x = np.matmul(left, right)
    return Bounded(x, e + terms * self.format.tiny + self.last(np.abs(x) + e), down, up)


def _open_product(left: Array, right: Array, a_ends: Sequence[Any], b_ends: Sequence[Any]) -> tuple[Any, Any]:
    """What is open of a product of matrices: exact where one factor is closed, else by radii about the middles."""

    def one(matrix: Array, ends: Sequence[Any], product: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
        positive, negative = np.maximum(matrix, 0), np.maximum(-matrix, 0)
        down, up = (np.broadcast_to(end, ends_shape) for end in ends)
        return (
            product(down, positive) + product(up, negative),
            product(up, positive) + product(down, negative),
        )

    if all(none(end) for end in b_ends):
        ends_shape = left.shape
        return one(right, a_ends, np.matmul)
    if all(none(end) for end in a_ends):
        ends_shape = right.shape
        return one(left, b_ends, lambda end, matrix: np.matmul(matrix, end))
    radius_a = np.maximum(*(np.broadcast_to(end, left.shape) for end in a_ends))
    radius_b = np.maximum(*(np.broadcast_to(end, right.shape) for end in b_ends))
    radius = np.matmul(radius_a, np.abs(right) + radius_b) + np.matmul(np.abs(left), radius_b)
    return radius, radius


def _dot_general(self: "Bounding", a: Bounded, b: Bounded, *, dimension_numbers: Any) -> Bounded:
    (left_contracted, right_contracted), (left_batch, right_batch) = dimension_numbers
    shape = floats.dot_shape(a.x, b.x, dimension_numbers)
    found = _product(
        self,
        a,
        b,
        lambda x: floats.matrices(x, left_batch, left_contracted, rows=True)[0],
        lambda x: floats.matrices(x, right_batch, right_contracted, rows=False)[0],
    )
    return _moved(lambda x: x.reshape(shape))(self, found)


def _convolution(self: "Bounding", a: Bounded, b: Bounded, **parameters: Any) -> Bounded:
    how = floats.Convolution(a.x.shape, b.x.shape, **parameters)
    return _moved(how.result)(self, _product(self, a, b, how.patches, how.kernels))


def _reduce_sum(self: "Bounding", a: Bounded, *, axes: Sequence[int]) -> Bounded:
    axes = tuple(axes)
    x = a.x.sum(axis=axes)
    if x.dtype.kind in "iub":
        return Bounded(x)
    terms = int(np.prod([a.x.shape[axis] for axis in axes]))
    e = (a.e + self.gamma_of_sums(terms) * (a.size + a.e)).sum(axis=axes)
    down, up = NONE, NONE
    if a.is_open:
        down, up = (np.broadcast_to(end, a.x.shape).sum(axis=axes) for end in (a.down, a.up))
    low = None
    if a.low is not None:
        lowest = np.broadcast_to(a.low, a.x.shape).sum(axis=axes)
        low = lowest
        if a.some is not None and set(a.some[0]) <= set(axes) and np.all(np.asarray(a.low) >= 0):
            low = np.maximum(lowest, a.some[1])
    return Bounded(x, e + self.last(np.abs(x) + e), down, up, low=low)


def _window_sum(self: "Bounding", a: Bounded, **parameters: Any) -> Bounded:
    how = floats.window_parameters(a.x, **parameters)
    each = _moved(lambda x: moves.windows(x, 0, **how))(self, a)
    each.low = None
    return _reduce_sum(self, each, axes=range(a.x.ndim, 2 * a.x.ndim))


def _cumsum(self: "Bounding", a: Bounded, *, axis: int, reverse: bool) -> Bounded:
    """Prefix sums; of their rounding, what a difference of total and prefix may have: that of the whole sum."""
    run = floats.RULES["cumsum"]
    parameters = {"axis": axis, "reverse": reverse}
    x = run(self, a.x, **parameters)
    size = np.broadcast_to(a.size + a.e, x.shape)
    whole = self.gamma_of_sums(x.shape[axis]) * size.sum(axis=axis, keepdims=True)
    passed = np.broadcast_to(a.e, x.shape).sum(axis=axis, keepdims=True)
    down, up = NONE, NONE
    if a.is_open:
        down, up = (run(self, np.broadcast_to(end, x.shape), **parameters) for end in (a.down, a.up))
    return Bounded(x, np.broadcast_to(passed + whole, x.shape) + self.last(np.abs(x)), down, up)


def _multiplied(name: str) -> Rule:
    """Products of many numbers: |Π x̂ - Π x| ≤ Π(|x| + e) - Π|x|, and one rounding for each factor."""

    def rule(self: "Bounding", a: Bounded, **parameters: Any) -> Bounded:
        if a.is_open:
            raise NotImplementedError
        run = floats.RULES[name]
        size = np.abs(a.x)
        largest = run(self, size + a.e, **parameters)
        axes = parameters.get("axes", (parameters.get("axis"),))
        factors = int(np.prod([a.x.shape[axis] for axis in axes]))
        grown = run(self, size, **parameters)
        error = largest - grown + self.gamma(factors) * largest
        # The difference of two products is itself rounded, by less than γ in float64, which u contains.
        return Bounded(run(self, a.x, **parameters), error + self.format.tiny)

    return rule


# --- functions of one number ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Smooth:
    """A smooth function: its slope from (z, f(z)), a bound on |f''| from (z, e, f), and what its rounding is relative to.

    `low` is what it is at least; `grows` says that it is monotone, so that the hull is that of its ends.
    """

    slope: Callable[[Any, Any], Any]
    curvature: Callable[[Any, Any, Any], Any]
    low: float | None = None
    grows: bool = True


def _bound(value: float) -> Callable[[Any, Any, Any], Any]:
    return lambda z, e, h: value


SMOOTH: Mapping[str, Smooth] = {
    # |f''| = 2|h|(1 - h²) ≤ 4/(3√3) < 0.77
    "tanh": Smooth(lambda z, h: 1 - h * h, _bound(0.77)),
    # |f''| ≤ 1/(6√3) < 0.0963
    "logistic": Smooth(lambda z, h: h * (1 - h), _bound(0.0963), low=0.0),
    "sin": Smooth(lambda z, h: np.abs(np.cos(z)), _bound(1.0), grows=False),
    "cos": Smooth(lambda z, h: np.abs(np.sin(z)), _bound(1.0), grows=False),
    # |f''| = (4/√π) |z| e^(-z²) ≤ (4/√π) e^(-1/2)/√2 < 0.968
    "erf": Smooth(lambda z, h: 2 / np.sqrt(np.pi) * np.exp(-z * z), _bound(0.968)),
    "erfc": Smooth(lambda z, h: 2 / np.sqrt(np.pi) * np.exp(-z * z), _bound(0.968), low=0.0),
    # |f''| = 2|z|/(1 + z²)² ≤ 3√3/8 < 0.65
    "atan": Smooth(lambda z, h: 1 / (1 + z * z), _bound(0.65)),
    # |f''| = |z|/(1 + z²)^(3/2) ≤ 2/(3√3) < 0.385
    "asinh": Smooth(lambda z, h: 1 / np.sqrt(1 + z * z), _bound(0.385)),
    "sinh": Smooth(lambda z, h: np.cosh(z), lambda z, e, h: np.sinh(np.abs(z) + e)),
    "cosh": Smooth(
        lambda z, h: np.abs(np.sinh(z)), lambda z, e, h: np.cosh(np.abs(z) + e), low=1.0, grows=False
    ),
    "tan": Smooth(
        lambda z, h: 1 + h * h,
        lambda z, e, h: 2 * np.abs(np.tan(np.abs(z) + e)) * (1 + np.tan(np.abs(z) + e) ** 2),
    ),
}


def _smooth(name: str) -> Rule:
    function, how = floats.ELEMENTWISE[name], SMOOTH[name]

    def rule(self: "Bounding", a: Bounded) -> Bounded:
        h = function(a.x)
        e = (
            np.abs(how.slope(a.x, h)) * a.e + how.curvature(a.x, a.e, h) / 2 * a.e**2
            if not none(a.e)
            else NONE
        )
        return self.function(function, a, h, e, low=how.low, grows=how.grows)

    return rule


def _exp(self: "Bounding", a: Bounded) -> Bounded:
    """|e^ẑ - e^z| ≤ e^z (e^ε - 1)."""
    h = np.exp(a.x)
    e = h * np.expm1(a.e) if not none(a.e) else NONE
    found = self.function(np.exp, a, h, e, low=0.0)
    if a.some is not None:
        found.some = (a.some[0], float(np.exp(a.some[1])))
    return found


def _expm1(self: "Bounding", a: Bounded) -> Bounded:
    h = np.expm1(a.x)
    return self.function(np.expm1, a, h, np.exp(a.x) * np.expm1(a.e) if not none(a.e) else NONE, low=-1.0)


def _log_of(name: str, shift: float) -> Rule:
    """The slope of log(s + z) is at most 1/(s + the least z)."""
    function = floats.ELEMENTWISE[name]

    def rule(self: "Bounding", a: Bounded) -> Bounded:
        e: Any = NONE
        if not none(a.e):
            least = a.least + shift
            e = np.where(least > 0, a.e / np.where(least > 0, least, 1), np.inf)
        low = None if a.low is None else function(np.asarray(a.low, float))
        return self.function(function, a, function(a.x), e, low=low)

    return rule


def _sqrt(self: "Bounding", a: Bounded) -> Bounded:
    """|√ẑ - √z| = |ẑ - z|/(√ẑ + √z), and at most √|ẑ - z|."""
    h = np.sqrt(a.x)
    e: Any = NONE
    if not none(a.e):
        below = h + np.sqrt(np.maximum(a.least, 0))
        e = np.minimum(np.where(below > 0, a.e / np.where(below > 0, below, 1), np.inf), np.sqrt(a.e))
    low = 0.0 if a.low is None else np.sqrt(np.maximum(a.low, 0))
    found = self.function(np.sqrt, a, h, e, low=low)
    found.e = e + self.gamma(1) * (h + e)
    return found


def _rsqrt(self: "Bounding", a: Bounded) -> Bounded:
    return _div(self, Bounded(np.float64(1.0), low=1.0), _sqrt(self, a))


def _integer_pow(self: "Bounding", a: Bounded, *, y: int) -> Bounded:
    """|ẑ^y - z^y| ≤ |y| m^(y-1) e, with m the largest |ẑ|, or the smallest for y < 0."""
    if y < 0:
        return _div(self, Bounded(np.float64(1.0), low=1.0), _integer_pow(self, a, y=-y))
    x = a.x**y
    e: Any = NONE
    if not none(a.e):
        e = y * (a.size + a.e) ** (y - 1) * a.e
    down, up = NONE, NONE
    if a.is_open:
        lowest, highest = (end**y for end in a.ends)
        ends = [lowest, highest]
        if y % 2 == 0:
            ends.append(np.where((a.x - a.down <= 0) & (a.x + a.up >= 0), 0.0, x))
        down, up = _hull(x, ends)
    low = 0.0 if y % 2 == 0 else None
    if a.low is not None and np.all(np.asarray(a.low) >= 0):
        low = np.asarray(a.low) ** y
    return Bounded(x, e + self.gamma(y) * (np.abs(x) + e) + self.format.tiny, down, up, low=low)


def _square(self: "Bounding", a: Bounded) -> Bounded:
    return _integer_pow(self, a, y=2)


def _pow(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
    """x^y = exp(y log x), and 0^y = 0."""
    if b.x.ndim == 0 and not b.varies and b.x == int(b.x) and abs(b.x) < 64:  # noqa: PLR2004  (a whole power)
        return _integer_pow(self, a, y=int(b.x))
    x = np.power(a.x, b.x)
    exponent = _mul(self, b, RULES["log"](self, a))
    e = np.abs(x) * np.expm1(exponent.e)
    e = np.where((a.x == 0) & np.all(np.asarray(a.e) == 0), 0.0, e)
    if a.is_open or b.is_open:
        raise NotImplementedError
    return Bounded(x, e + FORMULA * self.format.unit * (np.abs(x) + e), low=0.0)


def _abs(_: Any, a: Bounded) -> Bounded:
    x = np.abs(a.x)
    down, up = NONE, NONE
    if a.is_open:
        ends = [np.abs(end) for end in a.ends]
        ends.append(np.where((a.x - a.down <= 0) & (a.x + a.up >= 0), 0.0, x))
        down, up = _hull(x, ends)
    return Bounded(x, a.e, down, up, low=0.0)


def _sign(_: Any, a: Bounded) -> Bounded:
    x = np.sign(a.x)
    if not a.varies:
        return Bounded(x)
    unsure_below = a.x - a.down - a.e <= 0
    unsure_above = a.x + a.up + a.e >= 0
    open_ = unsure_below & unsure_above
    if not open_.any():
        return Bounded(x)
    return Bounded(x, NONE, np.where(open_, x + 1, 0.0), np.where(open_, 1 - x, 0.0))


def _stepped(name: str) -> Rule:
    """floor and ceil: a whole number within the error leaves two of them open."""
    function = floats.ELEMENTWISE[name]

    def rule(_: Any, a: Bounded) -> Bounded:
        x = function(a.x)
        ends = [function(a.x - a.down - a.e), function(a.x + a.up + a.e)]
        down, up = _hull(x, ends)
        return Bounded(x, NONE, down, up) if np.any(down) or np.any(up) else Bounded(x)

    return rule


# --- maxima and comparisons -----------------------------------------------------------------------------------


def _of_two(sign: int) -> Rule:
    """max (sign 1) and min (-1) of two: each moves with its operands, and errs as they do."""
    choose = np.maximum if sign > 0 else np.minimum

    def rule(_: Any, a: Bounded, b: Bounded) -> Bounded:
        x = choose(a.x, b.x)
        e: Any = NONE if none(a.e) and none(b.e) else np.maximum(a.e, b.e)
        down, up = NONE, NONE
        if a.is_open or b.is_open:
            (p, q), (r, s) = a.ends, b.ends
            down, up = _hull(x, (choose(p, r), choose(q, s)))
        low = _both(choose, a.low, b.low)
        if sign > 0 and low is None:
            low = b.low if a.low is None else a.low
        extreme = Extreme(a, b, sign)
        for one, other in ((a, b), (b, a)):  # max(-inf, max(x)) is still the maximum of x
            if one.extreme is not None and not other.varies and np.all(np.equal(other.x, -sign * np.inf)):
                extreme = one.extreme
        return Bounded(x, e, down, up, low=low, extreme=extreme)

    return rule


def _of_many(sign: int) -> Rule:
    """reduce_max (sign 1) and reduce_min (-1)."""
    choose = np.max if sign > 0 else np.min

    def rule(_: Any, a: Bounded, *, axes: Sequence[int]) -> Bounded:
        axes = tuple(axes)

        def along(p: Any, function: Callable[..., Any]) -> Any:
            return p if p is None or none(p) else function(np.broadcast_to(p, a.x.shape), axis=axes)

        x = choose(a.x, axis=axes)
        down, up = NONE, NONE
        if a.is_open:
            down, up = _hull(x, [along(end, choose) for end in a.ends])
        return Bounded(
            x, along(a.e, np.max), down, up, low=along(a.low, choose), extreme=Extreme(a, axes, sign)
        )

    return rule


def _window_max(_: Any, a: Bounded, **parameters: Any) -> Bounded:
    how = floats.window_parameters(a.x, **parameters)
    axes = tuple(range(a.x.ndim, 2 * a.x.ndim))

    def top(p: Any, fill: float) -> Any:
        return p if none(p) else moves.windows(p, fill, **how).max(axis=axes)

    x = top(a.x, -np.inf)
    down, up = NONE, NONE
    if a.is_open:
        down, up = _hull(x, [top(end, -np.inf) for end in a.ends])
    return Bounded(x, top(a.e, 0.0), down, up)


def _bits(decided: Any, open_: Any) -> Bounded:
    """A truth value, with where it is undecided as what is open of the number 0 or 1."""
    if open_ is None or not np.any(open_):
        return Bounded(decided)
    number = np.asarray(decided).astype(float)
    return Bounded(decided, NONE, np.where(open_, number, 0.0), np.where(open_, 1 - number, 0.0))


def _others(upper: Array, axes: Sequence[int]) -> Array:
    """For each entry the largest of the others along the axes."""
    order = [axis for axis in range(upper.ndim) if axis not in axes]
    turned = upper.transpose([*order, *axes])
    flat = turned.reshape(*turned.shape[: len(order)], -1)
    first = flat.argmax(-1)[..., None]
    best = np.take_along_axis(flat, first, -1)
    rest = np.array(flat)
    np.put_along_axis(rest, first, -np.inf, -1)
    second = rest.max(-1, keepdims=True)
    others = np.where(np.arange(flat.shape[-1]) == first, second, best)
    return others.reshape(turned.shape).transpose(np.argsort([*order, *axes]))


def _is_extreme(a: Bounded, m: Bounded, extreme: "Extreme") -> Bounded | None:
    """a == max(a, ...): decided where a lies apart from all others by more than the errors; None for another a."""
    decided = np.equal(a.x, m.x)
    lowest, highest = a.x - a.down - a.e, a.x + a.up + a.e
    of, other, sign = extreme.of, extreme.other, extreme.sign
    if isinstance(other, Bounded):  # of two
        if a is not of and a is not other:
            return None
        b = other if a is of else of
        return _bits(decided, ~((lowest > b.x + b.up + b.e) | (highest < b.x - b.down - b.e)))
    if a is not of:
        return None
    if sign < 0:
        lowest, highest = -highest, -lowest
    lowest, highest = np.broadcast_to(lowest, a.x.shape), np.broadcast_to(highest, a.x.shape)
    above = lowest > _others(highest, other)
    below = highest < lowest.max(axis=other, keepdims=True)
    found = _bits(decided, ~(above | below))
    found.some = (other, 1.0)  # one of them is
    return found


def _compared(name: str) -> Rule:
    compare = floats.COMPARISONS[name]

    def rule(_: Any, a: Bounded, b: Bounded) -> Bounded:
        decided = compare(a.x, b.x)
        if a is b or not (a.varies or b.varies) or np.asarray(a.x).dtype.kind in "iub":
            return _bits(decided, None)
        if name in {"eq", "ne"}:
            for one, m in ((a, b), (b, a)):
                found = _is_extreme(one, m, m.extreme) if m.extreme is not None else None
                if found is not None:
                    return found if name == "eq" else _not(_, found)
        near = a.e + b.e + np.maximum(a.up + b.down, a.down + b.up)
        with np.errstate(invalid="ignore"):
            open_ = np.abs(a.x - b.x) <= near
        return _bits(decided, open_)

    return rule


def _not(_: Any, a: Bounded) -> Bounded:
    return Bounded(np.invert(a.x), NONE, a.up, a.down)


def _joined(function: Callable[[Any, Any], Any]) -> Rule:
    """and, or, xor of truth values: undecided where an undecided one decides."""

    def rule(_: Any, a: Bounded, b: Bounded) -> Bounded:
        x = function(a.x, b.x)
        if not (a.is_open or b.is_open) or x.dtype.kind != "b":
            return Bounded(x)
        ends = [function(p, q) for p in _outcomes(a) for q in _outcomes(b)]
        open_ = np.logical_or.reduce([end != x for end in ends])
        return _bits(x, open_)

    return rule


def _outcomes(a: Bounded) -> list[Any]:
    """What an undecided truth value may be."""
    return [a.x, np.where((a.down + a.up) > 0, ~a.x, a.x)] if a.is_open else [a.x]


def _select_n(_: Any, which: Bounded, *cases: Bounded) -> Bounded:
    parts = [[np.broadcast_to(getattr(one, p), one.x.shape) for one in cases] for p in ("e", "down", "up")]
    chosen = floats.select_n(which.x, *(one.x for one in cases))
    e, down, up = (
        NONE if all(none(getattr(one, p)) for one in cases) else floats.select_n(which.x, *part)
        for p, part in zip(("e", "down", "up"), parts, strict=True)
    )
    lows = [
        one.low if one.low is not None else one.x if not one.varies and none(one.e) else None for one in cases
    ]
    low = None
    if all(one is not None for one in lows):
        low = floats.select_n(which.x, *(np.broadcast_to(one, chosen.shape) for one in lows))
        if which.is_open:
            low = np.minimum.reduce([np.broadcast_to(one, chosen.shape) for one in lows])
    extremes = (one.extreme for one in cases if one.extreme is not None and np.array_equal(one.x, chosen))
    found = Bounded(chosen, e, down, up, low=low, extreme=next(extremes, None))
    if which.is_open:
        open_ = (which.down + which.up) > 0
        ends = [end for one in cases for end in one.ends]
        hull = _hull(chosen, ends)
        found.down, found.up = (np.where(open_, p, q) for p, q in zip(hull, (down, up), strict=True))
        found.e = np.where(open_, np.maximum.reduce(parts[0]), e)
    return found


def _clamp(self: "Bounding", low: Bounded, x: Bounded, high: Bounded) -> Bounded:
    return RULES["min"](self, RULES["max"](self, x, low), high)


def _converted(_: Any, a: Bounded, *, new_dtype: Any) -> Bounded:
    kind = np.dtype(new_dtype).kind
    if kind == "f":
        x = np.asarray(a.x).astype(float)
        low = 0.0 if np.asarray(a.x).dtype.kind in "bu" else a.low
        return Bounded(x, a.e, a.down, a.up, low=low, some=a.some, extreme=a.extreme)
    return Bounded(np.asarray(a.x).astype(new_dtype), a.e if kind == "f" else NONE, a.down, a.up, some=a.some)


# --- orders and indices ---------------------------------------------------------------------------------------


def _sort(_: Any, *values: Bounded, dimension: int, num_keys: int, is_stable: bool = True) -> list[Bounded]:
    """Sorted keys err by the largest error; what goes with them is undecided where neighbours may change places."""
    del is_stable
    arrays = floats.sort(*(value.x for value in values), dimension=dimension, num_keys=num_keys)
    key, sorted_key = values[0], arrays[0]
    worst = np.broadcast_to(key.e, key.x.shape).max(axis=dimension, keepdims=True)
    found = [Bounded(sorted_key, np.broadcast_to(worst, sorted_key.shape))]
    gaps = np.diff(sorted_key, axis=dimension)
    near = gaps <= 2 * worst if key.varies else np.zeros(gaps.shape, bool)
    pads = [(0, 0)] * sorted_key.ndim
    before, after = list(pads), list(pads)
    before[dimension], after[dimension] = (1, 0), (0, 1)
    open_ = np.pad(near, before) | np.pad(near, after)
    for value, array in zip(values[1:], arrays[1:], strict=True):
        if open_.any():
            low = np.broadcast_to(value.x, array.shape).min(axis=dimension, keepdims=True)
            high = np.broadcast_to(value.x, array.shape).max(axis=dimension, keepdims=True)
            found.append(
                Bounded(array, NONE, np.where(open_, array - low, 0.0), np.where(open_, high - array, 0.0))
            )
        else:
            order = np.argsort(key.x, dimension, kind="stable")
            errors = NONE if none(value.e) else np.take_along_axis(value.e, order, dimension)
            found.append(Bounded(array, errors))
    return found


def _position(name: str) -> Rule:
    """argmax: undecided where another may be as large."""
    function = floats.RULES[name]

    def rule(self: "Bounding", a: Bounded, *, axes: Sequence[int], index_dtype: Any) -> Bounded:
        x = function(self, a.x, axes=axes, index_dtype=index_dtype)
        if not a.varies:
            return Bounded(x)
        sign = 1 if name == "argmax" else -1
        upper = np.broadcast_to(sign * a.x + a.e, a.x.shape)
        lower = np.broadcast_to(sign * a.x - a.e, a.x.shape)
        sure = (lower > _others(upper, tuple(axes))).any(axis=axes[0])
        if sure.all():
            return Bounded(x)
        last = a.x.shape[axes[0]] - 1
        return Bounded(x, NONE, np.where(sure, 0.0, x), np.where(sure, 0.0, last - x))

    return rule


def _spread(a: Bounded) -> tuple[Any, Any]:
    """The smallest and the largest number of an array, opened as they are."""
    lowest, highest = a.ends
    return np.min(lowest, initial=0), np.max(highest, initial=0)


def _gather(
    _: Any,
    a: Bounded,
    indices: Bounded,
    *,
    dimension_numbers: Any,
    slice_sizes: Any,
    mode: Any,
    fill_value: Any = None,
) -> Bounded:
    where = moves.gather_places(
        a.x.shape, indices.x, dimension_numbers=dimension_numbers, slice_sizes=slice_sizes, mode=mode
    )
    fill = np.nan if fill_value is None and a.x.dtype.kind == "f" else fill_value or 0

    def part(p: Any) -> Any:
        return p if none(p) else moves.taken(np.broadcast_to(p, a.x.shape), where, 0.0)

    found = Bounded(moves.taken(a.x, where, fill), part(a.e), part(a.down), part(a.up))
    if indices.is_open:
        lowest, highest = _spread(a)
        found.down, found.up = np.maximum(found.x - lowest, 0), np.maximum(highest - found.x, 0)
    return found


def _scatter_add(
    self: "Bounding", a: Bounded, indices: Bounded, updates: Bounded, *, dimension_numbers: Any, mode: Any
) -> Bounded:
    where = moves.scatter_places(
        a.x.shape, indices.x, updates.x.shape, dimension_numbers=dimension_numbers, mode=mode
    )
    x = moves.added(a.x, where, updates.x)
    if x.dtype.kind in "iu":
        return Bounded(x)
    counts = moves.added(np.zeros(a.x.shape), where, np.ones(updates.x.shape))
    size = moves.added(
        np.array(np.broadcast_to(a.size + a.e, a.x.shape)),
        where,
        np.broadcast_to(updates.size + updates.e, updates.x.shape),
    )
    passed = moves.added(
        np.array(np.broadcast_to(a.e, a.x.shape), float), where, np.broadcast_to(updates.e, updates.x.shape)
    )
    most = float(counts.max(initial=0))
    down, up = NONE, NONE
    if a.is_open or updates.is_open or indices.is_open:
        down, up = (
            moves.added(
                np.array(np.broadcast_to(p, a.x.shape), float), where, np.broadcast_to(q, updates.x.shape)
            )
            for p, q in ((a.down, updates.down), (a.up, updates.up))
        )
        if indices.is_open:  # any of the updates may go anywhere
            everything = np.abs(updates.x).sum()
            down, up = down + everything, up + everything
    return Bounded(x, passed + self.gamma_of_sums(most) * size + self.last(np.abs(x)), down, up)


def _scatter(_: Any, a: Bounded, indices: Bounded, updates: Bounded, **parameters: Any) -> Bounded:
    return _parts([a, updates], lambda x, u: floats.scatter(x, indices.x, u, **parameters))


def _select_and_scatter_add(
    self: "Bounding",
    source: Bounded,
    operand: Bounded,
    *,
    select_prim: Any,
    window_dimensions: Any,
    window_strides: Any,
    padding: Any,
) -> Bounded:
    """Each source to the largest of its window; where several may be it, each of these may get it or not."""
    how = floats.window_parameters(
        operand.x, window_dimensions=window_dimensions, window_strides=window_strides, padding=padding
    )
    shape, size = source.x.shape, operand.x.size
    sign = 1 if select_prim.name == "ge" else -1
    where = moves.window_places(operand.x.shape, **how).reshape(
        -1, int(np.prod(window_dimensions))
    )  # (windows, k)
    numbers = np.where(where >= 0, sign * operand.x.reshape(-1)[where], -np.inf)
    errors = np.broadcast_to(operand.e + np.maximum(operand.down, operand.up), operand.x.shape).reshape(-1)[
        where
    ]
    errors = np.where(where >= 0, errors, 0.0)
    best = numbers.argmax(-1)
    winner = where[np.arange(len(where)), best]
    flat = source.x.reshape(-1)

    def added(values: Any, at: Array) -> Array:
        total = np.zeros(size)
        np.add.at(total, at, np.broadcast_to(values, shape).reshape(-1))
        return total.reshape(operand.x.shape)

    x = added(source.x, winner)
    counts = np.zeros(size)
    np.add.at(counts, where[where >= 0], 1)
    gamma = self.gamma_of_sums(float(counts.max(initial=1)))
    e = added(source.e, winner) + gamma * added(source.size + source.e, winner)
    down, up = added(source.down, winner), added(source.up, winner)
    possible = numbers + errors >= (numbers - errors).max(-1, keepdims=True)
    tied = possible.sum(-1) > 1
    if operand.varies and tied.any():
        gives = np.zeros(where.shape, bool)
        gives[np.arange(len(where)), best] = True
        extra_down, extra_up = np.zeros(size), np.zeros(size)
        for k in range(where.shape[1]):
            rows = tied & possible[:, k] & (where[:, k] >= 0)
            share = np.where(
                gives[rows, k], -flat[rows], flat[rows]
            )  # the winner may lose it, others may get it
            np.add.at(extra_up, where[rows, k], np.maximum(share, 0))
            np.add.at(extra_down, where[rows, k], np.maximum(-share, 0))
        down, up = down + extra_down.reshape(x.shape), up + extra_up.reshape(x.shape)
        e = e + (added(source.e, winner) if not none(source.e) else 0.0)
    if not (np.any(down) or np.any(up)):
        down, up = NONE, NONE
    return Bounded(x, e, down, up)


def _scan(self: "Bounding", *values: Bounded, **parameters: Any) -> list[Bounded]:
    def at(value: Bounded, i: int) -> Bounded:
        found = _moved(lambda x: x[i])(self, value)
        found.low = None
        found.varies = value.varies
        return found

    def stack(column: list[Bounded], shape: Sequence[int]) -> Bounded:
        return _parts(column, lambda *arrays: np.stack(arrays)) if column else Bounded(np.empty(shape))

    return scan(self, *values, **parameters, at=at, stack=stack)


def _exactly(name: str) -> Rule:
    """Primitives of integers and truth values, and of positions: nothing is rounded."""
    rule = floats.RULES[name]

    def read(self: "Bounding", *values: Bounded, **parameters: Any) -> Bounded:
        return Bounded(rule(self, *(value.x for value in values), **parameters))

    return read


RULES: Mapping[str, Rule] = {
    **{
        name: _moved(move, keeps=name in {"reshape", "broadcast_in_dim", "squeeze", "expand_dims"})
        for name, move in floats.MOVES.items()
    },
    **{name: _compared(name) for name in floats.COMPARISONS},
    **{name: _smooth(name) for name in SMOOTH},
    **{
        name: _exactly(name)
        for name in ("iota", "dim_as_value", "is_finite", "reduce_and", "reduce_or", "rem")
    },
    **{name: _position(name) for name in ("argmax", "argmin")},
    "pad": _pad,
    "concatenate": _concatenate,
    "stack": _stack,
    "unstack": _moved(lambda x, *, axis: list(np.moveaxis(x, axis, 0))),
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "add": _add,
    "add_any": _add,
    "sub": _sub,
    "neg": _neg,
    "mul": _mul,
    "div": _div,
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
    "reduce_sum": _reduce_sum,
    "reduce_window_sum": _window_sum,
    "cumsum": _cumsum,
    "cumprod": _multiplied("cumprod"),
    "reduce_prod": _multiplied("reduce_prod"),
    "exp": _exp,
    "expm1": _expm1,
    "log": _log_of("log", 0.0),
    "log1p": _log_of("log1p", 1.0),
    "sqrt": _sqrt,
    "rsqrt": _rsqrt,
    "square": _square,
    "integer_pow": _integer_pow,
    "pow": _pow,
    "abs": _abs,
    "sign": _sign,
    "floor": _stepped("floor"),
    "ceil": _stepped("ceil"),
    "max": _of_two(1),
    "min": _of_two(-1),
    "reduce_max": _of_many(1),
    "reduce_min": _of_many(-1),
    "reduce_window_max": _window_max,
    "and": _joined(np.logical_and),
    "or": _joined(np.logical_or),
    "xor": _joined(np.logical_xor),
    "not": _not,
    "select_n": _select_n,
    "clamp": _clamp,
    "convert_element_type": _converted,
    "sort": _sort,
    "gather": _gather,
    "scatter-add": _scatter_add,
    "scatter_add": _scatter_add,
    "scatter": _scatter,
    "select_and_scatter_add": _select_and_scatter_add,
    "scan": _scan,
}


class Bounding(Arithmetic):
    """Numbers with their bounds, for programs in one format, beside a truth in float64."""

    name = "bounded"
    rules = RULES

    def __init__(self, name: str = "float64") -> None:
        """The format of the subject; the truth is rounded as well, in float64, and u covers both."""
        own = FORMATS[name]
        double = FORMATS["float64"].unit
        self.format = Format(name, own.unit + double, own.sums + double, own.tiny, own.largest)
        self.is_wider_inside = own.sums < own.unit

    @property
    def key(self) -> Any:
        """The format."""
        return self.name, self.format.name

    def gamma(self, operations: float) -> float:
        """γ_m for m operations and `FREEDOM` more."""
        product = (operations + FREEDOM) * self.format.unit
        return product / (1 - product) if product < 1 else np.inf

    def gamma_of_sums(self, terms: float) -> float:
        """γ_m of a sum: in the format of sums, and what comes in rounded by at most `FREEDOM` of the results' u."""
        if not self.is_wider_inside:
            return self.gamma(terms)
        product = terms * self.format.sums
        return product / (1 - product) + self.gamma(0)

    def last(self, size: Any) -> Any:
        """The rounding of a sum that was kept in a wider format."""
        return self.format.unit * size if self.is_wider_inside else 0.0

    def function(
        self, f: Callable[[Any], Any], a: Bounded, h: Any, e: Any, *, low: Any = None, grows: bool = True
    ) -> Bounded:
        """f(a) = h with the error e that comes in, and the function's own; open as its ends are."""
        own = FORMULA * self.format.unit * np.maximum(1, np.abs(h) + e)
        down, up = NONE, NONE
        if a.is_open:
            ends = [f(end) for end in a.ends]
            if not grows:
                ends += [h - 2, h + 2]
            down, up = _hull(h, ends)
        return Bounded(h, e + own, down, up, low=low)

    def constant(self, array: Array) -> Bounded:
        """A constant: it is what it is."""
        x = np.asarray(array)
        if x.dtype.kind == "f":
            x = x.astype(np.float64)
            return Bounded(x, low=x)
        return Bounded(x)

    def input(self, array: Array, *, varies: bool = True, low: Any = None) -> Bounded:
        """An input, exact; `varies` where its gradient is asked for."""
        x = np.asarray(array)
        return Bounded(x.astype(np.float64) if x.dtype.kind == "f" else x, varies=varies, low=low)

    def step(self, step: Any, found: list[Any]) -> None:
        """Read one equation, and note whether the result varies."""
        super().step(step, found)
        varies = any(found[slot].varies for slot in step.inputs)
        for slot in step.outputs:
            found[slot].varies = varies
