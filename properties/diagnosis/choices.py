"""With which of the other choices that a subject claims is it right?"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from properties.diagnosis.probes import Interview, Maker

ASKED = 2
"""Cases of a choice: what is wrong is wrong on all that were asked before."""


def right_with(interview: Interview, maker: Maker) -> Iterator[str]:
    """`right with hidden tanh and relu`: of one choice at a time, the values that are right, unless none is."""
    for choice, values in _others(maker):
        right = [value for value in values if _is_right(interview, maker, choice, value)]
        if right:
            yield f"right with {choice} {' and '.join(right)}"


def _others(maker: Maker) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The other values of every choice. An identity is left out: it makes many a mistake vanish by itself."""
    like, claim = maker.like, maker.claim
    pairs = claim.pairs()
    hidden = claim.hidden if len(like.parameters) > 1 else ()
    yield "hidden", tuple(name for name in hidden if name not in (like.hidden, "identity"))
    yield (
        "output",
        tuple(
            output for output, loss in pairs if loss == like.loss and output not in (like.output, "identity")
        ),
    )
    yield "loss", tuple(loss for output, loss in pairs if output == like.output and loss != like.loss)
    yield "reduction", tuple(name for name in claim.reduction if name != like.reduction)
    yield "dtype", tuple(name for name in claim.dtype if name != like.inputs.dtype)


def _is_right(interview: Interview, maker: Maker, choice: str, value: str) -> bool:
    change: dict[str, Any] = {choice: value}
    if choice == "dtype":
        like = maker.like
        change = {
            "inputs": like.inputs.astype(value),
            "targets": like.targets if like.targets.ndim == 1 else like.targets.astype(value),
        }
    other = Maker(replace(maker.like, **change), maker.claim, np.random.default_rng(0))
    for _ in range(ASKED):
        probe = interview.ask(other.case())
        if probe is None or probe.fails:
            return False
    return True
