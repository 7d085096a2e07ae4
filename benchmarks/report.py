"""How a measurement is shown: as tables in the terminal, and as JSON for a program."""

import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import rich.table
from rich.console import Console

PACKAGES = ("numpy", "jax", "hypothesis", "torch", "autograd")
WIDTH = 140
"""Of what goes to a file or a pipe, which has no width of its own."""

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
    """Print the tables and the versions that were measured, and write both to `path`."""
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    machine = _machine()
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), highlight=False)
    for table in tables:
        drawn = rich.table.Table(title=table.title, caption=table.note or None, title_justify="left")
        for number, column in enumerate(table.columns):
            drawn.add_column(column, justify="left" if number == 0 else "right")
        for row in table.rows:
            drawn.add_row(*map(_shown, row))
        console.print(drawn)
    if path is not None:
        found = {"command": command, "on": machine, "tables": [asdict(table) for table in tables]}
        path.write_text(json.dumps(found, indent=1, default=float) + "\n", encoding="utf-8")


def _shown(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"


def _machine() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return {
        "python": platform.python_version(),
        "cores": cores,
        **{name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
