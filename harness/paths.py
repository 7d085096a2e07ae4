"""What a user may name as a subject: a file, a folder of files, or a module."""

import importlib.util
import os
from pathlib import Path


class NoSubjectError(Exception):
    """There is nothing to judge under that name; the message is one sentence."""


def expanded(subject: str) -> list[str]:
    """A file or module as it is, a folder as the submissions in it. Raises `NoSubjectError`."""
    if not subject:
        raise NoSubjectError("An empty name is not a file or module.")
    path = Path(subject)
    try:
        if path.is_dir():
            found = sorted(str(file) for file in path.iterdir() if _is_submission(file))
            if not found:
                deeper = " itself: name its subfolders" if left_out(subject) else ""
                raise NoSubjectError(f"The folder {subject} has no Python files{deeper}.")
            return found
        there, is_file = path.exists(), path.is_file()
    except OSError as error:  # a loop of links, a name that is too long
        raise NoSubjectError(f"{subject} can't be read: {error.strerror}.") from None
    if is_file and not os.access(path, os.R_OK):
        raise NoSubjectError(f"{subject} can't be read: you have no permission.")
    if is_file or _is_module(subject):
        return [subject]
    if there:
        raise NoSubjectError(f"{subject} is not a file.")
    raise NoSubjectError(f"There is no file or module {subject}.")


def _is_submission(path: Path) -> bool:
    """Whether a file of a folder is somebody's: not one of Python's, pytest's or the system's own."""
    is_own = path.name.startswith((".", "__")) or path.name == "conftest.py"
    return path.suffix.lower() == ".py" and not is_own and path.is_file()


def left_out(subject: str) -> int:
    """How many Python files lie in the subfolders of a folder; 0 for anything else."""
    path = Path(subject)
    below = [file for file in path.glob("*/**/*") if _is_submission(file)] if path.is_dir() else []
    return sum(
        not any(part.startswith((".", "__")) for part in file.relative_to(path).parts) for file in below
    )


def _is_module(name: str) -> bool:
    """Whether a name such as `course.week3` can be imported from here."""
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    here = Path(*name.split("."))
    if here.with_suffix(".py").is_file() or here.is_dir():
        return True
    try:
        return (
            importlib.util.find_spec(name.partition(".")[0]) is not None
        )  # what is below would be imported here
    except (ImportError, ValueError):
        return False
