"""Mistakes in normalisations: a path through the mean or the variance left out, γ forgotten, another axis."""

from typing import Any

import numpy as np

from manual_backprop.mistakes.operations.mistake import Array, Mistake, Where, ones
from manual_backprop.operations import batch_norm, group_norm, layer_norm, rms_norm

GAIN_ONE = Where(inputs={"gain": ones})
GAIN_EQUAL = Where(inputs={"gain": lambda gain: np.full_like(gain, 1.7)})


def centred(axis: Any) -> Where:
    """dy without its mean along the axes, and an equal gain, so that nothing goes through the mean."""

    def without_mean(dy: Array) -> Array:
        return dy - dy.mean(axis=axis, keepdims=True)

    return Where(inputs=GAIN_EQUAL.inputs, cotangent=without_mean)


NORMS = (
    Mistake(
        layer_norm,
        "statistics_held_still",
        step="dx = r * (dx_hat - through_mean - through_variance)",
        wrong="dx = r * dx_hat",
        sentence="Mean and variance are taken for constants, and every unit moves them.",
        hint="Raise all units of a sample by the same: does y move?",
        cure="dx = r (dx̂ − mean dx̂ − x̂ mean(dx̂ x̂)).",
    ),
    Mistake(
        layer_norm,
        "path_through_mean_dropped",
        step="dx_hat - through_mean - through_variance",
        wrong="dx_hat - through_variance",
        sentence="The path through μ is left out: a shift of the sample changes nothing, so dx must sum to 0.",
        hint="Raise all units of a sample by the same: does y move?",
        cure="Subtract mean dx̂ as well.",
        hides="Where dx̂ = γ dy has mean 0 in each sample.",
        hidden=(centred(1),),
    ),
    Mistake(
        layer_norm,
        "path_through_variance_dropped",
        step="dx_hat - through_mean - through_variance",
        wrong="dx_hat - through_mean",
        sentence="The path through the variance is left out, as if r were a constant.",
        hint="Double a sample: does y double?",
        cure="Subtract x̂ mean(dx̂ x̂) as well.",
        hides="One unit, where x̂ is 0.",
        hidden=(Where(sizes={"d": 1}),),
    ),
    Mistake(
        layer_norm,
        "gain_forgotten",
        step="dx_hat = dy * gain",
        wrong="dx_hat = dy",
        sentence="γ stands between x̂ and y, and is not multiplied in on the way back.",
        hint="What is ∂y/∂x̂?",
        cure="dx̂ = γ dy.",
        hides="γ = 1, as every library starts.",
        hidden=(GAIN_ONE,),
    ),
    Mistake(
        layer_norm,
        "gain_outside_the_means",
        step="""through_mean = dx_hat.mean(axis=1, keepdims=True)  # (n, 1)
    through_variance = x_hat * (dx_hat * x_hat).mean(axis=1, keepdims=True)  # (n, d)""",
        wrong="""through_mean = gain * dy.mean(axis=1, keepdims=True)
    through_variance = gain * x_hat * (dy * x_hat).mean(axis=1, keepdims=True)""",
        sentence="γ is taken out of the means over units, and it differs from unit to unit.",
        hint="Is γ_k the same for all terms of the mean over k?",
        cure="Multiply dy by γ first: the means are of dx̂ = γ dy.",
        hides="All γ equal.",
        hidden=(GAIN_EQUAL,),
    ),
    Mistake(
        batch_norm,
        "statistics_held_still",
        step="dx = r * (dx_hat - through_mean - through_variance)",
        wrong="dx = r * dx_hat",
        sentence="Mean and variance of the batch are taken for constants, and every sample moves them.",
        hint="Move one sample: does the mean of the batch stay where it was?",
        cure="dx = r (dx̂ − mean dx̂ − x̂ mean(dx̂ x̂)), with means over the samples.",
    ),
    Mistake(
        batch_norm,
        "path_through_mean_dropped",
        step="dx_hat - through_mean - through_variance",
        wrong="dx_hat - through_variance",
        sentence="The path through μ is left out: dx no longer sums to 0 over the batch.",
        hint="Raise all samples by the same: does y move?",
        cure="Subtract mean dx̂ as well.",
        hides="Where dy has mean 0 over the batch.",
        hidden=(centred(0),),
    ),
    Mistake(
        batch_norm,
        "path_through_variance_dropped",
        step="dx_hat - through_mean - through_variance",
        wrong="dx_hat - through_mean",
        sentence="The path through the variance is left out, as if r were a constant.",
        hint="Double the batch's spread: does y's double?",
        cure="Subtract x̂ mean(dx̂ x̂) as well.",
        hides="One sample, where x̂ is 0.",
        hidden=(Where(sizes={"n": 1}),),
    ),
    Mistake(
        batch_norm,
        "means_over_units",
        step="through_mean = dx_hat.mean(axis=0)",
        wrong="through_mean = dx_hat.mean(axis=1, keepdims=True)",
        sentence="The mean runs over the units, as in layer normalisation, and μ was taken over the batch.",
        hint="Which numbers share a μ?",
        cure="axis=0: the means go over the axis that forward's went over.",
        hides="One sample and one unit.",
        hidden=(Where(sizes={"n": 1, "d": 1}),),
    ),
    Mistake(
        batch_norm,
        "gain_forgotten",
        step="dx_hat = dy * gain",
        wrong="dx_hat = dy",
        sentence="γ stands between x̂ and y, and is not multiplied in on the way back.",
        hint="What is ∂y/∂x̂?",
        cure="dx̂ = γ dy.",
        hides="γ = 1, as every library starts.",
        hidden=(GAIN_ONE,),
    ),
    Mistake(
        group_norm,
        "statistics_of_a_channel",
        step="dx_hat.mean(axis=(2, 3, 4), keepdims=True)",
        wrong="dx_hat.mean(axis=(3, 4), keepdims=True)",
        sentence="The mean runs over one channel, and all channels of the group share their μ.",
        hint="Which numbers share a μ?",
        cure="Mean over the channels of the group and their pixels.",
        hides="One channel a group.",
        hidden=(Where(sizes={"c": 1}),),
    ),
    Mistake(
        group_norm,
        "gain_outside_the_means",
        step="dx_hat.mean(axis=(2, 3, 4), keepdims=True)",
        wrong="""gain.reshape(1, r.shape[1], -1, 1, 1) * dy.reshape(x_hat.shape).mean(
        axis=(2, 3, 4), keepdims=True
    )""",
        sentence="γ is taken out of the mean, as in batch normalisation, and the channels of a group differ in it.",
        hint="Is γ the same for all terms of the mean?",
        cure="Multiply dy by γ first: the mean is of dx̂ = γ dy.",
        hides="All γ of a group equal.",
        hidden=(GAIN_EQUAL,),
    ),
    Mistake(
        group_norm,
        "gain_averaged_over_samples",
        step="dgain = (dy * x_hat.reshape(dy.shape)).sum(axis=(0, 2, 3))",
        wrong="dgain = (dy * x_hat.reshape(dy.shape)).sum(axis=(2, 3)).mean(axis=0)",
        sentence="γ serves every sample, and each use counts in full.",
        hint="How many samples use the same γ?",
        cure="Sum over samples and pixels.",
        hides="One sample.",
        hidden=(Where(sizes={"n": 1}),),
    ),
    Mistake(
        rms_norm,
        "mean_subtracted_too",
        step="dx = r * (dx_hat - through_square)",
        wrong="dx = r * (dx_hat - dx_hat.mean(axis=1, keepdims=True) - through_square)",
        sentence="The term of layer normalisation's mean is there, and nothing was shifted.",
        hint="Raise all units of a sample by the same: does y stay?",
        cure="Leave mean dx̂ out.",
        hides="Where dx̂ = γ dy has mean 0 in each sample.",
        hidden=(centred(1),),
    ),
    Mistake(
        rms_norm,
        "scale_held_still",
        step="dx = r * (dx_hat - through_square)",
        wrong="dx = r * dx_hat",
        sentence="r is taken for a constant, and every unit of the sample moves it.",
        hint="Double a sample: does y double?",
        cure="Subtract x̂ mean(dx̂ x̂).",
    ),
    Mistake(
        rms_norm,
        "gain_forgotten",
        step="dx_hat = dy * gain",
        wrong="dx_hat = dy",
        sentence="γ stands between x̂ and y, and is not multiplied in on the way back.",
        hint="What is ∂y/∂x̂?",
        cure="dx̂ = γ dy.",
        hides="γ = 1, as every library starts.",
        hidden=(GAIN_ONE,),
    ),
    Mistake(
        rms_norm,
        "sum_for_mean",
        step="(dx_hat * x_hat).mean(axis=1, keepdims=True)",
        wrong="(dx_hat * x_hat).sum(axis=1, keepdims=True)",
        sentence="s is a mean over d units, and the 1/d of its derivative is lost.",
        hint="By how much does the mean square move when one x does?",
        cure="Take the mean over the units.",
        hides="One unit.",
        hidden=(Where(sizes={"d": 1}),),
    ),
)
