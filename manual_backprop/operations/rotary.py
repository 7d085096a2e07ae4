"""Rotary position embedding: pairs of features are turned by an angle that grows with the position.

Features j and j + d form a pair; at position t it turns by the angle θ = t base^(−j/d):
y_j = x_j cos θ − x_j+d sin θ, y_j+d = x_j sin θ + x_j+d cos θ. x_j moves both entries of its pair:
dx_j = dy_j ∂y_j/∂x_j + dy_j+d ∂y_j+d/∂x_j = dy_j cos θ + dy_j+d sin θ, and dx_j+d = −dy_j sin θ + dy_j+d cos θ.
That is the turn by −θ: the transpose of a rotation is its inverse.
Source: J. Su and others, *RoFormer: Enhanced Transformer with Rotary Position Embedding* (2021), arXiv:2104.09864,
equation 15; pairs of halves in place of neighbours as in GPT-NeoX.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATION = {"x": "n t 2*d"}
OPTIONS = {"base": [10000.0, 100.0]}


def turn(x: Array, cos: Array, sin: Array) -> Array:
    first, second = np.split(x, 2, axis=-1)  # each (n, t, d)
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


def forward(x: Array, *, base: float = 10000.0) -> tuple[Array, Arrays]:
    t, d = x.shape[1], x.shape[2] // 2
    angles = np.arange(t)[:, None] * base ** (-np.arange(d) / d)  # (t, d)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    return turn(x, cos, sin), (cos, sin)  # (n, t, 2d)


def backward(dy: Array, cache: Arrays) -> Array:
    cos, sin = cache
    return turn(dy, cos, -sin)  # (n, t, 2d)
