"""What the oracles cost: against drawing, against a loop over all coordinates, and as networks grow."""

import tracemalloc
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import jax
import numpy as np
from hypothesis.strategies import SearchStrategy

import manual_backprop
from benchmarks.report import Table, json_option, show
from benchmarks.timing import medians
from properties.cases import Case, Parameters
from properties.checks import check_gradient
from properties.comparison import Comparison, compare, named
from properties.meta.samples import samples
from properties.network import PROPERTIES
from properties.problem import read
from properties.search import Effort, Record, search, searched
from properties.strategies import cases
from properties.subjects import Bundled
from reference import differences
from reference.network import Choices, loss_value

COMPILATION = "/jax/core/compile/backend_compile_duration"
"""What JAX reports of each program that XLA has compiled."""

TRIFLE = 0.05
"""Seconds: what JAX compiles for a single operation takes less."""

CHOICES: Choices = {"hidden": "tanh", "output": "identity", "loss": "mse", "reduction": "mean"}
LINES = 30
"""2^-30 < 1e-9 is the probability that all of them miss an error."""

STEP = 2.0**-17
"""About the cube root of a rounding: what a plain central difference takes."""


# --- cases a second -------------------------------------------------------------------------------------------


def _fresh(case: Case) -> Case:
    """The same case without what is remembered of it."""
    return Case(case.parameters, case.inputs, case.targets, **case.choices, regime=case.regime)


def _each(act: Callable[[Case], object], drawn: Iterable[Case]) -> None:
    """Act on every case, and let go of it, as a search does."""
    waiting = list(drawn)
    while waiting:
        act(waiting.pop())


def _searched(strategy: SearchStrategy[Case], count: int, check: Callable[[Case], Comparison | None]) -> None:
    search(Record("a search"), check, strategy, Effort(count, seed=0))


def rates(count: int, rounds: int) -> list[Table]:
    """Cases a second: drawn, and drawn and judged; and what a judged case is spent on."""
    strategy = cases(read(manual_backprop.PROBLEM))
    subject = Bundled()
    drawn = list(samples(strategy, count, start=0))

    def compare_again(case: Case) -> None:
        truth = case.oracle
        compare(named(truth.gradient), named(truth.gradient), named(truth.error), named(truth.open))

    steps: dict[str, Callable[[], object]] = {
        "draw": lambda: _each(id, samples(strategy, count, start=0)),
        "draw and judge": lambda: _each(
            lambda case: check_gradient(subject.gradient(case), case), samples(strategy, count, start=0)
        ),
        "gradient by hand": lambda: _each(subject.gradient, drawn),
        "search, nothing judged": lambda: _searched(strategy, count, lambda _: None),
        "search": lambda: _searched(
            strategy, count, lambda case: check_gradient(subject.gradient(case), case)
        ),
        "truth and bound": lambda: _each(lambda case: _fresh(case).oracle, drawn),
        "comparison": lambda: _each(compare_again, drawn),
    }
    seconds = medians(steps, rounds)
    rows = [
        (what, count / seconds[what], 1e3 * seconds[what] / count, seconds["draw"] / seconds[what])
        for what in seconds
    ]
    columns = ("", "cases a second", "ms a case", "rate / rate of drawing")
    note = (
        "the goal: draw and judge at 0.6 of the rate of drawing; a search turns from one to the other with every "
        "case, and finds a processor's cache full of the other's each time"
    )
    return [Table("Cases a second", columns, rows, note)]


# --- compilations ---------------------------------------------------------------------------------------------


def compilations(count: int) -> list[Table]:
    """The programs that a run of all properties compiles, with `count` cases each."""
    compiled: list[float] = []

    def listen(event: str, duration_secs: float, **_: object) -> None:
        if event == COMPILATION and duration_secs > TRIFLE:
            compiled.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    started = perf_counter()
    for one in PROPERTIES:
        searched(one, Bundled(), Effort(count, seed=0))
    row = (
        len(PROPERTIES),
        count,
        len(compiled),
        sum(compiled),
        perf_counter() - started,
    )
    columns = (
        "properties",
        "cases a property",
        "XLA compilations",
        "seconds compiling",
        "seconds in all",
    )
    note = f"compilations of more than {TRIFLE} s; the goal: none"
    return [Table("Compilations of a run of the properties, from a cold start", columns, [row], note)]


# --- finite differences ---------------------------------------------------------------------------------------


def network(sizes: tuple[int, ...], samples: int) -> tuple[Parameters, Any, Any]:
    """Parameters, inputs and targets of size 1, at random."""
    random = np.random.default_rng(0)
    parameters: Parameters = [
        (random.standard_normal((m, k)) / np.sqrt(m), random.standard_normal(k)) for m, k in pairwise(sizes)
    ]
    return (
        parameters,
        random.standard_normal((samples, sizes[0])),
        random.standard_normal((samples, sizes[-1])),
    )


def loop_over_coordinates(parameters: Parameters, inputs: Any, targets: Any) -> Parameters:
    """Central differences by two values of the loss for every single weight: what most programs do."""
    loss = partial(loss_value, np, parameters, inputs, targets, **CHOICES)
    found: Parameters = []
    for pair in parameters:
        quotients = [np.empty_like(array) for array in pair if array is not None]
        for array, quotient in zip(pair, quotients, strict=True):
            if array is None:
                continue
            flat, results = array.reshape(-1), quotient.reshape(-1)
            for i in range(flat.size):
                kept = flat[i]
                flat[i] = kept + STEP
                above = loss()
                flat[i] = kept - STEP
                results[i] = (above - loss()) / (2 * STEP)
                flat[i] = kept
        found.append((quotients[0], quotients[1]))
    return found


def finite_differences(rounds: int) -> list[Table]:
    """128-64-10 with 32 samples: the verdict along random lines, and every weight by itself."""
    problem = network((128, 64, 10), 32)
    gradient = manual_backprop.gradient(*problem, **CHOICES)

    def judged() -> differences.Verdict:
        return differences.judge(gradient, *problem, count=LINES, **CHOICES)

    seconds = medians(
        {
            "loop over all coordinates": lambda: loop_over_coordinates(*problem),
            f"verdict along {LINES} lines": judged,
            "gradient by hand": lambda: manual_backprop.gradient(*problem, **CHOICES),
        },
        rounds,
    )
    loop, by_hand = seconds["loop over all coordinates"], seconds["gradient by hand"]
    rows = [(what, 1e3 * t, loop / t, t / by_hand) for what, t in seconds.items()]
    verdict = judged()
    note = (
        f"verdict: {verdict.outcome}, miss probability {verdict.miss:.1e}, sees {verdict.resolution:.1e} of the "
        "slope"
    )
    columns = ("", "ms", "times faster than the loop", "gradient evaluations")
    return [Table("Finite differences, 128-64-10, 32 samples", columns, rows, note)]


GROWTH = {
    "10^4": (128, 72, 10),
    "10^5": (1024, 96, 10),
    "10^6": (2048, 480, 10),
}


def growth(rounds: int, batch: int = 32) -> list[Table]:
    """The price of a verdict from 10^4 to 10^6 parameters: more are not judged."""
    rows: list[Any] = []
    for name, sizes in GROWTH.items():
        problem = network(sizes, batch)
        gradient = manual_backprop.gradient(*problem, **CHOICES)
        judged = partial(differences.judge, gradient, *problem, count=LINES, **CHOICES)
        by_hand = partial(manual_backprop.gradient, *problem, **CHOICES)
        seconds = medians({"verdict": judged, "gradient": by_hand}, rounds)
        tracemalloc.start()
        judged()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        numbers = sum(W.size + W.shape[1] for W, _ in problem[0]) + batch * (sizes[0] + 2 * sum(sizes[1:]))
        share = seconds["verdict"] / seconds["gradient"]
        rows.append((name, "-".join(map(str, sizes)), 1e3 * seconds["verdict"], share, peak / (8 * numbers)))
    columns = (
        "parameters",
        "network",
        "ms a verdict",
        "gradient evaluations",
        "peak / (parameters + activations)",
    )
    note = f"{LINES} lines, {batch} samples; the peak is what the verdict allocates besides its arguments"
    return [Table("Growth", columns, rows, note)]


@click.command("oracles")
@click.option("--cases", "count", default=500, show_default=True, help="Cases of a round.")
@click.option("--rounds", default=7, show_default=True, help="Rounds, of which the median is taken.")
@json_option
def command(count: int, rounds: int, path: Path | None) -> None:
    """What the oracles cost, as ratios of times measured in one run."""
    tables = [*compilations(100), *rates(count, rounds), *finite_differences(rounds), *growth(3)]
    show("oracles", tables, path)
