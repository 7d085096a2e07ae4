"""What travels with a file to another machine: the folder that it lies in, with all that is in it and below it.

There a file finds its neighbours and its data as it does at home. What is elsewhere, such as a library, has to be
there already.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LARGEST = 64 << 20
"""Bytes of a folder that can travel: they pass through the scheduler, and go to every node."""


class TooLargeError(Exception):
    """A folder can't travel; the message is one sentence."""


@dataclass(frozen=True)
class Parcel:
    """The files of a folder by their paths in it, and a name for all of that: its SHA-256."""

    name: str
    files: dict[str, bytes]

    def unpack(self, folder: Path) -> None:
        """Write the files into a new folder."""
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def folder_of(path: str) -> Path | None:
    """The folder of a file, or the current one for a module that lies in it; None for a module from elsewhere."""
    if Path(path).is_file():
        return Path(path).absolute().parent
    top = Path(path.partition(".")[0])
    return Path.cwd() if top.with_suffix(".py").is_file() or top.is_dir() else None


def pack(folder: Path) -> Parcel:
    """The files of a folder, but for what is hidden and what Python compiled. Raises `TooLargeError`."""
    files: dict[str, bytes] = {}
    digest, size = hashlib.sha256(), 0
    for file in _files(folder):
        with suppress(OSError):  # what its user can't read, no file of theirs can: as at home
            size += file.stat().st_size
            if size > LARGEST:
                raise TooLargeError(
                    f"The folder {folder} has more than {LARGEST >> 20} MiB to send to the nodes: put the files that "
                    "are to be judged into one of their own."
                )
            files[file.relative_to(folder).as_posix()] = file.read_bytes()
    for name, content in sorted(files.items()):
        digest.update(os.fsencode(name) + b"\0" + hashlib.sha256(content).digest())
    return Parcel(digest.hexdigest(), files)


def _files(folder: Path) -> Iterator[Path]:
    """The files in a folder and below it; a link is followed, but to a folder above it."""
    for above, folders, files in os.walk(folder, followlinks=True):
        here = Path(above)
        inside = {here.resolve(), *here.resolve().parents}
        folders[:] = [one for one in folders if _travels(one) and (here / one).resolve() not in inside]
        yield from (here / one for one in files if _travels(one) and (here / one).is_file())


def _travels(name: str) -> bool:
    return not name.startswith(".") and name != "__pycache__"
