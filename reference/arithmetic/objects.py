"""A program read in numbers of Python, such as fractions and balls: NumPy's arrays of objects."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from reference.arithmetic import floats
from reference.arithmetic.reading import Arithmetic, UndecidedError

Array = np.ndarray[Any, Any]


class Objects(Arithmetic):
    """Every float becomes an object; integers and truth values stay what they are."""

    def element(self, number: float) -> Any:
        """A finite float as a number."""
        raise NotImplementedError

    def whole(self, number: Any) -> int:
        """A number cut to a whole one."""
        return math.trunc(number)

    def number(self, array: Any) -> Array:
        """An array as numbers; what is infinite stays a float, and lies above or below all of them."""
        array = np.asarray(array)
        if array.dtype.kind != "f":
            return array

        def element(x: float) -> Any:
            return self.element(float(x)) if math.isfinite(x) else float(x)

        return np.asarray(np.frompyfunc(element, 1, 1)(array), object)

    def constant(self, array: Array) -> Array:
        """A constant as numbers."""
        return self.number(array)

    def step(self, step: Any, found: list[Any]) -> None:
        """Read one equation; NumPy hands out an array without axes as a bare object."""
        super().step(step, found)
        for slot in step.outputs:
            if not isinstance(found[slot], np.ndarray | np.generic):
                found[slot] = np.asarray(found[slot], bool if isinstance(found[slot], bool) else object)


def converted(arithmetic: Objects, x: Array, *, new_dtype: Any) -> Array:
    """To objects, to whole numbers, or to truth values."""
    kind = np.dtype(new_dtype).kind
    if x.dtype.kind != "O":
        return arithmetic.number(x.astype(float)) if kind == "f" else x.astype(new_dtype)
    if kind == "f":
        return x
    return (
        np.asarray(x != 0)
        if kind == "b"
        else np.asarray(np.frompyfunc(arithmetic.whole, 1, 1)(x)).astype(new_dtype)
    )


def positions(arithmetic: Objects, *, dtype: Any, shape: Sequence[int], dimension: int) -> Array:
    """Positions along an axis."""
    return arithmetic.number(floats.iota(dtype=dtype, shape=shape, dimension=dimension))


def _eliminated(a: Array, b: Array) -> tuple[Array, Any]:
    """A⁻¹ B and det A of one matrix, by Gauss and Jordan's elimination with the first pivot that is not 0."""
    a, b, product = a.copy(), b.copy(), 1
    for k in range(len(a)):
        pivot = next((i for i in range(k, len(a)) if a[i, k] != 0), None)
        if pivot is None:
            raise UndecidedError("a matrix is singular, as far as can be told")
        if pivot != k:
            a[[k, pivot]], b[[k, pivot]], product = a[[pivot, k]], b[[pivot, k]], -product
        product = product * a[k, k]
        a[k], b[k] = a[k] / a[k, k], b[k] / a[k, k]
        for i in range(len(a)):
            if i != k:
                factor = a[i, k]
                a[i], b[i] = a[i] - a[k] * factor, b[i] - b[k] * factor
    return b, product


def solved(a: Array, b: Array) -> Array:
    """A⁻¹ B, (..., n, m)."""
    found = np.empty(b.shape, object)
    for place in np.ndindex(a.shape[:-2]):
        found[place], _ = _eliminated(a[place], b[place])
    return found


def determinant(a: Array) -> Array:
    """(...,), of (..., n, n)."""
    found = np.empty(a.shape[:-2], object)
    for place in np.ndindex(a.shape[:-2]):
        _, found[place] = _eliminated(a[place], a[place][:, :0])
    return found


RULES = {
    **floats.RATIONAL,
    "convert_element_type": converted,
    "iota": positions,
    "solve": floats.plain(solved),
    "det": floats.plain(determinant),
}
"""Those of any numbers, with what makes numbers."""
