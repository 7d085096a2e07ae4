"""The smallest cases on which the rules that drop terms part from the gradient: searched for, and shrunk."""

from dataclasses import dataclass

from manual_backprop.mistakes import Rule
from properties.cases import Case, Parameters
from properties.checks import check_range, twice
from properties.comparison import compare, named
from properties.problem import Claim
from properties.search import Effort, Record, Violation, search
from properties.seed_problem import RULES
from properties.strategies import cases

CASES = 100
"""The search is short, and finds one in nearly every case."""


@dataclass(frozen=True)
class Counterexample:
    """A case on which a rule is not the gradient: what it gives there, and what is right."""

    rule: str
    case: Case
    wrong: Parameters
    right: Parameters


def wrong_rule(case: Case, rule: Rule) -> Parameters:
    """What a mistake of the catalogue gives."""
    return rule(case.parameters, case.inputs, case.targets, **case.choices)


def smallest_counterexamples(seed: int) -> list[Counterexample]:
    """For each wrong rule of the seed problem, the smallest network and batch with another ∂L/∂W1."""
    return [_smallest(name, rule, seed) for name, rule in RULES[1:]]


def _smallest(name: str, rule: Rule, seed: int) -> Counterexample:
    """The case to which Hypothesis shrinks; the rule differs in W1, which lies below every dropped path.

    Raises:
        LookupError: where the search finds no case, and so the rule right.
    """

    def check(case: Case) -> None:
        check_range(case)
        truth, given = case.oracle, named(wrong_rule(case, rule))
        below = {"dW1": named(truth.gradient)["dW1"]}
        bound = {"dW1": 1000 * twice(truth.error)["dW1"]}
        if not compare(given, below, bound).holds:
            raise Violation(f"the rule of {name} is not the gradient")

    record = search(Record(name), check, cases([Claim()], regimes=["well scaled"]), Effort(CASES, seed))
    if record.counterexample is None:
        raise LookupError(f"no case in {record.cases} on which the rule of {name} differs from the gradient")
    case: Case = record.counterexample
    return Counterexample(name, case, wrong_rule(case, rule), case.oracle.gradient)
