"""`assert_gradient`: right gradients pass with what could have been seen, wrong ones fail at x or near it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import rosen, rosen_der, rosen_hess  # pyright: ignore[reportMissingTypeStubs]

from harness import GradientError, Seen, assert_gradient

pytest_plugins = ["pytester"]
W = np.arange(6.0).reshape(3, 2) / 5 - 0.4


def layer(x: Any) -> Any:
    return np.tanh(x @ W)  # (2,)


def jacobian(x: Any) -> Any:
    return (1 - np.tanh(x @ W) ** 2)[:, None] * W.T  # (2, 3)


RIGHT: dict[str, tuple[Any, Any, Any]] = {
    "a scalar function": (rosen, rosen_der, [-1.2, 1.0, 0.5]),
    "at its minimum": (rosen, rosen_der, np.ones(4)),
    "of many numbers": (rosen, rosen_der, np.linspace(-1, 1, 200)),
    "a Hessian": (rosen_der, rosen_hess, [-1.2, 1.0, 0.5]),
    "a Jacobian": (layer, jacobian, [0.1, -0.7, 1.1]),
    "of a number": (lambda x: x**3, lambda x: 3 * x**2, 2),
    "of a matrix": (lambda x: np.sum(x**3), lambda x: 3 * x**2, [[1.0, 2.0], [3.0, -4.0]]),
    "with a kink at x": (lambda x: np.abs(x).sum(), np.sign, np.zeros(3)),
    "of a constant": (lambda x: 3.0, np.zeros_like, np.ones(2)),
    "near the end of its domain": (lambda x: np.log(x).sum(), lambda x: 1 / x, [1e-3, 1.0]),
    "in single precision": (lambda x: np.sin(x).sum(), np.cos, np.ones(3, np.float32)),
    "not of complex numbers": (lambda x: float(np.sum(x**2)), lambda x: 2 * x, [0.5, -3.0]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_gradient_passes_and_says_what_could_have_been_seen(name: str) -> None:
    function, gradient, x = RIGHT[name]
    seen = assert_gradient(function, gradient, x)
    assert isinstance(seen, Seen)
    assert seen.could_have_seen < (1e-2 if name == "in single precision" else 1e-9)
    assert seen.points == 3
    assert f"{seen.could_have_seen:.0e}" in str(seen)


def off(gradient: Any, x: Any) -> Any:
    wrong = np.array(gradient(np.asarray(x, float)), float, order="C")
    wrong.reshape(-1)[-1] *= 1 + 1e-6
    return wrong


@pytest.mark.parametrize(
    "name", ["a scalar function", "of many numbers", "a Hessian", "a Jacobian", "of a matrix"]
)
def test_one_entry_that_is_off_by_a_millionth_is_named(name: str) -> None:
    function, gradient, x = RIGHT[name]
    last = ", ".join(str(size - 1) for size in np.shape(gradient(np.asarray(x, float))))
    with pytest.raises(AssertionError, match=rf"At x, grad\[{last}\] is .*1 of "):
        assert_gradient(function, lambda x: off(gradient, x), x)


def test_what_looks_right_at_x_alone_is_wrong_near_it_and_the_point_can_be_pasted() -> None:
    with pytest.raises(GradientError, match=r"At x no difference is seen. Near it, grad") as raised:
        assert_gradient(lambda x: x**2, lambda x: 2 * np.eye(3), np.ones(3))
    case = str(raised.value).partition("\n\n")[2]
    assert "x = np.array([0.9" in case
    exec(case, {"grad": lambda x: 2 * np.eye(3), "print": lambda *one: None})  # noqa: S102
    seen = assert_gradient(lambda x: x**2, lambda x: 2 * np.eye(3), np.ones(3), nearby=0)
    assert seen.points == 1


@pytest.mark.parametrize(
    ("function", "gradient", "x", "sentence"),
    [
        (
            layer,
            lambda x: jacobian(x).T,
            np.ones(3),
            r"shape \(3, 2\), and has to return .* \(2, 3\): it looks trans",
        ),
        (rosen, lambda x: None, np.ones(3), "grad has to return an array of shape"),
        (
            lambda x: np.random.default_rng().random(),
            lambda x: x,
            np.ones(2),
            "f gives other values for the same x",
        ),
        (
            lambda x: 1e9 + x.sum() * 1e-9,
            lambda x: 0 * x,
            [700.0, 1e3],
            "Nothing can be said",
        ),
    ],
    ids=["transposed", "None", "random", "rounded"],
)
def test_what_is_no_gradient_or_says_nothing_is_told_in_a_sentence(
    function: Any, gradient: Any, x: Any, sentence: str
) -> None:
    with pytest.raises(GradientError, match=sentence):
        assert_gradient(function, gradient, x)


@pytest.mark.parametrize(
    ("call", "kind", "sentence"),
    [
        ((3, rosen_der, [1.0]), TypeError, "The function has to be a function"),
        ((rosen, [1.0], [1.0]), TypeError, "The gradient has to be a function"),
        ((rosen, rosen_der, ["a"]), ValueError, "x has to be an array of finite floats"),
        ((rosen, rosen_der, []), ValueError, "with one number at least"),
        ((rosen, rosen_der, [np.nan, 1.0]), ValueError, "finite"),
        ((lambda x: np.log(x).sum(), lambda x: 1 / x, [0.0, 1.0]), ValueError, "no finite value at x"),
        ((lambda x: "a", lambda x: x, [1.0]), ValueError, "has to return a number or an array of floats"),
    ],
)
def test_a_wrong_call_gets_one_sentence(call: Any, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        assert_gradient(*call)


def test_arguments_are_copies_and_the_answer_is_the_same_each_time() -> None:
    x = np.array([1.0, 2.0])

    def spoiling(x: Any) -> Any:
        y = (x**2).sum()
        x[...] = 0
        return y

    assert assert_gradient(spoiling, lambda x: 2 * x, x) == assert_gradient(spoiling, lambda x: 2 * x, x)
    assert x.tolist() == [1.0, 2.0]


@settings(max_examples=5, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=2, max_size=4))
def test_it_can_be_called_inside_of_a_test_with_given(x: list[float]) -> None:
    assert_gradient(lambda x: (x**2).sum(), lambda x: 2 * x, x)


def test_the_fixture_of_the_plugin_needs_no_import(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import numpy as np

        def test_right(assert_gradient):
            assert_gradient(lambda x: (x**2).sum(), lambda x: 2 * x, [1.0, 2.0])

        def test_wrong(assert_gradient):
            assert_gradient(lambda x: (x**2).sum(), lambda x: x, [1.0, 2.0])
    """)
    done = pytester.runpytest("-n", "0", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*GradientError: At x, grad[[]1] is 2, and should be 4*"])
    assert "in _compared" not in done.stdout.str()
