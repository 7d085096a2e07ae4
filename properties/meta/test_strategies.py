"""The strategies draw what tells a right gradient from a wrong one: by counting in a fixed sample."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import Phase, find, settings

import manual_backprop
from properties.cases import Case
from properties.meta.samples import SLOW, samples
from properties.problem import Claim, read
from properties.strategies import DYADICS, EDGES, LARGEST, REGULAR, WIDEST, cases, numbers_of
from reference.network import ACTIVATIONS, LOSSES, REDUCTIONS, forward, layers_of

CLAIMS = read(manual_backprop.PROBLEM)
RELU = read({"hidden": "relu", "layers": [2, 3], "dtype": ["float64", "float32"]})
COUNT = 1200


@pytest.fixture(scope="module")
def regular() -> list[Case]:
    """Cases as a run draws them."""
    return list(samples(cases(CLAIMS), COUNT, start=0))


@pytest.fixture(scope="module")
def edges() -> list[Case]:
    """Cases of the edges."""
    return list(samples(cases(CLAIMS, EDGES), COUNT, start=0))


@pytest.fixture(scope="module")
def relu() -> list[Case]:
    """Cases of a subject that claims relu alone."""
    return list(samples(cases(RELU), COUNT, start=0))


def share(drawn: list[Case], holds: Callable[[Case], object]) -> float:
    """In which part of the cases something holds."""
    return sum(bool(holds(case)) for case in drawn) / len(drawn)


def kind(case: Case) -> str:
    """Which kind of targets a case has."""
    if case.targets.ndim == 1:
        return "labels"
    ones = (case.targets == 1).sum(axis=1) == 1
    return "one_hot" if ones.all() and ((case.targets == 0).sum(axis=1) == case.outputs - 1).all() else "real"


class Choice(NamedTuple):
    """Something that is chosen, its values, and the share of cases that each has at least."""

    name: str
    of: Callable[[Case], object]
    values: Iterable[object]
    least: float


def depth(case: Case) -> int:
    """How many layers a case has."""
    return len(case.parameters)


def width_of_inputs(case: Case) -> int:
    """How many inputs a sample has."""
    return case.sizes[0]


def dtype(case: Case) -> str:
    """The format of a case."""
    return str(case.inputs.dtype)


def has_bias(case: Case) -> bool:
    """Whether the layers have biases."""
    return case.parameters[0][1] is not None


SIZES = range(1, LARGEST + 1)
CHOICES = [
    Choice("regime", attrgetter("regime"), REGULAR, 0.04),
    Choice("layers", depth, (1, 2, 3, 4), 0.1),
    Choice("hidden", attrgetter("hidden"), set(ACTIVATIONS) - {"softmax"}, 0.1),
    Choice("output", attrgetter("output"), ACTIVATIONS, 0.02),
    Choice("loss", attrgetter("loss"), LOSSES, 0.04),
    Choice("reduction", attrgetter("reduction"), REDUCTIONS, 0.3),
    Choice("targets", kind, ("real", "one_hot", "labels"), 0.2),
    Choice("bias", has_bias, (True, False), 0.3),
    Choice("dtype", dtype, ("float64", "float32"), 0.3),
    Choice("samples", attrgetter("samples"), SIZES, 0.04),
    Choice("outputs", attrgetter("outputs"), SIZES, 0.04),
    Choice("inputs", width_of_inputs, SIZES, 0.04),
]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.name)
def test_every_choice_is_drawn(regular: list[Case], choice: Choice) -> None:
    for value in choice.values:
        assert sum(choice.of(case) == value for case in regular) >= choice.least * len(regular), value


def test_every_hidden_activation_meets_every_output_with_every_loss(regular: list[Case]) -> None:
    met = {(case.hidden, case.output, case.loss) for case in regular}
    pairs = {pair for claim in CLAIMS for pair in claim.pairs()}
    assert len(met) > 0.9 * len(CLAIMS[0].hidden) * len(pairs)


@pytest.mark.parametrize("start", range(5))
def test_the_cases_of_a_run_are_mostly_different(start: int) -> None:
    run = list(samples(cases(CLAIMS), 100, start=start))
    assert len({(case.hidden, case.output, case.loss) for case in run}) >= 30
    assert len({(*case.choices.values(), *case.sizes, case.samples) for case in run}) >= 85


def test_sizes_tell_the_axes_apart(regular: list[Case]) -> None:
    middle = [case for case in regular if case.regime == "well scaled"]
    assert share(middle, lambda case: case.samples > 1) > 0.7
    assert share(middle, lambda case: case.samples != case.outputs) > 0.7
    assert share(middle, lambda case: all(W.shape[0] != W.shape[1] for W, _ in case.parameters)) > 0.3
    assert share(middle, lambda case: len({*case.sizes, case.samples}) == len(case.sizes) + 1) > 0.1
    assert share(regular, lambda case: len(set(case.sizes)) == 1 and case.sizes[0] > 1) > 0.04
    assert share(regular, lambda case: max(*case.sizes, case.samples) > LARGEST) > 0.05
    assert max(max(*case.sizes, case.samples) for case in regular) == WIDEST


def test_numbers_differ_and_are_not_zero(regular: list[Case]) -> None:
    middle = [case for case in regular if case.regime == "well scaled"]
    weights = [W for case in middle for W, _ in case.parameters if W.size > 3]
    assert np.mean([len(np.unique(W)) > 0.9 * W.size for W in weights]) > 0.8
    biases = [b for case in middle for _, b in case.parameters if b is not None]
    assert np.mean([(b != 0).all() for b in biases]) > 0.8
    assert share(middle, lambda case: (case.inputs < 0).any() and (case.inputs > 0).any()) > 0.5


def test_most_gradients_are_not_zero(regular: list[Case]) -> None:
    assert share(regular, lambda case: all(dW.any() for dW, _ in case.oracle.gradient)) > 0.7


def test_float32_and_fractions_hold_the_numbers_exactly(regular: list[Case]) -> None:
    assert len(np.unique(DYADICS)) == 2**16
    assert np.array_equal(DYADICS.astype(np.float32), DYADICS)
    for case in regular[:200]:
        for W, _ in case.parameters:
            assert W.dtype == case.inputs.dtype
            assert all(Fraction(float(w)).denominator <= 2**20 for w in W.flat)


def pre_activations(case: Case) -> np.ndarray:
    """Every z that meets relu, in one row, in float64."""
    wide = [(W.astype(float), None if b is None else b.astype(float)) for W, b in case.parameters]
    zs, _ = forward(np, layers_of(wide, case.hidden, case.output), case.inputs.astype(float))
    return np.concatenate([z.ravel() for z in zs[:-1]])


def test_kinks_are_met_exactly(relu: list[Case]) -> None:
    assert share(relu, lambda case: (pre_activations(case) == 0).any()) > 0.1


def test_kinks_are_met_within_rounding(relu: list[Case]) -> None:
    def close(case: Case) -> bool:
        z = pre_activations(case)
        return bool(((z != 0) & (abs(z) < 64 * np.finfo(case.inputs.dtype).eps)).any())

    assert share(relu, close) > 0.02


def test_kinks_leave_entries_open(relu: list[Case]) -> None:
    def open_entries(case: Case) -> bool:
        return any((k > e).any() for (k, _), (e, _) in zip(case.oracle.open, case.oracle.error, strict=True))

    assert 0.03 < share(relu, open_entries) < 0.25


def test_extremes_reach_from_1e_8_to_1e8(edges: list[Case]) -> None:
    extreme = [case for case in edges if case.regime == "extreme"]
    for arrays in (
        [case.inputs for case in extreme],
        [W for case in extreme for W, _ in case.parameters],
        [b for case in extreme for _, b in case.parameters if b is not None],
        [case.targets for case in extreme if case.targets.ndim > 1],
    ):
        sizes = np.concatenate([abs(array[array != 0]) for array in arrays])
        assert sizes.min() < 1e-8
        assert sizes.max() > 1e8


def test_saturated_cases_reach_beyond_where_exponentials_overflow(edges: list[Case]) -> None:
    saturated = [case for case in edges if case.regime == "saturated"]

    def largest_first_z(case: Case) -> float:
        W, b = case.parameters[0]
        z = case.inputs.astype(float) @ W + (0 if b is None else b)
        return float(abs(z).max())

    assert share(saturated, lambda case: largest_first_z(case) > 10) > 0.5
    assert share(saturated, lambda case: largest_first_z(case) > 710) > 0.02


def test_probabilities_add_up_to_1_exactly(regular: list[Case]) -> None:
    entropies = [case for case in regular if case.loss == "cross_entropy" and kind(case) == "real"]
    assert entropies
    for case in entropies:
        assert (case.targets >= 0).all()
        for row in case.targets:
            assert sum(row) == sum(row[::-1]) == np.sort(row).sum() == 1


def test_targets_fit_the_loss(regular: list[Case]) -> None:
    for case in regular:
        if kind(case) == "labels":
            assert case.targets.dtype.kind == "i"
            assert set(case.targets) <= set(range(case.outputs))
        elif case.loss.endswith("binary_cross_entropy"):
            assert ((case.targets >= 0) & (case.targets <= 1)).all()
    assert any(len(set(case.targets.tolist())) > 1 for case in regular if kind(case) == "labels")


def test_pinned_sizes_and_choices_are_kept() -> None:
    claim = Claim(
        layers=(3,), hidden=("relu",), inputs=(5,), width=(7, 9), outputs=(2,), samples=(32,), bias=(False,)
    )
    for case in samples(cases([claim], REGULAR + EDGES), 300, start=0):
        assert (case.sizes[0], case.outputs, case.samples, len(case.parameters)) == (5, 2, 32, 3)
        assert set(case.sizes[1:-1]) <= {7, 9}
        assert (case.hidden, case.output, case.loss, case.reduction) == ("relu", "identity", "mse", "mean")
        assert all(b is None for _, b in case.parameters)


def test_a_dtype_can_be_chosen() -> None:
    drawn = samples(cases(CLAIMS, REGULAR + EDGES, dtype="float32"), 100, start=0)
    assert {str(case.inputs.dtype) for case in drawn} == {"float32"}


def smallest(holds: Callable[[Case], bool]) -> Case:
    """The smallest case that a search finds."""
    quiet = settings(
        max_examples=500,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=SLOW,
    )
    return find(cases(CLAIMS), holds, settings=quiet)


def test_a_case_shrinks_to_few_units_and_simple_numbers() -> None:
    case = smallest(lambda case: bool((case.parameters[0][0] > 0.4).any()))
    assert case.sizes == [1, 1]
    assert case.samples == 1
    assert case.parameters[0][0].tolist() == [[0.5]]
    assert not case.inputs.any()


def test_a_case_that_needs_two_samples_and_outputs_shrinks_to_two() -> None:
    case = smallest(lambda case: case.samples > 1 and case.outputs > 1 and len(case.parameters) > 1)
    assert case.sizes == [1, 1, 2]
    assert case.samples == 2
    assert not case.inputs.any()


@pytest.mark.parametrize("least_simple", [0, 1, 1000, 2**16 - 1])
def test_numbers_that_are_not_drawn_are_no_less_simple_than_those_that_are(least_simple: int) -> None:
    following = numbers_of(np.array([0, least_simple, 0]))(1000)
    assert following.max() == least_simple
    assert len(np.unique(following)) > min(least_simple, 500) / 2
