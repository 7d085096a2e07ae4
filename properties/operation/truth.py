"""What is right for an operation: a known one that its forward pass agrees with, or else its own values.

A known operation gives outputs and gradients to the last digit, each with a bound (`reference.truth`). Which one it is,
and with which of the options that nobody named, is found out once, on cases of its own: the forward pass has to
agree with it to rounding, in single precision's sense, on all of them. Where none agrees, the forward pass
itself is read as a program, if it can be (`programs`), and is held against its own values and slopes; else it is
differenced (`reference.slopes`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from properties.comparison import Comparison, Entry, compare, told_apart
from properties.declaration import Counterpart, Declaration
from properties.operation.cases import (
    EDGES,
    FEW,
    SIZES,
    Caller,
    Combination,
    NoCaseError,
    OperationCase,
    Seeded,
    combinations,
    make,
    numbered,
    some_combinations,
)
from properties.operation.guesses import guesses
from properties.operation.programs import NoProgramError, Traceable, operation_of
from properties.operation.staircases import is_staircase
from properties.search import Inconclusive, NoGradient, NotApplicable, Undefined, Violation
from reference.arithmetic.reading import UnknownPrimitiveError
from reference.operations import KNOWN
from reference.operations.operation import Operation, names_of, size_of
from reference.program import derivative
from reference.projections import Projection, projections
from reference.slopes import NotRepeatableError, Several, Vjp, slopes
from reference.transcript import LARGEST as MOST_NUMBERS
from reference.truth import Enclosed, Truth, truth, value

Array = NDArray[Any]

BATCH = ("n", "b")
"""What people call the axis of the samples."""
SAMPLES = 6
"""Cases on which a known operation has to agree with the forward pass."""
PROGRAMS = 32
"""Of sizes and options that are traced one by one: of three sizes of two axes, 97 in 100 pairs are among them."""
ENTRIES, LINES = 64, 16
"""Of an input that is measured entry by entry, its numbers at most; and lines through larger ones."""
_UNSUITABLE = (ValueError, TypeError, ZeroDivisionError)
"""What a program raises for inputs or options that it isn't made for."""
DIRECTIONS = 3
"""Projections of a gradient on each case: what is wrong hides from all of them in one case of eight at most."""
LARGEST = 64
"""An axis of which the size is not given is looked for up to this."""


class Pass(Protocol):
    """A forward pass that has been made."""

    @property
    def outputs(self) -> tuple[Array, ...]:
        """What it returned."""
        ...


class Gradients(Protocol):
    """A backward pass that has been made."""

    @property
    def gradients(self) -> dict[str, Array]:
        """The gradient of each differentiable input."""
        ...


class Subject(Caller, Traceable, Protocol):
    """An operation under test, from outside."""

    name: str

    def forward(
        self,
        inputs: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        *,
        layout: Any = "C",
        seed: int = 0,
    ) -> Any:
        """The outputs, with what the backward pass needs kept where it was made."""
        ...

    def forwards(
        self, places: Sequence[Mapping[str, Any]], options: Mapping[str, Any] | None = None
    ) -> Iterable[Sequence[Array] | Violation]:
        """The outputs at several places, or in their place why there are none; nothing is kept."""
        ...

    def backward(self, forward: Any, cotangents: Sequence[Array] | None = None, *, layout: Any = "C") -> Any:
        """The gradients for these cotangents, or once more for the same."""
        ...

    def renew(self) -> None:
        """Let the next call come to a process in which there was none before, if there are any."""
        ...

    def hessian(self, inputs: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> Any:
        """The second derivatives by pairs of inputs."""
        ...

    def hvp(
        self,
        inputs: Mapping[str, Any],
        tangents: Mapping[str, Array],
        options: Mapping[str, Any] | None = None,
    ) -> dict[str, Array]:
        """Second derivatives along tangents."""
        ...

    def stand_in(
        self, inputs: Mapping[str, Any], options: Mapping[str, Any] | None = None
    ) -> tuple[Array, ...]:
        """The function that the derivative is meant to be of."""
        ...


@dataclass(frozen=True)
class Reading:
    """A known operation, and how a case of the subject becomes a call of it.

    Or the subject's `own` forward pass as a program: what it says counts where it is what the subject computes. Or the
    declared reference of which `backward` alone is the derivative: forward is something else.
    """

    operation: Operation
    counterpart: Counterpart
    open: Mapping[str, Any]
    own: bool = False
    backward: bool = False

    def options(self, case: OperationCase) -> dict[str, Any]:
        """The operation's options for a case."""
        found: dict[str, Any] = {**self.open, **self.counterpart.fixed}
        for name, own in self.counterpart.options.items():
            found[name] = (
                case.options[own] if isinstance(own, str) else tuple(case.options[one] for one in own)
            )
        return found

    def inputs(
        self, case: OperationCase, declared: Declaration, given: Mapping[str, Array] | None = None
    ) -> list[Array]:
        """The operation's inputs, in its order: those of the case, or others of the same shapes."""
        names = self.counterpart.inputs or tuple(declared.inputs)
        arrays: list[Array] = []
        for name in names:
            array = np.asarray((given or case.inputs)[name])
            if name in self.counterpart.axes:
                wanted = self.counterpart.axes[name].split()
                array = array.reshape([size_of(one, case.sizes) for one in wanted])
            arrays.append(array)
        return arrays

    def truth(
        self, case: OperationCase, declared: Declaration, cotangents: Sequence[Array], fmt: str
    ) -> tuple[tuple[Enclosed, ...], dict[str, Enclosed]] | None:
        """Outputs and gradients by the subject's names; None where the shapes don't fit."""
        arrays, options = self.inputs(case, declared), self.options(case)
        fitting = self._fitting(arrays, options)
        if fitting is None:
            return None
        operation, sizes = fitting
        if self.own and derivative(operation, options, sizes).program.at(sizes).largest > MOST_NUMBERS:
            raise NoProgramError("it makes arrays that are too large")
        names = self.counterpart.inputs or tuple(declared.inputs)
        found: Truth = truth(operation, arrays, self._shaped(cotangents), options, sizes, format=fmt)
        by_own = dict(zip(self.operation.inputs, names, strict=False))
        gradients = {
            by_own[name]: Enclosed(*(part.reshape(np.shape(case.inputs[by_own[name]])) for part in one))
            for name, one in found.gradients.items()
            if name in by_own
        }
        return found.outputs, gradients

    def projections(
        self, case: OperationCase, declared: Declaration, cotangents: Sequence[Array], fmt: str
    ) -> dict[str, Projection]:
        """Projections of the gradients by the subject's names."""
        arrays, options = self.inputs(case, declared), self.options(case)
        sizes = sizes_of(self.operation, arrays, options)
        if sizes is None:
            return {}
        known = derivative(self.operation, options, sizes)
        found = projections(known, arrays, self._shaped(cotangents), sizes, format=fmt, count=DIRECTIONS)
        names = self.counterpart.inputs or tuple(declared.inputs)
        return {names[place]: one for place, one in zip(known.differentiable, found, strict=True)}

    def value(
        self, case: OperationCase, declared: Declaration
    ) -> Callable[[Mapping[str, Array]], list[Array]]:
        """The outputs in float64 as a function of the subject's inputs, for the sizes and options of a case."""
        options = self.options(case)
        fitting = self._fitting(self.inputs(case, declared), options)
        if fitting is None:
            raise ValueError("the case has no sizes of the operation")
        operation, sizes = fitting
        return lambda given: value(operation, self.inputs(case, declared, given), options, sizes)

    def _fitting(
        self, arrays: Sequence[Array], options: Mapping[str, Any]
    ) -> tuple[Operation, dict[str, int]] | None:
        """The operation with its sizes for these inputs; traced for them alone where its program for all sizes is not.

        What `above` excludes (a dilated kernel that is larger than the image) is excluded without dilation too.
        """
        alone = replace(self.operation, above=(), concrete=self.operation.axes)
        for operation in (self.operation, alone):
            sizes = sizes_of(operation, arrays, options)
            if sizes is not None:
                return operation, sizes
        return None

    def _shaped(self, cotangents: Sequence[Array]) -> list[Array]:
        """The cotangents of the differentiable outputs, as arrays of float64."""
        wanted = self.operation.outputs or (True,) * len(cotangents)
        return [np.asarray(dy, np.float64) for dy, flag in zip(cotangents, wanted, strict=False) if flag]


def readings(declared: Declaration) -> list[Reading]:
    """The known operations that a declaration may mean: each choice of the options that it leaves open."""
    named = [] if declared.counterpart is None else [declared.counterpart]
    return [
        one for meant in named or guesses(declared) if meant.operation in KNOWN for one in _choices(meant)
    ]


def _choices(counterpart: Counterpart) -> list[Reading]:
    operation = KNOWN[counterpart.operation]
    left = {
        name: choices
        for name, choices in operation.options.items()
        if name not in counterpart.options and name not in counterpart.fixed
    }
    return [Reading(operation, counterpart, one) for one in combinations(left)]


def sizes_of(
    operation: Operation, arrays: Sequence[Array], options: Mapping[str, Any]
) -> dict[str, int] | None:
    """The sizes of an operation's axes that fit the shapes of its inputs; None where none do."""
    dimensions: list[tuple[str, int]] = []
    for one, array in zip(operation.inputs.values(), arrays, strict=False):
        if len(one.dimensions) != array.ndim:
            return None
        dimensions += zip(one.dimensions, array.shape, strict=True)
    sizes = {name: size for name, size in dimensions if name.isidentifier()}
    if any(size_of(name, sizes) != size for name, size in dimensions if name.isidentifier()):
        return None
    unknown = [name for name in operation.axes if name not in sizes]
    largest = max([1, *(size for _, size in dimensions)])
    for found in combinations({name: range(1, min(largest, LARGEST) + 1) for name in unknown}):
        every = {**sizes, **found}
        if all(size_of(one, every) == size for one, size in dimensions) and operation.possible(
            every, options
        ):
            return {name: every[name] for name in names_of(one for one, _ in dimensions)}
    return None


Place = tuple[str, tuple[int, ...]]
"""A number of an input: its name and its index."""


@dataclass(frozen=True)
class Lines:
    """Directions through several numbers at once, and the derivative along each: value ± (error + open).

    Entry by entry a tie says too little: of max(a, b) at a = b each may have any slope in [0, 1], but along the
    direction that moves both alike the slope is 1.
    """

    shares: tuple[Mapping[Place, float], ...]
    value: Array
    error: Array
    open: Array

    @classmethod
    def of(cls, found: Vjp, names: Sequence[str], indices: Sequence[Any] | None = None) -> "Lines":
        """Those that were measured; of numbers that were picked out of others, those that keep a tie.

        `indices` says where such numbers lie. Along another line a program that is known may have kinks that cancel,
        as in relu(x) − relu(−x), where it is differentiable, and no step of its way back is.
        """
        shares: list[Mapping[Place, float]] = []
        kept = [i for i, one in enumerate(found.directions) if one.is_tie or indices is None]
        for direction in (found.directions[i] for i in kept):
            moved: dict[Place, float] = {}
            for number, part in direction.parts.items():
                for index in map(tuple, np.argwhere(part).tolist()):
                    place = (names[number], index) if indices is None else indices[index[0]]
                    moved[place] = float(part[index])
            shares.append(moved)
        return cls(tuple(shares), found.value[kept], found.error[kept], found.open[kept])

    def suit(self, known: Mapping[str, Enclosed]) -> bool | None:
        """Whether what is known has these derivatives, as far as bounds and measured errors tell; None: no word."""
        for moved, slope, error, opened in zip(self.shares, self.value, self.error, self.open, strict=True):
            terms = [(share, known[name], index) for (name, index), share in moved.items()]
            along = sum(share * float(one.value[index]) for share, one, index in terms)
            loose = sum(abs(share) * float(one.error[index] + one.open[index]) for share, one, index in terms)
            if not np.isfinite([along, slope, loose, error]).all():
                return None
            if abs(along - slope) > error + opened + loose:
                return False
        return True

    def along(self, gradients: Mapping[str, Array]) -> Array:
        """What a gradient gives along each."""
        return np.array(
            [
                sum(share * float(gradients[name][index]) for (name, index), share in moved.items())
                for moved in self.shares
            ]
        )

    def off(self, gradients: Mapping[str, Array]) -> Array:
        """Along which a gradient is not the derivative."""
        return np.abs(self.along(gradients) - self.value) > self.error + self.open

    def contradicted(self, gradients: Mapping[str, Array], right: Mapping[str, Enclosed]) -> str:
        """How a gradient differs from the derivative along a line; empty where it does along none."""
        each = self.shares, self.along(gradients), self.value, self.error + self.open, self.off(gradients)
        for moved, along, slope, may_be_off, is_off in zip(*each, strict=True):
            if not is_off:
                continue
            unit = next(iter(moved.values()))
            is_now, should = told_apart(float(along) / unit, float(slope) / unit + 0.0)  # of -0.0, 0.0
            if len(moved) > SPELLED:
                return (
                    "Along a direction through all numbers at once the gradient gives "
                    f"{is_now}, and should give {should}."
                )
            whole = float(slope) / unit
            slack = float(may_be_off) / abs(unit)
            tied = len(moved) > 1 and all(
                share == unit and _is_share(right[name], index, whole, slack)
                for (name, index), share in moved.items()
            )
            where = f"Where {_listed([_told(*place) for place in moved])} tie, " if tied else ""
            why = ": at a tie the shares of all who take part add up to one whole" if tied else ""
            return f"{where}{_sum(moved, unit)} is {is_now}, and should be {should}{why}."
        return ""


SPELLED = 9
"""Numbers that tie and are told one by one: a window of three by three."""
TIED = 16
"""Numbers that lie at a kink and are moved together, at most: those of some windows."""


def _is_share(one: Enclosed, index: tuple[int, ...], whole: float, slack: float) -> bool:
    """Whether an entry is open, and any of its slopes is a part of the whole: so it is where the largest is taken.

    At another kink, as that of relu(w x + b) or |a - b|, each has slopes of its own.
    """
    value, error, opened = (float(part[index]) for part in one)
    low, high = min(0.0, whole) - error - slack, max(0.0, whole) + error + slack
    return opened > error and low <= value - opened and value + opened <= high


def _told(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def _listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _sum(moved: Mapping[Place, float], unit: float) -> str:
    """`dx[0] + dx[1] - 2 dx[2]`."""
    told = ""
    for (name, index), share in moved.items():
        factor = share / unit
        sign = (" + " if factor > 0 else " - ") if told else ""
        told += f"{sign}{'' if abs(factor) == 1 else f'{abs(factor):.6g} '}d{_told(name, index)}"
    return told


@dataclass(frozen=True)
class Right:
    """What is right for a case: gradients by name, the outputs where they are known, lines where it was measured."""

    gradients: Mapping[str, Enclosed]
    outputs: tuple[Enclosed, ...] = ()
    lines: Lines | None = None

    @property
    def values(self) -> dict[str, Array]:
        """The gradients without what they may be off by."""
        return {name: one.value for name, one in self.gradients.items()}

    def has_slopes(self, name: str) -> Array:
        """Of which entries of a gradient it is known that they are finite: of an input of many numbers by lines."""
        one = self.gradients[name]
        by_lines = (
            self.lines is not None and np.isfinite(self.lines.error).any() and np.isinf(one.error).all()
        )
        return _is_known(one) | by_lines

    def at_kinks(self, name: str) -> Array:
        """Where the function has none but one-sided slopes; of an input of many numbers lines tell that it may."""
        one = self.gradients[name]
        kinked = self.lines is not None and (self.lines.open > self.lines.error).any()
        return np.where(np.isinf(one.error), kinked, one.open > one.error)

    def off(self, gradients: Mapping[str, Array]) -> list[Array]:
        """Which entries of each gradient are wrong, and along which lines they are."""
        entries = [off(gradients[name], one) for name, one in self.gradients.items()]
        return entries if self.lines is None else [*entries, self.lines.off(gradients)]

    def is_wide(self, cotangents: Sequence[Array], fmt: str) -> bool:
        """Whether the bound of some gradient says little of it."""
        return any(_is_wide(one, cotangents, fmt) for one in self.gradients.values())

    def most_wrong(self, gradients: Mapping[str, Array]) -> tuple[Place, float] | None:
        """The entry that is most wrong, and by how much; None where lines alone tell, or nothing was measured."""
        errors: dict[Place, float] = {
            (name, index): float(abs(gradients[name][index] - one.value[index]))
            for name, one in self.gradients.items()
            for index in map(tuple, np.argwhere(off(gradients[name], one)).tolist())
        }
        return max(errors.items(), key=lambda item: item[1]) if errors and self.lines is not None else None

    def suits(self, known: "Right") -> bool:
        """Whether what was measured may be what is known, as far as errors and bounds tell."""
        both = {
            name: Enclosed(one.value, one.error + other.error, one.open + other.open)
            for (name, one), other in zip(self.gradients.items(), known.gradients.values(), strict=True)
        }
        along = None if self.lines is None else self.lines.suit(known.gradients)
        return along is not False and _compared_named(known.values, both).holds


class Judge:
    """An operation under test with what is right for it."""

    def __init__(self, subject: Subject, fmt: str = "", calls: str = "") -> None:
        """The subject; a format, where its bound is that of another than its own; the lines that call it."""
        self.subject = subject
        self.calls = calls
        self.format = fmt or subject.declaration.dtype
        self.remarks: list[str] = []
        self.seen: list[float] = []
        """Of each case that held, the relative error that would have failed in half of the entries."""
        self.is_wrong = False
        """Whether a gradient was found to be wrong."""
        self._last: tuple[Any, Any, Any] | None = None
        self._right_of_last: tuple[OperationCase, Right] | None = None
        self._valid: dict[Any, bool] = {}
        self._followed: set[Any] = set()
        self._is_distrusted = False
        self._no_program = ""
        """Why the forward pass is not judged by its own program, as far as that was asked."""

    def in_format(self, fmt: str) -> "Judge":
        """The same under the bound of another format."""
        other = Judge(self.subject, fmt, self.calls)
        other.remarks, other._last, other._valid = self.remarks, self._last, self._valid
        other._followed, other._is_distrusted = self._followed, self._is_distrusted
        other._no_program = self._no_program
        if "reading" in vars(self):
            vars(other)["reading"] = self.reading
        return other

    @property
    def declaration(self) -> Declaration:
        """What the subject declares."""
        return self.subject.declaration

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.subject.name

    @property
    def output(self) -> str:
        """What an output is called: y, where that is no input's name."""
        return self.declaration.output

    def draw(self, name: str, seed: int, shape: Sequence[int], sizes: Mapping[str, int]) -> Array:
        """See `Caller`."""
        return self.subject.draw(name, seed, shape, sizes)

    def valid(self, sizes: Mapping[str, int], options: Mapping[str, Any]) -> bool:
        """See `Caller`. It is asked once for each combination."""
        key = tuple(sizes.items()), repr(options)
        if key not in self._valid:
            self._valid[key] = self.subject.valid(sizes, options)
        return self._valid[key]

    @property
    def pool(self) -> Sequence[int]:
        """Sizes to draw from: smaller ones where the truth is measured, or traced for each."""
        return SIZES if self.reading is not None and not self.reading.own else FEW

    @cached_property
    def combinations(self) -> Sequence[Combination]:
        """Sizes and options to draw from where each makes a program that is traced; without, any is drawn."""
        is_traced_for_each = self.reading is not None and self.reading.own and self.reading.operation.concrete
        return some_combinations(self, self.pool, PROGRAMS) if is_traced_for_each else ()

    def remark(self, sentence: str) -> None:
        """Keep a remark for whoever uses the subject: nothing against it."""
        if sentence not in self.remarks:
            self.remarks.append(sentence)

    def remark_manners(self, who: str, manners: Any) -> None:
        """Remark what a call did besides returning."""
        for name in manners.reused:
            self.remark(f"{who} returns {name} in the same buffer every time: copy it before the next call")
        for name in manners.overwritten:
            self.remark(
                f"{who} overwrites the {name} that an earlier call returned: copy it before the next call"
            )
        for sentence in manners.remarks:
            self.remark(f"{who}: {sentence}")

    def notes(self, *, passes: bool) -> list[str]:
        """What there is to say beside the verdict, a sentence each: nothing against the subject."""
        found: list[str] = []
        if self.declaration.has("stand_in"):
            found.append("The derivative is judged as that of stand_in, and not of forward.")
        elif self.reading is not None and self.reading.backward:
            found.append(
                f"The derivative is judged as that of {self.reading.operation.name}, its REFERENCE, and not of forward."
            )
        elif self.seen and (self.reading is None or self.reading.own):
            counterpart = self.declaration.counterpart
            if self.reading is not None:
                how = "Judged by the program of your own forward pass"
            else:
                why = f", of which no program is read ({self._no_program})" if self._no_program else ""
                how = f"Measured by differences of your own forward pass{why}"
            if counterpart is not None:
                how += f": it is not {counterpart.operation} as we know it"
            elif self.reading is not None:
                how += ': if it is a known operation, say which, as in REFERENCE = "layer_norm"'
            found.append(f"{how}.")
        if passes and self.seen:
            error = float(np.median(self.seen))
            found.append(
                f"An error of {error:.0e} in a typical entry would have failed"
                + (f": {_digits(error)} could be seen." if self.reading is None else ".")
            )
        if mixed := self._mixed():
            found.append(mixed)
        return found + [f"{one[0].upper()}{one[1:]}." for one in self.remarks]

    @cached_property
    def is_random(self) -> bool:
        """Whether forward gives other outputs for the same inputs, on a case of its own."""
        try:
            case = make(Seeded(np.random.default_rng(0)), self, ("plain",))
            both = [self.subject.forward(case.inputs, case.options).outputs for _ in range(2)]
        except (NoCaseError, Violation):
            return False
        return any(differ(one, other) for one, other in zip(*both, strict=True))

    def _mixed(self) -> str:
        """Whether an output's part along an axis depends on another part of an input; empty where not, or known to.

        Along an axis called n or b, which inputs and outputs have in front: it may be one of samples, or none.
        """
        if self.is_random or (self.reading is not None and self.reading.operation.mixes):
            return ""
        declared, rng = self.declaration, np.random.default_rng(1)
        first = {name: one.dimensions[0] for name, one in declared.inputs.items() if one.dimensions}
        for axis in BATCH:
            batched = [name for name in declared.differentiable if first.get(name) == axis]
            for _ in range(SAMPLES if batched else 0):
                try:
                    case = make(Seeded(rng), self, ("plain",))
                    outputs = self.subject.forward(case.inputs, case.options).outputs
                    moved = {name: np.array(array) for name, array in case.inputs.items()}
                    for name in batched:
                        moved[name][-1:] = moved[name][-1:] / 2
                    others = self.subject.forward(moved, case.options).outputs
                except (NoCaseError, Violation):
                    continue
                n = case.sizes[axis]
                for i, (one, other) in enumerate(zip(outputs, others, strict=True)):
                    if (
                        n > 1
                        and np.shape(one)[:1] == np.shape(other)[:1] == (n,)
                        and differ(one[:-1], other[:-1])
                    ):
                        y = numbered(self.output, len(outputs))[i]
                        x = f"{batched[0]}[{n - 1}]"
                        return f"What lies along {axis} depends on each other: {y}[0] changes with {x}."
        return ""

    def run(self, case: OperationCase) -> tuple[tuple[Array, ...], tuple[Array, ...], dict[str, Array]]:
        """Outputs, cotangents and gradients of a case; the last one is remembered."""
        if self._last is None or self._last[0] is not case:
            forward = self.subject.forward(case.inputs, case.options)
            cotangents = case.cotangents(forward.outputs)
            backward = self._backward(case, forward, cotangents)
            self._last = case, (forward, cotangents), backward
        _, (forward, cotangents), backward = self._last
        return forward.outputs, cotangents, backward.gradients

    def _backward(self, case: OperationCase, forward: Any, cotangents: Sequence[Array]) -> Any:
        """What the derivative answers; it may refuse numbers for which the program of forward has no gradient."""
        try:
            return self.subject.backward(forward, cotangents)
        except Undefined as fault:
            known = self._read(case, cotangents)
            if known is not None and not any(_is_known(one).any() for one in known.gradients.values()):
                raise
            raise NoGradient(str(fault)) from None

    @cached_property
    def reading(self) -> Reading | None:
        """The known operation whose values are those of the forward pass; None where there is none."""
        candidates, agreed = self.candidates, False
        for case in self._samples(SIZES):
            try:
                outputs = self.subject.forward(case.inputs, case.options).outputs
            except Violation:
                continue
            candidates = [one for one in candidates if self._distance(one, case, outputs).holds]
            agreed = True
            if not candidates:
                return self._of_backward() or self._own()
        return candidates[0] if agreed and candidates else None

    def _samples(self, sizes: Sequence[int]) -> Iterator[OperationCase]:
        """Some cases, the same ones each time, by which it is found out what the subject is."""
        rng = np.random.default_rng(0)
        for _ in range(SAMPLES):
            with suppress(NoCaseError, Violation):
                yield make(Seeded(rng), self, ("plain",), sizes=sizes, calls=self.calls)

    def _of_backward(self) -> Reading | None:
        """The declared reference where backward is its derivative: it is forward that is wrong, and told so."""
        counterpart = self.declaration.counterpart
        if counterpart is None or not counterpart.said or self.declaration.has("stand_in"):
            return None
        candidates, agreed = self.candidates, False
        for case in self._samples(SIZES):
            with suppress(Violation):
                _, cotangents, gradients = self.run(case)
                known = [self._by_program(one, case, cotangents) for one in candidates]
                candidates = [
                    one
                    for one, right in zip(candidates, known, strict=True)
                    if right is not None and _compared_named(gradients, right.gradients).holds
                ]
                agreed = True
        return replace(candidates[0], backward=True) if agreed and candidates else None

    @cached_property
    def witness(self) -> OperationCase | None:
        """A case on which forward is not the reference that backward is the derivative of; None where it may be."""
        if self.reading is None or not self.reading.backward:
            return None
        for case in chain(self._samples(FEW), self._samples(SIZES)):
            with suppress(Violation, NotApplicable):
                if self.difference(case, self.run(case)[0]):
                    return case
        return None

    @cached_property
    def candidates(self) -> list[Reading]:
        """The known operations that the forward pass may be. A reference of its author's is one that is traced."""
        counterpart = self.declaration.counterpart
        if counterpart is None or ":" not in counterpart.operation:
            return readings(self.declaration)
        try:
            case = make(Seeded(np.random.default_rng(0)), self, ("plain",), sizes=FEW)
            return [self._traced(case, counterpart)]
        except (NoProgramError, NoCaseError) as error:
            self.remark(f"{counterpart.operation}, its REFERENCE, can't be read as a program: {error}")
            return []

    def _traced(self, case: OperationCase, counterpart: Counterpart | None = None) -> Reading:
        """The program of the subject's own forward pass, or of the counterpart. Raises `NoProgramError`."""
        declared = self.declaration
        operation = operation_of(self.subject, case, "" if counterpart is None else counterpart.operation)
        options = {name: name for name in declared.options}
        meant = Counterpart(operation.name, tuple(declared.inputs), options=options)
        return Reading(operation, meant, {}, own=counterpart is None)

    def _own(self) -> Reading | None:
        """The program of the subject's own forward pass, where on some cases it is what the subject computes."""
        declared = self.declaration
        unsuitable = {
            "it takes arrays of torch": declared.arrays == "torch",
            "ONCE says that there is one object for all cases": declared.once,
            "stand_in is meant": declared.has("stand_in"),
        }
        self._no_program = next((why for why, applies in unsuitable.items() if applies), "")
        if self._no_program:
            return None
        found, agreed = None, False
        smallest_first = sorted(self._samples(FEW), key=lambda case: case.numbers)  # there a loop is shorter
        for case in smallest_first:
            try:
                found = found or self._traced(case)
                outputs = self.subject.forward(case.inputs, case.options).outputs
                cotangents = case.cotangents(outputs)
                known = self._what_is_read(found, case, cotangents)
            except Violation:
                continue
            except NoProgramError as error:
                self._no_program = str(error)
                if found is None:
                    return None
                continue
            if known is None:
                self._no_program = "what was read can't be differentiated"
                return None
            if not all(np.isfinite(one.value).all() for one in known.gradients.values()):
                continue  # as of √v where v is always 0, for one sample: it says nothing here
            if not self._is_program(case, outputs, cotangents, known):
                self._no_program = "what was read has other values or slopes than it"
                return None
            agreed = True
        if not agreed:
            self._no_program = self._no_program or "it has no finite slopes"
        return found if agreed else None

    def _by_program(self, reading: Reading, case: OperationCase, cotangents: Sequence[Array]) -> Right | None:
        """What a program that was traced elsewhere says; None where it can't be read or differentiated."""
        with suppress(NoProgramError):
            return self._what_is_read(reading, case, cotangents)
        return None

    def _what_is_read(
        self, reading: Reading, case: OperationCase, cotangents: Sequence[Array]
    ) -> Right | None:
        """The same; raises `NoProgramError` where there is none at these sizes."""
        try:
            found = reading.truth(case, self.declaration, cotangents, self.format)
        except (UnknownPrimitiveError, NotImplementedError, *_UNSUITABLE):
            return None
        if found is None or not set(self.declaration.differentiable) <= set(found[1]):
            return None
        return Right({name: found[1][name] for name in self.declaration.differentiable}, found[0])

    def _is_program(
        self,
        case: OperationCase,
        outputs: Sequence[Array],
        cotangents: Sequence[Array],
        known: Right,
        gradients: Mapping[str, Array] | None = None,
    ) -> bool:
        """Whether a program has the values of the forward pass, and the slopes.

        Its values alone would not tell a slope: x rounded to 50 binary places is x, and has the slope 0. The program
        comes from the subject's own process, and the truth can't hang on what that says. So its slope along a random
        line is measured with the first case of each program, and with the first that speaks against the subject: if it
        does so rightly, the subject is wrong whatever the others are. A program with another slope is followed nowhere
        any more.
        """
        if self._is_distrusted or not _compared(outputs, known.outputs).holds:
            return False
        if case.regime in EDGES:
            return True
        accuses = gradients is not None and not _compared_named(gradients, known.gradients).holds
        program = tuple(case.sizes.items()), repr(case.options), accuses
        if program not in self._followed:
            try:
                lines = self._measured(case, outputs, cotangents, entries=0).lines
            except Inconclusive:
                return False
            suits = None if lines is None else lines.suit(known.gradients)
            if not suits:
                self._is_distrusted = suits is False
                return False
            self._followed.add(program)
        return True

    def _distance(self, reading: Reading, case: OperationCase, outputs: Sequence[Array]) -> Comparison:
        """How the outputs of a case compare with those of a known operation, in single precision's sense."""
        cotangents = [np.zeros(np.shape(one)) for one in outputs]
        try:
            found = reading.truth(case, self.declaration, cotangents, "float32")
        except (NoProgramError, UnknownPrimitiveError, *_UNSUITABLE):
            return _APART
        if found is None or not set(self.declaration.differentiable) <= set(found[1]):
            return _APART
        return _compared(outputs, found[0])

    def difference(self, case: OperationCase, outputs: Sequence[Array]) -> str:
        """How the outputs differ from those of the operation that is named, under the options that suit best.

        Empty where they do not. Raises `NotApplicable` where nothing is known of it.
        """
        if not self.candidates:
            raise NotApplicable("the reference is not a known operation")
        found = min(
            (self._distance(one, case, outputs) for one in self.candidates), key=lambda one: one.ratio
        )
        if found.holds:
            return ""
        if found is _APART or found.worst is None:
            return "it takes or returns different shapes"
        is_now, should = told_apart(found.worst.actual, found.worst.expected)
        return f"{_told(found.worst.array, found.worst.index)} is {is_now}, and there it is {should}"

    def comparison_of_the_forward_pass(self, case: OperationCase) -> str:
        """Whether the forward pass is what it is named after, in a sentence; empty where it is named after nothing."""
        counterpart = self.declaration.counterpart
        if counterpart is None or self.declaration.has("stand_in"):
            return ""
        if self.reading is not None and self.reading.backward:
            return ""
        if self.reading is not None and not self.reading.own:
            return f"forward agrees with {counterpart.operation}: it is the derivative that is wrong."
        _, cotangents, gradients = self.run(case)
        for one in self.candidates:
            with suppress(NoProgramError, UnknownPrimitiveError, *_UNSUITABLE):
                found = one.truth(case, self.declaration, cotangents, self.format)
                if found is not None and set(gradients) <= set(found[1]):
                    other = {name: found[1][name] for name in gradients}
                    if _compared_named(gradients, other).holds:
                        return (
                            f"the derivative is that of {counterpart.operation}, and forward is a different function: "
                            "which one is meant?"
                        )
        rng = np.random.default_rng(0)
        for _ in range(SAMPLES if counterpart.said else 0):
            with suppress(NotApplicable, NoCaseError, Violation):
                other = make(Seeded(rng), self, ("plain",))
                if told := self.difference(other, self.subject.forward(other.inputs, other.options).outputs):
                    return f"forward differs from {counterpart.operation}, its REFERENCE, too: {told}."
        return ""

    def known(self, case: OperationCase) -> Right | None:
        """What is right by the known operation that the forward pass is; None where it is none, or has other shapes."""
        _, cotangents, _ = self.run(case)
        return self._read(case, cotangents)

    def _read(self, case: OperationCase, cotangents: Sequence[Array]) -> Right | None:
        """What the program that is read says; None where none is, or it has other shapes."""
        if self.reading is None or self.declaration.has("stand_in"):
            return None
        if self.reading.own:
            return self._by_program(self.reading, case, cotangents)
        try:
            found = self.reading.truth(case, self.declaration, cotangents, self.format)
        except UnknownPrimitiveError as error:
            raise Inconclusive(str(error)) from None
        except ValueError:  # at these sizes its outputs have other shapes
            return None
        if found is None:
            return None
        outputs, gradients = found
        return Right({name: gradients[name] for name in self.declaration.differentiable}, outputs)

    def right(self, case: OperationCase) -> Right:
        """What is right for a case: by the known operation where the forward pass is that here, else as measured.

        At the edges a forward pass may lose its digits and is meant all the same, unless it is another function there,
        as one whose norm is never below 1e-8; the last one is remembered. Raises `Inconclusive` where nobody can tell.
        """
        if self._right_of_last is None or self._right_of_last[0] is not case:
            self._right_of_last = case, self._right(case)
        return self._right_of_last[1]

    def _right(self, case: OperationCase) -> Right:
        """What decides; where it says nothing of what is not finite, as of 0/0, forward itself does."""
        outputs, cotangents, gradients = self.run(case)
        right = self._deciding(case, outputs, cotangents, gradients)
        is_unknown = right.lines is None and any(
            (~np.isfinite(gradients[name]) & ~_is_known(one)).any() for name, one in right.gradients.items()
        )
        if is_unknown and case.regime not in EDGES and all(np.isfinite(one).all() for one in outputs):
            return self._measured(case, outputs, cotangents)
        return right

    def _deciding(
        self,
        case: OperationCase,
        outputs: Sequence[Array],
        cotangents: Sequence[Array],
        gradients: Mapping[str, Array],
    ) -> Right:
        known = self.known(case)
        if self.reading is not None and self.reading.own:
            if known is not None and self._is_program(case, outputs, cotangents, known, gradients):
                if case.regime in EDGES or not known.is_wide(cotangents, self.format):
                    return known
                return self._measured(case, outputs, cotangents)  # more than a bound that has exploded tells
            if case.regime in EDGES:
                raise Inconclusive("the program of forward has other values here")
        if known is None or self.reading is None or self.reading.own:
            return self._measured(case, outputs, cotangents)
        is_that = (
            self.reading.backward
            or not all(np.isfinite(one).all() for one in outputs)
            or _compared(outputs, known.outputs).holds
            or self._distance(self.reading, case, outputs).holds
        )
        if is_that or (case.regime in EDGES and _compared_named(gradients, known.gradients).holds):
            return known
        measured = self._measured(case, outputs, cotangents)
        # At an edge the values may have lost their digits: it is the slopes that tell another function.
        if case.regime in EDGES and (
            measured.suits(known) or self.is_staircase(case, known.values, measured)
        ):
            return known
        return measured

    def is_staircase(self, case: OperationCase, gradients: Mapping[str, Array], right: Right) -> bool:
        """Whether what was measured is the slope of stairs, where gradients differ from it (see `staircases`)."""
        found = right.most_wrong(gradients)
        if found is None:
            return False
        (name, index), wrong = found
        _, cotangents, _ = self.run(case)

        def place(number: np.floating[Any]) -> dict[str, Array]:
            array = np.array(case.inputs[name])
            array[index] = number
            return {**case.inputs, name: array}

        def moved(numbers: Array) -> list[float | Exception]:
            several = self.meant([place(one) for one in numbers], case.options)
            return [one if isinstance(one, Violation) else _inner(one, cotangents) for one in several]

        here = np.asarray(case.inputs[name])[index]
        size = abs(float(here))
        return is_staircase(moved, here, list(dict.fromkeys((max(1.0, size), size))), wrong)

    def contradicts_its_program(
        self, case: OperationCase, gradients: Mapping[str, Array], right: Right
    ) -> bool:
        """Whether forward moves otherwise than its own program says, wherever gradients differ from it.

        The program is what forward computes, its values are the same, and its bound is so wide that slopes were
        measured: so digits are lost inside, as those of 1 + erf(x) where nothing of it is left.
        """
        if right.lines is None or self.reading is None or not self.reading.own:
            return False
        outputs, cotangents, _ = self.run(case)
        program = self.known(case)
        if program is None or not self._is_program(case, outputs, cotangents, program, gradients):
            return False
        if any(program.at_kinks(name).any() for name in program.gradients):
            return False  # of the slopes at a kink it has one, which need not be right along a line
        wrong, others = right.off(gradients), right.off(program.values)
        return any(map(np.any, wrong)) and not any(
            (one & ~other).any() for one, other in zip(wrong, others, strict=True)
        )

    def meant(
        self, places: Sequence[Mapping[str, Array]], options: Mapping[str, Any]
    ) -> list[Sequence[Array] | Violation]:
        """At several places the outputs of the function whose derivative is meant, or what is wrong with the call.

        It is forward, or what stands in for it.
        """
        if "stand_in" not in self.declaration.calls:
            return list(self.subject.forwards(places, options))
        found: list[Sequence[Array] | Violation] = []
        for inputs in places:
            try:
                found.append(self.subject.stand_in(inputs, options))
            except Violation as fault:
                found.append(fault)
        return found

    def _measured(
        self,
        case: OperationCase,
        outputs: Sequence[Array],
        cotangents: Sequence[Array],
        entries: int = ENTRIES,
    ) -> Right:
        """By differences of the forward pass itself, or of the function that stands in for it.

        Inputs of at most so many numbers entry by entry; with none, one line through all numbers is all there is.
        """
        names = list(case.inputs)

        def at(places: list[list[Array]]) -> list[Sequence[Array] | Violation]:
            return self.meant([dict(zip(names, arrays, strict=True)) for arrays in places], case.options)

        moving = [name in self.declaration.differentiable for name in names]
        wanted = [
            dy if np.asarray(output).dtype.kind == "f" else None
            for dy, output in zip(cotangents, outputs, strict=True)
        ]
        try:
            columns = slopes(
                Several(at),
                [np.asarray(case.inputs[name]) for name in names],
                cotangents=wanted,
                differentiable=moving,
                within=[_interval(self.declaration.inputs[name].values) for name in names],
                single=self.declaration.dtype == "float32",
                entries=entries,
                lines=LINES if entries else 0,
            )
        except NotRepeatableError as error:
            raise Inconclusive(str(error)) from None
        except ValueError as error:
            raise Inconclusive(
                f"the forward pass can't be called beside the case ({str(error)[:80]})"
            ) from None
        if self.format == "float32":  # what a backward pass in single precision loses in the products with dy
            columns = replace(columns, roundoff=2.0**-24)
        found = columns.vjp(wanted)
        gradients = {
            name: Enclosed(*_parts(entries, np.shape(case.inputs[name])))
            for name, entries in zip(names, found.entries, strict=True)
            if name in self.declaration.differentiable
        }
        return Right(gradients, lines=Lines.of(found, names))

    def check(self, case: OperationCase) -> Comparison:
        """Hold the gradients of a case against what is right. Raises `Violation` and `Inconclusive`."""
        outputs, cotangents, gradients = self.run(case)
        right = self.right(case)
        known = _known(right.gradients).values()
        if right.lines is None and any(one.size for one in known) and not any(one.any() for one in known):
            raise Inconclusive("the right gradient is not finite here")
        # A number that is none is no wrong slope at a kink, where many are right (see `undefined`).
        bare = {
            name: np.where(~np.isfinite(array) & right.at_kinks(name), right.values[name], array)
            for name, array in gradients.items()
        }
        found = _compared_named(bare, right.gradients)
        told = not_finite(gradients, right)
        if told and not all(np.isfinite(one).all() for one in outputs if one.dtype.kind == "f"):
            raise Inconclusive("the forward pass is not finite")
        apart = 1.0
        if not told and found.worst is not None:
            told, apart = f"{found.worst}. Wrong are {found.census()}.", found.worst.apart
        if not told:
            lines = self._tied(case, right.gradients) if right.lines is None else right.lines
            told = lines.contradicted(gradients, right.gradients) if lines is not None else ""
        if not told and right.is_wide(cotangents, self.format):
            told = self._off_in_projection(case, gradients, right)
        if told:
            self.is_wrong = True
            raise Violation(told).of_numbers(apart)
        self._see(right)
        return found

    def undefined(self, case: OperationCase) -> str:
        """Which gradient is no number at a kink; empty where none is."""
        _, _, gradients = self.run(case)
        right = self.right(case)
        for name, array in gradients.items():
            bad = ~np.isfinite(array) & right.at_kinks(name)
            if bad.any():
                return f"{_lost(array[bad])} in d{name} at a kink, where any slope between those of its sides is right"
        return ""

    def _off_in_projection(self, case: OperationCase, gradients: Mapping[str, Array], right: Right) -> str:
        """What is off along random directions, where bounds of entries have exploded: see `reference.projections`."""
        if self.reading is None or self.reading.own:
            return ""  # of a formula that nobody knows there are others, which round in other places
        _, cotangents, _ = self.run(case)
        for name, one in self.reading.projections(case, self.declaration, cotangents, self.format).items():
            if name not in gradients or right.gradients[name].open.any():
                continue  # what a kink leaves open moves a projection too
            array = np.asarray(gradients[name], np.float64).reshape(one.directions.shape[1:])
            given = np.tensordot(one.directions, array, axes=array.ndim)
            ratio = np.abs(given - one.value) / one.error
            if ratio.max() > 1:
                k = int(ratio.argmax())
                is_now, should_be = told_apart(float(given[k]), float(one.value[k]))
                return (
                    f"d{name}, its entries added up with random signs, is {is_now}, and should be {should_be} "
                    f"(rounding explains {one.error[k]:.1g})"
                )
        return ""

    def _see(self, right: Right) -> None:
        """Keep how small an error would have failed in half of the entries that are not 0."""
        with np.errstate(all="ignore"):
            shares = [
                ((one.error + one.open) / np.abs(one.value))[_is_known(one) & (one.value != 0)]
                for one in right.gradients.values()
            ]
        every = np.concatenate([np.empty(0), *shares])
        if every.size:
            self.seen.append(float(np.median(every)))

    def _tied(self, case: OperationCase, right: Mapping[str, Enclosed]) -> Lines | None:
        """Lines that keep a tie of a known operation, as its own forward pass shows them (see `Lines`)."""
        names = [name for name in self.declaration.differentiable if np.ndim(case.inputs[name])]
        open_ones: list[Place] = [
            (name, tuple(index))
            for name in names
            for index in np.argwhere(right[name].open > right[name].error).tolist()
        ]
        if self.reading is None or len(open_ones) < 2:  # noqa: PLR2004  (a tie is of two)
            return None
        open_ones.sort(key=lambda place: place[1])  # of min(a, b), those that tie stand at the same place
        first = int(case.raw[0]) % max(1, len(open_ones) - TIED + 1)
        chosen = open_ones[first : first + TIED]
        outputs_of = self.reading.value(case, self.declaration)
        _, cotangents, _ = self.run(case)

        def forward(numbers: list[Array]) -> Sequence[Array]:
            moved = {name: np.array(case.inputs[name], np.float64) for name in names}
            for (name, index), number in zip(chosen, numbers[0], strict=True):
                moved[name][index] = number
            return outputs_of({**case.inputs, **moved})

        point = np.array([case.inputs[name][index] for name, index in chosen], np.float64)
        found = slopes(forward, [point], cotangents=cotangents, complex_steps=False)
        return Lines.of(found.vjp(cotangents), names, chosen)


def _inner(outputs: Sequence[Array], cotangents: Sequence[Array]) -> float:
    """⟨dy, y⟩ over the outputs that have a derivative."""
    terms = zip(outputs, cotangents, strict=True)
    return sum(float((one * dy).sum()) for one, dy in terms if one.dtype.kind == "f")


WIDE = {"float64": 1e-9, "float32": 1e-2}
"""Of the largest entry: above it a bound says too little, and projections are asked besides."""


def _is_wide(one: Enclosed, cotangents: Sequence[Array], fmt: str) -> bool:
    """Whether the typical bound of an array says little; of what is nothing but rounding, beside what it is made of.

    Beside a kink the middle of what is open may be 0 and says nothing: what is measured there tells more.
    """
    is_some = one.open.any() or (np.abs(one.value) > one.error).any()
    sizes = [one.value] if is_some else cotangents
    size = max((float(np.abs(each).max(initial=0)) for each in sizes), default=0.0)
    return size > 0 and float(np.median(one.error)) > WIDE.get(fmt, 1.0) * size


def _digits(error: float) -> str:
    count = max(0, int(-np.log10(error))) if error > 0 else 16
    return "1 digit" if count == 1 else f"{count} digits"


def differ(one: Array, other: Array, rounding: Array | float = 0.0) -> bool:
    """Whether two outputs differ in the first half of their digits: sums in another order differ in the last ones.

    Where all digits may be rounding, as where terms cancel, by more than that of both.
    """
    if one.shape != other.shape:
        return True
    if np.array_equal(one, other, equal_nan=one.dtype.kind == "f") or one.dtype.kind != "f":
        return not np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    half = float(np.sqrt(np.finfo(one.dtype).eps))
    reach = half * max(np.abs(one).max(), np.abs(other).max())
    return not bool((np.abs(one - other) <= np.maximum(reach, 2 * rounding)).all())


def not_finite(gradients: Mapping[str, Array], right: Right) -> str:
    """Where an entry is NaN or infinite, and the right one is not, nor is there a kink; empty where none is."""
    for name, array in gradients.items():
        bad = ~np.isfinite(array) & right.has_slopes(name) & ~right.at_kinks(name)
        if bad.any():
            count = f"{int(bad.sum())} of {array.size} entries"
            return f"d{name} has {_lost(array[bad])} in {count}, where the right gradient is finite"
    return ""


def _lost(numbers: Array) -> str:
    """What they are that should be numbers."""
    return "NaN" if np.isnan(numbers).any() else "inf"


def _is_known(one: Enclosed) -> Array:
    """Of which entries anything is known: not of those without a bound, or not finite, as a norm's slope at 0."""
    return np.isfinite(one.value) & np.isfinite(one.error + one.open)


def _parts(entries: Any, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Value, error and what is open of an input that was measured; nothing is known of one that was not."""
    if entries is None:
        return np.zeros(shape), np.full(shape, np.inf), np.zeros(shape)
    return entries.value, entries.error, entries.open


def _interval(values: Any) -> tuple[float, float] | None:
    """What the numbers of a kind must not leave."""
    return {"positive": (0.0, np.inf), "unit": (0.0, 1.0)}.get(values) if isinstance(values, str) else None


def _compared(outputs: Sequence[Array], right: Sequence[Enclosed], *, known: bool = False) -> Comparison:
    """Outputs beside the right ones; with `known` those alone that are numbers and have a bound, or are infinite."""
    names = numbered("y", len(outputs))
    if [np.shape(one) for one in outputs] != [one.value.shape for one in right]:
        return _APART
    parts = [dict(zip(names, column, strict=True)) for column in zip(*right, strict=True)]
    told = [_is_known(one) | np.isinf(one.value) for one in right] if known else None
    actual = dict(zip(names, map(np.asarray, outputs), strict=True))
    return compare(actual, *parts, known=None if told is None else dict(zip(names, told, strict=True)))


_APART = Comparison(np.inf, {}, {}, 0, Entry("y", (), np.nan, np.nan, 0.0))
"""Of outputs whose number or shapes are not those of the known ones."""


def _compared_named(gradients: Mapping[str, Array], right: Mapping[str, Enclosed]) -> Comparison:
    actual, known = _by_gradient({name: gradients[name] for name in right}), _by_gradient(_known(right))
    value, error, opened = (
        _by_gradient({name: getattr(one, part) for name, one in right.items()})
        for part in ("value", "error", "open")
    )
    return compare(actual, value, error, opened, known)


def _known(right: Mapping[str, Enclosed]) -> dict[str, Array]:
    return {name: _is_known(one) for name, one in right.items()}


def _by_gradient(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"d{name}": array for name, array in arrays.items()}


def off(array: Array, right: Enclosed) -> Array:
    """Which entries are wrong."""
    return ~(np.abs(array - right.value) <= right.error + right.open)


def compared_outputs(outputs: Sequence[Array], right: Right) -> Comparison:
    """Outputs beside the known ones, where anything is known of these."""
    return _compared(outputs, right.outputs, known=True)


def alike(one: Mapping[str, Array], other: Mapping[str, Array], right: Right) -> Comparison:
    """Two answers to the same question, each of which may err by the bound."""
    doubled = {name: 2 * (part.error + part.open) for name, part in right.gradients.items()}
    answers = _by_gradient(one), _by_gradient(other)
    return compare(*answers, _by_gradient(doubled), known=_by_gradient(_known(right.gradients)))
