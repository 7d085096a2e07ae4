"""`manual-backprop new mine.py`: a file to fill in, which passes as it stands."""

from importlib.resources import files
from pathlib import Path

import click


@click.command()
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--operation", is_flag=True, help="An operation, forward and backward, in place of a network's gradient."
)
def new(path: Path, *, operation: bool) -> None:
    """Write a FILE to begin with: a gradient that is right, with what else may be said of it.

    Nothing is overwritten. The next step is: manual-backprop verify FILE.
    """
    if path.suffix != ".py":
        raise click.UsageError(f"{path} has to be a Python file, such as {path.stem or 'mine'}.py.")
    template = files("harness") / "templates" / ("operation.txt" if operation else "network.txt")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template.read_text("utf-8"))
    except FileExistsError:
        raise click.UsageError(f"{path} exists, and is left as it is: give another name.") from None
    except OSError as error:
        raise click.UsageError(f"{path} can't be written: {error.strerror}.") from None
    click.echo(f"{path} is written: manual-backprop verify {path}")
