"""Wrong: p(1 - p) is only the diagonal of softmax's Jacobian. It trains, so nobody notices."""

import numpy as np

PROBLEM = {"output": "softmax", "loss": "mse", "targets": "one_hot"}


def gradient(parameters, inputs, targets):
    (W1, b1), (W2, b2) = parameters
    h = np.tanh(inputs @ W1 + b1)
    z = h @ W2 + b2
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    dz2 = 2 * (p - targets) / targets.size * p * (1 - p)
    dz1 = dz2 @ W2.T * (1 - h**2)
    return [(inputs.T @ dz1, dz1.sum(axis=0)), (h.T @ dz2, dz2.sum(axis=0))]
