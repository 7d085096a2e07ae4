"""A forward program that was traced elsewhere: data that is read, checked, and bound again.

Under the interpreter of a subject its forward pass is written down as equations (`harness.tracing`). Nothing of that
is code: primitives are called by their names, and only those that an arithmetic reads; parameters are numbers, types
and the enumerations of `jax.lax`; constants are arrays. Binding them one after another is a function in `jax.numpy`
as good as any of `operations`, and is differentiated, bounded and edited as those are.

Whether it is the program of what the subject computes is another question: whoever uses it holds its values, and its
slopes, against the subject's own.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export, lax
from jax.extend import core
from jax.extend.core import primitives
from jax.scipy import special

from reference import systems
from reference.arithmetic.bounded import Bounding
from reference.precision import in_double_precision
from reference.program import ELSEWHERE, LINE, is_symbolic, with_each

Array = np.ndarray[Any, Any]

LARGEST = 1 << 22
"""Numbers of an array of a program that was traced elsewhere."""
MOST = 1 << 16
"""Variables of such a program."""


class TranscriptError(Exception):
    """The data is no program that can be bound."""


EXPRESSION = re.compile(r"[A-Za-z0-9_+*^(), -]{1,200}")
"""An expression of sizes, which JAX's own parser reads."""
OF_SIZES = frozenset({"floordiv", "mod", "max", "min", "non_negative"})
"""Functions in such expressions."""


@dataclass(frozen=True)
class Size:
    """An expression of sizes that are symbols: "n + 1"."""

    said: str


@dataclass(frozen=True)
class Step:
    """One equation: a primitive's name, the numbers of its variables, its parameters, and where it was said."""

    primitive: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    parameters: Mapping[str, Any]
    line: str


@dataclass(frozen=True)
class Transcript:
    """A forward program for inputs of given shapes and types."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    constants: Mapping[int, Array]
    steps: tuple[Step, ...]

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """The outputs for these inputs: the primitives are bound one after another.

        Raises:
            TranscriptError: where one doesn't take what it is given, or makes an array that is too large.
        """
        found: dict[int, Any] = {**self.constants, **dict(zip(self.inputs, values, strict=True))}
        symbols = [size for one in values for size in np.shape(one) if is_symbolic(size)]
        for step in self.steps:
            try:
                with jax.named_scope(step.line or ELSEWHERE):
                    made = _bound(step, [found[slot] for slot in step.inputs], symbols)
            except Exception as error:  # noqa: BLE001 - whatever the data is, it is none of ours
                raise TranscriptError(f"{step.primitive}: {type(error).__name__}") from None
            if len(made) != len(step.outputs) or any(map(_is_large, made)):
                raise TranscriptError(f"{step.primitive} makes something else than it says")
            found.update(zip(step.outputs, made, strict=True))
        try:
            return tuple(found[slot] for slot in self.outputs)
        except KeyError:
            raise TranscriptError("an output is made by nothing") from None

    @in_double_precision
    def kinds(self, arguments: Sequence[jax.ShapeDtypeStruct]) -> list[str]:
        """The kinds of the outputs' types ("f", "i", ...) for inputs of these types and shapes."""
        return [np.dtype(one.dtype).kind for one in jax.eval_shape(self, *arguments)]


def read_transcript(data: Any, constants: Sequence[Array]) -> Transcript:
    """A program from the data that came from a subject's interpreter.

    Raises:
        TranscriptError: where it is none, or has a primitive that no arithmetic reads.
    """
    try:
        slots = _slots(data["constants"])
        steps = tuple(
            Step(
                _name(name),
                _slots(given),
                _slots(made),
                {str(k): _read(v) for k, v in how.items()},
                _line(line),
            )
            for name, given, made, how, line in data["equations"]
        )
        if len(slots) != len(constants):
            raise TranscriptError("constants are missing")
        return Transcript(
            _slots(data["inputs"]), _slots(data["outputs"]), dict(zip(slots, constants, strict=True)), steps
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TranscriptError(f"no program: {type(error).__name__}") from None


def _slots(value: Any) -> tuple[int, ...]:
    if type(value) is not list or any(type(one) is not int or not 0 <= one < MOST for one in value):
        raise TranscriptError("no variables")
    return tuple(value)


def _name(value: Any) -> str:
    if value not in _FUNCTIONS and value not in _known():
        raise TranscriptError(f"the primitive {value!s:.40} is not read")
    return str(value)


def _line(value: Any) -> str:
    return value if type(value) is str and LINE.fullmatch(value) else ""


@cache
def _known() -> Mapping[str, Any]:
    """The primitives that can be bound and read, by name."""
    every = (*vars(primitives).values(), *(getattr(lax, name) for name in dir(lax) if name.endswith("_p")))
    found = {one.name: one for one in every if isinstance(one, core.Primitive)}
    return {name: one for name, one in found.items() if name in Bounding.rules and name != "scan"}


_ENUMS = {one.__name__: one for one in (lax.GatherScatterMode, lax.RoundingMethod, lax.Precision)}
_FIELDS = {
    one.__name__: one
    for one in (lax.GatherDimensionNumbers, lax.ScatterDimensionNumbers, lax.ConvDimensionNumbers)
}


def _read(value: Any) -> Any:
    """A parameter. Raises as `read_transcript` catches."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case ["tuple", *items]:
            return tuple(map(_read, items))
        case ["dtype", str(name)]:
            return np.dtype(name)
        case ["size", str(said)] if EXPRESSION.fullmatch(said):
            return Size(said)
        case ["enum", str(kind), str(name)]:
            return _ENUMS[kind][name]
        case ["fields", str(kind), dict(fields)]:
            return _FIELDS[kind](**{str(key): _read(one) for key, one in fields.items()})
        case _:
            raise TranscriptError("no parameter")


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    # of which JAX knows the derivative, where that of their steps has a kink, or none
    "logaddexp": jnp.logaddexp,
    "logaddexp2": jnp.logaddexp2,
    "xlogy": special.xlogy,
    "xlog1py": special.xlog1py,
    # steps of a program that are many of JAX's
    "solve": systems.solve,
    "inv": systems.inv,
    "det": systems.det,
    "slogdet": systems.slogdet,
    "triangular_solve": systems.triangular_solve,
    "cholesky": systems.cholesky,
    "dim_as_value": lambda *, dim: jnp.asarray(dim),
    # with a function as parameter, which is not sent
    "scatter-add": lax.scatter_add,
}
"""What stands for a step by its name and is no primitive that is bound as it is."""


def _is_large(value: Any) -> bool:
    """Whether it has more numbers than are read, as far as its sizes are no symbols."""
    return prod(size for size in np.shape(value) if not is_symbolic(size)) > LARGEST


def _size(said: str, symbols: Sequence[Any]) -> Any:
    """What an expression says of sizes that are symbols, of which the inputs have all."""
    if not OF_SIZES.union(*(_names(str(one)) for one in symbols)).issuperset(_names(said)):
        raise TranscriptError(f"{said} is no size")
    return export.symbolic_shape(said, scope=symbols[0].scope)[0]


def _names(expression: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", expression))


def _bound(step: Step, inputs: Sequence[Any], symbols: Sequence[Any]) -> Sequence[Any]:
    """What a primitive, or a function of a library, makes of its inputs."""
    put = lambda one: _size(one.said, symbols) if isinstance(one, Size) else one  # noqa: E731
    parameters = {name: with_each(value, put) for name, value in step.parameters.items()}
    if step.primitive in _FUNCTIONS:
        made = _FUNCTIONS[step.primitive](*inputs, **parameters)
        return made if isinstance(made, tuple) else [made]
    primitive = _known()[step.primitive]
    made = primitive.bind(*inputs, **parameters)
    return made if primitive.multiple_results else [made]
