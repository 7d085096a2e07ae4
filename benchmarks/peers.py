"""The judge beside the gradient checkers in use: on the same gradients, right and wrong, in one run."""

import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import click
import numpy as np
from rich.progress import track

import manual_backprop
from benchmarks.checkers import CHECKERS, SEED_PROBLEM, SIZES, Answer, Checker, Subject, subject
from benchmarks.mistakes import HIDDEN, PAIRS
from benchmarks.report import Table, json_option, show
from manual_backprop.mistakes import MISTAKES, WrongGradient, setting_of
from manual_backprop.network import Names, Parameters
from properties.cases import Case
from properties.comparison import Array
from properties.meta.formulations import FORMULATIONS, Formulation
from properties.meta.near_misses import NearMiss, one_entry, scaled

PROBLEMS = [
    SEED_PROBLEM,
    *(
        Names(hidden=hidden, output=output, loss=loss, reduction=reduction)
        for reduction, (output, loss), hidden in product(("mean", "sum"), PAIRS, HIDDEN)
    ),
]
"""A mistake is tried on the first of these on which it shows."""
RIGHT = [
    SEED_PROBLEM,
    Names(hidden="relu", output="softmax", loss="cross_entropy", reduction="mean"),
    Names(hidden="sigmoid", output="sigmoid", loss="binary_cross_entropy", reduction="sum"),
]
NEAR_MISSES: Mapping[str, NearMiss] = {
    "every entry × (1 + 1e-6)": scaled(1e-6),
    "every entry × (1 + 1e-10)": scaled(1e-10),
    "one entry × (1 + 1e-6)": one_entry(1e-6),
    "one entry × 2": one_entry(1.0),
}
ALL_VARIANTS = {"6-4-3"}
"""The sizes at which a mistake is tried in every variant; at others in the first, since a verdict takes seconds."""
SHOWS = 2**20
"""A mistake shows where it is off by so many roundings of an array's largest entry."""
LOUD = 2.0**12
"""What the inputs are multiplied by for a mistake that shows in large gradients alone."""


KINDS = ("mistake", "near miss", "right", "right in float32")


@dataclass(frozen=True)
class Trial:
    """A subject and what it is, one of `KINDS`."""

    kind: str
    name: str
    subject: Subject
    wrong_shape: bool = False


@dataclass(frozen=True)
class Found:
    """What a checker says of a trial, and how long it takes."""

    answer: Answer
    seconds: float

    @property
    def accused(self) -> bool:
        """Whether the gradient does not pass."""
        return bool(self.answer.message)

    def names(self, trial: Trial) -> bool:
        """Whether it says which mistake it is; for an array of a wrong shape, whether it speaks of shapes."""
        spoken = trial.wrong_shape and "shape" in self.answer.message
        return trial.name in self.answer.names or spoken


Outcomes = list[tuple[Trial, Found]]


def trials(sizes: str) -> Iterator[Trial]:
    """The mistakes that show at these sizes, each in one variant or in all; near misses; right gradients."""
    for name, mistake in MISTAKES.items():
        shown = [trial for _, wrong in mistake.variants for trial in _mistaken(name, wrong, sizes)]
        yield from shown if sizes in ALL_VARIANTS else shown[:1]
    for name, near_miss in NEAR_MISSES.items():
        yield Trial("near miss", name, subject(_missed(near_miss), sizes))
    for formulation, names in product(FORMULATIONS, RIGHT):
        yield Trial("right", formulation.name, subject(_by(formulation), sizes, names))
    for names in RIGHT:
        accused = subject(manual_backprop.gradient, sizes, names, np.float32)
        yield Trial("right in float32", "manual_backprop", accused)


def _mistaken(name: str, wrong: WrongGradient, sizes: str) -> Iterator[Trial]:
    """The variant under the first problem where it shows, if there is any."""
    for scale, names in product((1.0, LOUD), PROBLEMS):
        accused = subject(wrong, sizes, names, scale=scale)
        if not wrong.applies(**setting_of(accused.parameters, accused.inputs, **names)):
            continue
        given, right = accused.gradient(*accused.arrays), _right(accused)
        if any(map(_shows, given, right)):
            misshapen = any(np.shape(a) != b.shape for a, b in zip(given, right, strict=True))
            yield Trial("mistake", name, accused, wrong_shape=misshapen)
            return


def _right(accused: Subject) -> list[Any]:
    right = Subject(
        manual_backprop.gradient, accused.parameters, accused.inputs, accused.targets, accused.names
    )
    return right.gradient(*right.arrays)


def _shows(wrong: Array, right: Array) -> bool:
    if np.shape(wrong) != right.shape:
        return True
    largest = max(abs(right).max(), abs(wrong).max())
    return bool(abs(wrong - right).max() > SHOWS * np.finfo(right.dtype).eps * largest)


def _missed(near_miss: NearMiss) -> Callable[..., Parameters]:
    def gradient(*given: Any, **names: Any) -> Parameters:
        return near_miss(manual_backprop.gradient(*given, **names), np.random.default_rng(0))

    return gradient


def _by(formulation: Formulation) -> Callable[..., Parameters]:
    return lambda *given, **names: formulation.gradient(Case(*given, **names))


def try_all(checkers: Mapping[str, Checker], sizes: str) -> dict[str, Outcomes]:
    """Every checker on every trial, in turn, after a first call on a right gradient."""
    for checker in checkers.values():
        checker.check(subject(manual_backprop.gradient, sizes))
    tried = list(trials(sizes))
    found: dict[str, Outcomes] = {name: [] for name in checkers}
    for trial in track(tried, f"peers, {sizes}", transient=True):
        for name, checker in checkers.items():
            started = perf_counter()
            answer = checker.check(trial.subject)
            found[name].append((trial, Found(answer, perf_counter() - started)))
    return found


def _row(name: str, outcomes: Outcomes, cold: float) -> tuple[Any, ...]:
    by_kind = {kind: [(t, f) for t, f in outcomes if t.kind == kind] for kind in KINDS}
    accused = {kind: f"{sum(f.accused for _, f in those)} of {len(those)}" for kind, those in by_kind.items()}
    mistakes = by_kind["mistake"]
    named = f"{sum(f.names(trial) for trial, f in mistakes)} of {len(mistakes)}"
    warm = [1e3 * median(f.seconds for _, f in by_kind[kind]) for kind in ("right", "mistake")]
    return name, accused.pop("mistake"), named, *accused.values(), cold, *warm


def _misses(name: str, outcomes: Outcomes) -> tuple[str, str, str]:
    past = [t.name for t, f in outcomes if t.kind in {"mistake", "near miss"} and not f.accused]
    if not any(f.answer.names for _, f in outcomes):
        return name, _counted(past), "all but wrong shapes"
    unnamed = [t.name for t, f in outcomes if t.kind == "mistake" and f.accused and not f.names(t)]
    return name, _counted(past), _counted(unnamed)


def _counted(names: Sequence[str]) -> str:
    counts = Counter(names)
    return ", ".join(f"{name} ({count})" if count > 1 else name for name, count in counts.items())


COLUMNS = (
    "",
    "mistakes caught",
    "named",
    "near misses caught",
    "right ones accused",
    "in float32",
    "s cold",
    "ms warm, right",
    "ms warm, wrong",
)
NOTE = (
    "cold: a fresh process from its start to the verdict on a right gradient; warm: medians over the right "
    "float64 gradients and over the mistakes, with all that a checker says of them"
)


def table(sizes: str, rounds: int) -> list[Table]:
    """What every checker makes of every trial, and what gets past it."""
    present = {name: checker for name, checker in CHECKERS.items() if checker.installed}
    found = try_all(present, sizes)
    cold = cold_seconds({name: ["-m", "benchmarks.checkers", name, sizes] for name in present}, rounds)
    absent = ("not installed", *[""] * (len(COLUMNS) - 2))
    rows = [_row(name, found[name], cold[name]) if name in present else (name, *absent) for name in CHECKERS]
    misses = [_misses(name, outcomes) for name, outcomes in found.items()]
    return [
        Table(f"{sizes}, {SIZES[sizes][1]} samples", COLUMNS, rows, NOTE),
        Table(f"{sizes}: what gets past a checker", ("", "not caught", "not named"), misses),
    ]


def cold_seconds(calls: Mapping[str, Sequence[str]], rounds: int) -> dict[str, float]:
    """The median seconds of calls of Python, each in a fresh process, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, arguments in calls.items():
            started = perf_counter()
            ended = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)  # noqa: S603
            seconds[name].append(perf_counter() - started)
            if ended.returncode not in {0, 1} or b"Traceback" in ended.stdout + ended.stderr:
                raise click.ClickException(
                    f"{name}: {(ended.stdout + ended.stderr).decode(errors='replace')}"
                )
    return {name: median(times) for name, times in seconds.items()}


MODULE = """import numpy as np

PROBLEM = {{"inputs": {0}, "width": {1}, "outputs": {2}}}


def gradient(parameters, inputs, targets):
    (W1, b1), (W2, b2) = parameters
    h = np.tanh(inputs @ W1 + b1)
    dz2 = 2 * (h @ W2 + b2 - targets) / targets.size
    {3}
    dz1 = dz2 @ W2.T * (1 - h**2)
    return [(inputs.T @ dz1, dz1.sum(axis=0)), (h.T @ dz2, dz2.sum(axis=0))]
"""
MODULES = {"right": "", "one output only": "dz2[:, 1:] = 0"}


def whole_law(rounds: int) -> Table:
    """`manual-backprop verify` of a file: a process of its own, and every property on 100 cases."""
    with TemporaryDirectory() as folder:
        calls: dict[str, list[str]] = {}
        for (sizes, (units, _)), (what, line) in product(SIZES.items(), MODULES.items()):
            path = Path(folder) / f"{len(calls)}.py"
            path.write_text(MODULE.format(*units, line), encoding="utf-8")
            calls[f"{sizes}, {what}"] = ["-m", "harness.cli", "verify", str(path), "--seed", "0"]
        seconds = cold_seconds(calls, rounds)
    return Table("`manual-backprop verify mine.py`, all properties", ("", "s cold"), list(seconds.items()))


@click.command("peers")
@click.option("--sizes", multiple=True, type=click.Choice(list(SIZES)), help="Only these sizes.")
@click.option("--rounds", default=3, show_default=True, help="Cold starts, of which the median is shown.")
@json_option
def command(sizes: tuple[str, ...], rounds: int, path: Path | None) -> None:
    """The judge beside torch, jax, autograd and the CS231n loop: caught, named, false alarms, time.

    The peers come with `pip install '.[peers]'`; one that is not installed has a row that says so.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of float32, which is tried on purpose
        tables = [one for chosen in sizes or tuple(SIZES) for one in table(chosen, rounds)]
    show("peers", [*tables, whole_law(rounds)], path)
