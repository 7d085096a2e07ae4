"""A network that never names its gradient: it gives the parameters after one step of descent."""

import numpy as np


def step(parameters, inputs, targets, rate):
    (W1, b1), (W2, b2) = parameters
    h = np.tanh(inputs @ W1 + b1)
    error = 2 * (h @ W2 + b2 - targets) / targets.size
    below = error @ W2.T * (1 - h * h)
    return [
        (W1 - rate * inputs.T @ below, b1 - rate * below.sum(axis=0)),
        (W2 - rate * h.T @ error, b2 - rate * error.sum(axis=0)),
    ]
