"""Programs that are not the one that PROBLEM states: other activations, losses, inputs, targets.

Each is the right program with steps replaced, or read at other inputs: the catalogue has no name for most of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from properties.cases import Array, Case
from properties.diagnosis import cures
from properties.diagnosis.networks import SQUARED, Function, Network, Replaced, back, error, value
from properties.diagnosis.search import Candidate, Change
from properties.diagnosis.wrong_steps import called, functions, other_slopes
from reference.operations import OPERATIONS
from reference.operations.network import HIDDEN, OF_SCORES, OUTPUTS

UNNAMED = 3.0
"""The rank of what the catalogue has no name for."""


def others(network: Network) -> Iterator[Candidate]:
    """All of them, the most frequent first."""
    for family in (problems, _slopes, _functions, _errors, _softmaxes):
        yield from family(network)


def _at(network: Network, kind: str, function: Function) -> list[Replaced]:
    """Every step of a kind replaced."""
    return [(step, function) for step in network.of(kind)]


# --- other problems -----------------------------------------------------------------------------------------


def problems(network: Network, most: int = 4) -> Iterator[Candidate]:
    """The right gradient for other choices than the case's, of which so many differ; the fewest first."""
    case = network.case
    for label, choices in other_choices(case):
        different = _different(case, choices)
        if len(different) > most:
            return
        entries = ", ".join(f'"{key}": "{one}"' for key, one in different.items())
        below = in_hidden_layers(network, choices["hidden"]) if "hidden" in different else []
        text, cure = (
            f"this is the gradient of {label}",
            f"If that is what you mean, say so in PROBLEM: {entries}.",
        )
        for plain in (False, True) if choices["loss"] == "cross_entropy" else (False,):
            changes = [*below, *_at(network, "scores", partial(_of_problem, {**choices, "plain": plain}))]
            yield network.candidate(text, changes, cure=cure, rank=UNNAMED + len(different) / 9)


def _of_problem(choices: Mapping[str, Any], z: Array, y: Array) -> Array:
    """∂L/∂z of the last layer for an output and a loss; `plain` is o − y, which a softmax has for rows of sum 1."""
    loss, output, reduction = (choices[key] for key in ("loss", "output", "reduction"))
    if choices["plain"]:
        return _over(reduction, value("softmax", z) - y)
    if loss in SQUARED:
        return back(output, error(loss, value(output, z), y, reduction), z)
    return error(loss, z, y, reduction)


def _over(reduction: str, errors: Array) -> Array:
    return errors / (len(errors) if reduction == "mean" else 1)


def other_choices(case: Case) -> Iterator[tuple[str, dict[str, str]]]:
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
            yield f"{_described(different)}, and PROBLEM says {said}", other


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


# --- other functions ----------------------------------------------------------------------------------------


def in_hidden_layers(
    network: Network, name: str, options: Mapping[str, Any] | None = None, layers: Sequence[int] = ()
) -> list[Replaced]:
    """Another activation in the hidden layers, or in some: going up and down."""
    chosen, more = layers or range(1, network.layers), options or {}

    def up(z: Array) -> Array:
        return value(name, z, **more)

    def down(dh: Array, z: Array) -> Array:
        return back(name, dh, z, **more)

    ups = [(step, up) for step in network.of("value") if step.layer in chosen]
    return [*ups, *((step, down) for step in network.of("slope") if step.layer in chosen)]


def _at_output(network: Network, f: Function, df: Function) -> list[Replaced]:
    """Another activation at the output, or another softmax; o − y for an entropy."""
    loss, reduction = network.case.loss, network.case.reduction

    def at_scores(z: Array, y: Array) -> Array:
        if loss in SQUARED:
            return df(error(loss, f(z), y, reduction), z)
        return _over(reduction, f(z) - y)

    return _at(network, "scores", at_scores)


def _slopes(network: Network) -> Iterator[Candidate]:
    (*hidden, output), case = network.of("slope"), network.case
    places = ((hidden, case.hidden, "the hidden layers"), ([output], case.output, "the output"))
    for steps, said, place in places:
        for row in other_slopes(said) if steps else ():
            text = f"the slope of {place} is {row.label}, and PROBLEM says {said}"
            changes = [(step, row.function) for step in steps]
            yield network.candidate(text, changes, cure=cures.OF_A_STEP["slope"], rank=UNNAMED + 1)


def _functions(network: Network) -> Iterator[Candidate]:
    hidden, case = range(1, network.layers), network.case
    for name, options in functions():
        told = f"this is the gradient of a network with {called(name, options)}"
        if hidden:
            text = f"{told} in the hidden layers, and PROBLEM says {case.hidden}"
            yield network.candidate(text, in_hidden_layers(network, name, options), rank=UNNAMED + 1)
        f, df = partial(_value_at, name, options), partial(_back_at, name, options)
        text = f"{told} at the output, and PROBLEM says {case.output}"
        yield network.candidate(text, _at_output(network, f, df), rank=UNNAMED + 1)
        for layer in hidden if len(hidden) > 1 else ():
            text = f"layer {layer} has {called(name, options)}, and PROBLEM says {case.hidden}"
            yield network.candidate(text, in_hidden_layers(network, name, options, [layer]), rank=UNNAMED + 1)


def _value_at(name: str, options: Mapping[str, Any], z: Array) -> Array:
    return value(name, z, **options)


def _back_at(name: str, options: Mapping[str, Any], dh: Array, z: Array) -> Array:
    return back(name, dh, z, **options)


def _softmaxes(network: Network) -> Iterator[Candidate]:
    """A softmax over another axis, back over this axis or over the right one."""
    for text, axis in (("the samples", 0), ("all samples and outputs", None)):
        for way in dict.fromkeys((axis, 1)) if network.case.output == "softmax" else ():
            changes = _at_output(network, partial(_softmax, axis), partial(_softmax_back, axis, way))
            said = f"the softmax is taken over {text}, not over the outputs of each sample"
            yield network.candidate(said, changes, rank=UNNAMED + 1)


def _softmax(axis: int | None, z: Array) -> Array:
    small = np.exp(z - z.max())
    return small / small.sum(axis=axis, keepdims=True)


def _softmax_back(axis: int | None, way: int | None, dh: Array, z: Array) -> Array:
    h = _softmax(axis, z)
    return h * (dh - (dh * h).sum(axis=way, keepdims=True))


# --- other losses -------------------------------------------------------------------------------------------


def _errors(network: Network) -> Iterator[Candidate]:
    """The gradient of a loss that PROBLEM does not know, or of a function before the softmax."""
    loss, reduction = network.case.loss, network.case.reduction
    this, said = "this is the gradient of", f", and PROBLEM says {network.case.loss}"
    if loss in SQUARED:
        for (name, options), text in product(_losses("targets", "n k"), ("averaged", "summed")):
            function = partial(_other_error, name, {**options, "reduction": reduction}, text)
            told = f"{this} {called(name, options)}, {text} over the outputs{said}"
            yield network.candidate(told, _at(network, "error", function), rank=UNNAMED + 1)
    elif loss == "cross_entropy":
        for name, options in _losses("labels", "n"):
            function = partial(_label_error, name, {**options, "reduction": reduction})
            told = f"{this} {called(name, options)}{said}"
            yield network.candidate(told, _at(network, "scores", function), rank=UNNAMED + 1)
        for name in OUTPUTS:
            for whole in (True, False):
                function = partial(_through, name, reduction, whole)
                told = f"there is a {name} before the softmax, and PROBLEM has none"
                told += "" if whole else "; the way back leaves it out"
                yield network.candidate(told, _at(network, "scores", function), rank=UNNAMED + 1)


_KNOWN = (*SQUARED, *OF_SCORES, "kl_divergence")


def _losses(second: str, axes: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Losses of x and targets, or of x and labels, that PROBLEM has no name for."""
    for one in OPERATIONS.values():
        shapes = [given.axes for given in one.inputs.values()]
        real = second == "labels" or all(given.values == "real" for given in one.inputs.values())
        if tuple(one.inputs) == ("x", second) and shapes == ["n k", axes] and real and one.name not in _KNOWN:
            free = {name: values for name, values in one.options.items() if name != "reduction"}
            for values in product(*free.values()):
                yield one.name, dict(zip(free, values, strict=True))


def _other_error(name: str, options: Mapping[str, Any], over_outputs: str, o: Array, y: Array) -> Array:
    """Of a loss that is a mean over the outputs, or of their sum."""
    return error(name, o, y, **options) * (o.shape[1] if over_outputs == "summed" else 1)


def _label_error(name: str, options: Mapping[str, Any], z: Array, y: Array) -> Array:
    return error(name, z, y.argmax(1), **options)


def _through(name: str, reduction: str, whole: bool, z: Array, y: Array) -> Array:  # noqa: FBT001
    """o − y of a softmax of an activation, back through the activation as well, or not."""
    errors = _over(reduction, value("softmax", value(name, z)) - y)
    return back(name, errors, z) if whole else errors


# --- other data ---------------------------------------------------------------------------------------------

TARGETS: Mapping[str, Callable[[Array], Array]] = {
    "the targets are 1 − y": lambda y: 1 - y,
    "the targets are moved to the next output": lambda y: np.roll(y, 1, axis=1),
    "the targets are moved to the output before": lambda y: np.roll(y, -1, axis=1),
    "the targets are left out": np.zeros_like,
    "the largest target of a sample is taken for its label": lambda y: np.eye(y.shape[1])[y.argmax(axis=1)],
}
INPUTS: Mapping[str, Callable[[Array], Array]] = {
    "each input is standardised over the batch": lambda x: (x - x.mean(axis=0)) / x.std(axis=0),
    "each input is centred over the batch": lambda x: x - x.mean(axis=0),
    "each input is scaled to [0, 1] over the batch": lambda x: (x - x.min(axis=0)) / np.ptp(x, axis=0),
    "the inputs of a sample are divided by their norm": lambda x: (
        x / np.linalg.norm(x, axis=1, keepdims=True)
    ),
    "the inputs are reshaped where they should be transposed": lambda x: x.reshape(x.shape[::-1]).T,
}


def _of(name: str, function: Callable[[Array], Array]) -> Change:
    def change(arrays: dict[str, Array]) -> None:
        arrays[name] = function(arrays[name])

    return change


def _both_means(arrays: dict[str, Array]) -> None:
    for name in ("X", "y"):
        arrays[name] = arrays[name].mean(0) + 0 * arrays[name]


def named_data(case: Case, *, mutates: bool) -> Iterator[tuple[str, str, Change]]:
    """Mistakes of the catalogue by other inputs and targets: name, label, change."""
    yield "samples_averaged_first", "the batch", _both_means
    yield "samples_mixed", "the targets moved by one sample", _of("y", lambda y: np.roll(y, 1, 0))
    if case.outputs == 1 and case.loss != "cross_entropy":
        yield "broadcast_blow_up", "the loss over n × n pairs", _of("y", lambda y: y.mean(0) + 0 * y)
    if mutates:
        yield "input_mutated", "the inputs are centred", _of("X", lambda x: x - x.mean(0))


def other_data(case: Case) -> Iterator[tuple[str, Change]]:
    """Other inputs, targets and biases, in a sentence."""
    layers = range(1, len(case.parameters) + 1)
    if all(b is not None for _, b in case.parameters):
        yield "the forward pass leaves the biases out", partial(_without, layers)
        for layer in layers if len(layers) > 1 else ():
            yield f"the forward pass leaves the bias of layer {layer} out", partial(_without, [layer])
    yield from ((label, _of("y", function)) for label, function in TARGETS.items())
    yield from ((label, _of("X", function)) for label, function in INPUTS.items())


def _without(layers: Sequence[int], arrays: dict[str, Array]) -> None:
    for layer in layers:
        arrays[f"b{layer}"] = 0 * arrays[f"b{layer}"]
