"""What a dense layer, an activation and every other layer have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from manual_backprop.activations import Array

EPSILON = 1e-5
"""Added to a variance, so that a constant column can be divided by its deviation."""


@dataclass(frozen=True)
class Layer:
    """A layer as its two passes; a mistake is `dataclasses.replace(layer, backward=wrong)`.

    `forward(x, *parameters)` gives y, (n, units). `backward(dy, x, y, *parameters)` gives the tuple
    (dx, *dparameters), in their shapes, with None for a parameter that is given and not learned.
    `by_sample` says that the parameters have a row for each sample, and so follow their samples when
    the batch is split.
    """

    forward: Callable[..., Array]
    backward: Callable[..., tuple[Any, ...]]
    by_sample: bool = False
