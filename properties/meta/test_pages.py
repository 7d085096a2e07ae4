"""The pages of operations and the mistakes that go with them, by what can be seen from outside of each.

A page's backward pass is held against differences of its own forward pass. With
φ(s) = Σ dy · forward(x + s v), ⟨backward(dy), v⟩ must be φ'(0). The entries of the direction v lie in [1, 2], with
random signs, so that every entry of the gradient counts, and no pattern of errors cancels. φ' comes from central
differences of three steps, extrapolated twice (L. F. Richardson, 1911): the second extrapolation removes the leading
error of the first, so their difference bounds what is left. The rounding error of φ, estimated by its differences on a
fine grid (J. J. Moré, S. M. Wild, *Estimating Computational Noise*, 2011, section 3), goes in with the weights of the
extrapolation.
"""

import ast
import inspect
from collections.abc import Callable, Iterator
from itertools import product
from math import comb
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from manual_backprop import operations as operations_package
from manual_backprop.mistakes.operations import OPERATION_MISTAKES, Mistake, Where, passes
from manual_backprop.operations import PAGES, softmax

Array = NDArray[Any]

LINES = 45
"""Lines of a page that hold anything, its derivation included."""
ENOUGH = 60
"""Mistakes that are shown, at least."""
GENERIC = (5, 3, 4, 2, 6, 7, 8)
"""Sizes of a page's axes in the order in which they occur: different, and none of them 1."""
UNIT = 2.0**-53
"""What a float64 is rounded by, at most, relative to it."""
ROUNDINGS = 2.0**10 * UNIT
"""A thousand of them: more than lie one after another between an input and a gradient of these cases."""


class Case(NamedTuple):
    """What an operation is called with: inputs by name, options, cotangent; and which inputs have a gradient."""

    inputs: dict[str, Array]
    options: dict[str, Any]
    dy: Any
    differentiable: tuple[str, ...]


def declared(page: ModuleType, operation: str) -> dict[str, dict[str, Any]]:
    """The inputs of an operation by name, each as a dict."""
    declaration = page.OPERATIONS[operation] if hasattr(page, "OPERATIONS") else page.OPERATION
    return {
        name: {"axes": one, "values": "real"} if isinstance(one, str) else {"values": "real", **one}
        for name, one in declaration.items()
    }


def operations(page: ModuleType) -> tuple[str, ...]:
    """The operations of a page; one that has a page for itself is named after it."""
    return tuple(page.OPERATIONS) if hasattr(page, "OPERATIONS") else (page.__name__.split(".")[-1],)


def size_of(axis: str, sizes: dict[str, int]) -> int:
    """The size of an axis such as "4*k"."""
    return eval(axis, {"__builtins__": {}}, dict(sizes))  # noqa: S307 - the axes of our own pages


def generic_sizes(page: ModuleType, operation: str, options: dict[str, Any]) -> dict[str, int] | None:
    """Sizes that show what there is to see, as far as the page allows them; None where the options fit none."""
    axes = " ".join(one["axes"] for one in declared(page, operation).values())
    names = [
        node.id for node in ast.walk(ast.parse(f"[{axes.replace(' ', ',')}]")) if isinstance(node, ast.Name)
    ]
    names = list(dict.fromkeys(names))
    free = dict(zip(names, GENERIC, strict=False))
    choices = {name: tuple(page.SIZES[name]) for name in names if name in getattr(page, "SIZES", {})}
    allowed = [{**free, **dict(zip(choices, row, strict=True))} for row in product(*choices.values())]
    fitting = [sizes for sizes in allowed if not hasattr(page, "valid") or page.valid(sizes, options)]
    return max(
        fitting,
        key=lambda sizes: (-list(sizes.values()).count(1), len(set(sizes.values())), *sizes.values()),
        default=None,
    )


def option_sets(page: ModuleType) -> Iterator[dict[str, Any]]:
    """Every combination of a page's options."""
    table = getattr(page, "OPTIONS", {})
    yield from (dict(zip(table, row, strict=True)) for row in product(*table.values()))


def numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All different, about evenly over (-2, 2); none is nearer to 0 or another than the differences' steps reach."""
    count = int(np.prod(shape))
    grid = 4 * (rng.permutation(count) + 0.5 + rng.uniform(-0.2, 0.2, count)) / count - 2
    return grid.reshape(shape)


def drawn(values: str, rng: np.random.Generator, shape: tuple[int, ...], below: int) -> Array:
    """An input of the kind."""
    match values:
        case "real":
            return numbers(rng, shape)
        case "unit":
            return rng.uniform(0.1, 0.9, shape)
        case "probabilities":
            positive = rng.uniform(0.2, 1, shape)
            return positive / positive.sum(axis=-1, keepdims=True)
        case "signs":
            return rng.choice([-1.0, 1.0], shape)
        case "mask":
            return rng.integers(0, 2, shape)
        case "labels":
            return rng.integers(0, below, shape)
        case _:
            raise NotImplementedError(values)


def case_of(
    page: ModuleType, operation: str, where: Where, options: dict[str, Any], seed: int = 0
) -> Case | None:
    """A generic case, but for what is asked for; None where the page has no sizes for the options."""
    options = {**options, **where.options}
    sizes = generic_sizes(page, operation, options)
    if sizes is None:
        return None
    sizes.update(where.sizes)
    rng, inputs = np.random.default_rng(seed), dict[str, Array]()
    for name, one in declared(page, operation).items():
        shape = tuple(size_of(axis, sizes) for axis in one["axes"].split())
        inputs[name] = drawn(one["values"], rng, shape, size_of(str(one.get("below", 1)), sizes))
    inputs.update({name: change(inputs[name]) for name, change in where.inputs.items()})
    y, _ = passes(page, operation)[0](*inputs.values(), **options)
    dy = tuple(numbers(rng, part.shape) for part in y) if isinstance(y, tuple) else numbers(rng, np.shape(y))
    differentiable = tuple(
        name
        for name, one in declared(page, operation).items()
        if one["values"] not in {"labels", "mask"} and not one.get("constant")
    )
    return Case(inputs, options, where.cotangent(dy), differentiable)


def parts(arrays: Any) -> tuple[Array, ...]:
    """One array, or several, as a tuple."""
    return arrays if isinstance(arrays, tuple) else (arrays,)


def every(change: Callable[[Array], Array], case: Case) -> Case:
    """The case with each of its arrays changed."""
    dy = tuple(map(change, case.dy)) if isinstance(case.dy, tuple) else change(case.dy)
    return case._replace(inputs={name: change(array) for name, array in case.inputs.items()}, dy=dy)


def gradients(forward: Callable[..., Any], backward: Callable[..., Any], case: Case) -> dict[str, Array]:
    """What backward returns, by the name of the input."""
    _, cache = forward(*case.inputs.values(), **case.options)
    return dict(zip(case.differentiable, parts(backward(case.dy, cache)), strict=True))


def slope_and_error(phi: Callable[[float], float], step: float = 2.0**-11) -> tuple[float, float]:
    """φ'(0), and how far off it may be: the second extrapolation's change, and four deviations of noise."""
    first, second, third = ((phi(h) - phi(-h)) / (2 * h) for h in (step, step / 2, step / 4))
    less, more = (4 * second - first) / 3, (4 * third - second) / 3
    slope = (16 * more - less) / 15
    fine = np.diff([phi(2.0**-30 * i) for i in range(-8, 9)], n=6)
    noise = 4 * np.sqrt(np.mean(fine * fine) / comb(12, 6)) + UNIT * abs(phi(0))
    return slope, abs(slope - more) + (64 * 4 + 20 * 2 + 1) / 45 * float(noise) / step


def disagreement(
    gradient: Array, name: str, forward: Callable[..., Any], case: Case, seed: int
) -> tuple[float, float]:
    """⟨gradient, v⟩ − φ'(0) for a direction v of the input, and how large rounding and extrapolation let it be."""
    rng, shape = np.random.default_rng(seed), case.inputs[name].shape
    direction = rng.choice([-1.0, 1.0], shape) * rng.uniform(1, 2, shape)

    def phi(s: float) -> float:
        y, _ = forward(*{**case.inputs, name: case.inputs[name] + s * direction}.values(), **case.options)
        return float(sum(np.sum(dy * part) for dy, part in zip(parts(case.dy), parts(y), strict=True)))

    slope, error = slope_and_error(phi)
    return float(np.sum(gradient * direction)) - slope, error


def difference(right: dict[str, Array], other: dict[str, Array]) -> float:
    """The largest difference, relative to the largest entry; infinite between different shapes."""
    if any(one.shape != other[name].shape for name, one in right.items()):
        return np.inf
    largest = max(np.abs(one).max(initial=0) for one in right.values()) or 1.0
    return max(np.abs(one - other[name]).max(initial=0) for name, one in right.items()) / largest


def from_right(mistake: Mistake, where: Where) -> list[float]:
    """How far a mistake's gradients are from the page's, for all options in turn."""
    forward, backward = passes(mistake.page, mistake.operation)
    cases = (
        case_of(mistake.page, mistake.operation, where, options) for options in option_sets(mistake.page)
    )
    return [
        difference(gradients(forward, backward, case), gradients(forward, mistake.backward, case))
        for case in cases
        if case
    ]


OPERATIONS = [(page, operation) for page in PAGES for operation in operations(page)]
CASES = [
    pytest.param(
        page, operation, options, id=" ".join([operation, *(f"{k}={v}" for k, v in options.items())])
    )
    for page, operation in OPERATIONS
    for options in option_sets(page)
    if generic_sizes(page, operation, options)
]
EACH_OPERATION = pytest.mark.parametrize(
    ("page", "operation"), OPERATIONS, ids=[name for _, name in OPERATIONS]
)
EACH_CASE = pytest.mark.parametrize(("page", "operation", "options"), CASES)
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=[page.__name__.split(".")[-1] for page in PAGES])
EACH_MISTAKE = pytest.mark.parametrize("mistake", OPERATION_MISTAKES.values(), ids=list(OPERATION_MISTAKES))


@EACH_CASE
@pytest.mark.parametrize("seed", range(3))
def test_a_page_goes_back_as_its_forward_pass_moves(
    page: ModuleType, operation: str, options: dict[str, Any], seed: int
) -> None:
    case = case_of(page, operation, Where(), options, seed)
    assert case
    forward, backward = passes(page, operation)
    for name, gradient in gradients(forward, backward, case).items():
        assert gradient.shape == case.inputs[name].shape
        off, error = disagreement(gradient, name, forward, case, seed)
        assert error < 1e-8 * np.abs(gradient).sum()  # else nothing would have been seen
        assert abs(off) <= error, f"d{name}"


@EACH_CASE
def test_a_page_keeps_to_itself(page: ModuleType, operation: str, options: dict[str, Any]) -> None:
    case = case_of(page, operation, Where(), options)
    assert case
    forward, backward = passes(page, operation)
    given = (*case.inputs.values(), *parts(case.dy))
    before = [np.array(array) for array in given]
    _, cache = forward(*case.inputs.values(), **options)
    first, second = parts(backward(case.dy, cache)), parts(backward(case.dy, cache))
    for one, other in (*zip(first, second, strict=True), *zip(before, given, strict=True)):
        np.testing.assert_array_equal(one, other)
    for one in first:
        assert not any(np.shares_memory(one, other) for other in (*given, *second))


@EACH_CASE
def test_a_page_reads_any_layout(page: ModuleType, operation: str, options: dict[str, Any]) -> None:
    case = case_of(page, operation, Where(), options)
    assert case
    usual, other = (gradients(*passes(page, operation), one) for one in (case, every(strided, case)))
    assert difference(usual, other) < ROUNDINGS


@EACH_CASE
def test_a_page_keeps_single_precision(page: ModuleType, operation: str, options: dict[str, Any]) -> None:
    case = case_of(page, operation, Where(), options)
    assert case
    forward, backward = passes(page, operation)
    case = every(lambda array: array.astype(np.float32) if array.dtype.kind == "f" else array, case)
    y, cache = forward(*case.inputs.values(), **options)
    assert {part.dtype for part in (*parts(y), *parts(backward(case.dy, cache)))} == {np.dtype(np.float32)}


def strided(array: Array) -> Array:
    """The same numbers with gaps between them, the axes stored from the last to the first."""
    if not array.ndim:
        return array
    spread = np.repeat(array.T, 2, axis=0)[::2]
    assert array.size == 1 or not spread.flags.c_contiguous
    return spread.T


@EACH_PAGE
def test_a_page_stands_alone_and_is_short(page: ModuleType) -> None:
    source = inspect.getsource(page)
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= {"numpy", "math"}
    assert sum(bool(line.strip()) for line in source.splitlines()) <= LINES
    assert page.__doc__
    assert "Source: " in page.__doc__


def test_every_page_is_in_the_table() -> None:
    folder = Path(operations_package.__file__ or "").parent
    assert {page.__name__.split(".")[-1] for page in PAGES} | {"__init__"} == {
        path.stem for path in folder.glob("*.py")
    }
    assert len(set(PAGES)) == len(PAGES)


def test_the_jacobian_of_softmax_is_what_backward_multiplies_by() -> None:
    case = case_of(softmax, "softmax", Where(), {})
    assert case
    dx = np.einsum("nj,njmk->mk", case.dy, softmax.jacobian(case.inputs["x"]))
    assert difference(gradients(softmax.forward, softmax.backward, case), {"x": dx}) < ROUNDINGS


@EACH_OPERATION
def test_every_operation_has_at_least_two_mistakes(page: ModuleType, operation: str) -> None:
    assert sum(one.page is page and one.operation == operation for one in OPERATION_MISTAKES.values()) >= 2


def test_there_are_enough_mistakes() -> None:
    assert len(OPERATION_MISTAKES) >= ENOUGH


@EACH_MISTAKE
def test_a_mistake_is_far_from_right_on_a_generic_case(mistake: Mistake) -> None:
    assert max(from_right(mistake, mistake.shown)) > 1e-3


@EACH_MISTAKE
def test_differences_of_the_forward_pass_catch_a_mistake(mistake: Mistake) -> None:
    forward, _ = passes(mistake.page, mistake.operation)
    for options in option_sets(mistake.page):
        case = case_of(mistake.page, mistake.operation, mistake.shown, options)
        for name, gradient in gradients(forward, mistake.backward, case).items() if case else ():
            assert case
            if gradient.shape != case.inputs[name].shape:
                return
            off, error = disagreement(gradient, name, forward, case, seed=0)
            if abs(off) > error:
                return
    pytest.fail("no gradient of the mistake was found wrong")


@pytest.mark.parametrize(
    ("mistake", "hidden"),
    [
        pytest.param(one, where, id=f"{name} {i}")
        for name, one in OPERATION_MISTAKES.items()
        for i, where in enumerate(one.hidden)
    ],
)
def test_a_mistake_cannot_be_seen_where_it_is_said_to_hide(mistake: Mistake, hidden: Where) -> None:
    assert max(from_right(mistake, hidden)) < ROUNDINGS


@EACH_MISTAKE
def test_a_mistake_says_what_to_do(mistake: Mistake) -> None:
    assert mistake.hint.endswith("?")
    for text in (mistake.sentence, mistake.cure, mistake.hides):
        assert text.endswith(".")
        assert len(text) < 240
    assert bool(mistake.hidden) == (mistake.hides != "Nowhere.")
