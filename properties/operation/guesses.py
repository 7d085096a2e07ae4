"""Which known operations a file may mean that names none: those of a similar name that take the same shapes.

A guess decides nothing: the forward pass has to agree with it to rounding on several cases (`judge.Judge.reading`).
"""

from difflib import SequenceMatcher

from properties.declaration import Counterpart, Declaration
from reference.operations import OPERATIONS
from reference.operations.operation import Input, Operation

MOST = 6
"""Guesses that are tried: each has to be traced."""


def guesses(declared: Declaration) -> list[Counterpart]:
    """Known operations with the same kinds and numbers of axes of the inputs, in order; the most similar name first."""
    fitting = [one for one in OPERATIONS.values() if _fits(one, declared)]
    fitting.sort(key=lambda one: -_similarity(one, declared.name))
    return [
        Counterpart(
            one.name,
            tuple(declared.inputs),
            options={name: name for name in one.options if name in declared.options},
        )
        for one in fitting[:MOST]
    ]


def _fits(operation: Operation, declared: Declaration) -> bool:
    own, other = list(declared.inputs.values()), list(operation.inputs.values())
    return (
        len(own) == len(other)
        and all(map(_alike, own, other))
        and set(declared.options) <= set(operation.options)
    )


def _alike(own: Input, other: Input) -> bool:
    """Whether an input can take the place of another: as many axes, and whole numbers for whole numbers."""
    whole = ("labels", "counts")  # no set: what a file writes need have no hash
    return len(own.dimensions) == len(other.dimensions) and (own.values in whole) == (other.values in whole)


def _similarity(operation: Operation, name: str) -> float:
    """How alike the names are, from 0 to 1, by the longest that both have."""
    return max(SequenceMatcher(None, name.lower(), one).ratio() for one in (operation.name, *operation.also))
