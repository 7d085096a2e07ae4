"""The pytest plugin: puts subjects before the law, as tests.

`pytest` judges the bundled backprop; `pytest --backprop=FILE` judges FILE, and may be given several
times. How hard to search is Hypothesis's profile: `default`, `ci` (derandomised) or `nightly` (random,
with more cases). Every random run prints its seed; `--hypothesis-seed N` repeats it.
"""

import gc
import io
import pickle
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from rich.console import Console

from harness import laws, report
from harness.court import Court, Trial
from harness.loading import UnusableSubject, load
from harness.paths import NoSubjectError, expanded
from harness.trial import Outcome, conclude
from properties.law import Effort, Record, SubjectGone, Verdict
from properties.subjects import Bundled

_AT_RANDOM = settings.get_profile("default")
"""Where the environment has CI set, Hypothesis starts from a derandomised profile without a database."""

settings.register_profile("default", max_examples=100, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, database=None)
settings.register_profile("nightly", _AT_RANDOM, max_examples=2000, deadline=None)

_SEED = pytest.StashKey[int]()


@dataclass
class Findings:
    """What the laws found of one file, in all processes of a run."""

    records: list[Record] = field(default_factory=list)
    gone: str = ""
    unusable: str = ""


_FINDINGS = pytest.StashKey[dict[str, Findings]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--backprop`: what to judge in place of the bundled backprop."""
    group = parser.getgroup("manual-backprop")
    group.addoption(
        "--backprop",
        action="append",
        default=[],
        metavar="FILE",
        help="judge the hand-written gradient in FILE in place of the bundled one",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, look for the files, and choose the seed of this run."""
    config.addinivalue_line("markers", "law: a sentence that holds of every right gradient")
    try:
        found = [path for name in _named(config) for path in expanded(name)]
    except NoSubjectError as error:
        raise pytest.UsageError(f"--backprop: {error}") from None
    config.stash[_FINDINGS] = {path: Findings() for path in found}
    given = getattr(config, "workerinput", {}).get("law_seed") or config.getoption("hypothesis_seed", None)
    config.stash[_SEED] = int(given) if given is not None else secrets.randbelow(2**32)


def _named(config: pytest.Config) -> list[str]:
    return config.getoption("backprop") or []


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Every worker of a parallel run searches with the seed of the whole run."""
    node.workerinput["law_seed"] = node.config.stash[_SEED]


def pytest_report_header(config: pytest.Config) -> str:
    """Say how to repeat this run."""
    if settings.default is not None and settings.default.derandomize:
        return "laws: derandomised"
    return f"laws: repeat this run with --hypothesis-seed={config.stash[_SEED]}"


def effort_of(config: pytest.Config) -> Effort:
    """How hard the current profile of Hypothesis searches."""
    profile = settings()
    return Effort(profile.max_examples, config.stash[_SEED], profile.derandomize, profile.database)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each law and each subject."""
    if "court" in metafunc.fixturenames:
        files = list(metafunc.config.stash[_FINDINGS])
        metafunc.parametrize(
            "court", files or [""], ids=files or ["manual_backprop"], indirect=True, scope="session"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--backprop`, only the law is of interest."""
    if config.getoption("backprop"):
        others = [item for item in items if item.get_closest_marker("law") is None]
        items[:] = [item for item in items if item.get_closest_marker("law") is not None]
        config.hook.pytest_deselected(items=others)


def pytest_collection_finish() -> None:
    """What has been imported by now stays: no collection of garbage has to go through all of JAX again."""
    gc.freeze()


@pytest.fixture(scope="session")
def court(request: pytest.FixtureRequest) -> Iterator[Court]:
    """The court with the subject of this test."""
    trial = next(
        (plugin for plugin in request.config.pluginmanager.get_plugins() if isinstance(plugin, Trial)), None
    )
    if trial is not None:
        yield trial.court
    elif not request.param:
        yield Court(Bundled(), effort_of(request.config))
    else:
        yield from _court_of(request.param, request.config)


def _court_of(path: str, config: pytest.Config) -> Iterator[Court]:
    """The court of a file, which keeps what it finds for the end of the run."""
    findings = config.stash[_FINDINGS][path]
    try:
        with load(path) as subject:
            court = Court(subject, effort_of(config), contains=True, records=findings.records)
            yield court
            findings.gone = court.gone
    except UnusableSubject as error:
        findings.unusable = "\n".join(filter(None, [str(error), error.trace]))
        yield Court(Bundled(), effort_of(config), contains=True, unusable=str(error))


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
    order = laws.names()
    records = sorted(found.records, key=lambda record: order.index(record.name))
    again = f"pytest --backprop {path} --hypothesis-seed={config.stash[_SEED]}"
    outcome = Outcome(path, records=records, again=again)
    if found.unusable:
        outcome.verdict, outcome.message = Verdict.FAIL, found.unusable
        return outcome
    try:
        with load(path) as subject:
            conclude(outcome, subject, found.gone)
    except (SubjectGone, UnusableSubject) as fault:
        outcome.verdict, outcome.message = Verdict.FAIL, str(fault)
    return outcome
