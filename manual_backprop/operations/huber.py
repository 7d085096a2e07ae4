"""Huber loss: squared for small errors, straight for large ones, so that no outlier pulls without limit.

L = (1/NK) Σ_n Σ_k h(e_nk), e = x − t, with h(e) = e²/2 where |e| ≤ δ, and δ (|e| − δ/2) elsewhere.
Where the branches meet, so do their slopes: h' = e, or δ sign(e), which is e clipped to [−δ, δ].
x_nk is in one term of the double sum: dx_nk = dL ∂L/∂x_nk = dL clip(e_nk, −δ, δ)/NK.
Source: P. J. Huber, *Robust Estimation of a Location Parameter*, Annals of Mathematical Statistics 35 (1964).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

OPERATION = {"x": "n k", "targets": {"axes": "n k", "constant": True}}
OPTIONS = {"delta": [1.0, 0.5]}


def forward(x: Array, targets: Array, *, delta: float = 1.0) -> tuple[np.floating, tuple[Array, float]]:
    error = x - targets  # (n, k)
    size = np.abs(error)  # (n, k)
    return np.mean(np.where(size <= delta, error * error / 2, delta * (size - delta / 2))), (error, delta)


def backward(dloss: np.floating, cache: tuple[Array, float]) -> Array:
    error, delta = cache
    slope = np.clip(error, -delta, delta)  # (n, k)
    return dloss * slope / error.size
