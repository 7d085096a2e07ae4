"""How far a verification is: in a notebook a bar, which goes when it is done; elsewhere nothing, unless somebody asks.

IPython is never imported: where a kernel runs, it is there.
"""

import html
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeAlias

Progress: TypeAlias = Callable[[int, int, str], object]
"""Called with the properties that are done, their number, and the next one in words."""

UNSEEN = 0.3
"""Seconds that pass before a bar is shown: what is over sooner needs none."""


@contextmanager
def shown_where_it_can_be(wanted: "Progress | bool | None") -> Generator[Progress]:
    """What shows progress as it was asked for: by the caller's own function, by a bar in a notebook, or not at all."""
    if callable(wanted):
        yield wanted
        return
    display = None if wanted is False else _display()
    if display is None:
        yield _nowhere
        return
    bar = _Bar(display)
    try:
        yield bar
    finally:
        bar.close()


def _nowhere(done: int, total: int, following: str) -> None:
    """Show nothing."""


def _display() -> Any:
    """The module `IPython.display`, where a notebook's kernel runs in this process; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return sys.modules.get("IPython.display") if getattr(shell, "kernel", None) is not None else None


class _Bar:
    """A bar in the output of a cell."""

    def __init__(self, display: Any) -> None:
        """It is shown once it has something to say."""
        self._display, self._handle = display, None
        self._began = monotonic()

    def __call__(self, done: int, total: int, following: str) -> None:
        """Show how far it is."""
        if monotonic() - self._began < UNSEEN:
            return
        said = html.escape(following)
        bar = self._display.HTML(
            f'<progress value="{done}" max="{total}" aria-label="properties"></progress> {done}/{total} {said}'
        )
        if self._handle is None:
            self._handle = self._display.display(bar, display_id=True)
        else:
            self._handle.update(bar)

    def close(self) -> None:
        """Leave nothing behind."""
        if self._handle is not None:
            self._handle.update(self._display.HTML(""))
