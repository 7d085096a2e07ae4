"""The diagnosis of one subject: probes, hypotheses, and what is said in the end."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from manual_backprop.mistakes import MISTAKES
from properties.cases import Case
from properties.diagnosis import (
    choices,
    contributions,
    guards,
    losses,
    other_programs,
    quotients,
    steps,
    structure,
    wording,
)
from properties.diagnosis.conditions import Told, condition
from properties.diagnosis.diagnosis import Diagnosis
from properties.diagnosis.network_population import NetworkCase, NetworkPopulation
from properties.diagnosis.network_search import NetworkProblem
from properties.diagnosis.networks import Network
from properties.diagnosis.probes import STEPS, Coarse, Interview, Maker, OutOfSteps, Probe, claim_of
from properties.diagnosis.saturation import largest_z
from properties.diagnosis.search import Explanation, explain, located
from properties.diagnosis.search import Finding as Found
from properties.diagnosis.trials import of_state
from properties.search import SubjectGone, TimeIsOver
from properties.subjects import Subject

FITTED, FRESH = 3, 5
"""Cases that an account is found on, and cases that it has to predict."""
LOUD = 64.0
"""How loud two of these cases are."""
LOST = "precision_lost"
"""It explains whatever single precision hides: a guard that explains as much to the last digit says more."""
ELSEWHERE = "it does not explain the smallest case, where something else is wrong as well"
NEARLY = "the smallest case departs from that by less than a thousandth"
BY_NORM = (
    "each array is right but for rounding of the size of its largest entry, in which much smaller entries are lost: "
    "so do fast matrix products, as Strassen's"
)
BY_ENTRY = "Add up the products of each entry by themselves, as `@` does."
OF_LARGE_NUMBERS = {"gradient_clipped"}
"""Mistakes that show under a condition by themselves."""
OF_THE_LOSS = "the loss; the gradient is right"
"""Where it is wrong, for a loss that is."""


def diagnose(subject: Subject, case: Case, *, steps: int = STEPS) -> Diagnosis:
    """Name the mistake of a subject that is wrong on a case.

    Args:
        subject: a gradient that breaks a law.
        case: the smallest example on which it does; fresh cases are made with its choices.
        steps: after so many what is known by then is told.
    """
    interview = Interview(subject, steps)
    finding = Finding()
    try:
        with np.errstate(all="ignore"):  # wrong numbers may be of any size
            _look(interview, case, finding)
    except OutOfSteps:
        if not finding.evidence:
            finding.notes.append("the search for its name was given up before everything was tried")
    except TimeIsOver:
        finding.notes.append("the time was over before everything was tried")
    except SubjectGone as gone:
        finding.notes.append(str(gone))
    _add_impurity(interview, finding)
    if isinstance(subject, guards.Guarded):
        finding.notes.append(f"besides, {subject.effect}")
    return finding.told()


@dataclass
class Finding:
    """What is known so far."""

    own: Probe | None = None
    probes: list[Probe] = field(default_factory=list)
    names: tuple[str, ...] = ()
    explanation: str = ""
    cure: str = ""
    corner: str = ""
    evidence: str = ""
    notes: list[str] = field(default_factory=list)
    loss_alone: bool = False
    located: Explanation | None = None
    """A step without a name, where no guard and no condition says more."""

    def told(self) -> Diagnosis:
        """The diagnosis."""
        rows = [MISTAKES[name] for name in self.names]
        notes = [self.explanation, *self.notes] if self.explanation and self.names else self.notes
        cells = None if self.loss_alone else contributions.shown(self.own, self.probes)
        return Diagnosis(
            mistakes=self.names,
            explanation="" if self.names else self.explanation,
            evidence=self.evidence or "no mistake of the catalogue explains it",
            contributions=cells,
            of_fresh_case=cells is not None and cells != contributions.shown(self.own, []),
            where=OF_THE_LOSS if self.loss_alone else self._where(),
            note="; ".join(dict.fromkeys(notes)),
            sentence=" ".join(row.sentence for row in rows),
            hint=" ".join(row.hint for row in rows),
            place=OF_THE_LOSS if self.loss_alone else self._where(with_ratios=False),
            answer=" ".join(filter(None, [self._corner(), *(row.answer for row in rows)])) or self.cure,
        )

    def _corner(self) -> str:
        """The condition that the code has to be looked through for: not where a mistake brings its own with it."""
        brings_its_own = set(self.names) & OF_LARGE_NUMBERS
        return "" if brings_its_own else self.corner

    def _where(self, *, with_ratios: bool = True) -> str:
        """The census, or the sentence of a fault: for a batch of several samples, where axes tell apart."""
        asked = [*([self.own] if self.own else []), *self.probes]
        faulty = sorted(
            (probe for probe in asked if probe.fault is not None), key=lambda probe: probe.case.samples == 1
        )
        first = [str(probe.fault).splitlines()[0] for probe in faulty[:1]]
        return wording.census(self.own, self.probes, with_ratios=with_ratios) or "".join(first)


def _add_impurity(interview: Interview, finding: Finding) -> None:
    if not interview.impurity:
        return
    finding.notes.append(interview.impurity)
    mutates = "in place" in interview.impurity
    if mutates and "input_mutated" not in finding.names and len(finding.names) < 2:
        unexplained = not finding.names and any(probe.fails for probe in finding.probes)
        if unexplained:
            finding.notes.append(
                "the gradient is wrong besides, and no mistake of the catalogue explains how"
            )
        seen = "seen by comparing the arguments before and after a call"
        finding.evidence = finding.evidence if finding.names and finding.evidence else seen
        finding.names = (*finding.names, "input_mutated")


def _look(interview: Interview, case: Case, finding: Finding) -> None:
    interview.subject.renew()
    finding.own = interview.ask(case)
    random = np.random.default_rng(0)
    maker = Maker(case, claim_of(interview.subject, case), random)
    makes = [maker.case(loud=LOUD if number in (1, FITTED + 1) else 1) for number in range(FITTED + FRESH)]
    probes = finding.probes = _asked(interview, makes)
    told, evidence = _told_of_the_loss(interview, [case, *(probe.case for probe in probes)])
    finding.notes += [told] if told else []
    if not any(probe.fault for probe in probes) and probes:
        name, sentence = of_state(lambda: interview.ask(probes[0].case))
        if sentence:
            if name or not _matched(interview, finding, probes):
                finding.names, finding.evidence = ((name,) if name else ()), sentence
                finding.explanation = "" if name else sentence
            else:
                finding.notes.append(sentence)
            return
    if finding.own is not None and not finding.own.fails and (late := structure.of_memory(interview, maker)):
        finding.own, finding.probes = late, [late]
        finding.explanation, finding.cure = steps.LEFT_BEHIND, steps.ANEW
        finding.evidence = (
            "a call that is wrong after another one of the same sizes is right in a fresh process"
        )
        return
    if told and not any(probe.fails for probe in (*probes, *([finding.own] if finding.own else []))):
        finding.loss_alone, finding.evidence = True, evidence
        finding.explanation = told if evidence else ""
        finding.notes = [note for note in finding.notes if note != finding.explanation]
    elif not any(probe.fails for probe in probes):
        _in_a_corner(interview, maker, finding)
    elif any(probe.fault for probe in probes):
        _broken(interview, maker, finding)
    else:
        _in_general(interview, maker, finding)


def _in_general(interview: Interview, maker: Maker, finding: Finding) -> None:
    """Wrong numbers, not only under a condition."""
    finding.explanation = quotients.told(finding.probes)
    if finding.explanation:
        finding.cure, finding.evidence = (
            quotients.CURE,
            f"so are all entries of {len(finding.probes)} fresh cases",
        )
    elif _matched(interview, finding, finding.probes):
        if LOST not in finding.names or not _is_a_guard(interview, maker.like, finding):
            _add_simple_batches(interview, maker, finding)
    elif not _guarded(interview, maker.like, finding):
        _described(interview, maker, finding)
        if not (finding.names or finding.explanation or finding.corner):
            _add_place(interview, maker, finding)


def _add_place(interview: Interview, maker: Maker, finding: Finding) -> None:
    """The first wrong step: where samples are too many to tell, a batch of one shows every step by itself."""
    one = replace(maker.different_sizes(), samples=1)
    found = finding.located
    if found is None and maker.admits(one):
        probes = [*_asked(interview, [maker.case(one) for _ in range(2)]), *finding.probes]
        wrong = tuple(name for name in probes[0].right if any(name in probe.wrong for probe in probes))
        with np.errstate(all="ignore"):
            found = located(NetworkProblem(maker.like).forms, probes, wrong)
    if found is not None and found.verdict == "located":
        _add_explanation(finding, found)
        finding.evidence = "all steps after this one carry its value rightly"


def _told_of_the_loss(interview: Interview, cases: Sequence[Case]) -> tuple[str, str]:
    """What is wrong with the subject's loss, and the evidence; both empty for nothing."""
    told, evidence = losses.explain(interview, cases)
    if told and not evidence:
        guarded = guards.find_guards(interview.subject, cases[0])
        if guarded is not None and guarded.value is not None:
            return (
                guarded.effect,
                "explains the loss on fresh cases from small z to where activations are flat",
            )
    return told, evidence


def _is_a_guard(interview: Interview, case: Case, finding: Finding) -> bool:
    """Whether the right gradient with a guard in it is what the subject gives."""
    found = guards.find_guards(interview.subject, case)
    if found is None or found.slope is None:
        return False
    finding.names, finding.explanation, finding.cure = (), found.effect, found.slope.cure
    finding.evidence = "explains every wrong entry on fresh cases from small z to where activations are flat"
    return True


def _guarded(interview: Interview, case: Case, finding: Finding) -> bool:
    """Whether the right gradient with a guard in it is what the subject gives, or with an ε and a mistake besides."""
    if _is_a_guard(interview, case, finding):
        return True
    if not case.loss.endswith("cross_entropy"):
        return False
    coarse = [Coarse(probe.case, probe.answer) for probe in finding.probes]
    found = explain(NetworkProblem(case), coarse) if any(probe.wrong for probe in coarse) else None
    if found is None or not any(name in MISTAKES for name in found.names):
        return False
    guard = guards.beside(found, finding.probes)
    if guard:
        _add_explanation(finding, found)
        finding.evidence = f"explains every entry of {len(coarse)} fresh cases, with what is noted"
        finding.notes.append(f"{guard} besides")
    return bool(guard)


def _asked(interview: Interview, cases: Sequence[Case]) -> list[Probe]:
    return [probe for case in cases if (probe := interview.ask(case)) is not None]


def _matched(
    interview: Interview,
    finding: Finding,
    probes: Sequence[Probe],
    condition: str = "",
    *,
    in_part: bool = False,
) -> bool:
    """Look for an explanation of these probes; whether there is one.

    With `in_part` the smallest case may be one of another condition.
    """
    wrong = [probe for probe in probes if probe.wrong]
    if len(wrong) < 2:  # the last one is what an explanation has to predict
        return False
    order = [*wrong, *(probe for probe in probes if not probe.wrong)]
    fresh = len(order) - min(FITTED, len(wrong) - 1)
    found = explain(NetworkProblem(order[0].case, mutates=bool(interview.impurity)), order)
    if found.verdict == "located":
        finding.located = found
    if found.verdict in {"located", "none known"}:
        return False
    _add_explanation(finding, found)
    finding.evidence = (
        f"explains every wrong entry on {fresh} of {fresh} fresh cases it was not fitted on{condition}"
    )
    if finding.names:  # the variant gives the mistake away, so it stands where the name does
        told = [(one, _label(one)) for one in found.findings]
        several = len(told) > 1
        labels = (f"{', '.join(one.gradients)}: {label}" if several else label for one, label in told)
        finding.evidence += f" ({'; '.join(dict.fromkeys(labels))})"
        if equal := [name for name in found.same if name in MISTAKES]:
            finding.evidence += f"; {', '.join(equal)} would give the same numbers here"
        problems = other_programs.problems(Network(order[0].case), 1) if finding.names else ()
        finding.notes += (
            one.text for one in islice((p for p in problems if all(map(p.everything, order))), 1)
        )
    own = finding.own
    asked = own is not None and own.fault is None and own.wrong and not in_part
    if own is not None and asked and not found.holds(own):
        finding.notes.append(NEARLY if found.holds(Coarse(own.case, own.answer)) else ELSEWHERE)
    return True


def _add_explanation(finding: Finding, found: Explanation) -> None:
    """Names of the catalogue; what has none is an explanation, or a note beside them."""
    finding.names = tuple(name for name in found.names if name in MISTAKES)
    unnamed = [name for name in found.names if name not in MISTAKES]
    unnamed += [one.sentence for one in found.findings if not one.candidate.names]
    if finding.names:
        finding.notes += unnamed
    else:
        texts = (one.sentence for one in found.findings)
        finding.explanation = "; ".join(dict.fromkeys(texts))
        finding.cure = " ".join(dict.fromkeys(one.cure for one in found.findings if one.cure))


def _label(one: Found) -> str:
    """What a mistake is in particular."""
    label = one.candidate.text
    if one.alone:
        label = re.sub(r"( in every layer)?(: in layers? [\d and]+ only)?$", "", label) or label
        alone = f"in {', '.join(one.gradients)} alone"
        return alone if label in WIDE_LABELS else f"{label}: {alone}"
    return label


WIDE_LABELS = ("everywhere", "in every layer")
"""What is not said of a mistake that is made in some arrays alone."""


def _add_simple_batches(interview: Interview, maker: Maker, finding: Finding) -> None:
    """Where it is right after all: for batches of one, for one output. Nothing is said of what is right often."""
    if not all(probe.fails for probe in finding.probes):
        return
    sizes, own = maker.different_sizes(), finding.own
    wrong_ones = [probe.case for probe in (*finding.probes, *([own] if own and own.fails else []))]
    for text, simple, is_wrong in (
        ("right for batches of one", replace(sizes, samples=1), any(one.samples == 1 for one in wrong_ones)),
        (
            "right for one output",
            replace(sizes, units=(*sizes.units[:-1], 1)),
            any(one.outputs == 1 for one in wrong_ones),
        ),
    ):
        constant = maker.like.output == "softmax" and simple.outputs == 1
        if maker.admits(simple) and not constant and not is_wrong:
            probes = _asked(interview, [maker.case(simple) for _ in range(2)])
            if probes and not any(probe.fails for probe in probes):
                finding.notes.append(text)
    finding.notes += choices.right_with(interview, maker)


def _in_a_corner(interview: Interview, maker: Maker, finding: Finding) -> None:
    """Right in general: look for the condition under which it is wrong, and name it there."""
    if _is_a_guard(interview, maker.like, finding):
        return
    right = list(finding.probes)
    told, population = _conditional(interview, maker)
    finding.probes = population.wrong(FITTED + FRESH, told)
    if told is None:
        if not _matched(interview, finding, finding.probes):
            finding.probes = []
            finding.evidence = f"right on {len(right)} fresh cases of the same choices"
            if finding.own is not None and not finding.own.fails:
                finding.evidence += (
                    ", and on the smallest case by itself: the failing properties say what it takes"
                )
        return
    if all(probe.is_right_by_norm for probe in (*finding.probes, *([finding.own] if finding.own else []))):
        finding.explanation, finding.cure = BY_NORM, BY_ENTRY
        finding.evidence = f"true of the smallest case and of {len(finding.probes)} fresh ones"
        return
    if any(probe.fault for probe in finding.probes):
        _named_by_shape(finding, right)
    else:
        _named_in(interview, told, population, finding)
    _add_condition(told, finding)


def _conditional(interview: Interview, maker: Maker) -> tuple[Told[NetworkCase] | None, NetworkPopulation]:
    """Where it is wrong that is right elsewhere, and what was asked."""
    population = NetworkPopulation(interview, maker)
    return condition(population), population


def _named_in(
    interview: Interview, told: Told[NetworkCase], population: NetworkPopulation, finding: Finding
) -> None:
    """Look for a name under a condition, or under one of several: there it may be another layer that is wrong."""
    where = f" where {told.of_cases.sentence}" if told.of_cases else ""
    if _matched(interview, finding, finding.probes, where):
        return
    for part in told.of_cases.parts if told.of_cases else ():
        probes = population.wrong(FITTED + FRESH, told, part)
        if _matched(interview, finding, probes, f" where {part.sentence}", in_part=True):
            return


def _add_condition(told: Told[NetworkCase], finding: Finding) -> None:
    finding.notes.append(told.sentence)
    if told.of_cases is not None:
        where = told.of_cases.sentence
        finding.corner = f"It is right elsewhere: look for what the code does where {where}."


def _described(interview: Interview, maker: Maker, finding: Finding) -> None:
    """No account holds of all the fresh cases. Is it wrong under a condition only?"""
    right = [probe for probe in finding.probes if not probe.fails]
    if not right:
        told, _ = _conditional(interview, maker)
        if told is None:
            _add_simple_batches(interview, maker, finding)
        else:
            finding.notes.append(told.sentence)
        return
    wrong = min((probe for probe in finding.probes if probe.fails), key=lambda probe: largest_z(probe.case))
    told, population = _conditional(interview, Maker(wrong.case, maker.claim, maker.random))
    if told is not None:
        finding.probes = population.wrong(FITTED + FRESH, told)
        _named_in(interview, told, population, finding)
        _add_condition(told, finding)
    else:
        finding.notes.append(f"right on {len(right)} of {len(finding.probes)} fresh cases")


def _broken(interview: Interview, maker: Maker, finding: Finding) -> None:
    """The contract is broken in general: name it by the shape, or where the contract holds."""
    if _named_by_shape(finding, [probe for probe in finding.probes if probe.fault is None]):
        return
    faulty = [probe for probe in finding.probes if probe.fault is not None]
    finding.names, finding.explanation = steps.explain(faulty)
    if finding.names or finding.explanation:
        finding.cure = (
            "" if finding.names else steps.ANEW if finding.explanation == steps.LEFT_BEHIND else steps.CURE
        )
        finding.evidence = f"explains by how much it moves on {len(faulty)} of {len(faulty)} fresh cases"
        return
    orders = {structure.of_order(probe) for probe in finding.probes if probe.fault is not None}
    if len(orders) == 1 and "" not in orders:
        finding.explanation = "".join(orders)
        finding.evidence = f"the shapes show it on all of {len(finding.probes)} fresh cases"
    sizes = maker.different_sizes()
    square = (sizes.units[0],) * len(sizes.units)
    classes = replace(sizes, samples=max(sizes.samples, sizes.outputs))
    for text, changed in (
        *([("batches in which every class occurs", classes)] if maker.has_classes else []),
        ("square layers", replace(sizes, units=square)),
        ("square layers but the first", replace(sizes, units=(sizes.samples, *square[1:]))),
        ("batches of one", replace(sizes, samples=1)),
        ("one output", replace(sizes, units=(*sizes.units[:-1], 1))),
    ):
        if not maker.admits(changed):
            continue
        probes = _asked(interview, [maker.case(changed) for _ in range(FITTED + FRESH)])
        if not probes or any(probe.fault for probe in probes):
            continue
        if structure.of_pairs([probe for probe in finding.probes if probe.fault], probes):
            finding.names = ("broadcast_blow_up",)
            count = len(finding.probes)
            finding.evidence = (
                f"the shapes fit on none of {count} fresh cases, and on {len(probes)} with n = 1"
            )
            return
        finding.notes.append(f"the contract is kept for {text} alone")
        if any(probe.wrong for probe in probes):
            finding.probes = probes
            _matched(interview, finding, probes, f" with {text}")
        return


def _named_by_shape(finding: Finding, sound: Sequence[Probe]) -> bool:
    """Name what the broken shapes show, where all fresh cases show the same."""
    faulty = [probe for probe in finding.probes if probe.fault is not None]
    names = {structure.of_shape(probe) for probe in faulty}
    if len(names) == 1 and "" not in names:
        finding.names = tuple(names)
        finding.evidence = (
            f"the shape is the one that this mistake gives on {len(faulty)} of {len(faulty)} fresh cases"
        )
        return True
    if structure.of_pairs(faulty, sound):
        finding.names = ("broadcast_blow_up",)
        finding.evidence = (
            f"the shapes do not fit on {len(faulty)} fresh cases with one output, and fit on all others"
        )
        return True
    return False
