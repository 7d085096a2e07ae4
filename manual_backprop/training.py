"""Vanilla stochastic gradient descent: w ← w - rate · ∂L/∂w, one batch after another."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Unpack

import numpy as np

from manual_backprop.activations import Array
from manual_backprop.averaging import split
from manual_backprop.network import Names, Parameters, gradient


def initial_parameters(sizes: list[int], seed: int) -> Parameters:
    """Random weights of variance 1/fan_in and zero biases for layers of `sizes`, such as [128, 64, 10]."""
    random = np.random.default_rng(seed)
    return [(random.standard_normal((m, k)) / np.sqrt(m), np.zeros(k)) for m, k in pairwise(sizes)]


def step(parameters: Parameters, gradients: Parameters, rate: float) -> Parameters:
    """New parameters w - rate · dw for every array; the old ones are left as they were."""
    return [
        (W - rate * dW, None if b is None or db is None else b - rate * db)
        for (W, b), (dW, db) in zip(parameters, gradients, strict=True)
    ]


def batches(
    inputs: Array, targets: Array, size: int, random: np.random.Generator
) -> Iterator[tuple[Array, Array]]:
    """One epoch: all samples in a random order, in batches of `size` (1: single vectors), the last ragged."""
    order = random.permutation(len(inputs))
    yield from split(inputs[order], targets[order], size)


def descend(
    parameters: Parameters,
    inputs: Array,
    targets: Array,
    *,
    rate: float,
    size: int,
    epochs: int,
    seed: int,
    by: Callable[..., Parameters] = gradient,
    **names: Unpack[Names],
) -> Iterator[Parameters]:
    """Train by mini-batches of `size`, shuffled anew in every epoch; yields the parameters after each.

    `by` is the gradient, or a rule of `mistakes`; `names` (`hidden`, `output`, `loss`, `reduction`) go to it.
    """
    random = np.random.default_rng(seed)
    for _ in range(epochs):
        for x, y in batches(inputs, targets, size, random):
            parameters = step(parameters, by(parameters, x, y, **names), rate)
        yield parameters
