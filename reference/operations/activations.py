"""Functions of one number, applied to every entry."""

from collections.abc import Callable, Mapping
from functools import partial
from math import pi, sqrt
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from reference.operations.by_hand import by_hand
from reference.operations.operation import Input, Operation, inputs


def identity(x: Array) -> Array:
    """y = x."""
    return x


def tanh(x: Array) -> Array:
    """y = (eˣ - e⁻ˣ)/(eˣ + e⁻ˣ)."""
    return jnp.tanh(x)


def sigmoid(x: Array) -> Array:
    """σ(x) = 1/(1 + e⁻ˣ)."""
    return lax.logistic(x)


def log_sigmoid(x: Array) -> Array:
    """log σ(x) = -log(1 + e⁻ˣ)."""
    return -jnp.logaddexp(-x, 0)


def softplus(x: Array) -> Array:
    """log(1 + eˣ)."""
    return jnp.logaddexp(x, 0)


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return jnp.maximum(x, 0)


def relu6(x: Array) -> Array:
    """min(max(x, 0), 6)."""
    return jnp.minimum(jnp.maximum(x, 0), 6)


def leaky_relu(x: Array, *, slope: float) -> Array:
    """x where it is positive, slope x elsewhere."""
    return jnp.where(x > 0, x, slope * x)


def elu(x: Array, *, alpha: float) -> Array:
    """x where it is positive, α(eˣ - 1) elsewhere: D.-A. Clevert et al. (2015), arXiv:1511.07289.

    The exponential is taken of min(x, 0), so that it does not overflow where it is not used.
    """
    return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.where(x > 0, 0, x)))


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def selu(x: Array) -> Array:
    """λ elu(x; α), with the constants of G. Klambauer et al. (2017), arXiv:1706.02515."""
    return _SELU_SCALE * elu(x, alpha=_SELU_ALPHA)


def gelu(x: Array) -> Array:
    """x Φ(x), with Φ the normal distribution's function: D. Hendrycks, K. Gimpel (2016), arXiv:1606.08415."""
    return x * (lax.erf(x / sqrt(2)) + 1) / 2


def gelu_tanh(x: Array) -> Array:
    """x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))): the approximation of arXiv:1606.08415."""
    return x * (1 + jnp.tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x))) / 2


def silu(x: Array) -> Array:
    """x σ(x)."""
    return x * lax.logistic(x)


def mish(x: Array) -> Array:
    """x tanh(softplus(x)): D. Misra (2019), arXiv:1908.08681."""
    return x * jnp.tanh(jnp.logaddexp(x, 0))


def hard_sigmoid(x: Array) -> Array:
    """min(max(x + 3, 0), 6)/6."""
    return relu6(x + 3) / 6


def hard_swish(x: Array) -> Array:
    """x min(max(x + 3, 0), 6)/6: A. Howard et al. (2019), arXiv:1905.02244."""
    return x * relu6(x + 3) / 6


def hard_tanh(x: Array) -> Array:
    """min(max(x, -1), 1)."""
    return jnp.minimum(jnp.maximum(x, -1), 1)


def softsign(x: Array) -> Array:
    """x/(1 + |x|)."""
    return x / (1 + jnp.abs(x))


def prelu(x: Array, slope: Array) -> Array:
    """x where it is positive, slope x elsewhere, with a slope for each column that is learnt."""
    return jnp.where(x > 0, x, slope * x)


def glu(x: Array, gate: Array) -> Array:
    """x σ(gate)."""
    return x * lax.logistic(gate)


def swiglu(gate: Array, x: Array) -> Array:
    """silu(gate) x: N. Shazeer (2020), arXiv:2002.05202."""
    return gate * lax.logistic(gate) * x


def geglu(gate: Array, x: Array) -> Array:
    """gelu(gate) x: N. Shazeer (2020), arXiv:2002.05202."""
    return gelu(gate) * x


# Other programs: what people write in place of JAX's slope, or of the value.


def _slope(value: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Callable[..., Array]:
    """The activation with dx = dy slope(x)."""

    def backward(dy: Array, x: Array) -> tuple[Array]:
        return (dy * slope(x),)

    return by_hand(value, backward)


def _sigmoid_by_tanh(x: Array) -> Array:
    return (jnp.tanh(x / 2) + 1) / 2


def _sigmoid_by_exponential(x: Array) -> Array:
    return 1 / (1 + jnp.exp(-x))


def _slope_of_sigmoid(x: Array) -> Array:
    s = _sigmoid_by_exponential(x)
    return s * (1 - s)


def _slope_of_tanh(x: Array) -> Array:
    t = jnp.tanh(x)
    return 1 - t * t


def _slope_of_silu(x: Array) -> Array:
    s = lax.logistic(x)
    y = x * s
    return y + s * (1 - y)


def _slope_of_gelu(x: Array) -> Array:
    return lax.erfc(-x / sqrt(2)) / 2 + x * jnp.exp(-x * x / 2) / sqrt(2 * pi)


def _slope_of_gelu_tanh(x: Array) -> Array:
    t = jnp.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))
    return (1 + t) / 2 + x / 2 * (1 - t * t) * sqrt(2 / pi) * (1 + 3 * 0.044715 * x**2)


def _slope_of_mish(x: Array) -> Array:
    t = jnp.tanh(jnp.logaddexp(x, 0))
    return t + x * (1 - t * t) * lax.logistic(x)


_OTHERS: Mapping[str, tuple[Callable[..., Array], ...]] = {
    "tanh": (_slope(tanh, _slope_of_tanh),),
    "sigmoid": (_sigmoid_by_tanh, _slope(_sigmoid_by_exponential, _slope_of_sigmoid)),
    "softplus": (_slope(softplus, _sigmoid_by_exponential),),
    "log_sigmoid": (_slope(log_sigmoid, lambda x: 1 - lax.logistic(x)),),
    "silu": (_slope(lambda x: x / (1 + jnp.exp(-x)), _slope_of_silu),),
    "gelu": (_slope(lambda x: x * lax.erfc(-x / sqrt(2)) / 2, _slope_of_gelu),),
    "gelu_tanh": (_slope(gelu_tanh, _slope_of_gelu_tanh),),
    "mish": (_slope(mish, _slope_of_mish),),
}


def _row(forward: Callable[..., Array], *also: str, **options: tuple[Any, ...]) -> Operation:
    name = forward.__name__
    others = _OTHERS.get(name, ())
    return Operation(name, forward, inputs(x="n d"), options=options, formulations=others, also=also)


_gated = partial(Operation, inputs=inputs(gate="n d", x="n d"))

ACTIVATIONS = (
    _row(identity, "linear_activation"),
    _row(tanh),
    _row(sigmoid, "logistic", "expit"),
    _row(log_sigmoid, "logsigmoid"),
    _row(softplus),
    _row(relu),
    _row(relu6),
    _row(leaky_relu, "lrelu", slope=(0.01, 0.2)),
    _row(elu, alpha=(1.0, 0.5)),
    _row(selu),
    _row(gelu),
    _row(gelu_tanh, "gelu_new", "approximate_gelu"),
    _row(silu, "swish"),
    _row(mish),
    _row(hard_sigmoid, "hardsigmoid"),
    _row(hard_swish, "hardswish"),
    _row(hard_tanh, "hardtanh"),
    _row(softsign),
    Operation("prelu", prelu, inputs(x="n d", slope=Input("d"))),
    Operation("glu", glu, inputs(x="n d", gate="n d")),
    _gated("swiglu", swiglu),
    _gated("geglu", geglu),
)
