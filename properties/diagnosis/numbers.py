"""The number in a mistake: an ε, a limit, another constant, read off the first answer.

A gradient g(x) depends on a number x that it has been made with. The x with g(x) = answer is looked for by Gauss-Newton
in one unknown, whose slope is a secant: x ← x + ⟨g', answer − g⟩ / ⟨g', g'⟩. Where the family is not the right one, the
residual stops falling after two readings. What is told is the shortest number that explains the answers.

An ε moves a gradient by little, so that more is asked than of other mistakes: not half of the digits of the gradient,
but half of those of its error.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt

import numpy as np

from properties.diagnosis import cures
from properties.diagnosis.search import Candidate, Form, Search, of_edit
from properties.diagnosis.trials import Answer, Array, Trial, shorter
from reference.mutations import Edit
from reference.mutations.numbers import Family, Limit, families, limits

FALLING = 0.75
"""Each reading leaves less of the residual than that, or it is the last: Newton's iteration for 1/(v + x) halves it."""
EVIDENCE = 3
"""So many entries are wrong at least: one of them is what the number is read from."""


def numbers(form: Form, search: Search, possible: Callable[[Edit], bool]) -> Iterator[Candidate]:
    """Programs with one number more, or another one, that explain the first answer, or a part of it.

    Only those whose step can make the error are read, as far as that is known.
    """
    reading, trials = form.reading(search.first), filter(form.applies, search.trials)
    if reading is None or sum(sum(one.wrong.values()) for one in trials) < EVIDENCE:
        return
    for family in families(reading):
        if not possible(family.make(family.starts[0][1])):
            continue
        make = partial(_edited, form, family)
        yield from Fit(form, search, make, family.starts, family.right, family.between).found()
    for name, array in form.inputs(search.first).items():
        for text, limit, starts, between in limits(array) if name in form.passage.gradients else ():
            make = partial(_of_input, form, name, text, limit)
            yield from Fit(form, search, make, starts, None, between).found()


def _edited(form: Form, family: Family, x: float) -> Candidate:
    return of_edit(form, family.make(x))


def _of_input(form: Form, name: str, text: str, limit: Limit, x: float) -> Candidate:
    """The program at an input that is kept from being too large, or too small."""

    def change(inputs: dict[str, Array]) -> None:
        inputs[name] = limit(inputs[name], x)

    said = text.replace("{x}", f"{x:.6g}").replace("{0}", name)
    return Candidate(said, form, change=change, rank=2.7, kind="clip", cure=cures.OF_AN_EDIT["clip"])


@dataclass
class Fit:
    """The search for the number of one family of candidates.

    Attributes:
        form: what tells which trials say anything.
        search: whose first answer is read.
        make: the candidate with a number.
        starts: pairs of numbers, near to each other, from which it is looked for.
        right: the number with which the program is right, where there is one.
        between: the ends between which the number lies.
    """

    form: Form
    search: Search
    make: Callable[[float], Candidate]
    starts: Sequence[tuple[float, float]]
    right: float | None = None
    between: tuple[float, float] = (-np.inf, np.inf)

    def __post_init__(self) -> None:
        """What it may change, and the answer there."""
        sample, first = self.make(self.starts[0][1]), self.search.first
        self.names = [name for name in self.search.wrong if name in sample.reached()]
        self.work, self.answer = sample.work(), {name: first.answer[name] for name in self.names}
        self.scales = {name: float(abs(one).max(initial=0)) or 1.0 for name, one in self.answer.items()}

    def found(self) -> Iterator[Candidate]:
        """The program with the number, where there is one."""
        if not self.names or not all(np.isfinite(one).all() for one in self.answer.values()):
            return
        for start in self.starts:
            x = _solved(self.at, self.flat(self.answer), *start)
            if x is not None and self.between[0] < x < self.between[1] and self.explains(x):
                yield self.make(next((one for one in shorter(x) if self.explains(one)), x))
                return

    def at(self, x: float) -> Array | None:
        """The gradients with a number, each by the size of the answer; None where the search is over."""
        if x == self.right:
            return self.flat(self.search.first.right)
        self.search.left -= self.work
        found = self.make(x).at(self.search.first) if self.search.left > 0 else None
        return None if found is None else self.flat(found)

    def flat(self, found: Answer) -> Array:
        """Of those that may be changed, all entries."""
        return np.concatenate([np.ravel(found[name]) / self.scales[name] for name in self.names])

    def explains(self, x: float) -> bool:
        """Whether a number explains the errors on all trials."""
        one, trials = self.make(x), [*filter(self.form.applies, self.search.trials)]
        self.search.left -= self.work * len(trials)
        return all(_errors_explained(one, trial, self.names) for trial in trials)


def _errors_explained(one: Candidate, trial: Trial, names: Sequence[str]) -> bool:
    """Whether a candidate predicts the wrong arrays among these, to half of the digits that their errors have."""
    found = one.at(trial)
    return found is not None and all(
        float(abs(trial.answer[name] - found[name]).max()) <= _half_of_the_digits(trial, name)
        for name in names
        if name in trial.wrong
    )


def _half_of_the_digits(trial: Trial, name: str) -> float:
    answer, right = trial.answer[name], trial.right[name]
    size = max(float(abs(answer).max()), float(abs(right).max()))
    return sqrt(trial.unit * size * float(abs(answer - right).max()))


def _solved(at: Callable[[float], Array | None], goal: Array, x: float, near: float) -> float | None:
    """The number at which a function of it is nearest to a goal, as far as its residual falls."""
    now, then = at(near), at(x)
    if now is None or then is None:
        return None
    x, before = near, x
    while True:
        slope = (now - then) / (x - before) if x != before else np.zeros(1)
        size = float(slope @ slope)
        to = x + float(slope @ (goal - now)) / size if 0 < size < np.inf else x
        found = at(to) if to != x else None
        if found is None or not np.linalg.norm(goal - found) < FALLING * np.linalg.norm(goal - now):
            return x
        x, before, now, then = to, x, found, now
