"""Which files state the law, in the order in which a subject meets them."""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

LAWS = (
    "test_against_the_truth.py",
    "test_averaging.py",
    "test_chain_rule.py",
    "test_purity.py",
    "test_seed_problem.py",
)


def paths() -> list[str]:
    """The files themselves, wherever the package is installed."""
    folder = Path(str(files("properties")))
    return [str(folder / name) for name in LAWS]


@cache
def names() -> tuple[str, ...]:
    """The laws of a trial, as the sentences that they are, in order."""
    texts = [Path(path).read_text(encoding="utf-8") for path in paths()]
    return tuple(
        name
        for text in texts
        for name in re.findall(r"^@law\(.*\n(?:.*\n)*?def test_(\w+)", text, re.MULTILINE)
    )
