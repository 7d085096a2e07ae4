"""What an operation is traced with: shapes whose sizes are symbols."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.export import symbolic_shape

from reference.operations.operation import Operation


def abstract_inputs(operation: Operation, sizes: Mapping[str, int]) -> list[jax.ShapeDtypeStruct]:
    """The inputs' shapes and types; an axis without a size gets a symbol for it."""
    free = [name for name in operation.axes if name not in sizes]
    known = [one for one in operation.above if not _names_one_of(one, sizes)]
    symbols: Any = symbolic_shape(",".join(free), constraints=known) if free else ()
    every = {**sizes, **dict(zip(free, symbols, strict=True))}
    return [
        jax.ShapeDtypeStruct(
            one.shape(every),
            jnp.int64 if one.values in {"labels", "counts"} else jnp.float64,
        )
        for one in operation.inputs.values()
    ]


def _names_one_of(inequality: str, sizes: Mapping[str, int]) -> bool:
    return any(name in inequality.replace("*", " ").split() for name in sizes)
