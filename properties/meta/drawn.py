"""Sizes, options and values of an operation, drawn at random: a plain sample, to try operations with."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from reference.operations.operation import Input, Operation

Options = Mapping[str, Any]
Sizes = Mapping[str, int]


def possible_sizes(operation: Operation, options: Options, rng: np.random.Generator) -> dict[str, int] | None:
    """Sizes that go with the options; None where there are none, as another option has to change with them."""
    pools = {axis: operation.sizes.get(axis, (1, 2, 3, 4, 5)) for axis in operation.axes}
    for _ in range(1000):
        sizes = {axis: int(rng.choice(pool)) for axis, pool in pools.items()}
        if operation.possible(sizes, options):
            return sizes
    return None


def each_option(operation: Operation) -> Iterator[dict[str, Any]]:
    """The defaults, and each other value of an option with the defaults of the rest."""
    defaults = {name: some[0] for name, some in operation.options.items()}
    yield defaults
    for name, some in operation.options.items():
        yield from ({**defaults, name: value} for value in some[1:])


def array(one: Input, sizes: Sizes, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Values of the kind that the input asks for."""
    shape = one.shape(sizes)
    if one.values == "labels":
        return _labels(one, shape, sizes, rng)
    if callable(one.values):
        return one.values(rng, shape, sizes)
    return KINDS[one.values](rng, shape)


KINDS: Mapping[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray[Any, Any]]] = {
    "real": lambda rng, shape: rng.standard_normal(shape),
    "distinct": lambda rng, shape: rng.standard_normal(shape),
    "positive": lambda rng, shape: np.exp(rng.standard_normal(shape)),
    "nonzero": lambda rng, shape: rng.choice([-1, 1], shape) * rng.uniform(0.25, 3, shape),
    "unit": lambda rng, shape: rng.uniform(0.02, 0.98, shape),
    "probabilities": lambda rng, shape: rng.dirichlet(np.ones(shape[-1]), shape[:-1]),
    "signs": lambda rng, shape: rng.choice([-1.0, 1.0], shape),
    "mask": lambda rng, shape: rng.choice([0.0, 1.0], shape),
    "counts": lambda rng, shape: rng.integers(0, 6, shape),
}
"""Values by their kind; a sample's probabilities are a line of the last axis."""


def _labels(
    one: Input, shape: tuple[int, ...], sizes: Sizes, rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    """Labels, of which the first is never ignored."""
    below = sizes[one.below] if isinstance(one.below, str) else one.below
    labels = rng.integers(0, below, shape)
    if one.ignore is not None:
        labels.reshape(-1)[1:][rng.random(labels.size - 1) < 0.25] = one.ignore  # noqa: PLR2004  (one in four)
    return labels
