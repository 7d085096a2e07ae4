"""Mistakes that have the right gradient and then change it."""

from collections.abc import Callable
from typing import Unpack

import numpy as np

from manual_backprop.activations import Array
from manual_backprop.losses import as_rows
from manual_backprop.mistakes.catalogue import Gradient, Mistake, Names, variant
from manual_backprop.network import Parameters, gradient


def each_array(parameters: Parameters, change: Callable[[Array], Array]) -> Parameters:
    """`change` applied to every W and b (or dW and db)."""
    return [(change(W), None if b is None else change(b)) for W, b in parameters]


def afterwards(change: Callable[[Parameters], Parameters]) -> Gradient:
    """The right gradient, changed."""

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        return change(gradient(parameters, inputs, targets, **names))

    return wrong


def penalty_included(strength: float) -> Gradient:
    """∂L/∂W + strength · W."""

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        right = gradient(parameters, inputs, targets, **names)
        return [(dW + strength * W, db) for (dW, db), (W, _) in zip(right, parameters, strict=True)]

    return wrong


def computed_in(dtype: str) -> Gradient:
    """The whole calculation in a lower precision; the answer looks as precise as it should be."""

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        low = each_array(parameters, lambda array: array.astype(dtype))
        y = as_rows(targets, like=low[-1][0]).astype(dtype)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            new = gradient(low, inputs.astype(dtype), y, **names)
        return each_array(new, lambda array: array.astype(inputs.dtype))

    return wrong


def rounded_to(dtype: str) -> Gradient:
    """The right gradient, stored in a lower precision on its way out."""

    def change(right: Parameters) -> Parameters:
        with np.errstate(over="ignore", under="ignore"):
            return each_array(right, lambda array: array.astype(dtype).astype(array.dtype))

    return afterwards(change)


def clipped_by_value(right: Parameters) -> Parameters:
    """max(-1, min(1, ∂L/∂w)) for every single entry."""
    return each_array(right, lambda array: array.clip(-1, 1))


def clipped_by_norm(right: Parameters) -> Parameters:
    """Every array scaled down to the length 1, if it is longer."""
    return each_array(right, lambda array: array / max(np.sqrt((array * array).sum()), 1))


def clipped_by_common_norm(right: Parameters) -> Parameters:
    """All arrays scaled down by one factor, so that together they have the length 1."""
    arrays = [array for layer in right for array in layer if array is not None]
    length = np.sqrt(sum((array * array).sum() for array in arrays))
    return each_array(right, lambda array: array / max(length, 1))


CHANGED_AFTERWARDS = (
    Mistake(
        name="penalty_included",
        rule="∂L/∂W + λW",
        sentence=(
            "A penalty on the weights is not part of this loss; its gradient is added in the update, not "
            "here."
        ),
        hint="Set the targets to the outputs, so that every error is 0. What is left of your gradient?",
        answer=(
            "Take the penalty's term (weight decay, regularization; λW for λ/2 Σ W²) out of dW, or set λ to 0."
        ),
        variants=tuple(
            variant(f"λ = {strength}", penalty_included(strength), lambda s: True)
            for strength in (1.0, 0.1, 0.01, 0.001, 0.0001)
        ),
    ),
    Mistake(
        name="precision_lost",
        rule="∂L/∂w, rounded to 7 digits (float32) or to 3 (float16)",
        sentence=(
            "A result is as precise as the least precise step before it: one float32 array costs half of the "
            "digits."
        ),
        hint="Print the dtype of every array from the inputs to dW. Is it the same all the way?",
        answer=(
            "Keep the dtype of the parameters: remove `astype(np.float32)`, `dtype=np.float32` and the like."
        ),
        variants=(
            variant("computed in float32", computed_in("float32"), lambda s: s.dtype == "float64"),
            variant("rounded to float32", rounded_to("float32"), lambda s: s.dtype == "float64"),
            variant("computed in float16", computed_in("float16"), lambda s: True),
            variant("rounded to float16", rounded_to("float16"), lambda s: True),
        ),
    ),
    Mistake(
        name="gradient_clipped",
        rule="∂L/∂w ← max(−1, min(1, ∂L/∂w))",
        sentence=(
            "A clipped gradient is not the derivative of the loss any more: clipping belongs to the training "
            "step."
        ),
        hint="Use larger and larger inputs with the same errors. Does your gradient grow as fast as they do?",
        answer="Return the gradient as it is; move `np.clip`, or the division by its norm, into the update.",
        variants=(  # they differ from the right gradient where that is large, which no setting says
            variant("each entry to [−1, 1]", afterwards(clipped_by_value), lambda s: True),
            variant("each array to the norm 1", afterwards(clipped_by_norm), lambda s: True),
            variant("all arrays together to the norm 1", afterwards(clipped_by_common_norm), lambda s: True),
        ),
    ),
)
