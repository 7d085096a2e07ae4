"""Logistic sigmoid, one entry at a time.

y = σ(x) = 1 / (1 + e^−x), so ∂y/∂x = e^−x / (1 + e^−x)² = y (1 − y), for 1 − y = e^−x / (1 + e^−x).
No entry of y moves with another entry of x: of dx_k = Σ_j dy_j ∂y_j/∂x_k one path is left, j = k.
With e = e^−|x|, which can't overflow, y = 1/(1 + e) where x ≥ 0, and e/(1 + e) where x < 0.
Source: D. E. Rumelhart, G. E. Hinton, R. J. Williams, *Learning representations by back-propagating errors*,
Nature 323 (1986), equations 2 and 5.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

OPERATION = {"x": "n d"}


def forward(x: Array) -> tuple[Array, Array]:
    e = np.exp(-np.abs(x))  # (n, d), in (0, 1]
    y = np.where(x >= 0, 1, e) / (1 + e)  # (n, d)
    return y, y


def backward(dy: Array, y: Array) -> Array:
    slope = y * (1 - y)  # (n, d)
    return dy * slope
