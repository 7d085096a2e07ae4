"""Group normalisation: the channels of a sample, in groups, get mean 0 and variance 1 over group and pixels.

y = γ x̂ + β, x̂ = (x − μ) r, r = 1/√(v + ε), with the mean μ and the variance v of the M entries of a group.
x_k moves x̂_k itself, and by way of μ and v every x̂_j of its group: ∂x̂_j/∂x_k = r (δ_jk − 1/M − x̂_j x̂_k/M), and
dx_k = Σ_j dx̂_j ∂x̂_j/∂x_k = r (dx̂_k − mean_j dx̂_j − x̂_k mean_j dx̂_j x̂_j), with dx̂ = γ dy.
γ differs from channel to channel of a group, so it stays inside the means. It serves every sample and pixel:
dγ_c = Σ_n Σ_h Σ_w dy x̂, dβ_c = Σ_n Σ_h Σ_w dy. With one channel a group, it is instance normalisation.
Source: Y. Wu, K. He, *Group Normalization* (2018), arXiv:1803.08494, section 3.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATION = {"x": "n g*c h w", "gain": "g*c", "shift": "g*c"}
OPTIONS = {"groups": [2, 1, 3], "eps": [1e-5, 1e-3]}
SIZES = {"g": [1, 2, 3]}


def valid(sizes: dict[str, int], options: dict[str, float]) -> bool:
    return sizes["g"] == options["groups"]


def forward(
    x: Array, gain: Array, shift: Array, *, groups: int = 2, eps: float = 1e-5
) -> tuple[Array, Arrays]:
    n, c, h, w = x.shape
    grouped = x.reshape(n, groups, c // groups, h, w)
    centred = grouped - grouped.mean(axis=(2, 3, 4), keepdims=True)  # (n, g, c/g, h, w)
    variance = (centred * centred).mean(axis=(2, 3, 4), keepdims=True)  # (n, g, 1, 1, 1)
    r = 1 / np.sqrt(variance + eps)  # (n, g, 1, 1, 1)
    x_hat = centred * r  # (n, g, c/g, h, w)
    return gain[:, None, None] * x_hat.reshape(x.shape) + shift[:, None, None], (x_hat, r, gain)


def backward(dy: Array, cache: Arrays) -> Arrays:
    x_hat, r, gain = cache
    dx_hat = (dy * gain[:, None, None]).reshape(x_hat.shape)  # (n, g, c/g, h, w)
    through_mean = dx_hat.mean(axis=(2, 3, 4), keepdims=True)  # (n, g, 1, 1, 1)
    through_variance = x_hat * (dx_hat * x_hat).mean(axis=(2, 3, 4), keepdims=True)
    dx = r * (dx_hat - through_mean - through_variance)  # (n, g, c/g, h, w)
    dgain = (dy * x_hat.reshape(dy.shape)).sum(axis=(0, 2, 3))  # (c,)
    dshift = dy.sum(axis=(0, 2, 3))  # (c,)
    return dx.reshape(dy.shape), dgain, dshift
