"""Dropout with a given mask, y = x m, where m_ij is 0 for a unit that is dropped and 1/p for one kept.

∂y_ij/∂x_ij = m_ij and all others are 0, so dx = dy m, with the mask of the forward pass. The mask is
drawn with probability p of keeping a unit, which leaves the mean of y at x. It is given, so (1) = (2)
as long as each sample keeps its own.
Source: N. Srivastava et al., *Dropout*, Journal of Machine Learning Research 15 (2014), sections 4 and 10.
"""

from manual_backprop.activations import Array
from manual_backprop.layers.layer import Layer


def _forward(x: Array, mask: Array) -> Array:
    return x * mask


def _backward(dy: Array, x: Array, y: Array, mask: Array) -> tuple[Array, None]:
    del x, y
    return dy * mask, None


DROPOUT = Layer(_forward, _backward, by_sample=True)
