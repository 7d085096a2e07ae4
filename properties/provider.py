"""What Hypothesis draws from in somebody else's process: chance alone, and not the constants of their modules.

Hypothesis reads the source of every module of the project that is imported, and draws its constants now and then. Our
cases are numbers and sizes, to which those say nothing; a seed would give other cases in every process, and to read a
large project takes seconds. Hypothesis has no setting for it. Where its next release keeps the constants elsewhere,
they are drawn, and a test says so.
"""

from collections.abc import Generator
from contextlib import contextmanager

from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

INSTEAD = {"_get_local_constants": lambda: _NOTHING, "CONSTANTS_CACHE": dict[object, object]()}
"""What gathers the constants of the modules, and those that are known to be possible for a choice."""

_NOTHING = Constants()


@contextmanager
def only_at_random() -> Generator[None]:
    """Within it, Hypothesis draws no constants of the modules that are imported."""
    before = {name: getattr(providers, name) for name in INSTEAD if hasattr(providers, name)}
    for name in before:
        setattr(providers, name, INSTEAD[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(providers, name, value)
