"""What a diagnosis says of a wrong gradient in words, and how often it counts each sample and output."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from properties.cases import Array
from properties.comparison import named
from properties.diagnosis import contributions, wording
from properties.diagnosis.contributions import Counted, Kept, fitted, kept_cells
from properties.diagnosis.probes import Maker, Probe, Sizes
from properties.meta.accused import case_for
from properties.problem import read
from properties.search import Violation
from reference import autodiff

SHAPES = [Sizes((3, 4, 2), 3), Sizes((2, 3, 4), 5), Sizes((3, 2, 3), 4), Sizes((2, 5, 5), 7)]

Change = Callable[[str, Array, int, int], Array]


def probed(change: Change, shapes: list[Sizes] = SHAPES, **problem: Any) -> list[Probe]:
    """Answers that are the right gradient, changed array by array."""
    (claim,) = read(problem)
    maker = Maker(case_for((claim,)), claim, np.random.default_rng(3))
    cases = [maker.case(sizes) for sizes in shapes]
    return [
        Probe(
            case,
            {
                name: change(name, array, case.samples, case.outputs)
                for name, array in named(case.oracle.gradient).items()
            },
        )
        for case in cases
    ]


RATIOS: dict[str, Callable[[int, int], float]] = {
    "n": lambda n, k: n,
    "k": lambda n, k: k,
    "1/n": lambda n, k: 1 / n,
    "1/k": lambda n, k: 1 / k,
    "(n k)": lambda n, k: n * k,
    "1/(n k)": lambda n, k: 1 / n / k,
    "2 n": lambda n, k: 2 * n,
    "½ k": lambda n, k: k / 2,
    "1/n²": lambda n, k: n**-2,
    "−n": lambda n, k: -n,
}


@pytest.mark.parametrize("text", RATIOS)
def test_a_ratio_is_told_by_what_it_depends_on(text: str) -> None:
    shapes = [Sizes((3, 4, 3), 5), Sizes((2, 3, 4), 3), Sizes((2, 5, 5), 7)]
    probes = probed(lambda name, array, n, K: RATIOS[text](n, K) * array, shapes)
    assert wording.census(None, probes) == (
        "dW1, db1, dW2, db2 (everything); the ratio is "
        f"{text} (n samples, k outputs); 31 of 31 entries of a fresh case"
    )


CENSUS: list[tuple[Change, str]] = [
    (lambda name, array, n, K: 0 * array, "dW1, db1, dW2, db2 (everything); all of them 0; 26 of 26"),
    (
        lambda name, array, n, K: 1.5 * array,
        "dW1, db1, dW2, db2 (everything); constant ratio 1.5; 26 of 26",
    ),
    (
        lambda name, array, n, K: array * (1 if name.endswith("2") else 3),
        "dW1, db1 (layer 1: weights and bias); constant ratio 3; 16 of 16",
    ),
    (
        lambda name, array, n, K: array * {"dW1": n, "db1": n, "dW2": 1, "db2": 0.25}[name],
        (
            "dW1, db1, db2 (layer 1: weights and bias; layer 2: bias); "
            "dW1, db1: the ratio is n, db2: constant ratio 0.25 (n samples, k outputs); 18 of 18"
        ),
    ),
    (
        lambda name, array, n, K: array * np.cbrt(n) if name == "dW2" else array,
        "dW2 (layer 2: weights); a ratio that changes from case to case; 8 of 8",
    ),
    (
        lambda name, array, n, K: array * np.cbrt(n),
        "dW1, db1, dW2, db2 (everything); a ratio that changes from case to case; 26 of 26",
    ),
    (
        lambda name, array, n, K: array + (name != "db2"),
        "dW1, db1, dW2 (layer 1: weights and bias; layer 2: weights); no constant ratio; 24 of 24",
    ),
]


@pytest.mark.parametrize(("change", "told"), CENSUS)
def test_the_census_names_the_arrays_their_ratio_and_how_many_entries(change: Change, told: str) -> None:
    probes = probed(change)
    assert wording.census(probes[0], probes[1:]) == f"{told} entries of the smallest case"


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ((1, 2), "one entry alone, dW1[1, 2]"),
        ((-1, -1), "one entry alone, dW1[-1, -1]"),
        ((1, slice(None)), "row 1 of dW1 alone"),
        ((-1, slice(None)), "row -1 of dW1 alone"),
        ((slice(None), 0), "column 0 of dW1 alone"),
        ((slice(None), -2), "column -2 of dW1 alone"),
    ],
)
def test_a_place_that_is_all_that_is_wrong_is_told_from_the_end_that_it_keeps_its_distance_from(
    where: Any, told: str
) -> None:
    def change(name: str, array: Array, n: int, K: int) -> Array:
        del n, K
        changed = array.copy()
        if name == "dW1":
            changed[where] += 1
        return changed

    shapes = [Sizes((3, 4, 2), 3), Sizes((4, 5, 2), 5), Sizes((5, 6, 3), 4)]
    found = wording.census(None, probed(change, shapes))
    ways = "a ratio that changes from case to case", "no constant ratio"
    assert found in {f"dW1 (layer 1: weights); {told}; {way}" for way in ways}


def test_where_nothing_is_wrong_or_nothing_was_answered_there_is_no_census() -> None:
    right = probed(lambda name, array, n, K: array)
    faulty = [Probe(probe.case, {}, Violation("shape")) for probe in right]
    assert wording.census(None, right) == wording.census(faulty[0], faulty) == ""


# Contributions -----------------------------------------------------------------------------------------


def counted(c: Array, sizes: Sizes, **problem: Any) -> Counted | None:
    """What is fitted to the gradient that counts the cells so often."""
    (probe,) = probed(lambda name, array, n, K: array, [sizes], **problem)
    case = probe.wide
    cells = named(autodiff.contributions(case.parameters, case.inputs, case.rows, **case.choices))
    answer = {name: np.einsum("ij,ij...->...", c, array) for name, array in cells.items()}
    return fitted(Probe(probe.case, answer), list(answer))


COUNTS = [
    np.ones((3, 2)),
    np.full((3, 2), -2.5),
    np.tile([1.0, 0.0], (3, 1)),
    np.repeat([[3.0], [0.0], [1.0]], 2, axis=1),
    np.eye(3, 2),
    np.array([[0.0, 0], [0, 2], [0, 0]]),
    np.arange(6.0).reshape(3, 2) - 2,
]


@pytest.mark.parametrize("c", COUNTS, ids=str)
def test_the_contributions_are_how_often_each_cell_is_counted(c: Array) -> None:
    found = counted(c, Sizes((4, 5, 2), 3))
    assert found is not None
    assert found.known.all()
    assert 0 < found.error < 1e-6
    assert (abs(found.c - c) <= found.error).all()
    assert found.is_near(c).all()
    assert not found.is_near(c + 2 * found.error).any()
    assert found.is_near(1).sum() == (c == 1).sum()


def test_too_many_cells_are_not_fitted() -> None:
    right = probed(lambda name, array, n, K: array, [Sizes((2, 3, 2), 128), Sizes((2, 3, 2), 129)])
    most, more = (fitted(probe, list(probe.right)) for probe in right)
    assert most is not None
    assert most.is_near(1).all()
    assert more is None


def test_the_contributions_are_shown_as_whole_numbers_or_six_digits_and_of_a_case_that_is_small() -> None:
    small, large = Sizes((4, 5, 2), 3), Sizes((4, 5, 2), 16)
    (own,) = probed(lambda name, array, n, K: array * 2, [small])
    (third,) = probed(lambda name, array, n, K: array / 3, [small])
    (many,) = probed(lambda name, array, n, K: array * 2, [large])
    assert contributions.shown(own, []) == [[2.0] * 2] * 3
    assert contributions.shown(None, [third]) == [[0.333333] * 2] * 3
    assert contributions.shown(many, [own]) == [[2.0] * 2] * 3
    assert contributions.shown(many, []) == [[2.0] * 2] * 16
    assert contributions.shown(None, []) is None
    assert contributions.shown(Probe(own.case, {}, Violation("shape")), [own]) == [[2.0] * 2] * 3
    (noise,) = probed(lambda name, array, n, K: array + 1, [small])
    assert contributions.shown(noise, []) is None


def kept(c: Any, known: Any = None, error: float = 1e-9) -> Kept | None:
    """What a matrix shows."""
    c = np.array(c, float)
    return kept_cells(Counted(c, error, np.ones(c.shape, bool) if known is None else np.array(known, bool)))


@pytest.mark.parametrize(
    ("c", "name", "weight", "renormalised"),
    [
        ([[0, 2], [0, 0]], "one_cell_only", 2, 1),
        ([[1, 0], [1, 0], [1, 0]], "one_output_only", 1, 1),
        ([[3, 0, 3], [3, 0, 3]], "outputs_dropped", 3, 1),
        ([[0, 0], [1, 1], [0, 0]], "one_sample_only", 1, 3),
        ([[2, 2], [0, 0], [2, 2]], "samples_dropped", 2, 1.5),
        ([[1, 0]], "one_output_only", 1, 1),
        ([[0], [1], [0]], "one_sample_only", 1, 3),
    ],
)
def test_a_matrix_with_zeros_shows_which_terms_are_left_out(
    c: Any, name: str, weight: float, renormalised: float
) -> None:
    assert kept(c) == Kept(name, weight, 1e-9, renormalised)


@pytest.mark.parametrize(
    "c",
    [[[1, 1], [1, 1]], [[0, 0], [0, 0]], [[1, 0], [0, 1]], [[1, 0], [2, 0]], [[1, 1], [1, 0]], [[1e-9, 0]]],
    ids=str,
)
def test_a_matrix_of_another_form_shows_nothing(c: Any) -> None:
    assert kept(c) is None


def test_a_cell_that_contributes_nothing_fits_whatever_the_others_show() -> None:
    found = kept([[1, 0], [1, 1], [1, 0]], [[1, 1], [1, 0], [1, 1]])
    assert found is not None
    assert (found.name, found.weight) == ("one_output_only", 1)


def test_kept_terms_are_weighted_by_the_whole_batch_or_by_those_that_are_kept() -> None:
    found = Kept("samples_dropped", 3.0, 1e-3, 1.5)
    assert found.is_weighted(3)
    assert found.is_weighted(3.0009)
    assert found.is_weighted(2)
    assert not found.is_weighted(3.002)
    assert not found.is_weighted(1.5)
