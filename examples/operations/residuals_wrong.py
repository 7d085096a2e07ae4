"""As `residuals.py`, but the column of k lacks the inner derivative -t."""

import numpy as np

OPERATION = {
    "p": "3",
    "t": {"axes": "m", "values": "positive", "constant": True},
    "y": {"axes": "m", "constant": True},
}


def forward(p, t, y):
    a, k, c = p
    return a * np.exp(-k * t) + c - y


def jacobian(p, t, y):
    a, k, c = p
    decay = np.exp(-k * t)
    return np.column_stack([decay, -a * decay, np.ones_like(t)])
