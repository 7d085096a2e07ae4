"""As `logistic_score.py`, but the score takes the linear predictor for the probability."""

import numpy as np

OPERATION = {
    "beta": "p",
    "X": {"axes": "n p", "constant": True},
    "y": {"axes": "n", "values": "labels", "below": 2},
}


def probabilities(beta, X):
    return 1 / (1 + np.exp(-X @ beta))


def forward(beta, X, y):
    eta = X @ beta
    return (y * eta - np.logaddexp(0, eta)).sum()


def gradient(beta, X, y):
    return X.T @ (y - X @ beta)


def hessian(beta, X, y):
    p = probabilities(beta, X)
    return -(X.T * (p * (1 - p))) @ X
