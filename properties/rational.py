"""Cases in exact arithmetic: numbers of Python's `fractions.Fraction` in NumPy arrays."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

from properties.cases import Array, Case
from properties.problem import Claim
from properties.strategies import cases

_to_fractions = np.frompyfunc(Fraction, 1, 1)

CLAIMS = (
    Claim(
        layers=(1, 2, 3),
        hidden=("identity", "relu"),
        output=("identity", "relu"),
        loss=("mse", "half_sse"),
        reduction=("mean", "sum"),
        bias=(True, False),
        inputs=(1, 2, 3),
        width=(1, 2, 4),
        outputs=(1, 2, 3),
        samples=(1, 2, 3, 5),
    ),
)
"""What stays rational, kept small: fractions cost a microsecond an operation."""


def as_fractions(array: Array) -> Any:
    """The same numbers, exactly, as an object array of fractions."""
    return np.asarray(_to_fractions(array), dtype=object)


def rational_cases(claims: tuple[Claim, ...] = CLAIMS) -> SearchStrategy[Case]:
    """Cases whose arrays hold fractions."""
    return cases(claims, regimes=["well scaled", "coarse"]).map(in_fractions)


def in_fractions(case: Case) -> Case:
    """A case with every number turned into the same fraction; labels stay."""
    return replace(
        case,
        parameters=[(as_fractions(W), None if b is None else as_fractions(b)) for W, b in case.parameters],
        inputs=as_fractions(case.inputs),
        targets=case.targets if case.targets.ndim == 1 else as_fractions(case.targets),
    )
