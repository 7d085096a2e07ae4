"""Average pooling in two dimensions: the mean of each window.

y_ncij = (1/k²) Σ_u Σ_v x[n, c, si+u, sj+v]. Every entry of a window moves its mean by 1/k².
An entry that lies in several windows, where they overlap (stride < kernel), gets a share from each:
dx_ncab = Σ dy_ncij / k² over the windows (i, j) that cover x_ncab. What no window covers gets 0.
Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, *Gradient-Based Learning Applied to Document Recognition*,
Proceedings of the IEEE 86 (1998), section II.B.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.floating]
Cache = tuple[tuple[int, ...], int, int]

OPERATION = {"x": "n c h w"}
OPTIONS = {"kernel": [2, 3], "stride": [2, 1]}
SIZES = {"h": [4, 5, 6], "w": [3, 5, 7]}


def forward(x: Array, *, kernel: int = 2, stride: int = 2) -> tuple[Array, Cache]:
    windows = sliding_window_view(x, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]
    return windows.mean(axis=(4, 5)), (x.shape, kernel, stride)  # (n, c, i, j)


def backward(dy: Array, cache: Cache) -> Array:
    shape, kernel, stride = cache
    share = dy / (kernel * kernel)  # (n, c, i, j)
    dx = np.zeros(shape, dy.dtype)  # (n, c, h, w)
    rows, columns = stride * dy.shape[2], stride * dy.shape[3]
    for u, v in np.ndindex(kernel, kernel):
        dx[:, :, u : u + rows : stride, v : v + columns : stride] += share
    return dx
