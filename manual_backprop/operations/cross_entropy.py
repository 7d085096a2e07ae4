"""Cross-entropy: of scores, fused with the softmax; and of probabilities, as the second of two steps.

L = −(1/N) Σ_n Σ_k t_nk log p_nk, with the targets t. p_k is in one term: dp_k = −t_k / (N p_k).
With p = softmax x before it, x_k moves every p_j of its row, ∂p_j/∂x_k = p_j (δ_jk − p_k), and
dx_k = Σ_j dp_j ∂p_j/∂x_k = p_k (dp_k − Σ_j dp_j p_j) = (p_k Σ_j t_j − t_k)/N: p − t, where a row of t sums to 1.
Fused, what was divided by p_k never is: nothing is lost where p_k rounds to 0, neither in dx nor in the loss,
L = (1/N) Σ_n Σ_k t_nk (log Σ_m e^x_nm − x_nk), where no logarithm meets a 0.
Source: C. M. Bishop, *Pattern Recognition and Machine Learning* (2006), equations 4.106 to 4.109.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

TARGETS = {"axes": "n k", "values": "probabilities", "constant": True}
OPERATIONS = {
    "cross_entropy": {"x": "n k", "targets": TARGETS},
    "cross_entropy_of_probabilities": {"x": {"axes": "n k", "values": "probabilities"}, "targets": TARGETS},
}


def cross_entropy_forward(x: Array, targets: Array) -> tuple[np.floating, Arrays]:
    shifted = x - x.max(axis=1, keepdims=True)  # (n, k)
    e = np.exp(shifted)  # (n, k)
    total = e.sum(axis=1, keepdims=True)  # (n, 1)
    loss = np.sum(targets * (np.log(total) - shifted)) / len(x)
    return loss, (e / total, targets)


def cross_entropy_backward(dloss: np.floating, cache: Arrays) -> Array:
    p, targets = cache
    error = p * targets.sum(axis=1, keepdims=True) - targets  # (n, k)
    return dloss * error / len(p)


def cross_entropy_of_probabilities_forward(x: Array, targets: Array) -> tuple[np.floating, Arrays]:
    return -np.sum(targets * np.log(x)) / len(x), (x, targets)


def cross_entropy_of_probabilities_backward(dloss: np.floating, cache: Arrays) -> Array:
    p, targets = cache
    return -dloss * targets / (p * len(p))  # (n, k)
