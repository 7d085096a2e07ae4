"""What there is to verify in a file, as far as its text tells: the gradient of a network, or operations."""

import ast
from collections.abc import Collection, Sequence
from pathlib import Path

from harness.held import HeldModule

DECLARED = frozenset({"OPERATION", "OPERATIONS", "LAYER", "FUNCTION"})
"""Names that say that a file has operations."""

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
