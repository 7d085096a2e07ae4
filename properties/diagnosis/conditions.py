"""On which cases, and in which entries, a derivative is wrong that is right elsewhere.

Conditions are short sentences: of a size ("d ≥ 33", "n = d"), of an option, of the numbers ("some |x| is above 19").
Cases are drawn and judged; what is left are the conditions that all wrong ones meet and no right one, and where these
differ, a case is drawn on which they do, until one is left or all that are left say the same. It is told unless chance
might have told it: where a share p of the cases meets a condition, all w wrong ones do so by chance with p^w, and none
of r right ones with (1 - p)^r; of all conditions that are tried, one would with so many times that. Each kind of
condition has its part of the chance, so that the few plain ones are not lost among the others.

It knows cases by their sizes, options and arrays, whatever they are cases of: an operation or a network.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations, product
from math import comb
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from properties.strategies import WIDEST

Array = NDArray[Any]

ASKED, ASKED_SLOWLY = 48, 16
"""Cases that are drawn; fewer where each is measured, or traced."""
MORE, MORE_SLOWLY = 32, 8
"""Cases on which the conditions that are left differ, at most."""
ROUNDS, ROUNDS_SLOWLY, ENOUGH = 4, 2, 8
"""As often are so many drawn, until a condition is told, or so many cases of either kind show that none holds."""
FEWEST = 3
"""Cases that have to be wrong, and right; and so for entries."""
CONFIRMATIONS = 3
"""Thresholds and lists are made so often, each time with what has been asked since."""
LOOKED_AT, IN_VAIN = 100, 5
"""Draws in which a case is looked for, and how often in vain, until all that are left say the same."""
CHANCE = 0.01
"""How likely a condition that explains nothing may be told, at most."""
KINDS = 4
"""Of conditions: plain ones, sizes, thresholds, and lists joined by "or"."""
EVERY = range(1, WIDEST + 1)
"""Sizes of one axis, where conditions on it are told apart."""
STEP, STEP_SLOWLY = 3, 13
"""From one of these sizes to the next, where it is asked whether what is told of entries holds of others."""
LISTED = range(1, 17)
"""Sizes of which a list of wrong ones is made."""
PARTS = range(2, 9)
"""Sizes of blocks."""
KINDS_OF_DRAWS: Sequence[Mapping[str, Any]] = ({"wide": EVERY}, {}, {"wide": EVERY, "together": True})
"""Among which a case is looked for: where one axis bounds another it takes two long ones, for numbers few of them."""
BISECTIONS, BISECTIONS_SLOWLY = 8, 4
"""Of the interval in which a threshold lies: a 256th of it is left, or a 16th."""


class Described(Protocol):
    """A case as conditions see it."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """By axis."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """By name."""
        ...

    @property
    def inputs(self) -> Mapping[str, Array]:
        """By name."""
        ...

    @property
    def regime(self) -> str:
        """How its numbers were drawn."""
        ...


C = TypeVar("C", bound=Described)


@dataclass(frozen=True)
class Condition(Generic[C]):
    """Something that cases meet or do not, in words; one that is joined by "or" has the parts."""

    sentence: str
    holds: Callable[[C], bool]
    parts: Sequence["Condition[C]"] = ()


@dataclass(frozen=True)
class Entries:
    """Of a gradient: the entries that are wrong, and those that are 0, where a wrong factor does not show."""

    off: Array
    silent: Array


@dataclass(frozen=True)
class Judged(Generic[C]):
    """A case, and which of its gradients are not 0; where it is wrong, the entries, unless its contract is broken.

    `beside` are other arrays that may tell where, by what they are called: outputs, cotangents.
    """

    case: C
    alive: frozenset[str] = frozenset()
    entries: Mapping[str, Entries] = field(default_factory=dict[str, Entries])
    beside: Mapping[str, Array] = field(default_factory=dict[str, Array])
    is_wrong: bool = False


class Population(ABC, Generic[C]):
    """Where cases come from, and what becomes of them.

    Attributes:
        example: the case that is shown.
        axes: those that vary; `sizes` of a case may name others, of which there are conditions alone.
        options: the choices of each.
        values: inputs that conditions are about, and whether each is an array.
        gradients: the axes of each array that has one.
        is_quick: whether hundreds of cases may be asked.
    """

    example: C
    axes: Sequence[str]
    options: Mapping[str, Sequence[Any]]
    values: Mapping[str, bool]
    gradients: Mapping[str, Sequence[str]]
    is_quick: bool

    @abstractmethod
    def drawn(self, wide: Sequence[int] = (), *, near: bool = False, together: bool = False) -> C | None:
        """Any case, one axis of which may be wide, or all; or the example's sizes and options, but for one."""

    @abstractmethod
    def of_size(self, axis: str, size: int) -> C | None:
        """A case with the sizes and options of the example, but for one size."""

    @abstractmethod
    def asked(self, case: C) -> Judged[C] | None:
        """What the subject makes of it; None where nobody can tell whether that is right."""

    @abstractmethod
    def scaled(self, case: C, name: str, factor: float) -> C:
        """The case with one of its `values` so many times larger."""

    def more(self) -> Iterator[Condition[C]]:
        """Plain conditions of its own."""
        return iter(())


@dataclass(frozen=True)
class Told(Generic[C]):
    """Conditions in words, such as `always and only where n is 1; dx is wrong where |x| > 3`.

    `of_cases` is the one that cases meet, None where all do.
    """

    sentence: str
    of_cases: Condition[C] | None = None
    is_exact: bool = False


def condition(population: Population[C]) -> Told[C] | None:
    """Where a derivative is wrong that is right on other cases, or in other entries; None where nothing tells."""
    return _Search(population).told()


class _Search(Generic[C]):
    """Draws cases, and keeps what they leave of all conditions."""

    def __init__(self, population: Population[C]) -> None:
        self.population, self.judged = population, list[Judged[C]]()
        self.right, self.wrong = list[C](), list[C]()
        self._names = set[str]()  # of the gradients that are wrong on some case
        self.is_quick = population.is_quick

    def told(self) -> Told[C] | None:
        """On which cases, and in which entries."""
        found, entries = None, dict[str, str]()
        self._ask(self.population.example)
        for _ in range(ROUNDS if self.is_quick else ROUNDS_SLOWLY):
            for number in range(ASKED if self.is_quick else ASKED_SLOWLY):
                self._ask(self.population.drawn(EVERY if number % 4 == 1 else (), near=number % 2 == 1))
            self._look_for_right_ones()
            found = self._of_cases() if self.right and self.wrong else None
            if self._entries():  # which may be so for the example's sizes alone
                for axis, size in product(
                    self.population.axes, EVERY[:: STEP if self.is_quick else STEP_SLOWLY]
                ):
                    self._ask(self.population.of_size(axis, size))
            entries = self._entries()
            if found or len(self.right) < FEWEST or min(len(self.right), len(self.wrong)) > ENOUGH:
                break  # with so few right ones it is wrong everywhere
        if entries and found is not None and not found.is_exact:
            found = None  # which entries are wrong says more than what many of such cases have in common
        sentences = [*([found.sentence] if found else []), *entries.values()]
        if not sentences:
            return None
        return Told("; ".join(sentences), found.of_cases if found else None)

    def _look_for_right_ones(self) -> None:
        """Ask cases that a condition which is still possible says to be right, until some are, or none is drawn."""
        possible = [*self._plain(), *self._sizes()] if self.wrong else []
        for _ in range(MORE if self.is_quick else MORE_SLOWLY):
            possible = [one for one in possible if self._is_exact(one)]
            looks = range(LOOKED_AT if possible and len(self.right) < FEWEST else 0)
            draws = (self.population.drawn(**kind) for kind in KINDS_OF_DRAWS for _ in looks)
            other = next((one for one in draws if one and not all(c.holds(one) for c in possible)), None)
            if other is None:
                return
            self._ask(other)

    def _entries(self) -> dict[str, str]:
        told = {name: self._of_entries(name) for name in self.population.gradients}
        return {name: sentence for name, sentence in told.items() if sentence}

    def _ask(self, case: C | None) -> None:
        judged = None if case is None else self.population.asked(case)
        if judged is None:
            return
        self.judged.append(judged)
        self._names |= {name for name, entries in judged.entries.items() if entries.off.any()}
        self.wrong = [one.case for one in self.judged if one.is_wrong]
        self.right = [one.case for one in self.judged if not one.is_wrong and self._would_show(one)]

    def _would_show(self, one: Judged[C]) -> bool:
        """Whether a wrong factor would have shown in a right case: what is 0 may be wrong by one."""
        return not self._names or bool(self._names & one.alive)

    # on which cases

    def _of_cases(self) -> Told[C] | None:
        plain, sizes = list(self._plain()), list(self._sizes())
        count = {one: KINDS * len(family) for family in (plain, sizes) for one in family}
        left = self._narrowed([one for one in count if self._is_exact(one)])
        for _ in range(0 if left else CONFIRMATIONS):  # what was between two numbers is told apart each time
            thresholds, lists = list(self._thresholds()), dict(self._lists())
            count |= {one: KINDS * len(self.population.values) * len(FEATURES) for one in thresholds}
            count |= {one: KINDS * many for one, many in lists.items()}
            left = self._narrowed([one for one in (*thresholds, *lists) if self._is_exact(one)])
        best = next((one for one in left if self._chance(one) * count[one] < CHANCE), None)
        if best is not None:
            return Told(f"always and only where {best.sentence}", best, is_exact=True)
        shared = [one for one in count if all(map(one.holds, self.wrong))]
        likely = min(shared, key=lambda one: self._chance(one) * count[one], default=None)
        if likely is None or self._chance(likely) * count[likely] >= CHANCE:
            return None
        return Told(f"only where {likely.sentence}", likely)

    def _is_exact(self, one: Condition[C]) -> bool:
        return all(map(one.holds, self.wrong)) and not any(map(one.holds, self.right))

    def _chance(self, one: Condition[C]) -> float:
        right, wrong = len(self.right), len(self.wrong)
        if min(right, wrong) < FEWEST:
            return 1.0
        others = sum(map(one.holds, self.right))
        share = (wrong + others) / (wrong + right)
        return share**wrong * (1 if others else (1 - share) ** right)

    def _narrowed(self, left: list[Condition[C]]) -> list[Condition[C]]:
        """What is left after cases on which the conditions differ, of sizes between the usual ones too, and others."""
        in_vain = 0
        for number in range((MORE if self.is_quick else MORE_SLOWLY) if left else 0):
            looks = range(LOOKED_AT if len(left) > 1 and in_vain < IN_VAIN else 0)
            draws = (self._dividing(left, **kind) for kind in KINDS_OF_DRAWS for _ in looks)
            dividing = next(filter(None, draws), None)
            in_vain = 0 if dividing else in_vain + 1
            self._ask(dividing or self.population.drawn(EVERY, near=number % 2 == 1))
            left = [one for one in left if self._is_exact(one)]
            if not left:
                break
        return left

    def _dividing(self, left: Sequence[Condition[C]], **kind: Any) -> C | None:
        case = self.population.drawn(**kind)
        return case if case is not None and len({one.holds(case) for one in left}) > 1 else None

    def _plain(self) -> Iterator[Condition[C]]:
        """Of an option, an axis of length 1, a sign, two equal sizes, and numbers that meet each other."""
        yield Condition("numbers are 0 or equal", lambda case: case.regime == "coarse")
        yield from self.population.more()
        for name, choices in self.population.options.items():
            for value in choices if len(choices) > 1 else ():
                yield Condition(f"{name} is {value!r}", lambda c, n=name, v=value: c.options[n] == v)
            for value in choices if len(choices) > 2 else ():  # of two, it is the other one
                yield Condition(f"{name} is not {value!r}", lambda c, n=name, v=value: c.options[n] != v)
        for axis in self.population.axes:
            yield Condition(f"{axis} is 1", lambda c, a=axis: c.sizes[a] == 1)
            yield Condition(f"{axis} is not 1", lambda c, a=axis: c.sizes[a] != 1)
        for name in self.population.values:
            said = self._one_of(name)
            yield Condition(f"{said} is negative", lambda c, n=name: bool((c.inputs[n] < 0).any()))
            yield Condition(f"{said} is positive", lambda c, n=name: bool((c.inputs[n] > 0).any()))
            yield Condition(f"{said} is 0", lambda c, n=name: not c.inputs[n].all())
        yield from self._equal()
        for a, b in combinations(self.population.axes, 2):
            yield Condition(f"{a} ≠ {b}", lambda c, a=a, b=b: c.sizes[a] != c.sizes[b])

    def _equal(self) -> Iterator[Condition[C]]:
        for a, b in combinations(self.population.axes, 2):
            yield Condition(f"{a} = {b}", lambda c, a=a, b=b: c.sizes[a] == c.sizes[b])

    def _sizes(self) -> Iterator[Condition[C]]:
        """Of one size, and of which of two is larger."""
        for axis in self.judged[0].case.sizes:
            yield from _of_size(axis)
        for a, b in permutations(self.population.axes, 2):
            yield Condition(f"{a} > {b}", lambda c, a=a, b=b: c.sizes[a] > c.sizes[b])

    # lists

    def _lists(self) -> Iterator[tuple[Condition[C], int]]:
        """Several sizes of one axis, or several pairs of equal ones; and how many such lists there are."""
        equal = {one.sentence: one for one in self._equal()}
        yield from self._joined("", equal)
        for axis in self.population.axes if self.is_quick else ():
            wrong, right = ({case.sizes[axis] for case in cases} for cases in (self.wrong, self.right))
            if len(wrong) > 1 and not wrong & right:
                for size in LISTED:
                    self._ask(self.population.of_size(axis, size))
                each = {str(size): _is_size(axis, size) for size in LISTED}
                ends = f" (of {LISTED[0]} to {LISTED[-1]})"
                yield from self._joined(f"{axis} is ", each, ends)

    def _joined(
        self, prefix: str, family: Mapping[str, Condition[C]], suffix: str = ""
    ) -> Iterator[tuple[Condition[C], int]]:
        """The fewest of a family that all wrong cases meet one of, and no right one any."""
        right, left = self.right, self.wrong
        chosen = dict[str, Condition[C]]()
        sound = {said: one for said, one in family.items() if not any(map(one.holds, right))}
        while left and sound:
            said = max(sound, key=lambda said: sum(map(sound[said].holds, left)))
            if not any(map(sound[said].holds, left)):
                break
            chosen[said] = sound[said]
            left = [case for case in left if not sound[said].holds(case)]
        if left or len(chosen) < 2:
            return
        *some, last = (said for said in family if said in chosen)
        sentence = f"{prefix}{', '.join(some)} or {last}{suffix}"
        listed = tuple(one for said, one in family.items() if said in chosen)
        many = comb(len(family), len(chosen)) * (1 + len(self.population.axes))
        yield Condition(sentence, lambda c: any(one.holds(c) for one in listed), listed), many

    # in which entries

    def _of_entries(self, name: str) -> str:
        """`dx is wrong where |x| > 3`; empty where all entries are, or nothing tells which."""
        wrong = [one for one in self.judged if name in one.entries and one.entries[name].off.any()]
        parted = [one for one in wrong if (~one.entries[name].off & ~one.entries[name].silent).any()]
        if len(wrong) < FEWEST or not parted:
            return ""
        places = list(_places(self.population.gradients[name], name, self.judged))
        for place in places:
            counts = _exact(name, self.judged, place)
            if min(sum(one > 0 for one in side) for side in counts) < FEWEST:
                continue  # entries of one case are not independent of each other
            inside, outside = map(sum, counts)
            share = inside / (inside + outside)
            if share**inside * (1 - share) ** outside * len(places) < CHANCE:
                return f"d{name} is wrong {place.sentence}"
        return ""

    # thresholds

    def _thresholds(self) -> Iterator[Condition[C]]:
        """Of the largest and the least number of an input, where these part wrong from right."""
        right, wrong = self.right, self.wrong
        for name in self.population.values:
            for (form, relation), f in FEATURES.items():
                low, high = (
                    max((f(one.inputs[name]) for one in right), default=0.0),
                    min((f(one.inputs[name]) for one in wrong), default=0.0),
                )
                if -np.inf < low < high < np.inf:
                    at = self._between(name, f, low, high)
                    number = _written(-at if relation == "below" else at, ".2g")
                    said = f"{self._one_of(name, form)} is {relation} {number}"
                    yield Condition(said, lambda c, n=name, f=f, at=at: f(c.inputs[n]) > at)

    def _between(self, name: str, f: Callable[[Array], float], low: float, high: float) -> float:
        """Where between two values it begins to be wrong, as far as cases scaled to lie between can tell."""
        example = next(one.case for one in self.judged if one.is_wrong and f(one.case.inputs[name]) == high)
        for _ in range((BISECTIONS if self.is_quick else BISECTIONS_SLOWLY) if high > 0 else 0):
            middle = (low + high) / 2
            before = len(self.judged)
            self._ask(self.population.scaled(example, name, middle / f(example.inputs[name])))
            if len(self.judged) == before:
                break
            low, high = (low, middle) if self.judged[-1].is_wrong else (middle, high)
        return low

    def _one_of(self, name: str, form: str = "{}") -> str:
        """`some x`, `some |x|`; of a number alone without `some`."""
        return ("some " if self.population.values[name] else "") + form.format(name)


FEATURES: Mapping[tuple[str, str], Callable[[Array], float]] = {
    ("|{}|", "above"): lambda x: float(_sizes_of(x).max(initial=-np.inf)),
    ("{}", "above"): lambda x: float(np.max(x, initial=-np.inf)),
    ("{}", "below"): lambda x: float(-np.min(x, initial=np.inf)),
}
"""What an input has one of, by the number that is larger where there is more of it."""


def _written(number: float, digits: str = "g") -> str:
    """A number in so many digits, with a minus sign."""
    return f"{number:{digits}}".replace("-", "−")


def _of_size(axis: str) -> Iterator[Condition[Any]]:
    """Of one size: one number, a threshold, and blocks of a fixed size that it is made of or is not."""
    for size in range(2, WIDEST + 1):
        yield Condition(f"{axis} ≥ {size}", lambda c, s=size: c.sizes[axis] >= s)
        yield Condition(f"{axis} ≤ {size}", lambda c, s=size: c.sizes[axis] <= s)
    for size in range(2, WIDEST + 1):
        yield _is_size(axis, size)
    for part in PARTS:
        yield Condition(f"{axis} is a multiple of {part}", lambda c, p=part: c.sizes[axis] % p == 0)
        yield Condition(f"{axis} is no multiple of {part}", lambda c, p=part: c.sizes[axis] % p != 0)
        yield Condition(
            f"{axis} is above {part} and no multiple of it",
            lambda c, p=part: c.sizes[axis] > p and c.sizes[axis] % p != 0,
        )


def _is_size(axis: str, size: int) -> Condition[Any]:
    return Condition(f"{axis} is {size}", lambda c: c.sizes[axis] == size)


# --- entries -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """A set of entries of a gradient, in words."""

    sentence: str
    of: Callable[[Judged[Any]], Array]


def _places(axes: Sequence[str], name: str, judged: Sequence[Judged[Any]]) -> Iterator[_Place]:
    """By the place of an entry in the array, and by the number that stands there, or in an array of the same shape."""
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
    for other, x in _beside(name, judged):
        yield _Place(f"where {other} is 0", lambda c, x=x: x(c) == 0)
        yield _Place(f"where {other} is negative", lambda c, x=x: x(c) < 0)
        yield _Place(f"where {other} is positive", lambda c, x=x: x(c) > 0)
        for sign, (form, f) in product((1, -1), VALUES.items()):
            side = lambda c, x=x, f=f, s=sign: s * f(x(c))  # noqa: E731
            if (at := _parted(name, judged, side)) is not None:
                relation = ">" if sign > 0 else "<"
                said = f"where {form.format(other)} {relation} {_written(sign * at)}"
                yield _Place(said, lambda c, f=side, t=at: f(c) > t)


def _beside(name: str, judged: Sequence[Judged[Any]]) -> Iterator[tuple[str, Callable[[Judged[Any]], Array]]]:
    """Arrays that have the shape of an input in every case that is wrong, by what they are called."""
    wrong = [one for one in judged if name in one.entries]
    for called in _arrays(wrong[0]) if wrong else ():
        if all(
            called in _arrays(one) and np.shape(_arrays(one)[called]) == np.shape(one.case.inputs[name])
            for one in wrong
        ):
            yield called, lambda c, o=called: np.asarray(_arrays(c)[o], float)


def _arrays(one: Judged[Any]) -> Mapping[str, Array]:
    return {**one.case.inputs, **one.beside, **one.case.inputs}  # inputs come first, and keep their names


def _sizes_of(x: Array) -> Array:
    """|x|; 0 is below every size, as an error that has x for a factor does not show there."""
    return np.where(x == 0, -np.inf, np.abs(x))


VALUES: Mapping[str, Callable[[Array], Array]] = {"{}": np.positive, "|{}|": _sizes_of}
"""What is compared with a threshold."""


def _parted(name: str, judged: Sequence[Judged[Any]], f: Callable[[Judged[Any]], Array]) -> float | None:
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


def _exact(name: str, judged: Sequence[Judged[Any]], place: _Place) -> tuple[list[int], list[int]]:
    """How many wrong entries of each case lie there, and how many right ones elsewhere; none where it isn't so."""
    inside, outside = list[int](), list[int]()
    for one in judged:
        if name not in one.entries:
            continue
        mask, entries = place.of(one), one.entries[name]
        if (entries.off & ~mask).any() or (mask & ~entries.off & ~entries.silent).any():
            return [], []
        inside.append(int(entries.off.sum()))
        outside.append(int((~mask & ~entries.silent).sum()))
    return inside, outside
