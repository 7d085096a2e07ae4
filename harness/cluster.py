"""A cluster of Dask in place of the local pool: `manual-backprop verify folder --dask ADDRESS`.

The scheduler deals out the files, `node` judges them. A node that dies loses nothing: the file that it had is judged
once more, elsewhere and with nothing beside it, so that a second death is its own doing.
"""

import logging
import pickle
import secrets
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from harness import node
from harness.isolation import Sandbox
from harness.parcels import TooLargeError, folder_of, pack
from harness.pool import Answer, Executor, order_for, outcome_of

if TYPE_CHECKING:
    from harness.outcomes import Outcome, Request
    from properties.search import Record

CONNECT = 10.0
"""Seconds in which a scheduler has to answer."""

TRIES = 2
"""Nodes that a file may bring down."""

KILLS = (
    "brought down two nodes of the cluster, the second with nothing else on it: it may not touch other processes, or "
    "take the memory of the machine."
)


class ClusterError(Exception):
    """The cluster can't be used, or no longer; the message is one sentence."""


@dataclass
class _Trial:
    """A request that is under way, and who waits for its outcome."""

    request: "Request"
    announce: "Callable[[Record], None] | None"
    parcel: str
    number: int
    outcome: "Future[Outcome]" = field(default_factory=Future)
    tries: int = 1
    tasks: int = 0
    started: float = field(default_factory=perf_counter)


class Cluster(Executor):
    """A cluster's workers as judges; a context manager, at whose end nothing of ours is left on them."""

    is_here = False

    def __init__(self, address: str, *, python: str | None = None, sandbox: Sandbox = "auto") -> None:
        """Connect with the scheduler, and let each node get ready. Raises `ClusterError`."""
        try:
            from distributed import Client  # noqa: PLC0415  (an extra)
            from distributed.comm.addressing import resolve_address  # noqa: PLC0415  (likewise)
        except ImportError:
            raise ClusterError(
                "--dask needs Dask's distributed: pip install 'manual-backprop[cluster]'."
            ) from None
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what happens to nodes, we tell
        self._address = address
        run = f"{node.NAME}-run-{secrets.token_hex(8)}"
        self._terms = node.Terms(run, node.installed(), python, sandbox)
        self._parcels: dict[Path, str] = {}
        self._count = 0
        try:
            resolve_address(address)  # or a client that never was would be closed, in half a minute
            self._client = Client(address, timeout=CONNECT, set_as_default=False)
        except Exception as error:  # noqa: BLE001  (of an address anything may be wrong)
            raise ClusterError(
                f"No scheduler of Dask can be reached at {address} ({_said(error)}): give the address that "
                "`dask scheduler` prints, such as tcp://192.168.0.1:8786."
            ) from None
        try:
            self._prepare()
        except BaseException:
            self._client.close()
            raise
        self._run = self._client.submit(node.begin, key=run)
        self._executor = self._client.get_executor(pure=False)

    def _prepare(self) -> None:
        """Start a process on every node that is there by now. Raises `ClusterError`."""
        try:
            # a task passes through the scheduler as an object of its function, so it needs the function too
            self._client.run_on_scheduler(node.installed)
            found: Any = self._client.run(node.prepare, self._terms, on_error="return")
        except ImportError:
            raise ClusterError(
                f"The scheduler {self._address} has no {node.NAME}: install it there, and on the nodes."
            ) from None
        for address, answer in found.items():
            if isinstance(answer, ImportError):
                raise ClusterError(f"The node {address} has no {node.NAME}: install it there.")
            if isinstance(answer, Exception):
                raise ClusterError(f"The node {address} {answer}")

    @property
    def nodes(self) -> int:
        """How many there are now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def __enter__(self) -> Self:
        """It is connected."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up what is under way, and leave the nodes as they were."""
        with suppress(Exception):  # the scheduler is gone, and with it all that is to be left
            self._executor.shutdown(wait=False)
            self._client.run(node.leave, self._terms.run, on_error="ignore")
        self._client.close()

    def begin(self) -> None:
        """The folders travel as they are now."""
        self._parcels.clear()

    def submit(
        self, request: "Request", announce: "Callable[[Record], None] | None" = None
    ) -> "Future[Outcome]":
        """See `Executor`; the records are announced together, when they are there. Raises `ClusterError`."""
        trial = _Trial(request, announce, self._parcel(request), self._count)
        self._count += 1
        self._try(trial)
        return trial.outcome

    def _parcel(self, request: "Request") -> str:
        """Leave the folder of a request with the scheduler, and say under which name; nothing for none.

        It is no input of the tasks: Dask would give them to the node that has it, and leave the others idle.
        """
        folder = None if request.path is None else folder_of(request.path)
        if folder is None:
            return ""
        if folder not in self._parcels:
            try:
                packed = pack(folder)
            except TooLargeError as error:
                raise ClusterError(str(error)) from None
            if packed.name not in self._parcels.values():
                self._client.set_metadata([self._terms.run, packed.name], pickle.dumps(packed))
            self._parcels[folder] = packed.name
        return self._parcels[folder]

    def _try(self, trial: _Trial) -> None:
        trial.tasks += 1
        answer = self._executor.submit(
            node.judge,
            self._terms,
            f"{trial.number}-{trial.tries}",
            order_for(trial.request),
            trial.parcel,
            alone=trial.tries > 1,
            key=f"{node.NAME}-judge-{self._terms.run[-16:]}-{trial.number}-{trial.tasks}",
        )
        answer.add_done_callback(partial(self._settle, trial))

    def _settle(self, trial: _Trial, future: "Future[Answer | None]") -> None:
        """Hand on an outcome, or have the file of a lost node judged once more."""
        from distributed import KilledWorker  # noqa: PLC0415  (as above)

        try:
            answer = future.result()
            if answer is None and trial.tries < TRIES:
                trial.tries += 1
                self._try(trial)
                return
            lost = Answer(lost=KILLS, is_fault=True)
            outcome = outcome_of(trial.request, answer or lost, perf_counter() - trial.started)
            if trial.announce is not None:
                for record in outcome.records:
                    trial.announce(record)
            trial.outcome.set_result(outcome)
        except (
            KilledWorker
        ):  # too many nodes are lost for the scheduler to go on; its ticket tells whether it had begun
            self._try(trial)
        except CancelledError:
            trial.outcome.set_exception(ClusterError(f"The scheduler {self._address} is gone."))
        except node.Unfit as reason:
            trial.outcome.set_exception(ClusterError(f"A node of {self._address} {reason}"))
        except Exception as error:  # noqa: BLE001  (of `announce`, or ours: whoever waits for the outcome gets it)
            trial.outcome.set_exception(error)


def _said(error: Exception) -> str:
    """What a library says, without the stop at its end."""
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__
