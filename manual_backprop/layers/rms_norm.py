"""RMS normalisation: each sample is scaled to a mean square of 1 over its units, without being shifted.

y = γ x̂, x̂ = x r, r = 1/√(q + ε), with the mean square q = (1/m) Σ_j x_j² of the sample's m units.
∂q/∂x_k = 2 x_k/m and ∂r/∂q = -r³/2. Hence ∂x̂_j/∂x_k = r(δ_jk - x̂_j x̂_k/m), and with dx̂ = γ dy
dx_k = Σ_j dx̂_j ∂x̂_j/∂x_k = r(dx̂_k - x̂_k mean_j dx̂_j x̂_j).
Source: B. Zhang, R. Sennrich, *Root Mean Square Layer Normalization* (2019), arXiv:1910.07467, section 3.
"""

import numpy as np

from manual_backprop.activations import Array
from manual_backprop.layers.layer import EPSILON, Layer


def scaled(x: Array) -> tuple[Array, Array]:
    """x̂ (n, units) and r (n, 1)."""
    r = 1 / np.sqrt((x * x).mean(axis=1, keepdims=True) + EPSILON)  # (n, 1)
    return x * r, r


def _forward(x: Array, gain: Array) -> Array:
    return gain * scaled(x)[0]


def _backward(dy: Array, x: Array, y: Array, gain: Array) -> tuple[Array, Array]:
    del y
    x_hat, r = scaled(x)
    dx_hat = dy * gain  # (n, units)
    through_square = x_hat * (dx_hat * x_hat).mean(axis=1, keepdims=True)  # (n, units)
    return r * (dx_hat - through_square), (dy * x_hat).sum(axis=0)


RMS_NORM = Layer(_forward, _backward)
