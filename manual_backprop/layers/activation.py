"""An activation of `activations` as a layer without parameters."""

from manual_backprop.activations import OUTPUTS, Array
from manual_backprop.layers.layer import Layer


def activation(name: str) -> Layer:
    """The layer y = f(x) for the row `name` of `OUTPUTS`; (n, units) to (n, units)."""
    row = OUTPUTS[name]

    def backward(dy: Array, x: Array, y: Array) -> tuple[Array]:
        return (row.backward(dy, x, y),)

    return Layer(row.forward, backward)
