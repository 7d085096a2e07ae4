"""The pages of `manual_backprop.operations` as subjects in this process: our own code needs no sandbox."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, pairwise, product
from math import prod
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

import manual_backprop
from harness.contract import ContractError
from harness.worker import describe
from manual_backprop import ACTIVATIONS, LOSSES, OUTPUTS
from manual_backprop.losses import REDUCTIONS
from manual_backprop.mistakes import Mistake as NetworkMistake
from manual_backprop.mistakes import setting_of
from manual_backprop.mistakes.operations import Mistake, passes
from properties.cases import Case, Parameters
from properties.checks import check_gradient, copied
from properties.comparison import named
from properties.conventions import CONVENTIONS
from properties.declaration import Declaration, Function, Module, Signature, read
from properties.operation.cases import OperationCase, combinations, make, numbered, part_of
from properties.operation.judge import Judge
from properties.operation.programs import NoProgramError, Shapes
from properties.problem import OUTPUT_OF
from properties.search import Inconclusive, Violation
from properties.strategies import DYADICS
from reference.operations import KNOWN

Array = NDArray[Any]

LARGEST = 3
"""Of the axes of a smallest case."""
DRAWS = ("plain", "plain", "coarse")
"""Of each combination of sizes and options: different numbers twice, and some that are equal or 0."""
SIMPLE = 11
"""Numbers that a smallest case is made of: 1, -1, 2, -2, 0.5, ..."""


@dataclass
class Pass:
    """A forward pass with its cache, or a backward pass with its gradients."""

    outputs: tuple[Array, ...] = ()
    cache: Any = None
    gradients: dict[str, Array] = field(default_factory=dict[str, Array])


class Page:
    """An operation of a page, with its own backward pass or another of the same contract."""

    def __init__(self, page: ModuleType, operation: str, backward: Callable[..., Any] | None = None) -> None:
        """The page, the name of its operation, and what stands in the place of its backward pass."""
        self.name = operation
        self.declaration = declaration(page, operation)
        self._page = page
        self._forward, right = passes(page, operation)
        self._backward = backward or right

    def draw(self, name: str, seed: int, shape: Sequence[int], sizes: Mapping[str, int]) -> Array:
        """Values of an input by a function of the page."""
        values: Any = self.declaration.inputs[name].values
        return getattr(self._page, values.name)(np.random.default_rng(seed), tuple(shape), dict(sizes))

    def valid(self, sizes: Mapping[str, int], options: Mapping[str, Any]) -> bool:
        """Whether sizes and options go together."""
        by_judge = self.declaration.valid is None or self.declaration.valid(sizes, options)
        return by_judge and (not hasattr(self._page, "valid") or self._page.valid(sizes, options))

    def forward(
        self,
        inputs: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        *,
        layout: Any = "C",
        seed: int = 0,
    ) -> Pass:
        """The outputs, with the cache."""
        del layout, seed
        with np.errstate(all="ignore"):
            y, cache = self._forward(*(np.array(array) for array in inputs.values()), **(options or {}))
        return Pass(tuple(map(np.asarray, y if isinstance(y, tuple) else (y,))), cache)

    def forwards(
        self, places: Sequence[Mapping[str, Any]], options: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[Array, ...]]:
        """The outputs at several places."""
        return (self.forward(place, options).outputs for place in places)

    def backward(
        self, forward: Pass, cotangents: Sequence[Array] | None = None, *, layout: Any = "C"
    ) -> Pass:
        """The gradient of each differentiable input. Raises `ContractError` for anything else."""
        del layout
        dy = [np.array(one) for one in cotangents or ()]
        try:
            with np.errstate(all="ignore"):
                found = self._backward(tuple(dy) if len(dy) > 1 else dy[0], forward.cache)
        except (ValueError, IndexError, TypeError) as error:
            raise ContractError(f"backward raises {type(error).__name__}: {error}") from None
        found = found if isinstance(found, tuple) else (found,)
        return Pass(gradients=dict(zip(self.declaration.differentiable, map(np.asarray, found), strict=True)))

    def renew(self) -> None:
        """A page keeps nothing."""

    def hessian(self, inputs: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> Any:
        """No page has one, and none is asked for."""
        raise NotImplementedError

    def hvp(
        self,
        inputs: Mapping[str, Any],
        tangents: Mapping[str, Array],
        options: Mapping[str, Any] | None = None,
    ) -> dict[str, Array]:
        """As `hessian`."""
        raise NotImplementedError

    def program(
        self, shapes: Shapes, options: Mapping[str, Any], reference: str = "", symbols: Sequence[str] = ()
    ) -> NoReturn:
        """Every page is known: none is traced."""
        del shapes, options, reference, symbols
        raise NoProgramError("a page is no program of its own")

    def stand_in(
        self, inputs: Mapping[str, Any], options: Mapping[str, Any] | None = None
    ) -> tuple[Array, ...]:
        """As `hessian`."""
        raise NotImplementedError


def declaration(page: ModuleType, operation: str) -> Declaration:
    """What a page says of one of its operations, read as it is from a file."""
    own = {name: value for name, value in vars(page).items() if not name.startswith("_")}
    functions = {
        name: _function(name, value)
        for name, value in own.items()
        if getattr(value, "__module__", "") == page.__name__
    }
    constants = {name: value for name, value in own.items() if name.isupper()}
    known = read(
        Module(f"{page.__name__.rpartition('.')[2]}.py", constants, functions), KNOWN.values(), CONVENTIONS
    )
    return next(one for one in known.operations if one.name == operation)


def _function(name: str, value: Callable[..., Any]) -> Function:
    found = describe(value)
    signature = Signature(
        tuple(found["positional"]),
        found["required"],
        frozenset(found["keywords"]),
        frozenset(found["required_keywords"]),
        found["any_positional"],
        found["any_keyword"],
    )
    return Function((name,), signature)


class Fitting(Judge):
    """A judge that tells gradients of other shapes before it compares any."""

    def run(self, case: OperationCase) -> tuple[tuple[Array, ...], tuple[Array, ...], dict[str, Array]]:
        """See `Judge.run`. Raises `ContractError`."""
        outputs, cotangents, gradients = super().run(case)
        for name, gradient in gradients.items():
            if gradient.shape != np.shape(case.inputs[name]):
                wanted = np.shape(case.inputs[name])
                raise ContractError(f"d{name} has shape {gradient.shape}, and has to have {wanted}.")
        return outputs, cotangents, gradients


@dataclass
class Chosen:
    """A source of cases of given sizes and options, with numbers such as 1, -2 and 0.5 (see `cases.Source`)."""

    sizes: Mapping[str, int]
    options: Mapping[str, Any]
    regime: str
    rng: np.random.Generator

    def one_of(self, role: str, values: Sequence[Any]) -> Any:
        """What was chosen for the role: "size n 0", "option eps 0", "regime"."""
        what, name = part_of(role)
        given = {"size": self.sizes, "option": self.options, "regime": {"": self.regime}}
        return given.get(what, {}).get(name, values[0])

    def numbers(self) -> Callable[[int], NDArray[np.intp]]:
        """The simplest of all numbers, each as often as the others."""

        def following(count: int) -> NDArray[np.intp]:
            rounds = -(-count // SIMPLE)
            return np.concatenate([1 + self.rng.permutation(SIMPLE) for _ in range(rounds)])[:count]

        return following


@dataclass(frozen=True)
class Smallest:
    """The smallest case on which a mistake shows: what is wrong there, and how many smaller ones hide it."""

    case: OperationCase
    message: str
    hiding: int


def smallest(mistake: Mistake) -> Smallest:
    """The smallest case on which a mistake is not the derivative, as the judge says.

    Tried are all sizes up to `LARGEST` that the page takes, with all options, each with a few simple numbers: first
    where every axis is as short as it can be, then where one is longer by one, and so on.

    Raises:
        LookupError: where none of them shows it.
    """
    subject, right = (Page(mistake.page, mistake.operation, one) for one in (mistake.backward, None))
    judge, seen = Fitting(subject), 0
    for sizes, options in sizes_and_options(subject):
        for seed, regime in enumerate(DRAWS):
            source = Chosen(sizes, options, regime, np.random.default_rng(seed))
            case = make(source, subject, (regime,), sizes=range(1, LARGEST + 1))
            try:
                judge.check(case)
            except Violation as told:
                if _is_seen(case, subject, right):
                    case = replace(case, calls=_calls(mistake, case))
                    return Smallest(case, str(told).partition(" (rounding explains")[0], seen)
            except Inconclusive:
                continue
            seen += 1
    raise LookupError(f"none of {seen} small cases shows {mistake.operation}.{mistake.name}")


def _is_seen(case: OperationCase, one: Page, other: Page) -> bool:
    """Whether two backward passes differ so much that it is seen in what is printed."""
    forward = other.forward(case.inputs, case.options)
    cotangents = case.cotangents(forward.outputs)
    try:
        pairs = zip(
            one.backward(forward, cotangents).gradients.values(),
            other.backward(forward, cotangents).gradients.values(),
            strict=True,
        )
        return any(a.shape != b.shape or _printed(a) != _printed(b) for a, b in pairs)
    except ContractError:
        return True


def sizes_and_options(subject: Page) -> list[tuple[dict[str, int], dict[str, Any]]]:
    """The sizes and options that the page takes, the smallest first."""
    declared = subject.declaration
    free = tuple(range(1, LARGEST + 1))
    axes = {axis: declared.sizes.get(axis, free) for axis in declared.axes}
    found: list[tuple[tuple[int, int], dict[str, int], dict[str, Any]]] = []
    for options in combinations(declared.options):
        for sizes in combinations(axes):
            shapes = [one.shape(sizes) for one in declared.inputs.values()]
            if all(size > 0 for shape in shapes for size in shape) and subject.valid(sizes, options):
                longer = sum(sorted(axes[axis]).index(size) for axis, size in sizes.items())
                found.append(((longer, sum(prod(shape) for shape in shapes)), sizes, options))
    found.sort(key=lambda one: one[0])
    return [(sizes, options) for _, sizes, options in found]


def _calls(mistake: Mistake, case: OperationCase) -> str:
    """The lines that print a case's gradients by the page and by the mistake."""
    prefix = f"{mistake.operation}_" if hasattr(mistake.page, "OPERATIONS") else ""
    arguments = ", ".join([*case.inputs, *(f"{name}={name}" for name in case.options)])
    y = case.output
    several = ", ".join(numbered(f"d{y}", len(case.shapes)))
    dy = f"({several})" if len(case.shapes) > 1 else several
    return f"""
from {mistake.page.__name__} import {prefix}backward, {prefix}forward
from manual_backprop.mistakes.operations import OPERATION_MISTAKES

{y}, cache = {prefix}forward({arguments})
print("right", {prefix}backward({dy}, cache))
print("wrong", OPERATION_MISTAKES["{mistake.operation}.{mistake.name}"].backward({dy}, cache))"""


@dataclass(frozen=True)
class SmallestNetwork:
    """The smallest network on which one way to make a mistake is no gradient, and what it gives there."""

    case: Case
    message: str
    label: str


def smallest_network(mistake: NetworkMistake) -> SmallestNetwork:
    """The same for a mistake in the gradient of a network, in the way that shows on the smallest one.

    Tried are one and two layers and up to three samples: first with the default choices (tanh, identity, mse,
    mean), then with other ones. The judge is asked where a mistake's numbers differ from the bundled ones.

    Raises:
        LookupError: where none of them shows it.
    """
    for case in _networks():
        try:
            right = manual_backprop.gradient(case.parameters, case.inputs, case.targets, **case.choices)
        except ValueError:  # the loss goes with another output
            continue
        for label, wrong in mistake.variants:
            if not wrong.applies(**setting_of(case.parameters, case.inputs, **case.choices)):
                continue
            with np.errstate(all="ignore"):
                given = wrong(
                    copied(case.parameters), case.inputs.copy(), case.targets.copy(), **case.choices
                )
            if told := _apart(given, right, case):
                return SmallestNetwork(case, told, label)
    raise LookupError(f"no small network shows {mistake.name}")


def _printed(array: Array) -> list[str]:
    """The numbers in the three digits that a table has of them; 0 has no sign."""
    return [f"{number + 0.0:.3g}" for number in np.ravel(array)]


def _apart(given: Parameters, right: Parameters, case: Case) -> str:
    """How the judge says that a gradient is wrong; empty where it says nothing, or where it hardly differs."""
    for (name, wanted), array in zip(named(right).items(), named(given).values(), strict=False):
        if np.shape(array) != wanted.shape:
            return f"{name} has shape {np.shape(array)}, and has to have {wanted.shape}."
    if all(_printed(array) == _printed(named(given)[name]) for name, array in named(right).items()):
        return ""
    try:
        check_gradient(given, case)
    except Violation as told:
        return str(told).partition(" (rounding explains")[0]
    except Inconclusive:
        pass
    return ""


def _networks() -> Iterator[Case]:
    """Small networks: those whose choices are the default ones first, and of these the smallest."""
    sizes = [
        (samples, (*widths, outputs))
        for depth in (1, 2)
        for samples, outputs, *widths in product((1, 2, 3), *[(1, 2, 3)] * (depth + 1))
    ]
    sizes.sort(key=lambda one: (len(one[1]), sum(one[1]) + one[0]))
    default = tuple(Case([], np.zeros(0), np.zeros(0)).choices.values())
    chosen = [tuple(map(str, names)) for names in product(ACTIVATIONS, OUTPUTS, LOSSES, REDUCTIONS)]
    chosen.sort(key=lambda one: sum(a != b for a, b in zip(one, default, strict=True)))
    for choices in chosen:
        for samples, units in sizes:
            yield _network(samples, units, choices)


def _network(samples: int, units: Sequence[int], choices: Sequence[str]) -> Case:
    simple = cycle(DYADICS[1 : SIMPLE + 1])

    def numbers(*shape: int) -> Array:
        return np.fromiter(simple, float, prod(shape)).reshape(shape)

    parameters: Parameters = [(numbers(m, k), numbers(k)) for m, k in pairwise(units)]
    inputs, targets = numbers(samples, units[0]), numbers(samples, units[-1])
    hidden, output, loss, reduction = choices
    if loss in OUTPUT_OF:
        targets = np.eye(units[-1])[np.arange(samples) % units[-1]]
    return Case(parameters, inputs, targets, hidden, output, loss, reduction)


def network_calls(mistake: NetworkMistake, found: SmallestNetwork) -> str:
    """The smallest network as Python to paste, which prints both gradients."""
    choices = ", ".join(f"{name}={value!r}" for name, value in found.case.choices.items())
    return f"""import numpy as np

{found.case.as_python()}
choices = dict({choices})

from manual_backprop import gradient
from manual_backprop.mistakes import MISTAKES

wrong = dict(MISTAKES[{mistake.name!r}].variants)[{found.label!r}]
print("right", gradient(parameters, inputs, targets, **choices))
print("wrong", wrong(parameters, inputs, targets, **choices))"""
