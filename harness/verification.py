"""The verification of one subject: its properties one after another, within the time that it has.

It knows no networks: it runs any list of properties on any subject, and how a failure at the edges or an ε is
explained comes with the kind of subject (`Explanations`).
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

from harness.clock import Clock
from properties.comparison import Comparison
from properties.diagnosis import Diagnosis
from properties.search import (
    Effort,
    Example,
    Inconclusive,
    Kind,
    NoGradient,
    NotApplicable,
    Property,
    Record,
    SubjectGone,
    TimeIsOver,
    Undefined,
    Verdict,
    Violation,
    examples_in,
    search,
)

NOTHING_TO_SAY = "no gradient came back"
"""Why the other properties say nothing of a case, where the contract is broken."""

AFTER_A_FAILURE = 4
"""Once a property has failed, each further one gets a part of the cases, one in so many: does it hold, roughly?"""

SEARCHING = 0.9
"""Of the time of a subject; the rest is for the name of its mistake."""

SHARES = 4
"""A property may take so many of the equal shares of the time that is left: most take less than one."""

UNDECIDED = "The time was over before it was known whether this is a mistake or weak numbers: {}"

PRINTED = 300
"""Numbers of a case that is printed; a larger one is described."""

S = TypeVar("S")


class Explanations(Protocol[S]):
    """How the failures of one kind of subject are explained. An object serves one subject."""

    def without_guard(self, subject: S, example: Example) -> tuple[S, str] | None:
        """The subject with an ε taken out of its formula, and what is said of that; None where there is none."""
        ...

    def regime(self, subject: S, example: Example) -> str:
        """Where the numbers of a right formula fail; empty where the formula is wrong."""
        ...

    def noise(self, subject: S, example: Example) -> str:
        """Where the numbers of a regular case are nothing but rounding; empty where they are not."""
        ...

    def diagnosis(self, subject: S, example: Example) -> Diagnosis:
        """What the mistake is, as far as anybody can tell."""
        ...

    def is_inconstant(self, subject: S, example: Example) -> bool:
        """Whether the same call gives answers that differ by more than rounding explains."""
        ...


@dataclass(eq=False)
class Verification(Generic[S]):
    """Searches for counterexamples to the properties of one subject.

    With a `clock`, each property ends at a share of its time. With `explains`, for subjects from outside, what goes
    wrong in the search is an answer as well: nobody can tell; and weak numbers of a right formula are UNSTABLE.
    Where an ε in the formula explains a failure, `subject` is from then on the one without it. `stops` is for who
    wants the first failure alone.

    Attributes:
        subject: what is verified.
        properties: in the order in which they are tried.
        effort: how hard to search.
        records: what was found so far, in that order.
        gone: why no further call makes sense; empty while it does.
        is_broken: whether our own code failed.
    """

    subject: S
    properties: Sequence[Property[S]]
    effort: Effort
    clock: Clock | None = None
    explains: Explanations[S] | None = None
    records: list[Record] = field(default_factory=list)
    announce: Callable[[Record], None] = lambda record: None
    gone: str = ""
    is_broken: bool = False
    stops: bool = False
    _unreadable: str = ""
    _reserve: float = 0.0

    def run(self) -> list[Record]:
        """Try every property, or those up to the first that fails."""
        for one in self.properties:
            record = self.check(one)
            if self.stops and record.verdict is Verdict.FAIL:
                break
        return self.records

    def check(self, one: Property[S]) -> Record:
        """Search for a counterexample to a property; the record is kept and announced."""
        record, started = Record.of(one), perf_counter()
        try:
            record.tried = not (self.gone or self._unreadable)
            record = self._search(record, one) if record.tried else self._given_up(record)
        except SubjectGone as fault:
            self.gone = str(fault)
            record.verdict, record.message = Verdict.FAIL, with_fault(record.message, self.gone)
        except NotApplicable as reason:
            record.verdict, record.message = Verdict.NOT_APPLICABLE, str(reason)
        except Exception as error:
            if self.explains is None:
                raise
            record.verdict, record.message, record.cases = Verdict.INCONCLUSIVE, own_failure(error), 0
            self.is_broken = True
        if one.kind is Kind.CONTRACT and record.verdict is Verdict.FAIL and not record.held:
            self._unreadable = "no call returned what can be read"
        record.seconds = perf_counter() - started
        self.records.append(record)
        self.announce(record)
        return record

    def _search(self, record: Record, one: Property[S]) -> Record:
        """Search, and again with an ε taken out of the formula where one explains the failure."""
        clock, end = self.clock, self._end_of_this_property()
        search(
            record,
            lambda drawn: self._checked(one, drawn),
            one.examples(self.subject),
            self._effort(one.share),
            lambda: clock is not None and clock.spent() > end,
        )
        example = record.example
        if record.verdict is not Verdict.FAIL or example is None or self.explains is None:
            return record
        try:
            return self._explained(record, one, self.explains, example)
        except TimeIsOver:  # a FAIL may be UNSTABLE: neither is decided
            record.verdict, record.cut, record.message = (
                Verdict.INCONCLUSIVE,
                True,
                UNDECIDED.format(record.message),
            )
            return record

    def _explained(
        self, record: Record, one: Property[S], explains: Explanations[S], example: Example
    ) -> Record:
        """The record of a failure; where an ε in the formula explains it, that of the formula without."""
        guarded = explains.without_guard(self.subject, example)
        if guarded is None:
            if record.kind is Kind.EDGES and (regime := explains.regime(self.subject, example)):
                record.verdict, record.message = Verdict.UNSTABLE, regime
            if record.kind is Kind.TRUTH and (lost := explains.noise(self.subject, example)):
                return self._but_for_noise(record, one, explains, lost)
            return record
        self.subject, effect = guarded
        again = self._search(Record.of(one), one)
        if again.verdict is Verdict.PASS:
            again.verdict, again.message = Verdict.UNSTABLE, effect
        return again

    def _but_for_noise(
        self, record: Record, one: Property[S], explains: Explanations[S], lost: str
    ) -> Record:
        """The record of the cases on which no digits are lost; UNSTABLE where the property holds of them."""

        @wraps(one.check)
        def check(subject: S, drawn: Any) -> Comparison | None:
            try:
                return one.check(subject, drawn)
            except Violation:
                if any(explains.noise(subject, example) for example in examples_in(drawn)):
                    raise Inconclusive(lost) from None
                raise

        again = self._search(Record.of(one), replace(one, check=check))
        if again.verdict is Verdict.PASS:
            again.verdict, again.message = Verdict.UNSTABLE, lost
            again.counterexample = record.counterexample
        return again

    def _checked(self, one: Property[S], drawn: Any) -> Comparison | None:
        """Check an example. Where no gradient comes back, as is known, nothing is said of one."""
        try:
            return one.check(self.subject, drawn)
        except Undefined as fault:
            raise Inconclusive(str(fault).partition("\n")[0].rstrip(".")) from None
        except NoGradient:
            if one.kind not in {Kind.CONTRACT, Kind.VALUE} and any(
                record.kind is Kind.CONTRACT and record.verdict is Verdict.FAIL for record in self.records
            ):
                raise Inconclusive(NOTHING_TO_SAY) from None
            raise

    def _given_up(self, record: Record) -> Record:
        record.verdict = Verdict.NOT_APPLICABLE
        record.message = f"not tried, since {self.gone or self._unreadable}"
        return record

    def _effort(self, share: float) -> Effort:
        """One counterexample is worth shrinking; of the properties after it, we want to know whether they hold."""
        cases = ceil(self.effort.cases * share)
        if any(record.verdict is Verdict.FAIL for record in self.records):
            return replace(self.effort, cases=ceil(cases / AFTER_A_FAILURE), shrinking=0)
        return replace(self.effort, cases=cases)

    def _end_of_this_property(self) -> float:
        """Several shares of the time that is left, but for half of an equal share that each later one keeps."""
        if self.clock is None:
            return 0.0
        now, waiting = self.clock.spent(), max(1, len(self.properties) - len(self.records))
        left = SEARCHING * self.clock.seconds - now
        if not self.records:
            self._reserve = left / waiting / 2
        return now + min(SHARES * left / waiting, left - (waiting - 1) * self._reserve)


def own_failure(error: Exception) -> str:
    """What went wrong in our own code, and where, in one sentence: none of it is the subject's fault."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in line {frames[-1].lineno} of {Path(frames[-1].filename).name}" if frames else ""
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return f"manual-backprop itself failed on this file ({said}{place}): please report it, with the file."


def with_fault(found: str, fault: str) -> str:
    """What was found, and in brackets what came between; the fault alone where nothing was."""
    return found if fault in found else f"{found} ({fault})" if found else fault


def is_printed(example: Example) -> bool:
    """Whether it is small enough to be read."""
    return example.numbers[0] <= PRINTED


def as_text(example: Example) -> str:
    """The example as Python to paste; a comment with its sizes where that would fill more than a screen."""
    if is_printed(example):
        return example.as_python()
    return f"# {example.summary}: too many numbers to print. The same call with the same seed meets it again."
