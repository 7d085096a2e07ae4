"""Rectified linear unit, one entry at a time.

y = max(x, 0): ∂y/∂x = 1 where x > 0, and 0 where x < 0. The gate is set going forward, by x, and stays as it
was for the way back: dx = dy where it stood open. At x = 0 any slope from 0 to 1 is right; here it is 0.
No entry of y moves with another entry of x: of dx_k = Σ_j dy_j ∂y_j/∂x_k one path is left, j = k.
Source: X. Glorot, A. Bordes, Y. Bengio, *Deep Sparse Rectifier Neural Networks*, AISTATS 2011, section 3.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

OPERATION = {"x": "n d"}


def forward(x: Array) -> tuple[Array, Array]:
    return np.maximum(x, 0), x  # (n, d)


def backward(dy: Array, x: Array) -> Array:
    gate = x > 0  # (n, d)
    return np.where(gate, dy, 0)
