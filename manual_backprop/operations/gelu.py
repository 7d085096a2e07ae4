"""GELU: x weighted by the chance Φ(x) that a normal variable is below it; exact, and in its form with tanh.

y = x Φ(x). x is used twice, as the value and in the weight, and both paths count: ∂y/∂x = Φ(x) + x φ(x), with the
density φ(x) = e^(−x²/2)/√(2π) = Φ'(x). By erfc, Φ(x) = erfc(−x/√2)/2 keeps its digits in both tails.
The usual approximation is Φ(x) ≈ (1 + t)/2, t = tanh u, u = √(2/π) (x + 0.044715 x³). It is another function, with
a slope of its own: ∂y/∂x = (1 + t)/2 + x (1 − t²) u'/2, u' = √(2/π) (1 + 3 · 0.044715 x²).
Source: D. Hendrycks, K. Gimpel, *Gaussian Error Linear Units* (2016), arXiv:1606.08415, section 2.
"""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATIONS = {"gelu": {"x": "n d"}, "gelu_tanh": {"x": "n d"}}
ERFC = np.vectorize(math.erfc, otypes=[float])  # NumPy has none
ROOT, CUBIC = math.sqrt(2 / math.pi), 0.044715


def gelu_forward(x: Array) -> tuple[Array, Arrays]:
    weight = (ERFC(-x / math.sqrt(2)) / 2).astype(x.dtype)  # (n, d)
    return x * weight, (x, weight)


def gelu_backward(dy: Array, cache: Arrays) -> Array:
    x, weight = cache
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)  # (n, d)
    return dy * (weight + x * density)


def gelu_tanh_forward(x: Array) -> tuple[Array, Arrays]:
    t = np.tanh(ROOT * (x + CUBIC * x * x * x))  # (n, d)
    return x * (1 + t) / 2, (x, t)


def gelu_tanh_backward(dy: Array, cache: Arrays) -> Array:
    x, t = cache
    du = ROOT * (1 + 3 * CUBIC * x * x)  # (n, d)
    return dy * ((1 + t) / 2 + x * (1 - t * t) * du / 2)
