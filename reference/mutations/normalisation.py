"""A program made ready for edits.

Cotangents and gradients get an equation of their own (`copy`), so that "the cotangent is ignored" and "two gradients
are exchanged" are edits as well; and an elementwise function has one slope (JAX sends tanh back by 1 − h, and the
result by 1 + h).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reference.program import Equation, Program, Slot


def normal_form(program: Program, inputs: int, outputs: int) -> Program:
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


def without_terms(program: Program, dead: Mapping[Slot, int]) -> Program:
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
