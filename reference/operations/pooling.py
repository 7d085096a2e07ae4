"""Pooling: the largest entry, or the mean, of every window of x (n, c, h, w); windows may overlap.

The kernel is a number or a pair (rows, columns). With `ceil`, the last window may hang over the edge, as in torch; it
then has fewer entries. It must begin within x, which stride + padding ≤ kernel makes sure of.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from reference.operations.convolution import padded, windows
from reference.operations.norms import mean
from reference.operations.operation import Operation, inputs

Kernel = int | tuple[int, int]


def pair(kernel: Kernel) -> tuple[int, int]:
    """(rows, columns)."""
    return kernel if isinstance(kernel, tuple) else (kernel, kernel)


def _overhang(stride: int, *, ceil: bool) -> int:
    """How many more rows let the last window hang over: with them ⌊.⌋ counts as ⌈.⌉ does without."""
    return stride - 1 if ceil else 0


def max_pool2d(x: Array, *, kernel: Kernel, stride: int, padding: int, ceil: bool) -> Array:
    """The largest entry of each window."""
    wide = padded(x, padding, -jnp.inf, _overhang(stride, ceil=ceil))
    return windows(wide, pair(kernel), stride).max(axis=(3, 5))


def average_pool2d(
    x: Array, *, kernel: Kernel, stride: int, padding: int, ceil: bool, count_padding: bool
) -> Array:
    """The mean of each window; the zeros of the padding count as entries, or don't."""
    more = _overhang(stride, ceil=ceil)
    ones = jnp.ones_like(x)
    counted = (
        padded(padded(ones, padding, 1), 0, 0, more) if count_padding else padded(ones, padding, 0, more)
    )
    sums, counts = (
        windows(one, pair(kernel), stride).sum(axis=(3, 5)) for one in (padded(x, padding, 0, more), counted)
    )
    return sums / counts


def global_average_pool(x: Array) -> Array:
    """The mean of each channel, (n, c)."""
    return mean(x, (2, 3)).reshape(x.shape[:2])


def im2col(x: Array, *, kernel: Kernel, stride: int, padding: int) -> Array:
    """All windows as columns, (n, c*kernel*kernel, windows), as torch's `unfold`."""
    seen = windows(padded(x, padding), pair(kernel), stride)
    n, c, rows, kh, columns, kw = seen.shape
    return seen.transpose(0, 1, 3, 5, 2, 4).reshape(n, c * kh * kw, rows * columns)


def upsample_nearest(x: Array, *, scale: int) -> Array:
    """Each entry becomes a square of scale × scale equal ones."""
    n, c, h, w = x.shape
    squares = jnp.broadcast_to(x[:, :, :, None, :, None], (n, c, h, scale, w, scale))
    return squares.reshape(n, c, h * scale, w * scale)


def pixel_shuffle(x: Array) -> Array:
    """(n, 4*c, h, w) to (n, c, 2*h, 2*w): W. Shi et al. (2016), arXiv:1609.05158, equation (4), with r = 2."""
    n, channels, h, w = x.shape
    y = x.reshape(n, channels // 4, 2, 2, h, w).transpose(0, 1, 4, 2, 5, 3)
    return y.reshape(n, channels // 4, 2 * h, 2 * w)


def zero_pad2d(x: Array, *, padding: int) -> Array:
    """Rows and columns of zeros on each side."""
    return padded(x, padding)


def _fits(sizes: Mapping[str, int], options: Mapping[str, Any]) -> bool:
    """Padding is at most half a kernel, and no window begins outside of x."""
    del sizes
    least = min(pair(options["kernel"]))
    begins_within = not options.get("ceil") or options["stride"] + options["padding"] <= least
    return 2 * options["padding"] <= least and begins_within


_WINDOWS = {"kernel": (2, 3, (3, 2), 1), "stride": (2, 1, 3), "padding": (0, 1)}
_SIZES = {"c": (1, 2, 3), "h": (3, 4, 5, 7), "w": (3, 4, 6, 8)}
_FIT = ("h >= 3", "w >= 3")

POOLING = (
    Operation(
        "max_pool2d",
        max_pool2d,
        inputs(x="n c h w"),
        options={**_WINDOWS, "ceil": (False, True)},
        sizes=_SIZES,
        valid=_fits,
        also=("max_pool", "max_pool_naive", "maxpool"),
        above=_FIT,
    ),
    Operation(
        "average_pool2d",
        average_pool2d,
        inputs(x="n c h w"),
        options={**_WINDOWS, "ceil": (False, True), "count_padding": (True, False)},
        sizes=_SIZES,
        valid=_fits,
        also=("avg_pool", "avg_pool2d", "average_pool", "mean_pool"),
        above=_FIT,
    ),
    Operation("global_average_pool", global_average_pool, inputs(x="n c h w"), also=("global_avg_pool",)),
    Operation(
        "im2col",
        im2col,
        inputs(x="n c h w"),
        options=_WINDOWS,
        sizes=_SIZES,
        valid=_fits,
        also=("unfold",),
        above=_FIT,
        concrete=(
            "h",
            "w",
        ),  # how many windows there are in all is no polynomial of which JAX can tell the sign
    ),
    Operation(
        "upsample_nearest",
        upsample_nearest,
        inputs(x="n c h w"),
        options={"scale": (2, 3)},
        sizes={"c": (1, 2), "h": (1, 2, 3), "w": (1, 2, 4)},
        also=("upsample",),
    ),
    Operation("pixel_shuffle", pixel_shuffle, inputs(x="n 4*c h w"), sizes={"c": (1, 2)}),
    Operation(
        "zero_pad2d",
        zero_pad2d,
        inputs(x="n c h w"),
        options={"padding": (1, 2)},
        sizes={"c": (1, 2), "h": (1, 2, 3), "w": (1, 2, 4)},
    ),
)
