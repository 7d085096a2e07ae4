"""The layers that the lesson shows, from the measured table of vanishing cross-derivatives."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from properties.cross_derivatives import FAMILIES, ROWS, Row, drawn, measure
from reference import layers

SHOWN = ("identity", "sigmoid", "tanh", "relu", "dense", "softmax", "layer_norm", "batch_norm")
CASES, SEED = 1, 0


class CrossDerivatives(NamedTuple):
    """One layer: the largest cross-derivative of each family, 0 where all vanish, None where there is none.

    `jacobian` is (outputs of all samples, inputs of all samples), with 0 for what rounding can explain.
    """

    layer: str
    families: dict[str, float | None]
    remains: str
    jacobian: NDArray[np.float64]


def cross_derivatives() -> Sequence[CrossDerivatives]:
    """The table's rows for the layers shown, each on one drawn case."""
    rows = {row.name: row for row in ROWS}
    return [_measured(rows[name]) for name in SHOWN]


def _measured(row: Row) -> CrossDerivatives:
    found = measure(row, CASES, SEED)
    families: dict[str, float | None] = {}
    for family in FAMILIES:
        cell = found.cells[family]
        families[family] = (cell.witness.value if cell.witness else 0.0) if cell.entries else None
    case = next(drawn(row, CASES, SEED))
    jacobian, error, opened = layers.jacobians(row.name, case.x, case.parameters)[0]
    outputs = int(np.prod(jacobian.shape[:2]))
    clean = np.where(abs(jacobian) > error + opened, jacobian, 0).reshape(outputs, -1)
    return CrossDerivatives(row.name.replace("_", " "), families, found.remains, clean)
