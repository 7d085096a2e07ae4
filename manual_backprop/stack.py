"""Layers one after another, their batch's loss, and its gradient in the forms (1) and (2)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np

from manual_backprop.activations import Array
from manual_backprop.averages import BatchLoss, average_of, penalty, penalty_gradient
from manual_backprop.averaging import weighted_mean
from manual_backprop.layers import Layer

Parameters = Sequence[tuple[Array | None, ...]]
"""One tuple for each layer, in the order of its `forward`; () for a layer without any."""


@dataclass(frozen=True)
class Stack:
    """A network of layers with a loss of its batch, and a penalty λ/2 Σ W² on its weights.

    A loss that brings its own output (`losses`: softmax for the cross-entropy) applies it itself, so
    the layers end at its z.
    """

    layers: tuple[Layer, ...]
    batch_loss: BatchLoss = field(default_factory=lambda: average_of("mse"))
    penalty: float = 0

    def forward(self, parameters: Parameters, inputs: Array) -> tuple[Array, list[Any]]:
        """The y of the last layer, (n, K), and what every layer keeps for its way back."""
        h, caches = inputs, list[Any]()  # (n, fan_in)
        for layer, arrays in zip(self.layers, parameters, strict=True):
            h, cache = layer.forward(h, *arrays)
            caches.append(cache)
        return h, caches

    def loss(
        self, parameters: Parameters, inputs: Array, targets: Array, weights: Array | None = None
    ) -> Array:
        """The loss of the whole batch, a scalar; arguments as for `gradient`."""
        outputs, _ = self.forward(parameters, inputs)
        data = self.batch_loss.value(outputs, targets, _each_once(inputs) if weights is None else weights)
        for layer, arrays in zip(self.layers, parameters, strict=True):
            data = data + sum(penalty(W, self.penalty) for W in arrays if _is_weight(W, layer))
        return data

    def gradient(
        self, parameters: Parameters, inputs: Array, targets: Array, weights: Array | None = None
    ) -> list[tuple[Any, ...]]:
        """The gradient of the whole batch's loss, form (2).

        Args:
            parameters: one tuple of arrays for each layer.
            inputs: (n, fan_in).
            targets: (n, K).
            weights: of the samples, (n,), not negative; 0 masks a sample; all 1 if left out.

        Returns:
            One tuple for each layer in the shapes of `parameters`; None for what is given and not learned.
        """
        outputs, caches = self.forward(parameters, inputs)
        dy = self.batch_loss.error(outputs, targets, _each_once(inputs) if weights is None else weights)
        gradients: list[tuple[Any, ...]] = []
        for layer, arrays, cache in reversed([*zip(self.layers, parameters, caches, strict=True)]):
            dy, *learned = layer.backward(dy, cache)
            gradients.append(
                tuple(
                    d + penalty_gradient(W, self.penalty) if _is_weight(W, layer) else d
                    for W, d in zip(arrays, learned or [None] * len(arrays), strict=True)
                )
            )
        return gradients[::-1]

    def of_samples(self, parameters: Parameters, rows: slice) -> Parameters:
        """The parameters as the samples `rows` meet them: a dropout's mask loses the other samples' rows."""
        return [
            tuple(None if array is None else array[rows] for array in arrays) if layer.by_sample else arrays
            for layer, arrays in zip(self.layers, parameters, strict=True)
        ]

    def average_over_parts(
        self,
        parameters: Parameters,
        inputs: Array,
        targets: Array,
        weights: Array | None = None,
        *,
        size: int,
        by_weight: bool = True,
    ) -> list[tuple[Any, ...]]:
        """Each part of `size` samples differentiated by itself, then averaged by the sum of its weights.

        That is the gradient of the whole batch as long as no layer and no loss mixes samples. With
        `by_weight=False` every part counts the same, which is wrong as soon as two parts weigh differently.
        """
        weights = _each_once(inputs) if weights is None else weights
        parts = [slice(start, start + size) for start in range(0, len(inputs), size)]
        gradients: list[Any] = [
            self.gradient(self.of_samples(parameters, rows), inputs[rows], targets[rows], weights[rows])
            for rows in parts
        ]
        counts: list[Any] = [weights[rows].sum() if by_weight else 1 for rows in parts]
        return list(weighted_mean(gradients, counts))

    def per_sample_average(
        self, parameters: Parameters, inputs: Array, targets: Array, weights: Array | None = None
    ) -> list[tuple[Any, ...]]:
        """Form (1): Σ_i w_i ∂L_i/∂θ / Σ_i w_i, one backward pass for each sample; arguments as `gradient`."""
        return self.average_over_parts(parameters, inputs, targets, weights, size=1)


def _is_weight(array: Array | None, layer: Layer) -> TypeGuard[Array]:
    """Whether a layer's parameter is a weight matrix; not a bias, a gain, a shift or a mask."""
    return array is not None and array.ndim > 1 and not layer.by_sample


def _each_once(inputs: Array) -> Array:
    return np.ones(len(inputs), dtype=inputs.dtype)
