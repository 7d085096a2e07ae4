"""What a subject returns, held against the contract: one sentence for whatever breaks it."""

from typing import Any

import numpy as np

from harness.worker import Unsupported
from properties.cases import Array, Case, Parameters
from properties.search import Inconclusive, NoGradient, Undefined


class ContractError(NoGradient):
    """The subject breaks the contract; the message is one sentence for its author.

    Where a shape is wrong, `array` is dW1, db1, ... and the shapes are what was given and what was wanted.
    """

    def __init__(
        self,
        sentence: str,
        array: str = "",
        given_shape: tuple[int, ...] = (),
        wanted_shape: tuple[int, ...] = (),
    ) -> None:
        """As the fields."""
        super().__init__(sentence)
        self.array = array
        self.given_shape = given_shape
        self.wanted_shape = wanted_shape


class UndefinedError(ContractError, Undefined):
    """A library refuses the numbers of a call, as of a singular matrix: nothing is returned, and that may be right."""


def read_gradient(value: Any, case: Case, function: str = "gradient") -> Parameters:
    """What `function` returned as [(dW, db), ...] in the shapes of the case's parameters.

    Raises:
        ContractError: naming the first array that is missing, or is not what it should be.
    """
    count = len(case.parameters)
    if not isinstance(value, list | tuple) or isinstance(value, Unsupported):
        raise ContractError(
            f"{function} has to return a list of (dW, db), one for each layer, not {_a(value)}."
        )
    if len(value) != count:
        raise ContractError(
            f"{function} returns {len(value)} {_plural('pair', len(value))} for {count} {_plural('layer', count)}: "
            "it has to be one (dW, db) for each layer, in the order of the parameters."
        )
    gradient: Parameters = []
    for number, (pair, (W, b)) in enumerate(zip(value, case.parameters, strict=True), start=1):
        if not isinstance(pair, list | tuple) or len(pair) != 2:  # noqa: PLR2004  (a pair)
            raise ContractError(
                f"layer {number} of what {function} returns has to be a pair (dW, db), not {_a(pair)}."
            )
        dW = _array(pair[0], W, f"dW of layer {number}", case)
        if b is None:
            if pair[1] is not None:
                raise ContractError(
                    f"db of layer {number} has to be None, since the layer has no bias (b is None)."
                )
            gradient.append((dW, None))
        else:
            gradient.append((dW, _array(pair[1], b, f"db of layer {number}", case)))
    return gradient


def of_numbers(value: Any, shape: tuple[int, ...]) -> Any:
    """Nested lists of numbers, or a list of arrays, as the array of that shape; what makes none stays as it is."""
    if not isinstance(value, list | tuple):
        return value
    try:
        array = np.array(value)
    except ValueError:  # of different lengths
        return value
    is_it = array.shape == shape and array.dtype.kind in "fiu"
    return array.astype(array.dtype if array.dtype.kind == "f" else np.float64) if is_it else value


def _array(value: Any, parameter: Array, name: str, case: Case) -> Array:
    value = of_numbers(value, parameter.shape)
    if value is None:
        raise ContractError(f"{name} is None; it has to be an array of shape {parameter.shape}.")
    if isinstance(value, Unsupported | list | tuple):
        raise ContractError(f"{name} is {_a(value)}; it has to be an array of shape {parameter.shape}.")
    array = np.asarray(value)
    if array.dtype.kind != "f":
        raise ContractError(
            f"{name} has dtype {array.dtype}; it has to hold floats, as {parameter.dtype} does."
        )
    if array.shape != parameter.shape:
        raise ContractError(
            f"{name} has shape {array.shape}, and the parameter has {parameter.shape}"
            f"{_guess(array.shape, parameter.shape, case)}.",
            name.replace(" of layer ", ""),
            array.shape,
            parameter.shape,
        )
    if np.finfo(array.dtype).eps > np.finfo(parameter.dtype).eps:
        raise ContractError(
            f"{name} is {array.dtype} where the parameters are {parameter.dtype}: digits are lost."
        )
    return array


def _guess(given: tuple[int, ...], wanted: tuple[int, ...], case: Case) -> str:
    """What the shape looks like, where that is plain."""
    if given == wanted[::-1] and len(wanted) > 1:
        return ": it looks transposed"
    if given == (1, *wanted):  # of a batch of one, nobody knows which axis it is
        return ": drop keepdims" if case.samples > 1 else ": it has an axis of length 1 too many"
    if given == (case.samples, *wanted):
        return f": it looks as if it was not summed over the batch of {case.samples}"
    if wanted == (given[-1:] or ()) or given == (*wanted, 1):
        return ": it has one axis too many"
    return ""


def check_finite(gradient: Parameters, case: Case) -> None:
    """Raise `ContractError` where an entry is NaN or infinite although the truth is finite."""
    if all(array is None or np.isfinite(array).all() for pair in gradient for array in pair):
        return
    if case.overflows:
        raise Inconclusive("the numbers overflow")
    for number, arrays in enumerate(gradient, start=1):
        for array, name in zip(arrays, ("dW", "db"), strict=True):
            if array is None or np.isfinite(array).all():
                continue
            what = "NaN" if np.isnan(array).any() else "inf"
            count = int((~np.isfinite(array)).sum())
            raise ContractError(
                f"{name} of layer {number} has {what} in {count} of {array.size} entries, where the right gradient "
                "is finite."
            )


def read_loss(value: Any) -> float:
    """What `loss` returned, as a number.

    Raises:
        ContractError: where it is no single number.
    """
    if isinstance(value, Unsupported | list | tuple) or value is None:
        raise ContractError(f"loss has to return one number, not {_a(value)}.")
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise ContractError(
            f"loss has to return one number, not an array of shape {array.shape} ({array.dtype})."
        )
    return float(array.reshape(()))


def _a(value: Any) -> str:
    """What a value is, in words: `a number`, `an array of shape (2, 3)`, `a tuple of 3`."""
    match value:
        case None:
            return "None"
        case Unsupported():
            return str(value.type_name)
        case np.ndarray():
            return f"an array of shape {value.shape}"
        case list() | tuple():
            return f"a {type(value).__name__} of {len(value)}"
        case bool():
            return str(value)
        case _:
            return "a number"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else word + "s"
