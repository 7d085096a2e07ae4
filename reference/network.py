"""The network and its losses, written a second time and independently of `manual_backprop`.

Every function takes the array namespace `xp` first: `jax.numpy` where it is differentiated, `numpy` where only values
are wanted (finite differences, rational numbers). There is no backward pass here: that is autodiff's work.
"""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple, TypedDict, Unpack

Array = Any
"""A NumPy or JAX array."""


def _sigmoid(xp: ModuleType, z: Array) -> Array:
    return (xp.tanh(z / 2) + 1) / 2


def _softmax(xp: ModuleType, z: Array) -> Array:
    return xp.exp(z - _log_total(xp, z))


def _log_total(xp: ModuleType, z: Array) -> Array:
    """log Σ_k e^z_k of each row, (n, 1)."""
    top = z.max(axis=-1, keepdims=True)
    return top + xp.log(xp.exp(z - top).sum(axis=-1, keepdims=True))


Activations = Mapping[str, Callable[[ModuleType, Array], Array]]

ACTIVATIONS: Activations = {
    "identity": lambda xp, z: z,
    "tanh": lambda xp, z: xp.tanh(z),
    "sigmoid": _sigmoid,
    "relu": lambda xp, z: xp.maximum(z, 0),
    "softplus": lambda xp, z: xp.logaddexp(z, 0),
    "softmax": _softmax,  # for the output only
}
"""Rows h = f(z), (n, units) to (n, units)."""


def _squares(xp: ModuleType, z: Array, o: Array, y: Array) -> Array:
    del xp, z
    return (y - o) ** 2


def _cross_entropy(xp: ModuleType, z: Array, o: Array, y: Array) -> Array:
    """-y_j log o_j, with log o_j = z_j - log Σ_k e^z_k."""
    del o
    return y * (_log_total(xp, z) - z)


def _binary_cross_entropy(xp: ModuleType, z: Array, o: Array, y: Array) -> Array:
    """-y log σ(z) - (1 - y) log σ(-z)."""
    del o
    return y * xp.logaddexp(-z, 0) + (1 - y) * xp.logaddexp(z, 0)


LOSSES: Mapping[str, Callable[[ModuleType, Array, Array, Array, Any], Array]] = {
    "mse": lambda xp, z, o, y, k: _squares(xp, z, o, y) / k,
    "half_mse": lambda xp, z, o, y, k: _squares(xp, z, o, y) / (2 * k),
    "sse": lambda xp, z, o, y, k: _squares(xp, z, o, y),
    "half_sse": lambda xp, z, o, y, k: _squares(xp, z, o, y) / 2,
    "cross_entropy": lambda xp, z, o, y, k: _cross_entropy(xp, z, o, y),
    "binary_cross_entropy": lambda xp, z, o, y, k: _binary_cross_entropy(xp, z, o, y),
    "mean_binary_cross_entropy": lambda xp, z, o, y, k: _binary_cross_entropy(xp, z, o, y) / k,
}
"""The term ℓ_ij of sample i and output j, (n, K), from the last z, the output o and the target y, all (n, K).

A sample's loss is L_i = Σ_j ℓ_ij. Since ℓ_ij depends on o_i alone, and in a squared loss on o_ij
alone, ∂ℓ_ij/∂w is the contribution of one cell to the gradient.
"""

REDUCTIONS = ("mean", "sum")


class Choices(TypedDict):
    """The names that a gradient is for."""

    hidden: str
    output: str
    loss: str
    reduction: str


class Layer(NamedTuple):
    """One layer: W (fan_in, fan_out), b (fan_out,) or None, and the activation that follows."""

    W: Array
    b: Array
    activation: str
    fan_in: int
    fan_out: int


def layers_of(parameters: Sequence[tuple[Array, Array]], hidden: str, output: str) -> list[Layer]:
    """The plain layers of [(W, b), ...]."""
    names = [hidden] * (len(parameters) - 1) + [output]
    return [Layer(W, b, name, *W.shape) for (W, b), name in zip(parameters, names, strict=True)]


def forward(xp: ModuleType, layers: Sequence[Layer], inputs: Array) -> tuple[list[Array], list[Array]]:
    """Every layer's z, and every h: the inputs first, the outputs (n, K) last."""
    zs, hs = [], [inputs]
    for layer in layers:
        z = hs[-1] @ layer.W
        zs.append(z if layer.b is None else z + layer.b)
        hs.append(ACTIVATIONS[layer.activation](xp, zs[-1]))
    return zs, hs


def loss_terms(xp: ModuleType, last: Layer, z: Array, outputs: Array, rows: Array, loss: str) -> Array:
    """The terms ℓ_ij, (n, K), from the last z, the outputs and the target rows, all (n, K)."""
    return LOSSES[loss](xp, z, outputs, rows, last.fan_out)


def rows_of(xp: ModuleType, targets: Array, k: int) -> Array:
    """Targets as rows (n, K): integer labels (n,) become rows with a single one."""
    return targets if targets.ndim == 2 else xp.equal(targets[:, None], xp.arange(k)) * 1  # noqa: PLR2004


def batch_terms(
    xp: ModuleType,
    parameters: Sequence[tuple[Array, Array]],
    inputs: Array,
    targets: Array,
    *,
    hidden: str,
    output: str,
    loss: str,
    reduction: str,
) -> Array:
    """The terms whose sum is the batch's loss: ℓ_ij / N for a mean, ℓ_ij for a sum, (n, K)."""
    layers = layers_of(parameters, hidden, output)
    zs, hs = forward(xp, layers, inputs)
    rows = rows_of(xp, targets, layers[-1].fan_out)
    return loss_terms(xp, layers[-1], zs[-1], hs[-1], rows, loss) / divisor(len(inputs), reduction)


def divisor(samples: Any, reduction: str) -> Any:
    """What the sum over the samples is divided by."""
    return samples if reduction == "mean" else 1


def loss_value(
    xp: ModuleType,
    parameters: Sequence[tuple[Array, Array]],
    inputs: Array,
    targets: Array,
    **choices: Unpack[Choices],
) -> Array:
    """The loss of a batch, a scalar; shapes as in the contract, choices as for `batch_terms`."""
    return batch_terms(xp, parameters, inputs, targets, **choices).sum()
