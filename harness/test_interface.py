"""The Python interface: the same verdicts as the command's, in the process that asks, of which nothing is changed."""

import contextlib
import gc
import importlib.util
import io
import os
import random
import runpy
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import Counterexample, GradientError, Result, verify
from harness.judging import verify as judged
from harness.outcomes import Request
from properties.comparison import equal
from properties.search import Effort
from reference import program

EXAMPLES = Path(__file__).parent.parent / "examples"
RMS = {"x": "n d", "gain": "d"}
QUICK: dict[str, Any] = {"quick": True, "cases": 8, "seed": 1}


def forward(x: Any, gain: Any) -> Any:
    r = 1 / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-5)  # (n, 1)
    return gain * x * r, (x, gain, r)


def backward(dy: Any, cache: Any) -> Any:
    x, gain, r = cache
    dh = dy * gain
    dx = r * (dh - x * r**2 * (dh * x).mean(axis=1, keepdims=True))  # (n, d)
    return dx, (dy * x * r).sum(axis=0)


def without_the_mean(dy: Any, cache: Any) -> Any:
    x, gain, r = cache
    return dy * gain * r, (dy * x * r).sum(axis=0)


gradient: Any = runpy.run_path(str(EXAMPLES / "matrices.py"))["gradient"]


def sum_over_the_outputs(parameters: Any, inputs: Any, targets: Any) -> Any:
    return [
        (dW * targets.shape[1], db * targets.shape[1]) for dW, db in gradient(parameters, inputs, targets)
    ]


class Scale:
    """y = x w, with w and dw as attributes."""

    def forward(self, x: Any) -> Any:
        """Keep x."""
        self.x = x
        return x * self.w

    def backward(self, dy: Any) -> Any:
        """Set dw."""
        self.dw = (dy * self.x).sum(axis=0)
        return dy * self.w

    w: Any = None


def cubes(x: Any) -> Any:
    return (x**3).sum()


def named(gradients: Any) -> dict[str, Any]:
    return dict(zip(("dx", "dgain"), gradients, strict=True))


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- verdicts


def test_a_right_backward_pass_passes_and_says_what_could_have_been_seen() -> None:
    result = verify(forward=forward, backward=backward, operation=RMS, **QUICK)
    assert result.verdict == "PASS"
    assert not result.message
    assert result.mistakes == ()
    assert result.counterexample is None
    assert result.could_have_seen is not None
    assert 0 < result.could_have_seen < 1e-9
    assert {"gradient_equals_the_derivative", "second_backward_gives_the_same"} <= {
        record.name for record in result.properties
    }
    result.raise_for_failure(strict=True)


def test_a_wrong_one_fails_with_its_mistake_and_with_arrays_to_play_with() -> None:
    result = verify(forward, without_the_mean, operation=RMS, seed=1, cases=25)
    assert result.verdict == "FAIL"
    assert result.mistakes == ("path",)
    assert "dgain is right" in result.where
    found = result.counterexample
    assert isinstance(found, Counterexample)
    _, cache = forward(found.inputs["x"], found.inputs["gain"])
    (dy,) = found.cotangents
    assert equal(found.given, named(without_the_mean(dy, cache)))
    assert not equal(found.given, found.right)
    assert equal({"dgain": found.right["dgain"]}, {"dgain": backward(dy, cache)[1]})


def test_the_smallest_case_can_be_pasted_where_the_functions_are() -> None:
    found = verify(forward, without_the_mean, operation=RMS, **QUICK).counterexample
    assert found is not None
    assert "backward = without_the_mean" in found.text
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(found.text, {"forward": forward, "without_the_mean": without_the_mean})  # noqa: S102
    assert output.getvalue()


def test_functions_in_hand_are_judged_as_a_file_with_them_is(tmp_path: Path) -> None:
    path = EXAMPLES / "operations" / "layer_norm_wrong.py"
    module = loaded(path)
    held = verify(module, cases=20, seed=2)
    file = judged(Request(str(path), Effort(20, 2), operation="?"))
    assert (held.verdict, held.mistakes) == (file.verdict, file.diagnosis and file.diagnosis.mistakes)
    assert held.mistakes
    assert [record.name for record in held.properties] == [record.name for record in file.records]


def test_the_gradient_of_a_network_is_judged_by_its_own_contract() -> None:
    right = verify(gradient, only="gradient equals autodiff", cases=10, seed=1)
    assert right.verdict == "PASS"
    assert right.could_have_seen is not None
    wrong = verify(sum_over_the_outputs, problem={"loss": "mse"}, **QUICK)
    assert wrong.mistakes == ("output_mean_lost",)
    found = wrong.counterexample
    assert found is not None
    given = sum_over_the_outputs(found.inputs["parameters"], found.inputs["inputs"], found.inputs["targets"])
    assert equal(
        found.given, {f"d{name}{i + 1}": one[k] for i, one in enumerate(given) for k, name in enumerate("Wb")}
    )
    assert found.options["loss"] == "mse"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ({"gradient": lambda x: 3 * x**2}, {"gradient": lambda x: 2 * x**2}),
        ({"jacobian": lambda x: 3 * x**2}, {"jacobian": lambda x: 3 * x}),
        ({"backward": lambda x: 3 * x**2}, {"backward": lambda x: x**2}),  # of what forward takes
        ({"backward": lambda dy, x: dy * 3 * x**2}, {"backward": lambda dy, x: 3 * x**2}),
        ({"jvp": lambda x, v: (3 * x[0] ** 2 * v[0]).sum()}, {"jvp": lambda x, v: (x[0] ** 2 * v[0]).sum()}),
    ],
    ids=["gradient", "jacobian", "of what forward takes", "backward", "jvp"],
)
def test_each_kind_of_derivative_is_a_keyword(right: dict[str, Any], wrong: dict[str, Any]) -> None:
    assert verify(cubes, **right, operation={"x": "n"}, **QUICK).verdict == "PASS"
    assert verify(cubes, **wrong, operation={"x": "n"}, **QUICK).verdict == "FAIL"


def test_a_value_with_its_gradient_a_class_options_and_sizes_are_taken() -> None:
    both = verify(value_and_gradient=lambda x: (cubes(x), 3 * x**2), operation={"x": "n"}, **QUICK)
    assert both.verdict == "PASS"
    layer = verify(Scale, operation={"x": "n d", "w": "d"}, parameters={"w": "dw"}, **QUICK)
    assert (layer.verdict, layer.name) == ("PASS", "Scale")
    powers = verify(
        lambda x, p: (x**p, (x, p)),
        lambda dy, cache: dy * 2 * cache[0],
        operation={"x": "n"},
        options={"p": [2, 3]},
        sizes={"n": [4]},
        name="powers",
        **QUICK,
    )
    assert (powers.verdict, powers.name) == ("FAIL", "powers")
    assert powers.counterexample is not None
    assert powers.counterexample.options == {"p": 3}
    assert np.shape(powers.counterexample.inputs["x"]) == (4,)


def test_a_reference_is_a_function_too() -> None:
    def meant(x: Any) -> Any:
        return np.tanh(x) * x

    right = verify(
        lambda x: (x * np.tanh(x), x),
        lambda dy, x: dy * (np.tanh(x) + x * (1 - np.tanh(x) ** 2)),
        operation={"x": "n"},
        reference=meant,
        **QUICK,
    )
    assert right.verdict == "PASS", str(right)
    assert "value equals the reference" in {record.sentence for record in right.properties if record.held}


def test_a_file_is_judged_in_isolation_and_several_operations_have_a_part_each(tmp_path: Path) -> None:
    one = verify(EXAMPLES / "operations" / "layer_norm.py", **QUICK)
    assert (one.verdict, len(one.parts)) == ("PASS", 1)
    assert one.outcomes[0].sandbox
    path = tmp_path / "layers.py"
    path.write_text(LAYERS, "utf-8")
    for several in (verify(loaded(path), **QUICK), verify(path, **QUICK)):
        assert {part.name.partition(": ")[2]: str(part.verdict) for part in several.parts} == {
            "double": "PASS",
            "treble": "FAIL",
        }
        assert several.verdict == "FAIL"
        assert "2 files: 1 PASS, 1 FAIL" in str(several)


LAYERS = """
OPERATIONS = {"double": {"x": "n"}, "treble": {"x": "n"}}

def double_forward(x):
    return 2 * x, None

def double_backward(dy, cache):
    return 2 * dy

def treble_forward(x):
    return 3 * x, None

def treble_backward(dy, cache):
    return 2 * dy
"""


# --- what is shown


def test_what_is_printed_is_the_terminals_report_and_a_notebook_shows_the_pages() -> None:
    result = verify(forward, without_the_mean, operation=RMS, **QUICK)
    text, page = str(result), result._repr_html_()  # pyright: ignore[reportPrivateUsage]
    for word in ("FAIL", "Mistake: dx: the path", "The smallest case found", "seed=1"):
        assert word in text
        assert word in page
    assert "\x1b" not in text
    assert "<script" not in page
    assert "<body" not in page
    assert repr(result) == "<Result FAIL operation>"


def test_a_failure_is_an_assertion_error_with_the_headline_and_the_case() -> None:
    with pytest.raises(AssertionError, match="FAIL rms: dx") as raised:
        verify(forward, without_the_mean, operation=RMS, name="rms", **QUICK).raise_for_failure()
    assert isinstance(raised.value, GradientError)
    assert isinstance(raised.value.result, Result)
    assert "x = np.array" in str(raised.value)


def test_hints_hold_the_name_of_the_mistake_back() -> None:
    result = verify(forward, without_the_mean, operation=RMS, hints=0, **QUICK)
    assert result.mistakes == ()
    assert "Mistake" not in str(result)
    assert "dx" in result.where


def test_progress_is_told_property_by_property() -> None:
    told: list[tuple[int, int, str]] = []
    result = verify(
        cubes, lambda x: 3 * x**2, operation={"x": "n"}, progress=lambda *one: told.append(one), **QUICK
    )
    count = len(result.properties)
    assert told[0] == (0, count, result.properties[0].sentence)
    assert told[-1] == (count, count, "")


# --- what is left as it was


def state() -> tuple[Any, ...]:
    numbers = np.random.get_state(legacy=False)  # noqa: NPY002
    return (
        random.getstate(),
        repr(numbers),
        list(warnings.filters),
        warnings.showwarning,
        sys.stdout,
        sys.stderr,
        sys.argv,
        os.getcwd(),  # noqa: PTH109
        dict(os.environ),
        list(sys.meta_path),
        sys.gettrace(),
        np.geterr(),
    )


def test_nothing_is_printed_and_nothing_of_the_process_is_changed(capfd: pytest.CaptureFixture[str]) -> None:
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    before, names = state(), dict(globals())
    verify(forward, without_the_mean, operation=RMS, **QUICK)
    verify(gradient, cases=5, only="gradient equals autodiff")
    assert state() == before
    assert dict(globals()) == names
    assert capfd.readouterr() == ("", "")


def test_what_the_functions_print_is_kept_and_what_others_print_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def noisy(x: Any) -> Any:
        print("of the function")  # noqa: T201
        other = threading.Thread(target=lambda: print("of another thread"))  # noqa: T201
        other.start()
        other.join()
        return 3 * x**2

    result = verify(
        cubes, noisy, operation={"x": "n"}, cases=2, only="gradient equals the derivative", seed=1
    )
    assert result.verdict == "PASS"
    assert set(result.output.splitlines()) == {"of the function"}
    assert set(capsys.readouterr().out.splitlines()) == {"of another thread"}


def test_two_threads_at_once_get_their_own_answers() -> None:
    before, found = state(), dict[str, Result]()

    def judge(name: str, derivative: Callable[..., Any]) -> None:
        found[name] = verify(forward, derivative, operation=RMS, **QUICK)

    threads = [
        threading.Thread(target=judge, args=one)
        for one in (("right", backward), ("wrong", without_the_mean), ("right again", backward))
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {name: str(one.verdict) for name, one in found.items()} == {
        "right": "PASS",
        "wrong": "FAIL",
        "right again": "PASS",
    }
    assert found["wrong"].mistakes == ("path",)
    assert state() == before


def test_ctrl_c_ends_it_and_leaves_everything_as_it_was() -> None:
    def interrupted(x: Any) -> Any:
        raise KeyboardInterrupt

    before = state()
    with pytest.raises(KeyboardInterrupt):
        verify(cubes, interrupted, operation={"x": "n"}, **QUICK)
    assert state() == before


def test_programs_of_functions_that_are_gone_are_forgotten() -> None:
    def judge() -> None:
        verify(
            lambda x: (np.sin(x) * x).sum(),
            lambda x: np.sin(x) + x * np.cos(x),
            operation={"x": "n"},
            **QUICK,
        )

    derivatives = program._DERIVATIVES  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    judge()
    gc.collect()
    before = len(derivatives)
    judge()
    gc.collect()
    assert len(derivatives) == before


CHEAP = """
import sys, harness
assert not {"numpy", "jax", "hypothesis", "IPython"} & sys.modules.keys()
import harness.plugin
assert not {"numpy", "jax"} & sys.modules.keys()
"""


def test_an_import_of_the_interface_and_of_the_plugin_loads_nothing_large(tmp_path: Path) -> None:
    root = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", CHEAP],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    assert not list(tmp_path.iterdir())


# --- wrong calls


def no_axes() -> None:
    verify(forward, backward)


WRONG: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "nothing": (verify, TypeError, "There is nothing to judge. Hand over functions"),
    "a number": (lambda: verify(3), TypeError, "An int can't be judged."),  # pyright: ignore[reportArgumentType]
    "no axes": (no_axes, ValueError, 'add the inputs with their axes.*operation={"x": '),
    "an option that is not taken": (
        lambda: verify(forward, backward, operation=RMS, options={"eps": [1]}),
        ValueError,
        "options has 'eps', which ",
    ),
    "a key of problem": (
        lambda: verify(gradient, problem={"hiden": "relu"}),
        ValueError,
        "did you mean 'hidden'",
    ),
    "the wrong contract": (lambda: verify(cubes), ValueError, "for an operation: verify"),
    "a number for a function": (
        lambda: verify(cubes, gradient=3, operation={"x": "n"}),  # pyright: ignore[reportArgumentType]
        TypeError,
        "gradient has to be a function, not an int",
    ),
    "forward twice": (
        lambda: verify(cubes, forward=cubes, operation={"x": "n"}),
        TypeError,
        "forward is given twice",
    ),
    "no file": (lambda: verify("no_such_file.py"), FileNotFoundError, "There is no file"),
    "a file with a keyword": (lambda: verify("mine.py", operation=RMS), TypeError, "leave out operation"),
    "no cases": (lambda: verify(cubes, cubes, operation={"x": "n"}, cases=0), ValueError, "cases has to be"),
    "a property": (
        lambda: verify(cubes, cubes, operation={"x": "n"}, only="gradient equals"),
        ValueError,
        "did you mean",
    ),
    "an interpreter": (
        lambda: verify(cubes, cubes, python="python3"),
        TypeError,
        "python names the interpreter",
    ),
    "no interpreter": (
        lambda: verify(EXAMPLES / "matrices.py", python="/no/such/python"),
        ValueError,
        "The interpreter /no/such/python can't be started",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_gets_one_sentence(name: str) -> None:
    call, kind, sentence = WRONG[name]
    with pytest.raises(kind, match=f"(?s){sentence}") as raised:
        call()
    assert not isinstance(raised.value, AssertionError)
    assert "Traceback" not in str(raised.value)


def test_inside_of_a_test_with_given_one_is_sent_to_assert_gradient() -> None:
    @given(st.just(0))
    def inner(_: int) -> None:
        verify(cubes, lambda x: 3 * x**2, operation={"x": "n"})

    with pytest.raises(RuntimeError, match="assert_gradient"):
        inner()
