"""Times that stand beside each other: all are measured in turn, in one run, after a warm-up."""

import gc
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter

SETTLING = TIMED = 5
"""The calls of a turn that go first, untimed, and those that are timed."""


def medians(
    measured: Mapping[str, Callable[[], object]], rounds: int, *, settled: bool = False
) -> dict[str, float]:
    """The median seconds of each call, the calls taking turns for `rounds` rounds.

    With `settled` a turn is ten calls in a row, of which the last five are timed, as in a loop that makes no
    other. After its predecessor a call finds the cache full of foreign arrays, and the cores taken: threads
    of another library's pool go on spinning for milliseconds, and a second call is still a tenth slower.
    """
    untimed, timed = (SETTLING, TIMED) if settled else (0, 1)
    gc.collect()
    gc.freeze()  # or a collection of garbage goes through all that JAX has imported, within somebody's time
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(rounds + 1):
        for name, call in measured.items():
            for _ in range(untimed):
                call()
            for _ in range(timed):
                started = perf_counter()
                call()
                if number:  # the first round warms up
                    seconds[name].append(perf_counter() - started)
    gc.unfreeze()
    return {name: median(times) for name, times in seconds.items()}
