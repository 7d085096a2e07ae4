"""What is judged: the bundled backprop here, and through the same protocol any other (see `harness`)."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

import manual_backprop
from properties.cases import Case, Parameters
from properties.problem import Claim, read


class Subject(Protocol):
    """A gradient under test. A call that breaks the contract raises `Violation`."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What its `PROBLEM` says that it handles."""
        ...

    @property
    def rational(self) -> bool:
        """Whether it computes with `fractions.Fraction` as well."""
        ...

    @property
    def has_loss(self) -> bool:
        """Whether it gives its loss too."""
        ...

    def gradient(self, case: Case) -> Parameters:
        """Its gradient for a case, [(dW, db), ...] in the shapes of the parameters."""
        ...

    def loss(self, case: Case) -> float:
        """Its loss for a case."""
        ...

    def impurity(self) -> str:
        """What its last call is known to have done to its arguments, as a sentence; empty for nothing."""
        ...

    def renew(self) -> None:
        """Forget what earlier calls have left behind, where that is possible."""
        ...


@dataclass(frozen=True)
class Bundled:
    """`manual_backprop` itself."""

    name: str = "manual_backprop"
    claims: tuple[Claim, ...] = read(manual_backprop.PROBLEM)
    rational: bool = True
    has_loss: bool = True

    def gradient(self, case: Case) -> Parameters:
        """See `manual_backprop.gradient`; a warning is no fault, and some matrix libraries warn of nothing."""
        with np.errstate(all="ignore"):
            return manual_backprop.gradient(case.parameters, case.inputs, case.targets, **case.choices)

    def loss(self, case: Case) -> float:
        """See `manual_backprop.loss`."""
        return float(manual_backprop.loss(case.parameters, case.inputs, case.targets, **case.choices))

    def impurity(self) -> str:
        """Nothing: the bundled backprop is called directly, and its arguments can be looked at."""
        return ""

    def renew(self) -> None:
        """Nothing: it keeps no state, as the law says."""
