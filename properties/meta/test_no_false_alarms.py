"""The judge accuses no right gradient, however it is written, and sees a wrong one that is nearly right."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

import manual_backprop
from properties.cases import Case, Parameters
from properties.comparison import compare, equal, named
from properties.meta.formulations import FORMULATIONS, Formulation
from properties.meta.near_misses import NearMiss, cases_until_caught, first_weight, one_entry, scaled
from properties.meta.samples import samples
from properties.network import PROPERTIES
from properties.problem import read
from properties.search import Effort, Inconclusive, Verdict, Violation, searched
from properties.strategies import EDGES, REGULAR, cases
from properties.subjects import Bundled

CLAIMS = read(manual_backprop.PROBLEM)


@pytest.fixture(scope="module")
def drawn() -> list[Case]:
    """Cases of every regime."""
    return list(samples(cases(CLAIMS, REGULAR + EDGES), 1500, start=0))


@pytest.mark.parametrize("formulation", FORMULATIONS, ids=lambda formulation: formulation.name)
def test_no_right_gradient_is_accused(formulation: Formulation, drawn: list[Case]) -> None:
    judged = Counter[str]()
    for case in drawn:
        try:
            found = formulation.judged(case)
        except Inconclusive:
            judged["inconclusive"] += 1
        else:
            judged["overflow" if found is None else "right"] += 1
            assert found is not None or case.regime in {"loud", *EDGES}
    assert judged["right"] > 0.9 * len(drawn)
    assert judged["inconclusive"] < 0.01 * len(drawn)
    assert formulation.overflows == (judged["overflow"] > 0)


class Alternating(Bundled):
    """Sums in another order at every second call, as several threads do."""

    calls = 0

    def gradient(self, case: Case) -> Parameters:
        """One of two formulations."""
        type(self).calls += 1  # the class's, since its instances are frozen
        return FORMULATIONS[type(self).calls % 2 * 2].gradient(case)


@pytest.mark.parametrize("name", ["gradient_is_pure", "answer_does_not_depend_on_earlier_calls"])
def test_another_order_of_the_same_sum_is_no_impurity(name: str) -> None:
    purity = next(one for one in PROPERTIES if one.name == name)
    record = searched(purity, Alternating(), Effort(50, seed=0))
    assert record.verdict is Verdict.PASS, record.message


def test_no_two_formulations_are_the_same(drawn: list[Case]) -> None:
    some = [case for case in drawn if case.regime == "well scaled" and case.inputs.dtype == np.float64]
    for one, other in combinations(FORMULATIONS, 2):
        assert not all(equal(named(one.gradient(case)), named(other.gradient(case))) for case in some)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "near_miss",
    [scaled(1e-10), scaled(-1e-10), one_entry(1e-9), first_weight(1e-9)],
    ids=["times 1 + 1e-10", "times 1 - 1e-10", "one entry off by 1e-9", "the first weight off by 1e-9"],
)
def test_a_near_miss_is_caught_within_200_cases(near_miss: NearMiss, seed: int) -> None:
    cases_of_a_run = list(samples(cases(CLAIMS, dtype="float64"), 200, start=seed))
    assert cases_until_caught(near_miss, Bundled().gradient, cases_of_a_run, seed)


def test_a_near_miss_that_misses_by_nothing_is_not_caught(drawn: list[Case]) -> None:
    assert cases_until_caught(one_entry(0), Bundled().gradient, drawn, 0) is None


def test_an_entry_is_accused_as_soon_as_it_is_outside_its_bound(drawn: list[Case]) -> None:
    case = next(case for case in drawn if case.regime == "well scaled" and case.oracle.gradient[0][0].any())
    truth, error = named(case.oracle.gradient), named(case.oracle.error)
    for share, holds in [(0.99, True), (-0.99, True), (1.01, False), (-1.01, False), (np.nan, False)]:
        given = {name: right + share * error[name] for name, right in truth.items()}
        found = compare(given, truth, error)
        assert found.holds == holds
        assert sum(found.wrong.values()) == (0 if holds else sum(array.size for array in truth.values()))


def test_a_wrong_loss_of_a_right_gradient_is_accused(drawn: list[Case]) -> None:
    class Wrong(Formulation):
        def loss(self, case: Case) -> float:
            return super().loss(case) * (1 + 1e-10)

    case = next(case for case in drawn if case.inputs.dtype == np.float64 and case.oracle.loss > 0)
    right = FORMULATIONS[0]
    wrong = Wrong(right.name, right.product, right.activations, right.softmax, right.error, right.factors)
    assert right.judged(case)
    with pytest.raises(Violation, match="the loss is"):
        wrong.judged(case)


def test_the_median_bound_of_well_scaled_float64_is_below_1e_12(drawn: list[Case]) -> None:
    relative = [
        error[right != 0] / abs(right[right != 0])
        for case in drawn
        if case.regime == "well scaled" and case.inputs.dtype == np.float64
        for error, right in zip(
            named(case.oracle.error).values(), named(case.oracle.gradient).values(), strict=True
        )
    ]
    assert np.median(np.concatenate(relative)) <= 1e-12
