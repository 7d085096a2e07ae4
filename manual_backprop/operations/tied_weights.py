"""Tied weights: an autoencoder whose decoder is the transpose of its encoder, the same W used twice.

h = tanh(z), z = x W, y = h Wᵀ. Going back: dh = dy W, dz = dh (1 − h²), dx = dz Wᵀ.
W_ij is in z_nj of every sample (encoder) and in y_ni of every sample (decoder), and both uses count:
dW_ij = Σ_n dz_nj ∂z_nj/∂W_ij + Σ_n dy_ni ∂y_ni/∂W_ij = Σ_n x_ni dz_nj + Σ_n dy_ni h_nj, or dW = xᵀ dz + dyᵀ h.
The derivative of one number is one number: no mean of the two, and no second entry for Wᵀ.
Source: P. Vincent and others, *Stacked Denoising Autoencoders*, JMLR 11 (2010), section 2.2.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Arrays = tuple[Array, ...]

OPERATION = {"x": "n d", "W": "d k"}


def forward(x: Array, W: Array) -> tuple[Array, Arrays]:
    h = np.tanh(x @ W)  # (n, k)
    return h @ W.T, (x, W, h)  # (n, d)


def backward(dy: Array, cache: Arrays) -> Arrays:
    x, W, h = cache
    dz = (dy @ W) * (1 - h * h)  # (n, k)
    dx = dz @ W.T  # (n, d)
    through_encoder = x.T @ dz  # (d, k)
    through_decoder = dy.T @ h  # (d, k)
    return dx, through_encoder + through_decoder
