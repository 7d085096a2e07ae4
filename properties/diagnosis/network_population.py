"""Cases of a network on which conditions are told apart, and what a subject makes of them.

Sizes go by the names of axes: n samples, d inputs, u1, u2, ... units of the hidden layers, k outputs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from properties.cases import Array, Case
from properties.comparison import named
from properties.diagnosis import choices
from properties.diagnosis.conditions import LOOKED_AT, Condition, Entries, Judged, Population, Told
from properties.diagnosis.probes import Interview, Maker, Probe, Sizes, made_loud
from properties.diagnosis.saturation import curved, saturated
from properties.strategies import LARGEST

OTHERS = 6
"""One case in so many has another choice than the example."""
LOUDEST, FLATTEST = 12, 6
"""Powers of two by which inputs and errors, or z, are larger at most."""
WIDEST_LAYER = "the widest layer"


@dataclass(frozen=True)
class NetworkCase:
    """A case of a network as conditions see it (see `conditions.Described`).

    Attributes:
        case: the case.
        regime: coarse, or given.
        options: what a subject may branch on.
        sizes: by axis, and the units of the widest layer.
        inputs: every array by name, and all z of the curved layers in one.
    """

    case: Case
    regime: str
    options: Mapping[str, Any]
    sizes: Mapping[str, int]
    inputs: Mapping[str, Array]


def seen(case: Case) -> NetworkCase:
    """The case, described."""
    options = {**case.choices, "dtype": case.inputs.dtype.name, "bias": case.parameters[0][1] is not None}
    sizes = dict(zip(axes(case), (case.samples, *case.sizes), strict=True))
    if len(case.parameters) > 1:
        sizes[WIDEST_LAYER] = max(case.sizes)
    arrays = {f"b{layer}": np.empty(0) for layer in range(1, len(case.parameters) + 1)}  # where there is none
    arrays |= {name.removeprefix("d"): array for name, array in named(case.parameters).items()}
    z = np.concatenate([np.ravel(z) for z in curved(case)])
    return NetworkCase(
        case, case.regime, options, sizes, {"x": case.inputs, **arrays, "y": case.rows, "z": z}
    )


def axes(case: Case) -> list[str]:
    """`n d u1 k`."""
    return ["n", "d", *(f"u{layer}" for layer in range(1, len(case.parameters))), "k"]


class NetworkPopulation(Population[NetworkCase]):
    """Cases around a maker's example."""

    def __init__(self, interview: Interview, maker: Maker) -> None:
        """The interview keeps count of what is asked."""
        self.example = like = seen(maker.like)
        self.interview, self.maker, self.probes = interview, maker, list[Probe]()
        self.axes, self.is_quick = tuple(axes(maker.like)), True
        others = choices.others(maker)
        self._others = [change for values in others.values() for change in values.values()]
        self.options = {name: (one, *others.get(name, ())) for name, one in like.options.items()}
        self.values = {name: True for name in like.inputs if name != "y" or maker.like.has_free_targets}
        layers = zip(self.axes[1:-1], self.axes[2:], strict=True)
        self.gradients = {
            name: shape
            for layer, (below, above) in enumerate(layers, start=1)
            for name, shape in ((f"W{layer}", (below, above)), (f"b{layer}", (above,)))
            if like.inputs[name].size
        }

    def drawn(
        self, wide: Sequence[int] = (), *, near: bool = False, together: bool = False
    ) -> NetworkCase | None:
        """Any sizes, or those of the example but for one; half of the cases have numbers of size 1."""
        random, maker = self.maker.random, self.maker
        usual = wide if together else range(1, LARGEST + 1)
        any_size = {axis: self._size(axis, usual) for axis in self.axes}
        free = str(random.choice([axis for axis in self.axes if not self._pinned(axis)] or self.axes))
        sizes = {**seen(maker.like).sizes, free: any_size[free]} if near else any_size
        sizes[free] = self._size(free, wide or (sizes[free],))
        if self._others and not random.integers(OTHERS):
            change = self._others[int(random.integers(len(self._others)))]
            maker = Maker(replace(maker.like, **change), maker.claim, random)
        case, changes = self._made(sizes, maker), list(self._changes())
        if case is None or random.integers(2):
            return case
        return seen(changes[int(random.integers(len(changes)))](case.case))

    def of_size(self, axis: str, size: int) -> NetworkCase | None:
        """The example's choices, and its sizes but for one."""
        return self._made({**seen(self.maker.like).sizes, axis: size}, self.maker)

    def _size(self, axis: str, usual: Sequence[int]) -> int:
        return int(self.maker.random.choice(self._pinned(axis) or usual))

    def _pinned(self, axis: str) -> Sequence[int]:
        claim = self.maker.claim
        return {"n": claim.samples, "d": claim.inputs, "k": claim.outputs}.get(axis, claim.width)

    def _made(self, sizes: Mapping[str, int], maker: Maker) -> NetworkCase | None:
        """None where the claim has no room for these sizes."""
        samples, *units = (sizes[axis] for axis in self.axes)
        wanted = Sizes(tuple(units), samples)
        return seen(maker.drawn(wanted)) if maker.admits(wanted) else None

    def _changes(self) -> Iterator[Callable[[Case], Case]]:
        """What numbers may be: flat, loud, simple, 0, or as large as the example's."""
        random, like = self.maker.random, self.maker.like
        yield lambda case: saturated(case, 2.0 ** random.uniform(0, FLATTEST))
        yield lambda case: made_loud(case, 2.0 ** int(random.integers(LOUDEST + 1)))
        yield _coarse
        yield _without_an_input
        yield _with_an_empty_sample
        yield lambda case: _of_the_size_of(like, case)
        if like.hidden == "relu" and len(like.parameters) > 1:
            yield _with_a_dead_unit

    def asked(self, case: NetworkCase) -> Judged[NetworkCase] | None:
        """As the interview tells."""
        probe = self.interview.ask(case.case)
        if probe is None:
            return None
        self.probes.append(probe)
        if not probe.fails:
            alive = frozenset(name.removeprefix("d") for name, one in probe.answer.items() if one.any())
            return Judged(case, alive)
        entries = {
            name.removeprefix("d"): Entries(probe.off(name), abs(probe.right[name]) <= probe.error[name])
            for name in (probe.right if probe.fault is None else ())
        }
        return Judged(case, entries=entries, is_wrong=True)

    def wrong(
        self, count: int, told: Told[NetworkCase] | None, part: Condition[NetworkCase] | None = None
    ) -> list[Probe]:
        """Wrong answers where what is told holds, or a part of it alone, on cases made to tell mistakes apart.

        Those have numbers of size 1, and are small, and of different sizes. So many are asked for; where those at hand
        are fewer, more are drawn.
        """
        whole = told.of_cases if told else None

        def meets(one: NetworkCase) -> bool:
            if whole is None or part is None:
                return whole is None or whole.holds(one)
            return part.holds(one) and sum(other.holds(one) for other in whole.parts) == 1

        def generic(probe: Probe) -> tuple[bool, bool, int]:
            sizes = (probe.case.samples, *probe.case.sizes)
            return (
                probe.case.regime != "given",
                max(sizes) > LARGEST,
                -len({size for size in sizes if size > 1}),
            )

        found = [probe for probe in self.probes if probe.fails and meets(seen(probe.case))]
        for number in range(LOOKED_AT):
            case = self.drawn(near=number % 2 == 1) if len(found) < count else None
            if case is not None and meets(case):
                probe = self.interview.ask(case.case)
                found += [probe] if probe is not None and probe.fails else []
        return sorted(found, key=generic)[:count]

    def scaled(self, case: NetworkCase, name: str, factor: float) -> NetworkCase:
        """With one array larger; z is by way of the parameters."""
        here = case.case
        by = here.inputs.dtype.type(factor)
        if name == "z":
            return seen(saturated(here, factor))
        if name in {"x", "y"}:
            which = "inputs" if name == "x" else "targets"
            return seen(replace(here, **{which: getattr(here, which) * by}))
        kind, layer = name[0], int(name[1:]) - 1
        parameters = list(here.parameters)
        W, b = parameters[layer]
        parameters[layer] = (W * by, b) if kind == "W" or b is None else (W, b * by)
        return seen(replace(here, parameters=parameters))

    def more(self) -> Iterator[Condition[NetworkCase]]:
        """Of what is 0, and of all layers."""
        yield Condition("an input is 0 in all samples", lambda c: not c.case.inputs.any(axis=0).all())
        yield Condition("all inputs of a sample are 0", lambda c: not c.case.inputs.any(axis=1).all())
        if self.maker.like.hidden == "relu" and len(self.maker.like.parameters) > 1:
            yield Condition("a unit of the first layer is 0 in all samples", _has_a_dead_unit)
        if len(self.axes) > 3:
            yield Condition("all layers are square", lambda c: len(set(c.case.sizes)) == 1)


def _coarse(case: Case) -> Case:
    """Of multiples of a half, but for targets, which may have to be probabilities."""

    def rounded(array: Array) -> Array:
        return np.round(array * 2) / 2

    parameters = [(rounded(W), None if b is None else rounded(b)) for W, b in case.parameters]
    return replace(case, parameters=parameters, inputs=rounded(case.inputs), regime="coarse")


def _has_a_dead_unit(one: NetworkCase) -> bool:
    W, b = one.case.parameters[0]
    z = one.case.inputs @ W + (0 if b is None else b)
    return bool((z <= 0).all(axis=0).any())


def _without_an_input(case: Case) -> Case:
    inputs = case.inputs.copy()
    inputs[:, 0] = 0
    return replace(case, inputs=inputs)


def _with_an_empty_sample(case: Case) -> Case:
    inputs = case.inputs.copy()
    inputs[0] = 0
    return replace(case, inputs=inputs)


def _with_a_dead_unit(case: Case) -> Case:
    """With a bias, where there is one, that keeps a unit of the first layer below 0."""
    (W, b), *upper = case.parameters
    if b is None:
        return case
    dead = b.copy()
    dead[0] = -abs(case.inputs @ W[:, 0]).max() - 1
    return replace(case, parameters=[(W, dead), *upper])


def _of_the_size_of(like: Case, case: Case) -> Case:
    """The case with every array scaled by a power of two to about the size of the other's."""
    parameters = [
        (_like(W, other), None if b is None or beside is None else _like(b, beside))
        for (W, b), (other, beside) in zip(case.parameters, like.parameters, strict=True)
    ]
    targets = _like(case.targets, like.targets) if like.has_free_targets else case.targets
    return replace(case, parameters=parameters, inputs=_like(case.inputs, like.inputs), targets=targets)


def _like(array: Array, other: Array) -> Array:
    size, wanted = float(abs(array).max(initial=0)), float(abs(other).max(initial=0))
    if not size or not wanted:
        return array * array.dtype.type(wanted != 0)
    return array * array.dtype.type(2.0 ** round(np.log2(wanted / size)))
