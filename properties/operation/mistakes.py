"""Which step of an operation's backward pass is wrong.

The search of `properties.diagnosis.operations`, asked with cases that the subject takes.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import dropwhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from properties.diagnosis import Diagnosis
from properties.diagnosis import operations as steps
from properties.operation.cases import SIZES, NoCaseError, OperationCase, Seeded, make
from properties.operation.judge import Judge
from properties.operation.programs import NoProgramError
from properties.operation.readings import Reading, sizes_of
from properties.operation.right import off
from properties.search import Inconclusive, Violation
from properties.strategies import WIDEST
from reference.operations.operation import Input, size_of
from reference.program import derivative

Array = NDArray[Any]

CASES = 4
"""One is searched, and the others confirm: of other numbers, and of other sizes."""
REPLACED = "the right program with this step replaced gives the same gradients in {} cases"
OF_SEVERAL_SIZES = f"{REPLACED} of several sizes"
SEEN = 3
"""Cases on which numbers are looked at by themselves."""
TRIED = 60
"""Draws of sizes and options of which the most telling are taken."""


def named(
    judge: Judge,
    case: OperationCase,
    holds: Callable[[OperationCase], bool] | None = None,
    failing: Sequence[OperationCase] = (),
) -> Diagnosis | None:
    """What the step is called that is wrong; None where there is no known operation, or nothing is found.

    Args:
        judge: the subject and what is right for it.
        case: one on which it is wrong, whose options are taken.
        holds: the condition under which it is wrong; sizes up to the longest then confirm a step.
        failing: cases on which it is, which are taken as they are where numbers of size 1 show nothing.

    Raises:
        SubjectGone, TimeIsOver: as any call of the subject.
    """
    reading = judge.reading
    if reading is None or reading.counterpart.axes:
        return None
    asked = _Asked(judge, reading, case.options)
    unit = 2.0**-24 if judge.format == "float32" else steps.UNIT
    for cases in (asked.cases(holds), asked.as_they_are(failing)):
        if len(cases) < 2:  # noqa: PLR2004  (one alone confirms nothing)
            continue
        found = steps.diagnose(reading.operation, asked, cases, unit=unit)
        if found.verdict in {"named", "several", "other operation", "located"}:
            return _told(found, asked.own, is_own=reading.own)
        if found.verdict != "right" and not asked.lacks_numbers:
            return None
    return None


def seen(
    judge: Judge, case: OperationCase, holds: Callable[[OperationCase], bool] | None = None
) -> tuple[steps.Seen, ...]:
    """What wrong gradients show by themselves, on cases of other numbers and sizes (see `steps.census`).

    A right gradient is all that it takes, as it is measured where there is no program. Arguments as of `named`.
    """
    rng = np.random.default_rng(1)
    drawn = sorted(_drawn(judge, case.options, rng, holds, sizes=judge.pool), key=_telling, reverse=True)
    others = [one for one in drawn[1:] if one.sizes != drawn[0].sizes]
    asked, answers, known = list[steps.Case](), list[dict[str, Array]](), dict[int, dict[str, Array]]()
    wrong = set[str]()

    def called(one: steps.Case) -> OperationCase:
        plain = replace(
            case, inputs=one.inputs, sizes=one.sizes, regime="plain", shapes=[], before=[], after=[]
        )
        outputs = judge.subject.forward(one.inputs, case.options).outputs
        return replace(plain, given=_with_zeros(judge.declaration.outputs, outputs, one.cotangents))

    def right(one: steps.Case) -> dict[str, Array]:
        if id(one) in known:
            return known[id(one)]
        return {name: array.value for name, array in judge.right(called(one)).gradients.items()}

    for one in [*drawn[:1], *others[: SEEN - 1], *drawn[1:SEEN]][:SEEN]:
        with suppress(Violation, Inconclusive):
            inputs = _generic(one, judge, rng).inputs
            outputs = judge.subject.forward(inputs, case.options).outputs
            dys = _random(judge.declaration.outputs, outputs, case.dtype, rng)
            generic = steps.Case(one.sizes, case.options, inputs, dys)
            whole = called(generic)
            truth = judge.right(whole)
            _, _, gradients = judge.run(whole)
            wrong |= {name for name, part in truth.gradients.items() if off(gradients[name], part).any()}
            if all(np.isfinite(array).all() for array in gradients.values()):
                known[id(generic)] = truth.values
                answers.append({name: np.array(array, float) for name, array in gradients.items()})
                asked.append(generic)
    if len(asked) < 2:  # noqa: PLR2004  (one alone confirms nothing)
        return ()
    with suppress(Violation, Inconclusive):
        unit = 2.0**-24 if judge.format == "float32" else steps.UNIT
        return steps.census(asked, right, answers, wrong=wrong, unit=unit)
    return ()


def _differentiable(said: Sequence[bool], outputs: Sequence[Array]) -> list[bool]:
    """Which outputs have a derivative: those that are said to, of floats."""
    flags = said or (True,) * len(outputs)
    return [flag and np.asarray(y).dtype.kind == "f" for flag, y in zip(flags, outputs, strict=True)]


def _random(
    said: Sequence[bool], outputs: Sequence[Array], dtype: str, rng: np.random.Generator
) -> tuple[Array, ...]:
    """A cotangent for each output that has a derivative."""
    return tuple(
        rng.standard_normal(np.shape(y)).astype(dtype)
        for flag, y in zip(_differentiable(said, outputs), outputs, strict=True)
        if flag
    )


def _with_zeros(
    said: Sequence[bool], outputs: Sequence[Array], cotangents: Sequence[Array]
) -> tuple[Array, ...]:
    """A cotangent for each output: of zeros for one that has no derivative."""
    rest = iter(cotangents)
    return tuple(
        next(rest) if flag else np.zeros(np.shape(y))
        for flag, y in zip(_differentiable(said, outputs), outputs, strict=True)
    )


def _drawn(
    judge: Judge,
    options: Mapping[str, Any],
    rng: np.random.Generator,
    holds: Callable[[OperationCase], bool] | None,
    wide: Sequence[int] = (),
    sizes: Sequence[int] = SIZES,
) -> list[OperationCase]:
    """Cases with these options, on which a condition holds."""
    found: list[OperationCase] = []
    for _ in range(TRIED):
        try:
            one = replace(make(Seeded(rng), judge, ("plain",), wide=wide, sizes=sizes), options=dict(options))
        except NoCaseError:
            continue
        if judge.valid(one.sizes, options) and (holds is None or holds(one)):
            found.append(one)
    return found


class _Asked:
    """The subject as the search calls it: by the names and options of the known operation."""

    def __init__(self, judge: Judge, reading: Reading, options: Mapping[str, Any]) -> None:
        """All cases have the same options."""
        self.judge, self.reading, self.options = judge, reading, options
        self.lacks_numbers = False
        """Whether numbers of size 1 do not meet the condition that was asked for."""
        self._rng = np.random.default_rng(0)
        declared = judge.declaration
        self.own = dict(
            zip(reading.operation.inputs, reading.counterpart.inputs or tuple(declared.inputs), strict=False)
        )

    def cases(self, holds: Callable[[OperationCase], bool] | None) -> list[steps.Case]:
        """Generic numbers, with sizes that differ from each other as far as the subject takes such."""
        rng = np.random.default_rng(1)
        drawn = sorted(_drawn(self.judge, self.options, rng, holds), key=_telling, reverse=True)
        drawn = list(dropwhile(lambda one: not self._is_read(one), drawn))
        is_wide = bool(holds) or len(drawn) < CASES
        wide = _drawn(self.judge, self.options, rng, holds, range(1, WIDEST + 1)) if is_wide else []
        every = [*drawn[:1], *wide, *drawn[1:]]
        first, others = every[:1], [one for one in every[1:] if one.sizes != every[0].sizes]
        seen = {self._classes(one) for one in [*first, *others[:1]]}
        apart = [one for one in (*others, *every) if self._classes(one) not in seen]
        again = [one for one in every[1:] if one.sizes == every[0].sizes] or first
        best = [*first, *others[:1], *(apart or others[1:])[: CASES - 3], *(every[-1:] if wide else [])]
        best += again[:1] + first * (CASES - 1 - len(best))
        if self.reading.operation.concrete:  # each has a program of its own
            sizes = [one.sizes for one in best]
            best += [one for one in best if sizes.count(one.sizes) == 1]
        generic = [_generic(one, self.judge, rng) for one in best]
        self.lacks_numbers = holds is not None and not all(map(holds, generic))
        return [found for one in generic if (found := self._case(one)) is not None]

    def as_they_are(self, failing: Sequence[OperationCase]) -> list[steps.Case]:
        """Some of these cases, with their own numbers and cotangents of size 1, as far as may be of several sizes."""
        usual = [one for one in failing if one.regime != "coarse" and one.options == self.options]
        drawn = [one for one in sorted(usual, key=_telling, reverse=True) if self._is_read(one)]
        others = [one for one in drawn[1:] if one.sizes != drawn[0].sizes]
        chosen = [*drawn[:1], *others[: CASES - 2], *(one for one in drawn[1:] if one not in others)]
        return [found for one in chosen[:CASES] if (found := self._case(one)) is not None]

    def _is_read(self, case: OperationCase) -> bool:
        """Whether there is a program at these sizes: a loop may be too long to be read."""
        operation, options = self.reading.operation, self.reading.options(case)
        sizes = sizes_of(operation, self.reading.inputs(case, self.judge.declaration), options)
        try:
            return sizes is not None and bool(derivative(operation, options, sizes).differentiable)
        except NoProgramError:
            return False

    def _classes(self, case: OperationCase) -> tuple[bool, ...]:
        """Of each input of labels, whether some class is that of no sample: else those of all samples are all."""
        inputs = self.judge.declaration.inputs
        return tuple(
            _leaves_a_class_out(inputs[name], array, case.sizes)
            for name, array in case.inputs.items()
            if inputs[name].values in ("onehot", "labels")  # no set: what a file writes need have no hash
        )

    def _case(self, case: OperationCase) -> steps.Case | None:
        arrays = self.reading.inputs(case, self.judge.declaration)
        options = self.reading.options(case)
        sizes = sizes_of(self.reading.operation, arrays, options)
        if sizes is None:
            return None
        try:
            outputs = self.judge.subject.forward(case.inputs, case.options).outputs
        except Violation:
            return None
        cotangents = _random(self.reading.operation.outputs, outputs, case.dtype, self._rng)
        inputs = dict(zip(self.reading.operation.inputs, arrays, strict=False))
        return steps.Case(sizes, options, inputs, cotangents)

    def __call__(
        self,
        inputs: Mapping[str, Array],
        options: Mapping[str, Any],
        cotangents: Sequence[Array],
        sizes: Mapping[str, int],
    ) -> dict[str, Array]:
        """The gradients by the operation's names, in its shapes."""
        del options, sizes
        declared = self.judge.declaration
        own = {self.own[name]: array for name, array in inputs.items() if name in self.own}
        forward = self.judge.subject.forward({name: own[name] for name in declared.inputs}, self.options)
        every = _with_zeros(self.reading.operation.outputs, forward.outputs, cotangents)
        found = self.judge.subject.backward(forward, every).gradients
        return {
            name: np.asarray(found[own_name]).reshape(np.shape(inputs[name]))
            for name, own_name in self.own.items()
            if own_name in found
        }


def _telling(case: OperationCase) -> tuple[int, int]:
    """How many different sizes a case has, and how many are above 1."""
    sizes = [size for size in case.sizes.values() if size > 1]
    return len(set(sizes)), len(sizes)


def _leaves_a_class_out(one: Input, array: Array, sizes: Mapping[str, int]) -> bool:
    if one.values == "onehot":
        return not np.any(array, axis=tuple(range(np.ndim(array) - 1))).all()
    below = size_of(one.below, sizes) if isinstance(one.below, str) else one.below
    return not set(range(below or 0)) <= set(np.ravel(array).tolist())


def _generic(case: OperationCase, judge: Judge, rng: np.random.Generator) -> OperationCase:
    """The case with real numbers of which none is simple."""
    inputs = {
        name: rng.standard_normal(np.shape(array)).astype(case.dtype)
        if judge.declaration.inputs[name].values == "real" and np.asarray(array).dtype.kind == "f"
        else array
        for name, array in case.inputs.items()
    }
    return replace(case, inputs=inputs)


def _told(found: steps.Explanation, own: Mapping[str, str], *, is_own: bool) -> Diagnosis:
    """The search's answer as a report has it, in the subject's own names; lines are its own, or the reference's."""
    names = {f"d{name}": f"d{other}" for name, other in own.items()}

    def of(gradients: Sequence[str]) -> str:
        return ", ".join(names.get(one, names.get(f"d{one}", one)) for one in gradients)

    sentences = [f"{of(one.gradients)}: {one.sentence}" for one in found.findings]
    step = "the step" if is_own else "the reference's step"
    lines = dict.fromkeys(one.where for one in found.findings if one.where)
    return Diagnosis(
        mistakes=tuple(dict.fromkeys(one.kind for one in found.findings)),
        explanation="",
        evidence="all steps after this one carry its value rightly"
        if found.verdict == "located"
        else (REPLACED if is_own else OF_SEVERAL_SIZES).format(found.cases),
        contributions=None,
        where="",
        note="; ".join(found.census),
        sentence="; ".join(sentences) + (f" ({step} at {', '.join(lines)})" if lines else ""),
        hint=f"Look at {of(found.wrong)}.",
        answer=" ".join(dict.fromkeys(one.cure for one in found.findings if one.cure)),
    )
