"""The derivative of a forward pass that is known by its values alone: sound everywhere, sharp where it can be."""

# pyright: reportUnknownLambdaType=false
# A forward pass is a lambda of arrays, which are Any.

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from properties.comparison import Comparison, compare
from reference.slopes import NotRepeatableError, Several, Vjp, slopes

Forward = Callable[..., Any]


def measured(forward: Forward, *inputs: Any, dy: Any = None, **choices: Any) -> Vjp:
    """The VJP of a forward pass with one output; `dy` of ones where left out."""
    arrays = [np.asarray(one) for one in inputs]
    with np.errstate(all="ignore"):
        dy = np.ones_like(forward(*arrays)) if dy is None else dy
        return slopes(lambda point: (forward(*point),), arrays, cotangents=[dy], **choices).vjp([dy])


def judged(found: Vjp, *gradients: Any) -> Comparison:
    """Gradients against what was measured, by entry and along the lines."""
    arrays = [None if one is None else np.asarray(one, np.float64) for one in gradients]
    entries = {f"d{i}": one for i, one in enumerate(found.entries) if one is not None}
    given = {f"d{i}": one for i, one in enumerate(arrays) if one is not None}
    return compare(
        given | {"lines": found.projected(arrays)},
        {name: one.value for name, one in entries.items()} | {"lines": found.value},
        {name: one.error for name, one in entries.items()} | {"lines": found.error},
        {name: one.open for name, one in entries.items()} | {"lines": found.open},
    )


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def layer_norm(x: Any) -> Any:
    c = x - x.mean(axis=-1, keepdims=True)
    return c / np.sqrt((c**2).mean(axis=-1, keepdims=True) + 1e-5)


def d_layer_norm(dy: Any, x: Any) -> Any:
    s = np.sqrt(((x - x.mean(axis=-1, keepdims=True)) ** 2).mean(axis=-1, keepdims=True) + 1e-5)
    h = layer_norm(x)
    return (dy - dy.mean(axis=-1, keepdims=True) - h * (dy * h).mean(axis=-1, keepdims=True)) / s


SMOOTH: dict[str, tuple[Forward, Callable[[Any, Any], Any]]] = {
    "affine": (lambda x: 3 * x + 1, lambda dy, x: 3 * dy),
    "tanh": (np.tanh, lambda dy, x: dy * (1 - np.tanh(x) ** 2)),
    "sine": (np.sin, lambda dy, x: dy * np.cos(x)),
    "cube": (lambda x: x**3, lambda dy, x: 3 * dy * x**2),
    "reciprocal": (lambda x: 1 / x, lambda dy, x: -dy / x**2),
    "softmax": (softmax, lambda dy, x: softmax(x) * (dy - (dy * softmax(x)).sum(axis=-1, keepdims=True))),
    "layer norm": (layer_norm, d_layer_norm),
    "norm": (
        lambda x: np.sqrt((x**2).sum(axis=-1, keepdims=True)),
        lambda dy, x: dy * x / np.sqrt((x**2).sum(axis=-1, keepdims=True)),
    ),
    "cumulative sum": (lambda x: x.cumsum(axis=-1), lambda dy, x: dy[:, ::-1].cumsum(axis=-1)[:, ::-1]),
    "product": (
        lambda x: x.prod(axis=-1),
        lambda dy, x: dy[:, None] * np.where(np.eye(x.shape[-1]), 1, x[:, None]).prod(axis=-1),
    ),
}
smooth = pytest.mark.parametrize("name", SMOOTH)
ways = pytest.mark.parametrize("complex_steps", [True, False], ids=["complex", "differences"])


def drawn(seed: int, name: str, *, wide: bool) -> tuple[Any, Any]:
    """Numbers of size 1, or each of any size from 1e-4 to 1e4; and a cotangent."""
    random = np.random.default_rng([seed, *name.encode()])
    x = random.uniform(0.3, 2, (2, 3)) * random.choice([-1, 1], (2, 3))
    if wide:
        x = 10 ** random.uniform(-4, 4, (2, 3)) * random.choice([-1, 1], (2, 3))
    return x, random.standard_normal(np.shape(SMOOTH[name][0](x)))


@smooth
@ways
def test_a_factor_of_one_part_in_a_million_on_one_entry_is_seen(name: str, *, complex_steps: bool) -> None:
    forward, backward = SMOOTH[name]
    for seed in range(3):
        x, dy = drawn(seed, name, wide=False)
        found = measured(forward, x, dy=dy, complex_steps=complex_steps)
        right = backward(dy, x)
        assert judged(found, right).holds
        assert found.digits >= 8
        for index in np.ndindex(right.shape):
            wrong = right.copy()
            wrong[index] *= 1 + 1e-6
            assert not judged(found, wrong).holds


@smooth
@ways
def test_no_right_gradient_is_accused_whatever_the_sizes_of_the_numbers(
    name: str, *, complex_steps: bool
) -> None:
    forward, backward = SMOOTH[name]
    for seed in range(10):
        x, dy = drawn(seed, name, wide=True)
        with np.errstate(all="ignore"):
            right = backward(dy, x)
        found = judged(measured(forward, x, dy=dy, complex_steps=complex_steps), right)
        assert found.holds, found.worst


@smooth
@pytest.mark.parametrize("declared", [True, False])
def test_single_precision_inside_is_found_out_and_accuses_nobody(name: str, *, declared: bool) -> None:
    forward, backward = SMOOTH[name]

    def inside(x: Any) -> Any:
        return forward(x.astype(np.float32)).astype(np.float64)

    for seed in range(6):
        x, dy = drawn(seed, name, wide=seed % 2 == 1)
        x = x.astype(np.float32).astype(np.float64)
        found = measured(inside, x, dy=dy, single=declared)
        assert judged(found, backward(dy, x)).holds
        wrong = judged(found, 1.01 * backward(dy, x))
        assert seed % 2 or not wrong.holds  # numbers of one size: a hundredth is seen


def test_single_precision_is_found_out_where_the_outputs_do_not_show_it() -> None:
    counts = np.array([3, 0, 5])
    x = np.array([1e-4, 2e-4, -1e-4])

    def forward(x: Any) -> Any:
        x = x.astype(np.float32)
        return np.exp(x) - counts * x  # double, as whole numbers and single precision make

    assert judged(measured(forward, x), np.exp(x) - counts).holds


def test_a_step_does_not_leave_the_domain() -> None:
    seen: list[float] = []

    def forward(x: Any) -> Any:
        seen.append(float(np.real(x).min()))
        return np.log(x)

    x = np.array([1e-4, 1.0, 1e4])
    found = measured(forward, x, within=[(0, math.inf)])
    assert min(seen) > 0
    assert judged(found, 1 / x).holds
    assert not judged(found, (1 + 1e-6) / x).holds


@pytest.mark.parametrize("forward", [np.log, lambda x: np.array([math.log(one) for one in x])])
def test_a_function_without_a_value_at_a_step_is_measured_by_shorter_ones(forward: Forward) -> None:
    x = np.array([1e-4, 1e4])
    assert judged(measured(forward, x), 1 / x).holds
    assert not judged(measured(forward, x), (1 + 1e-6) / x).holds


def test_what_is_known_nowhere_is_not_blamed() -> None:
    found = measured(np.sqrt, np.array([0.0, 4.0]))
    assert judged(found, np.array([math.inf, 0.25])).wrong == {"d0": 1, "lines": 1}  # no number at all
    assert judged(found, np.array([123.0, 0.25])).holds
    assert not judged(found, np.array([123.0, 0.26])).holds
    assert judged(measured(lambda x: np.nan * x, np.array([1.0])), np.array([123.0])).holds
    assert judged(measured(np.log, np.array([0.0]), within=[(0, 1)]), np.array([123.0])).holds


def test_a_kink_allows_what_lies_between_the_one_sided_slopes() -> None:
    x, dy = np.array([0.0, 1.0, -2.0]), np.array([3.0, 5.0, 7.0])
    found = measured(lambda x: np.maximum(x, 0.1 * x), x, dy=dy)
    for slope in (0.1, 0.5, 1):
        assert judged(found, dy * [slope, 1, 0.1]).holds
    for slope in (0, 1.1):
        assert not judged(found, dy * [slope, 1, 0.1]).holds


def test_a_kink_beside_the_point_is_none() -> None:
    for away in (1e-3, 1e-5):
        x = np.array([1 + away, 1 - away])
        found = measured(lambda x: np.maximum(x - 1, 0).sum(), x)
        assert judged(found, [1, 0]).holds
        assert not judged(found, [1, 1e-3]).holds


MAXIMA = {
    "the first": ([1, 0, 0, 0], True),
    "an even split": ([1 / 3, 1 / 3, 1 / 3, 0], True),
    "each the whole": ([1, 1, 1, 0], False),
    "none": ([0, 0, 0, 0], False),
    "another": ([0, 0, 0.5, 0.5], False),
    "half of two": ([0.5, 0.2, 0, 0], False),
}


@pytest.mark.parametrize("name", MAXIMA)
def test_at_a_tie_of_three_any_split_of_one_is_right(name: str) -> None:
    gradient, right = MAXIMA[name]
    found = measured(lambda x: x.max(), np.array([2.0, 2.0, 2.0, 1.0]))
    assert judged(found, gradient).holds == right


@pytest.mark.parametrize(("a", "b"), [(1, 0), (0.5, 0.5), (1, 1), (0, 0)])
def test_a_minimum_of_two_inputs_gives_one_in_all(a: float, b: float) -> None:
    found = measured(np.minimum, np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    assert judged(found, [a, 1], [b, 0]).holds == (a + b == 1)


def test_at_a_kink_of_a_sum_entries_are_not_free_one_by_one() -> None:
    w = np.array([2.0, -1.0, 3.0])
    found = measured(lambda x: np.maximum(x @ w, 0), np.array([1.0, 2.0, 0.0]))
    for share in (0, 0.5, 1):
        assert judged(found, share * w).holds
    assert not judged(found, [2, 0, 3]).holds  # each entry is a one-sided slope, but of different sides
    assert not judged(found, [0, 0, 3]).holds


@pytest.mark.parametrize("seed", range(60))
def test_units_that_open_where_others_close_do_not_blame_a_slope_of_0(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, d, h = rng.integers(1, 4, 3)
    numbers = np.array([0, 0.5, 1, -0.5, -1, 1.5, -2])  # so simple that kinks cancel along many a line
    x, W, V = np.zeros((n, d)), rng.choice(numbers, (d, h)), rng.choice(numbers, (h, d))
    found = measured(lambda x, W, V: x + np.maximum(x @ W, 0) @ V, x, W, V)
    dx = np.ones((n, d)) + (np.ones((n, d)) @ V.T * (x @ W > 0)) @ W.T
    along = found.projected([dx, np.zeros_like(W), np.zeros_like(V)])
    ties = [i for i, one in enumerate(found.directions) if one.is_tie]
    assert (abs(along - found.value) <= found.error + found.open)[ties].all()


def test_a_line_that_keeps_a_tie_but_for_the_rounding_of_its_slope_is_as_open() -> None:
    def hinge(a: Any, p: Any) -> Any:  # moved by (1, 8/3), a and p keep a tie of 0
        return np.maximum((a - p) ** 2 - (a - 1) ** 2 + 1, 0)

    found = measured(hinge, -0.25, -1.0)
    (tie,) = [i for i, one in enumerate(found.directions) if one.is_tie]
    assert 0 < abs(found.value[tie]) + found.open[tie] < 1e-4
    assert (abs(found.projected([np.zeros(()), np.zeros(())]) - found.value) <= found.error + found.open)[tie]


def test_what_is_convention_where_kinks_meet_is_not_blamed() -> None:
    random = np.random.default_rng(0)
    W, V = random.standard_normal((3, 4)), random.standard_normal((4, 2))
    assert judged(measured(lambda x: np.maximum(x @ W, 0) @ V, np.zeros((1, 3))), np.zeros((1, 3))).holds
    difference = measured(lambda x: np.maximum(x[0], 0) - 2 * np.maximum(x[1], 0), np.zeros(2))
    for slope in (0, 0.5, 1):
        assert judged(difference, [slope, -2 * slope]).holds
    dy = np.array([1.0, 2, 3])
    found = measured(np.sort, np.full(3, 2.0), dy=dy)
    assert judged(found, dy).holds
    assert judged(found, dy[[1, 2, 0]]).holds
    assert judged(found, np.full(3, 2)).holds
    assert not judged(found, 2 * dy).holds  # they move together by the sum of dy


BROKEN: dict[str, tuple[Forward, Callable[[Any], Any]]] = {
    "absolute": (lambda x: np.sqrt((abs(x) ** 2).sum()), lambda x: x / np.sqrt((x**2).sum())),
    "conjugate": (lambda x: (x * np.conj(x)).sum(), lambda x: 2 * x),
    "real part": (lambda x: np.real(x) ** 3, lambda x: 3 * x**2),
    "in part": (lambda x: (x**3).sum() + 1e-9 * abs(x).sum(), lambda x: 3 * x**2 + 1e-9 * np.sign(x)),
    "beside a large loss": (
        lambda x: 1e6 * x[0] ** 2 + 1e-7 * abs(x[1:]).sum(),
        lambda x: [2e6 * x[0], 1e-7, -1e-7],
    ),
    "cast": (lambda x: np.array(x, np.float64) ** 3, lambda x: 3 * x**2),
    "refused": (lambda x: np.arctan2(x, 1), lambda x: 1 / (1 + x**2)),
    "branch": (lambda x: np.where(np.isreal(x), x**2, 0), lambda x: 2 * x),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_complex_steps_decide_only_for_analytic_functions(name: str) -> None:
    forward, gradient = BROKEN[name]
    x = np.array([0.7, 1.3, -0.9])
    found = measured(forward, x)
    assert judged(found, gradient(x)).holds
    assert not judged(found, 1.001 * np.asarray(gradient(x))).holds


def test_an_absolute_value_about_its_own_centre_is_not_analytic() -> None:
    found = measured(lambda p, q: abs(p - q), np.array([0.5]), np.array([0.5]))
    for entry in found.entries:
        assert entry is not None
        assert entry.open > entry.error  # the distance of two equal points has a kink


def test_complex_steps_cost_a_call_for_each_number() -> None:
    x, y = np.linspace(-1, 1, 20).reshape(4, 5), np.linspace(0.1, 0.9, 10).reshape(5, 2)
    found = measured(lambda x, y: np.tanh(x @ y), x, y)
    assert found.calls <= x.size + y.size + 120
    assert found.digits >= 9


def test_noise_in_the_values_is_found_and_counted() -> None:
    def forward(x: Any) -> Any:
        return np.tanh(x) + 1e-9 * np.sin(1e15 * np.real(x))

    for seed in range(10):
        x = np.random.default_rng(seed).uniform(-1, 1, 3)
        found = measured(forward, x)
        assert judged(found, 1 / np.cosh(x) ** 2).holds
        assert not judged(found, 1.01 / np.cosh(x) ** 2).holds


def test_rounding_beside_larger_numbers_is_counted() -> None:
    """1 + tanh x is 0 or a few units of 2^-53 far to the left; log(1 + x²) changes by steps near 0."""
    for seed in range(30):
        random = np.random.default_rng(seed)
        x = random.uniform(-25, -5, 2)
        found = measured(lambda x: x * (1 + np.tanh(x)), x)
        assert judged(found, 2 / (1 + np.exp(-2 * x)) + x / np.cosh(x) ** 2).holds
        x = 10 ** random.uniform(-6, -3, 3)
        found = measured(lambda x: np.log(1 + x @ x) + 1e-3 * x.sum(), x, complex_steps=False)
        assert judged(found, 2 * x / (1 + x @ x) + 1e-3).holds


def test_a_step_longer_than_a_period_is_not_believed() -> None:
    for seed in range(10):
        x = np.random.default_rng(seed).uniform(0.5, 1, 2)
        for frequency in (1e3, 1e6, 1e9):
            angle = frequency * x
            found = measured(lambda x, frequency=frequency: np.sin(frequency * x), x, complex_steps=False)
            assert judged(found, frequency * np.cos(angle)).holds
            assert frequency > 1e6 or not judged(found, 1.01 * frequency * np.cos(angle)).holds


def test_a_random_forward_pass_is_told_so() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(NotRepeatableError, match="seed its random numbers"):
        measured(lambda x: x * (random.random(x.shape) < 0.5), np.ones(9), dy=np.ones(9))


def test_a_sum_in_another_order_at_each_call_is_noise() -> None:
    random = np.random.default_rng(0)
    found = measured(lambda x: sum(random.permutation(x)), np.array([0.1, 0.7, 1e3, -1e3]), dy=np.array(1.0))
    assert judged(found, np.ones(4)).holds
    assert not judged(found, [1, 1, 1, 1.001]).holds


def test_a_large_input_is_measured_along_lines() -> None:
    random = np.random.default_rng(0)
    W, x = random.standard_normal((40, 30)), random.standard_normal(40)
    for forward, slope in (
        (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
        (lambda z: np.maximum(z, 0), lambda z: z > 0),
    ):
        dy = random.standard_normal(30)
        dx, dW = W @ (slope(x @ W) * dy), np.outer(x, slope(x @ W) * dy)
        found = measured(lambda x, W, forward=forward: forward(x @ W), x, W, dy=dy)
        assert found.entries[1] is None
        assert len(found.directions) >= 16
        assert judged(found, dx, dW).holds
        wrong = dW.copy()
        wrong[3, 5] += 1e-5 * abs(dW).max()
        assert not judged(found, dx, wrong).holds


def test_one_measurement_serves_every_cotangent_and_skips_what_has_no_derivative() -> None:
    labels, x = np.array([2, 0]), np.array([[0.1, 0.7, -0.3], [1.2, -0.4, 0.5]])

    def forward(point: Sequence[Any]) -> tuple[Any, ...]:
        assert point[1].dtype.kind == "i"
        return point[0][np.arange(2), point[1]] ** 2, np.argmax(point[0], axis=1), np.exp(point[0])

    found = slopes(forward, [x, labels], cotangents=[np.ones(2), None, np.ones((2, 3))])
    for seed in range(3):
        dy = np.random.default_rng(seed).standard_normal((3, 2))
        dx = np.zeros((2, 3))
        dx[[0, 1], labels] = 2 * x[[0, 1], labels] * dy[0]
        right = dx + dy[1:].T[:, [0, 1, 1]] * np.exp(x)
        vjp = found.vjp([dy[0], None, dy[1:].T[:, [0, 1, 1]]])
        assert vjp.entries[1] is None
        assert judged(vjp, right, None).holds
        assert not judged(vjp, (1 + 1e-8) * right, None).holds


def test_a_number_alone_is_an_input_too() -> None:
    found = slopes(lambda given: [given[0] * given[1] ** 2], [np.array(3.0), np.array([1.0, 2.0])])
    by_number = found.vjp([np.array([1.0, 10.0])]).entries[0]
    assert by_number is not None
    assert by_number.value.shape == ()
    assert abs(by_number.value - 41) <= by_number.error <= 1e-9


def test_empty_and_constant_inputs_are_left_alone() -> None:
    point = [np.empty((0, 3)), np.ones(2), np.ones(2)]
    found = slopes(lambda point: (point[1] * point[2],), point, differentiable=[True, True, False]).vjp(
        [np.ones(2)]
    )
    assert found.entries[0] is None
    assert found.entries[2] is None
    assert judged(found, None, [1, 1], None).holds
    assert (
        slopes(lambda point: (point[0].sum(axis=1),), [np.empty((0, 3))]).vjp([np.empty(0)]).directions == ()
    )


@pytest.mark.parametrize("forward", [layer_norm, np.abs, lambda x: np.sqrt(x + 0.5), np.float32])
def test_a_forward_pass_that_is_asked_for_several_places_at_once_has_the_same_slopes(
    forward: Forward,
) -> None:
    x, calls = np.array([0.25, 0.0, -0.5, 1.5]), list[int]()

    def one(point: Sequence[Any]) -> list[Any]:
        y = forward(*point)
        if not np.isfinite(y).all():
            raise ValueError("it is no number")
        return [y]

    def at(places: list[list[Any]]) -> list[Any]:
        calls.append(len(places))
        found: list[Any] = []
        for place in places:
            try:
                found.append(one(place))
            except ValueError as error:
                found.append(error)
        return found

    with np.errstate(all="ignore"):
        alone, together = slopes(one, [x]), slopes(Several(at), [x])
    for name in ("value", "error", "open"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(together, name))
    assert alone.calls == together.calls == sum(calls)
    assert len(calls) < alone.calls / 3
