"""A right formula with a small number ε in it: log(o + ε), a quotient by o + ε, o kept within [ε, 1 - ε].

Many programs guard an entropy so against log 0 and 0/0. Its value and its slope are then off by about ε/o:
by nothing that can be seen where the outputs o are of size 1, and by everything where an output is
smaller than ε. A guard is found on one case and has to explain fresh ones to the last rounding. The bounds
of the plain formulas hold for the guarded ones too: a quotient by o + ε magnifies an error of o by less
than one by o.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from manual_backprop import Rule, gradient
from manual_backprop.losses import LOSSES, divisor
from properties.cases import Array, Case, Parameters
from properties.comparison import compare, named
from properties.diagnosis.probes import Interview, Maker, OutOfTime, Probe, claim_of, wide
from properties.law import Inconclusive, SubjectGone, Violation
from properties.problem import Claim
from properties.subjects import Subject
from reference.network import forward, layers_of

LARGEST_GUARD = float(np.finfo(np.float32).eps)
"""A larger ε would show in single precision too: then it is another formula."""
USUAL = (
    *(float(f"{digit}e-{power}") for power in range(3, 18) for digit in (1, 2, 5)),
    float(np.finfo(np.float64).eps),
    LARGEST_GUARD,
)
"""What programs take for ε."""
FRESH = 32
"""As many fresh cases are asked, whose last z are from size 1 to where activations are flat to the last digit."""
FAR = 2.0**-4
"""Relative to the largest entry, more than the largest of these takes away where outputs are of size 1."""
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


@dataclass(frozen=True)
class Guard:
    """One ε of one entropy, in its slope or in its value."""

    loss: str
    text: str
    size: float
    formula: Formula

    def __str__(self) -> str:
        """`1e-12 is added inside the logarithm`."""
        return self.text.format(f"{self.size:.3g}")

    def _at(self, case: Case, o: Array, y: Array) -> Array:
        fmt = case.inputs.dtype.type
        with np.errstate(all="ignore"):
            found = self.formula(o, y, self.size, float(fmt(1) - fmt(self.size)))
        return found / o.shape[1] if self.loss.startswith("mean") else found

    def gradient(self, case: Case) -> dict[str, Array]:
        """The guarded gradient, by name."""
        here = wide(case)
        rule = Rule(output_error=lambda loss, o, y: self._at(case, o, y))
        with np.errstate(all="ignore"):
            return named(gradient(here.parameters, here.inputs, here.targets, **case.choices, rule=rule))

    @contextmanager
    def in_place(self, like: Case) -> Generator[None]:
        """With the guarded slope in the table of losses, so that every mistake is made with it."""
        plain = LOSSES[self.loss]

        def error(o: Array, y: Array) -> Array:
            return self._at(like, o, y)

        LOSSES[self.loss] = replace(plain, error=error)
        try:
            yield
        finally:
            LOSSES[self.loss] = plain

    def value(self, case: Case) -> float:
        """The guarded loss."""
        _, o = _last(case)
        terms = self._at(case, o, case.rows.astype(float))
        return -float(terms.sum()) / divisor(case.samples, case.reduction)

    def explains_gradient(self, case: Case, answer: Mapping[str, Array]) -> bool:
        """Whether rounding, or a kink, parts the answer from the guarded gradient, and nothing else does."""
        truth = case.oracle
        return compare(answer, self.gradient(case), named(truth.error), named(truth.open)).holds

    def explains_value(self, case: Case, answer: float) -> bool:
        """Whether rounding parts the answer from the guarded loss, and nothing else does."""
        return abs(answer - self.value(case)) <= case.oracle.loss_error


def _last(case: Case) -> tuple[Array, Array]:
    """The last z and the output, (n, K)."""
    here = wide(case)
    with np.errstate(all="ignore"):
        zs, hs = forward(np, layers_of(here.parameters, case.hidden, case.output), here.inputs)
    return zs[-1], hs[-1]


def _slopes(loss: str) -> Iterator[Guard]:
    return _guards(loss, SLOPES if loss == "cross_entropy" else BINARY_SLOPES)


def values(loss: str) -> Iterator[Guard]:
    """The guards that the value of a loss may have; none of a squared one."""
    if loss.endswith("cross_entropy"):
        yield from _guards(loss, VALUES if loss == "cross_entropy" else BINARY_VALUES)


def _guards(loss: str, rows: Mapping[str, Formula]) -> Iterator[Guard]:
    for text, formula in rows.items():
        for size in USUAL:
            yield Guard(loss, text, size, formula)


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

    guard: Guard = field(kw_only=True)

    @cached_property
    def right(self) -> dict[str, Array]:
        """The guarded gradient by name."""
        return self.guard.gradient(self.case)


def beside(holds: Callable[[Probe], bool], probes: Sequence[Probe], interview: Interview) -> Guard | None:
    """The guard with which an account of a mistake holds of every probe; None for no such."""
    like = probes[0].case
    for guard in _slopes(like.loss):
        interview.check_time()
        with guard.in_place(like):
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
            or guard.loss != case.loss
            or case.overflows
            or not guard.explains_gradient(case, named(answer))
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
        if guard is None or guard.loss != case.loss or not guard.explains_value(case, answer):
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

    case: Case
    answer: Mapping[str, Array]
    value: float | None

    @cached_property
    def slope_is_off(self) -> bool:
        truth = self.case.oracle
        return not compare(self.answer, named(truth.gradient), named(truth.error), named(truth.open)).holds

    @cached_property
    def value_is_off(self) -> bool:
        truth = self.case.oracle
        return self.value is not None and not abs(self.value - truth.loss) <= truth.loss_error


def find_guards(subject: Subject, case: Case, *, budget_seconds: float = 10.0) -> Guarded | None:
    """The subject with the guards of one of its losses; None where no guard explains what is wrong.

    Args:
        subject: breaks a law.
        case: one on which it does; fresh cases are made with its choices.
        budget_seconds: after this time the answer is None.
    """
    if not case.loss.endswith("cross_entropy"):
        return None
    try:
        with np.errstate(all="ignore"):
            heard = _hear(Interview(subject, budget_seconds), case)
    except (OutOfTime, SubjectGone):
        return None
    slope = _standing(
        [one for one in heard if one.slope_is_off],
        _slopes(case.loss),
        lambda guard, one: guard.explains_gradient(one.case, one.answer),
    )
    value = _standing(
        [one for one in heard if one.value_is_off],
        values(case.loss),
        lambda guard, one: guard.explains_value(one.case, one.value or 0.0),
    )
    if slope is None and value is None:
        return None
    told = [
        f"{guard}{_effect(what, heard, off)}"
        for guard, what, off in ((value, "loss", _value_off), (slope, "gradient", _slope_off))
        if guard is not None
    ]
    return Guarded(subject, slope, value, "; ".join(told))


def _hear(interview: Interview, case: Case) -> list[_Heard]:
    """The subject's answers to the case and to fresh ones, those that can be judged."""
    maker = Maker(case, claim_of(interview.subject, case), np.random.default_rng(0))
    heard: list[_Heard] = []
    flat = -np.log(np.finfo(case.inputs.dtype).eps / 2)
    for one in (case, *(_with_last_z(maker.case(), flat * n / (FRESH + 1)) for n in range(1, FRESH + 1))):
        probe = interview.ask(one)
        if probe is None or probe.fault is not None:
            continue
        try:
            value = interview.subject.loss(one) if interview.subject.has_loss else None
        except (Violation, Inconclusive):
            value = None
        heard.append(_Heard(one, probe.answer, value))
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


def _effect(what: str, heard: Sequence[_Heard], off: Callable[[_Heard], float]) -> str:
    """How far off that is, on the worst fresh case and on the one with the largest outputs."""
    _, *fresh = heard
    worst = max(fresh, key=off)
    _, o = _last(worst.case)
    to_end = float(np.minimum(o, 1 - o).min()) if worst.case.output == "sigmoid" else float(o.min())
    ends = "0 or 1" if worst.case.output == "sigmoid" else "0"
    usual = f"by {off(fresh[0]):.1g}" if off(fresh[0]) > SEEN else "by nothing"
    return (
        f": the {what} is off by up to {off(worst):.1g} of its size, where an output is {to_end:.1g} from {ends}, "
        f"and {usual} where none is near"
    )
