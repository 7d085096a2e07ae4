"""One call of `manual-backprop verify`: all its subjects, their reports, and the exit status."""

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from harness import annotations, documents, report
from harness.contents import found_in
from harness.gradescope import as_gradescope
from harness.isolation import Limits
from harness.outcomes import Outcome, Request
from harness.pool import verify_all, verify_here
from properties.counterexamples import smallest_counterexamples
from properties.search import Effort, Record, Verdict
from properties.seed_problem import consequences, real_digits, teacher


@dataclass(frozen=True)
class Options:
    """How `verify` was called; paths of reports are None where none is wanted."""

    cases: int
    seed: int
    only: tuple[str, ...] = ()
    quick: bool = False
    quiet: bool = False
    verbose: bool = False
    hints: int = 2
    strict: bool = False
    python: str | None = None
    jobs: int = 0
    seconds: float = 120.0
    show_output: bool = False
    json: str | None = None
    junit: str | None = None
    html: str | None = None
    gradescope: str | None = None
    github: bool = False

    @property
    def failing(self) -> set[Verdict]:
        """The verdicts that end the run with status 1: what could not be judged has not passed."""
        return {Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE} | (
            {Verdict.UNSTABLE} if self.strict else set[Verdict]()
        )


def run(paths: list[str], options: Options) -> int:
    """Judge the subjects, or the bundled backprop for none, and return the exit status."""
    with annotations.no_commands() if options.github else nullcontext():
        outcomes = _judge(paths, options)
    if options.github:
        annotations.publish(outcomes, options.hints, options.failing)
    return int(any(outcome.verdict in options.failing for outcome in outcomes))


def _judge(paths: list[str], options: Options) -> list[Outcome]:
    """Judge the subjects, show what was found, and write the reports."""
    console = Console() if sys.stdout.isatty() else Console(width=report.WIDTH)
    effort = Effort(options.cases, options.seed)
    limits = Limits(call_seconds=options.seconds / 12, remedy="--time-limit gives it more")
    requests = [
        Request(path, effort, options.python, options.seconds, options.only, options.quick, name)
        for path in paths or [None]
        for name in found_in(path, options.python, limits)
    ]
    if not options.quiet:
        console.print(
            f"seed {options.seed} (repeat with --seed {options.seed})", style="dim", highlight=False
        )
    outcomes = (
        [_with_progress(console, requests[0], quiet=options.quiet)]
        if len(requests) == 1
        else _in_parallel(console, requests, options)
    )
    if options.quiet:
        for outcome in outcomes:
            console.print(report.headline(outcome), soft_wrap=True)
    elif len(outcomes) == 1:
        shown = {"show_output": options.show_output, "verbose": options.verbose}
        report.one(console, outcomes[0], hints=options.hints, **shown)
    else:
        report.several(console, outcomes, hints=options.hints, show_output=options.show_output)
    if not (paths or options.quiet or options.only):
        for found in smallest_counterexamples(options.seed):
            console.print()
            console.print(report.counterexample(found), soft_wrap=True)
        _show_consequences(console)
    _write(outcomes, options)
    return outcomes


def _with_progress(console: Console, request: Request, *, quiet: bool) -> Outcome:
    """Verify one subject with a bar on a terminal, and a line for each property elsewhere."""
    if quiet:
        return verify_here(request, lambda record: None)
    if not console.is_terminal:
        return verify_here(request, lambda record: _line(console, record))
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    waiting = [one.name.replace("_", " ") for one in request.properties]
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(waiting[0], total=len(waiting))

        def advance(_: Record) -> None:
            done = int(progress.tasks[0].completed) + 1
            progress.update(
                task, completed=done, description=waiting[done] if done < len(waiting) else "", refresh=True
            )

        return verify_here(request, advance)


def _line(console: Console, record: Record) -> None:
    console.print(f"{record.verdict.value:14} {record.sentence}", highlight=False, soft_wrap=True)


def _in_parallel(console: Console, requests: list[Request], options: Options) -> list[Outcome]:
    """Judge many subjects over the cores; whatever happens to one, the others are judged.

    Where that is interrupted, what was decided by then is shown; reports would look as if they were whole.
    """
    jobs = min(options.jobs or os.cpu_count() or 1, len(requests))
    decided: list[Outcome] = []
    try:
        with _quiet_progress(console, len(requests)) as advance:

            def done(outcome: Outcome) -> None:
                decided.append(outcome)
                advance()

            return verify_all(requests, jobs, done)
    except KeyboardInterrupt:
        if not decided:
            raise
        report.several(console, decided, hints=options.hints)
        message = f"of {len(requests)} files {len(decided)} were judged, and no report was written"
        raise KeyboardInterrupt(message) from None


@contextmanager
def _quiet_progress(console: Console, total: int) -> Generator[Callable[[], None]]:
    """A bar over the subjects on a terminal, nothing elsewhere."""
    if not console.is_terminal:
        yield lambda: None
        return
    with Progress(
        TextColumn("subjects"), BarColumn(), MofNCompleteColumn(), console=console, transient=True
    ) as bar:
        task = bar.add_task("subjects", total=total)
        yield lambda: bar.advance(task)


def _show_consequences(console: Console) -> None:
    """What the wrong rules do to the seed problem, on random vectors and on real digits."""
    for title, data in (
        ("1000 random vectors, what a random teacher network says of them", teacher()),
        ("1000 handwritten digits", real_digits()),
    ):
        heading = f"128-64-10 on {title}: the first gradient, and the error before and after 20 epochs"
        console.print()
        console.print(report.consequences(heading, consequences(*data)))


def _write(outcomes: list[Outcome], options: Options) -> None:
    """The reports that were asked for. Raises a usage error where one can't be written."""
    for path, text in (
        (options.json, lambda: report.as_json(outcomes, options.hints)),
        (options.junit, lambda: documents.as_junit(outcomes)),
        (options.html, lambda: documents.as_html(outcomes, options.hints)),
        (options.gradescope, lambda: as_gradescope(outcomes[0], options.hints, options.failing)),
    ):
        if path is None:
            continue
        try:
            Path(path).write_text(text(), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise click.UsageError(f"{path} can't be written: {error.strerror}.") from None
