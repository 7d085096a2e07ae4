"""What a wrong gradient might be.

The catalogue's variants, the same in one layer, two at once, and the right gradient of another problem.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from inspect import getclosurevars
from itertools import combinations, count, product
from typing import Unpack, cast

from manual_backprop import ACTIVATIONS, OUTPUTS, Parameters, Rule, gradient
from manual_backprop.activations import Array, Elementwise, Softmax
from manual_backprop.losses import LOSSES
from manual_backprop.mistakes import MISTAKES, WrongGradient, setting_of
from manual_backprop.mistakes.catalogue import Gradient, Names, following
from manual_backprop.mistakes.dropped_terms import one_downstream_path, only, some_columns
from manual_backprop.network import RIGHT_RULE
from properties.cases import Case
from properties.comparison import named
from properties.diagnosis.probes import Probe
from reference.network import Choices

ACCUMULATED_CALLS = "over the calls"
STATE = ("input_mutated", "precision_lost")
"""Mistakes that one answer does not show: they are looked for in other ways."""


@dataclass(frozen=True)
class Hypothesis:
    """A gradient that a subject may be following, with the names of the mistakes that it makes."""

    names: tuple[str, ...]
    label: str
    gradient: Gradient

    def __call__(self, probe: Probe) -> dict[str, Array] | None:
        """Its arrays for a probe by name; None where it can't be computed, as for sizes that do not fit."""
        case = probe.wide
        try:
            found = self.gradient(case.parameters, case.inputs, case.targets, **case.choices)
        except (ValueError, IndexError):
            return None
        return named(found)


@dataclass(frozen=True)
class Account:
    """An explanation of a subject.

    The names of the mistakes, what they are in particular, and whether it holds of a probe. Of
    accounts of as many names, one of a lower `cost` is the closer one. `unnamed` is what it says besides.
    """

    names: tuple[str, ...]
    label: str
    holds: Callable[[Probe], bool]
    cost: int = 0
    unnamed: tuple[str, ...] = ()


def catalogue(probes: Sequence[Probe], *, mutates: bool) -> list[Hypothesis]:
    """Every variant of the catalogue that differs from the right gradient somewhere on these probes.

    Args:
        probes: where it should differ.
        mutates: whether the subject is known to change its arguments.
    """
    settings = [setting_of(p.case.parameters, p.case.inputs, **p.case.choices) for p in probes]
    layers = len(probes[0].case.parameters)
    found: list[Hypothesis] = []
    for name, label, wrong in _variants(mutates=mutates):
        if any(wrong.applies(**setting) for setting in settings):
            found.append(Hypothesis((name,), label, wrong))
            rule = rule_of(wrong)
            if rule is not None:
                found += (
                    Hypothesis((name,), f"{label}: {where}", local)
                    for where, local in _in_one_layer(rule, layers)
                )
    return found


def _variants(*, mutates: bool) -> Iterator[tuple[str, str, WrongGradient]]:
    for mistake in MISTAKES.values():
        for label, wrong in mistake.variants:
            if label != ACCUMULATED_CALLS and (mutates or mistake.name not in STATE):
                yield mistake.name, label, wrong
    second = WrongGradient(
        following(one_downstream_path(1)), MISTAKES["one_downstream_path"].variants[0][1].where
    )
    yield "one_downstream_path", "the second", second
    column = WrongGradient(following(some_columns(only(1))), lambda s: s.output == "softmax")
    yield "one_output_only", "the second column after the softmax", column


def rule_of(wrong: WrongGradient) -> Rule | None:
    """The rule that a variant follows, None where it is more than a rule."""
    rule = getclosurevars(wrong.gradient).nonlocals.get("rule")
    return rule if isinstance(rule, Rule) else None


def changed(rule: Rule) -> set[str]:
    """The steps of a rule that are not the right ones."""
    return {
        field.name
        for field in fields(rule)
        if getattr(rule, field.name) is not getattr(RIGHT_RULE, field.name)
    }


def _in_one_layer(rule: Rule, layers: int) -> Iterator[tuple[str, Gradient]]:
    """A step on the way down made wrong in one layer, where there are several that it is made in.

    A wrong dW or db stays in its layer, and needs no hypothesis of its own.
    """
    steps = changed(rule)
    if layers <= 2 or len(steps) != 1 or not steps <= {"through_hidden", "into_layer_below"}:
        return
    (step,) = steps
    top = layers - 1 if step == "through_hidden" else layers
    for calls in range(layers - 1):
        yield f"in layer {top - calls} only", _only_at(rule, step, calls)


def _only_at(rule: Rule, step: str, position: int) -> Gradient:
    """The right rule, but for the call number `position` of a step, counted from the output."""

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        calls = count()

        def chosen(*arguments: object) -> Array:
            return getattr(rule if next(calls) == position else RIGHT_RULE, step)(*arguments)

        return gradient(parameters, inputs, targets, rule=replace(RIGHT_RULE, **{step: chosen}), **names)

    return wrong


def joined(hypotheses: Sequence[Hypothesis]) -> Iterator[Hypothesis]:
    """Two rules of the catalogue in one, where they differ from the right one in different steps."""
    rules = [
        (h, rule)
        for h in hypotheses
        if isinstance(h.gradient, WrongGradient) and (rule := rule_of(h.gradient))
    ]
    for (one, first), (other, second) in combinations(rules, 2):
        if one.names != other.names and not changed(first) & changed(second):
            both = replace(first, **{step: getattr(second, step) for step in changed(second)})
            yield Hypothesis((*one.names, *other.names), f"{one.label}, and {other.label}", following(both))


def of_another_problem(case: Case) -> Iterator[Hypothesis]:
    """The right gradient for other choices than the case's, one or two of them; the label says which."""
    for label, choices in other_choices(case, "the gradient of "):
        yield Hypothesis((), f"this is {label}", _with_choices(choices))


def other_choices(case: Case, what: str = "") -> Iterator[tuple[str, Choices]]:
    """Choices that differ from a case's in one or two names, as (label, choices), the nearest first."""
    layers = len(case.parameters)
    options = {
        "reduction": ("mean", "sum"),
        "loss": tuple(LOSSES),
        "hidden": tuple(ACTIVATIONS) if layers > 1 else (case.hidden,),
        "output": tuple(OUTPUTS),
    }
    choices = list(product(*options.values()))
    for values in sorted(choices, key=lambda values: _distance(values, options, case)):
        other = dict(zip(options, values, strict=True))
        different = {key: value for key, value in other.items() if value != case.choices[key]}
        if 1 <= len(different) <= 2 and LOSSES[other["loss"]].output in (None, other["output"]):
            said = " and ".join(case.choices[key] for key in different)
            yield f"{what}{_described(different)}, and PROBLEM says {said}", cast(Choices, other)


def _distance(values: Sequence[str], options: dict[str, tuple[str, ...]], case: Case) -> int:
    return sum(value != case.choices[key] for key, value in zip(options, values, strict=True))


_PHRASES = {
    "reduction": "the {}",
    "loss": "the loss {}",
    "hidden": "a network with {} in the hidden layers",
    "output": "a network with the output {}",
}


def _described(different: dict[str, str]) -> str:
    return " and ".join(_PHRASES[key].format(value) for key, value in different.items())


def _with_choices(choices: Choices) -> Gradient:
    def other(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        del names
        return gradient(parameters, inputs, targets, **choices)

    return other


Step = Callable[[Elementwise | Softmax, Array, Array, Array], Array]


def with_another_slope(case: Case) -> Iterator[Hypothesis]:
    """The right way up, and down by the slope of another activation: taken at z, or as a formula in h."""
    for name, row in ACTIVATIONS.items():
        for text, step in (
            (f"the slope of {name} at z", _slope_at_z(row)),
            (f"the slope of {name} as a formula in h", _slope_of_h(row)),
        ):
            for place, rule in (
                ("the hidden layers", Rule(through_hidden=step)),
                ("the output", Rule(through_output=step)),
                ("every layer", Rule(through_hidden=step, through_output=step)),
            ):
                said = case.output if place == "the output" else case.hidden
                yield Hypothesis((), f"{place} came back by {text}, and PROBLEM says {said}", following(rule))


def _slope_at_z(row: Elementwise) -> Step:
    return lambda activation, dh, z, h: row.backward(dh, z, row.forward(z))


def _slope_of_h(row: Elementwise) -> Step:
    return lambda activation, dh, z, h: row.backward(dh, h, h)


Change = Callable[[Parameters], Parameters]


def without_bias(layers: int) -> Iterator[tuple[str, Change]]:
    """Parameters whose biases are 0, in all layers or in one, as (label, change)."""
    yield "the forward pass leaves the biases out", _zero_biases(range(layers))
    if layers > 1:
        for layer in range(layers):
            yield f"the forward pass leaves the bias of layer {layer + 1} out", _zero_biases([layer])


def _zero_biases(layers: Sequence[int]) -> Change:
    return lambda parameters: [
        (W, b if b is None or layer not in layers else 0 * b) for layer, (W, b) in enumerate(parameters)
    ]


def unnamed(first: Probe) -> Iterator[Hypothesis]:
    """What the catalogue has no name for: arrays of zeros, in another order or transposed; biases left out."""
    zeros = [name for name in first.wrong if not first.answer[name].any()]
    if any(name.startswith("dW") for name in zeros):  # of biases alone, the catalogue knows
        text = (
            "the gradient is 0 everywhere"
            if zeros == list(first.right)
            else f"0 is given for {', '.join(zeros)}"
        )
        yield _described_as(text, _of_the_right(lambda name, array: 0 * array if name in zeros else array))
    yield _described_as(
        "dW is given transposed", _of_the_right(lambda name, array: array.T if name[1] == "W" else array)
    )
    yield _described_as("the layers are given in reverse order", _reversed)
    if first.case.parameters[0][1] is not None:
        for label, change in without_bias(len(first.case.parameters)):
            yield _described_as(label, _of_changed(change))


def _described_as(label: str, wrong: Gradient) -> Hypothesis:
    return Hypothesis((label,), label, wrong)


def _of_the_right(change: Callable[[str, Array], Array]) -> Gradient:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        right = gradient(parameters, inputs, targets, **names)
        return [
            (change(f"dW{layer}", dW), None if db is None else change(f"db{layer}", db))
            for layer, (dW, db) in enumerate(right, start=1)
        ]

    return wrong


def _reversed(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
    return gradient(parameters, inputs, targets, **names)[::-1]


def _of_changed(change: Change) -> Gradient:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        return gradient(change(parameters), inputs, targets, **names)

    return wrong
