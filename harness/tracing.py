"""Read a subject's forward pass as a program: in a worker, under an interpreter that has JAX.

`worker.py` loads this file by its path where it is asked for a program, so it stands alone, as that one does. NumPy's
functions let an array of another kind answer for itself (`__array_ufunc__`, `__array_function__`): `Traced` is such an
array, and answers with the function of that name in `jax.numpy`, or with NumPy's own where no traced number is
involved. So a forward pass runs as it is. Those of NumPy's functions that make an array out of numbers and shapes don't
ask; while a forward pass is traced, its modules see a NumPy in which these make a `Traced` (`numpy_seen`).

A forward pass that asks a traced number for its value (a branch, float(), compiled code) can't be traced: whatever it
raises then ends the attempt. One that writes through a view that is no slice is traced wrongly; the judge holds the
program's values and slopes against those of the forward pass itself, and trusts it no further.

What travels is data: equations by the names of their primitives, parameters, constants (`reference.transcript`).
"""

from __future__ import annotations

import ast
import importlib
import linecache
import operator
import re
import sys
import traceback
import types
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

MOST = 500  # equations; a longer program costs more to differentiate than its values to difference
LONGEST = 200  # characters of a line that is told
EXPRESSION = 60  # characters of an expression that is told
INLINED = {  # calls, and the parameter that holds what they call
    **dict.fromkeys(
        ("jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint", "custom_lin"), "jaxpr"
    ),
    "custom_jvp_call": "call_jaxpr",  # the function itself: a rule for its derivative is the subject's word
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}
WHOLE = frozenset(  # functions of JAX that are one step: `reference.transcript` has their derivatives
    {"logaddexp", "logaddexp2", "xlogy", "xlog1py", "solve", "inv", "det", "slogdet"}
)
THE_SAME = frozenset({"copy", "copy_p", "optimization_barrier", "stop_gradient"})  # as the values have it
UNUSED = frozenset({"update_jaxpr", "update_consts"})  # of a scatter: its name says how it combines
REDUCTIONS = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min"}
MOVES = frozenset(
    {"sliding_window_view"}
)  # of NumPy alone, which move numbers: where to is asked of their positions
MAKERS = (  # functions of NumPy that make an array, and don't ask what they make it of
    *("array", "asarray", "asanyarray", "ascontiguousarray", "zeros", "ones", "empty", "full", "eye", "identity"),
    *("arange", "linspace", "tri", "zeros_like", "ones_like", "empty_like", "full_like"),
)  # fmt: skip

ASKING = frozenset(  # errors of JAX
    {"ConcretizationTypeError", "TracerArrayConversionError", "TracerIntegerConversionError"}
)
LIBRARIES = frozenset({"math", "scipy"})  # whose functions don't ask an array to answer for itself
RENAMED = {"lgamma": "gammaln", "psi": "digamma"}  # in math and SciPy, and in JAX

HERE = Path(__file__).resolve()

Value = Any  # of the subject
Index = Any


class UntraceableError(Exception):
    """The forward pass can't be read as a program; the message says why."""


def told(error: Exception, folder: str) -> str:
    """Why an attempt to trace ended with an error, and at which line of the subject, on one line."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = [
        f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        for frame in frames
        if is_own(Path(frame.f_code.co_filename), folder)
    ]
    kinds = {kind.__name__ for kind in type(error).__mro__}
    where = f" at {own[-1]}" if own else ""
    if kinds & ASKING:
        return f"the value of a number is asked for{where}, as by float() or an if"
    if isinstance(error, UntraceableError):
        return f"{error}{where and f' ({own[-1]})'}"
    first = next(iter(str(error).splitlines()), "")
    return f"it raises {type(error).__name__}{where}{first and f': {first}'}"


def framework(name: str) -> Any:
    """The interpreter's own JAX, or a part of it: we know it by name alone, as `adapters` does."""
    return importlib.import_module(name)


def jax() -> Any:
    """The whole of it, which takes a second to import."""
    return framework("jax")


# --- arrays that are traced ------------------------------------------------------------------------------------


class Traced(NDArrayOperatorsMixin):
    """An array of JAX, or one of NumPy that may become one when a traced number is written into it.

    A slice is a view, as in NumPy: writing into it changes what it is a slice of.
    """

    def __init__(self, value: Value, base: Traced | None = None, index: Index = None) -> None:
        """A value, or a slice of another."""
        self._own, self._base, self._index = value, base, index
        self._whole = None if base is None else base.value  # what the slice was taken of

    @property
    def value(self) -> Value:
        """The array itself."""
        if self._base is not None and self._base.value is not self._whole:
            self._whole = self._base.value
            self._own = self._whole[self._index]
        return self._own

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Value, out: tuple[Value, ...] | None = None, **keywords: Value
    ) -> Value:
        """NumPy's ufuncs, and those of SciPy, of a traced array."""
        if method == "at":
            return self._at(ufunc, *inputs)
        given, keywords = plain(inputs), plain(keywords)
        if not is_traced((given, keywords)):
            result = getattr(ufunc, method)(*given, **keywords)
        elif method == "__call__":
            result = counterpart(ufunc.__name__)(*given, **keywords)
        elif method == "reduce" and ufunc.__name__ in REDUCTIONS:
            axis = keywords.pop("axis", given[1] if len(given) > 1 else 0)
            result = counterpart(REDUCTIONS[ufunc.__name__])(given[0], axis=axis, **keywords)
        else:
            result = getattr(counterpart(ufunc.__name__), method)(*given, **keywords)
        if out is None or not isinstance(out[0], Traced) or out[0].ndim == 0:  # `s += 1` makes another number
            return wrapped(result)
        out[0][...] = result
        return out[0]

    def _at(self, ufunc: Any, array: Value, index: Index, value: Value) -> None:
        """np.add.at, np.subtract.at."""
        if not isinstance(array, Traced) or ufunc.__name__ not in {"add", "subtract"}:
            raise UntraceableError(f"{ufunc.__name__}.at is not read")
        added = plain(value) if ufunc.__name__ == "add" else -plain(value)
        array.replace(jax().numpy.asarray(array.value).at[of_arrays(index)].add(added))

    def __array_function__(
        self, function: Callable[..., Value], kinds: Any, args: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        """NumPy's other functions."""
        del kinds
        if function.__name__ in IN_PLACE:
            return IN_PLACE[function.__name__](*args, **keywords)
        if isinstance(out := keywords.get("out"), Traced):
            out[...] = self.__array_function__(function, (), args, {**keywords, "out": None})
            return out
        if function.__name__ in ("zeros_like", "ones_like", "empty_like"):  # of the shape alone
            shape = plain(args[0].shape)
            if is_traced(shape):
                return wrapped(counterpart(function.__name__)(*plain(args), **plain(keywords)))
            of_shape = np.empty(shape, str(args[0].dtype))
            return wrapped(function(of_shape, *plain(args[1:]), **plain(keywords)))
        args, keywords = plain(tuple(args)), plain(dict(keywords))
        if not is_traced((args, keywords)):
            return wrapped(function(*args, **keywords))
        keywords = {name: one for name, one in keywords.items() if name != "out"}
        return wrapped(_of_traced(function, args, keywords))

    def __jax_array__(self) -> Value:
        """For functions of JAX that the subject calls itself."""
        return jax().numpy.asarray(self.value)

    def __array__(self, *args: Value, **keywords: Value) -> Any:
        """For code that has to have numbers, which there are only where none is traced."""
        return np.asarray(self.value).__array__(*args, **keywords)

    def __getattr__(self, name: str) -> Value:
        """The attributes and methods that JAX's arrays have too."""
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self.value, name)
        return self._method(name) if callable(found) else wrapped(found)

    def _method(self, name: str) -> Callable[..., Value]:
        """NumPy's own where no number is traced: its arrays take none, as in `zeros.dot(x)`."""

        def answer(*args: Value, **keywords: Value) -> Value:
            args, keywords = plain(args), plain(keywords)
            array = jax().numpy.asarray(self.value) if is_traced((args, keywords)) else self.value
            return wrapped(getattr(array, name)(*args, **keywords))

        return answer

    @property
    def flat(self) -> Value:
        """To be read."""
        return self.reshape(-1)

    def item(self, *index: int) -> Value:
        """One number, which stays traced."""
        return self.flat[index[0]] if len(index) == 1 else self[index] if index else self.reshape(())

    def fill(self, value: Value) -> None:
        """As an assignment."""
        self[...] = value

    def __getitem__(self, index: Index) -> Value:
        """A view of a slice, and a copy of what is none."""
        index = of_arrays(index)
        value = self.value
        if is_mask(index):
            return Selected(jax().numpy.where(of_mask(index, value), value, 1), index)
        found = value[index]
        if np.ndim(found) == 0 or not is_slice(index):
            return wrapped(found)
        return Traced(found, self, index)

    def __setitem__(self, index: Index, new: Value) -> None:
        """In place: what this is a slice of has it too."""
        index, new = of_arrays(index), plain(new)
        value = self.value
        if is_traced((value, index, new)):
            self.replace(assigned(value, index, new))
        else:
            value[index] = new

    def replace(self, value: Value) -> None:
        """Another value for this array, and for what it is a slice of."""
        if self._base is None:
            self._own = value
        else:
            self._base.replace(assigned(self._base.value, self._index, value))

    def __len__(self) -> int:
        """Along the first axis."""
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Value]:
        """Row by row."""
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        """Of a number that is not traced."""
        return bool(self.value)

    def __int__(self) -> int:
        """As `__bool__`."""
        return int(self.value)

    def __float__(self) -> float:
        """As `__bool__`."""
        return float(self.value)

    def __index__(self) -> int:
        """As `__bool__`."""
        return self.value.__index__()

    def __hash__(self) -> int:
        """One array is not another."""
        return id(self)


class Size(NDArrayOperatorsMixin):
    """A size that is a symbol, or is made of such, as `x.shape` has them while a program is traced for all sizes.

    What asks for its number (`range(n)`, `if n > 2`, `float(n)`) ends the attempt: then each size is traced anew.
    """

    def __init__(self, value: Value) -> None:
        """A symbolic dimension of JAX."""
        self.value = value

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Value, **keywords: Value) -> Value:
        """Of sizes and whole numbers another size, or a comparison; else a number that is traced."""
        traced = next((one for one in inputs if isinstance(one, Traced)), None)
        if traced is not None:
            return traced.__array_ufunc__(ufunc, method, *inputs, **keywords)
        given = plain(inputs)
        if (
            method == "__call__"
            and ufunc.__name__ in OF_SIZES
            and not any(isinstance(one, float) for one in given)
        ):
            return wrapped(OF_SIZES[ufunc.__name__](*given))
        return wrapped(counterpart(ufunc.__name__)(*map(jax().numpy.asarray, given), **plain(keywords)))

    def __hash__(self) -> int:
        """As the dimension."""
        return hash(self.value)


def _equal(one: Value, other: Value) -> bool:
    """Whether two sizes are the same, whatever they are: of symbols that may be, JAX would say no."""
    return not one < other and not one > other


OF_SIZES: Mapping[str, Callable[..., Value]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "floor_divide": operator.floordiv, "remainder": operator.mod,
    "less": operator.lt, "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge,
    "equal": _equal, "not_equal": lambda one, other: not _equal(one, other),
}  # fmt: skip
"""What sizes do as whole numbers do, by NumPy's names."""


def is_size(value: Value) -> bool:
    """Whether it is a symbolic dimension of JAX."""
    return type(value).__name__ == "_DimExpr"


def length(value: Value) -> Value:
    """What `len` is while a program is traced: Python's own has to be a number."""
    return value.shape[0] if isinstance(value, Traced) else len(value)


def _of_traced(function: Callable[..., Value], args: Sequence[Value], keywords: Mapping[str, Value]) -> Value:
    """What JAX's counterpart of a function of NumPy gives."""
    if function.__name__ in MOVES:
        array, *others = args
        return array.reshape(-1)[function(np.arange(array.size).reshape(array.shape), *others, **keywords)]
    if function.__name__ == "insert" and isinstance(args[1], int) and (len(args) == 4 or "axis" in keywords):  # noqa: PLR2004
        return _inserted(*args, **keywords)
    if function.__name__ in COUNTED:
        return COUNTED[function.__name__](*args, **keywords)
    if function is np.linalg.cholesky:  # of which the lower triangle counts; JAX's takes the mean of both
        return counterpart("cholesky", "jax.scipy.linalg")(*args, lower=not keywords.get("upper", False))
    if function.__name__ == "pad" and len(args) > 1 and not is_traced(args[1]):  # widths in a short form
        args = (args[0], np.broadcast_to(args[1], (args[0].ndim, 2)).tolist(), *args[2:])
    inner = str(function.__module__).partition(".")[2].replace("lib", "").strip("._")
    answer = counterpart(function.__name__, f"jax.numpy.{inner}")
    try:
        return answer(*args, **keywords)
    except TypeError:  # which takes no lists of numbers
        return answer(*(one if is_traced(one) else of_arrays(one) for one in args), **keywords)


def _inserted(array: Value, place: int, values: Value, axis: int) -> Value:
    """What is inserted before a place, without a scatter."""
    jnp = jax().numpy
    before, after = jnp.split(array, [place], axis=axis)
    shape = (*array.shape[:axis], 1, *array.shape[axis:][1:])
    return jnp.concatenate([before, jnp.broadcast_to(values, shape), after], axis=axis)


def _counts(labels: Value, weights: Value = None, minlength: Value = 0) -> Value:
    """np.bincount, as if no label were as large as the least length: where one is, the values are others."""
    if isinstance(minlength, int) and minlength == 0:
        raise UntraceableError("how many numbers bincount counts is asked of its numbers")
    jnp = jax().numpy
    is_there = labels[:, None] == jnp.arange(minlength)
    each = is_there if weights is None else jnp.where(is_there, jnp.asarray(weights)[:, None], 0)
    return each.sum(axis=0)


def _place(among: Value, numbers: Value, side: str = "left") -> Value:
    """np.searchsorted, by counting the numbers before."""
    jnp = jax().numpy
    numbers, among = jnp.asarray(numbers), jnp.asarray(among)
    before = among < numbers[..., None] if side == "left" else among <= numbers[..., None]
    return before.sum(axis=-1)


def _bin(numbers: Value, bins: Value, right: Value = 0) -> Value:
    """np.digitize, of bins in increasing order."""
    return _place(bins, numbers, "left" if right else "right")


def _interpolated(x: Value, xp: Value, fp: Value, left: Value = None, right: Value = None) -> Value:
    """np.interp: a line between two neighbours, and constants outside."""
    jnp = jax().numpy
    x, xp, fp = (jnp.asarray(one, "float64") for one in (x, xp, fp))
    i = jnp.clip(_place(xp, x, "right"), 1, xp.size - 1)
    inside = fp[i - 1] + (x - xp[i - 1]) * (fp[i] - fp[i - 1]) / (xp[i] - xp[i - 1])
    above = jnp.where(x > xp[-1], fp[-1] if right is None else right, inside)
    return jnp.where(x < xp[0], fp[0] if left is None else left, above)


COUNTED: Mapping[str, Callable[..., Value]] = {
    "bincount": _counts,
    "searchsorted": _place,
    "digitize": _bin,
    "interp": _interpolated,
}
"""Functions of NumPy of which JAX's has a loop, or a result of a length that depends on numbers."""


def _copied(array: Traced, value: Value) -> None:
    array[...] = value


def _with_diagonal(array: Traced, value: Value) -> None:
    array.replace(
        jax().numpy.where(jax().numpy.eye(*plain(array.shape), dtype=bool), plain(value), array.value)
    )


def _put_along(array: Traced, index: Value, new: Value, axis: int) -> None:
    """Where the place along the axis is the index."""
    index = plain(index)
    if index.shape[axis] != 1:
        raise UntraceableError("put_along_axis puts several numbers in each place")
    places = np.moveaxis(np.arange(array.shape[axis]).reshape(-1, *(1,) * (array.ndim - 1)), 0, axis)
    array.replace(jax().numpy.where(index == places, plain(new), array.value))


IN_PLACE: Mapping[str, Callable[..., None]] = {
    "copyto": _copied,
    "fill_diagonal": _with_diagonal,
    "put_along_axis": _put_along,
}


class Selected(NDArrayOperatorsMixin):
    """What a traced mask selects of an array, `x[x > 0]`: the whole of it, since nobody knows how many there are.

    Entries that are not selected are 1, where no function fails. Two masks are taken for the same: where they are not,
    the program has other values than the forward pass, and is not believed.
    """

    def __init__(self, whole: Value, mask: Value) -> None:
        """The mask is of the array's first axes."""
        self.whole, self.mask = whole, mask

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Value, out: tuple[Value, ...] | None = None
    ) -> Value:
        """Of each entry, with numbers and with what the same mask selects of others."""
        given = [one.whole if isinstance(one, Selected) else plain(one) for one in inputs]
        if method != "__call__" or any(np.ndim(one) not in {0, self.whole.ndim} for one in given):
            raise UntraceableError("what a mask selects is not a number for each entry")
        found = counterpart(ufunc.__name__)(*given)
        if out is None:
            return Selected(found, self.mask)
        self.whole = found
        return self

    def sum(self, axis: int | None = None, **_: Value) -> Value:
        """Over the selected entries."""
        kept = jax().numpy.where(of_mask(self.mask, self.whole), self.whole, 0)
        axes = {None: None, 0: tuple(range(self.mask.ndim))}[axis]
        return wrapped(kept.sum(axis=axes))

    def mean(self, axis: int | None = None, **_: Value) -> Value:
        """As the sum."""
        ones = Selected(jax().numpy.ones_like(self.whole), self.mask)
        return self.sum(axis) / ones.sum(axis)


def is_mask(index: Index) -> bool:
    """Whether it is an array of traced truth values."""
    return is_traced(index) and not isinstance(index, (tuple, slice)) and str(index.dtype) == "bool"


def of_mask(mask: Value, array: Value) -> Value:
    """The mask with as many axes as the array."""
    return mask.reshape(mask.shape + (1,) * (array.ndim - mask.ndim))


def of_arrays(index: Index) -> Index:
    """An index with an array for each list and range in it, which NumPy takes and JAX doesn't."""
    if isinstance(index, tuple):
        return tuple(of_arrays(one) for one in index)
    given = plain(index)
    if isinstance(given, (list, range)):
        return jax().numpy.asarray(given) if is_traced(given) else np.asarray(given, None if given else int)
    return given


def is_slice(index: Index) -> bool:
    """Whether an index makes a view in NumPy."""
    parts = index if isinstance(index, tuple) else (index,)
    basic = (int, np.integer, slice, type(None), type(Ellipsis))
    return all(isinstance(one, basic) and not isinstance(one, bool) for one in parts)


def assigned(value: Value, index: Index, new: Value) -> Value:
    """The array after `value[index] = new`, made of choices: where it is new, and which of the new numbers is there."""
    jnp = jax().numpy
    shape, dtype = np.shape(value), str(value.dtype)
    if index is Ellipsis:
        return jnp.broadcast_to(jnp.asarray(new, dtype), shape)
    if is_traced(index):
        if is_mask(index) and (isinstance(new, Selected) or not np.ndim(new)):
            whole = new.whole if isinstance(new, Selected) else new
            return jnp.where(of_mask(index, value), whole, value).astype(dtype)
        if np.ndim(new):
            return _last_of_each(jnp.asarray(value), index, jnp.asarray(new, dtype))
        hit = jnp.zeros(shape, "int64").at[index].add(1) > 0
        return jnp.where(hit, jnp.asarray(new, dtype), value)
    places = np.arange(int(np.prod(shape))).reshape(shape)[index]
    new = jnp.broadcast_to(jnp.asarray(new, dtype), places.shape)
    if (
        places.size == np.size(places) == int(np.prod(shape))
        and (places.ravel() == np.arange(places.size)).all()
    ):
        return new.reshape(shape)
    hit, source = np.zeros(shape, bool), np.zeros(shape, np.int64)
    hit.reshape(-1)[places.ravel()] = True
    source.reshape(-1)[places.ravel()] = np.arange(places.size)  # of several, the last stays
    return jnp.where(hit, new.reshape(-1)[source], value)


def _last_of_each(value: Value, index: Index, new: Value) -> Value:
    """The array after `value[index] = new` for a traced index: of several numbers for a place the last stays."""
    jnp = jax().numpy
    size = value.size
    places = jnp.arange(size).reshape(value.shape)[index]
    numbers, places = jnp.broadcast_to(new, places.shape).reshape(-1), places.reshape(-1)
    last = jnp.where(jnp.arange(size)[:, None] == places, jnp.arange(places.size), -1).max(axis=1)
    written = jnp.where(last >= 0, numbers[jnp.maximum(last, 0)], value.reshape(-1))
    return written.reshape(value.shape)


def is_traced(value: Value) -> bool:
    """Whether there is an array of JAX in a structure of arguments."""
    if isinstance(value, (tuple, list)):
        return any(map(is_traced, value))
    if isinstance(value, dict):
        return any(map(is_traced, value.values()))
    if isinstance(value, slice):
        return is_traced((value.start, value.stop, value.step))
    return is_size(value) or isinstance(value, jax().Array)


def plain(value: Value) -> Value:
    """The same structure with the arrays themselves in place of `Traced`."""
    if isinstance(value, (Traced, Size)):
        return value.value
    if type(value) in (tuple, list):
        return type(value)(plain(one) for one in value)
    if type(value) is dict:
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, slice):
        return slice(*(plain(one) for one in (value.start, value.stop, value.step)))
    return value


def wrapped(value: Value) -> Value:
    """The same structure with `Traced` in place of the arrays."""
    if isinstance(value, (np.ndarray, jax().Array)):
        return Traced(value)
    if is_size(value):
        return Size(value)
    if isinstance(value, (tuple, list)):
        return [wrapped(one) for one in value] if isinstance(value, list) else tuple(map(wrapped, value))
    return value


def counterpart(name: str, inner: str = "") -> Callable[..., Value]:
    """JAX's function of that name."""
    for place in ("jax.numpy", inner, "jax.scipy.special", "jax.nn"):
        with suppress(ImportError, ValueError):
            found = getattr(framework(place), RENAMED.get(name, name), None)
            if callable(found):  # `fft` is a module as well
                return found
    raise UntraceableError(f"JAX has no {name}")


def made(name: str) -> Callable[..., Value]:
    """A function of NumPy that makes an array, with the array as one that may be written to."""
    function = getattr(np, name)

    def make(*args: Value, **keywords: Value) -> Value:
        if name.endswith("_like") and isinstance(args[0], Traced):
            return function(*args, **keywords)
        args, keywords = plain(args), plain(keywords)
        if not is_traced((args, keywords)):
            return wrapped(function(*args, **keywords))
        return wrapped(
            jax().numpy.array(*args, **keywords) if name == "array" else counterpart(name)(*args, **keywords)
        )

    return make


class Joined:
    """np.c_ and np.r_."""

    def __init__(self, name: str) -> None:
        """One of them."""
        self.name = name

    def __getitem__(self, index: Index) -> Value:
        """JAX's where an array is traced."""
        index = plain(index)
        return wrapped(getattr(jax().numpy if is_traced(index) else np, self.name)[index])


class Library:
    """A module or a distribution of SciPy, or `math`, as a forward pass sees it while it is traced."""

    def __init__(self, own: Value) -> None:
        """What it stands for."""
        self.own = own

    def __getattr__(self, name: str) -> Value:
        """Functions that answer for traced arrays too."""
        return of_library(getattr(self.own, name))


def of_library(value: Value) -> Value:
    """What stands for a module, a distribution or a function of SciPy, or of `math`; anything else for itself."""
    is_module, kind = isinstance(value, types.ModuleType), type(value)
    module = str(value.__name__ if is_module else getattr(value, "__module__", None) or kind.__module__)
    if module.partition(".")[0] not in LIBRARIES or isinstance(value, (type, np.ufunc)):
        return value
    if is_module or not hasattr(value, "__name__"):
        return Library(value)
    owner = getattr(getattr(value, "__self__", None), "name", "")  # `norm` of norm.cdf

    def answer(*args: Value, **keywords: Value) -> Value:
        args, keywords = plain(args), plain(keywords)
        if not is_traced((args, keywords)):
            return wrapped(value(*args, **keywords))
        place = ".".join(["jax", *module.split(".")[:2], *([owner] if owner else [])])
        return wrapped(counterpart(value.__name__, place)(*args, **keywords))

    return answer


class Seen(types.ModuleType):
    """NumPy, as a forward pass sees it while it is traced."""

    def __init__(self) -> None:
        """With its own makers of arrays."""
        super().__init__("numpy")
        self.__dict__.update({name: made(name) for name in MAKERS})
        self.ndarray = (np.ndarray, Traced)  # for isinstance
        self.c_, self.r_ = Joined("c_"), Joined("r_")
        self.ndenumerate = lambda array: ((index, array[index]) for index in np.ndindex(*array.shape))

    def __getattr__(self, name: str) -> Value:
        """What is no maker of arrays."""
        return getattr(np, name)


def stand_ins() -> dict[int, Value]:
    """What stands for NumPy, and for each of its makers of arrays, by their ids."""
    seen = Seen()
    return {id(np): seen, **{id(getattr(np, name)): getattr(seen, name) for name in MAKERS}}


@contextmanager
def numpy_seen(modules: Sequence[types.ModuleType]) -> Generator[None]:
    """While it lasts, NumPy in these modules is `Seen`."""
    instead = stand_ins()
    before = [(vars(module), dict(vars(module))) for module in modules]
    try:
        for names, was in before:
            names.update({name: instead.get(id(value), of_library(value)) for name, value in was.items()})
            names.setdefault("len", length)
        yield
    finally:
        for names, was in before:
            if "len" not in was:
                names.pop("len", None)
            names.update(was)


def is_own(path: Path, folder: str) -> bool:
    """Whether a file is the subject's: it lies in its folder."""
    return Path(folder) in path.parents and "site-packages" not in path.parts and path != HERE


def own_modules(folder: str) -> list[types.ModuleType]:
    """The modules of the subject: those that lie in its folder."""
    found: list[types.ModuleType] = []
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and is_own(Path(file), folder):
            found.append(module)
    return found


# --- a program as data -----------------------------------------------------------------------------------------


def symbols(names: Sequence[str], shapes: Sequence[tuple[str, Sequence[Any]]]) -> tuple[Any, Any]:
    """Sizes by their names as symbols, and shapes that are expressions of those: "n", "4*u"."""
    shape_of = framework("jax.export").symbolic_shape
    sizes = dict(zip(names, shape_of(", ".join(names))))  # noqa: B905 - Python 3.9
    scope = sizes[names[0]].scope
    parsed = [(dtype, shape_of(", ".join(map(str, shape)), scope=scope)) for dtype, shape in shapes]
    return {name: Size(size) for name, size in sizes.items()}, parsed


def traced(
    function: Callable[[list[Value]], list[Value]], shapes: Sequence[tuple[str, Sequence[Any]]], folder: str
) -> tuple[dict[str, Any], list[Any]]:
    """The program of a function of a list of arrays, and its constants. Raises whatever the function raises."""
    framework = jax()
    arguments = [framework.ShapeDtypeStruct(tuple(shape), np.dtype(dtype)) for dtype, shape in shapes]

    def outputs(*values: Value) -> list[Value]:
        return [framework.numpy.asarray(plain(one)) for one in function(list(values))]

    return Transcription(folder).of(framework.make_jaxpr(outputs)(*arguments))


class Transcription:
    """Writes a jaxpr down: variables by number, calls inlined, constants apart."""

    def __init__(self, folder: str) -> None:
        """Lines are told of files in the subject's folder."""
        self.folder = folder
        self.equations: list[list[Any]] = []
        self.constants: list[list[Any]] = []  # slot, and the array
        self.slots = 0

    def of(self, closed: Any) -> tuple[dict[str, Any], list[Any]]:
        """The program as JSON, and its constants in order."""
        inputs = [self.new() for _ in closed.jaxpr.invars]
        outputs = self.inline(closed, inputs)
        needed = set(outputs)
        kept = []
        for one in reversed(self.equations):
            if needed.intersection(one[2]):
                needed.update(one[1])
                kept.append(one)
        if len(kept) > MOST:
            raise UntraceableError(f"it takes {len(kept)} steps, and {MOST} are read")
        constants = [(slot, array) for slot, array in self.constants if slot in needed]
        program = {
            "inputs": inputs,
            "outputs": outputs,
            "constants": [slot for slot, _ in constants],
            "equations": kept[::-1],
            "slots": self.slots,
        }
        return program, [array for _, array in constants]

    def new(self) -> int:
        """The next variable."""
        self.slots += 1
        return self.slots - 1

    def constant(self, value: Value) -> int:
        """A variable for a constant."""
        self.constants.append([self.new(), np.asarray(value)])
        return self.constants[-1][0]

    def inline(self, closed: Any, inputs: list[int], said: str = "") -> list[int]:
        """The equations of a jaxpr, which is called at a line; the variables of its outputs."""
        jaxpr = getattr(closed, "jaxpr", closed)
        slots: dict[Any, int] = dict(zip(jaxpr.invars, inputs))  # noqa: B905 - Python 3.9
        for variable, value in zip(jaxpr.constvars, getattr(closed, "consts", ())):  # noqa: B905 - as above
            slots[variable] = self.constant(value)

        def slot(atom: Any) -> int:
            return self.constant(atom.val) if hasattr(atom, "val") else slots[atom]

        for equation in jaxpr.eqns:
            given, name = [slot(one) for one in equation.invars], equation.primitive.name
            line = said or self.line(equation)
            called = equation.params[INLINED[name]] if name in INLINED else None
            if name in THE_SAME:
                found = given
            elif called is not None and (whole := library_function(called)):
                found = [self.new() for _ in equation.outvars]
                self.equations.append([whole, given, found, {}, line])
            elif called is not None:
                found = self.inline(called, given, line)
            elif name == "cond" and None in (equation.params.get("branches_platforms") or ()):
                usual = equation.params["branches_platforms"].index(None)  # not that of some hardware
                found = self.inline(equation.params["branches"][usual], given[1:], line)
            else:
                found = [self.new() for _ in equation.outvars]
                try:
                    parameters = {
                        key: written(one) for key, one in equation.params.items() if key not in UNUSED
                    }
                except UntraceableError:
                    raise UntraceableError(f"the primitive {name} is not read") from None
                self.equations.append([name, given, found, parameters, line])
            slots.update(zip(equation.outvars, found))  # noqa: B905 - as above
        return [slot(one) for one in jaxpr.outvars]

    def line(self, equation: Any) -> str:
        """Where the subject says so, "mine.py:12 (forward) «x @ W» 8"; empty where that is not known."""
        with suppress(Exception):
            frames = framework("jax._src.source_info_util").user_frames  # no public name
            for frame in frames(equation.source_info.traceback):
                path = Path(frame.file_name)
                if is_own(path, self.folder):
                    place = f"{path.name}:{int(frame.start_line)} ({frame.function_name})"[:LONGEST]
                    text = expression(frame)
                    return f"{place} «{text}» {int(frame.start_column)}" if text else place
        return ""


def library_function(closed: Any) -> str:
    """The name of a function of JAX that is one step; empty where it is none, or a function of the subject."""
    info = getattr(getattr(closed, "jaxpr", closed), "debug_info", None)
    name, _, place = str(getattr(info, "func_src_info", "")).partition(" at ")
    return name if name in WHOLE and "jax/_src/" in place.replace("\\", "/") else ""


def expression(frame: Any) -> str:
    """What stands in a file at the place of a frame, on one line; empty where that is not known, or is long."""
    if not 0 < frame.start_line <= frame.end_line or frame.start_column >= frame.end_column > 0 == (
        frame.end_line - frame.start_line
    ):
        return ""
    lines = [
        linecache.getline(frame.file_name, number).encode()
        for number in range(frame.start_line, frame.end_line + 1)
    ]
    lines[-1] = lines[-1][: frame.end_column]
    text = " ".join(b" ".join([lines[0][frame.start_column :], *lines[1:]]).decode().split())
    text = of_a_loop(text) or text
    return text if text.isprintable() and "»" not in text and len(text) <= EXPRESSION else ""


@cache
def of_a_loop(text: str) -> str:
    """What a loop over an array calls its rows, where it is a loop that takes the next one; else empty."""
    if header := re.match(r"for ([\w, ]+) in (enumerate\()?", text):
        return header[1].rpartition(", ")[2] if header[2] else header[1]
    with suppress(SyntaxError, ValueError):
        found = ast.parse(text, mode="eval").body if " for " in text else None
        if isinstance(found, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            return ast.unparse(found.generators[0].target)
    return ""


def written(value: Any) -> Any:
    """A parameter as JSON. Raises UntraceableError for what is none."""
    if isinstance(value, Enum):
        return ["enum", type(value).__name__, value.name]
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic) or is_size(value):
        return ["size", str(value)] if is_size(value) else value.item()
    fields = getattr(value, "_fields", None)  # of a named tuple
    if fields is not None:
        return ["fields", type(value).__name__, {key: written(getattr(value, key)) for key in fields}]
    if isinstance(value, (tuple, list)):
        return ["tuple", *map(written, value)]
    if isinstance(value, (np.dtype, type)):
        return ["dtype", np.dtype(value).name]
    raise UntraceableError(type(value).__name__)
