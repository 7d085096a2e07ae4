"""Small programs to try an arithmetic with: one for each primitive, and those that are easily read wrongly."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reference import systems

WHOLE_LINE = -2.0, 2.0
"""Where numbers are drawn of which any may come."""


class Row(NamedTuple):
    """A program of one primitive, and numbers within its domain."""

    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    low: float = WHOLE_LINE[0]
    high: float = WHOLE_LINE[1]
    loose: float = 1.0
    """How many times further than others its bound may reach, and why stands beside it."""

    def computed(self, *arrays: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        """What JAX itself makes of these numbers."""
        found = self.function(*map(jnp.asarray, arrays))
        return [np.asarray(one) for one in (found if isinstance(found, tuple | list) else (found,))]


V, M, S = (4,), (3, 4), (2, 2)
INDICES = np.array([2, 0, 2])
STRONG = 16 * np.eye(2)  # keeps a matrix from being singular
NEAREST = lax.RoundingMethod.TO_NEAREST_EVEN

PRIMITIVES: Mapping[str, Row] = {
    "reshape": Row(lambda x: lax.reshape(x.reshape(2, 6), (3, 4), (1, 0)), (M,)),
    "broadcast_in_dim": Row(lambda x: jnp.broadcast_to(x, (3, 4)), (V,)),
    "transpose": Row(lambda x: x.T, (M,)),
    "squeeze": Row(lambda x: x.squeeze(0), ((1, 4),)),
    "rev": Row(lambda x: x[::-1], (V,)),
    "slice": Row(lambda x: x[1:3], (V,)),
    "split": Row(lambda x: tuple(jnp.split(x, 2)), (V,)),
    "pad": Row(lambda x: jnp.pad(x, 1), (V,)),
    "concatenate": Row(lambda x, y: jnp.concatenate([x, y]), (V, V)),
    "dynamic_slice": Row(lambda x: lax.dynamic_slice(x, (jnp.argmin(jnp.arange(3)) + 1,), (2,)), (V,)),
    "dynamic_update_slice": Row(
        lambda x, y: lax.dynamic_update_slice(x, y, (jnp.argmin(jnp.arange(3)) + 1,)), (V, (2,))
    ),
    "gather": Row(lambda x: x[INDICES], (V,)),
    "scatter-add": Row(lambda x, y: x.at[INDICES].add(y), (V, (3,))),
    "scan": Row(
        lambda x: lax.scan(lambda carry, one: (carry * one, carry + one), 1.0, x), (V,), loose=8
    ),  # eight roundings in turn
    "add": Row(lambda x, y: x + y, (V, V)),
    "sub": Row(lambda x, y: x - y, (V, V)),
    "neg": Row(lambda x: -x, (V,)),
    "reduce_sum": Row(lambda x: x.sum(axis=0), (M,)),
    "reduce_window_sum": Row(lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (1, 1), "VALID"), (M,)),
    "cumsum": Row(jnp.cumsum, (V,), loose=8),  # that of total minus prefix as well
    "mul": Row(lambda x, y: x * y, (V, V)),
    "div": Row(lambda x, y: x / y, (V, V), 0.5, 2.0),
    "dot_general": Row(lambda x, y: x @ y, (M, (4, 2))),
    "conv_general_dilated": Row(lambda x, y: lax.conv(x, y, (1, 1), "SAME"), ((1, 2, 3, 3), (2, 2, 2, 2))),
    "reduce_prod": Row(jnp.prod, (V,)),
    "cumprod": Row(jnp.cumprod, (V,), loose=4),  # every prefix is granted the roundings of all
    "exp": Row(jnp.exp, (V,)),
    "exp2": Row(jnp.exp2, (V,)),
    "expm1": Row(jnp.expm1, (V,)),
    "log": Row(jnp.log, (V,), 0.5, 3.0),
    "log1p": Row(jnp.log1p, (V,), -0.5, 3.0),
    "logistic": Row(lax.logistic, (V,), -4, 4),
    "tanh": Row(jnp.tanh, (V,)),
    "erf": Row(lax.erf, (V,)),
    "erfc": Row(lax.erfc, (V,)),
    "erf_inv": Row(lax.erf_inv, (V,), -0.75, 0.75),
    "lgamma": Row(lax.lgamma, (V,), 0.5, 3.0, loose=4),  # flat where ψ is 0
    "digamma": Row(lax.digamma, (V,), 0.5, 3.0),
    "sin": Row(jnp.sin, (V,), -4, 4, loose=4),  # flat parts: e²/2 is granted where the slope is 0
    "cos": Row(jnp.cos, (V,), -4, 4, loose=4),
    "tan": Row(jnp.tan, (V,), -0.75, 0.75, loose=8),  # by sin/cos, whose errors are taken for independent
    "asin": Row(jnp.arcsin, (V,), -0.75, 0.75),
    "acos": Row(jnp.arccos, (V,), -0.75, 0.75),
    "atan": Row(jnp.arctan, (V,)),
    "sinh": Row(jnp.sinh, (V,)),
    "cosh": Row(jnp.cosh, (V,)),
    "asinh": Row(jnp.arcsinh, (V,)),
    "acosh": Row(jnp.arccosh, (V,), 1.5, 3.0),
    "atanh": Row(jnp.arctanh, (V,), -0.75, 0.75),
    "cbrt": Row(jnp.cbrt, (V,), 0.5, 3.0),
    "sqrt": Row(jnp.sqrt, (V,), 0.5, 3.0),
    "rsqrt": Row(lax.rsqrt, (V,), 0.5, 3.0, loose=2),  # a root and a quotient
    "square": Row(lax.square, (V,)),
    "integer_pow": Row(lambda x: lax.integer_pow(x, 3), (V,)),
    "pow": Row(lambda x, y: x**y, (V, V), 0.5, 2.0),
    "abs": Row(jnp.abs, (V,)),
    "sign": Row(jnp.sign, (V,)),
    "floor": Row(jnp.floor, (V,)),
    "ceil": Row(jnp.ceil, (V,)),
    "round": Row(lambda x: lax.round(x, NEAREST), (V,)),
    "max": Row(jnp.maximum, (V, V)),
    "min": Row(jnp.minimum, (V, V)),
    "clamp": Row(lambda x: lax.clamp(-0.5, x, 0.5), (V,), loose=4),  # it errs as the worst of the three
    "reduce_max": Row(lambda x: jnp.max(x, axis=1), (M,)),
    "reduce_min": Row(lambda x: jnp.min(x, axis=1), (M,)),
    "reduce_window_max": Row(
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (1, 1), "VALID"), (M,)
    ),
    "reduce_window_min": Row(lambda x: lax.reduce_window(x, jnp.inf, lax.min, (2, 2), (1, 1), "SAME"), (M,)),
    "cummax": Row(lax.cummax, (V,)),
    "cummin": Row(lax.cummin, (V,)),
    "eq": Row(lambda x: x == jnp.max(x), (V,)),
    "ne": Row(lambda x: x != jnp.min(x), (V,)),
    "lt": Row(lambda x, y: x < y, (V, V)),
    "le": Row(lambda x, y: x <= y, (V, V)),
    "gt": Row(lambda x, y: x > y, (V, V)),
    "ge": Row(lambda x, y: x >= y, (V, V)),
    "and": Row(lambda x, y: (x > 0) & (y > 0), (V, V)),
    "or": Row(lambda x, y: (x > 0) | (y > 0), (V, V)),
    "xor": Row(lambda x, y: (x > 0) ^ (y > 0), (V, V)),
    "not": Row(lambda x: ~(x > 0), (V,)),
    "select_n": Row(lambda x, y: jnp.where(x > y, 2 * x, 3 * y), (V, V)),
    "convert_element_type": Row(lambda x: (x > 0).astype(float), (V,)),
    "sort": Row(lambda x, y: tuple(lax.sort((x, y), num_keys=1)), (V, V)),
    "argmax": Row(jnp.argmax, (V,)),
    "argmin": Row(jnp.argmin, (V,)),
    "rem": Row(lax.rem, (V, V), 0.5, 2.0, loose=100),  # it jumps: any remainder is granted
    "select_and_scatter_add": Row(
        jax.grad(
            lambda x: (
                lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (1, 1), "VALID")
                * jnp.arange(1.0, 7).reshape(2, 3)
            ).sum()
        ),
        (M,),
        loose=2,
    ),  # only rounding
    "solve": Row(lambda x, y: systems.solve(x + STRONG, y), (S, S), 0.5, 1.5, loose=4),
    "det": Row(lambda x: systems.det(x + STRONG), (S,), 0.5, 1.5, loose=4),
    "log_abs_det": Row(lambda x: systems.slogdet(x + STRONG)[1], (S,), 0.5, 1.5, loose=8),
    "cholesky_factor": Row(lambda x: systems.cholesky(x + STRONG), (S,), 0.5, 1.5, loose=4),
}
"""A program for each primitive."""

PROBES: Mapping[str, Callable[..., Any]] = {
    # two formulations of one function
    "softplus": lambda x: jnp.logaddexp(x, 0),
    "softplus from a probability": lambda x: -jnp.log(1 - lax.logistic(x)),
    "softplus by a logarithm": lambda x: jnp.log1p(jnp.exp(x)),
    # comparisons of a number with itself, and with others
    "where it is not itself": lambda x: jnp.where(x != x, 0, x * x),  # noqa: PLR0124  (how NaN is found)
    "where it is the largest": lambda x: jnp.where(x == x.max(), 5.0, x),
    "where it is above 0": lambda x: jnp.where(x == jnp.maximum(x, 0), 5.0, x),
    "where it is at least 1": lambda x: jnp.where(x == jnp.maximum(x, 1.0), 5.0, x),
    "whether it is the largest": lambda x: (x == x.max()).astype(float),
    "where a third is larger": lambda x: jnp.where(x / 3 > x[0] / 3, x, -x),
    "two sums of the same": lambda x: x / 3 + x / 7 > 10 * x / 21,
    # quotients, roots and logarithms that something keeps away from 0
    "slope of the largest": jax.grad(lambda x: x.max()),
    "softmax": jax.nn.softmax,
    "logsumexp": jax.nn.logsumexp,
    "reciprocal of a deviation": lambda x: 1 / jnp.sqrt(((x - x.mean()) ** 2).mean() + 1e-5),
    "reciprocal of -1 or 2": lambda x: 1 / jnp.where(x > x[0], 2.0, -1.0),
    # places that are not known
    "at the largest": lambda x, z: z[jnp.argmax(x)],
    "gathered at the largest": lambda x, z: z[jnp.argmax(x)[None]],
    "gathered opposite to the largest": lambda x, z: z[2 - jnp.argmax(x)[None]],
    "added opposite to the largest": lambda x, z: jnp.zeros(3).at[2 - jnp.argmax(x)].add(z[0])[2] + 2,
    "put at the largest": lambda x, z: lax.dynamic_update_slice(z, z[2:], (jnp.argmax(x),))[0],
    # what no arithmetic reads
    "igamma": lambda x: lax.igamma(x, x),
    "reduce_precision": lambda x: lax.reduce_precision(x, 5, 10),
    "a precision": lambda x: jnp.dot(x, x, precision=lax.Precision.HIGHEST),
}
"""Programs that have been read wrongly, or may be."""
