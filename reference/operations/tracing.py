"""The program of an operation's forward pass and of its VJP, traced with symbolic sizes."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.export import symbolic_shape
from jax.extend.core import ClosedJaxpr, Jaxpr

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


def forward_jaxpr(
    operation: Operation,
    sizes: Mapping[str, int],
    options: Mapping[str, Any],
    forward: Callable[..., Any] | None = None,
) -> ClosedJaxpr:
    """The program of the forward pass, or of one of its formulations."""
    f = partial(operation.forward if forward is None else forward, **options)
    return jax.make_jaxpr(f)(*abstract_inputs(operation, sizes))


def vjp_jaxpr(
    operation: Operation,
    sizes: Mapping[str, int],
    options: Mapping[str, Any],
    forward: Callable[..., Any] | None = None,
) -> ClosedJaxpr:
    """The program of (cotangents, *inputs) to the gradients of the differentiable inputs, without the value."""
    f = partial(operation.forward if forward is None else forward, **options)
    places = operation.differentiable

    def backward(dy: Any, *arrays: Any) -> Any:
        def of_differentiable(*some: Any) -> Any:
            every = list(arrays)
            for place, one in zip(places, some, strict=True):
                every[place] = one
            return f(*every)

        return jax.vjp(of_differentiable, *(arrays[place] for place in places))[1](dy)

    arrays = abstract_inputs(operation, sizes)
    dy = jax.eval_shape(f, *arrays)
    return jax.make_jaxpr(backward)(dy, *arrays)


def primitives(program: Jaxpr) -> Iterator[str]:
    """The names of the primitives in a program and in the programs within it."""
    for equation in program.eqns:
        yield equation.primitive.name
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if isinstance(inner, ClosedJaxpr | Jaxpr):
                    yield from primitives(inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner)
