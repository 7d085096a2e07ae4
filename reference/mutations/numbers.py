"""Steps replaced with a number in them that nobody knows beforehand: an ε, a limit, another constant.

A family has one edit for each number. Which one a subject has is read off its answer, as a factor of the way back is,
but for this: gradients do not depend on it linearly (`properties.diagnosis.numbers`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.mutations.edit import Context, Edit
from reference.mutations.reading import Reading
from reference.program import Equation, Slot

Array = NDArray[Any]
# pyright: reportUnknownLambdaType=false
# (the rule of an edit takes as many arrays as its step)

SMALL = 2.0**-10
"""Beside numbers of size 1: a step along which most functions are all but straight."""
SEEN = 2.0**-26
"""Of a sum, in half of its digits: a larger number that is added leaves nothing of what it is added to."""
PLACES = 5
"""So many limits are tried first, with as many entries of an array between one and the next."""


@dataclass(frozen=True)
class Family:
    """Edits that differ in one number.

    Attributes:
        make: the edit with this number.
        starts: pairs of numbers, near to each other, from which the number is looked for.
        right: the number with which the program is the right one; None where there is none.
        between: the ends between which the number lies.
    """

    make: Callable[[float], Edit] = field(repr=False)
    starts: Sequence[tuple[float, float]]
    right: float | None = None
    between: tuple[float, float] = (-np.inf, np.inf)


def families(reading: Reading) -> Iterator[Family]:
    """Another constant and an ε, then limits: of each step, and of all steps at which the same number stands."""
    steps = [(i, reading.steps[i]) for i in sorted(reading.passage.flow.matters)]
    real = [(i, one) for i, one in steps if _is_real(reading, one)]
    yield from _constants(reading, real)
    yield from _added(reading, real)
    yield from _limits(reading, real)


def _is_real(reading: Reading, step: Equation) -> bool:
    values = [reading.values[slot] for slot in step.outputs]
    return len(values) == 1 and np.asarray(values[0]).dtype.kind == "f"


def _constants(reading: Reading, steps: Sequence[tuple[int, Equation]]) -> Iterator[Family]:
    """Another number in the place of one that is written."""
    groups = dict[tuple[str, int, float], list[int]]()
    for i, step in steps:
        for k, slot in enumerate(step.inputs) if len(step.inputs) > 1 else ():
            if (number := reading.passage.number(slot)) is not None:
                groups.setdefault((step.primitive, k, number), []).append(i)
    for (_, k, value), places in groups.items():
        near = value + SMALL * max(1.0, abs(value))
        for first, *others in dict.fromkeys([tuple(places), *((one,) for one in places)]):

            def make(x: float, k: int = k, first: int = first, also: Sequence[int] = others) -> Edit:
                rule = lambda c, *v: c.again(*v[:k], np.asarray(x), *v[k + 1 :])  # noqa: E731
                text, slot = f"{x:.6g} stands in the place of {{0}}", reading.steps[first].inputs[k]
                return Edit((first,), "constant", rule, text, (slot,), rank=2.4, also=tuple(also))

            yield Family(make, [(value, near)], right=value)


_STEEP = {"log", "sqrt", "rsqrt", "pow"}
"""Functions that people keep from 0."""


def _added(reading: Reading, steps: Sequence[tuple[int, Equation]]) -> Iterator[Family]:
    """A number that is added: to what is divided by, in one place or in all, to a value, to a gradient."""
    flow, static = reading.passage.flow, reading.passage.static
    values = {slot for slot, j in reading.alike.made.items() if j >= static and not flow.backward(j)}
    values |= {*reading.passage.program.inputs} - flow.carried
    divisions = [i for i, one in steps if one.primitive == "div" and one.inputs[1] in values]
    back = [i for i in divisions if flow.backward(i)]
    for first, *others in dict.fromkeys(
        tuple(some) for some in (back, divisions, *([i] for i in divisions)) if some
    ):
        yield _more(reading, first, 1, 2.5, others)
    ends = [i for i, one in steps if one.outputs[0] in flow.ends]
    if len(ends) > 1:
        yield _more(reading, ends[0], None, 2.5, ends[1:])
    for i, one in steps:
        if one.primitive in _STEEP and not flow.backward(i) and i >= static:
            yield _more(reading, i, 0, 2.5)
        if i >= static and (not flow.backward(i) or one.outputs[0] in flow.ends):
            yield _more(reading, i, None, 2.6)


def _more(reading: Reading, i: int, k: int | None, rank: float, also: Sequence[int] = ()) -> Family:
    """A number added to operand k of a step, or to its value."""
    places = [reading.steps[j] for j in (i, *also)]
    slots = tuple(dict.fromkeys(one.outputs[0] if k is None else one.inputs[k] for one in places))

    def make(x: float) -> Edit:
        def rule(c: Context, *v: Any) -> Any:
            return c.right + x if k is None else c.again(*v[:k], v[k] + x, *v[k + 1 :])

        every = "every gradient" if k is None else "all that is divided by"
        to = "{0}" if len(slots) == 1 else "{0} and to {1}" if len(slots) == 2 else every  # noqa: PLR2004
        said = f"{abs(x):.6g} is {'added to' if x > 0 else 'subtracted from'} {to}"
        return Edit((i,), "constant", rule, said, slots, rank=rank, also=tuple(also))

    largest = max(float(abs(np.asarray(reading.values[slot])).max(initial=0)) for slot in slots)
    return Family(make, [(0.0, SMALL)], 0.0, (-largest / SEEN, largest / SEEN))


Limit = Callable[[Array, float], Array]
LIMITS: Sequence[tuple[str, Limit, Callable[[Array], Array]]] = (
    ("{0} is kept within ± {x}", lambda v, x: v.clip(-x, x), abs),
    ("{0} is kept below {x}", np.minimum, lambda v: v),
    ("{0} is kept above {x}", np.maximum, lambda v: v),
)
"""In words, what becomes of an array, and the numbers between which the limit lies."""
WITHIN: tuple[str, Limit, Callable[[Array], Array]] = (
    "{0} is kept {x} away from 0 and 1",
    lambda v, x: v.clip(x, 1 - x),
    lambda v: np.minimum(v, 1 - v),
)
"""The same of numbers between 0 and 1."""


def _limits(reading: Reading, steps: Sequence[tuple[int, Equation]]) -> Iterator[Family]:
    """An array whose entries are kept from being too large, or too small."""
    for i, one in steps:
        if i >= reading.passage.static:
            for text, limit, starts, between in limits(np.asarray(reading.values[one.outputs[0]])):
                yield Family(_limited(i, text, limit, one.outputs[0]), starts, None, between)


def limits(value: Array) -> Iterator[tuple[str, Limit, Sequence[tuple[float, float]], tuple[float, float]]]:
    """In words, what becomes of an array, where its limit is looked for, and between which ends it is one.

    It changes some entries and not all: what puts one number in the place of every entry keeps nothing within.
    """
    is_part = value.size > 0 and bool((value > 0).all() and (value < 1).all())
    for text, limit, measure in (*LIMITS, WITHIN) if is_part else LIMITS:
        sizes = measure(value)
        if starts := list(_between(sizes)):
            yield text, limit, starts, (float(sizes.min()), float(sizes.max()))


def _limited(i: int, text: str, limit: Limit, slot: Slot) -> Callable[[float], Edit]:
    def make(x: float) -> Edit:
        rule = lambda c, *_: limit(c.right, x)  # noqa: E731
        return Edit((i,), "clip", rule, text.replace("{x}", f"{x:.6g}"), (slot,), rank=2.8)

    return make


def _between(numbers: Array) -> Iterator[tuple[float, float]]:
    """Pairs between neighbours of some numbers, where what lies beyond a limit does not change."""
    ordered = np.unique(numbers)
    gaps = np.unique(np.linspace(0, len(ordered) - 2, PLACES).astype(int)) if len(ordered) > 1 else []
    for place in gaps:
        low, high = ordered[place], ordered[place + 1]
        yield float(low + (high - low) / 2), float(low + (high - low) * 0.6)
