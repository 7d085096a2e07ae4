"""Derivatives of the reference network by JAX, in float64: plain, one compilation for each shape."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from reference.network import Array, Choices, batch_terms, loss_value
from reference.precision import in_double_precision

Parameters = Sequence[tuple[Array, Array]]
"""[(W, b), ...]; b is None in a layer without bias."""

_CHOICES = ("hidden", "output", "loss", "reduction")


def _as_float64(parameters: Parameters) -> list[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
    return [
        (np.asarray(W, np.float64), None if b is None else np.asarray(b, np.float64)) for W, b in parameters
    ]


@in_double_precision
@partial(jax.jit, static_argnames=_CHOICES)
def _reverse(
    parameters: Parameters, inputs: Array, targets: Array, **choices: Unpack[Choices]
) -> tuple[Array, Any]:
    return jax.value_and_grad(partial(loss_value, jnp))(parameters, inputs, targets, **choices)


def value_and_gradient(
    parameters: Parameters, inputs: Array, targets: Array, **choices: Unpack[Choices]
) -> tuple[float, Any]:
    """The loss and its gradient by reverse mode.

    Args:
        parameters: [(W, b), ...], W (fan_in, fan_out), b (fan_out,) or None.
        inputs: (n, fan_in).
        targets: (n, K), or integer labels (n,).
        choices: `hidden`, `output`, `loss` and `reduction`, names in `reference.network`.

    Returns:
        The loss and [(dW, db), ...] in the shapes of `parameters`, all float64.
    """
    value, gradient = _reverse(_as_float64(parameters), np.asarray(inputs, np.float64), targets, **choices)
    return float(value), [(np.asarray(dW), None if db is None else np.asarray(db)) for dW, db in gradient]


def gradient(parameters: Parameters, inputs: Array, targets: Array, **choices: Unpack[Choices]) -> Any:
    """The gradient alone; arguments as for `value_and_gradient`."""
    return value_and_gradient(parameters, inputs, targets, **choices)[1]


@in_double_precision
@partial(jax.jit, static_argnames=_CHOICES)
def _contributions(parameters: Parameters, inputs: Array, targets: Array, **choices: Unpack[Choices]) -> Any:
    def terms(p: Parameters) -> Array:
        return batch_terms(jnp, p, inputs, targets, **choices)  # (n, K)

    return jax.jacrev(terms)(parameters)


def contributions(parameters: Parameters, inputs: Array, targets: Array, **choices: Unpack[Choices]) -> Any:
    """What every cell (sample i, output j) contributes to the gradient: [(gW, gb), ...].

    gW is (n, K, fan_in, fan_out) and gb (n, K, fan_out) or None; the gradient is their sum over the
    first two axes. Arguments as for `value_and_gradient`.
    """
    cells = _contributions(_as_float64(parameters), np.asarray(inputs, np.float64), targets, **choices)
    return [(np.asarray(gW), None if gb is None else np.asarray(gb)) for gW, gb in cells]
