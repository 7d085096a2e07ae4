"""What is right for an operation: a known one that its forward pass agrees with, or else its own values.

A known operation gives outputs and gradients to the last digit, each with a bound (`reference.truth`). Which one it is,
and with which of the options that nobody named, is found out once, on cases of its own: the forward pass has to
agree with it to rounding, in single precision's sense, on all of them. Where none agrees, the forward pass
itself is read as a program, if it can be (`programs`), and is held against its own values and slopes; else it is
differenced (`reference.slopes`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from properties.comparison import Comparison, told_apart
from properties.declaration import Counterpart, Declaration
from properties.operation.cases import (
    EDGES,
    FEW,
    SIZES,
    Combination,
    Near,
    NoCaseError,
    OperationCase,
    Seeded,
    make,
    some_combinations,
)
from properties.operation.lines import Lines, Place, told_of
from properties.operation.programs import NoProgramError, operation_of
from properties.operation.readings import Reading, readings
from properties.operation.right import (
    APART,
    Right,
    compared,
    compared_gradients,
    differ,
    is_known,
    known_entries,
    lost,
    not_finite,
)
from properties.operation.staircases import is_staircase
from properties.operation.subject import Subject
from properties.search import Inconclusive, NoGradient, NotApplicable, Undefined, Violation
from reference.arithmetic.reading import UnknownPrimitiveError
from reference.slopes import NotRepeatableError, Several, slopes
from reference.truth import Enclosed

Array = NDArray[Any]

SAMPLES = 6
"""Cases on which a known operation has to agree with the forward pass."""
PROGRAMS = 32
"""Of sizes and options that are traced one by one: of three sizes of two axes, 97 in 100 pairs are among them."""
ENTRIES, LINES = 64, 16
"""Of an input that is measured entry by entry, its numbers at most; and lines through larger ones."""
_UNSUITABLE = (ValueError, TypeError, ZeroDivisionError)
"""What a program raises for inputs or options that it isn't made for."""
TIED = 16
"""Numbers that lie at a kink and are moved together, at most: those of some windows."""


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
        self.why_no_program = ""
        """Why the forward pass is not judged by its own program, as far as that was asked."""

    def in_format(self, fmt: str) -> "Judge":
        """The same under the bound of another format."""
        other = Judge(self.subject, fmt, self.calls)
        other.remarks, other._last, other._valid = self.remarks, self._last, self._valid
        other._followed, other._is_distrusted = self._followed, self._is_distrusted
        other.why_no_program = self.why_no_program
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

    @cached_property
    def is_random(self) -> bool:
        """Whether forward gives other outputs for the same inputs, on a case of its own."""
        try:
            case = make(Seeded(np.random.default_rng(0)), self, ("plain",))
            both = [self.subject.forward(case.inputs, case.options).outputs for _ in range(2)]
        except (NoCaseError, Violation):
            return False
        return any(differ(one, other) for one, other in zip(*both, strict=True))

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
            if known is not None and not any(is_known(one).any() for one in known.gradients.values()):
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

    def _smallest(self) -> Iterator[OperationCase]:
        """A case of the smallest sizes, where they are declared: of few samples each may be a large one."""
        for sizes, options in some_combinations(self, FEW, 1) if self.declaration.sizes else ():
            source = Near(Seeded(np.random.default_rng(0)), {"size": sizes, "option": options}, free="")
            with suppress(NoCaseError, Violation):
                yield make(source, self, ("plain",), sizes=FEW, calls=self.calls)

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
                    if right is not None and compared_gradients(gradients, right.gradients).holds
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
        self.why_no_program = next((why for why, applies in unsuitable.items() if applies), "")
        if self.why_no_program:
            return None
        found, agreed = None, False
        cases = [*self._samples(FEW), *self._smallest()]
        for case in sorted(cases, key=lambda case: case.numbers):  # in small ones a loop is shorter
            try:
                found = found or self._traced(case)
                outputs = self.subject.forward(case.inputs, case.options).outputs
                cotangents = case.cotangents(outputs)
                known = self._what_is_read(found, case, cotangents)
            except Violation:
                continue
            except NoProgramError as error:
                self.why_no_program = str(error)
                if found is None:
                    return None
                continue
            if known is None:
                self.why_no_program = "what was read can't be differentiated"
                return None
            if not all(np.isfinite(one.value).all() for one in known.gradients.values()):
                continue  # as of √v where v is always 0, for one sample: it says nothing here
            if not self._is_program(case, outputs, cotangents, known):
                self.why_no_program = "what was read has other values or slopes than it"
                return None
            agreed = True
        if not agreed:
            self.why_no_program = self.why_no_program or "it has no finite slopes"
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
        if self._is_distrusted or not compared(outputs, known.outputs).holds:
            return False
        if case.regime in EDGES:
            return True
        accuses = gradients is not None and not compared_gradients(gradients, known.gradients).holds
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
            return APART
        if found is None or not set(self.declaration.differentiable) <= set(found[1]):
            return APART
        return compared(outputs, found[0])

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
        if found is APART or found.worst is None:
            return "it takes or returns different shapes"
        is_now, should = told_apart(found.worst.actual, found.worst.expected)
        return f"{told_of(found.worst.array, found.worst.index)} is {is_now}, and there it is {should}"

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
                    if compared_gradients(gradients, other).holds:
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
            (~np.isfinite(gradients[name]) & ~is_known(one)).any() for name, one in right.gradients.items()
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
            or compared(outputs, known.outputs).holds
            or self._distance(self.reading, case, outputs).holds
        )
        if is_that or (case.regime in EDGES and compared_gradients(gradients, known.gradients).holds):
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
        known = known_entries(right.gradients).values()
        if right.lines is None and any(one.size for one in known) and not any(one.any() for one in known):
            raise Inconclusive("the right gradient is not finite here")
        # A number that is none is no wrong slope at a kink, where many are right (see `undefined`).
        bare = {
            name: np.where(~np.isfinite(array) & right.at_kinks(name), right.values[name], array)
            for name, array in gradients.items()
        }
        found = compared_gradients(bare, right.gradients)
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
                return f"{lost(array[bad])} in d{name} at a kink, where any slope between those of its sides is right"
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
                ((one.error + one.open) / np.abs(one.value))[is_known(one) & (one.value != 0)]
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


def _parts(entries: Any, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Value, error and what is open of an input that was measured; nothing is known of one that was not."""
    if entries is None:
        return np.zeros(shape), np.full(shape, np.inf), np.zeros(shape)
    return entries.value, entries.error, entries.open


def _interval(values: Any) -> tuple[float, float] | None:
    """What the numbers of a kind must not leave."""
    return {"positive": (0.0, np.inf), "unit": (0.0, 1.0)}.get(values) if isinstance(values, str) else None
