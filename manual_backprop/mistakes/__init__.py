"""The catalogue of mistakes: each is the right backward pass with one step replaced.

- `rule`: that backward pass, cut into its steps;
- `dropped_terms`: terms of the chain rule's sums are left out;
- `means_and_factors`: what is averaged, in which order, with which factor;
- `jacobians`: the way back through a layer and its activation;
- `shapes`: sums over axes, transposes, broadcasting;
- `order_and_state`: what is computed when, and what is left over from before;
- `changed_afterwards`: right, and then changed.

To add one, write its step and its row in one of these files. `MISTAKES` has them all by name.
"""

from manual_backprop.mistakes.catalogue import Gradient as Gradient
from manual_backprop.mistakes.catalogue import Mistake as Mistake
from manual_backprop.mistakes.catalogue import Setting as Setting
from manual_backprop.mistakes.catalogue import WrongGradient as WrongGradient
from manual_backprop.mistakes.catalogue import setting_of as setting_of
from manual_backprop.mistakes.changed_afterwards import CHANGED_AFTERWARDS
from manual_backprop.mistakes.dropped_terms import DROPPED_TERMS
from manual_backprop.mistakes.dropped_terms import one_cell_only as one_cell_only
from manual_backprop.mistakes.dropped_terms import one_output_only as one_output_only
from manual_backprop.mistakes.jacobians import JACOBIANS
from manual_backprop.mistakes.means_and_factors import MEANS_AND_FACTORS
from manual_backprop.mistakes.order_and_state import ORDER_AND_STATE
from manual_backprop.mistakes.rule import RIGHT_RULE as RIGHT_RULE
from manual_backprop.mistakes.rule import Rule as Rule
from manual_backprop.mistakes.shapes import SHAPES

MISTAKES: dict[str, Mistake] = {
    mistake.name: mistake
    for mistake in (
        *DROPPED_TERMS,
        *MEANS_AND_FACTORS,
        *JACOBIANS,
        *SHAPES,
        *ORDER_AND_STATE,
        *CHANGED_AFTERWARDS,
    )
}
