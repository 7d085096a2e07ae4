"""`manual-backprop lesson`: the lesson in the terminal, or as a page."""

import sys
from pathlib import Path

import click
from rich.console import Console

WIDTH = 80
A_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--html", type=A_FILE, help="Write the lesson as one self-contained page instead.")
@click.option("--json", "numbers", type=A_FILE, help="Write the lesson's numbers instead.")
@click.option("--no-wait", is_flag=True, help="Don't wait for a key after each step.")
def lesson(html: Path | None, numbers: Path | None, *, no_wait: bool) -> None:
    """Show in five minutes why one output is not enough for a gradient.

    In a terminal, a key leads to the next step and q leaves.
    """
    from lesson.content import as_json, build  # noqa: PLC0415  (the list of commands is there at once)

    if html is not None:
        from lesson.page import render  # noqa: PLC0415  (the terminal needs no plots and templates)

        _write(html, render(build()))
    if numbers is not None:
        _write(numbers, as_json(build()))
    if html is None and numbers is None:
        from lesson.terminal import tell  # noqa: PLC0415

        console = Console(highlight=False)
        console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
        tell(build(), console, wait=not no_wait and sys.stdin.isatty() and console.is_terminal)


def _write(path: Path, text: str) -> None:
    if path.suffix == ".py":
        raise click.UsageError(f"The lesson would overwrite {path}: give it another name.")
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        message = f"can't write {path}: {error.strerror}. Give the path of a file in a folder that exists."
        raise click.UsageError(message) from error
    click.echo(f"wrote {path} ({len(text.encode()) / 1000:.0f} kB)", err=True)
