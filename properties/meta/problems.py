"""Cases on which every mistake of the catalogue shows, and how far two gradients are apart."""

from functools import cache
from itertools import pairwise, product, starmap
from typing import Any, NamedTuple

import numpy as np

from manual_backprop import ACTIVATIONS, LOSSES, OUTPUTS, Parameters, gradient
from manual_backprop.activations import Array
from manual_backprop.losses import REDUCTIONS
from manual_backprop.mistakes import setting_of
from manual_backprop.mistakes.catalogue import Names

# A right gradient of these cases is within some hundred roundings of the truth. A mistake is further off than
# this many roundings of its array's largest entry; the finest, a rounding to float32, is about 2^28 of them.
ROUNDINGS = 2**20


class Case(NamedTuple):
    """The arguments of a gradient."""

    parameters: Parameters
    inputs: Array
    targets: Array


class Problem(NamedTuple):
    """A case, the choices that it is for, and where that is."""

    case: Case
    names: Names
    setting: dict[str, Any]


def random_case(seed: int, sizes: tuple[int, ...], samples: int, names: Names) -> Case:
    """Arrays of size 1, no two entries equal. Each unit's bias divides the samples: z < 0 and z > 0."""
    random = np.random.default_rng(seed)
    inputs = x = random.standard_normal((samples, sizes[0]))
    parameters: Parameters = []
    for fan_in, fan_out in pairwise(sizes):
        W = random.standard_normal((fan_in, fan_out)) / np.sqrt(fan_in)
        middle = random.uniform(0.3, 0.7, fan_out)
        b = -np.array([np.quantile(z, q) for z, q in zip((x @ W).T, middle, strict=True)])
        parameters.append((W, b))
        x, _ = ACTIVATIONS[names["hidden"]].forward(x @ W + b)
    targets = random.dirichlet(np.ones(sizes[-1] + 1), samples)[:, :-1]  # in (0, 1): it fits every loss
    return Case(parameters, inputs, targets)


def problem(sizes: tuple[int, ...], samples: int, names: Names) -> Problem:
    """A case whose first and last samples have a gradient of their own, though a relu may shut others out."""
    for seed in range(100):
        case = random_case(seed, sizes, samples, names)
        ends = (Case(case.parameters, case.inputs[[i]], case.targets[[i]]) for i in (0, -1))
        if all(all(dW.any() for dW, _ in gradient(*end, **names)) for end in ends):
            return Problem(case, names, setting_of(case.parameters, case.inputs, **names))
    raise AssertionError


# All sizes different at depth 1, 2, 3; two samples, and one; one output; square weights above the first layer.
SIZES = [
    ((4, 3), 5),
    ((3, 4), 2),
    ((6, 4, 3), 5),
    ((6, 5, 4, 3), 7),
    ((4, 1), 8),
    ((4, 3, 1), 9),
    ((4, 3, 3), 5),
]


@cache
def problems() -> list[Problem]:
    """Every activation, output, loss and reduction at every size, but for softmax of one output."""
    losses = [(o, loss) for o, loss in product(OUTPUTS, LOSSES) if LOSSES[loss].output in {None, o}]
    return [
        problem(sizes, samples, Names(hidden=hidden, output=output, loss=loss, reduction=reduction))
        for sizes, samples in SIZES
        for hidden in (ACTIVATIONS if sizes[1:-1] else ["tanh"])
        for output, loss in losses
        if (output, sizes[-1]) != ("softmax", 1)
        for reduction in REDUCTIONS
    ]


def with_large_inputs(drawn: Problem) -> Problem:
    """The same z from larger inputs and smaller weights, whose gradient is so large that clipping shows."""
    (W, b), *upper = drawn.case.parameters
    case = Case([(W / 2**12, b), *upper], drawn.case.inputs * 2**12, drawn.case.targets)
    return drawn._replace(case=case)


def largest_difference(wrong: Parameters, right: Parameters) -> float:
    """In roundings of the largest entry of an array; infinite where a shape differs."""
    return max(starmap(roundings, zip(flat(wrong), flat(right), strict=True)))


def roundings(wrong: Array, right: Array) -> float:
    """The largest difference of two arrays in roundings of their largest entry."""
    if wrong.shape != right.shape:
        return np.inf
    largest = max(abs(right).max(), abs(wrong).max())
    return abs(wrong - right).max() / (largest * np.finfo(right.dtype).eps) if largest else 0.0


def flat(gradients: Parameters) -> list[Array]:
    """All arrays, for parameters with biases."""
    return [array for layer in gradients for array in layer if array is not None]
