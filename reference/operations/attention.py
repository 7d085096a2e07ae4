"""Attention: averages of values, whose weights are the softmax of products of queries and keys.

Source: A. Vaswani et al., *Attention Is All You Need* (2017), arXiv:1706.03762, section 3.2.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from reference.operations.by_hand import ByHand
from reference.operations.norms import count
from reference.operations.operation import Input, Operation, inputs
from reference.operations.softmax import softmax, softmax_backward


def scores(q: Array, k: Array) -> Array:
    """q kᵀ/√d, (..., t, s)."""
    return jnp.einsum("...td,...sd->...ts", q, k) / jnp.sqrt(count(q, (-1,)))


def masked_softmax(x: Array, mask: Array) -> Array:
    """The softmax over those entries of a row, at least one, whose mask is not 0; the others get 0."""
    return softmax(jnp.where(mask != 0, x, -jnp.inf))


def until_now(q: Array, k: Array) -> Array:
    """Whether query i may look at key j, (t, s): the last query looks at all keys, each one before at one fewer."""
    past = k.shape[-2] - q.shape[-2]
    here = lax.broadcasted_iota(jnp.int64, (q.shape[-2], k.shape[-2]), 0)
    return lax.broadcasted_iota(jnp.int64, (q.shape[-2], k.shape[-2]), 1) <= here + past


def weights(q: Array, k: Array) -> Array:
    """softmax(q kᵀ/√d); leading axes (samples, heads) are kept apart."""
    return softmax(scores(q, k))


def masked_weights(q: Array, k: Array, mask: Array) -> Array:
    """Query i looks at key j where mask_ij is not 0."""
    return masked_softmax(scores(q, k), mask)


def causal_weights(q: Array, k: Array) -> Array:
    """Query i looks at the keys until its own time; where there are more keys than queries, they came before."""
    return masked_weights(q, k, until_now(q, k))


def attention(q: Array, k: Array, v: Array) -> Array:
    """The average of the values with these weights."""
    return weights(q, k) @ v


def masked_attention(q: Array, k: Array, v: Array, mask: Array) -> Array:
    """The same with a mask."""
    return masked_weights(q, k, mask) @ v


def causal_attention(q: Array, k: Array, v: Array) -> Array:
    """The same, looking back alone."""
    return causal_weights(q, k) @ v


def attention_with_bias(q: Array, k: Array, v: Array, bias: Array) -> Array:
    """softmax(q kᵀ/√d + bias) v, as for relative positions."""
    return softmax(scores(q, k) + bias) @ v


def _split(x: Array, heads: int) -> Array:
    """(n, t, heads*d) to (n, heads, t, d)."""
    n, t, units = x.shape
    return x.reshape(n, t, heads, units // heads).transpose(0, 2, 1, 3)


def _joined(x: Array) -> Array:
    """(n, heads, t, d) to (n, t, heads*d)."""
    n, heads, t, d = x.shape
    return x.transpose(0, 2, 1, 3).reshape(n, t, heads * d)


def self_attention(x: Array, Wq: Array, Wk: Array, Wv: Array, *, causal: bool) -> Array:
    """One head, whose queries, keys and values are products of the same x."""
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    return causal_attention(q, k, v) if causal else attention(q, k, v)


def multi_head_attention(
    x: Array, Wq: Array, Wk: Array, Wv: Array, Wo: Array, *, heads: int, causal: bool
) -> Array:
    """Several heads side by side, and a product of what they return: head i has columns i*d to (i+1)*d."""
    q, k, v = (_split(x @ W, heads) for W in (Wq, Wk, Wv))
    return _joined(causal_attention(q, k, v) if causal else attention(q, k, v)) @ Wo


def attention_of_joined(x: Array, *, heads: int, causal: bool) -> Array:
    """Queries, keys and values lie beside each other in x (n, t, 3*heads*d), as in llm.c's `attention_forward`."""
    width = x.shape[-1] // 3
    q, k, v = (_split(lax.slice_in_dim(x, i * width, (i + 1) * width, axis=-1), heads) for i in range(3))
    return _joined(causal_attention(q, k, v) if causal else attention(q, k, v))


def _angles(x: Array, base: float) -> Array:
    """t base^{-j/d} for the time t and the pair j of x (n, t, 2*d), (t, d)."""
    pairs = x.shape[-1] // 2
    speeds = jnp.exp(-np.log(base) * lax.iota(x.dtype, pairs) / (count(x, (-1,)) / 2))
    return lax.iota(x.dtype, x.shape[-2])[:, None] * speeds


def rotary(x: Array, *, base: float) -> Array:
    """Entries j and j + d of x (n, t, 2*d) are turned by an angle that grows with the time.

    Source: J. Su et al., *RoFormer* (2021), arXiv:2104.09864, equation (34); the pairs as in GPT-NeoX.
    """
    angles = _angles(x, base)
    return apply_rotary(x, jnp.cos(angles), jnp.sin(angles))


def rotary_interleaved(x: Array, *, base: float) -> Array:
    """The same with entries 2j and 2j + 1 as pairs, as in the paper."""
    angles = _angles(x, base)
    c, s = jnp.cos(angles), jnp.sin(angles)
    pairs = x.reshape(*x.shape[:-1], x.shape[-1] // 2, 2)
    a, b = (lax.index_in_dim(pairs, i, axis=-1, keepdims=False) for i in (0, 1))
    turned = (a * c - b * s)[..., None], (a * s + b * c)[..., None]
    return jnp.concatenate(turned, axis=-1).reshape(x.shape)


def apply_rotary(x: Array, cos: Array, sin: Array) -> Array:
    """The halves a and b of x (n, t, 2*d) become a cos - b sin and b cos + a sin; cos and sin (t, d)."""
    pairs = x.shape[-1] // 2
    a, b = lax.slice_in_dim(x, 0, pairs, axis=-1), lax.slice_in_dim(x, pairs, 2 * pairs, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


# Another program: the backward pass with the weights' own formula.


def _by_hand(forward: Callable[..., Array], weights: Callable[..., Array]) -> ByHand:
    def backward(dy: Array, q: Array, k: Array, v: Array, *mask: Array) -> tuple[Array | None, ...]:
        p = weights(q, k, *mask)  # (..., t, s)
        dscores = softmax_backward(jnp.einsum("...te,...se->...ts", dy, v), p) / jnp.sqrt(count(q, (-1,)))
        return (
            jnp.einsum("...ts,...sd->...td", dscores, k),
            jnp.einsum("...ts,...td->...sd", dscores, q),
            jnp.einsum("...ts,...te->...se", p, dy),
            *(None for _ in mask),
        )

    return ByHand(forward, backward)


def lines_with_one(rng: np.random.Generator, shape: tuple[int, ...], sizes: Any) -> np.ndarray[Any, Any]:
    """A mask with at least one 1 in every line of the last axis."""
    del sizes
    mask = rng.integers(0, 2, shape).astype(float)
    np.put_along_axis(mask, rng.integers(0, shape[-1], (*shape[:-1], 1)), 1, axis=-1)
    return mask


_TIMES = {"t": (1, 2, 3, 5), "s": (1, 2, 4)}
_HEADS = {"heads": (1, 2, 3), "causal": (False, True)}


def _as_many_heads(sizes: Any, options: Any) -> bool:
    return sizes["h"] == options["heads"]


def _heads(name: str, forward: Callable[..., Array], also: tuple[str, ...], **axes: str) -> Operation:
    return Operation(
        name,
        forward,
        inputs(**axes),
        options=_HEADS,
        sizes={"h": (1, 2, 3), "t": _TIMES["t"], "d": (1, 2, 3)},
        valid=_as_many_heads,
        also=also,
        concrete=("h",),
    )


ATTENTION = (
    Operation(
        "attention",
        attention,
        inputs(q="n t d", k="n s d", v="n s e"),
        sizes=_TIMES,
        formulations=(_by_hand(attention, weights),),
        also=("scaled_dot_product_attention", "dot_product_attention"),
    ),
    Operation(
        "attention_of_heads",
        attention,
        inputs(q="n h t d", k="n h s d", v="n h s e"),
        sizes={"h": (1, 2, 3), **_TIMES},
        formulations=(_by_hand(attention, weights),),
    ),
    Operation(
        "masked_attention",
        masked_attention,
        inputs(q="n t d", k="n s d", v="n s e", mask=Input("n t s", lines_with_one, constant=True)),
        sizes=_TIMES,
        formulations=(_by_hand(masked_attention, masked_weights),),
    ),
    Operation(
        "causal_attention",
        causal_attention,
        inputs(q="n t d", k="n t d", v="n t e"),
        sizes={"t": _TIMES["t"]},
        formulations=(_by_hand(causal_attention, causal_weights),),
        also=("causal_self_attention",),
    ),
    Operation(
        "causal_attention_with_past",
        causal_attention,
        inputs(q="n t d", k="n p+t d", v="n p+t e"),
        sizes={"t": _TIMES["t"], "p": (1, 2, 3)},
    ),
    Operation(
        "attention_with_bias",
        attention_with_bias,
        inputs(q="n t d", k="n s d", v="n s e", bias="t s"),
        sizes=_TIMES,
    ),
    Operation(
        "self_attention",
        self_attention,
        inputs(x="n t d", Wq="d k", Wk="d k", Wv="d e"),
        options={"causal": (False, True)},
        sizes={"t": _TIMES["t"]},
    ),
    _heads(
        "multi_head_attention",
        multi_head_attention,
        ("multihead_attention", "mha"),
        x="n t m",
        Wq="m h*d",
        Wk="m h*d",
        Wv="m h*d",
        Wo="h*d m",
    ),
    _heads("attention_of_joined", attention_of_joined, ("qkv_attention",), x="n t 3*h*d"),
    Operation(
        "masked_softmax",
        masked_softmax,
        inputs(x="n k", mask=Input("n k", lines_with_one, constant=True)),
    ),
    Operation(
        "rotary",
        rotary,
        inputs(x="n t 2*d"),
        options={"base": (10000.0, 100.0)},
        sizes={"t": (1, 2, 3, 5), "d": (1, 2, 3)},
        also=("rope", "rotary_embedding"),
    ),
    Operation(
        "rotary_interleaved",
        rotary_interleaved,
        inputs(x="n t 2*d"),
        options={"base": (10000.0, 100.0)},
        sizes={"t": (1, 2, 3, 5), "d": (1, 2, 3)},
        also=("rope_interleaved",),
    ),
    Operation(
        "apply_rotary",
        apply_rotary,
        inputs(x="n t 2*d", cos=Input("t d", constant=True), sin=Input("t d", constant=True)),
    ),
)
