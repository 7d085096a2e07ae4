"""The time that a verification has used, and its limit.

What counts is the processor time of the subject and of the thread that verifies it: a busy machine takes nothing from
it. A subject that sleeps or waits uses no processor time, so how long its calls take on the wall counts as well, at a
fraction.
"""

from collections.abc import Callable
from time import thread_time

from properties.search import TimeIsOver

PATIENCE = 4.0
"""Seconds on the wall that count as one: so much slower may a busy machine be, before time is lost to it."""


class Clock:
    """The time of one verification. It belongs to the thread that makes it."""

    def __init__(
        self,
        seconds: float,
        of_subject: Callable[[], float] = lambda: 0.0,
        of_thread: Callable[[], float] = thread_time,
    ) -> None:
        """A limit in seconds, and what tells those of the subject; the thread's own count from now."""
        self.seconds = seconds
        self._of_subject, self._of_thread = of_subject, of_thread
        self._began = of_thread()

    def spent(self) -> float:
        """The seconds that are used."""
        return self._of_thread() - self._began + self._of_subject()

    def check(self) -> None:
        """Raise `TimeIsOver` where all of them are."""
        if self.spent() > self.seconds:
            raise TimeIsOver
