"""What a project says in pyproject.toml, what `new` writes, what a run takes from an earlier one, what it watches."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from harness import resumption, session
from harness.cli import main
from harness.outcomes import Outcome, Request
from harness.pool import Executor
from harness.reports import Reports
from harness.resumption import Earlier, ReportError, sha256
from harness.scratch import scratch
from harness.test_cluster import RIGHT, TWO, WRONG, write
from harness.test_examples import verify
from properties.search import Effort

# --- pyproject.toml ------------------------------------------------------------------------------------------

TABLE = """
[tool.manual-backprop]
files = ["src/*.py"]
cases = 7
seed = 3
hints = 1
time-limit = 60
strict = true
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two files, and the current folder somewhere in it."""
    (tmp_path / "src" / "deep").mkdir(parents=True)
    write(tmp_path / "src", right=RIGHT, wrong=WRONG)
    monkeypatch.chdir(tmp_path / "src" / "deep")
    return tmp_path


def called(
    monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[list[tuple[list[str], session.Options]], str]:
    """How `verify` was called with these arguments, and what was shown."""
    seen: list[tuple[list[str], session.Options]] = []

    def run(paths: list[str], options: session.Options, *_: object) -> int:
        seen.append((paths, options))
        return 0

    monkeypatch.setattr("harness.session.run", run)
    done = CliRunner().invoke(main, ["verify", *arguments])
    assert done.exit_code == (0 if seen else 2), done.output
    return seen, " ".join(done.output.split())


def test_a_project_says_once_how_its_files_are_judged(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "pyproject.toml").write_text(TABLE, "utf-8")
    ((paths, options),), _ = called(monkeypatch)
    assert paths == ["../right.py", "../wrong.py"]
    assert (options.cases, options.seed, options.hints, options.seconds, options.strict) == (
        7,
        3,
        1,
        60,
        True,
    )


def test_the_command_line_wins_over_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "pyproject.toml").write_text(TABLE, "utf-8")
    ((paths, options),), _ = called(monkeypatch, "../right.py", "--cases", "2", "--seed", "5", "--hints", "0")
    assert paths == ["../right.py"]
    assert (options.cases, options.seed, options.hints) == (2, 5, 0)


def test_the_nearest_pyproject_counts_and_one_without_the_table_says_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "pyproject.toml").write_text(TABLE, "utf-8")
    (project / "src" / "pyproject.toml").write_text("[project]\nname = 'mine'\n", "utf-8")
    ((_, options),), _ = called(monkeypatch, "../right.py")
    assert options.cases == 100


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("case = 5", "of ../../pyproject.toml: there is no case: did you mean cases?"),
        ("time_limit = 5", "there is no time_limit: did you mean time-limit?"),
        ("colour = 5", "there is no colour: they are cases, files, hints, python, seed, strict, time-limit."),
        ("cases = 'many'", "cases has to be a whole number, not 'many'."),
        ("cases = true", "cases has to be a whole number, not True."),
        ("cases = 0", "cases: 0 is not in the range x>=1."),
        ("cases = 2.5", "cases has to be a whole number, not 2.5."),
        ("time-limit = '5'", "time-limit has to be a number, not '5'."),
        ("hints = 3", "hints: 3 is not in the range 0<=x<=2."),
        ("strict = 1", "strict has to be true or false, not 1."),
        ("python = 3", "python has to be a text, not 3."),
        ("files = 'mine.py'", "files has to be a list of texts, not 'mine.py'."),
        ("files = ['no.py']", "There is no file or module ../../no.py."),
        ("cases =", "../../pyproject.toml is no TOML"),
    ],
)
def test_a_wrong_table_gets_one_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch, table: str, words: str
) -> None:
    (project / "pyproject.toml").write_text(f"[tool.manual-backprop]\n{table}\n", "utf-8")
    seen, shown = called(monkeypatch)
    assert seen == []
    assert words in shown
    assert "Traceback" not in shown


def test_help_is_shown_whatever_the_project_says(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.manual-backprop]\ncase = 5\n", "utf-8")
    done = CliRunner().invoke(main, ["verify", "--help"])
    assert done.exit_code == 0
    assert "--cases" in done.output


# --- new -----------------------------------------------------------------------------------------------------


def test_what_new_writes_passes_as_it_stands_and_overwrites_nothing(tmp_path: Path) -> None:
    files = tmp_path / "network.py", tmp_path / "operation.py"
    for file, more in zip(files, ([], ["--operation"]), strict=True):
        done = CliRunner().invoke(main, ["new", str(file), *more])
        assert done.exit_code == 0, done.output
    status, found, output = verify(*files, "--cases", "5", "--seed", "1", folder=tmp_path)
    assert status == 0, output
    assert [one["verdict"] for one in found] == ["PASS", "PASS"]
    written = files[0].read_bytes()
    done = CliRunner().invoke(main, ["new", str(files[0]), "--operation"])
    assert done.exit_code == 2
    assert "exists, and is left as it is" in done.output
    assert files[0].read_bytes() == written


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine.txt", "has to be a Python file, such as mine.py."),
        ("no/mine.py", "can't be written: No such file"),
    ],
)
def test_new_says_what_is_wrong_with_a_name(name: str, words: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["new", str(tmp_path / name)])
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())


# --- resume --------------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_judges_what_has_changed_and_tells_the_rest_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, a=RIGHT, b=WRONG, c=TWO, d="from near import *")
    (tmp_path / "near.py").write_text(RIGHT, "utf-8")
    before = tmp_path / "before"
    before.mkdir()
    call = [tmp_path, "--cases", "2", "--seed", "1"]
    page = before / "page.html"
    _, first, _ = verify(*call, "--html", page, folder=before)
    (tmp_path / "near.py").write_text(WRONG, "utf-8")
    after = tmp_path / "after"
    after.mkdir()
    arguments = *call[:-2], "--resume", before / "results.json", "--html", after / "page.html"
    status, second, output = verify(*arguments, folder=after)
    assert status == 1
    assert "3 of 5 files are judged already" in output
    verdicts = [(one["subject"].removeprefix(f"{tmp_path}/"), one["verdict"]) for one in second]
    assert verdicts == [
        ("a.py", "PASS"),
        ("b.py", "FAIL"),
        ("c.py: sine", "PASS"),
        ("c.py: cosine", "FAIL"),
        ("d.py", "FAIL"),
        ("near.py", "FAIL"),
    ]
    assert second[:4] == first[:4]
    articles = [one.read_text("utf-8").split("<article")[2:5] for one in (page, after / "page.html")]
    assert articles[0] == articles[1]


def test_what_was_asked_otherwise_or_could_not_be_told_is_judged_again(tmp_path: Path) -> None:
    (mine,) = write(tmp_path, mine=RIGHT)
    request = Request(str(mine), Effort(2, 1), operation="?", sha256=sha256(str(mine)))
    told: dict[str, Any] = {
        **dict.fromkeys(("message", "trace", "remark", "again", "sandbox"), ""),
        "subject": str(mine),
        "seconds": 1.0,
        "verdict": "PASS",
        "properties": [],
        "diagnosis": None,
        "version": resumption.installed(),
        "sha256": request.sha256,
        "asked": resumption.asked(request, 2),
    }

    def outcomes(**other: Any) -> int:
        report = tmp_path / "report.json"
        report.write_text(json.dumps([told | other]), "utf-8")
        return len(Earlier(report).outcomes(request, 2))

    assert outcomes() == 1
    assert outcomes(verdict="INCONCLUSIVE") == 0
    assert outcomes(version="0.0.1") == 0
    assert outcomes(sha256="0") == 0
    for key, value in (
        ("seed", 2),
        ("cases", 3),
        ("hints", 1),
        ("only", ["gradient_is_pure"]),
        ("quick", True),
    ):
        assert outcomes(asked=told["asked"] | {key: value}) == 0
    with pytest.raises(ReportError, match=r"What the earlier report says of .*mine.py can't be read"):
        outcomes(properties=[{}])


def test_an_interrupted_class_goes_on_from_what_was_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, one=RIGHT, two=TWO, three=RIGHT)
    asked: list[str] = []

    class Judging:
        """Judges the first requests, and is interrupted at a later one."""

        is_here = True

        def __init__(self, stops: int) -> None:
            self.left = stops

        def judge_all(
            self, requests: list[Request], done: Callable[[Outcome], None], *_: object
        ) -> list[Outcome]:
            outcomes: list[Outcome] = []
            for one in requests:
                if self.left == 0:
                    raise KeyboardInterrupt
                self.left -= 1
                asked.append(one.name)
                several = ("sine", "cosine") if one.name == "two.py" else ()
                outcomes.append(Outcome(one.name, path=one.path or "", contents=several))
                done(outcomes[-1])
            return outcomes

    def run(stops: int, earlier: Earlier | None) -> int:
        options = session.Options(2, 1, json="results.json", earlier=earlier)
        written = ["results.json"] if earlier else []  # of an interrupted run it would stay open
        with scratch() as folder:
            judges = cast("Executor", Judging(stops))
            return session.run(["one.py", "two.py", "three.py"], options, judges, Reports(written, folder))

    # one, two (its contents), three; then one of the operations of two
    with pytest.raises(
        KeyboardInterrupt, match=r"of 3 files 2 were judged, and no report was written; --resume resu"
    ):
        run(4, None)
    assert "two.py" not in capsys.readouterr().out
    assert not Path("results.json").exists()
    asked.clear()
    assert run(10, Earlier(Path("results.partial.json"))) == 0
    assert asked == ["two.py", "two.py: sine", "two.py: cosine"]
    found = json.loads(Path("results.json").read_text("utf-8"))
    assert [one["subject"] for one in found] == ["one.py", "two.py: sine", "two.py: cosine", "three.py"]


@pytest.mark.parametrize("text", ["", "[{}]", "3", '[{"asked": 5}]', "\udcff"])
def test_what_is_no_report_gets_one_sentence(text: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ReportError, match="is no report to go on from: it has to be one that --json"):
        Earlier(report)


def test_a_text_is_another_where_a_neighbour_that_it_imports_is(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    write(
        tmp_path, mine="import parts.inner\nREFERENCE = 'truth.py:f'", truth="", other="import mine", apart=""
    )
    write(tmp_path / "parts", __init__="", inner="from . import *\nimport mine", unused="")
    known = sha256(str(tmp_path / "mine.py"))
    for name in ("apart.py", "parts/unused.py"):
        (tmp_path / name).write_text("1", "utf-8")
        assert sha256(str(tmp_path / "mine.py")) == known
    for name in ("parts/__init__.py", "parts/inner.py", "truth.py"):
        (tmp_path / name).write_text("1", "utf-8")
        before, known = known, sha256(str(tmp_path / "mine.py"))
        assert known != before
    assert sha256("json") == ""


# --- watch ---------------------------------------------------------------------------------------------------


def test_a_change_of_a_file_or_of_its_neighbour_ends_the_wait(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles", reason="watchfiles is the extra `watch`")
    from harness.watching import changed  # noqa: PLC0415  (needs the extra)

    mine, near = write(tmp_path, mine="import near", near="")
    known = {str(mine): sha256(str(mine))}
    change = threading.Timer(0.2, near.write_text, ["x = 1"])
    change.start()
    assert changed((str(mine),), known) == [str(mine)]
    change.join()
    assert changed((str(mine),), known) == [str(mine)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--watch"], "--watch needs a FILE to watch."),
        (["mine.py", "--watch", "--resume", "mine.py"], "--resume goes on once"),
        (["mine.py", "--resume", "none.json"], "File 'none.json' does not exist."),
        (["mine.py", "--resume", "mine.py"], "mine.py is no report to go on from"),
    ],
)
def test_a_call_that_makes_no_sense_gets_one_sentence(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, mine=RIGHT)
    seen, shown = called(monkeypatch, *arguments)
    assert seen == []
    assert words in shown


def test_without_watchfiles_the_command_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine,) = write(tmp_path, mine=RIGHT)
    monkeypatch.setattr("harness.cli.find_spec", lambda name: None)  # pyright: ignore[reportUnknownLambdaType]
    seen, shown = called(monkeypatch, str(mine), "--watch")
    assert seen == []
    assert "pip install 'manual-backprop[watch]'" in shown


def test_a_watch_judges_again_what_has_changed_until_it_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine,) = write(tmp_path, mine=RIGHT)
    turns = iter([[str(mine)], []])
    monkeypatch.setattr("harness.watching.changed", lambda *_: next(turns))  # pyright: ignore[reportUnknownLambdaType]
    seen, _ = called(monkeypatch, str(mine), "--watch")
    assert len(seen) == 2
    assert seen[0][1].seed == seen[1][1].seed
