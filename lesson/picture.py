"""The picture of the page in README: python -m lesson.picture docs/lesson/page.png [path of Chromium]."""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from lesson.content import build
from lesson.page import render

WIDTH, HEIGHT = 1200, 970
STATE = "keep=o1"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def take(target: Path, chromium: str) -> None:
    """Photograph the ledger under the one-output rule, with the controls beside it."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder, "lesson.html")
        page.write_text(render(build()), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        opened = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", reduced_motion="reduce"
        )
        opened.goto(f"{page.as_uri()}#{STATE}")
        opened.evaluate("() => document.getElementById('step-3').scrollIntoView()")
        opened.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else shutil.which("chromium") or "chromium")  # noqa: PLR2004
