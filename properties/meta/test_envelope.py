"""The padded oracle is the plain one, whatever the shape, and is compiled a handful of times."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, cycle, pairwise
from typing import Any

import numpy as np
import pytest

import manual_backprop
from properties.cases import Case, Parameters
from properties.comparison import compare, named
from properties.meta.samples import samples
from properties.problem import MOST_LAYERS, read
from properties.strategies import LARGEST, WIDEST, cases
from reference import autodiff, envelope
from reference.envelope import LARGE, SMALL, Envelope, Problem
from reference.network import ACTIVATIONS, REDUCTIONS, Choices

CLAIMS = read(manual_backprop.PROBLEM)
PAIRS = [pair for claim in CLAIMS for pair in claim.pairs()]
# How many programs a jitted function has been compiled to, only the function itself knows.
PLAIN = [vars(autodiff)[name] for name in ("_reverse", "_forward_mode", "_contributions")]


def network(
    sizes: tuple[int, ...], n: int, names: Choices, *, bias: bool, seed: int = 0, scale: float = 1.0
) -> Case:
    """A case of these units, all numbers different."""
    random = np.random.default_rng(seed)
    parameters: Parameters = [
        (scale * random.standard_normal((m, k)), random.standard_normal(k) if bias else None)
        for m, k in pairwise(sizes)
    ]
    rows = random.dirichlet(np.ones(sizes[-1]), n)
    return Case(parameters, random.standard_normal((n, sizes[0])), rows, **names)


def networks() -> Iterator[Case]:
    """Every output with every loss; the rest in turns."""
    turns = zip(
        cycle([name for name in ACTIVATIONS if name != "softmax"]),
        cycle(REDUCTIONS),
        cycle([(3, 2), (2, 5, 3), (8, 3, 1, 4), (1, 2, 3, 8, 2)]),
        cycle([1, 3, 8, 2, 5, 4, 6]),
        cycle([True, True, False]),
        strict=False,
    )
    for seed, ((output, loss), (hidden, reduction, sizes, n, bias)) in enumerate(
        zip(PAIRS, turns, strict=False)
    ):
        names: Choices = {"hidden": hidden, "output": output, "loss": loss, "reduction": reduction}
        yield network(sizes, n, names, bias=bias, seed=seed)


NETWORKS = list(networks())


@pytest.mark.parametrize(
    ("room", "widest"), [(SMALL, LARGEST), (LARGE, WIDEST)], ids=["the small one", "the large one"]
)
def test_an_envelope_has_room_for_the_largest_that_is_drawn_and_for_no_more(
    room: Envelope, widest: int
) -> None:
    deepest = (widest,) * (MOST_LAYERS + 1)
    assert room.holds(deepest, widest)
    assert not room.holds((*deepest, 1), 1)
    assert not room.holds((1, widest + 1, 1), 1)
    assert not room.holds((1, 1), widest + 1)


def padded(case: Case) -> Problem:
    """The case as the envelope takes it."""
    return Problem(case.parameters, case.inputs, case.rows, **case.choices)


def title(case: Case) -> str:
    """What a case is about."""
    return f"{case.hidden}-{case.output}-{case.loss}-{len(case.parameters)}"


@pytest.mark.parametrize("case", NETWORKS, ids=title)
def test_the_padded_truth_is_the_plain_one(case: Case) -> None:
    error, opened = named(case.oracle.error), named(case.oracle.open)
    plain_loss, plain = autodiff.value_and_gradient(case.parameters, case.inputs, case.rows, **case.choices)
    for room in (SMALL, LARGE):
        loss, gradient = envelope.value_and_gradient(room, padded(case))
        assert compare(named(gradient), named(plain), error, opened).holds
        assert abs(loss - plain_loss) <= case.oracle.loss_error


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("case", NETWORKS[3::30], ids=title)
def test_the_truth_of_a_large_batch_in_parts_is_the_plain_one(case: Case, reduction: str) -> None:
    many = np.arange(2 * LARGE.samples + 17) % case.samples
    large = replace(case.with_samples(many), reduction=reduction)
    assert large.envelope is None
    plain_loss, plain = autodiff.value_and_gradient(
        large.parameters, large.inputs, large.rows, **large.choices
    )
    loss, gradient = envelope.ask_in_parts(LARGE, padded(large))()
    error, opened = named(large.oracle.error), named(large.oracle.open)
    assert compare(named(gradient), named(plain), error, opened).holds
    assert abs(loss - plain_loss) <= large.oracle.loss_error
    assert [db is None for _, db in gradient] == [b is None for _, b in large.parameters]


@pytest.mark.parametrize("case", NETWORKS[::5], ids=title)
def test_padded_contributions_are_the_plain_ones_and_add_up_to_the_gradient(case: Case) -> None:
    error, opened = named(case.oracle.error), named(case.oracle.open)
    plain = named(autodiff.contributions(case.parameters, case.inputs, case.rows, **case.choices))
    cells = named(envelope.contributions(SMALL, padded(case)))
    # The bound of an entry adds up what rounding does to each of its cells.
    each_error, each_open = (
        {name: np.broadcast_to(bound, cells[name].shape) for name, bound in bounds.items()}
        for bounds in (error, opened)
    )
    assert compare(cells, plain, each_error, each_open).holds
    sums = {name: array.sum(axis=(0, 1)) for name, array in cells.items()}
    assert compare(sums, named(case.oracle.gradient), error, opened).holds


@pytest.mark.parametrize("case", NETWORKS[1::20], ids=title)
def test_what_is_kept_is_the_same_from_cells_padded_and_plain(case: Case) -> None:
    error, opened = named(case.oracle.error), named(case.oracle.open)
    mask = np.zeros((case.samples, case.outputs))
    mask[0, -1] = mask[-1, 0] = 1
    by_cells = named(case.kept([0, -1], [-1, 0]))
    plain = named(autodiff.kept(case.parameters, case.inputs, case.rows, mask, **case.choices))
    assert plain.keys() == by_cells.keys() == error.keys()
    assert compare(by_cells, plain, error, opened).holds
    assert compare(named(envelope.kept(LARGE, padded(case), mask)), plain, error, opened).holds


@pytest.mark.parametrize("case", NETWORKS[2::5], ids=title)
def test_padded_directional_derivatives_are_the_plain_ones(case: Case) -> None:
    assert not differs(SMALL, case)


def differs(room: Envelope, case: Case) -> bool:
    """Whether a padded directional derivative is another than the plain one, by more than rounding."""
    random = np.random.default_rng(0)
    v: Parameters = [
        (random.choice([-1.0, 1.0], W.shape), None if b is None else random.choice([-1.0, 1.0], b.shape))
        for W, b in case.parameters
    ]
    bound = sum(
        float(array.sum()) for part in (case.oracle.error, case.oracle.open) for array in named(part).values()
    )
    plain = autodiff.directional_derivative(case.parameters, v, case.inputs, case.rows, **case.choices)
    return not abs(envelope.directional_derivative(room, padded(case), v) - plain) <= bound


@pytest.mark.parametrize("scale", [1e-8, 1e3, 1e8])
@pytest.mark.parametrize(("output", "loss"), PAIRS)
def test_what_does_not_exist_does_not_overflow(output: str, loss: str, scale: float) -> None:
    names: Choices = {"hidden": "tanh", "output": output, "loss": loss, "reduction": "mean"}
    for seed, sign in [(0, 1), (1, -1), (2, 1), (3, -1)]:
        case = network((3, 2, 2), 3, names, bias=False, scale=scale, seed=seed)
        biased: Parameters = [(W, sign * scale * np.arange(1.0, W.shape[1] + 1)) for W, _ in case.parameters]
        _, gradient = envelope.value_and_gradient(SMALL, padded(case)._replace(parameters=biased))
        assert all(np.isfinite(array).all() for array in chain(*gradient) if array is not None)


Plant = Callable[[Any, Envelope], Any]
BUGS: dict[str, Plant] = {
    "samples that do not exist count": lambda model, room: model._replace(exists=model.exists | True),
    "units that do not exist count": lambda model, room: model._replace(
        last=model.last._replace(units=model.last.units | True)
    ),
    "absent layers are present": lambda model, room: model._replace(
        hidden=model.hidden._replace(present=model.hidden.present | True)
    ),
    "the mean is over the envelope's samples": lambda model, room: model._replace(
        divisor=0 * model.divisor + room.samples
    ),
    "the mean is over the envelope's outputs": lambda model, room: model._replace(
        last=model.last._replace(fan_out=0 * model.last.fan_out + room.width)
    ),
    "the output has the hidden activation": lambda model, room: model._replace(
        last=model.last._replace(activation=model.hidden.activation[0])
    ),
}
CLASSIFIER: Choices = {"hidden": "sigmoid", "output": "softmax", "loss": "cross_entropy", "reduction": "mean"}
REGRESSION: Choices = {"hidden": "tanh", "output": "sigmoid", "loss": "mse", "reduction": "mean"}
SMALLER = [network((2, 3, 2), 2, CLASSIFIER, bias=True), network((2, 2), 2, REGRESSION, bias=True)]


def planted(plant: Plant) -> Callable[[Envelope, Any], Any]:
    """The model of a padded problem, with a bug."""
    right = vars(envelope)["_model"]
    return lambda room, arrays: plant(right(room, arrays), room)


def test_a_planted_masking_bug_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    # A program is compiled once for each envelope, so that every bug needs an envelope of its own.
    assert not any(differs(Envelope(3, 4, 3), case) for case in SMALLER)
    for number, (name, plant) in enumerate(BUGS.items(), start=4):
        with monkeypatch.context() as patched:
            patched.setattr(envelope, "_model", planted(plant))
            assert any(differs(Envelope(3, 4, number), case) for case in SMALLER), name


def plain_programs() -> int:
    """How many programs the plain model has been compiled to."""
    return sum(function._cache_size() for function in PLAIN)  # noqa: SLF001  (JAX counts its programs nowhere else)


def test_a_run_compiles_at_most_four_programs_however_many_shapes_it_draws() -> None:
    drawn = list(samples(cases(CLAIMS), 150, start=0))
    assert len({(*case.sizes, case.samples) for case in drawn}) > 75
    assert {case.envelope for case in drawn} == {SMALL, LARGE}
    assert drawn[0].oracle
    padded_before, plain_before = envelope.programs_compiled(), plain_programs()
    for case in drawn:
        assert case.oracle
        if case.envelope == SMALL:
            assert case.kept(0, 0)
            assert np.isfinite(case.directional_derivative(case.parameters))
    assert envelope.programs_compiled() == padded_before >= 4
    assert plain_programs() == plain_before
