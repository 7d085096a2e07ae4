"""How small an error does the judge see, and how many cases does it take?"""

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import click

import manual_backprop
from benchmarks.report import Table, json_option, show
from properties.meta.near_misses import NearMiss, cases_until_caught, first_weight, one_entry, scaled
from properties.meta.samples import samples
from properties.problem import read
from properties.strategies import cases
from properties.subjects import Bundled

WAYS: Mapping[str, Callable[[float], NearMiss]] = {
    "every entry × (1 + ε)": scaled,
    "one entry, any, × (1 + ε)": one_entry,
    "the first weight × (1 + ε)": first_weight,
}
ERRORS = (1e-6, 1e-9, 1e-10, 1e-12, 1e-13, 1e-14, 1e-15)


@click.command("sensitivity")
@click.option("--seeds", default=20, show_default=True, help="Runs, of which the median is shown.")
@click.option("--cases", "count", default=200, show_default=True, help="Cases of a run.")
@json_option
def command(seeds: int, count: int, path: Path | None) -> None:
    """Near-misses in float64: cases to the first FAIL."""
    subject = Bundled()
    strategy = cases(read(manual_backprop.PROBLEM), dtype="float64")
    found: dict[tuple[str, float], list[float]] = {(way, error): [] for way in WAYS for error in ERRORS}
    for seed in range(seeds):
        drawn = list(samples(strategy, count, start=seed))
        for (way, error), numbers in found.items():
            number = cases_until_caught(WAYS[way](error), subject.gradient, drawn, seed)
            numbers.append(float("inf") if number is None else number)
    rows: list[Any] = [
        (
            f"{way.replace('ε', f'{error:.0e}')}",
            sum(n <= count for n in numbers),
            median(numbers),
            max(numbers),
        )
        for (way, error), numbers in found.items()
    ]
    columns = ("near-miss", f"caught, of {seeds} runs", "median cases", "most cases")
    show("sensitivity", [Table(f"Cases to the first FAIL, at most {count}", columns, rows)], path)
