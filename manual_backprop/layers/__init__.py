"""Layers beside the dense one, each with its forward pass, its backward pass by hand, and why that is so.

Read `layer` (what all of them share), `dense` and `activation` (the layers of `network` in that form),
then those with cross terms: `softmax`, `layer_norm`, `rms_norm` (between the units of a sample),
`batch_norm` (between samples), `tied` (one weight in two places); and `dropout` and `residual`, which
have none of their own. `stack` joins layers to a network.
"""

from manual_backprop.activations import ACTIVATIONS
from manual_backprop.layers.activation import activation as activation
from manual_backprop.layers.batch_norm import BATCH_NORM as BATCH_NORM
from manual_backprop.layers.batch_norm import ghost_batches as ghost_batches
from manual_backprop.layers.dense import DENSE as DENSE
from manual_backprop.layers.dropout import DROPOUT as DROPOUT
from manual_backprop.layers.layer import EPSILON as EPSILON
from manual_backprop.layers.layer import Layer as Layer
from manual_backprop.layers.layer_norm import LAYER_NORM as LAYER_NORM
from manual_backprop.layers.residual import residual as residual
from manual_backprop.layers.rms_norm import RMS_NORM as RMS_NORM
from manual_backprop.layers.softmax import SOFTMAX as SOFTMAX
from manual_backprop.layers.stack import Stack as Stack
from manual_backprop.layers.tied import TIED as TIED
from manual_backprop.layers.tied import tied as tied

LAYERS: dict[str, Layer] = {
    "dense": DENSE,
    **{name: activation(name) for name in ACTIVATIONS},
    "dropout": DROPOUT,
    "residual tanh": residual(activation("tanh")),
    "residual dense": residual(DENSE),
    "tied": TIED,
    "softmax": SOFTMAX,
    "layer_norm": LAYER_NORM,
    "rms_norm": RMS_NORM,
    "batch_norm": BATCH_NORM,
}
