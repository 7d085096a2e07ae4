"""Where (1) = (2) ends: the networks and losses for which form (1) is the batch's gradient, and the others.

On one side of the border the equality holds on every drawn case; on the other side it is refuted, by a
counterexample of at most 3 samples and 3 units that Hypothesis shrinks to, and what replaces it is shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from manual_backprop.averaging import weighted_mean
from manual_backprop.layers import LAYERS, GhostBatches, Layer
from manual_backprop.stack import Stack
from properties.cross_derivatives import ROWS, measure
from properties.layer_cases import (
    AT_MOST,
    ROW,
    Batch,
    Network,
    add_bounds,
    around,
    batches,
    compared,
    disagree,
    each_gets_its_share,
    flat,
    learned,
    smallest,
)
from reference import layers
from reference.arithmetic.bounded import Enclosed
from reference.exact import fractions_of


def parts(network: Network, batch: Batch, size: int) -> list[Batch]:
    """The batch in parts of `size` samples; masks go with their samples."""
    rows = [slice(start, start + size) for start in range(0, len(batch.inputs), size)]
    return [
        Batch(
            list(network.stack.of_samples(batch.parameters, part)),
            batch.inputs[part],
            batch.targets[part],
            batch.weights[part],
        )
        for part in rows
    ]


def mean_of_bounds(
    network: Network, batches: Sequence[Batch], weights: Sequence[float]
) -> list[tuple[Any, ...]]:
    """The bounded average of the batches' gradients; one that counts nothing is left out."""
    counted = [
        (network.bounds(batch), weight) for batch, weight in zip(batches, weights, strict=True) if weight
    ]
    return layers.weighted_mean([bounds for bounds, _ in counted], [weight for _, weight in counted])


def averaging_differs(network: Network, batch: Batch, size: int = 1) -> bool:
    """Whether the average over parts, by the sum of their weights, is not the whole batch's gradient."""
    whole = network.stack.gradient(*batch)
    averaged = network.stack.average_over_parts(*batch, size=size)
    cut_up = parts(network, batch, size)
    bounds = mean_of_bounds(network, cut_up, [part.weights.sum() for part in cut_up])
    return disagree(flat(averaged), around(flat(whole), add_bounds(network.bounds(batch), bounds)))


def assert_small(batch: Batch) -> None:
    assert len(batch.inputs) <= AT_MOST
    assert max(batch.inputs.shape[1], *(max(W.shape) for W in flat(batch.parameters))) <= AT_MOST


NETWORKS = {
    **{row.name: Network(("dense", row.name, "dense")) for row in ROWS},
    "cross_entropy": Network(("dense", "layer_norm", "tanh", "dense"), loss="cross_entropy"),
    "mean_binary_cross_entropy": Network(("dense",), loss="mean_binary_cross_entropy"),
    "penalty": Network(("dense", "tanh", "dense"), penalty=0.5),
    "contrastive": Network(("dense", "tanh", "dense"), loss="contrastive"),
}
MIXES_SAMPLES = ("batch_norm", "contrastive")


@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_equals_autodiff(name: str) -> None:
    network = NETWORKS[name]

    @each_gets_its_share
    @given(batches(network, "unequal", samples=3, inputs=1))
    def check(batch: Batch) -> None:
        assert compared(flat(network.stack.gradient(*batch)), flat(network.bounds(batch))).holds

    check()


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in MIXES_SAMPLES])
def test_per_sample_average_equals_whole_batch_without_a_mixing_layer(name: str) -> None:
    @each_gets_its_share
    @given(batches(NETWORKS[name], "equal", "unequal", "masked"))
    def check(batch: Batch) -> None:
        assert not averaging_differs(NETWORKS[name], batch)

    check()


@pytest.mark.parametrize("name", ["layer_norm", "dropout", "cross_entropy", "penalty"])
def test_ragged_and_weighted_parts_count_by_the_sum_of_their_weights(name: str) -> None:
    @each_gets_its_share
    @given(batches(NETWORKS[name], "unequal", samples=3))
    def check(batch: Batch) -> None:
        assert not averaging_differs(NETWORKS[name], batch, size=2)

    check()


def test_table_tells_for_which_layers_averaging_holds() -> None:
    mixing = [name for name in ROW if not measure(ROW[name]).cells["samples"].vanishes]
    assert mixing == [name for name in MIXES_SAMPLES if name in ROW]


# Refutations: each rule beside the whole batch's gradient, on the smallest case that tells them apart ----

DENSE_ONLY = Network(("dense",))
PENALISED = Network(("dense",), penalty=1)


class Other(NamedTuple):
    """Another gradient of a batch, with its bounds."""

    gradient: list[tuple[Any, ...]]
    bounds: list[tuple[Any, ...]]


def mean_over(network: Network, batches: Sequence[Batch], weights: Sequence[float]) -> Other:
    """The mean of the batches' gradients with these weights."""
    gradients: list[Any] = [network.stack.gradient(*batch) for batch in batches]
    counts: list[Any] = list(weights)
    return Other(list(weighted_mean(gradients, counts)), mean_of_bounds(network, batches, weights))


def scaled(other: Other, factor: float) -> Other:
    """The gradient times a factor."""
    bounds = [
        tuple(d and Enclosed(*(factor * part for part in d)) for d in arrays) for arrays in other.bounds
    ]
    return Other(
        [tuple(None if d is None else factor * d for d in arrays) for arrays in other.gradient], bounds
    )


def each_sample_alone(network: Network, batch: Batch) -> Other:
    """Form (1), as if the layers and the loss didn't mix samples."""
    samples = parts(network, batch, 1)
    return mean_over(network, samples, [sample.weights[0] for sample in samples])


def divided_by_the_number(network: Network, batch: Batch) -> Other:
    """(1/N) Σ w_i ∂L_i/∂w: the weights' sum forgotten."""
    return scaled(each_sample_alone(network, batch), batch.weights.mean())


def weights_forgotten(network: Network, batch: Batch) -> Other:
    """(1/N) Σ ∂L_i/∂w."""
    return mean_over(network, parts(network, batch, 1), [1] * len(batch.inputs))


def parameters_that_move(network: Network, batch: Batch) -> Other:
    """The mean of gradients that are each taken after a step along the one before."""
    moved: list[Batch] = []
    parameters = batch.parameters
    for sample in parts(network, batch, 1):
        moved.append(sample._replace(parameters=parameters))
        steps = network.stack.gradient(*moved[-1])
        parameters = [
            tuple(p - d / 4 for p, d in zip(*layer, strict=True))
            for layer in zip(parameters, steps, strict=True)
        ]
    return mean_over(network, moved, [1] * len(moved))


def masks_that_differ(network: Network, batch: Batch) -> Other:
    """Form (1) with a mask for each sample that is not the one it has in the batch."""
    masked = [
        tuple(~array for array in arrays) if name == "dropout" else arrays
        for name, arrays in zip(network.names, batch.parameters, strict=True)
    ]
    return each_sample_alone(network, batch._replace(parameters=masked))


def ragged_parts_alike(network: Network, batch: Batch) -> Other:
    """The plain mean over parts of 2 samples and 1."""
    cut_up = parts(network, batch, 2)
    return mean_over(network, cut_up, [1] * len(cut_up))


def penalty_for_each_sample(network: Network, batch: Batch) -> Other:
    """(1/N) Σ_i ∂L_i/∂w + N λ w: the penalty added for each sample, and not divided."""
    unpenalised = Network(network.names, network.loss)
    data = each_sample_alone(unpenalised, batch)
    whole = each_sample_alone(network, batch)
    n = len(batch.inputs)
    gradient = [
        tuple(a + n * (b - a) for a, b in zip(*layer, strict=True))
        for layer in zip(data.gradient, whole.gradient, strict=True)
    ]
    return Other(gradient, scaled(whole, 4 * n).bounds)


REFUTED = {
    "batch_normalisation": (NETWORKS["batch_norm"], "equal", each_sample_alone),
    "the_contrastive_loss": (Network(("dense",), loss="contrastive"), "equal", each_sample_alone),
    "unequal_weights_divided_by_their_number": (DENSE_ONLY, "unequal", divided_by_the_number),
    "unequal_weights_forgotten": (DENSE_ONLY, "unequal", weights_forgotten),
    "parameters_that_move_inside_the_batch": (DENSE_ONLY, "equal", parameters_that_move),
    "masks_that_differ": (Network(("dropout", "dense")), "equal", masks_that_differ),
    "ragged_parts_averaged_without_weights": (DENSE_ONLY, "equal", ragged_parts_alike),
    "a_penalty_for_each_sample": (PENALISED, "equal", penalty_for_each_sample),
}


@pytest.mark.parametrize("name", REFUTED)
def test_averaging_is_refuted_by(name: str) -> None:
    network, weights, rule = REFUTED[name]

    def refutes(batch: Batch) -> bool:
        other = rule(network, batch)
        bounds = add_bounds(network.bounds(batch), other.bounds)
        return disagree(flat(other.gradient), around(flat(network.stack.gradient(*batch)), bounds))

    assert_small(smallest(batches(network, weights), refutes))


@given(batches(NETWORKS["batch_norm"], "unequal"))
def test_under_batch_normalisation_a_single_sample_leaves_nothing_below(batch: Batch) -> None:
    below, *_ = NETWORKS["batch_norm"].stack.per_sample_average(*batch)
    assert not any(array.any() for array in below)


def test_at_the_size_of_the_question_averaging_gives_0_for_a_gradient_that_is_not() -> None:
    stack = Stack(tuple(LAYERS[name] for name in ("dense", "batch_norm", "tanh", "dense")))
    norms, cosines = [], []
    for seed in range(20):
        random = np.random.default_rng(seed)
        W1, W2 = 0.1 * random.standard_normal((128, 64)), 0.1 * random.standard_normal((64, 10))
        parameters = [(W1, np.zeros(64)), (np.ones(64), np.zeros(64)), (), (W2, np.zeros(10))]
        inputs, targets = random.standard_normal((8, 128)), np.eye(10)[random.integers(0, 10, 8)]
        (averaged, _), *_ = stack.per_sample_average(parameters, inputs, targets)
        (whole, _), *_ = stack.gradient(parameters, inputs, targets)
        (halves, _), *_ = stack.average_over_parts(parameters, inputs, targets, size=4)
        assert not averaged.any()
        norms.append(np.linalg.norm(whole))
        cosines.append((whole * halves).sum() / norms[-1] / np.linalg.norm(halves))
    assert round(float(np.mean(norms)), 1) == 0.9
    assert round(float(np.mean(cosines)), 1) == 0.7


@given(batches(NETWORKS["batch_norm"], "unequal", samples=5))
def test_ghost_batches_can_be_averaged_by_the_sum_of_their_weights(batch: Batch) -> None:
    network = NETWORKS["batch_norm"]
    stack = network.stack
    ghost = Layer(GhostBatches(3))
    ghosts = Stack(tuple(ghost if layer is LAYERS["batch_norm"] else layer for layer in stack.layers))
    cut_up = parts(network, batch, 3)
    bounds = mean_of_bounds(network, cut_up, [part.weights.sum() for part in cut_up])
    averaged = stack.average_over_parts(*batch, size=3)
    truth = around(flat(averaged), add_bounds(bounds, bounds))
    assert compared(flat(ghosts.gradient(*batch)), truth).holds


# Exact numbers ----------------------------------------------------------------------------------------

EXACT = {
    "penalty": Network(("dense", "dense"), penalty=2),
    "contrastive": Network(("dense",), loss="contrastive"),
}


def five_points(value: Callable[[Fraction], Fraction]) -> Fraction:
    """The derivative at 0 of a polynomial of degree 4 or less, exactly, from its values at ±1 and ±2."""
    near, far = value(Fraction(1)) - value(Fraction(-1)), value(Fraction(2)) - value(Fraction(-2))
    return (8 * near - far) / 12


@pytest.mark.parametrize("name", EXACT)
def test_in_fractions_gradient_is_the_difference_quotient_and_the_average_to_the_last_digit(
    name: str,
) -> None:
    network = EXACT[name]
    stack = replace(network.stack, penalty=Fraction(network.penalty))

    @settings(max_examples=10, deadline=None)
    @given(batches(network, "unequal", inputs=1))
    def check(drawn: Batch) -> None:
        batch = Batch(
            [tuple(map(fractions_of, arrays)) for arrays in drawn.parameters],
            *(fractions_of(array) for array in drawn[1:]),
        )
        gradient = stack.gradient(*batch)
        pairs = [
            pair for pair in zip(flat(batch.parameters), flat(gradient), strict=True) if pair[1] is not None
        ]
        for array, d in pairs:
            for entry in np.ndindex(array.shape):
                assert d[entry] == five_points(partial(moved_loss, stack, batch, array, entry))
        if network.loss != "contrastive":
            averaged = stack.per_sample_average(*batch)
            assert all((a == d).all() for a, (_, d) in zip(learned(flat(averaged)), pairs, strict=True))

    check()


def moved_loss(
    stack: Stack, batch: Batch, array: NDArray[Any], entry: tuple[int, ...], step: Fraction
) -> Fraction:
    """The loss with one entry of one of the parameters moved by a step."""
    before = array[entry]
    array[entry] = before + step
    try:
        value: Any = stack.loss(*batch)
        return value
    finally:
        array[entry] = before
