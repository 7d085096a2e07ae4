"""Recurrent layer with tanh: one step, and a sequence of steps that share their weights.

h' = tanh a, a = x Wx + h Wh + b. Back: da = dh' (1 − h'²), and from there a dense layer with two inputs:
dx = da Wxᵀ, dh = da Whᵀ, dWx = xᵀ da, dWh = hᵀ da, db = Σ_n da_n.
In a sequence h_t is used twice, as an output and by step t + 1, so both come back: dh_t = dy_t + (dh of step t + 1).
The weights are used at every step: dW = Σ_t dW_t. Hence from the last step to the first, adding.
Source: P. J. Werbos, *Backpropagation through time: what it does and how to do it*, Proceedings of the IEEE 78 (1990).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATIONS = {
    "rnn_step": {"x": "n d", "h": "n k", "Wx": "d k", "Wh": "k k", "b": "k"},
    "rnn": {"x": "n t d", "h": "n k", "Wx": "d k", "Wh": "k k", "b": "k"},
}


def rnn_step_forward(x: Array, h: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, Arrays]:
    new_h = np.tanh(x @ Wx + h @ Wh + b)  # (n, k)
    return new_h, (x, h, Wx, Wh, new_h)


def rnn_step_backward(dh: Array, cache: Arrays) -> Arrays:
    x, h, Wx, Wh, new_h = cache
    da = dh * (1 - new_h * new_h)  # (n, k)
    return da @ Wx.T, da @ Wh.T, x.T @ da, h.T @ da, da.sum(axis=0)


def rnn_forward(x: Array, h: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, list[Arrays]]:
    y, caches = list[Array](), list[Arrays]()
    for x_t in x.swapaxes(0, 1):
        h, cache = rnn_step_forward(x_t, h, Wx, Wh, b)  # (n, k)
        y, caches = [*y, h], [*caches, cache]
    return np.stack(y, axis=1), caches  # (n, t, k)


def rnn_backward(dy: Array, caches: list[Arrays]) -> Arrays:
    dx, carried, dweights = list[Array](), np.zeros_like(dy[:, 0]), [np.zeros((), dy.dtype)] * 3
    for t in reversed(range(len(caches))):
        dh = dy[:, t] + carried  # (n, k)
        dx_t, carried, *shares = rnn_step_backward(dh, caches[t])
        dx = [dx_t, *dx]
        dweights = [total + share for total, share in zip(dweights, shares, strict=True)]
    return np.stack(dx, axis=1), carried, *dweights
