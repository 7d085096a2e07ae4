"""Every number of the lesson is what the library, autodiff and the loss itself say."""

import json
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import pytest

from lesson import setting, story
from lesson.content import STEPS, as_json, build, flat, key, states
from lesson.setting import CONTROLS, DEFAULT, OUTPUTS, REDUCTIONS, TRAINING
from lesson.wording import in_units, number, percent, rounding, short, signed, unit
from manual_backprop import average_over_parts, gradient, per_sample_average, split
from manual_backprop.mistakes import one_cell_only, one_output_only
from properties.digits import PIXELS, digits
from reference import autodiff

LESSON = build()
BEST = STEPS.index(1e-5)


@cache
def contributions(output: str, loss: str) -> Any:
    """What every cell of the largest batch adds to the gradient of the summed loss: the others are its first rows."""
    names = {"hidden": "tanh", "output": output, "loss": loss, "reduction": "sum"}
    largest = max(map(int, setting.keys("batch")))
    x, y = (array[:largest] for array in digits())
    return autodiff.contributions([(W, np.asarray(b)) for W, b in setting.network()], x, y, **names)


@pytest.mark.parametrize("output", ["identity", "sigmoid", "softmax"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_every_cell_is_the_contribution_that_autodiff_finds(reduction: str, output: str) -> None:
    loss, over_samples = REDUCTIONS[reduction]
    found = contributions(output, loss)
    for n in setting.keys("batch"):
        for name, weight in LESSON.weights.items():
            array = found[weight.layer][0 if weight.array == "W" else 1]
            truth = array[(slice(int(n)), ..., *weight.place)] / (int(n) if over_samples == "mean" else 1)
            shown = LESSON.ledgers[key(name, n, reduction, output)].cells
            scale = unit(np.abs(truth).max())
            assert [in_units(v, scale) for v in shown.flat] == [in_units(v, scale) for v in truth.flat]


def test_the_ledgers_total_is_the_measured_slope_of_the_loss() -> None:
    for state in states("weight", "batch", "reduction", "output"):
        ledger = LESSON.ledgers[key(*state)]
        measured = (ledger.central[BEST], ledger.by_sample.sum(), ledger.running[-1])
        assert {number(ledger.total)} == {number(float(value)) for value in measured}, state


def test_what_is_kept_is_the_sum_of_the_kept_cells_and_differs_only_where_a_dropped_cell_is_not_0() -> None:
    for state in states(*CONTROLS):
        weight, n, keep, reduction, output = state
        kept, ledger = LESSON.kept[key(*state)], LESSON.ledgers[key(weight, n, reduction, output)]
        mask = setting.kept(keep, int(n))
        assert number(kept.total) == number(float((ledger.cells * mask).sum()))
        if not kept.missed:
            assert number(kept.total) == number(ledger.total)
        if keep == "all":
            assert kept.dropped == kept.missed == 0


def test_the_masks_are_the_catalogues_mistakes() -> None:
    inputs, targets = digits()
    x, y = inputs[:8], targets[:8]
    for keep, rule in (("o1", one_output_only(0)), ("o11", one_cell_only(0, 0))):
        ours = LESSON.verdicts[key("8", keep, "identity")].kept_gradient
        theirs = rule(setting.network(), x, y)
        assert np.array_equal(flat(ours), flat(theirs))


def test_average_and_whole_batch_differ_by_rounding_alone_except_under_batch_norm() -> None:
    for state in states("weight", "batch", "reduction", "output"):
        average = LESSON.averages[key(*state)]
        mixes = state[-1] == "batchnorm" and state[1] != "1"
        assert (average.difference > 0.5) == mixes
        assert mixes or rounding(average.difference) in {"0", "≤\u00a010⁻¹⁵"}
        assert mixes or number(average.one_by_one) == number(average.at_once)


def test_form_one_is_the_librarys_per_sample_average() -> None:
    inputs, targets = digits()
    average = flat(per_sample_average(setting.network(), inputs[:8], targets[:8]))
    shown = LESSON.averages["W1.8.mean.identity"]
    assert number(shown.length_one_by_one, 12) == number(float(np.linalg.norm(average)), 12)


def test_a_sum_is_as_many_times_longer_as_there_are_terms_in_its_mean() -> None:
    for n in setting.keys("batch"):
        for reduction, times in (("mean", 1), ("sum", int(n) * OUTPUTS), ("outputs", OUTPUTS)):
            average = LESSON.averages[key("W1", n, reduction, "identity")]
            assert (number(average.times_longer), short(average.direction)) == (number(times), "1.00")


def test_under_batch_norm_the_samples_own_gradients_are_exactly_0() -> None:
    average = LESSON.averages["W1.8.mean.batchnorm"]
    assert average.length_one_by_one == 0
    assert average.length_at_once > 0.5


def test_the_mean_of_ragged_means_is_another_gradient() -> None:
    inputs, targets = digits()
    x, y = inputs[:TRAINING], targets[:TRAINING]
    parts = split(x, y, 32)
    assert [len(parts), len(parts[-1][0])] == [LESSON.ragged["parts"], LESSON.ragged["last"]] == [32, 8]
    plain, whole = (
        flat(average_over_parts(setting.network(), parts, by_size=False)),
        flat(gradient(setting.network(), x, y)),
    )
    off = float(np.abs(plain - whole).max() / np.abs(whole).max())
    assert percent(LESSON.ragged["equal"], 1) == percent(off, 1) != percent(0, 1)
    assert rounding(LESSON.ragged["by_size"]).startswith("≤")


def test_one_output_only_is_right_for_one_column_and_near_one_over_root_ten_as_a_whole() -> None:
    found = LESSON.verdicts["8.o1.identity"]
    assert found.right_columns == 1
    assert [short(v) for v in found.columns] == ["0.00", *["1.00"] * 9]
    assert abs(found.whole.cosine - LESSON.expected_cosine) < 0.05
    assert abs(LESSON.verdicts["8.o11.identity"].whole.cosine) < LESSON.expected_cosine


def test_the_weight_that_is_followed_is_moved_the_wrong_way_by_one_output() -> None:
    right, wrong = LESSON.kept["W1.8.all.mean.identity"].total, LESSON.kept["W1.8.o1.mean.identity"].total
    assert right * wrong < 0
    assert LESSON.weights["W1"].place[0] < PIXELS


def test_a_nudged_hidden_weight_moves_ten_outputs_and_a_last_layer_weight_one_unless_they_are_joined() -> (
    None
):
    moved = {place: prediction.moved for place, prediction in LESSON.predictions.items()}
    assert {
        moved[f"{weight}.8.{output}"] for weight in ("W1", "b1") for output in setting.keys("output")
    } == {10}
    assert {moved[f"W2o4.8.{output}"] for output in ("identity", "sigmoid", "batchnorm")} == {1}
    assert moved["W2o4.8.softmax"] == 10
    assert moved["W1.1.batchnorm"] == 0


def test_dropping_rows_slows_every_output_and_dropping_columns_stalls_all_but_one() -> None:
    runs = LESSON.runs["teacher"]
    before, after = (np.array([runs[k].losses[at] for k in setting.keys("keep")]) for at in (0, -1))
    learned = after < before / 2  # (4, 10)
    assert learned.sum(axis=1).tolist() == [10, 1, 1, 10]
    assert learned[:, 0].all()
    totals = runs["o1"].losses.mean(axis=1)
    assert totals[1] < totals[0]  # downhill at first


def test_on_the_digits_the_wrong_rules_loss_falls_and_then_climbs_above_its_start() -> None:
    before, lowest, after, *_ = LESSON.runs["digits"]["o1"].summary()
    assert lowest < before < after


def test_a_wrong_gradient_is_wrong_at_every_step_and_a_right_one_has_a_valley() -> None:
    ledger, wrong = LESSON.ledgers["W1.8.mean.identity"], LESSON.kept["W1.8.o1.mean.identity"].total
    off = np.abs(ledger.central / ledger.total - 1)
    assert off[BEST] < off[0] / 1e6
    assert off[BEST] < off[-1] / 1e6
    assert (np.abs(ledger.central - wrong) > abs(wrong)).all()


def test_each_question_has_exactly_one_right_choice() -> None:
    questions = story.quiz(LESSON)
    assert len(questions) == 3
    assert [list(question.choices).count(question.right) for question in questions] == [1, 1, 1]


def test_the_words_leave_no_number_to_be_put_in_and_none_unused() -> None:
    texts = [text for step in story.STEPS for text in (*step.paragraphs, *step.on_page)]
    texts += [
        *story.SETTING,
        story.RUNS,
        *(question.text + question.because for question in story.quiz(LESSON)),
    ]
    source = (resources.files("lesson") / "story.toml").read_text(encoding="utf-8")
    assert [name for name in story.facts(LESSON) if f"{{{name}}}" not in source] == []
    assert "{" not in "".join(story.told(texts, LESSON))
    assert OUTPUTS == 10  # the texts say "ten"


def test_the_words_numbers_are_the_lessons() -> None:
    told = " ".join(story.told([*story.SETTING, *story.STEPS[6].paragraphs], LESSON))
    total = LESSON.kept[key(*DEFAULT.values())].total
    found = LESSON.verdicts["8.o1.identity"]
    for text in (signed(total), short(found.whole.cosine), f"{found.wrong_sign} of {found.with_sign}"):
        assert text in told


def test_the_json_has_every_number_and_no_nan() -> None:
    loaded = json.loads(as_json(LESSON), parse_constant=pytest.fail)
    assert loaded["ledgers"].keys() == LESSON.ledgers.keys()
    assert (
        loaded["ledgers"]["W1.8.mean.identity"]["cells"]
        == LESSON.ledgers["W1.8.mean.identity"].cells.tolist()
    )
    assert loaded["kept"].keys() == LESSON.kept.keys()
    assert loaded["verdicts"]["1.all.batchnorm"]["whole"]["cosine"] is None
    assert "kept_gradient" not in loaded["verdicts"]["8.o1.identity"]
