"""Running error analysis for single numbers, in a format in which each term shows: u = 1/256 and tiny = 2⁻²⁰."""

from collections.abc import Iterable
from math import exp, expm1, log1p, tanh
from typing import Any, NamedTuple

import numpy as np

from reference.rounding import Arithmetic, Bounded

U, TINY = 2.0**-8, 2.0**-20
FORMULA = 16 * U
COARSE = Arithmetic(np, U, TINY)


class V(NamedTuple):
    """A value."""

    x: float
    e: float = 0
    k: float = 0

    @property
    def most(self) -> float:
        """The largest size that it may have."""
        return abs(self.x) + self.e + self.k


def gamma(operations: int) -> float:
    """γ, with 8 operations more."""
    m = operations + 8
    return m * U / (1 - m * U)


def dot(pairs: Iterable[tuple[V, V]], m: int) -> V:
    """A sum of m products."""
    pairs = list(pairs)
    return V(
        sum(a.x * b.x for a, b in pairs),
        sum(abs(a.x) * b.e + a.e * b.most + gamma(m) * a.most * b.most for a, b in pairs) + m * TINY,
        sum(abs(a.x) * b.k + a.k * b.most for a, b in pairs),
    )


def times(a: V, b: V) -> V:
    """One product."""
    return dot([(a, b)], 1)


def plus(a: V, b: V) -> V:
    """One sum."""
    return V(a.x + b.x, a.e + b.e + gamma(1) * (a.most + b.most), a.k + b.k)


def total(values: Iterable[V], m: int) -> V:
    """A sum of m values."""
    values = list(values)
    return V(sum(v.x for v in values), sum(v.e + gamma(m) * v.most for v in values), sum(v.k for v in values))


def scaled(a: V, factor: float) -> V:
    """A product with a constant, whose rounding is counted elsewhere."""
    return V(factor * a.x, abs(factor) * a.e + TINY, abs(factor) * a.k)


def minus(y: float) -> V:
    """A target that is subtracted."""
    return V(-y)


# Activations -------------------------------------------------------------------------------------------


def sigmoid(z: float) -> float:
    """Without overflow."""
    return 1 / (1 + exp(-z)) if z > 0 else exp(z) / (1 + exp(z))


def smooth(h: float, slope: float, e: float, *, size: float, steepest: float, curved: float) -> tuple[V, V]:
    """The value and the slope of a function with |f'| ≤ `steepest` and |f''| ≤ `curved`."""
    moved = min(steepest, curved * e)
    return V(h, min(steepest, slope + moved) * e + FORMULA * size), V(slope, moved + FORMULA)


def activated(name: str, z: float, e: float) -> tuple[V, V]:
    """The value and the slope of an activation at z ± e."""
    if name == "identity":
        return V(z, e), V(1)
    if name == "relu":
        reached = e if z > 0 else max(z + e, 0)
        return V(max(z, 0), reached), V(float(z > 0), 0, float(abs(z) <= e))
    if name == "softplus":
        h = max(z, 0) + log1p(exp(-abs(z)))
        return smooth(h, sigmoid(z), e, size=1 + h, steepest=1, curved=1 / 4)
    if name == "tanh":
        h, slope = smooth(tanh(z), 1 - tanh(z) ** 2, e, size=1, steepest=1, curved=0.77)  # 4/(3√3)
        return V(h.x, min(h.e, 2)), slope
    o = sigmoid(z)
    h, slope = smooth(o, o * (1 - o), e, size=1, steepest=1 / 4, curved=0.0963)  # 1/(6√3)
    return V(h.x, min(h.e, 1)), slope


def of_exponents(z: list[V]) -> float:
    """What z_j - log Σ_k e^z_k may err by: its own error and the largest, two roundings of |z| and two of 1."""
    return 2 * max(v.e for v in z) + FORMULA * (1 + max(abs(v.x) for v in z))


def softmax(z: list[V]) -> list[V]:
    """The outputs."""
    top = max(v.x for v in z)
    sum_ = sum(exp(v.x - top) for v in z)
    return [
        V(o, min(1, o * expm1(min(of_exponents(z), 50)) + FORMULA))
        for o in (exp(v.x - top) / sum_ for v in z)
    ]


# Arrays ------------------------------------------------------------------------------------------------

Table = list[list[V]]


OWN = 2.0**-40
"""How far doubles alone may part two ways to compute one of these numbers, relative to it.

All terms of e and k are positive, so that nothing cancels: m roundings of 2⁻⁵³ make at most m · 2⁻⁵³ of them. No
number here is more than seven layers of fewer than 2⁷ operations away, each a library's 4 units in the last place at
most: m < 7 · 2⁷ · 2³ < 2¹³. A value x may cancel; its own rounding is to its e as 2⁻⁵³ is to U, for e grows at least
in proportion to the unit, and where x stands in an e or a k it does so beside its e.
"""
SLOPE = 16 * 2.0**-53
"""The same of a slope such as 1 - h², whose digits cancel: `FORMULA` of doubles, which is absolute."""


def same(found: Any, expected: Any, beside: Any = 0.0) -> bool:
    """Whether numbers are equal but for what doubles explain; `beside` is what else they are small beside."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    off = np.where(found == expected, 0, abs(found - expected))
    return found.shape == expected.shape and bool((off <= OWN * (abs(expected) + beside)).all())


def agree(given: Bounded, expected: Table | list[V]) -> bool:
    """Whether an array's numbers are these."""
    x, e, k = np.moveaxis(np.array(expected).reshape(*np.shape(given.x), 3), -1, 0)
    return same(given.e, e) and same(given.opened, k, beside=e) and same(given.x, x, beside=e)


def each(dh: Table, slopes: Table) -> Table:
    """Every number times its slope."""
    return [[times(*pair) for pair in zip(*rows, strict=True)] for rows in zip(dh, slopes, strict=True)]


def through_softmax(do: Table, o: Table) -> Table:
    """o_k (∂L/∂o_k - Σ_j ∂L/∂o_j o_j)."""
    dz: Table = []
    for d, p in zip(do, o, strict=True):
        inner = total([times(*pair) for pair in zip(d, p, strict=True)], len(p))
        dz.append([times(b, plus(a, inner._replace(x=-inner.x))) for a, b in zip(d, p, strict=True)])
    return dz
