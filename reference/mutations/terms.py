"""Edits of a sum of two terms: one left out, an ε moved, parts that overlap."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.mutations.edit import Edit, again
from reference.mutations.place import Place
from reference.program import Slot

Array = NDArray[Any]
# pyright: reportUnknownLambdaType=false
# (the rule of an edit takes as many arrays as its step)


def sum_of_terms(at: Place) -> Iterator[Edit]:
    """Of a + b or a − b."""
    a, b = at.step.inputs
    if a == b or np.array_equal(at.values[a], at.values[b]):
        return
    for k, lost in enumerate((a, b)):
        if (number := at.number(lost)) is not None:
            yield from _added_number(at, k, number)
        elif lost in at.flow.carried or not at.back:
            rank, said = (1.0, "the path through {via0}") if lost in at.flow.carried else (2.0, "{0}")
            if straight := at.passage.straight(at.step.outputs[0], lost):
                said = straight
            yield at.operand(k, "path", f"{said} is left out of a sum", np.zeros_like, rank)
            yield at.operand(k, "factor", "{0} has the wrong sign", np.negative, rank + 0.5)
            yield at.operand(k, "factor", "{0} is added twice", lambda v: 2 * v, rank + 1.5)
            yield at.operand(k, "factor", "half of {0} is added", lambda v: v / 2, rank + 1.5)
    yield at.rule("factor", "{0} and {1} are multiplied, not added", lambda c, x, z: x * z, 4, a, b)
    if at.back:
        yield at.rule("factor", "{0} and {1} are averaged, not added", lambda c, x, z: c.right / 2, 2, a, b)
        yield from _overlaps(at, a, b)


def _added_number(at: Place, k: int, number: float) -> Iterator[Edit]:
    """An ε, left out here, or wherever the same is added, or moved into the root that it is added to."""
    left_out = at.operand(k, "constant", "{0} is left out, which forward adds", np.zeros_like, 2)
    yield left_out
    alike = (j for j in sorted(at.flow.matters) if at.steps[j].primitive == at.step.primitive)
    moving = (j for j in alike if j >= at.passage.static)
    same = [j for j in moving if at.number(at.steps[j].inputs[k]) == number]
    if same[:1] == [at.i] and len(same) > 1:
        yield replace(left_out, text="{0} is left out wherever forward adds it", also=tuple(same[1:]))
    yield at.operand(k, "constant", "{0} has the wrong sign", np.negative, 2.5)
    rooted = at.step.inputs[1 - k]
    root = at.alike.made.get(rooted, at.i)
    if at.steps[root].primitive == "sqrt" and at.step.primitive == "add":
        under = lambda c, *x: np.sqrt(x[0] + number) if c.step.primitive == "sqrt" else x[1 - k]  # noqa: E731
        text, slots = (
            "{0} is added under the root, and forward adds it to {1}",
            (at.step.inputs[k], rooted),
        )
        yield Edit((root,), "constant", under, text, slots, rank=1.8, also=(at.i,))


def _overlaps(at: Place, a: Slot, b: Slot) -> Iterator[Edit]:
    """Parts of an array that are written one after the other: where they overlap, the last one stays."""
    parts = [_written(at, a), _written(at, b)]
    for k, part in enumerate(parts) if any(one is not None for one in parts) else ():
        text, one = "where its parts overlap, {} stays, and they are not added", ("last", "first")[k]
        stays = lambda c, *x, k=k: np.where(x[k] != 0, x[k], x[1 - k])  # noqa: E731
        yield at.rule("overlap", text.format(f"the {one} one"), stays, 1, at.step.outputs[0])
        if part is not None:
            whole = lambda c, *x, k=k, part=part: np.where(part, x[k], x[1 - k])  # noqa: E731
            told = text.format(f"all of the {one} one")
            yield at.rule("overlap", told, whole, 1, at.step.outputs[0])


def _written(at: Place, slot: Slot) -> Array | None:
    """Where an array was written to, made of parts of it; None where it is whole."""
    if slot not in at.alike.made:
        return None
    step = at.steps[at.alike.made[slot]]
    if step.primitive == "pad":
        size = np.shape(at.values[step.inputs[0]])
        return np.asarray(again(step, (np.ones(size), np.zeros(())))) > 0
    if step.primitive == "add_any":
        some, others = (_written(at, one) for one in step.inputs)
        return None if some is None or others is None else some | others
    return None
