"""The truth without rounding: rational arithmetic, and central differences that are exact.

Identity and relu networks with a squared loss need only the four operations, so the reference runs on
NumPy arrays of `fractions.Fraction` unchanged. Along any one weight, w + h, every z is piecewise linear in
h and the loss piecewise quadratic, and the central difference of a quadratic is exact for any h:

    [(α + βh + γh²) - (α - βh + γh²)] / 2h = β.

**A step that crosses no kink.** The sides of a network are the signs of all its relu pre-activations, every
layer and sample. Let σ be such a set of signs, and let z^σ(h) be the pre-activations of the network in which
each relu is replaced by its slope under σ, 1 or 0. Only one weight moves, so z^σ is affine in h. The sides
at h are σ exactly where z^σ(h) has the signs σ: layer by layer, while the sides below are those of σ, the
two networks are the same. The signs of an affine function are constant on an interval, or single points. So
the h whose sides are σ form an interval, and *where the sides at -h and at h are the same, they are the same
in between*. All the layers must be compared: a deep z alone, as a function of h, may leave a side and come
back. So the step is halved until the sides at both ends are those at 0.

**On a kink.** Where a z is exactly 0 and the weight moves it, no step will do. The one-sided slopes exist: as
soon as the sides at h differ from those at 0 only in units that were 0, they are the same on all of (0, h],
for z^σ, affine, has the signs σ at h, and at 0 the same signs or 0. There the loss is quadratic up to 0, and
[4L(h/2) - L(h) - 3L(0)] / h is its slope at 0.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from reference.network import Choices, divisor, forward, layers_of, loss_terms, rows_of

Exact = NDArray[np.object_]
"""An array of `fractions.Fraction`."""

Parameters = Sequence[tuple[Any, Any]]
Gradient = list[tuple[Exact, Exact | None]]
Sides = NDArray[np.int8]

RATIONAL_ACTIVATIONS = ("identity", "relu")
RATIONAL_LOSSES = ("mse", "half_mse", "sse", "half_sse")

_to_fraction = np.frompyfunc(Fraction, 1, 1)


def fractions_of(array: Any) -> Exact:
    """The same numbers as fractions: every float is one, with a power of two below the line.

    Raises:
        ValueError: for a number that is not finite.
    """
    floats = np.asarray(array, np.float64)
    if not np.isfinite(floats).all():
        raise ValueError("only finite numbers are fractions")
    exact = np.empty(floats.shape, object)
    exact[...] = _to_fraction(floats.astype(object))
    return exact


def _exactly(array: Any) -> Exact:
    """A copy, of fractions."""
    array = np.asarray(array)
    return array.copy() if array.dtype == object else fractions_of(array)


def rational(parameters: Parameters) -> Gradient:
    """The parameters [(W, b), ...] as fractions, in arrays of their own; b is None where it was."""
    return [(_exactly(W), None if b is None else _exactly(b)) for W, b in parameters]


def kinks_of(
    parameters: Parameters, inputs: Any, *, hidden: str, output: str
) -> list[NDArray[np.bool_] | None]:
    """Which pre-activations lie exactly on relu's kink: (n, fan_out) of each layer, None without relu."""
    layers = layers_of(rational(parameters), hidden, output)
    zs, _ = forward(np, layers, _exactly(inputs))
    return [
        (z == 0).astype(bool) if layer.activation == "relu" else None
        for z, layer in zip(zs, layers, strict=True)
    ]


class _Network:
    """A network of fractions with its batch, whose weights are moved one at a time."""

    def __init__(self, parameters: Parameters, inputs: Any, targets: Any, choices: dict[str, str]) -> None:
        self.parameters = rational(parameters)
        self._layers = layers_of(self.parameters, choices["hidden"], choices["output"])
        self._inputs = _exactly(inputs)
        rows = np.asarray(targets) if np.ndim(targets) == 1 else _exactly(targets)
        self._rows = rows_of(np, rows, self._layers[-1].fan_out)
        self._loss = choices["loss"]
        self._divisor = divisor(len(self._inputs), choices["reduction"])
        self._here = self._look()

    def _look(self) -> tuple[Sides, Fraction]:
        """The signs of all the relu pre-activations, and the loss."""
        zs, hs = forward(np, self._layers, self._inputs)
        relus = [z.ravel() for z, layer in zip(zs, self._layers, strict=True) if layer.activation == "relu"]
        every = np.concatenate([np.array([], object), *relus])
        signs = (every > 0).astype(np.int8) - (every < 0).astype(np.int8)
        terms = loss_terms(np, self._layers[-1], zs[-1], hs[-1], self._rows, self._loss)
        return signs, Fraction(terms.sum()) / self._divisor

    def _look_at(self, array: Exact, index: tuple[int, ...], h: Fraction) -> tuple[Sides, Fraction]:
        """The same where the weight `array[index]` is larger by h."""
        weight = array[index]
        array[index] = weight + h
        seen = self._look()
        array[index] = weight
        return seen

    def _slopes_by(self, array: Exact, index: tuple[int, ...]) -> tuple[Fraction, Fraction]:
        """The slopes by one weight, from the left and from the right."""
        here, loss = self._here
        h = Fraction(1)
        while True:
            (left, below), (right, above) = (self._look_at(array, index, step) for step in (-h, h))
            if not ((here != 0) & ((left != here) | (right != here))).any():
                break
            h /= 2
        if (left == right).all():
            slope = (above - below) / (2 * h)
            return slope, slope
        (_, half_below), (_, half_above) = (self._look_at(array, index, step) for step in (-h / 2, h / 2))
        return (4 * half_below - below - 3 * loss) / -h, (4 * half_above - above - 3 * loss) / h

    def slopes(self, array: Exact | None) -> tuple[Exact | None, Exact | None]:
        """The slopes by every entry of one of the parameters' arrays, from the left and from the right."""
        if array is None:
            return None, None
        left, right = np.empty(array.shape, object), np.empty(array.shape, object)
        for index in np.ndindex(array.shape):
            left[index], right[index] = self._slopes_by(array, index)
        return left, right


def one_sided(
    parameters: Parameters, inputs: Any, targets: Any, *, hidden: str, output: str, loss: str, reduction: str
) -> tuple[Gradient, Gradient]:
    """The exact slope of the loss by every weight, from the left and from the right.

    The two differ only where a pre-activation that is exactly 0 (`kinks_of`) moves with the weight. They
    are the slopes of the loss along that one weight; where one kink alone is open, a gradient that takes any
    slope in [0, 1] there lies between them.

    Args:
        parameters: [(W, b), ...] of fractions, or of floats, which are taken as the fractions that they are.
        inputs: (n, fan_in), likewise.
        targets: (n, K), likewise, or integer labels (n,).
        hidden: "identity" or "relu".
        output: likewise.
        loss: one of `RATIONAL_LOSSES`.
        reduction: "mean" or "sum".

    Returns:
        Left and right, each [(dW, db), ...] in the shapes of `parameters`, of fractions.

    Raises:
        ValueError: for an activation or a loss that leaves the rational numbers.
    """
    if not ({hidden, output} <= {*RATIONAL_ACTIVATIONS} and loss in RATIONAL_LOSSES):
        raise ValueError(f"{hidden}, {output} and {loss} do not all stay within the rational numbers")
    choices = {"hidden": hidden, "output": output, "loss": loss, "reduction": reduction}
    network = _Network(parameters, inputs, targets, choices)
    pairs = [(network.slopes(W), network.slopes(b)) for W, b in network.parameters]
    left, right = ([(dW[side], db[side]) for dW, db in pairs] for side in (0, 1))
    return left, right  # type: ignore[return-value]


def central_difference(
    parameters: Parameters, inputs: Any, targets: Any, **choices: Unpack[Choices]
) -> Gradient:
    """The gradient of the loss, exactly, by a central difference for every weight; arguments as `one_sided`.

    Raises:
        ValueError: where a weight moves a pre-activation off relu's kink, or for what is not rational.
    """
    left, right = one_sided(parameters, inputs, targets, **choices)
    for (dW, db), (dW_right, db_right) in zip(left, right, strict=True):
        if (dW != dW_right).any() or (db is not None and (db != db_right).any()):
            raise ValueError("a pre-activation lies on relu's kink, and moves: ask for the one_sided slopes")
    return left
