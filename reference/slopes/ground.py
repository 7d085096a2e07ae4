"""The forward pass at the point: its value, its noise, and how far each number can be moved."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Forward = Callable[[list[Array]], Sequence[Any]]
"""Takes the inputs, returns its outputs as a sequence. Where it has none it raises ArithmeticError or ValueError."""
Entry = tuple[int, tuple[int, ...]]
"""One number: of which input, and its index there."""
Interval = tuple[float, float]

SINGLE, DOUBLE = 2.0**-24, 2.0**-53
"""The unit roundoffs."""
TINY = {DOUBLE: 2.0**-1022, SINGLE: 2.0**-126}
"""What is smaller may be lost to underflow."""
GOLDEN = (math.sqrt(5) - 1) / 2
_PLACES = np.array([0, *sorted(6 * (i * GOLDEN % 1) for i in range(1, 7))])
"""Where a table of differences is taken, in units of its step; 0 is the point."""
_NEAR, _WIDE = 2.0**-48, {False: 2.0**-22, True: 2.0**-13}
"""The steps of the tables, relative to the numbers: 32 units in the last place of a double; longer ones, for single
precision too, that leave differences of order 5 below the rounding."""
_LOST, _KEPT = 2.0**-27, 2.0**-8
"""By which share a number of single precision does not change, and does."""
_NEARER = (0.75, 0.5, 0.25, 0.0625)
"""By what the numbers are multiplied in looking for hidden noise."""
EXCESS = 8.0
"""What is so many times above noise is no noise."""
_UNUSUAL = 4.0
"""Noise, three standard deviations, that many times above what the rounding of f and of the inputs makes."""


@dataclass(frozen=True)
class Several:
    """A forward pass that is asked for several places at once, where one call for all is cheaper.

    Attributes:
        at: takes the inputs of each place, returns the outputs of each, or in their place why there are none.
    """

    at: Callable[[list[list[Array]]], Sequence["Sequence[Any] | Exception"]]

    def __call__(self, inputs: list[Array]) -> Sequence[Any]:
        """See `Forward`."""
        (outputs,) = self.at([inputs])
        if not isinstance(outputs, Exception):
            return outputs
        raise ValueError(str(outputs)) from outputs


class NotRepeatableError(ValueError):
    """Two calls of a forward pass with the same inputs differ by more than rounding."""


@dataclass(frozen=True)
class Direction:
    """A line through the point: x + tv.

    Attributes:
        parts: v for each input that moves, of its shape.
        entry: for a coordinate, which number moves; None for several.
        is_tie: whether several numbers move that kink together.
    """

    parts: Mapping[int, Floats]
    entry: Entry | None = None
    is_tie: bool = False

    @property
    def length(self) -> float:
        """By how much a coordinate moves."""
        return 1.0 if self.entry is None else float(self.parts[self.entry[0]][self.entry[1]])

    def inner(self, gradient: Sequence[Array | None]) -> float:
        """The product ⟨gradient, v⟩; 0 for an input without gradient."""
        arrays = ((gradient[number], part) for number, part in self.parts.items())
        return math.fsum(
            float(one) for array, part in arrays if array is not None for one in (part * array).flat
        )


class Ground:
    """The forward pass at the point.

    **Noise** (J. J. Moré and S. M. Wild, *Estimating computational noise*, SIAM J. Sci. Comput. 33, 2011): of
    values on a line with steps so short that f is a polynomial of low degree there, differences of higher order
    are noise alone; with weights whose squares add up to 1 their mean square is its variance. Steps of some units in
    the last place serve for a double. What is computed in single precision, or beside larger numbers, shows with
    longer ones, where differences of order 5 and 6 are free of f itself even if it changes over a 10,000th of x. The
    places have no simple ratios: what is added to 1 is rounded to multiples of 2^-52, and at equal distances a sixth
    of all numbers is rounded linearly, without any difference to be seen.

    Attributes:
        point: the inputs.
        moving: which of them are moved.
        shapes: of the outputs.
        value: all outputs, one after another, (outputs,); likewise all arrays of outputs below.
        cotangent: what each output is worth.
        weights: its size.
        lengths: for each input that is moved, a power of 2 about as large as each number.
        roundoff: the unit roundoff of the forward pass.
        noise: what rounding may do to each output.
        calls: how often forward was called.
    """

    def __init__(
        self,
        forward: Forward,
        point: Sequence[Array],
        cotangents: Sequence[Array | None] | None,
        differentiable: Sequence[bool] | None,
        within: Sequence[Interval | None] | None,
        random: np.random.Generator,
        *,
        single: bool,
    ) -> None:
        """Call forward some 40 times. Raises `NotRepeatableError`; arguments as for `slopes`."""
        self._forward, self._random, self.calls = forward, random, 0
        self._several = forward.at if isinstance(forward, Several) else self._one_by_one
        self.point = [np.asarray(array) for array in point]
        self._within = within or [None] * len(self.point)
        chosen = differentiable or [True] * len(self.point)
        self.moving = [
            i
            for i, array in enumerate(self.point)
            if chosen[i] and array.dtype.kind == "f" and array.size > 0
        ]
        self.calls += 1
        outputs = forward(self.point)
        self.shapes = tuple(np.shape(output) for output in outputs)
        self.value = flat(outputs, self.shapes)
        self.cotangent = flat(
            [np.ones(shape) for shape in self.shapes] if cotangents is None else cotangents, self.shapes
        )
        self.weights = abs(self.cotangent)
        self.lengths = {i: self._lengths(i) for i in self.moving}
        arrays = [*(self.point[i] for i in self.moving), *(np.asarray(output) for output in outputs)]
        narrow = any(array.dtype.kind == "f" and array.dtype.itemsize < 8 for array in arrays)  # noqa: PLR2004
        self.noise, self.roundoff = self._noise(single=single or narrow)

    def _one_by_one(self, places: list[list[Array]]) -> list[Sequence[Any] | Exception]:
        found: list[Sequence[Any] | Exception] = []
        for inputs in places:
            try:
                found.append(self._forward(inputs))
            except (ArithmeticError, ValueError, TypeError, Warning) as error:
                found.append(error)
        return found

    def at(self, places: list[list[Array]], dtype: type = np.float64) -> Array:
        """All outputs at other inputs, (places, outputs); NaN where there are none."""
        self.calls += len(places)
        found = np.full((len(places), self.value.size), np.nan, dtype)
        for row, outputs in zip(found, self._several(places), strict=True):
            with suppress(ArithmeticError, ValueError, TypeError, Warning):
                row[:] = row if isinstance(outputs, Exception) else flat(outputs, self.shapes, dtype)
        return found

    def moved(self, direction: Direction, by: Sequence[float], base: Sequence[Array] | None = None) -> Floats:
        """All outputs at x + tv, or at another base + tv, for some t, (places, outputs)."""
        return self.at([self.shifted(direction, t, base) for t in by])

    def moved_by_complex(self, direction: Direction, by: Sequence[complex]) -> Array:
        """All outputs at x + zv for some complex z, (places, outputs)."""
        parts = direction.parts
        moved = [[one + z * parts[i] if i in parts else one for i, one in enumerate(self.point)] for z in by]
        return self.at(moved, np.complex128)

    def shifted(self, direction: Direction, t: float, base: Sequence[Array] | None = None) -> list[Array]:
        """The inputs x + tv."""
        inputs = list(base or self.point)
        for number, part in direction.parts.items():
            inputs[number] = (inputs[number] + t * part).astype(inputs[number].dtype)
        return inputs

    def _room(self, number: int) -> tuple[Floats, Floats]:
        """How far each number of an input may fall and rise."""
        array = self.point[number].astype(np.float64)
        low, high = self._within[number] or (-np.inf, np.inf)
        return array - low, high - array

    def _lengths(self, number: int) -> Floats:
        size = abs(self.point[number].astype(np.float64))
        # A number's own size is the only scale that is known of it; 0 has that of the smallest.
        size = np.where(size > 0, size, size[size > 0].min(initial=np.inf))
        size = np.minimum(size, np.minimum(*self._room(number)))
        usual = np.isfinite(size) & (size > 0)
        return np.where(usual, 2.0 ** np.floor(np.log2(np.where(usual, size, 1))), 1.0)

    def rooms(self, direction: Direction) -> tuple[float, float]:
        """How far t may fall and rise until x + tv leaves the domain."""
        falls, rises = [np.inf], [np.inf]
        for number, part in direction.parts.items():
            below, above = (room[part != 0] for room in self._room(number))
            size, up = abs(part[part != 0]), part[part != 0] > 0
            falls.append(float((np.where(up, below, above) / size).min(initial=np.inf)))
            rises.append(float((np.where(up, above, below) / size).min(initial=np.inf)))
        return min(falls), min(rises)

    def largest(self, direction: Direction) -> float:
        """The t by which some number moves as far as the largest number of its input is from 0."""
        sizes = [
            (float(abs(self.point[i]).max()), float(abs(part).max())) for i, part in direction.parts.items()
        ]
        return min((max(1.0, whole / part) for whole, part in sizes if part > 0), default=1.0)

    def finest(self, direction: Direction) -> float:
        """The t from which on no number moves by less than 4 units of its own rounding."""
        shares = [(abs(self.point[i].astype(np.float64)), abs(part)) for i, part in direction.parts.items()]
        return max(
            (4 * self.roundoff * float((size / part)[part > 0].max(initial=0)) for size, part in shares),
            default=0,
        )

    def coordinates(self, number: int) -> Iterator[Direction]:
        """A direction for each number of an input."""
        for index in np.ndindex(self.point[number].shape):
            yield self.together({(number, index): float(self.lengths[number][index])})

    def together(self, lengths: Mapping[Entry, float]) -> Direction:
        """The direction that moves one number, or some that tie, each by its length."""
        parts: dict[int, Floats] = {}
        for (number, index), length in lengths.items():
            parts.setdefault(number, np.zeros(self.point[number].shape))[index] = length
        single = len(lengths) == 1
        return Direction(parts, next(iter(lengths)) if single else None, is_tie=not single)

    def scattered(self, lengths: Mapping[int, Floats], *, generic: bool = False) -> Direction:
        """Random signs for all numbers of some inputs, each by its length; `generic`: times something in [½, 1]."""
        signs = {i: self._random.choice([-1.0, 1.0], size.shape) for i, size in lengths.items()}
        if generic:
            signs = {i: sign * self._random.uniform(0.5, 1, sign.shape) for i, sign in signs.items()}
        return Direction({i: size * signs[i] for i, size in lengths.items()})

    def _noise(self, *, single: bool) -> tuple[Floats, float]:
        """What rounding may do to each output, and the unit roundoff."""
        (again,) = self.at([self.point])
        largest = float(abs(self.value[np.isfinite(self.value)]).max(initial=0))
        difference = np.where((again == self.value) | np.isnan(again), 0, abs(again - self.value))
        if not (difference <= 2**10 * (SINGLE if single else DOUBLE) * largest).all():
            raise NotRepeatableError(
                "Two calls of forward with the same inputs give different results, so that it has no derivative to "
                "compare with: seed its random numbers."
            )
        direction = self.scattered(self.lengths, generic=True)
        tables = self._tables(direction, _WIDE[single])
        if not single and (
            _in_single(np.concatenate([values for _, values in tables])) or self._cast(direction)
        ):
            single, tables = True, self._tables(direction, _WIDE[True])
        roundoff = SINGLE if single else DOUBLE
        noises = [
            difference,
            tables[0][0],
            *(_hidden(noise, values, single=single) for noise, values in tables[1:]),
        ]
        if not single:
            noises.append(self._table(direction, _NEAR, (3, 4, 5))[0])
        return np.nan_to_num(noises).max(axis=0), roundoff

    def _tables(self, direction: Direction, step: float) -> list[tuple[Floats, Floats]]:
        """A table at the point, and some nearer to 0."""
        tables = [self._table(direction, step, (5, 6))]
        for share in _NEARER:
            nearer = [
                (one * (share if i in self.moving else 1)).astype(one.dtype)
                for i, one in enumerate(self.point)
            ]
            tables.append(self._table(direction, step * share, (5, 6), nearer))
        return tables

    def _cast(self, direction: Direction) -> bool:
        """Whether the inputs are cast to single precision: what is lost then makes no difference at all."""
        short = self.shifted(direction, 0)
        for i in self.moving:
            short[i] = short[i].astype(np.float32).astype(short[i].dtype)
        value, less, more = self.moved(direction, (0, _LOST, _KEPT), short)
        return bool((less == value).all() and (more != value).any())

    def _table(
        self, direction: Direction, step: float, orders: Sequence[int], base: Sequence[Array] | None = None
    ) -> tuple[Floats, Floats]:
        """Three standard deviations of the noise by a table of differences, and its values, (places, outputs)."""
        values = self.moved(direction, (step * _PLACES).tolist(), base)
        deviations = [np.sqrt(((_differences(k) @ (values - values[0])) ** 2).mean(axis=0)) for k in orders]
        return 3 * np.array(deviations).max(axis=0), values


def _in_single(values: Floats) -> bool:
    """Whether all values that change, (places, outputs), are numbers of single precision."""
    changing = (values != values[0]).any(axis=0) & np.isfinite(values).all(axis=0)
    return bool(changing.any() and (values == values.astype(np.float32))[:, changing].all())


def _hidden(noise: Floats, values: Floats, *, single: bool) -> Floats:
    """Noise that can't be seen at the point, by a table with all inputs nearer to 0.

    Nothing is left of tanh in 1 + tanh x at x = -20, and its value is 0 without noise; nearer to 0 it is seen to
    be rounded as a number of size 1 is. What counts is noise beyond that of f itself and of the inputs.
    """
    slope = abs(values - values[0]).max(axis=0) / (_WIDE[single] * _PLACES[-1])
    usual = (SINGLE if single else DOUBLE) * (abs(values).max(axis=0) + slope)
    return np.where(noise > _UNUSUAL * usual, noise, 0)


@cache
def _differences(order: int) -> Floats:
    """The divided differences of an order at `_PLACES`, (differences, places), each row of length 1."""
    rows = np.zeros((len(_PLACES) - order, len(_PLACES)))
    for row in range(len(rows)):
        places = _PLACES[row : row + order + 1]
        apart = places[:, None] - places + np.eye(order + 1)
        rows[row, row : row + order + 1] = 1 / apart.prod(axis=1)
    return rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))


def flat(arrays: Sequence[Any], shapes: Sequence[tuple[int, ...]], dtype: type = np.float64) -> Array:
    """All outputs, or cotangents, one after another; 0 for None. Raises ValueError where a shape is another."""
    parts = [
        np.zeros(math.prod(shape), dtype)
        if array is None
        else np.asarray(array, dtype).reshape(shape).ravel()
        for array, shape in zip(arrays, shapes, strict=True)
    ]
    return np.concatenate([np.empty(0, dtype), *parts])


def weighted(errors: Array, weights: Array) -> Any:
    """Σ_k errors |weights|, where an infinite error of what has no weight does not count."""
    return np.where(weights == 0, 0, errors) @ abs(weights)
