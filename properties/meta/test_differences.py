"""The values of the loss find what is wrong in a gradient, and never accuse what is right."""

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

import manual_backprop
from reference import differences
from reference.network import ACTIVATIONS

Arrays = list[tuple[Any, Any]]
Network = tuple[Arrays, Any, Any]
Choices = dict[str, Any]

HIDDEN = tuple(name for name in ACTIVATIONS if name != "softmax")
ENDS = [
    *product(ACTIVATIONS, ("mse", "sse")),
    ("softmax", "cross_entropy"),
    ("sigmoid", "binary_cross_entropy"),
    ("sigmoid", "mean_binary_cross_entropy"),
]
CHOICES: list[Choices] = [
    {"hidden": hidden, "output": output, "loss": loss, "reduction": "sum" if loss == "sse" else "mean"}
    for hidden, (output, loss) in product(HIDDEN, ENDS)
]
TANH: Choices = {"hidden": "tanh", "output": "identity", "loss": "mse", "reduction": "mean"}
RELU: Choices = TANH | {"hidden": "relu"}
names = pytest.mark.parametrize("choices", CHOICES, ids=lambda choices: "-".join(choices.values()))


def drawn(seed: int, sizes: list[int], samples: int, loss: str = "mse", *, bias: bool = True) -> Network:
    """A well-scaled network with its batch."""
    random = np.random.default_rng(seed)
    parameters = [
        (random.standard_normal((m, k)) / np.sqrt(m), random.standard_normal(k) / 2 if bias else None)
        for m, k in pairwise(sizes)
    ]
    targets = random.standard_normal((samples, sizes[-1]))
    if "entropy" in loss:
        targets = np.exp(targets) / np.exp(targets).sum(axis=1, keepdims=True)
    return parameters, random.standard_normal((samples, sizes[0])), targets


def right(network: Network, choices: Choices) -> Arrays:
    """A right gradient, in arrays of its own."""
    return [*manual_backprop.gradient(*network, **choices)]


@names
def test_every_right_gradient_is_found_right_along_30_lines(choices: Choices) -> None:
    network = drawn(3, [6, 4, 3], 5, choices["loss"], bias=choices["output"] != "tanh")
    verdict = differences.judge(right(network, choices), *network, **choices)
    assert verdict.outcome == "agree", verdict.reason
    assert verdict.conclusive == 30
    assert verdict.miss < 1e-9


@names
def test_a_gradient_multiplied_by_one_and_a_millionth_is_found_wrong(choices: Choices) -> None:
    network = drawn(6, [6, 4, 3], 5, choices["loss"])
    wrong = [(dW * (1 + 1e-6), db * (1 + 1e-6)) for dW, db in right(network, choices)]
    assert differences.judge(wrong, *network, **choices).outcome == "disagree"


@names
def test_one_wrong_entry_and_a_pair_that_cancels_are_found(choices: Choices) -> None:
    network = drawn(7, [6, 4, 3], 5, choices["loss"])
    one, pair = (right(network, choices) for _ in range(2))
    one[0][0][2, 1] += 1e-4
    pair[0][0][2, 1] += 1e-4
    pair[0][0][3, 3] -= 1e-4
    assert differences.judge(one, *network, **choices).outcome == "disagree"
    assert differences.judge(pair, *network, **choices).outcome == "disagree"


def test_a_pair_that_cancels_is_missed_along_about_half_of_the_lines() -> None:
    network = drawn(8, [6, 4, 3], 5)
    for W, _ in network[0]:
        W[...] = np.copysign(0.5, W)  # entries of one size, so that a line moves them alike
    gradient = right(network, TANH)
    gradient[0][0][2, 1] += 1e-4
    gradient[0][0][3, 3] -= 1e-4
    found = [differences.judge(gradient, *network, **TANH, count=1, seed=seed).outcome for seed in range(60)]
    # 60 fair coins: fewer than 15, or more than 45, of one side come up with probability 1e-4.
    assert 15 < found.count("agree") < 45


def test_labels_are_rows_with_a_single_one() -> None:
    parameters, inputs, _ = drawn(9, [4, 5, 3], 4)
    labels = np.array([2, 0, 1, 1])
    choices: Choices = {"hidden": "tanh", "output": "softmax", "loss": "cross_entropy", "reduction": "mean"}
    gradient = right((parameters, inputs, labels), choices)
    by_labels = differences.judge(gradient, parameters, inputs, labels, **choices)
    by_rows = differences.judge(gradient, parameters, inputs, np.eye(3)[labels], **choices)
    assert by_labels == by_rows
    assert by_labels.outcome == "agree"


def test_no_right_gradient_is_accused_whatever_the_scales() -> None:
    random = np.random.default_rng(10)
    outcomes: list[str] = []
    for seed, choices in enumerate(CHOICES * 4):
        sizes = [int(size) for size in random.integers(1, 6, random.integers(2, 6))]
        parameters, inputs, targets = drawn(seed, sizes, 4, choices["loss"], bias=seed % 3 > 0)
        scales = 10.0 ** random.uniform(-8, 8, len(parameters) + 2)
        parameters = [
            (W * s, None if b is None else b * s) for (W, b), s in zip(parameters, scales, strict=False)
        ]
        inputs = inputs * scales[-2]
        targets = targets if "entropy" in choices["loss"] else targets * scales[-1]
        with np.errstate(all="ignore"):
            gradient = right((parameters, inputs, targets), choices)
        verdict = differences.judge(gradient, parameters, inputs, targets, **choices, count=5, seed=seed)
        outcomes.append(verdict.outcome)
        assert verdict.outcome != "disagree", (seed, choices, verdict)
    assert outcomes.count("agree") > len(outcomes) / 2


def test_an_overflow_of_the_loss_is_inconclusive_and_says_so() -> None:
    parameters, inputs, targets = drawn(11, [3, 4, 2], 3)
    gradient = [(0 * W, 0 * b) for W, b in parameters]
    linear: Choices = dict(TANH, hidden="identity")
    verdict = differences.judge(gradient, parameters, inputs * 1e200, targets, **linear)
    assert verdict.outcome == "inconclusive"
    assert "overflow" in verdict.reason


def test_a_kink_at_the_point_itself_is_inconclusive_and_says_so_unless_it_explains_too_little() -> None:
    parameters = [(np.array([[2.0]]), np.array([-6.0])), (np.array([[5.0]]), np.array([1.0]))]
    network = parameters, np.array([[3.0]]), np.array([[4.0]])
    gradient = right(network, RELU)
    verdict = differences.judge(gradient, *network, **RELU)
    assert verdict.outcome == "inconclusive"
    assert "kink" in verdict.reason
    # b2 moves the output by 1, off the kink or not; relu's slope of at most 1 moves b1 by 30 at most.
    gradient[1][1][0] += 1000
    assert differences.judge(gradient, *network, **RELU).outcome == "disagree"


def test_a_kink_beside_the_point_is_no_kink_there() -> None:
    parameters = [(np.array([[1.0]]), np.array([2.0**-12])), (np.array([[3.0]]), np.array([0.0]))]
    network = parameters, np.array([[0.0]]), np.array([[1.0]])
    gradient = right(network, RELU)
    assert differences.judge(gradient, *network, **RELU).outcome == "agree"
    gradient[0][1][0] = 0  # what is right on the other side
    assert differences.judge(gradient, *network, **RELU).outcome == "disagree"


def test_a_slope_that_is_noise_is_inconclusive_and_says_so() -> None:
    # One output of softmax is always 1: the loss does not depend on the weights at all.
    network = drawn(12, [3, 4, 1], 3)
    choices: Choices = TANH | {"output": "softmax"}
    verdict = differences.judge(right(network, choices), *network, **choices)
    assert verdict.outcome == "inconclusive"
    assert "noise" in verdict.reason


def test_a_gradient_that_is_not_a_number_disagrees_with_one_that_is() -> None:
    network = drawn(13, [3, 4, 2], 3)
    gradient = right(network, TANH)
    gradient[1][0][0, 0] = np.nan
    verdict = differences.judge(gradient, *network, **TANH)
    assert verdict.outcome == "disagree"
    assert "disagree" in verdict.reason


def test_a_float32_gradient_needs_its_own_bound_and_agrees_with_it() -> None:
    network = drawn(14, [3, 4, 2], 3)
    rounded = [(dW.astype(np.float32), db.astype(np.float32)) for dW, db in right(network, TANH)]
    bound = [(abs(dW) * 2.0**-24, abs(db) * 2.0**-24) for dW, db in rounded]
    assert differences.judge(rounded, *network, **TANH).outcome == "disagree"
    assert differences.judge(rounded, *network, **TANH, allowed=bound).outcome == "agree"
