"""An operation and its VJP as JAX compiles them: what every reading of their program is held against."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from reference.operations.operation import Operation
from reference.precision import in_double_precision
from reference.program import as_tuple

Array = np.ndarray[Any, Any]


@in_double_precision
def compiled(
    operation: Operation, options: Mapping[str, Any], inputs: Sequence[Array], cotangents: Mapping[int, Array]
) -> list[Array]:
    """The outputs and the gradients of the differentiable inputs.

    Args:
        operation: what to call.
        options: its keywords.
        inputs: its inputs, in order.
        cotangents: by the place of the output; the others are taken for 0.
    """
    places = operation.differentiable

    def both(arrays: list[Any], given: Mapping[int, Any]) -> Any:
        def of(*moving: Any) -> tuple[Any, ...]:
            every = list(arrays)
            for place, one in zip(places, moving, strict=True):
                every[place] = one
            outputs = as_tuple(operation.forward(*every, **options))
            return tuple(outputs[place] for place in given), outputs

        _, pull, outputs = jax.vjp(of, *(arrays[place] for place in places), has_aux=True)
        return [*outputs, *pull(tuple(given.values()))]

    quick: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}  # it runs once
    run = jax.jit(both).lower(list(inputs), dict(cotangents)).compile(compiler_options=quick)
    return [np.asarray(one) for one in run(list(inputs), dict(cotangents))]
