"""Convolutions (correlations, as all libraries have them), from the definition: every window of x, times W.

x is (n, channels, h, w). Channels come in g groups that see only each other, and the sizes say how many: x has
g*c channels, W has g*f outputs of c channels each. A kernel with dilation 2 leaves out every other place.
Padding is with zeros, the same number at both ends.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from reference.operations.operation import Operation, inputs


def taken(x: Array, index: Array, axis: int) -> Array:
    """x at the index, of any shape, along one axis; the index is in bounds."""
    place = (*[slice(None)] * axis, index)
    return jnp.asarray(x).at[place].get(mode="promise_in_bounds", wrap_negative_indices=False)


def added(y: Array, index: Array, axis: int, terms: Array) -> Array:
    """y, with each of the terms added where `taken` would take it from."""
    place = (*[slice(None)] * axis, index)
    return jnp.asarray(y).at[place].add(terms, mode="promise_in_bounds", wrap_negative_indices=False)


def places(windows: Any, kernel: Any, stride: int, dilation: int = 1) -> Array:
    """Where entry j of window i lies, (windows, kernel): i stride + j dilation."""
    return stride * jnp.arange(windows)[:, None] + dilation * jnp.arange(kernel)


def windows(x: Array, kernel: tuple[Any, Any], stride: int, dilation: int = 1) -> Array:
    """All windows of x (n, c, h, w) that lie within it, (n, c, rows, kernel, columns, kernel)."""
    (kh, kw), (h, w) = kernel, x.shape[2:]
    rows = places((h - dilation * (kh - 1) - 1) // stride + 1, kh, stride, dilation)
    columns = places((w - dilation * (kw - 1) - 1) // stride + 1, kw, stride, dilation)
    return taken(taken(x, rows, 2), columns, 4)


def padded(x: Array, padding: int, value: float = 0, more: int = 0) -> Array:
    """x (n, c, h, w) with some more rows and columns on each side; `more` of them below and at the right."""
    sides = (padding, padding + more)
    return jnp.pad(x, ((0, 0), (0, 0), sides, sides), constant_values=value)


def conv2d_without_bias(x: Array, W: Array, *, stride: int, padding: int, dilation: int) -> Array:
    """y_nfab = Σ_cij W_fcij x_{n, c, a s + i d - p, b s + j d - p}, with stride s, dilation d, padding p."""
    outputs, c, kh, kw = W.shape
    groups = x.shape[1] // c
    seen = windows(padded(x, padding), (kh, kw), stride, dilation)
    n, _, rows, _, columns, _ = seen.shape
    y = jnp.einsum(
        "ngcaibj,gfcij->ngfab",
        seen.reshape(n, groups, c, rows, kh, columns, kw),
        W.reshape(groups, outputs // groups, c, kh, kw),
    )
    return y.reshape(n, outputs, rows, columns)


def conv2d(x: Array, W: Array, b: Array, *, stride: int, padding: int, dilation: int) -> Array:
    """The same with a bias for each output channel."""
    return conv2d_without_bias(x, W, stride=stride, padding=padding, dilation=dilation) + b[:, None, None]


def conv1d(x: Array, W: Array, b: Array, *, stride: int, padding: int, dilation: int) -> Array:
    """y_nfa = Σ_ci W_fci x_{n, c, a s + i d - p} + b_f."""
    x = jnp.pad(x, ((0, 0), (0, 0), (padding, padding)))
    kernel = W.shape[2]
    index = places((x.shape[2] - dilation * (kernel - 1) - 1) // stride + 1, kernel, stride, dilation)
    return jnp.einsum("ncai,fci->nfa", taken(x, index, 2), W) + b[:, None]


def conv2d_channels_last(x: Array, W: Array, b: Array, *, stride: int, padding: int) -> Array:
    """x (n, h, w, c) and W (kh, kw, c, f), as TensorFlow has them."""
    y = conv2d(
        x.transpose(0, 3, 1, 2), W.transpose(3, 2, 0, 1), b, stride=stride, padding=padding, dilation=1
    )
    return y.transpose(0, 2, 3, 1)


def depthwise_conv2d(x: Array, W: Array, b: Array, *, stride: int, padding: int) -> Array:
    """Every channel has a kernel of its own, W (c, kh, kw)."""
    _, kh, kw = W.shape
    y = (windows(padded(x, padding), (kh, kw), stride) * W[:, None, :, None, :]).sum(axis=(3, 5))
    return y + b[:, None, None]


def conv_transpose2d(x: Array, W: Array, b: Array, *, stride: int, padding: int) -> Array:
    """The transpose of `conv2d` in x: every entry of x adds its multiple of the kernel to the result.

    y_{n, f, a s + i - p, b s + j - p} gets x_ncab W_cfij, with W (c, f, kh, kw); what falls outside is dropped.
    """
    (n, _, h, w), (_, f, kh, kw) = x.shape, W.shape
    terms = jnp.einsum("ncab,cfij->nfaibj", x, W)
    rows, columns = (h - 1) * stride + kh, (w - 1) * stride + kw
    y = added(jnp.zeros((n, f, rows, w, kw), x.dtype), places(h, kh, stride), 2, terms)
    y = added(jnp.zeros((n, f, rows, columns), x.dtype), places(w, kw, stride), 3, y)
    return y[:, :, padding : rows - padding, padding : columns - padding] + b[:, None, None]


_STRIDES = {"stride": (1, 2, 3), "padding": (0, 1, 2)}
_WIDE = {"h": (5, 6, 7), "w": (5, 6, 8), "kh": (1, 2, 3), "kw": (1, 2, 3)}
_FIT = ("h >= 2*kh - 1", "w >= 2*kw - 1")


def _kernel_exceeds_padding(sizes: Mapping[str, int], options: Mapping[str, Any]) -> bool:
    return min(sizes["kh"], sizes["kw"]) > options["padding"]


CONVOLUTION = (
    Operation(
        "conv2d",
        conv2d,
        inputs(x="n g*c h w", W="g*f c kh kw", b="g*f"),
        options={**_STRIDES, "dilation": (1, 2)},
        sizes={"g": (1, 2), "c": (1, 2, 3), "f": (1, 2, 3), **_WIDE},
        also=("conv", "convolution", "conv_naive"),
        above=_FIT,
    ),
    Operation(
        "conv2d_without_bias",
        conv2d_without_bias,
        inputs(x="n g*c h w", W="g*f c kh kw"),
        options={**_STRIDES, "dilation": (1, 2)},
        sizes={"g": (1, 2), "c": (1, 2, 3), "f": (1, 2, 3), **_WIDE},
        above=_FIT,
    ),
    Operation(
        "conv1d",
        conv1d,
        inputs(x="n c t", W="f c k", b="f"),
        options={**_STRIDES, "dilation": (1, 2)},
        sizes={"t": (5, 6, 7, 8), "k": (1, 2, 3)},
        above=("t >= 2*k - 1",),
    ),
    Operation(
        "conv2d_channels_last",
        conv2d_channels_last,
        inputs(x="n h w c", W="kh kw c f", b="f"),
        options=_STRIDES,
        sizes={"c": (1, 2, 3), "f": (1, 2, 3), **_WIDE},
        above=_FIT,
    ),
    Operation(
        "depthwise_conv2d",
        depthwise_conv2d,
        inputs(x="n c h w", W="c kh kw", b="c"),
        options=_STRIDES,
        sizes={"c": (1, 2, 3), **_WIDE},
        above=_FIT,
    ),
    Operation(
        "conv_transpose2d",
        conv_transpose2d,
        inputs(x="n c h w", W="c f kh kw", b="f"),
        options={"stride": (1, 2, 3), "padding": (0, 1)},
        sizes={"h": (2, 3, 4), "w": (2, 3, 5), "kh": (1, 2, 3), "kw": (1, 2, 3), "c": (1, 2), "f": (1, 2, 3)},
        valid=_kernel_exceeds_padding,
        also=("transposed_convolution", "deconvolution", "conv_transpose"),
        above=("h >= 2", "w >= 2"),
    ),
)
