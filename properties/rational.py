"""Cases in exact arithmetic: numbers of Python's `fractions.Fraction` in NumPy arrays."""

from dataclasses import replace

from hypothesis.strategies import SearchStrategy

from properties.cases import Case
from properties.problem import Claim
from properties.strategies import cases
from reference.exact import fractions_of, rational

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


def rational_cases(claims: tuple[Claim, ...] = CLAIMS) -> SearchStrategy[Case]:
    """Cases whose arrays hold fractions."""
    return cases(claims, regimes=["well scaled", "coarse"]).map(in_fractions)


def in_fractions(case: Case) -> Case:
    """A case with every number turned into the same fraction; labels stay."""
    return replace(
        case,
        parameters=rational(case.parameters),
        inputs=fractions_of(case.inputs),
        targets=case.targets if case.targets.ndim == 1 else fractions_of(case.targets),
    )
