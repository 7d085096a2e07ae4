"""The seed problem itself: 128-64-10, 1000 vectors, single and in batches of 32 and 8; and real digits."""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from properties.cases import Case
from properties.checks import alike, check_gradient, combined
from properties.comparison import Comparison
from properties.search import NotApplicable
from properties.seed_problem import cases, is_claimed, real_digits, teacher
from properties.subjects import Subject


def teacher_cases(subject: Subject) -> SearchStrategy[Case]:
    """What a random teacher network says of random vectors."""
    if not is_claimed(subject.claims):
        raise NotApplicable("it does not claim 128-64-10, tanh, identity, mse")
    return st.sampled_from(cases(*teacher()))


def digit_cases(subject: Subject) -> SearchStrategy[Case]:
    """Handwritten digits."""
    if not is_claimed(subject.claims):
        raise NotApplicable("it does not claim 128-64-10, tanh, identity, mse")
    return st.sampled_from(cases(*real_digits()))


def _average(subject: Subject, case: Case) -> Comparison:
    singles = [subject.gradient(case.with_samples([i])) for i in range(case.samples)]
    average = combined(singles, [1 / case.samples] * case.samples)
    return alike(
        average, subject.gradient(case), case, what="the average over the samples is not the batch's gradient"
    )


def gradient_is_right_on_the_seed_problem(subject: Subject, case: Case) -> Comparison:
    """Every one of the 8,906 entries, for one vector, a batch of 32 and the ragged 8."""
    return check_gradient(subject.gradient(case), case)


def per_sample_average_equals_whole_batch_on_the_seed_problem(subject: Subject, case: Case) -> Comparison:
    """Form (1) is form (2) there."""
    return _average(subject, case)


def gradient_is_right_on_handwritten_digits(subject: Subject, case: Case) -> Comparison:
    """The same on 8 × 8 images of digits, 64 pixels and 64 differences each."""
    return check_gradient(subject.gradient(case), case)
