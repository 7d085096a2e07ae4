"""The parts of a declaration, each checked, and what is said where one is wrong."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from properties.declaration.model import DeclarationError
from properties.functions import Function, Module
from reference.operations.operation import VALUES, AxesError, Input, names_of, size_of

DTYPES = ("float64", "float32", "float16")
ARRAYS = ("numpy", "torch", "jax")
INPUT_KEYS = ("axes", "values", "below", "ignore", "constant")


def near(word: object, words: Iterable[str]) -> str:
    """`; did you mean "eps"?` where one of the words is near, else nothing."""
    by_letters = {str(one).lower(): str(one) for one in words}
    found = get_close_matches(str(word).lower(), by_letters, n=1)
    return f"; did you mean {by_letters[found[0]]!r}?" if found else "."


def shown(value: object) -> str:
    """A value as its author wrote it, in bounded length."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004  (a line's length, not mathematics)


def paste(*lines: str) -> str:
    """Lines to paste, below the sentence."""
    return "".join(f"\n    {line}" for line in lines)


def template(parameters: Sequence[str], known: Sequence[str] = ()) -> str:
    """A declaration of these inputs to start from, with the axes that are known."""
    axes = [*known, *["n d", *["d"] * len(parameters)][len(known) :]]
    return "{" + ", ".join(f'"{name}": "{one}"' for name, one in zip(parameters, axes, strict=False)) + "}"


def read_inputs(value: object, where: str) -> dict[str, Input]:
    """The inputs that `OPERATION`, or an entry of `OPERATIONS`, declares. Raises `DeclarationError`."""
    if not isinstance(value, Mapping) or not value:
        raise DeclarationError(
            f"{where} has to be a dict of the inputs with their axes, not {shown(value)}:"
            + paste('OPERATION = {"x": "n d", "gain": "d"}')
        )
    for name in value:
        if not isinstance(name, str) or not name.isidentifier():
            raise DeclarationError(f"{where} has the key {shown(name)}, which is not the name of an input.")
    inputs = {name: _input(one, f"{where}[{name!r}]") for name, one in value.items()}
    axes = set(names_of(dimension for one in inputs.values() for dimension in one.dimensions))
    for name, one in inputs.items():
        if isinstance(one.below, str) and not axes.issuperset(names_of([one.below])):
            raise DeclarationError(
                f"{where}[{name!r}] has labels below {one.below!r}, which is not an axis of an input"
                f"{near(one.below, axes)}"
            )
    if not any(one.differentiable for one in inputs.values()):
        raise DeclarationError(f"{where} has no input that a gradient could be for.")
    return inputs


def _input(value: object, where: str) -> Input:
    """One input: its axes, or a dict of axes, values, below, ignore and constant."""
    if isinstance(value, str):
        return Input(_axes(value, where))
    if isinstance(value, list | tuple) and all(isinstance(one, str | int) for one in value):
        raise DeclarationError(
            f"{where} has to be one string of axes, {' '.join(map(str, value))!r}, not {shown(value)}."
        )
    if not isinstance(value, Mapping):
        raise DeclarationError(
            f'{where} has to be a string of axes such as "n d", or a dict, not {shown(value)}.'
        )
    for key in value:
        if key not in INPUT_KEYS:
            raise DeclarationError(f"{where} has an unknown key {shown(key)}{near(key, INPUT_KEYS)}")
    if "axes" not in value:
        raise DeclarationError(f'{where} has no axes: add "axes": "n d", or "axes": "" for a scalar.')
    values, below, ignore = _values(value, where)
    constant = value.get("constant", False)
    if not isinstance(constant, bool):
        raise DeclarationError(f"{where} has constant = {shown(constant)}; it has to be True or False.")
    return Input(_axes(value["axes"], where), values, below, ignore, constant)


def _values(value: Mapping[str, Any], where: str) -> tuple[Any, Any, Any]:
    """What the numbers of an input are: values, below and ignore."""
    values, below, ignore = value.get("values", "real"), value.get("below"), value.get("ignore")
    if not isinstance(values, Function) and values not in VALUES:
        raise DeclarationError(
            f"{where} has the values {shown(values)}, which are unknown{near(values, VALUES)} "
            f"Known are {', '.join(VALUES)}, and a function (rng, shape, sizes)."
        )
    if values == "labels" and (not isinstance(below, int | str) or isinstance(below, bool)):
        raise DeclarationError(f'{where} has labels, and doesn\'t say below which number: add "below": "v".')
    if ignore is not None and (not isinstance(ignore, int) or isinstance(ignore, bool)):
        raise DeclarationError(f"{where} ignores {shown(ignore)}; it has to be a whole number such as -100.")
    return values, below, ignore


def _axes(value: object, where: str) -> str:
    """The axes, checked."""
    if not isinstance(value, str):
        raise DeclarationError(
            f'{where} has the axes {shown(value)}; they have to be a string such as "n d".'
        )
    if "," in value:
        raise DeclarationError(
            f"{where} is {shown(value)}: separate axes by spaces, {' '.join(value.replace(',', ' ').split())!r}."
        )
    for dimension in value.split():
        if dimension[0] in "+-*/" or dimension[-1] in "+-*/":
            raise DeclarationError(f"{where} is {shown(value)}: write arithmetic without spaces, as in 4*k.")
        try:
            size_of(dimension, dict.fromkeys(names_of([dimension]), 1))
        except (AxesError, ArithmeticError) as error:
            raise DeclarationError(f"{where}: {error}") from None
    return value


def read_options(value: object, where: str = "OPTIONS") -> dict[str, tuple[Any, ...]]:
    """The values of each option. Raises `DeclarationError`."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DeclarationError(
            f"{where} has to be a dict of lists of values, not {shown(value)}:"
            + paste(f'{where} = {{"eps": [1e-5, 1e-3]}}')
        )
    options: dict[str, tuple[Any, ...]] = {}
    for name, values in value.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise DeclarationError(f"{where} has the key {shown(name)}, which is not the name of an option.")
        several = tuple(values) if isinstance(values, list | tuple | range) else (values,)
        if not several:
            raise DeclarationError(f"{where}[{name!r}] is an empty list: name at least one value.")
        for one in several:
            if not isinstance(one, bool | int | float | str | list | tuple | None):
                raise DeclarationError(
                    f"{where}[{name!r}] holds {shown(one)}; an option is a number, a truth value, a string, None, "
                    "or a tuple of these: pass an array as an input."
                )
        options[name] = several
    return options


def read_sizes(value: object, axes: Iterable[str], where: str = "SIZES") -> dict[str, tuple[int, ...]]:
    """The sizes of each axis that has some. Raises `DeclarationError`."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DeclarationError(
            f'{where} has to be a dict such as {{"d": [4, 8], "h": range(3, 9)}}, not {shown(value)}.'
        )
    axes, sizes = tuple(axes), dict[str, tuple[int, ...]]()
    for name, some in value.items():
        several = tuple(some) if isinstance(some, list | tuple | range) else (some,)
        if not several or any(
            not isinstance(one, int) or isinstance(one, bool) or one < 0 for one in several
        ):
            raise DeclarationError(
                f"{where}[{name!r}] has to be a size, a list of sizes or a range, not {shown(some)}."
            )
        if name not in axes:
            raise DeclarationError(
                f"{where} has the axis {shown(name)}, which no input has{near(name, axes)}"
            )
        sizes[name] = tuple(sorted(several))  # a case shrinks to the first
    return sizes


def one_of(module: Module, constant: str, known: Sequence[str], usual: str) -> str:
    """A constant that has one of the known values. Raises `DeclarationError`."""
    value = module.constants.get(constant, usual)
    if value not in known:
        raise DeclarationError(
            f"{constant} has to be one of {', '.join(known)}, not {shown(value)}{near(value, known)}"
        )
    return str(value)


def read_outputs(value: object) -> tuple[bool, ...]:
    """Which outputs are differentiable; empty where nothing is said. Raises `DeclarationError`."""
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or not all(isinstance(one, bool) for one in value):
        raise DeclarationError(
            f"OUTPUTS has to say for each output whether it is differentiable, as in [True, False], not {shown(value)}."
        )
    if not any(value):
        raise DeclarationError("OUTPUTS says that no output is differentiable.")
    return tuple(value)
