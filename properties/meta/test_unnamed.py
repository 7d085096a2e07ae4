"""What the catalogue has no name for is told in a sentence: each of its tables, in words of its own.

The wrong gradients here are written out unit by unit, or as derivatives by complex steps, and share no code with the
rows that have to find them.
"""

# Students' code has no types.
# pyright: basic
# pyright: reportArgumentType=false, reportOperatorIssue=false, reportOptionalMemberAccess=false
# pyright: reportOptionalOperand=false, reportReturnType=false

import re
from collections.abc import Callable, Iterable
from math import erf, exp, pi, sqrt
from typing import Any

import numpy as np
import pytest

import manual_backprop
from manual_backprop.mistakes import MISTAKES
from properties.cases import Array, Case, Parameters
from properties.diagnosis import Diagnosis
from properties.diagnosis.answer import diagnose
from properties.diagnosis.trials import written
from properties.meta.accused import ByHand, Wrong, case_for, diagnosed
from properties.problem import read


def explained(function: Callable[..., Parameters], *, loud: float = 1.0, **problem: Any) -> Diagnosis:
    """The diagnosis of a function of which there is an explanation and no name."""
    found = diagnosed(function, loud=loud, **problem)
    assert found.mistakes == ()
    assert "fresh cases" in found.evidence
    return found


def ends(texts: Iterable[str]) -> list[str]:
    """Of texts that differ in a number alone, the first and the last."""
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(re.sub(r"\d[\d.e-]*", "#", text), []).append(text)
    return [text for group in groups.values() for text in dict.fromkeys((group[0], group[-1]))]


# --- another problem --------------------------------------------------------------------------------------


def logistic(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def a_sigmoid_network(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
    """Sigmoids in both layers, ½ Σ (o − y)², as in many a first attempt."""
    (W1, b1), (W2, b2) = parameters
    h = logistic(inputs @ W1 + b1)
    o = logistic(h @ W2 + b2)
    dz2 = (o - targets) * o * (1 - o) / len(inputs)
    dz1 = dz2 @ W2.T * h * (1 - h)
    return [(inputs.T @ dz1, dz1.sum(axis=0)), (h.T @ dz2, dz2.sum(axis=0))]


def a_classifier(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
    """A relu, a softmax and its cross-entropy, summed over the batch; targets that are no probabilities."""
    (W1, b1), (W2, b2) = parameters
    h = np.maximum(inputs @ W1 + b1, 0)
    z = h @ W2 + b2
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    dz2 = p - targets
    dz1 = dz2 @ W2.T * (h > 0)
    return [(inputs.T @ dz1, dz1.sum(axis=0)), (h.T @ dz2, dz2.sum(axis=0))]


def test_a_module_without_its_problem_is_told_what_to_write() -> None:
    found = explained(a_sigmoid_network)
    assert found.explanation == (
        "this is the gradient of another problem: hidden sigmoid, output sigmoid, loss half_sse, "
        "and PROBLEM says tanh, identity, mse"
    )
    assert found.answer == (
        'If that is what you mean, say so in PROBLEM: "hidden": "sigmoid", "output": "sigmoid", "loss": "half_sse".'
    )


def test_a_problem_may_differ_in_everything() -> None:
    found = explained(a_classifier)
    assert found.explanation == (
        "this is the gradient of another problem: hidden relu, output softmax, loss cross_entropy, reduction sum, "
        "and PROBLEM says tanh, identity, mse, mean"
    )


def test_one_other_problem_is_told_before_three_mistakes() -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        ((W, b),) = parameters
        e = np.exp(inputs @ W + b)
        dz = (e / e.sum(axis=1, keepdims=True) - targets) / len(e)
        return [(inputs.T @ dz, dz.sum(axis=0))]

    found = explained(wrong, layers=1, output="softmax", targets="one_hot")
    assert found.explanation == "this is the gradient of the loss cross_entropy, and PROBLEM says mse"


@pytest.mark.parametrize("name", ["bias_forgotten", "upstream_not_passed", "samples_averaged_first"])
def test_a_mistake_in_another_problem_is_named(name: str) -> None:
    _, wrong = MISTAKES[name].variants[0]

    def of_relu(parameters: Parameters, inputs: Array, targets: Array, **names: Any) -> Parameters:
        return wrong(parameters, inputs, targets, **{**names, "hidden": "relu"})

    found = diagnosed(of_relu)
    assert found.mistakes == (name,)
    assert found.note == (
        "with the gradient of a network with relu in the hidden layers, and PROBLEM says tanh"
    )


# --- other activations, slopes and errors -----------------------------------------------------------------

FUNCTIONS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    **{
        f"leaky_relu with slope {a:g}": (lambda z, a=a: max(z, a * z), lambda z, a=a: 1.0 if z > 0 else a)
        for a in (0.01, 0.2)
    },
    "elu with alpha 1": (lambda z: z if z > 0 else exp(z) - 1, lambda z: 1 if z > 0 else exp(z)),
    "silu": (
        lambda z: z / (1 + exp(-z)),
        lambda z: (1 + exp(-z) + z * exp(-z)) / (1 + exp(-z)) ** 2,
    ),
    "gelu": (
        lambda z: z / 2 * (1 + erf(z / sqrt(2))),
        lambda z: (1 + erf(z / sqrt(2))) / 2 + z * exp(-(z**2) / 2) / sqrt(2 * pi),
    ),
    "relu6": (lambda z: min(max(z, 0), 6), lambda z: float(0 < z < 6)),
    "hard_tanh": (lambda z: min(max(z, -1), 1), lambda z: float(-1 < z < 1)),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: (1 + abs(z)) ** -2),
    "sin": (lambda z: float(np.sin(z)), lambda z: float(np.cos(z))),
    "exp": (exp, exp),
    "square": (lambda z: z**2, lambda z: 2 * z),
}


@pytest.mark.parametrize("name", ends(FUNCTIONS))
def test_an_activation_that_problem_does_not_know_is_told(name: str) -> None:
    f, slope = FUNCTIONS[name]
    network = ByHand(
        activate=lambda z: np.array([f(float(one)) for one in z]), slope=lambda z, h: slope(float(z))
    )
    # Beyond ±6 and ±1 two of them bend once more, where not every case goes.
    claim = "relu" if name == "relu6" else "tanh"
    found = explained(network, loud=64 if name == "relu6" else 1, hidden=claim)
    assert found.explanation == (
        f"this is the gradient of a network with {name} in the hidden layers, and PROBLEM says {claim}"
    )


@pytest.mark.parametrize(
    "name", ["leaky_relu with slope 0.01", "elu with alpha 1", "gelu", "softsign", "sin"]
)
def test_the_slope_of_an_activation_that_problem_does_not_know_is_told(name: str) -> None:
    _, slope = FUNCTIONS[name]
    found = explained(ByHand(slope=lambda z, h: slope(float(z))))
    assert found.explanation.startswith(f"the slope of the hidden layers is that of {name} ")


FORMULAS: dict[str, Callable[[float, float], float]] = {
    "1 − h": lambda z, h: 1 - h,
    "h²": lambda z, h: h**2,
    "1/h": lambda z, h: 1 / h,
    "1 − z": lambda z, h: 1 - z,
    "z": lambda z, h: z,
}


@pytest.mark.parametrize("text", FORMULAS)
def test_a_slope_that_is_none_is_told(text: str) -> None:
    found = explained(ByHand(slope=FORMULAS[text]))
    assert found.explanation == f"the slope of the hidden layers is {text}, and PROBLEM says tanh"


def by_complex_steps(outputs: Callable[[Parameters, Array], Array]) -> Callable[..., Parameters]:
    """The gradient of (1/NK) Σ (o − y)², with an o that is any analytic function, to the last digits."""

    def gradient(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        def slope(array: Array, index: tuple[int, ...]) -> float:
            array[index] += 1e-30j
            found = ((outputs(varied, inputs) - targets) ** 2).mean().imag / 1e-30
            array[index] -= 1e-30j
            return found

        varied = [(W.astype(complex), b.astype(complex)) for W, b in parameters]
        return [
            tuple(
                np.array([slope(array, index) for index in np.ndindex(array.shape)]).reshape(array.shape)
                for array in pair
            )
            for pair in varied
        ]

    return gradient


def test_another_activation_at_the_output_is_told() -> None:
    def outputs(parameters: Parameters, inputs: Array) -> Array:
        (W1, b1), (W2, b2) = parameters
        return np.sin(np.tanh(inputs @ W1 + b1) @ W2 + b2)

    assert explained(by_complex_steps(outputs)).explanation == (
        "this is the gradient of a network with sin at the output, and PROBLEM says identity"
    )


@pytest.mark.parametrize("layer", [1, 2])
def test_another_activation_in_one_layer_is_told(layer: int) -> None:
    def outputs(parameters: Parameters, inputs: Array) -> Array:
        (W1, b1), (W2, b2), (W3, b3) = parameters
        first, second = (logistic if layer == number else np.tanh for number in (1, 2))
        return second(first(inputs @ W1 + b1) @ W2 + b2) @ W3 + b3

    found = explained(by_complex_steps(outputs), layers=3)
    assert found.explanation == f"layer {layer} has sigmoid, and PROBLEM says tanh"


@pytest.mark.parametrize(("axis", "text"), [(0, "the samples"), (None, "all samples and outputs")])
@pytest.mark.parametrize("loss", ["cross_entropy", "half_sse"])
def test_a_softmax_over_another_axis_is_told(axis: int | None, text: str, loss: str) -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        ((W, b),) = parameters
        e = np.exp(inputs @ W + b)
        p = e / e.sum(axis=axis, keepdims=True)
        dz = (p - targets) / len(p)
        if loss == "half_sse":
            dz = np.array([(np.diag(row) - np.outer(row, row)) @ d for row, d in zip(p, dz, strict=True)])
        return [(inputs.T @ dz, dz.sum(axis=0))]

    found = explained(wrong, layers=1, output="softmax", loss=loss)
    assert found.explanation == f"the softmax is taken over {text}, not over the outputs of each sample"


ERRORS: dict[str, Callable[..., float]] = {
    "this is the gradient of mean_absolute_error, averaged over the outputs": lambda e, n, k: (
        (1 if e > 0 else -1) / (n * k)
    ),
    "this is the gradient of mean_absolute_error, summed over the outputs": lambda e, n, k: (
        (1 if e > 0 else -1) / n
    ),
    "this is the gradient of log_cosh, averaged over the outputs": lambda e, n, k: (
        float(np.tanh(e)) / (n * k)
    ),
    "this is the gradient of log_cosh, summed over the outputs": lambda e, n, k: float(np.tanh(e)) / n,
    "(o − y)² stands where its derivative by o should be": lambda e, n, k: 2 * e**2 / (n * k),
    "|o − y| stands where its derivative by o should be": lambda e, n, k: 2 * abs(e) / (n * k),
}


@pytest.mark.parametrize("text", ends(ERRORS))
def test_another_error_is_told(text: str) -> None:
    network = ByHand(error=lambda o, y, i, j, n, k: ERRORS[text](o[j] - y[j], n, k))
    found = explained(network, loud=64)
    assert found.explanation.startswith(text)


# --- other data ------------------------------------------------------------------------------------------


def next_output(y: Array) -> Array:
    return y[:, [-1, *range(y.shape[1] - 1)]]


def output_before(y: Array) -> Array:
    return y[:, [*range(1, y.shape[1]), 0]]


TARGETS: dict[str, Callable[[Array], Array]] = {
    "the targets are 1 − y": lambda y: 1.0 - y,
    "the targets are moved to the next output": next_output,
    "the targets are moved to the output before": output_before,
    "the targets are left out": lambda y: 0 * y,
    "the largest target of a sample is taken for its label": lambda y: (
        y == y.max(axis=1, keepdims=True)
    ).astype(float),
}
INPUTS: dict[str, Callable[[Array], Array]] = {
    "each input is standardised over the batch": lambda x: np.transpose(
        [(column - np.mean(column)) / np.std(column) for column in x.T]
    ),
    "each input is centred over the batch": lambda x: np.transpose([c - np.mean(c) for c in x.T]),
    "each input is scaled to [0, 1] over the batch": lambda x: np.transpose(
        [(c - min(c)) / (max(c) - min(c)) for c in x.T]
    ),
    "the inputs of a sample are divided by their norm": lambda x: np.array(
        [r / np.linalg.norm(r) for r in x]
    ),
    "the inputs are reshaped where they should be transposed": lambda x: np.transpose(
        np.array(list(x.flat)).reshape(x.shape[1], x.shape[0])
    ),
}


@pytest.mark.parametrize("text", TARGETS)
def test_other_targets_are_told(text: str) -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        return ByHand()(parameters, inputs, TARGETS[text](targets))

    assert explained(wrong).explanation == text


def from_one(p: Array, labels: Array) -> None:
    p[np.arange(len(p)), labels - 1] -= 1


def test_labels_that_count_from_one_are_told() -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        ((W, b),) = parameters
        e = np.exp(inputs @ W + b)
        p = e / e.sum(axis=1, keepdims=True)
        from_one(p, targets)
        return [(inputs.T @ p / len(p), p.sum(axis=0) / len(p))]

    found = explained(wrong, layers=1, output="softmax", loss="cross_entropy", targets="labels")
    assert found.explanation == "the targets are moved to the output before"


@pytest.mark.parametrize("text", INPUTS)
def test_other_inputs_are_told(text: str) -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        return ByHand()(parameters, INPUTS[text](inputs), targets)

    assert explained(wrong).explanation == text


@pytest.mark.parametrize("targets", ["one_hot", "labels", "real"])
def test_a_cross_entropy_that_is_divided_by_the_outputs_too_is_told(targets: str) -> None:
    def wrong(*case: Any, **names: str) -> Parameters:
        right = manual_backprop.gradient(*case, **names)
        return [(dW / right[-1][1].size, db / right[-1][1].size) for dW, db in right]

    found = explained(wrong, output="softmax", loss="cross_entropy", targets=targets)
    assert found.explanation == "1/k times the right gradient, everywhere"


@pytest.mark.parametrize("layer", [1, 2])
def test_the_layer_is_told_whose_bias_the_forward_pass_leaves_out(layer: int) -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        without = [
            (W, b if number != layer else np.zeros(b.size)) for number, (W, b) in enumerate(parameters, 1)
        ]
        return ByHand()(without, inputs, targets)

    assert explained(wrong).explanation == f"the forward pass leaves the bias of layer {layer} out"


# --- other sums, other layers -----------------------------------------------------------------------------


def with_steps(
    dW: Callable[[Array, Array], Array] = lambda x, dz: x.T @ dz,
    db: Callable[[Array], Array] = lambda dz: dz.sum(axis=0),
    dh: Callable[[Array, Array], Array] = lambda dz, W: dz @ W.T,
) -> Callable[..., Parameters]:
    """The gradient of two layers, of which one step may be another."""

    def gradient(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        (W1, b1), (W2, b2) = parameters
        h = np.tanh(inputs @ W1 + b1)
        dz2 = 2 * (h @ W2 + b2 - targets) / targets.size
        dz1 = dh(dz2, W2) * (1 - h**2)
        return [(dW(inputs, dz1), db(dz1)), (dW(h, dz2), db(dz2))]

    return gradient


SUMS: dict[str, Callable[..., Parameters]] = {
    "dW is a product of two sums, Σ x and Σ dz, where a sum of products should be": with_steps(
        dW=lambda x, dz: np.einsum("nk,mj->kj", x, dz)
    ),
    "each entry of db is the sum of dz over all units": with_steps(db=lambda dz: dz.sum() + 0 * dz[0]),
    "each entry of db is the mean of dz over all units and samples": with_steps(
        db=lambda dz: np.mean(dz) + 0 * dz[0]
    ),
    "each entry of db is the mean over the units of what they should be": with_steps(
        db=lambda dz: np.mean([column.sum() for column in dz.T]) + 0 * dz[0]
    ),
    "∂L/∂h is the mean over the units above, where their sum should be": with_steps(
        dh=lambda dz, W: np.mean(dz[:, None, :] * W, axis=2)
    ),
    "∂L/∂h is a product of two sums, Σ dz and Σ w over the units above, where a sum of products should be": with_steps(
        dh=lambda dz, W: np.einsum("nj,km->nk", dz, W)
    ),
}


@pytest.mark.parametrize("text", SUMS)
def test_another_sum_is_told(text: str) -> None:
    assert explained(SUMS[text]).explanation == text


@pytest.mark.parametrize("back", [False, True])
def test_a_softmax_that_is_taken_twice_is_told(back: bool) -> None:  # noqa: FBT001
    def softmax(z: Array) -> Array:
        e = np.exp(z)
        return e / e.sum(axis=1, keepdims=True)

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        ((W, b),) = parameters
        p = softmax(inputs @ W + b)
        dz = (softmax(p) - targets) / len(p)
        if back:
            dz = np.array([(np.diag(row) - np.outer(row, row)) @ d for row, d in zip(p, dz, strict=True)])
        return [(inputs.T @ dz, dz.sum(axis=0))]

    found = explained(wrong, layers=1, output="softmax", loss="cross_entropy")
    assert found.explanation == (
        "there is a softmax before the softmax, and PROBLEM has none"
        + ("" if back else "; the way back leaves it out")
    )


def test_a_reshape_where_a_transpose_should_be_is_told() -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        return [(dW.T.copy().reshape(dW.shape), db) for dW, db in ByHand()(parameters, inputs, targets)]

    assert explained(wrong).explanation == "dW is reshaped where it should be transposed"


def test_an_array_that_is_another_is_told() -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        (dW1, _), (dW2, db2) = ByHand()(parameters, inputs, targets)
        return [(dW1, db2.copy()), (dW2, db2)]

    assert explained(wrong, width=4, outputs=4).explanation == "db1 is what db2 should be"


def of_three_square_layers(xs: str = "012", ws: str = "12", slopes: str = "01") -> Callable[..., Parameters]:
    """Which h dW1, dW2 and dW3 are made with; which W leads to dz1 and dz2; whose slope they have."""

    def gradient(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        (W1, b1), (W2, b2), (W3, b3) = parameters
        h1 = np.tanh(inputs @ W1 + b1)
        h2 = np.tanh(h1 @ W2 + b2)
        o = np.tanh(h2 @ W3 + b3)
        h, W = (inputs, h1, h2, o), (W1, W2, W3)
        slope = [1 - value**2 for value in (h1, h2, o)]
        dz3 = 2 * (o - targets) / targets.size * (1 - o**2)
        dz2 = dz3 @ W[int(ws[1])].T * slope[int(slopes[1])]
        dz1 = dz2 @ W[int(ws[0])].T * slope[int(slopes[0])]
        return [(h[int(x)].T @ dz, dz.sum(axis=0)) for x, dz in zip(xs, (dz1, dz2, dz3), strict=True)]

    return gradient


NEIGHBOURS: dict[str, Callable[..., Parameters]] = {
    "dW is made with the output of its layer, not with the input": of_three_square_layers(xs="123"),
    "dW is made with the output of its layer, not with the input: in dW2 alone": of_three_square_layers(
        xs="022"
    ),
}


@pytest.mark.parametrize("text", NEIGHBOURS)
def test_an_index_that_is_off_by_one_is_told(text: str) -> None:
    found = explained(NEIGHBOURS[text], layers=3, output="tanh", inputs=5, width=5, outputs=5)
    assert found.explanation == text


# --- finite differences -----------------------------------------------------------------------------------


def by_differences(step: float, *, central: bool) -> Callable[..., Parameters]:
    def loss(parameters: list[list[Array]], inputs: Array, targets: Array) -> Any:
        (W1, b1), (W2, b2) = parameters
        return np.mean((np.tanh(inputs @ W1 + b1) @ W2 + b2 - targets) ** 2)

    def gradient(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        own = [[W.copy(), b.copy()] for W, b in parameters]
        fmt = inputs.dtype.type

        def slope(array: Array, index: tuple[int, ...]) -> Any:
            before, middle = array[index], loss(own, inputs, targets)
            array[index] = before + fmt(step)
            up = loss(own, inputs, targets)
            array[index] = before - fmt(step)
            down = loss(own, inputs, targets)
            array[index] = before
            return (up - down) / fmt(2 * step) if central else (up - middle) / fmt(step)

        return [
            tuple(
                np.array([slope(array, index) for index in np.ndindex(array.shape)]).reshape(array.shape)
                for array in pair
            )
            for pair in own
        ]

    return gradient


@pytest.mark.parametrize("central", [True, False])
@pytest.mark.parametrize("step", [1e-3, 1e-4, 5e-5, 1e-5, 1e-6, 1e-7, 2.0**-26])
def test_finite_differences_are_told_to_be_such(step: float, central: bool) -> None:  # noqa: FBT001
    found = explained(by_differences(step, central=central))
    kind = "central" if central else "one-sided"
    assert found.explanation == (
        f"these are {kind} differences of the loss with a step of {step:.6g}, and no derivative"
    )
    assert found.answer == "Write the derivative out, and keep the differences to check it with."


def test_finite_differences_in_single_precision_are_told_to_be_such() -> None:
    found = explained(by_differences(1e-3, central=False), dtype="float32")
    assert "differences of the loss with a step of 0.001" in found.explanation


# --- state ------------------------------------------------------------------------------------------------


class Stale(Wrong):
    """Keeps the h of the first call of each shape until it is renewed."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        super().__init__(self._gradient)
        self.kept: dict[Any, Array] = {}

    def _gradient(self, parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        (W1, b1), (W2, b2) = parameters
        key = inputs.shape, W1.shape, W2.shape
        h = self.kept.setdefault(key, np.tanh(inputs @ W1 + b1))
        dz2 = 2 * (h @ W2 + b2 - targets) / targets.size
        dz1 = dz2 @ W2.T * (1 - h**2)
        return [(inputs.T @ dz1, dz1.sum(axis=0)), (h.T @ dz2, dz2.sum(axis=0))]

    def renew(self) -> None:
        """Keep nothing."""
        self.kept.clear()


def test_what_earlier_calls_leave_behind_is_found_by_a_fresh_start() -> None:
    subject = Stale()
    case = case_for(subject.claims)
    subject.gradient(case_for(subject.claims))  # of the same sizes
    found = diagnose(subject, case)
    assert (found.mistakes, found.explanation) == (
        (),
        "what earlier calls have left behind changes the answer",
    )
    assert found.where.startswith("dW1")


class Memoised(Stale):
    """Keeps the h of every batch, whatever the parameters."""

    def _gradient(self, parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        (W1, b1), (W2, b2) = parameters
        h = self.kept.setdefault(inputs.tobytes(), np.tanh(inputs @ W1 + b1))
        dz2 = 2 * (h @ W2 + b2 - targets) / targets.size
        dz1 = dz2 @ W2.T * (1 - h**2)
        return [(inputs.T @ dz1, dz1.sum(axis=0)), (h.T @ dz2, dz2.sum(axis=0))]


def test_what_is_kept_for_a_batch_is_found_by_other_parameters() -> None:
    subject = Memoised()
    found = diagnose(subject, case_for(subject.claims))
    assert (found.mistakes, found.explanation) == (
        (),
        "what earlier calls have left behind changes the answer",
    )
    assert found.answer == "Compute everything anew in each call, from its arguments alone."


def test_accumulated_gradients_are_named_where_they_have_grown_large() -> None:
    grown = 0.0

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        nonlocal grown
        grown += 1.0
        right = ByHand()(parameters, inputs, targets)
        return [(grown * dW + 1e6, grown * db + 1e6) for dW, db in right]

    found = diagnosed(wrong, inputs=3, width=4, outputs=2, samples=5)
    assert found.mistakes == ("gradients_accumulated",)


# --- a penalty, and what nobody can explain ---------------------------------------------------------------


def test_a_penalty_on_absolute_values_is_named_with_its_strength() -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        right = ByHand()(parameters, inputs, targets)
        return [(dW + 0.003 * np.sign(W), db) for (dW, db), (W, _) in zip(right, parameters, strict=True)]

    found = diagnosed(wrong)
    assert found.mistakes == ("penalty_included",)
    assert "(λ sign W with λ = 0.003 in dW1, dW2)" in found.evidence


def test_a_fitted_strength_holds_of_the_smallest_case_too() -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        right = ByHand()(parameters, inputs, targets)
        return [(dW + 1e-4 * W, db) for (dW, db), (W, _) in zip(right, parameters, strict=True)]

    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    case = Case([(zero, zero[0]), (one, zero[0])], zero, zero)
    found = diagnose(Wrong(wrong, read({})), case)
    assert (found.mistakes, found.note) == (("penalty_included",), "")


NEAR_AND_FAR: dict[str, Callable[[Array], Array]] = {
    "a cube": lambda array: array * (1 + 1e-3 * array**2),
    "a cube root": np.cbrt,
}


@pytest.mark.parametrize("after", NEAR_AND_FAR.values(), ids=NEAR_AND_FAR)
def test_what_nobody_knows_is_not_explained(after: Callable[[Array], Array]) -> None:
    found = diagnosed(
        ByHand(after=lambda gradient, parameters: [(after(dW), after(db)) for dW, db in gradient])
    )
    assert (found.mistakes, found.explanation, found.answer) == ((), "", "")


def test_a_number_that_is_added_to_each_gradient_is_read_off() -> None:
    found = diagnosed(
        ByHand(after=lambda gradient, parameters: [(dW + 1e-7, db + 1e-7) for dW, db in gradient])
    )
    assert (found.mistakes, found.explanation) == ((), "1e-07 is added to every gradient")


@pytest.mark.parametrize(
    ("number", "read"), [(0.3 * (1 + 2.0**-30), 0.3), (-20 * (1 - 2.0**-30), -20), (0, 0)]
)
def test_a_fitted_number_is_read_as_the_one_that_was_written(number: float, read: float) -> None:
    assert written(number) == read
    other = number * (1 + 2.0**-20)
    assert written(other) == other
