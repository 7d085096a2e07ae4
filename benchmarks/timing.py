"""Times that stand beside each other: all are measured in turn, in one run, after a warm-up."""

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter


def medians(measured: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each call, the calls taking turns for `rounds` rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(rounds + 1):
        for name, call in measured.items():
            started = perf_counter()
            call()
            if number:  # the first round warms up
                seconds[name].append(perf_counter() - started)
    return {name: median(times) for name, times in seconds.items()}
