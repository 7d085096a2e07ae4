"""The properties of files, as pytest's tests: the part of the plugin that is loaded where it is asked for.

`pytest --backprop=FILE` verifies FILE in place of collecting tests. How hard to search is Hypothesis's profile:
`default`, `ci` (derandomised) or `nightly` (random, with more cases). Every random run prints its seed;
`--hypothesis-seed N` repeats it. The fixture `effort` hands the same to the tests of a checkout.
"""

import contextlib
import gc
import io
import pickle
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.errors import InvalidArgument
from rich.console import Console

from harness import report
from harness.judging import conclude
from harness.loading import FileSubject, UnusableSubject, load
from harness.outcomes import Outcome
from harness.pasted import NetworkCall, script
from harness.paths import NoSubjectError, expanded
from harness.verification import Verification
from properties import network
from properties.network.explanations import NetworkExplanations
from properties.search import Effort, Property, Record, SubjectGone, Verdict
from properties.subjects import Subject

_AT_RANDOM = settings.get_profile("default")
"""Where the environment has CI set, Hypothesis starts from a derandomised profile without a database."""

settings.register_profile("default", max_examples=100, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, database=None)
settings.register_profile("nightly", _AT_RANDOM, max_examples=2000, deadline=None)

_SEED = pytest.StashKey[int]()


@dataclass
class Findings:
    """What was found of one file, in all processes of a run."""

    records: list[Record] = field(default_factory=list)
    gone: str = ""
    unusable: str = ""


_FINDINGS = pytest.StashKey[dict[str, Findings]]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Look for the files, and choose the seed of this run, before Hypothesis loads its profile."""
    _check_profile(config.getoption("hypothesis_profile", None))
    named: list[str] = config.getoption("backprop", None) or []
    try:
        found = [path for name in named for path in expanded(name)]
    except NoSubjectError as error:
        raise pytest.UsageError(f"--backprop: {error}") from None
    config.stash[_FINDINGS] = {path: Findings() for path in found}
    if found:
        config.args[:] = [__file__]  # collected by `pytest_pycollect_makemodule`
    given = getattr(config, "workerinput", {}).get("seed_of_run") or config.getoption("hypothesis_seed", None)
    config.stash[_SEED] = int(given) if given is not None else secrets.randbelow(2**32)


def _check_profile(name: str | None) -> None:
    """Raise a usage error for a profile that there is not."""
    try:
        if name:
            settings.get_profile(name)
    except InvalidArgument:
        raise pytest.UsageError(
            f"--hypothesis-profile: there is no profile {name}; there are default, ci and nightly."
        ) from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Every worker of a parallel run searches with the seed of the whole run."""
    node.workerinput["seed_of_run"] = node.config.stash[_SEED]


def pytest_report_header(config: pytest.Config) -> str:
    """Say how to repeat this run."""
    if settings.default is not None and settings.default.derandomize:
        return "properties: derandomised"
    return f"properties: repeat this run with --hypothesis-seed={config.stash[_SEED]}"


def effort_of(config: pytest.Config) -> Effort:
    """How hard the current profile of Hypothesis searches."""
    profile = settings()
    return Effort(profile.max_examples, config.stash[_SEED], profile.derandomize, profile.database)


@pytest.fixture(scope="session")
def effort(request: pytest.FixtureRequest) -> Effort:
    """How hard to search in this run."""
    return effort_of(request.config)


# The properties of files, as tests ----------------------------------------------------------------------


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """With `--backprop`, the files stand in the place of this module."""
    if module_path == Path(__file__) and parent.config.stash[_FINDINGS]:
        return Files.from_parent(parent, path=module_path)
    return None


class Files(pytest.File):
    """All files of a run."""

    def collect(self) -> Iterator["File"]:
        """The files, in the order in which they were named."""
        for name in self.config.stash[_FINDINGS]:
            yield File.from_parent(self, name=name, nodeid=name.replace("::", ":"))


class File(pytest.Collector):
    """The properties of one file. Its process runs from its first test to its last."""

    verification: Verification[Subject] | None = None
    _is_told = False

    def collect(self) -> Iterator["HasProperty"]:
        """A test for each property."""
        for one in network.PROPERTIES:
            item = HasProperty.from_parent(self, name=one.name)
            item.property = one
            yield item

    def setup(self) -> None:
        """Start the file's process. A file that can't be used is one failure, and its other tests are skipped."""
        found = self.config.stash[_FINDINGS][self.name]
        self._closing = contextlib.ExitStack()
        try:
            subject = self._closing.enter_context(load(self.name))
        except UnusableSubject as error:
            found.unusable = "\n".join(filter(None, [str(error), error.trace]))
            return
        self.verification = _verification(subject, self.config, found.records)

    def teardown(self) -> None:
        """Stop it."""
        if self.verification is not None:
            self.config.stash[_FINDINGS][self.name].gone = self.verification.gone
        self._closing.close()

    def fail_once(self) -> None:
        """Fail the first test of a file that can't be used, and skip the others."""
        unusable = self.config.stash[_FINDINGS][self.name].unusable
        was_told, self._is_told = self._is_told, True
        if was_told:
            pytest.skip(unusable.partition("\n")[0])
        pytest.fail(unusable, pytrace=False)


def _verification(
    subject: FileSubject, config: pytest.Config, records: list[Record]
) -> Verification[Subject]:
    return Verification(
        subject, network.PROPERTIES, effort_of(config), explains=NetworkExplanations(), records=records
    )


class HasProperty(pytest.Item):
    """One property of one file."""

    parent: File
    property: Property[Subject]

    def runtest(self) -> None:
        """Search for a counterexample."""
        if self.parent.verification is None:
            self.parent.fail_once()
        else:
            tell(self.parent.verification.check(self.property))

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it stands, for the headings of a report."""
        return self.path, None, f"{self.parent.name}: {self.name.replace('_', ' ')}"


def tell(record: Record) -> None:
    """Pass, fail or skip the test of a property."""
    match record.verdict:
        case Verdict.FAIL:
            pytest.fail(f"{record.sentence}: this does not hold.\n{record.message}", pytrace=False)
        case Verdict.PASS:
            pass
        case other:
            pytest.skip(f"{other}: {record.message}")


def pytest_collection_finish() -> None:
    """What has been imported by now stays: no collection of garbage has to go through all of JAX again."""
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of a parallel run sends home what it found; the pickle is ours, from our own process."""
    if hasattr(session.config, "workeroutput"):
        output: dict[str, Any] = getattr(session.config, "workeroutput")  # noqa: B009  (xdist adds it)
        output["findings"] = pickle.dumps(session.config.stash[_FINDINGS])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what a worker found to what is known."""
    sent: bytes = getattr(node, "workeroutput", {}).get("findings", b"")
    if not sent:
        return
    for path, found in pickle.loads(sent).items():  # noqa: S301  (from our own worker)
        known = node.config.stash[_FINDINGS][path]
        known.records += found.records
        known.gone, known.unusable = known.gone or found.gone, known.unusable or found.unusable


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """For each file the verdict, the name of its mistake and the smallest case, as `verify` shows them."""
    for path, found in config.stash[_FINDINGS].items():
        if not found.records and not found.unusable:
            continue  # the run was stopped before
        terminalreporter.section(path)
        text = io.StringIO()
        width = max(shutil.get_terminal_size().columns, report.WIDTH)
        console = Console(file=text, force_terminal=terminalreporter.hasmarkup, width=width)
        report.story(console, _outcome(path, found, config), hints=2)
        terminalreporter.write(text.getvalue())


def _outcome(path: str, found: Findings, config: pytest.Config) -> Outcome:
    """The verdict on a file. Its mistake is named on fresh cases, so its process is started once more."""
    order = [one.name for one in network.PROPERTIES]
    records = sorted(found.records, key=lambda record: order.index(record.name))
    again = f"pytest --backprop={path} --hypothesis-seed={config.stash[_SEED]}"
    outcome = Outcome(path, records=records, again=again)
    outcome.script = script(outcome, NetworkCall(path))
    if found.unusable:
        outcome.verdict, outcome.message = Verdict.ERROR, found.unusable
        return outcome
    try:
        with load(path) as subject:
            outcome.script = script(outcome, NetworkCall(path, subject.function, subject.takes_keywords))
            verification = _verification(subject, config, records)
            verification.gone = found.gone
            conclude(outcome, verification)
    except UnusableSubject as fault:
        outcome.verdict, outcome.message = Verdict.ERROR, str(fault)
    except SubjectGone as fault:
        outcome.verdict, outcome.message = Verdict.FAIL, str(fault)
    return outcome
