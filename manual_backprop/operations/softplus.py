"""Softplus, a rectifier without a corner, one entry at a time.

y = log(1 + e^x) = max(x, 0) + log(1 + e^−|x|), in which nothing overflows.
∂y/∂x = e^x / (1 + e^x) = 1 / (1 + e^−x): the logistic sigmoid, written with e^−|x| as well.
No entry of y moves with another entry of x: of dx_k = Σ_j dy_j ∂y_j/∂x_k one path is left, j = k.
Source: C. Dugas and others, *Incorporating Second-Order Functional Knowledge for Better Option Pricing*,
NIPS 2000.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

OPERATION = {"x": "n d"}


def forward(x: Array) -> tuple[Array, Array]:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), x  # (n, d)


def backward(dy: Array, x: Array) -> Array:
    e = np.exp(-np.abs(x))  # (n, d), in (0, 1]
    slope = np.where(x >= 0, 1, e) / (1 + e)  # (n, d)
    return dy * slope
