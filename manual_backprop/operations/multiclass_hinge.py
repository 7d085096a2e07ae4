"""Hinge loss for several classes: the right score is to exceed each other one by a margin δ.

L = (1/N) Σ_n Σ_{j≠y} max(0, x_nj − x_ny + δ), with the label y of the sample.
x_nj, j ≠ y, is in one term, with slope 1 where it is open; x_ny is in all k − 1 of them, with slope −1 in each:
dx_nj = dL/N where open, and dx_ny = Σ_{j≠y} dL ∂L_nj/∂x_ny = −(number of open terms of the row) dL/N.
At a corner any slope between is right; here it is 0.
Source: J. Weston, C. Watkins, *Support Vector Machines for Multi-Class Pattern Recognition*, ESANN 1999.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Labels = NDArray[np.integer]

OPERATION = {"x": "n k", "labels": {"axes": "n", "values": "labels", "below": "k"}}
OPTIONS = {"delta": [1.0, 0.5]}


def forward(x: Array, labels: Labels, *, delta: float = 1.0) -> tuple[np.floating, tuple[Array, Labels]]:
    rows = np.arange(len(x))  # (n,)
    terms = np.maximum(0, x - x[rows, labels][:, None] + delta)  # (n, k)
    terms[rows, labels] = 0
    return np.sum(terms) / len(x), (terms, labels)


def backward(dloss: np.floating, cache: tuple[Array, Labels]) -> Array:
    terms, labels = cache
    rows = np.arange(len(terms))  # (n,)
    dx = np.where(terms > 0, dloss / len(terms), 0)  # (n, k)
    dx[rows, labels] = -dx.sum(axis=1)
    return dx
