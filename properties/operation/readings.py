"""Known operations that a subject may mean, and how a case of it becomes a call of one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from properties.declaration import Counterpart, Declaration
from properties.operation.cases import OperationCase, combinations
from properties.operation.guesses import guesses
from properties.operation.programs import NoProgramError
from reference.operations import KNOWN
from reference.operations.operation import Operation, names_of, size_of
from reference.program import Sizes, derivative
from reference.projections import Projection, projections
from reference.transcript import LARGEST as MOST_NUMBERS
from reference.truth import Enclosed, Truth, truth, value

Array = NDArray[Any]

DIRECTIONS = 3
"""Projections of a gradient on each case: what is wrong hides from all of them in one case of eight at most."""
LARGEST = 64
"""An axis of which the size is not given is looked for up to this."""


@dataclass(frozen=True)
class Reading:
    """A known operation, and how a case of the subject becomes a call of it.

    Or the subject's `own` forward pass as a program: what it says counts where it is what the subject computes. Or the
    declared reference of which `backward` alone is the derivative: forward is something else.
    """

    operation: Operation
    counterpart: Counterpart
    open: Mapping[str, Any]
    own: bool = False
    backward: bool = False
    refusals: dict[Any, NoProgramError | None] = field(
        default_factory=dict[Any, Any], compare=False, repr=False
    )
    """Why a subject has no program, by options and sizes: asked once, as JAX takes long to raise an error."""

    def options(self, case: OperationCase) -> dict[str, Any]:
        """The operation's options for a case."""
        found: dict[str, Any] = {**self.open, **self.counterpart.fixed}
        for name, own in self.counterpart.options.items():
            found[name] = (
                case.options[own] if isinstance(own, str) else tuple(case.options[one] for one in own)
            )
        return found

    def inputs(
        self, case: OperationCase, declared: Declaration, given: Mapping[str, Array] | None = None
    ) -> list[Array]:
        """The operation's inputs, in its order: those of the case, or others of the same shapes."""
        names = self.counterpart.inputs or tuple(declared.inputs)
        arrays: list[Array] = []
        for name in names:
            array = np.asarray((given or case.inputs)[name])
            if name in self.counterpart.axes:
                wanted = self.counterpart.axes[name].split()
                array = array.reshape([size_of(one, case.sizes) for one in wanted])
            arrays.append(array)
        return arrays

    def truth(
        self, case: OperationCase, declared: Declaration, cotangents: Sequence[Array], fmt: str
    ) -> tuple[tuple[Enclosed, ...], dict[str, Enclosed]] | None:
        """Outputs and gradients by the subject's names; None where the shapes don't fit."""
        arrays, options = self.inputs(case, declared), self.options(case)
        fitting = self._fitting(arrays, options)
        if fitting is None:
            return None
        operation, sizes = fitting
        if self.own:
            key = repr(sorted(options.items())), tuple(sizes.items())
            if key not in self.refusals:
                self.refusals[key] = _refusal(operation, options, sizes)
            if (refusal := self.refusals[key]) is not None:
                raise refusal.with_traceback(None)
        names = self.counterpart.inputs or tuple(declared.inputs)
        found: Truth = truth(operation, arrays, self._shaped(cotangents), options, sizes, format=fmt)
        by_own = dict(zip(self.operation.inputs, names, strict=False))
        gradients = {
            by_own[name]: Enclosed(*(part.reshape(np.shape(case.inputs[by_own[name]])) for part in one))
            for name, one in found.gradients.items()
            if name in by_own
        }
        return found.outputs, gradients

    def projections(
        self, case: OperationCase, declared: Declaration, cotangents: Sequence[Array], fmt: str
    ) -> dict[str, Projection]:
        """Projections of the gradients by the subject's names."""
        arrays, options = self.inputs(case, declared), self.options(case)
        sizes = sizes_of(self.operation, arrays, options)
        if sizes is None:
            return {}
        known = derivative(self.operation, options, sizes)
        found = projections(known, arrays, self._shaped(cotangents), sizes, format=fmt, count=DIRECTIONS)
        names = self.counterpart.inputs or tuple(declared.inputs)
        return {names[place]: one for place, one in zip(known.differentiable, found, strict=True)}

    def value(
        self, case: OperationCase, declared: Declaration
    ) -> Callable[[Mapping[str, Array]], list[Array]]:
        """The outputs in float64 as a function of the subject's inputs, for the sizes and options of a case."""
        options = self.options(case)
        fitting = self._fitting(self.inputs(case, declared), options)
        if fitting is None:
            raise ValueError("the case has no sizes of the operation")
        operation, sizes = fitting
        return lambda given: value(operation, self.inputs(case, declared, given), options, sizes)

    def _fitting(
        self, arrays: Sequence[Array], options: Mapping[str, Any]
    ) -> tuple[Operation, dict[str, int]] | None:
        """The operation with its sizes for these inputs; traced for them alone where its program for all sizes is not.

        What `above` excludes (a dilated kernel that is larger than the image) is excluded without dilation too.
        """
        alone = replace(self.operation, above=(), concrete=self.operation.axes)
        for operation in (self.operation, alone):
            sizes = sizes_of(operation, arrays, options)
            if sizes is not None:
                return operation, sizes
        return None

    def _shaped(self, cotangents: Sequence[Array]) -> list[Array]:
        """The cotangents of the differentiable outputs, as arrays of float64."""
        wanted = self.operation.outputs or (True,) * len(cotangents)
        return [np.asarray(dy, np.float64) for dy, flag in zip(cotangents, wanted, strict=False) if flag]


def _refusal(operation: Operation, options: Mapping[str, Any], sizes: Sizes) -> NoProgramError | None:
    """Why a subject's program can't be read at these sizes; None where it can."""
    try:
        largest = derivative(operation, options, sizes).program.at(sizes).largest
    except NoProgramError as error:
        return error
    return NoProgramError("it makes arrays that are too large") if largest > MOST_NUMBERS else None


def readings(declared: Declaration) -> list[Reading]:
    """The known operations that a declaration may mean: each choice of the options that it leaves open."""
    named = [] if declared.counterpart is None else [declared.counterpart]
    return [
        one for meant in named or guesses(declared) if meant.operation in KNOWN for one in _choices(meant)
    ]


def _choices(counterpart: Counterpart) -> list[Reading]:
    operation = KNOWN[counterpart.operation]
    left = {
        name: choices
        for name, choices in operation.options.items()
        if name not in counterpart.options and name not in counterpart.fixed
    }
    return [Reading(operation, counterpart, one) for one in combinations(left)]


def sizes_of(
    operation: Operation, arrays: Sequence[Array], options: Mapping[str, Any]
) -> dict[str, int] | None:
    """The sizes of an operation's axes that fit the shapes of its inputs; None where none do."""
    dimensions: list[tuple[str, int]] = []
    for one, array in zip(operation.inputs.values(), arrays, strict=False):
        if len(one.dimensions) != array.ndim:
            return None
        dimensions += zip(one.dimensions, array.shape, strict=True)
    sizes = {name: size for name, size in dimensions if name.isidentifier()}
    if any(size_of(name, sizes) != size for name, size in dimensions if name.isidentifier()):
        return None
    unknown = [name for name in operation.axes if name not in sizes]
    largest = max([1, *(size for _, size in dimensions)])
    for found in combinations({name: range(1, min(largest, LARGEST) + 1) for name in unknown}):
        every = {**sizes, **found}
        if all(size_of(one, every) == size for one, size in dimensions) and operation.possible(
            every, options
        ):
            return {name: every[name] for name in names_of(one for one, _ in dimensions)}
    return None
