"""Operations with their backward passes as people write them, in NumPy: right programs to measure bounds with.

Each function takes the inputs of the operation of that name and its options, and returns the value and `backward`,
which takes dy and returns one gradient for each differentiable input, in their order. Nothing here comes from
`reference` or from `manual_backprop`: formulas and their order are another's. All work in the type of their inputs.
"""

from collections.abc import Callable, Mapping
from math import erf, pi, sqrt
from typing import Any

import numpy as np

Array = Any
"""A NumPy array of floats."""

Backward = Callable[[Any], tuple[Array, ...]]
ByHand = Callable[..., tuple[Any, Backward]]


# Layers that are products of matrices


def dense(x: Array, W: Array, b: Array) -> tuple[Array, Backward]:
    """By products of matrices."""

    def backward(dy: Array) -> tuple[Array, ...]:
        return dy @ W.T, x.T @ dy, dy.sum(axis=0)

    return x @ W + b, backward


def dense_by_samples(x: Array, W: Array, b: Array) -> tuple[Array, Backward]:
    """One sample after another, added up."""

    def backward(dy: Array) -> tuple[Array, ...]:
        dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(b)
        for i in range(len(x)):
            dx[i] = W @ dy[i]
            dW += np.outer(x[i], dy[i])
            db += dy[i]
        return dx, dW, db

    return x @ W + b, backward


def dense_without_bias(x: Array, W: Array) -> tuple[Array, Backward]:
    """By products of matrices."""
    return x @ W, lambda dy: (dy @ W.T, x.T @ dy)


def dense_of_images(x: Array, W: Array, b: Array) -> tuple[Array, Backward]:
    """Rows first, and back into images."""
    rows = x.reshape(len(x), -1)

    def backward(dy: Array) -> tuple[Array, ...]:
        return (dy @ W.T).reshape(x.shape), rows.T @ dy, dy.sum(axis=0)

    return rows @ W + b, backward


def linear(x: Array, W: Array, b: Array) -> tuple[Array, Backward]:
    """The weights of an output are a row."""
    return x @ W.T + b, lambda dy: (dy @ W, dy.T @ x, dy.sum(axis=0))


def bilinear(x: Array, W: Array, z: Array, b: Array) -> tuple[Array, Backward]:
    """By sums over named axes."""

    def backward(dy: Array) -> tuple[Array, ...]:
        dx = np.einsum("nk,kde,ne->nd", dy, W, z)
        dz = np.einsum("nk,kde,nd->ne", dy, W, x)
        return dx, np.einsum("nk,nd,ne->kde", dy, x, z), dz, dy.sum(axis=0)

    return np.einsum("nd,kde,ne->nk", x, W, z) + b, backward


def residual(x: Array, W: Array, b: Array) -> tuple[Array, Backward]:
    """The gradient forks."""
    h = np.tanh(x @ W + b)

    def backward(dy: Array) -> tuple[Array, ...]:
        dz = dy * (1 - h * h)
        return dy + dz @ W.T, x.T @ dz, dz.sum(axis=0)

    return x + h, backward


def tied_weights(x: Array, W: Array) -> tuple[Array, Backward]:
    """Two uses of W, two parts of dW."""
    h = np.tanh(x @ W)

    def backward(dy: Array) -> tuple[Array, ...]:
        dz = (dy @ W) * (1 - h**2)
        return dz @ W.T, x.T @ dz + dy.T @ h

    return h @ W.T, backward


# Activations


def logistic(x: Array) -> Array:
    """σ(x), without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def normal(x: Array) -> Array:
    """Φ(x), in the type of x."""
    return ((1 + np.vectorize(erf, otypes=[float])(x / sqrt(2))) / 2).astype(x.dtype)


def tanh(x: Array) -> tuple[Array, Backward]:
    """The slope from the value."""
    y = np.tanh(x)
    return y, lambda dy: (dy * (1 - y * y),)


def tanh_by_cosh(x: Array) -> tuple[Array, Backward]:
    """The slope 1/cosh²."""
    return np.tanh(x), lambda dy: (dy / np.cosh(x) ** 2,)


def sigmoid(x: Array) -> tuple[Array, Backward]:
    """The slope from the value."""
    y = 1 / (1 + np.exp(-x))
    return y, lambda dy: (dy * y * (1 - y),)


def sigmoid_by_exponential(x: Array) -> tuple[Array, Backward]:
    """The slope e/(1 + e)²."""
    e = np.exp(-np.abs(x))
    return logistic(x), lambda dy: (dy * e / (1 + e) ** 2,)


def log_sigmoid(x: Array) -> tuple[Array, Backward]:
    """Min(x, 0) - log(1 + e^-|x|)."""
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))), lambda dy: (dy * logistic(-x),)


def softplus(x: Array) -> tuple[Array, Backward]:
    """By `logaddexp`."""
    return np.logaddexp(x, 0), lambda dy: (dy / (1 + np.exp(-x)),)


def softplus_by_log1p(x: Array) -> tuple[Array, Backward]:
    """Max(x, 0) + log(1 + e^-|x|)."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), lambda dy: (dy * logistic(x),)


def relu(x: Array) -> tuple[Array, Backward]:
    """A mask."""

    def backward(dy: Array) -> tuple[Array]:
        dx = dy.copy()
        dx[x <= 0] = 0
        return (dx,)

    return np.maximum(x, 0), backward


def leaky_relu(x: Array, *, slope: float) -> tuple[Array, Backward]:
    """The larger of two lines."""

    def backward(dy: Array) -> tuple[Array]:
        return (np.where(x > 0, dy, slope * dy),)

    return np.maximum(x, slope * x), backward


def elu(x: Array, *, alpha: float) -> tuple[Array, Backward]:
    """The slope from the value: y + α where x is negative."""
    y = np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0)) - 1))
    return y, lambda dy: (dy * np.where(x > 0, 1, y + alpha),)


def gelu(x: Array) -> tuple[Array, Backward]:
    """Φ + x φ."""

    def backward(dy: Array) -> tuple[Array]:
        return (dy * (normal(x) + x * np.exp(-x * x / 2) / sqrt(2 * pi)),)

    return x * normal(x), backward


def gelu_tanh(x: Array) -> tuple[Array, Backward]:
    """The chain through the cube."""
    c = sqrt(2 / pi)
    t = np.tanh(c * (x + 0.044715 * x**3))

    def backward(dy: Array) -> tuple[Array]:
        dinner = c * (1 + 3 * 0.044715 * x**2)
        return (0.5 * dy * (1 + t + x * (1 - t**2) * dinner),)

    return 0.5 * x * (1 + t), backward


def silu(x: Array) -> tuple[Array, Backward]:
    """σ (1 + x (1 - σ))."""
    s = logistic(x)
    return x * s, lambda dy: (dy * s * (1 + x * (1 - s)),)


def silu_from_value(x: Array) -> tuple[Array, Backward]:
    """Y + σ (1 - y)."""
    s = 1 / (1 + np.exp(-x))
    y = x * s
    return y, lambda dy: (dy * (y + s * (1 - y)),)


def mish(x: Array) -> tuple[Array, Backward]:
    """T + x σ (1 - t²)."""
    t = np.tanh(np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0))
    return x * t, lambda dy: (dy * (t + x * logistic(x) * (1 - t * t)),)


def hard_swish(x: Array) -> tuple[Array, Backward]:
    """Three pieces."""

    def backward(dy: Array) -> tuple[Array]:
        return (dy * np.where(x <= -3, 0, np.where(x >= 3, 1, (2 * x + 3) / 6)).astype(x.dtype),)

    return x * np.clip(x + 3, 0, 6) / 6, backward


def swiglu(gate: Array, x: Array) -> tuple[Array, Backward]:
    """Two inputs."""
    s = logistic(gate)
    y = gate * s

    def backward(dy: Array) -> tuple[Array, ...]:
        return dy * x * (s + y * (1 - s)), dy * y

    return y * x, backward


# Softmax


def probabilities(x: Array) -> Array:
    """The softmax of each row."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax(x: Array) -> tuple[Array, Backward]:
    """The projection y (dy - Σ dy y)."""
    y = probabilities(x)
    return y, lambda dy: (y * (dy - (dy * y).sum(axis=-1, keepdims=True)),)


def softmax_by_jacobian(x: Array) -> tuple[Array, Backward]:
    """The whole Jacobian diag(y) - y yᵀ of each row."""
    y = probabilities(x)

    def backward(dy: Array) -> tuple[Array]:
        return (np.stack([(np.diag(p) - np.outer(p, p)) @ d for p, d in zip(y, dy, strict=True)]),)

    return y, backward


def log_softmax(x: Array) -> tuple[Array, Backward]:
    """Dy - y Σ dy."""
    y = x - x.max(axis=1, keepdims=True)
    y = y - np.log(np.exp(y).sum(axis=1, keepdims=True))
    return y, lambda dy: (dy - np.exp(y) * dy.sum(axis=1, keepdims=True),)


def logsumexp(x: Array) -> tuple[Array, Backward]:
    """The slope is e^(x - y)."""
    y = np.logaddexp.reduce(x, axis=1)
    return y, lambda dy: (dy[:, None] * np.exp(x - y[:, None]),)


# Losses


def _over(x: Array, reduction: str) -> int:
    return len(x) if reduction == "mean" else 1


def mse(x: Array, targets: Array, *, reduction: str) -> tuple[Array, Backward]:
    """2 (x - t) over the number of terms."""
    terms = x.shape[1] * _over(x, reduction)
    return ((x - targets) ** 2).sum() / terms, lambda dy: (dy * 2 / terms * (x - targets),)


def half_sse(x: Array, targets: Array, *, reduction: str) -> tuple[Array, Backward]:
    """X - t."""
    n = _over(x, reduction)
    return 0.5 * ((x - targets) ** 2).sum() / n, lambda dy: (dy * (x - targets) / n,)


def huber(x: Array, targets: Array, *, delta: float, reduction: str) -> tuple[Array, Backward]:
    """A clipped difference."""
    terms, e = x.shape[1] * _over(x, reduction), x - targets
    inner = np.clip(e, -delta, delta)
    return (inner * (e - inner / 2)).sum() / terms, lambda dy: (dy * inner / terms,)


def cross_entropy(x: Array, targets: Array, *, reduction: str) -> tuple[Array, Backward]:
    """O - t."""
    p, n = probabilities(x), _over(x, reduction)
    return -(targets * np.log(p)).sum() / n, lambda dy: (dy * (p - targets) / n,)


def softmax_cross_entropy(x: Array, labels: Array, *, reduction: str) -> tuple[Array, Backward]:
    """One is subtracted at the label."""
    rows, n = np.arange(len(x)), _over(x, reduction)
    shifted = x - x.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    def backward(dy: Array) -> tuple[Array]:
        dx = np.exp(log_p)
        dx[rows, labels] -= 1
        return (dx * dy / n,)

    return -log_p[rows, labels].sum() / n, backward


def weighted_cross_entropy(
    x: Array, labels: Array, weights: Array, *, reduction: str
) -> tuple[Array, Backward]:
    """Rows whose label counts; the others stay 0."""
    counted = np.flatnonzero(labels >= 0)
    chosen, p = labels[counted], probabilities(x[counted])
    w = weights[chosen]
    total = w.sum() if reduction == "mean" else 1

    def backward(dy: Array) -> tuple[Array]:
        dx, some = np.zeros_like(x), p.copy()
        some[np.arange(len(counted)), chosen] -= 1
        dx[counted] = dy * w[:, None] * some / total
        return (dx,)

    return -(w * np.log(p[np.arange(len(counted)), chosen])).sum() / total, backward


def label_smoothing_cross_entropy(
    x: Array, labels: Array, *, smoothing: float, spread: str, reduction: str
) -> tuple[Array, Backward]:
    """Targets first, then o - t."""
    k, p, n = x.shape[1], probabilities(x), _over(x, reduction)
    targets = np.full_like(x, smoothing / (k if spread == "all" else k - 1))
    targets[np.arange(len(x)), labels] = 1 - smoothing + (smoothing / k if spread == "all" else 0)
    return -(targets * np.log(p)).sum() / n, lambda dy: (dy / n * (p - targets),)


def focal(x: Array, labels: Array, *, gamma: float, reduction: str) -> tuple[Array, Backward]:
    """Through p of the label: ∂p/∂x_j = p (δ - p_j)."""
    rows, p, n = np.arange(len(x)), probabilities(x), _over(x, reduction)
    others = p.copy()
    others[rows, labels] = 0
    q, r = p[rows, labels], others.sum(axis=1)  # r = 1 - q

    def backward(dy: Array) -> tuple[Array]:
        slope = gamma * r ** (gamma - 1) * np.log(q) * q - r**gamma  # ∂L/∂q times q
        moved = -p * slope[:, None]
        moved[rows, labels] = slope * r
        return (dy / n * moved,)

    return -(r**gamma * np.log(q)).sum() / n, backward


def binary_cross_entropy(x: Array, targets: Array, *, reduction: str) -> tuple[Array, Backward]:
    """O - t."""
    n = _over(x, reduction)
    terms = np.maximum(x, 0) - x * targets + np.log1p(np.exp(-np.abs(x)))
    return terms.sum() / n, lambda dy: (dy * (1 / (1 + np.exp(-x)) - targets) / n,)


def mean_binary_cross_entropy(x: Array, targets: Array, *, reduction: str) -> tuple[Array, Backward]:
    """O - t over the number of terms."""
    terms = x.shape[1] * _over(x, reduction)
    value = (targets * np.logaddexp(0, -x) + (1 - targets) * np.logaddexp(0, x)).sum() / terms
    return value, lambda dy: (dy / terms * (logistic(x) - targets),)


def hinge(x: Array, labels: Array, *, reduction: str) -> tuple[Array, Backward]:
    """A mask of those within the margin."""
    n, margins = _over(x, reduction), 1 - labels * x
    return np.maximum(margins, 0).sum() / n, lambda dy: (-dy / n * labels * (margins > 0),)


def multiclass_hinge(x: Array, labels: Array, *, delta: float, reduction: str) -> tuple[Array, Backward]:
    """Every violated margin pushes its column up and the label's down."""
    rows, n = np.arange(len(x)), _over(x, reduction)
    margins = np.maximum(0, x - x[rows, labels][:, None] + delta)
    margins[rows, labels] = 0

    def backward(dy: Array) -> tuple[Array]:
        dx = (margins > 0).astype(x.dtype)
        dx[rows, labels] -= dx.sum(axis=1)
        return (dx * dy / n,)

    return margins.sum() / n, backward


def soft_dice(x: Array, targets: Array, *, smooth: float, squares: bool) -> tuple[Array, Backward]:
    """The rule of quotients."""
    n = len(x)
    top = 2 * (x * targets).sum(axis=1, keepdims=True) + smooth
    bottom = (x**2 + targets**2 if squares else x + targets).sum(axis=1, keepdims=True) + smooth

    def backward(dy: Array) -> tuple[Array]:
        dbottom = 2 * x if squares else np.ones_like(x)
        return (-dy / n * (2 * targets * bottom - top * dbottom) / bottom**2,)

    return 1 - (top / bottom).sum() / n, backward


def l2_penalty(W: Array, *, strength: float, half: bool, reduction: str) -> tuple[Array, Backward]:
    """A multiple of W."""
    factor = strength * (0.5 if half else 1) / (W.size if reduction == "mean" else 1)
    return factor * (W**2).sum(), lambda dy: (dy * 2 * factor * W,)


def temporal_softmax_loss(x: Array, labels: Array, mask: Array) -> tuple[Array, Backward]:
    """All steps as rows."""
    n, t, v = x.shape
    rows, flat, weight = np.arange(n * t), labels.reshape(n * t), mask.reshape(n * t)
    p = probabilities(x.reshape(n * t, v))

    def backward(dy: Array) -> tuple[Array]:
        dx = p.copy()
        dx[rows, flat] -= 1
        return ((dx * (dy / n) * weight[:, None]).reshape(n, t, v),)

    return -(weight * np.log(p[rows, flat])).sum() / n, backward


# Normalisations


def layer_norm(x: Array, gain: Array, shift: Array, *, eps: float) -> tuple[Array, Backward]:
    """The formula with x̂."""
    centred = x - x.mean(axis=1, keepdims=True)
    r = 1 / np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps)
    x_hat = centred * r

    def backward(dy: Array) -> tuple[Array, ...]:
        d, g = x.shape[1], dy * gain
        dx = r / d * (d * g - g.sum(axis=1, keepdims=True) - x_hat * (g * x_hat).sum(axis=1, keepdims=True))
        return dx, (dy * x_hat).sum(axis=0), dy.sum(axis=0)

    return gain * x_hat + shift, backward


def layer_norm_by_steps(x: Array, gain: Array, shift: Array, *, eps: float) -> tuple[Array, Backward]:
    """Batch norm's steps, on the transpose."""
    y, backward_of_transpose = batch_norm_by_steps(x.T, gain[:, None], shift[:, None], eps=eps)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx, dgain, dshift = backward_of_transpose(dy.T)
        return dx.T, dgain.sum(axis=1), dshift.sum(axis=1)

    return y.T, backward


def batch_norm(x: Array, gain: Array, shift: Array, *, eps: float) -> tuple[Array, Backward]:
    """The formula with x̂."""
    std = np.sqrt(x.var(axis=0) + eps)
    x_hat = (x - x.mean(axis=0)) / std

    def backward(dy: Array) -> tuple[Array, ...]:
        dgain, dshift = (dy * x_hat).sum(axis=0), dy.sum(axis=0)
        dx = gain / std / len(x) * (len(x) * dy - dshift - x_hat * dgain)
        return dx, dgain, dshift

    return gain * x_hat + shift, backward


def batch_norm_by_steps(x: Array, gain: Array, shift: Array, *, eps: float) -> tuple[Array, Backward]:
    """Every step of the forward pass back, one after another; parameters of whole rows or of columns (d, 1)."""
    n = len(x)
    centred = x - x.mean(axis=0)
    std = np.sqrt((centred**2).sum(axis=0) / n + eps)
    inverse = 1 / std
    x_hat = centred * inverse

    def backward(dy: Array) -> tuple[Array, ...]:
        dx_hat = dy * gain
        dinverse = (dx_hat * centred).sum(axis=0)
        dvariance = -dinverse / std**2 * 0.5 / std
        dcentred = dx_hat * inverse + 2 * centred * dvariance / n
        dmean = -dcentred.sum(axis=0)
        dx = dcentred + dmean / n
        by_column = gain.ndim == 1
        terms = dy * x_hat
        return dx, terms.sum(axis=0) if by_column else terms, dy.sum(axis=0) if by_column else dy

    return gain * x_hat + shift, backward


def spatial_batch_norm(x: Array, gain: Array, shift: Array, *, eps: float) -> tuple[Array, Backward]:
    """Batch norm of all places as rows."""
    n, c, h, w = x.shape
    y, backward_of_rows = batch_norm(x.transpose(0, 2, 3, 1).reshape(-1, c), gain, shift, eps=eps)

    def images(rows: Array) -> Array:
        return rows.reshape(n, h, w, c).transpose(0, 3, 1, 2)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx, dgain, dshift = backward_of_rows(dy.transpose(0, 2, 3, 1).reshape(-1, c))
        return images(dx), dgain, dshift

    return images(y), backward


def group_norm(x: Array, gain: Array, shift: Array, *, groups: int, eps: float) -> tuple[Array, Backward]:
    """Layer norm of each group as a row."""
    n, c, h, w = x.shape
    rows = x.reshape(n * groups, -1)
    one, none = np.ones(rows.shape[1], x.dtype), np.zeros(rows.shape[1], x.dtype)
    y, backward_of_rows = layer_norm(rows, one, none, eps=eps)
    x_hat = y.reshape(x.shape)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx = backward_of_rows((dy * gain[:, None, None]).reshape(rows.shape))[0]
        return dx.reshape(n, c, h, w), (dy * x_hat).sum(axis=(0, 2, 3)), dy.sum(axis=(0, 2, 3))

    return gain[:, None, None] * x_hat + shift[:, None, None], backward


def instance_norm(x: Array, gain: Array, shift: Array, *, eps: float) -> tuple[Array, Backward]:
    """Group norm with as many groups as channels."""
    return group_norm(x, gain, shift, groups=x.shape[1], eps=eps)


def rms_norm(x: Array, gain: Array, *, eps: float) -> tuple[Array, Backward]:
    """Through the root mean square."""
    rms = np.sqrt((x * x).mean(axis=1, keepdims=True) + eps)

    def backward(dy: Array) -> tuple[Array, ...]:
        g = dy * gain
        dx = g / rms - x * (g * x).sum(axis=1, keepdims=True) / (x.shape[1] * rms**3)
        return dx, (dy * x / rms).sum(axis=0)

    return x / rms * gain, backward


def l2_normalise(x: Array) -> tuple[Array, Backward]:
    """The part along y is taken away."""
    norms = np.linalg.norm(x, axis=1, keepdims=True).astype(x.dtype)
    y = x / norms
    return y, lambda dy: ((dy - y * (y * dy).sum(axis=1, keepdims=True)) / norms,)


# Convolution and pooling


def conv2d(
    x: Array, W: Array, b: Array, *, stride: int, padding: int, dilation: int
) -> tuple[Array, Backward]:
    """Place by place of the output."""
    (n, channels, h, w), (outputs, c, kh, kw) = x.shape, W.shape
    f = outputs * c // channels  # outputs of a group
    wide = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows = (h + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    columns = (w + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.empty((n, outputs, rows, columns), x.dtype)

    def window(i: int, j: int, o: int) -> tuple[slice, ...]:
        top, left, channel = i * stride, j * stride, o // f * c
        return (
            slice(None),
            slice(channel, channel + c),
            slice(top, top + dilation * (kh - 1) + 1, dilation),
            slice(left, left + dilation * (kw - 1) + 1, dilation),
        )

    for i, j, o in np.ndindex(rows, columns, outputs):
        y[:, o, i, j] = (wide[window(i, j, o)] * W[o]).sum(axis=(1, 2, 3)) + b[o]

    def backward(dy: Array) -> tuple[Array, ...]:
        dwide, dW = np.zeros_like(wide), np.zeros_like(W)
        for i, j, o in np.ndindex(rows, columns, outputs):
            d = dy[:, o, i, j][:, None, None, None]
            dW[o] += (d * wide[window(i, j, o)]).sum(axis=0)
            dwide[window(i, j, o)] += d * W[o]
        return dwide[:, :, padding : padding + h, padding : padding + w], dW, dy.sum(axis=(0, 2, 3))

    return y, backward


def conv2d_by_offsets(
    x: Array, W: Array, b: Array, *, stride: int, padding: int, dilation: int
) -> tuple[Array, Backward]:
    """Offset by offset of the kernel, with all places of the output at once."""
    (n, channels, h, w), (outputs, c, kh, kw) = x.shape, W.shape
    groups = channels // c
    wide = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    wide = wide.reshape(n, groups, c, *wide.shape[2:])
    kernels = W.reshape(groups, outputs // groups, c, kh, kw)
    rows = (h + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    columns = (w + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((n, groups, outputs // groups, rows, columns), x.dtype)

    def seen(i: int, j: int) -> tuple[Any, ...]:
        top, left = i * dilation, j * dilation
        return (
            ...,
            slice(top, top + stride * (rows - 1) + 1, stride),
            slice(left, left + stride * (columns - 1) + 1, stride),
        )

    for i, j in np.ndindex(kh, kw):
        y += np.einsum("ngcab,gfc->ngfab", wide[seen(i, j)], kernels[..., i, j])

    def backward(dy: Array) -> tuple[Array, ...]:
        d = dy.reshape(y.shape)
        dwide, dW = np.zeros_like(wide), np.zeros_like(kernels)
        for i, j in np.ndindex(kh, kw):
            dW[..., i, j] = np.einsum("ngfab,ngcab->gfc", d, wide[seen(i, j)])
            dwide[seen(i, j)] += np.einsum("ngfab,gfc->ngcab", d, kernels[..., i, j])
        dx = dwide.reshape(n, channels, *wide.shape[3:])[:, :, padding : padding + h, padding : padding + w]
        return dx, dW.reshape(W.shape), dy.sum(axis=(0, 2, 3))

    return y.reshape(n, outputs, rows, columns) + b[:, None, None], backward


def conv1d(
    x: Array, W: Array, b: Array, *, stride: int, padding: int, dilation: int
) -> tuple[Array, Backward]:
    """Step by step of the output."""
    (n, _, t), (f, _, k) = x.shape, W.shape
    wide = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
    starts = range(0, t + 2 * padding - dilation * (k - 1), stride)
    seen = [slice(start, start + dilation * (k - 1) + 1, dilation) for start in starts]
    y = np.empty((n, f, len(seen)), x.dtype)
    for i, one in enumerate(seen):
        y[:, :, i] = np.tensordot(wide[:, :, one], W, axes=([1, 2], [1, 2])) + b

    def backward(dy: Array) -> tuple[Array, ...]:
        dwide, dW = np.zeros_like(wide), np.zeros_like(W)
        for i, one in enumerate(seen):
            dwide[:, :, one] += np.tensordot(dy[:, :, i], W, axes=(1, 0))
            dW += np.tensordot(dy[:, :, i], wide[:, :, one], axes=(0, 0))
        return dwide[:, :, padding : padding + t], dW, dy.sum(axis=(0, 2))

    return y, backward


def conv_transpose2d(x: Array, W: Array, b: Array, *, stride: int, padding: int) -> tuple[Array, Backward]:
    """Every entry of x adds its multiple of the kernel."""
    (n, _, h, w), (_, f, kh, kw) = x.shape, W.shape
    wide = np.zeros((n, f, (h - 1) * stride + kh, (w - 1) * stride + kw), x.dtype)
    inner = (..., slice(padding, wide.shape[2] - padding), slice(padding, wide.shape[3] - padding))

    def window(i: int, j: int) -> tuple[Any, ...]:
        return ..., slice(i * stride, i * stride + kh), slice(j * stride, j * stride + kw)

    for i, j in np.ndindex(h, w):
        wide[window(i, j)] += np.tensordot(x[:, :, i, j], W, axes=1)

    def backward(dy: Array) -> tuple[Array, ...]:
        dwide = np.zeros_like(wide)
        dwide[inner] = dy
        dx, dW = np.zeros_like(x), np.zeros_like(W)
        for i, j in np.ndindex(h, w):
            d = dwide[window(i, j)]
            dx[:, :, i, j] = np.tensordot(d, W, axes=([1, 2, 3], [1, 2, 3]))
            dW += np.tensordot(x[:, :, i, j], d, axes=(0, 0))
        return dx, dW, dy.sum(axis=(0, 2, 3))

    return wide[inner] + b[:, None, None], backward


def _pooled(size: int, kernel: int, stride: int, padding: int, *, ceil: bool) -> list[slice]:
    """The windows along an axis, in the coordinates of x; they may hang over at both ends."""
    room = size + 2 * padding - kernel
    number = (-(-room // stride) if ceil else room // stride) + 1
    return [slice(i * stride - padding, i * stride - padding + kernel) for i in range(number)]


def _within(window: slice, low: int, high: int) -> slice:
    return slice(max(window.start, low), min(window.stop, high))


def max_pool2d(x: Array, *, kernel: Any, stride: int, padding: int, ceil: bool) -> tuple[Array, Backward]:
    """The place of the largest entry of each window gets the gradient."""
    (n, c, h, w), (kh, kw) = x.shape, kernel if isinstance(kernel, tuple) else (kernel, kernel)
    rows = [_within(one, 0, h) for one in _pooled(h, kh, stride, padding, ceil=ceil)]
    columns = [_within(one, 0, w) for one in _pooled(w, kw, stride, padding, ceil=ceil)]
    y = np.stack([np.stack([x[:, :, r, s].max(axis=(2, 3)) for s in columns], -1) for r in rows], -2)

    def backward(dy: Array) -> tuple[Array]:
        dx = np.zeros_like(x)
        for sample, channel in np.ndindex(n, c):
            for i, r in enumerate(rows):
                for j, s in enumerate(columns):
                    window = x[sample, channel, r, s]
                    a, b = divmod(int(window.argmax()), window.shape[1])
                    dx[sample, channel, r.start + a, s.start + b] += dy[sample, channel, i, j]
        return (dx,)

    return y, backward


def average_pool2d(
    x: Array, *, kernel: Any, stride: int, padding: int, ceil: bool, count_padding: bool
) -> tuple[Array, Backward]:
    """Every entry of a window gets an equal part."""
    (h, w), (kh, kw) = x.shape[2:], kernel if isinstance(kernel, tuple) else (kernel, kernel)
    rows = _pooled(h, kh, stride, padding, ceil=ceil)
    columns = _pooled(w, kw, stride, padding, ceil=ceil)
    more = padding if count_padding else 0
    y = np.empty((*x.shape[:2], len(rows), len(columns)), x.dtype)
    parts: list[tuple[int, int, slice, slice, int]] = []
    for i, r in enumerate(rows):
        for j, s in enumerate(columns):
            a, b = _within(r, -more, h + more), _within(s, -more, w + more)
            entries = (a.stop - a.start) * (b.stop - b.start)
            parts.append((i, j, _within(r, 0, h), _within(s, 0, w), entries))
    for i, j, r, s, entries in parts:
        y[:, :, i, j] = x[:, :, r, s].sum(axis=(2, 3)) / entries

    def backward(dy: Array) -> tuple[Array]:
        dx = np.zeros_like(x)
        for i, j, r, s, entries in parts:
            dx[:, :, r, s] += dy[:, :, i, j][:, :, None, None] / entries
        return (dx,)

    return y, backward


# Attention


def attention(
    q: Array, k: Array, v: Array, *, allowed: Array | None = None, bias: Array | float = 0.0
) -> tuple[Array, Backward]:
    """Weights are kept; the score's gradient is w (dw - Σ dw w)."""
    scale = q.shape[-1] ** -0.5
    s = q @ np.swapaxes(k, -1, -2) * scale + bias
    w = probabilities(s if allowed is None else np.where(allowed, s, -np.inf).astype(s.dtype))

    def backward(dy: Array) -> tuple[Array, ...]:
        dw = dy @ np.swapaxes(v, -1, -2)
        ds = w * (dw - (dw * w).sum(axis=-1, keepdims=True)) * scale
        return ds @ k, np.swapaxes(ds, -1, -2) @ q, np.swapaxes(w, -1, -2) @ dy

    return w @ v, backward


def attention_recomputed(q: Array, k: Array, v: Array) -> tuple[Array, Backward]:
    """As kernels do: weights again from the logarithms of their sums, and Σ dw w as Σ dy y."""
    scale = q.shape[-1] ** -0.5
    s = np.einsum("ntd,nsd->nts", q * scale, k)
    top = s.max(axis=-1, keepdims=True)
    logs = top + np.log(np.exp(s - top).sum(axis=-1, keepdims=True))
    y = np.exp(s - logs) @ v

    def backward(dy: Array) -> tuple[Array, ...]:
        w = np.exp(np.einsum("ntd,nsd->nts", q * scale, k) - logs)
        ds = w * (np.einsum("nte,nse->nts", dy, v) - (dy * y).sum(axis=-1, keepdims=True))
        dq, dk = np.einsum("nts,nsd->ntd", ds, k), np.einsum("nts,ntd->nsd", ds, q)
        return scale * dq, scale * dk, np.einsum("nts,nte->nse", w, dy)

    return y, backward


def masked_attention(q: Array, k: Array, v: Array, mask: Array) -> tuple[Array, Backward]:
    """The mask says which keys count."""
    return attention(q, k, v, allowed=mask != 0)


def causal_attention(q: Array, k: Array, v: Array) -> tuple[Array, Backward]:
    """A triangle of keys."""
    t, s = q.shape[-2], k.shape[-2]
    return attention(q, k, v, allowed=np.tril(np.ones((t, s), bool), s - t))


def multi_head_attention(
    x: Array, Wq: Array, Wk: Array, Wv: Array, Wo: Array, *, heads: int, causal: bool
) -> tuple[Array, Backward]:
    """Heads are an axis; x is used three times."""
    n, t, m = x.shape

    def split(a: Array) -> Array:
        return a.reshape(n, t, heads, -1).swapaxes(1, 2)

    def join(a: Array) -> Array:
        return a.swapaxes(1, 2).reshape(n, t, -1)

    def into_weights(a: Array, d: Array) -> Array:
        return a.reshape(n * t, -1).T @ d.reshape(n * t, -1)

    inner = causal_attention if causal else attention
    each, backward_of_heads = inner(split(x @ Wq), split(x @ Wk), split(x @ Wv))
    h = join(each)

    def backward(dy: Array) -> tuple[Array, ...]:
        dq, dk, dv = (join(one) for one in backward_of_heads(split(dy @ Wo.T)))
        dx = dq @ Wq.T + dk @ Wk.T + dv @ Wv.T
        return dx, into_weights(x, dq), into_weights(x, dk), into_weights(x, dv), into_weights(h, dy)

    return (h.reshape(n * t, -1) @ Wo).reshape(n, t, m), backward


def rotary(x: Array, *, base: float) -> tuple[Array, Backward]:
    """Back by the opposite angle."""
    t, d = x.shape[1], x.shape[2] // 2
    angles = np.outer(np.arange(t), base ** (-np.arange(d) / d))
    c, s = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)

    def turned(x: Array, s: Array) -> Array:
        a, b = x[..., :d], x[..., d:]
        return np.concatenate([a * c - b * s, a * s + b * c], axis=-1)

    return turned(x, s), lambda dy: (turned(dy, -s),)


# Recurrent layers


def rnn_step(x: Array, h: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, Backward]:
    """One tanh."""
    y = np.tanh(x @ Wx + h @ Wh + b)

    def backward(dy: Array) -> tuple[Array, ...]:
        da = dy * (1 - y * y)
        return da @ Wx.T, da @ Wh.T, x.T @ da, h.T @ da, da.sum(axis=0)

    return y, backward


def rnn(x: Array, h: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, Backward]:
    """Back through time: every h gets its own dy and what comes from the step after."""
    steps: list[Backward] = []
    y = np.empty((*x.shape[:2], h.shape[1]), x.dtype)
    for t in range(x.shape[1]):
        h, backward_of_step = rnn_step(x[:, t], h, Wx, Wh, b)
        y[:, t] = h
        steps.append(backward_of_step)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx, dh = np.zeros_like(x), np.zeros_like(dy[:, 0])
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        for t in reversed(range(len(steps))):
            dx[:, t], dh, *rest = steps[t](dy[:, t] + dh)
            for total, one in zip((dWx, dWh, db), rest, strict=True):
                np.add(total, one, out=total)
        return dx, dh, dWx, dWh, db

    return y, backward


def lstm_step(
    x: Array, h: Array, c: Array, Wx: Array, Wh: Array, b: Array, *, gates: str
) -> tuple[tuple[Array, Array], Backward]:
    """Four blocks of columns."""
    blocks = dict(zip(gates, np.split(x @ Wx + h @ Wh + b, 4, axis=1), strict=True))
    i, f, o = (logistic(blocks[gate]) for gate in "ifo")
    g = np.tanh(blocks["g"])
    c_next = f * c + i * g
    t = np.tanh(c_next)

    def backward(dy: tuple[Array, Array]) -> tuple[Array, ...]:
        dh, dc = dy
        dc = dc + dh * o * (1 - t * t)
        da = {
            "i": dc * g * i * (1 - i),
            "f": dc * c * f * (1 - f),
            "o": dh * t * o * (1 - o),
            "g": dc * i * (1 - g * g),
        }
        d = np.hstack([da[gate] for gate in gates])
        return d @ Wx.T, d @ Wh.T, dc * f, x.T @ d, h.T @ d, d.sum(axis=0)

    return (o * t, c_next), backward


def lstm(x: Array, h: Array, Wx: Array, Wh: Array, b: Array, *, gates: str) -> tuple[Array, Backward]:
    """Back through time with two states."""
    steps: list[Backward] = []
    c, y = np.zeros_like(h), np.empty((*x.shape[:2], h.shape[1]), x.dtype)
    for t in range(x.shape[1]):
        (h, c), backward_of_step = lstm_step(x[:, t], h, c, Wx, Wh, b, gates=gates)
        y[:, t] = h
        steps.append(backward_of_step)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx, dh, dc = np.zeros_like(x), np.zeros_like(dy[:, 0]), np.zeros_like(dy[:, 0])
        dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
        for t in reversed(range(len(steps))):
            dx[:, t], dh, dc, *rest = steps[t]((dy[:, t] + dh, dc))
            for total, one in zip((dWx, dWh, db), rest, strict=True):
                np.add(total, one, out=total)
        return dx, dh, dWx, dWh, db

    return y, backward


def gru_step(x: Array, h: Array, Wx: Array, Wh: Array, b: Array, *, reset: str) -> tuple[Array, Backward]:
    """Reset after the product with h, or before it."""
    xr, xz, xn = np.split(x @ Wx + b, 3, axis=1)
    Wr, Wz, Wn = np.split(Wh, 3, axis=1)
    r, z = logistic(xr + h @ Wr), logistic(xz + h @ Wz)
    hn = h @ Wn  # used where the reset comes after
    n = np.tanh(xn + (r * hn if reset == "after" else (r * h) @ Wn))

    def backward(dy: Array) -> tuple[Array, ...]:
        dz, dn = dy * (h - n) * z * (1 - z), dy * (1 - z) * (1 - n * n)
        if reset == "after":
            dr, through_n, dWn = dn * hn, (dn * r) @ Wn.T, h.T @ (dn * r)
        else:
            drh = dn @ Wn.T
            dr, through_n, dWn = drh * h, drh * r, (r * h).T @ dn
        dr = dr * r * (1 - r)
        dh = dy * z + through_n + dr @ Wr.T + dz @ Wz.T
        d = np.hstack([dr, dz, dn])
        return d @ Wx.T, dh, x.T @ d, np.hstack([h.T @ dr, h.T @ dz, dWn]), d.sum(axis=0)

    return (1 - z) * n + z * h, backward


# Arrays


def embedding(x: Array, W: Array) -> tuple[Array, Backward]:
    """Rows that occur twice get both gradients."""

    def backward(dy: Array) -> tuple[Array]:
        dW = np.zeros_like(W)
        np.add.at(dW, x, dy)
        return (dW,)

    return W[x], backward


def embedding_by_onehot(x: Array, W: Array) -> tuple[Array, Backward]:
    """A product with a matrix of ones and zeros."""
    onehot = (x.reshape(-1, 1) == np.arange(len(W))).astype(W.dtype)  # (n t, v)
    y = (onehot @ W).reshape(*x.shape, W.shape[1])
    return y, lambda dy: (onehot.T @ dy.reshape(-1, W.shape[1]),)


def gather(x: Array, labels: Array) -> tuple[Array, Backward]:
    """Entry by entry."""

    def backward(dy: Array) -> tuple[Array]:
        dx = np.zeros_like(x)
        for i, j in np.ndindex(labels.shape):
            dx[i, labels[i, j]] += dy[i, j]
        return (dx,)

    return np.take_along_axis(x, labels, axis=1), backward


def index_add(y: Array, labels: Array, x: Array) -> tuple[Array, Backward]:
    """Rows are added, and their gradients fetched."""
    total = y.copy()
    np.add.at(total, labels, x)
    return total, lambda dy: (dy, dy[labels])


def dropout(x: Array, mask: Array, *, rate: float) -> tuple[Array, Backward]:
    """The same mask."""
    scaled = (mask / (1 - rate)).astype(x.dtype)
    return x * scaled, lambda dy: (dy * scaled,)


def add(x: Array, b: Array) -> tuple[Array, Backward]:
    """B was used in every row."""
    return x + b, lambda dy: (dy, dy.sum(axis=0))


def multiply(x: Array, z: Array) -> tuple[Array, Backward]:
    """Each times the other."""
    return x * z, lambda dy: (dy * z, (dy * x).sum(axis=0))


def divide(x: Array, z: Array) -> tuple[Array, Backward]:
    """The rule of quotients."""
    return x / z, lambda dy: (dy / z, -dy * x / z**2)


def power(x: Array, p: Array) -> tuple[Array, Backward]:
    """By powers and logarithms."""
    return x**p, lambda dy: (dy * p * x ** (p - 1), dy * x**p * np.log(x))


def variance(x: Array, *, ddof: int) -> tuple[Array, Backward]:
    """2 (x - μ) over the number."""
    centred = x - x.mean(axis=1, keepdims=True)
    over = x.shape[1] - ddof
    return (centred**2).sum(axis=1) / over, lambda dy: (dy[:, None] * 2 * centred / over,)


def standard_deviation(x: Array, *, ddof: int) -> tuple[Array, Backward]:
    """(x - μ)/s over the number."""
    centred = x - x.mean(axis=1, keepdims=True)
    over = x.shape[1] - ddof
    s = np.sqrt((centred**2).sum(axis=1) / over)
    return s, lambda dy: ((dy / s)[:, None] * centred / over,)


def norm(x: Array) -> tuple[Array, Backward]:
    """The direction."""
    y = np.sqrt((x**2).sum(axis=1))
    return y, lambda dy: (x * (dy / y)[:, None],)


def prod(x: Array) -> tuple[Array, Backward]:
    """The product over the factor."""
    y = x.prod(axis=1)
    return y, lambda dy: ((dy * y)[:, None] / x,)


def prod_of_others(x: Array) -> tuple[Array, Backward]:
    """The product of the others, one factor left out at a time."""

    def backward(dy: Array) -> tuple[Array]:
        others = [np.delete(x, j, axis=1).prod(axis=1) for j in range(x.shape[1])]
        return (dy[:, None] * np.stack(others, axis=1),)

    return x.prod(axis=1), backward


def cumsum(x: Array) -> tuple[Array, Backward]:
    """A cumulative sum from the end."""
    return np.cumsum(x, axis=1), lambda dy: (np.cumsum(dy[:, ::-1], axis=1)[:, ::-1],)


def cumsum_by_total(x: Array) -> tuple[Array, Backward]:
    """The total less what came before."""

    def backward(dy: Array) -> tuple[Array]:
        return (dy.sum(axis=1, keepdims=True) - np.cumsum(dy, axis=1) + dy,)

    return np.cumsum(x, axis=1), backward


def sort(x: Array) -> tuple[Array, Backward]:
    """Back to where they came from."""
    order = np.argsort(x, axis=1, kind="stable")

    def backward(dy: Array) -> tuple[Array]:
        dx = np.empty_like(x)
        np.put_along_axis(dx, order, dy, axis=1)
        return (dx,)

    return np.take_along_axis(x, order, axis=1), backward


def maximum(x: Array, z: Array) -> tuple[Array, Backward]:
    """A mask and its opposite."""
    first = x >= z
    return np.maximum(x, z), lambda dy: (dy * first, dy * ~first)


def max_along(x: Array) -> tuple[Array, Backward]:
    """The place of the largest."""

    def backward(dy: Array) -> tuple[Array]:
        dx = np.zeros_like(x)
        dx[np.arange(len(x)), x.argmax(axis=1)] = dy
        return (dx,)

    return x.max(axis=1), backward


def cosine_similarity(x: Array, z: Array) -> tuple[Array, Backward]:
    """Through the product and both norms."""
    nx, nz = np.sqrt((x * x).sum(axis=1)), np.sqrt((z * z).sum(axis=1))
    y = (x * z).sum(axis=1) / (nx * nz)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx = z / (nx * nz)[:, None] - x * (y / nx**2)[:, None]
        dz = x / (nx * nz)[:, None] - z * (y / nz**2)[:, None]
        return dy[:, None] * dx, dy[:, None] * dz

    return y, backward


def squared_distances(x: Array, z: Array) -> tuple[Array, Backward]:
    """Sums of rows and of columns, without an array of all differences."""
    y = np.stack([((x - one) ** 2).sum(axis=1) for one in z], axis=1)

    def backward(dy: Array) -> tuple[Array, ...]:
        dx = np.einsum("ij,ijd->id", 2 * dy, x[:, None] - z)
        return dx, np.einsum("ij,ijd->jd", 2 * dy, z - x[:, None])

    return y, backward


def matmul(A: Array, B: Array) -> tuple[Array, Backward]:
    """The other's transpose."""
    return A @ B, lambda dy: (dy @ B.T, A.T @ dy)


def batched_matmul(A: Array, B: Array) -> tuple[Array, Backward]:
    """The same for each sample."""
    return A @ B, lambda dy: (dy @ np.swapaxes(B, 1, 2), np.swapaxes(A, 1, 2) @ dy)


def bilinear_form(x: Array, A: Array, z: Array) -> tuple[Array, Backward]:
    """Three factors."""

    def backward(dy: Array) -> tuple[Array, ...]:
        d = dy[:, None]
        return d * (z @ A.T), (d * x).T @ z, d * (x @ A)

    return ((x @ A) * z).sum(axis=1), backward


def solve(a: Array, b: Array) -> tuple[Array, Backward]:
    """A system with the transpose, and an outer product."""
    x = np.linalg.solve(a, b)

    def backward(dx: Array) -> tuple[Array, ...]:
        db = np.linalg.solve(a.T, dx)
        return -db @ x.T, db

    return x, backward


def solve_by_inverse(a: Array, b: Array) -> tuple[Array, Backward]:
    """A product with the inverse, which is kept."""
    inverse = np.linalg.inv(a)
    x = inverse @ b
    return x, lambda dx: (-(inverse.T @ dx) @ x.T, inverse.T @ dx)


def inv(a: Array) -> tuple[Array, Backward]:
    """-A⁻ᵀ dY A⁻ᵀ."""
    inverse = np.linalg.inv(a)
    return inverse, lambda dy: (-inverse.T @ dy @ inverse.T,)


def det(a: Array) -> tuple[Array, Backward]:
    """δ A⁻ᵀ."""
    found = np.linalg.det(a)
    return found, lambda dy: (dy * found * np.linalg.inv(a).T,)


def log_abs_det(a: Array) -> tuple[Array, Backward]:
    """A⁻ᵀ."""
    return np.linalg.slogdet(a)[1], lambda dy: (dy * np.linalg.inv(a).T,)


def log_abs_det_by_factors(a: Array) -> tuple[Array, Backward]:
    """The pivots of a decomposition into an orthogonal matrix and a triangle."""
    q, r = np.linalg.qr(a)
    return np.log(np.abs(np.diag(r))).sum(), lambda dy: (dy * q @ np.linalg.inv(r).T,)


BY_HAND: Mapping[str, tuple[ByHand, ...]] = {
    "dense": (dense, dense_by_samples),
    "dense_without_bias": (dense_without_bias,),
    "dense_of_images": (dense_of_images,),
    "linear": (linear,),
    "bilinear": (bilinear,),
    "residual": (residual,),
    "tied_weights": (tied_weights,),
    "tanh": (tanh, tanh_by_cosh),
    "sigmoid": (sigmoid, sigmoid_by_exponential),
    "log_sigmoid": (log_sigmoid,),
    "softplus": (softplus, softplus_by_log1p),
    "relu": (relu,),
    "leaky_relu": (leaky_relu,),
    "elu": (elu,),
    "gelu": (gelu,),
    "gelu_tanh": (gelu_tanh,),
    "silu": (silu, silu_from_value),
    "mish": (mish,),
    "hard_swish": (hard_swish,),
    "swiglu": (swiglu,),
    "softmax": (softmax, softmax_by_jacobian),
    "log_softmax": (log_softmax,),
    "logsumexp": (logsumexp,),
    "mse": (mse,),
    "half_sse": (half_sse,),
    "huber": (huber,),
    "cross_entropy": (cross_entropy,),
    "softmax_cross_entropy": (softmax_cross_entropy,),
    "weighted_cross_entropy": (weighted_cross_entropy,),
    "label_smoothing_cross_entropy": (label_smoothing_cross_entropy,),
    "focal": (focal,),
    "binary_cross_entropy": (binary_cross_entropy,),
    "mean_binary_cross_entropy": (mean_binary_cross_entropy,),
    "hinge": (hinge,),
    "multiclass_hinge": (multiclass_hinge,),
    "soft_dice": (soft_dice,),
    "l2_penalty": (l2_penalty,),
    "temporal_softmax_loss": (temporal_softmax_loss,),
    "layer_norm": (layer_norm, layer_norm_by_steps),
    "batch_norm": (batch_norm, batch_norm_by_steps),
    "spatial_batch_norm": (spatial_batch_norm,),
    "group_norm": (group_norm,),
    "instance_norm": (instance_norm,),
    "rms_norm": (rms_norm,),
    "l2_normalise": (l2_normalise,),
    "conv2d": (conv2d, conv2d_by_offsets),
    "conv1d": (conv1d,),
    "conv_transpose2d": (conv_transpose2d,),
    "max_pool2d": (max_pool2d,),
    "average_pool2d": (average_pool2d,),
    "attention": (attention, attention_recomputed),
    "masked_attention": (masked_attention,),
    "causal_attention": (causal_attention,),
    "causal_attention_with_past": (causal_attention,),
    "multi_head_attention": (multi_head_attention,),
    "rotary": (rotary,),
    "rnn_step": (rnn_step,),
    "rnn": (rnn,),
    "lstm_step": (lstm_step,),
    "lstm": (lstm,),
    "gru_step": (gru_step,),
    "embedding": (embedding, embedding_by_onehot),
    "gather": (gather,),
    "index_add": (index_add,),
    "dropout": (dropout,),
    "add": (add,),
    "multiply": (multiply,),
    "divide": (divide,),
    "power": (power,),
    "variance": (variance,),
    "standard_deviation": (standard_deviation,),
    "norm": (norm,),
    "prod": (prod, prod_of_others),
    "cumsum": (cumsum, cumsum_by_total),
    "sort": (sort,),
    "maximum": (maximum,),
    "max": (max_along,),
    "cosine_similarity": (cosine_similarity,),
    "squared_distances": (squared_distances,),
    "matmul": (matmul,),
    "batched_matmul": (batched_matmul,),
    "bilinear_form": (bilinear_form,),
    "solve": (solve, solve_by_inverse),
    "inv": (inv,),
    "det": (det,),
    "log_abs_det": (log_abs_det, log_abs_det_by_factors),
}
"""By the name of the operation."""
