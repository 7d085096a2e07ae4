"""The network, its loss, and the backward pass by hand.

Forward, layer by layer:         z = x W + b,  h = f(z),  and h is the next layer's x.
Backward, from the last layer:   dz = ∂L/∂z  gives  dW = xᵀ dz,  db = Σ_i dz_i,  dx = dz Wᵀ.

Each of these sums is the multivariable chain rule. dW[k, j] = Σ_i x[i, k] dz[i, j] has a term for
every sample i; w_kj feeds unit j alone, which is why no other unit of *this* layer is in it. But a
unit k feeds every unit of the layer above, so dx[i, k] = Σ_j dz[i, j] W[k, j] has a term for each.

The same code runs on float32, float64 and arrays of `fractions.Fraction`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from manual_backprop.activations import OUTPUTS, Array, Elementwise, Softmax
from manual_backprop.losses import LOSSES, Loss, as_rows, divisor

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
    zs: list[Array] = []
    hs = [inputs]  # (n, fan_in)
    for layer, (W, b) in enumerate(parameters, start=1):
        z = hs[-1] @ W  # (n, fan_out)
        if b is not None:
            z += b
        zs.append(z)
        hs.append(OUTPUTS[output if layer == len(parameters) else hidden].forward(z))
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
) -> Array:
    """The loss of the whole batch, a scalar: L = (1/N) Σ_i L_i, or Σ_i L_i; arguments as `gradient`."""
    zs, hs = forward(parameters, inputs, hidden=hidden, output=output)
    losses = LOSSES[loss].value(zs[-1], hs[-1], as_rows(targets, like=hs[-1]))  # (n,)
    return losses.sum() / divisor(len(inputs), reduction)


def output_error(loss: Loss, o: Array, y: Array) -> Array:
    """∂L_i/∂o_ij for every sample i and output j, (n, K); ∂L_i/∂z_ij for an entropy (see `losses`)."""
    return loss.error(o, y)


def over_the_batch(error: Array, reduction: str) -> Array:
    """The batch's loss is (1/N) Σ_i L_i, so each sample's error counts 1/N; for a sum it counts 1."""
    return error / divisor(len(error), reduction)  # (n, K)


def through_activation(activation: Elementwise | Softmax, dh: Array, z: Array, h: Array) -> Array:
    """∂L/∂z_k = Σ_j ∂L/∂h_j ∂h_j/∂z_k, (n, units); an elementwise activation leaves the term j = k."""
    return activation.backward(dh, z, h, out=dh)  # nothing else reads dh, so its memory is free


def into_weights(x: Array, dz: Array) -> Array:
    """∂L/∂W[k, j] = Σ_i x[i, k] dz[i, j], (fan_in, fan_out): every sample passed through this weight."""
    return x.T @ dz


def into_bias(dz: Array) -> Array:
    """∂L/∂b[j] = Σ_i 1 · dz[i, j], (fan_out,): a bias is a weight whose x is 1 in every sample."""
    return np.ones(len(dz), dz.dtype) @ dz


def into_layer_below(dz: Array, W: Array) -> Array:
    """∂L/∂x[i, k] = Σ_j dz[i, j] W[k, j], (n, fan_in): x_k has a path through every unit it feeds."""
    return dz @ W.T


@dataclass(frozen=True)
class Rule:
    """The backward pass as its steps. A mistake is `dataclasses.replace(RIGHT_RULE, one_step=wrong)`."""

    output_error: Callable[[Loss, Array, Array], Array] = output_error
    over_the_batch: Callable[[Array, str], Array] = over_the_batch
    through_output: Callable[[Elementwise | Softmax, Array, Array, Array], Array] = through_activation
    through_hidden: Callable[[Elementwise | Softmax, Array, Array, Array], Array] = through_activation
    into_weights: Callable[[Array, Array], Array] = into_weights
    into_bias: Callable[[Array], Array] = into_bias
    into_layer_below: Callable[[Array, Array], Array] = into_layer_below


RIGHT_RULE = Rule()


def gradient(
    parameters: Parameters,
    inputs: Array,
    targets: Array,
    *,
    hidden: str = "tanh",
    output: str = "identity",
    loss: str = "mse",
    reduction: str = "mean",
    rule: Rule = RIGHT_RULE,
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
        rule: the steps of the backward pass; `mistakes` gives wrong ones.

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

    zs, hs = forward(parameters, inputs, hidden=hidden, output=output)
    error = rule.output_error(row, hs[-1], as_rows(targets, like=hs[-1]))  # (n, K)
    dz = rule.over_the_batch(error, reduction)  # (n, K)
    if row.output is None:
        dz = rule.through_output(OUTPUTS[output], dz, zs[-1], hs[-1])  # (n, K)

    gradients: Parameters = []
    for layer in reversed(range(len(parameters))):
        W, b = parameters[layer]
        dW = rule.into_weights(hs[layer], dz)  # (fan_in, fan_out)
        db = None if b is None else rule.into_bias(dz)  # (fan_out,)
        gradients.append((dW, db))
        if layer > 0:
            dh = rule.into_layer_below(dz, W)  # (n, fan_in)
            dz = rule.through_hidden(OUTPUTS[hidden], dh, zs[layer - 1], hs[layer])  # (n, fan_in)
    return gradients[::-1]
