"""Wrong twice: it sums over the batch where PROBLEM says mean, and its hidden bias never learns."""

import numpy as np

PROBLEM = {"hidden": "tanh", "loss": "mse", "reduction": "mean"}


def gradient(parameters, inputs, targets):
    (W1, b1), (W2, b2) = parameters
    h = np.tanh(inputs @ W1 + b1)
    o = h @ W2 + b2
    dz2 = 2 * (o - targets) / targets.shape[1]
    dz1 = dz2 @ W2.T * (1 - h**2)
    return [(inputs.T @ dz1, np.zeros_like(b1)), (h.T @ dz2, dz2.sum(axis=0))]
