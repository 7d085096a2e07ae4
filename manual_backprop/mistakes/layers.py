"""Wrong backward passes of the layers with cross terms, each the right one with a single step replaced."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from manual_backprop.activations import OUTPUTS, Array
from manual_backprop.layers import LAYERS
from manual_backprop.layers.batch_norm import standardised as over_samples
from manual_backprop.layers.layer_norm import standardised as over_units
from manual_backprop.layers.rms_norm import scaled

Gradients = tuple[Any, ...]


def frozen_batch_statistics(dy: Array, x: Array, y: Array, gain: Array, shift: Array) -> Gradients:
    """Batch normalisation with μ and v taken as constants: dx = γ r dy."""
    _, *dparameters = LAYERS["batch_norm"].backward(dy, x, y, gain, shift)
    _, r = over_samples(x)
    return r * dy * gain, *dparameters


def normalisation_diagonal_only(name: str) -> Callable[..., Gradients]:
    """The layer `name` with dx_ik = dy_ik ∂y_ik/∂x_ik: its own term of the sum, all the others dropped."""

    def backward(dy: Array, x: Array, y: Array, *parameters: Array) -> Gradients:
        _, *dparameters = LAYERS[name].backward(dy, x, y, *parameters)
        dx = np.zeros_like(x)
        for cell in np.ndindex(x.shape):
            alone = np.zeros_like(dy)
            alone[cell] = dy[cell]
            dx[cell] = LAYERS[name].backward(alone, x, y, *parameters)[0][cell]
        return dx, *dparameters

    return backward


def gain_forgotten(name: str) -> Callable[..., Gradients]:
    """The layer `name` with dx̂ = dy in place of γ dy."""

    def backward(dy: Array, x: Array, y: Array, gain: Array, *shift: Array) -> Gradients:
        _, *dparameters = LAYERS[name].backward(dy, x, y, gain, *shift)
        dx, *_ = LAYERS[name].backward(dy, x, y, np.ones_like(gain), *shift)
        return dx, *dparameters

    return backward


def mean_over_wrong_axis(name: str) -> Callable[..., Gradients]:
    """The layer `name` with the means of dx over units where they go over samples, or the reverse."""
    statistics = {"layer_norm": over_units, "rms_norm": scaled, "batch_norm": over_samples}[name]
    axis = 1 if name == "batch_norm" else 0

    def backward(dy: Array, x: Array, y: Array, gain: Array, *shift: Array) -> Gradients:
        _, *dparameters = LAYERS[name].backward(dy, x, y, gain, *shift)
        x_hat, r = statistics(x)
        dx_hat = dy * gain  # (n, units)
        through_mean = 0 if name == "rms_norm" else dx_hat.mean(axis=axis, keepdims=True)
        through_variance = x_hat * (dx_hat * x_hat).mean(axis=axis, keepdims=True)  # (n, units)
        return r * (dx_hat - through_mean - through_variance), *dparameters

    return backward


def mask_not_applied(dy: Array, x: Array, y: Array, mask: Array) -> Gradients:
    """Dropout that drops going forward only: dx = dy."""
    del x, y, mask
    return dy, None


def tied_weight_counted_once(dy: Array, x: Array, y: Array, W: Array) -> Gradients:
    """The tied layer with the term of its encoder alone: dW = xᵀ dz."""
    dx, _ = LAYERS["tied"].backward(dy, x, y, W)
    z = x @ W  # (n, hidden)
    dz = OUTPUTS["tanh"].backward(dy @ W, np.tanh(z))  # (n, hidden)
    return dx, x.T @ dz


def skip_path_forgotten(name: str) -> Callable[..., Gradients]:
    """The residual connection around the layer `name` with dx from that layer alone."""
    inner = LAYERS[name]

    def backward(dy: Array, x: Array, y: Array, *parameters: Array) -> Gradients:
        del y
        return inner.backward(dy, x, inner.forward(x, *parameters), *parameters)

    return backward


@dataclass(frozen=True)
class LayerMistake:
    """A known way to get a layer's backward pass wrong; the texts as those of `catalogue.Mistake`.

    `variants` are (name of the layer in `LAYERS`, wrong backward pass) for each layer that it can be made in.
    """

    name: str
    rule: str
    sentence: str
    hint: str
    answer: str
    variants: tuple[tuple[str, Callable[..., Gradients]], ...]


LAYER_MISTAKES = (
    LayerMistake(
        name="frozen_batch_statistics",
        rule="dx = γ r dy",
        sentence="The mean and the deviation of the batch move with every sample: they are not constants.",
        hint="Move one sample. Does the mean of the batch stay where it was?",
        answer="Add the paths through μ and v: dx = r(dx̂ − mean dx̂ − x̂ mean(dx̂ x̂)), with dx̂ = γ dy.",
        variants=(("batch_norm", frozen_batch_statistics),),
    ),
    LayerMistake(
        name="normalisation_diagonal_only",
        rule="dx_ik = dy_ik ∂y_ik/∂x_ik",
        sentence="Raise one x, and every y that shares its total changes.",
        hint="Move one input. Which outputs change beside its own?",
        answer="Sum over all y that share the total, dx_ik = Σ dy ∂y/∂x_ik.",
        variants=tuple(
            (name, normalisation_diagonal_only(name))
            for name in ("softmax", "layer_norm", "rms_norm", "batch_norm")
        ),
    ),
    LayerMistake(
        name="gain_forgotten",
        rule="dx̂ = dy",
        sentence="What stretches a value going forward stretches its gradient going back.",
        hint="Double γ. What does the same step of x do to y now?",
        answer="Multiply first, `dx_hat = dy * gain`, and use this in everything that goes further down.",
        variants=tuple((name, gain_forgotten(name)) for name in ("layer_norm", "rms_norm", "batch_norm")),
    ),
    LayerMistake(
        name="mean_over_wrong_axis",
        rule="the means in dx over samples for units, or over units for samples",
        sentence="The gradient goes back through a mean along the axis that the mean was taken over.",
        hint="Over which axis does the forward pass take its mean, and over which does yours going back?",
        answer="Use the forward pass's axis: the samples in batch normalisation, the units in the others.",
        variants=tuple(
            (name, mean_over_wrong_axis(name)) for name in ("layer_norm", "rms_norm", "batch_norm")
        ),
    ),
    LayerMistake(
        name="mask_not_applied",
        rule="dx = dy",
        sentence="A unit that was dropped going forward lets nothing pass going back.",
        hint="What does y do when you move an input whose mask is 0?",
        answer="Multiply by the mask of the forward pass, with its factor 1/p: `dx = dy * mask`.",
        variants=(("dropout", mask_not_applied),),
    ),
    LayerMistake(
        name="tied_weight_counted_once",
        rule="dW = xᵀ dz",
        sentence="A weight that stands in two places has an effect by each, and the effects add up.",
        hint="In how many places of the forward pass does W stand?",
        answer="Add the decoder's term to the encoder's: `dW = x.T @ dz + dy.T @ h`.",
        variants=(("tied", tied_weight_counted_once),),
    ),
    LayerMistake(
        name="skip_path_forgotten",
        rule="dx = F'(x)ᵀ dy",
        sentence="The shortcut is also a path, and at a fork the gradients add up.",
        hint="If F were 0, how would y depend on x?",
        answer="Add what comes by the shortcut: dx = dy + F'(x)ᵀ dy.",
        variants=(
            ("residual tanh", skip_path_forgotten("tanh")),
            ("residual dense", skip_path_forgotten("dense")),
        ),
    ),
)
