"""Dense layer: every output is a weighted sum of all the inputs, and a bias.

y_nj = Σ_i x_ni W_ij + b_j. What moves when one number does?
x_ni moves every output of its own sample:  dx_ni = Σ_j dy_nj ∂y_nj/∂x_ni = Σ_j dy_nj W_ij, or dx = dy Wᵀ;
W_ij moves one output of every sample:      dW_ij = Σ_n dy_nj ∂y_nj/∂W_ij = Σ_n x_ni dy_nj, or dW = xᵀ dy;
b_j moves one output of every sample, by 1: db_j = Σ_n dy_nj.
Source: D. E. Rumelhart, G. E. Hinton, R. J. Williams, *Learning representations by back-propagating errors*,
Nature 323 (1986), equations 1, 6 and 7.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATION = {"x": "n d", "W": "d k", "b": "k"}


def forward(x: Array, W: Array, b: Array) -> tuple[Array, Arrays]:
    y = x @ W  # (n, k)
    y += b
    return y, (x, W)


def backward(dy: Array, cache: Arrays) -> Arrays:
    x, W = cache
    dW = x.T @ dy  # (d, k)
    db = np.ones(len(x), x.dtype) @ dy  # (k,): b is a weight whose x is 1 in every sample
    dx = dy @ W.T  # (n, d)
    return dx, dW, db
