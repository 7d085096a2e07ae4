"""JAX in double precision: for the calls of this package, whatever else the process computes with JAX.

JAX makes single precision of every float unless `jax_enable_x64` is set. That setting belongs to the whole process, and
so to its user, who may want it otherwise; `jax.enable_x64` sets it for one thread and a while.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

import jax

P = ParamSpec("P")
R = TypeVar("R")

_HOME: Any = jax if hasattr(jax, "enable_x64") else import_module("jax.experimental")
"""Where `enable_x64` is: until release 0.8 of JAX it was among what is experimental."""

_FOUND = bool(jax.config.read("jax_enable_x64"))
"""What the process had set when this package was imported."""


@contextmanager
def double_precision() -> Generator[None]:
    """Within it JAX computes in float64, in this thread alone."""
    with _HOME.enable_x64(True):
        yield


def in_double_precision(function: Callable[P, R]) -> Callable[P, R]:
    """The function, within `double_precision`."""

    @wraps(function)
    def run(*args: P.args, **keywords: P.kwargs) -> R:
        with double_precision():
            return function(*args, **keywords)

    return run


def take() -> None:
    """Set the precision of the whole process: for who reads the truth beside calls of JAX of their own."""
    jax.config.update("jax_enable_x64", True)


def give_back() -> None:
    """Set the precision of the process as it was before this package was imported."""
    jax.config.update("jax_enable_x64", _FOUND)
