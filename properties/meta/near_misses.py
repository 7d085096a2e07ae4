"""Gradients that are wrong by very little, and how many cases it takes the judge to see it."""

from collections.abc import Callable, Sequence

import numpy as np

from properties.cases import Case, Parameters
from properties.checks import check_range
from properties.comparison import compare, named
from properties.search import Inconclusive

NearMiss = Callable[[Parameters, np.random.Generator], Parameters]
"""A wrong gradient from the right one."""


def scaled(by: float) -> NearMiss:
    """All entries times 1 + `by`."""
    return lambda gradient, random: [
        (dW * (1 + by), None if db is None else db * (1 + by)) for dW, db in gradient
    ]


def one_entry(by: float) -> NearMiss:
    """One entry, any, times 1 + `by`."""

    def wrong(gradient: Parameters, random: np.random.Generator) -> Parameters:
        copies: Parameters = [(dW.copy(), None if db is None else db.copy()) for dW, db in gradient]
        arrays = [array for pair in copies for array in pair if array is not None]
        place = int(random.integers(sum(array.size for array in arrays)))
        for array in arrays:
            if place < array.size:
                array.flat[place] *= 1 + by
                break
            place -= array.size
        return copies

    return wrong


def first_weight(by: float) -> NearMiss:
    """The same entry in every case: the first weight of the first layer, times 1 + `by`."""

    def wrong(gradient: Parameters, random: np.random.Generator) -> Parameters:
        del random
        (dW, db), *upper = gradient
        dW = dW.copy()
        dW[0, 0] *= 1 + by
        return [(dW, db), *upper]

    return wrong


def cases_until_caught(
    near_miss: NearMiss, right: Callable[[Case], Parameters], drawn: Sequence[Case], seed: int
) -> int | None:
    """How many of the cases it takes to the first FAIL, None where there is none."""
    random = np.random.default_rng(seed)
    for number, case in enumerate(drawn, start=1):
        try:
            check_range(case)
        except Inconclusive:
            continue
        wrong = near_miss(right(case), random)
        truth = case.oracle
        if not compare(named(wrong), named(truth.gradient), named(truth.error), named(truth.open)).holds:
            return number
    return None
