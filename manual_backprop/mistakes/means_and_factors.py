"""Mistakes in what is averaged, in which order, and with which factor in front."""

from collections.abc import Callable
from typing import Unpack

import numpy as np

from manual_backprop.activations import Array
from manual_backprop.losses import LOSSES, as_rows, divisor
from manual_backprop.mistakes.catalogue import Mistake, Names, Setting, variant
from manual_backprop.mistakes.rule import Rule, output_error, over_the_batch
from manual_backprop.network import Parameters, forward

MEANS_OVER_OUTPUTS = ("mse", "half_mse", "mean_binary_cross_entropy")
SQUARES_WITHOUT_HALF = ("mse", "sse")


def over_samples(wrong: Callable[[Array, str], Array]) -> Rule:
    """The right rule, but for how the samples' errors are joined."""
    return Rule(over_the_batch=wrong)


def scaled(factor: Callable[[int], float]) -> Rule:
    """The right rule with the output error multiplied by factor(K)."""
    return Rule(output_error=lambda loss, o, y: output_error(loss, o, y) * factor(o.shape[1]))


def mean_error(error: Array, reduction: str) -> Array:
    """Every sample is given the mean of all samples' errors."""
    return over_the_batch(np.broadcast_to(error.mean(axis=0), error.shape), reduction)


def one_mean_error(error: Array, reduction: str) -> Array:
    """Every output of every sample is given the mean of all errors."""
    return over_the_batch(np.full_like(error, error.mean()), reduction)


def mean_error_at_the_last_sample(
    parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]
) -> Parameters:
    """One backward pass for the mean error, with the z and h that the last sample left behind."""
    _, hs = forward(parameters, inputs, hidden=names["hidden"], output=names["output"])
    error = LOSSES[names["loss"]].error(hs[-1], as_rows(targets, like=hs[-1]), names["reduction"])  # (n, K)
    mean = error.sum(axis=0, keepdims=True)  # (1, K)
    rule = Rule(output_error=lambda loss, o, y: mean, over_the_batch=lambda error, reduction: error)
    return rule(parameters, inputs[-1:], targets[-1:], **names)


def product_of_means(x: Array, dz: Array) -> Array:
    """N · (mean of x)(mean of dz) in place of Σ_i x_i dz_i."""
    return np.outer(x.mean(axis=0), dz.sum(axis=0))  # (fan_in, fan_out)


def gradient_at_the_mean(
    parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]
) -> Parameters:
    """The batch is averaged into one sample, which is then differentiated."""
    n = len(inputs)
    x = inputs.mean(axis=0, keepdims=True)  # (1, fan_in)
    y = as_rows(targets, like=parameters[-1][0]).mean(axis=0, keepdims=True)  # (1, K)
    rule = over_samples(lambda error, reduction: n * error / divisor(n, reduction))
    return rule(parameters, x, y, **names)


sum_for_mean = over_samples(lambda error, reduction: error)
divided_by_samples_twice = over_samples(lambda error, reduction: error / len(error) / len(error))
divided_in_every_layer = Rule(into_layer_below=lambda dz, W: dz @ W.T / len(dz))


def fixed_divisor(size: int) -> Rule:
    """(1/size) Σ_i ∂L_i/∂w, however many samples there are."""
    return over_samples(lambda error, reduction: error / size)


def fixed_for_another_size(size: int) -> Callable[[Setting], bool]:
    """Where `fixed_divisor(size)` is wrong."""
    return lambda s: s.reduction == "mean" and s.samples != size


MEANS_AND_FACTORS = (
    Mistake(
        name="errors_averaged_first",
        rule="∂L/∂w = (mean of ∂Lᵢ/∂oᵢ) · ∂o/∂w",
        sentence=(
            "Differentiate each sample's loss and average after that: averaged errors cancel, gradients need "
            "not."
        ),
        hint="Take two samples with the errors +2 and −2. What is left for your backward pass to do?",
        answer=(
            "Keep one row of errors for each sample, (n, K), all the way back; join the samples only in dW "
            "and db."
        ),
        variants=(
            variant("with each sample's activations", over_samples(mean_error), lambda s: s.samples > 1),
            variant(
                "with the last sample's activations", mean_error_at_the_last_sample, lambda s: s.samples > 1
            ),
            variant("over samples and outputs", over_samples(one_mean_error), lambda s: s.samples > 1),
        ),
    ),
    Mistake(
        name="samples_averaged_first",
        rule="∂L/∂W = N · h̄ᵀ d̄, or the gradient at the mean of the inputs",
        sentence=(
            "The mean of products is not the product of means: multiply within each sample, then average."
        ),
        hint="For one weight and two samples, write out x₁d₁ + x₂d₂. Is this what your code computes?",
        answer="Take no mean of x, h or dz on the way: `dW = x.T @ dz`, with a row for each sample in both.",
        variants=(
            variant(
                "the layer's inputs and errors",
                Rule(into_weights=product_of_means),
                lambda s: s.samples > 1,
            ),
            variant("the batch", gradient_at_the_mean, lambda s: s.samples > 1),
        ),
    ),
    Mistake(
        name="sum_for_mean",
        rule="∂L/∂w = Σᵢ ∂Lᵢ/∂w for L = (1/N) Σᵢ Lᵢ",
        sentence=(
            "The loss is a mean over the samples, and so is its gradient: a sum has the right direction, N "
            "times as long."
        ),
        hint=(
            "Give your function one sample, and then a batch that holds this sample twice. Should the answer "
            "change?"
        ),
        answer=(
            "Divide by the number of samples in the batch, each array once: all of them in the output error, "
            "`dz = error / n`, or those that lack it where they are summed."
        ),
        variants=(variant("over the samples", sum_for_mean, lambda s: s.divides_by_samples),),
    ),
    Mistake(
        name="output_mean_lost",
        rule="∂L/∂oⱼ = 2(oⱼ − yⱼ) for L = (1/K) Σⱼ (oⱼ − yⱼ)²",
        sentence="Where the loss is a mean over the K outputs, its derivative has the factor 1/K as well.",
        hint=(
            "Write the loss with all its sums and all that they are divided by. What became of each in the "
            "derivative?"
        ),
        answer="Divide the output error by K, the number of outputs.",
        variants=(
            variant(
                "over the outputs",
                scaled(lambda outputs: outputs),
                lambda s: s.outputs > 1 and s.loss in MEANS_OVER_OUTPUTS,
            ),
        ),
    ),
    Mistake(
        name="divided_twice",
        rule="∂L/∂w = (1/N²) Σᵢ ∂Lᵢ/∂w",
        sentence="A mean in the loss divides the gradient once: choose one place for it.",
        hint="Follow one sample's error from the loss to dW, and write down every factor that it meets.",
        answer=(
            "Divide by n either in the output error or in dW and db, not in both; the same for a mean over K "
            "outputs."
        ),
        variants=(
            variant("by the samples", divided_by_samples_twice, lambda s: s.divides_by_samples),
            variant(
                "by the samples, again in every layer",
                divided_in_every_layer,
                lambda s: s.divides_by_samples and s.layers > 1,
            ),
            variant(
                "by the outputs",
                scaled(lambda outputs: 1 / outputs),
                lambda s: s.outputs > 1 and s.loss in MEANS_OVER_OUTPUTS,
            ),
        ),
    ),
    Mistake(
        name="factor_two_lost",
        rule="∂L/∂o = o − y for L = (o − y)²",
        sentence="The derivative of a square has a factor 2; only a loss with ½ in front takes it away.",
        hint="Differentiate this loss on paper for one sample and one output. Which number stands in front?",
        answer="Multiply the output error by 2: this loss has no ½, so it starts with 2(o − y).",
        variants=(
            variant(
                "in the output error", scaled(lambda outputs: 0.5), lambda s: s.loss in SQUARES_WITHOUT_HALF
            ),
        ),
    ),
    Mistake(
        name="factor_two_gained",
        rule="∂L/∂o = 2(o − y) for L = ½(o − y)², or 4(o − y) for L = (o − y)²",
        sentence="The 2 of a square comes down once; a ½ cancels it, and in a cross-entropy there is no square at all.",
        hint="Differentiate this loss on paper for one sample and one output. Which number stands in front?",
        answer=(
            "Take a factor 2 out of the output error: it starts with 2(o − y) for (o − y)², and with o − y for "
            "½(o − y)² and for an entropy."
        ),
        variants=(variant("in the output error", scaled(lambda outputs: 2), lambda s: True),),
    ),
    Mistake(
        name="fixed_divisor",
        rule="∂L/∂w = (1/32) Σᵢ ∂Lᵢ/∂w, whatever N is",
        sentence=(
            "Divide by the number of samples in this batch: the last batch of an epoch is often smaller."
        ),
        hint="Try batches of different sizes. For which of them is your gradient right?",
        answer="Replace the constant by the size of the batch at hand, `len(inputs)`.",
        variants=tuple(
            variant(str(size), fixed_divisor(size), fixed_for_another_size(size))
            for size in (10, 32, 64, 100)
        ),
    ),
    Mistake(
        name="wrong_sign",
        rule="∂L/∂w = −Σᵢ ∂Lᵢ/∂w, such as y − o in place of o − y",
        sentence="The gradient points uphill; the minus sign belongs to the update, w ← w − rate · ∂L/∂w.",
        hint=(
            "An output is too large, and you raise it further. Does the loss rise or fall, and what does "
            "your gradient say?"
        ),
        answer="Start the backward pass from o − y, not from y − o, and subtract the gradient in the update.",
        variants=(variant("everywhere", scaled(lambda outputs: -1), lambda s: True),),
    ),
)
