"""Form (1), the average of the samples' gradients, is form (2), the gradient of the whole batch."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis.strategies import SearchStrategy

import manual_backprop
from properties.cases import Array, Case, Parameters
from properties.checks import alike, combined, far_apart, twice
from properties.comparison import Comparison, compare, equal, named
from properties.rational import rational_cases
from properties.search import Inconclusive, NotApplicable, Violation
from properties.strategies import cases
from properties.subjects import Subject


def _reducing(subject: Subject, reduction: str) -> SearchStrategy[Case]:
    claims = [
        replace(claim, reduction=(reduction,)) for claim in subject.claims if reduction in claim.reduction
    ]
    if not claims:
        raise NotApplicable(f"it does not claim the reduction {reduction}")
    return cases(claims)


def batches(subject: Subject) -> SearchStrategy[Case]:
    """Batches joined by a mean."""
    return _reducing(subject, "mean")


def unequal_batches(subject: Subject) -> SearchStrategy[Case]:
    """Batches of 3, 5 or 7 samples, which cut into parts of unequal size.

    In float64 where it is claimed: what is to be seen is a difference, and float32 hides the small ones.
    """
    claims = [
        replace(
            claim,
            reduction=("mean",),
            samples=(3, 5, 7),
            dtype=("float64",) if "float64" in claim.dtype else claim.dtype,
        )
        for claim in subject.claims
        if "mean" in claim.reduction and not claim.samples
    ]
    if not claims:
        raise NotApplicable("it does not claim a mean over batches of any size")
    return cases(claims, regimes=["well scaled", "square"])


def sums(subject: Subject) -> SearchStrategy[Case]:
    """Batches joined by a sum, of a subject that claims the mean as well."""
    claims = [replace(c, reduction=("sum",)) for c in subject.claims if {"mean", "sum"} <= set(c.reduction)]
    if not claims:
        raise NotApplicable("it does not claim both reductions, mean and sum")
    return cases(claims)


def fractions(subject: Subject) -> SearchStrategy[Case]:
    """Cases in exact arithmetic, whatever is claimed."""
    del subject
    return rational_cases()


def _parts(case: Case, size: int) -> list[Case]:
    return [case.with_samples(slice(start, start + size)) for start in range(0, case.samples, size)]


def _check_any_size(subject: Subject) -> None:
    if any(claim.samples for claim in subject.claims):
        raise NotApplicable("its batch size is pinned")


def per_sample_average_equals_whole_batch(subject: Subject, case: Case) -> Comparison:
    """(1/N) Σ_i ∂L_i/∂w = ∂L/∂w."""
    _check_any_size(subject)
    singles = [subject.gradient(one) for one in _parts(case, 1)]
    average = combined(singles, [1 / case.samples] * case.samples)
    return alike(
        average, subject.gradient(case), case, what="the average over the samples is not the batch's gradient"
    )


def per_sample_average_equals_whole_batch_exactly(subject: Subject, case: Case) -> None:
    """In rational arithmetic the two forms are equal with ==, to the last digit."""
    if not subject.rational:
        raise NotApplicable("it does not compute with fractions")
    names = {"hidden": case.hidden, "output": case.output, "loss": case.loss}
    form_1 = manual_backprop.per_sample_average(case.parameters, case.inputs, case.targets, **names)
    form_2 = subject.gradient(replace(case, reduction="mean"))
    if not equal(named(form_1), named(form_2)):
        raise Violation("in fractions, form (1) is not form (2)")


def average_weighted_by_size_equals_whole_batch(subject: Subject, case: Case) -> Comparison:
    """Σ_p (n_p/N) ∂L_p/∂w = ∂L/∂w for parts of any sizes, such as 1000 = 31·32 + 8."""
    _check_any_size(subject)
    parts = _parts(case, case.samples // 2 + 1)
    weights = [part.samples / case.samples for part in parts]
    weighted = combined([subject.gradient(part) for part in parts], weights)
    return alike(
        weighted, subject.gradient(case), case, what="the parts' weighted average is not the batch's gradient"
    )


def unweighted_mean_of_unequal_parts_is_wrong(subject: Subject, case: Case) -> None:
    """Two parts of which one is larger, each counted by half: the gradient of another loss."""
    parts = _parts(case, case.samples // 2 + 1)
    halves = [1 / len(parts)] * len(parts)
    if not far_apart(combined([part.oracle.gradient for part in parts], halves), case.oracle.gradient, case):
        raise Inconclusive("the parts have the same gradient")
    unweighted = combined([subject.gradient(part) for part in parts], halves)
    if not far_apart(unweighted, subject.gradient(case), case):
        raise Violation("the unweighted mean of unequal parts gives the same as the whole batch")


def sum_over_samples_is_n_times_the_mean(subject: Subject, case: Case) -> Comparison:
    """∂(Σ_i L_i)/∂w = N · ∂(1/N Σ_i L_i)/∂w: the same direction, N times as long."""
    mean = subject.gradient(replace(case, reduction="mean"))
    what = f"the gradient of the sum is not {case.samples} times that of the mean"
    return alike(combined([mean], [case.samples]), subject.gradient(case), case, what=what)


RATE = 0.25


def _after(parameters: Parameters, gradient: Parameters, rate: float) -> Parameters:
    return [
        (W - rate * dW, None if b is None or db is None else b - rate * db)
        for (W, b), (dW, db) in zip(parameters, gradient, strict=True)
    ]


def _step_error(case: Case, steps: int) -> dict[str, Array]:
    """RATE times what the gradients may err by, and for each of the steps and their sum a rounding of w."""
    unit = float(np.finfo(case.inputs.dtype).eps)
    w, g = named(case.parameters), named(case.oracle.gradient)
    error = twice(case.oracle.error)
    return {n: RATE * error[n] + (steps + 4) * unit * (abs(w[n]) + RATE * abs(g[n])) for n in w}


def minibatch_step_is_the_average_of_single_steps(subject: Subject, case: Case) -> Comparison:
    """From the same parameters, one step on a batch lands at the average of the steps on its samples."""
    _check_any_size(subject)
    if case.overflows:
        raise Inconclusive("the numbers overflow")
    singles, whole = [subject.gradient(one) for one in _parts(case, 1)], subject.gradient(case)
    shares = [1 / case.samples] * case.samples
    average = combined([_after(case.parameters, one, RATE) for one in singles], shares)
    together = _after(case.parameters, whole, RATE)
    opened = {name: RATE * array for name, array in twice(case.oracle.open).items()}
    found = compare(named(average), named(together), _step_error(case, case.samples), opened)
    if not found.holds:
        what = f"a step on the batch is not the average of the steps on its samples: {found.worst}"
        alike(combined(singles, shares), whole, case, what=what)  # the gradients say more than the steps
        raise Violation(what)
    return found


def steps_one_after_another_are_not_a_minibatch_step(subject: Subject, case: Case) -> None:
    """Parameters that move between the samples give gradients at other points: linearity holds at one only."""
    if case.overflows:
        raise Inconclusive("the numbers overflow")

    def moved(gradient_of: Callable[[Case], Parameters]) -> tuple[Parameters, Parameters]:
        """Where the steps on single samples lead, and where the step on the batch does."""
        moving = case.parameters
        for one in _parts(case, 1):
            there = replace(one, parameters=moving)
            if there.saturates or there.overflows:
                raise Inconclusive("the steps lead to where the units saturate")
            moving = _after(moving, gradient_of(there), RATE / case.samples)
        return moving, _after(case.parameters, gradient_of(case), RATE)

    error = {name: 1000 * array for name, array in _step_error(case, case.samples).items()}
    opened = {name: RATE * array for name, array in twice(case.oracle.open).items()}
    one_by_one, together = moved(lambda one: one.oracle.gradient)
    if compare(named(one_by_one), named(together), error, opened).holds:
        raise Inconclusive("the gradient hardly depends on the parameters")
    one_by_one, together = moved(subject.gradient)
    if compare(named(one_by_one), named(together), error, opened).holds:
        raise Violation("steps one after another land where the step on the batch does")
