"""Mistakes that break the shapes, or leave something behind: seen before any number is compared."""

from collections.abc import Sequence
from dataclasses import replace

from properties.cases import Case
from properties.comparison import named
from properties.diagnosis.probes import Interview, Maker, Probe

SHAPE_WORDS = ("shape", "dimension", "broadcast", "aligned")
"""Words of NumPy's where arrays do not fit together."""


def of_shape(probe: Probe) -> str:
    """The mistake that the shape of a faulty array shows; empty for none."""
    given = getattr(probe.fault, "given_shape", None)
    wanted = getattr(probe.fault, "wanted_shape", None)
    if given is None or wanted is None or given == wanted:
        return ""
    n, outputs = probe.case.samples, probe.case.outputs
    pairs = given[:2] == (n, n) and n not in probe.case.sizes
    if n > 1 and (pairs or (outputs == 1 == wanted[-1] and given[-1:] == (n,) and len(wanted) > 1)):
        return "broadcast_blow_up"
    if len(wanted) == 1:
        return "bias_not_summed" if n > 1 and given in ((n, *wanted), (n,), ()) else ""
    return ""


def of_order(probe: Probe) -> str:
    """What a faulty array's shape shows of how the result is ordered, as a sentence; empty for nothing."""
    name = getattr(probe.fault, "array", "")
    given = getattr(probe.fault, "given_shape", None)
    wanted = getattr(probe.fault, "wanted_shape", None)
    if not name or given is None or wanted is None:
        return ""
    shapes = {key: array.shape for key, array in named(probe.case.parameters).items()}
    layers = len(probe.case.parameters)
    if len(wanted) == 1:
        keeps = probe.case.samples > 1 and given == (1, *wanted)
        return f"{name} has an axis of length 1 too many: drop keepdims" if keeps else ""
    if given == wanted[::-1]:
        return "dW is given transposed"
    opposite = f"{name[:2]}{layers + 1 - int(name[2:])}"
    return "the layers are given in reverse order" if given == shapes[opposite] else ""


def of_pairs(faulty: Sequence[Probe], sound: Sequence[Probe]) -> bool:
    """Whether shapes do not fit exactly where outputs (n, 1) can meet targets (n,), for n > 1."""

    def pairs_up(case: Case) -> bool:
        return case.outputs == 1 and case.samples > 1

    return (
        bool(faulty and sound)
        and all(pairs_up(probe.case) and _names_shapes(probe) for probe in faulty)
        and not any(pairs_up(probe.case) for probe in sound)
    )


def _names_shapes(probe: Probe) -> bool:
    return any(word in str(probe.fault) for word in SHAPE_WORDS)


def of_memory(interview: Interview, maker: Maker) -> Probe | None:
    """An answer that is wrong after another of the same sizes, and right in a fresh process; None for no such."""
    before, elsewhere = maker.case(maker.sizes), maker.case(maker.sizes)
    for later in (elsewhere, replace(before, parameters=elsewhere.parameters)):
        interview.ask(before)
        after = interview.ask(later)
        if after is None or not after.fails:
            continue
        interview.subject.renew()
        first = interview.ask(later)
        if first is not None and not first.fails:
            return after
    return None
