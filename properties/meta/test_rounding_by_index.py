"""The bounds of `reference/rounding.py` are what is derived: every rule once more, for single numbers."""

from collections.abc import Callable, Iterable
from itertools import pairwise, product
from math import exp, log
from typing import Any, NamedTuple

import numpy as np
import pytest

from manual_backprop import ACTIVATIONS, LOSSES, OUTPUTS
from properties.meta.single_numbers import (
    COARSE,
    FORMULA,
    OWN,
    SLOPE,
    TINY,
    Table,
    U,
    V,
    activated,
    agree,
    dot,
    each,
    gamma,
    minus,
    of_exponents,
    plus,
    same,
    scaled,
    sigmoid,
    softmax,
    through_softmax,
    times,
    total,
)
from reference.network import layers_of
from reference.rounding import ACTIVATED, Bounded, bounds

PAIRS = [(output, loss) for output, loss in product(OUTPUTS, LOSSES) if LOSSES[loss].output in {None, output}]


POINTS = list(product([-40, -3, -0.5, -0.1, 0, 0.1, 0.5, 2, 40], [0, 0.01, 0.1, 0.5, 2, 30]))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_errs_by_its_slope_its_bend_and_its_formula(name: str) -> None:
    for z, e in POINTS:
        found = ACTIVATED[name](COARSE, np.array([[z]], float), np.array([[e]], float))
        h, slope = activated(name, z, e)
        numbers = (found.h, found.h_error, found.slope, found.slope_error, found.slope_open)
        for given, expected in zip(numbers, (h.x, h.e, slope.x, slope.e, slope.k), strict=True):
            assert same(np.ravel(given)[0], expected, beside=SLOPE / OWN), (z, e)


def test_where_no_kink_is_open_nothing_is_carried_along_for_it() -> None:
    z, e = np.array([[1.0, -2.0]]), np.array([[0.5, 0.5]])
    for rule in ACTIVATED.values():
        assert not rule(COARSE, z, e).bounded_slope.is_open
    assert ACTIVATED["relu"](COARSE, z, 4 * e).bounded_slope.is_open
    one = COARSE.exact(z)
    for plain in (
        one,
        COARSE.matmul(one, one.mT, 2),
        COARSE.times(one, one),
        COARSE.affine(one, z.T, z.T, None),
    ):
        assert not plain.is_open


def test_what_a_kink_does_goes_through_a_layer_with_a_bias() -> None:
    x, e, k = np.array([[1.0, -2.0]]), np.array([[0.5, 0.25]]), np.array([[0.125, 0.0]])
    W, b = np.array([[2.0], [-3.0]]), np.array([4.0])
    found = COARSE.affine(Bounded(x, e, k), W, abs(W), b)
    assert agree(found, of_a_layer([[V(1, 0.5, 0.125), V(-2, 0.25)]], W, b))


@pytest.mark.parametrize(
    ("z", "e"),
    [
        ([[0.3, -1, 2], [5, 4, 3.5]], [[0.01, 0.02, 0.005], [0, 0, 0]]),
        ([[0, -60, 0], [1, 1, 1]], [[30, 30, 26], [0.3, 0.2, 0.4]]),
    ],
)
def test_a_softmax_errs_by_the_exponential_of_its_exponents_errors(
    z: list[list[float]], e: list[list[float]]
) -> None:
    found = ACTIVATED["softmax"](COARSE, np.array(z, float), np.array(e, float))
    for i, rows in enumerate(zip(z, e, strict=True)):
        for j, o in enumerate(softmax([V(*one) for one in zip(*rows, strict=True)])):
            assert same(found.h[i, j], o.x)
            assert same(found.h_error[i, j], o.e)
    assert not found.slope.any()  # a softmax has a Jacobian instead
    assert not found.slope_error.any()


# Losses and networks -----------------------------------------------------------------------------------


def plain_logarithms(z: float, y: float) -> float:
    """What a program loses that divides by o and by 1 - o: δ relative to each, which is at least u/2."""
    o, other = max(sigmoid(z) - FORMULA, U / 2), max(sigmoid(-z) - FORMULA, U / 2)
    return FORMULA * abs(y) / o + FORMULA * abs(1 - y) / other


def output_errors(loss: str, z: list[V], o: list[V], y: list[float]) -> list[V]:
    """∂L/∂o of a squared loss, ∂L/∂z of an entropy."""
    K = len(o)
    if loss == "cross_entropy":
        mass = total(map(V, y), K)
        return [plus(times(p, mass), minus(t)) for p, t in zip(o, y, strict=True)]
    differences = [plus(p, minus(t)) for p, t in zip(o, y, strict=True)]
    if "entropy" in loss:
        plain = [
            d._replace(e=d.e + min(1, plain_logarithms(v.x, t)))
            for d, v, t in zip(differences, z, y, strict=True)
        ]
        return [scaled(d, 1 / K) for d in plain] if loss.startswith("mean") else plain
    factor = {"mse": 2 / K, "half_mse": 1 / K, "sse": 2, "half_sse": 1}[loss]
    return [scaled(d, factor) for d in differences]


def loss_error(loss: str, z: list[V], o: list[V], y: list[float]) -> float:
    """What a sample's loss may err by."""
    K = len(o)
    if loss == "cross_entropy":
        each = gamma(K) + FORMULA
        return sum(abs(t) * (of_exponents(z) - each * log(max(p.x, TINY))) for p, t in zip(o, y, strict=True))
    if "entropy" in loss:
        parts = [
            v.e
            + (FORMULA + gamma(K)) * (1 + abs(v.x)) * (1 + abs(t))
            + (1 + abs(v.x)) * (exp(-abs(v.x)) <= 2 * FORMULA)
            + plain_logarithms(v.x, t)
            for v, t in zip(z, y, strict=True)
        ]
        return sum(parts) / (K if loss.startswith("mean") else 1)
    differences = [plus(p, minus(t)) for p, t in zip(o, y, strict=True)]
    factor = {"mse": 1 / K, "half_mse": 1 / (2 * K), "sse": 1, "half_sse": 1 / 2}[loss]
    return scaled(total([times(d, d) for d in differences], K), factor).e


def largest(values: Iterable[Iterable[V]]) -> float:
    """The largest size of any."""
    return max(v.most for row in values for v in row)


def of_a_layer(x: Table, W: Any, b: Any) -> Table:
    """x W + b."""
    m = len(W)
    z = [[dot([(v, V(w)) for v, w in zip(row, column, strict=True)], m) for column in W.T] for row in x]
    if b is None:
        return z
    return [
        [V(v.x + c, v.e + gamma(1) * (v.most + abs(c)), v.k) for v, c in zip(row, b, strict=True)]
        for row in z
    ]


class Drawn(NamedTuple):
    """A network's parts, each multiplied by a number of its own, so that each is the largest somewhere."""

    parameters: list[tuple[Any, Any]]
    inputs: Any
    targets: Any
    hidden: str
    divisor: int


def drawn(seed: int, output: str) -> Drawn:
    """1 to 3 layers, in half of the cases without biases."""
    random = np.random.default_rng(seed)
    sizes = [2, 3, 4, 3][: int(random.integers(2, 5))]
    factor: Callable[[], float] = lambda: 2.0 ** int(random.integers(-4, 5))  # noqa: E731  (too small for a def)
    biased = bool(random.integers(2))
    parameters = [
        (factor() * random.standard_normal((m, k)), factor() * random.standard_normal(k) if biased else None)
        for m, k in pairwise(sizes)
    ]
    targets = random.random((4, sizes[-1])) * (factor() if output not in {"softmax", "sigmoid"} else 1)
    inputs = factor() * random.standard_normal((4, 2))
    return Drawn(
        parameters, inputs, targets, str(random.choice(list(ACTIVATIONS))), int(random.choice([1, 4]))
    )


@pytest.mark.parametrize(("output", "loss"), PAIRS)
def test_a_network_s_bounds_are_those_of_its_numbers_one_by_one(output: str, loss: str) -> None:
    for seed in range(12):
        case = drawn(seed, output)
        found = bounds(
            COARSE,
            layers_of(case.parameters, case.hidden, output),
            case.inputs,
            case.targets,
            loss=loss,
            divisor=case.divisor,
        )
        gradient, error, peak = one_by_one(case, output, loss)
        for (dW, db), (W_, b_) in zip(found.gradient, gradient, strict=True):
            assert agree(dW, W_), seed
            assert agree(db, b_), seed
        assert same(found.loss_error / error, 1)
        assert same(found.peak / peak, 1)


def one_by_one(case: Drawn, output: str, loss: str) -> tuple[list[tuple[Table, list[V]]], float, float]:
    """The bounded (dW, db) of every layer, the error of the loss, and the largest number on the way."""
    n, depth, targets = len(case.inputs), len(case.parameters), case.targets.tolist()
    peaks = [abs(case.targets).max()]
    h: Table = [[V(number) for number in row] for row in case.inputs.tolist()]
    xs, slopes, z = list[Table](), list[Table](), h
    for layer, (W, b) in enumerate(case.parameters, start=1):
        xs.append(h)
        z = of_a_layer(h, W, b)
        peaks += [largest(h), len(W) * largest(h) * abs(W).max() + (0 if b is None else abs(b).max())]
        name = output if layer == depth else case.hidden
        if name == "softmax":
            h = [softmax(row) for row in z]
            slopes.append([])
        else:
            pairs = [[activated(name, v.x, v.e) for v in row] for row in z]
            h, slope = ([[pair[part] for pair in row] for row in pairs] for part in (0, 1))
            slopes.append(slope)
    peaks.append(largest(h))

    samples = list(zip(z, h, targets, strict=True))
    error = sum(loss_error(loss, *sample) for sample in samples) / case.divisor
    dz = [[scaled(d, 1 / case.divisor) for d in output_errors(loss, *sample)] for sample in samples]
    if LOSSES[loss].output is None:
        dz = through_softmax(dz, h) if output == "softmax" else each(dz, slopes[-1])

    gradient: list[tuple[Table, list[V]]] = []
    for index in reversed(range(depth)):
        weights, x = case.parameters[index][0], xs[index]
        dW = [
            [dot(zip(column, d, strict=True), n) for d in zip(*dz, strict=True)]
            for column in zip(*x, strict=True)
        ]
        gradient.insert(0, (dW, [total(d, n) for d in zip(*dz, strict=True)]))
        ways = n * (1 + largest(x)) + weights.shape[1] * abs(weights).max()
        peaks.append(case.divisor * case.targets.shape[1] * ways * largest(dz))
        if index:
            dz = each(of_a_layer(dz, weights.T, None), slopes[index - 1])
    return gradient, error, max(peaks)
