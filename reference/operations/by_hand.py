"""A formulation is another program for the same function; this one is given by its backward pass."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax


@dataclass(frozen=True)
class ByHand:
    """The operation `forward(*inputs, **options)`, whose VJP is not JAX's but `backward`.

    Attributes:
        forward: as in `Operation`.
        backward: called with (dy, *inputs, **options); one gradient for each input, None for one that has none.
    """

    forward: Callable[..., Any]
    backward: Callable[..., tuple[Any, ...]]

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """The value; JAX takes `backward` for its derivative."""

        def value(*inputs: Any) -> Any:
            return self.forward(*inputs, **options)

        def keeping_inputs(*inputs: Any) -> tuple[Any, tuple[Any, ...]]:
            return value(*inputs), inputs

        def from_inputs(inputs: tuple[Any, ...], dy: Any) -> tuple[Any, ...]:
            return self.backward(dy, *inputs, **options)

        f = jax.custom_vjp(value)
        f.defvjp(keeping_inputs, from_inputs)
        return f(*inputs)


by_hand = ByHand
