"""Losses of a batch that are other averages than the plain mean of `network`.

Weighted samples: L = Σ_i w_i L_i / Σ_i w_i. The divisor is the sum of the weights, not their number; a
mask is a weight of 0 or 1, and the plain mean has all weights 1. Parts of a batch count by the sum of
their weights, because L = Σ_p (W_p/W) L_p with W_p = Σ_{i in p} w_i and W = Σ_p W_p.

A penalty, λ/2 Σ W², is no data term: it has no sample and belongs to the batch's loss once.

A contrastive loss compares samples with one another, so it is no average of samples' losses at all.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from manual_backprop.activations import OUTPUTS, Array
from manual_backprop.losses import LOSSES


@dataclass(frozen=True)
class BatchLoss:
    """The loss of a batch, from the last layer's values z (n, K), the targets (n, K) and weights (n,).

    `value(z, targets, weights)` is a scalar; `error(z, targets, weights)` is its derivative ∂L/∂z, (n, K).
    """

    value: Callable[[Array, Array, Array], Array]
    error: Callable[[Array, Array, Array], Array]


def average_of(name: str) -> BatchLoss:
    """Σ_i w_i L_i / Σ_i w_i for the row `name` of `LOSSES`; ∂L/∂z_i = (w_i / Σ_l w_l) ∂L_i/∂z_i.

    The average of no sample, where every weight is 0, is 0.
    """
    row = LOSSES[name]
    output = OUTPUTS[row.output or "identity"]

    def value(z: Array, targets: Array, weights: Array) -> Array:
        o, _ = output.forward(z)  # (n, K)
        each = [row.value(z[[i]], o[[i]], targets[[i]]) for i in range(len(z))]
        return (weights * np.array(each)).sum() / (weights.sum() or 1)

    def error(z: Array, targets: Array, weights: Array) -> Array:
        error = row.error(output.forward(z)[0], targets, "sum")  # (n, K), each sample counted once
        return weights[:, None] * error / (weights.sum() or 1)

    return BatchLoss(value, error)


def _pairs(z: Array, targets: Array, weights: Array) -> tuple[Array, Array]:
    """z_i·z_l - t_i·t_l and the share of each pair, w_i w_l / (Σ w)², both (n, n)."""
    shares = weights[:, None] * weights[None, :] / (weights.sum() or 1) ** 2  # (n, n)
    return z @ z.T - targets @ targets.T, shares


def _contrastive(z: Array, targets: Array, weights: Array) -> Array:
    gaps, shares = _pairs(z, targets, weights)
    return (shares * gaps * gaps).sum()


def _contrastive_error(z: Array, targets: Array, weights: Array) -> Array:
    """A pair's term moves with both of its samples, and each sample is first in n pairs and second in n."""
    gaps, shares = _pairs(z, targets, weights)
    return 4 * ((shares * gaps) @ z)  # (n, K)


CONTRASTIVE = BatchLoss(_contrastive, _contrastive_error)
"""The spectral contrastive loss, L = (1/N²) Σ_al (z_a·z_l - t_a·t_l)², for weights that are all 1.

∂L/∂z_i = (2/N²) Σ_al (z_a·z_l - t_a·t_l)(δ_ai z_l + δ_li z_a) = (4/N²) Σ_l (z_i·z_l - t_i·t_l) z_l.
Samples whose targets agree are drawn together, and the others are set at right angles.
Source: J. Z. HaoChen, C. Wei, A. Gaidon, T. Ma, *Provable Guarantees for Self-Supervised Deep Learning
with Spectral Contrastive Loss* (2021), arXiv:2106.04156, section 3, in its form as a matrix factorisation.
"""


def penalty(W: Array, strength: float) -> Array:
    """λ/2 Σ W² for one weight matrix; biases, gains and shifts go free.

    Source: I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning* (2016), section 7.1.1.
    """
    return strength * (W * W).sum() / 2


def penalty_gradient(W: Array, strength: float) -> Array:
    """∂/∂W of λ/2 Σ W² = λ W, in the shape of W."""
    return strength * W
