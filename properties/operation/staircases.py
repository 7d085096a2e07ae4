"""Whether slopes that were measured are those by which a function moves: not where it is a staircase.

Where little but rounding is left of a number, as of log(1 - p) for a p that is nearly 1, a function is a staircase, and
a difference within a stair is right for the stair alone.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from properties.operation.cases import OperationCase
from properties.operation.truth import Judge, off
from reference.slopes import NotRepeatableError, slopes

INTERVALS = 8
"""In which measured slopes are held against what the function moves."""


def is_staircase(judge: Judge, case: OperationCase) -> bool:
    """Whether the slopes that were measured for a case, by which it is wrong, are those of stairs.

    It is asked of the entry that is most wrong, along which the function moves beside the case. Raises `Violation` and
    `Inconclusive`, as any call of the subject.
    """
    _, cotangents, gradients = judge.run(case)
    right = judge.right(case)
    if right.lines is None:
        return False
    errors = {
        name: np.abs(gradients[name] - one.value) * off(gradients[name], one)
        for name, one in right.gradients.items()
    }
    name = max(errors, key=lambda name: float(errors[name].max(initial=0)))
    if not errors[name].any():  # of many numbers lines alone tell that some are wrong
        return False
    at = np.unravel_index(int(errors[name].argmax()), errors[name].shape)

    def moved(by: list[Any]) -> list[Any]:
        arrays = {**case.inputs, name: np.array(case.inputs[name])}
        arrays[name][at] += by[0]
        terms = zip(judge.meant(arrays, case.options), cotangents, strict=True)
        return [np.asarray(sum(float((one * dy).sum()) for one, dy in terms if one.dtype.kind == "f"))]

    here, wrong = abs(float(case.inputs[name][at])), float(errors[name].max())
    for reach in dict.fromkeys((max(1.0, here), here)):  # what has to be positive reaches less far
        with suppress(NotRepeatableError, ValueError):
            return _has_stairs(moved, reach / 2 / INTERVALS, wrong)
    return False


def _has_stairs(moved: Callable[[list[Any]], list[Any]], width: float, wrong: float) -> bool:
    """Whether slopes in the middle of intervals are not what the function moves from end to end.

    Of a smooth function the two differ by w²/24 of its third derivative, which the slopes themselves tell; of one with
    a kink, in one interval. Of stairs they do in more than a quarter of them, by more than a quarter of what is wrong.

    Args:
        moved: the function, of how far it is moved.
        width: w, of an interval.
        wrong: how far the gradient is from the slope that was measured.

    Raises:
        NotRepeatableError, ValueError: where the function can't be called there.
    """
    middles = (np.arange(-1, INTERVALS + 1) - (INTERVALS - 1) / 2) * width
    ends = np.array([float(moved([one - width / 2])[0]) for one in middles[1:]])
    slope = np.array([_slope(moved, one) for one in middles])
    bent = np.abs(slope[:-2] - 2 * slope[1:-1] + slope[2:]) / 12
    apart = np.abs(np.diff(ends) / width - slope[1:-1])
    known = np.isfinite(apart)
    return bool((apart > wrong / 4 + bent)[known].sum() > known.sum() / 4)


def _slope(function: Callable[[list[Any]], list[Any]], x: float) -> float:
    found = slopes(function, [np.asarray(x)], complex_steps=False, lines=0)
    (entry,) = found.vjp([np.ones(())]).entries
    return np.nan if entry is None else float(entry.value)
