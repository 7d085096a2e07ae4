"""Form (1) of a batch's gradient: differentiate each sample's loss, then average.

L = (1/N) Σ_i L_i and differentiation is linear, so ∂L/∂w = (1/N) Σ_i ∂L_i/∂w: the same numbers as
`network.gradient`, form (2). Parts of unequal size are averaged with their sizes as weights,
because L = Σ_p (n_p/N) L_p; the plain mean of their gradients is the gradient of another loss.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Unpack

from manual_backprop.activations import Array
from manual_backprop.network import Names, Parameters, gradient


def split(inputs: Array, targets: Array, size: int) -> list[tuple[Array, Array]]:
    """The batch cut into parts of `size` samples; the last may be smaller: 1000 = 31·32 + 8."""
    cuts = [*range(0, len(inputs), size), len(inputs)]
    return [(inputs[start:stop], targets[start:stop]) for start, stop in pairwise(cuts)]


def weighted_mean(gradients: Sequence[Parameters], weights: Sequence[int]) -> Parameters:
    """Σ_p weight_p gradient_p / Σ_p weight_p, array by array; None stays where a layer has no bias."""

    def mean(arrays: Sequence[Array | None]) -> Array | None:
        terms = [weight * array for weight, array in zip(weights, arrays, strict=True) if array is not None]
        return sum(terms[1:], start=terms[0]) / sum(weights) if terms else None

    layers = zip(*gradients, strict=True)  # for each layer, its (dW, db) in every gradient
    return [tuple(mean(arrays) for arrays in zip(*layer, strict=True)) for layer in layers]  # pyright: ignore[reportReturnType]  (pairs stay pairs)


def per_sample_average(
    parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]
) -> Parameters:
    """Form (1): (1/N) Σ_i ∂L_i/∂w, one backward pass for each sample; `names` as in `gradient`."""
    return average_over_parts(parameters, split(inputs, targets, size=1), **names)


def average_over_parts(
    parameters: Parameters,
    parts: Sequence[tuple[Array, Array]],
    *,
    by_size: bool = True,
    **names: Unpack[Names],
) -> Parameters:
    """The mean of the parts' mean gradients, Σ_p n_p ∂L_p/∂w / Σ_p n_p.

    With `by_size=False` every part counts the same however few its samples, which is wrong as soon as
    two parts differ in size. `names` are `hidden`, `output` and `loss`, as in `gradient`.
    """
    gradients = [gradient(parameters, inputs, targets, **names) for inputs, targets in parts]
    weights = [len(inputs) if by_size else 1 for inputs, _ in parts]
    return weighted_mean(gradients, weights)
