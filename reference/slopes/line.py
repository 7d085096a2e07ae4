"""Every output's slope along a line by differences of values, with steps that suit it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from reference.slopes.ground import (
    DOUBLE,
    EXCESS,
    GOLDEN,
    SINGLE,
    TINY,
    Array,
    Direction,
    Floats,
    Ground,
    weighted,
)

SAFETY = 2.0
_START, _LONGEST = {DOUBLE: -11, SINGLE: -7}, -7
"""log₂ of the first step, in units of the coordinate's length, and of the longest. Where f changes over that length,
R(8t) is right to 2^-30, and noise is ten digits less; in single precision truncation meets noise near 2^-7."""
_AT_THE_POINT = {DOUBLE: -26, SINGLE: -14}
"""log₂ of the step within which a kink is taken to lie at the point itself."""
_LEVELS, _MOVES = 4, 4
_AIM, _AIM_OF_SUM = 2.0**-30, 2.0**-26
"""Steps move no further where the error is below this share of the terms, or of their sum."""
_STAIRS = 64.0
"""So many units of roundoff may be rounding inside."""
_FAR_ABOVE = 32.0
"""Truncation that many times above the noise is worth a shorter step."""


@dataclass(frozen=True)
class Found:
    """What is known of every output along a line.

    Attributes:
        direction: the line.
        value: the slope, (outputs,), like the rest.
        error: how far it may be off.
        open: how far a kink may carry it besides.
        gain: how far an error of 1 in every value may carry it; 0 where the output does not depend on the line.
        jump: the difference of the one-sided slopes; 0 where it may be rounding.
    """

    direction: Direction
    value: Floats
    error: Floats
    open: Floats
    gain: Floats
    jump: Floats


def better(one: Found, *others: Found) -> Found:
    """For each output what knows most; where two contradict each other, neither is believed."""
    some = (one, *others)
    value = np.array([each.value for each in some])  # (some, outputs)
    reach = np.array([each.error + each.open for each in some])
    chosen = reach.argmin(axis=0)[None]

    def of(name: str) -> Floats:
        return np.take_along_axis(np.array([getattr(each, name) for each in some]), chosen, axis=0)[0]

    best = Found(one.direction, of("value"), of("error"), of("open"), of("gain"), of("jump"))
    apart = np.where(np.isfinite(reach), abs(value - best.value) - reach, 0).max(axis=0) - best.open
    return replace(best, error=np.maximum(best.error, apart))


@dataclass(frozen=True)
class _Window:
    """Four steps t, 2t, 4t, 8t: what they say.

    Attributes:
        found: of them alone.
        truncation: a part of its error; infinite where nothing is known.
        noise: the other.
        changed: which outputs changed at all.
        unexplained: the error of a value that would explain the truncation as well.
    """

    found: Found
    truncation: Floats
    noise: Floats
    changed: Array
    unexplained: Floats


_Values = dict[int, tuple[Floats, Floats]]
"""f(x + tv) and f(x - tv) by log₂ t."""


def measured(ground: Ground, direction: Direction) -> Found:
    """Every output's slope along a line.

    Steps are never longer than `_LONGEST`. They would find what is too small for shorter ones, but what lies below
    the noise and goes up and down between them would be missed.
    """
    reach = min(ground.rooms(direction)) / 2
    if not reach > 0:
        nothing = np.zeros(ground.value.size)
        return Found(direction, nothing, nothing + np.inf, nothing, nothing + 1, nothing)
    most = _LONGEST if math.isinf(reach) else min(_LONGEST, math.floor(math.log2(reach)) - (_LEVELS - 1))
    at = min(_START[ground.roundoff], most)
    values: _Values = {}
    windows = {at: _window(ground, direction, values, at)}
    apart = _apart(ground, direction, windows[at])
    point = _AT_THE_POINT[ground.roundoff]
    best = _best(ground, windows, values, apart)
    if ground.weights @ best.open > _AIM * (ground.weights @ abs(best.value)) and at > point:
        windows[point] = _window(ground, direction, values, point)
        best = _best(ground, windows, values, apart)
    for _ in range(_MOVES):
        following = _following(ground, windows[at], best, at, most)
        if following is None or following in windows:
            break
        at, before = following, weighted(best.error, ground.weights)
        windows[at] = _window(ground, direction, values, at)
        best = _best(ground, windows, values, apart)
        if math.isfinite(before) and weighted(best.error, ground.weights) > before / 2:
            break
    return best


def _step(level: int) -> float:
    """About 2^level, and in no simple ratio to another step.

    What is added to 1 inside is rounded to a multiple of 2^-52, and if the first step's rounding is a small one, so
    is that of twice the step, and twice as large: all differences would err alike.
    """
    return 2.0 ** (level + 0.25 * ((level * GOLDEN) % 1))


class _Weights(NamedTuple):
    """What to multiply D, or E, of the four steps with.

    Attributes:
        value: gives S, (4,).
        earlier: gives R from each two steps next to each other, (3, 4).
        gain: how far an error of 1 in every value carries S.
    """

    value: Floats
    earlier: Floats
    gain: float


@cache
def _weights(at: int, powers: tuple[int, int], values: float) -> _Weights:
    """To free the steps from 2^at on of two powers of t; an entry sums `values` numbers, over t."""
    steps = np.array([_step(at + i) for i in range(_LEVELS)])

    def extrapolated(chosen: slice, freed: tuple[int, ...]) -> Floats:
        matrix = (steps[chosen] / steps[0]) ** np.array([0, *freed])[:, None]
        found = np.zeros(_LEVELS)
        found[chosen] = np.linalg.solve(matrix, np.eye(len(matrix))[0])
        return found

    value = extrapolated(slice(3), powers)
    earlier = np.array([extrapolated(slice(i, i + 2), powers[:1]) for i in range(_LEVELS - 1)])
    return _Weights(value, earlier, values * float((abs(value) / steps).sum()))


def _window(ground: Ground, direction: Direction, values: _Values, at: int) -> _Window:
    """The four steps from 2^at on."""
    new = [level for level in range(at, at + _LEVELS) if level not in values]
    both = ground.moved(direction, [sign * _step(level) for level in new for sign in (1, -1)])
    values.update(zip(new, zip(both[::2], both[1::2], strict=True), strict=True))
    plus, minus = (np.array([values[at + i][side] for i in range(_LEVELS)]) for side in (0, 1))
    steps = np.array([_step(at + i) for i in range(_LEVELS)])[:, None]
    D = (plus - minus) / (2 * steps)  # (4, outputs)
    E = ((plus - ground.value) + (minus - ground.value)) / steps
    of_D, of_E = _weights(at, (2, 4), 1), _weights(at, (1, 3), 4)
    value, jump = of_D.value @ D, of_E.value @ E
    size = np.maximum(abs(ground.value), np.maximum(abs(plus), abs(minus)).max(axis=0))
    changed = (plus != ground.value).any(axis=0) | (minus != ground.value).any(axis=0)
    # What has not changed by 8t has changed by less than its rounding there.
    rounding = ground.roundoff * size / np.where(changed, 1, 2 ** (_LEVELS - 1))
    epsilon = np.maximum(ground.noise, rounding)
    # Values that are equal, and then change by what may be rounding inside, change by its steps.
    swing = np.maximum(abs(plus - ground.value), abs(minus - ground.value)).max(axis=0)
    epsilon = np.where(
        _stands(ground.value, plus, minus) & (swing <= _rounding(ground)), epsilon + swing, epsilon
    )
    truncation, noise = abs(value - of_D.earlier @ D).max(axis=0), of_D.gain * epsilon
    kinked = abs(jump) > SAFETY * (abs(jump - of_E.earlier @ E).max(axis=0) + of_E.gain * epsilon)
    curvature = ground.roundoff * abs(E[0] / steps[0])
    error = SAFETY * (truncation + noise + curvature) + np.where(kinked, 0, abs(jump) / 2)
    # Where f goes up and down within the steps, D ~ 1/t, and R are no closer to f' the closer they are together.
    signal = abs(D * steps).max(axis=0) / steps[-1]
    known = np.isfinite(error) & (_step(at) >= ground.finest(direction))
    known &= (truncation <= SAFETY * noise) | (truncation <= signal)
    # Nor is noise known to be noise where it is as large as all of f's changes, if it is more than rounding.
    known &= (epsilon <= _rounding(ground)) | (epsilon <= swing / EXCESS)
    kinked = known & kinked
    found = Found(
        direction,
        np.where(known, value, 0),
        np.where(known, error, np.inf),
        np.where(kinked, abs(jump) / 2, 0),
        np.full(value.size, SAFETY * of_D.gain),
        np.where(kinked, jump, 0),
    )
    return _Window(
        found,
        np.where(known, truncation, np.inf),
        np.where(known, noise, 0),
        changed,
        np.nan_to_num(truncation / of_D.gain, nan=np.inf),
    )


def _stands(value: Floats, plus: Floats, minus: Floats) -> Array:
    """Whether an output stays the same from one place to the next, on either side."""
    sides = (np.concatenate([value[None], side]) for side in (plus, minus))
    return np.any([(np.diff(side, axis=0) == 0).any(axis=0) for side in sides], axis=0)


def _rounding(ground: Ground) -> Floats:
    """What may be rounding of f, or beside numbers of size 1 inside of it."""
    return _STAIRS * ground.roundoff * np.maximum(1, abs(ground.value))


def _apart(ground: Ground, direction: Direction, window: _Window) -> Floats:
    """How far an output that does not depend on a coordinate may depend on it all the same; NaN for one that does.

    It changes neither in the window nor, to either side, by steps as long as the input's numbers are large (one
    side alone does not tell: e^-x is lost in 1 + e^-x there). Its slope is rounding over such a step.
    """
    nothing = np.full(ground.value.size, np.nan)
    if direction.entry is None or window.changed.all():
        return nothing
    far = [min(GOLDEN * ground.largest(direction), room / 2) for room in ground.rooms(direction)]
    same = ~window.changed & (ground.moved(direction, (-far[0], far[1])) == ground.value).all(axis=0)
    unseen = SAFETY * (ground.noise + ground.roundoff * abs(ground.value)) + TINY[ground.roundoff]
    return np.where(same, unseen / max(far), nothing)


def _best(ground: Ground, windows: dict[int, _Window], values: _Values, apart: Floats) -> Found:
    """Of all windows, and of what does not depend on the line.

    Something inside may be rounded beside larger numbers, and change by steps. What is between two of them knows
    nothing of them: an output that does not change there, no better than by the smallest change that was seen
    farther out, another no better than by what did not fit there; if that is no more than rounding beside numbers
    of size 1.
    """
    small = _rounding(ground)
    change = np.array([abs(side - ground.value) for pair in values.values() for side in pair])
    step = np.where(change > 0, change, np.inf).min(axis=0)
    same = np.isfinite(apart) & ~np.isfinite(step)
    step, stairs, some = np.where(step <= small, step, 0), np.zeros(ground.value.size), list[Found]()
    for at in sorted(windows, reverse=True):
        window = windows[at]
        unseen = np.where(window.changed, stairs, np.maximum(step, stairs)) * window.found.gain
        some.append(replace(window.found, error=np.maximum(window.found.error, unseen)))
        stairs = np.maximum(stairs, np.where(window.unexplained <= small, window.unexplained, 0))
    best = better(*some)
    return Found(
        best.direction,
        np.where(same, 0, best.value),
        np.where(same, apart, best.error),
        *(np.where(same, 0, one) for one in (best.open, best.gain, best.jump)),
    )


def _following(ground: Ground, window: _Window, best: Found, at: int, most: int) -> int | None:
    """log₂ of the step to try next; None where the error is small enough, or as small as it gets.

    Truncation grows as t⁴ and noise falls as 1/t, so that they meet at t (noise/truncation)^(1/5).
    """
    weights = np.where(best.gain > 0, ground.weights, 0)
    size, total = weights @ abs(best.value), abs(ground.cotangent @ best.value)
    if weighted(best.error, weights) <= max(_AIM * size, _AIM_OF_SUM * total):
        return None
    waiting = np.where(best.error > _AIM * abs(best.value), weights, 0)
    truncation, noise = weighted(window.truncation, waiting), weighted(window.noise, waiting)
    if truncation <= SAFETY * noise:
        return most
    if truncation <= _FAR_ABOVE * noise:
        return None
    return at - (math.ceil(math.log2(truncation / noise) / 5) if truncation < 2.0**40 * noise else 8)


def with_conditioning(ground: Ground, found: Sequence[Found]) -> list[Found]:
    """Add to the noise what the rounding of all inputs does to an output, u Σ_j |x_j ∂f/∂x_j|, and underflow."""
    size, along = np.zeros((2, ground.value.size))
    for one in found:
        if one.direction.entry is None:
            along = np.maximum(along, abs(one.value))
        else:
            number, index = one.direction.entry
            size = size + abs(float(ground.point[number][index]) / one.direction.length * one.value)
    noise = ground.roundoff * np.maximum(size, along) + TINY[ground.roundoff]
    return [replace(one, error=one.error + noise * one.gain) for one in found]
