"""Edits of how an array lies: transposed or not, a reshape in the place of a transpose, backwards."""

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.mutations.edit import Edit
from reference.mutations.place import Place

Array = NDArray[Any]
# pyright: reportUnknownLambdaType=false
# (the rule of an edit takes as many arrays as its step)


def layouts(at: Place, k: int, value: Array) -> Iterator[Edit]:
    """Operand k transposed, reshaped where a transpose belongs, or the wrong way round."""
    for order in orders(value.ndim):
        text = "{0} is brought into shape by reshape, not by a transpose"
        yield at.operand(k, "layout", text, lambda v, o=order: by_reshape(v, o), 2.5)
        if value.transpose(order).shape == value.shape:
            yield at.operand(k, "layout", "{0} is transposed", lambda v, o=order: v.transpose(o), 2)
    wide = [axis for axis in range(value.ndim) if value.shape[axis] > 1]
    if at.step.primitive == "dot_general":
        for axes in (*((axis,) for axis in wide), tuple(wide[-2:])):
            yield at.operand(k, "layout", "{0} runs backwards", lambda v, a=axes: np.flip(v, a), 3)


def move(at: Place) -> Iterator[Edit]:
    """Of a transpose or a reshape."""
    (x,) = at.step.inputs[:1]
    value = np.asarray(at.values[x])
    if at.step.primitive == "transpose" and value.size > 1:
        text = "{0} is brought into shape by reshape, not by a transpose"
        if value.shape == np.shape(at.values[at.step.outputs[0]]):
            text = "{0} and its transpose are exchanged"
        yield at.rule("layout", text, lambda c, v: v.reshape(c.right.shape), 1, x)
    elif value.size > 1:
        for order in orders(value.ndim):
            text = "{0} is transposed before it is reshaped"
            yield at.rule("layout", text, lambda c, v, o=order: v.transpose(o).reshape(c.right.shape), 3, x)


def orders(axes: int) -> list[tuple[int, ...]]:
    """The orders of some axes: all, and of more than three those in which one is moved."""
    first = tuple(range(axes))
    if axes <= 3:  # noqa: PLR2004
        return [order for order in permutations(first) if order != first]
    rest = ((a, [axis for axis in first if axis != a]) for a in first)
    return list(dict.fromkeys((*r[:k], a, *r[k:]) for a, r in rest for k in first if k != a))


def by_reshape(x: Array, order: Sequence[int]) -> Array:
    """What x becomes where a reshape stands for a transpose: its entries fill the transpose's shape row by row."""
    return x.reshape([x.shape[axis] for axis in order]).transpose(np.argsort(order))
