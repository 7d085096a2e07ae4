"""A program read in numbers of Python, such as fractions and balls: NumPy's arrays of objects."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from reference.arithmetic import floats
from reference.arithmetic.reading import Arithmetic

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


RULES = {**floats.RATIONAL, "convert_element_type": converted, "iota": positions}
"""Those of any numbers, with what makes numbers."""
