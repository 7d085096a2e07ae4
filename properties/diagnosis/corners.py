"""Where a gradient is wrong that is right in general: one batch size, one output, square layers, large |z|.

Sizes go by the names of axes: n samples, d inputs, u1, u2, ... units of the hidden layers, k outputs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, cycle

import numpy as np

from properties.cases import Array, Case
from properties.comparison import named
from properties.diagnosis.probes import Interview, Maker, Probe, Sizes, made_loud
from properties.strategies import LARGEST, WIDEST
from reference.network import forward, layers_of

TRIALS = 3
"""Fresh cases that all have to be wrong, before a condition is believed."""


@dataclass(frozen=True)
class Corner:
    """A condition in words, and fresh cases that meet it.

    A condition on values has a `change` that brings a case of `plain` there; the case as it was has to be right. One on
    the size of an `axis` is told for all sizes.
    """

    text: str
    plain: Callable[[], Case]
    change: Callable[[Case], Case] | None = None
    parts: Sequence["Corner"] = ()
    """The conditions that this one joins by "or"."""
    axis: str = ""
    size: int = 0

    def make(self) -> Case:
        """A fresh case that meets it."""
        return self.plain() if self.change is None else self.change(self.plain())


def find(interview: Interview, maker: Maker) -> tuple[Corner, list[Probe]] | None:
    """The first corner in which all fresh cases fail, and their answers."""
    for corner in _corners(interview, maker):
        probes = fails(interview, corner)
        told = _widened(interview, maker, corner) if probes else None
        if told is not None:
            return told, probes
    return None


def fails(interview: Interview, corner: Corner) -> list[Probe]:
    """The answers to `TRIALS` fresh cases of a corner where all fail, none otherwise."""
    probes: list[Probe] = []
    for _ in range(TRIALS):
        plain = corner.plain()
        if corner.change is not None and ((before := interview.ask(plain)) is None or before.fails):
            return []
        probe = interview.ask(plain if corner.change is None else corner.change(plain))
        if probe is None or not probe.fails:
            return []
        probes.append(probe)
    return probes


Change = Callable[[Sizes, int], Sizes]

AXES: Mapping[str, Change] = {
    "n": lambda s, size: replace(s, samples=size),
    "k": lambda s, size: replace(s, units=(*s.units[:-1], size)),
    "d": lambda s, size: replace(s, units=(size, *s.units[1:])),
    "u": lambda s, size: replace(s, units=(s.units[0], *(size for _ in s.units[1:-1]), s.units[-1])),
}
"""One size of a network, or that of all hidden layers."""
_ODD = (33, 35, 37, 39)
"""Large sizes that no usual part of a batch or of a layer divides."""


def _corners(interview: Interview, maker: Maker) -> Iterator[Corner]:
    """Values that matter at any sizes; the sizes of the given case one by one; equal ones; large ones; all at once."""
    sizes, like = maker.sizes, maker.like
    yield from _valued(maker)
    own = {"n": sizes.samples, "k": sizes.outputs, "d": sizes.units[0]}
    for axis, size in own.items():
        yield from _sized(maker, f"{axis} = {size}", partial(_with, axis, size), axis, size)
    yield from _coinciding(interview, maker)
    if sizes.units[1:-1]:
        units, told = sizes.units[1:-1], ", ".join(map(str, sizes.units[1:-1]))
        change = lambda s: replace(s, units=(s.units[0], *units, s.units[-1]))  # noqa: E731
        yield from _sized(maker, f"u = {told}", change, "u", max(units))
    square = lambda s: replace(s, units=(s.units[0],) * len(s.units))  # noqa: E731
    yield from _sized(maker, "all layers are square", square)
    both = lambda s: Sizes((*s.units[:-1], sizes.outputs), sizes.samples)  # noqa: E731
    yield from _sized(maker, f"n = {sizes.samples} and k = {sizes.outputs}", both)
    told = f"the layers have {', '.join(map(str, sizes.units))} units and n = {sizes.samples}"
    yield Corner(told, lambda: maker.case(sizes))
    large = "the numbers are as large as in the smallest case"
    yield Corner(large, maker.case, lambda case: _of_the_size_of(like, case))
    told = "the sizes and the numbers are those of the smallest case"
    yield Corner(told, lambda: _of_the_size_of(like, maker.case(sizes)))
    for axis, change in AXES.items():
        wide = lambda s, change=change: change(s, int(maker.random.choice(_ODD)))  # noqa: E731
        if wide(maker.different_sizes()) != maker.different_sizes():
            yield from _sized(maker, f"{axis} > {LARGEST}", wide, axis, LARGEST + 1)


def _with(axis: str, size: int, sizes: Sizes) -> Sizes:
    return AXES[axis](sizes, size)


def _valued(maker: Maker) -> Iterator[Corner]:
    yield Corner("|z| is large", maker.case, lambda case: saturated(case, SATURATED))
    yield Corner("the inputs and the errors are large", maker.case, lambda case: made_loud(case, VERY_LOUD))
    yield Corner("an input is 0 in all samples", maker.case, _without_an_input)
    yield Corner("all inputs of a sample are 0", maker.case, _with_an_empty_sample)
    if maker.like.hidden == "relu" and len(maker.like.parameters) > 1:
        yield Corner("a unit of the first layer is 0 in all samples", maker.case, _with_a_dead_unit)


def _coinciding(interview: Interview, maker: Maker) -> Iterator[Corner]:
    """Two equal sizes, of n and the units of all layers: whichever of the pairs make it wrong."""
    layers = len(maker.like.parameters)
    names = ["n", "d", *(f"u{layer}" for layer in range(1, layers)), "k"]

    def equal(first: int, second: int, sizes: Sizes) -> Sizes:
        if first == 0:
            return replace(sizes, samples=sizes.units[second - 1])
        units = list(sizes.units)
        units[first - 1] = units[second - 1]
        return replace(sizes, units=tuple(units))

    pairs = [
        (f"{names[a]} = {names[b]}", partial(equal, a, b)) for a, b in combinations(range(len(names)), 2)
    ]
    wrong = [
        corner
        for text, change in pairs
        for corner in _sized(maker, text, change)
        if all(_is_wrong(interview, maker, change(maker.different_sizes())) for _ in range(2))
    ]
    if wrong:
        turns, text = cycle(wrong), " or ".join(corner.text for corner in wrong)
        yield Corner(text, lambda: next(turns).make(), parts=wrong if len(wrong) > 1 else ())


def _is_wrong(interview: Interview, maker: Maker, sizes: Sizes) -> bool:
    probe = interview.ask(maker.case(sizes)) if maker.admits(sizes) else None
    return probe is not None and probe.fails


def _sized(
    maker: Maker, text: str, change: Callable[[Sizes], Sizes], axis: str = "", size: int = 0
) -> Iterator[Corner]:
    """A corner of the sizes, where the claim admits it and does not pin it anyway."""
    if maker.admits(change(maker.different_sizes())):
        make = lambda: maker.case(change(maker.different_sizes()))  # noqa: E731
        yield Corner(text, make, axis=axis, size=size)


def _widened(interview: Interview, maker: Maker, corner: Corner) -> Corner | None:
    """A condition on one size told for all sizes: `n = 33` as `n ≥ 33` where it is wrong above as well.

    None where it is wrong for sizes without a rule, and for others when they are asked again: then it is no size
    that matters.
    """
    axis, size = corner.axis, corner.size

    def is_wrong(size: int) -> bool:
        return _is_wrong(interview, maker, AXES[axis](maker.different_sizes(), size))

    if size <= 1:
        return corner
    if size > LARGEST:
        least = next((one for one in range(LARGEST + 1, max(WIDEST, size)) if is_wrong(one)), WIDEST)
        if not all(is_wrong(least + step) for step in (1, 2, 3)):
            return corner
        is_part = not is_wrong(2 * (least - 1))
        return replace(corner, text=_of_parts(axis, least - 1) if is_part else f"{axis} ≥ {least}")
    sizes = range(1, 2 * LARGEST + 1)
    wrong = [one for one in sizes if one == size or is_wrong(one)]
    rule = _rule_of(axis, sizes, wrong)
    if not rule:
        again = [one for one in sizes for _ in range(TRIALS) if is_wrong(one)]
        if again != [one for one in wrong for _ in range(TRIALS)]:
            return None
        if wrong == [size]:
            return corner
        rule = f"{axis} is one of {', '.join(map(str, wrong))} (of {sizes[0]} to {sizes[-1]})"
    among = lambda: maker.case(AXES[axis](maker.different_sizes(), int(maker.random.choice(wrong))))  # noqa: E731
    return replace(corner, text=rule, plain=among)


def _of_parts(axis: str, part: int) -> str:
    return f"{axis} is above {part} and no multiple of it"


def _rule_of(axis: str, sizes: Sequence[int], wrong: Sequence[int]) -> str:
    """Which of the sizes are the wrong ones, by a rule that several obey; empty where there is none."""
    least, most = min(wrong), max(wrong)
    rules: dict[str, Callable[[int], bool]] = {
        f"{axis} ≥ {least}": lambda size: size >= least,
        f"{axis} ≤ {most}": lambda size: size <= most,
    }
    for part in range(2, LARGEST + 1):
        rules[f"{axis} is a multiple of {part}"] = lambda size, part=part: size % part == 0
        rules[f"{axis} is no multiple of {part}"] = lambda size, part=part: size % part != 0
        rules[_of_parts(axis, part)] = lambda size, part=part: size > part and size % part != 0
    fitting = (text for text, rule in rules.items() if [size for size in sizes if rule(size)] == wrong)
    return next(fitting, "") if len(wrong) > 1 else ""


SATURATED = 16.0
VERY_LOUD = 2.0**10


def saturated(case: Case, factor: float) -> Case:
    """The same network with every z of the first layer `factor` times larger, and with larger weights above."""
    fmt = case.inputs.dtype.type
    parameters = [(W * fmt(factor), None if b is None else b * fmt(factor)) for W, b in case.parameters]
    return replace(case, parameters=parameters)


def largest_z(case: Case) -> float:
    """The largest |z| of the forward pass, of the layers with a curved activation where there are any."""
    layers = layers_of(case.parameters, case.hidden, case.output)
    with np.errstate(all="ignore"):
        zs, _ = forward(np, layers, case.inputs)
        sizes = [float(abs(z).max(initial=0)) for z in zs]
    curved = [
        size
        for size, layer in zip(sizes, layers, strict=True)
        if layer.activation not in ("identity", "relu")
    ]
    return max(curved or sizes)


def two_digits(number: float) -> str:
    """`380` for 382.1."""
    return f"{float(f'{number:.2g}'):g}"


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
    free = like.targets.ndim == like.inputs.ndim and not like.loss.endswith("cross_entropy")
    targets = _like(case.targets, like.targets) if free else case.targets
    return replace(case, parameters=parameters, inputs=_like(case.inputs, like.inputs), targets=targets)


def _like(array: Array, other: Array) -> Array:
    size, wanted = float(abs(array).max(initial=0)), float(abs(other).max(initial=0))
    if not size or not wanted:
        return array * array.dtype.type(wanted != 0)
    return array * array.dtype.type(2.0 ** round(np.log2(wanted / size)))


Fails = Callable[[Probe], bool]


def boundary(
    interview: Interview, make: Callable[[float], Case], fails: Fails = lambda probe: probe.fails
) -> Probe | None:
    """The answer at the boundary, by bisection: make(0) is right, make(1) fails; None where this is not so.

    The arrays of `make(part)` change in geometric progression. Of the cases that fail, the answer is one
    whose numbers, and largest |z|, are within 2 % of those of one that does not: two digits are told.
    """

    def failing(part: float) -> Probe | None:
        probe = interview.ask(make(part))
        return probe if probe is not None and fails(probe) else None

    low, high, found = 0.0, 1.0, failing(1.0)
    if found is None or failing(low) is not None:
        return None
    while _apart(found.case, make(low)) > 1.02 and high - low > 2.0**-20:
        middle = (low + high) / 2
        probe = failing(middle)
        if probe is None:
            low = middle
        else:
            high, found = middle, probe
    return found


def _apart(one: Case, other: Case) -> float:
    """The largest factor between what two cases have in the same place: an array's size, or that of z."""
    pairs = zip(_sizes_of(one), _sizes_of(other), strict=True)
    return max((max(a / b, b / a) for a, b in pairs if a > 0 and b > 0), default=1.0)


def _sizes_of(case: Case) -> list[float]:
    arrays = [*named(case.parameters).values(), case.inputs, case.rows]
    return [largest_z(case), *(float(abs(array).max(initial=0)) for array in arrays)]


def saturating(case: Case, largest: float) -> Callable[[float], Case]:
    """The case with its parameters larger and larger, up to the factor `largest`."""
    return lambda part: saturated(case, largest**part)


def from_where(interview: Interview, maker: Maker, corner: Corner) -> str:
    """The condition with the number from which on it matters, where that can be found."""
    if corner.text != "|z| is large":
        return corner.text
    ways = [saturating(maker.case(), SATURATED) for _ in range(TRIALS)]
    found = [largest_z(probe.case) for way in ways if (probe := boundary(interview, way)) is not None]
    return f"|z| > {two_digits(min(found))}" if found else corner.text
