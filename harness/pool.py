"""Judges in processes of their own, which take one subject after another: no subject spoils another's verification.

The command starts them before it imports what it needs itself, so this module imports nothing that takes long.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from harness.isolation import adopt, end_orphans, shield
from harness.worker import children, is_stopped

if TYPE_CHECKING:
    from harness.outcomes import Outcome, Request
    from properties.search import Record

Pipe: TypeAlias = "Connection[Request, Record | Outcome | None]"
"""To a judge go requests; back come None when it is ready, the record of each property, and the outcome."""

GRACE = 30.0
"""Seconds beyond its time in which a judge may finish its case: after them it is ended."""

HANGS = 10.0
"""So many times its seconds may a file take on the wall: a process that takes longer hangs, and is ended."""

GLANCE = 0.5
"""Seconds between two looks at judges that say nothing."""

TRIES = 2
"""Times that a file is judged where the judge fails or is lost: once more in a new one, which no other file has met."""

TOO_SLOW = "could not be judged within {:g} s on the wall."
LOST = "brought the process down that verifies it: it may not touch other processes."
STOPPED = "stopped the process that verifies it: it may not touch other processes."


class Judges:
    """So many processes that judge; a context manager, at whose end they end."""

    def __init__(self, jobs: int, files: int = 1) -> None:
        """Start as many as there are files, the others when they are needed."""
        self._variables = {"PYTHONSAFEPATH": "1"}  # Python leaves out the folder that it is started in
        shield()
        adopt(on=True)
        self._jobs = jobs
        self._idle = [_Judge(self._variables) for _ in range(min(jobs, files))]
        self._busy: list[_Judge] = []
        self._siblings = set(children(os.getpid()))  # the judges, and what else the command has started

    def __enter__(self) -> Self:
        """They are started."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them, and the subjects that they judge."""
        for one in (*self._idle, *self._busy):
            one.end()
        end_orphans(self._siblings)
        adopt(on=False)

    def judge_all(
        self,
        requests: "Sequence[Request]",
        done: "Callable[[Outcome], None]",
        announce: "Callable[[Record], None]" = lambda record: None,
    ) -> "list[Outcome]":
        """Judge the subjects, and return their outcomes in the same order.

        Args:
            requests: what to judge.
            done: called with the outcome of each subject as soon as it is there.
            announce: called with the record of each property of the first subject as soon as it is there.

        Raises:
            KeyboardInterrupt: within `GLANCE` seconds of Ctrl-C.
        """
        interrupted = threading.Event()
        with on_interrupt(lambda *_: interrupted.set()):
            return self._judge_all(requests, done, announce, interrupted)

    def _judge_all(
        self,
        requests: "Sequence[Request]",
        done: "Callable[[Outcome], None]",
        announce: "Callable[[Record], None]",
        interrupted: threading.Event,
    ) -> "list[Outcome]":
        found: dict[int, Outcome] = {}
        waiting = deque((number, request, 1) for number, request in enumerate(requests))
        while waiting or self._busy:
            while waiting and len(self._busy) < self._jobs:
                self._busy.append(self._idle.pop() if self._idle else self._new())
                self._busy[-1].take(*waiting.popleft())
            wait([one.pipe for one in self._busy], timeout=GLANCE)
            if interrupted.is_set():
                raise KeyboardInterrupt
            for one in list(self._busy):
                outcome = one.answer(announce if one.number == 0 else _silently)
                if outcome is None:
                    continue
                self._busy.remove(one)
                if outcome.is_broken:
                    one.end()
                    end_orphans(self._siblings)
                    if one.tries < TRIES:
                        waiting.appendleft((one.number, one.request, one.tries + 1))
                        continue
                else:
                    self._idle.append(one)
                found[one.number] = outcome
                done(outcome)
        return [found[number] for number in range(len(requests))]

    def _new(self) -> "_Judge":
        one = _Judge(self._variables)
        self._siblings.add(one.process.pid or 0)
        return one


def _silently(record: "Record") -> None:
    """Announce nothing."""


class _Judge:
    """One process: it lives until its pipe closes, with which our own end, however it comes, is its end too."""

    number: int
    request: "Request"
    tries: int

    def __init__(self, variables: dict[str, str]) -> None:
        """Start it with these variables in its environment."""
        context = multiprocessing.get_context("spawn")
        self.pipe: Connection[Any, Any]
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _environment(variables):
            self.process.start()
        theirs.close()
        self._is_ready = False

    def take(self, number: int, request: "Request", tries: int) -> None:
        """Begin with a subject. Its time begins when the judge is ready."""
        self.number, self.request, self.tries, self.started = number, request, tries, perf_counter()
        self.pipe.send(request)

    def answer(self, announce: "Callable[[Record], None]") -> "Outcome | None":
        """The outcome, if there is one by now; for a process that is lost or hangs, what is known."""
        from harness.outcomes import Outcome  # noqa: PLC0415  (see above)
        from properties.search import Verdict  # noqa: PLC0415

        try:
            while self.pipe.poll():
                said = self.pipe.recv()
                if isinstance(said, Outcome):
                    return said
                if said is None:
                    self._is_ready, self.started = True, perf_counter()
                else:
                    announce(said)
        except (EOFError, OSError):
            return self._lost(LOST, Verdict.FAIL)
        except Exception as error:  # noqa: BLE001  (what a process of ours says can't be read: the other files wait)
            return self._lost(
                f"could not be reported ({type(error).__name__}: {error}).", Verdict.INCONCLUSIVE
            )
        if self.process.pid is not None and is_stopped(self.process.pid):
            return self._lost(STOPPED, Verdict.FAIL)
        if self._is_ready and perf_counter() - self.started > HANGS * self.request.seconds + GRACE:
            lost = self._lost(TOO_SLOW.format(HANGS * self.request.seconds + GRACE), Verdict.INCONCLUSIVE)
            self.tries = TRIES  # it would take as long again
            return lost
        return None

    def _lost(self, what: str, verdict: Any) -> "Outcome":
        from harness.outcomes import Outcome  # noqa: PLC0415  (see above)

        name = self.request.name
        seconds = perf_counter() - self.started
        return Outcome(name, verdict, message=f"{name} {what}", seconds=seconds, is_broken=True)

    def end(self) -> None:
        """End it, and with it the process of its subject."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


@contextmanager
def on_interrupt(handler: Callable[..., object]) -> Generator[None]:
    """Within it, Ctrl-C calls the handler, where it would raise KeyboardInterrupt.

    One that is raised in a callback of a library is lost, and one in the import of a library may abort it.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield  # in a job in the background it is ignored
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _environment(variables: dict[str, str]) -> Generator[None]:
    """Set variables of the environment, for a while."""
    before = os.environ.copy()
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update({name: before[name] for name in variables if name in before})


def _serve(pipe: "Connection[Any, Any]") -> None:
    """Judge what comes through the pipe, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends us
    shield()
    adopt(on=True)
    requests: SimpleQueue[Request] = SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, requests), daemon=True).start()
    from harness.outcomes import verify  # noqa: PLC0415  (see above)

    pipe.send(None)
    while True:
        pipe.send(verify(requests.get(), pipe.send))


def _listen(pipe: "Connection[Any, Any]", requests: "SimpleQueue[Request]") -> None:
    """Hand on the requests; the end of the pipe ends this process, in the middle of a verification too."""
    try:
        while True:
            requests.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(0)
