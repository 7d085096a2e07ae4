"""Programs that were once accused or let through, reduced from public ones: each with the verdict that is right."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.judging import verify
from harness.outcomes import Outcome, Request
from harness.pool import Judges
from harness.report import as_json
from properties.search import Effort, Verdict

DENSE = """
import numpy as np
PROBLEM = {}

def gradient(parameters, inputs, targets):
    (W1, b1), (W2, b2) = parameters
    h = np.tanh(inputs @ W1 + b1)
    d2 = 2 * (h @ W2 + b2 - targets) / targets.size
    d1 = d2 @ W2.T * (1 - h**2)
    return [(inputs.T @ d1, d1.sum(0)), (h.T @ d2, d2.sum(0))]
"""

WALKS_UP_THE_BASES = (
    DENSE.replace("    (W1, b1)", "    owner(inputs), owner(targets), owner(parameters[0][0])\n    (W1, b1)")
    + """
def owner(array):
    while array.base is not None:
        array = array.base
        array.flags  # an ndarray has them
    return array
"""
)

FLAT_AND_DIVIDED = DENSE.replace("(1 - h**2)", "(1 - h**2 + 0 * z)").replace(
    "    d2 =", "    with np.errstate(all='ignore'):\n        z = np.arctanh(h)\n    d2 ="
)
"""tanh z is 1 in float64 from |z| = 19 on: half of where a sigmoid is."""

PLAIN_PYTHON = (
    DENSE.replace("PROBLEM = {}", "import math\nPROBLEM = {'hidden': 'sigmoid'}")
    .replace(
        "np.tanh(inputs @ W1 + b1)",
        "np.array([[1 / (1 + math.exp(-v)) for v in row] for row in inputs @ W1 + b1])",
    )
    .replace("(1 - h**2)", "h * (1 - h)")
)

MAXIMUM_OF_ALL = """
import numpy as np
PROBLEM = {"output": "softmax", "loss": "cross_entropy", "targets": "labels"}

def gradient(parameters, inputs, targets):
    (W1, b1), (W2, b2) = parameters
    h = np.tanh(inputs @ W1 + b1)
    z = h @ W2 + b2
    with np.errstate(all="ignore"):
        e = np.exp(z - z.max())
        p = e / e.sum(1, keepdims=True)
    p[np.arange(len(p)), targets] -= 1
    d2 = p / len(inputs)
    d1 = d2 @ W2.T * (1 - h**2)
    return [(inputs.T @ d1, d1.sum(0)), (h.T @ d2, d2.sum(0))]
"""

RECURSIVE = """
import numpy as np

def summed(terms):
    return terms[0] if len(terms) == 1 else [a + b for a, b in zip(terms[0], summed(terms[1:]))]

def gradient(parameters, inputs, targets):
    (W1, b1), (W2, b2) = parameters

    def one(x, y):
        h = np.tanh(x @ W1 + b1)
        d2 = 2 * (h @ W2 + b2 - y) / targets.size
        d1 = W2 @ d2 * (1 - h**2)
        return [np.outer(x, d1) / 4, d1 / 4, np.outer(h, d2) / 4, d2 / 4]

    terms = [one(x, y) for x, y in zip(inputs, targets)]
    a, b, c, d = summed([term for term in terms for _ in range(4)])
    return [(a, b), (c, d)]
"""

STEP_OF_ONE_SAMPLE = """
import numpy as np
PROBLEM = {"hidden": "relu", "samples": 1}

def step(parameters, inputs, targets, rate):
    (W1, b1), (W2, b2) = parameters
    h = np.maximum(0, inputs @ W1 + b1)
    d2 = 2 * (h @ W2 + b2 - targets) / targets.size
    d1 = d2 @ W2.T SLOPE
    return [(W1 - rate * inputs.T @ d1, b1 - rate * d1.sum(0)), (W2 - rate * h.T @ d2, b2 - rate * d2.sum(0))]
"""

PROGRAMS = {
    "walks up the bases of its arrays": (WALKS_UP_THE_BASES, Verdict.PASS, ""),
    "divides by a slope that is 0": (FLAT_AND_DIVIDED, Verdict.UNSTABLE, r"NaN where \|z\| > (19|2\d)\."),
    "overflows in plain Python": (PLAIN_PYTHON, Verdict.UNSTABLE, r"OverflowError where \|z\| > 7\d\d\."),
    "takes the maximum of all rows": (
        MAXIMUM_OF_ALL,
        Verdict.UNSTABLE,
        r"(NaN|digits are lost) where \|z\| > \d\d\d\.",
    ),
    "recurses over the samples": (
        RECURSIVE,
        Verdict.UNSTABLE,
        r"in a batch of 2\d\d samples, gradient raised RecursionError: .*; 2\d\d are no problem",
    ),
    "steps by one sample": (STEP_OF_ONE_SAMPLE.replace("SLOPE", "* (h > 0)"), Verdict.PASS, ""),
    "steps by one sample, the slope missing": (
        STEP_OF_ONE_SAMPLE.replace("SLOPE", ""),
        Verdict.FAIL,
        "and should be 0",
    ),
}


def verified(folder: Path, source: str, seed: int = 1) -> Outcome:
    """What comes of a file with this source."""
    file = folder / "mine.py"
    file.write_text(source, "utf-8")
    return verify(Request(str(file), Effort(25, seed)))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_verdict_is_right_whatever_is_drawn(tmp_path: Path, name: str, seed: int) -> None:
    source, verdict, words = PROGRAMS[name]
    outcome = verified(tmp_path, source, seed)
    assert outcome.verdict is verdict, outcome.message
    assert re.search(words, outcome.message), outcome.message


HALF_A_SLOPE = DENSE.replace("(1 - h**2)", "(1 - h)")


def test_a_seed_gives_the_same_answer_alone_and_in_a_folder_beside_a_busy_loop(tmp_path: Path) -> None:
    alone = verified(tmp_path, HALF_A_SLOPE)
    request = Request(alone.subject, Effort(25, 1))
    loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with Judges(2, 2) as judges:
            beside = judges.judge_all([request, request], lambda outcome: None)
    finally:
        loop.kill()
        loop.wait()
    told = [without_seconds(json.loads(as_json([outcome], 2))) for outcome in (alone, *beside)]
    assert alone.verdict is Verdict.FAIL
    assert told[1] == told[0]
    assert told[2] == told[0]


def without_seconds(found: Any) -> Any:
    """What was found, without how long it took."""
    if isinstance(found, dict):
        return {key: without_seconds(value) for key, value in found.items() if key != "seconds"}
    return [without_seconds(value) for value in found] if isinstance(found, list) else found


def test_quick_ends_with_the_first_property_that_fails_and_only_tries_those_that_are_named(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(HALF_A_SLOPE, "utf-8")
    quick = verify(Request(str(file), Effort(25, 1), stops=True))
    assert [record.verdict for record in quick.records][-1] is Verdict.FAIL
    assert len(quick.failures) == 1
    assert quick.diagnosis is not None
    only = verify(Request(str(file), Effort(25, 1), only=("gradient_is_pure",)))
    assert [record.name for record in only.records] == ["gradient_is_pure"]
    assert only.verdict is Verdict.PASS
    assert only.again.endswith(" --only gradient_is_pure")


def test_a_batch_that_is_too_large_can_be_pasted(tmp_path: Path) -> None:
    outcome = verified(tmp_path, RECURSIVE)
    assert outcome.shown is not None
    pasted = outcome.script
    assert "inputs = np.concatenate([inputs] * " in pasted
    with pytest.raises(RecursionError):
        exec(pasted, {})  # noqa: S102
