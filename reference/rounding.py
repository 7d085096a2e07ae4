"""How far rounding alone can carry a right gradient from the truth: a bound in place of a tolerance.

**Running error analysis** (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
SIAM 2002, section 3.3): beside each value v of the forward and of the backward pass goes a number e,
such that every sensible program's v̂ has |v̂ - v| ≤ e. The rules, with the unit roundoff u (half the
spacing of floats at 1) and γ_m = m u / (1 - m u):

- a sum of m products in any order, whether by matmul, einsum or a loop (Higham, eq. 3.5):
  |fl(xᵀy) - xᵀy| ≤ γ_m |x|ᵀ|y|, and errors that come in pass on as |x|ᵀe_y + e_xᵀ(|y| + e_y);
- a product or a sum of two values is the case m = 1;
- f(z) for an activation f: |f(ẑ) - f(z)| ≤ sup|f'| e_z, the supremum over [z - e_z, z + e_z], where
  |f'| ≤ |f'(z)| + sup|f''| e_z; then the function's own error, an *absolute* `FORMULA` · u.

`FORMULA` = 16. A library's exp, log or tanh errs by at most 4 units in the last place, 8 u (the
documented limit of the vector libraries; the scalar ones stay below 1). A sensible formula makes at
most four further operations on numbers of at most 2: 1 - h², 1/cosh², 2σ(2z) - 1, σ(1 - σ). The sum,
8 u + 4 · 2 u, is absolute because the subtraction in 1 - h² cancels the leading digits of a slope
that is nearly 0 and leaves the error of a number near 1.

`FREEDOM` = 8 roundings are granted to every sum, since the factors 2, 1/K, 1/N and a rate may stand at
any place and in any order: each of the three may be applied in two roundings (a division by a
product, a product with a reciprocal), and two are left for the addition of b and for a negation.

**Underflow** adds `tiny`, the smallest normal number, for each rounded operation: programs that flush
subnormals to zero (XLA does) lose that much. **Overflow** is told by `peak`, the largest magnitude
that a sensible program may meet.

**Kinks.** Where |z| ≤ e_z at relu's kink nobody can say on which side z lies, and any slope in [0, 1] is
right. What that leaves open travels beside e as a second number, k, so that "within rounding" and
"open at a kink" stay apart.

The truth that the bound goes around was rounded as well, in float64. Both e and k grow at least in
proportion to u, so u = u_subject + u_float64 covers the two of them at once.
"""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from reference.network import ACTIVATIONS, Array, Layer, choose

FORMULA = 16
FREEDOM = 8


class Bounded(NamedTuple):
    """A value with what rounding (`e`) and an open kink (`k`) may have done to it; arrays of one shape."""

    x: Array
    e: Array
    k: Array

    @property
    def magnitude(self) -> Array:
        """The largest |v̂| that the bounds admit."""
        return abs(self.x) + self.e + self.k

    @property
    def mT(self) -> "Bounded":  # noqa: N802  (NumPy's name for it)
        """Transposed."""
        return Bounded(self.x.T, self.e.T, self.k.T)


class Arithmetic(NamedTuple):
    """The rules of the module's docstring for one floating-point format.

    `unit` is u (of the subject and of the reference together), `tiny` the smallest normal number.
    """

    xp: ModuleType
    unit: Any
    tiny: Any

    def gamma(self, operations: Any) -> Any:
        """γ_m for m operations and `FREEDOM` more."""
        m = operations + FREEDOM
        return m * self.unit / (1 - m * self.unit)

    def exact(self, x: Array) -> Bounded:
        """An input: no error."""
        return Bounded(x, 0 * abs(x), 0 * abs(x))

    def matmul(self, a: Bounded, b: Bounded, terms: Any) -> Bounded:
        """The product a @ b, whose entries are sums of `terms` products."""
        b_size = b.magnitude
        return Bounded(
            a.x @ b.x,
            abs(a.x) @ b.e + a.e @ b_size + self.gamma(terms) * (a.magnitude @ b_size) + terms * self.tiny,
            abs(a.x) @ b.k + a.k @ b_size,
        )

    def times(self, a: Bounded, b: Bounded) -> Bounded:
        """The product a · b, entry by entry."""
        return Bounded(
            a.x * b.x,
            abs(a.x) * b.e + a.e * b.magnitude + self.gamma(1) * a.magnitude * b.magnitude + self.tiny,
            abs(a.x) * b.k + a.k * b.magnitude,
        )

    def plus(self, a: Bounded, b: Bounded) -> Bounded:
        """The sum a + b, entry by entry."""
        return Bounded(a.x + b.x, a.e + b.e + self.gamma(1) * (a.magnitude + b.magnitude), a.k + b.k)

    def total(self, a: Bounded, axis: int, terms: Any, *, keepdims: bool = False) -> Bounded:
        """The sum of `terms` entries along an axis."""

        def add(v: Array) -> Array:
            return v.sum(axis=axis, keepdims=keepdims)

        return Bounded(add(a.x), add(a.e) + self.gamma(terms) * add(a.magnitude), add(a.k))

    def scaled(self, a: Bounded, factor: Any) -> Bounded:
        """A constant times a; its roundings are among the `FREEDOM` of the sums around it."""
        return Bounded(a.x * factor, a.e * abs(factor) + self.tiny, a.k * abs(factor))


class Activated(NamedTuple):
    """h = f(z) with its error, and the slope f'(z) with its error and what a kink leaves open."""

    h: Array
    h_error: Array
    slope: Array
    slope_error: Array
    slope_open: Array


def _smooth(
    arithmetic: Arithmetic, value: Array, size: Array, slope: Array, z_error: Array, *, steepest: float, curved: float
) -> Activated:
    """A smooth f: `steepest` bounds |f'|, `curved` bounds |f''|, `size` is what its rounding is relative to."""
    xp, rounding = arithmetic.xp, FORMULA * arithmetic.unit
    slope_error = xp.minimum(steepest, curved * z_error)
    value_error = xp.minimum(steepest, slope + slope_error) * z_error + rounding * size
    return Activated(value, value_error, slope, slope_error + rounding, 0 * slope)


def _identity(arithmetic: Arithmetic, z: Array, e: Array, units: Array) -> Activated:
    del arithmetic, units
    return Activated(z, e, 0 * z + 1, 0 * z, 0 * z)


def _tanh(arithmetic: Arithmetic, z: Array, e: Array, units: Array) -> Activated:
    """|f''| = 2|h|(1 - h²) ≤ 4/(3√3) < 0.77."""
    del units
    h = arithmetic.xp.tanh(z)
    activated = _smooth(arithmetic, h, 0 * z + 1, 1 - h * h, e, steepest=1, curved=0.77)
    return activated._replace(h_error=arithmetic.xp.minimum(2, activated.h_error))


def _sigmoid(arithmetic: Arithmetic, z: Array, e: Array, units: Array) -> Activated:
    """|f'| ≤ 1/4 and |f''| ≤ 1/(6√3) < 0.0963."""
    h = ACTIVATIONS["sigmoid"](arithmetic.xp, z, units)
    activated = _smooth(arithmetic, h, 0 * z + 1, h * (1 - h), e, steepest=0.25, curved=0.0963)
    return activated._replace(h_error=arithmetic.xp.minimum(1, activated.h_error))


def _relu(arithmetic: Arithmetic, z: Array, e: Array, units: Array) -> Activated:
    """Piecewise linear: exact but for the error of z, and open where 0 lies within it."""
    del units
    xp = arithmetic.xp
    value_error = xp.clip(z + e, 0, e)
    return Activated(xp.maximum(z, 0), value_error, (z > 0) * 1.0, 0 * z, (abs(z) <= e) * 1.0)


def _softplus(arithmetic: Arithmetic, z: Array, e: Array, units: Array) -> Activated:
    """f' = σ(z) ≤ 1 and |f''| ≤ 1/4."""
    xp = arithmetic.xp
    slope = ACTIVATIONS["sigmoid"](xp, z, units)
    h = xp.logaddexp(z, 0)
    return _smooth(arithmetic, h, 1 + abs(h), slope, e, steepest=1, curved=0.25)


def _exponents_error(arithmetic: Arithmetic, z: Array, e: Array, units: Array) -> Array:
    """The error of z_j - log Σ_k e^z_k, (n, 1): e_j + max_k e_k, and the rounding of numbers up to max|z|.

    A program may subtract the maximum first or not, so |z|, twice, may be rounded.
    """
    xp = arithmetic.xp
    size = abs(z) if units is None else xp.where(units, abs(z), 0)
    error = e if units is None else xp.where(units, e, 0)
    largest = size.max(axis=1, keepdims=True)
    return 2 * error.max(axis=1, keepdims=True) + FORMULA * arithmetic.unit * (1 + largest)


def _softmax(arithmetic: Arithmetic, z: Array, e: Array, units: Array) -> Activated:
    """o_j = e^t_j with t_j = z_j - log Σ_k e^z_k: an error τ of t makes o_j err by at most o_j(e^τ - 1)."""
    xp = arithmetic.xp
    o = ACTIVATIONS["softmax"](xp, z, units)
    tau = _exponents_error(arithmetic, z, e, units)
    error = xp.minimum(1, o * xp.expm1(xp.minimum(tau, 50)) + FORMULA * arithmetic.unit)
    return Activated(o, error, 0 * z, 0 * z, 0 * z)


_ACTIVATED: Mapping[str, Callable[[Arithmetic, Array, Array, Array], Activated]] = {
    "identity": _identity,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "relu": _relu,
    "softplus": _softplus,
    "softmax": _softmax,
}


def _squared_error(factor: Callable[[Any], Any]) -> Callable[..., Bounded]:
    """∂L/∂o = factor(K) · (o - y) for a squared loss."""

    def error(arithmetic: Arithmetic, z: Array, o: Bounded, y: Array, k: Any) -> Bounded:
        del z
        return arithmetic.scaled(arithmetic.plus(o, arithmetic.exact(-y)), factor(k))

    return error


def _cross_entropy_error(arithmetic: Arithmetic, z: Array, o: Bounded, y: Array, k: Any) -> Bounded:
    """∂L/∂z = o Σ_j y_j - y, fused or as Σ_j (-y_j/o_j) o_j(δ_jk - o_k), whose terms have the same sizes."""
    del z
    mass = arithmetic.total(arithmetic.exact(y), axis=1, terms=k, keepdims=True)  # (n, 1)
    return arithmetic.plus(arithmetic.times(o, mass), arithmetic.exact(-y))


def _binary_cross_entropy_error(arithmetic: Arithmetic, z: Array, o: Bounded, y: Array, k: Any) -> Bounded:
    """∂L/∂z = o - y, or in the plain form [-y/o + (1 - y)/(1 - o)] f'(z), where 1/o and 1/(1 - o) magnify
    the absolute error of the slope."""
    del k
    fused = arithmetic.plus(o, arithmetic.exact(-y))
    return fused._replace(e=fused.e + arithmetic.xp.minimum(1, _plain_logarithms(arithmetic, z, o.x, y)))


def _plain_logarithms(arithmetic: Arithmetic, z: Array, o: Array, y: Array) -> Array:
    """The error of y log o + (1 - y) log(1 - o), and of its slope times o(1 - o), without fusing."""
    other = ACTIVATIONS["sigmoid"](arithmetic.xp, -z, None)  # 1 - o
    floor = arithmetic.unit**2  # below it the quotient is far above 1, where the bound is cut
    maximum = arithmetic.xp.maximum
    return FORMULA * arithmetic.unit * (abs(y) / maximum(o, floor) + abs(1 - y) / maximum(other, floor))


def _over_k(error: Callable[..., Bounded]) -> Callable[..., Bounded]:
    def divided(arithmetic: Arithmetic, z: Array, o: Bounded, y: Array, k: Any) -> Bounded:
        return arithmetic.scaled(error(arithmetic, z, o, y, k), 1 / k)

    return divided


_ERRORS: Mapping[str, Callable[..., Bounded]] = {
    "mse": _squared_error(lambda k: 2 / k),
    "half_mse": _squared_error(lambda k: 1 / k),
    "sse": _squared_error(lambda k: 2 + 0 * k),
    "half_sse": _squared_error(lambda k: 1 + 0 * k),
    "cross_entropy": _cross_entropy_error,
    "binary_cross_entropy": _binary_cross_entropy_error,
    "mean_binary_cross_entropy": _over_k(_binary_cross_entropy_error),
}
"""∂L/∂o of the squared losses, ∂L/∂z of the entropies, (n, K)."""

_SQUARED = 4
"""The first four rows of the losses are squared ones."""


def _squares_loss(factor: Callable[[Any], Any]) -> Callable[..., Array]:
    def error(arithmetic: Arithmetic, z: Array, z_error: Array, o: Bounded, y: Array, k: Any, units: Array) -> Array:
        del z, z_error, units
        difference = arithmetic.plus(o, arithmetic.exact(-y))
        squares = arithmetic.total(arithmetic.times(difference, difference), axis=1, terms=k)
        return arithmetic.scaled(squares, factor(k)).e  # (n,)

    return error


def _cross_entropy_loss(
    arithmetic: Arithmetic, z: Array, z_error: Array, o: Bounded, y: Array, k: Any, units: Array
) -> Array:
    """Each log o_j errs by what its exponent errs by, and by its own rounding."""
    tau = _exponents_error(arithmetic, z, z_error, units)  # (n, 1)
    surprise = -arithmetic.xp.log(arithmetic.xp.maximum(o.x, arithmetic.tiny))  # (n, K)
    return (abs(y) * (tau + (arithmetic.gamma(k) + FORMULA * arithmetic.unit) * surprise)).sum(axis=1)


def _binary_cross_entropy_loss(
    arithmetic: Arithmetic, z: Array, z_error: Array, o: Bounded, y: Array, k: Any, units: Array
) -> Array:
    """The slope in z is at most 1, and a logarithm without fusing magnifies the rounding of o and 1 - o."""
    size = 1 + abs(z)
    own = z_error + (FORMULA * arithmetic.unit + arithmetic.gamma(k)) * size * (1 + abs(y))
    terms = own + _plain_logarithms(arithmetic, z, o.x, y)
    return (terms if units is None else arithmetic.xp.where(units, terms, 0)).sum(axis=1)


_LOSS_ERRORS: Mapping[str, Callable[..., Array]] = {
    "mse": _squares_loss(lambda k: 1 / k),
    "half_mse": _squares_loss(lambda k: 0.5 / k),
    "sse": _squares_loss(lambda k: 1 + 0 * k),
    "half_sse": _squares_loss(lambda k: 0.5 + 0 * k),
    "cross_entropy": _cross_entropy_loss,
    "binary_cross_entropy": _binary_cross_entropy_loss,
    "mean_binary_cross_entropy": lambda *a: _binary_cross_entropy_loss(*a) / a[5],
}


def _through_output(
    arithmetic: Arithmetic, activation: Any, error: Bounded, o: Bounded, f: Activated, *, outputs: Any, at_z: Any
) -> Bounded:
    """∂L/∂z of the output: `error` already, or through the slope, or through softmax's Jacobian."""
    slope = Bounded(f.slope, f.slope_error, f.slope_open)
    inner = arithmetic.total(arithmetic.times(error, o), axis=1, terms=outputs, keepdims=True)  # (n, 1)
    rest = arithmetic.plus(error, Bounded(-inner.x, inner.e, inner.k))
    ways = (error, arithmetic.times(error, slope), arithmetic.times(o, rest))
    if isinstance(activation, str):
        return ways[0 if at_z else 2 if activation == "softmax" else 1]
    softmax = activation == list(ACTIVATIONS).index("softmax")
    return _where(arithmetic.xp, at_z, ways[0], _where(arithmetic.xp, softmax, ways[2], ways[1]))


def _where(xp: ModuleType, condition: Any, yes: Bounded, no: Bounded) -> Bounded:
    return Bounded(*(xp.where(condition, a, b) for a, b in zip(yes, no, strict=True)))


class _Passed(NamedTuple):
    """What the forward pass keeps of a layer: its input, its z, its activation."""

    x: Bounded
    z: Bounded
    f: Activated


def _forward(arithmetic: Arithmetic, layer: Layer, x: Bounded) -> tuple[Bounded, _Passed, Array]:
    """The layer's h, what to keep, and the largest number on the way."""
    xp = arithmetic.xp
    z = arithmetic.matmul(x, arithmetic.exact(layer.W), layer.fan_in)
    if layer.b is not None:
        z = arithmetic.plus(z, arithmetic.exact(layer.b + 0 * z.x))
    f = choose(_ACTIVATED, layer.activation, arithmetic, z.x, z.e, layer.units)
    h = Bounded(f.h, f.h_error, 0 * f.h)
    peak = layer.fan_in * x.magnitude.max() * abs(layer.W).max() + z.magnitude.max()
    if layer.units is not None:
        h = _where(xp, layer.present, Bounded(*(v * layer.units for v in h)), x)
    return h, _Passed(x, z, f), peak


def _backward(
    arithmetic: Arithmetic, layer: Layer, x: Bounded, dz: Bounded, samples: Any
) -> tuple[Bounded, tuple[Bounded, Bounded], Array]:
    """∂L/∂x, (dW, db), and the largest number on the way, from ∂L/∂z."""
    dW = arithmetic.matmul(x.mT, dz, samples)
    db = arithmetic.total(dz, axis=0, terms=samples)
    dx = arithmetic.matmul(dz, arithmetic.exact(layer.W.T), layer.fan_out)
    growth = samples * (1 + x.magnitude.max()) + layer.fan_out * abs(layer.W).max()
    return dx, (dW, db), growth * dz.magnitude.max()


class Bounds(NamedTuple):
    """What `bounds` finds: the bounded (dW, db) of the hidden layers and of the last one, the error of
    the loss, and the largest number that a sensible program meets."""

    hidden: Any
    last: tuple[Bounded, Bounded]
    loss_error: Array
    peak: Array


def loop(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, items: Any, *, reverse: bool = False) -> Any:
    """`jax.lax.scan` for lists: `items` is a tuple of lists, and a step's two results give two lists."""
    rows = list(zip(*items, strict=True))
    results: tuple[list[Any], list[Any]] = ([], [])
    for row in reversed(rows) if reverse else rows:
        carry, (first, second) = step(carry, row)
        results[0].append(first)
        results[1].append(second)
    return carry, tuple(many[::-1] for many in results) if reverse else results


def bounds(
    arithmetic: Arithmetic,
    hidden: Any,
    last: Layer,
    inputs: Array,
    rows: Array,
    *,
    loss: Any,
    samples: Any,
    divisor: Any,
    exists: Array = None,
    scan: Callable[..., Any] = loop,
) -> Bounds:
    """Run the analysis forward and backward through a network.

    Args:
        arithmetic: the format, and the array namespace in which to compute.
        hidden: the hidden layers, a list, or what `scan` goes through.
        last: the output layer.
        inputs: (n, fan_in).
        rows: targets, (n, K).
        loss: a name in `reference.network.LOSSES`, or a traced row number.
        samples: how many samples there are.
        divisor: what the reduction divides by, `samples` or 1.
        exists: a mask (n, 1) of the samples that are there, None for all.
        scan: `loop`, or `jax.lax.scan` for layers stacked along a first axis.

    Returns:
        `Bounds`, with arrays in the shapes of the parameters.
    """
    xp = arithmetic.xp

    def up(x: Bounded, item: tuple[Layer]) -> tuple[Bounded, tuple[_Passed, Array]]:
        h, passed, peak = _forward(arithmetic, item[0], x)
        return h, (passed, peak)

    top, (passed, up_peaks) = scan(up, arithmetic.exact(inputs), (hidden,))
    o, output, up_peak = _forward(arithmetic, last, top)

    losses = choose(_LOSS_ERRORS, loss, arithmetic, output.z.x, output.z.e, o, rows, last.fan_out, last.units)
    error = arithmetic.scaled(choose(_ERRORS, loss, arithmetic, output.z.x, o, rows, last.fan_out), 1 / divisor)
    if exists is not None:
        losses = xp.where(exists[:, 0], losses, 0)
        error = Bounded(*(xp.where(exists & last.units, v, 0) for v in error))
    at_z = list(_ERRORS).index(loss) >= _SQUARED if isinstance(loss, str) else loss >= _SQUARED
    dz = _through_output(arithmetic, last.activation, error, o, output.f, outputs=last.fan_out, at_z=at_z)
    dh, last_gradient, down_peak = _backward(arithmetic, last, top, dz, samples)

    def down(dh: Bounded, item: tuple[Layer, _Passed]) -> tuple[Bounded, tuple[tuple[Bounded, Bounded], Array]]:
        layer, (x, _, f) = item
        dz = arithmetic.times(dh, Bounded(f.slope, f.slope_error, f.slope_open))
        dx, gradient, peak = _backward(arithmetic, layer, x, dz, samples)
        return dx if layer.units is None else _where(xp, layer.present, dx, dh), (gradient, peak)

    _, (gradient, down_peaks) = scan(down, dh, (hidden, passed), reverse=True)

    # Without 1/N and 1/K, which a program may apply last, every number of the way back is that much larger.
    late = divisor * last.fan_out
    highest_up, highest_down = (xp.asarray(peaks).max(initial=0) for peaks in (up_peaks, down_peaks))
    peaks = [abs(inputs).max(), abs(rows).max(), highest_up, up_peak, late * highest_down, late * down_peak]
    return Bounds(gradient, last_gradient, losses.sum() / divisor, xp.asarray(peaks).max())
