"""What a wrong gradient of a network might be: the rows of `wrong_steps`, numbers that are read off, other programs.

A row is made in every layer that has its step, in one, or in several; what is fitted to the first answer (a factor, a
rate, a threshold, a penalty) is confirmed on the others as anything else is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations, product

import numpy as np

from manual_backprop.mistakes import MISTAKES
from properties.cases import Array, Case
from properties.comparison import named
from properties.diagnosis import contributions, cures, other_programs, wrong_steps
from properties.diagnosis.networks import SQUARED, Network, Replaced, Step, back
from properties.diagnosis.operations import grammar
from properties.diagnosis.probes import Probe
from properties.diagnosis.search import BUDGET, Candidate, Search
from properties.diagnosis.trials import as_named, common_ratio, named_factor, ratio, said_of, written
from properties.diagnosis.wrong_steps import Row

ORDER: dict[str, float] = {name: place / len(MISTAKES) for place, name in enumerate(MISTAKES)}
ORDER["slope_missing"] = ORDER["slope_at_wrong_place"] + 0.5 / len(MISTAKES)
"""Of two names that fit equally, the first is told: of a relu without a slope, that its mask is always true."""
UNNAMED = 1.5
"""The rank of a row without a name, which people write all the same."""
NO_ERROR = "Look at where the error begins: what comes back from the loss is 0, or is lost on its way."
NOTHING_DOWN = (
    "Send the error down to these layers, `dh = dz @ W.T`, then `dz = dh * slope`, and make dW and db of it."
)
OF_CLASSES = (
    "PROBLEM knows no weights of classes: leave them out, or verify the loss as an operation of your own."
)
ONE_FACTOR = "Look for this factor where the error begins: each constant counts once."


class NetworkProblem:
    """What may be wrong with the gradient of a network."""

    def __init__(self, case: Case, *, mutates: bool = False) -> None:
        """Of the choices of a case; `mutates` where the subject is known to change its arguments."""
        self.case, self.network, self._mutates = case, Network(case), mutates
        self.forms = [self.network]

    def first(self, search: Search) -> Iterator[Iterable[Candidate]]:
        """The catalogue and what is like it; what is fitted; rows in several layers."""
        probe = _probes(search)[0]
        yield chain(self.rows(), self._results(probe), self._read_off(search))
        yield self._fitted(search)
        yield self._in_layers(range(2, min(self.network.layers - 1, MOST_LAYERS)))

    def last(self, search: Search) -> Iterator[Iterable[Candidate]]:
        """Other problems, one factor, other programs, a penalty and a mistake, every edit of the program."""
        named_rows = [one for one in self.rows() if one.names and one.names[0] in MISTAKES]
        yield other_programs.problems(self.network, 1)
        yield self._factor([one for one in _probes(search) if one.wrong])
        yield chain(other_programs.others(self.network), self._other_data())
        yield chain.from_iterable(self._penalties(search, one) for one in named_rows)
        yield self._in_another_problem(search, named_rows)
        search.left = BUDGET
        yield from grammar(self.network, search)

    # rows

    def rows(self) -> Iterator[Candidate]:
        """Every row in every layer that has its step, and in one of several; the catalogue's other data."""
        yield from self._wide()
        yield from self._in_layers(range(1, 2))
        for name, label, change in other_programs.named_data(self.case, mutates=self._mutates):
            yield Candidate(label, self.network, change=change, names=(name,), rank=ORDER[name])
        (error,) = self.network.of("error" if self.case.loss in SQUARED else "scores")
        lasts: list[Replaced] = [*self._of_the_last_sample(), (error, lambda v: v.mean(0) + 0 * v)]
        name = "errors_averaged_first"
        yield self.network.candidate(
            "with the last sample's activations", lasts, names=(name,), rank=ORDER[name]
        )

    def _of_the_last_sample(self) -> Iterator[Replaced]:
        """On the way back, the z and h of the last sample for every sample."""
        for step in self.network.of("weights"):
            yield step, lambda x, dz: np.outer(x[-1], dz.sum(0))
        for step in self.network.of("slope"):
            if not step.within:
                name = self.network.activation(step.layer)
                yield step, lambda dh, z, name=name: back(name, dh, z[[-1]] + 0 * z)

    def _table(self) -> Iterator[tuple[Row, str, Sequence[Step]]]:
        """Rows, where they are made, and their steps."""
        for kind, table in wrong_steps.TABLES.items():
            yield from ((row, "", self.network.of(kind)) for row in table if row.where(self.case))
        *hidden, last = self.network.of("slope")
        places = (
            (hidden, self.case.hidden, " in the hidden layers"),
            ([last], self.case.output, " at the output"),
        )
        for steps, name, where in places:
            rows = wrong_steps.slopes(name) if steps else ()
            yield from ((row, where, steps) for row in rows if row.where(self.case))

    def _row(self, row: Row, where: str, steps: Sequence[Step]) -> Candidate:
        stays = all(step.kind in ("weights", "bias") for step in steps)
        replaced = [(step, row.function) for step in steps]
        return self.network.candidate(
            row.label + where,
            replaced,
            names=row.names or (row.label,),
            rank=ORDER.get(row.name, UNNAMED),
            cure="" if row.name else cures.OF_A_STEP[steps[0].kind],
            stays=stays,
        )

    def _wide(self) -> Iterator[Candidate]:
        """Rows in every layer that has their step."""
        both = dict[tuple[str, str], list[Replaced]]()
        for row, where, steps in self._table():
            if steps and all(self.network.fits(step, row.function) for step in steps):
                yield self._row(row, where, steps)
            if where:
                both.setdefault((row.name, row.label), []).extend((step, row.function) for step in steps)
        for (name, label), replaced in both.items():
            if self.network.layers > 1 and len(replaced) == self.network.layers:
                text = f"{label} in every layer"
                yield self.network.candidate(text, replaced, names=(name,), rank=ORDER[name])

    def _in_layers(self, counts: range) -> Iterator[Candidate]:
        """Rows on the way down in some layers of several; a wrong dW or db stays in its layer anyway."""
        for row, where, steps in self._table():
            if len(steps) > 1 and steps[0].kind in ("slope", "down"):
                above = steps[0].kind == "down"
                for some in chain.from_iterable(combinations(steps, count) for count in counts):
                    numbers = " and ".join(str(step.layer + above) for step in some)
                    yield self._row(row, f"{where}: in layer{'s' * (len(some) > 1)} {numbers} only", some)

    # the finished gradient

    def _results(self, first: Probe) -> Iterator[Candidate]:
        """The right gradient, changed: arrays that are 0, another's, or in another order."""
        zeros = [name for name in first.wrong if first.agree(name, first.answer[name], 0 * first.right[name])]
        if any(name.startswith("dW") for name in zeros):  # of biases alone, the catalogue knows
            whole = zeros == list(first.right)
            text = "the gradient is 0" if whole else f"0 is given for {', '.join(zeros)}"
            text += ", but for rounding" if any(first.answer[name].any() for name in zeros) else ""
            without = lambda _, g: {k: 0 * v if k in zeros else v for k, v in g.items()}  # noqa: E731
            yield self._after(
                text, without, cure=NO_ERROR if whole else NOTHING_DOWN, rank=-1 if whole else UNNAMED
            )
        for name, array in first.answer.items():
            for other, right in first.right.items():
                if name in first.wrong and name != other and first.agree(name, array, right):
                    text = f"{name} is what {other} should be"
                    yield self._after(text, lambda _, g, a=name, b=other: {**g, a: g[b]})
        yield self._after("the layers are given in reverse order", self._reversed)

    def _after(
        self, text: str, after: Callable[..., dict[str, Array]], name: str = "", **more: object
    ) -> Candidate:
        rank = more.pop("rank", ORDER.get(name, UNNAMED))
        return Candidate(text, self.network, after=after, names=(name or text,), rank=rank, **more)  # type: ignore[arg-type]

    def _reversed(self, _: Probe, right: dict[str, Array]) -> dict[str, Array]:
        return {name: right[f"{name[:2]}{self.network.layers + 1 - int(name[2:])}"] for name in right}

    # numbers

    def _read_off(self, search: Search) -> Iterator[Candidate]:
        """A fixed divisor, thresholds and a rate, which the first answer shows."""
        probe = _probes(search)[0]
        sizes = [abs(array).max(initial=0) for array in probe.answer.values()]
        norms = [float(np.sqrt((array**2).sum())) for array in probe.answer.values()]
        for text, threshold, cut in (
            ("each entry", max(sizes), _clipped),
            ("each array's norm", max(norms), _shortened),
            ("the norm of all", float(np.hypot.reduce(norms)), _shortened_together),
        ):
            if threshold:
                after = lambda _, g, t=float(threshold), f=cut: f(t, g)  # noqa: E731
                yield self._after(f"{text} to {threshold:.6g}", after, "gradient_clipped")
        yield from self._rates(probe)
        yield from self._divisors(search)

    def _factor(self, wrong: Sequence[Probe]) -> Iterator[Candidate]:
        """One factor times the right gradient, everywhere."""
        numbers = [r for one in wrong if (r := common_ratio(one, one.answer, one.right))]
        called = named_factor(numbers, wrong) if len(numbers) == len(wrong) else None
        if called is None:
            return
        said, by = called[0], as_named(called[0], numbers[0])
        text = f"{said_of(said)} the right gradient, everywhere"
        yield self._after(
            text, lambda t, g: {name: by(t) * one for name, one in g.items()}, cure=ONE_FACTOR, rank=PLAIN
        )

    def _divisors(self, search: Search) -> Iterator[Candidate]:
        """A constant in the place of n: arrays are n/size times too large."""
        first = _probes(search)[0]
        if first.case.reduction == "sum" or len({one.case.samples for one in search.trials}) == 1:
            return
        # A half of the sum over the samples is no batch of two, but what a square's factor 2 and a 1/n have lost.
        taken = {0, 1, 2} if first.case.loss in ("mse", "sse") else {0, 1}
        found = [ratio(first, name, first.answer[name], first.right[name]) for name in first.wrong]
        for size in {round(first.case.samples / r) for r in found if r is not None and r > 0} - taken:
            after = lambda t, g, k=size: {name: one * (t.case.samples / k) for name, one in g.items()}  # noqa: E731
            yield self._after(str(size), after, "fixed_divisor")

    def _rates(self, probe: Probe) -> Iterator[Candidate]:
        """An update before its time: dW of the last layer but one is off in proportion to the rate."""
        name = f"dW{self.network.layers - 1}"
        whole = self.updated(1.0).at(probe) if self.network.layers > 1 else None
        if whole is not None:
            right = probe.right[name]
            rate = ratio(probe, name, probe.answer[name] - right, whole[name] - right)
            if rate is not None and rate > 0:
                yield self.updated(written(rate))

    def updated(self, rate: float) -> Candidate:
        """Weights that make a step of this rate before the error goes down through them."""
        changes = [(step, wrong_steps.updated(rate)) for step in self.network.of("down")]
        name = "updated_weights_used"
        return self.network.candidate(f"rate {rate:.6g}", changes, names=(name,), rank=ORDER[name])

    def early(self, rate: float) -> Iterator[Candidate]:
        """The same alone, and with a row of the catalogue besides."""
        alone = self.updated(rate)
        yield alone
        for one in self._wide():
            both = alone.then(one) if one.names[0] in MISTAKES else None
            if both is not None:
                yield both

    # what is fitted

    def _fitted(self, search: Search) -> Iterator[Candidate]:
        """Terms that are left out, weights of classes, a penalty, the noise of a shorter format."""
        yield from self._by_contributions(search)
        right = Candidate("", self.network)
        yield from self._penalties(search, right)
        for base, (label, unit) in product((right, *(one for one, _ in search.factors)), FORMATS.items()):
            names = (*base.names, "precision_lost")

            def holds(probe: Probe, base: Candidate = base, label: str = label, unit: float = unit) -> bool:
                return _is_near(probe, base.at(probe) or {}, label, unit)

            if all(map(holds, _probes(search))) and is_noise(base, _probes(search), label, unit):
                yield Candidate(label, names=names, rank=ORDER["precision_lost"] + base.rank / 9, holds=holds)

    def _by_contributions(self, search: Search) -> Iterator[Candidate]:
        """What the contribution matrix shows by itself, whichever terms are kept, or by the class of a sample."""
        arrays = list(search.names)
        first = contributions.fitted(_probes(search)[0], arrays)
        kept = None if first is None else contributions.kept_cells(first)
        if kept is not None:

            def holds(probe: Probe) -> bool:
                counted = contributions.fitted(probe, arrays) if probe.wrong else None
                if counted is None:
                    return not probe.wrong
                if counted.is_near(0)[counted.known].all():  # all that there is has been left out
                    return True
                here = contributions.kept_cells(counted)
                return here is not None and here.name == kept.name and here.is_weighted(1.0)

            yield Candidate("see the contributions", names=(kept.name,), rank=ORDER[kept.name], holds=holds)
        some = _probes(search)[:FITTED]
        found = [contributions.of_samples(one, arrays) for one in some]
        classes = all(np.isin(one.wide.targets, (0, 1)).all() for one in some)
        if not classes or any(one is None for one in found):
            return
        weights = dict[int, float]()
        for one, counted in zip(some, found, strict=True):
            weights |= dict(zip(one.wide.targets.argmax(axis=1).tolist(), counted or (), strict=False))

        def by_class(probe: Probe) -> bool:
            counted = contributions.of_samples(probe, arrays)
            labels = probe.wide.targets.argmax(axis=1).tolist()
            near = 2.0**-26 * max(weights.values())
            return counted is not None and all(
                abs(weights.get(label, weight) - weight) <= near
                for label, weight in zip(labels, counted, strict=True)
            )

        if len({round(weight, 6) for weight in weights.values()}) > 1:
            told = ", ".join(f"{weights[label]:.6g} for class {label}" for label in sorted(weights))
            text = f"each sample counts by a weight of its class: {told}"
            yield Candidate(text, names=(text,), cure=OF_CLASSES, rank=UNNAMED, holds=by_class)

    def _penalties(self, search: Search, base: Candidate) -> Iterator[Candidate]:
        """λW, λn W or λ/n W besides, or λ sign W; in some arrays or in all."""
        first = _probes(search)[0]
        gradients = base.at(first)
        if gradients is None:
            return
        off = {name: first.answer[name] - gradients[name] for name in first.right}
        arrays = [name for name in off if not first.agree(name, first.answer[name], gradients[name])]
        for kind, slope in PENALTIES.items():
            terms = {name: slope(name, array) for name, array in named(first.wide.parameters).items()}
            found = [ratio(first, name, off[name], terms[name]) for name in arrays]
            strength = found[0] if found else None
            telling = all((abs(off[name]) > STANDS_OUT * first.error[name]).any() for name in arrays)
            if not strength or None in found or not telling or abs(strength) < 2 * first.unit:
                continue
            for text, per_batch in PER_BATCH.items():
                at_one = written(strength / per_batch(first.case.samples))
                term = "λ" if text + kind == "λ" else f"{text}{kind} with λ"
                label = f"{term} = {at_one:.6g} in {', '.join(arrays)}"

                def penalised(
                    t: Probe,
                    g: dict[str, Array],
                    by: float = at_one,
                    slope: Callable[..., Array] = slope,
                    per_batch: Callable[..., float] = per_batch,
                ) -> dict[str, Array]:
                    W = named(t.wide.parameters)
                    by *= per_batch(t.case.samples)
                    return {
                        name: g[name] + by * slope(name, W[name]) if name in arrays else g[name] for name in g
                    }

                name = "penalty_included"
                own = Candidate(label, self.network, after=penalised, names=(name,), rank=ORDER[name])
                both = base.then(own) if base.names else own
                if both is not None:
                    yield both

    # other programs

    def _other_data(self) -> Iterator[Candidate]:
        for label, change in other_programs.other_data(self.case):
            yield Candidate(label, self.network, change=change, names=(label,), rank=other_programs.UNNAMED)

    def _in_another_problem(self, search: Search, rows: Sequence[Candidate]) -> Iterator[Candidate]:
        """A mistake of the catalogue in a problem that differs in one name and explains a part, or with other data."""
        for problem in other_programs.problems(self.network, 1):
            in_part = not problem.explained(search.first).isdisjoint(search.wrong)
            told = f"with {problem.text.removeprefix('this is ')}"
            for row in (one for one in rows if in_part or one.change is not None):
                both, names = problem.then(row), (*row.names, told)
                if both is not None:
                    yield Candidate(
                        row.text, self.network, both.edits, both.change, names=names, rank=5 + row.rank
                    )


def _probes(search: Search) -> list[Probe]:
    """The trials, of a network; the first is searched."""
    return [one for one in search.trials if isinstance(one, Probe)]


MOST_LAYERS = 4
"""So many layers at once have a row in them, unless all have."""
PLAIN = 1.4
"""The rank of a factor without a name."""
FITTED = 3
"""Trials that weights of classes are read from."""


def _clipped(threshold: float, right: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array.clip(-threshold, threshold) for name, array in right.items()}


def _shortened(threshold: float, right: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array * min(1, threshold / np.sqrt((array**2).sum())) for name, array in right.items()}


def _shortened_together(threshold: float, right: Mapping[str, Array]) -> dict[str, Array]:
    norm = np.sqrt(sum((array**2).sum() for array in right.values()))
    return {name: array * min(1, threshold / norm) for name, array in right.items()}


PER_BATCH: dict[str, Callable[[int], float]] = {"λ": lambda n: 1.0, "λ·n": float, "λ/n": lambda n: 1 / n}
"""How a penalty may depend on the number of samples."""
PENALTIES: dict[str, Callable[[str, Array], Array]] = {
    "": lambda name, W: W,
    " sign W": lambda name, W: np.sign(W),
    " (W, and 1 in each db)": lambda name, W: W if name[1] == "W" else np.ones_like(W),
}
"""The derivatives of λ/2 W² and of λ |W|; and W with ones in the place of its biases."""
STANDS_OUT = 2.0**6
"""So far above rounding, a fitted number has six binary digits."""

FORMATS = {"float32": 2.0**-24, "float16": 2.0**-11}
"""Shorter formats, and their unit roundoff."""


def _is_near(probe: Probe, right: Mapping[str, Array], label: str, unit: float) -> bool:
    """Whether the answer is as near to a gradient as a shorter format gets."""
    coarser = unit / probe.unit
    tiny = float(np.finfo(label).tiny)
    return coarser > 1 and all(
        bool((abs(probe.answer[name] - right[name]) <= coarser * probe.reach(name, right[name]) + tiny).all())
        for name in probe.right
    )


NOISE_SIGNS = 0.2
"""Rounding errs to both sides. Fewer than this part of the entries on one side, and it is a trend."""
NOISE_SIZES = 2.0**-6, 2.0**4
"""Rounding to a format moves a typical entry by its unit roundoff, give or take these factors."""


def is_noise(base: Candidate, probes: Sequence[Probe], label: str, unit: float) -> bool:
    """Whether what is off looks like rounding.

    All entries are numbers of the format, or it is off to both sides by as much as the format's roundoff.
    The bounds of so short a format as float16 would hold of much else, so that only the numbers count there.
    """
    arrays = [array for probe in probes for array in probe.answer.values()]
    with np.errstate(all="ignore"):
        if all(np.array_equal(array, array.astype(label).astype(float)) for array in arrays):
            return True
    if label == "float16":
        return False
    rights = [(probe, base.at(probe) or {}) for probe in probes]
    pairs = [
        (probe.answer[name].ravel(), right[name].ravel())
        for probe, right in rights
        for name in probe.wrong
        if right[name].any()
    ]
    if not pairs:
        return False
    relative = np.concatenate([(given - right) / abs(right).max() for given, right in pairs])
    signs = np.sign(relative), np.sign(relative) * np.sign(np.concatenate([right for _, right in pairs]))
    up = [float((sign > 0).mean()) for sign in signs]
    low, high = (factor * unit for factor in NOISE_SIZES)
    return min(*up, *(1 - part for part in up)) > NOISE_SIGNS and low < float(np.median(abs(relative))) < high
