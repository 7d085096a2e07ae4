"""Finite differences of the reference's own loss, by NumPy alone, that know their own error.

**Along a direction** v the derivative of t ↦ L(θ + t v) at 0 is ⟨∇L, v⟩. With v random, every entry ±s,
one wrong entry can't hide in that number, and several wrong ones cancel with probability at most ½
(R. Freivalds, *Probabilistic machines can use less running time*, 1977): k directions miss with
probability at most 2^-k, whatever the number of parameters. The argument holds for any fixed s ≠ 0 in
each array, so `lengths` chooses an s that suits the network. What is missed surely is an error whose
share of the derivative lies below the noise; `Verdict.resolution` says where that begins.

**The formula.** D(t) = [L(θ + tv) - L(θ - tv)] / 2t = L' + c₂t² + c₄t⁴ + c₆t⁶ + ... Steps t, 2t and 4t
give R(t) = [4D(t) - D(2t)] / 3, free of t², and S = [16R(t) - R(2t)] / 15, free of t⁴ (W. Romberg, 1955;
J. Stoer and R. Bulirsch, *Introduction to Numerical Analysis*, section 3.5). S = L' + 64c₆t⁶ + ... is the
value, and |R(t) - R(2t)| = 60|c₄|t⁴ + ... the noise of truncation: far above the error of S, as long as
the series falls off at all.

**Rounding** (running error analysis, as in `reference.arithmetic.bounded`). The six points share the values ẑ, ĥ of
the network at θ, and only what a point adds to them is computed for it: with δ = h - ĥ the z of a layer at
θ + tv is ẑ + δW + t(δV + ĥV + v). So no point is rounded, there is no perturbed copy of the weights, and two
errors stay apart:

- `r`, what rounding does to a value at one point alone. It enters divided by t. In S the differences
  L(θ + mtv) - L(θ - mtv), m = 1, 2, 4, stand with the factors 64, -10 and ¼ over 90t, and each errs by at
  most 2r, which makes 1.65r/t. It is small: what a point adds is small, and its rounding with it.
- `e`, what ẑ and ĥ themselves are off. The six points are exact points, but for r, of a network whose z
  and h are shifted by constants, within e. Its derivative differs from the true one by `d`, the error that
  e makes in the derivative of every value with respect to t, carried along as e is. It is not divided by t.

Truncation and rounding balance near t = 2^-10 in a small well-scaled network; `judge` finds the balance of
the case at hand.

**Kinks.** Let all relu pre-activations have the same sides at the six points and at θ. Then the seven
losses belong to one smooth formula, that of these sides, and S is its derivative. Otherwise the
estimate is `kinked` and means nothing; a smaller step may avoid it.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, Literal, NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from reference.arithmetic.bounded import FORMULA, FREEDOM
from reference.network import (
    ACTIVATIONS,
    Choices,
    Layer,
    divisor,
    forward,
    layers_of,
    loss_terms,
    rows_of,
)

Floats = NDArray[np.float64]
Parameters = Sequence[tuple[Any, Any]]
"""[(W, b), ...], W (fan_in, fan_out), b (fan_out,), or None in a layer without bias."""

STEP = 2.0**-10
SMALLEST_STEP = 2.0**-34
"""Below it a kink is taken to lie at the point itself."""

_STEPS = 2.0**-14, 2.0**-5
"""Between these `judge` balances truncation and rounding for the case at hand."""

_MULTIPLES = np.array([1.0, 2.0, 4.0, -1.0, -2.0, -4.0])
_FAR = 4.0
_VALUE = np.array([64, -10, 1 / 4]) / 90  # S from the differences L(θ + mtv) - L(θ - mtv) over t
_AMPLIFIED = float(abs(_VALUE).sum())  # how much larger S may be than the largest difference over t
_ONCE = np.array([4, -1 / 2, 0]) / 6  # R(t)
_TWICE = np.array([0, 4 / 2, -1 / 4]) / 6  # R(2t)

_BLOCK = 2**18  # numbers held at a time where an array is too large for a copy
_SMALL, _LARGE = 2**14, 2**16  # numbers held at a time in a small case: within a processor's cache
_SIGNS = (
    2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) - 1
)  # the bits of every byte, ±1


class _Rounding(NamedTuple):
    """A format: its unit roundoff and its smallest normal number."""

    unit: float
    tiny: float

    def gamma(self, operations: float) -> float:
        """γ_m for m operations and `FREEDOM` more."""
        product = (operations + FREEDOM) * self.unit
        return product / (1 - product)


_DOUBLE = _Rounding(2.0**-53, float(np.finfo(np.float64).tiny))


class Signs:
    """A matrix of ±`length`, (fan_in, fan_out), held as bits, (fan_in, bytes): a 64th of the memory of floats."""

    __array_ufunc__ = None  # x @ signs comes to __rmatmul__

    def __init__(self, bits: NDArray[np.uint8], shape: tuple[int, int], length: float) -> None:
        """Take the signs from bits, which begin anew in every row."""
        self.shape, self.length, self._bits = shape, length, bits

    def blocks(self) -> Iterator[tuple[slice, Floats]]:
        """Some rows at a time, as floats, and which rows they are."""
        for rows in _row_blocks(self.shape):
            yield rows, _plus_minus(self._bits[rows], self.shape[1], self.length)

    def __rmatmul__(self, x: Floats) -> Floats:
        """The product x @ signs."""
        product = np.zeros((*x.shape[:-1], self.shape[1]))
        for rows, signs in self.blocks():
            product += x[..., rows] @ signs
        return product


def random_bits(shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.uint8]:
    """A random bit for every entry of an array, in whole bytes for each of its rows."""
    return random.integers(0, 256, (*shape[:-1], -(-shape[-1] // 8)), dtype=np.uint8)


def _plus_minus(bits: NDArray[np.uint8], columns: int, length: float) -> Floats:
    """±length for the bits 1 and 0; (..., bytes) to (..., columns)."""
    signs = np.asarray(length * _SIGNS, np.float64).take(bits, axis=0)
    return signs.reshape(*bits.shape[:-1], -1)[..., :columns]


class Directions:
    """`count` random directions, every entry ±s, held as bits."""

    def __init__(
        self,
        parameters: Parameters,
        sizes: Sequence[tuple[float, float]],
        random: np.random.Generator,
        count: int,
    ) -> None:
        """Draw directions in the shapes of the parameters; `sizes` are the lengths s for every W and b."""

        def drawn(array: Any) -> Any:
            return None if array is None else (random_bits((count, *array.shape), random), array.shape)

        self._layers = [
            (drawn(W), s, drawn(b), s_b) for (W, b), (s, s_b) in zip(parameters, sizes, strict=True)
        ]

    def some(self, chosen: Any) -> list[tuple[Any, Floats | None]]:
        """Those chosen by index, [(V, v), ...] stacked along a first axis; one alone where an array is large.

        v is None where b is; a V of more than 2^18 entries is `Signs`.
        """

        def floats(drawn: Any, length: float) -> Any:
            if drawn is None:
                return None
            bits, shape = drawn
            if math.prod(shape) > _BLOCK:
                return Signs(bits[chosen[0]], shape, length)
            return _plus_minus(bits[chosen], shape[-1], length)

        return [(floats(W, s), floats(b, s_b)) for W, s, b, s_b in self._layers]


def _row_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    rows = max(1, _BLOCK // max(1, shape[1]))
    return (slice(start, start + rows) for start in range(0, shape[0], rows))


def _carried(delta: Floats, W: Floats) -> Floats:
    """The product δW of every point at once, δ (..., fan_in) and W (fan_in, fan_out)."""
    return (delta.reshape(-1, W.shape[0]) @ W).reshape(*delta.shape[:-1], W.shape[1])


# --- the rounding error of the loss, wherever the points go -------------------------------------------------


def _of_distance(slope: Callable[[Floats], Floats]) -> Callable[[Floats, Floats], Floats]:
    """The largest slope within r of z, for a slope that falls with |z|."""
    return lambda z, r: slope(np.maximum(abs(z) - r, 0))


_STEEPEST: Mapping[str, Callable[[Floats, Floats], Any]] = {
    "identity": lambda z, r: 1.0,
    "tanh": _of_distance(lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": _of_distance(lambda z: (1 - np.tanh(z / 2) ** 2) / 4),
    "relu": lambda z, r: z + r > 0,
    "softplus": lambda z, r: (1 + np.tanh((z + r) / 2)) / 2,
}
"""The largest slope of an activation within r of z."""

_CURVED = {"identity": 0, "tanh": 0.77, "sigmoid": 0.0963, "relu": 0, "softplus": 0.25}
"""The largest |f''|, away from a kink: 4/(3√3), 1/(6√3) and 1/4."""

_OWN: Mapping[str, Callable[[Floats], Any]] = {
    "identity": lambda h: 0.0,
    "tanh": lambda h: 1.0,
    "sigmoid": lambda h: 1.0,
    "relu": lambda h: 0.0,
    "softplus": lambda h: 1 + h,
}
"""What the rounding of an activation's own formula is relative to, for |h| at most h."""


class _Reach(NamedTuple):
    """A value at θ, and bounds on what may become of it.

    Attributes:
        x: the value, as computed.
        k: how far the points carry it.
        e: its rounding error at θ.
        d: the error that the errors at θ make in its derivative with respect to t.
        r: what rounding does at one point alone.
    """

    x: Floats
    k: Floats
    e: Floats
    d: Floats
    r: Floats


def _size_product(x: Floats, W: Floats) -> Floats:
    """The product x |W| without a copy of a large W."""
    if W.size <= _BLOCK:
        return x @ abs(W)
    product = np.zeros((len(x), W.shape[1]))
    for rows in _row_blocks(W.shape):
        product += x[:, rows] @ abs(W[rows])
    return product


class _Move(NamedTuple):
    """How far the points carry z by a change of this layer's own parameters: `weights(|x|) + bias`."""

    weights: Callable[[Floats], Any]
    bias: float


def _reach_of_z(layer: Layer, x: _Reach, move: _Move, far: float) -> _Reach:
    """The reach of z = xW + b; `far` is the largest t."""
    b = 0.0 if layer.b is None else layer.b
    z = x.x @ layer.W + b
    factors = abs(x.x), x.k, x.e, x.d, x.r
    ends = np.cumsum([len(factor) for factor in factors[:-1]])
    size, k, e, d, r = np.split(_size_product(np.concatenate(factors), layer.W), ends)
    k = k + move.weights(abs(x.x) + x.k) + move.bias
    size = size + abs(b)
    gamma, least = _DOUBLE.gamma(layer.fan_in + 1), layer.fan_in * _DOUBLE.tiny
    return _Reach(
        x=z,
        k=k,
        e=e + gamma * size + least,
        d=d + move.weights(x.e) / far,  # the derivative of h(W + tV) has the term hV
        # Of the sums: δ itself, and that of the five terms of z.
        r=r + move.weights(x.r) + gamma * (k + r) + 5 * _DOUBLE.unit * (abs(z) + k) + least,
    )


def _reach_of_h(name: str, z: _Reach, far: float) -> _Reach:
    h = ACTIVATIONS[name](np, z.x)
    if name == "softmax":
        return _reach_of_softmax(h, z, far)
    steepest = _STEEPEST[name](z.x, z.k + z.e + z.r)
    bent = _CURVED[name] * z.e + (abs(z.x) <= z.e if name == "relu" else 0)  # the error of the slope
    own = FORMULA * _DOUBLE.unit * _OWN[name](abs(h) + z.k)
    return _Reach(
        x=h,
        k=steepest * z.k,
        e=steepest * z.e + own,
        d=steepest * z.d + bent * z.k / far,
        r=steepest * z.r + 2 * own,  # that of the point, and that of the value at θ
    )


def _reach_of_softmax(o: Floats, z: _Reach, far: float) -> _Reach:
    """∂o_j = o_j(∂z_j - Σ_k o_k ∂z_k): o moves by a factor of at most e^(2 max|∂z|).

    By once more: a shift of at most E changes the derivative of o_j along moves of at most Z by 6 o_j E Z.
    """
    k, e, d = (v.max(axis=-1, keepdims=True) for v in (z.k, z.e, z.d))
    largest = np.minimum(1, o * np.exp(2 * (k + e)))
    return _Reach(
        x=o,
        k=np.minimum(1, o * np.expm1(2 * k)),
        e=np.minimum(1, largest * np.expm1(_exponents_error(z, z.e))),
        d=largest * (2 * d + 6 * e * k / far),
        r=np.minimum(1, largest * np.expm1(_exponents_error(z, z.r))),
    )


def _exponents_error(z: _Reach, error: Floats) -> Floats:
    """The error of z_j - log Σ_k e^z_k: `error` of z_j, the largest of the row, and the function's own."""
    largest = (abs(z.x) + z.k).max(axis=-1, keepdims=True)
    return error + error.max(axis=-1, keepdims=True) + FORMULA * _DOUBLE.unit * (1 + largest)


class _TermErrors(NamedTuple):
    """Of a term ℓ_ij: `value`, what an error of z and one of o make of it, and its own; d as in `_Reach`."""

    value: Callable[[Floats, Floats], Floats]
    d: Floats


def _squares_errors(z: _Reach, o: _Reach, y: Floats, far: float) -> _TermErrors:
    del z
    size = abs(o.x - y) + o.k

    def value(of_z: Floats, error: Floats) -> Floats:
        del of_z
        return (2 * size + error) * error + _DOUBLE.gamma(1) * (size + error) ** 2

    return _TermErrors(value, 2 * (abs(o.x - y) + o.e) * o.d + 2 * o.e * o.k / far)


def _cross_entropy_errors(z: _Reach, o: _Reach, y: Floats, far: float) -> _TermErrors:
    """The derivative is y_j(Σ_k o_k ∂z_k - ∂z_j); a shift of at most E moves the sum by 2 E max|∂z|."""
    del o
    k, e, d = (v.max(axis=-1, keepdims=True) for v in (z.k, z.e, z.d))

    def value(error: Floats, of_o: Floats) -> Floats:
        del of_o
        return abs(y) * _exponents_error(z, error)

    return _TermErrors(value, abs(y) * (2 * d + 2 * e * k / far))


def _binary_cross_entropy_errors(z: _Reach, o: _Reach, y: Floats, far: float) -> _TermErrors:
    """The derivative is [(1 - y) σ(z) - y σ(-z)] ∂z, and σ' ≤ 1/4."""
    del o
    mass, own = abs(y) + abs(1 - y), FORMULA * _DOUBLE.unit * (1 + abs(z.x) + z.k)

    def value(error: Floats, of_o: Floats) -> Floats:
        del of_o
        return mass * (error + own)

    return _TermErrors(value, mass * (z.d + z.e * z.k / far / 4))


_TERM_ERRORS: Mapping[str, tuple[Callable[..., _TermErrors], Callable[[int], float]]] = {
    "mse": (_squares_errors, lambda k: 1 / k),
    "half_mse": (_squares_errors, lambda k: 0.5 / k),
    "sse": (_squares_errors, lambda k: 1),
    "half_sse": (_squares_errors, lambda k: 0.5),
    "cross_entropy": (_cross_entropy_errors, lambda k: 1),
    "binary_cross_entropy": (_binary_cross_entropy_errors, lambda k: 1),
    "mean_binary_cross_entropy": (_binary_cross_entropy_errors, lambda k: 1 / k),
}
"""The errors of ℓ_ij from z, o, the target y, all (n, K), and the largest t; and the loss's factor for K."""


class _Part(NamedTuple):
    """Some samples at θ: what every estimate around it needs of them.

    For every layer `xs` are the inputs x, with the errors `x_errors`, and `zs` the pre-activations. `rows`
    (n, K) are the targets. For each sample `r` and `d` (n,) bound the errors of its loss (see `_Reach`), and
    `change` (n,) how far a move to a point changes it.
    """

    rows: Floats
    xs: list[Floats]
    x_errors: list[Floats]
    zs: list[Floats]
    r: Floats
    d: Floats
    change: Floats

    def kinks(self, layers: Sequence[Layer]) -> list[Floats | None]:
        """The z of every relu layer, None for the others."""
        return [z if layer.activation == "relu" else None for layer, z in zip(layers, self.zs, strict=True)]


class _Ground(NamedTuple):
    """The network at θ, part by part; `far` is the largest t."""

    layers: list[Layer]
    loss: str
    divisor: int
    samples: int
    far: float
    parts: list[_Part]

    @property
    def summing(self) -> float:
        """What adding up all the terms of the loss makes of the size of each."""
        return _DOUBLE.gamma(_pairwise(self.samples * self.layers[-1].fan_out) + len(self.parts))


def _ground(
    parameters: Parameters,
    inputs: Floats,
    targets: Any,
    sizes: Sequence[tuple[float, float]],
    step: float,
    *,
    hidden: str,
    output: str,
    loss: str,
    reduction: str,
) -> _Ground:
    """`sizes` has for every layer the largest entry of the direction in W and in b."""
    layers = layers_of(parameters, hidden, output)
    rows = rows_of(np, np.asarray(targets), layers[-1].fan_out)
    by, far = divisor(len(inputs), reduction), _FAR * step
    moves = [_move(s, s_b, far) for s, s_b in sizes]
    several = max(1, _room(layers, len(inputs)) // _held(layers))
    parts = [slice(start, start + several) for start in range(0, len(inputs), several)]
    found = [_part(layers, moves, far, inputs[part], rows[part], loss, by) for part in parts]
    return _Ground(layers, loss, by, len(inputs), far, found)


def _part(
    layers: Sequence[Layer],
    moves: Sequence["_Move"],
    far: float,
    inputs: Floats,
    rows: Floats,
    loss: str,
    by: int,
) -> _Part:
    nothing = np.zeros((1, inputs.shape[1]))  # for every sample
    z = h = _Reach(inputs, nothing, nothing, nothing, nothing)
    xs: list[Floats] = []
    x_errors: list[Floats] = []
    zs: list[Floats] = []
    for layer, move in zip(layers, moves, strict=True):
        xs.append(h.x)
        x_errors.append(np.broadcast_to(h.e, h.x.shape))
        z = _reach_of_z(layer, h, move, far)
        zs.append(z.x)
        h = _reach_of_h(layer.activation, z, far)
    errors, factor = _TERM_ERRORS[loss]
    term = errors(z, h, rows, far)
    # A move within the reach k does to a term what an error of that size does.
    bounds = term.value(z.r, h.r), term.d, 2 * term.value(z.k, h.k)
    r, d, change = (factor(layers[-1].fan_out) / by * bound.sum(axis=1) for bound in bounds)
    return _Part(rows, xs, x_errors, zs, r, d, change)


def _room(layers: Sequence[Layer], samples: int) -> int:
    """Numbers to hold at a time: what fits a processor's cache, and not much more than is there already."""
    activations = layers[0].fan_in + 2 * sum(layer.fan_out for layer in layers)
    there = sum(layer.W.size for layer in layers) + samples * activations
    return max(_SMALL, min(_LARGE, 3 * there // 2), there // 2)


def _held(layers: Sequence[Layer]) -> int:
    """Numbers held at a time for one sample: z, h, and δ of the layer below, at the points of a direction."""
    fan_ins = [0, *(layer.fan_in for layer in layers[1:])]
    return len(_MULTIPLES) * max(m + 2 * layer.fan_out for m, layer in zip(fan_ins, layers, strict=True))


def _move(s: float, s_b: float, far: float) -> _Move:
    """Entries of at most s in V and s_b in v carry z by at most far · (s Σ_a |x_a| + s_b)."""

    def weights(x: Floats) -> Floats:
        return far * s * x.sum(axis=-1, keepdims=True)

    return _Move(weights, far * s_b)


# --- along directions ---------------------------------------------------------------------------------------


class Estimate(NamedTuple):
    """The derivative along a direction, how far it may be off, and whether a kink spoils it."""

    value: float
    noise: float
    kinked: bool


def lengths(parameters: Parameters, inputs: Floats, *, hidden: str) -> list[tuple[float, float]]:
    """Powers of two (s for W, s for b) that suit the steps of every layer.

    With random signs Σ_a x_a (±s) is about s‖x‖, and what arrives at one unit of the layer above is
    carried by the norm of its column of weights. The step moves no pre-activation by much more than 1.
    Where x is nearly 0, what counts is the x at the farthest point, to which the layers below carry it.
    """
    layers = layers_of(parameters, hidden, hidden)
    _, hs = forward(np, layers[:-1], inputs)
    reaches = [0.0, *[_FAR * _STEPS[1]] * (len(layers) - 1)]
    norms = [
        np.linalg.norm(abs(x) + reach, axis=1).max(initial=0) for x, reach in zip(hs, reaches, strict=True)
    ]
    return [
        (float(_power_of_two(1 / (growth * norm))), float(_power_of_two(1 / growth)))
        for growth, norm in zip(_growths(layers), norms, strict=True)
    ]


def _growths(layers: Sequence[Layer]) -> list[float]:
    """How far at most, about, a move by 1 in a layer's z is carried on its way up, if not less than 1."""
    growths = [1.0]
    for layer in reversed(layers[1:]):
        columns = np.einsum("ij,ij->j", layer.W, layer.W).max(initial=0)
        growths.append(growths[-1] * max(1.0, float(np.sqrt(columns))))
    return growths[::-1]


def _power_of_two(x: Any) -> Any:
    """The largest power of two up to x; 1 where x is no length to step by."""
    fits = (x > _DOUBLE.tiny) & (x < np.inf)
    return np.where(fits, 2.0 ** np.floor(np.log2(np.where(fits, x, 1))), 1.0)


def directions(
    parameters: Parameters, inputs: Floats, random: np.random.Generator, *, hidden: str
) -> Iterator[Any]:
    """Random directions without end: [(V, v), ...] in the shapes of `parameters`, every entry ±s.

    v is None where b is; a V of more than 2^18 entries is `Signs`.
    """
    sizes = lengths(parameters, inputs, hidden=hidden)
    while True:
        stacked = Directions(parameters, sizes, random, 1).some([0])
        yield [(V if isinstance(V, Signs) else V[0], None if v is None else v[0]) for V, v in stacked]


def _romberg(deltas: Floats, step: Floats) -> tuple[Floats, Floats]:
    """S and |R(t) - R(2t)| from the differences L(θ + mtv) - L(θ - mtv), (..., 3), and t (...)."""
    return deltas @ _VALUE / step, abs(deltas @ (_ONCE - _TWICE)) / step


class _Found(NamedTuple):
    """For each direction: S, its noise by truncation and by rounding, and the step's share free of kinks."""

    value: Floats
    truncation: Floats
    rounding: Floats
    share: Floats


def _estimates(ground: _Ground, direction: Any, steps: Floats) -> _Found:
    """Six values of the loss for each direction and what they tell.

    `direction` is [(V, v), ...] with V (directions, fan_in, fan_out) or `Signs`, and v (directions,
    fan_out); `steps` (directions,).
    """
    taus = steps[:, None, None, None] * _MULTIPLES[:, None, None]  # (directions, points, 1, 1)
    deltas, share = np.zeros((len(steps), 3)), np.ones(len(steps))
    for part in ground.parts:
        z = h = delta = None
        for layer, x, z_base, own in zip(ground.layers, part.xs, part.zs, direction, strict=True):
            delta = None if h is None else np.subtract(h, x, out=h)  # the h of the layer below is used up
            z = _at_the_points(layer, x, z_base, delta, own, taus)
            if layer.activation == "relu":
                share = np.minimum(share, _free_share([z_base], [z]))
            h = ACTIVATIONS[layer.activation](np, z)
        terms = loss_terms(np, ground.layers[-1], z, h, part.rows, ground.loss)
        deltas += (terms[:, :3] - terms[:, 3:]).reshape(len(steps), 3, -1).sum(axis=-1)
    value, truncation = _romberg(deltas / ground.divisor, steps)
    r, change, d = (
        sum(bound.sum() for bound in bounds)
        for bounds in zip(*((part.r, part.change, part.d) for part in ground.parts), strict=True)
    )
    return _Found(value, truncation, _rounding(r, ground.summing * change, steps) + d, share)


def _at_the_points(
    layer: Layer, x: Floats, z: Floats, delta: Floats | None, own: tuple[Any, Any], taus: Floats
) -> Floats:
    """A layer's z at the points, ẑ + δW + τ(δV + ĥV + v), (directions, points, n, fan_out).

    x (n, fan_in) is ĥ, z (n, fan_out) is ẑ; δ (directions, points, n, fan_in), None for 0; `own` is (V, v).
    """
    V, v = own
    many, points, *_ = taus.shape
    change = (x @ V).reshape(many, 1, *z.shape)
    if v is not None:
        change += v[:, None, None]
    if delta is None:
        moved = taus * change
    else:
        moved = (delta.reshape(many, -1, layer.fan_in) @ V).reshape(many, points, *z.shape)
        moved += change
        moved *= taus
        moved += _carried(delta, layer.W)
    moved += z
    return moved


def _rounding(r: Any, summing: Any, steps: Floats) -> Floats:
    """The noise of rounding where a value of the loss errs by r, and adding up differences by `summing`."""
    return _AMPLIFIED * (2 * r + summing) / steps


def _pairwise(terms: int) -> float:
    """Roundings on the way of one term through NumPy's sum: 8 lanes, blocks of 128, then by halves."""
    return 24 + np.log2(max(terms, 1))


def _free_share(
    kinks: Sequence[Floats | None], zs: Sequence[Floats], axes: tuple[int, ...] = (1, 2, 3)
) -> Any:
    """1 where no relu changes sides, else about the share of the step before it does; least over `axes`."""
    share: Any = 1.0
    for z, base in zip(zs, kinks, strict=True):
        if base is None:
            continue
        crossed = (z > 0) != (base > 0)
        if crossed.any():
            ratios = z - base  # and from here on in the same memory
            np.maximum(np.abs(ratios, out=ratios), _DOUBLE.tiny, out=ratios)
            np.minimum(np.divide(abs(base), ratios, out=ratios), 0.5, out=ratios)
            ratios[~crossed] = 1
            share = np.minimum(share, ratios.min(axis=axes))
    return share


def along(
    parameters: Parameters,
    direction: Any,
    inputs: Floats,
    targets: Any,
    *,
    hidden: str,
    output: str,
    loss: str,
    reduction: str,
    step: float = STEP,
) -> Estimate:
    """The derivative of the loss along a direction, from six values of the loss.

    Args:
        parameters: [(W, b), ...], W (fan_in, fan_out), b (fan_out,) or None, float64.
        direction: [(V, v), ...] in the same shapes, one of `directions` or any arrays; lengths as there
            keep the noise small.
        inputs: (n, fan_in).
        targets: (n, K), or integer labels (n,).
        hidden: a name in `reference.network.ACTIVATIONS`.
        output: likewise.
        loss: a name in `reference.network.LOSSES`.
        reduction: "mean" or "sum".
        step: t, in units of the direction.

    Returns:
        `Estimate`; where not `kinked`, the derivative lies within `noise` of `value`. Overflow shows as
        a value or a noise that is not finite.
    """
    with np.errstate(all="ignore"):
        inputs = np.asarray(inputs, np.float64)
        sizes = [(_length(V), _length(v)) for V, v in direction]
        choices = {"hidden": hidden, "output": output, "loss": loss, "reduction": reduction}
        ground = _ground(parameters, inputs, targets, sizes, step, **choices)
        stacked = [
            (V if isinstance(V, Signs) else V[None], None if v is None else v[None]) for V, v in direction
        ]
        found = _estimates(ground, stacked, np.array([step]))
    return Estimate(
        float(found.value[0]), float(found.truncation[0] + found.rounding[0]), bool(found.share[0] < 1)
    )


def _length(v: Any) -> float:
    if v is None:
        return 0.0
    return v.length if isinstance(v, Signs) else float(abs(v).max(initial=0))


# --- the verdict --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What the directions say of a gradient.

    Attributes:
        outcome: "agree", "disagree", or "inconclusive" where no direction could tell.
        reason: in words, what was found, and why a direction could not tell.
        conclusive: the number of directions that could tell.
        worst: the largest |⟨g, v⟩ - estimate| / (noise and rounding); above 1 is a disagreement.
        resolution: the median of (noise and rounding) / |derivative| over the conclusive directions: how
            large a share of the derivative an error must have to be seen.
    """

    outcome: Literal["agree", "disagree", "inconclusive"]
    reason: str
    conclusive: int
    worst: float
    resolution: float

    @property
    def miss(self) -> float:
        """The probability that errors larger than the noise cancel in every conclusive direction."""
        return 2.0**-self.conclusive


def judge(
    gradient: Parameters,
    parameters: Parameters,
    inputs: Floats,
    targets: Any,
    *,
    count: int = 30,
    seed: int = 0,
    bound: Parameters | None = None,
    **choices: Unpack[Choices],
) -> Verdict:
    """Compare ⟨gradient, v⟩ with the finite difference along `count` random directions v.

    Args:
        gradient: [(dW, db), ...] of the subject.
        parameters: [(W, b), ...], as for `along`, like the rest.
        inputs: (n, fan_in).
        targets: (n, K) or labels (n,).
        count: how many directions.
        seed: of the random signs.
        bound: what rounding explains for every entry of `gradient`, in the same shapes
            (`reference.network_truth`); without it the gradient's own rounding in float64 is taken to
            be less than the noise, which is 1/t times larger.
        choices: `hidden`, `output`, `loss` and `reduction`, as for `along`.

    Returns:
        `Verdict`. A disagreement in one direction is enough, and stands at half the step as well.
    """
    inputs = np.asarray(inputs, np.float64)
    with np.errstate(all="ignore"):
        sizes = lengths(parameters, inputs, hidden=choices["hidden"])
        ground = _ground(parameters, inputs, targets, sizes, STEP, **choices)
        slack = _slack(gradient, bound, sizes)
        directions = Directions(parameters, sizes, np.random.default_rng(seed), count)
        pilot = _estimates(ground, directions.some([0]), np.array([STEP]))
        step = _balanced(pilot)
        if step != STEP:
            ground = _ground(parameters, inputs, targets, sizes, step, **choices)
        ask = partial(_beside_kinks, ground, gradient, directions, slack)
        answers = ask(np.arange(count), np.full(count, step))
        accused = np.flatnonzero(~(answers.difference <= answers.allowed) & (answers.step > 0))
        if len(accused):
            again = ask(accused, answers.step[accused] / 2)
            for column, second in zip(answers, again, strict=True):
                column[accused] = second
        return _verdict(answers)


def _balanced(pilot: _Found) -> float:
    """The step at which the truncation, which grows as t⁴, equals the rounding, which falls as 1/t.

    Where kinks are near, a step that may do.
    """
    if pilot.share[0] < 1:
        return max(STEP * float(_shortening(pilot.share)[0]), SMALLEST_STEP)
    best = STEP * (pilot.rounding / np.maximum(pilot.truncation, _DOUBLE.tiny)) ** (1 / 5)
    return float(np.clip(_power_of_two(best), *_STEPS)[0])


def _shortening(share: Floats) -> Floats:
    """What to multiply a step by, of which `share` is free of kinks."""
    return 2.0 ** np.floor(np.log2(np.maximum(share / 2, _DOUBLE.tiny)))


def _batches(ground: _Ground, which: Any) -> list[Any]:
    """The directions to take at once: as many as there is room for, with their points."""
    numbers = sum(layer.W.size for layer in ground.layers) + ground.samples * _held(ground.layers)
    most = max(1, _room(ground.layers, ground.samples) // numbers)
    return np.split(which, range(most, len(which), most))


def _slack(gradient: Parameters, bound: Parameters | None, sizes: Sequence[tuple[float, float]]) -> float:
    """How far rounding may carry ⟨gradient, v⟩: the sum itself, and what `bound` grants to every entry."""
    count = sum(dW.size for dW, _ in gradient)
    size = _weighted(gradient, sizes)
    own = (
        _DOUBLE.gamma(_pairwise(count) + count / _BLOCK + 2 * len(gradient)) * size
        if np.isfinite(size)
        else 0.0
    )
    return own if bound is None else own + _weighted(bound, sizes)


def _weighted(arrays: Parameters, sizes: Sequence[tuple[float, float]]) -> float:
    """Σ s |entry| over all entries of all arrays."""
    return sum(
        s * sum(float(abs(W[rows]).sum(dtype=np.float64)) for rows in _row_blocks(W.shape))
        + (0 if b is None else s_b * float(abs(b).sum(dtype=np.float64)))
        for (W, b), (s, s_b) in zip(arrays, sizes, strict=True)
    )


def _inner(gradient: Parameters, direction: Any) -> Floats:
    """The inner products ⟨gradient, v⟩, (directions,); every product with ±s is exact."""
    total: Any = 0
    for (dW, db), (V, v) in zip(gradient, direction, strict=True):
        if isinstance(V, Signs):
            total = total + np.array([sum(float((dW[rows] * signs).sum()) for rows, signs in V.blocks())])
        else:
            total = total + (V * dW).reshape(len(V), -1).sum(axis=-1)
        if v is not None:
            total = total + (v * db).sum(axis=-1)
    return total


class _Answers(NamedTuple):
    """For each direction: |⟨g, v⟩ - S|, what is allowed, |S|, and the step, 0 where it was given up."""

    difference: Floats
    allowed: Floats
    derivative: Floats
    step: Floats


def _beside_kinks(
    ground: _Ground, gradient: Parameters, directions: Directions, slack: float, which: Any, steps: Floats
) -> _Answers:
    """The answers of some directions, by index, with steps short enough to cross no kink."""
    answers = _Answers(*np.zeros((4, len(which))))
    waiting = np.arange(len(which))
    while len(waiting):
        slopes: list[Floats] = []
        estimates: list[_Found] = []
        for batch in _batches(ground, waiting):
            direction = directions.some(which[batch])
            slopes.append(_inner(gradient, direction))
            estimates.append(_estimates(ground, direction, steps[batch]))
        found = _Found(*map(np.concatenate, zip(*estimates, strict=True)))
        answers.difference[waiting] = abs(np.concatenate(slopes) - found.value)
        answers.allowed[waiting] = found.truncation + found.rounding + slack
        answers.derivative[waiting] = abs(found.value)
        kinked = found.share < 1
        answers.step[waiting] = np.where(kinked, 0, steps[waiting])
        waiting, share = waiting[kinked], found.share[kinked]
        steps[waiting] *= _shortening(share)
        waiting = waiting[steps[waiting] >= SMALLEST_STEP]
    return answers


def _verdict(answers: _Answers) -> Verdict:
    difference, allowed, derivative, step = answers
    kink = step == 0
    overflow = ~kink & ~(np.isfinite(derivative) & np.isfinite(allowed))
    usable = ~kink & ~overflow
    wrong = usable & ~(difference <= allowed)  # a NaN of the subject's is wrong where the truth is finite
    noise = usable & ~wrong & (allowed >= derivative)
    conclusive = usable & ~noise
    ratios = np.nan_to_num(difference[usable] / allowed[usable], nan=np.inf)
    worst = float(ratios.max(initial=0))
    reasons = [f"all {len(wrong)} directions agree"]
    if not conclusive.all() or wrong.any():
        ways = {
            f"disagree, by up to {worst:.2g} times the noise": wrong,
            "have a kink nearer than any step": kink,
            "overflow": overflow,
            "have a derivative below the noise": noise,
        }
        reasons = [
            f"{which.sum()} of {len(which)} directions {what}" for what, which in ways.items() if which.any()
        ]
    median = np.median(allowed[conclusive] / derivative[conclusive]) if conclusive.any() else np.inf
    return Verdict(
        outcome="disagree" if wrong.any() else "agree" if conclusive.any() else "inconclusive",
        reason="; ".join(reasons),
        conclusive=int(conclusive.sum()),
        worst=worst,
        resolution=float(median),
    )


# --- every coordinate ---------------------------------------------------------------------------------------


def every_coordinate(
    parameters: Parameters,
    inputs: Floats,
    targets: Any,
    **choices: Unpack[Choices],
) -> tuple[list[tuple[Floats, Floats | None]], list[tuple[Floats, Floats | None]]]:
    """The derivative of the loss by every single weight, to say where a gradient is wrong.

    A weight W[a, j] enters through z_ij = Σ_a x_ia W[a, j] + b_j alone, and there linearly, so that no
    difference need be taken of this step: ∂L/∂W[a, j] = Σ_i x_ia ∂L/∂z_ij. The slopes ∂L/∂z_ij are finite
    differences, with a step for each sample i and unit j. A change of z_ij moves the z of the layer above
    by a product of rank 1, and other samples not at all, so all the samples of one unit are moved at once.
    Arguments as for `along`.

    Returns:
        The derivatives [(dW, db), ...] and their noise [(nW, nb), ...], which is infinite where a kink is
        nearer than any step or the loss overflows.
    """
    inputs = np.asarray(inputs, np.float64)
    with np.errstate(all="ignore"):
        layers = layers_of(parameters, choices["hidden"], choices["output"])
        sizes = [(0.0, float(_power_of_two(1 / growth))) for growth in _growths(layers)]
        ground = _ground(parameters, inputs, targets, sizes, STEP, **choices)
        values: list[tuple[Floats, Floats | None]] = []
        noises: list[tuple[Floats, Floats | None]] = []
        for depth, (layer, (_, s)) in enumerate(zip(layers, sizes, strict=True)):
            found = [_over_a_part(ground, part, depth, s) for part in ground.parts]
            W, b, W_noise, b_noise = (reduce(np.add, arrays) for arrays in zip(*found, strict=True))
            values.append((W, None if layer.b is None else b))
            noises.append((_or_infinite(W_noise), None if layer.b is None else _or_infinite(b_noise)))
    return values, noises


def _or_infinite(noise: Floats) -> Floats:
    return np.where(np.isfinite(noise), noise, np.inf)


def _over_a_part(ground: _Ground, part: _Part, depth: int, s: float) -> tuple[Floats, Floats, Floats, Floats]:
    """What some samples add to ∂L/∂W and ∂L/∂b of a layer, and to the noise of both."""
    dz, noise = _slopes(ground, part, depth, s)  # (n, fan_out)
    x, error = part.xs[depth], part.x_errors[depth]
    noise_of_sums = noise + _DOUBLE.gamma(ground.samples) * abs(dz)
    W_noise = (abs(x) + error).T @ noise_of_sums + error.T @ abs(dz)
    return x.T @ dz, dz.sum(axis=0), W_noise, noise_of_sums.sum(axis=0)


def _slopes(ground: _Ground, part: _Part, depth: int, s: float) -> tuple[Floats, Floats]:
    """∂L/∂z_ij of one layer and its noise, both (n, fan_out); the steps are multiples of s."""
    n, units = part.zs[depth].shape
    values, noises, steps = np.zeros((units, n)), np.full((units, n), np.inf), np.full((units, n), s * STEP)
    open_ = np.ones((units, n), bool)
    most = max(1, _room(ground.layers, ground.samples) // (n * _held(ground.layers)))
    while open_.any():
        waiting = np.flatnonzero(open_.any(axis=1))
        for chosen in np.split(waiting, range(most, len(waiting), most)):
            found = _moved_units(ground, part, depth, chosen, steps[chosen])
            fresh = open_[chosen]
            values[chosen] = np.where(fresh, found.value, values[chosen])
            noise = np.where(found.share < 1, np.inf, found.truncation + found.rounding + part.d / s)
            noises[chosen] = np.where(fresh, noise, noises[chosen])
            shorter = steps[chosen] * _shortening(found.share)
            open_[chosen] = fresh & (found.share < 1) & (shorter >= SMALLEST_STEP * s)
            steps[chosen] = np.where(open_[chosen], shorter, steps[chosen])
    return values.T, noises.T


def _moved_units(ground: _Ground, part: _Part, depth: int, chosen: Any, steps: Floats) -> _Found:
    """Estimates of ∂L/∂z_ij for the chosen units j and every sample i; `steps` and results are (units, n)."""
    zs, hs = part.zs, part.xs
    taus = steps[:, None, :] * _MULTIPLES[:, None]  # (units, points, n)
    column = zs[depth].T[chosen, None, :] + taus
    layer, *above = ground.layers[depth:]
    kinks = part.kinks(ground.layers)[depth:]
    if above:
        change = ACTIVATIONS[layer.activation](np, column) - hs[depth + 1].T[chosen, None, :]
        z = (
            zs[depth + 1] + change[..., None] * above[0].W[chosen, None, None, :]
        )  # (units, points, n, fan_out)
        own = None if kinks[0] is None else kinks[0].T[chosen, None, :, None]
        moved, bases = [column[..., None], z], [own, *kinks[1:]]
        layer, *above = above
    else:
        here = (np.arange(layer.fan_out) == chosen[:, None])[:, None, None, :]  # (units, 1, 1, fan_out)
        z = np.where(here, column[..., None], zs[depth])
        moved, bases = [z], kinks
    h = ACTIVATIONS[layer.activation](np, z)
    for at, one in enumerate(above, start=depth + 2):
        z = zs[at] + _carried(h - hs[at], one.W)
        h = ACTIVATIONS[one.activation](np, z)
        moved.append(z)
    terms = loss_terms(np, ground.layers[-1], z, h, part.rows, ground.loss)
    deltas = (terms[:, :3] - terms[:, 3:]).sum(axis=-1) / ground.divisor  # (units, 3, n)
    value, truncation = _romberg(np.moveaxis(deltas, 1, 2), steps)
    share = np.broadcast_to(_free_share(bases, moved, axes=(1, 3)), steps.shape)
    return _Found(value, truncation, _rounding(part.r, ground.summing * part.change, steps), share)
