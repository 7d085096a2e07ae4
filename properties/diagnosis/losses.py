"""What is wrong with a loss: a factor, a penalty, or the loss of another problem."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from properties.cases import Case, Parameters
from properties.comparison import named
from properties.diagnosis import guards
from properties.diagnosis.other_programs import other_choices
from properties.diagnosis.probes import Interview, wide
from properties.diagnosis.wording import RATIOS
from properties.search import Inconclusive, Violation
from reference.network import loss_value

FACTORS: Mapping[str, Callable[[int, int], float]] = {
    "half of": lambda n, k: 0.5,
    "twice": lambda n, k: 2,
    "minus": lambda n, k: -1,
    "1/log 2 times": lambda n, k: 1 / np.log(2),
    "1/log 10 times": lambda n, k: 1 / np.log(10),
    **{f"{text} times": factor for text, factor in RATIOS.items()},
}
"""How a loss may be off by a factor, for n samples and K outputs."""

BASES = {"1/log 2 times": "the logarithm has the base 2", "1/log 10 times": "the logarithm has the base 10"}


@dataclass(frozen=True)
class _Told:
    """A case and the subject's loss for it."""

    case: Case
    value: float

    @property
    def is_right(self) -> bool:
        truth = self.case.oracle
        return abs(self.value - truth.loss) <= truth.loss_error

    def is_explained(self, predicted: float) -> bool:
        """Whether the loss is the predicted one, but for rounding, which grows with its size; both err."""
        truth = self.case.oracle
        growth = abs(predicted) / abs(truth.loss) if truth.loss else 0.0
        return bool(abs(self.value - predicted) <= 2 * truth.loss_error * (1 + growth))


def explain(interview: Interview, cases: Sequence[Case]) -> tuple[str, str]:
    """What is wrong with the subject's loss, and the evidence; both empty where it is right or not given."""
    told = list(_told(interview, cases)) if interview.subject.has_loss else []
    wrong = sum(not one.is_right for one in told)
    if not wrong:
        return "", ""
    factor, beside = _factor(told)
    problem = next(
        (
            label
            for label, loss in _other_losses(told[0].case)
            if all(one.is_explained(loss(one.case)) for one in told)
        ),
        "",
    )
    problem = problem or BASES.get(factor, "") or _penalty(told)
    parts = [f"the loss is {factor} what PROBLEM says{beside}"] if factor else []
    parts += [problem] if problem else []
    if parts:
        return ": ".join(parts), f"explains the loss on {len(told)} of {len(told)} cases"
    return f"the loss is wrong on {wrong} of {len(told)} cases", ""


def _factor(told: Sequence[_Told]) -> tuple[str, str]:
    """By which factor a loss is off, and with which ε besides; both empty where there is none."""
    for guard in (None, *guards.values(told[0].case.loss)):
        value = _right if guard is None else guard.value
        *_, last = told
        at_last = value(last.case)
        for text, by in FACTORS.items():
            if last.is_explained(by(last.case.samples, last.case.outputs) * at_last) and all(
                one.is_explained(by(one.case.samples, one.case.outputs) * value(one.case)) for one in told
            ):
                return text, "" if guard is None else f", and {guard} besides"
    return "", ""


def _right(case: Case) -> float:
    return case.oracle.loss


def _told(interview: Interview, cases: Sequence[Case]) -> Iterator[_Told]:
    for case in cases:
        interview.step()
        if not case.overflows:
            try:
                yield _Told(case, interview.subject.loss(case))
            except (Violation, Inconclusive):
                continue


Loss = Callable[[Case], float]


def _other_losses(like: Case) -> Iterator[tuple[str, Loss]]:
    return chain(
        ((f"this is {label}", _with(choices)) for label, choices in other_choices(like)),
        ((label, _changed(change)) for label, change in _without_bias(len(like.parameters))),
    )


def _with(choices: Mapping[str, str]) -> Loss:
    return lambda case: _value(case, wide(case).parameters, choices)


def _changed(change: Callable[[Parameters], Parameters]) -> Loss:
    return lambda case: _value(case, change(wide(case).parameters), case.choices)


def _value(case: Case, parameters: Parameters, choices: Mapping[str, Any]) -> float:
    here = wide(case)
    with np.errstate(all="ignore"):
        return float(loss_value(np, parameters, here.inputs, here.targets, **choices))


def _without_bias(layers: int) -> Iterator[tuple[str, Callable[[Parameters], Parameters]]]:
    """Parameters whose biases are 0, in all layers or in one."""
    yield "the forward pass leaves the biases out", partial(_zero_biases, range(layers))
    for layer in range(layers) if layers > 1 else ():
        yield f"the forward pass leaves the bias of layer {layer + 1} out", partial(_zero_biases, [layer])


def _zero_biases(layers: Sequence[int], parameters: Parameters) -> Parameters:
    return [(W, b if b is None or layer not in layers else 0 * b) for layer, (W, b) in enumerate(parameters)]


def _penalty(told: Sequence[_Told]) -> str:
    """λ Σ w² in the loss, over the weights alone or over the biases too."""
    n = np.array([one.case.samples for one in told])
    off = [one.value - one.case.oracle.loss for one in told]
    for what, kept in (("weights", "dW"), ("weights and biases", "d")):
        squares = np.array([_squares(one.case, kept) for one in told])
        for text, terms in (("", squares), ("/n", squares / n)):
            strength = off[-1] / terms[-1]  # of a fresh case: in the smallest one the weights may be 0
            pairs = zip(told, terms, strict=True)
            if all(one.is_explained(one.case.oracle.loss + strength * term) for one, term in pairs):
                return f"it has a penalty on the {what}, {strength:.6g}{text} times the sum of their squares"
    return ""


def _squares(case: Case, kept: str) -> float:
    arrays = named(wide(case).parameters)
    return sum(float((array**2).sum()) for name, array in arrays.items() if name.startswith(kept))
