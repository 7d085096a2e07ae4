"""An activation of `activations` as a layer without parameters."""

from manual_backprop.activations import OUTPUTS, Array
from manual_backprop.layers.layer import Layer


def activation(name: str) -> Layer:
    """The layer y = f(x) for the page `name` of `OUTPUTS`; (n, units) to (n, units)."""
    page = OUTPUTS[name]

    def forward(x: Array) -> Array:
        return page.forward(x)[0]

    def backward(dy: Array, x: Array, y: Array) -> tuple[Array]:
        del y
        return (page.backward(dy, page.forward(x)[1]),)

    return Layer(forward, backward)
