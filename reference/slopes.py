"""The derivative of a forward pass that is known by its values alone, and how far it can be trusted.

Where no known operation agrees with a subject's forward pass, its own values decide. A call may be a message
to another process, so calls are few; and as nothing is known of what happens inside, every error is read off
the values. All outputs come back from a call, so a line through the point gives a whole column of the
Jacobian, and one measurement serves every cotangent.

**Along a line** x + tv, D(t) = [f(x + tv) - f(x - tv)] / 2t = f' + c₂t² + c₄t⁴ + ... Steps t, 2t, 4t, 8t give
R(t) = [4D(t) - D(2t)] / 3, free of t², and S = [16R(t) - R(2t)] / 15, free of t⁴ (W. Romberg, 1955; J. Stoer
and R. Bulirsch, *Introduction to Numerical Analysis*, section 3.5). S is the value. Its error:

- *truncation*: the distance of S from the farthest of R(t), R(2t), R(4t), one column earlier. Where the series
  falls off, that is (ρ/t)² times too much, ρ the radius of convergence; where it does not (a step across a kink,
  a pole, a period), three numbers would have to agree with a fourth by chance.
- *noise*: a value is off by ε, so S by at most (64 + 10 + ¼)/45 ε/t = 1.65 ε/t. Of ε three things are known,
  and the largest counts: the unit roundoff u times the largest value on the line; what a table of differences
  shows (`_Ground`); and u Σ_j |x_j ∂f/∂x_j|, what the rounding of the inputs alone does to f, which no program
  is expected to beat (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, section 1.6). Where these
  are too small, D(t) is off by more than D(2t) and D(4t), and the distance above sees it.
- *the point*: f' itself moves by u|x f''| with the rounding of x, and f'' is in the same values.

Every output takes, of the steps that were tried, the one that explains it best; the steps move to where
truncation, which grows as t⁴, meets noise, which falls as 1/t.

**A kink** at x: E(t) = [f(x + tv) - 2f(x) + f(x - tv)] / t = jump + a t + b t³ + ..., with `jump` the one-sided
slopes' difference f'(x; v) + f'(x; -v). The same extrapolation frees it of t and t³; what is larger than its own
error opens the entry by ± jump/2 about S = ½ [f'(x; v) - f'(x; -v)]: any slope between the two is right. What is
not larger counts as error.

**Several kinks at one point.** Coordinates one at a time say too little: at a tie, max(a, b) allows [0, 1] for
each entry, but not 1 for both. Two coordinates that kink *together* (their common change is not the sum of the
two) are moved at once, each in inverse proportion to its jump, so that the tie is kept, and the slope along this
line is known: 1. They may say too much as well: w₁relu(a) - w₂relu(b) has neighbours whose slopes lie outside of
both one-sided ones. So slopes along the line are taken beside the point too, and where one lies outside, the
entry stays wholly open: what a program answers there is convention (F. H. Clarke, *Optimization and Nonsmooth
Analysis*, 1983, section 2.1: the generalised gradient is made of the gradients of the neighbours).

**Not seen**: an error smaller than the stated one; on lines through many coordinates also what cancels, with
probability at most ½ each (R. Freivalds, 1977). Kinks of several terms that cancel along every line that was
tried, as in relu(x) - relu(-x) at 0, are no kinks of the function, and 1 is its derivative.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Forward = Callable[[list[Array]], Sequence[Any]]
"""Takes the inputs, returns its outputs. It may raise ArithmeticError or ValueError outside of its domain."""
Interval = tuple[float, float]

_START = -11
"""log₂ of the first step, in units of the coordinate: S is exact to t⁶, and R(8t) - S says 2^-30."""
_AT_THE_POINT = {2.0**-53: -26, 2.0**-24: -14}
"""log₂ of the step within which a kink is taken to lie at the point itself, by unit roundoff."""
_LEVELS = 4
_MOVES = 4
_GOLDEN = (math.sqrt(5) - 1) / 2
_PLACES = np.array([0, *sorted(6 * (i * _GOLDEN % 1) for i in range(1, 7))])
"""Where a table of differences is taken, in units of its step; 0 is the point."""
_SAFETY = 2.0
_AIM = 2.0**-30
"""Steps move no further where the error of a column is below this share of it."""
_AIM_OF_SUM = 2.0**-26
_SINGLE, _DOUBLE = 2.0**-24, 2.0**-53
_FAR_ABOVE = 32.0
"""Truncation that many times above the noise is worth a shorter step."""
_BESIDE = {_DOUBLE: (-18, -24), _SINGLE: (-8, -11)}
"""log₂ of how far beside the point slopes are taken, and with which step."""
_BENT = 6
_NEIGHBOURS = 3
_PAIRS = 256
_FAINT = 2.0**-22
"""Where a complex step errs by more than this share of the product, differences may do better."""
_HALF = 8
_IMAGINARY = 2.0**-300
_NEARER = (2.0**-1, 2.0**-2, 2.0**-4)
_EXCESS = 8.0
_TINY = {_DOUBLE: 2.0**-1022, _SINGLE: 2.0**-126}
"""What is smaller may be lost to underflow."""


class NotRepeatableError(ValueError):
    """Two calls of a forward pass with the same inputs differ by more than rounding."""


@dataclass(frozen=True)
class Direction:
    """A line through the point: `arrays[i]` is the part of v in input i; None where it does not move.

    `entry` is (input, index) for a coordinate, whose length is then its only number that is not 0.
    """

    arrays: tuple[Floats | None, ...]
    entry: tuple[int, tuple[int, ...]] | None = None

    @property
    def length(self) -> float:
        """The only number of a coordinate's direction that is not 0."""
        number, index = self.entry or (0, ())
        part = self.arrays[number]
        return 1.0 if self.entry is None or part is None else float(part[index])

    def inner(self, gradient: Sequence[Array | None]) -> float:
        """The product ⟨gradient, v⟩, rounded once: the numbers of v are powers of 2."""
        return math.fsum(
            float(number)
            for part, array in zip(self.arrays, gradient, strict=True)
            if part is not None and array is not None
            for number in (part * array).ravel()
            if number
        )


@dataclass(frozen=True)
class Entries:
    """The derivative by every number of one input, each array of its shape.

    Any number within `error` + `open` of `value` is right; where that is infinite, nothing is known.
    """

    value: Floats
    error: Floats
    open: Floats


@dataclass(frozen=True)
class Vjp:
    """The vector-Jacobian product as far as the values of the forward pass show it.

    Attributes:
        entries: for each input, `Entries`; None for one that is not differentiable, or too large.
        directions: lines v through several numbers at once.
        value: ⟨vjp, v⟩ for each of `directions`, (directions,).
        error: how far it may be off, (directions,).
        open: how far a kink may carry it besides, (directions,).
        calls: how often the forward pass was called in all.
    """

    entries: tuple[Entries | None, ...]
    directions: tuple[Direction, ...]
    value: Floats
    error: Floats
    open: Floats
    calls: int

    def projected(self, gradient: Sequence[Array | None]) -> Floats:
        """The products ⟨gradient, v⟩ to hold against `value`, (directions,)."""
        return np.array([direction.inner(gradient) for direction in self.directions])

    @property
    def resolution(self) -> float:
        """The relative error of a number that would have been noticed in half of those that aren't 0."""
        groups: list[Any] = [one for one in self.entries if one is not None] or [self]
        shares = [
            (abs(one.error) + one.open)[one.value != 0] / abs(one.value[one.value != 0]) for one in groups
        ]
        found = np.concatenate(shares) if shares else np.empty(0)
        return float(np.median(found)) if found.size else math.inf

    @property
    def digits(self) -> int:
        """How many digits of a number could be seen: -log₁₀ of `resolution`, at least 0."""
        return max(0, math.floor(-math.log10(self.resolution))) if self.resolution > 0 else 16


@dataclass(frozen=True)
class Slopes:
    """Columns of the Jacobian, J v, for each line v: (lines, outputs), all outputs one after another.

    Attributes:
        point: the inputs.
        shapes: of the outputs.
        directions: the lines; coordinates first.
        value: the derivative of every output along the line.
        error: how far it may be off.
        open: how far a kink may carry it besides.
        roundoff: the unit roundoff of the forward pass.
        calls: how often it was called.
    """

    point: tuple[Array, ...]
    shapes: tuple[tuple[int, ...], ...]
    directions: tuple[Direction, ...]
    value: Floats
    error: Floats
    open: Floats
    roundoff: float
    calls: int

    def vjp(self, cotangents: Sequence[Array | None]) -> Vjp:
        """The products with a cotangent for each output; None where an output has none.

        The error of a sum is the sum of the errors, and what a backward pass may lose itself in adding up
        the same terms: γ Σ_k |dy_k ∂y_k/∂x|.
        """
        weights = _flat(cotangents, self.shapes)
        value, error, opened = self.value, self.error, self.open
        with np.errstate(all="ignore"):
            size = abs(value) @ abs(weights)
            terms = 8 + math.log2(max(1, len(weights)))
            sums = (
                value @ weights,
                _product(error, weights)
                + terms * self.roundoff * size
                + _TINY[self.roundoff] * (1 + abs(weights).sum()),
                _product(opened, weights),
            )
        sums = [
            np.where(np.isfinite(sums[0]), one, other)
            for one, other in zip(sums, (0, np.inf, 0), strict=True)
        ]
        joint = [i for i, one in enumerate(self.directions) if one.entry is None]
        return Vjp(
            self._entries(*sums),
            tuple(self.directions[i] for i in joint),
            *(one[joint] for one in sums),
            self.calls,
        )

    def _entries(self, *sums: Floats) -> tuple[Entries | None, ...]:
        found: list[Entries | None] = [None] * len(self.point)
        for line, direction in enumerate(self.directions):
            if direction.entry is None:
                continue
            number, index = direction.entry
            if found[number] is None:
                found[number] = Entries(*np.zeros((3, *self.point[number].shape)))
            entries = found[number]
            assert entries is not None  # noqa: S101
            for array, one in zip((entries.value, entries.error, entries.open), sums, strict=True):
                array[index] = one[line] / direction.length
        return tuple(found)


def _product(errors: Floats, weights: Floats) -> Floats:
    """Σ_k errors |weights|, where an infinite error of what has no weight does not count."""
    return np.where(weights == 0, 0, errors) @ abs(weights)


def _flat(
    arrays: Sequence[Array | None], shapes: Sequence[tuple[int, ...]], dtype: type = np.float64
) -> Array:
    """All outputs, or cotangents, one after another; 0 for None."""
    parts = [
        np.zeros(math.prod(shape), dtype)
        if array is None
        else np.asarray(array, dtype).reshape(shape).ravel()
        for array, shape in zip(arrays, shapes, strict=True)
    ]
    return np.concatenate([np.empty(0, dtype), *parts])


def slopes(
    forward: Forward,
    point: Sequence[Array],
    *,
    cotangents: Sequence[Array | None] | None = None,
    differentiable: Sequence[bool] | None = None,
    within: Sequence[Interval | None] | None = None,
    single: bool = False,
    complex_steps: bool = True,
    entries: int = 64,
    lines: int = 16,
    seed: int = 0,
) -> Slopes:
    """Measure columns of the Jacobian of `forward` at `point`.

    Args:
        forward: the forward pass.
        point: its inputs.
        cotangents: for each output, what its accuracy is worth; None for an output that has no derivative.
            All are worth the same where left out. The result serves any other cotangents of those outputs.
        differentiable: which inputs to move; by default those of floats.
        within: for each input, the open interval that its numbers must not leave; None for any number.
        single: whether forward works in single precision inside. It is found out where it shows in the outputs.
        complex_steps: whether to try forward with complex numbers.
        entries: an input with at most so many numbers is measured by coordinate.
        lines: how many random lines there are through all larger inputs.
        seed: of these lines.

    Raises:
        NotRepeatableError: where two calls differ.
    """
    random = np.random.default_rng(seed)
    ground = _Ground(forward, point, cotangents, differentiable, within, single, random)
    with np.errstate(all="ignore"):
        small = [i for i in ground.moving if ground.point[i].size <= entries]
        large = [i for i in ground.moving if ground.point[i].size > entries]
        coordinates = [one for i in small for one in ground.coordinates(i)]
        scattered = [ground.scattered(large) for _ in range(lines if large else 0)]
        check = [_measured(ground, ground.scattered(small or large))] if ground.moving else []
        departures = _departures(ground) if complex_steps else None
        found = (
            None
            if departures is None
            else _by_complex_steps(ground, [*coordinates, *scattered], departures, check)
        )
        if found is None:
            found = [_measured(ground, one) for one in (*coordinates, *scattered)]
        found += check
        if any(one.jump.any() for one in found):
            coordinates = [one for one in found if one.direction.entry is not None]
            found += _ties(ground, coordinates)
            found = _beside(ground, found)
        found = _with_conditioning(ground, found)
    size = (len(found), ground.value.size)
    return Slopes(
        tuple(ground.point),
        ground.shapes,
        tuple(one.direction for one in found),
        np.array([one.value for one in found]).reshape(size),
        np.array([one.error for one in found]).reshape(size),
        np.array([one.open for one in found]).reshape(size),
        ground.roundoff,
        ground.calls,
    )


# --- the forward pass ---------------------------------------------------------------------------------------


class _Ground:
    """The forward pass at the point: its value, its noise, and how far each number can be moved.

    **Noise** (J. J. Moré and S. M. Wild, *Estimating computational noise*, SIAM J. Sci. Comput. 33, 2011): of
    values on a line with steps so short that f is a polynomial of low degree there, the k-th differences are noise
    alone, and γ_k E(Δᵏ)² = σ² with γ_k = (k!)²/(2k)!. Steps of some units in the last place serve, for a double; what
    is computed in single precision inside shows with steps of some units of that, where differences of order 5 and
    6 are free of f itself even if it changes over a 10,000th of x.
    """

    def __init__(
        self,
        forward: Forward,
        point: Sequence[Array],
        cotangents: Sequence[Array | None] | None,
        differentiable: Sequence[bool] | None,
        within: Sequence[Interval | None] | None,
        single: bool,  # noqa: FBT001
        random: np.random.Generator,
    ) -> None:
        self._forward, self._random, self.calls = forward, random, 0
        self.point = [np.asarray(array) for array in point]
        self._within = within or [None] * len(self.point)
        floats = [array.dtype.kind == "f" and array.size > 0 for array in self.point]
        chosen = differentiable or [True] * len(self.point)
        self.moving = [
            i for i, (is_float, one) in enumerate(zip(floats, chosen, strict=True)) if is_float and one
        ]
        outputs = self._outputs(self.point)
        self.shapes = tuple(np.shape(output) for output in outputs)
        self.value = _flat(outputs, self.shapes)
        weights = [np.ones(shape) for shape in self.shapes] if cotangents is None else cotangents
        self.cotangent = _flat(weights, self.shapes)
        self.weights = abs(self.cotangent)
        with np.errstate(all="ignore"):
            self.lengths = [self._lengths(i) if i in self.moving else None for i in range(len(self.point))]
            narrow = any(self.point[i].dtype.itemsize < 8 for i in self.moving) or any(  # noqa: PLR2004
                getattr(output, "dtype", np.dtype(float)) in (np.float32, np.float16) for output in outputs
            )
            self.noise = self._noise(single=single or narrow)

    def _outputs(self, inputs: list[Array]) -> Sequence[Any]:
        self.calls += 1
        return self._forward(inputs)

    def at(self, inputs: list[Array], dtype: type = np.float64) -> Array:
        """All outputs at other inputs, (outputs,); NaN where there are none."""
        try:
            return _flat(self._outputs(inputs), self.shapes, dtype)
        except (ArithmeticError, ValueError, TypeError, Warning):
            return np.full(self.value.size, np.nan, dtype)

    def complex_at(self, direction: Direction, z: complex) -> Array:
        """All outputs at x + zv, (outputs,), complex."""
        return self.at(
            [
                array if part is None else array + z * part
                for array, part in zip(self.point, direction.arrays, strict=True)
            ],
            np.complex128,
        )

    def shifted(self, direction: Direction, t: float, base: Sequence[Array] | None = None) -> list[Array]:
        """The inputs at x + tv, or at another base + tv."""
        return [
            array if part is None else (array + t * part).astype(array.dtype)
            for array, part in zip(base or self.point, direction.arrays, strict=True)
        ]

    def moved(self, direction: Direction, t: float) -> Floats:
        """All outputs at x + tv, (outputs,)."""
        return self.at(self.shifted(direction, t))

    def _lengths(self, number: int) -> Floats:
        """A power of 2 for each number of an input: its own size, or of the others where it is far smaller."""
        size = abs(self.point[number].astype(np.float64))
        others = size[(size > 0) & np.isfinite(size)]
        typical = float(np.median(others)) if others.size else 1.0
        size = np.maximum(size, typical * 2.0**-10)
        return _power_of_two(np.minimum(size, np.minimum(*self._room(number))))

    def _room(self, number: int) -> tuple[Floats, Floats]:
        """How far each number of an input may fall and rise; 0 at a border, where it can't be moved."""
        array = self.point[number].astype(np.float64)
        low, high = self._within[number] or (-np.inf, np.inf)
        return array - low, high - array

    def rooms(self, direction: Direction) -> tuple[float, float]:
        """How far t may fall and rise until x + tv leaves the domain."""
        found: list[tuple[float, float]] = []
        for number, part in enumerate(direction.arrays):
            if part is not None and part.any():
                below, above = (room[part != 0] for room in self._room(number))
                size, up = abs(part[part != 0]), part[part != 0] > 0
                fall, rise = np.where(up, below, above), np.where(up, above, below)
                found.append((float((fall / size).min()), float((rise / size).min())))
        return min((one[0] for one in found), default=np.inf), min((one[1] for one in found), default=np.inf)

    def largest(self, direction: Direction) -> float:
        """The t for which x + tv has moved by what is large for its inputs."""
        return min(
            (
                4 * max(float(abs(self.point[i]).max()), float(abs(part).max())) / float(abs(part).max())
                for i, part in enumerate(direction.arrays)
                if part is not None and part.any()
            ),
            default=1.0,
        )

    def coordinates(self, number: int) -> Iterator[Direction]:
        """A direction for each number of an input."""
        for index in np.ndindex(self.point[number].shape):
            lengths = self.lengths[number]
            assert lengths is not None  # noqa: S101
            yield self.joint({(number, index): float(lengths[index])})

    def joint(self, lengths: dict[tuple[int, tuple[int, ...]], float]) -> Direction:
        """The direction that moves some numbers, each by its length."""
        arrays: list[Floats | None] = [None] * len(self.point)
        for (number, index), length in lengths.items():
            if arrays[number] is None:
                arrays[number] = np.zeros(self.point[number].shape)
            array = arrays[number]
            assert array is not None  # noqa: S101
            array[index] = length
        return Direction(tuple(arrays), next(iter(lengths)) if len(lengths) == 1 else None)

    def scattered(
        self, numbers: Sequence[int], *, generic: bool = False, lengths: Floats | None = None
    ) -> Direction:
        """Random signs for all numbers of some inputs, each by its length; `generic`: times ½ to 1."""
        arrays: list[Floats | None] = [None] * len(self.point)
        for number in numbers:
            size = self.lengths[number] if lengths is None else lengths
            assert size is not None  # noqa: S101
            signs = self._random.choice([-1.0, 1.0], size.shape)
            arrays[number] = size * signs * (self._random.uniform(0.5, 1, size.shape) if generic else 1)
        return Direction(tuple(arrays))

    def _noise(self, *, single: bool) -> Floats:
        """What rounding may do to each output, (outputs,); settles the unit roundoff."""
        again = self.at(self.point)
        largest = float(np.nanmax(abs(self.value), initial=0))
        difference = np.where((again == self.value) | np.isnan(again), 0, abs(again - self.value))
        if not (difference <= 2.0**10 * (_SINGLE if single else _DOUBLE) * largest).all():
            raise NotRepeatableError(
                "Two calls of forward with the same inputs give different results, so that it has no derivative to "
                "compare with: seed its random numbers."
            )
        direction = self.scattered(self.moving, generic=True)  # so that no value is short by chance
        short = 0.0 if single else self._table(direction, 2.0**-48, (3, 4, 5))[0]
        wide, values = self._table(direction, 2.0**-22, (5, 6))
        hidden = [self._hidden(direction, share, single=single) for share in _NEARER]
        changing = (values != values[0]).any(axis=0) & np.isfinite(values).all(axis=0)
        with_few_digits = values[:, changing] == values[:, changing].astype(np.float32)
        single = single or bool(changing.any() and with_few_digits.all())
        self.roundoff = _SINGLE if single else _DOUBLE
        return np.maximum.reduce([np.nan_to_num(one) for one in (short, wide, difference, *hidden)])

    def _hidden(self, direction: Direction, share: float, *, single: bool) -> Floats:
        """Noise that can't be seen at the point, (outputs,).

        In 1 + tanh x at x = -20 nothing is left of tanh, and its value is 0 without noise; nearer to 0 it is seen to be
        rounded as a number of size 1 is. What counts is noise beyond that of f itself and of the inputs.
        """
        nearer = [
            (array * (share if i in self.moving else 1)).astype(array.dtype)
            for i, array in enumerate(self.point)
        ]
        noise, values = self._table(direction, 2.0**-22 * share, (5, 6), nearer)
        slope = abs(values - values[0]).max(axis=0) / (2.0**-22 * _PLACES[-1])
        usual = (_SINGLE if single else _DOUBLE) * (abs(values).max(axis=0) + slope)
        return np.where(noise > _EXCESS * usual, noise, 0)

    def _table(
        self, direction: Direction, step: float, orders: Sequence[int], base: Sequence[Array] | None = None
    ) -> tuple[Any, Floats]:
        """Three standard deviations of the noise by a table of differences, (outputs,), and its values."""
        values = np.array([self.at(self.shifted(direction, step * place, base)) for place in _PLACES])
        deviations = [np.sqrt(((_differences(k) @ (values - values[0])) ** 2).mean(axis=0)) for k in orders]
        return 3 * np.maximum.reduce(deviations), values


@cache
def _differences(order: int) -> Floats:
    """The divided differences of an order at `_PLACES`, (differences, places), each row of length 1."""
    rows = np.zeros((len(_PLACES) - order, len(_PLACES)))
    for row in range(len(rows)):
        places = _PLACES[row : row + order + 1]
        apart = places[:, None] - places + np.eye(order + 1)
        rows[row, row : row + order + 1] = 1 / apart.prod(axis=1)
    return rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))


def _power_of_two(size: Any) -> Floats:
    """The largest power of 2 up to a size; 1 where there is none."""
    size = np.asarray(size, np.float64)
    usual = np.isfinite(size) & (size > 0)
    return np.where(usual, 2.0 ** np.floor(np.log2(np.where(usual, size, 1))), 1.0)


# --- one line -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """What is known of every output along a line: arrays (outputs,), but for `direction`.

    `gain` is how far an error of 1 in every value may carry it, 0 where the output does not depend on the line at
    all; `jump` is the difference of the one-sided slopes, 0 where it may be rounding.
    """

    direction: Direction
    value: Floats
    error: Floats
    open: Floats
    gain: Floats
    jump: Floats


@dataclass(frozen=True)
class _Window:
    """Four steps t, 2t, 4t, 8t: what they say, the parts of its error, and which outputs moved at all."""

    found: _Found
    truncation: Floats
    noise: Floats
    moved: Any


_Values = dict[int, tuple[Floats, Floats]]
"""f(x + tv) and f(x - tv) by log₂ t."""


def _measured(ground: _Ground, direction: Direction) -> _Found:
    """Every output's slope along a line, with steps that suit it."""
    reach = min(ground.rooms(direction)) / 2
    if not reach > 0:
        return _unknown(direction, ground.value.size)
    top = math.floor(math.log2(reach)) if math.isfinite(reach) else 1000
    most = min(top, math.ceil(math.log2(ground.largest(direction)))) - (_LEVELS - 1)
    at = min(_START, top - (_LEVELS - 1))
    values: _Values = {}
    windows = {at: _window(ground, direction, values, at)}
    apart = _apart(ground, direction, windows[at])
    at_the_point = _AT_THE_POINT[ground.roundoff]
    best = _best(windows, apart)
    if ground.weights @ best.open > _AIM * (ground.weights @ abs(best.value)) and at > at_the_point:
        windows[at_the_point] = _window(ground, direction, values, at_the_point)
        best = _best(windows, apart)
    for _ in range(_MOVES):
        following = _following(ground, windows[at], best, at, most)
        if following is None or following in windows:
            break
        at = following
        windows[at] = _window(ground, direction, values, at)
        best = _best(windows, apart)
    return best


def _unknown(direction: Direction, outputs: int) -> _Found:
    nothing = np.zeros(outputs)
    return _Found(direction, nothing, nothing + np.inf, nothing, nothing + 1, nothing)


def _step(level: int) -> float:
    """About 2^level, and in no simple ratio to another step.

    What is added to a number 1 inside is rounded to a multiple of 2^-52, and if the first step's rounding is a small
    one, so is that of twice the step, and twice as large: all differences would err alike.
    """
    return 2.0 ** (level + 0.25 * ((level * _GOLDEN) % 1))


class _Weights(NamedTuple):
    """What to multiply D, or E, of the four steps with; and how far an error of 1 in every value goes.

    `value` (4,) gives S; `earlier` (3, 4) gives R from each two steps next to each other.
    """

    value: Floats
    earlier: Floats
    amplified: float


@cache
def _weights(at: int, powers: tuple[int, int], values: float) -> _Weights:
    """To free the steps from 2^at on of two powers of t; an entry sums `values` numbers, over t."""
    steps = np.array([_step(at + i) for i in range(_LEVELS)])
    relative = steps / steps[0]

    def extrapolated(chosen: slice, freed: tuple[int, ...]) -> Floats:
        matrix = relative[chosen] ** np.array([0, *freed])[:, None]
        found = np.zeros(_LEVELS)
        found[chosen] = np.linalg.solve(matrix, np.eye(len(matrix))[0])
        return found

    value = extrapolated(slice(3), powers)
    earlier = np.array([extrapolated(slice(i, i + 2), powers[:1]) for i in range(_LEVELS - 1)])
    return _Weights(value, earlier, values * float((abs(value) / steps).sum()))


def _window(ground: _Ground, direction: Direction, values: _Values, at: int) -> _Window:
    """The four steps from 2^at on."""
    for level in range(at, at + _LEVELS):
        if level not in values:
            values[level] = ground.moved(direction, _step(level)), ground.moved(direction, -_step(level))
    plus, minus = (np.array([values[at + i][side] for i in range(_LEVELS)]) for side in (0, 1))
    steps = np.array([_step(at + i) for i in range(_LEVELS)])[:, None]
    D = (plus - minus) / (2 * steps)  # (4, outputs)
    E = ((plus - ground.value) + (minus - ground.value)) / steps
    of_D, of_E = _weights(at, (2, 4), 1), _weights(at, (1, 3), 4)
    value, jump = of_D.value @ D, of_E.value @ E
    largest = np.maximum(abs(plus), abs(minus)).max(axis=0)
    epsilon = np.maximum(ground.noise, ground.roundoff * np.maximum(largest, abs(ground.value)))
    moved = (plus != ground.value).any(axis=0) | (minus != ground.value).any(axis=0)
    epsilon = np.where(
        moved, epsilon, np.maximum(ground.noise, ground.roundoff * abs(ground.value) / 2 ** (_LEVELS - 1))
    )
    truncation, noise = abs(value - of_D.earlier @ D).max(axis=0), of_D.amplified * epsilon
    kinked = abs(jump) > _SAFETY * (abs(jump - of_E.earlier @ E).max(axis=0) + of_E.amplified * epsilon)
    curvature = ground.roundoff * abs(E[0] / steps[0])
    error = _SAFETY * (truncation + noise + curvature) + np.where(kinked, 0, abs(jump) / 2)
    known = np.isfinite(error) & np.isfinite(value)
    found = _Found(
        direction,
        np.where(known, value, 0),
        np.where(known, error, np.inf),
        np.where(known & kinked, abs(jump) / 2, 0),
        np.full(value.size, _SAFETY * of_D.amplified),
        np.where(known & kinked, jump, 0),
    )
    return _Window(found, np.where(known, truncation, np.inf), np.where(known, noise, 0), moved)


def _apart(ground: _Ground, direction: Direction, window: _Window) -> Floats:
    """How far an output that does not depend on a coordinate may depend on it all the same, (outputs,).

    It changes neither in the window nor, to either side, by steps as long as the input's numbers are large (one
    side alone does not tell: e^-x is lost in 1 + e^-x there). Its slope is rounding over such a step; NaN for
    outputs that change.
    """
    nothing = np.full(ground.value.size, np.nan)
    if direction.entry is None or window.moved.all():
        return nothing
    far = [min(0.17 * ground.largest(direction), room / 2) for room in ground.rooms(direction)]
    moved = [ground.moved(direction, t) for t in (-far[0], far[1])]
    same = ~window.moved & (moved[0] == ground.value) & (moved[1] == ground.value)
    unseen = _SAFETY * (ground.noise + ground.roundoff * abs(ground.value)) + _TINY[ground.roundoff]
    return np.where(same, unseen / max(far), nothing)


def _best(windows: dict[int, _Window], apart: Floats) -> _Found:
    """For each output the window that knows most; where two contradict each other, neither is believed."""
    all_found = [window.found for window in windows.values()]
    reach = np.array([one.error + one.open for one in all_found])  # (windows, outputs)
    value = np.array([one.value for one in all_found])
    chosen = reach.argmin(axis=0)[None]

    def of(arrays: list[Floats]) -> Floats:
        return np.take_along_axis(np.array(arrays), chosen, axis=0)[0]

    best = of([one.value for one in all_found])
    opened = of([one.open for one in all_found])
    contradicted = (abs(value - best) - reach - opened).max(axis=0)
    error = np.maximum(of([one.error for one in all_found]), contradicted)
    same = np.isfinite(apart)
    return _Found(
        all_found[0].direction,
        np.where(same, 0, best),
        np.where(same, apart, error),
        np.where(same, 0, opened),
        np.where(same, 0, of([one.gain for one in all_found])),
        np.where(same, 0, of([one.jump for one in all_found])),
    )


def _following(ground: _Ground, window: _Window, best: _Found, at: int, most: int) -> int | None:
    """log₂ of the step to try next; None where the error is small enough, or as small as it gets.

    Truncation grows as t⁴ and noise falls as 1/t, so that they meet at t (noise/truncation)^(1/5).
    """
    weights = np.where(best.gain > 0, ground.weights, 0)
    error, size = _product(best.error, weights), weights @ abs(best.value)
    if error <= max(_AIM * size, _AIM_OF_SUM * abs(ground.cotangent @ best.value)):
        return None
    waiting = np.where(best.error > _AIM * abs(best.value), weights, 0)
    truncation, noise = _product(window.truncation, waiting), _product(window.noise, waiting)
    if truncation > _FAR_ABOVE * noise:
        ratio = truncation / noise if noise > 0 else np.inf
        return at - (min(8, math.ceil(math.log2(ratio) / 5)) if math.isfinite(ratio) else 8)
    if truncation > 2 * noise:
        return None
    ratio = noise / truncation if truncation > 0 else np.inf
    return min(most, at + (min(10, 4 + math.floor(math.log2(ratio) / 5)) if math.isfinite(ratio) else 10))


# --- complex steps ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Departure:
    """By how much a complex step along a number of one input may err, (outputs,), over its part of `lengths`."""

    error: Floats
    lengths: Floats
    gain: float


def _departures(ground: _Ground) -> dict[int, list[_Departure]] | None:
    """How far from analytic the outputs are by each input; None where more than noise, or without complex numbers.

    On a circle, f(x + r e^(iθ) v) = Σ_m c_m e^(imθ), and c_m = 0 for m < 0 where f is analytic. For |z|, z̄, Re z and
    the like c₋₁ / r is at least half of what they do to a complex step. Of 16 places on a circle 9 are enough, as
    f(z̄) is the conjugate of f(z) (J. N. Lyness and C. B. Moler, *Numerical differentiation of analytic functions*,
    1967). A random v of no simple ratios leaves nothing to cancel. Noise counts for less where all numbers of an
    input move like its largest, unless f itself is larger there: then they move each like itself.
    """
    found: dict[int, list[_Departure]] = {}
    for number in ground.moving if ground.roundoff == _DOUBLE else ():
        own = ground.lengths[number]
        assert own is not None  # noqa: S101
        equal = np.full(own.shape, own.max())
        circles = [_departure(ground, number, equal, 2.0**-4)]
        for radius in (2.0**-4, 2.0**-8):
            if circles[-1] is None or own.min() < own.max() / 4:
                circles.append(_departure(ground, number, own, radius))
            if circles[-1] is not None:
                break
        found[number] = [one for one in circles if one is not None]
        if not found[number]:
            return None
    return found if len(found) == len(ground.moving) else None


def _departure(ground: _Ground, number: int, lengths: Floats, radius: float) -> _Departure | None:
    """Of one input on one circle; None where it is too long."""
    direction = ground.scattered([number], generic=True, lengths=lengths)
    if not radius < min(ground.rooms(direction)) / 2:
        return None
    angles = 1j * np.pi * np.arange(_HALF + 1) / _HALF
    first = ground.complex_at(direction, radius)
    if not np.isfinite(first[ground.weights > 0]).all():
        return None
    half = np.array([first, *(ground.complex_at(direction, radius * place) for place in np.exp(angles[1:]))])
    whole = np.concatenate([half, half[-2:0:-1].conj()])  # (16, outputs)
    epsilon = np.maximum(ground.noise, ground.roundoff * abs(whole).max(axis=0))
    departure = abs(np.fft.fft(whole, axis=0)[_HALF + 1 :]) / len(whole)  # c₋₇ ... c₋₁
    if not (departure <= _EXCESS * epsilon)[:, ground.weights > 0].all():
        return None
    gain = 2 * _SAFETY / radius  # the parts of v are up to 2 times shorter than `lengths`
    return _Departure(gain * (departure.max(axis=0) + epsilon), lengths, gain)


def _by_complex_steps(
    ground: _Ground,
    directions: Sequence[Direction],
    departures: dict[int, list[_Departure]],
    check: Sequence[_Found],
) -> list[_Found] | None:
    """Im f(x + ihv) / h, without a subtraction (W. Squire and G. Trapp, SIAM Review 40, 1998); None where it is wrong.

    It errs by as much as f departs from an analytic function within rounding, for which `departures` are bounds:
    what does not show in values can't be held against a backward pass. Along n numbers with random signs errors add
    up as √n. Differences have to agree.
    """

    def along(direction: Direction) -> _Found:
        value = ground.complex_at(direction, 1j * _IMAGINARY).imag / _IMAGINARY
        nothing = np.zeros(value.size)
        error, gain = 8 * ground.roundoff * abs(value), nothing
        for number, part in enumerate(direction.arrays):
            if part is not None:
                some = departures[number]
                root = math.sqrt(np.count_nonzero(part))
                shares = np.array([[float((abs(part) / one.lengths).max()) * root] for one in some])
                errors = shares * np.array([one.error for one in some])  # (circles, outputs)
                best = errors.argmin(axis=0)
                error = error + errors.min(axis=0)
                gain = gain + (shares[:, 0] * [one.gain for one in some])[best]
        known = np.isfinite(value) & np.isfinite(error)
        value, error = np.where(known, value, 0), np.where(known, error, np.inf)
        return _Found(direction, value, error, nothing, gain, nothing)

    def faint(one: _Found) -> bool:
        """Whether differences may see a coordinate better: with steps far longer than its own length."""
        if one.direction.entry is None:
            return False
        number, index = one.direction.entry
        lengths = departures[number][0].lengths
        longest, own = lengths.max(), lengths[index]
        lost = _product(one.error, ground.weights) > _FAINT * abs(ground.cotangent @ one.value)
        return bool(own < longest and lost)

    for one in check:
        ours = along(one.direction)
        apart = abs(ours.value - one.value) > ours.error + one.error
        if (one.jump != 0).any() or (apart | ~np.isfinite(ours.error))[ground.weights > 0].any():
            return None
    found = [along(direction) for direction in directions]
    return [_better(one, _measured(ground, one.direction)) if faint(one) else one for one in found]


def _better(one: _Found, other: _Found) -> _Found:
    """For each output what errs less, and no less than the two contradict each other."""
    first = one.error <= other.error + other.open
    names = ("value", "error", "open", "gain", "jump")
    best = {name: np.where(first, getattr(one, name), getattr(other, name)) for name in names}
    apart = abs(one.value - other.value) - one.error - other.error - other.open
    best["error"] = best["error"] + np.maximum(np.nan_to_num(apart), 0)
    return _Found(one.direction, **best)


# --- several kinks at the point -----------------------------------------------------------------------------


def _ties(ground: _Ground, coordinates: Sequence[_Found]) -> list[_Found]:
    """Lines that keep a tie: those numbers at once that kink together, each by its length over its jump.

    For f = max(x, y, ...), the change of f with two numbers at once differs from the sum of its changes with each,
    and so it does for f = relu(w·x) where two numbers move f to opposite sides; what keeps the tie has the signs
    for which it does. All of the first may move together, of the second two at a time.
    """
    changes: dict[tuple[tuple[int, float], ...], Floats] = {}
    measured: dict[tuple[tuple[int, float], ...], _Found] = {}
    t = 2.0 ** _BESIDE[ground.roundoff][1]

    def together(shares: dict[int, float]) -> Direction:
        lengths: dict[tuple[int, tuple[int, ...]], float] = {}
        for i, share in shares.items():
            direction = coordinates[i].direction
            assert direction.entry is not None  # noqa: S101
            lengths[direction.entry] = share * direction.length
        return ground.joint(lengths)

    def change(shares: dict[int, float]) -> Floats:
        """What f(x + tv) adds to f(x)."""
        key = tuple(shares.items())
        if key not in changes:
            changes[key] = ground.moved(together(shares), t) - ground.value
        return changes[key]

    def along(shares: dict[int, float]) -> _Found:
        key = tuple(shares.items())
        if key not in measured:
            measured[key] = _measured(ground, together(shares))
        return measured[key]

    for k in np.flatnonzero(ground.weights > 0):
        waiting = [i for i, one in enumerate(coordinates) if one.jump[k] != 0]
        while len(waiting) > 1 and len(changes) < _PAIRS:
            first, *others = waiting
            group, size = {first: 1.0}, abs(coordinates[first].jump[k])
            for other, sign in product(others, (1.0, -1.0)):
                own = abs(coordinates[other].jump[k])
                apart = change({first: 1.0})[k] + change({other: sign})[k]
                if (
                    other not in group
                    and abs(change({first: 1.0, other: sign})[k] - apart) > min(size, own) * t / 4
                ):
                    group[other] = sign * _rounded(size / own)
            waiting = [other for other in others if other not in group]
            if len(group) > 1 and along(group).jump[k] != 0:
                for other in list(group)[1:]:
                    along({first: 1.0, other: group[other]})
    return [*measured.values()]


def _rounded(ratio: float) -> float:
    """A ratio of jumps to 20 bits: equal jumps, which are known to 30, are equal."""
    mantissa, exponent = math.frexp(ratio)
    return math.ldexp(round(mantissa * 2**20), exponent - 20)


def _beside(ground: _Ground, found: Sequence[_Found]) -> list[_Found]:
    """Open wholly what has neighbours with slopes outside of the one-sided ones.

    Lines that kink, or have such neighbours, meet in one point; in an output where one has such neighbours, no
    slope of theirs is known. (Of three numbers that tie, one is in the middle; alone it can't be moved and remain
    there, so that no line shows that the median has a slope by it.)
    """
    away, step = (2.0**exponent for exponent in _BESIDE[ground.roundoff])
    outside = np.zeros((len(found), ground.value.size))
    for _ in range(_NEIGHBOURS):
        base = ground.shifted(ground.scattered(ground.moving, generic=True), away)
        for number, one in enumerate(found):
            plus, minus = (ground.at(ground.shifted(one.direction, t, base)) for t in (step, -step))
            slope = (plus - minus) / (2 * step)
            beyond = abs(slope - one.value) - one.open - one.error
            outside[number] = np.maximum(outside[number], np.where(np.isnan(beyond), np.inf, beyond))
    size = np.array([abs(one.value) + abs(one.jump) for one in found]).max(axis=0)
    noise = 2 * np.maximum(ground.noise, ground.roundoff * abs(ground.value)) / step
    outside = outside > size / 2**_BENT + noise  # (lines, outputs)
    bent = outside.any(axis=0)
    meeting = [(one.jump != 0).any() or far.any() for one, far in zip(found, outside, strict=True)]
    return [
        replace(one, open=np.where(bent, np.inf, one.open)) if meets else one
        for one, meets in zip(found, meeting, strict=True)
    ]


def _with_conditioning(ground: _Ground, found: Sequence[_Found]) -> list[_Found]:
    """Add to the noise what the rounding of all inputs does to an output, u Σ_j |x_j ∂f/∂x_j|, and underflow."""
    size = np.zeros(ground.value.size)
    along = np.zeros(ground.value.size)
    for one in found:
        if one.direction.entry is None:
            along = np.maximum(along, abs(one.value))
        else:
            number, index = one.direction.entry
            size += abs(float(ground.point[number][index]) / one.direction.length * one.value)
    noise = ground.roundoff * np.maximum(size, along) + _TINY[ground.roundoff]
    return [replace(one, error=one.error + noise * one.gain) for one in found]
