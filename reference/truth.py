"""The outputs and the gradients of a known operation on given numbers, each with its bound.

The bound of one program is no bound of every sensible program. So an operation may have several formulations, and
what a right derivative may give is the hull of what they admit.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from reference.arithmetic.bounded import Bounded, Bounding, Enclosed, hull
from reference.arithmetic.floats import Floats
from reference.operations.operation import Operation
from reference.program import Sizes, derivative

Array = np.ndarray[Any, Any]


class Truth(NamedTuple):
    """Of a case: every output, and the gradient of every differentiable input by its name."""

    outputs: tuple[Enclosed, ...]
    gradients: Mapping[str, Enclosed]


def truth(
    operation: Operation,
    inputs: Sequence[Array],
    cotangents: Sequence[Array],
    options: Mapping[str, Any],
    sizes: Sizes,
    *,
    format: str = "float64",  # noqa: A002  (the word of the field)
) -> Truth:
    """What is right for an operation, for one call of its forward and of its backward pass.

    Args:
        operation: the known operation.
        inputs: its inputs, in order, in the shapes of `operation.inputs`.
        cotangents: one for each differentiable output, in the shape of that.
        options: its keywords.
        sizes: of its axes.
        format: in which the subject computes; a name in `reference.arithmetic.bounded.FORMATS`.

    Raises:
        UnknownPrimitiveError: where a primitive of the program has no rule.
        ValueError: where the outputs have other shapes than the cotangents.
    """
    found = [
        _read(operation, inputs, cotangents, options, sizes, format, forward)
        for forward in (None, *operation.formulations)
    ]
    enclosed = [hull(each).enclosed for each in zip(*found, strict=True)]
    places = operation.differentiable
    outputs = len(enclosed) - len(places)
    names = [name for i, name in enumerate(operation.inputs) if i in places]
    return Truth(tuple(enclosed[:outputs]), dict(zip(names, enclosed[outputs:], strict=True)))


def value(
    operation: Operation, inputs: Sequence[Array], options: Mapping[str, Any], sizes: Sizes
) -> list[Array]:
    """The outputs of a known operation in float64, for inputs in the shapes of `operation.inputs`."""
    known = derivative(operation, options, sizes)
    arithmetic = Floats()
    values = [arithmetic.number(array) for array in inputs]
    program = known.forward
    values += [np.zeros(program.shape(slot, sizes)) for slot in program.inputs[len(inputs) :]]
    return [np.asarray(one) for one in arithmetic.read(program, values, sizes)]


def _read(
    operation: Operation,
    inputs: Sequence[Array],
    cotangents: Sequence[Array],
    options: Mapping[str, Any],
    sizes: Sizes,
    format_name: str,
    forward: Any,
) -> list[Bounded]:
    known = derivative(operation, options, sizes, forward)
    wanted = [known.program.shape(slot, sizes) for slot in known.program.inputs[len(inputs) :]]
    if [np.shape(dy) for dy in cotangents] != wanted:
        raise ValueError(f"the outputs have the shapes {wanted}, and so have their cotangents")
    arithmetic = Bounding(format_name)
    values = [
        arithmetic.input(array, varies=place in known.differentiable) for place, array in enumerate(inputs)
    ]
    values += [arithmetic.input(dy, varies=False) for dy in cotangents]
    return arithmetic.read(known.program, values, sizes)
