"""What there is to verify in a file: the gradient of a network, or each of its operations; one verdict for each."""

import ast
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from harness.held import HeldModule
from harness.isolation import IsolatedModule, Limits, Sandbox
from harness.loading import UnusableSubject
from harness.operation_subject import OperationSubject, as_meant, contents_of
from properties.declaration import Argument, Call, Declaration
from properties.operation.cases import FEW, NoCaseError, Seeded, make, numbered
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


# --- a case as Python to paste -------------------------------------------------------------------------------


def calls(path: str, declared: Declaration, held: Sequence[str] | None = None) -> str:
    """The lines that call an operation of a file on the inputs, options and cotangents of a case, and print.

    Or one that is `held`, after lines that give its functions their names. An empty line is between what is there once
    and the call.
    """
    names = dict.fromkeys(call.function.path[0] for call in declared.calls.values())
    file = Path(path)
    if held is not None:
        lines = ["", *held]
    elif file.suffix == ".py":
        lines = [
            "",
            "import runpy, sys",
            f"sys.path.insert(0, {str(file.parent)!r})",
            f"module = runpy.run_path({str(file)!r})",
        ]
        lines += [f"{name} = module[{name!r}]" for name in names]
    else:
        lines = ["", f"from {path} import {', '.join(map(str, names))}"]
    gradients = ", ".join(f"d{name}" for name in declared.differentiable)
    return "\n".join([*lines, "", *_body(declared, gradients)])


def _body(declared: Declaration, gradients: str) -> list[str]:
    kind, every = declared.kind, declared.calls
    y = declared.output
    match kind:
        case "backward":
            forward = f"{_name(every['forward'])}({_arguments(every['forward'])})"
            backward = _name(every["backward"])
            if declared.takes == "cache":
                several, dy = (
                    ("*", ", ".join(numbered(f"d{y}", declared.apart))) if declared.apart else ("", f"d{y}")
                )
                return [f"{several}{y}, cache = {forward}", f"print({backward}({dy}, cache))  # {gradients}"]
            arguments = _arguments(every["backward"])
            return [f"{y} = {forward}", f"print({backward}(d{y}, {arguments}))  # {gradients}"]
        case "gradient" | "jacobian" | "value_and_gradient":
            return [f"print({_name(every[kind])}({_arguments(every[kind])}))  # {gradients}"]
        case "class":
            parameters = [
                f"layer.{one.attribute} = {one.name}"
                for one in declared.parameters
                if one.attribute.isidentifier()
            ]
            gradients_of = [one.gradient for one in declared.parameters if one.gradient.isidentifier()]
            return [
                f"layer = {_name(every['layer'])}({_arguments(every['layer'])})",
                *parameters,
                f"layer.forward({_arguments(every['forward'])})",
                f"print(layer.backward(d{y}), *(getattr(layer, name) for name in {gradients_of!r}))",
            ]
        case "jvp":
            inputs, moving = "".join(f"{name}, " for name in declared.inputs).strip(), declared.differentiable
            zeros = ", ".join(f"np.zeros_like({name})" for name in moving)
            keywords = "".join(f", {name}={name}" for name in every["jvp"].keywords)
            return [
                f"tangents = [{zeros}]",
                f"tangents[0].flat[0] = 1  # by the first number of {moving[0]}; and so by each of the others",
                f"print({_name(every['jvp'])}(({inputs}), tuple(tangents){keywords}))",
                f"# summed with d{y}: the first number of d{moving[0]}",
            ]
        case _:
            return []


def _name(call: Call) -> str:
    first, *rest = call.function.path
    return str(first) + "".join(f"[{one!r}]" for one in rest)


def _arguments(call: Call) -> str:
    parts = [_argument(one) for one in call.arguments]
    return ", ".join([*parts, *(f"{name}={name}" for name in call.keywords)])


def _argument(one: Argument) -> Any:
    if isinstance(one, str):
        return one
    return "{" + ", ".join(f"{key!r}: {name}" for key, name in one.items()) + "}"
