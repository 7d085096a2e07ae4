"""A formulation is another program for the same function; this one is given by its backward pass."""

from collections.abc import Callable
from typing import Any

import jax


def by_hand(forward: Callable[..., Any], backward: Callable[..., tuple[Any, ...]]) -> Callable[..., Any]:
    """The operation `forward(*inputs, **options)`, whose VJP is not JAX's but `backward`.

    Args:
        forward: as in `Operation`.
        backward: called with (dy, *inputs, **options); one gradient for each input, None for one that has none.
    """

    def formulation(*inputs: Any, **options: Any) -> Any:
        def value(*inputs: Any) -> Any:
            return forward(*inputs, **options)

        def keeping_inputs(*inputs: Any) -> tuple[Any, tuple[Any, ...]]:
            return value(*inputs), inputs

        def from_inputs(inputs: tuple[Any, ...], dy: Any) -> tuple[Any, ...]:
            return backward(dy, *inputs, **options)

        f = jax.custom_vjp(value)
        f.defvjp(keeping_inputs, from_inputs)
        return f(*inputs)

    return formulation
