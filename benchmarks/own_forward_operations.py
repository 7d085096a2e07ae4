"""Operations in NumPy with right hand-written derivatives, for `own-forward`: what people write."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

A = Any  # an array of any shape
Backward = Callable[..., Sequence[A]]


@dataclass(frozen=True)
class Written:
    """A forward pass and its derivative, as somebody would write them.

    Attributes:
        name: what it is.
        inputs: for each input its kind and shape: "real 3 4", "positive 3", "unit 3", "onehot 3 4", "labels 3 4"
            (three labels below 4); those of the last two kinds have no derivative.
        forward: (*inputs) to y.
        backward: (dy, *inputs) to a gradient for each input that has one.
        bounded: the largest size of the inputs that the program is meant for; 1e4 where it takes any.
        smooth: whether it has no kinks.
    """

    name: str
    inputs: tuple[str, ...]
    forward: Callable[..., A]
    backward: Backward
    bounded: float = 1e4
    smooth: bool = True


def sigmoid(x: A) -> A:
    """1 / (1 + e^-x) without overflow."""
    e = np.exp(-abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def elementwise(
    name: str, f: Callable[[A], A], df: Callable[[A], A], kind: str = "real", **more: Any
) -> Written:
    """An operation y = f(x), entry by entry."""
    return Written(name, (f"{kind} 3 2",), f, lambda dy, x: (dy * df(x),), **more)


def softmax(x: A) -> A:
    """Along the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def d_softmax(dy: A, p: A) -> A:
    """From the probabilities."""
    return p * (dy - (dy * p).sum(axis=-1, keepdims=True))


_ROOT = math.sqrt(2 / math.pi)


def gelu(x: A) -> A:
    """By its tanh approximation."""
    return 0.5 * x * (1 + np.tanh(_ROOT * (x + 0.044715 * x**3)))


def d_gelu(x: A) -> A:
    """0.5 (1 + t) + 0.5 x (1 - t²) u', with 1 - t² = 4 s(2u) s(-2u)."""
    u = _ROOT * (x + 0.044715 * x**3)
    return sigmoid(2 * u) + 2 * x * sigmoid(2 * u) * sigmoid(-2 * u) * _ROOT * (1 + 3 * 0.044715 * x**2)


def log_softmax(x: A) -> A:
    """Along the last axis."""
    z = x - x.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def cross_entropy(x: A, labels: A) -> A:
    """Mean over the rows."""
    return -log_softmax(x)[np.arange(len(x)), labels].mean()


def d_cross_entropy(dy: A, x: A, labels: A) -> Sequence[A]:
    """Probabilities less the one-hot labels, over n."""
    p = softmax(x)
    p[np.arange(len(x)), labels] = -(p.sum(axis=1) - p[np.arange(len(x)), labels])
    return (dy * p / len(x),)


def norm_over(axis: int, *, centred: bool, eps: float = 1e-5) -> tuple[Callable[..., A], Backward]:
    """Layer norm (axis 1), batch norm (axis 0), RMS norm (not centred), with gain and shift."""

    def parts(x: A) -> tuple[A, A]:
        c = x - x.mean(axis=axis, keepdims=True) if centred else x
        s = np.sqrt((c**2).mean(axis=axis, keepdims=True) + eps)
        return c / s, s

    def forward(x: A, gain: A, shift: A) -> A:
        return parts(x)[0] * gain + shift

    def backward(dy: A, x: A, gain: A, shift: A) -> Sequence[A]:
        h, s = parts(x)
        dh = dy * gain
        dx = dh - h * (dh * h).mean(axis=axis, keepdims=True)
        if centred:
            dx = dx - dh.mean(axis=axis, keepdims=True)
        return dx / s, (dy * h).sum(axis=0), dy.sum(axis=0) + 0 * shift

    return forward, backward


def attention(q: A, k: A, v: A) -> A:
    """One head."""
    return softmax(q @ k.T / math.sqrt(q.shape[1])) @ v


def d_attention(dy: A, q: A, k: A, v: A) -> Sequence[A]:
    """Through the softmax."""
    p = softmax(q @ k.T / math.sqrt(q.shape[1]))
    ds = d_softmax(dy @ v.T, p) / math.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, p.T @ dy


def lstm_gates(x: A, h: A, W: A, U: A) -> list[A]:
    """i, f, o, g, each (n, k)."""
    i, f, o, g = np.split(x @ W + h @ U, 4, axis=1)
    return [sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)]


def lstm(x: A, h: A, c: A, W: A, U: A) -> A:
    """The next h."""
    i, f, o, g = lstm_gates(x, h, W, U)
    return o * np.tanh(f * c + i * g)


def d_lstm(dy: A, x: A, h: A, c: A, W: A, U: A) -> Sequence[A]:
    """Gate by gate; the slopes of the gates without cancellation."""
    i, f, o, g = lstm_gates(x, h, W, U)
    zi, zf, zo, zg = np.split(x @ W + h @ U, 4, axis=1)
    s = f * c + i * g
    ds = dy * o * 4 * sigmoid(2 * s) * sigmoid(-2 * s)
    dz = np.concatenate(
        [
            ds * g * i * sigmoid(-zi),
            ds * c * f * sigmoid(-zf),
            dy * np.tanh(s) * o * sigmoid(-zo),
            ds * i * 4 * sigmoid(2 * zg) * sigmoid(-2 * zg) + 0 * zo,
        ],
        axis=1,
    )
    return dz @ W.T, dz @ U.T, ds * f, x.T @ dz, h.T @ dz


def ordered_logit(x: A, cuts: A, labels: A) -> A:
    """-Σ log [σ(c_k - x) - σ(c_k-1 - x)] with three ordered classes: c₀ and c₀ + e^c₁ are the cuts."""
    low, high = cuts[0] - x, cuts[0] + np.exp(cuts[1]) - x
    # log(σ(h) - σ(l)) = log σ(h) + log σ(-l) + log(1 - e^(l - h))
    between = -np.logaddexp(0, -high) - np.logaddexp(0, low) + np.log(-np.expm1(low - high))
    return -np.choose(labels, [-np.logaddexp(0, -low), between, -np.logaddexp(0, high)]).sum()


def d_ordered_logit(dy: A, x: A, cuts: A, labels: A) -> Sequence[A]:
    """The same terms."""
    gap = np.exp(cuts[1])
    low, high = cuts[0] - x, cuts[0] + gap - x
    inside = 1 / np.expm1(gap)
    d_low = np.choose(labels, [sigmoid(-low), -sigmoid(low) - inside, 0 * x])
    d_high = np.choose(labels, [0 * x, sigmoid(-high) + inside, -sigmoid(high)])
    return dy * (d_low + d_high), -dy * np.array([(d_low + d_high).sum(), (d_high * gap).sum()])


def mixture_parts(x: A, weights: A, means: A, logs: A) -> A:
    """log w_k + log N(x_i; m_k, s_k), (n, k)."""
    z = (x[:, None] - means) * np.exp(-logs)
    return log_softmax(weights) - z**2 / 2 - logs


def mixture(x: A, weights: A, means: A, logs: A) -> A:
    """-Σ_i log Σ_k w_k N(x_i; m_k, s_k)."""
    parts = mixture_parts(x, weights, means, logs)
    top = parts.max(axis=1, keepdims=True)
    return -(top[:, 0] + np.log(np.exp(parts - top).sum(axis=1))).sum()


def d_mixture(dy: A, x: A, weights: A, means: A, logs: A) -> Sequence[A]:
    """By the responsibilities."""
    r = softmax(mixture_parts(x, weights, means, logs))
    z = (x[:, None] - means) * np.exp(-logs)
    slope = r * z * np.exp(-logs)
    return (
        dy * slope.sum(axis=1),
        -dy * (r - softmax(weights)).sum(axis=0),
        -dy * slope.sum(axis=0),
        -dy * (r * (z**2 - 1)).sum(axis=0),
    )


def d_distances(dy: A, x: A, y: A) -> Sequence[A]:
    """Of Euclidean distances, (n, m)."""
    difference = x[:, None] - y[None]
    distance = np.sqrt((difference**2).sum(axis=-1, keepdims=True))
    slope = dy[..., None] * difference / distance
    return slope.sum(axis=1), -slope.sum(axis=0)


def cosine(x: A, y: A) -> A:
    """Of each row."""
    return (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))


def d_cosine(dy: A, x: A, y: A) -> Sequence[A]:
    """The other's direction, less its part along one's own."""
    lengths = [np.sqrt((z**2).sum(axis=1, keepdims=True)) for z in (x, y)]
    u, v = x / lengths[0], y / lengths[1]
    c = (u * v).sum(axis=1, keepdims=True)
    return dy[:, None] * (v - c * u) / lengths[0], dy[:, None] * (u - c * v) / lengths[1]


def d_sort(dy: A, x: A) -> Sequence[A]:
    """Back to where each came from."""
    dx = np.zeros_like(x)
    np.put_along_axis(dx, x.argsort(axis=1), dy, axis=1)
    return (dx,)


def d_prod(dy: A, x: A) -> Sequence[A]:
    """The product of the others."""
    others = np.where(np.eye(x.shape[1], dtype=bool), 1, x[:, None, :]).prod(axis=2)
    return (dy[:, None] * others,)


def windows(x: A) -> A:
    """Three wide, two apart, (n, windows, 3)."""
    return np.lib.stride_tricks.sliding_window_view(x, 3, axis=1)[:, ::2]


def d_max_pool(dy: A, x: A) -> Sequence[A]:
    """To the first largest of each window."""
    dx = np.zeros_like(x)
    best = windows(x).argmax(axis=2) + 2 * np.arange(dy.shape[1])
    np.add.at(dx, (np.arange(len(x))[:, None], best), dy)
    return (dx,)


def d_average_of_ties(dy: A, x: A) -> Sequence[A]:
    """Of the largest entry: an even split."""
    best = x == x.max(axis=1, keepdims=True)
    return (dy[:, None] * best / best.sum(axis=1, keepdims=True),)


def conv(x: A, k: A) -> A:
    """1-D, stride 2, without padding."""
    return windows(x) @ k


def d_conv(dy: A, x: A, k: A) -> Sequence[A]:
    """Windows overlap."""
    dx = np.zeros_like(x)
    for w in range(dy.shape[1]):
        dx[:, 2 * w : 2 * w + 3] += dy[:, w : w + 1] * k
    return dx, (dy[..., None] * windows(x)).sum(axis=(0, 1))


def d_embedding(dy: A, table: A, labels: A) -> Sequence[A]:
    """Repeated labels add up."""
    d_table = np.zeros_like(table)
    np.add.at(d_table, labels, dy)
    return (d_table,)


def rotated(q: A, v: A) -> A:
    """The vector v turned by the quaternion q of any length: v + 2 w (u × v) + 2 u × (u × v)."""
    w, u = q[0], q[1:]
    return (w**2 - u @ u) * v + 2 * (u @ v) * u + 2 * w * np.cross(u, v)


def d_rotated(dy: A, q: A, v: A) -> Sequence[A]:
    """Term by term."""
    w, u = q[0], q[1:]
    dw = 2 * (w * (v @ dy) + dy @ np.cross(u, v))
    du = 2 * (-(v @ dy) * u + (u @ v) * dy + (u @ dy) * v + w * np.cross(v, dy))
    dv = (w**2 - u @ u) * dy + 2 * (u @ dy) * u + 2 * w * np.cross(dy, u)
    return np.array([dw, *du]), dv


def arm(angles: A, lengths: A, target: A) -> A:
    """Where a planar arm's hand is, less where it should be."""
    total = angles.cumsum()
    return np.array([(lengths * np.cos(total)).sum(), (lengths * np.sin(total)).sum()]) - target


def d_arm(dy: A, angles: A, lengths: A, target: A) -> Sequence[A]:
    """A joint turns all that follow."""
    total = angles.cumsum()
    d_total = lengths * (dy[1] * np.cos(total) - dy[0] * np.sin(total))
    return d_total[::-1].cumsum()[::-1], dy[0] * np.cos(total) + dy[1] * np.sin(total), -dy + 0 * target


def bearing(pose: A, mark: A) -> A:
    """The range and the bearing of a landmark from a pose (x, y, heading)."""
    dx, dy = mark - pose[:2]
    return np.array([math.hypot(dx, dy), math.atan2(dy, dx) - pose[2]])


def d_bearing(dy: A, pose: A, mark: A) -> Sequence[A]:
    """By the landmark, and the opposite by the place."""
    delta = mark - pose[:2]
    r = math.hypot(*delta)
    d_mark = dy[0] * delta / r + dy[1] * np.array([-delta[1] / r, delta[0] / r]) / r
    return np.array([*-d_mark, -dy[1]]), d_mark


def d_solve(dy: A, M: A, b: A) -> Sequence[A]:
    """Of x = (M Mᵀ + I)⁻¹ b."""
    S = M @ M.T + np.eye(len(M))
    x, db = np.linalg.solve(S, b), np.linalg.solve(S, dy)
    return -(np.outer(db, x) + np.outer(x, db)) @ M, db


def student(x: A, scale: A) -> A:
    """-Σ log of Student's t with 3 degrees, up to a constant."""
    return (2 * np.log1p((x / scale) ** 2 / 3) + np.log(scale)).sum()


def d_student(dy: A, x: A, scale: A) -> Sequence[A]:
    """The slope falls off for far x."""
    z = x / scale
    slope = 4 * z / (3 + z**2)
    return dy * slope / scale, dy * (1 - slope * z) / scale


def d_hinge(dy: A, x: A, labels: A) -> Sequence[A]:
    """Crammer and Singer's: Σ_i Σ_j max(0, x_ij - x_iy + 1)."""
    rows = np.arange(len(x))
    over = (x - x[rows, labels][:, None] + 1 > 0).astype(x.dtype)
    over[rows, labels] = 0
    over[rows, labels] = -over.sum(axis=1)
    return (dy * over,)


def hinge(x: A, labels: A) -> A:
    """See `d_hinge`."""
    rows = np.arange(len(x))
    margins = np.maximum(0, x - x[rows, labels][:, None] + 1)
    margins[rows, labels] = 0
    return margins.sum()


def d_mlp(dy: A, x: A, W: A, b: A, V: A) -> Sequence[A]:
    """Of relu(x W + b) V."""
    z = x @ W + b
    dz = dy @ V.T * (z > 0)
    return dz @ W.T, x.T @ dz, dz.sum(axis=0), np.maximum(z, 0).T @ dy


def _lse(x: A) -> A:
    top = x.max(axis=1)
    return top + np.log(np.exp(x - top[:, None]).sum(axis=1))


_LAYER, _BATCH = norm_over(1, centred=True), norm_over(0, centred=True)
_RMS, _SHAPES = norm_over(1, centred=False), ("real 3 4", "real 4", "real 4")

OPERATIONS: tuple[Written, ...] = (
    elementwise("tanh", np.tanh, lambda x: 4 * sigmoid(2 * x) * sigmoid(-2 * x)),
    elementwise("sigmoid", sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    elementwise("softplus", lambda x: np.logaddexp(0, x), sigmoid),
    elementwise("gelu", gelu, d_gelu),
    elementwise("relu", lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0, smooth=False),
    elementwise(
        "leaky relu", lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1, 0.01), smooth=False
    ),
    elementwise(
        "elu",
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, 1, np.exp(np.minimum(x, 0))),
        smooth=False,
    ),
    elementwise("clip", lambda x: np.clip(x, -1, 1), lambda x: (abs(x) < 1) * 1.0, smooth=False),
    elementwise("absolute", abs, np.sign, smooth=False),
    elementwise(
        "huber",
        lambda x: np.where(abs(x) < 1, x**2 / 2, abs(x) - 0.5),
        lambda x: np.clip(x, -1, 1),
        smooth=False,
    ),
    elementwise("log", np.log, lambda x: 1 / x, "positive"),
    elementwise("sqrt", np.sqrt, lambda x: 0.5 / np.sqrt(x), "positive"),
    elementwise("reciprocal", lambda x: 1 / x, lambda x: -1 / x**2),
    elementwise("logit", lambda x: np.log(x) - np.log1p(-x), lambda x: 1 / (x * (1 - x)), "unit"),
    elementwise("sine", np.sin, np.cos),
    Written(
        "affine",
        ("real 2 3", "real 3 2", "real 2"),
        lambda x, W, b: x @ W + b,
        lambda dy, x, W, b: (dy @ W.T, x.T @ dy, dy.sum(axis=0)),
    ),
    Written(
        "relu network",
        ("real 2 3", "real 3 3", "real 3", "real 3 2"),
        lambda x, W, b, V: np.maximum(x @ W + b, 0) @ V,
        d_mlp,
        smooth=False,
    ),
    Written("softmax", ("real 2 4",), softmax, lambda dy, x: (d_softmax(dy, softmax(x)),)),
    Written(
        "log-softmax",
        ("real 2 4",),
        log_softmax,
        lambda dy, x: (dy - softmax(x) * dy.sum(axis=1, keepdims=True),),
    ),
    Written("logsumexp", ("real 3 4",), _lse, lambda dy, x: (dy[:, None] * softmax(x),)),
    Written("cross-entropy", ("real 3 4", "labels 3 4"), cross_entropy, d_cross_entropy),
    Written(
        "mean squared error",
        ("real 3 2", "real 3 2"),
        lambda x, y: ((x - y) ** 2).mean(),
        lambda dy, x, y: (2 * dy * (x - y) / x.size, -2 * dy * (x - y) / x.size),
    ),
    Written("hinge", ("real 3 4", "labels 3 4"), hinge, d_hinge, smooth=False),
    Written("layer norm", _SHAPES, *_LAYER),
    Written("batch norm", _SHAPES, *_BATCH),
    Written("rms norm", _SHAPES, *_RMS),
    Written(
        "euclidean norm",
        ("real 3 4",),
        lambda x: np.sqrt((x**2).sum(axis=1)),
        lambda dy, x: (dy[:, None] * x / np.sqrt((x**2).sum(axis=1, keepdims=True)),),
    ),
    Written("cosine similarity", ("real 2 3", "real 2 3"), cosine, d_cosine),
    Written(
        "distances",
        ("real 3 2", "real 2 2"),
        lambda x, y: np.sqrt(((x[:, None] - y[None]) ** 2).sum(axis=-1)),
        d_distances,
    ),
    Written("attention", ("real 2 3", "real 3 3", "real 3 2"), attention, d_attention),
    Written("LSTM step", ("real 1 2", "real 1 2", "real 1 2", "real 2 8", "real 2 8"), lstm, d_lstm),
    Written(
        "Poisson likelihood",
        ("real 2 3", "real 3", "counts 2"),
        lambda x, w, k: (np.exp(x @ w) - k * (x @ w)).sum(),
        lambda dy, x, w, k: (dy * np.outer(np.exp(x @ w) - k, w), dy * (np.exp(x @ w) - k) @ x),
        bounded=3.0,
    ),
    Written(
        "gamma likelihood",
        ("positive 4", "positive 4"),
        lambda y, mean: (1.7 * (y / mean + np.log(mean)) - 0.7 * np.log(y)).sum(),
        lambda dy, y, mean: (dy * (1.7 / mean - 0.7 / y), dy * 1.7 * (1 / mean - y / mean**2)),
    ),
    Written(
        "ordered logit", ("real 4", "real 2", "labels 4 3"), ordered_logit, d_ordered_logit, bounded=30.0
    ),
    Written("Gaussian mixture", ("real 3", "real 2", "real 2", "real 2"), mixture, d_mixture, bounded=5.0),
    Written("Student likelihood", ("real 4", "positive 4"), student, d_student),
    Written("sort", ("real 2 4",), lambda x: np.sort(x, axis=1), d_sort, smooth=False),
    Written(
        "cumulative sum",
        ("real 2 4",),
        lambda x: x.cumsum(axis=1),
        lambda dy, x: (dy[:, ::-1].cumsum(axis=1)[:, ::-1] + 0 * x,),
    ),
    Written("product", ("real 2 4",), lambda x: x.prod(axis=1), d_prod),
    Written("max pooling", ("real 2 7",), lambda x: windows(x).max(axis=2), d_max_pool, smooth=False),
    Written("largest", ("real 2 4",), lambda x: x.max(axis=1), d_average_of_ties, smooth=False),
    Written("convolution", ("real 2 7", "real 3"), conv, d_conv),
    Written("embedding", ("real 4 2", "labels 5 4"), lambda table, labels: table[labels], d_embedding),
    Written("quaternion rotation", ("real 4", "real 3"), rotated, d_rotated),
    Written("planar arm", ("real 3", "real 3", "real 2"), arm, d_arm),
    Written("range and bearing", ("real 3", "real 2"), bearing, d_bearing),
    Written(
        "regularised solve",
        ("real 3 3", "real 3"),
        lambda M, b: np.linalg.solve(M @ M.T + np.eye(len(M)), b),
        d_solve,
        bounded=30.0,
    ),
    Written(
        "log-determinant",
        ("real 3 3",),
        lambda M: np.linalg.slogdet(M @ M.T + np.eye(len(M)))[1],
        lambda dy, M: (2 * dy * np.linalg.solve(M @ M.T + np.eye(len(M)), M),),
        bounded=30.0,
    ),
)

BY_NAME: Mapping[str, Written] = {one.name: one for one in OPERATIONS}
