"""Which mistakes explain a subject's answers: one that explains all, one for each array, or two together.

A `Candidate` is the right program with steps replaced, read at other inputs, or changed afterwards. The first trial
is searched, the others confirm: an explanation stands only where it predicts every array of all of them, the right
ones too. In this order, and the first that explains everything is told:

1. one candidate, the simplest; one that would change other arrays as well, "in dW1 alone";
2. one for each wrong array;
3. two at once: a factor and another one, two that add up, or one after the other;
4. what the problem knows besides (other programs, every edit of this one);
5. no name, but a place: every wrong array is what the program makes of *some* other value of one step, and that step
   has fewer numbers than the arrays have wrong ones.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, product
from typing import Any, NamedTuple, Protocol

import numpy as np

from properties.diagnosis import cures
from properties.diagnosis.trials import Answer, Array, Trial, common_ratio, sketch
from reference.mutations import Edit, Passage, Reading

Change = Callable[[dict[str, Array]], None]
"""Changes the inputs of an operation, by name, in place of others."""


class Form(Protocol):
    """A program that has the right gradients: of an operation, in one of its formulations, or of a network."""

    passage: Passage
    names: tuple[str, ...]
    """Of the gradients, in order: "dW"."""

    def reading(self, trial: Trial, change: Change | None = None) -> Reading | None:
        """The program's values at a trial, or at changed inputs; None where it can't be read there."""
        ...

    def applies(self, trial: Trial) -> bool:
        """Whether the trial has anything to say of this program: its options may make another one."""
        ...

    def inputs(self, trial: Trial) -> Mapping[str, Array]:
        """What the program is read at, by name."""
        ...


@dataclass(frozen=True, eq=False)
class Candidate:
    """What a subject may be following: a program with steps replaced.

    Attributes:
        text: a sentence; what it is in particular, where it has names.
        form: the program.
        edits: the steps that are replaced.
        change: what becomes of the inputs.
        after: what becomes of the gradients.
        names: mistakes of the catalogue, and sentences for what is said besides.
        rank: the lower, the more people do it.
        cure: what to do where no name says it.
        kind: of the edit, a key of `cures.OF_AN_EDIT`, or "other".
        where: the line of the reference.
        stays: whether what is wrong stays in each array, so that it may be so in some of them alone.
        holds: whether it holds of a trial, where that is not seen from gradients that are predicted.
    """

    text: str
    form: Form | None = None
    edits: tuple[Edit, ...] = ()
    change: Change | None = None
    after: Callable[[Any, dict[str, Array]], dict[str, Array]] | None = None
    names: tuple[str, ...] = ()
    rank: float = 2
    cure: str = ""
    kind: str = "other"
    where: str = ""
    stays: bool = False
    holds: Callable[[Any], bool] | None = None

    def at(self, trial: Trial) -> dict[str, Array] | None:
        """The gradients that it predicts; None where it can't be, as for sizes that do not fit."""
        if self.form is None:
            return None
        try:
            with np.errstate(all="ignore"):
                reading = self.form.reading(trial, self.change)
                found = reading.read(*self.edits) if reading else None
                if found is None:
                    return None
                named = dict(zip(self.form.names, found, strict=True))
                after = self.after(trial, named) if self.after else named
        except (ValueError, IndexError, TypeError):
            return None
        right = trial.right.items()  # another operation may have other shapes
        fits = all(name in after and np.shape(after[name]) == np.shape(one) for name, one in right)
        return after if fits else None

    def explained(self, trial: Trial) -> frozenset[str]:
        """The arrays of a trial that it explains."""
        if self.holds is not None:
            return frozenset(trial.right) if self.holds(trial) else frozenset()
        return trial.explained(self.at(trial))

    def everything(self, trial: Trial) -> bool:
        """Whether it explains every array, where the trial says anything of its program."""
        return not self.applies(trial) or len(self.explained(trial)) == len(trial.right)

    def applies(self, trial: Trial) -> bool:
        """See `Form`."""
        return self.form is None or self.form.applies(trial)

    def then(self, other: "Candidate") -> "Candidate | None":
        """Both at once; None where they do not go together."""
        if self.form is not other.form or self.holds or other.holds or (self.change and other.change):
            return None
        first, second = self.after, other.after
        both = (lambda t, g: second(t, first(t, g))) if first and second else (first or second)
        return replace(
            self,
            text=f"{self.text}; {other.text}",
            edits=tuple(sorted((*self.edits, *other.edits), key=lambda one: (one.at, one.rank))),
            change=self.change or other.change,
            after=both,
            names=(*self.names, *other.names),
            rank=self.rank + other.rank,
        )

    def reached(self) -> frozenset[str]:
        """The arrays that it may change."""
        if self.form is None:
            return frozenset()
        if self.change or self.after or not self.edits:
            return frozenset(self.form.names)
        flow, names = self.form.passage.flow, self.form.names
        return frozenset(
            names[k] for edit in self.edits for i in (edit.at[0], *edit.also) for k in flow.reached(i)
        )

    def work(self) -> int:
        """Equations that it makes us read."""
        if self.form is None or self.change or not self.edits:
            return WHOLE
        return self.form.passage.flow.work(frozenset(edit.at[0] for edit in self.edits))


def of_edit(form: Form, edit: Edit) -> Candidate:
    """One edit of the grammar, in the words of its step."""
    said, where = form.passage.say(edit), form.passage.where(edit)
    return Candidate(
        said, form, (edit,), rank=edit.rank, kind=edit.kind, cure=cures.OF_AN_EDIT[edit.kind], where=where
    )


def of_edits(form: Form, edits: Sequence[Edit]) -> Candidate:
    """The same edit in every turn of a loop, or call of a function, in the words of the first, or of both of two."""
    said = list(dict.fromkeys(map(form.passage.say, edits)))
    first = of_edit(form, edits[0])
    text = "; ".join(said) if len(said) == 2 else said[0]
    return replace(first, text=text, edits=tuple(edits), rank=first.rank + IN_TURNS)


IN_TURNS = 0.3
"""The rank of the same edit in every turn of a loop, above that of one: one that explains as much says more."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and the gradients that it explains; `alone` where it should be in more of them."""

    candidate: Candidate
    gradients: tuple[str, ...]
    alone: bool = False

    @property
    def sentence(self) -> str:
        """What, in plain English."""
        return (
            f"{self.candidate.text}: in {', '.join(self.gradients)} alone"
            if self.alone
            else self.candidate.text
        )

    @property
    def elsewhere(self) -> bool:
        """Whether it should be seen in more arrays."""
        return self.alone and not self.candidate.stays

    @property
    def is_clear(self) -> bool:
        """Whether it is one step of the program, which its line tells from others."""
        c = self.candidate
        slots = c.edits[0].slots if len(c.edits) == 1 and len(c.edits[0].at) == 1 else ()
        return c.form is not None and bool(slots) and not c.form.passage.ambiguous(slots[0])

    @property
    def kind(self) -> str:
        """Of the edit; "located" or "other" where it is none."""
        return self.candidate.kind

    @property
    def where(self) -> str:
        """The line of the reference, "norms.py (layer_norm)"."""
        return self.candidate.where

    @property
    def cure(self) -> str:
        """What to do."""
        return self.candidate.cure


@dataclass(frozen=True)
class Explanation:
    """What is known of a wrong derivative.

    Attributes:
        verdict: "right" (no gradient differs on these cases), "raises", "named", "several", "other operation",
            "located" or "none known".
        wrong: the names of the gradients that differ from the right ones.
        findings: the simplest explanation first where there are several parts.
        census: what the numbers show besides.
        same: names of mistakes that would give the same numbers.
        both: two findings at once, where they do not explain an array each.
        cases: on how many trials it was seen; others have another program, of which it says nothing.
    """

    verdict: str
    wrong: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    census: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    both: Candidate | None = None
    cases: int = 0

    def __str__(self) -> str:
        """The sentences, a line each."""
        told = [f"{', '.join(one.gradients)}: {one.sentence}" for one in self.findings]
        return "\n".join([*told, *self.census]) or self.verdict

    @property
    def names(self) -> tuple[str, ...]:
        """Of all findings, each once."""
        return tuple(dict.fromkeys(name for one in self.findings for name in one.candidate.names))

    def holds(self, trial: Trial) -> bool:
        """Whether it predicts every array of a trial."""
        if self.both is not None:
            return self.both.everything(trial)
        explained = [(one, one.candidate.explained(trial)) for one in self.findings]
        parts = {name for one, arrays in explained for name in arrays if name in one.gradients}
        others = {name for name in trial.right if not any(name in one.gradients for one in self.findings)}
        kept = all(name not in trial.wrong for name in others)
        return kept and parts | others >= set(trial.right)


class Problem(Protocol):
    """What may be wrong with a subject: candidates in batches, the likeliest first."""

    def first(self, search: "Search") -> Iterator[Iterable[Candidate]]:
        """Batches that are asked before parts and pairs."""
        ...

    def last(self, search: "Search") -> Iterator[Iterable[Candidate]]:
        """Batches that are asked afterwards."""
        ...

    @property
    def forms(self) -> Sequence[Form]:
        """Programs in which a place is looked for."""
        ...


# --- the search ----------------------------------------------------------------------------------------------

WHOLE = 60
"""Equations that a program is taken for that is read as a whole."""
BUDGET = 600_000
"""Equations read for one form; a search of a longer program ends with its simpler edits."""
PRUNED = 2.0
"""Up to this rank, candidates are what people do."""
FIRSTS = 3
"""Candidates that explain some of the gradients, and are taken together with every other one."""
MOST = 3000
"""Pairs that are read together, the simplest first."""
PROJECTIONS = 3
"""Random directions by which changes are told apart."""


@dataclass
class Search:
    """What explains the answers of a subject, found so far."""

    trials: Sequence[Trial]
    whole: list[Finding] = field(default_factory=list[Finding])
    parts_of: dict[Candidate, frozenset[str]] = field(default_factory=dict[Candidate, frozenset[str]])
    spoils: set[Candidate] = field(default_factory=set[Candidate])
    left: int = BUDGET
    changes: list[tuple[Candidate, Array]] = field(default_factory=list[tuple[Candidate, Array]])
    ratios: list[tuple[Candidate, float]] = field(default_factory=list[tuple[Candidate, float]])
    factors: list[tuple[Candidate, float]] = field(default_factory=list[tuple[Candidate, float]])

    def __post_init__(self) -> None:
        """The trial that shows most is searched."""
        self.trials = sorted(self.trials, key=lambda one: -len(one.wrong))  # stable: of equal ones, the first
        self.first = self.trials[0]
        self.names = tuple(self.first.right)
        self.wrong = tuple(name for name in self.names if any(name in one.wrong for one in self.trials))
        rng = np.random.default_rng(1)
        self._scales = {name: _scale(self.first, name) for name in self.wrong}
        self._weights = {
            name: rng.standard_normal((self.first.right[name].size, PROJECTIONS)) / self._scales[name]
            for name in self.wrong
        }

    def run(self, candidates: Iterable[Candidate]) -> bool:
        """Ask every one; whether one explains everything and changes nothing that is right."""
        for one in candidates:
            self._take(one)
        return any(not one.elsewhere for one in self.whole)

    def best(self) -> Finding:
        """The simplest candidate that explains everything; of a path, the last step that has a name of its own."""
        best = min(self.whole, key=_cost)
        chain = [one for one in self.whole if one.kind == best.kind == "path" and one.is_clear]
        return max(chain, key=lambda one: one.candidate.edits[0].at, default=best)

    def _take(self, c: Candidate) -> None:
        if c.holds is not None:
            if all(map(c.everything, self.trials)):
                self.whole.append(Finding(c, self.wrong))
            return
        self.left -= c.work()
        reached = c.reached()
        found = c.at(self.first) if self.left > 0 and not reached.isdisjoint(self.wrong) else None
        if found is None:
            return
        same = self.first.explained(found)
        useful = same.intersection(self.wrong)
        spoilt = not same.issuperset(set(self.names) - set(self.wrong))
        self._note(c, found, spoilt=spoilt, unexplained=not useful or len(useful) < len(self.wrong))
        if not useful:
            return
        complete = not spoilt
        for other in filter(c.applies, self.trials[1:]):
            explained = c.explained(other)
            useful &= explained
            complete &= len(explained) == len(self.names)
            if not useful:
                return
        if complete and len(useful) == len(self.wrong):
            self.whole.append(Finding(c, self.wrong))
            return
        self.parts_of[c] = useful
        if spoilt:
            self.spoils.add(c)
            if len(useful) == len(self.wrong):
                self.whole.append(Finding(c, self.wrong, alone=True))

    def _note(self, c: Candidate, found: Answer, *, spoilt: bool, unexplained: bool) -> None:
        """What pairs are made of: changes that may add up, factors, and what a factor away is the answer."""
        first = self.first
        factor = common_ratio(first, found, first.right)
        if factor is not None and abs(factor - 1) > first.unit**0.5:
            self.factors.append((c, factor))
        by = common_ratio(first, first.answer, found) if unexplained and c.rank <= PRUNED else None
        if by:
            self.ratios.append((c, by))
        if not spoilt:
            change = self.projected(found)
            if np.isfinite(change).all() and change.any():
                self.changes.append((c, change))

    def projected(self, found: Answer) -> Array:
        """The difference to the right gradients along random directions."""
        return sum(
            (np.ravel(found[name] - self.first.right[name]) @ self._weights[name] for name in self.wrong),
            start=np.zeros(PROJECTIONS),
        )

    def parts(self) -> tuple[Finding, ...]:
        """One candidate for each wrong array, as few as may be; none where arrays are left."""
        chosen, left = list[Finding](), set(self.wrong)
        while left:
            useful = [(c, names & left) for c, names in self.parts_of.items() if names & left]
            if not useful:
                return ()
            c, names = min(useful, key=lambda one: (-len(one[1]), one[0] in self.spoils, _order(one[0])))
            kept = tuple(name for name in self.wrong if name in names)
            chosen.append(Finding(c, kept, alone=c in self.spoils))
            left -= names
        return tuple(chosen)

    def pair(self) -> tuple[Finding, ...]:
        """Two candidates that explain everything together: a factor, a sum, or one after the other."""
        found = self._scaled() or self._sum() or self._series()
        return tuple(Finding(one, self.wrong) for one in found or ())

    def _confirmed(self, a: Candidate, b: Candidate) -> bool:
        both = a.then(b)
        return both is not None and all(map(both.everything, self.trials))

    def _scaled(self) -> tuple[Candidate, Candidate] | None:
        by, values = (np.array([number for _, number in found]) for found in (self.ratios, self.factors))
        order, close = np.argsort(by), self.first.unit**0.5 * abs(values)
        low, high = (np.searchsorted(by[order], values + side * close) for side in (-1, 1))
        found = [
            (i, j) for j in np.flatnonzero(high > low).tolist() for i in order[low[j] : high[j]].tolist()
        ]
        near = [(self.ratios[i][0], self.factors[j][0]) for i, j in sorted(found)]
        pairs = [(factor, one) for one, factor in near if one is not factor]
        pairs.sort(key=lambda pair: pair[0].rank + pair[1].rank)
        return next((pair for pair in pairs[:MOST] if self._confirmed(*pair)), None)

    def _distinct(self) -> list[tuple[Candidate, Array]]:
        kept = dict[tuple[int, ...], tuple[Candidate, Array]]()
        for c, change in sorted(self.changes, key=lambda one: _order(one[0])):
            scale = np.abs(change).max()
            digits = np.round(np.concatenate([change / scale, [np.log(scale)]]) * 1e7)
            kept.setdefault(tuple(digits.astype(np.int64).tolist()), (c, change))
        return list(kept.values())

    def _sum(self) -> tuple[Candidate, Candidate] | None:
        kept, goal = self._distinct(), self.projected(self.first.answer)
        if not kept:
            return None
        seen = np.stack([change for _, change in kept])  # (candidates, PROJECTIONS)
        order = np.argsort(seen[:, 0])
        reach = sum(
            self.first.reach(name, self.first.answer[name]) * np.abs(weights[:, 0]).sum()
            for name, weights in self._weights.items()
        )
        close = reach + self.first.unit**0.5 * (np.abs(seen[:, 0]) + abs(goal[0]))
        low = np.searchsorted(seen[order, 0], goal[0] - seen[:, 0] - close, "left")
        high = np.searchsorted(seen[order, 0], goal[0] - seen[:, 0] + close, "right")
        found = [
            (kept[a][0], kept[b][0])
            for a in np.flatnonzero(high > low).tolist()
            for b in order[low[a] : high[a]].tolist()
            if a < b
        ]
        found.sort(key=lambda pair: pair[0].rank + pair[1].rank)
        return next((pair for pair in found[:MOST] if self._confirmed(*pair)), None)

    def _series(self) -> tuple[Candidate, Candidate] | None:
        """Two of which one works on what the other gives: those that people make most, in turn."""
        kept = [c for c, _ in self._distinct()]
        usual = [c for c in kept if c.rank <= PRUNED]
        parts = [c for c in self.parts_of if c not in self.spoils]
        firsts = sorted(parts, key=lambda c: (-len(self.parts_of[c]), _order(c)))[:FIRSTS]
        possible = (pair for pair in chain(product(firsts, kept), _simplest_pairs(usual)) if self._may(*pair))
        return next((pair for pair in _some(possible, MOST) if self._confirmed(*pair)), None)

    def _may(self, a: Candidate, b: Candidate) -> bool:
        """Whether what one of two alone may change is explained by it."""
        for one, other in ((a, b), (b, a)):
            alone = (one.reached() - other.reached()).intersection(self.wrong)
            if alone and not alone <= self.parts_of.get(one, frozenset()):
                return False
        neither = set(self.wrong) - a.reached() - b.reached()
        return not neither


def _simplest_pairs(candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, Candidate]]:
    """Each two of them, those of the lowest ranks first."""
    ranks = np.array([one.rank for one in candidates])
    first, second = np.triu_indices(len(candidates), 1)
    order = np.argsort(ranks[first] + ranks[second], kind="stable")
    for a, b in zip(first[order].tolist(), second[order].tolist(), strict=True):
        yield candidates[a], candidates[b]


def _some(pairs: Iterable[Any], most: int) -> Iterator[Any]:
    for number, pair in enumerate(pairs):
        if number == most:
            return
        yield pair


def _scale(trial: Trial, name: str) -> float:
    """How large the numbers of an array are."""
    largest = max(np.abs(trial.right[name]).max(initial=0), np.abs(trial.answer[name]).max(initial=0))
    return float(largest) or 1.0


def _order(c: Candidate) -> tuple[float, ...]:
    at = c.edits[0].at if c.edits else ()
    return c.rank, len(at), *(-place for place in at)


def _cost(found: Finding) -> tuple[float, ...]:
    return float(found.elsewhere), *_order(found.candidate)


def explain(problem: Problem, trials: Sequence[Trial]) -> Explanation:
    """What explains the answers of a subject on these trials, of which one at least is wrong."""
    with np.errstate(all="ignore"):  # wrong numbers may be of any size
        search = Search(trials)
        return (
            _asked(search, problem.first(search))
            or _several(search, search.parts() or search.pair())
            or _asked(search, problem.last(search))
            or _several(search, search.parts())
            or located(problem.forms, search.trials, search.wrong)
        )


def _asked(search: Search, batches: Iterable[Iterable[Candidate]]) -> Explanation | None:
    """The one candidate that explains everything, where there is any."""
    for batch in batches:
        if search.run(batch):
            break
    return _one(search)


def _several(search: Search, parts: tuple[Finding, ...]) -> Explanation | None:
    if not parts:
        return None
    first, *others = parts
    both = (
        first.candidate.then(others[0].candidate)
        if others and first.gradients == others[0].gradients
        else None
    )
    return Explanation("several" if others else "named", search.wrong, parts, both=both)


def _one(search: Search) -> Explanation | None:
    if not search.whole:
        return None
    best = search.best()
    same = (name for one in search.whole if one.elsewhere == best.elsewhere for name in one.candidate.names)
    others = tuple(dict.fromkeys(name for name in same if name not in best.candidate.names))
    verdict = "other operation" if best.kind == "other" else "named"
    return Explanation(verdict, search.wrong, (best,), same=others)


# --- places without a name -----------------------------------------------------------------------------------

LARGEST = 100
"""Numbers of a step that is asked whether it can be the one."""


def located(forms: Sequence[Form], trials: Sequence[Trial], wrong: tuple[str, ...]) -> Explanation:
    """The last step of the way back whose value alone could make the wrong gradients, and by what other value."""
    for form in forms:
        flow = form.passage.flow
        for i in sorted(flow.matters, reverse=True):
            if flow.backward(i) and _is_place(form, [*filter(form.applies, trials)], i):
                edit = Edit((i,), "path", _put(None), "{0}", flow.steps[i].outputs)
                text = f"the value of {form.passage.say(edit)} is not as it should be; all steps after it are right"
                cure, where = "Compare this value with your own.", form.passage.where(edit)
                place = Candidate(text, kind="located", cure=cure, where=where)
                return Explanation("located", wrong, (Finding(place, wrong),))
    return Explanation("none known", wrong)


def _put(value: Array | None) -> Callable[..., Any]:
    """The rule of an edit that puts this value in the place of a step's."""

    def rule(*_: Any) -> Any:
        return value

    return rule


class Room(NamedTuple):
    """Whether another value of a step could make the errors of every gradient, or of some one.

    `rank` counts the dimensions of what it can make, `seen` the numbers of the gradients that depend on it.
    """

    every: bool
    some: bool
    rank: int
    seen: int


def _is_place(form: Form, trials: Sequence[Trial], i: int) -> bool:
    """Whether fewer numbers of a step explain more wrong ones: on two trials, and on no other it can't."""
    rooms = list[Room]()
    for one in trials:
        found = room(form, one, i)
        if found is None or not found.every:
            return False
        rooms.append(found)
    return sum(one.rank + 1 < one.seen for one in rooms) >= min(2, len(trials))


def room(form: Form, trial: Trial, i: int) -> Room | None:
    """What another value of step i could make; None where the step has several outputs, or too many numbers."""
    reading = form.reading(trial)
    if reading is None or len(reading.steps[i].outputs) > 1:
        return None
    right = np.asarray(reading.values[reading.steps[i].outputs[0]])
    if not 0 < right.size <= LARGEST:
        return None
    columns, base = list[Mapping[str, Array]](), dict(zip(form.names, reading.gradients, strict=True))
    for entry in range(right.size):
        moved = right.copy()
        moved.flat[entry] += 1
        found = reading.read(Edit((i,), "path", _put(moved), "{0}"))
        if found is None:
            return None
        table = dict(zip(form.names, found, strict=True))
        columns.append({name: (one - base[name]).ravel() for name, one in table.items()})
    errors = {name: (trial.answer[name] - one).ravel() for name, one in trial.right.items()}
    blocks = {name: np.stack([one[name] for one in columns], axis=1) for name in errors}
    jacobian, error = np.concatenate([*blocks.values()]), np.concatenate([*errors.values()])
    every, rank = _spans(jacobian, error, trial.unit)
    some = every or any(_spans(blocks[name], errors[name], trial.unit)[0] for name in trial.wrong)
    return Room(every, some, rank, int(np.count_nonzero(np.abs(jacobian).max(axis=1) > 0)))


def _spans(jacobian: Array, error: Array, unit: float) -> tuple[bool, int]:
    """Whether an error is what a matrix makes of something, and its rank."""
    small = sketch(np.column_stack([jacobian, error]))
    if not np.isfinite(small).all():
        return False, 0
    found, _, rank, _ = np.linalg.lstsq(small[:, :-1], small[:, -1], rcond=unit**0.5)
    rest = np.abs(jacobian @ found - error).max(initial=0)
    return bool(rest <= 10 * unit**0.5 * np.abs(error).max(initial=0)), int(rank)
