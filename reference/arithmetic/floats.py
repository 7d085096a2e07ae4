"""A program read in NumPy: float64 gives the truth, `longdouble` some digits more, objects whatever they know.

The rules are NumPy's functions, and those of `moves`. The other arithmetics on plain arrays (fractions, balls, complex
steps) are made of the same rules, with their own for what they know better.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reference.arithmetic import moves
from reference.arithmetic.reading import Arithmetic, Rule, scan

Array = np.ndarray[Any, Any]


def plain(function: Callable[..., Any]) -> Rule:
    """A rule of a function that takes arrays, and the parameters of the primitive, if any."""
    return lambda arithmetic, *inputs, **parameters: function(*inputs, **parameters)


# --- products of arrays: brought into the shape of a stack of matrices ----------------------------------------


def matrices(
    x: Array, batch: Sequence[int], contracted: Sequence[int], *, rows: bool
) -> tuple[Array, list[int], list[int]]:
    """An operand of dot_general as a stack of matrices, (batch, free, contracted) or (batch, contracted, free)."""
    free = [axis for axis in range(x.ndim) if axis not in batch and axis not in contracted]
    order = [*batch, *free, *contracted] if rows else [*batch, *contracted, *free]
    sizes = [x.shape[axis] for axis in batch], [x.shape[axis] for axis in free]
    within = math.prod(x.shape[axis] for axis in contracted)
    flat = math.prod(sizes[1])
    shape = [math.prod(sizes[0]), flat, within] if rows else [math.prod(sizes[0]), within, flat]
    return x.transpose(order).reshape(shape), *sizes


def dot_shape(left: Array, right: Array, dimension_numbers: Any) -> list[int]:
    """The shape of a product: the batch, the free axes of the left, those of the right."""
    (left_contracted, right_contracted), (left_batch, right_batch) = dimension_numbers
    _, batch, free = matrices(left, left_batch, left_contracted, rows=True)
    _, _, right_free = matrices(right, right_batch, right_contracted, rows=False)
    return [*batch, *free, *right_free]


def dot_general(left: Array, right: Array, *, dimension_numbers: Any) -> Array:
    """Sums of products over the contracted axes."""
    (left_contracted, right_contracted), (left_batch, right_batch) = dimension_numbers
    a, batch, free = matrices(left, left_batch, left_contracted, rows=True)
    b, _, right_free = matrices(right, right_batch, right_contracted, rows=False)
    return np.matmul(a, b).reshape([*batch, *free, *right_free])


class Convolution:
    """How a convolution becomes a product of matrices: patches (g, n·places, c·k) times kernels (g, c·k, f)."""

    def __init__(
        self,
        lhs: Sequence[int],
        rhs: Sequence[int],
        *,
        dimension_numbers: Any,
        window_strides: Sequence[int],
        padding: moves.Pairs,
        lhs_dilation: Sequence[int],
        rhs_dilation: Sequence[int],
        feature_group_count: int,
        batch_group_count: int,
    ) -> None:
        """Shapes of the operands, and the parameters of the primitive."""
        self.numbers = dimension_numbers
        self.groups, self.batch_groups = feature_group_count, batch_group_count
        shape = [lhs[axis] for axis in dimension_numbers.lhs_spec]  # n, c, *spatial
        kernel = [rhs[axis] for axis in dimension_numbers.rhs_spec]  # f, c / groups, *spatial
        self.batch, self.features, self.kernel = shape[0], kernel[0], kernel[2:]
        self.windows: dict[str, Any] = {
            "kernel": kernel[2:],
            "window_strides": window_strides,
            "padding": padding,
            "lhs_dilation": lhs_dilation,
            "rhs_dilation": rhs_dilation,
        }
        self.places = [
            moves.places_out(*one)
            for one in zip(
                shape[2:], kernel[2:], window_strides, padding, lhs_dilation, rhs_dilation, strict=True
            )
        ]

    def patches(self, lhs: Array) -> Array:
        """The left operand, (g, n · places, c/g · kernel); a group is one of features or of samples."""
        x = lhs.transpose(self.numbers.lhs_spec)
        if self.batch_groups > 1:
            n, c, *spatial = x.shape
            part = n // self.batch_groups
            x = x.reshape(self.batch_groups, part, c, *spatial).swapaxes(0, 1)
            x = x.reshape(part, self.batch_groups * c, *spatial)
        return moves.patches(x, **self.windows, groups=max(self.groups, self.batch_groups))

    def kernels(self, rhs: Array) -> Array:
        """The right operand, (g, c/g · kernel, f/g)."""
        groups = max(self.groups, self.batch_groups)
        W = rhs.transpose(self.numbers.rhs_spec).reshape(groups, self.features // groups, -1)
        return W.transpose(0, 2, 1)

    def result(self, product: Array) -> Array:
        """The product (g, n · places, f/g) in the shape of the result."""
        groups, _, each = product.shape
        samples = self.batch // self.batch_groups
        y = product.reshape(groups, samples, *self.places, each)
        spatial = len(self.places)
        y = y.transpose(1, 0, 2 + spatial, *range(2, 2 + spatial))  # (n, g, f/g, *places)
        y = y.reshape(samples, groups * each, *self.places)
        return y.transpose(np.argsort(self.numbers.out_spec))


def conv_general_dilated(lhs: Array, rhs: Array, **parameters: Any) -> Array:
    """A convolution as XLA has it."""
    how = Convolution(lhs.shape, rhs.shape, **parameters)
    return how.result(np.matmul(how.patches(lhs), how.kernels(rhs)))


# --- sums, maxima, orders -------------------------------------------------------------------------------------


def reduced(function: Callable[..., Array]) -> Rule:
    """A rule of a function that reduces along axes."""

    def rule(_: Arithmetic, x: Array, *, axes: Sequence[int]) -> Array:
        return np.asarray(function(x, axis=tuple(axes)))

    return rule


def cumulated(function: Callable[..., Array]) -> Rule:
    """A rule of a function that accumulates along an axis."""

    def rule(_: Arithmetic, x: Array, *, axis: int, reverse: bool) -> Array:
        return np.flip(function(np.flip(x, axis), axis=axis), axis) if reverse else function(x, axis=axis)

    return rule


def window_parameters(
    x: Array,
    *,
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: moves.Pairs,
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> dict[str, Any]:
    """The parameters of a primitive on windows as `moves.windows` takes them."""
    ones = [1] * len(x.shape)
    return {
        "dimensions": window_dimensions,
        "strides": window_strides,
        "padding": padding,
        "base_dilation": base_dilation or ones,
        "window_dilation": window_dilation or ones,
    }


def windowed(function: Callable[..., Array], fill: float) -> Rule:
    """A rule of a function that reduces each window."""

    def rule(_: Arithmetic, x: Array, **parameters: Any) -> Array:
        found = moves.windows(x, fill, **window_parameters(x, **parameters))
        return function(found, axis=tuple(range(x.ndim, 2 * x.ndim)))

    return rule


def _best(operand: Array, select_prim: Any, **parameters: Any) -> Array:
    """Where (flat) the entry of each window lies that a selection by `ge` or `le` takes, the first of several."""
    how = window_parameters(operand, **parameters)
    sign = 1 if select_prim.name == "ge" else -1
    numbers = moves.windows(operand * sign, -np.inf, **how)
    numbers = numbers.reshape(*numbers.shape[: operand.ndim], -1)
    where = moves.window_places(operand.shape, **how).reshape(numbers.shape)
    return np.take_along_axis(where, numbers.argmax(-1)[..., None], -1)[..., 0]


def select_and_scatter_add(source: Array, operand: Array, *, select_prim: Any, **parameters: Any) -> Array:
    """Each entry of `source` added to the largest entry of its window."""
    total = np.zeros(operand.size, source.dtype)
    np.add.at(total, _best(operand, select_prim, **parameters).ravel(), source.ravel())
    return total.reshape(operand.shape)


def select_and_gather_add(tangents: Array, operand: Array, *, select_prim: Any, **parameters: Any) -> Array:
    """The entry of `tangents` at the largest entry of each window of `operand`."""
    return tangents.reshape(-1)[_best(operand, select_prim, **parameters)]


def order(arrays: Sequence[Array], *, dimension: int, num_keys: int) -> Array:
    """Where along an axis the numbers lie that come first, second, ... by the first `num_keys` arrays."""
    if num_keys > 1:
        return np.lexsort(np.stack(arrays[num_keys - 1 :: -1]), axis=dimension)
    return np.argsort(arrays[0], dimension, "stable")


def sort(*arrays: Array, dimension: int, num_keys: int, is_stable: bool = True) -> list[Array]:
    """Arrays in the order of the first `num_keys` of them."""
    del is_stable
    places = order(arrays, dimension=dimension, num_keys=num_keys)
    return [np.take_along_axis(array, places, dimension) for array in arrays]


def position(function: Callable[..., Array]) -> Rule:
    """A rule of argmax or argmin."""

    def rule(_: Arithmetic, x: Array, *, axes: Sequence[int], index_dtype: Any) -> Array:
        return np.asarray(function(x, axis=axes[0])).astype(index_dtype)

    return rule


# --- by index -------------------------------------------------------------------------------------------------


def gather(
    x: Array, indices: Array, *, dimension_numbers: Any, slice_sizes: Any, mode: Any, fill_value: Any = None
) -> Array:
    """Windows of x at some places; NaN, or `fill_value`, outside."""
    where = moves.gather_places(
        x.shape, indices, dimension_numbers=dimension_numbers, slice_sizes=slice_sizes, mode=mode
    )
    return moves.taken(x, where, np.nan if fill_value is None and x.dtype.kind == "f" else fill_value or 0)


def scatter_add(x: Array, indices: Array, updates: Array, *, dimension_numbers: Any, mode: Any) -> Array:
    """Updates added at some places."""
    where = moves.scatter_places(
        x.shape, indices, updates.shape, dimension_numbers=dimension_numbers, mode=mode
    )
    return moves.added(x, where, updates)


def scatter(x: Array, indices: Array, updates: Array, *, dimension_numbers: Any, mode: Any) -> Array:
    """Updates put at some places; the last of several stays."""
    flat, inside = moves.scatter_places(
        x.shape, indices, updates.shape, dimension_numbers=dimension_numbers, mode=mode
    )
    copy = np.array(x).reshape(-1)
    copy[flat[inside]] = updates[inside]
    return copy.reshape(x.shape)


# --- choices, types, positions --------------------------------------------------------------------------------


def select_n(which: Array, *cases: Array) -> Array:
    """Entry by entry the case whose number `which` is."""
    if len(cases) == 2:  # noqa: PLR2004  (the usual two)
        return np.where(which, cases[1], cases[0])
    return np.choose(which, cases)


def concatenated(*arrays: Array, dimension: int) -> Array:
    """One after another along an axis."""
    return np.concatenate(arrays, dimension)


def stacked(*arrays: Array, axis: int) -> Array:
    """Beside each other along a new axis."""
    return np.stack(arrays, axis)


def unstacked(x: Array, *, axis: int) -> list[Array]:
    """The entries along an axis."""
    return list(np.moveaxis(x, axis, 0))


def iota(*, dtype: Any, shape: Sequence[int], dimension: int) -> Array:
    """Positions along an axis."""
    along = [1] * len(shape)
    along[dimension] = shape[dimension]
    return np.broadcast_to(np.arange(shape[dimension], dtype=dtype).reshape(along), shape)


def divided(a: Array, b: Array) -> Array:
    """a / b; for integers rounded towards 0."""
    if np.result_type(a, b).kind in "iu":
        return (np.sign(a) * np.sign(b)) * (abs(a) // abs(b))
    return np.true_divide(a, b)


def _scan(arithmetic: Arithmetic, *values: Array, **parameters: Any) -> list[Array]:
    return scan(
        arithmetic,
        *values,
        **parameters,
        at=lambda array, i: array[i],
        stack=lambda column, shape: np.stack(column) if column else np.empty(shape),
    )


def _converted(arithmetic: Any, x: Array, *, new_dtype: Any) -> Array:
    return np.asarray(x).astype(arithmetic.dtype if np.dtype(new_dtype).kind == "f" else new_dtype)


MOVES: Mapping[str, Callable[..., Any]] = {
    "reshape": moves.reshape,
    "broadcast_in_dim": moves.broadcast_in_dim,
    "transpose": moves.transpose,
    "squeeze": moves.squeeze,
    "expand_dims": moves.expand_dims,
    "rev": moves.rev,
    "slice": moves.slice_,
    "split": moves.split,
}
"""Moves of one array, by the parameters alone."""

COMPARISONS: Mapping[str, Callable[[Array, Array], Array]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def solved(a: Array, b: Array) -> Array:
    """A⁻¹ B, (..., n, m); NaN where a matrix is singular."""
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        return np.full(np.shape(b), np.nan)


def factored(a: Array) -> Array:
    """The Cholesky factor, (..., n, n); NaN where a matrix has none."""
    try:
        return np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        return np.full(np.shape(a), np.nan)


def factored_by_columns(a: Array, root: Callable[[Array], Array]) -> Array:
    """The Cholesky factor, (..., n, n), of numbers of any kind, column by column."""
    found = a * 0
    for k in range(a.shape[-1]):
        rest = a[..., k:, k] - (found[..., k:, :k] * found[..., k : k + 1, :k]).sum(-1)
        found[..., k:, k] = rest / root(rest[..., :1])
    return found


RATIONAL: Mapping[str, Rule] = {
    **{name: plain(move) for name, move in MOVES.items()},
    **{name: plain(compared) for name, compared in COMPARISONS.items()},
    "pad": plain(moves.pad),
    "unstack": plain(unstacked),
    "stack": plain(stacked),
    "concatenate": plain(concatenated),
    "dynamic_slice": plain(moves.dynamic_slice),
    "dynamic_update_slice": plain(moves.dynamic_update_slice),
    "add": plain(np.add),
    "add_any": plain(np.add),
    "sub": plain(np.subtract),
    "mul": plain(np.multiply),
    "div": plain(divided),
    "neg": plain(np.negative),
    "abs": plain(np.abs),
    "sign": plain(np.sign),
    "max": plain(np.maximum),
    "min": plain(np.minimum),
    "square": plain(np.square),
    "integer_pow": lambda _, x, *, y: x**y if y >= 0 else 1 / x ** (-y),
    "dot_general": plain(dot_general),
    "conv_general_dilated": plain(conv_general_dilated),
    "reduce_sum": reduced(np.sum),
    "reduce_max": reduced(np.max),
    "reduce_min": reduced(np.min),
    "reduce_prod": reduced(np.prod),
    "reduce_and": reduced(np.all),
    "reduce_or": reduced(np.any),
    "argmax": position(np.argmax),
    "argmin": position(np.argmin),
    "cumsum": cumulated(np.cumsum),
    "cumprod": cumulated(np.cumprod),
    "cummax": cumulated(np.maximum.accumulate),
    "cummin": cumulated(np.minimum.accumulate),
    "reduce_window_sum": windowed(np.sum, 0),
    "reduce_window_max": windowed(np.max, -np.inf),
    "reduce_window_min": windowed(np.min, np.inf),
    "select_and_scatter_add": plain(select_and_scatter_add),
    "select_and_gather_add": plain(select_and_gather_add),
    "sort": plain(sort),
    "gather": plain(gather),
    "scatter-add": plain(scatter_add),
    "scatter_add": plain(scatter_add),
    "scatter": plain(scatter),
    "select_n": plain(select_n),
    "clamp": lambda _, low, x, high: np.minimum(np.maximum(x, low), high),
    "iota": plain(iota),
    "dim_as_value": lambda _, *, dim: np.asarray(dim),
    "convert_element_type": _converted,
    "and": plain(np.bitwise_and),
    "or": plain(np.bitwise_or),
    "xor": plain(np.bitwise_xor),
    "not": plain(np.invert),
    "scan": _scan,
}
"""Rules that hold for any numbers: sums, products, quotients, comparisons and moves."""


def logistic(x: Array) -> Array:
    """1/(1 + e⁻ˣ) = eˣ/(1 + eˣ): of the two the one without an exponential that overflows."""
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def special(name: str) -> Callable[[Array], Array]:
    """A function of `scipy.special`, which few programs ask for, and which takes longer to import than NumPy."""

    def function(x: Array) -> Array:
        from scipy import special  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]

        return getattr(special, name)(x)

    return function


ELEMENTWISE: Mapping[str, Callable[..., Array]] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "logistic": logistic,
    "tanh": np.tanh,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "cbrt": np.cbrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": special("erf"),
    "erfc": special("erfc"),
    "erf_inv": special("erfinv"),
    "lgamma": special("gammaln"),
    "digamma": special("digamma"),
    "pow": np.power,
    "floor": np.floor,
    "ceil": np.ceil,
    "is_finite": np.isfinite,
    "rem": np.fmod,
}


def rounded(x: Array, *, rounding_method: Any) -> Array:
    """The nearest whole number: of two the even one (method 1), or the one away from 0."""
    return np.round(x) if int(rounding_method) == 1 else np.trunc(x + np.copysign(0.5, x))


RULES: Mapping[str, Rule] = {
    **RATIONAL,
    **{name: plain(function) for name, function in ELEMENTWISE.items()},
    "cumlogsumexp": cumulated(np.logaddexp.accumulate),
    "round": plain(rounded),
    "solve": plain(solved),
    "det": plain(np.linalg.det),
    "log_abs_det": plain(lambda a: np.linalg.slogdet(a)[1]),
    "cholesky_factor": plain(factored),
}


class Floats(Arithmetic):
    """NumPy's numbers of one format."""

    name = "floats"
    rules = RULES

    def __init__(self, dtype: Any = np.float64) -> None:
        """The format in which to compute."""
        self.dtype = np.dtype(dtype)

    @property
    def key(self) -> Any:
        """The format."""
        return self.name, self.dtype.str

    def constant(self, array: Array) -> Array:
        """A constant in this format."""
        return self.number(array)

    def number(self, array: Any) -> Array:
        """An array in this format; integers and truth values stay."""
        array = np.asarray(array)
        return array.astype(self.dtype) if array.dtype.kind == "f" else array
