"""How a program is read: equation by equation, by the rules of one arithmetic."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reference.program import Derivative, Instance, Program, Sizes

Rule = Callable[..., Any]


class UnknownPrimitiveError(Exception):
    """No rule of an arithmetic reads this primitive, or a parameter of it; the message names it."""


class UndecidedError(Exception):
    """A comparison that an arithmetic can't decide: two numbers lie too near, or at a kink."""


class Arithmetic:
    """A way of reading: what a number becomes, and a rule for each primitive.

    A rule takes the values of the inputs, and by keyword the parameters that the primitive has; one that it does not
    name is refused. It returns a value, or a list of them where the primitive has several outputs.
    """

    name = ""
    rules: Mapping[str, Rule]

    @property
    def key(self) -> Any:
        """What tells it apart from others of its class: constants are read once for each."""
        return self.name

    def constant(self, array: np.ndarray[Any, Any]) -> Any:
        """A constant as a value."""
        raise NotImplementedError

    def read(self, program: Program, values: Sequence[Any], sizes: Sizes) -> list[Any]:
        """The outputs of a program for the values of its inputs.

        Raises:
            UnknownPrimitiveError: where a rule is missing.
        """
        with np.errstate(all="ignore"):
            return self.run(program.at(sizes), values)

    def run(self, instance: Instance, values: Sequence[Any]) -> list[Any]:
        """The outputs of a program at given sizes."""
        found = self.trace(instance, values)
        return [found[slot] for slot in instance.program.outputs]

    def trace(self, instance: Instance, values: Sequence[Any]) -> list[Any]:
        """All values of a program at given sizes, by slot."""
        found = list(self._once(instance))
        for slot, value in zip(instance.program.inputs, values, strict=True):
            found[slot] = value
        for step in instance.dynamic:
            self.step(step, found)
        return found

    def vjp(
        self, known: Derivative, values: Sequence[Any], sizes: Sizes
    ) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """The outputs for the values of the inputs, and what pulls the values of the cotangents back to gradients.

        The forward half is read once, however often the second is called.

        Raises:
            UnknownPrimitiveError: where a rule is missing.
        """
        program = known.program
        instance = program.at(sizes)
        forward, backward = instance.halves(len(values))
        found = list(self._once(instance))
        found[: len(values)] = values  # the inputs have the first slots
        with np.errstate(all="ignore"):
            for step in forward:
                self.step(step, found)

        def pull(cotangents: Sequence[Any]) -> list[Any]:
            pulled = list(found)
            pulled[len(values) : len(program.inputs)] = cotangents
            with np.errstate(all="ignore"):
                for step in backward:
                    self.step(step, pulled)
            return [pulled[slot] for slot in program.outputs[known.outputs :]]

        return [found[slot] for slot in program.outputs[: known.outputs]], pull

    def step(self, step: Any, found: list[Any]) -> None:
        """Read one equation."""
        rule = self.rules.get(step.primitive)
        if rule is None:
            raise UnknownPrimitiveError(f"{self.name} can't read the primitive {step.primitive}")
        inputs = [found[slot] for slot in step.inputs]
        try:
            result = rule(self, *inputs, **step.parameters)
        except TypeError as error:
            if "unexpected keyword argument" not in str(error):
                raise
            told = f"{self.name} can't read a parameter of the primitive {step.primitive}: {error}"
            raise UnknownPrimitiveError(told) from None
        if len(step.outputs) == 1 and not isinstance(result, list):
            found[step.outputs[0]] = result
        else:
            for slot, value in zip(step.outputs, result, strict=True):
                found[slot] = value

    def _once(self, instance: Instance) -> list[Any]:
        """The values that depend on no input, read the first time."""
        if self.key not in instance.once:
            found: list[Any] = [None] * instance.program.slots
            for slot, array in instance.program.constants.items():
                found[slot] = self.constant(array)
            for step in instance.static:
                self.step(step, found)
            instance.once[self.key] = found
        return instance.once[self.key]


def scan(
    arithmetic: Arithmetic,
    *values: Any,
    jaxpr: Instance,
    length: int,
    num_consts: int,
    num_carry: int,
    reverse: bool,
    at: Callable[[Any, int], Any],
    stack: Callable[[list[Any], Sequence[int]], Any],
) -> list[Any]:
    """A loop: `at(value, i)` is an entry along the first axis, and `stack` puts entries beside each other."""
    constants, carry = values[:num_consts], list(values[num_consts : num_consts + num_carry])
    sequences = values[num_consts + num_carry :]
    program = jaxpr.program
    made: list[list[Any]] = [[] for _ in program.outputs[num_carry:]]
    order = range(length - 1, -1, -1) if reverse else range(length)
    for i in order:
        results = arithmetic.run(jaxpr, [*constants, *carry, *(at(one, i) for one in sequences)])
        carry = results[:num_carry]
        for column, result in zip(made, results[num_carry:], strict=True):
            column.append(result)
    stacked = [
        stack(column[::-1] if reverse else column, shape)
        for column, shape in zip(made, jaxpr.shapes[num_carry:], strict=True)
    ]
    return [*carry, *stacked]
