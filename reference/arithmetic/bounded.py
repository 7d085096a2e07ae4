"""A program read in numbers that carry a bound: what rounding, and an undecided comparison, may have done to them.

**Rounding** (running error analysis: N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., SIAM
2002, section 3.3). Beside each x goes an e, such that every sensible program's x̂ has |x̂ - x| ≤ e. With the unit
roundoff u and γ_m = (m + `FREEDOM`) u / (1 - (m + `FREEDOM`) u):

- a sum of m products in any order errs by γ_m Σ|a||b| (Higham, eq. 3.5), and errors that come in pass on as
  Σ|a| e_b + e_a (|b| + e_b); a product or a sum of two numbers is m = 1; `FREEDOM` = 8 roundings are granted to
  every sum, since factors may stand at any place and in any order, and constants are rounded;
- f of a number that lies in [z - e, z + e] lies between the ends' values where f is monotone; then comes the function's
  own error, `FORMULA` u = 16 u relative to max(1, |f|): a library's function errs by at most 4 units in the last place,
  8 u, and a sensible formula makes at most four further operations on numbers of size 1. It is absolute below 1, for
  exp as for tanh and σ, since 1 - h², log(1 + e^z) - z and the like cancel the leading digits of numbers near 1.

**Undecided comparisons.** Where two numbers lie within each other's errors, or are equal and vary, nobody can say how
their comparison comes out, and any slope between is right: the result lies in the hull of both branches,
[x - down, x + up], apart from its e: x̂ is within e of some number of the hull. So "within rounding" and "open at a
kink" stay apart. Comparisons are not local: x against max(x) compares x with itself. So a maximum remembers of what
it is one.

**What is known from structure.** `low` is a number that x and every x̂ are at least: squares and exponentials are
not negative, v + ε is at least ε; of x - max(x) one is 0 and none above, so Σ exp(x - max x) is at least 1 (`some`),
and none of its terms is above 1 (`high`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from reference.arithmetic import floats, moves
from reference.arithmetic.reading import Arithmetic, Rule, scan

Array = np.ndarray[Any, Any]

FORMULA = 16
FREEDOM = 8


@dataclass(frozen=True)
class Format:
    """A floating-point format: unit roundoffs of a result and of sums inside, smallest and largest normal number."""

    name: str
    unit: float
    sums: float
    tiny: float
    largest: float


def _format(name: str, bits: int, tiny: int, largest: float, sums: float | None = None) -> Format:
    unit = 2.0**-bits
    return Format(name, unit, sums or unit, 2.0**tiny, largest)


FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        _format("float64", 53, -1022, float(np.finfo(np.float64).max)),
        _format("float32", 24, -126, float(np.finfo(np.float32).max)),
        _format("float16", 11, -14, 65504.0),
        _format("bfloat16", 8, -126, 3.3895e38),
        _format("float16 with float32 sums", 11, -14, 65504.0, 2.0**-24),
        _format("bfloat16 with float32 sums", 8, -126, 3.3895e38, 2.0**-24),
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
        e: x̂ lies within e of some number in [x - down, x + up].
        down, up: how far an undecided comparison may carry it.
        low, high: x and x̂ are at least and at most that; None where nothing is known.
        some: (axes, v): along these axes some entry is at least v.
        extreme: of what it is the maximum or the minimum.
        varies: whether it depends on an input that is differentiated.
    """

    __slots__ = ("down", "e", "extreme", "high", "low", "some", "up", "varies", "x")

    def __init__(
        self,
        x: Any,
        e: Any = NONE,
        down: Any = NONE,
        up: Any = NONE,
        *,
        low: Any = None,
        high: Any = None,
        some: "tuple[tuple[int, ...], float] | None" = None,
        extreme: "Extreme | None" = None,
        varies: bool = False,
    ) -> None:
        """As the attributes."""
        self.x, self.e, self.down, self.up = x, e, down, up
        self.low, self.high, self.some, self.extreme, self.varies = low, high, some, extreme, varies

    @property
    def is_open(self) -> bool:
        """Whether an undecided comparison may have done anything."""
        return type(self.up) is not float or type(self.down) is not float  # `none`, without the calls

    @property
    def is_real(self) -> bool:
        """Whether it is a float, which is rounded; integers and truth values are not."""
        return self.x.dtype.kind == "f"

    @property
    def size(self) -> Any:
        """The largest |x| that an open comparison admits."""
        if type(self.up) is float and type(self.down) is float:  # asked most: `is_open`, without the call
            return np.abs(self.x)
        return np.maximum(*map(np.abs, self.ends))

    @property
    def ends(self) -> tuple[Any, Any]:
        """The hull of what an open comparison admits."""
        return self.x - self.down, self.x + self.up

    @property
    def least(self) -> Any:
        """What every x̂ is at least."""
        least = self.x - self.down - self.e
        return least if self.low is None else np.maximum(least, self.low)

    @property
    def most(self) -> Any:
        """What every x̂ is at most."""
        most = self.x + self.up + self.e
        return most if self.high is None else np.minimum(most, self.high)

    @property
    def enclosed(self) -> "Enclosed":
        """Three arrays: the middle of what is open, the error, and how far it is open."""
        error = self._whole(np.where(np.isnan(self.e), np.inf, self.e))
        if not self.is_open:
            return Enclosed(self.x + 0.0, error, np.zeros(self.x.shape))  # of -0.0, 0.0
        return Enclosed(self.x + (self.up - self.down) / 2, error, self._whole((self.up + self.down) / 2))

    def _whole(self, part: Any) -> Array:
        """A part in the shape of the number."""
        return part if np.shape(part) == self.x.shape else np.broadcast_to(part, self.x.shape)

    @property
    def is_exact(self) -> bool:
        """Whether every program has just this number."""
        return none(self.e) and not self.is_open


class Enclosed(NamedTuple):
    """An array that is known: what is right, how far rounding may carry it, and an undecided comparison."""

    value: Array
    error: Array
    open: Array


class Extreme(NamedTuple):
    """The maximum (sign 1) or minimum (-1) of a number and another, or of its entries along axes."""

    of: Bounded
    other: "Bounded | tuple[int, ...]"
    sign: int


def _hull(x: Any, ends: Sequence[Any]) -> tuple[Any, Any]:
    """How far below and above x the given ends lie; `NONE` where none is away from it."""
    lowest, highest = ends[0], ends[0]
    for end in ends[1:]:
        lowest, highest = np.minimum(lowest, end), np.maximum(highest, end)
    down, up = np.maximum(x - lowest, 0.0), np.maximum(highest - x, 0.0)
    return (down, up) if np.any(down) or np.any(up) else (NONE, NONE)  # NaN counts as away


def _part(values: Sequence[Bounded], name: str, function: Callable[..., Any]) -> Any:
    """A function of one part of several numbers, which is 0 where all of these are."""
    parts = [getattr(value, name) for value in values]
    for part in parts:
        if type(part) is not float:  # `none`, without the call: this is asked some 200 times a case
            break
    else:
        return NONE
    return function(
        *(
            p if np.shape(p) == v.x.shape else np.broadcast_to(p, v.x.shape)
            for p, v in zip(parts, values, strict=True)
        )
    )


def _low(values: Sequence[Bounded], function: Callable[..., Any]) -> Any:
    """A function that rises in each number, of what they are at least; None where one is unknown."""
    lows = [value.low for value in values]
    if any(low is None for low in lows):
        return None
    return function(
        *(
            np.asarray(low) if np.shape(low) == value.x.shape else np.broadcast_to(low, value.x.shape)
            for low, value in zip(lows, values, strict=True)
        )
    )


def hull(readings: Sequence[Bounded]) -> Bounded:
    """One number out of those of several programs: the first one's x, and all that any of them admits."""
    first = readings[0]
    e, down, up = (
        _part(readings, name, lambda *parts: np.maximum.reduce(parts)) for name in ("e", "down", "up")
    )
    for one in readings[1:]:
        away = np.abs(one.x - first.x)
        e = np.where(np.isnan(away), np.inf, np.maximum(e, one.e + away))
    low = _low(readings, lambda *lows: np.minimum.reduce(lows))
    return Bounded(first.x, e, down, up, low=low, varies=any(one.varies for one in readings))


# --- moves: each part alike -----------------------------------------------------------------------------------


def _moved(values: Sequence[Bounded], function: Callable[..., Any]) -> Any:
    """A move of one number, or of several at once, such as a concatenation."""
    x = function(*(value.x for value in values))
    e, down, up = (_part(values, name, function) for name in ("e", "down", "up"))
    low, varies = _low(values, function), any(value.varies for value in values)
    if not isinstance(x, list):
        return Bounded(x, e, down, up, low=low, varies=varies)
    parts = ([p] * len(x) if p is None or none(p) else p for p in (e, down, up, low))
    return [Bounded(one, *rest, low=at, varies=varies) for one, *rest, at in zip(x, *parts, strict=True)]


def _move(function: Callable[..., Any], *, keeps: bool = False) -> Rule:
    """The rule of a move; with `keeps`, a maximum stays one of the same number."""

    def rule(_: "Bounding", *values: Bounded, **parameters: Any) -> Any:
        found = _moved(values, partial(function, **parameters))
        if keeps:
            found.extreme = values[0].extreme
        return found

    return rule


def _at_index(function: Callable[..., Any], arrays: int) -> Rule:
    """The rule of a move of some arrays to or from the indices that follow; one that is undecided leaves all open."""

    def rule(_: "Bounding", *values: Bounded, **parameters: Any) -> Bounded:
        indices = values[arrays:]

        def moved(*parts: Any) -> Any:
            return function(*parts, *(index.x for index in indices), **parameters)

        found = _moved(values[:arrays], moved)
        if any(index.is_open for index in indices):
            found.e, found.low = np.full(found.x.shape, np.inf), None
        return found

    return rule


def _scan(self: "Bounding", *values: Bounded, **parameters: Any) -> list[Bounded]:
    def at(value: Bounded, i: int) -> Bounded:
        return _moved([value], lambda x: x[i])

    def stack(column: list[Bounded], shape: Sequence[int]) -> Bounded:
        return _moved(column, lambda *arrays: np.stack(arrays)) if column else Bounded(np.empty(shape))

    return scan(self, *values, **parameters, at=at, stack=stack)


# --- sums -----------------------------------------------------------------------------------------------------


def _summed(self: "Bounding", values: Sequence[Bounded], add: Callable[..., Any], terms: float) -> Bounded:
    """Sums of up to so many of the entries; `add` is linear, and does not subtract."""
    x = add(*(value.x for value in values))
    e, down, up = (_part(values, name, add) for name in ("e", "down", "up"))
    if x.dtype.kind != "f":
        return Bounded(x, e, down, up)
    sizes = (value.size if type(value.e) is float else value.size + value.e for value in values)
    e = e + self.gamma_of_sums(terms) * add(*sizes)
    if not np.isfinite(x).all() and np.isinf(x).any():  # -inf stands for "left out", and stays that
        e = np.where(np.isinf(x), 0.0, e)
    return Bounded(x, e, down, up, low=_low(values, add))


def _add(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
    return _summed(self, (a, b), np.add, 1)


def _neg(_: "Bounding", a: Bounded) -> Bounded:
    low, high = (None if end is None else -end for end in (a.high, a.low))
    return Bounded(-a.x, a.e, a.up, a.down, low=low, high=high)


def _is_along(found: Any, axes: tuple[int, ...]) -> bool:
    """Whether along these axes some entry is so: that an extreme has been repeated along the axes of what it is of."""
    return bool(found.any(axis=axes).all())


def _sub(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
    found = _add(self, a, _neg(self, b))
    match b.extreme:
        case Extreme(of=of, other=tuple(axes), sign=1) if of is a and _is_along(found.x == 0, axes):
            found.some, found.high = (axes, 0.0), 0.0  # x - max(x): in every program one is 0, and none above
        case _:
            pass
    return found


def _reduce_sum(self: "Bounding", a: Bounded, *, axes: Sequence[int]) -> Bounded:
    axes = tuple(axes)
    found = _summed(self, [a], lambda x: np.sum(x, axis=axes), _product_of(a.x.shape, axes))
    if a.some is not None and set(a.some[0]) <= set(axes) and a.low is not None and np.all(a.low >= 0):
        found.low = np.maximum(found.low, a.some[1])
    return found


def _product_of(shape: Sequence[int], axes: Sequence[int]) -> int:
    return int(np.prod([shape[axis] for axis in axes]))


def _window_sum(self: "Bounding", a: Bounded, **parameters: Any) -> Bounded:
    how = floats.window_parameters(a.x, **parameters)
    windows = _moved([a], lambda x: moves.windows(x, 0, **how))
    windows.low = None
    return _reduce_sum(self, windows, axes=range(a.x.ndim, 2 * a.x.ndim))


def _cumsum(self: "Bounding", a: Bounded, *, axis: int, reverse: bool) -> Bounded:
    """Prefix sums; of their error, what a difference of total and prefix may have: that of the whole sum."""
    run = partial(floats.RULES["cumsum"], self, axis=axis, reverse=reverse)
    found = _moved([a], run)
    whole = np.expand_dims(_reduce_sum(self, a, axes=(axis,)).e, axis)
    found.e = np.broadcast_to(whole, found.x.shape)
    return found


def _scatter_add(
    self: "Bounding", a: Bounded, indices: Bounded, updates: Bounded, *, dimension_numbers: Any, mode: Any
) -> Bounded:
    where = moves.scatter_places(
        a.x.shape, indices.x, updates.x.shape, dimension_numbers=dimension_numbers, mode=mode
    )
    most = moves.added(np.zeros(a.x.shape), where, np.ones(updates.x.shape)).max(initial=0)
    found = _summed(self, (a, updates), lambda x, u: moves.added(x, where, u), float(most))
    if indices.is_open:  # any of the updates may come here, or go away
        anywhere = np.sum(updates.size + updates.e)
        found.down, found.up = found.down + anywhere + 0 * found.x, found.up + anywhere + 0 * found.x
    return found


# --- products -------------------------------------------------------------------------------------------------


def _multiplied(
    self: "Bounding", a: Bounded, b: Bounded, times: Callable[[Any, Any], Any], terms: int
) -> Bounded:
    """Sums of so many products: of numbers, or of matrices."""
    size_a, size_b = a.size, b.size
    e = times(a.e + self.gamma_of_sums(terms) * (size_a + a.e), size_b + b.e)
    if not none(b.e):
        e = e + times(size_a, b.e)
    x = times(a.x, b.x)
    return Bounded(x, e + terms * self.format.tiny)


def _mul(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
    if not (a.is_real or b.is_real):
        found = Bounded(a.x * b.x)
    else:
        found = _multiplied(self, a, b, np.multiply, 1)
        if a is b:
            found.low = 0.0
        elif a.low is not None and b.low is not None and np.all(a.low >= 0) and np.all(b.low >= 0):
            found.low = self.lowered(a.low * b.low)
    if a.is_open or b.is_open:
        found.down, found.up = _hull(found.x, [p * q for p in a.ends for q in b.ends])
        if a is b:  # both are the same number, of one sign
            found.down = np.minimum(found.down, found.x)
    return found


def _matrices(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
    """A product of two stacks of matrices."""
    found = _multiplied(self, a, b, np.matmul, a.x.shape[-1])
    if a.is_open and b.is_open:  # by radii about x
        radius_a, radius_b = np.maximum(a.down, a.up), np.maximum(b.down, b.up)
        radius = np.matmul(radius_a, np.abs(b.x) + radius_b) + np.matmul(np.abs(a.x), radius_b)
        found.down, found.up = radius, radius
    elif a.is_open:
        found.down, found.up = _ends_by_sign(a, b.x, np.matmul)
    elif b.is_open:
        found.down, found.up = _ends_by_sign(b, a.x, lambda end, matrix: np.matmul(matrix, end))
    return found


def _ends_by_sign(a: Bounded, matrix: Array, times: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    """What is open of a times a matrix that is not: where that is negative, the ends change places."""
    down, up = (np.broadcast_to(end, a.x.shape) for end in (a.down, a.up))
    positive, negative = np.maximum(matrix, 0), np.maximum(-matrix, 0)
    return times(down, positive) + times(up, negative), times(up, positive) + times(down, negative)


def _turned(a: Bounded) -> Bounded:
    """A matrix transposed."""
    e, down, up = (part if type(part) is float else part.T for part in (a.e, a.down, a.up))
    return Bounded(a.x.T, e, down, up)


def _dot_general(self: "Bounding", a: Bounded, b: Bounded, *, dimension_numbers: Any) -> Bounded:
    (left_contracted, right_contracted), (left_batch, right_batch) = dimension_numbers
    if a.x.ndim == b.x.ndim == 2 and not left_batch and len(left_contracted) == 1:  # noqa: PLR2004  (two matrices)
        return _matrices(
            self, _turned(a) if left_contracted[0] == 0 else a, _turned(b) if right_contracted[0] == 1 else b
        )
    shape = floats.dot_shape(a.x, b.x, dimension_numbers)
    left = _moved([a], lambda x: floats.matrices(x, left_batch, left_contracted, rows=True)[0])
    right = _moved([b], lambda x: floats.matrices(x, right_batch, right_contracted, rows=False)[0])
    return _moved([_matrices(self, left, right)], lambda x: x.reshape(shape))


def _convolution(self: "Bounding", a: Bounded, b: Bounded, **parameters: Any) -> Bounded:
    how = floats.Convolution(a.x.shape, b.x.shape, **parameters)
    return _moved([_matrices(self, _moved([a], how.patches), _moved([b], how.kernels))], how.result)


def _of_factors(name: str) -> Rule:
    """Products of many numbers: |Π x̂ - Π x| ≤ Π(|x| + e) - Π|x|, likewise what is open, and one rounding a factor."""

    def rule(self: "Bounding", a: Bounded, **parameters: Any) -> Bounded:
        run = partial(floats.RULES[name], self, **parameters)
        x, size = run(a.x), run(a.size)
        largest = run(a.size + a.e)
        # The difference of two products is itself rounded, by less than γ in float64, which u contains.
        gamma = self.gamma(_product_of(a.x.shape, parameters.get("axes") or (parameters["axis"],)))
        found = Bounded(x, largest - size + gamma * largest + self.format.tiny)
        if a.is_open:
            width = np.abs(a.x) + np.maximum(a.down, a.up)
            found.down = found.up = run(width) - np.abs(x) + gamma * run(width)
        return found

    return rule


def _div(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
    x = floats.divided(a.x, b.x)
    if x.dtype.kind in "iu":
        return Bounded(x)
    found, size = Bounded(x), np.abs(x)
    if b.is_exact and not a.is_open:
        e = a.e if none(a.e) else a.e / np.abs(b.x)
    else:
        nearest = np.maximum(b.least, -b.most)  # of |b̂|, where b has one sign for sure; else 0 or less
        sure = nearest > 0
        if a.is_open or b.is_open:
            (p, q), (r, s) = a.ends, b.ends
            r = r if b.low is None else np.maximum(r, b.low)
            down, up = _hull(x, (p / r, p / s, q / r, q / s))
            found.down, found.up = np.where(sure, down, np.inf), np.where(sure, up, np.inf)
            size = found.size
        e = np.where(sure, (a.e + size * b.e) / np.where(sure, nearest, 1), np.inf)
    found.e = e + self.gamma(1) * (size + e) + self.format.tiny
    if a.low is not None and b.low is not None and np.all(a.low >= 0) and np.all(b.low >= 0):
        found.low = 0.0
    return found


ONE = Bounded(np.float64(1.0), low=1.0)


# --- functions of one number ----------------------------------------------------------------------------------


def _monotone(
    function: Callable[[Any], Any], *, low: float | None = None, relative: bool = False, rises: bool = True
) -> Rule:
    """A function that rises, or falls: between its values at the ends.

    Its own rounding is `FORMULA` u relative to max(1, |f|), or that of a product where it is `relative`. The
    difference of two values in float64 is itself rounded, by less than either, in u's part for float64.
    """

    def rule(self: "Bounding", a: Bounded) -> Bounded:
        x = function(a.x)
        found = Bounded(x, low=low)
        ends = (x, x)
        if a.is_open:
            ends = tuple(map(function, a.ends))
            found.down, found.up = _hull(x, ends)
        e: Any = NONE
        if not none(a.e):
            e = np.maximum(
                *(np.abs(function(far) - end) for far, end in zip((a.least, a.most), ends, strict=True))
            )
        found.e = e + self.own(found.size + e, relative=relative)
        if rises and a.low is not None:
            least = function(np.asarray(a.low, float))
            least = least - self.own(np.abs(least), relative=relative)
            found.low = least if low is None else np.maximum(least, low)
        if some := (rises and a.some):
            found.some = (some[0], float(function(some[1])))
        return found

    return rule


_exp = _monotone(np.exp, low=0.0)
_log = _monotone(np.log)


LEAST_OF_LGAMMA = 1.4616321449683622
"""Where log Γ turns: the root of ψ."""


def _of_positive(rule: Rule) -> Rule:
    """The rule of a function with a pole at 0, beyond which nothing is known of it."""

    def guarded(self: "Bounding", a: Bounded) -> Bounded:
        found = rule(self, a)
        if (beyond := ~(a.least > 0)).any():
            found.e = np.where(beyond, np.inf, found.e)
        return found

    return guarded


def _lgamma(self: "Bounding", a: Bounded) -> Bounded:
    """|log Γ(ẑ) - log Γ(z)| ≤ e times the larger |ψ| of the ends, since ψ rises."""
    function, slope = floats.ELEMENTWISE["lgamma"], floats.ELEMENTWISE["digamma"]
    x = function(a.x)
    found = Bounded(x)
    if a.is_open:
        found.down, found.up = _hull(x, [*map(function, a.ends), function(np.clip(LEAST_OF_LGAMMA, *a.ends))])
    e = NONE if none(a.e) else a.e * np.maximum(*(np.abs(slope(end)) for end in (a.least, a.most)))
    found.e = e + self.own(found.size + e)
    return found


def _root(x: Any) -> Any:
    return np.sqrt(np.maximum(x, 0))  # of what is not negative in any sensible program


_sqrt = _monotone(_root, low=0.0, relative=True)


def _rsqrt(self: "Bounding", a: Bounded) -> Bounded:
    return _div(self, ONE, _sqrt(self, a))


def _abs(_: "Bounding", a: Bounded) -> Bounded:
    x = np.abs(a.x)
    found = Bounded(x, a.e, low=0.0 if a.low is None else np.maximum(a.low, 0.0))
    if a.is_open:
        ends = a.ends
        found.down, found.up = _hull(x, [*map(np.abs, ends), np.abs(np.clip(0.0, *ends))])
    return found


def _cosh(self: "Bounding", a: Bounded) -> Bounded:
    return _monotone(np.cosh, low=1.0)(self, _abs(self, a))


def _integer_pow(self: "Bounding", a: Bounded, *, y: int) -> Bounded:
    """z^y rises, or it is |z|^y; |ẑ^y - z^y| ≤ y m^(y-1) e, with m the largest |ẑ|."""
    if y < 0:
        return _div(self, ONE, _integer_pow(self, a, y=-y))
    if y % 2 == 0 and a.is_open:
        a = _abs(self, a)
    x = a.x**y
    found = Bounded(x, low=0.0 if y % 2 == 0 else None)
    if a.is_open:
        found.down, found.up = _hull(x, [end**y for end in a.ends])
    e = NONE if none(a.e) else y * (a.size + a.e) ** (y - 1) * a.e
    found.e = e + self.gamma(y) * (found.size + e) + self.format.tiny
    if a.low is not None and np.all(a.low >= 0):
        found.low = np.asarray(a.low) ** y * (1 - self.gamma(y))
    return found


def _square(self: "Bounding", a: Bounded) -> Bounded:
    return _integer_pow(self, a, y=2)


WHOLE_POWERS = 64
"""Below that a whole power is taken as a product."""


def _pow(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
    """x^y of x ≥ 0 is monotone in either: it lies between its corners."""
    if b.x.ndim == 0 and b.is_exact and b.x == int(b.x) and abs(b.x) < WHOLE_POWERS:
        return _integer_pow(self, a, y=int(b.x))

    def corners(bases: Sequence[Any], exponents: Sequence[Any]) -> list[Any]:
        return [np.power(np.maximum(p, 0), q) for p in bases for q in exponents]

    x = np.power(a.x, b.x)
    found = Bounded(x, low=0.0)
    if a.is_open or b.is_open:
        found.down, found.up = _hull(x, corners(a.ends, b.ends))
    far = _hull(x, corners((a.least, a.most), (b.x - b.down - b.e, b.most)))
    e = np.maximum(far[0] - found.down, far[1] - found.up)
    # Every sensible program's exponent y log x, rounded: a relative error of x^y.
    exponent = 1 + np.abs(b.x * np.log(np.where(found.x > 0, a.x, 1)))
    found.e = e + FORMULA * self.format.unit * exponent * (found.size + e) + self.format.tiny
    return found


def _wave(function: Callable[[Any], Any], slope: Callable[[Any], Any]) -> Rule:
    """sin and cos: |f(ẑ) - f(z)| ≤ |f'(z)| e + e²/2, since |f''| ≤ 1; and at most as far as z is open."""

    def rule(self: "Bounding", a: Bounded) -> Bounded:
        found = Bounded(function(a.x))
        e = a.e if a.is_open else np.abs(slope(a.x)) * a.e + a.e**2 / 2
        found.e = e + self.own(1.0)
        if a.is_open:
            found.down = found.up = np.minimum(np.maximum(a.down, a.up), 2.0)
        return found

    return rule


_sin, _cos = _wave(np.sin, np.cos), _wave(np.cos, np.sin)


def _tan(self: "Bounding", a: Bounded) -> Bounded:
    return _div(self, _sin(self, a), _cos(self, a))


def _step(function: Callable[[Any], Any], *, is_kink: bool = False) -> Rule:
    """floor and its like: a jump within the error leaves both sides open; of a kink (sign), at the jump as well."""

    def rule(_: "Bounding", a: Bounded) -> Bounded:
        x = function(a.x)
        if a.is_exact and not (is_kink and a.varies):
            return Bounded(x)
        least, most = a.least, a.most
        if is_kink and a.varies:
            least, most = np.nextafter(least, -np.inf), np.nextafter(most, np.inf)
        return Bounded(x, NONE, *_hull(x, (function(least), function(most))))

    return rule


def _round(self: "Bounding", a: Bounded, *, rounding_method: Any) -> Bounded:
    return _step(lambda x: floats.rounded(x, rounding_method=rounding_method))(self, a)


def _rem(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
    """A remainder is less than |b| in size, and jumps."""
    x = floats.RULES["rem"](self, a.x, b.x)
    return Bounded(x) if a.is_exact and b.is_exact else Bounded(x, 2 * (b.size + b.e) + 0 * np.abs(x))


# --- maxima and comparisons -----------------------------------------------------------------------------------


def _chosen(values: Sequence[Bounded], choose: Callable[..., Any], top: Callable[..., Any]) -> Bounded:
    """A maximum or minimum: it rises in each number, and errs at most as the worst of them; `top` takes the largest."""
    x = choose(*(value.x for value in values))
    found = Bounded(x, _part(values, "e", top), low=_low(values, choose))
    if any(value.is_open for value in values):
        ends = zip(*(value.ends for value in values), strict=True)
        found.down, found.up = _hull(x, [choose(*end) for end in ends])
    return found


def _of_two(sign: int) -> Rule:
    """max (sign 1) and min (-1) of two."""
    choose = np.maximum if sign > 0 else np.minimum

    def rule(_: "Bounding", a: Bounded, b: Bounded) -> Bounded:
        found = _chosen((a, b), choose, np.maximum)
        if sign > 0 and found.low is None:
            found.low = b.low if a.low is None else a.low
        found.extreme = Extreme(a, b, sign)
        for one, other in ((a, b), (b, a)):  # max(-inf, max(x)) is still the maximum of x
            if one.extreme is not None and other.is_exact and np.all(np.equal(other.x, -sign * np.inf)):
                found.extreme = one.extreme
        return found

    return rule


def _of_many(sign: int) -> Rule:
    """reduce_max (sign 1) and reduce_min (-1)."""
    choose = np.max if sign > 0 else np.min

    def rule(_: "Bounding", a: Bounded, *, axes: Sequence[int]) -> Bounded:
        along = tuple(axes)
        found = _chosen([a], partial(choose, axis=along), partial(np.max, axis=along))
        found.extreme = Extreme(a, along, sign)
        return found

    return rule


def _of_windows(sign: int) -> Rule:
    """The maxima of windows; in the padding is nothing to choose."""
    choose = np.max if sign > 0 else np.min

    def rule(_: "Bounding", a: Bounded, **parameters: Any) -> Bounded:
        how, axes = floats.window_parameters(a.x, **parameters), tuple(range(a.x.ndim, 2 * a.x.ndim))

        def over(x: Any) -> Any:
            return choose(moves.windows(x, -sign * np.inf, **how), axis=axes)

        def worst(e: Any) -> Any:
            return np.max(moves.windows(e, 0.0, **how), axis=axes)

        found = _chosen([a], over, worst)
        found.low = None
        return found

    return rule


def _of_prefixes(sign: int) -> Rule:
    """cummax and cummin."""
    name = "cummax" if sign > 0 else "cummin"

    def rule(self: "Bounding", a: Bounded, **parameters: Any) -> Bounded:
        run, top = (partial(floats.RULES[one], self, **parameters) for one in (name, "cummax"))
        return _chosen([a], run, top)

    return rule


def _clamp(self: "Bounding", low: Bounded, x: Bounded, high: Bounded) -> Bounded:
    """Between two exact numbers nothing errs by more than what lies between them."""
    found = RULES["min"](self, RULES["max"](self, x, low), high)
    if low.is_exact and high.is_exact and not none(found.e):
        found.e = np.minimum(found.e, np.maximum(high.x - found.x, found.x - low.x))
    return found


def _bits(decided: Any, open_: Any) -> Bounded:
    """A truth value, with where it is undecided as what is open of the number 0 or 1."""
    if not np.any(open_):
        return Bounded(decided, low=0.0)
    number = np.asarray(decided).astype(float)
    return Bounded(decided, NONE, np.where(open_, number, 0.0), np.where(open_, 1 - number, 0.0), low=0.0)


def _others(upper: Array, axes: Sequence[int]) -> Array:
    """For each entry the largest of the others along the axes."""
    order = [axis for axis in range(upper.ndim) if axis not in axes]
    turned = upper.transpose([*order, *axes])
    flat = turned.reshape(*turned.shape[: len(order)], -1)
    first = flat.argmax(-1)[..., None]
    best = np.take_along_axis(flat, first, -1)
    rest = np.array(flat)
    np.put_along_axis(rest, first, -np.inf, -1)
    others = np.where(np.arange(flat.shape[-1]) == first, rest.max(-1, keepdims=True), best)
    return others.reshape(turned.shape).transpose(np.argsort([*order, *axes]))


def _is_extreme(a: Bounded, m: Bounded, extreme: Extreme) -> Bounded | None:
    """a == max(a, ...): decided where a lies apart from all others by more than the errors; None for another a."""
    decided = np.equal(a.x, m.x)
    least, most = a.x - a.down - a.e, a.most
    of, other, sign = extreme
    if isinstance(other, Bounded):  # of two
        if a is not of and a is not other:
            return None
        b = other if a is of else of
        return _bits(decided, ~((least > b.most) | (most < b.x - b.down - b.e)))
    if a is not of or not _is_along(decided, other):
        return None
    if sign < 0:
        least, most = -most, -least
    least, most = np.broadcast_to(least, a.x.shape), np.broadcast_to(most, a.x.shape)
    above = least > _others(most, other)
    below = most < least.max(axis=other, keepdims=True)
    found = _bits(decided, ~(above | below))
    found.some = (other, 1.0)  # one of them is
    return found


def _compared(name: str) -> Rule:
    compare = floats.COMPARISONS[name]

    def rule(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
        decided, varies = compare(a.x, b.x), a.varies or b.varies
        if a is b or (a.is_exact and b.is_exact and not varies) or not a.is_real:
            return _bits(decided, (a.is_open or b.is_open) and a is not b)
        if name in {"eq", "ne"}:
            for one, m in ((a, b), (b, a)):
                found = _is_extreme(one, m, m.extreme) if m.extreme is not None else None
                if found is not None:
                    return found if name == "eq" else _not(self, found)
        far = (a.x - a.down - a.e > b.most) | (a.most < b.x - b.down - b.e)
        same = np.isinf(a.x) & (a.x == b.x)  # two infinities: "left out" in either
        settled = far | same if varies else far | same | ((a.e + b.e == 0) & ~_opened(a) & ~_opened(b))
        return _bits(decided, ~settled)

    return rule


def _opened(a: Bounded) -> Any:
    return np.not_equal(a.down, 0) | np.not_equal(a.up, 0)


def _not(_: "Bounding", a: Bounded) -> Bounded:
    return Bounded(np.invert(a.x), NONE, a.up, a.down)


def _joined(function: Callable[[Any, Any], Any]) -> Rule:
    """and, or, xor of truth values: undecided where an undecided one decides."""

    def rule(_: "Bounding", a: Bounded, b: Bounded) -> Bounded:
        x = function(a.x, b.x)
        ends = [function(p, q) != x for p in _outcomes(a) for q in _outcomes(b)]
        return _bits(x, np.logical_or.reduce(ends)) if x.dtype.kind == "b" else Bounded(x)

    return rule


def _outcomes(a: Bounded) -> list[Any]:
    """What an undecided truth value may be."""
    return [a.x, np.where(_opened(a), ~a.x, a.x)] if a.is_open else [a.x]


def _select_n(_: "Bounding", which: Bounded, *cases: Bounded) -> Bounded:

    def choose(*arrays: Any) -> Any:
        return floats.select_n(which.x, *arrays)

    found = _moved(cases, choose)
    if not which.is_open:
        extremes = (
            one.extreme for one in cases if one.extreme is not None and np.array_equal(one.x, found.x)
        )
        found.extreme = next(extremes, None)
        return found
    open_ = _opened(which)
    for name, most in zip(
        ("down", "up"), _hull(found.x, [end for one in cases for end in one.ends]), strict=True
    ):
        setattr(found, name, np.where(open_, most, getattr(found, name)))
    if not none(found.e):
        found.e = np.where(
            open_, np.maximum.reduce([one.e + np.zeros(found.x.shape) for one in cases]), found.e
        )
    found.low = _low(cases, lambda *lows: np.minimum.reduce(lows))
    return found


def _converted(self: "Bounding", a: Bounded, *, new_dtype: Any) -> Bounded:
    if np.dtype(new_dtype).kind != "f" and a.is_real:
        return _step(lambda x: np.asarray(x).astype(new_dtype))(self, a)
    x = a.x.astype(float if np.dtype(new_dtype).kind == "f" else new_dtype)
    return Bounded(x, a.e, a.down, a.up, low=a.low, some=a.some, extreme=a.extreme)


def _exactly(name: str) -> Rule:
    """Of positions, sizes and whether a number is finite: nothing is rounded."""
    rule = floats.RULES[name]

    def read(self: "Bounding", *values: Bounded, **parameters: Any) -> Bounded:
        x = np.asarray(rule(self, *(value.x for value in values), **parameters))
        return Bounded(x, low=0.0 if x.dtype.kind == "b" else None)

    return read


# --- orders and indices ---------------------------------------------------------------------------------------


def _sort(
    _: "Bounding", *values: Bounded, dimension: int, num_keys: int, is_stable: bool = True
) -> list[Bounded]:
    """Sorted keys err by the largest error; what goes with them is undecided where neighbours may change places."""
    del is_stable
    order = floats.order([value.x for value in values], dimension=dimension, num_keys=num_keys)

    def taken(x: Any) -> Any:
        return np.take_along_axis(x, order, dimension)

    def along(x: Any, function: Callable[..., Any]) -> Any:
        return np.broadcast_to(function(x, axis=dimension, keepdims=True), order.shape)

    key, *others = (_moved([value], taken) for value in values)
    least, most = (np.broadcast_to(end, order.shape) for end in (key.x - key.down - key.e, key.most))
    jumps = np.take(least, range(1, order.shape[dimension]), dimension) - np.take(
        np.maximum.accumulate(most, axis=dimension), range(order.shape[dimension] - 1), dimension
    )
    near = ~((jumps > 0) | ((jumps == 0) & (key.is_exact and not key.varies)))
    pads = np.zeros((order.ndim, 2), int)
    pads[dimension] = 1
    near = np.pad(near, pads)
    open_ = np.take(near, range(order.shape[dimension]), dimension) | np.take(
        near, range(1, order.shape[dimension] + 1), dimension
    )
    if not none(key.e):
        key.e = along(key.e, np.max)
    if key.is_open:
        key.down, key.up = _hull(key.x, [np.sort(end, axis=dimension) for end in key.ends])
    key.low = None
    if open_.any():
        for one in others:
            lowest, highest = one.ends
            ends = along(lowest, np.min), along(highest, np.max)
            hull = _hull(one.x, [np.where(open_, end, one.x) for end in ends])
            one.down, one.up = np.maximum(hull[0], one.down), np.maximum(hull[1], one.up)
            one.e = one.e if none(one.e) else along(one.e, np.max)
    return [key, *others]


def _position(name: str) -> Rule:
    """argmax: undecided where another may be as large."""
    function, sign = floats.RULES[name], 1 if name == "argmax" else -1

    def rule(self: "Bounding", a: Bounded, *, axes: Sequence[int], index_dtype: Any) -> Bounded:
        x = function(self, a.x, axes=axes, index_dtype=index_dtype)
        if a.is_exact and not a.varies:
            return Bounded(x)
        least, most = (np.broadcast_to(end, a.x.shape) for end in (a.x - a.down - a.e, a.most))
        if sign < 0:
            least, most = -most, -least
        sure = (least > _others(most, tuple(axes))).any(axis=axes[0])
        ends = (np.where(sure, x, 0), np.where(sure, x, a.x.shape[axes[0]] - 1))
        return Bounded(x, NONE, *_hull(x, ends))

    return rule


def _gather(
    _: "Bounding", a: Bounded, indices: Bounded, *, fill_value: Any = None, **parameters: Any
) -> Bounded:
    where = moves.gather_places(a.x.shape, indices.x, **parameters)
    fill = np.nan if fill_value is None and a.is_real else fill_value or 0
    found = Bounded(moves.taken(a.x, where, fill))
    found.e, found.down, found.up = (
        _part([a], name, lambda p: moves.taken(p, where, 0.0)) for name in ("e", "down", "up")
    )
    if indices.is_open:  # it may be any of the numbers
        lowest, highest = a.ends
        ends = np.minimum(np.min(lowest, initial=0), found.x), np.maximum(np.max(highest, initial=0), found.x)
        found.down, found.up = _hull(found.x, ends)
        found.e = found.e if none(a.e) else np.full(found.x.shape, np.max(a.e, initial=0))
    return found


def _select_and_scatter_add(
    self: "Bounding", source: Bounded, operand: Bounded, *, select_prim: Any, **parameters: Any
) -> Bounded:
    """Each source to the largest of its window; where several may be it, each of these may get it or not."""
    how = floats.window_parameters(operand.x, **parameters)
    sign = 1 if select_prim.name == "ge" else -1
    where = moves.window_places(operand.x.shape, **how).reshape(source.x.size, -1)  # (windows, k)
    inside = where >= 0

    def at_places(x: Any, fill: float) -> Array:
        return np.where(inside, np.broadcast_to(x, operand.x.shape).reshape(-1)[where], fill)

    numbers = at_places(sign * operand.x, -np.inf)
    reach = at_places(operand.e + np.maximum(operand.down, operand.up), 0.0)
    winner = np.arange(where.shape[1]) == numbers.argmax(-1)[:, None]
    possible = (
        inside & (numbers + reach >= (numbers - reach).max(-1, keepdims=True)) if operand.varies else winner
    )
    terms = np.bincount(where[inside], minlength=1).max()

    def added(values: Any, at: Array) -> Array:
        total = np.zeros(operand.x.size)
        rows, columns = np.nonzero(at)
        np.add.at(total, where[rows, columns], np.broadcast_to(values, source.x.shape).reshape(-1)[rows])
        return total.reshape(operand.x.shape)

    found = _summed(self, [source], lambda values: added(values, winner), terms)
    found.low = None
    tied = possible & (possible.sum(-1, keepdims=True) > 1)
    if tied.any():
        loses, gains = tied & winner, tied & ~winner
        positive, negative = np.maximum(source.x + source.up, 0), np.maximum(source.down - source.x, 0)
        found.up = found.up + added(positive, gains) + added(negative, loses)
        found.down = found.down + added(negative, gains) + added(positive, loses)
        found.e = found.e + added(source.e + self.gamma_of_sums(terms) * (source.size + source.e), gains)
    return found


# --- systems of linear equations ------------------------------------------------------------------------------


def _width(a: Bounded) -> Any:
    """How far an open comparison may carry a number, to either side; `NONE` where there is none."""
    return np.broadcast_to(np.maximum(a.down, a.up), a.x.shape) if a.is_open else NONE


class _Matrix:
    """A⁻¹, and how far it may be off: what a program makes of A it makes of a neighbour A + E.

    By elimination with pivots |E| ≤ γ_3n |L||U| (Higham, theorem 9.4); by Cholesky's γ_n+1 |L||Lᵀ| (theorem 10.3),
    which is the same product where no rows are exchanged; by orthogonal factors, γ_3n ‖a_j‖ for all of a column a_j
    (theorem 19.4); and likewise of Aᵀ, since who has A⁻¹ turns it. E and what A is off by itself count to the first
    order; the higher ones are a share of r = ‖|A⁻¹| |E|‖ of it, 1/(1 - 2r) in all, as A⁻¹ is computed too. From r = ¼
    on nothing is known.

    Attributes:
        inverse: |A⁻¹|.
        off: |E|, with the error of A.
        open: how far undecided comparisons may carry A; 0.0 for none.
        logs: Σ |log |u_ii||, of the pivots.
    """

    def __init__(self, self_: "Bounding", a: Bounded) -> None:
        """A, (..., n, n)."""
        from scipy.linalg import lu  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]

        self.size = a.x.shape[-1]
        try:
            self.inverse = np.abs(np.linalg.inv(a.x))
        except np.linalg.LinAlgError:
            self.inverse = np.full(a.x.shape, np.inf)
        matrices = a.x, a.x.swapaxes(-1, -2)
        (sizes, upper), (turned, _) = (self._eliminated(lu(one, check_finite=False)) for one in matrices)
        self.off = self_.gamma(3 * self.size) * np.maximum(sizes, turned.swapaxes(-1, -2)) + a.e
        self.open = _width(a)
        self.logs = np.abs(np.log(np.abs(np.diagonal(upper, axis1=-2, axis2=-1)))).sum(-1)

    @staticmethod
    def _eliminated(found: Any) -> tuple[Array, Array]:
        """|E| but for γ: |L||U| in the order of A's rows, or the norm of a column; and U."""
        order, lower, upper = found
        columns = np.linalg.norm(lower @ upper, axis=-2, keepdims=True)
        return np.maximum(order @ (np.abs(lower) @ np.abs(upper)), columns), upper

    def safety(self, off: Any) -> Any:
        """1/(1 - 2r), (..., 1, 1); infinite from r = ¼ on."""
        share = (self.inverse @ off).sum(-1).max(-1, initial=0)[..., None, None]
        return np.where(share < 1 / 4, 1 / (1 - 2 * share), np.inf)

    def in_answer(self, off: Any, answer: Any) -> Any:
        """|A⁻¹| |E| |X|."""
        return self.safety(off) * (self.inverse @ (off @ answer))

    def in_log(self, off: Any) -> Any:
        """Σ |A⁻¹|ᵀ ∘ |E|: of the logarithm of the determinant, (...)."""
        return self.safety(off)[..., 0, 0] * (self.inverse.swapaxes(-1, -2) * off).sum((-1, -2))


def _solve(self: "Bounding", a: Bounded, b: Bounded) -> Bounded:
    """A⁻¹ B: as by elimination, or as a product with A⁻¹, whose errors are |A⁻¹| |E| |A⁻¹| |B|."""
    matrix = _Matrix(self, a)
    answer = matrix.inverse @ (b.size + b.e)
    e = matrix.in_answer(matrix.off, answer) + self.gamma(matrix.size) * answer + self.format.tiny
    e = e if none(b.e) else e + 2 * (matrix.inverse @ np.broadcast_to(b.e, b.x.shape))
    found = Bounded(floats.solved(a.x, b.x), e)
    if a.is_open or b.is_open:
        width = NONE if none(matrix.open) else matrix.in_answer(matrix.open, answer)
        if b.is_open:
            width = width + 2 * (matrix.inverse @ _width(b))
        found.down = found.up = width
    return found


def _det(self: "Bounding", a: Bounded) -> Bounded:
    matrix, x = _Matrix(self, a), np.asarray(np.linalg.det(a.x))
    e = np.abs(x) * np.expm1(matrix.in_log(matrix.off)) + self.format.tiny
    width = NONE if none(matrix.open) else np.abs(x) * np.expm1(matrix.in_log(matrix.open))
    return Bounded(x, e, width, width)


def _log_abs_det(self: "Bounding", a: Bounded) -> Bounded:
    matrix, x = _Matrix(self, a), np.asarray(np.linalg.slogdet(a.x)[1])
    own = self.own(matrix.logs) + self.gamma(matrix.size) * matrix.logs
    width = NONE if none(matrix.open) else matrix.in_log(matrix.open)
    return Bounded(x, matrix.in_log(matrix.off) + own, width, width)


def _cholesky_factor(self: "Bounding", a: Bounded) -> Bounded:
    """L, off by |L| tril(|L⁻¹| |E| |L⁻ᵀ|), with |E| ≤ γ_n+1 |L||Lᵀ| (Higham, theorem 10.3), to the first order."""
    x = floats.factored(a.x)
    inverse = np.abs(floats.solved(x, np.broadcast_to(np.eye(x.shape[-1]), x.shape)))

    def carried(off: Any) -> Any:
        inner = inverse @ off @ inverse.swapaxes(-1, -2)
        share = inner.sum(-1).max(-1, initial=0)[..., None, None]
        return np.where(share < 1 / 4, np.abs(x) @ np.tril(inner) / (1 - 2 * share), np.inf)

    size = np.abs(x) @ np.abs(x).swapaxes(-1, -2)
    width = carried(_width(a)) if a.is_open else NONE
    return Bounded(x, carried(self.gamma(x.shape[-1] + 1) * size + a.e), width, width)


RULES: Mapping[str, Rule] = {
    **{
        name: _move(move, keeps=name in {"reshape", "broadcast_in_dim", "squeeze", "expand_dims"})
        for name, move in floats.MOVES.items()
    },
    **{name: _compared(name) for name in floats.COMPARISONS},
    **{name: _exactly(name) for name in ("iota", "dim_as_value", "is_finite", "reduce_and", "reduce_or")},
    **{name: _position(name) for name in ("argmax", "argmin")},
    **{name: _of_factors(name) for name in ("cumprod", "reduce_prod")},
    # moves
    "pad": _move(moves.pad),
    "concatenate": _move(floats.concatenated),
    "stack": _move(floats.stacked),
    "unstack": _move(floats.unstacked),
    "dynamic_slice": _at_index(moves.dynamic_slice, 1),
    "dynamic_update_slice": _at_index(moves.dynamic_update_slice, 2),
    "gather": _gather,
    "scan": _scan,
    # sums
    "add": _add,
    "add_any": _add,
    "sub": _sub,
    "neg": _neg,
    "reduce_sum": _reduce_sum,
    "reduce_window_sum": _window_sum,
    "cumsum": _cumsum,
    "scatter-add": _scatter_add,
    "scatter_add": _scatter_add,
    "select_and_scatter_add": _select_and_scatter_add,
    # products
    "mul": _mul,
    "div": _div,
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
    # functions of one number
    "exp": _exp,
    "exp2": _monotone(np.exp2, low=0.0),
    "expm1": _monotone(np.expm1, low=-1.0),
    "log": _log,
    "log1p": _monotone(np.log1p),
    "logistic": _monotone(floats.ELEMENTWISE["logistic"], low=0.0),
    "tanh": _monotone(np.tanh, low=-1.0),
    "erf": _monotone(floats.ELEMENTWISE["erf"], low=-1.0),
    "erfc": _monotone(floats.ELEMENTWISE["erfc"], low=0.0, rises=False),
    "erf_inv": _monotone(floats.ELEMENTWISE["erf_inv"]),
    "lgamma": _of_positive(_lgamma),
    "digamma": _of_positive(_monotone(floats.ELEMENTWISE["digamma"])),
    "sinh": _monotone(np.sinh),
    "asinh": _monotone(np.arcsinh),
    "atanh": _monotone(np.arctanh),
    "acosh": _monotone(np.arccosh, low=0.0),
    "asin": _monotone(np.arcsin),
    "acos": _monotone(np.arccos, low=0.0, rises=False),
    "atan": _monotone(np.arctan),
    "cbrt": _monotone(np.cbrt, relative=True),
    "sqrt": _sqrt,
    "rsqrt": _rsqrt,
    "abs": _abs,
    "cosh": _cosh,
    "square": _square,
    "integer_pow": _integer_pow,
    "pow": _pow,
    "sin": _sin,
    "cos": _cos,
    "tan": _tan,
    "sign": _step(np.sign, is_kink=True),
    "floor": _step(np.floor),
    "ceil": _step(np.ceil),
    "round": _round,
    "rem": _rem,
    # maxima, choices, orders
    "max": _of_two(1),
    "min": _of_two(-1),
    "reduce_max": _of_many(1),
    "reduce_min": _of_many(-1),
    "reduce_window_max": _of_windows(1),
    "reduce_window_min": _of_windows(-1),
    "cummax": _of_prefixes(1),
    "cummin": _of_prefixes(-1),
    "clamp": _clamp,
    "and": _joined(np.bitwise_and),
    "or": _joined(np.bitwise_or),
    "xor": _joined(np.bitwise_xor),
    "not": _not,
    "select_n": _select_n,
    "convert_element_type": _converted,
    "sort": _sort,
    # systems of linear equations
    "solve": _solve,
    "det": _det,
    "log_abs_det": _log_abs_det,
    "cholesky_factor": _cholesky_factor,
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
        self.is_narrow = own.largest < FORMATS["float64"].largest

    @property
    def key(self) -> Any:
        """The format."""
        return self.name, self.format.name

    def gamma(self, operations: float) -> float:
        """γ_m for m operations and `FREEDOM` more."""
        product = (operations + FREEDOM) * self.format.unit
        return product / (1 - product) if product < 1 else np.inf

    def gamma_of_sums(self, terms: float) -> float:
        """γ_m of a sum in the format of sums; what comes in and out is rounded `FREEDOM` times to the other."""
        if not self.is_wider_inside:
            return self.gamma(terms)
        product = terms * self.format.sums
        return product / (1 - product) + self.gamma(0)

    def own(self, size: Any, *, relative: bool = False) -> Any:
        """A function's own error where it is of this size."""
        return self.gamma(1) * size if relative else FORMULA * self.format.unit * np.maximum(1.0, size)

    def lowered(self, low: Any) -> Any:
        """A product of lower bounds that are not negative, rounded down."""
        return low * (1 - self.gamma(1))

    def constant(self, array: Array) -> Bounded:
        """A constant: rounded to the format where it is none of its numbers."""
        x = np.asarray(array)
        if x.dtype.kind != "f":
            return Bounded(x)
        x = x.astype(np.float64)
        parts = np.frexp(x)[0] / (
            2 * FORMATS[self.format.name].unit
        )  # a whole number for one of the format's
        is_rounded = np.isfinite(x) & (parts != np.round(parts))
        e = np.where(is_rounded, np.abs(x) * self.format.unit, 0.0) if is_rounded.any() else NONE
        return Bounded(x, e, low=x - e)

    def input(self, array: Array, *, varies: bool = True, low: Any = None) -> Bounded:
        """An input, exact; `varies` where its gradient is asked for."""
        x = np.asarray(array)
        return Bounded(x.astype(np.float64) if x.dtype.kind == "f" else x, varies=varies, low=low)

    def step(self, step: Any, found: list[Any]) -> None:
        """Read one equation, and note whether the result varies, and where a narrow format overflows."""
        super().step(step, found)
        varies = False
        for slot in step.inputs:
            varies = varies or found[slot].varies
        for slot in step.outputs:
            one = found[slot]
            one.varies = varies
            if self.is_narrow and one.x.dtype.kind == "f":
                over = (np.abs(one.x) + one.e > self.format.largest) & np.isfinite(one.x)
                if over.any():
                    one.e = np.where(over, np.inf, one.e)
