"""Losses: a scalar, the mean or the sum over the samples.

A sample is a row of x. Targets are floats in the shape of x, whose gradient is not asked for; labels are the
numbers of columns. `mean` divides by the number of samples, except where it says otherwise.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from reference.operations.by_hand import by_hand
from reference.operations.norms import count
from reference.operations.operation import Input, Operation, inputs
from reference.operations.softmax import log_softmax, softmax


def reduced(terms: Array, reduction: str) -> Array:
    """The mean or the sum of one term a sample, (n,)."""
    return terms.sum() if reduction == "sum" else terms.sum() / count(terms, (0,))


def is_label(x: Array, labels: Array) -> Array:
    """Whether a column is the sample's label, (..., k) as x; nowhere for a label that stands for "none"."""
    return labels[..., None] == lax.iota(labels.dtype, x.shape[-1])


def at_label(x: Array, labels: Array) -> Array:
    """The entry of x (..., k) in the column of the label, (...,); 0 for a label that stands for "none"."""
    return jnp.where(is_label(x, labels), x, 0).sum(axis=-1)


def _outputs(x: Array) -> Array:
    return count(x, (1,))


# Squares and distances


def mse(x: Array, targets: Array, *, reduction: str) -> Array:
    """L_i = Σ_j (x_ij - t_ij)²/k, k being the number of outputs."""
    return sse(x, targets, reduction=reduction) / _outputs(x)


def half_mse(x: Array, targets: Array, *, reduction: str) -> Array:
    """L_i = Σ_j (x_ij - t_ij)²/(2k)."""
    return sse(x, targets, reduction=reduction) / (2 * _outputs(x))


def sse(x: Array, targets: Array, *, reduction: str) -> Array:
    """L_i = Σ_j (x_ij - t_ij)²."""
    difference = x - targets
    return reduced((difference * difference).sum(axis=1), reduction)


def half_sse(x: Array, targets: Array, *, reduction: str) -> Array:
    """L_i = Σ_j (x_ij - t_ij)²/2."""
    return sse(x, targets, reduction=reduction) / 2


def mean_absolute_error(x: Array, targets: Array, *, reduction: str) -> Array:
    """L_i = Σ_j |x_ij - t_ij|/k."""
    return reduced(jnp.abs(x - targets).sum(axis=1), reduction) / _outputs(x)


def huber(x: Array, targets: Array, *, delta: float, reduction: str) -> Array:
    """L_i = mean_j h(x_ij - t_ij), h(e) = e²/2 where |e| ≤ δ, δ(|e| - δ/2) elsewhere.

    Source: P. J. Huber, *Robust Estimation of a Location Parameter* (1964).
    """
    e = x - targets
    far = delta * (jnp.abs(e) - delta / 2)
    return reduced(jnp.where(jnp.abs(e) <= delta, e * e / 2, far).sum(axis=1), reduction) / _outputs(x)


def smooth_l1(x: Array, targets: Array, *, beta: float, reduction: str) -> Array:
    """Huber's loss divided by its threshold, as torch's `smooth_l1_loss`."""
    return huber(x, targets, delta=beta, reduction=reduction) / beta


def log_cosh(x: Array, targets: Array, *, reduction: str) -> Array:
    """L_i = mean_j log cosh(x_ij - t_ij), with log cosh e = |e| + log(1 + e^{-2|e|}) - log 2.

    Written e + log(1 + e^{-2e}) - log 2, which is smooth; `logaddexp` keeps it from overflowing.
    """
    e = x - targets
    return reduced((jnp.logaddexp(e, -e) - jnp.log(2.0)).sum(axis=1), reduction) / _outputs(x)


# Entropies


def cross_entropy(x: Array, targets: Array, *, reduction: str) -> Array:
    """L_i = -Σ_j t_ij log softmax(x_i)_j, from scores x and probabilities t."""
    return reduced(-(targets * log_softmax(x)).sum(axis=1), reduction)


def cross_entropy_of_probabilities(x: Array, targets: Array, *, reduction: str) -> Array:
    """L_i = -Σ_j t_ij log x_ij, from probabilities x: not fused with the softmax."""
    return reduced(-(targets * jnp.log(x)).sum(axis=1), reduction)


def kl_divergence(x: Array, targets: Array, *, reduction: str) -> Array:
    """L_i = Σ_j t_ij (log t_ij - x_ij), from log-probabilities x, as torch's `kl_div`; 0 log 0 = 0."""
    entropies = jnp.where(targets > 0, targets * jnp.log(jnp.where(targets > 0, targets, 1)), 0)
    return reduced((entropies - targets * x).sum(axis=1), reduction)


def softmax_cross_entropy(x: Array, labels: Array, *, reduction: str) -> Array:
    """L_i = -log softmax(x_i)_{label i}."""
    return reduced(-at_label(log_softmax(x), labels), reduction)


def softmax_cross_entropy_ignoring(x: Array, labels: Array, *, reduction: str) -> Array:
    """Samples whose label is none of the columns (-100) don't count, in the sum nor in the mean's divisor."""
    return weighted_cross_entropy(x, labels, jnp.ones(x.shape[1], x.dtype), reduction=reduction)


def negative_log_likelihood(x: Array, labels: Array, *, reduction: str) -> Array:
    """L_i = -x_{i, label i}, from log-probabilities x."""
    return reduced(-at_label(x, labels), reduction)


def weighted_cross_entropy(x: Array, labels: Array, weights: Array, *, reduction: str) -> Array:
    """L_i = -w_{label i} log softmax(x_i)_{label i}; the mean divides by Σ_i w_{label i}, as in torch.

    A sample whose label is none of the columns (-100) has weight 0.
    """
    of_sample = jnp.where(is_label(x, labels), weights, 0).sum(axis=-1)
    total = -(of_sample * at_label(log_softmax(x), labels)).sum()
    return total if reduction == "sum" else total / of_sample.sum()


def label_smoothing_cross_entropy(
    x: Array, labels: Array, *, smoothing: float, spread: str, reduction: str
) -> Array:
    """Cross-entropy with the target 1 - s at the label, and s spread evenly.

    Args:
        x: scores, (n, k).
        labels: (n,).
        smoothing: s.
        spread: "all" gives every column s/k, the label's too (torch; C. Szegedy et al., arXiv:1512.00567,
            section 7); "others" gives the k - 1 other columns s/(k - 1).
        reduction: "mean" or "sum".
    """
    log_p = log_softmax(x)
    chosen, everything, k = at_label(log_p, labels), log_p.sum(axis=1), _outputs(x)
    if spread == "all":
        terms = (1 - smoothing) * chosen + smoothing / k * everything
    else:
        terms = (1 - smoothing) * chosen + smoothing / (k - 1) * (everything - chosen)
    return reduced(-terms, reduction)


def focal(x: Array, labels: Array, *, gamma: float, reduction: str) -> Array:
    """L_i = -(1 - p_i)^γ log p_i, p_i = softmax(x_i)_{label i}: T.-Y. Lin et al. (2017), arXiv:1708.02002.

    1 - p is the sum of the other probabilities, so that it keeps its digits where p is near 1.
    """
    others = jnp.where(is_label(x, labels), 0, softmax(x)).sum(axis=1)
    return reduced(-(others**gamma) * at_label(log_softmax(x), labels), reduction)


def binary_cross_entropy(x: Array, targets: Array, *, reduction: str) -> Array:
    """L_i = -Σ_j (t_ij log σ(x_ij) + (1 - t_ij) log σ(-x_ij)), from scores x.

    A value by log(1 - p) is not covered: it loses as many digits as p has nines.
    """
    terms = targets * jnp.logaddexp(-x, 0) + (1 - targets) * jnp.logaddexp(x, 0)
    return reduced(terms.sum(axis=1), reduction)


def mean_binary_cross_entropy(x: Array, targets: Array, *, reduction: str) -> Array:
    """The same, divided by the number of outputs."""
    return binary_cross_entropy(x, targets, reduction=reduction) / _outputs(x)


def binary_cross_entropy_of_probabilities(x: Array, targets: Array, *, reduction: str) -> Array:
    """L_i = -mean_j (t_ij log x_ij + (1 - t_ij) log(1 - x_ij)), from probabilities x."""
    terms = targets * jnp.log(x) + (1 - targets) * jnp.log1p(-x)
    return reduced(-terms.sum(axis=1), reduction) / _outputs(x)


def binary_focal(x: Array, targets: Array, *, gamma: float, alpha: float, reduction: str) -> Array:
    """-α_t (1 - p_t)^γ log p_t, p = σ(x), the mean over the outputs: arXiv:1708.02002, equation (5).

    With s = ±1 for the target 1 or 0, p_t = σ(s x), so 1 - p_t = σ(-s x) and -log p_t = log(1 + e^{-s x}).
    """
    s = 2 * targets - 1
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    terms = weight * lax.logistic(-s * x) ** gamma * jnp.logaddexp(-s * x, 0)
    return reduced(terms.sum(axis=1), reduction) / _outputs(x)


def temporal_softmax_loss(x: Array, labels: Array, mask: Array) -> Array:
    """-Σ_nt mask_nt log softmax(x_nt)_{label nt} / n, as in CS231n: divided by the samples, not by the steps."""
    return -(mask * at_label(log_softmax(x), labels)).sum() / count(x, (0,))


# Margins


def hinge(x: Array, labels: Array, *, reduction: str) -> Array:
    """L_i = max(0, 1 - y_i x_i), labels y being ±1."""
    return reduced(jnp.maximum(0, 1 - labels * x), reduction)


def squared_hinge(x: Array, labels: Array, *, reduction: str) -> Array:
    """L_i = max(0, 1 - y_i x_i)², labels y being ±1."""
    margins = jnp.maximum(0, 1 - labels * x)
    return reduced(margins * margins, reduction)


def multiclass_hinge(x: Array, labels: Array, *, delta: float, reduction: str) -> Array:
    """L_i = Σ_{j ≠ label} max(0, x_ij - x_{i, label} + δ): J. Weston, C. Watkins (1999)."""
    margins = jnp.maximum(0, x - at_label(x, labels)[:, None] + delta)
    return reduced(jnp.where(is_label(x, labels), 0, margins).sum(axis=1), reduction)


def logistic_loss(x: Array, labels: Array, *, reduction: str) -> Array:
    """L_i = log(1 + e^{-y_i x_i}), labels y being ±1."""
    return reduced(jnp.logaddexp(-labels * x, 0), reduction)


def triplet_loss(anchor: Array, positive: Array, negative: Array, *, margin: float, reduction: str) -> Array:
    """L_i = max(0, |a_i - p_i|² - |a_i - n_i|² + margin): F. Schroff et al. (2015), arXiv:1503.03832."""
    near, far = ((anchor - other) ** 2 for other in (positive, negative))
    return reduced(jnp.maximum(0, near.sum(axis=1) - far.sum(axis=1) + margin), reduction)


# Overlaps, penalties, likelihoods


def soft_dice(x: Array, targets: Array, *, smooth: float, squares: bool) -> Array:
    """1 - mean_i (2 Σ_j x_ij t_ij + s)/(Σ_j x_ij + Σ_j t_ij + s): F. Milletari et al. (2016), arXiv:1606.04797.

    `squares` has x² and t² in the divisor, as in that paper.
    """
    overlap = (x * targets).sum(axis=1)
    total = (x * x + targets * targets if squares else x + targets).sum(axis=1)
    return 1 - reduced((2 * overlap + smooth) / (total + smooth), "mean")


def l2_penalty(W: Array, *, strength: float, half: bool, reduction: str) -> Array:
    """strength Σ W² or its half; `mean` divides by the number of entries."""
    total = strength * (W * W).sum() / (2 if half else 1)
    return total if reduction == "sum" else total / count(W, (0, 1))


def l1_penalty(W: Array, *, strength: float) -> Array:
    """strength Σ |W|."""
    return strength * jnp.abs(W).sum()


def gaussian_negative_log_likelihood(
    mean: Array, log_variance: Array, targets: Array, *, reduction: str
) -> Array:
    """L_i = Σ_j (log v_ij + (t_ij - μ_ij)²/v_ij)/2, without the constant."""
    squares = (targets - mean) ** 2 * jnp.exp(-log_variance)
    return reduced((log_variance + squares).sum(axis=1) / 2, reduction)


def gaussian_kl_divergence(mean: Array, log_variance: Array, *, reduction: str) -> Array:
    """L_i = Σ_j (v + μ² - 1 - log v)/2: from N(μ, v) to N(0, 1), D. P. Kingma, M. Welling (2013), arXiv:1312.6114."""
    terms = jnp.exp(log_variance) + mean * mean - 1 - log_variance
    return reduced(terms.sum(axis=1) / 2, reduction)


def poisson_negative_log_likelihood(x: Array, counts: Array, *, reduction: str) -> Array:
    """L_i = Σ_j (e^x_ij - c_ij x_ij), x being the logarithm of the rate; without the constant log c!."""
    return reduced((jnp.exp(x) - counts * x).sum(axis=1), reduction)


def logistic_regression(weights: Array, X: Array, labels: Array, *, reduction: str) -> Array:
    """The negative log-likelihood Σ_i log(1 + e^z_i) - y_i z_i, z = X w, labels y being 0 or 1."""
    z = X @ weights
    return reduced(jnp.logaddexp(z, 0) - labels * z, reduction)


def info_nce(x: Array, z: Array, *, temperature: float) -> Array:
    """-mean_i log softmax_j(x_i z_j/temperature)_i: sample i of x belongs to sample i of z.

    Source: A. van den Oord et al. (2018), arXiv:1807.03748, equation (4).
    """
    scores = log_softmax(x @ z.T / temperature)  # (n, n)
    return reduced(-at_label(scores, lax.iota(jnp.int64, x.shape[0])), "mean")


# Other programs: o - t in place of what autodiff makes of a logarithm.


def _by_difference(
    forward: Callable[..., Array], slope: Callable[..., Array], divisor: Callable[[Array], Any] = lambda x: 1
) -> Callable[..., Array]:
    """A loss whose gradient is the scaled dy times slope(x, ...), such as o - t."""

    def backward(dy: Array, x: Array, *others: Array, reduction: str) -> tuple[Any, ...]:
        scale = dy / divisor(x) if reduction == "sum" else dy / (count(x, (0,)) * divisor(x))
        return scale * slope(x, *others), *(None for _ in others)

    return by_hand(forward, backward)


def _o_minus_t(x: Array, targets: Array) -> Array:
    return softmax(x) - targets


def _o_minus_onehot(x: Array, labels: Array) -> Array:
    return softmax(x) - is_label(x, labels)


def _sigmoid_minus_t(x: Array, targets: Array) -> Array:
    return 1 / (1 + jnp.exp(-x)) - targets


def _relu_and_log1p(x: Array, targets: Array, *, reduction: str) -> Array:
    terms = jnp.maximum(x, 0) - x * targets + jnp.log1p(jnp.exp(-jnp.abs(x)))
    return reduced(terms.sum(axis=1), reduction)


def _focal_by_subtraction(x: Array, labels: Array, *, gamma: float, reduction: str) -> Array:
    log_p = at_label(log_softmax(x), labels)
    return reduced(-((1 - jnp.exp(log_p)) ** gamma) * log_p, reduction)


def _label_smoothing_by_difference(
    dy: Array, x: Array, labels: Array, *, smoothing: float, spread: str, reduction: str
) -> tuple[Any, ...]:
    k = _outputs(x)
    here, there = is_label(x, labels), smoothing / (k if spread == "all" else k - 1)
    targets = jnp.where(here, 1 - smoothing + (there if spread == "all" else 0), there)
    scale = dy if reduction == "sum" else dy / count(x, (0,))
    return scale * (softmax(x) - targets), None


# The rows


_REDUCTION = {"reduction": ("mean", "sum")}


def _targets(values: str = "real") -> Input:
    return Input("n k", values, constant=True)


def _labels(ignore: int | None = None) -> Input:
    return Input("n", "labels", below="k", ignore=ignore)


def _can_be_spread(sizes: Mapping[str, int], options: Mapping[str, Any]) -> bool:
    return options["spread"] == "all" or sizes["k"] > 1


def _row(forward: Callable[..., Array], *also: str, **arguments: Any) -> Operation:
    """A loss of scores x and targets, unless its inputs are given."""
    options = {**arguments.pop("options", {}), **_REDUCTION}
    given = arguments.pop("inputs", inputs(x="n k", targets=_targets()))
    return Operation(forward.__name__, forward, given, options=options, also=also, **arguments)


_SCORES_AND_LABELS = inputs(x="n k", labels=_labels())
_SIGNS = inputs(x="n", labels=Input("n", "signs", constant=True))

LOSSES = (
    _row(mse, "mse_loss", "mean_squared_error"),
    _row(half_mse),
    _row(sse, "sum_of_squared_errors"),
    _row(half_sse),
    _row(mean_absolute_error, "mae", "l1_loss"),
    _row(huber, "huber_loss", options={"delta": (1.0, 0.5)}),
    _row(smooth_l1, "smooth_l1_loss", options={"beta": (1.0, 0.5)}),
    _row(log_cosh),
    _row(
        cross_entropy,
        inputs=inputs(x="n k", targets=_targets("probabilities")),
        formulations=(_by_difference(cross_entropy, _o_minus_t),),
    ),
    _row(
        cross_entropy_of_probabilities,
        inputs=inputs(x=Input("n k", "probabilities"), targets=_targets("probabilities")),
    ),
    _row(
        kl_divergence,
        "kl_div",
        inputs=inputs(x="n k", targets=_targets("probabilities")),
    ),
    _row(
        softmax_cross_entropy,
        "softmax_loss",
        "sparse_cross_entropy",
        inputs=_SCORES_AND_LABELS,
        formulations=(_by_difference(softmax_cross_entropy, _o_minus_onehot),),
    ),
    _row(
        softmax_cross_entropy_ignoring,
        inputs=inputs(x="n k", labels=_labels(ignore=-100)),
        mixes=True,
    ),
    _row(negative_log_likelihood, "nll_loss", "nll", inputs=_SCORES_AND_LABELS),
    _row(
        weighted_cross_entropy,
        inputs=inputs(x="n k", labels=_labels(ignore=-100), weights=Input("k", "positive", constant=True)),
        mixes=True,
    ),
    _row(
        label_smoothing_cross_entropy,
        "label_smoothing",
        inputs=_SCORES_AND_LABELS,
        options={"smoothing": (0.1, 0.3), "spread": ("all", "others")},
        valid=_can_be_spread,
        formulations=(by_hand(label_smoothing_cross_entropy, _label_smoothing_by_difference),),
    ),
    _row(
        focal,
        "focal_loss",
        inputs=_SCORES_AND_LABELS,
        options={"gamma": (2.0, 1.5)},
        sizes={"k": (2, 3, 5)},
        formulations=(_focal_by_subtraction,),
    ),
    _row(
        binary_cross_entropy,
        "bce",
        inputs=inputs(x="n k", targets=_targets("unit")),
        formulations=(
            _by_difference(binary_cross_entropy, _sigmoid_minus_t),
            _relu_and_log1p,
        ),
    ),
    _row(
        mean_binary_cross_entropy,
        "bce_with_logits",
        inputs=inputs(x="n k", targets=_targets("unit")),
        formulations=(_by_difference(mean_binary_cross_entropy, _sigmoid_minus_t, _outputs),),
    ),
    _row(
        binary_cross_entropy_of_probabilities,
        "bce_loss",
        inputs=inputs(x=Input("n k", "unit"), targets=_targets("unit")),
    ),
    _row(
        binary_focal,
        "sigmoid_focal_loss",
        inputs=inputs(x="n k", targets=Input("n k", "mask")),
        options={"gamma": (2.0, 1.5), "alpha": (0.25, 0.5)},
    ),
    Operation(
        "temporal_softmax_loss",
        temporal_softmax_loss,
        inputs(
            x="n t v",
            labels=Input("n t", "labels", below="v"),
            mask=Input("n t", "mask"),
        ),
    ),
    _row(hinge, "hinge_loss", inputs=_SIGNS),
    _row(squared_hinge, inputs=_SIGNS),
    _row(
        multiclass_hinge,
        "svm_loss",
        "multi_margin_loss",
        inputs=_SCORES_AND_LABELS,
        options={"delta": (1.0, 0.5)},
    ),
    _row(
        logistic_loss,
        inputs=_SIGNS,
    ),
    _row(
        triplet_loss,
        "triplet_margin_loss",
        inputs=inputs(anchor="n d", positive="n d", negative="n d"),
        options={"margin": (1.0, 0.2)},
    ),
    Operation(
        "soft_dice",
        soft_dice,
        inputs(x=Input("n d", "unit"), targets=Input("n d", "unit", constant=True)),
        options={"smooth": (1.0, 1e-2), "squares": (False, True)},
        also=("dice_loss", "dice"),
    ),
    Operation(
        "l2_penalty",
        l2_penalty,
        inputs(W="d k"),
        options={"strength": (1.0, 0.1), "half": (True, False), "reduction": ("sum", "mean")},
        also=("weight_decay", "l2_regularisation", "l2_regularization", "ridge"),
    ),
    Operation(
        "l1_penalty",
        l1_penalty,
        inputs(W="d k"),
        options={"strength": (1.0, 0.1)},
        also=("l1_regularisation", "l1_regularization", "lasso"),
    ),
    _row(
        gaussian_negative_log_likelihood,
        "gaussian_nll",
        "gaussian_nll_loss",
        inputs=inputs(mean="n k", log_variance="n k", targets=_targets()),
    ),
    _row(
        gaussian_kl_divergence,
        "gaussian_kl",
        "vae_kl",
        inputs=inputs(mean="n k", log_variance="n k"),
    ),
    _row(
        poisson_negative_log_likelihood,
        "poisson_nll",
        "poisson_nll_loss",
        inputs=inputs(x="n k", counts=Input("n k", "counts")),
    ),
    _row(
        logistic_regression,
        inputs=inputs(weights="d", X=Input("n d", constant=True), labels=Input("n", "mask")),
    ),
    Operation(
        "info_nce",
        info_nce,
        inputs(x="n d", z="n d"),
        options={"temperature": (1.0, 0.5)},
        also=("contrastive_loss",),
        mixes=True,
    ),
)
