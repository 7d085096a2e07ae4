"""The figures that the seed problem is known for come out of the code as well."""

import numpy as np

from manual_backprop import gradient, per_sample_average
from manual_backprop.training import initial_parameters
from properties.comparison import named
from properties.seed_problem import RULES, SIZES, cases, consequences, real_digits, teacher


def _cosines(start: int) -> list[float]:
    random = np.random.default_rng(start)
    inputs, targets = random.standard_normal((8, 128)), random.standard_normal((8, 10))
    parameters = initial_parameters(SIZES, start + 1000)
    flat = [
        np.concatenate([a.ravel() for a in named(rule(parameters, inputs, targets)).values()])
        for _, rule in RULES
    ]
    return [float(v @ flat[0] / np.sqrt((v @ v) * (flat[0] @ flat[0]))) for v in flat]


def test_one_output_of_ten_points_one_in_root_ten_of_the_right_way() -> None:
    _, one_output, one_cell = np.mean([_cosines(start) for start in range(50)], axis=0)
    assert round(float(one_output), 1) == round(1 / np.sqrt(10), 1)
    assert round(float(one_cell), 1) == round(1 / np.sqrt(80), 1)


def test_the_two_forms_differ_by_rounding_alone_on_the_seed_problem() -> None:
    case = cases(*teacher())[1]
    form_1 = named(per_sample_average(case.parameters, case.inputs, case.targets))
    form_2 = named(gradient(case.parameters, case.inputs, case.targets))
    largest = max(float(abs(form_1[name] - form_2[name]).max()) for name in form_1)
    assert 0 < largest < np.finfo(float).eps


def test_a_wrong_rule_goes_downhill_and_stalls() -> None:
    right, one_output, one_cell = consequences(*teacher())
    assert right.last_loss < 0.05 * right.first_loss
    assert one_output.last_loss > 0.8 * one_output.first_loss
    assert one_output.losses[0] < 0.05 * one_output.first_loss < one_output.losses[1:].min()
    assert one_cell.last_loss > 0.8 * one_cell.first_loss


def test_the_right_rule_learns_the_digits_and_the_wrong_ones_one_class_at_most() -> None:
    right, one_output, one_cell = consequences(*real_digits())
    assert right.last_loss < one_output.last_loss
    assert right.last_loss < one_cell.last_loss
