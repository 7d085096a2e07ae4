"""What the catalogue has no name for: other targets, inputs or divisors than those given, biases that are left out.

And arrays of zeros, in another order or transposed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Unpack

import numpy as np

from manual_backprop import Parameters, Rule, gradient
from manual_backprop.activations import Array
from manual_backprop.mistakes.catalogue import Gradient, Names, following
from manual_backprop.network import RIGHT_RULE
from properties.comparison import named
from properties.diagnosis.fits import neat
from properties.diagnosis.hypotheses import Hypothesis
from properties.diagnosis.probes import Probe

Change = Callable[[Array], Array]

TARGETS: Mapping[str, Change] = {
    "the targets are 1 − y": lambda y: 1 - y,
    "the targets are moved to the next output": lambda y: np.roll(y, 1, axis=1),
    "the targets are moved to the output before": lambda y: np.roll(y, -1, axis=1),
    "the targets are in reverse order": lambda y: y[:, ::-1],
    "the targets are left out": np.zeros_like,
    "the labels of all samples count for each": lambda y: np.broadcast_to(y.max(axis=0), y.shape),
    "the targets are rounded to whole numbers": np.round,
    "the targets are cut to whole numbers": np.trunc,
    "the largest target of a sample is taken for its label": lambda y: np.eye(y.shape[1])[y.argmax(axis=1)],
    "label 0 is taken for no label": lambda y: np.hstack([np.zeros_like(y[:, :1]), y[:, 1:]]),
}
INPUTS: Mapping[str, Change] = {
    "each input is standardised over the batch": lambda x: (x - x.mean(axis=0)) / x.std(axis=0),
    **{
        f"each input is standardised over the batch, with {epsilon:g} beside the deviation": (
            lambda x, epsilon=epsilon: (x - x.mean(axis=0)) / (x.std(axis=0) + epsilon)
        )
        for epsilon in (1e-8, 1e-7, 1e-6, 1e-5, 1e-10, 1e-12)
    },
    **{
        f"each input is standardised over the batch, with {epsilon:g} beside the variance": (
            lambda x, epsilon=epsilon: (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + epsilon)
        )
        for epsilon in (1e-8, 1e-5, 1e-6)
    },
    "each input is centred over the batch": lambda x: x - x.mean(axis=0),
    "each input is scaled to [0, 1] over the batch": lambda x: (
        (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0))
    ),
    "the inputs of a sample are divided by their norm": lambda x: (
        x / np.sqrt((x * x).sum(axis=1, keepdims=True))
    ),
    "the inputs are standardised over the whole batch": lambda x: (x - x.mean()) / x.std(),
    "the inputs are divided by 255": lambda x: x / 255,
    "the inputs are reshaped where they should be transposed": lambda x: x.reshape(x.shape[::-1]).T,
}


def of_other_data(first: Probe) -> Iterator[Hypothesis]:
    """The right gradient, but for other targets or inputs than were given."""
    for label, change in chain(TARGETS.items(), _smoothed(first)):
        yield Hypothesis((), label, _of_targets(change))
    for label, change in INPUTS.items():
        yield Hypothesis((), label, _of_inputs(change))


def _smoothed(first: Probe) -> Iterator[tuple[str, Change]]:
    """y + ε(1/K − y): the gradient depends on the targets linearly, so that one answer shows ε."""
    even = Hypothesis((), "", _of_targets(lambda y: np.full_like(y, 1 / y.shape[1])))(first)
    if even is None:
        return
    name = next(iter(first.wrong))
    towards, off = even[name] - first.right[name], first.answer[name] - first.right[name]
    if towards.any() and off.shape == towards.shape:
        strength = neat(float((off * towards).sum() / (towards * towards).sum()))
        if 0 < strength < 1:
            label = f"the targets are smoothed, y + {strength:.6g} (1/K − y)"
            yield label, lambda y: y + strength * (1 / y.shape[1] - y)


PLAIN = Rule(output_error=lambda loss, o, y: o - y)
"""∂L/∂z of a cross-entropy, where the targets of a sample add up to 1; it is left alone where they no longer do."""


def _of_targets(change: Change) -> Gradient:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        rule = PLAIN if names["loss"] == "cross_entropy" else RIGHT_RULE
        return gradient(parameters, inputs, change(targets), rule=rule, **names)

    return wrong


def _of_inputs(change: Change) -> Gradient:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        return gradient(parameters, change(inputs), targets, **names)

    return wrong


WeightOfClass = Callable[[Array, int, int], Array]

CLASS_WEIGHTS: Mapping[str, WeightOfClass] = {
    "n / (K n_c)": lambda size, n, classes: n / (classes * size),
    "n / n_c": lambda size, n, classes: n / size,
    "1 / n_c": lambda size, n, classes: 1 / size,
    "1 − n_c / n": lambda size, n, classes: 1 - size / n,
}
"""The weight of a sample whose class has n_c of the n samples of the batch, for K classes."""


def with_weights_of_classes(first: Probe) -> Iterator[Hypothesis]:
    """Each sample's loss weighted by how frequent its class is in the batch; divided by n, or by the weights' sum."""
    y = first.wide.targets
    if not (np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()):
        return
    for text, weight in CLASS_WEIGHTS.items():
        label = f"each sample counts by {text}, where its class c has n_c of the n samples"
        yield Hypothesis((), label, _weighted(weight, normed=False))
        if text in ("1 / n_c", "1 − n_c / n"):  # the others are multiples
            yield Hypothesis(
                (), f"{label}, and the sum is divided by that of the weights", _weighted(weight, normed=True)
            )


def _weighted(weight: WeightOfClass, *, normed: bool) -> Gradient:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        sizes = targets @ targets.sum(axis=0)  # (n,)
        weights = weight(sizes, *targets.shape)
        weights = weights * len(weights) / weights.sum() if normed else weights
        rule = Rule(output_error=lambda loss, o, y: weights[:, None] * loss.error(o, y))
        return gradient(parameters, inputs, targets, rule=rule, **names)

    return wrong


SIZES: Mapping[str, Callable[[int, Sequence[int], int], int]] = {
    "n − 1": lambda n, sizes, layer: max(n - 1, 1),
    "n K, as if the loss were a mean over the K outputs": lambda n, sizes, layer: n * sizes[-1],
    "the number of inputs": lambda n, sizes, layer: sizes[0],
    "the number of units of the first hidden layer": lambda n, sizes, layer: sizes[1],
    "the number of units of the last hidden layer": lambda n, sizes, layer: sizes[-2],
    "the number of inputs of each layer": lambda n, sizes, layer: sizes[layer - 1],
    "the number of units of each layer": lambda n, sizes, layer: sizes[layer],
}
"""What a sum over n samples may be divided by; sizes are (inputs, units..., outputs), layers count from 1."""


def divided_by_another_size() -> Iterator[Hypothesis]:
    """Σ_i ∂L_i/∂w divided by another number than n."""
    for text, size in SIZES.items():
        label = f"the sum over the n samples is divided by {text}"
        yield Hypothesis((), label, _divided(size))


def _divided(size: Callable[[int, Sequence[int], int], int]) -> Gradient:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        summed: Names = {**names, "reduction": "sum"}
        total = gradient(parameters, inputs, targets, **summed)
        sizes = [*(len(W) for W, _ in parameters), parameters[-1][0].shape[1]]
        by = [size(len(inputs), sizes, layer) for layer in range(1, len(sizes))]
        return [(dW / k, None if db is None else db / k) for (dW, db), k in zip(total, by, strict=True)]

    return wrong


def of_unequal_chunks(first: Probe) -> Iterator[Hypothesis]:
    """The batch cut into chunks: the mean of their means, where the last is smaller, or the last left out."""
    if first.case.reduction != "mean":
        return
    for size in reversed(
        range(2, first.case.samples)
    ):  # of sizes that keep as many, the largest is the likeliest
        cut = f"the batch is cut into chunks of {size} samples, and "
        text = f"{cut}the mean of their means is taken, though the last chunk is smaller"
        yield Hypothesis((), text, _mean_of(_chunks_of(size)), WEIGHED)
        text = f"{cut}what is left over is dropped"
        yield Hypothesis((), text, _mean_of(_chunks_of(size, whole=True)), LEFT_OVER)
    for count in range(2, first.case.samples):
        text = f"the batch is cut into {count} parts, and the mean of their means is taken, though they differ in size"
        yield Hypothesis((), text, _mean_of(partial(np.array_split, indices_or_sections=count)), WEIGHED)


WEIGHED = (
    "Weigh the mean of each part by its size, or add up sums and divide by the number of all samples once."
)
LEFT_OVER = "Take the last, smaller chunk as well."


def _chunks_of(size: int, *, whole: bool = False) -> Callable[[Array], list[Array]]:
    return lambda array: [
        chunk for chunk in np.split(array, range(size, len(array), size)) if len(chunk) == size or not whole
    ]


def _mean_of(parts: Callable[[Array], Sequence[Array]]) -> Gradient:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        chunks = [chunk for chunk in parts(np.arange(len(inputs))) if len(chunk)] or [np.arange(len(inputs))]
        found = [gradient(parameters, inputs[rows], targets[rows], **names) for rows in chunks]
        return [
            (
                np.mean([dW for dW, _ in layer], axis=0),
                None if b is None else np.mean([db for _, db in layer], axis=0),
            )
            for layer, (_, b) in zip(zip(*found, strict=True), parameters, strict=True)
        ]

    return wrong


def _product_of_sums(x: Array, dz: Array) -> Array:
    return np.outer(x.sum(axis=0), dz.sum(axis=0))  # (fan_in, fan_out)


def _sum_for_each(dz: Array) -> Array:
    return np.full(dz.shape[1], dz.sum())  # (fan_out,)


def _mean_for_each(dz: Array) -> Array:
    return np.full(dz.shape[1], dz.mean())  # (fan_out,)


def _mean_of_sums(dz: Array) -> Array:
    return np.full(dz.shape[1], dz.sum(axis=0).mean())  # (fan_out,)


def _mean_above(dz: Array, W: Array) -> Array:
    return dz @ W.T / dz.shape[1]  # (n, fan_in)


def _product_of_sums_above(dz: Array, W: Array) -> Array:
    return np.outer(dz.sum(axis=1), W.sum(axis=1))  # (n, fan_in)


SUMS: Mapping[str, Rule] = {
    "dW is a product of two sums, Σ x and Σ dz, where a sum of products should be": Rule(
        into_weights=_product_of_sums
    ),
    "each entry of db is the sum of dz over all units": Rule(into_bias=_sum_for_each),
    "each entry of db is the mean of dz over all units and samples": Rule(into_bias=_mean_for_each),
    "each entry of db is the mean over the units of what they should be": Rule(into_bias=_mean_of_sums),
    "∂L/∂h is the mean over the units above, where their sum should be": Rule(into_layer_below=_mean_above),
    "∂L/∂h is a product of two sums, Σ dz and Σ w over the units above, where a sum of products should be": Rule(
        into_layer_below=_product_of_sums_above
    ),
}
"""Sums on the way back that run over something else."""

ChangeOfParameters = Callable[[Parameters], Parameters]


def without_bias(layers: int) -> Iterator[tuple[str, ChangeOfParameters]]:
    """Parameters whose biases are 0, in all layers or in one, as (label, change)."""
    yield "the forward pass leaves the biases out", _zero_biases(range(layers))
    if layers > 1:
        for layer in range(layers):
            yield f"the forward pass leaves the bias of layer {layer + 1} out", _zero_biases([layer])


def _zero_biases(layers: Sequence[int]) -> ChangeOfParameters:
    return lambda parameters: [
        (W, b if b is None or layer not in layers else 0 * b) for layer, (W, b) in enumerate(parameters)
    ]


def combining(first: Probe) -> Iterator[Hypothesis]:
    """Arrays of zeros, in another order or transposed; other sums; biases left out."""
    zeros = [name for name in first.wrong if not first.answer[name].any()]
    if any(name.startswith("dW") for name in zeros):  # of biases alone, the catalogue knows
        text = "the gradient is 0" if zeros == list(first.right) else f"0 is given for {', '.join(zeros)}"
        yield _described_as(text, _of_the_right(lambda name, array: 0 * array if name in zeros else array))
    yield _described_as(
        "dW is given transposed", _of_the_right(lambda name, array: array.T if name[1] == "W" else array)
    )
    for label, rule in SUMS.items():
        yield _described_as(label, following(rule))
    for name, array in first.answer.items():
        for other, right in first.right.items():
            if name in first.wrong and name != other and first.agree(name, array, right):
                yield _described_as(f"{name} is what {other} should be", _taken_from(name, other))
    yield _described_as("dW is reshaped where it should be transposed", _of_the_right(_reshaped))
    for text, change in ENTRIES.items():
        yield _described_as(text, _of_the_right(lambda name, array, change=change: change(array)))
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


def _reshaped(name: str, array: Array) -> Array:
    return array.T.reshape(array.shape) if name[1] == "W" else array


ENTRIES: Mapping[str, Change] = {
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


def _taken_from(name: str, other: str) -> Gradient:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        right = named(gradient(parameters, inputs, targets, **names))
        right[name] = right[other]
        return [(right[f"dW{layer}"], right.get(f"db{layer}")) for layer in range(1, len(parameters) + 1)]

    return wrong


def _reversed(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
    return gradient(parameters, inputs, targets, **names)[::-1]


def _of_changed(change: ChangeOfParameters) -> Gradient:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        return gradient(change(parameters), inputs, targets, **names)

    return wrong
