"""Binary cross-entropy of scores: each output is a yes or no of its own.

L = −(1/N) Σ_n Σ_k [t log p + (1 − t) log(1 − p)], p = σ(x) = 1/(1 + e^−x). As log(1 − p) = −log(1 + e^x) and
log p = x − log(1 + e^x), a term is log(1 + e^x) − t x = max(x, 0) + log(1 + e^−|x|) − t x.
x is used twice in it: through log(1 + e^x) its slope is σ(x), through −t x it is −t. So dx = dL (σ(x) − t)/N.
The sigmoid's slope p (1 − p) is in it already: it cancelled against the 1/p and 1/(1 − p) of the logarithms.
Source: C. M. Bishop, *Pattern Recognition and Machine Learning* (2006), equations 4.90 and 4.91.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATION = {"x": "n k", "targets": {"axes": "n k", "values": "unit", "constant": True}}


def forward(x: Array, targets: Array) -> tuple[np.floating, Arrays]:
    e = np.exp(-np.abs(x))  # (n, k), in (0, 1]
    softplus = np.maximum(x, 0) + np.log1p(e)  # (n, k)
    p = np.where(x >= 0, 1, e) / (1 + e)  # (n, k)
    return np.sum(softplus - targets * x) / len(x), (p, targets)


def backward(dloss: np.floating, cache: Arrays) -> Array:
    p, targets = cache
    return dloss * (p - targets) / len(p)  # (n, k)
