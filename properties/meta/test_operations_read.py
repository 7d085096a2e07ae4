"""Every operation is traced once for each choice of its options, and read in floats at two sizes."""

import numpy as np
import pytest
from reference.arithmetic.floats import Floats
from reference.program import derivative

from properties.meta.drawn import Options, Sizes, array, each_option, possible_sizes
from reference.operations import OPERATIONS
from reference.operations.operation import Operation

ROWS = [pytest.param(one, id=one.name) for one in OPERATIONS.values()]

ROUNDING = 2.0**-52 * 10**6
"""What rounding may make of a few hundred operations on numbers near 1, whose conditions are at most thousands.

It tells different functions apart, no more: how near two programs have to be is for the bounds to say.
"""


@pytest.mark.parametrize("operation", ROWS)
def test_one_trace_serves_all_sizes_and_formulations_are_one_function(operation: Operation) -> None:
    rng = np.random.default_rng(len(operation.name))
    seen = {name: set[str]() for name in operation.options}
    for options in each_option(operation):
        for _ in range(2):
            sizes = possible_sizes(operation, options, rng)
            if sizes is None:
                continue
            for name, value in options.items():
                seen[name].add(repr(value))
            _read(operation, options, sizes, rng)
    assert seen == {name: {repr(value) for value in some} for name, some in operation.options.items()}


def _read(operation: Operation, options: Options, sizes: Sizes, rng: np.random.Generator) -> None:
    first = derivative(operation, options, sizes)
    assert derivative(operation, options, sizes) is first
    arrays = [array(one, sizes, rng) for one in operation.inputs.values()]
    slots = first.program.outputs[: first.outputs]
    dy = [rng.standard_normal(first.program.shape(slots[place], sizes)) for place in first.pulled]
    expected = Floats().read(first.program, [*arrays, *dy], sizes)
    assert all(np.isfinite(one).all() for one in expected)
    gradients = expected[first.outputs :]
    assert [one.shape for one in gradients] == [arrays[place].shape for place in operation.differentiable]
    for formulation in operation.formulations:
        other = derivative(operation, options, sizes, formulation).program
        for one, two in zip(Floats().read(other, [*arrays, *dy], sizes), expected, strict=True):
            assert abs(one - two).max() <= ROUNDING * max(abs(two).max(), 1)
