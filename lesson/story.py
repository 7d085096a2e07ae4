"""The words of the lesson, from `story.toml`, with the numbers that the `Lesson` gives them."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from lesson.content import EPOCHS, NUDGE, RATE, TRAINING_BATCH, Lesson
from lesson.setting import CONTROLS, DEFAULT, OUTPUTS, SAMPLES, SIZES, TRAINING, Weight
from lesson.wording import number, percent, rounding, short, signed
from properties.digits import SIDE

_WORDS: dict[str, Any] = tomllib.loads((resources.files("lesson") / "story.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Step:
    """One step: its title, what it says before the picture, and the sentence to remember.

    `on_page` is said on the page alone, which has controls and pictures that the terminal has not.
    """

    title: str
    paragraphs: Sequence[str]
    takeaway: str
    on_page: Sequence[str] = ()


@dataclass(frozen=True)
class Question:
    """A question of the quiz: `right` is computed, and is one of the choices."""

    text: str
    because: str
    choices: Sequence[int]
    right: int


TITLE: str = _WORDS["title"]
LEAD: str = _WORDS["lead"]
SETTING: Sequence[str] = _WORDS["setting"]
STEPS: Sequence[Step] = [Step(**step) for step in _WORDS["steps"]]
RUNS: str = _WORDS["runs"]
RULE: Sequence[str] = _WORDS["rule"]
CONDITIONS: Sequence[str] = _WORDS["conditions"]
COMMAND: str = _WORDS["command"]
SOURCES: Sequence[tuple[str, str]] = [(row["name"], row["address"]) for row in _WORDS["sources"]]
RULES = {
    choice.key: "right rule" if choice.key == DEFAULT["keep"] else choice.label for choice in CONTROLS["keep"]
}
"""What a rule that keeps so many cells is called."""


def default(*controls: str) -> str:
    """The key of the default state for some controls."""
    return ".".join(DEFAULT[control] for control in controls)


def place(weight: Weight) -> tuple[int, int, int]:
    """Row, column and hidden unit of a pixel's weight, counted from 1."""
    pixel, unit = weight.place
    return pixel // SIDE + 1, pixel % SIDE + 1, unit + 1


def facts(lesson: Lesson) -> dict[str, str]:
    """The numbers in the texts, as they are written there; for the default state unless named otherwise."""
    row, column, unit = place(lesson.weights["W1"])
    average = lesson.averages[default("weight", "batch", "reduction", "output")]
    mixed = lesson.averages["W1.8.mean.batchnorm"]
    one_output = lesson.verdicts["8.o1.identity"]
    before, lowest, after, *_ = lesson.runs["digits"]["o1"].summary()
    return {
        "inputs": str(SIZES[0]),
        "hidden": str(SIZES[1]),
        "outputs": str(OUTPUTS),
        "parameters": str(lesson.parameters),
        "samples": str(SAMPLES),
        "row": str(row),
        "column": str(column),
        "unit": str(unit),
        "nudge": number(NUDGE, 1),
        "total": signed(lesson.ledgers[default("weight", "batch", "reduction", "output")].total),
        "difference": rounding(average.difference),
        "ragged_samples": str(round(lesson.ragged["samples"])),
        "ragged_part": str(round(lesson.ragged["part"])),
        "ragged_full": str(round(lesson.ragged["parts"]) - 1),
        "ragged_last": str(round(lesson.ragged["last"])),
        "ragged_equal": percent(lesson.ragged["equal"], 1),
        "ragged_by_size": rounding(lesson.ragged["by_size"]),
        "batchnorm_one_by_one": number(mixed.length_one_by_one, 3),
        "batchnorm_at_once": number(mixed.length_at_once, 3),
        "one_output_cosine": short(one_output.whole.cosine),
        "tenth": short(lesson.expected_cosine),
        "wrong_sign": str(one_output.wrong_sign),
        "with_sign": str(one_output.with_sign),
        "wrong_share": percent(one_output.wrong_sign / one_output.with_sign),
        "training": str(TRAINING),
        "unseen": str(lesson.unseen),
        "digits_before": number(before, 3),
        "digits_lowest": number(lowest, 3),
        "digits_after": number(after, 3),
        "epochs": str(EPOCHS),
        **{name: str(answer) for name, answer in lesson.answers.items()},
        "training_batch": str(TRAINING_BATCH),
        "rate": number(RATE, 1),
    }


def told(texts: Sequence[str], lesson: Lesson) -> list[str]:
    """Texts with their numbers put in."""
    return [text.format(**facts(lesson)) for text in texts]


def quiz(lesson: Lesson) -> list[Question]:
    """The questions with their answers."""
    rows: list[dict[str, Any]] = _WORDS["quiz"]
    return [
        Question(text, because, row["choices"], lesson.answers[row["answer"]])
        for row in rows
        for text, because in [told([row["text"], row["because"]], lesson)]
    ]
