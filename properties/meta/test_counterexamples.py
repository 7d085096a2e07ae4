"""The smallest cases on which the rules that drop terms are wrong."""

import pytest

from manual_backprop.mistakes import Rule, one_cell_only, one_output_only
from properties.cases import Case, Parameters
from properties.comparison import compare, named
from properties.counterexamples import Counterexample, smallest_counterexamples


@pytest.fixture(scope="module", params=[0], ids=lambda seed: f"seed {seed}")
def found(request: pytest.FixtureRequest) -> list[Counterexample]:
    return smallest_counterexamples(request.param)


def test_one_output_is_wrong_from_two_outputs_on(found: list[Counterexample]) -> None:
    one_output, _ = found
    assert one_output.case.sizes == [1, 1, 2]
    assert one_output.case.samples == 1


def test_one_cell_is_wrong_from_two_cells_on(found: list[Counterexample]) -> None:
    _, one_cell = found
    assert one_cell.case.samples * one_cell.case.outputs == 2
    assert one_cell.case.sizes[:2] == [1, 1]


def test_numbers_of_the_counterexample_are_those_of_the_rule_and_of_the_truth(
    found: list[Counterexample],
) -> None:
    for one, cells in zip(found, ((slice(None), [0]), (0, 0)), strict=True):
        case, bound = one.case, named(one.case.oracle.error)
        assert compare(named(one.wrong), named(case.kept(*cells)), bound).holds
        assert compare(named(one.right), named(case.kept(slice(None), slice(None))), bound).holds
        assert not compare(named(one.wrong), named(one.right), bound).holds


def the_right_rule(case: Case, rule: Rule) -> Parameters:
    del rule
    return case.oracle.gradient


def test_rules_that_are_right_everywhere_have_no_counterexample(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = (("the right rule", one_output_only(0)), ("every output", one_cell_only(0, 0)))
    monkeypatch.setattr("properties.counterexamples.wrong_rule", the_right_rule)
    monkeypatch.setattr("properties.counterexamples.RULES", everything)
    with pytest.raises(LookupError, match="no case in 100"):
        smallest_counterexamples(1)
