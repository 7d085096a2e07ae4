"""The bounds of `reference/layer_rounding.py` are what is derived: every rule once more, for single numbers."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from manual_backprop.activations import Array
from properties.meta.single_numbers import (
    COARSE,
    FORMULA,
    TINY,
    Table,
    V,
    activated,
    agree,
    dot,
    each,
    gamma,
    minus,
    plus,
    scaled,
    softmax,
    through_softmax,
    times,
    total,
)
from reference import layer_rounding
from reference.layer_rounding import Rounding, activation, residual, tied
from reference.layers import EPSILON
from reference.rounding import Bounded

ALONG = {"layer_norm": ("rows", True), "rms_norm": ("rows", False), "batch_norm": ("columns", True)}
NORMALISATIONS: dict[str, Rounding] = {
    "layer_norm": layer_rounding.LAYER_NORM,
    "rms_norm": layer_rounding.RMS_NORM,
    "batch_norm": layer_rounding.BATCH_NORM,
}


def drawn(seed: int, shape: tuple[int, int], *, opened: bool = True) -> tuple[Bounded, Table]:
    """Values with their errors, as an array and as single numbers; in some an open kink has a part."""
    random = np.random.default_rng((seed, *shape))
    x, e = random.standard_normal(shape), random.random(shape) / 64
    k: Any = random.random(shape) / 64 if opened and seed % 2 else 0.0
    table = np.stack(np.broadcast_arrays(x, e, k), axis=-1).tolist()
    return Bounded(x, e, k), [[V(*v) for v in row] for row in table]


def numbers(seed: int, *shape: int) -> Array:
    """Parameters, which are exact."""
    return np.random.default_rng((seed, 99, *shape)).standard_normal(shape)


def turned(table: Table) -> Table:
    """Transposed."""
    return [list(column) for column in zip(*table, strict=True)]


def product_of(a: Table, b: Table) -> Table:
    """a b."""
    return [[dot(zip(row, column, strict=True), len(row)) for column in turned(b)] for row in a]


def exact(array: Array) -> Table:
    """Without errors."""
    return [[V(float(number)) for number in row] for row in np.atleast_2d(array)]


def negative(v: V) -> V:
    """-v."""
    return v._replace(x=-v.x)


def quotient(a: V, b: V) -> V:
    """a / b, for b that is nowhere 0."""
    ratio, least = abs(a.x / b.x), abs(b.x) - b.e - b.k
    own = gamma(1) * a.most / least + TINY
    return V(a.x / b.x, (a.e + ratio * b.e) / least + own, (a.k + ratio * b.k) / least)


def root(s: V) -> V:
    """1/√s: furthest off at the lower end, which is not below ε/2."""
    rounded, opened = (max(end, EPSILON / 2) ** -0.5 for end in (s.x - s.e, s.x - s.e - s.k))
    return V(s.x**-0.5, rounded - s.x**-0.5 + FORMULA * rounded, opened - rounded)


def test_a_quotient_errs_by_its_parts_over_the_least_that_it_may_be_divided_by() -> None:
    for seed in range(8):
        (a, one), (b, other) = drawn(seed, (3, 4)), drawn(seed + 50, (3, 4))
        pairs = [
            [quotient(*pair) for pair in zip(*rows, strict=True)] for rows in zip(one, other, strict=True)
        ]
        assert agree(layer_rounding.quotient(COARSE, a, b), pairs)


@pytest.mark.parametrize(("x", "e", "k"), [*product([EPSILON, 1e-3, 1.0], [0, 4e-6, 0.5], [0, 3e-6, 0.25])])
def test_a_reciprocal_root_is_furthest_off_at_the_lower_end(x: float, e: float, k: float) -> None:
    given = layer_rounding.reciprocal_root(COARSE, Bounded(*(np.array([v]) for v in (x, e, k))))
    assert agree(given, [root(V(x, e, k))])


# Normalising layers ------------------------------------------------------------------------------------


def mean(values: list[V]) -> V:
    """A total, and a division that is counted there."""
    return scaled(total(values, len(values)), 1 / len(values))


def standardised(line: list[V], *, centred: bool) -> tuple[list[V], list[V], V]:
    """x̂, what it was scaled from, and r."""
    d = [plus(v, negative(mean(line))) for v in line] if centred else line
    r = root(plus(mean([times(v, v) for v in d]), V(EPSILON)))
    return [times(v, r) for v in d], d, r


def down(dx_hat: list[V], line: list[V], *, centred: bool) -> list[V]:
    """dx = r(dx̂ - x̂ mean dx̂ x̂ - mean dx̂), and a term that is 0 but for rounding."""
    x_hat, d, r = standardised(line, centred=centred)
    slant = mean([times(*pair) for pair in zip(dx_hat, x_hat, strict=True)])
    inner = [plus(v, negative(times(h, slant))) for v, h in zip(dx_hat, x_hat, strict=True)]
    if not centred:
        return [times(r, v) for v in inner]
    dx = [times(r, plus(v, negative(mean(dx_hat)))) for v in inner]
    vanishing = times(times(times(r, r), slant), mean(d)).most
    return [v._replace(e=v.e + vanishing) for v in dx]


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_a_normalising_layer_s_bounds_are_those_of_its_numbers_one_by_one(name: str) -> None:
    direction, centred = ALONG[name]
    lines = turned if direction == "columns" else list[list[V]]
    for seed in range(8):
        (x, one), (dy, other) = drawn(seed, (4, 3)), drawn(seed + 2, (4, 3))
        gain, shift = numbers(seed, 3), numbers(seed + 1, 3)
        parameters = (gain, shift) if centred else (gain,)
        x_hat = lines([standardised(line, centred=centred)[0] for line in lines(one)])
        y = [[times(v, V(g)) for v, g in zip(row, gain, strict=True)] for row in x_hat]
        if centred:
            y = [[plus(v, V(s)) for v, s in zip(row, shift, strict=True)] for row in y]
        assert agree(NORMALISATIONS[name].forward(COARSE, x, *parameters), y)

        dx_hat = [[times(v, V(g)) for v, g in zip(row, gain, strict=True)] for row in other]
        pairs = zip(lines(dx_hat), lines(one), strict=True)
        dx = lines([down(*pair, centred=centred) for pair in pairs])
        dgain = [total(column, 4) for column in turned(each(other, x_hat))]
        dshift = [total(column, 4) for column in turned(other)]
        found = NORMALISATIONS[name].backward(COARSE, dy, x, x, *parameters)
        assert all(map(agree, found, (dx, dgain, dshift)[: len(found)]))
        assert len(found) == 1 + len(parameters)


# Other layers ------------------------------------------------------------------------------------------


def layer_activated(name: str, z: Table) -> tuple[Table, Table]:
    """The values and the slopes; here z errs by its kinks as well, and its value then by both together."""
    whole = [[V(v.x, v.e + v.k) for v in row] for row in z]
    if name == "softmax":
        return [softmax(row) for row in whole], []
    pairs = [[activated(name, v.x, v.e) for v in row] for row in whole]
    h, slopes = ([[pair[part] for pair in row] for row in pairs] for part in (0, 1))
    return h, slopes


@pytest.mark.parametrize("name", ["identity", "tanh", "sigmoid", "relu", "softplus", "softmax"])
def test_an_activation_as_a_layer_errs_by_the_kinks_below_it_as_by_rounding(name: str) -> None:
    for seed in range(8):
        (x, one), (dy, other) = drawn(seed, (4, 3)), drawn(seed + 2, (4, 3))
        h, slopes = layer_activated(name, one)
        y = activation(name).forward(COARSE, x)
        assert agree(y, h)
        (dx,) = activation(name).backward(COARSE, dy, x, y)
        assert agree(dx, through_softmax(other, h) if name == "softmax" else each(other, slopes))


@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_layer_s_bounds_are_those_of_its_numbers_one_by_one(*, bias: bool) -> None:
    for seed in range(4):
        (x, one), (dy, other) = drawn(seed, (5, 3)), drawn(seed + 2, (5, 2))
        W, b = numbers(seed, 3, 2), numbers(seed, 2)
        y = product_of(one, exact(W))
        if bias:
            y = [[plus(v, V(c)) for v, c in zip(row, b, strict=True)] for row in y]
        assert agree(layer_rounding.DENSE.forward(COARSE, x, W, b if bias else None), y)
        dx, dW, db = layer_rounding.DENSE.backward(COARSE, dy, x, x, W, b if bias else None)
        assert agree(dx, product_of(other, exact(W.T)))
        assert agree(dW, product_of(turned(one), other))
        assert agree(db, [total(column, 5) for column in turned(other)]) if bias else db is None


def test_a_mask_is_a_factor_forward_and_back() -> None:
    (x, one), (dy, other), mask = drawn(1, (4, 3)), drawn(3, (4, 3)), numbers(1, 4, 3) > 0
    assert agree(layer_rounding.DROPOUT.forward(COARSE, x, mask * 2.0), each(one, exact(mask * 2.0)))
    dx, nothing = layer_rounding.DROPOUT.backward(COARSE, dy, x, x, mask * 2.0)
    assert agree(dx, each(other, exact(mask * 2.0)))
    assert nothing is None


def test_a_residual_connection_adds_its_own_way_to_the_layer_s() -> None:
    for seed in range(4):
        (x, one), (dy, other), W = drawn(seed, (4, 3)), drawn(seed + 2, (4, 3)), numbers(seed, 3, 3)
        layer = residual(layer_rounding.DENSE)
        both = zip(one, product_of(one, exact(W)), strict=True)
        assert agree(
            layer.forward(COARSE, x, W, None),
            [[plus(*pair) for pair in zip(*rows, strict=True)] for rows in both],
        )
        dx, dW, db = layer.backward(COARSE, dy, x, x, W, None)
        both = zip(other, product_of(other, exact(W.T)), strict=True)
        assert agree(dx, [[plus(*pair) for pair in zip(*rows, strict=True)] for rows in both])
        assert agree(dW, product_of(turned(one), other))
        assert db is None


@pytest.mark.parametrize("name", ["tanh", "relu", "softmax"])
def test_a_tied_weight_has_the_bounds_of_both_its_places(name: str) -> None:
    for seed in range(4):
        (x, one), (dy, other), W = drawn(seed, (5, 3)), drawn(seed + 2, (5, 3)), numbers(seed, 3, 2)
        z = product_of(one, exact(W))
        h, slopes = layer_activated(name, z)
        assert agree(tied(name).forward(COARSE, x, W), product_of(h, exact(W.T)))
        dh = product_of(other, exact(W))
        dz = through_softmax(dh, h) if name == "softmax" else each(dh, slopes)
        dx, dW = tied(name).backward(COARSE, dy, x, x, W)
        assert agree(dx, product_of(dz, exact(W.T)))
        encoding, decoding = product_of(turned(one), dz), product_of(turned(other), h)
        rows = zip(encoding, decoding, strict=True)
        assert agree(dW, [[plus(*pair) for pair in zip(*row, strict=True)] for row in rows])


# Stacks and averages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tanh", "softmax"])
def test_a_stack_s_bounds_go_through_its_layers_and_back(name: str) -> None:
    x, W, V_ = numbers(0, 4, 3), numbers(1, 3, 2), numbers(2, 2, 2)
    targets, weights = numbers(3, 4, 2), np.array([1.0, 0.5, 2.0, 1.0])
    layers = [layer_rounding.DENSE, activation(name), layer_rounding.DENSE]
    parameters: Any = [(W, None), (), (V_, None)]
    found = layer_rounding.gradient(
        COARSE, layers, "half_sse", parameters, x, targets, weights, [(True, False), (), (False, False)], 0.5
    )
    z = product_of(exact(x), exact(W))
    h, slopes = layer_activated(name, z)
    o = product_of(h, exact(V_))
    o = layer_activated("identity", o)[0]
    sum_ = total(exact(weights)[0], 4)
    errors = [
        [times(quotient(V(w), sum_), scaled(plus(p, minus(t)), 1)) for p, t in zip(row, y, strict=True)]
        for row, y, w in zip(o, targets, weights, strict=True)
    ]
    dh = product_of(errors, exact(V_.T))
    dz = through_softmax(dh, h) if name == "softmax" else each(dh, slopes)
    dW = product_of(turned(exact(x)), dz)
    paid = [
        [plus(v, V(0.5 * w)) for v, w in zip(row, weight, strict=True)]
        for row, weight in zip(dW, W, strict=True)
    ]
    assert [len(arrays) for arrays in found] == [2, 0, 2]
    assert agree(found[0][0], paid)
    assert agree(found[2][0], product_of(turned(h), errors))
    assert found[0][1] is found[2][1] is None


def test_a_penalty_has_no_strength_unless_told() -> None:
    x, W, y = numbers(0, 4, 3), numbers(1, 3, 2), numbers(3, 4, 2)
    dense: Any = [layer_rounding.DENSE], "half_sse", [(W, None)], x, y, np.ones(4), [(True, False)]
    assert np.array_equal(
        layer_rounding.gradient(COARSE, *dense)[0][0].x,
        layer_rounding.gradient(COARSE, *dense, strength=0.0)[0][0].x,
    )


def test_the_contrastive_loss_has_the_bounds_of_every_pair() -> None:
    x, W, targets, weights = (
        numbers(0, 4, 3),
        numbers(1, 3, 2),
        numbers(3, 4, 2),
        np.array([1.0, 0.5, 2.0, 1.0]),
    )
    found = layer_rounding.gradient(
        COARSE, [layer_rounding.DENSE], "contrastive", [(W, None)], x, targets, weights, [(False, False)]
    )
    z, t = product_of(exact(x), exact(W)), exact(targets)
    share = [quotient(V(w), total(exact(weights)[0], 4)) for w in weights]
    products = product_of(z, turned(z)), product_of(t, turned(t))
    gaps = [
        [plus(a, negative(b)) for a, b in zip(*rows, strict=True)] for rows in zip(*products, strict=True)
    ]
    pairs = [
        [times(times(a, b), gap) for b, gap in zip(share, row, strict=True)]
        for a, row in zip(share, gaps, strict=True)
    ]
    dz = [[scaled(v, 4) for v in row] for row in product_of(pairs, z)]
    assert agree(found[0][0], product_of(turned(exact(x)), dz))


def test_a_mean_of_gradients_weighs_each_part_by_its_share() -> None:
    parts = [drawn(seed, (3, 2)) for seed in (1, 3, 5)]
    found = layer_rounding.weighted_mean(COARSE, [[(array, None)] for array, _ in parts], [1.0, 2.0, 5.0])
    share = [
        [[V(*(w / 8 * number for number in v)) for v in row] for row in table]
        for (_, table), w in zip(parts, (1, 2, 5), strict=True)
    ]
    cells = [[total([part[i][j] for part in share], 3) for j in range(2)] for i in range(3)]
    assert agree(found[0][0], cells)
    assert found[0][1] is None
