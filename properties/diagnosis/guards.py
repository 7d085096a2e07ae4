"""A right formula that is guarded against extreme numbers: by a small ε, or by an activation that is cut.

log(o + ε), a quotient by o + ε, o kept within [ε, 1 - ε]; or softplus(z) = z where z > 20. Each is the right program
with a step replaced, as a mistake is, but the value of an entropy and its slope are off by about ε/o: by nothing that
can be seen where the outputs o are of size 1, and by everything where an output is smaller than ε. So a guard is looked
for on cases that come nearer and nearer to where it matters, and has to explain all of them to the last rounding. The
bounds of the plain formulas hold for the guarded ones too: a quotient by o + ε magnifies an error of o by less than
one by o.

Its number is read off an answer: the more ε is, the further the guarded formula is from the right one, so that there is
one interval of numbers with which it is as far from it as the answer is, but for rounding.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import log, sqrt
from typing import NamedTuple

import numpy as np

from properties.cases import Array, Case, Parameters
from properties.comparison import compare, named
from properties.diagnosis.networks import SQUARED, Network, Replaced, back, value
from properties.diagnosis.probes import STEPS, Interview, Maker, OutOfSteps, Probe, claim_of, wide
from properties.diagnosis.saturation import saturated
from properties.diagnosis.search import Candidate, Explanation
from properties.diagnosis.trials import shorter
from properties.search import Inconclusive, SubjectGone, Violation
from properties.subjects import Subject
from reference.network import ACTIVATIONS, divisor, forward, layers_of, loss_terms

LARGEST_GUARD = float(np.finfo(np.float32).eps)
"""A larger ε would show in single precision too: then it is another formula."""
EPSILONS = float(np.finfo(np.float64).tiny), 2.0**-4
"""The ends between which ε lies: one that does nothing, and one that is no small number any more."""
FAR = 2.0**-4
"""Relative to the largest entry, more than the largest of these takes away where outputs are of size 1."""
NEAR = 2.0**-44
"""Relative to a number, what no more of it can be told by than rounding leaves of an answer."""
SCALED = 3
"""As often is a first layer scaled, until a z above it is what it should be: that does not grow in proportion."""
EVIDENCE = 3
"""As many fresh cases have to show a guard, before it is believed."""
SEEN = 2.0**-50
"""A smaller part of a number is rounding."""
MOST_GUARDS = 4
"""Of a module with several losses, as many may have one."""
PLAIN = (
    "Leave it out: where the output's slope is multiplied out on paper, no output stands in a denominator."
)
UNCUT = "Leave it out: written with the exponential of -|z|, no activation overflows."


@dataclass(frozen=True)
class Guard:
    """What a program does to a right formula for the sake of extreme numbers.

    Attributes:
        text: `1e-12 is added inside the logarithm`.
        size: about what it adds to or takes from a number of size 1.
        cure: how to do without it.
        concerns: whether the choices of a case bring it in.
        replaced: the steps of the right program that it replaces.
        value: the guarded loss of a case.
        near: how near a case comes to where it matters: `an output is 1e-9 from 0`.
    """

    text: str
    size: float
    cure: str
    concerns: Callable[[Case], bool]
    replaced: Callable[[Network], list[Replaced]]
    value: Callable[[Case], float]
    near: Callable[[Case], str]

    def candidate(self, network: Network) -> Candidate:
        """The guarded gradient."""
        return network.candidate(self.text, self.replaced(network), cure=self.cure)

    def explains_gradient(self, network: Network, probe: Probe) -> bool:
        """Whether rounding, or a kink, parts the answer from the guarded gradient, and nothing else does."""
        truth, found = probe.case.oracle, self.candidate(network).at(probe)
        return bool(found) and compare(probe.answer, found or {}, named(truth.error), named(truth.open)).holds

    def explains_value(self, case: Case, answer: float) -> bool:
        """Whether rounding parts the answer from the guarded loss, and nothing else does."""
        return abs(answer - self.value(case)) <= case.oracle.loss_error


@dataclass(frozen=True)
class Family:
    """Guards that differ in their number.

    Attributes:
        make: the guard with a number.
        ends: a number with which it does nothing, and one with which it does much: from the first to the second, it
            does more and more.
    """

    make: Callable[[float], Guard]
    ends: tuple[float, float]

    def fitted(
        self, predicted: Callable[[Guard], Array], right: Array, answer: Array, error: float
    ) -> Iterator[Guard]:
        """The guards that are as far from what is right as an answer is, those of short numbers first.

        Args:
            predicted: what a guard gives, (m,).
            right: what is right, (m,).
            answer: what the subject gives, (m,).
            error: what rounding adds to the distance of these two.
        """
        distance = float(np.linalg.norm(answer - right))
        if not error < distance < np.inf:
            return

        def reached(wanted: float) -> float:
            weak, strong = self.ends
            while abs(log(strong / weak)) > NEAR:
                middle = sqrt(weak * strong)
                is_as_far = np.linalg.norm(predicted(self.make(middle)) - right) >= wanted  # NaN is not
                weak, strong = (weak, middle) if is_as_far else (middle, strong)
            return strong

        low, high = sorted((reached(distance - error), reached(distance + error)))
        middle = sqrt(low * high)
        short = (one for one in shorter(middle) if low <= one <= high)
        yield from map(self.make, dict.fromkeys((*short, middle)))


# --- an ε in an entropy ---------------------------------------------------------------------------------------

Formula = Callable[[Array, Array, float, float], Array]
"""From the output o and the target y, both (n, K), ε, and the largest number below 1 that o is kept under."""


def _through_softmax(d: Array, o: Array) -> Array:
    return o * (d - (d * o).sum(axis=1, keepdims=True))


def _with_total(o: Array, e: float) -> Array:
    """e^(z - max z) / (Σ + ε), where Σ of these exponentials is 1/max o."""
    return o / (1 + e * o.max(axis=1, keepdims=True))


INSIDE, AWAY = "{} is added inside the logarithm", "o is kept {} away from 0 and 1"
ZERO = "the slope is 0 where o is less than {} away from 0 or 1"
BINARY_SLOPES: Mapping[str, Formula] = {
    INSIDE: lambda o, y, e, top: (-y / (o + e) + (1 - y) / (1 - o + e)) * o * (1 - o),
    "{} is added to o(1 − o) in a denominator": lambda o, y, e, top: (
        (o - y) / (o * (1 - o) + e) * o * (1 - o)
    ),
    f"{AWAY} in a denominator": lambda o, y, e, top: (
        (o.clip(e, top) - y) / (o.clip(e, top) * (1 - o.clip(e, top))) * o * (1 - o)
    ),
    AWAY: lambda o, y, e, top: o.clip(e, top) - y,
    ZERO: lambda o, y, e, top: (o - y) * (o >= e) * (o <= top),
}
"""∂L/∂z of a binary cross-entropy, summed over the outputs."""
SLOPES: Mapping[str, Formula] = {
    INSIDE: lambda o, y, e, top: _through_softmax(-y / (o + e), o),
    "o is kept above {} in a denominator": lambda o, y, e, top: _through_softmax(-y / np.maximum(o, e), o),
    AWAY: lambda o, y, e, top: o.clip(e, top) * y.sum(axis=1, keepdims=True) - y,
    ZERO: lambda o, y, e, top: _through_softmax(-y * (o >= e) * (o <= top) / np.maximum(o, e), o),
    "{} is added to the sum in the softmax": lambda o, y, e, top: (
        _with_total(o, e) * y.sum(1, keepdims=True) - y
    ),
}
"""∂L/∂z of a cross-entropy after a softmax."""
BINARY_VALUES: Mapping[str, Formula] = {
    INSIDE: lambda o, y, e, top: y * np.log(o + e) + (1 - y) * np.log(1 - o + e),
    f"{AWAY} inside the logarithm": lambda o, y, e, top: (
        y * np.log(o.clip(e, top)) + (1 - y) * np.log(1 - o.clip(e, top))
    ),
    "o is kept above {} inside the logarithm": lambda o, y, e, top: (
        y * np.log(np.maximum(o, e)) + (1 - y) * np.log(np.maximum(1 - o, e))
    ),
}
VALUES: Mapping[str, Formula] = {
    INSIDE: lambda o, y, e, top: y * np.log(o + e),
    f"{AWAY} inside the logarithm": lambda o, y, e, top: y * np.log(o.clip(e, top)),
    "o is kept above {} inside the logarithm": lambda o, y, e, top: y * np.log(np.maximum(o, e)),
    "{} is added to the sum in the softmax": lambda o, y, e, top: y * np.log(_with_total(o, e)),
}
"""-ℓ_ij of the entropies, (n, K)."""


def _epsilons(loss: str, rows: Mapping[str, Formula]) -> Iterator[Family]:
    """Each formula, in the slope of a loss or in its value."""
    return (Family(partial(_with_epsilon, loss, text, formula), EPSILONS) for text, formula in rows.items())


def _with_epsilon(loss: str, text: str, formula: Formula, size: float) -> Guard:
    def at(case: Case, o: Array, y: Array) -> Array:
        fmt = case.inputs.dtype.type
        with np.errstate(all="ignore"):
            found = formula(o, y, size, float(fmt(1) - fmt(size)))
        by = divisor(len(o), case.reduction) * (o.shape[1] if loss.startswith("mean") else 1)
        return found / by

    def replaced(network: Network) -> list[Replaced]:
        return [(step, lambda o, y: at(network.case, o, y)) for step in network.of("scores")]

    def of_loss(case: Case) -> float:
        _, o = _last(case)
        return -float(at(case, o, case.rows.astype(float)).sum())

    told = text.format(f"{size:.3g}")
    return Guard(told, size, PLAIN, lambda case: case.loss == loss, replaced, of_loss, _near_to_an_end)


def _last(case: Case) -> tuple[Array, Array]:
    """The last z and the output, (n, K)."""
    here = wide(case)
    with np.errstate(all="ignore"):
        zs, hs = forward(np, layers_of(here.parameters, case.hidden, case.output), here.inputs)
    return zs[-1], hs[-1]


def _near_to_an_end(case: Case) -> str:
    """`an output is 1e-9 from 0 or 1`."""
    _, o = _last(case)
    if case.output == "sigmoid":
        return f"an output is {float(np.minimum(o, 1 - o).min()):.1g} from 0 or 1"
    return f"an output is {float(o.min()):.1g} from 0"


def slopes(loss: str) -> Iterator[Family]:
    """The guards that the slope of an entropy may have."""
    return _epsilons(loss, SLOPES if loss == "cross_entropy" else BINARY_SLOPES)


def values(loss: str) -> Iterator[Family]:
    """The guards that the value of a loss may have; none of a squared one."""
    rows = VALUES if loss == "cross_entropy" else BINARY_VALUES
    return _epsilons(loss, rows if loss.endswith("cross_entropy") else {})


# --- an activation that is cut ---------------------------------------------------------------------------------

Elementwise = Callable[[Array], Array]
CUTS: Sequence[tuple[str, str, Callable[..., Array], Callable[..., Array]]] = (
    *(("softplus", text, up, down) for text, up, down in (
        ("{} is z where z > {}", lambda f, z, t: np.where(z > t, z, f(z)), lambda g, z, t: np.where(z > t, 1, g(z))),
        ("{} is z where z > {}, but for its slope", lambda f, z, t: np.where(z > t, z, f(z)), lambda g, z, t: g(z)),
        ("the slope of {} is 1 where z > {}", lambda f, z, t: f(z), lambda g, z, t: np.where(z > t, 1, g(z))),
    )),
    *((name, text, lambda f, z, t: f(z.clip(-t, t)), down) for text, down in (
        ("z is kept within ± {1} before {0}", lambda g, z, t: g(z.clip(-t, t))),
        ("z is kept within ± {1} before {0}, whose slope is 0 beyond", lambda g, z, t: g(z) * (abs(z) <= t)),
    ) for name in ("sigmoid", "softplus", "tanh")),
)  # fmt: skip
"""Activation, in words, and what becomes of its value f and of its slope g at z."""
CUT_AT = 750.0, 1.0
"""The ends between which programs cut: e^-z is 0 at the first, and the second is no large number any more."""


def _cuts(activation: str) -> Iterator[Family]:
    return (Family(partial(_with_cut, *row), CUT_AT) for row in CUTS if row[0] == activation)


def _with_cut(
    activation: str, text: str, up: Callable[..., Array], down: Callable[..., Array], at: float
) -> Guard:
    f = partial(up, partial(value, activation), t=at)
    slope = partial(down, lambda z: back(activation, np.ones_like(z), z), t=at)
    return Guard(
        text.format(activation, f"{at:.6g}"),
        float(np.exp(-at)),  # what σ and softplus are from their limits there
        UNCUT,
        lambda case: bool(_entering(activation, case)),
        partial(_cut_steps, activation, f, slope),
        partial(_cut_loss, activation, f),
        lambda case: f"the largest {_sized(activation)} is {_largest(activation, case):.2g}",
    )


def _cut_steps(activation: str, f: Elementwise, slope: Elementwise, network: Network) -> list[Replaced]:
    """The value and the slope of every layer with that activation; the error of an entropy that has it inside."""
    case, ours = (
        network.case,
        [i for i in range(1, network.layers + 1) if network.activation(i) == activation],
    )

    def at_scores(v: Array, z: Array) -> Array:
        """(o − y) of a binary entropy, as it is divided."""
        by = divisor(len(v), case.reduction) * (v.shape[1] if case.loss.startswith("mean") else 1)
        return v + (f(z) - value(activation, z)) / by

    up: list[Replaced] = [(step, lambda z: f(z)) for step in network.of("value") if step.layer in ours]  # noqa: PLW0108
    up += [
        (step, lambda dh, z: dh * slope(z))
        for step in network.of("slope")
        if step.layer in ours and not step.within
    ]
    inside = case.loss not in SQUARED and network.layers in ours
    return [*up, *((step, at_scores) for step in network.of("scores") if inside)]


def _cut_loss(activation: str, f: Elementwise, case: Case) -> float:
    here = wide(case)
    layers = layers_of(here.parameters, case.hidden, case.output)
    table = {**ACTIVATIONS, activation: lambda xp, z: f(z)}
    h = z = here.inputs
    with np.errstate(all="ignore"):
        for layer in layers:
            z = h @ layer.W if layer.b is None else h @ layer.W + layer.b
            h = table[layer.activation](np, z)
        terms = loss_terms(np, layers[-1], z, h, here.targets, case.loss)
    return float(terms.sum()) / divisor(case.samples, case.reduction)


def _entering(activation: str, case: Case) -> list[Array]:
    """The z of the layers that have an activation, (n, fan_out) each."""
    here = wide(case)
    layers = layers_of(here.parameters, case.hidden, case.output)
    with np.errstate(all="ignore"):
        zs, _ = forward(np, layers, here.inputs)
    return [z for z, layer in zip(zs, layers, strict=True) if layer.activation == activation]


def _sized(activation: str) -> str:
    """A softplus is cut where z is large, other activations on both sides."""
    return "z" if activation == "softplus" else "|z|"


def _largest(activation: str, case: Case) -> float:
    zs = _entering(activation, case)
    return max(float((z if activation == "softplus" else abs(z)).max()) for z in zs)


# --- subjects with guards ---------------------------------------------------------------------------------------


def beside(found: Explanation, probes: Sequence[Probe]) -> str:
    """The guard with which a mistake explains every probe; empty for none."""
    (*others, one) = (finding.candidate for finding in found.findings)
    network = Network(probes[0].case)
    plain = Candidate(one.text, network, one.edits, one.change, one.after)

    def flat(candidate: Candidate | None, probe: Probe) -> Array:
        return _flat(candidate.at(probe) if candidate else None, probe.right)

    def off(probe: Probe) -> float:
        return float(np.linalg.norm(_flat(probe.answer, probe.right) - flat(plain, probe)))

    def both(guard: Guard) -> Candidate | None:
        return guard.candidate(network).then(plain)

    most = max(probes, key=off)
    for family in slopes(probes[0].case.loss) if not others else ():
        for guard in family.fitted(
            lambda guard: flat(both(guard), most),
            flat(plain, most),
            _flat(most.answer, most.right),
            _norm(most.error),
        ):
            one = both(guard)
            if one is not None and all(map(one.everything, probes)):
                return guard.text
    return ""


def _flat(found: Mapping[str, Array] | None, like: Mapping[str, Array]) -> Array:
    """All gradients in one; NaN where there are none."""
    return np.concatenate([np.ravel(found[name] if found else 0 * like[name] + np.nan) for name in like])


def _norm(errors: Mapping[str, Array]) -> float:
    """Of what is bounded."""
    every = np.concatenate([np.ravel(one) for one in errors.values()])
    return float(np.linalg.norm(every[np.isfinite(every)]))


class Guarded:
    """A subject whose answers count as the right ones where a guard explains them; its other answers stand."""

    def __init__(self, subject: Subject, slope: Guard | None, value: Guard | None, effect: str) -> None:
        """The guards of its gradient and of its loss; `effect` says what they do, and those of a guarded subject."""
        self.subject, self.slope, self.value = subject, slope, value
        self.effect = f"{subject.effect}; {effect}" if isinstance(subject, Guarded) else effect
        self.name, self.claims, self.rational = subject.name, subject.claims, subject.rational
        self.has_loss, self.impurity, self.renew = subject.has_loss, subject.impurity, subject.renew

    @property
    def sizes(self) -> list[float]:
        """The ε of its guards."""
        return [guard.size for guard in (self.slope, self.value) if guard is not None]

    def gradient(self, case: Case) -> Parameters:
        """The right gradient where the guard explains the subject's, and the subject's otherwise."""
        answer, guard = self.subject.gradient(case), self.slope
        if guard is None or not guard.concerns(case) or case.overflows:
            return answer
        if not guard.explains_gradient(Network(case), Probe(case, named(answer))):
            return answer
        return [
            (dW.astype(given.dtype), None if db is None or beside is None else db.astype(beside.dtype))
            for (dW, db), (given, beside) in zip(case.oracle.gradient, answer, strict=True)
        ]

    def loss(self, case: Case) -> float:
        """The right loss where the guard explains the subject's, and the subject's otherwise."""
        answer, guard = self.subject.loss(case), self.value
        if guard is None or not guard.concerns(case) or not guard.explains_value(case, answer):
            return answer
        return case.oracle.loss


class _Gradient:
    """The subject's gradient for a case, held against the right one."""

    def __init__(self, probe: Probe, network: Network) -> None:
        """The network has the choices of the case."""
        self.probe, self.network, truth = probe, network, probe.case.oracle
        self.right, self.answer = _flat(probe.right, probe.right), _flat(probe.answer, probe.right)
        self.error = _norm(named(truth.error))
        self.off = 0.0
        """How far it is off, relative to its largest entry; 0 where rounding explains it."""
        if not compare(probe.answer, probe.right, named(truth.error), named(truth.open)).holds:
            size = float(abs(self.right).max(initial=0))
            self.off = float(abs(self.answer - self.right).max(initial=0)) / size if size else np.inf

    def predicted(self, guard: Guard) -> Array:
        """What the guard gives."""
        return _flat(guard.candidate(self.network).at(self.probe), self.probe.right)

    def explained(self, guard: Guard) -> bool:
        """Whether the guard gives the answer, but for rounding."""
        return guard.explains_gradient(self.network, self.probe)


class _Loss:
    """The same of its loss."""

    def __init__(self, case: Case, loss: float) -> None:
        """The loss is the subject's."""
        self.case, truth = case, case.oracle
        self.right, self.answer, self.error = np.array([truth.loss]), np.array([loss]), truth.loss_error
        self.off, apart = 0.0, abs(loss - truth.loss)
        if not apart <= truth.loss_error:
            self.off = apart / truth.loss if truth.loss else np.inf

    def predicted(self, guard: Guard) -> Array:
        """What the guard gives."""
        return np.array([guard.value(self.case)])

    def explained(self, guard: Guard) -> bool:
        """Whether the guard gives the answer, but for rounding."""
        return guard.explains_value(self.case, float(self.answer[0]))


class _Heard(NamedTuple):
    """A case, and the subject's answers to it; no loss where it gives none."""

    case: Case
    gradient: _Gradient
    loss: _Loss | None


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
            for of_slope, of_value, spread in _families(case):
                found = _explained(interview, case, of_slope, of_value, spread)
                if found is not None:
                    return found
    except (OutOfSteps, SubjectGone):
        pass
    return None


Spread = Callable[[Case, float], Case]
"""A case with its z as large as that."""


def _families(case: Case) -> Iterator[tuple[Iterator[Family], Iterator[Family], Spread]]:
    """Guards of the slope, guards of the value, and how fresh cases come near to where they matter."""
    if case.loss.endswith("cross_entropy"):
        yield slopes(case.loss), values(case.loss), _with_last_z
    for activation in dict.fromkeys(name for name, *_ in CUTS):
        if _entering(activation, case):
            yield _cuts(activation), _cuts(activation), partial(_with_z_of, activation)


def _explained(
    interview: Interview, case: Case, of_slope: Iterator[Family], of_value: Iterator[Family], spread: Spread
) -> Guarded | None:
    heard = _hear(interview, case, spread)
    slope = _standing([one.gradient for one in heard], of_slope)
    of_loss = _standing([one.loss for one in heard if one.loss is not None], of_value)
    told = [
        f"{guard.text}{_effect(guard, what, heard, amount)}"
        for guard, what, amount in (
            (of_loss, "loss", lambda one: one.loss.off if one.loss else 0.0),
            (slope, "gradient", lambda one: one.gradient.off),
        )
        if guard is not None
    ]
    return Guarded(interview.subject, slope, of_loss, "; ".join(told)) if told else None


def _hear(interview: Interview, case: Case, spread: Spread) -> list[_Heard]:
    """The subject's answers to the case and to fresh ones, those that can be judged.

    The largest z of the fresh ones are between all whole numbers up to where activations are flat to the last digit.
    None are given where all that the subject gives is off by more than any ε explains where outputs are of size 1.
    """
    maker = Maker(case, claim_of(interview.subject, case), np.random.default_rng(0))
    heard, network = list[_Heard](), Network(case)
    flat = int(-np.log(np.finfo(case.inputs.dtype).eps / 2))
    for one in (case, *(spread(maker.case(), z + 0.5) for z in range(1, flat + 1))):
        probe = interview.ask(one)
        if probe is None or probe.fault is not None:
            continue
        try:
            loss = _Loss(one, interview.subject.loss(one)) if interview.subject.has_loss else None
        except (Violation, Inconclusive):
            loss = None
        heard.append(_Heard(one, _Gradient(probe, network), loss))
        far = (one.gradient.off > FAR and (one.loss is None or one.loss.off > FAR) for one in heard)
        if len(heard) > EVIDENCE and all(far):
            return []
    return heard


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


def _standing(heard: Sequence[_Gradient | _Loss], families: Iterable[Family]) -> Guard | None:
    """The first guard that explains one wrong answer, and then all the others."""
    off = [one for one in heard if one.off]
    if len(off) <= EVIDENCE:
        return None
    # The middle one shows an ε best: enough is lost to tell ε by, and not all.
    first = off[len(off) // 2]
    for family in families:
        for some in ([first], off):  # of a cut, one case shows no more than between which two of its z it is
            fitted = [*_fitted(family, some)]
            for guard in fitted:
                if all(one.explained(guard) for one in (first, *off)):
                    return guard
            if not any(map(first.explained, fitted)):
                break
    return None


def _fitted(family: Family, some: Sequence[_Gradient | _Loss]) -> Iterator[Guard]:
    """The guards of a family with which some answers are as they are."""

    def joined(of: Callable[[_Gradient | _Loss], Array]) -> Array:
        return np.concatenate([*map(of, some)])

    return family.fitted(
        lambda guard: joined(lambda one: one.predicted(guard)),
        joined(lambda one: one.right),
        joined(lambda one: one.answer),
        float(np.linalg.norm([one.error for one in some])),
    )


def _effect(guard: Guard, what: str, heard: Sequence[_Heard], off: Callable[[_Heard], float]) -> str:
    """How far off that is, on the worst fresh case, and on the one with the smallest z."""
    _, *fresh = heard
    worst = max(fresh, key=off)
    usual = f"by {off(fresh[0]):.1g}" if off(fresh[0]) > SEEN else "by nothing"
    return (
        f": the {what} is off by up to {off(worst):.1g} of its size, where {guard.near(worst.case)}, "
        f"and {usual} where {guard.near(fresh[0].case)}"
    )
