"""Batch normalisation, in training: each unit is shifted and scaled to mean 0 and variance 1 over the batch.

y = γ x̂ + β, x̂ = (x − μ) r, r = 1/√(v + ε), with the mean μ and the variance v of the unit over the N samples.
x_m moves x̂_m itself, and by way of μ and v the x̂_n of every other sample: three paths.
∂μ/∂x_m = 1/N; ∂v/∂x_m = 2(x_m − μ)/N, since Σ_n (x_n − μ) = 0; ∂r/∂v = −r³/2. Hence
∂x̂_n/∂x_m = r (δ_nm − 1/N − x̂_n x̂_m/N), and with dx̂ = γ dy
dx_m = Σ_n dx̂_n ∂x̂_n/∂x_m = r (dx̂_m − mean_n dx̂_n − x̂_m mean_n dx̂_n x̂_n).
γ and β serve every sample: dγ = Σ_n dy_n x̂_n, dβ = Σ_n dy_n.
Source: S. Ioffe, C. Szegedy, *Batch Normalization* (2015), arXiv:1502.03167, section 3, where all this is in steps.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATION = {"x": "n d", "gain": "d", "shift": "d"}
OPTIONS = {"eps": [1e-5, 1e-3]}


def forward(x: Array, gain: Array, shift: Array, *, eps: float = 1e-5) -> tuple[Array, Arrays]:
    centred = x - x.mean(axis=0)  # (n, d)
    variance = (centred * centred).mean(axis=0)  # (d,)
    r = 1 / np.sqrt(variance + eps)  # (d,)
    x_hat = centred * r  # (n, d)
    return gain * x_hat + shift, (x_hat, r, gain)


def backward(dy: Array, cache: Arrays) -> Arrays:
    x_hat, r, gain = cache
    dx_hat = dy * gain  # (n, d)
    through_mean = dx_hat.mean(axis=0)  # (d,)
    through_variance = x_hat * (dx_hat * x_hat).mean(axis=0)  # (n, d)
    dx = r * (dx_hat - through_mean - through_variance)  # (n, d)
    dgain = (dy * x_hat).sum(axis=0)  # (d,)
    dshift = dy.sum(axis=0)  # (d,)
    return dx, dgain, dshift
