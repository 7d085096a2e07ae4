"""Layers that are products of matrices."""

import jax.numpy as jnp
from jax import Array

from reference.operations.operation import Operation, inputs


def dense(x: Array, W: Array, b: Array) -> Array:
    """y = x W + b."""
    return x @ W + b


def dense_without_bias(x: Array, W: Array) -> Array:
    """y = x W."""
    return x @ W


def dense_of_images(x: Array, W: Array, b: Array) -> Array:
    """Every sample is flattened first, as in CS231n's `affine_forward`."""
    return x.reshape(x.shape[0], W.shape[0]) @ W + b


def temporal_dense(x: Array, W: Array, b: Array) -> Array:
    """The same layer at every time, as in CS231n's `temporal_affine_forward`."""
    return x @ W + b


def linear(x: Array, W: Array, b: Array) -> Array:
    """y = x Wᵀ + b: the weights of an output are a row, as in torch."""
    return x @ W.T + b


def bilinear(x: Array, W: Array, z: Array, b: Array) -> Array:
    """y_nk = Σ_de x_nd W_kde z_ne + b_k, as in torch."""
    return jnp.einsum("nd,kde,ne->nk", x, W, z) + b


def quadratic_form(x: Array, A: Array) -> Array:
    """y_n = x_nᵀ A x_n."""
    return ((x @ A) * x).sum(axis=1)


def residual(x: Array, W: Array, b: Array) -> Array:
    """y = x + tanh(x W + b): x reaches y by two paths."""
    return x + jnp.tanh(x @ W + b)


def tied_weights(x: Array, W: Array) -> Array:
    """y = tanh(x W) Wᵀ: an autoencoder that decodes with the transpose of what it encodes with."""
    return jnp.tanh(x @ W) @ W.T


def low_rank(x: Array, W: Array, A: Array, B: Array, *, scale: float) -> Array:
    """y = x W + scale x A B, W being frozen: E. J. Hu et al., *LoRA* (2021), arXiv:2106.09685, equation (3)."""
    return x @ W + scale * (x @ A @ B)


DENSE = (
    Operation("dense", dense, inputs(x="n d", W="d k", b="k"), also=("affine", "fully_connected", "fc")),
    Operation("dense_without_bias", dense_without_bias, inputs(x="n d", W="d k"), also=("linear_map",)),
    Operation(
        "dense_of_images",
        dense_of_images,
        inputs(x="n c h w", W="c*h*w k", b="k"),
        sizes={"c": (1, 2, 3), "h": (1, 2, 3), "w": (1, 2, 4)},
        also=("affine_of_images",),
    ),
    Operation("temporal_dense", temporal_dense, inputs(x="n t d", W="d k", b="k"), also=("temporal_affine",)),
    Operation("linear", linear, inputs(x="n d", W="k d", b="k")),
    Operation("bilinear", bilinear, inputs(x="n d", W="k d e", z="n e", b="k")),
    Operation("quadratic_form", quadratic_form, inputs(x="n d", A="d d")),
    Operation("residual", residual, inputs(x="n d", W="d d", b="d"), also=("skip_connection",)),
    Operation("tied_weights", tied_weights, inputs(x="n d", W="d k"), also=("tied", "tied_autoencoder")),
    Operation(
        "low_rank",
        low_rank,
        {**inputs(x="n d", W="d k", A="d r", B="r k")},
        options={"scale": (1.0, 0.5)},
        also=("lora",),
    ),
)
