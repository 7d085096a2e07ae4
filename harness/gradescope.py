"""A grade: `results.json` as Gradescope reads it.

Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

import json
from collections.abc import Collection
from typing import Any

from harness.court import OF_THE_LOSS, as_text, case_of
from harness.report import script, sentence, told, what_it_says
from harness.trial import Outcome
from properties.law import Record, Verdict

AGAINST_THE_TRUTH = frozenset(
    {
        "gradient_equals_autodiff",
        "gradient_predicts_forward_mode",
        "gradient_equals_finite_differences",
        "gradient_equals_exact_differences",
        "gradient_is_right_at_the_edges",
        "total_derivative_sums_every_path",
        "total_derivative_of_two_outputs_is_exact",
        "single_term_rule_is_exact_where_cross_derivatives_vanish",
        "gradient_is_right_on_the_seed_problem",
        "gradient_is_right_on_handwritten_digits",
    }
)
"""The properties that hold the gradient against the reference, so that zeros break each of them."""

PASSED = frozenset({Verdict.PASS, Verdict.UNSTABLE})


def as_gradescope(outcome: Outcome, hints: int, failing: Collection[Verdict]) -> str:
    """A point for each property that holds; none for a property that says nothing about the subject.

    The other properties say how answers hang together, and most hold of zeros as well. They count where one
    holds that compares the gradient with the truth: where it is right in part.

    Students read what the hints allow, and the smallest case. The name of the mistake and its cure are in a
    test without points that Gradescope shows to instructors alone.
    """
    spoilt = outcome.verdict is Verdict.FAIL and not outcome.failures  # by what it does besides its answers
    heard = [] if spoilt else outcome.records
    applicable = [record for record in heard if record.verdict is not Verdict.NOT_APPLICABLE]
    right = any(r.name in AGAINST_THE_TRUTH and r.verdict in PASSED for r in applicable)
    tests = [_property(record, failing, is_right_in_part=right) for record in applicable] or [
        _test("can be judged", points=int(outcome.verdict not in failing), output=outcome.message)
    ]
    case = next((case for record in outcome.failures if (case := case_of(record))), None)
    told_to_all = [f"{outcome.verdict.value}: {what_it_says(outcome)}", outcome.trace, *told(outcome, hints)]
    if case is not None:
        told_to_all += ["", "The smallest case found:", as_text(case), f"# {case.choices}"]
        details = "\n".join([*told(outcome, 2), "", script(outcome, case)])
        tests.append(_test("details", points=0, of=0, output=details, visibility="hidden"))
    results = {
        "execution_time": round(outcome.seconds),
        "output": "\n".join(told_to_all),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
    }
    return json.dumps(results, indent=2, ensure_ascii=False) + "\n"


def _holds(record: Record, failing: Collection[Verdict]) -> bool:
    """Whether nothing is known against a law that was heard: what nobody can tell is not charged."""
    return record.cases > 0 and record.verdict not in {*failing} - {Verdict.INCONCLUSIVE}


def _property(record: Record, failing: Collection[Verdict], *, is_right_in_part: bool) -> dict[str, Any]:
    output = record.message if record.verdict is Verdict.PASS else f"{record.verdict.value}: {record.message}"
    earned = _holds(record, failing)
    if earned and not is_right_in_part and record.name != OF_THE_LOSS:
        earned, output = False, "It holds, and counts once one of the comparisons with the truth holds too."
    return _test(sentence(record.name), points=int(earned), output=output)


def _test(name: str, *, points: int, output: str, of: int = 1, visibility: str = "visible") -> dict[str, Any]:
    return {
        "name": name,
        "score": points,
        "max_score": of,
        "status": "passed" if points else "failed",
        "output": output,
        "output_format": "text",
        "visibility": visibility,
    }
