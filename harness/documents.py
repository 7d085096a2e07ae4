"""Reports for other programs and for a browser: JUnit XML, and one self-contained page."""

import base64
import hashlib
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from markupsafe import Markup

from harness.outcomes import Outcome
from harness.report import (
    contributed,
    counted,
    name_of,
    told,
    totals,
    uncovered,
    untried,
    version,
    what_fails,
    what_it_says,
)
from properties.search import Verdict


def as_junit(outcomes: list[Outcome]) -> str:
    """A test suite for each subject and a test case for each property, as CI servers read them."""
    document = JUnitXml("manual-backprop")
    for outcome in outcomes:
        suite = TestSuite(outcome.subject)
        suite.add_property("again", outcome.again)
        suite.add_property("sandbox", outcome.sandbox)
        suite.add_property("version", version())
        for record in outcome.records:
            case = TestCase(record.sentence, classname=outcome.subject, time=record.seconds)
            if record.verdict is Verdict.FAIL:
                case.result = [Failure(record.message, type_="FAIL")]
            elif record.verdict is not Verdict.PASS:
                case.result = [Skipped(f"{record.verdict}: {record.message}")]
            suite.add_testcase(case)
        # What is no property's: the start, the name of the mistake. So the times add up to those of the run.
        left = max(0.0, outcome.seconds - sum(record.seconds for record in outcome.records))
        case = TestCase("can be judged", classname=outcome.subject, time=left)
        if outcome.verdict in _RESULT and not outcome.failures:
            case.result = [_RESULT[outcome.verdict](outcome.message, type_=outcome.verdict.value)]
        suite.add_testcase(case)
        document.add_testsuite(suite)
    return document.tostring().decode("utf-8")


_RESULT = {Verdict.FAIL: Failure, Verdict.INCONCLUSIVE: Failure, Verdict.ERROR: Error}
"""What a verdict on the whole subject is, in terms of JUnit."""


def as_html(outcomes: list[Outcome], hints: int) -> str:
    """One page with nothing to fetch: every subject, its verdict, its mistake, its smallest case."""
    return (
        _templates()
        .get_template("report.html")
        .render(
            level=3,
            folded=False,
            sorting=Markup(SORTING),  # noqa: S704  (our own text)
            allowed="sha256-" + base64.b64encode(hashlib.sha256(SORTING.encode()).digest()).decode(),
            subjects=[_subject(outcome, hints) for outcome in outcomes],
            totals=totals(outcomes),
            version=version(),
        )
    )


def as_fragment(outcomes: list[Outcome], hints: int) -> str:
    """The same as a part of a page of others, such as a notebook: with a style of its own, and no script."""
    return (
        _templates()
        .get_template("fragment.html")
        .render(
            level=4,
            folded=True,
            subjects=[_subject(outcome, hints) for outcome in outcomes],
            totals=totals(outcomes),
            version=version(),
        )
    )


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("harness"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


SORTING = """
document.querySelectorAll("table.sorted").forEach((table) => {
  table.querySelectorAll("th button").forEach((button, column) => {
    button.addEventListener("click", () => {
      const heading = button.parentElement;
      const order = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const text = (row) => row.cells[column].textContent.trim();
      const rows = [...table.tBodies[0].rows].sort((a, b) => text(a).localeCompare(text(b)));
      table.tBodies[0].append(...(order === "ascending" ? rows : rows.reverse()));
    });
  });
});
"""
"""Sorts the table of subjects by the column whose heading is pressed; the page allows this script and no other."""


def _subject(outcome: Outcome, hints: int) -> dict[str, object]:
    contributions = outcome.diagnosis.contributions if outcome.diagnosis and hints > 0 else None
    return {
        "name": outcome.subject,
        "verdict": outcome.verdict.value,
        "kind": outcome.verdict.name.lower(),
        "message": outcome.message,
        "says": what_it_says(outcome),
        "counted": counted(outcome) if outcome.records else "",
        "mistake": name_of(outcome.diagnosis) if outcome.diagnosis and hints > 1 else "",
        "fails": what_fails(outcome),
        "again": outcome.again,
        "sandbox": outcome.sandbox,
        "remark": outcome.remark,
        "trace": outcome.trace,
        "told": told(outcome, hints),
        "contributed": contributed(outcome.diagnosis) if outcome.diagnosis else "",
        "contributions": [[f"{value:.3g}" for value in row] for row in contributions or []],
        "script": outcome.script,
        "uncovered": uncovered(outcome),
        "properties": [
            {
                "name": record.sentence,
                "verdict": record.verdict.value,
                "kind": record.verdict.name.lower(),
                "cases": record.cases,
                "seconds": f"{record.seconds:.1f}",
                "message": record.message,
            }
            for record in outcome.records
            if record.tried
        ],
        "untried": untried(outcome),
    }
