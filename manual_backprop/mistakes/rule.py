"""The backward pass of `network.gradient` cut into steps, so that one of them can be replaced: that is a mistake.

A rule is called as the gradient is. `RIGHT_RULE` gives the same numbers, to rounding; `Rule(into_bias=wrong)` is
the same pass with that one step written wrongly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Unpack

import numpy as np

from manual_backprop.activations import OUTPUTS, Activation, Array
from manual_backprop.losses import LOSSES, Loss, as_rows, divisor
from manual_backprop.network import Names, Parameters, forward


def output_error(loss: Loss, o: Array, y: Array) -> Array:
    """∂L_i/∂o_ij for every sample i and output j, (n, K); ∂L_i/∂z_ij for an entropy (see `losses`)."""
    return loss.error(o, y, "sum")


def over_the_batch(error: Array, reduction: str) -> Array:
    """The batch's loss is (1/N) Σ_i L_i, so each sample's error counts 1/N; for a sum it counts 1."""
    return error / divisor(len(error), reduction)  # (n, K)


def through_activation(activation: Activation, dh: Array, z: Array, h: Array) -> Array:
    """∂L/∂z_k = Σ_j ∂L/∂h_j ∂h_j/∂z_k, (n, units); an elementwise activation leaves the term j = k."""
    del h
    _, cache = activation.forward(z)
    return activation.backward(dh, cache)


def into_weights(x: Array, dz: Array) -> Array:
    """∂L/∂W[k, j] = Σ_i x[i, k] dz[i, j], (fan_in, fan_out): every sample passed through this weight."""
    return x.T @ dz


def into_bias(dz: Array) -> Array:
    """∂L/∂b[j] = Σ_i 1 · dz[i, j], (fan_out,): a bias is a weight whose x is 1 in every sample."""
    return np.sum(dz, axis=0)


def into_layer_below(dz: Array, W: Array) -> Array:
    """∂L/∂x[i, k] = Σ_j dz[i, j] W[k, j], (n, fan_in): x_k has a path through every unit it feeds."""
    return dz @ W.T


@dataclass(frozen=True)
class Rule:
    """The steps of a backward pass, the right one where none is given."""

    output_error: Callable[[Loss, Array, Array], Array] = output_error
    over_the_batch: Callable[[Array, str], Array] = over_the_batch
    through_output: Callable[[Activation, Array, Array, Array], Array] = through_activation
    through_hidden: Callable[[Activation, Array, Array, Array], Array] = through_activation
    into_weights: Callable[[Array, Array], Array] = into_weights
    into_bias: Callable[[Array], Array] = into_bias
    into_layer_below: Callable[[Array, Array], Array] = into_layer_below

    def __call__(
        self, parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]
    ) -> Parameters:
        """The gradient by these steps; arguments and result as `network.gradient`."""
        hidden, output = names.get("hidden", "tanh"), names.get("output", "identity")
        loss = LOSSES[names.get("loss", "mse")]
        zs, hs = forward(parameters, inputs, hidden=hidden, output=output)
        error = self.output_error(loss, hs[-1], as_rows(targets, like=hs[-1]))  # (n, K)
        dz = self.over_the_batch(error, names.get("reduction", "mean"))  # (n, K)
        if loss.output is None:
            dz = self.through_output(OUTPUTS[output], dz, zs[-1], hs[-1])  # (n, K)

        gradients: Parameters = []
        for layer in reversed(range(len(parameters))):
            W, b = parameters[layer]
            dW = self.into_weights(hs[layer], dz)  # (fan_in, fan_out)
            db = None if b is None else self.into_bias(dz)  # (fan_out,)
            gradients.append((dW, db))
            if layer > 0:
                dh = self.into_layer_below(dz, W)  # (n, fan_in)
                dz = self.through_hidden(OUTPUTS[hidden], dh, zs[layer - 1], hs[layer])  # (n, fan_in)
        return gradients[::-1]


RIGHT_RULE = Rule()
