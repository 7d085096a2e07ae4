"""The truth without rounding: how the loss of a network moves with one weight, in fractions.

Identity and relu networks with a squared loss need only the four operations and comparisons, so the reference runs
unchanged on NumPy arrays of `fractions.Fraction`, in which one weight is w ± ε (`reference.arithmetic.exact`):

    L(w + ε) = L(w) + L'₊(w) ε,   L(w - ε) = L(w) - L'₋(w) ε,

with the slopes on both sides of it. They differ only where a pre-activation that is exactly 0 moves with the weight.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from reference.arithmetic.exact import Fractions, OneSided
from reference.network import Choices, forward, layers_of, loss_value

Exact = NDArray[np.object_]
"""An array of `fractions.Fraction`."""

Parameters = Sequence[tuple[Any, Any]]
Gradient = list[tuple[Exact, Exact | None]]

RATIONAL_ACTIVATIONS = ("identity", "relu")
RATIONAL_LOSSES = ("mse", "half_mse", "sse", "half_sse")


def fractions_of(array: Any) -> Exact:
    """A copy in fractions: every float is one, with a power of two below the line.

    Raises:
        ValueError: for a number that is not finite.
    """
    array = np.asarray(array)
    if array.dtype == object:
        return array.copy()
    floats = array.astype(np.float64)
    if not np.isfinite(floats).all():
        raise ValueError("only finite numbers are fractions")
    return Fractions().number(floats)


def rational(parameters: Parameters) -> Gradient:
    """The parameters [(W, b), ...] as fractions, in arrays of their own; b is None where it was."""
    return [(fractions_of(W), None if b is None else fractions_of(b)) for W, b in parameters]


def kinks_of(
    parameters: Parameters, inputs: Any, *, hidden: str, output: str
) -> list[NDArray[np.bool_] | None]:
    """Which pre-activations lie exactly on relu's kink: (n, fan_out) of each layer, None without relu."""
    layers = layers_of(rational(parameters), hidden, output)
    zs, _ = forward(np, layers, fractions_of(inputs))
    return [
        (z == 0).astype(bool) if layer.activation == "relu" else None
        for z, layer in zip(zs, layers, strict=True)
    ]


def one_sided(
    parameters: Parameters, inputs: Any, targets: Any, **choices: Unpack[Choices]
) -> tuple[Gradient, Gradient]:
    """The exact slope of the loss by every weight, from the left and from the right.

    They are the slopes of the loss along that one weight; where one kink alone is open (`kinks_of`), a gradient that
    takes any slope in [0, 1] there lies between them.

    Args:
        parameters: [(W, b), ...] of fractions, or of floats, which are taken as the fractions that they are.
        inputs: (n, fan_in), likewise.
        targets: (n, K), likewise, or integer labels (n,).
        choices: `hidden` and `output`, "identity" or "relu"; `loss`, one of `RATIONAL_LOSSES`; `reduction`.

    Returns:
        Left and right, each [(dW, db), ...] in the shapes of `parameters`, of fractions.

    Raises:
        ValueError: for an activation or a loss that leaves the rational numbers.
    """
    hidden, output, loss = choices["hidden"], choices["output"], choices["loss"]
    if not ({hidden, output} <= {*RATIONAL_ACTIVATIONS} and loss in RATIONAL_LOSSES):
        raise ValueError(f"{hidden}, {output} and {loss} do not all stay within the rational numbers")
    network, inputs = rational(parameters), fractions_of(inputs)
    targets = np.asarray(targets) if np.ndim(targets) == 1 else fractions_of(targets)

    def slopes(array: Exact | None, side: int) -> Exact | None:
        if array is None:
            return None
        found = np.empty(array.shape, object)
        for index in np.ndindex(array.shape):
            weight = array[index]
            array[index] = OneSided(weight, Fraction(side))
            found[index] = side * OneSided.of(loss_value(np, network, inputs, targets, **choices)).slope
            array[index] = weight
        return found

    left, right = ([(slopes(W, side), slopes(b, side)) for W, b in network] for side in (-1, 1))
    return left, right  # type: ignore[return-value]
