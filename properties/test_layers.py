"""Each layer against its truth, and its degenerate points."""

import numpy as np
import pytest
from hypothesis import given, reject

from manual_backprop.layers import LAYERS
from manual_backprop.operations import batch_norm
from properties.cross_derivatives import ROWS, Case, Floats, Row, bounded_backward, drawn
from properties.layer_cases import around, compared, each_gets_its_share, layer_cases
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
        y, _ = row.subject.forward(x, *parameters)
        assert compared([y], [layers.forward(row.name, x, parameters)]).holds

    check()


@each_layer
def test_backward_equals_autodiff(row: Row) -> None:
    @each_gets_its_share
    @given(layer_cases(row))
    def check(drawn: tuple[Floats, Case]) -> None:
        dy, case = drawn
        _, cache = row.subject.forward(case.x, *case.parameters)
        assert compared(row.subject.backward(dy, cache), bounded_backward(row, dy, case)).holds

    check()


@each_layer
def test_backward_equals_complex_steps(row: Row) -> None:
    @each_gets_its_share
    @given(layer_cases(row))
    def check(drawn: tuple[Floats, Case]) -> None:
        dy, case = drawn
        _, cache = row.subject.forward(case.x, *case.parameters)
        try:
            truth = layers.complex_steps(row.name, dy, case.x, case.parameters)
        except UndecidedError:
            reject()  # a unit lies on a kink
        found = row.subject.backward(dy, cache)
        assert compared(found, around(truth, bounded_backward(row, dy, case))).holds

    check()


# Degenerate points ------------------------------------------------------------------------------------

EPSILON = batch_norm.OPTIONS["eps"][0]


@pytest.mark.parametrize("size", [0.1, 1e3, 1e8, 1e11, 1e14])
def test_a_constant_column_has_the_slope_that_epsilon_gives_it(size: float) -> None:
    random = np.random.default_rng(4)
    dy, gain, shift = random.standard_normal((3, 4)), np.array([1.0, -2, 0.5, 3]), np.zeros(4)
    x = size * random.standard_normal(4) + np.zeros((3, 1))
    truth = gain * (dy - dy.mean(axis=0)) / np.sqrt(EPSILON)
    row = next(row for row in ROWS if row.name == "batch_norm")
    bounds = bounded_backward(row, dy, Case(x, (gain, shift)))
    dx, *_ = batch_norm.backward(dy, batch_norm.forward(x, gain, shift)[1])
    assert compared([dx], around([truth], bounds[:1])).holds
    nobody_can_tell = bool((bounds[0].error >= abs(truth)).all())
    assert nobody_can_tell == (size * np.finfo(float).eps > np.sqrt(EPSILON))


@each_layer
def test_bounds_are_narrow_on_well_scaled_cases(row: Row) -> None:
    for case in drawn(row, cases=3, seed=5):
        y, _ = row.subject.forward(case.x, *case.parameters)
        for d in bounded_backward(row, np.ones_like(y), case):
            assert d.error.max() <= 1e-11 * (1 + abs(d.value).max())
