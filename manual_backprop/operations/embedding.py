"""Embedding: each label looks up its row of a table.

y_nt = W[x_nt]. A row of W is read each time its label occurs, and each use sends its share back:
dW_v = Σ_n Σ_t dy_nt ∂y_nt/∂W_v = Σ dy_nt over the n, t with x_nt = v. A row that was never read gets 0.
NumPy's `dW[x] += dy` reads, adds and writes back once for each label, so that of several uses the last remains;
`np.add.at` adds them one by one.
Source: Y. Bengio and others, *A Neural Probabilistic Language Model*, JMLR 3 (2003), section 2, where C is the table.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Labels = NDArray[np.integer]
Cache = tuple[Labels, tuple[int, ...]]

OPERATION = {"x": {"axes": "n t", "values": "labels", "below": "v"}, "W": "v d"}


def forward(x: Labels, W: Array) -> tuple[Array, Cache]:
    return W[x], (x, W.shape)  # (n, t, d)


def backward(dy: Array, cache: Cache) -> Array:
    x, shape = cache
    dW = np.zeros(shape, dy.dtype)  # (v, d)
    np.add.at(dW, x, dy)
    return dW
