"""The program of a forward pass that no library knows: the subject's own, or that of a `REFERENCE` of its author.

It was traced under the subject's interpreter, and comes as data (`reference.transcript`). Bound again it is an
operation as any known one: it has a bound, mistakes have names, and the smallest case is found with it. What it says
is held against the subject's own values on every case, and against its slopes (`judge.Judge`): a forward pass that
was traced to something else than it computes is measured by differences.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from properties.declaration import Declaration
from properties.operation.cases import OperationCase
from properties.search import Inconclusive
from reference.operations.operation import Input, Operation
from reference.operations.tracing import abstract_inputs
from reference.program import derivative
from reference.transcript import Transcript, TranscriptError

Shapes = Sequence[tuple[str, tuple[Any, ...]]]
"""Types and shapes of the inputs, in order: numbers, or "n" and "4*u" where sizes are symbols."""


class NoProgramError(Inconclusive):
    """A forward pass can't be traced, or not into what can be read."""


class Traceable(Protocol):
    """What may have a program of its own."""

    @property
    def declaration(self) -> Declaration:
        """What it takes."""
        ...

    def program(
        self, shapes: Shapes, options: Mapping[str, Any], reference: str = "", symbols: Sequence[str] = ()
    ) -> Transcript:
        """The forward pass as a program, or that of the reference. Raises `NoProgramError`."""
        ...


def operation_of(subject: Traceable, case: OperationCase, reference: str = "") -> Operation:
    """The operation whose forward pass is the subject's, or the reference's.

    A forward pass is traced once, with symbols for the sizes; for all sizes anew where it asks one for its number (a
    loop over it, a branch). So is a reference, as what it is at some sizes is held against nothing, and a function of
    JAX: to that, `n == 1` is false where n may be 1.

    Raises:
        NoProgramError: where there is no program for a first case.
    """
    declared = subject.declaration
    if not reference and declared.arrays == "numpy" and declared.axes:
        with suppress(Exception):  # whatever the subject, or JAX, can't do with symbols
            found = _operation(subject, case, reference, ())
            derivative(found, case.options, {})
            return found
    return _operation(subject, case, reference, declared.axes)


def _operation(
    subject: Traceable, case: OperationCase, reference: str, concrete: tuple[str, ...]
) -> Operation:
    """The same with numbers for the sizes of these axes, and symbols for the others."""
    declared, kept = subject.declaration, dict[Any, Transcript | NoProgramError]()
    symbols = () if concrete else declared.axes

    def transcript(inputs: Sequence[Any], options: Mapping[str, Any]) -> Transcript:
        shapes = [(np.dtype(one.dtype).name, tuple(map(_told, one.shape))) for one in inputs]
        key = tuple(shapes), repr(sorted(options.items()))
        if key not in kept:
            try:
                kept[key] = subject.program(shapes, options, reference, symbols)
            except NoProgramError as error:  # which is found out once
                kept[key] = error
        found = kept[key]
        if isinstance(found, NoProgramError):
            raise found
        return found

    def forward(*inputs: Any, **options: Any) -> tuple[Any, ...]:
        try:
            return transcript(inputs, options)(*inputs)
        except TranscriptError as error:
            raise NoProgramError(str(error)) from None

    inputs = {
        name: Input(
            one.axes, "real" if _is_real(case.inputs[name]) else "counts", constant=not one.differentiable
        )
        for name, one in declared.inputs.items()
    }
    made = Operation(reference or declared.name, forward, inputs, dict(declared.options), concrete=concrete)
    first = abstract_inputs(made, {name: case.sizes[name] for name in concrete})
    try:
        kinds = transcript(first, case.options).kinds(first)
    except TranscriptError as error:
        raise NoProgramError(str(error)) from None
    flags = declared.outputs or (True,) * len(kinds)
    wanted = tuple(flag and kind == "f" for flag, kind in zip(flags, kinds, strict=True))
    return replace(made, outputs=wanted)


def _told(size: Any) -> Any:
    return size if type(size) is int else str(size)


def _is_real(array: Any) -> bool:
    return np.asarray(array).dtype.kind == "f"
