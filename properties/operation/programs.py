"""The program of a forward pass that no library knows: the subject's own, or that of a `REFERENCE` of its author.

It was traced under the subject's interpreter, and comes as data (`reference.transcript`). Bound again it is an
operation as any known one: it has a bound, mistakes have names, and the smallest case is found with it. What it says
is held against the subject's own values on every case, and against its slopes (`truth.Judge`): a forward pass that
was traced to something else than it computes is measured by differences.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from properties.declaration import Declaration
from properties.operation.cases import OperationCase
from properties.search import Inconclusive
from reference.operations.operation import Input, Operation
from reference.transcript import Transcript, TranscriptError

Shapes = Sequence[tuple[str, tuple[int, ...]]]
"""Types and shapes of the inputs, in order."""


class NoProgramError(Inconclusive):
    """A forward pass can't be traced, or not into what can be read."""


class Traceable(Protocol):
    """What may have a program of its own."""

    @property
    def declaration(self) -> Declaration:
        """What it takes."""
        ...

    def program(self, shapes: Shapes, options: Mapping[str, Any], reference: str = "") -> Transcript:
        """The forward pass as a program, or that of the reference. Raises `NoProgramError`."""
        ...


def operation_of(subject: Traceable, case: OperationCase, reference: str = "") -> Operation:
    """The operation whose forward pass is the subject's, or the reference's, traced for all sizes anew.

    Raises:
        NoProgramError: where there is no program for a first case.
    """
    declared, kept = subject.declaration, dict[Any, Transcript]()

    def forward(*inputs: Any, **options: Any) -> tuple[Any, ...]:
        shapes = [(np.dtype(one.dtype).name, tuple(one.shape)) for one in inputs]
        key = tuple(shapes), repr(sorted(options.items()))
        if key not in kept:
            kept[key] = subject.program(shapes, options, reference)
        try:
            return kept[key](*inputs)
        except TranscriptError as error:
            raise NoProgramError(str(error)) from None

    inputs = {
        name: Input(
            one.axes, "real" if _is_real(case.inputs[name]) else "counts", constant=not one.differentiable
        )
        for name, one in declared.inputs.items()
    }
    first = [
        (("float64" if one.values == "real" else "int64"), np.shape(case.inputs[name]))
        for name, one in inputs.items()
    ]
    try:
        kinds = subject.program(first, case.options, reference).kinds(first)
    except TranscriptError as error:
        raise NoProgramError(str(error)) from None
    flags = declared.outputs or (True,) * len(kinds)
    return Operation(
        reference or declared.name,
        forward,
        inputs,
        dict(declared.options),
        outputs=tuple(flag and kind == "f" for flag, kind in zip(flags, kinds, strict=True)),
        concrete=declared.axes,
    )


def _is_real(array: Any) -> bool:
    return np.asarray(array).dtype.kind == "f"
