"""Right gradients in other words than `manual_backprop`'s: the judge may accuse none of them.

They share no code with it, and differ among each other in every step: how a matrix product adds up, the
formulas of the activations and of their slopes, the way back from the loss to the last z, and where the
factors 2, 1/K and 1/N are applied. Some overflow at the edges, as programs do that were written for the
middle (`overflows`): there they may give NaN or infinity, but no wrong number.

A style is a table or a function in capitals or with an underscore; `FORMULATIONS` joins the styles.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from properties.cases import Array, Case, Parameters
from properties.checks import check_gradient
from properties.comparison import Comparison, named
from properties.search import Violation

Product = Callable[[Array, Array], Array]
"""The matrix product."""


# --- matrix products --------------------------------------------------------------------------------------


def _einsum(a: Array, b: Array) -> Array:
    return np.einsum("ik,kj->ij", a, b)


def _in_columns(a: Array, b: Array) -> Array:
    """As a program does whose vectors are columns."""
    return np.ascontiguousarray(b.T @ a.T).T


def _last_first(a: Array, b: Array) -> Array:
    """One product of rank 1 after another, from the last to the first."""
    total = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for k in reversed(range(len(b))):
        total = total + a[:, k, None] * b[k]
    return total


def _compensated(a: Array, b: Array) -> Array:
    """W. Kahan's sum, which keeps what each addition has lost."""
    total = lost = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for k in range(len(b)):
        term = a[:, k, None] * b[k] - lost
        longer = total + term
        lost = (longer - total) - term
        total = longer
    return total


# --- activations ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Activation:
    """h = value(z) and h' = slope(z, h)."""

    value: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]


_IDENTITY = Activation(lambda z: z, lambda z, h: np.ones_like(z))


def _split_sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z) for z ≥ 0, e^z / (1 + e^z) for z < 0."""
    h = np.empty_like(z)
    positive = z >= 0
    h[positive] = 1 / (1 + np.exp(-z[positive]))
    small = np.exp(z[~positive])
    h[~positive] = small / (1 + small)
    return h


FROM_VALUES: Mapping[str, Activation] = {
    "identity": _IDENTITY,
    "tanh": Activation(np.tanh, lambda z, h: (1 - h) * (1 + h)),
    "sigmoid": Activation(_split_sigmoid, lambda z, h: h - h * h),
    "relu": Activation(lambda z: np.where(z > 0, z, 0), lambda z, h: (h > 0).astype(h.dtype)),
    "softplus": Activation(lambda z: np.logaddexp(0, z), lambda z, h: -np.expm1(-h)),
}
"""Slopes from h."""

FROM_Z: Mapping[str, Activation] = {
    "identity": _IDENTITY,
    "tanh": Activation(np.tanh, lambda z, h: 1 / np.cosh(z) ** 2),
    "sigmoid": Activation(lambda z: (1 + np.tanh(z / 2)) / 2, lambda z, h: 1 / (4 * np.cosh(z / 2) ** 2)),
    "relu": Activation(lambda z: z.clip(min=0), lambda z, h: (z >= 0).astype(z.dtype)),
    "softplus": Activation(
        lambda z: z.clip(min=0) + np.log1p(np.exp(-abs(z))), lambda z, h: (1 + np.tanh(z / 2)) / 2
    ),
}
"""Slopes from z, and relu's is 1 at 0."""

EXPONENTIALS: Mapping[str, Activation] = {
    "identity": _IDENTITY,
    "tanh": Activation(
        lambda z: 2 / (1 + np.exp(-2 * z)) - 1,
        lambda z, h: 4 * (1 / (1 + np.exp(-2 * z))) * (1 - 1 / (1 + np.exp(-2 * z))),
    ),
    "sigmoid": Activation(lambda z: 1 / (1 + np.exp(-z)), lambda z, h: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "relu": Activation(lambda z: (abs(z) + z) / 2, lambda z, h: (1 + np.sign(z)) / 2),
    "softplus": Activation(lambda z: np.log(1 + np.exp(z)), lambda z, h: np.exp(z) / (1 + np.exp(z))),
}
"""The formulas as they stand in a book; relu's slope at 0 is a half."""

QUOTIENTS: Mapping[str, Activation] = {
    **EXPONENTIALS,
    "tanh": Activation(
        lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
        lambda z, h: 4 / (np.exp(z) + np.exp(-z)) ** 2,
    ),
    "sigmoid": Activation(lambda z: np.exp(z) / (1 + np.exp(z)), lambda z, h: h * (1 - h)),
    "softplus": Activation(lambda z: np.log(1 + np.exp(z)), lambda z, h: 1 - 1 / (1 + np.exp(z))),
}
"""Quotients of exponentials that grow."""


def _softmax(z: Array) -> Array:
    small = np.exp(z - z.max(axis=1, keepdims=True))
    return small / small.sum(axis=1, keepdims=True)


def _plain_softmax(z: Array) -> Array:
    small = _with_digits(np.exp(z))
    return small / _with_digits(small.sum(axis=1, keepdims=True))


def _with_digits(x: Array) -> Array:
    """NaN where a number is subnormal: it has no digits left, as an infinite one has none."""
    return np.where((x > 0) & (x < np.finfo(x.dtype).tiny), np.nan, x)


def _log_softmax(z: Array) -> Array:
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


# --- from the loss to the last z --------------------------------------------------------------------------


@dataclass(frozen=True)
class Last:
    """What the way back from the loss starts with: the last z, the outputs, the rows of targets, (n, K)."""

    z: Array
    o: Array
    y: Array
    output: str
    loss: str
    activation: Activation | None

    def through_output(self, do: Array) -> Array:
        """∂L/∂z from ∂L/∂o by the slopes, or by softmax's Jacobians."""
        if self.activation is None:
            return np.einsum("ij,ijk->ik", do, _jacobians(self.o))
        return do * self.activation.slope(self.z, self.o)


def _jacobians(o: Array) -> Array:
    """∂o_j/∂z_k of each sample, (n, K, K)."""
    return np.stack([np.diag(row) - np.outer(row, row) for row in o])


def _joined(last: Last) -> Array:
    """The entropies' slopes cancelled on paper."""
    if last.loss.endswith("cross_entropy"):
        return last.o - last.y
    return last.through_output(last.o - last.y)


def _step_by_step(last: Last) -> Array:
    """∂ℓ/∂o as it stands, then the output's slopes or Jacobians."""
    o, y = last.o, last.y
    if last.loss == "cross_entropy":
        return last.through_output(-y / o)
    if last.loss.endswith("cross_entropy"):
        return last.through_output(-y / o + (1 - y) / (1 - o))
    return last.through_output(o - y)


def _as_quotients(last: Last) -> Array:
    """The binary entropy as (o - y) / o(1 - o), softmax by o(g - Σ g o)."""
    o, y = last.o, last.y
    if last.loss == "cross_entropy":
        g = np.where(y == 0, 0, -y / o)
    elif last.loss.endswith("cross_entropy"):
        g = (o - y) / (o * (1 - o))
    else:
        g = o - y
    if last.activation is None:
        return o * (g - (g * o).sum(axis=1, keepdims=True))
    return last.through_output(g)


def _by_logarithms(last: Last) -> Array:
    """The slopes of log-softmax and of log-sigmoid, which are the bounded ones."""
    z, y = last.z, last.y
    if last.loss == "cross_entropy":
        return np.exp(_log_softmax(z)) * y.sum(axis=1, keepdims=True) - y
    if last.loss.endswith("cross_entropy"):
        return (1 - y) * np.exp(-np.logaddexp(0, -z)) - y * np.exp(-np.logaddexp(0, z))
    if last.activation is None:
        g = last.o - last.y
        return last.o * g - last.o * (last.o * g).sum(axis=1, keepdims=True)
    return last.through_output(last.o - last.y)


# --- the loss ---------------------------------------------------------------------------------------------


def _plain_terms(last: Last) -> Array:
    """The loss of every cell (n, K), but for 1/K and 1/2, with the logarithms as they stand."""
    o, y = last.o, last.y
    if last.loss == "cross_entropy":
        return -y * np.log(o)
    if last.loss.endswith("cross_entropy"):
        return -(y * np.log(o) + (1 - y) * np.log(1 - o))
    return (o - y) ** 2


def _log_terms(last: Last) -> Array:
    """The same by log-softmax and log-sigmoid, and a square without the difference's sign."""
    z, y = last.z, last.y
    if last.loss == "cross_entropy":
        return -y * _log_softmax(z)
    if last.loss.endswith("cross_entropy"):
        return y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)
    return abs(last.o - y) * abs(y - last.o)


def _over_outputs(loss: str, outputs: int) -> float:
    """The factor of every cell's loss."""
    half = 2 if loss.startswith("half") else 1
    return 1 / (half * outputs if "mse" in loss or loss.startswith("mean") else half)


# --- the way back -----------------------------------------------------------------------------------------


Layers = list[tuple[Array, Array | None]]


@dataclass(frozen=True)
class Formulation:
    """One way to write the gradient: see `gradient`.

    `factors` are applied "first", to the error; "last", to every dW and db; or "apart": 2/K to the error
    as a quotient and 1/N to every dW. `doubled` computes in float64, whatever the format.
    """

    name: str
    product: Product
    activations: Mapping[str, Activation]
    softmax: Callable[[Array], Array]
    error: Callable[[Last], Array]
    factors: str
    terms: Callable[[Last], Array] = _log_terms
    sample_by_sample: bool = False
    jacobians_first: bool = False
    doubled: bool = False
    overflows: bool = False

    def gradient(self, case: Case) -> Parameters:
        """The gradient of the batch's loss, [(dW, db), ...] in the shapes of the parameters."""
        parameters, inputs, rows = self._given(case)
        divisor = case.samples if case.reduction == "mean" else 1
        squared = not case.loss.endswith("cross_entropy")
        factor = _over_outputs(case.loss, case.outputs) * (2 if squared else 1)
        first, last = {
            "first": (factor / divisor, 1.0),
            "last": (1.0, factor / divisor),
            "apart": (factor, 1 / divisor),
        }[self.factors]
        parts = np.arange(case.samples)[:, None] if self.sample_by_sample else [slice(None)]
        with np.errstate(all="ignore"):
            found = [self._part(parameters, inputs[part], rows[part], case, first) for part in parts]
            layers = [
                (
                    _total([dW for dW, _ in layer]) * last,
                    None if b is None else _total([db for _, db in layer]) * last,
                )
                for layer, (_, b) in zip(zip(*found, strict=True), case.parameters, strict=True)
            ]
            kept = case.inputs.dtype
            return [(dW.astype(kept), None if db is None else db.astype(kept)) for dW, db in layers]

    def loss(self, case: Case) -> float:
        """The loss of the batch."""
        with np.errstate(all="ignore"):
            _, _, top = self._up(*self._given(case), case)
            terms = self.terms(top) * _over_outputs(case.loss, case.outputs)
            return float(terms.sum() / (case.samples if case.reduction == "mean" else 1))

    def judged(self, case: Case) -> Comparison | None:
        """What the judge says, None for NaN or infinity of a program that may overflow.

        Raises:
            Inconclusive: where nobody can tell.
            Violation: where the judge accuses this right gradient, or its loss.
        """
        gradient, loss = self.gradient(case), self.loss(case)
        finite = np.isfinite(loss) and all(np.isfinite(array).all() for array in named(gradient).values())
        if self.overflows and not finite:
            return None
        found = check_gradient(gradient, case)
        if not abs(loss - case.oracle.loss) <= case.oracle.loss_error:
            raise Violation(
                f"the loss is {loss}, and should be {case.oracle.loss} ± {case.oracle.loss_error}"
            )
        return found

    def _given(self, case: Case) -> tuple[Parameters, Array, Array]:
        """Parameters, inputs and rows in the format to compute in."""
        if not self.doubled:
            return case.parameters, case.inputs, case.rows
        parameters = [(W.astype(float), None if b is None else b.astype(float)) for W, b in case.parameters]
        return parameters, case.inputs.astype(float), case.rows.astype(float)

    def _up(
        self, parameters: Parameters, inputs: Array, rows: Array, case: Case
    ) -> tuple[list[Array], list[Array], Last]:
        zs: list[Array] = []
        hs = [inputs]
        for depth, (W, b) in enumerate(parameters, start=1):
            z = self.product(hs[-1], W)
            z = z if b is None else z + b
            zs.append(z)
            name = case.output if depth == len(parameters) else case.hidden
            hs.append(self.softmax(z) if name == "softmax" else self.activations[name].value(z))
        return zs, hs, Last(zs[-1], hs[-1], rows, case.output, case.loss, self.activations.get(case.output))

    def _part(self, parameters: Parameters, inputs: Array, rows: Array, case: Case, first: float) -> Layers:
        zs, hs, top = self._up(parameters, inputs, rows, case)
        dz = self.error(top) * first
        slope = self.activations[case.hidden].slope
        if self.jacobians_first:
            return self._by_jacobians(parameters, zs, hs, dz, slope)
        layers: Layers = []
        for depth in reversed(range(len(parameters))):
            layers.append((self.product(hs[depth].T, dz), dz.sum(axis=0)))
            if depth:
                dz = self.product(dz, parameters[depth][0].T) * slope(zs[depth - 1], hs[depth])
        return layers[::-1]

    def _by_jacobians(
        self, parameters: Parameters, zs: list[Array], hs: list[Array], dz: Array, slope: Callable[..., Array]
    ) -> Layers:
        """∂z_last/∂z of every layer first, (n, K, units), the error of the output only then."""
        n, outputs = dz.shape
        jacobian = np.broadcast_to(np.eye(outputs, dtype=dz.dtype), (n, outputs, outputs))
        layers: Layers = []
        for depth in reversed(range(len(parameters))):
            cells = dz[:, :, None] * jacobian  # (n, K, units)
            layers.append((np.einsum("na,njk->ak", hs[depth], cells), cells.sum(axis=(0, 1))))
            if depth:
                jacobian = jacobian @ parameters[depth][0].T * slope(zs[depth - 1], hs[depth])[:, None, :]
        return layers[::-1]


def _total(arrays: list[Array]) -> Array:
    total: Any = 0
    for array in reversed(arrays):
        total = total + array
    return total


FORMULATIONS = (
    Formulation("slopes from values", np.matmul, FROM_VALUES, _softmax, _joined, "first"),
    Formulation(
        "columns, factors last",
        _in_columns,
        FROM_Z,
        _softmax,
        _as_quotients,
        "last",
        _plain_terms,
        overflows=True,
    ),
    Formulation(
        "sample by sample", np.matmul, FROM_Z, _softmax, _by_logarithms, "apart", sample_by_sample=True
    ),
    Formulation(
        "as in a book",
        _einsum,
        EXPONENTIALS,
        _plain_softmax,
        _step_by_step,
        "apart",
        _plain_terms,
        overflows=True,
    ),
    Formulation(
        "quotients of exponentials", np.matmul, QUOTIENTS, _plain_softmax, _joined, "last", overflows=True
    ),
    Formulation(
        "last term first",
        _last_first,
        FROM_VALUES,
        _softmax,
        _step_by_step,
        "first",
        _plain_terms,
        overflows=True,
    ),
    Formulation("compensated sums", _compensated, FROM_Z, _softmax, _joined, "last"),
    Formulation(
        "Jacobians first", _einsum, FROM_VALUES, _softmax, _by_logarithms, "apart", jacobians_first=True
    ),
    Formulation(
        "float64 inside",
        np.matmul,
        EXPONENTIALS,
        _softmax,
        _by_logarithms,
        "first",
        doubled=True,
        overflows=True,
    ),
)
