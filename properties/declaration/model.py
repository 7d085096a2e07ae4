"""What is said of an operation, whoever says it: its author, a convention, or the name alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from properties.functions import Function, Signature
from reference.operations.operation import Input, names_of, output_name

Argument: TypeAlias = "str | Mapping[str, str]"
"""What a call passes: the input or the option of that name, or a dict of such: {"stride": "stride"}."""

DERIVATIVES = ("backward", "gradient", "jacobian", "jvp", "value_and_gradient")
"""The roles that give a first derivative; where an operation has several, the first is what is judged."""


class DeclarationError(Exception):
    """A declaration that can't be read; the message is one sentence for its author, and the line that is missing."""


@dataclass(frozen=True)
class Call:
    """How a function is called: by position with `arguments`, and with the options of `keywords` by name."""

    function: Function
    arguments: tuple[Argument, ...] = ()
    keywords: tuple[str, ...] = ()

    @property
    def called(self) -> str:
        """The function as Python, `backward` or `layers['affine']`."""
        first, *rest = self.function.path
        return str(first) + "".join(f"[{one!r}]" for one in rest)

    @property
    def given(self) -> str:
        """The arguments as Python, `x, gain, eps=eps`."""
        parts = [_argument(one) for one in self.arguments]
        return ", ".join([*parts, *(f"{name}={name}" for name in self.keywords)])


def _argument(one: Argument) -> str:
    if isinstance(one, str):
        return one
    return "{" + ", ".join(f"{key!r}: {name}" for key, name in one.items()) + "}"


@dataclass(frozen=True)
class Parameter:
    """An input that is an attribute of a layer, and the attribute that holds its gradient after `backward`."""

    name: str
    attribute: str
    gradient: str


@dataclass(frozen=True)
class Counterpart:
    """The known operation whose program is held against the subject's forward pass.

    Attributes:
        operation: its name in `reference.operations`, or "mine.py:function".
        inputs: the subject's inputs in the order of the known operation; empty: as they are declared.
        axes: shapes in which the known operation wants an input, where they differ ("n c*h*w" for "n c h w").
        options: its options by name, each with the name of the subject's option, or the names of those that make
            a tuple.
        fixed: its options that have one value here. Those in neither are open: any of their values may be meant.
        said: whether the file says so (`REFERENCE`), or it is the operation of that name.
    """

    operation: str
    inputs: tuple[str, ...] = ()
    axes: Mapping[str, str] = field(default_factory=dict[str, str])
    options: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict[str, str | tuple[str, ...]])
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    said: bool = False


@dataclass(frozen=True)
class Declaration:
    """One operation of a file.

    Attributes:
        name: what reports call it.
        inputs: by name, in the order of the gradients.
        kind: what gives the derivative: one of `DERIVATIVES`, "class" or "function" (of a framework).
        calls: the functions that it has, by role.
        takes: what a `backward` is called with after the cotangents: "cache", "inputs" or "nothing".
        apart: how many cotangents are arguments of their own, as in (dh, dc, cache); 0 for one, or one tuple of them.
        options: the values of each option to draw from.
        sizes: the sizes of a named axis to draw from, where they are not free.
        valid: whether a combination (sizes, options) makes sense, where the judge knows.
        has_valid: whether the file has a function that says so as well.
        counterpart: the known operation, if one is known.
        outputs: which outputs are differentiable; empty for all.
        parameters: of a class.
        once: whether one object of a class serves all cases.
        alternatives: other readings of the same functions, for where a first call shows that this one is not meant.
    """

    name: str
    inputs: Mapping[str, Input]
    kind: str
    calls: Mapping[str, Call]
    takes: str = "cache"
    apart: int = 0
    options: Mapping[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    valid: Callable[[Mapping[str, int], Mapping[str, Any]], bool] | None = None
    has_valid: bool = False
    dtype: str = "float64"
    counterpart: Counterpart | None = None
    outputs: tuple[bool, ...] = ()
    arrays: str = "numpy"
    parameters: tuple[Parameter, ...] = ()
    once: bool = False
    alternatives: tuple["Declaration", ...] = ()

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of all axes, in the order in which they occur."""
        return names_of(dimension for one in self.inputs.values() for dimension in one.dimensions)

    @property
    def differentiable(self) -> tuple[str, ...]:
        """The inputs that have a gradient."""
        return tuple(name for name, one in self.inputs.items() if one.differentiable)

    @property
    def output(self) -> str:
        """What an output is called: y, where no input or option has that name."""
        return output_name([*self.inputs, *self.options])

    def has(self, role: str) -> bool:
        """Whether the file has a function for the role."""
        return role in self.calls

    def sizes_of(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
        """The sizes of the axes that stand alone in some input ("n", not "4*k"), from the shapes of the inputs."""
        sizes: dict[str, int] = {}
        for name, one in self.inputs.items():
            for dimension, size in zip(one.dimensions, shapes[name], strict=False):
                if dimension.isidentifier():
                    sizes[dimension] = int(size)
        return sizes


@dataclass(frozen=True)
class Missing:
    """An operation that is there, but can't be judged before its author adds a line."""

    name: str
    sentence: str


@dataclass(frozen=True)
class Contents:
    """What a file has: operations, what lacks a line, and whether there is the gradient of a network."""

    operations: tuple[Declaration, ...]
    missing: tuple[Missing, ...] = ()
    network: bool = False


@dataclass(frozen=True)
class Convention:
    """How people write an operation that needs no declaration: see `conventions`.

    Attributes:
        names: of the operation; of the function itself for a `value_and_gradient`.
        inputs: in the order of the gradients.
        arguments: what the forward pass takes by position; empty: the inputs.
        options, sizes, valid, counterpart: as in `Declaration`.
        kind: "backward" for a pair of functions, or "value_and_gradient".
    """

    names: tuple[str, ...]
    inputs: Mapping[str, Input]
    arguments: tuple[Argument, ...] = ()
    options: Mapping[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    valid: Callable[[Mapping[str, int], Mapping[str, Any]], bool] | None = None
    counterpart: Counterpart | None = None
    kind: str = "backward"

    def fits(self, signature: Signature) -> bool:
        """Whether a function with this signature can be called so."""
        count = len(self.arguments or self.inputs)
        return signature.required <= count <= len(signature.positional) and not signature.required_keywords
