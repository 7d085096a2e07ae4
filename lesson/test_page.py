"""The page as a file: whole, self-contained, and the same every time."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from itertools import product

import numpy as np

from lesson.content import build
from lesson.page import render
from lesson.panels import START, VALUES, panels
from lesson.wording import power

LESSON = build()
PANELS = panels(LESSON)
MOST_BYTES = 1_000_000
VOID = {"meta", "input", "img", "br", "link", "hr"}


@cache
def page() -> str:
    """The page."""
    return render(LESSON)


class Elements(HTMLParser):
    """Every element with its attributes, the element it is in, and its own text."""

    def __init__(self) -> None:
        """Read the page."""
        super().__init__()
        self.all: list[tuple[str, dict[str, str], list[str], int | None]] = []
        self.open: list[int] = []
        self.feed(page())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser."""
        self.all.append((tag, {k: v or "" for k, v in attrs}, [], self.open[-1] if self.open else None))
        if tag not in VOID:
            self.open.append(len(self.all) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Called by the parser."""
        assert self.all[self.open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        """Called by the parser."""
        if self.open:
            self.all[self.open[-1]][2].append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element with this tag."""
        return [attributes for name, attributes, *_ in self.all if name == tag]


ELEMENTS = Elements()


def test_every_element_that_is_opened_is_closed() -> None:
    assert ELEMENTS.open == []


def test_another_process_writes_the_same_bytes() -> None:
    code = "import sys; from lesson.content import build; from lesson.page import render; "
    code += "sys.stdout.reconfigure(encoding='utf-8', newline='\\n'); sys.stdout.write(render(build()))"
    env = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    again = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)  # noqa: S603
    assert again.stderr == b""
    assert again.stdout == page().encode()


def test_the_page_is_below_a_megabyte() -> None:
    assert len(page().encode()) < MOST_BYTES


def test_nothing_is_fetched_and_the_policy_forbids_it() -> None:
    policy = next(a["content"] for a in ELEMENTS.named("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    for tag, attributes, *_ in ELEMENTS.all:
        for name in ("src", "srcset", "data", "poster"):
            assert attributes.get(name, "data:").startswith("data:"), tag
        if tag != "a":
            assert attributes.get("href", "#").startswith(("#", "data:")), tag
    assert ELEMENTS.named("link") == []


def test_the_policy_allows_exactly_this_style_and_this_script() -> None:
    policy = next(a["content"] for a in ELEMENTS.named("meta") if "http-equiv" in a)
    texts = {
        t: "".join(text) for t, a, text, _ in ELEMENTS.all if t in {"style", "script"} and "type" not in a
    }
    hashes = {t: base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for t, s in texts.items()}
    assert f"style-src 'sha256-{hashes['style']}'" in policy
    assert f"script-src 'sha256-{hashes['script']}'" in policy
    assert not [tag for tag, attributes, *_ in ELEMENTS.all if "style" in attributes]
    assert not [name for _, attributes, *_ in ELEMENTS.all for name in attributes if name.startswith("on")]


def test_every_picture_has_a_name_and_every_id_is_used_once() -> None:
    ids = [attributes["id"] for _, attributes, *_ in ELEMENTS.all if "id" in attributes]
    assert len(ids) == len(set(ids))
    for svg in ELEMENTS.named("svg"):
        assert svg.get("aria-hidden") == "true" or (svg["role"] == "img" and svg["aria-labelledby"])
    for _, attributes, *_ in ELEMENTS.all:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert set(attributes.get(name, "").split()) <= set(ids)
    assert all("alt" in image for image in ELEMENTS.named("img"))


def test_a_panel_has_a_row_for_every_state_and_every_row_all_fields() -> None:
    for panel in PANELS:
        assert len(panel.rows) == len(list(product(*(VALUES[control] for control in panel.controls))))
        assert {len(row) for row in panel.rows} == {len(panel.fields)}


def test_every_field_of_a_panel_is_on_the_page_and_every_shown_name_is_in_a_panel() -> None:
    shown = {attributes["data-show"] for _, attributes, *_ in ELEMENTS.all if "data-show" in attributes}
    assert shown == {field.partition("@")[0] for panel in PANELS for field in panel.fields}


def test_without_its_script_the_page_shows_the_default_state() -> None:
    expected = {field: text for panel in PANELS for field, text in panel.shown(START).items()}
    for _, attributes, text, _ in ELEMENTS.all:
        if name := attributes.get("data-show"):
            if name in expected:
                assert "".join(text) == expected[name], name
            for attribute in ("x", "width", "src", "stroke-width", "data-kept"):
                if f"{name}@{attribute}" in expected:
                    assert attributes[attribute] == expected[f"{name}@{attribute}"], name
            if f"{name}@class" in expected:
                always = attributes.get("data-always", "")
                assert attributes["class"].split() == [*always.split(), *expected[f"{name}@class"].split()], (
                    name
                )


def test_each_shown_cell_is_the_ledgers_number_to_half_a_unit() -> None:
    ledgers = next(panel for panel in PANELS if "grand" in panel.fields)
    units = next(panel for panel in PANELS if "unit" in panel.fields)
    powers = {power(exponent): exponent for exponent in range(-25, 6)}
    for values in product(*(VALUES[control] for control in ledgers.controls)):
        state = START | dict(zip(ledgers.controls, values, strict=True))
        shown, ledger = ledgers.shown(state), LESSON.ledgers[".".join(values)]
        scale = powers[units.shown(state)["unit"]]
        for (i, j), value in np.ndenumerate(ledger.cells):
            number = int(shown[f"cell-{i}-{j}"].replace("−", "-"))
            assert abs(number - value / 10.0**scale) <= 0.5
        assert re.fullmatch("0|[+−][0-9]{1,5}", shown["grand"])
