"""Mistakes that people make on the pages of operations: each is a page with one step replaced.

- `products`: dense layers, residual connections, tied weights;
- `elementwise`: activations;
- `losses`: the softmax and the losses;
- `norms`: normalisations;
- `windows`: convolutions and pooling;
- `lookups`: embedding and dropout;
- `attention`: attention and rotary embedding;
- `recurrent`: RNN, LSTM and GRU.

To add one, write its row in one of these files. `OPERATION_MISTAKES` has them all, by "operation.name".
"""

from manual_backprop.mistakes.operations.attention import ATTENTION
from manual_backprop.mistakes.operations.elementwise import ELEMENTWISE
from manual_backprop.mistakes.operations.lookups import LOOKUPS
from manual_backprop.mistakes.operations.losses import LOSSES
from manual_backprop.mistakes.operations.mistake import Mistake as Mistake
from manual_backprop.mistakes.operations.mistake import Where as Where
from manual_backprop.mistakes.operations.mistake import passes as passes
from manual_backprop.mistakes.operations.norms import NORMS
from manual_backprop.mistakes.operations.products import PRODUCTS
from manual_backprop.mistakes.operations.recurrent import RECURRENT
from manual_backprop.mistakes.operations.windows import WINDOWS

OPERATION_MISTAKES: dict[str, Mistake] = {
    f"{mistake.operation}.{mistake.name}": mistake
    for mistake in (
        *PRODUCTS,
        *ELEMENTWISE,
        *LOSSES,
        *NORMS,
        *WINDOWS,
        *LOOKUPS,
        *ATTENTION,
        *RECURRENT,
    )
}
