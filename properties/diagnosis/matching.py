"""Which mistakes explain a subject's answers: each array by a hypothesis, and all by as few names as possible.

An account is found on some probes and then held against others. It stands only where it predicts every
array of all of them, the right ones too.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, combinations
from math import prod

import numpy as np

from manual_backprop.mistakes import MISTAKES
from properties.cases import Array
from properties.diagnosis import contributions, fits
from properties.diagnosis.hypotheses import Account, Hypotheses, Hypothesis
from properties.diagnosis.probes import Interview, Probe, ratio

_ORDER: dict[str, float] = {name: place for place, name in enumerate(MISTAKES)}
_ORDER["slope_missing"] = _ORDER["slope_at_wrong_place"] + 0.5
"""Of two names that fit equally, the first is told: of a relu without a slope, that its mask is always true."""


NEAR = 2.0**-6
"""Factors are tried in earnest where their product is that near to the ratio of the first wrong answer."""
MOST_NAMES = 4
"""A factor of −2n·K may be as many mistakes."""


def _place(names: Sequence[str]) -> list[float]:
    """Where names stand in the order in which they are told; what has no name comes after the catalogue."""
    return [_ORDER.get(name, len(_ORDER)) for name in names] or [len(_ORDER)]


@dataclass(frozen=True)
class _Part:
    """What explains one array: a hypothesis, times the factors of others (`factors`), where there are any."""

    names: frozenset[str] = frozenset()
    hypothesis: Hypothesis | None = None
    factors: tuple[Hypothesis, ...] = ()

    @property
    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """All of them."""
        return self.factors if self.hypothesis is None else (self.hypothesis, *self.factors)


class Matcher:
    """The hypotheses with what they predict for the probes."""

    def __init__(self, probes: Sequence[Probe], interview: Interview) -> None:
        """`probes` are those that an account is found on: one wrong answer at least, and no fault."""
        self._interview = interview
        self._probes = probes
        self._known: dict[tuple[int, int], dict[str, Array] | None] = {}
        self._known_factors: dict[tuple[int, int, str], float | None] = {}
        self._kept: list[object] = []  # what is known by its id must not go away
        first = max(probes, key=lambda probe: len(probe.wrong))
        self._first = first
        self._arrays = list(first.right)
        self._wrong = [name for name in self._arrays if any(name in probe.wrong for probe in probes)]
        self._all = Hypotheses(first.case)
        hypotheses = self._all.named(mutates=bool(interview.impurity))
        hypotheses += fits.of(self._all, first, probes)
        hypotheses += [*self._all.of_the_result(first), *self._all.unnamed_arrays()]
        able = [h for h in hypotheses if all(self._predicted(h, probe) for probe in probes)]
        self._hypotheses = [h for h in able if self._departs(h)]
        self._factors = [h for h in self._hypotheses if self._is_factor(h)]

    def others(self) -> Iterator[Account]:
        """The other accounts that hold of the given probes, the simplest first."""
        yield from filter(self._holds, fits.of_differences(self._first, self._all.network.loss))
        fitting = chain(
            self._by_kept_cells(),
            self._by_weights_of_classes(),
            fits.with_penalty(self._scaled(), self._first),
            self._imprecise(),
        )
        yield from (account for account in fitting if self._holds(account))
        yield from self._together(2)
        yield from self._whole(fits.constant(self._all, self._first))
        yield from self._whole(self._all.joined())
        yield from self._whole(self._all.in_several_layers())
        yield from self._whole(chain(self._all.unnamed(), fits.of_numbers(self._all, self._first)))
        for count in range(3, MOST_NAMES + 1):
            yield from self._together(count)
        yield from self._whole(self._all.edits(self._first))
        yield from self._whole(self._mistaken_elsewhere())
        yield from filter(self._holds, fits.with_penalty(self._mistaken(), self._first))

    def _mistaken_elsewhere(self) -> Iterator[Hypothesis]:
        """Mistakes of the catalogue in a problem near to this one, in the order of the names."""
        yield from sorted(self._all.mistaken_in_another_problem(), key=lambda h: _place(h.names[:1]))

    def of_another_problem(self) -> Iterator[Account]:
        """Right gradients, but of a problem that differs in one name: these have no name of their own."""
        yield from self._whole(self._all.of_another_problem())

    def _holds(self, account: Account) -> bool:
        return all(account.holds(probe) for probe in self._probes)

    def _predicted(self, hypothesis: Hypothesis, probe: Probe) -> dict[str, Array] | None:
        key = id(hypothesis), id(probe)
        if key not in self._known:
            self._interview.step()
            self._kept += hypothesis, probe
            with np.errstate(all="ignore"):
                self._known[key] = hypothesis(probe)
        return self._known[key]

    def _departs(self, hypothesis: Hypothesis) -> bool:
        """Whether it is anything but the right gradient, somewhere in an array that is wrong.

        A threshold that nothing reaches, for one, is not: it explains nothing.
        """
        return any(
            not probe.agree(name, (self._predicted(hypothesis, probe) or {})[name], probe.right[name])
            for probe in self._probes
            for name in probe.wrong
        )

    def _is_factor(self, hypothesis: Hypothesis) -> bool:
        return all(
            self._factor(hypothesis, probe, name) is not None
            for probe in self._probes
            for name in self._arrays
        )

    def _factor(self, hypothesis: Hypothesis, probe: Probe, name: str) -> float | None:
        """By which number it multiplies an array, None where it does something else; zeros by any, such as 1."""
        key = id(hypothesis), id(probe), name
        if key not in self._known_factors:
            found = self._predicted(hypothesis, probe)
            if found is None:
                factor = None
            elif not probe.right[name].any() and not found[name].any():
                factor = 1.0
            else:
                factor = ratio(probe, name, found[name], probe.right[name])
            self._known_factors[key] = factor
        return self._known_factors[key]

    def _of_part(self, part: _Part, probe: Probe, name: str) -> Array | None:
        if part.hypothesis is None:
            return probe.right[name]
        found = self._predicted(part.hypothesis, probe)
        factors = [self._factor(h, probe, name) for h in part.factors]
        if found is None or None in factors:
            return None
        return prod(factor for factor in factors if factor is not None) * found[name]

    def _explains(self, part: _Part, probe: Probe, name: str) -> bool:
        if part.hypothesis is None:
            return name not in probe.wrong
        predicted = self._of_part(part, probe, name)
        return predicted is not None and probe.is_explained(name, predicted)

    @cached_property
    def _parts(self) -> dict[str, list[_Part]]:
        """What explains each array on all the given probes, with one factor or none."""
        return {name: self._parts_of(name) for name in self._arrays}

    @cached_property
    def _long_parts(self) -> dict[str, list[_Part]]:
        """The same with as many factors as may be."""
        return {
            name: [*parts, *(self._multiples(name, range(2, MOST_NAMES)) if name in self._wrong else ())]
            for name, parts in self._parts.items()
        }

    def _parts_of(self, name: str) -> list[_Part]:
        self._interview.step()
        candidates = [_Part()] + [_Part(frozenset(h.names), h) for h in self._hypotheses]
        found = [
            part for part in candidates if all(self._explains(part, probe, name) for probe in self._probes)
        ]
        return found + (list(self._multiples(name, range(1, 2))) if name in self._wrong else [])

    def _multiples(self, name: str, counts: Iterable[int]) -> Iterator[_Part]:
        """Hypotheses times so many factors of other names that explain an array."""
        first, factors = self._first, [(h, self._factor(h, self._first, name) or 0.0) for h in self._factors]
        products = [
            (frozenset(h.names[0] for h, _ in some), tuple(h for h, _ in some), prod(by for _, by in some))
            for count in counts
            for some in combinations(factors, count)
        ]
        products = [one for one in products if len(one[0]) == len(one[1])]
        for h in self._hypotheses:
            given = ratio(first, name, first.answer[name], (self._predicted(h, first) or {})[name])
            if not given:
                continue
            for names, others, product in products:
                if abs(product - given) > abs(given) * NEAR or names & set(h.names):
                    continue
                part = _Part(names | set(h.names), h, others)
                if all(self._explains(part, probe, name) for probe in self._probes):
                    yield part

    def single(self) -> Iterator[Account]:
        """One mistake, that which departs from the subject in the fewest arrays first; those without a name last."""
        parts = self._parts
        found: list[Account] = []
        for h in self._hypotheses:
            own = {
                name: [p for p in parts[name] if p.hypothesis is h and not p.factors] for name in self._arrays
            }
            if not all(own[name] for name in self._wrong):
                continue
            elsewhere = [name for name in self._arrays if not own[name]]
            departs = 0 if h.stays else len(elsewhere)
            chosen = {name: (own[name] or [_Part()])[0] for name in self._arrays}
            label = h.label if not elsewhere else _narrowed(h.label, self._wrong)
            cost = -1 if h.first else departs
            found.append(replace(self._account(h.names, label, chosen, cost), cure=h.cure))
        yield from sorted(found, key=lambda account: (account.cost, _place(account.names)))

    def _together(self, count: int) -> Iterator[Account]:
        """Several names, each of which explains its part."""
        parts = self._parts if count == 2 else self._long_parts
        names = {name for fitting in parts.values() for part in fitting for name in part.names}
        found: list[Account] = []
        for some in combinations(sorted(names, key=lambda name: (_place([name]), name)), count):
            chosen: dict[str, _Part] = {}
            for name in self._arrays:
                fitting = [part for part in parts[name] if part.names <= set(some)]
                if not fitting:
                    break
                chosen[name] = min(fitting, key=lambda part: len(part.names))
            else:
                used = {name for part in chosen.values() for name in part.names}
                if used == set(some):
                    cost = 2 * self._departures(chosen) + sum(len(part.names) for part in chosen.values())
                    label = "; ".join(self._labelled(name, chosen) for name in self._wrong)
                    found.append(self._account(some, label, chosen, cost))
        yield from sorted(found, key=lambda account: (account.cost, _place(account.names)))

    def _departures(self, chosen: Mapping[str, _Part]) -> int:
        """How often a mistake that explains one array would change another, which it does not explain."""
        used = {id(h): h for part in chosen.values() for h in part.hypotheses}
        return sum(
            not self._first.agree(
                name, (self._predicted(h, self._first) or {})[name], self._first.right[name]
            )
            for name, part in chosen.items()
            for h in used.values()
            if not part.names >= set(h.names)
        )

    def _labelled(self, name: str, chosen: Mapping[str, _Part]) -> str:
        labels = [
            h.label
            for h in chosen[name].hypotheses
            if h.label not in WIDE_LABELS or all(h.names[0] in part.names for part in chosen.values())
        ]
        return f"{name}: {' and '.join(labels)}" if labels else f"{name} alone"

    def _account(self, names: Iterable[str], label: str, chosen: dict[str, _Part], cost: int) -> Account:
        def holds(probe: Probe) -> bool:
            return all(self._explains(part, probe, name) for name, part in chosen.items())

        return _account_of(names, label, holds, cost)

    def _whole(self, hypotheses: Iterable[Hypothesis]) -> Iterator[Account]:
        """Hypotheses that explain every array of the given probes, each at once."""
        for number, h in enumerate(hypotheses):
            if number % 64 == 0:
                self._interview.step()
            account = _account_of(h.names, h.label, _holding(h), cure=h.cure)
            if account.holds(self._first) and self._holds(account):
                yield account

    def _by_kept_cells(self) -> Iterator[Account]:
        """Terms that are left out, whichever they are: what the contribution matrix shows by itself.

        Those that are kept count once, or as another mistake says.
        """
        name = self._left_out(self._first)
        if name is None:
            return
        for factor in (None, *self._factors):

            def holds(probe: Probe, factor: Hypothesis | None = factor) -> bool:
                counted = contributions.fitted(probe, self._arrays) if probe.wrong else None
                if counted is None:
                    return not probe.wrong
                if counted.is_near(0)[counted.known].all():  # all that there is has been left out
                    return True
                kept = contributions.kept_cells(counted)
                by = 1.0 if factor is None else self._factor(factor, probe, self._arrays[0])
                return kept is not None and kept.name == name.name and by is not None and kept.is_weighted(by)

            yield Account((name.name, *(factor.names if factor else ())), "see the contributions", holds)

    def _by_weights_of_classes(self) -> Iterator[Account]:
        """Samples that count by a weight of their class: the same one in every answer."""
        found = [contributions.of_samples(probe, self._arrays) for probe in self._probes]
        classes = all(np.isin(one.wide.targets, (0, 1)).all() for one in self._probes)
        if not classes or any(one is None for one in found):
            return
        weights = dict[int, float]()
        for probe, counted in zip(self._probes, found, strict=True):
            weights |= dict(zip(probe.wide.targets.argmax(axis=1).tolist(), counted or (), strict=False))

        def holds(probe: Probe) -> bool:
            counted = contributions.of_samples(probe, self._arrays)
            return counted is not None and all(
                abs(weights.get(label, weight) - weight) <= fits.NEAT * max(weights.values())
                for label, weight in zip(probe.wide.targets.argmax(axis=1).tolist(), counted, strict=True)
            )

        if len({round(weight, 6) for weight in weights.values()}) > 1:
            told = ", ".join(f"{weights[label]:.6g} for class {label}" for label in sorted(weights))
            text = f"each sample counts by a weight of its class: {told}"
            yield Account((), text, holds, unnamed=(text,), cure=OF_CLASSES)

    def _left_out(self, probe: Probe) -> contributions.Kept | None:
        counted = contributions.fitted(probe, self._arrays)
        return None if counted is None else contributions.kept_cells(counted)

    def _scaled(self) -> Iterator[tuple[tuple[str, ...], Callable[[Probe, str], Array]]]:
        """The right gradient, and the right gradient times the factors of one mistake."""
        yield (), lambda probe, name: probe.right[name]
        for h in self._factors:
            yield h.names, self._times_factor(h)

    def _mistaken(self) -> Iterator[tuple[tuple[str, ...], Callable[[Probe, str], Array]]]:
        """The gradients of single mistakes."""
        for h in self._hypotheses:
            if h.names[0] in MISTAKES and "penalty_included" not in h.names:
                yield h.names, self._alone(h)

    def _alone(self, h: Hypothesis) -> Callable[[Probe, str], Array]:
        def predicted(probe: Probe, name: str) -> Array:
            found, right = self._predicted(h, probe), probe.right[name]
            fits_in = found is not None and found[name].shape == right.shape
            return found[name] if found is not None and fits_in else np.full_like(right, np.nan)

        return predicted

    def _times_factor(self, h: Hypothesis) -> Callable[[Probe, str], Array]:
        return lambda probe, name: (self._factor(h, probe, name) or 0.0) * probe.right[name]

    def _imprecise(self) -> Iterator[Account]:
        """The right gradient, or a multiple of it, with the noise of a shorter format."""
        for names, right in self._scaled():
            for label, unit in (("float32", 2.0**-24), ("float16", 2.0**-11)):
                account = fits.noise(names, right, label, unit)
                if self._holds(account) and fits.is_noise(right, self._probes, label, unit):
                    yield account


OF_CLASSES = (
    "PROBLEM knows no weights of classes: leave them out, or verify the loss as an operation of your own."
)
WIDE_LABELS = ("everywhere", "in every layer")
"""What is not said of a mistake that is made in some arrays alone."""


def _narrowed(label: str, arrays: Sequence[str]) -> str:
    label = re.sub(r"( in every layer)?(: in layers? [\d and]+ only)?$", "", label) or label
    alone = f"in {', '.join(arrays)} alone"
    return alone if label in WIDE_LABELS else f"{label}: {alone}"


def _account_of(
    names: Iterable[str], label: str, holds: Callable[[Probe], bool], cost: int = 0, cure: str = ""
) -> Account:
    """An account of these names, those apart that the catalogue does not have."""
    known = tuple(name for name in names if name in MISTAKES)
    return Account(known, label, holds, cost, tuple(name for name in names if name not in MISTAKES), cure)


def _holding(hypothesis: Hypothesis) -> Callable[[Probe], bool]:
    def holds(probe: Probe) -> bool:
        with np.errstate(all="ignore"):
            found = hypothesis(probe)
        return found is not None and all(probe.is_explained(name, found[name]) for name in probe.right)

    return holds
