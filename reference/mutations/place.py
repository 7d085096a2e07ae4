"""One equation with all that its edits are made from."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.mutations.edit import Edit, EditRule, Sizes, with_value
from reference.mutations.flow import Flow
from reference.mutations.passage import Passage
from reference.mutations.reading import Alike
from reference.program import Equation, Slot

# pyright: reportUnknownLambdaType=false
# (the rule of an edit takes as many arrays as its step)


@dataclass(frozen=True)
class Place:
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

    def maker(self, slot: Slot) -> Equation | None:
        """The step that makes a variable; None for what is given."""
        return self.steps[self.alike.made[slot]] if slot in self.alike.made else None

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
        rule = lambda c, *x: c.again(*with_value(x[:n], k, f(x[k], *x[n:])))  # noqa: E731
        return self.rule(kind, text, rule, rank, self.step.inputs[k], *reads, reads=reads)

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

    def axes(self, slot: Slot) -> Iterator[tuple[int, str]]:
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

    def number(self, slot: Slot) -> float | None:
        """The number that a line of the program has; those of a loop's body are not asked for."""
        return None if self.path else self.passage.number(slot)
