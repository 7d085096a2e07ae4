"""The lesson for a terminal of 80 columns, a key a step."""

from collections.abc import Callable, Iterator, Sequence
from math import log10

import click
import numpy as np
from rich import box
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from lesson import setting, story
from lesson.content import EPOCHS, STEPS, Average, Lesson, relative
from lesson.setting import CONTROLS, DEFAULT, OUTPUTS, SAMPLES
from lesson.wording import (
    UNDEFINED,
    in_units,
    number,
    percent,
    power,
    rounding,
    short,
    signed,
    subscript,
    unit,
)

PLUS, MINUS, SOFT = "dark_orange3", "dodger_blue2", "dim"
LEAVE = {"q", "Q", "\x1b", "\x03", "\x04"}
INDENT = (0, 0, 0, 2)


def tell(lesson: Lesson, console: Console, *, wait: bool) -> None:
    """Print every step; with `wait`, each after a key, and leave at q."""
    for number_of_part, part in enumerate(_parts(lesson)):
        if wait and number_of_part and not _next(console):
            return
        for renderable in part:
            console.print(renderable)


def _next(console: Console) -> bool:
    """Wait for a key; whether it asks for more."""
    console.print("  any key: on   q: leave", style=SOFT, end="")
    try:
        pressed = click.getchar()
    except (KeyboardInterrupt, EOFError):
        pressed = "q"
    console.print()
    return pressed not in LEAVE


def _parts(lesson: Lesson) -> Iterator[Sequence[RenderableType]]:
    """What is printed between two keys: the setting, each step (the first in two), the end."""
    yield [
        Panel(f"[bold]{story.TITLE}[/]\n\n{story.LEAD}", box=box.ROUNDED, padding=(1, 2)),
        *_paragraphs(story.told(story.SETTING, lesson)),
    ]
    for index, (step, picture) in enumerate(zip(story.STEPS, PICTURES, strict=True)):
        told: list[RenderableType] = [Text(), Rule(f"[bold]{index}  {step.title}[/]", align="left"), Text()]
        told += _paragraphs(story.told(step.paragraphs, lesson))
        answer = [
            *(Padding(part, INDENT) for part in picture(lesson)),
            Text(),
            Text(f"▌ {step.takeaway}", "bold"),
        ]
        if index:
            yield told + answer
        else:
            yield told
            yield answer
    yield [
        Text(),
        Rule("[bold]Take with you[/]", align="left"),
        Text(),
        *_paragraphs(story.RULE),
        *_conditions(),
    ]
    for index, question in enumerate(story.quiz(lesson), start=1):
        choices = "   ".join(str(choice) for choice in question.choices)
        yield [Text(), *_paragraphs([f"Question {index}. {question.text}", choices])]
        yield _paragraphs([f"{question.right}. {question.because}"])
    yield _paragraphs([f"Now your own: {story.COMMAND}"])


def _paragraphs(texts: Sequence[str]) -> list[RenderableType]:
    return [Padding(escape(text), (0, 0, 1, 0)) for text in texts]


def _conditions() -> list[RenderableType]:
    conditions = [f"{index}. {text}" for index, text in enumerate(story.CONDITIONS, start=1)]
    return [Text("Average and whole batch agree, if"), *(Padding(text, INDENT) for text in conditions)]


def _table(*headings: str, left: int = 1) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index < left else "right", no_wrap=True)
    return table


def coloured(text: str, value: float) -> Text:
    """A number in the colour of its sign."""
    return Text(text, PLUS if value > 0 else MINUS if value < 0 else SOFT)


def bar(value: float, largest: float, width: int) -> Text:
    """A bar from the middle, to the left for a negative value."""
    length = round(abs(value) / largest * width) if largest else 0
    left, right = ("█" * length, "") if value < 0 else ("", "█" * length)
    return Text.assemble((left.rjust(width), MINUS), "│", (right.ljust(width), PLUS))


def plot(
    series: Sequence[tuple[str, str, Sequence[float]]], width: int, low: int, high: int, rows: int
) -> Text:
    """Curves of (mark, style, values) over evenly spaced places; heights by powers of ten, low to high."""
    cells = [[(" ", "")] * width for _ in range(rows)]
    for mark, style, values in series:
        for index, value in enumerate(values):
            column = round(index * (width - 1) / (len(values) - 1))
            height = (log10(max(value, 10.0**low)) - low) / (high - low) * (rows - 1)
            cells[rows - 1 - min(round(height), rows - 1)][column] = (mark, style)
    drawn = Text()
    for index, row in enumerate(cells):
        exponent = high - index * (high - low) / (rows - 1)
        drawn.append(f"{power(round(exponent)) if exponent == round(exponent) else '':>5} │", SOFT)
        for mark, style in row:
            drawn.append(mark, style)
        drawn.append("\n")
    return drawn.append("      └" + "─" * width, SOFT)


def _predict(lesson: Lesson) -> list[RenderableType]:
    prediction = lesson.predictions[story.default("weight", "batch", "output")]
    scale, largest = unit(np.abs(prediction.changes).max()), float(np.abs(prediction.changes).max())
    table = _table("output", "", f"change in {power(scale)}", left=2)
    for j, change in enumerate(prediction.changes):
        table.add_row(str(j + 1), bar(change, largest, 20), coloured(in_units(change, scale), change))
    return [Text(f"{prediction.moved} of them. Sample 1:\n", "bold"), table]


def _tempting(lesson: Lesson) -> list[RenderableType]:
    terms = lesson.tempting[story.default("weight", "batch", "output")]
    table = _table("error", "nudge o₁", "nudge w")
    for j, (by_output, by_weight) in enumerate(zip(terms.by_output, terms.by_weight, strict=True)):
        name = subscript(j + 1)
        table.add_row(
            f"(o{name} − y{name})²",
            coloured(signed(by_output, 3), by_output),
            coloured(signed(by_weight, 3), by_weight),
        )
    return [table]


def _paths(lesson: Lesson) -> list[RenderableType]:
    ledger = lesson.ledgers[story.default("weight", "batch", "reduction", "output")]
    scale, largest = unit(np.abs(ledger.cells).max()), float(np.abs(ledger.by_output).max())
    table = _table("path", "", f"in {power(scale)}", "sum so far", left=2)
    for j, (value, running) in enumerate(zip(ledger.by_output, ledger.running, strict=True)):
        table.add_row(
            f"w → o{subscript(j + 1)} → L",
            bar(value, largest, 16),
            coloured(in_units(value, scale), value),
            signed(running),
        )
    return [table, Text(f"\n∂L/∂w = {signed(ledger.total)}", "bold")]


def _ledger(lesson: Lesson) -> list[RenderableType]:
    ledger = lesson.ledgers[story.default("weight", "batch", "reduction", "output")]
    scale = unit(np.abs(ledger.cells).max())
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("digit", *(f"o{subscript(j + 1)}" for j in range(OUTPUTS)), "sum"):
        table.add_column(heading, justify="right", no_wrap=True)
    for label, row, total in zip(lesson.labels, ledger.cells, ledger.by_sample, strict=True):
        cells = [coloured(in_units(value, scale), value) for value in row]
        table.add_row(str(label), *cells, Text(in_units(total, scale), "bold"))
    totals = [*ledger.by_output, ledger.total]
    table.add_row("sum", *(Text(in_units(total, scale), "bold") for total in totals))
    masks = [Text.assemble((f"{label}\n", "bold"), _mask(key)) for key, label in story.RULES.items()]
    verdicts = _table("keep", "∂L/∂w", "cosine", "length", "W₂ columns right")
    for key, label in story.RULES.items():
        kept = lesson.kept[".".join(DEFAULT[name] if name != "keep" else key for name in CONTROLS)]
        found = lesson.verdicts[f"{DEFAULT['batch']}.{key}.{DEFAULT['output']}"]
        whole = short(found.whole.cosine), short(found.whole.length)
        verdicts.add_row(label, signed(kept.total), *whole, f"{found.right_columns} of {OUTPUTS}")
    return [
        Text(f"Contributions to ∂L/∂w in {power(scale)}\n", SOFT),
        table,
        Text("\nWhat each rule keeps\n", SOFT),
        Columns(masks, padding=(0, 4)),
        Text(),
        verdicts,
        Text("\nA weight of the last layer that feeds output 4 alone, W₂→o₄: the sum of each column\n", SOFT),
        *_fourth(lesson),
    ]


def _fourth(lesson: Lesson) -> Iterator[RenderableType]:
    """The column totals for W₂→o₄: through an elementwise output, and through softmax."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("output", *(f"o{subscript(j + 1)}" for j in range(OUTPUTS)), "in"):
        table.add_column(heading, justify="right", no_wrap=True)
    for output in ("identity", "softmax"):
        totals = lesson.ledgers[f"W2o4.{DEFAULT['batch']}.{DEFAULT['reduction']}.{output}"].by_output
        scale = unit(np.abs(totals).max())
        table.add_row(output, *(coloured(in_units(total, scale), total) for total in totals), power(scale))
    yield table


def _mask(keep: str) -> Text:
    return Text("\n").join(
        Text("").join(Text("█" if cell else "·", PLUS if cell else SOFT) for cell in row)
        for row in setting.kept(keep, SAMPLES)
    )


def _averages(lesson: Lesson) -> list[RenderableType]:
    average = lesson.averages[story.default("weight", "batch", "reduction", "output")]
    largest = float(np.abs(average.each).max())
    table = _table("loss of", "", "∂/∂w", left=2)
    for label, value in zip(lesson.labels, average.each, strict=True):
        table.add_row(f"sample {label + 1}", bar(value, largest, 20), coloured(signed(value), value))
    table.add_section()
    for name, value in (("(1) averaged", average.one_by_one), ("(2) at once", average.at_once)):
        table.add_row(name, bar(value, largest, 20), Text(signed(value), "bold"))
    return [table, Text(), _reductions(lesson)]


def _reductions(lesson: Lesson) -> Table:
    table = _table("reduction", "output", "(1) and (2) differ by", "length", left=2)
    for reduction in CONTROLS["reduction"]:
        table.add_row(
            reduction.label, "identity", *_differs(lesson.averages[f"W1.8.{reduction.key}.identity"])
        )
    for output in CONTROLS["output"][1:]:
        table.add_row("mean", output.label, *_differs(lesson.averages[f"W1.8.mean.{output.key}"]))
    return table


def _differs(average: Average) -> tuple[str, str]:
    return rounding(average.difference), f"{number(average.times_longer, 3)} ×"


def _layers(lesson: Lesson) -> list[RenderableType]:
    table = _table("layer", "between\nunits", "between\nsamples", "weight to\nother unit", "left of the sum")
    table.columns[-1].justify = "left"
    for row in lesson.cross_derivatives:
        families = [UNDEFINED if value is None else signed(value, 2) for value in row.families.values()]
        table.add_row(row.layer, *families, row.remains)
    return [table, Text("\nMore layers, and witnesses: manual-backprop table", SOFT)]


def _matters(lesson: Lesson) -> list[RenderableType]:
    plots: list[RenderableType] = []
    for key, label in story.RULES.items():
        losses = lesson.runs["teacher"][key].losses
        curves = [("·", MINUS, losses[:, j].tolist()) for j in range(1, OUTPUTS)]
        curves.append(("●", PLUS, losses[:, 0].tolist()))
        plots.append(Text.assemble((f"{label}\n", "bold"), plot(curves, EPOCHS + 1, -2, 0, 9)))
    table = _table("data", "rule", "before", "lowest", "after", "output 1", "others", "read", left=2)
    for data in ("teacher", "digits"):
        for key, label in story.RULES.items():
            run = lesson.runs[data][key]
            read = UNDEFINED if run.recognised is None else percent(run.recognised)
            table.add_row(data, label, *(number(loss, 3) for loss in run.summary()), read)
    return [
        Columns(plots, padding=(1, 8)),
        Text.assemble(("●", PLUS), " output 1   ", ("·", MINUS), " outputs 2 to 10, by epoch\n"),
        table,
        Padding(story.told((story.RUNS,), lesson)[0], (1, 0, 0, 0)),
    ]


def _catch(lesson: Lesson) -> list[RenderableType]:
    ledger = lesson.ledgers[story.default("weight", "batch", "reduction", "output")]
    wrong = lesson.kept["W1.8.o1.mean.identity"].total
    right, one_way = (relative(slopes, ledger.total).tolist() for slopes in (ledger.central, ledger.forward))
    flat = relative(ledger.central, wrong).tolist()
    curves = [("x", "red", flat), ("○", MINUS, one_way), ("●", PLUS, right)]
    table = _table("h", "right, both ways", "right, one way", "o₁ only")
    for k in range(0, len(STEPS), 2):
        table.add_row(power(-k - 1), *(number(values[k], 2) for values in (right, one_way, flat)))
    return [
        Text("relative difference to the measured slope", SOFT),
        plot(curves, 61, -12, 1, 14),
        Text(f"      h = {power(-1)}{power(-len(STEPS)):>56}", SOFT),
        Text.assemble(
            ("●", PLUS),
            " right, both ways   ",
            ("○", MINUS),
            " right, one way   ",
            ("x", "red"),
            " o₁ only\n",
        ),
        table,
        Text(f"\nYour own code: {story.COMMAND}"),
    ]


def _inside(lesson: Lesson) -> list[RenderableType]:
    told: list[RenderableType] = []
    for title, layer in zip(("layer norm", "attention head"), lesson.inside.values(), strict=True):
        table = _table(title, "contributes", "the sum without it")
        for place, (path, value) in enumerate(layer.paths.items(), start=1):
            table.add_row(path, coloured(signed(value), value), signed(layer.without(place)))
        table.add_section()
        table.add_row("all", Text(signed(layer.total), "bold"), f"measured {signed(layer.measured)}")
        told += [table, Text()]
    return told


PICTURES: tuple[Callable[[Lesson], list[RenderableType]], ...] = (
    _predict,
    _tempting,
    _paths,
    _ledger,
    _averages,
    _layers,
    _matters,
    _catch,
    _inside,
)
