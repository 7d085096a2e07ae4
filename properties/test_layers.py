"""Layers are pages, which are judged as such: here is that each has a row, and what is left at degenerate points."""

import numpy as np
import pytest

from manual_backprop.layers import LAYERS
from manual_backprop.operations import batch_norm
from properties.cross_derivatives import ROWS, Case, Row, bounded_backward, drawn
from properties.layer_cases import around, compared

each_layer = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def test_every_layer_has_its_row() -> None:
    assert [row.name for row in ROWS] == list(LAYERS)


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
