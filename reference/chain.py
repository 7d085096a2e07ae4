"""Operations one after another: the value of the last, and what pulls a cotangent back through all of them.

Each operation is traced once for all sizes. The way back goes through their VJPs in reverse order; there is no other
chain rule here. Read in `Bounding` a chain gives truth and bound, in `Floats` what a part of the outputs adds to the
gradient, and in `Complex` a derivative along a direction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from reference.arithmetic.bounded import Bounding, hull
from reference.arithmetic.complex_step import Complex
from reference.arithmetic.floats import Floats
from reference.arithmetic.reading import Arithmetic
from reference.operations.operation import Operation
from reference.program import Derivative, derivative

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Link:
    """An operation of plain axes, whose first input is what the link before it gives.

    Where the bound of its first formulation covers the others, these are left out of the operation.
    """

    operation: Operation
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @cached_property
    def programs(self) -> tuple[Derivative, ...]:
        """Its derivative in each formulation."""
        formulations = (None, *self.operation.formulations)
        return tuple(derivative(self.operation, self.options, {}, forward) for forward in formulations)

    def sizes(self, shapes: Sequence[tuple[int, ...]]) -> dict[str, int]:
        """The sizes of its axes for inputs of these shapes."""
        every = zip(self.operation.inputs.values(), shapes, strict=True)
        return {name: size for one, shape in every for name, size in zip(one.dimensions, shape, strict=True)}


@dataclass(frozen=True)
class Reading:
    """An arithmetic, and how numbers come into it.

    Attributes:
        arithmetic: by whose rules.
        enter: makes a number of an array; `varies` tells those that have a gradient.
        join: makes one number out of those of several formulations; without it the first alone is read.
    """

    arithmetic: Arithmetic
    enter: Callable[..., Any]
    join: Callable[[Sequence[Any]], Any] | None = None


def bounding(format: str = "float64") -> Reading:  # noqa: A002  (the word of the field)
    """Truth and bound for programs in this format (`reference.arithmetic.bounded`)."""
    arithmetic = Bounding(format)
    return Reading(arithmetic, arithmetic.input, hull)


def _as_float(array: Array, *, varies: bool = True) -> Array:
    del varies
    return np.asarray(array, np.float64)


def _as_complex(array: Array, *, varies: bool = True) -> Array:
    del varies
    return np.asarray(array, np.complex128)


FLOATS = Reading(Floats(), _as_float)
COMPLEX = Reading(Complex(), _as_complex)


class Chain:
    """The forward pass of some links in one arithmetic, and the way back for any cotangent.

    Attributes:
        values: what came into each link, and the last output.
        cotangents: of these values, on the last way back.
    """

    def __init__(self, reading: Reading, links: Sequence[tuple[Link, Sequence[Any]]], x: Any) -> None:
        """Go forward from x; beside each link are the values of its further inputs, numbers of the reading."""
        self._reading, self.cotangents = reading, list[Any]()
        self.values, self._pulls = [x], list[Callable[[Any], list[Any]]]()
        for link, parameters in links:
            y, pull = self._through(link, [self.values[-1], *parameters])
            self.values.append(y)
            self._pulls.append(pull)

    def _through(self, link: Link, values: Sequence[Any]) -> tuple[Any, Callable[[Any], list[Any]]]:
        join, arithmetic = self._reading.join, self._reading.arithmetic
        sizes = link.sizes([getattr(value, "x", value).shape for value in values])
        programs = link.programs if join else link.programs[:1]
        readings = [arithmetic.vjp(known, values, sizes) for known in programs]
        if join is None or len(readings) == 1:
            ((output,), pull), *_ = readings
            return output, lambda dy: pull([dy])

        def back(dy: Any) -> list[Any]:
            return [join(each) for each in zip(*(pull([dy]) for _, pull in readings), strict=True)]

        return join([outputs[0] for outputs, _ in readings]), back

    def pull(self, dy: Any) -> list[list[Any]]:
        """For each link the gradients of its further inputs that have one, from the cotangent of the output."""
        self.cotangents, gradients = [dy], list[list[Any]]()
        for pull in reversed(self._pulls):
            dy, *found = pull(dy)
            self.cotangents.append(dy)
            gradients.append(found)
        self.cotangents.reverse()
        return gradients[::-1]
