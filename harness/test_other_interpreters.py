"""Functions of torch and of JAX are judged under an interpreter that has these, and nothing of ours.

Such an environment takes minutes to make. So it is made in the nightly run alone, or where one asks for it with
MANUAL_BACKPROP_MAKE_ENVIRONMENTS=1; MANUAL_BACKPROP_TORCH_PYTHON and MANUAL_BACKPROP_JAX_PYTHON name interpreters
that are there.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from harness.judging import verify
from harness.outcomes import Request
from properties.search import Effort, Verdict

EXAMPLES = Path(__file__).parent.parent / "examples" / "operations"
EFFORT = Effort(cases=8, seed=1, shrinking=40)
MINUTES = 60 * 15


@pytest.fixture(scope="session", params=["torch", "jax"])
def framework(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A framework, and an interpreter that has it."""
    name: str = request.param
    return name, interpreter_with(name, tmp_path_factory.mktemp(name))


def interpreter_with(name: str, folder: Path) -> str:
    """An interpreter that has a framework: one that is named, or one that is made in this folder. Skips for none."""
    named = os.environ.get(f"MANUAL_BACKPROP_{name.upper()}_PYTHON")
    if named:
        return named
    if not os.environ.get("MANUAL_BACKPROP_MAKE_ENVIRONMENTS"):
        pytest.skip(
            f"name an interpreter that has {name} by MANUAL_BACKPROP_{name.upper()}_PYTHON, or let one be made with "
            "MANUAL_BACKPROP_MAKE_ENVIRONMENTS=1"
        )
    venv.create(folder, with_pip=True)
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    install = [python, "-m", "pip", "install", "--quiet", "numpy", name]
    done = subprocess.run(install, capture_output=True, check=False, text=True, timeout=MINUTES)  # noqa: S603
    if done.returncode:
        pytest.skip(f"{name} can't be installed here: {done.stderr.strip().splitlines()[-1]}")
    return python


def run(python: str, line: str) -> int:
    """The exit status of a line of Python, in a folder where nothing of ours lies."""
    command = [python, "-c", line]
    done = subprocess.run(  # noqa: S603
        command, cwd=Path(sys.executable).parent, capture_output=True, check=False, timeout=120
    )
    return done.returncode


def test_a_function_of_a_framework_is_judged_under_an_interpreter_that_has_nothing_of_ours(
    framework: tuple[str, str],
) -> None:
    name, python = framework
    assert run(python, f"import {name}") == 0
    for file, verdict in ((f"{name}_function.py", Verdict.PASS), (f"{name}_function_wrong.py", Verdict.FAIL)):
        outcome = verify(Request(str(EXAMPLES / file), EFFORT, operation="?", python=python))
        assert outcome.verdict is verdict, (file, outcome.message)
    assert "beta" in outcome.message if name == "torch" else "dx" in outcome.message


def test_what_is_made_for_it_has_nothing_of_ours(framework: tuple[str, str]) -> None:
    if not os.environ.get("MANUAL_BACKPROP_MAKE_ENVIRONMENTS"):
        pytest.skip("an interpreter that is named may have anything")
    assert run(framework[1], "import manual_backprop") != 0
