"""What is done to an array, along an axis or as a factor, and in which words."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def first_part(x: Array, axis: int) -> Array:
    """x that is 0 but for its first part along an axis."""
    return kept(x, axis, 0)


def last_part(x: Array, axis: int) -> Array:
    """x that is 0 but for its last part along an axis."""
    return kept(x, axis, -1)


PARTS: tuple[tuple[str, Callable[[Array, int], Array], float], ...] = (
    ("only the first part of {0} along {axis} is kept", first_part, 0),
    ("only the last part of {0} along {axis} is kept", last_part, 0),
    ("the first part of {0} along {axis} is left out", lambda x, a: x - first_part(x, a), 1),
    ("the last part of {0} along {axis} is left out", lambda x, a: x - last_part(x, a), 1),
)
"""What is done to an array along an axis that is summed over, and how much less likely it is than the first."""

MOVES: tuple[tuple[str, Callable[[Array, int], Array]], ...] = (
    ("{0} runs backwards along {axis}", np.flip),
    ("{0} is shifted by one along {axis}", lambda x, a: shifted(x, 1, a)),
    ("{0} is shifted by one along {axis}", lambda x, a: shifted(x, -1, a)),
)

FACTORS: tuple[tuple[str, Callable[[Array], Array], float], ...] = (
    ("the factor {0} is squared", np.square, 3),
    ("the square root of {0} stands in its place", np.sqrt, 3),
    ("{0} multiplies where it should divide, or the other way round", np.reciprocal, 2.5),
    ("the absolute value of {0} stands in its place", np.abs, 4),
    ("the sign of {0} stands in its place", np.sign, 3.5),
)
"""What becomes of a factor."""


def kept(x: Array, axis: int, place: int) -> Array:
    """x that is 0 but for one place of an axis."""
    alone = np.zeros_like(x)
    where = tuple(place if a == axis else slice(None) for a in range(x.ndim))
    alone[where] = x[where]
    return alone


def shifted(x: Array, by: int, axis: int) -> Array:
    """x moved along an axis, with 0 where nothing moved to."""
    moved = np.roll(x, by, axis)
    return moved - kept(moved, axis, 0 if by > 0 else -1)
