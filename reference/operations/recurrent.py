"""Recurrent layers: one step, and a sequence x (n, t, d) as a loop over its steps.

Layouts. CS231n's: one b, weights (d, gates*k) that are multiplied from the right, gates side by side in blocks of k
columns. Torch's (`..._cell`): weights (gates*k, d), two biases.

LSTM: c' = f c + i g and h' = o tanh(c'), with i, f, o = σ(a_i), σ(a_f), σ(a_o) and g = tanh(a_g); the blocks of a
stand in the order of `gates`, "ifog" in CS231n and "ifgo" in torch. Source: S. Hochreiter, J. Schmidhuber (1997),
with the forget gate of F. A. Gers et al. (2000).

GRU: h' = (1 - z) n + z h with r, z = σ(a_r), σ(a_z), blocks in the order r, z, n. K. Cho et al. (2014),
arXiv:1406.1078, reset h before the product, n = tanh(x W_n + (r h) U_n + b); torch resets after it,
n = tanh(x W_n + b + r (h U_n + u)).
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from reference.operations.operation import Operation, inputs


def _blocks(a: Array, number: int) -> list[Array]:
    """The blocks of equal width that lie side by side in a, (n, width) each."""
    width = a.shape[-1] // number
    return [lax.slice_in_dim(a, i * width, (i + 1) * width, axis=-1) for i in range(number)]


def _sequence(step: Callable[[Any, Array], Any], start: Any, x: Array) -> Array:
    """h (n, t, k) from step(state, x_t) -> state, whose first part, or only one, is h."""

    def once(state: Any, x_t: Array) -> tuple[Any, Array]:
        state = step(state, x_t)
        return state, state[0] if isinstance(state, tuple) else state

    _, h = lax.scan(once, start, x.transpose(1, 0, 2))  # (t, n, k)
    return h.transpose(1, 0, 2)


def rnn_step(x: Array, h: Array, Wx: Array, Wh: Array, b: Array) -> Array:
    """h' = tanh(x Wx + h Wh + b)."""
    return jnp.tanh(x @ Wx + h @ Wh + b)


def rnn(x: Array, h: Array, Wx: Array, Wh: Array, b: Array) -> Array:
    """All h', (n, t, k), from x (n, t, d) and the first h."""
    return _sequence(lambda h, x_t: rnn_step(x_t, h, Wx, Wh, b), h, x)


def rnn_cell(x: Array, h: Array, Wx: Array, Wh: Array, bx: Array, bh: Array) -> Array:
    """Torch's layout: h' = tanh(x Wxᵀ + bx + h Whᵀ + bh)."""
    return jnp.tanh(x @ Wx.T + bx + h @ Wh.T + bh)


def _lstm(a: Array, c: Array, gates: str) -> tuple[Array, Array]:
    block = dict(zip(gates, _blocks(a, 4), strict=True))
    i, f, o = (lax.logistic(block[gate]) for gate in "ifo")
    c = f * c + i * jnp.tanh(block["g"])
    return o * jnp.tanh(c), c


def lstm_step(
    x: Array, h: Array, c: Array, Wx: Array, Wh: Array, b: Array, *, gates: str
) -> tuple[Array, Array]:
    """h' and c', with a = x Wx + h Wh + b."""
    return _lstm(x @ Wx + h @ Wh + b, c, gates)


def lstm(x: Array, h: Array, Wx: Array, Wh: Array, b: Array, *, gates: str) -> Array:
    """All h', (n, t, k), from x (n, t, d) and the first h; the first c is 0."""

    def step(state: tuple[Array, Array], x_t: Array) -> tuple[Array, Array]:
        return lstm_step(x_t, *state, Wx, Wh, b, gates=gates)

    return _sequence(step, (h, jnp.zeros_like(h)), x)


def lstm_cell(
    x: Array, h: Array, c: Array, Wx: Array, Wh: Array, bx: Array, bh: Array
) -> tuple[Array, Array]:
    """Torch's layout and order of gates: h' and c', with a = x Wxᵀ + bx + h Whᵀ + bh."""
    return _lstm(x @ Wx.T + bx + h @ Wh.T + bh, c, "ifgo")


def _gru(from_x: Array, from_h: Array, h: Array) -> Array:
    """Torch's GRU, from the products with x and with h."""
    (xr, xz, xn), (hr, hz, hn) = _blocks(from_x, 3), _blocks(from_h, 3)
    r, z = lax.logistic(xr + hr), lax.logistic(xz + hz)
    return (1 - z) * jnp.tanh(xn + r * hn) + z * h


def gru_step(x: Array, h: Array, Wx: Array, Wh: Array, b: Array, *, reset: str) -> Array:
    """h', resetting "after" the product with h or "before" it."""
    if reset == "after":
        return _gru(x @ Wx + b, h @ Wh, h)
    xr, xz, xn = _blocks(x @ Wx + b, 3)
    Wr, Wz, Wn = _blocks(Wh, 3)
    r, z = lax.logistic(xr + h @ Wr), lax.logistic(xz + h @ Wz)
    return (1 - z) * jnp.tanh(xn + (r * h) @ Wn) + z * h


def gru(x: Array, h: Array, Wx: Array, Wh: Array, b: Array, *, reset: str) -> Array:
    """All h', (n, t, k), from x (n, t, d) and the first h."""
    return _sequence(lambda h, x_t: gru_step(x_t, h, Wx, Wh, b, reset=reset), h, x)


def gru_cell(x: Array, h: Array, Wx: Array, Wh: Array, bx: Array, bh: Array) -> Array:
    """Torch's layout, with two biases."""
    return _gru(x @ Wx.T + bx, h @ Wh.T + bh, h)


_RESET = {"reset": ("after", "before")}
_GATES = {"gates": ("ifog", "ifgo")}
_STEPS = {"t": (1, 2, 3, 5), "k": (1, 2, 3)}


def _of(gates: int, *, time: str = "", cell: str = "") -> dict[str, Any]:
    wide = f"{gates}*k" if gates > 1 else "k"
    return inputs(
        x=f"n {time} d", h="n k", **({"c": cell} if cell else {}), Wx=f"d {wide}", Wh=f"k {wide}", b=wide
    )


def _of_torch(gates: int, *, cell: str = "") -> dict[str, Any]:
    wide = f"{gates}*k" if gates > 1 else "k"
    weights = inputs(Wx=f"{wide} d", Wh=f"{wide} k", bx=wide, bh=wide)
    return {**inputs(x="n d", h="n k", **({"c": cell} if cell else {})), **weights}


RECURRENT = (
    Operation("rnn_step", rnn_step, _of(1)),
    Operation("rnn", rnn, _of(1, time="t"), sizes=_STEPS),
    Operation("rnn_cell", rnn_cell, _of_torch(1)),
    Operation("lstm_step", lstm_step, _of(4, cell="n k"), options=_GATES, outputs=(True, True)),
    Operation("lstm", lstm, _of(4, time="t"), options=_GATES, sizes=_STEPS),
    Operation("lstm_cell", lstm_cell, _of_torch(4, cell="n k"), outputs=(True, True)),
    Operation("gru_step", gru_step, _of(3), options=_RESET),
    Operation("gru", gru, _of(3, time="t"), options=_RESET, sizes=_STEPS),
    Operation("gru_cell", gru_cell, _of_torch(3)),
)
