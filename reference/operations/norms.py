"""Normalisations: an array is shifted and scaled to mean 0 and variance 1 over some of its axes.

The variance is taken of x - μ, as careful programs do. E[x²] - μ² is another program for it, whose rounding errors
grow with (μ/σ)²: far from 0 it is not covered by any bound here.
"""

from math import prod

import jax.numpy as jnp
from jax import Array

from reference.operations.by_hand import by_hand
from reference.operations.operation import Input, Operation, inputs

EPS = (1e-5, 1e-3)

Axes = tuple[int, ...]


def count(x: Array, axes: Axes) -> Array:
    """How many numbers lie along the axes; a scalar of x's type, whose size may be symbolic."""
    return jnp.asarray(prod(x.shape[axis] for axis in axes), x.dtype)


def mean(x: Array, axes: Axes) -> Array:
    """The mean along the axes, which stay, with size 1."""
    return x.sum(axis=axes, keepdims=True) / count(x, axes)


def standardised(x: Array, axes: Axes, eps: float) -> Array:
    """x̂ = (x - μ)/√(v + ε), with the mean μ and the (biased) variance v along the axes."""
    centred = x - mean(x, axes)
    return centred / jnp.sqrt(mean(centred * centred, axes) + eps)


def _columns(parameter: Array, x: Array) -> Array:
    """A parameter of the channels, (c,), beside x (n, c, ...)."""
    return parameter.reshape(parameter.shape[0], *[1] * (x.ndim - 2))


def layer_norm(x: Array, gain: Array, shift: Array, *, eps: float) -> Array:
    """y = γ x̂ + β, standardised over the units of each sample: J. L. Ba et al. (2016), arXiv:1607.06450."""
    return gain * standardised(x, (-1,), eps) + shift


def layer_norm_without_affine(x: Array, *, eps: float) -> Array:
    """x̂ alone, standardised over the units of each sample."""
    return standardised(x, (-1,), eps)


def batch_norm(x: Array, gain: Array, shift: Array, *, eps: float) -> Array:
    """y = γ x̂ + β, standardised over the samples: S. Ioffe, C. Szegedy (2015), arXiv:1502.03167."""
    return gain * standardised(x, (0,), eps) + shift


def batch_norm_with_statistics(
    x: Array, gain: Array, shift: Array, mean: Array, variance: Array, *, eps: float
) -> Array:
    """y = γ (x - μ)/√(v + ε) + β with μ and v that are given, as in inference."""
    return gain * (x - mean) / jnp.sqrt(variance + eps) + shift


def spatial_batch_norm(x: Array, gain: Array, shift: Array, *, eps: float) -> Array:
    """Each channel is standardised over the samples and places."""
    return _columns(gain, x) * standardised(x, (0, 2, 3), eps) + _columns(shift, x)


def instance_norm(x: Array, gain: Array, shift: Array, *, eps: float) -> Array:
    """Each channel of each sample is standardised over its places: D. Ulyanov et al. (2016), arXiv:1607.08022."""
    return _columns(gain, x) * standardised(x, (2, 3), eps) + _columns(shift, x)


def group_norm(x: Array, gain: Array, shift: Array, *, groups: int, eps: float) -> Array:
    """Standardised over the places and channels of each group: Y. Wu, K. He (2018), arXiv:1803.08494."""
    n, channels, h, w = x.shape
    x_hat = standardised(x.reshape(n, groups, channels // groups, h, w), (2, 3, 4), eps).reshape(x.shape)
    return _columns(gain, x) * x_hat + _columns(shift, x)


def spatial_group_norm(x: Array, gain: Array, shift: Array, *, groups: int, eps: float) -> Array:
    """Group norm whose parameters are (1, c, 1, 1), as in CS231n's `spatial_groupnorm_forward`."""
    channels = x.shape[1]
    return group_norm(x, gain.reshape(channels), shift.reshape(channels), groups=groups, eps=eps)


def rms_norm(x: Array, gain: Array, *, eps: float) -> Array:
    """y = γ x/√(mean x² + ε): B. Zhang, R. Sennrich (2019), arXiv:1910.07467."""
    return gain * x / jnp.sqrt(mean(x * x, (-1,)) + eps)


def l2_normalise(x: Array) -> Array:
    """y = x/|x|, row by row."""
    return x / jnp.sqrt((x * x).sum(axis=-1, keepdims=True))


def weight_norm(x: Array, v: Array, gain: Array) -> Array:
    """y = x W, with W = γ v/|v| column by column: T. Salimans, D. P. Kingma (2016), arXiv:1602.07868."""
    return x @ (gain * v / jnp.sqrt((v * v).sum(axis=0)))


# Other programs: the formula with x̂, in place of the path through the variance.


def _through(x: Array, dx_hat: Array, axes: Axes, eps: float) -> Array:
    """dx = r (dx̂ - mean dx̂ - x̂ mean(dx̂ x̂)), with r = 1/√(v + ε)."""
    centred = x - mean(x, axes)
    r = 1 / jnp.sqrt(mean(centred * centred, axes) + eps)
    x_hat = centred * r
    return r * (dx_hat - mean(dx_hat, axes) - x_hat * mean(dx_hat * x_hat, axes))


def _layer_norm_backward(dy: Array, x: Array, gain: Array, shift: Array, *, eps: float) -> tuple[Array, ...]:
    del shift
    x_hat = standardised(x, (-1,), eps)
    return _through(x, dy * gain, (-1,), eps), (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def _batch_norm_backward(dy: Array, x: Array, gain: Array, shift: Array, *, eps: float) -> tuple[Array, ...]:
    del shift
    x_hat = standardised(x, (0,), eps)
    return _through(x, dy * gain, (0,), eps), (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def _spatial_backward(axes: Axes, dy: Array, x: Array, gain: Array, eps: float) -> tuple[Array, ...]:
    x_hat = standardised(x, axes, eps)
    dx = _through(x, dy * _columns(gain, x), axes, eps)
    return dx, (dy * x_hat).sum(axis=(0, 2, 3)), dy.sum(axis=(0, 2, 3))


def _spatial_batch_norm_backward(
    dy: Array, x: Array, gain: Array, shift: Array, *, eps: float
) -> tuple[Array, ...]:
    del shift
    return _spatial_backward((0, 2, 3), dy, x, gain, eps)


def _instance_norm_backward(
    dy: Array, x: Array, gain: Array, shift: Array, *, eps: float
) -> tuple[Array, ...]:
    del shift
    return _spatial_backward((2, 3), dy, x, gain, eps)


def _group_norm_backward(
    dy: Array, x: Array, gain: Array, shift: Array, *, groups: int, eps: float
) -> tuple[Array, ...]:
    del shift
    n, channels, h, w = x.shape
    grouped = (n, groups, channels // groups, h, w)
    x_hat = standardised(x.reshape(grouped), (2, 3, 4), eps).reshape(x.shape)
    dx_hat = (dy * _columns(gain, x)).reshape(grouped)
    dx = _through(x.reshape(grouped), dx_hat, (2, 3, 4), eps).reshape(x.shape)
    return dx, (dy * x_hat).sum(axis=(0, 2, 3)), dy.sum(axis=(0, 2, 3))


def _rms_norm_backward(dy: Array, x: Array, gain: Array, *, eps: float) -> tuple[Array, ...]:
    r = 1 / jnp.sqrt(mean(x * x, (-1,)) + eps)
    x_hat = x * r
    dx_hat = dy * gain
    return r * (dx_hat - x_hat * mean(dx_hat * x_hat, (-1,))), (dy * x_hat).sum(axis=0)


def _l2_normalise_backward(dy: Array, x: Array) -> tuple[Array, ...]:
    norm = jnp.sqrt((x * x).sum(axis=-1, keepdims=True))
    y = x / norm
    return ((dy - y * (dy * y).sum(axis=-1, keepdims=True)) / norm,)


_IMAGES = {"h": (1, 2, 3), "w": (1, 2, 4)}
_GROUPED = {"g": (1, 2, 3), "c": (1, 2), **_IMAGES}

NORMS = (
    Operation(
        "layer_norm",
        layer_norm,
        inputs(x="n d", gain="d", shift="d"),
        options={"eps": EPS},
        formulations=(by_hand(layer_norm, _layer_norm_backward),),
        also=("layernorm",),
    ),
    Operation("layer_norm_without_affine", layer_norm_without_affine, inputs(x="n d"), options={"eps": EPS}),
    Operation(
        "batch_norm",
        batch_norm,
        inputs(x="n d", gain="d", shift="d"),
        options={"eps": EPS},
        formulations=(by_hand(batch_norm, _batch_norm_backward),),
        also=("batchnorm", "batchnorm_alt"),
        mixes=True,
    ),
    Operation(
        "batch_norm_with_statistics",
        batch_norm_with_statistics,
        inputs(
            x="n d",
            gain="d",
            shift="d",
            mean=Input("d", constant=True),
            variance=Input("d", "positive", constant=True),
        ),
        options={"eps": EPS},
        also=("batch_norm_inference",),
    ),
    Operation(
        "spatial_batch_norm",
        spatial_batch_norm,
        inputs(x="n c h w", gain="c", shift="c"),
        options={"eps": EPS},
        sizes=_IMAGES,
        formulations=(by_hand(spatial_batch_norm, _spatial_batch_norm_backward),),
        also=("spatial_batchnorm", "batch_norm2d"),
        mixes=True,
    ),
    Operation(
        "instance_norm",
        instance_norm,
        inputs(x="n c h w", gain="c", shift="c"),
        options={"eps": EPS},
        sizes=_IMAGES,
        formulations=(by_hand(instance_norm, _instance_norm_backward),),
        also=("instancenorm", "instance_norm2d"),
    ),
    Operation(
        "group_norm",
        group_norm,
        inputs(x="n g*c h w", gain="g*c", shift="g*c"),
        options={"groups": (1, 2, 3), "eps": EPS},
        sizes=_GROUPED,
        valid=lambda sizes, options: sizes["g"] == options["groups"],
        formulations=(by_hand(group_norm, _group_norm_backward),),
        also=("groupnorm",),
        concrete=("g",),
    ),
    Operation(
        "spatial_group_norm",
        spatial_group_norm,
        inputs(x="n g*c h w", gain="1 g*c 1 1", shift="1 g*c 1 1"),
        options={"groups": (1, 2, 3), "eps": EPS},
        sizes=_GROUPED,
        valid=lambda sizes, options: sizes["g"] == options["groups"],
        also=("spatial_groupnorm",),
        concrete=("g",),
    ),
    Operation(
        "rms_norm",
        rms_norm,
        inputs(x="n d", gain="d"),
        options={"eps": EPS},
        formulations=(by_hand(rms_norm, _rms_norm_backward),),
        also=("rmsnorm",),
    ),
    Operation(
        "l2_normalise",
        l2_normalise,
        inputs(x="n d"),
        formulations=(by_hand(l2_normalise, _l2_normalise_backward),),
        also=("l2_normalize", "normalise", "normalize"),
    ),
    Operation("weight_norm", weight_norm, inputs(x="n d", v="d k", gain="k"), also=("weightnorm",)),
)
