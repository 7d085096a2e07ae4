"""Columns of the Jacobian, and what they say of a vector-Jacobian product."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reference.slopes.analytic import by_complex_steps
from reference.slopes.ground import (
    TINY,
    Array,
    Direction,
    Floats,
    Forward,
    Ground,
    Interval,
    flat,
    weighted,
)
from reference.slopes.kinks import beside, ties
from reference.slopes.line import Found, measured, with_conditioning


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
        """The products ⟨gradient, v⟩ to hold against `value`, (directions,); a gradient for each input."""
        return np.array([direction.inner(gradient) for direction in self.directions])

    @property
    def resolution(self) -> float:
        """The relative error of a number that would have been noticed, at the median of those that aren't 0.

        Numbers are entries, or products where no input is small enough for entries.
        """
        parts = [one for one in self.entries if one is not None] or [
            Entries(self.value, self.error, self.open)
        ]
        value = np.concatenate([part.value.ravel() for part in parts])
        reach = np.concatenate([(part.error + part.open).ravel() for part in parts])
        seen = value != 0
        return float(np.median(reach[seen] / abs(value[seen]))) if seen.any() else math.inf

    @property
    def digits(self) -> int:
        """How many digits of a number could be seen: -log₁₀ of `resolution`, at least 0."""
        return max(0, math.floor(-math.log10(self.resolution))) if math.isfinite(self.resolution) else 0


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

    def columns(self) -> tuple[Floats, Floats, Floats]:
        """The derivative of each output along each line, (lines, outputs); along a coordinate by one of its units.

        Value, error and what a kink leaves open, with what a program may lose itself: each is a `vjp` with a cotangent
        of 1 for one output.
        """
        length = np.array([one.length for one in self.directions])[:, None]
        with np.errstate(all="ignore"):
            rounding = 8 * self.roundoff * abs(self.value) + 2 * TINY[self.roundoff]
            known = np.isfinite(self.value)
            value = np.where(known, self.value, 0) / length
            error = np.where(known, self.error + rounding, np.inf) / length
            opened = np.where(known, self.open, 0) / length
        return value, error, opened

    def vjp(self, cotangents: Sequence[Array | None]) -> Vjp:
        """The products with a cotangent for each output; None where an output has none.

        The error of a sum is the sum of the errors, and what a backward pass may lose itself in adding up
        the same terms: γ Σ_k |dy_k ∂y_k/∂x|, and underflow.
        """
        weights = flat(cotangents, self.shapes)
        with np.errstate(all="ignore"):
            value, size = self.value @ weights, abs(self.value) @ abs(weights)
            rounding = (8 + math.log2(max(1, len(weights)))) * self.roundoff * size
            underflow = TINY[self.roundoff] * (1 + abs(weights).sum())
            error, opened = weighted(self.error, weights) + rounding + underflow, weighted(self.open, weights)
        known = np.isfinite(value)
        value, error, opened = (
            np.where(known, value, 0),
            np.where(known, error, np.inf),
            np.where(known, opened, 0),
        )
        joint = [i for i, one in enumerate(self.directions) if one.entry is None]
        return Vjp(
            self._entries(value, error, opened),
            tuple(self.directions[i] for i in joint),
            value[joint],
            error[joint],
            opened[joint],
            self.calls,
        )

    def _entries(self, value: Floats, error: Floats, opened: Floats) -> tuple[Entries | None, ...]:
        found: dict[int, Entries] = {}
        for line, direction in enumerate(self.directions):
            if direction.entry is not None:
                number, index = direction.entry
                nothing = Entries(*(np.zeros(self.point[number].shape) for _ in range(3)))
                entries = found.setdefault(number, nothing)
                entries.value[index] = value[line] / direction.length
                entries.error[index] = error[line] / direction.length
                entries.open[index] = opened[line] / direction.length
        return tuple(found.get(number) for number in range(len(self.point)))


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
        forward: the forward pass; a `Several` is asked for many places at once.
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
    with np.errstate(all="ignore"):
        random = np.random.default_rng(seed)
        ground = Ground(forward, point, cotangents, differentiable, within, random, single=single)
        found = _lines(ground, entries, lines, complex_steps=complex_steps) if ground.moving else []
        if any(one.jump.any() for one in found):
            found += ties(ground, [one for one in found if one.direction.entry is not None])
            found = beside(ground, found)
        found = with_conditioning(ground, found)
    size = len(found), ground.value.size
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


def _lines(ground: Ground, entries: int, lines: int, *, complex_steps: bool) -> list[Found]:
    """Each coordinate of small inputs, random lines through large ones, and one through all inputs."""
    small = {i: size for i, size in ground.lengths.items() if size.size <= entries}
    large = {i: size for i, size in ground.lengths.items() if size.size > entries}
    directions = [one for number in small for one in ground.coordinates(number)]
    directions += [ground.scattered(large) for _ in range(lines if large else 0)]
    check = measured(ground, ground.scattered(ground.lengths))
    found = by_complex_steps(ground, directions, check) if complex_steps else None
    return [*(found or [measured(ground, one) for one in directions]), check]
