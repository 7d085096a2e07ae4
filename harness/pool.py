"""Verifications in processes of their own, which take one subject after another: none spoils another's."""

import multiprocessing
import os
import signal
import threading
from _thread import interrupt_main
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from time import perf_counter

from harness.outcomes import Outcome, Request, verify
from properties.search import Record, Verdict

GRACE = 30.0
"""Seconds beyond its time in which a process may finish its case, and start: after them it is ended."""


HANGS = 10.0
"""So many times its seconds may a file take on the wall: a process that takes longer hangs, and is ended."""

TOO_SLOW = "could not be judged within {:g} s: its smallest cases are too large."


def verify_here(request: Request, announce: Callable[[Record], None]) -> Outcome:
    """Verify one subject in this process, and end that too where it hangs. To be called in the main thread."""
    over = threading.Event()
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # in a job in the background
    if is_ignored:  # our own interrupt would be ignored too
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def end() -> None:
        over.set()
        interrupt_main()

    timer = threading.Timer(HANGS * request.seconds + GRACE, end)
    timer.daemon = True
    timer.start()
    try:
        return verify(request, announce)
    except KeyboardInterrupt:
        if not over.is_set():
            raise
        name, seconds = str(request.path), request.seconds
        return Outcome(
            name,
            Verdict.INCONCLUSIVE,
            message=f"{name} {TOO_SLOW.format(seconds)}",
            seconds=HANGS * seconds + GRACE,
        )
    finally:
        timer.cancel()
        if is_ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def verify_all(requests: Sequence[Request], jobs: int, done: Callable[[Outcome], None]) -> list[Outcome]:
    """Verify the subjects, `jobs` at a time, and return their outcomes in the same order.

    Args:
        requests: what to verify.
        jobs: how many processes to use.
        done: called with the outcome of each subject as soon as it is there.
    """
    found: dict[int, Outcome] = {}
    waiting = deque(enumerate(requests))
    idle: list[_Worker] = []
    busy: list[_Worker] = []
    try:
        while waiting or busy:
            while waiting and len(busy) < jobs:
                busy.append(idle.pop() if idle else _Worker())
                busy[-1].take(*waiting.popleft())
            wait([one.pipe for one in busy], timeout=1.0)
            for one in list(busy):
                outcome = one.answer()
                if outcome is not None:
                    found[one.number] = outcome
                    busy.remove(one)
                    if one.process.is_alive():
                        idle.append(one)
                    done(outcome)
    finally:
        for one in (*idle, *busy):
            one.end()
    return [found[number] for number in range(len(requests))]


class _Worker:
    """One process: it lives until its pipe closes, with which our own end, however it comes, is its end too."""

    number: int
    request: Request

    def __init__(self) -> None:
        """Start it."""
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def take(self, number: int, request: Request) -> None:
        """Begin with a subject."""
        self.number, self.request, self.started = number, request, perf_counter()
        self.pipe.send(request)

    def answer(self) -> Outcome | None:
        """The outcome, if there is one by now; for a process that is lost or hangs, what is known."""
        if self.pipe.poll():
            try:
                return self.pipe.recv()
            except (EOFError, OSError):
                return self._lost(
                    "brought the process down that verifies it: it may not touch other processes."
                )
        if perf_counter() - self.started > HANGS * self.request.seconds + GRACE:
            return self._lost(TOO_SLOW.format(self.request.seconds), Verdict.INCONCLUSIVE)
        return None

    def _lost(self, what: str, verdict: Verdict = Verdict.FAIL) -> Outcome:
        self.end()
        name = str(self.request.path)
        return Outcome(name, verdict, message=f"{name} {what}", seconds=perf_counter() - self.started)

    def end(self) -> None:
        """End it, and with it the process of its subject."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: "Connection[Outcome, Request]") -> None:
    """Verify what comes through the pipe, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends us
    requests: SimpleQueue[Request] = SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, requests), daemon=True).start()
    while True:
        pipe.send(verify(requests.get()))


def _listen(pipe: "Connection[Outcome, Request]", requests: "SimpleQueue[Request]") -> None:
    """Hand on the requests; the end of the pipe ends this process, in the middle of a verification too."""
    try:
        while True:
            requests.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(0)
