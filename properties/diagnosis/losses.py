"""What is wrong with a loss: a factor, an ε, a penalty, or the loss of another problem."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from properties.cases import Array, Case
from properties.comparison import named
from properties.diagnosis import guards
from properties.diagnosis.other_programs import other_choices
from properties.diagnosis.probes import OVERLOOKED, Interview, Probe, wide
from properties.diagnosis.trials import Trial, as_named, named_factor, said_of
from properties.search import Inconclusive, Violation
from reference.network import loss_value

BASES: Mapping[str, str] = {
    f"{1 / np.log(base):.6g}": f"the logarithm has the base {base}" for base in (2, 10)
}


@dataclass(frozen=True)
class _Told:
    """A case and the subject's loss for it."""

    case: Case
    value: float

    def is_explained(self, predicted: float) -> bool:
        """Whether the loss is the predicted one, but for rounding, which grows with its size; both err."""
        truth = self.case.oracle
        growth = abs(predicted) / abs(truth.loss) if truth.loss else 0.0
        return bool(abs(self.value - predicted) <= 2 * truth.loss_error * (1 + growth))


def explain(interview: Interview, cases: Sequence[Case]) -> tuple[str, str]:
    """What is wrong with the subject's loss, and the evidence; both empty where it is right or not given."""
    told = list(_told(interview, cases)) if interview.subject.has_loss else []
    wrong = sum(abs(one.value - one.case.oracle.loss) > one.case.oracle.loss_error for one in told)
    if not wrong:
        return "", ""
    factor, said = _factor(told)
    problem = next((label for label in _others(told)), "") or BASES.get(said, "") or _penalty(told)
    parts = list(filter(None, (factor, problem)))
    if parts:
        return ": ".join(parts), f"explains the loss on {len(told)} of {len(told)} cases"
    return f"the loss is wrong on {wrong} of {len(told)} cases", ""


def _told(interview: Interview, cases: Sequence[Case]) -> Iterator[_Told]:
    for case in cases:
        interview.step()
        if not case.overflows:
            try:
                yield _Told(case, interview.subject.loss(case))
            except (Violation, Inconclusive):
                continue


def _factor(told: Sequence[_Told]) -> tuple[str, str]:
    """By which factor a loss is off, with which ε besides, and the factor's name; both empty where there is none."""
    some = [one for one in told if one.case.oracle.loss]
    probes = [Probe(one.case, {}) for one in some]
    right = [one.case.oracle.loss for one in some]
    for guard in chain((None,), _guards(some, probes)):
        base = right if guard is None else [guard.value(one.case) for one in some]
        called, by = _called(some, probes, base)
        asked = zip(some, probes, base, strict=True)
        if called and by and all(one.is_explained(by(probe) * number) for one, probe, number in asked):
            beside = "" if guard is None else f", and {guard.text} besides"
            return f"the loss is {said_of(called)} what PROBLEM says{beside}", called
    return "", ""


def _called(
    told: Sequence[_Told], probes: Sequence[Probe], base: Sequence[float], within: float | None = None
) -> tuple[str, Callable[[Trial], float] | None]:
    """The name of the factor by which losses are what they are, and what it is at a probe; empty for none."""
    ratios = [one.value / number for one, number in zip(told, base, strict=True) if number]
    called = named_factor(ratios, probes, within) if ratios and len(ratios) == len(told) else None
    return (called[0], as_named(called[0], ratios[-1])) if called else ("", None)


def _guards(told: Sequence[_Told], probes: Sequence[Probe]) -> Iterator[guards.Guard]:
    """The guards with which losses are what they are relative to the first, of a factor that is known but roughly."""
    right = [one.case.oracle.loss for one in told]
    _, by = _called(told, probes, right, OVERLOOKED)
    if by is None:
        return

    def apart(losses: Sequence[float]) -> Array:
        return np.asarray(losses) / losses[0]

    errors = [2 * one.case.oracle.loss_error / one.case.oracle.loss for one in told]
    for family in guards.values(told[0].case.loss):
        yield from family.fitted(
            lambda guard: apart([guard.value(one.case) for one in told]),
            apart(right),
            apart([one.value / by(probe) for one, probe in zip(told, probes, strict=True)]),
            float(np.linalg.norm(errors)),
        )


def _others(told: Sequence[_Told]) -> Iterator[str]:
    """The losses of other choices that are the subject's."""
    for label, choices in other_choices(told[0].case):
        with np.errstate(all="ignore"):
            if all(one.is_explained(_value(replace(one.case, **choices))) for one in told):
                yield f"this is {label}"


def _value(case: Case) -> float:
    here = wide(case)
    return float(loss_value(np, here.parameters, here.inputs, here.targets, **case.choices))


def _penalty(told: Sequence[_Told]) -> str:
    """λ Σ w² in the loss."""
    off = [one.value - one.case.oracle.loss for one in told]
    terms = [
        sum(
            float((array**2).sum())
            for name, array in named(wide(one.case).parameters).items()
            if name[1] == "W"
        )
        for one in told
    ]
    strength = off[-1] / terms[-1]  # of a fresh case: in the smallest one the weights may be 0
    pairs = zip(told, terms, strict=True)
    if all(one.is_explained(one.case.oracle.loss + strength * term) for one, term in pairs):
        return f"it has a penalty on the weights, {strength:.6g} times the sum of their squares"
    return ""
