"""Edits of what is added at indices: overwritten where they repeat, averaged, put everywhere."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.mutations.edit import Context, Edit, NotHereError, again
from reference.mutations.place import Place
from reference.program import Equation

Array = NDArray[Any]
# pyright: reportUnknownLambdaType=false
# (the rule of an edit takes as many arrays as its step)


def scatter(at: Place) -> Iterator[Edit]:
    """All scatters of a program are edited at once, as windows have one along each axis; and each alone."""
    slot, same = at.step.inputs[2], [
        j for j in at.flow.matters if at.steps[j].primitive == at.step.primitive and at.flow.backward(j)
    ]  # fmt: skip
    others = tuple(j for j in same if j != at.i) if at.back and at.i == min(same) and not at.path else ()
    for also, last in product(dict.fromkeys(((), others)), (True, False)):
        text = "{0} overwrites where indices repeat, and does not add"
        yield at.rule(
            "scatter", text, lambda c, *x, o=last: _overwritten(c, *x, last=o), 0.5, slot, also=also
        )
        text = "the parts of {0} are put back side by side, though they were taken further apart"
        yield at.rule("scatter", text, _side_by_side, 2, slot, also=also)
    yield at.rule("scatter", "{0} is averaged where indices repeat, not added", _averaged, 1, slot)
    axes, named = _indexed(at.step), dict(at.axes(at.step.outputs[0]))
    for place, axis in enumerate(axes) if len(axes) > 1 else ():
        for rule in (_everywhere, _added_everywhere) if axis in named else ():
            text = f"{{0}} goes everywhere along {named[axis]}, as with : in the place of the index there"
            yield at.rule("scatter", text, partial(rule, place=place), 0.9, slot)


def _overwritten(c: Context, x: Array, indices: Array, updates: Array, *, last: bool) -> Array:
    """The updates put, not added; where indices repeat, the last one stays, or the first."""
    how = {name: c.step.parameters[name] for name in ("dimension_numbers", "mode")}
    if not last:
        window = how["dimension_numbers"].update_window_dims
        updates = np.flip(updates, tuple(axis for axis in range(updates.ndim) if axis not in window))
        indices = np.flip(indices, tuple(range(indices.ndim - 1)))
    return again(replace(c.step, primitive="scatter", parameters=how), (x, indices, updates))


def _indexed(step: Equation) -> Sequence[int]:
    """The axes that the indices of a scatter are of, in the order of its indices."""
    return step.parameters["dimension_numbers"].scatter_dims_to_operand_dims


def _everywhere(c: Context, x: Array, indices: Array, updates: Array, *, place: int) -> Array:
    """As `x[:, j] = updates`, where `x[i, j] += updates` is meant, for the index in this place."""
    for index in range(x.shape[_indexed(c.step)[place]]):
        x = _overwritten(c, x, _at_one(indices, place, index), updates, last=True)
    return x


def _added_everywhere(c: Context, x: Array, indices: Array, updates: Array, *, place: int) -> Array:
    """The same, added where indices repeat."""
    for index in range(x.shape[_indexed(c.step)[place]]):
        x = c.again(x, _at_one(indices, place, index), updates)
    return x


def _at_one(indices: Array, place: int, index: int) -> Array:
    moved = indices.copy()
    moved[..., place] = index
    return moved


def _averaged(c: Context, x: Array, indices: Array, updates: Array) -> Array:
    """The mean of the updates that have the same index."""
    count = c.again(np.zeros_like(x), indices, np.ones_like(updates))
    return x + (c.right - x) / np.maximum(count, 1)


def _side_by_side(c: Context, x: Array, indices: Array, updates: Array) -> Array:
    """A scatter of windows, (windows, kernel, 1) indices, whose steps are 1."""
    if indices.ndim != 3 or len(indices) < 2:  # noqa: PLR2004
        raise NotHereError
    step = indices[1:2, :1] - indices[:1, :1]
    return c.again(x, indices - (step - 1) * np.arange(len(indices))[:, None, None], updates)
