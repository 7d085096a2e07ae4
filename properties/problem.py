"""What a subject claims to handle: its `PROBLEM`, read and checked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

from reference.network import ACTIVATIONS, LOSSES, REDUCTIONS

TARGETS = ("real", "one_hot", "labels")
DTYPES = ("float64", "float32")
OUTPUT_OF = {
    "cross_entropy": "softmax",
    "binary_cross_entropy": "sigmoid",
    "mean_binary_cross_entropy": "sigmoid",
}
"""The one output that an entropy goes with."""

MOST_LAYERS = 6
MOST_UNITS = 4096
MOST_WEIGHTS = 2**21
"""Of a network whose sizes are pinned: 784-1024-1024-10 has fewer, and the reference takes seconds for more."""


class ProblemError(Exception):
    """A `PROBLEM` that can't be read; the message is one sentence for its author."""


@dataclass(frozen=True)
class Claim:
    """One dict of `PROBLEM`, every key a tuple of the values to draw from; an empty tuple of sizes is free."""

    layers: tuple[int, ...] = (2,)
    hidden: tuple[str, ...] = ("tanh",)
    output: tuple[str, ...] = ("identity",)
    loss: tuple[str, ...] = ("mse",)
    reduction: tuple[str, ...] = ("mean",)
    targets: tuple[str, ...] = ("real",)
    bias: tuple[bool, ...] = (True,)
    dtype: tuple[str, ...] = ("float64",)
    inputs: tuple[int, ...] = ()
    width: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    samples: tuple[int, ...] = ()

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The (output, loss) pairs that go together."""
        return tuple((o, loss) for o in self.output for loss in self.loss if OUTPUT_OF.get(loss, o) == o)


_NAMES: Mapping[str, tuple[str, ...]] = {
    "hidden": tuple(name for name in ACTIVATIONS if name != "softmax"),
    "output": tuple(ACTIVATIONS),
    "loss": tuple(LOSSES),
    "reduction": REDUCTIONS,
    "targets": TARGETS,
    "dtype": DTYPES,
}
_SIZES = {
    "layers": MOST_LAYERS,
    "inputs": MOST_UNITS,
    "width": MOST_UNITS,
    "outputs": MOST_UNITS,
    "samples": MOST_UNITS,
}


def read(problem: object) -> tuple[Claim, ...]:
    """The claims of a `PROBLEM`: a dict, a list of dicts, or None for the defaults.

    Raises:
        ProblemError: where a key or a value is unknown, or nothing that is claimed goes together.
    """
    if problem is None:
        return (Claim(),)
    dicts = problem if isinstance(problem, list | tuple) else [problem]
    if not dicts:
        raise ProblemError("PROBLEM is an empty list: give one dict, or leave it out.")
    return tuple(_claim(one) for one in dicts)


def _claim(problem: object) -> Claim:
    if not isinstance(problem, Mapping):
        raise ProblemError(f"PROBLEM has to be a dict or a list of dicts, not {_shown(problem)}.")
    keys = [field.name for field in fields(Claim)]
    for key in problem:
        if key not in keys:
            raise ProblemError(
                f"PROBLEM has an unknown key {_shown(key)}{_meant(key, keys)} The keys are {', '.join(keys)}."
            )
    claim = Claim(**{key: _values(key, value) for key, value in problem.items()})
    _check_pairs(claim)
    _check_weights(claim)
    return claim


def _check_pairs(claim: Claim) -> None:
    """Refuse a loss or an output that goes with nothing, rather than judge the others alone."""
    outputs, losses = {output for output, _ in claim.pairs()}, {loss for _, loss in claim.pairs()}
    alone = [loss for loss in claim.loss if loss not in losses]
    rule = " and ".join(f"{loss} goes with the output {OUTPUT_OF[loss]}" for loss in alone)
    if rule:
        raise ProblemError(f"PROBLEM joins a loss with an output that does not fit: {rule}.")
    for output in claim.output:
        if output not in outputs:
            raise ProblemError(
                f"PROBLEM names the output {output}, which goes with none of its losses ({_listed(claim.loss)})."
            )


def _check_weights(claim: Claim) -> None:
    inputs, width, outputs = (max(sizes, default=1) for sizes in (claim.inputs, claim.width, claim.outputs))
    units = [inputs, *[width] * (max(claim.layers) - 1), outputs]
    weights = sum(m * k for m, k in pairwise(units))
    if weights > MOST_WEIGHTS:
        raise ProblemError(
            f"PROBLEM pins a network of {weights:,} weights, and {MOST_WEIGHTS:,} can be judged: pin smaller sizes, "
            "the formulas are the same."
        )


def _values(key: str, value: object) -> tuple[Any, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not values:
        raise ProblemError(f"PROBLEM[{key!r}] is an empty list: name at least one value.")
    for one in values:
        _check(key, one)
    return values


def _check(key: str, value: object) -> None:
    if key == "bias":
        if not isinstance(value, bool):
            raise ProblemError(f"PROBLEM['bias'] has to be True or False, not {_shown(value)}.")
    elif key in _SIZES:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _SIZES[key]:
            raise ProblemError(
                f"PROBLEM[{key!r}] has to be a whole number from 1 to {_SIZES[key]}, or a list of them, "
                f"not {_shown(value)}."
            )
    elif not isinstance(value, str):
        raise ProblemError(f"PROBLEM[{key!r}] has to be a name, or a list of names, not {_shown(value)}.")
    elif value not in _NAMES[key]:
        raise ProblemError(
            f"PROBLEM[{key!r}] names {_shown(value)}, which is unknown{_meant(value, _NAMES[key])} "
            f"Known are {_listed(_NAMES[key])}."
        )


def _meant(name: object, known: Sequence[str]) -> str:
    """A question after the name that is nearest, where one is near."""
    near = get_close_matches(str(name).casefold(), known, n=1)
    return f": did you mean {near[0]!r}?" if near else "."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004  (a line's length, not mathematics)
