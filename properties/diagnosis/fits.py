"""Mistakes with a number in them, which is read off one answer: a divisor, a rate, a strength, a threshold."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, pairwise, product

import numpy as np

from properties.cases import Array
from properties.comparison import named
from properties.diagnosis import other_data
from properties.diagnosis.hypotheses import Account, Gradient, Hypotheses, Hypothesis
from properties.diagnosis.other_programs import in_hidden_layers
from properties.diagnosis.probes import Probe, ratio
from reference.operations import OPERATIONS

Predicted = Callable[[Probe, str], Array]


def of(hypotheses: Hypotheses, first: Probe, probes: Sequence[Probe]) -> list[Hypothesis]:
    """The hypotheses whose number one wrong answer shows."""
    divisors = _divisors(hypotheses, first) if len({probe.case.samples for probe in probes}) > 1 else ()
    return list(chain(divisors, _rates(hypotheses, first), _thresholds(hypotheses, first)))


def neat(number: float) -> float:
    """The number of six digits that somebody wrote, where a fitted one is so near to it that it is no chance."""
    written = float(f"{number:.6g}")
    return written if abs(written - number) <= abs(number) * NEAT else number


NEAT = 2.0**-26
"""The sixth digit leaves a relative difference of up to 5e-6: one in 300 numbers is as near to its neighbour."""


def _divisors(hypotheses: Hypotheses, probe: Probe) -> Iterator[Hypothesis]:
    """A constant in the place of N: the right gradient is N/size times too large."""
    if probe.case.reduction == "sum":
        return
    found = {ratio(probe, name, probe.answer[name], probe.right[name]) for name in probe.wrong}
    # A half of the sum over the samples is no batch of two, but what a square's factor 2 and a 1/N have lost.
    taken = {0, 1, 2} if probe.case.loss in ("mse", "sse") else {0, 1}
    for size in {round(probe.case.samples / r) for r in found if r is not None and r > 0} - taken:
        yield hypotheses.afterwards(str(size), "fixed_divisor", partial(_over_a_size, size))


def _rates(hypotheses: Hypotheses, probe: Probe) -> Iterator[Hypothesis]:
    """An update before its time: dW of the last layer but one is off in proportion to the rate."""
    layers = len(probe.case.parameters)
    if layers == 1:
        return
    name = f"dW{layers - 1}"
    whole = hypotheses.updated(1.0)(probe)
    if whole is not None:
        rate = ratio(probe, name, probe.answer[name] - probe.right[name], whole[name] - probe.right[name])
        if rate is not None and rate > 0:
            yield hypotheses.updated(neat(rate))


def _thresholds(hypotheses: Hypotheses, probe: Probe) -> Iterator[Hypothesis]:
    """Clipping: what is largest in the answer is the threshold."""
    sizes = [abs(array).max(initial=0) for array in probe.answer.values()]
    norms = [float(np.sqrt((array**2).sum())) for array in probe.answer.values()]
    for text, threshold, clipped in (
        ("each entry", max(sizes), _clipped),
        ("each array's norm", max(norms), _shortened),
        ("the norm of all", float(np.hypot.reduce(norms)), _shortened_together),
    ):
        if threshold:
            change = partial(clipped, float(threshold))
            yield hypotheses.afterwards(f"{text} to {threshold:.6g}", "gradient_clipped", change)


Arrays = dict[str, Array]


def _over_a_size(size: int, probe: Probe, right: Arrays) -> Arrays:
    return {name: array * (probe.case.samples / size) for name, array in right.items()}


def _clipped(threshold: float, _: Probe, right: Arrays) -> Arrays:
    return {name: array.clip(-threshold, threshold) for name, array in right.items()}


def _shortened(threshold: float, _: Probe, right: Arrays) -> Arrays:
    return {name: array * min(1, threshold / np.sqrt((array**2).sum())) for name, array in right.items()}


def _shortened_together(threshold: float, _: Probe, right: Arrays) -> Arrays:
    norm = np.sqrt(sum((array**2).sum() for array in right.values()))
    return {name: array * min(1, threshold / norm) for name, array in right.items()}


SHARES = {0.5: "half of", 2.0: "twice", -1.0: "minus", 0.25: "a quarter of"}
NEAR = 2.0**-44
"""A fitted number that is as near to a written one is it: 1/0.999999 is no 1.000001."""
DIGITS = 1, 2, 3, 6
"""People write numbers of so many digits, or 1 divided by one."""


def _as_written(number: float) -> Iterator[float]:
    yield from (float(f"{number:.{digits}g}") for digits in DIGITS)
    if abs(number) > np.finfo(float).tiny:
        yield from (1 / float(f"{1 / number:.{digits}g}") for digits in DIGITS)


def constant(hypotheses: Hypotheses, first: Probe) -> Iterator[Hypothesis]:
    """One number times the right gradient, everywhere: read off one answer."""
    nonzero = [name for name, right in first.right.items() if right.any()]
    ratios = [ratio(first, name, first.answer[name], first.right[name]) for name in nonzero]
    numbers = [one for one in ratios if one is not None]
    half = np.sqrt(np.finfo(first.case.inputs.dtype).eps)
    if numbers and len(numbers) == len(ratios) and np.ptp(numbers) <= half * abs(numbers[0]):
        found = float(np.mean(numbers))
        near = (one for one in _as_written(found) if abs(one - found) <= NEAR * abs(found) and one != 1.0)
        number = next(near, found)
        told = f"{number:.6g}" if f"{number:.6g}" != "1" else f"{number:.12g}"
        text = f"{SHARES.get(number, f'{told} times')} the right gradient, everywhere"
        cure = "Look for this factor where the error begins: each constant counts once."
        yield hypotheses.afterwards(
            text, None, lambda _, g: {name: number * one for name, one in g.items()}, cure
        )


def of_numbers(hypotheses: Hypotheses, first: Probe) -> Iterator[Hypothesis]:
    """What has no name and a number in it: errors that are clipped, data and activations with a parameter."""
    yield from _cut(hypotheses, first)
    for text, change, start in other_data.families():
        family = partial(_with_data, hypotheses, change)
        yield from _fitted(first, text, family, start)
    network = hypotheses.network
    for one in OPERATIONS.values():
        if one.forward.__module__.endswith("activations") and len(one.options) == 1 < network.layers:
            ((key, (start, *_)),) = one.options.items()
            told = f"{one.name} with {key} {{}} in the hidden layers, and PROBLEM says {first.case.hidden}"
            family = partial(_with_option, hypotheses, one.name, key)
            yield from _fitted(first, f"this is the gradient of a network with {told}", family, start)


def _with_data(
    hypotheses: Hypotheses, change: Callable[[float], other_data.Change], number: float
) -> Gradient:
    return hypotheses.with_data(change(number))


def _with_option(hypotheses: Hypotheses, name: str, key: str, number: float) -> Gradient:
    return hypotheses.of(in_hidden_layers(hypotheses.network, name, {key: number}))


MOST_STEPS, STEP = 12, 2.0**-20
"""Steps until a number is found, and how far its slope is taken from it."""


def _fitted(
    first: Probe, text: str, family: Callable[[float], Gradient], start: float
) -> Iterator[Hypothesis]:
    """A family of gradients with a number in them, which one answer shows: by the method of Gauss and Newton."""
    number, wanted = start, np.concatenate([first.answer[name].ravel() for name in first.wrong])

    def at(t: float) -> Array:
        found = Hypothesis((), "", family(t))(first)
        return np.concatenate([found[name].ravel() for name in first.wrong]) if found else wanted * np.nan

    for _ in range(MOST_STEPS):
        here, by = at(number), STEP * max(abs(number), STEP)
        slope = (at(number + by) - here) / by
        step = float(slope @ (wanted - here) / (slope @ slope)) if slope.any() else np.nan
        if not np.isfinite(step):
            return
        number += step
        if abs(step) <= np.finfo(float).eps * abs(number):
            break
    for written in _as_written(number):
        if written not in (0.0, 1.0):
            yield Hypothesis((), text.format(f"{written:.6g}"), family(written))


MOST_CUT = 99
"""So many of the largest entries of an error may be cut."""


def _cut(hypotheses: Hypotheses, first: Probe) -> Iterator[Hypothesis]:
    """An error that is clipped: between two of its entries the gradient is linear in the limit, which is read off."""
    network = hypotheses.network
    (*hidden, _), (error,) = network.of("slope"), network.of("error")
    values = network.reading(first).values
    (z,) = network.passage.flow.steps[hidden[0].equation].outputs if hidden else (0,)
    o, y = values[error.reads["o"]], values[error.reads["y"]]
    rows = [(hidden, values[z], "∂L/∂z of the hidden layers is clipped to ±{}", _cut_slope)] * (
        len(hidden) == 1
    )
    rows += [([error], o - y, "∂L/∂o is clipped to ±{} of o − y, as a Huber loss is bent", _cut_error)]
    name = next(iter(first.wrong))
    for (step,), entries, text, cut in rows:
        limits = [0.0, *np.sort(abs(np.asarray(entries)).ravel())[-MOST_CUT:].tolist()]
        found = [hypotheses.of([(step, partial(cut, limit))])(first) for limit in limits]
        for (low, high), (at_low, at_high) in zip(pairwise(limits), pairwise(found), strict=True):
            if at_low is None or at_high is None:
                continue
            change, off = at_high[name] - at_low[name], first.answer[name] - at_low[name]
            part = float((off * change).sum() / (change * change).sum()) if change.any() else np.nan
            if 0 <= part <= 1:
                limit = float(f"{low + part * (high - low):.9g}")
                yield Hypothesis(
                    (), text.format(f"{limit:.6g}"), hypotheses.of([(step, partial(cut, limit))])
                )


def _cut_error(limit: float, v: Array, o: Array, y: Array) -> Array:
    return v / (o - y) * (o - y).clip(-limit, limit)


def _cut_slope(limit: float, v: Array) -> Array:
    return v.clip(-limit, limit)


PER_BATCH: dict[str, Callable[[int], float]] = {
    "λ": lambda n: 1.0,
    "λ·n": float,
    "λ/n": lambda n: 1 / n,
}
"""How a penalty may depend on the number of samples."""


PENALTIES: dict[str, Callable[[str, Array], Array]] = {
    "": lambda name, W: W,
    " sign W": lambda name, W: np.sign(W),
    " (W, and 1 in each db)": lambda name, W: W if name[1] == "W" else np.ones_like(W),
}
"""The derivatives of λ/2 W² and of λ |W|; and W with ones in the place of its biases."""


def with_penalty(bases: Iterable[tuple[tuple[str, ...], Predicted]], first: Probe) -> Iterator[Account]:
    """λW, λn W or λ/n W added to the right gradient, or to a multiple of it, or λ sign W; in some arrays or in all."""
    for (names, base), (kind, slope) in product(bases, PENALTIES.items()):
        parameters = {name: slope(name, array) for name, array in named(first.wide.parameters).items()}
        off = {name: first.answer[name] - base(first, name) for name in first.right}
        arrays = [name for name in off if not first.is_explained(name, base(first, name))]
        found = {ratio(first, name, off[name], parameters[name]) for name in arrays}
        strengths = {strength for strength in found if strength}
        if not strengths or None in found or not all(_stands_out(first, name, off[name]) for name in arrays):
            continue
        strength = strengths.pop()
        if abs(strength) < np.finfo(first.case.inputs.dtype).eps:  # nobody wrote so small a number
            continue
        for text, per_batch in PER_BATCH.items():
            at_one = neat(strength / per_batch(first.case.samples))
            term = "λ" if text + kind == "λ" else f"{text}{kind} with λ"
            label = f"{term} = {at_one:.6g} in {', '.join(arrays)}"

            yield Account(
                (*names, "penalty_included"),
                label,
                _penalised(base, arrays, _of_parameters(slope, at_one, per_batch)),
            )


def _stands_out(probe: Probe, name: str, off: Array) -> bool:
    """Whether a difference is so far above what rounding explains that a number fitted to it means something."""
    return bool((abs(off) > STANDS_OUT * probe.error[name]).any())


STANDS_OUT = 2.0**6
"""A fitted number then has six binary digits."""


def _of_parameters(
    slope: Callable[[str, Array], Array], strength: float, per_batch: Callable[[int], float]
) -> Predicted:
    def added(probe: Probe, name: str) -> Array:
        return strength * per_batch(probe.case.samples) * slope(name, named(probe.wide.parameters)[name])

    return added


def _penalised(base: Predicted, arrays: Sequence[str], added: Predicted) -> Callable[[Probe], bool]:
    def holds(probe: Probe) -> bool:
        return all(
            probe.is_explained(name, base(probe, name) + (added(probe, name) if name in arrays else 0))
            for name in probe.right
        )

    return holds


STEPS = (*(float(f"{digit}e-{k}") for k in range(1, 13) for digit in (1, 5)), 2.0**-26, 2.0 ** (-52 / 3))
"""Steps of finite differences in use; the last two are the square root and the cube root of the machine epsilon."""
FEWEST_INTEGERS = 4
"""So many entries of a probe have to be whole numbers of units, each of which would be by chance in one of 32 cases."""


def of_differences(first: Probe, loss: Callable[[Probe], float]) -> Iterator[Account]:
    """Finite differences of the loss: an entry times its step is a difference of two numbers of the format.

    Such a difference is a whole number of units in the last place of the loss. Multiples of the step would do as well,
    so that the smallest comes first. Two steps h of central differences are one of one-sided ones; these are off in
    proportion to it, those to its square.
    """
    off = max(float(abs(first.answer[name] - right).max()) for name, right in first.right.items())
    widths = sorted({width for step in STEPS for width in (step, 2 * step)})
    for width in widths:
        kinds = {"one-sided": width, "central": width / 2}
        kind, step = max(
            ((kind, step) for kind, step in kinds.items() if step in STEPS),
            key=lambda found: (found[0] == "one-sided") == (off > width**1.5),
        )
        if _is_whole(first, loss, width, fewest=FEWEST_INTEGERS):
            label = f"these are {kind} differences of the loss with a step of {step:.6g}, and no derivative"
            cure = "Write the derivative out, and keep the differences to check it with."
            yield Account((), label, lambda probe, width=width: _is_whole(probe, loss, width), cure=cure)


def _is_whole(probe: Probe, loss: Callable[[Probe], float], width: float, fewest: int = 0) -> bool:
    """Whether all entries times the width are whole numbers of units of the loss, as far as they tell: so many do.

    Where nothing is asked of their number, halves are whole enough: the unit of a loss just below a power of two.

    The quotient of a difference and the width has one rounding, its product with the width another, and the width
    itself a third, each of them u of the whole.
    """
    case = probe.case
    fmt = np.finfo(case.inputs.dtype)
    unit = float(np.spacing(case.inputs.dtype.type(loss(probe))))
    given = np.concatenate([array.ravel() for array in probe.answer.values()])
    units = given[given != 0] * (width / unit) * (1 if fewest else 2)
    reach = 3 * float(fmt.eps) / 2 * abs(units)
    telling = reach < 1 / 64
    units, reach = units[telling], reach[telling]
    whole = np.round(units)
    # Even ones alone are multiples of a larger unit: they come from a format with fewer digits, say.
    enough = not fewest or (len(units) >= fewest and (whole % 2 == 1).any())
    return bool(enough and (abs(units - whole) <= reach).all())


def noise(names: tuple[str, ...], right: Predicted, label: str, unit: float) -> Account:
    """The right gradient, or a multiple of it, as near as a shorter format with this unit roundoff gets."""

    def holds(probe: Probe) -> bool:
        coarser = unit / (float(np.finfo(probe.case.inputs.dtype).eps) / 2)
        if coarser <= 1:
            return False
        return all(
            bool(
                (
                    abs(probe.answer[name] - right(probe, name)) <= _reach(probe, name, right, coarser, label)
                ).all()
            )
            for name in probe.right
        )

    return Account((*names, "precision_lost"), label, holds)


def _reach(probe: Probe, name: str, right: Predicted, coarser: float, label: str) -> float:
    return coarser * probe.reach(name, right(probe, name)) + float(np.finfo(label).tiny)


NOISE_SIGNS = 0.2
"""Rounding errs to both sides. Fewer than this part of the entries on one side, and it is a trend."""
NOISE_SIZES = 2.0**-6, 2.0**4
"""Rounding to a format moves a typical entry by its unit roundoff, give or take these factors."""


def is_noise(right: Predicted, probes: Sequence[Probe], label: str, unit: float) -> bool:
    """Whether what is off looks like rounding.

    All entries are numbers of the format, or it is off to both sides by as much as the format's roundoff.

    The bounds of so short a format as float16 would hold of much else, so that only the numbers count there.
    """
    if all(_is_made_of(label, probe) for probe in probes):
        return True
    if label == "float16":
        return False
    wrong = [(probe, name) for probe in probes for name in probe.wrong if right(probe, name).any()]
    if not wrong:
        return False
    expected = [right(probe, name).ravel() for probe, name in wrong]
    off = [probe.answer[name].ravel() - right for (probe, name), right in zip(wrong, expected, strict=True)]
    relative = np.concatenate([part / abs(right).max() for part, right in zip(off, expected, strict=True)])
    signs = np.sign(relative), np.sign(relative) * np.sign(np.concatenate(expected))
    up = [float((sign > 0).mean()) for sign in signs]
    low, high = (factor * unit for factor in NOISE_SIZES)
    return min(*up, *(1 - part for part in up)) > NOISE_SIGNS and low < float(np.median(abs(relative))) < high


def _is_made_of(label: str, probe: Probe) -> bool:
    with np.errstate(all="ignore"):
        return all(
            np.array_equal(array, array.astype(label).astype(float)) for array in probe.answer.values()
        )
