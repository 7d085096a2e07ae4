"""`manual-backprop verify mine.py --watch`: judged again whenever its text changes, or that of a neighbour."""

from contextlib import suppress
from pathlib import Path

from harness.paths import NoSubjectError, expanded
from harness.resumption import sha256, texts

LOOK = 2000
"""Milliseconds between two looks: a change between the last one and the start of the watch gives no event."""


def changed(subjects: tuple[str, ...], known: dict[str, str]) -> list[str]:
    """The files to judge, as soon as a text of theirs is none that is known; none after Ctrl-C.

    Needs watchfiles, an extra.
    """
    from watchfiles import watch  # noqa: PLC0415  (an extra)

    folders = {file.parent for path in known for file in texts(path)}
    folders |= {Path(one) for one in subjects if Path(one).is_dir()}
    for _ in watch(
        *folders, recursive=False, rust_timeout=LOOK, yield_on_timeout=True, raise_interrupt=False
    ):
        with suppress(NoSubjectError):  # an editor puts another in its place
            paths = [path for subject in subjects for path in expanded(subject)]
            if {path: sha256(path) for path in paths} != known:
                return paths
    return []
