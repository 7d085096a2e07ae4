"""A case: one network with its batch, drawn or given, and what the reference knows of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from properties.search import Example, Inconclusive
from reference import network_truth
from reference.arithmetic.reading import UndecidedError
from reference.network import Choices, forward, layers_of, rows_of

Array = NDArray[Any]
Parameters = list[tuple[Array, Array | None]]
"""[(W, b), ...], W (fan_in, fan_out), b (fan_out,) or None."""


@dataclass(frozen=True)
class Case(Example):
    """What a subject is called with, and the names that its gradient is for.

    parameters: [(W, b), ...]; inputs (n, fan_in); targets (n, K) or labels (n,); all of one dtype but
    the labels. `regime` says where the case was drawn: see `strategies`; `times` how
    often its batch is repeated, first sample to last.
    """

    parameters: Parameters
    inputs: Array
    targets: Array
    hidden: str = "tanh"
    output: str = "identity"
    loss: str = "mse"
    reduction: str = "mean"
    regime: str = field(default="given", compare=False)
    times: int = field(default=1, compare=False, kw_only=True)

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
        pairs = [*self.parameters, (self.once.inputs, self.once.targets)]
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

    @property
    def has_free_targets(self) -> bool:
        """Whether any numbers may be targets: neither labels nor probabilities."""
        return self.targets.ndim == self.inputs.ndim and not self.loss.endswith("cross_entropy")

    def with_samples(self, which: Any) -> "Case":
        """The same network with some of the samples, by index, slice or order."""
        return replace(self, inputs=self.inputs[which], targets=self.targets[which], times=1)

    def repeated(self, times: int) -> "Case":
        """The same network with the whole batch so many times over."""
        every = np.tile(np.arange(self.samples), times)
        return replace(self.with_samples(every), times=times)

    @property
    def once(self) -> "Case":
        """The case without its repetitions."""
        return self.with_samples(slice(self.samples // self.times))

    @cached_property
    def oracle(self) -> network_truth.Truth:
        """What is right, and what rounding and kinks explain, in the shapes of the parameters."""
        return network_truth.truth(self._problem, self.inputs.dtype.name)

    @property
    def _problem(self) -> network_truth.Problem:
        return network_truth.Problem(self.parameters, self.inputs, self.rows, **self.choices)

    @property
    def overflows(self) -> bool:
        """Whether a sensible program may meet a number that its format can't hold."""
        truth, largest = self.oracle, float(np.finfo(self.inputs.dtype).max)
        # A program may divide the loss by N, by K and by 2 last: so large is the sum before.
        whole_loss = 2 * self.samples * self.outputs * (abs(truth.loss) + truth.loss_error)
        return not (truth.peak < largest and whole_loss < largest)

    @property
    def saturates(self) -> bool:
        """Whether an activation is flat to the last digit: e^-x is lost next to 1, for the `largest_exponent` x.

        There a right formula may divide 0 by 0, or lose all its digits; `strategies.EDGES` goes there on
        purpose.
        """
        return not self.largest_exponent < -np.log(np.finfo(self.inputs.dtype).eps / 2)

    @cached_property
    def largest_exponent(self) -> float:
        """The largest x of the e^-x by which an activation differs from its limit; 0 where none has any.

        That is 2 |z| for tanh z = 1 - 2 / (1 + e^2z), |z| for a sigmoid and a softplus, whose slope it is, and the
        difference of two z of a sample for a softmax. A relu or an identity is never flat.
        """
        layers = layers_of(self.parameters, self.hidden, self.output)
        with np.errstate(all="ignore"):
            zs, _ = forward(np, layers, self.inputs)
            sizes = [_EXPONENT[layer.activation](z) for z, layer in zip(zs, layers, strict=True)]
        return float(np.max(sizes))  # NaN where one of them is

    def directional_derivative(self, direction: Parameters) -> float:
        """Σ ∂L/∂w · v from the forward pass alone.

        Raises:
            Inconclusive: where a unit lies on relu's kink.
        """
        try:
            return network_truth.directional_derivative(self._problem, direction)
        except UndecidedError as reason:
            raise Inconclusive(str(reason)) from None

    def kept(self, samples: Any, outputs: Any) -> Parameters:
        """The sum of what some cells (i, j) add to the gradient, by index or slice of the samples and outputs."""
        mask = np.zeros((self.samples, self.outputs))
        mask[samples, outputs] = 1
        return self._contributions.kept(mask)

    def __getstate__(self) -> dict[str, Any]:
        """What goes to another process: no pass through the network that waits for cotangents."""
        return {name: value for name, value in self.__dict__.items() if name != "_contributions"}

    @cached_property
    def _contributions(self) -> network_truth.Contributions:
        return network_truth.Contributions(self._problem)

    def as_python(self) -> str:
        """The case as Python that can be pasted: parameters, inputs, targets."""
        layers = ",\n    ".join(f"({_literal(W)}, {_literal(b)})" for W, b in self.parameters)
        batch = (("inputs", self.once.inputs), ("targets", self.once.targets))
        lines = [
            f"parameters = [\n    {layers},\n]",
            *(f"{name} = {_literal(array)}" for name, array in batch),
        ]
        if self.times > 1:
            lines += [f"{name} = np.concatenate([{name}] * {self.times})" for name, _ in batch]
        return "\n".join(lines)


_EXPONENT: dict[str, Callable[[Array], Any]] = {
    "identity": lambda z: 0.0,
    "relu": lambda z: 0.0,
    "tanh": lambda z: 2 * abs(z).max(),
    "sigmoid": lambda z: abs(z).max(),
    "softplus": lambda z: abs(z).max(),
    "softmax": lambda z: np.ptp(z, axis=1).max(),
}


def _literal(array: Array | None) -> str:
    if array is None:
        return "None"
    dtype = "" if array.dtype.name in {"float64", "int64"} else f', dtype="{array.dtype}"'
    return f"np.array({array.tolist()}{dtype})" if array.size else f"np.zeros({array.shape})"
