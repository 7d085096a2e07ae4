"""Examples of a strategy, many at once and the same for the same seed."""

from collections.abc import Iterator
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)
"""Complaints of Hypothesis about large examples: large they are."""

CHUNK = 1000
"""Examples that are drawn at a time: Hypothesis remembers all that one run has drawn."""


def samples(strategy: SearchStrategy[T], count: int, *, start: int) -> Iterator[T]:
    """`count` examples of a strategy, from a seed: what a search with so many cases would visit."""
    for chunk in range(-(-count // CHUNK)):
        yield from _chunk(strategy, min(CHUNK, count - chunk * CHUNK), start * 1_000_003 + chunk)


def _chunk(strategy: SearchStrategy[T], count: int, start: int) -> list[T]:
    drawn: list[T] = []

    @seed(start)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=SLOW,
    )
    @given(strategy)
    def keep(example: T) -> None:
        drawn.append(example)

    keep()
    return drawn[:count]
