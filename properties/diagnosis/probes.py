"""Fresh cases around a counterexample, built to tell mistakes apart, and a subject's answers to them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.random import Generator

from properties.cases import Array, Case, Parameters
from properties.comparison import compare, named
from properties.diagnosis.trials import Answer, Trial
from properties.problem import Claim
from properties.search import Inconclusive, Violation
from properties.strategies import LARGEST
from properties.subjects import Subject
from reference.network import forward, layers_of

STEPS = 4000
"""Questions to a subject and hypotheses that are computed, together: the longest diagnosis known takes 700."""


class OutOfSteps(Exception):
    """The diagnosis has used up its steps."""


def wide(case: Case) -> Case:
    """The case in float64 with its targets as rows."""
    parameters = [(W.astype(float), None if b is None else b.astype(float)) for W, b in case.parameters]
    return replace(
        case, parameters=parameters, inputs=case.inputs.astype(float), targets=case.rows.astype(float)
    )


@dataclass(frozen=True)
class Probe(Trial):
    """A case of a network, and the answer."""

    case: Case

    @cached_property
    def right(self) -> Answer:
        """The right gradient by name."""
        return named(self.case.oracle.gradient)

    @cached_property
    def error(self) -> Answer:
        """How far rounding, or an open kink, may carry each entry."""
        opened = named(self.case.oracle.open)
        return {name: error + opened[name] for name, error in named(self.case.oracle.error).items()}

    @property
    def unit(self) -> float:
        """That of its format."""
        return float(np.finfo(self.case.inputs.dtype).eps) / 2

    @property
    def numbers(self) -> Mapping[str, float]:
        """n samples, k outputs, d inputs, and the units u1, u2, ... of the hidden layers."""
        fan_in, *hidden, outputs = self.case.sizes
        units = {f"u{layer}": size for layer, size in enumerate(hidden, start=1)}
        return {"n": self.case.samples, "k": outputs, "d": fan_in, **units}

    @property
    def is_right_by_norm(self) -> bool:
        """Whether no entry is off by more than rounding may carry the array's other entries."""
        largest = {name: np.full_like(error, error.max(initial=0)) for name, error in self.error.items()}
        return self.fault is None and compare(self.answer, self.right, largest).holds

    @cached_property
    def wide(self) -> Case:
        """The case in float64 with its targets as rows: what a candidate is computed from."""
        return wide(self.case)


class Coarse(Probe):
    """A probe that overlooks what an ε does to outputs of size 1."""

    @cached_property
    def error(self) -> Answer:
        """A thousandth of the largest entry."""
        return {
            name: np.full_like(right, OVERLOOKED * float(abs(right).max()))
            for name, right in self.right.items()
        }


OVERLOOKED = 2.0**-10
"""Of the largest entry of an array: what an ε takes from it where outputs are of size 1."""


class Interview:
    """Asks a subject, until its steps are used up. It keeps the arguments of its questions to itself."""

    def __init__(self, subject: Subject, steps: int = STEPS) -> None:
        """So many steps from now: they are counted, and not timed, so that every machine finds the same."""
        self.subject = subject
        self.impurity = ""
        self._left = steps

    def step(self) -> None:
        """Count a step. Raises `OutOfSteps` where none is left."""
        if not self._left:
            raise OutOfSteps
        self._left -= 1

    def ask(self, case: Case) -> Probe | None:
        """The subject's answer; None where nobody can tell what would be right."""
        self.step()
        own = _copied(case)
        try:
            answer = {
                name: np.array(array, dtype=float)
                for name, array in named(self.subject.gradient(own)).items()
            }
            if case.overflows:
                return None
            probe = Probe(case, answer)
        except Inconclusive:
            return None
        except Violation as fault:
            return Probe(case, {}, fault)
        if "in place" not in self.impurity:  # which says more than that memory is shared
            self.impurity = self.subject.impurity() or _changed(case, own) or self.impurity
        return probe


def _copied(case: Case) -> Case:
    parameters = [(W.copy("K"), None if b is None else b.copy("K")) for W, b in case.parameters]
    return replace(case, parameters=parameters, inputs=case.inputs.copy("K"), targets=case.targets.copy("K"))


def _changed(case: Case, own: Case) -> str:
    before = {**named(case.parameters), "inputs": case.inputs, "targets": case.targets}
    after = {**named(own.parameters), "inputs": own.inputs, "targets": own.targets}
    for name, array in before.items():
        if not np.array_equal(array, after[name]):
            return f"the call changes its argument {name.removeprefix('d')} in place"
    return ""


def claim_of(subject: Subject, case: Case) -> Claim:
    """The claim that a case was drawn from."""
    for claim in subject.claims:
        fits = (
            len(case.parameters) in claim.layers
            and case.hidden in claim.hidden
            and (case.output, case.loss) in claim.pairs()
            and case.reduction in claim.reduction
            and _kind(case, claim)
        )
        if fits:
            return claim
    return Claim()


def _kind(case: Case, claim: Claim) -> str:
    """Which of the claimed kinds of targets the case has; empty for none."""
    if case.targets.ndim == 1:
        return "labels" if "labels" in claim.targets else ""
    if "real" in claim.targets:
        return "real"
    return "one_hot" if "one_hot" in claim.targets else ""


@dataclass(frozen=True)
class Sizes:
    """The units of every layer, inputs first, and the samples."""

    units: tuple[int, ...]
    samples: int

    @property
    def outputs(self) -> int:
        """K."""
        return self.units[-1]


class Maker:
    """Makes fresh cases with the choices of a given one, within the sizes that its claim pins."""

    def __init__(self, like: Case, claim: Claim, random: Generator) -> None:
        """`like` gives the choices, the dtype and which layers have a bias."""
        self.like, self.claim, self.random = like, claim, random
        self._kind = _kind(like, claim) or "real"

    @property
    def sizes(self) -> Sizes:
        """The sizes of the given case."""
        return Sizes(tuple(self.like.sizes), self.like.samples)

    @property
    def has_classes(self) -> bool:
        """Whether the targets are classes."""
        return self._kind != "real"

    def different_sizes(self) -> Sizes:
        """Sizes from 3 to 8, all different, but for those that are pinned, and widths that recur in deep networks."""
        layers = len(self.like.parameters)
        free = [int(size) for size in self.random.permutation(np.arange(3, LARGEST + 1))]
        sizes = [free.pop() for _ in range(min(layers + 2, len(free)))]
        if layers == 1:
            sizes.sort(key=lambda size: -size)  # no more samples than inputs: each leaves a trace of its own
        fan_in, *some, samples, outputs = sizes
        widths = [some[i % len(some)] for i in range(layers - 1)]
        pinned = self.claim
        return Sizes(
            (
                self._of(pinned.inputs, fan_in),
                *(self._of(pinned.width, k) for k in widths),
                self._of(pinned.outputs, outputs),
            ),
            self._of(pinned.samples, samples),
        )

    def _of(self, pinned: tuple[int, ...], size: int) -> int:
        return int(self.random.choice(pinned)) if pinned else size

    def admits(self, sizes: Sizes) -> bool:
        """Whether the claim has room for these sizes."""
        fan_in, *widths, outputs = sizes.units
        pairs = [
            (self.claim.inputs, fan_in),
            (self.claim.outputs, outputs),
            (self.claim.samples, sizes.samples),
        ]
        pairs += [(self.claim.width, width) for width in widths]
        return all(not pinned or size in pinned for pinned, size in pairs)

    def case(self, sizes: Sizes | None = None, *, loud: float = 1.0) -> Case:
        """A case of these sizes, or of different ones, with numbers of size 1.

        All its arrays have a gradient, and no unit stands at a kink, unless many attempts find no such
        case. With `loud`, a power of two, the same z comes from inputs so many times larger,
        and the errors are larger where targets are free: the gradient is large.
        """
        case = self.like
        for _ in range(20):
            case = made_loud(self.drawn(sizes or self.different_sizes()), loud)
            truth = case.oracle
            if not any(array.any() for array in named(truth.open).values()) and all(
                array.any() for array in named(truth.gradient).values()
            ):
                break
        return case

    def drawn(self, sizes: Sizes) -> Case:
        """The same, whatever its gradients are."""
        random, fmt = self.random, self.like.inputs.dtype
        inputs = x = random.standard_normal((sizes.samples, sizes.units[0]))
        parameters: Parameters = []
        for (fan_in, fan_out), (_, given) in zip(pairwise(sizes.units), self.like.parameters, strict=True):
            W = random.standard_normal((fan_in, fan_out)) / np.sqrt(fan_in)
            middle = random.uniform(0.3, 0.7, fan_out)  # z < 0 for some samples and z > 0 for others
            b = -_quantiles(x @ W, middle) + 0.1 * random.standard_normal(fan_out)
            bias = None if given is None else b
            parameters.append((W.astype(fmt), None if bias is None else bias.astype(fmt)))
            _, (*_, x) = forward(np, layers_of([(W, bias)], "identity", self.like.hidden), x)
        targets = self._targets((sizes.samples, sizes.outputs))
        return replace(
            self.like, parameters=parameters, inputs=inputs.astype(fmt), targets=targets, regime="given"
        )

    def _targets(self, shape: tuple[int, int]) -> Array:
        random, fmt, loss = self.random, self.like.inputs.dtype, self.like.loss
        if self._kind != "real":
            labels = random.permutation((np.arange(shape[0]) + random.integers(shape[1])) % shape[1])
            return labels if self._kind == "labels" else np.eye(shape[1], dtype=fmt)[labels]
        if loss == "cross_entropy":
            return random.dirichlet(np.full(shape[1], 2), shape[0]).astype(fmt)
        if loss.endswith("cross_entropy"):
            return random.uniform(0.05, 0.95, shape).astype(fmt)
        return random.standard_normal(shape).astype(fmt)


def _quantiles(z: Array, shares: Array) -> Array:
    """Of each column of z, (n, m), the number above such a share of it, (m,): between two of its numbers in order."""
    ranked, places, columns = np.sort(z, axis=0), shares * (len(z) - 1), np.arange(len(shares))
    below = ranked[np.floor(places).astype(int), columns]
    return below + places % 1 * (ranked[np.ceil(places).astype(int), columns] - below)


def made_loud(case: Case, factor: float) -> Case:
    """The same z from inputs so many times larger, and targets as much larger where they are free."""
    fmt = case.inputs.dtype.type
    (W, b), *upper = case.parameters
    targets = case.targets * fmt(factor) if case.has_free_targets else case.targets
    return replace(
        case, parameters=[(W / fmt(factor), b), *upper], inputs=case.inputs * fmt(factor), targets=targets
    )
