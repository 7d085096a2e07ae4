"""Scaled-dot-product attention: each query takes a mean of the values, weighted by how well their keys match.

s = q kᵀ/√d, p = softmax of each row of s, y = p v; causal: query i sees no key after it, s_ij = −∞ for j > i.
v_j is in the mean of every query:    dv_j = Σ_i p_ij dy_i, or dv = pᵀ dy;
p_ij weighs every entry of v_j:       dp_ij = Σ_e dy_ie v_je, or dp = dy vᵀ;
s_im moves every p_ij of its row:     ds_im = Σ_j dp_ij ∂p_ij/∂s_im = p_im (dp_im − Σ_j dp_ij p_ij);
q_i meets every key, k_j every query: dq_i = Σ_j ds_ij k_j/√d, dk_j = Σ_i ds_ij q_i/√d.
Where a key is hidden p = 0, and so is ds: causal attention goes back by the same lines.
Source: A. Vaswani and others, *Attention Is All You Need* (2017), arXiv:1706.03762, sections 3.2.1 and 3.2.3.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATIONS = {
    "attention": {"q": "n t d", "k": "n s d", "v": "n s e"},
    "causal_attention": {"q": "n t d", "k": "n t d", "v": "n t e"},
}


def attention_forward(q: Array, k: Array, v: Array, *, causal: bool = False) -> tuple[Array, Arrays]:
    scores = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5  # (n, t, s)
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))  # (n, t, s)
    p = e / e.sum(axis=-1, keepdims=True)  # (n, t, s)
    return p @ v, (q, k, v, p)  # (n, t, e)


def attention_backward(dy: Array, cache: Arrays) -> Arrays:
    q, k, v, p = cache
    dv = p.swapaxes(-1, -2) @ dy  # (n, s, e)
    dp = dy @ v.swapaxes(-1, -2)  # (n, t, s)
    through_sum = (dp * p).sum(axis=-1, keepdims=True)  # (n, t, 1)
    dscores = p * (dp - through_sum) * q.shape[-1] ** -0.5  # (n, t, s)
    dq = dscores @ k  # (n, t, d)
    dk = dscores.swapaxes(-1, -2) @ q  # (n, s, d)
    return dq, dk, dv


def causal_attention_forward(q: Array, k: Array, v: Array) -> tuple[Array, Arrays]:
    return attention_forward(q, k, v, causal=True)


causal_attention_backward = attention_backward
