"""Two layers, tanh and identity, mean squared error: the problem that a module handles if it says nothing."""

import numpy as np


def gradient(parameters, inputs, targets):
    (W1, b1), (W2, b2) = parameters
    h = np.tanh(inputs @ W1 + b1)  # (n, hidden)
    o = h @ W2 + b2  # (n, K)
    dz2 = 2 * (o - targets) / targets.size  # (n, K)
    dz1 = dz2 @ W2.T * (1 - h**2)  # (n, hidden)
    return [(inputs.T @ dz1, dz1.sum(axis=0)), (h.T @ dz2, dz2.sum(axis=0))]


def loss(parameters, inputs, targets):
    (W1, b1), (W2, b2) = parameters
    return np.mean((np.tanh(inputs @ W1 + b1) @ W2 + b2 - targets) ** 2)
