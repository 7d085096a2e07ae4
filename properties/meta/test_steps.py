"""A step that is not its rate times one gradient: what else it does is told."""

# Students' code has no types.
# pyright: basic
# pyright: reportArgumentType=false, reportOperatorIssue=false, reportOptionalOperand=false
# pyright: reportReturnType=false

from collections.abc import Callable

import numpy as np
import pytest

from properties.cases import Array, Case, Parameters
from properties.diagnosis import steps
from properties.diagnosis.answer import diagnose
from properties.meta.accused import ByHand, Wrong, case_for
from properties.problem import read
from properties.search import Violation

LARGE = 2.0**100
Step = Callable[[Parameters, Array, Array, float], Parameters]


class Moved(Violation):
    """A step that does not keep to its rate, as a subject in a file reports it."""

    def __init__(self, **moved: object) -> None:
        """What it moved by."""
        super().__init__("it does not keep to its rate")
        vars(self).update(moved)


class Stepping(Wrong):
    """A step as a subject: it reports by what it moves."""

    def __init__(self, step: Step, *, rests: bool = True) -> None:
        """Whether it rests at a rate of 0."""
        super().__init__(self._none, read({"reduction": "sum"}))
        self.step, self.rests = step, rests

    def _none(self, *case: object, **names: str) -> Parameters:
        raise AssertionError

    def gradient(self, case: Case) -> Parameters:
        """No gradient."""

        def moved(rate: float) -> Parameters:
            after = self.step(case.parameters, case.inputs, case.targets, rate)
            return [
                ((W - new) / (rate or 1), (b - new_b) / (rate or 1))
                for (W, b), (new, new_b) in zip(case.parameters, after, strict=True)
            ]

        if not self.rests:
            raise Moved(moved_by_none=moved(0.0))
        with np.errstate(all="ignore"):
            raise Moved(moved=moved(LARGE), rate=LARGE, moved_by_one=moved(1.0))


def right_gradient(parameters: Parameters, inputs: Array, targets: Array) -> Parameters:
    """Of the sum over the samples."""
    n = len(inputs)
    return [(n * dW, n * db) for dW, db in ByHand()(parameters, inputs, targets)]


def minus(parameters: Parameters, rate: float, gradient: Parameters) -> Parameters:
    return [(W - rate * dW, b - rate * db) for (W, b), (dW, db) in zip(parameters, gradient, strict=True)]


def one_after_another(share: Callable[[int], float]) -> Step:
    def step(parameters: Parameters, inputs: Array, targets: Array, rate: float) -> Parameters:
        for i in range(len(inputs)):
            found = right_gradient(parameters, inputs[[i]], targets[[i]])
            parameters = minus(parameters, rate * share(len(inputs)), found)
        return parameters

    return step


def several(count: int, share: float) -> Step:
    def step(parameters: Parameters, inputs: Array, targets: Array, rate: float) -> Parameters:
        for _ in range(count):
            parameters = minus(parameters, share * rate, right_gradient(parameters, inputs, targets))
        return parameters

    return step


WRONG_STEPS: dict[str, Step] = {
    "the samples make their steps one after another, each from where the one before has led": one_after_another(
        lambda n: 1.0
    ),
    "the samples make their steps one after another, each with 1/n of the rate": one_after_another(
        lambda n: 1 / n
    ),
    **{f"it makes {count} steps with the whole rate": several(count, 1.0) for count in (2, 3, 4)},
    **{f"it makes {n} steps with 1/{n} of the rate": several(n, 1 / n) for n in (2, 3, 4)},
}


def test_every_wrong_step_is_among_these() -> None:
    assert set(WRONG_STEPS) == set(steps.STEPS)


@pytest.mark.parametrize("text", WRONG_STEPS)
def test_what_a_step_does_besides_is_told(text: str) -> None:
    subject = Stepping(WRONG_STEPS[text])
    found = diagnose(subject, case_for(subject.claims))
    assert (found.mistakes, found.explanation, found.answer) == ((), text, steps.CURE)
    assert found.evidence == "explains by how much it moves on 8 of 8 fresh cases"


def decaying(parameters: Parameters, inputs: Array, targets: Array, rate: float) -> Parameters:
    moved = minus(parameters, rate, right_gradient(parameters, inputs, targets))
    return [(new - 0.01 * W, new_b) for (new, new_b), (W, _) in zip(moved, parameters, strict=True)]


def with_a_rate_of_its_own(parameters: Parameters, inputs: Array, targets: Array, rate: float) -> Parameters:
    del rate
    return minus(parameters, 0.05, right_gradient(parameters, inputs, targets))


def biases_without_a_rate(parameters: Parameters, inputs: Array, targets: Array, rate: float) -> Parameters:
    found = right_gradient(parameters, inputs, targets)
    return [(W - rate * dW, b - db) for (W, b), (dW, db) in zip(parameters, found, strict=True)]


def noisy(parameters: Parameters, inputs: Array, targets: Array, rate: float) -> Parameters:
    moved = minus(parameters, rate, right_gradient(parameters, inputs, targets))
    return [(W + 0.01 * W**3, b) for W, b in moved]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (
            decaying,
            "the parameters decay besides, by 0.01 of their size in each step, whatever the rate, in dW1, dW2",
        ),
        (with_a_rate_of_its_own, "the rate that is given is not used: it is always 0.05"),
        (biases_without_a_rate, "the rate that is given is not used: it is always 1, in db1, db2"),
        (noisy, ""),
    ],
)
def test_what_moves_the_parameters_without_a_rate_is_told(step: Step, told: str) -> None:
    subject = Stepping(step, rests=False)
    found = diagnose(subject, case_for(subject.claims))
    assert (found.mistakes, found.explanation) == ((), told)


def test_a_step_that_keeps_something_is_told_so() -> None:
    class Keeping(Stepping):
        def gradient(self, case: Case) -> Parameters:
            raise Moved(keeps_state=True)

    subject = Keeping(decaying)
    found = diagnose(subject, case_for(subject.claims))
    assert (found.explanation, found.answer) == (steps.LEFT_BEHIND, steps.ANEW)


def test_a_step_that_nobody_knows_is_not_explained() -> None:
    def odd(parameters: Parameters, inputs: Array, targets: Array, rate: float) -> Parameters:
        gradient = right_gradient(parameters, inputs, targets)
        return minus(parameters, rate, [(dW * (1 + 1e-6 * rate), db) for dW, db in gradient])

    subject = Stepping(odd)
    found = diagnose(subject, case_for(subject.claims))
    assert (found.mistakes, found.explanation, found.answer) == ((), "", "")
