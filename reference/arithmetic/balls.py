"""A program read in balls: every number is enclosed, rounding and all, at any precision.

A ball [middle ± radius] holds the exact value for sure (F. Johansson, *Arb: Efficient Arbitrary-Precision
Midpoint-Radius Interval Arithmetic*, IEEE Trans. Comput. 66, 2017; python-flint binds it). So a result is a proof:
the right gradient lies in the ball, and what does not is wrong. For cases of up to some hundred numbers.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import flint
import numpy as np

from reference.arithmetic import floats, objects
from reference.arithmetic.floats import cumulated, plain, reduced, windowed
from reference.arithmetic.objects import Objects
from reference.arithmetic.reading import Rule, UndecidedError
from reference.operations.operation import Operation
from reference.program import Derivative, Sizes, derivative

Array = np.ndarray[Any, Any]
Ball = Any  # flint.arb: python-flint's stubs leave it open

BITS = 128
MOST_BITS = 8192
"""Where a comparison is not decided, or the radius is too large, at so many bits, it will not be."""


def ball(number: Any) -> Ball:
    """A number as a ball; a float's has radius 0."""
    return flint.arb(number)


_OPPOSITE: Mapping[str, str] = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}
_OF_THE_SAME = ("eq", "le", "ge")


def _certain(name: str) -> Callable[[Any, Any], bool]:
    """A comparison that holds for every number of two balls, or for none; a number is equal to itself."""
    holds, fails = getattr(operator, name), getattr(operator, _OPPOSITE[name])

    def compare(a: Any, b: Any) -> bool:
        if a is b:
            return name in _OF_THE_SAME
        a, b = ball(a), ball(b)
        if holds(a, b):
            return True
        if fails(a, b):
            return False
        raise UndecidedError(f"{a} and {b} lie too near each other to compare them")

    return compare


def _compared(name: str) -> Callable[..., Array]:
    compare = np.frompyfunc(_certain(name), 2, 1)
    return lambda a, b: np.asarray(compare(a, b)).astype(bool)


def _larger(a: Any, b: Any) -> Any:
    """The maximum, which is one of the two where it is known which; else a ball that holds it."""
    if a is b or ball(a) >= ball(b):
        return a
    return b if ball(b) >= ball(a) else ball(a).max(ball(b))


def _smaller(a: Any, b: Any) -> Any:
    """The minimum, likewise."""
    if a is b or ball(a) <= ball(b):
        return a
    return b if ball(b) <= ball(a) else ball(a).min(ball(b))


_max, _min = np.frompyfunc(_larger, 2, 1), np.frompyfunc(_smaller, 2, 1)


def _over(choose: Any) -> Callable[..., Array]:
    """A choice of two, along any axes."""

    def reduce(x: Array, axis: Sequence[int]) -> Array:
        kept = [one for one in range(x.ndim) if one not in axis]
        flat = x.transpose([*kept, *axis]).reshape(*(x.shape[one] for one in kept), -1)
        return np.asarray(choose.reduce(flat, axis=-1), object)

    return reduce


def _sign(x: Any) -> Any:
    if ball(x).is_zero():
        return ball(0)
    return ball(1) if _certain("gt")(x, 0) else ball(-1)


def _position(name: str) -> Rule:
    """argmax: certain where the entry it takes is at least each other."""
    take, at_least = floats.RULES[name], _compared("ge" if name == "argmax" else "le")

    def rule(self: "Balls", x: Array, *, axes: Sequence[int], index_dtype: Any) -> Array:
        where = take(self, x, axes=axes, index_dtype=index_dtype)
        best = np.take_along_axis(x, np.expand_dims(where, axes[0]), axes[0])
        if not at_least(best, x).all():
            raise UndecidedError("which number is the largest can't be told")
        return where

    return rule


def _sort(*arrays: Array, dimension: int, num_keys: int, is_stable: bool = True) -> list[Array]:
    found = floats.sort(*arrays, dimension=dimension, num_keys=num_keys, is_stable=is_stable)
    if num_keys > 1:
        raise UndecidedError("balls are sorted by one key")
    last = found[0].shape[dimension] - 1
    first, second = (np.take(found[0], range(i, i + last), dimension) for i in (0, 1))
    if not _compared("le")(first, second).all():
        raise UndecidedError("which number comes first can't be told")
    return found


def _power(x: Any, y: Any) -> Ball:
    return ball(x) ** ball(y)


def _logistic(x: Any) -> Ball:
    return 1 / (1 + (-ball(x)).exp())


def _of(name: str) -> Callable[[Any], Ball]:
    """A function that balls have."""
    return lambda x: getattr(ball(x), name)()


ELEMENTWISE: Mapping[str, Callable[..., Ball]] = {
    **{
        name: _of(name)
        for name in (
            *(
                "exp",
                "expm1",
                "log",
                "log1p",
                "sqrt",
                "rsqrt",
                "erf",
                "erfc",
                "digamma",
                "lgamma",
                "floor",
                "ceil",
            ),
            *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
        )
    },
    "erf_inv": _of("erfinv"),
    "logistic": _logistic,
    "pow": _power,
    "sign": _sign,
    "max": _larger,
    "min": _smaller,
}


def _log_abs_det(a: Array) -> Array:
    return np.asarray(np.frompyfunc(lambda x: abs(ball(x)).log(), 1, 1)(objects.determinant(a)), object)


_REFUSED = ("select_and_scatter_add", "select_and_gather_add")

RULES: Mapping[str, Rule] = {
    **{name: rule for name, rule in objects.RULES.items() if name not in _REFUSED},
    **{
        name: plain(np.frompyfunc(of, 2 if name in {"pow", "max", "min"} else 1, 1))
        for name, of in ELEMENTWISE.items()
    },
    **{name: plain(_compared(name)) for name in _OPPOSITE},
    **{name: _position(name) for name in ("argmax", "argmin")},
    "is_finite": plain(lambda x: np.asarray(np.frompyfunc(_of("is_finite"), 1, 1)(x)).astype(bool)),
    "reduce_max": reduced(_over(_max)),
    "reduce_min": reduced(_over(_min)),
    "reduce_window_max": windowed(_over(_max), -np.inf),
    "reduce_window_min": windowed(_over(_min), np.inf),
    "cummax": cumulated(_max.accumulate),
    "cummin": cumulated(_min.accumulate),
    "clamp": lambda _, low, x, high: _min(_max(x, low), high),
    "sort": plain(_sort),
    "log_abs_det": plain(_log_abs_det),
    "cholesky_factor": plain(lambda a: floats.factored_by_columns(a, np.frompyfunc(_of("sqrt"), 1, 1))),
}


class Balls(Objects):
    """Balls of python-flint; a comparison that they leave open is an `UndecidedError`."""

    name = "balls"
    rules = RULES

    def __init__(self, bits: int = BITS) -> None:
        """The precision to compute at."""
        self.bits = bits

    @property
    def key(self) -> Any:
        """The precision."""
        return self.name, self.bits

    def element(self, number: float) -> Any:
        """A float, which is exact."""
        return ball(number)

    def whole(self, number: Any) -> int:
        """A number cut to a whole one, where that is certain."""
        up, down = (one.unique_fmpz() for one in (ball(number).ceil(), ball(number).floor()))
        cut = down if ball(number) >= 0 else up
        if cut is None:
            raise UndecidedError(f"{number} lies too near a whole number to cut it")
        return int(cut)

    def read(self, program: Any, values: Sequence[Any], sizes: Sizes) -> list[Any]:
        """The outputs of a program for the values of its inputs, at this precision."""
        with flint.ctx.workprec(self.bits):
            return super().read(program, values, sizes)


def vjp(
    known: Derivative, inputs: Sequence[Array], cotangents: Sequence[Array], sizes: Sizes, *, bits: int = BITS
) -> list[Array]:
    """The outputs and the gradients of all differentiable inputs, as arrays of balls.

    Raises:
        UnknownPrimitiveError: where a primitive has no rule.
        UndecidedError: where a comparison is open, at a kink or for want of precision.
    """
    balls = Balls(bits)
    return balls.read(known.program, [balls.number(one) for one in (*inputs, *cotangents)], sizes)


def enclosure(one: Ball) -> tuple[Fraction, Fraction]:
    """The middle and the radius of a ball."""
    return _fraction(one.mid()), _fraction(one.rad())


def _fraction(exact: Ball) -> Fraction:
    mantissa, exponent = exact.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


class Certificate(NamedTuple):
    """The right value lies within `radius` of `middle`."""

    middle: Fraction
    radius: Fraction

    def excludes(self, number: float | Fraction) -> bool:
        """Whether this number is not the right one, for sure."""
        return abs(Fraction(number) - self.middle) > self.radius

    def __str__(self) -> str:
        """`within 1e-30 of 0.0454…`: the decimal is rounded, and the radius covers that."""
        context = Context(prec=DIGITS + 2)
        shown = context.divide(Decimal(self.middle.numerator), Decimal(self.middle.denominator))
        away = self.radius + abs(Fraction(shown) - self.middle)
        return f"within {_power_of_ten(away)} of {shown}" if away else f"{shown}"


DIGITS = 30


def _power_of_ten(number: Fraction) -> str:
    """The least power of ten that is not below."""
    exponent = 0
    while Fraction(10) ** exponent < number:
        exponent += 1
    while Fraction(10) ** (exponent - 1) >= number:
        exponent -= 1
    return f"1e{exponent:+d}".replace("+", "")


def certificate(
    operation: Operation,
    inputs: Sequence[Array],
    cotangents: Sequence[Array],
    options: Mapping[str, Any],
    sizes: Sizes,
    name: str,
    index: tuple[int, ...],
) -> Certificate:
    """A proof of what one entry of a gradient is, to `DIGITS` digits.

    Args:
        operation: the known operation.
        inputs: its inputs, in order.
        cotangents: one for each differentiable output.
        options: its keywords.
        sizes: of its axes.
        name: the input whose gradient it is.
        index: of the entry.

    Raises:
        UnknownPrimitiveError: where a primitive has no rule.
        UndecidedError: at a kink, or where `MOST_BITS` do not suffice.
    """
    known = derivative(operation, options, sizes)
    place = known.outputs + known.differentiable.index(list(operation.inputs).index(name))
    bits = BITS
    while True:
        try:
            one = vjp(known, inputs, cotangents, sizes, bits=bits)[place][index]
        except UndecidedError:
            if bits >= MOST_BITS:
                raise
        else:
            found = Certificate(*enclosure(ball(one))) if ball(one).is_finite() else None
            if found and found.radius <= Fraction(10) ** -DIGITS * min(1, abs(found.middle) or 1):
                return found
            if bits >= MOST_BITS:
                raise UndecidedError(f"{MOST_BITS} bits don't tell the gradient of {name} at {index}")
        bits *= 2
