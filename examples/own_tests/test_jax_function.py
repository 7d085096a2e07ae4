"""A function with jax.custom_vjp in the tests of the project that has it, whose JAX keeps its precision."""

import jax
import jax.numpy as jnp
import numpy as np

from harness import verify


@jax.custom_vjp
def softplus(x):
    return jnp.logaddexp(x, 0)


softplus.defvjp(lambda x: (softplus(x), x), lambda x, dy: (dy * jax.nn.sigmoid(x),))


def test_the_rule_is_the_derivative():
    found = verify(softplus, operation={"x": "n"}, sizes={"n": [2, 3]}, cases=5, seed=1)
    found.raise_for_failure()
    assert found.could_have_seen < 1e-9  # it was judged in double precision,
    assert jnp.ones(1).dtype == "float32"  # and the project still computes in single


def test_a_pair_in_numpy_is_judged_beside_it():
    found = verify(
        lambda x: (np.tanh(x), x), lambda dy, x: dy / np.cosh(x) ** 2, operation={"x": "n"}, quick=True
    )
    found.raise_for_failure()
    assert found.could_have_seen < 1e-9
    assert jnp.ones(1).dtype == "float32"
