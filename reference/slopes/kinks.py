"""Several kinks at one point: what one-sided slopes by coordinate say too little about, or too much."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from reference.slopes.ground import DOUBLE, SINGLE, Direction, Floats, Ground
from reference.slopes.line import Found, measured

_BESIDE = {DOUBLE: (-18, -24), SINGLE: (-8, -11)}
"""log₂ of how far beside the point lines are taken, and with which step numbers are moved at once."""
_SIDES = 2
"""Directions in which there are neighbours of a line, on both sides."""
_ALONG = (-4.0, -1.0, -0.25, 0.25, 1.0, 4.0)
"""Where a neighbouring line is looked at, in units of its distance: from one end to the other all directions lie
between those of -v and v."""
_BENT = 2.0**-6
"""A neighbour's slope is another where it differs by this share of the slopes and jumps."""
_BITS = 20
"""To so many a ratio of jumps is known: a line may keep the tie no better."""
_PAIRS = 256
"""How many pairs of numbers are moved at most to see which kink together."""

_Shares = Mapping[int, float]
"""Coordinates by their place, and how far each moves, in units of its length."""


class _Ties:
    """Numbers that kink together.

    For f = max(x, y, ...), the change of f with two numbers at once differs from the sum of its changes with each,
    and so it does for f = relu(w·x) where two numbers move f to opposite sides; the signs for which it does keep the
    tie, if each number moves by its length over its jump.
    """

    def __init__(self, ground: Ground, coordinates: Sequence[Found]) -> None:
        self._ground, self._coordinates = ground, coordinates
        self._t = 2.0 ** _BESIDE[ground.roundoff][1]
        self._changes: dict[tuple[tuple[int, float], ...], Floats] = {}
        self._lines: dict[tuple[tuple[int, float], ...], Found] = {}

    @property
    def lines(self) -> list[Found]:
        """All that were measured; each is open by what is left of the jumps, since ratios are known to some bits."""
        found: list[Found] = []
        for shares, one in self._lines.items():
            jumps = sum(abs(share * self._coordinates[i].jump) for i, share in shares)
            found.append(replace(one, open=one.open + 2.0 ** (1 - _BITS) * jumps))
        return found

    @property
    def pairs(self) -> int:
        """How many points were tried."""
        return len(self._changes)

    def _direction(self, shares: _Shares) -> Direction:
        moving = [(self._coordinates[i].direction, share) for i, share in shares.items()]
        lengths = {one.entry: share * one.length for one, share in moving if one.entry is not None}
        return self._ground.together(lengths)

    def _change(self, shares: _Shares) -> Floats:
        """What f(x + tv) adds to f(x)."""
        key = tuple(shares.items())
        if key not in self._changes:
            (there,) = self._ground.moved(self._direction(shares), [self._t])
            self._changes[key] = there - self._ground.value
        return self._changes[key]

    def along(self, shares: _Shares) -> Found:
        """The line on which some coordinates move at once."""
        key = tuple(shares.items())
        if key not in self._lines:
            self._lines[key] = measured(self._ground, self._direction(shares))
        return self._lines[key]

    def group(self, first: int, others: Sequence[int], output: int) -> dict[int, float]:
        """Those of `others` that kink together with the first in an output, and how far each moves."""
        jumps = {i: abs(float(self._coordinates[i].jump[output])) for i in (first, *others)}
        found = {first: 1.0}
        for other, sign in product(others, (1.0, -1.0)):
            alone = self._change({first: 1.0})[output] + self._change({other: sign})[output]
            apart = abs(self._change({first: 1.0, other: sign})[output] - alone)
            if other not in found and apart > min(jumps[first], jumps[other]) * self._t / 4:
                found[other] = sign * _rounded(jumps[first] / jumps[other])
        return found


def ties(ground: Ground, coordinates: Sequence[Found]) -> list[Found]:
    """Lines that keep a tie: of max(x, y, z) all three may move together, of relu(w·x) two at a time."""
    found = _Ties(ground, coordinates)
    for output in np.flatnonzero(ground.weights > 0):
        waiting = [i for i, one in enumerate(coordinates) if one.jump[output] != 0]
        while len(waiting) > 1 and found.pairs < _PAIRS:
            first, *others = waiting
            group = found.group(first, others, int(output))
            waiting = [other for other in others if other not in group]
            if len(group) > 1 and found.along(group).jump[output] != 0:
                for other in [other for other in group if other != first]:
                    found.along({first: 1.0, other: group[other]})
    return found.lines


def _rounded(ratio: float) -> float:
    """A ratio of jumps, so that equal ones, which are known to 30 bits, are equal."""
    mantissa, exponent = math.frexp(ratio)
    return math.ldexp(round(mantissa * 2**_BITS), exponent - _BITS)


def beside(ground: Ground, found: Sequence[Found]) -> list[Found]:
    """Open wholly what has neighbours with slopes outside of the one-sided ones.

    Neighbouring lines are parallel, on opposite sides, and long in units of their distance: what lies in the plane of
    both sides and of the line is met by one of them, if it is no cone narrower than some degrees.

    Lines that kink, or have such neighbours, meet in one point; in an output where one has such neighbours, no
    slope of theirs is known. (Of three numbers that tie, one is in the middle; alone it can't be moved and remain
    there, so that no line shows that the median has a slope by it.)
    """
    away = 2.0 ** _BESIDE[ground.roundoff][0]
    beyond = np.zeros((len(found), ground.value.size))
    for _ in range(_SIDES):
        aside = ground.scattered(ground.lengths, generic=True)
        for base, (number, one) in product(
            [ground.shifted(aside, side * away) for side in (1, -1)], enumerate(found)
        ):
            places = np.array(_ALONG) * away
            values = ground.moved(one.direction, places.tolist(), base)  # (places, outputs)
            secants = np.diff(values, axis=0) / np.diff(places)[:, None]
            outside = (abs(secants - one.value) - one.open - one.error).max(axis=0)
            beyond[number] = np.maximum(beyond[number], np.nan_to_num(outside, nan=np.inf))
    size = np.array([abs(one.value) + abs(one.jump) for one in found]).max(axis=0)
    shortest = np.diff(_ALONG).min() * away
    noise = 2 * np.maximum(ground.noise, ground.roundoff * abs(ground.value)) / shortest
    outside = beyond > _BENT * size + noise  # (lines, outputs)
    bent = outside.any(axis=0)
    meeting = [one.jump.any() or far.any() for one, far in zip(found, outside, strict=True)]
    return [
        replace(one, open=np.where(bent, np.inf, one.open)) if meets else one
        for one, meets in zip(found, meeting, strict=True)
    ]
