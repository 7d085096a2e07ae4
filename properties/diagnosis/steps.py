"""Steps that are not their rate times one gradient: what else they do."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from properties.cases import Array, Case, Parameters
from properties.comparison import named
from properties.diagnosis.network_search import NetworkProblem
from properties.diagnosis.networks import Network
from properties.diagnosis.probes import Probe
from properties.diagnosis.search import Candidate
from properties.diagnosis.trials import NEAT, ratio

LEFT_BEHIND = "what earlier calls have left behind changes the answer"
ANEW = "Compute everything anew in each call, from its arguments alone."
CURE = "Compute one gradient from the parameters as they are given, and move once, by the rate times this gradient."


def explain(faulty: Sequence[Probe]) -> tuple[tuple[str, ...], str]:
    """What steps do that are not their rate times one gradient, as (mistakes, sentence), of which one is empty."""
    if faulty and all(hasattr(probe.fault, "keeps_state") for probe in faulty):
        return (), LEFT_BEHIND
    if faulty and all(hasattr(probe.fault, "moved_by_none") for probe in faulty):
        return (), _without_rate(faulty)
    if not faulty or not all(hasattr(probe.fault, "moved_by_one") for probe in faulty):
        return (), ""
    first, *others = ([one.names for one in _early(probe)] for probe in faulty)
    names = [one for one in first if all(one in found for found in others)]
    if names:
        return names[0], ""
    return (), next(
        (text for text, moves in STEPS.items() if all(_moves_by(probe, moves) for probe in faulty)), ""
    )


def _without_rate(faulty: Sequence[Probe]) -> str:
    """What moves the parameters at a rate of 0: a decay, or a rate that is written into the step."""
    for text, arrays_of in (
        (
            "the parameters decay besides, by {:.6g} of their size in each step, whatever the rate",
            _parameters,
        ),
        ("the rate that is given is not used: it is always {:.6g}", _right),
    ):
        found = [_share(probe, arrays_of(probe)) for probe in faulty]
        first = found[0]
        if first and all(share and abs(share - first) <= abs(first) * NEAT for share in found):
            arrays = sorted(
                {name for probe in faulty for name in _moved_by_none(probe)}, key=list(faulty[0].right).index
            )
            whole = len(arrays) == len(faulty[0].right)
            return text.format(first) + ("" if whole else f", in {', '.join(arrays)}")
    return ""


def _parameters(probe: Probe) -> dict[str, Array]:
    return _wide(probe.case.parameters)


def _right(probe: Probe) -> Mapping[str, Array]:
    return probe.right


def _moved_by_none(probe: Probe) -> list[str]:
    return [name for name, array in _wide(getattr(probe.fault, "moved_by_none", [])).items() if array.any()]


def _share(probe: Probe, arrays: Mapping[str, Array]) -> float | None:
    """By which share of these arrays the parameters have moved, at least the weights; None where it is no such."""
    given, moved = _wide(getattr(probe.fault, "moved_by_none", [])), _moved_by_none(probe)
    shares = {ratio(probe, name, given[name], arrays[name]) for name in moved}
    known = [share for share in shares if share is not None]
    return known[0] if len(known) == len(shares) and max(known) - min(known) <= abs(known[0]) * NEAT else None


def _early(probe: Probe) -> Iterator[Candidate]:
    """Weights that are changed on the way down, before they pass errors on; with a mistake besides, or none."""
    told = Probe(probe.case, _wide(getattr(probe.fault, "moved", [])))
    for one in NetworkProblem(probe.case).early(getattr(probe.fault, "rate", 0.0)):
        if one.everything(told):
            yield one


def _wide(moved: Parameters) -> dict[str, Array]:
    return {name: array.astype(float) for name, array in named(moved).items()}


Moves = Callable[[Case], Parameters]


def _one_after_another(share: Callable[[int], float]) -> Moves:
    """The steps of single samples, each from where the one before has led; a share of the rate for each."""

    def moves(case: Case) -> Parameters:
        parts = [case.with_samples(slice(i, i + 1)) for i in range(case.samples)]
        return _moved(case, parts, share(case.samples))

    return moves


def _again_and_again(count: int, share: float) -> Moves:
    """So many steps of the whole batch."""
    return lambda case: _moved(case, [case] * count, share)


def _moved(case: Case, parts: Sequence[Case], rate: float) -> Parameters:
    """How far steps for these parts of a batch lead, each from where the one before has led."""
    there = case.parameters
    for part in parts:
        found = Network(case).right(replace(part, parameters=there))
        steps = [(found[f"dW{layer}"], found.get(f"db{layer}")) for layer in range(1, len(there) + 1)]
        there = _minus(there, [(rate * dW, None if db is None else rate * db) for dW, db in steps])
    return _minus(case.parameters, there)


def _minus(parameters: Parameters, steps: Parameters) -> Parameters:
    return [
        (W - dW, None if b is None or db is None else b - db)
        for (W, b), (dW, db) in zip(parameters, steps, strict=True)
    ]


COUNTS = (2, 3, 4)  # of more steps, rounding grows too large to tell
STEPS: Mapping[str, Moves] = {
    "the samples make their steps one after another, each from where the one before has led": _one_after_another(
        lambda n: 1.0
    ),
    "the samples make their steps one after another, each with 1/n of the rate": _one_after_another(
        lambda n: 1 / n
    ),
    **{f"it makes {count} steps with the whole rate": _again_and_again(count, 1.0) for count in COUNTS},
    **{f"it makes {n} steps with 1/{n} of the rate": _again_and_again(n, 1 / n) for n in COUNTS},
}
"""What a step may do besides moving by its rate times one gradient."""


def _moves_by(probe: Probe, moves: Moves) -> bool:
    """Whether a step of rate 1 is the predicted one, but for rounding, also of the parameters that it is read from."""
    given, parameters = _wide(getattr(probe.fault, "moved_by_one", [])), _parameters(probe)
    with np.errstate(all="ignore"):
        predicted = named(moves(probe.wide))
        return all(
            bool(
                (
                    abs(given[name] - array)
                    <= probe.reach(name, array) + 16 * probe.unit * (abs(W) + abs(array))
                ).all()
            )
            for (name, array), W in zip(predicted.items(), parameters.values(), strict=True)
        )
