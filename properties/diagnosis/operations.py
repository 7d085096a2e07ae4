"""Which step of an operation's hand-written backward pass is wrong.

The subject answers on a few cases that are made to tell things apart: real numbers, sizes all different, another
seed, other sizes. Asked are the edits (`reference.mutations`) of the reference's program, then of its other
formulations; the way back is linear, so a factor at a step is fitted, and read afterwards: −1, 2, 1/n. Then the right
derivative of another operation, or of the same one with another option; and at the end a census of what the numbers
show, which needs no program.

Two numbers are taken for the same where they agree to half of their digits: a program is accurate to more than that
on such cases, and of two that differ, 1 in 2^26 pairs agree so far by chance, each entry and each case again.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain, combinations, product
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from properties.diagnosis import cures
from properties.diagnosis.numbers import Fit, numbers
from properties.diagnosis.search import (
    BUDGET,
    PRUNED,
    Candidate,
    Change,
    Explanation,
    Finding,
    Form,
    Room,
    Search,
    explain,
    of_edit,
    of_edits,
    room,
)
from properties.diagnosis.trials import (
    NUMBERS,
    UNIT,
    Answer,
    Array,
    Trial,
    factors,
    named_factor,
    of_state,
    ratio,
    value_of,
)
from properties.generic_cases import Case
from properties.search import Inconclusive
from reference.mutations import Edit, Passage, Reading, changes_nothing, dead_ends, edits
from reference.mutations.numbers import SMALL
from reference.operations import OPERATIONS
from reference.operations.operation import Operation

Subject = Callable[
    [Mapping[str, Array], Mapping[str, Any], Sequence[Array], Mapping[str, int]], Mapping[str, Any]
]
"""Takes inputs by name, options, one cotangent for each differentiable output, and sizes; gradients by input's name."""


@dataclass(frozen=True)
class Asked(Trial):
    """A case of an operation, and the subject's answer."""

    truth: Answer = field(default_factory=dict[str, Array], kw_only=True)
    rounding: float = field(default=UNIT, kw_only=True)

    @cached_property
    def right(self) -> Answer:
        """As given."""
        return self.truth

    @property
    def unit(self) -> float:
        """As given."""
        return self.rounding

    @cached_property
    def error(self) -> Answer:
        """Half of the digits, of an array's largest entry."""
        return {
            name: np.full(
                np.shape(one),
                sqrt(self.unit) * max(np.abs(one).max(initial=0), np.abs(self.answer[name]).max(initial=0)),
            )
            for name, one in self.truth.items()
        }

    @property
    def numbers(self) -> Mapping[str, float]:
        """Of axes, and of options that are numbers."""
        options = self.case.options.items()
        return {**self.case.sizes, **{name: float(one) for name, one in options if type(one) in {int, float}}}


class OperationForm:
    """One formulation of an operation: at other options and sizes as well, where these make the same program."""

    def __init__(self, passage: Passage) -> None:
        """The backward pass of an operation."""
        self.passage, self.names = passage, tuple(f"d{name}" for name in passage.gradients)
        self._readings = dict[int, tuple[Trial, Reading | None]]()

    def reading(self, trial: Trial, change: Change | None = None) -> Reading | None:
        """The program's values at a case, or at changed inputs; None where other options make another program."""
        if change is not None:
            changed = dict(trial.case.inputs)
            change(changed)
            return self._read(replace(trial.case, inputs=changed))
        if id(trial) not in self._readings:
            self._readings[id(trial)] = trial, self._read(trial.case)
        return self._readings[id(trial)][1]

    def applies(self, trial: Trial) -> bool:
        """Whether the trial's options make the same program."""
        return self.reading(trial) is not None

    def inputs(self, trial: Trial) -> Mapping[str, Array]:
        """Of the case."""
        return trial.case.inputs

    def call_numbers(self, trials: Sequence[Asked]) -> None:
        """Call numbers of the program by the sizes that they are, by what they are at other sizes.

        One that has no such name, or may be a size at which there is no other program, is the number in a line.
        """
        if not self.passage.is_of_sizes:
            return
        seen = [(one, found.passage) for one in trials if (found := self.reading(one))]
        first, kept = seen[0][0], dict[str, int]()
        for axis, size in first.case.sizes.items():
            if all(one.case.sizes[axis] == size for one, _ in seen):
                moved = replace(first.case, sizes={**first.case.sizes, axis: size + 1})
                if (found := self._elsewhere(moved)) is None:
                    kept[axis] = size
                else:
                    seen.append((replace(first, case=moved), found))
        every = [one for one, _ in seen]
        maybe = {value for said, (value, _) in factors(kept).items() if said not in NUMBERS}
        for slot in self.passage.numbers:
            constants = [np.asarray(found.program.constants[slot]) for _, found in seen]
            if any(one.size != 1 for one in constants):
                continue
            values = [float(one.item()) for one in constants]
            called = named_factor(values, every) if min(values) < max(values) else None
            if called or min(values) < max(values) or values[0] in maybe:
                self.passage.call({slot: called[0] if called else self.passage.number_in(slot)})

    def _elsewhere(self, case: Case) -> Passage | None:
        """The same program at other sizes, where there is any."""
        try:
            return self.passage.with_options(case.options, case.sizes)
        except (Inconclusive, ValueError, TypeError, ArithmeticError, LookupError):
            return None

    def _read(self, case: Case) -> Reading | None:
        own = self.passage
        if not own.fits(case.options, case.sizes):
            other = own.with_options(case.options, case.sizes)
            if other is None:
                return None
            own = other
        return Reading(own, case.sizes, [*case.inputs.values(), *case.cotangents])


class OtherForm(OperationForm):
    """Another operation with inputs of the same axes, or the same with other options."""

    def __init__(self, other: Operation, options: Mapping[str, Any], like: Operation, case: Case) -> None:
        """Its gradients get the names of those of the operation that it stands for."""
        super().__init__(Passage(other, options, case.sizes))
        names = tuple(like.inputs)
        self.names = tuple(f"d{names[place]}" for place in other.differentiable)
        self._operation, self._options = other, options

    def applies(self, trial: Trial) -> bool:
        """It has to explain every trial."""
        del trial
        return True

    def _read(self, case: Case) -> Reading | None:
        values = [*case.inputs.values(), *case.cotangents]
        if not self._operation.possible(case.sizes, self._options):
            return None
        passage = Passage(self._operation, self._options, case.sizes)
        return Reading(passage, case.sizes, values) if len(values) == len(passage.program.inputs) else None


# --- factors that are read off -------------------------------------------------------------------------------

_SAID: Mapping[str, str] = {
    "0": "the path through {via0} is left out",
    "−1": "{0} has the wrong sign",
    "2": "{0} is doubled",
    "½": "{0} is halved",
}


def _factor_edit(at: tuple[int, ...], k: int, slot: int, said: str, rank: float) -> Edit:
    """An edit that multiplies output k of a step by a factor with this name."""

    def rule(c: Any, *_: Any) -> Any:
        options = {name: float(one) for name, one in c.options.items() if type(one) in {int, float}}
        factor = value_of(said, {**c.sizes, **options})
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


def factors_at_steps(form: Form, search: Search) -> Iterator[Edit]:
    """Edits that multiply a step of the way back by a factor, which is fitted on the trials and named."""
    flow = form.passage.flow
    for i in sorted(flow.matters):
        if flow.backward(i):
            for k, slot in enumerate(flow.steps[i].outputs):
                if slot in flow.uses or slot in flow.ends:
                    yield from _at_step(form, search, i, k, slot)


def _at_step(form: Form, search: Search, i: int, k: int, slot: int) -> Iterator[Edit]:
    double = _factor_edit((i,), k, slot, "2", 1)
    trials = [*filter(form.applies, search.trials)]
    table = [_fitted(form, search.first, double)]
    if table[0]:
        table += [_fitted(form, one, double) for one in trials[1:]]
    told = dict[str, float]()
    for name in table[0]:
        if all(name in one for one in table):
            values = [one[name] for one in table]
            called = named_factor(values, trials)
            if called and abs(values[0] - 1) > sqrt(search.first.unit):
                told.setdefault(*called)
    _usual(form, search, double)
    yield from (_factor_edit((i,), k, slot, said, rank) for said, rank in told.items())


def _usual(form: Form, search: Search, double: Edit) -> None:
    """What usual factors at a step change, for pairs: by linearity, multiples of one change."""
    trial, found = search.first, of_edit(form, double).at(search.first)
    if found is not None:
        sizes = [name for name, one in trial.numbers.items() if isinstance(one, int)]
        for said in (*_SAID, *sizes, *(f"1/{name}" for name in sizes)):
            times = value_of(said, trial.numbers) - 1
            edit = _factor_edit(double.at, 0, double.slots[0], said, 1.3)
            if len(form.passage.flow.steps[double.at[0]].outputs) == 1:
                search.changes.append((of_edit(form, edit), times * search.projected(found)))


def _fitted(form: Form, trial: Trial, double: Edit) -> dict[str, float]:
    """The factor at a step with which each gradient is the subject's."""
    reading, found = form.reading(trial), dict[str, float]()
    twice = reading.read(double) if reading else None
    if reading is None or twice is None:
        return {}
    for name, now, then in zip(form.names, reading.gradients, twice, strict=True):
        change, error = (then - now).ravel(), (trial.answer[name] - now).ravel()
        size = float(change @ change)
        if size > 0:
            by = float(change @ error) / size
            if trial.agree(name, trial.answer[name], now + by * (then - now)):
                found[name] = 1 + by
    return found


def grammar(form: Form, search: Search) -> Iterator[Iterator[Candidate]]:
    """Factors and all edits, the simplest first; of the rarer ones those whose step can make the error."""
    reading = form.reading(search.first)
    if reading is None:
        return
    every = sorted(edits(reading), key=lambda edit: edit.rank)
    rooms = dict[int, Room | None]()

    def possible(edit: Edit) -> bool:
        """As far as that is known of steps of the way back."""
        first = edit.only[0] if len(edit.only) == 1 else edit.at[0]
        if edit.also or len(edit.only) > 1 or not form.passage.flow.backward(first):
            return True
        if first not in rooms:
            rooms[first] = room(form, search.first, first)
        found = rooms[first]
        return found is None or found.some

    low, usual, factors = -np.inf, list(usual_factors(form)), list(factors_at_steps(form, search))
    fitted, plain = (
        [one for one in factors if (one.rank > PRUNED) is is_plain] for is_plain in (False, True)
    )
    for level in LEVELS:
        here = [edit for edit in every if low < edit.rank <= level]
        yield (of_edit(form, edit) for edit in [*fitted, *here] if level <= PRUNED or possible(edit))
        if level <= PRUNED:
            left, search.left = search.left, BUDGET  # they are few, whatever those in one turn have cost
            yield (of_edits(form, some) for some in form.passage.in_every_turn([*usual, *here]))
            if level == PRUNED:
                search.left = BUDGET
                yield chain(numbers(form, search, possible), (of_edit(form, edit) for edit in plain))
            search.left = left
        low, fitted, usual = level, [], []


def usual_factors(form: Form) -> Iterator[Edit]:
    """Edits that multiply a step of the way back by what people forget most: for the turns of a loop."""
    flow = form.passage.flow
    for i in sorted(flow.matters):
        if flow.backward(i) and len(flow.steps[i].outputs) == 1:
            # a sign of one of two equal terms takes both away: that a path is left out says it better
            yield from (_factor_edit((i,), 0, flow.steps[i].outputs[0], said, 1.05) for said in _SAID)


LEVELS = (1.1, 2.0, 3.0, 9.0)
"""Edits up to these ranks are read in turn, until one explains everything."""


EXCHANGED = "each of them is returned in the place of the other"
"""Said of two gradients."""


@dataclass
class _Problem:
    """What may be wrong with a backward pass of an operation."""

    operation: Operation
    case: Case
    forms: Sequence[OperationForm]

    def first(self, search: Search) -> Iterator[Iterable[Candidate]]:
        """Gradients in another order; factors and edits, form after form; then other operations."""
        yield self._exchanged()
        for form in self.forms:
            if form.applies(search.first):
                search.left = BUDGET
                yield from grammar(form, search)
        search.left = BUDGET
        yield self._others()
        yield self._other_numbers(search)

    def last(self, search: Search) -> Iterator[Iterable[Candidate]]:
        """A mask that is not the one that was given."""
        del search
        yield self._other_masks()

    def _exchanged(self) -> Iterator[Candidate]:
        """Two gradients of the same shape, each in the place of the other."""
        form, cure = self.forms[0], cures.OF_AN_EDIT["exchange"]
        for one, other in combinations(form.names, 2):
            after = partial(_with_two_exchanged, one, other)
            yield Candidate(EXCHANGED, form, after=after, rank=1, cure=cure, kind="exchange")

    def _other_masks(self) -> Iterator[Candidate]:
        """Every entry is what it is where the mask is 1, or where it is 0, and not by the mask that was given."""
        for name in (name for name, one in self.operation.inputs.items() if one.values == "mask"):
            ends = [Candidate("", self.forms[0], change=partial(_filled, name, end)) for end in (0, 1)]
            text = f"another mask stands in the place of {name}"
            cure = "Keep the mask of the forward pass, and let through on the way back what it let through."
            yield Candidate(text, kind="condition", cure=cure, holds=partial(_between, ends))

    def _other_numbers(self, search: Search) -> Iterator[Candidate]:
        """Another number in the place of an option, wherever it stands."""
        for name, value in self.case.options.items():
            if isinstance(value, float):
                start = value, value + SMALL * max(1.0, abs(value))
                yield from Fit(self.forms[0], search, partial(self._with, name), [start], value).found()

    def _with(self, name: str, x: float) -> Candidate:
        form = OtherForm(self.operation, {**self.case.options, name: x}, self.operation, self.case)
        text, cure = f"{x:.6g} stands in the place of {name}", cures.OF_AN_EDIT["constant"]
        return Candidate(text, form, rank=2.4, kind="constant", cure=cure)

    def _others(self) -> Iterator[Candidate]:
        mine, axes = self.operation, [one.axes for one in self.operation.inputs.values()]
        for other in (mine, *OPERATIONS.values()):
            if [one.axes for one in other.inputs.values()] != axes or other.concrete != mine.concrete:
                continue
            if len(other.differentiable) < len(mine.differentiable) or (
                other is not mine and other.name == mine.name
            ):
                continue
            for row in list(product(*other.options.values()))[:8]:
                options = dict(zip(other.options, row, strict=True))
                if (other is mine and options == dict(self.case.options)) or not other.possible(
                    self.case.sizes, options
                ):
                    continue
                chosen = ", ".join(f"{name}={value!r}" for name, value in options.items())
                said = f"the gradient is that of {other.name}" + (f" with {chosen}" if chosen else "")
                form = OtherForm(other, options, mine, self.case)
                yield Candidate(said, form, cure=f"Differentiate {mine.name}.")


def _with_two_exchanged(one: str, other: str, _: Any, gradients: dict[str, Array]) -> dict[str, Array]:
    return {**gradients, one: gradients[other], other: gradients[one]}


def _filled(name: str, end: float, inputs: dict[str, Array]) -> None:
    inputs[name] = np.full_like(inputs[name], end)


def _between(ends: Sequence[Candidate], trial: Trial) -> bool:
    """Whether each entry of an answer is that of one of these candidates."""
    found = [one.at(trial) for one in ends]
    return all(
        np.logical_or.reduce(
            [abs(given - one[name]) <= trial.reach(name, one[name]) for one in found if one]
        ).all()
        for name, given in trial.answer.items()
    )


def _together(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """What is the same of several gradients is said once: the same sentence, or one that each has of itself."""
    groups = dict[str, list[Finding]]()
    for one in found:
        text = one.candidate.edits[0].text if one.candidate.edits else ""
        of_itself = text.replace("{0}", one.gradients[0]) == one.sentence
        groups.setdefault(text if of_itself else one.sentence, []).append(one)
    told = list[Finding]()
    for text, some in groups.items():
        names = tuple(dict.fromkeys(name for one in some for name in one.gradients))
        several = text.replace("{0}", "each of them")
        said = (
            replace(some[0].candidate, text=several) if len(some) > 1 and text != some[0].sentence else None
        )
        told.append(replace(some[0], candidate=said or some[0].candidate, gradients=names))
    return tuple(told)


# --- no program ----------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """What the numbers of a gradient show, and what to do."""

    sentence: str
    cure: str


def census(
    cases: Sequence[Case],
    right: Callable[[Case], Answer],
    answers: Sequence[Answer],
    *,
    wrong: Collection[str] | None = None,
    unit: float = UNIT,
) -> tuple[Seen, ...]:
    """What wrong gradients show without a program, where it is so on all cases.

    Args:
        cases: at least two.
        right: the right gradients of a case, by name, such as from `reference.slopes`.
        answers: the subject's, one for each case.
        wrong: the gradients that are, where that is known better than by half of their digits.
        unit: what the numbers are rounded by; their agreement is asked to half of their digits.
    """
    trials = [
        Asked(one, answer, truth=right(one), rounding=unit)
        for one, answer in zip(cases, answers, strict=True)
    ]
    names = [name for name in trials[0].right if wrong is None or name in wrong]
    every = ((name, [one for one in trials if name in one.wrong]) for name in names)
    return tuple(filter(None, (_seen(name, some, right) for name, some in every if some)))


def _seen(name: str, trials: Sequence[Asked], right: Callable[[Case], Answer]) -> Seen | None:
    numbers = [ratio(one, name, one.answer[name], one.right[name]) for one in trials]
    known = [one for one in numbers if one is not None]
    called = named_factor(known, trials) if len(known) == len(numbers) else None
    if called and called[0] == "0":
        return Seen(f"d{name} is 0", f"Compute d{name}: every input that has a gradient needs one.")
    shows = any(abs(one - 1) > sqrt(trials[0].unit) for one in known)  # else it is off by less than is seen
    if called and shows:
        return Seen(f"d{name} is {called[0]} times the right one", cures.OF_AN_EDIT["factor"])
    return next(
        (
            seen
            for seen, make in _candidates(name, trials[0], right)
            if all(
                one.answer[name].shape == make(one).shape and one.is_explained(name, make(one))
                for one in trials
            )
        ),
        None,
    )


def _candidates(
    name: str, first: Asked, right: Callable[[Case], Answer]
) -> Iterator[tuple[Seen, Callable[[Asked], Array]]]:
    """What a gradient may be, in words, and its value at a case."""
    seen = Seen(
        f"d{name} is the transpose of the right one", "Look at the order of the factors in the product."
    )
    yield seen, lambda t: t.right[name].T
    seen = Seen(
        f"d{name} has the entries of the right one in another order", "Look for a reshape or a transpose."
    )
    yield seen, lambda t: t.right[name].reshape(t.right[name].shape[::-1]).T
    every = "Every path begins with the cotangent: multiply by it."
    seen = Seen(f"d{name} is right for a cotangent of ones: the cotangent is ignored", every)
    yield seen, partial(_with, right, name, np.ones_like)
    for other in first.right:
        seen = Seen(
            f"d{name} is what d{other} should be", "Look at the order in which the gradients are returned."
        )
        yield seen, lambda t, other=other: t.right[other]
    for axis in range(max(dy.ndim for dy in first.case.cotangents)):
        text = f"d{name} is right for the mean of the cotangent over axis {axis}: it is averaged first"
        seen = Seen(text, "Multiply by the cotangent of each entry, and sum or average afterwards.")
        yield seen, partial(_with, right, name, partial(_averaged, axis))
    for place, dy in enumerate(first.case.cotangents):
        ends = (("first", slice(0, 1)), ("last", slice(-1, None)))
        for axis, (said, keep) in product(range(dy.ndim), ends):
            text = f"d{name} comes from the {said} entries of the cotangent's axis {axis} alone: outputs are dropped"
            seen = Seen(text, "Every output adds to the gradient: sum over all of them.")
            yield seen, partial(_of_some, right, name, place, axis, keep)


def _with(right: Callable[[Case], Answer], name: str, of: Callable[[Array], Array], trial: Trial) -> Array:
    """The right gradient of a case with other cotangents."""
    return right(replace(trial.case, cotangents=tuple(map(of, trial.case.cotangents))))[name]


def _averaged(axis: int, dy: Array) -> Array:
    return dy.mean(axis=axis, keepdims=True) + 0 * dy if axis < dy.ndim else dy


def _of_some(
    right: Callable[[Case], Answer], name: str, place: int, axis: int, keep: slice, trial: Trial
) -> Array:
    """The right gradient of a case whose cotangent is 0 but for some entries of an axis."""
    every = list(trial.case.cotangents)
    where = tuple(keep if a == axis else slice(None) for a in range(every[place].ndim))
    kept = np.zeros_like(every[place])
    kept[where] = every[place][where]
    every[place] = kept
    return right(replace(trial.case, cotangents=tuple(every)))[name]


# --- all together --------------------------------------------------------------------------------------------


def _right(passage: Passage, case: Case) -> Answer:
    """By the names of the inputs."""
    if not passage.fits(case.options, case.sizes):
        passage = Passage(passage.operation, case.options, case.sizes)
    reading = Reading(passage, case.sizes, [*case.inputs.values(), *case.cotangents])
    return dict(zip(passage.gradients, reading.gradients, strict=True))


def _asked(passage: Passage, subject: Subject, case: Case, unit: float, raised: list[str]) -> Asked | None:
    """The subject's answer; None where it has none, which `raised` tells."""
    try:
        found = subject(dict(case.inputs), case.options, case.cotangents, case.sizes)
    except Exception as error:  # noqa: BLE001  (a subject may raise anything)
        raised.append(f"{type(error).__name__}: {error}")
        return None
    try:
        right = {f"d{name}": one for name, one in _right(passage, case).items()}
    except Inconclusive:  # a loop that is too long at these sizes
        return None
    answer = {f"d{name}": np.array(one, float) for name, one in found.items() if one is not None}
    faults = [f"there is no {name}" for name in right if name not in answer]
    faults += [
        f"{name} has the shape {answer[name].shape}, not {one.shape}"
        for name, one in right.items()
        if name in answer and answer[name].shape != one.shape
    ]
    raised += faults
    answer = {name: answer[name] for name in right if name in answer}
    return None if faults else Asked(case, answer, truth=right, rounding=unit)


def _without_dead_ends(form: OperationForm, trials: Sequence[Asked]) -> OperationForm:
    """The form without the paths that are 0 on all trials."""
    first = form.reading(trials[0])
    if first is None or form.passage.hand:
        return form
    others = [found for one in trials[1:] if (found := form.reading(one))]
    dead = [
        edit for edit in dead_ends(first, UNIT) if all(changes_nothing(one, edit, UNIT) for one in others)
    ]
    return OperationForm(form.passage.without(dead, trials[0].case.sizes)) if dead else form


def diagnose(
    operation: Operation, subject: Subject, cases: Sequence[Case], *, unit: float = UNIT
) -> Explanation:
    """Which step of a backward pass is wrong.

    Args:
        operation: what it should be the derivative of.
        subject: the backward pass; called once a case, and three times more on the first.
        cases: such as `generic_cases` gives; all with the same options. The first on which a gradient is wrong is
            searched, the others confirm: without one that has other sizes, "n" and "3" can't be told apart.
        unit: what the subject's numbers are rounded by, relative to them.
    """
    passage, raised = Passage(operation, cases[0].options, cases[0].sizes), list[str]()
    found = (_asked(passage, subject, case, unit, raised) for case in cases)
    trials = sorted((one for one in found if one is not None), key=lambda one: -len(one.wrong))
    remarks = tuple(dict.fromkeys(raised))
    if not trials:
        return Explanation("raises", census=remarks)
    first = trials[0]
    if not first.wrong:
        return Explanation("right", census=remarks)
    wrong = tuple(name for name in first.right if name in first.wrong)
    name, sentence = of_state(lambda: _asked(passage, subject, first.case, unit, raised))
    if sentence:
        cure = (
            "Begin every call with zeros."
            if name
            else "Keep what the forward pass drew, and draw nothing again."
        )
        return Explanation(
            "named", wrong, (Finding(Candidate(sentence, cure=cure, kind="state"), wrong),), remarks
        )
    # At other sizes it may be another program, in which nothing of the first is found.
    of_first = partial(Passage, operation, first.case.options, first.case.sizes)
    forms = [of_first(), *map(of_first, operation.formulations)]
    ways = [_without_dead_ends(OperationForm(one), trials) for one in forms]
    for one in ways:
        one.call_numbers(trials)
    told = explain(_Problem(operation, first.case, ways), trials)
    seen_on = [sum(map(one.candidate.applies, trials)) for one in told.findings]
    told = replace(told, findings=_together(told.findings), census=remarks, cases=min(seen_on, default=0))
    if told.verdict not in {"located", "none known"}:
        return told
    answers = [{name[1:]: array for name, array in one.answer.items()} for one in trials]
    seen = census([one.case for one in trials], partial(_right, passage), answers, unit=unit)
    return replace(told, census=(*(one.sentence for one in seen), *remarks))
