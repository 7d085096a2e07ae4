"""Draws that depend on the seed alone, and not on what else is imported.

Hypothesis reads the source of all modules outside of site-packages that it finds imported, and draws the constants in
them now and then. So a seed would give other cases where this package is installed in place, where a user's modules
are loaded beside it, and before and after a lazy import; and reading them takes a second of every process. Examples
here are built from bytes and from rows of tables, where no constant has a meaning: while a search runs, none is drawn.
And it draws a string byte by byte, as if its length were still open, which takes a third of the time of a draw: one
of a fixed length is drawn at once, the same that it would be.
Hypothesis has no setting for either, so they are asked for in the one method that draws constants.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import repeat
from typing import Any

from hypothesis.internal.conjecture.providers import HypothesisProvider

_BY_SEED_ALONE = ContextVar("draws by the seed alone", default=False)
_DRAW = "_maybe_draw_constant"
_draw_constant = getattr(HypothesisProvider, _DRAW)


def _drawn(self: Any, kind: str, constraints: Any, **chance: float) -> Any:
    if not _BY_SEED_ALONE.get():
        return _draw_constant(self, kind, constraints, **chance)
    if kind == "bytes" and constraints["min_size"] == constraints["max_size"]:
        return bytes(map(self._random.getrandbits, repeat(8, constraints["min_size"])))
    return None


setattr(HypothesisProvider, _DRAW, _drawn)


@contextmanager
def by_the_seed_alone() -> Generator[None]:
    """Draw no constants of imported modules for a while, in this thread."""
    token = _BY_SEED_ALONE.set(True)
    try:
        yield
    finally:
        _BY_SEED_ALONE.reset(token)
