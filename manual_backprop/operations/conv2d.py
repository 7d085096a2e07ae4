"""Convolution in two dimensions, by windows: every kernel looks at every window of the image.

y_nfij = Σ_c Σ_u Σ_v x[n, c, si+u, sj+v] W_fcuv + b_f, with x padded by zeros, and stride s.
W_fcuv is used in every window of every sample: dW_fcuv = Σ_n Σ_i Σ_j dy_nfij x[n, c, si+u, sj+v].
x_ncab is in each window (i, j) that covers it, at the place u = a − si, v = b − sj, and every kernel f reads it:
dx_ncab = Σ_f Σ_u Σ_v dy_nfij W_fcuv over the (u, v) for which such a window is there. Windows overlap where the
stride is smaller than the kernel, so shares are added to dx (+=), one place of the window after the other.
Source: V. Dumoulin, F. Visin, *A guide to convolution arithmetic for deep learning* (2016), arXiv:1603.07285.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.floating]
Cache = tuple[Array, Array, int, int]

OPERATION = {"x": "n c h w", "W": "f c kh kw", "b": "f"}
OPTIONS = {"stride": [1, 2], "padding": [0, 1]}
SIZES = {"h": [5, 6, 7], "w": [4, 5, 8], "kh": [1, 2, 3], "kw": [1, 2, 3]}


def forward(x: Array, W: Array, b: Array, *, stride: int = 1, padding: int = 0) -> tuple[Array, Cache]:
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))  # (n, c, H, W)
    windows = sliding_window_view(padded, W.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    y = np.einsum("ncijuv,fcuv->nfij", windows, W, optimize=True) + b[:, None, None]  # (n, f, i, j)
    return y, (padded, W, stride, padding)


def backward(dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
    padded, W, stride, padding = cache
    windows = sliding_window_view(padded, W.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    dW = np.einsum("ncijuv,nfij->fcuv", windows, dy, optimize=True)  # (f, c, kh, kw)
    db = dy.sum(axis=(0, 2, 3))  # (f,)
    dpadded = np.zeros_like(padded)  # (n, c, H, W)
    rows, columns = stride * dy.shape[2], stride * dy.shape[3]
    for u, v in np.ndindex(W.shape[2:]):
        share = np.einsum("nfij,fc->ncij", dy, W[:, :, u, v], optimize=True)  # (n, c, i, j)
        dpadded[:, :, u : u + rows : stride, v : v + columns : stride] += share
    height, width = padded.shape[2] - padding, padded.shape[3] - padding
    return dpadded[:, :, padding:height, padding:width], dW, db
