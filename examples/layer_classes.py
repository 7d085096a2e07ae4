"""Layers as objects that remember their input, as courses build them; a classifier with integer labels."""

import numpy as np

PROBLEM = {
    "layers": [2, 3],
    "hidden": "relu",
    "output": "softmax",
    "loss": "cross_entropy",
    "targets": "labels",
}


class Dense:
    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dz):
        self.gradient = self.x.T @ dz, dz.sum(axis=0)
        return dz @ self.W.T


class Relu:
    def forward(self, z):
        self.open = z > 0
        return z * self.open

    def backward(self, dh):
        return dh * self.open


def gradient(parameters, inputs, targets):
    dense = [Dense(W, b) for W, b in parameters]
    layers = [layer for one in dense[:-1] for layer in (one, Relu())] + dense[-1:]
    z = inputs
    for layer in layers:
        z = layer.forward(z)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    dz = p
    dz[np.arange(len(targets)), targets] -= 1
    dz /= len(targets)
    for layer in reversed(layers):
        dz = layer.backward(dz)
    return [one.gradient for one in dense]
