"""Is this gradient right on this case? The truth first asked whether it agrees with itself."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from properties.cases import Array, Case, Parameters
from properties.comparison import Comparison, Named, compare, named, resolution
from properties.search import Inconclusive, Violation
from reference import differences

Arrays = Sequence[tuple[Any, Any]]
"""[(W, b), ...] of numbers of any kind; b may be None."""


def check_gradient(gradient: Parameters, case: Case) -> Comparison:
    """Compare a gradient with the truth of its case.

    Raises:
        Inconclusive: where the numbers overflow, or autodiff and finite differences disagree.
        Violation: where the gradient is further from the truth than rounding and kinks explain.
    """
    check_range(case)
    truth = case.oracle
    found = compare(named(gradient), named(truth.gradient), named(truth.error), named(truth.open))
    if found.worst is not None:
        check_oracles(case)
        told = Violation(f"{found.worst}. Wrong are {found.census()}.")
        raise told.of_numbers(found.worst.apart)
    return replace(found, resolution=resolution(*map(named, (truth.gradient, truth.error, truth.open))))


def check_range(case: Case) -> None:
    """Raise `Inconclusive` where a sensible program may overflow."""
    if case.overflows:
        raise Inconclusive("the numbers overflow")


def check_oracles(case: Case) -> None:
    """Raise `Inconclusive` where forward mode, by complex steps, contradicts reverse mode."""
    try:
        along, truth, bound = along_a_line(case.oracle.gradient, case)
    except Inconclusive:  # at a kink, where forward mode says nothing
        return
    if not abs(along - truth) <= bound:
        raise Inconclusive("the oracles disagree")


def along_a_line(gradient: Parameters, case: Case) -> tuple[float, float, float]:
    """⟨gradient, v⟩ along a random ±1 direction v, forward mode's derivative, and how far apart they may be.

    Each entry errs by its bound, and v is ±1, so the errors of a sum are at most the sum of the errors; adding m
    numbers up costs at most m roundings of their magnitudes, in float64.
    """
    random = np.random.default_rng(case.samples + sum(case.sizes))
    direction = [
        (random.choice([-1.0, 1.0], W.shape), None if b is None else random.choice([-1.0, 1.0], b.shape))
        for W, b in case.parameters
    ]
    given, v = named(gradient), named(direction)
    error, opened = named(case.oracle.error), named(case.oracle.open)
    terms = sum(array.size for array in given.values())
    size = sum(float(np.abs(array).sum()) for array in given.values())
    bound = (
        sum(float((error[n] + opened[n]).sum()) for n in given) + terms * float(np.finfo(float).eps) * size
    )
    along = sum(float((given[n].astype(float) * v[n]).sum()) for n in given)
    return along, case.directional_derivative(direction), bound


def by_the_loss(gradient: Parameters, case: Case, *, count: int = 30, seed: int = 0) -> differences.Verdict:
    """What the values of the reference's loss say of a gradient, along `count` random lines."""
    truth = case.oracle
    allowed = [
        (W_error + W_open, None if b_error is None else b_error + b_open)
        for (W_error, b_error), (W_open, b_open) in zip(truth.error, truth.open, strict=True)
    ]
    batch = case.parameters, case.inputs, case.rows
    return differences.judge(gradient, *batch, count=count, seed=seed, allowed=allowed, **case.choices)


def same(gradient: Parameters, other: Parameters, case: Case, *, what: str, times: float = 1) -> Comparison:
    """Compare two gradients of one case, each of which may err by the bound of the case, or so many times as much.

    Raises:
        Inconclusive: where the numbers overflow.
        Violation: where they differ by more.
    """
    check_range(case)
    truth = case.oracle
    error = {name: times * array for name, array in twice(truth.error).items()}
    found = compare(named(gradient), named(other), error, twice(truth.open))
    if found.worst is not None:
        told = Violation(f"{what}: {found.worst}. Different are {found.census()}.")
        raise told.of_numbers(found.worst.apart)
    return found


def alike(answer: Parameters, other: Parameters, case: Case, *, what: str, times: float = 1) -> Comparison:
    """Compare two answers of one subject for a case: as `same`, unless both are wrong.

    The bound is for the terms of the right gradient. A wrong one has others, which may be larger by any factor,
    and then its last digits differ between orders of summation as well. So two wrong answers that agree in
    half of their digits are not told apart.
    """
    try:
        return same(answer, other, case, what=what, times=times)
    except Violation:
        if not is_right(answer, case) and not is_right(other, case):
            check_half_of_the_digits(named(answer), named(other), float(np.finfo(case.inputs.dtype).eps))
        raise


def is_right(gradient: Parameters, case: Case) -> bool:
    """Whether rounding and kinks explain what a gradient differs from the truth by."""
    truth = case.oracle
    return compare(named(gradient), named(truth.gradient), named(truth.error), named(truth.open)).holds


def check_half_of_the_digits(answer: Named, other: Named, eps: float) -> None:
    """Raise `Inconclusive` where two wrong answers agree in half of their digits, array by array."""
    largest = {name: max(np.abs(array).max(), np.abs(other[name]).max()) for name, array in answer.items()}
    half = {name: np.full(answer[name].shape, np.sqrt(eps) * size) for name, size in largest.items()}
    if compare(answer, other, half).holds:
        raise Inconclusive("the gradient is wrong here, and how far its own rounding reaches is not known")


def twice(arrays: Parameters) -> dict[str, Array]:
    """Named arrays doubled: two gradients may differ by the errors of both."""
    return {name: 2 * array for name, array in named(arrays).items()}


def combined(gradients: Sequence[Arrays], weights: Sequence[Any]) -> Parameters:
    """Σ_p weight_p gradient_p, array by array, for numbers of any kind."""

    def total(arrays: Sequence[Any]) -> Any:
        if arrays[0] is None:
            return None
        return sum(weight * array for weight, array in zip(weights, arrays, strict=True))

    layers = zip(*gradients, strict=True)
    return [(total([dW for dW, _ in layer]), total([db for _, db in layer])) for layer in map(list, layers)]


def copied(parameters: Parameters) -> Parameters:
    """The same numbers in arrays of their own."""
    return [(W.copy(), None if b is None else b.copy()) for W, b in parameters]


def far_apart(gradient: Parameters, other: Parameters, case: Case) -> bool:
    """Whether two gradients differ by far more than rounding: by 1000 times the bound, somewhere."""
    truth = case.oracle
    bound = {name: 1000 * array for name, array in twice(truth.error).items()}
    return not compare(named(gradient), named(other), bound, twice(truth.open)).holds


def zeros_like(parameters: Parameters) -> Parameters:
    """Zeros in the shapes of the parameters."""
    return [(np.zeros_like(W), None if b is None else np.zeros_like(b)) for W, b in parameters]
