"""What pipelines run is valid and calls what exists, and what they show is what was found."""

import html
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml
from check_jsonschema import main as check_jsonschema  # pyright: ignore[reportMissingTypeStubs]
from click.testing import CliRunner
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.strategies import integers
from markdown_it import MarkdownIt
from pre_commit.commands.validate_config import validate_config  # pyright: ignore[reportMissingTypeStubs]
from pre_commit.commands.validate_manifest import (  # pyright: ignore[reportMissingTypeStubs]
    validate_manifest,
)

from harness import annotations
from harness.cli import verify
from harness.documents import as_junit
from harness.gradescope import as_gradescope
from harness.outcomes import Outcome
from properties.cases import Case
from properties.diagnosis import Diagnosis
from properties.search import Effort, Kind, Record, Verdict, Violation, search

ROOT = Path(__file__).parent.parent
WORKFLOW, ACTION, GITLAB = (f"vendor.{name}" for name in ("github-workflows", "github-actions", "gitlab-ci"))
FORM, DEPENDABOT, CITATION = (
    f"vendor.{name}" for name in ("github-issue-forms", "dependabot", "citation-file-format")
)
REPORTS = {"json": "results.json", "junit": "junit.xml", "html": "report.html"}
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs/gate.md").read_text("utf-8"), re.DOTALL)
SNIPPETS = {text.splitlines()[0].removeprefix("# "): text for language, text in BLOCKS if language == "yaml"}


# Files and snippets


def check(schema: str, text: str, folder: Path) -> int:
    """The exit status of the schema's check. The schemas come with check-jsonschema: nothing is fetched."""
    file = folder / "checked.yml"
    file.write_text(text, "utf-8")
    return CliRunner().invoke(check_jsonschema, ["--builtin-schema", schema, str(file)]).exit_code


def check_hooks(validate: Callable[[list[str]], int], text: str, folder: Path) -> int:
    """The exit status of pre-commit's own check of a manifest or a config."""
    file = folder / "checked.yaml"
    file.write_text(text, "utf-8")
    return validate([str(file)])


CHECKED: dict[str, tuple[Callable[[Any, str, Path], int], Any, str, tuple[str, str]]] = {
    **{
        path.name: (check, WORKFLOW, path.read_text("utf-8"), ("runs-on:", "run-on:"))
        for path in (ROOT / ".github/workflows").glob("*.yml")
    },
    **{
        path.name: (check, FORM, path.read_text("utf-8"), ("attributes:", "attribute:"))
        for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")
    },
    "dependabot": (
        check,
        DEPENDABOT,
        (ROOT / ".github/dependabot.yml").read_text("utf-8"),
        ("weekly", "wekly"),
    ),
    "citation": (check, CITATION, (ROOT / "CITATION.cff").read_text("utf-8"), ("authors:", "author:")),
    "action": (check, ACTION, (ROOT / "action.yml").read_text("utf-8"), ("shell: bash", "shel: bash")),
    "hook": (
        check_hooks,
        validate_manifest,
        (ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"),
        ("entry:", "entree:"),
    ),
    "GitHub snippet": (check, WORKFLOW, SNIPPETS[".github/workflows/gradients.yml"], ("runs-on:", "run-on:")),
    "GitLab snippet": (check, GITLAB, SNIPPETS[".gitlab-ci.yml"], ("when: always", "when: ever")),
    "hook snippet": (check_hooks, validate_config, SNIPPETS[".pre-commit-config.yaml"], ("- id:", "- name:")),
}


@pytest.mark.parametrize("name", CHECKED)
def test_files_and_snippets_follow_their_schemas_and_a_slip_does_not(name: str, tmp_path: Path) -> None:
    judge, schema, text, (right, wrong) = CHECKED[name]
    assert right in text
    assert judge(schema, text, tmp_path) == 0
    assert judge(schema, text.replace(right, wrong), tmp_path) == 1


def test_the_citation_and_the_gate_name_the_version_that_is_released() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["version"] == version
    gate = (ROOT / "docs/gate.md").read_text("utf-8")
    assert set(re.findall(r"v(\d+\.\d+\.\d+)", gate)) == {version}
    assert set(re.findall(r"manual-backprop==(\S+)", gate)) == {version}


def action() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))


def verify_step() -> dict[str, Any]:
    return next(step for step in action()["runs"]["steps"] if step.get("id") == "verify")


def test_every_input_of_the_action_is_used_documented_and_given_by_the_snippet_under_its_name() -> None:
    inputs = set(action()["inputs"])
    text = (ROOT / "action.yml").read_text("utf-8")
    assert set(re.findall(r"\$\{\{ inputs\.([\w-]+) \}\}", text)) == inputs
    documented = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "docs/gate.md").read_text("utf-8"), re.MULTILINE)
    assert set(documented) == inputs
    steps = yaml.safe_load(SNIPPETS[".github/workflows/gradients.yml"])["jobs"]["gradients"]["steps"]
    assert set(steps[-1]["with"]) <= inputs


def test_the_action_s_script_has_no_text_of_an_input_in_it() -> None:
    assert all("${{" not in step["run"] for step in action()["runs"]["steps"] if "run" in step)


def test_every_option_that_a_pipeline_gives_exists() -> None:
    hook = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))[0]
    calls = [verify_step()["run"], " ".join([hook["entry"], *hook["args"]])]
    calls += re.findall(r"manual-backprop verify .*", (ROOT / "docs/gate.md").read_text("utf-8"))
    given = {option for call in calls for option in re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", call)}
    known = {name for option in verify.params if isinstance(option, click.Option) for name in option.opts}
    assert {"--cases", "--github", "--gradescope", "--jobs"} <= given
    assert given <= known


@pytest.mark.skipif(sys.platform == "win32", reason="bash may be another system's there")
@pytest.mark.parametrize("status", [0, 1, 2])
def test_the_action_passes_its_inputs_on_and_ends_as_verify_does(tmp_path: Path, status: int) -> None:
    command = tmp_path / "manual-backprop"
    command.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@"\nexit {status}\n', "utf-8")
    command.chmod(0o755)
    subject, seed, rest = "-a file; echo $HOME", "3", {"STRICT": "True", "INTERPRETER": ""}
    environment = {"BIN": tmp_path, "RUNNER_TEMP": tmp_path, "SUBJECT": subject, "CASES": 5, "SEED": seed}
    environment |= {"HINTS": 1, **rest, "PATH": os.environ["PATH"]}
    done = subprocess.run(  # noqa: S603
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", verify_step()["run"]],  # noqa: S607
        env={name: str(value) for name, value in environment.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    report = tmp_path / "manual-backprop-report"
    files = [f"--{form}\n{report}/{file}" for form, file in REPORTS.items()]
    expected = ["verify", "--github", "--cases", "5", "--hints", "1", "--seed", "3", "--strict"]
    assert done.stdout.splitlines() == [*expected, *"\n".join(files).split("\n"), "--", subject]
    assert done.returncode == status
    assert report.is_dir()


# The nightly search


def test_a_nightly_search_in_ci_is_random_and_has_a_database() -> None:
    program = (
        "import harness.items; from hypothesis import settings; profile = settings.get_profile('nightly');"
        "print(profile.derandomize, profile.database is None)"
    )
    command = [sys.executable, "-c", program]
    environment = os.environ | {"CI": "true", "GITHUB_ACTIONS": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    assert done.stdout.split() == ["False", "False"]


def test_a_nightly_search_names_no_seed_since_hypothesis_would_then_leave_its_database_alone() -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text("utf-8"))["jobs"]["search"][
        "steps"
    ]
    run = next(step["run"] for step in steps if "pytest" in step.get("run", ""))
    assert "--hypothesis-profile nightly" in run
    assert "--hypothesis-seed" not in run


def test_each_law_remembers_its_own_failing_case_and_tries_it_first() -> None:
    database = InMemoryExampleDatabase()
    tried: list[int] = []

    def below(limit: int) -> Any:
        def holds(number: int) -> None:
            tried.append(number)
            if number >= limit:
                raise Violation(str(number))

        return holds

    for name, limit in {"one_law": 1000, "another_law": 2000}.items():
        search(Record(name), below(limit), integers(), Effort(1000, 1, database=database))
    for name, limit in {"one_law": 1000, "another_law": 2000}.items():
        tried.clear()
        search(Record(name), below(limit), integers(), Effort(1, 2, database=database))
        assert tried[0] == limit


# What is shown

FAILING = {Verdict.FAIL}
HOSTILE = "100% wrong, a:b\r\n::error::x | <b>y</b> **z** `w` [l](u) \\ </pre>"


def found(mistakes: tuple[str, ...] = ("one_output_only",)) -> Diagnosis:
    return Diagnosis(
        mistakes=mistakes,
        explanation="",
        evidence="THE EVIDENCE",
        contributions=None,
        where="THE PLACE; constant RATIO",
        place="THE PLACE",
        note="NOTE",
        sentence="THE SENTENCE",
        hint="THE HINT",
        answer="THE CURE",
    )


def outcome(
    subject: str = "mine.py", verdict: Verdict = Verdict.FAIL, message: str = "THE MESSAGE"
) -> Outcome:
    """A subject of which one law holds, one comes out as the whole, and one says nothing."""
    records = [
        Record("gradient_equals_autodiff", Verdict.PASS, Kind.TRUTH, cases=5),
        Record("it_is_pure", verdict, cases=5, message=message),
        Record("it_sums", Verdict.NOT_APPLICABLE, message="it has one output"),
    ]
    diagnosis = found() if verdict is Verdict.FAIL else None
    return Outcome(subject, verdict, records, message, diagnosis=diagnosis)


def read(command: str) -> tuple[dict[str, str], str]:
    """A workflow command as the runner reads it."""
    match = re.fullmatch(r"::error ([^:]*)::(.*)", command)
    assert match is not None
    properties = dict(pair.split("=", 1) for pair in match[1].split(","))
    return {name: decoded(value) for name, value in properties.items()}, decoded(match[2])


def decoded(text: str) -> str:
    return re.sub("%(0D|0A|3A|2C|25)", lambda escape: chr(int(escape[1], 16)), text)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_annotation_is_on_the_line_of_the_function_in_the_file_below_the_repository(
    repository: Path,
) -> None:
    file = repository / "a, b:c%" / "mine.py"
    file.parent.mkdir()
    file.write_text("import numpy\n\n\ndef gradient(parameters, inputs, targets):\n    ...\n", "utf-8")
    properties, _ = read(annotations.annotation(outcome(str(file)), hints=2))
    assert properties == {"file": "a, b:c%/mine.py", "line": "4", "title": "FAIL: one_output_only"}


@pytest.mark.parametrize(
    "message",
    ["mine.py has a syntax error in line 3: invalid syntax.", "gradient raised E: no (line 3 of mine.py)."],
)
def test_an_annotation_is_on_the_line_that_the_message_names(repository: Path, message: str) -> None:
    file = repository / "mine.py"
    file.write_text("def gradient(parameters, inputs, targets):\n    ...\n    (\n", "utf-8")
    properties, _ = read(annotations.annotation(outcome(str(file), Verdict.ERROR, message), hints=0))
    assert properties == {"file": "mine.py", "line": "3", "title": "ERROR"}


def test_a_module_without_a_file_here_is_annotated_by_its_verdict_alone(repository: Path) -> None:
    assert not (repository / "package.module").exists()
    properties, _ = read(annotations.annotation(outcome("package.module"), hints=0))
    assert properties == {"title": "FAIL"}


def test_a_message_reaches_github_sign_by_sign_in_one_command() -> None:
    command = annotations.annotation(outcome(message=HOSTILE), hints=0)
    assert "\n" not in command
    assert "\r" not in command
    assert read(command)[1] == f"{HOSTILE}\nWhere: THE PLACE"


@pytest.mark.parametrize(
    ("hints", "shown"),
    [
        (0, set[str]()),
        (1, {"HINT", "RATIO"}),
        (2, {"SENTENCE", "NOTE", "EVIDENCE", "CURE", "RATIO", "one_output_only"}),
    ],
)
def test_hints_say_how_much_annotation_summary_and_grade_tell(hints: int, shown: set[str]) -> None:
    one = outcome()
    visible = json.loads(as_gradescope(one, hints, FAILING))
    visible["tests"] = [test for test in visible["tests"] if test["visibility"] == "visible"]
    texts = (
        annotations.annotation(one, hints),
        annotations.summary([one], hints, FAILING),
        json.dumps(visible),
    )
    for text in texts:
        plain = text.replace("\\", "")
        assert "THE PLACE" in plain
        assert {
            word
            for word in ("HINT", "SENTENCE", "NOTE", "EVIDENCE", "CURE", "RATIO", "one_output_only")
            if word in plain
        } == shown


def test_what_is_printed_before_the_annotations_is_no_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    with annotations.no_commands():
        click.echo("::error::not one of ours")
    annotations.publish([outcome(), outcome(verdict=Verdict.PASS)], 0, FAILING)
    stop, subject, resume, ours = capsys.readouterr().out.splitlines()
    token = stop.removeprefix("::stop-commands::")
    assert len(token) > len("a word that can be guessed")
    assert resume == f"::{token}::"
    assert subject == "::error::not one of ours"
    assert read(ours)[1].startswith("THE MESSAGE")


def cells(markdown: str) -> list[list[str]]:
    """The rows of the first table, as a reader of the rendered page sees them."""
    page = MarkdownIt("gfm-like", {"linkify": False}).render(markdown)
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [
        [html.unescape(cell) for cell in re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL)] for row in rows[1:]
    ]


def test_the_summary_has_a_line_for_each_subject_and_takes_their_texts_literally() -> None:
    broken = Outcome("b|d.py", Verdict.FAIL, message=HOSTILE)
    text = annotations.summary([outcome("a_b_c.py", Verdict.PASS, ""), broken, outcome()], 2, FAILING)
    assert text.startswith("## Hand-written gradients: 2 of 3 fail\n")
    assert cells(text) == [
        ["a_b_c.py", "PASS", ""],
        ["b|d.py", "FAIL", " ".join(HOSTILE.split())],
        ["mine.py", "FAIL: one_output_only", "it is pure"],
    ]
    first, second = re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)
    assert html.unescape(first) == HOSTILE
    assert "THE CURE" in second


def test_the_summary_of_a_class_has_every_file_and_details_of_the_first_alone() -> None:
    text = annotations.summary([outcome(f"{n}.py") for n in range(300)], 2, FAILING)
    assert [row[0] for row in cells(text)] == [f"{n}.py" for n in range(300)]
    assert text.count("<details>") == annotations.SHOWN
    assert text.endswith("The report has details of the other 290.\n")


def test_the_summary_is_added_to_what_other_steps_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n", "utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    annotations.publish([outcome(verdict=Verdict.PASS)], 2, FAILING)
    assert file.read_text("utf-8").startswith("before\n## Hand-written gradients: 0 of 1 fail\n")


def test_a_summary_that_cannot_be_written_is_a_wrong_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "nowhere" / "summary.md"))
    with pytest.raises(click.UsageError, match="GITHUB_STEP_SUMMARY"):
        annotations.publish([outcome(verdict=Verdict.PASS)], 2, FAILING)


# The grade


def grade(one: Outcome, hints: int = 0, failing: set[Verdict] = FAILING) -> dict[str, Any]:
    return json.loads(as_gradescope(one, hints, failing))


def test_a_property_gives_its_point_unless_it_fails_or_says_nothing() -> None:
    tests = grade(outcome())["tests"]
    points = [(test["name"], test["score"], test["max_score"], test["status"]) for test in tests]
    assert points == [("gradient equals autodiff", 1, 1, "passed"), ("it is pure", 0, 1, "failed")]


@pytest.mark.parametrize(("failing", "score"), [({Verdict.FAIL}, 2), ({Verdict.FAIL, Verdict.UNSTABLE}, 1)])
def test_unstable_costs_a_point_where_it_is_a_failure(failing: set[Verdict], score: int) -> None:
    tests = grade(outcome(verdict=Verdict.UNSTABLE), failing=failing)["tests"]
    assert sum(test["score"] for test in tests) == score


@pytest.mark.parametrize("truth", [Kind.TRUTH, Kind.EDGES])
def test_a_gradient_that_is_wrong_everywhere_gets_no_point_for_what_hangs_together(truth: Kind) -> None:
    others = [
        Record("gradient_is_pure", Verdict.PASS, cases=5),
        Record("order_of_samples_does_not_matter", Verdict.INCONCLUSIVE, cases=5),
        Record("not_tried", Verdict.INCONCLUSIVE),
    ]
    for verdict, points in ((Verdict.FAIL, [0, 0, 0, 0]), (Verdict.PASS, [1, 1, 1, 0])):
        records = [Record("against_the_truth", verdict, truth, cases=5), *others]
        tests = grade(Outcome("mine.py", verdict, records), failing={*FAILING, Verdict.INCONCLUSIVE})["tests"]
        assert [test["score"] for test in tests] == points
        holds = ["passed" if verdict is Verdict.PASS else "failed", "passed", "passed", "failed"]
        assert [test["status"] for test in tests] == holds


def test_a_file_that_fails_by_what_it_does_besides_gets_no_point_and_a_failure_in_junit() -> None:
    records = [Record("gradient_equals_autodiff", Verdict.PASS, Kind.TRUTH, cases=5)]
    one = Outcome("mine.py", Verdict.FAIL, records, message="It leaves processes behind.")
    assert [(test["score"], test["output"]) for test in grade(one)["tests"]] == [(0, one.message)]
    for verdict, result in (
        (Verdict.FAIL, "failure"),
        (Verdict.INCONCLUSIVE, "failure"),
        (Verdict.ERROR, "error"),
    ):
        one.verdict = verdict
        assert f'<{result} message="{one.message}" type="{verdict}"' in as_junit([one])
    one.verdict = Verdict.PASS
    assert "<failure" not in as_junit([one])
    assert "<error" not in as_junit([one])


def test_the_times_in_junit_add_up_to_those_of_the_run() -> None:
    records = [Record("one", cases=5, seconds=1.5), Record("other", Verdict.FAIL, cases=5, seconds=2.0)]
    text = as_junit([Outcome("mine.py", Verdict.FAIL, records, seconds=5.0)])
    times = re.findall(r'<testcase [^>]*time="([\d.]+)"', text)
    assert sum(map(float, times)) == 5.0
    assert re.search(r'<testsuite [^>]*time="5', text)


def test_a_right_loss_has_its_point_beside_a_gradient_that_is_wrong() -> None:
    records = [
        Record("gradient_equals_autodiff", Verdict.FAIL, Kind.TRUTH, cases=5),
        Record("loss", kind=Kind.VALUE, cases=5),
    ]
    assert [test["score"] for test in grade(Outcome("mine.py", Verdict.FAIL, records))["tests"]] == [0, 1]


def test_what_cannot_be_judged_gets_no_point_and_its_author_s_own_traceback() -> None:
    results = grade(
        Outcome("mine.py", Verdict.FAIL, message="It can't be imported.", trace="line 3, in mine.py")
    )
    assert [(test["score"], test["max_score"]) for test in results["tests"]] == [(0, 1)]
    assert "line 3, in mine.py" in results["output"]


def test_the_name_and_the_cure_are_for_instructors_and_the_smallest_case_for_all() -> None:
    case = Case([(np.array([[2.0]]), np.array([1.0]))], np.array([[3.0]]), np.array([[0.0]]))
    one = outcome()
    one.failures[0].counterexample, one.script = case, "BOTH GRADIENTS"
    results = grade(one)
    *visible, hidden = results["tests"]
    assert {test["visibility"] for test in visible} == {"visible"}
    assert (hidden["visibility"], hidden["score"], hidden["max_score"]) == ("hidden", 0, 0)
    assert "THE CURE" in hidden["output"]
    assert "one_output_only" in hidden["output"]
    assert "BOTH GRADIENTS" in hidden["output"]
    assert case.as_python() in results["output"]
    assert not any(word in results["output"] for word in ("THE CURE", "one_output_only", "BOTH GRADIENTS"))
    assert results["stdout_visibility"] == "hidden"


def test_a_grade_is_for_one_submission(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("", "utf-8")
    done = CliRunner().invoke(verify, [str(tmp_path), "--gradescope", str(tmp_path / "results.json")])
    assert done.exit_code == 2
    assert "--gradescope takes one FILE" in done.output
