"""A subject is verified, whatever happens: its records, the verdict on it, and the name of its mistake."""

import contextlib
import os
import pickle
import shlex
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from harness.clock import Clock
from harness.isolation import Limits
from harness.loading import FileSubject, UnusableSubject, load
from harness.operation_loading import SeveralOperations, load_operation
from harness.outcomes import Outcome, Request, told
from harness.pasted import NetworkCall, calls, script
from harness.pool import Answer, Order
from harness.verification import Explanations, Verification, own_failure, with_fault
from harness.worker import printable
from properties import network, operation
from properties.cases import Case
from properties.comparison import named
from properties.network.explanations import NetworkExplanations
from properties.operation.cases import OperationCase
from properties.operation.explanations import OperationExplanations
from properties.operation.judge import Judge
from properties.operation.notes import notes
from properties.search import (
    INCONSTANT,
    Effort,
    Inconclusive,
    Kind,
    Property,
    Record,
    SubjectGone,
    TimeIsOver,
    Verdict,
    Violation,
)
from properties.subjects import Bundled, Subject

OVERWRITTEN = (
    "{} overwrites what its last call returned: whoever calls it again has to copy the arrays before."
)
LEFT_BEHIND = (
    "It leaves processes behind that run on without it (they were ended): a gradient should start nothing that "
    "outlives its call."
)

MEASURED = 150
"""Cases for the smallest one where each is measured by differences."""

LATE = "Time ran out: {} of the properties had no case yet, {} hold so far. Raise --time-limit for more."

WEAK = "Right on well-scaled cases, but numerically unstable:"

PROPERTIES: dict[str, Property[Any]] = {one.name: one for one in (*network.PROPERTIES, *operation.PROPERTIES)}
"""Those of networks and of operations, by their names."""


def known(names: Iterable[str]) -> tuple[str, ...]:
    """The names of properties, which may have spaces. Raises ValueError for one that there is not."""
    wanted = tuple(name.strip().replace(" ", "_") for name in names)
    for name in wanted:
        if name not in PROPERTIES:
            near = get_close_matches(name, PROPERTIES, n=1)
            asked = f": did you mean {near[0]}?" if near else f". They are: {', '.join(PROPERTIES)}."
            raise ValueError(f"There is no property {name}{asked}")
    return wanted


def properties_of(request: Request) -> tuple[Property[Any], ...]:
    """Those that are tried, in order."""
    every: tuple[Property[Any], ...] = operation.PROPERTIES if request.operation else network.PROPERTIES
    return tuple(one for one in every if not request.only or one.name in request.only)


def _silently(record: Record) -> None:
    """Announce nothing."""


def verify(request: Request, announce: Callable[[Record], None] = _silently) -> Outcome:
    """Verify one subject, name its mistake, and stop its process; whatever happens, it comes to an end."""
    started = perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of our own arithmetic on a subject's numbers
            outcome = (_verify_operation if request.operation else _verify)(request, announce)
    except Exception as error:  # noqa: BLE001  (nobody can tell, and the other subjects wait)
        outcome = _empty(request)
        outcome.verdict, outcome.message = Verdict.INCONCLUSIVE, own_failure(error)
        outcome.is_broken = True
    outcome.seconds = perf_counter() - started
    return outcome


def _empty(request: Request) -> Outcome:
    """The outcome before anything is known, with the call that repeats it."""
    cases, seed = request.effort.cases, request.effort.seed
    if request.held is not None:
        only = f", only={list(request.only)!r}" if request.only else ""
        again = f"verify(…, cases={cases}, seed={seed}{only})"
    else:
        path = quoted(request.path) if request.path else ""
        only = "".join(f" --only {name}" for name in request.only)
        again = f"manual-backprop verify {path} --cases {cases} --seed {seed}{only}"
    return Outcome(request.name, path=request.path or "", again=again)


def verify_order(order: Order, announce: Callable[[bytes], None]) -> Answer:
    """Verify one subject, as `verify` does, where request, records and outcome travel."""
    request: Request = pickle.loads(order.request)  # noqa: S301  (of a process of ours)
    here = replace(request, folder=order.folder, sandbox=order.sandbox or request.sandbox)
    outcome = verify(here, lambda record: announce(pickle.dumps(told(record))))
    return Answer(pickle.dumps(outcome.told()), is_broken=outcome.is_broken)


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


def _verify(request: Request, announce: Callable[[Record], None]) -> Outcome:
    outcome = _empty(request)
    with contextlib.ExitStack() as stack:
        try:
            subject = _subject(request, stack)
        except UnusableSubject as error:
            outcome.verdict, outcome.message, outcome.trace = Verdict.ERROR, str(error), error.trace
            return outcome
        clock = Clock(request.seconds)
        if isinstance(subject, FileSubject):
            outcome.sandbox = subject.sandbox
            clock = Clock(request.seconds, lambda: subject.seconds)
            subject.check_limit = clock.check
        verification = Verification(
            subject,
            properties_of(request),
            request.effort,
            clock,
            NetworkExplanations(),
            announce=announce,
            stops=request.stops,
        )
        outcome.records = verification.run()
        outcome.is_broken = verification.is_broken
        try:
            conclude(outcome, verification)
        except SubjectGone as fault:
            outcome.verdict, outcome.message = Verdict.FAIL, str(fault)
        _compare(outcome, partial(_of_network, subject))
        outcome.resolution = _median([one for record in outcome.records for one in record.resolutions])
        outcome.script = script(outcome, _network_call(request, subject))
        if isinstance(subject, FileSubject):
            outcome.output = subject.output
            outcome.remark = OVERWRITTEN.format(subject.function) if subject.overwrites else ""
            if subject.close() and outcome.verdict is not Verdict.FAIL:
                outcome.verdict, outcome.message = Verdict.FAIL, LEFT_BEHIND
    return outcome


def _verify_operation(request: Request, announce: Callable[[Record], None]) -> Outcome:
    """Verify one operation of a file."""
    outcome = _empty(request)
    path = request.path or ""
    try:
        with load_operation(
            path,
            request.operation,
            python=request.python,
            limits=_limits(request),
            sandbox=request.sandbox,
            held=request.held,
            folder=request.folder,
        ) as subject:
            clock = Clock(request.seconds, lambda: subject.processor_seconds)
            subject.check_limit = clock.check
            judge = Judge(subject, calls=calls(path, subject.declaration, _held(request)))
            verification = Verification(
                judge,
                properties_of(request),
                _effort(judge, request.effort),
                clock,
                OperationExplanations(),
                announce=announce,
                stops=request.stops,
            )
            outcome.records = verification.run()
            outcome.is_broken, outcome.sandbox = verification.is_broken, subject.sandbox
            try:
                conclude(outcome, verification)
            except SubjectGone as fault:
                outcome.verdict, outcome.message = Verdict.FAIL, str(fault)
            _compare(outcome, partial(_of_operation, judge))
            outcome.remark, outcome.resolution = _notes(judge, outcome), _median(judge.seen)
            outcome.script = script(outcome)
            outcome.output = subject.output
            if subject.close() and outcome.verdict is not Verdict.FAIL:
                outcome.verdict, outcome.message = Verdict.FAIL, LEFT_BEHIND
    except UnusableSubject as error:
        outcome.verdict, outcome.message, outcome.trace = Verdict.ERROR, str(error), error.trace
    except SeveralOperations as found:
        outcome.contents = tuple(found.names)
    return outcome


def _compare(outcome: Outcome, gradients: Callable[[Any], tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Keep the gradients of the example that is shown: those of the subject, and the right ones."""
    if outcome.shown is not None:
        with contextlib.suppress(Violation, Inconclusive, SubjectGone, TimeIsOver):  # these are told already
            outcome.given, outcome.right = gradients(outcome.shown[1])


def _of_network(subject: Subject, case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    return named(subject.gradient(case)), named(case.oracle.gradient)


def _of_operation(judge: Judge, case: OperationCase) -> tuple[dict[str, Any], dict[str, Any]]:
    _, _, gradients = judge.run(case)
    right = judge.right(case).gradients
    return (
        {f"d{name}": array for name, array in gradients.items()},
        {f"d{name}": one.value for name, one in right.items()},
    )


def _network_call(request: Request, subject: Subject) -> NetworkCall:
    path = request.path or request.name
    if not isinstance(subject, FileSubject):
        return NetworkCall(path)
    return NetworkCall(path, subject.function, subject.takes_keywords, _held(request))


def _held(request: Request) -> tuple[str, ...] | None:
    """The lines that give functions in hand their names; None for a file."""
    return None if request.held is None else request.aliases


def _median(resolutions: Sequence[float]) -> float | None:
    return float(np.median(resolutions)) if resolutions else None


def _effort(judge: Judge, effort: Effort) -> Effort:
    """Where the truth is measured, a case takes some hundred calls, and a smallest one is looked for among fewer."""
    try:
        is_measured = judge.reading is None
    except SubjectGone:  # which the first property tells
        return effort
    return replace(effort, shrinking=min(effort.shrinking, MEASURED)) if is_measured else effort


def _notes(judge: Judge, outcome: Outcome) -> str:
    """What there is to say beside the verdict; nothing where no call comes back any more."""
    if outcome.verdict not in {Verdict.PASS, Verdict.UNSTABLE, Verdict.FAIL}:
        return ""
    try:
        return " ".join(notes(judge, passes=outcome.verdict is Verdict.PASS))
    except (SubjectGone, TimeIsOver):
        return ""


def _subject(request: Request, stack: contextlib.ExitStack) -> Subject:
    if request.held is not None:
        return FileSubject(request.name, stack.enter_context(request.held))
    if request.path is None:
        return Bundled()
    return stack.enter_context(
        load(
            request.path,
            python=request.python,
            limits=_limits(request),
            sandbox=request.sandbox,
            folder=request.folder,
        )
    )


def _limits(request: Request) -> Limits:
    """A call that takes a twelfth of the whole time is taken to hang."""
    return Limits(call_seconds=request.seconds / 12, remedy="--time-limit gives it more")


def conclude(outcome: Outcome, verification: Verification[Any]) -> None:
    """The verdict on the subject from those on its properties, and the name of its mistake."""
    failed, gone = outcome.failures, verification.gone
    if gone:
        outcome.verdict = Verdict.FAIL
        outcome.message = with_fault(failed[0].message if failed else "", gone)
        return
    weak = dict.fromkeys(record.message for record in outcome.records if record.verdict is Verdict.UNSTABLE)
    if not failed and weak:
        outcome.verdict, outcome.message = Verdict.UNSTABLE, f"{WEAK} {'; '.join(filter(None, weak))}."
        return
    if not failed:
        _conclude_without_failure(outcome)
        return
    outcome.verdict, outcome.message = Verdict.FAIL, failed[0].message
    if outcome.counterexample is None or verification.explains is None:
        return
    try:
        _explain(outcome, verification, verification.explains)
    except TimeIsOver:
        pass  # it is wrong all the same
    except SubjectGone as fault:
        outcome.message = with_fault(outcome.message, str(fault))
    except Exception as error:  # noqa: BLE001  (it is wrong all the same, and only its name is lost)
        outcome.message += f" {own_failure(error)}"
        outcome.is_broken = True


def _conclude_without_failure(outcome: Outcome) -> None:
    """PASS, unless too little was decided."""
    decided = [record for record in outcome.records if record.is_decisive and record.kind is Kind.TRUTH]
    if decided and not any(record.held for record in decided):
        outcome.verdict, outcome.message = Verdict.INCONCLUSIVE, "No case was compared with the truth."
    open_ones = [record for record in outcome.records if record.verdict is Verdict.INCONCLUSIVE]
    decisive = [record for record in open_ones if record.is_decisive or not record.cases]
    if decisive:
        outcome.verdict, outcome.message = Verdict.INCONCLUSIVE, decisive[0].message
        late = sum(record.cut and not record.cases for record in decisive)
        if late == len(decisive):
            held = sum(record.verdict is Verdict.PASS for record in outcome.records)
            outcome.message = LATE.format(late, held)


def _explain(outcome: Outcome, verification: Verification[Any], explains: Explanations[Any]) -> None:
    """Name the mistake."""
    if outcome.counterexample is None:
        return
    _, example = outcome.counterexample
    outcome.diagnosis = explains.diagnosis(verification.subject, example)
    if not outcome.message.startswith(INCONSTANT) and explains.is_inconstant(verification.subject, example):
        outcome.message = f"{INCONSTANT} In one of them: {outcome.message}"
