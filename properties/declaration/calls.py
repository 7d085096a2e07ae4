"""How the functions and classes of an operation are called."""

import json
from collections.abc import Iterable, Mapping, Sequence

from properties.declaration.model import Argument, Call, DeclarationError, Parameter
from properties.declaration.parts import near, paste, shown
from properties.functions import Function
from reference.operations.operation import Input

CACHE_NAMES = ("cache", "ctx", "context", "saved", "state", "memory")
"""What people call the last argument of a backward pass where it is no input."""


def call_of(
    function: Function,
    inputs: Sequence[str],
    options: Mapping[str, object],
    *,
    leading: int = 0,
    strict: bool = False,
) -> Call:
    """How a function takes the inputs by position after `leading` others, and the options that it takes.

    An option goes by keyword where the function has a parameter of that name; after the inputs where it has
    parameters left whose names are others; with `strict`, everything has to have a place.

    Raises:
        DeclarationError: where an input or, with `strict`, an option has no place, or a parameter nothing to take.
    """
    signature, count = function.signature, leading + len(inputs)
    by_position = signature.positional
    if len(by_position) < count and not signature.any_positional:
        raise DeclarationError(
            f"{function.name} takes ({', '.join(by_position)}), and is called with "
            f"{', '.join([*['…'] * leading, *inputs])}: the inputs that are declared, in that order."
        )
    named, rest = by_position[leading:count], by_position[count:]
    if set(named) == set(inputs) and tuple(named) != tuple(inputs):
        raise DeclarationError(
            f"{function.name} takes {', '.join(named)}, and the inputs are declared as {', '.join(inputs)}: "
            "the order has to be the same."
        )
    keywords = tuple(
        name
        for name in options
        if name in signature.keywords - set(by_position[:count])
        or (signature.any_keyword and not signature.any_positional)
    )
    places = [name for name in rest if name not in keywords]
    others = [name for name in options if name not in keywords]
    fill = others if signature.any_positional else others[: len(places)]
    if not signature.any_positional and len(places) < len(others) and strict:
        left = others[len(places)]
        raise DeclarationError(
            f"OPTIONS has {left!r}, which {function.name} doesn't take{near(left, signature.keywords)}"
        )
    needed = [name for name in by_position[count : signature.required] if name not in keywords][len(fill) :]
    needed += sorted(signature.required_keywords - set(keywords))
    if needed:
        raise DeclarationError(
            f"{function.name} takes {needed[0]!r} too, and nothing says what it is: declare it as an input, or as an "
            f"option with the values to draw from:" + paste(f'OPTIONS = {{"{needed[0]}": [1, 2]}}')
        )
    return Call(function, (*inputs, *fill), keywords)


def backward_of(
    function: Function, inputs: Sequence[str], options: Mapping[str, object], forward: Sequence[Argument]
) -> tuple[Call, str, int]:
    """How a `backward` is called, what it takes after the cotangents, and how many of these stand apart.

    It takes a cache where it has two positional parameters (or, where forward keeps none, its one input); what
    `forward` takes, where it has as many besides; else the last one is the cache, and the others are one
    cotangent for each output.
    """
    signature = function.signature
    keywords = tuple(
        name
        for name in options
        if name in signature.keywords or (signature.any_keyword and not signature.any_positional)
    )
    names = [name for name in signature.positional if name not in keywords]
    count = len(names)
    if signature.any_positional and count <= 1:
        return call_of(function, inputs, options, leading=1), "inputs", 0
    if count == 0:
        raise DeclarationError(f"{function.name} takes nothing: it is called as {function.name}(dy, cache).")
    if count == 1:
        return Call(function, (), keywords), "nothing", 0
    if count == 2:  # noqa: PLR2004  (dy and cache)
        return Call(function, tuple(inputs) if len(inputs) == 1 else (), keywords), "cache", 0
    is_cache = names[-1].lower().endswith(CACHE_NAMES) and names[-1] not in inputs
    taken = [one for one in forward if one not in keywords]
    for arguments in (tuple(taken), tuple(inputs)):
        if count == 1 + len(arguments) and not is_cache:
            return Call(function, arguments, keywords), "inputs", 0
    return Call(function, (), keywords), "cache", count - 1


def keywords_of(function: Function) -> frozenset[str]:
    """The names by which something can be passed to a function, or to a class and its `forward`."""
    methods = [function.methods[one] for one in ("forward",) if one in function.methods]
    return frozenset().union(*(one.keywords for one in (function.signature, *methods)))


def those_of(parameters: object, inputs: Iterable[str]) -> object:
    """Of the `PARAMETERS` of a file with several classes, those that are inputs of one."""
    if not isinstance(parameters, Mapping):
        return parameters
    inputs = set(inputs)
    return {key: value for key, value in parameters.items() if _last(str(key)) in inputs}


def _last(attribute: str) -> str:
    """The name at the end of a path: W of params['W'] and of self.W."""
    return attribute.translate(str.maketrans("[", ".", "]'\"")).split(".")[-1]


def parameters_of(inputs: Mapping[str, Input], layer: Function, value: object) -> tuple[Parameter, ...]:
    """The inputs that are attributes: those of `PARAMETERS`, or those that `forward` doesn't take.

    An attribute has the name of its input at its end, with that of its gradient; or an input comes with both.
    """
    for method in ("forward", "backward"):
        if method not in layer.methods:
            raise DeclarationError(f"{layer.name} has no method {method}{near(method, layer.methods)}")
    if value is None:
        positional = layer.methods["forward"].positional
        count = len(inputs) if layer.methods["forward"].any_positional else len(positional)
        return tuple(Parameter(one, one, f"d{one}") for one in tuple(inputs)[count:])
    if not isinstance(value, Mapping) or not all(
        isinstance(one, str) or (isinstance(one, (list, tuple)) and [*map(type, one)] == [str, str])
        for one in value.values()
    ):
        raise DeclarationError(
            f"PARAMETERS has to be a dict of attributes with those of their gradients, not {shown(value)}:"
            + paste('PARAMETERS = {"W": "dW", "b": "db"}')
        )
    found = tuple(
        Parameter(_last(str(key)), str(key), one) if isinstance(one, str) else Parameter(str(key), *one)
        for key, one in value.items()
    )
    for key, one in zip(value, found, strict=True):
        if one.name not in inputs:
            sentence = (
                f"PARAMETERS has {shown(key)}, and OPERATION no input {one.name}{near(one.name, inputs)}"
            )
            if one.attribute != one.name:
                pair = json.dumps([one.attribute, one.gradient])
                line = paste(f'PARAMETERS = {{"{one.name}1": {pair}}}')
                sentence += f" Where an input has another name than its attribute, say both, as in{line}"
            raise DeclarationError(sentence)
    return found


def constructor_of(layer: Function, known: Iterable[str], axes: Sequence[str]) -> Call:
    """How a class is made: with what its parameters are named after (inputs, options, axes), or with nothing."""
    known, signature = set(known), layer.signature
    required = [
        *signature.positional[: signature.required],
        *signature.required_keywords,
    ]
    for name in required:
        if name not in known:
            raise DeclarationError(
                f"{layer.name} is made with {', '.join(required)}, and nothing says what {name} is: call an axis so in "
                f"OPERATION (it has {', '.join(axes) or 'none'}), or give values to draw from:"
                + paste(f'OPTIONS = {{"{name}": [3]}}')
            )
    by_position = tuple(signature.positional[: signature.required])
    keywords = tuple(one for one in sorted(signature.keywords - set(by_position)) if one in known)
    return Call(layer, by_position, keywords)
