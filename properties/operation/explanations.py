"""How a failure of an operation's derivative is explained: digits that it lacks, weak numbers, or a mistake."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from properties.diagnosis import Diagnosis
from properties.diagnosis.conditions import condition
from properties.operation.cases import OperationCase
from properties.operation.judge import Judge
from properties.operation.mistakes import named, seen
from properties.operation.population import OperationPopulation
from properties.operation.right import differ, off
from properties.search import Example, Inconclusive, Violation

NUDGES = tuple(range(-48, -18, 3))
"""log₂ of how far the numbers of a case are moved, relative to their sizes, to see whether an error is noise."""
STEADY = 0.125
"""How far the right gradient may change with that."""
HALF_THE_DIGITS = float(np.sqrt(np.finfo(np.float32).eps))
"""What single precision loses where half of its digits are lost."""


class OperationExplanations:
    """Explains the failures of one operation; see `harness.verification.Explanations`."""

    def without_guard(self, subject: Judge, example: Example) -> tuple[Judge, str] | None:
        """The subject under float32's bound, where a case that fails in float64 is right to seven digits.

        Constants of nine digits, and an ε that backward takes for exact, make right formulas that much wrong.
        """
        case = _case(example)
        if subject.format != "float64" or case.dtype != "float64":
            return None
        loose = subject.in_format("float32")
        try:
            loose.check(case)
        except (Violation, Inconclusive):
            return None
        digits = _digits(subject, case)
        return loose, (
            f"right to {digits} digits: a constant, or an ε, is rounded or left out, which single precision would hide"
        )

    def regime(self, subject: Judge, example: Example) -> str:
        """Where the numbers of a right formula fail; empty where the formula is wrong.

        Numbers that are not finite are weak. Finite ones are, where the error jumps when the inputs hardly move: then
        its own rounding is what is wrong with it.
        """
        case = _case(example)
        where = _numbers_of(case)
        try:
            _, _, gradients = subject.run(case)
        except Violation as fault:
            return f"{str(fault).partition(chr(10))[0].rstrip('.')} where {where}"
        bad = [name for name, array in gradients.items() if not np.isfinite(array).all()]
        if bad:
            what = "NaN" if any(np.isnan(gradients[name]).any() for name in bad) else "inf"
            return f"{what} in d{bad[0]} where {where}"
        if self._is_noise(subject, case, gradients):
            return f"digits are lost where {where}"
        return ""

    def noise(self, subject: Judge, example: Example) -> str:
        """Where the numbers of a regular case are nothing but rounding; empty where they are not.

        A formula that loses all of its digits in double precision loses them in single precision too: there the same
        call answers with other numbers, further from these than half of the error and half of the digits. A wrong
        formula whose numbers are sound gives the same wrong ones.
        """
        case = _case(example)
        with suppress(Violation, Inconclusive), np.errstate(all="ignore"):
            _, _, gradients = subject.run(case)
            known = subject.right(case)
            if subject.is_staircase(case, gradients, known) or subject.contradicts_its_program(
                case, gradients, known
            ):
                return f"digits of forward are lost where {_numbers_of(case)}"
            right = known.gradients
            wrong = {name: off(array, right[name]) for name, array in gradients.items()}
            if case.dtype != "float64" or subject.format != "float64" or not any(map(np.any, wrong.values())):
                return ""
            _, _, others = subject.run(case.in_single_precision)
            for name, array in gradients.items():
                moved = np.abs(others[name] - array)
                size = np.maximum(np.abs(array), np.abs(right[name].value))
                lost = (moved > HALF_THE_DIGITS * size) & (moved > np.abs(array - right[name].value) / 2)
                if (wrong[name] & ~lost).any():
                    return ""
            return f"digits are lost where {_numbers_of(case)}"
        return ""

    def _is_noise(self, judge: Judge, case: OperationCase, gradients: Any) -> bool:
        """Whether each error changes from neighbour to neighbour by more than half of itself.

        That of a wrong formula changes as smoothly as the formula. Neighbours where the right gradient has changed
        as well say nothing.
        """
        right = judge.right(case).gradients
        errors = {name: array - right[name].value for name, array in gradients.items()}
        jumps = {name: off(array, right[name]) & False for name, array in gradients.items()}
        rng = np.random.default_rng(0)
        for power in NUDGES:
            inputs = {
                name: (array * (1 + rng.uniform(0.5, 1, np.shape(array)) * 2.0**power)).astype(array.dtype)
                if name in case.differentiable
                else array
                for name, array in case.inputs.items()
            }
            with suppress(Violation, Inconclusive):
                neighbour = replace(case, inputs=inputs)
                _, _, moved = judge.run(neighbour)
                for name, known in judge.right(neighbour).gradients.items():
                    was = right[name].value
                    steady = np.abs(known.value - was) <= STEADY * np.abs(was) + known.error
                    change = np.abs(moved[name] - known.value - errors[name])
                    jumps[name] |= steady & (change > np.abs(errors[name]) / 2)
        return all((jumps[name] | ~off(array, right[name])).all() for name, array in gradients.items())

    def diagnosis(self, subject: Judge, example: Example) -> Diagnosis:
        """What the mistake is, as far as anybody can tell."""
        case = _case(example)
        where, note, shown = "", "", ()
        found: Diagnosis | None = None
        with np.errstate(all="ignore"):
            population = OperationPopulation(subject, case)
            told = condition(population)
            with suppress(Violation, Inconclusive):  # these are told already
                where = _census(subject, case, population.wrong)
                note = subject.comparison_of_the_forward_pass(case) if subject.is_wrong else ""
                holds = told.of_cases.holds if told and told.of_cases else None
                found = named(subject, case, holds, population.failing)
                if found is None and subject.format != case.dtype:  # single precision would hide the step
                    found = named(subject.in_format(case.dtype), case)
                shown = () if found else seen(subject, case, holds)
        where = "; ".join(filter(None, (where, told.sentence if told else "")))
        if found is not None:
            return replace(found, where=where, place=where, note="; ".join(filter(None, [note, found.note])))
        evidence = "on generic cases, in every entry" if shown else "no single step explains it"
        return Diagnosis(
            mistakes=(),
            explanation="; ".join(one.sentence for one in shown),
            evidence=evidence if population.is_answered else "",  # no gradient, no step of it
            contributions=None,
            where=where,
            note=note,
            sentence="",
            hint="",
            answer=" ".join(dict.fromkeys(one.cure for one in shown)),
            place=where,
        )

    def is_inconstant(self, subject: Judge, example: Example) -> bool:
        """Whether the same call gives answers that differ by more than rounding explains."""
        case = _case(example)
        with suppress(Violation, Inconclusive):
            _, _, first = subject.run(case)
            first = {name: np.array(array) for name, array in first.items()}
            return _differ(first, _answer(subject, case)) or _hangs_on_earlier_calls(subject, case)
        return False


def _hangs_on_earlier_calls(judge: Judge, case: OperationCase) -> bool:
    """Whether a case is right in a process in which no call came before, and not after another; then it keeps that."""
    right = judge.right(case)
    judge.subject.renew()
    alone = _answer(judge, case)
    if any(map(np.any, right.off(alone))):
        return False
    other = OperationPopulation(judge, case).like_the_example()
    if other is None:
        return False
    judge.subject.renew()
    _answer(judge, other)
    if not _differ(_answer(judge, case), alone):
        return False
    case.before[:] = [other]
    return True


def _answer(judge: Judge, case: OperationCase) -> dict[str, Any]:
    """The gradients of a case, which is called anew."""
    forward = judge.subject.forward(case.inputs, case.options)
    found = judge.subject.backward(forward, case.cotangents(forward.outputs)).gradients
    return {name: np.array(array) for name, array in found.items()}


def _differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return any(differ(one[name], other[name]) for name in one)


def _census(judge: Judge, case: OperationCase, elsewhere: set[str]) -> str:
    """Which gradients are wrong, in how many entries, and which are right, unless they are wrong elsewhere."""
    _, _, gradients = judge.run(case)
    right = judge.right(case).gradients
    wrong = {name: int(off(array, right[name]).sum()) for name, array in gradients.items()}
    parts = [
        f"d{name}: {count} of {gradients[name].size} {'entry' if gradients[name].size == 1 else 'entries'}"
        for name, count in wrong.items()
        if count
    ]
    others = [f"d{name}" for name, count in wrong.items() if not count and name not in elsewhere]
    if others and parts:
        parts.append(f"{', '.join(others)} {'is' if len(others) == 1 else 'are'} right")
    return ", ".join(parts)


def _digits(judge: Judge, case: OperationCase) -> int:
    """How many digits are right, of the entry with the fewest."""
    _, _, gradients = judge.run(case)
    right = judge.right(case).gradients
    worst = 0.0
    for name, array in gradients.items():
        size = np.abs(right[name].value).max(initial=0)
        if size > 0:
            worst = max(worst, float(np.abs(array - right[name].value).max() / size))
    return max(1, int(-np.log10(worst))) if worst > 0 else 16


def _numbers_of(case: OperationCase) -> str:
    """How large the numbers of each array are: `|x| is about 1e+08`."""
    sizes = {
        name: float(np.abs(np.asarray(case.inputs[name], float)).max(initial=0))
        for name in case.differentiable
    }
    return ", ".join(f"|{name}| is about {size:.2g}" for name, size in sizes.items())


def _case(example: Example) -> OperationCase:
    """The example of an operation's property."""
    if not isinstance(example, OperationCase):
        raise TypeError(f"{type(example).__name__} is no case of an operation")
    return example
