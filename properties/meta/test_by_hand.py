"""The bundled backprop, every choice of its `PROBLEM` once: what tells a slip in no time."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

import manual_backprop
from manual_backprop import (
    ACTIVATIONS,
    LOSSES,
    OUTPUTS,
    average_over_parts,
    averaging,
    per_sample_average,
    split,
)
from manual_backprop.averages import CONTRASTIVE, average_of
from manual_backprop.layers import LAYERS, GhostBatches
from manual_backprop.operations import batch_norm
from manual_backprop.stack import Stack
from manual_backprop.training import descend, initial_parameters, step
from properties.cases import Case, Parameters
from properties.comparison import compare, equal, named
from properties.problem import OUTPUT_OF, TARGETS, read
from properties.rational import in_fractions
from reference.exact import fractions_of
from reference.network import REDUCTIONS, loss_value

CLAIMS = read(manual_backprop.PROBLEM)
SIZES = (2, 5, 4, 6, 3)
SAMPLES = 4
PAIRS = [(output, loss) for output, loss in product(OUTPUTS, LOSSES) if OUTPUT_OF.get(loss, output) == output]
each_pair = pytest.mark.parametrize(("output", "loss"), PAIRS)


def cases(output: str, loss: str) -> Iterator[Case]:
    """One for each hidden activation and reduction; the other choices at random."""
    random = np.random.default_rng(PAIRS.index((output, loss)))
    for (hidden, reduction), layers in zip(product(ACTIVATIONS, REDUCTIONS), (1, 2, 3, 4) * 3, strict=False):
        dtype = str(random.choice(["float64", "float32"]))
        sizes = [*SIZES[:layers], SIZES[-1]]
        bias = layers == 1 or random.random() < 0.5
        parameters: Parameters = [
            (
                (random.standard_normal((m, k)) / np.sqrt(m)).astype(dtype),
                random.standard_normal(k).astype(dtype) if bias else None,
            )
            for m, k in pairwise(sizes)
        ]
        inputs = random.standard_normal((SAMPLES, sizes[0])).astype(dtype)
        targets = targets_of(str(random.choice(TARGETS)), loss, random).astype(dtype)
        targets = targets.astype(int) if targets.ndim == 1 else targets
        yield Case(parameters, inputs, targets, hidden, output, loss, reduction)


def targets_of(kind: str, loss: str, random: np.random.Generator) -> Any:
    """Targets of a kind: labels (n,), or rows (n, K), which are probabilities for an entropy."""
    k = SIZES[-1]
    labels = random.integers(k, size=SAMPLES)
    if kind != "real":
        return labels if kind == "labels" else np.eye(k)[labels]
    if loss == "cross_entropy":
        return random.dirichlet(np.ones(k), SAMPLES)
    return random.random((SAMPLES, k)) if loss in OUTPUT_OF else random.standard_normal((SAMPLES, k))


def is_right(gradient: Parameters, case: Case) -> bool:
    """Whether a gradient is the reference's, but for rounding."""
    truth = case.oracle
    found = named(gradient)
    right, error, opened = named(truth.gradient), named(truth.error), named(truth.open)
    return found.keys() == right.keys() and compare(found, right, error, opened).holds


def gradient(case: Case) -> Parameters:
    """The gradient by hand."""
    return manual_backprop.gradient(case.parameters, case.inputs, case.targets, **case.choices)


def test_every_choice_of_the_contract_is_claimed_with_up_to_four_layers() -> None:
    assert [pair for claim in CLAIMS for pair in claim.pairs()] != []
    assert {pair for claim in CLAIMS for pair in claim.pairs()} == set(PAIRS)
    for claim in CLAIMS:
        assert claim.layers == (1, 2, 3, 4)
        assert claim.hidden == tuple(ACTIVATIONS)
        assert (claim.reduction, claim.targets) == (REDUCTIONS, TARGETS)
        assert (claim.bias, claim.dtype) == ((True, False), ("float64", "float32"))
        assert (claim.inputs, claim.width, claim.outputs, claim.samples) == ((), (), (), ())


@each_pair
def test_the_gradient_is_the_reference_s_in_the_subject_s_format(output: str, loss: str) -> None:
    for case in cases(output, loss):
        found = gradient(case)
        assert is_right(found, case)
        assert {array.dtype for array in named(found).values()} == {case.inputs.dtype}


@each_pair
def test_the_loss_is_the_reference_s(output: str, loss: str) -> None:
    for case in cases(output, loss):
        given = manual_backprop.loss(case.parameters, case.inputs, case.targets, **case.choices)
        wide = [(W.astype(float), None if b is None else b.astype(float)) for W, b in case.parameters]
        truth = loss_value(np, wide, case.inputs.astype(float), case.rows.astype(float), **case.choices)  # pyright: ignore[reportArgumentType]  (None where there is no bias)
        assert given.dtype == case.inputs.dtype
        assert abs(given - truth) <= case.oracle.loss_error


@each_pair
def test_nothing_overflows_where_the_units_saturate(output: str, loss: str) -> None:
    for case in cases(output, loss):
        loud = replace(case, inputs=case.inputs * case.inputs.dtype.type(2**12))
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            assert is_right(gradient(loud), loud)
            given = manual_backprop.loss(loud.parameters, loud.inputs, loud.targets, **loud.choices)
        assert np.isfinite(given)


def test_an_entropy_with_another_output_is_refused() -> None:
    case = next(cases("tanh", "mse"))
    with pytest.raises(ValueError, match="cross_entropy goes with a softmax output, not with tanh"):
        gradient(replace(case, loss="cross_entropy"))


# Averaging and training -------------------------------------------------------------------------------


def rational_case(*, bias: bool = True, samples: int = 5) -> Case:
    """A relu network of 16ths, as fractions."""
    random = np.random.default_rng(1)
    parameters: Parameters = [
        (random.integers(-40, 41, (m, k)) / 16, random.integers(-40, 41, k) / 16 if bias else None)
        for m, k in ((2, 4), (4, 3))
    ]
    inputs, targets = random.integers(-40, 41, (samples, 2)) / 16, random.integers(-40, 41, (samples, 3)) / 16
    return in_fractions(Case(parameters, inputs, targets, "relu"))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_in_fractions_parts_of_any_size_average_to_the_whole_batch(size: int, *, bias: bool) -> None:
    case = rational_case(bias=bias)
    parts = split(case.inputs, case.targets, size)
    assert [len(inputs) for inputs, _ in parts] == [*[size] * (5 // size), *[5 % size] * (5 % size > 0)]
    assert np.array_equal(np.concatenate([targets for _, targets in parts]), case.targets)
    average = average_over_parts(case.parameters, parts, hidden="relu")
    assert equal(named(average), named(gradient(case)))
    single = per_sample_average(case.parameters, case.inputs, case.targets, hidden="relu")
    assert equal(named(single), named(average))


def test_parts_that_count_alike_average_to_their_plain_mean() -> None:
    case = rational_case()
    parts = split(case.inputs, case.targets, 3)
    first, second = (gradient(replace(case, inputs=x, targets=y)) for x, y in parts)
    plain = average_over_parts(case.parameters, parts, by_size=False, hidden="relu")
    half = Fraction(1, 2)
    assert equal(named(plain), {name: half * (a + named(second)[name]) for name, a in named(first).items()})


def test_training_takes_one_step_for_each_batch_of_each_epoch() -> None:
    case = rational_case()
    rate: Any = Fraction(1, 8)
    epochs = list(
        descend(
            case.parameters, case.inputs, case.targets, rate=rate, size=2, epochs=2, seed=3, hidden="relu"
        )
    )
    parameters, random, taken = case.parameters, np.random.default_rng(3), list[Parameters]()
    for _ in range(2):
        order = random.permutation(5)
        for rows in (order[:2], order[2:4], order[4:]):
            d: Any = gradient(replace(case.with_samples(rows), parameters=parameters))
            parameters = [
                (W - rate * dW, None if b is None else b - rate * db)
                for (W, b), (dW, db) in zip(parameters, d, strict=True)
            ]
        taken.append(parameters)
    assert len(epochs) == 2
    assert all(equal(named(a), named(b)) for a, b in zip(epochs, taken, strict=True))


def test_a_step_leaves_a_layer_without_bias_without_one() -> None:
    case = rational_case(bias=False)
    assert [b for _, b in step(case.parameters, gradient(case), 1)] == [None, None]


def test_initial_weights_have_variance_one_over_fan_in_and_biases_are_zero() -> None:
    (W, b), (V, c) = initial_parameters([400, 50, 7], 0)
    assert (W.shape, V.shape) == ((400, 50), (50, 7))
    assert b is not None
    assert c is not None
    assert (b.shape, c.shape) == ((50,), (7,))
    assert not b.any()
    assert not c.any()
    # A mean of m squares of standard normal numbers has the standard deviation √(2/m).
    assert abs((W * W).mean() * 400 - 1) < 5 * np.sqrt(2 / W.size)
    assert abs((V * V).mean() * 50 - 1) < 5 * np.sqrt(2 / V.size)
    assert not np.array_equal(W, initial_parameters([400, 50, 7], 1)[0][0])


# Other averages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [[1, 1, 1, 1], [3, 0, 2, 1]])
def test_the_contrastive_loss_compares_every_pair_of_samples_by_both_weights(weights: list[int]) -> None:
    random = np.random.default_rng(2)
    z, targets = random.integers(-9, 10, (2, 4, 3))
    share = [Fraction(weight, sum(weights)) for weight in weights]
    truth = sum(
        share[a] * share[b] * int(z[a] @ z[b] - targets[a] @ targets[b]) ** 2
        for a in range(4)
        for b in range(4)
    )
    exact = [fractions_of(array) for array in (z, targets, np.array(weights))]
    assert CONTRASTIVE.value(exact[0], exact[1], exact[2]) == truth


@pytest.mark.parametrize("name", [*LOSSES, "contrastive"])
def test_the_average_of_no_sample_is_zero(name: str) -> None:
    z, targets = np.random.default_rng(3).random((2, 4, 3))
    row = CONTRASTIVE if name == "contrastive" else average_of(name)
    assert row.value(z, targets, np.zeros(4)) == 0
    assert not row.error(z, targets, np.zeros(4)).any()


# What is asked for ------------------------------------------------------------------------------------


def test_form_1_differentiates_one_sample_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counted(parameters: Parameters, inputs: Any, targets: Any, **names: Any) -> Parameters:
        sizes.append(len(inputs))
        return manual_backprop.gradient(parameters, inputs, targets, **names)

    monkeypatch.setattr(averaging, "gradient", counted)
    case = rational_case()
    per_sample_average(case.parameters, case.inputs, case.targets, hidden="relu")
    assert sizes == [1, 1, 1, 1, 1]


def test_gradients_that_do_not_go_together_are_refused() -> None:
    one: Any = [(np.ones(2), np.ones(1)), (np.ones(3), np.ones(1))]
    lopsided: Any = [(np.ones(2),), (np.ones(3),)]
    for gradients, weights in (([one, one], [1]), ([one, one[:1]], [1, 1]), ([one, lopsided], [1, 1])):
        with pytest.raises(ValueError, match="zip"):
            averaging.weighted_mean(gradients, weights)
    with pytest.raises(ValueError, match="zip"):
        step(one, one[:1], 1)


def test_a_stack_takes_as_many_tuples_as_it_has_layers() -> None:
    stack, x = Stack((LAYERS["dense"],) * 2), np.ones((3, 2))
    one: Any = [(np.ones((2, 2)), np.ones(2))]
    with pytest.raises(ValueError, match="zip"):
        stack.forward(one, x)
    with pytest.raises(ValueError, match="zip"):
        stack.of_samples(one, slice(1))


def test_a_stack_s_form_1_differentiates_one_sample_at_a_time() -> None:
    sizes: list[int] = []

    class Counted(Stack):
        def gradient(self, parameters: Any, inputs: Any, targets: Any, weights: Any = None) -> Any:
            sizes.append(len(inputs))
            return super().gradient(parameters, inputs, targets, weights)

    x = np.ones((3, 2))
    Counted((LAYERS["dense"],)).per_sample_average([(np.ones((2, 2)), np.ones(2))], x, x)
    assert sizes == [1, 1, 1]


def test_parts_of_a_stack_that_count_alike_average_to_their_plain_mean() -> None:
    case, stack = rational_case(), Stack((LAYERS["dense"],))
    parameters, x, y = case.parameters[:1], case.inputs, case.inputs @ case.parameters[0][0] + 1
    plain = stack.average_over_parts(parameters, x, y, size=3, by_weight=False)
    first, second = (stack.gradient(parameters, x[rows], y[rows]) for rows in (slice(3), slice(3, 5)))
    half = Fraction(1, 2)
    assert all(
        np.array_equal(p, half * (a + b)) for p, a, b in zip(plain[0], first[0], second[0], strict=True)
    )


def test_a_stack_has_the_mean_squared_error_and_no_penalty_unless_told() -> None:
    case = rational_case()
    stack = Stack((LAYERS["dense"], LAYERS["relu"], LAYERS["dense"]))
    parameters: Any = [case.parameters[0], (), case.parameters[1]]
    found = stack.gradient(parameters, case.inputs, case.targets)
    assert equal(named([found[0], found[2]]), named(gradient(case)))  # pyright: ignore[reportArgumentType]  (pairs)
    assert stack.loss(parameters, case.inputs, case.targets) == manual_backprop.loss(
        case.parameters, case.inputs, case.targets, hidden="relu"
    )


def test_the_cross_entropy_s_gradient_holds_for_targets_of_any_sum() -> None:
    for case in cases("softmax", "cross_entropy"):
        heavier = replace(case, targets=case.rows * case.inputs.dtype.type(2))
        assert is_right(gradient(heavier), heavier)


def test_ghost_batches_are_normalised_each_by_itself() -> None:
    x, dy = np.random.default_rng(5).standard_normal((2, 5, 3))
    gain, shift = np.array([1.0, -2.0, 0.5]), np.array([0.0, 1.0, 2.0])
    layer, ghosts = GhostBatches(2), (slice(2), slice(2, 4), slice(4, 5))
    alone = [batch_norm.forward(x[rows], gain, shift) for rows in ghosts]
    y, cache = layer.forward(x, gain, shift)
    assert np.array_equal(y, np.concatenate([one for one, _ in alone]))
    parts = [batch_norm.backward(dy[rows], kept) for rows, (_, kept) in zip(ghosts, alone, strict=True)]
    dx, dgain, dshift = layer.backward(dy, cache)
    assert np.array_equal(dx, np.concatenate([part[0] for part in parts]))
    assert np.array_equal(dgain, parts[0][1] + parts[1][1] + parts[2][1])
    assert np.array_equal(dshift, parts[0][2] + parts[1][2] + parts[2][2])
