"""`assert_gradient`: a line in a unit test, for a function of one array with its gradient or its Jacobian.

The function's own values decide, at the point and beside it (`reference.slopes`): complex steps where it takes complex
numbers and is analytic, differences elsewhere, each with the error that it may have. There is no tolerance to choose.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.held import as_it_was, kept
from properties.comparison import Comparison, compare, resolution, told_apart
from properties.operation.cases import literal
from reference.slopes import NotRepeatableError, Slopes, slopes

Array: TypeAlias = NDArray[Any]

ENTRIES = 64
"""Numbers of x that are moved one by one; a larger x is moved along random lines through all of its numbers."""
NAMED = 4096
"""Numbers of an x of which, once it is known that the gradient is wrong, the wrong entries are looked for."""
LINES = 16
"""Random lines: each wrong entry shows on all of them, and several cancel on one with probability ½ at most."""
NEAR, FAR = 2.0**-5, 2.0**-3
"""How far the points near x lie from it, relative to each number."""
PRINTED = 300
"""Numbers of a point that is printed."""


class GradientError(AssertionError):
    """A derivative is wrong, or could not be judged; the message says how, with the case to paste.

    Attributes:
        result: what `verify` found; None from `assert_gradient`.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        """The message, and what was found."""
        super().__init__(message)
        self.result = result


@dataclass(frozen=True)
class Seen:
    """How closely a right gradient was looked at.

    Attributes:
        could_have_seen: the relative error of a typical entry that would have failed at x; where the gradient is 0
            there, that of a line at a point near it, or the absolute error where it is 0 everywhere.
        points: at how many points it was compared, x and those near it.
        calls: how often the function was called.
    """

    could_have_seen: float
    points: int
    calls: int

    def __str__(self) -> str:
        """A sentence."""
        near = f" and at {self.points - 1} points near it" if self.points > 1 else ""
        return (
            f"The gradient is right at x{near}: an error of {self.could_have_seen:.0e} in a typical entry would have "
            f"failed ({self.calls} calls)."
        )


def assert_gradient(
    function: Callable[[Any], Any],
    gradient: Callable[[Any], Any],
    x: ArrayLike,
    *,
    nearby: int = 2,
    seed: int = 0,
) -> Seen:
    """Assert that a function of one array has this gradient, or this Jacobian, at x and near it.

        assert_gradient(rosenbrock, rosenbrock_slope, [-1.2, 1.0])

    The function's own values decide, so it is called some hundred times; with complex numbers too, of which it may make
    what it likes. Arguments are copies. The answer is the same each time.

    Args:
        function: of an array in the shape of x; returns a number or an array, of floats.
        gradient: of the same; returns an array in the shape of what the function returns, followed by that of x.
        x: the point, an array of any shape (whole numbers are taken for floats), or a number.
        nearby: at so many points near x the gradient is compared as well, along random lines: at a point such as
            [1, 1, 1] or 0 much that is wrong looks right. Those where the function has no finite value are left out.
        seed: of these points and lines.

    Returns:
        How closely it was looked at: the smallest error that would have failed.

    Raises:
        GradientError: an AssertionError, where it is wrong, or where nothing can be said: the function gives other
            values for the same x, or such as hide every slope.
        TypeError: where the first two arguments are no functions.
        ValueError: where x is empty or not finite, or the function has no finite value there.
    """
    __tracebackhide__ = True
    for one, what in ((function, "function"), (gradient, "gradient")):
        if not callable(one):
            raise TypeError(f"The {what} has to be a function, as in assert_gradient(f, grad, x).")
    point = np.array(x)
    point = point.astype(float) if point.dtype.kind in "iub" else point
    if point.dtype.kind != "f" or not point.size or not np.isfinite(point).all():
        raise ValueError("x has to be an array of finite floats, with one number at least.")
    with as_it_was(), kept(StringIO()):
        return _Assertion(function, gradient, seed).at(point, nearby)


class _Assertion:
    """A function with its gradient."""

    def __init__(self, function: Callable[[Any], Any], gradient: Callable[[Any], Any], seed: int) -> None:
        self._function, self._gradient, self._seed = function, gradient, seed
        self._calls = 0
        self._names = _name(function, "f"), _name(gradient, "grad")

    def at(self, x: Array, nearby: int) -> Seen:
        __tracebackhide__ = True
        if not np.isfinite(self._value(x)).all():
            raise ValueError(f"{self._names[0]} has no finite value at x: take another point.")
        measured = self._measured(x, ENTRIES)
        found, seen = self._compared(x, measured)
        if not found.holds:
            raise GradientError(self._told(x, "At x"))
        reached = [seen]
        for near in self._near(x, nearby):
            found, seen = self._compared(near, self._measured(near, 0))
            reached.append(seen)
            if not found.holds:
                raise GradientError(self._told(near, "At x no difference is seen. Near it"))
        # Where the gradient is 0, as at a minimum, no relative error can be seen; beside it one can.
        told = next((one for one in reached if one < 1), None)
        if told is None:
            raise GradientError(
                f"Nothing can be said of {self._names[1]}: the values of {self._names[0]} around x are such that a "
                "gradient of 0 would look the same."
            )
        return Seen(told, len(reached), self._calls)

    def _value(self, x: Array) -> Array:
        """What the function returns, an array of floats. Raises ValueError."""
        self._calls += 1
        y = np.asarray(self._function(np.array(x) if x.ndim else x[()]))
        if y.dtype.kind not in "fc" and y.dtype.kind not in "iu":
            raise ValueError(f"{self._names[0]} has to return a number or an array of floats, not {y.dtype}.")
        return y.astype(float) if y.dtype.kind in "iu" else y

    def _near(self, x: Array, count: int) -> Iterator[Array]:
        """Points beside x at which the function has finite values; a 0 moves as far as the largest number does."""
        rng = np.random.default_rng(self._seed)
        sizes = np.where(x != 0, np.abs(x), np.abs(x).max() or 1.0)
        for _ in range(count):
            moved = rng.uniform(NEAR, FAR, x.shape) * rng.choice([-1.0, 1.0], x.shape)
            near = np.asarray(x + moved * sizes, x.dtype)
            try:
                is_finite = bool(np.isfinite(self._value(near)).all())
            except Exception:  # noqa: BLE001  (whatever it is: there is no value)
                is_finite = False
            if is_finite:
                yield near

    def _measured(self, x: Array, entries: int) -> Slopes:
        """The columns of the Jacobian. Raises GradientError."""
        __tracebackhide__ = True

        def values(arrays: list[Array]) -> list[Array]:
            try:
                return [self._value(arrays[0])]
            except Exception as error:  # noqa: BLE001  (beside x, and of complex numbers, it need not have any)
                raise ValueError(str(error)) from None

        try:
            return slopes(values, [x], entries=entries, lines=LINES, seed=self._seed)
        except NotRepeatableError:
            raise GradientError(
                f"{self._names[0]} gives other values for the same x: fix what is random in it."
            ) from None

    def _compared(self, x: Array, measured: Slopes) -> tuple[Comparison, float]:
        """How the gradient compares with what was measured along each line, and the error that would have failed."""
        __tracebackhide__ = True
        given = self._given(x, measured.shapes[0]).reshape(-1, x.size)  # (outputs, numbers of x)
        value, error, opened = measured.columns()  # (lines, outputs)
        along = np.array([one.parts[0].reshape(-1) / one.length for one in measured.directions])
        with np.errstate(all="ignore"):
            # Each entry may be off by some units in its last place, and adding them up along a line rounds as well.
            rounding = (8 + np.log2(x.size)) * measured.roundoff * (np.abs(along) @ np.abs(given).T)
            parts = [{"": part} for part in (value, error + rounding, opened)]
            found = compare({"": along @ given.T}, *parts)
        seen = resolution(*parts)
        return found, float((error + opened).max(initial=0)) if seen is None else seen

    def _given(self, x: Array, shape: tuple[int, ...]) -> Array:
        """What the gradient returns, in the shape that it has to have. Raises GradientError."""
        __tracebackhide__ = True
        name, wanted = self._names[1], (*shape, *x.shape)
        found = np.asarray(self._gradient(np.array(x) if x.ndim else x[()]))
        what = f"an array of shape {wanted}" if wanted else "a number"
        if found.dtype.kind not in "fiu":
            raise GradientError(f"{name} has to return {what}, of floats, not {found.dtype}.")
        if found.shape != wanted and not (np.prod(shape) == 1 and found.shape == x.shape):
            hint = ": it looks transposed" if found.ndim > 1 and found.shape == wanted[::-1] else ""
            raise GradientError(
                f"{name} returns an array of shape {found.shape}, and has to return {what}{hint}."
            )
        return found.astype(float)

    def _told(self, x: Array, where: str) -> str:
        """How it is wrong at a point, by the entries where they can be looked for, with the point to paste."""
        f, name = self._names
        measured = self._measured(x, NAMED if x.size <= NAMED else 0)
        found, _ = self._compared(x, measured)
        entries = [i for i, one in enumerate(measured.directions) if one.entry is not None]
        told = ""
        if len(entries) == x.size:
            given = self._given(x, measured.shapes[0])
            right = [part[entries].T.reshape(given.shape) for part in measured.columns()]
            entry = compare({name: given}, *({name: part} for part in right))
            told = "" if entry.holds else f"{entry.worst}. Wrong are {entry.census()}."
        if not told and found.worst is not None:
            is_now, should = told_apart(found.worst.actual, found.worst.expected)
            told = f"along a direction through all numbers at once {name} gives {is_now}, and should give {should}."
        case = f"x = {literal(x)}" if x.size <= PRINTED else f"# x has {x.size} numbers"
        return f"{where}, {told}\n\nimport numpy as np\n\n{case}\nprint({name}(x))  # the derivative of {f}"


def _name(function: Callable[..., Any], instead: str) -> str:
    name = str(getattr(function, "__name__", ""))
    return name if name.isidentifier() else instead
