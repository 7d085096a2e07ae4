"""The examples of tests in a project of one's own pass where they are run as that project would run them."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.test_other_interpreters import interpreter_with

FOLDER = Path(__file__).parent.parent / "examples" / "own_tests"
LAYERS = FOLDER.parent / "operations"
"""Where the solution of CS231n lies that one of the examples tests."""
GUIDES = Path(__file__).parent.parent / "docs" / "how-to"
MINUTES = 5 * 60


def run(python: str, *names: str, path: str = "") -> str:
    """The end of pytest's output for some of the examples. Fails where pytest does."""
    call = [
        python,
        "-m",
        "pytest",
        "-q",
        "-c",
        os.devnull,
        "--rootdir",
        str(FOLDER),
        "--confcutdir",  # the conftest.py of this repository is none of that project's
        str(FOLDER),
        "-p",
        "no:cacheprovider",
    ]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "JAX_ENABLE"))
    }
    environment |= {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(LAYERS), path])),
    }
    files = [str(FOLDER / name) for name in names]
    done = subprocess.run(  # noqa: S603
        [*call, *files],
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=MINUTES,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", ["test_scipy_optimize.py", "test_cs231n.py", "test_jax_function.py"])
def test_an_example_passes(name: str) -> None:
    last = run(sys.executable, name)
    assert "passed" in last
    assert "skipped" not in last


def test_the_example_of_torch_passes_where_torch_is(tmp_path: Path) -> None:
    if find_spec("torch") is not None:
        assert "2 passed" in run(sys.executable, "test_torch_function.py")
        return
    python = interpreter_with("torch", tmp_path)
    version = subprocess.run(  # noqa: S603
        [python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=True
    ).stdout.split()
    if version != [str(one) for one in sys.version_info[:2]]:
        pytest.skip(
            "the interpreter that has torch is of another version of Python than what we are installed for"
        )
    path = os.pathsep.join(
        [str(FOLDER.parents[1]), *(one for one in sys.path if one.endswith("site-packages"))]
    )
    assert "2 passed" in run(python, "test_torch_function.py", path=path)


SLOPE = (
    "import jax.numpy as jnp\n"
    "def test_slope(assert_gradient):\n"
    "    assert_gradient(lambda x: (x**3).sum(), lambda x: 3 * x**2, [1.0, 2.0])\n"
    "    assert jnp.ones(1).dtype == 'float32'\n"
)


def test_the_fixture_leaves_the_precision_of_jax_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "test_slope.py").write_text(SLOPE, "utf-8")
    assert "1 passed" in run(sys.executable, str(tmp_path / "test_slope.py"))


def test_every_example_is_run_and_quoted_in_a_guide() -> None:
    names = {path.name for path in FOLDER.glob("test_*.py")}
    assert names == {
        *("test_scipy_optimize.py", "test_cs231n.py", "test_jax_function.py"),
        "test_torch_function.py",
    }
    guide = (GUIDES / "own-tests.md").read_text("utf-8")
    assert all(f'"examples/own_tests/{name}"' in guide for name in names)


def test_what_a_guide_quotes_is_there() -> None:
    lines = [line for path in GUIDES.glob("*.md") for line in path.read_text("utf-8").splitlines()]
    quoted = [
        line for line in lines if line.startswith("--8")
    ]  # a formatter of Python would put spaces in between
    assert len(quoted) > len(list(FOLDER.glob("test_*.py")))
    for line in quoted:
        said, _, name = line.partition(" ")
        assert said == "--8<--"
        assert (FOLDER.parents[1] / name.strip('"')).is_file()
