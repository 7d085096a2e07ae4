"""The seed problem itself: 128-64-10, 1000 vectors, single and in batches of 32 and 8; and real digits."""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from properties.cases import Case
from properties.comparison import Comparison
from properties.judgement import alike, combined, judge
from properties.law import NotApplicable, law
from properties.seed_problem import cases, is_claimed, real_digits, teacher
from properties.subjects import Subject


def _teacher_cases(subject: Subject) -> SearchStrategy[Case]:
    if not is_claimed(subject.claims):
        raise NotApplicable("it does not claim 128-64-10, tanh, identity, mse")
    return st.sampled_from(cases(*teacher()))


def _digit_cases(subject: Subject) -> SearchStrategy[Case]:
    if not is_claimed(subject.claims):
        raise NotApplicable("it does not claim 128-64-10, tanh, identity, mse")
    return st.sampled_from(cases(*real_digits()))


def _average(subject: Subject, case: Case) -> Comparison:
    singles = [subject.gradient(case.with_samples([i])) for i in range(case.samples)]
    average = combined(singles, [1 / case.samples] * case.samples)
    return alike(
        average, subject.gradient(case), case, what="the average over the samples is not the batch's gradient"
    )


@law(_teacher_cases)
def test_gradient_is_right_on_the_seed_problem(subject: Subject, case: Case) -> Comparison:
    """Every one of the 8,906 entries, for one vector, a batch of 32 and the ragged 8."""
    return judge(subject.gradient(case), case)


@law(_teacher_cases)
def test_per_sample_average_equals_whole_batch_on_the_seed_problem(
    subject: Subject, case: Case
) -> Comparison:
    """Form (1) is form (2) there."""
    return _average(subject, case)


@law(_digit_cases)
def test_gradient_is_right_on_handwritten_digits(subject: Subject, case: Case) -> Comparison:
    """The same on 8 × 8 images of digits, 64 pixels and 64 differences each."""
    return judge(subject.gradient(case), case)
