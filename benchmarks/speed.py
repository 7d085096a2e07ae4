"""How fast is the backward pass by hand? Beside automatic differentiation, and beside its matrix products alone."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import click
import jax
import jax.numpy as jnp
import numpy as np

import manual_backprop
from benchmarks import speed_of_pages
from benchmarks.report import Table, json_option, show
from benchmarks.timing import medians
from manual_backprop.activations import Array
from manual_backprop.network import Parameters

SIZES = (128, 64, 10)
TRAINING_SET = 10_000
"""The vectors that a batch is taken from. Whoever has loaded that much has an allocator that keeps its memory."""
ROUNDS = {1: 400, 32: 300, 1000: 100}
"""The batch sizes, and how many turns every call takes at each."""

Call = Callable[[], object]


def problem(samples: int, dtype: Any) -> tuple[Parameters, Array, Array]:
    """Random parameters, and a batch of a training set: inputs (n, 128), targets (n, 10)."""
    random = np.random.default_rng(0)
    parameters: Parameters = [
        ((random.standard_normal((m, k)) / np.sqrt(m)).astype(dtype), np.zeros(k, dtype))
        for m, k in pairwise(SIZES)
    ]
    inputs, targets = (random.standard_normal((TRAINING_SET, k)).astype(dtype) for k in (128, 10))
    batch = random.permutation(TRAINING_SET)[:samples]
    return parameters, inputs[batch], targets[batch]


def by_jax(parameters: Parameters, inputs: Array, targets: Array) -> Call:
    """`jax.grad` of the loss, compiled, on arrays that are JAX's already."""

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        (W1, b1), (W2, b2) = parameters
        return jnp.mean((jnp.tanh(x @ W1 + b1) @ W2 + b2 - y) ** 2)

    given = jax.device_put((parameters, inputs, targets))
    compiled = jax.jit(jax.grad(loss))

    def gradient() -> object:
        return jax.block_until_ready(compiled(*given))

    return gradient


def by_torch(parameters: Parameters, inputs: Array, targets: Array) -> Call:
    """`torch.autograd.grad` of the loss, with torch's own joint of product and bias, on its own tensors."""
    torch = import_module("torch")
    leaves = [torch.tensor(array, requires_grad=True) for pair in parameters for array in pair]
    x, y = torch.tensor(inputs), torch.tensor(targets)

    def gradient() -> Any:
        W1, b1, W2, b2 = leaves
        o = torch.addmm(b2, torch.tanh(torch.addmm(b1, x, W1)), W2)
        return torch.autograd.grad(torch.nn.functional.mse_loss(o, y), leaves)

    return gradient


def products_alone(parameters: Parameters, inputs: Array, targets: Array) -> Call:
    """The five matrix products and the tanh, into memory that is there: no gradient by NumPy can be faster."""
    (W1, _), (W2, _) = parameters
    x, dz2 = inputs, targets  # of the same shape
    z1, h, dh = (np.empty((len(x), W1.shape[1]), x.dtype) for _ in range(3))
    o, dW1, dW2 = np.empty_like(dz2), np.empty_like(W1), np.empty_like(W2)

    def run() -> None:
        np.matmul(x, W1, out=z1)
        np.tanh(z1, out=h)
        np.matmul(h, W2, out=o)
        np.matmul(h.T, dz2, out=dW2)
        np.matmul(dz2, W2.T, out=dh)
        np.matmul(x.T, dh, out=dW1)

    return run


PEERS = ("jax.grad, jitted", "torch.autograd")
COLUMNS = (
    *("samples", "dtype", "ms by hand", *(f"ms {name}" for name in PEERS), "ms products alone"),
    *("by hand / best peer", "by hand / products"),
)


def point(samples: int, dtype: Any) -> tuple[Any, ...]:
    """One row: the median times, taking turns, and the ratios."""
    given = problem(samples, dtype)
    calls: dict[str, Call] = {
        "by hand": partial(manual_backprop.gradient, *given),
        PEERS[0]: by_jax(*given),
        "products": products_alone(*given),
    }
    if find_spec("torch"):
        calls[PEERS[1]] = by_torch(*given)
    found = medians(calls, ROUNDS[samples], settled=True)
    ms = {name: 1e3 * seconds for name, seconds in found.items()}
    by_hand, best = ms["by hand"], min(ms[name] for name in PEERS if name in ms)
    peers = [ms.get(name, "not installed") for name in PEERS]
    return samples, dtype.__name__, by_hand, *peers, ms["products"], by_hand / best, by_hand / ms["products"]


@click.command("speed")
@json_option
def command(path: Path | None) -> None:
    """The backward pass by hand at 128-64-10, and pages of operations, beside jitted JAX and torch.autograd."""
    jax.config.update("jax_enable_x64", True)  # noqa: FBT003  (takes its value by position)
    rows = [point(samples, dtype) for samples, dtype in product(ROUNDS, (np.float32, np.float64))]
    note = (
        "medians, taking turns; the goals: at most 1.1 of the best peer, at 1000 samples 1.4 of the products"
    )
    network = Table("A gradient of 128-64-10, tanh, mse", COLUMNS, rows, note)
    show("speed", [network, speed_of_pages.table()], path)
