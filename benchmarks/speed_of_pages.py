"""How fast are pages that are written to be read? Forward and backward beside jitted JAX and torch's own operations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import jax
import numpy as np

from benchmarks.report import Table
from benchmarks.timing import medians
from manual_backprop.activations import Array
from manual_backprop.mistakes.operations import passes
from manual_backprop.operations import attention, conv2d, conv2d_im2col, layer_norm, lstm
from reference.operations import KNOWN

ROUNDS = 40
PEERS = ("jax.vjp, jitted", "torch")
COLUMNS = ("page", "shapes", "ms page", *(f"ms {name}" for name in PEERS), "page / best peer")
Call = Callable[[], object]
Torch = Callable[[Any, list[Any]], Any]


@dataclass(frozen=True)
class Point:
    """A page with shapes of its inputs, its options by JAX's names, and what torch has for it."""

    page: ModuleType
    operation: str
    known: str
    shapes: Mapping[str, tuple[int, ...]]
    options: dict[str, Any]
    by_torch: Torch


def layer_norm_by_torch(F: Any, given: list[Any]) -> Any:
    """torch.nn.functional.layer_norm."""
    x, gain, shift = given
    return F.layer_norm(x, x.shape[1:], gain, shift, 1e-5)


def conv2d_by_torch(F: Any, given: list[Any]) -> Any:
    """torch.nn.functional.conv2d."""
    return F.conv2d(*given, stride=1, padding=1)


def attention_by_torch(F: Any, given: list[Any]) -> Any:
    """torch.nn.functional.scaled_dot_product_attention."""
    return F.scaled_dot_product_attention(*given)


def lstm_by_torch(F: Any, given: list[Any]) -> Any:
    """torch's own LSTM: the order of its gates is another, which costs nothing."""
    del F
    torch = import_module("torch")
    x, h, Wx, Wh, b = given
    weights = [Wx.T.contiguous(), Wh.T.contiguous(), b, torch.zeros_like(b)]
    state = (h[None], torch.zeros_like(h)[None])
    return torch.lstm(x, state, weights, True, 1, 0.0, True, False, True)[0]  # noqa: FBT003  (by position)


IMAGES = {"x": (8, 16, 32, 32), "W": (32, 16, 3, 3), "b": (32,)}
STEPS = {"x": (32, 20, 64), "h": (32, 128), "Wx": (64, 512), "Wh": (128, 512), "b": (512,)}
TOKENS = dict.fromkeys("qkv", (8, 128, 64))
SAMPLES = {"x": (1024, 256), "gain": (256,), "shift": (256,)}
POINTS = (
    Point(conv2d, "conv2d", "conv2d", IMAGES, {"stride": 1, "padding": 1}, conv2d_by_torch),
    Point(conv2d_im2col, "conv2d_im2col", "conv2d", IMAGES, {"stride": 1, "padding": 1}, conv2d_by_torch),
    Point(layer_norm, "layer_norm", "layer_norm", SAMPLES, {"eps": 1e-5}, layer_norm_by_torch),
    Point(attention, "attention", "attention", TOKENS, {}, attention_by_torch),
    Point(lstm, "lstm", "lstm", STEPS, {}, lstm_by_torch),
)


def by_page(point: Point, given: list[Array], dy: Array) -> Call:
    """The page's two passes, one after the other."""
    forward, backward = passes(point.page, point.operation)

    def call() -> object:
        _, cache = forward(*given, **point.options)
        return backward(dy, cache)

    return call


def by_jax(point: Point, given: list[Array], dy: Array) -> Call:
    """`jax.vjp` of the reference's forward pass, compiled, on arrays that are JAX's already."""
    known = KNOWN[point.known]
    defaults = {name: choices[0] for name, choices in known.options.items()}
    forward = partial(known.forward, **{**defaults, **point.options})

    def both(arrays: Any, cotangent: Any) -> Any:
        y, pull = jax.vjp(forward, *arrays)
        return y, pull(cotangent)

    compiled, placed = jax.jit(both), jax.device_put((given, dy))
    return lambda: jax.block_until_ready(compiled(*placed))


def by_torch(point: Point, given: list[Array], dy: Array) -> Call:
    """torch's own operation and `torch.autograd.grad`, on its own tensors."""
    torch = import_module("torch")
    leaves = [torch.tensor(array, requires_grad=True) for array in given]
    cotangent = torch.tensor(dy)
    return lambda: torch.autograd.grad(point.by_torch(torch.nn.functional, leaves), leaves, cotangent)


def row(point: Point) -> tuple[Any, ...]:
    """The medians of a page and of its peers, taking turns."""
    random = np.random.default_rng(0)
    given = [random.standard_normal(shape).astype(np.float32) / 4 for shape in point.shapes.values()]
    y, _ = passes(point.page, point.operation)[0](*given, **point.options)
    dy = random.standard_normal(y.shape).astype(np.float32)
    calls = {"page": by_page(point, given, dy), PEERS[0]: by_jax(point, given, dy)}
    if find_spec("torch"):
        calls[PEERS[1]] = by_torch(point, given, dy)
    ms = {name: 1e3 * seconds for name, seconds in medians(calls, ROUNDS, settled=True).items()}
    peers = [ms.get(name, "not installed") for name in PEERS]
    best = min(ms[name] for name in PEERS if name in ms)
    shapes = ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in point.shapes.items())
    return point.operation, shapes, ms["page"], *peers, ms["page"] / best


def table() -> Table:
    """A row for each page."""
    note = "forward and backward in float32, medians, taking turns: a page is written to be read"
    return Table("Pages of operations", COLUMNS, [row(point) for point in POINTS], note)
