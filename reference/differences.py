"""Does the loss itself, by its values alone, agree with a gradient?

Along a line θ + tv the loss has the slope ⟨∇L, v⟩. With every entry of v ±s, one wrong entry of a gradient can't hide
in that number, and several wrong ones cancel with probability at most ½ (R. Freivalds, *Probabilistic machines can use
less running time*, 1977): k lines miss with probability at most 2^-k, whatever the number of parameters. The slope is
measured by central differences of the values, with an error that is read off them (`reference.slopes`); nothing of
autodiff, of a traced program or of its bounds has a part in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from reference.network import Choices, loss_value
from reference.slopes import slopes

Floats = NDArray[np.float64]
Parameters = Sequence[tuple[Any, Any]]
"""[(W, b), ...], W (fan_in, fan_out), b (fan_out,), or None in a layer without bias."""


@dataclass(frozen=True)
class Verdict:
    """What the lines say of a gradient.

    Attributes:
        outcome: "agree", "disagree", or "inconclusive" where no line could tell.
        reason: in words, what was found, and why a line could not tell.
        conclusive: the number of lines that could tell.
        worst: the largest |⟨g, v⟩ - slope| / error; above 1 is a disagreement.
        resolution: the median of error / |slope| over the conclusive lines: how large a share of the slope a
            mistake must have to be seen.
    """

    outcome: Literal["agree", "disagree", "inconclusive"]
    reason: str
    conclusive: int
    worst: float
    resolution: float

    @property
    def miss(self) -> float:
        """The probability that mistakes larger than the error cancel along every conclusive line."""
        return 2.0**-self.conclusive


def judge(
    gradient: Parameters,
    parameters: Parameters,
    inputs: Floats,
    targets: Any,
    *,
    count: int = 30,
    seed: int = 0,
    allowed: Parameters | None = None,
    **choices: Unpack[Choices],
) -> Verdict:
    """Compare ⟨gradient, v⟩ with the slope of the loss along `count` random lines v.

    Args:
        gradient: [(dW, db), ...] of the subject.
        parameters: [(W, b), ...], like the rest as in the contract of a network.
        inputs: (n, fan_in).
        targets: (n, K) or labels (n,).
        count: how many lines; memory for as many copies of the parameters is taken.
        seed: of the random signs.
        allowed: by how much every entry of `gradient` may be off, in the same shapes: by rounding, and by what a
            kink leaves open (`reference.network_truth`). Without it, by nothing.
        choices: `hidden`, `output`, `loss` and `reduction`.
    """
    inputs = np.asarray(inputs, np.float64)

    def loss(arrays: list[Any]) -> list[Floats]:
        rest = iter(arrays)
        moved = [(next(rest), None if b is None else next(rest)) for _, b in parameters]
        return [np.asarray(loss_value(np, moved, inputs, targets, **choices))]

    with np.errstate(all="ignore"):
        point = _flat(parameters)
        found = slopes(loss, point, complex_steps=False, entries=0, lines=max(0, count - 1), seed=seed).vjp(
            [np.ones(())]
        )
        given = found.projected(_flat(gradient))
        error = found.error + _slack(found.directions, gradient, allowed)
        return _verdict(given, found.value, error, found.open)


def _flat(parameters: Parameters) -> list[Floats]:
    """W, b, W, b, ... in float64, without the biases that are None."""
    return [np.asarray(array, np.float64) for pair in parameters for array in pair if array is not None]


def _slack(directions: Sequence[Any], gradient: Parameters, allowed: Parameters | None) -> Floats:
    """How far ⟨gradient, v⟩ may be off: Σ |v| allowed. Its products are rounded; their sum is exact, but for one."""
    finite = (np.nan_to_num(array, nan=0, posinf=0, neginf=0) for array in _flat(gradient))
    sizes = [np.finfo(np.float64).eps * abs(array) for array in finite]
    if allowed is not None:
        sizes = [size + more for size, more in zip(sizes, _flat(allowed), strict=True)]
    return np.array(
        [sum(float((abs(v) * sizes[i]).sum()) for i, v in one.parts.items()) for one in directions]
    )


def _verdict(given: Floats, slope: Floats, error: Floats, opened: Floats) -> Verdict:
    difference, size = abs(given - slope), abs(slope)
    overflow = ~np.isfinite(error)
    kink = ~overflow & (opened > 0)
    wrong = ~overflow & ~(
        difference <= error + opened
    )  # a NaN of the subject's is wrong where the truth is finite
    noise = ~overflow & ~kink & ~wrong & (error >= size)
    conclusive = ~overflow & ~kink & ~noise
    ratios = np.nan_to_num(difference[conclusive] / error[conclusive], nan=np.inf)
    worst = float(ratios.max(initial=0))
    ways = {
        f"disagree, by up to {worst:.2g} times the error": wrong,
        "have a kink nearer than any step": kink & ~wrong,
        "overflow, or are measured by no step": overflow,
        "have a slope below the noise": noise,
    }
    told = [f"{which.sum()} of {len(which)} lines {what}" for what, which in ways.items() if which.any()]
    return Verdict(
        outcome="disagree" if wrong.any() else "agree" if conclusive.any() else "inconclusive",
        reason="; ".join(told) or f"all {len(wrong)} lines agree",
        conclusive=int(conclusive.sum()),
        worst=worst,
        resolution=float(np.median(error[conclusive] / size[conclusive])) if conclusive.any() else np.inf,
    )
