"""Gated recurrent unit: a gate z keeps the old state or takes the new one; one step, and a sequence of steps.

(ar, az, an) = x Wx + b and (br, bz, bn) = h Wh, each cut in three; r = σ(ar + br), z = σ(az + bz),
n = tanh(an + r bn), h' = (1 − z) n + z h. h is used three times, kept by z, in the gates, and in bn behind r:
dh = dh' z + db Whᵀ, where, slopes included, dan = dh' (1 − z)(1 − n²), dbn = dan r, dar = dbr = dan bn r (1 − r),
and daz = dbz = dh' (h − n) z (1 − z). The rest is a dense layer with two inputs.
In a sequence h_t is used twice: dh_t = dy_t + (dh of step t + 1); and the weights at every step: dW = Σ_t dW_t.
Source: K. Cho and others (2014), arXiv:1406.1078, section 2.3, with r behind the product as in cuDNN.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

WEIGHTS = {"Wx": "d 3*k", "Wh": "k 3*k", "b": "3*k"}
OPERATIONS = {
    "gru_step": {"x": "n d", "h": "n k", **WEIGHTS},
    "gru": {"x": "n t d", "h": "n k", **WEIGHTS},
}


def gru_step_forward(x: Array, h: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, Arrays]:
    (ar, az, an), (br, bz, bn) = np.split(x @ Wx + b, 3, axis=1), np.split(h @ Wh, 3, axis=1)  # each (n, k)
    r, z = ((1 + np.tanh(a / 2)) / 2 for a in (ar + br, az + bz))  # σ(a), which can't overflow so
    n = np.tanh(an + r * bn)  # (n, k)
    return (1 - z) * n + z * h, (x, h, Wx, Wh, r, z, n, bn)


def gru_step_backward(dh: Array, cache: Arrays) -> Arrays:
    x, h, Wx, Wh, r, z, n, bn = cache
    dan = dh * (1 - z) * (1 - n * n)  # (n, k)
    dr, dz, dbn = dan * bn, dh * (h - n), dan * r
    gates = [dr * r * (1 - r), dz * z * (1 - z)]
    da, db = np.concatenate([*gates, dan], axis=1), np.concatenate([*gates, dbn], axis=1)  # (n, 3k)
    return da @ Wx.T, dh * z + db @ Wh.T, x.T @ da, h.T @ db, da.sum(axis=0)


def gru_forward(x: Array, h: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, list[Arrays]]:
    y, caches = list[Array](), list[Arrays]()
    for x_t in x.swapaxes(0, 1):
        h, cache = gru_step_forward(x_t, h, Wx, Wh, b)  # (n, k)
        y, caches = [*y, h], [*caches, cache]
    return np.stack(y, axis=1), caches  # (n, t, k)


def gru_backward(dy: Array, caches: list[Arrays]) -> Arrays:
    dx, carried, dweights = list[Array](), np.zeros_like(dy[:, 0]), [np.zeros((), dy.dtype)] * 3
    for t in reversed(range(len(caches))):
        dh = dy[:, t] + carried  # (n, k)
        dx_t, carried, *shares = gru_step_backward(dh, caches[t])
        dx = [dx_t, *dx]
        dweights = [total + share for total, share in zip(dweights, shares, strict=True)]
    return np.stack(dx, axis=1), carried, *dweights
