"""What an author reads of a mistake can be acted on: modules of which a diagnosis said too little, or false things.

The gradients are written as people write them.
"""

# Students' code has no types.
# pyright: basic
# pyright: reportArgumentType=false, reportOperatorIssue=false

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import manual_backprop
from properties.cases import Array, Case, Parameters
from properties.diagnosis import steps
from properties.diagnosis.answer import diagnose
from properties.diagnosis.probes import Maker, Probe
from properties.meta.accused import Broken, Wrong, case_for, diagnosed
from properties.problem import read

CLASSES = {"output": "softmax", "loss": "cross_entropy"}


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def two_layers(
    error: Callable[[Array, Array], Array] = lambda z, y: 2 * (z - y) / y.size,
    mask: Callable[[Array], Array] | None = None,
    down: Callable[..., Array] = lambda dz, W, b: dz @ W.T,
    after: Callable[..., Any] = lambda W, x, dz: (x.T @ dz, dz.sum(axis=0)),
) -> Callable[..., Parameters]:
    """A network of two layers, of which a step is another: tanh, or a relu where there is a mask."""

    def gradient(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Any:
        (W1, b1), (W2, b2) = parameters
        h = np.tanh(inputs @ W1 + b1) if mask is None else np.maximum(inputs @ W1 + b1, 0)
        dz2 = error(h @ W2 + b2, targets)
        dz1 = down(dz2, W2, b2) * (1 - h**2 if mask is None else mask(h))
        return [after(W1, inputs, dz1), after(W2, h, dz2)]

    return gradient


def test_a_mask_that_is_always_true_is_told_to_be_one_and_from_where_to_take_it() -> None:
    found = diagnosed(two_layers(mask=lambda h: h >= 0), hidden="relu")
    assert found.mistakes == ("slope_at_wrong_place",)
    assert found.note.startswith("closed units get slope 1: take the mask from z > 0, not from h ≥ 0")
    assert "z > 0" in found.answer


@pytest.mark.parametrize(
    ("factor", "told"), [(0.5, "half of"), (2 / 3, "0.666667 times"), (-3.0, "-3 times"), (0.1, "0.1 times")]
)
def test_a_ratio_that_is_everywhere_the_same_is_an_explanation(factor: float, told: str) -> None:
    found = diagnosed(two_layers(lambda z, y: factor * (z - y) / len(y)), loss="half_sse")
    assert (found.mistakes, found.explanation) == ((), f"{told} the right gradient, everywhere")
    assert "fresh cases" in found.evidence
    assert found.answer


@pytest.mark.parametrize("problem", [{}, {"hidden": "sigmoid", "reduction": "sum"}, {"layers": 3}])
def test_a_ratio_is_in_no_place_that_is_shown_without_hints(problem: dict[str, Any]) -> None:
    def tripled(*case: Any, **names: str) -> Any:
        return [(3 * len(case[1]) * dW, 3 * db) for dW, db in manual_backprop.gradient(*case, **names)]

    found = diagnosed(tripled, **problem)
    assert "ratio" in found.where
    assert "ratio" not in found.place


@pytest.mark.parametrize("layer", [0, 1])
def test_a_mean_in_one_bias_alone_is_that(layer: int) -> None:
    def averaged(W: Array, x: Array, dz: Array) -> tuple[Array, Array]:
        is_this = (W.shape[1] == 4) == (layer == 0)
        return x.T @ dz, dz.mean(axis=0) if is_this else dz.sum(axis=0)

    found = diagnosed(two_layers(after=averaged), inputs=3, width=4, outputs=2)
    assert found.mistakes == ("bias_averaged",)


def test_nothing_that_is_handed_down_has_advice() -> None:
    found = diagnosed(two_layers(down=lambda dz, W, b: 0 * dz @ W.T))
    assert found.explanation == "0 is given for dW1, db1"
    assert found.answer.startswith("Send the error down")


def test_a_sum_without_an_axis_in_a_softmax_is_told() -> None:
    def error(z: Array, y: Array) -> Array:
        e = np.exp(z)
        return (e / np.sum(e) - y) / len(y)

    found = diagnosed(two_layers(error), **CLASSES)
    assert found.explanation == (
        "the softmax is taken over all samples and outputs, not over the outputs of each sample"
    )


def no_error(z: Array, y: Array) -> Array:
    return 0 * (z - y)


def column_sums(z: Array, y: Array) -> Array:
    o = softmax(z)
    J = np.einsum("nj,jk->njk", o, np.eye(o.shape[1])) - o[:, :, None] * o[:, None, :]
    return (o - y) * J.sum(axis=1) / len(o)


@pytest.mark.parametrize(
    ("error", "told"),
    [(no_error, "the gradient is 0"), (column_sums, "the gradient is 0, but for rounding")],
)
def test_a_gradient_of_zeros_is_told_to_be_one(error: Callable[[Array, Array], Array], told: str) -> None:
    found = diagnosed(two_layers(error), **CLASSES)
    assert (found.mistakes, found.explanation) == ((), told)
    assert found.answer


STEPS: dict[str, Callable[..., Parameters]] = {
    "dW is one number, an inner product of x and dz, where an outer product should be": two_layers(
        after=lambda W, x, dz: (np.full_like(W, (x * dz).sum()), dz.sum(axis=0))
    ),
    "db is the sum of dW over its inputs": two_layers(
        after=lambda W, x, dz: (x.T @ dz, (x.T @ dz).sum(axis=0))
    ),
    "the error goes down by the weights of the neighbouring unit, and by b": two_layers(
        down=lambda dz, W, b: dz @ np.vstack([W, b])[1:].T
    ),
}


@pytest.mark.parametrize("told", STEPS)
def test_a_step_that_people_get_wrong_is_told_with_what_to_do(told: str) -> None:
    square = {"inputs": 4, "width": 4, "outputs": 4} if "inner" in told else {}
    found = diagnosed(STEPS[told], **square)
    assert found.explanation.startswith(told)
    assert found.answer


def test_a_constant_in_each_bias_beside_a_penalty_is_told() -> None:
    found = diagnosed(two_layers(after=lambda W, x, dz: (x.T @ dz + 0.1 * W, dz.sum(axis=0) + 0.1)))
    assert found.mistakes == ("penalty_included",)
    assert "(W, and 1 in each db) with λ = 0.1" in found.evidence


# --- other programs ---------------------------------------------------------------------------------------


def hinge(z: Array, y: Array) -> Array:
    right = (z * y).sum(axis=1, keepdims=True)
    open_ = ((z - right + 1 > 0) & (y == 0)).astype(float)
    return (open_ - y * open_.sum(axis=1, keepdims=True)) / len(z)


def gelu_slope(z: Array) -> Array:
    u = np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)
    return 0.5 * (1 + np.tanh(u)) + 0.5 * z / np.cosh(u) ** 2 * np.sqrt(2 / np.pi) * (1 + 0.134145 * z**2)


def a_gelu_network(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Any:
    (W1, b1), (W2, b2) = parameters
    z = inputs @ W1 + b1
    h = 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
    dz2 = 2 * (h @ W2 + b2 - targets) / targets.size
    dz1 = dz2 @ W2.T * gelu_slope(z)
    return [(inputs.T @ dz1, dz1.sum(axis=0)), (h.T @ dz2, dz2.sum(axis=0))]


@pytest.mark.parametrize(
    ("gradient", "problem", "told"),
    [
        (
            two_layers(hinge),
            {**CLASSES, "targets": "one_hot"},
            "this is the gradient of multiclass_hinge with delta 1, and PROBLEM says cross_entropy",
        ),
        (
            a_gelu_network,
            {},
            "this is the gradient of a network with gelu_tanh in the hidden layers, and PROBLEM says tanh",
        ),
        (
            two_layers(lambda z, y: (softmax(np.maximum(z, 0)) - y) * (z > 0) / len(y)),
            CLASSES,
            "there is a relu before the softmax, and PROBLEM has none",
        ),
    ],
)
def test_losses_and_functions_that_courses_use_are_told(
    gradient: Callable[..., Parameters], problem: dict[str, Any], told: str
) -> None:
    assert diagnosed(gradient, **problem).explanation == told


@pytest.mark.parametrize("weights", [[1, 2, 3, 4, 5, 6, 7, 8], [0.5, 1, 0.5, 2, 1, 1, 3, 1]])
def test_fixed_weights_of_classes_are_told(weights: list[float]) -> None:
    def error(z: Array, y: Array) -> Array:
        p = softmax(z)
        p[np.arange(len(p)), y] -= 1
        return p * np.array(weights)[y][:, None] / len(p)

    found = diagnosed(two_layers(error), **CLASSES, targets="labels")
    assert found.explanation.startswith(
        f"each sample counts by a weight of its class: {weights[0]:g} for class 0"
    )
    assert "batches of one" not in found.note


def test_a_single_sample_may_have_any_label() -> None:
    like = case_for(read({**CLASSES, "targets": "labels", "samples": 1}))
    subject = Wrong(two_layers(), read({**CLASSES, "targets": "labels", "samples": 1}))
    maker = Maker(like, subject.claims[0], np.random.default_rng(0))
    assert len({int(maker.case().targets[0]) for _ in range(20)}) > 1


# --- steps ------------------------------------------------------------------------------------------------


class Moved(Broken):
    """A step that is not its rate times one gradient, as the judge reports it."""

    def __init__(self, moved: Parameters, rate: float) -> None:
        """How far it moves at this rate, divided by the rate."""
        super().__init__("step")
        self.moved, self.moved_by_one, self.rate = moved, moved, rate


def early_and_half(case: Case, rate: float) -> Parameters:
    (W1, b1), (W2, b2) = case.parameters
    h = np.tanh(case.inputs @ W1 + b1)
    d2 = (h @ W2 + b2 - case.targets) / case.targets.size
    d1 = d2 @ (W2 - rate * h.T @ d2).T * (1 - h**2)
    return [(case.inputs.T @ d1, d1.sum(0)), (h.T @ d2, d2.sum(0))]


def test_an_early_update_is_named_with_the_mistake_beside_it() -> None:
    rate, cases = 0.25, [case_for(read({}), seed) for seed in (1, 2, 3)]
    faulty = [Probe(case, {}, Moved(early_and_half(case, rate), rate)) for case in cases]
    assert steps.explain(faulty) == (("updated_weights_used", "factor_two_lost"), "")


# --- what is shown ----------------------------------------------------------------------------------------


def test_contributions_say_where_they_are_not_those_of_the_smallest_case() -> None:
    subject = Wrong(two_layers(lambda z, y: 2 * (z - y) * (np.arange(y.shape[1]) == 0) / y.size))
    case = case_for(subject.claims)
    (W1, b1), (W2, b2) = case.parameters
    outputs = np.tanh(case.inputs @ W1 + b1) @ W2 + b2
    without_error = replace(
        case, targets=np.where(np.arange(len(outputs))[:, None] == 0, outputs, case.targets)
    )
    for given, is_fresh in ((case, False), (without_error, True)):
        found = diagnose(subject, given)
        assert found.contributions is not None
        assert found.of_fresh_case is is_fresh


# --- a step without a name --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gradient", "told"),
    [
        (two_layers(lambda z, y: np.sinh(z - y) / y.size), "the value of dz2 is"),
        (two_layers(down=lambda dz, W, b: np.sinh(dz) @ W.T), "the value of dz1 is"),
    ],
)
def test_a_step_that_nobody_knows_is_told_with_what_follows_it(
    gradient: Callable[..., Parameters], told: str
) -> None:
    found = diagnosed(gradient)
    assert (found.mistakes, found.evidence) == ((), "all steps after this one carry its value rightly")
    assert found.explanation.startswith(told)
    assert found.explanation.endswith("not as it should be; all steps after it are right")
    assert found.answer


def test_a_batch_of_one_shows_a_step_that_samples_are_too_many_to_show() -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Any:
        (W1, b1), (W2, b2) = parameters
        h = np.tanh(inputs @ W1 + b1)
        dz2 = 2 * (h @ W2 + b2 - targets) / targets.size
        dz1 = np.sinh(dz2) @ W2.T * (1 - h**2)
        return [(inputs.T @ dz1, dz1.sum(axis=0)), (h.T @ dz2, dz2.sum(axis=0))]

    found = diagnosed(wrong, inputs=2, samples=[1, 6, 7, 8])
    assert found.explanation == "the value of dz1 is not as it should be; all steps after it are right"
