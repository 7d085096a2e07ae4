"""What is right for a case, and how outputs and gradients are held against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from properties.comparison import Comparison, Entry, compare
from properties.operation.cases import numbered
from properties.operation.lines import Lines, Place
from reference.truth import Enclosed

Array = NDArray[Any]

WIDE = {"float64": 1e-9, "float32": 1e-2}
"""Of the largest entry: above it a bound says too little, and projections are asked besides."""


@dataclass(frozen=True)
class Right:
    """What is right for a case: gradients by name, the outputs where they are known, lines where it was measured."""

    gradients: Mapping[str, Enclosed]
    outputs: tuple[Enclosed, ...] = ()
    lines: Lines | None = None

    @property
    def values(self) -> dict[str, Array]:
        """The gradients without what they may be off by."""
        return {name: one.value for name, one in self.gradients.items()}

    def has_slopes(self, name: str) -> Array:
        """Of which entries of a gradient it is known that they are finite: of an input of many numbers by lines."""
        one = self.gradients[name]
        by_lines = (
            self.lines is not None and np.isfinite(self.lines.error).any() and np.isinf(one.error).all()
        )
        return is_known(one) | by_lines

    def at_kinks(self, name: str) -> Array:
        """Where the function has none but one-sided slopes; of an input of many numbers lines tell that it may."""
        one = self.gradients[name]
        kinked = self.lines is not None and (self.lines.open > self.lines.error).any()
        return np.where(np.isinf(one.error), kinked, one.open > one.error)

    def off(self, gradients: Mapping[str, Array]) -> list[Array]:
        """Which entries of each gradient are wrong, and along which lines they are."""
        entries = [off(gradients[name], one) for name, one in self.gradients.items()]
        return entries if self.lines is None else [*entries, self.lines.off(gradients)]

    def is_wide(self, cotangents: Sequence[Array], fmt: str) -> bool:
        """Whether the bound of some gradient says little of it."""
        return any(_is_wide(one, cotangents, fmt) for one in self.gradients.values())

    def most_wrong(self, gradients: Mapping[str, Array]) -> tuple[Place, float] | None:
        """The entry that is most wrong, and by how much; None where lines alone tell, or nothing was measured."""
        errors: dict[Place, float] = {
            (name, index): float(abs(gradients[name][index] - one.value[index]))
            for name, one in self.gradients.items()
            for index in map(tuple, np.argwhere(off(gradients[name], one)).tolist())
        }
        return max(errors.items(), key=lambda item: item[1]) if errors and self.lines is not None else None

    def suits(self, known: "Right") -> bool:
        """Whether what was measured may be what is known, as far as errors and bounds tell."""
        both = {
            name: Enclosed(one.value, one.error + other.error, one.open + other.open)
            for (name, one), other in zip(self.gradients.items(), known.gradients.values(), strict=True)
        }
        along = None if self.lines is None else self.lines.suit(known.gradients)
        return along is not False and compared_gradients(known.values, both).holds


def _is_wide(one: Enclosed, cotangents: Sequence[Array], fmt: str) -> bool:
    """Whether the typical bound of an array says little; of what is nothing but rounding, beside what it is made of.

    Beside a kink the middle of what is open may be 0 and says nothing: what is measured there tells more.
    """
    is_some = one.open.any() or (np.abs(one.value) > one.error).any()
    sizes = [one.value] if is_some else cotangents
    size = max((float(np.abs(each).max(initial=0)) for each in sizes), default=0.0)
    return size > 0 and float(np.median(one.error)) > WIDE.get(fmt, 1.0) * size


def differ(one: Array, other: Array, rounding: Array | float = 0.0) -> bool:
    """Whether two outputs differ in the first half of their digits: sums in another order differ in the last ones.

    Where all digits may be rounding, as where terms cancel, by more than that of both.
    """
    if one.shape != other.shape:
        return True
    if np.array_equal(one, other, equal_nan=one.dtype.kind == "f") or one.dtype.kind != "f":
        return not np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    half = float(np.sqrt(np.finfo(one.dtype).eps))
    reach = half * max(np.abs(one).max(), np.abs(other).max())
    return not bool((np.abs(one - other) <= np.maximum(reach, 2 * rounding)).all())


def not_finite(gradients: Mapping[str, Array], right: Right) -> str:
    """Where an entry is NaN or infinite, and the right one is not, nor is there a kink; empty where none is."""
    for name, array in gradients.items():
        bad = ~np.isfinite(array) & right.has_slopes(name) & ~right.at_kinks(name)
        if bad.any():
            count = f"{int(bad.sum())} of {array.size} entries"
            return f"d{name} has {lost(array[bad])} in {count}, where the right gradient is finite"
    return ""


def lost(numbers: Array) -> str:
    """What they are that should be numbers."""
    return "NaN" if np.isnan(numbers).any() else "inf"


def is_known(one: Enclosed) -> Array:
    """Of which entries anything is known: not of those without a bound, or not finite, as a norm's slope at 0."""
    return np.isfinite(one.value) & np.isfinite(one.error + one.open)


def compared(outputs: Sequence[Array], right: Sequence[Enclosed], *, known: bool = False) -> Comparison:
    """Outputs beside the right ones; with `known` those alone that are numbers and have a bound, or are infinite."""
    names = numbered("y", len(outputs))
    if [np.shape(one) for one in outputs] != [one.value.shape for one in right]:
        return APART
    parts = [dict(zip(names, column, strict=True)) for column in zip(*right, strict=True)]
    told = [is_known(one) | np.isinf(one.value) for one in right] if known else None
    actual = dict(zip(names, map(np.asarray, outputs), strict=True))
    return compare(actual, *parts, known=None if told is None else dict(zip(names, told, strict=True)))


APART = Comparison(np.inf, {}, {}, 0, Entry("y", (), np.nan, np.nan, 0.0))
"""Of outputs whose number or shapes are not those of the known ones."""


def compared_gradients(gradients: Mapping[str, Array], right: Mapping[str, Enclosed]) -> Comparison:
    """Gradients beside the right ones, where anything is known of these."""
    actual, known = (
        _by_gradient({name: gradients[name] for name in right}),
        _by_gradient(known_entries(right)),
    )
    value, error, opened = (
        _by_gradient({name: getattr(one, part) for name, one in right.items()})
        for part in ("value", "error", "open")
    )
    return compare(actual, value, error, opened, known)


def known_entries(right: Mapping[str, Enclosed]) -> dict[str, Array]:
    """Of each gradient the entries of which anything is known."""
    return {name: is_known(one) for name, one in right.items()}


def _by_gradient(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"d{name}": array for name, array in arrays.items()}


def off(array: Array, right: Enclosed) -> Array:
    """Which entries are wrong."""
    return ~(np.abs(array - right.value) <= right.error + right.open)


def compared_outputs(outputs: Sequence[Array], right: Right) -> Comparison:
    """Outputs beside the known ones, where anything is known of these."""
    return compared(outputs, right.outputs, known=True)


def alike(one: Mapping[str, Array], other: Mapping[str, Array], right: Right) -> Comparison:
    """Two answers to the same question, each of which may err by the bound."""
    doubled = {name: 2 * (part.error + part.open) for name, part in right.gradients.items()}
    answers = _by_gradient(one), _by_gradient(other)
    return compare(*answers, _by_gradient(doubled), known=_by_gradient(known_entries(right.gradients)))
