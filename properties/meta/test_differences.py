"""Finite differences know their own error, find what is wrong, and never accuse what is right."""

import tracemalloc
from itertools import chain, pairwise, product
from typing import Any

import numpy as np
import pytest

import manual_backprop
from properties.comparison import compare
from reference import differences
from reference.exact import central_difference, fractions_of
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
LINEAR: Choices = TANH | {"hidden": "identity"}
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


def located(network: Network, choices: Choices) -> tuple[Arrays, Arrays]:
    """Every coordinate and its noise."""
    values, noises = differences.every_coordinate(*network, **choices)
    return [*values], [*noises]


def inner(gradient: Arrays, direction: Arrays) -> float:
    """⟨gradient, direction⟩."""
    pairs = [
        pair for one, other in zip(gradient, direction, strict=True) for pair in zip(one, other, strict=True)
    ]
    return float(sum((g * v).sum() for g, v in pairs if g is not None))


@names
def test_the_derivative_along_a_direction_lies_within_the_noise(choices: Choices) -> None:
    network = drawn(1, [5, 4, 3, 2], 3, choices["loss"])
    gradient = right(network, choices)
    random = np.random.default_rng(0)
    several = differences.directions(network[0], network[1], random, hidden=choices["hidden"])
    clear = 0
    for _, direction in zip(range(5), several, strict=False):
        estimate = differences.along(network[0], direction, *network[1:], **choices)
        if not estimate.kinked:
            clear += 1
            assert abs(estimate.value - inner(gradient, direction)) <= estimate.noise
            assert estimate.noise < 1e-7 * max(1, abs(estimate.value))
    assert clear > 0


def test_a_linear_network_is_estimated_as_exactly_as_rational_arithmetic_says() -> None:
    network = drawn(2, [4, 3, 2], 3)
    choices = LINEAR
    exact = central_difference(*network, **choices)
    for direction, _ in zip(
        differences.directions(network[0], network[1], np.random.default_rng(1), hidden="identity"),
        range(5),
        strict=False,
    ):
        truth = sum(
            (g * fractions_of(v)).sum()
            for one, two in zip(exact, direction, strict=True)
            for g, v in zip(one, two, strict=True)
        )
        estimate = differences.along(network[0], direction, *network[1:], **choices)
        assert abs(fractions_of(estimate.value).item() - truth) <= fractions_of(estimate.noise).item()


@pytest.mark.parametrize(
    ("smaller", "larger", "factor"),
    [
        ({"reduction": "mean"}, {"reduction": "sum"}, 4),
        ({"loss": "mse"}, {"loss": "sse"}, 2),
        ({"loss": "half_mse"}, {"loss": "mse"}, 2),
        ({"loss": "half_sse"}, {"loss": "sse"}, 2),
        ({"loss": "mean_binary_cross_entropy"}, {"loss": "binary_cross_entropy"}, 2),
    ],
    ids=lambda names: "-".join(names.values()) if isinstance(names, dict) else "",
)
def test_a_multiple_of_a_loss_has_that_multiple_of_the_slopes_and_of_their_noise(
    smaller: Choices, larger: Choices, factor: int
) -> None:
    # 4 samples and 2 outputs: the factors are powers of two, and nothing is rounded.
    parameters, *batch = drawn(20, [3, 2, 2], 4, "binary_cross_entropy")
    direction = next(differences.directions(parameters, batch[0], np.random.default_rng(0), hidden="tanh"))
    choices: list[Choices] = [TANH | {"output": "sigmoid"} | names for names in (smaller, larger)]
    one, many = (differences.along(parameters, direction, *batch, **names) for names in choices)
    assert (factor * one.value, factor * one.noise) == (many.value, many.noise)
    found = [[*chain(*located((parameters, *batch), names))] for names in choices]  # slopes and noises
    for pair, multiple in zip(*found, strict=True):
        assert all((factor * x == y).all() for x, y in zip(pair, multiple, strict=True))


def test_the_rules_of_the_noise_give_what_they_give_by_hand() -> None:
    rule: dict[str, Any] = dict(vars(differences))
    reach, half = rule["_Reach"], np.log(2) / 2
    nothing = np.zeros((1, 2))

    def at(x: Any = nothing, **bounds: float) -> Any:
        return reach(np.asarray(x), *(nothing + bounds.get(name, 0) for name in "kedr"))

    def close(found: Any, expected: Any) -> bool:
        """Within the rules' own constants: at most 32 roundings of numbers up to 32."""
        expected = np.asarray(expected, float)
        return compare({"": found}, {"": expected}, {"": expected * 0 + 32 * 32 * 2.0**-53}).holds

    # o moves by a factor of at most e^(2k), here 2; d is 2 o d, and 6 o e k more.
    o = np.array([[1 / 8, 7 / 8]])
    assert close(rule["_reach_of_softmax"](o, at(k=half), 1.0).k, [[1 / 8, 7 / 8]])
    assert close(rule["_reach_of_softmax"](o, at(k=half, d=1), 1.0).d, [[1 / 2, 2]])
    assert close(rule["_reach_of_softmax"](o, at(e=half, d=1), 1.0).d, [[1 / 2, 2]])
    assert close(
        rule["_reach_of_softmax"](o, at(k=half / 2, e=half / 2), 2.0).d,
        3 * (half / 2) ** 2 * np.array([[1 / 4, 1]]),
    )
    grown = np.array([[np.sqrt(2) / 8, 1]])
    assert close(rule["_reach_of_softmax"](o, at(e=half / 2), 1.0).e, grown * (np.sqrt(2) - 1))
    # z = xW + b moves by what x moves, and by t(|x| + k)s + ts; its derivative errs by what x errs, times s.
    layer = rule["Layer"](np.array([[2.0], [-3.0]]), np.array([5.0]), "identity", 2, 1)
    z = rule["_reach_of_z"](
        layer, at([[1.0, -2.0]], k=4, e=1 / 2, d=1 / 4, r=1 / 8), rule["_move"](1 / 8, 1 / 4, 4.0), 4.0
    )
    assert z.x == 13
    assert close(z.k, 5 * 4 + 4 / 8 * (3 + 8) + 4 / 4)
    assert close(z.e, 5 / 2)
    assert close(z.d, 5 / 4 + 1 / 8)
    assert close(z.r, 5 / 8 + 4 / 8 / 4)
    # (o - y)²: its derivative 2 (o - y) ∂o errs by 2 |o - y| d and 2 e (d + k / t).
    y = np.array([[1.0, 3.0]])
    given = at([[2.0, 1.0]], k=1, e=1 / 2, d=1 / 4)
    assert close(rule["_squares_errors"](at(), given, y, 2.0).d, [[2 * 1.5 / 4 + 1 / 2, 2 * 2.5 / 4 + 1 / 2]])
    assert close(rule["_cross_entropy_errors"](given, at(), y, 2.0).d, [[1 / 2 + 1 / 2, 3 / 2 + 3 / 2]])
    assert close(
        rule["_binary_cross_entropy_errors"](given, at(), y, 2.0).d, [[1 / 4 + 1 / 16, 5 * (1 / 4 + 1 / 16)]]
    )


def test_a_kink_between_the_points_is_told_and_a_shorter_step_avoids_it() -> None:
    parameters = [(np.array([[1.0]]), np.array([2.0**-12])), (np.array([[3.0]]), np.array([0.0]))]
    network = parameters, np.array([[0.0]]), np.array([[1.0]])
    direction = [(np.zeros((1, 1)), np.array([1.0])), (np.zeros((1, 1)), np.array([0.0]))]
    assert differences.along(parameters, direction, *network[1:], **RELU).kinked
    shorter = differences.along(parameters, direction, *network[1:], **RELU, step=2.0**-15)
    assert not shorter.kinked
    assert abs(shorter.value - inner(right(network, RELU), direction)) <= shorter.noise


@names
def test_every_right_gradient_is_found_right_in_30_directions(choices: Choices) -> None:
    network = drawn(3, [6, 4, 3], 5, choices["loss"])
    verdict = differences.judge(right(network, choices), *network, **choices)
    assert verdict.outcome == "agree", verdict.reason
    assert verdict.conclusive == 30
    assert verdict.miss < 1e-9


@names
def test_every_coordinate_lies_within_its_noise(choices: Choices) -> None:
    for sizes, bias in (([5, 4, 3, 2], True), ([3, 2], True), ([4, 3, 2], False)):
        network = drawn(4, sizes, 3, choices["loss"], bias=bias)
        gradient = right(network, choices)
        values, noises = located(network, choices)
        for truth, value, noise in zip(gradient, values, noises, strict=True):
            for g, d, e in zip(truth, value, noise, strict=True):
                assert (g is None) == (d is None) == (e is None)
                if g is not None:
                    assert g.shape == d.shape == e.shape
                    assert (abs(g - d) <= e).all()
                    assert (e < 1e-6 * max(1, abs(g).max())).all()


@pytest.mark.parametrize("choices", [TANH, RELU], ids=["tanh", "relu"])
def test_every_coordinate_agrees_with_the_plain_loop_over_single_weights(choices: Choices) -> None:
    network = drawn(5, [4, 3, 2], 3)
    values, noises = located(network, choices)
    for layer, arrays in enumerate(network[0]):
        for which, array in enumerate(arrays):
            for index in np.ndindex(array.shape):
                direction = [(np.zeros_like(W), np.zeros_like(b)) for W, b in network[0]]
                direction[layer][which][index] = 1
                single = differences.along(network[0], direction, *network[1:], **choices, step=2.0**-12)
                assert not single.kinked
                noise = single.noise + noises[layer][which][index]
                assert abs(values[layer][which][index] - single.value) <= noise


@names
def test_a_gradient_multiplied_by_one_and_a_millionth_is_found_wrong(choices: Choices) -> None:
    network = drawn(6, [6, 4, 3], 5, choices["loss"])
    gradient = right(network, choices)
    wrong = [(dW * (1 + 1e-6), db * (1 + 1e-6)) for dW, db in gradient]
    assert differences.judge(wrong, *network, **choices).outcome == "disagree"


@names
def test_one_wrong_entry_and_a_pair_that_cancels_are_found_and_located(choices: Choices) -> None:
    network = drawn(7, [6, 4, 3], 5, choices["loss"])
    one, pair = (right(network, choices) for _ in range(2))
    one[0][0][2, 1] += 1e-4
    pair[0][0][2, 1] += 1e-4
    pair[0][0][3, 3] -= 1e-4
    assert differences.judge(one, *network, **choices).outcome == "disagree"
    assert differences.judge(pair, *network, **choices).outcome == "disagree"
    values, noises = located(network, choices)
    for layer, (dW, db) in enumerate(pair):
        where = [(2, 1), (3, 3)] if layer == 0 else []
        assert [tuple(index) for index in np.argwhere(abs(dW - values[layer][0]) > noises[layer][0])] == where
        assert (abs(db - values[layer][1]) <= noises[layer][1]).all()


def test_a_pair_that_cancels_is_missed_by_about_half_of_the_directions() -> None:
    network = drawn(8, [6, 4, 3], 5)
    gradient = right(network, TANH)
    gradient[0][0][2, 1] += 1e-4
    gradient[0][0][3, 3] -= 1e-4
    found = [differences.judge(gradient, *network, **TANH, count=1, seed=seed).outcome for seed in range(60)]
    assert 15 < found.count("agree") < 45


def test_labels_are_rows_with_a_single_one() -> None:
    parameters, inputs, _ = drawn(9, [4, 5, 3], 4)
    labels = np.array([2, 0, 1, 1])
    rows = np.eye(3)[labels]
    choices: Choices = {"hidden": "tanh", "output": "softmax", "loss": "cross_entropy", "reduction": "mean"}
    gradient = right((parameters, inputs, labels), choices)
    assert differences.judge(gradient, parameters, inputs, labels, **choices).outcome == "agree"
    by_labels = differences.every_coordinate(parameters, inputs, labels, **choices)
    by_rows = differences.every_coordinate(parameters, inputs, rows, **choices)
    assert all((a[0] == b[0]).all() for a, b in zip(by_labels[0], by_rows[0], strict=True))


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
    network = parameters, inputs * 1e200, targets
    choices = LINEAR
    gradient = [(0 * W, 0 * b) for W, b in parameters]
    verdict = differences.judge(gradient, *network, **choices)
    assert verdict.outcome == "inconclusive"
    assert "overflow" in verdict.reason
    _, noises = located(network, choices)
    assert np.isinf(noises[0][0]).all()


def test_a_kink_at_the_point_itself_is_inconclusive_and_says_so() -> None:
    parameters = [(np.array([[2.0]]), np.array([-6.0])), (np.array([[5.0]]), np.array([1.0]))]
    network = parameters, np.array([[3.0]]), np.array([[4.0]])
    verdict = differences.judge(right(network, RELU), *network, **RELU)
    assert verdict.outcome == "inconclusive"
    assert "kink" in verdict.reason
    values, noises = located(network, RELU)
    assert np.isinf(noises[0][0]).all()
    assert abs(values[1][0] - right(network, RELU)[1][0]) <= noises[1][0]


def test_a_difference_that_is_noise_is_inconclusive_and_says_so() -> None:
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
    assert verdict.worst == np.inf


def test_a_float32_gradient_needs_its_own_bound_and_agrees_with_it() -> None:
    network = drawn(14, [3, 4, 2], 3)
    rounded = [(dW.astype(np.float32), db.astype(np.float32)) for dW, db in right(network, TANH)]
    bound = [(abs(dW) * 2.0**-24, abs(db) * 2.0**-24) for dW, db in rounded]
    assert differences.judge(rounded, *network, **TANH).outcome == "disagree"
    assert differences.judge(rounded, *network, **TANH, bound=bound).outcome == "agree"


def test_large_arrays_are_judged_within_four_times_the_memory_of_the_parameters() -> None:
    network = drawn(15, [1200, 1000, 3], 4)
    gradient = right(network, TANH)
    numbers = sum(W.size + b.size for W, b in network[0])
    tracemalloc.start()
    verdict = differences.judge(gradient, *network, **TANH, count=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert verdict.outcome == "agree"
    # The parameters and the subject's gradient are there already.
    assert peak + 2 * 8 * numbers < 4 * 8 * numbers
    gradient[0][0][7, 8] += 1
    assert differences.judge(gradient, *network, **TANH, count=3).outcome == "disagree"


@pytest.mark.parametrize("choices", [TANH, RELU], ids=["tanh", "relu"])
@pytest.mark.parametrize(
    ("sizes", "samples"),
    [
        ((128, 64, 10), 32),
        ((128, 72, 10), 1),
        ((128, 64, 10), 500),
        ((64, 64, 64, 64, 10), 32),
        ((10, 700, 10), 40),
    ],
)
def test_a_verdict_takes_at_most_four_times_the_memory_of_parameters_and_activations(
    sizes: tuple[int, ...], samples: int, choices: Choices
) -> None:
    network = drawn(19, [*sizes], samples)
    gradient = right(network, choices)
    differences.judge(gradient, *network, **choices, count=2)  # what is made once
    tracemalloc.start()
    verdict = differences.judge(gradient, *network, **choices, count=5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    parameters = sum(W.size + b.size for W, b in network[0])
    activations = samples * (sizes[0] + 2 * sum(sizes[1:]))
    assert verdict.outcome == "agree"
    assert peak < 4 * 8 * (parameters + activations)


def test_signs_held_as_bits_are_the_matrix_that_they_stand_for() -> None:
    bits = differences.random_bits((700, 501), np.random.default_rng(16))
    signs = differences.Signs(bits, (700, 501), 0.25)
    matrix = np.concatenate([block for _, block in signs.blocks()])
    assert matrix.shape == signs.shape
    assert set(np.unique(matrix)) == {-0.25, 0.25}
    x = np.random.default_rng(17).integers(-4, 5, (3, 700)).astype(float)  # whole numbers: no rounding
    assert ((x @ signs) == (x @ matrix)).all()
    assert abs(matrix.mean()) < 0.25 / 100


def test_lengths_are_powers_of_two_and_keep_every_move_near_1() -> None:
    parameters, inputs, _ = drawn(18, [128, 64, 10], 32)
    for (s, s_b), fan_in in zip(
        differences.lengths(parameters, inputs, hidden="tanh"), (128, 64), strict=True
    ):
        assert np.log2(s) % 1 == np.log2(s_b) % 1 == 0
        assert 1 / 64 < s * np.sqrt(fan_in) < 2
