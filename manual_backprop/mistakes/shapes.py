"""Mistakes in what is summed over which axis, and in what stands as a row and what as a column."""

from typing import Unpack

import numpy as np

from manual_backprop.activations import Activation, Array
from manual_backprop.losses import Loss, as_rows, divisor
from manual_backprop.mistakes.catalogue import Mistake, Names, Setting, variant
from manual_backprop.mistakes.rule import Rule, output_error, through_activation
from manual_backprop.network import Parameters

bias_not_summed = Rule(into_bias=lambda dz: dz)  # (n, fan_out)
bias_summed_over_units = Rule(into_bias=lambda dz: dz.sum(axis=1))  # (n,)
bias_summed_over_everything = Rule(into_bias=lambda dz: np.asarray(dz.sum()))  # ()
bias_averaged = Rule(into_bias=lambda dz: dz.mean(axis=0))
bias_forgotten = Rule(into_bias=lambda dz: np.zeros(dz.shape[1:], dz.dtype))

transpose_missing = Rule(into_layer_below=lambda dz, W: dz @ W)  # fits only a square W
reshaped = Rule(into_layer_below=lambda dz, W: dz @ W.reshape(W.shape[::-1]))


def every_pair(loss: Loss, o: Array, y: Array) -> Array:
    """(n, 1) - (n,) = (n, n): each output with each sample's target."""
    return output_error(loss, o, y.T)  # (n, n)


def through_every_pair(activation: Activation, dh: Array, z: Array, h: Array) -> Array:
    """The slope of each output (n, 1) for each of its errors (n, n)."""
    return through_activation(activation, dh, np.broadcast_to(z, dh.shape), h)


def all_pairs(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
    """The loss over all n·n pairs of an output and a target: the error of o and ȳ, n times for a sum."""
    n = len(inputs)
    mean = as_rows(targets, like=parameters[-1][0]).mean(axis=0)  # (1,)
    pairs = n // divisor(n, names["reduction"])  # that an output is in, for each time that it counts
    rule = Rule(output_error=lambda loss, o, y: pairs * output_error(loss, o, np.broadcast_to(mean, o.shape)))
    return rule(parameters, inputs, targets, **names)


def one_output_many_samples(s: Setting) -> bool:
    """Where outputs (n, 1) can meet targets (n,)."""
    return s.outputs == 1 and s.samples > 1


def bias_is_joined(s: Setting) -> bool:
    """Where a bias has more than one term to collect."""
    return s.bias and s.samples > 1


SHAPES = (
    Mistake(
        name="bias_not_summed",
        rule="∂L/∂b = ∂L/∂z, not summed over the samples",
        sentence=(
            "Every sample passes through the same bias, so the bias collects one term from each of them."
        ),
        hint="Which shape does b have, and which shape does dz have? What does the extra axis stand for?",
        answer="Sum over the samples, which are the rows: `db = dz.sum(axis=0)`.",
        variants=(
            variant("one row for each sample", bias_not_summed, bias_is_joined),
            variant("summed over the units instead", bias_summed_over_units, bias_is_joined),
            variant("summed over everything", bias_summed_over_everything, bias_is_joined),
        ),
    ),
    Mistake(
        name="bias_averaged",
        rule="∂L/∂b = (1/N) Σᵢ ∂L/∂zᵢ",
        sentence=(
            "Weights and biases collect the samples in the same way: `x.T @ dz` is a sum, so the bias needs "
            "a sum too."
        ),
        hint="Think of b as a weight whose input is always 1. What does `x.T @ dz` give for this weight?",
        answer="Use `dz.sum(axis=0)` in place of `dz.mean(axis=0)`; the 1/N of a mean loss is in dz already.",
        variants=(variant("over the samples", bias_averaged, bias_is_joined),),
    ),
    Mistake(
        name="bias_forgotten",
        rule="∂L/∂b = 0",
        sentence=(
            "A bias moves the outputs as a weight does, so it has a gradient; training without it works, "
            "only worse."
        ),
        hint=(
            "Nudge each parameter in turn and watch the loss. Which of them does your gradient call without "
            "effect?"
        ),
        answer="Compute the gradient of b in every layer: `db = dz.sum(axis=0)`.",
        variants=(variant("in every layer", bias_forgotten, lambda s: s.bias),),
    ),
    Mistake(
        name="transpose_missing",
        rule="∂L/∂x = ∂L/∂z · W",
        sentence=(
            "W leads from a layer's inputs to its outputs and Wᵀ leads back; where W is square, the wrong "
            "one fits as well."
        ),
        hint=(
            "Write the shape beside each factor of the backward pass, for a network in which no two sizes "
            "are equal."
        ),
        answer=(
            "Transpose the weights on the way down, `dh = dz @ W.T`; a reshape to the same shape is not a "
            "transpose."
        ),
        variants=(
            variant(
                "W for Wᵀ",
                transpose_missing,
                lambda s: (
                    s.layers > 1
                    and all(fan_in == fan_out for fan_in, fan_out in s.upper_shapes)
                    and s.outputs > 1
                ),
            ),
            variant(
                "a reshape for Wᵀ",
                reshaped,
                lambda s: any(fan_in > 1 and fan_out > 1 for fan_in, fan_out in s.upper_shapes),
            ),
        ),
    ),
    Mistake(
        name="broadcast_blow_up",
        rule="(N, 1) − (N,) = (N, N)",
        sentence=(
            "NumPy subtracts (N,) from (N, 1) without an error and pairs each output with each target: "
            "compare shapes first."
        ),
        hint=(
            "Print the shape of the output error, for a batch of five samples and a network with one output."
        ),
        answer="Bring outputs and targets to one shape before you subtract: `o - y.reshape(o.shape)`.",
        variants=(
            variant(
                "n × n errors",
                Rule(output_error=every_pair, through_output=through_every_pair),
                lambda s: one_output_many_samples(s) and s.layers == 1,
            ),
            variant("the loss over n × n pairs", all_pairs, one_output_many_samples),
        ),
    ),
)
