"""How far rounding can carry the layers with cross terms: new rules for the analysis of `rounding`.

**A quotient** of a by b with |e_b| < |b|: |â/b̂ - a/b| ≤ (e_a + |a/b| e_b) / (|b| - e_b), since
â/b̂ - a/b = (â - a)/b̂ - (a/b)(b̂ - b)/b̂; then one rounding (Higham, section 2.2, the standard model).

**A reciprocal root** r = s^-½ of s ≥ ε. It falls, and ever more slowly (it is convex), so over
[s - e, s + e] it strays furthest at the lower end: |r̂ - r| ≤ (s - e)^-½ - s^-½. The lower end is not
below ε/2: a variance is a sum of squares, which no rounding makes negative, so ŝ ≥ ε(1 - γ). Then a
square root and a division, correctly rounded by IEEE 754, or one library call: `FORMULA` · u · r.

**A variance** v = (1/m) Σ d², d = x - μ, by the rules for sums and products, with the error of μ in each
d. That is the two-pass formula (Higham, section 1.9). The one-pass formula, the mean of the squares less
the square of the mean, loses the digits that x and μ share and is not covered.

**A term that is zero.** The long form of the backward pass has dvar · (-2/m) Σ(x - μ) in dμ, which is 0
but for the rounding of the sum. Programs with it and programs without are both right, so its error is added.

**Degenerate points.** A constant column under batch normalisation, a sample of equal units under layer
normalisation, a sample of zeros under RMS normalisation: v = 0, and ε alone decides, r = 1/√ε ≈ 316. The
true slope there is finite and the bound stays small as long as the rounding of v is below ε. Where the
column is so large that it isn't, |x| above about √ε/u, the lower end is ε/2 and the bound is as wide as the
slope: nobody can tell. A single sample under batch normalisation is such a column, with dx = 0.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from reference.layers import EPSILON, OUTPUT_OF, Parameters
from reference.network import Array, choose
from reference.rounding import ACTIVATED, ERRORS, FORMULA, Arithmetic, Bounded

FLOAT64 = Arithmetic(np, float(np.finfo(np.float64).eps), float(np.finfo(np.float64).tiny))
"""float64 for the subject and for the reference: twice the unit roundoff, which is half of eps."""


class Rounding(NamedTuple):
    """A layer's two passes with bounds.

    `forward(arithmetic, x, *parameters)` gives y; `backward(arithmetic, dy, x, y, *parameters)` gives
    (dx, *dparameters), None where nothing is learned. dy, x and y are `Bounded`, parameters are arrays.
    """

    forward: Callable[..., Bounded]
    backward: Callable[..., tuple[Any, ...]]


def quotient(arithmetic: Arithmetic, a: Bounded, b: Bounded) -> Bounded:
    """a / b, entry by entry, for b further from 0 than its error."""
    ratio, least = abs(a.x / b.x), abs(b.x) - b.e - b.k
    own = arithmetic.gamma(1) * a.magnitude / least + arithmetic.tiny
    return Bounded(a.x / b.x, (a.e + ratio * b.e) / least + own, (a.k + ratio * b.k) / least)


def reciprocal_root(arithmetic: Arithmetic, s: Bounded) -> Bounded:
    """1/√s for s that is `EPSILON` or more."""

    def lower(error: Array) -> Array:
        return arithmetic.xp.maximum(s.x - error, EPSILON / 2) ** -0.5

    r, rounded, opened = s.x**-0.5, lower(s.e), lower(s.e + s.k)
    return Bounded(r, rounded - r + FORMULA * arithmetic.unit * rounded, opened - rounded)


def _negative(a: Bounded) -> Bounded:
    return Bounded(-a.x, a.e, a.k)


def _mean(arithmetic: Arithmetic, a: Bounded, axis: int) -> Bounded:
    terms = a.x.shape[axis]
    return arithmetic.scaled(arithmetic.total(a, axis, terms, keepdims=True), 1 / terms)


def _standardised(
    arithmetic: Arithmetic, x: Bounded, axis: int, *, centred: bool
) -> tuple[Bounded, Bounded, Bounded]:
    """x̂, what was scaled (x - μ, or x itself), and r."""
    d = arithmetic.plus(x, _negative(_mean(arithmetic, x, axis))) if centred else x
    variance = _mean(arithmetic, arithmetic.times(d, d), axis)
    r = reciprocal_root(arithmetic, arithmetic.plus(variance, arithmetic.exact(EPSILON + 0 * variance.x)))
    return arithmetic.times(d, r), d, r


def _normalisation(axis: int, *, centred: bool) -> Rounding:
    """y = γ x̂ (+ β); dx = r(dx̂ - mean dx̂ - x̂ mean dx̂ x̂), without mean dx̂ where nothing is centred."""

    def forward(arithmetic: Arithmetic, x: Bounded, gain: Array, *shift: Array) -> Bounded:
        x_hat, _, _ = _standardised(arithmetic, x, axis, centred=centred)
        y = arithmetic.times(x_hat, arithmetic.exact(gain))
        return arithmetic.plus(y, arithmetic.exact(shift[0])) if centred else y

    def backward(
        arithmetic: Arithmetic, dy: Bounded, x: Bounded, y: Bounded, gain: Array, *shift: Array
    ) -> tuple[Bounded, ...]:
        del y, shift
        samples = dy.x.shape[0]
        x_hat, d, r = _standardised(arithmetic, x, axis, centred=centred)
        dx_hat = arithmetic.times(dy, arithmetic.exact(gain))
        product = _mean(arithmetic, arithmetic.times(dx_hat, x_hat), axis)
        inner = arithmetic.plus(dx_hat, _negative(arithmetic.times(x_hat, product)))
        dgain = arithmetic.total(arithmetic.times(dy, x_hat), 0, samples)
        if not centred:
            return arithmetic.times(r, inner), dgain
        inner = arithmetic.plus(inner, _negative(_mean(arithmetic, dx_hat, axis)))
        dx = arithmetic.times(r, inner)
        vanishing = arithmetic.times(
            arithmetic.times(arithmetic.times(r, r), product), _mean(arithmetic, d, axis)
        )
        dx = Bounded(dx.x, dx.e + vanishing.magnitude, dx.k)
        return dx, dgain, arithmetic.total(dy, 0, samples)

    return Rounding(forward, backward)


LAYER_NORM = _normalisation(axis=1, centred=True)
BATCH_NORM = _normalisation(axis=0, centred=True)
RMS_NORM = _normalisation(axis=1, centred=False)


def _dense_forward(arithmetic: Arithmetic, x: Bounded, W: Array, b: Array) -> Bounded:
    z = arithmetic.matmul(x, arithmetic.exact(W), len(W))
    return z if b is None else arithmetic.plus(z, arithmetic.exact(b))


def _dense_backward(
    arithmetic: Arithmetic, dy: Bounded, x: Bounded, y: Bounded, W: Array, b: Array
) -> tuple[Bounded | None, ...]:
    del y
    samples = len(dy.x)
    dx = arithmetic.matmul(dy, arithmetic.exact(W.T), W.shape[1])
    dW = arithmetic.matmul(x.mT, dy, samples)
    return dx, dW, None if b is None else arithmetic.total(dy, 0, samples)


DENSE = Rounding(_dense_forward, _dense_backward)


@cache
def activation(name: str) -> Rounding:
    """The activation `name`, hidden or last, with the bounds of `rounding`."""

    def activated(arithmetic: Arithmetic, x: Bounded) -> Any:
        return ACTIVATED[name](arithmetic, x.x, x.e + x.k)

    def forward(arithmetic: Arithmetic, x: Bounded) -> Bounded:
        f = activated(arithmetic, x)
        return Bounded(f.h, f.h_error, 0 * f.h)

    def backward(arithmetic: Arithmetic, dy: Bounded, x: Bounded, y: Bounded) -> tuple[Bounded]:
        if name == "softmax":
            inner = arithmetic.total(arithmetic.times(dy, y), 1, y.x.shape[1], keepdims=True)  # (n, 1)
            return (arithmetic.times(y, arithmetic.plus(dy, _negative(inner))),)
        f = activated(arithmetic, x)
        return (arithmetic.times(dy, Bounded(f.slope, f.slope_error, f.slope_open)),)

    return Rounding(forward, backward)


def _dropout_forward(arithmetic: Arithmetic, x: Bounded, mask: Array) -> Bounded:
    return arithmetic.times(x, arithmetic.exact(mask))


def _dropout_backward(
    arithmetic: Arithmetic, dy: Bounded, x: Bounded, y: Bounded, mask: Array
) -> tuple[Bounded, None]:
    del x, y
    return arithmetic.times(dy, arithmetic.exact(mask)), None


DROPOUT = Rounding(_dropout_forward, _dropout_backward)


@cache
def residual(inner: Rounding) -> Rounding:
    """x + inner(x)."""

    def forward(arithmetic: Arithmetic, x: Bounded, *parameters: Array) -> Bounded:
        return arithmetic.plus(x, inner.forward(arithmetic, x, *parameters))

    def backward(
        arithmetic: Arithmetic, dy: Bounded, x: Bounded, y: Bounded, *parameters: Array
    ) -> tuple[Any, ...]:
        del y
        inner_y = inner.forward(arithmetic, x, *parameters)
        dx, *dparameters = inner.backward(arithmetic, dy, x, inner_y, *parameters)
        return arithmetic.plus(dy, dx), *dparameters

    return Rounding(forward, backward)


@cache
def tied(name: str) -> Rounding:
    """f(x W) Wᵀ."""
    f = activation(name)

    def hidden(arithmetic: Arithmetic, x: Bounded, W: Array) -> tuple[Bounded, Bounded]:
        z = arithmetic.matmul(x, arithmetic.exact(W), len(W))
        return z, f.forward(arithmetic, z)

    def forward(arithmetic: Arithmetic, x: Bounded, W: Array) -> Bounded:
        return arithmetic.matmul(hidden(arithmetic, x, W)[1], arithmetic.exact(W.T), W.shape[1])

    def backward(
        arithmetic: Arithmetic, dy: Bounded, x: Bounded, y: Bounded, W: Array
    ) -> tuple[Bounded, Bounded]:
        del y
        samples = len(dy.x)
        z, h = hidden(arithmetic, x, W)
        (dz,) = f.backward(arithmetic, arithmetic.matmul(dy, arithmetic.exact(W), len(W)), z, h)
        encoding = arithmetic.matmul(x.mT, dz, samples)
        decoding = arithmetic.matmul(dy.mT, h, samples)
        dx = arithmetic.matmul(dz, arithmetic.exact(W.T), W.shape[1])
        return dx, arithmetic.plus(encoding, decoding)

    return Rounding(forward, backward)


def _error(arithmetic: Arithmetic, loss: str, z: Bounded, targets: Array, weights: Array) -> Bounded:
    """∂L/∂z of a weighted average, or of the contrastive loss, (n, K)."""
    samples, units = targets.shape
    total = arithmetic.total(arithmetic.exact(weights), 0, samples)
    share = quotient(arithmetic, arithmetic.exact(weights), total)  # (n,)
    column = Bounded(*(v[:, None] for v in share))  # (n, 1)
    if loss == "contrastive":
        t = arithmetic.exact(targets)
        gaps = arithmetic.plus(
            arithmetic.matmul(z, z.mT, units), _negative(arithmetic.matmul(t, t.mT, units))
        )
        pairs = arithmetic.times(column, Bounded(*(v[None, :] for v in share)))  # (n, n)
        return arithmetic.scaled(arithmetic.matmul(arithmetic.times(pairs, gaps), z, samples), 4)
    o = activation(OUTPUT_OF.get(loss, "identity")).forward(arithmetic, z)
    return arithmetic.times(column, choose(ERRORS, loss, arithmetic, z.x, o, targets, units))


def gradient(
    arithmetic: Arithmetic,
    layers: Sequence[Rounding],
    loss: str,
    parameters: Parameters,
    inputs: Array,
    targets: Array,
    weights: Array,
    penalised: Sequence[tuple[bool, ...]],
    strength: float = 0.0,
) -> list[tuple[Any, ...]]:
    """The bounded gradient of a stack of layers; arguments as for `reference.layers.gradient`."""
    hs = [arithmetic.exact(inputs)]
    for layer, arrays in zip(layers, parameters, strict=True):
        hs.append(layer.forward(arithmetic, hs[-1], *arrays))
    dy = _error(arithmetic, loss, hs[-1], targets, weights)
    gradients: list[tuple[Any, ...]] = []
    for at in reversed(range(len(layers))):
        dy, *found = layers[at].backward(arithmetic, dy, hs[at], hs[at + 1], *parameters[at])
        paid = zip(found, parameters[at], penalised[at], strict=True)
        gradients.append(
            tuple(arithmetic.plus(d, arithmetic.exact(strength * W)) if pays else d for d, W, pays in paid)
        )
    return gradients[::-1]


def weighted_mean(
    arithmetic: Arithmetic, gradients: Sequence[Sequence[tuple[Any, ...]]], weights: Sequence[float]
) -> list[tuple[Any, ...]]:
    """Σ_p weight_p gradient_p / Σ_p weight_p, array by array; None stays None."""
    divisor = sum(weights)

    def mean(arrays: tuple[Any, ...]) -> Any:
        if arrays[0] is None:
            return None
        stacked = Bounded(
            *(
                np.stack([weight / divisor * v for weight, v in zip(weights, values, strict=True)])
                for values in zip(*arrays, strict=True)
            )
        )
        return arithmetic.total(stacked, 0, len(weights))

    layers = zip(*gradients, strict=True)
    return [tuple(mean(arrays) for arrays in zip(*layer, strict=True)) for layer in layers]
