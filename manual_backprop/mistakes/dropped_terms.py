"""The chain rule is a sum over samples, outputs and connections. These mistakes leave terms of it out."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from manual_backprop.activations import Activation, Array
from manual_backprop.losses import Loss, divisor
from manual_backprop.mistakes.catalogue import Mistake, variant
from manual_backprop.mistakes.rule import Rule, output_error, through_activation

Keep = Callable[[Array], Array]
"""Which of the numbers 0, ..., m - 1 are kept, as booleans (m,)."""


def some_outputs(keep: Keep) -> Rule:
    """Σ_j over some outputs of ∂L/∂o_j · ∂o_j/∂w."""

    def some_errors(loss: Loss, o: Array, y: Array) -> Array:
        kept = keep(np.arange(o.shape[1]))  # (K,)
        if loss.output == "softmax":  # its error, o Σ_j y_j - y, has the sum over the outputs j inside
            return output_error(loss, o, y * kept)
        return output_error(loss, o, y) * kept

    return Rule(output_error=some_errors)


def some_columns(keep: Keep) -> Rule:
    """Σ_k over some outputs of ∂L/∂z_k · ∂z_k/∂w: as `some_outputs`, but after a softmax has joined them."""

    def some_errors(loss: Loss, o: Array, y: Array) -> Array:
        error = output_error(loss, o, y)
        return error if loss.output is None else error * keep(np.arange(o.shape[1]))

    def through_output(activation: Activation, dh: Array, z: Array, h: Array) -> Array:
        return through_activation(activation, dh, z, h) * keep(np.arange(h.shape[1]))

    return Rule(output_error=some_errors, through_output=through_output)


def some_samples(keep: Keep, divided_by: Callable[[int, str], int] = divisor) -> Rule:
    """Σ_i over some samples of ∂L_i/∂w, divided as the right sum or otherwise."""

    def over_the_batch(error: Array, reduction: str) -> Array:
        kept = keep(np.arange(len(error)))  # (n,)
        return error * kept[:, None] / divided_by(len(error), reduction)

    return Rule(over_the_batch=over_the_batch)


def only(index: int) -> Keep:
    """Keeps one number, counted from the end where it is negative."""
    return lambda numbers: numbers == index % len(numbers)


def one_output_only(output: int) -> Rule:
    """∂L/∂w = ∂L/∂o₁ · ∂o₁/∂w: the rule that keeps the loss's term of one output and drops the K - 1 others.

    It is exact for the weights that feed this output, 0 for those that feed the others (unless the
    output's activation joins them), and keeps one path of K for every weight below. Right when K = 1.
    """
    return some_outputs(only(output))


def one_cell_only(sample: int, output: int) -> Rule:
    """∂L/∂w = ∂L/∂o₁₁ · ∂o₁₁/∂w: the rule that keeps one of the loss's N·K terms. Right when N = K = 1."""
    return replace(one_output_only(output), over_the_batch=some_samples(only(sample)).over_the_batch)


def one_downstream_path(unit: int) -> Rule:
    """∂L/∂x_k = ∂L/∂z_1 · w_k1: of all the units that unit k feeds, the error of one comes back."""

    def into_layer_below(dz: Array, W: Array) -> Array:
        return dz[:, [unit]] @ W[:, [unit]].T  # (n, fan_in)

    return Rule(into_layer_below=into_layer_below)


DROPPED_TERMS = (
    Mistake(
        name="one_output_only",
        rule="∂L/∂w = ∂L/∂o₁ · ∂o₁/∂w",
        sentence=(
            "The loss terms of the other outputs do not contain o₁, but they do contain w, so each adds to "
            "∂L/∂w."
        ),
        hint=(
            "Nudge one weight of the first layer and go forward. Which outputs move, and whose errors do you "
            "use?"
        ),
        answer="Send the errors of all outputs back: the whole (n, K) array, not one column of it.",
        variants=(
            variant("the first", one_output_only(0), lambda s: s.outputs > 1),
            variant("the last", one_output_only(-1), lambda s: s.outputs > 1),
            variant(
                "the first column after the softmax", some_columns(only(0)), lambda s: s.output == "softmax"
            ),
            variant(
                "the last column after the softmax", some_columns(only(-1)), lambda s: s.output == "softmax"
            ),
        ),
    ),
    Mistake(
        name="one_cell_only",
        rule="∂L/∂w = ∂L/∂o₁₁ · ∂o₁₁/∂w",
        sentence="The loss of a batch has a term for every output of every sample, and each adds to ∂L/∂w.",
        hint="How many terms does the loss of one batch add up, and how many of them reach your gradient?",
        answer="Send the whole (n, K) array of errors back, not a single entry such as `error[0, 0]`.",
        variants=(
            variant("the first", one_cell_only(0, 0), lambda s: s.samples > 1 and s.outputs > 1),
            variant("the last", one_cell_only(-1, -1), lambda s: s.samples > 1 and s.outputs > 1),
        ),
    ),
    Mistake(
        name="one_sample_only",
        rule="∂L/∂w = ∂L₁/∂w",
        sentence=(
            "Every sample of the batch adds its own term to the gradient; one of them alone is a noisy "
            "stand-in."
        ),
        hint="Change the target of one sample at a time. For which samples does your gradient change?",
        answer=(
            "Add up all samples: a loop needs `+=` where it overwrites, and a row such as `x[0]` must become "
            "`x`."
        ),
        variants=(
            variant("the first", some_samples(only(0), lambda n, reduction: 1), lambda s: s.samples > 1),
            variant("the last", some_samples(only(-1), lambda n, reduction: 1), lambda s: s.samples > 1),
            variant("the first, divided by n", some_samples(only(0)), lambda s: s.divides_by_samples),
            variant("the last, divided by n", some_samples(only(-1)), lambda s: s.divides_by_samples),
        ),
    ),
    Mistake(
        name="outputs_dropped",
        rule="∂L/∂w = Σⱼ ∂L/∂oⱼ · ∂oⱼ/∂w without some outputs j",
        sentence=(
            "Each output has its term in the loss, so the sum over the outputs runs from the first to the "
            "last."
        ),
        hint=(
            "Change the target of one output at a time. For which outputs does your gradient stay as it was?"
        ),
        answer=(
            "Let the loop or slice over the outputs cover all K: look for `range(K - 1)`, `[:, :-1]` or `[:, "
            "1:]`."
        ),
        variants=(
            variant("the last", some_outputs(lambda j: j < len(j) - 1), lambda s: s.outputs > 1),
            variant("the first", some_outputs(lambda j: j > 0), lambda s: s.outputs > 1),
            variant("the last half", some_outputs(lambda j: j < len(j) / 2), lambda s: s.outputs > 1),
            variant(
                "the last column after the softmax",
                some_columns(lambda j: j < len(j) - 1),
                lambda s: s.output == "softmax",
            ),
        ),
    ),
    Mistake(
        name="samples_dropped",
        rule="∂L/∂w = (1/N) Σᵢ ∂Lᵢ/∂w without some samples i",
        sentence="Every sample counts once; leave one out, and it is the gradient of another batch.",
        hint=(
            "Which samples can you change without any change in your gradient? Try batches of different "
            "sizes."
        ),
        answer=(
            "Let the loop or slice over the samples cover all n: look for `range(n - 1)`, `[:-1]` or `n // "
            "size`."
        ),
        variants=(
            variant("the last", some_samples(lambda i: i < len(i) - 1), lambda s: s.samples > 1),
            variant("the first", some_samples(lambda i: i > 0), lambda s: s.samples > 1),
            variant(
                "the last, divided by n - 1",
                some_samples(lambda i: i < len(i) - 1, lambda n, reduction: n - 1),
                lambda s: s.divides_by_samples,
            ),
        ),
    ),
    Mistake(
        name="one_downstream_path",
        rule="∂L/∂hₖ = ∂L/∂z₁ · wₖ₁",
        sentence=(
            "An error comes back to a unit along every connection that leaves it, and these contributions "
            "add up."
        ),
        hint=(
            "To how many units of the next layer does a hidden unit send its value? From how many does it "
            "hear back?"
        ),
        answer="Sum over all units of the layer above, ∂L/∂hₖ = Σⱼ ∂L/∂zⱼ · wₖⱼ: in code `dh = dz @ W.T`.",
        variants=(
            variant(
                "the first",
                one_downstream_path(0),
                lambda s: any(fan_out > 1 for _, fan_out in s.upper_shapes),
            ),
            variant(
                "the last",
                one_downstream_path(-1),
                lambda s: any(fan_out > 1 for _, fan_out in s.upper_shapes),
            ),
        ),
    ),
)
