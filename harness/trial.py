"""A trial: one subject before the whole law, run by pytest in this process."""

import contextlib
import io
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import pytest

from harness import laws, plugin
from harness.isolation import Limits
from harness.loading import FileSubject, UnusableSubject, load
from harness.plugin import EDGES, Court, Trial
from properties.cases import Case
from properties.diagnosis import Diagnosis, diagnose, explain_edge
from properties.law import Effort, Record, SubjectGone, Verdict
from properties.subjects import Bundled, Subject
from reference import envelope


@dataclass(frozen=True)
class Request:
    """What to judge, and how: `path` None for the bundled backprop."""

    path: str | None
    effort: Effort
    python: str | None = None
    seconds: float = 60.0


@dataclass
class Outcome:
    """What came of a trial."""

    subject: str
    verdict: Verdict = Verdict.PASS
    records: list[Record] = field(default_factory=list)
    message: str = ""
    trace: str = ""
    output: str = ""
    diagnosis: Diagnosis | None = None
    seconds: float = 0.0

    @property
    def failures(self) -> list[Record]:
        """The laws that do not hold."""
        return [record for record in self.records if record.verdict is Verdict.FAIL]


def judge(request: Request, announce: Callable[[Record], None] = lambda record: None) -> Outcome:
    """Put one subject before the law, name its mistake, and stop its process."""
    started = perf_counter()
    outcome = Outcome(request.path or Bundled().name)
    with contextlib.ExitStack() as stack:
        try:
            subject = _subject(request, stack)
        except UnusableSubject as error:
            outcome.verdict, outcome.message, outcome.trace = Verdict.FAIL, str(error), error.trace
        else:
            envelope.warm_up()
            court = Court(subject, request.effort, announce=announce)
            _run(court)
            outcome.records = court.records
            _conclude(outcome, subject, court)
            outcome.output = subject.output if isinstance(subject, FileSubject) else ""
    outcome.seconds = perf_counter() - started
    return outcome


def _subject(request: Request, stack: contextlib.ExitStack) -> Subject:
    if request.path is None:
        return Bundled()
    return stack.enter_context(load(request.path, python=request.python, limits=_limits(request)))


def _limits(request: Request) -> Limits:
    """A call that takes a sixth of the whole time is taken to hang."""
    return Limits(call_seconds=request.seconds / 6, total_seconds=request.seconds)


def law_count() -> int:
    """How many laws a trial hears."""
    return sum(Path(path).read_text(encoding="utf-8").count("@law(") for path in laws.paths())


def _run(court: Court) -> None:
    """Run the law through pytest: our files, our plugin, and nothing of the folder that we are called in."""
    files = laws.paths()
    arguments = ["-c", os.devnull, "--rootdir", str(Path(files[0]).parent), "--import-mode=importlib", "-q"]
    arguments += ["-p", "no:cacheprovider", *files]
    told = io.StringIO()
    with _environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"), contextlib.redirect_stdout(told):
        status = pytest.main(arguments, plugins=[plugin, Trial(court)])
    if status == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or len(court.records) != law_count():
        raise RuntimeError(told.getvalue())


@contextlib.contextmanager
def _environment(**variables: str) -> Generator[None]:
    """Set variables of the environment, for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _conclude(outcome: Outcome, subject: Subject, court: Court) -> None:
    """The verdict on the subject from those on the laws, and the name of its mistake."""
    failed = outcome.failures
    if court.gone:
        outcome.verdict, outcome.message = Verdict.FAIL, court.gone
        return
    if not failed:
        first = outcome.records[0]
        if first.verdict is Verdict.INCONCLUSIVE:
            outcome.verdict, outcome.message = first.verdict, first.message
        return
    outcome.verdict, outcome.message = Verdict.FAIL, failed[0].message
    case = next((case_of(record) for record in failed if case_of(record)), None)
    if case is None:
        return
    try:
        if [record.name for record in failed] == [EDGES]:
            is_right, regime = explain_edge(subject, case)
            if is_right:
                failed[0].verdict = outcome.verdict = Verdict.UNSTABLE
                outcome.message = f"The formula is right, and its numbers are weak: {regime}."
                return
        outcome.diagnosis = diagnose(subject, case)
    except SubjectGone as fault:
        outcome.message = str(fault)


def case_of(record: Record) -> Case | None:
    """The case of a record's counterexample."""
    example = record.counterexample
    example = example[0] if isinstance(example, tuple) else example
    return example if isinstance(example, Case) else None
