"""The list of mutants that no test can tell from the original still speaks of the code that there is."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTED: list[dict[str, Any]] = tomllib.loads((ROOT / "benchmarks/survivors.toml").read_text("utf-8"))[
    "survivor"
]


@pytest.mark.parametrize("survivor", LISTED, ids=lambda survivor: f"{survivor['file']}: {survivor['after']}")
def test_a_listed_survivor_changes_a_line_that_is_there_and_says_why_nothing_follows(
    survivor: dict[str, Any],
) -> None:
    lines = {line.strip() for line in (ROOT / survivor["file"]).read_text("utf-8").splitlines()}
    assert survivor["before"] in lines
    assert survivor["after"] != survivor["before"]
    assert survivor["reason"].endswith(".")


def test_no_survivor_is_listed_twice() -> None:
    keys = [tuple(survivor[key] for key in ("file", "inside", "before", "after")) for survivor in LISTED]
    assert len(keys) == len(set(keys))
