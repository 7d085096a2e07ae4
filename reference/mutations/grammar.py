"""All edits of a passage: those of any step, and those of its primitive."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.mutations.arrays import MOVES, PARTS
from reference.mutations.conditions import choice, comparison
from reference.mutations.edit import FLOATS, Edit, with_value
from reference.mutations.factors import function, power, product_of, size
from reference.mutations.flow import body_flow
from reference.mutations.layouts import by_reshape, layouts, move, orders
from reference.mutations.loops import scan
from reference.mutations.place import Place
from reference.mutations.reading import Alike, Reading
from reference.mutations.scatters import scatter
from reference.mutations.slopes import FORMULAS, formulas, slopes
from reference.mutations.sums import contraction, cumulation, sum_over_axes
from reference.mutations.terms import sum_of_terms
from reference.program import Equation, Instance, Slot

Array = NDArray[Any]
# pyright: reportUnknownLambdaType=false
# (the rule of an edit takes as many arrays as its step)


BY_PRIMITIVE: Mapping[str, Callable[[Place], Iterator[Edit]]] = {
    **dict.fromkeys(("add", "add_any", "sub"), sum_of_terms),
    **dict.fromkeys(("mul", "div"), product_of),
    **dict.fromkeys(("integer_pow", "pow", "square"), power),
    **dict.fromkeys(("exp", "log", "log1p", "expm1", "sqrt", "rsqrt"), function),
    **dict.fromkeys(("tanh", "logistic", "erf", "sin", "cos"), function),
    "reduce_sum": sum_over_axes,
    "cumsum": cumulation,
    "dot_general": contraction,
    **dict.fromkeys(("transpose", "reshape"), move),
    "select_n": choice,
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), comparison),
    **dict.fromkeys(("scatter-add", "scatter_add"), scatter),
    "dim_as_value": size,
}
"""What may be done to a step of one value, besides what may be done to any."""


def edits(reading: Reading) -> Iterator[Edit]:
    """All edits of a passage, as far as a reading at generic sizes shows which arrays have the same shape.

    Constant factors on the way back are not among them: it is linear, and the search reads them off. An edit of the
    forward pass is seen by all that depends on it, or by one step of the way back alone.
    """
    passage, flow = reading.passage, reading.passage.flow
    for i in sorted(flow.matters):
        step = reading.steps[i]
        at = Place(passage, reading.sizes, flow, reading.steps, reading.values, i, reading.alike)
        yield from _edges(at)
        entries = flow.entries(i)
        inner = i < len(reading.instance.static) or step.outputs[0] in passage.slopes
        for one in _edits_of(at):
            edit = replace(one, rank=one.rank + 1.5) if inner and step.primitive != "dim_as_value" else one
            yield edit
            if len(entries) > 1 and not edit.also:
                yield from (replace(edit, only=(entry,), rank=edit.rank + 0.5) for entry in entries)
        if step.primitive == "scan":
            yield from _inside(reading, i, step)


def _inside(reading: Reading, i: int, step: Equation) -> Iterator[Edit]:
    """The edits of the body of a scan, which is edited at all its steps at once."""
    body: Instance = step.parameters["jaxpr"]
    flow = body_flow(step, reading.passage.flow.carried)
    carries = step.parameters["num_consts"] + step.parameters["num_carry"]
    given = [reading.values[slot] for slot in step.inputs]
    with np.errstate(all="ignore"):
        values = FLOATS.trace(body, [one if k < carries else one[0] for k, one in enumerate(given)])
    alike = Alike(values, body.dynamic)
    for j in sorted(flow.matters):
        yield from _edits_of(
            Place(reading.passage, reading.sizes, flow, body.dynamic, values, j, alike, (i,))
        )


def _edits_of(at: Place) -> Iterator[Edit]:
    """All edits of the step."""
    out, *more = at.step.outputs
    if more:
        yield from scan(at) if at.step.primitive == "scan" else ()
    elif at.step.primitive == "copy" and out not in at.flow.ends:
        yield at.value("cotangent", "{0} is ignored, as if it were 1", np.ones_like, 0)
        for order in orders(np.ndim(at.values[out])):
            text = "{0} is brought into shape by reshape, not by a transpose"
            yield at.value("layout", text, lambda v, o=order: by_reshape(v, o), 2.5)
    else:
        if at.step.primitive in BY_PRIMITIVE:
            yield from BY_PRIMITIVE[at.step.primitive](at)
        if at.back:
            yield from slopes(at)
            yield from formulas(at) if not at.path else ()
        if np.asarray(at.values[out]).dtype.kind == "f":
            yield from _of_the_value(at)
            yield from _of_all_paths(at, out)
        if at.step.primitive not in {"copy", "convert_element_type"}:
            yield from _of_operands(at)


def _edges(at: Place) -> Iterator[Edit]:
    """Of the steps of the forward pass that an error comes back through next, one that it does not reach."""
    out, *more = at.step.outputs
    if not at.back or more:
        return
    uses = dict[str, list[int]]()
    for j in at.flow.uses.get(out, ()):
        if at.flow.backward(j):
            uses.setdefault(at.steps[j].line, []).append(j)
    for some in uses.values() if len(uses) > 1 else ():
        text, slot = "the path through {via0} is left out", at.steps[some[0]].outputs[0]
        yield at.rule("path", text, lambda c, *x: np.zeros_like(c.right), 1, slot, only=tuple(some))


def _of_the_value(at: Place) -> Iterator[Edit]:
    out = at.step.outputs[0]
    value = np.asarray(at.values[out])
    if not at.back or at.path:  # on the way back of the top level, factors are read off
        rank = 1 if at.back else 2.5
        yield at.value("path", "the path through {via0} is left out", np.zeros_like, rank)
        yield at.value("factor", "{0} has the wrong sign", np.negative, 2)
        yield at.value("factor", "{0} is doubled", lambda v: 2 * v, 2)
        yield at.value("factor", "{0} is halved", lambda v: v / 2, 2)
        for name in at.sizes:
            times, over = (
                (lambda c, *x, n=name: c.right * c.sizes[n]),
                (lambda c, *x, n=name: c.right / c.sizes[n]),
            )
            yield at.rule("factor", f"{{0}} is multiplied by {name}", times, 2.5, out)
            yield at.rule("factor", f"{{0}} is divided by {name}", over, 2.5, out)
    for a, b in combinations(range(value.ndim), 2):
        if value.shape[a] == value.shape[b] > 1:
            yield at.value("layout", "{0} is transposed", lambda v, a=a, b=b: v.swapaxes(a, b), 3)
    for a, axis in at.axes(out):
        for text, f in MOVES:
            yield at.value("layout", text.replace("{axis}", axis), lambda v, a=a, f=f: f(v, a), 4)
        for text, f, _ in PARTS if at.back else ():
            yield at.value(
                "sum", text.replace("{axis}", axis), lambda v, a=a, f=f: f(v, a), 2 if a == 0 else 3
            )
        if at.back and not at.path:
            centred = lambda v, a=a: v - v.mean(a, keepdims=True)  # noqa: E731
            yield at.value("extra", f"the mean over {axis} is subtracted from {{0}}", centred, 3)
    if out in at.flow.ends and not at.path:
        yield from _of_a_gradient(at, out)


def _of_a_gradient(at: Place, out: Slot) -> Iterator[Edit]:
    for other in at.same_shape(out):
        if other in at.flow.ends:
            yield at.value("exchange", "{1} is returned in the place of {0}", lambda v, w: w, 3, other)
        elif other in at.flow.carried:
            text = "of the paths to {0} there is only the one through {via1}"
            yield at.value("path", text, lambda v, w: w, 3, other)
        else:
            for said, f in FORMULAS:
                text = f"{said} is multiplied in once too often"
                yield at.value("extra", text, lambda v, w, f=f: v * f(w), 3, other)


def _of_all_paths(at: Place, out: Slot) -> Iterator[Edit]:
    """A factor of the whole sum, as where all that comes back to x has a division by its norm."""
    if not at.back or at.path or (out not in at.flow.ends and at.step.primitive != "add_any"):
        return
    seen = set[bytes]()
    for other, numbers in at.alike.repeated(np.shape(at.values[out])):
        if other not in at.flow.carried and numbers not in seen:
            seen.add(numbers)
            text = "{0} is multiplied by {1}, or not divided by it"
            yield at.value("factor", text, lambda v, w: v * w, 2.7, other)
            text = "{0} is divided by {1}, or not multiplied by it"
            yield at.value("factor", text, lambda v, w: v / w, 2.7, other)


def _of_operands(at: Place) -> Iterator[Edit]:
    for k, slot in enumerate(at.step.inputs):
        value, carried = np.asarray(at.values[slot]), slot in at.flow.carried
        if value.dtype.kind != "f":
            continue
        maker = None if carried or slot in at.passage.slopes else at.maker(slot)
        made_of = maker.inputs if maker else ()
        for other in at.same_shape(slot):
            rank = 4.5 if carried and other not in at.flow.carried else 4
            rank = 3.5 if other in at.step.inputs else rank
            rank = 2.3 if other in made_of else rank  # h for 1 − h
            yield at.operand(k, "operand", "{1} stands in the place of {0}", lambda v, w: w, rank, other)
        if value.ndim > 1 and (not carried or at.step.primitive == "dot_general"):
            yield from layouts(at, k, value)
        if value.ndim == 0 and not carried and at.step.primitive in BY_PRIMITIVE:
            yield from _constants(at, k, slot)


def _constants(at: Place, k: int, slot: Slot) -> Iterator[Edit]:
    for number in (0.0, 1.0, 2.0):
        text = f"{number:g} stands in the place of {{0}}"
        yield at.operand(k, "constant", text, lambda v, n=number: np.asarray(n), 3)
    for name, one in at.passage.options.items():
        for said, of in ((name, 1.0), (f"1/{name}", -1.0)) if isinstance(one, float) else ():
            rule = lambda c, *x, n=name, p=of: c.again(*with_value(x, k, np.asarray(c.options[n] ** p)))  # noqa: E731
            yield at.rule("constant", f"{said} stands in the place of {{0}}", rule, 2.8, slot)
