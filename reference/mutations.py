"""A mistake is the right program with one step replaced: the grammar of such steps.

An `Edit` puts something else in the place of one equation of the backward pass, or of what it keeps of the forward
pass. A `Passage` is the program made ready for edits, a `Reading` is it with all its values at one case, where an
edit costs no more than the equations after it.

The program is normalised first. Cotangents and gradients get an equation of their own (`copy`), so that "the
cotangent is ignored" and "two gradients are exchanged" are edits as well; and an elementwise function has one slope
(JAX sends tanh back by 1 − h, and the result by 1 + h). Sums and moves over axes of size 1 have no edits. Edits
that give the same numbers are one answer: that is for the search to see (`properties.diagnosis.operations`).

Not in the grammar: the arithmetic of windows, copies of parts of arrays, what a program remembers between calls.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from reference.arithmetic.floats import RULES, Floats, plain
from reference.arithmetic.reading import Rule
from reference.operations.by_hand import ByHand
from reference.operations.operation import Operation
from reference.operations.tracing import abstract_inputs
from reference.program import Derivative, Equation, Instance, Program, Slot, as_tuple, derivative, trace

Array = NDArray[Any]
Sizes = Mapping[str, int]


class NotHereError(Exception):
    """An edit makes no sense at these sizes."""


@dataclass(frozen=True)
class Context:
    """What the rule of an edit knows: the step, what it would be right to return, and the sizes."""

    step: Equation
    right: Any
    sizes: Sizes
    options: Mapping[str, Any]

    def again(self, *inputs: Any) -> Any:
        """The step with other inputs."""
        return _again(self.step, inputs)


EditRule = Callable[..., Any]
"""Takes a Context, the values of the step's inputs and those of `Edit.reads`; returns the step's value(s)."""


@dataclass(frozen=True)
class Edit:
    """One step replaced.

    Attributes:
        at: the number of the equation, or that of a scan and of an equation of its body.
        kind: what is done to it, one word of `CURES`.
        rule: what stands in its place.
        text: the sentence, with {0}, {1}, ... for `slots`.
        slots: the variables that the sentence names.
        reads: variables that the rule reads besides the inputs of the step.
        rank: how far from what people do: of several edits that explain a gradient, the lowest is told.
        only: the numbers of the only equations that see the edited value; empty where all do.
        also: other equations to which the same is done.
    """

    at: tuple[int, ...]
    kind: str
    rule: EditRule = field(repr=False)
    text: str
    slots: tuple[Slot, ...] = ()
    reads: tuple[Slot, ...] = ()
    rank: float = 2
    only: tuple[int, ...] = ()
    also: tuple[int, ...] = ()


CURES: Mapping[str, str] = {
    "path": "Add this path: the gradient is the sum over all paths.",
    "factor": "Compare this factor with the derivative of the step.",
    "sum": "Sum over all that use the value, and over nothing else.",
    "operand": "Use what the forward pass used at this step.",
    "slope": "Multiply by the derivative of the step, at the value that went in.",
    "layout": "Write down which axis of each array is which.",
    "condition": "Take the condition from the forward pass.",
    "scatter": "Add where indices repeat, as np.add.at does.",
    "cotangent": "Multiply by what comes back from above.",
    "carry": "Carry the state back from step to step, and add what each step gives.",
    "exchange": "Return the gradients in the order of the inputs.",
    "extra": "Leave the extra term out.",
    "constant": "Use the same number as the forward pass.",
    "clip": "Return the gradient as it is.",
    "precision": "Compute in double precision.",
}
"""What to do about an edit of a kind."""


# --- reading -------------------------------------------------------------------------------------------------


def _edited(arithmetic: Any, *values: Any, step: Equation, edit: Edit, case: tuple[Sizes, Mapping[str, Any]]) -> Any:
    del arithmetic
    inputs = values[: len(step.inputs)]
    return edit.rule(Context(step, _again(step, inputs), *case), *values)


class _Reader(Floats):
    """NumPy's float64, and steps that were replaced."""

    name = "edited floats"
    rules: Mapping[str, Rule] = {**RULES, "copy": plain(lambda x: x), "zeros": plain(np.zeros_like), "edited": _edited}


FLOATS = _Reader()


def _again(step: Equation, inputs: Sequence[Any]) -> Any:
    return FLOATS.rules[step.primitive](FLOATS, *inputs, **step.parameters)


def _replaced(step: Equation, edit: Edit, case: tuple[Sizes, Mapping[str, Any]]) -> Equation:
    parameters = {"step": step, "edit": edit, "case": case}
    return Equation("edited", (*step.inputs, *edit.reads), step.outputs, parameters, step.line)


class Flow:
    """Which equations of a program matter to its gradients, and what depends on what."""

    def __init__(self, steps: Sequence[Equation], carried: Sequence[Slot], ends: Sequence[Slot]) -> None:
        """The equations, the variables that come from cotangents, and those that are the gradients."""
        needed, uses = set(ends), dict[Slot, list[int]]()
        self.steps, self.ends = steps, tuple(ends)
        self.matters = set[int]()
        for i in reversed(range(len(steps))):
            if needed.intersection(steps[i].outputs):
                self.matters.add(i)
                needed.update(steps[i].inputs)
        self.carried = set(carried)
        for i in sorted(self.matters):
            if self.carried.intersection(steps[i].inputs):
                self.carried.update(steps[i].outputs)
            for slot in steps[i].inputs:
                uses.setdefault(slot, []).append(i)
        self.uses: Mapping[Slot, Sequence[int]] = uses

    def backward(self, i: int) -> bool:
        """Whether an equation depends on a cotangent."""
        return bool(self.carried.intersection(self.steps[i].outputs))

    @cache  # noqa: B019  (a flow lives as long as its passage)
    def after(self, i: int) -> tuple[int, ...]:
        """The equations that depend on this one."""
        seen, waiting = set[int](), [i]
        while waiting:
            for slot in self.steps[waiting.pop()].outputs:
                for use in self.uses.get(slot, ()):
                    if use not in seen:
                        seen.add(use)
                        waiting.append(use)
        return tuple(sorted(seen))

    @cache  # noqa: B019
    def entries(self, i: int) -> tuple[int, ...]:
        """Of what depends on this step of the forward pass, the first equations of the way back."""
        kept = {slot for j in (i, *self.after(i)) if not self.backward(j) for slot in self.steps[j].outputs}
        return tuple(j for j in self.after(i) if self.backward(j) and kept.intersection(self.steps[j].inputs))

    @cache  # noqa: B019
    def reached(self, i: int) -> frozenset[int]:
        """The places of the gradients that depend on this equation."""
        found = {slot for j in (i, *self.after(i)) for slot in self.steps[j].outputs}
        return frozenset(k for k, end in enumerate(self.ends) if end in found)


class Passage:
    """The backward pass of an operation, ready for edits.

    Attributes:
        operation: the operation.
        program: the normalised program.
        gradients: the names of its inputs that have one.
        hand: whether the backward pass is a formula that was written, not what JAX makes of the forward pass.
    """

    def __init__(
        self,
        operation: Operation,
        options: Mapping[str, Any],
        sizes: Sizes,
        forward: Callable[..., Any] | None = None,
    ) -> None:
        """Trace an operation, or one of its formulations."""
        self.operation, self.options, self._forward = operation, options, forward
        self.hand = isinstance(forward, ByHand)
        self.traced = (
            _written(operation, options, sizes, forward)
            if isinstance(forward, ByHand)
            else derivative(operation, options, sizes, forward)
        )
        names = tuple(operation.inputs)
        self.gradients = tuple(names[i] for i in self.traced.differentiable)
        self.program = _normalised(self.traced.program, len(names), self.traced.outputs)
        cotangents = ("dy",) if len(self.traced.pulled) == 1 else tuple(f"dy{i}" for i in self.traced.pulled)
        self._names = dict(zip(self.program.inputs, (*names, *cotangents), strict=True))
        self.ends = self.program.outputs[self.traced.outputs :]
        self.cotangents = self.program.inputs[len(names) :]
        made = {slot: one for one in self.program.equations for slot in one.outputs}
        self._names.update({made[s].outputs[0]: name for name, s in zip(cotangents, _firsts(self), strict=True)})
        self._names.update({s: f"d{name}" for s, name in zip(self.ends, self.gradients, strict=True)})
        self._made = made
        instance = self.program.at(sizes)
        self.flow = Flow([*instance.static, *instance.dynamic], self.cotangents, self.ends)
        self._values = _needed_for(self.program.equations, self.program.outputs[: self.traced.outputs])
        self.slopes = set(made) - self._values - self.flow.carried if not self.hand else set[Slot]()
        self._names.update(_sizes_of(instance, sizes))

    def with_options(self, options: Mapping[str, Any], sizes: Sizes) -> "Passage | None":
        """The same with other numbers for its options; None where that is another program."""
        other = Passage(self.operation, options, sizes, self._forward)
        same = [(one.primitive, one.inputs) for one in self.flow.steps]
        return other if [(one.primitive, one.inputs) for one in other.flow.steps] == same else None

    def ambiguous(self, slot: Slot) -> bool:
        """Whether the line that makes a variable makes others of the forward pass in the same way."""
        line = self._made[slot].line if slot in self._made else ""
        forward = [one for one in self.program.equations if one.line == line and one.outputs[0] not in self.flow.carried]
        return not line or max((sum(a.primitive == b.primitive for a in forward) for b in forward), default=0) > 1

    def step(self, at: tuple[int, ...]) -> tuple[Equation, Mapping[Slot, Equation]]:
        """The equation of an edit, and what makes each variable of its program."""
        step = self.flow.steps[at[0]]
        if len(at) == 1:
            return step, self._made
        body: Instance = step.parameters["jaxpr"]
        return body.dynamic[at[1]], {slot: one for one in body.program.equations for slot in one.outputs}

    def say(self, edit: Edit) -> str:
        """The sentence of an edit."""
        called = [self._called(slot, edit.at) for slot in edit.slots]
        paths = {f"via{k}": text.removeprefix("the gradient of ") for k, text in enumerate(called)}
        return edit.text.format(*called, **paths)

    def where(self, edit: Edit) -> str:
        """The line of the reference, "norms.py:12 (layer_norm)"."""
        step, made = self.step(edit.at)
        lines = (step.line, *(made[slot].line for slot in step.inputs if slot in made))
        return re.sub(r":\d+ ", " ", next(filter(None, lines), ""))

    def _called(self, slot: Slot, at: tuple[int, ...]) -> str:
        if len(at) == 1:
            if slot in self._names:
                return self._names[slot]
            return self._expression(slot, self.program, self._made, self.flow.carried, self._values)
        outer = self.flow.steps[at[0]]
        body: Program = outer.parameters["jaxpr"].program
        if slot in body.inputs:
            return self._called(outer.inputs[body.inputs.index(slot)], at[:1])
        made = {one: equation for equation in body.equations for one in equation.outputs}
        return self._expression(slot, body, made, _body_flow(outer, self.flow.carried).carried, set(made))

    def _number(self, value: float) -> str:
        """A number, by the name of the option that it is, or that it is 1 minus."""
        for name, one in self.options.items():
            if isinstance(one, float) and value != 1:
                for said, candidate in ((name, one), (f"(1 − {name})", 1 - one)):
                    if candidate == value:
                        return said
        return f"{value:.6g}"

    def _expression(
        self, slot: Slot, program: Program, made: Mapping[Slot, Equation], carried: set[Slot], values: set[Slot]
    ) -> str:
        if slot in program.constants or slot not in made:
            constant = np.asarray(program.constants.get(slot, np.nan))
            return self._number(constant.item()) if constant.size == 1 else "a constant"
        said = expression(made[slot].line, made[slot].primitive)
        if program is self.program and self.ambiguous(slot):
            known = [self._names[one] for one in made[slot].inputs if one in self._names and one in self.program.inputs]
            said = f"{said} (with {', '.join(known)})" if known else said
        if made[slot].primitive in {"reshape", "broadcast_in_dim", "convert_element_type", "copy"}:
            return self._called(made[slot].inputs[0], (0,)) if program is self.program else said
        if self.hand or slot in values:
            return said
        return f"the gradient of {said}" if slot in carried else f"the slope of {said}"


def _written(operation: Operation, options: Mapping[str, Any], sizes: Sizes, form: ByHand) -> Derivative:
    """A formula for the backward pass as a program, as `derivative` gives that of JAX."""
    arguments = abstract_inputs(operation, {name: sizes[name] for name in operation.concrete})
    places, count = operation.differentiable, len(arguments)

    def both(*given: Any) -> tuple[Any, ...]:
        found = form.backward(*given[count:], *given[:count], **options)
        return (*as_tuple(form.forward(*given[:count], **options)), *(found[place] for place in places))

    outputs = as_tuple(jax.eval_shape(partial(form.forward, **options), *arguments))
    return Derivative(trace(both, [*arguments, *outputs]), len(outputs), tuple(range(len(outputs))), places)


def _needed_for(equations: Sequence[Equation], ends: Sequence[Slot]) -> set[Slot]:
    needed = set(ends)
    for one in reversed(equations):
        if needed.intersection(one.outputs):
            needed.update(one.inputs)
    return needed


def _sizes_of(instance: Instance, sizes: Sizes) -> dict[Slot, str]:
    """What numbers that depend on sizes alone are called: "n", "n k"."""
    found: list[Any] = [None] * instance.program.slots
    for slot, array in instance.program.constants.items():
        found[slot] = FLOATS.constant(array)
    names, called = dict[Slot, str](), {float(size): name for name, size in sizes.items()}
    for (a, n), (b, m) in combinations(sizes.items(), 2):
        called.setdefault(float(n * m), f"{a} {b}")
    for step in instance.static:
        FLOATS.step(step, found)
        value = found[step.outputs[0]]
        if np.size(value) == 1 and step.primitive != "iota" and float(np.asarray(value).item()) in called:
            names[step.outputs[0]] = called[float(np.asarray(value).item())]
    return names


def _firsts(passage: Passage) -> list[Slot]:
    return [
        next(one.outputs[0] for one in passage.program.equations if one.primitive == "copy" and s in one.inputs)
        for s in passage.cotangents
    ]


def _body_carried(passage: Passage, i: int) -> set[Slot]:
    return _body_flow(passage.flow.steps[i], passage.flow.carried).carried


def _body_flow(step: Equation, carried: set[Slot]) -> Flow:
    """The flow of the body of a scan; what a carry brings round comes from cotangents too."""
    body: Instance = step.parameters["jaxpr"]
    first, carries = step.parameters["num_consts"], step.parameters["num_carry"]
    inner = [place for place, slot in zip(body.program.inputs, step.inputs, strict=True) if slot in carried]
    while True:
        flow = Flow(body.dynamic, inner, body.program.outputs)
        more = [
            body.program.inputs[first + k]
            for k in range(carries)
            if body.program.outputs[k] in flow.carried and body.program.inputs[first + k] not in inner
        ]
        if not more:
            return flow
        inner += more


class Reading:
    """A passage with all its values at one case.

    Args:
        passage: what to read.
        sizes: of all axes.
        values: of the inputs and the cotangents, in order.
    """

    def __init__(self, passage: Passage, sizes: Sizes, values: Sequence[Array]) -> None:
        """Read everything once."""
        self.passage, self.sizes, self.case = passage, sizes, (sizes, passage.options)
        self.instance = passage.program.at(sizes)
        self.steps = [*self.instance.static, *self.instance.dynamic]
        with np.errstate(all="ignore"):
            self.values: list[Any] = FLOATS.trace(self.instance, [FLOATS.number(one) for one in values])
        self.gradients: list[Array] = [self.values[slot] for slot in passage.ends]

    def read(self, *edits: Edit) -> list[Array] | None:
        """The gradients of the program with these steps replaced; None where that makes no sense."""
        with np.errstate(all="ignore"):
            try:
                return self._read(edits)
            except (NotHereError, ValueError, IndexError, TypeError, ZeroDivisionError, FloatingPointError):
                return None

    def _read(self, edits: Sequence[Edit]) -> list[Array]:
        found, flow = list(self.values), self.passage.flow
        whole = dict[int, list[Edit]]()
        for edit in edits:
            for i in () if edit.only else (edit.at[0], *edit.also):
                whole.setdefault(i, []).append(edit)
        parts = [edit for edit in edits if edit.only]
        order = {i for edit in edits for i in _span(flow, edit)}
        for i in sorted(order):
            here = whole.get(i, [])
            seen = [edit for edit in parts if i in edit.only]
            if seen:
                aside = list(found)
                for edit in seen:
                    self._step(edit.at[0], [edit], aside)
                    for j in flow.after(edit.at[0]):
                        if j < i and not flow.backward(j) and i in flow.after(j):
                            self._step(j, [], aside)
                self._step(i, here, aside)
                for slot in self.steps[i].outputs:
                    found[slot] = aside[slot]
            else:
                self._step(i, here, found)
        gradients = [np.asarray(found[slot]) for slot in self.passage.ends]
        if any(g.shape != right.shape for g, right in zip(gradients, self.gradients, strict=True)):
            raise NotHereError
        return gradients

    def _step(self, i: int, edits: Sequence[Edit], found: list[Any]) -> None:
        step = self.steps[i]
        for edit in edits:
            step = _replaced(step, edit, self.case) if len(edit.at) == 1 else self._inside(step, edit)
        FLOATS.step(step, found)

    def _inside(self, step: Equation, edit: Edit) -> Equation:
        body = copy(step.parameters["jaxpr"])
        body.dynamic = list(body.dynamic)
        body.dynamic[edit.at[1]] = _replaced(body.dynamic[edit.at[1]], edit, self.case)
        return replace(step, parameters={**step.parameters, "jaxpr": body})


def _span(flow: Flow, edit: Edit) -> tuple[int, ...]:
    firsts = edit.only or (edit.at[0], *edit.also)
    return tuple({j for first in firsts for j in (first, *flow.after(first))})


# --- normalisation -------------------------------------------------------------------------------------------


def _normalised(program: Program, inputs: int, outputs: int) -> Program:
    """Copies of cotangents and gradients as equations of their own; one slope for each elementwise function."""
    shapes = list(program.shapes)

    def new(like: Slot) -> Slot:
        shapes.append(shapes[like])
        return len(shapes) - 1

    names = {slot: new(slot) for slot in program.inputs[inputs:]}
    equations = [Equation("copy", (slot,), (name,), {}) for slot, name in names.items()]
    equations += [
        replace(one, inputs=tuple(names.get(slot, slot) for slot in one.inputs)) for one in program.equations
    ]
    ends = [names.get(slot, slot) for slot in program.outputs[outputs:]]
    copies = [new(slot) for slot in ends]
    equations += [Equation("copy", (slot,), (end,), {}) for slot, end in zip(ends, copies, strict=True)]
    kept = (*program.outputs[:outputs], *copies)
    found = replace(
        program, outputs=kept, equations=tuple(equations), slots=len(shapes), shapes=shapes, _at={}
    )
    return _with_one_slope(found, names.values())


def _with_one_slope(program: Program, carried: Any) -> Program:
    """u = c s, w = u r, v = u + w becomes v = c (s + s r), where r and s come from the forward pass."""
    made = {slot: one for one in program.equations for slot in one.outputs}
    from_above = set(carried)
    for one in program.equations:
        if from_above.intersection(one.inputs):
            from_above.update(one.outputs)
    shapes, equations = list(program.shapes), list[Equation]()
    for one in program.equations:
        u, w = (made.get(slot) for slot in one.inputs) if len(one.inputs) == 2 else (None, None)  # noqa: PLR2004
        if (
            one.primitive == "add_any"
            and u is not None
            and w is not None
            and u.primitive == w.primitive == "mul"
            and u.line == w.line == one.line
            and w.inputs[0] == u.outputs[0]
            and u.inputs[1] not in from_above
            and w.inputs[1] not in from_above
        ):
            more, slope = len(shapes), len(shapes) + 1
            shapes += [shapes[w.inputs[1]]] * 2
            equations += [
                Equation("mul", (u.inputs[1], w.inputs[1]), (more,), {}, one.line),
                Equation("add", (u.inputs[1], more), (slope,), {}, one.line),
                replace(one, primitive="mul", inputs=(u.inputs[0], slope)),
            ]
        else:
            equations.append(one)
    return replace(program, equations=tuple(equations), shapes=shapes, slots=len(shapes), _at={})


# --- the grammar ---------------------------------------------------------------------------------------------


def edits(reading: Reading) -> Iterator[Edit]:
    """All edits of a passage, as far as a reading at generic sizes shows which arrays have the same shape.

    Factors on the way back are not among them: it is linear, and the search reads them off.
    """
    flow = reading.passage.flow
    for i in sorted(flow.matters):
        step = reading.steps[i]
        level = _Level((), i, step, flow, reading.steps, reading.values, reading.sizes, reading.passage)
        yield from level.edges()
        for one in level.edits():
            inner = i < len(reading.instance.static) or step.outputs[0] in reading.passage.slopes
            edit = replace(one, rank=one.rank + 1.5) if inner and step.primitive != "dim_as_value" else one
            yield edit
            entries = () if flow.backward(i) else flow.entries(i)
            if len(entries) > 1:
                yield from (replace(edit, only=(entry,), rank=edit.rank + 0.5) for entry in entries)
        if step.primitive == "scan":
            yield from _inside_scan(reading, i, step)


def _inside_scan(reading: Reading, i: int, step: Equation) -> Iterator[Edit]:
    body: Instance = step.parameters["jaxpr"]
    flow = _body_flow(step, reading.passage.flow.carried)
    first, carries = step.parameters["num_consts"], step.parameters["num_carry"]
    given = [reading.values[slot] for slot in step.inputs]
    at_one = [one if k < first + carries else one[0] for k, one in enumerate(given)]
    with np.errstate(all="ignore"):
        values = FLOATS.trace(body, at_one)
    for j, inner in enumerate(body.dynamic):
        if j in flow.matters:
            yield from _Level((i,), j, inner, flow, body.dynamic, values, reading.sizes, reading.passage).edits()


FORMULAS: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("{}", lambda w: w),
    ("{0} (1 − {0})", lambda w: w * (1 - w)),
    ("1 − {0}²", lambda w: 1 - w * w),
    ("1 − {}", lambda w: 1 - w),
    ("1/{}", lambda w: 1 / w),
    ("{}²", lambda w: w * w),
    ("tanh' at {}", lambda w: 1 - np.tanh(w) ** 2),
    ("σ' at {}", lambda w: np.exp(-w) / (1 + np.exp(-w)) ** 2),
    ("σ({})", lambda w: 1 / (1 + np.exp(-w))),
    ("log {}", np.log),
    ("e^{}", np.exp),
    ("({} > 0)", lambda w: (w > 0) * 1.0),
)
"""What people multiply by in the place of a slope."""


@dataclass(frozen=True)
class _Level:
    """One equation, where it stands, and the values at the case."""

    path: tuple[int, ...]
    i: int
    step: Equation
    flow: Flow
    steps: Sequence[Equation]
    values: Sequence[Any]
    sizes: Sizes
    passage: Passage

    @property
    def back(self) -> bool:
        """Whether the step is one of the way back."""
        return self.flow.backward(self.i)

    @property
    def out(self) -> Slot:
        """The variable that the step makes."""
        return self.step.outputs[0]

    def edit(self, kind: str, text: str, rule: EditRule, *slots: Slot, **more: Any) -> Edit:
        """An edit of this step."""
        return Edit((*self.path, self.i), kind, rule, text, slots, **more)

    def edits(self) -> Iterator[Edit]:
        """All edits of the step."""
        if len(self.step.outputs) > 1:
            yield from self._of_several()
            return
        if self.step.primitive == "copy" and self.step.outputs[0] not in self.flow.ends:
            yield self.edit("cotangent", "{0} is ignored, as if it were 1", lambda c, x: np.ones_like(x), self.out, rank=0)
            return
        by_primitive = getattr(self, f"_{_FAMILY.get(self.step.primitive, 'none')}", None)
        yield from by_primitive() if by_primitive else ()
        yield from self._of_the_value()
        yield from self._of_operands()

    def edges(self) -> Iterator[Edit]:
        """Of the steps of the forward pass that an error comes back through next, one that it does not reach."""
        if not self.back or len(self.step.outputs) > 1:
            return
        uses = dict[str, list[int]]()
        for j in self.flow.uses.get(self.out, ()):
            if self.flow.backward(j):
                uses.setdefault(self.steps[j].line, []).append(j)
        for line, some in uses.items() if len(uses) > 1 else ():
            del line
            yield self.edit("path", "the path through {via0} is left out", lambda c, *x: np.zeros_like(c.right), self.steps[some[0]].outputs[0], only=tuple(some), rank=1)  # fmt: skip

    def same_shape(self, slot: Slot, *, forward: bool = False) -> Iterator[Slot]:
        """Variables that are there before this step, with the shape of one of its own, and floats too."""
        like = np.asarray(self.values[slot])
        if like.dtype.kind != "f" or like.size == 1:
            return
        made = {s: k for k, one in enumerate(self.steps) for s in one.outputs}
        seen = list[Array]()
        for other, value in enumerate(self.values):
            array = np.asarray(value) if value is not None else None
            if array is None or array.shape != like.shape or array.dtype.kind != "f" or other == slot:
                continue
            carried = other in self.flow.carried
            late = (carried or self.path) and made.get(other, -1) >= self.i
            if late or other in self.step.outputs or (carried and forward) or _constant(array):
                continue
            if not any(array is one or np.array_equal(array, one) for one in seen):
                seen.append(array)
                yield other

    def above(self, slot: Slot) -> Iterator[Slot]:
        """Cotangents of the shape of a variable."""
        shape = np.shape(self.values[slot])
        for one in self.steps if not self.path else ():
            if one.primitive == "copy" and one.outputs[0] not in self.flow.ends and np.shape(self.values[one.outputs[0]]) == shape:
                yield one.outputs[0]

    # the value of a step

    def _of_the_value(self) -> Iterator[Edit]:
        value = np.asarray(self.values[self.out])
        if value.dtype.kind != "f":
            return
        if not self.back or self.path:  # on the way back of the top level, factors are read off
            zero = 1 if self.back else 2.5
            yield self.edit("path", "the path through {via0} is left out", lambda c, *x: np.zeros_like(c.right), self.out, rank=zero)
            for number, said in ((-1.0, "has the wrong sign"), (2.0, "is doubled"), (0.5, "is halved")):
                yield self.edit("factor", f"{{0}} {said}", lambda c, *x, k=number: k * c.right, self.out, rank=2)
            yield from self._by_sizes()
        if value.ndim and value.size > 1:
            yield from self._layout(value)
        if self.back and not self.path:
            for axis in range(value.ndim):
                if value.shape[axis] > 1:
                    yield self.edit(
                        "extra", "the mean is subtracted from {0}",
                        lambda c, *x, axis=axis: c.right - c.right.mean(axis, keepdims=True), self.out, rank=3,
                    )  # fmt: skip
        if self.out in self.flow.ends and not self.path:
            for other in self.same_shape(self.out):
                if other not in self.flow.carried:
                    for said, formula in FORMULAS:
                        yield self.edit("extra", f"{said.replace('{0}', '{1}').replace('{}', '{1}')} is multiplied in once too often",
                                        lambda c, x, w, f=formula: c.right * f(w), self.out, other, reads=(other,), rank=3)  # fmt: skip
            for other in self.same_shape(self.out):
                if other in self.flow.carried:
                    said = "{1} is returned in the place of {0}"
                    said = said if other in self.flow.ends else "of the paths to {0} there is only the one through {via1}"
                    yield self.edit("exchange" if other in self.flow.ends else "path", said, lambda c, x, w: w, self.out, other, reads=(other,), rank=3)  # fmt: skip

    def _by_sizes(self) -> Iterator[Edit]:
        for name in self.sizes:
            for said, power in (("multiplied by", 1.0), ("divided by", -1.0)):
                yield self.edit("factor", f"{{0}} is {said} {name}", lambda c, *x, n=name, p=power: c.right * c.sizes[n] ** p, self.out, rank=2.5)  # fmt: skip

    def _layout(self, value: Array) -> Iterator[Edit]:
        rank = 3.0
        for a, b in combinations(range(value.ndim), 2):
            if value.shape[a] == value.shape[b] > 1:
                yield self.edit("layout", "{0} is transposed", lambda c, *x, a=a, b=b: c.right.swapaxes(a, b), self.out, rank=rank)
        for axis in range(value.ndim):
            if value.shape[axis] > 1:
                yield self.edit("layout", "{0} runs backwards along an axis", lambda c, *x, a=axis: np.flip(c.right, a), self.out, rank=rank + 1)
                for by in (1, -1):
                    yield self.edit("layout", "{0} is shifted by one along an axis", lambda c, *x, a=axis, k=by: _shifted(c.right, k, a), self.out, rank=rank + 1)  # fmt: skip
                if self.back:
                    last = rank - 1 if axis == 0 else rank
                    yield self.edit("sum", "only the first part of {0} is kept", lambda c, *x, a=axis: _kept(c.right, a, [0]), self.out, rank=last)
                    yield self.edit("sum", "only the last part of {0} is kept", lambda c, *x, a=axis: _kept(c.right, a, [-1]), self.out, rank=last)
                    yield self.edit("sum", "the first part of {0} is set to 0", lambda c, *x, a=axis: c.right - _kept(c.right, a, [0]), self.out, rank=last)
                    yield self.edit("sum", "the last part of {0} is set to 0", lambda c, *x, a=axis: c.right - _kept(c.right, a, [-1]), self.out, rank=last)  # fmt: skip

    # the operands of a step

    def _of_operands(self) -> Iterator[Edit]:
        if self.step.primitive in {"copy", "convert_element_type"}:
            return
        for k, slot in enumerate(self.step.inputs):
            value = np.asarray(self.values[slot])
            carried = slot in self.flow.carried
            for other in self.same_shape(slot):
                if carried and other not in self.flow.carried and other not in self.step.inputs and not self.path:
                    rank = 4.5
                else:
                    rank = 3.5 if other in self.step.inputs else 4
                yield self.edit("operand", "{1} stands in the place of {0}", lambda c, *x, k=k: c.again(*_with(x[:-1], k, x[-1])), slot, other, reads=(other,), rank=rank)  # fmt: skip
            if value.dtype.kind == "f" and value.ndim > 1 and (not carried or self.step.primitive == "dot_general"):
                yield from self._operand_layout(k, slot, value)
            if value.ndim == 0 and value.dtype.kind == "f" and slot not in self.flow.uses and not carried:
                continue
            if value.ndim == 0 and not carried and value.dtype.kind == "f" and self.step.primitive in _FAMILY:
                for name, one in self.passage.options.items():
                    if isinstance(one, float):
                        yield self.edit("constant", f"{name} stands in the place of {{0}}", lambda c, *x, k=k, n=name: c.again(*_with(x, k, np.asarray(c.options[n]))), slot, rank=2.8)  # fmt: skip
                        yield self.edit("constant", f"1/{name} stands in the place of {{0}}", lambda c, *x, k=k, n=name: c.again(*_with(x, k, 1 / np.asarray(c.options[n]))), slot, rank=2.9)  # fmt: skip
                for number in (0.0, 1.0, 2.0):
                    yield self.edit("constant", f"{number:g} stands in the place of {{0}}", lambda c, *x, k=k, v=number: c.again(*_with(x, k, np.asarray(v))), slot, rank=3)  # fmt: skip

    def _operand_layout(self, k: int, slot: Slot, value: Array) -> Iterator[Edit]:
        wide = [axis for axis in range(value.ndim) if value.shape[axis] > 1]
        for axes in ((), *((axis,) for axis in wide), tuple(wide[-2:])) if self.step.primitive == "dot_general" else ():
            if axes:
                yield self.edit("layout", "{0} runs backwards", lambda c, *x, k=k, a=axes: c.again(*_with(x, k, np.flip(x[k], a))), slot, rank=3)  # fmt: skip
        for order in permutations(range(value.ndim)):
            if order == tuple(range(value.ndim)) or value.ndim > 3:  # noqa: PLR2004
                continue
            yield self.edit(
                "layout", "{0} is brought into shape by reshape, not by a transpose",
                lambda c, *x, k=k, order=order: c.again(*_with(x, k, _by_reshape(x[k], order))), slot, rank=2.5,
            )  # fmt: skip
            if tuple(value.shape[axis] for axis in order) == value.shape:
                yield self.edit("layout", "{0} is transposed", lambda c, *x, k=k, order=order: c.again(*_with(x, k, x[k].transpose(order))), slot, rank=2)  # fmt: skip

    # by primitive

    def _sum_of_terms(self) -> Iterator[Edit]:
        a, b = self.step.inputs
        if a == b or np.array_equal(self.values[a], self.values[b]):
            return
        minus = -1 if self.step.primitive == "sub" else 1
        for k, (kept, lost) in enumerate(((b, a), (a, b))):
            if lost in self.flow.carried or not self.back:
                rank = 1 if self.back else 2
                text = "the path through {via0} is left out of a sum" if lost in self.flow.carried else "{0} is left out of a sum"
                yield self.edit("path", text, lambda c, *x, k=k: c.again(*_with(x, k, np.zeros_like(x[k]))), lost, rank=rank)
                yield self.edit("factor", "{0} has the wrong sign", lambda c, *x, k=k: c.again(*_with(x, k, -x[k])), lost, rank=rank + 0.5)
                yield self.edit("factor", "{0} is added twice", lambda c, *x, k=k: c.again(*_with(x, k, 2 * x[k])), lost, rank=rank + 1.5)
                yield self.edit("factor", "half of {0} is added", lambda c, *x, k=k: c.again(*_with(x, k, x[k] / 2)), lost, rank=rank + 1.5)
            del kept
        yield self.edit("factor", "{0} and {1} are multiplied, not added", lambda c, *x, m=minus: x[0] * x[1] * m, a, b, rank=4)
        if self.back:
            yield self.edit("factor", "{0} and {1} are averaged, not added", lambda c, *x: c.right / 2, a, b, rank=2)

    def _product(self) -> Iterator[Edit]:
        divides = self.step.primitive == "div"
        yield from self._parentheses()
        for k, slot in enumerate(self.step.inputs):
            if slot in self.flow.carried:
                continue
            other = 1 - k
            if not (divides and k == 0):
                word = "the division by {0} is left out" if divides else "the factor {0} is left out"
                yield self.edit("factor", word, lambda c, *x, o=other: np.broadcast_to(x[o], np.shape(c.right)), slot, rank=1)
            yield self.edit("factor", "the factor {0} is squared", lambda c, *x, k=k: c.again(*_with(x, k, x[k] * x[k])), slot, rank=3)
            yield self.edit("factor", "the square root of {0} stands in its place", lambda c, *x, k=k: c.again(*_with(x, k, np.sqrt(x[k]))), slot, rank=3)
            yield self.edit("factor", "{0} multiplies where it should divide, or the other way round", lambda c, *x, k=k: c.again(*_with(x, k, 1 / x[k])), slot, rank=2.5)  # fmt: skip
            yield self.edit("factor", "the size of {0} stands in its place, without its sign", lambda c, *x, k=k: c.again(*_with(x, k, np.abs(x[k]))), slot, rank=4)  # fmt: skip
            yield self.edit("slope", "the sign of {0} stands in its place", lambda c, *x, k=k: c.again(*_with(x, k, np.sign(x[k]))), slot, rank=3.5)  # fmt: skip
            if self.back and np.asarray(self.values[slot]).size > 1:
                for source in (*self.same_shape(slot, forward=True), slot, *self.above(slot)):
                    for said, formula in FORMULAS:
                        if source == slot and said == "{}":
                            continue
                        near = (2.2 if slot in self.passage.slopes and not self.path else 3.5) + (said != "{}") / 4
                        yield self.edit("slope", f"{said.replace('{0}', '{1}').replace('{}', '{1}')} stands in the place of the factor {{0}}",
                                        lambda c, *x, k=k, f=formula: c.again(*_with(x[:-1], k, f(x[-1]))), slot, source, reads=(source,), rank=near)  # fmt: skip

    def _parentheses(self) -> Iterator[Edit]:
        """s (a + b) for which s a + b is written."""
        made = {slot: one for one in self.steps for slot in one.outputs}
        for k, slot in enumerate(self.step.inputs):
            inner = made.get(slot)
            if inner is None or inner.primitive not in {"add", "add_any", "sub"} or (k == 1 and self.step.primitive == "div"):
                continue
            minus = -1 if inner.primitive == "sub" else 1
            for j in (0, 1):
                yield self.edit("factor", "the factor {0} is on one term of a sum only, not on {1}",
                                lambda c, *x, k=k, j=j, m=minus: c.again(*_with(x[:2], k, x[2])) * (m if j else 1) + x[3] * (1 if j else m),
                                self.step.inputs[1 - k], inner.inputs[1 - j], reads=(inner.inputs[j], inner.inputs[1 - j]), rank=2)  # fmt: skip

    def _power(self) -> Iterator[Edit]:
        y = self.step.parameters.get("y")
        (x,) = self.step.inputs[:1]
        if isinstance(y, int):
            for other in {y + 1, y - 1, -y, 2 * y} - {y, 0}:
                yield self.edit("factor", f"{{0}} has the power {other}, not {y}", lambda c, *x, y=other: c.right * x[0] ** float(y - c.step.parameters["y"]), x, rank=2)  # fmt: skip
            yield self.edit("factor", "{0} is left out", lambda c, *x: np.ones_like(c.right), self.out, rank=2)
        else:
            yield self.edit("factor", "{0} is left out", lambda c, *x: np.ones_like(c.right), self.out, rank=2)
            for by in (1, -1):
                if len(self.step.inputs) == 2:  # noqa: PLR2004
                    yield self.edit("factor", "the power {0} is off by one", lambda c, *x, by=by: x[0] ** (x[1] + by), self.step.inputs[1], rank=2.5)  # fmt: skip

    def _function(self) -> Iterator[Edit]:
        (x,) = self.step.inputs[:1]
        name = self.step.primitive
        yield self.edit("slope", f"{name} is left out: {{0}} stands there itself", lambda c, *x: x[0], x, rank=2.5)
        yield self.edit("slope", f"{name} is applied twice to {{0}}", lambda c, *x: c.again(c.right), x, rank=2.5)
        yield self.edit("factor", f"{{0}} enters {name} with the wrong sign", lambda c, *x: c.again(-x[0]), x, rank=2.5)
        yield self.edit("factor", "1 stands in the place of {0}", lambda c, *x: np.ones_like(c.right), self.out, rank=2.5)

    def _sum_over_axes(self) -> Iterator[Edit]:
        (x,) = self.step.inputs
        value, axes = np.asarray(self.values[x]), tuple(self.step.parameters["axes"])
        if all(value.shape[axis] == 1 for axis in axes):
            return
        for said, keep in (("first", [0]), ("last", [-1])):
            for axis in axes:
                yield self.edit("sum", f"only the {said} term of the sum over {self._axis(x, axis)} of {{0}} is kept",
                                lambda c, x, a=axis, keep=keep: c.again(_kept(x, a, keep)), x, rank=1)  # fmt: skip
                yield self.edit("sum", f"the {said} term of the sum over {self._axis(x, axis)} of {{0}} is left out",
                                lambda c, x, a=axis, keep=keep: c.again(x - _kept(x, a, keep)), x, rank=2)  # fmt: skip
        over = " and ".join(self._axis(x, axis) for axis in axes)
        for said, sign in (("largest", 1), ("least", -1)):
            yield self.edit("sum", f"the {said} term stands in the place of the sum over {over} of {{0}}", lambda c, x, a=axes, s=sign: s * (s * x).max(a), x, rank=3)  # fmt: skip
        yield self.edit("sum", f"any one term stands in the place of the sum over {over} of {{0}}", lambda c, x, a=axes: np.where(abs(x.max(a)) > abs(x.min(a)), x.max(a), x.min(a)), x, rank=2.5)  # fmt: skip
        yield self.edit("sum", f"the sum over {over} of {{0}} is a mean", lambda c, x, a=axes: x.mean(a), x, rank=1)
        free = [axis for axis in range(value.ndim) if axis not in axes and value.shape[axis] > 1]
        for axis in free:
            yield self.edit("sum", f"the sum of {{0}} runs over {self._axis(x, axis)} as well",
                            lambda c, x, a=axes, b=axis: np.broadcast_to(x.sum((*a, b), keepdims=True), _single(x, a)).reshape(c.right.shape),
                            x, rank=1.5)  # fmt: skip
        if len(axes) > 1:
            for axis in axes:
                rest = tuple(a for a in axes if a != axis)
                yield from self._lifted(f"the sum of {{0}} leaves out {self._axis(x, axis)}", lambda x, rest=rest: x.sum(rest, keepdims=True), 1.5)
                yield from self._lifted(f"the mean of {{0}} leaves out {self._axis(x, axis)}", lambda x, rest=rest, a=axis: x.sum(rest, keepdims=True) * x.shape[a], 1.5)  # fmt: skip
        yield from self._lifted(f"the sum over {over} of {{0}} is not taken", lambda x: x, 1)
        yield self.edit("sum", f"1 stands in the place of the sum over {over} of {{0}}", lambda c, x: np.ones_like(c.right), x, rank=2.5)
        for axis in axes:
            yield from self._lifted(f"the sum over {over} of {{0}} is a cumulative one", lambda x, a=axis: x.cumsum(a), 3)
        for axis in free:
            yield from self._lifted(f"the sum of {{0}} runs over {self._axis(x, axis)}, not over {over}", lambda x, a=axis: x.sum(a, keepdims=True), 1)
            yield from self._lifted(f"a mean of {{0}} over {self._axis(x, axis)} stands for the sum over {over}", lambda x, a=axis: x.mean(a, keepdims=True), 2)  # fmt: skip
            yield from self._lifted(f"the mean of {{0}} runs over {self._axis(x, axis)}, not over {over}",
                                    lambda x, a=axis, b=axes: x.mean(a, keepdims=True) * (x.size / x.sum(b).size), 1)  # fmt: skip
        for slot, inside in self._factors_of(x):
            yield from self._lifted("the factor {1} is taken out of the sum of {0}, over which it is not constant",
                                    lambda x, w, p, a=axes: _out_of(x, w, p, a), 1.5, slot, inside)  # fmt: skip

    def _factors_of(self, x: Slot) -> Iterator[tuple[Slot, Slot]]:
        """The factors of a product, through other products and reshapes, and the product that each is in."""
        source = next((one for one in self.steps if x in one.outputs), None)
        if source is None or x not in self.flow.carried:
            return
        if source.primitive == "reshape":
            yield from self._factors_of(source.inputs[0])
        if source.primitive == "mul":
            for slot in source.inputs:
                if slot in self.flow.carried:
                    yield from self._factors_of(slot)
                else:
                    yield slot, x

    def _lifted(self, text: str, function: Callable[..., Array], rank: float, *more: Slot) -> Iterator[Edit]:
        """An edit of a sum that keeps its axes until they are broadcast again."""
        (x,) = self.step.inputs
        value, axes = np.asarray(self.values[x]), tuple(self.step.parameters["axes"])
        chain = _until_broadcast(self.flow, self.i, value.shape, axes, self.values)
        if chain is None:
            return
        last = chain[-1]
        middle = [self.steps[j] for j in chain]
        reads = tuple(dict.fromkeys(slot for one in middle for slot in one.inputs if slot not in self._made_by(chain)))

        every = tuple(dict.fromkeys((*reads, x, *more)))

        def rule(c: Context, *given: Any) -> Any:
            table = dict(zip(every, given[len(c.step.inputs) :], strict=True))
            x = table[self.step.inputs[0]]
            lifted = {self.out: np.broadcast_to(function(x, *(table[slot] for slot in more)), x.shape)}
            for one in middle:
                lifted[one.outputs[0]] = _lifted_step(one, lifted, table, x.shape, axes)
            return np.broadcast_to(lifted[middle[-1].outputs[0]], np.shape(c.right))

        yield Edit((*self.path, last), "sum", rule, text, (x, *more), every, rank)

    def _made_by(self, chain: Sequence[int]) -> set[Slot]:
        return {self.out, *(slot for j in chain for slot in self.steps[j].outputs)}

    def _contraction(self) -> Iterator[Edit]:
        ((left, right), (left_batch, _)) = self.step.parameters["dimension_numbers"]
        for a, b in zip(left, right, strict=True):
            if np.shape(self.values[self.step.inputs[0]])[a] > 1:
                for said, keep in (("first", [0]), ("last", [-1])):
                    over = self._axis(self.step.inputs[0], a)
                    text = f"of the product of {{0}} and {{1}}"
                    yield self.edit("sum", f"only the {said} term of the sum over {over} {text} is kept",
                                    lambda c, x, z, a=a, keep=keep: c.again(_kept(x, a, keep), z), *self.step.inputs, rank=1)  # fmt: skip
                    yield self.edit("sum", f"the {said} term of the sum over {over} {text} is left out",
                                    lambda c, x, z, a=a, keep=keep: c.again(x - _kept(x, a, keep), z), *self.step.inputs, rank=2)  # fmt: skip
            del b
        for k, slot in enumerate(self.step.inputs):
            if slot not in self.flow.carried:
                yield self.edit("factor", "the factor {0} is squared", lambda c, *x, k=k: c.again(*_with(x, k, x[k] * x[k])), slot, rank=4)
                yield self.edit("slope", "the sign of {0} stands in its place", lambda c, *x, k=k: c.again(*_with(x, k, np.sign(x[k]))), slot, rank=4)
        if not left_batch:
            return
        for axis in range(len(left_batch)):
            yield self.edit("sum", "the product of {0} and {1} is summed over a batch axis and shared",
                            lambda c, *x, a=axis: np.broadcast_to(c.right.sum(a, keepdims=True), c.right.shape), *self.step.inputs, rank=3)  # fmt: skip

    def _move(self) -> Iterator[Edit]:
        (x,) = self.step.inputs[:1]
        value, shape = np.asarray(self.values[x]), np.shape(self.values[self.out])
        if self.step.primitive == "transpose" and value.size > 1:
            yield self.edit("layout", "{0} is brought into shape by reshape, not by a transpose", lambda c, x: x.reshape(c.right.shape), x, rank=1)
            if value.shape == shape:
                yield self.edit("layout", "{0} is not transposed", lambda c, x: x, x, rank=1)
        if self.step.primitive == "reshape" and value.ndim > 1 and value.size > 1:
            for order in permutations(range(value.ndim)) if value.ndim <= 4 else ():  # noqa: PLR2004
                if order != tuple(range(value.ndim)):
                    yield self.edit("layout", "{0} is transposed before it is reshaped", lambda c, x, o=order: x.transpose(o).reshape(c.right.shape), x, rank=3)  # fmt: skip

    def _choice(self) -> Iterator[Edit]:
        which, *cases = self.step.inputs
        if len(cases) != 2:  # noqa: PLR2004
            return
        yield self.edit("condition", "the condition {0} is ignored: taken to be false everywhere", lambda c, w, a, b: a + 0 * b, which, rank=1)
        yield self.edit("condition", "the condition {0} is ignored: taken to be true everywhere", lambda c, w, a, b: b + 0 * a, which, rank=1)
        yield self.edit("condition", "the condition {0} is the wrong way round", lambda c, w, a, b: np.where(w, a, b), which, rank=1.5)
        for other in self.same_shape(self.out):
            yield self.edit("condition", "the condition is taken from the sign of {1}, not from {0}", lambda c, w, a, b, z: np.where(z > 0, b, a), which, other, reads=(other,), rank=2)  # fmt: skip
            yield self.edit("condition", "the condition is taken from the sign of {1}, not from {0}", lambda c, w, a, b, z: np.where(z > 0, a, b), which, other, reads=(other,), rank=2.2)  # fmt: skip
        for k in (1, 2):
            yield self.edit("condition", "0 is chosen where {0} belongs", lambda c, *x, k=k: c.again(*_with(x, k, np.zeros_like(x[k]))), self.step.inputs[k], rank=2)  # fmt: skip
        shape = np.shape(self.values[self.out])
        for axis in range(len(shape)):
            if shape[axis] > 1:
                yield self.edit("condition", "the condition {0} of any of an axis is used for all of it",
                                lambda c, w, a, b, x=axis: np.where(np.broadcast_to(w, c.right.shape).any(x, keepdims=True), b, a), which, rank=3)  # fmt: skip

    def _comparison(self) -> Iterator[Edit]:
        a, b = self.step.inputs
        for said, rule in (
            ("is ignored: taken to be false everywhere", lambda c, *x: np.zeros_like(c.right)),
            ("is ignored: taken to be true everywhere", lambda c, *x: np.ones_like(c.right)),
            ("is the wrong way round", lambda c, *x: ~c.right),
            ("is shifted where both sides are equal", lambda c, x, z: c.right ^ (x == z)),
        ):
            yield self.edit("condition", f"the condition {{0}} {said}", rule, self.out, rank=1.5)
        for axis, size in enumerate(np.shape(self.values[self.out])):
            if size > 1:
                yield self.edit("condition", f"the condition {{0}} holds for all of {self._axis(self.out, axis)} where it holds for one",
                                lambda c, *x, a=axis: np.broadcast_to(c.right.any(a, keepdims=True), c.right.shape), self.out, rank=2.5)  # fmt: skip
        for number in (0.0, 1.0, -1.0, 0.5):
            for k in (0, 1):
                if np.asarray(self.values[self.step.inputs[k]]).dtype.kind == "f":
                    yield self.edit("condition", f"the condition {{1}} compares with {number:g}, not with {{0}}",
                                    lambda c, *x, k=k, v=number: c.again(*_with(x, k, np.full_like(x[k], v))), self.step.inputs[k], self.out, rank=2.5)  # fmt: skip
        del a, b

    def _scatter(self) -> Iterator[Edit]:
        def overwritten(c: Context, x: Array, indices: Array, updates: Array, *more: Any, last: bool) -> Array:
            del more
            order = slice(None) if last else slice(None, None, -1)
            how = {k: v for k, v in c.step.parameters.items() if k in {"dimension_numbers", "mode"}}
            step = replace(c.step, primitive="scatter", parameters=how)
            if not order.step:
                return _again(step, (x, indices, updates))
            axes = tuple(range(indices.ndim - 1))
            window = set(how["dimension_numbers"].update_window_dims)
            places = tuple(axis for axis in range(updates.ndim) if axis not in window)
            return _again(step, (x, np.flip(indices, axes), np.flip(updates, places)))

        alike = [j for j, one in enumerate(self.steps) if one.primitive == self.step.primitive and j in self.flow.matters and self.flow.backward(j)]
        others = tuple(alike[1:]) if not self.path and alike and self.i == alike[0] else ()
        for also in dict.fromkeys(((), others)):
            for last in (True, False):
                yield self.edit("scatter", "{0} overwrites where indices repeat, and does not add", lambda c, *x, last=last: overwritten(c, *x, last=last), self.step.inputs[2], rank=0.5, also=also)  # fmt: skip
            yield self.edit("scatter", "the parts of {0} are put back side by side, though they were taken further apart", _side_by_side, self.step.inputs[2], rank=2, also=also)  # fmt: skip

        def averaged(c: Context, x: Array, indices: Array, updates: Array, *more: Any) -> Array:
            del more
            count = _again(c.step, (np.zeros_like(x), indices, np.ones_like(updates)))
            return x + (c.right - x) / np.maximum(count, 1)

        yield self.edit("scatter", "{0} is averaged where indices repeat, not added", averaged, self.step.inputs[2], rank=1)

    def _size(self) -> Iterator[Edit]:
        yield self.edit("factor", "{0} is one too large (n − 1 for n)", lambda c, *x: c.right - 1, self.out, rank=2)
        for name in self.sizes:
            yield self.edit("factor", f"{name} stands in the place of {{0}}", lambda c, *x, n=name: np.asarray(c.sizes[n]) + 0 * c.right, self.out, rank=2)

    def _of_several(self) -> Iterator[Edit]:
        """Outputs of a scan: a carry that is dropped, and sequences of which one entry is kept."""
        for k, slot in enumerate(self.step.outputs):
            if slot in self.flow.uses or slot in self.flow.ends:
                yield self.edit("path", "{0} is left out", lambda c, *x, k=k: _with(c.right, k, np.zeros_like(c.right[k])), slot, rank=2)
        if self.step.primitive != "scan" or not self.back:
            return
        first, carries = self.step.parameters["num_consts"], self.step.parameters["num_carry"]
        for k in range(carries):
            slot, told = self.step.inputs[first + k], "what a step hands to the one before"
            yield self._scan_edit("carry", f"{told} is dropped ({{0}})", slot, 1, lambda b, k=k: _without_carry(b, first + k))
            yield self._scan_edit("carry", f"{told} is not updated ({{0}})", slot, 2, lambda b, k=k: _not_updated(b, first + k, k))
            yield self.edit("factor", "{0} is divided by the number of steps", lambda c, *x, k=k: _with(c.right, k, c.right[k] / c.step.parameters["length"]), self.step.outputs[k], rank=2)  # fmt: skip
        sums = _accumulators(self.step)
        if len(sums) > 1:
            slot = self.step.outputs[sums[0]]
            yield self._scan_edit("carry", "the part of each step overwrites that of the one before, and is not added", slot, 0.9, lambda b: _without_carry(b, *(first + k for k in sums)))  # fmt: skip
            yield self.edit("factor", "the sums over the steps are divided by the number of steps", lambda c, *x: [one / c.step.parameters["length"] if k in sums else one for k, one in enumerate(c.right)], slot, rank=0.9)  # fmt: skip
        for k, slot in enumerate(self.step.inputs[first + carries :], first + carries):
            if slot in self.flow.carried:
                for said, keep in (("last", -1), ("first", 0)):
                    yield self.edit("carry", f"only the {said} step's part of {{0}} is used", lambda c, *x, k=k, p=keep: c.again(*_with(x, k, _kept(x[k], 0, [p]))), slot, rank=1)  # fmt: skip

    def _scan_edit(self, kind: str, text: str, slot: Slot, rank: float, change: Callable[[Instance], Instance]) -> Edit:
        def rule(c: Context, *x: Any) -> Any:
            body = change(copy(c.step.parameters["jaxpr"]))
            return _again(replace(c.step, parameters={**c.step.parameters, "jaxpr": body}), x)

        return self.edit(kind, text, rule, slot, rank=rank)

    def _axis(self, slot: Slot, axis: int) -> str:
        """What an axis is called: by its size, which is that of one named axis."""
        size = np.shape(self.values[slot])[axis]
        return next((name for name, one in self.sizes.items() if one == size), f"axis {axis}")


_FAMILY: Mapping[str, str] = {
    **dict.fromkeys(("add", "add_any", "sub"), "sum_of_terms"),
    **dict.fromkeys(("mul", "div"), "product"),
    **dict.fromkeys(("integer_pow", "pow", "square"), "power"),
    **dict.fromkeys(
        ("exp", "log", "log1p", "expm1", "tanh", "logistic", "sqrt", "rsqrt", "erf", "sin", "cos", "abs", "sign"), "function"
    ),
    "reduce_sum": "sum_over_axes",
    "dot_general": "contraction",
    **dict.fromkeys(("transpose", "reshape"), "move"),
    "select_n": "choice",
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), "comparison"),
    **dict.fromkeys(("scatter-add", "scatter_add"), "scatter"),
    "dim_as_value": "size",
}  # fmt: skip
"""The method of `_Level` that edits a primitive, without its underscore."""


# --- arrays --------------------------------------------------------------------------------------------------


def _without_carry(body: Instance, *places: int) -> Instance:
    """A body that sees 0 in the place of carries."""
    slots = [body.program.inputs[place] for place in places]
    body.dynamic = [*(Equation("zeros", (slot,), (slot,), {}) for slot in slots), *body.dynamic]
    return body


def _accumulators(step: Equation) -> list[int]:
    """The carries of a scan to which each step adds, and which it reads for nothing else."""
    program, first = step.parameters["jaxpr"].program, step.parameters["num_consts"]
    found = list[int]()
    for k in range(step.parameters["num_carry"]):
        uses = [one for one in program.equations if program.inputs[first + k] in one.inputs]
        if len(uses) == 1 and uses[0].primitive == "add_any" and uses[0].outputs[0] == program.outputs[k]:
            found.append(k)
    return found


def _not_updated(body: Instance, place: int, carry: int) -> Instance:
    """A body that hands a carry on as it came."""
    outputs = [*body.program.outputs]
    outputs[carry] = body.program.inputs[place]
    body.program = replace(body.program, outputs=tuple(outputs))
    return body


def _with(values: Sequence[Any], k: int, value: Any) -> list[Any]:
    """The values with another one in place k."""
    return [*values[:k], value, *values[k + 1 :]]


def _kept(x: Array, axis: int, places: Sequence[int]) -> Array:
    """x that is 0 but for some places of an axis."""
    kept = np.zeros_like(x)
    where = tuple(places if a == axis else slice(None) for a in range(x.ndim))
    kept[where] = x[where]
    return kept


def _out_of(x: Array, factor: Array, product: Array, axes: Sequence[int]) -> Array:
    """factor Σ (x / factor), where x has the entries of a product with the factor."""
    w = np.broadcast_to(factor, product.shape).reshape(x.shape)
    return w * (x / w).sum(tuple(axes), keepdims=True)


def _shifted(x: Array, by: int, axis: int) -> Array:
    """x moved along an axis, with 0 where nothing moved to."""
    moved = np.roll(x, by, axis)
    return moved - _kept(moved, axis, [0 if by > 0 else -1])


def _single(x: Array, axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))


def _constant(x: Array) -> bool:
    return x.size > 1 and bool((x == x.flat[0]).all())


def _side_by_side(c: Context, x: Array, indices: Array, updates: Array, *more: Any) -> Array:
    """A scatter of windows whose steps are 1."""
    del more
    if indices.ndim != 3 or len(indices) < 2:  # noqa: PLR2004  (windows, kernel, 1)
        raise NotHereError
    step = indices[1:2, :1] - indices[:1, :1]
    return c.again(x, indices - (step - 1) * np.arange(len(indices))[:, None, None], updates)


def _by_reshape(x: Array, order: Sequence[int]) -> Array:
    """What x becomes where a reshape stands for a transpose: of x, the entries fill xᵀ's shape row by row."""
    return x.reshape([x.shape[axis] for axis in order]).transpose(np.argsort(order))


def _until_broadcast(
    flow: Flow, i: int, shape: tuple[int, ...], axes: Sequence[int], values: Sequence[Any]
) -> list[int] | None:
    """The equations from a sum to where its axes are broadcast again; None where they stay away."""
    reduced = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    single = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    chain, slot = list[int](), flow.steps[i].outputs[0]
    while True:
        uses = flow.uses.get(slot, ())
        if len(uses) != 1 or slot in flow.ends:
            return None
        step = flow.steps[uses[0]]
        if len(step.outputs) > 1 or step.primitive in {"dot_general", "copy", "scan", "transpose"}:
            return None
        if step.primitive == "reduce_sum" and np.shape(values[step.outputs[0]]) != reduced:
            return None
        chain.append(uses[0])
        slot = step.outputs[0]
        found = np.shape(values[slot])
        if found == shape:
            return chain
        if found not in (reduced, single):
            return None


def _lifted_step(
    step: Equation, lifted: Mapping[Slot, Array], table: Mapping[Slot, Array], shape: tuple[int, ...], axes: Sequence[int]
) -> Array:
    """A step between a sum and its broadcast, for a value that has all axes."""
    single = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    reduced = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    if step.primitive in {"reshape", "broadcast_in_dim", "reduce_sum", "squeeze", "expand_dims"}:
        return lifted[step.inputs[0]]
    given = [
        lifted[slot] if slot in lifted else np.reshape(table[slot], single) if np.shape(table[slot]) == reduced else table[slot]
        for slot in step.inputs
    ]
    return np.broadcast_to(_again(step, given), shape)


# --- words ---------------------------------------------------------------------------------------------------

_OPERATORS: Mapping[str, tuple[type[ast.operator], ...]] = {
    "mul": (ast.Mult,), "add": (ast.Add,), "add_any": (ast.Add,), "sub": (ast.Sub,), "div": (ast.Div,),
    "dot_general": (ast.MatMult,), "integer_pow": (ast.Pow, ast.Div), "pow": (ast.Pow,),
}  # fmt: skip
_SPELLED = {"select_n": "where"}
WIDTH = 60
"""Letters of an expression that are shown."""


@cache
def _parsed(file: str) -> tuple[str, ast.Module]:
    import reference.operations  # noqa: PLC0415

    text = (Path(inspect.getfile(reference.operations)).parent / file).read_text(encoding="utf-8")
    return text, ast.parse(text)


@cache
def expression(line: str, primitive: str) -> str:
    """What the reference writes at "norms.py:34:21 (layer_norm)", with the name it gives it: "`y = x + 1`"."""
    found = re.match(r"([\w.]+):(\d+):(\d+)", line)
    if not found:
        return f"`{_SPELLED.get(primitive, primitive)}(...)`"
    try:
        text, tree = _parsed(found[1])
    except OSError:
        return line
    place = int(found[2]), int(found[3])
    nodes = [
        one for one in ast.walk(tree) if isinstance(one, ast.expr) and (one.lineno, one.col_offset) == place
    ]
    fitting = [
        one for one in nodes if isinstance(one, ast.BinOp) and isinstance(one.op, _OPERATORS.get(primitive, ()))
    ]
    calls = [one for one in nodes if isinstance(one, ast.Call)]
    chosen = (fitting or calls or nodes or [None])[0]
    said = (chosen and ast.get_source_segment(text, chosen)) or line
    names = [
        one.targets[0].id
        for one in ast.walk(tree)
        if isinstance(one, ast.Assign) and one.value is chosen and isinstance(one.targets[0], ast.Name)
    ]
    said = " ".join(said.split())
    said = said if len(said) <= WIDTH else f"{said[:WIDTH]}..."
    return f"`{names[0]} = {said}`" if names else f"`{said}`"
