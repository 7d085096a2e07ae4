"""A residual connection, y = x + F(x): the layer F learns what is to be added to its input.

∂y_j/∂x_k = δ_jk + ∂F_j/∂x_k: x reaches y by two paths, and at a fork the gradients add up, so
dx = dy + (what F hands back). The cross terms are those of F.
Source: K. He et al., *Deep Residual Learning* (2015), arXiv:1512.03385, equation (1).
"""

from typing import Any

from manual_backprop.activations import Array
from manual_backprop.layers.layer import Layer


def residual(inner: Layer) -> Layer:
    """The layer x + inner(x), with the parameters of `inner`, which has as many units as inputs."""

    def forward(x: Array, *parameters: Array) -> Array:
        return x + inner.forward(x, *parameters)

    def backward(dy: Array, x: Array, y: Array, *parameters: Array) -> tuple[Any, ...]:
        del y  # y - x is the inner value with some of its digits lost, so it is computed again
        dx, *dparameters = inner.backward(dy, x, inner.forward(x, *parameters), *parameters)
        return dy + dx, *dparameters

    return Layer(forward, backward, by_sample=inner.by_sample)
