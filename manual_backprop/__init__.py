"""Backpropagation by hand, in NumPy: the page that the harness verifies and that a student reads.

Read in this order: pages of `operations`, such as `dense`, `tanh` and `mse`; `network`, which puts them one after
another; `averaging` (is a batch's gradient the average of its samples' gradients?), `training`, and then `mistakes`,
where each wrong rule is the right one with a single step replaced.

Vectors are rows, so a layer is `x @ W + b`. The package meets the contract that it verifies in
others: `PROBLEM`, `gradient` and `loss` are here.
"""

from manual_backprop.activations import ACTIVATIONS as ACTIVATIONS
from manual_backprop.activations import OUTPUTS as OUTPUTS
from manual_backprop.averaging import average_over_parts as average_over_parts
from manual_backprop.averaging import per_sample_average as per_sample_average
from manual_backprop.averaging import split as split
from manual_backprop.losses import LOSSES as LOSSES
from manual_backprop.network import Parameters as Parameters
from manual_backprop.network import forward as forward
from manual_backprop.network import gradient as gradient
from manual_backprop.network import loss as loss
from manual_backprop.training import descend as descend
from manual_backprop.training import step as step

_ANY = {
    "layers": [1, 2, 3, 4],
    "hidden": list(ACTIVATIONS),
    "reduction": ["mean", "sum"],
    "targets": ["real", "one_hot", "labels"],
    "bias": [True, False],
    "dtype": ["float64", "float32"],
}
PROBLEM = [
    {**_ANY, "output": list(OUTPUTS), "loss": [name for name, row in LOSSES.items() if row.output is None]},
    {**_ANY, "output": "softmax", "loss": "cross_entropy"},
    {**_ANY, "output": "sigmoid", "loss": ["binary_cross_entropy", "mean_binary_cross_entropy"]},
]
