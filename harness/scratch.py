"""The temporary files of a run, which are gone when it ends, however it ends."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_KEEPER = """
import os, shutil, sys, time
doomed = sys.stdin.buffer.read().split(b"\\0")
for path in doomed[1:]:
    try: os.unlink(path)
    except OSError: pass
for _ in range(100):  # judges that end now may still write
    shutil.rmtree(doomed[0], ignore_errors=True)
    if not os.path.exists(doomed[0]): break
    time.sleep(0.05)
"""
"""A process of its own that waits for the end of its input, which is the end of the run, and clears up."""

_VARIABLES = ("TMPDIR", "TEMP", "TMP")


class Scratch:
    """The folder of a run, and the files elsewhere that are nothing yet."""

    def __init__(self, folder: Path, keeper: IO[bytes]) -> None:
        """The keeper's input."""
        self.folder = folder
        self._keeper = keeper
        self.doom(folder)

    def doom(self, path: Path) -> None:
        """Remove this at the end of the run, where it still exists by then."""
        with suppress(OSError):  # somebody killed the keeper
            self._keeper.write(os.fsencode(path) + b"\0")
            self._keeper.flush()


@contextmanager
def scratch() -> Generator[Scratch]:
    """A folder for all temporary files of this process and of those that it starts, for a while."""
    folder = Path(tempfile.mkdtemp(prefix="manual-backprop-"))
    before = {name: os.environ.get(name) for name in _VARIABLES}, tempfile.tempdir
    keeper = subprocess.Popen(  # noqa: S603  (our own source)
        [sys.executable, "-I", "-S", "-c", _KEEPER],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parent,
        start_new_session=True,  # it outlives a signal to our group
    )
    assert keeper.stdin is not None  # noqa: S101  (as it was asked for)
    os.environ.update(dict.fromkeys(_VARIABLES, str(folder)))
    tempfile.tempdir = str(folder)
    try:
        yield Scratch(folder, keeper.stdin)
    finally:
        tempfile.tempdir = before[1]
        for name, value in before[0].items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        with suppress(OSError):  # somebody killed it
            keeper.stdin.close()
        keeper.wait()
        shutil.rmtree(folder, ignore_errors=True)  # as above
