"""Layer normalisation: each sample is shifted and scaled to mean 0 and variance 1 over its units.

y = γ x̂ + β, x̂ = (x − μ) r, r = 1/√(v + ε), with the mean μ and the variance v of the sample's d units.
x_k moves x̂_k itself, and by way of μ and v every x̂_j of its sample: three paths.
∂μ/∂x_k = 1/d; ∂v/∂x_k = 2(x_k − μ)/d, since Σ_j (x_j − μ) = 0; ∂r/∂v = −r³/2. Hence
∂x̂_j/∂x_k = r (δ_jk − 1/d − x̂_j x̂_k/d), and with dx̂ = γ dy
dx_k = Σ_j dx̂_j ∂x̂_j/∂x_k = r (dx̂_k − mean_j dx̂_j − x̂_k mean_j dx̂_j x̂_j).
γ_k and β_k serve every sample: dγ_k = Σ_n dy_nk x̂_nk, dβ_k = Σ_n dy_nk.
Source: J. L. Ba, J. R. Kiros, G. E. Hinton, *Layer Normalization* (2016), arXiv:1607.06450, section 3.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATION = {"x": "n d", "gain": "d", "shift": "d"}
OPTIONS = {"eps": [1e-5, 1e-3]}


def forward(x: Array, gain: Array, shift: Array, *, eps: float = 1e-5) -> tuple[Array, Arrays]:
    centred = x - x.mean(axis=1, keepdims=True)  # (n, d)
    variance = (centred * centred).mean(axis=1, keepdims=True)  # (n, 1)
    r = 1 / np.sqrt(variance + eps)  # (n, 1)
    x_hat = centred * r  # (n, d)
    return gain * x_hat + shift, (x_hat, r, gain)


def backward(dy: Array, cache: Arrays) -> Arrays:
    x_hat, r, gain = cache
    dx_hat = dy * gain  # (n, d)
    through_mean = dx_hat.mean(axis=1, keepdims=True)  # (n, 1)
    through_variance = x_hat * (dx_hat * x_hat).mean(axis=1, keepdims=True)  # (n, d)
    dx = r * (dx_hat - through_mean - through_variance)  # (n, d)
    dgain = (dy * x_hat).sum(axis=0)  # (d,)
    dshift = dy.sum(axis=0)  # (d,)
    return dx, dgain, dshift
