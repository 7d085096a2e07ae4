"""Is a gradient made of differences of the loss, and no derivative?

An entry of it times its step is a difference of two numbers near the loss, so a whole number of units in the last
place of the loss; a derivative is so by chance alone.
"""

from collections.abc import Sequence

import numpy as np

from properties.diagnosis.probes import Probe

CURE = "Write the derivative out, and keep the differences to check it with."
STEPS = (*(float(f"{digit}e-{k}") for k in range(1, 13) for digit in (1, 5)), 2.0**-26, 2.0 ** (-52 / 3))
"""Steps in use; the last two are the square root and the cube root of the machine epsilon."""
FEWEST = 4
"""Entries of a case that have to tell: each would be a whole number within 1/64 by chance in one of 32 cases."""


def told(probes: Sequence[Probe]) -> str:
    """Which differences the answers are, in a sentence; empty where they are none.

    Multiples of the step would do as well, so the smallest comes first. Two steps of central differences are one of
    one-sided ones; these are off in proportion to the step, those to its square.
    """
    first = probes[0]
    off = max(float(abs(first.answer[name] - right).max()) for name, right in first.right.items())
    for width in sorted({width for step in STEPS for width in (step, 2 * step)}):
        if _is_whole(first, width, fewest=FEWEST) and all(_is_whole(probe, width) for probe in probes[1:]):
            kinds = {"one-sided": width, "central": width / 2}
            kind, step = max(
                ((kind, step) for kind, step in kinds.items() if step in STEPS),
                key=lambda found: (found[0] == "one-sided") == (off > width**1.5),
            )
            return f"these are {kind} differences of the loss with a step of {step:.6g}, and no derivative"
    return ""


def _is_whole(probe: Probe, width: float, fewest: int = 0) -> bool:
    """Whether all entries times the width are whole numbers of units of the loss, as far as they tell: so many do.

    Where nothing is asked of their number, halves are whole enough: the unit of a loss just below a power of two. The
    quotient of a difference and the width has one rounding, its product with the width another, and the width itself
    a third, each of them u of the whole.
    """
    dtype = probe.case.inputs.dtype
    unit = float(np.spacing(dtype.type(probe.case.oracle.loss)))
    given = np.concatenate([array.ravel() for array in probe.answer.values()])
    units = given[given != 0] * (width / unit) * (1 if fewest else 2)
    reach = 3 * float(np.finfo(dtype).eps) / 2 * abs(units)
    telling = reach < 1 / 64
    units, reach = units[telling], reach[telling]
    whole = np.round(units)
    # Even ones alone are multiples of a larger unit: they come from a format with fewer digits, say.
    enough = not fewest or (len(units) >= fewest and (whole % 2 == 1).any())
    return bool(enough and (abs(units - whole) <= reach).all())
