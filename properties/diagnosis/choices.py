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
    for choice, changes in others(maker).items():
        right = [value for value, change in changes.items() if _is_right(interview, maker, change)]
        if right:
            yield f"right with {choice} {' and '.join(map(str, right))}"


def others(maker: Maker) -> dict[str, dict[Any, dict[str, Any]]]:
    """The other values of every choice. An identity is left out: it makes many a mistake vanish by itself."""
    like, claim, pairs = maker.like, maker.claim, maker.claim.pairs()
    values = {
        "hidden": claim.hidden if len(like.parameters) > 1 else (),
        "output": tuple(output for output, loss in pairs if loss == like.loss),
        "loss": tuple(loss for output, loss in pairs if output == like.output),
        "reduction": claim.reduction,
    }
    found: dict[str, dict[Any, dict[str, Any]]] = {
        choice: {one: {choice: one} for one in some if one not in (like.choices[choice], "identity")}
        for choice, some in values.items()
    }
    targets = like.targets
    found["dtype"] = {
        one: {
            "inputs": like.inputs.astype(one),
            "targets": targets if targets.ndim == 1 else targets.astype(one),
        }
        for one in claim.dtype
        if one != like.inputs.dtype
    }
    found["bias"] = {
        one: {"parameters": [(W, W[0] if one else None) for W, _ in like.parameters]}
        for one in claim.bias
        if one != (like.parameters[0][1] is not None)
    }
    return found


def _is_right(interview: Interview, maker: Maker, change: dict[str, Any]) -> bool:
    other = Maker(replace(maker.like, **change), maker.claim, np.random.default_rng(0))
    probes = (interview.ask(other.case()) for _ in range(ASKED))
    return all(probe is not None and not probe.fails for probe in probes)
