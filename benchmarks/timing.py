"""Times that stand beside each other: all are measured in turn, in one run, after a warm-up."""

import gc
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter


def medians(
    measured: Mapping[str, Callable[[], object]], rounds: int, *, settled: bool = False
) -> dict[str, float]:
    """The median seconds of each call, the calls taking turns for `rounds` rounds.

    With `settled` a call is made twice and the second is timed, as in a loop that makes no other: after its
    predecessor it would find the cache full of foreign arrays.
    """
    gc.collect()
    gc.freeze()  # or a collection of garbage goes through all that JAX has imported, within somebody's time
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(rounds + 1):
        for name, call in measured.items():
            if settled:
                call()
            started = perf_counter()
            call()
            if number:  # the first round warms up
                seconds[name].append(perf_counter() - started)
    gc.unfreeze()
    return {name: median(times) for name, times in seconds.items()}
