"""Each mistake is told with the smallest case on which it shows, which runs as it is printed."""

import contextlib
import io

import numpy as np
import pytest
from click.testing import CliRunner

from harness.bundled import Page, smallest
from harness.cli import main
from harness.mistakes import hiding_places
from manual_backprop.mistakes import MISTAKES
from manual_backprop.mistakes.operations import OPERATION_MISTAKES


def told(*arguments: str) -> str:
    """What the command prints."""
    result = CliRunner().invoke(main, ["mistakes", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def printed(code: str) -> list[str]:
    """What the code at the end of a story prints, line by line."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code[code.index("import numpy as np") :], {})  # noqa: S102  (that is the claim)
    return out.getvalue().splitlines()


def test_every_mistake_is_listed_and_those_of_an_operation_alone() -> None:
    assert told().rstrip().splitlines()[-1].startswith(f"{len(OPERATION_MISTAKES) + len(MISTAKES)} mistakes.")
    assert "one_output_only" in told("network")
    assert "gain_forgotten" in told("layer_norm")
    assert "gain_forgotten" not in told("dense")
    assert all(name in told("scale_forgotten") for name in ("attention", "dropout"))


@pytest.mark.parametrize(
    "name", ["layer_norm.gain_forgotten", "lstm_step.cell_through_the_output_dropped", "one_output_only"]
)
def test_the_smallest_case_can_be_pasted_and_tells_right_from_wrong(name: str) -> None:
    right, wrong = printed(told(name))
    assert right.removeprefix("right") != wrong.removeprefix("wrong")


def test_the_smallest_case_of_a_mistake_in_one_axis_is_longer_in_that_axis_alone() -> None:
    found = smallest(OPERATION_MISTAKES["dense.bias_averaged"])
    assert found.case.sizes == {"n": 2, "d": 1, "k": 1}
    assert found.hiding


def test_a_right_page_is_no_mistake() -> None:
    mistake = OPERATION_MISTAKES["dense.bias_averaged"]
    page = Page(mistake.page, "dense")
    inputs = {"x": np.array([[2.0], [3.0]]), "W": np.array([[5.0]]), "b": np.array([7.0])}
    forward = page.forward(inputs)
    assert page.backward(forward, [np.array([[1.0], [10.0]])]).gradients["b"] == [11.0]


def test_where_a_mistake_of_the_network_hides_follows_from_where_it_applies() -> None:
    assert hiding_places(MISTAKES["sum_for_mean"]) == "reduction sum; one sample."
    assert "one layer" in hiding_places(MISTAKES["one_downstream_path"])
    assert "network without biases" in hiding_places(MISTAKES["bias_forgotten"])


def test_a_name_that_there_is_not_is_answered_with_a_near_one() -> None:
    result = CliRunner().invoke(main, ["mistakes", "layer_norm.gain_forgoten"])
    assert result.exit_code == 2
    assert "did you mean layer_norm.gain_forgotten?" in result.output
