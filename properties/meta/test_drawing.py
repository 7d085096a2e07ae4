"""What is drawn depends on the seed alone, and a search leaves nothing behind."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis.strategies import binary, integers, tuples

from properties.search import Effort, Record, search


def test_a_seed_gives_the_same_cases_whatever_else_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn() -> list[tuple[bytes, int]]:
        cases: list[tuple[bytes, int]] = []
        search(Record("seen"), cases.append, tuples(binary(), integers()), Effort(200, 1))
        return cases

    before = drawn()
    constants = [f"CONSTANT_{i} = ({1000 + 37 * i}, b'constant {i}')" for i in range(20)]
    (tmp_path / "full_of_constants.py").write_text("\n".join(constants), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "full_of_constants", importlib.import_module("full_of_constants"))
    assert drawn() == before


SEARCH = """
from hypothesis.strategies import binary
from properties.search import Effort, Record, Violation, search
def check(drawn):
    if len(drawn) > 3:
        raise Violation("long")
record = Record("short")
search(record, check, binary(), Effort(200, 1))
assert record.counterexample == bytes(4), record
"""


def test_a_search_leaves_nothing_in_the_current_folder(tmp_path: Path) -> None:
    path = str(Path(__file__).parents[2])
    call = [sys.executable, "-c", SEARCH]
    subprocess.run(call, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, check=True)  # noqa: S603
    assert not list(tmp_path.iterdir())
