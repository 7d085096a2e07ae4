"""RMS normalisation: each sample is scaled to mean square 1 over its units, and not shifted.

y = γ x̂, x̂ = x r, r = 1/√(s + ε), with the mean square s = (1/d) Σ_j x_j² of the sample's d units.
x_k moves x̂_k itself, and by way of s every x̂_j of its sample: two paths, for there is no mean to move.
∂s/∂x_k = 2 x_k/d; ∂r/∂s = −r³/2; hence ∂x̂_j/∂x_k = r (δ_jk − x̂_j x̂_k/d), and with dx̂ = γ dy
dx_k = Σ_j dx̂_j ∂x̂_j/∂x_k = r (dx̂_k − x̂_k mean_j dx̂_j x̂_j).
γ_k serves every sample: dγ_k = Σ_n dy_nk x̂_nk.
Source: B. Zhang, R. Sennrich, *Root Mean Square Layer Normalization* (2019), arXiv:1910.07467, section 4.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATION = {"x": "n d", "gain": "d"}
OPTIONS = {"eps": [1e-5, 1e-3]}


def forward(x: Array, gain: Array, *, eps: float = 1e-5) -> tuple[Array, Arrays]:
    mean_square = (x * x).mean(axis=1, keepdims=True)  # (n, 1)
    r = 1 / np.sqrt(mean_square + eps)  # (n, 1)
    x_hat = x * r  # (n, d)
    return gain * x_hat, (x_hat, r, gain)


def backward(dy: Array, cache: Arrays) -> Arrays:
    x_hat, r, gain = cache
    dx_hat = dy * gain  # (n, d)
    through_square = x_hat * (dx_hat * x_hat).mean(axis=1, keepdims=True)  # (n, d)
    dx = r * (dx_hat - through_square)  # (n, d)
    dgain = (dy * x_hat).sum(axis=0)  # (d,)
    return dx, dgain
