"""Judges in processes of their own, which take one subject after another: no subject spoils another's verification.

The command starts them before it imports what it needs itself, so this module imports nothing that takes long. What
goes to a judge and comes back from it stays pickled here: whoever only passes it on (see `node`) needs none of it.
"""

import multiprocessing
import os
import pickle
import signal
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from harness.isolation import Sandbox, adopt, end_orphans, shield
from harness.worker import children, is_stopped

if TYPE_CHECKING:
    from harness.outcomes import Outcome, Request
    from properties.search import Record

GRACE = 30.0
"""Seconds beyond its time in which a judge may finish its case: after them it is ended."""

HANGS = 10.0
"""So many times its seconds may a file take on the wall: a process that takes longer hangs, and is ended."""

GLANCE = 0.5
"""Seconds between two looks at judges that say nothing."""

TRIES = 2
"""Times that a file is judged where the judge fails or is lost: once more in a new one, which no other file has met."""

TOO_SLOW = "could not be judged within {:g} s by the clock."
LOST = "crashed the process that verifies it: it must not touch other processes."
STOPPED = "stopped the process that verifies it: it must not touch other processes."


@dataclass(frozen=True)
class Order:
    """A request, pickled, and its seconds; on a node also the folder where its file lies, and its sandbox."""

    request: bytes
    seconds: float
    folder: str = ""
    sandbox: Sandbox | None = None


@dataclass(frozen=True)
class Answer:
    """The outcome, pickled; for none, what became of the judge, in the words that follow the name of the file.

    `is_broken` says that the judge failed or was lost, `is_fault` that the file is to blame, and `is_final` that
    another judge would not come further.
    """

    outcome: bytes = b""
    lost: str = ""
    is_broken: bool = True
    is_fault: bool = False
    is_final: bool = False


Said: TypeAlias = "bytes | Answer | None"
"""A judge says None when it is ready, then the record of each property, pickled, and at last its answer."""

Pipe: TypeAlias = "Connection[Order, Said]"


class Executor(ABC):
    """What judges: each request gives a future, as with the executors of `concurrent.futures`."""

    is_here: bool = True
    """Whether that is on this machine."""

    @abstractmethod
    def submit(
        self, request: "Request", announce: "Callable[[Record], None] | None" = None
    ) -> "Future[Outcome]":
        """Judge a subject, and announce the record of each of its properties as soon as it is there."""

    @abstractmethod
    def __enter__(self) -> Self:
        """It is ready."""

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all that is under way."""

    @abstractmethod
    def begin(self) -> None:
        """Get ready for some subjects that are judged together."""

    def judge_all(
        self,
        requests: "Sequence[Request]",
        done: "Callable[[Outcome], None]",
        announce: "Callable[[Record], None] | None" = None,
    ) -> "list[Outcome]":
        """Judge the subjects, and return their outcomes in the same order.

        Args:
            requests: what to judge.
            done: called with the outcome of each subject as soon as it is there.
            announce: called with the record of each property of the first subject as soon as it is there.

        Raises:
            KeyboardInterrupt: within `GLANCE` seconds of Ctrl-C.
        """
        self.begin()
        interrupted = threading.Event()
        with on_interrupt(lambda *_: interrupted.set()):
            outcomes = [
                self.submit(one, announce if number == 0 else None) for number, one in enumerate(requests)
            ]
            waiting = set(outcomes)
            while waiting:
                ready, waiting = wait(waiting, GLANCE, FIRST_COMPLETED)
                if interrupted.is_set():
                    raise KeyboardInterrupt
                for outcome in ready:
                    done(outcome.result())
        return [outcome.result() for outcome in outcomes]


def order_for(request: "Request") -> Order:
    """The request as it travels."""
    return Order(pickle.dumps(request), request.seconds)


def outcome_of(request: "Request", answer: Answer, seconds: float) -> "Outcome":
    """What came back for a request, or what is known where nothing did; `seconds` on the wall."""
    from harness.outcomes import Outcome  # noqa: PLC0415  (see above)
    from properties.search import Verdict  # noqa: PLC0415  (see above)

    lost, verdict = answer.lost, Verdict.FAIL if answer.is_fault else Verdict.INCONCLUSIVE
    if answer.outcome:
        try:
            return pickle.loads(answer.outcome)  # noqa: S301  (of a process of ours)
        except Exception as error:  # noqa: BLE001  (what a process of ours says can't be read: the other files wait)
            lost = f"could not be reported ({type(error).__name__}: {error})."
    return Outcome(
        request.name,
        verdict,
        message=f"{request.name} {lost}",
        seconds=seconds,
        path=request.path or "",
        is_broken=True,
    )


class Judges(Executor):
    """So many processes that judge; a context manager, at whose end they end."""

    def __init__(self, jobs: int, files: int = 1) -> None:
        """Start as many as there are files, the others when they are needed."""
        shield()
        adopt(on=True)
        self._threads = ThreadPoolExecutor(jobs)  # each waits for one judge
        self._is_over = False
        self._lock = threading.Lock()  # a judge that is just being started is no orphan
        self._judges: set[_Judge] = set()
        self._idle: deque[_Judge] = deque()
        self._siblings: set[int] = set()
        self._idle.extend(self._new() for _ in range(min(jobs, files)))
        self._siblings |= set(children(os.getpid()))  # the judges, and what else the command has started

    def begin(self) -> None:
        """Nothing: files are read where they lie, when it is their turn."""

    def __enter__(self) -> Self:
        """They are started."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them, and the subjects that they judge."""
        with self._lock:
            self._is_over = True
            judges = list(self._judges)
        for one in judges:
            one.process.kill()  # whereupon the thread that waits for it ends
        self._threads.shutdown(cancel_futures=True)
        for one in judges:
            one.end()
        end_orphans(self._siblings)
        adopt(on=False)

    def submit(
        self, request: "Request", announce: "Callable[[Record], None] | None" = None
    ) -> "Future[Outcome]":
        """See `Executor`. What `announce` raises, the outcome raises."""
        return self._threads.submit(self._judge, request, announce)

    def _judge(self, request: "Request", announce: "Callable[[Record], None] | None") -> "Outcome":
        started = perf_counter()
        answer = self.ask(
            order_for(request),
            lambda record: announce and announce(pickle.loads(record)),  # noqa: S301  (as above)
        )
        return outcome_of(request, answer, perf_counter() - started)

    def ask(self, order: Order, announce: Callable[[bytes], object] = lambda record: None) -> Answer:
        """The answer of a judge; where it fails or is lost, of a new one."""
        answer = Answer()
        for _ in range(TRIES):
            with self._lock:
                if self._is_over:
                    break
                one = self._idle.pop() if self._idle else self._new()
            answer = one.ask(order, announce)
            if not answer.is_broken:
                self._idle.append(one)
                break
            with self._lock:
                self._judges.remove(one)
                one.end()
                end_orphans(self._siblings)
            if answer.is_final:
                break
        return answer

    def _new(self) -> "_Judge":
        one = _Judge({"PYTHONSAFEPATH": "1"})  # Python leaves out the folder that it is started in
        self._judges.add(one)
        self._siblings.add(one.process.pid or 0)
        return one


class _Judge:
    """One process: it lives until its pipe closes, with which our own end, however it comes, is its end too."""

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

    def ask(self, order: Order, announce: Callable[[bytes], object]) -> Answer:
        """Wait for its answer; for a process that is lost or hangs, what is known. Time begins when it is ready."""
        started = perf_counter()
        limit = HANGS * order.seconds + GRACE
        with suppress(OSError):  # it is lost, which the first look tells
            self.pipe.send(order)
        while not isinstance(said := self._said(), Answer):
            if isinstance(said, bytes):
                announce(said)
            elif said is None:
                self._is_ready, started = True, perf_counter()
            elif self._is_ready and perf_counter() - started > limit:
                return Answer(lost=TOO_SLOW.format(limit), is_final=True)  # it would take as long again
        return said

    def _said(self) -> "Said | float":
        """What it says; where that is nothing, the seconds of the look."""
        try:
            if self.pipe.poll(GLANCE):
                return self.pipe.recv()
        except (EOFError, OSError):
            return Answer(lost=LOST, is_fault=True)
        if self.process.pid is not None and is_stopped(self.process.pid):
            return Answer(lost=STOPPED, is_fault=True)
        return GLANCE

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
    orders: SimpleQueue[Order] = SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, orders), daemon=True).start()
    from harness.judging import verify_order  # noqa: PLC0415  (see above)

    pipe.send(None)
    while True:
        pipe.send(verify_order(orders.get(), pipe.send))


def _listen(pipe: "Connection[Any, Any]", orders: "SimpleQueue[Order]") -> None:
    """Hand on the orders; the end of the pipe ends this process, in the middle of a verification too."""
    try:
        while True:
            orders.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(0)
