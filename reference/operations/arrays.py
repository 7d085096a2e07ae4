"""What every library of arrays has: arithmetic, sums along an axis, products of matrices, entries picked by number."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from reference.operations.by_hand import by_hand
from reference.operations.convolution import added, taken
from reference.operations.norms import count
from reference.operations.norms import mean as mean_along
from reference.operations.operation import Input, Operation, inputs

# Entry by entry


def add(x: Array, b: Array) -> Array:
    """x + b, one b for all rows."""
    return x + b


def add_outer(x: Array, z: Array) -> Array:
    """y_ijd = x_id + z_jd."""
    return x[:, None, :] + z


def subtract(x: Array, z: Array) -> Array:
    """x - z."""
    return x - z


def multiply(x: Array, z: Array) -> Array:
    """x z, one z for all rows."""
    return x * z


def divide(x: Array, z: Array) -> Array:
    """x/z."""
    return x / z


def power(x: Array, p: Array) -> Array:
    """x^p, of a positive x."""
    return x**p


def square(x: Array) -> Array:
    """x²."""
    return x * x


def cube(x: Array) -> Array:
    """x³."""
    return x * x * x


def sqrt(x: Array) -> Array:
    """√x, of a positive x."""
    return jnp.sqrt(x)


def reciprocal(x: Array) -> Array:
    """1/x."""
    return 1 / x


def exp(x: Array) -> Array:
    """eˣ."""
    return jnp.exp(x)


def log(x: Array) -> Array:
    """log x, of a positive x."""
    return jnp.log(x)


def log1p(x: Array) -> Array:
    """log(1 + x), of a positive x."""
    return jnp.log1p(x)


def sin(x: Array) -> Array:
    """Sin x."""
    return jnp.sin(x)


def cos(x: Array) -> Array:
    """Cos x."""
    return jnp.cos(x)


def absolute(x: Array) -> Array:
    """|x|."""
    return jnp.abs(x)


def maximum(x: Array, z: Array) -> Array:
    """The larger of x and z; equal ones share the slope, in any parts."""
    return jnp.maximum(x, z)


def minimum(x: Array, z: Array) -> Array:
    """The smaller of x and z."""
    return jnp.minimum(x, z)


def clip(x: Array, *, low: float, high: float) -> Array:
    """min(max(x, low), high)."""
    return jnp.minimum(jnp.maximum(x, low), high)


def where(mask: Array, x: Array, z: Array) -> Array:
    """x where the mask is not 0, z elsewhere."""
    return jnp.where(mask != 0, x, z)


def dropout(x: Array, mask: Array, *, rate: float) -> Array:
    """x mask/(1 - rate), with a mask of ones and zeros: N. Srivastava et al. (2014), sections 4 and 10."""
    return x * mask / (1 - rate)


# Along the last axis


def sum_along(x: Array) -> Array:
    """Σ_j x_j."""
    return x.sum(axis=-1)


def mean(x: Array) -> Array:
    """Σ_j x_j/d."""
    return x.sum(axis=-1) / count(x, (-1,))


def variance(x: Array, *, ddof: int) -> Array:
    """Σ_j (x_j - μ)²/(d - ddof).

    Two passes; the mean of squares minus the square of the mean is not covered far from 0.
    """
    centred = x - mean_along(x, (-1,))
    return (centred * centred).sum(axis=-1) / (count(x, (-1,)) - ddof)


def standard_deviation(x: Array, *, ddof: int) -> Array:
    """The root of the variance."""
    return jnp.sqrt(variance(x, ddof=ddof))


def standardise(x: Array, *, eps: float) -> Array:
    """(x - μ)/(s + ε): with ε beside the deviation, not beneath its root."""
    centred = x - mean_along(x, (-1,))
    return centred / (jnp.sqrt(mean_along(centred * centred, (-1,))) + eps)


def max_along(x: Array) -> Array:
    """The largest x_j."""
    return x.max(axis=-1)


def min_along(x: Array) -> Array:
    """The smallest x_j."""
    return x.min(axis=-1)


def norm(x: Array) -> Array:
    """|x| = √Σ_j x_j²."""
    return jnp.sqrt((x * x).sum(axis=-1))


def l1_norm(x: Array) -> Array:
    """Σ_j |x_j|."""
    return jnp.abs(x).sum(axis=-1)


def prod(x: Array) -> Array:
    """Π_j x_j, one factor after another."""

    def step(product: Array, x_j: Array) -> tuple[Array, None]:
        return product * x_j, None

    return lax.scan(step, jnp.ones(x.shape[0], x.dtype), x.T)[0]


def cumprod(x: Array) -> Array:
    """y_j = Π_{i ≤ j} x_i."""

    def step(product: Array, x_j: Array) -> tuple[Array, Array]:
        product = product * x_j
        return product, product

    return lax.scan(step, jnp.ones(x.shape[0], x.dtype), x.T)[1].T


def cumsum(x: Array) -> Array:
    """y_j = Σ_{i ≤ j} x_i."""
    return jnp.cumsum(x, axis=-1)


def sort(x: Array) -> Array:
    """The entries in ascending order."""
    return jnp.sort(x, axis=-1)


def flip(x: Array) -> Array:
    """The entries in opposite order."""
    return lax.rev(x, (x.ndim - 1,))


def concatenate(x: Array, z: Array) -> Array:
    """x and z beside each other."""
    return jnp.concatenate([x, z], axis=-1)


def transpose(x: Array) -> Array:
    """xᵀ."""
    return x.T


def cosine_similarity(x: Array, z: Array) -> Array:
    """x·z/(|x| |z|), row by row."""
    return (x * z).sum(axis=-1) / (norm(x) * norm(z))


def squared_distances(x: Array, z: Array) -> Array:
    """y_ij = |x_i - z_j|²."""
    difference = x[:, None, :] - z
    return (difference * difference).sum(axis=-1)


# Picked by number


def embedding(x: Array, W: Array) -> Array:
    """Row x of W for every number in x, (n, t, d)."""
    return taken(W, x, 0)


def gather(x: Array, labels: Array) -> Array:
    """y_ij = x_{i, labels_ij}."""
    n, k = x.shape
    return taken(x.reshape(n * k), k * jnp.arange(n)[:, None] + labels, 0)


def index_add(y: Array, labels: Array, x: Array) -> Array:
    """y, with row i of x added to its row labels_i."""
    return added(y, labels, 0, x)


# Products


def dot(x: Array, z: Array) -> Array:
    """Σ_d x_d z_d, row by row."""
    return (x * z).sum(axis=-1)


def outer(x: Array, z: Array) -> Array:
    """y_nij = x_ni z_nj."""
    return x[:, :, None] * z[:, None, :]


def matmul(A: Array, B: Array) -> Array:
    """C_ik = Σ_j A_ij B_jk."""
    return A @ B


def batched_matmul(A: Array, B: Array) -> Array:
    """C_nik = Σ_j A_nij B_njk."""
    return A @ B


def bilinear_form(x: Array, A: Array, z: Array) -> Array:
    """y_n = Σ_de x_nd A_de z_ne."""
    return jnp.einsum("nd,de,ne->n", x, A, z)


def trace_of_product(A: Array, B: Array) -> Array:
    """tr(A B) = Σ_ij A_ij B_ji."""
    return (A * B.T).sum()


# Other programs


def _total_minus_prefix(dy: Array, x: Array) -> tuple[Array]:
    del x
    return (dy.sum(axis=-1, keepdims=True) - jnp.cumsum(dy, axis=-1) + dy,)


def _product_over_factor(dy: Array, x: Array) -> tuple[Array]:
    return ((dy * prod(x))[:, None] / x,)


def _x_over_norm(dy: Array, x: Array) -> tuple[Array]:
    return (dy[:, None] * (x / norm(x)[:, None]),)


def _power_over_base(dy: Array, x: Array, p: Array) -> tuple[Array, Array]:
    y = x**p
    return dy * p * y / x, dy * y * jnp.log(x)


def _cosine_backward(dy: Array, x: Array, z: Array) -> tuple[Array, Array]:
    (nx, nz), c = (norm(x)[:, None], norm(z)[:, None]), cosine_similarity(x, z)[:, None]
    return dy[:, None] * (z / nz - c * x / nx) / nx, dy[:, None] * (x / nx - c * z / nz) / nz


# The rows


def _more_than_ddof(sizes: Mapping[str, int], options: Mapping[str, Any]) -> bool:
    return sizes["d"] > options["ddof"]


def _of_one(forward: Callable[..., Array], values: str = "real", *also: str, **others: Any) -> Operation:
    return Operation(forward.__name__, forward, inputs(x=Input("n d", values)), also=also, **others)


def _of_two(forward: Callable[..., Array], *also: str, **axes: str | Input) -> Operation:
    return Operation(forward.__name__, forward, inputs(**axes), also=also)


ARRAYS = (
    _of_two(add, "add_bias", x="n d", b="d"),
    _of_two(add_outer, x="i d", z="j d"),
    _of_two(subtract, "sub", x="n d", z="n d"),
    _of_two(multiply, "mul", "scale", x="n d", z="d"),
    _of_two(divide, "div", x="n d", z=Input("n d", "nonzero")),
    Operation(
        "power",
        power,
        inputs(x=Input("n d", "positive"), p="n d"),
        formulations=(by_hand(power, _power_over_base),),
        also=("pow",),
    ),
    _of_one(square),
    _of_one(cube),
    _of_one(sqrt, "positive"),
    _of_one(reciprocal, "nonzero"),
    _of_one(exp),
    _of_one(log, "positive"),
    _of_one(log1p, "positive"),
    _of_one(sin),
    _of_one(cos),
    _of_one(absolute, "nonzero", "abs"),
    _of_two(maximum, x="n d", z="n d"),
    _of_two(minimum, x="n d", z="n d"),
    _of_one(clip, "real", "clamp", options={"low": (-1.0, -0.5), "high": (1.0, 0.5)}),
    _of_two(where, "select", mask=Input("n d", "mask"), x="n d", z="n d"),
    Operation(
        "dropout",
        dropout,
        inputs(x="n d", mask=Input("n d", "mask")),
        options={"rate": (0.5, 0.25)},
        also=("inverted_dropout",),
    ),
    Operation("sum", sum_along, inputs(x="n d")),
    _of_one(mean, "real", "average"),
    _of_one(variance, "real", "var", options={"ddof": (0, 1)}, valid=_more_than_ddof),
    _of_one(
        standard_deviation,
        "real",
        "std",
        options={"ddof": (0, 1)},
        sizes={"d": (2, 3, 5)},
        valid=_more_than_ddof,
    ),
    _of_one(standardise, "real", "zscore", options={"eps": (1e-5, 1e-3)}, sizes={"d": (2, 3, 5)}),
    Operation("max", max_along, inputs(x="n d"), also=("amax", "reduce_max")),
    Operation("min", min_along, inputs(x="n d"), also=("amin", "reduce_min")),
    _of_one(norm, "real", "l2_norm", formulations=(by_hand(norm, _x_over_norm),)),
    _of_one(l1_norm, "nonzero"),
    _of_one(
        prod,
        "nonzero",
        "product",
        sizes={"d": (1, 2, 3, 5)},
        formulations=(by_hand(prod, _product_over_factor),),
    ),
    _of_one(cumprod, "nonzero", sizes={"d": (1, 2, 3, 5)}),
    _of_one(cumsum, formulations=(by_hand(cumsum, _total_minus_prefix),)),
    _of_one(sort, "distinct"),
    _of_one(flip),
    _of_two(concatenate, "concat", x="n d", z="n e"),
    _of_two(transpose, x="i j"),
    Operation(
        "cosine_similarity",
        cosine_similarity,
        inputs(x="n d", z="n d"),
        formulations=(by_hand(cosine_similarity, _cosine_backward),),
    ),
    _of_two(squared_distances, "cdist_squared", x="i d", z="j d"),
    _of_two(
        embedding,
        "word_embedding",
        "embedding_lookup",
        x=Input("n t", "labels", below="v"),
        W="v d",
    ),
    _of_two(gather, "take_along_axis", x="n k", labels=Input("n m", "labels", below="k")),
    _of_two(
        index_add, "scatter_add", "segment_sum", y="k d", labels=Input("n", "labels", below="k"), x="n d"
    ),
    _of_two(dot, "inner_product", x="n d", z="n d"),
    _of_two(outer, "outer_product", x="n i", z="n j"),
    _of_two(matmul, "matrix_product", A="i j", B="j k"),
    _of_two(batched_matmul, "bmm", A="n i j", B="n j k"),
    _of_two(bilinear_form, x="n d", A="d e", z="n e"),
    _of_two(trace_of_product, A="i j", B="j i"),
)
