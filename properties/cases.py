"""A case: one network with its batch, drawn or given, and what the reference knows of it."""

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from properties.search import Example
from reference import autodiff, envelope, rounding
from reference.envelope import LARGE, SMALL, Envelope, Problem
from reference.network import Choices, divisor, forward, layers_of, rows_of

Array = NDArray[Any]
Parameters = list[tuple[Array, Array | None]]
"""[(W, b), ...], W (fan_in, fan_out), b (fan_out,) or None."""


class Oracle(NamedTuple):
    """Truth and bound of one case, arrays in the shapes of its parameters.

    `gradient` is the truth; a subject may differ by `error` for rounding, and by `open` more where a
    kink allows several slopes; `loss` and `loss_error` likewise. `peak` is the largest number that a
    sensible program meets (see `reference.rounding`).
    """

    loss: float
    loss_error: float
    peak: float
    gradient: Parameters
    error: Parameters
    open: Parameters


@dataclass(frozen=True)
class Case(Example):
    """What a subject is called with, and the names that its gradient is for.

    parameters: [(W, b), ...]; inputs (n, fan_in); targets (n, K) or labels (n,); all of one dtype but
    the labels. `regime` says where the case was drawn: see `strategies`.
    """

    parameters: Parameters
    inputs: Array
    targets: Array
    hidden: str = "tanh"
    output: str = "identity"
    loss: str = "mse"
    reduction: str = "mean"
    regime: str = field(default="given", compare=False)

    @property
    def choices(self) -> Choices:
        """The names as keyword arguments."""
        return {"hidden": self.hidden, "output": self.output, "loss": self.loss, "reduction": self.reduction}

    @property
    def sizes(self) -> list[int]:
        """The units of every layer, inputs first."""
        return [self.inputs.shape[1], *(W.shape[1] for W, _ in self.parameters)]

    @property
    def numbers(self) -> tuple[int, int]:
        """How many numbers it has, and how many of them are not 0."""
        pairs = [*self.parameters, (self.inputs, self.targets)]
        arrays = [array for pair in pairs for array in pair if array is not None]
        return sum(array.size for array in arrays), sum(int(np.count_nonzero(array)) for array in arrays)

    @property
    def summary(self) -> str:
        """`3-2, 1 sample`."""
        return f"{'-'.join(map(str, self.sizes))}, {self.samples} sample{'s' if self.samples > 1 else ''}"

    @property
    def samples(self) -> int:
        """N, the samples of the batch."""
        return len(self.inputs)

    @property
    def outputs(self) -> int:
        """K, the outputs."""
        return self.parameters[-1][0].shape[1]

    @cached_property
    def rows(self) -> Array:
        """The targets as rows, (n, K)."""
        return rows_of(np, self.targets, self.outputs).astype(self.inputs.dtype)

    def with_samples(self, which: Any) -> "Case":
        """The same network with some of the samples, by index, slice or order."""
        return replace(self, inputs=self.inputs[which], targets=self.targets[which])

    @cached_property
    def oracle(self) -> Oracle:
        """Truth and bound, in the shapes of the parameters."""
        info = np.finfo(self.inputs.dtype)
        # The truth is rounded as well, in float64; see `reference.rounding`.
        unit = float(info.eps + np.finfo(np.float64).eps) / 2
        wide = [(W.astype(float), None if b is None else b.astype(float)) for W, b in self.parameters]
        if self.envelope is not None:
            truth = envelope.ask(self.envelope, self._problem)  # XLA computes it beside the bounds
        elif LARGE.holds(self.sizes, 1):  # or every size of a batch would be compiled anew
            truth = envelope.ask_in_parts(LARGE, self._problem)
        else:
            truth = partial(autodiff.value_and_gradient, wide, self.inputs, self.rows, **self.choices)
        with np.errstate(all="ignore"):  # overflow shows in `peak`
            found = rounding.bounds(
                rounding.Arithmetic(np, unit, float(info.tiny)),
                layers_of(wide, self.hidden, self.output),
                self.inputs.astype(float),
                self.rows.astype(float),
                loss=self.loss,
                divisor=divisor(self.samples, self.reduction),
            )
        loss, gradient = truth()
        pairs = list(zip(found.gradient, wide, strict=True))
        error = [(dW.e, None if b is None else db.e) for (dW, db), (_, b) in pairs]
        opened = [(dW.opened, None if b is None else db.opened) for (dW, db), (_, b) in pairs]
        return Oracle(loss, found.loss_error, found.peak, gradient, error, opened)

    @property
    def _problem(self) -> Problem:
        return Problem(self.parameters, self.inputs, self.rows, **self.choices)

    @property
    def envelope(self) -> Envelope | None:
        """The envelope that holds the case, None where it is too large for any."""
        return next((room for room in (SMALL, LARGE) if room.holds(self.sizes, self.samples)), None)

    @property
    def overflows(self) -> bool:
        """Whether a sensible program may meet a number that its format can't hold."""
        truth, largest = self.oracle, float(np.finfo(self.inputs.dtype).max)
        # A program may divide the loss by N, by K and by 2 last: so large is the sum before.
        whole_loss = 2 * self.samples * self.outputs * (abs(truth.loss) + truth.loss_error)
        return not (truth.peak < largest and whole_loss < largest)

    @property
    def saturates(self) -> bool:
        """Whether an activation is flat to the last digit: some |z| ≥ -log u, where e^-|z| is lost next to 1.

        There a right formula may divide 0 by 0, or lose all its digits; `strategies.EDGES` goes there on
        purpose.
        """
        return not self.largest_bent_z < -np.log(np.finfo(self.inputs.dtype).eps / 2)

    @cached_property
    def largest_bent_z(self) -> float:
        """The largest |z| that goes through a bent activation: a relu or an identity is never flat."""
        layers = layers_of(self.parameters, self.hidden, self.output)
        with np.errstate(all="ignore"):
            zs, _ = forward(np, layers, self.inputs)
        bent = [
            z for z, layer in zip(zs, layers, strict=True) if layer.activation not in {"identity", "relu"}
        ]
        return float(np.max([0.0, *(abs(z).max() for z in bent)]))  # NaN where one of them is

    def directional_derivative(self, direction: Parameters) -> float:
        """Σ ∂L/∂w · v by forward mode."""
        if self.envelope is not None:
            return envelope.directional_derivative(self.envelope, self._problem, direction)
        return autodiff.directional_derivative(
            self.parameters, direction, self.inputs, self.rows, **self.choices
        )

    def kept(self, samples: Any, outputs: Any) -> Parameters:
        """The sum of what some cells (i, j) add to the gradient, by index or slice of the samples and outputs."""
        mask = np.zeros((self.samples, self.outputs))
        mask[samples, outputs] = 1
        if self.envelope is SMALL:
            cells = self._contributions
            return [
                (np.tensordot(mask, gW, axes=2), None if gb is None else np.tensordot(mask, gb, axes=2))
                for gW, gb in cells
            ]
        if self.envelope is not None:
            return envelope.kept(self.envelope, self._problem, mask)
        return autodiff.kept(self.parameters, self.inputs, self.rows, mask, **self.choices)

    @cached_property
    def _contributions(self) -> Parameters:
        """Of every cell of a small case, [(gW, gb), ...], gW (n, K, fan_in, fan_out)."""
        return envelope.contributions(SMALL, self._problem)

    def as_python(self) -> str:
        """The case as Python that can be pasted: parameters, inputs, targets."""
        layers = ",\n    ".join(f"({_literal(W)}, {_literal(b)})" for W, b in self.parameters)
        return (
            f"parameters = [\n    {layers},\n]\n"
            f"inputs = {_literal(self.inputs)}\n"
            f"targets = {_literal(self.targets)}"
        )


def _literal(array: Array | None) -> str:
    if array is None:
        return "None"
    dtype = "" if array.dtype.name in {"float64", "int64"} else f', dtype="{array.dtype}"'
    return f"np.array({array.tolist()}{dtype})" if array.size else f"np.zeros({array.shape})"
