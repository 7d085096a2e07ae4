"""The table of vanishing derivatives: measured, confirmed, and what follows for the chain rule's sum."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from properties import cross_derivatives
from properties.cross_derivatives import (
    FAMILIES,
    ROWS,
    SAMPLES,
    UNITS,
    Case,
    Cell,
    Floats,
    Row,
    Witness,
    bounded_backward,
    drawn,
    measure,
)
from properties.layer_cases import (
    AT_MOST,
    ROW,
    around,
    disagree,
    each_gets_its_share,
    layer_cases,
    smallest,
)
from reference import layers

each_layer = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@cache
def table_row(name: str) -> dict[str, Cell]:
    """The table's row for a layer, measured once."""
    return measure(ROW[name]).cells


def refuted(row: Row, family: str, cell: Cell, cases: Sequence[Case]) -> bool:
    """Whether fresh cases speak against a cell: a witness against a zero, none for a "not zero"."""
    seen = any(cross_derivatives.cells(row, case)[family].witness for case in cases)
    return seen == cell.vanishes


@pytest.mark.parametrize("family", FAMILIES)
@each_layer
def test_a_cell_of_the_table_holds_on_fresh_cases_and_its_opposite_does_not(row: Row, family: str) -> None:
    cell = table_row(row.name)[family]
    fresh = list(drawn(row, cases=3, seed=1))
    assert not refuted(row, family, cell, fresh)
    opposite = Cell(cell.entries, None if cell.witness else Witness((0, 0), "x", (0, 0), 1, 0))
    assert refuted(row, family, opposite, fresh)


@each_layer
def test_every_witness_is_confirmed_by_a_complex_step(row: Row) -> None:
    cases = list(drawn(row, cases=4, seed=0))
    arrays = ["x", *(array for array, _ in row.feeds)]
    for cell in table_row(row.name).values():
        if cell.witness is not None:
            output, array, entry, value, bound = cell.witness
            dy = np.zeros_like(row.subject.forward(cases[0].x, *cases[0].parameters)[0])
            dy[output] = 1
            steps = layers.complex_steps(row.name, dy, cases[0].x, cases[0].parameters)
            again = steps[arrays.index(array)][entry]
            assert abs(again - value) <= bound < abs(value)


def without(row: Row, family: str, dy: Floats, case: Case) -> tuple[Any, ...]:
    """(dx, *dparameters) without the terms of the family: each unit, or sample, goes back alone."""
    x, parameters = case
    _, cache = row.subject.forward(x, *parameters)
    dx, *dparameters = [d.copy() for d in row.subject.backward(dy, cache)]
    for one in range(dy.shape[0 if family == "samples" else 1]):
        alone = np.zeros_like(dy)
        own = (one,) if family == "samples" else (slice(None), one)
        alone[own] = dy[own]
        found = row.subject.backward(alone, cache)
        if family == "weights":
            for (_, axis), d, kept in zip(row.feeds, dparameters, found[1:], strict=True):
                fed = (slice(None),) * axis + (one,)
                d[fed] = kept[fed]
        elif family == "samples" or one < x.shape[1]:  # a dense layer has more units than inputs
            dx[own] = found[0][own]
    return dx, *dparameters


def dropping_changes(row: Row, family: str, drawn: tuple[Floats, Case]) -> bool:
    """Whether the rule without the family's terms is wrong on the case."""
    dy, case = drawn
    _, cache = row.subject.forward(case.x, *case.parameters)
    truth = around(row.subject.backward(dy, cache), bounded_backward(row, dy, case))
    return disagree(without(row, family, dy, case), truth)


@pytest.mark.parametrize(
    ("row", "family"),
    [(row, family) for row in ROWS for family in FAMILIES if family != "weights" or row.feeds],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_single_term_rule_is_exact_where_the_table_says_zero_and_refuted_elsewhere(
    row: Row, family: str
) -> None:
    if table_row(row.name)[family].vanishes:

        @each_gets_its_share
        @given(layer_cases(row))
        def check(drawn: tuple[Floats, Case]) -> None:
            assert not dropping_changes(row, family, drawn)

        check()
    else:
        dy, case = smallest(layer_cases(row), partial(dropping_changes, row, family))
        assert len(dy) <= AT_MOST
        assert case.x.shape[1] <= AT_MOST


def test_the_table_says_what_is_known_of_each_layer() -> None:
    not_zero = {name: [f for f in FAMILIES if not table_row(name)[f].vanishes] for name in ROW}
    assert not_zero == {
        "dense": ["units"],
        "identity": [],
        "tanh": [],
        "sigmoid": [],
        "relu": [],
        "softplus": [],
        "dropout": [],
        "residual": ["units"],
        "tied": ["units", "weights"],
        "softmax": ["units"],
        "layer_norm": ["units"],
        "rms_norm": ["units"],
        "batch_norm": ["samples"],
    }


def test_every_derivative_by_x_is_a_unit_s_own_or_in_one_family() -> None:
    cell = measure(ROW["softmax"], cases=1).cells
    own = SAMPLES * UNITS
    assert cell["units"].entries == SAMPLES * UNITS * (UNITS - 1)
    assert cell["samples"].entries == SAMPLES * (SAMPLES - 1) * UNITS**2
    assert own + cell["units"].entries + cell["samples"].entries == own**2


def test_every_derivative_by_a_weight_is_of_the_unit_it_feeds_or_in_the_family() -> None:
    entries = SAMPLES * (UNITS + 1) * (UNITS + 1) * (UNITS + 1)  # of each output by each of W and b
    assert measure(ROW["dense"], cases=1).cells["weights"].entries == entries - entries // (UNITS + 1)
