"""A forward pass is read as a program, which travels as data; it is trusted no further than it is what is computed."""

import re
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import tracing
from harness.judging import verify
from harness.outcomes import OPERATION, Outcome, Request
from properties.operation.programs import Shapes
from properties.search import Effort, Verdict
from reference import transcript
from reference.arithmetic.bounded import Bounding
from reference.operations.operation import Input, Operation
from reference.operations.tracing import abstract_inputs
from reference.program import Program, trace
from reference.transcript import LARGEST, TranscriptError, read_transcript

X = np.array([[0.5, -1.5, 2.25], [3.0, 0.125, -0.75]])
Y = np.array([2, 0])

FORWARDS = {
    "operators": "def forward(x, y): return (2 * x + x / 3 - x**3) @ x.T",
    "functions": "def forward(x, y): return np.where(x > 0, np.log1p(np.exp(-x)), np.maximum(x, -1)).sum(axis=0)",
    "methods": "def forward(x, y): return x.reshape(3, 2).T.mean(axis=1, keepdims=True) + x.copy().max()",
    "several outputs": "def forward(x, y): return x.var(axis=0), np.linalg.norm(x), np.einsum('ij,kj->ik', x, x)",
    "diagonals": "def forward(x, y): return np.diag(x @ x.T) * np.diag(np.diagonal(x @ x.T)).sum(axis=0)",
    "factorials": """
        from scipy.special import digamma, gammaln
        def forward(x, y): return gammaln(x**2 + 1) * digamma(x**2 + 2)
        """,
    "labels": "def forward(x, y): return -np.log(np.exp(x) / np.exp(x).sum(axis=1, keepdims=True))[np.arange(2), y]",
    "a loop that writes": """
        def forward(x, y):
            out = np.zeros((2, 2))
            for i in range(2):
                for j in range(2):
                    out[i, j] = np.sum(x[i, j : j + 2] * x[0, :2])
            return out
        """,
    "changes in place": """
        def forward(x, y):
            a = x.copy(); b = a; b -= a.max(axis=1, keepdims=True); a[0, 1:] *= 2; a[a < -1] = 0
            total = a[0, 2]; total += 1
            return a + total
        """,
    "a slice that is written to": """
        def forward(x, y):
            a = np.zeros_like(x); row = a[1]; row[:] = x[0]; row[0] += 1
            return a
        """,
    "an array of numbers that meets a traced one": "def forward(x, y): return np.ones((2, 2)).dot(x)",
    "padding in its short forms": """
        def forward(x, y): return np.pad(x, ((1,), (0,))), np.pad(x, (2,)), np.pad(x, ((0, 1), (2, 0)))
        """,
    "padding and positions": """
        def forward(x, y):
            p = np.pad(x, 1); i = np.repeat(np.arange(2), 2)
            return p[i, i + 1] * np.eye(4)[:, 1]
        """,
    "windows": """
        def forward(x, y):
            return np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(0, 1)).max(axis=(2, 3))
        """,
    "a mask at labels": """
        def forward(x, y):
            hot = np.zeros(x.shape); hot[np.arange(2), y] = 1
            return (hot * x).sum()
        """,
    "SciPy": "from scipy.special import expit\ndef forward(x, y): return expit(x)",
    "NumPy by its names": "from numpy import exp, zeros\ndef forward(x, y): a = zeros(3); a[:] = exp(x)[0]; return a",
    "random numbers": "def forward(x, y): np.random.seed(1); return x * (np.random.rand(*x.shape) < 0.5)",
    "ranges and lists for positions": "def forward(x, y): return x[range(2), y] + x[[1, 0], 2] + x[:, [2, 0]].sum()",
    "columns side by side": """
        def forward(x, y):
            return np.c_[np.ones(2), x] @ np.insert(np.r_[x[0], 1], 1, 2, axis=0)[:4]
        """,
    "what a mask selects": """
        def forward(x, y):
            a = x.copy(); a[a < 0] *= 0.1; small = abs(x) < 1
            a[small] = 0.5 * x[small] ** 2
            rows = x[x.sum(axis=1) > 0]
            return a, np.log(x[x > 0]).sum(), x[small].mean(), rows.sum(axis=0)
        """,
    "functions of SciPy and of math": """
        import math
        import scipy.special as special
        from scipy.special import logsumexp
        from scipy.stats import norm
        def forward(x, y):
            weights = special.softmax(x, axis=1) * math.exp(x[0, 0]) + math.sqrt(2)
            return weights + special.log_softmax(x, axis=0), logsumexp(x, axis=1), norm.cdf(x), norm.logpdf(x)
        """,
    "functions that write in place": """
        def forward(x, y):
            a = np.zeros(3); np.subtract.at(a, y, x[:, 0]); b = np.empty((2, 2)); np.dot(x, x.T, out=b)
            np.fill_diagonal(b, 1); c = np.empty_like(x); np.copyto(c, x); np.put_along_axis(c, y[:, None], 0.5, 1)
            return a, b, c, np.logaddexp.reduce(x, axis=1)
        """,
    "numbers that are written at labels": """
        def forward(x, y):
            a = x.copy(); a[np.arange(2), y] -= x[:, 1]; a[:, y] *= x[:, :2]
            b = x[0].copy(); b[np.minimum(y, 0)] = x[:, 0] * x[:, 1]
            return a, b
        """,
    "places among numbers": """
        def forward(x, y):
            counts, bins = np.bincount(y, x[:, 0], minlength=4), np.array([-1.0, 0.125, 2])
            places = np.searchsorted(bins, x, "right"), np.searchsorted(bins, x), np.digitize(x, bins)
            return counts, sum(places) * x, np.interp(x, bins, x[0]), np.interp(x, bins, x[0], left=0, right=1)
        """,
    "numbers one by one": """
        def forward(x, y):
            total = sum(v * v * i for (i, j), v in np.ndenumerate(x))
            return total + x[0, 1].item() + sum(np.sin(v) for v in x.flat) + np.convolve(x[0], [1, 2, 1])
        """,
}


def module_of(source: str) -> types.ModuleType:
    """A module with this text."""
    module = types.ModuleType("mine")
    exec("import numpy as np\n" + textwrap.dedent(source), vars(module))  # noqa: S102  (ours)
    return module


NUMBERS: Shapes = [("float64", X.shape), ("int64", Y.shape)]


def transcribed(
    source: str, shapes: Shapes = NUMBERS
) -> tuple[Callable[..., Any], dict[str, Any], list[Any]]:
    """A forward pass of x and y, and its program as data."""
    module = module_of(source)

    def of(values: list[Any]) -> list[Any]:
        found = module.forward(*map(tracing.Traced, values))
        return list(found) if isinstance(found, tuple) else [found]

    with tracing.numpy_seen([module]):
        program, constants = tracing.traced(of, shapes, "/")
    assert not hasattr(module, "len")
    return module.forward, program, constants


def assert_has_the_values(program: Program, right: Any, *arrays: Any, **sizes: int) -> None:
    """No output is further from the forward pass than rounding may carry two programs for the same function."""
    arithmetic = Bounding()
    found = arithmetic.read(program, [arithmetic.input(one, varies=False) for one in arrays], sizes)
    for one, other in zip(found, right if isinstance(right, tuple) else (right,), strict=True):
        value, error, kink = one.enclosed
        assert np.shape(value) == np.shape(other)
        assert (np.abs(value - np.asarray(other, float)) <= error + kink).all()


@pytest.mark.parametrize("name", FORWARDS)
def test_a_forward_pass_as_a_program_has_its_values(name: str) -> None:
    forward, program, constants = transcribed(FORWARDS[name])
    read = trace(read_transcript(program, constants), [X, Y])
    for x in (X, 3 - X[::-1]):
        assert_has_the_values(read, forward(x.copy(), Y), x, Y)


FOR_ALL_SIZES = {
    "sizes as numbers": "def forward(x, y): n, k = x.shape; return x * np.sqrt(k) / n**0.5 + 1 / len(x) + x.size // k",
    "arrays that are made": """
        def forward(x, y):
            n, k = x.shape; a = np.zeros((n, k)); a += x
            return np.tri(n) @ a * np.ones(k) + np.eye(n) @ x + np.full_like(x, 2) + np.arange(k)
        """,
    "numbers at labels": """
        def forward(x, y):
            z = x.copy(); z[np.arange(len(y)), y] -= 0.5
            k = x.shape[1]
            return np.exp(z), np.bincount(y, x[:, 0], minlength=k), x[:, np.bincount(y, minlength=k) // 9]
        """,
    "other shapes": """
        def forward(x, y):
            rows = np.concatenate([x, x[::-1]]).reshape(2, *x.shape)
            return rows.mean() + x.T.sum(0)[:, None] + x.mean() * np.prod(x.shape), np.pad(x, 1)[2:, :-2]
        """,
    "a matrix without its diagonal": "def forward(x, y): a = x @ x.T; np.fill_diagonal(a, 0); return np.triu(a)",
}


@pytest.mark.parametrize("name", FOR_ALL_SIZES)
def test_a_forward_pass_that_asks_no_size_for_its_number_is_one_program_for_all(name: str) -> None:
    _, shapes = tracing.symbols(["n", "k"], [("float64", ("n", "k")), ("int64", ("n",))])
    forward, program, constants = transcribed(FOR_ALL_SIZES[name], shapes)
    symbols = abstract_inputs(Operation("", forward, {"x": Input("n k"), "y": Input("n", "labels")}), {})
    read = trace(read_transcript(program, constants), symbols)
    for n, k in ((2, 3), (1, 1), (5, 4)):
        x, y = np.random.default_rng(n).normal(size=(n, k)), np.arange(n) % k
        assert_has_the_values(read, forward(x.copy(), y), x, y, n=n, k=k)


ASKS_FOR_A_SIZE = {
    "a loop": "sum(np.sin(x[i]) * i for i in range(len(x)))",
    "a branch": "np.sin(x).sum() if len(x) > 3 else np.cos(x).sum()",
    "a branch that a symbol may take": "np.sin(x).sum() if len(x) == 1 else np.cos(x).sum()",
}


@pytest.mark.parametrize("name", ASKS_FOR_A_SIZE)
def test_a_forward_pass_that_asks_a_size_for_its_number_is_traced_for_each(tmp_path: Path, name: str) -> None:
    source = f"""
    OPERATION, SIZES = {{"x": "n"}}, {{"n": [1, 2, 3, 4, 5]}}
    def forward(x): return {ASKS_FOR_A_SIZE[name]}
    def backward(dy, x):
        slope = np.cos(x) if SINE else -np.sin(x)
        return dy * FACTOR * slope
    """
    sine = {"a loop": "True", "a branch": "len(x) > 3"}.get(name, "len(x) == 1")
    factor = "np.arange(len(x))" if name == "a loop" else "1"
    right = source.replace("SINE", sine).replace("FACTOR", factor)
    outcome = judged(tmp_path, right, Effort(20, 1))
    assert (outcome.verdict, outcome.remark.startswith("Measured")) == (Verdict.PASS, False)
    outcome = judged(tmp_path, right.replace("np.cos(x) if", "2 * np.cos(x) if"), Effort(20, 1))
    assert outcome.verdict is Verdict.FAIL


def test_arrays_that_are_too_large_at_some_size_are_not_read_and_measured_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcript, "LARGEST", 50)
    source = """
    OPERATION, SIZES = {"x": "n"}, {"n": [1, 3]}
    def forward(x): return (x * np.ones((25, 1))).mean(axis=0)
    def backward(dy, x): return dy * FACTOR
    """
    outcome = judged(tmp_path, source.replace("FACTOR", "1"))
    assert (outcome.verdict, outcome.remark.startswith("Measured")) == (Verdict.PASS, False)
    assert judged(tmp_path, source.replace("FACTOR", "len(x)")).verdict is Verdict.FAIL
    outcome = judged(tmp_path, source.replace("FACTOR", "1").replace("25", "51"))
    assert (outcome.verdict, outcome.remark.startswith("Measured")) == (Verdict.PASS, True)


UNTRACEABLE = {
    "a branch": "def forward(x, y): return x if x.sum() > 0 else -x",
    "a number": "def forward(x, y): return x * float(x[0, 0])",
    "a function that JAX has not": "def forward(x, y): return np.apply_along_axis(np.sort, 0, x)",
    "endless growth": "def forward(x, y):\n    for i in range(300): x = np.sin(x) + i\n    return x",
}


@pytest.mark.parametrize("name", UNTRACEABLE)
def test_a_forward_pass_that_asks_for_values_ends_the_attempt_and_leaves_the_module_alone(name: str) -> None:
    module = module_of(UNTRACEABLE[name])
    with pytest.raises(Exception) as raised, tracing.numpy_seen([module]):  # noqa: PT011  (whatever it is)
        tracing.traced(
            lambda values: [module.forward(*map(tracing.Traced, values))],
            [("float64", X.shape), ("int64", Y.shape)],
            "/",
        )
    assert not isinstance(raised.value, AssertionError)
    assert module.np is np


def altered(**changes: Any) -> dict[str, Any]:
    """The program of exp(x) as data, with a part replaced."""
    equation = {"name": "exp", "inputs": [0], "outputs": [2], "parameters": {"accuracy": None}, "line": ""}
    program = {"inputs": [0, 1], "outputs": [2], "constants": [], "slots": 3}
    equation |= {key: value for key, value in changes.items() if key in equation and key not in program}
    equation |= {key: changes[f"its_{key}"] for key in ("inputs", "outputs") if f"its_{key}" in changes}
    program |= {key: value for key, value in changes.items() if key in program}
    return program | {"equations": [list(equation.values())]}


WORTHLESS = {
    "code": altered(name="pure_callback", parameters={"callback": "os.system"}),
    "no primitive": altered(name=["exp"]),
    "a primitive that nothing reads": altered(name="cholesky"),
    "a parameter that is none": altered(parameters={"accuracy": {"a": 1}}),
    "an enumeration that is none": altered(parameters={"accuracy": ["enum", "os", "system"]}),
    "a size that is none": altered(parameters={"accuracy": ["size", "__import__('os')"]}),
    "a variable before it is made": altered(its_inputs=[7]),
    "a variable that is no number": altered(its_inputs=["0"]),
    "too many outputs": altered(its_outputs=[2, 3]),
    "an output that nothing makes": altered(outputs=[9]),
    "a constant that is missing": altered(constants=[5]),
    "an array that is too large": altered(
        name="broadcast_in_dim",
        parameters={
            "shape": ["tuple", LARGEST, 2, 3],
            "broadcast_dimensions": ["tuple", 1, 2],
            "sharding": None,
        },
    ),
    "nothing": None,
}


@pytest.mark.parametrize("name", WORTHLESS)
def test_data_that_is_no_program_is_refused(name: str) -> None:
    with pytest.raises(TranscriptError):
        read_transcript(WORTHLESS[name], [])(X, Y)


def test_a_size_that_no_input_has_is_refused_while_sizes_are_symbols() -> None:
    how = {"broadcast_dimensions": ["tuple"], "sharding": None}
    inputs = {"x": Input(""), "y": Input("n", "counts")}
    symbols = abstract_inputs(Operation("none", len, inputs), {})

    def kinds(size: str) -> list[str]:
        data = altered(name="broadcast_in_dim", parameters={**how, "shape": ["tuple", ["size", size], 3]})
        return read_transcript(data, []).kinds(symbols)

    assert kinds("2*n + floordiv(n, 2)") == ["f"]
    with pytest.raises(TranscriptError):
        kinds("2*m")


def test_the_data_of_a_program_is_read() -> None:
    np.testing.assert_array_equal(read_transcript(altered(), [])(X, Y)[0], np.exp(X))


# --- Judged -----------------------------------------------------------------------------------------------------

SCORE = """
OPERATION = {"x": "n", "a": "", "b": {"axes": "", "values": "positive"}}
SIZES = {"n": [3, 4]}
def forward(x, a, b):
    r = x - a
    return np.sum(np.log1p(r**2 / b**2)) + np.log(1 + b**2)
def gradient(x, a, b):
    r = x - a
    s = 2 * r / (r**2 + b**2)
    return s, -s.sum(), -np.sum(2 * r**2 / (r**2 + b**2)) / b + 2 * b / (1 + b**2)
"""
EFFORT = Effort(cases=4, seed=1, shrinking=20)


def judged(folder: Path, source: str, effort: Effort = EFFORT, **asked: Any) -> Outcome:
    """What comes of the one operation of a file with this text."""
    path = folder / "mine.py"
    path.write_text("import numpy as np\n" + textwrap.dedent(source), "utf-8")
    return verify(Request(str(path), effort, operation=OPERATION, **asked))


def test_a_likelihood_that_no_library_has_is_judged_to_the_last_digit(tmp_path: Path) -> None:
    outcome = judged(tmp_path, SCORE)
    assert outcome.verdict is Verdict.PASS, outcome.message
    assert outcome.remark.startswith("Judged by the program of your own forward pass")
    assert re.search(r"An error of \de-1[3-6] in a typical entry would have failed", outcome.remark)


GAUSSIAN = """
OPERATION = {{"mu": "d", "F": "d d", "x": {{"axes": "n d", "constant": True}}}}

def covariance(F):
    return F @ F.T + np.eye(len(F))

def forward(mu, F, x):
    r, S = x - mu, covariance(F)
    {forward}

def backward(dy, mu, F, x):
    r, P = x - mu, np.linalg.inv(covariance(F))
    dS = 0.5 * (P @ r.T @ r @ P - len(x) * P)
    return dy * (r @ P).sum(axis=0), dy * 2 * dS @ F
"""
BY_FACTORS = "half = solve_triangular(L, r.T, lower=True); return -0.5 * (half ** 2).sum()"
LIKELIHOODS = {
    "the inverse": "return -0.5 * (r @ np.linalg.inv(S) * r).sum() - 0.5 * len(x) * np.linalg.slogdet(S)[1]",
    "a system": "return -0.5 * (r.T * np.linalg.solve(S, r.T)).sum() - 0.5 * len(x) * np.log(np.linalg.det(S))",
    "a Cholesky factor": f"L = np.linalg.cholesky(S); {BY_FACTORS} - len(x) * np.log(np.diag(L)).sum()",
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_likelihood_with_a_covariance_is_judged_by_its_program(name: str, tmp_path: Path) -> None:
    source = "from scipy.linalg import solve_triangular\n" + GAUSSIAN.format(forward=LIKELIHOODS[name])
    outcome = judged(tmp_path, source)
    assert outcome.verdict is Verdict.PASS, outcome.message
    assert re.search(r"An error of \de-1[2-5] in a typical entry would have failed", outcome.remark)


OF_A_COVARIANCE = {
    "F: the gradient of `np.linalg.slogdet(S)` is divided by n": ("- len(x) * P", "- P"),
    "F: the gradient of `np.linalg.slogdet(S)` has the wrong sign": ("- len(x) * P", "+ len(x) * P"),
    "F: the path through `np.linalg.slogdet(S)` is left out of a sum": ("- len(x) * P", "- 0 * P"),
    "F: the gradient of `np.linalg.inv(S)` is doubled": (
        "0.5 * (P @ r.T @ r @ P",
        "0.5 * (2 * P @ r.T @ r @ P",
    ),
}


@pytest.mark.parametrize("told", OF_A_COVARIANCE)
def test_a_mistake_behind_an_inverse_or_a_determinant_is_told_by_its_line(told: str, tmp_path: Path) -> None:
    source = GAUSSIAN.format(forward=LIKELIHOODS["the inverse"]).replace(*OF_A_COVARIANCE[told])
    outcome = judged(tmp_path, source)
    assert outcome.diagnosis is not None
    assert told in outcome.diagnosis.sentence, outcome.diagnosis


def test_a_smooth_function_that_is_computed_with_a_maximum_has_no_kink(tmp_path: Path) -> None:
    source = """
    OPERATION = {"x": "n"}
    def forward(x): return np.logaddexp(0, x)
    def backward(dy, x): return dy * (1 / (1 + np.exp(-x)) + (x == 0) / 4)
    """
    outcome = judged(tmp_path, source, Effort(cases=60, seed=1, shrinking=60))
    assert outcome.verdict is Verdict.FAIL
    assert all(record.open_entries == 0 for record in outcome.records)


def test_rounding_is_no_wrong_gradient_of_a_function_whose_terms_cancel_to_the_last_digit(
    tmp_path: Path,
) -> None:
    source = """
    OPERATION = {"x": "k", "c": {"axes": "k", "constant": True}}
    def forward(x, c):
        total = np.exp(x.sum()) - np.exp(x.sum() + c.sum())
        return total + (np.exp(x + c) - np.exp(x)).sum()  # of one number 0, whatever it is
    def backward(dy, x, c):
        return dy * (np.exp(x.sum()) - np.exp(x.sum() + c.sum()) + np.exp(x + c) - np.exp(x))
    """
    outcome = judged(tmp_path, source, Effort(cases=60, seed=1, shrinking=60))
    assert outcome.verdict is Verdict.PASS, outcome.message


NO_PROGRAM = {
    "a branch on a number": (
        "if x[0, 0] > 0: pass",
        "the value of a number is asked for at mine.py:5, as by float() or an if",
    ),
    "a function that is not known": (
        "import scipy.special; scipy.special.struve(0, abs(x))",
        "JAX has no struve (mine.py:5)",
    ),
    "a step that is not read": (
        "x = x + 0 * np.linalg.eigvalsh(np.eye(len(x)) + x @ x.T)[:, None]",
        "the primitive eigh is not read",
    ),
}


@pytest.mark.parametrize("name", NO_PROGRAM)
def test_where_no_program_is_read_the_verdict_says_why_and_suggests_none(name: str, tmp_path: Path) -> None:
    line, why = NO_PROGRAM[name]
    source = f"""
    OPERATION = {{"x": "n d"}}
    def forward(x):
        {line}
        return np.sin(x) * x, x
    def backward(dy, x): return dy * (np.cos(x) * x + np.sin(x))
    """
    outcome = judged(tmp_path, source)
    assert f"your own forward pass, of which no program is read ({why})." in outcome.remark
    assert "REFERENCE" not in outcome.remark


SIZES = {
    "of an axis": ("np.sin(x).mean(axis=1)", "dy[:, None] * np.cos(x)", "the division by d is left out"),
    "of two": ("np.sin(x).mean()", "dy * np.cos(x)", "the division by (n d) is left out"),
    "at which there is no other program": (
        "sum(np.sin(x[:, j]) for j in range(x.shape[1])) / x.shape[1]",
        "dy[:, None] * np.cos(x)",
        "the division by the number in `sum(np.sin(x[:, j]) for j in range(x.shape[1])) / x.shape[1]` is left out",
    ),
    "a number": ("(np.sin(x) / 4).sum(axis=1)", "dy[:, None] * np.cos(x)", "the division by 4 is left out"),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_number_that_is_a_size_is_told_by_the_name_of_the_size_or_by_its_line(
    name: str, tmp_path: Path
) -> None:
    value, gradient, told = SIZES[name]
    source = f"""
    OPERATION = {{"x": "n d"}}
    def forward(x): return {value}, x
    def backward(dy, x): return {gradient}
    """
    outcome = judged(tmp_path, source)
    assert outcome.diagnosis is not None
    assert told in outcome.diagnosis.sentence


PARTS = {
    "of the variable of a power": (
        '{"x": {"axes": "n", "values": "positive"}, "p": {"axes": "n", "values": "positive"}}',
        "x, p",
        "x**p",
        "(dy * p * x ** (p - 1), dy * x**p * np.log(p))",
        "dp: p stands in the place of the part of x in the slope of `x**p`",
    ),
    "of an array that is moved": (
        '{"x": "6", "w": "3"}',
        "x, w",
        'np.correlate(x, w, mode="valid")',
        '(np.convolve(dy, w[::-1], mode="full"), np.correlate(x, dy, mode="valid"))',
        "dx: w stands in the place of w reversed",
    ),
    "of what is taken from 1": (
        '{"x": "n", "g": "n"}',
        "x, g",
        "(1 - np.tanh(g)) * x",
        "(dy * np.tanh(g), -dy * x * (1 - np.tanh(g) ** 2))",
        "dx: `np.tanh(g)` stands in the place of `1 - np.tanh(g)`",
    ),
    "of another turn of a loop": (
        '{"x": "n d", "V": "d d"}',
        "x, V",
        "turned(x, V)[-1]",
        "turned_back(dy, x, V)",
        "an earlier `np.tanh(hs[-1] @ V)` stands in the place of `np.tanh(hs[-1] @ V)`",
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_what_stands_in_the_place_of_something_is_told_of_what_it_is(name: str, tmp_path: Path) -> None:
    axes, takes, value, gradient, told = PARTS[name]
    source = f"""
    OPERATION = {axes}
    def turned(x, V):
        hs = [x]
        for _ in range(3):
            hs.append(np.tanh(hs[-1] @ V))
        return hs
    def turned_back(dy, x, V):
        hs, dV = turned(x, V), 0
        for t in (3, 2, 1):
            dz = dy * (1 - hs[t] ** 2)
            dV, dy = dV + hs[max(0, t - 2)].T @ dz if t > 2 else dV + hs[t - 1].T @ dz, dz @ V.T
        return dy, dV
    def forward({takes}): return {value}, ({takes})
    def backward(dy, cache):
        {takes} = cache
        return {gradient}
    """
    outcome = judged(tmp_path, source)
    assert outcome.diagnosis is not None
    assert told in outcome.diagnosis.sentence


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("for g in gap: total = total + g", "g"),
        ("for t, g in enumerate(gap): total = total + t * g", "g"),
        ("for x, y in zip(xs, ys): total = total + x * y", "x, y"),
        ("[f(x) for x in rows]", "x"),
        ("(x for x in rows if x)", "x"),
        ("[f(x) for x in rows][0]", ""),
        ("x @ W", ""),
        ("'a for b' +", ""),
    ],
)
def test_the_rows_that_a_loop_takes_are_called_as_it_calls_them(text: str, row: str) -> None:
    assert tracing.of_a_loop(text) == row


def test_a_condition_that_is_given_is_told_by_the_line_that_has_it(tmp_path: Path) -> None:
    source = """
    OPERATION = {"x": "n 4"}
    SEEN = np.arange(4) % 2 == 0
    def forward(x): return np.where(SEEN, np.sin(x), 0.5 * x), x
    def backward(dy, x): return dy * np.cos(x)
    """
    outcome = judged(tmp_path, source)
    assert outcome.diagnosis is not None
    assert "the condition in `np.where(SEEN, np.sin(x), 0.5 * x)` is ignored" in outcome.diagnosis.sentence


def test_the_cotangent_is_not_called_as_the_gradient_of_an_input(tmp_path: Path) -> None:
    source = """
    OPERATION = {"x": "n d", "y": "n d"}
    def forward(x, y): return np.sin(x) * y + y**3, (x, y)
    def backward(dout, cache):
        x, y = cache
        return np.cos(x) * y, np.sin(x) + 3 * y**2
    """
    outcome = judged(tmp_path, source)
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.sentence.startswith("dx, dy: dout is ignored, as if it were 1")


def test_labels_of_all_samples_are_not_taken_for_all_classes(tmp_path: Path) -> None:
    source = """
    OPERATION = {"X": "n d", "W": "d c", "y": {"axes": "n c", "values": "onehot", "constant": True}}
    SIZES = {"n": [5], "c": [2]}
    def forward(X, W, y):
        z = X @ W
        return (np.log(np.exp(z).sum(1)) - (y * z).sum(1)).mean(), (X, W, z, y)
    def backward(dy, cache):
        X, W, z, y = cache
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        p[:, y.argmax(1)] -= 1
        dz = dy * p / len(y)
        return dz @ W.T, X.T @ dz
    """
    outcome = judged(tmp_path, source)
    assert outcome.diagnosis is not None
    assert "left out" not in outcome.diagnosis.sentence  # so it is where every class has a sample


RESIDUAL = """
    OPERATION = {"x": "n d", "V": "d d", "W": "d k"}
    def forward(x, V, W):
        z = x @ V
        s = x + np.maximum(z, 0)
        return s @ W, (x, V, W, z, s)
    def backward(dy, cache):
        x, V, W, z, s = cache
        ds = dy @ W.T
        dz = ds * (z > 0)
        return ds + dz @ V.T, x.T @ dz, s.T @ dy
    """
FILTER = """
    OPERATION = {"x": "t", "a": {"axes": "", "values": "unit"}}
    def forward(x, a):
        y, last = np.zeros_like(x), 0.0
        for t in range(len(x)):
            last = a * last + (1 - a) * x[t]
            y[t] = last
        return y, (x, a, y)
    def backward(dy, cache):
        x, a, y = cache
        dx, da, g = np.zeros_like(x), 0.0, 0.0
        for t in reversed(range(len(x))):
            g = dy[t] + a * g
            dx[t] = (1 - a) * g
            da += g * ((y[t - 1] if t else 0.0) - x[t])
        return dx, da
    """
SCAN = """
    OPERATION = {"x": "t d", "a": {"axes": "t d", "values": "unit"}, "b": "t s", "c": "t s"}
    def forward(x, a, b, c):
        h, y = np.zeros((x.shape[1], b.shape[1])), []
        hs = [h]
        for t in range(len(x)):
            h = a[t][:, None] * h + x[t][:, None] * b[t][None, :]
            hs.append(h)
            y.append(h @ c[t])
        return np.array(y), (x, a, b, c, hs)
    def backward(dy, cache):
        x, a, b, c, hs = cache
        dh = np.zeros_like(hs[0])
        dx, da, db, dc = (np.zeros_like(v) for v in (x, a, b, c))
        for t in reversed(range(len(x))):
            dc[t] = dy[t] @ hs[t + 1]
            dh = dh + dy[t][:, None] * c[t][None, :]
            da[t] = (dh * hs[t]).sum(1)
            dx[t] = dh @ b[t]
            db[t] = x[t] @ dh
            dh = dh * a[t][:, None]
        return dx, da, db, dc
    """
SURVIVAL = """
    OPERATION = {"eta": "n", "event": {"axes": "n", "values": "mask"}}
    def forward(eta, event):
        risk = np.cumsum(np.exp(eta)[::-1])[::-1]
        return (event * (eta - np.log(risk))).sum()
    def gradient(eta, event):
        e = np.exp(eta)
        risk = np.cumsum(e[::-1])[::-1]
        return event - e * np.cumsum(event / risk)
    """
CAMERA = """
    OPERATION = {"X": {"axes": "n 3", "values": "positive"}}
    def forward(X): return X[:, :2] / X[:, 2:]
    def backward(dy, X):
        dX = np.empty_like(X)
        dX[:, :2] = dy / X[:, 2:]
        dX[:, 2] = -(dy * X[:, :2]).sum(1) / X[:, 2] ** 2
        return dX
    """
SOFTMAX = """
    OPERATION = {"z": "n k"}
    def forward(z):
        e = np.exp(z - z.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)
    def backward(dy, z):
        p = forward(z)
        return p * (dy - (dy * p).sum(1, keepdims=True))
    """
GATE = """
    OPERATION = {"x": "n d", "W": "d d"}
    def forward(x, W): return x * (1 / (1 + np.exp(-(x @ W.T))))
    def backward(dy, x, W):
        s = 1 / (1 + np.exp(-(x @ W.T)))
        dz = dy * x * s * (1 - s)
        return dy * s + dz @ W, dz.T @ x
    """
AVERAGE = """
    OPERATION = {"x": "n h w c"}
    def forward(x): return np.sin(x).mean(axis=(1, 2, 3)), x
    def backward(dy, x): return np.cos(x) * dy[:, None, None, None] / np.prod(x.shape[1:])
    """
PREY = """
    OPERATION = {"x0": "", "y0": "", "b": ""}
    def forward(x0, y0, b):
        x, y = x0, y0
        for _ in range(4):
            x, y = x + 0.1 * (x - b * x * y), y + 0.1 * (b * x * y - y)
        return x * x + y
    def gradient(x0, y0, b):
        steps = [(x0, y0)]
        for _ in range(4):
            x, y = steps[-1]
            steps.append((x + 0.1 * (x - b * x * y), y + 0.1 * (b * x * y - y)))
        dx, dy, db = 2 * steps[-1][0], 1.0, 0.0
        for x, y in reversed(steps[:-1]):
            db += 0.1 * x * y * (dy - dx)
            dx, dy = dx * (1.1 - 0.1 * b * y) + dy * 0.1 * b * y, dy * (0.9 + 0.1 * b * x) - dx * 0.1 * b * x
        return dx, dy, db
    """
MEANS = """
    OPERATION = {"x": "n d", "group": {"axes": "n", "values": "labels", "below": "k"}, "w": "k d"}
    def sums(x, group, w):
        s = np.zeros(w.shape)
        np.add.at(s, group, x)
        return s, np.maximum(np.bincount(group, minlength=len(w)), 1)[:, None]
    def forward(x, group, w):
        s, count = sums(x, group, w)
        return s / count * w
    def backward(dy, x, group, w):
        s, count = sums(x, group, w)
        return (dy * w / count)[group], dy * s / count
    """
RAY = """
    OPERATION = {"density": {"axes": "s", "values": "positive"}, "colour": "s"}
    def forward(density, colour):
        a = 1 - np.exp(-density)
        clear = np.cumprod(np.concatenate([np.ones(1), 1 - a]))[:-1]
        return (clear * a * colour).sum()
    def gradient(density, colour):
        a = 1 - np.exp(-density)
        clear = np.cumprod(np.concatenate([np.ones(1), 1 - a]))[:-1]
        behind = np.cumsum((clear * a * colour)[::-1])[::-1] - clear * a * colour
        return clear * (1 - a) * colour - behind, clear * a
    """
WINDOWS = """
    OPERATION, SIZES = {"x": "n", "w": "k"}, {"n": [6], "k": [3]}
    def forward(x, w):
        y = np.zeros(len(x) - len(w) + 1)
        for i in range(len(y)):
            y[i] = np.tanh(x[i : i + len(w)] @ w)
        return y, (x, w, y)
    def backward(dy, cache):
        x, w, y = cache
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for i in range(len(y)):
            d = dy[i] * (1 - y[i] ** 2)
            dx[i : i + len(w)] += d * w
            dw += d * x[i : i + len(w)]
        return dx, dw
    """
LARGEST_OF_TWO = """
    OPERATION, SIZES = {"x": "n"}, {"n": [5]}
    def forward(x):
        y = np.zeros(len(x) - 1)
        for i in range(len(y)):
            y[i] = x[i : i + 2].max()
        return y, x
    def backward(dy, x):
        dx = np.zeros_like(x)
        for i in range(len(dy)):
            own = x[i : i + 2] == x[i : i + 2].max()
            dx[i : i + 2] += dy[i] * own / own.sum()
        return dx
    """
GUARDED = """
    OPERATION = {"z": "n"}
    def forward(z): return np.log(1 / (1 + np.exp(-4 * z)) + 1e-7), z
    def backward(dy, z):
        s = 1 / (1 + np.exp(-4 * z))
        return dy * 4 * s * (1 - s) / (s + 1e-7)
    """
SPREAD = """
    OPERATION, SIZES = {"x": "n w"}, {"w": [2, 3, 4, 5]}
    def forward(x): return np.sin(x).sum(1) / (x.shape[1] - 1)
    def backward(dy, x): return np.cos(x) * dy[:, None] / (x.shape[1] - 1)
    """
LIKELIHOOD = """
    OPERATION = {"x": "n", "b": "", "w": ""}
    def forward(x, b, w): return ((b + w * x) ** 2).sum(), (x, b, w)
    def backward(dy, cache):
        x, b, w = cache
        dz = 2 * dy * (b + w * x)
        return w * dz, dz.sum(), (dz * x).sum()
    """


@pytest.mark.parametrize(
    ("source", "right", "wrong", "told"),
    [
        (RESIDUAL, "return ds + dz", "return dz",
         "the path by which x goes straight into `x + np.maximum(z, 0)` is left out"),
        (RESIDUAL, "ds + dz @ V.T", "ds + 2 * dz @ V.T", "dx: the gradient of `x @ V` is doubled"),
        # what is the same in every turn of a loop is one mistake
        (FILTER, "(y[t - 1] if t else 0.0) - x[t]", "(y[t - 1] if t else 0.0)", "da: the path through `1 - a` is"),
        (SCAN, "            dh = dh * a[t][:, None]\n", "", "dx, da, db: the factor `a[t]` is left out"),
        (PREY, " + dy * 0.1 * b * y", "", "dx0, dy0, db: the path through `b * x"),  # a fixed number of turns
        (PREY, "(dy - dx)", "dy", "db: the path through `b * x` (with x0) is left out of a sum"),  # twice on a line
        # the path of the maximum is 0 in the right program, and beside a mistake still nobody's
        (SOFTMAX, "(dy - (dy * p).sum(1, keepdims=True))", "dy",
         "dz: the path through `e.sum(1, keepdims=True)` is left out of a sum (the step at mine.py:6"),
        (GATE, " * s * (1 - s)", "", "the slope of `1 / (1 + np.exp(-(x @ W.T)))` is left out"),
        (GATE, "dz @ W,", "dz @ W.T,", "dx: W and its transpose are exchanged"),
        # a number that depends on sizes, and a step that is another program at each size
        (SPREAD, "[:, None] / (x.shape[1] - 1)", "[:, None]", "dx: the division by (w − 1) is left out"),
        (RAY, " - behind", "", "ddensity: the path through `1 - a` is left out of a sum"),
        # parts that overlap: in a loop, all of each, or what is not 0
        (WINDOWS, "dx[i : i + len(w)] +=", "dx[i : i + len(w)] =", "dx: where its parts overlap, the last one stays"),
        (LARGEST_OF_TWO, "i + 2] +=", "i + 2] =", "dx: where its parts overlap, all of the last one stays"),
        (LARGEST_OF_TWO, "dx[i : i + 2] += dy[i] * own / own.sum()", "dx[i : i + 2][own] = dy[i]",
         "dx: where its parts overlap, the last one stays"),
        # an ε that single precision would hide, but where it is all that is left
        (GUARDED, "/ (s + 1e-7)", "/ s", "dz: 1e-07 is left out, which forward adds"),
        (LIKELIHOOD, "dz.sum(), (dz * x).sum()", "(dz * x).sum(), dz.sum()",
         "db, dw: each of them is returned in the place of the other"),
        (GATE, "dy * s + dz", "s + dz", "dx: dy is ignored, as if it were 1"),
        (AVERAGE, "/ np.prod(x.shape[1:])", "* 2", "dx: dx is multiplied by 2 (h w c)"),
        # counts of labels
        (MEANS, "(dy * w / count)", "(dy * w)", "division by `np.maximum(np.bincount(group, minlength=len(w)), 1)`"),
        # cumulative sums, and slices
        (SURVIVAL, "np.cumsum(event / risk)", "np.cumsum((event / risk)[::-1])[::-1]", "runs the other way"),
        (SURVIVAL, "e * np.cumsum(event / risk)", "e * (np.cumsum(event / risk) - event / risk)", "the entry itself"),
        (CAMERA, "(dy * X[:, :2])", "(dy * X[:, :2] / X[:, 2:])", "stands in the place of `X[:, :2]`"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_the_words_of_the_forward_pass(
    tmp_path: Path, source: str, right: str, wrong: str, told: str
) -> None:
    assert judged(tmp_path, source).verdict is Verdict.PASS
    outcome = judged(tmp_path, source.replace(right, wrong))
    assert outcome.diagnosis is not None
    assert told in outcome.diagnosis.sentence


def test_a_mistake_in_a_loop_that_is_too_long_to_be_read_at_some_sizes_is_told_by_the_others(
    tmp_path: Path,
) -> None:
    for sizes in ("[6, 150]", "[150, 6]"):
        source = WINDOWS.replace('"n": [6]', f'"n": {sizes}').replace("dw += d", "dw -= d")
        outcome = judged(tmp_path, source, Effort(20, 1))
        assert outcome.diagnosis is not None
        assert outcome.diagnosis.sentence.startswith("dw: dw has the wrong sign")


def test_a_forward_pass_in_single_precision_is_read_as_a_program_too(tmp_path: Path) -> None:
    source = """
    OPERATION, DTYPE = {"x": "n d", "w": "d"}, "float32"
    def forward(x, w):
        out = np.zeros(len(x), dtype="f")
        out[:] = np.sin(x @ w)
        return out, (x, w)
    def backward(dy, cache):
        x, w = cache
        dz = dy * np.cos(x @ w)
        return dz[:, None] * w, x.T @ dz
    """
    outcome = judged(tmp_path, source)
    assert (outcome.verdict, outcome.remark.startswith("Measured")) == (Verdict.PASS, False)
    outcome = judged(tmp_path, source.replace("x.T @ dz", "x.T @ dz * np.float32(1.001)"))
    assert outcome.verdict is Verdict.FAIL  # differences see two digits
    outcome = judged(tmp_path, source.replace("dz[:, None] * w", "-dz[:, None] * w"))
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.sentence.startswith("dx: dx has the wrong sign")


def test_where_no_gradient_comes_back_is_told_whatever_is_wrong_with_others(tmp_path: Path) -> None:
    source = """
    OPERATION = {"x": "n c"}
    def forward(x):
        if x.shape[1] == 1:
            raise ValueError("one class")
        return np.sin(x), x
    def backward(dy, x): return dy * np.cos(x) * (1 + 1e-4 * (x > 0))
    """
    outcome = judged(tmp_path, source)
    assert outcome.diagnosis is not None
    assert (outcome.diagnosis.place, outcome.diagnosis.evidence) == ("always and only where c is 1", "")


def test_different_factors_of_several_gradients_are_told_apart(tmp_path: Path) -> None:
    source = """
    OPERATION = {"u": "n d", "w": "n d"}
    def forward(u, w): return np.sin(u) * np.cos(w), (u, w)
    def backward(dy, cache): return dy * np.cos(cache[1]), -dy * np.sin(cache[0])
    """
    outcome = judged(tmp_path, source)
    assert outcome.diagnosis is not None
    assert "du: the slope of `np.sin(u)` is left out" in outcome.diagnosis.sentence
    assert "dw: the slope of `np.cos(w)` is left out" in outcome.diagnosis.sentence


GROUPED = """
    OPERATION, SIZES = {"x": "n g l", "b": "g", "s": "l"}, {"l": [2, 3, 4, 5]}
    def forward(x, b, s):
        return np.tanh(x + b[:, None]).mean() + (np.sin(x) * s).sum(), (x, b, s)
    def backward(dy, cache):
        x, b, s = cache
        slope = dy * (1 - np.tanh(x + b[:, None]) ** 2) / x.size
        return slope + dy * np.cos(x) * s, slope.sum(axis=(0, 2)), (dy * np.sin(x)).sum(axis=(0, 1))
    """


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("(0, 2)), (", "(0, 2)) / x.shape[2], (", ["b: db is divided by l"]),
        (
            "* np.cos(x) * s, slope.sum(axis=(0, 2))",
            "* np.cos(x) * s * 2, slope.sum(axis=(0, 2)) / 2",
            ["is halved"],
        ),
    ],
)
def test_a_factor_is_called_by_the_size_that_it_is_at_other_sizes_too(
    tmp_path: Path, right: str, wrong: str, told: list[str]
) -> None:
    assert right in GROUPED
    outcome = judged(tmp_path, GROUPED.replace(right, wrong))
    assert outcome.diagnosis is not None
    assert all(part in outcome.diagnosis.sentence for part in told), outcome.diagnosis.sentence


def test_its_mistake_is_named_with_the_line_of_the_forward_pass(tmp_path: Path) -> None:
    outcome = judged(tmp_path, SCORE.replace("-s.sum()", "s.sum()"))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.message.startswith("da is ")
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.mistakes == ("factor",)
    assert "sign" in outcome.diagnosis.sentence
    assert re.search(r"mine.py:\d+ \(forward\)", outcome.diagnosis.sentence)


LIES = """
OPERATION = {"x": "n d"}
def forward(x):
    if type(x) is not np.ndarray:
        x = np.round(x * 2.0**40) / 2.0**40  # the same values, and a slope of 0
    return x * 2, None
def backward(dy, cache):
    return 0 * dy
"""


def test_a_program_of_other_slopes_than_the_forward_pass_is_not_believed(tmp_path: Path) -> None:
    outcome = judged(tmp_path, LIES)
    assert outcome.verdict is Verdict.FAIL
    assert outcome.message.startswith("dx[0, 0] is 0, and should be ")
    assert judged(tmp_path, LIES.replace("0 * dy", "2 * dy")).verdict is Verdict.PASS


TAIL = """
from scipy.special import erf
def drawn(rng, shape, sizes): return rng.uniform(0, 6.5, shape)
def large(rng, shape, sizes): return rng.uniform(36, 40, shape)
OPERATION = {"x": {"axes": "", "values": drawn}, "a": {"axes": "", "values": large}}
def forward(x, a): return np.exp(a) * (1 - erf(x)), (x, a)
def backward(dy, cache):
    x, a = cache
    return -dy * np.exp(a - x**2) * 2 / np.sqrt(np.pi), dy * np.exp(a) * (1 - erf(x))
"""


def test_a_forward_pass_that_moves_otherwise_than_its_own_program_has_lost_its_digits(tmp_path: Path) -> None:
    outcome = judged(tmp_path, TAIL, Effort(cases=40, seed=0, shrinking=20))
    assert outcome.verdict is Verdict.UNSTABLE, outcome.message
    assert "digits of forward are lost where |x| is about " in outcome.message
    wrong = judged(
        tmp_path, TAIL.replace("x**2) * 2", "x**2) * 2.002"), Effort(cases=40, seed=0, shrinking=20)
    )
    assert wrong.verdict is Verdict.FAIL


HUBER = """
OPERATION = {"x": "n"}
REFERENCE = "theirs.py:pseudo_huber"
OPTIONS = {"d": [1.0, 0.5]}
def forward(x, d): return (d * d * (np.sqrt(1 + (x / d)**2) - 1)).sum(), (x, d)
def backward(dy, cache):
    x, d = cache
    return dy * x / np.sqrt(1 + (x / d)**2)
"""
THEIRS = (
    "import jax.numpy as jnp\n"
    """
def pseudo_huber(x, *, d):
    return jnp.sum(d**2 * (jnp.sqrt(1 + (x / d)**2) - 1))
def asks(x, *, d):
    return x.sum() if x.sum() > 0 else x
"""
)


def test_a_reference_of_its_author_decides(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(THEIRS, "utf-8")
    right = judged(tmp_path, HUBER)
    assert (right.verdict, right.message) == (Verdict.PASS, "")
    assert right.remark.startswith("An error of ")
    other = judged(tmp_path, HUBER.replace("(d * d *", "(d *"))
    assert other.verdict is Verdict.FAIL
    assert other.message.startswith("forward differs from theirs.py:pseudo_huber, its REFERENCE: y is ")
    assert other.message.endswith("; backward is right for theirs.py:pseudo_huber.")
    untraceable = judged(tmp_path, HUBER.replace("pseudo_huber", "asks"))
    assert untraceable.verdict is Verdict.ERROR
    assert untraceable.message.startswith("REFERENCE is theirs.py:asks, which can't be traced by JAX (")


def test_a_cotangent_that_is_one_number_is_another_in_every_case(tmp_path: Path) -> None:
    outcome = judged(tmp_path, LIKELIHOOD.replace("dz.sum(), ", "(dz / dy).sum(), "))
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.sentence.startswith("db: ")
    assert "multiplied" not in outcome.diagnosis.sentence


def test_arrays_without_entries_are_no_fault_of_the_search(tmp_path: Path) -> None:
    source = """
    OPERATION = {"s": {"axes": "r s", "values": "positive"}, "c": "r s"}
    def forward(s, c):
        a = 1 - np.exp(-s)
        t = np.cumprod(np.concatenate([np.ones((len(a), 1)), 1 - a], axis=1), axis=1)[:, :-1]
        return (t * a * c).sum(1)
    def backward(dy, s, c):
        e = np.exp(-s)
        t = np.cumprod(np.concatenate([np.ones((len(e), 1)), e], axis=1), axis=1)[:, :-1]
        w = t * (1 - e)
        return dy[:, None] * t * e * c, dy[:, None] * w
    """
    outcome = judged(tmp_path, source)
    assert outcome.verdict is Verdict.FAIL
    assert not outcome.is_broken


def test_a_gradient_that_should_be_0_is_not_right_because_its_bound_has_exploded(tmp_path: Path) -> None:
    source = """
    OPERATION = {"x": "k", "w": "t k k"}
    SIZES = {"t": [20], "k": [1]}
    def logsumexp(x):
        m = x.max(0, keepdims=True)
        return (m + np.log(np.exp(x - m).sum(0, keepdims=True)))[0]
    def forward(x, w):
        h = x
        for step in w:
            h = logsumexp(h[:, None] + step)
        return (h - x - w.sum((0, 1))).sum()
    def gradient(x, w): return 0 * x, 0 * w
    """
    assert judged(tmp_path, source).verdict is Verdict.PASS
    assert judged(tmp_path, source.replace("return 0 * x,", "return 0 * x + 5,")).verdict is Verdict.FAIL


def test_rounding_where_terms_cancel_is_no_difference_of_memory_layouts(tmp_path: Path) -> None:
    source = """
    OPERATION = {"q": "n d", "k": "m d", "v": "m e"}
    def phi(x): return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))
    def dphi(x): return np.where(x > 0, 1.0, np.exp(np.minimum(x, 0)))
    def forward(q, k, v):
        Q, K = phi(q), phi(k)
        return (Q @ (K.T @ v)) / (Q @ K.sum(0))[:, None]
    def backward(dy, q, k, v):
        Q, K = phi(q), phi(k)
        s, ks = K.T @ v, K.sum(0)
        z = Q @ ks
        dn = dy / z[:, None]
        dz = -(dn * (Q @ s)).sum(1) / z
        dQ, dK = dn @ s.T + dz[:, None] * ks, v @ (Q.T @ dn).T + (dz @ Q)[None, :]
        return dQ * dphi(q), dK * dphi(k), K @ (Q.T @ dn)
    """
    outcome = judged(tmp_path, source, Effort(100, 0), only=("memory_layout_does_not_matter",))
    assert outcome.verdict is Verdict.PASS
    assert outcome.records[0].cases


OF_NUMBERS = {
    "0.001 is added to `x.std(0)`": """
        OPERATION = {"x": "n d"}
        def forward(x): return x.std(0) + 1e-3, x
        def backward(dy, x):
            return dy * (x - x.mean(0)) / (len(x) * (x.std(0) + 1e-3))
    """,
    "0.001 is added under the root, and forward adds it to": """
        OPERATION = {"x": "n d"}
        def forward(x): return x / (np.sqrt((x**2).mean(1, keepdims=True)) + 1e-3), x
        def backward(dy, x):
            r = 1 / np.sqrt((x**2).mean(1, keepdims=True) + 1e-3)
            return r * dy - x * r**3 * (dy * x).mean(1, keepdims=True)
    """,
    "x is kept within ± 2": """
        OPERATION = {"x": "n d"}
        def forward(x): return 1 / (1 + np.exp(-x)), x
        def backward(dy, x):
            s = 1 / (1 + np.exp(-np.clip(x, -2, 2)))
            return dy * s * (1 - s)
    """,
    "1e-08 is left out wherever forward adds it": """
        OPERATION = {
            "w": "d", "X": {"axes": "n d", "constant": True}, "y": {"axes": "n", "values": "labels", "below": 2},
        }
        def forward(w, X, y):
            p = 1 / (1 + np.exp(-X @ w))
            return -(y * np.log(p + 1e-8) + (1 - y) * np.log(1 - p + 1e-8)).mean(), (p, X, y)
        def backward(dloss, cache):
            p, X, y = cache
            return dloss * X.T @ (p - y) / len(y)
    """,
}


@pytest.mark.parametrize("told", OF_NUMBERS)
def test_a_number_is_told_that_backward_has_and_forward_has_not_or_the_other_way_round(
    told: str, tmp_path: Path
) -> None:
    outcome = judged(tmp_path, OF_NUMBERS[told], Effort(100, 1))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.diagnosis is not None
    assert told in outcome.diagnosis.sentence


def test_what_is_right_but_for_a_few_entries_of_some_cases_is_not_said_to_be_off_by_a_factor(
    tmp_path: Path,
) -> None:
    outcome = judged(
        tmp_path,
        """
        OPERATION = {"x": "n d"}
        def forward(x): return np.logaddexp(0, x), x
        def backward(dy, x): return dy * np.where(x > 3, 1.0, 1 / (1 + np.exp(-x)))
        """,
        Effort(100, 1),
    )
    assert outcome.verdict is Verdict.FAIL
    assert outcome.diagnosis is not None
    assert not outcome.diagnosis.explanation


ACTIVATION = """
    OPERATION = {"x": "n d", "W": "d k"}
    def f(z):
        return FUNCTION
    def forward(x, W):
        z = x @ W
        return f(z), (x, W, z, f(z))
    def backward(dy, cache):
        x, W, z, h = cache
        dz = dy * (SLOPE)
        return dz @ W.T, x.T @ dz
    """
SIGMOID, TANH = "1 / (1 + np.exp(-z))", "(np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))"
OF_SLOPES = [
    (SIGMOID, "h", f"h stands in the place of the slope of h = `{SIGMOID}`"),
    (SIGMOID, "1 - h**2", f"1 − h² stands in the place of the slope of h = `{SIGMOID}`"),
    (SIGMOID, "z * (1 - z)", f"z (1 − z) stands in the place of the slope of `{SIGMOID}`, z = `x @ W`"),
    (SIGMOID, "f(h) * (1 - f(h))", f"σ' at h stands in the place of the slope of h = `{SIGMOID}`"),
    (TANH, "1 - z**2", f"1 − z² stands in the place of the slope of `{TANH}`, z = `x @ W`"),
]


@pytest.mark.parametrize(("function", "slope", "told"), OF_SLOPES)
def test_what_stands_in_the_place_of_a_slope_is_told_of_the_whole_function_however_many_steps_it_has(
    function: str, slope: str, told: str, tmp_path: Path
) -> None:
    outcome = judged(tmp_path, ACTIVATION.replace("FUNCTION", function).replace("SLOPE", slope))
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.sentence.startswith(f"dx, dW: {told} (")


def test_a_wrong_slope_in_every_turn_of_a_loop_is_one_mistake(tmp_path: Path) -> None:
    outcome = judged(
        tmp_path,
        """
        OPERATION, SIZES = {"x": "t d", "a": "d"}, {"t": [2, 3]}
        def forward(x, a):
            h = np.zeros((len(x) + 1, len(a)))
            for t in range(len(x)):
                h[t + 1] = 1 / (1 + np.exp(-(a * h[t] + x[t])))
            return h[1:], (x, a, h)
        def backward(dy, cache):
            x, a, h = cache
            dx, da, dh = np.zeros_like(x), np.zeros_like(a), np.zeros_like(a)
            for t in reversed(range(len(x))):
                dz = (dy[t] + dh) * (1 - h[t + 1])
                dx[t], da, dh = dz, da + dz * h[t], dz * a
            return dx, da
        """,
    )
    assert outcome.diagnosis is not None
    assert "1 − h stands in the place of the slope of h = " in outcome.diagnosis.sentence
