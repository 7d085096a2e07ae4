"""The chain rule written out, term by term: one sample, one unit, one weight at a time."""

from math import exp

import numpy as np

PROBLEM = {"hidden": "sigmoid", "loss": "half_sse"}


def sigmoid(z):
    return 1 / (1 + exp(-z)) if z > -700 else 0.0


def gradient(parameters, inputs, targets):
    (W1, b1), (W2, b2) = parameters
    dW1, db1, dW2, db2 = (np.zeros_like(array) for array in (W1, b1, W2, b2))
    for x, y in zip(inputs, targets):
        h = [sigmoid(sum(x[k] * W1[k, j] for k in range(len(x))) + b1[j]) for j in range(len(b1))]
        o = [sum(h[j] * W2[j, m] for j in range(len(h))) + b2[m] for m in range(len(b2))]
        for m in range(len(o)):
            error = (o[m] - y[m]) / len(inputs)
            db2[m] += error
            for j in range(len(h)):
                dW2[j, m] += error * h[j]
                path = error * W2[j, m] * h[j] * (1 - h[j])  # through output m: one of K paths
                db1[j] += path
                for k in range(len(x)):
                    dW1[k, j] += path * x[k]
    return [(dW1, db1), (dW2, db2)]
