"""Max pooling in two dimensions: the largest entry of each window.

y_ncij = max_uv x[n, c, si+u, sj+v]. Only the winner moves the maximum, by 1: ∂y/∂x = 1 there, and 0 elsewhere.
An entry may win several windows where they overlap (stride < kernel), and each sends its share back:
dx_ncab = Σ dy_ncij over the windows (i, j) that x_ncab won.
At a tie any split of 1 among the winners is right; here the first of the window, row by row, gets all of it.
Source: K. Jarrett and others, *What is the best multi-stage architecture for object recognition?*, ICCV 2009.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.floating]
Cache = tuple[Array, int, int]

OPERATION = {"x": "n c h w"}
OPTIONS = {"kernel": [2, 3], "stride": [2, 1]}
SIZES = {"h": [4, 5, 6], "w": [3, 5, 7]}


def forward(x: Array, *, kernel: int = 2, stride: int = 2) -> tuple[Array, Cache]:
    windows = sliding_window_view(x, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]
    y = windows.max(axis=(4, 5))  # (n, c, i, j)
    return y, (x, kernel, stride)


def backward(dy: Array, cache: Cache) -> Array:
    x, kernel, stride = cache
    windows = sliding_window_view(x, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]
    winner = windows.reshape(*dy.shape, -1).argmax(axis=-1)  # (n, c, i, j), at u · kernel + v
    dx = np.zeros_like(x)  # (n, c, h, w)
    rows, columns = stride * dy.shape[2], stride * dy.shape[3]
    for u, v in np.ndindex(kernel, kernel):
        share = np.where(winner == u * kernel + v, dy, 0)  # (n, c, i, j)
        dx[:, :, u : u + rows : stride, v : v + columns : stride] += share
    return dx
