"""What a wrong gradient might be: the right program with steps replaced, or read with other inputs.

The rows of `wrong_steps` in every layer, in one, in some; two of them at once; the gradient of another problem; and, at
the last, every edit of the grammar of programs (`reference.mutations`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, combinations

import numpy as np

from manual_backprop.mistakes import MISTAKES
from properties.cases import Array, Case
from properties.diagnosis import other_data, wrong_steps
from properties.diagnosis.networks import SQUARED, Network, Replaced, Step, back
from properties.diagnosis.other_programs import other_choices, others, problems
from properties.diagnosis.probes import Probe
from properties.diagnosis.wrong_steps import Row
from reference.mutations import CURES
from reference.operations.network import OF_SCORES

Gradient = Callable[[Probe], dict[str, Array] | None]


@dataclass(frozen=True)
class Hypothesis:
    """A gradient that a subject may be following.

    The names of the mistakes that it makes, and sentences for what has no name; what they are in particular; and, for
    what has no name, what to do about it.
    """

    names: tuple[str, ...]
    label: str
    gradient: Gradient
    cure: str = ""
    stays: bool = False
    """Whether what is wrong stays in each array, so that it may be so in some of them alone."""
    first: bool = False
    """Whether it says more than a name: an array of zeros is what any of many mistakes leaves."""

    def __call__(self, probe: Probe) -> dict[str, Array] | None:
        """Its arrays for a probe by name; None where it can't be computed, as for sizes that do not fit."""
        try:
            return self.gradient(probe)
        except (ValueError, IndexError):
            return None


@dataclass(frozen=True)
class Account:
    """An explanation of a subject.

    The names of the mistakes, what they are in particular, and whether it holds of a probe. Of
    accounts of as many names, one of a lower `cost` is the closer one. `unnamed` is what it says besides, and `cure`
    what to do where it has no name.
    """

    names: tuple[str, ...]
    label: str
    holds: Callable[[Probe], bool]
    cost: int = 0
    unnamed: tuple[str, ...] = ()
    cure: str = ""


NO_ERROR = "Look at where the error begins: what comes back from the loss is 0, or is lost on its way."
NOTHING_DOWN = (
    "Send the error down to these layers, `dh = dz @ W.T`, then `dz = dh * slope`, and make dW and db of it."
)


@dataclass(frozen=True)
class _Wrong:
    """A row at some steps: what is told, and where it is made."""

    row: Row
    where: str
    replaced: tuple[Replaced, ...]

    @property
    def label(self) -> str:
        return self.row.label + self.where

    @property
    def cure(self) -> str:
        return wrong_steps.CURES[self.replaced[0][0].kind]

    @property
    def stays(self) -> bool:
        return all(step.kind in ("weights", "bias") for step, _ in self.replaced)


class Hypotheses:
    """All hypotheses of a network's choices."""

    def __init__(self, case: Case) -> None:
        """Of the choices of this case."""
        self.network = Network(case)
        self.case = case

    def of(self, replaced: Sequence[Replaced]) -> Gradient:
        """The gradient with these steps replaced."""
        some = [self.network.edit(step, function) for step, function in replaced]
        return lambda probe: self.network.with_edits(probe, some)

    # of the catalogue

    def named(self, *, mutates: bool) -> list[Hypothesis]:
        """What the catalogue has a name for, in every layer and in one.

        Args:
            mutates: whether the subject is known to change its arguments.
        """
        found = [
            Hypothesis(one.row.names, one.label, self.of(one.replaced), stays=one.stays)
            for one in chain(self._wide(), self._single())
            if one.row.name
        ]
        found += [
            Hypothesis((one.name,), one.label, self.with_data(one.change))
            for one in other_data.rows(self.case, mutates=mutates)
            if one.name in MISTAKES
        ]
        (error,) = self.network.of("error" if self.case.loss in SQUARED else "scores")
        lasts = [*self._of_the_last_sample(), (error, lambda v: v.mean(0) + 0 * v)]
        found.append(
            Hypothesis(("errors_averaged_first",), "with the last sample's activations", self.of(lasts))
        )
        return found

    def _of_the_last_sample(self) -> Iterator[Replaced]:
        """On the way back, the z and h of the last sample for every sample."""
        for step in self.network.of("weights"):
            yield step, lambda x, dz: np.outer(x[-1], dz.sum(0))
        for step in self.network.of("slope"):
            if not step.within:
                name = self.network.activation(step.layer)
                yield step, lambda dh, z, name=name: back(name, dh, z[[-1]] + 0 * z)

    def _rows(self) -> Iterator[tuple[Row, str, Sequence[Step]]]:
        """Rows of the catalogue, where they are made, and their steps."""
        tables = {"error": wrong_steps.ERROR, "scores": wrong_steps.SCORES, "down": wrong_steps.DOWN}
        tables |= {"weights": wrong_steps.WEIGHTS, "bias": wrong_steps.BIAS}
        for kind, table in tables.items():
            for row in table:
                if row.where(self.case):
                    yield row, "", self.network.of(kind)
        *hidden, last = self.network.of("slope")
        places = (
            (hidden, self.case.hidden, " in the hidden layers"),
            ([last], self.case.output, " at the output"),
        )
        for steps, name, where in places:
            for row in wrong_steps.slopes(name) if steps else ():
                yield row, where, steps

    def _wide(self) -> Iterator[_Wrong]:
        """Rows in every layer that has their step."""
        both = dict[tuple[str, str], list[Replaced]]()
        for row, where, steps in self._rows():
            replaced = tuple((step, row.function) for step in steps if self.network.fits(step, row.function))
            if len(replaced) == len(steps) > 0:
                yield _Wrong(row, where, replaced)
            if where and row.where(self.case):
                both.setdefault((row.name, row.label), []).extend(replaced)
        for (name, label), replaced in both.items():
            if self.network.layers > 1 and len(replaced) == self.network.layers:
                yield _Wrong(Row(name, label, replaced[0][1]), " in every layer", tuple(replaced))

    def _single(self) -> Iterator[_Wrong]:
        """Rows on the way down in one layer of several; a wrong dW or db stays in its layer anyway."""
        return self._in_layers(range(1, 2))

    def _in_layers(self, counts: range) -> Iterator[_Wrong]:
        for row, where, steps in self._rows():
            if len(steps) > 1 and steps[0].kind in ("slope", "down"):
                above = steps[0].kind == "down"
                for some in chain.from_iterable(combinations(steps, count) for count in counts):
                    numbers = " and ".join(str(step.layer + above) for step in some)
                    told = f"{where}: in layer{'s' * (len(some) > 1)} {numbers} only"
                    yield _Wrong(row, told, tuple((step, row.function) for step in some))

    def in_several_layers(self) -> Iterator[Hypothesis]:
        """A row of the catalogue in several layers, but not in all."""
        for one in self._in_layers(range(2, self.network.layers - 1)):
            if one.row.name:
                yield Hypothesis((one.row.name,), one.label, self.of(one.replaced))

    def joined(self) -> Iterator[Hypothesis]:
        """Two rows of the catalogue at once, at different steps."""
        wide = [one for one in self._wide() if one.row.name]
        for one, other in combinations(wide, 2):
            kinds = ({step.kind for step, _ in each.replaced} for each in (one, other))
            if one.row.name != other.row.name and not set.intersection(*kinds):
                names, label = (one.row.name, other.row.name), f"{one.label}, and {other.label}"
                yield Hypothesis(
                    names, label, self.of(sorted((*one.replaced, *other.replaced), key=_in_order))
                )

    # of no name

    def unnamed_arrays(self) -> Iterator[Hypothesis]:
        """What has no name, and is made in single arrays as well: other sums, biases that are left out."""
        for one in self._wide():
            if not one.row.name and one.replaced[0][0].kind in ("weights", "bias", "down"):
                yield Hypothesis((one.label,), one.label, self.of(one.replaced), one.cure, stays=one.stays)
        for one in other_data.biases(self.case):
            yield Hypothesis((one.label,), one.label, self.with_data(one.change))

    def of_the_result(self, first: Probe) -> Iterator[Hypothesis]:
        """The right gradient, changed: arrays that are 0, another's, or in another order; entries one by one."""
        zeros = [name for name in first.wrong if first.agree(name, first.answer[name], 0 * first.right[name])]
        if any(name.startswith("dW") for name in zeros):  # of biases alone, the catalogue knows
            whole = zeros == list(first.right)
            text = "the gradient is 0" if whole else f"0 is given for {', '.join(zeros)}"
            text += ", but for rounding" if any(first.answer[name].any() for name in zeros) else ""
            cure = NO_ERROR if whole else NOTHING_DOWN
            found = self.afterwards(
                text, "", lambda _, g: {k: 0 * v if k in zeros else v for k, v in g.items()}, cure
            )
            yield replace(found, first=whole)
        for name, array in first.answer.items():
            for other, right in first.right.items():
                if name in first.wrong and name != other and first.agree(name, array, right):
                    text = f"{name} is what {other} should be"
                    yield self.afterwards(text, "", lambda _, g, a=name, b=other: {**g, a: g[b]})
        for text, change in ENTRIES.items():
            each = lambda _, g, f=change: {name: f(array) for name, array in g.items()}  # noqa: E731
            yield self.afterwards(text, "", each)
        yield self.afterwards("the layers are given in reverse order", "", self._reversed)

    def _reversed(self, _: Probe, right: dict[str, Array]) -> dict[str, Array]:
        return {name: right[f"{name[:2]}{self.network.layers + 1 - int(name[2:])}"] for name in right}

    def unnamed(self) -> Iterator[Hypothesis]:
        """What the catalogue has no name for, the most frequent first."""
        for one in others(self.network):
            yield Hypothesis((), one.text, self.of(one.replaced), one.cure)
        for one in self._wide():
            if not one.row.name:
                yield Hypothesis((), one.label, self.of(one.replaced), one.cure)
        for one in other_data.rows(self.case, mutates=False):
            if not one.name:
                yield Hypothesis((), one.label, self.with_data(one.change), one.cure)
        for label, sizes in other_data.DIVISORS.items():
            text = f"the sum over the n samples is divided by {label}"
            yield self.afterwards(text, None, partial(_divided, sizes))

    def of_another_problem(self) -> Iterator[Hypothesis]:
        """The right gradient of a problem that differs in one name."""
        for one in problems(self.network, 1):
            yield Hypothesis((), one.text, self.of(one.replaced), one.cure)

    def edits(self, first: Probe) -> Iterator[Hypothesis]:
        """Every edit of the program, the simplest first, in the words of the step."""
        wrong = {place for place, name in enumerate(self.network.names) if name in first.wrong}
        reached = self.network.passage.flow.reached
        for edit in self.network.grammar(first):
            if not wrong <= reached(edit.at[0]):
                continue
            yield Hypothesis(
                (),
                self.network.passage.say(edit),
                partial(self.network.with_edits, some=[edit]),
                CURES[edit.kind],
            )

    def with_data(self, change: other_data.Change) -> Gradient:
        """The right gradient of changed inputs."""
        return lambda probe: self.network.at_other_inputs(probe, change)

    def mistaken_in_another_problem(self) -> Iterator[Hypothesis]:
        """A mistake of the catalogue in a problem that differs in one name, or in what an entropy needs."""
        for told, choices in other_choices(self.case, "with the gradient of "):
            different = {key for key, one in choices.items() if one != self.case.choices[key]}
            if len(different) == 1 or (different == {"loss", "output"} and choices["loss"] in OF_SCORES):
                moved = _Moved(choices)
                for one in Hypotheses(replace(self.case, **choices)).named(mutates=False):
                    yield Hypothesis((one.names[0], told), one.label, partial(moved, one))

    def updated(self, rate: float) -> Hypothesis:
        """Weights that make a step of this rate before the error goes down through them."""
        changes = [(step, wrong_steps.updated(rate)) for step in self.network.of("down")]
        return Hypothesis(("updated_weights_used",), f"rate {rate:.6g}", self.of(changes))

    def early(self, rate: float) -> Iterator[Hypothesis]:
        """The same alone, and with a row of the catalogue besides."""
        alone = self.updated(rate)
        yield alone
        downs = [(step, wrong_steps.updated(rate)) for step in self.network.of("down")]
        for one in self._wide():
            if one.row.name and one.replaced[0][0].kind != "down":
                changes = sorted((*one.replaced, *downs), key=_in_order)
                yield Hypothesis(
                    (*alone.names, one.row.name), f"{alone.label}, and {one.label}", self.of(changes)
                )

    def afterwards(
        self,
        text: str,
        name: str | None,
        change: Callable[[Probe, dict[str, Array]], dict[str, Array]],
        cure: str = "",
    ) -> Hypothesis:
        """The right gradient, changed: a mistake of this name; of no name, in any arrays (""), or as a whole (None)."""
        names = () if name is None else (name or text,)
        return Hypothesis(
            names, text, lambda probe: change(probe, self.network.with_edits(probe, []) or {}), cure
        )


ENTRIES: Mapping[str, Callable[[Array], Array]] = {
    "each entry is its sign, whatever its size": np.sign,
    **{
        f"each entry is divided by its own size, with {epsilon:g} beside it, as in a first step of Adam's": (
            lambda array, epsilon=epsilon: array / (abs(array) + epsilon)
        )
        for epsilon in (1e-8, 1e-7, 1e-10)
    },
    **{
        f"the entries are rounded to {n} decimals": (lambda array, n=n: np.round(array, n))
        for n in range(2, 9)
    },
}
"""What is done to the entries of a finished gradient, one by one."""


def _divided(sizes: other_data.Divisor, probe: Probe, right: dict[str, Array]) -> dict[str, Array]:
    """A sum over the samples, divided by a size."""
    case = probe.case
    times = case.samples if case.reduction == "mean" else 1
    by = {name: sizes(case.samples, case.sizes, int(name[2:])) for name in right}
    return {name: array * times / by[name] for name, array in right.items()}


def _in_order(one: Replaced) -> int:
    """What is replaced at one equation, in the order of the way back."""
    return ("error", "slope", "scores", "down", "weights", "bias", "value").index(one[0].kind)


class _Moved:
    """Asks hypotheses of another problem: each probe with other choices, once."""

    def __init__(self, choices: Mapping[str, str]) -> None:
        self._choices = choices
        self._known = dict[int, tuple[Probe, Probe]]()

    def __call__(self, hypothesis: Hypothesis, probe: Probe) -> dict[str, Array] | None:
        if id(probe) not in self._known:
            self._known[id(probe)] = probe, Probe(replace(probe.case, **self._choices), probe.answer)
        return hypothesis(self._known[id(probe)][1])
