"""Wrong backward passes of operations, in NumPy, as their authors wrote them: none was made by editing a program.

Kinds of slips as issues of libraries and answers to exercises have them: a path of a quotient or a norm left out, a
factor of a mean lost, a sum over the wrong axis, an option forgotten, a slope taken elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

A = Any  # an array of any shape
Backward = Callable[..., tuple[A, ...]]


@dataclass(frozen=True)
class Wrong:
    """A wrong backward pass: (dy, *inputs, **options) to the gradients of the differentiable inputs."""

    operation: str
    name: str
    backward: Backward


def softmax(x: A) -> A:
    """Along the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(x: A) -> A:
    """1 / (1 + e^-x)."""
    return 1 / (1 + np.exp(-x))


def onehot(labels: A, x: A) -> A:
    """A row of x's shape with 1 at the label."""
    return np.eye(x.shape[-1])[labels]


def _quadratic_form(dy: A, x: A, A: A) -> tuple[A, ...]:
    return 2 * dy[:, None] * (x @ A), np.einsum("n,nd,ne->de", dy, x, x)


def _l2_normalise(dy: A, x: A) -> tuple[A, ...]:
    return (dy / np.sqrt((x * x).sum(axis=-1, keepdims=True)),)


def _l2_normalise_at_x(dy: A, x: A) -> tuple[A, ...]:
    norm = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    return ((dy - x * (dy * x).sum(axis=-1, keepdims=True)) / norm,)


def _weight_norm(dy: A, x: A, v: A, gain: A) -> tuple[A, ...]:
    norm = np.sqrt((v * v).sum(axis=0))
    W, dW = gain * v / norm, x.T @ dy
    return dy @ W.T, dW * gain / norm, (dW * v / norm).sum(axis=0)


def _temperature(dy: A, x: A, *, temperature: float) -> tuple[A, ...]:
    p = softmax(x / temperature)
    return (p * (dy - (dy * p).sum(axis=-1, keepdims=True)),)


def _logsumexp(dy: A, x: A) -> tuple[A, ...]:
    return (dy[:, None] * np.exp(x),)


def _soft_dice(dy: A, x: A, targets: A, *, smooth: float, squares: bool) -> tuple[A, ...]:
    total = (x * x + targets * targets if squares else x + targets).sum(axis=1, keepdims=True)
    return (-dy * 2 * targets / (total + smooth) / len(x),)


def _gaussian_kl(dy: A, mean: A, log_variance: A, *, reduction: str) -> tuple[A, ...]:
    n = len(mean) if reduction == "mean" else 1
    return dy * mean / n, dy * (np.exp(log_variance) - 1) / n


def _gaussian_nll(dy: A, mean: A, log_variance: A, targets: A, *, reduction: str) -> tuple[A, ...]:
    n = len(mean) if reduction == "mean" else 1
    v, e = np.exp(log_variance), mean - targets
    return dy * e / v / n, dy * (1 - e * e) / 2 / n


def _poisson(dy: A, x: A, counts: A, *, reduction: str) -> tuple[A, ...]:
    return (dy * (x - counts) / (len(x) if reduction == "mean" else 1),)


def _squared_hinge(dy: A, x: A, labels: A, *, reduction: str) -> tuple[A, ...]:
    margins = np.maximum(0, 1 - labels * x)
    return (-dy * margins * labels / (len(x) if reduction == "mean" else 1),)


def _smooth_l1(dy: A, x: A, targets: A, *, beta: float, reduction: str) -> tuple[A, ...]:
    e = x - targets
    slope = np.where(abs(e) <= beta, e, np.sign(e))
    return (dy * slope / (e.size if reduction == "mean" else e.shape[1]),)


def _log_cosh(dy: A, x: A, targets: A, *, reduction: str) -> tuple[A, ...]:
    e = x - targets
    return (dy * np.tanh(e) / (len(x) if reduction == "mean" else 1),)


def _triplet(dy: A, anchor: A, positive: A, negative: A, *, margin: float, reduction: str) -> tuple[A, ...]:
    near, far = ((anchor - other) ** 2 for other in (positive, negative))
    is_open = (near.sum(axis=1) - far.sum(axis=1) + margin > 0)[:, None]
    g = 2 * dy * is_open / (len(anchor) if reduction == "mean" else 1)
    return g * (anchor - positive), -g * (anchor - positive), g * (anchor - negative)


def _label_smoothing(
    dy: A, x: A, labels: A, *, smoothing: float, spread: str, reduction: str
) -> tuple[A, ...]:
    del smoothing, spread
    return (dy * (softmax(x) - onehot(labels, x)) / (len(x) if reduction == "mean" else 1),)


def _info_nce(dy: A, x: A, z: A, *, temperature: float) -> tuple[A, ...]:
    p = softmax(x @ z.T / temperature)
    g = dy * (p - np.eye(len(x))) / len(x) / temperature
    return g @ z, g @ x


def _logistic_regression(dy: A, weights: A, X: A, labels: A, *, reduction: str) -> tuple[A, ...]:
    del reduction
    return (dy * X.T @ (sigmoid(X @ weights) - labels),)


def _global_average_pool(dy: A, x: A) -> tuple[A, ...]:
    return (np.broadcast_to(dy[:, :, None, None], x.shape) / x.shape[2],)


def _upsample(dy: A, x: A, *, scale: int) -> tuple[A, ...]:
    del x
    return (dy[:, :, ::scale, ::scale],)


def _prelu(dy: A, x: A, slope: A) -> tuple[A, ...]:
    return np.where(x > 0, dy, slope * dy), (dy * x).sum(axis=0)


def _glu(dy: A, x: A, gate: A) -> tuple[A, ...]:
    del x  # it belongs to the slope of the gate
    s = sigmoid(gate)
    return dy * s, dy * s * (1 - s)


def _swiglu(dy: A, gate: A, x: A) -> tuple[A, ...]:
    s = sigmoid(gate)
    return dy * x * s, dy * gate * s


def _mish(dy: A, x: A) -> tuple[A, ...]:
    return (dy * np.tanh(np.log1p(np.exp(x))),)


def _softsign(dy: A, x: A) -> tuple[A, ...]:
    return (dy / (1 + abs(x)),)


def _hard_tanh(dy: A, x: A) -> tuple[A, ...]:
    return (dy * (x < 1),)


def _batch_norm_with_statistics(
    dy: A, x: A, gain: A, shift: A, mean: A, variance: A, *, eps: float
) -> tuple[A, ...]:
    del shift
    x_hat = (x - mean) / np.sqrt(variance + eps)
    return dy * gain / (variance + eps), (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def _rms_norm(dy: A, x: A, gain: A, *, eps: float) -> tuple[A, ...]:
    r = 1 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)
    d = dy * gain
    return r * d - r * x * (d * x).mean(axis=-1, keepdims=True), (dy * x * r).sum(axis=0)


def _instance_norm(dy: A, x: A, gain: A, shift: A, *, eps: float) -> tuple[A, ...]:
    del shift
    centred = x - x.mean(axis=(2, 3), keepdims=True)
    r = 1 / np.sqrt((centred * centred).mean(axis=(2, 3), keepdims=True) + eps)
    x_hat, d = centred * r, dy * gain[:, None, None]
    dx = r * (d - x_hat * (d * x_hat).mean(axis=(2, 3), keepdims=True))
    return dx, (dy * x_hat).sum(axis=(0, 2, 3)), dy.sum(axis=(0, 2, 3))


def _low_rank(dy: A, x: A, W: A, A_: A, B: A, *, scale: float) -> tuple[A, ...]:
    return dy @ W.T + scale * dy @ B.T @ A_.T, x.T @ dy, x.T @ dy @ B.T, scale * (x @ A_).T @ dy


def _temporal_dense(dy: A, x: A, W: A, b: A) -> tuple[A, ...]:
    del b
    return dy @ W.T, np.einsum("ntd,ntk->dk", x, dy), dy[:, -1].sum(axis=0)


def _self_attention(dy: A, x: A, Wq: A, Wk: A, Wv: A, *, causal: bool) -> tuple[A, ...]:
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    scores = np.einsum("ntd,nsd->nts", q, k) / np.sqrt(q.shape[-1])
    p = softmax(np.where(np.tril(np.ones(scores.shape[1:])) > 0, scores, -np.inf) if causal else scores)
    dp = np.einsum("nte,nse->nts", dy, v)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
    dq, dk, dv = ds @ k, ds @ q, p.swapaxes(1, 2) @ dy  # dk wants the transpose
    dWs = (np.einsum("ntd,nte->de", x, d) for d in (dq, dk, dv))
    return dq @ Wq.T + dk @ Wk.T + dv @ Wv.T, *dWs


def _rnn_cell(dy: A, x: A, h: A, Wx: A, Wh: A, bx: A, bh: A) -> tuple[A, ...]:
    new = np.tanh(x @ Wx.T + bx + h @ Wh.T + bh)
    da = dy * (1 - new * new)
    return da @ Wx, da @ Wh, da.T @ x, da.T @ h, da.sum(axis=0), dy.sum(axis=0)


def _gru_cell(dy: A, x: A, h: A, Wx: A, Wh: A, bx: A, bh: A) -> tuple[A, ...]:
    (xr, xz, xn), (hr, hz, hn) = (np.split(one, 3, axis=1) for one in (x @ Wx.T + bx, h @ Wh.T + bh))
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    n = np.tanh(xn + r * hn)
    dz = dy * (h - n) * z * (1 - z)
    dn = dy * z * (1 - n * n)  # (1 − z) belongs here
    dr = dn * hn * r * (1 - r)
    dx, dh = np.concatenate([dr, dz, dn], axis=1), np.concatenate([dr, dz, dn * r], axis=1)
    return dx @ Wx, dh @ Wh + dy * z, dx.T @ x, dh.T @ h, dx.sum(axis=0), dh.sum(axis=0)


def _embedding(dy: A, x: A, W: A) -> tuple[A, ...]:
    dW = np.zeros_like(W)
    dW[x] = dy
    return (dW,)


def _temporal_softmax(dy: A, x: A, labels: A, mask: A) -> tuple[A, ...]:
    del mask
    return (dy * (softmax(x) - onehot(labels, x)) / len(x),)


def _focal(dy: A, x: A, labels: A, *, gamma: float, reduction: str) -> tuple[A, ...]:
    p = softmax(x)
    at = p[np.arange(len(x)), labels][:, None]
    return (dy * (1 - at) ** gamma * (p - onehot(labels, x)) / (len(x) if reduction == "mean" else 1),)


def _bilinear(dy: A, x: A, W: A, z: A, b: A) -> tuple[A, ...]:
    del b
    dx = np.einsum("nk,kde,ne->nd", dy, W, z)
    return (
        dx,
        np.einsum("nk,nd,ne->kde", dy, x, z) / len(x),
        np.einsum("nk,kde,nd->ne", dy, W, x),
        dy.sum(axis=0),
    )


def _kl(dy: A, x: A, targets: A, *, reduction: str) -> tuple[A, ...]:
    return (dy * (np.log(targets) - x) * targets / (len(x) if reduction == "mean" else 1),)


def _mean_bce(dy: A, x: A, targets: A, *, reduction: str) -> tuple[A, ...]:
    return (dy * (sigmoid(x) - targets) / (len(x) if reduction == "mean" else 1),)


def _spatial_batch_norm(dy: A, x: A, gain: A, shift: A, *, eps: float) -> tuple[A, ...]:
    del shift
    axes = (0, 2, 3)
    centred = x - x.mean(axis=axes, keepdims=True)
    r = 1 / np.sqrt((centred * centred).mean(axis=axes, keepdims=True) + eps)
    x_hat, d = centred * r, dy * gain[:, None, None]
    dx = r * (d - d.mean(axis=axes, keepdims=True) - x_hat * (d * x_hat).mean(axis=axes, keepdims=True))
    return dx, (dy * x_hat).sum(axis=(0, 2, 3)), dy.sum(axis=0).mean(axis=(1, 2))


def _rows(**table: Backward) -> tuple[Wrong, ...]:
    found = ((*key.split("__"), backward) for key, backward in table.items())
    return tuple(Wrong(operation, name, backward) for operation, name, backward in found)


WRONG = _rows(
    quadratic_form__taken_as_symmetric=_quadratic_form,
    l2_normalise__norm_held_still=_l2_normalise,
    l2_normalise__projected_on_x=_l2_normalise_at_x,
    weight_norm__norm_held_still=_weight_norm,
    softmax_with_temperature__temperature_forgotten=_temperature,
    logsumexp__not_divided=_logsumexp,
    soft_dice__divisor_held_still=_soft_dice,
    gaussian_kl_divergence__half_lost=_gaussian_kl,
    gaussian_negative_log_likelihood__variance_lost=_gaussian_nll,
    poisson_negative_log_likelihood__exponential_lost=_poisson,
    squared_hinge__two_lost=_squared_hinge,
    smooth_l1__beta_forgotten=_smooth_l1,
    log_cosh__output_mean_lost=_log_cosh,
    triplet_loss__negative_path_of_the_anchor_lost=_triplet,
    label_smoothing_cross_entropy__smoothing_forgotten=_label_smoothing,
    info_nce__transpose_missing=_info_nce,
    logistic_regression__sum_for_mean=_logistic_regression,
    global_average_pool__divided_by_the_side=_global_average_pool,
    upsample_nearest__one_of_the_square=_upsample,
    prelu__mask_left_out=_prelu,
    glu__value_left_out=_glu,
    swiglu__gate_taken_as_constant=_swiglu,
    mish__tanh_taken_as_constant=_mish,
    softsign__not_squared=_softsign,
    hard_tanh__open_below=_hard_tanh,
    batch_norm_with_statistics__root_lost=_batch_norm_with_statistics,
    rms_norm__power_of_r_lost=_rms_norm,
    instance_norm__mean_held_still=_instance_norm,
    low_rank__scale_lost_once=_low_rank,
    temporal_dense__bias_of_the_last_step=_temporal_dense,
    self_attention__keys_not_transposed=_self_attention,
    rnn_cell__slope_left_out_of_a_bias=_rnn_cell,
    gru_cell__gate_for_its_complement=_gru_cell,
    embedding__overwritten=_embedding,
    temporal_softmax_loss__mask_forgotten=_temporal_softmax,
    focal__weight_held_still=_focal,
    bilinear__weights_averaged=_bilinear,
    kl_divergence__derivative_by_the_target=_kl,
    mean_binary_cross_entropy__output_mean_lost=_mean_bce,
    spatial_batch_norm__shift_averaged=_spatial_batch_norm,
)
