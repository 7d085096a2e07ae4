"""The activations of a network, by name: each is a page of `operations`, and identity stands beside them.

A page has `forward(z)`, which gives h and a cache, and `backward(dh, cache)`, which gives dz. To add one, write its
page, add it here, and write its formula in `reference/network.py`.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from manual_backprop.operations import relu, sigmoid, softmax, softplus, tanh

Array = NDArray[Any]


class Activation(Protocol):
    """What a network asks of a page; all arrays are (n, units), and the cache is as the page likes it."""

    def forward(self, x: NDArray[np.floating], /) -> tuple[Array, Array]:
        """The h of every z, and the cache."""
        ...

    def backward(self, dy: NDArray[np.floating], cache: NDArray[np.floating], /) -> Array:
        """∂L/∂z_k = Σ_j ∂L/∂h_j ∂h_j/∂z_k from ∂L/∂h; an elementwise activation leaves the term j = k."""
        ...


class Identity:
    """y = x, so dx = dy: the output of a regression, and no page's worth."""

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        """x as it is."""
        return x, x

    def backward(self, dy: Array, cache: Array, /) -> Array:
        """dy as it is."""
        del cache
        return dy


ACTIVATIONS: dict[str, Activation] = {
    "identity": Identity(),
    "tanh": tanh,
    "sigmoid": sigmoid,
    "relu": relu,
    "softplus": softplus,
}
OUTPUTS: dict[str, Activation] = {**ACTIVATIONS, "softmax": softmax}
