"""The network and its losses, written a second time and independently of `manual_backprop`.

Every function takes the array namespace `xp` first: `jax.numpy` where it is differentiated or
compiled, `numpy` where only values are wanted (finite differences, rational numbers). There is no
backward pass here: that is autodiff's work.

A choice (`activation`, `loss`) is a name, or, inside a compiled program, a traced integer that counts
the rows of the table. `units` is a mask (units,) of ones and zeros for a layer padded to a greater
width, None for a plain one.
"""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
from jax import lax

Array = Any
"""A NumPy or JAX array."""


def _sigmoid(xp: ModuleType, z: Array, units: Array) -> Array:
    del units
    return (xp.tanh(z / 2) + 1) / 2


def _softmax(xp: ModuleType, z: Array, units: Array) -> Array:
    z = _masked(xp, z, units)
    return xp.exp(z - _log_total(xp, z, None))


def _masked(xp: ModuleType, z: Array, units: Array) -> Array:
    """z with -∞, whose exponential is 0, for the units that do not exist."""
    return z if units is None else xp.where(units, z, -xp.inf)


def _log_total(xp: ModuleType, z: Array, units: Array) -> Array:
    """log Σ_k e^z_k of each row, (n, 1), over the units that exist."""
    z = _masked(xp, z, units)
    top = z.max(axis=-1, keepdims=True)
    return top + xp.log(xp.exp(z - top).sum(axis=-1, keepdims=True))


Activations = Mapping[str, Callable[[ModuleType, Array, Array], Array]]

ELEMENTWISE: Activations = {
    "identity": lambda xp, z, units: z,
    "tanh": lambda xp, z, units: xp.tanh(z),
    "sigmoid": _sigmoid,
    "relu": lambda xp, z, units: xp.maximum(z, 0),
    "softplus": lambda xp, z, units: xp.logaddexp(z, 0),
}
"""Rows h = f(z), (n, units) to (n, units)."""

ACTIVATIONS: Activations = {**ELEMENTWISE, "softmax": _softmax}
"""Softmax is for the output only."""


def _squares(xp: ModuleType, z: Array, o: Array, y: Array, units: Array) -> Array:
    del xp, z, units
    return (y - o) ** 2


def _cross_entropy(xp: ModuleType, z: Array, o: Array, y: Array, units: Array) -> Array:
    """-y_j log o_j, with log o_j = z_j - log Σ_k e^z_k."""
    del o
    return y * (_log_total(xp, z, units) - z)


def _binary_cross_entropy(xp: ModuleType, z: Array, o: Array, y: Array, units: Array) -> Array:
    """-y log σ(z) - (1 - y) log σ(-z)."""
    del o
    terms = y * xp.logaddexp(-z, 0) + (1 - y) * xp.logaddexp(z, 0)
    return terms if units is None else xp.where(units, terms, 0)


LOSSES: Mapping[str, Callable[[ModuleType, Array, Array, Array, Array, Any], Array]] = {
    "mse": lambda xp, z, o, y, units, k: _squares(xp, z, o, y, units) / k,
    "half_mse": lambda xp, z, o, y, units, k: _squares(xp, z, o, y, units) / (2 * k),
    "sse": lambda xp, z, o, y, units, k: _squares(xp, z, o, y, units),
    "half_sse": lambda xp, z, o, y, units, k: _squares(xp, z, o, y, units) / 2,
    "cross_entropy": lambda xp, z, o, y, units, k: _cross_entropy(xp, z, o, y, units),
    "binary_cross_entropy": lambda xp, z, o, y, units, k: _binary_cross_entropy(xp, z, o, y, units),
    "mean_binary_cross_entropy": lambda xp, z, o, y, units, k: _binary_cross_entropy(xp, z, o, y, units) / k,
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


def choose(table: Mapping[str, Callable[..., Any]], which: Any, *arguments: Any) -> Any:
    """The row `which` of a table, called: by name, or by a number that is known when it runs.

    Then all rows are computed and one is taken, which XLA compiles and runs faster than a branch.
    """
    if isinstance(which, str):
        return table[which](*arguments)
    rows = [row(*arguments) for row in table.values()]
    return lax.select_n(lax.convert_element_type(which, np.int32), *rows)


class Layer(NamedTuple):
    """One layer: W (fan_in, fan_out), b (fan_out,) or None, and the activation that follows.

    In a padded network a layer has more columns than `units`, a mask, says are real, and may be absent
    altogether (`present` false): then it hands its input on.
    """

    W: Array
    b: Array
    activation: Any
    fan_in: Any
    fan_out: Any
    units: Array = None
    present: Any = True


def layers_of(parameters: Sequence[tuple[Array, Array]], hidden: str, output: str) -> list[Layer]:
    """The plain layers of [(W, b), ...]."""
    names = [hidden] * (len(parameters) - 1) + [output]
    return [Layer(W, b, name, *W.shape) for (W, b), name in zip(parameters, names, strict=True)]


def through_layer(
    xp: ModuleType, layer: Layer, x: Array, activations: Activations = ACTIVATIONS
) -> tuple[Array, Array]:
    """The layer's z, 0 where it is absent, and its h, both (n, fan_out), from its input x (n, fan_in)."""
    z = x @ layer.W
    z = z if layer.b is None else z + layer.b
    h = choose(activations, layer.activation, xp, z, layer.units)
    if layer.units is None:
        return z, h
    return xp.where(layer.present, z, 0), xp.where(layer.present, h * layer.units, x)


def forward(xp: ModuleType, layers: Sequence[Layer], inputs: Array) -> tuple[list[Array], list[Array]]:
    """Every layer's z, and every h: the inputs first, the outputs (n, K) last."""
    zs, hs = [], [inputs]
    for layer in layers:
        z, h = through_layer(xp, layer, hs[-1])
        zs.append(z)
        hs.append(h)
    return zs, hs


def loss_terms(xp: ModuleType, last: Layer, z: Array, outputs: Array, rows: Array, loss: Any) -> Array:
    """The terms ℓ_ij, (n, K), from the last z, the outputs and the target rows, all (n, K)."""
    return choose(LOSSES, loss, xp, z, outputs, rows, last.units, last.fan_out)


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
