"""The truth of a network: the chain of its layers is JAX's whole gradient, and its bound covers every formula."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

import manual_backprop
from properties.cases import Array, Case, Parameters
from properties.comparison import compare, named
from properties.meta.formulations import EXPONENTIALS, FROM_VALUES, FROM_Z, QUOTIENTS, Activation
from properties.meta.samples import samples
from properties.network import PROPERTIES
from properties.problem import read
from properties.search import Effort, searched
from properties.strategies import EDGES, REGULAR, cases
from properties.subjects import Bundled
from reference import autodiff, network_truth
from reference.arithmetic.bounded import Bounded, Bounding
from reference.chain import Chain, Reading
from reference.program import jax

CLAIMS = read(manual_backprop.PROBLEM)
STYLES = {"values": FROM_VALUES, "z": FROM_Z, "exponentials": EXPONENTIALS, "quotients": QUOTIENTS}
NAMES = list(FROM_VALUES)
Z = np.concatenate([np.linspace(-30, 30, 4001), np.logspace(-20, 1, 801), [0.0]])


@pytest.fixture(scope="module")
def drawn() -> list[Case]:
    """Cases of every regime."""
    return list(samples(cases(CLAIMS, REGULAR + EDGES), 400, start=0))


def holds(case: Case, gradient: Parameters) -> bool:
    """Whether the gradient is within the bounds."""
    truth = case.oracle
    return compare(named(gradient), named(truth.gradient), named(truth.error), named(truth.open)).holds


def test_the_chain_of_the_layers_is_the_gradient_of_the_whole(drawn: list[Case]) -> None:
    shapes = set[Any]()
    for case in drawn:
        kind = case.hidden, case.output, case.loss, len(case.parameters)
        if case.overflows or kind in shapes or len(shapes) == 24:
            continue
        shapes.add(kind)
        wide: Any = [(W.astype(float), None if b is None else b.astype(float)) for W, b in case.parameters]
        loss, gradient = autodiff.value_and_gradient(wide, case.inputs, case.rows, **case.choices)
        assert abs(loss - case.oracle.loss) <= case.oracle.loss_error
        assert holds(case, gradient)
    assert len(shapes) == 24


def test_what_the_cells_add_is_the_gradient_and_each_is_that_of_its_term() -> None:
    for case in samples(cases(CLAIMS, REGULAR), 40, start=7):
        whole = np.zeros((case.samples, case.outputs), bool)
        parts = [case.kept([i], [j]) for i, j in np.ndindex(whole.shape)]
        for name, total in named(case.kept(slice(None), slice(None))).items():
            every = [named(part)[name] for part in parts]
            size = sum(abs(one) for one in every)
            bound = named(case.oracle.error)[name] + named(case.oracle.open)[name]
            bound = bound + Bounding().gamma(len(every)) * size
            assert (abs(sum(every) - total) <= bound).all()
            assert (abs(total - named(case.oracle.gradient)[name]) <= bound).all()


def test_a_complex_step_is_the_inner_product_with_the_gradient() -> None:
    for case in samples(cases(CLAIMS, ["well scaled"]), 60, start=3):
        random = np.random.default_rng(case.samples)
        v: Parameters = [
            (random.choice([-1.0, 1.0], W.shape), None if b is None else random.choice([-1.0, 1.0], b.shape))
            for W, b in case.parameters
        ]
        problem = network_truth.Problem(case.parameters, case.inputs, case.rows, **case.choices)
        found = network_truth.directional_derivative(problem, v)
        gradient, direction = named(case.oracle.gradient), named(v)
        inner = sum(float((gradient[name] * direction[name]).sum()) for name in gradient)
        bound = sum(
            float((e + k).sum())
            for e, k in zip(*map(_arrays, (case.oracle.error, case.oracle.open)), strict=True)
        )
        # The complex step is a float64 program as well, and the inner product is added up.
        terms = np.concatenate([one.ravel() for one in gradient.values()])
        adding = Bounding().gamma(terms.size) * float(abs(terms).sum())
        assert abs(found - inner) <= bound + adding


def _arrays(pairs: Parameters) -> list[Array]:
    return list(named(pairs).values())


def test_no_property_compiles_anything_with_xla() -> None:
    compiled = list[str]()

    def listen(event: str, duration_secs: float, **_: object) -> None:
        if event.endswith("backend_compile_duration"):
            compiled.append(f"{event}: {duration_secs} s")

    jax.monitoring.register_event_duration_secs_listener(listen)
    for one in PROPERTIES:
        searched(one, Bundled(), Effort(3, seed=0))
    assert compiled == []


# The bound --------------------------------------------------------------------------------------------


def bounded(name: str, z: Array, error: float | Array, dtype: str) -> tuple[Bounded, Bounded]:
    """The value and the slope of an activation at z (1, n), which errs by so much, for a subject in a format."""
    arithmetic = Bounding(dtype)
    x = Bounded(z.astype(float), np.zeros(z.shape) + error, varies=True)
    chain = Chain(Reading(arithmetic, arithmetic.input), [(network_truth.ACTIVATIONS[name], [])], x)
    chain.pull(arithmetic.input(np.ones(z.shape), varies=False))
    return chain.values[-1], chain.cotangents[0]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_formula_of_an_activation_is_within_its_error(style: str, name: str, dtype: str) -> None:
    formula: Activation = STYLES[style][name]
    z = np.concatenate([Z, -Z]).astype(dtype)
    z = z[z != 0][None] if name == "relu" else z[None]
    value, slope = (one.enclosed for one in bounded(name, z, 0.0, dtype))
    with np.errstate(over="ignore"):
        h = formula.value(z)
        assert (abs(h - value.value) <= value.error + value.open).all()
        assert (abs(formula.slope(z, h) - slope.value) <= slope.error + slope.open).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_shifted_z_stays_within_its_error(name: str) -> None:
    z = np.arange(-(2**12), 2**12)[None] / 2**8  # so that z ± shift is not rounded
    for shift in (2.0**-36, 2.0**-10, 0.5, 4.0):
        found = [one.enclosed for one in bounded(name, z, shift, "float64")]
        for moved in (z - shift, z + shift, z + shift / 4):
            for there, here in zip(bounded(name, moved, 0.0, "float64"), found, strict=True):
                assert (
                    abs(there.enclosed.value - here.value) <= here.error + here.open + there.enclosed.open
                ).all()


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
    arithmetic = Bounding("float32")
    chain = Chain(
        Reading(arithmetic, arithmetic.input),
        [(network_truth.LINEAR, [arithmetic.input(y.T)])],
        arithmetic.input(x),
    )
    error = np.diagonal(chain.values[-1].enclosed.error)
    exact = (x.astype(float) * y.astype(float)).sum(axis=1)
    for add in orders():
        assert (abs(add(x * y) - exact) <= error).all()
    assert (error < length * (length + 20) * 2.0**-24 * abs(x * y).max()).all()


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
    errors = [replace(case, loss=loss).oracle.loss_error for loss in (whole, part)]
    assert errors[0] == share * errors[1]  # a power of two
    assert errors[1] > 0


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
        case, slope = at_a_kink(z), 0.25 if z == 0 else 1
        truth = case.oracle
        found = compare(
            named(with_slope(case, slope)), named(truth.gradient), named(truth.error), named(truth.open)
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
