"""A notebook's `%%verify`, above a cell that defines the functions: `%load_ext harness.notebook` loads it.

    %%verify --quick
    OPERATION = {"x": "n d"}

    def forward(x): ...
    def backward(dy, cache): ...

The cell says what a file would say. It is run, and what it defines is judged in this process, as `harness.verify` does.
IPython is imported where its user has loaded this, and nowhere else.
"""

import shlex
from types import ModuleType
from typing import Any

import click

from harness import Result, verify
from harness.cli import verify as command
from harness.contents import names_set_by

OPTIONS = ("cases", "only", "quick", "seed", "hints", "time_limit")
"""Those of the command that say something of a cell."""

NOTHING = "The cell defines no function: write below %%verify what a file for manual-backprop verify has."


def load_ipython_extension(shell: Any) -> None:
    """Add the magic to a shell of IPython."""
    shell.register_magic_function(Cell(shell).verify, magic_kind="cell", magic_name="verify")


class Cell:
    """The magic, for one shell."""

    def __init__(self, shell: Any) -> None:
        """The shell of IPython, whose namespace the cells share."""
        self._shell = shell

    def verify(self, line: str, cell: str) -> Result:
        """Run the cell, and judge what it defines; what the cell raises is raised, and nothing is judged.

        Options are --quick, --cases N, --only PROPERTY, --seed N, --hints N and --time-limit SECONDS, as on the command
        line. The result is in `_` as that of any cell; `_.raise_for_failure()` stops a notebook that is run as a whole.
        """
        __tracebackhide__ = True
        try:
            options = parsed(line)
        except click.UsageError as error:
            raise usage_error(f"%%verify: {error.format_message()}") from None
        module = self._run(cell)
        if not any(map(callable, vars(module).values())):
            raise usage_error(NOTHING)
        return verify(module, name="cell", **options)

    def _run(self, cell: str) -> ModuleType:
        """Run the cell in the user's namespace, as IPython would; what it sets, as a module."""
        __tracebackhide__ = True
        source = "\n" + self._shell.transform_cell(
            cell
        )  # the line of the magic counts, as everybody counts it
        name = self._shell.compile.cache(source, self._shell.execution_count - 1)
        tree = self._shell.compile.ast_parse(source, name)
        namespace = self._shell.user_ns
        exec(compile(tree, name, "exec"), namespace)  # noqa: S102  (it is the user's own cell)
        module = ModuleType(namespace.get("__name__", "__main__"))
        for one in (one for node in tree.body for one in names_set_by(node)):
            if one in namespace:
                vars(module)[one] = namespace[one]
        return module


def parsed(line: str) -> dict[str, Any]:
    """The options of a line, by the keywords of `harness.verify`. Raises `click.UsageError`."""
    known = [one for one in command.params if one.name in OPTIONS]
    magic = click.Command("%%verify", params=known, add_help_option=False)
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    given = magic.make_context("%%verify", words).params
    return {name: value for name, value in given.items() if value not in (None, ())}


def usage_error(message: str) -> Exception:
    """What IPython shows as one line."""
    from IPython.core.error import UsageError  # noqa: PLC0415  (see above)

    return UsageError(message)
