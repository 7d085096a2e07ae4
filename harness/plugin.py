"""The pytest plugin of the installed package: `pytest --backprop=FILE` verifies FILE, property by property.

Every run of pytest in an environment with the package loads it, so it imports nothing of ours before it is asked:
`harness.items` has the rest.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

ITEMS = "harness.items"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--backprop`: what to verify in place of collecting tests."""
    group = parser.getgroup("manual-backprop")
    group.addoption(
        "--backprop",
        action="append",
        default=[],
        metavar="FILE",
        help="verify the hand-written gradient in FILE, property by property; may be given several times",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Load the rest where a file is named: before Hypothesis looks for the profile, which is one of ours."""
    if config.getoption("backprop") and not config.pluginmanager.has_plugin(ITEMS):
        config.pluginmanager.register(import_module(ITEMS), ITEMS)


@pytest.fixture(scope="session")
def assert_gradient() -> Callable[..., Any]:
    """`assert_gradient(f, grad, x)`: that a function of one array has this gradient or Jacobian, at x and near it.

    See `harness.assertion`.
    """
    return import_module("harness").assert_gradient  # which leaves JAX the precision that it had
