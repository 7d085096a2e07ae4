"""The right gradient of other inputs, targets or parameters than were given, and samples that count differently."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from properties.cases import Array, Case

Arrays = dict[str, Array]
Change = Callable[[Arrays], None]
"""Changes the arrays of a network in place of others: W1, b1, ..., X, y, rows all of them."""
Divisor = Callable[[int, Sequence[int], int], int]
"""What a sum over n samples is divided by: of n, the units of all layers, and a layer from 1."""


@dataclass(frozen=True)
class Row:
    """Other arrays, by a name of the catalogue or in a sentence."""

    name: str
    label: str
    change: Change
    cure: str = ""


@dataclass(frozen=True)
class Weighed:
    """Samples that count differently: from the errors v and the targets y, (n, K) both, the weighed errors."""

    label: str
    weigh: Callable[..., Array]
    cure: str = ""


def _of(name: str, function: Callable[[Array], Array]) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name] = function(arrays[name])

    return change


def _both_means(arrays: Arrays) -> None:
    for name in ("X", "y"):
        arrays[name] = arrays[name].mean(0) + 0 * arrays[name]


TARGETS: Mapping[str, Callable[[Array], Array]] = {
    "the targets are 1 − y": lambda y: 1 - y,
    "the targets are moved to the next output": lambda y: np.roll(y, 1, axis=1),
    "the targets are moved to the output before": lambda y: np.roll(y, -1, axis=1),
    "the targets are in reverse order": lambda y: y[:, ::-1],
    "the targets are left out": np.zeros_like,
    "the labels of all samples count for each": lambda y: y.max(axis=0) + 0 * y,
    "the targets are rounded to whole numbers": np.round,
    "the targets are cut to whole numbers": np.trunc,
    "the largest target of a sample is taken for its label": lambda y: np.eye(y.shape[1])[y.argmax(axis=1)],
    "label 0 is taken for no label": lambda y: y * (np.arange(y.shape[1]) > 0),
}
INPUTS: Mapping[str, Callable[[Array], Array]] = {
    "each input is standardised over the batch": lambda x: (x - x.mean(axis=0)) / x.std(axis=0),
    "each input is centred over the batch": lambda x: x - x.mean(axis=0),
    "each input is scaled to [0, 1] over the batch": lambda x: (x - x.min(axis=0)) / np.ptp(x, axis=0),
    "the inputs of a sample are divided by their norm": lambda x: (
        x / np.linalg.norm(x, axis=1, keepdims=True)
    ),
    "the inputs are standardised over the whole batch": lambda x: (x - x.mean()) / x.std(),
    "the inputs are reshaped where they should be transposed": lambda x: x.reshape(x.shape[::-1]).T,
}


def rows(case: Case, *, mutates: bool) -> Iterator[Row]:
    """Other inputs and targets; where arguments are changed, those that such a call would find."""
    yield Row("samples_averaged_first", "the batch", _both_means)
    yield Row("samples_mixed", "the targets moved by one sample", _of("y", lambda y: np.roll(y, 1, 0)))
    if case.outputs == 1 and case.loss != "cross_entropy":
        yield Row("broadcast_blow_up", "the loss over n × n pairs", _of("y", lambda y: y.mean(0) + 0 * y))
    if mutates:
        yield Row("input_mutated", "the inputs are centred", _of("X", lambda x: x - x.mean(0)))
    for label, function in TARGETS.items() if case.loss != "cross_entropy" else ():
        yield Row("", label, _of("y", function))
    for label, function in INPUTS.items():
        yield Row("", label, _of("X", function))


def errors_for_targets(case: Case) -> Iterator[tuple[str, Callable[..., Array]]]:
    """Of a cross-entropy, whose error is o − y for targets of sum 1: the errors at z with other targets."""
    for label, function in TARGETS.items() if case.loss == "cross_entropy" else ():
        yield label, partial(_for_targets, function, case.reduction)


def _for_targets(function: Callable[[Array], Array], reduction: str, v: Array, y: Array) -> Array:
    return v + (y - function(y)) / (len(y) if reduction == "mean" else 1)


def biases(case: Case) -> Iterator[Row]:
    """Biases that are 0, in all layers or in one."""
    layers = range(1, len(case.parameters) + 1)
    if all(b is not None for _, b in case.parameters):
        yield Row("", "the forward pass leaves the biases out", partial(_without, layers))
        for layer in layers if len(layers) > 1 else ():
            yield Row(
                "", f"the forward pass leaves the bias of layer {layer} out", partial(_without, [layer])
            )


def _without(layers: Sequence[int], arrays: Arrays) -> None:
    for layer in layers:
        arrays[f"b{layer}"] = 0 * arrays[f"b{layer}"]


def families() -> Iterator[tuple[str, Callable[[float], Change], float]]:
    """Changes with a number in them: in words, by the number, and where to start to look for it."""
    yield (
        "the targets are smoothed, y + {} (1/K − y)",
        lambda t: _of("y", lambda y: y + t * (1 / y.shape[1] - y)),
        0.1,
    )
    yield "the inputs are multiplied by {}", lambda t: _of("X", lambda x: t * x), 1.0
    yield (
        "each input is standardised over the batch, with {} beside the deviation",
        lambda t: _of("X", lambda x: (x - x.mean(axis=0)) / (x.std(axis=0) + t)),
        1e-3,
    )
    yield (
        "each input is standardised over the batch, with {} beside the variance",
        lambda t: _of("X", lambda x: (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + t)),
        1e-3,
    )


# --- samples that count differently -----------------------------------------------------------------------

CLASS_WEIGHTS: Mapping[str, Callable[[Array, int, int], Array]] = {
    "n / (K n_c)": lambda size, n, classes: n / (classes * size),
    "n / n_c": lambda size, n, classes: n / size,
    "1 / n_c": lambda size, n, classes: 1 / size,
    "1 − n_c / n": lambda size, n, classes: 1 - size / n,
}
"""The weight of a sample whose class has n_c of the n samples of the batch, for K classes."""
WEIGHED = (
    "Weigh the mean of each part by its size, or add up sums and divide by the number of all samples once."
)
LEFT_OVER = "Take the last, smaller chunk as well."


def weights(case: Case) -> Iterator[Weighed]:
    """Classes that weigh by how frequent they are in the batch; chunks of a batch that weigh alike."""
    y, samples = case.rows, case.samples
    if np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        for text, weight in CLASS_WEIGHTS.items():
            label = f"each sample counts by {text}, where its class c has n_c of the n samples"
            yield Weighed(label, partial(_by_class, weight, False))  # noqa: FBT003
            if text in ("1 / n_c", "1 − n_c / n"):  # the others are multiples
                told = f"{label}, and the sum is divided by that of the weights"
                yield Weighed(told, partial(_by_class, weight, True))  # noqa: FBT003
    if case.reduction == "mean":
        for size in reversed(range(2, samples)):  # of sizes that keep as many, the largest is the likeliest
            cut = f"the batch is cut into chunks of {size} samples, and "
            text = f"{cut}the mean of their means is taken, though the last chunk is smaller"
            yield Weighed(text, partial(_by_parts, partial(_chunks, size)), WEIGHED)
            yield Weighed(
                f"{cut}what is left over is dropped", partial(_by_parts, partial(_whole, size)), LEFT_OVER
            )
        for count in range(2, samples):
            cut = f"the batch is cut into {count} parts, and "
            text = f"{cut}the mean of their means is taken, though they differ in size"
            yield Weighed(
                text, partial(_by_parts, partial(np.array_split, indices_or_sections=count)), WEIGHED
            )


def _by_class(weight: Callable[[Array, int, int], Array], normed: bool, v: Array, y: Array) -> Array:  # noqa: FBT001
    found = weight(y @ y.sum(axis=0), *y.shape)  # (n,)
    return v * (found * len(found) / found.sum() if normed else found)[:, None]


def _by_parts(parts: Callable[[Array], Sequence[Array]], v: Array) -> Array:
    """Every part weighs alike, whatever its size."""
    kept = [part for part in parts(np.arange(len(v))) if len(part)] or [np.arange(len(v))]
    weights = np.zeros(len(v))
    for part in kept:
        weights[part] = len(v) / (len(kept) * len(part))
    return v * weights[:, None]


def _chunks(size: int, array: Array) -> list[Array]:
    return np.split(array, range(size, len(array), size))


def _whole(size: int, array: Array) -> list[Array]:
    return [chunk for chunk in _chunks(size, array) if len(chunk) == size]


DIVISORS: Mapping[str, Divisor] = {
    "n − 1": lambda n, units, layer: max(n - 1, 1),
    "n K, as if the loss were a mean over the K outputs": lambda n, units, layer: n * units[-1],
    "the number of inputs": lambda n, units, layer: units[0],
    "the number of units of the first hidden layer": lambda n, units, layer: units[1],
    "the number of units of the last hidden layer": lambda n, units, layer: units[-2],
    "the number of inputs of each layer": lambda n, units, layer: units[layer - 1],
    "the number of units of each layer": lambda n, units, layer: units[layer],
}
"""What a sum over the samples may be divided by."""
