"""A right formula that is guarded against extreme numbers: by a small ε, or by an activation that is cut.

log(o + ε), a quotient by o + ε, o kept within [ε, 1 - ε]; or softplus(z) = z where z > 20.

Many programs guard an entropy so against log 0 and 0/0. Its value and its slope are then off by about ε/o:
by nothing that can be seen where the outputs o are of size 1, and by everything where an output is
smaller than ε. A guard is found on one case and has to explain fresh ones to the last rounding. The bounds
of the plain formulas hold for the guarded ones too: a quotient by o + ε magnifies an error of o by less
than one by o. An activation that is cut at z has errors of about e^-|z|, and is simpler beyond.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import ClassVar, NamedTuple

import numpy as np

from properties.cases import Array, Case, Parameters
from properties.comparison import compare, named
from properties.diagnosis.corners import saturated
from properties.diagnosis.networks import SQUARED, Function, Network, Step, back, value
from properties.diagnosis.probes import STEPS, Interview, Maker, OutOfSteps, Probe, claim_of, wide
from properties.problem import Claim
from properties.search import Inconclusive, SubjectGone, Violation
from properties.subjects import Subject
from reference.network import ACTIVATIONS, divisor, forward, layers_of, loss_terms

LARGEST_GUARD = float(np.finfo(np.float32).eps)
"""A larger ε would show in single precision too: then it is another formula."""
USUAL = (
    *(float(f"{digit}e-{power}") for power in range(2, 18) for digit in (1, 2, 5)),
    float(np.finfo(np.float64).eps),
    LARGEST_GUARD,
)
"""What programs take for ε."""
FAR = 2.0**-4
"""Relative to the largest entry, more than the largest of these takes away where outputs are of size 1."""
SCALED = 3
"""As often is a first layer scaled, until a z above it is what it should be: that does not grow in proportion."""
EVIDENCE = 3
"""As many fresh cases have to show a guard, before it is believed."""
SEEN = 2.0**-50
"""A smaller part of a number is rounding."""
OVERLOOKED = 2.0**-10
"""Of the largest entry of an array: what an ε takes from it where outputs are of size 1."""
MOST_GUARDS = 4
"""Of a module with several losses, as many may have one."""

Formula = Callable[[Array, Array, float, float], Array]
"""From the output o and the target y, both (n, K), ε, and the largest number below 1 that o is kept under."""


def _through_softmax(d: Array, o: Array) -> Array:
    return o * (d - (d * o).sum(axis=1, keepdims=True))


def _kept(o: Array, least: float, most: float) -> Array:
    return np.clip(o, least, most)


def _with_total(o: Array, e: float) -> Array:
    """e^(z - max z) / (Σ + ε), where Σ of these exponentials is 1/max o."""
    return o / (1 + e * o.max(axis=1, keepdims=True))


def _of_both(part: Callable[[Array, float], Array]) -> Formula:
    """-y/p + (1 - y)/(1 - p), with p and 1 - p guarded, times o(1 - o)."""
    return lambda o, y, e, top: (-y / part(o, e) + (1 - y) / part(1 - o, e)) * o * (1 - o)


BINARY_SLOPES: Mapping[str, Formula] = {
    "{} is added inside the logarithm": _of_both(lambda p, e: p + e),
    "{} is added to o(1 − o) in a denominator": lambda o, y, e, top: (
        (o - y) / (o * (1 - o) + e) * o * (1 - o)
    ),
    "{} is added to o and to 1 − o in a denominator": lambda o, y, e, top: (
        (o - y) / ((o + e) * (1 - o + e)) * o * (1 - o)
    ),
    "o is kept {} away from 0 and 1 in a denominator": lambda o, y, e, top: (
        (_kept(o, e, top) - y) / (_kept(o, e, top) * (1 - _kept(o, e, top))) * o * (1 - o)
    ),
    "o is kept {} away from 0 and 1 in the denominator alone": lambda o, y, e, top: (
        (o - y) / (_kept(o, e, top) * (1 - _kept(o, e, top))) * o * (1 - o)
    ),
    "o(1 − o) is kept above {} in a denominator": lambda o, y, e, top: (
        (o - y) / np.maximum(o * (1 - o), e) * o * (1 - o)
    ),
    "o is kept {} away from 0 and 1": lambda o, y, e, top: _kept(o, e, top) - y,
    "the slope is 0 where o is less than {} away from 0 or 1": lambda o, y, e, top: (
        (o - y) * (o >= e) * (o <= top)
    ),
    "{} is added to o": lambda o, y, e, top: o + e - y,
}
"""∂L/∂z of a binary cross-entropy, summed over the outputs."""

SLOPES: Mapping[str, Formula] = {
    "{} is added inside the logarithm": lambda o, y, e, top: _through_softmax(-y / (o + e), o),
    "o is kept above {} in a denominator": lambda o, y, e, top: _through_softmax(-y / np.maximum(o, e), o),
    "o is kept {} away from 0 and 1": lambda o, y, e, top: (
        _kept(o, e, top) * y.sum(axis=1, keepdims=True) - y
    ),
    "the slope is 0 where o is less than {} away from 0 or 1": lambda o, y, e, top: _through_softmax(
        -y * (o >= e) * (o <= top) / np.maximum(o, e), o
    ),
    "{} is added to the sum in the softmax": lambda o, y, e, top: (
        _with_total(o, e) * y.sum(axis=1, keepdims=True) - y
    ),
    "{} is added to o": lambda o, y, e, top: (o + e) * y.sum(axis=1, keepdims=True) - y,
}
"""∂L/∂z of a cross-entropy after a softmax."""

BINARY_VALUES: Mapping[str, Formula] = {
    "{} is added inside the logarithm": lambda o, y, e, top: y * np.log(o + e) + (1 - y) * np.log(1 - o + e),
    "o is kept {} away from 0 and 1 inside the logarithm": lambda o, y, e, top: (
        y * np.log(_kept(o, e, top)) + (1 - y) * np.log(1 - _kept(o, e, top))
    ),
    "o is kept above {} inside the logarithm": lambda o, y, e, top: (
        y * np.log(np.maximum(o, e)) + (1 - y) * np.log(np.maximum(1 - o, e))
    ),
}
VALUES: Mapping[str, Formula] = {
    "{} is added inside the logarithm": lambda o, y, e, top: y * np.log(o + e),
    "o is kept {} away from 0 and 1 inside the logarithm": lambda o, y, e, top: y * np.log(_kept(o, e, top)),
    "o is kept above {} inside the logarithm": lambda o, y, e, top: y * np.log(np.maximum(o, e)),
    "{} is added to the sum in the softmax": lambda o, y, e, top: y * np.log(_with_total(o, e)),
}
"""-ℓ_ij of the entropies, (n, K)."""


class Guard(ABC):
    """What a program does to a right formula for the sake of extreme numbers: its size, and what comes of it."""

    cure: ClassVar[str]
    """How to do without it."""

    @property
    @abstractmethod
    def size(self) -> float:
        """About what it adds to or takes from a number of size 1."""

    @abstractmethod
    def concerns(self, case: Case) -> bool:
        """Whether the choices of a case bring it in."""

    @abstractmethod
    def replaced(self, network: Network, case: Case) -> list[tuple[Step, Function]]:
        """The steps of the right program that it replaces."""

    @abstractmethod
    def value(self, case: Case) -> float:
        """The guarded loss."""

    @abstractmethod
    def near(self, case: Case) -> str:
        """How near the case comes to where it matters: `an output is 1e-9 from 0`."""

    def gradient(self, network: Network, probe: Probe) -> dict[str, Array]:
        """The guarded gradient, by name."""
        edits = [network.edit(step, function) for step, function in self.replaced(network, probe.case)]
        with np.errstate(all="ignore"):
            return network.with_edits(probe, edits) or {}

    def explains_gradient(self, network: Network, probe: Probe) -> bool:
        """Whether rounding, or a kink, parts the answer from the guarded gradient, and nothing else does."""
        truth, found = probe.case.oracle, self.gradient(network, probe)
        return bool(found) and compare(probe.answer, found, named(truth.error), named(truth.open)).holds

    def explains_value(self, case: Case, answer: float) -> bool:
        """Whether rounding parts the answer from the guarded loss, and nothing else does."""
        return abs(answer - self.value(case)) <= case.oracle.loss_error


@dataclass(frozen=True)
class Epsilon(Guard):
    """One ε of one entropy, in its slope or in its value."""

    cure = "Leave it out: where the output's slope is multiplied out on paper, no output stands in a denominator."

    loss: str
    text: str
    epsilon: float
    formula: Formula

    @property
    def size(self) -> float:
        """The ε."""
        return self.epsilon

    def __str__(self) -> str:
        """`1e-12 is added inside the logarithm`."""
        return self.text.format(f"{self.size:.3g}")

    def concerns(self, case: Case) -> bool:
        """Where that entropy is the loss."""
        return case.loss == self.loss

    def _at(self, case: Case, o: Array, y: Array) -> Array:
        fmt = case.inputs.dtype.type
        with np.errstate(all="ignore"):
            found = self.formula(o, y, self.size, float(fmt(1) - fmt(self.size)))
        return found / o.shape[1] if self.loss.startswith("mean") else found

    def error(self, case: Case, o: Array, y: Array) -> Array:
        """∂L/∂z of the last layer, (n, K)."""
        return self._at(case, o, y) / divisor(case.samples, case.reduction)

    def replaced(self, network: Network, case: Case) -> list[tuple[Step, Function]]:
        """∂L/∂z of the last layer."""
        (scores,) = network.of("scores")
        return [(scores, lambda o, y: self.error(case, o, y))]

    def value(self, case: Case) -> float:
        """The guarded loss."""
        _, o = _last(case)
        terms = self._at(case, o, case.rows.astype(float))
        return -float(terms.sum()) / divisor(case.samples, case.reduction)

    def near(self, case: Case) -> str:
        """`an output is 1e-9 from 0 or 1`."""
        _, o = _last(case)
        if case.output == "sigmoid":
            return f"an output is {float(np.minimum(o, 1 - o).min()):.1g} from 0 or 1"
        return f"an output is {float(o.min()):.1g} from 0"


@dataclass(frozen=True)
class Cut(Guard):
    """An activation that is not computed beyond some z, as softplus is z where z > 20."""

    cure = "Leave it out: written with the exponential of -|z|, no activation overflows."

    activation: str
    text: str
    at: int
    cut: "Callable[[Elementwise, int], Elementwise]"

    @property
    def size(self) -> float:
        """What σ and softplus are from their limits there, e^-|z|."""
        return float(np.exp(-self.at))

    def __str__(self) -> str:
        """`softplus is z where z > 20`."""
        return self.text.format(self.activation, self.at)

    def concerns(self, case: Case) -> bool:
        """Where the network has that activation."""
        return bool(_entering(self.activation, case))

    @property
    def row(self) -> "Elementwise":
        """The cut activation."""
        name = self.activation
        plain = Elementwise(lambda z: value(name, z), lambda z: back(name, np.ones_like(z), z))
        return self.cut(plain, self.at)

    def replaced(self, network: Network, case: Case) -> list[tuple[Step, Function]]:
        """The value and the slope of every layer with that activation; the error of an entropy that has it inside."""
        f, slope = self.row
        layers = layers_of(case.parameters, case.hidden, case.output)
        ours = [number for number, layer in enumerate(layers, start=1) if layer.activation == self.activation]
        up = [(step, lambda z: f(z)) for step in network.of("value") if step.layer in ours]  # noqa: PLW0108
        down = [
            (step, lambda dh, z: dh * slope(z))
            for step in network.of("slope")
            if step.layer in ours and not step.within
        ]
        (scores,) = network.of("scores")
        inside = case.loss not in SQUARED and network.layers in ours
        return [*up, *down, *([(scores, self._scores_error(case))] if inside else [])]

    def _scores_error(self, case: Case) -> Function:
        """(o − y) of a binary entropy, as it is divided."""

        def at_scores(v: Array, z: Array, y: Array) -> Array:
            plain = value(self.activation, z) - y
            return v + (self.row.forward(z) - y - plain) * divided

        divided = (
            1 / divisor(case.samples, case.reduction) / (case.outputs if case.loss.startswith("mean") else 1)
        )
        return at_scores

    def value(self, case: Case) -> float:
        """The loss with that activation."""
        here, f = wide(case), self.row.forward
        layers = layers_of(here.parameters, case.hidden, case.output)
        table = {**ACTIVATIONS, self.activation: lambda xp, z: f(z)}
        h, z = here.inputs, here.inputs
        with np.errstate(all="ignore"):
            for layer in layers:
                z = h @ layer.W if layer.b is None else h @ layer.W + layer.b
                h = table[layer.activation](np, z)
            terms = loss_terms(np, layers[-1], z, h, here.targets, case.loss)
        return float(terms.sum()) / divisor(case.samples, case.reduction)

    def near(self, case: Case) -> str:
        """`the largest z is 21`."""
        size = "z" if self.activation == "softplus" else "|z|"
        return f"the largest {size} is {_largest(self.activation, case):.2g}"


class Elementwise(NamedTuple):
    """An activation: h and its slope, both from z."""

    forward: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def _entering(activation: str, case: Case) -> list[Array]:
    """The z of the layers that have an activation, (n, fan_out) each."""
    here = wide(case)
    layers = layers_of(here.parameters, case.hidden, case.output)
    with np.errstate(all="ignore"):
        zs, _ = forward(np, layers, here.inputs)
    return [z for z, layer in zip(zs, layers, strict=True) if layer.activation == activation]


def _largest(activation: str, case: Case) -> float:
    """The largest z, where a softplus is cut; the largest |z| for another activation, which is cut on both sides."""
    zs = _entering(activation, case)
    return max(float((z if activation == "softplus" else abs(z)).max()) for z in zs)


def _beyond(plain: Elementwise, at: int) -> Elementwise:
    """h = z and a slope of 1 for z > at."""
    return Elementwise(
        lambda z: np.where(z > at, z, plain.forward(z)), lambda z: np.where(z > at, 1, plain.slope(z))
    )


def _value_beyond(plain: Elementwise, at: int) -> Elementwise:
    """h = z for z > at, the slope as everywhere."""
    return Elementwise(_beyond(plain, at).forward, plain.slope)


def _slope_beyond(plain: Elementwise, at: int) -> Elementwise:
    """A slope of 1 for z > at, the value as everywhere."""
    return Elementwise(plain.forward, _beyond(plain, at).slope)


def _within(plain: Elementwise, at: int) -> Elementwise:
    """z is kept within ± at, and the slope is taken there."""
    return Elementwise(lambda z: plain.forward(z.clip(-at, at)), lambda z: plain.slope(z.clip(-at, at)))


def _flat_beyond(plain: Elementwise, at: int) -> Elementwise:
    """z is kept within ± at, as autodiff differentiates that: a slope of 0 beyond."""
    f, slope = _within(plain, at)
    return Elementwise(f, lambda z: np.where(abs(z) > at, 0, slope(z)))


CUTS: Sequence[tuple[str, str, Callable[[Elementwise, int], Elementwise]]] = (
    ("softplus", "{} is z where z > {}", _beyond),
    ("softplus", "{} is z where z > {}, but for its slope", _value_beyond),
    ("softplus", "the slope of {} is 1 where z > {}", _slope_beyond),
    *((name, "z is kept within ± {1} before {0}", _within) for name in ("sigmoid", "softplus", "tanh")),
    *(
        (name, "z is kept within ± {1} before {0}, whose slope is 0 beyond", _flat_beyond)
        for name in ("sigmoid", "softplus", "tanh")
    ),
)
"""Activation, in words, and what becomes of its row."""
CUT_AT = range(40, 1, -1)
"""Where programs cut: whole numbers, down from where nothing is left of e^-z beside z."""


def _last(case: Case) -> tuple[Array, Array]:
    """The last z and the output, (n, K)."""
    here = wide(case)
    with np.errstate(all="ignore"):
        zs, hs = forward(np, layers_of(here.parameters, case.hidden, case.output), here.inputs)
    return zs[-1], hs[-1]


def _slopes(loss: str) -> Iterator[Epsilon]:
    return _guards(loss, SLOPES if loss == "cross_entropy" else BINARY_SLOPES)


def values(loss: str) -> Iterator[Epsilon]:
    """The guards that the value of a loss may have; none of a squared one."""
    if loss.endswith("cross_entropy"):
        yield from _guards(loss, VALUES if loss == "cross_entropy" else BINARY_VALUES)


def _guards(loss: str, rows: Mapping[str, Formula]) -> Iterator[Epsilon]:
    for text, formula in rows.items():
        for size in USUAL:
            yield Epsilon(loss, text, size, formula)


def _cuts(activation: str) -> Iterator[Guard]:
    for name, text, cut in CUTS:
        if name == activation:
            for at in CUT_AT:
                yield Cut(name, text, at, cut)


class Coarse(Probe):
    """A probe that overlooks what an ε does to outputs of size 1."""

    @cached_property
    def error(self) -> dict[str, Array]:
        """A thousandth of the largest entry."""
        return {
            name: np.full_like(right, OVERLOOKED * float(abs(right).max()))
            for name, right in self.right.items()
        }


@dataclass(frozen=True)
class WithGuard(Probe):
    """A probe whose right gradient is the guarded one."""

    guard: "Epsilon" = field(kw_only=True)

    @property
    def beside(self) -> Callable[..., Array]:
        """The guarded ∂L/∂z."""
        return lambda o, y: self.guard.error(self.case, o, y)

    @cached_property
    def right(self) -> dict[str, Array]:
        """The guarded gradient by name."""
        return Network(self.case).with_edits(self, []) or {}


def beside(holds: Callable[[Probe], bool], probes: Sequence[Probe], interview: Interview) -> Guard | None:
    """The guard with which an account of a mistake holds of every probe; None for no such."""
    like = probes[0].case
    for guard in _slopes(like.loss):
        interview.step()
        if all(holds(WithGuard(probe.case, probe.answer, guard=guard)) for probe in probes):
            return guard
    return None


class Guarded:
    """A subject whose answers count as the right ones where a guard explains them; its other answers stand."""

    def __init__(self, subject: Subject, slope: Guard | None, value: Guard | None, effect: str) -> None:
        """The guards of its gradient and of its loss; `effect` says what they do, and those of a guarded subject."""
        self.subject, self.slope, self.value = subject, slope, value
        self.effect = f"{subject.effect}; {effect}" if isinstance(subject, Guarded) else effect

    @property
    def name(self) -> str:
        """The subject's."""
        return self.subject.name

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The subject's."""
        return self.subject.claims

    @property
    def rational(self) -> bool:
        """The subject's."""
        return self.subject.rational

    @property
    def has_loss(self) -> bool:
        """The subject's."""
        return self.subject.has_loss

    @property
    def sizes(self) -> list[float]:
        """The ε of its guards."""
        return [guard.size for guard in (self.slope, self.value) if guard is not None]

    def gradient(self, case: Case) -> Parameters:
        """The right gradient where the guard explains the subject's, and the subject's otherwise."""
        answer = self.subject.gradient(case)
        guard = self.slope
        if (
            guard is None
            or not guard.concerns(case)
            or case.overflows
            or not guard.explains_gradient(Network(case), Probe(case, named(answer)))
        ):
            return answer
        return [
            (dW.astype(given.dtype), None if db is None or beside is None else db.astype(beside.dtype))
            for (dW, db), (given, beside) in zip(case.oracle.gradient, answer, strict=True)
        ]

    def loss(self, case: Case) -> float:
        """The right loss where the guard explains the subject's, and the subject's otherwise."""
        answer = self.subject.loss(case)
        guard = self.value
        if guard is None or not guard.concerns(case) or not guard.explains_value(case, answer):
            return answer
        return case.oracle.loss

    def impurity(self) -> str:
        """The subject's."""
        return self.subject.impurity()

    def renew(self) -> None:
        """The subject is renewed."""
        self.subject.renew()


@dataclass(frozen=True)
class _Heard:
    """A case with the subject's answers; no loss where it gives none."""

    probe: Probe
    value: float | None

    @property
    def case(self) -> Case:
        return self.probe.case

    @property
    def answer(self) -> Mapping[str, Array]:
        return self.probe.answer

    @cached_property
    def network(self) -> Network:
        return Network(self.case)

    @cached_property
    def slope_is_off(self) -> bool:
        truth = self.case.oracle
        return not compare(self.answer, named(truth.gradient), named(truth.error), named(truth.open)).holds

    @cached_property
    def value_is_off(self) -> bool:
        truth = self.case.oracle
        return self.value is not None and not abs(self.value - truth.loss) <= truth.loss_error


def find_guards(subject: Subject, case: Case, *, steps: int = STEPS) -> Guarded | None:
    """The subject with the guards of one of its losses; None where no guard explains what is wrong.

    Args:
        subject: breaks a law.
        case: one on which it does; fresh cases are made with its choices.
        steps: after so many the answer is None.
    """
    interview = Interview(subject, steps)
    try:
        with np.errstate(all="ignore"):
            for slopes, of_value, spread in _families(case):
                found = _explained(interview, case, slopes, of_value, spread)
                if found is not None:
                    return found
    except (OutOfSteps, SubjectGone):
        pass
    return None


Spread = Callable[[Case, float], Case]
"""A case with its z as large as that."""


def _families(case: Case) -> Iterator[tuple[Iterator[Guard], Iterator[Guard], Spread]]:
    """Guards of the slope, guards of the value, and how fresh cases come near to where they matter."""
    if case.loss.endswith("cross_entropy"):
        yield _slopes(case.loss), values(case.loss), _with_last_z
    for activation in dict.fromkeys(name for name, _, _ in CUTS):
        if _entering(activation, case):
            yield _cuts(activation), _cuts(activation), partial(_with_z_of, activation)


def _explained(
    interview: Interview, case: Case, slopes: Iterator[Guard], of_value: Iterator[Guard], spread: Spread
) -> Guarded | None:
    heard = _hear(interview, case, spread)
    slope = _standing(
        [one for one in heard if one.slope_is_off],
        slopes,
        lambda guard, one: guard.explains_gradient(one.network, one.probe),
    )
    value = _standing(
        [one for one in heard if one.value_is_off],
        of_value,
        lambda guard, one: guard.explains_value(one.case, one.value or 0.0),
    )
    if slope is None and value is None:
        return None
    told = [
        f"{guard}{_effect(guard, what, heard, off)}"
        for guard, what, off in ((value, "loss", _value_off), (slope, "gradient", _slope_off))
        if guard is not None
    ]
    return Guarded(interview.subject, slope, value, "; ".join(told))


def _hear(interview: Interview, case: Case, spread: Spread) -> list[_Heard]:
    """The subject's answers to the case and to fresh ones, those that can be judged.

    The largest z of the fresh ones are between all whole numbers up to where activations are flat to the last digit.
    """
    maker = Maker(case, claim_of(interview.subject, case), np.random.default_rng(0))
    heard: list[_Heard] = []
    flat = int(-np.log(np.finfo(case.inputs.dtype).eps / 2))
    for one in (case, *(spread(maker.case(), z + 0.5) for z in range(1, flat + 1))):
        probe = interview.ask(one)
        if probe is None or probe.fault is not None:
            continue
        try:
            value = interview.subject.loss(one) if interview.subject.has_loss else None
        except (Violation, Inconclusive):
            value = None
        heard.append(_Heard(probe, value))
        if len(heard) > EVIDENCE and all(map(_is_far_off, heard)):
            return []
    return heard


def _is_far_off(one: _Heard) -> bool:
    """Whether all that the subject gives is off by more than any ε explains, where outputs are of size 1."""
    slope = one.slope_is_off and _slope_off(one) > FAR
    return slope and (one.value is None or (one.value_is_off and _value_off(one) > FAR))


def _with_last_z(case: Case, largest: float) -> Case:
    """The case with its last layer scaled so that the largest |z| there is this one."""
    z, _ = _last(case)
    *lower, (W, b) = case.parameters
    factor = case.inputs.dtype.type(largest / abs(z).max())
    return replace(case, parameters=[*lower, (W * factor, None if b is None else b * factor)])


def _with_z_of(activation: str, case: Case, largest: float) -> Case:
    """The case with its first layer scaled so that the largest z of an activation is about this one."""
    for _ in range(SCALED):
        z = _largest(activation, case)
        case = saturated(case, largest / z) if z > 0 else case
    return case


def _standing(
    off: Sequence[_Heard], guards: Iterator[Guard], explains: Callable[[Guard, _Heard], bool]
) -> Guard | None:
    """The first guard that explains one wrong answer, and then all the others."""
    if len(off) <= EVIDENCE:
        return None
    # The middle one shows an ε best: enough is lost to tell ε by, and not all.
    first = off[len(off) // 2]
    return next(
        (g for g in guards if explains(g, first) and all(explains(g, one) for one in off)),
        None,
    )


def _slope_off(one: _Heard) -> float:
    right = named(one.case.oracle.gradient)
    size = max(float(abs(array).max(initial=0)) for array in right.values())
    return _relative(max(float(abs(one.answer[name] - right[name]).max(initial=0)) for name in right), size)


def _value_off(one: _Heard) -> float:
    return _relative(abs((one.value or 0.0) - one.case.oracle.loss), one.case.oracle.loss)


def _relative(difference: float, size: float) -> float:
    return difference / size if size else np.inf


def _effect(guard: Guard, what: str, heard: Sequence[_Heard], off: Callable[[_Heard], float]) -> str:
    """How far off that is, on the worst fresh case, and on the one with the smallest z."""
    _, *fresh = heard
    worst = max(fresh, key=off)
    usual = f"by {off(fresh[0]):.1g}" if off(fresh[0]) > SEEN else "by nothing"
    return (
        f": the {what} is off by up to {off(worst):.1g} of its size, where {guard.near(worst.case)}, "
        f"and {usual} where {guard.near(fresh[0].case)}"
    )
