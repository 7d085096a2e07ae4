"""As `jax_function.py`, but the slope is that of the sigmoid, one derivative too many."""

import jax
import jax.numpy as jnp

OPERATION = {"x": "n d"}


@jax.custom_vjp
def softplus(x):
    return jnp.logaddexp(x, 0)


def softplus_fwd(x):
    return softplus(x), x


def softplus_bwd(x, dy):
    return (dy * jax.nn.sigmoid(x) * jax.nn.sigmoid(-x),)


softplus.defvjp(softplus_fwd, softplus_bwd)

FUNCTION = softplus
ARRAYS = "jax"
