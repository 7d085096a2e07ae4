"""The site in a browser: nothing is fetched, the search finds, no page is cut off at 390 pixels, axe has no complaint.

    .venv/bin/pytest -n 0 docs/test_site.py        # with .[docs,test]; builds the site first

It is no part of the usual run, which would have to build the site: CI builds it, and the nightly run looks at it.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe  # pyright: ignore[reportMissingTypeStubs]
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LOOKED_AT = (
    *("index.html", "start.html", "operations/layer_norm.html", "operations/attention.html"),
    *("mistakes.html", "judge.html", "reference/command.html"),
)
NARROW, WIDE = 390, 1280
WIDTH = "() => document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    call = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    subprocess.run(call, cwd=ROOT, check=True)  # noqa: S603
    return folder


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def test_a_page_for_every_operation_and_the_lesson_are_there(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "manual_backprop" / "operations").glob("[!_]*.py")}
    assert pages <= {path.stem for path in (site / "operations").glob("*.html")}
    assert "Content-Security-Policy" in (site / "lesson.html").read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_page_fetches_nothing_fits_a_phone_and_is_for_everybody(
    name: str, scheme: str, site: Path, browser: "Browser"
) -> None:
    for width in (NARROW, WIDE):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # pyright: ignore[reportArgumentType]
        requests: list[str] = []
        page.on("request", lambda request, urls=requests: urls.append(request.url))
        page.goto((site / name).as_uri())
        assert page.evaluate(WIDTH) <= width
        found = Axe().run(page, options={"resultTypes": ["violations"], "preload": False})
        assert not found.response["violations"], found.generate_report()
        assert all(address.startswith("file:") for address in requests)
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("start", "words", "found"),
    [("index.html", "rotary", "operations/rotary.html"), ("operations/lstm.html", "gradescope", "gate.html")],
)
def test_the_search_finds_a_page_without_a_server(
    start: str, words: str, found: str, scheme: str, site: Path, browser: "Browser"
) -> None:
    page = browser.new_page(viewport={"width": WIDE, "height": 900}, color_scheme=scheme)  # pyright: ignore[reportArgumentType]
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((site / start).as_uri())
    page.get_by_role("textbox", name="Search").press_sequentially(words)
    page.locator(".md-search-result__link").first.wait_for()
    panel = Axe().run(page, options={"resultTypes": ["violations"], "preload": False})
    assert not panel.response["violations"], panel.generate_report()
    page.locator(".md-search-result__link").first.click()
    page.wait_for_url(f"**/{found}*")
    assert words in page.inner_text("article").lower()
    assert all(address.startswith("file:") for address in requests)
    page.close()
