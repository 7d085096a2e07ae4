"""A loss that returns its value and its gradient in one call, as `scipy.optimize` wants it."""

import numpy as np

OPERATION = {"prediction": "n k", "target": {"axes": "n k", "constant": True}}
OPTIONS = {"delta": [1.0, 0.5]}


def value_and_gradient(prediction, target, delta):
    error = prediction - target
    small = np.abs(error) <= delta
    loss = np.where(small, error**2 / 2, delta * (np.abs(error) - delta / 2))
    return loss.mean(), np.where(small, error, delta * np.sign(error)) / error.size
