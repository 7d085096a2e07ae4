"""The forward pass on complex numbers: its derivative along a tangent, to the last digits.

f(x + ihv) = f(x) + ih Jv - h²…, so that Jv = Im f(x + ihv)/h: no two near numbers are subtracted, and with h = 2⁻⁶⁰⁰
h² is 0 (J. N. Lyness, C. B. Moler, *Numerical Differentiation of Analytic Functions*, SIAM
J. Numer. Anal. 4, 1967; W. Squire, G. Trapp, SIAM Review 40, 1998). Comparisons go by the real parts; what no
complex number has is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reference.arithmetic import floats, moves
from reference.arithmetic.floats import plain
from reference.arithmetic.reading import Arithmetic, Rule, UndecidedError
from reference.program import Derivative, Sizes

Array = np.ndarray[Any, Any]

STEP = 2.0**-600


def _apart(a: Any, b: Any) -> None:
    """A tie between numbers that move differently is a kink."""
    if np.any((np.real(a) == np.real(b)) & (np.imag(a) != np.imag(b))):
        raise UndecidedError("two numbers that are compared are equal: that may be a kink")


def _compared(name: str) -> Rule:
    compare = floats.COMPARISONS[name]

    def rule(_: Arithmetic, a: Array, b: Array) -> Array:
        _apart(a, b)
        return compare(np.real(a), np.real(b))

    return rule


def _real(rule: Rule) -> Rule:
    """A rule by the real parts, of what does not change in the small."""
    return lambda self, *inputs, **parameters: rule(self, *map(np.real, inputs), **parameters)


def _of_two(sign: int) -> Rule:
    def rule(_: Arithmetic, a: Array, b: Array) -> Array:
        _apart(a, b)
        return np.where(sign * np.real(a) >= sign * np.real(b), a, b)

    return rule


def _extreme(x: Array, axes: Sequence[int], sign: int) -> Array:
    """The entry along some axes whose real part is the largest, or the smallest."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    flat = x.transpose([*kept, *axes]).reshape(*(x.shape[axis] for axis in kept), -1)
    best = np.take_along_axis(flat, np.argmax(sign * np.real(flat), -1)[..., None], -1)
    _apart(best, flat)
    return best[..., 0]


def _of_many(sign: int) -> Rule:
    return plain(lambda x, *, axes: _extreme(x, axes, sign))


def _of_windows(sign: int) -> Rule:
    def rule(_: Arithmetic, x: Array, **parameters: Any) -> Array:
        windows = moves.windows(x, -sign * np.inf, **floats.window_parameters(x, **parameters))
        return _extreme(windows, range(x.ndim, 2 * x.ndim), sign)

    return rule


def _abs(self: Arithmetic, x: Array) -> Array:
    return _of_two(1)(self, x, -x)


def _sort(
    _: Arithmetic, *arrays: Array, dimension: int, num_keys: int, is_stable: bool = True
) -> list[Array]:
    del is_stable
    places = floats.order([np.real(one) for one in arrays], dimension=dimension, num_keys=num_keys)
    key, *others = (np.take_along_axis(array, places, dimension) for array in arrays)
    first, second = (np.take(key, range(i, i + key.shape[dimension] - 1), dimension) for i in (0, 1))
    _apart(first, second)
    return [key, *others]


def _logistic(x: Array) -> Array:
    """1/(1 + e⁻ˣ), without an exponential that overflows."""
    e = np.exp(-_of_two(1)(None, x, -x))
    return np.where(np.real(x) >= 0, 1, e) / (1 + e)


def _log1p(x: Array) -> Array:
    """The imaginary part is the angle, and the real part that of the real function."""
    return np.log1p(np.real(x)) + 1j * np.arctan2(np.imag(x), 1 + np.real(x))


def _log_size(x: Array) -> Array:
    """log |x| of what is real but for its small part, whose sign may be either."""
    return np.log(np.where(np.real(x) < 0, -x, x))


def _converted(arithmetic: Any, x: Array, *, new_dtype: Any) -> Array:
    if np.dtype(new_dtype).kind == "f":
        return arithmetic.number(x)
    return np.real(x).astype(new_dtype)


ANALYTIC: Mapping[str, Callable[..., Array]] = {
    **{
        name: floats.ELEMENTWISE[name]
        for name in (
            *("exp", "exp2", "expm1", "log", "sqrt", "rsqrt", "pow"),
            *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
        )
    },
    "log1p": _log1p,
    "logistic": _logistic,
    "erf": floats.special("erf"),
    "erfc": floats.special("erfc"),
    "digamma": floats.special("digamma"),
    "lgamma": floats.special("loggamma"),
    "solve": floats.solved,
    "det": np.linalg.det,
    "log_abs_det": lambda a: _log_size(np.linalg.det(a)),
    "cholesky_factor": lambda a: floats.factored_by_columns(a, np.sqrt),  # NumPy's conjugates what is small
}

_ONLY_REAL = ("cummax", "cummin", "select_and_scatter_add", "select_and_gather_add")

RULES: Mapping[str, Rule] = {
    **{name: rule for name, rule in floats.RATIONAL.items() if name not in _ONLY_REAL},
    **{name: plain(function) for name, function in ANALYTIC.items()},
    **{name: _compared(name) for name in floats.COMPARISONS},
    **{
        name: _real(floats.RULES[name])
        for name in ("sign", "floor", "ceil", "round", "is_finite", "argmax", "argmin")
    },
    "max": _of_two(1),
    "min": _of_two(-1),
    "clamp": lambda self, low, x, high: _of_two(-1)(self, _of_two(1)(self, x, low), high),
    "abs": _abs,
    "reduce_max": _of_many(1),
    "reduce_min": _of_many(-1),
    "reduce_window_max": _of_windows(1),
    "reduce_window_min": _of_windows(-1),
    "sort": _sort,
    "convert_element_type": _converted,
}


class Complex(Arithmetic):
    """Complex numbers whose imaginary parts are small; a kink is an `UndecidedError`."""

    name = "complex_step"
    rules = RULES

    def number(self, array: Any) -> Array:
        """An array of floats as complex numbers."""
        array = np.asarray(array)
        return array.astype(complex) if array.dtype.kind != "c" else array

    def constant(self, array: Array) -> Array:
        """A constant; integers and truth values stay."""
        return self.number(array) if np.asarray(array).dtype.kind == "f" else np.asarray(array)


def jvp(known: Derivative, inputs: Sequence[Array], tangents: Sequence[Array], sizes: Sizes) -> list[Array]:
    """How the differentiable outputs change along tangents, one for each differentiable input.

    Raises:
        UnknownPrimitiveError: where the forward pass is not analytic.
        UndecidedError: at a kink.
    """
    moving = dict(zip(known.differentiable, tangents, strict=True))
    values: list[Any] = [
        one + 1j * STEP * np.asarray(moving[place]) if place in moving else Complex().constant(one)
        for place, one in enumerate(inputs)
    ]
    values += [None] * (len(known.program.inputs) - len(values))  # the forward pass has no cotangents
    outputs = Complex().read(known.program.first(known.outputs), values, sizes)
    return [np.imag(outputs[place]) / STEP for place in known.pulled]


def gradients(
    known: Derivative, inputs: Sequence[Array], cotangents: Sequence[Array], sizes: Sizes
) -> list[Array]:
    """The gradients of all differentiable inputs, one complex step for each of their entries. Raises as `jvp`."""
    still = [np.zeros(np.shape(inputs[place])) for place in known.differentiable]
    found = [np.zeros_like(one) for one in still]
    for tangent, gradient in zip(still, found, strict=True):
        for place in np.ndindex(gradient.shape):
            tangent[place] = 1
            changes = jvp(known, inputs, still, sizes)
            gradient[place] = sum(np.vdot(dy, dv) for dy, dv in zip(cotangents, changes, strict=True))
            tangent[place] = 0
    return found
