"""The bound covers every sensible formula and order, opens at kinks, and is the same padded and plain."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import chain, product

import numpy as np
import pytest

import manual_backprop
from properties.cases import Array, Case, Parameters
from properties.comparison import compare, named
from properties.meta.formulations import EXPONENTIALS, FROM_VALUES, FROM_Z, QUOTIENTS, Activation
from properties.meta.samples import samples
from properties.problem import read
from properties.strategies import cases
from reference.network import divisor, layers_of
from reference.rounding import ACTIVATED, Arithmetic, Bounded, Bounds, bounds

CLAIMS = read(manual_backprop.PROBLEM)
STYLES = {"values": FROM_VALUES, "z": FROM_Z, "exponentials": EXPONENTIALS, "quotients": QUOTIENTS}
NAMES = list(FROM_VALUES)


@pytest.fixture(scope="module")
def drawn() -> list[Case]:
    """Cases in the middle."""
    return list(samples(cases(CLAIMS), 300, start=0))


def arithmetic(dtype: str) -> Arithmetic:
    """The rules for a format, against a truth in a wider one."""
    info = np.finfo(dtype)
    return Arithmetic(np, float(info.eps) / 2, float(info.tiny))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_formula_of_an_activation_is_within_its_error(style: str, name: str, dtype: str) -> None:
    formula: Activation = STYLES[style][name]
    z = np.concatenate([np.linspace(-30, 30, 20_001), np.logspace(-20, 1, 2001), [0.0]])
    z = np.concatenate([z, -z]).astype(dtype)[None]
    z = z[z != 0][None] if name == "relu" else z
    wide = z.astype(np.longdouble)
    exact = ACTIVATED[name](arithmetic(dtype), wide, 0 * wide)
    h = formula.value(z)
    assert (abs(h - exact.h) <= exact.h_error).all()
    assert (abs(formula.slope(z, h) - exact.slope) <= exact.slope_error).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_shifted_z_stays_within_its_error(name: str) -> None:
    z = np.arange(-(2**12), 2**12)[None] / 2**8  # so that z ± shift is not rounded
    for shift in (2.0**-36, 2.0**-10, 0.5, 4.0):
        found = ACTIVATED[name](arithmetic("float64"), z, 0 * z + shift)
        for moved in (z - shift, z + shift, z + shift / 4):
            there = ACTIVATED[name](arithmetic("float64"), moved, 0 * z)
            assert (abs(there.h - found.h) <= found.h_error).all()
            assert (abs(there.slope - found.slope) <= found.slope_error + found.slope_open).all()


def orders() -> list[Callable[[Array], Array]]:
    """Sums along the last axis, in several orders."""
    random = np.random.default_rng(0)
    return [
        lambda terms: terms.sum(axis=-1),
        lambda terms: terms[..., ::-1].sum(axis=-1),
        lambda terms: np.cumsum(terms, axis=-1)[..., -1],
        lambda terms: np.cumsum(np.sort(terms, axis=-1), axis=-1)[..., -1],
        lambda terms: np.cumsum(random.permutation(terms, axis=-1), axis=-1)[..., -1],
    ]


@pytest.mark.parametrize("length", [1, 2, 7, 100, 3000])
def test_a_product_is_within_its_error_in_any_order(length: int) -> None:
    random = np.random.default_rng(length)
    x, y = (random.standard_normal((20, length)).astype(np.float32) for _ in range(2))
    wide = [Bounded(v.astype(float), np.zeros(v.shape), np.zeros(v.shape)) for v in (x, y)]
    error = np.diagonal(arithmetic("float32").matmul(wide[0], wide[1].mT, length).e)
    exact = (x.astype(float) * y.astype(float)).sum(axis=1)
    for add in orders():
        assert (abs(add(x * y) - exact) <= error).all()
    assert (error < length * (length + 20) * 2.0**-24 * abs(x * y).max()).all()


def found_bounds(case: Case, unit: float) -> Bounds:
    """The bounds of a case for another unit roundoff."""
    wide = [(W.astype(float), None if b is None else b.astype(float)) for W, b in case.parameters]
    return bounds(
        Arithmetic(np, unit, float(np.finfo(case.inputs.dtype).tiny)),
        layers_of(wide, case.hidden, case.output),
        case.inputs.astype(float),
        case.rows.astype(float),
        loss=case.loss,
        divisor=divisor(case.samples, case.reduction),
    )


def unit_of(case: Case) -> float:
    """The unit roundoff of a case and of the reference together."""
    return float(np.finfo(case.inputs.dtype).eps + np.finfo(float).eps) / 2


def test_a_coarser_format_has_a_larger_bound(drawn: list[Case]) -> None:
    for case in drawn[::3]:
        fine, coarse = (found_bounds(case, factor * unit_of(case)) for factor in (1, 2))
        for smaller, larger in zip(chain(*fine.gradient), chain(*coarse.gradient), strict=True):
            assert (smaller.e <= larger.e).all()
            assert (larger.e > smaller.e).any() or not smaller.x.any()
        assert fine.loss_error <= coarse.loss_error


def test_the_rules_give_what_they_give_by_hand() -> None:
    # u = 1/64 and tiny = 1/1024; γ_m counts `FREEDOM` = 8 roundings more: γ_8 = 16u / (1 - 16u) = 1/3.
    rules = Arithmetic(np, Fraction(1, 64), Fraction(1, 1024))
    one, eight = Fraction(9, 55), Fraction(1, 3)
    assert (rules.gamma(1), rules.gamma(8)) == (one, eight)

    def bounded(x: int, e: Fraction, k: Fraction) -> Bounded:
        return Bounded(*(np.array([[number]], dtype=object) for number in (Fraction(x), e, k)))

    # |â| ≤ 3 + 1/2 + 1/4 and |b̂| ≤ 2 + 1/8 + 1/8.
    a = bounded(3, Fraction(1, 2), Fraction(1, 4))
    b = bounded(-2, Fraction(1, 8), Fraction(1, 8))
    most_a, most_b, tiny = Fraction(15, 4), Fraction(9, 4), Fraction(1, 1024)
    inherited = 3 * Fraction(1, 8) + Fraction(1, 2) * most_b
    kinks = 3 * Fraction(1, 8) + Fraction(1, 4) * most_b
    assert rules.times(a, b) == (-6, inherited + one * most_a * most_b + tiny, kinks)
    assert rules.matmul(a, b, 8) == (-6, inherited + eight * most_a * most_b + 8 * tiny, kinks)
    assert rules.plus(a, b) == (1, Fraction(5, 8) + one * (most_a + most_b), Fraction(3, 8))
    assert rules.scaled(b, -4) == (8, Fraction(1, 2) + tiny, Fraction(1, 2))
    assert rules.total(a, axis=0, terms=8) == (3, Fraction(1, 2) + eight * most_a, Fraction(1, 4))


@pytest.mark.parametrize(
    ("whole", "part", "share"),
    [
        ("sse", "mse", 4),
        ("half_sse", "half_mse", 4),
        ("sse", "half_sse", 2),
        ("binary_cross_entropy", "mean_binary_cross_entropy", 4),
    ],
)
def test_a_part_of_a_loss_has_that_part_of_its_error(whole: str, part: str, share: int) -> None:
    random = np.random.default_rng(0)
    parameters: Parameters = [(random.standard_normal((2, 4)), random.standard_normal(4))]
    case = Case(parameters, random.standard_normal((3, 2)), random.random((3, 4)), output="sigmoid")
    errors = [found_bounds(replace(case, loss=loss), unit_of(case)).loss_error for loss in (whole, part)]
    assert errors[0] == share * errors[1] > 0


def test_the_bound_goes_around_the_gradient_of_the_bound_itself(drawn: list[Case]) -> None:
    for case in drawn:
        found = found_bounds(case, unit_of(case))
        own: Parameters = [
            (dW.x, None if b is None else db.x)
            for (dW, db), (_, b) in zip(found.gradient, case.parameters, strict=True)
        ]
        assert holds(case, own)


def at_a_kink(z: float, dtype: str = "float64") -> Case:
    """One relu unit whose z is given, below one output."""
    one = np.ones((1, 1), dtype)
    parameters: Parameters = [(one, np.array([z - 1], dtype)), (2 * one, np.zeros(1, dtype))]
    return Case(parameters, one, 3 * one, hidden="relu", loss="half_sse", reduction="sum")


def with_slope(case: Case, slope: float) -> Parameters:
    """The gradient of `at_a_kink` by another slope of relu: ∂L/∂h = 2 (o - 3)."""
    h = np.maximum(case.inputs @ case.parameters[0][0] + case.parameters[0][1], 0)  # type: ignore[operator]
    error = 2 * h - 3
    first = 2 * slope * error
    return [(first, first[0]), (h * error, error[0])]


def holds(case: Case, gradient: Parameters) -> bool:
    """Whether the gradient is within the bounds."""
    truth = case.oracle
    return compare(named(gradient), named(truth.gradient), named(truth.error), named(truth.open)).holds


@pytest.mark.parametrize(("z", "slope"), list(product([0, 2.0**-52, -(2.0**-52)], [0, 0.25, 0.5, 1])))
def test_at_a_kink_any_slope_between_the_sides_is_right(z: float, slope: float) -> None:
    case = at_a_kink(z)
    assert holds(case, with_slope(case, slope))
    assert not holds(case, with_slope(case, 3))
    assert not holds(case, with_slope(case, -2))


@pytest.mark.parametrize(("z", "slope"), [(1e-9, 1), (-1e-9, 0), (1, 1), (-1, 0)])
def test_beside_a_kink_one_slope_is_right(z: float, slope: float) -> None:
    case = at_a_kink(z)
    for other in (0, 0.5, 1):
        assert holds(case, with_slope(case, other)) == (other == slope)


def test_what_a_kink_leaves_open_is_counted_apart() -> None:
    for z, count in ((0.0, 2), (1.0, 0)):
        case = at_a_kink(z)
        truth = case.oracle
        found = compare(
            named(with_slope(case, 0.5 if z == 0 else 1)),
            named(truth.gradient),
            named(truth.error),
            named(truth.open),
        )
        assert found.holds
        assert found.open == count


def test_overflow_is_told_by_the_peak() -> None:
    def scaled(by: float, dtype: str) -> Case:
        one = np.ones((1, 1), dtype)
        return Case([(by * one, np.zeros(1, dtype))], by * one, one, loss="sse", reduction="sum")

    assert not scaled(1e8, "float32").overflows
    assert scaled(1e20, "float32").overflows
    assert not scaled(1e20, "float64").overflows
    assert scaled(1e200, "float64").overflows
