"""Mistakes on the way back through a layer: its activation's slope or Jacobian, and what comes from above."""

import numpy as np

from manual_backprop.activations import ACTIVATIONS, OUTPUTS, Activation, Array
from manual_backprop.losses import Loss
from manual_backprop.mistakes.catalogue import Mistake, Setting, through_activations, variant
from manual_backprop.mistakes.rule import Rule, output_error, through_activation

BENT = tuple(name for name in ACTIVATIONS if name != "identity")  # the activations whose slope is not 1
BENT_OUTPUTS = tuple(name for name in OUTPUTS if name != "identity")


def diagonal(activation: Activation, dh: Array, z: Array, h: Array) -> Array:
    """∂L/∂z_k = ∂L/∂h_k · h_k(1 - h_k), the term j = k of Σ_j ∂L/∂h_j · h_j(δ_jk - h_k)."""
    del activation, z
    return dh * h * (1 - h)


def cross_entropy_by_the_diagonal(loss: Loss, o: Array, y: Array) -> Array:
    """-y/o · o(1 - o): right only where the other outputs' targets are 0."""
    del loss
    return o * y - y


def slope_twice(activation: Activation, dh: Array, z: Array, h: Array) -> Array:
    """dh · f'(z) · f'(z)."""
    return through_activation(activation, through_activation(activation, dh, z, h), z, h)


def entropy_slope_twice(loss: Loss, o: Array, y: Array) -> Array:
    """(o - y) · o(1 - o), although the slope is in o - y already."""
    return output_error(loss, o, y) * o * (1 - o)


def entropy_jacobian_twice(loss: Loss, o: Array, y: Array) -> Array:
    """o - y sent through the softmax's Jacobian once more."""
    return OUTPUTS["softmax"].backward(output_error(loss, o, y), o)  # its cache is o


def slope_at_the_value(activation: Activation, dh: Array, z: Array, h: Array) -> Array:
    """f'(h) for f'(z): a function that computes the slope from z is given h."""
    del z
    return through_activation(activation, dh, h, h)


def value_formula_at_z(activation: Activation, dh: Array, z: Array, h: Array) -> Array:
    """z(1 - z) for h(1 - h): a formula that computes the slope from h is given z."""
    del h
    return activation.backward(dh, z)  # whose cache is h


def open_where_the_value_is_not_negative(activation: Activation, dh: Array, z: Array, h: Array) -> Array:
    """The mask h ≥ 0 for z > 0. But h = max(z, 0) is never negative, so every unit lets the error pass."""
    del activation, z
    return dh * (h >= 0)


def no_slope(activation: Activation, dh: Array, z: Array, h: Array) -> Array:
    """dz = dh."""
    del activation, z, h
    return dh


def entropy_without_slope(loss: Loss, o: Array, y: Array) -> Array:
    """∂L/∂o for ∂L/∂z: the logarithm's 1/o is not cancelled by the slope of the output."""
    if loss.output == "softmax":
        return -y / o
    return output_error(loss, o, y) / (o * (1 - o))


def activation_as_slope(activation: Activation, dh: Array, z: Array, h: Array) -> Array:
    """dh · f(z)."""
    del activation, z
    return dh * h


def ones_from_above(dz: Array, W: Array) -> Array:
    """∂L/∂h = 1, so that dz = f'(z)."""
    return np.ones((len(dz), len(W)), dtype=dz.dtype)  # (n, fan_in)


def weights_without_error(dz: Array, W: Array) -> Array:
    """∂L/∂h_k = Σ_j w_kj, without ∂L/∂z_j."""
    return np.ones_like(dz) @ W.T  # (n, fan_in)


def error_without_weights(dz: Array, W: Array) -> Array:
    """∂L/∂h = ∂L/∂z of the layer above, without w; it fits where that layer is as wide, or has one unit."""
    return np.broadcast_to(dz, (len(dz), len(W))).copy()  # (n, fan_in)


def gated_by_gradient(activation: Activation, dh: Array, z: Array, h: Array) -> Array:
    """dh where dh > 0, for dh where z > 0."""
    del activation, z, h
    return dh * (dh > 0)


def gated_by_both(activation: Activation, dh: Array, z: Array, h: Array) -> Array:
    """dh where dh > 0 and z > 0."""
    return through_activation(activation, gated_by_gradient(activation, dh, z, h), z, h)


def an_entropy(s: Setting) -> bool:
    """Where the output's slope is cancelled inside the loss."""
    return not s.squared


JACOBIANS = (
    Mistake(
        name="softmax_diagonal_only",
        rule="∂L/∂zₖ = ∂L/∂oₖ · oₖ(1 − oₖ)",
        sentence=(
            "Raise one z of a softmax and its own output rises while all others fall: each output depends on "
            "each z."
        ),
        hint="The outputs of a softmax add up to 1. If you raise one z, which outputs change?",
        answer=(
            "Add the terms off the diagonal: ∂L/∂zₖ = oₖ (∂L/∂oₖ − Σⱼ ∂L/∂oⱼ · oⱼ); with cross-entropy this "
            "is o − y."
        ),
        variants=(
            variant(
                "after a squared loss",
                Rule(through_output=diagonal),
                lambda s: s.squared and s.output == "softmax",
            ),
            variant(
                "after a cross-entropy",
                Rule(output_error=cross_entropy_by_the_diagonal),
                lambda s: s.loss == "cross_entropy",
            ),
        ),
    ),
    Mistake(
        name="slope_twice",
        rule="∂L/∂z = ∂L/∂h · f'(z) · f'(z), such as (o − y) · o(1 − o) for an entropy",
        sentence=(
            "Each activation's slope appears once on a path; for a cross-entropy it is inside o − y already."
        ),
        hint="Name the variable that each error is the derivative with respect to: is it h, or is it z?",
        answer=(
            "Multiply by f'(z) once in each layer; after softmax or sigmoid with its cross-entropy, o − y is "
            "∂L/∂z."
        ),
        variants=(
            variant("(o − y) · o(1 − o)", Rule(output_error=entropy_slope_twice), an_entropy),
            variant(
                "(o − y) through the softmax",
                Rule(output_error=entropy_jacobian_twice),
                lambda s: s.loss == "cross_entropy",
            ),
            *through_activations(
                "f'(z)²",
                slope_twice,
                hidden=("tanh", "sigmoid", "softplus"),
                output=("tanh", "sigmoid", "softplus", "softmax"),
            ),
        ),
    ),
    Mistake(
        name="slope_at_wrong_place",
        rule="∂L/∂z = ∂L/∂h · f'(h), where h = f(z)",
        sentence=(
            "The slope is taken at z, where the activation was entered; only a formula in h, such as h(1 − "
            "h), gets h."
        ),
        hint=(
            "Read the formula of your slope: is it written for z or for h = f(z)? Which of them do you pass "
            "to it?"
        ),
        answer="Pass z to σ(z)(1 − σ(z)), 1 − tanh²(z) and z > 0; pass h to h(1 − h) and 1 − h².",
        variants=(
            *through_activations(
                "f'(h)",
                slope_at_the_value,
                hidden=("tanh", "sigmoid", "softplus"),
                output=("tanh", "sigmoid", "softplus", "softmax"),
            ),
            *through_activations(
                "z(1 − z) or 1 − z²",
                value_formula_at_z,
                hidden=("tanh", "sigmoid"),
                output=("tanh", "sigmoid"),
            ),
            *through_activations(
                "h ≥ 0", open_where_the_value_is_not_negative, hidden=("relu",), output=("relu",)
            ),
        ),
    ),
    Mistake(
        name="slope_missing",
        rule="∂L/∂z = ∂L/∂h",
        sentence=(
            "On the way back through an activation the error is multiplied by its slope: dz = dh · f'(z)."
        ),
        hint=(
            "Read your forward pass from the end to the start. Which of its steps has no partner in the "
            "backward pass?"
        ),
        answer=(
            "Multiply by f'(z) in each layer with an activation, `dz = dh * slope`; for a softmax use its "
            "Jacobian."
        ),
        variants=(
            *through_activations("1 for f'(z)", no_slope, hidden=BENT, output=BENT_OUTPUTS),
            variant("∂L/∂o for ∂L/∂z", Rule(output_error=entropy_without_slope), an_entropy),
        ),
    ),
    Mistake(
        name="activation_as_slope",
        rule="∂L/∂z = ∂L/∂h · f(z)",
        sentence="The way back needs the slope of the activation, f'(z), not its value, f(z).",
        hint=(
            "Draw the curve of the activation. Where is it steepest, and where is the number that you "
            "multiply by largest?"
        ),
        answer="Multiply dh by f'(z): h(1 − h) for the sigmoid, 1 − h² for tanh, 1 where z > 0 for relu.",
        variants=through_activations("f(z)", activation_as_slope, hidden=BENT, output=BENT_OUTPUTS),
    ),
    Mistake(
        name="upstream_not_passed",
        rule="∂L/∂z = f'(z), without ∂L/∂h from above",
        sentence=(
            "Each layer multiplies what comes from above by its own derivative; no factor may be left out."
        ),
        hint=(
            "Change a target, then a weight of the last layer. Should the first layer's gradient change, and "
            "does yours?"
        ),
        answer=(
            "Carry the error down through every layer: `dh = dz @ W.T`, and then dz of the layer below is "
            "`dh * slope`."
        ),
        variants=(
            variant("1 for ∂L/∂h", Rule(into_layer_below=ones_from_above), lambda s: s.layers > 1),
            variant(
                "the weights without the error",
                Rule(into_layer_below=weights_without_error),
                lambda s: s.layers > 1,
            ),
            variant(
                "the error without the weights",
                Rule(into_layer_below=error_without_weights),
                lambda s: s.layers > 1 and all(fan_out in (1, fan_in) for fan_in, fan_out in s.upper_shapes),
            ),
        ),
    ),
    Mistake(
        name="relu_gated_by_gradient",
        rule="∂L/∂z = ∂L/∂h where ∂L/∂h > 0",
        sentence=(
            "Whether a relu is open was settled on the way forward, by the sign of z; the error's sign has "
            "no say in it."
        ),
        hint="What decides whether a relu lets a value pass, and at which moment is it decided?",
        answer="Use the mask of the forward pass: `dz = dh * (z > 0)`.",
        variants=(
            *through_activations("dh > 0", gated_by_gradient, hidden=("relu",), output=("relu",)),
            *through_activations("dh > 0 and z > 0", gated_by_both, hidden=("relu",), output=("relu",)),
        ),
    ),
)
