"""Systems of linear equations, determinants and Cholesky factors: their derivatives and their bounds."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from reference import systems
from reference.arithmetic import balls, complex_step, exact
from reference.arithmetic.bounded import Bounding
from reference.arithmetic.floats import Floats
from reference.operations import OPERATIONS
from reference.operations.compiled import compiled
from reference.operations.operation import Operation, inputs
from reference.program import derivative
from reference.projections import projections

Array = np.ndarray[Any, Any]
N, K = 4, 3
SIZES = {"n": N, "k": K}


def factor(b: Any) -> Any:
    return systems.cholesky(b @ b.T + np.eye(N))


FACTOR = Operation("factor", factor, inputs(b="n n"), concrete=("n",))
TRIANGLES = [
    {"left_side": left, "lower": lower, "transpose_a": turned, "unit_diagonal": unit}
    for left in (True, False)
    for lower in (True, False)
    for turned in (True, False)
    for unit in (True, False)
]


def triangular(flags: dict[str, bool]) -> Operation:
    def forward(a: Any, b: Any) -> Any:
        return systems.triangular_solve(a, b, **flags)

    return Operation("triangular", forward, inputs(a="n n", b="n k" if flags["left_side"] else "k n"))


def arrays_of(operation: Operation) -> list[Array]:
    rng = np.random.default_rng(0)
    return [
        rng.standard_normal([SIZES[axis] for axis in one.axes.split()]) for one in operation.inputs.values()
    ]


def is_within(found: Any, value: Any, error: Any) -> bool:
    return bool((np.abs(np.asarray(found, float) - value) <= error).all())


def compare_all(operation: Operation, function: Callable[..., Array]) -> None:
    """The values of a function in NumPy, the program in floats, in balls and compiled, and complex steps agree."""
    known, arrays = derivative(operation, {}, SIZES), arrays_of(operation)
    cotangent = np.random.default_rng(1).standard_normal(known.program.shape(known.program.outputs[0], SIZES))
    bounding, given = Bounding(), [*arrays, cotangent]
    right = [one.enclosed for one in bounding.read(known.program, list(map(bounding.input, given)), SIZES)]
    middles = [
        np.vectorize(lambda x: float(balls.ball(x).mid()))(one)
        for one in balls.vjp(known, arrays, [cotangent], SIZES)
    ]
    steps = complex_step.gradients(known, arrays, [cotangent], SIZES)  # of the forward pass alone
    for found in (
        [function(*arrays), *steps],
        Floats().read(known.program, given, SIZES),
        compiled(operation, {}, arrays, {0: cotangent}),
        middles,
    ):
        assert all(is_within(one, bound.value, bound.error) for one, bound in zip(found, right, strict=True))
    assert max(float((one.error / (1 + abs(one.value))).max()) for one in right) < 1e-10


def test_a_cholesky_factor_has_the_values_of_numpy_and_the_derivative_of_complex_steps() -> None:
    compare_all(FACTOR, lambda b: np.linalg.cholesky(b @ b.T + np.eye(N)))


def by_its_triangle(flags: dict[str, bool], a: Array, b: Array) -> Array:
    kept = np.tril(a) if flags["lower"] else np.triu(a)
    if flags["unit_diagonal"]:
        np.fill_diagonal(kept, 1)
    kept = kept.T if flags["transpose_a"] else kept
    return np.linalg.inv(kept) @ b if flags["left_side"] else b @ np.linalg.inv(kept)


@pytest.mark.parametrize(
    "flags", TRIANGLES, ids=lambda flags: " ".join(k for k, v in flags.items() if v) or "none"
)
def test_a_triangular_system_is_one_of_the_triangle_that_is_named(flags: dict[str, bool]) -> None:
    compare_all(triangular(flags), partial(by_its_triangle, flags))


WAYS: dict[str, Callable[[Array, Array], Array]] = {
    "by elimination": np.linalg.solve,
    "by the inverse": lambda a, b: np.linalg.inv(a) @ b,
    "by a decomposition": lambda a, b: np.linalg.solve(np.linalg.qr(a)[1], np.linalg.qr(a)[0].T @ b),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4])
def test_every_way_to_solve_a_system_in_single_precision_lies_within_its_bound(
    way: str, condition: float
) -> None:
    known, bounding, rng = (
        derivative(OPERATIONS["solve"], {}, SIZES),
        Bounding("float32"),
        np.random.default_rng(0),
    )
    for _ in range(100):
        left, right = (np.linalg.qr(rng.standard_normal((N, N)))[0] for _ in range(2))
        a = (left * np.geomspace(1, 1 / condition, N)) @ right
        a, b = (one.astype(np.float32) for one in (a, rng.standard_normal((N, K))))
        values = [bounding.input(one) for one in (a, b, np.ones((N, K), np.float32))]
        bound = bounding.read(known.program, values, SIZES)[0].enclosed
        assert is_within(WAYS[way](a, b), bound.value, bound.error)


def test_of_a_matrix_that_may_be_singular_nothing_is_said() -> None:
    nearly = np.array([[1.0, 2.0], [2.0, 4.0 + 1e-15]])
    for name in ("inv", "det", "log_abs_det"):
        known, bounding = derivative(OPERATIONS[name], {}, {"n": 2}), Bounding()
        cotangent = np.ones(known.program.shape(known.program.outputs[0], {"n": 2}))
        found = bounding.read(known.program, list(map(bounding.input, (nearly, cotangent))), {"n": 2})
        assert all(np.isinf(one.enclosed.error).all() for one in found)


def test_an_inverse_and_its_derivative_are_exact_in_fractions() -> None:
    a, cotangent = np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 0.0]])
    known = derivative(OPERATIONS["inv"], {}, {"n": 2})
    inverse, gradient = exact.vjp(known, [a], [cotangent], {"n": 2})
    assert inverse.tolist() == [[0.5, -0.125], [0, 0.25]]
    assert gradient.tolist() == [[-0.25, 0], [0.0625, 0]]  # -A⁻ᵀ E A⁻ᵀ
    (change,) = exact.jvp(known, [a], [np.array([[1.0, 0.0], [0.0, 0.0]])], {"n": 2})
    assert exact.inner([exact.Fractions().number(cotangent)], [change]) == gradient[0, 0]


@pytest.mark.parametrize("scale", [2.0**-10, 1.0, 2.0**10])
@pytest.mark.parametrize("name", ["solve", "inv", "det", "log_abs_det"])
def test_what_single_precision_loses_lies_within_the_bound_of_a_projection(name: str, scale: float) -> None:
    check_projections(OPERATIONS[name], scale)


def test_what_a_cholesky_factor_loses_lies_within_the_bound_of_a_projection() -> None:
    check_projections(FACTOR, 1.0)


def check_projections(operation: Operation, scale: float) -> None:
    known = derivative(operation, {}, SIZES)
    arrays = [(scale * one).astype(np.float32) for one in arrays_of(operation)]
    cotangent = np.ones(known.program.shape(known.program.outputs[0], SIZES), np.float32)
    found = Floats(np.float32).read(known.program, [*arrays, cotangent], SIZES)[1:]
    bounds = projections(known, arrays, [cotangent], SIZES, format="float32")
    for gradient, bound in zip(found, bounds, strict=True):
        value = np.tensordot(bound.directions, gradient.astype(float), axes=gradient.ndim)
        assert is_within(value, bound.value, bound.error)
        assert (bound.error < 0.05 * np.abs(gradient).sum()).all()
