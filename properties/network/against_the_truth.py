"""The gradient is the derivative: against autodiff, finite differences and exact fractions."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from properties.cases import Case
from properties.checks import along_a_line, by_the_loss, check_gradient, check_range
from properties.comparison import Comparison, between, named, told_apart
from properties.rational import rational_cases
from properties.search import Inconclusive, NotApplicable, Violation
from properties.strategies import EDGES, cases
from properties.subjects import Subject
from reference import exact


def all_cases(subject: Subject) -> SearchStrategy[Case]:
    """Cases of every regular regime that a subject claims."""
    return cases(subject.claims)


def small_cases(subject: Subject) -> SearchStrategy[Case]:
    """Cases without wide layers, and without kinks on purpose."""
    return cases(subject.claims, regimes=["well scaled", "square", "loud"])


def edge_cases(subject: Subject) -> SearchStrategy[Case]:
    """Cases with numbers of any size, and with saturated units."""
    return cases(subject.claims, regimes=EDGES)


def fractions(subject: Subject) -> SearchStrategy[Case]:
    """Cases in exact arithmetic, whatever is claimed."""
    del subject
    return rational_cases()


def seeded_cases(subject: Subject) -> SearchStrategy[tuple[Case, int]]:
    """Cases with the seed of some lines."""
    return st.tuples(small_cases(subject), st.integers(0, 2**32 - 1))


def result_meets_the_contract(subject: Subject, case: Case) -> None:
    """One (dW, db) for each layer, in the shapes and at least the precision of the parameters, and finite."""
    gradient = subject.gradient(
        case
    )  # a module from outside is held against the contract there: `harness.contract`
    given, wanted = named(gradient), named(case.parameters)
    if given.keys() != wanted.keys() or any(given[name].shape != wanted[name].shape for name in wanted):
        raise Violation("the arrays are not those of the parameters")
    if not all(np.isfinite(array).all() for array in given.values()) and not case.overflows:
        raise Violation("an entry is not finite, where the right gradient is")


def gradient_equals_autodiff(subject: Subject, case: Case) -> Comparison:
    """Every entry is that of reverse-mode differentiation, but for rounding."""
    return check_gradient(subject.gradient(case), case)


def gradient_predicts_forward_mode(subject: Subject, case: Case) -> None:
    """Along a random ±1 direction v, the inner product of the gradient with v is forward mode's derivative."""
    check_range(case)
    along, truth, bound = along_a_line(subject.gradient(case), case)
    if not abs(along - truth) <= bound:
        check_gradient(subject.gradient(case), case)  # the entries say more than their sum
        raise Violation(f"along a direction the gradient gives {along:.6g}, forward mode {truth:.6g}")


def gradient_equals_finite_differences(subject: Subject, example: tuple[Case, int]) -> None:
    """Along random lines the gradient is what the loss itself does, but for the differences' own error."""
    case, seed = example
    check_range(case)
    found = by_the_loss(subject.gradient(case), case, count=4, seed=seed)
    if found.outcome == "disagree":
        raise Violation(f"the loss contradicts the gradient along a line: {found.reason}")
    if found.outcome == "inconclusive":
        raise Inconclusive(found.reason)


def gradient_equals_exact_differences(subject: Subject, case: Case) -> None:
    """In fractions, with an ε below all of them, L(w + ε) - L(w) *is* the derivative times ε, compared with ==.

    Where one pre-activation lies on relu's kink, the slopes from the left and from the right enclose it.
    """
    if not subject.rational:
        raise NotApplicable("it does not compute with fractions")
    gradient = named(subject.gradient(case))
    kinks = exact.kinks_of(case.parameters, case.inputs, hidden=case.hidden, output=case.output)
    if sum(int(layer.sum()) for layer in kinks if layer is not None) > 1:
        raise Inconclusive("several pre-activations lie on relu's kink")
    left, right = map(named, exact.one_sided(case.parameters, case.inputs, case.targets, **case.choices))
    if not between(gradient, left, right):
        raise Violation("the gradient is not the exact difference quotient of the loss")


def gradient_is_right_at_the_edges(subject: Subject, case: Case) -> Comparison:
    """With values from 1e-8 to 1e8, and where the activations saturate, it is still the derivative."""
    return check_gradient(subject.gradient(case), case)


def loss_equals_the_reference(subject: Subject, case: Case) -> None:
    """Where the subject gives its loss too, it is the loss that its `PROBLEM` names."""
    if not subject.has_loss:
        raise NotApplicable("it has no loss")
    check_range(case)
    given, truth = subject.loss(case), case.oracle
    if not abs(given - truth.loss) <= truth.loss_error:
        is_now, should_be = told_apart(given, truth.loss)
        raise Violation(
            f"the loss is {is_now}, and should be {should_be} (rounding explains {truth.loss_error:.1g})"
        )
