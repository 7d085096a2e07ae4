"""The dense layer, y = x W + b, with the steps of `network`.

y_il = Σ_k x_ik W_kl + b_l, so ∂y_il/∂x_ik = W_kl: x_k feeds every unit l and dx_ik sums over them.
∂y_il/∂W_kj = x_ik δ_lj: a weight feeds one unit, for every sample, so dW_kj sums over the samples.
Source: J. G. Makin, *Backpropagation* (2006), equations (10) and (16).
"""

from manual_backprop.activations import Array
from manual_backprop.layers.layer import Layer
from manual_backprop.network import into_bias, into_layer_below, into_weights


def _forward(x: Array, W: Array, b: Array | None) -> Array:
    z = x @ W  # (n, fan_out)
    return z if b is None else z + b


def _backward(dy: Array, x: Array, y: Array, W: Array, b: Array | None) -> tuple[Array, Array, Array | None]:
    del y
    dx = into_layer_below(dy, W)  # (n, fan_in)
    return dx, into_weights(x, dy), None if b is None else into_bias(dy)


DENSE = Layer(_forward, _backward)
