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
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from reference.network import ACTIVATIONS, Array, Layer

FORMULA = 16
FREEDOM = 8


class _Values(NamedTuple):
    x: Array
    e: Array
    k: Array


class Bounded(_Values):
    """A value x with what rounding (`e`) and an open kink (`k`) may have done to it.

    Arrays of one shape; k is the number 0 where no kink is open.
    """

    @cached_property
    def size(self) -> Array:
        """|v|."""
        return abs(self.x)

    @cached_property
    def magnitude(self) -> Array:
        """The largest |v̂| that the bounds admit."""
        rounded = self.size + self.e
        return rounded + self.k if self.is_open else rounded

    @property
    def is_open(self) -> bool:
        """Whether a kink may have done anything."""
        return not isinstance(self.k, float)

    @property
    def opened(self) -> Array:
        """What a kink may have done, in the shape of e."""
        return self.k if self.is_open else np.zeros_like(self.e)

    @property
    def mT(self) -> "Bounded":  # noqa: N802  (NumPy's name for it)
        """Transposed."""
        turned = Bounded(self.x.T, self.e.T, self.k.T if self.is_open else self.k)
        turned.size, turned.magnitude = self.size.T, self.magnitude.T
        return turned


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
        return Bounded(x, 0 * abs(x), 0.0)

    def matmul(self, a: Bounded, b: Bounded, terms: Any) -> Bounded:
        """The product a @ b, whose entries are sums of `terms` products."""
        e = a.size @ b.e + (a.e + self.gamma(terms) * a.magnitude) @ b.magnitude + terms * self.tiny
        k: Array = 0.0
        if a.is_open:
            k = a.k @ b.magnitude
        if b.is_open:
            k = k + a.size @ b.k
        return Bounded(a.x @ b.x, e, k)

    def affine(self, x: Bounded, W: Array, size: Array, b: Array | None) -> Bounded:
        """x W + b for exact W (m, k), |W| = `size`, and b (k,), or None: sums of m products and one addition."""
        z = x.x @ W
        e = (x.e + self.gamma(len(W)) * x.magnitude) @ size + len(W) * self.tiny
        k: Array = x.k @ size if x.is_open else 0.0
        if b is None:
            return Bounded(z, e, k)
        return Bounded(z + b, e + self.gamma(1) * (abs(z) + e + k + abs(b)), k)

    def times(self, a: Bounded, b: Bounded) -> Bounded:
        """The product a · b, entry by entry."""
        e = a.size * b.e + (a.e + self.gamma(1) * a.magnitude) * b.magnitude + self.tiny
        k = a.size * b.k + a.k * b.magnitude if a.is_open or b.is_open else 0.0
        return Bounded(a.x * b.x, e, k)

    def plus(self, a: Bounded, b: Bounded) -> Bounded:
        """The sum a + b, entry by entry."""
        return Bounded(a.x + b.x, a.e + b.e + self.gamma(1) * (a.magnitude + b.magnitude), a.k + b.k)

    def total(self, a: Bounded, axis: int, terms: Any, *, keepdims: bool = False) -> Bounded:
        """The sum of `terms` entries along an axis."""

        def add(v: Array) -> Array:
            return v.sum(axis=axis, keepdims=keepdims)

        k = add(a.k) if a.is_open else a.k
        return Bounded(add(a.x), add(a.e + self.gamma(terms) * a.magnitude), k)

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

    @property
    def bounded_slope(self) -> Bounded:
        """f'(z) with its bounds."""
        return Bounded(self.slope, self.slope_error, self.slope_open)


def _smooth(
    arithmetic: Arithmetic,
    value: Array,
    size: Array | int,
    slope: Array,
    z_error: Array,
    *,
    steepest: float,
    curved: float,
) -> Activated:
    """A smooth f: `steepest` bounds |f'|, `curved` bounds |f''|, `size` is what its rounding is relative to."""
    xp, rounding = arithmetic.xp, FORMULA * arithmetic.unit
    slope_error = xp.minimum(steepest, curved * z_error)
    value_error = xp.minimum(steepest, slope + slope_error) * z_error + rounding * size
    return Activated(value, value_error, slope, slope_error + rounding, 0.0)


def _identity(arithmetic: Arithmetic, z: Array, e: Array) -> Activated:
    del arithmetic
    return Activated(z, e, 0 * z + 1, 0 * z, 0.0)


def _tanh(arithmetic: Arithmetic, z: Array, e: Array) -> Activated:
    """|f''| = 2|h|(1 - h²) ≤ 4/(3√3) < 0.77."""
    h = arithmetic.xp.tanh(z)
    activated = _smooth(arithmetic, h, 1, 1 - h * h, e, steepest=1, curved=0.77)
    return activated._replace(h_error=arithmetic.xp.minimum(2, activated.h_error))


def _sigmoid(arithmetic: Arithmetic, z: Array, e: Array) -> Activated:
    """|f'| ≤ 1/4 and |f''| ≤ 1/(6√3) < 0.0963."""
    h = ACTIVATIONS["sigmoid"](arithmetic.xp, z, None)
    activated = _smooth(arithmetic, h, 1, h * (1 - h), e, steepest=0.25, curved=0.0963)
    return activated._replace(h_error=arithmetic.xp.minimum(1, activated.h_error))


def _relu(arithmetic: Arithmetic, z: Array, e: Array) -> Activated:
    """Piecewise linear: exact but for the error of z, and open where 0 lies within it."""
    xp = arithmetic.xp
    value_error = xp.clip(z + e, 0, e)
    opened = (abs(z) <= e).astype(float)
    return Activated(
        xp.maximum(z, 0), value_error, (z > 0).astype(float), 0 * z, opened if opened.any() else 0.0
    )


def _softplus(arithmetic: Arithmetic, z: Array, e: Array) -> Activated:
    """f' = σ(z) ≤ 1 and |f''| ≤ 1/4."""
    xp = arithmetic.xp
    slope = ACTIVATIONS["sigmoid"](xp, z, None)
    h = xp.logaddexp(z, 0)
    return _smooth(arithmetic, h, 1 + abs(h), slope, e, steepest=1, curved=0.25)


def _exponents_error(arithmetic: Arithmetic, z: Array, e: Array) -> Array:
    """The error of z_j - log Σ_k e^z_k, (n, 1): e_j + max_k e_k, and the rounding of numbers up to max|z|.

    A program may subtract the maximum first or not, so |z|, twice, may be rounded.
    """
    largest = abs(z).max(axis=1, keepdims=True)
    return 2 * e.max(axis=1, keepdims=True) + FORMULA * arithmetic.unit * (1 + largest)


def _softmax(arithmetic: Arithmetic, z: Array, e: Array) -> Activated:
    """o_j = e^t_j with t_j = z_j - log Σ_k e^z_k: an error τ of t makes o_j err by at most o_j(e^τ - 1)."""
    xp = arithmetic.xp
    o = ACTIVATIONS["softmax"](xp, z, None)
    tau = _exponents_error(arithmetic, z, e)
    error = xp.minimum(1, o * xp.expm1(xp.minimum(tau, 50)) + FORMULA * arithmetic.unit)
    return Activated(o, error, 0 * z, 0 * z, 0.0)


ACTIVATED: Mapping[str, Callable[[Arithmetic, Array, Array], Activated]] = {
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
    """∂L/∂z = o - y; the plain form [-y/o + (1 - y)/(1 - o)] f'(z) magnifies the error of its slope.

    Its parts are -y q and (1 - y) q', with q = f'/o and q' = f'/(1 - o) from 0 to 1. So are q̂ and q̂' of a program
    that takes its slope from the ô by which it divides, ô(1 - ô), or from a formula that keeps all its digits. Two
    numbers from 0 to 1 differ by at most 1, and |y| + |1 - y| = 1: the whole errs by at most 1.
    """
    del k
    fused = arithmetic.plus(o, arithmetic.exact(-y))
    return fused._replace(e=fused.e + arithmetic.xp.minimum(1, _plain_logarithms(arithmetic, z, o.x, y)))


def _plain_logarithms(arithmetic: Arithmetic, z: Array, o: Array, y: Array) -> Array:
    """The error of y log o + (1 - y) log(1 - o), and of its slope times o(1 - o), without fusing.

    A program's p̂, for p = o or 1 - o, errs by at most δ = `FORMULA` · u, and near 1 the smallest 1 - ô that
    is not 0 is u. So where p̂ is not 0, it is at least max(p - δ, u/2), and a quotient by p̂ errs by at most
    δ / max(p - δ, u/2), which is never more than 2 · `FORMULA` and grows with u.
    """
    delta, least = FORMULA * arithmetic.unit, arithmetic.unit / 2
    other = ACTIVATIONS["sigmoid"](arithmetic.xp, -z, None)  # 1 - o
    maximum = arithmetic.xp.maximum
    return delta * (abs(y) / maximum(o - delta, least) + abs(1 - y) / maximum(other - delta, least))


def _over_k(error: Callable[..., Bounded]) -> Callable[..., Bounded]:
    def divided(arithmetic: Arithmetic, z: Array, o: Bounded, y: Array, k: Any) -> Bounded:
        return arithmetic.scaled(error(arithmetic, z, o, y, k), 1 / k)

    return divided


ERRORS: Mapping[str, Callable[..., Bounded]] = {
    "mse": _squared_error(lambda k: 2 / k),
    "half_mse": _squared_error(lambda k: 1 / k),
    "sse": _squared_error(lambda k: 2),
    "half_sse": _squared_error(lambda k: 1),
    "cross_entropy": _cross_entropy_error,
    "binary_cross_entropy": _binary_cross_entropy_error,
    "mean_binary_cross_entropy": _over_k(_binary_cross_entropy_error),
}
"""∂L/∂o of the squared losses, ∂L/∂z of the entropies, (n, K)."""

_SQUARED = ("mse", "half_mse", "sse", "half_sse")


def _squares_loss(factor: Callable[[Any], Any]) -> Callable[..., Array]:
    def error(arithmetic: Arithmetic, z: Array, z_error: Array, o: Bounded, y: Array, k: Any) -> Array:
        del z, z_error
        difference = arithmetic.plus(o, arithmetic.exact(-y))
        squares = arithmetic.total(arithmetic.times(difference, difference), axis=1, terms=k)
        return arithmetic.scaled(squares, factor(k)).e  # (n,)

    return error


def _cross_entropy_loss(
    arithmetic: Arithmetic, z: Array, z_error: Array, o: Bounded, y: Array, k: Any
) -> Array:
    """Each log o_j errs by what its exponent errs by, and by its own rounding."""
    tau = _exponents_error(arithmetic, z, z_error)  # (n, 1)
    surprise = -arithmetic.xp.log(arithmetic.xp.maximum(o.x, arithmetic.tiny))  # (n, K)
    return (abs(y) * (tau + (arithmetic.gamma(k) + FORMULA * arithmetic.unit) * surprise)).sum(axis=1)


def _binary_cross_entropy_loss(
    arithmetic: Arithmetic, z: Array, z_error: Array, o: Bounded, y: Array, k: Any
) -> Array:
    """The slope in z is at most 1, and a logarithm without fusing magnifies the rounding of o and 1 - o.

    Where p = min(o, 1 - o) is below its own error, p̂ may be any number from u/2 to that error, and log p̂
    differs from log p by up to |log p| < |z| + 1 besides.
    """
    size = 1 + abs(z)
    lost = arithmetic.xp.where(arithmetic.xp.exp(-abs(z)) <= 2 * FORMULA * arithmetic.unit, size, 0)
    own = lost + z_error + (FORMULA * arithmetic.unit + arithmetic.gamma(k)) * size * (1 + abs(y))
    return (own + _plain_logarithms(arithmetic, z, o.x, y)).sum(axis=1)


_LOSS_ERRORS: Mapping[str, Callable[..., Array]] = {
    "mse": _squares_loss(lambda k: 1 / k),
    "half_mse": _squares_loss(lambda k: 0.5 / k),
    "sse": _squares_loss(lambda k: 1),
    "half_sse": _squares_loss(lambda k: 0.5),
    "cross_entropy": _cross_entropy_loss,
    "binary_cross_entropy": _binary_cross_entropy_loss,
    "mean_binary_cross_entropy": lambda *a: _binary_cross_entropy_loss(*a) / a[5],
}


def _through_output(
    arithmetic: Arithmetic, activation: str, error: Bounded, o: Bounded, f: Activated
) -> Bounded:
    """∂L/∂z of the output from ∂L/∂o: through the slope, or through softmax's Jacobian."""
    if activation != "softmax":
        return arithmetic.times(error, f.bounded_slope)
    inner = arithmetic.total(arithmetic.times(error, o), axis=1, terms=o.x.shape[1], keepdims=True)  # (n, 1)
    return arithmetic.times(o, arithmetic.plus(error, Bounded(-inner.x, inner.e, inner.k)))


class Bounds(NamedTuple):
    """The bounded (dW, db) of every layer, the loss's error, and the largest number in a sensible program."""

    gradient: list[tuple[Bounded, Bounded]]
    loss_error: float
    peak: float


def bounds(
    arithmetic: Arithmetic, layers: Sequence[Layer], inputs: Array, rows: Array, *, loss: str, divisor: int
) -> Bounds:
    """Run the analysis forward and backward through a network.

    Args:
        arithmetic: the format in which the subject computes.
        layers: as for `reference.network.forward`.
        inputs: (n, fan_in).
        rows: targets, (n, K).
        loss: a name in `reference.network.LOSSES`.
        divisor: what the reduction divides by, the number of samples or 1.

    Returns:
        `Bounds`, with arrays in the shapes of the parameters; db is there in a layer without bias too.
    """
    samples, k = rows.shape
    h = arithmetic.exact(inputs)
    peaks = [float(abs(rows).max())]
    sizes = [abs(layer.W) for layer in layers]
    largest: list[tuple[float, float]] = []  # |x| and |W| of every layer
    passed: list[tuple[Bounded, Activated]] = []
    z = h
    for layer, size in zip(layers, sizes, strict=True):
        x = h
        z = arithmetic.affine(x, layer.W, size, layer.b)
        f = ACTIVATED[layer.activation](arithmetic, z.x, z.e)
        h = Bounded(f.h, f.h_error, 0.0)
        passed.append((x, f))
        largest.append((float(x.magnitude.max()), float(size.max())))
        bias = 0.0 if layer.b is None else float(abs(layer.b).max())
        peaks += largest[-1][0], layer.fan_in * largest[-1][0] * largest[-1][1] + bias
    peaks.append(float(h.magnitude.max()))

    loss_error = float(_LOSS_ERRORS[loss](arithmetic, z.x, z.e, h, rows, k).sum()) / divisor
    dz = arithmetic.scaled(ERRORS[loss](arithmetic, z.x, h, rows, k), 1 / divisor)
    if loss in _SQUARED:
        dz = _through_output(arithmetic, layers[-1].activation, dz, h, passed[-1][1])

    gradient: list[tuple[Bounded, Bounded]] = []
    for index in reversed(range(len(layers))):
        layer, (x, _) = layers[index], passed[index]
        gradient.append((arithmetic.matmul(x.mT, dz, samples), arithmetic.total(dz, axis=0, terms=samples)))
        # Without 1/N and 1/K, which a program may apply last, these numbers are that much larger.
        growth = samples * (1 + largest[index][0]) + layer.fan_out * largest[index][1]
        peaks.append(divisor * k * growth * float(dz.magnitude.max()))
        if index > 0:
            dh = arithmetic.affine(dz, layer.W.T, sizes[index].T, None)
            dz = arithmetic.times(dh, passed[index - 1][1].bounded_slope)
    return Bounds(gradient[::-1], loss_error, float(np.max(peaks)))  # NaN where one of them is
