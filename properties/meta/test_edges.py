"""Weak numbers are told from a wrong formula, with the |z| from which on they fail: where exponentials overflow."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from manual_backprop import gradient
from properties.cases import Array, Case, Parameters
from properties.diagnosis.edges import explain_edge
from properties.diagnosis.probes import Maker
from properties.diagnosis.saturation import largest_z, saturated
from properties.meta.accused import Wrong, case_for
from properties.problem import read

Names = dict[str, Any]


def one_layer(dz: Callable[[Array, Array], Array]) -> Callable[..., Parameters]:
    """The gradient of one layer from its dz(z, y), for a sum over the samples."""

    def found(parameters: Parameters, inputs: Array, targets: Array, **_: str) -> Parameters:
        ((W, b),) = parameters
        z = inputs @ W + (0 if b is None else b)
        d = dz(z, targets)
        return [(inputs.T @ d, None if b is None else d.sum(axis=0))]

    return found


def squared(h: Array, y: Array, slope: Array) -> Array:
    """dz of (h - y)²/2."""
    return (h - y) * slope


def naive_softmax(z: Array) -> Array:
    """Without subtracting the maximum."""
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def naive_sigmoid(z: Array) -> Array:
    """∞/∞ where e^z overflows."""
    return np.exp(z) / (1 + np.exp(z))


def naive_tanh(z: Array) -> Array:
    """∞/∞ where e^2z overflows."""
    return (np.exp(2 * z) - 1) / (np.exp(2 * z) + 1)


def unfused(z: Array, y: Array) -> Array:
    """[-y/o + (1 - y)/(1 - o)] o(1 - o), which is 0/0 where o is rounded to 1."""
    o = 1 / (1 + np.exp(-z))
    return (-y / o + (1 - y) / (1 - o)) * o * (1 - o)


OVERFLOW = {
    "float64": float(np.log(np.finfo("float64").max)),
    "float32": float(np.log(np.finfo("float32").max)),
}
ONE = {dtype: float(np.log(2 / np.finfo(dtype).eps)) for dtype in OVERFLOW}
"""1 + e^-z is 1 from here on: u is half of eps."""

SQUARED = {"layers": 1, "loss": "half_sse", "reduction": "sum"}
WEAK: dict[str, tuple[Names, Callable[..., Parameters], dict[str, float]]] = {
    "a softmax without its maximum": (
        {"layers": 1, "output": "softmax", "loss": "cross_entropy", "reduction": "sum", "targets": "one_hot"},
        one_layer(lambda z, y: naive_softmax(z) - y),
        OVERFLOW,
    ),
    "a sigmoid of e^z": (
        SQUARED | {"output": "sigmoid"},
        one_layer(lambda z, y: squared(h := naive_sigmoid(z), y, h * (1 - h))),
        OVERFLOW,
    ),
    "a tanh of e^2z": (
        SQUARED | {"output": "tanh"},
        one_layer(lambda z, y: squared(h := naive_tanh(z), y, 1 - h * h)),
        {dtype: z / 2 for dtype, z in OVERFLOW.items()},
    ),
    "a softplus of e^z": (
        SQUARED | {"output": "softplus"},
        one_layer(lambda z, y: squared(np.log(1 + np.exp(z)), y, naive_sigmoid(z))),
        OVERFLOW,
    ),
    "an entropy without fusing": (
        {"layers": 1, "output": "sigmoid", "loss": "binary_cross_entropy", "reduction": "sum"},
        one_layer(unfused),
        ONE,
    ),
}


def subject_and_case(
    problem: Names, function: Callable[..., Parameters], size: float, seed: int = 7
) -> tuple[Wrong, Case]:
    """A subject, and a case whose largest |z| is about this size."""
    claims = read(problem)
    like = case_for(claims)
    case = Maker(like, claims[0], np.random.default_rng(seed)).case()
    return Wrong(function, claims), saturated(case, size / largest_z(case))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", WEAK)
def test_numbers_that_overflow_are_weak_from_where_they_do(name: str, dtype: str) -> None:
    problem, function, limits = WEAK[name]
    subject, case = subject_and_case(problem | {"dtype": dtype}, function, 4 * limits[dtype])
    is_weak, regime = explain_edge(subject, case)
    assert is_weak
    told = re.fullmatch(r"(NaN|inf) where \|z\| > ([\d.e+]+)", regime)
    assert told is not None, regime
    assert 0.9 * limits[dtype] < float(told[2]) < 1.6 * limits[dtype], (told[2], limits[dtype])


@pytest.mark.parametrize("name", WEAK)
def test_what_is_wrong_for_small_numbers_too_is_a_mistake(name: str) -> None:
    problem, function, limits = WEAK[name]

    def doubled(*case: Any, **names: str) -> Parameters:
        return [(2 * dW, None if db is None else 2 * db) for dW, db in function(*case, **names)]

    subject, case = subject_and_case(problem, doubled, 4 * limits["float64"])
    assert explain_edge(subject, case) == (False, "")


@pytest.mark.parametrize("factor", [2.0, -1.0, 1 + 2.0**-10])
def test_one_ratio_at_the_edges_is_a_mistake(factor: float) -> None:
    def wrong_far_out(parameters: Parameters, inputs: Array, targets: Array, **names: Any) -> Parameters:
        right = gradient(parameters, inputs, targets, **names)
        ((W, b),) = parameters
        off = factor if abs(inputs @ W + b).max() > 50 else 1
        return [(off * dW, None if db is None else off * db) for dW, db in right]

    subject, case = subject_and_case(SQUARED | {"output": "sigmoid"}, wrong_far_out, 200)
    assert explain_edge(subject, case) == (False, "")


def test_a_right_gradient_has_no_edge() -> None:
    subject, case = subject_and_case(SQUARED | {"output": "sigmoid"}, gradient, 2000)
    assert explain_edge(subject, case) == (False, "")


def test_without_time_nothing_is_known() -> None:
    problem, function, limits = WEAK["a tanh of e^2z"]
    subject, case = subject_and_case(problem, function, 4 * limits["float64"])
    assert explain_edge(subject, case, steps=0) == (False, "")


@pytest.mark.parametrize(("size", "words"), [(1e120, "larger"), (1e-120, "smaller")])
def test_numbers_are_told_by_their_size_where_no_z_is_large(size: float, words: str) -> None:
    def between(z: Array, y: Array) -> Array:
        error = z - y
        return np.where((abs(error) > 1e-100) & (abs(error) < 1e100), error, np.nan)

    claims = read(SQUARED)
    case = case_for(claims)
    ((W, b),) = case.parameters
    assert b is not None
    quiet = Case([(0 * W, 0 * b)], case.inputs, size * np.ones_like(case.targets), **case.choices)
    is_weak, regime = explain_edge(Wrong(one_layer(between), claims), quiet)
    assert is_weak
    told = re.fullmatch(rf"NaN where numbers are {words} than ([\d.e+-]+)", regime)
    assert told is not None, regime
    limit = 1e100 if size > 1 else 1e-100
    assert 0.97 * limit < float(told[1]) < 1.03 * limit
