"""What GitHub shows of a run: an error on each failing file, and a summary of the job.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

import html
import os
import re
import secrets
from collections.abc import Collection, Generator
from contextlib import contextmanager
from pathlib import Path

import click

from harness.outcomes import Outcome
from harness.report import told, what_fails
from properties.search import Verdict

SHOWN = 10
"""GitHub shows no more errors of one step, and the summary has details of as many subjects."""


@contextmanager
def no_commands() -> Generator[None]:
    """Within it GitHub takes every line for text, also one that a subject made look like a command."""
    token = secrets.token_hex()
    click.echo(f"::stop-commands::{token}")
    try:
        yield
    finally:
        click.echo(f"::{token}::")


def publish(outcomes: list[Outcome], hints: int, failing: Collection[Verdict]) -> None:
    """Print the annotations, and add the summary to the file that GitHub names, if it does.

    Raises a usage error where that can't be written.
    """
    for outcome in outcomes:
        if outcome.verdict in failing:
            click.echo(annotation(outcome, hints))
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(summary(outcomes, hints, failing))
    except OSError as error:
        raise click.UsageError(
            f"{path}, which GITHUB_STEP_SUMMARY names, can't be written: {error.strerror}."
        ) from None


def annotation(outcome: Outcome, hints: int) -> str:
    """One workflow command: the error, on the line of the subject's function where there is a file."""
    properties = _place(outcome) | {"title": _title(outcome, hints)}
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::error {listed}::{_data(_text(outcome, hints))}"


def summary(outcomes: list[Outcome], hints: int, failing: Collection[Verdict]) -> str:
    """The run in Markdown: a line for each subject, and what is known of the first that fail."""
    failed = [outcome for outcome in outcomes if outcome.verdict in failing]
    lines = [f"## Hand-written gradients: {len(failed)} of {len(outcomes)} fail", ""]
    lines += ["| subject | verdict | what fails |", "|---|---|---|"]
    for outcome in outcomes:
        cells = outcome.subject, _title(outcome, hints), what_fails(outcome)
        lines.append("| " + " | ".join(map(_markdown, cells)) + " |")
    for outcome in failed[:SHOWN]:
        text = _text(outcome, hints)
        if outcome.counterexample is not None:
            text += f"\n\nThe smallest case found:\n\n{outcome.script}"
        lines += ["", f"<details><summary>{html.escape(outcome.subject)}</summary>", ""]
        lines += [f"<pre>{html.escape(text)}</pre>", "</details>"]
    if len(failed) > SHOWN:
        lines += ["", f"The report has details of the other {len(failed) - SHOWN}."]
    return "\n".join(lines) + "\n"


def _title(outcome: Outcome, hints: int) -> str:
    """The verdict, with the name of the mistake where the hints allow it."""
    names = outcome.diagnosis.mistakes if outcome.diagnosis and hints > 1 else ()
    return f"{outcome.verdict.value}: {' and '.join(names)}" if names else outcome.verdict.value


def _text(outcome: Outcome, hints: int) -> str:
    """What there is to say of a failing subject, without a case."""
    return "\n".join(filter(None, [outcome.message, outcome.trace, *told(outcome, hints)]))


def _place(outcome: Outcome) -> dict[str, str]:
    """File (from the root of the repository) and line; nothing for a module's name.

    The line is one that the message names in this file, such as that of a syntax error, or else that of the function.
    """
    path = Path(outcome.subject).resolve()
    if not path.is_file():
        return {}
    root = Path(os.environ.get("GITHUB_WORKSPACE", "")).resolve()
    name = re.escape(path.name)
    told = re.search(rf"{name} has a syntax error in line (\d+)|\(line (\d+) of {name}\)", outcome.message)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = (n for n, line in enumerate(lines, start=1) if re.match(r"def (gradient|step)\b", line))
    line = int(told[1] or told[2]) if told else next(found, 1)
    file = path.relative_to(root) if path.is_relative_to(root) else path
    return {"file": file.as_posix(), "line": str(line)}


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _markdown(text: str) -> str:
    """Somebody's text in one line, every sign of Markdown taken literally."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
