"""The losses of a network, by name: each is a page of `operations`, or a multiple of one.

A squared loss gives its error as ∂L/∂o, which then goes back through the output's activation. An entropy belongs to one
output, whose slope cancels the 1/o of the logarithm; the cancellation is done on its page, so its error is ∂L/∂z
already, and its value is computed from z, where the logarithm of a small probability is harmless. To add a loss, write
its page, add its row here, and write its formula in `reference/network.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from manual_backprop.activations import Array
from manual_backprop.operations import binary_cross_entropy, cross_entropy, mse


@dataclass(frozen=True)
class Loss:
    """One row of `LOSSES`; z, o, y are the last pre-activation, the output and the target, (n, K).

    `forward` and `backward` are a page's, of a mean over the samples; this loss is `multiple(page's loss, K)`, and
    since that is linear, its error is the same multiple. `output` names the only output that it goes with, if any.
    """

    forward: Callable[[Any, Any], tuple[Any, Any]]
    backward: Callable[[Any, Any], Array]
    multiple: Callable[[Any, int], Any] = lambda loss, outputs: loss
    output: str | None = None

    def value(self, z: Array, o: Array, y: Array, reduction: str = "mean") -> Any:
        """The loss of the batch, a scalar: L = (1/N) Σ_i L_i, or Σ_i L_i."""
        mean, _ = self.forward(o if self.output is None else z, y)
        return self.multiple(mean, o.shape[1]) * len(o) / divisor(len(o), reduction)

    def error(self, o: Array, y: Array, reduction: str = "mean") -> Array:
        """∂L/∂o of the batch's loss, (n, K); ∂L/∂z where the loss goes with one output only."""
        dloss = len(o) // divisor(len(o), reduction)  # a sum is n times the mean
        return self.multiple(self.backward(dloss, (o, y)), o.shape[1])


_ENTROPY = cross_entropy.cross_entropy_forward, cross_entropy.cross_entropy_backward

LOSSES: dict[str, Loss] = {
    "mse": Loss(mse.forward, mse.backward),
    "half_mse": Loss(mse.forward, mse.backward, lambda loss, outputs: loss / 2),
    "sse": Loss(mse.forward, mse.backward, lambda loss, outputs: loss * outputs),
    "half_sse": Loss(mse.forward, mse.backward, lambda loss, outputs: loss * outputs / 2),
    "cross_entropy": Loss(*_ENTROPY, output="softmax"),
    "binary_cross_entropy": Loss(
        binary_cross_entropy.forward, binary_cross_entropy.backward, output="sigmoid"
    ),
    "mean_binary_cross_entropy": Loss(
        binary_cross_entropy.forward,
        binary_cross_entropy.backward,
        lambda loss, outputs: loss / outputs,
        output="sigmoid",
    ),
}

REDUCTIONS = ("mean", "sum")


def as_rows(targets: Array, like: Array) -> Array:
    """Targets as rows, (n, K): integer labels (n,) become one-hot rows of the type of `like` (n, K)."""
    if targets.ndim == 1:
        return np.eye(like.shape[1], dtype=like.dtype)[targets]
    return targets


def divisor(samples: int, reduction: str) -> int:
    """What the losses of `samples` samples are divided by: their number for a mean, 1 for a sum."""
    return {"mean": samples, "sum": 1}[reduction]
