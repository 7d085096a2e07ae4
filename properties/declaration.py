"""What a file declares of the operations in it, read and checked: names alone, nothing of it is run here.

A file says what its forward pass takes (`OPERATION`, or `OPERATIONS` for several), and everything else
where the usual does not hold (`OPTIONS`, `SIZES`, ...). Pairs of functions that follow a convention (see
`conventions`) or have the name of a known operation need no word. `read` turns what the file has into one
`Declaration` for each operation, or says which line is missing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, TypeAlias

from reference.operations.operation import VALUES, AxesError, Input, Operation, names_of, size_of

Argument: TypeAlias = "str | Mapping[str, str]"
"""What a call passes: the input or the option of that name, or a dict of such: {"stride": "stride"}."""

ROLES: Mapping[str, tuple[str, ...]] = {
    "forward": ("forward",),
    "backward": ("backward",),
    "gradient": ("gradient", "grad"),
    "jacobian": ("jacobian", "jac"),
    "jvp": ("jvp",),
    "value_and_gradient": ("value_and_gradient", "value_and_grad"),
    "hessian": ("hessian", "hess"),
    "hvp": ("hvp",),
    "stand_in": ("stand_in",),
    "valid": ("valid",),
}
"""What a function of an operation is, and what people call it."""

DERIVATIVES = ("backward", "gradient", "jacobian", "jvp", "value_and_gradient")
"""The roles that give a first derivative; where an operation has several, the first is what is judged."""

CONSTANTS = (
    "OPERATION",
    "OPERATIONS",
    "OPTIONS",
    "SIZES",
    "REFERENCE",
    "DTYPE",
    "OUTPUTS",
    "ARRAYS",
    "LAYER",
    "PARAMETERS",
    "ONCE",
    "FUNCTION",
    "PROBLEM",
)
"""The names that a file may set."""

DTYPES = ("float64", "float32", "float16")
ARRAYS = ("numpy", "torch", "jax")
INPUT_KEYS = ("axes", "values", "below", "ignore", "constant")
CACHE_NAMES = ("cache", "ctx", "context", "saved", "state", "memory")
"""What people call the last argument of a backward pass where it is no input."""

NETWORK = ("parameters", "inputs", "targets")
"""What the gradient of a network is called with; its `step` takes a rate besides."""


class DeclarationError(Exception):
    """A declaration that can't be read; the message is one sentence for its author, and the line that is missing."""


@dataclass(frozen=True)
class Signature:
    """What a function of the subject takes."""

    positional: tuple[str, ...]  # parameters that can be passed by position, in order
    required: int  # how many of these have no default
    keywords: frozenset[str]  # parameters that can be passed by name
    required_keywords: frozenset[str]  # those that can be passed by name alone, and have no default
    any_positional: bool  # *args
    any_keyword: bool  # **kwargs


@dataclass(frozen=True)
class Function:
    """A function or a class of the subject, which stays where it is.

    `path` leads to it from the module: a name, and the keys of dicts and the indices of lists below it. `sort`
    is "function", "class", "custom_vjp" (of JAX) or "autograd" (a torch.autograd.Function, or its `apply`).
    The `methods` are those of a class.
    """

    path: tuple[str | int, ...]
    signature: Signature
    sort: str = "function"
    methods: Mapping[str, Signature] = field(default_factory=dict[str, Signature])

    @property
    def name(self) -> str:
        """What reports call it."""
        return ".".join(map(str, self.path))


@dataclass(frozen=True)
class Module:
    """What a file has: its constants in capitals as plain values, and its functions and classes by name."""

    name: str
    constants: Mapping[str, Any]
    functions: Mapping[str, Function]

    @property
    def stem(self) -> str:
        """Its name without folder and ending."""
        return self.name.replace("\\", "/").rpartition("/")[2].removesuffix(".py").rpartition(".")[2]


@dataclass(frozen=True)
class Call:
    """How a function is called: by position with `arguments`, and with the options of `keywords` by name."""

    function: Function
    arguments: tuple[Argument, ...] = ()
    keywords: tuple[str, ...] = ()


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


# --- What is wrong, in one sentence -------------------------------------------------------------------------------


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


def template(parameters: Sequence[str]) -> str:
    """A declaration of these inputs to start from."""
    axes = ["n d", *["d"] * (len(parameters) - 1)]
    return "{" + ", ".join(f'"{name}": "{one}"' for name, one in zip(parameters, axes, strict=False)) + "}"


# --- The parts of a declaration -----------------------------------------------------------------------------------


def read_inputs(value: object, where: str) -> dict[str, Input]:
    """The inputs that `OPERATION`, or an entry of `OPERATIONS`, declares. Raises `DeclarationError`."""
    if not isinstance(value, Mapping) or not value:
        raise DeclarationError(
            f"{where} has to be a dict of the inputs with their axes, not {shown(value)}:"
            + paste('OPERATION = {"x": "n d", "gain": "d"}')
        )
    for name in value:
        if not isinstance(name, str) or not name.isidentifier():
            raise DeclarationError(f"{where} has the key {shown(name)}, which is no name of an input.")
    inputs = {name: _input(one, f"{where}[{name!r}]") for name, one in value.items()}
    axes = set(names_of(dimension for one in inputs.values() for dimension in one.dimensions))
    for name, one in inputs.items():
        if isinstance(one.below, str) and one.below not in axes:
            raise DeclarationError(
                f"{where}[{name!r}] has labels below {one.below!r}, which is no axis of an input{near(one.below, axes)}"
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
            raise DeclarationError(f"{where} has the key {shown(name)}, which is no name of an option.")
        several = tuple(values) if isinstance(values, list | tuple | range) else (values,)
        if not several:
            raise DeclarationError(f"{where}[{name!r}] is an empty list: name one value at least.")
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
        sizes[name] = several
    return sizes


def _one_of(module: Module, constant: str, known: Sequence[str], usual: str) -> str:
    value = module.constants.get(constant, usual)
    if value not in known:
        raise DeclarationError(
            f"{constant} has to be one of {', '.join(known)}, not {shown(value)}{near(value, known)}"
        )
    return str(value)


def _outputs(value: object) -> tuple[bool, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or not all(isinstance(one, bool) for one in value):
        raise DeclarationError(
            f"OUTPUTS has to say for each output whether it is differentiable, as in [True, False], not {shown(value)}."
        )
    if not any(value):
        raise DeclarationError("OUTPUTS says that no output is differentiable.")
    return tuple(value)


# --- How a function is called --------------------------------------------------------------------------------------


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


# --- The whole file ------------------------------------------------------------------------------------------------


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


IMPLEMENTATIONS = (
    *("naive", "fast", "slow", "loop", "loops", "vec", "vectorized", "vectorised", "im2col", "strides"),
    *("alt", "simple", "efficient", "numpy", "np", "v1", "v2", "1", "2"),
)
"""Words at the end of a function's name that say how it is written, and not what it computes."""

PAIRS = (("forward", "backward"), ("fwd", "bwd"), ("fprop", "bprop"))
"""What the two functions of a pair are called."""


def plain(name: str) -> str:
    """A name without what people write differently: layer_norm, LayerNorm, layernorm."""
    return name.replace("_", "").replace("-", "").replace(" ", "").lower()


def operation_names(name: str) -> tuple[str, ...]:
    """The name, and what is left without the words for its implementation: conv_naive, conv."""
    words = [word for word in name.split("_") if word]
    names = ["_".join(words)]
    while len(words) > 1 and words[-1] in IMPLEMENTATIONS:
        words.pop()
        names.append("_".join(words))
    return tuple(names)


def pairs_of(functions: Mapping[str, Function]) -> dict[str, tuple[Function, Function]]:
    """The pairs of a forward and a backward function, by the name of the operation.

    A backward without a forward of its own (`batchnorm_backward_alt`) belongs to that of the shorter name.
    """
    pairs: dict[str, tuple[Function, Function]] = {}
    for name, function in functions.items():
        words = name.split("_")
        for there, back in PAIRS:
            if words.count(back) != 1 or function.sort != "function":
                continue
            place = words.index(back)
            operation = "_".join(word for word in words if word != back)
            named = [*words[:place], there, *words[place + 1 :]]
            while (
                "_".join(named) not in functions and len(named) > place + 1 and named[-1] in IMPLEMENTATIONS
            ):
                named.pop()
            forward = functions.get("_".join(named))
            if forward is not None and forward.sort == "function":
                pairs[operation] = forward, function
    return pairs


class Reader:
    """Reads one module: see `read`."""

    def __init__(self, module: Module, known: Iterable[Operation], conventions: Iterable[Convention]) -> None:
        """The module, the known operations and the conventions."""
        self.module = module
        self.constants = module.constants
        self.functions = module.functions
        self.known = {plain(name): one for one in known for name in (one.name, *one.also)}
        self.conventions: dict[str, list[Convention]] = {}
        for one in conventions:
            for name in one.names:
                self.conventions.setdefault(plain(name), []).append(one)

    def read(self) -> Contents:
        """Everything that the module has. Raises `DeclarationError`."""
        self.check_names()
        has_problem, network = "PROBLEM" in self.constants, self.network()
        if self.constants.keys() & {"OPERATION", "OPERATIONS", "LAYER", "FUNCTION"} or (
            "REFERENCE" in self.constants and not network
        ):
            return Contents(self.declared(), network=has_problem and network)
        if network or has_problem:
            return Contents((), network=True)
        pairs = self.undeclared()
        if not pairs.operations and not pairs.missing:
            raise DeclarationError(self.nothing())
        return pairs

    def check_names(self) -> None:
        """Refuse a constant that is nearly one of ours, and none."""
        for name in self.constants:
            close = get_close_matches(name, CONSTANTS, n=1, cutoff=0.85)
            if name not in CONSTANTS and close and close[0] not in self.constants:
                raise DeclarationError(f"{self.module.name} sets {name}; did you mean {close[0]}?")

    def network(self) -> bool:
        """Whether there is a `gradient` or a `step` that can be called with parameters, inputs and targets."""
        for name, count in (("gradient", len(NETWORK)), ("step", len(NETWORK) + 1)):
            function = self.functions.get(name)
            if function is None:
                continue
            signature = function.signature
            if signature.any_positional or len(signature.positional) >= count >= signature.required:
                return "forward" not in self.functions or signature.positional[:count][:1] == NETWORK[:1]
        return False

    # --- declared

    def declared(self) -> tuple[Declaration, ...]:
        """The operations that the module declares."""
        found: list[Declaration] = []
        if {"OPERATION", "LAYER", "FUNCTION"} & self.constants.keys() or "OPERATIONS" not in self.constants:
            found.append(self.one())
        entries = self.constants.get("OPERATIONS")
        if "OPERATIONS" in self.constants:
            if not isinstance(entries, Mapping) or not entries:
                raise DeclarationError(
                    f"OPERATIONS has to be a dict of operations, each with its inputs, not {shown(entries)}:"
                    + paste('OPERATIONS = {"affine": {"x": "n d", "w": "d m", "b": "m"}}')
                )
            found += [self.entry(str(name), entry) for name, entry in entries.items()]
            self.check_options(found)
            declared = {plain(name) for name in entries}
            rest = self.undeclared(without=declared).operations  # those that need no word
            found += [one for one in rest if plain(one.name) not in declared]
        return tuple(found)

    def check_options(self, found: Sequence[Declaration]) -> None:
        """Refuse an option of the module that no operation takes."""
        options = read_options(self.constants.get("OPTIONS"))
        used = {name for one in found for name in one.options}
        for name in options:
            if name not in used:
                takes = {key for one in found for key in one.calls["forward"].function.signature.keywords}
                raise DeclarationError(f"OPTIONS has {name!r}, which no operation takes{near(name, takes)}")

    def one(self) -> Declaration:
        """What `OPERATION`, `LAYER` or `FUNCTION` declares."""
        roles = {
            role: next((self.functions[name] for name in names if name in self.functions), None)
            for role, names in ROLES.items()
        }
        special = self.special(roles)
        options = read_options(self.constants.get("OPTIONS"))
        forward = special or roles["forward"]
        inputs = self.declared_inputs(forward)
        return self.build(
            self.module.stem, inputs, {role: one for role, one in roles.items() if one}, options, special
        )

    def declared_inputs(self, forward: Function | None) -> Mapping[str, Input]:
        """The inputs of `OPERATION`; without it those of the known operation that `REFERENCE` names."""
        if "OPERATION" in self.constants:
            return read_inputs(self.constants["OPERATION"], "OPERATION")
        operation = self.known.get(plain(str(self.constants.get("REFERENCE", ""))))
        names = () if forward is None else forward.signature.positional
        is_class = forward is not None and forward.sort == "class"
        if operation is not None and not is_class and (len(names) >= len(operation.inputs) or not names):
            own = names[: len(operation.inputs)] or tuple(operation.inputs)
            return dict(zip(own, operation.inputs.values(), strict=True))
        if forward is not None and forward.sort == "class":
            names = (
                (*forward.methods["forward"].positional, "W") if "forward" in forward.methods else ("x", "W")
            )
        raise DeclarationError(
            f"{self.module.name} doesn't say what {forward.name if forward else 'forward'} takes: add the inputs "
            "with their axes (equal names have equal sizes):"
            + paste(f"OPERATION = {template(names or ('x', 'w'))}")
        )

    def special(self, roles: Mapping[str, Function | None]) -> Function | None:
        """The class or the framework's function that is judged, declared or the only one that there is."""
        for constant in ("LAYER", "FUNCTION"):
            if constant in self.constants:
                value = self.constants[constant]
                if not isinstance(value, Function):
                    raise DeclarationError(
                        f"{constant} has to be the {'class' if constant == 'LAYER' else 'function'} itself, "
                        f"not {shown(value)}."
                    )
                if constant == "LAYER" and value.sort == "function":
                    raise DeclarationError(f"LAYER has to be the class, and {value.name} is a function.")
                return value
        if roles["forward"] is not None or any(roles[one] is not None for one in DERIVATIVES):
            return None
        layers = [
            one
            for one in self.functions.values()
            if (one.sort == "class" and {"forward", "backward"} <= one.methods.keys())
            or one.sort in ("custom_vjp", "autograd")
        ]
        if len(layers) > 1:
            first = layers[0]
            constant = "LAYER" if first.sort == "class" else "FUNCTION"
            raise DeclarationError(
                f"{self.module.name} has {', '.join(one.name for one in layers)}: say which one OPERATION is about:"
                + paste(f"{constant} = {first.name}")
            )
        return layers[0] if layers else None

    def entry(self, name: str, entry: object) -> Declaration:
        """One entry of `OPERATIONS`: its inputs, or a dict of `inputs` and of all that a file may say."""
        where = f"OPERATIONS[{name!r}]"
        if not isinstance(entry, Mapping):
            raise DeclarationError(
                f"{where} has to be a dict of the inputs with their axes, not {shown(entry)}."
            )
        inner = entry.get("inputs")
        full = isinstance(inner, Mapping) and "axes" not in inner
        keys = ("inputs", "options", "sizes", "reference", "outputs", *ROLES)
        for key in entry if full else ():
            if key not in keys:
                raise DeclarationError(f"{where} has an unknown key {shown(key)}{near(key, keys)}")
        said: Mapping[str, Any] = entry if full else {"inputs": entry}
        inputs = read_inputs(said["inputs"], f"{where}['inputs']" if full else where)
        roles = self.roles_of(name)
        for role in ROLES:
            if role in said:
                roles[role] = self.given(said[role], f"{where}[{role!r}]")
        if "forward" not in roles and "value_and_gradient" not in roles:
            functions = [n for n, one in self.functions.items() if one.sort == "function"]
            raise DeclarationError(
                f"{self.module.name} has no function {name}_forward for {where}{near(name + '_forward', functions)}"
            )
        if "forward" in roles and not any(role in roles for role in DERIVATIVES):
            bare = roles.pop("forward")
            if bare.name != name:
                raise DeclarationError(
                    f"{self.module.name} has {bare.name} and no {name}_backward for {where}"
                    f"{near(name + '_backward', self.functions)}"
                )
            roles["value_and_gradient"] = bare
        own = read_options(said.get("options"), f"{where}['options']")
        common = read_options(self.constants.get("OPTIONS"))
        function = roles.get("forward") or roles["value_and_gradient"]
        options = {n: v for n, v in common.items() if n in function.signature.keywords} | own
        declaration = self.build(name, inputs, roles, options, None)
        sizes = read_sizes(said.get("sizes"), declaration.axes, f"{where}['sizes']")
        reference = said.get("reference")
        return replace(
            declaration,
            sizes={**declaration.sizes, **sizes},
            outputs=_outputs(said.get("outputs")) or declaration.outputs,
            counterpart=self.counterpart(reference, inputs, options)
            if reference
            else declaration.counterpart,
        )

    def given(self, value: object, where: str) -> Function:
        """A function that an entry names, or holds."""
        if isinstance(value, Function):
            return value
        if isinstance(value, str) and value in self.functions:
            return self.functions[value]
        raise DeclarationError(
            f"{where} is {shown(value)}, which is no function of the file{near(value, self.functions)}"
        )

    def roles_of(self, name: str) -> dict[str, Function]:
        """The functions of an operation of that name, by role: affine_forward, forward_affine, affine_forward_fast."""
        roles: dict[str, Function] = {}
        pairs = pairs_of(self.functions)
        for one, (forward, backward) in pairs.items():
            if one == name or (plain(name) in map(plain, operation_names(one)) and "backward" not in roles):
                roles["forward"], roles["backward"] = forward, backward
        for role, words in ROLES.items():
            for word in words:
                for full in (f"{name}_{word}", f"{word}_{name}"):
                    if full in self.functions and role not in roles:
                        roles[role] = self.functions[full]
        if "forward" not in roles and name in self.functions:
            roles["forward"] = self.functions[name]
        return roles

    def counterpart(
        self, reference: object, inputs: Mapping[str, Input], options: Mapping[str, object]
    ) -> Counterpart | None:
        """What `REFERENCE` names. Raises `DeclarationError` where nothing of that name is known."""
        if reference is None:
            return None
        if not isinstance(reference, str):
            raise DeclarationError(
                f'REFERENCE has to be the name of a known operation, or "file.py:function", not {shown(reference)}.'
            )
        if ":" in reference:
            file, _, function = reference.rpartition(":")
            if not file.endswith(".py") or not function.isidentifier():
                raise DeclarationError(
                    f'REFERENCE is {reference!r}; of a file it has to be "file.py:function".'
                )
            return Counterpart(reference, said=True)
        operation = self.known.get(plain(reference))
        if operation is None:
            names = [one.name for one in self.known.values()]
            raise DeclarationError(
                f"REFERENCE names {reference!r}, which is not known{near(reference, names)}"
            )
        if len(operation.inputs) != len(inputs):
            raise DeclarationError(
                f"REFERENCE names {operation.name}, which takes {', '.join(operation.inputs)}, and {', '.join(inputs)} "
                "is declared: the inputs have to be the same, in the same order."
            )
        return _counterpart(operation, inputs, options, said=True)

    def namesake(
        self, name: str, inputs: Mapping[str, Input], options: Mapping[str, object]
    ) -> Counterpart | None:
        """The known operation of that name, if there is one that takes as many inputs."""
        for one in operation_names(name):
            operation = self.known.get(plain(one))
            if operation is not None and len(operation.inputs) == len(inputs):
                return _counterpart(operation, inputs, options)
        return None

    def build(
        self,
        name: str,
        inputs: Mapping[str, Input],
        roles: Mapping[str, Function],
        options: Mapping[str, tuple[Any, ...]],
        special: Function | None,
    ) -> Declaration:
        """A declaration of these functions. Raises `DeclarationError`."""
        reference = self.constants.get("REFERENCE")
        if isinstance(reference, Mapping):
            reference = reference.get(name)
        common: dict[str, Any] = {
            "sizes": {},
            "has_valid": "valid" in roles,
            "dtype": _one_of(self.module, "DTYPE", DTYPES, "float64"),
            "arrays": _one_of(self.module, "ARRAYS", ARRAYS, _usual_arrays(special)),
            "outputs": _outputs(self.constants.get("OUTPUTS")),
            "counterpart": self.counterpart(reference, inputs, options)
            or self.namesake(name, inputs, options),
            "options": options,
        }
        axes = names_of(dimension for one in inputs.values() for dimension in one.dimensions)
        if "SIZES" in self.constants:
            several = "OPERATIONS" in self.constants
            sizes = self.constants["SIZES"]
            if several and isinstance(sizes, Mapping):  # one dict for all: each has some of its axes
                sizes = {axis: some for axis, some in sizes.items() if axis in axes}
            common["sizes"] = read_sizes(sizes, axes)
        calls: dict[str, Call] = {}
        if "valid" in roles:
            calls["valid"] = Call(roles["valid"])
        if special is not None and special.sort == "class":
            return self.layer(name, inputs, special, calls, common)
        if special is not None:
            calls["forward"] = call_of(special, tuple(inputs), options, strict=True)
            return Declaration(
                name, inputs, "function", {**calls, **self.more(inputs, roles, options)}, **common
            )
        return self.functions_of(name, inputs, roles, options, calls, common)

    def functions_of(
        self,
        name: str,
        inputs: Mapping[str, Input],
        roles: Mapping[str, Function],
        options: Mapping[str, tuple[Any, ...]],
        calls: dict[str, Call],
        common: Mapping[str, Any],
    ) -> Declaration:
        """A declaration of plain functions."""
        kind = next((role for role in DERIVATIVES if role in roles), "")
        if not kind:
            given = f"{roles['forward'].name} and no derivative of it" if "forward" in roles else "no forward"
            raise DeclarationError(
                f"{self.module.name} has {given}: it needs backward(dy, cache), backward(dy, {', '.join(inputs)}), "
                f"gradient({', '.join(inputs)}), jacobian({', '.join(inputs)}) or jvp(inputs, tangents)"
                f"{near('backward', [one for one in self.functions if one not in ROLES['forward']])}"
            )
        if kind != "value_and_gradient" and "forward" not in roles:
            raise DeclarationError(
                f"{self.module.name} has {roles[kind].name} and no forward({', '.join(inputs)}), which says what it is "
                f"the derivative of{near('forward', [one for one in self.functions if one != roles[kind].name])}"
            )
        more = self.more(inputs, roles, options)
        if "forward" in roles:
            calls["forward"] = call_of(roles["forward"], tuple(inputs), options, strict=True)
        takes, apart = "cache", 0
        if "backward" in roles:
            forward = calls["forward"]
            more["backward"], takes, apart = backward_of(
                roles["backward"], tuple(inputs), options, (*forward.arguments,)
            )
        return Declaration(name, inputs, kind, {**calls, **more}, takes, apart, **common)

    def more(
        self, inputs: Mapping[str, Input], roles: Mapping[str, Function], options: Mapping[str, object]
    ) -> dict[str, Call]:
        """How the other functions of an operation are called."""
        calls: dict[str, Call] = {}
        for role in ("gradient", "jacobian", "hessian", "value_and_gradient", "stand_in"):
            if role in roles:
                calls[role] = call_of(roles[role], tuple(inputs), options)
        for role in ("jvp", "hvp"):
            if role in roles:
                calls[role] = call_of(roles[role], ("inputs", "tangents"), options)
        return calls

    def layer(
        self,
        name: str,
        inputs: Mapping[str, Input],
        layer: Function,
        calls: dict[str, Call],
        common: dict[str, Any],
    ) -> Declaration:
        """A declaration of a class."""
        for method in ("forward", "backward"):
            if method not in layer.methods:
                raise DeclarationError(f"{layer.name} has no method {method}{near(method, layer.methods)}")
        parameters = self.parameters(inputs, layer)
        own = {one.name for one in parameters}
        passed = tuple(one for one in inputs if one not in own)
        options = common["options"]
        of_forward = {one for one in options if one in layer.methods["forward"].keywords}
        method = Function((*layer.path, "forward"), layer.methods["forward"])
        calls["forward"] = call_of(method, passed, {one: 0 for one in options if one in of_forward})
        axes = names_of(dimension for one in inputs.values() for dimension in one.dimensions)
        calls["layer"] = _constructor(layer, (*inputs, *options, *axes), self.constants)
        once = self.constants.get("ONCE", False)
        if not isinstance(once, bool):
            raise DeclarationError(f"ONCE has to be True or False, not {shown(once)}.")
        return Declaration(name, inputs, "class", calls, parameters=parameters, once=once, **common)

    def parameters(self, inputs: Mapping[str, Input], layer: Function) -> tuple[Parameter, ...]:
        """The inputs that are attributes: those of `PARAMETERS`, or those that `forward` doesn't take."""
        value = self.constants.get("PARAMETERS")
        if value is None:
            positional = layer.methods["forward"].positional
            count = len(inputs) if layer.methods["forward"].any_positional else len(positional)
            return tuple(Parameter(one, one, f"d{one}") for one in tuple(inputs)[count:])
        if not isinstance(value, Mapping) or not all(isinstance(one, str) for one in value.values()):
            raise DeclarationError(
                f"PARAMETERS has to be a dict of attributes with those of their gradients, not {shown(value)}:"
                + paste('PARAMETERS = {"W": "dW", "b": "db"}')
            )
        found: list[Parameter] = []
        for attribute, gradient in value.items():
            last = (
                str(attribute)
                .replace("]", "")
                .replace("[", ".")
                .replace("'", "")
                .replace('"', "")
                .split(".")[-1]
            )
            if last not in inputs:
                raise DeclarationError(
                    f"PARAMETERS has {shown(attribute)}, and OPERATION no input {last}{near(last, inputs)}"
                )
            found.append(Parameter(last, str(attribute), gradient))
        return tuple(found)

    # --- not declared

    def undeclared(self, without: Iterable[str] = ()) -> Contents:
        """The operations that need no word, and those that lack one."""
        found: list[Declaration] = []
        missing: list[Missing] = []
        pairs = pairs_of(self.functions)
        if "forward" in self.functions and "backward" in self.functions:
            pairs[self.module.stem] = self.functions["forward"], self.functions["backward"]
        pairs.pop("", None)
        done = set(without)
        for name, (forward, backward) in pairs.items():
            if done & set(map(plain, operation_names(name))):
                continue
            declaration = self.by_convention(name, forward, backward) or self.by_name(name, forward, backward)
            if declaration is None:
                missing.append(self.lacking(name, forward))
            else:
                found.append(declaration)
        for name, function in self.functions.items():
            rows = [
                row
                for row in self.rows(name)
                if row.kind == "value_and_gradient" and row.fits(function.signature)
            ]
            if rows and not done & set(map(plain, operation_names(name))):
                found.append(self.conventional(name, rows, {"value_and_gradient": function}))
        return Contents(tuple(found), tuple(missing))

    def rows(self, name: str) -> list[Convention]:
        """The conventions for an operation of that name."""
        return [row for one in operation_names(name) for row in self.conventions.get(plain(one), ())]

    def by_convention(self, name: str, forward: Function, backward: Function) -> Declaration | None:
        """A pair that follows a convention."""
        rows = [row for row in self.rows(name) if row.kind == "backward" and row.fits(forward.signature)]
        return self.conventional(name, rows, {"forward": forward, "backward": backward}) if rows else None

    def conventional(
        self, name: str, rows: Sequence[Convention], roles: Mapping[str, Function]
    ) -> Declaration:
        """The declaration of functions that follow one of the rows: the first, and else the others in turn."""
        row, *others = rows
        arguments = row.arguments or tuple(row.inputs)
        calls = {role: Call(function, arguments) for role, function in roles.items() if role != "backward"}
        takes, apart = "cache", 0
        if "backward" in roles:
            calls["backward"], takes, apart = backward_of(roles["backward"], tuple(row.inputs), {}, arguments)
        return Declaration(
            name,
            row.inputs,
            row.kind,
            calls,
            takes,
            apart,
            options=row.options,
            sizes=row.sizes,
            valid=row.valid,
            counterpart=row.counterpart,
            dtype=_one_of(self.module, "DTYPE", DTYPES, "float64"),
            arrays=_one_of(self.module, "ARRAYS", ARRAYS, "numpy"),
            alternatives=(self.conventional(name, others, roles),) if others else (),
        )

    def by_name(self, name: str, forward: Function, backward: Function) -> Declaration | None:
        """A pair whose name is a known operation, with its inputs in that order."""
        operation = next(
            (self.known[plain(one)] for one in operation_names(name) if plain(one) in self.known), None
        )
        if operation is None:
            return None
        signature = forward.signature
        count = len(operation.inputs)
        own = signature.positional[:count]
        options = {
            one: some for one, some in operation.options.items() if one in signature.keywords - set(own)
        }
        inputs = dict(zip(own, operation.inputs.values(), strict=False))
        if len(own) < count:
            return None
        try:
            forward_call = call_of(forward, own, options)
            call, takes, apart = backward_of(backward, own, options, forward_call.arguments)
        except DeclarationError:
            return None  # it takes something besides: `lacking` asks what
        defaults = {one: some[0] for one, some in operation.options.items()}
        return Declaration(
            name,
            inputs,
            "backward",
            {"forward": forward_call, "backward": call},
            takes,
            apart,
            options=options,
            sizes=operation.sizes,
            valid=lambda sizes, options: operation.valid(sizes, {**defaults, **options}),
            counterpart=_counterpart(operation, own, options),
            outputs=operation.outputs,
            dtype=_one_of(self.module, "DTYPE", DTYPES, "float64"),
            arrays=_one_of(self.module, "ARRAYS", ARRAYS, "numpy"),
        )

    def lacking(self, name: str, forward: Function) -> Missing:
        """What is missing for a pair that is no known operation."""
        takes = forward.signature.positional
        bare = forward.name == "forward"
        line = f"OPERATION = {template(takes)}" if bare else f'OPERATIONS = {{"{name}": {template(takes)}}}'
        return Missing(
            name,
            f"{self.module.name} doesn't say what {forward.name} takes: add the inputs with their axes (equal names "
            f"have equal sizes), and the others as OPTIONS:" + paste(line),
        )

    def nothing(self) -> str:
        """What is said of a module in which there is nothing to judge."""
        layers = [
            one
            for one in self.functions.values()
            if one.sort in ("custom_vjp", "autograd") or {"forward", "backward"} <= one.methods.keys()
        ]
        derivative = next(
            (name for role in DERIVATIVES for name in ROLES[role] if name in self.functions), ""
        )
        if layers:
            one = layers[0]
            names = (
                one.methods["forward"].positional if "forward" in one.methods else one.signature.positional
            )
            names = names[1:] if one.sort == "autograd" else names
            inputs = template(names or ("x",))
            if one.sort == "class":
                return (
                    f"{self.module.name} has the class {one.name}, and doesn't say what it takes: add its inputs and "
                    "its parameters with their axes (equal names have equal sizes):"
                    + paste(f"LAYER = {one.name}", f"OPERATION = {inputs}", 'PARAMETERS = {"W": "dW"}')
                )
            return (
                f"{self.module.name} has {one.name}, and doesn't say what it takes: add its inputs with their axes "
                "(equal names have equal sizes):" + paste(f"FUNCTION = {one.name}", f"OPERATION = {inputs}")
            )
        if derivative and "forward" in self.functions:
            return self.lacking("", self.functions["forward"]).sentence
        if derivative == "gradient" and not self.functions[derivative].signature.any_positional:
            takes = ", ".join(self.functions[derivative].signature.positional)
            return (
                f"{self.module.name} has gradient({takes}): of a network it has to take ({', '.join(NETWORK)}); of a "
                f"scalar function it needs forward({takes}) and the axes of the inputs:"
                + paste(f"OPERATION = {template(self.functions[derivative].signature.positional or ('x',))}")
            )
        close = [
            name for name in self.functions if get_close_matches(name, ["gradient", "forward", "backward"])
        ]
        also = f" (it has {close[0]})" if close else ""
        return (
            f"{self.module.name} has no function gradient({', '.join(NETWORK)}) of a network, and no forward and "
            f"backward of an operation{also}: one of these is what is checked."
        )


def _counterpart(
    operation: Operation, inputs: Iterable[str], options: Iterable[str], *, said: bool = False
) -> Counterpart:
    """A known operation that takes the inputs in that order, and the options by their own names."""
    options = set(options)
    same: dict[str, str | tuple[str, ...]] = {name: name for name in operation.options if name in options}
    return Counterpart(operation.name, tuple(inputs), options=same, said=said)


def _usual_arrays(special: Function | None) -> str:
    """The arrays that a framework's function takes."""
    sort = "" if special is None else special.sort
    return {"custom_vjp": "jax", "autograd": "torch"}.get(sort, "numpy")


def _constructor(layer: Function, known: Iterable[str], constants: Mapping[str, Any]) -> Call:
    """How a class is made: with what its parameters are named after (inputs, options, axes), or with nothing."""
    known, signature = set(known), layer.signature
    required = [
        *signature.positional[: signature.required],
        *signature.required_keywords,
    ]
    for name in required:
        if name not in known:
            declared = constants.get("OPERATION")
            axes = (
                sorted(names_of(str(one) for one in declared.values()))
                if isinstance(declared, Mapping)
                else []
            )
            raise DeclarationError(
                f"{layer.name} is made with {', '.join(required)}, and nothing says what {name} is: call an axis so in "
                f"OPERATION (it has {', '.join(axes) or 'none'}), or give values to draw from:"
                + paste(f'OPTIONS = {{"{name}": [3]}}')
            )
    by_position = tuple(signature.positional[: signature.required])
    keywords = tuple(one for one in sorted(signature.keywords - set(by_position)) if one in known)
    return Call(layer, by_position, keywords)


def read(module: Module, known: Iterable[Operation] = (), conventions: Iterable[Convention] = ()) -> Contents:
    """What a module has to be judged.

    Args:
        module: its constants and functions.
        known: the operations of `reference.operations`, for `REFERENCE` and for pairs of their names.
        conventions: the rows of `conventions`.

    Raises:
        DeclarationError: where a declaration is wrong, or there is nothing to judge.
    """
    return Reader(module, known, conventions).read()
