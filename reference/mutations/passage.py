"""The backward pass of an operation, ready for edits, and what its variables are called."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

import jax
import numpy as np

from reference.mutations.edit import FLOATS, Edit, Sizes
from reference.mutations.flow import Flow, body_flow
from reference.mutations.normalisation import normal_form, without_terms
from reference.mutations.words import AS_IT_IS, MOVED, expression, line_of, row
from reference.operations.by_hand import ByHand
from reference.operations.operation import Operation, output_name
from reference.operations.tracing import abstract_inputs
from reference.precision import in_double_precision
from reference.program import Derivative, Equation, Instance, Program, Slot, as_tuple, derivative, flattened


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
        normalised = normal_form(self.traced.program, len(names), self.traced.outputs)
        self.program = without_terms(normalised, self._dead) if self._dead else normalised
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
        line = line_of(self._made[slot]) if slot in self._made else ""
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
                when = "an earlier" if slot < edit.slots[0] else "a later"
                called[k] = f"{when} {name}" if name.startswith("`") else f"another part of {name}"
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
        return row(replace(step, line=next(filter(None, lines), "")))

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
        return self._expression(slot, body, made, body_flow(outer, self.flow.carried).carried, set(made))

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
        if made[slot].primitive in AS_IT_IS:
            return self._called(made[slot].inputs[0], (0,)) if program is self.program else said
        if self.hand or slot in values:
            return said
        if slot in carried or program is not self.program:
            return f"the {'gradient' if slot in carried else 'slope'} of {said}"
        return self._slope(slot, said)

    def _slope(self, slot: Slot, said: str) -> str:
        """What is computed for the way back alone: an array that is moved, a slope, or a part of one."""
        step = self._made[slot]
        if step.primitive in MOVED:
            return f"{self._called(step.inputs[0], (0,))} {MOVED[step.primitive]}"
        made_of = dict.fromkeys(self._called(one, (0,)) for one in self._made_of(slot))
        if made_of and not self._meets_a_cotangent(slot):
            return f"the part of {' and '.join(made_of)} in the slope of {said}"
        return f"the slope of {said}"

    def _meets_a_cotangent(self, slot: Slot) -> bool:
        """Whether a slope is what the way back multiplies by, and nothing of which that is made."""
        uses = self.flow.uses.get(slot, ())
        passed_on = (self.flow.steps[j].outputs[0] for j in uses if self.flow.steps[j].primitive in AS_IT_IS)
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


def _repeating(steps: Iterable[Equation]) -> set[str]:
    """The lines that make several variables in the same way."""
    seen, found = set[tuple[str, str]](), set[str]()
    for one in steps:
        key = line_of(one), one.primitive
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
