"""What the catalogue has no name for: arrays of another layer, by an index that is off by one, or not as they were."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Unpack

import numpy as np

from manual_backprop import OUTPUTS, Parameters
from manual_backprop.activations import Array, Elementwise, Softmax
from manual_backprop.losses import LOSSES, as_rows
from manual_backprop.mistakes.catalogue import Gradient, Names
from manual_backprop.network import forward, into_bias, into_weights, over_the_batch
from properties.cases import Case
from properties.diagnosis.hypotheses import Hypothesis


@dataclass(frozen=True)
class _Off:
    """By how many layers an index is off: of h in dW, of W on the way down, of z and h in the slope."""

    h: int = 0
    W: int = 0
    slope: int = 0


NEIGHBOURS = {
    "dW is made with the output of its layer, not with the input": _Off(h=1),
    "dW is made with the input of the layer below": _Off(h=-1),
    "the error goes down by the weights of the layer below": _Off(W=-1),
    "the error goes down by the weights of the layer above": _Off(W=1),
    "the slope is that of the layer above": _Off(slope=1),
    "the slope is that of the layer below": _Off(slope=-1),
}
"""Indices that are off by one, and fit where the layers are as wide."""


def with_arrays_of_another_layer(case: Case) -> Iterator[Hypothesis]:
    """An index off by one, wherever there is such a layer, or in one layer alone."""
    layers = len(case.parameters)
    for text, off in NEIGHBOURS.items():
        yield Hypothesis((), text, _neighbouring(off, lambda layer: True))
        for only in range(layers if layers > 1 else 0):
            yield Hypothesis((), f"{text}, in layer {only + 1}", _neighbouring(off, only.__eq__))


def _neighbouring(off: _Off, is_off: Callable[[int], bool]) -> Gradient:
    """The backward pass with indices that are off in some layers, counted from 0; right where there is no such."""

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        hidden, output, loss = OUTPUTS[names["hidden"]], OUTPUTS[names["output"]], LOSSES[names["loss"]]
        zs, hs = forward(parameters, inputs, hidden=names["hidden"], output=names["output"])

        def moved(layer: int, by: int, count: int) -> int:
            return layer + by if is_off(layer) and 0 <= layer + by < count else layer

        dz = over_the_batch(loss.error(hs[-1], as_rows(targets, like=hs[-1])), names["reduction"])
        if loss.output is None:
            dz = output.backward(dz, zs[-1], hs[-1])
        gradients: Parameters = []
        for layer in reversed(range(len(parameters))):
            dW = into_weights(hs[moved(layer, off.h, len(hs))], dz)
            gradients.append((dW, None if parameters[layer][1] is None else into_bias(dz)))
            if layer:
                dh = dz @ parameters[moved(layer, off.W, len(parameters))][0].T
                at = moved(layer - 1, off.slope, len(zs))
                dz = hidden.backward(dh, zs[at], hs[at + 1])
        return gradients[::-1]

    return wrong


@dataclass(frozen=True)
class _Layer:
    """What the way up leaves of a hidden layer for the way down."""

    activation: Elementwise | Softmax
    b: Array | None
    z: Array
    h: Array


Memory = Callable[[_Layer], tuple[Array, Array]]
"""z and h as they are taken on the way down."""


def _as_they_were(layer: _Layer) -> tuple[Array, Array]:
    return layer.z, layer.h


def _without_bias(layer: _Layer) -> tuple[Array, Array]:
    z = layer.z if layer.b is None else layer.z - layer.b
    return z, layer.activation.forward(z)


def _h_in(dtype: type[np.floating]) -> Memory:
    return lambda layer: (layer.z, layer.h.astype(dtype).astype(float))


def _z_in(dtype: type[np.floating]) -> Memory:
    def memory(layer: _Layer) -> tuple[Array, Array]:
        z = layer.z.astype(dtype).astype(float)
        return z, layer.activation.forward(z)

    return memory


def _centred(layer: _Layer) -> tuple[Array, Array]:
    return layer.z, layer.h - layer.h.mean(axis=0)


MEMORIES: Mapping[str, tuple[Memory, Memory]] = {
    "the slope is taken at z without its bias": (_without_bias, _as_they_were),
    "h is kept in half precision (float16) for the way down": (_h_in(np.float16), _h_in(np.float16)),
    "the slope is made with h in half precision (float16)": (_h_in(np.float16), _as_they_were),
    "dW is made with h in half precision (float16)": (_as_they_were, _h_in(np.float16)),
    "z is kept in half precision (float16) for the slope": (_z_in(np.float16), _as_they_were),
    "dW is made with h less its mean over the batch": (_as_they_were, _centred),
}
"""What the slope is made with, and what dW is."""


def with_other_memories(case: Case) -> Iterator[Hypothesis]:
    """z or h of the hidden layers that are not on the way down what they were on the way up."""
    if len(case.parameters) > 1:
        for text, (of_slope, of_weights) in MEMORIES.items():
            yield Hypothesis((), text, _remembering(of_slope, of_weights))


def _remembering(of_slope: Memory, of_weights: Memory) -> Gradient:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        hidden, output, loss = OUTPUTS[names["hidden"]], OUTPUTS[names["output"]], LOSSES[names["loss"]]
        zs, hs = forward(parameters, inputs, hidden=names["hidden"], output=names["output"])
        layers = [
            _Layer(hidden, b, z, h) for (_, b), z, h in zip(parameters[:-1], zs[:-1], hs[1:-1], strict=True)
        ]
        dz = over_the_batch(loss.error(hs[-1], as_rows(targets, like=hs[-1])), names["reduction"])
        if loss.output is None:
            dz = output.backward(dz, zs[-1], hs[-1])
        gradients: Parameters = []
        for number in reversed(range(len(parameters))):
            x = of_weights(layers[number - 1])[1] if number else inputs
            W, b = parameters[number]
            gradients.append((into_weights(x, dz), None if b is None else into_bias(dz)))
            if number:
                dz = hidden.backward(dz @ W.T, *of_slope(layers[number - 1]))
        return gradients[::-1]

    return wrong
