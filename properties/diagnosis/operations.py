"""Which step of a hand-written backward pass is wrong: the edit of the right program that gives the same numbers.

The subject answers on a few cases that are made to tell things apart: real numbers, sizes all different, another
seed, other sizes. A first case is searched, the others confirm. In this order, and the first that explains
everything is told:

1. one edit (`reference.mutations`) of the reference's program, then of its other formulations. The way back is
   linear, so a factor at a step is fitted, and read afterwards: −1, 2, 1/n;
2. the right derivative of another operation, or of the same one with another option;
3. one edit for each wrong gradient; two edits that add up; one after the other;
4. no name, but a place: every wrong gradient is what the program makes of *some* other value of one step, and that
   step has fewer numbers than the gradients have wrong ones;
5. a census of what the numbers show, which needs no program (`census`).

Two numbers are taken for the same where they agree to half of their digits: a program is accurate to more than that
on such cases, and of two that differ, 1 in 2^26 pairs agree so far by chance, each entry and each case again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations, permutations, product
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from properties.generic_cases import Case
from reference.mutations import CURES, Edit, Passage, Reading, edits
from reference.operations import OPERATIONS
from reference.operations.operation import Operation

Array = NDArray[Any]
Sizes = Mapping[str, int]
Answer = Mapping[str, Array]
Subject = Callable[[Mapping[str, Array], Mapping[str, Any], Sequence[Array], Sizes], Mapping[str, Any]]
"""Takes inputs by name, options, one cotangent for each differentiable output, and sizes; gradients by input's name."""

UNIT = 2.0**-53
"""What a float64 is rounded by, relative to it."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        sentence: what, in plain English.
        gradients: those of the subject that it explains, by name.
        kind: of the edit, a key of `reference.mutations.CURES`; or "located", "other", "census".
        where: the line of the reference, "norms.py:34 (layer_norm)".
        cure: what to do.
        edit: the step that was replaced, where there is one.
    """

    sentence: str
    gradients: tuple[str, ...]
    kind: str
    where: str = ""
    cure: str = ""
    edit: Edit | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What is known of a wrong derivative.

    Attributes:
        verdict: "right" (no gradient differs on these cases), "raises", "named", "several", "other operation",
            "located" or "none known".
        wrong: the names of the gradients that differ from the right ones.
        findings: the simplest explanation first where there are several parts.
        census: what the numbers show besides.
    """

    verdict: str
    wrong: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    census: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The sentences, a line each."""
        told = [f"{', '.join(one.gradients)}: {one.sentence}" for one in self.findings]
        return "\n".join([*told, *self.census]) or self.verdict


# --- comparing -----------------------------------------------------------------------------------------------


@dataclass
class _Trial:
    """A case, the subject's answer to it, and the program's readings of it."""

    case: Case
    answer: Answer
    right: Answer
    unit: float
    readings: dict[int, Reading | None] = field(default_factory=dict[int, Reading | None])

    def same(self, name: str, found: Array) -> bool:
        """Whether a gradient is the subject's."""
        mine = self.answer[name]
        scale = max(np.abs(mine).max(initial=0), np.abs(self.right[name]).max(initial=0))
        return bool(np.isfinite(found).all()) and bool(
            (np.abs(found - mine) <= sqrt(self.unit) * scale).all()
        )

    @property
    def wrong(self) -> tuple[str, ...]:
        """The gradients that are not right."""
        return tuple(name for name in self.right if not self.same(name, self.right[name]))

    def reading(self, passage: Passage) -> Reading | None:
        """The program's values at the case; None where other options make another program."""
        if id(passage) not in self.readings:
            values = [*self.case.inputs.values(), *self.case.cotangents]
            own = (
                passage
                if self.case.options == passage.options
                else passage.with_options(self.case.options, self.case.sizes)
            )
            self.readings[id(passage)] = Reading(own, self.case.sizes, values) if own else None
        return self.readings[id(passage)]

    def explained(self, passage: Passage, *some: Edit) -> frozenset[str]:
        """The gradients that are the subject's when these steps are replaced."""
        reading = self.reading(passage)
        found = reading.read(*some) if reading else None
        if found is None:
            return frozenset()
        return frozenset(
            name for name, one in zip(passage.gradients, found, strict=True) if self.same(name, one)
        )


# --- factors that are read off -------------------------------------------------------------------------------


_NUMBERS: Mapping[str, float] = {
    "0": 0, "−1": -1, "2": 2, "½": 0.5, "−2": -2, "−½": -0.5, "3": 3, "4": 4, "1/3": 1 / 3, "1/4": 0.25,
}  # fmt: skip
_POWERS = (
    ("{}", 1.0, 1.2), ("1/{}", -1.0, 1.2), ("√{}", 0.5, 1.5), ("1/√{}", -0.5, 1.5),
    ("{}²", 2.0, 2.0), ("1/{}²", -2.0, 2.0),
)  # fmt: skip
_MULTIPLES = (("", 1.0, 0.0), ("2 ", 2.0, 0.8), ("½ ", 0.5, 0.8), ("−", -1.0, 0.8))


def _factors(sizes: Sizes, options: Mapping[str, Any]) -> Iterator[tuple[str, float, float]]:
    """What a factor may be called, its value and its rank, the simplest first: numbers, sizes, options, two sizes."""
    yield from ((said, value, 1.2 if value in {0, -1, 2, 0.5} else 2.5) for said, value in _NUMBERS.items())
    reals = {name: float(one) for name, one in options.items() if type(one) in {int, float}}
    atoms = {
        **sizes,
        **reals,
        **{f"({name} − 1)": n - 1 for name, n in sizes.items()},
        **{f"(1 − {name})": 1 - one for name, one in reals.items()},
        **{f"({a} {b})": n * m for (a, n), (b, m) in combinations(sizes.items(), 2)},
        **{f"({a}/{b})": n / m for (a, n), (b, m) in permutations(sizes.items(), 2)},
    }
    for (times, k, more), (text, power, rank), (name, one) in product(_MULTIPLES, _POWERS, atoms.items()):
        if one > 0:
            yield times + text.format(name), k * one**power, rank + more + 0.6 * name.startswith("(")


def _named(values: Sequence[float], cases: Sequence[Case], unit: float) -> tuple[str, float] | None:
    """The name of a factor that has these values on these cases."""
    tables = [
        {said: (value, rank) for said, value, rank in _factors(one.sizes, one.options)} for one in cases
    ]
    for said, (_, rank) in tables[0].items():
        if all(
            said in table and abs(table[said][0] - value) <= sqrt(unit) * max(1, abs(value))
            for table, value in zip(tables, values, strict=True)
        ):
            return said, rank
    if max(values) - min(values) <= sqrt(unit) * max(1, abs(values[0])):
        return f"{values[0]:.6g}", 3.2
    return None


def _value_of(said: str, sizes: Sizes, options: Mapping[str, Any]) -> float:
    return next((value for name, value, _ in _factors(sizes, options) if name == said), 0) or (
        0.0 if said == "0" else float(said) if _is_number(said) else np.nan
    )


def _is_number(said: str) -> bool:
    try:
        float(said)
    except ValueError:
        return False
    return True


_SAID: Mapping[str, str] = {
    "0": "the path through {via0} is left out",
    "−1": "{0} has the wrong sign",
    "2": "{0} is doubled",
    "½": "{0} is halved",
}


def _factor_edit(at: tuple[int, ...], k: int, slot: int, said: str, rank: float) -> Edit:
    """An edit that multiplies output k of a step by a factor with this name."""

    def rule(c: Any, *_: Any) -> Any:
        factor = _value_of(said, c.sizes, c.options)
        if not isinstance(c.right, list):
            return c.right * factor
        return [one * factor if i == k else one for i, one in enumerate(c.right)]

    if said.startswith("1/") and said[2:].isidentifier():
        text = f"{{0}} is divided by {said[2:]}"
    elif said.isidentifier():
        text = f"{{0}} is multiplied by {said}, or not divided by it"
    else:
        text = _SAID.get(said, f"{{0}} is multiplied by {said}")
    return Edit(at, "path" if said == "0" else "factor", rule, text, (slot,), rank=1 if said == "0" else rank)


@dataclass
class _Fits:
    """Factors at the steps of the way back, fitted on one trial and confirmed on the others."""

    passage: Passage
    trials: Sequence[_Trial]

    def edits(self) -> Iterator[tuple[Edit, frozenset[str]]]:
        """Edits that multiply a step by a factor, with the gradients of the first trial that they explain."""
        flow = self.passage.flow
        for i in sorted(flow.matters):
            if flow.backward(i):
                for k, slot in enumerate(flow.steps[i].outputs):
                    if slot in flow.uses or slot in flow.ends:
                        yield from self._at(i, k, slot)

    def _at(self, i: int, k: int, slot: int) -> Iterator[tuple[Edit, frozenset[str]]]:
        double = _factor_edit((i,), k, slot, "2", 1)
        by_gradient = dict[tuple[str, float], list[str]]()
        table = [self._ratios(self.trials[0], double)]
        if table[0]:
            table += [self._ratios(trial, double) for trial in self.trials[1:]]
        for name in table[0]:
            if all(name in one for one in table):
                values = [one[name] for one in table]
                called = _named(values, [one.case for one in self.trials], self.trials[0].unit)
                if called and abs(values[0] - 1) > sqrt(self.trials[0].unit):
                    by_gradient.setdefault(called, []).append(name)
        for (said, rank), names in by_gradient.items():
            yield _factor_edit((i,), k, slot, said, rank), frozenset(names)

    def _ratios(self, trial: _Trial, double: Edit) -> dict[str, float]:
        reading, found = trial.reading(self.passage), dict[str, float]()
        if reading is None:
            return {}
        base, twice = reading.gradients, reading.read(double)
        if twice is None:
            return {}
        for name, now, then in zip(self.passage.gradients, base, twice, strict=True):
            change, error = (then - now).ravel(), (trial.answer[name] - now).ravel()
            size = float(change @ change)
            if size > 0:
                ratio = float(change @ error) / size
                if trial.same(name, now + ratio * (then - now)):
                    found[name] = 1 + ratio
        return found


# --- the search ----------------------------------------------------------------------------------------------

LEVELS = (1.0, 2.0, 3.0, 9.0)
"""Edits up to these ranks are read in turn, until one explains everything."""
PRUNED = 2.0
"""Above this rank, a step is asked first whether the error can come from it."""
BUDGET = 600_000
"""Equations read for one passage; a search of a longer program ends with its simpler edits."""
FIRSTS = 3
"""Edits that explain some of the gradients, and are taken together with every other one."""
MOST = 3000
"""Pairs that are read together, the simplest first."""


@dataclass
class _Search:
    """Edits of one passage that explain gradients of the subject."""

    passage: Passage
    trials: Sequence[_Trial]
    wrong: frozenset[str]
    whole: list[Edit] = field(default_factory=list[Edit])
    partial: dict[Edit, frozenset[str]] = field(default_factory=dict[Edit, frozenset[str]])
    changes: list[tuple[Edit, Array]] = field(default_factory=list[tuple[Edit, Array]])
    _fits: dict[int, bool] = field(default_factory=dict[int, bool])

    def run(self) -> None:
        """Read edit after edit, the simplest first."""
        for edit, _ in _Fits(self.passage, self.trials).edits():
            self._take(edit)
        first = self.trials[0].reading(self.passage)
        if first is None:
            return
        every = sorted(edits(first), key=lambda edit: edit.rank)
        left = BUDGET
        for level in LEVELS:
            here = [edit for edit in every if edit.rank <= level]
            every = every[len(here) :]
            for edit in here:
                left -= self._cost(edit)
                if left > 0 and (level <= PRUNED or self._possible(edit)):
                    self._take(edit)
            if self.whole:
                return

    def _cost(self, edit: Edit) -> int:
        """Equations that an edit makes us read."""
        flow = self.passage.flow
        return sum(_work(flow.steps[i]) for i in (edit.at[0], *flow.after(edit.at[0])))

    def _possible(self, edit: Edit) -> bool:
        """Whether what the edit changes could make the error, as far as that is known of steps of the way back."""
        first = edit.only[0] if len(edit.only) == 1 else edit.at[0]
        if edit.also or len(edit.only) > 1 or not self.passage.flow.backward(first):
            return True
        if first not in self._fits:
            found = _room(self.passage, self.trials[0], first)
            self._fits[first] = found is None or found.some
        return self._fits[first]

    def _take(self, edit: Edit) -> None:
        trial, passage = self.trials[0], self.passage
        reached = {passage.gradients[k] for k in passage.flow.reached(edit.at[0])}
        if not reached & self.wrong:
            return
        reading = trial.reading(passage)
        found = reading.read(edit) if reading else None
        if found is None:
            return
        table = dict(zip(passage.gradients, found, strict=True))
        explained = frozenset(
            name for name in self.wrong if name in reached and trial.same(name, table[name])
        )
        spoilt = any(
            not trial.same(name, table[name]) for name in passage.gradients if name not in self.wrong
        )
        if not spoilt:
            change = np.concatenate(
                [(table[name] - trial.right[name]).ravel() for name in sorted(self.wrong)]
            )
            if np.isfinite(change).all():
                self.changes.append((edit, change))
        if explained and not spoilt:
            for other in self.trials[1:]:
                explained &= other.explained(passage, edit)
            if explained == self.wrong and all(
                set(other.explained(passage, edit)) == set(passage.gradients) for other in self.trials[1:]
            ):
                self.whole.append(edit)
            elif explained:
                self.partial[edit] = explained

    def best(self) -> Edit:
        """The simplest edit that explains everything; of a chain of steps that are the same, the last."""
        return min(self.whole, key=_order)

    def parts(self) -> list[tuple[Edit, frozenset[str]]]:
        """One edit for each wrong gradient, as few as may be."""
        chosen, left = list[tuple[Edit, frozenset[str]]](), set(self.wrong)
        while left:
            useful = [(edit, names) for edit, names in self.partial.items() if names & left]
            if not useful:
                return []
            edit, names = min(useful, key=lambda one: (-len(one[1] & left), _order(one[0])))
            chosen.append((edit, frozenset(names & left)))
            left -= names
        return chosen

    def pair(self) -> tuple[Edit, Edit] | None:
        """Two edits that explain everything together: as a sum, or one after the other."""
        self._multiplied()
        return self._sum() or self._series()

    def _distinct(self) -> list[tuple[Edit, Array]]:
        kept = dict[tuple[int, ...], tuple[Edit, Array]]()
        for edit, change in sorted(self.changes, key=lambda one: _order(one[0])):
            scale = np.abs(change).max(initial=0)
            if scale > 0:
                key = tuple(
                    np.round(np.concatenate([change / scale, [np.log(scale)]]) * 1e7)
                    .astype(np.int64)
                    .tolist()
                )
                kept.setdefault(key, (edit, change))
        return list(kept.values())

    def _target(self) -> Array:
        trial = self.trials[0]
        return np.concatenate(
            [(trial.answer[name] - trial.right[name]).ravel() for name in sorted(self.wrong)]
        )

    def _sum(self) -> tuple[Edit, Edit] | None:
        kept, error = self._distinct(), self._target()
        if not kept:
            return None
        matrix = np.stack([change for _, change in kept])
        weights = np.random.default_rng(1).standard_normal(error.size)
        seen, goal = matrix @ weights, float(error @ weights)
        order = np.argsort(seen)
        close = sqrt(self.trials[0].unit) * (np.abs(matrix).max(axis=1) * np.abs(weights).sum() + abs(goal))
        low = np.searchsorted(seen[order], goal - seen - close, "left")
        high = np.searchsorted(seen[order], goal - seen + close, "right")
        found = list[tuple[Edit, Edit]]()
        for a in np.flatnonzero(high > low).tolist():
            for b in order[low[a] : high[a]].tolist():
                if a < b and self._confirmed(kept[a][0], kept[b][0]):
                    found.append((kept[a][0], kept[b][0]))
        return min(found, key=lambda pair: pair[0].rank + pair[1].rank, default=None)

    def _series(self) -> tuple[Edit, Edit] | None:
        """Two edits of which one works on what the other gives: those that people make most, in turn."""
        kept = [edit for edit, _ in self._distinct()]
        usual = [edit for edit in kept if edit.rank <= PRUNED]
        firsts = sorted(self.partial, key=lambda edit: (-len(self.partial[edit]), _order(edit)))[:FIRSTS]
        every = [
            *product(firsts, kept),
            *sorted(combinations(usual, 2), key=lambda pair: pair[0].rank + pair[1].rank),
        ]
        return next((pair for pair in every[:MOST] if self._confirmed(*pair)), None)

    def _multiplied(self) -> None:
        """What usual factors at the steps of the way back change: by linearity, multiples of one change."""
        reading, flow, trial = self.trials[0].reading(self.passage), self.passage.flow, self.trials[0]
        said = [*list(_NUMBERS)[:4], *trial.case.sizes, *(f"1/{name}" for name in trial.case.sizes)]
        values = {name: _value_of(name, trial.case.sizes, trial.case.options) for name in said}
        for i in (i for i in sorted(flow.matters) if reading and flow.backward(i)):
            for k, slot in enumerate(flow.steps[i].outputs):
                found = reading.read(_factor_edit((i,), k, slot, "2", 1)) if reading else None
                if found is not None:
                    table = dict(zip(self.passage.gradients, found, strict=True))
                    change = np.concatenate(
                        [(table[name] - trial.right[name]).ravel() for name in sorted(self.wrong)]
                    )
                    edits_of = (
                        (_factor_edit((i,), k, slot, name, 1.3), value) for name, value in values.items()
                    )
                    self.changes += [(edit, (value - 1) * change) for edit, value in edits_of]

    def _confirmed(self, *pair: Edit) -> bool:
        every = set(self.passage.gradients)
        return all(set(trial.explained(self.passage, *pair)) == every for trial in self.trials)


def _order(edit: Edit) -> tuple[float, ...]:
    return edit.rank, len(edit.at), *(-place for place in edit.at)


def _finding(passage: Passage, edit: Edit, names: Sequence[str], same: Sequence[Edit] = ()) -> Finding:
    """What an edit says; a path is told by what it passes, in the order in which it comes back."""
    where, said = passage.where(edit), passage.say(edit)
    if edit.kind == "path" and len(edit.at) == 1:
        chain = [
            one
            for one in sorted(same, key=_order)
            if one.kind == "path" and len(one.at) == 1 and one.slots and not passage.ambiguous(one.slots[0])
        ]
        told = list(dict.fromkeys(passage.say(one) for one in sorted(chain, key=lambda one: one.at)))
        if told:
            said = f"{told[-1]}" if len(told) == 1 else told[-1]
            where = passage.where(max(chain, key=lambda one: one.at))
    return Finding(said, tuple(f"d{name}" for name in names), edit.kind, where, CURES[edit.kind], edit)


def _together(told: Sequence[tuple[Finding, Edit]]) -> tuple[Finding, ...]:
    """What is the same of several gradients is said once."""
    groups = dict[str, list[tuple[Finding, Edit]]]()
    for finding, edit in told:
        groups.setdefault(edit.text if edit.kind == "factor" else finding.sentence, []).append(
            (finding, edit)
        )
    found = list[Finding]()
    for text, some in groups.items():
        first, names = some[0][0], tuple(name for one, _ in some for name in one.gradients)
        said = (
            text.format("each of them") if len(some) > 1 and some[0][1].kind == "factor" else first.sentence
        )
        found.append(replace(first, sentence=said, gradients=names))
    return tuple(found)


# --- places without a name -----------------------------------------------------------------------------------

LARGEST = 100
"""Numbers of a step that is asked whether it can be the one."""


def _located(passage: Passage, trials: Sequence[_Trial], wrong: frozenset[str]) -> Finding | None:
    """The last step of the way back whose value alone could make the wrong gradients, and by what other value."""
    flow = passage.flow
    for i in sorted(flow.matters, reverse=True):
        step = flow.steps[i]
        if flow.backward(i) and all(_is_place(_room(passage, one, i)) for one in trials):
            edit = Edit((i,), "path", _is_put(None), "{0}", step.outputs)
            text = f"the value of {passage.say(edit)} is not as it should be; all steps after it are right"
            names = tuple(f"d{name}" for name in sorted(wrong))
            return Finding(
                text, names, "located", passage.where(edit), "Compare this value with your own.", edit
            )
    return None


def _is_put(value: Array | None) -> Callable[..., Any]:
    """The rule of an edit that puts this value in the place of a step's."""

    def rule(*_: Any) -> Any:
        return value

    return rule


class _Room(NamedTuple):
    """Whether another value of a step could make the errors of every gradient, or of some one.

    `rank` counts the dimensions of what it can make, `seen` the numbers of the gradients that depend on it.
    """

    every: bool
    some: bool
    rank: int
    seen: int


def _is_place(room: _Room | None) -> bool:
    """Whether fewer numbers of a step explain more wrong ones."""
    return room is not None and room.every and room.rank + 1 < room.seen


def _room(passage: Passage, trial: _Trial, i: int) -> _Room | None:
    """What another value of step i could make; None where the step has several outputs, or too many numbers."""
    reading = trial.reading(passage)
    if reading is None or len(reading.steps[i].outputs) > 1:
        return None
    right = np.asarray(reading.values[reading.steps[i].outputs[0]])
    if not 0 < right.size <= LARGEST:
        return None
    columns = list[dict[str, Array]]()
    for entry in range(right.size):
        moved = right.copy()
        moved.flat[entry] += 1
        found = reading.read(Edit((i,), "path", _is_put(moved), "{0}"))
        if found is None:
            return None
        table = dict(zip(passage.gradients, found, strict=True))
        columns.append({name: (one - trial.right[name]).ravel() for name, one in table.items()})
    errors = {name: (trial.answer[name] - one).ravel() for name, one in trial.right.items()}
    blocks = {name: np.stack([one[name] for one in columns], axis=1) for name in errors}
    jacobian, error = np.concatenate([*blocks.values()]), np.concatenate([*errors.values()])
    every, rank = _spans(jacobian, error, trial.unit)
    some = every or any(_spans(blocks[name], errors[name], trial.unit)[0] for name in trial.wrong)
    return _Room(every, some, rank, int(np.count_nonzero(np.abs(jacobian).max(axis=1) > 0)))


def _spans(jacobian: Array, error: Array, unit: float) -> tuple[bool, int]:
    """Whether an error is what a matrix makes of something, and its rank."""
    found, _, rank, _ = np.linalg.lstsq(jacobian, error, rcond=sqrt(unit))
    rest = np.abs(jacobian @ found - error).max(initial=0)
    return bool(rest <= 10 * sqrt(unit) * np.abs(error).max(initial=0)), int(rank)


def _work(step: Any) -> int:
    if step.primitive != "scan":
        return 1
    return step.parameters["length"] * len(step.parameters["jaxpr"].dynamic)


# --- other operations, and no program ------------------------------------------------------------------------


def _other(operation: Operation, trials: Sequence[_Trial], wrong: frozenset[str]) -> Finding | None:
    """Another operation with inputs of the same axes, or another option, whose gradients are the subject's."""
    first = trials[0].case
    axes = [one.axes for one in operation.inputs.values()]
    for other in (operation, *OPERATIONS.values()):
        if [one.axes for one in other.inputs.values()] != axes or other.concrete != operation.concrete:
            continue
        if len(other.differentiable) < len(operation.differentiable):
            continue
        for options in _option_sets(other):
            if other is operation and options == dict(first.options):
                continue
            if other is not operation and other.name == operation.name:
                continue
            if all(_is_of(other, options, trial, operation) for trial in trials):
                chosen = ", ".join(f"{name}={value!r}" for name, value in options.items())
                said = f"the gradient is that of {other.name}" + (f" with {chosen}" if chosen else "")
                names = tuple(f"d{name}" for name in sorted(wrong))
                return Finding(said, names, "other", cure=f"Differentiate {operation.name}.")
    return None


def _option_sets(operation: Operation) -> Iterator[dict[str, Any]]:
    for row in list(product(*operation.options.values()))[:8]:
        yield dict(zip(operation.options, row, strict=True))


def _is_of(other: Operation, options: Mapping[str, Any], trial: _Trial, operation: Operation) -> bool:
    if not other.possible(trial.case.sizes, options):
        return False
    passage = Passage(other, options, trial.case.sizes)
    values = [*trial.case.inputs.values(), *trial.case.cotangents]
    if len(values) != len(passage.program.inputs):
        return False
    try:
        found = Reading(passage, trial.case.sizes, values).gradients
    except (ValueError, TypeError, IndexError):
        return False
    names, mine = tuple(operation.inputs), dict(zip(other.differentiable, found, strict=True))
    table = {names[place]: one for place, one in mine.items() if place < len(names)}
    return all(name in table and _is(trial, name, table[name]) for name in trial.right)


def census(
    cases: Sequence[Case], right: Callable[[Case], Answer], answers: Sequence[Answer], *, unit: float = UNIT
) -> tuple[str, ...]:
    """What wrong gradients show without a program, where it is so on all cases.

    Args:
        cases: at least two.
        right: the right gradients of a case, by name, such as from `reference.slopes`.
        answers: the subject's, one for each case.
        unit: what the numbers are rounded by; their agreement is asked to half of their digits.
    """
    truths = [right(one) for one in cases]
    trials = [
        _Trial(one, answer, truth, unit) for one, answer, truth in zip(cases, answers, truths, strict=True)
    ]
    ignored = [
        right(Case(one.sizes, one.options, one.inputs, tuple(map(np.ones_like, one.cotangents))))
        for one in cases
    ]
    found = list[str]()
    for name in dict.fromkeys(name for trial in trials for name in trial.wrong):
        some = [(trial, ones) for trial, ones in zip(trials, ignored, strict=True) if name in trial.wrong]
        said = _seen(name, some, right)
        if said:
            found.append(said)
    return tuple(found)


def _seen(name: str, some: Sequence[tuple[_Trial, Answer]], right: Callable[[Case], Answer]) -> str:
    trials, ones = [trial for trial, _ in some], {id(trial): one[name] for trial, one in some}
    numbers = [one for one in (_ratio(trial, name) for trial in trials) if one is not None]
    called = (
        _named(numbers, [one.case for one in trials], trials[0].unit) if len(numbers) == len(trials) else None
    )
    if called:
        return f"d{name} is 0" if called[0] == "0" else f"d{name} is {called[0]} times the right one"
    candidates: list[tuple[str, Callable[[_Trial], Array]]] = [
        (f"d{name} is the transpose of the right one", lambda t: t.right[name].T),
        (f"d{name} has the entries of the right one in another order", lambda t: _refilled(t.right[name])),
        (f"d{name} is right for a cotangent of ones: the cotangent is ignored", lambda t: ones[id(t)]),
    ]
    candidates += [
        (f"d{name} is what d{other} should be", partial(_of_other, other))
        for other in trials[0].right
        if other != name
    ]
    for place, dy in enumerate(trials[0].case.cotangents):
        for axis, (said, keep) in product(
            range(dy.ndim), (("first", slice(0, 1)), ("last", slice(-1, None)))
        ):
            text = f"d{name} comes from the {said} entries of the cotangent's axis {axis} alone: outputs are dropped"
            candidates.append((text, partial(_of_some, right, name, place, axis, keep)))
    return next(
        (said for said, make in candidates if all(_is(trial, name, make(trial)) for trial in trials)), ""
    )


def _of_other(name: str, trial: _Trial) -> Array:
    return trial.right[name]


def _of_some(
    right: Callable[[Case], Answer], name: str, place: int, axis: int, keep: slice, trial: _Trial
) -> Array:
    return right(_only(trial.case, place, axis, keep))[name]


def _refilled(g: Array) -> Array:
    return g.reshape(g.shape[::-1]).T


def _is(trial: _Trial, name: str, value: Array) -> bool:
    return value.shape == trial.answer[name].shape and trial.same(name, value)


def _ratio(trial: _Trial, name: str) -> float | None:
    right, mine = trial.right[name].ravel(), trial.answer[name].ravel()
    size = float(right @ right)
    if not size:
        return None
    ratio = float(right @ mine) / size
    return ratio if trial.same(name, ratio * trial.right[name]) else None


def _only(case: Case, place: int, axis: int, keep: slice) -> Case:
    """A case whose cotangent is 0 but for some entries of an axis."""
    dy = case.cotangents[place]
    where = tuple(keep if a == axis else slice(None) for a in range(dy.ndim))
    kept = np.zeros_like(dy)
    kept[where] = dy[where]
    return Case(
        case.sizes, case.options, case.inputs, (*case.cotangents[:place], kept, *case.cotangents[place + 1 :])
    )


# --- all together --------------------------------------------------------------------------------------------


def _answer(subject: Subject, case: Case, names: Sequence[str]) -> Answer:
    found = subject(dict(case.inputs), case.options, case.cotangents, case.sizes)
    return {name: np.asarray(found[name], float) for name in names if found.get(name) is not None}


def _right(passage: Passage, case: Case) -> Answer:
    if case.options != passage.options:
        passage = Passage(passage.operation, case.options, case.sizes)
    reading = Reading(passage, case.sizes, [*case.inputs.values(), *case.cotangents])
    return dict(zip(passage.gradients, reading.gradients, strict=True))


def _trials(
    passage: Passage, subject: Subject, cases: Sequence[Case], unit: float
) -> tuple[list[_Trial], list[str]]:
    trials, raised = list[_Trial](), list[str]()
    for case in cases:
        try:
            answer = _answer(subject, case, passage.gradients)
        except Exception as error:  # noqa: BLE001  (a subject may raise anything)
            raised.append(f"{type(error).__name__}: {error}")
            continue
        right = _right(passage, case)
        for name, one in right.items():
            if name not in answer:
                raised.append(f"there is no d{name}")
            elif answer[name].shape != one.shape:
                raised.append(f"d{name} has the shape {answer[name].shape}, not {one.shape}")
        if set(answer) >= set(right) and all(answer[name].shape == one.shape for name, one in right.items()):
            trials.append(_Trial(case, answer, right, unit))
    return trials, raised


def diagnose(
    operation: Operation,
    subject: Subject,
    cases: Sequence[Case],
    *,
    unit: float = UNIT,
) -> Diagnosis:
    """Which step of a backward pass is wrong.

    Args:
        operation: what it should be the derivative of.
        subject: the backward pass; called once a case, and once more on the first.
        cases: such as `generic_cases` gives; all with the same options. The first on which a gradient is wrong is
            searched, the others confirm: without one that has other sizes, "n" and "3" can't be told apart.
        unit: what the subject's numbers are rounded by, relative to them.
    """
    options = cases[0].options
    passage = Passage(operation, options, cases[0].sizes)
    trials, raised = _trials(passage, subject, cases, unit)
    if not trials:
        return Diagnosis("raises", census=tuple(dict.fromkeys(raised)))
    trials.sort(key=lambda trial: -len(trial.wrong))  # stable: of the cases that show most, the first
    wrong = frozenset(trials[0].wrong)
    if not wrong:
        return Diagnosis("right", census=tuple(dict.fromkeys(raised)))
    names = tuple(f"d{name}" for name in passage.gradients if name in wrong)
    remarks = tuple(dict.fromkeys(raised))
    state = _state(subject, trials[0], passage)
    if state:
        return Diagnosis("named", names, (state,), remarks)
    verdict, findings = _explained(operation, passage, trials, wrong)
    if verdict in {"located", "none known"}:
        answers = [one.answer for one in trials]
        seen = census([one.case for one in trials], lambda case: _right(passage, case), answers, unit=unit)
        return Diagnosis(verdict, names, findings, (*seen, *remarks))
    return Diagnosis(verdict, names, findings, remarks)


def _explained(
    operation: Operation, passage: Passage, trials: Sequence[_Trial], wrong: frozenset[str]
) -> tuple[str, tuple[Finding, ...]]:
    """The verdict on a wrong derivative and what explains it, the simplest first."""
    case, names, searches = trials[0].case, sorted(wrong), list[_Search]()
    for form in (None, *operation.formulations):
        tried = passage if form is None else Passage(operation, passage.options, case.sizes, form)
        searches.append(_Search(tried, [one for one in trials if one.reading(tried)], wrong))
        searches[-1].run()
        if searches[-1].whole:
            return "named", (_finding(tried, searches[-1].best(), names, searches[-1].whole),)
    other = _other(operation, trials, wrong)
    if other:
        return "other operation", (other,)
    for search in searches:
        told = _together([(_finding(search.passage, edit, sorted(of)), edit) for edit, of in search.parts()])
        if told:
            return "several" if len(told) > 1 else "named", told
    for search in searches:
        pair = search.pair()
        if pair:
            return "several", tuple(_finding(search.passage, edit, names) for edit in pair)
    places = (_located(search.passage, search.trials, wrong) for search in searches)
    place = next(filter(None, places), None)
    return ("located", (place,)) if place else ("none known", ())


def _state(subject: Subject, trial: _Trial, passage: Passage) -> Finding | None:
    """What differs when the same is asked once more."""
    again = _answer(subject, trial.case, passage.gradients)
    changed = [
        name for name, one in trial.answer.items() if not np.array_equal(again[name], one, equal_nan=True)
    ]
    if not changed:
        return None
    grows = all(np.allclose(again[name] - trial.answer[name], trial.right[name]) for name in changed)
    said = "what earlier calls gave is added" if grows else "the same call does not give the same twice"
    cure = (
        "Begin every call with zeros."
        if grows
        else "Keep what the forward pass drew, and draw nothing again."
    )
    return Finding(said, tuple(f"d{name}" for name in changed), "state", cure=cure)
