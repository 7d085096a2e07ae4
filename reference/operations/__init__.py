"""The forward passes whose derivatives are known to the last digit; `operation` says what one is.

Each file is a family, from the definitions, and ends in its rows.
"""

from collections.abc import Mapping

from reference.operations.activations import ACTIVATIONS
from reference.operations.arrays import ARRAYS
from reference.operations.attention import ATTENTION
from reference.operations.convolution import CONVOLUTION
from reference.operations.dense import DENSE
from reference.operations.losses import LOSSES
from reference.operations.matrices import MATRICES
from reference.operations.norms import NORMS
from reference.operations.operation import Operation
from reference.operations.pooling import POOLING
from reference.operations.recurrent import RECURRENT
from reference.operations.softmax import SOFTMAX

FAMILIES: tuple[tuple[Operation, ...], ...] = (
    DENSE,
    ACTIVATIONS,
    SOFTMAX,
    LOSSES,
    NORMS,
    CONVOLUTION,
    POOLING,
    ATTENTION,
    RECURRENT,
    ARRAYS,
    MATRICES,
)

OPERATIONS: Mapping[str, Operation] = {one.name: one for family in FAMILIES for one in family}
"""By name."""

KNOWN: Mapping[str, Operation] = {name: one for one in OPERATIONS.values() for name in (*one.also, one.name)}
"""By name and by every other name that people know it by."""
