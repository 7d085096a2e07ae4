"""The command as a user calls it: verdicts, exit statuses, reports, and one sentence for whatever goes wrong."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli import INTERRUPTED, main
from harness.test_examples import verify
from properties.network import PROPERTIES
from properties.search import Kind

HEADER = "import os, sys, time, signal\nimport numpy as np\n"
BROKEN = {
    "syntax_error": ("def gradient(:", "syntax error"),
    "import_error": ("import no_such_library", "no_such_library"),
    "raises_on_import": ("1 / 0", "ZeroDivisionError"),
    "no_gradient": ("def grad(parameters, inputs, targets): ...", "no function gradient"),
    "gradient_is_no_function": ("gradient = 3", "no function gradient"),
    "too_few_arguments": ("def gradient(parameters, inputs): ...", "called as"),
    "too_many_arguments": ("def gradient(parameters, inputs, targets, momentum): ...", "momentum"),
    "unknown_key": ("PROBLEM = {'layer': 2}\ndef gradient(p, x, y): ...", "unknown key 'layer'"),
    "near_miss_of_a_key": (
        "PROBLEM = {'hiden': 'relu'}\ndef gradient(p, x, y): ...",
        "did you mean 'hidden'?",
    ),
    "near_miss_of_a_value": (
        "PROBLEM = {'hidden': 'ReLU'}\ndef gradient(p, x, y): ...",
        "did you mean 'relu'? Known are identity, ",
    ),
    "choice_that_is_not_taken": (
        "PROBLEM = {'hidden': ['tanh', 'relu']}\ndef gradient(p, x, y): ...",
        "One of them is drawn for each case, the same for all layers, and passed by keyword: let gradient take hidden",
    ),
    "unknown_activation": ("PROBLEM = {'hidden': 'swish'}\ndef gradient(p, x, y): ...", "swish"),
    "choice_that_is_called": (
        "def gradient(parameters, inputs, targets, hidden=None):\n    return hidden(inputs)",
        "It is called with hidden='tanh'.",
    ),
    "range_of_layers": (
        "PROBLEM = {'layers': range(1, 3)}\ndef gradient(p, x, y): ...",
        "or a list of them, not a range",
    ),
    "set_of_names": (
        "PROBLEM = {'hidden': {'tanh'}}\ndef gradient(p, x, y): ...",
        "or a list of names, not a set",
    ),
    "no_layers": ("PROBLEM = {'layers': 0}\ndef gradient(p, x, y): ...", "from 1 to 6"),
    "loss_without_its_output": ("PROBLEM = {'loss': 'cross_entropy'}\ndef gradient(p, x, y): ...", "softmax"),
    "one_loss_without_its_output": (
        "PROBLEM = {'loss': ['mse', 'cross_entropy']}\ndef gradient(p, x, y): ...",
        "cross_entropy goes with the output softmax",
    ),
    "one_output_without_its_loss": (
        "PROBLEM = {'loss': 'cross_entropy', 'output': ['relu', 'softmax']}\ndef gradient(p, x, y): ...",
        "the output relu, which goes with none of its losses",
    ),
    "problem_is_text": ("PROBLEM = 'mse'\ndef gradient(p, x, y): ...", "has to be a dict"),
    "returns_none": ("def gradient(p, x, y): pass", "None"),
    "returns_one_layer": (
        "def gradient(p, x, y): return [(p[0][0] * 2, p[0][1] * 2)]",
        "1 pair for 2 layers",
    ),
    "returns_flat_list": (
        "def gradient(p, x, y): return [p[0][0] * 2, p[0][1], p[1][0], p[1][1]]",
        "4 pairs",
    ),
    "returns_text": ("def gradient(p, x, y): return [('a', 'b'), ('c', 'd')]", "dW of layer 1 is a str"),
    "returns_transposed": (
        "def gradient(p, x, y): return [(np.zeros((W.shape[1], W.shape[0])), b * 0) for W, b in p]",
        "transposed",
    ),
    "returns_integers": (
        "def gradient(p, x, y): return [(np.zeros(W.shape, int), b * 0) for W, b in p]",
        "dtype int64",
    ),
    "returns_complex": ("def gradient(p, x, y): return [(W * 1j, b * 0) for W, b in p]", "complex128"),
    "returns_objects": (
        "def gradient(p, x, y): return [(W.astype(object), b * 0) for W, b in p]",
        "Python objects",
    ),
    "returns_less_precise": (
        "def gradient(p, x, y): return [(W.astype('f4'), b.astype('f4')) for W, b in p]",
        "float32",
    ),
    "returns_nan": ("def gradient(p, x, y): return [(W * np.nan, b * np.nan) for W, b in p]", "NaN"),
    "returns_inf": ("def gradient(p, x, y): return [(W * 0 + np.inf, b * 0 + np.inf) for W, b in p]", "inf"),
    "raises": ("def gradient(p, x, y): return p[7]", "IndexError"),
    "exits": ("def gradient(p, x, y): sys.exit(0)", "exit"),
    "exits_hard": ("def gradient(p, x, y): os._exit(0)", ""),
    "interrupts": ("def gradient(p, x, y): raise KeyboardInterrupt", "KeyboardInterrupt"),
    "never_ends": ("def gradient(p, x, y):\n    while True: pass", "did not finish"),
    "kills_itself": ("def gradient(p, x, y): os.kill(os.getpid(), signal.SIGKILL)", ""),
    "random_answers": (
        "def gradient(p, x, y): return [(np.random.randn(*W.shape), np.random.randn(*b.shape)) for W, b in p]",
        "The same call gives different answers.",
    ),
    "returns_zeros": ("def gradient(p, x, y): return [(0 * W, 0 * b) for W, b in p]", "should be"),
    "returns_nested_lists": (
        "def gradient(p, x, y): return [(W.tolist(), b.tolist()) for W, b in p]",
        "should be",
    ),
    "returns_lists_of_lists": (
        "def gradient(p, x, y): return [([W.tolist()], b.tolist()) for W, b in p]",
        "dW of layer 1 is a list",
    ),
    "too_large": (
        "PROBLEM = {'inputs': 4096, 'width': 4096}\ndef gradient(p, x, y): ...",
        "pin smaller sizes",
    ),
    "problem_of_no_names": ("PROBLEM = {1: 2}\ndef gradient(p, x, y): ...", "keys that are no names"),
    "step_decays": (
        "def step(p, x, y, rate): return [(0.9 * W, 0.9 * b) for W, b in p]",
        "with a rate of 0 too",
    ),
    "step_clips": (
        "def step(p, x, y, rate): return [(W - np.clip(rate * W, -1e-3, 1e-3), b - rate * b) for W, b in p]",
        "with a rate of 1 it moves by a different",
    ),
    "raises_markup": ("raise ValueError('[/oops] [red] :smile:')", "[/oops] [red] :smile:"),
    "cheats": ("import manual_backprop\ngradient = manual_backprop.gradient", "manual_backprop"),
}


ERRORS = frozenset(
    [
        "syntax_error",
        "import_error",
        "raises_on_import",
        "no_gradient",
        "gradient_is_no_function",
        "too_few_arguments",
        "too_many_arguments",
        "unknown_key",
        "near_miss_of_a_key",
        "near_miss_of_a_value",
        "unknown_activation",
        "choice_that_is_not_taken",
        "range_of_layers",
        "set_of_names",
        "no_layers",
        "loss_without_its_output",
        "one_loss_without_its_output",
        "one_output_without_its_loss",
        "problem_is_text",
        "too_large",
        "problem_of_no_names",
        "raises_markup",
        "cheats",
    ]
)
"""Those of which nothing can be judged; the others are called, and wrong."""

ONE_LAYER = """
PROBLEM = {"layers": 1}
def gradient(parameters, inputs, output):
    ((W, b),) = parameters
    d = 2 * (inputs @ W + b - output) / output.size
    return [(inputs.T @ d, d.sum(axis=0))]
"""
RIGHT = {
    "a_helper_called_step": "def step(z): return (z > 0) * 1.0\n" + ONE_LAYER,
    "targets_called_output": ONE_LAYER,
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All the broken modules in one call, and a right one among them."""
    folder = tmp_path_factory.mktemp("broken")
    for name, text in ({name: text for name, (text, _) in BROKEN.items()} | RIGHT).items():
        (folder / f"{name}.py").write_text(HEADER + text + "\n", "utf-8")
    right = Path(__file__).parent.parent / "examples" / "matrices.py"
    arguments = (folder, right, "--cases", "5", "--seed", "1", "--time-limit", "60")
    status, found, output = verify(*arguments, folder=tmp_path_factory.mktemp("results"))
    assert status == 1, output
    assert "Traceback" not in output
    return {Path(one["subject"]).stem: one for one in found}


@pytest.mark.parametrize(("name", "words"), [(name, words) for name, (_, words) in BROKEN.items()])
def test_a_broken_module_fails_or_is_an_error_with_the_reason(
    judged: dict[str, Any], name: str, words: str
) -> None:
    outcome = judged[name]
    assert outcome["verdict"] == ("ERROR" if name in ERRORS else "FAIL")
    assert words in outcome["message"], outcome["message"]
    assert "harness" not in outcome["message"]


def test_zeros_break_each_comparison_with_the_truth(tmp_path: Path) -> None:
    mine = tmp_path / "returns_zeros.py"
    mine.write_text(f"{HEADER}{BROKEN['returns_zeros'][0]}\n", "utf-8")
    _, (found,), output = verify(mine, "--cases", "40", "--seed", "1", folder=tmp_path)
    verdicts = {one["name"]: one["verdict"] for one in found["properties"]}
    against_the_truth = {one.name for one in PROPERTIES if one.kind in {Kind.TRUTH, Kind.EDGES}}
    assert {verdicts[name] for name in against_the_truth} <= {"FAIL", "NOT APPLICABLE"}, output
    assert list(verdicts.values()).count("PASS") > 5


def test_a_right_module_among_broken_ones_passes(judged: dict[str, Any]) -> None:
    assert judged["matrices"]["verdict"] == "PASS", judged["matrices"]["message"]
    assert set(judged["matrices"]) >= {"subject", "verdict", "properties", "diagnosis"}
    assert {"name", "verdict", "cases", "message"} <= set(judged["matrices"]["properties"][0])


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_module_passes_whatever_its_helpers_and_arguments_are_called(
    judged: dict[str, Any], name: str
) -> None:
    assert judged[name]["verdict"] == "PASS", judged[name]["message"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "--json", "no/such/folder.json"], "there is no folder"),
        (["verify", "--html", "mine.py"], "would overwrite mine.py"),
        (["verify", "--html", "one", "--json", "one"], "Two reports have the same name"),
        (["verify", "--time-limit", "1e8"], "is not in the range"),
        (["verify", "nowhere.py"], "There is no file or module nowhere.py."),
        (["verify", "--casses", "3"], "No such option"),
        (
            ["verify", "--only", "gradient is pur"],
            "no property gradient_is_pur: did you mean gradient_is_pure?",
        ),
        (["verify", "--cases", "0"], "0 is not in the range"),
        (["verify", "--hints", "3"], "3 is not in the range"),
        (
            ["verify", "--python", "no-such-python"],
            "The interpreter no-such-python can't be started: No such file or directory.",
        ),
        (["verify", "--python", "git"], "The interpreter git can't run a module under test"),
        (["verify", ""], "An empty name is not a file or module."),
        (["verfy"], "No such command"),
        ([__file__, "--cases", "3"], f"say: manual-backprop verify {__file__} --cases 3"),
        (["lesson", "--html", "mine.py"], "would overwrite mine.py"),
    ],
)
def test_a_wrong_call_gets_one_sentence_and_status_2(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert words in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("what", "status", "words"),
    [
        (KeyboardInterrupt(), INTERRUPTED, "Interrupted before there was a verdict."),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "The output can't be written: No space left"),
    ],
)
def test_what_ends_a_run_before_its_verdict_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, what: BaseException, status: int, words: str
) -> None:
    def run(*_: object) -> int:
        raise what

    monkeypatch.setattr("harness.session.run", run)
    done = CliRunner().invoke(main, ["verify"])
    assert done.exit_code == status
    assert words in done.output


def test_a_folder_that_is_gone_is_a_wrong_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Path:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", gone)
    done = CliRunner().invoke(main, ["verify"])
    assert done.exit_code == 2
    assert "is gone" in done.output


@pytest.mark.skipif(os.name != "posix", reason="closes its output in a shell")
def test_with_a_closed_output_the_status_is_told() -> None:
    call = [
        "/bin/sh",
        "-c",
        'exec "$0" -m harness.cli verify nowhere.py >&- 2>&1',
        sys.executable,
    ]
    assert subprocess.run(call, check=False, timeout=60).returncode == 2  # noqa: S603


def test_an_empty_folder_is_a_wrong_call(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["verify", str(tmp_path)])
    assert done.exit_code == 2
    assert "has no Python files" in done.output


def test_a_report_can_be_read_by_other_programs(tmp_path: Path) -> None:
    mine = tmp_path / "wrong.py"
    mine.write_text(
        (Path(__file__).parent.parent / "examples" / "one_output_only.py").read_text("utf-8"), "utf-8"
    )
    page, junit = tmp_path / "report.html", tmp_path / "junit.xml"
    status, found, output = verify(mine, "--cases", "20", "--html", page, "--junit", junit, folder=tmp_path)
    assert status == 1
    assert found[0]["diagnosis"]["mistakes"] == ["one_output_only"]
    answer = [
        "FAIL ",
        "Mistake: one_output_only",
        "To do: ",
        "Where: ",
        "The smallest case found",
        " properties: ",
    ]
    places = [output.index(f"\n{line}") for line in answer[:-1]] + [output.index(answer[-1])]
    assert places == sorted(places)
    assert '<failure message="' in junit.read_text("utf-8")
    text = page.read_text("utf-8")
    assert "one_output_only" in text
    assert "http" not in text.replace('http-equiv="', "")
    json.dumps(found)
    assert not (tmp_path / ".hypothesis").exists()
