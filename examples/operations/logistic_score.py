"""The log-likelihood of a logistic regression, its score, and its Hessian."""

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
    return X.T @ (y - probabilities(beta, X))


def hessian(beta, X, y):
    p = probabilities(beta, X)
    return -(X.T * (p * (1 - p))) @ X
