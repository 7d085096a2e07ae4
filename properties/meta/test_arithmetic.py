"""Every way of reading a program reads it rightly; a bound holds whatever rounding does, and is not much too wide."""

import zlib
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest

from properties.meta.drawn import array, possible_sizes
from properties.meta.rough import Rough
from reference.arithmetic import balls, bounded, complex_step, exact
from reference.arithmetic.balls import certificate
from reference.arithmetic.bounded import FORMATS, Bounded, Bounding
from reference.arithmetic.floats import Floats
from reference.arithmetic.reading import Arithmetic, UndecidedError, UnknownPrimitiveError
from reference.arithmetic.samples import PRIMITIVES, PROBES, WHOLE_LINE, Row
from reference.operations import OPERATIONS
from reference.operations.compiled import compiled
from reference.operations.operation import Operation, inputs
from reference.program import Derivative, Program, derivative, trace
from reference.truth import truth

Array = np.ndarray[Any, Any]


def traced(function: Callable[..., Any], *arrays: Array) -> Program:
    """The program of a function for arrays of these shapes."""
    return trace(function, arrays)


# --- every operation ------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """An operation with its default options, at sizes and with numbers that belong to its name."""

    known: Derivative
    options: Mapping[str, Any]
    sizes: Mapping[str, int]
    inputs: list[Array]
    cotangents: list[Array]
    tangents: list[Array]

    @property
    def right(self) -> list[Bounded]:
        """The outputs and the gradients in float64, with their bounds."""
        bounding, places = Bounding(), self.known.differentiable
        values = [bounding.input(one, varies=place in places) for place, one in enumerate(self.inputs)]
        values += [bounding.input(one, varies=False) for one in self.cotangents]
        return bounding.read(self.known.program, values, self.sizes)

    @property
    def gradients(self) -> list[Bounded]:
        """The gradients alone."""
        return self.right[self.known.outputs :]


def case_of(operation: Operation) -> Case:
    rng = np.random.default_rng(zlib.crc32(operation.name.encode()))
    options = {name: some[0] for name, some in operation.options.items()}
    sizes = possible_sizes(operation, options, rng)
    assert sizes is not None
    known = derivative(operation, options, sizes)
    arrays = [array(one, sizes, rng) for one in operation.inputs.values()]
    outputs = known.program.outputs[: known.outputs]
    shapes = [known.program.shape(outputs[place], sizes) for place in known.pulled]
    cotangents = [rng.standard_normal(shape) for shape in shapes]
    tangents = [rng.standard_normal(arrays[place].shape) for place in known.differentiable]
    return Case(known, options, sizes, arrays, cotangents, tangents)


ROWS = [pytest.param(one, id=one.name) for one in OPERATIONS.values()]


def is_within(found: Any, right: Bounded) -> bool:
    """Whether an array lies within the bounds."""
    lowest, highest = right.ends
    return bool(np.all((found >= lowest - right.e) & (found <= highest + right.e)))


@pytest.mark.parametrize("operation", ROWS)
def test_the_program_of_an_operation_gives_what_jax_gives(operation: Operation) -> None:
    case = case_of(operation)
    given = dict(zip(case.known.pulled, case.cotangents, strict=True))
    found = compiled(operation, case.options, case.inputs, given)
    assert [is_within(*both) for both in zip(found, case.right, strict=True)] == [True] * len(found)


@pytest.mark.parametrize("operation", ROWS)
def test_floats_and_complex_steps_lie_within_the_bounds(operation: Operation) -> None:
    case = case_of(operation)
    floats = Floats().read(case.known.program, [*case.inputs, *case.cotangents], case.sizes)
    assert all(map(is_within, floats, case.right))
    steps = complex_step.gradients(case.known, case.inputs, case.cotangents, case.sizes)
    assert all(map(is_within, steps, case.gradients))


@pytest.mark.parametrize("operation", ROWS)
def test_balls_lie_within_the_bounds(operation: Operation) -> None:
    case = case_of(operation)
    proof = balls.vjp(case.known, case.inputs, case.cotangents, case.sizes)
    for enclosed, right in zip(proof, case.right, strict=True):
        lowest, highest = (
            np.broadcast_to(end, right.x.shape) for end in (right.ends[0] - right.e, right.ends[1] + right.e)
        )
        for one, low, high in zip(enclosed.ravel(), lowest.ravel(), highest.ravel(), strict=True):
            middle, radius = balls.enclosure(balls.ball(one))
            assert radius <= Fraction(2) ** -80 * (1 + abs(middle))  # of 128 bits, 48 are lost at most
            assert Fraction(float(low)) - radius <= middle <= Fraction(float(high)) + radius


def test_more_bits_make_smaller_balls_within_the_larger() -> None:
    case = case_of(OPERATIONS["gelu"])
    few, many = (
        balls.vjp(case.known, case.inputs, case.cotangents, case.sizes, bits=bits)[case.known.outputs]
        for bits in (64, 256)
    )
    for wide, narrow in zip(few.ravel(), many.ravel(), strict=True):
        assert wide.contains(narrow)
        assert narrow.rad() < wide.rad() * 2.0**-128


def test_exact_gradients_are_those_of_the_forward_pass_in_dual_numbers() -> None:
    rational: list[str] = []
    for operation in OPERATIONS.values():
        case = case_of(operation)
        try:
            found = exact.vjp(case.known, case.inputs, case.cotangents, case.sizes)[case.known.outputs :]
            changes = exact.jvp(case.known, case.inputs, case.tangents, case.sizes)
        except UnknownPrimitiveError as error:
            assert "exact can't read" in str(error) or "dual can't read" in str(error)  # noqa: PT017
            continue
        rational.append(operation.name)
        fractions = exact.Fractions().number
        there = exact.inner(list(map(fractions, case.cotangents)), changes)
        assert there == exact.inner(found, list(map(fractions, case.tangents)))
        for one, right in zip(found, case.gradients, strict=True):
            assert all(isinstance(entry, Fraction) for entry in one.ravel())
            assert is_within(one.astype(float), right)
    # those of + - × ÷ max; what has exponentials and roots is not among them
    assert {"dense", "relu", "mse", "max_pool2d", "conv2d", "variance", "matmul", "sort", "prod"} <= set(
        rational
    )
    assert not {"tanh", "softmax", "layer_norm", "norm"} & set(rational)


def test_one_wrong_digit_is_seen_in_fractions() -> None:
    case = case_of(OPERATIONS["dense"])
    found = exact.vjp(case.known, case.inputs, case.cotangents, case.sizes)[case.known.outputs :]
    changes = exact.jvp(case.known, case.inputs, case.tangents, case.sizes)
    number = exact.Fractions().number
    found[0][0, 0] += Fraction(1, 10**40)
    there = exact.inner(list(map(number, case.cotangents)), changes)
    assert there != exact.inner(found, list(map(number, case.tangents)))


def test_a_kink_is_undecided_for_every_witness() -> None:
    relu, x = OPERATIONS["relu"], np.zeros((1, 1))
    known = derivative(relu, {}, {"n": 1, "d": 1})
    for jvp in (exact.jvp, complex_step.jvp):
        with pytest.raises(UndecidedError, match="kink"):
            jvp(known, [x], [np.ones((1, 1))], {"n": 1, "d": 1})


def test_balls_leave_undecided_what_lies_too_near() -> None:
    x = np.array([0.1])
    program = traced(PROBES["two sums of the same"], x)
    with pytest.raises(UndecidedError, match="too near"):
        balls.Balls().read(program, [balls.Balls().number(x)], {})


def test_a_certificate_proves_a_number_to_thirty_digits() -> None:
    operation = OPERATIONS["sigmoid"]
    x, dy = np.array([[1.0, -3.0]]), np.array([[1.0, 1.0]])
    proof = certificate(operation, [x], [dy], {}, {"n": 1, "d": 2}, "x", (0, 1))
    e = Context(prec=60).exp(Decimal(-3))
    right = Fraction(e) / (1 + Fraction(e)) ** 2  # to 59 digits
    assert not proof.excludes(right)
    assert proof.excludes(right + Fraction(1, 10**30))
    assert proof.radius <= Fraction(1, 10**30)
    assert str(proof) == "within 1e-33 of 0.045176659730912132649360028435652"


def test_two_operations_of_one_name_are_two_programs() -> None:
    found = [
        derivative(Operation("mine", OPERATIONS[name].forward, inputs(x="n d")), {}, {"n": 1, "d": 1})
        for name in ("tanh", "sigmoid", "tanh")
    ]
    assert found[0] is found[2]
    assert found[0] is not found[1]


# --- every rule of the bounds: sound, and sharp -----------------------------------------------------------------


ELSEWHERE = {
    # under another name
    "add_any", "scatter_add", "expand_dims", "stack", "unstack",
    # exact: positions, sizes, truth values
    "iota", "dim_as_value", "is_finite", "reduce_and", "reduce_or",
}  # fmt: skip


def test_every_rule_of_the_bounds_has_a_row() -> None:
    assert set(PRIMITIVES) | ELSEWHERE == set(bounded.RULES)
    assert not set(PRIMITIVES) & ELSEWHERE


TRIALS = 60
SLACK = 2.0**-50
"""What this test rounds itself, in float64."""
FORMAT = "bfloat16"
SHARP = {"exact": 20, "with errors": 6, "open": 6}
"""How far the bounds may reach, in terms of the farthest that was found, whatever the numbers come with.

Rounding alone: `FREEDOM` roundings are granted where one is made, twice for the root and the quotient of `rsqrt`.
"""


class Tried(NamedTuple):
    """A program read with bounds, and the farthest that a rough program came out, for each entry of each output."""

    bounds: list[Bounded]
    farthest: list[Array]
    outside: list[float]


def tried(row: Row, program: Program, kind: str, rng: np.random.Generator) -> Tried:
    """Numbers, their bounds, and rough programs on numbers within these."""
    arrays = [
        rng.integers(int(2 * row.low), int(2 * row.high) + 1, shape) / 2 for shape in row.shapes
    ]  # ties, kinks
    bounding, unit = Bounding(FORMAT), FORMATS[FORMAT].unit
    wide = 2.0 if row.low == WHOLE_LINE[0] else 2.0**-4  # over 0 where the domain is the whole line
    values = [bounding.input(one) for one in arrays]
    for value in values:
        if kind != "exact":
            value.e = 2.0**-5 * rng.uniform(0, 1, value.x.shape)
        if kind == "open" and rng.random() < 0.75:  # at times one of two
            value.down, value.up = (wide * rng.choice([0, 0.5, 1], value.x.shape) for _ in ("down", "up"))
    bounds = bounding.read(program, values, {})
    farthest = [np.zeros(one.x.shape) for one in bounds]
    outside = [0.0 for _ in bounds]
    for _ in range(TRIALS):
        rough = Rough(unit, rng)
        moved = [within(value, rough) for value in values]
        for number, (one, found) in enumerate(zip(bounds, rough.read(program, moved, {}), strict=True)):
            away = np.maximum(one.x * 1.0 - one.down - found, found * 1.0 - one.x - one.up)
            farthest[number] = np.maximum(farthest[number], np.abs(found * 1.0 - one.x))
            beyond = away - one.e - SLACK * (1 + np.abs(one.x))
            outside[number] = max(outside[number], float(np.max(beyond, initial=0)))
    return Tried(bounds, farthest, outside)


def within(value: Bounded, rough: Rough) -> Array:
    """A number that the bounds admit, often the farthest."""
    open_ = np.where(rough.directions(value.x.shape) < 0, -value.down, value.up)
    return (
        value.x
        + rough.rng.choice([0, 0.5, 1], value.x.shape) * open_
        + value.e * rough.directions(value.x.shape)
    )


def of_primitive(name: str) -> Program:
    row = PRIMITIVES[name]
    program = traced(row.function, *map(np.zeros, row.shapes))
    assert name in {equation.primitive for equation in program.equations}
    return program


@pytest.mark.parametrize("name", PRIMITIVES)
def test_no_rounding_goes_beyond_the_bound_of_a_primitive_and_some_comes_near(name: str) -> None:
    row, program, rng = PRIMITIVES[name], of_primitive(name), np.random.default_rng(zlib.crc32(name.encode()))
    for kind, factor in SHARP.items():
        reach = farthest = 0.0
        for _ in range(4):
            found = tried(row, program, kind, rng)
            assert max(found.outside) == 0, kind
            for one in found.bounds:
                opened = 0.0 if kind == "exact" else np.maximum(one.down, one.up)  # a kink has both sides
                reach += float(np.sum(one.e + opened + 0 * one.x))
            farthest += sum(map(float, map(np.sum, found.farthest)))
        assert reach <= factor * row.loose * farthest, kind


def test_a_quotient_by_what_may_be_zero_is_not_bounded() -> None:
    x = np.array([1.0, 1.0, 3.0])
    (found,) = bounds("reciprocal of -1 or 2", x)  # -1 or 2, where x is near x[0]
    assert np.array_equal(found.up, [np.inf, np.inf, 0])


def test_a_cotangent_of_another_shape_than_its_output_is_refused() -> None:
    x, sizes = np.ones((2, 3)), {"n": 2, "d": 3}
    assert truth(OPERATIONS["sum"], [x], [np.ones(2)], {}, sizes).outputs[0].value.shape == (2,)
    with pytest.raises(ValueError, match=r"the outputs have the shapes \[\(2,\)\]"):
        truth(OPERATIONS["sum"], [x], [x], {}, sizes)


@pytest.mark.parametrize("mask", [np.array([True, True, False]), np.array([1, 1, 0])])
def test_a_number_keeps_its_error_beside_a_mask_that_is_none(mask: Any) -> None:
    rounded = Bounded(np.array([1.0, -2.0, 3.0]), e=np.array([0.5, 0.25, 0.125]))
    found = bounded.RULES["mul"](Bounding(), rounded, Bounded(mask))
    assert (found.e[:2] >= rounded.e[:2]).all()


def test_an_undecided_index_may_be_that_of_either() -> None:
    x, z = np.array([3.0, 1.0, 3.0]), np.array([7.0, 5.0, 9.0])
    for name in (
        "at the largest",
        "gathered at the largest",
        "gathered opposite to the largest",
        "added opposite to the largest",
        "put at the largest",
    ):
        (found,) = bounds(name, x, z)
        assert found.least <= 7
        assert found.most >= 9


@pytest.mark.parametrize("name", PRIMITIVES)
def test_a_primitive_is_read_as_jax_computes_it(name: str) -> None:
    row, rng = PRIMITIVES[name], np.random.default_rng(0)
    arrays = [rng.uniform(row.low, row.high, shape) for shape in row.shapes]
    program, bounding = of_primitive(name), Bounding()
    bounded = bounding.read(program, [bounding.input(one, varies=False) for one in arrays], {})
    found = zip(Floats().read(program, arrays, {}), row.computed(*arrays), bounded, strict=True)
    for one, other, (_, error, opened) in ((a, b, bound.enclosed) for a, b, bound in found):
        assert np.shape(one) == np.shape(other)
        assert (np.abs(np.asarray(one, float) - np.asarray(other, float)) <= error + opened).all()


def test_sums_may_be_kept_in_a_wider_format_than_their_results() -> None:
    rng, terms = np.random.default_rng(0), 2000
    a, b = rng.uniform(-1, 1, (1, terms)), rng.uniform(-1, 1, (terms, 1))
    program = traced(PRIMITIVES["dot_general"].function, a, b)
    wide, narrow = (Bounding(name) for name in ("bfloat16 with float32 sums", "bfloat16"))
    bound, other = (
        each.read(program, [each.input(a), each.input(b)], {})[0].e.item() for each in (wide, narrow)
    )
    inner = np.abs(a) @ np.abs(b) * terms * 2.0**-24 + np.abs(a) @ np.abs(b) * 2 * 2.0**-8  # factors, rounded
    assert inner.item() <= bound < other / 100


# --- four things that a naive interpreter gets wrong ----------------------------------------------------------


def bounds(name: str, *arrays: Array, format_name: str = "float64") -> list[Bounded]:
    bounding = Bounding(format_name)
    return bounding.read(traced(PROBES[name], *arrays), list(map(bounding.input, arrays)), {})


def test_the_bound_of_one_program_is_none_for_another_and_formulations_are_covered() -> None:
    x = np.linspace(-12, 12, 40).reshape(10, 4).astype(np.float32)
    found = -np.log(
        1 - 1 / (1 + np.exp(-x))
    )  # in float32: log(1 - p) of a p that was kept, as losses have it
    sizes = {"n": 10, "d": 4}

    def worst(*formulations: Any) -> float:
        operation = Operation("softplus?", PROBES["softplus"], inputs(x="n d"), formulations=formulations)
        case = [x.astype(float)], [np.ones(x.shape)], {}, sizes
        right = truth(operation, *case, format="float32").outputs[0]
        return float(np.max((np.abs(found - right.value) - right.open) / right.error))

    assert worst() > 10
    assert worst(PROBES["softplus from a probability"]) <= 1


def test_a_number_beside_itself_is_no_kink() -> None:
    x = np.array([[1.0, 3.0, 2.0]])
    (found,) = bounds("where it is not itself", x)
    assert not found.is_open
    (found,) = bounds("where it is the largest", x)
    assert not found.is_open
    (found,) = bounds("where it is above 0", x)
    assert not found.is_open
    (found,) = bounds("where it is at least 1", x)
    assert found.is_open  # at 1, the two are equal


def test_a_tie_between_different_numbers_is_a_kink() -> None:
    x = np.array([[3.0, 3.0, 2.0]])
    (found,) = bounds("whether it is the largest", x)
    assert np.array_equal(found.down, [[1, 1, 0]])
    (found,) = bounds("slope of the largest", x)
    assert np.allclose(found.x - found.down, [[0, 0, 0]])
    assert np.all(found.x + found.up >= [[1, 1, 0]])


def test_numbers_within_each_others_errors_are_undecided_and_those_apart_are_not() -> None:
    x = np.array([1.0, 1.0 + 2.0**-8, 1.5])
    (found,) = bounds("where a third is larger", x, format_name="bfloat16")
    assert np.array_equal(found.up + found.down > 0, [True, True, False])


def test_a_root_of_a_sum_with_epsilon_is_at_least_that_of_epsilon() -> None:
    eps = 1e-5
    # the variance is 0 to within rounding of numbers near 1000, which is more than epsilon in float32
    (found,) = bounds("reciprocal of a deviation", np.full(3, 1000.1), format_name="float32")
    assert np.isfinite(found.e).all()
    assert (found.least > 0).all() or found.e <= 2 / np.sqrt(eps)


@pytest.mark.parametrize("name", ["softmax", "logsumexp", "slope of the largest"])
def test_one_of_the_largest_is_the_largest(name: str) -> None:
    x = 1000 + np.arange(4.0) / 64  # to within rounding all are equal, in bfloat16
    found = bounds(name, x, format_name="bfloat16")
    # without Σ exp(x - max x) ≥ 1, and a count of ties ≥ 1, the quotient and the logarithm have no bound
    assert all(np.isfinite(one.e).all() and np.isfinite(one.down + one.up).all() for one in found)


def test_softplus_errs_absolutely_below_one() -> None:
    x = np.array([-12.0, -8.0, -4.0])
    right = np.logaddexp(x, 0)
    by_log = np.log(1 + np.exp(x.astype(np.float32)))  # a right program of float32, which rounds 1 + e^x
    (found,) = bounds("softplus by a logarithm", x, format_name="float32")
    away = np.abs(by_log - right)
    assert np.any(away > 100 * 2.0**-24 * right)  # relative to the number it is far off
    assert np.all(away <= found.e)


@pytest.mark.parametrize(
    "arithmetic", [Floats(), Bounding(), exact.Fractions(), balls.Balls(), complex_step.Complex()]
)
def test_what_has_no_rule_is_refused_by_name(arithmetic: Arithmetic) -> None:
    x = np.array([1.0, 2.0])
    value: Any = arithmetic.input(x) if isinstance(arithmetic, Bounding) else x
    unknown = traced(PROBES["igamma"], x)
    with pytest.raises(UnknownPrimitiveError, match="can't read the primitive igamma"):
        arithmetic.read(unknown, [value], {})
    precise = traced(PROBES["reduce_precision"], x)
    with pytest.raises(UnknownPrimitiveError, match="reduce_precision"):
        arithmetic.read(precise, [value], {})
    rounded = traced(PROBES["a precision"], x)
    with pytest.raises(UnknownPrimitiveError, match=r"parameter of the primitive dot_general: .*precision"):
        arithmetic.read(rounded, [value], {})
