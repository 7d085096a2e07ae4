"""A grade: `results.json` as Gradescope reads it.

Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

import json
from collections.abc import Collection
from typing import Any

from harness.outcomes import Outcome
from harness.report import told, what_it_says
from harness.verification import as_text
from properties.search import Kind, Record, Verdict

AGAINST_THE_TRUTH = frozenset({Kind.TRUTH, Kind.EDGES})
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
    tried = [] if spoilt else outcome.records
    applicable = [record for record in tried if record.verdict is not Verdict.NOT_APPLICABLE]
    right = any(r.kind in AGAINST_THE_TRUTH and r.verdict in PASSED for r in applicable)
    tests = [_property(record, failing, is_right_in_part=right) for record in applicable] or [
        _test("can be judged", points=int(outcome.verdict not in failing), output=outcome.message)
    ]
    told_to_all = [f"{outcome.verdict.value}: {what_it_says(outcome)}", outcome.trace, *told(outcome, hints)]
    if outcome.counterexample is not None:
        _, example = outcome.counterexample
        told_to_all += ["", "The smallest case found:", as_text(example), f"# {dict(example.choices)}"]
        details = "\n".join([*told(outcome, 2), "", outcome.script])
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
    """Whether nothing is known against a property that was tried: what nobody can tell is not charged."""
    return record.cases > 0 and record.verdict not in {*failing} - {Verdict.INCONCLUSIVE}


def _property(record: Record, failing: Collection[Verdict], *, is_right_in_part: bool) -> dict[str, Any]:
    output = record.message if record.verdict is Verdict.PASS else f"{record.verdict.value}: {record.message}"
    earned = holds = _holds(record, failing)
    if earned and not is_right_in_part and record.kind is not Kind.VALUE:
        earned, output = False, "It holds, and counts once one of the comparisons with the truth holds too."
    return _test(record.sentence, points=int(earned), output=output, passed=holds)


def _test(
    name: str,
    *,
    points: int,
    output: str,
    of: int = 1,
    visibility: str = "visible",
    passed: bool | None = None,
) -> dict[str, Any]:
    """A line of the grade; it is shown as passed where it has its point, or as `passed` says."""
    return {
        "name": name,
        "score": points,
        "max_score": of,
        "status": "passed" if (points if passed is None else passed) else "failed",
        "output": output,
        "output_format": "text",
        "visibility": visibility,
    }
