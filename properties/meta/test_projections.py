"""Where the running bound explodes, the bound of a projection does not, and it holds."""

import numpy as np

from reference.arithmetic.bounded import Bounding
from reference.arithmetic.floats import Floats
from reference.operations import OPERATIONS
from reference.operations.operation import Operation
from reference.program import derivative
from reference.projections import projections

STEPS = {"n": 2, "t": 50, "d": 3, "k": 4}
OPTIONS = {"gates": "ifog"}
COUNT = 2


def _case(operation: Operation, sizes: dict[str, int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(1)
    known = derivative(operation, OPTIONS, sizes)
    inputs = [rng.standard_normal(one.shape(sizes)) for one in operation.inputs.values()]
    shapes = [known.program.shape(slot, sizes) for slot in known.program.outputs[: known.outputs]]
    return inputs, [rng.standard_normal(shapes[i]) for i in known.pulled]


def test_bound_of_a_projection_stays_small_where_the_running_bound_explodes() -> None:
    operation = OPERATIONS["lstm"]
    inputs, cotangents = _case(operation, STEPS)
    known, arithmetic = derivative(operation, OPTIONS, STEPS), Bounding()
    values = [arithmetic.input(array) for array in (*inputs, *cotangents)]
    running = arithmetic.read(known.program, values, STEPS)[known.outputs :]
    found = projections(known, inputs, cotangents, STEPS, count=COUNT)
    for bounded, one in zip(running, found, strict=True):
        size = np.linalg.norm(bounded.x)
        assert one.error.max() < 1e-10 * size
    assert max(np.median(one.e) / np.abs(one.x).max() for one in running) > 1e-4


def test_single_precision_stays_within_the_bound_of_a_projection_and_near_misses_do_not() -> None:
    operation = OPERATIONS["lstm"]
    inputs, cotangents = _case(operation, STEPS)
    inputs, cotangents = (
        [np.float32(one).astype(float) for one in arrays] for arrays in (inputs, cotangents)
    )
    known = derivative(operation, OPTIONS, STEPS)
    single, double = Floats(np.float32), Floats()
    found = projections(known, inputs, cotangents, STEPS, format="float32", count=COUNT)
    low = single.read(known.program, [single.number(one) for one in (*inputs, *cotangents)], STEPS)
    high = double.read(known.program, [*inputs, *cotangents], STEPS)
    sharp = projections(known, inputs, cotangents, STEPS, count=COUNT)
    for place, (one, fine) in enumerate(zip(found, sharp, strict=True), start=known.outputs):
        gradient = np.asarray(low[place], float)
        along = np.tensordot(one.directions, gradient, axes=gradient.ndim)
        assert (np.abs(along - one.value) <= one.error).all()
        near = high[place] * (1 + 1e-9)
        along = np.tensordot(fine.directions, near, axes=near.ndim)
        assert (np.abs(along - fine.value) > fine.error).any()


def test_wrong_entry_can_not_hide_in_a_projection() -> None:
    operation, sizes = OPERATIONS["layer_norm"], {"n": 3, "d": 4}
    rng = np.random.default_rng(2)
    inputs = [rng.standard_normal(one.shape(sizes)) for one in operation.inputs.values()]
    known = derivative(operation, {"eps": 1e-5}, sizes)
    dy = rng.standard_normal((3, 4))
    gradients = Floats().read(known.program, [*inputs, dy], sizes)[known.outputs :]
    for gradient, one in zip(gradients, projections(known, inputs, [dy], sizes, count=COUNT), strict=True):
        for index in np.ndindex(gradient.shape):
            wrong = np.array(gradient)
            wrong[index] += 1e-9
            along = np.tensordot(one.directions, wrong, axes=wrong.ndim)
            assert (np.abs(along - one.value) > one.error).all()
