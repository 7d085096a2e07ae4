"""Softmax loss: cross-entropy where each sample has one right class, given as a number.

L = (1/N) Σ_n (log Σ_k e^x_nk − x_ny), with the label y of the sample. x_nk is in the sum, with slope p_nk, the softmax;
and if k = y in the second term too, with slope −1: dx_nk = dL (p_nk − [k = y])/N.
The 1 is taken off in one place of every row, `p[rows, labels]`; `p[:, labels]` would take it off whole columns.
Source: C. M. Bishop, *Pattern Recognition and Machine Learning* (2006), equations 4.108 and 4.109.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Labels = NDArray[np.integer]

OPERATION = {"x": "n k", "labels": {"axes": "n", "values": "labels", "below": "k"}}


def forward(x: Array, labels: Labels) -> tuple[np.floating, tuple[Array, Labels]]:
    rows = np.arange(len(x))  # (n,)
    shifted = x - x.max(axis=1, keepdims=True)  # (n, k)
    e = np.exp(shifted)  # (n, k)
    total = e.sum(axis=1, keepdims=True)  # (n, 1)
    loss = np.sum(np.log(total[:, 0]) - shifted[rows, labels]) / len(x)
    return loss, (e / total, labels)


def backward(dloss: np.floating, cache: tuple[Array, Labels]) -> Array:
    p, labels = cache
    rows = np.arange(len(p))  # (n,)
    dx = p.copy()  # (n, k)
    dx[rows, labels] -= 1
    return dloss * dx / len(p)
