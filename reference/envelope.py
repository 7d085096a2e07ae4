"""The derivatives of every small network in one compiled program.

JAX compiles anew for every shape, which takes a thousand times longer than running the result. So a
drawn network is padded with zeros into an `Envelope` of fixed layers, width and samples; masks say
what exists, and the activation and the loss are numbers that choose a row of their tables while it
runs. The first layers are the hidden ones, those that the network lacks hand their input on, and the
last is the output.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from reference.network import (
    ACTIVATIONS,
    ELEMENTWISE,
    LOSSES,
    REDUCTIONS,
    Array,
    Layer,
    loss_terms,
    through_layer,
)

Floats = NDArray[np.float64]
Parameters = Sequence[tuple[Array, Array]]


@dataclass(frozen=True)
class Envelope:
    """Room for `layers` layers of at most `width` units (inputs too) and `samples` samples."""

    layers: int
    width: int
    samples: int

    def holds(self, sizes: Sequence[int], samples: int) -> bool:
        """Whether a network of these unit counts, inputs first, and its batch fit in."""
        return len(sizes) - 1 <= self.layers and max(sizes) <= self.width and samples <= self.samples


SMALL = Envelope(layers=6, width=8, samples=8)
LARGE = Envelope(layers=6, width=40, samples=40)


class Problem(NamedTuple):
    """A network with its batch: what the oracle is asked about.

    parameters: [(W, b), ...], W (fan_in, fan_out), b (fan_out,) or None; inputs (n, fan_in); rows,
    the targets as rows (n, K); the names are those of `reference.network`.
    """

    parameters: Parameters
    inputs: Array
    rows: Array
    hidden: str
    output: str
    loss: str
    reduction: str


class _Padded(NamedTuple):
    """A problem in an envelope, as arrays of fixed shapes."""

    W: Array  # (layers, width, width)
    b: Array  # (layers, width)
    inputs: Array  # (samples, width)
    rows: Array  # (samples, width)
    units: Array  # (layers + 1,) how many units are real, inputs first
    numbers: Array  # layers, samples, hidden, output, loss, reduction


@cache
def _shapes(envelope: Envelope) -> tuple[tuple[int, ...], ...]:
    layers, width, samples = envelope.layers, envelope.width, envelope.samples
    return (layers, width, width), (layers, width), (samples, width), (samples, width), (layers + 1,), (6,)


def _cut(flat: Array, shapes: tuple[tuple[int, ...], ...]) -> list[Array]:
    """The flat buffer cut into arrays of these shapes, in order; views of it in NumPy."""
    return [flat[place].reshape(shape) for place, shape in zip(_places(shapes), shapes, strict=True)]


@cache
def _places(shapes: tuple[tuple[int, ...], ...]) -> list[slice]:
    """Where the arrays of these shapes lie, one after another."""
    ends = [0, *accumulate(math.prod(shape) for shape in shapes)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def _slots(envelope: Envelope, layers: int) -> list[int]:
    """Where the layers of a network lie: the hidden ones first, the output last."""
    return [*range(layers - 1), envelope.layers - 1]


def _write(envelope: Envelope, parameters: Parameters, W: Floats, b: Floats) -> None:
    for slot, (weights, bias) in zip(_slots(envelope, len(parameters)), parameters, strict=True):
        m, k = weights.shape
        W[slot, :m, :k] = weights
        if bias is not None:
            b[slot, :k] = bias


def _read(
    envelope: Envelope, parameters: Parameters, W: Floats, b: Floats
) -> list[tuple[Floats, Floats | None]]:
    return [
        (W[slot, : weights.shape[0], : weights.shape[1]], None if bias is None else b[slot, : len(bias)])
        for slot, (weights, bias) in zip(_slots(envelope, len(parameters)), parameters, strict=True)
    ]


def _pad(envelope: Envelope, problem: Problem) -> Floats:
    shapes = _shapes(envelope)
    flat = np.zeros(_places(shapes)[-1].stop)
    padded = _Padded(*_cut(flat, shapes))
    _write(envelope, problem.parameters, padded.W, padded.b)
    sizes = [W.shape[0] for W, _ in problem.parameters]
    samples, outputs = problem.rows.shape
    padded.units[:] = [*sizes, *[sizes[-1]] * (envelope.layers - len(sizes)), outputs]
    padded.inputs[:samples, : sizes[0]] = problem.inputs
    padded.rows[:samples, :outputs] = problem.rows
    padded.numbers[:] = [
        len(sizes),
        samples,
        list(ACTIVATIONS).index(problem.hidden),
        list(ACTIVATIONS).index(problem.output),
        list(LOSSES).index(problem.loss),
        REDUCTIONS.index(problem.reduction),
    ]
    return flat


class _Model(NamedTuple):
    """What a compiled program reads out of a padded problem; the hidden layers are stacked."""

    hidden: Layer
    last: Layer
    inputs: Array
    rows: Array
    loss: Array
    divisor: Array
    exists: Array  # (samples, 1)

    def replace_parameters(self, W: Array, b: Array) -> "_Model":
        """The same model at other parameters."""
        return self._replace(
            hidden=self.hidden._replace(W=W[:-1], b=b[:-1]), last=self.last._replace(W=W[-1], b=b[-1])
        )

    def batch_terms(self) -> Array:
        """The terms whose sum is the batch's loss, (samples, width), 0 for what does not exist."""

        def up(x: Array, layer: Layer) -> tuple[Array, None]:
            return through_layer(jnp, layer, x, ELEMENTWISE)[1], None

        top, _ = lax.scan(up, self.inputs, self.hidden)
        z, outputs = through_layer(jnp, self.last, top)
        terms = loss_terms(jnp, self.last, z, outputs, self.rows, self.loss)
        return jnp.where(self.exists, terms, 0) / self.divisor


def _model(envelope: Envelope, padded: _Padded) -> _Model:
    count, samples = padded.numbers[0], padded.numbers[1]
    hidden, output, loss, reduction = (padded.numbers[i].astype(int) for i in range(2, 6))
    slot = jnp.arange(envelope.layers)
    layers = Layer(
        W=padded.W,
        b=padded.b,
        activation=jnp.where(slot == envelope.layers - 1, output, hidden),
        fan_in=padded.units[:-1],
        fan_out=padded.units[1:],
        units=jnp.arange(envelope.width) < padded.units[1:, None],
        present=(slot < count - 1) | (slot == envelope.layers - 1),
    )
    return _Model(
        hidden=Layer(*(part[:-1] for part in layers)),
        last=Layer(*(part[-1] for part in layers)),
        inputs=padded.inputs,
        rows=padded.rows,
        loss=loss,
        divisor=jnp.where(reduction == REDUCTIONS.index("mean"), samples, 1),
        exists=jnp.arange(envelope.samples)[:, None] < samples,
    )


def _reverse_mode(envelope: Envelope, flat: Array) -> Array:
    padded = _Padded(*_cut(flat, _shapes(envelope)))
    model = _model(envelope, padded)

    def loss(W: Array, b: Array) -> Array:
        return model.replace_parameters(W, b).batch_terms().sum()

    value, (dW, db) = jax.value_and_grad(loss, argnums=(0, 1))(padded.W, padded.b)
    return jnp.concatenate([jnp.ravel(part) for part in (value, dW, db)])


def value_and_gradient(
    envelope: Envelope, problem: Problem
) -> tuple[float, list[tuple[Floats, Floats | None]]]:
    """The loss and its gradient, in the shapes of the parameters, of a problem that the envelope holds."""
    return ask(envelope, problem)()


def ask(
    envelope: Envelope, problem: Problem
) -> Callable[[], tuple[float, list[tuple[Floats, Floats | None]]]]:
    """Start `value_and_gradient`, and return what waits for its answer: XLA computes in another thread."""
    running = program(_reverse_mode, envelope)(_pad(envelope, problem))

    def answer() -> tuple[float, list[tuple[Floats, Floats | None]]]:
        found = np.asarray(running)
        W, b = _cut(found[1:], _shapes(envelope)[:2])
        return float(found[0]), _read(envelope, problem.parameters, W, b)

    return answer


def ask_in_parts(
    envelope: Envelope, problem: Problem
) -> Callable[[], tuple[float, list[tuple[Floats, Floats | None]]]]:
    """As `ask`, for a batch of more samples than the envelope holds.

    The loss is Σ_p (n_p/N) L_p over parts of n_p samples, or Σ_p L_p, and differentiation is linear.
    """
    samples = len(problem.inputs)
    weights: list[float] = []
    answers: list[Callable[[], tuple[float, list[tuple[Floats, Floats | None]]]]] = []
    for start in range(0, samples, envelope.samples):
        which = slice(start, start + envelope.samples)
        part = problem._replace(inputs=problem.inputs[which], rows=problem.rows[which])
        weights.append(len(part.inputs) / samples if problem.reduction == "mean" else 1)
        answers.append(ask(envelope, part))

    def total(arrays: Sequence[Floats | None]) -> Floats | None:
        terms = [weight * array for weight, array in zip(weights, arrays, strict=True) if array is not None]
        return np.sum(terms, axis=0) if terms else None

    def answer() -> tuple[float, list[tuple[Floats, Floats | None]]]:
        losses, gradients = zip(*(one() for one in answers), strict=True)
        loss = sum(weight * value for weight, value in zip(weights, losses, strict=True))
        pairs = [tuple(map(total, zip(*layer, strict=True))) for layer in zip(*gradients, strict=True)]
        return float(loss), pairs  # pyright: ignore[reportReturnType]  (pairs stay pairs)

    return answer


def _forward_mode(envelope: Envelope, flat: Array, V: Array, v: Array) -> Array:
    padded = _Padded(*_cut(flat, _shapes(envelope)))
    model = _model(envelope, padded)

    def loss(W: Array, b: Array) -> Array:
        return model.replace_parameters(W, b).batch_terms().sum()

    return jax.jvp(loss, (padded.W, padded.b), (V, v))[1]


def directional_derivative(envelope: Envelope, problem: Problem, direction: Parameters) -> float:
    """Σ ∂L/∂w · v over all parameters, by forward mode, along a direction in their shapes."""
    V, v = np.zeros(_shapes(envelope)[0]), np.zeros(_shapes(envelope)[1])
    _write(envelope, direction, V, v)
    return float(program(_forward_mode, envelope)(_pad(envelope, problem), V, v))


def _contributions(envelope: Envelope, flat: Array) -> tuple[Array, Array]:
    padded = _Padded(*_cut(flat, _shapes(envelope)))
    model = _model(envelope, padded)

    def terms(W: Array, b: Array) -> Array:
        return model.replace_parameters(W, b).batch_terms()

    return jax.jacrev(terms, argnums=(0, 1))(padded.W, padded.b)


def contributions(envelope: Envelope, problem: Problem) -> list[tuple[Floats, Floats | None]]:
    """What every cell (sample i, output j) adds to the gradient: [(gW, gb), ...].

    gW is (n, K, fan_in, fan_out), gb (n, K, fan_out) or None; the gradient is their sum over the first
    two axes.
    """
    samples, outputs = problem.rows.shape
    padded = program(_contributions, envelope)(_pad(envelope, problem))
    W, b = (np.asarray(cells)[:samples, :outputs] for cells in padded)
    return [
        (W[:, :, slot, :m, :k], None if bias is None else b[:, :, slot, :k])
        for slot, ((m, k), bias) in zip(
            _slots(envelope, len(problem.parameters)),
            ((weights.shape, bias) for weights, bias in problem.parameters),
            strict=True,
        )
    ]


def _kept(envelope: Envelope, flat: Array, mask: Array) -> tuple[Array, Array]:
    padded = _Padded(*_cut(flat, _shapes(envelope)))
    model = _model(envelope, padded)

    def total(W: Array, b: Array) -> Array:
        return (mask * model.replace_parameters(W, b).batch_terms()).sum()

    return jax.grad(total, argnums=(0, 1))(padded.W, padded.b)


def kept(envelope: Envelope, problem: Problem, mask: Floats) -> list[tuple[Floats, Floats | None]]:
    """Σ_ij mask_ij g_ij over the `contributions` g_ij, in the memory of a gradient; mask (n, K)."""
    samples, outputs = problem.rows.shape
    padded = np.zeros((envelope.samples, envelope.width))
    padded[:samples, :outputs] = mask
    W, b = map(np.asarray, program(_kept, envelope)(_pad(envelope, problem), padded))
    return _read(envelope, problem.parameters, W, b)


_compiler = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compiler")


@cache
def _compiling(function: Callable[..., Any], envelope: Envelope) -> Future[Callable[..., Any]]:
    weights, biases, *_ = _shapes(envelope)
    shapes = [(sum(int(np.prod(shape)) for shape in _shapes(envelope)),)]
    if function is _forward_mode:
        shapes += [weights, biases]
    if function is _kept:
        shapes += [(envelope.samples, envelope.width)]
    arguments = [jax.ShapeDtypeStruct(shape, np.float64) for shape in shapes]
    return _compiler.submit(lambda: _compiled(jax.jit(partial(function, envelope)).lower(*arguments)))


_QUICKLY = {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False}
"""A program runs a few thousand times in a fraction of a millisecond. Full optimisation takes longer to compile than
that gains; none at all takes two thirds of the time, and runs two to three times slower in the larger envelope."""


def _compiled(lowered: Any) -> Callable[..., Any]:
    try:
        return lowered.compile(compiler_options=_QUICKLY)
    except RuntimeError:  # a release of XLA that does not know these options
        return lowered.compile()


def program(function: Callable[..., Any], envelope: Envelope) -> Callable[..., Any]:
    """The compiled program of a function for an envelope.

    All that a run usually needs are compiled one after another beside the first cases, from the first
    call on, in another thread: XLA lets go of Python while it compiles.
    """
    warm_up()
    return _compiling(function, envelope).result()


def warm_up(*, wait: bool = False) -> None:
    """Start to compile, beside whatever comes before the first question, or wait until all is compiled."""
    for compiling in [_compiling(*usual) for usual in USUAL]:
        if wait:
            compiling.result()


USUAL = ((_reverse_mode, SMALL), (_reverse_mode, LARGE), (_forward_mode, SMALL), (_contributions, SMALL))


def programs_compiled() -> int:
    """How many programs have been compiled, or are about to be."""
    return _compiling.cache_info().currsize
