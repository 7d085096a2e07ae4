"""What a wrong gradient might be.

The catalogue's variants, the same in one layer, and two at once.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from inspect import getclosurevars
from itertools import chain, combinations, count
from typing import Unpack

from manual_backprop import Parameters, Rule, gradient
from manual_backprop.activations import Array
from manual_backprop.mistakes import MISTAKES, WrongGradient, setting_of
from manual_backprop.mistakes.catalogue import Gradient, Names, following
from manual_backprop.mistakes.dropped_terms import one_downstream_path, only, some_columns
from manual_backprop.network import RIGHT_RULE
from properties.comparison import named
from properties.diagnosis.probes import Probe

ACCUMULATED_CALLS = "over the calls"
STATE = ("input_mutated", "precision_lost")
"""Mistakes that one answer does not show: they are looked for in other ways."""


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
    accounts of as many names, one of a lower `cost` is the closer one. `unnamed` is what it says besides, and `cure`
    what to do where it has no name.
    """

    names: tuple[str, ...]
    label: str
    holds: Callable[[Probe], bool]
    cost: int = 0
    unnamed: tuple[str, ...] = ()
    cure: str = ""


def catalogue(probes: Sequence[Probe], *, mutates: bool) -> list[Hypothesis]:
    """Every variant of the catalogue that differs from the right gradient somewhere on these probes.

    Args:
        probes: where it should differ.
        mutates: whether the subject is known to change its arguments.
    """
    settings = [setting_of(p.case.parameters, p.case.inputs, **p.case.choices) for p in probes]
    layers = len(probes[0].case.parameters)
    found: list[Hypothesis] = []
    for name, label, wrong in variants(mutates=mutates):
        if any(wrong.applies(**setting) for setting in settings):
            found.append(Hypothesis((name,), label, wrong))
            rule = rule_of(wrong)
            if rule is not None:
                found += (
                    Hypothesis((name,), f"{label}: {where}", local)
                    for where, local in _in_layers(rule, layers, range(1, 2))
                )
    return found


def in_several_layers(hypotheses: Sequence[Hypothesis], layers: int) -> Iterator[Hypothesis]:
    """A variant of the catalogue in several layers, but not in all."""
    for h in hypotheses:
        rule = rule_of(h.gradient) if isinstance(h.gradient, WrongGradient) else None
        if rule is not None:
            for where, local in _in_layers(rule, layers, range(2, layers - 1)):
                yield Hypothesis(h.names, f"{h.label}: {where}", local)


def variants(*, mutates: bool) -> Iterator[tuple[str, str, WrongGradient]]:
    """Those of the catalogue that an answer can show, as (name, label, wrong gradient)."""
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


def _in_layers(rule: Rule, layers: int, counts: range) -> Iterator[tuple[str, Gradient]]:
    """A step on the way down made wrong in so many layers, where there are more that it is made in.

    A wrong dW or db stays in its layer, and needs no hypothesis of its own.
    """
    steps = changed(rule)
    if layers <= 2 or len(steps) != 1 or not steps <= {"through_hidden", "into_layer_below"}:
        return
    (step,) = steps
    top = layers - 1 if step == "through_hidden" else layers
    for some in chain.from_iterable(combinations(range(layers - 1), n) for n in counts):
        numbers = " and ".join(str(top - calls) for calls in reversed(some))
        yield f"in layer{'s' * (len(some) > 1)} {numbers} only", _only_at(rule, step, some)


def _only_at(rule: Rule, step: str, positions: Collection[int]) -> Gradient:
    """The right rule, but for some calls of a step, by their numbers from the output."""

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        calls = count()

        def chosen(*arguments: object) -> Array:
            return getattr(rule if next(calls) in positions else RIGHT_RULE, step)(*arguments)

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
