"""A passage with all its values at one case, where an edit costs no more than the equations after it."""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.mutations.edit import FLOATS, Edit, NotHereError, Sizes, replaced
from reference.mutations.flow import Flow
from reference.mutations.passage import Passage
from reference.program import Equation, Slot

Array = NDArray[Any]
# pyright: reportUnknownLambdaType=false
# (the rule of an edit takes as many arrays as its step)


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

    def repeated(self, shape: tuple[int, ...]) -> Iterator[tuple[Slot, bytes]]:
        """Those that are repeated along some axes where they meet an array of a shape."""
        for other, found in self._of.items():
            if (
                len(other) == len(shape)
                and other != shape
                and all(a in (1, b) for a, b in zip(other, shape, strict=True))
            ):
                yield from found


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
            step = replaced(step, edit, self.case) if len(edit.at) == 1 else self._inside(step, edit)
        FLOATS.step(step, found)

    def _inside(self, step: Equation, edit: Edit) -> Equation:
        body = copy(step.parameters["jaxpr"])
        body.dynamic = list(body.dynamic)
        body.dynamic[edit.at[1]] = replaced(body.dynamic[edit.at[1]], edit, self.case)
        return replace(step, parameters={**step.parameters, "jaxpr": body})


def _span(flow: Flow, edit: Edit) -> tuple[int, ...]:
    firsts = edit.only or (edit.at[0], *edit.also)
    return tuple({j for first in firsts for j in (first, *flow.after(first))})


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
