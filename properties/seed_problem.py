"""The problem that all of this comes from: 128-64-10, mean squared error, 1000 vectors, vanilla SGD.

Its numbers come from a seeded teacher network, or from real handwritten digits. `consequences` tells
what a wrong rule does to it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manual_backprop import Parameters, descend, forward, gradient
from manual_backprop.mistakes import RIGHT_RULE, Rule, one_cell_only, one_output_only
from manual_backprop.training import initial_parameters
from properties.cases import Case
from properties.digits import digits
from properties.problem import Claim

Floats = NDArray[np.float64]

SIZES = [128, 64, 10]
VECTORS = 1000
BATCHES = (1, 32, 8)
"""A single vector, a mini-batch, and the ragged last one: 1000 = 31·32 + 8."""

RULES: tuple[tuple[str, Rule], ...] = (
    ("the right rule", RIGHT_RULE),
    ("one output only", one_output_only(0)),
    ("one cell only", one_cell_only(0, 0)),
)


def teacher(seed: int = 0) -> tuple[Floats, Floats]:
    """1000 random vectors, (1000, 128), and what a random network of the same shape says of them, (1000, 10)."""
    inputs = np.random.default_rng(seed).standard_normal((VECTORS, SIZES[0]))
    return inputs, forward(initial_parameters(SIZES, seed + 1), inputs)[1][-1]


def real_digits() -> tuple[Floats, Floats]:
    """1000 handwritten digits, (1000, 128), and their classes as one-hot rows, (1000, 10)."""
    inputs, targets = digits()
    return inputs[:VECTORS], targets[:VECTORS]


def cases(inputs: Floats, targets: Floats, seed: int = 2) -> list[Case]:
    """The network at its start, with a single vector, a batch of 32 and the ragged 8."""
    parameters: Any = initial_parameters(SIZES, seed)
    return [Case(parameters, inputs[-size:], targets[-size:], regime="seed problem") for size in BATCHES]


def is_claimed(claims: tuple[Claim, ...]) -> bool:
    """Whether a subject claims this problem: its names, and its sizes where it pins any."""
    wanted: dict[str, object] = {"hidden": "tanh", "output": "identity", "loss": "mse", "reduction": "mean"}
    wanted |= {"layers": 2, "targets": "real", "bias": True, "dtype": "float64"}
    sizes = {"inputs": (128,), "width": (64,), "outputs": (10,), "samples": BATCHES}
    return any(
        all(value in getattr(claim, key) for key, value in wanted.items())
        and all(
            not getattr(claim, key) or set(ours) <= set(getattr(claim, key)) for key, ours in sizes.items()
        )
        for claim in claims
    )


@dataclass(frozen=True)
class Consequence:
    """What a rule does: its first gradient beside the right one, and the losses after training by it.

    `cosine` and `relative_error` (norm of the difference over norm of the right gradient) are of all
    parameters as one vector. `losses` is the mean squared error of each output after the last epoch.
    """

    rule: str
    cosine: float
    relative_error: float
    first_loss: float
    losses: Floats  # (K,)

    @property
    def last_loss(self) -> float:
        """The mean squared error after the last epoch, over all outputs."""
        return float(self.losses.mean())


def consequences(
    inputs: Floats, targets: Floats, *, rate: float = 0.5, size: int = 20, epochs: int = 20, seed: int = 2
) -> list[Consequence]:
    """Each of `RULES` from the same start, on the same batches, for the same number of epochs."""
    start = initial_parameters(SIZES, seed)
    first = float(_losses(start, inputs, targets).mean())
    right = _flat(gradient(start, inputs[:size], targets[:size]))
    found: list[Consequence] = []
    for name, rule in RULES:
        given = _flat(rule(start, inputs[:size], targets[:size]))
        cosine = float(given @ right / np.sqrt((given @ given) * (right @ right)))
        error = float(np.sqrt(((given - right) ** 2).sum() / (right @ right)))
        *_, last = descend(start, inputs, targets, rate=rate, size=size, epochs=epochs, seed=seed, by=rule)
        found.append(Consequence(name, cosine, error, first, _losses(last, inputs, targets)))
    return found


def _losses(parameters: Parameters, inputs: Floats, targets: Floats) -> Floats:
    """The mean squared error of each output, (K,)."""
    outputs = forward(parameters, inputs)[1][-1]
    return ((outputs - targets) ** 2).mean(axis=0)


def _flat(parameters: Parameters) -> Floats:
    return np.concatenate([array.ravel() for pair in parameters for array in pair if array is not None])
