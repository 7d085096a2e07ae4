"""The primitives that move numbers about without computing: one NumPy function each, for arrays of any dtype.

A function takes one array that is moved, the others that say where to, and the primitive's parameters by name. An
arithmetic applies it to each part of a value (the number, its error, ...) alike. What JAX lowers to windows
(convolutions, poolings) is a move into patches here, followed by a product, a sum or a maximum.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray[Any, Any]
Pairs = Sequence[tuple[int, int]]
KEPT = 512
"""Results of `places` that are kept: a program is read many times, and its indices are mostly constants."""


def reshape(x: Array, *, new_sizes: Sequence[int], dimensions: Sequence[int] | None = None) -> Array:
    """The same numbers in the same order, or first with the axes in the order of `dimensions`."""
    return (x if dimensions is None else x.transpose(dimensions)).reshape(new_sizes)


def broadcast_in_dim(x: Array, *, shape: Sequence[int], broadcast_dimensions: Sequence[int]) -> Array:
    """Axis i of x becomes axis `broadcast_dimensions[i]`, repeated along the others."""
    expanded = [1] * len(shape)
    for axis, size in zip(broadcast_dimensions, x.shape, strict=True):
        expanded[axis] = size
    return np.broadcast_to(x.reshape(expanded), shape)


def transpose(x: Array, *, permutation: Sequence[int]) -> Array:
    """Axes in another order."""
    return x.transpose(permutation)


def squeeze(x: Array, *, dimensions: Sequence[int]) -> Array:
    """Without some axes of size 1."""
    return x.squeeze(tuple(dimensions))


def expand_dims(x: Array, *, dimensions: Sequence[int]) -> Array:
    """With more axes of size 1."""
    return np.expand_dims(x, tuple(dimensions))


def rev(x: Array, *, dimensions: Sequence[int]) -> Array:
    """Backwards along some axes."""
    return np.flip(x, tuple(dimensions))


def slice_(
    x: Array, *, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None
) -> Array:
    """A part, with steps."""
    steps = strides or [1] * x.ndim
    return x[tuple(map(slice, start_indices, limit_indices, steps))]


def pad(x: Array, value: Any, *, padding_config: Sequence[tuple[int, int, int]]) -> Array:
    """With `value` around and between the numbers; a negative padding cuts."""
    shape = [
        size + low + high + max(size - 1, 0) * inner
        for size, (low, high, inner) in zip(x.shape, padding_config, strict=True)
    ]
    full = np.full([max(0, size) for size in shape], value, dtype=x.dtype)
    target, source = [], []
    for size, (low, high, inner), total in zip(x.shape, padding_config, shape, strict=True):
        del high
        step = inner + 1
        first = max(0, -(low // step)) if low < 0 else 0  # the first number that is not cut
        last = min(size, (total - 1 - low) // step + 1) if total > 0 else first
        source.append(slice(first, max(first, last)))
        target.append(
            slice(low + first * step, low + (max(first, last) - 1) * step + 1 if last > first else 0, step)
        )
        if last <= first:
            target[-1] = slice(0, 0)
    full[tuple(target)] = x[tuple(source)]
    return full


def split(x: Array, *, sizes: Sequence[int], axis: int) -> list[Array]:
    """Cut into parts along an axis."""
    return np.split(x, np.cumsum(sizes)[:-1], axis)


def _starts(shape: Sequence[int], sizes: Sequence[int], indices: Sequence[Any]) -> list[int]:
    """Where a part begins: as XLA has it, moved so that it lies inside."""
    return [
        min(max(int(index), 0), size - part) for size, part, index in zip(shape, sizes, indices, strict=True)
    ]


def dynamic_slice(x: Array, *indices: Any, slice_sizes: Sequence[int]) -> Array:
    """A part that begins at an index."""
    starts = _starts(x.shape, slice_sizes, indices)
    return x[tuple(slice(start, start + size) for start, size in zip(starts, slice_sizes, strict=True))]


def dynamic_update_slice(x: Array, update: Array, *indices: Any) -> Array:
    """A copy with a part replaced."""
    copy = np.array(x)
    starts = _starts(x.shape, update.shape, indices)
    copy[tuple(slice(start, start + size) for start, size in zip(starts, update.shape, strict=True))] = update
    return copy


# --- by index ------------------------------------------------------------------------------------------------


def places(
    shape: Sequence[int],
    indices: Array,
    *,
    offset: Sequence[int],
    collapsed: Sequence[int],
    batching: Sequence[int],
    indices_batching: Sequence[int],
    index_map: Sequence[int],
    slice_sizes: Sequence[int],
    clip: bool,
) -> tuple[Array, Array]:
    """For a gather, where in an array of this shape every number of the result lies: (flat places, whether inside).

    As StableHLO defines it: `indices` (..., k) holds the starts of windows of `slice_sizes` along `index_map`; the
    axes `offset` of the result run within a window, without those `collapsed` or `batching`.
    """
    lists = (shape, offset, collapsed, batching, indices_batching, index_map, slice_sizes)
    whole = np.ascontiguousarray(indices, np.int64)
    return _places(whole.tobytes(), whole.shape, *map(tuple, lists), clip)


@lru_cache(maxsize=KEPT)
def _places(
    numbers: bytes,
    of_indices: tuple[int, ...],
    shape: tuple[int, ...],
    offset: tuple[int, ...],
    collapsed: tuple[int, ...],
    batching: tuple[int, ...],
    indices_batching: tuple[int, ...],
    index_map: tuple[int, ...],
    slice_sizes: tuple[int, ...],
    clip: bool,  # noqa: FBT001
) -> tuple[Array, Array]:
    indices = np.frombuffer(numbers, np.int64).reshape(of_indices)
    starts = indices.reshape(*indices.shape, 1) if not index_map else indices
    batch_shape = indices.shape[:-1]
    window_axes = [axis for axis in range(len(shape)) if axis not in collapsed and axis not in batching]
    rank = len(batch_shape) + len(window_axes)
    batch_axes = [axis for axis in range(rank) if axis not in offset]

    def along(array: Array, axes: Sequence[int]) -> Array:
        """An array whose axes become these of the result."""
        expanded = [1] * rank
        for axis, size in zip(axes, array.shape, strict=True):
            expanded[axis] = size
        return array.reshape(expanded)

    coordinates: list[Array] = [np.zeros([1] * rank, int) for _ in shape]
    inside: Array = np.ones([1] * rank, bool)
    for column, axis in enumerate(index_map):
        start = along(starts[..., column].astype(np.int64), batch_axes)
        room = shape[axis] - slice_sizes[axis]
        inside = inside & (clip | ((start >= 0) & (start <= room)))
        coordinates[axis] = coordinates[axis] + np.clip(start, 0, max(room, 0))
    for axis, which in zip(batching, indices_batching, strict=True):
        coordinates[axis] = coordinates[axis] + along(np.arange(batch_shape[which]), [batch_axes[which]])
    for which, axis in zip(offset, window_axes, strict=True):
        coordinates[axis] = coordinates[axis] + along(np.arange(slice_sizes[axis]), [which])
    flat = np.zeros([1] * rank, int)
    for axis, size in enumerate(shape):
        flat = flat * size + coordinates[axis]
    result = np.zeros(rank, int)
    result[batch_axes] = batch_shape
    result[list(offset)] = [slice_sizes[axis] for axis in window_axes]
    return np.broadcast_to(flat, tuple(result)), np.broadcast_to(inside, tuple(result))


def gather_places(
    shape: Sequence[int], indices: Array, *, dimension_numbers: Any, slice_sizes: Sequence[int], mode: Any
) -> tuple[Array, Array]:
    """`places` for the parameters of JAX's gather."""
    return places(
        shape,
        indices,
        offset=dimension_numbers.offset_dims,
        collapsed=dimension_numbers.collapsed_slice_dims,
        batching=dimension_numbers.operand_batching_dims,
        indices_batching=dimension_numbers.start_indices_batching_dims,
        index_map=dimension_numbers.start_index_map,
        slice_sizes=slice_sizes,
        clip="CLIP" in str(mode).upper(),
    )


def scatter_places(
    shape: Sequence[int], indices: Array, updates: Sequence[int], *, dimension_numbers: Any, mode: Any
) -> tuple[Array, Array]:
    """For a scatter, where every number of the updates goes: (flat places, whether inside)."""
    d = dimension_numbers
    inserted = set(d.inserted_window_dims) | set(d.operand_batching_dims)
    windows = iter(updates[axis] for axis in d.update_window_dims)
    slice_sizes = [1 if axis in inserted else next(windows) for axis in range(len(shape))]
    return places(
        shape,
        indices,
        offset=d.update_window_dims,
        collapsed=d.inserted_window_dims,
        batching=d.operand_batching_dims,
        indices_batching=d.scatter_indices_batching_dims,
        index_map=d.scatter_dims_to_operand_dims,
        slice_sizes=slice_sizes,
        clip="CLIP" in str(mode).upper(),
    )


def taken(x: Array, found: tuple[Array, Array], fill: Any) -> Array:
    """The numbers at some places, and `fill` outside."""
    flat, inside = found
    numbers = x.reshape(-1)[flat]
    return numbers if inside.all() else np.where(inside, numbers, fill)


def added(x: Array, found: tuple[Array, Array], updates: Array) -> Array:
    """A copy with updates added at some places; those outside are left out."""
    flat, inside = found
    total = np.array(x).reshape(-1)
    np.add.at(total, flat[inside], updates[inside])
    return total.reshape(x.shape)


# --- windows -------------------------------------------------------------------------------------------------


def windows(
    x: Array,
    fill: Any,
    *,
    dimensions: Sequence[int],
    strides: Sequence[int],
    padding: Pairs,
    base_dilation: Sequence[int],
    window_dilation: Sequence[int],
) -> Array:
    """The windows of an array over all of its axes: (*places of windows, *dimensions of a window)."""
    config = [(low, high, inner - 1) for (low, high), inner in zip(padding, base_dilation, strict=True)]
    padded = pad(x, fill, padding_config=config)
    reach = [(size - 1) * step + 1 for size, step in zip(dimensions, window_dilation, strict=True)]
    if any(size < far for size, far in zip(padded.shape, reach, strict=True)):
        shape = [
            max(0, (size - far) // step + 1)
            for size, far, step in zip(padded.shape, reach, strides, strict=True)
        ]
        return np.empty([*shape, *dimensions], x.dtype)
    views = sliding_window_view(padded, reach)
    places_of = tuple(slice(None, None, step) for step in strides)
    within = tuple(slice(None, None, step) for step in window_dilation)
    return views[(*places_of, *within)]


def window_places(shape: Sequence[int], **parameters: Any) -> Array:
    """Where in an array of this shape the numbers of each window lie (flat), and -1 in the padding."""
    return windows(np.arange(math.prod(shape)).reshape(shape), -1, **parameters)


def patches(
    x: Array,
    *,
    kernel: Sequence[int],
    window_strides: Sequence[int],
    padding: Pairs,
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    groups: int,
) -> Array:
    """The windows of a convolution, x (n, c, *spatial): (groups, n · places, c/groups · kernel)."""
    n, c = x.shape[:2]
    found = windows(
        x,
        0,
        dimensions=[1, 1, *kernel],
        strides=[1, 1, *window_strides],
        padding=[(0, 0), (0, 0), *padding],
        base_dilation=[1, 1, *lhs_dilation],
        window_dilation=[1, 1, *rhs_dilation],
    )  # (n, c, *places, 1, 1, *kernel)
    spatial = len(kernel)
    out = found.shape[2 : 2 + spatial]
    found = found.reshape(n, groups, c // groups, *out, *kernel)
    order = [1, 0, *range(3, 3 + spatial), 2, *range(3 + spatial, 3 + 2 * spatial)]
    return found.transpose(order).reshape(groups, n * math.prod(out), c // groups * math.prod(kernel))


def places_out(size: int, kernel: int, stride: int, pads: tuple[int, int], base: int, dilation: int) -> int:
    """How many windows fit along an axis."""
    padded = (size - 1) * base + 1 + sum(pads) if size else sum(pads)
    return max(0, (padded - ((kernel - 1) * dilation + 1)) // stride + 1)
