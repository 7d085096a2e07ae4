"""The same sum inside a layer: the paths from one number through a layer norm, and through an attention head.

The paths come from the page and from its mistakes: what a mistake leaves out is what its path contributes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lesson.setting import Floats
from manual_backprop.mistakes.operations import OPERATION_MISTAKES
from manual_backprop.operations import layer_norm, multi_head_attention
from reference.slopes import slopes


@dataclass(frozen=True)
class Inside:
    """What each path from one number x_k contributes to ∂L/∂x_k, and the slope of L, measured, with its error."""

    paths: Mapping[str, float]
    measured: float
    error: float

    @property
    def total(self) -> float:
        """The sum over the paths."""
        return sum(self.paths.values())

    def without(self, dropped: int) -> float:
        """The sum with the path of that number, from 1, left out; all of them for 0."""
        return sum(value for place, value in enumerate(self.paths.values(), start=1) if place != dropped)


def numbers(random: np.random.Generator, *shape: int) -> Floats:
    """Numbers with one decimal."""
    return np.round(random.standard_normal(shape), 1)


def measured(loss: Callable[[float], float], at: float) -> tuple[float, float]:
    """The slope of the loss by differences, and how far it may be off, read off the values themselves."""
    found = slopes(lambda arrays: [np.asarray(loss(float(arrays[0])))], [np.asarray(at)], complex_steps=False)
    (entries,) = found.vjp([np.ones(())]).entries
    assert entries is not None  # noqa: S101  (one number is measured by itself)
    return float(entries.value), float(entries.error)


def through_layer_norm() -> Inside:
    """x_1 of a sample of 4 units: by itself, through the mean, through the variance."""
    random = np.random.default_rng(5)
    x, gain, shift, dy = numbers(random, 1, 4), numbers(random, 4), numbers(random, 4), numbers(random, 1, 4)

    def loss(at: float) -> float:
        moved = np.concatenate([[[at]], x[:, 1:]], axis=1)
        return float((dy * layer_norm.forward(moved, gain, shift)[0]).sum())

    cache = layer_norm.forward(x, gain, shift)[1]
    right, itself, no_mean, no_variance = (
        float(backward(dy, cache)[0][0, 0])
        for backward in (
            layer_norm.backward,
            OPERATION_MISTAKES["layer_norm.statistics_held_still"].backward,
            OPERATION_MISTAKES["layer_norm.path_through_mean_dropped"].backward,
            OPERATION_MISTAKES["layer_norm.path_through_variance_dropped"].backward,
        )
    )
    paths = {
        "x₁ itself": itself,
        "through the mean": right - no_mean,
        "through the variance": right - no_variance,
    }
    return Inside(paths, *measured(loss, x[0, 0]))


def through_attention() -> Inside:
    """A number of step 2 of 3, in a head of attention: as a query, as a key, as a value."""
    random = np.random.default_rng(5)
    x, dy = numbers(random, 1, 3, 2), numbers(random, 1, 3, 2)
    weights: Sequence[Floats] = [numbers(random, 2, 2) for _ in range(4)]

    def loss(at: float) -> float:
        moved = x.copy()
        moved[0, 1, 0] = at
        return float((dy * multi_head_attention.forward(moved, *weights, heads=1)[0]).sum())

    cache = multi_head_attention.forward(x, *weights, heads=1)[1]
    right, query, no_key = (
        float(backward(dy, cache)[0][0, 1, 0])
        for backward in (
            multi_head_attention.backward,
            OPERATION_MISTAKES["multi_head_attention.only_the_path_of_the_queries"].backward,
            OPERATION_MISTAKES["multi_head_attention.path_of_the_keys_dropped"].backward,
        )
    )
    paths = {"as a query": query, "as a key": right - no_key, "as a value": no_key - query}
    return Inside(paths, *measured(loss, x[0, 1, 0]))


def inside() -> dict[str, Inside]:
    """Both, by name."""
    return {"norm": through_layer_norm(), "head": through_attention()}
