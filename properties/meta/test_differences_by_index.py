"""The noise of finite differences is what is derived: every rule once more, for single numbers in a coarse format."""

from collections.abc import Callable
from itertools import pairwise, product
from math import exp, expm1, log1p, log2, sqrt, tanh
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from manual_backprop import ACTIVATIONS, LOSSES, OUTPUTS
from properties.meta.single_numbers import COARSE, FORMULA, TINY, U, gamma, same, sigmoid
from reference import differences

RULE: dict[str, Any] = dict(vars(differences))
PAIRS = [(output, loss) for output, loss in product(OUTPUTS, LOSSES) if LOSSES[loss].output in {None, output}]
FAR = 4 * 2.0**-4


class R(NamedTuple):
    """A value, how far the points carry it, its error, that of its derivative, and what a point's rounding does."""

    x: float
    k: float = 0
    e: float = 0
    d: float = 0
    r: float = 0


Row = list[R]


def of_layer(x: Row, W: Any, b: Any, s: float, s_b: float) -> Row:
    """z = xW + b for steps of at most FAR in directions with entries of at most s and s_b."""
    m, row = len(W), list[R]()
    for j, column in enumerate(abs(W).T):
        k, e, d, r = (sum(getattr(v, name) * w for v, w in zip(x, column, strict=True)) for name in "kedr")
        value = sum(v.x * w for v, w in zip(x, W[:, j], strict=True)) + (0 if b is None else b[j])
        size = sum(abs(v.x) * w for v, w in zip(x, column, strict=True)) + (0 if b is None else abs(b[j]))
        k += FAR * s * sum(abs(v.x) + v.k for v in x) + FAR * s_b
        point = FAR * s * sum(v.r for v in x) + gamma(m + 1) * (k + r) + 5 * U * (abs(value) + k)
        row.append(
            R(
                value,
                k,
                e + gamma(m + 1) * size + m * TINY,
                d + s * sum(v.e for v in x),
                r + point + m * TINY,
            )
        )
    return row


def steepest(name: str, z: float, reach: float) -> float:
    """The largest slope within reach."""
    nearest = max(abs(z) - reach, 0)
    return {
        "identity": 1,
        "relu": float(z + reach > 0),
        "tanh": 1 - tanh(nearest) ** 2,
        "sigmoid": sigmoid(nearest) * sigmoid(-nearest),
        "softplus": sigmoid(z + reach),
    }[name]


def of_activation(name: str, z: R) -> R:
    """h = f(z)."""
    value = {
        "identity": z.x,
        "relu": max(z.x, 0),
        "tanh": tanh(z.x),
        "sigmoid": sigmoid(z.x),
        "softplus": max(z.x, 0) + log1p(exp(-abs(z.x))),
    }[name]
    slope = steepest(name, z.x, z.k + z.e + z.r)
    curved = {"identity": 0, "relu": float(abs(z.x) <= z.e), "softplus": z.e / 4, "tanh": 0.77 * z.e}
    bent = curved.get(name, 0.0963 * z.e)
    own = FORMULA * {"identity": 0, "relu": 0, "softplus": 1 + value + z.k}.get(name, 1)
    return R(value, slope * z.k, slope * z.e + own, slope * z.d + bent * z.k / FAR, slope * z.r + 2 * own)


def of_exponents(z: Row, errors: list[float], j: int) -> float:
    """The error of z_j - log Σ_k e^z_k."""
    return errors[j] + max(errors) + FORMULA * (1 + max(abs(v.x) + v.k for v in z))


def of_softmax(z: Row) -> Row:
    """The outputs; a factor moves by at most e^2max, and a derivative by 6 o E Z."""
    top = max(v.x for v in z)
    total = sum(exp(v.x - top) for v in z)
    k, e, d = (max(getattr(v, name) for v in z) for name in "ked")
    row: Row = []
    for j, v in enumerate(z):
        o = exp(v.x - top) / total
        most = min(1, o * exp(2 * (k + e)))
        errors, points = [v.e for v in z], [v.r for v in z]
        row.append(
            R(
                o,
                min(1, o * expm1(2 * k)),
                min(1, most * expm1(of_exponents(z, errors, j))),
                most * (2 * d + 6 * e * k / FAR),
                min(1, most * expm1(of_exponents(z, points, j))),
            )
        )
    return row


def of_loss(loss: str, z: Row, o: Row, y: Any) -> tuple[float, float, float]:
    """For one sample: what a point's rounding does to the loss, the error of its derivative, and twice its change."""
    K, found = len(o), np.zeros(3)
    k, e, d = (max(getattr(v, name) for v in z) for name in "ked")
    for j in range(K):
        if loss == "cross_entropy":
            r, change = (of_exponents(z, [getattr(v, name) for v in z], j) for name in "rk")
            found += abs(y[j]) * np.array([r, 2 * d + 2 * e * k / FAR, 2 * change])
        elif "entropy" in loss:
            mass, own = abs(y[j]) + abs(1 - y[j]), FORMULA * (1 + abs(z[j].x) + z[j].k)
            found += mass * np.array([z[j].r + own, z[j].d + z[j].e * z[j].k / FAR / 4, 2 * (z[j].k + own)])
        else:
            off = abs(o[j].x - y[j])
            r, change = (
                (2 * (off + o[j].k) + error) * error + gamma(1) * (off + o[j].k + error) ** 2
                for error in (o[j].r, o[j].k)
            )
            found += [r, 2 * (off + o[j].e) * o[j].d + 2 * o[j].e * o[j].k / FAR, 2 * change]
    factor = {"mse": 1 / K, "half_mse": 1 / (2 * K), "half_sse": 1 / 2, "mean_binary_cross_entropy": 1 / K}
    return tuple(factor.get(loss, 1) * found)


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules in the coarse format."""
    monkeypatch.setattr(differences, "_DOUBLE", COARSE)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize(("output", "loss"), PAIRS)
def test_what_a_network_s_differences_err_by_is_what_its_numbers_err_by(output: str, loss: str) -> None:
    for seed, hidden in enumerate(ACTIVATIONS):
        random = np.random.default_rng((seed, len(output), len(loss)))
        units = [2, 3, 4, 3][: int(random.integers(2, 5))]
        biased = seed % 2 == 0
        parameters = [
            (random.standard_normal((m, k)), random.standard_normal(k) if biased else None)
            for m, k in pairwise(units)
        ]
        inputs, targets = random.standard_normal((5, 2)), random.random((5, units[-1]))
        sizes = [(2.0**-6 * (1 + at), 2.0**-7 * (2 + at) * biased) for at in range(len(parameters))]
        ground = RULE["_ground"](
            parameters,
            inputs,
            targets,
            sizes,
            FAR / 4,
            hidden=hidden,
            output=output,
            loss=loss,
            reduction="mean",
        )
        found = [
            np.concatenate([getattr(part, name) for part in ground.parts]) for name in ("r", "d", "change")
        ]
        errors = [np.concatenate([part.x_errors[at] for part in ground.parts]) for at in range(len(sizes))]
        for i in range(5):
            h: Row = [R(v) for v in inputs[i]]
            z = h
            for at, ((W, b), (s, s_b)) in enumerate(zip(parameters, sizes, strict=True)):
                assert same(errors[at][i], [v.e for v in h])
                z = of_layer(h, W, b, s, s_b)
                last = at == len(sizes) - 1
                name = output if last else hidden
                h = of_softmax(z) if name == "softmax" else [of_activation(name, v) for v in z]
            expected = np.array(of_loss(loss, z, h, targets[i])) / 5
            assert same([array[i] for array in found], expected), (hidden, i)
        assert same(ground.summing, gamma(24 + log2(5 * units[-1]) + len(ground.parts)))  # type: ignore[arg-type]


# From differences to a derivative ----------------------------------------------------------------------


def romberg(power: int, value: float, truncation: float) -> bool:
    """Whether L(t) = t^power has this value and this truncation, but for eight roundings of each of three terms."""
    t = 1 / 8  # whose powers are exact
    deltas = np.array([[(m * t) ** power - (-m * t) ** power for m in (1, 2, 4)]])
    found = RULE["_romberg"](deltas, np.array([t]))
    weights = abs(RULE["_VALUE"]), abs(RULE["_ONCE"]) + abs(RULE["_TWICE"])
    return all(
        abs(float(one[0]) - expected) <= 8 * 2.0**-53 * float((abs(deltas) @ weight)[0]) / t
        for one, expected, weight in zip(found, (value, truncation), weights, strict=True)
    )


def test_three_differences_give_a_slope_free_of_the_second_and_the_fourth_power() -> None:
    t = 1 / 8
    assert romberg(1, 1, 0)
    assert romberg(3, 0, 0)
    assert romberg(5, 0, 60 * t**4)
    assert romberg(7, 64 * t**6, 1260 * t**6)  # R(t) = -20 t⁶ and R(2t) = -1280 t⁶
    assert all(romberg(power, 0, 0) for power in (0, 2, 4, 6))


def test_the_rounding_of_a_value_counts_1_65_times_over_the_step() -> None:
    found = RULE["_rounding"](3.0, 5.0, np.array([1 / 2]))
    assert same(float(found[0]), (64 + 10 + 1 / 4) / 90 * (2 * 3 + 5) * 2)
    assert same(RULE["_AMPLIFIED"] * 2, 1.65)


def pilot(truncation: float, rounding: float, share: float = 1.0) -> Any:
    """One estimate."""
    return RULE["_Found"](*(np.array([v]) for v in (0.0, truncation, rounding, share)))


@pytest.mark.parametrize(
    ("truncation", "rounding", "power"),
    [
        (1, 1, -10),
        (1, 32, -9),
        (32, 1, -11),
        (1, 40, -9),
        (1, 31, -10),
        (1, 1e9, -5),
        (1e9, 1, -14),
        (0, 1, -5),
    ],
)
def test_the_step_is_the_power_of_two_up_to_where_both_errors_are_equal(
    truncation: float, rounding: float, power: int
) -> None:
    assert RULE["_balanced"](pilot(truncation, rounding)) == 2.0**power


@pytest.mark.parametrize(
    ("share", "power"), [(0.5, -12), (0.4, -13), (0.25, -13), (2.0**-20, -31), (2.0**-30, -34), (0, -34)]
)
def test_beside_a_kink_the_step_is_less_than_half_of_what_is_free(share: float, power: int) -> None:
    assert RULE["_balanced"](pilot(1, 1, share)) == 2.0**power


@pytest.mark.parametrize(
    ("base", "z", "share"),
    [
        (1.0, 3.0, 1.0),  # no side is changed
        (-1.0, -3.0, 1.0),
        (1.0, -3.0, 1 / 4),
        (-1.0, 3.0, 1 / 4),
        (1.0, 0.0, 1 / 2),  # 0 is the closed side
        (3.0, -1.0, 1 / 2),  # 3/4, and at most a half
        (0.0, 1.0, 0.0),
        (0.0, -1.0, 1.0),
    ],
)
def test_the_free_share_of_a_step_ends_where_a_unit_changes_sides(
    base: float, z: float, share: float
) -> None:
    moved = np.array([[[[z, 5.0]]], [[[2.0, 5.0]]]])  # (directions, points, n, units)
    with np.errstate(over="ignore"):  # as for all that `judge` does
        free = RULE["_free_share"]([np.array([[base, 5.0]])], [moved])
    if share < 1:
        assert free[0] == share
        assert free[1] == (1 if base > 0 else 0 if base == 0 else 1 / 3)
    else:
        assert np.all(free <= 1)
        assert np.broadcast_to(free, 2)[0] == 1
    assert RULE["_free_share"]([None], [moved]) == 1


def test_a_product_of_some_rows_at_a_time_is_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    x, W = np.arange(12.0).reshape(2, 6) - 5, np.arange(24.0).reshape(6, 4) - 11
    monkeypatch.setattr(differences, "_BLOCK", 9)  # two rows
    assert np.array_equal(RULE["_size_product"](x, W), x @ abs(W))
    assert [len(range(6)[rows]) for rows in RULE["_row_blocks"](W.shape)] == [2, 2, 2]


def test_growth_is_the_longest_column_on_the_way_up_and_not_less_than_1() -> None:
    sizes = [(np.ones((2, 3)), None), (np.full((3, 2), 2.0), None), (np.full((2, 1), 0.1), None)]
    layers = RULE["layers_of"](sizes, "tanh", "identity")
    assert same(RULE["_growths"](layers), [sqrt(12), 1, 1])


@pytest.mark.parametrize(
    ("x", "power"), [(1, 1), (1.9, 1), (2, 2), (0.3, 0.25), (0, 1), (np.inf, 1), (np.nan, 1)]
)
def test_a_length_is_the_power_of_two_below_or_1(x: float, power: float) -> None:
    assert RULE["_power_of_two"](np.array(x)) == power


# The verdict ------------------------------------------------------------------------------------------


def verdict(*answers: tuple[float, float, float, float]) -> Any:
    """For (difference, allowed, derivative, step) of each direction."""
    return RULE["_verdict"](RULE["_Answers"](*map(np.array, zip(*answers, strict=True))))


AGREES, KINKED, OVERFLOWS = (1.0, 2.0, 8.0, 1.0), (9.0, 1.0, 5.0, 0.0), (np.nan, np.inf, np.inf, 1.0)
NOISY, WRONG, NO_NUMBER = (1.0, 2.0, 2.0, 1.0), (6.0, 2.0, 8.0, 1.0), (np.nan, 2.0, 8.0, 1.0)


@pytest.mark.parametrize(
    ("answers", "outcome", "reason", "conclusive", "worst", "resolution"),
    [
        ([AGREES, AGREES], "agree", "all 2 directions agree", 2, 0.5, 0.25),
        (
            [AGREES, (1.0, 4.0, 8.0, 1.0), AGREES, NOISY],
            *("agree", "1 of 4 directions have a derivative below the noise", 3, 0.5, 0.25),
        ),
        (
            [AGREES, WRONG, KINKED, OVERFLOWS],
            "disagree",
            (
                "1 of 4 directions disagree, by up to 3 times the noise; 1 of 4 directions have a kink nearer than "
                "any step; 1 of 4 directions overflow"
            ),
            *(2, 3.0, 0.25),
        ),
        (
            [KINKED, KINKED],
            "inconclusive",
            "2 of 2 directions have a kink nearer than any step",
            0,
            0.0,
            np.inf,
        ),
        (
            [NO_NUMBER],
            "disagree",
            "1 of 1 directions disagree, by up to inf times the noise",
            1,
            np.inf,
            0.25,
        ),
    ],
)
def test_the_verdict_counts_what_each_direction_says(
    answers: list[Any], outcome: str, reason: str, conclusive: int, worst: float, resolution: float
) -> None:
    found = verdict(*answers)
    assert (found.outcome, found.reason, found.conclusive) == (outcome, reason, conclusive)
    assert (found.worst, found.resolution, found.miss) == (worst, resolution, 2.0**-conclusive)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("bias", [True, False])
def test_the_slack_is_the_rounding_of_the_sum_and_what_the_bound_grants(*, bias: bool) -> None:
    one: Any = [(np.array([[1.0, -2.0]]), np.array([3.0]) if bias else None)]
    sizes = [(1 / 2, 1 / 4)]
    size = 3 / 2 + bias * 3 / 4
    own = gamma(24 + 1 + 2 / 2**18 + 2) * size  # type: ignore[arg-type]
    assert same(RULE["_slack"](one, None, sizes), own)
    assert same(RULE["_slack"](one, one, sizes), own + size)
    assert RULE["_slack"]([(np.array([[np.inf]]), None)], None, sizes) == 0


# Every coordinate --------------------------------------------------------------------------------------


def always(answer: Any) -> Callable[..., Any]:
    """A function that answers so, whatever it is asked."""

    def function(*_: object) -> Any:
        return answer

    return function


@pytest.mark.usefixtures("coarse")
def test_a_weight_s_noise_is_that_of_its_slopes_of_their_sum_and_of_what_they_are_multiplied_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dz, noise = np.array([[1.0, -2.0], [3.0, 0.5]]), np.array([[0.25, 0.5], [0.125, 1.0]])
    x, error = np.array([[-1.0, 2.0, 4.0], [0.5, -3.0, 1.0]]), np.array([[0.5, 0.25, 0.0], [1.0, 0.125, 2.0]])
    monkeypatch.setattr(differences, "_slopes", always((dz, noise)))
    part, ground = SimpleNamespace(xs=[x], x_errors=[error]), SimpleNamespace(samples=2)
    W, b, W_noise, b_noise = RULE["_over_a_part"](ground, part, 0, 1.0)
    for j in range(2):
        each = [noise[i, j] + gamma(2) * abs(dz[i, j]) for i in range(2)]
        assert same(b[j], dz[0, j] + dz[1, j])
        assert same(b_noise[j], sum(each))
        for a in range(3):
            assert same(W[a, j], sum(x[i, a] * dz[i, j] for i in range(2)))
            expected = sum(
                (abs(x[i, a]) + error[i, a]) * each[i] + error[i, a] * abs(dz[i, j]) for i in range(2)
            )
            assert same(W_noise[a, j], expected)


@pytest.mark.parametrize("most", [1, 2, 100])
def test_a_slope_s_step_is_shortened_until_it_crosses_no_kink_or_is_given_up(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    s, step = 1 / 4, 2.0**-10 / 4
    asked: dict[tuple[int, int], list[float]] = {}

    def moved(ground: Any, part: Any, depth: int, chosen: Any, steps: Any) -> Any:
        """Of unit 0 no sample crosses a kink; of unit 1 one does; of unit 2 one always does."""
        del ground, part, depth
        share = np.ones(steps.shape)
        for row, unit in enumerate(chosen):
            for i in range(2):
                asked.setdefault((unit, i), []).append(steps[row, i])
                if i == 1 and (unit == 2 or (unit == 1 and steps[row, i] > step / 10)):
                    share[row, i] = 1 / 4
        return RULE["_Found"](10.0 * chosen[:, None] + steps, 0 * steps + 1 / 8, 0 * steps + 1 / 16, share)

    monkeypatch.setattr(differences, "_moved_units", moved)
    held = 6 * (2 + 2 * 3)
    monkeypatch.setattr(differences, "_room", always(most * 2 * held))
    layers = RULE["layers_of"]([(np.ones((2, 3)), None)], "tanh", "identity")
    ground = SimpleNamespace(layers=layers, samples=2)
    part = SimpleNamespace(zs=[np.zeros((2, 3))], d=np.array([1 / 2, 1 / 32]))
    values, noises = RULE["_slopes"](ground, part, 0, s)
    d = np.array([2, 1 / 8])
    assert np.array_equal(noises[:, 0], 1 / 8 + 1 / 16 + d)
    assert np.array_equal(noises[:, 1], 1 / 8 + 1 / 16 + d)
    assert noises[0, 2] == 1 / 8 + 1 / 16 + d[0]
    assert np.isinf(noises[1, 2])
    assert np.array_equal(values[:, :2], [[step, 10 + step], [step, 10 + step / 64]])
    assert asked[1, 1] == [step, step / 8, step / 64]
    assert asked[2, 1] == [step / 8**n for n in range(9)]  # down to 2⁻³⁴ s


def test_what_is_held_at_a_time_is_no_more_than_what_is_there_or_fits_a_cache() -> None:
    for units, samples in (((128, 64, 10), 32), ((128, 64, 10), 1000), ((300, 400, 10), 4), ((2, 3, 1), 2)):
        sizes = [(np.ones((m, k)), None) for m, k in pairwise(units)]
        layers = RULE["layers_of"](sizes, "tanh", "identity")
        there = sum(W.size for W, _ in sizes) + samples * (units[0] + 2 * sum(units[1:]))
        assert RULE["_room"](layers, samples) == max(2**14, min(2**16, 3 * there // 2), there // 2)
        below = [0, *units[1:-1]]
        assert RULE["_held"](layers) == 6 * max(
            m + 2 * k for m, k in zip(below, units[1:], strict=True)
        )  # at six points


def test_a_layer_s_steps_suit_what_comes_into_it_and_what_lies_above_it() -> None:
    parameters = [(np.full((2, 2), 2.0), None), (np.full((2, 1), 1.5), None)]
    inputs = np.array([[3.0, -4.0], [0.0, 1.0]])
    hidden = abs(inputs @ parameters[0][0]) + 4 * 2.0**-5  # the identity, as far as the points carry it
    growth = 1.5 * sqrt(2)
    norms = 5.0, np.linalg.norm(hidden, axis=1).max()
    expected = [
        (2.0 ** np.floor(-np.log2(growth * norms[0])), 2.0 ** np.floor(-np.log2(growth))),
        (2.0 ** np.floor(-np.log2(norms[1])), 1.0),
    ]
    assert differences.lengths(parameters, inputs, hidden="identity") == expected


# Asking ------------------------------------------------------------------------------------------------


def test_the_length_of_a_direction_is_its_largest_entry() -> None:
    signs = differences.Signs(np.zeros((2, 1), np.uint8), (2, 3), 0.125)
    assert [RULE["_length"](v) for v in (None, np.array([1.0, -3.0]), np.zeros((0, 2)), signs)] == [
        0,
        3,
        0,
        0.125,
    ]


def test_who_is_accused_is_asked_again_at_half_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[int], list[float]]] = []
    first = [
        (1.0, 2.0, 8.0, 1.0),
        (3.0, 2.0, 8.0, 0.5),
        (2.0, 2.0, 8.0, 1.0),
        (9.0, 2.0, 8.0, 0.0),
        (np.nan, 2.0, 8.0, 2.0),
    ]
    second = [(1.0, 2.0, 8.0, 0.25), (5.0, 2.0, 8.0, 1.0)]

    def beside(ground: Any, gradient: Any, directions: Any, slack: float, which: Any, steps: Any) -> Any:
        del ground, gradient, directions, slack
        asked.append((which.tolist(), steps.tolist()))
        answers = first if len(asked) == 1 else second
        return RULE["_Answers"](*map(np.array, zip(*answers, strict=True)))

    monkeypatch.setattr(differences, "_beside_kinks", beside)
    one: Any = [(np.ones((1, 1)), np.ones(1))]
    choices: Any = {"hidden": "tanh", "output": "identity", "loss": "mse", "reduction": "mean"}
    found = differences.judge(one, one, np.ones((2, 1)), np.ones((2, 1)), count=5, **choices)
    assert asked[0][0] == [0, 1, 2, 3, 4]
    assert len(set(asked[0][1])) == 1
    assert asked[1:] == [([1, 4], [0.25, 1.0])]
    assert found.outcome == "disagree"
    assert found.reason == (
        "1 of 5 directions disagree, by up to 2.5 times the noise; "
        "1 of 5 directions have a kink nearer than any step"
    )
