"""The loss and the gradient of a network with their bounds, and what single cells add: the chain of its layers.

    h_0 = inputs;   z_l = h_{l-1} W_l + b_l,   h_l = f_l(z_l);   loss = c Σ_ij ℓ(h_L or z_L, y)_ij

The terms ℓ_ij, (n, K), are squares of o - y, or entropies of z, without the factor c: that is 1/2, 1/K, 1/N or a
product of these, and weighs the cotangents. Of an activation and of its slope one formulation is read, since the
error of a function of its own (`FORMULA`) covers what people write in its place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reference.arithmetic.bounded import Bounded, Bounding
from reference.arithmetic.complex_step import STEP
from reference.chain import COMPLEX, FLOATS, Array, Chain, Link, Reading, bounding
from reference.operations import OPERATIONS
from reference.operations.by_hand import by_hand
from reference.operations.operation import Input, Operation, inputs

Parameters = Sequence[tuple[Array, Array | None]]
"""[(W, b), ...], W (fan_in, fan_out), b (fan_out,), or None in a layer without bias."""


# --- the links -----------------------------------------------------------------------------------------------


def _affine(x: Any, W: Any, b: Any) -> Any:
    """X W + b, with b as a row for every sample."""
    z = x @ W
    return z + lax.broadcast_in_dim(b, z.shape, (1,))


def _squares(x: Any, y: Any) -> Any:
    return (x - y) * (x - y)


def _entropies(x: Any, y: Any) -> Any:
    """-y_j log softmax(x)_j."""
    x = x - lax.stop_gradient(x).max(axis=1, keepdims=True)
    return y * (jnp.log(jnp.exp(x).sum(axis=1, keepdims=True)) - x)


@jax.custom_jvp
def _tanh(x: Any) -> Any:
    """Its slope is 1 - tanh², in as few roundings as it takes."""
    return jnp.tanh(x)


@_tanh.defjvp
def _tanh_jvp(x: Any, dx: Any) -> tuple[Any, Any]:
    h = _tanh(x[0])
    return h, (1 - h * h) * dx[0]


@jax.custom_jvp
def _softplus(x: Any) -> Any:
    """log(1 + e^x), whose slope is σ(x)."""
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


_softplus.defjvp(lambda x, dx: (_softplus(x[0]), lax.logistic(x[0]) * dx[0]))


def _binary_entropies(x: Any, y: Any) -> Any:
    """-y log σ(x) - (1 - y) log σ(-x) = log(1 + e^x) - y x."""
    return _softplus(x) - y * x


def _sigmoid(x: Any) -> Any:
    """σ(x) by a formula that loses the digits of a small σ, as 1 - σ always does."""
    return (1 + jnp.tanh(x / 2)) / 2


def _plain_entropies(x: Any, y: Any) -> Any:
    """The logarithms as they stand in a book; a rounded o or 1 - o that is not 0 is at least half a roundoff."""
    o, least = _sigmoid(x), np.finfo(np.float64).eps / 4
    return -(y * jnp.log(jnp.maximum(o, least)) + (1 - y) * jnp.log(jnp.maximum(1 - o, least)))


def _plain_error(d: Any, x: Any, y: Any) -> tuple[Any, None]:
    """(-y/o + (1 - y)/(1 - o)) o': its parts o'/o and o'/(1 - o) lie from 0 to 1, also in a program that rounds.

    That is so where the slope is taken of the o by which it is divided, o(1 - o), or by a formula that keeps all its
    digits.
    """
    o = _sigmoid(x)
    slope, tiny = o * (1 - o), np.finfo(np.float64).tiny
    below, above = (lax.clamp(0.0, slope / jnp.maximum(p, tiny), 1.0) for p in (o, 1 - o))
    return d * ((1 - y) * above - y * below), None


_SCORES = inputs(x="n k", y=Input("n k", constant=True))
_ACTIVATION, _TERMS = inputs(x="n d"), inputs(x="n k", y=Input("n k", constant=True))


def _alone(name: str) -> Link:
    return Link(replace(OPERATIONS[name], formulations=()))


AFFINE = Link(Operation("affine", _affine, inputs(x="n d", W="d k", b="k")))
LINEAR = _alone("dense_without_bias")
ACTIVATIONS: Mapping[str, Link] = {
    "identity": _alone("identity"),
    "tanh": Link(Operation("tanh", _tanh, _ACTIVATION)),
    "sigmoid": _alone("sigmoid"),
    "relu": Link(Operation("relu", lambda x: jnp.where(x > 0, x, 0), _ACTIVATION)),
    "softplus": Link(Operation("softplus", _softplus, _ACTIVATION)),
    "softmax": _alone("softmax"),
}
SQUARES = Link(Operation("squares", _squares, _TERMS))
ENTROPIES = Link(Operation("entropies", _entropies, _TERMS))
BINARY_ENTROPIES = Link(
    Operation(
        "binary_entropies",
        _binary_entropies,
        _TERMS,
        formulations=(by_hand(_plain_entropies, _plain_error),),
    )
)

TERMS: Mapping[str, tuple[Link, Callable[[int], float]]] = {
    "mse": (SQUARES, lambda k: 1 / k),
    "half_mse": (SQUARES, lambda k: 1 / (2 * k)),
    "sse": (SQUARES, lambda k: 1.0),
    "half_sse": (SQUARES, lambda k: 1 / 2),
    "cross_entropy": (ENTROPIES, lambda k: 1.0),
    "binary_cross_entropy": (BINARY_ENTROPIES, lambda k: 1.0),
    "mean_binary_cross_entropy": (BINARY_ENTROPIES, lambda k: 1 / k),
}
"""The terms of a loss, and the factor of a sample's, for K outputs. Entropies are of z, the others of o."""


def affine(W: Any, b: Any) -> tuple[Link, list[Any]]:
    """The link of a dense layer, with its parameters."""
    return (LINEAR, [W]) if b is None else (AFFINE, [W, b])


# --- what it is asked ----------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """A network with its batch: inputs (n, fan_in), targets as rows (n, K), and names of `reference.network`."""

    parameters: Parameters
    inputs: Array
    rows: Array
    hidden: str
    output: str
    loss: str
    reduction: str

    @property
    def weight(self) -> float:
        """The c by which the sum of all terms is multiplied."""
        samples, outputs = self.rows.shape
        return TERMS[self.loss][1](outputs) / (samples if self.reduction == "mean" else 1)


class _Network:
    """The chain of a problem, from the inputs to the terms; `places` are those of the sums among its links."""

    def __init__(self, problem: Problem, reading: Reading) -> None:
        terms, _ = TERMS[problem.loss]
        links, self.places = list[tuple[Link, Sequence[Any]]](), list[int]()
        for W, b in problem.parameters:
            self.places.append(len(links))
            links.append(affine(reading.enter(W), None if b is None else reading.enter(b)))
            links.append((ACTIVATIONS[problem.hidden], []))
        links[-1] = ACTIVATIONS[problem.output], []
        if terms is not SQUARES:
            del links[-1]
        links.append((terms, [reading.enter(problem.rows, varies=False)]))
        self.chain = Chain(reading, links, reading.enter(problem.inputs, varies=False))

    @property
    def terms(self) -> Any:
        """ℓ_ij, (n, K)."""
        return self.chain.values[-1]

    def pull(self, weights: Any) -> list[tuple[Any, Any]]:
        """The gradient of Σ_ij weights_ij ℓ_ij, [(dW, db), ...]; db is None in a layer without bias."""
        found = self.chain.pull(weights)
        return [(dW, db[0] if db else None) for dW, *db in (found[place] for place in self.places)]


class Truth(NamedTuple):
    """The loss and the gradient of a problem, each with what rounding explains, in the shapes of the parameters.

    `open` is what a kink allows besides. `peak` is the largest number that a sensible program may meet, before it
    divides by N, by K and by 2.
    """

    loss: float
    loss_error: float
    peak: float
    gradient: list[tuple[Array, Array | None]]
    error: list[tuple[Array, Array | None]]
    open: list[tuple[Array, Array | None]]


def truth(problem: Problem, format: str = "float64") -> Truth:  # noqa: A002  (the word of the field)
    """What is right, and how far a program in this format may be from it (`reference.arithmetic.bounded`)."""
    reading, c = bounding(format), problem.weight
    with np.errstate(all="ignore"):  # overflow shows in `peak`
        network = _Network(problem, reading)
        pairs = network.pull(reading.enter(np.full(problem.rows.shape, c), varies=False))
        terms, gamma = network.terms, Bounding(format).gamma(problem.rows.size)
        e = terms.e + np.zeros(terms.x.shape)
        # Adding up the terms rounds as well, and so does each factor of c.
        loss_error = c * float((e + gamma * (np.abs(terms.x) + e)).sum())
        enclosed = [(dW.enclosed, None if db is None else db.enclosed) for dW, db in pairs]
        gradient, error, opened = (
            [(dW[part], None if db is None else db[part]) for dW, db in enclosed] for part in range(3)
        )
        loss = c * float(terms.x.sum())
        return Truth(loss, loss_error, _peak(problem, network), gradient, error, opened)


def _peak(problem: Problem, network: _Network) -> float:
    """Without 1/N, 1/K and 1/2, which a program may apply last, the numbers on the way back are that much larger."""
    samples, k = problem.rows.shape
    chain = network.chain

    def largest(one: Bounded) -> float:
        return float(np.max(one.size + one.e))

    peaks = [float(np.abs(problem.rows).max()), largest(chain.values[-2])]
    for place, (W, b) in zip(network.places, problem.parameters, strict=True):
        x, weights = largest(chain.values[place]), float(np.abs(W).max())
        bias = 0.0 if b is None else float(np.abs(b).max())
        growth = samples * (1 + x) + W.shape[1] * weights
        peaks += x, len(W) * x * weights + bias, samples * k * growth * largest(chain.cotangents[place + 1])
    return float(np.max(peaks))  # NaN where one of them is


class Contributions:
    """What the cells (i, j), sample and output, add to the gradient."""

    def __init__(self, problem: Problem) -> None:
        """Go forward once."""
        self._problem, self._network = problem, _Network(problem, FLOATS)

    def kept(self, mask: Array) -> list[tuple[Array, Array | None]]:
        """The gradient of the loss whose terms are weighed by a mask (n, K): Σ_ij mask_ij times what ij adds."""
        return self._network.pull(self._problem.weight * np.asarray(mask, float))


def directional_derivative(problem: Problem, direction: Parameters) -> float:
    """Σ ∂L/∂w · v along a direction in the shapes of the parameters, from the forward pass alone, by a complex step.

    Raises:
        UndecidedError: where a unit lies on relu's kink.
    """
    moved = [
        (W + 1j * STEP * V, None if b is None or v is None else b + 1j * STEP * v)
        for (W, b), (V, v) in zip(problem.parameters, direction, strict=True)
    ]
    terms = _Network(problem._replace(parameters=moved), COMPLEX).terms
    return problem.weight * float(np.imag(terms).sum()) / STEP
