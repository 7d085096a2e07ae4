"""What is asked of the verification of one subject, and what comes of it: its verdict, its records, its mistake.

It travels between the command and the processes that judge, so this module imports nothing that takes long.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.held import HeldModule
from harness.isolation import Sandbox
from harness.verification import as_text
from harness.worker import printable
from properties.diagnosis import Diagnosis
from properties.search import Effort, Example, Record, Verdict

OPERATION = "?"
"""The request for the one operation of a file, whatever its name is; or else for the names of all."""

BUNDLED = "manual_backprop"
"""What reports call the backprop that comes along."""


@dataclass(frozen=True)
class Request:
    """What to verify, and how.

    `path` is None for the bundled backprop; `operation` names one of the file's, and is empty for the gradient of a
    network (see `harness.contents`); `only` names some of the properties, none for all; with `stops` the first
    that fails is the last; `seconds` is all the time that it has (see `harness.clock`); `title` is what reports call
    the file, in place of its path; `folder` is where it lies, where that is not what its path says; `sha256` is of
    its text (see `harness.resumption`). What is `held` is judged in this process, and `path` is its name; `aliases` are
    lines of Python that give its functions the names of the contract.
    """

    path: str | None
    effort: Effort
    python: str | None = None
    seconds: float = 120.0
    only: tuple[str, ...] = ()
    stops: bool = False
    operation: str = ""
    sandbox: Sandbox = "auto"
    title: str = ""
    held: HeldModule | None = None
    aliases: tuple[str, ...] = ()
    folder: str = ""
    sha256: str = ""

    @property
    def name(self) -> str:
        """What reports call the subject."""
        path = printable(self.title or self.path or BUNDLED)
        return path if self.operation in ("", OPERATION) else f"{path}: {self.operation}"


@dataclass
class Outcome:
    """What came of the verification of a subject.

    `subject` is its name as it can be shown, `path` as it is, `sandbox` the one that it ran in; `is_broken` says that
    the process that verified it failed or was lost, which need not be this subject's doing. `remark` is for whoever
    uses the subject, and nothing against it. `contents` names the operations of a file that was asked for its one, and
    has several: then that is all there is. `again` is the call that repeats it, and `script` the example that is shown,
    as Python to paste. `sha256` is of the file and `asked` all that was asked of it (see `harness.resumption`). `given`
    and `right` are the gradients of the example that is shown, by name, and `resolution` is the relative error that
    would have failed in a typical entry.
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
    script: str = ""
    path: str = ""
    sandbox: str = ""
    is_broken: bool = False
    contents: tuple[str, ...] = ()
    given: dict[str, Any] = field(default_factory=dict[str, Any])
    right: dict[str, Any] = field(default_factory=dict[str, Any])
    resolution: float | None = None
    sha256: str = ""
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def failures(self) -> list[Record]:
        """The records of the properties that do not hold."""
        return [record for record in self.records if record.verdict is Verdict.FAIL]

    @property
    def counterexample(self) -> tuple[Record, Example] | None:
        """The first property that fails on an example of the subject, and the smallest one; None for none."""
        found = ((record, record.example) for record in self.failures)
        return next(((record, example) for record, example in found if example is not None), None)

    @property
    def shown(self) -> tuple[Record, Example] | None:
        """The example to show: the counterexample, or for none that of a weakness."""
        weak = ((record, record.example) for record in self.records if record.verdict is Verdict.UNSTABLE)
        found = ((record, example) for record, example in weak if example is not None)
        return self.counterexample or next(found, None)

    def told(self) -> "Outcome":
        """The same with its examples as text: whoever reports it needs nothing of what they are made of."""
        return replace(self, records=list(map(told, self.records)))


def told(record: Record) -> Record:
    """The record with its example as text."""
    example = record.example
    shown = None if example is None else Told(as_text(example), dict(example.choices))
    return replace(record, counterexample=shown, weakness=None)


@dataclass(frozen=True)
class Told(Example):
    """A smallest case as a report tells it: where it is a large one, by its sizes."""

    text: str
    chosen: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def numbers(self) -> tuple[int, int]:
        """Few enough to print: the text is all there is."""
        return 0, 0

    @property
    def choices(self) -> Mapping[str, Any]:
        """As they were, where they are known."""
        return self.chosen

    @property
    def summary(self) -> str:
        """As `text`."""
        return self.text

    def as_python(self) -> str:
        """As it was."""
        return self.text
