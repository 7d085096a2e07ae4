"""Programs that are not the one that PROBLEM states: other activations, losses, slopes, indices, data.

Each is the right program with steps replaced (see `networks`), told in a sentence: the catalogue has no name for it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from properties.cases import Array, Case
from properties.diagnosis import other_data, wrong_steps
from properties.diagnosis.networks import SQUARED, Function, Network, Replaced, Step, back, error, value
from properties.diagnosis.wrong_steps import CURES, called
from reference.operations import OPERATIONS
from reference.operations.network import HIDDEN, OF_SCORES, OUTPUTS


@dataclass(frozen=True)
class Other:
    """Another program: what is said of it, what it has in the place of steps, and what to do."""

    text: str
    replaced: Sequence[Replaced]
    cure: str = ""


def others(network: Network) -> Iterator[Other]:
    """All of them, the most frequent first."""
    for family in (problems, _slopes, _functions, _errors, _softmaxes, _neighbours, _memories, _data):
        yield from family(network)


def _at(network: Network, kind: str, function: Function) -> list[Replaced]:
    """Every step of a kind replaced."""
    return [(step, function) for step in network.of(kind)]


# --- other problems -----------------------------------------------------------------------------------------


def problems(network: Network, most: int = 4) -> Iterator[Other]:
    """The right gradient for other choices than the case's, of which so many differ; the fewest first."""
    case = network.case
    for label, choices in other_choices(case, "the gradient of "):
        different = _different(case, choices)
        if len(different) > most:
            return
        entries = ", ".join(f'"{key}": "{one}"' for key, one in different.items())
        below = in_hidden_layers(network, choices["hidden"]) if "hidden" in different else []
        for plain in (False, True) if choices["loss"] == "cross_entropy" else (False,):
            at_scores = partial(_of_problem, {**choices, "plain": plain})
            changes = [*below, *_at(network, "scores", at_scores)]
            yield Other(
                f"this is {label}", changes, f"If that is what you mean, say so in PROBLEM: {entries}."
            )


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


# --- other functions ----------------------------------------------------------------------------------------


def in_hidden_layers(
    network: Network, name: str, options: Mapping[str, Any] | None = None, layers: Sequence[int] = ()
) -> list[Replaced]:
    """Another activation in the hidden layers, or in some: going up and down."""
    chosen = layers or range(1, network.layers)
    f, g = partial(_value_at, name, options or {}), partial(_back_at, name, options or {})
    up = [(step, f) for step in network.of("value") if step.layer in chosen]
    return [*up, *((step, g) for step in network.of("slope") if step.layer in chosen)]


def _value_at(name: str, options: Mapping[str, Any], z: Array) -> Array:
    return value(name, z, **options)


def _back_at(name: str, options: Mapping[str, Any], dh: Array, z: Array) -> Array:
    return back(name, dh, z, **options)


def _at_output(network: Network, f: Function, df: Function) -> list[Replaced]:
    """Another activation at the output, or another softmax; o − y for an entropy."""
    loss, reduction = network.case.loss, network.case.reduction

    def at_scores(z: Array, y: Array) -> Array:
        if loss in SQUARED:
            return df(error(loss, f(z), y, reduction), z)
        return _over(reduction, f(z) - y)

    return _at(network, "scores", at_scores)


def _slopes(network: Network) -> Iterator[Other]:
    (*hidden, output), case = network.of("slope"), network.case
    places = (
        (hidden, case.hidden, "the hidden layers"),
        ([output], case.output, "the output"),
        ([*hidden, output], case.hidden, "every layer"),
    )
    for steps, said, place in places:
        for row in wrong_steps.other_slopes(said) if steps else ():
            text = f"the slope of {place} is {row.label}, and PROBLEM says {said}"
            yield Other(text, [(step, row.function) for step in steps], CURES["slope"])


def _functions(network: Network) -> Iterator[Other]:
    hidden, case = range(1, network.layers), network.case
    for name, options in wrong_steps.functions():
        told = f"this is the gradient of a network with {called(name, options)}"
        if hidden:
            text = f"{told} in the hidden layers, and PROBLEM says {case.hidden}"
            yield Other(text, in_hidden_layers(network, name, options))
        f, df = partial(_value_at, name, options), partial(_back_at, name, options)
        yield Other(f"{told} at the output, and PROBLEM says {case.output}", _at_output(network, f, df))
        for layer in hidden if len(hidden) > 1 else ():
            text = f"layer {layer} has {called(name, options)}, and PROBLEM says {case.hidden}"
            yield Other(text, in_hidden_layers(network, name, options, [layer]))


def _softmaxes(network: Network) -> Iterator[Other]:
    *_, output = network.of("slope")
    if network.case.output == "softmax":
        for text, axis in (("the samples", 0), ("all samples and outputs", None)):
            for way in dict.fromkeys((axis, 1)):
                changes = _at_output(network, partial(_softmax, axis), partial(_softmax_back, axis, way))
                yield Other(f"the softmax is taken over {text}, not over the outputs of each sample", changes)
        for text, function in wrong_steps.jacobians():
            yield Other(f"the softmax's Jacobian {text}", [(output, function)])
    if network.case.loss == "cross_entropy":
        for text, function in (
            ("taken twice going forward, and o − y is the error all the same", _of_two_softmaxes),
            (
                "taken twice, here and in the loss",
                lambda r, o, y: back("softmax", _of_two_softmaxes(r, o, y), np.log(o)),
            ),
        ):
            at_scores = partial(function, network.case.reduction)
            yield Other(f"the softmax is {text}", _at(network, "scores", at_scores))


def _softmax(axis: int | None, z: Array) -> Array:
    small = np.exp(z - z.max())
    return small / small.sum(axis=axis, keepdims=True)


def _softmax_back(axis: int | None, way: int | None, dh: Array, z: Array) -> Array:
    """Of a softmax over an axis, back as if over another."""
    h = _softmax(axis, z)
    return h * (dh - (dh * h).sum(axis=way, keepdims=True))


def _of_two_softmaxes(reduction: str, o: Array, y: Array) -> Array:
    return _over(reduction, _softmax(1, o) - y)


# --- other losses -------------------------------------------------------------------------------------------


def _errors(network: Network) -> Iterator[Other]:
    """The gradient of a loss that PROBLEM does not know, or an error that is none of a loss."""
    loss, reduction = network.case.loss, network.case.reduction
    this, said = "this is the gradient of", f", and PROBLEM says {network.case.loss}"
    if loss in SQUARED:
        for (name, options), text in product(_losses("targets", "n k"), ("averaged", "summed")):
            function = partial(_other_error, name, {**options, "reduction": reduction}, text)
            told = f"{this} {called(name, options)}, {text} over the outputs{said}"
            yield Other(told, _at(network, "error", function))
        for text, axis in (("each sample", 1), ("the batch", None)):
            function = partial(_root, loss, reduction, axis)
            yield Other(f"{this} the square root of the loss of {text}", _at(network, "error", function))
    elif loss == "cross_entropy":
        for name, options in _losses("labels", "n"):
            function = partial(_label_error, name, {**options, "reduction": reduction})
            yield Other(f"{this} {called(name, options)}{said}", _at(network, "scores", function))
        for name in HIDDEN:
            function = partial(_through, name, reduction)
            yield Other(
                f"there is a {name} before the softmax, and PROBLEM has none",
                _at(network, "scores", function),
            )
    else:
        for text, half in (
            ("−y log o alone, without (1 − y) log(1 − o)", lambda o, y: -y * (1 - o)),
            ("−(1 − y) log(1 − o) alone, without y log o", lambda o, y: (1 - y) * o),
        ):
            yield Other(f"{this} {text}", _at(network, "scores", partial(_part, half, loss, reduction)))


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


def _through(name: str, reduction: str, z: Array, y: Array) -> Array:
    """o − y of a softmax of an activation, back through the activation."""
    return back(name, _over(reduction, value("softmax", value(name, z)) - y), z)


def _part(half: Function, loss: str, reduction: str, o: Array, y: Array) -> Array:
    return _over(reduction, half(o, y)) / (o.shape[1] if loss.startswith("mean") else 1)


def _root(loss: str, reduction: str, axis: int | None, v: Array, o: Array, y: Array) -> Array:
    """∂√L = ∂L / (2√L), of each sample's loss L, or of the batch's, which is their mean or sum."""
    whole = {"mse": 1 / o.shape[1], "half_mse": 0.5 / o.shape[1], "sse": 1.0, "half_sse": 0.5}[loss]
    values = whole * ((o - y) ** 2).sum(1)
    joined = values[:, None] if axis == 1 else values.mean() if reduction == "mean" else values.sum()
    return v / (2 * np.sqrt(joined))


# --- other layers -------------------------------------------------------------------------------------------


_STEPS: Mapping[str, Callable[[str], Function]] = {
    "weights": lambda f: lambda x, dz: x.T @ dz,
    "down": lambda f: lambda dz, W: dz @ W.T,
    "slope": lambda f: partial(_back_at, f, {}),
}
"""The right steps, of a layer with this activation."""


def _neighbours(network: Network) -> Iterator[Other]:
    """An index off by one, wherever there is such a layer, or in one alone; it fits where layers are as wide."""
    weights, downs, slopes = (network.of(kind) for kind in ("weights", "down", "slope"))
    rows: list[tuple[str, Sequence[Step], str, int]] = [
        ("dW is made with the output of its layer, not with the input", weights, "x", 1),
        ("dW is made with the input of the layer below", weights, "x", -1),
        ("the error goes down by the weights of the layer below", downs, "W", -1),
        ("the error goes down by the weights of the layer above", downs, "W", 1),
        ("the slope is that of the layer above", slopes[:-1], "z", 1),
        ("the slope is that of the layer below", slopes[:-1], "z", -1),
    ]
    for text, steps, name, by in rows:
        found = (_moved(network, step, name, by) for step in steps)
        moved = [(one, _STEPS[one.kind](network.activation(one.layer))) for one in found if one is not None]
        if moved:
            yield Other(text, moved, CURES[steps[0].kind])
        for one in moved if network.layers > 1 else ():
            yield Other(f"{text}, in layer {one[0].layer + (name == 'W')}", [one], CURES[steps[0].kind])


def _moved(network: Network, step: Step, name: str, by: int) -> Step | None:
    """The step with an array of another layer; None where there is no such layer."""
    layer = step.layer + (name == "W") + by
    there = {one.layer: one.reads for one in network.of("weights")}
    if name == "x" and layer == network.layers + 1:
        slot = there[network.layers]["h"]
    elif layer in there:
        slot = there[layer][name]
    else:
        return None
    return replace(step, reads={**step.reads, name: slot})


def _memories(network: Network) -> Iterator[Other]:
    """z or h of the hidden layers that are not on the way down what they were on the way up."""
    *hidden, _ = network.of("slope")
    rows = [
        row
        for row in wrong_steps.memories(network.case.hidden)
        if hidden and all(network.fits(step, row.function) for step in hidden)
    ]
    for row in rows:
        changes = [(step, row.function) for step in hidden]
        yield Other(row.label, changes, CURES["slope"])
        if "with h in half" in row.label:
            upper = [(step, lambda x, dz: wrong_steps.half(x).T @ dz) for step in network.of("weights")[1:]]
            yield Other("h is kept in half precision (float16) for the way down", [*upper, *changes])


# --- other data ---------------------------------------------------------------------------------------------


def _data(network: Network) -> Iterator[Other]:
    """Of a cross-entropy, other targets; samples that count differently, by their class or by parts of a batch."""
    for label, function in other_data.errors_for_targets(network.case):
        yield Other(label, _at(network, "scores", function))
    for one in other_data.weights(network.case):
        yield Other(one.label, _at(network, "scores", one.weigh), one.cure)
