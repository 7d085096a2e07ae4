"""The network: pages of `operations` one after another, and their backward passes in the reverse order.

Forward, layer by layer:         z = x W + b,  h = f(z),  and h is the next layer's x.
Backward, from the last layer:   dh = ∂L/∂h  gives  dz = dh f'(z),  dW = xᵀ dz,  db = Σ_i dz_i,  and dx = dz Wᵀ,
                                 which is the dh of the layer below.

Each of these sums is the multivariable chain rule. dW[k, j] = Σ_i x[i, k] dz[i, j] has a term for
every sample i; w_kj feeds unit j alone, which is why no other unit of *this* layer is in it. But a
unit k feeds every unit of the layer above, so dx[i, k] = Σ_j dz[i, j] W[k, j] has a term for each.

The same code runs on float32, float64 and arrays of `fractions.Fraction`.
"""

from typing import Any, TypedDict

import numpy as np

from manual_backprop.activations import ACTIVATIONS, OUTPUTS, Activation, Array
from manual_backprop.losses import LOSSES, as_rows
from manual_backprop.operations import dense

Parameters = list[tuple[Array, Array | None]]
"""One (W, b) for each layer: W is (fan_in, fan_out), b is (fan_out,) or None for a layer without bias."""


class Names(TypedDict, total=False):
    """What a gradient is for, as keyword arguments of `gradient`."""

    hidden: str
    output: str
    loss: str
    reduction: str


def forward(
    parameters: Parameters, inputs: Array, *, hidden: str = "tanh", output: str = "identity"
) -> tuple[list[Array], list[Array]]:
    """Every z and every h of the forward pass; hs[0] is the inputs and hs[-1] the outputs, (n, K)."""
    zs, hs, _ = _through(parameters, inputs, _activations(len(parameters), hidden, output))
    return zs, hs


def loss(
    parameters: Parameters,
    inputs: Array,
    targets: Array,
    *,
    hidden: str = "tanh",
    output: str = "identity",
    loss: str = "mse",
    reduction: str = "mean",
) -> Any:
    """The loss of the whole batch, a scalar: L = (1/N) Σ_i L_i, or Σ_i L_i; arguments as `gradient`."""
    zs, hs = forward(parameters, inputs, hidden=hidden, output=output)
    return LOSSES[loss].value(zs[-1], hs[-1], as_rows(targets, like=hs[-1]), reduction)


def gradient(
    parameters: Parameters,
    inputs: Array,
    targets: Array,
    *,
    hidden: str = "tanh",
    output: str = "identity",
    loss: str = "mse",
    reduction: str = "mean",
) -> Parameters:
    """The gradient of the whole batch's loss, form (2), in one backward pass.

    Args:
        parameters: [(W, b), ...], W (fan_in, fan_out), b (fan_out,) or None.
        inputs: (n, fan_in of the first layer).
        targets: (n, K), or integer labels (n,), which count as one-hot rows.
        hidden: activation of the hidden layers, a name in `ACTIVATIONS`.
        output: activation of the last layer, a name in `OUTPUTS`.
        loss: a name in `LOSSES`; an entropy goes with its own output only.
        reduction: "mean" or "sum" over the samples.

    Returns:
        [(dW, db), ...] in the order, shapes and dtype of `parameters`; db is None where b is.

    Raises:
        KeyError: for a name that is not in the tables.
        ValueError: for an entropy whose output is another, or shapes that do not fit.
    """
    row = LOSSES[loss]
    if row.output not in (None, output):
        message = f"{loss} goes with a {row.output} output, not with {output}"
        raise ValueError(message)
    activations = _activations(len(parameters), hidden, output)
    _, hs, caches = _through(parameters, inputs, activations)
    if row.output is not None:
        activations[-1] = ACTIVATIONS["identity"]  # on the way back: the error of an entropy is ∂L/∂z already

    dh = row.error(hs[-1], as_rows(targets, like=hs[-1]), reduction)  # (n, K)
    gradients: Parameters = []
    for layer in reversed(range(len(parameters))):
        W, b = parameters[layer]
        dz = activations[layer].backward(dh, caches[layer])  # (n, fan_out)
        dh, dW, db = dense.backward(
            dz, (hs[layer], W if layer > 0 else W[:0])
        )  # nothing lies below the inputs
        gradients.append((dW, None if b is None else db))
    return gradients[::-1]


def _activations(layers: int, hidden: str, output: str) -> list[Activation]:
    """One for each layer."""
    return [*[OUTPUTS[hidden]] * (layers - 1), OUTPUTS[output]]


def _through(
    parameters: Parameters, inputs: Array, activations: list[Activation]
) -> tuple[list[Array], list[Array], list[Array]]:
    """Every z, every h with the inputs before them, and what each activation keeps for its way back."""
    zs: list[Array] = []
    hs = [inputs]  # (n, fan_in)
    caches: list[Array] = []
    for (W, b), activation in zip(parameters, activations, strict=True):
        z, _ = dense.forward(hs[-1], W, np.zeros(W.shape[1], W.dtype) if b is None else b)  # (n, fan_out)
        h, cache = activation.forward(z)  # (n, fan_out)
        zs.append(z)
        hs.append(h)
        caches.append(cache)
    return zs, hs, caches
