"""Cases of an operation on which conditions are told apart, and what a subject makes of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from properties.diagnosis.conditions import Condition, Entries, Judged, Population
from properties.operation.cases import (
    EDGES,
    REGULAR,
    Near,
    NoCaseError,
    OperationCase,
    Seeded,
    make,
    numbered,
)
from properties.operation.judge import Judge
from properties.operation.right import off
from properties.search import Inconclusive, Undefined, Violation


def _rows(array: Any) -> Any:
    return array.reshape(-1, array.shape[-1])


class OperationPopulation(Population[OperationCase]):
    """Cases around an example (see `conditions.Population`)."""

    def __init__(self, judge: Judge, example: OperationCase) -> None:
        """The example is wrong; the judge tells what others are."""
        declared = judge.declaration
        self.judge, self.example, self._rng = judge, example, np.random.default_rng(0)
        self.axes, self.options = tuple(declared.axes), declared.options
        self.gradients = {name: declared.inputs[name].dimensions for name in declared.differentiable}
        self.values = {name: bool(axes) for name, axes in self.gradients.items()}
        self.wrong = set[str]()  # gradients, on any case
        self.failing = list[OperationCase]()  # that have gradients, wrong ones
        self.is_quick = judge.reading is not None and not judge.reading.own
        self._regimes = (*REGULAR, *EDGES) if example.regime in EDGES else REGULAR
        self.is_answered = self._answer(example) is not None

    def drawn(
        self, wide: Sequence[int] = (), *, near: bool = False, together: bool = False
    ) -> OperationCase | None:
        """Any, or near the example."""
        names = [*self.example.sizes, *self.example.options] if near else []
        free = names[int(self._rng.integers(len(names)))] if names else ""
        return self._made(
            {"size": self.example.sizes, "option": self.example.options} if near else {},
            free,
            wide,
            wide if together else (),
        )

    def of_size(self, axis: str, size: int) -> OperationCase | None:
        """Near the example, with one other size."""
        return self._made({"size": {**self.example.sizes, axis: size}, "option": self.example.options})

    def like_the_example(self) -> OperationCase | None:
        """Other numbers in its sizes, with its options."""
        return self._made({"size": self.example.sizes, "option": self.example.options})

    def _made(
        self,
        known: Mapping[str, Mapping[str, Any]],
        free: str = "",
        wide: Sequence[int] = (),
        sizes: Sequence[int] = (),
    ) -> OperationCase | None:
        try:
            source = Near(Seeded(self._rng), known, free)
            return make(source, self.judge, self._regimes, sizes=sizes or self.judge.pool, wide=wide)
        except NoCaseError:
            return None

    def asked(self, case: OperationCase) -> Judged[OperationCase] | None:
        """Judged as any case is; where it is wrong, entry by entry.

        Where no gradient came back of the example, that is the fault: what comes back of others may be wrong. Where one
        did, a case without is another fault.
        """
        try:
            gradients = self._answer(case)
            if gradients is None or not self.is_answered:
                broken = Judged(case, frozenset(self.gradients), is_wrong=gradients is None)
                return None if self.is_answered else broken
            self.judge.check(case)
        except (Inconclusive, Undefined):
            return None
        except Violation:
            return self._wrong(case)
        return Judged(case, frozenset(name for name, array in gradients.items() if array.any()))

    def _answer(self, case: OperationCase) -> Mapping[str, Any] | None:
        """The gradients; None where none come back. Raises `Inconclusive` and `Undefined`."""
        try:
            return self.judge.run(case)[2]
        except Undefined:
            raise
        except Violation:
            return None

    def _wrong(self, case: OperationCase) -> Judged[OperationCase]:
        try:
            outputs, cotangents, gradients = self.judge.run(case)
            right = self.judge.right(case).gradients
        except (Violation, Inconclusive):
            return Judged(case, is_wrong=True)
        found = dict[str, Entries]()
        for name, array in gradients.items():
            if np.shape(array) == np.shape(case.inputs[name]) == right[name].value.shape:
                nothing = np.zeros_like(right[name].value)
                found[name] = Entries(off(array, right[name]), ~off(nothing, right[name]))
        self.wrong |= {name for name, entries in found.items() if entries.off.any()}
        self.failing.append(case)
        beside = {
            called: np.array(one, float)
            for letter, arrays in ((self.judge.output, outputs), (f"d{self.judge.output}", cotangents))
            for called, one in zip(numbered(letter, len(arrays)), arrays, strict=True)
            if np.asarray(one).dtype.kind == "f"
        }
        return Judged(case, entries=found, beside=beside, is_wrong=True)

    def more(self) -> Iterator[Condition[OperationCase]]:
        """Of what has no gradient: labels that come twice, and which numbers are 0."""
        for name, array in self.example.inputs.items():
            if name in self.gradients or not np.ndim(array):
                continue
            for sentence, holds in {
                f"two entries of {name} are equal": lambda a: np.unique(a).size < a.size,
                f"two entries of a row of {name} are equal": lambda a: any(
                    np.unique(r).size < r.size for r in _rows(a)
                ),
                f"an entry of {name} is 0": lambda a: not np.all(a),
                f"no entry of {name} is 0": np.all,
                f"a row of {name} is 0": lambda a: not _rows(a).any(axis=1).all(),
            }.items():
                yield Condition(sentence, lambda c, n=name, f=holds: bool(f(np.asarray(c.inputs[n]))))

    def scaled(self, case: OperationCase, name: str, factor: float) -> OperationCase:
        """With one input larger."""
        return replace(case, inputs={**case.inputs, name: case.inputs[name] * factor})
