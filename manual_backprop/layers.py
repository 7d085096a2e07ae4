"""Pages of `operations` as layers of a network, which `stack` puts one after another.

Those with cross terms are `softmax`, `layer_norm` and `rms_norm` (between the units of a sample), `batch_norm` (between
samples), `residual` (its dense part's) and `tied` (one weight in two places); the activations and `dropout` have none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from manual_backprop.activations import ACTIVATIONS, Array
from manual_backprop.operations import (
    batch_norm,
    dense,
    dropout,
    layer_norm,
    residual,
    rms_norm,
    softmax,
    tied_weights,
)


class Page(Protocol):
    """What a layer asks of a page."""

    @property
    def forward(self) -> Callable[..., tuple[Array, Any]]:
        """y, (n, units), and a cache, from x, (n, units below), and parameters."""
        ...

    @property
    def backward(self) -> Callable[..., Any]:
        """The gradient of x and of each parameter that is learned, from dy and the cache; x's alone without any."""
        ...


@dataclass(frozen=True)
class Layer:
    """A page in a stack. `by_sample` says that its parameters are given, with a row for each sample: masks."""

    page: Page
    by_sample: bool = False

    def forward(self, x: Array, *parameters: Any) -> tuple[Array, Any]:
        """y, (n, units), and a cache."""
        return self.page.forward(x, *parameters)

    def backward(self, dy: Array, cache: Any) -> tuple[Array, ...]:
        """(dx, *dparameters), of the parameters that are learned."""
        found = self.page.backward(dy, cache)
        return found if isinstance(found, tuple) else (found,)


@dataclass(frozen=True)
class GhostBatches:
    """Batch normalisation in which only `size` consecutive samples share their mean and variance.

    Parts of this size don't mix, so their gradients can be averaged again, by their sizes.
    Source: E. Hoffer, I. Hubara, D. Soudry, *Train longer, generalize better* (2017), arXiv:1705.08741,
    algorithm 1.
    """

    size: int

    def forward(self, x: Array, gain: Array, shift: Array) -> tuple[Array, list[Any]]:
        """y (n, units), and the cache of each part."""
        starts = range(0, len(x), self.size)
        parts = [batch_norm.forward(x[start : start + self.size], gain, shift) for start in starts]
        return np.concatenate([y for y, _ in parts]), [cache for _, cache in parts]

    def backward(self, dy: Array, cache: list[Any]) -> tuple[Array, Array, Array]:
        """(dx, dgain, dshift): the parts' dx one after another, and the sums of the others."""
        parts = [batch_norm.backward(dy[at * self.size :][: self.size], one) for at, one in enumerate(cache)]
        dx, dgain, dshift = zip(*parts, strict=True)
        return np.concatenate(dx), np.sum(dgain, axis=0), np.sum(dshift, axis=0)


LAYERS: dict[str, Layer] = {
    "dense": Layer(dense),
    **{name: Layer(page) for name, page in ACTIVATIONS.items()},
    "dropout": Layer(dropout, by_sample=True),
    "residual": Layer(residual),
    "tied": Layer(tied_weights),
    "softmax": Layer(softmax),
    "layer_norm": Layer(layer_norm),
    "rms_norm": Layer(rms_norm),
    "batch_norm": Layer(batch_norm),
}
