"""The catalogue of mistakes: each is wrong where it says so, leaves no trace, and explains itself."""

import re

import numpy as np
import pytest

from manual_backprop import Parameters, gradient
from manual_backprop.activations import Array
from manual_backprop.losses import REDUCTIONS
from manual_backprop.mistakes import (
    MISTAKES,
    RIGHT_RULE,
    Mistake,
    Setting,
    one_cell_only,
    one_output_only,
    setting_of,
)
from manual_backprop.mistakes.catalogue import Names
from properties.meta.problems import (
    ROUNDINGS,
    Case,
    flat,
    largest_difference,
    problem,
    problems,
    roundings,
    with_large_inputs,
)

NAMES = [
    "one_output_only",
    "one_cell_only",
    "one_sample_only",
    "outputs_dropped",
    "samples_dropped",
    "one_downstream_path",
    "errors_averaged_first",
    "samples_averaged_first",
    "sum_for_mean",
    "output_mean_lost",
    "divided_twice",
    "factor_two_lost",
    "factor_two_gained",
    "fixed_divisor",
    "wrong_sign",
    "softmax_diagonal_only",
    "slope_twice",
    "slope_at_wrong_place",
    "slope_missing",
    "activation_as_slope",
    "upstream_not_passed",
    "relu_gated_by_gradient",
    "bias_not_summed",
    "bias_averaged",
    "bias_forgotten",
    "transpose_missing",
    "broadcast_blow_up",
    "updated_weights_used",
    "gradients_accumulated",
    "input_mutated",
    "samples_mixed",
    "penalty_included",
    "precision_lost",
    "gradient_clipped",
]

LABELS = [2, 0, 1, 2]


def test_the_catalogue_is_complete_and_in_order() -> None:
    assert list(MISTAKES) == NAMES
    assert [mistake.name for mistake in MISTAKES.values()] == NAMES


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=lambda mistake: mistake.name)
def test_every_variant_is_wrong_wherever_it_applies(mistake: Mistake) -> None:
    applied = set[str]()
    for case, names, setting in (
        map(with_large_inputs, problems()) if "clipped" in mistake.name else problems()
    ):
        right = gradient(*case, **names)
        for label, wrong in mistake.variants:
            if wrong.applies(**setting):
                applied.add(label)
                difference = largest_difference(wrong(*case, **names), right)
                assert difference > ROUNDINGS, f"{label}: {setting}"
    assert applied == {label for label, _ in mistake.variants}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=lambda mistake: mistake.name)
def test_a_mistake_leaves_no_trace(mistake: Mistake) -> None:
    names = Names(hidden="tanh", output="sigmoid", loss="mse", reduction="mean")
    case, names, setting = problem((3, 2, 2), 4, names)
    untouched, _, _ = problem((3, 2, 2), 4, names)
    right = flat(gradient(*case, **names))
    for _, wrong in mistake.variants:
        if wrong.applies(**setting):
            first, second = (flat(wrong(*case, **names)) for _ in range(2))
            assert all(map(np.array_equal, first, second))
    assert all(map(np.array_equal, flat(case.parameters), flat(untouched.parameters)))
    assert np.array_equal(case.inputs, untouched.inputs)
    assert np.array_equal(case.targets, untouched.targets)
    assert all(map(np.array_equal, flat(gradient(*case, **names)), right))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "targets", [np.array(LABELS), np.eye(3, dtype=np.float32)[LABELS]], ids=["labels", "rows"]
)
def test_float32_labels_and_layers_without_bias_keep_their_form(targets: Array, reduction: str) -> None:
    names = Names(hidden="relu", output="softmax", loss="cross_entropy", reduction=reduction)
    case, _, _ = problem((5, 4, 3), 4, names)
    parameters: Parameters = [(W.astype(np.float32), None) for W, _ in case.parameters]
    inputs = case.inputs.astype(np.float32)
    setting = setting_of(parameters, inputs, **names)
    assert setting["bias"] is False
    for mistake in MISTAKES.values():
        for label, wrong in mistake.variants:
            if wrong.applies(**setting):
                for (dW, db), (W, _) in zip(
                    wrong(parameters, inputs, targets, **names), parameters, strict=True
                ):
                    assert (dW.dtype, dW.shape, db) == (np.float32, W.shape, None), f"{mistake.name}: {label}"


@pytest.mark.parametrize(("sizes", "labels"), [((5, 4, 3), LABELS), ((5, 4, 1), [0, 0, 0, 0])])
def test_labels_are_one_hot_rows_to_every_mistake(sizes: tuple[int, ...], labels: list[int]) -> None:
    names = Names(hidden="tanh", output="sigmoid", loss="binary_cross_entropy", reduction="mean")
    (parameters, inputs, _), _, setting = problem(sizes, 4, names)
    for mistake in MISTAKES.values():
        for label, wrong in mistake.variants:
            if wrong.applies(**setting):
                as_labels, as_rows = (
                    flat(wrong(parameters, inputs, targets, **names))
                    for targets in (np.array(labels), np.eye(sizes[-1])[labels])
                )
                assert all(map(np.array_equal, as_labels, as_rows)), f"{mistake.name}: {label}"


def test_the_right_rule_is_the_gradient_cut_into_steps() -> None:
    for case, names, setting in problems():
        difference = largest_difference(RIGHT_RULE(*case, **names), gradient(*case, **names))
        assert difference <= ROUNDINGS, setting


@pytest.mark.parametrize("samples", [1, 4])
def test_a_sum_of_one_term_is_right_without_the_others(samples: int) -> None:
    names = Names(hidden="tanh", output="sigmoid", loss="mse", reduction="mean")
    (parameters, inputs, targets), _, _ = problem((4, 3, 1), 4, names)
    case = Case(parameters, inputs[:samples], targets[:samples])
    setting = setting_of(parameters, case.inputs, **names)
    right = gradient(*case, **names)
    lost = ["one_output_only", "output_mean_lost", "one_downstream_path"]
    if samples == 1:
        lost += ["one_cell_only", "one_sample_only", "errors_averaged_first", "samples_averaged_first"]
        lost += ["sum_for_mean", "bias_averaged", "broadcast_blow_up"]
    for name in lost:
        assert not MISTAKES[name].applies(**setting)
        for _, wrong in MISTAKES[name].variants:
            assert largest_difference(wrong(*case, **names), right) <= ROUNDINGS


def test_the_one_output_and_the_one_cell_can_be_chosen() -> None:
    names = Names(hidden="tanh", output="softmax", loss="cross_entropy", reduction="sum")
    case, _, _ = problem((4, 3, 2), 3, names)
    right = gradient(*case, **names)
    outputs = [one_output_only(j)(*case, **names) for j in range(2)]
    cells = [one_cell_only(i, j)(*case, **names) for i in range(3) for j in range(2)]
    for terms in (outputs, cells):
        for array, parts in zip(flat(right), zip(*map(flat, terms), strict=True), strict=True):
            assert roundings(np.sum(parts, axis=0), array) <= ROUNDINGS


def test_sizes_that_are_not_given_are_taken_to_be_different() -> None:
    setting = {"hidden": "tanh", "output": "identity", "loss": "mse", "reduction": "mean"}
    setting |= {"layers": 3, "samples": 4, "outputs": 2}
    assert not MISTAKES["transpose_missing"].variants[0][1].applies(**setting)
    assert MISTAKES["transpose_missing"].variants[0][1].applies(**setting, sizes=(5, 2, 2, 2))
    assert MISTAKES["transpose_missing"].applies(**setting)  # by a reshape
    assert MISTAKES["one_downstream_path"].applies(**setting)
    assert MISTAKES["samples_mixed"].variants[0][1].applies(**setting)


def test_a_setting_has_biases_float64_and_different_sizes_unless_told() -> None:
    setting = Setting("tanh", "identity", "mse", "mean", layers=3, samples=4, outputs=2)
    assert (setting.bias, setting.dtype, setting.upper_shapes) == (True, "float64", [(4, 3), (3, 2)])


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=lambda mistake: mistake.name)
def test_a_mistake_explains_itself_in_full_sentences(mistake: Mistake) -> None:
    assert mistake.rule
    for text in (mistake.sentence, mistake.hint, mistake.answer):
        assert text[0].isupper() or text[0].isdigit()
        assert text[-1] in ".?"
        assert "  " not in text
    assert "?" in mistake.hint or mistake.hint.split()[0] in {"Print", "Write", "Call", "Follow"}
    labels = [label for label, _ in mistake.variants]
    assert labels == [label.strip() for label in labels if label]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=lambda mistake: mistake.name)
def test_a_hint_does_not_give_the_answer_away(mistake: Mistake) -> None:
    changes = [code for code in re.findall("`([^`]*)`", mistake.answer) if not code.isidentifier()]
    assert not [code for code in changes if code in mistake.hint]
    assert not word_runs(mistake.answer, 5) & word_runs(mistake.hint, 5)


def word_runs(text: str, length: int) -> set[tuple[str, ...]]:
    """Every run of so many words in the text."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}
