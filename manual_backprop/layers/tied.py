"""Tied weights: an autoencoder that decodes with the transpose of the weights it encodes with.

h = f(z), z = x W and y = h Wᵀ, so W_kj is used twice: y_k = Σ_j h_j W_kj directly, and through z_j, which
reaches every y_l. One knob in two places: ∂L/∂W_kj = Σ_i (dy_ik h_ij + x_ik dz_ij), the sum over its uses,
where dh = dy W and dz = dh f'(z). And dx = dz Wᵀ.
Source: P. Vincent et al., *Stacked Denoising Autoencoders*, Journal of Machine Learning Research 11 (2010),
section 3.1.
"""

from manual_backprop.activations import OUTPUTS, Array
from manual_backprop.layers.layer import Layer


def tied(name: str) -> Layer:
    """The layer f(x W) Wᵀ, with W (units, hidden) and the activation f of that name; units to units."""
    f = OUTPUTS[name]

    def forward(x: Array, W: Array) -> Array:
        return f.forward(x @ W)[0] @ W.T  # (n, units)

    def backward(dy: Array, x: Array, y: Array, W: Array) -> tuple[Array, Array]:
        del y
        z = x @ W  # (n, hidden)
        h, cache = f.forward(z)  # (n, hidden)
        dz = f.backward(dy @ W, cache)  # (n, hidden)
        return dz @ W.T, dy.T @ h + x.T @ dz

    return Layer(forward, backward)


TIED = tied("tanh")
