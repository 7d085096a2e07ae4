"""Logarithm of the softmax: each row becomes log-probabilities.

y_j = x_j − log Σ_m e^x_m. x_k moves its own y_k by 1, and by way of the sum every y_j of its row:
∂y_j/∂x_k = δ_jk − p_k, with p = e^y, the softmax. Hence
dx_k = Σ_j dy_j ∂y_j/∂x_k = dy_k − p_k Σ_j dy_j.
With x − max x in place of x nothing overflows, and no probability that rounds to 0 meets a logarithm.
Source: C. M. Bishop, *Pattern Recognition and Machine Learning* (2006), equations 4.104 to 4.106.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

OPERATION = {"x": "n k"}


def forward(x: Array) -> tuple[Array, Array]:
    shifted = x - x.max(axis=-1, keepdims=True)  # (n, k)
    y = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))  # (n, k)
    return y, y


def backward(dy: Array, y: Array) -> Array:
    through_sum = np.exp(y) * dy.sum(axis=-1, keepdims=True)  # (n, k)
    return dy - through_sum
