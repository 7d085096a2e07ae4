"""On which cases, and in which entries, a derivative is wrong that is right elsewhere.

Conditions are short sentences: of a size ("d ≥ 33", "n = d"), of an option, of the numbers ("some |x| is above 19").
Cases are drawn and judged; what is left are the conditions that all wrong ones meet and no right one, and where these
differ, a case is drawn on which they do, until one is left or all that are left say the same. It is told unless chance
might have told it: where a share p of the cases meets a condition, all w wrong ones do so by chance with p^w, and none
of r right ones with (1 - p)^r; of all conditions that are tried, one would with so many times that. Half of the chance
is for the few plain conditions, half for all others.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import combinations, permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from properties.operation.cases import (
    EDGES,
    REGULAR,
    NoCaseError,
    OperationCase,
    Seeded,
    Source,
    make,
    numbered,
    part_of,
)
from properties.operation.truth import Judge, off
from properties.search import Inconclusive, Violation
from properties.strategies import WIDEST

Array = NDArray[Any]

ASKED, ASKED_SLOWLY = 48, 16
"""Cases that are drawn; fewer where each is measured, or traced."""
MORE, MORE_SLOWLY = 32, 8
"""Cases on which the conditions that are left differ, at most."""
ROUNDS, ROUNDS_SLOWLY, ENOUGH = 4, 2, 8
"""As often are so many drawn, until a condition is told, or so many cases of either kind show that none holds."""
FEWEST = 3
"""Cases in which entries have to be wrong."""
CONFIRMATIONS = 3
"""Thresholds are made so often, each time with what has been asked since."""
LOOKED_AT = 100
"""Draws in which such a case is looked for."""
CHANCE = 0.01
"""How likely a condition that explains nothing may be told, at most."""
EVERY = range(1, WIDEST + 1)
"""Sizes of one axis, where conditions on it are told apart."""
PARTS = range(2, 9)
"""Sizes of blocks."""
BISECTIONS = 8
"""Of the interval in which a threshold lies: a 256th of it is left."""


@dataclass(frozen=True)
class Condition:
    """Something that cases meet or do not, in words."""

    sentence: str
    holds: Callable[[OperationCase], bool]


@dataclass(frozen=True)
class Entries:
    """Of a gradient: the entries that are wrong, and those that are 0, where a wrong factor does not show."""

    off: Array
    silent: Array


@dataclass(frozen=True)
class Judged:
    """A case, and which of its gradients are not 0; where it is wrong, the entries, unless its contract is broken.

    `beside` are its outputs and cotangents by what they are called.
    """

    case: OperationCase
    alive: frozenset[str] = frozenset()
    entries: Mapping[str, Entries] = field(default_factory=dict[str, Entries])
    beside: Mapping[str, Array] = field(default_factory=dict[str, Array])
    is_wrong: bool = False


@dataclass(frozen=True)
class Told:
    """Conditions in words, such as `always and only where n is 1`, and which cases meet them, where not all do.

    `gradients` are the names of those of which it is told in which entries they are wrong.
    """

    sentence: str
    holds: Callable[[OperationCase], bool] | None = None
    is_exact: bool = False
    gradients: frozenset[str] = frozenset()


def condition(judge: Judge, example: OperationCase) -> Told | None:
    """Where a derivative is wrong that is right on other cases, or in other entries; None where nothing tells."""
    return _Search(judge, example).told()


@dataclass
class _Near:
    """A source of cases with known sizes and options, but for one that is drawn (see `cases.Source`)."""

    source: Source
    known: Mapping[str, Mapping[str, Any]]
    free: str

    def one_of(self, role: str, values: Sequence[Any]) -> Any:
        """What is known for the role: "size n 0", "option eps 0"; the axis that is drawn may be wide."""
        what, name = part_of(role)
        if what == "wide" and self.free in values:
            return self.free
        known = self.known.get(what, {})
        return known[name] if name in known and name != self.free else self.source.one_of(role, values)

    def numbers(self) -> Callable[[int], NDArray[np.intp]]:
        """As drawn."""
        return self.source.numbers()


class _Search:
    """Draws cases, and keeps what they leave of all conditions."""

    def __init__(self, judge: Judge, example: OperationCase) -> None:
        self.judge, self.rng = judge, np.random.default_rng(0)
        self.quick = judge.reading is not None and not judge.reading.own
        self.regimes = (*REGULAR, *EDGES) if example.regime in EDGES else REGULAR
        self.example, self.judged = example, list[Judged]()

    def told(self) -> Told | None:
        """On which cases, and in which entries."""
        found, entries = None, dict[str, str]()
        for _ in range(ROUNDS if self.quick else ROUNDS_SLOWLY):
            for number in range(ASKED if self.quick else ASKED_SLOWLY):
                self._ask(self._drawn(EVERY if number % 4 == 1 else (), near=number % 2 == 1))
            right, wrong = self._cases(wrong=False), self._cases(wrong=True)
            found = self._of_cases() if right and wrong else None
            told = {name: self._of_entries(name) for name in self.judge.declaration.differentiable}
            entries = {name: sentence for name, sentence in told.items() if sentence}
            if found or min(len(right), len(wrong)) > ENOUGH or (entries and not right):
                break
        if entries and found is not None and not found.is_exact:
            found = None  # which entries are wrong says more than what many of such cases have in common
        sentences = [*([found.sentence] if found else []), *entries.values()]
        holds = found.holds if found else None
        return Told("; ".join(sentences), holds, gradients=frozenset(entries)) if sentences else None

    def _drawn(self, wide: Sequence[int] = (), *, near: bool = False) -> OperationCase | None:
        """Any case, one axis of which may be wide; or one with the sizes and options of the example, but for one."""
        source: Source = Seeded(self.rng)
        if near:
            known = {"size": self.example.sizes, "option": self.example.options}
            names = [*self.example.sizes, *self.example.options]
            source = _Near(source, known, names[int(self.rng.integers(len(names)))] if names else "")
        try:
            pool = self.judge.pool
            return make(source, self.judge, self.regimes, sizes=pool, wide=wide)
        except NoCaseError:
            return None

    def _ask(self, case: OperationCase | None) -> None:
        if case is None:
            return
        with suppress(Inconclusive):
            try:
                self.judge.check(case)
                _, _, gradients = self.judge.run(case)
                alive = frozenset(name for name, array in gradients.items() if array.any())
                self.judged.append(Judged(case, alive))
            except Violation:
                self.judged.append(self._wrong(case))

    def _wrong(self, case: OperationCase) -> Judged:
        try:
            outputs, cotangents, gradients = self.judge.run(case)
            right = self.judge.right(case).gradients
        except (Violation, Inconclusive):
            return Judged(case, is_wrong=True)
        found = dict[str, Entries]()
        for name, array in gradients.items():
            if not np.shape(array) == np.shape(case.inputs[name]) == right[name].value.shape:
                continue
            nothing = np.zeros_like(right[name].value)
            found[name] = Entries(off(array, right[name]), ~off(nothing, right[name]))
        beside = {
            called: np.array(one, float)
            for letter, arrays in (("y", outputs), ("dy", cotangents))
            for called, one in zip(numbered(letter, len(arrays)), arrays, strict=True)
            if np.asarray(one).dtype.kind == "f"
        }
        return Judged(case, entries=found, beside=beside, is_wrong=True)

    # on which cases

    def _of_cases(self) -> Told | None:
        plain, sizes = list(self._plain()), list(self._sizes())
        count = {one: 2 * len(family) for family in (plain, sizes) for one in family}
        left = self._narrowed([one for one in count if self._is_exact(one)])
        for _ in range(0 if left else CONFIRMATIONS):  # what was between two numbers is told apart each time
            thresholds = list(self._thresholds())
            count |= {one: 2 * (len(sizes) + len(thresholds)) for one in thresholds}
            left = self._narrowed([one for one in thresholds if self._is_exact(one)])
        best = next((one for one in left if self._chance(one) * count[one] < CHANCE), None)
        if best is not None:
            return Told(f"always and only where {best.sentence}", best.holds, is_exact=True)
        shared = [one for one in count if all(map(one.holds, self._cases(wrong=True)))]
        likely = min(shared, key=lambda one: self._chance(one) * count[one], default=None)
        if likely is None or self._chance(likely) * count[likely] >= CHANCE:
            return None
        return Told(f"only where {likely.sentence}", likely.holds)

    def _cases(self, *, wrong: bool) -> list[OperationCase]:
        """Those that are wrong, or those that are right and would show it: what is 0 may be wrong by a factor."""
        if wrong:
            return [one.case for one in self.judged if one.is_wrong]
        names = {name for one in self.judged for name, entries in one.entries.items() if entries.off.any()}
        return [one.case for one in self.judged if not one.is_wrong and (not names or names & one.alive)]

    def _is_exact(self, one: Condition) -> bool:
        right, wrong = self._cases(wrong=False), self._cases(wrong=True)
        return all(map(one.holds, wrong)) and not any(map(one.holds, right))

    def _chance(self, one: Condition) -> float:
        right, wrong = self._cases(wrong=False), self._cases(wrong=True)
        others = sum(map(one.holds, right))
        share = (len(wrong) + others) / (len(wrong) + len(right))
        return share ** len(wrong) * (1 if others else (1 - share) ** len(right))

    def _narrowed(self, left: list[Condition]) -> list[Condition]:
        """What is left after cases on which the conditions differ, of sizes between the usual ones too, and others."""
        for number in range((MORE if self.quick else MORE_SLOWLY) if left else 0):
            draws = (self._dividing(left) for _ in range(LOOKED_AT if len(left) > 1 else 0))
            self._ask(next(filter(None, draws), None) or self._drawn(EVERY, near=number % 2 == 1))
            left = [one for one in left if self._is_exact(one)]
            if not left:
                break
        return left

    def _dividing(self, left: Sequence[Condition]) -> OperationCase | None:
        case = self._drawn(EVERY)
        return case if case is not None and len({one.holds(case) for one in left}) > 1 else None

    def _plain(self) -> Iterator[Condition]:
        """Of an option, an axis of length 1, a sign, two equal sizes, and numbers that meet each other."""
        declared = self.judge.declaration
        yield Condition("numbers are 0 or equal", lambda case: case.regime == "coarse")
        for name, choices in declared.options.items():
            for value in choices:
                yield Condition(f"{name} is {value!r}", lambda c, n=name, v=value: c.options[n] == v)
                yield Condition(f"{name} is not {value!r}", lambda c, n=name, v=value: c.options[n] != v)
        for axis in declared.axes:
            yield Condition(f"{axis} is 1", lambda c, a=axis: c.sizes[a] == 1)
            yield Condition(f"{axis} is not 1", lambda c, a=axis: c.sizes[a] != 1)
        for name in declared.differentiable:
            said = _one_of(self.judge, name)
            yield Condition(f"{said} is negative", lambda c, n=name: bool((c.inputs[n] < 0).any()))
            yield Condition(f"{said} is positive", lambda c, n=name: bool((c.inputs[n] > 0).any()))
            yield Condition(f"{said} is 0", lambda c, n=name: not c.inputs[n].all())
        for a, b in combinations(declared.axes, 2):
            yield Condition(f"{a} = {b}", lambda c, a=a, b=b: c.sizes[a] == c.sizes[b])
            yield Condition(f"{a} ≠ {b}", lambda c, a=a, b=b: c.sizes[a] != c.sizes[b])

    def _sizes(self) -> Iterator[Condition]:
        """Of one size, and of which of two is larger."""
        for axis in self.judge.declaration.axes:
            yield from _of_size(axis)
        for a, b in permutations(self.judge.declaration.axes, 2):
            yield Condition(f"{a} > {b}", lambda c, a=a, b=b: c.sizes[a] > c.sizes[b])

    # in which entries

    def _of_entries(self, name: str) -> str:
        """`dx is wrong where |x| > 3`; empty where all entries are, or nothing tells which."""
        wrong = [one for one in self.judged if name in one.entries and one.entries[name].off.any()]
        parted = [one for one in wrong if (~one.entries[name].off & ~one.entries[name].silent).any()]
        if len(wrong) < FEWEST or not parted:
            return ""
        places = list(_places(self.judge, name, self.judged))
        for place in places:
            inside, outside = _exact(name, self.judged, place)
            share = inside / max(1, inside + outside)
            if inside and outside and share**inside * (1 - share) ** outside * len(places) < CHANCE:
                return f"d{name} is wrong {place.sentence}"
        return ""

    # thresholds

    def _thresholds(self) -> Iterator[Condition]:
        """Of the largest and the least number of an input, where these part wrong from right."""
        right, wrong = self._cases(wrong=False), self._cases(wrong=True)
        for name in self.judge.declaration.differentiable:
            for (form, relation), f in FEATURES.items():
                low, high = (
                    max((f(one.inputs[name]) for one in right), default=0.0),
                    min((f(one.inputs[name]) for one in wrong), default=0.0),
                )
                if -np.inf < low < high < np.inf:
                    at = self._between(name, f, low, high)
                    number = _written(-at if relation == "below" else at, ".2g")
                    said = f"{_one_of(self.judge, name, form)} is {relation} {number}"
                    yield Condition(said, lambda c, n=name, f=f, at=at: f(c.inputs[n]) > at)

    def _between(self, name: str, f: Callable[[Array], float], low: float, high: float) -> float:
        """Where between two values it begins to be wrong, as far as cases scaled to lie between can tell."""
        example = next(one for one in self.judged if one.is_wrong and f(one.case.inputs[name]) == high).case
        size = f(example.inputs[name])
        for _ in range(BISECTIONS if self.quick and size > 0 else 0):
            middle = (low + high) / 2
            inputs = {**example.inputs, name: example.inputs[name] * (middle / size)}
            case = replace(example, inputs=inputs)
            before = len(self.judged)
            self._ask(case)
            if len(self.judged) == before:
                break
            low, high = (low, middle) if self.judged[-1].is_wrong else (middle, high)
        return low


FEATURES: Mapping[tuple[str, str], Callable[[Array], float]] = {
    ("|{}|", "above"): lambda x: float(_sizes_of(x).max(initial=-np.inf)),
    ("{}", "above"): lambda x: float(np.max(x, initial=-np.inf)),
    ("{}", "below"): lambda x: float(-np.min(x, initial=np.inf)),
}
"""What an input has one of, by the number that is larger where there is more of it."""


def _one_of(judge: Judge, name: str, form: str = "{}") -> str:
    """`some x`, `some |x|`; of a number alone without `some`."""
    return ("some " if judge.declaration.inputs[name].dimensions else "") + form.format(name)


def _written(number: float, digits: str = "g") -> str:
    """A number in so many digits, with a minus sign."""
    return f"{number:{digits}}".replace("-", "−")


def _of_size(axis: str) -> Iterator[Condition]:
    """Of one size: one number, a threshold, and blocks of a fixed size that it is made of or is not."""
    for size in range(2, WIDEST + 1):
        yield Condition(f"{axis} ≥ {size}", lambda c, s=size: c.sizes[axis] >= s)
        yield Condition(f"{axis} ≤ {size}", lambda c, s=size: c.sizes[axis] <= s)
    for size in range(2, WIDEST + 1):
        yield Condition(f"{axis} is {size}", lambda c, s=size: c.sizes[axis] == s)
    for part in PARTS:
        yield Condition(f"{axis} is a multiple of {part}", lambda c, p=part: c.sizes[axis] % p == 0)
        yield Condition(f"{axis} is no multiple of {part}", lambda c, p=part: c.sizes[axis] % p != 0)
        yield Condition(
            f"{axis} is above {part} and no multiple of it",
            lambda c, p=part: c.sizes[axis] > p and c.sizes[axis] % p != 0,
        )


# --- entries -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """A set of entries of a gradient, in words."""

    sentence: str
    of: Callable[[Judged], Array]


def _places(judge: Judge, name: str, judged: Sequence[Judged]) -> Iterator[_Place]:
    """By the place of an entry in the array, and by the number that stands there, or in an array of the same shape."""
    axes = judge.declaration.inputs[name].dimensions
    for place, axis in enumerate(axes):
        along = axis if axes.count(axis) == 1 else f"axis {place}"
        index = lambda c, p=place: np.indices(np.shape(c.case.inputs[name]))[p].astype(float)  # noqa: E731
        last = lambda c, p=place: np.shape(c.case.inputs[name])[p] - 1  # noqa: E731
        yield _Place(f"in the first of {along}", lambda c, i=index: i(c) == 0)
        yield _Place(f"in the last of {along}", lambda c, i=index, e=last: i(c) == e(c))
        yield _Place(f"in all but the first of {along}", lambda c, i=index: i(c) > 0)
        yield _Place(f"in all but the last of {along}", lambda c, i=index, e=last: i(c) < e(c))
        if (at := _parted(name, judged, index)) is not None and at > 0:
            yield _Place(f"beyond the first {int(at) + 1} of {along}", lambda c, i=index, t=at: i(c) > t)
    for other, x in _beside(judge, name, judged):
        yield _Place(f"where {other} is 0", lambda c, x=x: x(c) == 0)
        yield _Place(f"where {other} is negative", lambda c, x=x: x(c) < 0)
        yield _Place(f"where {other} is positive", lambda c, x=x: x(c) > 0)
        for sign, (form, f) in product((1, -1), VALUES.items()):
            side = lambda c, x=x, f=f, s=sign: s * f(x(c))  # noqa: E731
            if (at := _parted(name, judged, side)) is not None:
                relation = ">" if sign > 0 else "<"
                said = f"where {form.format(other)} {relation} {_written(sign * at)}"
                yield _Place(said, lambda c, f=side, t=at: f(c) > t)


def _beside(
    judge: Judge, name: str, judged: Sequence[Judged]
) -> Iterator[tuple[str, Callable[[Judged], Array]]]:
    """Inputs, outputs and cotangents that have the shape of an input in every case, by what they are called."""
    axes = judge.declaration.inputs[name].dimensions
    for other, one in judge.declaration.inputs.items():
        if one.dimensions == axes:
            yield other, lambda c, o=other: np.asarray(c.case.inputs[o], float)
    wrong = [one for one in judged if name in one.entries]
    for called in wrong[0].beside if wrong else ():
        if all(
            called in one.beside and one.beside[called].shape == np.shape(one.case.inputs[name])
            for one in wrong
        ):
            yield called, lambda c, o=called: c.beside[o]


def _sizes_of(x: Array) -> Array:
    """|x|; 0 is below every size, as an error that has x for a factor does not show there."""
    return np.where(x == 0, -np.inf, np.abs(x))


VALUES: Mapping[str, Callable[[Array], Array]] = {"{}": np.positive, "|{}|": _sizes_of}
"""What is compared with a threshold."""


def _parted(name: str, judged: Sequence[Judged], f: Callable[[Judged], Array]) -> float | None:
    """The threshold above which entries are wrong, in few digits; None where none parts them from right ones."""
    low, high = -np.inf, np.inf
    for one in judged:
        if name in one.entries:
            values, entries = f(one), one.entries[name]
            low = max(low, float(values[~entries.off & ~entries.silent].max(initial=-np.inf)))
            high = min(high, float(values[entries.off].min(initial=np.inf)))
    if not -np.inf < low < high < np.inf:
        return None
    rounded = (float(f"{(low + high) / 2:.{digits}g}") for digits in range(1, 6))
    return next((one for one in rounded if low <= one < high), low)


def _exact(name: str, judged: Sequence[Judged], place: _Place) -> tuple[int, int]:
    """How many wrong entries lie there, and how many right ones elsewhere; 0 where it is not as it says."""
    inside = outside = 0
    for one in judged:
        if name not in one.entries:
            continue
        mask, entries = place.of(one), one.entries[name]
        if (entries.off & ~mask).any() or (mask & ~entries.off & ~entries.silent).any():
            return 0, 0
        inside += int(entries.off.sum())
        outside += int((~mask & ~entries.silent).sum())
    return inside, outside
