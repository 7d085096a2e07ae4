"""How a failure of a network's gradient is explained: an ε in its formula, weak numbers, or a mistake."""

from contextlib import suppress

from properties.cases import Case
from properties.checks import alike
from properties.diagnosis import Diagnosis
from properties.diagnosis.answer import diagnose
from properties.diagnosis.edges import explain_edge
from properties.diagnosis.guards import LARGEST_GUARD, MOST_GUARDS, find_guards
from properties.search import Example, Inconclusive, Violation
from properties.subjects import Subject


class NetworkExplanations:
    """Explains the failures of one subject; see `harness.verification.Explanations`."""

    def __init__(self) -> None:
        """Nothing is known of it yet."""
        self._guards_left = MOST_GUARDS

    def without_guard(self, subject: Subject, example: Example) -> tuple[Subject, str] | None:
        """The subject with an ε taken out of its formula, and what is said of that; None where there is none."""
        guarded = find_guards(subject, _case(example)) if self._guards_left else None
        if guarded is None or max(guarded.sizes) > LARGEST_GUARD:
            self._guards_left = 0  # what fails from here on fails for another reason
            return None
        self._guards_left -= 1
        return guarded, guarded.effect

    def regime(self, subject: Subject, example: Example) -> str:
        """Where the numbers of a right formula fail; empty where the formula is wrong."""
        is_right, regime = explain_edge(subject, _case(example))
        return regime if is_right else ""

    def noise(self, subject: Subject, example: Example) -> str:
        """Empty: the bounds of a network hold for what its regular cases lose."""
        del subject, example
        return ""

    def diagnosis(self, subject: Subject, example: Example) -> Diagnosis:
        """What the mistake is, as far as anybody can tell."""
        return diagnose(subject, _case(example))

    def is_inconstant(self, subject: Subject, example: Example) -> bool:
        """Whether the same call gives answers that differ by more than rounding explains."""
        case = _case(example)
        with suppress(Violation, Inconclusive):
            first, second = subject.gradient(case), subject.gradient(case)
            try:
                alike(first, second, case, what="")
            except Violation:
                return True
        return False


def _case(example: Example) -> Case:
    """The example of a network's property."""
    if not isinstance(example, Case):
        raise TypeError(f"{type(example).__name__} is no case of a network")
    return example
