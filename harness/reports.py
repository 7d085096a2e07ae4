"""Reports as files: opened before the first file is judged, and each put in its place whole at the end."""

import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import click

from harness.scratch import Scratch

UMASK = os.umask(0o22)
os.umask(UMASK)


class Reports:
    """The files that the reports will be, by the paths that the user gave."""

    def __init__(self, paths: list[str], run: Scratch) -> None:
        """Open a temporary file beside each target. Raises a usage error where that can't be done.

        A link is followed now, and what is in the target's place later, a link or a pipe, is replaced.
        """
        self._opened: dict[str, tuple[Path, Path, IO[str]]] = {}
        for path in paths:
            try:
                target = Path(path).resolve()
                if target.exists() and not target.is_file():
                    raise click.UsageError(f"{path} is not a file: a report has to be one.")
                number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
                run.doom(Path(name))
                with suppress(OSError):  # a file system without rights
                    Path(name).chmod(
                        stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666 & ~UMASK
                    )
                file = open(number, "w", encoding="utf-8", errors="backslashreplace")  # noqa: PTH123, SIM115
                self._opened[path] = target, Path(name), file
            except (OSError, RuntimeError) as error:  # the latter of a loop of links
                raise click.UsageError(_sentence(path, error)) from None

    def write(self, texts: Mapping[str | None, Callable[[], str]]) -> None:
        """Write all. Raises a usage error where one can't be written, once the others are."""
        failed: list[str] = []
        for path, text in texts.items():
            if path is None:
                continue
            target, temporary, file = self._opened[path]
            try:
                with file:
                    file.write(text())
                temporary.replace(target)
            except OSError as error:
                failed.append(_sentence(path, error))
        if failed:
            raise click.UsageError(" ".join(failed))


def _sentence(path: str, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"{path} can't be written: {reason}."
