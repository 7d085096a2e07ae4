"""With which of the other choices that a subject claims is it right?"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from properties.cases import Case
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
    yield "bias", tuple(str(bias) for bias in claim.bias if bias != (like.parameters[0][1] is not None))


def _is_right(interview: Interview, maker: Maker, choice: str, value: str) -> bool:
    other = Maker(
        replace(maker.like, **_change(maker.like, choice, value)), maker.claim, np.random.default_rng(0)
    )
    for _ in range(ASKED):
        probe = interview.ask(other.case())
        if probe is None or probe.fails:
            return False
    return True


def _change(like: Case, choice: str, value: str) -> dict[str, Any]:
    """What the case has to be given for the choice."""
    match choice:
        case "dtype":
            labels = like.targets.ndim == 1
            targets = like.targets if labels else like.targets.astype(value)
            return {"inputs": like.inputs.astype(value), "targets": targets}
        case "bias":
            return {"parameters": [(W, W[0] if value == "True" else None) for W, _ in like.parameters]}
        case _:
            return {choice: value}
