"""A layer's mistake is the formula that it is named after: each written out for one entry of dx.

i counts the samples, k the units; γ and r are the gain and 1/√(v + ε), and x̂ is standardised.
"""

from collections.abc import Callable
from math import exp, sqrt, tanh
from typing import Any

import numpy as np
import pytest

from manual_backprop.activations import Array
from manual_backprop.layers import LAYERS
from manual_backprop.mistakes.layers import LAYER_MISTAKES
from properties.meta.problems import ROUNDINGS, roundings

EPSILON = 1e-5
N, M = 5, 3
OWN = {"layer_norm": 1, "rms_norm": 1, "batch_norm": 0}
"""The axis along which each takes its means."""

Entry = Callable[[Any, int, int], float]


def average(line: list[float]) -> float:
    """The mean of some numbers."""
    return sum(line) / len(line)


class Drawn:
    """Arrays for a layer, and what its forward pass makes of them."""

    def __init__(self, name: str) -> None:
        """A case of the layer `name`."""
        random = np.random.default_rng(len(name))
        self.name = name
        self.x, self.dy = random.standard_normal((2, N, M))
        shapes: dict[str, list[tuple[int, ...]]] = {
            "layer_norm": [(M,), (M,)],
            "batch_norm": [(M,), (M,)],
            "rms_norm": [(M,)],
            "dropout": [(N, M)],
            "tied": [(M, 2)],
            "residual dense": [(M, M), (M,)],
        }
        self.parameters = [random.standard_normal(shape) for shape in shapes.get(name, [])]
        self.y = LAYERS[name].forward(self.x, *self.parameters)

    @property
    def gain(self) -> Array:
        """γ, (units,)."""
        return self.parameters[0]

    def line(self, array: Array, i: int, k: int, *, across: bool = False) -> list[float]:
        """The numbers that entry (i, k) shares its means with, or those across."""
        along = OWN[self.name] != across
        return list(array[i] if along else array[:, k])

    def mean(self, i: int, k: int) -> float:
        """μ, where anything is centred."""
        return 0 if self.name == "rms_norm" else average(self.line(self.x, i, k))

    def r(self, i: int, k: int) -> float:
        """1/√(v + ε)."""
        mean = self.mean(i, k)
        return 1 / sqrt(average([(v - mean) ** 2 for v in self.line(self.x, i, k)]) + EPSILON)

    def standardised(self) -> Array:
        """x̂ (n, units)."""
        return np.array(
            [[(self.x[i, k] - self.mean(i, k)) * self.r(i, k) for k in range(M)] for i in range(N)]
        )


def frozen(d: Drawn, i: int, k: int) -> float:
    """γ r dy."""
    return d.gain[k] * d.r(i, k) * d.dy[i, k]


def own_term(d: Drawn, i: int, k: int) -> float:
    """dy_ik ∂y_ik/∂x_ik: a softmax's h(1 - h), or γ r (1 - 1/m - x̂²/m) with m numbers in a mean."""
    if d.name == "softmax":
        h = exp(d.x[i, k]) / sum(exp(v) for v in d.x[i])
        return d.dy[i, k] * h * (1 - h)
    m, x_hat = len(d.line(d.x, i, k)), d.standardised()[i, k]
    through_mean = 0 if d.name == "rms_norm" else 1 / m
    return d.dy[i, k] * d.gain[k] * d.r(i, k) * (1 - through_mean - x_hat**2 / m)


def by_means(d: Drawn, dx_hat: Array, i: int, k: int, *, across: bool = False) -> float:
    """r(dx̂ - mean dx̂ - x̂ mean dx̂ x̂), without the first mean where nothing is centred."""
    x_hat = d.standardised()
    through_mean, slant = (average(d.line(a, i, k, across=across)) for a in (dx_hat, dx_hat * x_hat))
    return d.r(i, k) * (dx_hat[i, k] - through_mean * (d.name != "rms_norm") - x_hat[i, k] * slant)


def through_tied(d: Drawn, i: int, k: int) -> float:
    """dx of tanh(x W) Wᵀ."""
    (W,) = d.parameters
    h = [tanh(sum(d.x[i] * column)) for column in W.T]
    return sum(W[k, j] * (1 - h[j] ** 2) * sum(d.dy[i] * W[:, j]) for j in range(len(h)))


def inner_alone(d: Drawn, i: int, k: int) -> float:
    """dx of the layer that the shortcut goes around."""
    if d.name == "residual tanh":
        return d.dy[i, k] * (1 - tanh(d.x[i, k]) ** 2)
    return sum(d.dy[i, j] * d.parameters[0][k, j] for j in range(M))


ENTRIES: dict[str, Entry] = {
    "frozen_batch_statistics": frozen,
    "normalisation_diagonal_only": own_term,
    "gain_forgotten": lambda d, i, k: by_means(d, d.dy, i, k),
    "mean_over_wrong_axis": lambda d, i, k: by_means(d, d.dy * d.gain, i, k, across=True),
    "mask_not_applied": lambda d, i, k: d.dy[i, k],
    "tied_weight_counted_once": through_tied,
    "skip_path_forgotten": inner_alone,
}
MADE_IN = {
    "frozen_batch_statistics": ["batch_norm"],
    "normalisation_diagonal_only": ["softmax", "layer_norm", "rms_norm", "batch_norm"],
    "gain_forgotten": ["layer_norm", "rms_norm", "batch_norm"],
    "mean_over_wrong_axis": ["layer_norm", "rms_norm", "batch_norm"],
    "mask_not_applied": ["dropout"],
    "tied_weight_counted_once": ["tied"],
    "skip_path_forgotten": ["residual tanh", "residual dense"],
}
VARIANTS = [(row.name, layer, wrong) for row in LAYER_MISTAKES for layer, wrong in row.variants]


def test_every_mistake_is_made_in_every_layer_that_it_can_be_made_in() -> None:
    assert {row.name: [layer for layer, _ in row.variants] for row in LAYER_MISTAKES} == MADE_IN


@pytest.mark.parametrize(("name", "layer", "wrong"), VARIANTS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_layer_s_mistake_is_its_formula(name: str, layer: str, wrong: Callable[..., Any]) -> None:
    d = Drawn(layer)
    dx, *dparameters = wrong(d.dy, d.x, d.y, *d.parameters)
    expected = [[ENTRIES[name](d, i, k) for k in range(M)] for i in range(N)]
    assert roundings(dx, np.array(expected)) < ROUNDINGS

    _, *right = LAYERS[layer].backward(d.dy, d.x, d.y, *d.parameters)
    if name == "tied_weight_counted_once":
        (W,) = d.parameters
        h = np.tanh(d.x @ W)
        right[0] = right[0] - d.dy.T @ h  # without the decoder's term
    for given, wanted in zip(dparameters, right, strict=True):
        assert (given is None) == (wanted is None)
        if wanted is not None:
            assert roundings(given, wanted) < ROUNDINGS
