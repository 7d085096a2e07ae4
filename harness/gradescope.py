"""A grade: `results.json` as Gradescope reads it.

Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

import json
from collections.abc import Collection
from typing import Any

from harness.report import script, sentence, told
from harness.trial import Outcome, case_of
from properties.law import Record, Verdict


def as_gradescope(outcome: Outcome, hints: int, failing: Collection[Verdict]) -> str:
    """A point for each property, unless it fails; none for a property that says nothing about the subject.

    Students read what the hints allow, and the smallest case. The name of the mistake and its cure are in a
    test without points that Gradescope shows to instructors alone.
    """
    applicable = [record for record in outcome.records if record.verdict is not Verdict.NOT_APPLICABLE]
    tests = [_property(record, failing) for record in applicable] or [
        _test("can be judged", points=int(outcome.verdict not in failing), output=outcome.message)
    ]
    case = next((case for record in outcome.failures if (case := case_of(record))), None)
    told_to_all = [f"{outcome.verdict.value}: {outcome.message}", outcome.trace, *told(outcome, hints)]
    if case is not None:
        told_to_all += ["", "The smallest case found:", case.as_python(), f"# {case.choices}"]
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


def _property(record: Record, failing: Collection[Verdict]) -> dict[str, Any]:
    points = int(record.verdict not in failing)
    output = record.message if record.verdict is Verdict.PASS else f"{record.verdict.value}: {record.message}"
    return _test(sentence(record.name), points=points, output=output)


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
