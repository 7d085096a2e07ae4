"""One operation of a file, in its worker, after a look at what there is."""

from collections.abc import Generator
from contextlib import contextmanager

import numpy as np

from harness.held import HeldModule
from harness.isolation import IsolatedModule, Limits, Sandbox
from harness.loading import UnusableSubject
from harness.operation_subject import OperationSubject, as_meant, contents_of
from harness.outcomes import OPERATION
from properties.operation.cases import FEW, NoCaseError, Seeded, make
from properties.operation.programs import NoProgramError, operation_of
from properties.search import SubjectGone, Violation

FIRST = 6
"""Cases that are drawn before anything is verified."""


class SeveralOperations(Exception):  # noqa: N818  (it is no error)
    """A file was asked for its one operation, and has these; "" is the gradient of a network."""

    def __init__(self, names: list[str]) -> None:
        """Their names, in order."""
        super().__init__(", ".join(names))
        self.names = names


@contextmanager
def load_operation(
    path: str,
    name: str,
    *,
    python: str | None = None,
    limits: Limits | None = None,
    sandbox: Sandbox = "auto",
    held: HeldModule | None = None,
    folder: str = "",
) -> Generator[OperationSubject]:
    """One operation of a file in its worker, which is stopped at the end; or of a module that is `held`.

    Raises:
        UnusableSubject: where the file can't be imported, has nothing to judge, or lacks a line.
        SeveralOperations: where the file has several, and was asked for `OPERATION`.
    """
    with held or IsolatedModule(path, python=python, limits=limits, sandbox=sandbox, folder=folder) as module:
        contents = contents_of(path, module)
        names = [one.name for one in (*contents.operations, *contents.missing)] + [""] * contents.network
        if name == OPERATION and len(names) > 1:
            raise SeveralOperations(names)
        for one in contents.operations:
            if name in (OPERATION, one.name):
                subject = as_meant(one, module)
                _check_cases(subject)
                _check_reference(subject)
                yield subject
                return
        for one in contents.missing:
            if name in (OPERATION, one.name):
                raise UnusableSubject(one.sentence)
        raise UnusableSubject(f"{path} has no operation {name}.")


def _check_cases(subject: OperationSubject) -> None:
    """Draw some cases, which calls the functions of the file that say what to draw. Raises `UnusableSubject`."""
    try:
        for seed in range(FIRST):
            make(Seeded(np.random.default_rng(seed)), subject, ("plain",))
    except NoCaseError as error:
        raise UnusableSubject(str(error)) from None
    except (Violation, SubjectGone) as fault:
        sentence, _, trace = str(fault).partition("\n")
        raise UnusableSubject(sentence, trace) from None


def _check_reference(subject: OperationSubject) -> None:
    """Read the reference that a file brings itself as a program. Raises `UnusableSubject`."""
    counterpart = subject.declaration.counterpart
    if counterpart is None or ":" not in counterpart.operation:
        return
    try:
        operation_of(
            subject,
            make(Seeded(np.random.default_rng(0)), subject, ("plain",), sizes=FEW),
            counterpart.operation,
        )
    except NoProgramError as error:
        raise UnusableSubject(
            f"REFERENCE is {counterpart.operation}, which can't be traced by JAX ({error}): write it in jax.numpy, "
            "with branches on shapes and options alone."
        ) from None
