"""The worked notebook runs, and the cell magic judges what a cell defines, with the options of the command."""

import re
from pathlib import Path
from typing import Any

import click
import nbclient
import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

from harness.notebook import OPTIONS, parsed
from harness.progress import shown_where_it_can_be

EXAMPLE = Path(__file__).parent.parent / "examples" / "notebook.ipynb"
MINUTES = 5 * 60
RIGHT = """
OPERATION = {"x": "n"}
def forward(x):
    return x**3, x
def backward(dy, x):
    return dy * 3 * x**2
"""
WRONG = RIGHT.replace("3 * x**2", "2 * x**2")


@pytest.fixture(scope="module")
def worked() -> list[Any]:
    """The cells of the worked notebook, run from the first to the last."""
    notebook: Any = nbformat.read(EXAMPLE, as_version=4)  # pyright: ignore[reportUnknownMemberType]
    nbclient.NotebookClient(notebook, timeout=MINUTES).execute()  # which raises what a cell raises
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell: Any, kind: str = "text/plain") -> str:
    return "".join(one.get("text", "") or one.get("data", {}).get(kind, "") for one in cell.outputs)


def test_the_worked_notebook_says_what_its_words_say(worked: list[Any]) -> None:
    told = [texts(cell) for cell in worked]
    assert "FAIL cell: dx" in told[1]
    assert "Mistake: dx: the path" in told[1]
    assert "('path',)" in told[2]
    assert "PASS operation" in told[3]
    assert re.search(r"an error of \de-1\d in a typical entry would have failed", told[4])
    assert "Mistake: output_mean_lost" in told[5]
    assert "The gradient is right at x and at 2 points near it" in told[6]
    assert "At x no difference is seen. Near it, grad[0] is" in told[7]
    assert "x = np.array([" in told[7]


def test_a_result_is_shown_as_a_part_of_the_page_and_the_bar_is_gone(worked: list[Any]) -> None:
    for cell in (worked[1], worked[3], worked[5]):
        page = texts(cell, "text/html")
        assert '<div class="manual-backprop">' in page
        assert "<progress" not in page
        assert "stderr" not in {one.get("name") for one in cell.outputs}


class Shell:
    """A shell of IPython in this process, without a kernel."""

    def __init__(self) -> None:
        """With the extension."""
        self.shell: Any = InteractiveShell()
        self.shell.run_line_magic("load_ext", "harness.notebook")

    def verify(self, cell: str, line: str = "--quick --cases 8 --seed 1") -> Any:
        """What the magic returns."""
        return self.shell.run_cell_magic("verify", line, cell)


@pytest.fixture
def shell() -> Shell:
    return Shell()


def test_a_cell_is_run_in_the_namespace_of_the_notebook_and_judged(shell: Shell) -> None:
    shell.shell.run_cell("power = 3")
    assert shell.verify(RIGHT.replace("x**3", "x**power")).verdict == "PASS"
    assert shell.shell.user_ns["forward"](2.0)[0] == 8.0
    wrong = shell.verify(WRONG)
    assert (wrong.verdict, wrong.name) == ("FAIL", "cell")
    assert "seed=1" in str(wrong)
    few = shell.verify(WRONG, "--cases 7 --only result_meets_the_contract")
    assert [record.name for record in few.properties] == ["result_meets_the_contract"]
    assert "cases=7" in few.outcomes[0].again


def test_a_line_is_told_as_it_is_counted_in_the_cell(shell: Shell) -> None:
    raised = shell.verify(
        "OPERATION = {'x': 'n'}\ndef forward(x):\n    return nothing, x\ndef backward(dy, x): ...\n"
    )
    assert "(line 4 of the cell)" in raised.message  # the line of the magic is the first


def test_what_a_cell_raises_is_raised_and_a_wrong_call_gets_one_line(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError):
        shell.verify("1 / 0")
    for line, cell, sentence in (
        ("--fast", RIGHT, "%%verify: No such option"),
        ("--cases 0", RIGHT, "%%verify: Invalid value for '--cases'"),
        ("--only 'x", RIGHT, "%%verify: No closing quotation."),
        ("", "three = 3", "The cell defines no function"),
    ):
        shell.shell.run_cell(f"%%verify {line}\n{cell}")
        told = capsys.readouterr()
        assert f"UsageError: {sentence}" in told.err + told.out
        assert "Traceback" not in told.err + told.out


def test_the_options_of_the_magic_are_those_of_the_command() -> None:
    assert parsed("--quick --cases 3 --seed 0 --hints 1 --time-limit 5 --only a --only b") == {
        "quick": True,
        "cases": 3,
        "seed": 0,
        "hints": 1,
        "time_limit": 5.0,
        "only": ("a", "b"),
    }
    assert set(parsed("")) <= set(OPTIONS)
    for line in ("--json a.json", "mine.py", "--sandbox none"):
        with pytest.raises(click.UsageError):
            parsed(line)


def test_without_a_kernel_there_is_no_bar() -> None:
    shown: list[object] = []
    for wanted in (None, True, False):
        with shown_where_it_can_be(wanted) as show:
            shown.append(show(1, 2, "next"))
    assert shown == [None, None, None]
