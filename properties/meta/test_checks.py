"""Two answers of one subject: a right one is held to its last digit, and two wrong ones to half of theirs."""

import pytest

from properties.cases import Case, Parameters
from properties.checks import alike
from properties.meta.accused import case_for
from properties.problem import read
from properties.search import Inconclusive, Violation

LAST_DIGITS = 1 + 1e-11
HALF_OF_THE_DIGITS = 1 + 1e-6


@pytest.fixture(name="case")
def _case() -> Case:
    return case_for(read({"layers": 2}))


def times(factor: float, gradient: Parameters) -> Parameters:
    """Every entry times a factor."""
    return [(factor * dW, None if db is None else factor * db) for dW, db in gradient]


def test_two_wrong_answers_that_differ_in_their_last_digits_are_not_told_apart(case: Case) -> None:
    wrong = times(3, case.oracle.gradient)
    with pytest.raises(Inconclusive, match="the gradient is wrong here"):
        alike(wrong, times(LAST_DIGITS, wrong), case, what="")


def test_two_wrong_answers_that_differ_by_more_break_the_law(case: Case) -> None:
    wrong = times(3, case.oracle.gradient)
    with pytest.raises(Violation, match="they differ: "):
        alike(wrong, times(HALF_OF_THE_DIGITS, wrong), case, what="they differ")


def test_a_right_answer_differs_from_a_wrong_one_by_their_last_digits(case: Case) -> None:
    right = case.oracle.gradient
    for pair in ((right, times(LAST_DIGITS, right)), (times(LAST_DIGITS, right), right)):
        with pytest.raises(Violation):
            alike(*pair, case, what="")


def test_an_array_of_small_numbers_has_digits_of_its_own(case: Case) -> None:
    (dW1, db1), (dW2, db2) = times(1e12, case.oracle.gradient)
    small, other = ([(factor * dW1, db1), (dW2, db2)] for factor in (1e-12, 2e-12))
    with pytest.raises(Violation, match="dW1"):
        alike(small, other, case, what="")
