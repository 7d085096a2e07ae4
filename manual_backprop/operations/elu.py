"""Exponential linear unit, one entry at a time.

y = x where x > 0, and α (e^x − 1) elsewhere: ∂y/∂x = 1, or α e^x, which is y + α and not y + 1.
No entry of y moves with another entry of x: of dx_k = Σ_j dy_j ∂y_j/∂x_k one path is left, j = k.
Both branches are computed for every entry, so the exponent is cut at 0: e^x would overflow where it isn't used.
Source: D.-A. Clevert, T. Unterthiner, S. Hochreiter, *Fast and Accurate Deep Network Learning by Exponential
Linear Units* (2015), arXiv:1511.07289, section 3.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

OPERATION = {"x": "n d"}
OPTIONS = {"alpha": [1.0, 0.5]}


def forward(x: Array, *, alpha: float = 1.0) -> tuple[Array, tuple[Array, float]]:
    below = alpha * np.expm1(np.minimum(x, 0))  # (n, d)
    return np.where(x > 0, x, below), (x, alpha)


def backward(dy: Array, cache: tuple[Array, float]) -> Array:
    x, alpha = cache
    slope_below = alpha * np.exp(np.minimum(x, 0))  # (n, d)
    return np.where(x > 0, dy, dy * slope_below)  # (n, d)
