"""Does the judge ever accuse a right gradient? Every formulation on every case that the strategies draw."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.progress import track

import manual_backprop
from benchmarks.report import Table, json_option, show
from properties.cases import Case
from properties.comparison import named
from properties.meta.formulations import FORMULATIONS
from properties.meta.samples import CHUNK, samples
from properties.problem import read
from properties.search import Inconclusive, Violation
from properties.strategies import EDGES, REGULAR, cases

QUANTILES = {"median": 0.5, "99 %": 0.99, "99.9 %": 0.999, "largest": 1.0}


@dataclass
class Tally:
    """What came of some cases: see the columns of the tables."""

    cases: Counter[tuple[str, str]] = field(default_factory=Counter)
    inconclusive: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    unstable: Counter[tuple[str, str]] = field(default_factory=Counter)
    kinks: Counter[str] = field(default_factory=Counter)
    ratios: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    bounds: list[float] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Take in another tally."""
        self.cases += other.cases
        self.inconclusive += other.inconclusive
        self.unstable += other.unstable
        self.kinks += other.kinks
        for name, ratios in other.ratios.items():
            self.ratios[name] += ratios
        self.bounds += other.bounds
        self.alarms += other.alarms

    def try_case(self, case: Case) -> None:
        """Put every formulation before the judge."""
        dtype = str(case.inputs.dtype)
        self.cases[case.regime, dtype] += 1
        opened = 0
        for formulation in FORMULATIONS:
            try:
                found = formulation.judged(case)
            except Inconclusive as reason:
                self.inconclusive[str(reason), case.regime, dtype] += 1
            except Violation as alarm:
                self.alarms.append(
                    f"{formulation.name}, {case.regime}: {alarm}\n{case.as_python()}\n# {case.choices}"
                )
            else:
                if found is None:
                    self.unstable[formulation.name, case.regime] += 1
                elif found.open:
                    opened = found.open
                else:
                    self.ratios[formulation.name].append(found.ratio)
        error, gradient = named(case.oracle.error), named(case.oracle.gradient)
        self.kinks["entries"] += sum(array.size for array in error.values())
        self.kinks["open"] += opened
        if case.regime == "well scaled" and dtype == "float64" and not opened:
            self.bounds += [
                float(np.median(error[name][right != 0] / abs(right[right != 0])))
                for name, right in gradient.items()
                if right.any()
            ]


def tally(seed: int, count: int) -> Tally:
    """Try `count` cases of all regimes, drawn from a seed."""
    found = Tally()
    claims = read(manual_backprop.PROBLEM)
    for case in samples(cases(claims, REGULAR + EDGES), count, start=seed):
        found.try_case(case)
    return found


def _tally(work: tuple[int, int]) -> Tally:
    return tally(*work)


def tallies(count: int, seed: int, processes: int) -> Iterator[Tally]:
    """The tallies of `count` cases, by chunks, in several processes."""
    chunks = -(-count // CHUNK)
    work = [(seed * 100_000 + i, min(CHUNK, count - i * CHUNK)) for i in range(chunks)]
    with get_context("spawn").Pool(processes) as pool:
        yield from track(pool.imap_unordered(_tally, work), "false alarms", chunks, transient=True)


def tables(found: Tally) -> list[Table]:
    """The figures of a tally."""
    judged = {f.name: len(found.ratios[f.name]) for f in FORMULATIONS}
    rows: list[Any] = []
    for formulation in FORMULATIONS:
        ratios = found.ratios[formulation.name] or [np.nan]
        unstable = sum(count for (name, _), count in found.unstable.items() if name == formulation.name)
        quantiles = [float(np.quantile(ratios, q)) for q in QUANTILES.values()]
        alarms = sum(alarm.startswith(f"{formulation.name},") for alarm in found.alarms)
        rows.append((formulation.name, judged[formulation.name], alarms, unstable, *quantiles))
    regimes = sorted({regime for regime, _ in found.cases})
    seen = [(r, *(found.cases[r, d] for d in ("float64", "float32"))) for r in regimes]
    unstable = [
        (name, *(found.unstable[name, regime] for regime in regimes))
        for name in dict.fromkeys(name for name, _ in found.unstable)
    ]
    unknown = [(*key, count // len(FORMULATIONS)) for key, count in sorted(found.inconclusive.items())]
    bounds = [float(np.quantile(found.bounds or [np.nan], q)) for q in QUANTILES.values()]
    return [
        Table(
            f"{found.cases.total()} cases: FAIL on a right gradient (must be 0), and |difference| / bound",
            ("formulation", "no open kink", "FAIL", "UNSTABLE", *QUANTILES),
            rows,
            "UNSTABLE: NaN or infinity, of programs that overflow by design",
        ),
        Table("The cases", ("regime", "float64", "float32"), seen),
        Table("UNSTABLE by regime", ("formulation", *regimes), unstable),
        Table("INCONCLUSIVE", ("reason", "regime", "dtype", "cases"), unknown),
        Table("Entries", ("", "count"), list(found.kinks.items()), "open: a kink leaves more than rounding"),
        Table("Bound / |truth|, well-scaled float64, median of an array", tuple(QUANTILES), [bounds]),
    ]


@click.command("false-alarms")
@click.option("--cases", "count", default=10_000, show_default=True, help="How many cases to draw.")
@click.option("--seed", default=0, show_default=True)
@click.option("--processes", default=1, show_default=True)
@json_option
def command(count: int, seed: int, processes: int, path: Path | None) -> None:
    """Right gradients in many formulations: none may be accused."""
    found = Tally()
    for part in tallies(count, seed, processes):
        found.add(part)
    show("false-alarms", tables(found), path)
    for alarm in found.alarms[:3]:
        click.echo(alarm)
    if found.alarms:
        raise SystemExit(1)
