"""Mean squared error: over all outputs of all samples.

L = (1/NK) Σ_n Σ_k (x_nk − t_nk)², with the outputs x and the targets t.
x_nk is in one term of the double sum, so one path is left: dx_nk = dL ∂L/∂x_nk = dL (2/NK) (x_nk − t_nk).
A weight below moves every x_nk, and gets Σ_n Σ_k dx_nk ∂x_nk/∂w from the layers in between: all NK terms count.
Some texts have a ½ that eats the 2, or the sum over k in place of the mean: other losses, other factors.
Source: C. M. Bishop, *Pattern Recognition and Machine Learning* (2006), equation 5.11, which has ½ and the sum.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATION = {"x": "n k", "targets": {"axes": "n k", "constant": True}}


def forward(x: Array, targets: Array) -> tuple[np.floating, Arrays]:
    error = x - targets  # (n, k)
    return np.mean(error * error), (x, targets)


def backward(dloss: np.floating, cache: Arrays) -> Array:
    x, targets = cache
    return dloss * 2 * (x - targets) / x.size  # (n, k)
