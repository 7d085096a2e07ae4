"""What a wrong gradient might be: the right program with steps replaced, or read with other inputs.

The rows of `wrong_steps` in every layer, in one, in some; two of them at once; the gradient of another problem; and, at
the last, every edit of the grammar of programs (`reference.mutations`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, combinations, pairwise, product
from typing import Any

import numpy as np

from manual_backprop.mistakes import MISTAKES
from properties.cases import Array, Case
from properties.diagnosis import other_data, wrong_steps
from properties.diagnosis.networks import SQUARED, Function, Network, Step, back, error, value
from properties.diagnosis.probes import Probe, ratio
from properties.diagnosis.wrong_steps import Row
from reference.mutations import CURES
from reference.operations import OPERATIONS
from reference.operations.network import HIDDEN, OF_SCORES, OUTPUTS

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
SHARES = {0.5: "half of", 2.0: "twice", -1.0: "minus", 0.25: "a quarter of"}
NEAR = 2.0**-44
"""A fitted number that is as near to a written one is it: 1/0.999999 is no 1.000001."""
DIGITS = 1, 2, 3, 6
"""People write numbers of so many digits, or 1 divided by one."""
MOST_STEPS, STEP = 12, 2.0**-20
"""Steps until a number is found, and how far its slope is taken from it."""
MOST_CUT = 99
"""So many of the largest entries of an error may be cut."""

Replaced = tuple[Step, Function]
"""A step, and what stands in its place."""


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

    def _of(self, replaced: Sequence[Replaced]) -> Gradient:
        some = [self.network.edit(step, function) for step, function in replaced]
        return lambda probe: self.network.with_edits(probe, some)

    # of the catalogue

    def named(self, *, mutates: bool) -> list[Hypothesis]:
        """What the catalogue has a name for, in every layer and in one.

        Args:
            mutates: whether the subject is known to change its arguments.
        """
        found = [
            Hypothesis(one.row.names, one.label, self._of(one.replaced), stays=one.stays)
            for one in chain(self._wide(), self._single())
            if one.row.name
        ]
        found += [
            Hypothesis((one.name,), one.label, partial(self._with_data, one.change))
            for one in other_data.rows(self.case, mutates=mutates)
            if one.name in MISTAKES
        ]
        (error,) = self.network.of("error" if self.case.loss in SQUARED else "scores")
        lasts = [*self._of_the_last_sample(), (error, lambda v: v.mean(0) + 0 * v)]
        found.append(
            Hypothesis(("errors_averaged_first",), "with the last sample's activations", self._of(lasts))
        )
        return found

    def _of_the_last_sample(self) -> Iterator[Replaced]:
        """On the way back, the z and h of the last sample for every sample."""
        for step in self.network.of("weights"):
            yield step, lambda x, dz: np.outer(x[-1], dz.sum(0))
        for step in self.network.of("slope"):
            if not step.within:
                name = self._activation(step.layer)
                yield step, lambda dh, z, name=name: back(name, dh, z[[-1]] + 0 * z)

    def _activation(self, layer: int) -> str:
        return self.case.output if layer == self.network.layers else self.case.hidden

    def _rows(self) -> Iterator[tuple[Row, str, Sequence[Step]]]:
        """Rows of the catalogue, where they are made, and their steps."""
        tables = {"error": wrong_steps.ERROR, "scores": wrong_steps.SCORES, "down": wrong_steps.DOWN}
        tables |= {"weights": wrong_steps.WEIGHTS, "bias": wrong_steps.BIAS}
        for kind, table in tables.items():
            for row in table:
                if row.where(self.case):
                    yield row, "", self.network.of(kind)
        *hidden, last = self._slopes()
        places = (
            (hidden, self.case.hidden, " in the hidden layers"),
            ([last], self.case.output, " at the output"),
        )
        for steps, name, where in places:
            for row in wrong_steps.slopes(name) if steps else ():
                yield row, where, steps

    def _slopes(self) -> list[Step]:
        return self.network.of("slope")

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
                yield Hypothesis((one.row.name,), one.label, self._of(one.replaced))

    def joined(self) -> Iterator[Hypothesis]:
        """Two rows of the catalogue at once, at different steps."""
        wide = [one for one in self._wide() if one.row.name]
        for one, other in combinations(wide, 2):
            kinds = ({step.kind for step, _ in each.replaced} for each in (one, other))
            if one.row.name != other.row.name and not set.intersection(*kinds):
                names, label = (one.row.name, other.row.name), f"{one.label}, and {other.label}"
                yield Hypothesis(
                    names, label, self._of(sorted((*one.replaced, *other.replaced), key=_in_order))
                )

    # of no name

    def unnamed_arrays(self) -> Iterator[Hypothesis]:
        """What has no name, and is made in single arrays as well: other sums, biases that are left out."""
        for one in self._wide():
            if not one.row.name and one.replaced[0][0].kind in ("weights", "bias", "down"):
                yield Hypothesis((one.label,), one.label, self._of(one.replaced), one.cure, stays=one.stays)
        for one in other_data.biases(self.case):
            yield Hypothesis((one.label,), one.label, partial(self._with_data, one.change))

    def of_the_result(self, first: Probe) -> Iterator[Hypothesis]:
        """The right gradient, changed: arrays that are 0, another's, or in another order; entries one by one."""
        zeros = [name for name in first.wrong if first.agree(name, first.answer[name], 0 * first.right[name])]
        if any(name.startswith("dW") for name in zeros):  # of biases alone, the catalogue knows
            whole = zeros == list(first.right)
            text = "the gradient is 0" if whole else f"0 is given for {', '.join(zeros)}"
            text += ", but for rounding" if any(first.answer[name].any() for name in zeros) else ""
            found = self.afterwards(text, lambda g: {k: 0 * v if k in zeros else v for k, v in g.items()})
            yield replace(found, first=whole, cure=NO_ERROR if whole else NOTHING_DOWN)
        for name, array in first.answer.items():
            for other, right in first.right.items():
                if name in first.wrong and name != other and first.agree(name, array, right):
                    text = f"{name} is what {other} should be"
                    yield self.afterwards(text, lambda g, a=name, b=other: {**g, a: g[b]})
        for text, change in ENTRIES.items():
            yield self.afterwards(text, lambda g, f=change: {name: f(array) for name, array in g.items()})
        yield self.afterwards("the layers are given in reverse order", self._reversed)

    def constant(self, first: Probe) -> Iterator[Hypothesis]:
        """One number times the right gradient, everywhere: read off one answer."""
        ratios = [
            ratio(first, name, first.answer[name], right)
            for name, right in first.right.items()
            if right.any()
        ]
        numbers = [one for one in ratios if one is not None]
        half = np.sqrt(np.finfo(first.case.inputs.dtype).eps)
        if numbers and len(numbers) == len(ratios) and np.ptp(numbers) <= half * abs(numbers[0]):
            number = _simplest(float(np.mean(numbers)))
            told = f"{number:.6g}" if f"{number:.6g}" != "1" else f"{number:.12g}"
            text = f"{SHARES.get(number, f'{told} times')} the right gradient, everywhere"
            gradient = self.scaled(lambda case: number, "", text).gradient
            yield Hypothesis(
                (), text, gradient, "Look for this factor where the error begins: each constant counts once."
            )

    def _reversed(self, right: dict[str, Array]) -> dict[str, Array]:
        return {name: right[f"{name[:2]}{self.network.layers + 1 - int(name[2:])}"] for name in right}

    def unnamed(self, first: Probe) -> Iterator[Hypothesis]:
        """What the catalogue has no name for, the most frequent first."""
        yield from self.of_another_problem()
        yield from self._of_other_slopes()
        yield from self._of_other_functions()
        for one in self._wide():
            if not one.row.name:
                yield Hypothesis((), one.label, self._of(one.replaced), one.cure)
        yield from self._of_other_errors()
        yield from self._of_other_softmaxes()
        yield from self._clipped(first)
        yield from self._of_another_layer()
        yield from self._of_memories()
        for one in other_data.rows(self.case, mutates=False):
            if not one.name:
                yield Hypothesis((), one.label, partial(self._with_data, one.change), one.cure)
        for text, change, start in other_data.families():
            yield from self._fitted(
                first, text, lambda t, change=change: partial(self._with_data, change(t)), start
            )
        yield from self._of_fitted_functions(first)
        (scores,) = self.network.of("scores")
        for label, function in other_data.errors_for_targets(self.case):
            yield Hypothesis((), label, self._of([(scores, function)]))
        for one in other_data.weights(first.wide, first.case.samples):
            yield Hypothesis((), one.label, self._of([(scores, one.weigh)]), one.cure)
        for label, sizes in other_data.DIVISORS.items():
            yield Hypothesis(
                (), f"the sum over the n samples is divided by {label}", partial(self._divided, sizes)
            )

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

    def _with_data(self, change: other_data.Change, probe: Probe) -> dict[str, Array]:
        return self.network.at_other_inputs(probe, change)

    def _divided(self, sizes: other_data.Divisor, probe: Probe) -> dict[str, Array]:
        case = probe.wide
        times = case.samples if case.reduction == "mean" else 1
        right = self.network.with_edits(probe, []) or {}
        return {
            name: array * times / sizes(case.samples, case.sizes, int(name[2:]))
            for name, array in right.items()
        }

    # other problems

    def of_another_problem(self, most: int = 4) -> Iterator[Hypothesis]:
        """The right gradient for other choices than the case's, those that differ in the fewest names first."""
        (scores,) = self.network.of("scores")
        for label, choices in other_choices(self.case, "the gradient of "):
            if len(_different(self.case, choices)) > most:
                return
            cure = f"If that is what you mean, say so in PROBLEM: {entries(self.case, choices)}."
            below = self._with_hidden(choices["hidden"]) if choices["hidden"] != self.case.hidden else []
            for plain in (False, True) if choices["loss"] == "cross_entropy" else (False,):
                at_scores = partial(
                    _scores_error, choices["output"], choices["loss"], choices["reduction"], plain
                )
                changes = [*below, (scores, at_scores)]
                yield Hypothesis((), f"this is {label}", self._of(changes), cure)

    def mistaken_in_another_problem(self) -> Iterator[Hypothesis]:
        """A mistake of the catalogue in a problem that differs in one name, or in what an entropy needs."""
        for told, choices in other_choices(self.case, "with the gradient of "):
            different = {key for key, one in choices.items() if one != self.case.choices[key]}
            if len(different) == 1 or (different == {"loss", "output"} and choices["loss"] in OF_SCORES):
                moved = _Moved(choices)
                for one in Hypotheses(replace(self.case, **choices)).named(mutates=False):
                    yield Hypothesis((one.names[0], told), one.label, partial(moved, one))

    def _with_hidden(
        self, name: str, options: Mapping[str, Any] | None = None, layers: Sequence[int] = ()
    ) -> list[Replaced]:
        """Another activation in the hidden layers, or in some: going up and down."""
        chosen = layers or range(1, self.network.layers)
        f, g = partial(value, name, **(options or {})), partial(back, name, **(options or {}))
        up = [(step, lambda z: f(z)) for step in self.network.of("value") if step.layer in chosen]  # noqa: PLW0108
        down = [(step, lambda dh, z: g(dh, z)) for step in self._slopes() if step.layer in chosen]  # noqa: PLW0108
        return [*up, *down]

    def _with_output(
        self, f: Callable[[Array], Array], df: Callable[[Array, Array], Array]
    ) -> list[Replaced]:
        """Another activation at the output, or another softmax; o − y for an entropy."""
        (scores,) = self.network.of("scores")
        loss, reduction = self.case.loss, self.case.reduction

        def at_scores(z: Array, y: Array) -> Array:
            o = f(z)
            if loss in SQUARED:
                return df(error(loss, o, y, reduction), z)
            return (o - y) / (len(y) if reduction == "mean" else 1)

        return [(scores, at_scores)]

    # other functions

    def _of_other_slopes(self) -> Iterator[Hypothesis]:
        *hidden, output = self._slopes()
        places = (
            (hidden, self.case.hidden, "the hidden layers"),
            ([output], self.case.output, "the output"),
            ([*hidden, output], self.case.hidden, "every layer"),
        )
        for steps, said, place in places:
            for row in wrong_steps.other_slopes(said) if steps else ():
                label = f"the slope of {place} is {row.label}, and PROBLEM says {said}"
                changes = [(step, row.function) for step in steps]
                yield Hypothesis((), label, self._of(changes), wrong_steps.CURES["slope"])

    def _of_other_functions(self) -> Iterator[Hypothesis]:
        hidden = range(1, self.network.layers)
        for name, options in wrong_steps.functions():
            told = f"this is the gradient of a network with {wrong_steps.called(name, options)}"
            if hidden:
                label = f"{told} in the hidden layers, and PROBLEM says {self.case.hidden}"
                yield Hypothesis((), label, self._of(self._with_hidden(name, options)))
            f, df = partial(value, name, **options), partial(back, name, **options)
            label = f"{told} at the output, and PROBLEM says {self.case.output}"
            yield Hypothesis((), label, self._of(self._with_output(f, df)))
            for layer in hidden if len(hidden) > 1 else ():
                label = f"layer {layer} has {wrong_steps.called(name, options)}, and PROBLEM says {self.case.hidden}"
                yield Hypothesis((), label, self._of(self._with_hidden(name, options, [layer])))

    def _of_other_softmaxes(self) -> Iterator[Hypothesis]:
        *_, output = self._slopes()
        (scores,) = self.network.of("scores")
        if self.case.output == "softmax":
            for text, axis in (("the samples", 0), ("all samples and outputs", None)):
                label = f"the softmax is taken over {text}, not over the outputs of each sample"
                for way in dict.fromkeys((axis, 1)):
                    both = partial(_softmax, axis), partial(_softmax_back, axis, way)
                    yield Hypothesis((), label, self._of(self._with_output(*both)))
            for text, function in wrong_steps.jacobians():
                yield Hypothesis((), f"the softmax's Jacobian {text}", self._of([(output, function)]))
        if self.case.loss == "cross_entropy":
            for text, function in (
                (
                    "going forward, and o − y is the error all the same",
                    lambda o, y: self._over(_softmax(1, o) - y),
                ),
                (
                    ", here and in the loss",
                    lambda o, y: back("softmax", self._over(_softmax(1, o) - y), np.log(o)),
                ),
            ):
                label = f"the softmax is taken twice {text}".replace(" ,", ",")
                yield Hypothesis((), label, self._of([(scores, function)]))

    def _over(self, errors: Array) -> Array:
        return errors / (len(errors) if self.case.reduction == "mean" else 1)

    def _of_other_errors(self) -> Iterator[Hypothesis]:
        """The gradient of a loss that PROBLEM does not know, or an error that is none of a loss."""
        loss, said = self.case.loss, f", and PROBLEM says {self.case.loss}"
        (at_error,), (scores,) = self.network.of("error"), self.network.of("scores")
        if loss in SQUARED:
            for (name, options), text in product(_losses(), ("averaged", "summed")):
                function = partial(_other_error, name, options, self.case.reduction, text)
                told = f"{wrong_steps.called(name, options)}, {text} over the outputs{said}"
                yield Hypothesis((), f"this is the gradient of {told}", self._of([(at_error, function)]))
            for text, axis in (("each sample", 1), ("the batch", None)):
                label = f"this is the gradient of the square root of the loss of {text}"
                yield Hypothesis(
                    (), label, self._of([(at_error, partial(_root, loss, self.case.reduction, axis))])
                )
        elif loss == "cross_entropy":
            for name, options in _losses_of_labels():
                told = f"this is the gradient of {wrong_steps.called(name, options)}{said}"
                function = partial(_label_error, name, options, self.case.reduction)
                yield Hypothesis((), told, self._of([(scores, function)]))
            for name in HIDDEN:
                told = f"there is a {name} before the softmax, and PROBLEM has none"
                function = partial(_through, name)
                yield Hypothesis((), told, self._of([(scores, lambda z, y, f=function: self._over(f(z, y)))]))
        else:
            for text, half in (
                ("−y log o alone, without (1 − y) log(1 − o)", lambda o, y: -y * (1 - o)),
                ("−(1 − y) log(1 − o) alone, without y log o", lambda o, y: (1 - y) * o),
            ):
                function = partial(self._mean_of, half)
                yield Hypothesis((), f"this is the gradient of {text}", self._of([(scores, function)]))

    def _mean_of(self, half: Function, o: Array, y: Array) -> Array:
        return self._over(half(o, y)) / (o.shape[1] if self.case.loss.startswith("mean") else 1)

    def _clipped(self, first: Probe) -> Iterator[Hypothesis]:
        """An error that is clipped: between two of its entries the gradient is linear in the limit, which is read."""
        *hidden, _ = self._slopes()
        told = [(hidden[:1], "∂L/∂z of the hidden layers is clipped to ±{}")] if len(hidden) == 1 else []
        told += [(self.network.of("error"), "∂L/∂o is clipped to ±{} of o − y, as a Huber loss is bent")]
        for steps, text in told:
            for limit in self._limits(first, steps[0]):
                cut = partial(_CUT[steps[0].kind], limit)
                yield Hypothesis((), text.format(f"{limit:.6g}"), self._of([(steps[0], cut)]))

    def _limits(self, first: Probe, step: Step) -> Iterator[float]:
        reading = self.network.reading(first)
        if step.kind == "error":
            sizes = abs(reading.values[step.reads["o"]] - reading.values[step.reads["y"]])
        else:
            sizes = abs(np.asarray(reading.values[self.network.passage.flow.steps[step.equation].outputs[0]]))
        sizes = [0.0, *np.sort(sizes.ravel())[-MOST_CUT:].tolist()]
        for low, high in pairwise(sizes):
            cut = [self._of([(step, partial(_CUT[step.kind], t))])(first) for t in (low, high)]
            if cut[0] is None or cut[1] is None:
                continue
            name = next(iter(first.wrong))
            change, off = cut[1][name] - cut[0][name], first.answer[name] - cut[0][name]
            if off.shape == change.shape and change.any():
                part = float((off * change).sum() / (change * change).sum())
                if 0 <= part <= 1:
                    yield float(f"{low + part * (high - low):.9g}")

    def _of_fitted_functions(self, first: Probe) -> Iterator[Hypothesis]:
        """Activations with an option, whatever its value."""
        for one in OPERATIONS.values():
            if one.forward.__module__.endswith("activations") and len(one.options) == 1 < self.network.layers:
                ((key, (start, *_)),) = one.options.items()
                told = f"{one.name} with {key} {{}} in the hidden layers, and PROBLEM says {self.case.hidden}"
                family = partial(self._with_option, one.name, key)
                yield from self._fitted(
                    first, f"this is the gradient of a network with {told}", family, start
                )

    def _with_option(self, name: str, key: str, number: float) -> Gradient:
        return self._of(self._with_hidden(name, {key: number}))

    def _fitted(
        self, first: Probe, text: str, family: Callable[[float], Gradient], start: float
    ) -> Iterator[Hypothesis]:
        """A family of gradients with a number in them, which one answer shows: by the method of Gauss and Newton."""
        names, number = list(first.wrong), start
        wanted = np.concatenate([first.answer[name].ravel() for name in names])

        def at(t: float) -> Array:
            found = Hypothesis((), "", family(t))(first) or {}
            return (
                np.concatenate([found[name].ravel() for name in names])
                if found
                else np.full_like(wanted, np.nan)
            )

        for _ in range(MOST_STEPS):
            here = at(number)
            by = STEP * max(abs(number), STEP)
            slope = (at(number + by) - here) / by
            step = float(slope @ (wanted - here) / (slope @ slope)) if slope.any() else np.nan
            if not np.isfinite(step):
                return
            number += step
            if abs(step) <= np.finfo(float).eps * abs(number):
                break
        for written in _as_written(number):
            if written not in (0.0, 1.0):
                yield Hypothesis((), text.format(f"{written:.6g}"), family(written))

    # other layers

    def _of_another_layer(self) -> Iterator[Hypothesis]:
        """An index off by one, wherever there is such a layer, or in one alone; it fits where layers are as wide."""
        weights, downs, slopes = (self.network.of(kind) for kind in ("weights", "down", "slope"))
        rows: list[tuple[str, Sequence[Step], str, int]] = [
            ("dW is made with the output of its layer, not with the input", weights, "x", 1),
            ("dW is made with the input of the layer below", weights, "x", -1),
            ("the error goes down by the weights of the layer below", downs, "W", -1),
            ("the error goes down by the weights of the layer above", downs, "W", 1),
            ("the slope is that of the layer above", slopes[:-1], "z", 1),
            ("the slope is that of the layer below", slopes[:-1], "z", -1),
        ]
        for text, steps, name, by in rows:
            moved = [(step, self._moved(step, name, by)) for step in steps]
            made = [(step, function) for step, function in moved if function is not None]
            if made:
                yield Hypothesis((), text, self._elsewhere(made))
            for step, function in made if self.network.layers > 1 else ():
                layer = step.layer + (name == "W")
                yield Hypothesis((), f"{text}, in layer {layer}", self._elsewhere([(step, function)]))

    def _moved(self, step: Step, name: str, by: int) -> Step | None:
        """The step with an array of another layer; None where there is no such layer."""
        layer = step.layer + (name == "W") + by
        there = {one.layer: one.reads for one in self.network.of("weights")}
        if name == "x" and layer == self.network.layers + 1:
            slot = there[self.network.layers]["h"]
        elif layer in there:
            slot = there[layer][name]
        else:
            return None
        return Step(step.kind, step.layer, step.equation, {**step.reads, name: slot}, step.within)

    def _elsewhere(self, made: Sequence[tuple[Step, Step | None]]) -> Gradient:
        changes = list[Replaced]()
        for _, moved in made:
            if moved is not None:
                f = self._activation(moved.layer)
                functions: dict[str, Function] = {
                    "weights": lambda x, dz: x.T @ dz,
                    "down": lambda dz, W: dz @ W.T,
                    "slope": lambda dh, z, f=f: back(f, dh, z),
                }
                changes.append((moved, functions[moved.kind]))
        return self._of(changes)

    def _of_memories(self) -> Iterator[Hypothesis]:
        """z or h of the hidden layers that are not on the way down what they were on the way up."""
        *hidden, _ = self._slopes()
        for row in wrong_steps.memories(self.case.hidden) if hidden else ():
            if all(self.network.fits(step, row.function) for step in hidden):
                yield Hypothesis((), row.label, self._of([(step, row.function) for step in hidden]))
        upper = [(step, lambda x, dz: wrong_steps.half(x).T @ dz) for step in self.network.of("weights")[1:]]
        for row in wrong_steps.memories(self.case.hidden) if upper else ():
            if "with h in half" in row.label:
                both = [*upper, *((step, row.function) for step in hidden)]
                yield Hypothesis((), "h is kept in half precision (float16) for the way down", self._of(both))

    def updated(self, rate: float) -> Hypothesis:
        """Weights that make a step of this rate before the error goes down through them."""
        changes = [(step, wrong_steps.updated(rate)) for step in self.network.of("down")]
        return Hypothesis(("updated_weights_used",), f"rate {rate:.6g}", self._of(changes))

    def early(self, rate: float) -> Iterator[Hypothesis]:
        """The same alone, and with a row of the catalogue besides."""
        alone = self.updated(rate)
        yield alone
        downs = [(step, wrong_steps.updated(rate)) for step in self.network.of("down")]
        for one in self._wide():
            if one.row.name and one.replaced[0][0].kind != "down":
                changes = sorted((*one.replaced, *downs), key=_in_order)
                yield Hypothesis(
                    (*alone.names, one.row.name), f"{alone.label}, and {one.label}", self._of(changes)
                )

    def scaled(self, factor: Callable[[Case], float], name: str, label: str) -> Hypothesis:
        """The right gradient times a factor."""

        def gradient(probe: Probe) -> dict[str, Array]:
            right = self.network.with_edits(probe, []) or {}
            return {key: array * factor(probe.case) for key, array in right.items()}

        return Hypothesis((name,), label, gradient)

    def afterwards(
        self, label: str, change: Callable[[dict[str, Array]], dict[str, Array]], name: str = ""
    ) -> Hypothesis:
        """The right gradient, changed."""
        return Hypothesis(
            (name or label,), label, lambda probe: change(self.network.with_edits(probe, []) or {})
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


def _simplest(number: float) -> float:
    """The number with the fewest digits that is as near as a fit can tell."""
    near = (one for one in _as_written(number) if abs(one - number) <= NEAR * abs(number))
    return next((one for one in near if one != 1.0), number)


def _as_written(number: float) -> Iterator[float]:
    yield from (float(f"{number:.{digits}g}") for digits in DIGITS)
    yield from (
        1 / float(f"{1 / number:.{digits}g}") for digits in DIGITS if abs(number) > np.finfo(float).tiny
    )


def _in_order(one: Replaced) -> int:
    """What is replaced at one equation, in the order of the way back."""
    return ("error", "slope", "scores", "down", "weights", "bias", "value").index(one[0].kind)


def other_choices(case: Case, what: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    """Choices that differ from a case's, as (label, choices), those that differ in the fewest names first."""
    options = {
        "hidden": tuple(HIDDEN) if len(case.parameters) > 1 else (case.hidden,),
        "output": tuple(OUTPUTS),
        "loss": (*SQUARED, *OF_SCORES),
        "reduction": ("mean", "sum"),
    }
    found = [dict(zip(options, values, strict=True)) for values in product(*options.values())]
    for other in sorted(found, key=lambda other: len(_different(case, other))):
        different = _different(case, other)
        own = {"cross_entropy": "softmax"}.get(other["loss"], "sigmoid")
        if different and (other["loss"] in SQUARED or other["output"] == own):
            said = ", ".join(case.choices[key] for key in different)
            yield f"{what}{_described(different)}, and PROBLEM says {said}", other


def _different(case: Case, other: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in other.items() if value != case.choices[key]}


_PHRASES = {
    "reduction": "the {}",
    "loss": "the loss {}",
    "hidden": "a network with {} in the hidden layers",
    "output": "a network with the output {}",
}


def _described(different: Mapping[str, str]) -> str:
    """`the loss sse`, or `another problem: hidden relu, loss sse`."""
    if len(different) == 1:
        ((key, value),) = different.items()
        return _PHRASES[key].format(value)
    return f"another problem: {', '.join(f'{key} {value}' for key, value in different.items())}"


def entries(case: Case, choices: Mapping[str, str]) -> str:
    """What to write in PROBLEM."""
    return ", ".join(f'"{key}": "{value}"' for key, value in _different(case, choices).items())


# --- functions that stand in the place of steps -------------------------------------------------------------


def _scores_error(output: str, loss: str, reduction: str, plain: bool, z: Array, y: Array) -> Array:  # noqa: FBT001
    """∂L/∂z of the last layer for an output and a loss; `plain` is o − y, which a softmax has for rows of sum 1."""
    if plain:
        return (value("softmax", z) - y) / (len(y) if reduction == "mean" else 1)
    if loss in SQUARED:
        return back(output, error(loss, value(output, z), y, reduction), z)
    return error(loss, z, y, reduction)


def _softmax(axis: int | None, z: Array) -> Array:
    small = np.exp(z - z.max())
    return small / small.sum(axis=axis, keepdims=True)


def _softmax_back(axis: int | None, way: int | None, dh: Array, z: Array) -> Array:
    """Of a softmax over an axis, back as if over another."""
    h = _softmax(axis, z)
    return h * (dh - (dh * h).sum(axis=way, keepdims=True))


def _losses() -> Iterator[tuple[str, dict[str, Any]]]:
    """Losses of outputs and targets of any size that PROBLEM has no name for."""
    for one in OPERATIONS.values():
        shapes = [(given.axes, given.values) for given in one.inputs.values()]
        if (
            tuple(one.inputs) == ("x", "targets")
            and shapes == [("n k", "real")] * 2
            and one.name not in _KNOWN
        ):
            free = {name: values for name, values in one.options.items() if name != "reduction"}
            for values in product(*free.values()):
                yield one.name, dict(zip(free, values, strict=True))


def _losses_of_labels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Losses of scores and labels that PROBLEM has no name for."""
    for one in OPERATIONS.values():
        if (
            tuple(one.inputs) == ("x", "labels")
            and one.inputs["x"].axes == "n k"
            and "reduction" in one.options
        ):
            free = {name: values for name, values in one.options.items() if name != "reduction"}
            for values in product(*free.values()):
                yield one.name, dict(zip(free, values, strict=True))


def _label_error(name: str, options: Mapping[str, Any], reduction: str, z: Array, y: Array) -> Array:
    return error(name, z, y.argmax(1), reduction, **options)


def _through(name: str, z: Array, y: Array) -> Array:
    """o − y of a softmax of an activation, back through the activation."""
    return back(name, value("softmax", value(name, z)) - y, z)


_KNOWN = (*SQUARED, *OF_SCORES, "kl_divergence")


def _other_error(
    name: str, options: Mapping[str, Any], reduction: str, over_outputs: str, o: Array, y: Array
) -> Array:
    """Of a loss that is a mean over the outputs, or of their sum."""
    return error(name, o, y, reduction, **options) * (o.shape[1] if over_outputs == "summed" else 1)


def _root(loss: str, reduction: str, axis: int | None, v: Array, o: Array, y: Array) -> Array:
    """∂√L = ∂L / (2√L), of each sample's loss L, or of the batch's, which is their mean or sum."""
    whole = {"mse": 1 / o.shape[1], "half_mse": 0.5 / o.shape[1], "sse": 1.0, "half_sse": 0.5}[loss]
    values = whole * ((o - y) ** 2).sum(1)
    joined = values[:, None] if axis == 1 else values.mean() if reduction == "mean" else values.sum()
    return v / (2 * np.sqrt(joined))


def _cut_error(limit: float, v: Array, o: Array, y: Array) -> Array:
    return v / (o - y) * (o - y).clip(-limit, limit)


def _cut_slope(limit: float, v: Array) -> Array:
    return v.clip(-limit, limit)


_CUT: Mapping[str, Function] = {"error": _cut_error, "slope": _cut_slope}


class _Moved:
    """Asks hypotheses of another problem: each probe with other choices, once."""

    def __init__(self, choices: Mapping[str, str]) -> None:
        self._choices = choices
        self._known = dict[int, tuple[Probe, Probe]]()

    def __call__(self, hypothesis: Hypothesis, probe: Probe) -> dict[str, Array] | None:
        if id(probe) not in self._known:
            self._known[id(probe)] = probe, Probe(replace(probe.case, **self._choices), probe.answer)
        return hypothesis(self._known[id(probe)][1])
