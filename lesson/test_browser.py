"""The page in a browser: by keyboard alone, offline, at every width, and for everybody."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from lesson.content import build
from lesson.page import render
from lesson.panels import START, VALUES, panels
from lesson.setting import CONTROLS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = [name for name in ("playwright", "axe_playwright_python") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(
    "CI" not in os.environ and bool(MISSING or not CHROMIUM),
    reason=f"needs Chromium and {' and '.join(MISSING) or 'nothing else'}",
)
# As root there is no sandbox; the rest keeps the browser itself from calling home.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PANELS = panels(build())
SHOWN = """() => [...document.querySelectorAll('[data-show]')].map((element) => [
  element.dataset.show,
  element.children.length ? null : element.textContent,
  Object.fromEntries([...element.attributes].map((attribute) => [attribute.name, attribute.value])),
])"""
CONTROLLED = """() => [...document.querySelectorAll('[data-control]')]
  .filter((element) => element.type != 'radio' || element.checked)
  .map((element) => [element.dataset.control, element.value])"""
GO_TO = """(fragment) => new Promise((done) => {
  addEventListener('hashchange', done, { once: true });
  location.hash = fragment;
})"""
OUTLINED = """() => [document.activeElement, document.activeElement.nextElementSibling].some((element) => {
  const style = element && getComputedStyle(element);
  return style && parseFloat(style.outlineWidth) >= 2 && style.outlineStyle != 'none';
})"""
CLIPPED = """(width) => [...document.querySelectorAll('main *')]
  .filter((element) => !element.closest('.scroll, .formula, svg, .hidden, .head'))
  .filter((element) => element.getBoundingClientRect().right > width + 1)
  .map((element) => element.outerHTML.slice(0, 80))"""
OPEN_ALL = "() => document.querySelectorAll('details').forEach((details) => { details.open = true; })"


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  (where it is missing, the tests are skipped)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "lesson.html"
    path.write_text(render(build()), encoding="utf-8")
    return path.as_uri()


class Opened:
    """A page that was opened, what it asked for and what went wrong in it."""

    def __init__(self, browser: "Browser", address: str, width: int = 1440, **options: Any) -> None:
        """Open the address; `options` are the browser context's."""
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)

    def expect(self, state: dict[str, str]) -> None:
        """Every shown text and attribute is that of the state."""
        expected = {field: text for panel in PANELS for field, text in panel.shown(state).items()}
        checked = set[str]()
        for name, text, attributes in self.page.evaluate(SHOWN):
            if name in expected:
                assert text == expected[name], (name, state)
                checked.add(name)
            for attribute, value in attributes.items():
                if (field := f"{name}@{attribute}") in expected:
                    always = attributes.get("data-always", "") if attribute == "class" else ""
                    assert value == f"{always} {expected[field]}".strip(), (field, state)
                    checked.add(field)
        assert checked == expected.keys()

    def state(self) -> dict[str, str]:
        """What the page's controls say."""
        checked = self.page.evaluate(CONTROLLED)
        assert len({control for control, _ in checked}) == len(
            {tuple(pair) for pair in checked}
        )  # they agree
        return dict(checked)


@pytest.fixture
def opened(browser: "Browser", address: str) -> Iterator[Opened]:
    opened = Opened(browser, address)
    yield opened
    assert opened.errors == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []
    opened.page.close()


def covering() -> list[dict[str, str]]:
    """States in which every weight meets every rule and every output layer, and all else comes up often."""
    found: list[dict[str, str]] = []
    for index, values in enumerate(product(VALUES["weight"], VALUES["keep"], VALUES["output"])):
        state = START | dict(zip(("weight", "keep", "output"), values, strict=True))
        steps = {"batch": 1, "reduction": 4, "paths": 1, "h": 1, "norm": 1, "head": 2}
        for control, step in steps.items():
            state[control] = VALUES[control][(index // step + index // 16) % len(VALUES[control])]
        found.append(state)
    return found


def test_in_every_state_the_page_shows_what_the_lesson_computed(opened: Opened) -> None:
    for state in covering():
        fragment = "&".join(f"{control}={value}" for control, value in state.items())
        opened.page.evaluate(GO_TO, fragment)
        assert opened.state() == state
        opened.expect(state)


def test_the_covering_states_have_each_value_of_each_control_and_each_pair_of_the_first_three() -> None:
    for control, values in VALUES.items():
        assert {state[control] for state in covering()} == set(values)
    for first, second in (("weight", "output"), ("keep", "output"), ("batch", "keep"), ("batch", "output")):
        pairs = {(state[first], state[second]) for state in covering()}
        assert pairs == set(product(VALUES[first], VALUES[second]))


@pytest.mark.parametrize("control", CONTROLS)
def test_every_choice_can_be_made_by_keyboard_alone_and_goes_into_the_address(
    opened: Opened, control: str
) -> None:
    page = opened.page
    state = dict(START)
    _tab_to(opened, f"#choices input[data-control='{control}']:checked")
    for _ in VALUES[control]:
        page.keyboard.press("ArrowRight")
        values = VALUES[control]
        state[control] = values[(values.index(state[control]) + 1) % len(values)]
        opened.expect(state)
        assert (f"{control}={state[control]}" in page.url) == (state[control] != START[control])
    page.keyboard.press("ArrowLeft")
    changed = opened.state()
    page.reload()
    assert opened.state() == changed != START


def _tab_to(opened: Opened, selector: str) -> None:
    """Press Tab until the element has the focus; it must be seen to have it."""
    for _ in range(80):
        opened.page.keyboard.press("Tab")
        if opened.page.evaluate("(s) => document.activeElement.matches(s)", selector):
            assert opened.page.evaluate(OUTLINED), f"{selector} shows no focus"
            return
    pytest.fail(f"Tab does not lead to {selector}")


@pytest.mark.parametrize("slider", ["paths", "h"])
def test_the_sliders_move_by_arrow_keys(opened: Opened, slider: str) -> None:
    _tab_to(opened, f"#{slider}")
    for press, value in (
        ("Home", VALUES[slider][0]),
        ("ArrowRight", VALUES[slider][1]),
        ("End", VALUES[slider][-1]),
    ):
        opened.page.keyboard.press(press)
        opened.expect(START | {slider: value})


def test_start_again_and_copy_work_by_keyboard(opened: Opened) -> None:
    opened.page.goto(opened.page.url + "#keep=o1&weight=b1")
    opened.expect(START | {"keep": "o1", "weight": "b1"})
    _tab_to(opened, "#reset")
    opened.page.keyboard.press("Enter")
    opened.expect(START)
    _tab_to(opened, "#copy")
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_function("() => document.getElementById('copy').textContent != 'Copy'")
    assert opened.page.evaluate("() => String(getSelection())").strip() == "manual-backprop verify mine.py"


def test_the_prediction_is_asked_before_it_is_answered(opened: Opened) -> None:
    page = opened.page
    assert not page.locator("#step-0 .answer").is_visible()
    assert not page.locator("#step-0 .takeaway").is_visible()
    _tab_to(opened, "input[name=guess]")
    page.keyboard.press("Space")
    assert page.locator("#step-0 .answer").is_visible()
    assert page.locator("#step-0 figcaption strong").inner_text() == "10 outputs move"


def test_the_quiz_tells_right_from_wrong(opened: Opened) -> None:
    for quiz in opened.page.locator(".quiz").all():
        for label in quiz.locator("label").all():
            label.locator("input").focus()
            opened.page.keyboard.press("Space")
            right = "is-right" in (label.get_attribute("class") or "")
            assert quiz.locator(".if-right").is_visible() == right
            assert quiz.locator(".if-wrong").is_visible() == (not right)


def test_the_verdict_is_announced(opened: Opened) -> None:
    verdict = opened.page.locator("[role=status]")
    assert verdict.get_attribute("aria-live") == "polite"
    assert verdict.inner_text().startswith("Right")
    opened.page.locator("#choices input[value=o1]").focus()
    opened.page.keyboard.press("Space")
    assert verdict.inner_text().startswith("Wrong, even the sign")


def test_a_nonsense_address_is_the_default_state(opened: Opened) -> None:
    opened.page.goto(opened.page.url + "#weight=W9&x=%3Cscript%3E&batch=")
    opened.expect(START)


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_nothing_overflows_sideways(browser: "Browser", address: str, width: int) -> None:
    opened = Opened(browser, address, width)
    page = opened.page
    page.locator("input[name=guess][value='10']").check(force=True)
    page.evaluate(OPEN_ALL)
    for fragment in ("", "#keep=o1&weight=W2o4&output=softmax&reduction=sum", "#output=batchnorm&batch=2"):
        page.goto(address + fragment)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        assert page.evaluate(CLIPPED, width) == []
    page.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 360)])
def test_axe_finds_no_violation(browser: "Browser", address: str, scheme: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]

    opened = Opened(
        browser, address + "#keep=o1", width, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True
    )
    opened.page.locator("input[name=guess][value='10']").check(force=True)
    for question in range(1, 4):
        opened.page.locator(f"input[name=quiz-{question}]").first.check(force=True)
    opened.page.evaluate(OPEN_ALL)
    found = Axe().run(opened.page)
    assert [
        (violation["id"], [node["html"][:120] for node in violation["nodes"]][:5])
        for violation in found.response["violations"]
    ] == []
    opened.page.close()


def test_without_scripts_the_page_is_whole_and_shows_no_dead_controls(
    browser: "Browser", address: str
) -> None:
    opened = Opened(browser, address, java_script_enabled=False)
    page = opened.page
    assert page.locator("#step-0 .answer").is_visible()
    assert page.locator("[data-show=grand]").is_visible()
    assert not [control for control in page.locator("[data-control]").all() if control.is_visible()]
    assert page.locator("noscript p").is_visible()
    page.close()


def test_in_print_the_answers_are_there_and_the_controls_are_not(opened: Opened) -> None:
    opened.page.emulate_media(media="print")
    assert opened.page.locator("#step-0 .answer").is_visible()
    assert all(answer.is_visible() for answer in opened.page.locator(".if-right").all())
    assert not opened.page.locator(".side").is_visible()


def test_who_asks_for_less_motion_gets_none(browser: "Browser", address: str) -> None:
    opened = Opened(browser, address, reduced_motion="reduce")
    assert opened.page.evaluate("() => getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    opened.page.close()
