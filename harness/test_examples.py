"""The examples come out as their README says, and README's own two pass."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
ROWS = dict(
    re.findall(
        r"^\| `(\w+\.py)` \|.*\| (PASS|FAIL) \|$", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE
    )
)
NAMES = {
    "one_output_only.py": {"one_output_only"},
    "diagonal_softmax.py": {"softmax_diagonal_only"},
    "sum_and_no_bias.py": {"sum_for_mean", "bias_forgotten"},
}
IN_README = ("operation.py", "network.py")


def verify(*arguments: str | Path, folder: Path) -> tuple[int, list[dict[str, Any]], str]:
    """Exit status, JSON and output of `manual-backprop verify`, run as a command of its own."""
    results = folder / "results.json"
    command = [sys.executable, "-m", "harness.cli", "verify", *map(str, arguments), "--json", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=300)  # noqa: S603
    found = json.loads(results.read_text("utf-8")) if results.exists() else []
    return done.returncode, found, done.stdout + done.stderr


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every example, and README's two, in one call."""
    folder = tmp_path_factory.mktemp("examples")
    readme = (ROOT / "README.md").read_text("utf-8")
    own = {name: folder / name for name in IN_README}
    for path, source in zip(own.values(), re.findall(r"```python\n(.*?)```", readme, re.DOTALL), strict=True):
        path.write_text(source, "utf-8")
    status, found, output = verify(
        EXAMPLES, *own.values(), "--cases", "10", "--seed", "7", "--jobs", "1", folder=folder
    )
    assert status == 1, output
    return {Path(one["subject"]).name: one for one in found}


def test_every_example_has_a_row() -> None:
    assert set(ROWS) == {path.name for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize(("name", "verdict"), ROWS.items())
def test_an_example_comes_out_as_its_readme_says(judged: dict[str, Any], name: str, verdict: str) -> None:
    assert judged[name]["verdict"] == verdict, judged[name]["message"]
    if verdict == "FAIL":
        assert set(judged[name]["diagnosis"]["mistakes"]) == NAMES[name]


@pytest.mark.parametrize("name", IN_README)
def test_an_example_in_readme_passes(judged: dict[str, Any], name: str) -> None:
    assert judged[name]["verdict"] == "PASS", judged[name]["message"]
