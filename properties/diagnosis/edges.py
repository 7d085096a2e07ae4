"""Right formula, weak numbers: whether a failure at the edges is one of overflow and lost digits alone."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeGuard

import numpy as np

from properties.cases import Array, Case
from properties.comparison import named
from properties.diagnosis.network_search import NetworkProblem
from properties.diagnosis.probes import STEPS, Interview, Maker, OutOfSteps, Probe, claim_of
from properties.diagnosis.saturation import SATURATED, boundary, largest_z, saturating, two_digits
from properties.diagnosis.search import explain
from properties.diagnosis.trials import ratio
from properties.subjects import Subject

WELL_SCALED = 4
"""Fresh cases that have to be right, before a formula is called right."""
BETWEEN = 8
"""Steps between the case and its well-scaled version."""
FRESH, FARTHEST = 3, 2.0**12
"""Fresh cases that are saturated, and the factor that they are saturated by."""
LOUD = 2.0**10, 2.0**20
"""Factors of fresh cases whose errors are large and whose activations are not flat."""
SHOWN_AT_THE_EDGES = {"gradient_clipped", "penalty_included", "updated_weights_used"}
"""Mistakes so small, or so far out, that well-scaled cases may not show them."""
SATURATED_Z = 4
"""A largest |z| above this is told as the reason: the slopes of tanh and of sigmoid are below 2 % there."""


def explain_edge(subject: Subject, case: Case, *, steps: int = STEPS) -> tuple[bool, str]:
    """Whether a subject that fails on a case at the edges has the right formula, and where its numbers fail.

    It has not where it fails on well-scaled cases too, where its numbers are finite and wrong though no
    activation is flat, where it is off by one ratio, or where a mistake of the catalogue explains it.

    Args:
        subject: fails on the case.
        case: its arrays are scaled step by step to the size of 1.
        steps: after so many the answer is no.

    Returns:
        Whether the formula is right; and the regime, such as `NaN where |z| > 37`, empty where it is not.
    """
    interview = Interview(subject, steps)
    try:
        with np.errstate(all="ignore"):  # numbers at the edges may be of any size
            return _explained(interview, case)
    except OutOfSteps:
        return False, ""


def _explained(interview: Interview, case: Case) -> tuple[bool, str]:
    maker = Maker(case, claim_of(interview.subject, case), np.random.default_rng(0))
    fresh = [interview.ask(maker.case()) for _ in range(WELL_SCALED)]
    path = [interview.ask(_scaled(case, step / BETWEEN)) for step in range(BETWEEN + 1)]
    right = [probe for probe in (*fresh, path[-1]) if probe is not None]
    failing = [probe for probe in path if probe is not None and probe.fails]
    if not right or any(probe.fails for probe in right) or not failing:
        return False, ""
    loud = [interview.ask(maker.case(loud=factor)) for factor in LOUD]
    wrong = [probe for probe in failing if probe.fault is None]
    if any(probe.fails and not _is_flat(probe) for probe in (*wrong, *filter(_is_told, loud))):
        return False, ""
    if _is_a_mistake(wrong):
        return False, ""
    return True, _regime(interview, case, maker, failing[0])


def _is_told(probe: Probe | None) -> TypeGuard[Probe]:
    """Whether the subject answered with numbers."""
    return probe is not None and probe.fault is None


def _is_flat(probe: Probe) -> bool:
    """Whether an activation is so flat that a finite number may have lost its digits; elsewhere it is wrong."""
    return not probe.case.largest_exponent < SATURATED


def _is_a_mistake(wrong: Sequence[Probe]) -> bool:
    """Whether two wrong answers or more have one ratio to the right ones, or one mistake in common."""
    if len(wrong) < 2:
        return False
    ratios = [
        ratio(probe, name, probe.answer[name], probe.right[name])
        for probe in wrong
        for name in probe.wrong
        if probe.right[name].any()
    ]
    known = [r for r in ratios if r is not None and r != 0]
    if known and len(known) == len(ratios) and max(known) - min(known) <= abs(known[0]) / 2**20:
        return True
    return bool(set(explain(NetworkProblem(wrong[0].case), wrong).names) & SHOWN_AT_THE_EDGES)


def _regime(interview: Interview, case: Case, maker: Maker, example: Probe) -> str:
    """What happens, and the smallest |z| where it does: on the way from 1 to the case, and from fresh ones up."""
    what = _what(example)

    def likewise(probe: Probe) -> bool:
        return probe.fails and (_what(probe) == what or {what, _what(probe)} == {"NaN", "inf"})

    ways: list[Callable[[float], Case]] = [lambda part: _scaled(case, 1 - part)]
    ways += [saturating(maker.case(), FARTHEST) for _ in range(FRESH)]
    found = [probe for way in ways if (probe := boundary(interview, way, likewise)) is not None]
    nearest = min(found or [example], key=lambda probe: largest_z(probe.case))
    return f"{what} where {_place(nearest.case)}"


def _what(probe: Probe) -> str:
    if probe.fault is None:
        return "digits are lost"
    text = str(probe.fault)
    if raised := re.search(r" raised (\w+)", text):
        return raised[1]
    return next((word for word in ("NaN", "inf") if f" {word} " in text), "the contract is broken")


def _place(case: Case) -> str:
    z = largest_z(case)
    if z > SATURATED_Z:
        return f"|z| > {two_digits(z)}"
    sizes = [float(abs(array).max()) for array in _arrays(case) if array.any()]
    if max(sizes) * min(sizes) > 1:
        return f"numbers are larger than {two_digits(max(sizes))}"
    return f"numbers are smaller than {two_digits(min(sizes))}"


def _arrays(case: Case) -> list[Array]:
    return [*named(case.parameters).values(), case.inputs, case.rows]


def _scaled(case: Case, part: float) -> Case:
    """The case at `part` = 0, all its arrays of size 1 at `part` = 1, and between in geometric progression.

    Targets are scaled where any numbers may be targets. Weights get the size that keeps z at 1.
    """

    def scaled(array: Array, wanted: float = 1.0) -> Array:
        size = float(abs(array).max(initial=0))
        return array * array.dtype.type((wanted / size) ** part) if size else array

    parameters = [
        (scaled(W, 1 / np.sqrt(len(W))), None if b is None else scaled(b)) for W, b in case.parameters
    ]
    targets = scaled(case.targets) if case.has_free_targets else case.targets
    return replace(case, parameters=parameters, inputs=scaled(case.inputs), targets=targets)
