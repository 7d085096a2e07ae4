"""A law is a sentence that holds for every case, and this is the search for a case where it does not.

A check takes a subject and a case. It returns where the sentence holds, raises `Violation` where it
does not, `Inconclusive` where nobody can tell from this case, and `NotApplicable` where the sentence
says nothing about this subject. Hypothesis looks for a violation and shrinks it.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from hypothesis.database import ExampleDatabase
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from properties.cases import Case
from properties.comparison import Comparison, named

if TYPE_CHECKING:
    from properties.subjects import Subject

Check = Callable[["Subject", Any], Comparison | None]
"""A check of one subject on one example."""
Examples = Callable[["Subject"], SearchStrategy[Any]]
"""The strategy of a law's examples, from what the subject claims."""


class Violation(AssertionError):  # noqa: N818  (no error of a program: an answer)
    """The sentence does not hold; the message says how, for the author of the subject."""


class NoGradient(Violation):
    """What came back is none, so that no sentence about gradients can be held against it."""


class Inconclusive(Exception):  # noqa: N818  (no error: an answer)
    """Nobody can tell from this case; the message is the reason, in a few words."""


class SubjectGone(BaseException):
    """The subject hangs, has ended, or broke what it was given: no further call makes sense."""


class NotApplicable(Exception):  # noqa: N818  (no error: an answer)
    """The sentence says nothing about this subject; the message is the reason."""


class Verdict(StrEnum):
    """How a law, or a subject, comes out."""

    PASS = "PASS"  # noqa: S105  (a verdict)
    FAIL = "FAIL"
    UNSTABLE = "UNSTABLE"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_APPLICABLE = "NOT APPLICABLE"


INCONCLUSIVE_SHARE = 0.25
"""A law that can't tell in more than this part of its cases has not been shown to hold."""


INCONSTANT = "The same call gives different answers."


class _Enough(BaseException):
    """Ends a search from within; Hypothesis lets it through."""


@dataclass
class Record:
    """What a search for a counterexample found.

    `tried` is false where the subject was given up before. `cases` counts those that were checked, `held` those
    where the law holds, and `reasons` those that were inconclusive, by reason; `open_entries` of `entries` is
    what kinks left open, `ratio` the largest difference in terms of its bound, and `counterexample` the
    smallest case on which the law failed, `failed` when it first did; `cut` says that the time was over before
    all cases were drawn.
    """

    name: str
    verdict: Verdict = Verdict.PASS
    tried: bool = True
    cases: int = 0
    held: int = 0
    at_the_edges: bool = False
    reasons: Counter[str] = field(default_factory=Counter)
    open_entries: int = 0
    entries: int = 0
    ratio: float = 0.0
    message: str = ""
    counterexample: Any = None
    failed: float = inf
    cut: bool = False
    seconds: float = 0.0

    def count(self, effort: "Effort") -> None:
        """Count a case that is about to be checked. Raises `_Enough` where it is one too many."""
        now = perf_counter()
        self.cut = now > effort.deadline
        if self.cut or now > self.failed + effort.shrinking:
            raise _Enough
        self.cases += 1

    def keep(self, example: Any, message: str) -> None:
        """Keep the simplest of the counterexamples."""
        self.failed = min(self.failed, perf_counter())
        if self.counterexample is None or _size(example) < _size(self.counterexample):
            self.counterexample, self.message = example, message

    def add(self, found: Comparison | None) -> None:
        """Count what a comparison that holds has found."""
        if found is not None:
            self.ratio = max(self.ratio, found.ratio)
            self.open_entries += found.open
            self.entries += sum(found.entries.values())


@dataclass(frozen=True)
class Effort:
    """How hard to search: cases for a law, and the seed (None: Hypothesis's own choice, derandomised in CI).

    At the deadline, on the clock of `perf_counter`, the search and the shrinking end with what they have; the
    shrinking also after so many seconds.
    """

    cases: int
    seed: int | None = None
    derandomize: bool = False
    database: ExampleDatabase | None = None
    shrink: bool = True
    deadline: float = inf
    shrinking: float = inf


def search(
    record: Record, check: Callable[[Any], Comparison | None], examples: SearchStrategy[Any], effort: Effort
) -> Record:
    """Look for an example on which `check` raises `Violation`, and shrink it; the answer goes to `record`."""
    started = perf_counter()

    def judge(example: Any) -> None:
        record.count(effort)
        try:
            found = check(example)
        except Inconclusive as reason:
            record.reasons[str(reason)] += 1
        except Violation as violation:
            if not record.at_the_edges and _saturates(example):
                record.reasons["the units saturate, which is judged at the edges"] += 1
                return
            record.keep(example, str(violation))
            raise
        else:
            record.held += 1
            record.add(found)

    vars(judge)["_hypothesis_internal_add_digest"] = record.name.encode()  # each law has its own examples
    run = _seeded(given(examples)(judge), effort)
    try:
        try:
            run()
        except _Enough:
            _ask_again(record, check)
        _weigh(record)
    except Violation:
        record.verdict = Verdict.FAIL
    except Flaky:
        record.verdict = Verdict.FAIL
        record.message = f"{INCONSTANT} In one of them: {record.message}"
    except NotApplicable as reason:
        record.verdict, record.message = Verdict.NOT_APPLICABLE, str(reason)
    record.seconds = perf_counter() - started
    return record


def _ask_again(record: Record, check: Callable[[Any], Comparison | None]) -> None:
    """Raise `Flaky` where a counterexample is none any more, as Hypothesis does where it shrinks to the end."""
    if record.counterexample is not None and not record.cut:
        with suppress(Inconclusive):
            check(record.counterexample)
        raise Flaky


def _cases_of(example: Any) -> list[Case]:
    """The cases of an example: itself, or those in a tuple."""
    parts = example if isinstance(example, tuple) else (example,)
    return [part for part in parts if isinstance(part, Case)]


def _saturates(example: Any) -> bool:
    """Whether one of the cases is one where weak numbers are no mistake."""
    return any(case.saturates for case in _cases_of(example))


def _size(example: Any) -> tuple[int, ...]:
    """How simple an example looks, the smaller the simpler: entries, those that are not 0, length of its text."""
    arrays = [
        array
        for case in _cases_of(example)
        for array in (case.inputs, case.targets, *named(case.parameters).values())
    ]
    entries = sum(array.size for array in arrays)
    return entries, sum(int(np.count_nonzero(array)) for array in arrays), len(repr(example))


def _seeded(run: Callable[[], None], effort: Effort) -> Callable[[], None]:
    """With the seed first: it would take the database away from the settings."""
    if effort.seed is not None and not effort.derandomize:
        run = with_seed(effort.seed)(run)
    return _settings(effort)(run)


def _settings(effort: Effort) -> settings:
    skipped = {Phase.explain, Phase.target} if effort.shrink else {Phase.explain, Phase.target, Phase.shrink}
    return settings(
        max_examples=effort.cases,
        derandomize=effort.derandomize,
        database=effort.database,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[phase for phase in Phase if phase not in skipped],
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )


def _weigh(record: Record) -> None:
    """A law that no case contradicts holds, unless too many cases could not tell, or there was none."""
    unknown = record.reasons.total()
    if record.counterexample is not None:
        record.verdict = Verdict.FAIL
    elif record.cut and not record.cases:
        record.verdict, record.message = (
            Verdict.INCONCLUSIVE,
            "There was no time for a single case: --time-limit gives more.",
        )
    elif not record.cases:
        record.verdict, record.message = Verdict.INCONCLUSIVE, "No case was checked."
    elif unknown > INCONCLUSIVE_SHARE * record.cases:
        record.verdict = Verdict.INCONCLUSIVE
        listed = ", ".join(f"{count} × {reason}" for reason, count in record.reasons.most_common())
        record.message = f"Nobody can tell in {unknown} of {record.cases} cases: {listed}."


class Court(Protocol):
    """What pytest hands to a law: the subject on trial, and the search."""

    @property
    def subject(self) -> "Subject":
        """The subject on trial."""
        ...

    def hear(self, name: str, check: Check, examples: Examples) -> None:
        """Search for a counterexample and report the law's verdict to pytest."""
        ...


def law(examples: Examples) -> Callable[[Check], Callable[[Court], None]]:
    """Turn a check `test_sentence_that_holds(subject, example)` into a pytest test that searches.

    Args:
        examples: the strategy of the examples, from what the subject claims.
    """

    def decorate(check: Check) -> Callable[[Court], None]:
        name = check.__name__.removeprefix("test_")

        def test(court: Court) -> None:
            court.hear(name, check, examples)

        test.__name__ = test.__qualname__ = check.__name__
        test.__doc__, test.__module__ = check.__doc__, check.__module__
        return pytest.mark.law(test)

    return decorate
