"""Reports for other programs and for a browser: JUnit XML, and one self-contained page."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from harness.court import case_of
from harness.report import name_of, script, sentence, told, totals, uncovered, untried, version, what_fails
from harness.trial import Outcome
from properties.law import Verdict


def as_junit(outcomes: list[Outcome]) -> str:
    """A test suite for each subject and a test case for each property, as CI servers read them."""
    document = JUnitXml("manual-backprop")
    for outcome in outcomes:
        suite = TestSuite(outcome.subject)
        suite.add_property("again", outcome.again)
        suite.add_property("sandbox", outcome.sandbox)
        suite.add_property("version", version())
        for record in outcome.records:
            case = TestCase(sentence(record.name), classname=outcome.subject, time=record.seconds)
            if record.verdict is Verdict.FAIL:
                case.result = [Failure(record.message, type_="FAIL")]
            elif record.verdict is not Verdict.PASS:
                case.result = [Skipped(f"{record.verdict}: {record.message}")]
            suite.add_testcase(case)
        if outcome.verdict in {Verdict.FAIL, Verdict.INCONCLUSIVE} and not outcome.failures:
            case = TestCase("can be judged", classname=outcome.subject, time=outcome.seconds)
            case.result = [Failure(outcome.message, type_=outcome.verdict.value)]
            suite.add_testcase(case)
        document.add_testsuite(suite)
    return document.tostring().decode("utf-8")


def as_html(outcomes: list[Outcome], hints: int) -> str:
    """One page with nothing to fetch: every subject, its verdict, its mistake, its smallest case."""
    templates = Environment(
        loader=PackageLoader("harness"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("report.html").render(
        subjects=[_subject(outcome, hints) for outcome in outcomes],
        totals=totals(outcomes),
        version=version(),
    )


def _subject(outcome: Outcome, hints: int) -> dict[str, object]:
    case = next((case for record in outcome.failures if (case := case_of(record))), None)
    contributions = outcome.diagnosis.contributions if outcome.diagnosis and hints > 0 else None
    return {
        "name": outcome.subject,
        "verdict": outcome.verdict.value,
        "kind": outcome.verdict.name.lower(),
        "message": outcome.message,
        "mistake": name_of(outcome.diagnosis) if outcome.diagnosis and hints > 1 else "",
        "fails": what_fails(outcome),
        "again": outcome.again,
        "sandbox": outcome.sandbox,
        "remark": outcome.remark,
        "trace": outcome.trace,
        "told": told(outcome, hints),
        "contributions": [[f"{value:.3g}" for value in row] for row in contributions or []],
        "script": script(outcome, case) if case is not None else "",
        "uncovered": uncovered(outcome),
        "laws": [
            {
                "name": sentence(record.name),
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
