"""Where a gradient is wrong that is right in general: one batch size, one output, square layers, large |z|."""

from collections.abc import Callable, Iterator, Sequence
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

    A condition on values has a `change` that brings a case of `plain` there; the case as it was has to be right.
    """

    text: str
    plain: Callable[[], Case]
    change: Callable[[Case], Case] | None = None
    parts: Sequence["Corner"] = ()
    """The conditions that this one joins by "or"."""

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


def _corners(interview: Interview, maker: Maker) -> Iterator[Corner]:
    """Values that matter at any sizes; the sizes of the given case one by one; relations between sizes; both."""
    yield from _valued(maker)
    fan_in, *widths, outputs = maker.sizes.units
    samples = maker.sizes.samples
    yield from _sized(maker, f"n = {samples}", lambda s: replace(s, samples=samples))
    yield from _sized(maker, f"K = {outputs}", lambda s: replace(s, units=(*s.units[:-1], outputs)))
    yield from _sized(maker, f"there are {fan_in} inputs", lambda s: replace(s, units=(fan_in, *s.units[1:])))
    yield from _coinciding(interview, maker)
    if widths:
        units = tuple(widths)
        yield from _sized(
            maker, _widths(widths), lambda s: replace(s, units=(s.units[0], *units, s.units[-1]))
        )
    yield from _sized(maker, "n = 1", lambda s: replace(s, samples=1))
    yield from _sized(maker, "K = 1", lambda s: replace(s, units=(*s.units[:-1], 1)))
    yield from _square(maker)
    yield from _sized(
        maker, f"n = {samples} and K = {outputs}", lambda s: Sizes((*s.units[:-1], outputs), samples)
    )
    sizes = maker.sizes
    yield Corner(
        f"the layers have {', '.join(map(str, sizes.units))} units and n = {samples}",
        lambda: maker.case(sizes),
    )
    yield Corner(
        "the numbers are as large as in the smallest case",
        maker.case,
        lambda case: _of_the_size_of(maker.like, case),
    )
    yield Corner(
        "the sizes and the numbers are those of the smallest case",
        lambda: _of_the_size_of(maker.like, maker.case(sizes)),
    )
    for letter, change in _WIDE.items():
        yield from _wide(maker, letter, change)


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

    def equal(first: int, second: int) -> Sizes:
        sizes = maker.different_sizes()
        if first < 0:
            return replace(sizes, samples=sizes.units[second])
        units = list(sizes.units)
        units[first] = units[second]
        return replace(sizes, units=tuple(units))

    def is_wrong(pair: tuple[int, int]) -> bool:
        sizes = equal(*pair)
        probe = interview.ask(maker.case(sizes)) if maker.admits(sizes) else None
        return probe is not None and probe.fails

    pairs = [pair for pair in combinations(range(-1, layers + 1), 2) if is_wrong(pair) and is_wrong(pair)]
    if pairs:
        parts = [Corner(_equality(*pair, layers), partial(_case_of, maker, equal, pair)) for pair in pairs]
        turns = cycle(parts)
        text = " or ".join(part.text for part in parts)
        yield Corner(text, lambda: next(turns).make(), parts=parts if len(parts) > 1 else ())


def _case_of(maker: Maker, equal: Callable[[int, int], Sizes], pair: tuple[int, int]) -> Case:
    return maker.case(equal(*pair))


def _equality(first: int, second: int, layers: int) -> str:
    """In words, that two of n (-1), the inputs (0) and the units of the layers are as many."""
    match first, second:
        case -1, 0:
            said = "n is the number of inputs"
        case -1, layer:
            said = "n = K" if layer == layers else f"n is the number of units of layer {layer}"
        case below, layer if layer == below + 1:
            said = f"W{layer} is square"
        case 0, layer:
            of = "outputs" if layer == layers else f"units in layer {layer}"
            said = f"there are as many inputs as {of}"
        case below, layer:
            said = f"layers {below} and {layer} have as many units"
    return said


def _square(maker: Maker) -> Iterator[Corner]:
    """All layers; all but the first."""
    yield from _sized(
        maker, "all layers are square", lambda s: replace(s, units=(s.units[0],) * len(s.units))
    )
    yield from _sized(
        maker,
        "all layers but the first are square",
        lambda s: replace(s, units=(s.units[0], *(s.units[-1],) * (len(s.units) - 1))),
    )


Change = Callable[[Sizes, int], Sizes]

_WIDE: dict[str, Change] = {
    "n": lambda s, size: replace(s, samples=size),
    "K": lambda s, size: replace(s, units=(*s.units[:-1], size)),
    "the number of inputs": lambda s, size: replace(s, units=(size, *s.units[1:])),
    "the number of hidden units": lambda s, size: replace(
        s, units=(s.units[0], *(size for _ in s.units[1:-1]), s.units[-1])
    ),
}
"""One size of a network made larger than those of the usual fresh cases."""


_ODD = (33, 35, 37, 39)
"""Large sizes that no usual part of a batch or of a layer divides."""


def _wide(maker: Maker, letter: str, change: Change) -> Iterator[Corner]:
    def sizes() -> Sizes:
        return change(maker.different_sizes(), int(maker.random.choice(_ODD)))

    if maker.admits(sizes()) and sizes() != maker.different_sizes():
        yield Corner(f"{letter} > {LARGEST}", lambda: maker.case(sizes()))


def _sized(maker: Maker, text: str, change: Callable[[Sizes], Sizes]) -> Iterator[Corner]:
    """A corner of the sizes, where the claim admits it and does not pin it anyway."""
    if maker.admits(change(maker.different_sizes())):
        yield Corner(text, lambda: maker.case(change(maker.different_sizes())))


def _widened(interview: Interview, maker: Maker, corner: Corner) -> Corner | None:
    """A condition on one size told for all sizes: `n = 33` as `n ≥ 33` where it is wrong above as well.

    None where it is wrong for sizes without a rule, and for others when they are asked again: then it is no size
    that matters.
    """

    def is_wrong(change: Change, size: int) -> bool:
        sizes = change(maker.different_sizes(), size)
        probe = interview.ask(maker.case(sizes)) if maker.admits(sizes) else None
        return probe is not None and probe.fails

    for letter, change in _WIDE.items():
        number = (
            LARGEST + 1 if corner.text == f"{letter} > {LARGEST}" else _size_in(corner.text, letter, maker)
        )
        if number > LARGEST:
            sizes = range(LARGEST + 1, max(WIDEST, number))
            least = next((size for size in sizes if is_wrong(change, size)), WIDEST)
            if all(is_wrong(change, least + step) for step in (1, 2, 3)):
                is_part = not is_wrong(change, 2 * (least - 1))
                return replace(corner, text=_of_parts(letter, least - 1, is_part=is_part))
        elif number > 1:
            sizes = range(1, 2 * LARGEST + 1)
            wrong = [size for size in sizes if size == number or is_wrong(change, size)]
            rule = _rule_of(letter, sizes, wrong)
            among = partial(_with_one_of, maker, change, wrong)
            if rule:
                return replace(corner, text=rule, plain=among)
            again = [size for size in sizes for _ in range(TRIALS) if is_wrong(change, size)]
            if again != [size for size in wrong for _ in range(TRIALS)]:
                return None
            if wrong != [number]:
                told = f"is one of {', '.join(map(str, wrong))} (of {sizes[0]} to {sizes[-1]})"
                return replace(corner, text=f"{letter} {told}", plain=among)
    return corner


def _with_one_of(maker: Maker, change: Change, sizes: Sequence[int]) -> Case:
    return maker.case(change(maker.different_sizes(), int(maker.random.choice(sizes))))


def _of_parts(letter: str, part: int, *, is_part: bool) -> str:
    return f"{letter} is above {part} and no multiple of it" if is_part else f"{letter} ≥ {part + 1}"


def _rule_of(letter: str, sizes: Sequence[int], wrong: Sequence[int]) -> str:
    """Which of the sizes are the wrong ones, by a rule that several obey; empty where there is none."""
    least, most = min(wrong), max(wrong)
    rules: dict[str, Callable[[int], bool]] = {
        f"{letter} ≥ {least}": lambda size: size >= least,
        f"{letter} ≤ {most}": lambda size: size <= most,
    }
    for part in range(2, LARGEST + 1):
        rules |= _of_multiples(letter, part)
    fitting = (text for text, rule in rules.items() if [size for size in sizes if rule(size)] == wrong)
    return next(fitting, "") if len(wrong) > 1 else ""


def _of_multiples(letter: str, part: int) -> dict[str, Callable[[int], bool]]:
    return {
        f"{letter} is a multiple of {part}": lambda size: size % part == 0,
        f"{letter} is no multiple of {part}": lambda size: size % part != 0,
        _of_parts(letter, part, is_part=True): lambda size: size > part and size % part != 0,
    }


def _size_in(text: str, letter: str, maker: Maker) -> int:
    """The size that a corner is about, 0 where it is about others."""
    fan_in, *widths, outputs = maker.sizes.units
    sizes = {
        f"n = {maker.sizes.samples}": ("n", maker.sizes.samples),
        f"K = {outputs}": ("K", outputs),
        f"there are {fan_in} inputs": ("the number of inputs", fan_in),
    }
    if widths:
        sizes[_widths(widths)] = ("the number of hidden units", max(widths))
    about, size = sizes.get(text, ("", 0))
    return size if about == letter else 0


def _widths(widths: Sequence[int]) -> str:
    return f"the hidden layers have {', '.join(map(str, widths))} units"


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
