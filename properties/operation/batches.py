"""What holds along an axis of samples, called n or b: a batch is its samples, one after another.

The samples may be constant, as the data of a loss are, whose parameters alone have a gradient.

Where the values of a batch are those of its parts, each for itself, the loss Σ dy · y is a sum over the samples, and
its derivative with respect to what all samples share is the sum of the parts' derivatives; with respect to a sample it
is that of its part. A mean over the samples is a sum with 1/n of the cotangent for each. So nothing is
assumed of an operation: its own forward pass says whether its samples mix (batch normalisation, a mean over those
labels that are not ignored), and where they do, nothing is claimed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

from properties.comparison import told_apart
from properties.operation.cases import OperationCase, cases
from properties.operation.judge import Judge
from properties.operation.notes import BATCH
from properties.operation.right import differ
from properties.search import Inconclusive, NotApplicable, Violation
from reference.operations.operation import names_of

Array = NDArray[Any]
Gradients = Mapping[str, Array]


@dataclass(frozen=True)
class Samples:
    """An axis of samples: its name, and its place in each input that has it."""

    axis: str
    places: Mapping[str, int]

    @classmethod
    def of(cls, judge: Judge) -> "Samples":
        """The one of an operation. Raises `NotApplicable` where there is none."""
        declared = judge.declaration
        if judge.reading is not None and judge.reading.operation.mixes:
            raise NotApplicable("its samples mix, as they should")
        for axis in BATCH:
            places = {
                name: one.dimensions.index(axis)
                for name, one in declared.inputs.items()
                if axis in one.dimensions
            }
            every = [(name, one) for name, some in declared.inputs.items() for one in some.dimensions]
            alone = all(one == axis or axis not in names_of([one]) for _, one in every)
            counted = any(some.below == axis for some in declared.inputs.values())
            once = len(places) == sum(one == axis for _, one in every)
            if places and alone and once and not counted:
                if 1 not in declared.sizes.get(axis, (1,)):
                    raise NotApplicable("it takes no single sample")
                return cls(axis, places)
        raise NotApplicable("it has no axis of samples, called n or b")

    def part(self, case: OperationCase, indices: Sequence[int]) -> OperationCase:
        """The case of some of the samples."""
        inputs = {
            name: np.take(array, list(indices), self.places[name]) if name in self.places else array
            for name, array in case.inputs.items()
        }
        return replace(case, inputs=inputs, sizes={**case.sizes, self.axis: len(indices)}, shapes=[])


def batches(judge: Judge) -> SearchStrategy[OperationCase]:
    """Cases of two samples or more."""
    samples = Samples.of(judge)
    if judge.is_random:
        raise NotApplicable("its forward pass is random")
    if max(judge.declaration.sizes.get(samples.axis, (2,))) < 2:  # noqa: PLR2004  (a batch)
        raise NotApplicable("it takes no batch")
    drawn = cases(judge, ("plain",), sizes=judge.pool, among=judge.combinations, calls=judge.calls)
    return drawn.filter(lambda case: case.sizes[samples.axis] > 1)


def gradient_of_a_batch_is_that_of_its_samples(judge: Judge, case: OperationCase) -> None:
    """(1) = (2): the gradient of a batch is that of its samples, added up, or averaged where the loss is a mean."""
    n = case.sizes[Samples.of(judge).axis]
    told = _difference(judge, case, range(n), [[i] for i in range(n)])
    if told:
        raise Violation(f"(1) is not (2): {told} of each of the {n} samples alone, put together")


def order_of_samples_does_not_matter(judge: Judge, case: OperationCase) -> None:
    """The samples in another order have the same gradients, in that order."""
    n = case.sizes[Samples.of(judge).axis]
    told = _difference(judge, case, [*range(1, n), 0], [list(range(n))], order=[*range(1, n), 0])
    if told:
        raise Violation(f"the order of the samples matters: {told} of the same samples in another order")


def doubled_batch_has_the_gradient_of_its_halves(judge: Judge, case: OperationCase) -> None:
    """A batch in which every sample comes twice has the gradient of the batch, twice, or as it is for a mean.

    Its values may be those of its halves though samples mix, as in a batch normalisation. Where no order matters, and
    the cotangent comes twice as well, both halves have the same gradient, g; moving both moves the loss as the batch
    alone does, twice, or once for a mean: so g is that of the batch, or half of it.
    """
    n = case.sizes[Samples.of(judge).axis]
    moved = [*range(1, n), 0]
    _passes(judge, _generic(judge, case), moved, [list(range(n))], moved)
    told = _difference(judge, case, [*range(n), *range(n)], [list(range(n))] * 2)
    if told:
        raise Violation(f"every sample twice: {told} of the two halves of the batch, put together")


def _difference(
    judge: Judge,
    case: OperationCase,
    whole: Sequence[int],
    parts: Sequence[Sequence[int]],
    order: Sequence[int] | None = None,
) -> str:
    """How the gradient of a batch differs from those of its parts; empty where it does not.

    Args:
        judge: with the subject.
        case: of which `whole` and `parts` take the samples.
        whole: the batch.
        parts: batches that make up the whole when they are put one after another, and brought into the `order`.
        order: as it is, where left out.

    Raises:
        NotApplicable: where the values of the whole are not those of the parts.
    """
    samples, drawn = Samples.of(judge), case
    generic = _generic(judge, case)
    found = _passes(judge, generic, whole, parts, order)  # a 0 hides which of the samples a mask has
    try:
        found = _passes(judge, case, whole, parts, order)
    except Inconclusive:  # a value that is 0 is a sum and a mean
        case = generic
    forward, cotangents, passes, shares = found
    is_now = judge.subject.backward(forward, cotangents).gradients
    alone = [judge.subject.backward(*pair).gradients for pair in zip(passes, shares, strict=True)]
    for name, array in is_now.items():
        columns = [np.asarray(one[name]) for one in alone]
        if name in samples.places:
            place = samples.places[name]
            expected = np.concatenate(columns, place)
            expected = expected if order is None else np.take(expected, list(order), place)
            size = float(np.abs(expected).max(initial=0))
        else:
            expected, size = sum(columns[1:], columns[0]), float(np.abs(columns).sum(axis=0).max(initial=0))
        if not np.isfinite(array).all() or not np.isfinite(size):
            raise Inconclusive("the gradient is not finite")
        off, half = np.abs(array - expected), float(np.sqrt(np.finfo(array.dtype).eps)) * size
        if off.max(initial=0) > half:
            # Where terms cancel, nothing may be left but rounding: two answers, two bounds.
            right = judge.right(samples.part(case, whole)).gradients[name]
            off = np.where(off > half + 2 * (right.error + right.open), off, 0)
        if off.max(initial=0) > half:
            at = np.unravel_index(int(off.argmax()), array.shape)
            index = f"[{', '.join(map(str, map(int, at)))}]" if array.ndim else ""
            mine, should = told_apart(float(array[at]), float(expected[at]))
            drawn.cotangents(judge.subject.forward(drawn.inputs, drawn.options).outputs)
            together, *alone = (
                replace(samples.part(case, one), given=tuple(given))
                for one, given in zip((whole, *parts), (cotangents, *shares), strict=True)
            )
            is_new = together.assignments != drawn.assignments
            drawn.shows(*(["# the batch", together] if is_new else []), "# its parts", *alone)
            return f"d{name}{index} is {mine}, and is {should} by those"
    return ""


def _passes(
    judge: Judge,
    case: OperationCase,
    whole: Sequence[int],
    parts: Sequence[Sequence[int]],
    order: Sequence[int] | None,
) -> tuple[Any, list[Array], list[Any], list[list[Array]]]:
    """The forward pass of the whole with its cotangents, and those of the parts with their shares of these.

    Raises:
        NotApplicable: where the values of the whole are not those of the parts.
    """
    samples = Samples.of(judge)
    many, some = samples.part(case, whole), [samples.part(case, one) for one in parts]
    if not all(judge.valid(one.sizes, one.options) for one in (many, *some)):
        raise NotApplicable("it takes no such batch")
    forward = judge.subject.forward(many.inputs, many.options)
    passes = [judge.subject.forward(one.inputs, one.options) for one in some]
    cotangents = [
        dy[list(whole)] if dy.shape[:1] == (len(whole),) else dy  # a sample has one, however often it comes
        for dy in map(np.asarray, many.cotangents(forward.outputs))
    ]
    shares: list[list[Array]] = [[] for _ in parts]
    for number, (y, dy) in enumerate(zip(forward.outputs, cotangents, strict=True)):
        given = [np.asarray(one.outputs[number]) for one in passes]
        found = _shared(np.asarray(y), dy, given, [len(one) for one in parts], order)
        if found is None:
            raise NotApplicable(
                f"what lies along {samples.axis} depends on each other: together it has other values than each alone"
            )
        for part, share in zip(shares, found, strict=True):
            part.append(share)
    return forward, cotangents, passes, shares


def _generic(judge: Judge, case: OperationCase) -> OperationCase:
    """The case with real numbers of which none is 0 or simple, and no two are equal."""
    rng, declared = np.random.default_rng(0), judge.declaration.inputs
    inputs = {
        name: rng.standard_normal(np.shape(array)).astype(np.asarray(array).dtype)
        if declared[name].values == "real"
        else array
        for name, array in case.inputs.items()
    }
    return replace(case, inputs=inputs, shapes=[])


def _shared(
    y: Array, dy: Array, given: Sequence[Array], counts: Sequence[int], order: Sequence[int] | None
) -> list[Array] | None:
    """The cotangent of each part of an output; None where the output is not made of those of the parts.

    It has a row for each sample, or is the sum or the mean of the parts. Raises `Inconclusive` where it is both: 0, or
    where a value is not finite.
    """
    if not all(np.isfinite(one).all() for one in (y, *given)):
        raise Inconclusive("the values are not finite")
    total = sum(counts)
    rows = y.ndim > 0 and len(y) == total and [one.shape[:1] for one in given] == [(n,) for n in counts]
    if rows and all(one.shape[1:] == y.shape[1:] for one in given):
        back = np.arange(total) if order is None else np.argsort(order)
        if differ(y[back], np.concatenate(given)):
            return None
        return np.split(dy[back], np.cumsum(counts)[:-1])
    if any(one.shape != y.shape for one in given) or y.dtype.kind != "f":
        return None
    found: list[list[Array]] = []
    for weights in (np.ones(len(counts)), np.array(counts) / total):
        terms = [weight * one for weight, one in zip(weights, given, strict=True)]
        size = sum(np.abs(one) for one in terms)
        if bool((np.abs(y - sum(terms)) <= np.sqrt(np.finfo(y.dtype).eps) * size).all()):
            found.append([weight * dy for weight in weights])
    if len(found) > 1 and len(counts) > 1:
        raise Inconclusive("the values are as well a sum over the samples as their mean")
    return found[0] if found else None
