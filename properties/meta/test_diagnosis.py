"""The diagnosis: every mistake is named, in the catalogue's words and in others; what is unknown is described."""

# Students' code has no types.
# pyright: basic
# pyright: reportArgumentType=false, reportCallIssue=false, reportConstantRedefinition=false
# pyright: reportOperatorIssue=false

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
import pytest

import manual_backprop
from manual_backprop.mistakes import MISTAKES, Rule, WrongGradient, one_output_only
from manual_backprop.mistakes.changed_afterwards import each_array
from manual_backprop.mistakes.order_and_state import updated_weights_used
from properties.cases import Array, Case, Parameters
from properties.checks import check_gradient
from properties.diagnosis.answer import diagnose
from properties.diagnosis.conditions import condition
from properties.diagnosis.edges import explain_edge
from properties.diagnosis.guards import find_guards
from properties.diagnosis.network_population import NetworkPopulation
from properties.diagnosis.probes import Interview, Maker
from properties.diagnosis.saturation import largest_z, saturated
from properties.meta.accused import ByHand, Function, Wrong, case_for, diagnosed
from properties.meta.formulations import FORMULATIONS
from properties.problem import read
from properties.search import Violation

# --- the catalogue ----------------------------------------------------------------------------------------

PROBLEMS: tuple[dict[str, Any], ...] = (
    {},
    {"layers": 3, "hidden": "sigmoid", "output": "softmax", "loss": "cross_entropy"},
    {"layers": 2, "hidden": "relu", "output": "softmax", "loss": "half_sse", "reduction": "sum"},
    {"layers": 1, "output": "sigmoid", "loss": "mean_binary_cross_entropy", "bias": False},
    {"layers": 2, "hidden": "softplus", "output": "relu", "loss": "half_mse", "targets": "one_hot"},
    {"layers": 2, "hidden": "tanh", "output": "tanh", "loss": "sse", "outputs": 1, "dtype": "float32"},
    {"layers": 3, "hidden": "sigmoid", "output": "sigmoid", "width": 4, "outputs": 4},
    {"layers": 2, "hidden": "relu", "output": "softmax", "loss": "cross_entropy", "targets": "labels"},
    {"layers": 1, "outputs": 1, "loss": "half_sse"},
    {"layers": 2, "hidden": "relu", "output": "relu"},
)


def catalogued() -> Iterator[Any]:
    """Each variant with two problems to which it applies, with one where variants differ in a number only.

    Mistakes of state have tests of their own.
    """
    for mistake in MISTAKES.values():
        for label, wrong in mistake.variants:
            if mistake.name == "input_mutated" or label == "over the calls":
                continue
            fitting = [problem for problem in PROBLEMS if _applies(wrong, problem)]
            assert fitting, f"{mistake.name}: {label}"
            first = len(label) % len(fitting)
            many = 1 if any(letter.isdigit() for letter in label) else 2
            for problem in (fitting[first], fitting[first - 1])[: min(many, len(fitting))]:
                text = " ".join(map(str, problem.values())) or "default"
                yield pytest.param(mistake.name, wrong, problem, id=f"{mistake.name}, {label}: {text}")


def _applies(wrong: WrongGradient, problem: dict[str, Any]) -> bool:
    (claim,) = read(problem)
    (output, loss), *_ = claim.pairs()
    widths = claim.width or (6, 5)
    sizes = (7, *(widths * 3)[: claim.layers[0] - 1], *(claim.outputs or (4,)))
    setting = {"hidden": claim.hidden[0], "output": output, "loss": loss, "reduction": claim.reduction[0]}
    setting |= {"layers": claim.layers[0], "samples": 3, "outputs": sizes[-1], "sizes": sizes}
    return wrong.applies(**setting, bias=claim.bias[0], dtype=claim.dtype[0])


@pytest.mark.parametrize(("name", "wrong", "problem"), list(catalogued()))
def test_every_variant_of_the_catalogue_is_named(
    name: str, wrong: WrongGradient, problem: dict[str, Any]
) -> None:
    found = diagnosed(wrong, loud=64 if name == "gradient_clipped" else 1, **problem)
    assert name in found.mistakes or re.search(f"\\b{name}\\b.* would give the same numbers", found.evidence)
    assert len(found.mistakes) == 1
    assert "fresh cases" in found.evidence
    assert found.where
    assert found.sentence == MISTAKES[found.mistakes[0]].sentence
    assert (found.hint, found.answer) == (
        MISTAKES[found.mistakes[0]].hint,
        MISTAKES[found.mistakes[0]].answer,
    )


# --- right gradients --------------------------------------------------------------------------------------


@pytest.mark.parametrize("formulation", [f for f in FORMULATIONS if not f.overflows], ids=lambda f: f.name)
@pytest.mark.parametrize("problem", PROBLEMS[:3])
def test_a_right_gradient_is_given_no_name(formulation: Any, problem: dict[str, Any]) -> None:
    claims = read(problem)

    case = case_for(claims)

    def right(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        return formulation.gradient(Case(parameters, inputs, targets, **names))

    found = diagnose(Wrong(right, claims), case)
    assert found.mistakes == ()
    assert found.evidence.startswith("right on 8 fresh cases")
    assert found.where == ""


# --- programs that share no code with the catalogue -------------------------------------------------------


def right(o: Any, y: Any, i: int, j: int, n: int, k: int) -> Any:
    return 2 * (o[j] - y[j]) / (n * k)


def biases(change: Callable[[Array, int], Array], layers: Any = None) -> Callable[..., Parameters]:
    """Every db changed, or those of some layers, the last counted -1."""

    def after(gradient: Parameters, parameters: Any) -> Parameters:
        count = len(gradient)
        chosen = range(count) if layers is None else [layer % count for layer in layers]
        return [
            (dW, change(db, 0) if number in chosen and db is not None else db)
            for number, (dW, db) in enumerate(gradient)
        ]

    return after


OWN_WORDS = {
    "one_output_only": ByHand(error=lambda o, y, i, j, n, k: right(o, y, i, j, n, k) if j == 0 else 0.0),
    "one_cell_only": ByHand(error=lambda o, y, i, j, n, k: right(o, y, i, j, n, k) * (i == j == 1)),
    "one_sample_only": ByHand(samples=lambda n: [n // 2]),
    "outputs_dropped": ByHand(error=lambda o, y, i, j, n, k: right(o, y, i, j, n, k) if j != 1 else 0.0),
    "samples_dropped": ByHand(samples=lambda n: range(0, n, 2)),
    "one_downstream_path": ByHand(back=lambda dz, w: dz[0] * w[0]),
    "sum_for_mean": ByHand(error=lambda o, y, i, j, n, k: 2 * (o[j] - y[j]) / k),
    "output_mean_lost": ByHand(error=lambda o, y, i, j, n, k: 2 * (o[j] - y[j]) / n),
    "divided_twice": ByHand(error=lambda o, y, i, j, n, k: 2 * (o[j] - y[j]) / n**2 / k),
    "factor_two_lost": ByHand(error=lambda o, y, i, j, n, k: (o[j] - y[j]) / n / k),
    "fixed_divisor": ByHand(error=lambda o, y, i, j, n, k: 2 * (o[j] - y[j]) / k / 50),
    "wrong_sign": ByHand(error=lambda o, y, i, j, n, k: 2 * (y[j] - o[j]) / k / n),
    "slope_missing": ByHand(slope=lambda z, h: 1.0),
    "slope_twice": ByHand(slope=lambda z, h: np.cosh(z) ** -4.0),
    "slope_at_wrong_place": ByHand(slope=lambda z, h: 1 - np.tanh(h) ** 2),
    "activation_as_slope": ByHand(slope=lambda z, h: h),
    "bias_forgotten": ByHand(after=biases(lambda db, n: 0 * db)),
    "upstream_not_passed": ByHand(back=lambda dz, w: 1.0),
    "penalty_included": ByHand(
        after=lambda g, parameters: [
            (dW + 0.05 * W, db) for (dW, db), (W, _) in zip(g, parameters, strict=True)
        ]
    ),
    "gradient_clipped": ByHand(after=lambda g, _: [(np.clip(dW, -5, 5), np.clip(db, -5, 5)) for dW, db in g]),
    "precision_lost": ByHand(
        after=lambda g, _: [(np.float32(dW) * 1.0, np.float32(db).astype(float)) for dW, db in g]
    ),
}


ON_THE_WAY_DOWN = [name for name in OWN_WORDS if re.match("slope|activation|one_downstream|upstream", name)]


@pytest.mark.parametrize(
    ("name", "layers"),
    [(name, 2) for name in OWN_WORDS] + [(name, 3 if name in ON_THE_WAY_DOWN else 1) for name in OWN_WORDS],
)
def test_a_mistake_in_other_words_is_named(name: str, layers: int) -> None:
    found = diagnosed(OWN_WORDS[name], loud=64 if name == "gradient_clipped" else 1, layers=layers)
    assert found.mistakes == (name,)
    assert re.fullmatch(
        r"explains every wrong entry on ([5-7]) of \1 fresh cases it was not fitted on \(.*\)", found.evidence
    )
    assert "it does not explain the smallest case" not in found.note


def test_the_words_of_the_test_are_right_without_a_mistake() -> None:
    case = case_for(read(None))
    check_gradient(ByHand()(case.parameters, case.inputs, case.targets), case)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_error_that_is_hardly_more_than_rounding_is_given_no_name(dtype: str) -> None:
    unit = float(np.finfo(dtype).eps)

    def nearly(*case: Any, **names: str) -> Parameters:
        first, last = manual_backprop.gradient(*case, **names)
        factor = np.ones(1, dtype) * (1 + 200 * unit)
        return [*each_array([first], lambda array: factor * array), last]

    found = diagnosed(nearly, dtype=dtype)
    assert found.mistakes == ()
    assert "constant ratio" in found.where


def changed(change: Callable[[Parameters, Any, int], Any]) -> Function:
    """The right gradient, changed; the change sees the parameters and the number of samples too."""

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        return change(manual_backprop.gradient(parameters, inputs, targets, **names), parameters, len(inputs))

    return wrong


def clipped_norms(gradient: Parameters, *, together: bool) -> Parameters:
    """To the norm 5."""
    norms = [np.linalg.norm(array) for layer in gradient for array in layer]
    whole = np.linalg.norm(norms)
    return each_array(
        gradient, lambda array: array * min(1, 5 / (whole if together else np.linalg.norm(array)))
    )


def decayed(by: Callable[[int], float]) -> Function:
    """With a penalty whose strength may depend on the number of samples."""
    return changed(
        lambda gradient, parameters, n: [
            (dW + by(n) * W, db) for (dW, db), (W, _) in zip(gradient, parameters, strict=True)
        ]
    )


NUMBERS: dict[str, tuple[str, Function]] = {
    "each entry to 5": (
        "gradient_clipped",
        changed(lambda g, *_: each_array(g, lambda array: array.clip(-5, 5))),
    ),
    "each array's norm to 5": ("gradient_clipped", changed(lambda g, *_: clipped_norms(g, together=False))),
    "the norm of all to 5": ("gradient_clipped", changed(lambda g, *_: clipped_norms(g, together=True))),
    "(48)": ("fixed_divisor", changed(lambda g, _, n: each_array(g, lambda array: array * (n / 48)))),
    "rate 0.3": ("updated_weights_used", updated_weights_used(0.3)),
    "λ = 0.07 in dW1, dW2": ("penalty_included", decayed(lambda n: 0.07)),
    "λ·n with λ = 0.07 in dW1, dW2": ("penalty_included", decayed(lambda n: 0.07 * n)),
    "λ/n with λ = 0.07 in dW1, dW2": ("penalty_included", decayed(lambda n: 0.07 / n)),
}


@pytest.mark.parametrize("number", NUMBERS)
def test_the_number_in_a_mistake_is_told(number: str) -> None:
    name, wrong = NUMBERS[number]
    found = diagnosed(wrong, loud=64 if name == "gradient_clipped" else 1)
    assert found.mistakes == (name,)
    assert number in found.evidence


# --- two at once ------------------------------------------------------------------------------------------

PAIRS = {
    ("sum_for_mean", "bias_forgotten"): ByHand(
        error=lambda o, y, i, j, n, k: 2 * (o[j] - y[j]) / k, after=biases(lambda db, n: 0 * db)
    ),
    ("factor_two_lost", "bias_forgotten"): ByHand(
        error=lambda o, y, i, j, n, k: (o[j] - y[j]) / k / n, after=biases(lambda db, n: 0 * db)
    ),
    ("sum_for_mean", "output_mean_lost"): ByHand(error=lambda o, y, i, j, n, k: 2 * (o[j] - y[j])),
    ("sum_for_mean", "wrong_sign"): ByHand(error=lambda o, y, i, j, n, k: 2 * (y[j] - o[j]) / k),
    ("sum_for_mean", "slope_missing"): ByHand(
        error=lambda o, y, i, j, n, k: 2 * (o[j] - y[j]) / k, slope=lambda z, h: 1.0
    ),
    ("one_output_only", "sum_for_mean"): ByHand(
        error=lambda o, y, i, j, n, k: 2 * (o[j] - y[j]) / k if j == 0 else 0.0
    ),
    ("one_output_only", "slope_missing"): ByHand(
        error=lambda o, y, i, j, n, k: right(o, y, i, j, n, k) * (j == 0), slope=lambda z, h: 1.0
    ),
    ("one_downstream_path", "slope_missing"): ByHand(back=lambda dz, w: dz[0] * w[0], slope=lambda z, h: 1.0),
    ("slope_missing", "bias_forgotten"): ByHand(slope=lambda z, h: 1.0, after=biases(lambda db, n: 0 * db)),
    ("output_mean_lost", "penalty_included"): ByHand(
        error=lambda o, y, i, j, n, k: 2 * (o[j] - y[j]) / n,
        after=lambda g, parameters: [
            (dW + 0.3 * W, db) for (dW, db), (W, _) in zip(g, parameters, strict=True)
        ],
    ),
    ("output_mean_lost", "bias_averaged"): Rule(
        output_error=lambda loss, o, y: 2 * (o - y), into_bias=lambda dz: dz.mean(axis=0)
    ),
    ("slope_missing", "penalty_included"): ByHand(
        slope=lambda z, h: 1.0,
        after=lambda g, parameters: [
            (dW + 0.3 * W, db) for (dW, db), (W, _) in zip(g, parameters, strict=True)
        ],
    ),
    ("sum_for_mean", "precision_lost"): ByHand(
        error=lambda o, y, i, j, n, k: 2 * (o[j] - y[j]) / k,
        after=lambda g, _: [(np.float32(dW) * 1.0, np.float32(db) * 1.0) for dW, db in g],
    ),
}


@pytest.mark.parametrize("names", PAIRS)
def test_two_mistakes_at_once_are_named_together(names: tuple[str, str]) -> None:
    found = diagnosed(PAIRS[names])
    assert set(found.mistakes) == set(names)
    assert found.sentence == " ".join(MISTAKES[name].sentence for name in found.mistakes)


@pytest.mark.parametrize("names", [("sum_for_mean", "wrong_sign"), ("sum_for_mean", "output_mean_lost")])
def test_two_factors_explain_a_case_with_an_array_of_zeros_too(names: tuple[str, str]) -> None:
    claims = read({})
    case = case_for(claims)
    found = diagnose(Wrong(PAIRS[names], claims), replace(case, inputs=0 * case.inputs))
    assert set(found.mistakes) == set(names)
    assert "smallest case" not in found.note


def test_a_mistake_of_one_layer_is_named() -> None:
    last = ByHand(after=biases(lambda db, n: 0 * db, layers=[-1]))
    found = diagnosed(last, layers=3)
    assert found.mistakes == ("bias_forgotten",)
    assert found.where.startswith("db3 (layer 3: bias); ")


def test_a_slope_that_is_missing_in_one_layer_is_named() -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        (A, a), (B, b), (C, c) = ((W, np.zeros(W.shape[1]) if v is None else v) for W, v in parameters)
        g = np.tanh(inputs @ A + a)
        h = np.tanh(g @ B + b)
        dz = 2 * (h @ C + c - targets) / targets.size
        dh = dz @ C.T
        dg = (dh @ B.T) * (1 - g**2)
        return [(inputs.T @ dg, dg.sum(0)), (g.T @ dh, dh.sum(0)), (h.T @ dz, dz.sum(0))]

    found = diagnosed(wrong, layers=3)
    assert found.mistakes == ("slope_missing",)
    assert "in layer 2 only" in found.evidence


@pytest.mark.parametrize(
    ("layers", "without", "told"),
    [
        (4, {1, 3}, "in layers 1 and 3 only"),
        (4, {2, 3}, "in layers 2 and 3 only"),
        (5, {1, 2, 4}, "in layers 1 and 2 and 4 only"),
    ],
)
def test_a_slope_that_is_missing_in_several_layers_is_named(
    layers: int, without: set[int], told: str
) -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        hs = [inputs]
        for W, b in parameters[:-1]:
            hs.append(np.tanh(hs[-1] @ W + b))
        W, b = parameters[-1]
        dz = 2 * (hs[-1] @ W + b - targets) / targets.size
        found: list[Any] = []
        for layer in reversed(range(layers)):
            found.append((hs[layer].T @ dz, dz.sum(0)))
            dz = dz @ parameters[layer][0].T * (1 if layer in without or not layer else 1 - hs[layer] ** 2)
        return found[::-1]

    found = diagnosed(wrong, layers=layers)
    assert found.mistakes == ("slope_missing",)
    assert f"(1 for f'(z) in the hidden layers: {told})" in found.evidence


@pytest.mark.parametrize("layers", [5, 6])
def test_a_mistake_in_a_deep_network_is_named(layers: int) -> None:
    assert diagnosed(one_output_only_everywhere, layers=layers).mistakes == ("one_output_only",)


def one_output_only_everywhere(*case: Any, **names: Any) -> Parameters:
    """The rule of one output."""
    return one_output_only(0)(*case, **names)


@pytest.mark.parametrize("hidden", ["tanh", "relu"])
def test_a_wrong_number_is_no_weak_one_where_no_activation_is_flat(hidden: str) -> None:
    def capped(*case: Any, **names: Any) -> Parameters:
        return [
            (np.clip(dW, -1000, 1000), np.clip(db, -1000, 1000))
            for dW, db in manual_backprop.gradient(*case, **names)
        ]

    subject = Wrong(capped, read({"hidden": hidden}))
    case = case_for(subject.claims, loud=2.0**10)
    with pytest.raises(Violation):
        check_gradient(subject.gradient(case), case)
    assert explain_edge(subject, case) == (False, "")


# --- what has no name in the catalogue -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told", "where"),
    [
        (
            lambda right: [(0 * dW, 0 * db) for dW, db in right],
            "the gradient is 0",
            "all of them 0",
        ),
        (
            lambda right: [(0 * right[0][0], 0 * right[0][1]), right[1]],
            "0 is given for dW1, db1",
            "dW1, db1 (layer 1: weights and bias); all of them 0",
        ),
        (
            lambda right: [(0 * right[0][0], 0 * right[0][1]), (3 * right[1][0], 3 * right[1][1])],
            "",
            "dW1, db1: all of them 0, dW2, db2: constant ratio 3",
        ),
    ],
)
def test_zeros_are_told_to_be_zeros(change: Callable[[Any], Any], told: str, where: str) -> None:
    found = diagnosed(lambda *case, **names: change(manual_backprop.gradient(*case, **names)))
    assert found.mistakes == ()
    assert told in found.explanation
    assert where in found.where


def test_biases_that_the_forward_pass_leaves_out_are_told() -> None:
    def wrong(parameters: Parameters, *batch: Any, **names: str) -> Parameters:
        return manual_backprop.gradient([(W, 0 * W[0]) for W, _ in parameters], *batch, **names)

    assert diagnosed(wrong).explanation == "the forward pass leaves the biases out"


# --- losses -----------------------------------------------------------------------------------------------


def outputs(case: Case) -> Array:
    return manual_backprop.forward(case.parameters, case.inputs, hidden=case.hidden, output=case.output)[1][
        -1
    ]


def plain_loss(case: Case) -> float:
    return float(manual_backprop.loss(case.parameters, case.inputs, case.targets, **case.choices))


@pytest.mark.parametrize(
    ("loss_of", "problem", "told"),
    [
        (
            lambda case: plain_loss(case) / 2,
            {},
            "the loss is half of what PROBLEM says: this is the loss half_mse, and PROBLEM says mse",
        ),
        (
            lambda case: plain_loss(case) * case.samples,
            {"loss": "half_sse"},
            "the loss is n times what PROBLEM says: this is the sum, and PROBLEM says mean",
        ),
        (
            lambda case: plain_loss(case) / np.log(2),
            {"output": "softmax", "loss": "cross_entropy"},
            "the loss is 1.4427 times what PROBLEM says: the logarithm has the base 2",
        ),
        (
            lambda case: -(case.targets * np.log(outputs(case) + 1e-8)).mean(),
            {"output": "softmax", "loss": "cross_entropy", "targets": "one_hot"},
            "the loss is 1/k times what PROBLEM says, and 1e-08 is added inside the logarithm besides",
        ),
        (
            lambda case: plain_loss(case) + 0.05 * sum((W**2).sum() for W, _ in case.parameters),
            {},
            "it has a penalty on the weights, 0.05 times the sum of their squares",
        ),
        (lambda case: plain_loss(case) + 1, {}, "the loss is wrong on 9 of 9 cases"),
    ],
)
def test_what_is_wrong_with_a_loss_is_told(
    loss_of: Callable[[Case], float], problem: dict[str, str], told: str
) -> None:
    claims = read(problem)
    found = diagnose(Wrong(manual_backprop.gradient, claims, loss_of), case_for(claims))
    assert (found.mistakes, found.explanation or found.note, found.contributions) == ((), told, None)
    assert found.where == "the loss; the gradient is right"


def test_a_loss_that_is_0_in_the_smallest_case_is_explained_by_the_others() -> None:
    case = case_for(read(None))
    zero = [(0 * W, None if b is None else 0 * b) for W, b in case.parameters]
    smallest = replace(case, parameters=zero, inputs=0 * case.inputs, targets=0 * case.targets)
    found = diagnose(
        Wrong(
            manual_backprop.gradient,
            loss_of=lambda case: plain_loss(case) + 0.05 * sum((W**2).sum() for W, _ in case.parameters),
        ),
        smallest,
    )
    assert found.explanation == "it has a penalty on the weights, 0.05 times the sum of their squares"


def test_a_right_loss_is_not_blamed_for_a_wrong_gradient() -> None:
    found = diagnose(Wrong(forgotten, loss_of=plain_loss), case_for(read(None)))
    assert found.mistakes == ("bias_forgotten",)
    assert "loss" not in found.note


# --- an ε in the formula ----------------------------------------------------------------------------------

ENTROPY = {"output": "softmax", "loss": "cross_entropy", "targets": "one_hot"}
BINARY = {"output": "sigmoid", "loss": "binary_cross_entropy"}


def through_softmax(d: Array, p: Array) -> Array:
    return np.einsum("nj,njk->nk", d, p[:, :, None] * np.eye(p.shape[1]) - np.einsum("nj,nk->njk", p, p))


SLOPES_WITH_E: dict[str, tuple[dict[str, str], Callable[[Array, Array, float], Array]]] = {
    "{} is added inside the logarithm": (ENTROPY, lambda p, y, e: through_softmax(-y / (p + e), p)),
    "o is kept above {} in a denominator": (ENTROPY, lambda p, y, e: through_softmax(-y / p.clip(e), p)),
    "{} is added inside the logarithm ": (
        BINARY,
        lambda p, y, e: ((1 - y) / (1 - p + e) - y / (p + e)) * p * (1 - p),
    ),
    "{} is added to o(1 − o) in a denominator": (
        BINARY,
        lambda p, y, e: (p - y) / (p * (1 - p) + e) * p * (1 - p),
    ),
}


def with_e(slope: Callable[[Array, Array, float], Array], e: float, factor: float = 1) -> Function:
    """A tanh network with this slope of its loss, ∂L/∂z."""

    def gradient(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Any:
        (A, a), (B, b) = parameters
        h = np.tanh(inputs @ A + a)
        z = h @ B + b
        p = np.exp(z - z.max(1)[:, None]) if names["output"] == "softmax" else 1 / (1 + np.exp(-z))
        p /= p.sum(1)[:, None] if names["output"] == "softmax" else 1
        dz = factor * slope(p, targets, e) / len(inputs)
        dh = dz @ B.T * (1 - h * h)
        return [(inputs.T @ dh, dh.sum(0)), (h.T @ dz, dz.sum(0))]

    return gradient


@pytest.mark.parametrize("e", [1e-12, 3.7e-9])
@pytest.mark.parametrize("text", SLOPES_WITH_E)
def test_an_epsilon_in_the_gradient_is_found_and_taken_out(text: str, e: float) -> None:
    problem, slope = SLOPES_WITH_E[text]
    claims = read(problem)
    subject = Wrong(with_e(slope, e), claims)
    found = find_guards(subject, case_for(claims))
    assert found is not None
    assert found.sizes == [e]
    assert found.effect.startswith(f"{text.strip().format(f'{e:.3g}')}: the gradient is off by ")
    case = case_for(claims, seed=3)
    narrow = replace(
        case, parameters=[case.parameters[0], (16 * case.parameters[1][0], case.parameters[1][1])]
    )
    with pytest.raises(Violation):
        check_gradient(subject.gradient(narrow), narrow)
    check_gradient(found.gradient(narrow), narrow)


@pytest.mark.parametrize(
    ("problem", "loss_of_sample"),
    [
        (ENTROPY, lambda p, y, e: -(y * np.log(p + e)).sum()),
        (BINARY, lambda p, y, e: -(y * np.log(p + e) + (1 - y) * np.log(1 - p + e)).sum()),
        (BINARY, lambda p, y, e: -(y * np.log(p.clip(e)) + (1 - y) * np.log((1 - p).clip(e))).sum()),
    ],
)
def test_an_epsilon_in_the_loss_is_found_and_taken_out(
    problem: dict[str, str], loss_of_sample: Callable[[Array, Array, float], float]
) -> None:
    def loss_of(case: Case) -> float:
        return float(loss_of_sample(outputs(case), case.targets, 1e-9) / case.samples)

    claims = read(problem)
    found = find_guards(Wrong(manual_backprop.gradient, claims, loss_of), case_for(claims))
    assert found is not None
    assert (found.slope, found.sizes) == (None, [1e-9])
    assert ": the loss is off by " in found.effect


def test_a_large_epsilon_is_a_mistake_and_told() -> None:
    _, slope = SLOPES_WITH_E["{} is added inside the logarithm"]
    found = diagnosed(with_e(slope, 1e-3), **ENTROPY)
    assert (found.mistakes, found.evidence[:26]) == ((), "explains every wrong entry")
    assert found.explanation.startswith("0.001 is added inside the logarithm: the gradient is off by ")


def test_a_mistake_is_named_with_an_epsilon_besides() -> None:
    _, slope = SLOPES_WITH_E["{} is added inside the logarithm"]
    found = diagnosed(with_e(slope, 1e-8, factor=2), **ENTROPY)
    assert found.mistakes == ("factor_two_gained",)
    assert "1e-08 is added inside the logarithm besides" in found.note


@pytest.mark.parametrize("problem", [ENTROPY, BINARY])
def test_neither_a_right_gradient_nor_a_mistake_is_an_epsilon(problem: dict[str, str]) -> None:
    claims = read(problem)
    for function in (manual_backprop.gradient, forgotten, a_percent):
        subject = Wrong(function, claims, plain_loss)
        assert find_guards(subject, case_for(claims)) is None


Formula = Callable[[Array, float], Array]


def sigmoid(z: Array) -> Array:
    """The slope of softplus."""
    return 1 / (1 + np.exp(-z))


CUT_SOFTPLUS: dict[str, tuple[Formula, Formula]] = {
    "softplus is z where z > {}": (
        lambda z, t: np.where(z > t, z, np.logaddexp(0, z)),
        lambda z, t: np.where(z > t, 1, sigmoid(z)),
    ),
    "softplus is z where z > {}, but for its slope": (
        lambda z, t: np.where(z > t, z, np.logaddexp(0, z)),
        lambda z, t: sigmoid(z),
    ),
    "the slope of softplus is 1 where z > {}": (
        lambda z, t: np.logaddexp(0, z),
        lambda z, t: np.where(z > t, 1, sigmoid(z)),
    ),
    "z is kept within ± {} before softplus": (
        lambda z, t: np.logaddexp(0, z.clip(-t, t)),
        lambda z, t: sigmoid(z.clip(-t, t)),
    ),
    "z is kept within ± {} before softplus, whose slope is 0 beyond": (
        lambda z, t: np.logaddexp(0, z.clip(-t, t)),
        lambda z, t: sigmoid(z) * (abs(z) <= t),
    ),
}
"""The value and the slope, by z and where it is cut."""


def with_cut(value: Formula, slope: Formula, t: float) -> Callable[..., Parameters]:
    """A softplus layer below another one, and a squared error."""

    def gradient(parameters: Parameters, inputs: Array, targets: Array, **_: str) -> Any:
        (A, a), (B, b) = parameters
        z = inputs @ A + a
        h = value(z, t)
        dz = 2 * (h @ B + b - targets) / targets.size
        dh = dz @ B.T * slope(z, t)
        return [(inputs.T @ dh, dh.sum(0)), (h.T @ dz, dz.sum(0))]

    return gradient


@pytest.mark.parametrize("t", [9, 16.5, 20])
@pytest.mark.parametrize("text", CUT_SOFTPLUS)
def test_a_cut_activation_is_found_and_taken_out(text: str, t: float) -> None:
    claims = read({"hidden": "softplus", "layers": 2, "loss": "mse", "reduction": "mean", "targets": "real"})
    subject = Wrong(with_cut(*CUT_SOFTPLUS[text], t), claims)
    found = find_guards(subject, case_for(claims))
    assert found is not None
    assert found.sizes == [np.exp(-t)]
    assert found.effect.startswith(f"{text.format(t)}: the gradient is off by ")
    assert found.effect.endswith("by nothing where the largest z is 1.5")
    case = saturated(case_for(claims, seed=3), t)
    with pytest.raises(Violation):
        check_gradient(subject.gradient(case), case)
    check_gradient(found.gradient(case), case)


def test_where_a_cut_is_told_the_loss_of_single_precision_is_not() -> None:
    value, slope = CUT_SOFTPLUS["softplus is z where z > {}"]
    choices = {"hidden": "softplus", "layers": 2, "loss": "mse", "reduction": "mean", "targets": "real"}
    found = diagnosed(with_cut(value, slope, 14), **choices)
    assert found.mistakes == ()
    assert found.explanation.startswith("softplus is z where z > 14: ")
    assert found.answer.startswith("Leave it out: ")


# --- what is left behind ----------------------------------------------------------------------------------


def test_gradients_that_accumulate_over_the_calls_are_named() -> None:
    total: dict[Any, Any] = {}

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        new = manual_backprop.gradient(parameters, inputs, targets, **names)
        key = tuple(W.shape for W, _ in parameters)
        old = total.setdefault(key, [(0 * dW, 0 * dW[0]) for dW, _ in new])
        total[key] = [(dW + eW, db + eb) for (dW, db), (eW, eb) in zip(new, old, strict=True)]
        return total[key]

    found = diagnosed(wrong)
    assert found.mistakes == ("gradients_accumulated",)
    assert found.evidence == "each of 3 equal calls adds the right gradient to the answer before"


def test_momentum_has_no_name_but_is_described() -> None:
    kept: list[Any] = [None, 0]

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        new = manual_backprop.gradient(parameters, inputs, targets, **names)
        if kept[0] == inputs.shape:
            new = [(dW + 0.9 * eW, db + 0.9 * eb) for (dW, db), (eW, eb) in zip(new, kept[1], strict=True)]
        kept[:] = inputs.shape, new
        return new

    found = diagnosed(wrong)
    assert found.mistakes == ()
    assert found.evidence == "each answer holds 0.9 of the one before, as momentum does"


def test_random_answers_have_no_name_but_are_described() -> None:
    random = np.random.default_rng(1)

    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        new = manual_backprop.gradient(parameters, inputs, targets, **names)
        return [(dW * random.uniform(0.5, 1, dW.shape), db) for dW, db in new]

    found = diagnosed(wrong)
    assert (found.mistakes, found.evidence) == ((), "equal calls give different answers")


def test_a_sample_that_is_chosen_at_random_is_one_sample_only() -> None:
    random = np.random.default_rng(1)
    found = diagnosed(ByHand(samples=lambda n: [int(random.integers(n))]))
    assert found.mistakes == ("one_sample_only",)


def test_a_changed_argument_is_named() -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        new = manual_backprop.gradient(parameters, inputs, targets, **names)
        targets -= 1
        return new

    found = diagnosed(wrong)
    assert found.mistakes == ("input_mutated",)
    assert "targets in place" in found.note


def test_inputs_that_are_centred_in_place_are_named() -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        inputs -= inputs.mean(axis=0)
        return manual_backprop.gradient(parameters, inputs, targets, **names)

    found = diagnosed(wrong)
    assert found.mistakes == ("input_mutated",)
    assert found.evidence.startswith("explains every wrong entry")


def test_weights_that_are_updated_on_the_way_down_are_named() -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        (A, a), (B, b) = parameters
        h = np.tanh(inputs @ A + a)
        dz = 2 * (h @ B + b - targets) / targets.size
        dB = h.T @ dz
        dh = dz @ (B - 0.3 * dB).T * (1 - h * h)
        return [(inputs.T @ dh, dh.sum(0)), (dB, dz.sum(0))]

    found = diagnosed(wrong)
    assert found.mistakes == ("updated_weights_used",)
    assert "rate 0.3" in found.evidence


# --- broken shapes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bias", [lambda dz: dz, lambda dz: dz.sum(axis=1), lambda dz: dz.sum()], ids=["(n, K)", "(n,)", "()"]
)
def test_a_bias_that_is_not_summed_is_named_by_its_shape(bias: Callable[[Array], Array]) -> None:
    found = diagnosed(Rule(into_bias=bias))
    assert found.mistakes == ("bias_not_summed",)
    assert "on 8 of 8 fresh cases" in found.evidence


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda right: [(dW.T, db) for dW, db in right], "dW is given transposed"),
        (lambda right: right[::-1], "the layers are given in reverse order"),
        (lambda right: [(dW, db[None]) for dW, db in right], "drop keepdims"),
    ],
)
def test_a_right_gradient_in_another_order_is_told_to_be_one(change: Callable[[Any], Any], told: str) -> None:
    found = diagnosed(lambda *case, **names: change(manual_backprop.gradient(*case, **names)), layers=3)
    assert found.mistakes == ()
    assert told in found.explanation


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda right: [(dW.T, db) for dW, db in right], "dW is given transposed"),
        (lambda right: right[::-1], "the layers are given in reverse order"),
        (lambda right: right[1:] + right[:1], ""),
    ],
)
def test_an_order_is_told_by_the_shapes_where_no_other_sizes_can_be_asked_for(
    change: Callable[[Any], Any], told: str
) -> None:
    sizes = {"layers": 3, "inputs": 3, "width": 4, "outputs": 2}
    found = diagnosed(lambda *case, **names: change(manual_backprop.gradient(*case, **names)), **sizes)
    assert found.explanation == told
    assert found.evidence.startswith("the shapes show it on all of 8 fresh cases" if told else "no mistake")


def test_a_transposed_result_of_square_layers_is_told_to_be_one() -> None:
    found = diagnosed(
        lambda *case, **names: [(dW.T, db) for dW, db in manual_backprop.gradient(*case, **names)],
        inputs=4,
        width=4,
        outputs=4,
    )
    assert (found.mistakes, found.explanation) == ((), "dW is given transposed")


def test_a_missing_transpose_that_raises_is_named_where_it_does_not() -> None:
    found = diagnosed(Rule(into_layer_below=lambda dz, W: dz @ W), layers=3)
    assert found.mistakes == ("transpose_missing",)
    assert "square layers alone" in found.note


@pytest.mark.parametrize("problem", [{"outputs": 1}, {"outputs": 1, "layers": 1}, {}])
def test_outputs_that_meet_all_targets_are_named(problem: dict[str, Any]) -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Any:
        hs = [inputs]
        for number, (W, b) in enumerate(parameters, start=1):
            z = hs[-1] @ W + (0 if b is None else b)
            hs.append(z if number == len(parameters) else np.tanh(z))
        y = targets.reshape(-1) if targets.shape[1] == 1 else targets
        dz = 2 * (hs[-1] - y) / targets.size
        found: list[Any] = []
        for number in reversed(range(len(parameters))):
            found.append((hs[number].T @ dz, dz.sum(0)))
            if number:
                dz = dz @ parameters[number][0].T * (1 - hs[number] ** 2)
        return found[::-1]

    claims = read(problem)
    case = case_for(claims)
    one_output = replace(
        case,
        parameters=[*case.parameters[:-1], (case.parameters[-1][0][:, :1], np.zeros(1))],
        targets=case.targets[:, :1],
    )
    found = diagnose(Wrong(wrong, claims), one_output)
    assert found.mistakes == ("broadcast_blow_up",)


# --- corners ----------------------------------------------------------------------------------------------


def only_where(condition: Callable[[Case], bool], wrong: Function) -> Function:
    """Right, but for the cases that meet a condition."""

    def gradient(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        bad = condition(Case(parameters, inputs, targets, **names))
        return (wrong if bad else manual_backprop.gradient)(parameters, inputs, targets, **names)

    return gradient


def a_percent(*case: Any, **names: str) -> Parameters:
    return [(1.01 * dW, db) for dW, db in manual_backprop.gradient(*case, **names)]


def forgotten(*case: Any, **names: str) -> Parameters:
    return [(dW, 0 * dW[0]) for dW, _ in manual_backprop.gradient(*case, **names)]


def sized(samples: int = 6, units: tuple[int, ...] = (4, 5, 3), *, large: float = 1) -> Case:
    """A case of these sizes."""
    claims = read({"samples": samples, "inputs": units[0], "width": units[1], "outputs": units[-1]})
    return saturated(case_for(claims), large)


CORNERS = {
    "n is 5": (lambda case: case.samples == 5, lambda: sized(5)),
    "n is 2": (lambda case: case.samples == 2, lambda: sized(2)),
    "k is 1": (lambda case: case.outputs == 1, lambda: sized(units=(4, 5, 1))),
    "n ≥ 9": (lambda case: case.samples > 8, lambda: sized(9)),
    "u1 is 7": (lambda case: case.sizes[1] == 7, lambda: sized(units=(4, 7, 3))),
    "all layers are square": (lambda case: len(set(case.sizes)) == 1, lambda: sized(units=(4, 4, 4))),
    "d = u1": (lambda case: case.sizes[0] == case.sizes[1], lambda: sized(units=(4, 4, 3))),
    "d = u1 or u1 = k": (
        lambda case: case.sizes[1] in (case.sizes[0], case.sizes[2]),
        lambda: sized(units=(4, 4, 4)),
    ),
    "n = u1 or n = k": (
        lambda case: case.samples in case.sizes[1:],
        lambda: sized(5, units=(4, 5, 3)),
    ),
    "d = k": (
        lambda case: case.sizes[0] == case.sizes[2],
        lambda: sized(units=(4, 5, 4)),
    ),
    "u1 = k": (lambda case: case.sizes[1] == case.sizes[2], lambda: sized(units=(4, 3, 3))),
    "n = k": (lambda case: case.samples == case.outputs, lambda: sized(3)),
    "n is above 8 and no multiple of it": (
        lambda case: case.samples > 8 and case.samples % 8 > 0,
        lambda: sized(9),
    ),
    "n is no multiple of 3": (lambda case: case.samples % 3 > 0, lambda: sized(5)),
    "n is a multiple of 5": (lambda case: case.samples % 5 == 0, lambda: sized(5)),
    "k ≤ 2": (lambda case: case.outputs <= 2, lambda: sized(units=(4, 5, 2))),
    "n is 5, 6 or 11 (of 1 to 16)": (lambda case: case.samples in (5, 6, 11), lambda: sized(5)),
    "u1 ≥ 20": (lambda case: case.sizes[1] >= 20, lambda: sized(units=(4, 20, 3))),
    "the widest layer ≥ 33": (lambda case: max(case.sizes) > 32, lambda: sized(units=(33, 5, 3))),
    "an input is 0 in all samples": (
        lambda case: not case.inputs.any(axis=0).all(),
        lambda: without_an_input(sized(5)),
    ),
    "some |x| is above 50": (lambda case: abs(case.inputs).max() > 50, lambda: loud(sized(5))),
}


def without_an_input(case: Case) -> Case:
    """The same, but that one is 0 in all samples."""
    return replace(case, inputs=case.inputs * (np.arange(case.inputs.shape[1]) > 0))


def loud(case: Case) -> Case:
    """The same, with larger inputs."""
    return replace(case, inputs=case.inputs * 128)


@pytest.mark.parametrize("text", CORNERS)
def test_the_condition_is_told_under_which_a_gradient_is_wrong(text: str) -> None:
    condition, case_of = CORNERS[text]
    found = diagnose(Wrong(only_where(condition, a_percent)), case_of())
    assert found.mistakes == ()
    assert f"only where {text}" in found.note
    assert "constant ratio 1.01" in found.where
    assert "dW1, dW2 (layer 1: weights; layer 2: weights)" in found.where


@pytest.mark.parametrize("seed", range(8))
def test_sizes_that_are_wrong_by_chance_are_no_condition(seed: int) -> None:
    def by_chance(case: Case) -> bool:  # three cases in four, whatever their sizes
        return crc32(case.inputs.tobytes()) % 4 > 0

    subject, case = Wrong(only_where(by_chance, a_percent)), sized(5)
    maker = Maker(case, subject.claims[0], np.random.default_rng(seed))
    assert condition(NetworkPopulation(Interview(subject), maker)) is None


@pytest.mark.parametrize("text", CORNERS)
def test_a_mistake_in_a_corner_is_named_with_its_condition(text: str) -> None:
    condition, case_of = CORNERS[text]
    found = diagnose(Wrong(only_where(condition, forgotten)), case_of())
    assert found.mistakes == ("bias_forgotten",)
    assert re.fullmatch(
        r"explains every wrong entry on 5 of 5 fresh cases it was not fitted on where .* \(.*\)",
        found.evidence,
    )
    assert f"only where {text}" in found.note


def test_a_mistake_in_another_layer_for_each_of_several_sizes_is_named_under_one() -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        (W1, b1), (W2, b2), (W3, b3) = parameters
        h1 = np.tanh(inputs @ W1 + b1)
        h2 = np.tanh(h1 @ W2 + b2)
        dz3 = 2 * (h2 @ W3 + b3 - targets) / targets.size
        back3, back2 = (W if W.shape[0] == W.shape[1] else W.T for W in (W3, W2))
        dz2 = dz3 @ back3 * (1 - h2**2)
        dz1 = dz2 @ back2 * (1 - h1**2)
        pairs = ((inputs, dz1), (h1, dz2), (h2, dz3))
        return [(x.T @ dz, dz.sum(axis=0)) for x, dz in pairs]

    claims = read({"layers": 3})
    found = diagnose(Wrong(wrong, claims), case_for(read({"layers": 3, "width": 3, "outputs": 3})))
    assert found.mistakes == ("transpose_missing",)
    assert found.note == "only where u1 = u2 or u2 = k"
    assert "where u1 = u2 (" in found.evidence


def test_three_factors_have_to_hold_of_small_sizes_too() -> None:
    def wrong(*case: Any, **names: str) -> Parameters:
        _, _, targets = case
        by = max(targets.shape[1] / 3, 1)
        return [(by * dW, by * db) for dW, db in manual_backprop.gradient(*case, **names)]

    found = diagnose(Wrong(wrong), sized(units=(4, 5, 6)))
    assert found.mistakes == ()


def test_a_rounding_of_the_size_of_the_largest_entry_is_told_as_such() -> None:
    def wrong(*case: Any, **names: str) -> Parameters:
        right = manual_backprop.gradient(*case, **names)
        return [(dW + 2.0**-54 * abs(dW).max(), db) for dW, db in right]

    claims = read({"layers": 1})
    case = case_for(claims)
    kept = np.arange(case.inputs.shape[1]) > 0
    found = diagnose(Wrong(wrong, claims), replace(case, inputs=case.inputs * kept))
    assert found.explanation.startswith(
        "each array is right but for rounding of the size of its largest entry"
    )
    assert (found.mistakes, found.note) == ((), "")


def test_a_clip_with_an_epsilon_beside_the_norm_is_a_clip() -> None:
    def wrong(*case: Any, **names: str) -> Parameters:
        right = manual_backprop.gradient(*case, **names)
        norm = np.sqrt(sum(np.sum(np.square(array)) for pair in right for array in pair)) + 1e-12
        return [(dW / max(norm, 1), db / max(norm, 1)) for dW, db in right]

    claims = read({"loss": "half_sse", "reduction": "sum"})
    case = case_for(claims)
    small = replace(case, targets=case.targets * 2)
    found = diagnose(Wrong(wrong, claims), small)
    assert found.mistakes == ("gradient_clipped",)
    assert "something else" not in found.note


def test_what_is_wrong_in_one_array_by_the_samples_has_no_layer_besides() -> None:
    def wrong(*case: Any, **names: str) -> Parameters:
        (dW, db), *upper = manual_backprop.gradient(*case, **names)
        return [(dW / len(case[1]), db), *upper]

    found = diagnosed(wrong, layers=3)
    assert found.mistakes == ("divided_twice",)
    assert found.evidence.endswith("(by the samples, again: in dW1 alone)")
    assert found.contributions is None


def test_a_dead_unit_is_told_where_a_batch_of_one_shows_it() -> None:
    def has_a_dead_unit(case: Case) -> bool:
        W, b = case.parameters[0]
        return bool((case.inputs @ W + b <= 0).all(axis=0).any())

    claims = read({"hidden": "relu"})
    case = case_for(claims).with_samples(slice(1))
    found = diagnose(Wrong(only_where(has_a_dead_unit, a_percent), claims), case)
    assert found.note == "always and only where a unit of the first layer is 0 in all samples"


def test_a_batch_of_which_nothing_is_kept_is_no_other_mistake() -> None:
    def without_the_last(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        kept = max(len(inputs) - 1, 1)
        right = manual_backprop.gradient(parameters, inputs[:kept], targets[:kept], **names)
        return [(dW * kept / len(inputs), db * kept / len(inputs)) for dW, db in right]  # type: ignore[operator]

    zeros = [(np.zeros((1, 1)), np.zeros(1)) for _ in range(2)]
    smallest = Case(zeros, np.zeros((2, 1)), np.array([[0.0], [0.5]]))
    found = diagnose(Wrong(without_the_last), smallest)
    assert (found.mistakes, found.note) == (("samples_dropped",), "right for batches of one")


def test_a_gradient_that_fails_where_z_is_large_is_described() -> None:
    case = sized(large=16)
    found = diagnose(Wrong(only_where(lambda case: largest_z(case) > 20, a_percent)), case)
    assert found.mistakes == ()
    threshold = re.search(r"only where some \|z\| is above (\d+)", found.note)
    assert threshold
    assert 20 <= int(threshold[1]) <= 21


def test_what_is_wrong_of_one_sample_is_not_called_right_for_batches_of_one() -> None:
    def clipped(*case: Any, **names: str) -> Parameters:
        right = manual_backprop.gradient(*case, **names)
        norm = np.sqrt(sum(np.sum(np.square(array)) for pair in right for array in pair))
        part = min(1, 5 / norm)
        return [(dW * part, None if db is None else db * part) for dW, db in right]

    claims = read({"loss": "sse", "reduction": "sum"})
    large = case_for(claims, loud=64).with_samples(slice(1))
    found = diagnose(Wrong(clipped, claims), large)
    assert found.mistakes == ("gradient_clipped",)
    assert "right for batches of one" not in found.note


# --- what no catalogue knows ------------------------------------------------------------------------------


def test_a_gradient_that_is_off_by_a_percent_has_no_name_but_is_explained_by_its_ratio() -> None:
    found = diagnosed(
        lambda *case, **names: [(1.01 * dW, 1.01 * db) for dW, db in manual_backprop.gradient(*case, **names)]
    )
    assert found.mistakes == ()
    assert found.explanation == "1.01 times the right gradient, everywhere"
    assert found.evidence.startswith("explains every wrong entry on 5 of 5 fresh cases")
    assert found.where.startswith("dW1, db1, dW2, db2 (everything); ")
    assert "; constant ratio 1.01; " in found.where
    assert "1.01" not in found.place
    assert {x for row in found.contributions or [] for x in row} == {1.01}
    assert (found.sentence, found.hint) == ("", "")


@pytest.mark.parametrize("place", [(1, 0), (-1, -1)])
def test_one_entry_that_is_off_has_no_name_but_a_place(place: tuple[int, int]) -> None:
    def wrong(*case: Any, **names: str) -> Parameters:
        (dW, db), *upper = manual_backprop.gradient(*case, **names)
        if len(dW) > place[0]:
            dW[place] *= 1.01
        return [(dW, db), *upper]

    found = diagnosed(wrong)
    assert found.mistakes == ()
    assert found.where == (
        f"dW1 (layer 1: weights); one entry alone, dW1[{place[0]}, {place[1]}]; constant ratio 1.01"
    )


@pytest.mark.parametrize("by", [1e-3, 1e-6, 1e-9])
def test_a_small_term_has_no_name(by: float) -> None:
    def wrong(*case: Any, **names: str) -> Parameters:
        return [(dW + by * dW**2, db) for dW, db in manual_backprop.gradient(*case, **names)]

    assert diagnosed(wrong).mistakes == ()


@pytest.mark.parametrize(
    ("problem", "choices", "told"),
    [
        ({}, {"loss": "half_sse"}, "this is the gradient of the loss half_sse, and PROBLEM says mse"),
        ({}, {"reduction": "sum"}, "this is the gradient of the sum, and PROBLEM says mean"),
        (
            {"reduction": "sum"},
            {"reduction": "mean"},
            "this is the gradient of the mean, and PROBLEM says sum",
        ),
        (
            {},
            {"hidden": "relu"},
            "this is the gradient of a network with relu in the hidden layers, and PROBLEM says tanh",
        ),
        (
            {"output": "softmax"},
            {"loss": "cross_entropy"},
            "this is the gradient of the loss cross_entropy, and PROBLEM says mse",
        ),
    ],
)
def test_the_right_gradient_of_another_problem_is_told(
    problem: dict[str, str], choices: dict[str, str], told: str
) -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        return manual_backprop.gradient(parameters, inputs, targets, **{**names, **choices})

    found = diagnosed(wrong, **problem)
    assert told in (found.note if found.mistakes else found.explanation)


def test_the_slope_of_another_activation_is_told() -> None:
    found = diagnosed(ByHand(slope=lambda z, h: h * (1 - h)))
    assert found.mistakes == ()
    assert found.explanation == "the slope of the hidden layers is h (1 − h), and PROBLEM says tanh"
    assert "5 of 5" in found.evidence


EVERYTHING: dict[str, Any] = {
    "hidden": ["tanh", "relu", "identity"],
    "output": ["identity", "sigmoid"],
    "loss": ["mse", "sse"],
    "reduction": ["mean", "sum"],
    "dtype": ["float64", "float32"],
    "bias": [True, False],
}


@pytest.mark.parametrize(
    ("choice", "value", "told"),
    [
        ("hidden", "tanh", "always and only where hidden is 'tanh'"),
        ("output", "identity", "always and only where output is 'identity'"),
        ("loss", "mse", "always and only where loss is 'mse'"),
        ("reduction", "mean", "always and only where reduction is 'mean'"),
        ("dtype", "float64", "always and only where dtype is 'float64'"),
        ("bias", "True", "always and only where bias is True"),
        ("", "", ""),
    ],
)
def test_the_choices_with_which_it_is_right_are_told(choice: str, value: str, told: str) -> None:
    def wrong(parameters: Parameters, inputs: Array, targets: Array, **names: str) -> Parameters:
        right = manual_backprop.gradient(parameters, inputs, targets, **names)
        has_bias = parameters[0][1] is not None
        if {**names, "dtype": str(inputs.dtype), "bias": str(has_bias), "": ""}[choice] != value:
            return right
        dtype = inputs.dtype.type
        return [(dtype(1.25) * dW + dtype(0.5) * dW**2, db) for dW, db in right]

    assert diagnosed(wrong, **EVERYTHING).note == told


def test_a_choice_that_is_wrong_once_is_not_told_to_be_right() -> None:
    calls = 0

    def wrong(*case: Any, **names: str) -> Parameters:
        nonlocal calls
        right = manual_backprop.gradient(*case, **names)
        calls += names["hidden"] == "relu"
        if names["hidden"] == "relu" and calls % 2:
            return right
        return [(1.25 * dW + 0.5 * dW**2, db) for dW, db in right]

    assert diagnosed(wrong, hidden=["tanh", "relu"]).note == ""


def test_a_term_that_nobody_wrote_is_no_penalty() -> None:
    def wrong(parameters: Parameters, *case: Any, **names: str) -> Parameters:
        right = manual_backprop.gradient(parameters, *case, **names)
        return [(dW + 2.0**-60 * W, db) for (W, _), (dW, db) in zip(parameters, right, strict=True)]

    claims = read({"layers": 1})
    case = case_for(claims)
    case.inputs[:, 0] = 0  # there dW is 0, and noise that is lost elsewhere shows
    found = diagnose(Wrong(wrong, claims), case)
    assert found.note == "always and only where an input is 0 in all samples"
    assert found.mistakes == ()
