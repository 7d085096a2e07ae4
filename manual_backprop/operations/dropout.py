"""Dropout with a given mask: some entries are set to 0, and the others scaled up so that the mean stays.

y = m x / (1 − q), with m = 1 for the entries that are kept, and the share q of those that are dropped on average.
∂y_j/∂x_k = δ_jk m_k / (1 − q), so of dx_k = Σ_j dy_j ∂y_j/∂x_k one path is left: dx = m dy / (1 − q), with the mask of
the forward pass, not a new one; what was dropped had no part in L. Who draws the mask keeps it for the way back.
Source: N. Srivastava and others, *Dropout: A Simple Way to Prevent Neural Networks from Overfitting*, JMLR 15 (2014),
section 10, where the scaling in training is proposed.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Cache = tuple[NDArray[np.bool], float]

OPERATION = {"x": "n d", "mask": {"axes": "n d", "values": "mask"}}
OPTIONS = {"rate": [0.5, 0.25]}


def forward(x: Array, mask: NDArray[np.bool], *, rate: float = 0.5) -> tuple[Array, Cache]:
    return np.where(mask, x / (1 - rate), 0), (mask, rate)  # (n, d)


def backward(dy: Array, cache: Cache) -> Array:
    mask, rate = cache
    return np.where(mask, dy / (1 - rate), 0)  # (n, d)
