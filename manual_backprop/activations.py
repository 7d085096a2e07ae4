"""The activations: what each does going forward, and its slope or Jacobian going back.

A row of `ACTIVATIONS` is all that the network, the properties and the mistakes know of an
activation. To add one, add its row here and its formula in `reference/network.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def identity(z: Array) -> Array:
    """h = z."""
    return z


def tanh(z: Array) -> Array:
    """h = tanh z."""
    return np.tanh(z)


def sigmoid(z: Array) -> Array:
    """h = 1 / (1 + e^-z), written with the exponential of -|z|, which cannot overflow."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, small) / (1 + small)


def relu(z: Array) -> Array:
    """h = max(z, 0)."""
    return np.maximum(z, 0)


def softplus(z: Array) -> Array:
    """h = log(1 + e^z) = max(z, 0) + log(1 + e^-|z|), so that no exponential overflows."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def softmax(z: Array) -> Array:
    """h_j = e^z_j / Σ_k e^z_k in each row; subtracting the row's maximum changes nothing but overflow."""
    small = np.exp(z - z.max(axis=-1, keepdims=True))
    return small / small.sum(axis=-1, keepdims=True)


def identity_slope(z: Array, h: Array) -> Array:
    """dh/dz = 1, one number for all units."""
    del h
    return np.ones((), z.dtype)


def tanh_slope(z: Array, h: Array) -> Array:
    """dh/dz = 1 - tanh² z, from the value that the forward pass already has."""
    del z
    square = np.square(h)
    return np.subtract(1, square, out=square)  # 1 - h², in the memory of h²


def sigmoid_slope(z: Array, h: Array) -> Array:
    """dh/dz = σ(z)(1 - σ(z)): the slope at z, written with the value h = σ(z)."""
    del z
    return h * (1 - h)


def relu_slope(z: Array, h: Array) -> Array:
    """dh/dz = 1 where z > 0, else 0 (at the kink z = 0 any slope in [0, 1] would do)."""
    del h
    return np.where(z > 0, np.ones_like(z), np.zeros_like(z))


def softplus_slope(z: Array, h: Array) -> Array:
    """dh/dz = σ(z)."""
    del h
    return sigmoid(z)


@dataclass(frozen=True)
class Elementwise:
    """An activation whose unit k depends on z_k alone, so that its Jacobian is diagonal.

    `slope(z, h)` is that diagonal, dh_k/dz_k, where h = forward(z); all arrays are (n, units).
    `backward` writes its answer to `out`, as NumPy's functions do, which may be `dh` itself.
    """

    forward: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]

    def backward(self, dh: Array, z: Array, h: Array, out: Array | None = None) -> Array:
        """∂L/∂z_k = ∂L/∂h_k · dh_k/dz_k: one term, since ∂h_j/∂z_k = 0 for j ≠ k."""
        return np.multiply(dh, self.slope(z, h), out=out)  # (n, units)


@dataclass(frozen=True)
class Softmax:
    """The activation whose units share one total: ∂h_j/∂z_k = h_j(δ_jk - h_k) is nowhere 0."""

    forward: Callable[[Array], Array] = softmax

    def backward(self, dh: Array, z: Array, h: Array, out: Array | None = None) -> Array:
        """∂L/∂z_k = Σ_j ∂L/∂h_j · h_j(δ_jk - h_k) = h_k (∂L/∂h_k - Σ_j ∂L/∂h_j h_j)."""
        del z
        return np.multiply(h, dh - (dh * h).sum(axis=-1, keepdims=True), out=out)  # (n, units)

    def jacobian(self, h: Array) -> Array:
        """The full Jacobian ∂h_j/∂z_k = h_j(δ_jk - h_k) of each sample, (n, units, units)."""
        diagonal = h[:, :, None] * np.eye(h.shape[1], dtype=h.dtype)  # (n, units, units)
        return diagonal - h[:, :, None] * h[:, None, :]


ACTIVATIONS: dict[str, Elementwise] = {
    "identity": Elementwise(identity, identity_slope),
    "tanh": Elementwise(tanh, tanh_slope),
    "sigmoid": Elementwise(sigmoid, sigmoid_slope),
    "relu": Elementwise(relu, relu_slope),
    "softplus": Elementwise(softplus, softplus_slope),
}
OUTPUTS: dict[str, Elementwise | Softmax] = {**ACTIVATIONS, "softmax": Softmax()}
