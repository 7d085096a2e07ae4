"""What of the page changes with the controls, written out for every state.

A `Panel` lists, for every combination of some controls, what each of its fields shows. A field is the
name of an element ("cell-0-0", its text) or of an attribute of it ("cell-0-0@class").
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from lesson import figures, setting, story, wording
from lesson.content import STEPS, Kept, Ledger, Lesson, Verdict, key, relative
from lesson.setting import CONTROLS, DEFAULT, OUTPUTS, SAMPLES, Floats, keys
from lesson.wording import in_units, number, percent, power, rounding, short, signed, unit

VALUES = {
    **{control: keys(control) for control in CONTROLS},
    "paths": [str(count) for count in range(1, OUTPUTS + 1)],  # step 2: how many have been added
    "h": [str(place) for place in range(1, len(STEPS) + 1)],  # step 7: the place in STEPS, from 1
    "norm": ["0", "1", "2", "3"],  # step 8: the path that is dropped; 0 for none
    "head": ["0", "1", "2", "3"],
}
START = DEFAULT | {"paths": VALUES["paths"][-1], "h": "5", "norm": "0", "head": "0"}
LABELS = {name: {choice.key: choice.label for choice in choices} for name, choices in CONTROLS.items()}
ARRAYS = {"W1": "W₁", "b1": "b₁", "W2": "W₂", "b2": "b₂"}

ONES = range(OUTPUTS)
ROWS = range(SAMPLES)
FULL_BAR = 50  # the longest bar: bars start from the middle of 100
SHADES = 4
WIDEST = 9  # the line of the largest path

Fields = dict[str, str]


@dataclass(frozen=True)
class Panel:
    """For each combination of the controls, in the order of `product`, what each field shows."""

    controls: Sequence[str]
    fields: Sequence[str]
    rows: Sequence[Sequence[str]]

    def shown(self, state: Mapping[str, str]) -> Fields:
        """The fields in one state."""
        index = 0
        for control in self.controls:
            index = index * len(VALUES[control]) + VALUES[control].index(state[control])
        return dict(zip(self.fields, self.rows[index], strict=True))


def panels(lesson: Lesson) -> list[Panel]:
    """Everything that changes."""
    return [_panel(lesson, controls.split(), show) for controls, show in SHOWN]


def _panel(lesson: Lesson, controls: Sequence[str], show: Callable[..., Fields]) -> Panel:
    states = [show(lesson, *values) for values in product(*(VALUES[control] for control in controls))]
    return Panel(controls, list(states[0]), [list(state.values()) for state in states])


def as_json(everything: Sequence[Panel]) -> str:
    """The panels as JSON, each distinct text once, safe inside a script element."""
    texts: dict[str, int] = {}
    rows = [[[texts.setdefault(text, len(texts)) for text in row] for row in p.rows] for p in everything]
    data = {
        "values": VALUES,
        "start": START,
        "texts": list(texts),
        "panels": [
            {"controls": p.controls, "fields": p.fields, "rows": r}
            for p, r in zip(everything, rows, strict=True)
        ],
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _at(lesson: Lesson, weight: str) -> Fields:
    row, column, hidden = story.place(lesson.weights["W1"])
    note, node = {
        "W1": (f"w goes from the pixel in row {row}, column {column} to hidden unit {hidden}.", str(hidden)),
        "b1": (f"w is the bias of hidden unit {hidden}.", str(hidden)),
        "W2o1": (f"w goes from hidden unit {hidden} to output 1.", "z₁"),
        "W2o4": (f"w goes from hidden unit {hidden} to output 4.", "z₄"),
    }[weight]
    return {"net@class": f"at-{weight}", "weight-note": note, "node": node}


def _summary(lesson: Lesson, *values: str) -> Fields:
    del lesson
    return {"summary": " · ".join(LABELS[name][value] for name, value in zip(CONTROLS, values, strict=True))}


def _predict(lesson: Lesson, *state: str) -> Fields:
    prediction = lesson.predictions[key(*state)]
    scale = unit(np.abs(prediction.changes).max())
    moved = "1 output moves" if prediction.moved == 1 else f"{prediction.moved or 'No'} outputs move"
    fields = {"moved": moved, "change-unit": power(scale)}
    for j, change in enumerate(prediction.changes):
        fields[f"change-{j}"] = in_units(change, scale)
        fields[f"wire-{j}@class"] = "moves" if change else "rests"
    return fields


def _tempting(lesson: Lesson, *state: str) -> Fields:
    terms = lesson.tempting[key(*state)]
    fields = {"tempting-moved": str(np.count_nonzero(terms.by_weight))}
    for j in ONES:
        fields[f"by-output-{j}"] = signed(terms.by_output[j], 3)
        fields[f"by-weight-{j}"] = signed(terms.by_weight[j], 3)
    return fields


def _paths(lesson: Lesson, *state: str) -> Fields:
    ledger = lesson.ledgers[key(*state)]
    scale = unit(np.abs(ledger.cells).max())
    fields = {"unit": power(scale), "total": signed(ledger.total)}
    for j, (value, width) in enumerate(zip(ledger.by_output, strokes(ledger.by_output), strict=True)):
        fields[f"path-{j}"] = in_units(value, scale)
        fields |= {f"path-{j}-line@stroke-width": width, f"path-{j}-line@class": shade(value)}
    return fields


def _running(lesson: Lesson, *state: str) -> Fields:
    *ledger, count = state
    return {"running": signed(lesson.ledgers[key(*ledger)].running[int(count) - 1])}


def _walked(lesson: Lesson, count: str) -> Fields:
    del lesson
    fields = {"count": f"{count} path{'s' if count != '1' else ''} of {OUTPUTS}"}
    return fields | {f"path-{j}-row@class": "walked" if j < int(count) else "ahead" for j in ONES}


def _cells(lesson: Lesson, *state: str) -> Fields:
    ledger = lesson.ledgers[key(*state)]
    largest = np.abs(ledger.cells).max()
    scale = unit(largest)
    fields = {"grand": in_units(ledger.total, scale)}
    for i in ROWS:
        inside = i < len(ledger.cells)
        fields[f"row-{i}@class"] = "" if inside else "gone"
        fields[f"row-total-{i}"] = in_units(ledger.by_sample[i], scale) if inside else ""
        for j in ONES:
            value = ledger.cells[i, j] if inside else 0.0
            fields[f"cell-{i}-{j}"] = in_units(value, scale) if inside else ""
            fields[f"cell-{i}-{j}@class"] = shade(value, largest)
    return fields | {f"column-total-{j}": in_units(ledger.by_output[j], scale) for j in ONES}


def _masks(lesson: Lesson, keep: str) -> Fields:
    del lesson
    mask = setting.kept(keep, SAMPLES)
    fields = {f"cell-{i}-{j}@data-kept": "yes" if mask[i, j] else "no" for i in ROWS for j in ONES}
    return fields | {"terms@class": "terms" if mask[0].all() else "terms struck"}


def _counts(lesson: Lesson, n: str, keep: str) -> Fields:
    del lesson
    mask = setting.kept(keep, int(n))
    return {"kept-count": str(np.count_nonzero(mask)), "cell-count": str(mask.size)}


def _verdict(lesson: Lesson, weight: str, n: str, keep: str, reduction: str, output: str) -> Fields:
    kept = lesson.kept[key(weight, n, keep, reduction, output)]
    right = lesson.ledgers[key(weight, n, reduction, output)]
    word, sentence = verdict(kept, right, lesson.verdicts[key(n, keep, output)])
    return {"verdict": sentence, "verdict-box@class": word, "kept-total": signed(kept.total)}


def verdict(kept: Kept, right: Ledger, whole: Verdict) -> tuple[str, str]:
    """One word and one sentence."""
    if not np.any(right.cells):
        return "right", "All is 0: batch norm turns a sample by itself into 0, whatever w is."
    if not kept.dropped:
        return "right", f"Right: ∂L/∂w = {signed(right.total)}, the sum of all {right.cells.size} terms."
    likeness = f"Whole gradient: cosine {short(whole.whole.cosine)}, length {short(whole.whole.length)}."
    if not kept.missed:
        dropped = "the dropped terms are exactly 0" if kept.dropped > 1 else "the dropped term is exactly 0"
        return "lucky", f"Right for this w, {signed(right.total)}: {dropped}. {likeness}"
    sign = ", even the sign" if kept.total * right.total < 0 else ""
    return "wrong", f"Wrong{sign}: {signed(kept.total)}, not {signed(right.total)}. {likeness}"


def _averages(lesson: Lesson, *state: str) -> Fields:
    average = lesson.averages[key(*state)]
    absent = SAMPLES - len(average.each)
    values = [*average.each, *[0.0] * absent, average.one_by_one, average.at_once]
    names = [*(f"each-{i}" for i in ROWS), "one-by-one", "at-once"]
    fields = {f"each-{i}-row@class": "" if i < SAMPLES - absent else "gone" for i in ROWS}
    for name, value, (x, width) in zip(names, values, bars(np.array(values)), strict=True):
        fields |= {name: signed(value), f"{name}-bar@x": x, f"{name}-bar@width": width}
        fields[f"{name}-bar@class"] = shade(value)
    longer = (
        "The whole gradient is 0."
        if np.isnan(average.times_longer)
        else f"The whole gradient is {number(average.times_longer, 3)} times as long as with the mean over "
        f"samples and outputs, and has cosine {short(average.direction)} with it."
    )
    return fields | {
        "joined": "added" if "sum" in state else "averaged",
        "averages-difference": rounding(average.difference),
        "averages-say": compared(average.difference),
        "times-longer": longer,
    }


def compared(difference: float) -> str:
    """What the difference of (1) and (2) means."""
    if difference == 0:
        return "The same number, to the last bit, for every parameter."
    if difference < wording.ROUNDING:
        return "The same number: what is left is rounding."
    return "Not the same: this layer mixes the samples, so a sample by itself has another loss."


def _layers(lesson: Lesson, output: str) -> Fields:
    chosen = [row.layer.replace(" ", "") == output for row in lesson.cross_derivatives]
    return {f"layer-{row}@class": "chosen" if is_it else "" for row, is_it in enumerate(chosen)}


def _compare(lesson: Lesson, *state: str) -> Fields:
    found = lesson.verdicts[key(*state)]
    fields = {
        "cosine": short(found.whole.cosine),
        "length": short(found.whole.length),
        "right-columns": f"{found.right_columns} of {OUTPUTS}",
        "wrong-sign": f"{found.wrong_sign} of {found.with_sign}",
    }
    for name in ARRAYS:
        fields[f"cosine-{name}"] = short(found.arrays[name].cosine)
        fields[f"length-{name}"] = short(found.arrays[name].length)
    for j in ONES:
        fields[f"column-{j}"] = short(found.columns[j])
    for layer, name in enumerate(("W1", "W2")):
        right, kept = (gradients[layer][0].T for gradients in (found.right_gradient, found.kept_gradient))
        largest = float(np.abs(right).max())
        for which, values in (("right", right), ("kept", kept), ("difference", kept - right)):
            fields[f"{name}-{which}@src"] = figures.picture(values, largest)
    return fields


def _slopes(lesson: Lesson, *state: str) -> Fields:
    *ledger, h = state
    found = lesson.ledgers[key(*ledger)]
    return {
        "slope-central": signed(found.central[int(h) - 1]),
        "slope-forward": signed(found.forward[int(h) - 1]),
    }


def _checked(lesson: Lesson, weight: str, n: str, keep: str, reduction: str, output: str, h: str) -> Fields:
    ledger = lesson.ledgers[key(weight, n, reduction, output)]
    value = lesson.kept[key(weight, n, keep, reduction, output)].total
    at = slice(int(h) - 1, int(h))
    return {
        "off-central": number(float(relative(ledger.central[at], value)[0]), 2),
        "off-forward": number(float(relative(ledger.forward[at], value)[0]), 2),
    }


def _step(lesson: Lesson, h: str) -> Fields:
    del lesson
    return {"h-text": power(-int(h))}


def _inside(name: str) -> Callable[..., Fields]:
    """What is left of the sum in one layer, for the path that is dropped."""

    def shown(lesson: Lesson, dropped: str) -> Fields:
        layer = lesson.inside[name]
        left = layer.without(int(dropped))
        off = float(relative(np.array([layer.measured]), left)[0])
        agrees = abs(layer.measured - left) <= layer.error
        fields = {
            f"{name}-left": signed(left),
            f"{name}-off": rounding(off) if agrees else percent(off),
        }
        for place in range(1, len(layer.paths) + 1):
            fields[f"{name}-path-{place}@class"] = "gone" if str(place) == dropped else ""
        return fields

    return shown


SHOWN: tuple[tuple[str, Callable[..., Fields]], ...] = (
    ("weight", _at),
    (" ".join(CONTROLS), _summary),
    ("weight batch output", _predict),
    ("weight batch output", _tempting),
    ("weight batch reduction output", _paths),
    ("weight batch reduction output paths", _running),
    ("paths", _walked),
    ("weight batch reduction output", _cells),
    ("keep", _masks),
    ("batch keep", _counts),
    ("weight batch keep reduction output", _verdict),
    ("weight batch reduction output", _averages),
    ("output", _layers),
    ("batch keep output", _compare),
    ("weight batch reduction output h", _slopes),
    ("weight batch keep reduction output h", _checked),
    ("h", _step),
    ("norm", _inside("norm")),
    ("head", _inside("head")),
)
"""The controls, and what they change."""


def shade(value: float, largest: float = 0) -> str:
    """A colour's class: z for 0, p or m for the sign, and 1 to 4 for the size if there is a largest."""
    if value == 0:
        return "z"
    depth = int(np.ceil(SHADES * abs(value) / largest)) if largest else SHADES
    return f"{'p' if value > 0 else 'm'}{depth}"


def bars(values: Floats) -> list[tuple[str, str]]:
    """For each value the left end and the width of a bar that grows from the middle of 100."""
    largest = np.abs(values).max()
    lengths = np.abs(values) / largest * FULL_BAR if largest else np.zeros(len(values))
    starts = np.where(values < 0, FULL_BAR - lengths, FULL_BAR)
    return [(f"{start:.1f}", f"{length:.1f}") for start, length in zip(starts, lengths, strict=True)]


def strokes(values: Floats) -> list[str]:
    """For each value the width of its line."""
    largest = np.abs(values).max()
    return [f"{1 + (WIDEST - 1) * abs(value) / largest if largest else 1:.1f}" for value in values]
