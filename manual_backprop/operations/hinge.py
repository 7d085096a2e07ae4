"""Hinge loss for two classes: nothing is asked of what is right by a margin of 1.

L = (1/N) Σ_n max(0, 1 − t_n x_n), with the class t = ±1 and the score x, which is in one term.
The term is open where t x < 1, not where t x < 0: what is right by less than the margin still pays. There
dx_n = dL ∂L/∂x_n = −dL t_n/N, and elsewhere 0. At the corner any slope between is right; here it is 0.
Source: C. Cortes, V. Vapnik, *Support-Vector Networks*, Machine Learning 20 (1995), section 3, as a loss.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATION = {"x": "n", "labels": {"axes": "n", "values": "signs", "constant": True}}


def forward(x: Array, labels: Array) -> tuple[np.floating, Arrays]:
    return np.mean(np.maximum(0, 1 - labels * x)), (x, labels)


def backward(dloss: np.floating, cache: Arrays) -> Array:
    x, labels = cache
    is_open = labels * x < 1  # (n,)
    return np.where(is_open, -dloss * labels, 0) / len(x)  # (n,)
