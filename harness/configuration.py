"""What a project says once: `[tool.manual-backprop]` in the nearest pyproject.toml, from the current folder upwards.

    [tool.manual-backprop]
    files = ["src/backprop.py"]   # where the command names none; from the folder of pyproject.toml, with * and **
    cases = 50
    seed = 1
    hints = 1
    time-limit = 60
    strict = true
    python = ".venv/bin/python"

The command line wins.
"""

import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

TABLE = "manual-backprop"
WHOLE, NUMBER, FLAG, TEXT, TEXTS = "a whole number", "a number", "true or false", "a text", "a list of texts"
KEYS = {
    "cases": WHOLE,
    "files": TEXTS,
    "hints": WHOLE,
    "python": TEXT,
    "seed": WHOLE,
    "strict": FLAG,
    "time-limit": NUMBER,
}


class Configured(click.Command):
    """A command whose options have the defaults that the project gives them."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As every command, unless its help is asked for. Raises a usage error of a wrong table."""
        file = None if {"-h", "--help"} & set(args) else nearest(Path.cwd())
        if file is not None:
            extra["default_map"] = {
                "subjects" if key == "files" else key.replace("-", "_"): value
                for key, value in self._table(file).items()
            }
        return super().make_context(info_name, args, parent, **extra)

    def _table(self, file: Path) -> dict[str, Any]:
        """The table of a file, each value as its option takes it. Raises a usage error."""
        table = read(file)
        types = {one.name: one.type for one in self.params}
        for key, value in table.items():
            if KEYS[key] in (WHOLE, NUMBER):
                try:
                    types[key.replace("-", "_")].convert(value, None, None)
                except click.BadParameter as error:
                    raise click.UsageError(f"{_place(file)} {key}: {error.message}") from None
        return table


def nearest(folder: Path) -> Path | None:
    """The pyproject.toml of a folder, or of the nearest one above it."""
    files = (one / "pyproject.toml" for one in (folder, *folder.parents))
    return next((file for file in files if file.is_file()), None)


def read(file: Path) -> dict[str, Any]:
    """The table, with paths as they are from the current folder; empty for none. Raises a usage error."""
    try:
        tool: Any = tomllib.loads(file.read_text("utf-8")).get("tool", {})
    except OSError as error:
        raise click.UsageError(f"{_shown(file)} can't be read: {error.strerror}.") from None
    except ValueError as error:
        raise click.UsageError(f"{_shown(file)} is no TOML: {error}.") from None
    table: Any = tool.get(TABLE, {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise click.UsageError(f"{_place(file)[:-1]} has to be a table.")
    return {key: _value(file, key, value) for key, value in table.items()}


def _value(file: Path, key: str, value: Any) -> Any:
    if key not in KEYS:
        near = get_close_matches(key, KEYS, n=1)
        asked = f"did you mean {near[0]}?" if near else f"they are {', '.join(KEYS)}."
        raise click.UsageError(f"{_place(file)} there is no {key}: {asked}")
    match KEYS[key], value:
        case (kind, bool()) if kind != FLAG:  # which is a number to Python
            pass
        case ("a whole number", int()) | ("a number", int() | float()) | ("true or false", bool()):
            return value
        case "a text", str():
            beside = file.parent / value
            return str(beside) if "/" in value and beside.exists() else value
        case "a list of texts", list() if all(isinstance(one, str) for one in value):
            return tuple(name for one in value for name in _files(file.parent, one))
        case _:
            pass
    raise click.UsageError(f"{_place(file)} {key} has to be {KEYS[key]}, not {value!r}.")


def _files(folder: Path, name: str) -> list[str]:
    """A file or folder, or all that a pattern finds, as they are from the current folder."""
    found = sorted(map(str, folder.glob(name))) if "*" in name else [str(folder / name)]
    return [os.path.relpath(one) for one in found or [str(folder / name)]]  # of none, its name is told


def _shown(file: Path) -> str:
    return os.path.relpath(file)


def _place(file: Path) -> str:
    return f"[tool.{TABLE}] of {_shown(file)}:"
