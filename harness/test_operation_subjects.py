"""Every way in which people write a derivative is met as it is; what doesn't fit is told in one sentence."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import worker
from harness.contract import ContractError
from harness.isolation import Limits
from harness.loading import UnusableSubject
from harness.operation_subject import KNOWN as KNOWN_OPERATIONS
from harness.operation_subject import Loaded, OperationSubject, load_operations
from harness.pasted import calls
from properties.conventions import CONVENTIONS
from properties.operation.cases import OperationCase, Seeded, make
from properties.search import SubjectGone
from reference.arithmetic.bounded import Bounding
from reference.operations.operation import Input, Operation

EXAMPLES = Path(__file__).parent.parent / "examples" / "operations"
Arrays = dict[str, Any]
Load = Callable[..., Loaded]

RNG = np.random.default_rng(5)


def quarters(*shape: int) -> Any:
    """Numbers such as 1.25 and -0.5: sums of products of a few are exact, in any order."""
    return RNG.integers(-8, 9, shape) / 4


X, W, B = quarters(4, 3), quarters(3, 2), quarters(2)
DY = quarters(4, 2)
DENSE = {"x": X, "W": W, "b": B}
DENSE_GRADIENT = {"x": DY @ W.T, "W": X.T @ DY, "b": DY.sum(axis=0)}
LINES = "import numpy as np\n"
SAID = 'OPERATION = {"x": "n d", "W": "d k", "b": "k"}\n'


@contextmanager
def loaded(folder: Path, source: str, **options: Any) -> Generator[Loaded]:
    """The operations of a file mine.py with this text."""
    path = folder / "mine.py"
    path.write_text(LINES + textwrap.dedent(source), "utf-8")
    with load_operations(path, **options) as found:
        yield found


def gradients_of(subject: OperationSubject, inputs: Arrays, cotangents: list[Any], **options: Any) -> Arrays:
    """Of a forward and a backward pass."""
    return subject.vjp(inputs, cotangents, options).gradients


def assert_equal(found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> None:
    """Whether the arrays are the same, to the last digit: the numbers of these tests are not rounded."""
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


DOUBLE = Bounding()
"""How far two programs in float64 may differ: its unit roundoff is that of both together."""


def assert_within(found: Any, expected: Any, bound: Any) -> None:
    """Whether rounding explains what two arrays differ by."""
    assert np.shape(found) == np.shape(expected)
    assert (np.abs(found - expected) <= bound).all()


# --- A dense layer, in every style --------------------------------------------------------------------------

DENSE_STYLES = {
    "a pair with a cache": SAID
    + """
def forward(x, W, b): return x @ W + b, (x, W)
def backward(dy, cache):
    x, W = cache
    return dy @ W.T, x.T @ dy, dy.sum(axis=0)
""",
    "a pair that takes the inputs": SAID
    + """
def forward(x, W, b): return x @ W + b
def backward(dy, x, W, b): return dy @ W.T, x.T @ dy, dy.sum(axis=0)
""",
    "gradients in a dict": SAID
    + """
def forward(x, W, b): return x @ W + b, (x, W)
def backward(dy, cache):
    x, W = cache
    return {"db": dy.sum(axis=0), "dW": x.T @ dy, "dx": dy @ W.T}
""",
    "an object as cache": SAID
    + """
class Cache: pass
def forward(x, W, b):
    cache = Cache()
    cache.x, cache.W = x, W
    return x @ W + b, cache
def backward(dy, cache): return dy @ cache.W.T, cache.x.T @ dy, dy.sum(axis=0)
""",
    "a function as cache": SAID
    + """
def forward(x, W, b): return x @ W + b, lambda dy: (dy @ W.T, x.T @ dy, dy.sum(axis=0))
def backward(dy, cache): return cache(dy)
""",
    "a cache in a global": SAID
    + """
def forward(x, W, b):
    global kept
    kept = x, W
    return x @ W + b
def backward(dy): return dy @ kept[1].T, kept[0].T @ dy, dy.sum(axis=0)
""",
    "a Jacobian": SAID
    + """
def forward(x, W, b): return x @ W + b
def jacobian(x, W, b):
    (n, d), k = x.shape, len(b)
    dx, dW = np.zeros((n, k, n, d)), np.zeros((n, k, d, k))
    for i in range(n):
        dx[i, :, i, :] = W.T
        for j in range(k): dW[i, j, :, j] = x[i]
    return dx, dW, np.tile(np.eye(k), (n, 1, 1))
""",
    "a forward derivative": SAID
    + """
def forward(x, W, b): return x @ W + b
def jvp(inputs, tangents):
    (x, W, b), (dx, dW, db) = inputs, tangents
    return dx @ W + x @ dW + db
""",
    "a forward derivative with the value": SAID
    + """
def forward(x, W, b): return x @ W + b
def jvp(inputs, tangents):
    (x, W, b), (dx, dW, db) = inputs, tangents
    return x @ W + b, dx @ W + x @ dW + db
""",
    "a class": SAID
    + """
class Dense:
    def forward(self, x):
        self.x = x
        return x @ self.W + self.b
    def backward(self, dy):
        self.dW, self.db = self.x.T @ dy, dy.sum(axis=0)
        return dy @ self.W.T
""",
    "a class that is made with sizes, and keeps dicts": """
OPERATION = {"x": "n fan_in", "W": "fan_in units", "b": "units"}
PARAMETERS = {"params['W']": "grads['W']", "params['b']": "grads['b']"}
class Dense:
    def __init__(self, fan_in, units):
        self.params = {"W": np.zeros((fan_in, units)), "b": np.zeros(units)}
        self.grads = {}
    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]
    def backward(self, dy):
        self.grads["W"], self.grads["b"] = self.x.T @ dy, dy.sum(axis=0)
        return dy @ self.params["W"].T
LAYER = Dense
""",
    "a class whose part has other names for them": SAID
    + """
PARAMETERS = {
    "W": ["layers[0].params['w']", "layers[0].grads['w']"],
    "b": ("layers[0].params['B']", "layers[0].grads['B']"),
}
class Dense:
    def __init__(self): self.params, self.grads = {}, {}
class Sequential:
    def __init__(self): self.layers = [Dense()]
    def forward(self, x):
        self.x = x
        return x @ self.layers[0].params["w"] + self.layers[0].params["B"]
    def backward(self, dy):
        self.layers[0].grads.update(w=self.x.T @ dy, B=dy.sum(axis=0))
        return dy @ self.layers[0].params["w"].T
LAYER = Sequential
""",
    "a class that is made with its parameters, once, and adds up": SAID
    + """
ONCE = True
PARAMETERS = {"W": "grad_W", "b": "grad_b"}
class Dense:
    def __init__(self, W, b): self.W, self.b = W, b; self.zero_grad()
    def zero_grad(self): self.grad_W, self.grad_b = 0, 0
    def forward(self, x):
        self.x = x
        return x @ self.W + self.b
    def backward(self, dy):
        self.grad_W = self.grad_W + self.x.T @ dy
        self.grad_b = self.grad_b + dy.sum(axis=0)
        return dy @ self.W.T
LAYER = Dense
""",
    "a pair by its name": """
OPERATIONS = {"mine": {"x": "n d", "W": "d k", "b": "k"}}
def forward_mine(x, W, b): return x @ W + b, (x, W)
def backward_mine(dy, cache): return dy @ cache[1].T, cache[0].T @ dy, dy.sum(axis=0)
""",
    "functions that an entry names": """
def f(x, W, b): return x @ W + b, (x, W)
def df(dy, cache): return dy @ cache[1].T, cache[0].T @ dy, dy.sum(axis=0)
OPERATIONS = {"mine": {"inputs": {"x": "n d", "W": "d k", "b": "k"}, "forward": f, "backward": "df"}}
""",
}


@pytest.mark.parametrize("style", DENSE_STYLES)
def test_a_dense_layer_gives_its_gradients_in_every_style(style: str, tmp_path: Path) -> None:
    with loaded(tmp_path, DENSE_STYLES[style]) as found:
        (subject,) = found.subjects
        inputs = dict(zip(subject.declaration.inputs, DENSE.values(), strict=True))
        forward = subject.forward(inputs)
        np.testing.assert_array_equal(forward.outputs[0], X @ W + B)
        first = subject.backward(forward, [DY])
        assert_equal(first.gradients, DENSE_GRADIENT)
        assert_equal(subject.backward(forward).gradients, DENSE_GRADIENT)  # the very same dy once more
        assert forward.manners.mutated == first.manners.mutated == ()
        other = subject.vjp({**inputs, "x": 2 * X}, [DY]).gradients  # nothing is left of the case before
        assert_equal(other, {**DENSE_GRADIENT, "W": 2 * DENSE_GRADIENT["W"]})
        assert (found.missing, found.network) == ((), False)
        places = [{**inputs, "x": times * X} for times in (1, 2, 3)]
        for times, outputs in zip((1, 2, 3), subject.forwards(places), strict=True):
            np.testing.assert_array_equal(outputs, [times * X @ W + B])


def test_outputs_in_a_buffer_that_the_next_call_overwrites_are_those_of_their_own_place(
    tmp_path: Path,
) -> None:
    source = """
    OPERATION = {"x": "n"}
    buffer = np.empty(3)
    def forward(x): return np.multiply(x, 2, out=buffer)
    def backward(dy, x): return 2 * dy
    """
    with loaded(tmp_path, source) as found:
        several = list(found.subjects[0].forwards([{"x": np.full(3, float(x))} for x in range(4)]))
    np.testing.assert_array_equal(several, [[[2.0 * x] * 3] for x in range(4)])


def test_where_one_of_several_places_has_no_outputs_or_takes_long_the_others_have_theirs(
    tmp_path: Path,
) -> None:
    source = """
    import time
    OPERATION = {"x": ""}
    def forward(x):
        if x == 2: raise ValueError("not here")
        if x == 5: raise KeyboardInterrupt
        time.sleep(0.1)
        return (x, x) if x == 3 else 2 * x
    def gradient(x): return 2.0
    """
    with loaded(tmp_path, source) as found:
        several = list(found.subjects[0].forwards([{"x": float(x)} for x in range(7)]))
    assert [[float(*one)] if isinstance(one, tuple) and len(one) == 1 else [] for one in several] == [
        *([0.0], [2.0], [], [], [8.0], [], [12.0])
    ]
    assert "not here" in str(several[2])
    assert "KeyboardInterrupt" in str(several[5])


# --- Scalars, several outputs, options, labels --------------------------------------------------------------

BETA, LABELS = np.array([0.5, -1.0, 0.25]), np.array([1, 0, 1, 1])
LOGISTIC = {"beta": BETA, "X": X, "y": LABELS}
P = 1 / (1 + np.exp(-X @ BETA))
SCORE = X.T @ (LABELS - P)
LOGISTIC_SAID = """
OPERATION = {"beta": "p", "X": {"axes": "n p", "constant": True},
             "y": {"axes": "n", "values": "labels", "below": 2}}
def sigmoid(z): return 1 / (1 + np.exp(-z))
def value(beta, X, y): return (y * (X @ beta) - np.logaddexp(0, X @ beta)).sum()
def score(beta, X, y): return X.T @ (y - sigmoid(X @ beta))
"""
SCALAR_STYLES = {
    "forward = value\ngradient = score": "gradient",
    "def value_and_gradient(*inputs): return value(*inputs), score(*inputs)": "value_and_gradient",
    "def value_and_gradient(*inputs): return value(*inputs), (score(*inputs),)": "value_and_gradient",
    "def value_and_grad(*inputs): return value(*inputs), {'beta': score(*inputs)}": "value_and_gradient",
    "forward = value\ndef jacobian(*inputs): return score(*inputs)": "jacobian",
    "forward = value\ndef jvp(inputs, tangents): return score(*inputs) @ tangents[0]": "jvp",
    "def forward(*v): return value(*v), v\ndef backward(dy, cache): return dy * score(*cache)": "backward",
    "forward = value\ndef backward(dy, beta, X, y): return dy * score(beta, X, y), None, None": "backward",
}


@pytest.mark.parametrize(("lines", "kind"), SCALAR_STYLES.items())
def test_a_score_comes_back_times_the_cotangent_in_every_style(lines: str, kind: str, tmp_path: Path) -> None:
    with loaded(tmp_path, LOGISTIC_SAID + lines) as found:
        (subject,) = found.subjects
        assert subject.declaration.kind == kind
        result = subject.vjp(LOGISTIC, [np.array(-2.0)])
        # p errs by the exponential's own error, and X holds no rounded number; so the sums of X (y - p) err.
        own, size = DOUBLE.own(1.0) * np.abs(X).sum(axis=0), np.abs(X).T @ np.abs(LABELS - P)
        assert_within(result.gradients["beta"], -2 * SCORE, 2 * (own + DOUBLE.gamma(len(X)) * size))
        assert result.outputs[0].shape == ()
        terms = LABELS * np.log(P) + (1 - LABELS) * np.log(1 - P)
        own = DOUBLE.own(np.abs(terms)) + DOUBLE.own(1.0) / np.minimum(
            P, 1 - P
        )  # of log p, and d log p = dp/p
        assert_within(result.outputs[0], terms.sum(), (own + DOUBLE.gamma(len(X)) * np.abs(terms)).sum())


def test_second_derivatives_and_a_stand_in_are_there_besides(tmp_path: Path) -> None:
    source = """
    OPERATION = {"x": "n", "a": ""}
    def forward(x, a): return a * (x**3).sum()
    def gradient(x, a): return 3 * a * x**2, (x**3).sum()
    def hessian(x, a): return (6 * a * np.diag(x), 3 * x**2), (3 * x**2, 0.0)
    def hvp(inputs, tangents):
        (x, a), (u, v) = inputs, tangents
        return 6 * a * x * u + 3 * x**2 * v, (3 * x**2 * u).sum()
    def stand_in(x, a): return (2 * a * x).sum()
    """
    x, a = np.array([1.0, -2.0, 0.5]), np.float64(1.5)
    with loaded(tmp_path, source) as found:
        (subject,) = found.subjects
        inputs = {"x": x, "a": a}
        hessian = subject.hessian(inputs)
        assert_equal(
            hessian,
            {("x", "x"): 9 * np.diag(x), ("x", "a"): 3 * x**2, ("a", "x"): 3 * x**2, ("a", "a"): 0},
        )
        tangents = {"x": np.ones(3), "a": np.array(2.0)}
        assert_equal(subject.hvp(inputs, tangents), {"x": 9 * x + 6 * x**2, "a": 3 * (x**2).sum()})
        np.testing.assert_allclose(subject.stand_in(inputs)[0], 3 * x.sum())


TWO = {"x": np.array([1.0, -2.0, 3.0])}
TWO_STYLES = {
    "cotangents together": "def backward(dy, cache): return dy[0] * 2 + dy[1] * 2 * cache",
    "cotangents apart": "def backward(da, db, cache): return da * 2 + db * 2 * cache",
    "the second alone": "OUTPUTS = [False, True]\ndef backward(db, cache): return 2 * db * cache",
    "apart, the second alone": "OUTPUTS = [False, True]\ndef backward(da, db, cache): return 2 * db * cache + da",
}


@pytest.mark.parametrize("style", TWO_STYLES)
def test_several_outputs_have_a_cotangent_each(style: str, tmp_path: Path) -> None:
    source = f'OPERATION = {{"x": "n"}}\ndef forward(x): return 2 * x, x * x, x\n{TWO_STYLES[style]}'
    source = source.replace(", x\n", "\n") if "OUTPUTS" in style else source
    da, db = np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.5, 4.0])
    with loaded(tmp_path, source) as found:
        gradients = gradients_of(found.subjects[0], TWO, [da, db])
        assert_equal(gradients, {"x": 2 * db * TWO["x"] + (0 if "alone" in style else 2 * da)})


NESTED = {
    "(a, b), cache": "a, b = dy; return 2 * a + 2 * b * cache",
    "[a, b], cache": "assert type(dy) is list; return 2 * dy[0] + 2 * dy[1] * cache",
    "(a, (b,)), cache": "a, (b,) = dy; return 2 * a + 2 * b * cache",
}


@pytest.mark.parametrize("returned", NESTED)
def test_outputs_in_a_tuple_have_their_cotangents_in_such_a_tuple(returned: str, tmp_path: Path) -> None:
    source = f"""
    OPERATION = {{"x": "n"}}
    def forward(x):
        a, b, cache = 2 * x, x * x, x
        return {returned}
    def backward(dy, cache): {NESTED[returned]}
    """
    da, db = np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.5, 4.0])
    with loaded(tmp_path, source) as found:
        subject = found.subjects[0]
        forward = subject.forward(TWO)
        gradients = [
            subject.backward(forward, [da, db]),
            subject.backward(forward),
        ]  # and once more for the same
        for one in gradients:
            assert_equal(one.gradients, {"x": 2 * da + 2 * db * TWO["x"]})


@pytest.mark.parametrize("said", ["", "OUTPUTS = [True, True]\n"])
def test_several_outputs_may_come_as_a_tuple_beside_the_cache(said: str, tmp_path: Path) -> None:
    source = f'OPERATION = {{"x": "n"}}\n{said}def forward(x): return (2 * x, x * x), x\n'
    source += TWO_STYLES["cotangents together"]
    with loaded(tmp_path, source) as found:
        gradients = gradients_of(found.subjects[0], TWO, [np.ones(3), np.ones(3)])
        assert_equal(gradients, {"x": 2 + 2 * TWO["x"]})


def test_two_outputs_and_the_input_are_no_output_and_a_cache_where_outputs_says_so(tmp_path: Path) -> None:
    source = """
    OPERATION = {"x": "n"}
    OUTPUTS = [True, True]
    def forward(x): return 2 * x, x * x
    def backward(dy, x): return 2 * dy[0] + 2 * x * dy[1]
    """
    with loaded(tmp_path, source) as found:
        gradients = gradients_of(found.subjects[0], TWO, [np.ones(3), np.ones(3)])
        assert_equal(gradients, {"x": 2 + 2 * TWO["x"]})


OPTION_STYLES = {
    "by keyword": "def forward(x, *, a, b): return a * x + b\ndef backward(dy, x, *, a, b): return a * dy",
    "by name, with a cache": "def forward(x, b=0, a=1): return a * x + b, a\ndef backward(dy, c): return c * dy",
    "after the inputs": "def forward(x, p, q): return p * x + q\ndef backward(dy, x, p, q): return p * dy",
    "after the inputs of anything": "def forward(*v): return v[1] * v[0] + v[2]\ndef backward(d, *v): return v[1] * d",
    "as any keyword": "def forward(x, **o): return o['a'] * x + o['b']\ndef backward(dy, x, **o): return o['a'] * dy",
    "by a backward with a cache": "def forward(x, a, b): return a * x + b, None\ndef backward(dy, c, a): return a * dy",
}


@pytest.mark.parametrize("style", OPTION_STYLES)
def test_options_go_by_keyword_or_after_the_inputs(style: str, tmp_path: Path) -> None:
    source = (
        f'OPERATION = {{"x": "n"}}\nOPTIONS = {{"a": [2.0, 3.0], "b": range(1, 3)}}\n{OPTION_STYLES[style]}'
    )
    with loaded(tmp_path, source) as found:
        (subject,) = found.subjects
        assert subject.declaration.options == {"a": (2.0, 3.0), "b": (1, 2)}
        result = subject.vjp(TWO, [np.ones(3)], {"a": 3.0, "b": 2})
        np.testing.assert_array_equal(result.outputs[0], 3 * TWO["x"] + 2)
        assert_equal(result.gradients, {"x": np.full(3, 3.0)})


def test_an_option_arrives_as_what_it_is(tmp_path: Path) -> None:
    source = """
    OPERATION = {"x": "n"}
    OPTIONS = {"o": [None, True, 3, 0.5, "same", (1, 2), [1, 2], float("inf")]}
    def forward(x, o): print(repr(o)); return x
    def backward(dy, x, o): return dy
    """
    with loaded(tmp_path, source) as found:
        (subject,) = found.subjects
        for value in subject.declaration.options["o"]:
            subject.forward(TWO, {"o": value})
        subject.close()
        assert subject.output.split("\n")[:-1] == list(
            map(repr, [None, True, 3, 0.5, "same", (1, 2), [1, 2], float("inf")])
        )


def test_values_and_combinations_that_the_file_says_are_asked_of_it(tmp_path: Path) -> None:
    source = """
    def spd(rng, shape, sizes):
        root = rng.normal(size=shape)
        return root @ root.T + sizes["n"] * np.eye(len(root))
    OPERATION = {"A": {"axes": "n n", "values": spd}, "v": {"axes": "2*n", "values": lambda rng, shape, sizes: [1]}}
    OPTIONS, SIZES = {"k": [1, 2]}, {"n": range(2, 5)}
    def valid(sizes, options): return sizes["n"] % options["k"] == 0
    def forward(A, v, k): return np.linalg.slogdet(A)[1]
    def gradient(A, v, k): return np.linalg.inv(A).T, 0 * v
    """
    with loaded(tmp_path, source) as found:
        (subject,) = found.subjects
        assert subject.declaration.sizes == {"n": (2, 3, 4)}
        drawn = subject.draw("A", 3, (3, 3), {"n": 3})
        assert np.linalg.eigvalsh(drawn).min() > 0
        assert np.array_equal(drawn, subject.draw("A", 3, (3, 3), {"n": 3}))
        assert not np.array_equal(drawn, subject.draw("A", 4, (3, 3), {"n": 3}))
        assert [subject.valid({"n": 3}, {"k": k}) for k in (1, 2)] == [True, False]
        with pytest.raises(ContractError, match=r"has to return an array of shape \(6,\), not a list of 1"):
            subject.draw("v", 3, (6,), {"n": 3})


@pytest.mark.parametrize(
    "returned",
    ["[x[1], x[0]]", "(float(x[1]), float(x[0]))", "x[::-1].tolist()", "[x[::-1]]", "x[::-1]"],
)
def test_a_gradient_may_come_as_a_list_of_its_numbers(returned: str, tmp_path: Path) -> None:
    source = f"""
    OPERATION, SIZES = {{"x": "k"}}, {{"k": [2]}}
    def forward(x): return x[0] * x[1]
    def gradient(x): return {returned}
    """
    with loaded(tmp_path, source) as found:
        (subject,) = found.subjects
        forward = subject.forward({"x": np.array([3.0, 5.0])})
        assert subject.backward(forward, [np.array(2.0)]).gradients["x"].tolist() == [10, 6]


def test_labels_may_lie_below_a_size_that_is_computed(tmp_path: Path) -> None:
    source = """
    OPERATION = {"x": "n k", "y": {"axes": "n", "values": "labels", "below": "k+1"}}
    def forward(x, y): return x
    def backward(dy, x, y): return dy
    """
    with loaded(tmp_path, source) as found:
        drawn = (
            make(Seeded(np.random.default_rng(i)), found.subjects[0], ("plain",), sizes=(1,))
            for i in range(9)
        )
        assert {int(label) for case in drawn for label in case.inputs["y"]} == {0, 1}
    told = pytest.raises(UnusableSubject, match=r"labels below 'm\+1', which is not an axis")
    with told, loaded(tmp_path, source.replace("k+1", "m+1")):
        pass


def test_the_forward_pass_may_be_asked_with_complex_numbers(tmp_path: Path) -> None:
    source = (
        'OPERATION = {"x": "n"}\ndef forward(x): return np.exp(x)\ndef backward(dy, x): return dy * np.exp(x)'
    )
    with loaded(tmp_path, source) as found:
        x = TWO["x"] + 1e-20j * np.arange(3)
        assert np.array_equal(found.subjects[0].forward({"x": x}).outputs[0], np.exp(x))


# --- Files that need no declaration -------------------------------------------------------------------------

CS231N = """
    affine relu batchnorm batchnorm_alt layernorm dropout conv_naive max_pool_naive spatial_batchnorm
    spatial_groupnorm rnn_step rnn lstm_step lstm word_embedding temporal_affine softmax_loss svm_loss
    temporal_softmax_loss
"""


def draw(subject: OperationSubject, seed: int) -> tuple[Arrays, Arrays]:
    """Inputs and options of a case that tells most mistakes: several samples, sizes that differ, labels twice."""
    rng, declared = np.random.default_rng(seed), subject.declaration
    options: Arrays = {}
    sizes: dict[str, int] = {}
    for _ in range(1000):
        options = {name: values[rng.integers(len(values))] for name, values in declared.options.items()}
        sizes = {axis: int(rng.choice(declared.sizes.get(axis, (2, 3, 4, 5)))) for axis in declared.axes}
        if subject.valid(sizes, options) and sizes.get("n", 2) > 1:
            break
    return {name: values_of(one, sizes, rng) for name, one in declared.inputs.items()}, options


def values_of(one: Input, sizes: dict[str, int], rng: np.random.Generator) -> Any:
    """Values of their kind."""
    shape = one.shape(sizes)
    match one.values:
        case "labels":
            return rng.integers(0, sizes[one.below] if isinstance(one.below, str) else one.below, shape)
        case "mask":
            return rng.random(shape) < 0.6
        case "positive":
            return rng.uniform(0.5, 2, shape)
        case _:
            return rng.normal(size=shape)


def error_of(subject: OperationSubject, seed: int) -> dict[str, float]:
    """By differentiable input, the largest difference from central differences of its own forward pass."""
    inputs, options = draw(subject, seed)
    rng = np.random.default_rng(seed)
    forward = subject.forward(inputs, options)
    cotangents = [rng.normal(size=one.shape) for one in forward.outputs]
    gradients = subject.backward(forward, cotangents).gradients

    def along(name: str, values: Any) -> float:
        outputs = subject.forward({**inputs, name: values}, options).outputs
        return sum(float((dy * y).sum()) for dy, y in zip(cotangents, outputs, strict=True))

    errors: dict[str, float] = {}
    for name, gradient in gradients.items():
        slopes = np.zeros_like(gradient)
        for index in np.ndindex(gradient.shape):
            step = np.zeros_like(gradient)
            step[index] = 1e-5
            slopes[index] = (along(name, inputs[name] + step) - along(name, inputs[name] - step)) / 2e-5
        errors[name] = float(abs(gradient - slopes).max(initial=0))
    return errors


def test_a_file_of_cs231n_is_found_whole_and_each_of_its_gradients_is_right() -> None:
    with load_operations(EXAMPLES / "cs231n_layers.py") as found:
        assert sorted(one.name for one in found.subjects) == sorted(CS231N.split())
        assert (found.missing, found.network) == ((), False)
        for subject in found.subjects:
            for seed in (1, 2):
                assert max(error_of(subject, seed).values()) < 1e-8, subject.name


def test_one_mistake_in_each_layer_of_cs231n_shows_in_the_gradients_that_come_back() -> None:
    with load_operations(EXAMPLES / "cs231n_layers_wrong.py") as found:
        assert sorted(one.name for one in found.subjects) == sorted(CS231N.split())
        right = [s.name for s in found.subjects if max(max(error_of(s, i).values()) for i in range(4)) < 1e-3]
        assert right == []


DECLARED = ("layer_norm", "dense_class", "huber_loss", "logistic_score", "residuals")


@pytest.mark.parametrize("name", DECLARED)
def test_an_example_is_right_and_its_twin_is_wrong(name: str) -> None:
    for file, is_right in ((f"{name}.py", True), (f"{name}_wrong.py", False)):
        with load_operations(EXAMPLES / file) as found:
            (subject,) = found.subjects
            largest = max(max(error_of(subject, seed).values()) for seed in range(4))
            assert largest < 1e-8 if is_right else largest > 1e-3


def test_every_example_is_tested() -> None:
    named = {"cs231n_layers", "torch_function", "jax_function", *DECLARED}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == named | {f"{one}_wrong" for one in named}


def test_a_function_of_jax_is_differentiated_by_jax_and_its_twin_is_wrong() -> None:
    x, dy = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
    slope = 1 / (1 + np.exp(-x))
    for file, expected in (("jax_function.py", slope), ("jax_function_wrong.py", slope * (1 - slope))):
        with load_operations(EXAMPLES / file) as found:
            result = found.subjects[0].vjp({"x": x}, [dy])
            assert_within(result.outputs[0], np.logaddexp(x, 0), DOUBLE.own(np.logaddexp(x, 0)))
            # Of s and of s (1 - s), whose slope by s is at most 1, and of two products.
            bound = np.abs(dy) * (DOUBLE.own(1.0) + DOUBLE.gamma(2) * expected)
            assert_within(result.gradients["x"], dy * expected, bound)


def test_arrays_of_jax_go_to_plain_functions_too(tmp_path: Path) -> None:
    source = (
        "import jax\n"
        'OPERATION = {"x": "n", "i": {"axes": "", "values": "labels", "below": "n"}}\n'
        'ARRAYS, OUTPUTS = "jax", [True, False]\n'
        "@jax.custom_vjp\n"
        "def f(x, i): return x.at[i].multiply(2), i + 1\n"
        "f.defvjp(lambda x, i: (f(x, i), i), lambda i, dy: (dy[0].at[i].multiply(2), None))\n"
    )
    with loaded(tmp_path, source) as found:
        (subject,) = found.subjects  # the one function that has a derivative of its own
        gradients = gradients_of(subject, {**TWO, "i": np.array(1)}, [np.ones(3), np.array(0)])
        assert_equal(gradients, {"x": np.array([1.0, 2.0, 1.0])})
    forward = 'OPERATION, ARRAYS = {"x": "n"}, "jax"\ndef forward(x): return x.at[0].set(0), None\n'
    with loaded(tmp_path, forward + "def backward(dy, cache): return dy.at[0].set(0)") as found:
        assert_equal(gradients_of(found.subjects[0], TWO, [np.ones(3)]), {"x": np.array([0.0, 1.0, 1.0])})


def test_functions_of_torch_are_differentiated_by_torch(torch_python: str) -> None:
    x, beta, dy = quarters(3, 4), np.array(0.75), quarters(3, 4)
    s = 1 / (1 + np.exp(-beta * x))
    slope = s * (1 - s)  # errs by what s does, as the slope of it by s is at most 1
    dx, own = dy * (s + beta * x * slope), DOUBLE.own(1.0)
    reach = np.abs(dy) * (own * (1 + np.abs(beta * x)) + DOUBLE.gamma(4) * (s + np.abs(beta * x) * slope))
    for file, weights in (("torch_function.py", dy), ("torch_function_wrong.py", np.ones(dy.shape))):
        terms = weights * x * x * slope
        with load_operations(EXAMPLES / file, python=torch_python) as found:
            result = found.subjects[0].vjp(
                {"x": x, "beta": beta}, [dy], layout="strided", cotangent_layout="F"
            )
            assert_within(result.outputs[0], x * s, np.abs(x) * (own + DOUBLE.gamma(1) * s))
            assert_within(result.gradients["x"], dx, reach)
            bound = (np.abs(weights * x * x) * own + DOUBLE.gamma(terms.size + 4) * np.abs(terms)).sum()
            assert_within(result.gradients["beta"], terms.sum(), bound)


def test_arrays_of_torch_are_watched_as_numpy_s_are(torch_python: str, tmp_path: Path) -> None:
    source = """
    import torch
    OPERATION, ARRAYS = {"x": "n"}, "torch"
    def forward(x): return x * 2, x
    def backward(dy, cache):
        dy.mul_(2)
        return dy
    """
    with loaded(tmp_path, source, python=torch_python) as found:
        (subject,) = found.subjects
        forward = subject.forward(TWO)
        back = subject.backward(forward, [np.ones(3)])
        assert_equal(back.gradients, {"x": np.full(3, 2.0)})
        assert back.manners.mutated == ("dy",)
        assert back.manners.aliased == (("dx", "dy"),)
        assert_equal(subject.backward(forward).gradients, {"x": np.full(3, 4.0)})


def test_a_function_of_torch_without_a_gradient_for_an_input_is_told(
    torch_python: str, tmp_path: Path
) -> None:
    source = """
    import torch
    OPERATION = {"x": "n", "y": "n"}
    class F(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y): return x + y
        @staticmethod
        def backward(ctx, dy): return dy, None
    """
    with loaded(tmp_path, source, python=torch_python) as found:
        (subject,) = found.subjects
        with pytest.raises(ContractError, match="dy is None; it has to be an array of shape"):
            subject.vjp({"x": np.ones(2), "y": np.ones(2)}, [np.ones(2)])


@pytest.fixture(scope="session")
def torch_python() -> str:
    """An interpreter that has torch, named by MANUAL_BACKPROP_TORCH_PYTHON, or ours."""
    python = os.environ.get("MANUAL_BACKPROP_TORCH_PYTHON", sys.executable)
    command = [python, "-c", "import torch, numpy"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)  # noqa: S603
    if done.returncode:
        pytest.skip("no torch here: name an interpreter that has it by MANUAL_BACKPROP_TORCH_PYTHON")
    return python


# --- Known operations, and what a file is taken for ---------------------------------------------------------


def first(x: Any, *_: Any, **__: Any) -> Any:
    """Stands for a forward pass: nobody calls it here."""
    return x


KNOWN = (
    Operation("swish", first, {"x": Input("n d"), "beta": Input("")}, also=("silu",)),
    Operation(
        "lp_norm",
        first,
        {"x": Input("n d")},
        {"p": (2, 3), "eps": (0.0,)},
        {"d": (2, 3)},
        lambda sizes, options: sizes["d"] > options["p"],
    ),
)


def test_a_pair_of_a_known_operation_needs_no_word(tmp_path: Path) -> None:
    source = """
    def silu_forward(z, b): return z, None
    def silu_backward(dy, cache): return dy, 0.0
    def lp_norm_forward_fast(x, p=2): return x, None
    def lp_norm_backward_fast(dy, cache): return dy
    def other_forward(q, r): return q, r
    def other_backward(dy, cache): return dy
    def swish_forward(x, beta, gamma): return x, None
    def swish_backward(dy, cache): return dy, 0.0, 0.0
    """
    with loaded(tmp_path, source, known=KNOWN) as found:
        silu, norm = (one.declaration for one in found.subjects)
        assert silu.inputs == {"z": Input("n d"), "b": Input("")}
        assert (norm.name, norm.options, norm.sizes) == ("lp_norm_fast", {"p": (2, 3)}, {"d": (2, 3)})
        assert [norm.valid and norm.valid({"d": d}, {"p": 2}) for d in (2, 3)] == [False, True]
        counterparts = [one.counterpart for one in (silu, norm)]
        assert [(c.operation, c.inputs, dict(c.options), c.said) for c in counterparts if c] == [
            ("swish", ("z", "b"), {}, False),
            ("lp_norm", ("x",), {"p": "p"}, False),
        ]
        asked = [
            "mine.py doesn't say what {} takes: add the inputs with their axes (equal names have equal sizes), and the "
            "others as OPTIONS; or None, to leave it out:\n    OPERATIONS = {{{}}}".format(*one)
            for one in (
                ("other_forward", '"other": {"q": "n d", "r": "d"}'),
                ("swish_forward", '"swish": {"x": "n d", "beta": "", "gamma": "d"}'),
            )
        ]
        assert [one.sentence for one in found.missing] == asked
    more = 'OPERATIONS = {"other": None, "swish": {"x": "n d", "beta": "", "gamma": "d"}}'
    with loaded(tmp_path, textwrap.dedent(source) + more, known=KNOWN) as found:
        assert [one.name for one in found.subjects] == ["swish", "silu", "lp_norm_fast"]
        assert found.missing == ()


REFERENCES = {
    'REFERENCE = "swish"\n': ("swish", ("x", "b"), True),
    'REFERENCE = "Silu"\nOPERATION = {"x": "n", "b": ""}\n': ("swish", ("x", "b"), True),
    'REFERENCE = "mine.py:f"\nOPERATION = {"x": "n", "b": ""}\n': ("mine.py:f", (), True),
}


@pytest.mark.parametrize(("lines", "expected"), REFERENCES.items())
def test_a_reference_is_the_counterpart(lines: str, expected: tuple[Any, ...], tmp_path: Path) -> None:
    source = lines + "def forward(x, b): return x\ndef backward(dy, x, b): return dy, 0.0"
    with loaded(tmp_path, source, known=KNOWN) as found:
        counterpart = found.subjects[0].declaration.counterpart
        assert counterpart is not None
        assert (counterpart.operation, counterpart.inputs, counterpart.said) == expected


NETWORK = "def gradient(parameters, inputs, targets): return []\n"
HELPERS = "def dense_forward(x, W, b): return x, None\ndef dense_backward(dy, cache): return dy\n"
LAZY = """
class Raises:
    def __get__(self, *_): raise ValueError
class Lazy:
    forward = Raises()
"""
TAKEN_FOR = {
    HELPERS + LAZY: (["dense"], False),
    NETWORK: ([], True),
    NETWORK + HELPERS: ([], True),
    "def step(parameters, inputs, targets, rate): return []\n" + HELPERS: ([], True),
    "PROBLEM = {}\n" + HELPERS: ([], True),
    NETWORK + HELPERS + 'OPERATIONS = {"dense": {"x": "n d", "W": "d k", "b": "k"}}': (["dense"], False),
    NETWORK + HELPERS + 'PROBLEM = {}\nOPERATIONS = {"dense": {"x": "n d", "W": "d k", "b": "k"}}': (
        ["dense"],
        True,
    ),
    'OPERATION = {"x": "n", "y": "n", "z": "n"}\ndef forward(*v): return 0\ndef gradient(x, y, z): return x, y, z': (
        ["mine"],
        False,
    ),
    HELPERS: (["dense"], False),
    HELPERS + 'OPERATION = {"x": "n"}\ndef forward(x): return x, x\ndef backward(dy, x): return dy': (
        ["mine"],
        False,
    ),
    "from numpy import *\n" + HELPERS: (["dense"], False),
    'OPERATIONS = {"f": {"x": "n"}}\ndef f(x): return 0.0, x\n' + HELPERS: (["f", "dense"], False),
}


@pytest.mark.parametrize("source", TAKEN_FOR)
def test_a_file_is_taken_for_what_its_author_means(source: str, tmp_path: Path) -> None:
    with loaded(tmp_path, source) as found:
        assert ([one.name for one in found.subjects], found.network) == TAKEN_FOR[source]


def test_an_affine_layer_that_takes_rows_alone_is_asked_with_rows_alone(tmp_path: Path) -> None:
    source = """
    def affine_forward(x, w, b): return x @ w + b, (x, w)
    def affine_backward(dout, cache): return dout @ cache[1].T, cache[0].T @ dout, dout.sum(axis=0)
    def linear_forward(x, w, b): return x @ w.T + b, (x, w)
    def linear_backward(dout, cache): return dout @ cache[1], dout.T @ cache[0], dout.sum(axis=0)
    def conv_forward(x, w, b, stride=1, pad=0): return x, None
    def conv_backward(dout, cache): return 1 / 0
    """
    with loaded(tmp_path, source) as found:
        axes = {one.name: [i.axes for i in one.declaration.inputs.values()] for one in found.subjects}
        assert axes["affine"] == ["n d", "d m", "m"]
        assert axes["linear"] == ["n d", "m d", "m"]
        assert axes["conv"] == ["n c h w", "f c hh ww", "f"]  # wrong in every reading: the first


@pytest.mark.skipif(not KNOWN_OPERATIONS, reason="the table of known operations is not here")
def test_the_counterparts_of_the_conventions_are_known_with_their_inputs_and_options() -> None:
    known = {one.name: one for one in KNOWN_OPERATIONS}
    for row in CONVENTIONS:
        if row.counterpart is not None:
            operation = known[row.counterpart.operation]
            assert row.counterpart.options.keys() | row.counterpart.fixed.keys() <= operation.options.keys()
            theirs, ours = (
                [(one.differentiable, len(one.dimensions)) for one in inputs.values()]
                for inputs in (operation.inputs, row.inputs)
            )
            assert theirs == ours, row.names


# --- What breaks the contract: one sentence -----------------------------------------------------------------

PAIR = SAID + "def forward(x, W, b): return x @ W + b, (x, W)\ndef backward(dy, cache): "
BROKEN = {
    "nothing": (PAIR + "pass", "backward returns None; it has to return (dx, dW, db)."),
    "too few": (
        PAIR + "return dy @ cache[1].T, cache[0].T @ dy",
        (
            "backward returns 2 gradients, and there are 3 differentiable inputs: it has to return (dx, dW, db), "
            "in that order."
        ),
    ),
    "one of them None": (
        PAIR + "return dy @ cache[1].T, None, dy.sum(axis=0)",
        "dW is None; it has to be an array of shape (3, 2).",
    ),
    "transposed": (
        PAIR + "return dy @ cache[1].T, dy.T @ cache[0], dy.sum(axis=0)",
        "dW has shape (2, 3), and has to have (3, 2): it looks transposed.",
    ),
    "not summed": (
        PAIR + "return dy @ cache[1].T, cache[0].T @ dy, dy",
        "db has shape (4, 2), and has to have (2,): it looks as if it was not summed over an axis of 4.",
    ),
    "axes kept": (
        PAIR + "return dy @ cache[1].T, cache[0].T @ dy, dy.sum(axis=0, keepdims=True)",
        "db has shape (1, 2), and has to have (2,): drop keepdims.",
    ),
    "swapped": (
        PAIR + "return cache[0].T @ dy, dy @ cache[1].T, dy.sum(axis=0)",
        (
            "backward returns its gradients in the wrong order: their shapes are those of W, x, b, and it has to "
            "be x, W, b."
        ),
    ),
    "integers": (
        PAIR + "return (dy @ cache[1].T).astype(int), cache[0].T @ dy, dy.sum(axis=0)",
        "dx has dtype int64; it has to hold floats.",
    ),
    "single precision": (
        PAIR + "return (dy @ cache[1].T).astype('f4'), cache[0].T @ dy, dy.sum(axis=0)",
        (
            "dx is float32 where the input is float64: digits are lost; if that is meant, say so with "
            'DTYPE = "float32".'
        ),
    ),
    "lists": (
        PAIR + "return [(dy @ cache[1].T).tolist()], cache[0].T @ dy, dy.sum(axis=0)",
        "dx is a list of 1; it has to be an array of shape (4, 3).",
    ),
    "words": (PAIR + "return 'dx'", "backward returns a str; it has to return (dx, dW, db)."),
    "a dict without one": (
        PAIR + "return {'dx': dy, 'db': dy}",
        "backward returns a dict with dx, db, and no gradient of W.",
    ),
    "a generator of gradients": (
        PAIR + "yield dy",
        "backward returns a generator; it has to return (dx, dW, db).",
    ),
    "objects": (
        PAIR + "return dy.astype(object), cache[0].T @ dy, dy.sum(axis=0)",
        "dx is an array of Python objects; it has to be an array of shape (4, 3).",
    ),
    "an exception": (
        PAIR + "return dy @ cache[1]",
        (
            "backward raised ValueError: matmul: Input operand 1 has a mismatch in its core dimension 0, with gufunc "
            "signature (n?,k),(k,m?)->(n?,m?) (size 3 is different from 2) (line 4 of mine.py)."
        ),
    ),
    "a cache that nobody returns": (
        SAID + "def forward(x, W, b): return x @ W + b\ndef backward(dy, cache): return cache",
        (
            "forward returns no cache, and backward takes (dy, cache): return (y, cache), or let it take the inputs: "
            "backward(dy, x, W, b)."
        ),
    ),
    "a cache that nobody takes": (
        SAID + "def forward(x, W, b): return x @ W + b, {}\ndef backward(dy, x, W, b): return x, W, b",
        (
            "output 2 of forward is a dict; if it is a cache, let the backward pass take it: backward(dy, cache), and "
            "not backward(dy, x, W, b)."
        ),
    ),
    "cotangents that are too many": (
        SAID + "def forward(x, W, b): return x @ W + b, x\ndef backward(dy, dz, cache): return x, W, b",
        (
            "backward takes 2 cotangents and a cache, and forward returns 2 values: it has to be one output for each "
            "cotangent, and the cache."
        ),
    ),
    "no value": (
        SAID + "def forward(x, W, b): pass\ndef backward(dy, x, W, b): return x, W, b",
        "what forward returns is None; it has to be an array of floats.",
    ),
    "an array that has a gradient": (
        SAID + "def forward(x, W, b): return x\ndef gradient(x, W, b): return x, W, b",
        (
            "forward has to return one number, of which there is a gradient, not an array of shape (4, 3): for an "
            "array, define backward(dy, cache) or jacobian."
        ),
    ),
    "a value without a gradient": (
        SAID + "def value_and_gradient(x, W, b): return 0.0",
        "value_and_gradient has to return the value and the gradient, not a float.",
    ),
    "a Jacobian in the wrong order": (
        SAID
        + "def forward(x, W, b): return (x @ W)[0]\ndef jacobian(x, W, b): return np.zeros((4, 3, 2)), W, b",
        "the Jacobian by x has shape (4, 3, 2), and has to have (2, 4, 3).",
    ),
    "outputs that are others": (
        "OUTPUTS = [True, False, True]\n" + PAIR + "return x, W, b",
        "forward returns 1 output, and OUTPUTS says which of 3 are differentiable.",
    ),
    "outputs that leave no cache": (
        "OUTPUTS = [True, False]\n" + PAIR + "return x, W, b",
        "forward returns its 2 outputs and no cache, which backward takes.",
    ),
    "an attribute that isn't there": (
        SAID
        + """
class Dense:
    def forward(self, x): return x @ self.W + self.b
    def backward(self, dy):
        self.gradient_of_W, self.db = np.ones((3, 2)), dy.sum(axis=0)
        return dy @ self.W.T
""",
        (
            "After backward there is no dW, where the gradient of W should be: say where it is with PARAMETERS = "
            '{"W": "gradient_of_W"}.'
        ),
    ),
    "backward before forward": (
        SAID
        + """
class Dense:
    def forward(self, x): return x @ self.W + self.b
    def backward(self, dy): return self.x
""",
        "Dense.backward raised AttributeError: 'Dense' object has no attribute 'x' (line 6 of mine.py).",
    ),
    "exit": (
        PAIR + "raise SystemExit(3)",
        "backward called sys.exit(3) instead of returning (line 4 of mine.py).",
    ),
    "endless": (PAIR + "\n  while True: pass", "backward did not finish within 1 s."),
    "a crash": (PAIR + "\n  import os; os.abort()", "backward crashed Python: Aborted."),
    "2 GB": (
        PAIR + "return np.broadcast_to(dy[0, 0], (1 << 28,))",
        "backward returned more than 64 MiB of arrays, far more than its arguments have.",
    ),
}


def there_and_back(subject: OperationSubject) -> None:
    """A forward and a backward pass of the dense case."""
    forward = subject.forward(DENSE)
    subject.backward(forward, [np.ones_like(one) for one in forward.outputs])


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_contract_is_told_in_one_sentence(name: str, tmp_path: Path) -> None:
    source, sentence = BROKEN[name]
    with loaded(tmp_path, source, limits=Limits(call_seconds=1.0)) as found:
        (subject,) = found.subjects
        gone = name in {"exit", "endless", "a crash", "2 GB"}
        with pytest.raises(SubjectGone if gone else ContractError) as caught:
            there_and_back(subject)
        assert str(caught.value).split("\n")[0] == sentence


# --- Manners ------------------------------------------------------------------------------------------------

ELEMENTWISE = 'OPERATION = {"x": "n d"}\n'
RUDE = {
    "forward changes its input": ("def forward(x): x += 1; return x * 2, None", "return dy", ("x",), ()),
    "backward changes dy": ("def forward(x): return x * 2, x", "dy *= 2; return dy + 0", (), ("dy",)),
    "backward changes the input": (
        "def forward(x): return x * 2, x",
        "cache *= 2; return dy + 0",
        (),
        ("x",),
    ),
    "backward changes its cache": (
        "def forward(x): return x * 2, {'h': [x * 2]}",
        "cache['h'][0] += 1; return dy + 0",
        (),
        ("cache['h'][0]",),
    ),
    "nothing is changed": ("def forward(x): return x * 2, x", "return dy * 2", (), ()),
}


@pytest.mark.parametrize("name", RUDE)
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_what_a_pass_changes_is_named(name: str, layout: Any, tmp_path: Path) -> None:
    before, after, by_forward, by_backward = RUDE[name]
    with loaded(tmp_path, f"{ELEMENTWISE}{before}\ndef backward(dy, cache): {after}") as found:
        result = found.subjects[0].vjp({"x": X}, [X + 1], layout=layout, cotangent_layout=layout)
        assert tuple(one.mutated for one in result.manners) == (by_forward, by_backward)


def test_results_in_the_memory_of_others_are_named(tmp_path: Path) -> None:
    source = (
        ELEMENTWISE
        + """
buffer = np.zeros((4, 3))
def forward(x): return x[::-1], (x * 2, x)
def backward(dy, cache):
    buffer[...] = dy * 2
    return [buffer, dy, cache[0]][which]
which = 0
"""
    )
    aliased = {0: (), 1: (("dx", "dy"),), 2: (("dx", "cache[0]"),)}
    for which, expected in aliased.items():
        with loaded(tmp_path, source.replace("which = 0", f"which = {which}")) as found:
            (subject,) = found.subjects
            forward = subject.forward({"x": X})
            assert forward.manners.aliased == (("y", "x"),)
            first = subject.backward(forward, [X])
            again = subject.backward(forward, [X + 1])
            assert first.manners.aliased == again.manners.aliased == expected
            assert again.manners.reused == (("dx",) if which == 0 else ())
            assert again.manners.overwritten == (("dx",) if which == 0 else ())


OVERWRITTEN = {
    "an attribute": (
        """
OPERATION = {"x": "n d", "g": "d"}
class LAYER:
    def __init__(self, d): self.g, self.dg = np.ones(d), np.zeros(d)
    def forward(self, x):
        self.x = x
        return x * self.g
    def backward(self, dy):
        self.dg += (dy * self.x).sum(0)
        return dy * self.g
PARAMETERS = {"g": "dg"}
""",
        "dg",
    ),
    "of a dict": (
        """
OPERATION = {"x": "n d", "g": "d"}
last = np.zeros(3)
def forward(x, g): return x * g, (x, g)
def backward(dy, cache):
    last[...] = (dy * cache[0]).sum(0)
    return {"g": last, "x": dy * cache[1]}
""",
        "dg",
    ),
    "after one that has none": (
        """
OPERATION = {"which": {"axes": "n", "values": "counts"}, "x": "n d", "g": "d"}
last = np.zeros(3)
def forward(which, x, g): return x * g, (x, g)
def backward(dy, cache):
    last[...] = (dy * cache[0]).sum(0)
    return None, dy * cache[1], last
""",
        "dg",
    ),
}


@pytest.mark.parametrize("name", OVERWRITTEN)
def test_the_result_that_is_overwritten_is_the_one_that_is_named(name: str, tmp_path: Path) -> None:
    source, expected = OVERWRITTEN[name]
    with loaded(tmp_path, source) as found:
        (subject,) = found.subjects
        every = {"which": np.arange(len(X)), "x": X, "g": X[0]}
        forward = subject.forward({one: every[one] for one in subject.declaration.inputs})
        subject.backward(forward, [X])
        assert subject.backward(forward, [X + 1]).manners.overwritten == (expected,)


def test_a_cache_that_can_be_read_once_is_a_remark_and_its_second_reading_an_error(tmp_path: Path) -> None:
    source = f"""{ELEMENTWISE}
def forward(x): return x * 2, (x, (row for row in x))
def backward(dy, cache): return dy * next(cache[1])
"""
    with loaded(tmp_path, source) as found:
        (subject,) = found.subjects
        forward = subject.forward({"x": X[:1]})
        assert forward.manners.remarks == (
            "cache[1] is a generator, which can be read once: a second backward pass finds it empty",
        )
        subject.backward(forward, [X[:1]])
        with pytest.raises(ContractError, match="backward raised StopIteration"):
            subject.backward(forward)


def test_a_broadcast_cotangent_has_stride_0_and_can_t_be_written_to(tmp_path: Path) -> None:
    source = f"""{ELEMENTWISE}
def forward(x): return x, None
def backward(dy, cache):
    print(dy.strides)
    dy *= 2
    return dy
"""
    with loaded(tmp_path, source) as found:
        (subject,) = found.subjects
        rows = np.broadcast_to(np.arange(3.0), (4, 3))
        with pytest.raises(ContractError, match="writes into its cotangent, which is a broadcast array here"):
            subject.vjp({"x": X}, [rows], cotangent_layout="broadcast")
        subject.close()
        assert subject.output == "(0, 8)\n"


def test_what_a_subject_gets_owns_its_memory_or_is_a_view_of_an_array(tmp_path: Path) -> None:
    source = """
    OPERATION = {"x": "n d", "s": "", "e": "0 n"}
    def owned(a): return a.flags.owndata or (type(a.base) is np.ndarray and a.base.flags.owndata)
    def forward(x, s, e):
        assert owned(x) and owned(e) and isinstance(s, float) and e.shape == (0, 4)
        return x * s, None
    def backward(dy, cache):
        assert owned(dy)
        return dy, 1.0, np.zeros((0, 4))
    """
    with loaded(tmp_path, source) as found:
        inputs = {"x": X, "s": np.array(2.0), "e": np.zeros((0, 4))}
        for layout in ("C", "F", "strided", "broadcast"):
            found.subjects[0].vjp(inputs, [np.ones((4, 3))], layout=layout, cotangent_layout=layout)


def test_a_file_of_classes_gets_an_entry_for_each_and_one_without_parameters_is_known_by_its_name(
    tmp_path: Path,
) -> None:
    source = """
    class Silu:
        def forward(self, x, beta): return x
        def backward(self, dy): return dy, 0.0
    class Scale:
        def __init__(self, power=1): self.power = power
        def forward(self, x):
            self.x = x
            return x * self.W**self.power
        def backward(self, dy):
            self.gW = (dy * self.x).sum() * self.power * self.W**(self.power - 1)
            return dy * self.W**self.power
    class Shift:
        def forward(self, x): return x + self.b
        def backward(self, dy):
            self.gb = dy.sum(axis=0)
            return dy
    OPERATIONS = {"Scale": {"x": "n d", "W": ""}, "Shift": {"x": "n d", "b": "d"}}
    PARAMETERS = {"W": "gW", "b": "gb"}
    OPTIONS = {"power": [1, 2]}
    """
    with loaded(tmp_path, source, known=KNOWN) as found:
        scale, shift, silu = found.subjects
        given = {"x": X, "W": np.array(3.0)}
        assert_equal(gradients_of(scale, given, [X], power=2), {"x": 9 * X, "W": 6 * (X * X).sum()})
        assert_equal(gradients_of(shift, {"x": X, "b": X[0]}, [X]), {"x": X, "b": X.sum(axis=0)})
        assert (silu.name, list(silu.declaration.inputs)) == ("Silu", ["x", "beta"])
        assert shift.declaration.options == {}
        assert found.missing == ()
    with loaded(tmp_path, textwrap.dedent(source).partition("OPERATIONS")[0], known=KNOWN) as found:
        assert [one.name for one in found.subjects] == ["Silu"]
        assert [one.sentence.split("\n")[1].strip() for one in found.missing] == [
            'OPERATIONS = {"Scale": {"x": "n d"}}',
            'OPERATIONS = {"Shift": {"x": "n d"}}',
        ]


def test_gradients_in_one_array_are_unpacked_as_python_unpacks_them(tmp_path: Path) -> None:
    source = """
    OPERATION = {"a": "", "b": ""}
    def forward(a, b): return a * b
    def gradient(a, b): return np.array([b, a])
    """
    with loaded(tmp_path, source) as found:
        inputs = {"a": np.array(2.0), "b": np.array(3.0)}
        assert_equal(gradients_of(found.subjects[0], inputs, [np.array(1.0)]), {"a": 3, "b": 2})


def test_the_global_generators_are_seeded_alike_before_every_forward_pass(tmp_path: Path) -> None:
    source = """
    import random
    OPERATION = {"x": "n d"}
    rng = np.random.default_rng()
    def forward(x): return x * np.random.rand(*x.shape) * random.random() + own * rng.random(), None
    def backward(dy, cache): return dy
    own = 0
    """
    for own in (0, 1):
        with loaded(tmp_path, source.replace("own = 0", f"own = {own}")) as found:
            (subject,) = found.subjects
            first, second = (subject.forward({"x": X}).outputs[0] for _ in range(2))
            assert np.array_equal(first, second) == (own == 0)
            assert not np.array_equal(first, subject.forward({"x": X}, seed=1).outputs[0])


def test_a_worker_that_is_renewed_runs_the_forward_pass_again(tmp_path: Path) -> None:
    with loaded(tmp_path, DENSE_STYLES["a pair with a cache"]) as found:
        (subject,) = found.subjects
        forward = subject.forward(DENSE)
        subject.backward(forward, [DY])
        subject.renew()
        subject.forward(DENSE)
        assert_equal(subject.backward(forward).gradients, DENSE_GRADIENT)


def test_a_forward_pass_is_kept_while_there_are_few_others(tmp_path: Path) -> None:
    with loaded(tmp_path, DENSE_STYLES["a pair with a cache"]) as found:
        (subject,) = found.subjects
        forward = subject.forward(DENSE)
        other = [subject.forward({**DENSE, "x": 0 * X}) for _ in range(15)]
        assert_equal(subject.backward(forward, [DY]).gradients, DENSE_GRADIENT)
        other.append(subject.forward(DENSE))
        with pytest.raises(ContractError, match="no longer there"):
            subject.backward(forward, [DY])


def test_nothing_of_ours_can_be_imported_by_an_operation(tmp_path: Path) -> None:
    source = (
        PAIR
        + "\n  import sys; assert not [m for m in sys.modules if 'adapters' in m or 'harness' in m]\n  import harness"
    )
    with loaded(tmp_path, source) as found, pytest.raises(SubjectGone, match="harness belongs to the judge"):
        found.subjects[0].vjp(DENSE, [DY])


def test_files_of_ours_are_none_of_a_subject_that_lies_above_them() -> None:
    subject = worker.Subject()
    subject.folder = str(worker.ROOT)
    ours = [subject.own(str(path)) for path in (worker.HERE, worker.ADAPTERS)]
    assert (ours, subject.own(str(worker.ROOT / "mine.py"))) == (["", ""], "mine.py")


# --- What is missing, or written wrongly --------------------------------------------------------------------

FORWARD, BACKWARD = "def forward(x, W, b): return x\n", "def backward(dy, cache): return dy\n"
CLASS = """class Dense:
    def __init__(self, {}): pass
    def forward(self, x): return x
    def backward(self, dy): return dy
"""
WRONG = {
    "": (
        "mine.py has no function gradient(parameters, inputs, targets) of a network, and no forward and backward of an "
        "operation: one of these is what is checked."
    ),
    "def gradients(parameters, inputs, targets): return []": (
        "mine.py has no function gradient(parameters, inputs, targets) of a network, and no forward and backward of an "
        "operation (it has gradients): one of these is what is checked."
    ),
    "def gradient(x, y): return x, y": (
        "mine.py has gradient(x, y): of a network it has to take (parameters, inputs, targets); of a scalar "
        "function it "
        "needs forward(x, y) and the axes of the inputs:\n"
        '    OPERATION = {"x": "n d", "y": "d"}'
    ),
    CLASS.format("units"): (
        "mine.py has the class Dense, and doesn't say what it takes: add its inputs and its parameters with their axes "
        "(equal names have equal sizes):\n"
        '    LAYER = Dense\n    OPERATION = {"x": "n d"}\n    PARAMETERS = {"W": "dW"}'
    ),
    "REFERENCE = 'layernorm'\n" + FORWARD + BACKWARD: (
        "mine.py doesn't say what forward takes: add the inputs with their axes (equal names have equal sizes):\n"
        '    OPERATION = {"x": "n d", "W": "d", "b": "d"}'
    ),
    "OPERATOIN = {'x': 'n'}\n" + FORWARD + BACKWARD: "mine.py sets OPERATOIN; did you mean OPERATION?",
    "OPERATION = 'n d'\n" + FORWARD + BACKWARD: (
        "OPERATION has to be a dict of the inputs with their axes, not 'n d':\n"
        '    OPERATION = {"x": "n d", "gain": "d"}'
    ),
    "OPERATION = {'x': 'n, d'}\n": "OPERATION['x'] is 'n, d': separate axes by spaces, 'n d'.",
    "OPERATION = {'x': '4 * k'}\n": "OPERATION['x'] is '4 * k': write arithmetic without spaces, as in 4*k.",
    "OPERATION = {'x': ('n', 'd')}\n": "OPERATION['x'] has to be one string of axes, 'n d', not ('n', 'd').",
    "OPERATION = {'x': 'n k/2'}\n": (
        "OPERATION['x']: 'k/2' is no axis: write a name, a number, or arithmetic with +, -, * and //."
    ),
    "OPERATION = {'x': {'axis': 'n'}}\n": "OPERATION['x'] has an unknown key 'axis'; did you mean 'axes'?",
    "OPERATION = {'x': {'axes': 'n', 'values': 'label', 'below': 3}}\n": (
        "OPERATION['x'] has the values 'label', which are unknown; did you mean 'labels'? Known are real, positive, "
        "nonzero, unit, probabilities, distinct, ties, signs, onehot, mask, counts, labels, and a function "
        "(rng, shape, sizes)."
    ),
    "OPERATION = {'x': {'axes': 'n', 'values': 'labels'}}\n": (
        'OPERATION[\'x\'] has labels, and doesn\'t say below which number: add "below": "v".'
    ),
    "OPERATION = {'W': 'vocab d', 'x': {'axes': 'n', 'values': 'labels', 'below': 'vocabs'}}\n": (
        "OPERATION['x'] has labels below 'vocabs', which is not an axis of an input; did you mean 'vocab'?"
    ),
    "OPERATION = {'x': {'axes': 'n', 'values': 'mask'}}\n": "OPERATION has no input that a gradient could be for.",
    "OPERATION = {'x': 'n', 'W': 'n'}\n" + FORWARD + BACKWARD: (
        "forward takes 'b' too, and nothing says what it is: declare it as an input, or as an option with "
        "the values to "
        "draw from:\n"
        '    OPTIONS = {"b": [1, 2]}'
    ),
    "OPERATION = {'x': 'n', 'W': 'n', 'b': 'n', 'c': 'n'}\n" + FORWARD + BACKWARD: (
        "forward takes (x, W, b), and is called with x, W, b, c: the inputs that are declared, in that order."
    ),
    "OPERATION = {'W': 'n', 'x': 'n', 'b': 'n'}\n" + FORWARD + BACKWARD: (
        "forward takes x, W, b, and the inputs are declared as W, x, b: the order has to be the same."
    ),
    SAID + "OPTIONS = {'epsilon': 1e-5}\ndef forward(x, W, b, *, eps=0): return x\n" + BACKWARD: (
        "OPTIONS has 'epsilon', which forward doesn't take; did you mean 'eps'?"
    ),
    SAID
    + "OPTIONS = {'eps': []}\n"
    + FORWARD
    + BACKWARD: "OPTIONS['eps'] is an empty list: name at least one value.",
    SAID + "OPTIONS = {'eps': [np.ones(2)]}\n" + FORWARD + BACKWARD: (
        "OPTIONS['eps'] holds a ndarray; an option is a number, a truth value, a string, None, or a tuple of "
        "these: pass "
        "an array as an input."
    ),
    SAID + "SIZES = {'dd': 3}\n" + FORWARD + BACKWARD: (
        "SIZES has the axis 'dd', which no input has; did you mean 'd'?"
    ),
    SAID + "SIZES = {'d': 'many'}\n" + FORWARD + BACKWARD: (
        "SIZES['d'] has to be a size, a list of sizes or a range, not 'many'."
    ),
    SAID + "DTYPE = 'float23'\n" + FORWARD + BACKWARD: (
        "DTYPE has to be one of float64, float32, float16, not 'float23'; did you mean 'float32'?"
    ),
    SAID + "ARRAYS = 'pytorch'\n" + FORWARD + BACKWARD: (
        "ARRAYS has to be one of numpy, torch, jax, not 'pytorch'; did you mean 'torch'?"
    ),
    SAID + "OUTPUTS = True\n" + FORWARD + BACKWARD: (
        "OUTPUTS has to say for each output whether it is differentiable, as in [True, False], not True."
    ),
    SAID + FORWARD + "def backwards(dy, cache): return dy": (
        "mine.py has forward and no derivative of it: it needs backward(dy, cache), backward(dy, x, W, b), "
        "gradient(x, W, b), jacobian(x, W, b) or jvp(inputs, tangents); did you mean 'backwards'?"
    ),
    SAID + "def foward(x, W, b): return x\n" + BACKWARD: (
        "mine.py has backward and no forward(x, W, b), which says what it is the derivative of; did you mean 'foward'?"
    ),
    SAID
    + "REFERENCE = 'swich'\n"
    + FORWARD
    + BACKWARD: "REFERENCE names 'swich', which is not known; did you mean 'swish'?",
    SAID + "REFERENCE = 'swish'\n" + FORWARD + BACKWARD: (
        "REFERENCE names swish, which takes x, beta, and x, W, b is declared: the inputs have to be the "
        "same, in the same "
        "order."
    ),
    "OPERATIONS = {'afine': {'x': 'n'}}\ndef affine_forward(x): return x, x\ndef affine_backward(dy, x): return dy": (
        "mine.py has no function afine_forward for OPERATIONS['afine']; did you mean 'affine_forward'?"
    ),
    "OPERATIONS = {'f': {'inputs': {'x': 'n'}, 'option': {}}}\ndef f(x): return x": (
        "OPERATIONS['f'] has an unknown key 'option'; did you mean 'options'?"
    ),
    SAID + "def f(x, W, b): return x\nFUNCTION = f": (
        'FUNCTION is differentiated by its framework, and nothing says by which: add\n    ARRAYS = "torch"'
    ),
    SAID
    + "def f(x): return x\nLAYER = f": "LAYER has to be the class itself, and not a function or an object.",
    SAID + CLASS.format("d") + "FUNCTION = Dense": "FUNCTION is a class: call it LAYER.",
    SAID + "LAYER = 3": "LAYER has to be the class itself, not 3.",
    SAID + CLASS.format("self_made"): (
        "Dense is made with self_made, and nothing says what self_made is: call an axis so in OPERATION "
        "(it has n, d, k), or give values to draw from:\n"
        '    OPTIONS = {"self_made": [3]}'
    ),
    SAID + CLASS.format("d") + CLASS.format("k").replace("Dense", "Other"): (
        "mine.py has Dense, Other: say which one OPERATION is about:\n    LAYER = Dense"
    ),
    CLASS.format("") + CLASS.format("").replace("Dense", "Other"): (
        "mine.py has Dense, Other, and doesn't say what they take: add their inputs and their parameters with their "
        "axes (equal names have equal sizes):\n"
        '    OPERATIONS = {"Dense": {"x": "n d"}, "Other": {"x": "n d"}}\n'
        '    PARAMETERS = {"W": "dW"}'
    ),
    SAID + "OPTIONS = {'eps': 1}\n" + CLASS.format("rps=0"): (
        "OPTIONS has 'eps', which neither Dense nor its forward takes; did you mean 'rps'?"
    ),
    SAID + "PARAMETERS = {'w': 'dW'}\n" + CLASS.format("d"): (
        "PARAMETERS has 'w', and OPERATION no input w; did you mean 'W'?"
    ),
    SAID + """PARAMETERS = {"layers[0].w": "layers[0].dw"}\n""" + CLASS.format("d"): (
        "PARAMETERS has 'layers[0].w', and OPERATION no input w; did you mean 'W'? Where an input has another name "
        "than its attribute, say both, as in\n"
        '    PARAMETERS = {"w1": ["layers[0].w", "layers[0].dw"]}'
    ),
}


@pytest.mark.parametrize("source", WRONG)
def test_what_is_missing_or_written_wrongly_is_told_with_the_line_to_add(source: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableSubject) as caught, loaded(tmp_path, source, known=KNOWN):
        pass
    assert str(caught.value) == WRONG[source]


def test_a_line_to_paste_works_once_it_is_pasted(tmp_path: Path) -> None:
    source = """
    def other_forward(q, r): return q * r, (q, r)
    def other_backward(dy, cache): return dy * cache[1], (dy * cache[0]).sum(axis=0)
    """
    with loaded(tmp_path, source) as found:
        line = found.missing[0].sentence.split("\n")[1].strip()
    with loaded(tmp_path, textwrap.dedent(source) + line) as found:
        assert [one.name for one in found.subjects] == ["other"]
        assert max(error_of(found.subjects[0], 1).values()) < 1e-8


OF_A_CLASS = """
    OPERATION, PARAMETERS = {"x": "n d", "g": "d"}, {"g": "dg"}
    class LAYER:
        def __init__(self, d): self.g = np.ones(d)
        def forward(self, x): self.x = x; return x * self.g
        def backward(self, dy): self.dg = (dy * self.x).sum(axis=0); return dy * self.g
"""
OF_A_JVP = """
    OPERATION = {"x": "n", "p": "n"}
    def forward(x, p): return x * p
    def jvp(inputs, tangents): return inputs[0] * tangents[1] + inputs[1] * tangents[0]
"""


OF_AN_INPUT_CALLED_Y = """
    OPERATION = {"x": "n d", "y": "n d"}
    def forward(x, y): return 3 * x * y
    def backward(dout, x, y): return 3 * dout * y, 3 * dout * x
"""


def test_an_input_called_y_is_not_taken_for_the_output_of_that_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with loaded(tmp_path, OF_AN_INPUT_CALLED_Y) as found:
        (subject,) = found.subjects
        case = OperationCase(
            {"x": np.array([[1.0, 4.0]]), "y": np.array([[5.0, 6.0]])},
            {},
            {"n": 1, "d": 2},
            np.zeros(9, int),
            calls=calls(str(tmp_path / "mine.py"), subject.declaration),
        )
        case.shapes.append((1, 2))
        exec(case.as_python().replace("dout = ", "dout = 0 * x + 2  # "), {})  # noqa: S102  (our own lines)
        assert "[[30., 36.]]" in capsys.readouterr().out  # 3 · 2 · y, of the input


@pytest.mark.parametrize(("source", "said"), [(OF_A_CLASS, "[[10. 12.]] [2. 8.]"), (OF_A_JVP, "[5. 0.]")])
def test_a_case_can_be_pasted_and_says_what_the_derivative_is(
    source: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with loaded(tmp_path, source) as found:
        declared = found.subjects[0].declaration
        arrays = {"x": np.array([[1.0, 4.0]]), "g": np.array([5.0, 6.0])}
        if "p" in declared.inputs:
            arrays = {"x": np.array([1.0, 4.0]), "p": np.array([5.0, 6.0])}
        case = OperationCase(
            arrays, {}, {"n": 1, "d": 2}, np.zeros(9, int), calls=calls(str(tmp_path / "mine.py"), declared)
        )
        case.shapes.append(arrays["x"].shape)
        exec(case.as_python().replace("dy = ", "dy = 2 + 0 * x  # "), {})  # noqa: S102  (our own lines)
    assert said in capsys.readouterr().out


def test_a_layer_whose_forward_makes_its_parameters_anew_is_told_so(tmp_path: Path) -> None:
    source = """
        OPERATION = {"x": "n d", "W": "d m"}
        class Layer:
            def __init__(self, m): self.m, self.params, self.grads = m, {}, {}
            def forward(self, x):
                self.params["W"], self.x = np.ones((x.shape[1], self.m)), x
                return x @ self.params["W"]
            def backward(self, dy):
                self.grads["W"] = self.x.T @ dy
                return dy @ self.params["W"].T
        LAYER = Layer
        PARAMETERS = {"params['W']": "grads['W']"}
    """
    inputs = {"x": np.array([[3.0]]), "W": np.array([[2.0]])}
    with loaded(tmp_path, source) as found, pytest.raises(ContractError) as broken:
        found.subjects[0].forward(inputs, {})
    assert str(broken.value).startswith(
        "forward puts other numbers in the place of params['W'], which was set before it: give W its first values "
        "where the layer is made, not in forward"
    )


OF_A_TUPLE = """
    OPERATION = {"x": "n"}
    def forward(x): return (3 * x, x * x), x
    def backward(dy, cache): return 3 * dy[0] + 2 * cache * dy[1]
"""
OF_TWO_COTANGENTS = """
    OPERATION = {"x": "n"}
    def forward(x): return 3 * x, x * x, x
    def backward(da, db, cache): return 3 * da + 2 * cache * db
"""


@pytest.mark.parametrize("source", [OF_A_TUPLE, OF_TWO_COTANGENTS])
def test_a_case_of_several_outputs_can_be_pasted(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with loaded(tmp_path, source) as found:
        x, lines = np.array([1.0, 4.0]), calls(str(tmp_path / "mine.py"), found.subjects[0].declaration)
        case = OperationCase({"x": x}, {}, {"n": 2}, np.arange(9), calls=lines, shapes=[(2,), (2,)])
        exec(case.as_python(), {})  # noqa: S102  (our own lines)
    one, other = case.cotangents([x, x])
    assert not np.array_equal(one, other)
    assert str(3 * one + 2 * x * other) in capsys.readouterr().out
