"""The lesson as one self-contained page: nothing is fetched, and its script only selects what is in it.

The default state is written into the page, which is whole without its script; `panels` has the others.
"""

import base64
import hashlib
import re

import jinja2
from latex2mathml.converter import convert
from markupsafe import Markup

from lesson import figures, story
from lesson.content import STEPS, Lesson, relative
from lesson.panels import ARRAYS, START, as_json, panels
from lesson.setting import CONTROLS, OUTPUTS, SAMPLES
from lesson.wording import UNDEFINED, number, percent, power, signed, subscript


def in_html(text: str) -> Markup:
    """A plain text as HTML: letters of formulas in italics, o_j with a subscript, ∂L/∂w kept in one line."""
    escaped = re.sub("(?<=[a-z])&#39;", "\u2019", str(Markup.escape(text)))
    escaped = re.sub(r"∂[^ ]+/∂[A-Za-z₀-₉_]+", r'<span class="whole">\g<0></span>', escaped)
    escaped = re.sub(r"(?<![A-Za-z_])([wLEWhjioxy])(?![A-Za-z])", r"<var>\1</var>", escaped)
    return Markup(re.sub(r"(?<=</var>)_([a-z]{1,2})", r"<sub>\1</sub>", escaped))  # noqa: S704  (escaped)


def formula(latex: str) -> Markup:
    """LaTeX as MathML."""
    return Markup(convert(latex, display="block"))  # noqa: S704  (our own formulas)


def source(text: str) -> str:
    """The expression that allows exactly this style or script in a content-security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def render(lesson: Lesson) -> str:
    """The page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lesson"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"html": in_html, "formula": formula, "subscript": subscript}
    everything = panels(lesson)
    style, script = (environment.get_template(name).render() for name in ("page.css", "page.js"))
    policy = f"default-src 'none'; style-src {source(style)}; script-src {source(script)}; img-src data:"
    return environment.get_template("page.html").render(
        title=story.TITLE,
        lead=story.LEAD,
        setting=story.told(story.SETTING, lesson),
        steps=[
            (step.title, story.told([*step.paragraphs, *step.on_page], lesson), step.takeaway)
            for step in story.STEPS
        ],
        rule=story.RULE,
        conditions=story.CONDITIONS,
        quiz=story.quiz(lesson),
        command=story.COMMAND,
        sources=story.SOURCES,
        controls=CONTROLS,
        start=START,
        shown={name: text for panel in everything for name, text in panel.shown(START).items()},
        outputs=OUTPUTS,
        samples=SAMPLES,
        labels=lesson.labels,
        digits=[figures.ink(image) for image in lesson.images],
        pixel=story.place(lesson.weights["W1"]),
        arrays=ARRAYS,
        layers=[
            (
                row.layer,
                ["no weights" if value is None else signed(value, 2) for value in row.families.values()],
                row.remains,
                figures.marks(row.jacobian),
                row.jacobian.shape,
            )
            for row in lesson.cross_derivatives
        ],
        curves=_curves(lesson),
        runs=_runs(lesson),
        runs_note=story.told([story.RUNS], lesson)[0],
        inside=lesson.inside,
        signed=signed,
        valley=Markup(figures.valley(lesson)),  # noqa: S704  (our own figure)
        valley_rows=_valley(lesson),
        style=Markup(style),  # noqa: S704  (our own files)
        script=Markup(script),  # noqa: S704
        states=Markup(as_json(everything)),  # noqa: S704  (`<` is escaped)
        policy=f"{policy}; base-uri 'none'; form-action 'none'",
    )


def _curves(lesson: Lesson) -> list[tuple[str, str, Markup]]:
    """For each rule its name, what it keeps and its curves."""
    runs = lesson.runs["teacher"]
    return [
        (story.RULES[key], note, Markup(figures.loss_curves(runs[key], f"curve-{key}", note)))  # noqa: S704
        for key, _, note in CONTROLS["keep"]
    ]


def _runs(lesson: Lesson) -> list[list[str]]:
    """The table of the training runs."""
    return [
        [
            data,
            rule,
            *(number(loss, 3) for loss in run.summary()),
            UNDEFINED if run.recognised is None else percent(run.recognised),
        ]
        for data in ("teacher", "digits")
        for key, rule in story.RULES.items()
        for run in [lesson.runs[data][key]]
    ]


def _valley(lesson: Lesson) -> list[list[str]]:
    """The table of the finite differences."""
    right, wrong = lesson.ledgers["W1.8.mean.identity"], lesson.kept["W1.8.o1.mean.identity"].total
    columns = [
        relative(right.central, right.total),
        relative(right.forward, right.total),
        relative(right.central, wrong),
    ]
    return [[power(-k - 1), *(number(float(c[k]), 2) for c in columns)] for k in range(len(STEPS))]
