"""Long short-term memory: a cell c that gates write, keep and read; one step, and a sequence of steps.

(i, f, o, g) = (σ, σ, σ, tanh) of a = x Wx + h Wh + b, cut in four; c' = f c + i g, h' = o tanh c'.
c' is used twice, by the next step and by h', and both paths count: dc' = (from the next step) + dh' o (1 − tanh² c').
di = dc' g, df = dc' c, do = dh' tanh c', dg = dc' i, each times its slope, are da; dc = dc' f; the rest is dense.
In a sequence h_t is used twice too: dh_t = dy_t + (dh of step t + 1); and the weights at every step: dW = Σ_t dW_t.
Source: S. Hochreiter, J. Schmidhuber, *Long Short-Term Memory*, Neural Computation 9 (1997); with the gate f of
F. A. Gers and others, Neural Computation 12 (2000); the order of the gates is that of CS231n; c starts at 0.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

WEIGHTS = {"Wx": "d 4*k", "Wh": "k 4*k", "b": "4*k"}
OPERATIONS = {
    "lstm_step": {"x": "n d", "h": "n k", "c": "n k", **WEIGHTS},
    "lstm": {"x": "n t d", "h": "n k", **WEIGHTS},
}


def lstm_step_forward(x: Array, h: Array, c: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Arrays, Arrays]:
    *gates, g = np.split(x @ Wx + h @ Wh + b, 4, axis=1)  # each (n, k)
    i, f, o = ((1 + np.tanh(a / 2)) / 2 for a in gates)  # σ(a), which can't overflow so
    new_c = f * c + i * np.tanh(g)  # (n, k)
    return (o * np.tanh(new_c), new_c), (x, h, c, Wx, Wh, i, f, o, np.tanh(g), np.tanh(new_c))


def lstm_step_backward(dy: Arrays, cache: Arrays) -> Arrays:
    dh, dc = dy  # each (n, k)
    x, h, c, Wx, Wh, i, f, o, g, tanh_c = cache
    dc = dc + dh * o * (1 - tanh_c * tanh_c)  # (n, k)
    di, df, do, dg = dc * g, dc * c, dh * tanh_c, dc * i
    da = [di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g * g)]
    da = np.concatenate(da, axis=1)  # (n, 4k)
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, h.T @ da, da.sum(axis=0)


def lstm_forward(x: Array, h: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, list[Arrays]]:
    c, y, caches = np.zeros_like(h), list[Array](), list[Arrays]()
    for x_t in x.swapaxes(0, 1):
        (h, c), cache = lstm_step_forward(x_t, h, c, Wx, Wh, b)  # each (n, k)
        y, caches = [*y, h], [*caches, cache]
    return np.stack(y, axis=1), caches  # (n, t, k)


def lstm_backward(dy: Array, caches: list[Arrays]) -> Arrays:
    dx, dweights = list[Array](), [np.zeros((), dy.dtype)] * 3
    carried_h = carried_c = np.zeros_like(dy[:, 0])  # (n, k)
    for t in reversed(range(len(caches))):
        dh = dy[:, t] + carried_h  # (n, k)
        dx_t, carried_h, carried_c, *shares = lstm_step_backward((dh, carried_c), caches[t])
        dx = [dx_t, *dx]
        dweights = [total + share for total, share in zip(dweights, shares, strict=True)]
    return np.stack(dx, axis=1), carried_h, *dweights
