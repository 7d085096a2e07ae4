"""A wrong backward pass, as an author writes it, and which step of it is said to be wrong."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from properties.diagnosis.cures import OF_AN_EDIT
from properties.diagnosis.operations import census, diagnose
from properties.diagnosis.search import Explanation
from properties.generic_cases import Case, generic_cases
from reference.arithmetic.floats import Floats
from reference.mutations import Passage, Reading, edits
from reference.operations import OPERATIONS
from reference.operations.operation import Input, Operation
from reference.program import derivative
from reference.truth import truth

# pyright: reportUnknownLambdaType=false
# (a backward pass that is one line is written as one)

Array = NDArray[Any]
OPTIONS: dict[str, dict[str, Any]] = {
    name: {key: values[0] for key, values in one.options.items()} for name, one in OPERATIONS.items()
}


def named(of: Operation, gradients: Sequence[Array]) -> dict[str, Array]:
    """Gradients by the names of the inputs that have one."""
    names = tuple(of.inputs)
    return dict(zip((names[i] for i in of.differentiable), gradients, strict=True))


def right(operation: str, case: Case) -> dict[str, Array]:
    """The right gradients."""
    traced = derivative(OPERATIONS[operation], case.options, case.sizes)
    values = [*case.inputs.values(), *case.cotangents]
    return named(OPERATIONS[operation], Floats().read(traced.program, values, case.sizes)[traced.outputs :])


def diagnosed(operation: str | Operation, backward: Callable[..., Any], **changed: Any) -> Explanation:
    """The diagnosis of backward(dy, *inputs, **options)."""
    of = OPERATIONS[operation] if isinstance(operation, str) else operation

    def subject(
        inputs: Mapping[str, Array],
        options: Mapping[str, Any],
        cotangents: Sequence[Array],
        sizes: Mapping[str, int],
    ) -> dict[str, Array]:
        del sizes
        return named(of, backward(*cotangents, *inputs.values(), **options))

    options = {**{name: values[0] for name, values in of.options.items()}, **changed}
    return diagnose(of, subject, generic_cases(of, options))


@pytest.mark.parametrize(
    "operation", ["dense", "tanh", "layer_norm", "softmax", "attention", "rnn", "lstm_step", "conv2d"]
)
def test_what_is_made_ready_for_edits_gives_the_right_gradients(operation: str) -> None:
    of, options = OPERATIONS[operation], OPTIONS[operation]
    for case in generic_cases(of, options)[:3]:
        reading = Reading(
            Passage(of, options, case.sizes), case.sizes, [*case.inputs.values(), *case.cotangents]
        )
        known = truth(of, list(case.inputs.values()), case.cotangents, case.options, case.sizes).gradients
        for found, (value, error, opened) in zip(reading.gradients, known.values(), strict=True):
            assert (abs(found - value) <= error + opened).all()


@pytest.mark.parametrize(
    "operation", ["tanh", "gelu", "layer_norm", "softmax_cross_entropy", "batch_norm", "rnn", "embedding"]
)
def test_every_edit_has_a_sentence_a_line_and_a_cure(operation: str) -> None:
    of, options = OPERATIONS[operation], OPTIONS[operation]
    case = generic_cases(of, options)[0]
    passage = Passage(of, options, case.sizes)
    found = list(edits(Reading(passage, case.sizes, [*case.inputs.values(), *case.cotangents])))
    assert len(found) > 20
    for edit in found:
        assert edit.kind in OF_AN_EDIT
        assert "{" not in passage.say(edit)
        assert passage.where(edit).endswith(")") or not passage.where(edit)


def test_an_edit_changes_no_gradient_that_does_not_depend_on_its_step() -> None:
    of = OPERATIONS["dense"]
    case = generic_cases(of, {})[0]
    passage = Passage(of, {}, case.sizes)
    reading = Reading(passage, case.sizes, [*case.inputs.values(), *case.cotangents])
    for edit in edits(reading):
        found = reading.read(edit)
        for place, name in enumerate(passage.gradients):
            if found is not None and place not in passage.flow.reached(edit.at[0]):
                assert np.array_equal(found[place], reading.gradients[place]), name


def test_sizes_of_generic_cases_differ_and_no_two_axes_keep_their_difference() -> None:
    cases = generic_cases(OPERATIONS["dense"], {})
    assert all(len(set(one.sizes.values())) == 3 and 1 not in one.sizes.values() for one in cases)
    assert len({tuple(one.sizes.values()) for one in cases}) == 3
    differences = {tuple(np.subtract(one.sizes["n"], [one.sizes["d"], one.sizes["k"]])) for one in cases}
    assert len(differences) == 3


def test_a_right_backward_pass_is_right() -> None:
    found = diagnosed("dense", lambda dy, x, W, b: (dy @ W.T, x.T @ dy, dy.sum(axis=0)))
    assert found.verdict == "right"


def test_a_mean_for_a_sum_is_told_with_its_axis_and_its_gradient() -> None:
    found = diagnosed("dense", lambda dy, x, W, b: (dy @ W.T, x.T @ dy, dy.mean(axis=0)))
    (finding,) = found.findings
    assert (found.verdict, found.wrong, finding.gradients) == ("named", ("db",), ("db",))
    assert finding.sentence == "a mean of dy over n stands for the sum"
    assert finding.where == "dense.py:11 (dense)"


def test_the_path_through_the_mean_is_told_by_the_reference_s_own_name() -> None:
    def backward(dy: Array, x: Array, gain: Array, shift: Array, *, eps: float) -> tuple[Array, ...]:
        centred = x - x.mean(axis=1, keepdims=True)
        r = 1 / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + eps)
        x_hat, d = centred * r, dy * gain
        return (
            r * (d - x_hat * (d * x_hat).mean(axis=1, keepdims=True)),
            (dy * x_hat).sum(axis=0),
            dy.sum(axis=0),
        )

    (finding,) = diagnosed("layer_norm", backward).findings
    assert finding.sentence == "the path through `centred = x - mean(x, axes)` is left out"
    assert finding.where.startswith("norms.py:")
    assert finding.where.endswith("(standardised)")


def test_a_slope_at_the_output_is_told_as_the_slope_that_it_is() -> None:
    (finding,) = diagnosed("tanh", lambda dy, x: (dy * (1 - np.tanh(np.tanh(x)) ** 2),)).findings
    assert finding.sentence == "tanh' at `jnp.tanh(x)` stands in the place of the slope of `jnp.tanh(x)`"


def test_an_index_in_whose_place_is_a_colon_is_told() -> None:
    def picked(x: Any, labels: Any) -> Any:
        return (x * x).sum(1) - x[np.arange(x.shape[0]), labels]

    def backward(dy: Any, x: Any, labels: Any) -> tuple[Any]:
        dx = 2 * x * dy[:, None]
        dx[:, labels] -= dy
        return (dx,)

    axes = {"x": Input("n k"), "labels": Input("n", "labels", below="k")}
    operation = Operation("picked", picked, axes, concrete=("n",))
    (finding,) = diagnosed(operation, backward).findings
    assert finding.sentence.endswith(
        "goes everywhere along axis 0, as with : in the place of the index there"
    )


def test_a_cotangent_that_is_ignored_is_told_before_anything_else() -> None:
    (finding,) = diagnosed("tanh", lambda dy, x: (1 - np.tanh(x) ** 2,)).findings
    assert finding.kind == "cotangent"


def test_a_forgotten_option_is_told_by_its_name() -> None:
    def backward(dy: Array, x: Array, *, temperature: float) -> tuple[Array, ...]:
        p = np.exp(x / temperature) / np.exp(x / temperature).sum(axis=1, keepdims=True)
        return (p * (dy - (dy * p).sum(axis=1, keepdims=True)),)

    (finding,) = diagnosed("softmax_with_temperature", backward, temperature=2.0).findings
    assert finding.sentence == "the division by temperature is left out"


def test_a_scatter_that_overwrites_is_told() -> None:
    def backward(dy: Array, x: Array, W: Array) -> tuple[Array, ...]:
        dW = np.zeros_like(W)
        dW[x] = dy
        return (dW,)

    (finding,) = diagnosed("embedding", backward).findings
    assert finding.sentence == "dy overwrites where indices repeat, and does not add"


@pytest.mark.parametrize(("kept", "told"), [(1.0, "another mask stands in the place of mask"), (0.5, "")])
def test_a_mask_that_is_drawn_anew_is_told_and_what_is_no_mask_is_not(kept: float, told: str) -> None:
    def backward(dy: Array, x: Array, mask: Array, *, rate: float) -> tuple[Array, ...]:
        del x, mask
        return (dy * kept * (np.random.default_rng(dy.size).random(dy.shape) > rate) / (1 - rate),)

    assert [one.sentence for one in diagnosed("dropout", backward).findings] == [told] * bool(told)


def test_a_sum_over_the_other_of_two_axes_of_one_name_tells_them_apart() -> None:
    def backward(dy: Array, q: Array, k: Array, v: Array) -> tuple[Array, ...]:
        scores = np.where(np.tri(q.shape[1], dtype=bool), q @ k.swapaxes(1, 2) / np.sqrt(q.shape[2]), -np.inf)
        p = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
        dp = dy @ v.swapaxes(1, 2)
        ds = p * (dp - (dp * p).sum(axis=1, keepdims=True)) / np.sqrt(q.shape[2])
        return ds @ k, ds.swapaxes(1, 2) @ q, p.swapaxes(1, 2) @ dy

    (finding,) = diagnosed("causal_attention", backward).findings
    assert finding.sentence == "the sum of `dy * y` runs over t (axis 1), not over t (axis 2)"


def _rnn(
    dy: Array, x: Array, h: Array, Wx: Array, Wh: Array, b: Array, *, carried: float, added: float
) -> tuple[Array, ...]:
    states = [h]
    for t in range(x.shape[1]):
        states.append(np.tanh(x[:, t] @ Wx + states[-1] @ Wh + b))
    dx, back, sums = np.zeros_like(x), np.zeros_like(h), [np.zeros_like(one) for one in (Wx, Wh, b)]
    for t in reversed(range(x.shape[1])):
        da = (dy[:, t] + carried * back) * (1 - states[t + 1] ** 2)
        dx[:, t], back = da @ Wx.T, da @ Wh.T
        shares = x[:, t].T @ da, states[t].T @ da, da.sum(axis=0)
        sums = [added * total + share for total, share in zip(sums, shares, strict=True)]
    return dx, back, *sums


def test_of_a_loop_a_state_that_is_not_carried_and_sums_that_are_overwritten_are_told() -> None:
    assert diagnosed("rnn", lambda *a: _rnn(*a, carried=1, added=1)).verdict == "right"
    (dropped,) = diagnosed("rnn", lambda *a: _rnn(*a, carried=0, added=1)).findings
    assert dropped.sentence.startswith("what a step hands to the one before is dropped")
    (overwritten,) = diagnosed("rnn", lambda *a: _rnn(*a, carried=1, added=0)).findings
    assert overwritten.sentence == "the part of each step overwrites that of the one before, and is not added"
    assert overwritten.gradients == ("dWx", "dWh", "db")


def test_a_mistake_in_each_of_two_gradients_is_two_findings() -> None:
    found = diagnosed("dense", lambda dy, x, W, b: (dy @ W.T, -x.T @ dy, dy.mean(axis=0)))
    assert found.verdict == "several"
    assert {one.gradients for one in found.findings} == {("dW",), ("db",)}


def test_two_mistakes_in_one_gradient_are_found_together() -> None:
    def backward(dy: Array, x: Array, W: Array, b: Array) -> tuple[Array, ...]:
        f = np.tanh(x @ W + b)
        dz = dy * (1 - f * f)
        return 2 * dy + dz @ W, x.T @ dz, dz.sum(axis=0)

    found = diagnosed("residual", backward)
    assert found.verdict == "several"
    assert len(found.findings) == 2


def test_the_gradient_of_another_operation_is_called_by_its_name() -> None:
    def backward(
        dy: Array, x: Array, labels: Array, *, smoothing: float, spread: str, reduction: str
    ) -> tuple[Array, ...]:
        del smoothing, spread, reduction
        e = np.exp(x)
        return (dy * (e / e.sum(axis=1, keepdims=True) - np.eye(x.shape[1])[labels]) / len(x),)

    found = diagnosed("label_smoothing_cross_entropy", backward)
    assert found.verdict == "other operation"
    assert "softmax_cross_entropy" in found.findings[0].sentence


def test_sums_that_grow_from_call_to_call_are_told() -> None:
    total: dict[int, Array] = {}

    def backward(dy: Array, x: Array, W: Array, b: Array) -> tuple[Array, ...]:
        db = total[dy.shape[1]] = total.get(dy.shape[1], np.zeros(len(b))) + dy.sum(axis=0)
        return dy @ W.T, x.T @ dy, db

    (finding,) = diagnosed("dense", backward).findings
    assert finding.sentence == "each of 3 equal calls adds the right gradient to the answer before in db"


@pytest.mark.parametrize("operation", ["dense", "tanh", "layer_norm", "softmax", "mse", "rms_norm"])
@pytest.mark.parametrize(
    "spoil", [np.tanh, lambda g: g + 0.1 * np.sin(7 * np.arange(g.size)).reshape(g.shape)]
)
def test_what_is_no_step_gets_no_name(operation: str, spoil: Callable[[Array], Array]) -> None:
    of, options = OPERATIONS[operation], OPTIONS[operation]

    def subject(inputs: Any, options: Any, cotangents: Any, sizes: Any) -> dict[str, Array]:
        case = Case(sizes, options, inputs, tuple(cotangents))
        return {name: spoil(np.asarray(one)) for name, one in right(operation, case).items()}

    assert diagnose(of, subject, generic_cases(of, options)).verdict in {"none known", "located"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda g, case: {**g, "b": g["b"] / case.sizes["n"]}, ("db is 1/n times the right one",)),
        (lambda g, case: {**g, "W": -g["W"]}, ("dW is −1 times the right one",)),
        (lambda g, case: {**g, "x": 0 * g["x"]}, ("dx is 0",)),
        (
            lambda g, case: {**g, "b": case.cotangents[0][0]},
            ("db comes from the first entries of the cotangent's axis 0 alone: outputs are dropped",),
        ),
        (
            lambda g, case: {
                **g,
                "W": case.inputs["x"].T
                @ (0 * case.cotangents[0] + case.cotangents[0].mean(axis=1, keepdims=True)),
            },
            ("dW is right for the mean of the cotangent over axis 1: it is averaged first",),
        ),
        (
            lambda g, case: {**g, "b": 0 * g["b"] + case.sizes["n"]},
            ("db is right for a cotangent of ones: the cotangent is ignored",),
        ),
    ],
)  # fmt: skip
def test_the_census_needs_the_right_gradients_alone(
    change: Callable[[dict[str, Array], Case], dict[str, Array]], told: tuple[str, ...]
) -> None:
    cases = generic_cases(OPERATIONS["dense"], {})
    answers = [change(right("dense", case), case) for case in cases]
    assert tuple(seen.sentence for seen in census(cases, lambda case: right("dense", case), answers)) == told


def test_numbers_that_are_equal_at_some_sizes_do_not_make_another_program_there() -> None:
    def scaled(x: Any, y: Any) -> Any:
        return x.sum() * float(x.shape[0] - 1) + y.sum() / float(y.shape[0] - 1)

    operation = Operation("scaled", scaled, {"x": Input("n"), "y": Input("m")}, concrete=("n", "m"))
    equal = Passage(operation, {}, {"n": 3, "m": 3})
    assert equal.with_options({}, {"n": 3, "m": 4}) is not None
    assert equal.with_options({}, {"n": 2, "m": 5}) is not None


@pytest.mark.parametrize("sizes", [{"n": 3, "w": 4, "k": 5}, {"n": 2, "w": 2, "k": 2}])
def test_a_number_that_is_one_size_by_chance_is_called_by_what_it_is(sizes: dict[str, int]) -> None:
    def spread(x: Any, y: Any) -> Any:
        return x.sum(axis=1) / (x.shape[1] - 1) / (1 * y.shape[0])

    operation = Operation("spread", spread, {"x": Input("n w"), "y": Input("k")})
    rng = np.random.default_rng(0)
    values = [rng.normal(size=shape) for shape in ((sizes["n"], sizes["w"]), (sizes["k"],), (sizes["n"],))]
    passage = Passage(operation, {}, sizes)
    said = {passage.say(edit) for edit in edits(Reading(passage, sizes, values))}
    assert {one for one in said if one.startswith("the division by ") and "slope" not in one} == {
        "the division by (w − 1) is left out", "the division by k is left out"
    }  # fmt: skip


def test_a_gradient_that_is_right_is_none_that_is_off_by_a_number_near_1() -> None:
    of = OPERATIONS["dense"]
    cases = generic_cases(of, OPTIONS["dense"])
    answers = [
        {name: array * (1 + 2.0**-22) for name, array in right("dense", case).items()} for case in cases
    ]
    assert len(census(cases, lambda case: right("dense", case), answers)) == len(answers[0])
    assert census(cases, lambda case: right("dense", case), answers, wrong=()) == ()


def layer_norm_backward(std: Callable[[Array], Array]) -> Callable[..., tuple[Array, ...]]:
    """That of layer_norm with another standard deviation, from the variance."""

    def backward(dy: Array, x: Array, gain: Array, shift: Array, *, eps: float) -> tuple[Array, ...]:
        del shift, eps
        by = std(x.var(axis=1, keepdims=True))
        x_hat, d = (x - x.mean(axis=1, keepdims=True)) / by, dy * gain
        mean, along = d.mean(axis=1, keepdims=True), (d * x_hat).mean(axis=1, keepdims=True)
        return (d - mean - x_hat * along) / by, (dy * x_hat).sum(axis=0), dy.sum(axis=0)

    return backward


def rms_norm_backward(dy: Array, x: Array, gain: Array, *, eps: float) -> tuple[Array, ...]:
    """That of rms_norm without an ε."""
    del eps
    by = np.sqrt((x**2).mean(axis=1, keepdims=True))
    x_hat, d = x / by, dy * gain
    return (d - x_hat * (d * x_hat).mean(axis=1, keepdims=True)) / by, (dy * x_hat).sum(axis=0)


def entropy_backward(p: Callable[[Array], Array]) -> Callable[..., tuple[Array, ...]]:
    """That of binary_cross_entropy_of_probabilities, with others in its denominators."""

    def backward(dy: Array, x: Array, t: Array, *, reduction: str) -> tuple[Array, ...]:
        del reduction
        return (dy * ((1 - t) / p(1 - x) - t / p(x)) / x.size,)

    return backward


@pytest.mark.parametrize(
    ("operation", "backward", "told"),
    [
        ("rms_norm", rms_norm_backward, "eps is left out, which forward adds"),
        (
            "layer_norm",
            layer_norm_backward(lambda v: np.sqrt(v) + 1e-5),
            "eps is added to the root, and forward adds it under the root",
        ),
        ("layer_norm", layer_norm_backward(lambda v: np.sqrt(v + 3e-4)), "0.0003 stands in the place of eps"),
        (
            "binary_cross_entropy_of_probabilities",
            entropy_backward(lambda p: p + 1e-7),
            "1e-07 is added to the slope of `jnp.log1p(-x)` and to x",
        ),
        (
            "cross_entropy_of_probabilities",
            lambda dy, x, t, reduction: (-dy * t / (x + 0.25) / len(x),),
            "0.25 is added to x",
        ),
        (
            "cross_entropy_of_probabilities",
            lambda dy, x, t, reduction: (-dy * t / x.clip(0.2) / len(x),),
            "x is kept above 0.2",
        ),
        ("tanh", lambda dy, x: (dy * (1 - np.tanh(x.clip(-0.5, 0.5)) ** 2),), "x is kept within ± 0.5"),
        ("tanh", lambda dy, x: (dy.clip(-0.5, 0.5) * (1 - np.tanh(x) ** 2),), "dy is kept within ± 0.5"),
        (
            "leaky_relu",
            lambda dy, x, slope: (dy * np.where(x > 0, 1, 0.07),),
            "0.07 stands in the place of slope",
        ),
        ("tanh", lambda dy, x: (dy * (1 - np.tanh(x) ** 2) + 1e-3,), "0.001 is added to dx"),
    ],
)
def test_a_number_that_is_not_in_the_program_is_read_off_the_gradient(
    operation: str, backward: Callable[..., Any], told: str
) -> None:
    found = diagnosed(operation, backward)
    assert (found.verdict, [one.sentence for one in found.findings]) == ("named", [told])


@pytest.mark.parametrize(
    ("operation", "backward", "told"),
    [
        ("tanh", lambda dy, x: (dy * (1 - np.tanh(x)),), "1 − `jnp.tanh(x)` stands in the place of the slope"),
        ("sigmoid", lambda dy, x: (dy / (1 + np.exp(-x)),), "`lax.logistic(x)` stands in the place of the slope"),
        ("log_softmax", lambda dy, x: (dy - np.exp(x) / np.exp(x).sum(-1, keepdims=True),), "as if it were 1"),
    ],
)  # fmt: skip
def test_what_stands_in_the_place_of_an_array_is_no_limit_that_all_of_it_is_beyond(
    operation: str, backward: Callable[..., Any], told: str
) -> None:
    found = diagnosed(operation, backward)
    assert told in found.findings[0].sentence
    assert "kept" not in str(found)


def test_a_number_that_is_added_is_none_beside_which_nothing_is_left() -> None:
    def backward(dy: Array, x: Array) -> tuple[Array, ...]:
        return (dy[:, None] / x.shape[1] + 0 * x,)

    assert "is added to" not in str(diagnosed("max", backward))


@pytest.mark.parametrize("operation", ["gelu", "silu", "gelu_tanh", "mish"])
def test_the_slope_of_a_function_of_several_paths_is_told_where_it_is_left_out(operation: str) -> None:
    found = diagnosed(operation, lambda dy, x: (dy,)).findings[0].sentence
    assert found.startswith("the slope of `")
    assert found.endswith("` is left out")


def test_a_factor_of_the_whole_gradient_is_told_though_no_step_has_it_alone() -> None:
    def backward(dy: Array, x: Array, *, eps: float = 0.0) -> tuple[Array, ...]:
        norm = np.sqrt((x * x).sum(-1, keepdims=True))
        return (dy - x * (dy * x).sum(-1, keepdims=True) / norm**2,)  # and all that divided by the norm

    said = "dx is multiplied by `jnp.sqrt((x * x).sum(axis=-1, keepdims=True))`, or not divided by it"
    assert diagnosed("l2_normalise", backward).findings[0].sentence == said


@pytest.mark.parametrize(("factor", "called"), [(np.sqrt(2 * np.pi), "√(2π)"), (1 / 3, "1/3"), (np.pi, "π")])
def test_a_factor_is_called_by_the_number_that_people_leave_out(factor: float, called: str) -> None:
    found = diagnosed("sin", lambda dy, x: (factor * dy * np.cos(x),)).findings[0].sentence
    assert re.search(rf"multiplied by {re.escape(called)}(, or|$)", found)


def test_a_number_that_one_entry_shows_alone_is_not_told() -> None:
    def backward(dy: Array, x: Array) -> tuple[Array, ...]:
        dx = dy * (1 - np.tanh(x) ** 2)
        dx[np.unravel_index(abs(dx).argmax(), dx.shape)] *= 0.9 if x.shape == first.shape else 1
        return (dx,)

    first = generic_cases(OPERATIONS["tanh"], {})[0].inputs["x"]
    assert diagnosed("tanh", backward).verdict == "none known"


def carried(x: Any, a: Any) -> Any:
    """h_t = a h_{t-1} + x_t, and the sum of all."""
    h, total = x[0], x[0]
    for t in range(1, x.shape[0]):
        h = a * h + x[t]
        total = total + h
    return total


def test_a_mistake_is_looked_for_in_the_program_of_the_case_that_shows_most_of_it() -> None:
    def subject(inputs: Any, options: Any, cotangents: Any, sizes: Any) -> dict[str, Array]:
        (x, a), (dy,) = inputs.values(), cotangents
        h = [x[0]]
        for row in x[1:]:
            h.append(a * h[-1] + row)
        dx, da, dh = np.zeros_like(x), np.zeros_like(a), np.zeros_like(a)
        for t in reversed(range(len(x))):
            dh = dy + dh  # and not a dh
            dx[t], da = dh, da + (dh * h[t - 1] if t else 0)
        return {"x": dx, "a": da}

    operation = Operation("carried", carried, {"x": Input("t d"), "a": Input("d")}, concrete=("t",))
    rng, cases = np.random.default_rng(0), list[Case]()
    for t in (2, 3, 3):  # of two steps, da is right
        inputs = {"x": rng.standard_normal((t, 4)), "a": rng.standard_normal(4)}
        cases.append(Case({"t": t, "d": 4}, {}, inputs, (rng.standard_normal(4),)))
    found = diagnose(operation, subject, cases)
    assert [one.sentence for one in found.findings] == ["the factor a is left out"]
    assert found.cases == 2


def test_a_mean_over_all_where_some_are_left_out_is_told() -> None:
    def masked(x: Any, m: Any) -> Any:
        return (x * x * m).sum() / m.sum()

    operation = Operation("masked", masked, {"x": Input("n"), "m": Input("n", "mask")})
    found = diagnosed(operation, lambda dy, x, m: (2 * dy * x * m / len(x),))
    assert [one.kind for one in found.findings] == ["factor"]
    assert found.findings[0].sentence.endswith("is divided by n")


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_program_can_be_edited(operation: str) -> None:
    of, options = OPERATIONS[operation], OPTIONS[operation]
    case = generic_cases(of, options)[0]
    passage = Passage(of, options, case.sizes)
    reading = Reading(passage, case.sizes, [*case.inputs.values(), *case.cotangents])
    assert [passage.say(one) for one in edits(reading)]
