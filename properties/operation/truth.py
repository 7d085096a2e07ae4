"""What is right for an operation: a known one that its forward pass agrees with, or else its own values.

A known operation gives outputs and gradients to the last digit, each with a bound (`reference.truth`). Which one it is,
and with which of the options that nobody named, is found out once, on cases of its own: the forward pass has to
agree with it to rounding, in single precision's sense, on all of them. Where none agrees, the forward pass
itself is differenced (`reference.slopes`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from properties.comparison import Comparison, compare, told_apart
from properties.declaration import Counterpart, Declaration
from properties.operation.cases import (
    FEW,
    SIZES,
    Caller,
    NoCaseError,
    OperationCase,
    Seeded,
    combinations,
    make,
)
from properties.operation.guesses import guesses
from properties.search import Inconclusive, Violation
from reference.arithmetic.reading import UnknownPrimitiveError
from reference.operations import KNOWN
from reference.operations.operation import Operation, names_of, size_of
from reference.program import derivative
from reference.projections import Projection, projections
from reference.slopes import NotRepeatableError, slopes
from reference.truth import Enclosed, Truth, truth

Array = NDArray[Any]

SAMPLES = 6
"""Cases on which a known operation has to agree with the forward pass."""
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


class Subject(Caller, Protocol):
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

    def backward(self, forward: Any, cotangents: Sequence[Array] | None = None, *, layout: Any = "C") -> Any:
        """The gradients for these cotangents, or once more for the same."""
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
    """A known operation, and how a case of the subject becomes a call of it."""

    operation: Operation
    counterpart: Counterpart
    open: Mapping[str, Any]

    def options(self, case: OperationCase) -> dict[str, Any]:
        """The operation's options for a case."""
        found: dict[str, Any] = {**self.open, **self.counterpart.fixed}
        for name, own in self.counterpart.options.items():
            found[name] = (
                case.options[own] if isinstance(own, str) else tuple(case.options[one] for one in own)
            )
        return found

    def inputs(self, case: OperationCase, declared: Declaration) -> list[Array]:
        """The operation's inputs, in its order."""
        names = self.counterpart.inputs or tuple(declared.inputs)
        arrays: list[Array] = []
        for name in names:
            array = np.asarray(case.inputs[name])
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
        sizes = sizes_of(self.operation, arrays, options)
        if sizes is None:
            return None
        names = self.counterpart.inputs or tuple(declared.inputs)
        found: Truth = truth(
            self.operation, arrays, self._shaped(cotangents, arrays, options), options, sizes, format=fmt
        )
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
        found = projections(known, arrays, self._shaped(cotangents, arrays, options), sizes, format=fmt)
        names = self.counterpart.inputs or tuple(declared.inputs)
        return {names[place]: one for place, one in zip(known.differentiable, found, strict=True)}

    def _shaped(
        self, cotangents: Sequence[Array], arrays: Sequence[Array], options: Mapping[str, Any]
    ) -> list[Array]:
        """The cotangents of the differentiable outputs, as arrays of float64."""
        del arrays, options
        wanted = self.operation.outputs or (True,) * len(cotangents)
        return [np.asarray(dy, np.float64) for dy, flag in zip(cotangents, wanted, strict=False) if flag]


def readings(declared: Declaration) -> list[Reading]:
    """The known operations that a declaration may mean: each choice of the options that it leaves open."""
    named = [] if declared.counterpart is None else [declared.counterpart]
    return [one for meant in named or guesses(declared) if meant.operation in KNOWN for one in _choices(meant)]


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


@dataclass(frozen=True)
class Right:
    """What is right for a case: gradients by name, whether they are known to the last digit, and of which function.

    `lines` are directions through several inputs at once, where the truth was measured.
    """

    gradients: Mapping[str, Enclosed]
    outputs: tuple[Enclosed, ...] = ()
    measured: Any = None


class Judge:
    """An operation under test with what is right for it."""

    def __init__(self, subject: Subject, fmt: str = "", calls: str = "") -> None:
        """The subject; a format, where its bound is that of another than its own; the lines that call it."""
        self.subject = subject
        self.calls = calls
        self.format = fmt or subject.declaration.dtype
        self.remarks: list[str] = []
        self._last: tuple[Any, Any, Any] | None = None

    def in_format(self, fmt: str) -> "Judge":
        """The same under the bound of another format."""
        other = Judge(self.subject, fmt, self.calls)
        other.remarks, other._last = self.remarks, self._last  # noqa: SLF001  (our own kind)
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

    def draw(self, name: str, seed: int, shape: Sequence[int], sizes: Mapping[str, int]) -> Array:
        """See `Caller`."""
        return self.subject.draw(name, seed, shape, sizes)

    def valid(self, sizes: Mapping[str, int], options: Mapping[str, Any]) -> bool:
        """See `Caller`."""
        return self.subject.valid(sizes, options)

    @property
    def pool(self) -> Sequence[int]:
        """Sizes to draw from: smaller ones where the truth is measured."""
        return SIZES if self.reading is not None else FEW

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

    def run(self, case: OperationCase) -> tuple[tuple[Array, ...], tuple[Array, ...], dict[str, Array]]:
        """Outputs, cotangents and gradients of a case; the last one is remembered."""
        if self._last is None or self._last[0] is not case:
            forward = self.subject.forward(case.inputs, case.options)
            cotangents = case.cotangents(forward.outputs)
            backward = self.subject.backward(forward, cotangents)
            self._last = case, (forward, cotangents), backward
        _, (forward, cotangents), backward = self._last
        return forward.outputs, cotangents, backward.gradients

    @cached_property
    def reading(self) -> Reading | None:
        """The known operation whose values are those of the forward pass; None where there is none."""
        candidates = readings(self.declaration)
        rng = np.random.default_rng(0)
        for _ in range(SAMPLES):
            if not candidates:
                return None
            try:
                case = make(Seeded(rng), self, ("plain",), sizes=SIZES)
                outputs = self.subject.forward(case.inputs, case.options).outputs
            except (NoCaseError, Violation):
                continue
            candidates = [one for one in candidates if self._agrees(one, case, outputs)]
        return candidates[0] if candidates else None

    def _agrees(self, reading: Reading, case: OperationCase, outputs: Sequence[Array]) -> bool:
        cotangents = [np.zeros(np.shape(one)) for one in outputs]
        try:
            found = reading.truth(case, self.declaration, cotangents, "float32")
        except (UnknownPrimitiveError, ValueError, TypeError, ZeroDivisionError):
            return False
        if found is None or len(found[0]) != len(outputs):
            return False
        if not set(self.declaration.differentiable) <= set(found[1]):
            return False
        return _compared(outputs, found[0]).holds

    def right(self, case: OperationCase) -> Right:
        """What is right for a case. Raises `Inconclusive` where nobody can tell."""
        outputs, cotangents, _ = self.run(case)
        if self.reading is not None and "stand_in" not in self.declaration.calls:
            try:
                found = self.reading.truth(case, self.declaration, cotangents, self.format)
            except UnknownPrimitiveError as error:
                raise Inconclusive(str(error)) from None
            if found is not None:
                known, gradients = found
                return Right({name: gradients[name] for name in self.declaration.differentiable}, known)
        return self._measured(case, outputs, cotangents)

    def _measured(self, case: OperationCase, outputs: Sequence[Array], cotangents: Sequence[Array]) -> Right:
        """By differences of the forward pass itself, or of the function that stands in for it."""
        names = list(case.inputs)
        stand_in = "stand_in" in self.declaration.calls

        def forward(arrays: list[Array]) -> Sequence[Array]:
            inputs = dict(zip(names, arrays, strict=True))
            try:
                if stand_in:
                    return self.subject.stand_in(inputs, case.options)
                return self.subject.forward(inputs, case.options).outputs
            except Violation as fault:
                raise ValueError(str(fault)) from None

        moving = [name in self.declaration.differentiable for name in names]
        wanted = [
            dy if np.asarray(output).dtype.kind == "f" else None
            for dy, output in zip(cotangents, outputs, strict=True)
        ]
        try:
            found = slopes(
                forward,
                [np.asarray(case.inputs[name]) for name in names],
                cotangents=wanted,
                differentiable=moving,
                within=[_interval(self.declaration.inputs[name].values) for name in names],
                single=self.format == "float32",
            ).vjp(wanted)
        except NotRepeatableError as error:
            raise Inconclusive(str(error)) from None
        except ValueError as error:
            raise Inconclusive(
                f"the forward pass can't be called beside the case ({str(error)[:80]})"
            ) from None
        gradients = {
            name: Enclosed(*_parts(entries, np.shape(case.inputs[name])))
            for name, entries in zip(names, found.entries, strict=True)
            if name in self.declaration.differentiable
        }
        return Right(gradients, measured=found)

    def check(self, case: OperationCase) -> Comparison:
        """Hold the gradients of a case against what is right. Raises `Violation` and `Inconclusive`."""
        _, _, gradients = self.run(case)
        right = self.right(case)
        check_finite(gradients, right)
        found = _compared_named(gradients, right.gradients)
        if not found.holds:
            raise Violation(f"{found.worst}. Wrong are {found.census()}.")
        if right.measured is not None:
            self._check_lines(case, gradients, right.measured)
        elif any(_is_wide(one, self.format) for one in right.gradients.values()):
            self._check_projections(case, gradients, right)
        return found

    def _check_projections(self, case: OperationCase, gradients: Mapping[str, Array], right: Right) -> None:
        """Where the bounds of entries have exploded, along random directions: see `reference.projections`."""
        if self.reading is None:
            return
        _, cotangents, _ = self.run(case)
        for name, one in self.reading.projections(case, self.declaration, cotangents, self.format).items():
            if name not in gradients or right.gradients[name].open.any():
                continue  # what a kink leaves open moves a projection too
            array = np.asarray(gradients[name], np.float64).reshape(one.directions.shape[1:])
            given = np.tensordot(one.directions, array, axes=array.ndim)
            off = np.abs(given - one.value) / one.error
            if off.max() > 1:
                k = int(off.argmax())
                is_now, should_be = told_apart(float(given[k]), float(one.value[k]))
                raise Violation(
                    f"d{name}, its entries added up with random signs, is {is_now}, and should be {should_be} "
                    f"(rounding explains {one.error[k]:.1g})"
                )

    def _check_lines(self, case: OperationCase, gradients: Mapping[str, Array], measured: Any) -> None:
        """Along lines through several numbers at once: at a tie, the shares add up to 1."""
        arrays = [gradients.get(name) for name in case.inputs]
        projected = measured.projected(arrays)
        with np.errstate(all="ignore"):
            off = np.abs(projected - measured.value) > measured.error + measured.open
        if off.any():
            line = int(np.argmax(off))
            raise Violation(
                f"along a direction through several numbers at once the gradient gives {projected[line]:.6g}, and the "
                f"forward pass moves by {measured.value[line]:.6g}"
            )


WIDE = {"float64": 1e-9, "float32": 1e-2}
"""Of the largest entry: above it a bound says too little, and projections are asked besides."""


def _is_wide(one: Enclosed, fmt: str) -> bool:
    """Whether the typical bound of an array says little."""
    size = float(np.abs(one.value).max(initial=0))
    return size > 0 and float(np.median(one.error)) > WIDE.get(fmt, 1.0) * size


def check_finite(gradients: Mapping[str, Array], right: Right) -> None:
    """Raise `Violation` where an entry is NaN or infinite, and the right one is not."""
    for name, array in gradients.items():
        bad = ~np.isfinite(array) & np.isfinite(right.gradients[name].value)
        if bad.any():
            what = "NaN" if np.isnan(array[bad]).any() else "inf"
            raise Violation(
                f"d{name} has {what} in {int(bad.sum())} of {array.size} entries, where the right gradient is finite"
            )


def _parts(entries: Any, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Value, error and what is open of an input that was measured; nothing is known of one that was not."""
    if entries is None:
        return np.zeros(shape), np.full(shape, np.inf), np.zeros(shape)
    return entries.value, entries.error, entries.open


def _interval(values: Any) -> tuple[float, float] | None:
    """What the numbers of a kind must not leave."""
    return {"positive": (0.0, np.inf), "unit": (0.0, 1.0)}.get(values) if isinstance(values, str) else None


def _compared(outputs: Sequence[Array], known: Sequence[Enclosed]) -> Comparison:
    names = ["y"] if len(outputs) == 1 else [f"y{i + 1}" for i in range(len(outputs))]
    if [np.shape(one) for one in outputs] != [one.value.shape for one in known]:
        return Comparison(np.inf, {}, {}, 0, worst=_NOWHERE)
    parts = [dict(zip(names, column, strict=True)) for column in zip(*known, strict=True)]
    return compare(dict(zip(names, map(np.asarray, outputs), strict=True)), *parts)


_NOWHERE: Any = object()


def _compared_named(gradients: Mapping[str, Array], right: Mapping[str, Enclosed]) -> Comparison:
    names = {name: f"d{name}" for name in right}
    actual = {names[name]: gradients[name] for name in right}
    value, error, opened = (
        {names[name]: getattr(one, part) for name, one in right.items()}
        for part in ("value", "error", "open")
    )
    return compare(actual, value, error, opened)


def compared_outputs(outputs: Sequence[Array], right: Right) -> Comparison:
    """Outputs beside the known ones."""
    return _compared(outputs, right.outputs)


def alike(one: Mapping[str, Array], other: Mapping[str, Array], right: Right) -> Comparison:
    """Two answers to the same question, each of which may err by the bound."""
    doubled = {f"d{name}": 2 * (part.error + part.open) for name, part in right.gradients.items()}
    return compare(
        {f"d{name}": array for name, array in one.items()},
        {f"d{name}": array for name, array in other.items()},
        doubled,
    )
