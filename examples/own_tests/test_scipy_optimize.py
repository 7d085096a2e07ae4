"""What scipy.optimize.minimize is given (fun, jac, hess), in the tests of the project that minimises it.

`scipy.optimize.check_grad` returns a number, and leaves to its user how large it may be. Here a wrong entry fails, and
is named.
"""

import numpy as np
import pytest
from scipy.optimize import minimize

from harness import GradientError, assert_gradient, verify

A = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.25]])
B = np.array([1.0, -2.0, 0.5])


def fun(x):
    r = A @ x - B  # (3,)
    return np.sum(np.sqrt(1 + r**2) - 1)


def jac(x):
    r = A @ x - B
    return A.T @ (r / np.sqrt(1 + r**2))  # (2,)


def hess(x):
    r = A @ x - B
    return A.T @ ((1 + r**2) ** -1.5 * A.T).T  # (2, 2)


def fun_and_jac(x):
    return fun(x), jac(x)


def test_the_gradient_and_the_hessian_are_right_where_the_minimisation_starts_and_ends():
    found = minimize(fun_and_jac, np.zeros(2), jac=True)
    assert found.success
    for x in (np.zeros(2), found.x):
        assert_gradient(fun, jac, x)
        assert_gradient(jac, hess, x)


def test_they_are_right_wherever_they_are_drawn():
    sizes = {"n": [2]}
    verify(
        fun, gradient=jac, hessian=hess, operation={"x": "n"}, sizes=sizes, cases=10, seed=1
    ).raise_for_failure()
    verify(
        value_and_gradient=fun_and_jac, operation={"x": "n"}, sizes=sizes, cases=10, seed=1
    ).raise_for_failure()


def test_half_of_a_step_forgotten_is_found():
    def wrong(x):
        return A.T @ (A @ x - B)  # of half the squares

    with pytest.raises(GradientError, match=r"wrong\[\d\] is .*, and should be "):
        assert_gradient(fun, wrong, np.zeros(2))
