"""Rational arithmetic: the reference runs on it unchanged, and its slopes are exact."""

from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import manual_backprop
from reference import autodiff
from reference.exact import (
    RATIONAL_ACTIVATIONS,
    RATIONAL_LOSSES,
    fractions_of,
    kinks_of,
    one_sided,
    rational,
)

Arrays = list[tuple[Any, Any]]
Network = tuple[Arrays, Any, Any]
Choices = dict[str, Any]

CHOICES: list[Choices] = [
    {"hidden": hidden, "output": output, "loss": loss, "reduction": reduction}
    for hidden, output, loss, reduction in product(
        RATIONAL_ACTIVATIONS, RATIONAL_ACTIVATIONS, RATIONAL_LOSSES, ("mean", "sum")
    )
]


def drawn(seed: int, sizes: list[int], samples: int, *, bias: bool = True) -> Network:
    """A network of 16ths, none of its relu pre-activations 0, with its batch."""
    random = np.random.default_rng(seed)

    def sixteenths(*shape: int) -> NDArray[np.float64]:
        return random.integers(-40, 41, shape) / 16

    while True:
        parameters: Arrays = [(sixteenths(m, k), sixteenths(k) if bias else None) for m, k in pairwise(sizes)]
        inputs = sixteenths(samples, sizes[0])
        kinks = kinks_of(parameters, inputs, hidden="relu", output="relu")
        if not any(kink.any() for kink in kinks if kink is not None):
            return parameters, inputs, sixteenths(samples, sizes[-1])


def right(parameters: Arrays, inputs: Any, targets: Any, **choices: Any) -> Arrays:
    """The gradient by hand."""
    return [*manual_backprop.gradient(parameters, inputs, targets, **choices)]


def slopes(*network: Any, **choices: Any) -> Arrays:
    """By every weight, where those from the left and from the right are the same."""
    left, right = one_sided(*network, **choices)
    assert equal(left, right)
    return left


def equal(a: Arrays, b: Arrays) -> bool:
    """Whether all the arrays of two gradients are equal to the last digit."""
    pairs = [pair for one, other in zip(a, b, strict=True) for pair in zip(one, other, strict=True)]
    return all(bool(np.all(x == y)) if x is not None else y is None for x, y in pairs)


@pytest.mark.parametrize("choices", CHOICES, ids=lambda choices: "-".join(choices.values()))
def test_the_gradient_by_hand_is_how_the_loss_moves_to_the_last_digit(
    choices: Choices,
) -> None:
    parameters, inputs, targets = drawn(1, [3, 4, 2, 2], samples=3)
    exact = rational(parameters), fractions_of(inputs), fractions_of(targets)
    assert equal(right(*exact, **choices), slopes(*exact, **choices))


@pytest.mark.parametrize("choices", CHOICES[::5], ids=lambda choices: "-".join(choices.values()))
def test_a_slope_of_one_thousandth_of_a_billionth_more_is_not_equal(choices: Choices) -> None:
    parameters, inputs, targets = drawn(2, [2, 3, 2], samples=2)
    exact = rational(parameters), fractions_of(inputs), fractions_of(targets)
    found = right(*exact, **choices)
    found[0][0][1, 2] += Fraction(1, 10**12)
    assert not equal(found, slopes(*exact, **choices))


def test_floats_are_taken_as_the_fractions_that_they_are() -> None:
    parameters, inputs, targets = drawn(3, [2, 3, 2], samples=2)
    choices = CHOICES[0]
    exact = rational(parameters), fractions_of(inputs), fractions_of(targets)
    found = slopes(parameters, inputs, targets, **choices)
    assert equal(found, slopes(*exact, **choices))
    assert fractions_of(np.float32(0.1)).item() == Fraction(13421773, 134217728)
    assert fractions_of([[0.1]])[0, 0] == Fraction(0.1) != Fraction(1, 10)


def test_autodiff_is_exact_where_float64_rounds_nothing() -> None:
    # One layer of 16ths: products and sums are short binary fractions, and float64 rounds none of them.
    parameters, inputs, targets = drawn(4, [3, 2], samples=2)
    choices: Choices = {"hidden": "identity", "output": "identity", "loss": "sse", "reduction": "sum"}
    floats = autodiff.gradient(parameters, inputs, targets, **choices)
    assert equal(rational(floats), slopes(parameters, inputs, targets, **choices))


def test_labels_and_layers_without_bias_are_exact_too() -> None:
    parameters, inputs, _ = drawn(5, [2, 4, 3], samples=4, bias=False)
    labels = np.array([0, 2, 1, 2])
    choices: Choices = {"hidden": "relu", "output": "identity", "loss": "half_mse", "reduction": "mean"}
    exact = rational(parameters), fractions_of(inputs), labels
    assert equal(right(*exact, **choices), slopes(*exact, **choices))


def on_a_kink() -> Network:
    """One hidden unit, z = 2·3 - 6 = 0 exactly."""
    parameters: Arrays = [
        (fractions_of([[3.0]]), fractions_of([-6.0])),
        (fractions_of([[5.0]]), fractions_of([1.0])),
    ]
    return parameters, fractions_of([[2.0]]), fractions_of([[4.0]])


def test_a_pre_activation_of_exactly_zero_is_told() -> None:
    parameters, inputs, _ = on_a_kink()
    kinks = kinks_of(parameters, inputs, hidden="relu", output="identity")
    assert kinks[0] is not None
    assert kinks[0].tolist() == [[True]]
    assert kinks[1] is None
    without_bias: Arrays = [(fractions_of([[3.0], [-2.0]]), None), (parameters[1][0], None)]
    (kink, _) = kinks_of(without_bias, [[2.0, 3.0]], hidden="relu", output="identity")  # z = 3·2 - 2·3
    assert kink is not None
    assert kink.all()


def test_at_a_kink_the_one_sided_slopes_are_those_of_slope_0_and_of_slope_1() -> None:
    choices: Choices = {"hidden": "relu", "output": "identity", "loss": "sse", "reduction": "sum"}
    below, above = one_sided(*on_a_kink(), **choices)
    assert equal(below, right(*on_a_kink(), **choices))  # relu'(0) = 0 by hand
    # relu'(0) = 1: dz = 2(o - y)·5 = -30 and dW = x dz.
    assert above[0][0][0, 0] == 2 * -30
    assert above[0][1] is not None
    assert above[0][1][0] == -30
    assert equal(below[1:], above[1:])  # the layer above has no kink


def test_a_kink_that_no_weight_moves_does_not_matter() -> None:
    # Without a bias, an input of 0 leaves z at 0 whatever the weights are.
    parameters: Arrays = [(fractions_of([[3.0, -2.0]]), None), (fractions_of([[5.0], [7.0]]), None)]
    inputs, targets = fractions_of([[0.0], [1.0]]), fractions_of([[1.0], [2.0]])
    choices: Choices = {"hidden": "relu", "output": "identity", "loss": "mse", "reduction": "mean"}
    assert equal(
        right(parameters, inputs, targets, **choices),
        slopes(parameters, inputs, targets, **choices),
    )


@pytest.mark.parametrize("change", [{"hidden": "tanh"}, {"output": "softmax"}, {"loss": "cross_entropy"}])
def test_what_leaves_the_rational_numbers_is_refused(change: Choices) -> None:
    parameters, inputs, targets = drawn(6, [2, 2, 2], samples=2)
    with pytest.raises(ValueError, match="rational"):
        slopes(parameters, inputs, targets, **CHOICES[0] | change)


def test_a_number_that_is_not_finite_is_no_fraction() -> None:
    with pytest.raises(ValueError, match="finite"):
        fractions_of([1.0, np.inf])


def test_what_float64_would_round_is_exact() -> None:
    parameters, inputs, targets = drawn(8, [3, 2, 3], 2)
    choices = {"hidden": "identity", "output": "identity", "loss": "half_sse", "reduction": "mean"}
    batch = inputs / 10, targets / 10  # no short binary fractions
    exactly = [fractions_of(array) for array in batch]
    assert equal(slopes(parameters, *batch, **choices), right(rational(parameters), *exactly, **choices))
