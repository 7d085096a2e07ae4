"""Wrong: the derivative along the first output alone, "since the other terms vanish"."""

import numpy as np


def gradient(parameters, inputs, targets):
    (W1, b1), (W2, b2) = parameters
    h = np.tanh(inputs @ W1 + b1)
    o = h @ W2 + b2
    do = np.zeros_like(o)
    do[:, 0] = 2 * (o[:, 0] - targets[:, 0]) / targets.size
    dz = do @ W2.T * (1 - h**2)
    return [(inputs.T @ dz, dz.sum(axis=0)), (h.T @ do, do.sum(axis=0))]
