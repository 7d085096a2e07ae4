"""What the catalogue has no name for: activations and losses that PROBLEM does not know, and slopes of other ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import erf
from typing import Unpack

import numpy as np

from manual_backprop import ACTIVATIONS, OUTPUTS, Parameters, Rule
from manual_backprop.activations import Array, Elementwise, Softmax
from manual_backprop.losses import LOSSES, as_rows
from manual_backprop.mistakes.catalogue import Gradient, Names, following
from manual_backprop.network import over_the_batch
from properties.cases import Case
from properties.diagnosis.hypotheses import Hypothesis

Error = Callable[[Array, Array], Array]
Step = Callable[[Elementwise | Softmax, Array, Array, Array], Array]


def _leaky(slope: float) -> Elementwise:
    return Elementwise(
        lambda z: np.where(z > 0, z, slope * z), lambda z, h: np.where(z > 0, 1.0, slope) * np.ones_like(z)
    )


def _normal(z: Array) -> Array:
    """Φ(z), the distribution function of the normal distribution."""
    return (1 + np.vectorize(erf, otypes=[float])(z / np.sqrt(2))) / 2


def _sigmoid(z: Array) -> Array:
    return ACTIVATIONS["sigmoid"].forward(z)


def _clipped(low: float, high: float) -> Elementwise:
    return Elementwise(lambda z: z.clip(low, high), lambda z, h: ((low < z) & (z < high)).astype(float))


OTHERS: Mapping[str, Elementwise] = {
    **{f"leaky relu, {a:g} below 0,": _leaky(a) for a in (0.01, 0.1, 0.2, 0.3, 0.05, 0.02, 0.001, 0.25, 0.5)},
    "elu": Elementwise(
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z, h: np.exp(np.minimum(z, 0))
    ),
    "silu": Elementwise(lambda z: z * _sigmoid(z), lambda z, h: _sigmoid(z) * (1 + z * _sigmoid(-z))),
    "gelu": Elementwise(
        lambda z: z * _normal(z), lambda z, h: _normal(z) + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    ),
    "relu6": _clipped(0, 6),
    "hard tanh": _clipped(-1, 1),
    "softsign": Elementwise(lambda z: z / (1 + abs(z)), lambda z, h: 1 / (1 + abs(z)) ** 2),
    "arctan": Elementwise(np.arctan, lambda z, h: 1 / (1 + z * z)),
    "sine": Elementwise(np.sin, lambda z, h: np.cos(z)),
    "exp": Elementwise(np.exp, lambda z, h: np.exp(z)),
    "a square": Elementwise(np.square, lambda z, h: 2 * z),
    "1.7159 tanh(2z/3)": Elementwise(
        lambda z: 1.7159 * np.tanh(2 * z / 3), lambda z, h: 1.7159 * 2 / 3 * (1 - np.tanh(2 * z / 3) ** 2)
    ),
}
"""Activations in use that PROBLEM has no name for."""

FORMULAS: Mapping[str, Callable[[Array, Array], Array]] = {
    "1 − h": lambda z, h: 1 - h,
    "(1 − h)²": lambda z, h: (1 - h) ** 2,
    "h (1 + h)": lambda z, h: h * (1 + h),
    "h (1 − z)": lambda z, h: h * (1 - z),
    "z (1 − h)": lambda z, h: z * (1 - h),
    "1 + h²": lambda z, h: 1 + h * h,
    "h²": lambda z, h: h * h,
    "1 − z": lambda z, h: 1 - z,
    "z": lambda z, h: z,
    "1/cosh z": lambda z, h: 1 / np.cosh(z),
}
"""Slopes that are none of any activation's."""


def with_another_slope(case: Case) -> Iterator[Hypothesis]:
    """The right way up, and down by the slope of another activation, taken at z or as a formula in h; or by none."""
    steps = [
        (f"that of {name} {text}", step(row))
        for name, row in {**ACTIVATIONS, **OTHERS}.items()
        for text, step in (("at z", _slope_at_z), ("as a formula in h", _slope_of_h))
    ]
    steps += [(text, _slope_by(formula)) for text, formula in FORMULAS.items()]
    for text, step in steps:
        for place, rule in (
            ("the hidden layers", Rule(through_hidden=step)),
            ("the output", Rule(through_output=step)),
            ("every layer", Rule(through_hidden=step, through_output=step)),
        ):
            said = case.output if place == "the output" else case.hidden
            yield Hypothesis((), f"the slope of {place} is {text}, and PROBLEM says {said}", following(rule))


def _slope_at_z(row: Elementwise) -> Step:
    return lambda activation, dh, z, h: row.backward(dh, z, row.forward(z))


def _slope_of_h(row: Elementwise) -> Step:
    return lambda activation, dh, z, h: row.backward(dh, h, h)


def _slope_by(formula: Callable[[Array, Array], Array]) -> Step:
    return lambda activation, dh, z, h: dh * formula(z, h)


def of_other_activations(case: Case) -> Iterator[Hypothesis]:
    """Another activation in all hidden layers, in one of them, or at the output; a softmax over other axes."""
    hidden, output = [OUTPUTS[case.hidden]] * (len(case.parameters) - 1), OUTPUTS[case.output]
    for name, row in OTHERS.items():
        told = f"this is the gradient of a network with {name}"
        if hidden:
            label = f"{told} in the hidden layers, and PROBLEM says {case.hidden}"
            yield Hypothesis((), label, _of_rows([*[row] * len(hidden), output]))
        yield Hypothesis(
            (), f"{told} at the output, and PROBLEM says {case.output}", _of_rows([*hidden, row])
        )
    for layer in range(len(hidden) if len(hidden) > 1 else 0):
        for name, row in {**ACTIVATIONS, **OTHERS}.items():
            label = f"layer {layer + 1} has {name}, and PROBLEM says {case.hidden}"
            yield Hypothesis((), label, _of_rows([*hidden[:layer], row, *hidden[layer + 1 :], output]))
    if case.output == "softmax":
        for text, axis in (("the samples", 0), ("all samples and outputs", None)):
            label = f"the softmax is taken over {text}, not over the outputs of each sample"
            yield Hypothesis((), label, _of_rows([*hidden, Softmax(_softmax_over(axis))]))


def _softmax_over(axis: int | None) -> Callable[[Array], Array]:
    def forward(z: Array) -> Array:
        small = np.exp(z - z.max())
        return small / small.sum(axis=axis, keepdims=True)

    return forward


def _of_rows(rows: Sequence[Elementwise | Softmax]) -> Gradient:
    """The right gradient of a network whose layers have these activations, of any table or none."""

    def other(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        zs, hs, loss = [inputs], [inputs], LOSSES[names["loss"]]
        for (W, b), row in zip(parameters, rows, strict=True):
            zs.append(hs[-1] @ W + (0 if b is None else b))
            hs.append(row.forward(zs[-1]))
        dz = over_the_batch(loss.error(hs[-1], as_rows(targets, like=hs[-1])), names["reduction"])
        if loss.output is None:
            dz = rows[-1].backward(dz, zs[-1], hs[-1])
        gradients: Parameters = []
        for layer, (upper, b) in reversed(list(enumerate(parameters))):
            gradients.append((hs[layer].T @ dz, None if b is None else dz.sum(axis=0)))
            if layer:
                dz = rows[layer - 1].backward(dz @ upper.T, zs[layer], hs[layer])
        return gradients[::-1]

    return other


OF_SQUARES: Mapping[str, Error] = {
    "the absolute error |o − y|, averaged over the outputs": lambda o, y: np.sign(o - y) / o.shape[1],
    "the absolute error |o − y|, summed over the outputs": lambda o, y: np.sign(o - y),
    "the loss log cosh(o − y), averaged over the outputs": lambda o, y: np.tanh(o - y) / o.shape[1],
    "the loss log cosh(o − y), summed over the outputs": lambda o, y: np.tanh(o - y),
}
"""Errors of other losses than the squared ones."""
OF_BINARY_ENTROPIES: Mapping[str, Error] = {
    "−y log o alone, without (1 − y) log(1 − o)": lambda o, y: -y * (1 - o),
    "−(1 − y) log(1 − o) alone, without y log o": lambda o, y: (1 - y) * o,
}
BENDS = (1.0, 0.5, 1.345, 1.35, 0.1, 1.5, 2.0, 5.0, 10.0, 100.0)
"""Where Huber losses are bent."""


def _jacobian(own: int, square: int, products: int) -> Step:
    """Σ_j dh_j J_jk, where J_jk is own · h_k + square · h_k² for j = k, and products · h_j h_k otherwise.

    The softmax has 1, −1 and −1.
    """

    def step(activation: Elementwise | Softmax, dh: Array, z: Array, h: Array) -> Array:
        del activation, z
        others = (dh * h).sum(axis=1, keepdims=True) - dh * h
        return h * (own * dh + square * dh * h + products * others)

    return step


JACOBIANS: Mapping[str, Step] = {
    "has + h_j h_k where − h_j h_k should be": _jacobian(1, 1, 1),
    "has + h_j h_k where − h_j h_k should be, off the diagonal": _jacobian(1, -1, 1),
    "is − h_j h_k on the diagonal too": _jacobian(0, -1, -1),
    "has h_k on its diagonal, without − h_k²": _jacobian(1, 0, -1),
}
"""What else the Jacobian of a softmax may be."""


def _softmax_of_outputs(o: Array, y: Array) -> Array:
    return OUTPUTS["softmax"].forward(o) - y


def _softmax_of_softmax(o: Array, y: Array) -> Array:
    """The error of a cross-entropy that takes the outputs for its logits, sent back through their softmax."""
    return OUTPUTS["softmax"].backward(_softmax_of_outputs(o, y), o, o)


TWICE: Mapping[str, Error] = {
    "the softmax is taken twice going forward, and o − y is the error all the same": _softmax_of_outputs,
    "the softmax is taken twice, here and in the loss": _softmax_of_softmax,
}


def with_another_jacobian(case: Case) -> Iterator[Hypothesis]:
    """The right rule, but for the way back through the softmax."""
    for text, error in TWICE.items() if case.loss == "cross_entropy" else ():
        yield Hypothesis((), text, _by_error(error))
    for text, step in JACOBIANS.items() if case.output == "softmax" else ():
        yield Hypothesis((), f"the softmax's Jacobian {text}", following(Rule(through_output=step)))


LIMITS = (1.0, 5.0, 10.0, 0.5, 0.1)


def with_clipped_errors() -> Iterator[Hypothesis]:
    """∂L/∂z of the hidden layers clipped, entry by entry."""
    for limit in LIMITS:
        text = f"∂L/∂z of the hidden layers is clipped to ±{limit:g}"
        yield Hypothesis((), text, following(Rule(through_hidden=_clipping(limit))))


def _clipping(limit: float) -> Step:
    return lambda activation, dh, z, h: activation.backward(dh, z, h).clip(-limit, limit)


def of_another_error(case: Case) -> Iterator[Hypothesis]:
    """The gradient of a loss that PROBLEM does not know, or an error that is none of a loss."""
    loss = LOSSES[case.loss]
    said = f", and PROBLEM says {case.loss}"
    if loss.output is None:
        for text, error in OF_SQUARES.items():
            yield Hypothesis((), f"this is the gradient of {text}{said}", _by_error(error))
        for bend in BENDS:
            text = f"this is the gradient of a Huber loss, bent at |o − y| = {bend:g}{said}"
            yield Hypothesis((), text, _by_error(_bent_at(loss.error, bend)))
        for text, of in (("each sample", _root_of_each), ("the batch", _root_of_the_batch)):
            yield Hypothesis(
                (), f"this is the gradient of the square root of the loss of {text}", of(case.loss)
            )
        for text, of_difference in (("(o − y)²", np.square), ("|o − y|", np.abs)):
            error = _of_difference(loss.error, of_difference)
            yield Hypothesis((), f"{text} stands where its derivative by o should be", _by_error(error))
    elif loss.output == "sigmoid":
        for text, error in OF_BINARY_ENTROPIES.items():
            scale = "mean" in case.loss
            scaled = _scaled_by_outputs(error) if scale else error
            yield Hypothesis((), f"this is the gradient of {text}", _by_error(scaled))


def _by_error(error: Error) -> Gradient:
    return following(Rule(output_error=lambda loss, o, y: error(o, y)))


def _bent_at(error: Error, bend: float) -> Error:
    return _of_difference(error, lambda difference: difference.clip(-bend, bend))


def _of_difference(error: Error, change: Callable[[Array], Array]) -> Error:
    """The factors of a squared loss, with a function of o − y in the place of o − y."""
    return lambda o, y: error(change(o - y), np.zeros_like(y))


def _scaled_by_outputs(error: Error) -> Error:
    return lambda o, y: error(o, y) / o.shape[1]


def _root_of_each(loss: str) -> Gradient:
    """∂√L_i = ∂L_i / (2√L_i)."""
    row = LOSSES[loss]
    return _by_error(lambda o, y: row.error(o, y) / (2 * np.sqrt(row.value(o, o, y)))[:, None])


def _root_of_the_batch(loss: str) -> Gradient:
    """∂√L = ∂L / (2√L), where L is the mean of the samples' losses, or their sum."""
    row = LOSSES[loss]

    def other(parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]) -> Parameters:
        def error(o: Array, y: Array) -> Array:
            return row.error(o, y) / (
                2 * np.sqrt(over_the_batch(row.value(o, o, y), names["reduction"]).sum())
            )

        return _by_error(error)(parameters, inputs, targets, **names)

    return other
