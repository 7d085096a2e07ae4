"""A property is a sentence that holds of every right derivative, and this is the search for a counterexample.

Nothing here knows what is under test. A check takes a subject and an example. It returns where the sentence holds,
raises `Violation` where it does not, `Inconclusive` where nobody can tell from this example, and `NotApplicable`
where the sentence says nothing about this subject. Hypothesis looks for a violation and shrinks it; whatever
decides what is found is bounded by counts, so that a seed gives the same answer on every machine.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter
from typing import Any, Generic, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from hypothesis.database import ExampleDatabase
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from properties.comparison import Comparison
from properties.drawing import by_the_seed_alone

# The answers of a check ---------------------------------------------------------------------------------


class Violation(AssertionError):  # noqa: N818  (no error of a program: an answer)
    """The sentence does not hold; the message says how, for the author of the subject.

    Attributes:
        apart: how far apart the two numbers are that it tells of, relative to the larger; 1 where it tells of none.
    """

    apart: float = 1.0

    def of_numbers(self, apart: float) -> "Violation":
        """The same, of numbers so far apart."""
        self.apart = apart
        return self


class NoGradient(Violation):
    """What came back is none, so that no sentence about gradients can be held against it."""


class Undefined(NoGradient):
    """A function has no value, or no gradient, for the numbers of this example, as the inverse of a singular matrix."""


class Inconclusive(Exception):  # noqa: N818  (no error: an answer)
    """Nobody can tell from this example; the message is the reason, in a few words."""


class Weakness(Exception):  # noqa: N818  (no error: an answer)
    """The sentence holds but for the size of the example, which a right formula need not manage; `example` shows it."""

    def __init__(self, sentence: str, example: "Example") -> None:
        """How large it may be, in a few words, and the smallest that is too large."""
        super().__init__(sentence)
        self.example = example

    def __reduce__(self) -> tuple[type["Weakness"], tuple[str, "Example"]]:
        """How it comes to another process."""
        return Weakness, (str(self), self.example)


class NotApplicable(Exception):  # noqa: N818  (no error: an answer)
    """The sentence says nothing about this subject; the message is the reason."""


class SubjectGone(BaseException):
    """The subject hangs, has ended, or broke what it was given: no further call makes sense."""


class TimeIsOver(BaseException):
    """The time limit is reached: what was decided by then stands, and nothing more is decided."""


class Verdict(StrEnum):
    """How a property, or a subject, comes out; ERROR is a subject of which nothing could be judged."""

    PASS = "PASS"  # noqa: S105  (a verdict)
    FAIL = "FAIL"
    ERROR = "ERROR"
    UNSTABLE = "UNSTABLE"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_APPLICABLE = "NOT APPLICABLE"


# Examples and properties --------------------------------------------------------------------------------


class Example(ABC):
    """What a subject is called with. A check takes one, or a tuple of some and other values."""

    @property
    @abstractmethod
    def numbers(self) -> tuple[int, int]:
        """How many numbers it has, and how many of them are not 0: the fewer, the simpler."""

    @property
    def saturates(self) -> bool:
        """Whether a right formula may lose its digits here, so that weak numbers are no mistake."""
        return False

    @property
    @abstractmethod
    def choices(self) -> Mapping[str, Any]:
        """What was chosen for it by name, such as an activation or an ε."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """Its sizes in a few words: `3-2, 1 sample`."""

    @abstractmethod
    def as_python(self) -> str:
        """It as Python that can be pasted."""


def examples_in(drawn: Any) -> list[Example]:
    """The examples in what was drawn: itself, or those in a tuple."""
    parts = drawn if isinstance(drawn, tuple) else (drawn,)
    return [part for part in parts if isinstance(part, Example)]


class Kind(StrEnum):
    """What a property is about."""

    CONTRACT = "contract"
    """Whether an answer comes back at all, in the right shapes."""
    TRUTH = "truth"
    """The answer beside the right one: an answer of zeros breaks it."""
    EDGES = "edges"
    """As `TRUTH`, where numbers are extreme: a right formula may be weak there."""
    VALUE = "value"
    """The value of the forward pass, and not its derivative."""
    RELATION = "relation"
    """How answers hang together; an answer of zeros may well have it."""


S = TypeVar("S")
"""A subject: anything that the checks of a list of properties can call."""


@dataclass(frozen=True)
class Property(Generic[S]):
    """A sentence that holds of every right subject of a kind.

    Attributes:
        check: the check of a subject on an example; its docstring is the sentence.
        examples: the strategy of its examples, from a subject. It may raise `NotApplicable`.
        kind: what it is about.
        is_decisive: where nobody can tell whether it holds, nobody can tell of the subject.
        share: of the cases, where fewer show as much.
    """

    check: Callable[[S, Any], Comparison | None]
    examples: Callable[[S], SearchStrategy[Any]]
    kind: Kind = Kind.RELATION
    is_decisive: bool = False
    share: float = 1.0

    @property
    def name(self) -> str:
        """The check's own, which is a sentence: `gradient_is_pure`."""
        return self.check.__name__

    @property
    def sentence(self) -> str:
        """What holds, in a line or a paragraph."""
        return (self.check.__doc__ or "").strip()


# What a search finds ------------------------------------------------------------------------------------

INCONCLUSIVE_SHARE = 0.25
"""A property that can't be told in more than this part of its cases has not been shown to hold."""

INCONSTANT = "The same call gives different answers."


class _Enough(BaseException):
    """Ends a search from within; Hypothesis lets it through."""


@dataclass
class Record:
    """What a search for a counterexample found.

    `tried` is false where the subject was given up before. `cases` counts those that were checked, `held` those
    where the property holds, and `reasons` those that were inconclusive, by reason; `open_entries` of `entries` is
    what kinks left open, `ratio` the largest difference in terms of its bound, and `counterexample` the
    smallest case on which the property failed; `shrunk` counts the cases after the first that failed, and `cut` says
    that the time was over before all cases were drawn. `resolutions` are the relative errors that would have failed,
    a number for each case of which it was asked.
    """

    name: str
    verdict: Verdict = Verdict.PASS
    kind: Kind = Kind.RELATION
    is_decisive: bool = False
    tried: bool = True
    cases: int = 0
    held: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    open_entries: int = 0
    entries: int = 0
    ratio: float = 0.0
    message: str = ""
    counterexample: Any = None
    weakness: Weakness | None = None
    shrunk: int = 0
    cut: bool = False
    seconds: float = 0.0
    resolutions: list[float] = field(default_factory=list[float])
    apart: float = 1.0
    was_seen: bool = False

    @classmethod
    def of(cls, one: Property[Any]) -> "Record":
        """The empty record of a property."""
        return cls(one.name, kind=one.kind, is_decisive=one.is_decisive)

    @property
    def sentence(self) -> str:
        """The name in words: `gradient is pure`."""
        return self.name.replace("_", " ")

    @property
    def example(self) -> Example | None:
        """What the subject was called with where the property fails, or shows a weakness; None for neither."""
        if self.counterexample is None and self.weakness is not None:
            return self.weakness.example
        return next(iter(examples_in(self.counterexample)), None)

    def count(self, effort: "Effort", is_over: Callable[[], bool]) -> None:
        """Count a case that is about to be checked. Raises `_Enough` where it is one too many."""
        has_failed = self.counterexample is not None
        self.cut = is_over()
        if self.cut or (has_failed and self.shrunk >= effort.shrinking):
            raise _Enough
        self.shrunk += has_failed
        self.cases += 1

    def keep(self, drawn: Any, violation: Violation) -> None:
        """Keep the simplest of the counterexamples: of equally simple ones the last, since the search goes down."""
        self.was_seen |= violation.apart >= SEEN
        if self.counterexample is None or _simplicity(drawn) <= _simplicity(self.counterexample):
            self.counterexample, self.message, self.apart = drawn, str(violation), violation.apart

    def keep_weakness(self, weakness: Weakness) -> None:
        """Keep the simplest example of a weakness."""
        if self.weakness is None or _simplicity(weakness.example) <= _simplicity(self.weakness.example):
            self.weakness = weakness

    def add(self, found: Comparison | None) -> None:
        """Count what a comparison that holds has found."""
        if found is not None:
            self.ratio = max(self.ratio, found.ratio)
            self.open_entries += found.open
            self.entries += sum(found.entries.values())
            self.resolutions += [] if found.resolution is None else [found.resolution]


SEEN = 2.0**-5
"""Two numbers that differ by so much of the larger differ at a glance, in their first three digits at the latest."""
SHRINKING = 500
"""Cases for the smallest one: after these it is small, and most searches need half as many to reach the end."""


@dataclass(frozen=True)
class Effort:
    """How hard to search: cases for a property, and the seed (None: Hypothesis's own choice, derandomised in CI).

    `shrinking` is how many cases may be tried to make a counterexample smaller.
    """

    cases: int
    seed: int | None = None
    derandomize: bool = False
    database: ExampleDatabase | None = None
    shrinking: int = SHRINKING


def _never() -> bool:
    """Nobody waits."""
    return False


def search(
    record: Record,
    check: Callable[[Any], Comparison | None],
    examples: SearchStrategy[Any],
    effort: Effort,
    is_over: Callable[[], bool] = _never,
) -> Record:
    """Look for an example on which `check` raises `Violation`, and shrink it; the answer goes to `record`.

    Where `is_over` becomes true, the search ends with what it has. Where the numbers of the smallest counterexample
    are nearly the same, and those of another were not, it is the smallest of the others.
    """
    started = perf_counter()
    run_check = _recorded(record, check, effort, is_over)
    vars(run_check)["_hypothesis_internal_add_digest"] = record.name.encode()  # each has its own examples
    run = _seeded(given(examples)(run_check), record.name, effort)
    try:
        try:
            with by_the_seed_alone():
                run()
        except _Enough:
            _ask_again(record, check)
        if record.verdict is not Verdict.NOT_APPLICABLE:
            _weigh(record)
    except Violation as violation:
        record.verdict, record.message = Verdict.FAIL, record.message or str(violation)
    except Flaky:
        record.verdict = Verdict.FAIL
        if not record.message.startswith(INCONSTANT):
            record.message = f"{INCONSTANT} In one of them: {record.message}"
    except NotApplicable as reason:  # of what is drawn
        record.verdict, record.message = Verdict.NOT_APPLICABLE, str(reason)
    if record.verdict is Verdict.FAIL and record.apart < SEEN and record.was_seen and effort.shrinking:
        other = search(
            Record(record.name, kind=record.kind), _only_what_is_seen(check), examples, effort, is_over
        )
        if other.counterexample is not None:
            record.counterexample, record.message, record.apart = (
                other.counterexample,
                other.message,
                other.apart,
            )
    record.seconds = perf_counter() - started
    return record


def _only_what_is_seen(check: Callable[[Any], Comparison | None]) -> Callable[[Any], Comparison | None]:
    """The check, of which a violation does not count whose numbers are nearly the same."""

    def seen(drawn: Any) -> Comparison | None:
        try:
            return check(drawn)
        except Violation as violation:
            if violation.apart < SEEN:
                return None
            raise

    return seen


def _recorded(
    record: Record,
    check: Callable[[Any], Comparison | None],
    effort: Effort,
    is_over: Callable[[], bool],
) -> Callable[[Any], None]:
    """The check as Hypothesis calls it: what it says is kept, and a violation is raised."""

    def run_check(drawn: Any) -> None:
        record.count(effort, is_over)
        try:
            found = check(drawn)
        except Inconclusive as reason:
            record.reasons[str(reason)] += 1
        except Violation as violation:
            if record.kind is not Kind.EDGES and any(example.saturates for example in examples_in(drawn)):
                record.reasons["the units saturate, which is judged at the edges"] += 1
                return
            record.keep(drawn, violation)
            raise
        except Weakness as weakness:
            record.held += 1
            record.keep_weakness(weakness)
        except NotApplicable as reason:
            if record.counterexample is None:  # else it is not the smaller one that is looked for
                record.verdict, record.message = Verdict.NOT_APPLICABLE, str(reason)
                raise _Enough from None
        except TimeIsOver:
            record.cut = True
            raise _Enough from None
        else:
            record.held += 1
            record.add(found)

    return run_check


def searched(one: Property[S], subject: S, effort: Effort) -> Record:
    """What a search finds of one property of a subject."""
    record = Record.of(one)
    try:
        return search(record, lambda drawn: one.check(subject, drawn), one.examples(subject), effort)
    except NotApplicable as reason:
        record.verdict, record.message = Verdict.NOT_APPLICABLE, str(reason)
        return record


def _ask_again(record: Record, check: Callable[[Any], Comparison | None]) -> None:
    """Raise `Flaky` where a counterexample is none any more, as Hypothesis does where it shrinks to the end."""
    if record.counterexample is None or record.cut:
        return
    try:
        with suppress(Inconclusive):
            check(record.counterexample)
    except TimeIsOver:
        record.cut = True
    else:
        raise Flaky("it holds when it is asked again")


def _simplicity(drawn: Any) -> tuple[int, ...]:
    """The smaller the simpler: numbers, those that are not 0, length of its text."""
    counts = [example.numbers for example in examples_in(drawn)]
    return sum(count for count, _ in counts), sum(count for _, count in counts), len(repr(drawn))


def _seeded(run: Callable[[], None], name: str, effort: Effort) -> Callable[[], None]:
    """With the seed first: it would take the database away from the settings.

    It is one for each property: what a hundred cases miss is met by those of another.
    """
    if effort.seed is not None and not effort.derandomize:
        run = with_seed(f"{name} {effort.seed}")(run)
    return _settings(effort)(run)


def _phases(effort: Effort) -> Iterator[Phase]:
    for phase in Phase:
        if phase not in {Phase.explain, Phase.target} and (effort.shrinking or phase is not Phase.shrink):
            yield phase


def _settings(effort: Effort) -> settings:
    return settings(
        max_examples=effort.cases,
        derandomize=effort.derandomize,
        database=effort.database,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=list(_phases(effort)),
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )


def _weigh(record: Record) -> None:
    """A property that no case contradicts holds, unless too many cases could not tell, or there was none."""
    unknown = record.reasons.total()
    if record.counterexample is not None:
        record.verdict = Verdict.FAIL
    elif record.cut and not record.cases:
        record.verdict, record.message = (
            Verdict.INCONCLUSIVE,
            "There was no time for a single case: raise --time-limit.",
        )
    elif not record.cases:
        record.verdict, record.message = Verdict.INCONCLUSIVE, "No case was checked."
    elif unknown > INCONCLUSIVE_SHARE * record.cases:
        record.verdict = Verdict.INCONCLUSIVE
        listed = ", ".join(f"{count} × {reason}" for reason, count in record.reasons.most_common())
        record.message = f"Undecided in {unknown} of {record.cases} cases: {listed}."
    elif record.weakness is not None:
        record.verdict, record.message = Verdict.UNSTABLE, str(record.weakness)
