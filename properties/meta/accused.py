"""Wrong functions as subjects, and a network written out sample by sample, in which each step can be replaced."""

# Students' code has no types.
# pyright: basic
# pyright: reportArgumentType=false, reportCallIssue=false, reportConstantRedefinition=false
# pyright: reportOperatorIssue=false

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from properties.cases import Array, Case, Parameters
from properties.diagnosis import Diagnosis
from properties.diagnosis.answer import diagnose
from properties.diagnosis.probes import Maker
from properties.problem import Claim, read
from properties.search import Violation

Function = Callable[..., Parameters]


class Broken(Violation):
    """A broken contract, as a subject in a file reports it."""

    def __init__(
        self, message: str, array: str = "", given: tuple[int, ...] = (), wanted: tuple[int, ...] = ()
    ) -> None:
        """The array and both shapes where a shape is wrong."""
        super().__init__(message)
        self.array, self.given_shape, self.wanted_shape = array, given, wanted


@dataclass
class Wrong:
    """A wrong function as a subject, its shapes and numbers checked as those of a file are."""

    function: Function
    claims: tuple[Claim, ...] = read(None)
    loss_of: Callable[[Case], float] | None = None

    name, rational = "wrong", False

    @property
    def has_loss(self) -> bool:
        """Whether it has one."""
        return self.loss_of is not None

    def gradient(self, case: Case) -> Parameters:
        """The function's gradient."""
        try:
            with np.errstate(all="ignore"):
                found = self.function(case.parameters, case.inputs, case.targets, **case.choices)
        except ValueError as error:
            raise Broken(f"gradient raises ValueError: {error}") from None
        for layer, (pair, parameters) in enumerate(zip(found, case.parameters, strict=True), start=1):
            for letter, array, wanted in zip("Wb", pair, parameters, strict=True):
                if wanted is not None and np.shape(array) != wanted.shape:
                    raise Broken("shape", f"d{letter}{layer}", np.shape(array), wanted.shape)
                if wanted is not None and not np.isfinite(array).all():
                    raise Broken("dW has NaN in some entries, where the right gradient is finite.")
        return found

    def loss(self, case: Case) -> float:
        """The function's loss."""
        return self.loss_of(case) if self.loss_of is not None else 0.0

    def impurity(self) -> str:
        """Nothing is known."""
        return ""

    def renew(self) -> None:
        """Nothing can be forgotten."""


def case_for(claims: tuple[Claim, ...], seed: int = 7, *, loud: float = 1.0) -> Case:
    """A case that fits the first claim."""
    (claim, *_) = claims
    (output, loss), *_ = claim.pairs()
    ones = np.ones((1, 1), claim.dtype[0])
    targets = np.zeros(1, int) if claim.targets[0] == "labels" else ones
    bias = ones[0] if claim.bias[0] else None
    names = {"hidden": claim.hidden[0], "output": output, "loss": loss, "reduction": claim.reduction[0]}
    like = Case([(ones, bias)] * claim.layers[0], ones, targets, **names)
    return Maker(like, claim, np.random.default_rng(seed)).case(loud=loud)


def diagnosed(function: Function, *, loud: float = 1.0, **problem: Any) -> Diagnosis:
    """The diagnosis of a function that claims this problem, on a case of it."""
    claims = read(problem)
    return diagnose(Wrong(function, claims), case_for(claims, loud=loud))


@dataclass(frozen=True)
class ByHand:
    """A tanh network with the loss (1/NK) Σ (o - y)², sample by sample and unit by unit.

    Each step can be replaced: `activate` the activation of the hidden layers, `error` gives ∂L/∂o_j of one
    sample, `slope` the slope from (z, h), `back` the sum over the units above, and `after` works on the
    finished gradient.
    """

    error: Callable[..., Any] = lambda o, y, i, j, n, k: 2 * (o[j] - y[j]) / (n * k)
    activate: Callable[[Array], Array] = np.tanh
    slope: Callable[[float, float], float] = lambda z, h: 1 - h**2
    back: Callable[..., float] = lambda dz, w: sum(d * v for d, v in zip(dz, w, strict=True))
    samples: Callable[[int], Any] = range
    after: Callable[[Parameters, Any], Parameters] = lambda gradient, parameters: gradient

    def __call__(self, parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        """The gradient."""
        del names
        n, k = targets.shape
        gradient: Any = [(np.zeros_like(W), np.zeros_like(b)) for W, b in parameters]
        for i in self.samples(n):
            hs, zs = [inputs[i]], []
            for number, (W, b) in enumerate(parameters, start=1):
                zs.append(np.einsum("k,kj->j", hs[-1], W) + b)
                hs.append(zs[-1] if number == len(parameters) else self.activate(zs[-1]))
            dz = [self.error(hs[-1], targets[i], i, j, n, k) for j in range(k)]
            for number in reversed(range(len(parameters))):
                W, _ = parameters[number]
                dW, db = gradient[number]
                db += dz
                for unit, x in enumerate(hs[number]):
                    dW[unit] += [x * d for d in dz]
                if number:
                    slopes = [self.slope(z, h) for z, h in zip(zs[number - 1], hs[number], strict=True)]
                    dz = [self.back(dz, w) * slope for w, slope in zip(W, slopes, strict=True)]
        return self.after(gradient, parameters)
