"""How a measurement is shown: as tables in the terminal, and as JSON for a program."""

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import rich.table
from rich.console import Console

PACKAGES = ("numpy", "jax", "hypothesis")

Command = Callable[..., Any]


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers under their columns."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


def json_option(command: Command) -> Command:
    """Give a command `--json PATH`, passed to it as `path`."""
    path = click.Path(dir_okay=False, writable=True, path_type=Path)
    return click.option("--json", "path", type=path, help="Write the tables to this file as well.")(command)


def show(command: str, tables: Sequence[Table], path: Path | None) -> None:
    """Print the tables, and write them to `path` with the versions that were measured."""
    console = Console(width=None)
    for table in tables:
        drawn = rich.table.Table(title=table.title, caption=table.note or None, title_justify="left")
        for number, column in enumerate(table.columns):
            drawn.add_column(column, justify="left" if number == 0 else "right")
        for row in table.rows:
            drawn.add_row(*map(_shown, row))
        console.print(drawn)
    if path is not None:
        found = {"command": command, "on": _machine(), "tables": [asdict(table) for table in tables]}
        path.write_text(json.dumps(found, indent=1, default=float) + "\n", encoding="utf-8")


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _machine() -> dict[str, Any]:
    versions = {name: version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "cores": os.cpu_count(), **versions}
