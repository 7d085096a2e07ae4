"""Every operation has one program for all sizes, and gives what its definition says where that is known.

Cases worked out by hand are such that every number of the computation is exact: whole numbers and halves, scores of
0 and of ±1024, whose exponentials are 1 and 0. So results are compared with `==`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from properties.meta.drawn import Options, Sizes, array, each_option, possible_sizes
from reference.arithmetic.bounded import Bounded, Bounding
from reference.arithmetic.floats import Floats
from reference.operations import FAMILIES, KNOWN, OPERATIONS
from reference.operations.operation import Operation
from reference.program import Derivative, derivative, trace
from reference.truth import truth

Array = np.ndarray[Any, Any]

ROWS = [pytest.param(one, id=one.name) for one in OPERATIONS.values()]


def values(name: str, *arrays: Array, **options: Any) -> list[Array]:
    """The outputs of an operation, read in floats."""
    return Floats().read(trace(partial(OPERATIONS[name].forward, **options), arrays), arrays, {})


def value(name: str, *arrays: Array, **options: Any) -> Array:
    """The only output of an operation."""
    (y,) = values(name, *arrays, **options)
    return y


def test_no_two_operations_share_a_name() -> None:
    names = Counter(name for family in FAMILIES for one in family for name in (one.name, *one.also))
    assert [name for name, times in names.items() if times > 1] == []
    assert set(KNOWN) == set(names)


@pytest.mark.parametrize("operation", ROWS)
def test_the_row_of_an_operation_is_consistent(operation: Operation) -> None:
    assert set(operation.sizes) <= set(operation.axes)
    assert set(operation.concrete) <= set(operation.axes)
    assert operation.differentiable
    for one in operation.inputs.values():
        assert one.values != "labels" or one.below in operation.axes


@pytest.mark.parametrize("operation", ROWS)
def test_one_trace_serves_all_sizes_and_formulations_are_one_function(operation: Operation) -> None:
    rng = np.random.default_rng(len(operation.name))
    seen = {name: set[str]() for name in operation.options}
    for options in each_option(operation):
        for _ in range(2):
            sizes = possible_sizes(operation, options, rng)
            if sizes is None:
                continue
            for name, value in options.items():
                seen[name].add(repr(value))
            _read(operation, options, sizes, rng)
    assert seen == {name: {repr(value) for value in some} for name, some in operation.options.items()}


def _read(operation: Operation, options: Options, sizes: Sizes, rng: np.random.Generator) -> None:
    first = derivative(operation, options, sizes)
    assert derivative(operation, options, sizes) is first
    arrays = [array(one, sizes, rng) for one in operation.inputs.values()]
    slots = first.program.outputs[: first.outputs]
    dy = [rng.standard_normal(first.program.shape(slots[place], sizes)) for place in first.pulled]
    given = [*arrays, *dy]
    expected = Floats().read(first.program, given, sizes)
    assert all(np.isfinite(one).all() for one in expected)
    gradients = expected[first.outputs :]
    assert [one.shape for one in gradients] == [arrays[place].shape for place in operation.differentiable]
    of_definition = _bounded(first, given, sizes)
    for formulation in operation.formulations:
        other = _bounded(derivative(operation, options, sizes, formulation), given, sizes)
        for one, two in zip(other, of_definition, strict=True):
            known = [each.e + np.maximum(each.up, each.down) for each in (one, two)]
            assert (abs(one.x - two.x) <= known[0] + known[1]).all()


def _bounded(known: Derivative, given: Sequence[Array], sizes: Sizes) -> list[Bounded]:
    """Outputs and gradients, each number with the largest error that rounding may have given it."""
    arithmetic = Bounding("float64")
    values = [arithmetic.input(one, varies=place in known.differentiable) for place, one in enumerate(given)]
    return arithmetic.read(known.program, values, sizes)


FAR = 1024.0
"""The exponential of -1024 is 0 in float64."""

CASES: Sequence[tuple[str, Sequence[Any], Mapping[str, Any], Any]] = [
    ("dense", ([[1, 2]], [[1, 2, 3], [4, 5, 6]], [10, 20, 30]), {}, [[19, 32, 45]]),
    ("linear", ([[1, 2]], [[1, 2], [3, 4], [5, 6]], [10, 20, 30]), {}, [[15, 31, 47]]),
    ("dense_of_images", ([[[[1, 2], [3, 4]]]], [[1000], [100], [10], [1]], [0]), {}, [[1234]]),
    ("bilinear", ([[1, 2]], [[[1, 0], [0, 1]], [[0, 1], [0, 0]]], [[3, 4]], [0, 1]), {}, [[11, 5]]),
    ("quadratic_form", ([[1, 2]], [[1, 2], [3, 4]]), {}, [27]),
    ("residual", ([[3, 5]], [[0, 0], [0, 0]], [0, FAR]), {}, [[3, 6]]),
    ("tied_weights", ([[1, 0]], [[FAR], [2]]), {}, [[FAR, 2]]),
    ("tanh", ([[0, FAR, -FAR]],), {}, [[0, 1, -1]]),
    ("sigmoid", ([[0, FAR, -FAR]],), {}, [[0.5, 1, 0]]),
    ("softplus", ([[FAR, -FAR]],), {}, [[FAR, 0]]),
    ("log_sigmoid", ([[FAR, -FAR]],), {}, [[0, -FAR]]),
    ("relu", ([[-2, 0, 3]],), {}, [[0, 0, 3]]),
    ("leaky_relu", ([[-2, 0, 3]],), {"slope": 0.25}, [[-0.5, 0, 3]]),
    ("prelu", ([[-2, -2, 3]], [0.5, 0.25, 0.5]), {}, [[-1, -0.5, 3]]),
    ("elu", ([[-FAR, 0, 3]],), {"alpha": 0.5}, [[-0.5, 0, 3]]),
    ("gelu", ([[0, FAR, -FAR]],), {}, [[0, FAR, 0]]),
    ("gelu_tanh", ([[0, FAR, -FAR]],), {}, [[0, FAR, 0]]),
    ("silu", ([[0, FAR, -FAR]],), {}, [[0, FAR, 0]]),
    ("mish", ([[0, FAR, -FAR]],), {}, [[0, FAR, 0]]),
    ("hard_swish", ([[-4, 0, 3, 6]],), {}, [[0, 0, 3, 6]]),
    ("softsign", ([[-1, 0, 3]],), {}, [[-0.5, 0, 0.75]]),
    ("swiglu", ([[FAR, -FAR]], [[3, 5]]), {}, [[3 * FAR, 0]]),
    ("softmax", ([[7, 7], [FAR, 0]],), {}, [[0.5, 0.5], [1, 0]]),
    ("log_softmax", ([[5, -FAR]],), {}, [[0, -FAR - 5]]),
    ("logsumexp", ([[FAR, 0], [0, 2 * FAR]],), {}, [FAR, 2 * FAR]),
    ("softmax_with_temperature", ([[7, 7]],), {"temperature": 2.0}, [[0.5, 0.5]]),
    ("mse", ([[1, 2], [3, 4]], [[0, 0], [0, 0]]), {"reduction": "mean"}, 7.5),
    ("mse", ([[1, 2], [3, 4]], [[0, 0], [0, 0]]), {"reduction": "sum"}, 15),
    ("half_mse", ([[1, 2], [3, 4]], [[0, 0], [0, 0]]), {"reduction": "mean"}, 3.75),
    ("sse", ([[1, 2], [3, 4]], [[0, 0], [0, 0]]), {"reduction": "mean"}, 15),
    ("half_sse", ([[1, 2], [3, 4]], [[0, 0], [0, 0]]), {"reduction": "sum"}, 15),
    ("huber", ([[0.5, -3]], [[0, 0]]), {"delta": 1.0, "reduction": "mean"}, (0.125 + 2.5) / 2),
    ("smooth_l1", ([[1, -4]], [[0, 0]]), {"beta": 2.0, "reduction": "mean"}, (0.25 + 3) / 2),
    ("cross_entropy", ([[0, FAR]], [[0.25, 0.75]]), {"reduction": "mean"}, 256),
    ("softmax_cross_entropy", ([[0, FAR], [0, FAR]], [0, 1]), {"reduction": "mean"}, 512),
    ("softmax_cross_entropy_ignoring", ([[0, FAR], [5, 5]], [0, -100]), {"reduction": "mean"}, FAR),
    ("weighted_cross_entropy", ([[0, FAR], [512, 0]], [0, 1], [1, 3]), {"reduction": "sum"}, 2560),
    ("weighted_cross_entropy", ([[0, FAR], [512, 0]], [0, 1], [1, 3]), {"reduction": "mean"}, 640),
    ("weighted_cross_entropy", ([[0, FAR], [512, 0]], [0, -100], [4, 3]), {"reduction": "mean"}, FAR),
    (
        "label_smoothing_cross_entropy",
        ([[0, FAR]], [0]),
        {"smoothing": 0.5, "spread": "all", "reduction": "mean"},
        768,
    ),
    (
        "label_smoothing_cross_entropy",
        ([[0, FAR]], [0]),
        {"smoothing": 0.5, "spread": "others", "reduction": "mean"},
        512,
    ),
    ("focal", ([[0, FAR], [0, FAR]], [0, 1]), {"gamma": 2.0, "reduction": "sum"}, FAR),
    ("binary_cross_entropy", ([[FAR, -FAR]], [[0, 1]]), {"reduction": "mean"}, 2 * FAR),
    ("mean_binary_cross_entropy", ([[FAR, -FAR]], [[0, 1]]), {"reduction": "mean"}, FAR),
    ("binary_focal", ([[FAR, FAR]], [[0, 1]]), {"gamma": 2.0, "alpha": 0.25, "reduction": "mean"}, 384),
    ("kl_divergence", ([[-1, -2]], [[1, 0]]), {"reduction": "mean"}, 1),
    ("hinge", ([2, 0.5, -1], [1, 1, 1]), {"reduction": "sum"}, 2.5),
    ("multiclass_hinge", ([[1, 2, 4]], [1]), {"delta": 1.0, "reduction": "mean"}, 3),
    ("triplet_loss", ([[0]], [[2]], [[1]]), {"margin": 1.0, "reduction": "mean"}, 4),
    ("soft_dice", ([[1, 0]], [[1, 1]]), {"smooth": 1.0, "squares": False}, 0.25),
    ("l2_penalty", ([[1, 2], [3, 4]],), {"strength": 1.0, "half": True, "reduction": "sum"}, 15),
    ("l2_penalty", ([[1, 2], [3, 4]],), {"strength": 2.0, "half": False, "reduction": "mean"}, 15),
    ("temporal_softmax_loss", ([[[0, FAR], [0, FAR]]] * 2, [[0, 1], [0, 0]], [[1, 1], [0, 1]]), {}, FAR),
    ("logistic_regression", ([1], [[FAR], [-FAR]], [0, 1]), {"reduction": "mean"}, FAR),
    ("layer_norm", ([[-1, 1]], [2, 4], [0, 1]), {"eps": 3.0}, [[-1, 3]]),
    ("batch_norm", ([[-1], [1]], [2], [1]), {"eps": 3.0}, [[0], [2]]),
    ("spatial_batch_norm", ([[[[-1]]], [[[1]]]], [2], [1]), {"eps": 3.0}, [[[[0]]], [[[2]]]]),
    ("instance_norm", ([[[[-1, 1]], [[5, 7]]]], [2, 4], [1, 0]), {"eps": 3.0}, [[[[0, 2]], [[-2, 2]]]]),
    ("group_norm", ([[[[-1]], [[1]]]], [2, 4], [0, 1]), {"groups": 1, "eps": 3.0}, [[[[-1]], [[3]]]]),
    ("group_norm", ([[[[-1]], [[1]]]], [2, 4], [0, 1]), {"groups": 2, "eps": 3.0}, [[[[0]], [[1]]]]),
    ("rms_norm", ([[1, -1]], [2, 4]), {"eps": 3.0}, [[1, -2]]),
    ("l2_normalise", ([[1, -1, 1, 1], [0, 0, -3, 0]],), {}, [[0.5, -0.5, 0.5, 0.5], [0, 0, -1, 0]]),
    (
        "max_pool2d",
        (np.arange(9).reshape(1, 1, 3, 3),),
        {"kernel": 2, "stride": 2, "padding": 0, "ceil": True},
        [[[[4, 5], [7, 8]]]],
    ),
    (
        "max_pool2d",
        (np.arange(9).reshape(1, 1, 3, 3),),
        {"kernel": (3, 2), "stride": 1, "padding": 0, "ceil": False},
        [[[[7, 8]]]],
    ),
    (
        "average_pool2d",
        ([[[[4, 8], [12, 16]]]],),
        {"kernel": 2, "stride": 2, "padding": 1, "ceil": False, "count_padding": True},
        [[[[1, 2], [3, 4]]]],
    ),
    (
        "average_pool2d",
        ([[[[4, 8], [12, 16]]]],),
        {"kernel": 2, "stride": 2, "padding": 1, "ceil": False, "count_padding": False},
        [[[[4, 8], [12, 16]]]],
    ),
    (
        "average_pool2d",
        (np.arange(9).reshape(1, 1, 3, 3),),
        {"kernel": 2, "stride": 2, "padding": 0, "ceil": True, "count_padding": True},
        [[[[2, 3.5], [6.5, 8]]]],
    ),
    ("global_average_pool", ([[[[1, 2], [3, 6]]]],), {}, [[3]]),
    ("pixel_shuffle", (np.arange(4).reshape(1, 4, 1, 1),), {}, [[[[0, 1], [2, 3]]]]),
    ("upsample_nearest", ([[[[1, 2]]]],), {"scale": 2}, [[[[1, 1, 2, 2], [1, 1, 2, 2]]]]),
    (
        "im2col",
        ([[[[1, 2, 3]]]],),
        {"kernel": (1, 2), "stride": 1, "padding": 0},
        [[[1, 2], [2, 3]]],
    ),
    ("attention", ([[[0]]], [[[1], [2]]], [[[2, 4], [4, 8]]]), {}, [[[3, 6]]]),
    ("attention", ([[[2, 0, 0, 0]]], [[[0] * 4, [FAR, 1, 1, 1]]], [[[2], [4]]]), {}, [[[4]]]),
    ("masked_attention", ([[[0]]], [[[1]] * 3], [[[2], [4], [8]]], [[[1, 0, 1]]]), {}, [[[5]]]),
    ("causal_attention", ([[[0]] * 2], [[[1]] * 2], [[[2], [4]]]), {}, [[[2], [3]]]),
    ("causal_attention_with_past", ([[[0]]], [[[1]] * 2], [[[2], [4]]]), {}, [[[3]]]),
    ("apply_rotary", ([[[1, 2, 3, 4]]], [[0, 1]], [[1, 0]]), {}, [[[-3, 2, 1, 4]]]),
    ("rnn_step", ([[1]], [[1]], [[FAR]], [[-FAR]], [0]), {}, [[0]]),
    ("rnn", ([[[1], [0]]], [[0]], [[FAR]], [[-FAR]], [0]), {}, [[[1], [-1]]]),
    (
        "gru_step",
        ([[0]], [[1, 1]], [[0] * 6], [[0] * 4 + [0, FAR], [0] * 4 + [FAR, 0]], [FAR, *[-FAR] * 3, 0, 0]),
        {"reset": "after"},
        [[1, 0]],
    ),
    (
        "gru_step",
        ([[0]], [[1, 1]], [[0] * 6], [[0] * 4 + [0, FAR], [0] * 4 + [FAR, 0]], [FAR, *[-FAR] * 3, 0, 0]),
        {"reset": "before"},
        [[0, 1]],
    ),
    ("gru_step", ([[0]], [[3]], [[0] * 3], [[0] * 3], [0, FAR, 5]), {"reset": "after"}, [[3]]),
    ("embedding", ([[2, 0, 2]], [[1, 2], [3, 4], [5, 6]]), {}, [[[5, 6], [1, 2], [5, 6]]]),
    ("gather", ([[1, 2, 3], [4, 5, 6]], [[2, 2], [0, 1]]), {}, [[3, 3], [4, 5]]),
    ("index_add", ([[1], [2]], [1, 1, 0], [[10], [20], [30]]), {}, [[31], [32]]),
    ("dropout", ([[1, 2]], [[0, 1]]), {"rate": 0.5}, [[0, 4]]),
    ("where", ([[1, 0]], [[1, 2]], [[3, 4]]), {}, [[1, 4]]),
    ("add_outer", ([[1], [2]], [[10], [20]]), {}, [[[11], [21]], [[12], [22]]]),
    ("variance", ([[1, 3]],), {"ddof": 0}, [1]),
    ("variance", ([[1, 3]],), {"ddof": 1}, [2]),
    ("standard_deviation", ([[1, 5]],), {"ddof": 0}, [2]),
    ("norm", ([[3, 4]],), {}, [5]),
    ("prod", ([[2, 3, -4]],), {}, [-24]),
    ("cumprod", ([[2, 3, -4]],), {}, [[2, 6, -24]]),
    ("cumsum", ([[2, 3, -4]],), {}, [[2, 5, 1]]),
    ("sort", ([[2, -4, 3]],), {}, [[-4, 2, 3]]),
    ("cosine_similarity", ([[3, 4]], [[6, 8]]), {}, [1]),
    ("squared_distances", ([[0, 0]], [[3, 4], [1, 1]]), {}, [[25, 2]]),
    ("bilinear_form", ([[1, 2]], [[1, 2, 3], [4, 5, 6]], [[1, 0, 2]]), {}, [39]),
    ("trace_of_product", ([[1, 2], [3, 4]], [[5, 6], [7, 8]]), {}, 69),
    ("solve", ([[2, 0], [0, 4]], [[2, 4], [4, 8]]), {}, [[1, 2], [1, 2]]),
    ("inv", ([[0, 2], [4, 0]],), {}, [[0, 0.25], [0.5, 0]]),
    ("det", ([[0, 1], [4, 0]],), {}, -4),
    ("log_abs_det", ([[0, 1], [1, 0]],), {}, 0),
]


@pytest.mark.parametrize(
    ("name", "arrays", "options", "expected"),
    [pytest.param(*case, id=f"{case[0]}-{place}") for place, case in enumerate(CASES)],
)
def test_an_operation_gives_what_can_be_worked_out_by_hand(
    name: str, arrays: Sequence[Any], options: Mapping[str, Any], expected: Any
) -> None:
    y = value(name, *_as_declared(OPERATIONS[name], arrays), **options)
    assert np.array_equal(y, np.asarray(expected, float))


def _as_declared(operation: Operation, arrays: Sequence[Any]) -> list[Array]:
    """Floats, but for labels and counts."""
    kinds = [one.values in {"labels", "counts"} for one in operation.inputs.values()]
    return [np.asarray(one, int if whole else float) for one, whole in zip(arrays, kinds, strict=True)]


@pytest.mark.parametrize(("gates", "c_next"), [("ifog", -1.0), ("ifgo", 1.0)])
def test_the_gates_of_an_lstm_stand_in_the_order_that_is_told(gates: str, c_next: float) -> None:
    x, h, c, zeros = np.zeros((1, 2)), np.zeros((1, 1)), np.full((1, 1), 5.0), np.zeros((2, 4))
    b = np.array([FAR, -FAR, FAR, -FAR])  # i = 1 and f = 0; of o and g one is open and the other negative
    _, found = values("lstm_step", x, h, c, zeros, zeros[:1], b, gates=gates)
    assert found == c_next
    _, of_torch = values("lstm_cell", x, h, c, zeros.T, zeros[:1].T, b, 0 * b)
    assert of_torch == 1


def test_pairs_that_lie_beside_each_other_are_turned_like_pairs_of_halves() -> None:
    x = np.random.default_rng(0).standard_normal((2, 5, 6))
    beside = value("rotary_interleaved", x, base=100.0)
    halves = value("rotary", np.concatenate([x[..., ::2], x[..., 1::2]], -1), base=100.0)
    assert np.array_equal(np.concatenate([beside[..., ::2], beside[..., 1::2]], -1), halves)
    assert np.array_equal(beside[:, 0], x[:, 0])
    assert not np.isclose(beside[:, 1:], x[:, 1:]).any()


def whole_numbers(*shape: int) -> Array:
    """Small ones, so that sums of products are exact."""
    return np.random.default_rng(shape).integers(-9, 10, shape).astype(float)


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_convolution_is_the_sum_of_its_definition(stride: int, padding: int, dilation: int) -> None:
    x, W, b = whole_numbers(2, 4, 6, 7), whole_numbers(6, 2, 3, 2), whole_numbers(6)  # two groups
    y = value("conv2d", x, W, b, stride=stride, padding=padding, dilation=dilation)
    for n, f, i, j in np.ndindex(y.shape):
        total = b[f]
        for c, a, d in np.ndindex(W.shape[1:]):
            row, column = i * stride + a * dilation - padding, j * stride + d * dilation - padding
            if 0 <= row < 6 and 0 <= column < 7:
                total += W[f, c, a, d] * x[n, f // 3 * 2 + c, row, column]
        assert y[n, f, i, j] == total
    last = [(size + 2 * padding - dilation * (k - 1) - 1) // stride for size, k in ((6, 3), (7, 2))]
    assert y.shape == (2, 6, last[0] + 1, last[1] + 1)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 0), (2, 1), (3, 1)])
def test_a_transposed_convolution_is_the_transpose_of_a_convolution(stride: int, padding: int) -> None:
    W, x = whole_numbers(3, 2, 3, 2), whole_numbers(2, 3, 4, 3)
    back = value("conv_transpose2d", x, W, np.zeros(2), stride=stride, padding=padding)
    z = whole_numbers(*back.shape)
    there = value("conv2d_without_bias", z, W, stride=stride, padding=padding, dilation=1)
    assert there.shape == x.shape
    assert (there * x).sum() == (back * z).sum()


def test_other_layouts_of_a_convolution_are_the_same_convolution() -> None:
    x, W, b = whole_numbers(2, 3, 5, 6), whole_numbers(4, 3, 2, 3), whole_numbers(4)
    y = value("conv2d", x, W, b, stride=2, padding=1, dilation=1)
    last = value(
        "conv2d_channels_last", x.transpose(0, 2, 3, 1), W.transpose(2, 3, 1, 0), b, stride=2, padding=1
    )
    assert np.array_equal(last.transpose(0, 3, 1, 2), y)
    columns = value("im2col", x, kernel=(2, 3), stride=2, padding=1)
    assert np.array_equal(
        np.einsum("fk,nkp->nfp", W.reshape(4, -1), columns), (y - b[:, None, None]).reshape(2, 4, -1)
    )
    deep = value("depthwise_conv2d", x, W[:3, 0], b[:3], stride=2, padding=1)
    grouped = value("conv2d", x, W[:3, :1], b[:3], stride=2, padding=1, dilation=1)
    assert np.array_equal(deep, grouped)
    flat = value("conv1d", x[:, :, 0], W[:, :, 0], b, stride=2, padding=1, dilation=2)
    rows = np.pad(x[:, :, :1], ((0, 0), (0, 0), (0, 0), (1, 1)))
    as_images = value("conv2d_without_bias", rows, W[:, :, :1], stride=2, padding=0, dilation=2)
    assert np.array_equal(flat, as_images[:, :, 0] + b[:, None])


@pytest.mark.parametrize("causal", [False, True])
def test_heads_are_attentions_of_their_own_columns(causal: bool) -> None:  # noqa: FBT001  (a parameter of the test)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 12))
    joined = value("attention_of_joined", x, heads=2, causal=causal)
    alone = "causal_attention" if causal else "attention"
    for head in range(2):
        q, k, v = (x[..., start + 2 * head : start + 2 * head + 2] for start in (0, 4, 8))
        sizes = {"n": 2, "t": 3, "d": 2, "s": 3, "e": 2}
        (own,), _ = truth(OPERATIONS[alone], [q, k, v], [np.zeros(v.shape)], {}, sizes)
        assert (abs(joined[..., 2 * head : 2 * head + 2] - own.value) <= own.error).all()
