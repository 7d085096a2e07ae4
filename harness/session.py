"""One call of `manual-backprop verify`: all its subjects, their reports, and the exit status."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from harness import annotations, documents, report
from harness.cluster import ClusterError
from harness.contents import is_network
from harness.gradescope import as_gradescope
from harness.isolation import Sandbox
from harness.outcomes import OPERATION, Outcome, Request
from harness.pool import Executor
from harness.reports import Reports
from harness.resumption import Earlier, Kept, asked, sha256
from harness.worker import printable
from manual_backprop.operations import PAGES
from properties.search import Effort, Property, Record, Verdict


@dataclass(frozen=True)
class Options:
    """How `verify` was called; `page_cases` for a bundled page; paths of reports are None where none is wanted.

    `earlier` and `judged_before` have outcomes that hold again, where they do: a report, and the last turn of a watch.
    """

    cases: int
    seed: int
    page_cases: int = 25
    only: tuple[str, ...] = ()
    quick: bool = False
    quiet: bool = False
    verbose: bool = False
    hints: int = 2
    strict: bool = False
    python: str | None = None
    seconds: float = 120.0
    sandbox: Sandbox = "auto"
    show_output: bool = False
    json: str | None = None
    junit: str | None = None
    html: str | None = None
    gradescope: str | None = None
    github: bool = False
    earlier: Earlier | None = None
    judged_before: Kept | None = None

    @property
    def failing(self) -> set[Verdict]:
        """The verdicts that end the run with status 1: what could not be judged has not passed."""
        return {Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE} | (
            {Verdict.UNSTABLE} if self.strict else set[Verdict]()
        )


def run(paths: list[str], options: Options, judges: Executor, reports: Reports) -> int:
    """Judge the subjects, or the bundled network and pages for none, and return the exit status."""
    with annotations.no_commands() if options.github else nullcontext():
        outcomes = _judge(paths, options, judges, reports)
    if options.github:
        annotations.publish(outcomes, options.hints, options.failing)
    return int(any(outcome.verdict in options.failing for outcome in outcomes))


def _judge(paths: list[str], options: Options, judges: Executor, reports: Reports) -> list[Outcome]:
    """Judge the subjects, show what was found, and write the reports."""
    console = Console() if sys.stdout.isatty() else Console(width=report.WIDTH)
    shared = left_in_memory()
    requests = [
        Request(
            path,
            Effort(options.cases, options.seed),
            options.python,
            options.seconds,
            options.only,
            options.quick,
            "" if path is None or is_network(path) else OPERATION,
            options.sandbox,
            sha256=sha256(path) if path else "",
        )
        for path in paths or [None]
    ]
    if not options.quiet:
        console.print(
            f"seed {options.seed} (repeat with --seed {options.seed})", style="dim", highlight=False
        )
    if not paths:
        requests += _pages(options)
    if options.only:
        requests = [one for one in requests if _properties(one)]
    outcomes = _judged(console, requests, options, judges)
    if paths or len(outcomes) < 2:  # noqa: PLR2004  (the network, and pages)
        _show(console, outcomes, options)
    else:
        alone = requests[0].path is None
        _show(console, outcomes[:alone], options)
        if not options.quiet:
            title = f"The pages of operations, {options.page_cases} cases for each property"
            console.print(Text(f"\n{title}\n", style="bold"))
        _show(console, outcomes[alone:], options)
    if not options.quiet and (used := sorted({outcome.sandbox for outcome in outcomes} - {""})):
        console.print(f"sandbox {' and '.join(used)}", style="dim", highlight=False)
    in_the_open = "none" in {outcome.sandbox for outcome in outcomes} and judges.is_here
    if in_the_open and (left := sorted(left_in_memory() - shared)):
        console.print(Text(f"Shared memory that is there now, and was not before: {', '.join(left)}."))
    if not (paths or options.quiet or options.only):
        _show_what_wrong_rules_do(console, options.seed)
    _write(outcomes, options, reports)
    return outcomes


def _judged(console: Console, requests: list[Request], options: Options, judges: Executor) -> list[Outcome]:
    """Judge the subjects: one, or one and then the bundled pages, property by property; several over the cores.

    Where that is interrupted, what was decided by then is shown, and kept for `--resume`; reports would look whole.
    """
    before = options.earlier or options.judged_before
    known = [before.outcomes(one, options.hints) if before else [] for one in requests]
    new = [one for one, outcomes in zip(requests, known, strict=True) if not outcomes]
    if options.earlier and not options.quiet:
        console.print(f"{len(requests) - len(new)} of {len(requests)} files are judged already", style="dim")
    decided = [one for outcomes in known for one in outcomes]
    try:
        found = iter(_judged_anew(console, new, options, judges, decided))
    except (KeyboardInterrupt, ClusterError) as stop:
        whole = _whole(decided)
        if not whole:
            raise
        report.several(console, whole, hints=options.hints)
        judged = len({one.path or one.subject for one in whole})
        message = f"of {len(requests)} files {judged} were judged, and no report was written"
        message += _keep_for_later(whole, requests, options)
        raise type(stop)(f"{stop} {message[0].upper()}{message[1:]}." if stop.args else message) from None
    outcomes = [one for outcomes in known for one in outcomes or next(found)]
    if options.judged_before:
        options.judged_before.keep(outcomes)
    return outcomes


def _whole(decided: list[Outcome]) -> list[Outcome]:
    """What was decided of whole files: of one with several operations, all or nothing."""
    several = {one.path: len(one.contents) for one in decided if one.contents}
    found = [one for one in decided if not one.contents]
    counts = Counter(one.path for one in found)
    return [one for one in found if counts[one.path] == several.get(one.path, counts[one.path])]


def _keep_for_later(decided: list[Outcome], requests: list[Request], options: Options) -> str:
    """Write what was decided beside the report that was wanted, and say so; nothing where none was."""
    if options.json is None:
        return ""
    requested = {request.path or "": request for request in requests}
    for one in decided:
        _sign(one, requested[one.path], options)
    path = Path(options.json).with_suffix(".partial.json")
    try:
        path.write_text(report.as_json(decided, options.hints), "utf-8", "backslashreplace")
    except OSError:
        return ""
    return f"; --resume {path} goes on from there"


def _sign(outcome: Outcome, request: Request, options: Options) -> None:
    """Say in an outcome what it is of."""
    outcome.sha256, outcome.asked = request.sha256, asked(request, options.hints)


def _judged_anew(
    console: Console, requests: list[Request], options: Options, judges: Executor, decided: list[Outcome]
) -> list[list[Outcome]]:
    """The outcomes of each request: several where a file has several operations. `decided` gets each at once."""
    outcomes = (
        _with_progress(console, requests, judges, quiet=options.quiet)
        if requests and (len(requests) == 1 or requests[0].path is None)
        else _in_parallel(console, requests, judges, decided)
    )
    several = (
        _one_by_one(outcomes, requests, console, judges, decided)
        if any(one.contents for one in outcomes)
        else [[one] for one in outcomes]
    )
    for request, parts in zip(requests, several, strict=True):
        for one in parts:
            _sign(one, request, options)
    return several


def _show(console: Console, outcomes: list[Outcome], options: Options) -> None:
    """What was found: of one subject the whole story, of several a line each."""
    if options.quiet:
        for outcome in outcomes:
            console.print(report.headline(outcome), soft_wrap=True)
    elif len(outcomes) == 1:
        shown = {"show_output": options.show_output, "verbose": options.verbose}
        report.one(console, outcomes[0], hints=options.hints, **shown)
    elif outcomes:
        report.several(console, outcomes, hints=options.hints, show_output=options.show_output)


def _properties(request: Request) -> tuple[Property[Any], ...]:
    """Those that the request tries, for who asks for some, or watches them pass."""
    from harness.judging import properties_of  # noqa: PLC0415  (JAX takes a second to import)

    return properties_of(request)


def _pages(options: Options) -> list[Request]:
    """The bundled pages of operations, which are judged as anybody's files are."""
    return [
        Request(
            page.__file__,
            Effort(options.page_cases, options.seed),
            seconds=options.seconds,
            only=options.only,
            stops=options.quick,
            operation=OPERATION,
            sandbox=options.sandbox,
            title=page.__name__,
        )
        for page in PAGES
    ]


def _one_by_one(
    outcomes: list[Outcome],
    requests: list[Request],
    console: Console,
    judges: Executor,
    decided: list[Outcome],
) -> list[list[Outcome]]:
    """The outcomes, with those of all its operations in the place of a file that has several."""
    parts = [
        [replace(request, operation=name) for name in outcome.contents]
        for request, outcome in zip(requests, outcomes, strict=True)
    ]
    found = iter(_in_parallel(console, [one for part in parts for one in part], judges, decided))
    return [[next(found) for _ in part] or [outcome] for part, outcome in zip(parts, outcomes, strict=True)]


def left_in_memory() -> set[str]:
    """The names of the shared memory of this user (Linux): what a file makes without a sandbox outlives it."""
    found: set[str] = set()
    with suppress(OSError):  # not on Linux
        for file in Path("/dev/shm").iterdir():  # noqa: S108  (it is only looked at)
            with suppress(OSError):  # gone
                found |= {printable(str(file))} if file.stat().st_uid == os.geteuid() else set[str]()
        segments = Path("/proc/sysvipc/shm").read_text("ascii").splitlines()[1:]
        found |= {f"segment {line.split()[1]}" for line in segments if int(line.split()[7]) == os.geteuid()}
    return found


def _with_progress(
    console: Console, requests: list[Request], judges: Executor, *, quiet: bool
) -> list[Outcome]:
    """Verify a subject with a bar on a terminal, and a line for each property elsewhere; others with a second bar."""
    if quiet:
        return judges.judge_all(requests, lambda _: None)
    if not console.is_terminal:
        return judges.judge_all(requests, lambda _: None, lambda record: _line(console, record))
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    waiting = [one.name.replace("_", " ") for one in _properties(requests[0])]
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(waiting[0], total=len(waiting))
        others = progress.add_task("subjects", total=len(requests), visible=len(requests) > 1)

        def advance(_: Record) -> None:
            done = int(progress.tasks[0].completed) + 1
            progress.update(
                task, completed=done, description=waiting[done] if done < len(waiting) else "", refresh=True
            )

        return judges.judge_all(requests, lambda _: progress.advance(others), advance)


def _line(console: Console, record: Record) -> None:
    console.print(f"{record.verdict.value:14} {record.sentence}", highlight=False, soft_wrap=True)


def _in_parallel(
    console: Console, requests: list[Request], judges: Executor, decided: list[Outcome]
) -> list[Outcome]:
    """Judge many subjects over the cores; whatever happens to one, the others are judged."""
    with _quiet_progress(console, len(requests)) as advance:

        def done(outcome: Outcome) -> None:
            decided.append(outcome)
            advance()

        return judges.judge_all(requests, done)


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


def _show_what_wrong_rules_do(console: Console, seed: int) -> None:
    """The smallest case on which each is wrong; and the seed problem, on random vectors and on real digits."""
    from properties.counterexamples import smallest_counterexamples  # noqa: PLC0415  (JAX takes a second to import)
    from properties.seed_problem import consequences, real_digits, teacher  # noqa: PLC0415  (likewise)

    for found in smallest_counterexamples(seed):
        console.print()
        console.print(report.counterexample(found), soft_wrap=True)
    for title, data in (
        ("1000 random vectors, labelled by a random teacher network", teacher()),
        ("1000 handwritten digits", real_digits()),
    ):
        heading = f"128-64-10 on {title}: the first gradient, and the error before and after 20 epochs"
        console.print()
        console.print(report.consequences(heading, consequences(*data)))


def _write(outcomes: list[Outcome], options: Options, reports: Reports) -> None:
    """The reports that were asked for. Raises a usage error where one can't be written, once the others are."""
    reports.write(
        {
            options.json: lambda: report.as_json(outcomes, options.hints),
            options.junit: lambda: documents.as_junit(outcomes),
            options.html: lambda: documents.as_html(outcomes, options.hints),
            options.gradescope: lambda: as_gradescope(outcomes[0], options.hints, options.failing),
        }
    )
