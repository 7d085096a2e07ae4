"""Whether slopes that were measured are those by which a function moves: not where it is a staircase.

Where little but rounding is left of a number, as of log(1 - p) for a p that is nearly 1, a function is a staircase, and
a difference within a stair is right for the stair alone.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from reference.slopes import NotRepeatableError, Several, slopes

Array = np.ndarray[Any, Any]

INTERVALS = 8
"""In which measured slopes are held against what the function moves."""
WIDTHS = tuple(2.0**-power for power in (4, 6, 8, 10))
"""Of an interval, relative to how far the function is moved: narrower stairs show as noise where it is measured."""


Moved = Callable[[Array], Sequence[float | Exception]]
"""A function of one number, of several of them; why it can't be called there."""


def is_staircase(moved: Moved, here: np.floating[Any], reaches: Sequence[float], wrong: float) -> bool:
    """Whether a slope that was measured is that of stairs.

    Args:
        moved: the function.
        here: where the slope was measured, in the format of the function's numbers.
        reaches: how far it may be moved; the first that it can be called for counts.
        wrong: how far from the slope that is which it is held against.

    Raises:
        Inconclusive, Violation: as any call of the subject.
    """
    for width in WIDTHS:
        for reach in reaches:  # what has to be positive reaches less far
            with suppress(NotRepeatableError, ValueError):
                if _has_stairs(moved, here, reach * width, wrong):
                    return True
                break
    return False


def _has_stairs(moved: Moved, here: np.floating[Any], width: float, wrong: float) -> bool:
    """Whether slopes in the middle of intervals are not what the function moves from end to end.

    Of a smooth function the two differ by w²/24 of its third derivative, which the slopes themselves tell; of one with
    a kink, in one interval. Of stairs they do in more than a quarter of them, by more than a quarter of what is wrong.

    Args:
        moved: the function.
        here: in their middle.
        width: w, of an interval.
        wrong: how far the gradient is from the slope that was measured.

    Raises:
        NotRepeatableError, ValueError: where the function can't be called there.
    """
    middles = here + (np.arange(-1, INTERVALS + 1) - (INTERVALS - 1) / 2) * width
    ends = (middles[1:] - width / 2).astype(here.dtype)
    values = moved(ends)
    if any(isinstance(one, Exception) for one in values):
        raise ValueError("the function can't be called there")
    slope = np.array([_slope(moved, one) for one in middles.astype(here.dtype)])
    bent = np.abs(slope[:-2] - 2 * slope[1:-1] + slope[2:]) / 12
    apart = np.abs(np.diff(np.array(values, float)) / np.diff(ends.astype(float)) - slope[1:-1])
    return bool((apart > wrong / 4 + bent).sum() > INTERVALS / 4)


def _slope(moved: Moved, x: np.floating[Any]) -> float:
    def at(places: list[list[Any]]) -> list[list[Any] | Exception]:
        found = moved(np.array([x for (x,) in places]))
        return [one if isinstance(one, Exception) else [np.asarray(one)] for one in found]

    found = slopes(Several(at), [np.asarray(x)], complex_steps=False, lines=0)
    (entry,) = found.vjp([np.ones(())]).entries
    return np.nan if entry is None else float(entry.value)
