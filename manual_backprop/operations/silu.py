"""SiLU, or swish: x weighted by its own sigmoid, one entry at a time.

y = x s, s = σ(x) = 1/(1 + e^−x). x is used twice, as the value and in the gate, and both paths count:
∂y/∂x = s + x ∂s/∂x = s + x s (1 − s) = s + y (1 − s).
No entry of y moves with another entry of x: of dx_k = Σ_j dy_j ∂y_j/∂x_k the terms j = k are left.
Source: S. Elfwing, E. Uchibe, K. Doya, *Sigmoid-weighted linear units for neural network function approximation*,
Neural Networks 107 (2018), arXiv:1702.03118.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATION = {"x": "n d"}


def forward(x: Array) -> tuple[Array, Arrays]:
    e = np.exp(-np.abs(x))  # (n, d), in (0, 1]
    s = np.where(x >= 0, 1, e) / (1 + e)  # (n, d)
    return x * s, (x, s)


def backward(dy: Array, cache: Arrays) -> Array:
    x, s = cache
    through_value = s  # (n, d)
    through_gate = x * s * (1 - s)  # (n, d)
    return dy * (through_value + through_gate)
