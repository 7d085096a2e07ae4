"""Each mistake is the formula that it is named after, and is offered where it can be made.

Here everything is written out for one entry: i counts the samples, j the units above, k the units below.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import exp, log, sqrt, tanh
from random import Random
from typing import Any, TypedDict, Unpack

import numpy as np
import pytest

from manual_backprop import ACTIVATIONS, LOSSES, OUTPUTS, Parameters, gradient
from manual_backprop.activations import Array
from manual_backprop.losses import REDUCTIONS
from manual_backprop.mistakes import MISTAKES, Setting
from manual_backprop.mistakes.catalogue import Names
from manual_backprop.network import forward
from properties.meta.problems import ROUNDINGS, Case, flat, problems, with_large_inputs

AnError = Callable[[str, Array, Array, int, int], float]
AShare = Callable[[int, int, str], float]
Through = Callable[[str, Array, Array, int], float]
IntoWeight = Callable[[Array, Array, int, int], float]
IntoBias = Callable[[Array], Any]
Down = Callable[[Array, Array, Array, int, int], float]


class Changed(TypedDict, total=False):
    """The steps of `by_index` that a mistake changes."""

    error: AnError
    errors: int
    share: AShare
    at_the_output: Through
    below: Through
    into_weight: IntoWeight
    into_bias: IntoBias
    down: Down


PAIRS = [(output, loss) for output, loss in product(OUTPUTS, LOSSES) if LOSSES[loss].output in {None, output}]

# The right backward pass, an entry at a time -----------------------------------------------------------


def term(loss: str, o: Array, y: Array, j: int, k: int) -> float:
    """The derivative of output j's term of a sample's loss: to o_k, or to z_k for an entropy."""
    own = j == k
    return {
        "mse": own * 2 * (o[j] - y[j]) / len(o),
        "half_mse": own * (o[j] - y[j]) / len(o),
        "sse": own * 2 * (o[j] - y[j]),
        "half_sse": own * (o[j] - y[j]),
        "cross_entropy": y[j] * (o[k] - own),
        "binary_cross_entropy": own * (o[j] - y[j]),
        "mean_binary_cross_entropy": own * (o[j] - y[j]) / len(o),
    }[loss]


def error(loss: str, o: Array, y: Array, i: int, k: int) -> float:
    """The derivative of sample i's loss; o and y are those of the batch, (n, K)."""
    return sum(term(loss, o[i], y[i], j, k) for j in range(o.shape[1]))


def share(i: int, n: int, reduction: str) -> float:
    """How much sample i counts."""
    del i
    return {"mean": 1 / n, "sum": 1}[reduction]


VALUES: dict[str, Callable[[float], float]] = {
    "identity": lambda z: z,
    "tanh": tanh,
    "sigmoid": lambda z: 1 / (1 + exp(-z)),
    "relu": lambda z: max(z, 0),
    "softplus": lambda z: log(1 + exp(z)),
}
SLOPES: dict[str, Callable[[float], float]] = {
    "identity": lambda z: 1,
    "tanh": lambda z: 1 - tanh(z) ** 2,
    "sigmoid": lambda z: 1 / (1 + exp(-z)) / (1 + exp(z)),
    "relu": lambda z: float(z > 0),
    "softplus": lambda z: 1 / (1 + exp(-z)),
}


def values(f: str, z: Array) -> Array:
    """The outputs of an activation for one sample."""
    total = sum(map(exp, z))
    return np.array([exp(one) / total for one in z] if f == "softmax" else [VALUES[f](one) for one in z])


def through(f: str, dh: Array, z: Array, k: int) -> float:
    """∂L/∂z_k = Σ_j ∂L/∂h_j ∂h_j/∂z_k for one sample."""
    if f != "softmax":
        return dh[k] * SLOPES[f](z[k])
    h = values(f, z)
    return sum(dh[j] * h[j] * ((j == k) - h[k]) for j in range(len(h)))


def into_weight(x: Array, dz: Array, k: int, j: int) -> float:
    """∂L/∂W[k, j]."""
    return sum(x[i, k] * dz[i, j] for i in range(len(x)))


def into_bias(dz: Array) -> Any:
    """∂L/∂b as a whole: a mistake may give it another shape."""
    return [sum(dz[i, j] for i in range(len(dz))) for j in range(dz.shape[1])]


def down(dz: Array, W: Array, dW: Array, i: int, k: int) -> float:
    """∂L/∂h[i, k]; dW is for those who have changed W already."""
    del dW
    return sum(dz[i, j] * W[k, j] for j in range(W.shape[1]))


def table(rows: int, columns: int, entry: Callable[[int, int], float]) -> Array:
    """The array of all entries."""
    return np.array([[entry(i, j) for j in range(columns)] for i in range(rows)], dtype=float)


def by_index(
    case: Case,
    names: Names,
    *,
    error: AnError = error,
    errors: int | None = None,
    share: AShare = share,
    at_the_output: Through = through,
    below: Through = through,
    into_weight: IntoWeight = into_weight,
    into_bias: IntoBias = into_bias,
    down: Down = down,
) -> Parameters:
    """The gradient with these steps; `errors` is how many each sample has, if not one for each output."""
    parameters, inputs, targets = case
    zs, hs = forward(parameters, inputs, hidden=names["hidden"], output=names["output"])
    n, width = len(inputs), errors or hs[-1].shape[1]
    d = table(n, width, lambda i, k: error(names["loss"], hs[-1], targets, i, k))
    d = table(n, width, lambda i, k: d[i, k] * share(i, n, names["reduction"]))
    if LOSSES[names["loss"]].output is None:
        d = table(n, width, lambda i, k, dh=d: at_the_output(names["output"], dh[i], zs[-1][i], k))
    found: Parameters = []
    for layer in reversed(range(len(parameters))):
        (W, _), x, dz = parameters[layer], hs[layer], d
        dW = table(len(W), dz.shape[1], lambda k, j, x=x, dz=dz: into_weight(x, dz, k, j))
        found.insert(0, (dW, np.array(into_bias(dz), dtype=float)))
        if layer:
            dh = table(n, len(W), lambda i, k, dz=dz, W=W, dW=dW: down(dz, W, dW, i, k))
            z = zs[layer - 1]
            d = table(n, len(W), lambda i, k, dh=dh, z=z: below(names["hidden"], dh[i], z[i], k))
    return found


# The mistakes ------------------------------------------------------------------------------------------

Kept = Callable[[int, int], bool]
Formula = Callable[[Case, Names], Parameters]


@dataclass(frozen=True)
class Row:
    """A mistake's formula, and the conditions that all have to hold where it is offered."""

    where: tuple[str, ...]
    formula: Formula


CONDITIONS: dict[str, Callable[[Setting], bool]] = {
    "n > 1": lambda s: s.samples > 1,
    "K > 1": lambda s: s.outputs > 1,
    "K = 1": lambda s: s.outputs == 1,
    "1/n": lambda s: s.reduction == "mean" and s.samples > 1,
    "mean": lambda s: s.reduction == "mean",
    "1/K": lambda s: s.loss in {"mse", "half_mse", "mean_binary_cross_entropy"},
    "square without ½": lambda s: s.loss in {"mse", "sse"},
    "squared": lambda s: s.loss in {"mse", "half_mse", "sse", "half_sse"},
    "entropy": lambda s: "entropy" in s.loss,
    "cross_entropy": lambda s: s.loss == "cross_entropy",
    "no cross_entropy": lambda s: s.loss != "cross_entropy",
    "softmax": lambda s: s.output == "softmax",
    "deep": lambda s: len(s.sizes) > 2,
    "one layer": lambda s: len(s.sizes) == 2,
    "bias": lambda s: s.bias,
    "float64": lambda s: s.dtype == "float64",
    "squares above": lambda s: len(set(s.sizes[1:])) == 1,
    "a fork above": lambda s: max(s.sizes[2:], default=1) > 1,
    "an oblong above": lambda s: any(min(pair) > 1 for pair in zip(s.sizes[1:], s.sizes[2:], strict=False)),
    "as wide, or one": lambda s: all(b in {1, a} for a, b in zip(s.sizes[1:], s.sizes[2:], strict=False)),
    "wide below": lambda s: max(s.sizes[:-1]) > 1,
    **{f"n is not {size}": lambda s, size=size: s.samples != size for size in (10, 32, 64, 100)},
}


def first(index: int, count: int) -> bool:
    """The first of so many."""
    del count
    return index == 0


def last(index: int, count: int) -> bool:
    """The last of so many."""
    return index == count - 1


def never(kept: Kept) -> Kept:
    """All others."""
    return lambda index, count: not kept(index, count)


def steps(*where: str, **changed: Unpack[Changed]) -> Row:
    """The backward pass with these steps changed."""
    return Row(where, lambda case, names: by_index(case, names, **changed))


def outputs(kept: Kept, *where: str, samples: Kept = lambda i, n: True) -> Row:
    """The loss's terms of some outputs, and of some samples."""

    def some(loss: str, o: Array, y: Array, i: int, k: int) -> float:
        n, K = o.shape
        return sum(term(loss, o[i], y[i], j, k) for j in range(K) if kept(j, K) and samples(i, n))

    return steps(*where, error=some)


def columns(kept: Kept) -> Row:
    """Some entries of ∂L/∂z at a softmax."""

    def some(loss: str, o: Array, y: Array, i: int, k: int) -> float:
        return error(loss, o, y, i, k) * (loss != "cross_entropy" or kept(k, o.shape[1]))

    return steps(
        "softmax", error=some, at_the_output=lambda f, dh, z, k: through(f, dh, z, k) * kept(k, len(z))
    )


def samples(kept: Kept, *where: str, count: Callable[[int, str], float]) -> Row:
    """Some samples, of which each counts so much."""
    return steps(*where, share=lambda i, n, reduction: count(n, reduction) if kept(i, n) else 0)


def factor(number: Callable[[int], float], *where: str) -> Row:
    """The output error times a number that depends on K."""
    return steps(*where, error=lambda loss, o, y, i, k: number(o.shape[1]) * error(loss, o, y, i, k))


def mean_at_the_last(case: Case, names: Names) -> Parameters:
    """The mean error of all samples goes back through the last one."""
    _, hs = forward(case.parameters, case.inputs, hidden=names["hidden"], output=names["output"])
    n, o, y = len(case.inputs), hs[-1], case.targets
    mean = [
        sum(share(i, n, names["reduction"]) * error(names["loss"], o, y, i, k) for i in range(n))
        for k in range(o.shape[1])
    ]
    only_last = Case(case.parameters, case.inputs[-1:], case.targets[-1:])
    return by_index(only_last, names, error=lambda loss, o, y, i, k: mean[k], share=lambda i, n, reduction: 1)


def at_the_mean(case: Case, names: Names) -> Parameters:
    """One sample, the mean of all, counts as much as all."""
    n = len(case.inputs)
    x, y = (np.array([sum(array) / n]) for array in (case.inputs, case.targets))
    return by_index(
        Case(case.parameters, x, y), names, share=lambda i, one, reduction: n * share(i, n, reduction)
    )


def changed_case(*where: str, change: Callable[[Case, Names], Case]) -> Row:
    """The right gradient of another case."""
    return Row(where, lambda case, names: by_index(change(case, names), names))


def centred(case: Case, names: Names) -> Case:
    """With inputs whose mean is 0."""
    del names
    return case._replace(inputs=case.inputs - sum(case.inputs) / len(case.inputs))


def with_errors_as_targets(case: Case, names: Names) -> Case:
    """With y - o for y."""
    _, hs = forward(case.parameters, case.inputs, hidden=names["hidden"], output=names["output"])
    return case._replace(targets=case.targets - hs[-1])


def a_step_on(rate: float) -> Row:
    """The right gradient after one step of training."""

    def change(case: Case, names: Names) -> Case:
        pairs = zip(flat(case.parameters), flat(by_index(case, names)), strict=True)
        W_and_b = [array - rate * derivative for array, derivative in pairs]
        return case._replace(parameters=list(zip(W_and_b[::2], W_and_b[1::2], strict=True)))

    return changed_case(change=change)


def step_first(rate: float) -> Row:
    """The error goes down through weights that have made their step."""
    return steps("deep", down=lambda dz, W, dW, i, k: down(dz, W - rate * dW, dW, i, k))


def each_entry(*where: str, change: Callable[[Array], Array]) -> Row:
    """The right gradient, and then a change to each of its arrays."""
    return Row(
        where,
        lambda case, names: [
            (change(dW), change(db)) for dW, db in gradient(*case, **names) if db is not None
        ],
    )


def with_penalty(strength: float) -> Row:
    """The right gradient and the strength times each weight."""
    return Row(
        (),
        lambda case, names: [
            (dW + strength * W, db)
            for (dW, db), (W, _) in zip(by_index(case, names), case.parameters, strict=True)
        ],
    )


def shortened(array: Array) -> Array:
    """To a length of at most 1."""
    length = sqrt(sum(number**2 for number in array.flat))
    return array / length if length > 1 else array


def shortened_together(case: Case, names: Names) -> Parameters:
    """All arrays by one factor, to a length of at most 1 in all."""
    right = gradient(*case, **names)
    length = sqrt(sum(number**2 for array in flat(right) for number in array.flat))
    return [(dW / max(length, 1), db / max(length, 1)) for dW, db in right if db is not None]


def in_each_place(
    name: str, what: str, step: Through, *, hidden: str, output: str
) -> Iterator[tuple[tuple[str, str], Row]]:
    """One wrong step in the hidden layers, at the output, and in both."""
    CONDITIONS[hidden] = lambda s: s.hidden in hidden.split()
    CONDITIONS[f"at {output}"] = lambda s: s.output in output.split()
    below, above = ("deep", hidden), ("squared", f"at {output}")
    yield (name, f"{what} in the hidden layers"), steps(*below, below=step)
    yield (name, f"{what} at the output"), steps(*above, at_the_output=step)
    yield (name, f"{what} in every layer"), steps(*below, *above, below=step, at_the_output=step)


def twice(f: str, dh: Array, z: Array, k: int) -> float:
    """Through the activation, and then through it again."""
    return through(f, np.array([through(f, dh, z, j) for j in range(len(z))]), z, k)


def every_output_alone(loss: str, o: Array, y: Array, i: int, k: int) -> float:
    """The last step of a cross-entropy without the other outputs' terms."""
    return term(loss, o[i], y[i], k, k)


def of_o(loss: str, o: Array, y: Array, i: int, k: int) -> float:
    """∂L/∂o of an entropy."""
    if loss == "cross_entropy":
        return -y[i, k] / o[i, k]
    return ((1 - y[i, k]) / (1 - o[i, k]) - y[i, k] / o[i, k]) / (o.shape[1] if "mean" in loss else 1)


def over_all_pairs(case: Case, names: Names) -> Parameters:
    """Every output meets the target of every sample; a mean is over all n·n of them."""

    def all_targets(loss: str, o: Array, y: Array, i: int, k: int) -> float:
        return sum(share(m, len(o), names["reduction"]) * term(loss, o[i], y[m], k, k) for m in range(len(o)))

    return by_index(case, names, error=all_targets)


def over_a_square(case: Case, names: Names) -> Parameters:
    """Every output meets the target of every sample, as if each sample had n outputs."""
    return by_index(
        case,
        names,
        errors=len(case.inputs),
        error=lambda loss, o, y, i, m: term(loss, o[i], y[m], 0, 0),
        at_the_output=lambda f, dh, z, m: dh[m] * SLOPES[f](z[0]),
    )


def rounded(dtype: str) -> Callable[[Array], Array]:
    """To the numbers of a type."""
    return lambda array: array.astype(dtype).astype(float)


def computed_in(dtype: str) -> Formula:
    """The right gradient of arrays of a type."""

    def formula(case: Case, names: Names) -> Parameters:
        parameters: Parameters = [
            (W.astype(dtype), b.astype(dtype)) for W, b in case.parameters if b is not None
        ]
        right = gradient(parameters, case.inputs.astype(dtype), case.targets.astype(dtype), **names)
        return [(dW.astype(float), db.astype(float)) for dW, db in right if db is not None]

    return formula


SMOOTH = "tanh sigmoid softplus"
BENT = "tanh sigmoid relu softplus"
PRECISIONS = {"float32": ("float64",), "float16": ()}

ROWS: dict[tuple[str, str], Row] = {
    ("one_output_only", "the first"): outputs(first, "K > 1"),
    ("one_output_only", "the last"): outputs(last, "K > 1"),
    ("one_output_only", "the first column after the softmax"): columns(first),
    ("one_output_only", "the last column after the softmax"): columns(last),
    ("one_cell_only", "the first"): outputs(first, "n > 1", "K > 1", samples=first),
    ("one_cell_only", "the last"): outputs(last, "n > 1", "K > 1", samples=last),
    ("one_sample_only", "the first"): samples(first, "n > 1", count=lambda n, reduction: 1),
    ("one_sample_only", "the last"): samples(last, "n > 1", count=lambda n, reduction: 1),
    ("one_sample_only", "the first, divided by n"): samples(first, "1/n", count=lambda n, reduction: 1 / n),
    ("one_sample_only", "the last, divided by n"): samples(last, "1/n", count=lambda n, reduction: 1 / n),
    ("outputs_dropped", "the last"): outputs(never(last), "K > 1"),
    ("outputs_dropped", "the first"): outputs(never(first), "K > 1"),
    ("outputs_dropped", "the last half"): outputs(lambda j, K: 2 * j < K, "K > 1"),
    ("outputs_dropped", "the last column after the softmax"): columns(never(last)),
    ("samples_dropped", "the last"): samples(
        never(last), "n > 1", count=lambda n, reduction: share(0, n, reduction)
    ),
    ("samples_dropped", "the first"): samples(
        never(first), "n > 1", count=lambda n, reduction: share(0, n, reduction)
    ),
    ("samples_dropped", "the last, divided by n - 1"): samples(
        never(last), "1/n", count=lambda n, reduction: 1 / (n - 1)
    ),
    ("one_downstream_path", "the first"): steps(
        "a fork above", down=lambda dz, W, dW, i, k: dz[i, 0] * W[k, 0]
    ),
    ("one_downstream_path", "the last"): steps(
        "a fork above", down=lambda dz, W, dW, i, k: dz[i, -1] * W[k, -1]
    ),
    ("errors_averaged_first", "with each sample's activations"): steps(
        "n > 1",
        error=lambda loss, o, y, i, k: sum(error(loss, o, y, m, k) for m in range(len(o))) / len(o),
    ),
    ("errors_averaged_first", "with the last sample's activations"): Row(("n > 1",), mean_at_the_last),
    ("errors_averaged_first", "over samples and outputs"): steps(
        "n > 1",
        error=lambda loss, o, y, i, k: sum(error(loss, o, y, *cell) for cell in np.ndindex(o.shape)) / o.size,
    ),
    ("samples_averaged_first", "the layer's inputs and errors"): steps(
        "n > 1", into_weight=lambda x, dz, k, j: sum(x[:, k]) * sum(dz[:, j]) / len(x)
    ),
    ("samples_averaged_first", "the batch"): Row(("n > 1",), at_the_mean),
    ("sum_for_mean", "over the samples"): steps("1/n", share=lambda i, n, reduction: 1),
    ("output_mean_lost", "over the outputs"): factor(lambda K: K, "1/K", "K > 1"),
    ("divided_twice", "by the samples"): steps("1/n", share=lambda i, n, reduction: 1 / n**2),
    ("divided_twice", "by the samples, again in every layer"): steps(
        "1/n", "deep", down=lambda dz, W, dW, i, k: down(dz, W, dW, i, k) / len(dz)
    ),
    ("divided_twice", "by the outputs"): factor(lambda K: 1 / K, "1/K", "K > 1"),
    ("factor_two_lost", "in the output error"): factor(lambda K: 1 / 2, "square without ½"),
    ("factor_two_gained", "in the output error"): factor(lambda K: 2),
    ("wrong_sign", "everywhere"): factor(lambda K: -1),
    ("softmax_diagonal_only", "after a squared loss"): steps(
        "squared",
        "softmax",
        at_the_output=lambda f, dh, z, k: dh[k] * values(f, z)[k] * (1 - values(f, z)[k]),
    ),
    ("softmax_diagonal_only", "after a cross-entropy"): steps("cross_entropy", error=every_output_alone),
    ("slope_twice", "(o − y) · o(1 − o)"): steps(
        "entropy", error=lambda loss, o, y, i, k: error(loss, o, y, i, k) * o[i, k] * (1 - o[i, k])
    ),
    ("slope_twice", "(o − y) through the softmax"): steps(
        "cross_entropy",
        error=lambda loss, o, y, i, k: sum(
            error(loss, o, y, i, j) * o[i, j] * ((j == k) - o[i, k]) for j in range(o.shape[1])
        ),
    ),
    ("slope_missing", "∂L/∂o for ∂L/∂z"): steps("entropy", error=of_o),
    ("upstream_not_passed", "1 for ∂L/∂h"): steps("deep", down=lambda dz, W, dW, i, k: 1),
    ("upstream_not_passed", "the weights without the error"): steps(
        "deep", down=lambda dz, W, dW, i, k: sum(W[k])
    ),
    ("upstream_not_passed", "the error without the weights"): steps(
        "deep", "as wide, or one", down=lambda dz, W, dW, i, k: dz[i, k] if dz.shape[1] > 1 else dz[i, 0]
    ),
    ("bias_not_summed", "one row for each sample"): steps("bias", "n > 1", into_bias=lambda dz: dz),
    ("bias_not_summed", "summed over the units instead"): steps(
        "bias", "n > 1", into_bias=lambda dz: [sum(row) for row in dz]
    ),
    ("bias_not_summed", "summed over everything"): steps(
        "bias", "n > 1", into_bias=lambda dz: sum(sum(row) for row in dz)
    ),
    ("bias_averaged", "over the samples"): steps("bias", "n > 1", into_bias=lambda dz: sum(dz) / len(dz)),
    ("bias_forgotten", "in every layer"): steps("bias", into_bias=lambda dz: [0 for _ in dz[0]]),
    ("transpose_missing", "W for Wᵀ"): steps(
        "deep", "squares above", "K > 1", down=lambda dz, W, dW, i, k: sum(dz[i] * W[:, k])
    ),
    ("transpose_missing", "a reshape for Wᵀ"): steps(
        "an oblong above",
        down=lambda dz, W, dW, i, k: sum(
            dz[i, j] * W[divmod(j * len(W) + k, W.shape[1])] for j in range(W.shape[1])
        ),
    ),
    ("broadcast_blow_up", "n × n errors"): Row(("K = 1", "n > 1", "one layer"), over_a_square),
    ("broadcast_blow_up", "the loss over n × n pairs"): Row(("K = 1", "n > 1"), over_all_pairs),
    ("gradients_accumulated", "over the calls"): factor(lambda K: 2),
    ("gradients_accumulated", "over the samples"): steps(
        "n > 1", share=lambda i, n, reduction: (n - i) * share(i, n, reduction)
    ),
    ("input_mutated", "the targets become errors"): changed_case(
        "no cross_entropy", change=with_errors_as_targets
    ),
    ("input_mutated", "the inputs are centred"): changed_case("n > 1", change=centred),
    ("samples_mixed", "a reshape for xᵀ"): steps(
        "n > 1",
        "wide below",
        into_weight=lambda x, dz, k, j: sum(
            x[divmod(k * len(x) + i, x.shape[1])] * dz[i, j] for i in range(len(x))
        ),
    ),
    ("samples_mixed", "the errors moved by one sample"): steps(
        "n > 1", into_weight=lambda x, dz, k, j: sum(x[i, k] * dz[i - 1, j] for i in range(len(x)))
    ),
    ("samples_mixed", "the errors in reverse order"): steps(
        "n > 1", into_weight=lambda x, dz, k, j: sum(x[i, k] * dz[-1 - i, j] for i in range(len(x)))
    ),
    ("samples_mixed", "the targets moved by one sample"): steps(
        "n > 1",
        error=lambda loss, o, y, i, k: sum(term(loss, o[i], y[i - 1], j, k) for j in range(len(o[i]))),
    ),
    ("gradient_clipped", "each entry to [−1, 1]"): each_entry(
        change=lambda array: np.sign(array) * np.minimum(abs(array), 1)
    ),
    ("gradient_clipped", "each array to the norm 1"): each_entry(change=shortened),
    ("gradient_clipped", "all arrays together to the norm 1"): Row((), shortened_together),
    **{
        ("fixed_divisor", str(size)): steps(
            "mean", f"n is not {size}", share=lambda i, n, reduction, size=size: 1 / size
        )
        for size in (10, 32, 64, 100)
    },
    **{("updated_weights_used", f"rate {rate}"): step_first(rate) for rate in (1.0, 0.5, 0.1, 0.01, 0.001)},
    **{
        ("input_mutated", f"the parameters make a step of rate {rate}"): a_step_on(rate)
        for rate in (1.0, 0.1, 0.01)
    },
    **{
        ("penalty_included", f"λ = {strength}"): with_penalty(strength)
        for strength in (1.0, 0.1, 0.01, 0.001, 0.0001)
    },
    **{
        ("precision_lost", f"rounded to {dtype}"): each_entry(*where, change=rounded(dtype))
        for dtype, where in PRECISIONS.items()
    },
    **{
        ("precision_lost", f"computed in {dtype}"): Row(where, computed_in(dtype))
        for dtype, where in PRECISIONS.items()
    },
    **dict(in_each_place("slope_twice", "f'(z)²", twice, hidden=SMOOTH, output=f"{SMOOTH} softmax")),
    **dict(
        in_each_place(
            "slope_at_wrong_place",
            "f'(h)",
            lambda f, dh, z, k: through(f, dh, values(f, z), k),
            hidden=SMOOTH,
            output=f"{SMOOTH} softmax",
        )
    ),
    **dict(
        in_each_place(
            "slope_at_wrong_place",
            "z(1 − z) or 1 − z²",
            lambda f, dh, z, k: dh[k] * {"sigmoid": z[k] - z[k] ** 2, "tanh": 1 - z[k] ** 2}[f],
            hidden="tanh sigmoid",
            output="tanh sigmoid",
        )
    ),
    **dict(
        in_each_place(
            "slope_at_wrong_place", "h ≥ 0", lambda f, dh, z, k: dh[k], hidden="relu", output="relu"
        )
    ),
    **dict(
        in_each_place(
            "slope_missing", "1 for f'(z)", lambda f, dh, z, k: dh[k], hidden=BENT, output=f"{BENT} softmax"
        )
    ),
    **dict(
        in_each_place(
            "activation_as_slope",
            "f(z)",
            lambda f, dh, z, k: dh[k] * values(f, z)[k],
            hidden=BENT,
            output=f"{BENT} softmax",
        )
    ),
    **dict(
        in_each_place(
            "relu_gated_by_gradient",
            "dh > 0",
            lambda f, dh, z, k: max(dh[k], 0),
            hidden="relu",
            output="relu",
        )
    ),
    **dict(
        in_each_place(
            "relu_gated_by_gradient",
            "dh > 0 and z > 0",
            lambda f, dh, z, k: max(dh[k], 0) * (z[k] > 0),
            hidden="relu",
            output="relu",
        )
    ),
}


# The tests ---------------------------------------------------------------------------------------------

VARIANTS = {
    (mistake.name, label): wrong for mistake in MISTAKES.values() for label, wrong in mistake.variants
}
SIZES = [
    (2, 1),
    (1, 2, 1),
    (3, 2, 2),
    (4, 1),
    (1, 3),
    (4, 3),
    (4, 1, 1),
    (3, 1, 2),
    (3, 2, 1),
    (4, 3, 3),
    (6, 4, 3),
    (3, 3, 1, 1),
    (6, 5, 4, 3),
]
SAMPLES = [1, 2, 10, 32, 64, 100]
MOST = 16  # problems for each variant, evenly over those where it is offered


@cache
def settings() -> list[Setting]:
    """Some of all combinations."""
    every = product(SIZES, SAMPLES, ACTIVATIONS, PAIRS, REDUCTIONS, (True, False), ("float64", "float32"))
    return [
        Setting(hidden, output, loss, reduction, len(sizes) - 1, n, sizes[-1], sizes, bias=bias, dtype=dtype)
        for sizes, n, hidden, (output, loss), reduction, bias, dtype in Random(0).sample(list(every), 3000)  # noqa: S311  (no secret)
    ]


def test_every_variant_has_a_formula_here() -> None:
    assert list(VARIANTS.keys() ^ ROWS.keys()) == []


@pytest.mark.parametrize(("name", "label"), ROWS)
def test_a_mistake_is_offered_where_it_can_be_made(name: str, label: str) -> None:
    for setting in settings():
        constant = setting.output == "softmax" and setting.outputs == 1
        offered = not constant and all(CONDITIONS[word](setting) for word in ROWS[name, label].where)
        assert VARIANTS[name, label].applies(**vars(setting)) == offered, setting


@pytest.mark.parametrize(("name", "label"), ROWS)
def test_a_mistake_is_its_formula(name: str, label: str) -> None:
    wrong, formula = VARIANTS[name, label], ROWS[name, label].formula
    there = [one for one in problems() if wrong.applies(**one.setting)]
    some = there[:: max(1, len(there) // MOST)]
    for case, names, setting in [*some, *map(with_large_inputs, some)] if "clipped" in name else some:
        pairs = list(zip(flat(formula(case, names)), flat(wrong(*case, **names)), strict=True))
        assert all(here.shape == given.shape for here, given in pairs), setting
        largest = max(abs(array).max() for array in flat(gradient(*case, **names)))  # a mistake's may be 0
        apart = max(abs(here - given).max() for here, given in pairs)
        assert apart < ROUNDINGS * np.finfo(float).eps * largest, setting
