"""Functions that somebody holds, as a subject in this process: behind the same calls as a file in one of its own.

A file is run in isolation, since nobody knows what is in it. Functions in hand are there already, and whoever holds
them has run them: they are called where they are. All else is the same code (`worker.Subject`, `adapters`): arguments
are copies, answers are read into arrays of our own, and what a call did to its arguments is seen.

Nothing is left changed: of the global generators, of the warnings, of the standard streams (`as_it_was`), and of the
namespaces of the functions, of which a copy is traced (`rebound`). What belongs to the whole process while it lasts is
why judgements take turns (`TURN`), whichever threads they are asked for in.
"""

import io
import random
import sys
import threading
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar

import numpy as np

from harness import worker
from harness.isolation import (
    Description,
    IsolatedModule,
    Limits,
    Parse,
    SubjectFault,
    SubjectModule,
    read_description,
)

T = TypeVar("T")

TURN = threading.RLock()
"""Held by the thread that judges."""

KEPT = 64 << 10
"""Signs of what the functions print."""

OURS = frozenset({worker.HERE, worker.ADAPTERS, worker.TRACING, Path(__file__).resolve()})
"""Files whose frames are none of the subject's."""


@contextmanager
def as_it_was() -> Generator[None]:
    """Leave the generators of random, NumPy and torch, and the warnings, at its end as they were; one at a time."""
    with TURN:
        torch = sys.modules.get("torch")
        drawn, numbers = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002  (the global one)
        tensors = None if torch is None else torch.get_rng_state()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # of our own arithmetic, and of the same call a thousand times
                yield
        finally:
            random.setstate(drawn)
            np.random.set_state(numbers)  # noqa: NPY002  (as above)
            if torch is not None:
                torch.set_rng_state(tensors)


class HeldModule(SubjectModule):
    """A module of this process, or functions and constants by the names that a file would give them."""

    def __init__(self, name: str, contents: ModuleType | Mapping[str, Any]) -> None:
        """What reports call it, and what it has."""
        self.name = name
        self._held = _Held(name, contents)
        self._output = io.StringIO()
        self._files: list[IsolatedModule] = []
        self._traced: _Held | None = None

    @property
    def sandbox(self) -> str:
        """None: it runs here."""
        return ""

    @property
    def description(self) -> Description:
        """What it says of itself."""
        return self._held.description

    @property
    def output(self) -> str:
        """The beginning of what its functions printed."""
        return worker.printable(self._output.getvalue())

    @property
    def worker_id(self) -> int:
        """There is one process."""
        return 1

    def beside(self, file: str = "", *, python: str = "") -> SubjectModule:
        """Itself, of which a copy is traced; or a file of the current folder, which a reference is in."""
        if file in ("", self.name):
            return self
        self._files.append(IsolatedModule(file, python=python or None, limits=Limits()))
        return self._files[-1]

    def _exchanged(
        self, message: dict[str, Any], arrays: worker.Arrays, doing: str, parse: Parse[T]
    ) -> tuple[T, float]:
        """The answer as it would have come through a pipe; the time of this thread counts what it took (`clock`)."""
        held, order = self._held, message.get("operate")
        if order is not None and order["do"] == "trace":
            held = self._traced = self._traced or held.rebound()
        try:
            with kept(self._output):
                do = held.call if order is None else held.operate
                answer, returned = do(message, bytearray(worker.packed(arrays)))
        except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever it is, it is an answer)
            fault = held.explain(error, doing)
            raise SubjectFault(fault["fault"], fault["sentence"], fault["trace"]) from None
        return parse({**answer, "processor": 0.0}, bytearray(worker.packed(returned))), 0.0

    def renew(self) -> None:
        """There is no other process, and nothing is forgotten."""

    def close(self) -> bool:
        """Let go of the files beside it."""
        left = [one.close() for one in self._files]
        return any(left)


class _Held(worker.Subject):
    """The functions, as the worker of a file has them."""

    def __init__(self, name: str, contents: ModuleType | Mapping[str, Any]) -> None:
        super().__init__()
        self.name = name
        if isinstance(contents, ModuleType):
            self.module, self.given = contents, None
            file = getattr(contents, "__file__", None)
            self.folder = str(Path(file).resolve().parent) if file else self._folder_of(vars(contents))
        else:
            self.module, self.given = ModuleType(name), dict(contents)
            vars(self.module).update(contents)
            self.folder = self._folder_of(contents)
        self.operations = worker.adapters.Operations(self.module)
        for function in ("gradient", "loss", "step"):
            if callable(found := getattr(self.module, function, None)):
                self.functions[function] = found
        answer = {
            "problem": worker.Encoder(0, plain=True).encode(getattr(self.module, "PROBLEM", None)),
            "functions": {name: worker.describe(one) for name, one in self.functions.items()},
            "module": self.contents(self.module),
        }
        self.description = read_description(answer, bytearray())

    def _folder_of(self, contents: Mapping[str, Any]) -> str:
        """The folder of the first function that has one, a cell's too."""
        files = [
            one
            for value in contents.values()
            if not worker.in_library(value) and (one := _file(value)).is_absolute()
        ]
        return str(files[0].parent) if files else ""

    def owns(self, value: Any) -> bool:
        """All that was handed over; of a module, what was written in it or beside it."""
        if self.given is not None or getattr(value, "__module__", None) == self.module.__name__:
            return True
        return bool(self.folder) and _is_in(self.folder, _file(value))

    def shown(self, filename: str | None) -> str:
        """The file's name, unless it is one of Python's, of a library, or ours; a cell has a file that is not there."""
        path = Path(filename or "")
        if not filename or path.resolve() in OURS or worker.LIBRARY in path.parents:
            return ""
        if worker.INSTALLED.intersection(path.parts) or filename.startswith("<frozen"):
            return ""
        is_cell = filename.startswith("<ipython-input-") or not (filename.startswith("<") or path.is_file())
        return "the cell" if is_cell else path.name

    def seeing(self) -> list[ModuleType]:
        """None: another NumPy is seen by the copies of `rebound` alone."""
        return []

    def rebound(self) -> "_Held":
        """The same with copies of the functions in the place of all that are the subject's own, for being traced."""
        copies = _Copies(worker.standing_alone(worker.TRACING).stand_ins(), self.folder)
        names = vars(self.module) if self.given is None else self.given
        for value in list(names.values()):
            copies.knows(value)
        traced = _Held(
            self.name, {name: copies.of(value) for name, value in names.items() if name[:2] != "__"}
        )
        traced.folder = self.folder
        return traced


class _Copies:
    """Copies of functions, and of the namespaces that they see, in which other values stand for some."""

    def __init__(self, instead: Mapping[int, Any], folder: str) -> None:
        """What stands for a value, by its id; and the folder whose functions are the subject's own."""
        self._instead, self._folder = instead, folder
        self._namespaces: dict[int, dict[str, Any]] = {}
        self._known: set[int] = set()
        self._made: dict[int, FunctionType] = {}

    def knows(self, value: Any) -> None:
        """Take the namespace of a function for the subject's own."""
        if isinstance(value, FunctionType) and not worker.in_library(value):
            self._known.add(id(value.__globals__))

    def of(self, value: Any) -> Any:
        """What stands for a value, a copy of a function, or the value itself."""
        if id(value) in self._instead:
            return self._instead[id(value)]
        if not isinstance(value, FunctionType) or not self._owns(value):
            return value
        if id(value) not in self._made:
            names = self._namespace(value.__globals__)
            copy = FunctionType(value.__code__, names, value.__name__, value.__defaults__, value.__closure__)
            copy.__kwdefaults__ = value.__kwdefaults__
            copy.__module__ = value.__module__
            self._made[id(value)] = copy
        return self._made[id(value)]

    def _owns(self, function: FunctionType) -> bool:
        is_near = bool(self._folder) and _is_in(self._folder, _file(function))
        return id(function.__globals__) in self._known or is_near

    def _namespace(self, names: dict[str, Any]) -> dict[str, Any]:
        if id(names) not in self._namespaces:
            copy = self._namespaces[id(names)] = {}
            copy.update({name: self.of(value) for name, value in list(names.items())})
        return self._namespaces[id(names)]


def _file(value: Any) -> Path:
    """The file that a function was written in, as its code has it; of a cell, one that is not there."""
    code = getattr(getattr(value, "__wrapped__", value), "__code__", None)
    return Path(getattr(code, "co_filename", ""))


def _is_in(folder: str, file: Path) -> bool:
    """Whether a file is one of the subject's folder, and of no library in it."""
    return Path(folder) in file.parents and "site-packages" not in file.parts and file not in OURS


@contextmanager
def kept(output: io.StringIO) -> Generator[None]:
    """Within it, what this thread prints is kept, and what others print goes where it went."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_OfThisThread(stream, output) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _OfThisThread(io.TextIOBase):
    """A stream for all threads but the one that makes it, whose text is kept, up to a length."""

    def __init__(self, stream: Any, kept: io.StringIO) -> None:
        """The stream of the others, and where the text is kept."""
        self._stream, self._kept, self._thread = stream, kept, threading.get_ident()

    def write(self, text: str, /) -> int:
        """As the stream does."""
        if threading.get_ident() != self._thread:
            return self._stream.write(text)
        self._kept.write(text[: max(0, KEPT - self._kept.tell())])
        return len(text)

    def flush(self) -> None:
        """As the stream does."""
        if self._stream is not None:
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """What else the stream has."""
        return getattr(self._stream, name)
