"""A file of operations is verified whole: one verdict for each, in sentences that its author can act on."""

import contextlib
import os
import re
import runpy
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.contents import is_network
from harness.judging import verify
from harness.outcomes import OPERATION, Outcome, Request
from manual_backprop.mistakes.operations import OPERATION_MISTAKES
from properties.operation.cases import OperationCase
from properties.search import Effort, Kind, Verdict

EXAMPLES = Path(__file__).parent.parent / "examples" / "operations"
EFFORT = Effort(cases=8, seed=1, shrinking=60)


def verified(path: Path, operation: str = OPERATION, effort: Effort = EFFORT, **options: Any) -> Outcome:
    """What comes of one operation of a file."""
    return verify(Request(str(path), effort, operation=operation, **options))


def written(folder: Path, source: str, name: str = "mine.py") -> Path:
    """A file with this text."""
    path = folder / name
    path.write_text("import numpy as np\n" + textwrap.dedent(source), "utf-8")
    return path


# --- What there is in a file ------------------------------------------------------------------------------------

NETWORKS = {
    "def gradient(parameters, inputs, targets): pass": True,
    "def step(parameters, inputs, targets, rate): pass": True,
    "def gradient(*arguments): pass": True,
    "from mine import gradient": True,
    "def gradient(x, y): pass\ndef forward(x, y): pass": False,
    "OPERATION = {'x': 'n'}\ndef gradient(parameters, inputs, targets): pass": False,
    "LAYER = None": False,
    "class Dense: pass": False,
    "def forward(x): pass\ndef backward(dy, cache): pass": False,
    "def (": True,
}


@pytest.mark.parametrize("source", NETWORKS)
def test_a_network_is_told_from_operations_by_the_text_alone(source: str, tmp_path: Path) -> None:
    assert is_network(str(written(tmp_path, source))) == NETWORKS[source]


def test_a_file_of_several_operations_tells_their_names() -> None:
    assert {"affine", "conv_naive", "svm_loss"} <= set(verified(EXAMPLES / "cs231n_layers.py").contents)
    assert verified(EXAMPLES / "layer_norm.py").contents == ()


def test_a_function_of_a_library_that_is_given_a_name_of_ours_is_meant(tmp_path: Path) -> None:
    source = """
        from numpy import gradient
        from scipy.optimize import rosen, rosen_der
        OPERATION, SIZES = {"x": "d"}, {"d": [3, 4]}
        forward, gradient = rosen, GRADIENT
    """
    right = verified(written(tmp_path, source.replace("GRADIENT", "rosen_der")))
    assert (right.verdict, right.message) == (Verdict.PASS, "")
    numpys = verified(written(tmp_path, source.replace("GRADIENT", "gradient")))
    assert "has forward and no derivative of it" in numpys.message


def test_a_layer_that_norms_its_parameter_in_forward_is_right(tmp_path: Path) -> None:
    source = """
        OPERATION = {"x": "n d", "W": "d m"}
        class Layer:
            def forward(self, x):
                self.scale = 1 / np.sqrt((self.W**2).sum() + 1)
                self.raw, self.W, self.x = self.W, self.W * self.scale, x
                return x @ self.W
            def backward(self, dy):
                g = self.x.T @ dy
                self.dW = g * self.scale - self.raw * self.scale**3 * (g * self.raw).sum()
                return dy @ self.W.T
        LAYER, PARAMETERS = Layer, {"W": "dW"}
    """
    outcome = verified(written(tmp_path, source))
    assert (outcome.verdict, outcome.message) == (Verdict.PASS, "")


# --- Verdicts ---------------------------------------------------------------------------------------------------


def test_a_right_operation_passes_and_says_what_would_have_failed() -> None:
    outcome = verified(EXAMPLES / "layer_norm.py")
    assert (outcome.verdict, outcome.message) == (Verdict.PASS, "")
    assert re.fullmatch(r"An error of \de-1\d in a typical entry would have failed\.", outcome.remark)


RIGHT = {
    "a batch normalisation, whose halves have its values": """
OPERATION = {"x": "n c", "gain": "c", "mean": {"axes": "c", "constant": True}}
OPTIONS = {"training": [True, False]}
def forward(x, gain, mean, training):
    centre, root = (x.mean(0), np.sqrt(x.var(0) + 1e-5)) if training else (mean, np.ones(x.shape[1]))
    h = (x - centre) / root
    return gain * h, (h, root, gain, training)
def backward(dy, cache):
    h, root, gain, training = cache
    dh = dy * gain
    both = dh.mean(0) + h * (dh * h).mean(0) if training else 0
    return (dh - both) / root, (dy * h).sum(0)
""",
    "a loss of data that is constant, with a penalty": """
OPERATION = {"W": "d k", "X": {"axes": "n d", "constant": True}, "y": {"axes": "n", "values": "labels", "below": "k"}}
def value_and_gradient(W, X, y):
    z = X @ W
    p = np.exp(z - z.max(1, keepdims=True)); p /= p.sum(1, keepdims=True)
    loss = -np.log(p[range(len(X)), y]).mean() + 0.5 * np.sum(W * W)
    p[range(len(X)), y] -= 1
    return loss, X.T @ p / len(X) + W
""",
    "a norm, which has no slope at 0": """
OPERATION = {"a": "n d", "b": "n d"}
def forward(a, b):
    na, nb = (np.sqrt((one * one).sum(1, keepdims=True)) for one in (a, b))
    s = (a * b).sum(1, keepdims=True) / (na * nb)
    return s[:, 0], (a, b, na, nb, s)
def backward(dy, cache):
    a, b, na, nb, s = cache
    return dy[:, None] * (b / (na * nb) - s * a / na**2), dy[:, None] * (a / (na * nb) - s * b / nb**2)
""",
    "one number, where known operations take the same inputs": """
OPERATION = {"x": "n d", "mu": "d", "log_s": "d"}
def forward(x, mu, log_s):
    z = (x - mu) * np.exp(-log_s)
    return -0.5 * (z**2).sum() - len(x) * log_s.sum(), (z, log_s)
def backward(dy, cache):
    z, log_s = cache
    dx = -dy * z * np.exp(-log_s)
    return dx, -dx.sum(0), dy * ((z**2).sum(0) - len(z))
""",
    "units that open where others close": """
OPERATION = {"x": "n d", "W1": "d h", "W2": "h d"}
def forward(x, W1, W2):
    z = x @ W1
    a = np.maximum(z, 0)
    return x + a @ W2, (x, W1, W2, z, a)
def backward(dy, cache):
    x, W1, W2, z, a = cache
    dz = (dy @ W2.T) * (z > 0)
    return dy + dz @ W1.T, x.T @ dz, a.T @ dy
""",
    "inputs that the file draws": """
BETWEEN = lambda rng, shape, sizes: rng.uniform(0.2, 0.8, shape)
OPERATION = {"a": "n", "b": "n", "share": {"axes": "n", "values": BETWEEN}}
def forward(a, b, share):
    return a * share + b * (1 - share), (a, b, share)
def backward(dy, cache):
    a, b, share = cache
    return dy * share, dy * (1 - share), dy * (a - b)
""",
    "a forward pass that is not finite everywhere": """
OPERATION = {"eta": "n", "y": {"axes": "n", "values": "labels", "below": 3}}
CUTS = np.array([-np.inf, -1.0, 1.0, np.inf])
def share(z): return 1 / (1 + np.exp(-z))
def forward(eta, y):
    hi, lo = share(CUTS[y + 1] - eta), share(CUTS[y] - eta)
    return -np.log(hi - lo).sum(), (hi, lo)
def backward(dy, cache):
    hi, lo = cache
    return dy * (hi * (1 - hi) - lo * (1 - lo)) / (hi - lo)
""",
    "a known operation whose mask has to let something through": """
def masked_attention_forward(q, k, v, mask):
    s = np.where(mask != 0, q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]), -np.inf)
    p = np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return p @ v, (q, k, v, p)
def masked_attention_backward(dy, cache):
    q, k, v, p = cache
    dp = dy @ v.swapaxes(-1, -2)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True)) / np.sqrt(q.shape[-1])
    return ds @ k, ds.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ dy
""",
    "a direction of which one number alone is no direction": """
OPERATION = {"x": "n d", "v": "d k", "g": "k"}
def forward(x, v, g):
    norm = np.sqrt((v**2).sum(0))
    w = g * v / norm
    return x @ w, (x, v, g, norm, w)
def backward(dy, cache):
    x, v, g, norm, w = cache
    dw = x.T @ dy
    dv = g / norm * (dw - v * (dw * v).sum(0) / norm**2)
    return dy @ w.T, dv, (dw * v / norm).sum(0)
""",
    "a known operation of which a course has another form": """
def dropout_forward(x, mask, *, rate=0.5):
    return x * mask / (1 - rate), (mask, rate)
def dropout_backward(dy, cache):
    mask, rate = cache
    return dy * mask / (1 - rate)
""",
    "a value with its gradient": """
OPERATION = {"L": "d d"}
def value_and_gradient(L):
    A = L @ L.T + np.eye(len(L))
    return np.linalg.slogdet(A)[1], 2 * np.linalg.inv(A) @ L
""",
    "an inverse, where matrices are drawn that have none": """
OPERATION = {"A": "n n"}
def forward(A):
    B = np.linalg.inv(A)
    return B, B
def backward(dB, B): return -B.T @ dB @ B.T
""",
    "a determinant, whose derivative takes an inverse": """
OPERATION = {"A": "n n"}
def forward(A): return np.linalg.det(A)
def backward(dy, A): return dy * np.linalg.det(A) * np.linalg.inv(A).T
""",
}


@pytest.mark.parametrize("source", RIGHT.values(), ids=RIGHT)
def test_a_right_operation_passes_at_its_limits_too(source: str, tmp_path: Path) -> None:
    outcome = verified(written(tmp_path, source), effort=Effort(cases=25, seed=4, shrinking=60))
    assert (outcome.verdict, outcome.message) == (Verdict.PASS, "")
    assert "same buffer" not in outcome.remark
    assert " nan " not in outcome.remark


def test_a_backward_pass_may_refuse_what_has_no_gradient_and_nothing_else(tmp_path: Path) -> None:
    source = """
    OPERATION = {"x": "n"}
    def forward(x): return x @ x
    def backward(dy, x): return dy * 2 * np.linalg.inv(np.outer(x, x) * 0) @ x
    """
    outcome = verified(written(tmp_path, source))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.message.startswith("backward raised LinAlgError: Singular matrix (line 5 of mine.py).")


def test_a_forward_pass_that_refuses_all_numbers_is_not_charged_with_them(tmp_path: Path) -> None:
    source = """
    OPERATION = {"A": "n n"}
    def forward(A):
        L = np.linalg.cholesky(A - 100 * np.eye(len(A)))
        return L, L
    def backward(dL, L): return dL
    """
    outcome = verified(written(tmp_path, source))
    assert outcome.verdict is Verdict.INCONCLUSIVE
    assert (
        "forward raised LinAlgError: Matrix is not positive definite (line 5 of mine.py)" in outcome.message
    )


def test_the_smallest_case_has_the_smallest_of_the_sizes_in_whatever_order_they_are_given(
    tmp_path: Path,
) -> None:
    source = """
    OPERATION, SIZES = {"x": "n k"}, {"n": [7, 4, 9], "k": range(6, 2, -1)}
    def forward(x): return np.sin(x)
    def backward(dy, x): return -dy * np.cos(x)
    """
    outcome = verified(written(tmp_path, source))
    assert outcome.counterexample is not None
    case = outcome.counterexample[1]
    assert isinstance(case, OperationCase)
    assert case.sizes == {"n": 4, "k": 3}


def test_a_wrong_one_fails_with_the_smallest_case_as_python_that_runs_it(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "layer_norm.py"  # whose name says what it is
    path.write_text((EXAMPLES / "layer_norm_wrong.py").read_text("utf-8"), "utf-8")
    outcome = verified(path)
    assert outcome.verdict is Verdict.FAIL
    found = re.fullmatch(
        r"dx\[0, (\d)\] is (\S+), and should be (\S+) \(.*\)\. Wrong are dx: .*\.", outcome.message
    )
    assert found is not None
    assert abs(float(found[2]) - float(found[3])) > 1e-2 * abs(float(found[2]))  # seen at a glance
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.where == "dx: 2 of 2 entries, dgain, dshift are right"
    assert outcome.diagnosis.note == "forward agrees with layer_norm: it is the derivative that is wrong."
    assert outcome.counterexample is not None
    path = list(sys.path)
    exec(outcome.counterexample[1].as_python(), {})  # noqa: S102  (that is the claim)
    sys.path[:] = path
    assert found[2].rstrip("0")[:6] in capsys.readouterr().out


def test_the_names_of_an_operation_of_two_are_its_own() -> None:
    outcome = verified(EXAMPLES / "cs231n_layers_wrong.py", "softmax_loss")
    assert outcome.subject.endswith("cs231n_layers_wrong.py: softmax_loss")
    assert outcome.verdict is Verdict.FAIL
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.mistakes == ("factor",)
    assert outcome.diagnosis.sentence.startswith("dx: ")


TWINS = {
    "max_pool2d.every_tie_gets_all": "the shares of all who take part add up to one whole",
    "conv2d.padding_cut_by_a_negative_index": "dx has shape (1, 1, 0, 0), and has to have (1, 1, ",
    "embedding.last_use_stays": "dW[",
    "dropout.scale_forgotten": "dx[",
}


@pytest.mark.parametrize("name", TWINS)
def test_a_mistake_on_a_page_fails(name: str, tmp_path: Path) -> None:
    mistake = OPERATION_MISTAKES[name]
    path = tmp_path / f"{mistake.operation}.py"
    path.write_text(mistake.source, "utf-8")
    outcome = verified(path, effort=Effort(cases=25, seed=1, shrinking=20))
    assert outcome.verdict is Verdict.FAIL
    assert TWINS[name] in outcome.message


# --- The forward pass and its reference -------------------------------------------------------------------------

BIASED = """
OPERATION = {"x": "n d"}
REFERENCE = "layer_norm_without_affine"
def forward(x):
    c = x - x.mean(axis=1, keepdims=True)
    s = np.sqrt((c**2).sum(axis=1, keepdims=True) / max(1, x.shape[1] - 1) + 1e-5)
    return c / s, (c, s)
def backward(dy, cache):
    c, s = cache
    h = c / s
    mean = dy.mean(axis=1, keepdims=True)
    return (dy - mean - h * (dy * h).sum(axis=1, keepdims=True) / max(1, c.shape[1] - 1)) / s
"""


def test_a_forward_pass_that_is_not_its_reference_is_told_beside_a_derivative_that_is_right_for_it(
    tmp_path: Path,
) -> None:
    outcome = verified(written(tmp_path, BIASED))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.message.startswith("forward differs from layer_norm_without_affine, its REFERENCE: y[0, ")
    assert outcome.message.endswith("; backward is right for *your* forward.")
    assert outcome.remark.startswith("Judged by the program of your own forward pass: it is not layer_norm")


def test_a_derivative_that_is_right_for_the_reference_is_not_accused_where_forward_is_another_function(
    tmp_path: Path,
) -> None:
    meant = BIASED.replace(
        "return c / s, (c, s)", "return c / s, (c, np.sqrt((c**2).mean(axis=1, keepdims=True) + 1e-5))"
    )
    meant = meant.replace(
        "(dy * h).sum(axis=1, keepdims=True) / max(1, c.shape[1] - 1)", "(dy * h).mean(axis=1, keepdims=True)"
    )
    outcome = verified(written(tmp_path, meant), effort=Effort(cases=2, seed=1, shrinking=20))
    assert [record.kind for record in outcome.records if record.verdict is Verdict.FAIL] == [Kind.VALUE]
    assert outcome.message.startswith("forward differs from layer_norm_without_affine, its REFERENCE: y[")
    assert outcome.message.endswith("; backward is right for layer_norm_without_affine.")
    assert outcome.remark.startswith(
        "The derivative is judged as that of layer_norm_without_affine, its REFERENCE"
    )
    wrong = verified(written(tmp_path, meant.replace("dy - mean", "dy")))
    assert wrong.message.startswith("dx[0, ")


def test_where_both_are_wrong_both_are_told(tmp_path: Path) -> None:
    outcome = verified(written(tmp_path, BIASED.replace("dy - mean", "dy")))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.message.startswith("dx[0, ")
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.note.startswith(
        "forward differs from layer_norm_without_affine, its REFERENCE, too:"
    )


# --- Kept between calls -----------------------------------------------------------------------------------------

KEEPS = """
OPERATION = {"x": "n d", "w": "d"}
SIZES = {"n": [2], "d": [3]}
last = {}
def forward(x, w):
    last.setdefault("x", x)
    return (x * w).sum(axis=1) ** 2, w
def backward(dy, w):
    s = 2 * dy * (last["x"] * w).sum(axis=1)
    return s[:, None] * w, s @ last["x"]
"""


def test_a_case_that_is_wrong_after_another_call_alone_is_printed_with_that_call(tmp_path: Path) -> None:
    path = written(tmp_path, KEEPS)
    outcome = verified(path, only=("gradient_equals_the_derivative",))
    assert outcome.message.startswith("The same call gives different answers. In one of them: d")
    assert outcome.counterexample is not None
    printed: dict[str, Any] = {}
    exec(outcome.counterexample[1].as_python(), printed)  # noqa: S102  (ours)
    alone = runpy.run_path(str(path))
    _, cache = alone["forward"](printed["x"], printed["w"])
    after, right = (module["backward"](printed["dy"], cache) for module in (printed, alone))
    assert not all(np.array_equal(one, other) for one, other in zip(after, right, strict=True))


# --- Without a program ------------------------------------------------------------------------------------------

OF_LOOPS = """
    OPERATION = {{"x": "n d", "W": "d m", "b": "m"}}
    def forward(x, W, b):
        y = np.array([[float(row @ column + one) for column, one in zip(W.T, b)] for row in x])
        return np.tanh(y), (x, W, y)
    def backward(dy, cache):
        x, W, y = cache
        slope = 1 / np.cosh(y) ** 2
        d = dy * slope
        return d @ W.T, {dW}, {db}
"""
"""No program is read of a number that is asked for."""


SHOWN_BY_NUMBERS = {  # what is told, of which dW and db
    "dW is −1 times the right one; db comes from the first entries of the cotangent's axis 0": (
        "-x.T @ d",
        "d[0]",
    ),
    "dW is right for a cotangent of ones: the cotangent is ignored; db is 0": ("x.T @ slope", "0 * d[0]"),
    "db is right for the mean of the cotangent over axis 0": ("x.T @ d", "dy.mean(0) * slope.sum(0)"),
    "dW is n times the right one; db is 1/n times the right one": ("x.T @ d * len(x)", "d.mean(axis=0)"),
    "": ("x.T @ d + W", "np.sort(d.sum(axis=0))"),
}


@pytest.mark.parametrize("told", SHOWN_BY_NUMBERS)
def test_what_the_numbers_show_by_themselves_is_told_where_no_program_is_read(
    told: str, tmp_path: Path
) -> None:
    dW, db = SHOWN_BY_NUMBERS[told]
    outcome = verified(written(tmp_path, OF_LOOPS.format(dW=dW, db=db)))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.explanation.startswith(told)
    assert bool(outcome.diagnosis.explanation) == bool(told)


OF_A_FILTER = """
OPERATION = {"logq": "", "y": {"axes": "t", "constant": True}}
SIZES = {"t": [1, *range(3, 15)]}
def value_and_gradient(logq, y):
    q, m, P, dm, dP, s, g = np.exp(logq), 0.0, 1.0, 0.0, 0.0, 0.0, 0.0
    for one in y:
        P, dP = P + q, dP + q
        v, S = one - m, P + 1
        s += np.log(S) + v * v / S
        g += dP / S - 2 * v * dm / S - v * v * dP / S**2
        K, dK = P / S, dP / S**2
        m, dm = m + K * v, dm + dK * v
        P, dP = (1 - K) * P, (1 - K) * dP
    return s, g
"""
"""The gradient lacks a product in dK: no single step."""


def test_a_number_that_fits_one_size_alone_is_no_factor(tmp_path: Path) -> None:
    outcome = verified(written(tmp_path, OF_A_FILTER))  # of a loop there is another program at each size
    assert outcome.verdict is Verdict.FAIL
    assert outcome.diagnosis is not None
    assert (outcome.diagnosis.mistakes, outcome.diagnosis.explanation) == ((), "")


def test_the_evidence_counts_the_cases_that_have_the_program(tmp_path: Path) -> None:
    source = """
        OPERATION = {"a": "", "y": {"axes": "t", "constant": True}}
        def value_and_gradient(a, y):
            m, s, dm, ds = 0.0, 0.0, 0.0, 0.0
            for one in y:
                m, dm = a * m + one, m + a * dm
                s, ds = s + m * m, ds + m * dm
            return s, ds
    """
    outcome = verified(written(tmp_path, source))
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.sentence.startswith("da: da is halved")
    assert outcome.diagnosis.evidence.endswith("the same gradients in 2 cases")


def test_shares_of_a_tie_that_are_no_whole_are_wrong_where_the_program_has_others(tmp_path: Path) -> None:
    source = """
        OPERATION = {"x": {"axes": "n d", "values": "ties"}}
        def forward(x):
            middle = np.median(x, axis=1, keepdims=True)
            return np.abs(x - middle).mean(axis=1), np.sign(x - middle) / x.shape[1]
        def backward(dy, slope): return dy[:, None] * slope
    """
    outcome = verified(written(tmp_path, source), effort=Effort(100, 0, shrinking=60))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.message.endswith("at a tie the shares of all who take part add up to one whole.")


def test_what_is_wrong_is_named_where_the_file_draws_its_own_numbers(tmp_path: Path) -> None:
    source = """
        def apart(rng, shape, sizes): return 1 + rng.random(shape)
        OPERATION = {"x": {"axes": "n d", "values": apart}}
        def forward(x): return np.log(x), x
        def backward(dy, x): return -dy / x
    """
    outcome = verified(written(tmp_path, source))
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.sentence.startswith("dx: dx has the wrong sign")


# --- What is printed shows what is wrong ------------------------------------------------------------------------

OF_SQUARES = """
OPERATION = {"x": "n d"}
def forward(x): return x**2, x
"""
SHOWN = {  # a property, and a file of which it does not hold
    "second_backward_gives_the_same": """
OPERATION = {"x": "n d", "g": "d"}
def forward(x, g): return x * g, {"x": x, "g": g, "dg": np.zeros_like(g)}
def backward(dy, cache):
    cache["dg"] += (dy * cache["x"]).sum(axis=0)
    return dy * cache["g"], cache["dg"].copy()
""",
    "memory_layout_does_not_matter": OF_SQUARES
    + "def backward(dy, x): return (2 if x.flags.c_contiguous else 1) * x * dy",
    "same_call_gives_the_same_answer": """
OPERATION = {"x": "n d"}
def forward(x):
    m = np.random.default_rng().random(x.shape)
    return x * m, m
def backward(dy, m): return dy * m
""",
    "scaling_the_cotangent_scales_the_gradient": OF_SQUARES + "def backward(dy, x): return 2 * x * abs(dy)",
    "gradient_of_a_batch_is_that_of_its_samples": OF_SQUARES
    + "def backward(dy, x): return 2 * x * dy * (1 + (len(x) > 1))",
}


def printed(outcome: Outcome) -> list[str]:
    """What the smallest case prints where it is pasted, a text for each call of `print`."""
    assert outcome.counterexample is not None
    told, path = list[str](), list(sys.path)
    names = {"print": lambda *values: told.append(" ".join(map(str, values)))}
    exec(outcome.counterexample[1].as_python(), names)  # noqa: S102  (that is the claim)
    sys.path[:] = path
    return told


@pytest.mark.parametrize("name", SHOWN)
def test_the_smallest_case_that_is_printed_shows_that_the_property_does_not_hold(
    name: str, tmp_path: Path
) -> None:
    first, second, *_ = printed(
        verified(written(tmp_path, SHOWN[name]), effort=Effort(40, 1, shrinking=60), only=(name,))
    )
    assert first != second


def test_an_input_that_is_changed_is_printed_afterwards(tmp_path: Path) -> None:
    source = OF_SQUARES + "def backward(dy, x):\n    x *= 2\n    return x * dy"
    outcome = verified(written(tmp_path, source), only=("forward_leaves_its_inputs_alone",))
    assert outcome.message == "backward changes its input x in place: work on a copy"
    assert outcome.counterexample is not None
    case: Any = outcome.counterexample[1]
    assert printed(outcome)[1] == str(2 * case.inputs["x"])


def test_a_second_derivative_that_is_wrong_is_printed(tmp_path: Path) -> None:
    source = """
        OPERATION = {"x": "d"}
        def forward(x): return (x**4).sum()
        def gradient(x): return 4 * x**3
        def hessian(x): return np.diag(12 * x)
    """
    outcome = verified(written(tmp_path, source))
    found = re.fullmatch(r"hessian\[0, 0\] is (\S+), and should be .*", outcome.message)
    assert found is not None
    assert float(found[1]) == float(printed(outcome)[1].strip("[] "))


def test_a_forward_pass_that_gives_nothing_to_go_back_from_is_called_alone(tmp_path: Path) -> None:
    source = OF_SQUARES.replace("x**2", "x > 0") + "def backward(dy, x): return 0 * x"
    outcome = verified(written(tmp_path, source))
    assert outcome.message == "what forward returns has dtype bool; it has to hold floats."
    assert printed(outcome) == ["[[False]]"]


def test_a_size_is_printed_where_a_call_takes_it_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "n").mkdir()
    source = OF_SQUARES + "def backward(dy, x): return x * dy"
    outcome = verified(written(tmp_path / "n", source))
    assert outcome.counterexample is not None
    assert "n = " not in outcome.counterexample[1].as_python()


# --- Declared besides -------------------------------------------------------------------------------------------

OF_A_SCORE = """
OPERATION = {"w": "d", "X": {"axes": "n d", "constant": True}}
def value_and_gradient(w, X):
    p = np.tanh(X @ w)
    return p.sum(), X.T @ (1 - p**2)
def hessian(w, X):
    p = np.tanh(X @ w)
    return X.T @ ((-2 * p * (1 - p**2))[:, None] * X)
"""
DECLARED: dict[str, tuple[str, str, str]] = {
    "a Hessian": (OF_A_SCORE, "-2 * p", "hessian[0, 0] is "),
    "a product with the Hessian": (
        OF_A_SCORE.replace(
            "def hessian(w, X):", "def hvp(inputs, tangents):\n    (w, X), (v,) = inputs, tangents"
        ).replace("[:, None] * X)", "* (X @ v))"),
        "-2 * p",
        "hvp[0] is ",
    ),
    "a function that stands in": (
        """
OPERATION = {"x": "n d"}
def forward(x): return np.sign(x), x
def backward(dy, x): return dy * (abs(x) < 1)
def stand_in(x): return np.clip(x, -1, 1)
""",
        "dy * (abs(x) < 1)",
        "dx[",
    ),
    "an output without a derivative": (
        """
OPERATION = {"x": "n d"}
OUTPUTS = [True, False]
def forward(x): return np.sin(x), np.round(x), x
def backward(dy, counts, x): return dy * np.cos(x)
""",
        "np.cos(x)",
        "dx[",
    ),
    "single precision inside": (
        """
OPERATION = {"x": "n d"}
REFERENCE = "tanh"
DTYPE = "float32"
def forward(x):
    y = np.tanh(x.astype("f4"))
    return y, y
def backward(dy, y): return (dy * (1 - y * y)).astype("f4")
""",
        "y * y",
        "dx[",
    ),
    "an axis of size 0": (
        """
OPERATION = {"x": "n d"}
SIZES = {"n": [0, 2, 3]}
def forward(x): return np.sin(x).sum(axis=0), x
def backward(dy, x): return dy * np.cos(x)
""",
        "dy * np.cos(x)",
        "dx[",
    ),
}


@pytest.mark.parametrize("name", DECLARED)
def test_what_a_file_declares_is_right_or_told(name: str, tmp_path: Path) -> None:
    source, part, sentence = DECLARED[name]
    outcome = verified(written(tmp_path, source))
    assert (outcome.verdict, outcome.message) == (Verdict.PASS, "")
    twin = written(tmp_path, source.replace(part, f"1.01 * {part}"), "twin.py")
    outcome = verified(twin, effort=Effort(cases=8, seed=1, shrinking=5))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.message.startswith(sentence)


NEARLY = """
OPERATION = {"x": "n d"}
REFERENCE = "gelu_tanh"
def forward(x):
    t = np.tanh(0.79788456 * (x + 0.044715 * x**3))
    return 0.5 * x * (1 + t), (x, t)
def backward(dy, cache):
    x, t = cache
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * 0.79788456 * (1 + 3 * 0.044715 * x**2))
"""


def test_a_constant_of_nine_digits_is_unstable_and_one_of_three_is_wrong(tmp_path: Path) -> None:
    outcome = verified(written(tmp_path, NEARLY))
    assert outcome.verdict is Verdict.UNSTABLE
    assert re.search(r"right to \d+ digits: a constant, or an ε, is rounded", outcome.message)
    wrong = NEARLY.replace("(1 - t**2) * 0.79788456", "(1 - t**2) * 0.798")
    assert verified(written(tmp_path, wrong, "wrong.py")).verdict is Verdict.FAIL


# --- Broken and hostile -----------------------------------------------------------------------------------------

SCALE = """
import os, sys
OPERATION = {"x": "n d", "gain": "d"}
def forward(x, gain): return x * gain, (x, gain)
def backward(dy, cache):
    x, gain = cache
    return dy * gain, (dy * x).sum(axis=0)
"""


def instead(old: str, new: str) -> str:
    """The right file with a part replaced."""
    assert old in SCALE
    return SCALE.replace(old, new)


def first(line: str) -> str:
    """The right file with a line at the beginning of its backward pass."""
    return instead("    x, gain = cache", f"    {line}\n    x, gain = cache")


GAIN = '"gain": "d"'
RETURNED = "return dy * gain, (dy * x).sum(axis=0)"
STATIC = "BUFFER = {}\ndef kept(dy): return BUFFER.setdefault((dy.shape, dy.dtype), np.zeros_like(dy))\n"
HOSTILE: dict[str, tuple[str, Verdict, str]] = {
    "dy changed in place": (
        instead(RETURNED, "dgain = (dy * x).sum(axis=0); dy *= gain; return dy, dgain"),
        Verdict.FAIL,
        "a second backward pass with the same dy and cache gives a different dx: the first call changes dy in place",
    ),
    "one buffer for all": (
        STATIC + instead(RETURNED, "b = kept(dy); b[...] = dy * gain; return b, (dy * x).sum(axis=0)"),
        Verdict.PASS,
        "returns dx in the same buffer every time: copy it before the next call.",
    ),
    "adds up from call to call": (
        STATIC + instead(RETURNED, "b = kept(dy); b += dy * gain; return b.copy(), (dy * x).sum(axis=0)"),
        Verdict.FAIL,
        "The same call gives different answers.",
    ),
    "a cache that it empties": (
        instead("(x, gain)\ndef", "[x, gain]\ndef").replace(
            "x, gain = cache", "gain = cache.pop(); x = cache.pop()"
        ),
        Verdict.PASS,
        "can be called once for each forward pass: backward raised IndexError",
    ),
    "gradients exchanged": (
        instead(GAIN, '"gain": "n d"').replace(RETURNED, "return dy * x, dy * gain"),
        Verdict.FAIL,
        "Wrong are dx: ",
    ),
    "NaN": (instead("dy * gain,", "dy * gain * np.nan,"), Verdict.FAIL, "dx has NaN in "),
    "complex numbers": (
        instead("dy * gain,", "dy * gain * 1j,"),
        Verdict.FAIL,
        "dx is complex where the input is real",
    ),
    "a masked array": (
        instead("dy * gain,", "np.ma.array(dy * gain),"),
        Verdict.FAIL,
        "dx is a masked array",
    ),
    "random without a seed": (
        instead(
            "return x * gain,", "gain = gain * np.random.default_rng().random(len(gain)); return x * gain,"
        ),
        Verdict.FAIL,
        "The same call gives different answers. forward gives different outputs for the same inputs",
    ),
    "another shape every time": (
        "CALLS = []\n" + instead("return x * gain,", "CALLS.append(1); return (x * gain)[len(CALLS) % 2:],"),
        Verdict.FAIL,
        "dx has shape (",
    ),
    "no end of calls": (first("return backward(dy, cache)"), Verdict.FAIL, "backward raised RecursionError"),
    "a long story": (
        first("raise RuntimeError('no' * 9999)"),
        Verdict.FAIL,
        "backward raised RuntimeError: nono",
    ),
    "an interrupt": (first("raise KeyboardInterrupt"), Verdict.FAIL, "backward raised KeyboardInterrupt"),
    "no modules": (first("sys.modules.clear()"), Verdict.FAIL, "backward raised "),
    "another NumPy": (first("np.asarray = np.array = np.copyto = None"), Verdict.PASS, ""),
    "no channels": (
        first("[os.close(i) for i in range(3, 99) if os.path.exists(f'/proc/self/fd/{i}')]"),
        Verdict.FAIL,
        "backward broke the channel to the judge",
    ),
    "noise on all channels": (first("os.write(1, bytes(99999)); print('no' * 99999)"), Verdict.PASS, ""),
    "the end of its process": (
        first("os._exit(0)"),
        Verdict.FAIL,
        "backward ended Python with exit status 0",
    ),
    "a signal": (
        first("os.kill(os.getpid(), 11)"),
        Verdict.FAIL,
        "backward crashed Python: Segmentation fault.",
    ),
    "children": (first("import subprocess; subprocess.Popen(['sleep', '1000'])"), Verdict.PASS, ""),
    "threads": (
        first("import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start()"),
        Verdict.PASS,
        "",
    ),
    "errors for warnings": ("import warnings; warnings.simplefilter('error')" + SCALE, Verdict.PASS, ""),
    "the end at its import": (
        "raise SystemExit(2)" + SCALE,
        Verdict.ERROR,
        "Importing mine.py called sys.exit(2)",
    ),
    "no valid sizes": (
        SCALE + "def valid(sizes, options): return False",
        Verdict.ERROR,
        "Of 2000 combinations of sizes (n, d) and options (none) not one is valid",
    ),
    "an axis that is none": (
        SCALE + "def valid(sizes, options): return sizes['k'] > 1",
        Verdict.ERROR,
        "valid raised KeyError: 'k'",
    ),
    "values of another shape": (
        instead(GAIN, '"gain": {"axes": "d", "values": lambda rng, shape, sizes: np.ones(7)}'),
        Verdict.ERROR,
        "OPERATION.gain.values returns an array of shape (7,), and gain has (",
    ),
    "values that raise": (
        instead(GAIN, '"gain": {"axes": "d", "values": lambda rng, shape, sizes: 1 / 0}'),
        Verdict.ERROR,
        "OPERATION.gain.values raised ZeroDivisionError",
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_broken_or_hostile_is_one_sentence_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    source, verdict, sentence = HOSTILE[name]
    mark = f"mark-{os.getpid()}-{list(HOSTILE).index(name)}"
    path = written(tmp_path, f"import os as _os; _os.environ['MARK'] = '{mark}'\n{source}")
    outcome = verified(path, effort=Effort(cases=6, seed=1, shrinking=10))
    assert outcome.verdict is verdict, outcome.message
    told = outcome.message or outcome.remark
    assert sentence in told
    assert len(told.partition("\n")[0]) < LONGEST
    assert "manual-backprop itself" not in told
    assert [one.name for one in tmp_path.iterdir() if one.name != "__pycache__"] == ["mine.py"]
    assert processes(mark) == []


LONGEST = 600
"""Characters of what is told of one fault."""


def processes(mark: str) -> list[str]:
    """Those that carry the mark in their environment."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes():
                found.append(process.name)
    return found


def test_an_endless_loop_ends_with_its_limit(tmp_path: Path) -> None:
    outcome = verified(written(tmp_path, first("while True: pass")), seconds=12.0)
    assert outcome.verdict is Verdict.FAIL
    assert outcome.message.startswith("backward did not finish within 1 s")
