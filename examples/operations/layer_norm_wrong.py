"""As `layer_norm.py`, but the standard deviation is taken for a constant."""

import numpy as np

OPERATION = {"x": "n d", "gain": "d", "shift": "d"}
OPTIONS = {"eps": [1e-5, 1e-3]}


def forward(x, gain, shift, *, eps):
    std = np.sqrt(x.var(axis=1, keepdims=True) + eps)
    x_hat = (x - x.mean(axis=1, keepdims=True)) / std
    return gain * x_hat + shift, (x_hat, std, gain)


def backward(dy, cache):
    x_hat, std, gain = cache
    dx_hat = dy * gain
    mean = dx_hat.mean(axis=1, keepdims=True)
    return (dx_hat - mean) / std, (dy * x_hat).sum(axis=0), dy.sum(axis=0)
