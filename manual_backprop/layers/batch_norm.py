"""Batch normalisation in training: each unit is shifted and scaled to mean 0 and variance 1 over the batch.

y = γ x̂ + β, x̂ = (x - μ) r, r = 1/√(v + ε), with the mean μ and the variance v of a unit's n samples.
∂μ/∂x_i = 1/n; ∂v/∂x_i = 2(x_i - μ)/n, since Σ_l(x_l - μ) = 0; ∂r/∂v = -r³/2. Hence
∂x̂_l/∂x_i = r(δ_il - 1/n - x̂_l x̂_i/n): every sample moves μ and v, and so every other sample.
dx_i = Σ_l dx̂_l ∂x̂_l/∂x_i = r(dx̂_i - mean_l dx̂_l - x̂_i mean_l dx̂_l x̂_l), with dx̂ = γ dy.
A sample by itself is its own mean: x̂ = 0 whatever x is, and dx = 0.
Source: S. Ioffe, C. Szegedy, *Batch Normalization* (2015), arXiv:1502.03167, section 3.
"""

import numpy as np

from manual_backprop.activations import Array
from manual_backprop.layers.layer import EPSILON, Layer


def standardised(x: Array) -> tuple[Array, Array]:
    """x̂ (n, units) and r (units,)."""
    centred = x - x.mean(axis=0)  # (n, units)
    variance = (centred * centred).mean(axis=0)  # (units,)
    r = 1 / np.sqrt(variance + EPSILON)  # (units,)
    return centred * r, r


def _forward(x: Array, gain: Array, shift: Array) -> Array:
    return gain * standardised(x)[0] + shift


def _backward(dy: Array, x: Array, y: Array, gain: Array, shift: Array) -> tuple[Array, Array, Array]:
    del y, shift
    x_hat, r = standardised(x)
    dx_hat = dy * gain  # (n, units)
    through_mean = dx_hat.mean(axis=0)  # (units,)
    through_variance = x_hat * (dx_hat * x_hat).mean(axis=0)  # (n, units)
    return r * (dx_hat - through_mean - through_variance), (dy * x_hat).sum(axis=0), dy.sum(axis=0)


BATCH_NORM = Layer(_forward, _backward)


def ghost_batches(size: int) -> Layer:
    """Batch normalisation in which only `size` consecutive samples share their mean and variance.

    Parts of this size don't mix, so their gradients can be averaged again, by their sizes.
    Source: E. Hoffer, I. Hubara, D. Soudry, *Train longer, generalize better* (2017), arXiv:1705.08741,
    algorithm 1.
    """

    def ghosts(x: Array) -> list[slice]:
        return [slice(start, start + size) for start in range(0, len(x), size)]

    def forward(x: Array, gain: Array, shift: Array) -> Array:
        return np.concatenate([_forward(x[ghost], gain, shift) for ghost in ghosts(x)])

    def backward(dy: Array, x: Array, y: Array, gain: Array, shift: Array) -> tuple[Array, Array, Array]:
        parts = [_backward(dy[ghost], x[ghost], y[ghost], gain, shift) for ghost in ghosts(x)]
        dx, dgain, dshift = zip(*parts, strict=True)
        return np.concatenate(dx), np.sum(dgain, axis=0), np.sum(dshift, axis=0)

    return Layer(forward, backward)
