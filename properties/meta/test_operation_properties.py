"""Each property of an operation holds of a right one and is broken by a wrong one; so is what is said beside it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from properties.declaration import Call, Counterpart, Declaration, Function
from properties.diagnosis.trials import named_factor
from properties.functions import Signature
from properties.layer_cases import smallest
from properties.operation import PROPERTIES, checks
from properties.operation.cases import EDGES, REGULAR, NoCaseError, OperationCase, Seeded, cases, make
from properties.operation.explanations import OperationExplanations
from properties.operation.judge import Judge
from properties.operation.notes import notes
from properties.operation.programs import NoProgramError
from properties.operation.right import Right, compared_outputs, off
from properties.search import (
    Effort,
    Inconclusive,
    NotApplicable,
    Property,
    Record,
    Verdict,
    Violation,
    Weakness,
    searched,
)
from reference.arithmetic.bounded import Enclosed
from reference.operations.operation import Input
from reference.operations.operation import inputs as by_name

pytestmark = pytest.mark.filterwarnings(
    "ignore::RuntimeWarning"
)  # of arithmetic on wrong numbers, as in `verify`

Arrays = Mapping[str, Any]
Backward = Callable[[Any, Any], Any]

EFFORT = Effort(cases=30, seed=1, shrinking=60)
TAKES_ANYTHING = Signature((), 0, frozenset(), frozenset(), any_positional=True, any_keyword=True)


def role(name: str) -> Call:
    """A function of that name."""
    return Call(Function((name,), TAKES_ANYTHING))


@dataclass(frozen=True)
class Manners:
    """What a call did besides returning."""

    mutated: tuple[str, ...] = ()
    reused: tuple[str, ...] = ()
    overwritten: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass
class Pass:
    """A call that has been made."""

    outputs: tuple[Any, ...] = ()
    cache: Any = None
    inputs: Arrays = field(default_factory=dict[str, Any])
    gradients: dict[str, Any] = field(default_factory=dict[str, Any])
    manners: Manners = field(default_factory=Manners)
    cotangents: tuple[Any, ...] = ()


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "C": np.array,
    "F": np.asfortranarray,
    "strided": lambda array: np.repeat(array, 2, axis=-1)[..., ::2] if np.ndim(array) else np.array(array),
}


class InProcess:
    """An operation in this process: forward (*inputs, **options) to (y, cache), backward (dy, cache) to gradients.

    `more` are functions by role (`hessian`, `hvp`, `stand_in`).
    """

    name = "mine"

    def __init__(
        self,
        axes: Mapping[str, str | Input],
        forward: Callable[..., Any],
        backward: Backward,
        known: str = "",
        more: Mapping[str, Callable[..., Any]] | None = None,
        **declared: Any,
    ) -> None:
        """The functions, with the name of the operation that the forward pass is said to be."""
        self._forward, self._backward, self._more = forward, backward, dict(more or {})
        self.declaration = Declaration(
            "mine",
            by_name(**axes),
            "backward",
            {name: role(name) for name in ("forward", "backward", *self._more)},
            counterpart=Counterpart(known, said=True) if known else None,
            **declared,
        )

    def valid(self, sizes: Any, options: Any) -> bool:
        """As declared."""
        return self.declaration.valid is None or self.declaration.valid(sizes, options)

    def draw(self, name: str, seed: int, shape: Sequence[int], sizes: Any) -> Any:
        """By a function of the file."""
        del sizes
        return np.random.default_rng(seed).uniform(1, 2, shape) if name else np.zeros(shape)

    def forward(self, inputs: Arrays, options: Any = None, *, layout: str = "C", seed: int = 0) -> Pass:
        """One or several outputs."""
        del seed
        arrays = {name: LAYOUTS[layout](array) for name, array in inputs.items()}
        with np.errstate(all="ignore"):
            y, cache = self._forward(*arrays.values(), **(options or {}))
        outputs = tuple(map(np.asarray, y)) if isinstance(y, tuple) else (np.asarray(y),)
        return Pass(outputs, cache, arrays, manners=self._manners(arrays, inputs))

    def forwards(self, places: Sequence[Arrays], options: Any = None) -> Iterator[Any]:
        """Or, where there are none, why."""
        for place in places:
            try:
                yield self.forward(place, options).outputs
            except (ArithmeticError, ValueError, TypeError) as error:
                yield Violation(str(error))

    def backward(self, forward: Pass, cotangents: Any = None, *, layout: str = "C") -> Pass:
        """Without cotangents those of the last time, as they are."""
        if cotangents is not None:
            forward.cotangents = tuple(LAYOUTS[layout](dy) for dy in cotangents)
        before = {name: np.array(array) for name, array in forward.inputs.items()}
        dy, *others = forward.cotangents
        dy = (dy, *others) if others else dy
        with np.errstate(all="ignore"):
            found = self._backward(dy, forward.cache)
        found = found if isinstance(found, tuple) else (found,)
        gradients = dict(zip(self.declaration.differentiable, map(np.asarray, found), strict=True))
        return Pass(gradients=gradients, manners=self._manners(forward.inputs, before))

    @staticmethod
    def _manners(after: Arrays, before: Arrays) -> Manners:
        return Manners(tuple(name for name in after if not np.array_equal(after[name], before[name])))

    def hessian(self, inputs: Arrays, options: Any = None) -> Any:
        """By pairs of names."""
        del options
        return self._more["hessian"](*inputs.values())

    def hvp(self, inputs: Arrays, tangents: Arrays, options: Any = None) -> dict[str, Any]:
        """By names."""
        del options
        return self._more["hvp"](inputs, tangents)

    def renew(self) -> None:
        """There is one process."""

    def program(self, shapes: Any, options: Any, reference: str = "", symbols: Any = ()) -> Any:
        """There is none."""
        raise NoProgramError(reference or str((shapes, options, symbols)))

    def stand_in(self, inputs: Arrays, options: Any = None) -> tuple[Any, ...]:
        """Of which the derivative is meant to be."""
        del options
        return (self._more["stand_in"](*inputs.values()),)


def tanh(x: Any) -> Any:
    return np.tanh(x), np.tanh(x)


def d_tanh(dy: Any, y: Any) -> Any:
    return dy * (1 - y * y)


def scale(x: Any, gain: Any) -> Any:
    return x * gain, (x, gain)


def d_scale(dy: Any, cache: Any) -> Any:
    x, gain = cache
    return dy * gain, (dy * x).sum(axis=0)


def d_scale_in_place(dy: Any, cache: Any) -> Any:
    x, gain = cache
    dgain = (dy * x).sum(axis=0)
    dy *= gain
    return dy, dgain


def in_place(x: Any) -> Any:
    np.tanh(x, out=x)
    return x, x


def with_a_count(backward: Callable[..., Any]) -> Callable[..., Any]:
    """It multiplies by how often it was called."""
    count = 0

    def counted(dy: Any, cache: Any) -> Any:
        nonlocal count
        count += 1
        return backward(dy, cache) * count

    return counted


def bowl(x: Any) -> Any:
    """Σ x_i² x_{i+1} / 2, with x_n for the last x_{i+1}."""
    return np.sum(x**2 * np.append(x[1:], x[-1:])) / 2, x


def d_bowl(dy: Any, x: Any) -> Any:
    return dy * (
        x * np.append(x[1:], x[-1:])
        + np.append(0, x[:-1] ** 2) / 2
        + (np.arange(len(x)) == len(x) - 1) * x**2 / 2
    )


def h_bowl(x: Any) -> Any:
    n = len(x)
    H = np.diag(np.append(x[1:], 0)) + np.diag(x[:-1], 1) + np.diag(x[:-1], -1)
    H[n - 1, n - 1] = 3 * x[-1]
    return H


def whole_hessian(x: Any) -> Any:
    return {("x", "x"): h_bowl(x)}


X = {"x": "n d"}
SCALE = {"x": "n d", "gain": "d"}
TANH = InProcess(X, tanh, d_tanh, "tanh")
BOWL = InProcess({"x": "d"}, bowl, d_bowl, more={"hessian": whole_hessian})


def wrong_tanh(backward: Backward, forward: Callable[..., Any] = tanh) -> InProcess:
    """A tanh of which something is wrong."""
    return InProcess(X, forward, backward, "tanh")


def from_inputs(x: Any) -> Any:
    """What backward gets is x."""
    return np.tanh(x), x


def less(x: Any) -> Any:
    return 0.9 * np.tanh(x), np.tanh(x)


def as_it_lies(x: Any) -> Any:
    return np.tanh(x), np.tanh(x).ravel(order="K")


def half_a_hessian(x: Any) -> Any:
    return {("x", "x"): np.triu(h_bowl(x))}


WRONG: dict[str, tuple[InProcess, InProcess, str]] = {
    "result_meets_the_contract": (
        TANH,
        wrong_tanh(lambda dy, y: dy * np.nan + y),
        "dx has NaN in 1 of 1 entries",
    ),
    "same_call_gives_the_same_answer": (TANH, wrong_tanh(with_a_count(d_tanh)), "is kept between calls"),
    "gradient_equals_the_derivative": (TANH, wrong_tanh(lambda dy, y: dy * np.sign(1.5 - y)), "dx[0, 0] is "),
    "gradient_is_right_at_the_edges": (
        TANH,
        wrong_tanh(lambda dy, x: dy * np.exp(-2 * x) * 4 / (1 + np.exp(-2 * x)) ** 2, from_inputs),
        "dx has NaN in ",
    ),
    "gradient_is_right_in_single_precision": (
        TANH,
        wrong_tanh(lambda dy, y: d_tanh(dy, y) * (1 + 1e-4 * (y.dtype == np.float32))),
        "dx[0, 0] is ",
    ),
    "value_equals_the_reference": (
        TANH,
        wrong_tanh(lambda dy, y: 0.9 * d_tanh(dy, y), less),
        "forward differs from tanh, its REFERENCE: y[0, 0] is ",
    ),
    "scaling_the_cotangent_scales_the_gradient": (
        TANH,
        wrong_tanh(lambda dy, y: dy * 0 + 1 - y * y),
        "dx is not 0 where the cotangent dy is 0",
    ),
    "second_backward_gives_the_same": (
        InProcess(SCALE, scale, d_scale),
        InProcess(SCALE, scale, d_scale_in_place),
        "a second backward pass with the same dy and cache gives a different dx",
    ),
    "forward_leaves_its_inputs_alone": (
        TANH,
        wrong_tanh(d_tanh, in_place),
        "forward changes its input x in place",
    ),
    "memory_layout_does_not_matter": (
        TANH,
        wrong_tanh(lambda dy, y: d_tanh(dy, y.reshape(dy.shape)), as_it_lies),
        "Fortran's order matters",
    ),
    "gradient_of_a_batch_is_that_of_its_samples": (
        InProcess(SCALE, scale, d_scale),
        InProcess(SCALE, scale, lambda dy, cache: (dy * cache[1], (dy * cache[0]).mean(axis=0))),
        "(1) is not (2): dgain[0] is ",
    ),
    "order_of_samples_does_not_matter": (
        InProcess(SCALE, scale, d_scale),
        InProcess(SCALE, scale, lambda dy, cache: (dy * cache[1], dy[0] * cache[0][0])),
        "the order of the samples matters: dgain[0] is ",
    ),
    "doubled_batch_has_the_gradient_of_its_halves": (
        InProcess({"x": "n d"}, lambda x: ((x**2).mean(), x), lambda dy, x: dy * 2 * x / x.size),
        InProcess({"x": "n d"}, lambda x: ((x**2).mean(), x), lambda dy, x: dy * 2 * x / x.shape[1]),
        "every sample twice: dx[",
    ),
    "second_derivative_is_that_of_the_gradient": (
        BOWL,
        InProcess({"x": "d"}, bowl, d_bowl, more={"hessian": half_a_hessian}),
        "hessian[1, 0] is 0",
    ),
}


def outcome(one: Property[Judge], subject: InProcess) -> Record:
    """What a search finds."""
    return searched(one, Judge(subject), EFFORT)


@pytest.mark.parametrize("one", PROPERTIES, ids=lambda one: one.name)
def test_a_property_holds_of_a_right_operation_and_is_broken_by_a_wrong_one(one: Property[Judge]) -> None:
    right, wrong, shown = WRONG[one.name]
    assert (record := outcome(one, right)).verdict is Verdict.PASS, record.message
    found = outcome(one, wrong)
    assert found.verdict is Verdict.FAIL
    assert shown in found.message


def test_a_mask_of_each_shape_is_none_of_single_samples_though_a_zero_hides_it() -> None:
    def dropped(x: Any) -> Any:
        mask = np.random.default_rng(len(x)).random(x.shape) < 0.5
        return x * mask, mask

    subject = InProcess(X, dropped, lambda dy, mask: dy * mask)
    for one in PROPERTIES:
        if one.check.__module__.endswith("batches"):
            assert outcome(one, subject).verdict is not Verdict.FAIL


def verdict_on(subject: InProcess) -> tuple[Verdict, str]:
    """Of its gradient alone."""
    found = outcome(PROPERTIES[2], subject)
    return found.verdict, found.message


def test_the_third_property_is_that_of_the_gradient() -> None:
    assert PROPERTIES[2].check is checks.gradient_equals_the_derivative


# --- Ties ---------------------------------------------------------------------------------------------------


def rows(x: Any) -> Any:
    return x.max(axis=-1), x


def largest(x: Any) -> Any:
    return x == x.max(axis=-1, keepdims=True)


def share_evenly(dy: Any, x: Any) -> Any:
    return dy[:, None] * largest(x) / largest(x).sum(axis=-1, keepdims=True)


def first_takes_all(dy: Any, x: Any) -> Any:
    return dy[:, None] * (np.arange(x.shape[1]) == x.argmax(axis=1)[:, None])


def each_takes_all(dy: Any, x: Any) -> Any:
    return dy[:, None] * largest(x)


TIED = {"x": Input("n d", "ties")}


@pytest.mark.parametrize("known", ["", "max"])
def test_any_split_of_a_tie_is_right_and_all_for_each_is_not(known: str) -> None:
    for right in (share_evenly, first_takes_all):
        assert verdict_on(InProcess(TIED, rows, right, known)) == (Verdict.PASS, "")
    verdict, told = verdict_on(InProcess(TIED, rows, each_takes_all, known))
    assert verdict is Verdict.FAIL
    assert "x[0, 0] and x[0, 1] tie, dx[0, 0] + dx[0, 1] is 2, and should be 1" in told


def test_two_inputs_that_tie_do_not_both_get_the_whole_gradient() -> None:
    axes = {"a": Input("d", "ties"), "b": Input("d", "ties")}

    def forward(a: Any, b: Any) -> Any:
        return np.minimum(a, b), (a, b)

    def takes(other: Callable[[Any, Any], Any]) -> InProcess:
        return InProcess(axes, forward, lambda dy, ab: (dy * (ab[0] <= ab[1]), dy * other(ab[1], ab[0])))

    assert verdict_on(takes(np.less)) == (Verdict.PASS, "")
    verdict, told = verdict_on(takes(np.less_equal))
    assert verdict is Verdict.FAIL
    assert "a[0] and b[0] tie, da[0] + db[0] is 2, and should be 1" in told


def relu_of_a_line(w: Any, b: Any) -> Any:
    return np.maximum(b - 2 * w, 0), (w, b)


def distance(w: Any, b: Any) -> Any:
    return abs(w - b), (w, b)


KINKS: dict[str, tuple[Callable[..., Any], Backward]] = {
    "a threshold": (relu_of_a_line, lambda dy, wb: (-dy * (wb[1] > 2 * wb[0]), dy * (wb[1] > 2 * wb[0]))),
    "a distance": (distance, lambda dy, wb: (dy * np.sign(wb[0] - wb[1]), dy * np.sign(wb[0] - wb[1]))),
}


@pytest.mark.parametrize("name", KINKS)
def test_only_where_one_of_equal_numbers_is_taken_is_it_told_that_their_shares_add_up(name: str) -> None:
    forward, backward = KINKS[name]
    judge = Judge(InProcess({"w": Input("", "ties"), "b": Input("", "ties")}, forward, backward))
    at_the_kink = {"w": np.array(0.5), "b": np.array(1.0 if name == "a threshold" else 0.5)}
    case = OperationCase(at_the_kink, {}, {}, np.zeros(16, int), differentiable=("w", "b"))
    lines = judge.right(case).lines
    assert lines is not None
    off = {"w": np.array(0.75), "b": np.array(0.5)}
    told = lines.contradicted(off, judge.right(case).gradients)
    assert told.endswith("should be 0.")
    assert "tie" not in told


# --- Labels -----------------------------------------------------------------------------------------------------

LABELLED = {"x": "n k", "labels": Input("n", "labels", below="k", ignore=-100)}


def cross_entropy(x: Any, labels: Any) -> Any:
    """The mean over the samples that have a label."""
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    counted = np.flatnonzero(labels >= 0)
    loss = -np.log(p[counted, labels[counted]]).sum() / max(1, len(counted))
    return loss, (p, labels, counted)


def d_cross_entropy(dy: Any, cache: Any) -> Any:
    p, labels, counted = cache
    dx = np.zeros_like(p)
    dx[counted] = p[counted]
    dx[counted, labels[counted]] -= 1
    return dy * dx / max(1, len(counted))


def counts_the_ignored(dy: Any, cache: Any) -> Any:
    p, labels, counted = cache
    return d_cross_entropy(dy, (p, labels, counted)) * max(1, len(counted)) / len(p)


def moves_the_ignored(dy: Any, cache: Any) -> Any:
    p, labels, counted = cache
    dx = np.array(p)
    dx[counted, labels[counted]] -= 1
    return dy * dx / max(1, len(counted))


def test_labels_that_are_ignored_have_no_gradient_and_no_share_of_the_mean() -> None:
    assert verdict_on(InProcess(LABELLED, cross_entropy, d_cross_entropy)) == (Verdict.PASS, "")
    for wrong in (counts_the_ignored, moves_the_ignored):
        assert verdict_on(InProcess(LABELLED, cross_entropy, wrong))[0] is Verdict.FAIL


def rows_of(labels: Any, W: Any) -> Any:
    return W[labels], (labels, W)


def adds_up(dy: Any, cache: Any) -> Any:
    labels, W = cache
    dW = np.zeros_like(W)
    np.add.at(dW, labels, dy)
    return dW


def overwrites(dy: Any, cache: Any) -> Any:
    labels, W = cache
    dW = np.zeros_like(W)
    dW[labels] += dy
    return dW


def misses_neighbours(dy: Any, cache: Any) -> Any:
    """A label that follows the same label is taken for the one before."""
    labels, W = cache
    fresh = np.append(True, labels[1:] != labels[:-1])
    return adds_up(dy[fresh], (labels[fresh], W))


def test_labels_that_repeat_show_what_a_scatter_overwrites() -> None:
    axes = {"labels": Input("t", "labels", below="v"), "W": "v d"}
    assert verdict_on(InProcess(axes, rows_of, adds_up)) == (Verdict.PASS, "")
    for wrong in (overwrites, misses_neighbours):
        assert verdict_on(InProcess(axes, rows_of, wrong))[0] is Verdict.FAIL


# --- What is known, what is measured, and what a verdict says -----------------------------------------------


def test_a_verdict_says_what_it_could_have_seen_and_how() -> None:
    for known, how in (("tanh", False), ("", True)):
        judge = Judge(InProcess(X, tanh, d_tanh, known))
        assert searched(PROPERTIES[2], judge, EFFORT).verdict is Verdict.PASS
        said = " ".join(notes(judge, passes=True))
        assert ("Measured by differences of your own forward pass" in said) == how
        assert f"An error of {np.median(judge.seen):.0e} in a typical entry would have failed" in said
        assert np.median(judge.seen) < 1e-10
        assert ("digits could be seen" in said) == how
        assert "would have failed" not in " ".join(notes(judge, passes=False))


def test_of_numbers_that_are_only_moved_any_error_would_have_failed() -> None:
    judge = Judge(InProcess(X, lambda x: (np.array(x), None), lambda dy, _: np.array(dy), "identity"))
    assert searched(PROPERTIES[2], judge, EFFORT).verdict is Verdict.PASS
    assert "Any error in a typical entry would have failed." in notes(judge, passes=True)


def test_an_error_a_little_above_the_stated_one_fails() -> None:
    judge = Judge(TANH)
    searched(PROPERTIES[2], judge, EFFORT)
    error = 10 * float(np.median(judge.seen))
    wrong = InProcess(X, tanh, lambda dy, y: d_tanh(dy, y) * (1 + error), "tanh")
    assert verdict_on(wrong)[0] is Verdict.FAIL


def clipped(x: Any) -> Any:
    return np.clip(np.tanh(x), -0.9, 0.9), np.tanh(x)


def test_a_forward_pass_that_leaves_its_reference_in_some_cases_is_measured_there() -> None:
    def backward(dy: Any, y: Any) -> Any:
        return np.where(abs(y) < 0.9, d_tanh(dy, y), 0)

    subject = InProcess(X, clipped, backward, "tanh")
    near = OperationCase({"x": np.array([[0.5, -0.25]])}, {}, {}, np.zeros(16, int), differentiable=("x",))
    far = replace(near, inputs={"x": np.array([[0.5, -3.0]])})
    judge = Judge(subject)
    vars(judge)["reading"] = Judge(TANH).reading
    assert [judge.right(one).lines is None for one in (near, far)] == [True, False]
    for one in (near, far):
        judge.check(one)


def test_a_derivative_of_what_the_file_is_named_after_and_not_of_the_forward_pass_is_told_so() -> None:
    subject = InProcess(X, less, d_tanh)
    subject.declaration = replace(subject.declaration, counterpart=Counterpart("tanh"))
    judge = Judge(subject)
    record = searched(PROPERTIES[2], judge, EFFORT)
    assert record.verdict is Verdict.FAIL
    assert record.example is not None
    found = OperationExplanations().diagnosis(judge, record.example)
    assert "the derivative is that of tanh, and forward is a different function" in found.note


def centred(x: Any) -> Any:
    return x - x.mean(axis=0), x


def test_what_depends_on_each_other_along_an_axis_is_told_so_unless_the_operation_is_known_to() -> None:
    mixing = Judge(InProcess(X, centred, lambda dy, x: dy - dy.mean(axis=0)))
    (told,) = notes(mixing, passes=False)
    assert re.fullmatch(r"What lies along n depends on each other: y\[0\] changes with x\[\d\]\.", told)
    assert notes(Judge(TANH), passes=False) == []
    units = Judge(InProcess({"x": "k d"}, centred, lambda dy, x: dy - dy.mean(axis=0)))
    assert notes(units, passes=False) == []


def test_a_random_forward_pass_is_told_so() -> None:
    rng = np.random.default_rng(0)

    def dropped(x: Any) -> Any:
        mask = rng.random(x.shape) < 0.5
        return x * mask, mask

    subject = InProcess(X, dropped, lambda dy, mask: dy * mask)
    found = outcome(PROPERTIES[1], subject)
    assert found.verdict is Verdict.FAIL
    assert found.message.startswith("The same call gives different answers. forward gives different outputs")
    assert verdict_on(subject)[0] is Verdict.INCONCLUSIVE


def test_a_condition_that_all_wrong_cases_share_is_told() -> None:
    def summed(x: Any, *, reduction: str) -> Any:
        return getattr(x, reduction)(axis=-1), (x, reduction)

    def backward(dy: Any, cache: Any) -> Any:
        x, _ = cache
        return np.repeat(dy[:, None], x.shape[1], axis=1)  # right for a sum, and for the mean of one

    judge = Judge(
        InProcess({"x": "n d"}, summed, backward, options={"reduction": ("mean", "sum")}, sizes={"d": (2, 3)})
    )
    record = searched(PROPERTIES[2], judge, EFFORT)
    assert record.example is not None
    where = OperationExplanations().diagnosis(judge, record.example).where
    assert where.endswith("; always and only where reduction is 'mean'")


# --- Nearly right -------------------------------------------------------------------------------------------


def gelu(x: Any, root: float = 0.7978845608028654) -> Any:
    t = np.tanh(root * (x + 0.044715 * x**3))
    return 0.5 * x * (1 + t), (x, t)


def d_gelu(root: float) -> Callable[..., Any]:
    def backward(dy: Any, cache: Any) -> Any:
        x, t = cache
        return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * root * (1 + 3 * 0.044715 * x**2))

    return backward


@pytest.mark.parametrize(
    ("known", "root", "digits"),
    [("gelu_tanh", 0.79788456, 9), ("gelu_tanh", 0.797885, 6), ("", 0.79788456, 9)],
)
def test_what_single_precision_would_hide_is_nearly_right(known: str, root: float, digits: int) -> None:
    judge = Judge(InProcess(X, gelu, d_gelu(root), known))
    record = searched(PROPERTIES[2], judge, EFFORT)
    assert record.verdict is Verdict.FAIL
    assert record.example is not None
    explained = OperationExplanations().without_guard(judge, record.example)
    assert explained is not None
    loose, sentence = explained
    assert sentence.startswith((f"right to {digits} digits", f"right to {digits + 1} digits"))
    assert searched(PROPERTIES[2], loose, EFFORT).verdict is Verdict.PASS


@pytest.mark.parametrize("known", ["gelu_tanh", ""])
def test_what_single_precision_would_show_is_wrong(known: str) -> None:
    judge = Judge(InProcess(X, gelu, d_gelu(0.797), known))
    record = searched(PROPERTIES[2], judge, EFFORT)
    assert record.example is not None
    assert OperationExplanations().without_guard(judge, record.example) is None


def at(x: float) -> OperationCase:
    """A case of one number."""
    return OperationCase(
        {"x": np.array([[x]])},
        {},
        {"n": 1, "d": 1},
        np.zeros(16, int),
        regime="extreme",
        differentiable=("x",),
    )


def overflows(dy: Any, x: Any) -> Any:
    return dy * np.exp(2 * x) * 4 / (1 + np.exp(2 * x)) ** 2


def loses_digits(dy: Any, x: Any) -> Any:
    return dy * ((x + 1) ** 2 - x**2 - 1)


def off_by_a_ratio(dy: Any, x: Any) -> Any:
    return dy * (1 - np.tanh(x) ** 2) * np.where(abs(x) > 3, 1.5, 1)


def off_by_a_term(dy: Any, x: Any) -> Any:
    return dy * (1 - np.tanh(x) ** 2) + (abs(x) > 3) * 0.25


EDGES_OF: dict[str, tuple[Backward, float, str]] = {
    "NaN": (overflows, 400.0, "NaN in dx where |x| is about 4e+02"),
    "a ratio": (off_by_a_ratio, 4.0, ""),
    "a term": (off_by_a_term, 4.0, ""),
}


@pytest.mark.parametrize("name", EDGES_OF)
def test_weak_numbers_at_the_edges_are_told_from_wrong_ones(name: str) -> None:
    backward, x, regime = EDGES_OF[name]
    judge = Judge(wrong_tanh(backward, from_inputs))
    with pytest.raises(Violation):
        checks.gradient_is_right_at_the_edges(judge, at(x))
    assert OperationExplanations().regime(judge, at(x)) == regime


def test_a_formula_that_cancels_where_numbers_are_large_loses_digits() -> None:
    judge = Judge(InProcess(X, square, loses_digits, "square"))
    large = at(1e8 + 0.3)
    with pytest.raises(Violation):
        checks.gradient_is_right_at_the_edges(judge, large)
    assert OperationExplanations().regime(judge, large) == "digits are lost where |x| is about 1e+08"
    assert checks.gradient_is_right_at_the_edges(judge, at(0.5)) is not None


def in_steps(dy: Any, x: Any) -> Any:
    """Until it is near enough, which for a large dy takes more steps."""
    found, term = np.zeros_like(dy), dy.copy()
    while (abs(term) > 1e-13).any():
        found, term = found + term, term / 3
    return found * 4 / 3 * x


def not_quite_linear(dy: Any, x: Any) -> Any:
    return 2 * x * (dy + 1e-11 * dy**2)


def test_a_gradient_that_takes_more_steps_for_a_larger_cotangent_scales_but_for_rounding() -> None:
    for backward, verdict in ((in_steps, Verdict.PASS), (not_quite_linear, Verdict.FAIL)):
        judge = Judge(InProcess(X, square, backward))
        (scaling,) = (one for one in PROPERTIES if one.name.startswith("scaling"))
        assert searched(scaling, judge, EFFORT).verdict is verdict


def test_two_inputs_that_are_drawn_by_functions_have_different_numbers() -> None:
    axes = {name: Input("n", lambda rng, shape, sizes: rng.normal(size=shape)) for name in "ab"}
    judge = Judge(InProcess(axes, lambda a, b: (a * b, (a, b)), lambda dy, ab: (dy * ab[1], dy * ab[0])))
    zeros = type("Zeros", (Seeded,), {"numbers": lambda _: lambda count: np.zeros(count, int)})
    case = make(zeros(np.random.default_rng(0)), judge, ("plain",))
    assert not np.array_equal(case.inputs["a"], case.inputs["b"])


def test_values_that_are_not_finite_do_not_say_that_samples_mix() -> None:
    def forward(x: Any) -> Any:
        return np.log(np.maximum(x, 0)).sum(), x

    judge = Judge(InProcess({"x": "n"}, forward, lambda dy, x: dy / x))
    (whole,) = (one for one in PROPERTIES if one.name == "gradient_of_a_batch_is_that_of_its_samples")
    record = searched(whole, judge, EFFORT)
    assert record.verdict is not Verdict.NOT_APPLICABLE
    assert "the values are not finite" in record.reasons


def square(x: Any) -> Any:
    return x**2, x


def slightly_off(dy: Any, x: Any) -> Any:
    return dy * 2 * x * (1 + 1e-4)


def off_by_more_than_is_lost(dy: Any, x: Any) -> Any:
    return loses_digits(dy, x) + dy * 10 * x


@pytest.mark.parametrize(
    ("backward", "told"),
    [
        (loses_digits, "digits are lost where |x| is about 1e+08"),
        (slightly_off, ""),
        (off_by_more_than_is_lost, ""),
    ],
)
def test_numbers_that_are_nothing_but_rounding_are_told_from_wrong_ones(
    backward: Backward, told: str
) -> None:
    judge, large = Judge(InProcess(X, square, backward, "square")), at(1e8 + 0.3)
    with pytest.raises(Violation):
        judge.check(large)
    assert OperationExplanations().noise(judge, large) == told
    with pytest.raises(Violation):  # what is said of a case is not what another one changed
        judge.check(large)


def test_what_lines_alone_show_to_be_wrong_is_never_taken_for_rounding() -> None:
    judge = Judge(InProcess(X, twice_tanh, lambda dy, x: dy * 2 * (1 - np.tanh(x) ** 2) * 1.01))
    rng = np.random.default_rng(0)
    case = replace(at(0.0), inputs={"x": rng.standard_normal((4, 100))}, sizes={"n": 4, "d": 100})
    with pytest.raises(Violation):
        judge.check(case)
    assert not off(judge.run(case)[2]["x"], judge.right(case).gradients["x"]).any()  # of no entry is it known
    assert not judge.is_staircase(case, judge.run(case)[2], judge.right(case))
    assert OperationExplanations().noise(judge, case) == ""


def test_numbers_in_single_precision_are_never_taken_for_rounding_alone() -> None:
    judge, large = Judge(InProcess(X, square, loses_digits, "square"), "float32"), at(1e8 + 0.3)
    assert OperationExplanations().noise(judge, large) == ""


def what_tanh_leaves(x: Any) -> Any:
    return np.log(1 - np.tanh(x)), x


def inverse_mills(x: Any) -> Any:
    """Of the normal distribution beyond x, in steps by the multiples of 2^-53 that are left of its tail."""
    tail = 1 - np.vectorize(NormalDist().cdf)(x)
    y = np.exp(-x * x / 2) / np.sqrt(2 * np.pi) / tail
    return y, (x, y)


def d_inverse_mills(dy: Any, cache: Any) -> Any:
    x, y = cache
    return dy * y * (y - x)


OF_STAIRS: dict[str, tuple[Callable[[Any], Any], Backward, float, bool]] = {
    "right, of a staircase": (what_tanh_leaves, lambda dy, x: -dy * (1 + np.tanh(x)), 17.76, True),
    "right, of stairs that are narrow": (inverse_mills, d_inverse_mills, 7.96, True),
    "wrong, of what is none yet": (what_tanh_leaves, lambda dy, x: -dy * (1 + np.tanh(x) ** 2), 2.0, False),
    "slightly wrong": (lambda x: (np.exp(x), x), lambda dy, x: dy * np.exp(x) * 1.00001, 0.5, False),
    "wrong beside a kink": (lambda x: (abs(x - 0.6), x), lambda dy, x: dy + 0 * x, 0.5, False),
    "wrong at a jump": (lambda x: (np.round(x), x), lambda dy, x: dy + 0 * x, 0.51, False),
    "wrong, of a wave": (lambda x: (np.sin(3 * x), x), lambda dy, x: dy * np.cos(3 * x), 0.3, False),
}


def test_a_smooth_function_in_single_precision_is_no_staircase() -> None:
    def forward(x: Any) -> Any:
        return np.logaddexp(0, x), x

    judge, at_float32 = (
        Judge(InProcess(X, forward, lambda dy, x: dy * x), "float32"),
        at(0.64).in_single_precision,
    )
    with pytest.raises(Violation):
        judge.check(at_float32)
    assert judge.right(at_float32).lines is not None  # measured
    assert not judge.is_staircase(at_float32, judge.run(at_float32)[2], judge.right(at_float32))


@pytest.mark.parametrize("name", OF_STAIRS)
def test_slopes_that_were_measured_on_stairs_accuse_nobody(name: str) -> None:
    forward, backward, x, has_stairs = OF_STAIRS[name]
    judge, case = Judge(InProcess(X, forward, backward)), at(x)
    with pytest.raises(Violation):
        judge.check(case)
    assert judge.is_staircase(case, judge.run(case)[2], judge.right(case)) is has_stairs
    told = OperationExplanations().noise(judge, case)
    assert told == (f"digits of forward are lost where |x| is about {x:.2g}" if has_stairs else "")


def twice_tanh(x: Any) -> Any:
    return 2 * np.tanh(x), x


def test_an_overflow_of_what_is_known_by_differences_alone_is_seen_at_the_edges() -> None:
    judge = Judge(InProcess(X, twice_tanh, lambda dy, x: 2 * dy / np.cosh(x) * np.cosh(x) / np.cosh(x) ** 2))
    assert checks.gradient_is_right_at_the_edges(judge, at(1.0)) is None
    with pytest.raises(Violation, match="dx has NaN"):
        checks.gradient_is_right_at_the_edges(judge, at(800.0))


TINY = 1e-8


def guarded_cosine(x: Any, z: Any) -> Any:
    long = [np.maximum(np.linalg.norm(one, axis=1, keepdims=True), TINY) for one in (x, z)]
    return (x / long[0] * z / long[1]).sum(axis=1), (x, z, *long)


def d_guarded_cosine(factor: float) -> Backward:
    """Right but for a factor where the norm of z is at its smallest."""

    def backward(dy: Any, cache: Any) -> Any:
        x, z, nx, nz = cache
        c, dy = (x / nx * z / nz).sum(axis=1, keepdims=True), dy[:, None]
        dx = (z / nz - (nx > TINY) * c * x / nx) / nx
        return dy * dx, dy * (x / nx - (nz > TINY) * c * z / nz) / nz * np.where(nz > TINY, 1, factor)

    return backward


@pytest.mark.parametrize(("factor", "holds"), [(1.0, True), (1.01, False)])
def test_a_guard_of_forward_is_part_of_the_function_at_the_edges(factor: float, *, holds: bool) -> None:
    axes = {"x": "n d", "z": "n d"}
    judge = Judge(InProcess(axes, guarded_cosine, d_guarded_cosine(factor), "cosine_similarity"))
    assert judge.reading is not None
    assert not judge.reading.own
    inputs = {"x": np.array([[0.5, 2.0]]), "z": np.array([[3e-9, 4e-9]])}
    tiny = replace(at(0.0), inputs=inputs, sizes={"n": 1, "d": 2}, differentiable=("x", "z"))
    if holds:
        checks.gradient_is_right_at_the_edges(judge, tiny)
        return
    with pytest.raises(Violation, match="dz"):
        checks.gradient_is_right_at_the_edges(judge, tiny)


def test_a_forward_pass_that_is_a_staircase_at_the_edges_is_the_known_operation_all_the_same() -> None:
    def softplus(x: Any) -> Any:
        return -np.log(1 - 1 / (1 + np.exp(-x))), x

    judge = Judge(InProcess(X, softplus, lambda dy, x: 1.01 * dy / (1 + np.exp(-x)), "softplus"))
    assert judge.right(at(34.75)).lines is None  # it is not measured
    with pytest.raises(Violation):
        checks.gradient_is_right_at_the_edges(judge, at(34.75))


# --- What a file may declare besides ------------------------------------------------------------------------


def identity(x: Any) -> Any:
    return x


def test_a_derivative_meant_of_another_function_is_held_against_that() -> None:
    def straight(x: Any) -> Any:
        return np.round(x), x

    with_one = InProcess(X, straight, lambda dy, x: dy, more={"stand_in": identity})
    assert verdict_on(with_one) == (Verdict.PASS, "")
    assert notes(Judge(with_one), passes=True) == [
        "The derivative is judged as that of stand_in, and not of forward."
    ]
    assert verdict_on(InProcess(X, straight, lambda dy, x: dy))[0] is Verdict.FAIL
    twice = InProcess(X, straight, lambda dy, x: 2 * dy, more={"stand_in": identity})
    assert verdict_on(twice)[0] is Verdict.FAIL


def test_a_product_with_the_hessian_is_that_of_the_gradient() -> None:
    def product(factor: float) -> InProcess:
        def hvp(given: Arrays, tangents: Arrays) -> dict[str, Any]:
            return {"x": factor * h_bowl(given["x"]) @ tangents["x"]}

        return InProcess({"x": "d"}, bowl, d_bowl, more={"hvp": hvp})

    (second,) = (one for one in PROPERTIES if one.check is checks.second_derivative_is_that_of_the_gradient)
    assert outcome(second, product(1.0)).verdict is Verdict.PASS
    assert "hvp[" in outcome(second, product(1.000001)).message


def test_an_output_without_a_derivative_has_no_say() -> None:
    def with_index(x: Any) -> Any:
        return (x.max(axis=-1), x.argmax(axis=-1)), x

    def backward(dy: Any, x: Any) -> Any:
        return first_takes_all(dy[0], x)

    assert verdict_on(InProcess(X, with_index, backward, outputs=(True, False))) == (Verdict.PASS, "")


def test_every_output_counts() -> None:
    def both(x: Any) -> Any:
        return (np.sin(x), np.cos(x)), x

    right = InProcess(X, both, lambda dy, x: dy[0] * np.cos(x) - dy[1] * np.sin(x))
    first_alone = InProcess(X, both, lambda dy, x: dy[0] * np.cos(x))
    assert [verdict_on(one)[0] for one in (right, first_alone)] == [Verdict.PASS, Verdict.FAIL]


def test_single_precision_inside_is_granted_where_it_is_declared() -> None:
    def forward(x: Any) -> Any:
        y = np.tanh(x.astype(np.float32))
        return y, y

    def subject(error: float) -> InProcess:
        return InProcess(
            X, forward, lambda dy, y: d_tanh(dy, y) * np.float32(1 + error), "tanh", dtype="float32"
        )

    assert verdict_on(subject(0)) == (Verdict.PASS, "")
    assert verdict_on(subject(1e-4))[0] is Verdict.FAIL
    single = next(one for one in PROPERTIES if one.check is checks.gradient_is_right_in_single_precision)
    assert outcome(single, subject(0)).verdict is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize(("value", "holds"), [(-np.inf, True), (-27.0, False), (np.nan, False)])
def test_a_value_that_is_infinite_is_that_value(value: float, *, holds: bool) -> None:
    infinite = Enclosed(np.array([-np.inf]), np.array([np.inf]), np.zeros(1))
    assert compared_outputs([np.array([value])], Right({}, (infinite,))).holds == holds
    nothing = Enclosed(np.array([np.nan]), np.array([np.nan]), np.zeros(1))
    assert compared_outputs([np.array([value])], Right({}, (nothing,))).holds


@pytest.mark.parametrize("size", [2, 100])
def test_a_slope_that_is_not_finite_is_told_however_it_is_measured(size: int) -> None:
    def lost(dy: Any, x: Any) -> Any:
        return np.where(np.arange(size) == 1, np.nan, dy * 2 * x)

    subject = InProcess({"x": "d"}, lambda x: (x * x, x), lost, sizes={"d": (size,)})
    verdict, message = verdict_on(subject)
    assert verdict is Verdict.FAIL
    assert "NaN in 1 of" in message


def length(x: Any) -> Any:
    return np.sqrt((x * x).sum(axis=1)), x


@pytest.mark.parametrize("known", ["l2_norm", ""])
def test_what_is_no_number_at_a_kink_alone_is_weak_however_the_rest_is_known(known: str) -> None:
    def d_length(dy: Any, x: Any) -> Any:
        return dy[:, None] * x / length(x)[0][:, None]

    judge, zero = Judge(InProcess(X, length, d_length, known)), replace(at(0.0), regime="plain")
    checks.result_meets_the_contract(judge, zero)
    with pytest.raises(Weakness, match="NaN in dx at a kink"):
        checks.gradient_equals_the_derivative(judge, zero)
    assert checks.gradient_equals_the_derivative(judge, at(0.5)) is not None
    twice = Judge(InProcess(X, length, lambda dy, x: 2 * d_length(dy, x), known))
    with pytest.raises(Violation):
        checks.gradient_equals_the_derivative(twice, at(0.5))


def test_what_is_no_number_where_there_is_a_slope_is_wrong() -> None:
    def d_square(dy: Any, x: Any) -> Any:
        long = length(x)[0][:, None]
        return dy[:, None] * 2 * long * (x / long)

    judge = Judge(InProcess(X, lambda x: (length(x)[0] ** 2, x), d_square))
    with pytest.raises(Violation, match="dx has NaN in 1 of 1"):
        checks.result_meets_the_contract(judge, replace(at(0.0), regime="plain"))


def test_axes_of_size_0_are_drawn_where_they_are_declared_and_nowhere_else() -> None:
    def drawn(**declared: Any) -> set[int]:
        subject = InProcess(X, tanh, d_tanh, **declared)
        return {case.sizes["n"] for case in seeded(subject, 60)}

    assert 0 in drawn(sizes={"n": (0, 1, 2)})
    assert 0 not in drawn()
    assert verdict_on(InProcess(X, tanh, d_tanh, "tanh", sizes={"n": (0, 1, 2)})) == (Verdict.PASS, "")

    def mean(x: Any) -> Any:
        return x.sum() / max(1, x.size), x

    empty = InProcess(X, mean, lambda dy, x: np.full(x.shape, dy / max(1, x.size)), sizes={"n": (0, 1, 2)})
    assert verdict_on(empty) == (Verdict.PASS, "")


# --- Cases are drawn to tell right from wrong ---------------------------------------------------------------


def seeded(subject: InProcess, count: int, regimes: Sequence[str] = REGULAR) -> list[OperationCase]:
    """Cases of a generator."""
    rng = np.random.default_rng(3)
    return [make(Seeded(rng), subject, regimes) for _ in range(count)]


OFTEN = 0.1
"""A share that makes 30 cases miss it once in 24 runs, and 100 cases once in 37,000."""


def test_labels_repeat_also_twice_in_a_row_and_some_are_ignored() -> None:
    axes = {"x": Input("t", "labels", below="v", ignore=-100), "W": "v d"}
    drawn = [case.inputs["x"] for case in seeded(InProcess(axes, scale, d_scale), 300)]
    assert np.mean([len(set(labels)) < len(labels) for labels in drawn]) > OFTEN
    assert np.mean([any(a == b for a, b in pairwise(labels)) for labels in drawn]) > OFTEN
    assert np.mean([(labels == -100).any() for labels in drawn]) > OFTEN
    assert np.mean([(labels != -100).any() for labels in drawn]) > OFTEN


def test_sizes_are_often_1_and_often_all_different_and_more_than_1() -> None:
    drawn = [case.sizes for case in seeded(InProcess({"q": "n t d", "k": "n s d"}, scale, d_scale), 300)]
    assert np.mean([1 in sizes.values() for sizes in drawn]) > OFTEN
    assert np.mean([len(set(sizes.values())) == 4 > min(sizes.values()) > 1 for sizes in drawn]) > OFTEN / 10
    assert np.mean([sizes["t"] < sizes["s"] for sizes in drawn]) > OFTEN
    assert np.mean([sizes["t"] > sizes["s"] for sizes in drawn]) > OFTEN


def test_the_simplest_choices_make_the_smallest_case_that_is_valid() -> None:
    class Simplest(Seeded):
        def one_of(self, role: str, values: Sequence[Any]) -> Any:
            del role
            return values[0]

    subject = InProcess(
        {"x": "n c l"},
        tanh,
        d_tanh,
        options={"size": (2, 3)},
        valid=lambda sizes, options: sizes["l"] >= options["size"],
    )
    case = make(Simplest(np.random.default_rng(0)), subject, ("plain",))
    assert case.sizes == {"n": 1, "c": 1, "l": 2}
    assert case.options == {"size": 2}


def test_of_usual_combinations_most_cases_are_drawn_and_the_smallest_may_be_another() -> None:
    subject = InProcess({"x": "n d", "w": "d"}, scale, d_scale, options={"size": (2, 3)})
    usual = [({"n": 1, "d": 1}, {"size": 2}), ({"n": 3, "d": 3}, {"size": 3})]
    rng = np.random.default_rng(0)
    drawn = [make(Seeded(rng), subject, ("plain",), among=usual) for _ in range(300)]
    others = [one for one in drawn if (dict(one.sizes), dict(one.options)) not in usual]
    assert 0 < len(others) < 300 / 10
    assert smallest(cases(subject, ("plain",), among=usual), lambda one: one.sizes["n"] > 1).sizes == {
        "n": 2,
        "d": 1,
    }


def test_cotangents_are_neither_ones_nor_zeros_and_differ_from_each_other() -> None:
    for case in seeded(InProcess(X, tanh, d_tanh), 100):
        (dy,) = case.cotangents([np.zeros((3, 4))])
        assert dy.all()
        assert len(set(dy.ravel().tolist())) > 6


def test_every_value_of_every_option_is_drawn_and_numbers_tie_and_vanish() -> None:
    options = {"stride": (1, 2, 3), "padding": (0, 1)}
    drawn = seeded(InProcess(X, tanh, d_tanh, options=options), 300)
    for name, values in options.items():
        assert {case.options[name] for case in drawn} == set(values)
    large = [case.inputs["x"] for case in drawn if case.inputs["x"].size > 3]
    assert np.mean([len(np.unique(x)) < x.size for x in large]) > OFTEN
    assert np.mean([(x == 0).any() for x in large]) > OFTEN


KINDS: dict[str, Callable[[Any], Any]] = {
    "positive": lambda x: (x > 0).all(),
    "nonzero": lambda x: (x != 0).all(),
    "unit": lambda x: ((x > 0) & (x < 1)).all(),
    "probabilities": lambda x: (x > 0).all() and np.allclose(x.sum(axis=-1), 1),
    "distinct": lambda x: len(np.unique(x)) == x.size,
    "signs": lambda x: (abs(x) == 1).all(),
    "onehot": lambda x: (x.sum(axis=-1) == 1).all() and set(x.ravel()) <= {0, 1},
    "mask": lambda x: set(x.ravel()) <= {0, 1},
    "counts": lambda x: x.dtype.kind == "i" and (x >= 0).all(),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_of_their_kind_everywhere(kind: str) -> None:
    subject = InProcess({"x": Input("n d", kind)}, tanh, d_tanh)
    for case in seeded(subject, 40, (*REGULAR, *EDGES)):
        assert case.inputs["x"].shape == (case.sizes["n"], case.sizes["d"])
        assert KINDS[kind](case.inputs["x"]), (kind, case.regime)


def test_a_rare_valid_combination_is_found_and_none_is_told() -> None:
    def rare(sizes: Any, options: Any) -> bool:
        del options
        return sizes["n"] == sizes["d"] == sizes["k"] == 5

    subject = InProcess({"x": "n d k"}, tanh, d_tanh, "tanh", valid=rare)
    assert verdict_on(subject) == (Verdict.PASS, "")

    def none(sizes: Any, options: Any) -> bool:
        return sizes is options

    never = InProcess(X, tanh, d_tanh, valid=none)
    with pytest.raises(NoCaseError, match=r"sizes \(n, d\) and options \(none\) not one is valid"):
        seeded(never, 1)


def test_a_case_is_python_that_makes_its_arrays() -> None:
    subject = InProcess(
        {"x": "n d", "labels": Input("n", "labels", below=7), "s": ""}, tanh, d_tanh, options={"eps": (1e-5,)}
    )
    (case,) = seeded(subject, 1)
    (dy,) = case.cotangents([np.zeros((2, 3))])
    names: dict[str, Any] = {}
    exec(case.as_python(), names)  # noqa: S102  (that is the claim)
    for name, array in {**case.inputs, "dy": dy}.items():
        assert np.array_equal(names[name], array)
        assert np.asarray(names[name]).dtype == array.dtype
    assert names["eps"] == case.options["eps"]


def test_nothing_is_said_where_the_numbers_overflow() -> None:
    def exponential(x: Any) -> Any:
        return np.exp(x), x

    judge = Judge(InProcess(X, exponential, lambda dy, x: dy * np.exp(x), "exp"))
    with pytest.raises(Inconclusive, match="overflow"):
        checks.gradient_is_right_at_the_edges(judge, at(1e4))


def test_properties_that_say_nothing_of_an_operation_say_why() -> None:
    judge = Judge(InProcess(X, tanh, d_tanh))
    with pytest.raises(NotApplicable, match="no known operation is named"):
        checks.known_cases(judge)
    with pytest.raises(NotApplicable, match="no hessian"):
        checks.cases_of_second_order(judge)


def test_a_factor_has_the_simplest_of_its_names() -> None:
    trials: Any = [SimpleNamespace(numbers={"l": 4, "g": 1}, unit=2.0**-53)] * 3
    assert named_factor([0.25] * 3, trials) == ("1/l", 1.2)
    assert named_factor([0.75] * 3, trials) == ("0.75", 3.2)
