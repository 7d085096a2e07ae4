"""The lesson's network and batch, the five choices, and the gradient for any of them.

The network is the question's: 128 inputs, 64 tanh units, 10 outputs. The inputs are handwritten
digits, and output j is to be 1 for the digit j - 1. Batch normalisation has no parameters here, and
uses the moments of the batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from manual_backprop import Parameters, forward
from manual_backprop.activations import Array
from manual_backprop.losses import LOSSES, Loss
from manual_backprop.mistakes import RIGHT_RULE, Rule
from manual_backprop.operations import batch_norm
from manual_backprop.training import initial_parameters
from properties.digits import digits
from reference.network import loss_value

SIZES = [128, 64, 10]
SEED = 0
OUTPUTS = SIZES[-1]
SAMPLES = 8
TRAINING = 1000

Floats = NDArray[np.float64]


class Choice(NamedTuple):
    """One value of a control: `key` in addresses and data, `label` for a reader, `note` if it needs one."""

    key: str
    label: str
    note: str = ""


CONTROLS: Mapping[str, tuple[Choice, ...]] = {
    "weight": (
        Choice("W1", "W₁", "a weight of the hidden layer"),
        Choice("b1", "b₁", "a bias of the hidden layer"),
        Choice("W2o1", "W₂→o₁", "a last-layer weight that feeds output 1"),
        Choice("W2o4", "W₂→o₄", "a last-layer weight that feeds output 4"),
    ),
    "batch": (Choice("1", "1"), Choice("2", "2"), Choice("8", "8")),
    "keep": (
        Choice("all", "all", "every sample, every output: the right rule"),
        Choice("o1", "o₁ only", "output 1 of every sample"),
        Choice("o11", "o₁₁ only", "output 1 of sample 1"),
        Choice("row1", "row 1", "every output of sample 1"),
    ),
    "reduction": (
        Choice("mean", "mean", "the mean over samples and outputs"),
        Choice("sum", "sum", "the sum over samples and outputs"),
        Choice("outputs", "sum / mean", "the sum over outputs, the mean over samples"),
    ),
    "output": (
        Choice("identity", "identity"),
        Choice("sigmoid", "sigmoid"),
        Choice("softmax", "softmax"),
        Choice("batchnorm", "batch norm"),
    ),
}
DEFAULT = {"weight": "W1", "batch": "8", "keep": "all", "reduction": "mean", "output": "identity"}
REDUCTIONS = {"mean": ("mse", "mean"), "sum": ("sse", "sum"), "outputs": ("sse", "mean")}
"""The loss of a sample and the reduction over samples, by the names of `manual_backprop`."""


def keys(control: str) -> list[str]:
    """The values of a control."""
    return [choice.key for choice in CONTROLS[control]]


def kept(keep: str, samples: int) -> Floats:
    """1 where a (sample, output) cell is kept, 0 where it is dropped, (samples, 10)."""
    rows, columns = np.indices((samples, OUTPUTS))
    masks = {"all": rows >= 0, "o1": columns == 0, "o11": (rows == 0) & (columns == 0), "row1": rows == 0}
    return masks[keep].astype(np.float64)


@cache
def network() -> Parameters:
    """The untrained network: the same weights every time, not to be changed in place."""
    return initial_parameters(SIZES, SEED)


@cache
def all_digits() -> tuple[Floats, Floats]:
    """`digits()`, read once."""
    return digits()


def batch(samples: int = SAMPLES) -> tuple[Floats, Floats]:
    """The first digits of the data set and their one-hot targets, (samples, 128) and (samples, 10)."""
    inputs, targets = all_digits()
    return inputs[:samples], targets[:samples]


def keeping(mask: Array) -> Rule:
    """The right rule with every dropped cell's error put to 0; `mask` is (n, K) or broadcasts to it."""

    def output_error(loss: Loss, o: Array, y: Array) -> Array:
        return RIGHT_RULE.output_error(loss, o, y) * mask

    return replace(RIGHT_RULE, output_error=output_error)


def batchnorm(z: Array) -> Array:
    """Batch normalisation with gain 1 and shift 0, (n, K)."""
    return _batchnorm(z)[0]


def _batchnorm(z: Array) -> tuple[Array, Any]:
    return batch_norm.forward(z, np.ones(OUTPUTS), np.zeros(OUTPUTS))


def before_batchnorm(rule: Rule) -> Rule:
    """The rule for an output of batch normalisation, to be used on a network whose output is its z."""

    def output_error(loss: Loss, z: Array, y: Array) -> Array:
        h, cache = _batchnorm(z)
        return batch_norm.backward(rule.output_error(loss, h, y), cache)[0]

    return replace(rule, output_error=output_error)


def gradient_by_hand(
    parameters: Parameters, x: Array, y: Array, mask: Array, *, output: str, reduction: str
) -> Parameters:
    """The hand-written gradient of the kept cells' share of the loss; `reduction` is the control's."""
    rule = keeping(mask)
    if output == "batchnorm":
        output, rule = "identity", before_batchnorm(rule)
    loss, over_samples = REDUCTIONS[reduction]
    return rule(parameters, x, y, output=output, loss=loss, reduction=over_samples)


def outputs_of(parameters: Parameters, x: Array, output: str) -> Floats:
    """The outputs, (n, K)."""
    _, hs = forward(parameters, x, output="identity" if output == "batchnorm" else output)
    return batchnorm(hs[-1]) if output == "batchnorm" else hs[-1]


def loss_of(parameters: Parameters, x: Array, y: Array, *, output: str, reduction: str) -> float:
    """The loss itself, by the reference and not by the code under test (but for batch normalisation)."""
    loss, over_samples = REDUCTIONS[reduction]
    if output == "batchnorm":
        o = outputs_of(parameters, x, output)
        return float(LOSSES[loss].value(o, o, y, over_samples))
    choices = {"hidden": "tanh", "output": output, "loss": loss, "reduction": over_samples}
    pairs: Any = parameters
    return float(loss_value(np, pairs, x, y, **choices))


class Weight(NamedTuple):
    """One parameter: the layer, "W" or "b", and its place in that array."""

    layer: int
    array: str
    place: tuple[int, ...]

    def of(self, arrays: Parameters) -> float:
        """Its entry in parameters or in a gradient."""
        W, b = arrays[self.layer]
        array = W if self.array == "W" or b is None else b
        return float(array[self.place])

    def nudged(self, parameters: Parameters, by: float) -> Parameters:
        """A copy of the parameters with this one changed."""
        copies = [(W.copy(), None if b is None else b.copy()) for W, b in parameters]
        W, b = copies[self.layer]
        array = W if self.array == "W" or b is None else b
        array[self.place] += by
        return copies


def slope(loss: Callable[[Parameters], float], parameters: Parameters, weight: Weight, h: float) -> float:
    """The central difference (L(w + h) - L(w - h)) / 2h."""
    return (loss(weight.nudged(parameters, h)) - loss(weight.nudged(parameters, -h))) / (2 * h)


def forward_slope(
    loss: Callable[[Parameters], float], parameters: Parameters, weight: Weight, h: float
) -> float:
    """The forward difference (L(w + h) - L(w)) / h."""
    return (loss(weight.nudged(parameters, h)) - loss(parameters)) / h
