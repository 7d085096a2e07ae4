"""One step replaced: an edit, and the arithmetic that reads it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reference.arithmetic.floats import RULES, Floats, plain
from reference.arithmetic.reading import Rule
from reference.program import Equation, Slot

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
        return again(self.step, inputs)


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


def _edited(
    arithmetic: Any, *values: Any, step: Equation, edit: Edit, case: tuple[Sizes, Mapping[str, Any]]
) -> Any:
    del arithmetic
    inputs = values[: len(step.inputs)]
    return edit.rule(Context(step, again(step, inputs), *case), *values)


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


def again(step: Equation, inputs: Sequence[Any]) -> Any:
    """A step with these values of its inputs."""
    return FLOATS.rules[step.primitive](FLOATS, *inputs, **step.parameters)


def replaced(step: Equation, edit: Edit, case: tuple[Sizes, Mapping[str, Any]]) -> Equation:
    """The equation in the place of one that is edited; its rule knows the case, its sizes and its options."""
    parameters = {"step": step, "edit": edit, "case": case}
    return Equation("edited", (*step.inputs, *edit.reads), step.outputs, parameters, step.line)


def with_value(values: Sequence[Any], k: int, value: Any) -> list[Any]:
    """The values with another one in place k."""
    return [*values[:k], value, *values[k + 1 :]]
