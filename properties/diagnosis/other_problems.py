"""The right gradient of another problem than PROBLEM states, with a mistake in it or without.

A subject whose PROBLEM is missing or wrong is told by its explanation what to write there.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Unpack, cast

from manual_backprop import ACTIVATIONS, OUTPUTS, Parameters, Rule
from manual_backprop.activations import Array
from manual_backprop.losses import LOSSES
from manual_backprop.mistakes.catalogue import Gradient, Names, following, setting_of
from manual_backprop.network import RIGHT_RULE
from properties.cases import Case
from properties.diagnosis.hypotheses import Hypothesis, variants
from reference.network import Choices


def of_another_problem(case: Case) -> Iterator[Hypothesis]:
    """The right gradient for other choices than the case's, those that differ in the fewest names first."""
    for label, choices in other_choices(case, "the gradient of "):
        cure = f"If that is what you mean, say so in PROBLEM: {_entries(case, choices)}."
        yield Hypothesis((), f"this is {label}", _with_choices(following(RIGHT_RULE), choices), cure)
        if choices["loss"] == "cross_entropy":  # where the rows of targets add up to 1, the same
            plain = following(Rule(output_error=lambda loss, o, y: o - y))
            yield Hypothesis((), f"this is {label}", _with_choices(plain, choices), cure)


def other_choices(case: Case, what: str = "") -> Iterator[tuple[str, Choices]]:
    """Choices that differ from a case's, as (label, choices), those that differ in the fewest names first."""
    layers = len(case.parameters)
    options = {
        "hidden": tuple(ACTIVATIONS) if layers > 1 else (case.hidden,),
        "output": tuple(OUTPUTS),
        "loss": tuple(LOSSES),
        "reduction": ("mean", "sum"),
    }
    found = [dict(zip(options, values, strict=True)) for values in product(*options.values())]
    for other in sorted(found, key=lambda other: len(_different(case, other))):
        different = _different(case, other)
        if different and LOSSES[other["loss"]].output in (None, other["output"]):
            said = ", ".join(case.choices[key] for key in different)
            yield f"{what}{_described(different)}, and PROBLEM says {said}", cast(Choices, other)


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


def _entries(case: Case, choices: Choices) -> str:
    different = _different(case, cast(Mapping[str, str], choices))
    return ", ".join(f'"{key}": "{value}"' for key, value in different.items())


def _with_choices(of: Gradient, choices: Choices) -> Gradient:
    def other(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        del names
        return of(parameters, inputs, targets, **cast(Names, choices))

    return other


def mistaken_in_another_problem(case: Case) -> Iterator[Hypothesis]:
    """A mistake of the catalogue in a problem that differs in one name, or in what an entropy needs."""
    for told, choices in other_choices(case, "with the gradient of "):
        different = _different(case, cast(Mapping[str, str], choices))
        if len(different) > 1 and not (
            set(different) == {"loss", "output"} and LOSSES[choices["loss"]].output
        ):
            continue
        setting = setting_of(case.parameters, case.inputs, **cast(Names, choices))
        for name, label, wrong in variants(mutates=False):
            if wrong.applies(**setting):
                yield Hypothesis((name, told), label, _with_choices(wrong, choices))
