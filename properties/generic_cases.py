"""Cases of an operation that tell things apart: sizes all different, numbers all different, no ties.

Only the trace of the operation is asked for the shapes of its outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.operation import Input, Operation, size_of
from reference.program import derivative

Array = NDArray[Any]
Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Case:
    """What a backward pass is called with."""

    sizes: Sizes
    options: Mapping[str, Any]
    inputs: Mapping[str, Array]
    cotangents: tuple[Array, ...]


SIZES = (3, 4, 2, 5, 6, 7)
"""Sizes of a free axis."""


def generic_cases(
    operation: Operation, options: Mapping[str, Any], *, count: int = 4, seed: int = 0
) -> list[Case]:
    """Cases that tell things apart: two of the same sizes, others of other sizes, and one of other real options.

    Sizes are all different and none is 1, as far as they may be; between two cases no difference or ratio of two
    axes stays, so that n, k + 2 and 10 are told apart.
    """
    rng = np.random.default_rng(seed)
    drawn = {tuple(one.values()): one for one in (_sizes(operation, rng) for _ in range(200))}
    possible = [one for one in drawn.values() if operation.possible(one, options)]
    if not possible:
        return []
    first = min(
        possible, key=lambda one: (_plain(one), list(one.values())[:1] == [2], _entries(one, operation))
    )
    chosen = [first, first]
    for _ in range(count - 2):
        same = [one for one in possible if all(one[axis] == first[axis] for axis in operation.concrete)]
        chosen.append(min(same, key=lambda one: (_plain(one), _alike(one, chosen), _entries(one, operation))))
    cases = [draw(operation, options, sizes, seed=seed + i) for i, sizes in enumerate(chosen)]
    others = {
        name: next((one for one in operation.options[name] if one != value), value)
        for name, value in options.items()
        if isinstance(value, float) and name in operation.options
    }
    if others and operation.possible(first, {**options, **others}):
        cases.append(draw(operation, {**options, **others}, first, seed=seed + count))
    return cases


def _sizes(operation: Operation, rng: np.random.Generator) -> dict[str, int]:
    return {axis: int(rng.choice(operation.sizes.get(axis, SIZES))) for axis in operation.axes}


def _plain(sizes: Sizes) -> int:
    """How much sizes hide: axes of size 1, and equal ones."""
    values = list(sizes.values())
    return 2 * values.count(1) + len(values) - len(set(values))


def _entries(sizes: Sizes, operation: Operation) -> int:
    return sum(prod(one.shape(sizes)) for one in operation.inputs.values())


def _alike(sizes: Sizes, others: Sequence[Sizes]) -> int:
    pairs = list(combinations(sizes, 2))
    return sum(
        (sizes[a] - sizes[b] == one[a] - one[b]) + (sizes[a] * one[b] == sizes[b] * one[a])
        for one in others
        for a, b in pairs
    ) + sum(sizes[a] == one[a] for one in others for a in sizes)


def draw(operation: Operation, options: Mapping[str, Any], sizes: Sizes, *, seed: int) -> Case:
    """Inputs and cotangents of these sizes; real numbers are normal."""
    rng = np.random.default_rng([seed, *sizes.values()])
    inputs = {name: _drawn(one, rng, sizes) for name, one in operation.inputs.items()}
    traced = derivative(operation, options, sizes)
    shapes = [traced.program.shape(traced.program.outputs[place], sizes) for place in traced.pulled]
    return Case(sizes, options, inputs, tuple(rng.standard_normal(shape) for shape in shapes))


def _drawn(given: Input, rng: np.random.Generator, sizes: Sizes) -> Array:
    shape = given.shape(sizes)
    if callable(given.values):
        return np.asarray(given.values(rng, shape, sizes))
    if given.values == "labels":
        labels = rng.integers(0, size_of(str(given.below), sizes), shape)
        return labels if given.ignore is None else np.where(rng.random(shape) < IGNORED, given.ignore, labels)
    return np.asarray(_DRAWN[given.values](rng, shape))


def _nonzero(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    x = rng.standard_normal(shape)
    return x + np.sign(x) / 2


def _probabilities(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    shares = rng.uniform(0.2, 1, shape)
    return shares / shares.sum(axis=-1, keepdims=True)


def _distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.permutation(prod(shape)).reshape(shape) + rng.standard_normal(shape) / 9


def _onehot(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]


IGNORED = 0.2
"""The share of labels that stand for "none"."""

_DRAWN: Mapping[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "real": lambda rng, shape: rng.standard_normal(shape),
    "positive": lambda rng, shape: rng.uniform(0.5, 2, shape),
    "nonzero": _nonzero,
    "unit": lambda rng, shape: rng.uniform(0.1, 0.9, shape),
    "probabilities": _probabilities,
    "distinct": _distinct,
    "ties": lambda rng, shape: np.round(rng.standard_normal(shape)),
    "signs": lambda rng, shape: rng.choice([-1.0, 1.0], shape),
    "onehot": _onehot,
    "mask": lambda rng, shape: rng.integers(0, 2, shape),
    "counts": lambda rng, shape: rng.integers(0, 5, shape),
}
"""Of each kind of values, labels apart (`reference.operations.operation.VALUES`)."""
