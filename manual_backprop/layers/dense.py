"""The dense layer, y = x W + b, by its page of `operations`; b may be missing.

y_il = Σ_k x_ik W_kl + b_l, so ∂y_il/∂x_ik = W_kl: x_k feeds every unit l and dx_ik sums over them.
∂y_il/∂W_kj = x_ik δ_lj: a weight feeds one unit, for every sample, so dW_kj sums over the samples.
Source: J. G. Makin, *Backpropagation* (2006), equations (10) and (16).
"""

from manual_backprop.activations import Array
from manual_backprop.layers.layer import Layer
from manual_backprop.operations import dense


def _forward(x: Array, W: Array, b: Array | None) -> Array:
    return x @ W if b is None else dense.forward(x, W, b)[0]  # (n, fan_out)


def _backward(dy: Array, x: Array, y: Array, W: Array, b: Array | None) -> tuple[Array, Array, Array | None]:
    del y
    dx, dW, db = dense.backward(dy, (x, W))
    return dx, dW, None if b is None else db


DENSE = Layer(_forward, _backward)
