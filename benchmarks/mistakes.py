"""Every mistake of the catalogue, in every variant: is it caught, how soon, and is it named?"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
from rich.progress import track

from benchmarks.report import Table, json_option, show
from harness.contract import read_gradient
from manual_backprop.mistakes import MISTAKES, Mistake, WrongGradient
from properties.cases import Case, Parameters
from properties.checks import check_gradient
from properties.diagnosis.answer import diagnose
from properties.meta.formulations import FORMULATIONS, Formulation
from properties.problem import Claim
from properties.search import Effort, Record, Verdict, search
from properties.strategies import cases

CASES = 100
"""The default of a law."""

PAIRS = [
    ("identity", "mse"),
    ("softmax", "cross_entropy"),
    ("sigmoid", "binary_cross_entropy"),
    ("tanh", "sse"),
    ("softmax", "mse"),
    ("sigmoid", "half_mse"),
    ("relu", "half_sse"),
    ("softplus", "mse"),
    ("sigmoid", "mean_binary_cross_entropy"),
]
HIDDEN = ("tanh", "relu", "sigmoid", "softplus", "identity")


def claims() -> Iterator[Claim]:
    """Single problems, as a student's module has them; at the end those with one output."""
    for outputs, (number, ((output, loss), hidden)) in product(((), (1,)), enumerate(product(PAIRS, HIDDEN))):
        yield Claim(
            outputs=outputs,
            layers=(1 + (number + 1) % 4,),
            hidden=(hidden,),
            output=(output,),
            loss=(loss,),
            reduction=("sum" if number % 4 == 3 else "mean",),
        )


@dataclass(frozen=True)
class Accused:
    """A subject: a formulation of a right gradient, or a variant of a mistake, with what it claims."""

    gradient_of: Formulation | WrongGradient
    claims: tuple[Claim, ...]
    name: str = "accused"
    rational: bool = False
    has_loss: bool = False

    def gradient(self, case: Case) -> Parameters:
        """Its gradient, in the shapes of the parameters or a `Violation`."""
        if isinstance(self.gradient_of, Formulation):
            return self.gradient_of.gradient(case)
        with np.errstate(all="ignore"):
            found = self.gradient_of(case.parameters, case.inputs, case.targets, **case.choices)
        return read_gradient(found, case)

    def loss(self, case: Case) -> float:
        """None is given."""
        raise NotImplementedError

    def impurity(self) -> str:
        """None: a variant leaves its arguments alone, so that `input_mutated` can't be named by its traces."""
        return ""

    def renew(self) -> None:
        """Nothing: a variant keeps no state."""


def _search(subject: Accused, seed: int) -> Record:
    strategy = cases(subject.claims)
    return search(
        Record("equals"),
        lambda case: check_gradient(subject.gradient(case), case),
        strategy,
        Effort(CASES, seed),
    )


def _first_failure(subject: Accused, seed: int) -> int:
    """After how many cases the search first fails, without shrinking."""
    strategy = cases(subject.claims)
    effort = Effort(CASES, seed, shrinking=0)
    found = search(
        Record("equals"), lambda case: check_gradient(subject.gradient(case), case), strategy, effort
    )
    return found.cases


@dataclass
class Outcome:
    """How the subjects of one mistake came out."""

    tried: int = 0
    caught: int = 0
    named: int = 0
    firsts: list[int] = field(default_factory=list)
    other: list[str] = field(default_factory=list)


def try_mistake(mistake: Mistake, problems: int, seed: int) -> Outcome:
    """Every variant under some problems where it is wrong."""
    outcome = Outcome()
    for _, wrong in mistake.variants:
        for claim in islice((claim for claim in claims() if shows(wrong, claim)), problems):
            subject = Accused(wrong, (claim,))
            outcome.tried += 1
            record = _search(subject, seed)
            if record.verdict is not Verdict.FAIL:
                outcome.other.append("not caught")
                continue
            outcome.caught += 1
            outcome.firsts.append(_first_failure(subject, seed))
            names = diagnose(subject, record.counterexample).mistakes
            if mistake.name in names:
                outcome.named += 1
            else:
                outcome.other.append(" + ".join(names) or "none known")
    return outcome


def shows(wrong: WrongGradient, claim: Claim) -> bool:
    """Whether the mistake is wrong for a problem, with several samples and, where they are free, outputs."""
    return wrong.applies(
        hidden=claim.hidden[0],
        output=claim.output[0],
        loss=claim.loss[0],
        reduction=claim.reduction[0],
        layers=claim.layers[0],
        samples=5,
        outputs=claim.outputs[0] if claim.outputs else 3,
    )


def false_alarms(problems: int, seed: int) -> tuple[int, int]:
    """How many right subjects were tried, and how many of them failed."""
    tried = failed = 0
    for formulation in FORMULATIONS:
        for claim in islice(claims(), problems):
            tried += 1
            failed += _search(Accused(formulation, (claim,)), seed).verdict is Verdict.FAIL
    return tried, failed


@click.command("mistakes")
@click.option("--problems", default=3, show_default=True, help="Problems to try each variant on.")
@click.option("--only", multiple=True, type=click.Choice(list(MISTAKES)), help="Only these mistakes.")
@click.option("--seed", default=0, show_default=True)
@json_option
def command(problems: int, only: tuple[str, ...], seed: int, path: Path | None) -> None:
    """Each catalogued mistake: caught, named, and after how many cases; and right gradients accused."""
    rows: list[Any] = []
    total = Outcome()
    for name in track(only or tuple(MISTAKES), "mistakes", transient=True):
        outcome = try_mistake(MISTAKES[name], problems, seed)
        rows.append(_row(name, outcome))
        total.tried += outcome.tried
        total.caught += outcome.caught
        total.named += outcome.named
        total.firsts += outcome.firsts
    rows.append(_row("all", total))
    tried, failed = false_alarms(4 * problems, seed)
    columns = ("mistake", "subjects", "caught", "named", "median cases to the first FAIL", "else named")
    tables = [
        Table("Mistakes of the catalogue, each under problems where it shows", columns, rows),
        Table("Right gradients", ("subjects", "accused"), [(tried, failed)]),
    ]
    show("mistakes", tables, path)


def _row(name: str, outcome: Outcome) -> tuple[Any, ...]:
    first = median(outcome.firsts) if outcome.firsts else float("nan")
    return name, outcome.tried, outcome.caught, outcome.named, first, ", ".join(dict.fromkeys(outcome.other))
