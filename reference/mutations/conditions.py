"""Edits of conditions: ignored, negated, shifted where both sides are equal, taken of another value."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.mutations.edit import Edit
from reference.mutations.place import Place
from reference.mutations.words import AS_IT_IS
from reference.program import Slot

Array = NDArray[Any]
# pyright: reportUnknownLambdaType=false
# (the rule of an edit takes as many arrays as its step)


_CONDITIONS: tuple[tuple[str, Callable[[Array], Array], float], ...] = (
    ("is ignored: taken to be false everywhere", np.zeros_like, 1),
    ("is ignored: taken to be true everywhere", np.ones_like, 1),
    ("is the wrong way round", np.logical_not, 1.5),
)


def choice(at: Place) -> Iterator[Edit]:
    """Of where(condition, a, b)."""
    which, *cases = at.step.inputs
    if len(cases) != 2:  # noqa: PLR2004
        return
    told = "in {via1}" if _is_given(at, which) else "{0}"
    for said, f, rank in _CONDITIONS:
        rule = lambda c, w, *x, f=f: c.again(f(w), *x)  # noqa: E731
        yield at.rule("condition", f"the condition {told} {said}", rule, rank, which, at.step.outputs[0])
    for other in at.same_shape(at.step.outputs[0]):
        for sign in (1, -1):
            rule = lambda c, w, a, b, z, s=sign: np.where(s * z > 0, b, a)  # noqa: E731
            text = "the condition is taken from the sign of {1}, not from {0}"
            yield at.rule("condition", text, rule, 2.1 - sign / 10, which, other, reads=(other,))
    for k in (1, 2):
        yield at.operand(k, "condition", "0 is chosen where {0} belongs", np.zeros_like, 2)


def _is_given(at: Place, slot: Slot) -> bool:
    """Whether a condition is a constant, which has no line of its own."""
    while (maker := at.maker(slot)) is not None and maker.primitive in AS_IT_IS:
        slot = maker.inputs[0]
    return slot in at.passage.program.constants


def comparison(at: Place) -> Iterator[Edit]:
    """Of a condition itself."""
    out = at.step.outputs[0]
    for said, f, rank in _CONDITIONS:
        yield at.value("condition", f"the condition {{0}} {said}", f, rank + 0.5)
    text = "the condition {0} is shifted where both sides are equal"
    yield at.rule("condition", text, lambda c, x, z: c.right ^ (x == z), 1.5, out)
    for a, axis in at.axes(out):
        anywhere = lambda v, a=a: np.broadcast_to(v.any(a, keepdims=True), v.shape)  # noqa: E731
        yield at.value(
            "condition",
            f"the condition {{0}} holds for all of {axis} where it holds for one",
            anywhere,
            2.5,
        )
    for number, k in product((0.0, 1.0, -1.0, 0.5), (0, 1)):
        text = f"{number:g} is compared with in the place of {{0}}"
        yield at.operand(k, "condition", text, lambda v, n=number: np.full_like(v, n), 2.5)
