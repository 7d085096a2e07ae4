"""What people and machines get to see of a verification."""

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from harness.node import installed
from harness.outcomes import Outcome
from harness.verification import NOTHING_TO_SAY, as_text
from manual_backprop.mistakes import MISTAKES
from properties.comparison import named
from properties.diagnosis import Diagnosis, cures
from properties.search import INCONSTANT, Kind, Record, Verdict

if TYPE_CHECKING:
    from properties.counterexamples import Counterexample
    from properties.seed_problem import Consequence

WIDTH = 110
"""Of what goes to a file or a pipe, which has no width of its own."""

FOLDED = 60
"""Columns that the table of many subjects needs beside their names."""

NAMED = 3
"""Properties that a line names; of more it says how many they are."""

UNKNOWN = "none known"

NOT_YOURS = "It could not be decided. It is not your mistake, but the run exits with 1."
"""What INCONCLUSIVE means."""

COLOURS = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold magenta",
    Verdict.UNSTABLE: "yellow",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NOT_APPLICABLE: "dim",
}


def version() -> str:
    """The judge's own; empty in a checkout that is not installed."""
    return installed()


def verdict(value: Verdict) -> Text:
    """A verdict in its colour."""
    return Text(value.value, style=COLOURS[value])


def properties_table(outcome: Outcome) -> Table:
    """Property, verdict, cases, time."""
    table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left")
    table.add_column("property", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("cases", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for record in outcome.records:
        shown = str(record.cases) if record.cases else "-"
        if record.tried:
            table.add_row(record.sentence, verdict(record.verdict), shown, f"{record.seconds:.1f} s")
    return table


def untried(outcome: Outcome) -> str:
    """How many properties were given up, and why, in one line; empty where none was."""
    reasons = [record.message for record in outcome.records if not record.tried]
    return f"{len(reasons)} others: {reasons[0].removesuffix('.')}." if reasons else ""


def uncovered(outcome: Outcome) -> list[str]:
    """What the run left open, a line for each reason: no time, undecided cases, properties that say nothing here."""
    lines = [
        f"{record.sentence}: the time ran out after {record.cases} cases."
        for record in outcome.records
        if record.cut and record.verdict is not Verdict.FAIL
    ]
    undecided, silent = defaultdict[str, list[Record]](list), defaultdict[str, list[Record]](list)
    for record in outcome.records:
        for reason in record.reasons:
            undecided[reason].append(record)
        if record.verdict is Verdict.NOT_APPLICABLE and not outcome.failures:
            silent[record.message].append(record)
    saying_nothing = len(undecided.pop(NOTHING_TO_SAY, ()))
    for reason, records in undecided.items():
        most = max(records, key=lambda record: record.reasons[reason] / max(1, record.cases))
        share = f"{most.reasons[reason]} of {most.cases} cases undecided"
        lines.append(f"{_listed(records)}: {'up to ' if len(records) > 1 else ''}{share}: {reason}.")
    lines += [f"{_listed(records)}: not applicable, {reason}." for reason, records in silent.items()]
    at_kinks = [record for record in outcome.records if record.open_entries]
    if at_kinks:
        found, entries = (
            sum(getattr(record, name) for record in at_kinks) for name in ("open_entries", "entries")
        )
        lines.append(
            f"{found} of {entries} entries lie at a kink, where any slope between the one-sided ones is right."
        )
    if saying_nothing:
        lines.append(
            f"{saying_nothing} properties have nothing to say about the cases where {NOTHING_TO_SAY}."
        )
    return lines


def _listed(records: list[Record]) -> str:
    """Their sentences; of many, how many they are."""
    return (
        f"{len(records)} properties" if len(records) > NAMED else "; ".join(one.sentence for one in records)
    )


def matrix(contributions: list[list[float]]) -> Table:
    """The contribution matrix in characters: a row for each sample, a column for each output."""
    table = Table(box=None, padding=(0, 1))
    table.add_column("")
    for output in range(1, len(contributions[0]) + 1):
        table.add_column(f"o{output}", justify="right")
    for sample, row in enumerate(contributions, start=1):
        cells = [_cell(value) for value in row]
        table.add_row(f"sample {sample}", *cells)
    return table


def _cell(value: float) -> Text:
    rounded = round(value, 3) + 0.0
    shown = f"{rounded if rounded not in (0, 1) else value:g}"  # 0.9999 is not 1
    mark = {"1": "█", "0": "·"}.get(shown, shown)
    return Text(mark, style={"█": "green", "·": "red"}.get(mark, "yellow"))


def _breaks_the_contract(outcome: Outcome) -> bool:
    return any(record.kind is Kind.CONTRACT for record in outcome.failures)


def one(
    console: Console, outcome: Outcome, *, hints: int, show_output: bool = False, verbose: bool = False
) -> None:
    """The whole story of one subject: the answer first, and the properties after it."""
    story(console, outcome, hints=hints)
    if outcome.records:
        console.print()
        if verbose:
            console.print(properties_table(outcome))
        else:
            console.print(Text(f"{counted(outcome)} (-v lists them)", style="dim"))
        if left := untried(outcome):
            console.print(Text(left, style="dim"))
    if show_output and outcome.output:
        console.print("\n[bold]What it printed[/]")
        _plainly(console, outcome.output)


def counted(outcome: Outcome) -> str:
    """`28 properties: 22 PASS, 3 FAIL, 3 NOT APPLICABLE`."""
    counts = Counter(record.verdict for record in outcome.records if record.tried)
    listed = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    count = counts.total()
    return f"{count} {'property' if count == 1 else 'properties'}: {listed}"


def story(console: Console, outcome: Outcome, *, hints: int) -> None:
    """The verdict on one subject, its mistake and its smallest case, and what was not covered."""
    console.print(headline(outcome), soft_wrap=True)
    if outcome.remark:
        console.print(Text(outcome.remark), soft_wrap=True)
    if outcome.trace:
        _plainly(console, outcome.trace)
    if outcome.verdict in {Verdict.FAIL, Verdict.UNSTABLE}:
        _failure(console, outcome, hints)
    left = uncovered(outcome)
    if left:
        console.print("\n[bold]Not covered[/]")
        _plainly(console, "\n".join(left))


def _plainly(console: Console, text: str, indent: str = "  ") -> None:
    """Somebody's text, line by line as it is, so that it can be copied."""
    for line in text.splitlines():
        console.print(Text(indent + line), soft_wrap=True)


def headline(outcome: Outcome) -> Text:
    """The verdict in one line."""
    line = verdict(outcome.verdict) + Text(f" {outcome.subject}")
    return line + Text(f": {said}", style="default") if (said := what_it_says(outcome)) else line


def what_it_says(outcome: Outcome) -> str:
    """What a verdict is for; of one that passes, how much of it was seen."""
    if outcome.verdict is Verdict.INCONCLUSIVE:
        return f"{outcome.message} {NOT_YOURS}"
    if outcome.message or outcome.verdict is not Verdict.PASS:
        return outcome.message
    held = sum(record.verdict is Verdict.PASS for record in outcome.records)
    return f"{held} properties hold in {sum(record.cases for record in outcome.records)} cases."


def _failure(console: Console, outcome: Outcome, hints: int) -> None:
    diagnosis = outcome.diagnosis
    if diagnosis is not None:
        for line in told(outcome, hints):
            _plainly(console, line, indent="")
        if diagnosis.contributions is not None and hints > 0:
            console.print(f"\n[bold]What each sample and output contributes[/] ({contributed(diagnosis)})")
            console.print(matrix(diagnosis.contributions))
    if outcome.shown is not None:
        record, _ = outcome.shown
        console.print(f"\n[bold]The smallest case found[/], for: {record.sentence}")
        _plainly(console, outcome.script, indent="")


def contributed(diagnosis: Diagnosis) -> str:
    """What a contribution matrix is of, and how it should be."""
    return "right: all 1; of a fresh case, not of the smallest" if diagnosis.of_fresh_case else "right: all 1"


def told(outcome: Outcome, hints: int) -> list[str]:
    """What the diagnosis says at a level of hints: 0 where it is wrong, 1 a hint besides, 2 the name and the cure."""
    diagnosis = outcome.diagnosis
    if diagnosis is None:
        return []
    where = diagnosis.where if hints > 0 else diagnosis.place
    # no gradient came back that could be wrong somewhere
    is_told = outcome.message.startswith(where) or not diagnosis.evidence
    lines = [] if where in outcome.message else [f"Where: {where}"]
    if hints == 1 and diagnosis.hint:
        lines.append(f"Hint: {diagnosis.hint}")
    if hints > 1 and not (is_told and name_of(diagnosis) == UNKNOWN):
        # of an edit, and no name
        is_a_kind = bool(diagnosis.mistakes) and set(diagnosis.mistakes) <= set(cures.OF_AN_EDIT)
        named = f"Mistake: {'' if is_a_kind else f'{name_of(diagnosis)}. '}{diagnosis.sentence}".rstrip()
        cure = [f"To do: {diagnosis.answer}"] if diagnosis.answer else []
        if len(diagnosis.mistakes) > 1 and set(diagnosis.mistakes) <= set(MISTAKES):
            rows = [MISTAKES[name] for name in diagnosis.mistakes]
            named = f"{len(rows)} mistakes at once:"
            cure = [f"- {row.name}: {row.sentence} To do: {row.answer}" for row in rows]
        lines = [named, *cure, *lines, f"Evidence: {diagnosis.evidence}"]
    if hints > 1 and diagnosis.note:  # which gives away as much as the name
        lines.append(f"Note: {diagnosis.note}")
    return [line for line in lines if not line.endswith(": ")]


def name_of(diagnosis: Diagnosis) -> str:
    """The mistake by its name, or what it is where it has none."""
    if diagnosis.explanation:
        return f"none of the catalogue: {diagnosis.explanation}"
    return " and ".join(diagnosis.mistakes) or UNKNOWN


def several(console: Console, outcomes: list[Outcome], *, hints: int, show_output: bool = False) -> None:
    """Many subjects, a line each; the names whole, and the rest folded; and how many of each verdict there are."""
    longest = max(len(outcome.subject) for outcome in outcomes)
    if not console.is_terminal:
        console.width = max(console.width, longest + FOLDED)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("subject", overflow="fold", no_wrap=longest + FOLDED <= console.width)
    for column in ("verdict", "mistake" if hints > 1 else "", "what fails", "time"):
        table.add_column(column, overflow="fold", no_wrap=column in {"verdict", "time"})
    for outcome in outcomes:
        found = outcome.diagnosis if hints > 1 else None
        name = (" and ".join(found.mistakes) or found.explanation) if found else ""
        texts = map(
            Text, (outcome.subject, name, what_fails(outcome), f"{outcome.seconds:.1f} s")
        )  # no markup of somebody's
        subject, *others = texts
        table.add_row(subject, verdict(outcome.verdict), *others)
    console.print(table)
    console.print(Text(totals(outcomes)))
    if show_output:
        for outcome in outcomes:
            if outcome.output:
                console.print(Text(f"\nWhat {outcome.subject} printed", style="bold"))
                _plainly(console, outcome.output)


def what_fails(outcome: Outcome) -> str:
    """The first property that fails, or, where what came back is no gradient at all, what it is."""
    if outcome.message.startswith(INCONSTANT):
        return INCONSTANT
    if not outcome.failures or _breaks_the_contract(outcome):
        return outcome.message.partition("\nTraceback")[0]  # somebody's, of many lines
    return outcome.failures[0].sentence


def totals(outcomes: list[Outcome]) -> str:
    """`300 files: 250 PASS, 48 FAIL, 2 INCONCLUSIVE`."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    listed = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    return f"{len(outcomes)} files: {listed}"


def counterexample(found: "Counterexample") -> Group:
    """A smallest case on which a rule is wrong: its numbers, and every array that comes out differently."""
    sizes = "-".join(map(str, found.case.sizes))
    samples = "1 sample" if found.case.samples == 1 else f"{found.case.samples} samples"
    lines = found.case.as_python().splitlines()
    given = named(found.wrong)
    for name, right in named(found.right).items():
        if (given[name] != right).any():
            lines.append(f"# {name} is {right.tolist()}; by this rule it would be {given[name].tolist()}")
    title = f"The smallest network on which the rule of {found.rule} is wrong: {sizes}, {samples}"
    return Group(Text(title, style="bold"), *(Text(f"  {line}") for line in lines))


def consequences(title: str, found: "list[Consequence]") -> Group:
    """What wrong rules do on one problem: cosine, error, and the losses of every output after training."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for column in ("rule", "cosine", "error", "before", "after"):
        table.add_column(column, justify="left" if column == "rule" else "right", no_wrap=True)
    for output in range(1, len(found[0].losses) + 1):
        table.add_column(f"o{output}", justify="right", no_wrap=True)
    for one_rule in found:
        numbers = [f"{one_rule.cosine:.3f}", f"{one_rule.relative_error:.3f}", f"{one_rule.first_loss:.3f}"]
        losses = [f"{loss:.3f}" for loss in one_rule.losses]
        table.add_row(one_rule.rule, *numbers, f"{one_rule.last_loss:.3f}", *losses)
    return Group(Text(title, style="bold"), table)


def as_json(outcomes: list[Outcome], hints: int) -> str:
    """One object a subject, in the order of the subjects."""
    return json.dumps([_object(outcome, hints) for outcome in outcomes], indent=2, ensure_ascii=False) + "\n"


def _object(outcome: Outcome, hints: int) -> dict[str, Any]:
    diagnosis = outcome.diagnosis
    return {
        "subject": outcome.subject,
        "verdict": outcome.verdict.value,
        "message": outcome.message,
        "remark": outcome.remark,
        "seconds": round(outcome.seconds, 3),
        "again": outcome.again,
        "sandbox": outcome.sandbox,
        "version": version(),
        "sha256": outcome.sha256,
        "asked": outcome.asked,
        "trace": outcome.trace,
        "properties": [_property(record) for record in outcome.records],
        "diagnosis": None
        if diagnosis is None
        else {
            "mistakes": list(diagnosis.mistakes) if hints > 1 else [],
            "explanation": diagnosis.explanation if hints > 1 else "",
            "evidence": diagnosis.evidence if hints > 1 else "",
            "contributions": diagnosis.contributions if hints > 0 else None,
            "where": diagnosis.where if hints > 0 else diagnosis.place,
            "note": diagnosis.note if hints > 1 else "",
            "hint": {0: "", 1: diagnosis.hint}.get(hints, diagnosis.answer),
            "sentence": diagnosis.sentence if hints > 1 else "",
            "of_fresh_case": diagnosis.of_fresh_case,
        },
    }


def _property(record: Record) -> dict[str, Any]:
    return {
        "name": record.name,
        "verdict": record.verdict.value,
        "tried": record.tried,
        "cut": record.cut,
        "cases": record.cases,
        "inconclusive": dict(record.reasons),
        "open_entries": record.open_entries,
        "entries": record.entries,
        "message": record.message,
        "seconds": round(record.seconds, 3),
        "counterexample": as_text(record.example) if record.example is not None else None,
    }
