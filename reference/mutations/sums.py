"""Edits of sums over axes: kept at one entry, a mean, over other axes, not taken; and of products of matrices."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.mutations.arrays import FACTORS, PARTS
from reference.mutations.edit import Context, Edit, again
from reference.mutations.flow import Flow
from reference.mutations.place import Place
from reference.program import Equation, Slot

Array = NDArray[Any]
# pyright: reportUnknownLambdaType=false
# (the rule of an edit takes as many arrays as its step)


def sum_over_axes(at: Place) -> Iterator[Edit]:
    """Of a sum over axes of an array."""
    (x,) = at.step.inputs
    axes, named = tuple(at.step.parameters["axes"]), dict(at.axes(x))
    if not named.keys() & set(axes):
        return
    over = " and ".join(named[axis] for axis in axes if axis in named)
    for (text, f, less), axis in product(PARTS, axes):
        if axis in named:
            yield at.operand(
                0, "sum", text.replace("{axis}", named[axis]), lambda v, a=axis, f=f: f(v, a), 1 + less
            )
    yield at.rule("sum", f"a mean of {{0}} over {over} stands for the sum", lambda c, v: v.mean(axes), 1, x)
    for said, f in (("the largest", np.max), ("the least", np.min), ("any one", _any)):
        text = f"{said} term stands in the place of the sum of {{0}} over {over}"
        yield at.rule("sum", text, lambda c, v, f=f: f(v, axes), 2.5, x)
    yield at.value("sum", f"1 stands in the place of {{0}}, a sum over {over}", np.ones_like, 2.5)
    for said, place in (("first", 0), ("last", -1)) if len(axes) > 1 else ():
        text = f"only the {said} term of the sum of {{0}} over {over} is kept"
        yield at.rule(
            "sum",
            text,
            lambda c, v, p=place: np.moveaxis(v, axes, range(len(axes)))[(p,) * len(axes)],
            1,
            x,
        )
    yield from _lifted(at, f"the sum of {{0}} over {over} is not taken", lambda v: v, 1)
    for axis in axes:
        rest = tuple(a for a in axes if a != axis)
        yield from _lifted(
            at, f"the sum of {{0}} over {over} is cumulative", lambda v, a=axis: v.cumsum(a), 3
        )
        if rest and axis in named:
            without = f"of {{0}} leaves out {named[axis]}"
            yield from _lifted(at, f"the sum {without}", lambda v, r=rest: v.sum(r, keepdims=True), 1.5)
            mean = lambda v, r=rest, a=axis: v.sum(r, keepdims=True) * v.shape[a]  # noqa: E731
            yield from _lifted(at, f"the mean {without}", mean, 1.5)
    for axis in named.keys() - set(axes):
        text = f"of {{0}} runs over {named[axis]}, not over {over}"
        mean = lambda v, a=axis: v.mean(a, keepdims=True) * (v.size / v.sum(axes).size)  # noqa: E731
        as_well = lambda c, v, a=axis: _over_more(v, axes, a)  # noqa: E731
        yield at.rule("sum", f"the sum of {{0}} runs over {named[axis]} as well", as_well, 1.5, x)
        yield from _lifted(at, f"the sum {text}", lambda v, a=axis: v.sum(a, keepdims=True), 1)
        yield from _lifted(at, f"the mean {text}", mean, 1)
        told = f"a mean of {{0}} over {named[axis]} stands for the sum over {over}"
        yield from _lifted(at, told, lambda v, a=axis: v.mean(a, keepdims=True), 2)
    for slot, inside in _factors_of(at, x):
        text = "the factor {1} is taken out of the sum of {0}, over which it is not constant"
        yield from _lifted(at, text, lambda v, w, p: _out_of(v, w, p, axes), 1.5, slot, inside)


def _factors_of(at: Place, x: Slot) -> Iterator[tuple[Slot, Slot]]:
    """The factors of a product, through other products and reshapes, and the product that each is in."""
    source = next((one for one in at.steps if x in one.outputs), None)
    if source is None or x not in at.flow.carried or source.primitive not in {"reshape", "mul"}:
        return
    for slot in source.inputs:
        if slot in at.flow.carried:
            yield from _factors_of(at, slot)
        else:
            yield slot, x


def _lifted(at: Place, text: str, function: Callable[..., Array], rank: float, *more: Slot) -> Iterator[Edit]:
    """An edit of a sum that keeps its axes until they are broadcast again."""
    (x,) = at.step.inputs
    shape, axes = np.shape(at.values[x]), tuple(at.step.parameters["axes"])
    chain = _until_broadcast(at.flow, at.i, shape, axes, at.values)
    if chain is None:
        return
    middle = [at.steps[j] for j in chain]
    made = {at.step.outputs[0], *(one.outputs[0] for one in middle)}
    reads = dict.fromkeys((*(slot for one in middle for slot in one.inputs if slot not in made), x, *more))

    def rule(c: Context, *given: Any) -> Any:
        table = dict(zip(reads, given[len(c.step.inputs) :], strict=True))
        v = table[x]
        lifted = {at.step.outputs[0]: np.broadcast_to(function(v, *(table[slot] for slot in more)), v.shape)}
        for one in middle:
            lifted[one.outputs[0]] = _lifted_step(one, lifted, table, v.shape, axes)
        return np.broadcast_to(lifted[middle[-1].outputs[0]], np.shape(c.right))

    yield Edit((*at.path, chain[-1]), "sum", rule, text, (x, *more), tuple(reads), rank)


def cumulation(at: Place) -> Iterator[Edit]:
    """Of a cumulative sum."""
    (x,), how = at.step.inputs, at.step.parameters
    other = {**how, "reverse": not how["reverse"]}
    back = lambda c, v: again(replace(c.step, parameters=other), (v,))  # noqa: E731
    yield at.rule("sum", "the cumulative sum of {0} runs the other way", back, 1, x)
    yield at.rule(
        "sum", "the cumulative sum of {0} leaves out the entry itself", lambda c, v: c.right - v, 1, x
    )
    whole = lambda c, v: v.sum(c.step.parameters["axis"], keepdims=True) + 0 * v  # noqa: E731
    yield at.rule("sum", "the whole sum of {0} stands in the place of the cumulative one", whole, 1.5, x)
    yield at.rule("sum", "the cumulative sum of {0} is not taken", lambda c, v: v, 1.5, x)


def contraction(at: Place) -> Iterator[Edit]:
    """Of a product of matrices, Σ_k x_ik z_kj."""
    left: Sequence[int] = at.step.parameters["dimension_numbers"][0][0]
    named = dict(at.axes(at.step.inputs[0]))
    for (text, f, less), axis in product(PARTS, left):
        if axis in named:
            told = text.replace("{axis}", named[axis]).replace(
                "part of {0} along", "term of the product of {0} and {1} over"
            )
            yield at.rule(
                "sum", told, lambda c, x, z, a=axis, f=f: c.again(f(x, a), z), 1 + less, *at.step.inputs
            )
    for k, slot in enumerate(at.step.inputs):
        for text, f, _ in FACTORS if slot not in at.flow.carried else ():
            yield at.operand(k, "factor", text, f, 4)


def _any(x: Array, axes: tuple[int, ...]) -> Array:
    """The term that is largest by its absolute value."""
    most, least = x.max(axes), x.min(axes)
    return np.where(most > -least, most, least)


def _over_more(x: Array, axes: tuple[int, ...], axis: int) -> Array:
    """A sum over one more axis, for each entry of the sum over some."""
    return np.broadcast_to(x.sum((*axes, axis), keepdims=True), _single(x.shape, axes)).reshape(
        x.sum(axes).shape
    )


def _out_of(x: Array, factor: Array, product: Array, axes: tuple[int, ...]) -> Array:
    """factor Σ (x / factor), where x has the entries of a product with the factor."""
    w = np.broadcast_to(factor, product.shape).reshape(x.shape)
    return w * (x / w).sum(axes, keepdims=True)


def _single(shape: tuple[int, ...], axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape))


def _reduced(shape: tuple[int, ...], axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _until_broadcast(
    flow: Flow, i: int, shape: tuple[int, ...], axes: Sequence[int], values: Sequence[Any]
) -> list[int] | None:
    """The equations from a sum to where its axes are broadcast again; None where they stay away."""
    chain, slot = list[int](), flow.steps[i].outputs[0]
    while True:
        uses = flow.uses.get(slot, ())
        step = flow.steps[uses[0]] if len(uses) == 1 else None
        if (
            step is None
            or slot in flow.ends
            or step.primitive in {"dot_general", "copy", "scan", "transpose"}
        ):
            return None
        chain.append(uses[0])
        slot = step.outputs[0]
        found = np.shape(values[slot])
        if found == shape:
            return chain
        if found not in (_reduced(shape, axes), _single(shape, axes)):
            return None


def _lifted_step(
    step: Equation,
    lifted: Mapping[Slot, Array],
    table: Mapping[Slot, Array],
    shape: tuple[int, ...],
    axes: Sequence[int],
) -> Array:
    """A step between a sum and its broadcast, for a value that has all axes."""
    if step.primitive in {"reshape", "broadcast_in_dim", "reduce_sum", "squeeze", "expand_dims"}:
        return lifted[step.inputs[0]]
    others = {
        slot: one.reshape(_single(shape, axes)) if one.shape == _reduced(shape, axes) else one
        for slot, one in table.items()
    }
    return np.broadcast_to(
        again(step, [(lifted if slot in lifted else others)[slot] for slot in step.inputs]), shape
    )
