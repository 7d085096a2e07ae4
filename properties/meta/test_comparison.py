"""The one comparison, by hand: what is wrong, where, how much, and what a kink leaves open."""

import numpy as np
import pytest

from properties.comparison import Entry, between, compare, equal, named, resolution

TRUTH = {"dW1": np.array([[1.0, 2.0], [3.0, 4.0]]), "db1": np.array([5.0, 6.0])}
ERROR = {"dW1": np.full((2, 2), 0.5), "db1": np.full(2, 0.25)}


def moved(**by: dict[tuple[int, ...], float]) -> dict[str, np.ndarray]:
    """The truth with some entries moved."""
    arrays = {name: array.copy() for name, array in TRUTH.items()}
    for name, entries in by.items():
        for index, distance in entries.items():
            arrays[name][index] += distance
    return arrays


def test_arrays_are_named_by_their_layer_counted_from_one() -> None:
    W, b, V = (np.array([number]) for number in (1, 2, 3))
    assert named([(W, b), (V, None)]) == {"dW1": W, "db1": b, "dW2": V}


def test_a_difference_of_its_bound_holds_and_a_larger_one_does_not() -> None:
    found = compare(moved(dW1={(0, 1): -0.5}, db1={(0,): 0.125}), TRUTH, ERROR)
    assert found.holds
    assert found.ratio == 1
    assert found.census() == ""
    assert (found.open, found.worst, found.entries) == (0, None, {"dW1": 4, "db1": 2})
    assert not compare(moved(dW1={(0, 1): -0.5 - 2**-50}), TRUTH, ERROR).holds


def test_the_worst_entry_is_the_one_furthest_beyond_its_own_bound() -> None:
    found = compare(moved(dW1={(0, 1): 1.0, (1, 0): -1.5}, db1={(1,): 1.0}), TRUTH, ERROR)
    assert found.worst == Entry("db1", (1,), 7.0, 6.0, 0.25)
    assert found.ratio == 4
    assert found.wrong == {"dW1": 2, "db1": 1}
    assert found.census() == "dW1: 2 of 4 entries, db1: 1 of 2 entries"
    found = compare(moved(dW1={(0, 1): 1.0, (1, 0): -1.5}), TRUTH, ERROR)
    assert found.worst == Entry("dW1", (1, 0), 1.5, 3.0, 0.5)
    assert found.census() == "dW1: 2 of 4 entries"


def test_the_census_leaves_out_what_rounding_explains_beside_what_is_wrong() -> None:
    found = compare(moved(dW1={(0, 0): 0.5, (0, 1): 0.25, (1, 1): 0.75}, db1={(0,): 0.25}), TRUTH, ERROR)
    assert found.wrong == {"dW1": 1, "db1": 0}


def test_of_two_equally_bad_arrays_the_first_is_the_worst() -> None:
    found = compare(moved(dW1={(0, 0): 1.0}, db1={(0,): 0.5}), TRUTH, ERROR)
    assert found.worst == Entry("dW1", (0, 0), 2.0, 1.0, 0.5)


def test_an_open_kink_carries_an_entry_further_and_is_counted() -> None:
    opened = {"dW1": np.array([[0.0, 1.0], [0.5, 0.0]]), "db1": np.array([0.0, 0.0])}
    found = compare(moved(dW1={(0, 1): 1.5, (1, 0): 1.0}), TRUTH, ERROR, opened)
    assert found.holds
    assert (found.ratio, found.open) == (1, 1)  # a kink that is not wider than the bound counts for nothing
    found = compare(moved(dW1={(0, 1): 3.0}), TRUTH, ERROR, opened)
    assert found.worst == Entry("dW1", (0, 1), 5.0, 2.0, 1.5)
    assert found.ratio == 2


def test_an_entry_that_must_be_exact_is_wrong_by_any_difference() -> None:
    nothing = {name: 0 * array for name, array in ERROR.items()}
    assert compare(moved(), TRUTH, nothing).holds
    assert compare(moved(), TRUTH, nothing).ratio == 0
    found = compare(moved(db1={(1,): 1e-15}), TRUTH, nothing)
    assert found.wrong == {"dW1": 0, "db1": 1}
    assert found.ratio == np.inf


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_wrong_where_the_truth_is_finite(value: float) -> None:
    found = compare(moved(db1={(0,): value}), TRUTH, ERROR)
    assert found.wrong == {"dW1": 0, "db1": 1}
    assert found.worst is not None
    assert found.worst.index == (0,)


def test_an_empty_array_is_right() -> None:
    empty = {"dW1": np.zeros((0, 3))}
    assert compare(empty, empty, empty) == compare(empty, empty, empty, empty)
    assert compare(empty, empty, empty).ratio == compare({}, {}, {}).ratio == 0


@pytest.mark.parametrize(
    ("actual", "expected", "text"),
    [
        (0.5, 0.25, "0.5, and should be 0.25"),
        (0.123456789, 0.25, "0.123457, and should be 0.25"),
        (1.0000123456, 1.0, "1.00001, and should be 1"),
        (1.000000123456, 1.0, "1.00000012, and should be 1"),
        (1.000000000012345, 1.0, "1.000000000012, and should be 1"),
        (1.0 + 2**-52, 1.0, "1.0000000000000002, and should be 1"),
    ],
)
def test_a_difference_is_shown_in_as_many_digits_as_it_takes(
    actual: float, expected: float, text: str
) -> None:
    entry = Entry("dW1", (0, 2), actual, expected, 1.25e-17)
    assert str(entry) == f"dW1[0, 2] is {text} (rounding explains 1e-17)"


def test_an_entry_of_which_nothing_is_known_is_never_wrong_and_the_others_are() -> None:
    known = {"dW1": np.array([[True, False], [True, True]]), "db1": np.array([True, False])}
    lost = moved(dW1={(0, 1): np.nan}, db1={(1,): np.inf})
    assert compare(lost, TRUTH, ERROR, known=known).holds
    assert compare(lost, TRUTH, ERROR).wrong == {"dW1": 1, "db1": 1}
    assert compare(moved(dW1={(1, 0): 1.0}), TRUTH, ERROR, known=known).wrong == {"dW1": 1, "db1": 0}


def test_rational_arrays_are_equal_to_the_last_digit_or_not_at_all() -> None:
    assert equal(TRUTH, moved())
    assert not equal(TRUTH, moved(db1={(1,): 1e-15}))
    assert not equal(TRUTH, moved(db1={(0,): 1e-15}, dW1={(0, 0): 1.0}))
    assert not equal(TRUTH, {"dW1": TRUTH["dW1"]})
    assert not equal({"db1": np.array([5.0])}, {"db1": np.array([[5.0], [5.0]])})


def test_a_number_between_two_others_may_be_either_of_them() -> None:
    low, high = {"dW1": np.array([1.0, 1.0, 2.0])}, {"dW1": np.array([3.0, 1.0, -1.0])}
    for inside in ([1.0, 1.0, 2.0], [3.0, 1.0, -1.0], [2.0, 1.0, 0.0]):
        assert between({"dW1": np.array(inside)}, low, high)
        assert between({"dW1": np.array(inside)}, high, low)
    for outside in ([0.5, 1.0, 0.0], [3.5, 1.0, 0.0], [2.0, 1.5, 0.0], [2.0, 1.0, -1.5], [2.0, 1.0, 2.5]):
        assert not between({"dW1": np.array(outside)}, low, high)
    assert not between({"dW1": np.array([2.0])}, low, high)


def test_the_error_that_is_seen_is_that_of_a_typical_entry_also_where_one_has_all_but_vanished() -> None:
    truth, open_ = {"db1": np.array([2.0, 4e-315, 0.0, 4.0])}, {"db1": np.zeros(4)}
    assert resolution(truth, {"db1": np.array([1.0, 1e-3, 1.0, 1.0])}, open_) == 0.5
    assert resolution({"db1": np.zeros(1)}, {"db1": np.ones(1)}, {"db1": np.zeros(1)}) is None
