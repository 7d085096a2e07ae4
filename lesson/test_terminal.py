"""The lesson in the terminal, and the command."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from lesson import story
from lesson.command import WIDTH, lesson
from lesson.content import build
from lesson.terminal import tell
from lesson.wording import in_units, signed, unit


def run(*arguments: str) -> str:
    """The command's output."""
    result = CliRunner().invoke(lesson, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_without_a_terminal_every_step_is_told_straight_through() -> None:
    told = run()
    for step in story.STEPS:
        assert step.title in told
    for question in story.quiz(build()):
        assert f"{question.right}. " in told
    assert told.index(story.STEPS[-1].title) < told.index("Question 1")


def test_no_line_is_wider_than_80_columns() -> None:
    assert max(len(line) for line in run().splitlines()) <= WIDTH


def test_the_ledger_and_the_masks_are_the_lessons() -> None:
    told, ledger = run(), build().ledgers["W1.8.mean.identity"]
    scale = unit(abs(ledger.cells).max())
    for label, row in enumerate(ledger.cells):
        assert " ".join([str(label), *(in_units(value, scale) for value in row)]) in " ".join(told.split())
    assert "██████████    █·········    █·········    ██████████" in told
    assert signed(build().kept["W1.8.o11.mean.identity"].total) in told


def pressing(keys: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """What is told when these keys are pressed one after another, and the keys that were not asked for."""
    monkeypatch.setattr(click, "getchar", lambda: keys.pop(0))
    console = Console(
        width=WIDTH, force_terminal=True, color_system=None, highlight=False, record=True, quiet=False
    )
    with console.capture() as captured:
        tell(build(), console, wait=True)
    return captured.get(), keys


def test_on_a_terminal_a_key_leads_to_the_next_step_and_the_answer_waits_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told, _ = pressing([" ", "q"], monkeypatch)
    assert story.STEPS[0].title in told
    assert "10 of them" not in told
    told, _ = pressing([" ", " ", "q"], monkeypatch)
    assert "10 of them" in told
    assert story.STEPS[1].title not in told


@pytest.mark.parametrize("leave", ["q", "Q", "\x1b", "\x03", "\x04"])
def test_q_escape_and_control_c_leave(leave: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told, left = pressing([leave, "never asked for"], monkeypatch)
    assert story.STEPS[0].title not in told
    assert left == ["never asked for"]


def test_the_page_and_the_numbers_are_written_where_asked(tmp_path: Path) -> None:
    page, numbers = tmp_path / "lesson.html", tmp_path / "lesson.json"
    run("--html", str(page), "--json", str(numbers))
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(numbers.read_text(encoding="utf-8"))["labels"] == list(range(8))


def test_a_path_that_cannot_be_written_is_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    result = CliRunner().invoke(lesson, ["--html", str(tmp_path / "none" / "lesson.html")])
    assert result.exit_code == 2
    assert "can't write" in result.output
    assert "Traceback" not in result.output
