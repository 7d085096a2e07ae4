"""A torch.autograd.Function in the tests of the project that has it, where torch and manual-backprop are installed."""

from pathlib import Path

import pytest

from harness import verify

cube = pytest.importorskip("cube", reason="this example is for a project that uses torch")


def test_the_backward_pass_is_the_derivative():
    verify(cube.Cube.apply, operation={"x": "n d", "w": "d k"}, cases=10, seed=1).raise_for_failure()


def test_a_file_with_its_declaration_is_judged_in_a_process_of_its_own(tmp_path):
    text = Path(__file__).with_name("cube.py").read_text("utf-8")
    declared = 'OPERATION = {"x": "n d", "w": "d k"}\nFUNCTION = Cube.apply\nARRAYS = "torch"\n'
    path = tmp_path / "cube.py"
    path.write_text(text + declared, "utf-8")
    verify(path, cases=5, seed=1).raise_for_failure()
