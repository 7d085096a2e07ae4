"""`manual-backprop table`: which derivatives of each layer vanish, measured."""

import sys

import click
from rich.console import Console

FORMS = ("text", "markdown", "json")


@click.command()
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True)
@click.option(
    "--cases", type=click.IntRange(min=1), default=4, show_default=True, help="Cases for each layer."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draws other cases.")
def table(form: str, cases: int, seed: int) -> None:
    """Show where the chain rule's sum collapses to one term.

    For each layer: which derivatives vanish between the units of a sample, between samples, and from a
    weight to a unit that it doesn't feed; measured by autodiff on drawn cases, with a witness where not.
    """
    from properties import cross_derivatives  # noqa: PLC0415  (the list of commands is there at once)

    rows = cross_derivatives.table(cases, seed)
    if form == "text" and sys.stdout.isatty():
        click.echo(cross_derivatives.as_text(rows, Console().width).rstrip())
    else:
        click.echo(getattr(cross_derivatives, f"as_{form}")(rows).rstrip())
