"""Pages of the site that are written from the code: the lesson, a page for each operation, the gallery of mistakes.

Every number on them is computed here, by the pages themselves and by the judge.
"""

import inspect
import re
import textwrap
from collections.abc import Iterator
from html import escape
from itertools import groupby
from math import prod
from types import ModuleType
from typing import Any

import click
import numpy as np
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from numpy.typing import NDArray

from harness.bundled import Chosen, Page, network_calls, sizes_and_options, smallest, smallest_network
from harness.cli import main
from harness.mistakes import hiding_places
from lesson import story
from lesson.content import build
from lesson.page import render
from manual_backprop.mistakes import MISTAKES
from manual_backprop.mistakes.operations import OPERATION_MISTAKES, Mistake
from manual_backprop.operations import PAGES
from properties.operation.cases import OperationCase, make

Array = NDArray[Any]

FAMILIES = {
    "Layers that multiply": ("dense", "residual", "tied_weights"),
    "Activations": ("tanh", "sigmoid", "relu", "leaky_relu", "elu", "softplus", "gelu", "silu"),
    "Softmax": ("softmax", "log_softmax"),
    "Losses": (
        *("mse", "huber", "cross_entropy", "softmax_cross_entropy"),
        *("binary_cross_entropy", "hinge", "multiclass_hinge"),
    ),
    "Normalisations": ("layer_norm", "batch_norm", "group_norm", "rms_norm"),
    "Windows": ("conv2d", "conv2d_im2col", "max_pool2d", "average_pool2d"),
    "Lookups": ("embedding", "dropout"),
    "Attention": ("attention", "multi_head_attention", "rotary"),
    "Recurrent": ("rnn", "lstm", "gru"),
}
MOST = 9
"""Rows and columns of a picture."""
CELL = 46
"""Its unit, in pixels."""
SEEN = 0.005
"""A contribution that is smaller is shown as 0.00."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name the pages of operations in the menu."""
    named = [name for family in FAMILIES.values() for name in family]
    if sorted(named) != sorted(map(stem, PAGES)):
        raise ValueError("The families of docs/hooks.py and PAGES of manual_backprop.operations differ.")
    listed = [{family: [f"operations/{name}.md" for name in names]} for family, names in FAMILIES.items()]
    for entry in config.nav or []:
        if "Operations" in entry:
            entry["Operations"] = ["operations/index.md", *listed]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is written from the code."""
    for path, content in written():
        files.append(File.generated(config, path, content=content))
    return files


def written() -> Iterator[tuple[str, str]]:
    """Every page by its path."""
    lesson = build()
    yield "lesson.html", render(lesson)
    yield "index.md", lesson_in_words()
    yield "operations/index.md", "\n".join(contents())
    for page in PAGES:
        yield f"operations/{stem(page)}.md", "\n".join(operation_page(page))
    yield "mistakes.md", "\n".join(gallery())
    yield "reference/command.md", "\n".join(command())


def stem(page: ModuleType) -> str:
    """The name of a page."""
    return page.__name__.rpartition(".")[2]


def title(page: ModuleType) -> str:
    """What a page's first line calls it: "Layer normalisation"."""
    line = (page.__doc__ or "").splitlines()[0]
    return min(line.partition(":")[0], line.partition(",")[0], line.partition(".")[0], key=len)


# --- the lesson ------------------------------------------------------------------------------------------------


def lesson_in_words() -> str:
    """The lesson's words with their numbers, and the way to the page on which they can be changed."""
    lesson = build()
    lines = [
        f"# {story.TITLE}",
        "",
        story.LEAD,
        "",
        "[Open the lesson](lesson.html){ .md-button .md-button--primary }",
        "[Verify your own derivative](start.md){ .md-button }",
        "",
        *paragraphs(story.told(story.SETTING, lesson)),
    ]
    for number, step in enumerate(story.STEPS):
        lines += [f"## {number}. {step.title}", ""]
        lines += paragraphs(story.told(step.paragraphs, lesson))
        lines += [f"**{escape(step.takeaway, quote=False)}**", ""]
    lines += [
        "On [the page of the lesson](lesson.html) the reader chooses the weight, the batch and the rule."
    ]
    return "\n".join(lines)


def paragraphs(texts: list[str]) -> list[str]:
    """Plain texts as Markdown."""
    return [line for text in texts for line in (plain(text), "")]


def plain(text: str) -> str:
    """A plain text in which Markdown finds nothing to mark; x_k gets its subscript."""
    parts = text.split("`")
    for k in range(0, len(parts), 2):  # what stands between backticks is code, and stays
        for sign in "\\*_[]":
            parts[k] = parts[k].replace(sign, f"\\{sign}")
        parts[k] = re.sub(
            r"(?<=[^\W_])\\_([a-z]{1,2}|\d)(?!\w)", r"<sub>\1</sub>", escape(parts[k], quote=False)
        )
    return "`".join(parts)


# --- operations ------------------------------------------------------------------------------------------------


def contents() -> Iterator[str]:
    """The page that leads to the operations."""
    yield "# Operations"
    yield ""
    yield (
        "Each page is a file of NumPy that stands alone: the formula, its derivation with the sum over the paths, "
        "forward and backward beside each other. Each is judged by `manual-backprop verify`, and can be handed out."
    )
    by_name = {stem(page): page for page in PAGES}
    for family, names in FAMILIES.items():
        yield ""
        yield f"## {family}"
        yield ""
        for name in names:
            line = (by_name[name].__doc__ or "").splitlines()[0]
            yield f"- [{title(by_name[name])}]({name}.md): {plain(line.partition(':')[2].strip() or line)}"


def operation_page(page: ModuleType) -> Iterator[str]:
    """Derivation, code, picture, and mistakes of a page."""
    first, *derivation = (page.__doc__ or "").strip().splitlines()
    code = inspect.getsource(page).split('"""', maxsplit=2)[2].strip("\n")
    yield f"# {title(page)}"
    yield ""
    yield plain(first)
    yield ""
    yield "## Derivation"
    yield ""
    told, mark, source = "\n".join(derivation).partition("Source:")
    lines = [*told.splitlines(), f"{mark}{source}".replace("\n", " ")]
    lines = "".join(f"<span>{formulas(line)}</span>" for line in lines if line.strip())
    yield f'<div class="derivation">{lines}</div>'
    yield ""
    yield "## Code"
    yield ""
    yield f'```python title="manual_backprop/operations/{stem(page)}.py"'
    yield code
    yield "```"
    for operation in operations(page):
        yield ""
        yield f"## What contributes{f' in {operation}' if len(operations(page)) > 1 else ''}"
        yield ""
        yield from picture(page, operation)
    yield ""
    yield "## Mistakes that people make here"
    for mistake in OPERATION_MISTAKES.values():
        if mistake.page is page:
            yield ""
            yield from mistake_on_page(mistake)


def formulas(line: str) -> str:
    """A line of a derivation as HTML: x_k with a subscript, *titles* in italics, `names` as code."""
    line = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(line))
    line = re.sub(r"(?<![\w*])\*([^*]+)\*", r"<em>\1</em>", line)
    return re.sub(r"(?<=[^\W_]|\u0302)_(\w+)", r"<sub>\1</sub>", line)


def operations(page: ModuleType) -> tuple[str, ...]:
    """The operations of a page."""
    return tuple(page.OPERATIONS) if hasattr(page, "OPERATIONS") else (stem(page),)


def mistake_on_page(mistake: Mistake) -> Iterator[str]:
    """A mistake with its step, its words and its smallest case."""
    found = smallest(mistake)
    several = f"{mistake.operation}: " if len(operations(mistake.page)) > 1 else ""
    yield f"### {several}{mistake.name.replace('_', ' ')} {{ #{mistake.operation}.{mistake.name} }}"
    yield ""
    yield plain(mistake.sentence)
    yield ""
    yield "```diff"
    for sign, step in (("-", mistake.step), ("+", mistake.wrong)):
        yield from (f"{sign} {line}" for line in textwrap.dedent(step).strip("\n").splitlines())
    yield "```"
    yield ""
    yield f"- Hint: {plain(mistake.hint)}"
    yield f"- Cure: {plain(mistake.cure)}"
    yield f"- Where it hides: {plain(mistake.hides)}"
    hiding = f", after {found.hiding} cases that hide it" if found.hiding else ""
    yield f"- The smallest case that shows it{hiding}: {plain(found.case.summary)}. {plain(found.message)}"
    yield ""
    yield '??? example "The case as Python to paste"'
    yield "    ```python"
    yield textwrap.indent(found.case.as_python(), "    ")
    yield "    ```"


def picture(page: ModuleType, operation: str) -> Iterator[str]:
    """What every entry of the output contributes to every entry of the first gradient, as a table of signs in SVG."""
    case, name, matrix = contributions(page, operation)
    rows, columns = matrix.shape
    largest = np.abs(matrix).max() or 1.0
    wide, high = (columns + 2) * CELL, (rows + 3) * CELL // 2
    shape = np.shape(case.inputs[name])
    parts = [text(k, -1, label(f"d{name}", shape, k), "name") for k in range(columns)]
    for j in range(rows):
        parts.append(text(-1, j, f"y{subscript(j + 1)}", "name"))
        parts += [cell(k, j, float(matrix[j, k]), largest) for k in range(columns)]
    for k, total in enumerate(matrix.sum(axis=0)):
        parts.append(text(k, rows, in_figures(total), "total"))
    parts.append(text(-1, rows, "Σ", "name"))
    zeros = int((matrix == 0).sum())
    told = (
        f"{rows} outputs by {columns} entries of d{name}; {zeros} of the {matrix.size} contributions are 0."
    )
    key = f"picture-{operation}"
    yield (
        f"Row j is what output y<sub>j</sub> sends back, column k where it arrives: dy<sub>j</sub> ∂y<sub>j</sub>/"
        f"∂{name}<sub>k</sub>. The last line is their sum, d{name}. Computed by the page for {plain(case.summary)}: "
        f"{zeros} of {matrix.size} contributions are 0."
    )
    yield ""
    yield (
        f'<figure class="contributions" tabindex="0"><svg viewBox="-{CELL} -{CELL // 2} {wide} {high}" role="img" '
        f'style="min-width:{wide * 3 // 5}px;max-width:{wide}px" aria-labelledby="{key}-title {key}-desc">'
        f'<title id="{key}-title">Contributions to d{name}</title>'
        f'<desc id="{key}-desc">{told}</desc>{"".join(parts)}</svg></figure>'
    )


def text(column: int, row: int, what: str, kind: str) -> str:
    """A text in the middle of a cell."""
    x, y = (column + 0.5) * CELL, (row + 0.5) * CELL / 2 + 4
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{escape(what)}</text>'


def cell(column: int, row: int, value: float, largest: float) -> str:
    """A contribution: its colour says the sign, its depth the size, and the number both."""
    sign = "zero" if value == 0 else "plus" if value > 0 else "minus"
    depth = 0.15 + 0.45 * abs(value) / largest if value else 0
    box = (
        f'<rect class="{sign}" x="{column * CELL + 1}" y="{row * CELL // 2 + 1}" width="{CELL - 2}" '
        f'height="{CELL // 2 - 2}" fill-opacity="{depth:.2f}"/>'
    )
    return box + text(column, row, "0" if value == 0 else in_figures(value), sign)


def in_figures(value: float) -> str:
    """A number with its sign and two decimals; without a sign where no decimal is left."""
    told = f"{value:+.2f}".replace("-", "−")
    return told if told.strip("+−0.") else "0.00"


def label(name: str, shape: tuple[int, ...], k: int) -> str:
    """`dx₁₂`, counted from 1."""
    index = [int(one) + 1 for one in np.unravel_index(k, shape)] if shape else []
    longer = [one for one, size in zip(index, shape, strict=True) if size > 1]
    return name + "".join(subscript(one) for one in longer)


def subscript(number: int) -> str:
    """A number as a subscript."""
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def contributions(page: ModuleType, operation: str) -> tuple[OperationCase, str, Array]:
    """A case, the name of its first input with a gradient, and dy_j ∂y_j/∂x_k for it, (outputs, entries).

    Of the cases that give at most `MOST` rows and columns, or else as few as can be, it is the one on which the most
    contributions are seen.
    """
    subject = Page(page, operation)
    name = subject.declaration.differentiable[0]
    every = sizes_and_options(subject)
    columns = [prod(subject.declaration.inputs[name].shape(sizes)) for sizes, _ in every]
    found: list[tuple[int, OperationCase, Array]] = []
    for (sizes, options), count in zip(every, columns, strict=True):
        if count > max(MOST, min(columns)):
            continue
        source = Chosen(sizes, options, "plain", np.random.default_rng(1))
        case = make(source, subject, ("plain",), sizes=range(1, 4))
        cotangents = case.cotangents(subject.forward(case.inputs, case.options).outputs)
        if cotangents[0].size <= MOST or not found:
            matrix = jacobian(subject, case, cotangents, name)
            found.append((int((np.abs(matrix) > SEEN).sum()), case, matrix))
    _, case, matrix = max(found, key=lambda one: one[0])
    return case, name, matrix


def jacobian(subject: Page, case: OperationCase, cotangents: tuple[Array, ...], name: str) -> Array:
    """Row j: the gradient of an input where the first output's entry j alone has its cotangent."""
    rows: list[Array] = []
    for j in range(cotangents[0].size):
        one = [np.zeros_like(dy) for dy in cotangents]
        one[0].reshape(-1)[j] = cotangents[0].reshape(-1)[j]
        forward = subject.forward(case.inputs, case.options)
        rows.append(subject.backward(forward, one).gradients[name].ravel())
    return np.array(rows)


# --- the command -----------------------------------------------------------------------------------------------


def command() -> Iterator[str]:
    """The command as click knows it: what each subcommand does, how it is called, and its options."""
    whole = click.Context(main, info_name="manual-backprop")
    yield "# The command"
    yield ""
    yield plain(inspect.cleandoc(main.help or ""))
    for name in main.list_commands(whole):
        one = main.get_command(whole, name)
        if one is None:
            continue
        context = click.Context(one, info_name=name, parent=whole)
        options = [
            record
            for param in one.get_params(context)
            if (record := param.get_help_record(context)) and record[1]
        ]
        yield ""
        yield f"## {name}"
        yield ""
        yield from plain(inspect.cleandoc(one.help or "")).splitlines()
        yield ""
        yield f"```text\nmanual-backprop {name} {' '.join(one.collect_usage_pieces(context))}\n```"
        yield ""
        yield "| option | what it does |"
        yield "|---|---|"
        for names, told in options:
            yield f"| `{names.replace('|', chr(92) + '|')}` | {plain(told).replace('|', chr(92) + '|')} |"


# --- mistakes --------------------------------------------------------------------------------------------------


def gallery() -> Iterator[str]:
    """All mistakes: those of operations with the way to their page, those of the network whole."""
    yield "# The gallery of mistakes"
    yield ""
    yield (
        f"{len(OPERATION_MISTAKES)} mistakes that people make in operations, and {len(MISTAKES)} in the gradient of a "
        "whole network. Each is the right code with one step replaced; all are caught by `manual-backprop verify`, and "
        "`manual-backprop mistakes NAME` tells one in the terminal."
    )
    yield ""
    yield "## In operations"
    for operation, group in groupby(OPERATION_MISTAKES.values(), key=lambda one: one.operation):
        yield ""
        yield f"### {operation}"
        yield ""
        for mistake in group:
            name = mistake.name.replace("_", " ")
            where = f"operations/{stem(mistake.page)}.md#{operation}.{mistake.name}"
            yield f"- [{name}]({where}): {plain(mistake.sentence)} Hides: {plain(mistake.hides)}"
    yield ""
    yield "## In a network"
    for mistake in MISTAKES.values():
        found = smallest_network(mistake)
        yield ""
        yield f"### {mistake.name.replace('_', ' ')} {{ #{mistake.name} }}"
        yield ""
        yield plain(mistake.sentence)
        yield ""
        yield f"- Written: {plain(mistake.rule)}"
        yield f"- Hint: {plain(mistake.hint)}"
        yield f"- Cure: {plain(mistake.answer)}"
        yield f"- Where it hides: {plain(hiding_places(mistake))}"
        yield f"- The smallest network that shows it: {plain(found.case.summary)}. {plain(found.message)}"
        yield ""
        yield '??? example "The network as Python to paste"'
        yield "    ```python"
        yield textwrap.indent(network_calls(mistake, found), "    ")
        yield "    ```"
