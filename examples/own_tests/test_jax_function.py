"""A function with jax.custom_vjp in the tests of the project that has it, whose JAX keeps its precision."""

import jax
import jax.numpy as jnp

from harness import verify


@jax.custom_vjp
def softplus(x):
    return jnp.logaddexp(x, 0)


softplus.defvjp(lambda x: (softplus(x), x), lambda x, dy: (dy * jax.nn.sigmoid(x),))


def test_the_rule_is_the_derivative():
    verify(softplus, operation={"x": "n"}, sizes={"n": [2, 3]}, cases=5, seed=1).raise_for_failure()
