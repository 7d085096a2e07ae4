"""What there is to verify in a file: the gradient of a network, or each of its operations; one verdict for each."""

import ast
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from harness.held import HeldModule
from harness.isolation import IsolatedModule, Limits, Sandbox
from harness.loading import UnusableSubject
from harness.operation_subject import OperationSubject, as_meant, contents_of
from properties.operation.cases import FEW, NoCaseError, Seeded, make
from properties.operation.programs import NoProgramError, operation_of
from properties.search import SubjectGone, Violation

OPERATION = "?"
"""The request for the one operation of a file, whatever its name is; or else for the names of all."""

DECLARED = frozenset({"OPERATION", "OPERATIONS", "LAYER", "FUNCTION"})
"""Names that say that a file has operations."""

FIRST = 6
"""Cases that are drawn before anything is verified."""

OF_A_NETWORK = frozenset({"gradient", "step"})
ARGUMENTS = 3
"""parameters, inputs and targets."""


def is_network(path: str) -> bool:
    """Whether a file has the gradient of a network, as far as its text tells: nothing of it is run for that."""
    file = Path(path)
    if not file.is_file():
        return True
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True  # what is wrong with it is told when it is imported
    names = {name for node in tree.body for name in names_set_by(node)}
    if not names:
        return True  # it defines nothing, and that is told when it is imported
    return _has_network(
        names,
        [
            _takes_three(node.args)
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.name in OF_A_NETWORK
        ],
    )


def holds_network(held: HeldModule) -> bool:
    """The same of a module that is held, by what it has."""
    found = held.description.module
    signatures = [one.signature for name, one in found.functions.items() if name in OF_A_NETWORK]
    takes_three = [one.any_positional or len(one.positional) >= ARGUMENTS for one in signatures]
    return _has_network({*found.constants, *found.functions}, takes_three)


def _has_network(names: Collection[str], takes_three: Sequence[bool]) -> bool:
    """Whether a module with these names has the gradient of a network; its functions `OF_A_NETWORK` may take three."""
    if not DECLARED.isdisjoint(names):
        return False
    if takes_three:
        return "forward" not in names or any(takes_three)
    return not OF_A_NETWORK.isdisjoint(names)


def names_set_by(node: ast.stmt) -> list[str]:
    """The names that a statement of a module sets."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.ImportFrom(names=names) | ast.Import(names=names):
            return [one.asname or one.name for one in names]
        case _:
            return []


def _takes_three(arguments: ast.arguments) -> bool:
    return arguments.vararg is not None or len(arguments.posonlyargs + arguments.args) >= ARGUMENTS


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
