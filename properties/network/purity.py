"""A gradient is a function of its arguments and of nothing else."""

from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from properties.cases import Array, Case, Parameters
from properties.checks import alike, check_gradient, combined, copied
from properties.comparison import Comparison, equal, named
from properties.search import Inconclusive, NoGradient, NotApplicable, Violation, Weakness
from properties.strategies import cases
from properties.subjects import Subject


def all_cases(subject: Subject) -> SearchStrategy[Case]:
    """Cases of every regular regime that a subject claims."""
    return cases(subject.claims)


def pairs(subject: Subject) -> SearchStrategy[tuple[Case, Case]]:
    """Two cases."""
    return st.tuples(cases(subject.claims), cases(subject.claims))


def batches_of_any_size(subject: Subject) -> SearchStrategy[Case]:
    """Cases of a subject whose batch size is not pinned."""
    if any(claim.samples for claim in subject.claims):
        raise NotApplicable("its batch size is pinned")
    return cases(subject.claims)


def gradient_is_pure(subject: Subject, case: Case) -> None:
    """Arguments untouched and not handed back, the same answer twice but for rounding, shapes and dtypes kept."""
    arguments = {**named(case.parameters), "inputs": case.inputs, "targets": case.targets}
    before = {name: array.copy() for name, array in arguments.items()}
    first = subject.gradient(case)
    if subject.impurity():
        raise Violation(subject.impurity())
    for name, array in arguments.items():
        if not np.array_equal(array, before[name]):
            raise Violation(f"the call changes its argument: {name.removeprefix('d')}")
    for name, array in named(first).items():
        if any(np.shares_memory(array, argument) for argument in arguments.values()):
            raise Violation(f"{name} shares its memory with an argument")
        if np.finfo(array.dtype).eps > np.finfo(case.inputs.dtype).eps:
            raise Violation(f"{name} is {array.dtype} where the parameters are {case.inputs.dtype}")
        if array.shape != arguments[name].shape:
            raise Violation(f"{name} has shape {array.shape} where the parameter has {arguments[name].shape}")
    kept = copied(first)
    _unchanged(
        subject.gradient(case), kept, case, "a second call with the same arguments gives a different answer"
    )


def answer_does_not_depend_on_earlier_calls(subject: Subject, pair: tuple[Case, Case]) -> None:
    """A case has the same answer after another case in between, and its batch one for every parameters."""
    first, other = pair
    answer = copied(subject.gradient(first))
    subject.gradient(other)
    _unchanged(subject.gradient(first), answer, first, "the answer changes after another call in between")
    moved = replace(first, parameters=_moved(first.parameters))
    if _is_right(answer, first) and not _is_right(subject.gradient(moved), moved):
        subject.renew()  # it may be wrong there whatever came before
        if not _is_right(subject.gradient(moved), moved):
            return
        raise Violation(
            "the answer is wrong after the parameters have changed, for the same inputs and targets"
        )


def _moved(parameters: Parameters) -> Parameters:
    """Elsewhere, with numbers of the same size."""
    return [(-W / 2, None if b is None else -b / 2) for W, b in parameters]


def _is_right(gradient: Parameters, case: Case) -> bool:
    """Whether a gradient is right; so it counts where nobody can tell."""
    try:
        check_gradient(gradient, case)
    except Violation:
        return False
    except Inconclusive:
        return True
    return True


def _unchanged(gradient: Parameters, before: Parameters, case: Case, what: str) -> None:
    """The same to the last digit, or but for the order in which it is summed, as by several threads or over a set."""
    if not equal(named(gradient), named(before)):
        alike(gradient, before, case, what=what)


def memory_layout_does_not_matter(subject: Subject, case: Case) -> Comparison:
    """The same numbers in Fortran's order, or as every second one of a larger array, have the same gradient."""
    straight = subject.gradient(case)
    alike(subject.gradient(_laid(case, np.asfortranarray)), straight, case, what="Fortran's order matters")
    return alike(subject.gradient(_laid(case, _strided)), straight, case, what="strides in memory matter")


def _laid(case: Case, lay: Callable[[Array], Array]) -> Case:
    parameters = [(lay(W), None if b is None else lay(b)) for W, b in case.parameters]
    return replace(case, parameters=parameters, inputs=lay(case.inputs), targets=lay(case.targets))


def _strided(array: Array) -> Array:
    """The same numbers, as every second one of a larger array along its first axis."""
    return np.repeat(array, 2, axis=0)[::2]


def order_of_samples_does_not_matter(subject: Subject, case: Case) -> Comparison:
    """A sum over the samples is the same in any order."""
    backwards = subject.gradient(case.with_samples(slice(None, None, -1)))
    return alike(backwards, subject.gradient(case), case, what="the order of the samples matters")


def batch_doubled_with_itself_has_the_same_mean_gradient(subject: Subject, case: Case) -> Comparison:
    """Every sample twice: the mean stays, and a sum doubles; also for as many times as make a large batch."""
    once = copied(subject.gradient(case))
    found = alike(
        _of_repeated(subject, case, 2),
        once,
        case,
        what="the batch doubled with itself has a different gradient",
    )
    times = LARGE_BATCH // case.samples + 1
    if case.samples in REPEATED and sum(W.size for W, _ in case.parameters) <= SMALL_NETWORK:
        what = f"the batch repeated to {times * case.samples} samples has a different gradient"
        try:
            large = _of_repeated(subject, case, times)
        except NoGradient as fault:
            _find_the_largest_batch(subject, case, times, fault)
        # A sum of so many times as many terms has so many times as many roundings.
        alike(large, once, case, what=what, times=times)
    return found


LARGE_BATCH = 256
"""As many samples as people cut a batch into, or a multiple of it."""
REPEATED = (3, 5, 7)
"""Samples of which no number of repetitions is such a multiple; all batches would take too long."""
SMALL_NETWORK = 64
"""Weights of a network that is asked of a large batch: what loops over all of them takes long enough."""


def _of_repeated(subject: Subject, case: Case, times: int) -> Parameters:
    """The gradient of a batch that holds every sample so many times, over the factor that a sum gains by it."""
    return combined(
        [subject.gradient(case.repeated(times))], [{"mean": 1.0, "sum": 1 / times}[case.reduction]]
    )


def _find_the_largest_batch(subject: Subject, case: Case, times: int, fault: NoGradient) -> NoReturn:
    """Raise `Weakness`, with the smallest number of repetitions for which no gradient comes back, by bisection."""
    enough, too_many = 2, times
    while too_many - enough > 1:
        middle = (enough + too_many) // 2
        try:
            subject.gradient(case.repeated(middle))
            enough = middle
        except NoGradient as found:
            too_many, fault = middle, found
    said = str(fault).partition("\n")[0].rstrip(".")
    raise Weakness(
        f"in a batch of {too_many * case.samples} samples, {said}; {enough * case.samples} are no problem",
        case.repeated(too_many),
    ) from None
