"""Each layer's hand-written backward pass against its truth; its mistakes; its degenerate points."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, reject

from manual_backprop.layers import BATCH_NORM, EPSILON, LAYERS
from manual_backprop.layers.batch_norm import standardised
from manual_backprop.mistakes.layers import LAYER_MISTAKES
from properties.cross_derivatives import ROWS, Case, Floats, Row, bounded_backward, drawn
from properties.layer_cases import (
    AT_MOST,
    ROW,
    Backward,
    around,
    compared,
    disagree,
    each_gets_its_share,
    is_wrong,
    layer_cases,
    learned_by,
    smallest,
)
from reference import layers
from reference.arithmetic.reading import UndecidedError

each_layer = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def test_every_layer_has_its_row() -> None:
    assert [row.name for row in ROWS] == list(LAYERS)


@each_layer
def test_the_layer_is_the_reference_s(row: Row) -> None:
    @each_gets_its_share
    @given(layer_cases(row))
    def check(drawn: tuple[Floats, Case]) -> None:
        x, parameters = drawn[1]
        y = row.subject.forward(x, *parameters)
        assert compared([y], [layers.forward(row.name, x, parameters)]).holds

    check()


@each_layer
def test_backward_equals_autodiff(row: Row) -> None:
    @each_gets_its_share
    @given(layer_cases(row))
    def check(drawn: tuple[Floats, Case]) -> None:
        dy, case = drawn
        y = row.subject.forward(case.x, *case.parameters)
        found = row.subject.backward(dy, case.x, y, *case.parameters)
        assert compared(learned_by(row, found), bounded_backward(row, dy, case)).holds

    check()


@each_layer
def test_backward_equals_complex_steps(row: Row) -> None:
    @each_gets_its_share
    @given(layer_cases(row))
    def check(drawn: tuple[Floats, Case]) -> None:
        dy, case = drawn
        y = row.subject.forward(case.x, *case.parameters)
        try:
            truth = layers.complex_steps(row.name, dy, case.x, case.parameters)
        except UndecidedError:
            reject()  # a unit lies on a kink
        found = learned_by(row, row.subject.backward(dy, case.x, y, *case.parameters))
        assert compared(found, around(truth, bounded_backward(row, dy, case))).holds

    check()


# Mistakes ---------------------------------------------------------------------------------------------

VARIANTS = [(mistake.name, layer, wrong) for mistake in LAYER_MISTAKES for layer, wrong in mistake.variants]
each_mistake = pytest.mark.parametrize(
    ("name", "layer", "wrong"), VARIANTS, ids=[f"{name} in {layer}" for name, layer, _ in VARIANTS]
)


def names_of(row: Row, suspect: Backward) -> set[str]:
    """The mistakes that give the suspect's numbers on fresh cases."""
    random = np.random.default_rng(2)
    found = {name for name, layer, _ in VARIANTS if layer == row.name}
    for case in drawn(row, cases=3, seed=3):
        y = row.subject.forward(case.x, *case.parameters)
        dy = random.standard_normal(y.shape)
        answer = learned_by(row, suspect(dy, case.x, y, *case.parameters))
        bounds = bounded_backward(row, dy, case)
        found = {
            name
            for name, layer, wrong in VARIANTS
            if name in found
            and layer == row.name
            and not disagree(answer, around(learned_by(row, wrong(dy, case.x, y, *case.parameters)), bounds))
        }
    return found


@each_mistake
def test_a_mistake_is_caught_on_a_small_case_and_named(name: str, layer: str, wrong: Backward) -> None:
    row = ROW[layer]
    _, case = smallest(layer_cases(row), partial(is_wrong, row, wrong))
    assert max(case.x.shape) <= AT_MOST
    assert names_of(row, wrong) == {name}


@each_layer
def test_a_right_layer_is_given_no_mistake_s_name(row: Row) -> None:
    assert names_of(row, row.subject.backward) == set()


# Right, though they look wrong ------------------------------------------------------------------------


def in_steps(
    dy: Floats, x: Floats, y: Floats, gain: Floats, shift: Floats, *, vanishing: bool
) -> tuple[Floats, ...]:
    """Batch normalisation step by step, with or without the term dvar · Σ(x - μ), which is 0."""
    n, deviation = len(x), np.sqrt(x.var(axis=0) + EPSILON)
    centred = x - x.mean(axis=0)
    dx_hat = dy * gain
    dvar = (dx_hat * centred).sum(axis=0) * -0.5 / deviation**3
    dmean = (-dx_hat / deviation).sum(axis=0)
    if vanishing:
        dmean = dmean + dvar * -2 * centred.sum(axis=0) / n
    return dx_hat / deviation + dvar * 2 * centred / n + dmean / n, *BATCH_NORM.backward(
        dy, x, y, gain, shift
    )[1:]


@pytest.mark.parametrize("vanishing", [True, False])
@given(drawn=layer_cases(ROW["batch_norm"]))
def test_batch_normalisation_with_or_without_the_term_that_is_zero_is_right(
    drawn: tuple[Floats, Case], *, vanishing: bool
) -> None:
    assert not is_wrong(ROW["batch_norm"], partial(in_steps, vanishing=vanishing), drawn)


def slope_from_the_value(dy: Floats, x: Floats, y: Floats) -> tuple[Floats]:
    """σ'(z) = a(1 - a), with a = σ(z)."""
    del x
    return (dy * y * (1 - y),)


def slope_from_z(dy: Floats, x: Floats, y: Floats) -> tuple[Floats]:
    """σ'(z) = e^-z / (1 + e^-z)²."""
    del y
    small = np.exp(-np.clip(x, -300, 300))
    return (dy * small / (1 + small) ** 2,)


@pytest.mark.parametrize("backward", [slope_from_the_value, slope_from_z])
@given(drawn=layer_cases(ROW["sigmoid"]))
def test_the_sigmoid_s_slope_is_right_from_the_value_as_from_z(
    drawn: tuple[Floats, Case], backward: Backward
) -> None:
    assert not is_wrong(ROW["sigmoid"], backward, drawn)


def test_the_sigmoid_s_slope_from_z_is_wrong_at_the_value() -> None:
    def at_the_value(dy: Floats, x: Floats, y: Floats) -> tuple[Floats]:
        del x
        return slope_from_z(dy, y, y)

    smallest(layer_cases(ROW["sigmoid"]), partial(is_wrong, ROW["sigmoid"], at_the_value))


# Degenerate points ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0.1, 1e3, 1e8, 1e11, 1e14])
def test_a_constant_column_has_the_slope_that_epsilon_gives_it(size: float) -> None:
    random = np.random.default_rng(4)
    dy, gain, shift = random.standard_normal((3, 4)), np.array([1.0, -2, 0.5, 3]), np.zeros(4)
    x = size * random.standard_normal(4) + np.zeros((3, 1))
    truth = gain * (dy - dy.mean(axis=0)) / np.sqrt(EPSILON)
    bounds = bounded_backward(ROW["batch_norm"], dy, Case(x, (gain, shift)))
    dx, *_ = BATCH_NORM.backward(dy, x, x, gain, shift)
    assert compared([dx], around([truth], bounds[:1])).holds
    nobody_can_tell = bool((bounds[0].error >= abs(truth)).all())
    assert nobody_can_tell == (size * np.finfo(float).eps > np.sqrt(EPSILON))


def test_a_column_of_0_is_shifted_and_nothing_else() -> None:
    x_hat, r = standardised(np.zeros((3, 2)))
    assert not x_hat.any()
    assert np.array_equal(r, np.full(2, 1 / np.sqrt(EPSILON)))


@each_layer
def test_bounds_are_narrow_on_well_scaled_cases(row: Row) -> None:
    for case in drawn(row, cases=3, seed=5):
        y = row.subject.forward(case.x, *case.parameters)
        for d in bounded_backward(row, np.ones_like(y), case):
            assert d.error.max() <= 1e-11 * (1 + abs(d.value).max())
