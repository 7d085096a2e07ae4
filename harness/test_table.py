"""The table command says in three formats what was measured."""

import json
import re

import pytest
from click.testing import CliRunner, Result

from harness.table import table
from properties.cross_derivatives import FAMILIES, ROWS, as_json, as_markdown, as_text, measure

SOFTMAX = "∂y[1,2]/∂x[1,3] = −0.138"
NORMS = [measure(row) for row in ROWS if row.name in ("softmax", "batch_norm")]


def test_text_shows_each_layer_s_zeros_and_witnesses_and_what_is_left_of_the_sum() -> None:
    softmax, batch_norm = [
        line for line in as_text(NORMS).splitlines() if "norm" in line or "softmax" in line
    ]
    assert re.split(r"  +", softmax.strip()) == [
        "softmax",
        f"≠ 0: {SOFTMAX}",
        "0",
        "no weights",
        "a sum over units",
    ]
    assert re.split(r"  +", batch_norm.strip())[-3].startswith("≠ 0: ∂y[")
    assert batch_norm.rstrip().endswith("a sum over samples")


def test_markdown_has_a_line_for_each_layer_and_the_same_cells_as_the_text() -> None:
    heading, rule, *lines = as_markdown(NORMS).splitlines()
    assert heading.count("|") == rule.count("|") == len(FAMILIES) + 3
    assert lines[0] == f"| softmax | ≠ 0: {SOFTMAX} | 0 | no weights | a sum over units |"
    assert len(lines) == len(NORMS)


def test_json_gives_every_witness_as_indices_with_its_value_and_bound() -> None:
    softmax, batch_norm = json.loads(as_json(NORMS))
    assert softmax["samples"] == {"vanishes": True, "entries": 384, "witness": None}
    assert not batch_norm["samples"]["vanishes"]
    witness = softmax["units"]["witness"]
    assert (witness["output"], witness["array"], witness["entry"]) == ([1, 2], "x", [1, 3])
    assert abs(witness["value"]) > witness["bound"] > 0


def run(*arguments: str) -> Result:
    return CliRunner().invoke(table, arguments)


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_the_command_names_every_layer(form: str) -> None:
    result = run("--format", form, "--cases", "1")
    assert result.exit_code == 0
    assert all(row.name in result.output for row in ROWS)


def test_the_same_seed_measures_the_same_and_another_seed_other_witnesses() -> None:
    assert run("--cases", "1").output == run("--cases", "1").output
    assert run("--cases", "1").output != run("--cases", "1", "--seed", "1").output


def test_an_unknown_format_is_a_wrong_call() -> None:
    assert run("--format", "html").exit_code == 2
