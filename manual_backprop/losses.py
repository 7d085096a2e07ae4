"""The losses of one sample, and how a batch joins them.

A squared loss gives its error as ∂L/∂o, which then goes back through the output's activation. An
entropy belongs to one output, whose slope cancels the 1/o of the logarithm; the cancellation is done
here on paper, so its error is ∂L/∂z already, and its value is computed from z, where the logarithm
of a small probability is harmless. To add a loss, add its row here and in `reference/network.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from manual_backprop.activations import Array, softplus


@dataclass(frozen=True)
class Loss:
    """One row of `LOSSES`; z, o, y are the last pre-activation, the output and the target, (n, K).

    `value(z, o, y)` is the loss of each sample, (n,). `error(o, y)` is its derivative, (n, K): with
    respect to the output o, or to the pre-activation z where `output` names the only output that the
    loss goes with.
    """

    value: Callable[[Array, Array, Array], Array]
    error: Callable[[Array, Array], Array]
    output: str | None = None


def _squares(z: Array, o: Array, y: Array) -> Array:
    del z
    return ((o - y) * (o - y)).sum(axis=1)  # (n,)


def _cross_entropy(z: Array, o: Array, y: Array) -> Array:
    """-Σ_j y_j log o_j = Σ_j y_j (log Σ_k e^z_k - z_j)."""
    del o
    top = z.max(axis=1, keepdims=True)
    log_total = top + np.log(np.exp(z - top).sum(axis=1, keepdims=True))  # (n, 1)
    return (y * (log_total - z)).sum(axis=1)  # (n,)


def _cross_entropy_error(o: Array, y: Array) -> Array:
    """∂L/∂z_k = Σ_j (-y_j/o_j) · o_j(δ_jk - o_k) = o_k Σ_j y_j - y_k: for probabilities y, o - y."""
    return o * y.sum(axis=1, keepdims=True) - y  # (n, K)


def _binary_cross_entropy(z: Array, o: Array, y: Array) -> Array:
    """-Σ_j [y_j log o_j + (1 - y_j) log(1 - o_j)] = Σ_j [softplus(z_j) - y_j z_j], for o = σ(z)."""
    del o
    return (softplus(z) - y * z).sum(axis=1)  # (n,)


def _binary_cross_entropy_error(o: Array, y: Array) -> Array:
    """∂L/∂z = [-y/o + (1 - y)/(1 - o)] · o(1 - o) = o - y."""
    return o - y  # (n, K)


LOSSES: dict[str, Loss] = {
    "mse": Loss(
        lambda z, o, y: _squares(z, o, y) / o.shape[1],
        lambda o, y: 2 * (o - y) / o.shape[1],
    ),
    "half_mse": Loss(
        lambda z, o, y: _squares(z, o, y) / (2 * o.shape[1]),
        lambda o, y: (o - y) / o.shape[1],
    ),
    "sse": Loss(_squares, lambda o, y: 2 * (o - y)),
    "half_sse": Loss(lambda z, o, y: _squares(z, o, y) / 2, lambda o, y: o - y),
    "cross_entropy": Loss(_cross_entropy, _cross_entropy_error, output="softmax"),
    "binary_cross_entropy": Loss(_binary_cross_entropy, _binary_cross_entropy_error, output="sigmoid"),
    "mean_binary_cross_entropy": Loss(
        lambda z, o, y: _binary_cross_entropy(z, o, y) / o.shape[1],
        lambda o, y: _binary_cross_entropy_error(o, y) / o.shape[1],
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
