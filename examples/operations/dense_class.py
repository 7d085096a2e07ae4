"""A layer as a class, which keeps its input and its gradients."""

import numpy as np


class Dense:
    def __init__(self, units, outputs):
        self.W = np.random.randn(units, outputs) / np.sqrt(units)
        self.b = np.zeros(outputs)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        self.dW = self.x.T @ dy
        self.db = dy.sum(axis=0)
        return dy @ self.W.T


LAYER = Dense
OPERATION = {"x": "n units", "W": "units outputs", "b": "outputs"}
PARAMETERS = {"W": "dW", "b": "db"}
