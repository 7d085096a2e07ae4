"""A program read in fractions: the exact answer for programs of + - × ÷ max, comparisons and moves.

The witness reads the forward pass alone, in dual numbers of fractions: a + bε with ε² = 0, of which b is the exact
derivative along a direction (W. K. Clifford, 1873). It shares with the VJP program only the forward pass: ⟨dy, J v⟩
and ⟨Jᵀdy, v⟩ are the same fraction, or one of the two is wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from reference.arithmetic import objects
from reference.arithmetic.objects import Objects
from reference.arithmetic.reading import UndecidedError, UnknownPrimitiveError
from reference.program import Derivative, Sizes

Array = np.ndarray[Any, Any]


class Fractions(Objects):
    """Fractions; a primitive that is not rational is refused."""

    name = "exact"
    rules = objects.RULES

    def element(self, number: float) -> Any:
        """Every finite float is a fraction."""
        return Fraction(number)


@dataclass(frozen=True, eq=False)
class Dual:
    """a + bε, with ε² = 0."""

    real: Any
    slope: Any = Fraction(0)

    @classmethod
    def of(cls, number: Any) -> "Dual":
        """A constant has no slope."""
        return number if isinstance(number, Dual) else cls(number)

    def __add__(self, other: Any) -> "Dual":
        """(a + c) + (b + d) ε."""
        other = self.of(other)
        return type(self)(self.real + other.real, self.slope + other.slope)

    def __mul__(self, other: Any) -> "Dual":
        """(a c) + (a d + b c) ε."""
        other = self.of(other)
        return type(self)(self.real * other.real, self.real * other.slope + self.slope * other.real)

    def __truediv__(self, other: Any) -> "Dual":
        """q = a/c, and (b - q d)/c ε."""
        other = self.of(other)
        quotient = self.real / other.real
        return type(self)(quotient, (self.slope - quotient * other.slope) / other.real)

    def __neg__(self) -> "Dual":
        """Both parts."""
        return type(self)(-self.real, -self.slope)

    def __sub__(self, other: Any) -> "Dual":
        """The sum with the negative."""
        return self + -self.of(other)

    def __rsub__(self, other: Any) -> "Dual":
        """A constant less this."""
        return self.of(other) - self

    def __rtruediv__(self, other: Any) -> "Dual":
        """A constant by this."""
        return self.of(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, power: int) -> "Dual":
        """aⁿ + n aⁿ⁻¹ b ε."""
        return type(self)(
            self.real**power, power * self.real ** (power - 1) * self.slope if power else Fraction(0)
        )

    def __abs__(self) -> "Dual":
        """Itself or its negative."""
        return -self if self < 0 else self

    def _apart(self, other: Any) -> tuple[Any, Any]:
        """The real parts to compare, of which a tie between different slopes is a kink."""
        other = self.of(other)
        if self.real == other.real and self.slope != other.slope:
            raise UndecidedError(f"two numbers that are compared are equal, {self.real}: that may be a kink")
        return self.real, other.real

    def __lt__(self, other: Any) -> bool:
        """By the real parts."""
        a, b = self._apart(other)
        return a < b

    def __le__(self, other: Any) -> bool:
        """By the real parts."""
        return not self > other

    def __gt__(self, other: Any) -> bool:
        """By the real parts."""
        a, b = self._apart(other)
        return a > b

    def __ge__(self, other: Any) -> bool:
        """By the real parts."""
        return not self < other

    def __eq__(self, other: object) -> bool:
        """By the real parts."""
        a, b = self._apart(other)
        return a == b

    __hash__ = None  # pyright: ignore[reportAssignmentType]  (equal numbers may differ in their slopes)


class OneSided(Dual):
    """a + bε for an ε above 0 and below every other number: where two real parts are equal, the slopes decide.

    So at a kink b is the slope on the one side to which the number moves.
    """

    def _apart(self, other: Any) -> tuple[Any, Any]:
        """Both parts, of which the first that differ decide."""
        other = self.of(other)
        return (self.real, self.slope), (other.real, other.slope)


class Duals(Objects):
    """Dual numbers; a kink is an `UndecidedError`."""

    name = "dual"
    rules = objects.RULES

    def element(self, number: float) -> Any:
        """A constant."""
        return Fraction(number)

    def whole(self, number: Any) -> int:
        """The real part cut."""
        return int(Dual.of(number).real)

    def along(self, array: Array, tangent: Array) -> Array:
        """An input that moves along a tangent; both are floats."""
        dual = np.frompyfunc(Dual, 2, 1)
        return np.asarray(dual(self.number(array), self.number(tangent)), object)


def _fractions(arrays: Sequence[Array], part: Callable[[Any], Any]) -> list[Array]:
    """Fractions out of a result; an infinity has made others into floats."""

    def fraction(number: Any) -> Fraction:
        number = part(number)
        if isinstance(number, float):
            raise UnknownPrimitiveError("exact can't read a program whose result depends on an infinity")
        return Fraction(number)

    return [np.asarray(np.frompyfunc(fraction, 1, 1)(array), object) for array in arrays]


def vjp(known: Derivative, inputs: Sequence[Array], cotangents: Sequence[Array], sizes: Sizes) -> list[Array]:
    """The outputs and the gradients of all differentiable inputs, in fractions.

    Args:
        known: the derivative of an operation.
        inputs: its inputs, in order; floats are taken as the fractions that they are.
        cotangents: one for each differentiable output.
        sizes: of its axes.

    Raises:
        UnknownPrimitiveError: where the program is not rational.
    """
    exact = Fractions()
    values = [exact.number(one) for one in (*inputs, *cotangents)]
    return _fractions(exact.read(known.program, values, sizes), Fraction)


def jvp(known: Derivative, inputs: Sequence[Array], tangents: Sequence[Array], sizes: Sizes) -> list[Array]:
    """How the differentiable outputs change along tangents, one for each differentiable input, in fractions.

    Raises:
        UnknownPrimitiveError: where the forward pass is not rational.
        UndecidedError: at a kink.
    """
    duals = Duals()
    moving = dict(zip(known.differentiable, tangents, strict=True))
    values: list[Any] = [
        duals.along(one, moving[place]) if place in moving else duals.number(one)
        for place, one in enumerate(inputs)
    ]
    values += [None] * (len(known.program.inputs) - len(values))  # the forward pass has no cotangents
    outputs = duals.read(known.program.first(known.outputs), values, sizes)
    return _fractions([outputs[place] for place in known.pulled], lambda number: Dual.of(number).slope)


def inner(left: Sequence[Array], right: Sequence[Array]) -> Any:
    """The sum of products over all entries of arrays in fractions."""
    return sum((np.sum(a * b) for a, b in zip(left, right, strict=True)), start=Fraction(0))
