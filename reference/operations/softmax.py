"""Exponentials that are divided by their sum, and the logarithm of that sum."""

import jax.numpy as jnp
from jax import Array, lax

from reference.operations.by_hand import by_hand
from reference.operations.operation import Operation, inputs


def softmax(x: Array) -> Array:
    """y_j = e^{x_j} / Σ_k e^{x_k} along the last axis; the largest x is subtracted from all, which changes nothing."""
    e = jnp.exp(x - lax.stop_gradient(x).max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def logsumexp(x: Array) -> Array:
    """log Σ_k e^{x_k} along the last axis."""
    top = lax.stop_gradient(x).max(axis=-1)
    return jnp.log(jnp.exp(x - top[..., None]).sum(axis=-1)) + top


def log_softmax(x: Array) -> Array:
    """y_j = x_j - log Σ_k e^{x_k} along the last axis."""
    x = x - lax.stop_gradient(x).max(axis=-1, keepdims=True)
    return x - jnp.log(jnp.exp(x).sum(axis=-1, keepdims=True))


def softmax_with_temperature(x: Array, *, temperature: float) -> Array:
    """softmax(x / temperature)."""
    return softmax(x / temperature)


def softmin(x: Array) -> Array:
    """softmax(-x)."""
    return softmax(-x)


# Other programs.


def softmax_backward(dy: Array, y: Array) -> Array:
    """dx_j = y_j (dy_j - Σ_k dy_k y_k), from ∂y_k/∂x_j = y_k (δ_jk - y_j)."""
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def _softmax_by_its_jacobian(dy: Array, x: Array) -> tuple[Array]:
    return (softmax_backward(dy, softmax(x)),)


def _log_softmax_by_its_jacobian(dy: Array, x: Array) -> tuple[Array]:
    return (dy - softmax(x) * dy.sum(axis=-1, keepdims=True),)


def _logsumexp_by_softmax(dy: Array, x: Array) -> tuple[Array]:
    return (dy[..., None] * softmax(x),)


def _exponential_of_log_softmax(x: Array) -> Array:
    return jnp.exp(log_softmax(x))


SOFTMAX = (
    Operation(
        "softmax",
        softmax,
        inputs(x="n k"),
        formulations=(by_hand(softmax, _softmax_by_its_jacobian), _exponential_of_log_softmax),
    ),
    Operation(
        "log_softmax",
        log_softmax,
        inputs(x="n k"),
        formulations=(by_hand(log_softmax, _log_softmax_by_its_jacobian),),
        also=("logsoftmax",),
    ),
    Operation(
        "logsumexp",
        logsumexp,
        inputs(x="n k"),
        formulations=(by_hand(logsumexp, _logsumexp_by_softmax),),
        also=("log_sum_exp",),
    ),
    Operation(
        "softmax_with_temperature",
        softmax_with_temperature,
        inputs(x="n k"),
        options={"temperature": (1.0, 2.0, 0.5)},
    ),
    Operation("softmin", softmin, inputs(x="n k")),
)
