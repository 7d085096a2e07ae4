"""Where the cases of an operation come from: sizes by axes, values by kind, drawn to tell right from wrong.

One string of bytes gives all numbers of a case, two bytes each, sorted from simple to complicated
(`strategies.DYADICS`), so that a counterexample shrinks to small sizes and to numbers such as 1, -2 and 0.5. A source
(Hypothesis, or a seeded generator) gives choices and numbers; the same function makes a case of either.

Regimes: `plain`, numbers of size 1; `loud`, some inputs up to 8 times larger; `coarse`, few different numbers, with
ties and zeros on purpose; `wide`, one axis so long that blocks of a fixed size end within it; and at the edges
`extreme`, each real input scaled by a power of ten from 1e-8 to 1e8, and `saturated`, inputs 8 to 512 times larger.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import islice, product
from math import prod
from typing import Any, Protocol

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from numpy.typing import NDArray

from properties.declaration import Declaration
from properties.search import Example
from properties.strategies import COARSE, DYADICS, POWERS, TEXT, WIDE, numbers_in, numbers_of
from reference.operations.operation import Input, output_name, size_of

Array = NDArray[Any]
Sizes = Mapping[str, int]

REGULAR = ("plain", "loud", "coarse", "wide")
EDGES = ("extreme", "saturated")
_WEIGHTS = {"plain": 5, "loud": 1, "coarse": 3, "wide": 2, "extreme": 1, "saturated": 1}

SIZES = (1, 2, 3, 4, 5)
"""Of an axis that is free, the simplest first."""
FEW = (1, 2, 3)
"""The same where the truth is measured coordinate by coordinate."""
WIDEST_INPUT = 2**14
"""Numbers of an input, at most, where an axis is wide: a size may stand in a product."""
TRIES = 8
"""Draws of sizes and options, each with choices of its own, for a combination that `valid` accepts."""
ANY_OF = 32
"""One case in so many has any sizes and options, where the others have usual ones."""
LAST_TRIES = 2000
"""Draws from one generator, where these meet none."""
_COTANGENTS = 16
"""Numbers of the string that the cotangents are made of."""


Combination = tuple[dict[str, int], dict[str, Any]]
"""Sizes and options."""


class Source(Protocol):
    """Where choices and numbers come from."""

    def one_of(self, role: str, values: Sequence[Any]) -> Any:
        """One of the values."""
        ...

    def numbers(self) -> Callable[[int], NDArray[np.intp]]:
        """What gives the next so many numbers from 0 to 65535."""
        ...


def part_of(role: str) -> tuple[str, str]:
    """What is chosen, and its name: ("size", "n") of "size n 0", ("regime", "") of "regime"."""
    what, _, rest = role.partition(" ")
    return what, rest.rpartition(" ")[0]


@lru_cache(1024)
def _places(role: str, count: int) -> SearchStrategy[tuple[str, int]]:
    """One of so many places; to make a strategy takes longer than to draw from it."""
    return st.sampled_from([(role, i) for i in range(count)])


@dataclass
class Drawn:
    """The choices of Hypothesis."""

    draw: DrawFn

    def one_of(self, role: str, values: Sequence[Any]) -> Any:
        """Every role is a strategy of its own: Hypothesis copies draws between places of the same strategy."""
        if len(values) == 1:
            return values[0]
        return values[self.draw(_places(role, len(values)))[1]]

    def numbers(self) -> Callable[[int], NDArray[np.intp]]:
        """From one string of bytes of fixed length."""
        return numbers_of(numbers_in(self.draw(TEXT)))


@dataclass
class Seeded:
    """The choices of a generator."""

    rng: np.random.Generator

    def one_of(self, role: str, values: Sequence[Any]) -> Any:
        """With equal chances."""
        del role
        return values[int(self.rng.integers(len(values)))]

    def numbers(self) -> Callable[[int], NDArray[np.intp]]:
        """From the generator."""
        return lambda count: self.rng.integers(0, 2**16, count).astype(np.intp)


@dataclass(frozen=True)
class Near:
    """A source of cases with known sizes and options, but for one that is drawn."""

    source: Source
    known: Mapping[str, Mapping[str, Any]]
    free: str

    def one_of(self, role: str, values: Sequence[Any]) -> Any:
        """What is known for the role: "size n 0", "option eps 0"; the axis that is drawn may be wide."""
        what, name = part_of(role)
        if what == "wide" and self.free in values:
            return self.free
        known = self.known.get(what, {})
        return known[name] if name in known and name != self.free else self.source.one_of(role, values)

    def numbers(self) -> Callable[[int], NDArray[np.intp]]:
        """As drawn."""
        return self.source.numbers()


@dataclass(frozen=True, eq=False)
class OperationCase(Example):
    """What an operation is called with: arrays by name, options, and what its cotangents are made of.

    `calls` are the lines that call it, for the case as Python to paste: what is there once, an empty line, and the
    call. `before` are the calls, in order, of which something is kept that shows in this one; `after` is what shows
    that a property does not hold, where the call alone does not: lines, and other cases. `given` are cotangents in
    place of those that it makes.
    """

    inputs: Mapping[str, Array]
    options: Mapping[str, Any]
    sizes: Mapping[str, int]
    raw: NDArray[np.intp]
    dtype: str = "float64"
    regime: str = "given"
    differentiable: tuple[str, ...] = ()
    calls: str = ""
    shapes: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]], compare=False)
    before: list["OperationCase"] = field(default_factory=list["OperationCase"], compare=False)
    after: list["str | OperationCase"] = field(default_factory=list["str | OperationCase"], compare=False)
    given: tuple[Array, ...] | None = None

    def cotangents(self, outputs: Sequence[Array]) -> tuple[Array, ...]:
        """A cotangent for each output, all entries different and none 0, as far as the string goes; 0 for integers."""
        if self.given is not None:
            return self.given
        found: list[Array] = []
        numbers = numbers_of(self.raw)
        for output in outputs:
            if output.dtype.kind != "f":
                found.append(np.zeros(output.shape))
                continue
            drawn = DYADICS[numbers(output.size)]
            drawn = np.where(drawn == 0, 1.0, drawn)
            found.append(drawn.reshape(output.shape).astype(self.dtype))
        self.shapes[:] = [one.shape for one in found]
        return tuple(found)

    @property
    def in_single_precision(self) -> "OperationCase":
        """The same with every number in half as many digits."""
        inputs = {
            name: array.astype(np.float32) if np.asarray(array).dtype == np.float64 else array
            for name, array in self.inputs.items()
        }
        return replace(self, inputs=inputs, dtype="float32", shapes=[])

    @property
    def numbers(self) -> tuple[int, int]:
        """How many numbers it has, and how many of them are not 0."""
        arrays = [np.asarray(array) for array in self.inputs.values()]
        return sum(array.size for array in arrays), sum(int(np.count_nonzero(array)) for array in arrays)

    @property
    def choices(self) -> Mapping[str, Any]:
        """Its options."""
        return self.options

    @property
    def summary(self) -> str:
        """`x (3, 2), gain (2,), eps=1e-05`."""
        arrays = [f"{name} {np.shape(array)}" for name, array in self.inputs.items()]
        return ", ".join([*arrays, *(f"{name}={value!r}" for name, value in self.options.items())])

    def as_python(self) -> str:
        """The inputs and the cotangents as Python to paste, with the calls that come before and what is shown after."""
        once, given = self.calls.rpartition("\n\n")[0], self.assignments
        lines = ["import numpy as np"]
        if self.before:
            lines += [once]
            for one in (replace(one, calls=self.calls) for one in self.before):
                lines += ["", *one.assignments, *one.call]
            lines += ["", "# and after that", *given, *self.call]
        else:
            lines += ["", *given, *([once, ""] if once else []), *self.call]
        for one in self.after:
            if isinstance(one, str):
                lines += ["", one] if one.startswith("#") else [one]
            else:
                lines += [*(line for line in one.assignments if line not in given), *one.call]
                given = one.assignments
        return "\n".join(lines).rstrip()

    @property
    def call(self) -> list[str]:
        """The lines that call it; where nothing came back that has a cotangent, those that need none."""
        lines = self.calls.rpartition("\n\n")[2].splitlines()
        if self.shapes or not any(map(self._cotangent.search, lines)):
            return lines
        return [*(line for line in lines if not self._cotangent.search(line)), *self.printed_output]

    @property
    def _cotangent(self) -> re.Pattern[str]:
        """The name of one, or of all."""
        return re.compile(rf"\bd{self.output}\d*\b")

    @property
    def printed_output(self) -> list[str]:
        """A line that prints what forward returned, where the call keeps that."""
        return [f"print({self.output})"] if self.output in _names(self.calls) else []

    def shows(self, *after: "str | OperationCase") -> None:
        """Say what shows that a property does not hold, where the call alone does not."""
        self.after[:] = [
            one if isinstance(one, str) else replace(one, before=[], after=[], shapes=[*self.shapes])
            for one in after
        ]

    @property
    def output(self) -> str:
        """What an output is called beside these inputs and options."""
        return output_name([*self.inputs, *self.options])

    @property
    def assignments(self) -> list[str]:
        """The inputs, the options and the cotangents, a line of Python each."""
        lines = [f"{name} = {literal(array)}" for name, array in self.inputs.items()]
        lines += [f"{name} = {value!r}" for name, value in self.options.items()]
        used = _names(self.calls) - {*self.inputs, *self.options}
        lines += [f"{name} = {size}" for name, size in self.sizes.items() if name in used]
        cotangents = self.cotangents([np.zeros(shape) for shape in self.shapes])
        names = numbered(dy := f"d{self.output}", len(cotangents))
        if not cotangents or (self.calls and not self._cotangent.search(self.calls)):
            return lines
        lines += [f"{name} = {literal(one)}" for name, one in zip(names, cotangents, strict=True)]
        return [*lines, f"{dy} = {', '.join(names)}"] if dy in used and names != [dy] else lines


def _names(lines: str) -> set[str]:
    """The names that lines of Python use."""
    return {node.id for node in ast.walk(ast.parse(lines)) if isinstance(node, ast.Name)}


def numbered(letter: str, count: int) -> list[str]:
    """`y` of one output, `y1`, `y2`, ... of several."""
    return [letter] if count == 1 else [f"{letter}{i + 1}" for i in range(count)]


def literal(array: Any) -> str:
    """An array as Python."""
    array = np.asarray(array)
    if array.ndim == 0:
        return (
            repr(array.item())
            if array.dtype.name in {"float64", "int64"}
            else f"np.{array.dtype}({array.item()!r})"
        )
    dtype = "" if array.dtype.name in {"float64", "int64"} else f', dtype="{array.dtype}"'
    return f"np.array({array.tolist()}{dtype})" if array.size else f"np.zeros({array.shape})"


class Caller(Protocol):
    """What draws what a file says itself: its own values, and which combinations it takes."""

    @property
    def declaration(self) -> Declaration:
        """What it takes."""
        ...

    def draw(self, name: str, seed: int, shape: Sequence[int], sizes: Sizes) -> Array:
        """Values of an input by a function of the file."""
        ...

    def valid(self, sizes: Sizes, options: Mapping[str, Any]) -> bool:
        """Whether sizes and options go together."""
        ...


class NoCaseError(Exception):
    """No combination of sizes and options was valid."""


def make(
    source: Source,
    caller: Caller,
    regimes: Sequence[str],
    *,
    sizes: Sequence[int] = SIZES,
    wide: Sequence[int] = (),
    among: Sequence[Combination] = (),
    dtype: str = "",
    calls: str = "",
) -> OperationCase:
    """A case of an operation from a source of choices.

    Args:
        source: gives choices and numbers.
        caller: what it is a case of.
        regimes: those to choose from.
        sizes: of an axis that is free.
        wide: of one axis, in every regime; without, `WIDE` in the regime of that name.
        among: sizes and options, of which the nearest are taken, mostly, where no axis is wide.
        dtype: in place of the declared one.
        calls: the lines that call it.

    Raises:
        NoCaseError: where no combination of sizes and options is valid.
    """
    declared = caller.declaration
    numbers = source.numbers()
    weighted = tuple(one for one in regimes for _ in range(_WEIGHTS[one]))
    regime = source.one_of("regime", weighted)
    fmt = dtype or declared.dtype
    wide = wide or (WIDE if regime == "wide" else ())
    # first of all, so that Hypothesis makes any of it before it makes it smaller
    is_usual = bool(among) and not wide and source.one_of("usual", range(ANY_OF)) > 0
    chosen, options = found = _combination(source, caller, sizes, wide)
    if is_usual:
        chosen, options = map(dict, min(among, key=partial(_apart, found)))
    arrays: dict[str, Array] = {}
    for place, (name, one) in enumerate(declared.inputs.items()):
        shape = one.shape(chosen)
        count = int(np.prod(shape))
        drawn = numbers(max(count, 1))
        if not isinstance(one.values, str):
            first, last = int(drawn[0]), int(drawn[-1])
            seed = (place * 65536 + first) * 65536 + last  # of no two inputs the same
            if callable(one.values):  # of a known operation: a function of ours
                array = np.asarray(one.values(np.random.default_rng(seed), shape, chosen))
            else:
                array = np.asarray(caller.draw(name, seed, shape, chosen))
            arrays[name] = array.astype(fmt) if array.dtype.kind == "f" else array
            continue
        array = values(one, shape, drawn, chosen, regime)
        if one.values in {"real", "distinct", "ties", "nonzero", "positive"} and not one.constant:
            array = array * _scale(source, name, regime)
        arrays[name] = array.astype(fmt) if array.dtype.kind == "f" else array
    return OperationCase(
        arrays, options, chosen, numbers(_COTANGENTS), fmt, regime, declared.differentiable, calls
    )


def _combination(source: Source, caller: Caller, free: Sequence[int], wide: Sequence[int]) -> Combination:
    """Sizes and options that go together; where the source doesn't meet any, from one of some fixed sequences.

    The first of these begins with the smallest: a case whose choices are all the simplest ones is as small as can be.
    """
    open_axes = [axis for axis in caller.declaration.axes if axis not in caller.declaration.sizes]
    for attempt in range(TRIES):
        long = {source.one_of(f"wide {attempt}", open_axes): wide} if wide and open_axes else {}
        found = _tried(source, caller, free, str(attempt), long)
        if found is not None:
            return found
    sequence = source.one_of("sequence", range(8))
    smallest = islice(_smallest_first(caller.declaration), LAST_TRIES if sequence == 0 else 0)
    found = next((one for one in smallest if _together(caller, *one)), None)
    if found is not None:
        return found
    fixed = Seeded(np.random.default_rng(sequence))
    for _ in range(LAST_TRIES):
        found = _tried(fixed, caller, SIZES)
        if found is not None:
            return found
    axes, options = (
        ", ".join(some) or "none" for some in (caller.declaration.axes, caller.declaration.options)
    )
    raise NoCaseError(
        f"Of {LAST_TRIES} combinations of sizes ({axes}) and options ({options}) not one is valid: say with SIZES and "
        "OPTIONS what to draw from."
    )


def _tried(
    source: Source,
    caller: Caller,
    free: Sequence[int],
    attempt: str = "",
    wide: Mapping[str, Sequence[int]] | None = None,
) -> Combination | None:
    """Sizes and options, if they go together; an axis may have sizes of its own to choose from."""
    declared = caller.declaration
    pools = dict.fromkeys(declared.axes, free) | dict(wide or {}) | dict(declared.sizes)
    sizes = {axis: int(source.one_of(f"size {axis} {attempt}", tuple(pools[axis]))) for axis in declared.axes}
    options = {
        name: source.one_of(f"option {name} {attempt}", values) for name, values in declared.options.items()
    }
    if wide and _largest(declared, sizes) > WIDEST_INPUT:
        return None
    return (sizes, options) if _together(caller, sizes, options) else None


def _together(caller: Caller, sizes: dict[str, int], options: dict[str, Any]) -> bool:
    """Whether sizes and options are possible, and go together."""
    return _fits(caller.declaration, sizes) and caller.valid(sizes, options)


def _apart(one: Combination, other: Combination) -> tuple[int, int]:
    """How far apart two combinations are."""
    options = sum(one[1][name] != other[1][name] for name in one[1])
    return options, sum(abs(one[0][axis] - other[0][axis]) for axis in one[0])


def some_combinations(caller: Caller, sizes: Sequence[int], count: int) -> list[Combination]:
    """About so many combinations of sizes and options that go together, the smallest first."""
    source = Seeded(np.random.default_rng(0))
    smallest = (
        one for one in islice(_smallest_first(caller.declaration), LAST_TRIES) if _together(caller, *one)
    )
    drawn = (_tried(source, caller, sizes) for _ in range(TRIES * count))
    found = {repr(one): one for one in (*islice(smallest, 1), *drawn) if one is not None}
    return sorted(islice(found.values(), count), key=lambda one: sum(one[0].values()))


def _smallest_first(declared: Declaration) -> Iterator[Combination]:
    """All combinations of sizes and options, those with the smallest sizes first."""
    pools = [sorted(declared.sizes.get(axis, SIZES)) for axis in declared.axes]
    for steps in range(sum(map(len, pools)) - len(pools) + 1):
        for places in _adding_up_to(steps, [len(one) for one in pools]):
            sizes = {a: int(one[i]) for a, one, i in zip(declared.axes, pools, places, strict=True)}
            yield from ((sizes, options) for options in combinations(declared.options))


def _adding_up_to(total: int, counts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Numbers, each from 0 to below its count, with this sum; the last ones are raised first."""
    if not counts:
        yield from [()] if total == 0 else []
        return
    for first in range(min(total, counts[0] - 1) + 1):
        yield from ((first, *rest) for rest in _adding_up_to(total - first, counts[1:]))


def _fits(declared: Declaration, sizes: Sizes) -> bool:
    """Whether every axis has a size that is possible."""
    shapes = [one.shape(sizes) for one in declared.inputs.values()]
    allowed = {0} if any(0 in some for some in declared.sizes.values()) else set[int]()
    return all(size > 0 or (size == 0 and allowed) for shape in shapes for size in shape)


def _largest(declared: Declaration, sizes: Sizes) -> int:
    """Numbers of the largest input."""
    return max((prod(one.shape(sizes)) for one in declared.inputs.values()), default=0)


def _scale(source: Source, name: str, regime: str) -> float:
    """By how much an input is scaled in this regime; a power of 2, so that its numbers stay simple."""
    match regime:
        case "loud":
            return 2.0 ** source.one_of(f"loudness of {name}", (0, 1, 2, 3))
        case "saturated":
            return 2.0 ** source.one_of(f"saturation of {name}", (3, 4, 5, 6, 7, 8, 9))
        case "extreme":
            return 2.0 ** source.one_of(f"power of {name}", POWERS)
        case _:
            return 1.0


def values(one: Input, shape: tuple[int, ...], raw: NDArray[np.intp], sizes: Sizes, regime: str) -> Array:
    """The array of an input of a kind, from numbers from 0 to 65535."""
    raw = raw[: int(np.prod(shape))].reshape(shape)
    real = (COARSE[raw % len(COARSE)] if regime == "coarse" else DYADICS[raw]) / 2
    if one.values == "labels":
        below = size_of(one.below, sizes) if isinstance(one.below, str) else int(one.below or 1)
        labels = raw % max(below, 1)
        return labels if one.ignore is None else np.where(raw // 64 % 5 == 4, one.ignore, labels)  # noqa: PLR2004
    return KINDS[str(one.values)](raw, real)


def _onehot(raw: NDArray[np.intp], real: Array) -> Array:
    """A 1 in each row, and 0 elsewhere."""
    del real
    if not raw.ndim:
        return np.ones(())
    return np.eye(raw.shape[-1])[raw[..., 0] % raw.shape[-1]] if raw.shape[-1] else np.zeros(raw.shape)


def _probabilities(raw: NDArray[np.intp], real: Array) -> Array:
    """Rows that add up to 1, none of them 0."""
    del real
    return (raw + 1.0) / (raw + 1.0).sum(axis=-1, keepdims=True) if raw.ndim else np.ones(())


def _distinct(raw: NDArray[np.intp], real: Array) -> Array:
    """In a random order, 1/4 apart from each other, and none of them 0."""
    del real
    ranks = np.argsort(np.argsort(raw.reshape(-1), kind="stable"), kind="stable")
    return ((ranks - raw.size // 2) / 4 + 2.0**-3).reshape(raw.shape)


KINDS: Mapping[str, Callable[[NDArray[np.intp], Array], Array]] = {
    "real": lambda raw, real: real,
    "positive": lambda raw, real: np.abs(real) + 2.0**-4,
    "nonzero": lambda raw, real: np.where(real < 0, real - 2.0**-3, real + 2.0**-3),
    "unit": lambda raw, real: (raw + 0.5) / 2.0**16,
    "probabilities": _probabilities,
    "distinct": _distinct,
    "ties": lambda raw, real: COARSE[raw % len(COARSE)],
    "signs": lambda raw, real: np.where(raw % 2, -1.0, 1.0),
    "onehot": _onehot,
    "mask": lambda raw, real: (raw % 4 != 3).astype(np.float64),  # noqa: PLR2004  (one in four is left out)
    "counts": lambda raw, real: raw % 7,
}
"""Arrays of the kinds of `operation.VALUES` but labels: from numbers from 0 to 65535, and from simple real ones."""


def cases(caller: Caller, regimes: Sequence[str] = REGULAR, **kinds: Any) -> SearchStrategy[OperationCase]:
    """The cases of an operation as a strategy."""

    @st.composite
    def drawn(draw: DrawFn) -> OperationCase:
        return make(Drawn(draw), caller, regimes, **kinds)

    return drawn()


def combinations(choices: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """All combinations of some choices."""
    return [dict(zip(choices, chosen, strict=True)) for chosen in product(*choices.values())]
