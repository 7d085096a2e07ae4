"""Where a derivative is wrong that is right elsewhere: under which sizes and numbers, and in which entries."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from properties.diagnosis.conditions import ASKED, Told, condition
from properties.meta.test_operation_properties import EFFORT, InProcess
from properties.operation import PROPERTIES
from properties.operation.cases import WIDEST_INPUT, OperationCase, Seeded, make
from properties.operation.explanations import OperationExplanations
from properties.operation.judge import Judge
from properties.operation.population import OperationPopulation
from properties.search import Verdict, searched
from reference.operations.operation import Input

Array = Any
Wrong = Callable[[Array, Array, Array], tuple[Array, Array]]
"""Of x and the right gradients by x and gain, what is returned."""


def scaled(x: Array, gain: Array) -> Any:
    return x * gain, (x, gain)


def judge_of(wrong: Wrong, known: str = "multiply", **declared: Any) -> Judge:
    """y = x · gain along the last axis, whose derivative is wrong somewhere."""

    def backward(dy: Array, cache: Any) -> Any:
        x, gain = cache
        return wrong(x, dy * gain, (dy * x).sum(axis=0))

    axes: dict[str, str | Input] = {"x": "n d", "gain": "d"}
    return Judge(InProcess(axes, scaled, backward, known, **declared))


def example_of(judge: Judge, regime: str = "plain") -> OperationCase:
    return make(Seeded(np.random.default_rng(0)), judge, (regime,))


def condition_of(judge: Judge, example: OperationCase) -> Told[OperationCase] | None:
    return condition(OperationPopulation(judge, example))


def doubled_where(holds: Callable[[Array], bool]) -> Wrong:
    return lambda x, dx, dgain: (2 * dx if holds(x) else dx, dgain)


ON_CASES: dict[str, Wrong] = {
    "n is 1": doubled_where(lambda x: len(x) == 1),
    "d is not 1": doubled_where(lambda x: x.shape[1] != 1),
    "n = d": doubled_where(lambda x: x.shape[0] == x.shape[1]),
    "d ≥ 33": doubled_where(lambda x: x.shape[1] > 32),
    "d ≥ 5": doubled_where(lambda x: x.shape[1] >= 5),
    "n ≤ 2": doubled_where(lambda x: len(x) <= 2),
    "n is 3": doubled_where(lambda x: len(x) == 3),
    "n is a multiple of 4": doubled_where(lambda x: len(x) % 4 == 0),
    "n is no multiple of 2": doubled_where(lambda x: len(x) % 2 != 0),
    "n is above 8 and no multiple of it": doubled_where(lambda x: len(x) > 8 and len(x) % 8 != 0),
    "some x is negative": doubled_where(lambda x: bool((x < 0).any())),
    "some x is above 2": doubled_where(lambda x: x.max() > 2),
    "some x is below −2": doubled_where(lambda x: x.min() < -2),
    "n > d": doubled_where(lambda x: x.shape[0] > x.shape[1]),
}


@pytest.mark.parametrize("text", ON_CASES)
def test_the_condition_is_told_that_wrong_cases_meet_and_right_ones_do_not(text: str) -> None:
    judge = judge_of(ON_CASES[text])
    found = condition_of(judge, example_of(judge))
    assert found is not None
    assert found.sentence == f"always and only where {text}"


def test_what_is_wrong_everywhere_is_soon_known_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, asked = judge_of(lambda x, dx, dgain: (3 * dx, dgain)), list[OperationCase]()
    example, ask = example_of(judge), OperationPopulation.asked
    monkeypatch.setattr(
        OperationPopulation, "asked", lambda self, case: asked.append(case) or ask(self, case)
    )
    assert condition_of(judge, example) is None
    assert len(asked) < 1.5 * ASKED


MEASURED: dict[str, Callable[[Array], bool]] = {
    "n is 1": lambda x: len(x) == 1,
    "n = d": lambda x: x.shape[0] == x.shape[1],
    "d is 3": lambda x: x.shape[1] == 3,
    "d ≥ 33": lambda x: x.shape[1] > 32,
    "n is above 4 and no multiple of it": lambda x: len(x) > 4 and len(x) % 4 != 0,
}


@pytest.mark.parametrize("text", MEASURED)
def test_fewer_cases_do_where_each_is_measured(text: str) -> None:
    def forward(x: Array) -> Any:
        return np.sin(x) * np.cosh(x), x

    def backward(dy: Array, x: Array) -> Array:
        slope = np.cos(x) * np.cosh(x) + np.sin(x) * np.sinh(x)
        return dy * slope * (2 if MEASURED[text](x) else 1)

    judge = Judge(InProcess({"x": "n d"}, forward, backward))
    assert judge.reading is None
    record = searched(PROPERTIES[2], judge, replace(EFFORT, cases=100))
    assert isinstance(record.example, OperationCase)
    found = condition_of(judge, record.example)
    assert found is not None
    assert found.sentence == f"always and only where {text}"


def test_a_condition_is_not_narrower_than_the_cases_where_one_axis_bounds_another() -> None:
    def forward(x: Array, w: Array) -> Any:
        return np.sin(x) * np.cosh(x) * w.sum(), (x, w)

    def backward(dy: Array, cache: Any) -> Any:
        x, w = cache
        slope = (np.cos(x) * np.cosh(x) + np.sin(x) * np.sinh(x)) * w.sum()
        dw = np.full_like(w, (dy * np.sin(x) * np.cosh(x)).sum())
        return dy * slope * (1 if len(w) % 3 else 2), dw

    judge = Judge(
        InProcess({"x": "n l", "w": "k"}, forward, backward, valid=lambda sizes, _: sizes["k"] <= sizes["l"])
    )
    example = make(Seeded(np.random.default_rng(0)), judge, ("plain",), sizes=(3,))
    found = condition_of(judge, example)
    assert found is not None
    assert found.sentence == "always and only where k is a multiple of 3"


def test_a_threshold_of_the_only_axis_is_found_where_each_is_measured() -> None:
    def forward(x: Array) -> Any:
        return np.sin(x) * np.cosh(x), x

    def backward(dy: Array, x: Array) -> Array:
        slope = np.cos(x) * np.cosh(x) + np.sin(x) * np.sinh(x)
        return dy * np.where(np.arange(len(x)) < 32, slope, 0)

    judge = Judge(InProcess({"x": "n"}, forward, backward))
    record = searched(PROPERTIES[2], judge, replace(EFFORT, cases=100))
    assert isinstance(record.example, OperationCase)
    found = condition_of(judge, record.example)
    assert found is not None
    assert found.sentence == "always and only where n ≥ 33; dx is wrong beyond the first 32 of n"


@pytest.mark.parametrize("seed", range(6))
def test_cases_that_are_wrong_by_chance_meet_no_condition(seed: int) -> None:
    def by_chance(x: Array) -> bool:
        return crc32(x.tobytes(), seed) % 3 == 0

    judge = judge_of(doubled_where(by_chance))
    assert condition_of(judge, example_of(judge)) is None


def test_what_is_wrong_everywhere_has_no_condition() -> None:
    judge = judge_of(doubled_where(lambda _: True))
    assert condition_of(judge, example_of(judge)) is None


IN_ENTRIES: dict[str, Wrong] = {
    "dx is wrong where |x| > 3": lambda x, dx, dgain: (np.where(abs(x) > 3, 0, dx), dgain),
    "dx is wrong where |x| < 0.5": lambda x, dx, dgain: (np.where(abs(x) < 0.5, 2 * dx, dx), dgain),
    "dx is wrong where x > −1": lambda x, dx, dgain: (np.where(x > -1, 2 * dx, dx), dgain),
    "dx is wrong where x is negative": lambda x, dx, dgain: (np.where(x < 0, -dx, dx), dgain),
    "dx is wrong where x is 0": lambda x, dx, dgain: (np.where(x == 0, 0, dx), dgain),
    "dx is wrong in the first of n": lambda x, dx, dgain: (
        np.where(np.arange(len(x))[:, None], dx, 0),
        dgain,
    ),
    "dgain is wrong in the last of d": lambda x, dx, dgain: (
        dx,
        np.append(dgain[:-1], 2 * dgain[-1:]),
    ),
    "dx is wrong in all but the first of d": lambda x, dx, dgain: (
        np.concatenate([dx[:, :1], 2 * dx[:, 1:]], axis=1),
        dgain,
    ),
}


@pytest.mark.parametrize("text", IN_ENTRIES)
def test_the_entries_are_told_that_are_wrong_where_others_are_right(text: str) -> None:
    judge = judge_of(IN_ENTRIES[text])
    found = condition_of(judge, example_of(judge))
    assert found is not None
    assert text in found.sentence.split("; ")


def test_an_error_that_has_a_number_for_a_factor_is_no_condition_on_its_size() -> None:
    judge = judge_of(lambda x, dx, dgain: (dx + x, dgain))  # right where x is 0
    assert condition_of(judge, example_of(judge)) is None


def test_the_cotangent_tells_which_entries_are_wrong_too() -> None:
    def clipped(dy: Array, x: Array) -> Array:
        return np.clip(dy, -1, 1) * np.cosh(x)

    judge = Judge(InProcess({"x": "n d"}, lambda x: (np.sinh(x), x), clipped, "sinh"))
    found = condition_of(judge, example_of(judge))
    assert found is not None
    assert "dx is wrong where |dy| > 1" in found.sentence


def test_so_does_the_output() -> None:
    def cut(dy: Array, y: Array) -> Array:
        return np.where(y > 0.75, 0, dy * (1 - y * y))

    judge = Judge(InProcess({"x": "n d"}, lambda x: (np.tanh(x),) * 2, cut, "tanh"))
    found = condition_of(judge, example_of(judge))
    assert found is not None
    assert re.search(r"dx is wrong where (x > 0.97\d*|y > 0.75)", found.sentence)


def test_entries_beyond_the_end_of_a_block_are_told() -> None:
    def wrong(x: Array, dx: Array, dgain: Array) -> tuple[Array, Array]:
        return np.where(np.arange(x.shape[1]) >= 32, 0, dx), dgain

    judge = judge_of(wrong)
    found = condition_of(judge, example_of(judge))
    assert found is not None
    assert found.sentence == "always and only where d ≥ 33; dx is wrong beyond the first 32 of d"


def test_a_threshold_at_the_edges_is_found_to_two_digits() -> None:
    judge = judge_of(lambda x, dx, dgain: (np.where(abs(x) > 100, 0, dx), dgain))
    found = condition_of(judge, example_of(judge, "saturated"))
    assert found is not None
    assert found.sentence.endswith("dx is wrong where |x| > 100")


def test_a_long_axis_is_drawn_and_shows_what_is_wrong_beyond_32() -> None:
    judge = judge_of(ON_CASES["d ≥ 33"])
    record = searched(PROPERTIES[2], judge, replace(EFFORT, cases=100))
    assert record.verdict is Verdict.FAIL
    assert isinstance(record.example, OperationCase)
    assert (record.example.sizes["d"], record.example.sizes["n"]) == (33, 1)


def test_a_step_is_named_as_it_is_under_the_condition() -> None:
    judge = judge_of(ON_CASES["n = d"])
    record = searched(PROPERTIES[2], judge, EFFORT)
    assert record.example is not None
    found = OperationExplanations().diagnosis(judge, record.example)
    assert found.where.endswith("always and only where n = d")
    assert found.sentence.startswith("dx: dx is doubled")


def test_a_step_that_explains_one_size_alone_is_no_name() -> None:
    def wrong(x: Array, dx: Array, dgain: Array) -> tuple[Array, Array]:
        whole = len(x) // 4 * 4 or len(x)  # of 5 samples the last is left out, of 6 two
        return np.where(np.arange(len(x))[:, None] < whole, dx, 0), dgain

    judge = judge_of(wrong)
    record = searched(PROPERTIES[2], judge, replace(EFFORT, cases=100))
    assert record.example is not None
    found = OperationExplanations().diagnosis(judge, record.example)
    assert "n is above 4 and no multiple of it" in found.where
    assert found.sentence == ""


def test_sizes_that_a_file_pins_are_never_long() -> None:
    judge = judge_of(lambda x, dx, dgain: (dx, dgain), sizes={"d": (2, 3)})
    drawn = [make(Seeded(np.random.default_rng(seed)), judge, ("wide",)) for seed in range(40)]
    assert {case.sizes["d"] for case in drawn} == {2, 3}
    assert max(case.sizes["n"] for case in drawn) > 32


def test_a_long_axis_makes_no_input_that_fills_the_memory() -> None:
    judge = Judge(InProcess({"x": "k*k*k k"}, lambda x: (x, x), lambda dy, _: dy))
    drawn = [make(Seeded(np.random.default_rng(seed)), judge, ("wide",)) for seed in range(40)]
    assert max(case.inputs["x"].size for case in drawn) <= WIDEST_INPUT
