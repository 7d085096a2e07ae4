"""Leaky rectified linear unit, one entry at a time.

y = x where x > 0, and αx elsewhere: ∂y/∂x = 1 or α, the `slope`. At x = 0 any slope between is right; here it is α.
No entry of y moves with another entry of x: of dx_k = Σ_j dy_j ∂y_j/∂x_k one path is left, j = k.
The slope multiplies what comes back, dy, as it multiplied x going forward.
Source: A. L. Maas, A. Y. Hannun, A. Y. Ng, *Rectifier Nonlinearities Improve Neural Network Acoustic Models*,
ICML 2013, section 2.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

OPERATION = {"x": "n d"}
OPTIONS = {"slope": [0.01, 0.2]}


def forward(x: Array, *, slope: float = 0.01) -> tuple[Array, tuple[Array, float]]:
    return np.where(x > 0, x, slope * x), (x, slope)  # (n, d)


def backward(dy: Array, cache: tuple[Array, float]) -> Array:
    x, slope = cache
    return np.where(x > 0, dy, slope * dy)  # (n, d)
