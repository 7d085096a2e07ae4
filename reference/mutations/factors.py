"""Edits of products, quotients, powers and functions: a factor left out, squared, or another one in its place."""

from collections.abc import Iterator
from itertools import permutations, product

import numpy as np

from reference.mutations.arrays import FACTORS
from reference.mutations.edit import Edit, with_value
from reference.mutations.place import Place
from reference.mutations.slopes import FORMULAS
from reference.program import Slot

# pyright: reportUnknownLambdaType=false
# (the rule of an edit takes as many arrays as its step)


def product_of(at: Place) -> Iterator[Edit]:
    """Of a product or a quotient of two."""
    divides = at.step.primitive == "div"
    yield from _parentheses(at, divides=divides)
    for k, slot in enumerate(at.step.inputs):
        if slot in at.flow.carried:
            yield at.operand(k, "cotangent", "{0} is ignored, as if it were 1", np.ones_like, 2.5)
            continue
        if not (divides and k == 0):
            text = "the division by {0} is left out" if divides else "{factor0} is left out"
            yield at.operand(k, "factor", text, np.ones_like, 1)
        for text, f, rank in FACTORS:
            yield at.operand(k, "factor", text, f, rank)
        if divides and slot in at.alike.made and at.alike.made[slot] >= at.passage.static:
            yield from _by_a_size(at, k, slot)
        if at.back and np.size(at.values[slot]) > 1:
            near = 2.2 if slot in at.passage.slopes and not at.path else 3.5
            for source, (said, f) in product(_sources(at, slot), FORMULAS):
                text, rank = f"{said} stands in the place of {{0}}", near + (said != "{1}") / 4
                if source != slot or said != "{1}":
                    yield at.operand(k, "slope", text, lambda v, w, f=f: f(w), rank, source)


def _by_a_size(at: Place, k: int, slot: Slot) -> Iterator[Edit]:
    """A mean over all, where some are left out: a division by a size, not by how many there are."""
    for name in at.sizes:
        rule = lambda c, *x, n=name: c.again(*with_value(x, k, np.full_like(x[k], c.sizes[n])))  # noqa: E731
        yield at.rule("factor", f"what should be divided by {{0}} is divided by {name}", rule, 1.8, slot)


def _parentheses(at: Place, *, divides: bool) -> Iterator[Edit]:
    """s (a + b) for which s a + b is written."""
    text = "the factor {0} is on one term of a sum only, not on {1}"
    for k, slot in enumerate(at.step.inputs):
        inner = at.maker(slot)
        if inner is None or inner.primitive not in {"add", "add_any", "sub"} or (divides and k == 1):
            continue
        signs = (1, -1) if inner.primitive == "sub" else (1, 1)
        for (a, plus), (b, minus) in permutations(zip(inner.inputs, signs, strict=True)):
            rule = lambda c, *x, k=k, s=plus, t=minus: s * c.again(*with_value(x[:2], k, x[2])) + t * x[3]  # noqa: E731
            yield at.rule("factor", text, rule, 2, at.step.inputs[1 - k], b, reads=(a, b))


def _sources(at: Place, slot: Slot) -> Iterator[Slot]:
    """What a slope could have been taken of: variables of the forward pass, and cotangents as they come."""
    yield slot
    for other in at.same_shape(slot):
        cotangent = not at.path and other in (*at.passage.cotangents, *at.passage.firsts)
        if cotangent or (other not in at.flow.carried and other not in at.passage.slopes):
            yield other


def power(at: Place) -> Iterator[Edit]:
    """Of x^p."""
    yield at.value("factor", "{0} is left out", np.ones_like, 2)
    for by in (1.0, -1.0):
        rule = lambda c, *x, p=by: c.right * x[0] ** p  # noqa: E731
        yield at.rule("factor", "the power of {0} is off by one", rule, 2, at.step.inputs[0])


def function(at: Place) -> Iterator[Edit]:
    """Of f(x), entry by entry."""
    name, x = at.step.primitive, at.step.inputs[0]
    yield at.operand(0, "factor", f"{{0}} enters {name} with the wrong sign", np.negative, 2.5)
    yield at.rule("slope", f"{name} is left out: {{0}} stands there itself", lambda c, v, *_: v, 2.5, x)
    yield at.rule("slope", f"{name} is applied twice to {{0}}", lambda c, *_: c.again(c.right), 2.5, x)
    yield at.value("factor", "1 stands in the place of {0}", np.ones_like, 2.5)
    if name in {"sqrt", "rsqrt"}:
        yield from _out_of_the_root(at, x, 1 if name == "sqrt" else -1)


def _out_of_the_root(at: Place, x: Slot, power: int) -> Iterator[Edit]:
    """An ε that is added to a root, and not under it."""
    source = next((one for one in at.steps if x in one.outputs and one.primitive == "add"), None)
    a, b = source.inputs if source else (x, x)
    for slot, other in ((a, b), (b, a)):
        if (number := at.number(slot)) is not None:
            text = "{0} is added to the root, and forward adds it under the root"
            outside = lambda c, *v, e=number: (np.sqrt(v[-1]) + e) ** power  # noqa: E731
            yield at.rule("constant", text, outside, 1.8, slot, reads=(other,))


def size(at: Place) -> Iterator[Edit]:
    """Of a size that stands as a number: n − 1 for n, or another one."""
    yield at.value("factor", "{0} − 1 stands in the place of {0}", lambda v: v - 1, 2)
    for name in at.sizes:
        rule = lambda c, n=name: np.asarray(c.sizes[n]) + 0 * c.right  # noqa: E731
        yield at.rule("factor", f"{name} stands in the place of {{0}}", rule, 2, at.step.outputs[0])
        rule = lambda c, n=name: c.right * c.sizes[n]  # noqa: E731
        yield at.rule("factor", f"{{0}} {name} stands in the place of {{0}}", rule, 2.5, at.step.outputs[0])
