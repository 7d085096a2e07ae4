"""Pictures: curves, drawn by matplotlib as SVG in the page's colours, and gradients as small PNGs."""

import base64
import io
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from lesson.content import STEPS, Lesson, Run, relative
from lesson.setting import Floats

# Drawn in these colours, shown in the page's: an SVG inside the page inherits its variables.
INK, SOFT, FIRST, OTHERS, WRONG = "#101010", "#202020", "#303030", "#404040", "#505050"
ROLES = {
    INK: "var(--ink)",
    SOFT: "var(--line)",
    FIRST: "var(--plus-ink)",
    OTHERS: "var(--minus-ink)",
    WRONG: "var(--bad)",
}
STYLE: Mapping[Any, Any] = {
    "svg.fonttype": "none",
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": SOFT,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
}
SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"

MINUS, PLUS = (45, 115, 190), (214, 108, 30)  # the blue and the orange of the page
LEVELS = 6  # of each sign


def style(name: str, size: int) -> dict[Any, Any]:
    """Matplotlib's settings for one figure; its name makes the ids inside it its own, and always the same."""
    return {**STYLE, "svg.hashsalt": name, "font.size": size}


def loss_curves(run: Run, name: str, title: str) -> str:
    """The loss of each output by epoch, output 1 apart, as inline SVG."""
    with mpl.rc_context(style(name, size=9)):
        figure = Figure(figsize=(3, 2.2), layout="constrained")
        axes = figure.add_subplot(
            yscale="log", ylim=(0.006, 2), xlim=(0, len(run.losses) - 1), xlabel="epoch"
        )
        axes.set_xticks(range(0, len(run.losses), 5))
        axes.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
        axes.plot(run.losses[:, 1:], color=OTHERS, linewidth=1)
        axes.plot(run.losses[:, 0], color=FIRST, linewidth=2.6)
        first, last = run.losses[[0, -1], 0]
        worst = run.losses[-1, 1:].max()
        described = (
            f"Output 1 goes from {first:.2f} to {last:.3f}; of the others, the worst ends at {worst:.2f}."
        )
        return inline(
            figure, name, f"Loss of each output over {len(run.losses) - 1} epochs: {title}", described
        )


def valley(lesson: Lesson) -> str:
    """The error of finite differences against the step, as inline SVG, for the default state."""
    right = lesson.ledgers["W1.8.mean.identity"]
    wrong = lesson.kept["W1.8.o1.mean.identity"].total
    with mpl.rc_context(style("valley", size=11)):
        figure = Figure(figsize=(4.6, 3), layout="constrained")
        axes = figure.add_subplot(xscale="log", yscale="log", xlabel="step h", ylabel="relative difference")
        axes.set_xlim(STEPS[0] * 1.6, STEPS[-1] / 1.6)
        axes.set_xticks(STEPS[::2])
        axes.plot(
            STEPS, relative(right.forward, right.total), "s--", color=OTHERS, markersize=3.5, linewidth=1.2
        )
        axes.plot(STEPS, relative(right.central, right.total), "o-", color=FIRST, markersize=4, linewidth=2)
        axes.plot(STEPS, relative(right.central, wrong), "x-", color=WRONG, markersize=5, linewidth=1.6)
        axes.text(1e-7, 3, "o₁ only: wrong at every h", color=WRONG, ha="center", va="bottom")
        axes.text(
            2e-6, relative(right.central, right.total).min(), "right, both ways", color=FIRST, va="center"
        )
        axes.text(3e-5, 3e-5, "right, one way", color=OTHERS, va="center")
        axes.set_ylim(relative(right.central, right.total).min() / 5, 200)
        return inline(
            figure,
            "valley",
            "Relative difference between gradient and finite difference, by step",
            "For the right gradient both curves form a valley: central differences reach the deepest point, "
            "forward differences a shallower one, and both rise again for tiny steps. For o₁ only the line "
            "is flat and high.",
        )


def inline(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an SVG element: in the page's colours and fonts, titled and described, without styles."""
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
    )
    root = ET.fromstring(buffer.getvalue())  # noqa: S314  (our own figure)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (SVG + "style", SVG + "metadata"):
                parent.remove(child)
    text = ET.tostring(root, encoding="unicode")
    for element in root.iter():
        _plain(element, text)
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-description",
    }
    for tag, content in (("desc", description), ("title", title)):
        child = ET.Element(tag, {"id": f"{name}-{'title' if tag == 'title' else 'description'}"})
        child.text = content
        root.insert(0, child)
    return ET.tostring(root, encoding="unicode")


def _plain(element: ET.Element, text: str) -> None:
    """Without namespace, style and unused id: the style's properties become attributes."""
    element.tag = element.tag.removeprefix(SVG)
    attributes: dict[str, str] = {}
    for name, value in element.attrib.items():
        if name == "id" and f"#{value}" not in text:
            continue
        if name != "style":
            attributes["href" if name == XLINK + "href" else name] = value
            continue
        for declaration in value.split(";"):
            prop, _, setting = (part.strip() for part in declaration.partition(":"))
            if prop == "font":
                prop, setting = "font-size", setting.split("px")[0].split()[-1]
            attributes[prop] = ROLES.get(setting, setting)
    element.attrib = {name: value for name, value in attributes.items() if name not in ("", "font-family")}


def picture(values: Floats, largest: float) -> str:
    """A matrix as a PNG in a data address, one pixel an entry: orange above 0, blue below, clear at 0.

    The shade grows with the square root, so that small entries are seen; `largest` is full colour.
    """
    depth = np.ceil(LEVELS * np.sqrt(np.minimum(np.abs(values) / (largest or 1), 1)))
    indexes = np.where(values < 0, LEVELS + depth, depth).astype(np.uint8)
    image = Image.fromarray(indexes, mode="P")
    image.putpalette(
        [channel for colour in [(0, 0, 0), *[PLUS] * LEVELS, *[MINUS] * LEVELS] for channel in colour]
    )
    alphas = [round(255 * level / LEVELS) for level in range(1, LEVELS + 1)]
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True, bits=4, transparency=bytes([0, *alphas, *alphas]))
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def ink(image: Floats) -> str:
    """A digit as a PNG in a data address: black by its alpha, which the page inverts where it is dark."""
    levels = np.round(image * 15).astype(np.uint8)
    picture = Image.fromarray(levels, mode="P")
    picture.putpalette([0, 0, 0] * 16)
    buffer = io.BytesIO()
    picture.save(
        buffer, format="PNG", optimize=True, bits=4, transparency=bytes(17 * level for level in range(16))
    )
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def marks(jacobian: Floats) -> Mapping[str, str]:
    """A Jacobian as paths of an SVG, one unit a cell: squares by sign and size, and the signs themselves."""
    paths: dict[str, Any] = {name: [] for name in ("p1", "p2", "m1", "m2", "signs")}
    largest = np.abs(jacobian).max()
    for (row, column), value in np.ndenumerate(jacobian):
        if value == 0:
            continue
        shade = 2 if abs(value) > largest / 4 else 1
        paths[f"{'p' if value > 0 else 'm'}{shade}"].append(f"M{column} {row}h1v1h-1z")
        paths["signs"].append(f"M{column + 0.25:.2f} {row + 0.5:.1f}h.5")
        if value > 0:
            paths["signs"].append(f"M{column + 0.5:.1f} {row + 0.25:.2f}v.5")
    return {name: "".join(parts) for name, parts in paths.items()}
