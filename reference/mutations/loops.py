"""Edits of a loop: what it carries, what it adds up, of which steps something comes in."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from reference.mutations.arrays import first_part, last_part
from reference.mutations.edit import Context, Edit, again, with_value
from reference.mutations.place import Place
from reference.program import Equation, Instance, Slot

# pyright: reportUnknownLambdaType=false
# (the rule of an edit takes as many arrays as its step)


def scan(at: Place) -> Iterator[Edit]:
    """What a loop carries and adds up, and of which steps something comes in."""
    first, carries = at.step.parameters["num_consts"], at.step.parameters["num_carry"]
    inputs, outputs, told = at.step.inputs, at.step.outputs, "what a step hands to the one before"
    if not at.back:
        return
    for k in range(carries):
        slot = outputs[k]
        yield _body(at, f"{told} is dropped ({{0}})", slot, 1, lambda b, k=k: _without_carry(b, first + k))
        yield _body(
            at, f"{told} is not updated ({{0}})", slot, 2, lambda b, k=k: _not_updated(b, first + k, k)
        )
    sums = _accumulators(at.step)
    for some in (sums, *([k] for k in sums)):
        each = lambda c, *x, s=some: _divided(c, s)  # noqa: E731
        yield at.rule(
            "factor", "sums over the steps are divided by the number of steps", each, 1 - len(some) / 99
        )
        text = "the part of each step overwrites that of the one before, and is not added"
        yield _body(
            at,
            text,
            inputs[0],
            1 - len(some) / 99,
            lambda b, s=some: _without_carry(b, *(first + k for k in s)),
        )
    for k in range(first + carries, len(inputs)):
        for said, f in (("last", last_part), ("first", first_part)) if inputs[k] in at.flow.carried else ():
            yield at.operand(
                k, "carry", f"only the {said} step's part of {{0}} is used", lambda v, f=f: f(v, 0), 1
            )


def _body(at: Place, text: str, slot: Slot, rank: float, change: Callable[[Instance], Instance]) -> Edit:
    def rule(c: Context, *x: Any) -> Any:
        body = change(copy(c.step.parameters["jaxpr"]))
        return again(replace(c.step, parameters={**c.step.parameters, "jaxpr": body}), x)

    return at.rule("carry", text, rule, rank, slot)


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
    outputs = with_value(body.program.outputs, carry, body.program.inputs[place])
    body.program = replace(body.program, outputs=tuple(outputs))
    return body
