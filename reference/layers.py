"""Layers with cross terms, and losses that are other averages, written independently of the subject.

A layer is a function f(xp, x, *arrays) of values (n, fan_in) and of its parameters, written from its
definition, without a backward pass. Derivatives come from JAX, and, as a second oracle that needs no
compilation, from complex steps in NumPy.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from reference.network import ACTIVATIONS, LOSSES, Array, choose

Layer = Callable[..., Array]
Parameters = Sequence[tuple[Any, ...]]
"""One tuple of arrays for each layer; a bias may be None."""

OUTPUT_OF = {
    "cross_entropy": "softmax",
    "binary_cross_entropy": "sigmoid",
    "mean_binary_cross_entropy": "sigmoid",
}
"""The output that belongs to an entropy; any other loss takes the last layer's values as they are."""

EPSILON = 1e-5
"""The customary ε of the normalising layers."""


def dense(xp: ModuleType, x: Array, W: Array, b: Array) -> Array:
    """x W + b."""
    return xp.matmul(x, W) if b is None else xp.matmul(x, W) + b


@cache
def activation(name: str) -> Layer:
    """The activation of `reference.network`, hidden or last."""

    def layer(xp: ModuleType, x: Array) -> Array:
        return choose(ACTIVATIONS, name, xp, x, None)

    return layer


def _moments(xp: ModuleType, x: Array, axis: int) -> tuple[Array, Array]:
    """The mean, and the mean square about it: a power and not |x|², so that x may be complex."""
    mean = xp.mean(x, axis=axis, keepdims=True)
    return mean, xp.mean((x - mean) ** 2, axis=axis, keepdims=True)


def layer_norm(xp: ModuleType, x: Array, gain: Array, shift: Array) -> Array:
    """Mean 0 and variance 1 over the units of each sample."""
    mean, variance = _moments(xp, x, axis=1)
    return (x - mean) / xp.sqrt(variance + EPSILON) * gain + shift


def batch_norm(xp: ModuleType, x: Array, gain: Array, shift: Array) -> Array:
    """Mean 0 and variance 1 over the samples for each unit."""
    mean, variance = _moments(xp, x, axis=0)
    return (x - mean) / xp.sqrt(variance + EPSILON) * gain + shift


def rms_norm(xp: ModuleType, x: Array, gain: Array) -> Array:
    """Mean square 1 over the units of each sample."""
    return x / xp.sqrt(xp.mean(x**2, axis=1, keepdims=True) + EPSILON) * gain


def dropout(xp: ModuleType, x: Array, mask: Array) -> Array:
    """Units times a given mask, (n, units)."""
    return xp.multiply(mask, x)


@cache
def residual(inner: Layer) -> Layer:
    """x + inner(x)."""

    def layer(xp: ModuleType, x: Array, *arrays: Array) -> Array:
        return inner(xp, x, *arrays) + x

    return layer


@cache
def tied(name: str) -> Layer:
    """f(x W) Wᵀ."""

    def layer(xp: ModuleType, x: Array, W: Array) -> Array:
        return xp.matmul(activation(name)(xp, xp.matmul(x, W)), W.T)

    return layer


def forward(xp: ModuleType, layers: Sequence[Layer], parameters: Parameters, inputs: Array) -> Array:
    """The last layer's values, (n, K)."""
    for layer, arrays in zip(layers, parameters, strict=True):
        inputs = layer(xp, inputs, *arrays)
    return inputs


def batch_loss(
    xp: ModuleType,
    layers: Sequence[Layer],
    loss: str,
    parameters: Parameters,
    inputs: Array,
    targets: Array,
    weights: Array,
    penalised: Sequence[tuple[bool, ...]],
    strength: Any,
) -> Array:
    """The loss of a batch, a scalar.

    Args:
        xp: `jax.numpy` or `numpy`.
        layers: functions of this module; softmax and sigmoid belong to the entropies and are left out.
        loss: "contrastive", or a name in `reference.network.LOSSES`.
        parameters: one tuple for each layer.
        inputs: (n, fan_in).
        targets: (n, K).
        weights: of the samples, (n,); they divide by their sum.
        penalised: which parameters pay the penalty.
        strength: the λ of the penalty λ/2 Σ W².
    """
    z = forward(xp, layers, parameters, inputs)  # (n, K)
    share = weights / xp.sum(weights)  # (n,)
    if loss == "contrastive":
        gaps = xp.einsum("ik,lk->il", z, z) - xp.einsum("ik,lk->il", targets, targets)  # (n, n)
        data = xp.einsum("i,l,il->", share, share, gaps**2)
    else:
        outputs = activation(OUTPUT_OF.get(loss, "identity"))(xp, z)
        data = xp.sum(share[:, None] * choose(LOSSES, loss, xp, z, outputs, targets, None, z.shape[1]))
    paying = [
        W
        for arrays, pays in zip(parameters, penalised, strict=True)
        for W, pay in zip(arrays, pays, strict=True)
        if pay
    ]
    return data + strength / 2 * sum(xp.sum(W**2) for W in paying)


@partial(jax.jit, static_argnames=("layers", "loss", "penalised"))
def _gradient(layers: tuple[Layer, ...], loss: str, penalised: Any, *arrays: Any) -> Any:
    parameters, inputs, targets, weights, strength = arrays

    def of(p: Parameters) -> Array:
        return batch_loss(jnp, layers, loss, p, inputs, targets, weights, penalised, strength)

    return jax.grad(of)(parameters)


def gradient(
    layers: tuple[Layer, ...],
    loss: str,
    parameters: Parameters,
    inputs: Array,
    targets: Array,
    weights: Array,
    penalised: Sequence[tuple[bool, ...]],
    strength: float = 0.0,
) -> list[tuple[Any, ...]]:
    """The gradient of `batch_loss` by reverse mode, in the shapes of `parameters`; None for a bias None."""
    found = _gradient(layers, loss, tuple(penalised), list(parameters), inputs, targets, weights, strength)
    return [tuple(None if array is None else np.asarray(array) for array in arrays) for arrays in found]


@partial(jax.jit, static_argnames="layer")
def _jacobians(layer: Layer, *arrays: Array) -> Any:
    def of(*moving: Array) -> Array:
        return layer(jnp, *moving)

    return jax.jacrev(of, argnums=tuple(range(len(arrays))))(*arrays)


def jacobians(layer: Layer, *arrays: Array) -> list[NDArray[np.float64]]:
    """∂y[i, j]/∂a for each array a of x and the parameters, (n, units, *shape of a), by reverse mode."""
    return [np.asarray(jacobian) for jacobian in _jacobians(layer, *arrays)]


STEP = 1e-100
"""A complex step: its square vanishes beside 1, and nothing is subtracted, so no digit is lost."""


def complex_steps(layer: Layer, dy: Array, *arrays: Array) -> list[NDArray[np.float64]]:
    """Σ_ij dy_ij ∂y_ij/∂a for every entry of x and of the parameters, as Im f(a + i h)/h.

    The error is of the order h², far below rounding. Source: W. Squire, G. Trapp, *Using Complex Variables to
    Estimate Derivatives of Real Functions*, SIAM Review 40 (1998), pages 110 to 112.
    """
    found: list[NDArray[np.float64]] = []
    for which, array in enumerate(arrays):
        derivative = np.empty(array.shape)
        for index in np.ndindex(array.shape):
            moved = array.astype(complex)
            moved[index] += 1j * STEP
            y = layer(np, *arrays[:which], moved, *arrays[which + 1 :])
            derivative[index] = (dy * np.imag(y) / STEP).sum()
        found.append(derivative)
    return found
