"""The notebook runs, and starts from the lesson's numbers."""

import importlib.util
import os

import pytest

from lesson.content import build
from lesson.wording import number, short

HERE = importlib.util.find_spec("marimo") is not None


@pytest.mark.skipif(not HERE and "CI" not in os.environ, reason="marimo is not installed")
@pytest.mark.filterwarnings("ignore")  # marimo's own
def test_the_notebook_runs_and_starts_from_the_lessons_numbers() -> None:
    from lesson.notebook import app  # noqa: PLC0415  (marimo is an extra)

    _, defined = app.run()
    lesson = build()
    assert defined["weight"] == lesson.weights["W1"]
    total = lesson.ledgers["W1.8.mean.identity"].total
    assert number(defined["weight"].of(defined["suspect"])) == number(total) == number(defined["slope"])
    assert short(defined["whole"].cosine) == "1.00"
