"""Residual connection: a layer adds to its input.

y = x + f(x), here f(x) = tanh(x W + b). x is used twice, and two paths come back: one straight, one through f:
dx_k = Σ_j dy_j ∂y_j/∂x_k = dy_k + Σ_j dy_j ∂f_j/∂x_k = dy + dz Wᵀ, with z = x W + b, dz = dy (1 − f²).
f's slope is taken from f, not from y. W and b have one path: dW = xᵀ dz, db = Σ_n dz_n.
However flat f is, dy gets through.
Source: K. He, X. Zhang, S. Ren, J. Sun, *Identity Mappings in Deep Residual Networks* (2016), arXiv:1603.05027,
equation 5.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATION = {"x": "n d", "W": "d d", "b": "d"}


def forward(x: Array, W: Array, b: Array) -> tuple[Array, Arrays]:
    f = np.tanh(x @ W + b)  # (n, d)
    return x + f, (x, W, f)


def backward(dy: Array, cache: Arrays) -> Arrays:
    x, W, f = cache
    dz = dy * (1 - f * f)  # (n, d)
    dx = dy + dz @ W.T  # (n, d)
    dW = x.T @ dz  # (d, d)
    db = dz.sum(axis=0)  # (d,)
    return dx, dW, db
