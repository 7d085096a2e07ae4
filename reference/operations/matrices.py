"""Systems of linear equations, inverses and determinants: steps of a program of their own (`reference.systems`)."""

from jax import Array

from reference import systems
from reference.operations.operation import Operation, inputs


def solve(a: Array, b: Array) -> Array:
    """X with A X = B."""
    return systems.solve(a, b)


def inv(a: Array) -> Array:
    """A⁻¹."""
    return systems.inv(a)


def det(a: Array) -> Array:
    """The determinant."""
    return systems.det(a)


def log_abs_det(a: Array) -> Array:
    """log |det A|."""
    _, found = systems.slogdet(a)
    return found


MATRICES = (
    Operation("solve", solve, inputs(a="n n", b="n k")),
    Operation("inv", inv, inputs(a="n n"), also=("inverse",)),
    Operation("det", det, inputs(a="n n")),
    Operation("log_abs_det", log_abs_det, inputs(a="n n"), also=("logdet", "logabsdet")),
)
