"""Derivatives along lines through several numbers at once, as they are measured where entries tie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from properties.comparison import told_apart
from reference.slopes import Vjp
from reference.truth import Enclosed

Array = NDArray[Any]


Place = tuple[str, tuple[int, ...]]
"""A number of an input: its name and its index."""


@dataclass(frozen=True)
class Lines:
    """Directions through several numbers at once, and the derivative along each: value ± (error + open).

    Entry by entry a tie says too little: of max(a, b) at a = b each may have any slope in [0, 1], but along the
    direction that moves both alike the slope is 1.
    """

    shares: tuple[Mapping[Place, float], ...]
    value: Array
    error: Array
    open: Array

    @classmethod
    def of(cls, found: Vjp, names: Sequence[str], indices: Sequence[Any] | None = None) -> "Lines":
        """Those that were measured; of numbers that were picked out of others, those that keep a tie.

        `indices` says where such numbers lie. Along another line a program that is known may have kinks that cancel,
        as in relu(x) − relu(−x), where it is differentiable, and no step of its way back is.
        """
        shares: list[Mapping[Place, float]] = []
        kept = [i for i, one in enumerate(found.directions) if one.is_tie or indices is None]
        for direction in (found.directions[i] for i in kept):
            moved: dict[Place, float] = {}
            for number, part in direction.parts.items():
                for index in map(tuple, np.argwhere(part).tolist()):
                    place = (names[number], index) if indices is None else indices[index[0]]
                    moved[place] = float(part[index])
            shares.append(moved)
        return cls(tuple(shares), found.value[kept], found.error[kept], found.open[kept])

    def suit(self, known: Mapping[str, Enclosed]) -> bool | None:
        """Whether what is known has these derivatives, as far as bounds and measured errors tell; None: no word."""
        for moved, slope, error, opened in zip(self.shares, self.value, self.error, self.open, strict=True):
            terms = [(share, known[name], index) for (name, index), share in moved.items()]
            along = sum(share * float(one.value[index]) for share, one, index in terms)
            loose = sum(abs(share) * float(one.error[index] + one.open[index]) for share, one, index in terms)
            if not np.isfinite([along, slope, loose, error]).all():
                return None
            if abs(along - slope) > error + opened + loose:
                return False
        return True

    def along(self, gradients: Mapping[str, Array]) -> Array:
        """What a gradient gives along each."""
        return np.array(
            [
                sum(share * float(gradients[name][index]) for (name, index), share in moved.items())
                for moved in self.shares
            ]
        )

    def off(self, gradients: Mapping[str, Array]) -> Array:
        """Along which a gradient is not the derivative."""
        return np.abs(self.along(gradients) - self.value) > self.error + self.open

    def contradicted(self, gradients: Mapping[str, Array], right: Mapping[str, Enclosed]) -> str:
        """How a gradient differs from the derivative along a line; empty where it does along none."""
        each = self.shares, self.along(gradients), self.value, self.error + self.open, self.off(gradients)
        for moved, along, slope, may_be_off, is_off in zip(*each, strict=True):
            if not is_off:
                continue
            unit = next(iter(moved.values()))
            is_now, should = told_apart(float(along) / unit, float(slope) / unit + 0.0)  # of -0.0, 0.0
            if len(moved) > SPELLED:
                return (
                    "Along a direction through all numbers at once the gradient gives "
                    f"{is_now}, and should give {should}."
                )
            whole = float(slope) / unit
            slack = float(may_be_off) / abs(unit)
            tied = len(moved) > 1 and all(
                share == unit and _is_share(right[name], index, whole, slack)
                for (name, index), share in moved.items()
            )
            where = f"Where {_listed([told_of(*place) for place in moved])} tie, " if tied else ""
            why = ": at a tie the shares of all who take part add up to one whole" if tied else ""
            return f"{where}{_sum(moved, unit)} is {is_now}, and should be {should}{why}."
        return ""


SPELLED = 9
"""Numbers that tie and are told one by one: a window of three by three."""


def _is_share(one: Enclosed, index: tuple[int, ...], whole: float, slack: float) -> bool:
    """Whether an entry is open, and any of its slopes is a part of the whole: so it is where the largest is taken.

    At another kink, as that of relu(w x + b) or |a - b|, each has slopes of its own.
    """
    value, error, opened = (float(part[index]) for part in one)
    low, high = min(0.0, whole) - error - slack, max(0.0, whole) + error + slack
    return opened > error and low <= value - opened and value + opened <= high


def told_of(name: str, index: tuple[int, ...]) -> str:
    """`x[0, 1]`."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def _listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _sum(moved: Mapping[Place, float], unit: float) -> str:
    """`dx[0] + dx[1] - 2 dx[2]`."""
    told = ""
    for (name, index), share in moved.items():
        factor = share / unit
        sign = (" + " if factor > 0 else " - ") if told else ""
        told += f"{sign}{'' if abs(factor) == 1 else f'{abs(factor):.6g} '}d{told_of(name, index)}"
    return told
