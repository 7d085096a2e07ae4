"""The judge's side of the isolation: starts a worker, speaks with it, bounds it, and clears up after it.

`worker.py` says how a call travels, what the isolation promises, and what it doesn't; `sandbox.py` what a sandbox is.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from types import TracebackType
from typing import IO, Any, ClassVar, Literal, Self, TypeAlias, TypeVar

from harness import worker
from harness.worker import Unsupported
from properties.functions import Function, Module, Signature

__all__ = [
    "SANDBOXES",
    "Description",
    "IsolatedModule",
    "Limits",
    "Operated",
    "Result",
    "Sandbox",
    "Signature",
    "SubjectFault",
    "SubjectModule",
    "Unsupported",
    "adopt",
    "end_orphans",
    "shield",
]

T = TypeVar("T")
Parse: TypeAlias = Callable[[dict[str, Any], bytearray], T]
"""What is made of an answer and the bytes of its arrays."""
Paths: TypeAlias = tuple[tuple[int, ...], ...]

Sandbox: TypeAlias = Literal["auto", "namespace", "bubblewrap", "none"]
SANDBOXES: tuple[Sandbox, ...] = (
    "namespace",
    "bubblewrap",
    "none",
)  # the strongest first, which `auto` tries first
NOT_HERE = "The sandbox {} isn't available here: {}."
OLDEST = (3, 9)  # Python of a subject
# Of the limit of a call: what comes before one, in an order of several, makes little of a difference.
A_WHILE = 1 / 40
# A variable in the environment of a worker without a sandbox, and of all that it starts, as systemd gives one to each
# service: nothing that would tell a file that it is judged.
MARKER = "INVOCATION_ID"
KINDS = frozenset(
    {"contract", "exception", "exit", "import", "memory", "not_found", "size", "syntax", "undefined"}
)  # told by the worker
# From parsing an answer that is none.
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
TEXT_LIMIT = 10_000  # characters of a sentence or a traceback
HOG_SHARE = 0.25  # of the memory that it may use: one that is late with so much of it is told so
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0  # bytes
PATIENCE = 10.0  # seconds in which a supervisor kills what is left, and exits
GLANCE = 0.1  # seconds between two looks at one that takes its time
SMALLEST_LIMIT = 64 << 20  # bytes that any call may return
ANSWER_PER_ARGUMENT = 16  # bytes that a call may return for each byte of its arguments
PADDING = worker.ALIGNMENT * worker.NODE_LIMIT  # bytes that a frame may add to the arrays
BROKEN_CHANNEL = (
    "{} broke the channel to the judge: it closes or writes to file descriptors that it did not open, "
    "or replaces parts of Python."
)
ENVIRONMENT = {
    **{
        f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
    },  # faster on small arrays, and
    "VECLIB_MAXIMUM_THREADS": "1",  # the same sums each time
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",  # a user's folder stays as it is
    "PYTHONIOENCODING": "utf-8:backslashreplace",
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "MPLBACKEND": "Agg",  # a plot opens no window
}
CACHES = {  # where the home can't be written to
    "XDG_CACHE_HOME": "/tmp/.cache",  # noqa: S108 - of a /tmp of its own
    "MPLCONFIGDIR": "/tmp/.config/matplotlib",  # noqa: S108 - as above
}


class SubjectFault(Exception):  # noqa: N818 - the fault is the subject's, and an answer of this module
    """What the subject did wrong, as one sentence in its user's words.

    `kind` is one of: exception, contract (functions that don't fit together), syntax, import, not_found (no
    such file, module or function), exit, crash, timeout, memory, size (of what it returned), protocol (it broke
    the channel to the judge), interpreter (of no use for running it). `trace` is the subject's own traceback,
    of the frames in its own files, or empty.
    """

    def __init__(self, kind: str, sentence: str, trace: str = "") -> None:
        """As the fields; the sentence is the text of the exception."""
        super().__init__(sentence)
        self.kind = kind
        self.trace = trace


@dataclass(frozen=True)
class Description:
    """What the subject says of itself."""

    problem: Any  # PROBLEM as plain JSON data, with `Unsupported` for what is not; None where there is none
    functions: dict[str, Signature]  # those of gradient, loss and step that it has
    module: Module  # all that a declaration of operations is read from
    has_jax: bool  # whether its interpreter does


@dataclass(frozen=True)
class Limits:
    """What a subject may use."""

    call_seconds: float = 10.0
    start_seconds: float = 60.0  # of the import, and of the start of the interpreter before it
    total_seconds: float | None = None  # of all starts and calls together
    memory_bytes: int | None = 4 << 30  # of each of its processes
    output_bytes: int = 64 << 10  # of what it prints, kept
    restarts: int = 3  # after crashes and time limits
    remedy: str = ""  # what gives more time, in words


@dataclass(frozen=True)
class Result:
    """What a call returned, and did.

    A path is a tuple of indices: in `([(W, b), (W, b)], inputs, targets)`, (0, 1, 0) is the second W.
    """

    value: Any  # arrays, NumPy scalars, numbers, None, `Unsupported`, and lists and tuples of these
    mutated: Paths  # the arguments that the call changed in place
    aliased: Paths  # the returned arrays that lie in the memory of an argument
    overwritten: Paths  # the arrays of the call before that this one changed
    warnings: tuple[str, ...]  # the first few
    processor: float  # seconds that its process has used since it began
    seconds: float  # as the judge sees it


@dataclass(frozen=True)
class Operated:
    """What a call of an operation's function returned, and did: see `adapters`.

    A place of a result is a tuple of indices, as a path; of an argument (0, i) is input i, (1, i) cotangent i.
    """

    value: Any  # as of `Result`
    keys: tuple[str, ...] | None  # where a dict was returned, whose values are `value`
    run: int  # the number of a forward pass
    once: str  # what its cache holds that can be read only once
    changed: Paths  # inputs and cotangents
    cache: tuple[str, ...]  # arrays of the cache that changed
    aliased: tuple[
        tuple[tuple[int, ...], tuple[int, ...], str], ...
    ]  # result, argument, or array of the cache
    reused: Paths  # results in the memory of earlier ones
    overwritten: tuple[tuple[str, tuple[int, ...]], ...]  # earlier results: of forward or backward, place
    warnings: tuple[str, ...]
    processor: float  # as of `Result`
    program: Any  # of a forward pass that was traced, as `reference.transcript` reads it
    why: str  # there is none
    seconds: float


class SubjectModule(ABC):
    """A module whose functions are judged: in a process of its own (`IsolatedModule`), or in ours (`held`).

    A context manager, for one thread at a time.
    """

    name: str
    awhile: float = A_WHILE * Limits.call_seconds
    """Seconds after which one order asks for the outputs at no further place."""

    @property
    @abstractmethod
    def sandbox(self) -> str:
        """The one that was asked for; once it is started, the one that it runs in. Empty for no process of its own."""

    @property
    @abstractmethod
    def description(self) -> Description:
        """What the subject says of itself. Raises SubjectFault where it can't be started."""

    @property
    @abstractmethod
    def output(self) -> str:
        """The beginning of what the subject printed so far; complete after `close`."""

    @property
    @abstractmethod
    def worker_id(self) -> int:
        """Another number for every process that it had; what an earlier one kept is gone. 0 where none runs."""

    @abstractmethod
    def beside(self, file: str = "", *, python: str = "") -> "SubjectModule":
        """The same subject once more, or a file beside it, for calls that leave something behind."""

    @abstractmethod
    def renew(self) -> None:
        """Forget what earlier calls have left behind, where that is possible."""

    @abstractmethod
    def close(self) -> bool:
        """Let go of it; whether something was left running."""

    @abstractmethod
    def _exchanged(
        self, message: dict[str, Any], arrays: worker.Arrays, doing: str, parse: Parse[T]
    ) -> tuple[T, float]:
        """What comes back for a message, with the seconds that it took on the wall. Raises SubjectFault."""

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def call(
        self,
        function: str,
        arguments: tuple[Any, ...],
        keywords: Mapping[str, str | float] | None = None,
        *,
        layout: Literal["C", "F", "strided"] = "C",
    ) -> Result:
        """Call a function of the subject. Raises SubjectFault.

        `arguments` are arrays of numbers, numbers, None, and lists and tuples of these. The subject gets
        copies: its arrays are in C order, in Fortran order, or every second element of a larger array.
        """
        if function not in self.description.functions:
            raise SubjectFault("not_found", f"{self.name} has no function {function}.")
        message = {"function": function, "keywords": dict(keywords or {}), "layout": layout}
        answer, seconds = self._sent(message, arguments, function, read_returned)
        return Result(*answer, seconds=seconds)

    def operate(
        self,
        order: Mapping[str, Any],
        arguments: tuple[Any, ...] = (),
        *,
        options: Mapping[str, Any] | None = None,
        doing: str,
        layout: Literal["C", "F", "strided", "broadcast"] = "C",
    ) -> Operated:
        """Do something with one of its operations. Raises SubjectFault.

        `order` is JSON: what to `do`, by which `plan`; `doing` is what the subject's author calls it.
        """
        operate = {**order, "options": worker.Words().encode(dict(options or {}))}
        message = {"operate": operate, "function": doing, "layout": layout}
        answer, seconds = self._sent(message, arguments, doing, read_operated)
        return Operated(**answer, seconds=seconds)

    def _sent(
        self, message: dict[str, Any], arguments: tuple[Any, ...], doing: str, parse: Parse[T]
    ) -> tuple[T, float]:
        """As `_exchanged`, with arguments; the answer is bounded by their size."""
        encoder = worker.Encoder(inf)
        message["arguments"] = encoder.encode(arguments)
        if encoder.refused:
            raise TypeError(f"an argument is {encoder.refused[0]}, which can't be sent to a subject")
        message["limit"] = max(SMALLEST_LIMIT, ANSWER_PER_ARGUMENT * encoder.bytes)
        return self._exchanged(message, encoder.arrays, doing, parse)


class IsolatedModule(SubjectModule):
    """A subject in a process of its own."""

    _works: ClassVar[dict[str, Sandbox]] = {}  # for each interpreter, what `auto` came to

    def __init__(
        self,
        path: Path | str,
        *,
        python: str | None = None,
        limits: Limits | None = None,
        sandbox: Sandbox = "auto",
        folder: str = "",
    ) -> None:
        """A Python file or the name of a module, the interpreter that runs it (by default ours), and the sandbox.

        `folder` is where it lies, where that is neither the file's own nor, of a module, the current one.
        """
        lies = Path(folder, Path(path).name) if folder else Path(path)
        is_file = isinstance(path, Path) or path.endswith(".py") or lies.is_file()
        is_file = is_file or not all(part.isidentifier() for part in str(path).split("."))
        self.name = worker.printable(Path(path).name if is_file else str(path))
        self.limits = limits or Limits()
        self.awhile = A_WHILE * self.limits.call_seconds
        self._path = lies.absolute() if is_file else None
        self._module = "" if is_file else str(path)
        self._folder = self._path.parent if self._path else Path(folder or Path.cwd())
        self._python = python or sys.executable
        self._sandbox: Sandbox = sandbox
        self._own: tempfile.TemporaryDirectory[str] | None = (
            None  # a temporary folder, where no sandbox gives one
        )
        self._siblings: set[int] = set()  # our children when it was started
        self._marker = os.urandom(16).hex()
        self._process: subprocess.Popen[bytes] | None = None
        self._description: Description | None = None
        self._starts = 0
        self._spent = 0.0
        self._final: SubjectFault | None = None  # what every further call raises
        self._output = bytearray()
        self._dropped = 0
        self._beside: dict[tuple[str, str], IsolatedModule] = {}

    def beside(self, file: str = "", *, python: str = "") -> "IsolatedModule":
        """Another process for the same subject, or for a file beside it; it ends with this one.

        Under the interpreter of this one, or another.
        """
        key = file, python
        if key not in self._beside:
            path = self._folder / file if file else self._path or self._module
            self._beside[key] = IsolatedModule(
                path,
                python=python or self._python,
                limits=self.limits,
                sandbox=self._sandbox,
                folder="" if isinstance(path, Path) else str(self._folder),
            )
        return self._beside[key]

    @property
    def sandbox(self) -> Sandbox:
        """See `SubjectModule.sandbox`."""
        return self._sandbox

    @property
    def description(self) -> Description:
        """What the subject says of itself. Raises SubjectFault where it can't be started."""
        if self._description is None:
            self.start()
        assert self._description is not None  # noqa: S101 - `start` has set it
        return self._description

    @property
    def output(self) -> str:
        """The beginning of what the subject printed so far; complete after `close`."""
        more = f"\n[and {self._dropped} bytes more]" if self._dropped else ""
        return worker.printable(self._output.decode(errors="replace")) + more

    def start(self) -> None:
        """Start a worker and import the subject, where that has not been done. Raises SubjectFault."""
        if self._final is not None:
            raise SubjectFault(self._final.kind, str(self._final), self._final.trace)
        if self._process is not None:
            return
        try:
            self._check_file()
            self._enter()
            name = self._module or self.name
            message = {"name": name, "path": str(self._path or ""), "memory": self.limits.memory_bytes}
            self._description = self._exchange(
                message, [], f"Importing {self.name}", self.limits.start_seconds, 0, read_description
            )
        except SubjectFault as fault:
            self._final = fault
            self.close()
            raise

    def probe(self) -> None:
        """Start the worker alone, without the subject, and end it. Raises SubjectFault where it can't be started."""
        self._enter()
        self.close()

    def _enter(self) -> None:
        """Start a worker in the strongest sandbox that works here, or in the one that was asked for."""
        asked = self._works.get(self._python, "auto") if self._sandbox == "auto" else self._sandbox
        tried: tuple[Sandbox, ...] = SANDBOXES if asked == "auto" else (asked,)
        for sandbox in tried:
            try:
                reason = _obstacle(sandbox)
                if not reason:
                    self._spawn(sandbox)
                    self._exchange({}, [], "", self.limits.start_seconds, 0, _python)
                    if asked == "auto":
                        self._works[self._python] = sandbox
                    self._sandbox = sandbox
                    return
            except _NoSandboxError as error:
                reason, self._starts = str(error), 0
            if asked != "auto":
                raise SubjectFault("interpreter", NOT_HERE.format(asked, reason))

    def _exchanged(
        self, message: dict[str, Any], arrays: worker.Arrays, doing: str, parse: Parse[T]
    ) -> tuple[T, float]:
        """By a worker; by a fresh one where the last one is lost."""
        self.start()
        began = time.perf_counter()
        answer = self._exchange(message, arrays, doing, self.limits.call_seconds, message["limit"], parse)
        return answer, time.perf_counter() - began

    @property
    def worker_id(self) -> int:
        """Another number for every worker; what an earlier one kept is gone. 0 where none runs."""
        return 0 if self._process is None else self._process.pid

    def renew(self) -> None:
        """Let the next call start a worker of its own, which counts for no lost one."""
        if self._process is not None:
            self._stop()
            self._starts -= 1

    def close(self) -> bool:
        """End the worker and all that it started.

        Returns whether there were daemons, or the supervisor that would know was killed, or had to be.
        """
        left = [one.close() for one in self._beside.values()]
        status = 0 if self._process is None else self._stop()
        return any(left) or status == worker.DAEMONS or (status < 0 and os.name == "posix")

    def _check_file(self) -> None:
        """Raise the fault of a path that leads to no Python file."""
        if self._path is None:
            return
        if not self._path.exists():
            raise SubjectFault("not_found", f"There is no file {self.name} in {self._path.parent}.")
        if self._path.is_dir():
            raise SubjectFault("not_found", f"{self.name} is a folder: name the Python file in it.")
        if not self._path.is_file():
            raise SubjectFault("not_found", f"{self.name} is not a file.")
        if self._path.suffix != ".py":
            raise SubjectFault("not_found", f"{self.name} is not a Python file: its name should end in .py.")

    def _spawn(self, sandbox: Sandbox) -> None:
        """Start an interpreter on `worker.py`, with pipes of their own for the protocol."""
        shield()
        theirs_in, self._requests = os.pipe()
        self._answers, theirs_out = os.pipe()
        posix = os.name == "posix"
        if posix:
            os.set_blocking(self._requests, False)
        # Windows passes on standard streams alone: the worker takes them for itself before the subject runs.
        channels = (theirs_in, theirs_out) if posix else (0, 1)
        if sandbox == "none":
            self._own = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._siblings = set(worker.children(os.getpid())) if _adopts else set()
        # The interpreter starts in a folder of ours, and as for every script the folder of `worker.py` is first on its
        # path, which `worker.py` removes: nothing that lies where the command is called is imported in its place.
        python = str(Path(found).absolute()) if (found := shutil.which(self._python)) else self._python
        arguments = [python, worker.HERE, *channels, sandbox, self._folder]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - to run the user's file is the purpose
                [*(_bubblewrap() if sandbox == "bubblewrap" else []), *map(os.fspath, map(str, arguments))],
                cwd=worker.HERE.parent,
                stdin=subprocess.PIPE if posix else theirs_in,
                stdout=subprocess.DEVNULL if posix else theirs_out,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=_environment(self._own and self._own.name, self._marker),
                pass_fds=channels if posix else (),
                start_new_session=posix,  # Ctrl-C is for the judge alone
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # as above, on Windows
            )
        except OSError as error:
            os.close(self._requests)
            os.close(self._answers)
            sentence = f"The interpreter {self._python} can't be started: {error.strerror}."
            raise SubjectFault("interpreter", sentence) from None
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._starts += 1
        self._drainer = threading.Thread(target=self._drain, args=(self._process.stderr,), daemon=True)
        self._drainer.start()

    def _drain(self, stream: IO[bytes]) -> None:
        """Read what the subject prints, so that it never waits for us, and keep the beginning."""
        with stream:
            while piece := stream.read(1 << 16):
                kept = piece[: max(0, self.limits.output_bytes - len(self._output))]
                self._output += kept
                self._dropped += len(piece) - len(kept)

    def _exchange(
        self,
        message: dict[str, Any],
        arrays: worker.Arrays,
        doing: str,
        seconds: float,
        limit: int,
        parse: Parse[T],
    ) -> T:
        """Send a message, and parse the answer, with at most `limit` bytes of arrays. Raises SubjectFault."""
        began = time.monotonic()
        left = float("inf") if self.limits.total_seconds is None else self.limits.total_seconds - self._spent
        self._deadline = began + min(seconds, left)
        token = os.urandom(16)
        frame = worker.pack(token, message, arrays)
        try:
            with self._alarm():
                self._send(frame)
                _, answer, payload = worker.receive(self._pull, limit + PADDING, token)
            _raise_fault(answer)
            return parse(answer, payload)
        except SubjectFault:
            raise
        except (EOFError, OSError, *MALFORMED) as error:
            fault, final = self._loss(error, doing, seconds, left)
            self._final = fault if final else None
            raise fault from None
        except BaseException:  # Ctrl-C, with an answer under way that nobody will read
            self.close()
            raise
        finally:
            self._spent += time.monotonic() - began

    def _loss(self, error: Exception, doing: str, seconds: float, left: float) -> tuple[SubjectFault, bool]:
        """End a worker that gave no answer; the fault, and whether it is the last."""
        late = time.monotonic() >= self._deadline
        eaten = self._memory() if late else 0
        ended = isinstance(error, EOFError | OSError) and not late
        status = self._stop(patience=1.0 if ended else 0.0)
        if late and eaten > HOG_SHARE * (self.limits.memory_bytes or inf):
            fault = (
                "memory",
                f"{doing} used {eaten / 2**30:.2g} GiB of memory, and did not finish in its time.",
            )
        elif late and left <= seconds:
            fault = "timeout", f"{self.name} used up its {self.limits.total_seconds:g} s{self._remedy}."
        elif not doing:
            words = (self.output.strip().splitlines() or ["it gives no answer"])[-1].rstrip(".")
            if status == worker.NO_SANDBOX or words.startswith("bwrap: "):
                self._output.clear()
                raise _NoSandboxError(words.removeprefix("bwrap: ")) from None
            reason = "it has no NumPy" if status == worker.NO_NUMPY else _too_old(self._python) or words
            fault = "interpreter", f"The interpreter {self._python} can't run a module under test: {reason}."
        elif late:
            fault = "timeout", f"{doing} did not finish within {seconds:.3g} s{self._remedy}."
        elif not ended or status in (worker.BROKEN, worker.DAEMONS):
            fault = "protocol", BROKEN_CHANNEL.format(doing)
        elif status < 0:
            fault = "crash", f"{doing} killed the process that supervises it."
        elif status - worker.SIGNALLED in signal.valid_signals():
            fault = "crash", f"{doing} crashed Python: {signal.strsignal(status - worker.SIGNALLED)}."
        else:
            fault = "exit", f"{doing} ended Python with exit status {status} instead of returning."
        return SubjectFault(*fault), self._starts > self.limits.restarts or (late and left <= seconds)

    @property
    def _remedy(self) -> str:
        return self.limits.remedy and f" ({self.limits.remedy})"

    def _memory(self) -> int:
        """Bytes that the worker holds, where the system has /proc; 0 elsewhere."""
        assert self._process is not None  # noqa: S101 - callers look
        pages = 0
        for child in _descendants(self._process.pid):
            with contextlib.suppress(OSError):  # gone
                pages = max(pages, int(Path(f"/proc/{child}/statm").read_text("ascii").split()[1]))
        return pages * PAGE

    @contextlib.contextmanager
    def _alarm(self) -> Generator[None]:
        """Where a pipe can't be waited for with a time limit (Windows), end the worker in time."""
        timer = None
        if os.name != "posix" and self._process is not None:
            timer = threading.Timer(self._deadline - time.monotonic(), self._process.kill)
            timer.start()
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()

    def _wait(self, pipe: int, event: int) -> None:
        """Wait until the pipe is ready. Raises TimeoutError at the deadline."""
        poll = select.poll()
        poll.register(pipe, event)
        left = self._deadline - time.monotonic()
        if left <= 0 or not poll.poll(1000 * left):
            raise TimeoutError

    def _send(self, frame: bytes) -> None:
        """Write the frame."""
        rest = memoryview(frame)
        while rest:
            try:
                rest = rest[os.write(self._requests, rest) :]
            except BlockingIOError:
                self._wait(self._requests, select.POLLOUT)

    def _pull(self, size: int) -> bytes:
        """Read at most `size` bytes."""
        if os.name == "posix":
            self._wait(self._answers, select.POLLIN)
        return os.read(self._answers, size)

    def _stop(self, patience: float = 0.0) -> int:
        """End the worker, after `patience` seconds in which it may end itself, and all that it started.

        Returns the supervisor's exit status; a negative one where it had to be killed, or was.
        """
        process, self._process = self._process, None
        assert process is not None  # noqa: S101 - callers look
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        if process.stdin is None:
            process.kill()
        else:
            process.stdin.close()  # the order to the supervisor to kill all, and to leave
        end = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < end:
            if any(map(worker.is_stopped, self._supervisors(process.pid))):
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GLANCE)
        process.kill()
        process.wait()
        if process.returncode < 0:
            self._sweep()
        os.close(self._requests)
        os.close(self._answers)
        if self._drainer.is_alive():
            self._drainer.join(1.0)  # longer only where a process has escaped
        if self._own is not None:
            self._own.cleanup()
            self._own = None
        return process.returncode

    def _supervisors(self, process: int) -> list[int]:
        """The process that supervises, and those that only pass on its end."""
        return [process, *(_descendants(process)[:2] if self._sandbox == "bubblewrap" else [])]

    def _sweep(self) -> None:
        """Kill what is left after a supervisor was killed: what is our child now, or carries the marker."""
        end_orphans(self._siblings)
        for environment in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if f"{MARKER}={self._marker}".encode() in environment.read_bytes():
                    os.kill(int(environment.parent.name), signal.SIGKILL)


class _NoSandboxError(Exception):
    """The system forbids a sandbox; the message says why."""


_adopts = False  # whether orphans of our descendants become children of this process


def shield() -> None:
    """Keep this process's memory from the subjects of the same user (Linux); root's get at it without a sandbox."""
    worker.prctl(4, 0)  # PR_SET_DUMPABLE


def adopt(*, on: bool) -> None:
    """Whether what a subject started comes to this process where all between were killed (Linux).

    For a process that is ours, and starts nothing else meanwhile: `end_orphans` takes every new child for such a one.
    """
    global _adopts  # noqa: PLW0603 - the kernel keeps it for the process as well
    worker.prctl(36, int(on))  # PR_SET_CHILD_SUBREAPER
    _adopts = on


def end_orphans(siblings: Collection[int]) -> None:
    """Kill the processes that this one has adopted, until there are none: all its children but the siblings."""
    while _adopts and (adopted := set(worker.children(os.getpid())).difference(siblings)):
        for child in adopted:
            with contextlib.suppress(OSError):  # it runs as another user
                os.kill(child, signal.SIGKILL)
        for child in adopted:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _obstacle(sandbox: Sandbox) -> str:
    """What is known, without a try, to keep a sandbox from this machine; empty where nothing is."""
    if sandbox != "none" and sys.platform != "linux":
        return "it needs Linux"
    if sandbox == "bubblewrap" and shutil.which("bwrap") is None:
        return "the program bwrap is not installed"
    return ""


def _bubblewrap() -> list[str]:
    """The command that makes the sandbox and starts in it what follows; the worker adds the filter of system calls."""
    command = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--die-with-parent"]
    command += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    command += ["--remount-ro", "/proc", "--cap-drop", "ALL"]
    if os.geteuid() == 0:
        command += ["--cap-add", "CAP_DAC_READ_SEARCH"]
    folder = Path("/tmp")  # noqa: S108 - one of its own, in which what is there now can be read
    command += ["--perms", "1777", "--tmpfs", str(folder)]
    for entry in folder.iterdir():
        if entry.is_symlink():
            command += ["--symlink", str(entry.readlink()), str(entry)]
        elif entry.is_dir() or entry.is_file():
            command += ["--ro-bind-try", str(entry), str(entry)]
    return [*command, "--"]


def _too_old(python: str) -> str:
    """What is wrong with an interpreter of a version that can't run `worker.py`; empty for another."""
    ask = "import sys; print('%d %d' % sys.version_info[:2])"
    with contextlib.suppress(OSError, subprocess.TimeoutExpired, ValueError):
        done = subprocess.run(  # noqa: S603 - the user's own interpreter
            [shutil.which(python) or python, "-E", "-s", "-c", ask],  # every version knows these
            capture_output=True,
            check=False,
            cwd=worker.HERE.parent,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
        major, minor = map(int, done.stdout.split())
        if (major, minor) < OLDEST:
            return f"it is Python {major}.{minor}, and Python {OLDEST[0]}.{OLDEST[1]} or newer is needed"
    return ""


def _descendants(process: int) -> list[int]:
    """All processes below this one, where the system has /proc."""
    found = worker.children(process)
    return found + [one for child in found for one in _descendants(child)]


def _environment(temporary: str | None, marker: str) -> dict[str, str]:
    """The worker's environment: ours, without what configures our Python and its tests.

    With a temporary folder and the marker for one without a sandbox; a sandbox has a /tmp of its own, and a home that
    can't be written to.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "COV_CORE", "COVERAGE", "__PYVENV"))
        or name in {"PYTHONNOUSERSITE", "PYTHONUSERBASE"}
    }
    path = [Path(entry).absolute() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    kept["PYTHONPATH"] = os.pathsep.join(str(entry) for entry in path if entry.resolve() != worker.ROOT)
    if temporary is not None:
        return {**kept, **ENVIRONMENT, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), temporary), MARKER: marker}
    for name in ("TMPDIR", "TEMP", "TMP"):
        kept.pop(name, None)
    return {**kept, **ENVIRONMENT, **CACHES}


def _text(value: object) -> str:
    """A printable text of bounded length from an answer. Raises TypeError for anything else."""
    return worker.printable(value)[:TEXT_LIMIT]


def _raise_fault(answer: dict[str, Any]) -> None:
    """Raise the fault that a worker tells, if it tells one. Else raises as `MALFORMED`."""
    if "fault" not in answer:
        return
    if answer["fault"] not in KINDS:
        raise ValueError("not a kind of fault")
    raise SubjectFault(answer["fault"], _text(answer["sentence"]), _text(answer["trace"]))


def _python(answer: dict[str, Any], payload: bytearray) -> None:
    """Parse the answer to the first frame: there is nothing in it, but the interpreter works."""


def read_description(answer: dict[str, Any], payload: bytearray) -> Description:
    """Parse the answer to a start. Raises as `MALFORMED`."""
    functions = {_text(name): _signature(one) for name, one in answer["functions"].items()}
    module = answer["module"]
    constants = {_text(name): _declared(tree, (_text(name),)) for name, tree in module["constants"].items()}
    own = {_text(name): _function(one, (_text(name),)) for name, one in module["functions"].items()}
    problem = worker.Decoder(payload, plain=True).decode(answer["problem"])
    return Description(problem, functions, Module("", constants, own), bool(module["jax"]))


def _signature(signature: dict[str, Any]) -> Signature:
    """A signature from an answer. Raises as `MALFORMED`."""
    return Signature(
        positional=tuple(map(_text, signature["positional"])),
        required=int(signature["required"]),
        keywords=frozenset(map(_text, signature["keywords"])),
        required_keywords=frozenset(map(_text, signature["required_keywords"])),
        any_positional=bool(signature["any_positional"]),
        any_keyword=bool(signature["any_keyword"]),
    )


def _function(value: dict[str, Any], path: tuple[str | int, ...]) -> Function:
    """A function from an answer, found at the path. Raises as `MALFORMED`."""
    methods = {_text(name): _signature(one) for name, one in value["methods"].items()}
    return Function(path, _signature(value["signature"]), _text(value["sort"]), methods)


def _declared(tree: Any, path: tuple[str | int, ...]) -> Any:
    """A value that a file declares, with the functions in it. Raises as `MALFORMED`."""
    match tree:
        case ["f", function]:
            return _function(function, path)
        case ["d", *items]:
            return {_text(key): _declared(one, (*path, key)) for key, one in items}
        case ["l", *items]:
            return [_declared(one, (*path, i)) for i, one in enumerate(items)]
        case ["t", *items]:
            return tuple(_declared(one, (*path, i)) for i, one in enumerate(items))
        case _:
            return worker.Decoder(bytearray(), plain=True).decode(tree)


def read_operated(answer: dict[str, Any], payload: bytearray) -> dict[str, Any]:
    """Parse the answer to an order, as the fields of `Operated`. Raises as `MALFORMED`."""
    decoder = worker.Decoder(payload)
    value = decoder.decode(answer["value"])
    if decoder.offset != len(payload):
        raise ValueError("the payload is too long")
    keys = answer["keys"]
    aliased = [(_path(place), _path(owner), _text(label)) for place, owner, label in answer["aliased"]]
    return {
        "value": value,
        "keys": None if keys is None else tuple(map(_text, keys)),
        "run": int(answer["run"]),
        "once": _text(answer["once"]),
        "changed": _paths(answer["changed"]),
        "cache": tuple(map(_text, answer["cache"])),
        "aliased": tuple(aliased),
        "reused": _paths(answer["reused"]),
        "overwritten": tuple((_text(who), _path(place)) for who, place in answer["overwritten"]),
        "warnings": tuple(map(_text, answer["warnings"])),
        "processor": float(answer["processor"]),
        "program": answer["program"],
        "why": _text(answer["why"]),
    }


def read_returned(
    answer: dict[str, Any], payload: bytearray
) -> tuple[Any, Paths, Paths, Paths, tuple[str, ...], float]:
    """Parse the answer to a call. Raises as `MALFORMED`."""
    decoder = worker.Decoder(payload)
    value = decoder.decode(answer["value"])
    if decoder.offset != len(payload):
        raise ValueError("the payload is too long")
    warnings = tuple(map(_text, answer["warnings"]))
    mutated, aliased, overwritten = (_paths(answer[key]) for key in ("mutated", "aliased", "overwritten"))
    return value, mutated, aliased, overwritten, warnings, float(answer["processor"])


def _paths(value: list[list[int]]) -> Paths:
    """Paths from an answer. Raises as `MALFORMED`."""
    return tuple(map(_path, value))


def _path(value: list[int]) -> tuple[int, ...]:
    """One of them. Raises as `MALFORMED`."""
    return tuple(int(index) for index in value)
