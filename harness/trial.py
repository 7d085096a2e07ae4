"""A trial: one subject before the whole law, run by pytest in this process."""

import contextlib
import io
import os
import shlex
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from harness import laws
from harness.court import CONTRACT, Court, Trial, case_of, own_failure, with_fault
from harness.isolation import Limits, Sandbox
from harness.loading import FileSubject, UnusableSubject, load
from harness.worker import printable
from properties.cases import Case
from properties.diagnosis import Diagnosis, diagnose
from properties.judgement import alike
from properties.law import INCONSTANT, Effort, Inconclusive, Record, SubjectGone, Verdict, Violation
from properties.subjects import Bundled, Subject
from reference import envelope

DECISIVE = (CONTRACT, "gradient_equals_autodiff")
"""Where nobody can tell whether these hold, nobody can tell of the subject."""

LAWS_SHARE = 0.9
"""Of the time of a subject; the rest is for the name of its mistake."""

NAMING = 10.0
"""Seconds for the name of a mistake, at most; it usually takes less than one."""

OVERWRITTEN = (
    "{} overwrites what its last call returned: whoever calls it again has to copy the arrays before."
)
LEFT_BEHIND = (
    "It leaves processes behind that run on without it (they were ended): a gradient should start nothing that "
    "outlives its call."
)

LATE = "The time was over: {} of the properties had no case yet, {} had and hold; --time-limit gives more."

WEAK = "The formula is right, and its numbers are weak:"


@dataclass(frozen=True)
class Request:
    """What to judge, and how: `path` None for the bundled backprop; `seconds` is all the time that it has."""

    path: str | None
    effort: Effort
    python: str | None = None
    seconds: float = 120.0
    sandbox: Sandbox = "auto"


@dataclass
class Outcome:
    """What came of a trial.

    `remark` is for whoever uses the subject, and nothing against it. `again` is the call that repeats it, `function`
    the one of the subject that was called, with the drawn choices as keywords or without any. `subject` is its name
    as it can be shown, `path` the name as it is, `sandbox` the one that it ran in; `is_broken` says that the judge
    failed or was lost, which need not be this subject's doing.
    """

    subject: str
    verdict: Verdict = Verdict.PASS
    records: list[Record] = field(default_factory=list)
    message: str = ""
    trace: str = ""
    output: str = ""
    remark: str = ""
    diagnosis: Diagnosis | None = None
    seconds: float = 0.0
    again: str = ""
    function: str = "gradient"
    takes_keywords: bool = True
    path: str = ""
    sandbox: str = ""
    is_broken: bool = False

    @property
    def failures(self) -> list[Record]:
        """The laws that do not hold."""
        return [record for record in self.records if record.verdict is Verdict.FAIL]


def _silently(record: Record) -> None:
    """Announce nothing."""


def judge(request: Request, announce: Callable[[Record], None] = _silently) -> Outcome:
    """Put one subject before the law, name its mistake, and stop its process; whatever happens, it comes to an end."""
    started = perf_counter()
    name = printable(request.path or Bundled().name)
    try:
        outcome = _judge(request, announce, started)
    except Exception as error:  # noqa: BLE001  (nobody could judge it, and the other subjects wait)
        outcome = Outcome(name, Verdict.INCONCLUSIVE, message=own_failure(error), is_broken=True)
    outcome.seconds, outcome.path = perf_counter() - started, request.path or ""
    options = f"--cases {request.effort.cases} --seed {request.effort.seed}"
    outcome.again = f"manual-backprop verify {quoted(request.path) if request.path else ''} {options}"
    return outcome


def quoted(name: str) -> str:
    """The name for a shell, in signs that can be shown."""
    if printable(name) == name:
        return shlex.quote(name)
    signs = (chr(byte) for byte in os.fsencode(name))
    plain = (
        sign if sign.isascii() and sign.isprintable() and sign not in "\\'" else f"\\x{ord(sign):02x}"
        for sign in signs
    )
    return f"$'{''.join(plain)}'"


def _judge(request: Request, announce: Callable[[Record], None], started: float) -> Outcome:
    outcome = Outcome(printable(request.path or Bundled().name))
    with contextlib.ExitStack() as stack:
        try:
            subject = _subject(request, stack)
        except UnusableSubject as error:
            outcome.verdict, outcome.message, outcome.trace = Verdict.FAIL, str(error), error.trace
            return outcome
        if isinstance(subject, FileSubject):
            outcome.function, outcome.sandbox = subject.function, subject.sandbox
        envelope.warm_up()
        deadline = started + LAWS_SHARE * request.seconds
        court = Court(subject, request.effort, deadline, contains=True, announce=announce)
        _run(court)
        outcome.records, outcome.is_broken = court.records, court.is_broken
        try:
            left = started + request.seconds - perf_counter()
            conclude(outcome, court.subject, court.gone, seconds=min(NAMING, left))
        except SubjectGone as fault:
            outcome.verdict, outcome.message = Verdict.FAIL, str(fault)
        if isinstance(subject, FileSubject):
            outcome.output = subject.output
            outcome.takes_keywords = subject.takes_keywords
            outcome.remark = OVERWRITTEN.format(subject.function) if subject.overwrites else ""
            if subject.close() and outcome.verdict is not Verdict.FAIL:
                outcome.verdict, outcome.message = Verdict.FAIL, LEFT_BEHIND
    return outcome


def _subject(request: Request, stack: contextlib.ExitStack) -> Subject:
    if request.path is None:
        return Bundled()
    return stack.enter_context(
        load(request.path, python=request.python, limits=_limits(request), sandbox=request.sandbox)
    )


def _limits(request: Request) -> Limits:
    """A call that takes a twelfth of the whole time is taken to hang."""
    return Limits(
        call_seconds=request.seconds / 12,
        total_seconds=request.seconds,
        remedy="--time-limit gives it more",
    )


def _run(court: Court) -> None:
    """Run the law through pytest: our files, our plugin, and nothing of the folder that we are called in."""
    files = laws.paths()
    arguments = ["-c", os.devnull, "--rootdir", str(Path(files[0]).parent), "--import-mode=importlib", "-q"]
    arguments += ["-p", "no:cacheprovider", "-p", "harness.plugin", *files]
    told = io.StringIO()
    with _environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"), _storage(), contextlib.redirect_stdout(told):
        status = pytest.main(arguments, plugins=[Trial(court)])
    if status == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    is_complete = len(court.records) == len(laws.names())
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not is_complete:
        raise RuntimeError(told.getvalue())


@contextlib.contextmanager
def _storage() -> Generator[None]:
    """What Hypothesis stores goes to a folder of its own for a while, and none is left where we are called."""
    with tempfile.TemporaryDirectory(prefix="hypothesis-") as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)


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


def conclude(outcome: Outcome, subject: Subject, gone: str, *, seconds: float = NAMING) -> None:
    """The verdict on the subject from those on the laws, and the name of its mistake within these seconds."""
    failed = outcome.failures
    if gone:
        outcome.verdict = Verdict.FAIL
        outcome.message = with_fault(failed[0].message if failed else "", gone)
        return
    weak = dict.fromkeys(record.message for record in outcome.records if record.verdict is Verdict.UNSTABLE)
    if not failed and weak:
        outcome.verdict, outcome.message = Verdict.UNSTABLE, f"{WEAK} {'; '.join(filter(None, weak))}."
        return
    if not failed and not any(record.held for record in outcome.records if record.name in DECISIVE[1:]):
        outcome.verdict = Verdict.INCONCLUSIVE
        outcome.message = "No case was compared with the truth."
    if not failed:
        open_ones = [record for record in outcome.records if record.verdict is Verdict.INCONCLUSIVE]
        decisive = [record for record in open_ones if record.name in DECISIVE or not record.cases]
        if decisive:
            outcome.verdict, outcome.message = Verdict.INCONCLUSIVE, decisive[0].message
            late = sum(record.cut and not record.cases for record in decisive)
            if late == len(decisive):
                held = sum(record.verdict is Verdict.PASS for record in outcome.records)
                outcome.message = LATE.format(late, held)
        return
    outcome.verdict, outcome.message = Verdict.FAIL, failed[0].message
    case = next((case_of(record) for record in failed if case_of(record)), None)
    if case is None:
        return
    try:
        _explain(outcome, subject, case, seconds)
    except SubjectGone as fault:
        outcome.message = with_fault(outcome.message, str(fault))
    except Exception as error:  # noqa: BLE001  (it is wrong all the same, and only its name is lost)
        outcome.message += f" {own_failure(error)}"
        outcome.is_broken = True


def _explain(outcome: Outcome, subject: Subject, case: Case, seconds: float) -> None:
    """Name the mistake."""
    outcome.diagnosis = diagnose(subject, case, budget_seconds=seconds)
    if _is_inconstant(subject, case) and not outcome.message.startswith(INCONSTANT):
        outcome.message = f"{INCONSTANT} In one of them: {outcome.message}"


def _is_inconstant(subject: Subject, case: Case) -> bool:
    """Whether the same call gives answers that differ by more than rounding explains."""
    with contextlib.suppress(Violation, Inconclusive):
        first, second = subject.gradient(case), subject.gradient(case)
        try:
            alike(first, second, case, what="")
        except Violation:
            return True
    return False
