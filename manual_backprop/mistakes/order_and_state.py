"""Mistakes in the order of steps, in what is left over from before, and in which sample meets which error."""

from collections.abc import Callable
from typing import Unpack

import numpy as np

from manual_backprop.activations import Array
from manual_backprop.losses import as_rows, divisor
from manual_backprop.mistakes.catalogue import Gradient, Mistake, Names, variant
from manual_backprop.mistakes.rule import Rule
from manual_backprop.network import Parameters, forward, gradient


def updated_weights_used(rate: float) -> Gradient:
    """∂L/∂x = dz (W - rate · ∂L/∂W)ᵀ: a layer makes its step before its error goes down."""

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        dW: list[Array] = []  # of the layers so far, from the last down

        def into_weights(x: Array, dz: Array) -> Array:
            dW.append(x.T @ dz)
            return dW[-1]

        def into_layer_below(dz: Array, W: Array) -> Array:
            return dz @ (W - rate * dW[-1]).T  # (n, fan_in)

        rule = Rule(into_weights=into_weights, into_layer_below=into_layer_below)
        return rule(parameters, inputs, targets, **names)

    return wrong


def second_call(mistaken: Callable[[], Gradient]) -> Gradient:
    """What a new function answers to the second of two calls with the same arguments, which are copies."""

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        own = [(W.copy(), None if b is None else b.copy()) for W, b in parameters]
        x, y = inputs.copy(), as_rows(targets, like=own[-1][0]).astype(inputs.dtype)  # astype copies
        function = mistaken()
        function(own, x, y, **names)
        return function(own, x, y, **names)

    return wrong


def accumulating() -> Gradient:
    """Adds to the gradients of its earlier calls."""
    total: Parameters = []

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        new = gradient(parameters, inputs, targets, **names)
        old = total or [(np.zeros_like(W), None if b is None else np.zeros_like(b)) for W, b in parameters]
        total[:] = [
            (W + dW, None if b is None or db is None else b + db)
            for (W, b), (dW, db) in zip(old, new, strict=True)
        ]
        return list(total)

    return wrong


def running_sum(error: Array, reduction: str) -> Array:
    """Σ_i Σ_{k ≤ i} ∂L_k/∂w: each sample's gradient still holds those before it; the first counts n times."""
    counts = np.arange(len(error), 0, -1, dtype=error.dtype)  # n, n - 1, ..., 1
    return error * counts[:, None] / divisor(len(error), reduction)


def stepping_in_place(rate: float) -> Gradient:
    """Makes the training step in the arrays that it was given."""

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        new = gradient(parameters, inputs, targets, **names)
        for (W, b), (dW, db) in zip(parameters, new, strict=True):
            np.subtract(W, rate * dW, out=W)
            if b is not None and db is not None:
                np.subtract(b, rate * db, out=b)
        return new

    return wrong


def errors_in_the_targets(
    parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]
) -> Parameters:
    """Writes its errors y - o where the targets were."""
    new = gradient(parameters, inputs, targets, **names)
    _, hs = forward(parameters, inputs, hidden=names["hidden"], output=names["output"])
    np.subtract(targets, hs[-1], out=targets)
    return new


def centring_in_place(
    parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]
) -> Parameters:
    """Subtracts the batch's mean from the inputs that it was given."""
    np.subtract(inputs, inputs.mean(axis=0), out=inputs)
    return gradient(parameters, inputs, targets, **names)


def targets_of_other_samples(
    parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]
) -> Parameters:
    """Each output meets the target of the sample before: inputs and targets were shuffled apart."""
    return gradient(parameters, inputs, np.roll(targets, 1, axis=0), **names)


reshaped = Rule(into_weights=lambda x, dz: x.reshape(x.shape[::-1]) @ dz)
shifted = Rule(into_weights=lambda x, dz: x.T @ np.roll(dz, 1, axis=0))
reversed_order = Rule(into_weights=lambda x, dz: x.T @ dz[::-1])


ORDER_AND_STATE = (
    Mistake(
        name="updated_weights_used",
        rule="∂L/∂x = ∂L/∂z · (W − rate · ∂L/∂W)ᵀ",
        sentence=(
            "All derivatives belong to one point: compute every gradient first, and change the weights after "
            "that."
        ),
        hint="Which weights did the forward pass use? Which weights are in W when your code computes `dh`?",
        answer="Compute `dh` before W is updated, or update all layers when the backward pass is over.",
        variants=tuple(
            variant(f"rate {rate}", updated_weights_used(rate), lambda s: s.layers > 1)
            for rate in (1.0, 0.5, 0.1, 0.01, 0.001)
        ),
    ),
    Mistake(
        name="gradients_accumulated",
        rule="∂L/∂w ← ∂L/∂w + (what was there before)",
        sentence="What is collected with += remembers everything since it was last set to zero.",
        hint=(
            "Call your function twice with the same arguments. Then compare a batch of two samples with each "
            "of them alone."
        ),
        answer=(
            "Start each call with new arrays of zeros; in a loop over samples, start each sample's gradient "
            "anew too."
        ),
        variants=(
            variant("over the calls", second_call(accumulating), lambda s: True),
            variant("over the samples", Rule(over_the_batch=running_sum), lambda s: s.samples > 1),
        ),
    ),
    Mistake(
        name="input_mutated",
        rule="W ← …, x ← … or y ← … inside the gradient",
        sentence=(
            "A gradient reads its arguments and leaves them as they are: whoever calls it will use them "
            "again."
        ),
        hint="Print W, b, x and y before the call and after it.",
        answer=(
            "Make new arrays, `error = o - y`, in place of `-=`, `*=`, `out=` or `x[...] =` on an argument."
        ),
        variants=(
            *(
                variant(
                    f"the parameters make a step of rate {rate}",
                    second_call(lambda rate=rate: stepping_in_place(rate)),
                    lambda s: True,
                )
                for rate in (1.0, 0.1, 0.01)
            ),
            variant(
                "the targets become errors",
                second_call(lambda: errors_in_the_targets),
                lambda s: s.loss != "cross_entropy",  # its o Σ_j y_j - y is the same for y - o
            ),
            variant(
                "the inputs are centred", second_call(lambda: centring_in_place), lambda s: s.samples > 1
            ),
        ),
    ),
    Mistake(
        name="samples_mixed",
        rule="∂L/∂W = Σᵢ xᵢᵀ ∂L/∂zₘ, where m is not i",
        sentence=(
            "Row i of every array belongs to sample i, and each x is multiplied with the error of its own "
            "sample."
        ),
        hint="Set the errors of all samples but one to 0. Whose inputs do you find in dW?",
        answer=(
            "Use a transpose, `x.T`, where you reshape; shuffle inputs and targets with one and the same "
            "permutation."
        ),
        variants=(
            variant(
                "a reshape for xᵀ",
                reshaped,
                lambda s: s.samples > 1 and (not s.sizes or max(s.sizes[:-1]) > 1),
            ),
            variant("the errors moved by one sample", shifted, lambda s: s.samples > 1),
            variant("the errors in reverse order", reversed_order, lambda s: s.samples > 1),
            variant("the targets moved by one sample", targets_of_other_samples, lambda s: s.samples > 1),
        ),
    ),
)
