"""Loads a subject, verifies it in a process of its own, and reports: the command, and the plugin of pytest.

In Python it is `verify` and `assert_gradient`, which are loaded when they are asked for.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.assertion import GradientError, Seen, assert_gradient
    from harness.interface import Counterexample, Result, verify

__all__ = ["Counterexample", "GradientError", "Result", "Seen", "assert_gradient", "verify"]


def __getattr__(name: str) -> Any:
    """What is in `__all__`: it needs JAX, which takes a second to import, and whose precision stays its user's."""
    if name not in __all__:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    is_first = "reference" not in sys.modules
    precision = import_module("reference.precision")
    if is_first:
        precision.give_back()
    home = (
        "harness.assertion" if name in {"GradientError", "Seen", "assert_gradient"} else "harness.interface"
    )
    return getattr(import_module(home), name)
