"""A node of a cluster: what runs in a worker of Dask, and the process beside it in which a file is judged.

A worker of Dask is shared, may run several tasks at once, and starts processes of its own: not the place for a
subject. So each task has a process that is ours, with a judge, a scratch folder and the adoption of orphans, exactly as
the command has them on a desk, and only hands on what comes and goes. As `pool`, nothing here imports what takes long.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from queue import Empty, SimpleQueue
from typing import Any

from harness.isolation import IsolatedModule, Sandbox, SubjectFault
from harness.parcels import Parcel
from harness.pool import GLANCE, Answer, Judges, Order
from harness.scratch import scratch
from harness.worker import is_stopped

IDLE = 600.0
"""Seconds after which a process without work ends: who gave it some may be gone without a word."""

NAME = "manual-backprop"


PATIENCE = 10.0
"""Seconds in which a process ends that was told to; one that was stopped never does."""


class Unfit(Exception):  # noqa: N818  (the node's answer)
    """A node can't judge as it was asked; the message is one sentence."""


@dataclass(frozen=True)
class Terms:
    """What all the files of a run ask of a node. The run is the key of a task, with whose end its tickets go."""

    run: str
    version: str
    python: str | None
    sandbox: Sandbox


def installed() -> str:
    """The version of the judge; empty for none, and in a checkout that is not installed."""
    try:
        return version(NAME)
    except PackageNotFoundError:
        return ""


# --- the task ------------------------------------------------------------------------------------------------


def begin() -> None:
    """The task of a run: what the scheduler keeps for the run, parcels and tickets, goes with it."""


def judge(terms: Terms, ticket: str, order: Order, parcel: str, *, alone: bool) -> Answer | None:
    """Judge a file, with nothing else of ours in this worker where it has to be alone.

    A ticket is good for one beginning, and the scheduler knows which are used. Dask gives the task of a lost node to
    another one: where the file had begun there, that comes to nothing here, and who called it decides what to do.

    Returns:
        None where the node that was to judge it is lost.
    """
    from distributed import get_client, get_worker  # noqa: PLC0415  (an extra, which the other nodes' code needs not)

    worker = get_worker()
    client: Any = get_client()
    key = worker.get_current_task()
    with _turns.alone() if alone else _turns.beside_others():
        here = _Process.of(terms)
        if client.get_metadata([terms.run, ticket], default=None) is not None:
            here.keep()
            return None
        client.set_metadata([terms.run, ticket], worker.address)
        new = parcel and parcel not in here.has
        packed: Parcel | None = pickle.loads(client.get_metadata([terms.run, parcel])) if new else None  # noqa: S301
        answer = here.ask(order, parcel, packed, lambda: _is_wanted(worker, key))
        if answer is None:
            here.end()
        else:
            here.keep()
        return answer


def prepare(terms: Terms) -> None:
    """Start a process for a run. Raises `Unfit`."""
    _Process.of(terms).keep()


def _is_wanted(worker: Any, key: Any) -> bool:
    """Whether anybody still waits for a task that this worker runs: of one that was cancelled it is not told."""
    task = worker.state.tasks.get(key)
    return task is not None and task.state == "executing"


def leave(run: str) -> None:
    """A run is over: end the processes that wait for more of it."""
    for one in _idle.pop(run, []):
        one.end()


class _Turns:
    """Many tasks at once, or one alone: who wants to be alone lets nobody in before he had his turn."""

    def __init__(self) -> None:
        self._entrance = threading.Lock()
        self._running = 0
        self._changed = threading.Condition()

    @contextmanager
    def beside_others(self) -> Generator[None]:
        """Wait while one is alone, or waits for it."""
        with self._entrance:
            self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    @contextmanager
    def alone(self) -> Generator[None]:
        """Wait until no other one runs."""
        with self._entrance:
            with self._changed:
                self._changed.wait_for(lambda: self._running == 0)
            yield

    def _count(self, more: int) -> None:
        with self._changed:
            self._running += more
            self._changed.notify_all()


_turns = _Turns()
_idle: "dict[str, list[_Process]]" = {}
"""The processes of each run that wait for more."""


class _Process:
    """A process of ours, seen from the worker of Dask. It lives until its input ends, with this worker or before."""

    def __init__(self, terms: Terms) -> None:
        """Start it. Raises `Unfit` where it can't judge on these terms."""
        self._run = terms.run
        self.has: set[str] = set()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.node"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=os.name == "posix",  # Ctrl-C on a desk is for the command alone
        )
        self._answers: SimpleQueue[Any] = SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        unfit = self._exchange(terms, lambda: True)
        if unfit != "":
            self.end()
            raise Unfit(unfit or "can't start the process that judges.")

    @classmethod
    def of(cls, terms: Terms) -> "_Process":
        """One that is idle, or a new one. Raises `Unfit`."""
        with suppress(KeyError, IndexError):
            while True:
                one = _idle[terms.run].pop()
                if one.runs():
                    return one
        return cls(terms)

    def runs(self) -> bool:
        """Whether it has not ended, for the lack of work or otherwise."""
        return self._process.poll() is None

    def keep(self) -> None:
        """It may be asked again."""
        _idle.setdefault(self._run, []).append(self)

    def ask(
        self, order: Order, name: str, parcel: Parcel | None, is_wanted: Callable[[], bool]
    ) -> Answer | None:
        """The answer for a file of the parcel of that name; None where the process is lost, or nobody waits."""
        self.has.add(name)
        return self._exchange((order, name, parcel), is_wanted)

    def _exchange(self, message: object, is_wanted: Callable[[], bool]) -> Any:
        """Send a message, and wait for the answer."""
        assert self._process.stdin is not None  # noqa: S101  (as it was asked for)
        with suppress(OSError):  # it is lost, which ends what it says
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
        while is_wanted() and not is_stopped(self._process.pid):
            with suppress(Empty):
                return self._answers.get(timeout=GLANCE)
        return None

    def _listen(self) -> None:
        """Put aside what it says, and None at its end."""
        assert self._process.stdout is not None  # noqa: S101  (as it was asked for)
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                self._answers.put(pickle.load(self._process.stdout))  # noqa: S301  (of a process of ours)
        self._answers.put(None)

    def end(self) -> None:
        """End it: what it has started ends with it."""
        assert self._process.stdin is not None  # noqa: S101  (as it was asked for)
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


# --- the process ---------------------------------------------------------------------------------------------


def main() -> None:
    """Judge what comes from the input, one after another, until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    messages: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_receive, args=(messages,), daemon=True).start()

    def say(answer: "Answer | str") -> None:
        pickle.dump(answer, answers)
        answers.flush()

    with scratch() as run, Judges(1) as judges, suppress(Empty):
        terms: Terms = messages.get()
        try:
            sandbox = _checked(terms)
        except Unfit as reason:
            say(str(reason))
            return
        say("")
        while True:
            order, name, parcel = messages.get(timeout=IDLE)
            folder = run.folder / "files" / name
            if parcel is not None:
                parcel.unpack(folder)
            say(judges.ask(replace(order, folder=str(folder) if name else "", sandbox=sandbox)))


def _checked(terms: Terms) -> Sandbox:
    """The sandbox that all files of a run get here, chosen before the first could spoil the choice. Raises `Unfit`."""
    if installed() != terms.version:
        raise Unfit(
            f"has {NAME} {installed()}, and you have {terms.version}: install the same version on both."
        )
    module = IsolatedModule("nothing.py", python=terms.python, sandbox=terms.sandbox)
    try:
        module.probe()
    except SubjectFault as fault:
        raise Unfit(f"can't judge: {fault}") from None
    return module.sandbox


def _receive(messages: "SimpleQueue[Any]") -> None:
    """Hand on what comes; its end ends this process, in the middle of a verification too."""
    with suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            messages.put(pickle.load(sys.stdin.buffer))  # noqa: S301  (of the worker that started us)
    os._exit(0)


if __name__ == "__main__":
    main()
