"""Multi-head attention: a sequence attends to itself, in several heads that each see a slice of the features.

q, k, v = x Wq, x Wk, x Wv, cut into heads of d features; in each p = softmax(q kᵀ/√d), a = p v; y = a Wo.
Each product goes back as a dense layer, and within a head as attention does: dv = pᵀ da, dp = da vᵀ,
ds_im = Σ_j dp_ij ∂p_ij/∂s_im = p_im (dp_im − Σ_j dp_ij p_ij), dq = ds k/√d, dk = dsᵀ q/√d.
x is used three times, and three paths come back: dx = dq Wqᵀ + dk Wkᵀ + dv Wvᵀ.
Heads move by a transpose (n, t, heads, d) → (n, h, t, d): a reshape alone would mix steps with features.
Source: A. Vaswani and others, *Attention Is All You Need* (2017), arXiv:1706.03762, section 3.2.2.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATION = {"x": "n t m", "Wq": "m h*d", "Wk": "m h*d", "Wv": "m h*d", "Wo": "h*d m"}
OPTIONS = {"heads": [2, 1, 3]}
SIZES = {"h": [1, 2, 3]}


def valid(sizes: dict[str, int], options: dict[str, int]) -> bool:
    return sizes["h"] == options["heads"]


def split(a: Array, heads: int) -> Array:
    return a.reshape(*a.shape[:2], heads, -1).swapaxes(1, 2)  # (n, t, hd) to (n, h, t, d)


def merge(a: Array) -> Array:
    return a.swapaxes(1, 2).reshape(a.shape[0], a.shape[2], -1)  # (n, h, t, d) to (n, t, hd)


def forward(x: Array, Wq: Array, Wk: Array, Wv: Array, Wo: Array, *, heads: int = 2) -> tuple[Array, Arrays]:
    q, k, v = (split(x @ W, heads) for W in (Wq, Wk, Wv))  # (n, h, t, d)
    scores = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5  # (n, h, t, t)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)  # (n, h, t, t)
    a = merge(p @ v)  # (n, t, hd)
    return a @ Wo, (x, Wq, Wk, Wv, Wo, q, k, v, p, a)


def backward(dy: Array, cache: Arrays) -> Arrays:
    x, Wq, Wk, Wv, Wo, q, k, v, p, a = cache
    da = split(dy @ Wo.T, p.shape[1])  # (n, h, t, d)
    dp = da @ v.swapaxes(-1, -2)  # (n, h, t, t)
    dscores = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) * q.shape[-1] ** -0.5
    dq, dk, dv = merge(dscores @ k), merge(dscores.swapaxes(-1, -2) @ q), merge(p.swapaxes(-1, -2) @ da)
    dx = dq @ Wq.T + dk @ Wk.T + dv @ Wv.T  # (n, t, m)
    dWq, dWk, dWv, dWo = (np.einsum("nti,ntj->ij", *uses) for uses in ((x, dq), (x, dk), (x, dv), (a, dy)))
    return dx, dWq, dWk, dWv, dWo
