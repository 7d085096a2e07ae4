"""A verification ends, whatever happens to it: what was decided is said, and what wasn't too."""

import io
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import strategies as st
from rich.console import Console

from harness import judging, pool, report, session
from harness.clock import PATIENCE, Clock
from harness.judging import conclude, properties_of, verify
from harness.loading import RestViolation, load
from harness.outcomes import Outcome, Request
from harness.pasted import NetworkCall, network, script
from harness.paths import NoSubjectError, expanded, left_out
from harness.reports import Reports
from harness.scratch import scratch
from harness.test_isolation import left
from harness.verification import SEARCHING, Verification, as_text
from manual_backprop.operations import PAGES
from properties import checks
from properties.cases import Case
from properties.meta.samples import samples
from properties.network import PROPERTIES
from properties.network.explanations import NetworkExplanations
from properties.search import (
    Effort,
    Example,
    Inconclusive,
    Kind,
    NotApplicable,
    Property,
    Record,
    TimeIsOver,
    Verdict,
    Violation,
    Weakness,
    search,
)
from properties.strategies import EDGES, cases
from properties.subjects import Bundled, Subject

ROOT = Path(__file__).parent.parent


def case(units: int) -> Case:
    """A network of one layer, with a sample of ones."""
    return Case([(np.ones((units, units)), np.ones(units))], np.ones((1, units)), np.ones((1, units)))


# The time


def ends_after(cases: int) -> Callable[[], bool]:
    """A time limit that is reached with so many cases."""
    asked = count()
    return lambda: next(asked) >= cases


def test_a_search_ends_at_its_limit_with_the_cases_that_it_had() -> None:
    record = search(Record("slow"), lambda _: None, st.integers(), Effort(100, 1), ends_after(3))
    assert (record.verdict, record.cases, record.cut) == (Verdict.PASS, 3, True)
    assert report.uncovered(Outcome("mine.py", records=[record])) == ["slow: the time ran out after 3 cases."]


def test_what_many_properties_leave_undecided_for_one_reason_is_told_once() -> None:
    many = [Record(f"property_{i}", cases=20, reasons=Counter({"a kink": i})) for i in range(1, 5)]
    few = [Record("a_law", cases=9, reasons=Counter({"noise": 2})), Record("b_law", Verdict.NOT_APPLICABLE)]
    few[1].message = "it has no loss"
    assert report.uncovered(Outcome("mine.py", Verdict.PASS, records=[*many, *few])) == [
        "4 properties: up to 4 of 20 cases undecided: a kink.",
        "a law: 2 of 9 cases undecided: noise.",
        "b law: not applicable, it has no loss.",
    ]


def concluded(*records: Record, subject: Subject | None = None) -> Outcome:
    """The outcome that these records have."""
    one = Outcome("mine.py", records=list(records))
    conclude(one, Verification(subject or Bundled(), PROPERTIES, Effort(1), explains=NetworkExplanations()))
    return one


def test_a_property_without_time_for_a_case_is_inconclusive_and_so_is_the_subject() -> None:
    record = search(Record("late"), lambda _: None, st.integers(), Effort(100, 1), ends_after(0))
    assert (record.verdict, record.cases) == (Verdict.INCONCLUSIVE, 0)
    one = concluded(Record("early", cases=100), record)
    assert (one.verdict, one.message) == (
        Verdict.INCONCLUSIVE,
        "Time ran out: 1 of the properties had no case yet, 1 hold so far. Raise --time-limit for more.",
    )


def test_what_is_not_applicable_is_told_by_the_first_case() -> None:
    def check(size: int) -> None:
        seen.append(size)
        raise NotApplicable("it has no samples")

    seen = list[int]()
    record = search(Record("late"), check, st.integers(), Effort(100, 1))
    assert (record.verdict, record.message) == (Verdict.NOT_APPLICABLE, "it has no samples")
    assert len(seen) == record.cases == 1


def test_what_is_wrong_is_not_made_smaller_than_what_the_property_applies_to() -> None:
    def check(size: int) -> None:
        if 0 < size < 7:
            raise NotApplicable("it takes 7 samples or more")
        if size:
            raise Violation(f"{size} is wrong")

    record = search(Record("large"), check, st.integers(0, 10**6), Effort(100, 1))
    assert (record.verdict, record.message) == (Verdict.FAIL, "7 is wrong")


def test_shrinking_ends_after_so_many_cases_and_keeps_the_simplest() -> None:
    def wrong(size: int) -> None:
        if size > 5:
            seen.append(size)
            raise Violation(str(size))

    seen: list[int] = []
    record = search(Record("wrong"), wrong, st.integers(1, 10**6), Effort(100, 1, shrinking=4))
    assert (record.verdict, record.cut, record.shrunk) == (Verdict.FAIL, False, 4)
    assert len(str(record.counterexample)) == min(len(str(size)) for size in seen)
    assert len(seen) <= 1 + 4 + 1  # the first, as many as may be tried, and the simplest again
    full = search(Record("wrong"), wrong, st.integers(1, 10**6), Effort(100, 1))
    assert full.counterexample == 6


def test_the_smallest_case_is_one_whose_numbers_are_seen_to_differ_where_there_is_any() -> None:
    def off_by_a_little_where_small(number: int) -> None:
        if number > 5:
            told = Violation(f"{number} is wrong")
            raise told if number >= 1000 else told.of_numbers(1e-6)

    numbers = st.integers(1, 10**6)
    record = search(Record("a large one first"), off_by_a_little_where_small, numbers, Effort(100, 1))
    assert record.verdict is Verdict.FAIL
    assert 1000 <= record.counterexample < 10_000
    assert record.message == f"{record.counterexample} is wrong"

    def never_more(number: int) -> None:
        if number > 5:
            raise Violation(f"{number} is wrong").of_numbers(1e-6)

    record = search(Record("wrong"), never_more, numbers, Effort(100, 1))
    assert (record.verdict, record.counterexample) == (Verdict.FAIL, 6)


def test_a_case_that_fails_once_and_not_again_is_told_so_where_shrinking_was_cut() -> None:
    def moody(size: int) -> None:
        if size > 5 and len(seen) < 3:
            seen.append(size)
            raise Violation("off")

    seen: list[int] = []
    record = search(Record("moody"), moody, st.integers(1, 10**6), Effort(100, 1, shrinking=3))
    assert record.message == "The same call gives different answers. In one of them: off"


def test_a_verification_that_hangs_is_ended_and_that_is_no_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("import time\ntime.sleep(1000)", "utf-8")
    monkeypatch.setattr(pool, "GRACE", -1199.9)
    with pool.Judges(1) as judges:
        (one,) = judges.judge_all([Request(str(mine), Effort(1, 1))], lambda _: None)
    assert one.verdict is Verdict.INCONCLUSIVE
    assert one.message == f"{mine} could not be judged within 0.1 s by the clock."


def wrong_on(one: Case) -> Record:
    """The record of a property that fails on a case."""
    return Record("wrong", Verdict.FAIL, message="It is off.", counterexample=one)


def test_random_answers_are_told_first() -> None:
    class Random(Bundled):
        def gradient(self, case: Case) -> Any:
            return [(np.random.default_rng().normal(size=W.shape), b) for W, b in case.parameters]

    one = concluded(wrong_on(case(2)), subject=Random())
    assert one.message == "The same call gives different answers. In one of them: It is off."


# Our own mistakes


def fail(*_: object, **__: object) -> Any:
    """A mistake of our own."""
    raise KeyError("x")


def test_what_goes_wrong_in_our_own_code_is_one_sentence_and_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Property[Subject](fail, lambda subject: st.integers())
    verification = Verification(Bundled(), [broken], Effort(1, 1), explains=NetworkExplanations())
    verification.run()
    monkeypatch.setattr(judging, "conclude", fail)
    for one in (verification.records[0], verify(Request(None, Effort(1, 1)))):
        assert one.verdict is Verdict.INCONCLUSIVE
        assert one.message.startswith("manual-backprop itself failed on this file (KeyError: 'x' in line ")
        assert one.message.endswith(" of test_verification.py): please report it, with the file.")


def test_a_diagnosis_that_fails_leaves_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NetworkExplanations, "diagnosis", fail)
    one = concluded(wrong_on(case(2)))
    assert one.verdict is Verdict.FAIL
    assert one.message.startswith("It is off. manual-backprop itself failed")


# What is left


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_command_that_is_ended_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = os.urandom(8).hex()
    monkeypatch.setenv("MANUAL_BACKPROP_TEST", mark)
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("open(__file__ + '.started', 'w').close()\nwhile True: pass", "utf-8")
    command = [sys.executable, "-m", "harness.cli", "verify", str(tmp_path), "--jobs", "2"]
    command += ["--sandbox", "none"]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    wait_for(lambda: len(list(tmp_path.glob("*.started"))) == 2)
    run.send_signal(signal.SIGTERM)
    run.wait(30)
    wait_for(lambda: left(mark) == [])


@pytest.mark.skipif(sys.platform != "linux", reason="looks for it in /proc")
def test_a_file_that_kills_what_verifies_it_fails_alone(tmp_path: Path) -> None:
    killer, broken = tmp_path / "killer.py", tmp_path / "broken.py"
    killer.write_text(
        "import os\n"
        "status = open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()\n"
        "os.kill(int(status[1]), 9)\n",
        "utf-8",
    )
    broken.write_text("def gradient(:", "utf-8")
    done: list[Outcome] = []
    requests = [Request(str(path), Effort(1, 1), sandbox="none") for path in (killer, broken)]
    with pool.Judges(1) as judges:
        outcomes = judges.judge_all(requests, done.append)
    assert [(one.subject, one.verdict) for one in outcomes] == [
        (str(killer), Verdict.FAIL),
        (str(broken), Verdict.ERROR),
    ]
    assert outcomes[0].message.endswith(
        "crashed the process that verifies it: it must not touch other processes."
    )
    assert "syntax error" in outcomes[1].message
    assert done == outcomes


def wait_for(condition: Any) -> None:
    """Wait until it holds, for a minute at most."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


# What is shown


def test_a_case_of_more_than_a_screen_is_described_and_a_small_one_printed() -> None:
    small, large = case(2), case(17)
    assert as_text(small) == small.as_python()
    assert as_text(large).startswith("# 17-17, 1 sample: too many numbers to print.")
    record = wrong_on(large)
    one = Outcome(
        "mine.py", Verdict.FAIL, [record], "It is off.", again="manual-backprop verify mine.py --seed 1"
    )
    one.script = script(one)
    page = "\n".join([one.script, report.as_json([one], 2), text_of(one)])
    assert len(page) < 3000
    assert page.count("manual-backprop verify mine.py --seed 1") == 3


def text_of(*outcomes: Outcome, width: int = 80, show_output: bool = False) -> str:
    """What a terminal shows."""
    console = Console(file=io.StringIO(), width=width)
    if len(outcomes) == 1:
        report.one(console, *outcomes, hints=2, show_output=show_output)
    else:
        report.several(console, list(outcomes), hints=2, show_output=show_output)
    return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def test_a_table_shows_the_names_whole() -> None:
    names = [f"submissions/{name * 50}.py" for name in "ab"]
    shown = text_of(*(Outcome(name, Verdict.FAIL, message="It can't be imported. " * 9) for name in names))
    assert all(name in shown for name in names)
    assert "".join(shown.split()).count("imported") == 18


def test_what_is_no_file_is_told_so_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("loop.py").symlink_to("loop.py")
    sentences = {
        "nowhere.py": "There is no file or module nowhere.py.",
        "..nowhere": "There is no file or module ..nowhere.",
        "loop.py": "There is no file or module loop.py.",
        "empty": "The folder empty has no Python files.",
    }
    if hasattr(os, "mkfifo"):
        os.mkfifo("pipe.py")
        sentences["pipe.py"] = "pipe.py is not a file."
    for name, sentence in sentences.items():
        with pytest.raises(NoSubjectError) as raised:
            expanded(name)
        assert str(raised.value) == sentence


def test_a_folder_gives_its_submissions_and_counts_those_of_its_subfolders(tmp_path: Path) -> None:
    for name in ("ann.py", "bob.PY", "__init__.py", "conftest.py", "._ann.py", ".hidden.py", "notes.txt"):
        (tmp_path / name).touch()
    for name in ("cid/mine.py", "cid/deep/mine.py", "cid/__pycache__/mine.py", ".git/hook.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [Path(path).name for path in expanded(str(tmp_path))] == ["ann.py", "bob.PY"]
    assert left_out(str(tmp_path)) == 2
    assert left_out(str(tmp_path / "ann.py")) == 0
    (tmp_path / "cid" / "mine.py").unlink()
    with pytest.raises(NoSubjectError, match="no Python files itself: name its subfolders"):
        expanded(str(tmp_path / "cid"))


def test_a_bar_moves_with_every_property_and_ends_with_all() -> None:
    class Announcing:
        def judge_all(self, requests: Any, done: Any, announce: Callable[[Record], None]) -> list[Outcome]:
            del done
            for one in properties_of(requests[0]):
                announce(Record.of(one))
            return [Outcome("mine.py")]

    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    judges = cast("pool.Judges", Announcing())
    session._with_progress(console, [Request("mine.py", Effort(1))], judges, quiet=False)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    shown = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert all(f"{done}/{len(PROPERTIES)}" in plain for done in range(1, len(PROPERTIES) + 1)), repr(plain)


@pytest.mark.parametrize(("only", "network"), [((), 1), (("same_call_gives_the_same_answer",), 0)])
def test_without_a_file_the_network_is_judged_and_every_page_a_line_each(
    only: tuple[str, ...], network: int, capsys: pytest.CaptureFixture[str]
) -> None:
    class Passing:
        def judge_all(self, requests: Any, *_: object) -> list[Outcome]:
            assert all(Path(one.path).is_file() for one in requests[network:])
            return [Outcome(one.name) for one in requests]

    judges, options = cast("pool.Judges", Passing()), session.Options(cases=1, seed=1, only=only)
    with pytest.MonkeyPatch.context() as patch, scratch() as run:
        patch.setattr(session, "_show_what_wrong_rules_do", lambda console, seed: None)  # pyright: ignore[reportUnknownLambdaType]
        assert session.run([], options, judges, Reports([], run)) == 0
    lines = capsys.readouterr().out.splitlines()
    for page in PAGES:
        assert sum(line.startswith(f"{page.__name__} ") and "PASS" in line for line in lines) == 1
    assert sum(line.startswith("PASS manual_backprop:") for line in lines) == network


def test_an_interrupted_class_shows_what_was_decided(capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupted:
        def judge_all(self, requests: Any, done: Any) -> None:
            done(Outcome("first.py", Verdict.PASS))
            raise KeyboardInterrupt

    judges, options = cast("pool.Judges", Interrupted()), session.Options(cases=1, seed=1)
    message = "of 2 files 1 were judged, and no report was written"
    with scratch() as run, pytest.raises(KeyboardInterrupt, match=message):
        session.run(["first.py", "second.py"], options, judges, Reports([], run))
    assert "first.py  PASS" in capsys.readouterr().out


LINEAR = """
PROBLEM = {"layers": 1, "loss": "half_sse"}
def right(parameters, inputs, targets):
    ((W, b),) = parameters
    d = (inputs @ W + b - targets) / len(inputs)
    return [(inputs.T @ d, d.sum(axis=0))]
"""


def test_a_gradient_that_is_wrong_in_places_does_not_depend_on_earlier_calls(tmp_path: Path) -> None:
    source = f"""{LINEAR}
def gradient(parameters, inputs, targets):
    ((W, b),) = parameters
    ((dW, db),) = right(parameters, inputs, targets)
    return [(dW * (1 if W.sum() > 0 else 2), db)]
"""
    outcome = judged(tmp_path, source, 25)
    verdicts = {record.name: record.verdict for record in outcome.records}
    assert verdicts["gradient_equals_autodiff"] is Verdict.FAIL
    assert verdicts["answer_does_not_depend_on_earlier_calls"] is Verdict.PASS
    assert verdicts["gradient_is_pure"] is Verdict.PASS


def test_where_no_gradient_comes_back_the_other_properties_say_nothing(tmp_path: Path) -> None:
    source = f"""{LINEAR}
def gradient(parameters, inputs, targets):
    return None if len(inputs) > 4 else right(parameters, inputs, targets)
def loss(parameters, inputs, targets):
    return "large"
"""
    outcome = judged(tmp_path, source, 25)
    verdicts = {record.name: record.verdict for record in outcome.records}
    assert verdicts.pop("result_meets_the_contract") is Verdict.FAIL
    assert verdicts.pop("loss_equals_the_reference") is Verdict.FAIL
    assert Verdict.FAIL not in verdicts.values()
    assert any(line.endswith("where no gradient came back.") for line in report.uncovered(outcome))


def test_a_class_ends_with_how_many_there_are_of_each_verdict() -> None:
    made = zip("abcd", (Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE), strict=True)
    outcomes = [Outcome(f"{name}.py", verdict, output=f"hello from {name}\n") for name, verdict in made]
    text = text_of(*outcomes)
    assert text.rstrip().endswith("4 files: 1 PASS, 1 FAIL, 1 ERROR, 1 INCONCLUSIVE")
    assert "hello" not in text
    assert "What c.py printed\n  hello from c" in text_of(*outcomes, show_output=True)


@pytest.mark.parametrize("returned", ["None", "[parameters[0][0]]", "3"])
def test_the_smallest_case_of_what_is_no_gradient_can_be_pasted(tmp_path: Path, returned: str) -> None:
    outcome = judged(tmp_path, f"def gradient(parameters, inputs, targets): return {returned}\n", 1)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", outcome.script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("yours\n")


def test_the_smallest_case_stands_at_the_margin_so_that_it_can_be_copied(tmp_path: Path) -> None:
    text = text_of(judged(tmp_path, "def gradient(parameters, inputs, targets): return None\n", 1))
    assert "\nimport inspect, runpy, sys\nimport numpy as np\n" in text


def test_a_module_is_looked_up_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "__init__.py").write_text("1 / 0", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert expanded("course.week3") == ["course.week3"]
    assert "course" not in sys.modules


def test_what_a_subject_says_is_no_markup() -> None:
    said = "[/oops] [red] :smile:"
    one, other = (Outcome(f"[red]{name}.py", Verdict.FAIL, message=said, trace=said) for name in "ab")
    for shown in (text_of(one), text_of(one, other, width=200)):
        assert "[red]a.py" in shown
        assert said in shown


def test_the_smallest_case_can_be_pasted_where_a_file_imports_its_neighbour_and_takes_any_keyword(
    tmp_path: Path,
) -> None:
    (tmp_path / "helpers.py").write_text(
        "import manual_backprop\ngradient = manual_backprop.gradient\n", "utf-8"
    )
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import helpers\ndef gradient(*case, **names): return helpers.gradient(*case, **names)\n", "utf-8"
    )
    pasted = network(case(2), NetworkCall(str(mine)))
    for arguments, typed in ((["-c", pasted], ""), (["-i"], pasted + "\n\n")):  # a file, and a prompt
        done = subprocess.run(  # noqa: S603
            [sys.executable, *arguments], input=typed, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert "Error" not in done.stderr
        assert done.stdout.count("yours") == done.stdout.count("right") > 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_smallest_case_of_a_step_shows_the_gradient_that_it_moves_by(tmp_path: Path, dtype: str) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import manual_backprop\n"
        "def step(parameters, inputs, targets, rate):\n"
        "    gradient = manual_backprop.gradient(parameters, inputs, targets)\n"
        "    return [(W - rate * dW, b - rate * db) for (W, b), (dW, db) in zip(parameters, gradient)]\n",
        "utf-8",
    )
    one = np.ones((1, 1), dtype)
    small = Case([(one, one[0])], one, one)
    pasted = network(small, NetworkCall(str(mine), "step"))
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", pasted], capture_output=True, text=True, check=False, timeout=60
    )
    words = " ".join(done.stdout.split())
    assert words == "dW1 yours [[2.]] right [[2.]] db1 yours [2.] right [2.]", done.stderr


def judged(tmp_path: Path, source: str, cases: int, *, seconds: float = 120) -> Outcome:
    """What comes of a file with this source."""
    file = tmp_path / "mine.py"
    file.write_text(source, "utf-8")
    return verify(Request(str(file), Effort(cases, 1), seconds=seconds))


def test_what_is_given_up_is_one_line_and_an_exception_is_told_once(tmp_path: Path) -> None:
    outcome = judged(tmp_path, "def gradient(parameters, inputs, targets):\n    return missing\n", 5)
    assert [record.tried for record in outcome.records] == [True] + [False] * (len(PROPERTIES) - 1)
    text = text_of(outcome)
    others = len(PROPERTIES) - 1
    assert f"{others} others: not tried, since no call returned what can be read." in text
    assert text.count("NOT APPLICABLE") == 0
    told = text.partition("The smallest case found")[0]
    assert told.count("gradient raised NameError: name 'missing' is not defined (line 2 of mine.py).") == 1
    assert not any(word in told for word in ("Where:", "Mistake:", "Evidence:"))


ZEROS_UNTIL_THE_END = """
import os
import pickle
calls = 0

def gradient(parameters, inputs, targets):
    global calls
    calls += 1
    if calls > 100 or len(parameters[0][0]) > 100:
        os._exit(3)
    return [(0 * W, 0 * b) for W, b in parameters]
"""


def test_a_subject_that_is_lost_keeps_what_was_found_before(tmp_path: Path) -> None:
    outcome = judged(tmp_path, ZEROS_UNTIL_THE_END, 5)
    assert outcome.verdict is Verdict.FAIL
    found, _, fault = outcome.message.partition(" (gradient ")
    assert " is 0, and should be " in found
    assert fault == "ended Python with exit status 3 instead of returning.)"


IN_A_BUFFER = """
import numpy as np
PROBLEM = {"layers": 1, "inputs": 3, "outputs": 2, "bias": False}
dW = np.empty((3, 2))

def gradient(parameters, inputs, targets):
    ((W, _),) = parameters
    np.matmul(inputs.T, 2 * (inputs @ W - targets) / targets.size, out=dW)
    return [(dW, None)]
"""


def test_buffers_that_the_next_call_overwrites_are_remarked_and_no_fault(tmp_path: Path) -> None:
    outcome = judged(tmp_path, IN_A_BUFFER, 10)
    assert outcome.verdict is Verdict.PASS
    remark = "gradient overwrites what its last call returned: whoever calls it again has to copy the arrays before."
    assert remark in " ".join(text_of(outcome, width=200).split())


def test_a_file_without_time_is_told_what_gives_it_more(tmp_path: Path) -> None:
    source = "def gradient(parameters, inputs, targets):\n    while True: pass\n"
    outcome = judged(tmp_path, source, 5, seconds=12)
    assert outcome.message == "gradient did not finish within 1 s (--time-limit gives it more)."
    assert report.untried(outcome).endswith("within 1 s (--time-limit gives it more).")


def test_every_property_keeps_half_of_an_equal_share_of_the_time() -> None:
    now, total = [0.0], 100.0
    clock = Clock(total / SEARCHING, of_thread=lambda: now[0])
    verification = Verification(Bundled(), PROPERTIES, Effort(1), clock)
    for one in PROPERTIES:
        end = verification._end_of_this_property()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        assert end - now[0] >= total / len(PROPERTIES) / 2 - 1e-9
        assert end <= total + 1e-9
        now[0] = end  # each takes all that it may
        verification.records.append(Record.of(one))


def test_the_limit_counts_the_seconds_of_the_thread_and_of_the_subject() -> None:
    times = {"thread": 5.0, "subject": 0.0}
    clock = Clock(10, lambda: times["subject"], lambda: times["thread"])
    assert clock.spent() == 0
    times |= {"thread": 7.0, "subject": 8.0}
    assert clock.spent() == 10
    clock.check()
    times["thread"] = 7.5
    with pytest.raises(TimeIsOver):
        clock.check()


@pytest.mark.parametrize("what", ["sum(range(10**7))", "time.sleep(0.4)"])
def test_a_subject_is_charged_for_its_processor_time_and_for_a_part_of_its_sleep(
    tmp_path: Path, what: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        f"import time\ndef gradient(p, x, y):\n    {what}\n    return [(0 * W, 0 * b) for W, b in p]", "utf-8"
    )
    with load(file) as subject:
        subject.gradient(Case([(np.eye(2), np.ones(2))] * 2, np.eye(2), np.eye(2)))
        assert subject.seconds >= 0.1 / PATIENCE


def test_a_failure_that_nobody_has_time_to_explain_is_neither_wrong_nor_unstable() -> None:
    class NoTime(NetworkExplanations):
        def without_guard(self, subject: Subject, example: Example) -> tuple[Subject, str] | None:
            raise TimeIsOver

    wrong = Property[Subject](off, lambda subject: st.just(case(2)), Kind.EDGES)
    record = Verification(Bundled(), [wrong], Effort(1, 1), explains=NoTime()).run()[0]
    assert (record.verdict, record.cut) == (Verdict.INCONCLUSIVE, True)
    assert record.message.endswith("mistake or weak numbers: It is off.")


class LosesDigits(NetworkExplanations):
    """Takes the numbers of a network with two units for rounding alone."""

    def noise(self, subject: Subject, example: Example) -> str:  # noqa: D102
        return "digits are lost" if example.summary == case(2).summary else ""


@pytest.mark.parametrize(
    ("wrong", "verdict", "message"),
    [({2}, Verdict.UNSTABLE, "digits are lost"), ({2, 3}, Verdict.FAIL, "3 units are off.")],
)
def test_what_fails_for_lost_digits_alone_is_unstable_and_what_fails_elsewhere_too_is_wrong(
    wrong: set[int], verdict: Verdict, message: str
) -> None:
    def holds(_: Subject, drawn: Case) -> None:
        """It holds."""
        if drawn.outputs in wrong:
            raise Violation(f"{drawn.outputs} units are off.")

    one = Property[Subject](holds, lambda _: st.sampled_from([4, 5, 6, 7, 3, 2]).map(case), Kind.TRUTH)
    record = Verification(Bundled(), [one], Effort(100, 1), explains=LosesDigits()).run()[0]
    assert (record.name, record.verdict, record.message) == ("holds", verdict, message)
    assert record.example is not None
    assert record.example.summary == case(min(wrong - {2}, default=2)).summary


def off(*_: object) -> None:
    """It is off."""
    raise Violation("It is off.")


# pytest


@pytest.mark.parametrize("seed", [1, 4])
def test_the_smallest_case_of_a_network_is_small_whatever_is_drawn(seed: int) -> None:
    file = ROOT / "examples" / "one_output_only.py"
    outcome = verify(Request(str(file), Effort(100, seed), only=("gradient_equals_autodiff",), seconds=300))
    assert outcome.counterexample is not None
    case: Any = outcome.counterexample[1]
    assert (max(case.sizes), case.outputs, case.samples) == (2, 2, 1)


def run_pytest(*arguments: str | Path) -> tuple[int, str]:
    """Status and output of a run of its own."""
    command = [sys.executable, "-m", "pytest", "--hypothesis-seed=1", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603
    return done.returncode, done.stdout + done.stderr


def test_pytest_takes_a_file_that_is_not_there_for_a_wrong_call() -> None:
    status, output = run_pytest("--backprop", "nowhere.py")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert output.strip() == "ERROR: --backprop: There is no file or module nowhere.py."


def test_pytest_says_which_profiles_there_are() -> None:
    status, output = run_pytest("--hypothesis-profile", "nigtly")
    assert status == pytest.ExitCode.USAGE_ERROR
    sentence = "--hypothesis-profile: there is no profile nigtly; there are default, ci and nightly."
    assert output.strip() == f"ERROR: {sentence}"


def test_the_plugin_imports_nothing_of_ours_before_it_is_asked() -> None:
    listed = "import harness.plugin, sys; print(*sorted(name for name in sys.modules if '.' not in name))"
    command = [sys.executable, "-c", listed]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S603
    assert not {"jax", "reference", "properties", "manual_backprop", "rich"} & set(done.stdout.split())


def test_the_list_of_commands_is_there_without_jax() -> None:
    listed = "main(['--help'], standalone_mode=False)"
    code = f"import sys; from harness.cli import main; {listed}; print('jax' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S603
    assert "Write a FILE to begin with" in done.stdout
    assert done.stdout.split()[-1] == "False"


def test_the_command_that_reports_what_others_judged_needs_no_jax_itself(tmp_path: Path) -> None:
    wrong = ROOT / "examples" / "one_output_only.py"
    reports = [tmp_path / f"report.{kind}" for kind in ("json", "html", "junit", "gradescope")]
    options = [word for one in reports for word in (f"--{one.suffix[1:]}", str(one))]
    code = (
        "import sys; from harness.cli import main\n"
        f"try: main({['verify', str(wrong), '--quick', '--seed', '1', *options]}, standalone_mode=False)\n"
        "except SystemExit: print('jax' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S603
    assert "Mistake: one_output_only." in done.stdout
    assert "right = {" in done.stdout
    assert all("one_output_only" in one.read_text("utf-8") for one in reports)
    assert done.stdout.split()[-1] == "False"


def test_pytest_shows_the_verdict_once_for_all_its_processes(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def gradient(:", "utf-8")
    wrong = ROOT / "examples" / "one_output_only.py"
    chosen = ["-k", "equals_autodiff or is_pure"]
    status, output = run_pytest("-n", "1", "--backprop", wrong, "--backprop", broken, *chosen)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "Traceback" not in output
    assert output.count(f"\nFAIL {wrong}: db2[1] is 0") == 1
    assert output.count("Mistake: one_output_only.") == 1
    assert output.count("What each sample and output contributes") == 1
    assert output.count("The smallest case found") == 1
    assert "2 failed, 1 passed, 1 skipped" in output
    assert output.count(f"\nERROR {broken}: broken.py has a syntax error in line 1") == 1


def test_pytest_shows_the_smallest_case_of_a_file_that_dies_when_its_mistake_is_looked_for(
    tmp_path: Path,
) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_bytes((ROOT / "examples" / "one_output_only.py").read_bytes())
    code = """
import pathlib, sys, pytest
DIES = "import os\\ndef gradient(parameters, inputs, targets): os._exit(3)"
class Changer:
    def pytest_sessionfinish(self): pathlib.Path(sys.argv[1]).write_text(DIES, "utf-8")
chosen = ["-n", "0", "--hypothesis-seed=1", "-k", "equals_autodiff", f"--backprop={sys.argv[1]}"]
sys.exit(pytest.main(chosen, plugins=[Changer()]))
"""
    command = [sys.executable, "-c", code, str(wrong)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    heading, _, case = done.stdout.partition("The smallest case found")
    assert f"FAIL {wrong}: db2[1] is 0" in heading
    assert "\nparameters = [" in case


EARLY_STEP = """
import numpy as np
PROBLEM = {"dtype": ["float64", "float32"], "loss": "half_sse", "reduction": "sum", "layers": [2, 3]}

def step(parameters, inputs, targets, rate):
    parameters, hs = [list(pair) for pair in parameters], [inputs]
    for number, (W, b) in enumerate(parameters, start=1):
        z = hs[-1] @ W + b
        hs.append(z if number == len(parameters) else np.tanh(z))
    dz = hs[-1] - targets
    for pair, h in zip(reversed(parameters), reversed(hs[:-1])):
        pair[0] = pair[0] - rate * (h.T @ dz)
        pair[1] = pair[1] - rate * dz.sum(axis=0)
        dz = dz @ pair[0].T * (1 - h * h)
    return [tuple(pair) for pair in parameters]
"""


SGD = """
import numpy as np
PROBLEM = {"layers": 1, "loss": "half_sse", "reduction": "sum"}

def step(parameters, inputs, targets, rate):
    ((W, b),) = parameters
    for x, y in zip(inputs, targets):
        d = x @ W + b - y
        W, b = W - rate * np.outer(x, d), b - rate * d
    return [(W, b)]
"""
DECAYING = """
PROBLEM = {"layers": 1, "loss": "half_sse", "reduction": "sum"}

def step(parameters, inputs, targets, rate):
    ((W, b),) = parameters
    d = inputs @ W + b - targets
    return [(0.999 * W - rate * inputs.T @ d, b - rate * d.sum(axis=0))]
"""


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (SGD, "the samples make their steps one after another"),
        (DECAYING, "the parameters decay besides, by 0.001 of their size"),
    ],
    ids=["one after another", "decaying"],
)
def test_a_step_that_is_more_than_its_rate_times_one_gradient_is_explained(
    tmp_path: Path, source: str, told: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(source)
    outcome = verify(Request(str(file), Effort(20, 1)))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.explanation.startswith(told)


POISONED = """
import numpy as np
PROBLEM = {"inputs": 3, "width": 4, "outputs": 2}
sums = [np.zeros((3, 4)), np.zeros(4), np.zeros((4, 2)), np.zeros(2)]

def gradient(parameters, inputs, targets):
    (W1, b1), (W2, b2) = parameters
    h = np.tanh(inputs @ W1 + b1)
    d = 2 * (h @ W2 + b2 - targets) / targets.size
    q = d @ W2.T * (1 - h**2)
    for total, new in zip(sums, (inputs.T @ q, q.sum(axis=0), h.T @ d, d.sum(axis=0))):
        total += new
    return [(sums[0].copy(), sums[1].copy()), (sums[2].copy(), sums[3].copy())]
"""


def test_gradients_that_were_accumulated_over_every_case_before_are_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(POISONED)
    outcome = verify(Request(str(file), Effort(20, 1)))
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.mistakes == ("gradients_accumulated",)


def test_a_step_that_changes_the_weights_on_the_way_down_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(EARLY_STEP)
    outcome = verify(Request(str(file), Effort(20, 1)))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.mistakes == ("updated_weights_used",)


# Weak numbers

GUARDED = """
import numpy as np
PROBLEM = {{"layers": 1, "output": "softmax", "loss": "cross_entropy", "targets": "one_hot"}}

def gradient(parameters, inputs, targets):
    (W, b), = parameters
    z = inputs @ W + b
    o = np.exp(z - z.max(axis=1, keepdims=True))
    o /= o.sum(axis=1, keepdims=True)
    d = -targets / (o + {epsilon}) / len(inputs)
    dz = o * (d - (d * o).sum(axis=1, keepdims=True))
    return [(inputs.T @ dz, dz.sum(axis=0))]
"""


@pytest.mark.parametrize(("epsilon", "verdict"), [("1e-12", Verdict.UNSTABLE), ("1e-3", Verdict.FAIL)])
def test_an_epsilon_is_a_weakness_while_single_precision_would_not_see_it(
    tmp_path: Path, epsilon: str, verdict: Verdict
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(GUARDED.format(epsilon=epsilon))
    outcome = verify(Request(str(file), Effort(20, 1)))
    assert outcome.verdict is verdict
    told = f"{outcome.message} {outcome.diagnosis.explanation if outcome.diagnosis else ''}"
    assert f"{float(epsilon):.3g} is added inside the logarithm" in told


SCRIPT = """
import argparse
from collections import OrderedDict
arguments = argparse.ArgumentParser().parse_args()
PROBLEM = OrderedDict(layers=1, loss="half_sse", reduction="sum")

def gradient(parameters, inputs, targets):
    ((W, b),) = parameters
    d = inputs @ W + b - targets
    return [(inputs.T @ d, d.sum(axis=0))]
"""


def test_a_script_that_reads_its_arguments_finds_none(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SCRIPT)
    assert verify(Request(str(file), Effort(20, 1))).verdict is Verdict.PASS


SHALLOW_STEP = """
PROBLEM = {"layers": 6, "hidden": "identity", "loss": "half_mse", "dtype": DTYPE}

def step(parameters, inputs, targets, rate):
    hs = [inputs]
    for W, b in parameters:
        hs.append(hs[-1] @ W + b)
    delta = inputs.dtype.type(rate / targets.size) * (hs[-1] - targets)
    new = []
    for (W, b), h in zip(reversed(parameters), reversed(hs[:-1])):
        new.insert(0, (W - h.T @ delta, b - delta.sum(axis=0)))
        delta = delta @ W.T
    return new
"""


@pytest.mark.parametrize(
    ("dtype", "share"), [("float64", 1.0), ("float32", 0.75)]
)  # which overflows, or hides it
def test_gradients_of_any_size_can_be_read_off_a_step(tmp_path: Path, dtype: str, share: float) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SHALLOW_STEP.replace("DTYPE", repr(dtype)))
    judged = 0
    with load(file) as subject:
        for case in samples(cases(subject.claims, EDGES), 300, start=1):
            with suppress(Inconclusive):  # no Violation
                checks.check_gradient(subject.gradient(case), case)
                judged += 1
    assert judged >= 300 * share


WRAPPED = """
PROBLEM = {"layers": 1, "loss": "half_sse", "reduction": "sum"}

def checked(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

@checked
def gradient(parameters, inputs, targets):
    ((W, b),) = parameters
    d = SIGN * (inputs @ W + b - targets)
    return [(inputs.T @ d, d.sum(axis=0))]
"""


@pytest.mark.parametrize(("sign", "verdict"), [("1", Verdict.PASS), ("-1", Verdict.FAIL)])
def test_a_decorator_that_hides_the_signature_is_no_fault(
    tmp_path: Path, sign: str, verdict: Verdict
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(WRAPPED.replace("SIGN", sign))
    outcome = verify(Request(str(file), Effort(20, 1)))
    assert outcome.verdict is verdict
    if verdict is Verdict.FAIL:
        assert outcome.diagnosis is not None
        assert outcome.diagnosis.mistakes == ("wrong_sign",)
        exec(outcome.script, {})  # noqa: S102


@pytest.mark.parametrize(
    "answer",
    [
        Weakness(
            "in a batch of 300 samples, it raises",
            Case([(np.ones((1, 1)), None)], np.ones((1, 1)), np.ones((1, 1))),
        ),
        RestViolation("it moves at a rate of 0", [(np.ones((1, 1)), None)]),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_an_answer_comes_whole_out_of_the_process_that_found_it(answer: Any) -> None:
    there = pickle.loads(pickle.dumps(answer))  # noqa: S301  (our own)
    assert (type(there), str(there), vars(there).keys()) == (type(answer), str(answer), vars(answer).keys())
