"""`manual-backprop mistakes`: what people get wrong in each operation and in the network, and where it shows first."""

import textwrap
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import groupby, product
from typing import Any

import click

from manual_backprop.losses import LOSSES, REDUCTIONS
from manual_backprop.mistakes import MISTAKES
from manual_backprop.mistakes import Mistake as NetworkMistake
from manual_backprop.mistakes.operations import OPERATION_MISTAKES, Mistake

WIDTH = 100
NETWORK = "network"
"""What the list calls the mistakes in the gradient of a whole network."""


@click.command()
@click.argument("name", required=False)
def mistakes(name: str | None) -> None:
    """List the mistakes that people make, by operation and for the network, or tell the one of that NAME.

    NAME is a mistake ("layer_norm.gain_forgotten", "one_output_only"), or an operation, whose mistakes are listed.
    The smallest case on which a mistake shows is computed, and printed as Python to paste.
    """
    if name in OPERATION_MISTAKES:
        click.echo(tell(OPERATION_MISTAKES[name]))
    elif name in MISTAKES:
        click.echo(tell_network(MISTAKES[name]))
    else:
        click.echo("\n".join(listed(name)))


def listed(name: str | None) -> Iterator[str]:
    """The lines of the list: of everything, of one operation, or of what has this name in several operations.

    Raises a usage error for a name that there is not.
    """
    rows = [(one.operation, one.name, one.sentence) for one in OPERATION_MISTAKES.values()]
    rows += [(NETWORK, one.name, one.sentence) for one in MISTAKES.values()]
    found = [row for row in rows if name is None or name in row[:2]]
    if not found:
        every = [*OPERATION_MISTAKES, *MISTAKES, *dict.fromkeys(row[0] for row in rows)]
        near = get_close_matches(name or "", every, n=1)
        asked = f": did you mean {near[0]}?" if near else ". Without a name, the command lists all there are."
        raise click.UsageError(f"There is no mistake and no operation {name}{asked}")
    for operation, group in groupby(found, key=lambda row: row[0]):
        yield operation
        for _, mistake, sentence in group:
            yield f"  {mistake}"
            yield textwrap.fill(sentence, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    yield ""
    yield f"{len(found)} mistakes. To see one: manual-backprop mistakes {called(*found[0][:2])}"


def called(operation: str, name: str) -> str:
    """What the command calls a mistake."""
    return name if operation == NETWORK else f"{operation}.{name}"


def tell(mistake: Mistake) -> str:
    """What there is to say of a mistake on a page, with its smallest case."""
    from harness.bundled import smallest  # noqa: PLC0415  (the list of commands is there at once)

    found = smallest(mistake)
    hiding = f" ({found.hiding} smaller or simpler cases hide it)" if found.hiding else ""
    lines = [
        f"{mistake.operation}.{mistake.name}",
        "",
        *_said("", mistake.sentence),
        "",
        *_code("On the page", mistake.step),
        *_code("Written instead", mistake.wrong or "(nothing)"),
        *_said("Hint", mistake.hint),
        *_said("Cure", mistake.cure),
        *_said("Where it hides", mistake.hides),
        "",
        f"The smallest case that shows it{hiding}: {found.case.summary}.",
        found.message,
        "",
        found.case.as_python(),
    ]
    return "\n".join(lines)


def tell_network(mistake: NetworkMistake) -> str:
    """What there is to say of a mistake in the gradient of a network, with the smallest network."""
    from harness.bundled import network_calls, smallest_network  # noqa: PLC0415  (as above)

    found = smallest_network(mistake)
    ways = [label for label, _ in mistake.variants if label]
    choices = ", ".join(map(str, found.case.choices.values()))
    way = f" as {found.label!r}" if len(ways) > 1 else ""
    lines = [
        mistake.name,
        "",
        *_said("", mistake.sentence),
        "",
        *_said("Written instead", mistake.rule),
        *(_said("Ways to make it", "; ".join(ways)) if len(ways) > 1 else []),
        *_said("Hint", mistake.hint),
        *_said("Cure", mistake.answer),
        *_said("Where it hides", hiding_places(mistake)),
        "",
        f"The smallest network that shows it{way}: {found.case.summary}; {choices}.",
        found.message,
        "",
        network_calls(mistake, found),
    ]
    return "\n".join(lines)


def hiding_places(mistake: NetworkMistake) -> str:
    """Each choice, and each size of 1, with which no way of the mistake shows, whatever the other choices are."""
    axes: dict[str, tuple[Any, ...]] = {
        "hidden": ("identity", "tanh", "sigmoid", "relu", "softplus"),
        "output": ("identity", "tanh", "sigmoid", "relu", "softplus", "softmax"),
        "loss": tuple(LOSSES),
        "reduction": REDUCTIONS,
        "layers": (1, 2),
        "samples": (1, 3),
        "outputs": (1, 3),
        "bias": (True, False),
    }
    shown: dict[str, set[object]] = {name: set() for name in axes}
    for values in product(*axes.values()):
        setting = dict(zip(axes, values, strict=True))
        goes_with = LOSSES[setting["loss"]].output
        if goes_with in (None, setting["output"]) and mistake.applies(**setting):
            for name, value in setting.items():
                shown[name].add(value)
    hidden = {name: [value for value in axes[name] if value not in shown[name]] for name in axes}
    choices = [name for name in ("hidden", "output", "loss", "reduction") if hidden[name]]
    told = [
        *(f"{name} {' or '.join(map(str, hidden[name]))}" for name in choices),
        *(f"one {name[:-1]}" for name in ("layers", "samples", "outputs") if 1 in hidden[name]),
        *(["a network without biases"] if False in hidden["bias"] else []),
    ]
    return f"{'; '.join(told)}." if told else "No choice and no size hides it alone."


def _said(title: str, text: str) -> list[str]:
    """A paragraph behind its title."""
    start = f"{title}: " if title else ""
    return textwrap.wrap(start + text, WIDTH, subsequent_indent=" " * 2 if title else "")


def _code(title: str, code: str) -> list[str]:
    """Lines of code under their title."""
    return [f"{title}:", *textwrap.indent(textwrap.dedent(code).strip("\n"), "    ").splitlines()]
