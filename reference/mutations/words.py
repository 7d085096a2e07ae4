"""How a sentence calls what a program computes: by the line of the reference, or of the subject, that it comes from."""

import ast
import inspect
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from reference.program import Equation

_OPERATORS: Mapping[str, tuple[type[ast.operator], ...]] = {
    "mul": (ast.Mult,), "add": (ast.Add,), "add_any": (ast.Add,), "sub": (ast.Sub,), "div": (ast.Div,),
    "dot_general": (ast.MatMult,), "integer_pow": (ast.Pow, ast.Div), "pow": (ast.Pow,),
}  # fmt: skip
_SPELLED = {"select_n": "where"}
AS_IT_IS = frozenset({"reshape", "broadcast_in_dim", "convert_element_type", "copy"})
"""What a sentence passes over: the numbers are the same, in the same order."""
MOVED: Mapping[str, str] = {"rev": "reversed", "transpose": "transposed"}
"""What is said of a variable that is moved on the way back."""
WIDTH = 60
"""Letters of an expression that are shown."""


def line_of(step: Equation) -> str:
    """Where it comes from, without the column."""
    return step.line.partition("» ")[0]


def row(step: Equation) -> str:
    """Its file and line: "norms.py:12 (layer_norm)"."""
    return re.sub(r"(:\d+):\d+ ", r"\1 ", step.line).partition(" «")[0]


@cache
def _parsed(file: str) -> tuple[str, ast.Module]:
    import reference.operations  # noqa: PLC0415

    text = (Path(inspect.getfile(reference.operations)).parent / file).read_text(encoding="utf-8")
    return text, ast.parse(text)


@cache
def expression(line: str, primitive: str) -> str:
    """What the reference writes at "norms.py:34:21 (layer_norm)", with the name it gives it: "`y = x + 1`".

    A subject's line has what it writes there beside it.
    """
    if told := re.search(r"«(.*)»", line):
        return f"`{told[1]}`"
    found = re.match(r"([\w.]+):(\d+):(\d+)", line)
    if not found:
        return f"`{_SPELLED.get(primitive, primitive)}(...)`"
    try:
        text, tree = _parsed(found[1])
    except OSError:
        return line
    place = int(found[2]), int(found[3])
    nodes = [
        one for one in ast.walk(tree) if isinstance(one, ast.expr) and (one.lineno, one.col_offset) == place
    ]
    fitting = [
        one
        for one in nodes
        if isinstance(one, ast.BinOp) and isinstance(one.op, _OPERATORS.get(primitive, ()))
    ]
    calls = [one for one in nodes if isinstance(one, ast.Call)]
    chosen = (fitting or calls or nodes or [None])[0]
    said = (chosen and ast.get_source_segment(text, chosen)) or line
    names = [
        one.targets[0].id
        for one in ast.walk(tree)
        if isinstance(one, ast.Assign) and one.value is chosen and isinstance(one.targets[0], ast.Name)
    ]
    said = " ".join(said.split())
    said = said if len(said) <= WIDTH else f"{said[:WIDTH]}..."
    return f"`{names[0]} = {said}`" if names else f"`{said}`"
