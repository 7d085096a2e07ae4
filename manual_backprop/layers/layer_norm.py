"""Layer normalisation: each sample is shifted and scaled to mean 0 and variance 1 over its units.

y = γ x̂ + β, x̂ = (x - μ) r, r = 1/√(v + ε), with the mean μ and the variance v of the sample's m units.
∂μ/∂x_k = 1/m; ∂v/∂x_k = 2(x_k - μ)/m, since Σ_j(x_j - μ) = 0; ∂r/∂v = -r³/2. Hence
∂x̂_j/∂x_k = r(δ_jk - 1/m - x̂_j x̂_k/m): every unit moves μ and v, and so every other unit.
dx_k = Σ_j dx̂_j ∂x̂_j/∂x_k = r(dx̂_k - mean_j dx̂_j - x̂_k mean_j dx̂_j x̂_j), with dx̂ = γ dy.
Source: J. L. Ba, J. R. Kiros, G. E. Hinton, *Layer Normalization* (2016), arXiv:1607.06450, section 3.
"""

import numpy as np

from manual_backprop.activations import Array
from manual_backprop.layers.layer import EPSILON, Layer


def standardised(x: Array) -> tuple[Array, Array]:
    """x̂ (n, units) and r (n, 1)."""
    centred = x - x.mean(axis=1, keepdims=True)  # (n, units)
    variance = (centred * centred).mean(axis=1, keepdims=True)  # (n, 1)
    r = 1 / np.sqrt(variance + EPSILON)  # (n, 1)
    return centred * r, r


def _forward(x: Array, gain: Array, shift: Array) -> Array:
    return gain * standardised(x)[0] + shift


def _backward(dy: Array, x: Array, y: Array, gain: Array, shift: Array) -> tuple[Array, Array, Array]:
    del y, shift
    x_hat, r = standardised(x)
    dx_hat = dy * gain  # (n, units)
    through_mean = dx_hat.mean(axis=1, keepdims=True)  # (n, 1)
    through_variance = x_hat * (dx_hat * x_hat).mean(axis=1, keepdims=True)  # (n, units)
    return r * (dx_hat - through_mean - through_variance), (dy * x_hat).sum(axis=0), dy.sum(axis=0)


LAYER_NORM = Layer(_forward, _backward)
