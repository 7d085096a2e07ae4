"""What an earlier report has judged already: `manual-backprop verify folder --resume results.json`.

An outcome holds again where the same judge was asked the same of the same text: of the file and of the neighbours that
it imports. What nobody could tell is asked again.
"""

import ast
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.node import installed
from harness.outcomes import Outcome, Request, Told
from properties.diagnosis import Diagnosis
from properties.search import Record, Verdict


class ReportError(Exception):
    """A report can't be read; the message is one sentence."""


def asked(request: Request, hints: int) -> dict[str, Any]:
    """All that was asked of a file: where one of these is another, so may be what a report says of it."""
    return {
        "file": request.path or "",
        "cases": request.effort.cases,
        "seed": request.effort.seed,
        "only": list(request.only),
        "quick": request.stops,
        "time_limit": request.seconds,
        "python": request.python or "",
        "hints": hints,
    }


def sha256(path: str) -> str:
    """The SHA-256 of a file and of the neighbours that it imports, in turn; empty for what is no file."""
    if not Path(path).is_file():
        return ""
    found = dict(_read(Path(path)))
    if len(found) == 1:
        (content,) = found.values()
        return hashlib.sha256(content).hexdigest()  # as `sha256sum` prints it
    each = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(found.items()))
    return hashlib.sha256(os.fsencode("".join(each))).hexdigest()


def texts(path: str) -> set[Path]:
    """The file, and the neighbours that it imports, in turn; nothing for what is no file."""
    return {Path(path).parent / name for name, _ in _read(Path(path))} if Path(path).is_file() else set()


def _read(file: Path) -> Iterator[tuple[str, bytes]]:
    """The file and its neighbours by their names, each once. What can't be read is told where it is judged."""
    waiting, seen = [file], {file}
    while waiting:
        one = waiting.pop()
        try:
            content = one.read_bytes()
        except OSError:
            continue
        yield str(one.relative_to(file.parent)), content
        new = {near for name in _names(content) for near in _neighbours(file.parent, name)} - seen
        seen |= new
        waiting += sorted(new)


def _names(content: bytes) -> set[str]:
    """The modules that a text imports, and the files that it names, as `REFERENCE = "mine.py:function"` does."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found |= {one.name for one in names}
            case ast.ImportFrom(module=module, names=names):
                found |= {".".join(filter(None, (module, one.name))) for one in names} | {module or ""}
            case ast.Constant(value=str(text)) if ".py" in text:
                found.add(text.partition(":")[0].removesuffix(".py").replace("/", "."))
            case _:
                pass
    return found - {""}


def _neighbours(folder: Path, name: str) -> Iterator[Path]:
    """The files in a folder that `import name` reads: each package on the way to it, and the module."""
    path = folder
    for part in name.split("."):
        path /= part
        yield from (one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file())


# --- the report ----------------------------------------------------------------------------------------------


DECIDED = frozenset({Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.UNSTABLE})


class Earlier:
    """An earlier report."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises `ReportError`."""
        self._files: dict[str, list[dict[str, Any]]] = {}
        try:
            for one in json.loads(path.read_text("utf-8")):
                self._files.setdefault(one["asked"]["file"], []).append(one)
        except OSError as error:
            raise ReportError(f"{path} can't be read: {error.strerror}.") from None
        except (ValueError, KeyError, TypeError):
            raise ReportError(
                f"{path} is no report to go on from: it has to be one that --json of this version wrote."
            ) from None

    @property
    def seed(self) -> int | None:
        """The seed of its first file; None where it has none."""
        return next((one["asked"]["seed"] for found in self._files.values() for one in found), None)

    def outcomes(self, request: Request, hints: int) -> list[Outcome]:
        """What it says of a file, of each of its operations; nothing where that need not hold any more.

        Raises `ReportError`.
        """
        found = self._files.get(request.path or "", [])
        wanted = asked(request, hints), request.sha256, installed()
        if not request.sha256 or any(
            (one["asked"], one["sha256"], one["version"]) != wanted for one in found
        ):
            return []
        try:
            outcomes = [_outcome(one) for one in found]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ReportError(f"What the earlier report says of {request.name} can't be read.") from None
        return outcomes if all(one.verdict in DECIDED for one in outcomes) else []


class Kept:
    """The outcomes of this run, for its next turn."""

    def __init__(self) -> None:
        """None yet."""
        self._files: dict[str, list[Outcome]] = {}

    def outcomes(self, request: Request, hints: int) -> list[Outcome]:
        """Those of a file, where its text is the same; nothing where nobody could tell."""
        del hints  # they are the same all along
        found = self._files.get(request.path or "", [])
        holds = bool(request.sha256) and all(
            one.sha256 == request.sha256 and one.verdict in DECIDED for one in found
        )
        return found if holds else []

    @property
    def digests(self) -> dict[str, str]:
        """The texts that were judged, by the paths of their files: the SHA-256 of each."""
        return {path: found[0].sha256 for path, found in self._files.items()}

    def keep(self, outcomes: list[Outcome]) -> None:
        """Those of all files."""
        self._files = {}
        for one in outcomes:
            self._files.setdefault(one.path, []).append(one)


def _outcome(told: dict[str, Any]) -> Outcome:
    """The outcome that a report tells, as far as reports show it."""
    same = {
        name: told[name] for name in ("subject", "message", "trace", "remark", "seconds", "again", "sandbox")
    }
    outcome = Outcome(
        verdict=Verdict(told["verdict"]),
        records=[_record(one) for one in told["properties"]],
        diagnosis=None if told["diagnosis"] is None else _diagnosis(told["diagnosis"]),
        path=told["asked"]["file"],
        sha256=told["sha256"],
        asked=told["asked"],
        **same,
    )
    if outcome.shown is not None:
        outcome.script = f"{outcome.shown[1].as_python()}\n# {outcome.again}"
    return outcome


def _record(told: dict[str, Any]) -> Record:
    from harness.judging import PROPERTIES  # noqa: PLC0415  (JAX takes a second to import: for who goes on alone)

    record = Record.of(PROPERTIES[told["name"]])
    for name in ("cases", "open_entries", "entries", "message", "seconds", "tried", "cut"):
        setattr(record, name, told[name])
    record.verdict, record.reasons = Verdict(told["verdict"]), Counter(told["inconclusive"])
    if told["counterexample"] is not None:
        record.counterexample = Told(told["counterexample"])
    return record


def _diagnosis(told: dict[str, Any]) -> Diagnosis:
    """What was told of a mistake: what the hints kept back then is not there, and is not asked for now."""
    return Diagnosis(
        mistakes=tuple(told["mistakes"]),
        place=told["where"],
        answer=told["hint"],
        **{
            name: told[name]
            for name in ("explanation", "evidence", "contributions", "where", "note", "sentence", "hint")
        },
        of_fresh_case=told["of_fresh_case"],
    )
