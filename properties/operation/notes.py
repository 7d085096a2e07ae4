"""What there is to say of an operation beside the verdict."""

import numpy as np

from properties.operation.cases import NoCaseError, Seeded, make, numbered
from properties.operation.judge import SAMPLES, Judge
from properties.operation.right import differ
from properties.search import Violation

BATCH = ("n", "b")
"""What people call the axis of the samples."""


def notes(judge: Judge, *, passes: bool) -> list[str]:
    """What there is to say beside the verdict, a sentence each: nothing against the subject."""
    found: list[str] = []
    if judge.declaration.has("stand_in"):
        found.append("The derivative is judged as that of stand_in, and not of forward.")
    elif judge.reading is not None and judge.reading.backward:
        found.append(
            f"The derivative is judged as that of {judge.reading.operation.name}, its REFERENCE, and not of forward."
        )
    elif judge.seen and (judge.reading is None or judge.reading.own):
        counterpart = judge.declaration.counterpart
        if judge.reading is not None:
            how = "Judged by the program of your own forward pass"
        else:
            why = f", of which no program is read ({judge.why_no_program})" if judge.why_no_program else ""
            how = f"Measured by differences of your own forward pass{why}"
        if counterpart is not None:
            how += f": it is not {counterpart.operation} as we know it"
        elif judge.reading is not None:
            how += ': if it is a known operation, say which, as in REFERENCE = "layer_norm"'
        found.append(f"{how}.")
    if passes and judge.seen:
        error = float(np.median(judge.seen))
        least = f"An error of {error:.0e}" if error else "Any error"  # of what is moved nothing is rounded
        found.append(
            f"{least} in a typical entry would have failed"
            + (f": {_digits(error)} could be seen." if judge.reading is None and error else ".")
        )
    if mixed := _mixed(judge):
        found.append(mixed)
    return found + [f"{one[0].upper()}{one[1:]}." for one in judge.remarks]


def _mixed(judge: Judge) -> str:
    """Whether an output's part along an axis depends on another part of an input; empty where not, or known to.

    Along an axis called n or b, which inputs and outputs have in front: it may be one of samples, or none.
    """
    if judge.is_random or (judge.reading is not None and judge.reading.operation.mixes):
        return ""
    declared, rng = judge.declaration, np.random.default_rng(1)
    first = {name: one.dimensions[0] for name, one in declared.inputs.items() if one.dimensions}
    for axis in BATCH:
        batched = [name for name in declared.differentiable if first.get(name) == axis]
        for _ in range(SAMPLES if batched else 0):
            try:
                case = make(Seeded(rng), judge, ("plain",))
                outputs = judge.subject.forward(case.inputs, case.options).outputs
                moved = {name: np.array(array) for name, array in case.inputs.items()}
                for name in batched:
                    moved[name][-1:] = moved[name][-1:] / 2
                others = judge.subject.forward(moved, case.options).outputs
            except (NoCaseError, Violation):
                continue
            n = case.sizes[axis]
            for i, (one, other) in enumerate(zip(outputs, others, strict=True)):
                if (
                    n > 1
                    and np.shape(one)[:1] == np.shape(other)[:1] == (n,)
                    and differ(one[:-1], other[:-1])
                ):
                    y = numbered(judge.output, len(outputs))[i]
                    x = f"{batched[0]}[{n - 1}]"
                    return f"What lies along {axis} depends on each other: {y}[0] changes with {x}."
    return ""


def _digits(error: float) -> str:
    count = max(0, int(-np.log10(error))) if error > 0 else 16
    return "1 digit" if count == 1 else f"{count} digits"
