"""The slope of an elementwise function, however many steps it has: left out, or a formula in its place."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.mutations.edit import FLOATS, Edit
from reference.mutations.place import Place
from reference.mutations.words import expression, row
from reference.program import Equation, Slot

Array = NDArray[Any]
# pyright: reportUnknownLambdaType=false
# (the rule of an edit takes as many arrays as its step)


STEP = 2.0**-20
"""Relative to an argument, what it is moved by where a slope is measured: to half of the digits of that."""
FORMULAS: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("{1}", lambda w: w),
    ("{1} (1 − {1})", lambda w: w * (1 - w)),
    ("1 − {1}²", lambda w: 1 - w * w),
    ("1 − {1}", lambda w: 1 - w),
    ("1/{1}", lambda w: 1 / w),
    ("{1}²", np.square),
    ("tanh' at {1}", lambda w: 1 - np.tanh(w) ** 2),
    ("σ' at {1}", lambda w: np.exp(-w) / (1 + np.exp(-w)) ** 2),
    ("σ({1})", lambda w: 1 / (1 + np.exp(-w))),
    ("log {1}", np.log),
    ("e^{1}", np.exp),
    ("({1} > 0)", lambda w: (w > 0) * 1.0),
)
"""What people multiply by in the place of a slope."""


def slopes(at: Place) -> Iterator[Edit]:
    """All that the way back through an elementwise function of several steps multiplies by, left out."""
    made = {slot: k for k, step in enumerate(at.steps) for slot in step.outputs}
    inner = expression(at.step.line, at.step.primitive).strip("`")
    k: int | None = at.i
    while k is not None and (slot := _multiplied(at, k)) is not None:
        outer = at.steps[k]
        if k != at.i:
            whole = inner in expression(outer.line, outer.primitive)
            told = "slope of {via1} is" if whole else "slopes from {via1} to {via0} are"
            said, named = f"the {told} left out", (at.step.outputs[0], outer.outputs[0])
            yield at.rule("slope", said, lambda c, *x: x[-1], 1.5, *named, reads=(slot,))
        k = made.get(slot)


def formulas(at: Place) -> Iterator[Edit]:
    """What people take for the slope of an elementwise function: a formula of its argument, or of its value.

    The function may be of several steps and paths: from the value to the argument, each gradient comes entry by
    entry from the one before. The way through all of them is one slope.
    """
    for begin, argument, value in _ways(at):
        more = {"reads": (begin,), "is_local": True}
        yield at.rule("slope", "the slope of {0} is left out", lambda c, *x: x[-1], 1.5, value, **more)
        real = [one for one in (value, argument) if np.asarray(at.values[one]).dtype.kind == "f"]
        for source, (said, f) in product(real, FORMULAS):
            with np.errstate(all="ignore"):
                slope = f(np.asarray(at.values[source]))
            if slope.size < 2 or not (slope != slope.flat[0]).any():  # noqa: PLR2004
                continue  # of one number it is a factor, and a constant one is left out
            letter, which = ("h", "h = {0}") if source == value else ("z", "{0}, z = {1}")
            text = f"{said.replace('{1}', letter)} stands in the place of the slope of {which}"
            rule = lambda c, *x, f=f: x[-2] * f(x[-1])  # noqa: E731
            more = {"reads": (begin, source), "is_local": True}
            yield at.rule("slope", text, rule, 1.1, value, source, **more)


def _ways(at: Place) -> Iterator[tuple[Slot, Slot, Slot]]:
    """Where this gradient comes from entry by entry, through which function: its argument, and its value.

    It is followed back to where all paths meet, as far as one line goes, and as far as it can be.
    """
    found, passed_on = list[tuple[Slot, list[int]]](), at.flow.uses.get(at.step.outputs[0], ())
    steps = [at.steps[j] for j in passed_on]
    if any(_is_elementwise(at, one) and one.line == at.step.line for one in steps):
        return  # it is in the middle of one
    region, waiting = [at.i], {slot for slot in at.step.inputs if slot in at.flow.carried}
    while waiting and _is_elementwise(at, at.steps[region[-1]]):
        if len(waiting) == 1 and len(region) > 1:
            found.append((next(iter(waiting)), list(region)))
        latest = max(waiting, key=lambda slot: at.alike.made.get(slot, -1))
        if latest not in at.alike.made:
            break
        region.append(at.alike.made[latest])
        waiting.remove(latest)
        waiting |= {slot for slot in at.steps[region[-1]].inputs if slot in at.flow.carried}
    of_a_line = [one for one in found if {row(at.steps[j]) for j in one[1]} == {row(at.step)}]
    for begin, some in {one[0]: one for one in (*of_a_line[-1:], *found[-1:])}.values():
        argument = _argument(at, some)
        if argument is not None:
            line = row(at.step) if (begin, some) in of_a_line else ""
            yield from ((begin, argument, value) for value in _value_of(at, begin, argument, line))


_ELEMENTWISE = {
    *(
        "mul",
        "div",
        "neg",
        "add",
        "add_any",
        "sub",
        "select_n",
        "integer_pow",
        "pow",
        "square",
        "copy",
        "max",
        "min",
    ),
    *(
        "exp",
        "log",
        "log1p",
        "expm1",
        "sqrt",
        "rsqrt",
        "tanh",
        "logistic",
        "erf",
        "sin",
        "cos",
        "abs",
        "sign",
    ),
    *("convert_element_type", "eq", "ne", "lt", "le", "gt", "ge", "clamp"),
}
"""Primitives that take entry by entry."""


def _is_elementwise(at: Place, step: Equation) -> bool:
    """Whether each entry of its value is made of the same entries of what it takes."""
    shapes = [np.shape(at.values[slot]) for slot in (step.outputs[0], at.step.outputs[0])]
    return step.primitive in _ELEMENTWISE and shapes[0] == shapes[1]


def _argument(at: Place, region: Sequence[int]) -> Slot | None:
    """What all is made of that some steps of the way back multiply by; None where that is of several."""
    constants, static = at.passage.program.constants, at.passage.static
    shape, found = np.shape(at.values[at.step.outputs[0]]), None

    def moving(steps: Iterable[Equation]) -> set[Slot]:
        every = {slot for one in steps for slot in one.inputs if np.size(at.values[slot]) > 1}
        made = (slot for slot in every if at.alike.made.get(slot, static) >= static)
        return {slot for slot in made if slot not in at.flow.carried and slot not in constants}

    waiting = {slot for slot in moving(at.steps[j] for j in region) if np.shape(at.values[slot]) == shape}
    while waiting and (len(waiting) == 1 or found is None):
        latest = max(waiting, key=lambda slot: at.alike.made.get(slot, -1))
        found = latest if len(waiting) == 1 else None
        maker = at.steps[at.alike.made[latest]] if latest in at.alike.made else None
        more = moving([maker]) if maker and _is_elementwise(at, maker) else set[Slot]()
        if not more or any(np.shape(at.values[slot]) != shape for slot in more):
            break
        waiting = (waiting - {latest}) | more
    return found


def _value_of(at: Place, begin: Slot, argument: Slot, line: str) -> list[Slot]:
    """The last that is made of an argument entry by entry, on this line, and has the slope that is multiplied by."""
    known, steps = {argument}, list[Equation]()
    for step in at.steps[at.passage.static :]:  # it may not matter to the gradient
        inside = {slot for slot in step.inputs if np.size(at.values[slot]) > 1}
        if known.isdisjoint(inside) or not inside <= known or not _is_elementwise(at, step):
            continue
        known.add(step.outputs[0])
        if step.outputs[0] not in at.passage.slopes:
            steps.append(step)
    z = np.asarray(at.values[argument])
    if z.dtype.kind != "f":
        return []
    finite = np.isfinite(z)  # −∞ is where a mask is 0
    by = STEP * np.maximum(1, abs(np.where(finite, z, 0)))
    ahead, back = (_moved(at, steps, argument, moved) for moved in (z + by, z - by))
    right, error = np.asarray(at.values[at.step.outputs[0]]), np.asarray(at.values[begin])
    near = sqrt(STEP) * float(abs(right).max(initial=0))

    def is_the_slope(one: Slot) -> bool:
        with np.errstate(all="ignore"):
            slope = (np.asarray(ahead[one]) - back[one]) / (2 * by)
            return bool((abs(error * slope - right) <= near)[finite].all())

    values = [step.outputs[0] for step in reversed(steps) if not line or row(step) == line]
    real = [one for one in values if np.asarray(at.values[one]).dtype.kind == "f"]
    return list(filter(is_the_slope, real))[:1]


def _moved(at: Place, steps: Sequence[Equation], argument: Slot, z: Array) -> list[Any]:
    """All values, where an argument is another one, and what is made of it by some steps."""
    found = [*at.values[:argument], z, *at.values[argument + 1 :]]
    with np.errstate(all="ignore"):
        for step in steps:
            FLOATS.step(step, found)
    return found


def _multiplied(at: Place, k: int) -> Slot | None:
    """What a step of the way back multiplies by something of the forward pass, entry by entry."""
    step = at.steps[k]
    carried = [slot for slot in step.inputs if slot in at.flow.carried]
    if step.primitive not in {"mul", "div", "neg", "select_n"} or len(carried) != 1:
        return None
    same = np.shape(at.values[carried[0]]) == np.shape(at.values[step.outputs[0]])
    return carried[0] if same else None
