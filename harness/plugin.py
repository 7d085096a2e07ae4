"""The pytest plugin: puts subjects before the law, as tests.

`pytest` judges the bundled backprop; `pytest --backprop FILE` judges FILE, and may be given several
times. How hard to search is Hypothesis's profile: `default`, `ci` (derandomised) or `nightly` (random,
with more cases). Every random run prints its seed; `--hypothesis-seed N` repeats it.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.strategies import SearchStrategy

from harness.loading import UnusableSubject, load
from properties.comparison import Comparison
from properties.law import Effort, NotApplicable, Record, SubjectGone, Verdict, search
from properties.subjects import Bundled, Subject

_AT_RANDOM = settings.get_profile("default")
"""Where the environment has CI set, Hypothesis starts from a derandomised profile without a database."""

settings.register_profile("default", max_examples=100, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, database=None)
settings.register_profile("nightly", _AT_RANDOM, max_examples=2000, deadline=None)

EDGES = "gradient_is_right_at_the_edges"
"""The law that may find the formula right and its numbers weak."""

CONTRACT = "result_meets_the_contract"
"""The first law; where no case at all meets it, the others have nothing to look at."""

AFTER_A_FAILURE = 10
"""Cases for each further law, once one has failed."""

_SEED = pytest.StashKey[int]()


@dataclass(eq=False)
class Court:
    """Judges one subject, law by law: see `properties.law.Court`."""

    subject: Subject
    effort: Effort
    records: list[Record] = field(default_factory=list)
    announce: Callable[[Record], None] = lambda record: None
    gone: str = ""
    unreadable: str = ""

    def hear(
        self,
        name: str,
        check: Callable[[Any], Comparison | None],
        examples: Callable[[], SearchStrategy[Any]],
    ) -> None:
        """Search for a counterexample to a law, and report the verdict to pytest."""
        record = Record(name, at_the_edges=name == EDGES)
        try:
            self._check_subject()
            search(record, check, examples(), self._effort())
        except SubjectGone as fault:
            self.gone = str(fault)
            record.verdict, record.message = Verdict.FAIL, str(fault)
        except NotApplicable as reason:
            record.verdict, record.message = Verdict.NOT_APPLICABLE, str(reason)
        if name == CONTRACT and record.verdict is Verdict.FAIL and not record.held:
            self.unreadable = "no call returned what can be read"
        self.records.append(record)
        self.announce(record)
        match record.verdict:
            case Verdict.FAIL:
                pytest.fail(failure(record), pytrace=False)
            case Verdict.PASS:
                pass
            case other:
                pytest.skip(f"{other}: {record.message}")

    def _check_subject(self) -> None:
        if self.gone or self.unreadable:
            raise NotApplicable(f"not checked, since {self.gone or self.unreadable}")

    def _effort(self) -> Effort:
        """One counterexample is worth shrinking; of the laws after it, we want to know whether they hold."""
        if any(record.verdict is Verdict.FAIL for record in self.records):
            return replace(self.effort, cases=min(self.effort.cases, AFTER_A_FAILURE), shrink=False)
        return self.effort


@dataclass(eq=False)
class Trial:
    """Registered as a plugin, it brings its own court: see `harness.trial`."""

    court: Court


def failure(record: Record) -> str:
    """What a failed law says: the sentence, what is wrong, and the smallest case as Python."""
    lines = [f"{record.name.replace('_', ' ')}: this does not hold.", record.message]
    case = record.counterexample[0] if isinstance(record.counterexample, tuple) else record.counterexample
    if hasattr(case, "as_python"):
        lines += ["", "The smallest case found:", case.as_python(), f"# {case.choices}"]
    return "\n".join(lines)


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
    """Register the marker, and choose the seed of this run."""
    config.addinivalue_line("markers", "law: a sentence that holds of every right gradient")
    given = getattr(config, "workerinput", {}).get("law_seed") or config.getoption("hypothesis_seed", None)
    config.stash[_SEED] = int(given) if given is not None else secrets.randbelow(2**32)


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
        files = metafunc.config.getoption("backprop")
        metafunc.parametrize(
            "court", files or [""], ids=files or ["manual_backprop"], indirect=True, scope="session"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--backprop`, only the law is of interest."""
    if config.getoption("backprop"):
        others = [item for item in items if item.get_closest_marker("law") is None]
        items[:] = [item for item in items if item.get_closest_marker("law") is not None]
        config.hook.pytest_deselected(items=others)


@pytest.fixture(scope="session")
def court(request: pytest.FixtureRequest) -> Iterator[Court]:
    """The court with the subject of this test."""
    trial = next(
        (plugin for plugin in request.config.pluginmanager.get_plugins() if isinstance(plugin, Trial)), None
    )
    if trial is not None:
        yield trial.court
        return
    with ExitStack() as open_subjects:
        try:
            subject = open_subjects.enter_context(load(request.param)) if request.param else Bundled()
        except UnusableSubject as error:
            pytest.fail(str(error), pytrace=False)
        yield Court(subject, effort_of(request.config))
