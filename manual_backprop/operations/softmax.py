"""Softmax: each row becomes positive numbers that sum to 1.

p_j = e^x_j / Σ_m e^x_m (x − max x in place of x changes nothing, and nothing overflows).
x_k is in p_k's numerator and in the denominator of every p_j: ∂p_j/∂x_k = p_j (δ_jk − p_k). Hence
dx_k = Σ_j dp_j ∂p_j/∂x_k = p_k (dp_k − Σ_j dp_j p_j).
The diagonal alone, p_k (1 − p_k), is wrong: raise one probability and the others must fall, since they sum to 1.
`jacobian` has all of it, for seeing; `backward` multiplies by it without making it.
Source: J. S. Bridle, *Training Stochastic Model Recognition Algorithms as Networks can Lead to Maximum Mutual
Information Estimation of Parameters*, NIPS 1989.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

OPERATION = {"x": "n k"}


def forward(x: Array) -> tuple[Array, Array]:
    e = np.exp(x - x.max(axis=-1, keepdims=True))  # (n, k)
    p = e / e.sum(axis=-1, keepdims=True)  # (n, k)
    return p, p


def backward(dp: Array, p: Array) -> Array:
    through_sum = (dp * p).sum(axis=-1, keepdims=True)  # (n, 1)
    return p * (dp - through_sum)  # (n, k)


def jacobian(x: Array) -> Array:
    _, p = forward(x)
    blocks = [np.diag(row) - np.outer(row, row) for row in p]  # n times (k, k): ∂p_j/∂x_k
    between = np.eye(len(x), dtype=x.dtype)  # (n, n): 0 between samples
    return np.einsum("nm,njk->njmk", between, np.stack(blocks))
