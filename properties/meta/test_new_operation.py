"""A new operation needs one function and one row: see CONTRIBUTING."""

import numpy as np

from properties.comparison import compare
from reference.arithmetic.bounded import FORMATS
from reference.operations.operation import Input, Operation
from reference.truth import truth

CUBE = Operation("cube", lambda x: x**3, {"x": Input("n d")})


def test_new_operation_has_its_truth_and_its_bound_from_one_function_and_one_row() -> None:
    rng = np.random.default_rng(0)
    for n, d in ((1, 1), (3, 2), (5, 4)):
        x, dy = rng.standard_normal((2, n, d))
        found = truth(CUBE, [x], [dy], {}, {"n": n, "d": d}).gradients["x"]
        known = {"dx": found.value}, {"dx": found.error}, {"dx": found.open}
        for formula in (dy * 3 * x**2, 3 * (x * dy) * x, (x * x + 2 * x * x) * dy):
            assert compare({"dx": formula}, *known).holds
        assert not compare({"dx": dy * 3 * x**2 * (1 + 1e-10)}, *known).holds
        assert (found.error <= 2**7 * FORMATS["float64"].unit * abs(found.value)).all()
