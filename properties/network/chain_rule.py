"""The multivariable chain rule: every path counts, and a rule that drops some is wrong.

∂L/∂w = Σ_i Σ_j ∂L/∂o_ij · ∂o_ij/∂w, a sum over N samples and K outputs. The contribution of one cell
(i, j) comes from the reference; so does the gradient of the one-output rule, Σ_i over a single j.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from manual_backprop.mistakes import one_cell_only, one_output_only
from properties.cases import Case, Parameters
from properties.checks import check_gradient, check_range, combined, far_apart, same, zeros_like
from properties.comparison import Comparison, compare, equal, named
from properties.counterexamples import wrong_rule
from properties.search import Inconclusive, NotApplicable, Violation
from properties.strategies import cases
from properties.subjects import Bundled, Subject
from reference.exact import fractions_of
from reference.network import Choices

SMALL = ["well scaled", "square", "loud"]


def small_cases(subject: Subject) -> SearchStrategy[Case]:
    """Cases without wide layers, and without kinks on purpose."""
    return cases(subject.claims, regimes=SMALL)


def fractions(subject: Subject) -> SearchStrategy[list[Any]]:
    """Seven simple fractions."""
    del subject
    return st.lists(st.fractions(-4, 4, max_denominator=8), min_size=7, max_size=7)


@st.composite
def cells(draw: st.DrawFn, subject: Subject) -> tuple[Case, int, int]:
    """A case with one of its cells: (case, sample, output)."""
    case = draw(small_cases(subject))
    return case, draw(st.integers(0, case.samples - 1)), draw(st.integers(0, case.outputs - 1))


def _agree(gradient: Parameters, other: Parameters, case: Case) -> bool:
    """Whether rounding explains the difference of two sums over cells of one case, masked alike."""
    try:
        same(gradient, other, case, what="")
    except Violation:
        return False
    return True


def total_derivative_sums_every_path(subject: Subject, case: Case) -> Comparison:
    """The gradient is the sum of its N · K contributions, all of them with weight 1."""
    what = f"the sum of the {case.samples * case.outputs} contributions is not the gradient"
    return same(subject.gradient(case), case.kept(slice(None), slice(None)), case, what=what)


def total_derivative_of_two_outputs_is_exact(subject: Subject, numbers: list[Any]) -> None:
    """df/dt = ∂f/∂x dx/dt + ∂f/∂y dy/dt for f = ½(x - p)² + ½(y - q)², x = a(t + c), y = b(t + c).

    A network with one hidden unit t·1 + c and two outputs, in fractions; the derivative by the formula.
    """
    if not subject.rational:
        raise NotApplicable("it does not compute with fractions")
    t, a, b, c, p, q, _ = numbers
    parameters: Parameters = [
        (fractions_of([[t]]), fractions_of([c])),
        (fractions_of([[a, b]]), fractions_of([0, 0])),
    ]
    names: Choices = {"hidden": "identity", "output": "identity", "loss": "half_sse", "reduction": "mean"}
    case = Case(parameters, fractions_of([[1]]), fractions_of([[p, q]]), **names)
    x, y = a * (t + c), b * (t + c)
    if subject.gradient(case)[0][0][0, 0] != (x - p) * a + (y - q) * b:
        raise Violation("df/dt is not ∂f/∂x dx/dt + ∂f/∂y dy/dt")


def dropping_cross_output_terms_is_wrong(subject: Subject, example: tuple[Case, int, int]) -> None:
    """∂L/∂w = ∂L/∂o_j · ∂o_j/∂w for one j alone: right for K = 1, and otherwise wrong.

    It misses what the other outputs contribute, all of it, and nothing else. Where the output is
    elementwise it is exact for the weights and the bias that feed o_j and 0 for those that feed another.
    """
    case, _, j = example
    check_range(case)
    truth, one_output = case.oracle.gradient, case.kept(slice(None), [j])
    if isinstance(subject, Bundled) and not _agree(wrong_rule(case, one_output_only(j)), one_output, case):
        raise Violation(f"the rule of output {j} is not the sum of its cells")
    if case.outputs == 1:
        check_gradient(one_output, case)
        return
    if case.output != "softmax":
        _check_last_layer(one_output, case, j)
    if not far_apart(truth, one_output, case):
        raise Inconclusive("no other output contributes")
    if not far_apart(subject.gradient(case), one_output, case):
        raise Violation(f"this is the gradient along output {j + 1} alone, of {case.outputs} outputs")


def _check_last_layer(one_output: Parameters, case: Case, j: int) -> None:
    """Column j of the last layer is the whole gradient's, and the others are 0 exactly."""
    feeding = {name: array[..., j] for name, array in named(one_output[-1:]).items()}
    right, error, opened = (
        {name: array[..., j] for name, array in named(arrays[-1:]).items()}
        for arrays in (case.oracle.gradient, case.oracle.error, case.oracle.open)
    )
    if not compare(feeding, right, error, opened).holds:
        raise Violation(f"the one-output rule is not exact for the weights that feed output {j}")
    others = {name: np.delete(array, j, axis=-1) for name, array in named(one_output[-1:]).items()}
    if not equal(others, {name: 0 * array for name, array in others.items()}):
        raise Violation(f"the one-output rule is not 0 for the weights that feed another output than {j}")


def one_output_keeps_one_path_of_k_for_hidden_layers(
    subject: Subject, example: tuple[Case, int, int]
) -> None:
    """What one output misses below the last layer is the sum over the K - 1 others, path by path."""
    case, _, j = example
    del subject
    check_range(case)
    others = [k for k in range(case.outputs) if k != j]
    paths = [case.kept(slice(None), [k]) for k in others]
    rest = combined(paths, [1] * len(paths)) if paths else zeros_like(case.oracle.gradient)
    missing = combined([case.oracle.gradient, case.kept(slice(None), [j])], [1, -1])
    if not _agree(missing, rest, case):
        raise Violation("what the one-output rule misses is not the other outputs' paths")


def dropping_cross_sample_terms_is_wrong(subject: Subject, example: tuple[Case, int, int]) -> None:
    """∂L/∂w = ∂L/∂o_ij · ∂o_ij/∂w for one cell alone: right for N = K = 1, and otherwise wrong."""
    case, i, j = example
    check_range(case)
    one_cell = case.kept(i, j)
    if isinstance(subject, Bundled) and not _agree(wrong_rule(case, one_cell_only(i, j)), one_cell, case):
        raise Violation(f"the rule of cell ({i}, {j}) is not its contribution")
    if case.samples == case.outputs == 1:
        check_gradient(one_cell, case)
        return
    if not far_apart(case.oracle.gradient, one_cell, case):
        raise Inconclusive("no other cell contributes")
    if not far_apart(subject.gradient(case), one_cell, case):
        cells = case.samples * case.outputs
        raise Violation(f"this is the contribution of sample {i + 1}, output {j + 1} alone, of {cells} cells")


@st.composite
def pairs_of_outputs(draw: st.DrawFn, subject: Subject) -> tuple[Case, int, int]:
    """A case with two or more outputs and a squared loss, an output j and another one."""
    claims = [
        replace(claim, loss=losses, outputs=sizes)
        for claim in subject.claims
        if (losses := tuple(loss for loss in claim.loss if loss.endswith("se")))
        and (sizes := tuple(k for k in claim.outputs or (2, 3, 5) if k > 1))
    ]
    if not claims:
        raise NotApplicable("it does not claim a squared loss with several outputs")
    case = draw(cases(claims, regimes=SMALL))
    j = draw(st.integers(0, case.outputs - 1))
    return case, j, (j + draw(st.integers(1, case.outputs - 1))) % case.outputs


def single_term_rule_is_exact_where_cross_derivatives_vanish(
    subject: Subject, example: tuple[Case, int, int]
) -> None:
    """∂E/∂w_kj = ∂E/∂y_j · ∂y_j/∂x_j · ∂x_j/∂w_kj (Makin 2006, eq. 10), for the unit j that w_kj feeds.

    Exact for an elementwise output, where ∂y_i/∂x_j = 0 for i ≠ j; with another unit's term it is 0;
    and wrong for softmax, where the off-diagonal derivatives are not 0.
    """
    case, j, other = example
    check_range(case)
    right = _column(subject.gradient(case), j)
    error, opened = _column(case.oracle.error, j), _column(case.oracle.open, j)
    makin, elsewhere = (_column(case.kept(slice(None), [unit]), j) for unit in (j, other))
    if case.output != "softmax":
        if not compare(right, makin, error, opened).holds:
            raise Violation(f"the single term of unit {j} is not the gradient of the weights that feed it")
        if any(array.any() for array in elsewhere.values()):
            raise Violation(f"unit {other} answers to a weight that feeds unit {j}")
        return
    far = {name: 1000 * array for name, array in error.items()}
    if compare(_column(case.oracle.gradient, j), makin, far, opened).holds:
        raise Inconclusive("no other output of the softmax contributes")
    if compare(right, makin, far, opened).holds:
        raise Violation("this is softmax by its diagonal alone: the other outputs move as well")


def _column(parameters: Parameters, j: int) -> dict[str, Any]:
    """What feeds unit j of the last layer: a column of its dW, an entry of its db."""
    return {name: array[..., j] for name, array in named(parameters[-1:]).items()}
