"""The one place where numbers are compared: by what rounding explains, or exactly.

It knows named arrays only, and nothing of networks. There is no tolerance to choose: a difference is
wrong where it is larger than the bound that comes with the truth (`reference.arithmetic.bounded`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Named = Mapping[str, Array]
"""Arrays by name: dW1, db1, dW2, ..."""


def named(parameters: Sequence[tuple[Array, Array | None]]) -> dict[str, Array]:
    """The arrays of [(dW, db), ...] as dW1, db1, dW2, db2, ...; a bias that is None is left out."""
    arrays: dict[str, Array] = {}
    for layer, (dW, db) in enumerate(parameters, start=1):
        arrays[f"dW{layer}"] = dW
        if db is not None:
            arrays[f"db{layer}"] = db
    return arrays


def told_apart(actual: float, expected: float) -> tuple[str, str]:
    """Two different numbers in as many digits as it takes to see the difference."""
    digits = next((n for n in (6, 9, 13) if f"{actual:.{n}g}" != f"{expected:.{n}g}"), 17)
    return f"{actual:.{digits}g}", f"{expected:.{digits}g}"


@dataclass(frozen=True)
class Entry:
    """One entry that is wrong: where, what it is, what it should be, how far rounding reaches."""

    array: str
    index: tuple[int, ...]
    actual: float
    expected: float
    bound: float

    @property
    def apart(self) -> float:
        """How far apart the numbers are, relative to the larger; 1 where one of them is not finite."""
        size = max(abs(self.actual), abs(self.expected))
        return abs(self.actual - self.expected) / size if 0 < size < np.inf else 1.0

    def __str__(self) -> str:
        """`dW1[0, 2] is 0.5, and should be 0.25 (rounding explains 1e-17)`."""
        place = f"{self.array}[{', '.join(map(str, self.index))}]" if self.index else self.array
        actual, expected = told_apart(self.actual, self.expected)
        return f"{place} is {actual}, and should be {expected} (rounding explains {self.bound:.1g})"


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison.

    `ratio` is the largest |difference| / bound, `wrong` counts the entries above 1 of every array, `open`
    the entries that a kink leaves open, and `worst` is the worst of the wrong ones. `resolution` is the relative error
    of a typical entry that would have been wrong; None where nobody asked.
    """

    ratio: float
    wrong: Mapping[str, int]
    entries: Mapping[str, int]
    open: int
    worst: Entry | None
    resolution: float | None = None

    @property
    def holds(self) -> bool:
        """Whether rounding, or an open kink, explains every difference."""
        return self.worst is None

    def census(self) -> str:
        """`dW1: 6 of 12 entries, db1: 3 of 3 entries`."""
        parts = (
            f"{name}: {count} of {self.entries[name]} {'entry' if self.entries[name] == 1 else 'entries'}"
            for name, count in self.wrong.items()
            if count
        )
        return ", ".join(parts)


def compare(
    actual: Named, truth: Named, error: Named, opened: Named | None = None, known: Named | None = None
) -> Comparison:
    """Compare named arrays with the truth, entry by entry.

    Args:
        actual: what the subject gave.
        truth: what is right, the same names and shapes.
        error: how far rounding may carry an entry, the same names and shapes.
        opened: how far a kink may carry it besides; none where left out.
        known: of which entries anything is known; of all where left out. The others are never wrong.
    """
    sizes = {name: right.size for name, right in truth.items()}
    given, right, bound = (_one_after_another(arrays, truth) for arrays in (actual, truth, error))
    kink = _one_after_another(opened, truth) if opened is not None else np.zeros_like(bound)
    with np.errstate(all="ignore"):
        excess = np.abs(given - right) / (bound + kink)
        excess = np.where(given == right, 0, np.where(np.isfinite(excess), excess, np.inf))
    if known is not None:
        excess = np.where(_one_after_another(known, truth), excess, 0)
    ratio = float(excess.max(initial=0))
    wrong, worst = dict.fromkeys(truth, 0), None
    if ratio > 1:
        at = int(excess.argmax())
        for name, start, stop in _places(sizes):
            wrong[name] = int((excess[start:stop] > 1).sum())
            if start <= at < stop:
                index = np.unravel_index(at - start, truth[name].shape)
                place = tuple(int(i) for i in index)
                worst = Entry(name, place, float(given[at]), float(right[at]), float((bound + kink)[at]))
    return Comparison(ratio, wrong, sizes, int((kink > bound).sum()), worst)


def _one_after_another(arrays: Named, names: Iterable[str]) -> Array:
    """The entries of all arrays in one, float64: a comparison of many small arrays would cost many calls."""
    return np.concatenate([np.empty(0), *(np.ravel(arrays[name]) for name in names)], dtype=np.float64)


def _places(sizes: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    """Where the entries of every array lie in that one."""
    stop = 0
    for name, size in sizes.items():
        start, stop = stop, stop + size
        yield name, start, stop


def resolution(truth: Named, error: Named, opened: Named) -> float | None:
    """The relative error that would be wrong in half of the entries that are not 0; None where all are."""
    right, bound, kink = (_one_after_another(arrays, truth) for arrays in (truth, error, opened))
    seen = right != 0
    with np.errstate(over="ignore"):  # of a number that has all but vanished no share is too large
        shares = (bound + kink)[seen] / np.abs(right[seen])
    return float(np.median(shares)) if shares.size else None


def equal(actual: Named, expected: Named) -> bool:
    """Whether two sets of arrays are the same to the last digit: for rational numbers."""
    return actual.keys() == expected.keys() and all(
        actual[name].shape == expected[name].shape and bool(np.all(actual[name] == expected[name]))
        for name in expected
    )


def between(actual: Named, one_end: Named, other_end: Named) -> bool:
    """Whether every entry lies between two ends, or is both: for rational numbers."""
    return all(
        actual[name].shape == low.shape
        and bool(np.all((actual[name] - low) * (actual[name] - other_end[name]) <= 0))
        for name, low in one_end.items()
    )
