"""What people write in the place of a step of a network's backward pass, and what the catalogue calls it.

A row is a function of the arrays that the step has (see `networks`): `v` is what would be right there, `dh` and `dz`
the errors at h and at z, `x` the layer's inputs. A row holds of one layer, of several, or of all that have the step.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from properties.cases import Array, Case
from properties.diagnosis.networks import Function, back
from reference.mutations import FORMULAS
from reference.operations import OPERATIONS

Where = Callable[[Case], bool]


def anywhere(case: Case) -> bool:
    """Whatever the choices."""
    del case
    return True


@dataclass(frozen=True)
class Row:
    """What stands in the place of a step, by a name of the catalogue; without a name, the label is a sentence.

    `where` says for which choices it is a mistake of this name at all.
    """

    name: str
    label: str
    function: Function
    where: Where = anywhere
    note: str = ""
    """What is said besides the name."""

    @property
    def names(self) -> tuple[str, ...]:
        """The name, and what is said besides."""
        return tuple(filter(None, (self.name, self.note)))


# --- the error --------------------------------------------------------------------------------------------


def _divides(case: Case) -> bool:
    return case.reduction == "mean"


def _mean_over_outputs(case: Case) -> bool:
    return case.loss in ("mse", "half_mse", "mean_binary_cross_entropy")


def _without_half(case: Case) -> bool:
    return case.loss in ("mse", "sse")


def _some(v: Array, axis: int, kept: Callable[[Array], Array], *, as_all: bool = False) -> Array:
    """v that is 0 but for the kept places of an axis; `as_all` counts them as if they were all."""
    size = v.shape[axis]
    mask = kept(np.arange(size)).astype(float)
    factor = size / mask.sum() if as_all else 1.0
    return v * np.expand_dims(mask, 1 - axis) * factor


def _one(v: Array, place: int) -> Array:
    only = np.zeros_like(v)
    only[place, place] = v[place, place]
    return only


_KEPT: Mapping[str, Callable[[Array], Array]] = {
    "the first": lambda i: i == 0,
    "the last": lambda i: i == len(i) - 1,
}
_LEFT: Mapping[str, Callable[[Array], Array]] = {
    "the last": lambda i: i < len(i) - 1,
    "the first": lambda i: i > 0,
}


def _left_out(column: str = "") -> Iterator[Row]:
    """Outputs that are dropped, at the error or after it has gone through the output."""
    for text, kept in _KEPT.items():
        yield Row("one_output_only", text + column, lambda v, kept=kept: _some(v, 1, kept))
    for text, kept in _LEFT.items():
        yield Row("outputs_dropped", text + column, lambda v, kept=kept: _some(v, 1, kept))
    yield Row("outputs_dropped", f"the last half{column}", lambda v: _some(v, 1, lambda j: j < len(j) / 2))


def _samples() -> Iterator[Row]:
    for text, kept in _KEPT.items():
        yield Row("one_sample_only", text, lambda v, kept=kept: _some(v, 0, kept, as_all=True), _divides)
        yield Row(
            "one_sample_only", text, lambda v, kept=kept: _some(v, 0, kept), lambda case: not _divides(case)
        )
        yield Row(
            "one_sample_only", f"{text}, divided by n", lambda v, kept=kept: _some(v, 0, kept), _divides
        )
    for text, kept in _LEFT.items():
        yield Row("samples_dropped", text, lambda v, kept=kept: _some(v, 0, kept))
        yield Row(
            "samples_dropped",
            f"{text}, divided by n − 1",
            lambda v, kept=kept: _some(v, 0, kept, as_all=True),
            _divides,
        )


def _cells() -> Iterator[Row]:
    for text, place in (("the first", 0), ("the last", -1)):
        yield Row("one_cell_only", text, lambda v, place=place: _one(v, place))


def _classes(case: Case) -> bool:
    return case.loss == "cross_entropy"


def _entropy(case: Case) -> bool:
    return case.loss.endswith("entropy")


_AVERAGED = (
    Row("errors_averaged_first", "with each sample's activations", lambda v: v.mean(0) + 0 * v),
    Row("errors_averaged_first", "over samples and outputs", lambda v: v.mean() + 0 * v),
)

ERROR: tuple[Row, ...] = (
    *_left_out(),
    *_cells(),
    *_AVERAGED,
    Row("", "(o − y)² stands where its derivative by o should be", lambda v, o, y: v * (o - y)),
    Row("", "|o − y| stands where its derivative by o should be", lambda v, o, y: v * np.sign(o - y)),
)
"""At ∂L/∂o, (n, K)."""

SCORES: tuple[Row, ...] = (
    *_left_out(" column after the softmax"),
    *_samples(),
    *(replace(row, where=_entropy) for row in _AVERAGED),
    Row("sum_for_mean", "over the samples", lambda v: v * len(v), _divides),
    Row("output_mean_lost", "over the outputs", lambda v: v * v.shape[1], _mean_over_outputs),
    Row("divided_twice", "by the samples", lambda v: v / len(v), _divides),
    Row("divided_twice", "by the outputs", lambda v: v / v.shape[1], _mean_over_outputs),
    Row("factor_two_lost", "in the output error", lambda v: v / 2, _without_half),
    Row("factor_two_gained", "in the output error", lambda v: 2 * v),
    Row("wrong_sign", "everywhere", lambda v: -v),
    Row("gradients_accumulated", "over the samples", lambda v: v * np.arange(len(v), 0, -1)[:, None]),
    Row("slope_twice", "(o − y) · o(1 − o)", lambda v, o: v * o * (1 - o), _entropy),
    Row("slope_twice", "(o − y) through the softmax", lambda v, z: back("softmax", v, z), _classes),
)  # fmt: skip
"""At ∂L/∂z of the last layer, (n, K)."""

# --- down -------------------------------------------------------------------------------------------------


def _path(unit: int) -> Function:
    return lambda dz, W: dz[:, [unit]] @ W[:, [unit]].T


DOWN: tuple[Row, ...] = (
    Row("one_downstream_path", "the first", _path(0)),
    Row("one_downstream_path", "the last", _path(-1)),
    Row("one_downstream_path", "the second", _path(1)),
    Row("divided_twice", "by the samples, again in every layer", lambda v: v / len(v), _divides),
    Row("upstream_not_passed", "1 for ∂L/∂h", lambda v: 0 * v + 1),
    Row("upstream_not_passed", "the weights without the error", lambda v, W: W.sum(1) + 0 * v),
    Row("upstream_not_passed", "the error without the weights", lambda v, dz: dz + 0 * v),
    Row("transpose_missing", "W for Wᵀ", lambda dz, W: dz @ W),
    Row("transpose_missing", "a reshape for Wᵀ", lambda dz, W: dz @ W.reshape(W.shape[::-1])),
    Row("", "the error goes down by the weights of the neighbouring unit, and by b: the wrong row of an augmented "
        "matrix is dropped", lambda dz, W, b: dz @ np.vstack([W[1:], b]).T),
    Row("", "the error goes down by the weights of the neighbouring unit", lambda dz, W: dz @ np.roll(W, -1, 0).T),
    Row("", "∂L/∂h is the mean over the units above, where their sum should be", lambda v, dz: v / dz.shape[1]),
    Row("", "∂L/∂h is a product of two sums, Σ dz and Σ w over the units above, where a sum of products should be",
        lambda dz, W: np.outer(dz.sum(1), W.sum(1))),
)  # fmt: skip
"""At ∂L/∂h, (n, units), of a layer from that above."""


def updated(rate: float) -> Function:
    """The way down through weights that have made a step of their own before."""
    return lambda dz, x, W: dz @ (W - rate * x.T @ dz).T


# --- slopes -----------------------------------------------------------------------------------------------


ALWAYS_TRUE = "closed units get slope 1: take the mask from z > 0, not from h ≥ 0, which always holds"


def slopes(activation: str) -> Iterator[Row]:
    """What stands in the place of dh · f'(z); of a relu, a mask that is always true is likelier than no slope."""
    bent, soft = activation != "identity", activation == "softmax"
    curved = bent and activation != "relu"
    none = "slope_missing", "1 for f'(z)"
    yield Row(*none, lambda dh: dh, lambda case: bent)
    if activation == "relu":
        yield Row("slope_at_wrong_place", "h ≥ 0", lambda dh: dh, note=ALWAYS_TRUE)
        yield Row("relu_gated_by_gradient", "dh > 0", lambda dh: dh * (dh > 0))
        yield Row("relu_gated_by_gradient", "dh > 0 and z > 0", lambda dh, z: dh * ((dh > 0) & (z > 0)))
    if curved:
        yield Row("slope_twice", "f'(z)²", lambda dh, z: back(activation, back(activation, dh, z), z))
        yield Row("slope_at_wrong_place", "f'(h)", lambda dh, h: back(activation, dh, h))
    if activation in ("tanh", "sigmoid"):
        formula = _OF_VALUE[activation]
        yield Row("slope_at_wrong_place", "z(1 − z) or 1 − z²", lambda dh, z: dh * formula(z))
    if bent:
        yield Row("activation_as_slope", "f(z)", lambda dh, h: dh * h)
    if soft:
        yield Row("softmax_diagonal_only", "oₖ(1 − oₖ)", lambda dh, h: dh * h * (1 - h))


_OF_VALUE: Mapping[str, Callable[[Array], Array]] = {
    "tanh": lambda h: 1 - h * h,
    "sigmoid": lambda h: h * (1 - h),
}
"""Slopes as formulas in h."""


def other_slopes(activation: str) -> Iterator[Row]:
    """The slope of another activation, at z or as if h were z; a formula that is no slope."""
    for name, options in functions():
        said = called(name, options)
        yield Row("", f"that of {said} at z", lambda dh, z, f=name, o=options: back(f, dh, z, **o))
        if name != activation:
            yield Row("", f"that of {said} at h", lambda dh, h, f=name, o=options: back(f, dh, h, **o))
    for text, formula in FORMULAS:
        yield Row("", text.format("", "h"), lambda dh, h, f=formula: dh * f(h))
        yield Row("", text.format("", "z"), lambda dh, z, f=formula: dh * f(z))


ENTRY_BY_ENTRY = ("square", "cube", "exp", "sin", "cos", "absolute")
"""Functions of the reference that are no activations, and are used as such."""


def functions() -> Iterator[tuple[str, dict[str, float]]]:
    """Every activation of the reference, with each value of its option."""
    for one in OPERATIONS.values():
        activation = one.forward.__module__.endswith("activations") and tuple(one.inputs) == ("x",)
        if activation or one.name in ENTRY_BY_ENTRY:
            for values in product(*one.options.values()):
                yield one.name, dict(zip(one.options, values, strict=True))


def called(name: str, options: Mapping[str, float | str]) -> str:
    """`leaky_relu with slope 0.01`."""
    told = (f"{key} {one if isinstance(one, str) else f'{one:g}'}" for key, one in options.items())
    return f"{name} with {', '.join(told)}" if options else name


# --- dW and db --------------------------------------------------------------------------------------------

WEIGHTS: tuple[Row, ...] = (
    Row("samples_averaged_first", "the layer's inputs and errors", lambda x, dz: np.outer(x.mean(0), dz.sum(0))),
    Row("samples_mixed", "a reshape for xᵀ", lambda x, dz: x.reshape(x.shape[::-1]) @ dz),
    Row("samples_mixed", "the errors moved by one sample", lambda x, dz: x.T @ np.roll(dz, 1, 0)),
    Row("samples_mixed", "the errors in reverse order", lambda x, dz: x.T @ dz[::-1]),
    Row("", "dW is a product of two sums, Σ x and Σ dz, where a sum of products should be",
        lambda x, dz: np.outer(x.sum(0), dz.sum(0))),
    Row("", "dW is one number, an inner product of x and dz, where an outer product should be",
        lambda v, x, dz: np.einsum("nk,nk->", x, dz) + 0 * v),
    Row("", "dW is given transposed", lambda v: v.T),
    Row("", "dW is reshaped where it should be transposed", lambda v: v.T.reshape(v.shape)),
    Row("", "dW is made with the output of its layer, not with the input", lambda h, dz: h.T @ dz),
    Row("", "dW is made with x less its mean over the batch", lambda x, dz: (x - x.mean(0)).T @ dz),
)  # fmt: skip
"""At dW, (fan_in, fan_out)."""

BIAS: tuple[Row, ...] = (
    Row("bias_averaged", "over the samples", lambda dz: dz.mean(0)),
    Row("bias_forgotten", "in every layer", lambda v: 0 * v),
    Row("", "each entry of db is the sum of dz over all units", lambda v, dz: dz.sum() + 0 * v),
    Row("", "each entry of db is the mean of dz over all units and samples", lambda v, dz: dz.mean() + 0 * v),
    Row("", "each entry of db is the mean over the units of what they should be", lambda v: v.mean() + 0 * v),
    Row("", "db is the sum of dW over its inputs", lambda x, dz: (x.T @ dz).sum(0)),
)
"""At db, (fan_out,)."""

TABLES: Mapping[str, tuple[Row, ...]] = {
    "error": ERROR, "scores": SCORES, "down": DOWN, "weights": WEIGHTS, "bias": BIAS,
}  # fmt: skip
"""Rows by the kind of their step; those of slopes hang on the activation."""
