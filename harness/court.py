"""The court: puts one subject before the law, law by law, within the time that it has."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf, isinf
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from harness import laws
from properties.cases import Case
from properties.comparison import Comparison
from properties.diagnosis import LARGEST_GUARD, MOST_GUARDS, explain_edge, find_guards
from properties.law import (
    Check,
    Effort,
    Examples,
    Inconclusive,
    NoGradient,
    NotApplicable,
    Record,
    SubjectGone,
    Verdict,
    search,
)
from properties.subjects import Subject

EDGES = "gradient_is_right_at_the_edges"
"""The law that may find the formula right and its numbers weak."""

OF_THE_LOSS = "loss_equals_the_reference"
"""The law that is not about a gradient."""

CONTRACT = "result_meets_the_contract"
"""The first law; where no case at all meets it, the others have nothing to look at."""

NOTHING_TO_SAY = "no gradient came back"
"""Why the other laws say nothing of a case, where the first fails."""

AFTER_A_FAILURE = 25
"""Cases for each further law, once one has failed."""

SHRINKING = 3.0
"""Seconds for the smallest case; what is not found by then is small already."""

SHARES = 4
"""A law may take so many of the equal shares of the time that is left: most take less than one."""

PRINTED = 300
"""Numbers of a case that is printed; a larger one is described."""


@dataclass(eq=False)
class Court:
    """Judges one subject, law by law: see `properties.law.Court`.

    The deadline is one of `perf_counter`. With `contains`, for subjects from outside, what goes wrong in the
    judge is an answer as well: nobody can tell; and weak numbers of a right formula are UNSTABLE. Where an ε in
    the formula explains a failure, `subject` is from then on the one without it.
    """

    subject: Subject
    effort: Effort
    deadline: float = inf
    contains: bool = False
    records: list[Record] = field(default_factory=list)
    announce: Callable[[Record], None] = lambda record: None
    gone: str = ""
    unreadable: str = ""
    unusable: str = ""
    is_broken: bool = False
    _guards_left: int = MOST_GUARDS
    _reserve: float = 0.0

    def hear(self, name: str, check: Check, examples: Examples) -> None:
        """Search for a counterexample to a law, and report the verdict to pytest."""
        record = Record(name, at_the_edges=name == EDGES)
        try:
            record.tried = self._is_there()
            record = self._search(record, check, examples) if record.tried else self._given_up(record)
        except SubjectGone as fault:
            self.gone = str(fault)
            record.verdict, record.message = Verdict.FAIL, with_fault(record.message, self.gone)
        except NotApplicable as reason:
            record.verdict, record.message = Verdict.NOT_APPLICABLE, str(reason)
        except Exception as error:
            if not self.contains:
                raise
            record.verdict, record.message, record.cases = Verdict.INCONCLUSIVE, own_failure(error), 0
            self.is_broken = True
        if name == CONTRACT and record.verdict is Verdict.FAIL and not record.held:
            self.unreadable = "no call returned what can be read"
        self.records.append(record)
        self.announce(record)
        match record.verdict:
            case Verdict.FAIL:
                pytest.fail(failure(record, with_case=not self.contains), pytrace=False)
            case Verdict.PASS:
                pass
            case other:
                pytest.skip(f"{other}: {record.message}")

    def _search(self, record: Record, check: Check, examples: Examples) -> Record:
        """Search, and again with an ε taken out of the formula where one explains the failure."""
        search(record, partial(self._check, record.name, check), examples(self.subject), self._effort())
        case = case_of(record)
        if record.verdict is not Verdict.FAIL or case is None or not self.contains:
            return record
        guarded = find_guards(self.subject, case) if self._guards_left else None
        if guarded is None or max(guarded.sizes) > LARGEST_GUARD:
            self._guards_left = 0
            if record.at_the_edges:
                is_right, regime = explain_edge(self.subject, case)
                if is_right:
                    record.verdict, record.message = Verdict.UNSTABLE, regime
            return record
        self.subject, self._guards_left = guarded, self._guards_left - 1
        again = self._search(Record(record.name), check, examples)
        if again.verdict is Verdict.PASS:
            again.verdict, again.message = Verdict.UNSTABLE, guarded.effect
        return again

    def _check(self, name: str, check: Check, example: Any) -> Comparison | None:
        """Check an example. Where no gradient comes back, as is known, nothing is said of one."""
        try:
            return check(self.subject, example)
        except NoGradient:
            known = any(one.name == CONTRACT and one.verdict is Verdict.FAIL for one in self.records)
            if known and name != OF_THE_LOSS:
                raise Inconclusive(NOTHING_TO_SAY) from None
            raise

    def _is_there(self) -> bool:
        if self.unusable and not self.records:
            raise SubjectGone(self.unusable)
        return not (self.gone or self.unreadable)

    def _given_up(self, record: Record) -> Record:
        record.verdict = Verdict.NOT_APPLICABLE
        record.message = f"not tried, since {self.gone or self.unreadable}"
        return record

    def _effort(self) -> Effort:
        """One counterexample is worth shrinking; of the laws after it, we want to know whether they hold."""
        effort = replace(self.effort, deadline=self._end_of_this_law(), shrinking=SHRINKING)
        if any(record.verdict is Verdict.FAIL for record in self.records):
            return replace(effort, cases=min(effort.cases, AFTER_A_FAILURE), shrink=False)
        return effort

    def _end_of_this_law(self) -> float:
        """Several shares of the time that is left, but for half of an equal share that each later law keeps."""
        if isinf(self.deadline):
            return inf
        now, waiting = perf_counter(), max(1, len(laws.names()) - len(self.records))
        left = self.deadline - now
        if not self.records:
            self._reserve = left / waiting / 2
        return now + min(SHARES * left / waiting, left - (waiting - 1) * self._reserve)


@dataclass(eq=False)
class Trial:
    """Registered as a plugin, it brings its own court: see `harness.trial`."""

    court: Court


def own_failure(error: Exception) -> str:
    """What went wrong in the judge, and where, in one sentence: none of it is the subject's fault."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in line {frames[-1].lineno} of {Path(frames[-1].filename).name}" if frames else ""
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return f"The judge itself failed on this file ({said}{place}): please report it, with the file."


def with_fault(found: str, fault: str) -> str:
    """What was found, and in brackets what came between; the fault alone where nothing was."""
    return found if fault in found else f"{found} ({fault})" if found else fault


def failure(record: Record, *, with_case: bool) -> str:
    """What a failed law says: the sentence, what is wrong, and the smallest case as Python."""
    lines = [f"{record.name.replace('_', ' ')}: this does not hold.", record.message]
    case = case_of(record)
    if with_case and case is not None:
        lines += ["", "The smallest case found:", as_text(case), f"# {case.choices}"]
    return "\n".join(lines)


def case_of(record: Record) -> Case | None:
    """The case of a record's counterexample."""
    example = record.counterexample
    example = example[0] if isinstance(example, tuple) else example
    return example if isinstance(example, Case) else None


def is_printed(case: Case) -> bool:
    """Whether the case is small enough to be read."""
    pairs = [*case.parameters, (case.inputs, case.targets)]
    return sum(array.size for pair in pairs for array in pair if array is not None) <= PRINTED


def as_text(case: Case) -> str:
    """The case as Python to paste; a comment with its sizes where that would fill more than a screen."""
    if is_printed(case):
        return case.as_python()
    sizes, count = "-".join(map(str, case.sizes)), f"{case.samples} sample{'s' if case.samples > 1 else ''}"
    return f"# {sizes}, {count}: too many numbers to print. The same call with the same seed meets it again."
