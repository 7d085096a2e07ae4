"""Where the cases come from: Hypothesis strategies, built to tell a right gradient from a wrong one.

Drawing many small arrays is slow, so the first numbers of a case are one string of bytes, cut up, which seed a
generator of the others: two bytes choose one of 65,536 dyadic numbers in [-4, 4), sorted from simple to complicated,
so that a counterexample shrinks to numbers such as 1, -2 and 0.5. They are exact in float32 and as fractions.

Every case has a regime:

- `well scaled`: pre-activations of size about 1, sizes free and mostly different from each other;
- `square`: all layers of one size, where a missing transpose does not show in the shapes;
- `loud`: inputs and targets up to 32 times larger, for errors that only large numbers show;
- `coarse`: few different numbers, many of them 0, and pre-activations exactly 0 or within rounding of
  it on purpose, where relu has its kink;
- `wide`: one of the inputs, the hidden layers, the outputs or the batch has 9 to 40 units or samples;
- `fitted`: targets that the outputs have almost reached, as at the end of a training, for errors that small ones show;
- `extreme`: every array scaled by its own power of ten from 1e-8 to 1e8;
- `saturated`: pre-activations of 10 to 1000.

The first six are `REGULAR`; they decide whether a formula is right. The last two are the `EDGES`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from numpy.typing import NDArray

from properties.cases import Array, Case, Parameters
from properties.problem import Claim
from reference.network import forward, layers_of

REGULAR = ("well scaled", "square", "loud", "coarse", "wide", "fitted")
EDGES = ("extreme", "saturated")
_WEIGHTS = {
    "well scaled": 9,
    "square": 2,
    "loud": 3,
    "coarse": 4,
    "wide": 2,
    "fitted": 1,
    "extreme": 1,
    "saturated": 1,
}
"""How often each regime is drawn, relative to the others."""

LARGEST = 8
"""Units and samples of a case that is not wide."""
WIDEST = 40
WIDE = (9, 17, 33, WIDEST)
"""Sizes of a wide axis: each but the last is one above a size that people cut arrays into."""
TYPICAL_EXTREME = 27
"""2^27 > 1e8: the powers of two by which the arrays of an extreme case are scaled."""

POWERS = tuple(sorted(range(-TYPICAL_EXTREME, TYPICAL_EXTREME + 1), key=abs))

_FRACTION_BITS = 13


def _dyadics() -> NDArray[np.float64]:
    """The multiples of 2^-13 in [-4, 4), the simplest first: few binary places, then small, then positive."""
    numerators = np.arange(-(2**15), 2**15)
    places = np.zeros_like(numerators)
    for place in range(1, _FRACTION_BITS + 1):
        places[numerators % 2 ** (_FRACTION_BITS - place + 1) != 0] = place
    order = np.lexsort((numerators < 0, abs(numerators), places))
    return numerators[order] / 2.0**_FRACTION_BITS


DYADICS = _dyadics()
COARSE = DYADICS[:15]
"""0, ±1, ±2, ±3, -4 and the halves up to 1.5 or so: simple numbers that meet each other often."""


@dataclass(frozen=True)
class _Sizes:
    units: tuple[int, ...]
    samples: int
    bias: bool

    def numbers(self) -> int:
        """How many numbers the parameters and the batch take."""
        pairs = zip(self.units[:-1], self.units[1:], strict=True)
        return sum((m + self.bias) * k for m, k in pairs) + self.samples * (self.units[0] + self.units[-1])


@st.composite
def cases(
    draw: DrawFn, claims: Sequence[Claim], regimes: Sequence[str] = REGULAR, dtype: str | None = None
) -> Case:
    """Cases that a subject with these claims has to handle.

    Args:
        draw: given by Hypothesis.
        claims: what the subject claims, see `problem.read`.
        regimes: which of the regimes to draw from, the simplest first.
        dtype: one format in place of those claimed.
    """
    text = draw(TEXT)
    claim = claims[_one_of(draw, "claim", tuple(range(len(claims))))]
    regime = _one_of(draw, "regime", tuple(regime for regime in regimes for _ in range(_WEIGHTS[regime])))
    output, loss = _one_of(draw, "output and loss", claim.pairs())
    names = {"hidden": _one_of(draw, "hidden", claim.hidden), "output": output, "loss": loss}
    names["reduction"] = _one_of(draw, "reduction", claim.reduction)
    kind = _one_of(draw, "targets", claim.targets)
    sizes = _sizes(draw, claim, regime, output)
    raw = numbers_of(numbers_in(text))(sizes.numbers())
    fmt = np.dtype(dtype or _one_of(draw, "dtype", claim.dtype))

    numbers = (COARSE[raw % len(COARSE)] if regime == "coarse" else DYADICS[raw]).astype(fmt)
    parameters, rest = _parameters(numbers, sizes)
    count = sizes.samples * sizes.units[0]
    inputs = rest[:count].reshape(sizes.samples, sizes.units[0]) / 2
    targets = _targets(kind, loss, rest[count:], raw[-len(rest[count:]) :], sizes)
    case = Case(parameters, inputs, targets, **names, regime=regime)
    match regime:
        case "loud":
            return _loud(draw, case)
        case "extreme":
            return _extreme(draw, case)
        case "saturated":
            return _saturated(draw, case)
        case "coarse":
            return _at_a_kink(draw, case)
        case "fitted":
            return _fitted(draw, case)
        case _:
            return case


def _one_of(draw: DrawFn, role: str, values: Sequence[Any]) -> Any:
    """One of the values.

    To Hypothesis every role is a strategy of its own. It would otherwise copy one draw over another of the
    same strategy in up to five cases of six, and so visit few different networks.
    """
    return values[0] if len(values) == 1 else draw(_options(role, values))[1]


@cache
def _options(role: str, values: Sequence[Any]) -> SearchStrategy[tuple[str, Any]]:
    return st.sampled_from([(role, value) for value in values])


def _number(draw: DrawFn, role: str, lowest: int, highest: int) -> int:
    return _one_of(draw, role, tuple(range(lowest, highest + 1)))


def _sizes(draw: DrawFn, claim: Claim, regime: str, output: str) -> _Sizes:
    layers = _one_of(draw, "layers", claim.layers)
    wide = _one_of(draw, "wide", ("samples", "inputs", "width", "outputs")) if regime == "wide" else ""

    def size(name: str, layer: int = 0) -> int:
        pinned: tuple[int, ...] = getattr(claim, name)
        if pinned:
            return _one_of(draw, f"{name} {layer}", pinned)
        drawn: int = _one_of(draw, f"{name} {layer}", WIDE if name == wide else tuple(range(1, LARGEST + 1)))
        # A softmax of one output is 1 and has no gradient: let the simplest case have two.
        return {1: 2, 2: 1}.get(drawn, drawn) if name == "outputs" and output == "softmax" else drawn

    samples = size("samples")
    if regime == "square" and not (claim.inputs or claim.width or claim.outputs):
        units = [size("width")] * (layers + 1)
    else:
        units = [size("inputs"), *(size("width", layer) for layer in range(1, layers)), size("outputs")]
    return _Sizes(tuple(units), samples, bias=_one_of(draw, "bias", claim.bias))


MOST = 96
"""Numbers that are drawn one by one: more than a smallest case has, and few, since the time of shrinking grows with the
square of how many. The first of them seed a generator of the others."""
TEXT = st.binary(min_size=2 * MOST, max_size=2 * MOST)
"""Of one length in all cases: Hypothesis varies its examples, and would put zeros for a string of another length."""
_SEED = 8
"""Numbers that seed a generator of more."""


def numbers_of(raw: NDArray[np.intp]) -> Callable[[int], NDArray[np.intp]]:
    """What gives the next so many numbers from 0 to 65535: first those at hand, and then those that they seed.

    None of these is less simple than the least simple one at hand: of zeros come zeros. Else a case of many numbers
    would go on failing by those that nobody can shrink, and stay large.
    """
    place, more, end = 0, None, int(raw.max(initial=0)) + 1

    def following(count: int) -> NDArray[np.intp]:
        nonlocal place, more
        found = raw[place : place + count]
        place += len(found)
        if len(found) == count:
            return found
        more = np.random.default_rng(raw[:_SEED]) if more is None else more
        return np.concatenate([found, more.integers(0, end, count - len(found))]).astype(np.intp)

    return following


def numbers_in(text: bytes) -> NDArray[np.intp]:
    """The numbers of a string."""
    return np.frombuffer(text, dtype=">u2").astype(np.intp)


def _parameters(numbers: Array, sizes: _Sizes) -> tuple[Parameters, Array]:
    """Weights in [-4, 4) / √(4 fan_in), to the next power of two, and biases in [-2, 2)."""
    parameters: Parameters = []
    for m, k in zip(sizes.units[:-1], sizes.units[1:], strict=True):
        scale = numbers.dtype.type(2.0 ** -np.ceil(np.log2(4 * m) / 2))
        W, numbers = numbers[: m * k].reshape(m, k) * scale, numbers[m * k :]
        b = None
        if sizes.bias:
            b, numbers = numbers[:k] / 2, numbers[k:]
        parameters.append((W, b))
    return parameters, numbers


def _targets(kind: str, loss: str, numbers: Array, raw: NDArray[np.intp], sizes: _Sizes) -> Array:
    """Targets of a kind: `real` rows fit the loss, so that they are probabilities for an entropy."""
    shape = sizes.samples, sizes.units[-1]
    if kind != "real":
        labels = raw.reshape(shape)[:, 0] % shape[1]
        return labels if kind == "labels" else np.eye(shape[1], dtype=numbers.dtype)[labels]
    if loss == "cross_entropy":
        return _probabilities(raw.reshape(shape)).astype(numbers.dtype)
    if loss.endswith("binary_cross_entropy"):
        return (raw.reshape(shape) / 2**16).astype(numbers.dtype)
    return numbers.reshape(shape) / 2


def _probabilities(raw: NDArray[np.intp]) -> Array:
    """Rows of multiples of 2^-12 that sum to 1 exactly, in whatever order they are added."""
    ends = np.floor(np.cumsum(raw + 1, axis=1) / (raw + 1).sum(axis=1, keepdims=True) * 2**12)
    return np.diff(ends, axis=1, prepend=0) / 2**12


def _scaled(case: Case, weights: float, biases: float, inputs: float, targets: float) -> Case:
    """The case with its arrays multiplied; targets only where they may be any numbers."""
    fmt = case.inputs.dtype.type
    parameters: Parameters = [
        (W * fmt(weights), None if b is None else b * fmt(biases)) for W, b in case.parameters
    ]
    return Case(
        parameters,
        case.inputs * fmt(inputs),
        case.targets * fmt(targets) if case.has_free_targets else case.targets,
        **case.choices,
        regime=case.regime,
    )


def _loud(draw: DrawFn, case: Case) -> Case:
    factor = 2.0 ** _number(draw, "factor", 0, 5)
    return _scaled(case, 1, 1, factor, factor)


def _extreme(draw: DrawFn, case: Case) -> Case:
    arrays = ("weights", "biases", "inputs", "targets")
    return _scaled(case, *(2.0 ** _one_of(draw, f"power of {array}", POWERS) for array in arrays))


def _saturated(draw: DrawFn, case: Case) -> Case:
    factor = 2.0 ** _number(draw, "factor", 3, 9)
    return _scaled(case, 1, factor, factor, 1)


MOST_FITTED = 40
"""Errors of 2^-40 have a dozen digits left in float64."""


def _fitted(draw: DrawFn, case: Case) -> Case:
    """With errors that are so many times smaller, where targets may be any numbers."""
    if case.targets.ndim == 1 or not case.targets.any() or case.loss.endswith("cross_entropy"):
        return case
    nearness = 2.0 ** -_number(draw, "nearness", 8, MOST_FITTED)
    _, hs = forward(np, layers_of(case.parameters, case.hidden, case.output), case.inputs)
    targets = hs[-1] + nearness * case.targets
    return replace(case, targets=targets.astype(case.targets.dtype))


def _at_a_kink(draw: DrawFn, case: Case) -> Case:
    """With a z that is 0, or 0 but for some roundings: by its bias, or by a sample of zeros without one."""
    sample = _number(draw, "sample", 0, case.samples - 1)
    layers = layers_of(case.parameters, case.hidden, case.output)
    kinked = tuple(depth for depth, layer in enumerate(layers) if layer.activation == "relu")
    depth = _one_of(draw, "depth", kinked or range(len(layers)))
    b = case.parameters[depth][1]
    if b is None:
        case.inputs[sample] = 0
        return case
    unit = _number(draw, "unit", 0, case.sizes[depth + 1] - 1)
    zs, _ = forward(np, layers, case.inputs)
    b[unit] -= zs[depth][sample, unit]
    b[unit] += _one_of(draw, "roundings", (0, 0, 0, 1, -2)) * np.spacing(1 + abs(b[unit]))
    return case
