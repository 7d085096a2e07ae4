"""A pair of functions: layer normalisation, with its cache."""

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
    mean, along = dx_hat.mean(axis=1, keepdims=True), (dx_hat * x_hat).mean(axis=1, keepdims=True)
    return (dx_hat - mean - x_hat * along) / std, (dy * x_hat).sum(axis=0), dy.sum(axis=0)
