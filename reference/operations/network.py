"""A network of dense layers as one operation: layer by layer z = x W + b and h = f(z), and a loss of the last h.

Its inputs are W1, b1, W2, ..., X and y; the axes are n samples, d inputs, u1, u2, ... hidden units and k outputs.
Besides the loss it returns every z and every h, which have no cotangent: so a step can be told by its variable's name.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

from jax import Array

from reference.operations.activations import relu, sigmoid, softplus, tanh
from reference.operations.losses import (
    binary_cross_entropy,
    cross_entropy,
    half_mse,
    half_sse,
    mean_binary_cross_entropy,
    mse,
    softmax_cross_entropy,
    sse,
)
from reference.operations.operation import Input, Operation
from reference.operations.softmax import softmax

Activation = Callable[[Array], Array]
Loss = Callable[..., Array]


def identity(z: Array) -> Array:
    """h = 1 z, written as a step of its own: so the way back through every layer has the same steps."""
    return 1 * z


HIDDEN: Mapping[str, Activation] = {
    "identity": identity,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "relu": relu,
    "softplus": softplus,
}
OUTPUTS: Mapping[str, Activation] = {**HIDDEN, "softmax": softmax}
OF_OUTPUTS: Mapping[str, Loss] = {"mse": mse, "half_mse": half_mse, "sse": sse, "half_sse": half_sse}
"""Losses of the output o."""
OF_SCORES: Mapping[str, Loss] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mean_binary_cross_entropy": mean_binary_cross_entropy,
}
"""Losses of the last z, which have their output's activation inside."""


def dense(x: Array, W: Array, b: Array | None) -> Array:
    """z = x W + b, (n, fan_out)."""
    z = x @ W
    return z if b is None else z + b


def forward(
    *arrays: Array, activations: Sequence[Activation], loss: Loss, scores: bool, bias: Sequence[bool]
) -> tuple[Array, ...]:
    """The loss, and z1, h1, z2, ..., of which the last h is the output.

    Args:
        arrays: W1, b1, W2, ..., X, y; no b for a layer that has none.
        activations: of each layer.
        loss: of the last h and y; of the last z and y where it takes `scores`.
        scores: see `loss`.
        bias: whether a layer has one.
    """
    *parameters, h, y = arrays
    given, values, z = iter(parameters), list[Array](), h
    for activation, has_bias in zip(activations, bias, strict=True):
        W = next(given)
        z = dense(h, W, next(given) if has_bias else None)
        h = activation(z)
        values += z, h
    return loss(z if scores else h, y), *values


def network(
    layers: int,
    hidden: str,
    output: str,
    loss: str,
    reduction: str,
    *,
    bias: Sequence[bool] = (),
    labels: bool = False,
) -> Operation:
    """A network as an operation; the same one for the same choices.

    Args:
        layers: how many.
        hidden: the activation of all layers but the last, a name in `HIDDEN`.
        output: that of the last one, a name in `OUTPUTS`; an entropy goes with its own alone.
        loss: a name in `OF_OUTPUTS` or `OF_SCORES`.
        reduction: "mean" or "sum" over the samples.
        bias: whether a layer has one; all have where it is not given.
        labels: whether y are the numbers of classes, (n,), and not rows, (n, k): for a cross-entropy.

    Raises:
        KeyError: for a name that is not in the tables.
    """
    return _network(layers, hidden, output, loss, reduction, tuple(bias) or (True,) * layers, labels)


@cache
def _network(
    layers: int,
    hidden: str,
    output: str,
    loss: str,
    reduction: str,
    bias: tuple[bool, ...],
    labels: bool,  # noqa: FBT001
) -> Operation:
    activations = [HIDDEN[hidden]] * (layers - 1) + [OUTPUTS[output]]
    function = softmax_cross_entropy if labels else {**OF_OUTPUTS, **OF_SCORES}[loss]
    return of_functions(
        activations,
        partial(function, reduction=reduction),
        scores=loss in OF_SCORES,
        bias=bias,
        labels=labels,
    )


def of_functions(
    activations: Sequence[Activation],
    loss: Loss,
    *,
    scores: bool,
    bias: Sequence[bool],
    labels: bool = False,
) -> Operation:
    """A network of any activations and any loss, in the same inputs: see `forward`."""
    layers = len(activations)
    function = partial(forward, activations=tuple(activations), loss=loss, scores=scores, bias=tuple(bias))
    of_classes = Input("n", "labels", below="k") if labels else Input("n k", constant=True)
    inputs = {**dict(_parameters(bias)), "X": Input("n d", constant=True), "y": of_classes}
    return Operation("network", function, inputs, outputs=(True, *(False,) * (2 * layers)))


def _parameters(bias: Sequence[bool]) -> Iterator[tuple[str, Input]]:
    axes = ["d", *(f"u{layer}" for layer in range(1, len(bias))), "k"]
    for layer, has_bias in enumerate(bias, start=1):
        yield f"W{layer}", Input(f"{axes[layer - 1]} {axes[layer]}")
        if has_bias:
            yield f"b{layer}", Input(axes[layer])


def sizes_of(arrays: Mapping[str, Any], layers: int) -> dict[str, int]:
    """The sizes of all axes, from the arrays by name."""
    units = {f"u{layer}": arrays[f"W{layer}"].shape[1] for layer in range(1, layers)}
    return {"d": arrays["X"].shape[1], **units, "k": arrays[f"W{layers}"].shape[1], "n": len(arrays["X"])}
