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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from itertools import chain, combinations, permutations, product
from math import sqrt
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from reference.arithmetic.floats import RULES, Floats, plain
from reference.arithmetic.reading import Rule
from reference.operations.by_hand import ByHand
from reference.operations.operation import Operation, output_name
from reference.operations.tracing import abstract_inputs
from reference.precision import in_double_precision
from reference.program import Derivative, Equation, Instance, Program, Slot, as_tuple, derivative, flattened

Array = NDArray[Any]
# pyright: reportUnknownLambdaType=false
# (the rule of an edit takes as many arrays as its step)
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
        kind: what is done to it, one word.
        rule: what stands in its place.
        text: the sentence, with {0}, {1}, ... for `slots`.
        slots: the variables that the sentence names.
        reads: variables that the rule reads besides the inputs of the step.
        rank: how far from what people do: of several edits that explain a gradient, the lowest is told.
        only: the numbers of the only equations that see the edited value; empty where all do.
        also: other equations to which the same is done.
        is_local: whether what it reads is of its own turn, where it is in a loop.
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
    is_local: bool = False


# --- reading -------------------------------------------------------------------------------------------------


def _edited(
    arithmetic: Any, *values: Any, step: Equation, edit: Edit, case: tuple[Sizes, Mapping[str, Any]]
) -> Any:
    del arithmetic
    inputs = values[: len(step.inputs)]
    return edit.rule(Context(step, _again(step, inputs), *case), *values)


class _Reader(Floats):
    """NumPy's float64, and steps that were replaced."""

    name = "edited floats"
    rules: Mapping[str, Rule] = {
        **RULES,
        "copy": plain(lambda x: x),
        "zeros": plain(np.zeros_like),
        "edited": _edited,
    }


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
        # the caches live as long as the flow
        self.after, self.entries = cache(self._after), cache(self._entries)
        self.reached, self.work = cache(self._reached), cache(self._work)
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

    def _after(self, i: int) -> tuple[int, ...]:
        """The equations that depend on this one."""
        seen, waiting = set[int](), [i]
        while waiting:
            for slot in self.steps[waiting.pop()].outputs:
                for use in self.uses.get(slot, ()):
                    if use not in seen:
                        seen.add(use)
                        waiting.append(use)
        return tuple(sorted(seen))

    def _entries(self, i: int) -> tuple[int, ...]:
        """The equations of the way back that see this step: its uses, or the first ones after the forward pass."""
        if self.backward(i):
            return tuple(dict.fromkeys(j for slot in self.steps[i].outputs for j in self.uses.get(slot, ())))
        kept = {slot for j in (i, *self.after(i)) if not self.backward(j) for slot in self.steps[j].outputs}
        return tuple(j for j in self.after(i) if self.backward(j) and kept.intersection(self.steps[j].inputs))

    def _reached(self, i: int) -> frozenset[int]:
        """The places of the gradients that depend on this equation."""
        found = {slot for j in (i, *self.after(i)) for slot in self.steps[j].outputs}
        return frozenset(k for k, end in enumerate(self.ends) if end in found)

    def _work(self, places: frozenset[int]) -> int:
        """How many equations are read anew where these are edited; those of a loop in each turn."""
        return sum(_turns(self.steps[i]) for i in places.union(*map(self.after, places)))


def _turns(step: Equation) -> int:
    if step.primitive != "scan":
        return 1
    return step.parameters["length"] * len(step.parameters["jaxpr"].dynamic)


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
        dead: Mapping[Slot, int] | None = None,
    ) -> None:
        """Trace an operation, or one of its formulations; of the sums in `dead` there is only the operand it says."""
        self.operation, self.options, self._forward, self._dead = operation, options, forward, dead or {}
        self._fixed = {axis: sizes[axis] for axis in operation.concrete}
        self.hand = isinstance(forward, ByHand)
        self.traced = (
            _written(operation, options, sizes, forward)
            if isinstance(forward, ByHand)
            else derivative(operation, options, sizes, forward)
        )
        names = tuple(operation.inputs)
        self.gradients = tuple(names[i] for i in self.traced.differentiable)
        normalised = _normalised(self.traced.program, len(names), self.traced.outputs)
        self.program = _without(normalised, self._dead) if self._dead else normalised
        dy = f"d{output_name([*names, *operation.options])}"
        cotangents = (dy,) if len(self.traced.pulled) == 1 else tuple(f"{dy}{i}" for i in self.traced.pulled)
        self._names = dict(zip(self.program.inputs, (*names, *cotangents), strict=True))
        self.ends = self.program.outputs[self.traced.outputs :]
        self.cotangents = self.program.inputs[len(names) :]
        made = {slot: one for one in self.program.equations for slot in one.outputs}
        self.firsts = tuple(
            one.outputs[0]
            for slot in self.cotangents
            for one in self.program.equations
            if one.inputs == (slot,)
        )
        self._names.update(zip(self.firsts, cotangents, strict=True))
        self._names.update({s: f"d{name}" for s, name in zip(self.ends, self.gradients, strict=True)})
        self._made = made
        instance = self.program.at(sizes)
        self.flow = Flow([*instance.static, *instance.dynamic], self.cotangents, self.ends)
        self.static = len(instance.static)
        self._values = _needed_for(self.program.equations, self.program.outputs[: self.traced.outputs])
        self.slopes = set(made) - self._values - self.flow.carried if not self.hand else set[Slot]()
        self._names.update(_sizes_of(self.program, sizes, self._fixed))
        self._repeating = _repeating(one for one in self.program.equations if one.outputs[0] in self._values)

    def fits(self, options: Mapping[str, Any], sizes: Sizes) -> bool:
        """Whether this is the program for these options and sizes."""
        return options == self.options and all(sizes[axis] == size for axis, size in self._fixed.items())

    def with_options(self, options: Mapping[str, Any], sizes: Sizes) -> "Passage | None":
        """The same with other numbers for its options, and for sizes; None where that is another program."""
        other = Passage(self.operation, options, sizes, self._forward, self._dead)
        same = [(one.primitive, one.inputs) for one in self.flow.steps]
        return other if [(one.primitive, one.inputs) for one in other.flow.steps] == same else None

    def without(self, dead: Sequence["Edit"], sizes: Sizes) -> "Passage":
        """The same without the terms that such edits leave out, which `dead_ends` gives."""
        kept = {self.flow.steps[one.at[0]].outputs[0]: 1 - self._place(one) for one in dead}
        return Passage(self.operation, self.options, sizes, self._forward, {**self._dead, **kept})

    def _place(self, edit: "Edit") -> int:
        return self.flow.steps[edit.at[0]].inputs.index(edit.slots[0])

    @property
    def is_of_sizes(self) -> bool:
        """Whether it was traced with sizes that are numbers, so that its own may be those."""
        return bool(self._fixed)

    @property
    def numbers(self) -> list[Slot]:
        """The constants of the program that are one number."""
        return [slot for slot in self.program.constants if self.number(slot) is not None]

    def number(self, slot: Slot) -> float | None:
        """The one number that a constant of the program is."""
        value = np.asarray(self.program.constants.get(slot, ()))
        return float(value.item()) if value.size == 1 and value.dtype.kind in "fi" else None

    def number_in(self, slot: Slot) -> str:
        """A number by the line where it is used first, "the number in `x.mean()`"."""
        said = (expression(one.line, one.primitive) for one in self.program.equations if slot in one.inputs)
        return f"the number in {next(said, 'the program')}"

    def call(self, names: Mapping[Slot, str]) -> None:
        """Call variables by these names in sentences."""
        self._names.update(names)

    def ambiguous(self, slot: Slot) -> bool:
        """Whether the line that makes a variable makes others of the forward pass in the same way."""
        line = _line(self._made[slot]) if slot in self._made else ""
        return not line or line in self._repeating

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
        for k, (slot, name) in enumerate(zip(edit.slots, called, strict=True)):
            if k and slot != edit.slots[0] and name == called[0]:  # of a loop that is written out
                called[k] = f"{'an earlier' if slot < edit.slots[0] else 'a later'} {name}"
        paths = {f"via{k}": text.removeprefix("the gradient of ") for k, text in enumerate(called)}
        paths |= {
            f"factor{k}": text if "slope of" in text else f"the factor {text}"
            for k, text in enumerate(called)
        }
        said = edit.text.format(*called, **paths)
        return said.replace(" transposed is transposed", " is not transposed")  # each undoes the other

    def in_every_turn(self, edits: Iterable[Edit]) -> list[list[Edit]]:
        """Edits that are one to whoever wrote a loop, which is written out here: of the same step, line by line."""
        found = dict[Any, dict[int, Edit]]()
        for edit in edits:
            step = self.flow.steps[edit.at[0]]
            is_alone = not (edit.only or edit.also) and (edit.is_local or not edit.reads)
            if step.line and len(edit.at) == 1 and is_alone:
                kept = [slot for slot in step.inputs if slot not in self.flow.carried]
                told = [slot for slot in edit.slots if slot not in step.outputs]
                makers = (self._made.get(slot) for slot in (*kept, *told))
                sources = tuple((one.line, one.primitive) if one else None for one in makers)
                key = edit.kind, edit.text, step.line, step.primitive, len(kept), sources
                found.setdefault(key, {}).setdefault(edit.at[0], edit)
        return [list(some.values()) for some in found.values() if len(some) > 1]

    def straight(self, summed: Slot, term: Slot) -> str:
        """The path of a term that is the gradient of a sum with an input of its own, as y = x + f(x) has for dx.

        Such a term is no other than dy, so what it goes through is that sum, not what dy comes from.
        """
        copies = (one.outputs[0] for one in self.program.equations if one.inputs == (summed,))
        name = next((self._names[one][1:] for one in (summed, *copies) if one in self.ends), "")
        source = next((one for one in self.program.inputs if self._names[one] == name), None)
        sums = [
            one
            for one in self.program.equations
            if source in one.inputs and one.primitive in {"add", "sub"} and one.outputs[0] in self._values
        ]
        if len(sums) != 1 or len(self.flow.uses.get(term, ())) < 2:  # noqa: PLR2004
            return ""
        return f"the path by which {name} goes straight into {self._called(sums[0].outputs[0], (0,))}"

    def where(self, edit: Edit) -> str:
        """The line of the reference, or of a subject, "norms.py:12 (layer_norm)"."""
        step, made = self.step(edit.at)
        lines = (step.line, *(made[slot].line for slot in step.inputs if slot in made))
        return _row(replace(step, line=next(filter(None, lines), "")))

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
        self,
        slot: Slot,
        program: Program,
        made: Mapping[Slot, Equation],
        carried: set[Slot],
        values: set[Slot],
    ) -> str:
        if slot in program.constants or slot not in made:
            constant = np.asarray(program.constants.get(slot, np.nan))
            return self._number(constant.item()) if constant.size == 1 else "a constant"
        said = expression(made[slot].line, made[slot].primitive)
        if program is self.program and self.ambiguous(slot):
            known = [
                self._names[one]
                for one in made[slot].inputs
                if one in self._names and one in self.program.inputs
            ]
            said = f"{said} (with {', '.join(known)})" if known else said
        if made[slot].primitive in _AS_IT_IS:
            return self._called(made[slot].inputs[0], (0,)) if program is self.program else said
        if self.hand or slot in values:
            return said
        if slot in carried or program is not self.program:
            return f"the {'gradient' if slot in carried else 'slope'} of {said}"
        return self._slope(slot, said)

    def _slope(self, slot: Slot, said: str) -> str:
        """What is computed for the way back alone: an array that is moved, a slope, or a part of one."""
        step = self._made[slot]
        if step.primitive in _MOVED:
            return f"{self._called(step.inputs[0], (0,))} {_MOVED[step.primitive]}"
        made_of = dict.fromkeys(self._called(one, (0,)) for one in self._made_of(slot))
        if made_of and not self._meets_a_cotangent(slot):
            return f"the part of {' and '.join(made_of)} in the slope of {said}"
        return f"the slope of {said}"

    def _meets_a_cotangent(self, slot: Slot) -> bool:
        """Whether a slope is what the way back multiplies by, and nothing of which that is made."""
        uses = self.flow.uses.get(slot, ())
        passed_on = (self.flow.steps[j].outputs[0] for j in uses if self.flow.steps[j].primitive in _AS_IT_IS)
        return any(map(self.flow.backward, uses)) or any(map(self._meets_a_cotangent, passed_on))

    def _made_of(self, slot: Slot) -> Iterator[Slot]:
        """The variables of the forward pass of which a part of a slope is made."""
        for one in self._made[slot].inputs:
            if one in self.slopes:
                yield from self._made_of(one)
            elif one not in self.program.constants:
                yield one


@in_double_precision
def _written(operation: Operation, options: Mapping[str, Any], sizes: Sizes, form: ByHand) -> Derivative:
    """A formula for the backward pass as a program, as `derivative` gives that of JAX."""
    arguments = abstract_inputs(operation, {name: sizes[name] for name in operation.concrete})
    places, count = operation.differentiable, len(arguments)

    def both(*given: Any) -> tuple[Any, ...]:
        found = form.backward(*given[count:], *given[:count], **options)
        return (*as_tuple(form.forward(*given[:count], **options)), *(found[place] for place in places))

    outputs = as_tuple(jax.eval_shape(partial(form.forward, **options), *arguments))
    shapes = (*arguments, *outputs)
    closed = jax.make_jaxpr(both)(*shapes)
    return Derivative(flattened(closed), len(outputs), tuple(range(len(outputs))), places, closed, shapes)


def _line(step: Equation) -> str:
    """Where it comes from, without the column."""
    return step.line.partition("» ")[0]


def _row(step: Equation) -> str:
    """Its file and line: "norms.py:12 (layer_norm)"."""
    return re.sub(r"(:\d+):\d+ ", r"\1 ", step.line).partition(" «")[0]


def _repeating(steps: Iterable[Equation]) -> set[str]:
    """The lines that make several variables in the same way."""
    seen, found = set[tuple[str, str]](), set[str]()
    for one in steps:
        key = _line(one), one.primitive
        if key in seen:
            found.add(key[0])
        seen.add(key)
    return found


def _needed_for(equations: Sequence[Equation], ends: Sequence[Slot]) -> set[Slot]:
    needed = set(ends)
    for one in reversed(equations):
        if needed.intersection(one.outputs):
            needed.update(one.inputs)
    return needed


def _sizes_of(program: Program, sizes: Sizes, fixed: Collection[str]) -> dict[Slot, str]:
    """What numbers that depend on sizes alone are called, "n" or "(n k)": by what they are at other sizes too."""
    names, count = _called_by_value(program.at(sizes), sizes), len(sizes)
    # all by one factor, which keeps what is less than what, and each by its own, which tells equal ones apart
    for factors in ([3] * count, range(count + 2, 2, -1)):
        others = {
            name: one if name in fixed else one * by
            for (name, one), by in zip(sizes.items(), factors, strict=True)
        }
        with suppress(
            ValueError, ArithmeticError, LookupError
        ):  # a kernel may be larger than its image there
            there = _called_by_value(program.at(others), others)
            names = {
                slot: [one for one in some if one in there.get(slot, ())] for slot, some in names.items()
            }
    return {slot: some[0] for slot, some in names.items() if some}


def _called_by_value(instance: Instance, sizes: Sizes) -> dict[Slot, list[str]]:
    """The names of sizes, and of what is made of one or two, that each number that depends on sizes alone may have."""
    found: list[Any] = [None] * instance.program.slots
    for slot, array in instance.program.constants.items():
        found[slot] = FLOATS.constant(array)
    called = dict[float, list[str]]()
    for name, size in sizes.items():
        called.setdefault(float(size), []).append(name)
    for name, size in sizes.items():
        called.setdefault(float(size - 1), []).append(f"({name} − 1)")
    for (a, n), (b, m) in combinations(sizes.items(), 2):
        called.setdefault(float(n * m), []).append(f"({a} {b})")
    names = dict[Slot, list[str]]()
    for step in instance.static:
        FLOATS.step(step, found)
        value = found[step.outputs[0]]
        if np.size(value) == 1 and step.primitive != "iota":
            names[step.outputs[0]] = called.get(float(np.asarray(value).item()), [])
    return names


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


class Alike:
    """Variables of real numbers by their shapes: what could stand in each other's place."""

    def __init__(self, values: Sequence[Any], steps: Sequence[Equation]) -> None:
        """Those that have one number alone are left out."""
        self.made = {slot: k for k, step in enumerate(steps) for slot in step.outputs}
        self._of = dict[tuple[int, ...], list[tuple[Slot, bytes]]]()
        for slot, value in enumerate(values):
            array = np.asarray(value if value is not None else 0)
            if array.dtype.kind == "f" and array.size > 1 and (array != array.flat[0]).any():
                self._of.setdefault(array.shape, []).append((slot, array.tobytes()))

    def of(self, shape: tuple[int, ...]) -> Sequence[tuple[Slot, bytes]]:
        """The variables of a shape, each with its numbers."""
        return self._of.get(shape, ())


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

    @cached_property
    def alike(self) -> Alike:
        """What could stand in each other's place."""
        return Alike(self.values, self.steps)

    def read(self, *edits: Edit) -> list[Array] | None:
        """The gradients of the program with these steps replaced; None where that makes no sense."""
        with np.errstate(all="ignore"):
            try:
                return self._read(edits)
            except (NotHereError, ValueError, LookupError, TypeError, ArithmeticError):
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


def _without(program: Program, dead: Mapping[Slot, int]) -> Program:
    """The program with one operand in the place of sums, by their outputs."""
    names, equations = dict[Slot, Slot](), list[Equation]()
    for one in program.equations:
        inputs = tuple(names.get(slot, slot) for slot in one.inputs)
        if one.primitive == "add_any" and one.outputs[0] in dead:  # at other sizes it may be another program
            names[one.outputs[0]] = inputs[dead[one.outputs[0]]]
        else:
            equations.append(replace(one, inputs=inputs))
    outputs = tuple(names.get(slot, slot) for slot in program.outputs)
    return replace(program, outputs=outputs, equations=tuple(equations), _at={})


def dead_ends(reading: Reading, unit: float) -> Iterator[Edit]:
    """Terms of sums on the way back that change no gradient, each as the edit that leaves it out.

    What comes back through the maximum that a softmax subtracts is 0. Nobody writes it, and beside a mistake it is 0 no
    more: a program with it is no other than the right one, and with one step replaced it is another.
    """
    flow = reading.passage.flow
    for i in sorted(flow.matters):
        step = reading.steps[i]
        for k, slot in enumerate(step.inputs) if step.primitive == "add_any" and flow.backward(i) else ():
            rule = lambda c, *x, k=k: x[1 - k]  # noqa: E731
            edit = Edit((i,), "path", rule, "the path through {via0} is left out of a sum", (slot,))
            if changes_nothing(reading, edit, unit):
                yield edit


def changes_nothing(reading: Reading, edit: Edit, unit: float) -> bool:
    """Whether the gradients stay what they are, to half of the digits of the largest: one may be all but rounding."""
    largest = max((float(abs(one).max(initial=0)) for one in reading.gradients), default=0.0)
    found = reading.read(edit)
    return found is not None and all(
        float(abs(now - then).max(initial=0)) <= sqrt(unit) * largest
        for now, then in zip(found, reading.gradients, strict=True)
    )


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

    Constant factors on the way back are not among them: it is linear, and the search reads them off. An edit of the
    forward pass is seen by all that depends on it, or by one step of the way back alone.
    """
    flow = reading.passage.flow
    for i in sorted(flow.matters):
        step = reading.steps[i]
        level = _Level(reading.passage, reading.sizes, flow, reading.steps, reading.values, i, reading.alike)
        yield from level.edges()
        entries = flow.entries(i)
        inner = i < len(reading.instance.static) or step.outputs[0] in reading.passage.slopes
        for one in level.edits():
            edit = replace(one, rank=one.rank + 1.5) if inner and step.primitive != "dim_as_value" else one
            yield edit
            if len(entries) > 1 and not edit.also:
                yield from (replace(edit, only=(entry,), rank=edit.rank + 0.5) for entry in entries)
        if step.primitive == "scan":
            yield from _inside(reading, i, step)


def _inside(reading: Reading, i: int, step: Equation) -> Iterator[Edit]:
    """The edits of the body of a scan, which is edited at all its steps at once."""
    body: Instance = step.parameters["jaxpr"]
    flow = _body_flow(step, reading.passage.flow.carried)
    carries = step.parameters["num_consts"] + step.parameters["num_carry"]
    given = [reading.values[slot] for slot in step.inputs]
    with np.errstate(all="ignore"):
        values = FLOATS.trace(body, [one if k < carries else one[0] for k, one in enumerate(given)])
    alike = Alike(values, body.dynamic)
    for j in sorted(flow.matters):
        yield from _Level(reading.passage, reading.sizes, flow, body.dynamic, values, j, alike, (i,)).edits()


def _first(x: Array, axis: int) -> Array:
    return _kept(x, axis, 0)


def _last(x: Array, axis: int) -> Array:
    return _kept(x, axis, -1)


PARTS: tuple[tuple[str, Callable[[Array, int], Array], float], ...] = (
    ("only the first part of {0} along {axis} is kept", _first, 0),
    ("only the last part of {0} along {axis} is kept", _last, 0),
    ("the first part of {0} along {axis} is left out", lambda x, a: x - _first(x, a), 1),
    ("the last part of {0} along {axis} is left out", lambda x, a: x - _last(x, a), 1),
)
"""What is done to an array along an axis that is summed over, and how much less likely it is than the first."""

MOVES: tuple[tuple[str, Callable[[Array, int], Array]], ...] = (
    ("{0} runs backwards along {axis}", np.flip),
    ("{0} is shifted by one along {axis}", lambda x, a: _shifted(x, 1, a)),
    ("{0} is shifted by one along {axis}", lambda x, a: _shifted(x, -1, a)),
)

FACTORS: tuple[tuple[str, Callable[[Array], Array], float], ...] = (
    ("the factor {0} is squared", np.square, 3),
    ("the square root of {0} stands in its place", np.sqrt, 3),
    ("{0} multiplies where it should divide, or the other way round", np.reciprocal, 2.5),
    ("the absolute value of {0} stands in its place", np.abs, 4),
    ("the sign of {0} stands in its place", np.sign, 3.5),
)
"""What becomes of a factor."""

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


@dataclass(frozen=True)
class _Level:
    """One equation, the program that it stands in, and the values at the case."""

    passage: Passage
    sizes: Sizes
    flow: Flow
    steps: Sequence[Equation]
    values: Sequence[Any]
    i: int
    alike: Alike
    path: tuple[int, ...] = ()

    @property
    def step(self) -> Equation:
        """The equation."""
        return self.steps[self.i]

    @property
    def back(self) -> bool:
        """Whether it is one of the way back."""
        return self.flow.backward(self.i)

    def rule(self, kind: str, text: str, rule: EditRule, rank: float, *slots: Slot, **more: Any) -> Edit:
        """An edit of this step, by a rule of its own."""
        return Edit((*self.path, self.i), kind, rule, text, slots, rank=rank, **more)

    def value(self, kind: str, text: str, f: Callable[..., Any], rank: float, *reads: Slot) -> Edit:
        """f(right value, *reads) in the place of the value."""
        n = len(self.step.inputs)
        rule = lambda c, *x: f(c.right, *x[n:])  # noqa: E731
        return self.rule(kind, text, rule, rank, self.step.outputs[0], *reads, reads=reads)

    def operand(self, k: int, kind: str, text: str, f: Callable[..., Any], rank: float, *reads: Slot) -> Edit:
        """The step with f(operand, *reads) in the place of its operand k."""
        n = len(self.step.inputs)
        rule = lambda c, *x: c.again(*_with(x[:n], k, f(x[k], *x[n:])))  # noqa: E731
        return self.rule(kind, text, rule, rank, self.step.inputs[k], *reads, reads=reads)

    def edits(self) -> Iterator[Edit]:
        """All edits of the step."""
        out, *more = self.step.outputs
        if more:
            yield from self._scan() if self.step.primitive == "scan" else ()
        elif self.step.primitive == "copy" and out not in self.flow.ends:
            yield self.value("cotangent", "{0} is ignored, as if it were 1", np.ones_like, 0)
            for order in _orders(np.ndim(self.values[out])):
                text = "{0} is brought into shape by reshape, not by a transpose"
                yield self.value("layout", text, lambda v, o=order: _by_reshape(v, o), 2.5)
        else:
            family = _FAMILY.get(self.step.primitive)
            yield from getattr(self, f"_{family}")() if family else ()
            yield from chain(self.slopes(), self.formulas() if not self.path else ()) if self.back else ()
            if np.asarray(self.values[out]).dtype.kind == "f":
                yield from self._of_the_value()
            if self.step.primitive not in {"copy", "convert_element_type"}:
                yield from self._of_operands()

    def edges(self) -> Iterator[Edit]:
        """Of the steps of the forward pass that an error comes back through next, one that it does not reach."""
        out, *more = self.step.outputs
        if not self.back or more:
            return
        uses = dict[str, list[int]]()
        for j in self.flow.uses.get(out, ()):
            if self.flow.backward(j):
                uses.setdefault(self.steps[j].line, []).append(j)
        for some in uses.values() if len(uses) > 1 else ():
            text, slot = "the path through {via0} is left out", self.steps[some[0]].outputs[0]
            yield self.rule("path", text, lambda c, *x: np.zeros_like(c.right), 1, slot, only=tuple(some))

    def slopes(self) -> Iterator[Edit]:
        """All that the way back through an elementwise function of several steps multiplies by, left out."""
        made = {slot: k for k, step in enumerate(self.steps) for slot in step.outputs}
        inner = expression(self.step.line, self.step.primitive).strip("`")
        k: int | None = self.i
        while k is not None and (slot := self._multiplied(k)) is not None:
            outer = self.steps[k]
            if k != self.i:
                whole = inner in expression(outer.line, outer.primitive)
                told = "slope of {via1} is" if whole else "slopes from {via1} to {via0} are"
                said, named = f"the {told} left out", (self.step.outputs[0], outer.outputs[0])
                yield self.rule("slope", said, lambda c, *x: x[-1], 1.5, *named, reads=(slot,))
            k = made.get(slot)

    def formulas(self) -> Iterator[Edit]:
        """What people take for the slope of an elementwise function: a formula of its argument, or of its value.

        The function may be of several steps and paths: from the value to the argument, each gradient comes entry by
        entry from the one before. The way through all of them is one slope.
        """
        for begin, argument, value in self._ways():
            real = [one for one in (value, argument) if np.asarray(self.values[one]).dtype.kind == "f"]
            for source, (said, f) in product(real, FORMULAS):
                with np.errstate(all="ignore"):
                    slope = f(np.asarray(self.values[source]))
                if slope.size < 2 or not (slope != slope.flat[0]).any():  # noqa: PLR2004
                    continue  # of one number it is a factor, and a constant one is left out
                letter, which = ("h", "h = {0}") if source == value else ("z", "{0}, z = {1}")
                text = f"{said.replace('{1}', letter)} stands in the place of the slope of {which}"
                rule = lambda c, *x, f=f: x[-2] * f(x[-1])  # noqa: E731
                more = {"reads": (begin, source), "is_local": True}
                yield self.rule("slope", text, rule, 1.1, value, source, **more)

    def _ways(self) -> Iterator[tuple[Slot, Slot, Slot]]:
        """Where this gradient comes from entry by entry, through which function: its argument, and its value.

        It is followed back to where all paths meet, as far as one line goes, and as far as it can be.
        """
        found, passed_on = list[tuple[Slot, list[int]]](), self.flow.uses.get(self.step.outputs[0], ())
        steps = [self.steps[j] for j in passed_on]
        if any(self._is_elementwise(one) and one.line == self.step.line for one in steps):
            return  # it is in the middle of one
        region, waiting = [self.i], {slot for slot in self.step.inputs if slot in self.flow.carried}
        while waiting and self._is_elementwise(self.steps[region[-1]]):
            if len(waiting) == 1 and len(region) > 1:
                found.append((next(iter(waiting)), list(region)))
            latest = max(waiting, key=lambda slot: self.alike.made.get(slot, -1))
            if latest not in self.alike.made:
                break
            region.append(self.alike.made[latest])
            waiting.remove(latest)
            waiting |= {slot for slot in self.steps[region[-1]].inputs if slot in self.flow.carried}
        of_a_line = [one for one in found if {_row(self.steps[j]) for j in one[1]} == {_row(self.step)}]
        for begin, some in {one[0]: one for one in (*of_a_line[-1:], *found[-1:])}.values():
            argument = self._argument(some)
            if argument is not None:
                line = _row(self.step) if (begin, some) in of_a_line else ""
                yield from ((begin, argument, value) for value in self._values_of(argument, line))

    def _is_elementwise(self, step: Equation) -> bool:
        """Whether each entry of its value is made of the same entries of what it takes."""
        shapes = [np.shape(self.values[slot]) for slot in (step.outputs[0], self.step.outputs[0])]
        return step.primitive in _ELEMENTWISE and shapes[0] == shapes[1]

    def _argument(self, region: Sequence[int]) -> Slot | None:
        """What all is made of that some steps of the way back multiply by; None where that is of several."""
        constants, static = self.passage.program.constants, self.passage.static
        shape, found = np.shape(self.values[self.step.outputs[0]]), None

        def moving(steps: Iterable[Equation]) -> set[Slot]:
            every = {slot for one in steps for slot in one.inputs if np.size(self.values[slot]) > 1}
            made = (slot for slot in every if self.alike.made.get(slot, static) >= static)
            return {slot for slot in made if slot not in self.flow.carried and slot not in constants}

        waiting = {
            slot for slot in moving(self.steps[j] for j in region) if np.shape(self.values[slot]) == shape
        }
        while waiting and (len(waiting) == 1 or found is None):
            latest = max(waiting, key=lambda slot: self.alike.made.get(slot, -1))
            found = latest if len(waiting) == 1 else None
            maker = self.steps[self.alike.made[latest]] if latest in self.alike.made else None
            more = moving([maker]) if maker and self._is_elementwise(maker) else set[Slot]()
            if not more or any(np.shape(self.values[slot]) != shape for slot in more):
                break
            waiting = (waiting - {latest}) | more
        return found

    def _values_of(self, argument: Slot, line: str) -> list[Slot]:
        """The last that is made of an argument entry by entry, on this line."""
        known, values = {argument}, list[Slot]()
        for step in self.steps[self.passage.static :]:  # it may not matter to the gradient
            inside = {slot for slot in step.inputs if np.size(self.values[slot]) > 1}
            if known.isdisjoint(inside) or not inside <= known or not self._is_elementwise(step):
                continue
            known.add(step.outputs[0])
            if step.outputs[0] not in self.passage.slopes and (not line or _row(step) == line):
                values.append(step.outputs[0])
        return values[-1:]

    def _multiplied(self, k: int) -> Slot | None:
        """What a step of the way back multiplies by something of the forward pass, entry by entry."""
        step = self.steps[k]
        carried = [slot for slot in step.inputs if slot in self.flow.carried]
        if step.primitive not in {"mul", "div", "neg", "select_n"} or len(carried) != 1:
            return None
        same = np.shape(self.values[carried[0]]) == np.shape(self.values[step.outputs[0]])
        return carried[0] if same else None

    # which other variables could stand here

    def same_shape(self, slot: Slot) -> Iterator[Slot]:
        """Variables that are there before this step, of the shape of a variable, and made of real numbers too."""
        like, seen = np.asarray(self.values[slot]), set[bytes]()
        if like.dtype.kind != "f" or like.size <= 1:
            return
        for other, numbers in self.alike.of(like.shape):
            late = (other in self.flow.carried or self.path) and self.alike.made.get(other, -1) >= self.i
            if not late and other not in (slot, *self.step.outputs) and numbers not in seen:
                seen.add(numbers)
                yield other

    def _sources(self, slot: Slot) -> Iterator[Slot]:
        """What a slope could have been taken of: variables of the forward pass, and cotangents as they come."""
        yield slot
        for other in self.same_shape(slot):
            cotangent = not self.path and other in (*self.passage.cotangents, *self.passage.firsts)
            if cotangent or (other not in self.flow.carried and other not in self.passage.slopes):
                yield other

    def _axes(self, slot: Slot) -> Iterator[tuple[int, str]]:
        """The axes of a variable that have several entries, and what they are called."""
        for axis, size in enumerate(np.shape(self.values[slot])):
            if size > 1:
                yield axis, self._axis(slot, axis)

    def _axis(self, slot: Slot, axis: int) -> str:
        program = (
            self.passage.flow.steps[self.path[0]].parameters["jaxpr"].program
            if self.path
            else self.passage.program
        )
        sizes = [str(size) for size in program.shapes[slot]]
        if not re.fullmatch(r"(\d+\*)?[A-Za-z]\w*", sizes[axis]):
            return f"axis {axis}"
        said = sizes[axis].replace("*", " ")
        return said if sizes.count(sizes[axis]) == 1 else f"{said} (axis {axis})"

    # of any step

    def _of_the_value(self) -> Iterator[Edit]:
        out = self.step.outputs[0]
        value = np.asarray(self.values[out])
        if not self.back or self.path:  # on the way back of the top level, factors are read off
            rank = 1 if self.back else 2.5
            yield self.value("path", "the path through {via0} is left out", np.zeros_like, rank)
            yield self.value("factor", "{0} has the wrong sign", np.negative, 2)
            yield self.value("factor", "{0} is doubled", lambda v: 2 * v, 2)
            yield self.value("factor", "{0} is halved", lambda v: v / 2, 2)
            for name in self.sizes:
                times, over = (
                    (lambda c, *x, n=name: c.right * c.sizes[n]),
                    (lambda c, *x, n=name: c.right / c.sizes[n]),
                )
                yield self.rule("factor", f"{{0}} is multiplied by {name}", times, 2.5, out)
                yield self.rule("factor", f"{{0}} is divided by {name}", over, 2.5, out)
        for a, b in combinations(range(value.ndim), 2):
            if value.shape[a] == value.shape[b] > 1:
                yield self.value("layout", "{0} is transposed", lambda v, a=a, b=b: v.swapaxes(a, b), 3)
        for a, axis in self._axes(out):
            for text, f in MOVES:
                yield self.value("layout", text.replace("{axis}", axis), lambda v, a=a, f=f: f(v, a), 4)
            for text, f, _ in PARTS if self.back else ():
                yield self.value(
                    "sum", text.replace("{axis}", axis), lambda v, a=a, f=f: f(v, a), 2 if a == 0 else 3
                )
            if self.back and not self.path:
                centred = lambda v, a=a: v - v.mean(a, keepdims=True)  # noqa: E731
                yield self.value("extra", f"the mean over {axis} is subtracted from {{0}}", centred, 3)
        if out in self.flow.ends and not self.path:
            yield from self._of_a_gradient(out)

    def _of_a_gradient(self, out: Slot) -> Iterator[Edit]:
        for other in self.same_shape(out):
            if other in self.flow.ends:
                yield self.value("exchange", "{1} is returned in the place of {0}", lambda v, w: w, 3, other)
            elif other in self.flow.carried:
                text = "of the paths to {0} there is only the one through {via1}"
                yield self.value("path", text, lambda v, w: w, 3, other)
            else:
                for said, f in FORMULAS:
                    text = f"{said} is multiplied in once too often"
                    yield self.value("extra", text, lambda v, w, f=f: v * f(w), 3, other)

    def _of_operands(self) -> Iterator[Edit]:
        for k, slot in enumerate(self.step.inputs):
            value, carried = np.asarray(self.values[slot]), slot in self.flow.carried
            if value.dtype.kind != "f":
                continue
            for other in self.same_shape(slot):
                rank = 4.5 if carried and other not in self.flow.carried else 4
                rank = 3.5 if other in self.step.inputs else rank
                yield self.operand(
                    k, "operand", "{1} stands in the place of {0}", lambda v, w: w, rank, other
                )
            if value.ndim > 1 and (not carried or self.step.primitive == "dot_general"):
                yield from self._layouts(k, value)
            if value.ndim == 0 and not carried and self.step.primitive in _FAMILY:
                yield from self._constants(k, slot)

    def _layouts(self, k: int, value: Array) -> Iterator[Edit]:
        for order in _orders(value.ndim):
            text = "{0} is brought into shape by reshape, not by a transpose"
            yield self.operand(k, "layout", text, lambda v, o=order: _by_reshape(v, o), 2.5)
            if value.transpose(order).shape == value.shape:
                yield self.operand(k, "layout", "{0} is transposed", lambda v, o=order: v.transpose(o), 2)
        wide = [axis for axis in range(value.ndim) if value.shape[axis] > 1]
        if self.step.primitive == "dot_general":
            for axes in (*((axis,) for axis in wide), tuple(wide[-2:])):
                yield self.operand(k, "layout", "{0} runs backwards", lambda v, a=axes: np.flip(v, a), 3)

    def _constants(self, k: int, slot: Slot) -> Iterator[Edit]:
        for number in (0.0, 1.0, 2.0):
            text = f"{number:g} stands in the place of {{0}}"
            yield self.operand(k, "constant", text, lambda v, n=number: np.asarray(n), 3)
        for name, one in self.passage.options.items():
            for said, power in ((name, 1.0), (f"1/{name}", -1.0)) if isinstance(one, float) else ():
                rule = lambda c, *x, n=name, p=power: c.again(*_with(x, k, np.asarray(c.options[n] ** p)))  # noqa: E731
                yield self.rule("constant", f"{said} stands in the place of {{0}}", rule, 2.8, slot)

    # by primitive

    def _sum_of_terms(self) -> Iterator[Edit]:
        a, b = self.step.inputs
        if a == b or np.array_equal(self.values[a], self.values[b]):
            return
        for k, lost in enumerate((a, b)):
            if (number := self._number(lost)) is not None:
                yield from self._added_number(k, number)
            elif lost in self.flow.carried or not self.back:
                rank, said = (1.0, "the path through {via0}") if lost in self.flow.carried else (2.0, "{0}")
                if straight := self.passage.straight(self.step.outputs[0], lost):
                    said = straight
                yield self.operand(k, "path", f"{said} is left out of a sum", np.zeros_like, rank)
                yield self.operand(k, "factor", "{0} has the wrong sign", np.negative, rank + 0.5)
                yield self.operand(k, "factor", "{0} is added twice", lambda v: 2 * v, rank + 1.5)
                yield self.operand(k, "factor", "half of {0} is added", lambda v: v / 2, rank + 1.5)
        yield self.rule("factor", "{0} and {1} are multiplied, not added", lambda c, x, z: x * z, 4, a, b)
        if self.back:
            yield self.rule(
                "factor", "{0} and {1} are averaged, not added", lambda c, x, z: c.right / 2, 2, a, b
            )
            yield from self._overlaps(a, b)

    def _number(self, slot: Slot) -> float | None:
        """The number that a line of the program has; those of a loop's body are not asked for."""
        return None if self.path else self.passage.number(slot)

    def _added_number(self, k: int, number: float) -> Iterator[Edit]:
        """An ε, left out here, or wherever the same is added, or moved into the root that it is added to."""
        left_out = self.operand(k, "constant", "{0} is left out, which forward adds", np.zeros_like, 2)
        yield left_out
        alike = (j for j in sorted(self.flow.matters) if self.steps[j].primitive == self.step.primitive)
        moving = (j for j in alike if j >= self.passage.static)
        same = [j for j in moving if self._number(self.steps[j].inputs[k]) == number]
        if same[:1] == [self.i] and len(same) > 1:
            yield replace(left_out, text="{0} is left out wherever forward adds it", also=tuple(same[1:]))
        yield self.operand(k, "constant", "{0} has the wrong sign", np.negative, 2.5)
        rooted = self.step.inputs[1 - k]
        root = self.alike.made.get(rooted, self.i)
        if self.steps[root].primitive == "sqrt" and self.step.primitive == "add":
            under = lambda c, *x: np.sqrt(x[0] + number) if c.step.primitive == "sqrt" else x[1 - k]  # noqa: E731
            text, slots = (
                "{0} is added under the root, and forward adds it to {1}",
                (self.step.inputs[k], rooted),
            )
            yield Edit((root,), "constant", under, text, slots, rank=1.8, also=(self.i,))

    def _overlaps(self, a: Slot, b: Slot) -> Iterator[Edit]:
        """Parts of an array that are written one after the other: where they overlap, the last one stays."""
        parts = [self._written(a), self._written(b)]
        for k, part in enumerate(parts) if any(one is not None for one in parts) else ():
            text, one = "where its parts overlap, {} stays, and they are not added", ("last", "first")[k]
            stays = lambda c, *x, k=k: np.where(x[k] != 0, x[k], x[1 - k])  # noqa: E731
            yield self.rule("overlap", text.format(f"the {one} one"), stays, 1, self.step.outputs[0])
            if part is not None:
                whole = lambda c, *x, k=k, part=part: np.where(part, x[k], x[1 - k])  # noqa: E731
                told = text.format(f"all of the {one} one")
                yield self.rule("overlap", told, whole, 1, self.step.outputs[0])

    def _written(self, slot: Slot) -> Array | None:
        """Where an array was written to, made of parts of it; None where it is whole."""
        if slot not in self.alike.made:
            return None
        step = self.steps[self.alike.made[slot]]
        if step.primitive == "pad":
            size = np.shape(self.values[step.inputs[0]])
            return np.asarray(_again(step, (np.ones(size), np.zeros(())))) > 0
        if step.primitive == "add_any":
            some, others = map(self._written, step.inputs)
            return None if some is None or others is None else some | others
        return None

    def _product(self) -> Iterator[Edit]:
        divides = self.step.primitive == "div"
        yield from self._parentheses(divides=divides)
        for k, slot in enumerate(self.step.inputs):
            if slot in self.flow.carried:
                yield self.operand(k, "cotangent", "{0} is ignored, as if it were 1", np.ones_like, 2.5)
                continue
            if not (divides and k == 0):
                text = "the division by {0} is left out" if divides else "{factor0} is left out"
                yield self.operand(k, "factor", text, np.ones_like, 1)
            for text, f, rank in FACTORS:
                yield self.operand(k, "factor", text, f, rank)
            if divides and slot in self.alike.made and self.alike.made[slot] >= self.passage.static:
                yield from self._by_a_size(k, slot)
            if self.back and np.size(self.values[slot]) > 1:
                near = 2.2 if slot in self.passage.slopes and not self.path else 3.5
                for source, (said, f) in product(self._sources(slot), FORMULAS):
                    text, rank = f"{said} stands in the place of {{0}}", near + (said != "{1}") / 4
                    if source != slot or said != "{1}":
                        yield self.operand(k, "slope", text, lambda v, w, f=f: f(w), rank, source)

    def _by_a_size(self, k: int, slot: Slot) -> Iterator[Edit]:
        """A mean over all, where some are left out: a division by a size, not by how many there are."""
        for name in self.sizes:
            rule = lambda c, *x, n=name: c.again(*_with(x, k, np.full_like(x[k], c.sizes[n])))  # noqa: E731
            yield self.rule(
                "factor", f"what should be divided by {{0}} is divided by {name}", rule, 1.8, slot
            )

    def _parentheses(self, *, divides: bool) -> Iterator[Edit]:
        """s (a + b) for which s a + b is written."""
        made = {slot: one for one in self.steps for slot in one.outputs}
        text = "the factor {0} is on one term of a sum only, not on {1}"
        for k, slot in enumerate(self.step.inputs):
            inner = made.get(slot)
            if inner is None or inner.primitive not in {"add", "add_any", "sub"} or (divides and k == 1):
                continue
            signs = (1, -1) if inner.primitive == "sub" else (1, 1)
            for (a, plus), (b, minus) in permutations(zip(inner.inputs, signs, strict=True)):
                rule = lambda c, *x, k=k, s=plus, t=minus: s * c.again(*_with(x[:2], k, x[2])) + t * x[3]  # noqa: E731
                yield self.rule("factor", text, rule, 2, self.step.inputs[1 - k], b, reads=(a, b))

    def _power(self) -> Iterator[Edit]:
        yield self.value("factor", "{0} is left out", np.ones_like, 2)
        for by in (1.0, -1.0):
            rule = lambda c, *x, p=by: c.right * x[0] ** p  # noqa: E731
            yield self.rule("factor", "the power of {0} is off by one", rule, 2, self.step.inputs[0])

    def _function(self) -> Iterator[Edit]:
        name, x = self.step.primitive, self.step.inputs[0]
        yield self.operand(0, "factor", f"{{0}} enters {name} with the wrong sign", np.negative, 2.5)
        yield self.rule("slope", f"{name} is left out: {{0}} stands there itself", lambda c, v, *_: v, 2.5, x)
        yield self.rule("slope", f"{name} is applied twice to {{0}}", lambda c, *_: c.again(c.right), 2.5, x)
        yield self.value("factor", "1 stands in the place of {0}", np.ones_like, 2.5)
        if name in {"sqrt", "rsqrt"}:
            yield from self._out_of_the_root(x, 1 if name == "sqrt" else -1)

    def _out_of_the_root(self, x: Slot, power: int) -> Iterator[Edit]:
        """An ε that is added to a root, and not under it."""
        source = next((one for one in self.steps if x in one.outputs and one.primitive == "add"), None)
        a, b = source.inputs if source else (x, x)
        for slot, other in ((a, b), (b, a)):
            if (number := self._number(slot)) is not None:
                text = "{0} is added to the root, and forward adds it under the root"
                outside = lambda c, *v, e=number: (np.sqrt(v[-1]) + e) ** power  # noqa: E731
                yield self.rule("constant", text, outside, 1.8, slot, reads=(other,))

    def _sum_over_axes(self) -> Iterator[Edit]:
        (x,) = self.step.inputs
        axes, named = tuple(self.step.parameters["axes"]), dict(self._axes(x))
        if not named.keys() & set(axes):
            return
        over = " and ".join(named[axis] for axis in axes if axis in named)
        for (text, f, less), axis in product(PARTS, axes):
            if axis in named:
                yield self.operand(
                    0, "sum", text.replace("{axis}", named[axis]), lambda v, a=axis, f=f: f(v, a), 1 + less
                )
        yield self.rule(
            "sum", f"a mean of {{0}} over {over} stands for the sum", lambda c, v: v.mean(axes), 1, x
        )
        for said, f in (("the largest", np.max), ("the least", np.min), ("any one", _any)):
            text = f"{said} term stands in the place of the sum of {{0}} over {over}"
            yield self.rule("sum", text, lambda c, v, f=f: f(v, axes), 2.5, x)
        yield self.value("sum", f"1 stands in the place of {{0}}, a sum over {over}", np.ones_like, 2.5)
        for said, place in (("first", 0), ("last", -1)) if len(axes) > 1 else ():
            text = f"only the {said} term of the sum of {{0}} over {over} is kept"
            yield self.rule(
                "sum",
                text,
                lambda c, v, p=place: np.moveaxis(v, axes, range(len(axes)))[(p,) * len(axes)],
                1,
                x,
            )
        yield from self._lifted(f"the sum of {{0}} over {over} is not taken", lambda v: v, 1)
        for axis in axes:
            rest = tuple(a for a in axes if a != axis)
            yield from self._lifted(
                f"the sum of {{0}} over {over} is cumulative", lambda v, a=axis: v.cumsum(a), 3
            )
            if rest and axis in named:
                without = f"of {{0}} leaves out {named[axis]}"
                yield from self._lifted(f"the sum {without}", lambda v, r=rest: v.sum(r, keepdims=True), 1.5)
                mean = lambda v, r=rest, a=axis: v.sum(r, keepdims=True) * v.shape[a]  # noqa: E731
                yield from self._lifted(f"the mean {without}", mean, 1.5)
        for axis in named.keys() - set(axes):
            text = f"of {{0}} runs over {named[axis]}, not over {over}"
            mean = lambda v, a=axis: v.mean(a, keepdims=True) * (v.size / v.sum(axes).size)  # noqa: E731
            as_well = lambda c, v, a=axis: _over_more(v, axes, a)  # noqa: E731
            yield self.rule("sum", f"the sum of {{0}} runs over {named[axis]} as well", as_well, 1.5, x)
            yield from self._lifted(f"the sum {text}", lambda v, a=axis: v.sum(a, keepdims=True), 1)
            yield from self._lifted(f"the mean {text}", mean, 1)
            told = f"a mean of {{0}} over {named[axis]} stands for the sum over {over}"
            yield from self._lifted(told, lambda v, a=axis: v.mean(a, keepdims=True), 2)
        for slot, inside in self._factors_of(x):
            text = "the factor {1} is taken out of the sum of {0}, over which it is not constant"
            yield from self._lifted(text, lambda v, w, p: _out_of(v, w, p, axes), 1.5, slot, inside)

    def _factors_of(self, x: Slot) -> Iterator[tuple[Slot, Slot]]:
        """The factors of a product, through other products and reshapes, and the product that each is in."""
        source = next((one for one in self.steps if x in one.outputs), None)
        if source is None or x not in self.flow.carried or source.primitive not in {"reshape", "mul"}:
            return
        for slot in source.inputs:
            if slot in self.flow.carried:
                yield from self._factors_of(slot)
            else:
                yield slot, x

    def _lifted(self, text: str, function: Callable[..., Array], rank: float, *more: Slot) -> Iterator[Edit]:
        """An edit of a sum that keeps its axes until they are broadcast again."""
        (x,) = self.step.inputs
        shape, axes = np.shape(self.values[x]), tuple(self.step.parameters["axes"])
        chain = _until_broadcast(self.flow, self.i, shape, axes, self.values)
        if chain is None:
            return
        middle = [self.steps[j] for j in chain]
        made = {self.step.outputs[0], *(one.outputs[0] for one in middle)}
        reads = dict.fromkeys(
            (*(slot for one in middle for slot in one.inputs if slot not in made), x, *more)
        )

        def rule(c: Context, *given: Any) -> Any:
            table = dict(zip(reads, given[len(c.step.inputs) :], strict=True))
            v = table[x]
            lifted = {
                self.step.outputs[0]: np.broadcast_to(function(v, *(table[slot] for slot in more)), v.shape)
            }
            for one in middle:
                lifted[one.outputs[0]] = _lifted_step(one, lifted, table, v.shape, axes)
            return np.broadcast_to(lifted[middle[-1].outputs[0]], np.shape(c.right))

        yield Edit((*self.path, chain[-1]), "sum", rule, text, (x, *more), tuple(reads), rank)

    def _cumulation(self) -> Iterator[Edit]:
        (x,), how = self.step.inputs, self.step.parameters
        other = {**how, "reverse": not how["reverse"]}
        back = lambda c, v: _again(replace(c.step, parameters=other), (v,))  # noqa: E731
        yield self.rule("sum", "the cumulative sum of {0} runs the other way", back, 1, x)
        yield self.rule(
            "sum", "the cumulative sum of {0} leaves out the entry itself", lambda c, v: c.right - v, 1, x
        )
        whole = lambda c, v: v.sum(c.step.parameters["axis"], keepdims=True) + 0 * v  # noqa: E731
        yield self.rule(
            "sum", "the whole sum of {0} stands in the place of the cumulative one", whole, 1.5, x
        )
        yield self.rule("sum", "the cumulative sum of {0} is not taken", lambda c, v: v, 1.5, x)

    def _contraction(self) -> Iterator[Edit]:
        left: Sequence[int] = self.step.parameters["dimension_numbers"][0][0]
        named = dict(self._axes(self.step.inputs[0]))
        for (text, f, less), axis in product(PARTS, left):
            if axis in named:
                told = text.replace("{axis}", named[axis]).replace(
                    "part of {0} along", "term of the product of {0} and {1} over"
                )
                yield self.rule(
                    "sum", told, lambda c, x, z, a=axis, f=f: c.again(f(x, a), z), 1 + less, *self.step.inputs
                )
        for k, slot in enumerate(self.step.inputs):
            for text, f, _ in FACTORS if slot not in self.flow.carried else ():
                yield self.operand(k, "factor", text, f, 4)

    def _move(self) -> Iterator[Edit]:
        (x,) = self.step.inputs[:1]
        value = np.asarray(self.values[x])
        if self.step.primitive == "transpose" and value.size > 1:
            text = "{0} is brought into shape by reshape, not by a transpose"
            if value.shape == np.shape(self.values[self.step.outputs[0]]):
                text = "{0} and its transpose are exchanged"
            yield self.rule("layout", text, lambda c, v: v.reshape(c.right.shape), 1, x)
        elif value.size > 1:
            for order in _orders(value.ndim):
                text = "{0} is transposed before it is reshaped"
                yield self.rule(
                    "layout", text, lambda c, v, o=order: v.transpose(o).reshape(c.right.shape), 3, x
                )

    def _choice(self) -> Iterator[Edit]:
        which, *cases = self.step.inputs
        if len(cases) != 2:  # noqa: PLR2004
            return
        for said, f, rank in _CONDITIONS:
            yield self.operand(0, "condition", f"the condition {{0}} {said}", f, rank)
        for other in self.same_shape(self.step.outputs[0]):
            for sign in (1, -1):
                rule = lambda c, w, a, b, z, s=sign: np.where(s * z > 0, b, a)  # noqa: E731
                text = "the condition is taken from the sign of {1}, not from {0}"
                yield self.rule("condition", text, rule, 2.1 - sign / 10, which, other, reads=(other,))
        for k in (1, 2):
            yield self.operand(k, "condition", "0 is chosen where {0} belongs", np.zeros_like, 2)

    def _comparison(self) -> Iterator[Edit]:
        out = self.step.outputs[0]
        for said, f, rank in _CONDITIONS:
            yield self.value("condition", f"the condition {{0}} {said}", f, rank + 0.5)
        text = "the condition {0} is shifted where both sides are equal"
        yield self.rule("condition", text, lambda c, x, z: c.right ^ (x == z), 1.5, out)
        for a, axis in self._axes(out):
            anywhere = lambda v, a=a: np.broadcast_to(v.any(a, keepdims=True), v.shape)  # noqa: E731
            yield self.value(
                "condition",
                f"the condition {{0}} holds for all of {axis} where it holds for one",
                anywhere,
                2.5,
            )
        for number, k in product((0.0, 1.0, -1.0, 0.5), (0, 1)):
            text = f"{number:g} is compared with in the place of {{0}}"
            yield self.operand(k, "condition", text, lambda v, n=number: np.full_like(v, n), 2.5)

    def _scatter(self) -> Iterator[Edit]:
        """All scatters of a program are edited at once, as windows have one along each axis; and each alone."""
        slot, same = self.step.inputs[2], [
            j for j in self.flow.matters if self.steps[j].primitive == self.step.primitive and self.flow.backward(j)
        ]  # fmt: skip
        others = (
            tuple(j for j in same if j != self.i)
            if self.back and self.i == min(same) and not self.path
            else ()
        )
        for also, last in product(dict.fromkeys(((), others)), (True, False)):
            text = "{0} overwrites where indices repeat, and does not add"
            yield self.rule(
                "scatter", text, lambda c, *x, o=last: _overwritten(c, *x, last=o), 0.5, slot, also=also
            )
            text = "the parts of {0} are put back side by side, though they were taken further apart"
            yield self.rule("scatter", text, _side_by_side, 2, slot, also=also)
        yield self.rule("scatter", "{0} is averaged where indices repeat, not added", _averaged, 1, slot)
        axes, named = _indexed(self.step), dict(self._axes(self.step.outputs[0]))
        for place, axis in enumerate(axes) if len(axes) > 1 else ():
            for rule in (_everywhere, _added_everywhere) if axis in named else ():
                text = f"{{0}} goes everywhere along {named[axis]}, as with : in the place of the index there"
                yield self.rule("scatter", text, partial(rule, place=place), 0.9, slot)

    def _size(self) -> Iterator[Edit]:
        yield self.value("factor", "{0} − 1 stands in the place of {0}", lambda v: v - 1, 2)
        for name in self.sizes:
            rule = lambda c, n=name: np.asarray(c.sizes[n]) + 0 * c.right  # noqa: E731
            yield self.rule("factor", f"{name} stands in the place of {{0}}", rule, 2, self.step.outputs[0])
            rule = lambda c, n=name: c.right * c.sizes[n]  # noqa: E731
            yield self.rule(
                "factor", f"{{0}} {name} stands in the place of {{0}}", rule, 2.5, self.step.outputs[0]
            )

    def _scan(self) -> Iterator[Edit]:
        """What a loop carries and adds up, and of which steps something comes in."""
        first, carries = self.step.parameters["num_consts"], self.step.parameters["num_carry"]
        inputs, outputs, told = self.step.inputs, self.step.outputs, "what a step hands to the one before"
        if not self.back:
            return
        for k in range(carries):
            slot = outputs[k]
            yield self._body(
                f"{told} is dropped ({{0}})", slot, 1, lambda b, k=k: _without_carry(b, first + k)
            )
            yield self._body(
                f"{told} is not updated ({{0}})", slot, 2, lambda b, k=k: _not_updated(b, first + k, k)
            )
        sums = _accumulators(self.step)
        for some in (sums, *([k] for k in sums)):
            each = lambda c, *x, s=some: _divided(c, s)  # noqa: E731
            yield self.rule(
                "factor", "sums over the steps are divided by the number of steps", each, 1 - len(some) / 99
            )
            text = "the part of each step overwrites that of the one before, and is not added"
            yield self._body(
                text,
                inputs[0],
                1 - len(some) / 99,
                lambda b, s=some: _without_carry(b, *(first + k for k in s)),
            )
        for k in range(first + carries, len(inputs)):
            for said, f in (("last", _last), ("first", _first)) if inputs[k] in self.flow.carried else ():
                yield self.operand(
                    k, "carry", f"only the {said} step's part of {{0}} is used", lambda v, f=f: f(v, 0), 1
                )

    def _body(self, text: str, slot: Slot, rank: float, change: Callable[[Instance], Instance]) -> Edit:
        def rule(c: Context, *x: Any) -> Any:
            body = change(copy(c.step.parameters["jaxpr"]))
            return _again(replace(c.step, parameters={**c.step.parameters, "jaxpr": body}), x)

        return self.rule("carry", text, rule, rank, slot)


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

_CONDITIONS: tuple[tuple[str, Callable[[Array], Array], float], ...] = (
    ("is ignored: taken to be false everywhere", np.zeros_like, 1),
    ("is ignored: taken to be true everywhere", np.ones_like, 1),
    ("is the wrong way round", np.logical_not, 1.5),
)

_FAMILY: Mapping[str, str] = {
    "add": "sum_of_terms", "add_any": "sum_of_terms", "sub": "sum_of_terms", "mul": "product", "div": "product",
    "integer_pow": "power", "pow": "power", "square": "power", "reduce_sum": "sum_over_axes",
    "dot_general": "contraction", "transpose": "move", "reshape": "move", "select_n": "choice",
    "scatter-add": "scatter", "scatter_add": "scatter", "dim_as_value": "size", "cumsum": "cumulation",
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), "comparison"),
    **dict.fromkeys(("exp", "log", "log1p", "expm1", "sqrt", "rsqrt"), "function"),
    **dict.fromkeys(("tanh", "logistic", "erf", "sin", "cos"), "function"),
}  # fmt: skip
"""The method of `_Level` that edits a primitive, without its underscore."""


# --- arrays --------------------------------------------------------------------------------------------------


def _with(values: Sequence[Any], k: int, value: Any) -> list[Any]:
    """The values with another one in place k."""
    return [*values[:k], value, *values[k + 1 :]]


def _orders(axes: int) -> list[tuple[int, ...]]:
    """The orders of some axes: all, and of more than three those in which one is moved."""
    first = tuple(range(axes))
    if axes <= 3:  # noqa: PLR2004
        return [order for order in permutations(first) if order != first]
    rest = ((a, [axis for axis in first if axis != a]) for a in first)
    return list(dict.fromkeys((*r[:k], a, *r[k:]) for a, r in rest for k in first if k != a))


def _kept(x: Array, axis: int, place: int) -> Array:
    """x that is 0 but for one place of an axis."""
    kept = np.zeros_like(x)
    where = tuple(place if a == axis else slice(None) for a in range(x.ndim))
    kept[where] = x[where]
    return kept


def _shifted(x: Array, by: int, axis: int) -> Array:
    """x moved along an axis, with 0 where nothing moved to."""
    moved = np.roll(x, by, axis)
    return moved - _kept(moved, axis, 0 if by > 0 else -1)


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


def _by_reshape(x: Array, order: Sequence[int]) -> Array:
    """What x becomes where a reshape stands for a transpose: its entries fill the transpose's shape row by row."""
    return x.reshape([x.shape[axis] for axis in order]).transpose(np.argsort(order))


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
        _again(step, [(lifted if slot in lifted else others)[slot] for slot in step.inputs]), shape
    )


def _overwritten(c: Context, x: Array, indices: Array, updates: Array, *, last: bool) -> Array:
    """The updates put, not added; where indices repeat, the last one stays, or the first."""
    how = {name: c.step.parameters[name] for name in ("dimension_numbers", "mode")}
    if not last:
        window = how["dimension_numbers"].update_window_dims
        updates = np.flip(updates, tuple(axis for axis in range(updates.ndim) if axis not in window))
        indices = np.flip(indices, tuple(range(indices.ndim - 1)))
    return _again(replace(c.step, primitive="scatter", parameters=how), (x, indices, updates))


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


# --- loops ---------------------------------------------------------------------------------------------------


def _accumulators(step: Equation) -> list[int]:
    """The carries of a scan to which each step adds, and which it reads for nothing else."""
    program, first = step.parameters["jaxpr"].program, step.parameters["num_consts"]
    found = list[int]()
    for k in range(step.parameters["num_carry"]):
        uses = [one for one in program.equations if program.inputs[first + k] in one.inputs]
        if len(uses) == 1 and uses[0].primitive == "add_any" and uses[0].outputs[0] == program.outputs[k]:
            found.append(k)
    return found


def _divided(c: Context, some: Sequence[int]) -> list[Any]:
    """The results of a loop, some of them divided by the number of its steps."""
    return [one / c.step.parameters["length"] if k in some else one for k, one in enumerate(c.right)]


def _without_carry(body: Instance, *places: int) -> Instance:
    """A body that sees 0 in the place of carries."""
    slots = [body.program.inputs[place] for place in places]
    body.dynamic = [*(Equation("zeros", (slot,), (slot,), {}) for slot in slots), *body.dynamic]
    return body


def _not_updated(body: Instance, place: int, carry: int) -> Instance:
    """A body that hands a carry on as it came."""
    outputs = _with(body.program.outputs, carry, body.program.inputs[place])
    body.program = replace(body.program, outputs=tuple(outputs))
    return body


# --- words ---------------------------------------------------------------------------------------------------

_OPERATORS: Mapping[str, tuple[type[ast.operator], ...]] = {
    "mul": (ast.Mult,), "add": (ast.Add,), "add_any": (ast.Add,), "sub": (ast.Sub,), "div": (ast.Div,),
    "dot_general": (ast.MatMult,), "integer_pow": (ast.Pow, ast.Div), "pow": (ast.Pow,),
}  # fmt: skip
_SPELLED = {"select_n": "where"}
_AS_IT_IS = frozenset({"reshape", "broadcast_in_dim", "convert_element_type", "copy"})
"""What a sentence passes over: the numbers are the same, in the same order."""
_MOVED: Mapping[str, str] = {"rev": "reversed", "transpose": "transposed"}
"""What is said of a variable that is moved on the way back."""
WIDTH = 60
"""Letters of an expression that are shown."""


@cache
def _parsed(file: str) -> tuple[str, ast.Module]:
    import reference.operations  # noqa: PLC0415

    text = (Path(inspect.getfile(reference.operations)).parent / file).read_text(encoding="utf-8")
    return text, ast.parse(text)


@cache
def expression(line: str, primitive: str) -> str:
    """What the reference writes at "norms.py:34:21 (layer_norm)", with the name it gives it: "`y = x + 1`".

    A subject's line has what it writes there beside it.
    """
    if told := re.search(r"«(.*)»", line):
        return f"`{told[1]}`"
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
        one
        for one in nodes
        if isinstance(one, ast.BinOp) and isinstance(one.op, _OPERATORS.get(primitive, ()))
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
