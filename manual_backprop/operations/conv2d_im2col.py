"""Convolution in two dimensions, as one product of matrices: each window becomes a row.

rows[r, cuv] = x[n, c, si+u, sj+v] for the window r = (n, i, j): y = rows Wᵀ + b is a dense layer, with W as (f, cuv).
And so it goes back: dW = dyᵀ rows, db = Σ_r dy_r, drows = dy W. One entry of x stands in as many rows as windows
cover it, and its derivative is the sum over all these uses: dx_ncab = Σ drows[r, cuv] over the r, u, v with
si + u = a, sj + v = b: adding is the transpose of copying.
Source: K. Chellapilla, S. Puri, P. Simard, *High Performance Convolutional Neural Networks for Document Processing*,
IWFHR 2006.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.floating]
Cache = tuple[Array, Array, tuple[int, ...], int, int]

OPERATION = {"x": "n c h w", "W": "f c kh kw", "b": "f"}
OPTIONS = {"stride": [1, 2], "padding": [0, 1]}
SIZES = {"h": [5, 6, 7], "w": [4, 5, 8], "kh": [1, 2, 3], "kw": [1, 2, 3]}
REFERENCE = "conv2d"


def forward(x: Array, W: Array, b: Array, *, stride: int = 1, padding: int = 0) -> tuple[Array, Cache]:
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))  # (n, c, H, W)
    windows = sliding_window_view(padded, W.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    n, _, i, j, *_ = windows.shape
    rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * i * j, -1)  # (nij, c·kh·kw)
    y = rows @ W.reshape(len(W), -1).T + b  # (nij, f)
    return y.reshape(n, i, j, -1).transpose(0, 3, 1, 2), (rows, W, padded.shape, stride, padding)


def backward(dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
    rows, W, padded_shape, stride, padding = cache
    n, f, i, j = dy.shape
    dy_rows = dy.transpose(0, 2, 3, 1).reshape(-1, f)  # (nij, f)
    dW = (dy_rows.T @ rows).reshape(W.shape)  # (f, c, kh, kw)
    db = dy_rows.sum(axis=0)  # (f,)
    drows = dy_rows @ W.reshape(f, -1)  # (nij, c·kh·kw)
    dwindows = drows.reshape(n, i, j, *W.shape[1:]).transpose(0, 3, 1, 2, 4, 5)  # (n, c, i, j, kh, kw)
    dpadded = np.zeros(padded_shape, dy.dtype)  # (n, c, H, W)
    for u, v in np.ndindex(W.shape[2:]):
        dpadded[:, :, u : u + stride * i : stride, v : v + stride * j : stride] += dwindows[..., u, v]
    height, width = padded_shape[2] - padding, padded_shape[3] - padding
    return dpadded[:, :, padding:height, padding:width], dW, db
