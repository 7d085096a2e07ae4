"""Files of operations, right and wrong, before the judge and before the gradient checkers in use.

The right ones are the pages, the examples, and the programs of `operations_by_hand` behind a forward and a backward
pass; the wrong ones are the pages with a mistake that people make, and the wrong twins of the examples. The judge
verifies each file as a command would. A checker gets one operation on some drawn cases, the same for all of them: as a
function of the inputs that have a gradient, with the loss Σ dy · forward(x) for a random dy, whose gradient is that of
backward(dy).
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import click
import numpy as np
from rich.progress import track

from benchmarks import operations_by_hand
from benchmarks.checkers import (
    Answer,
    Checker,
    autograd_check_grads,
    jax_check_grads,
    relative_errors,
    torch_gradcheck,
)
from benchmarks.report import Table, json_option, show
from harness.judging import verify
from harness.loading import UnusableSubject
from harness.operation_loading import SeveralOperations, load_operation
from harness.outcomes import OPERATION, Request
from manual_backprop.mistakes.operations import OPERATION_MISTAKES
from manual_backprop.operations import PAGES
from properties.operation.cases import REGULAR, NoCaseError, OperationCase, Seeded, make
from properties.operation.judge import Judge
from properties.search import Effort, Inconclusive, SubjectGone, Verdict, Violation
from reference.operations import OPERATIONS

EXAMPLES = Path(__file__).parent.parent / "examples" / "operations"
OTHER_INTERPRETERS = ("jax_function", "torch_function")
"""Examples that need what is not installed everywhere."""
SECONDS = 300.0
"""For the verification of an operation: far more than any takes."""
LIMIT = 1e-5
"""The error from which on `scipy.optimize.check_grad`, which returns a number, is taken to accuse, relative to |g|."""


@dataclass(frozen=True)
class Trial:
    """An operation of a file, and whether it is right."""

    name: str
    file: str
    source: str
    is_right: bool
    operation: str = ""


def trials() -> Iterator[Trial]:
    """Every file."""
    for page in PAGES:
        name = page.__name__.rpartition(".")[2]
        yield Trial(f"page {name}", name, inspect.getsource(page), is_right=True)
    for path in sorted(EXAMPLES.glob("*.py")):
        if not path.stem.startswith(OTHER_INTERPRETERS):
            name = path.stem.removesuffix("_wrong")
            yield Trial(f"example {path.stem}", name, path.read_text("utf-8"), is_right=path.stem == name)
    for name, programs in operations_by_hand.BY_HAND.items():
        for program in programs:
            yield Trial(
                f"by hand {name}: {program.__name__}", "by_hand", by_hand(name, program), is_right=True
            )
    for name, mistake in OPERATION_MISTAKES.items():
        file = mistake.page.__name__.rpartition(".")[2]
        yield Trial(f"mistake {name}", file, mistake.source, is_right=False, operation=mistake.operation)


def by_hand(name: str, program: Callable[..., Any]) -> str:
    """A program of `operations_by_hand` as a pair of functions of a known operation, which needs no declaration.

    The others stay out of sight, since their names would say that they are operations too.
    """
    known = OPERATIONS[name]
    inputs = ", ".join(known.inputs)
    options = "".join(f", {option}={values[0]!r}" for option, values in known.options.items())
    passed = "".join(f", {option}={option}" for option in known.options)
    return (
        f"OTHERS = {{}}\nexec({inspect.getsource(operations_by_hand)!r}, OTHERS)\n\n\n"
        f"def {name}_forward({inputs}{', *' if options else ''}{options}):\n"
        f"    return OTHERS[{program.__name__!r}]({inputs}{passed})\n\n\n"
        f"def {name}_backward(dy, cache):\n"
        "    return cache(dy)\n"
    )


# --- A checker's view -------------------------------------------------------------------------------------------


class Posed:
    """An operation on a case, as a loss of some arrays with its gradient: what the checkers take."""

    def __init__(self, judge: Judge, case: OperationCase) -> None:
        """The cotangents are those of the case."""
        self._judge, self._case = judge, case
        self._names = case.differentiable
        self._cotangents = case.cotangents(self._forward(self.arrays).outputs)

    @property
    def arrays(self) -> list[Any]:
        """The inputs that have a gradient."""
        return [np.array(self._case.inputs[name], np.float64) for name in self._names]

    def loss(self, *arrays: Any) -> Any:
        """Σ dy · forward(x)."""
        outputs = self._forward(arrays).outputs
        return np.asarray(sum(float(np.sum(dy * y)) for dy, y in zip(self._cotangents, outputs, strict=True)))

    def gradient(self, *arrays: Any) -> list[Any]:
        """backward(dy)."""
        forward = self._forward(arrays)
        gradients = self._judge.subject.backward(forward, self._cotangents).gradients
        return [np.array(gradients[name]) for name in self._names]

    def _forward(self, arrays: Any) -> Any:
        given = dict(zip(self._names, (np.asarray(array) for array in arrays), strict=True))
        return self._judge.subject.forward({**self._case.inputs, **given}, self._case.options)

    def judged(self) -> Answer:
        """What the judge says of this case."""
        with suppress(Inconclusive):
            try:
                self._judge.check(self._case)
            except Violation as violation:
                return Answer(str(violation))
        return Answer()


def scipy_check_grad(posed: Any) -> Answer:
    """`scipy.optimize.check_grad`: the norm of the gradient less forward differences."""
    check_grad = import_module("scipy.optimize").check_grad
    shapes = [array.shape for array in posed.arrays]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])

    def parts(x: Any) -> list[Any]:
        return [part.reshape(shape) for part, shape in zip(np.split(x, ends[:-1]), shapes, strict=True)]

    def gradient(x: Any) -> Any:
        return np.concatenate([np.ravel(one) for one in posed.gradient(*parts(x))])

    def loss(x: Any) -> float:
        return float(posed.loss(*parts(x)))

    point = np.concatenate([np.ravel(array) for array in posed.arrays])
    try:
        error = check_grad(loss, gradient, point)
    except Exception as fault:  # noqa: BLE001  (whatever it is, the gradient does not pass)
        return Answer(str(fault) or repr(fault))
    size = float(np.linalg.norm(gradient(point)))
    return Answer("" if error <= LIMIT * max(1.0, size) else f"error {error}")


def _slowly(posed: Any) -> Answer:
    return torch_gradcheck(posed, fast=False)


def _fast(posed: Any) -> Answer:
    return torch_gradcheck(posed, fast=True)


def _loop(posed: Any) -> Answer:
    return relative_errors(posed, limit=1e-4)


PEERS: Mapping[str, Checker] = {
    "scipy check_grad": Checker(scipy_check_grad, "scipy"),
    "jax check_grads": Checker(jax_check_grads, "jax"),
    "autograd check_grads": Checker(autograd_check_grads, "autograd"),
    "torch gradcheck": Checker(_slowly, "torch"),
    "torch gradcheck, fast mode": Checker(_fast, "torch"),
    "CS231n loop, 1e-4": Checker(_loop, "numpy"),
}
ONE_CASE = "manual-backprop, these cases"
WHOLE = "manual-backprop verify"


@dataclass(frozen=True)
class Found:
    """What came of a trial: whether it is accused, and the seconds that it took."""

    trial: Trial
    accused: bool
    seconds: float
    message: str


def try_all(chosen: list[Trial], cases: int, drawn: int) -> dict[str, list[Found]]:
    """The judge on every operation of every file, and every checker on some cases of it."""
    found: dict[str, list[Found]] = {name: [] for name in (WHOLE, ONE_CASE, *PEERS)}
    with TemporaryDirectory() as folder:
        for number, trial in enumerate(track(chosen, "operations-from-outside", transient=True)):
            path = Path(folder) / str(number) / f"{trial.file}.py"
            path.parent.mkdir()
            path.write_text(trial.source, "utf-8")
            for name in _names(str(path)):
                if trial.operation and name not in {"?", trial.operation}:
                    continue
                one = trial if name == "?" else Trial(f"{trial.name}: {name}", *_others(trial))
                started = perf_counter()
                outcome = verify(Request(str(path), Effort(cases, seed=1), operation=name, seconds=SECONDS))
                seconds = perf_counter() - started
                accused = outcome.verdict is not Verdict.PASS
                found[WHOLE].append(Found(one, accused, seconds, f"{outcome.verdict}: {outcome.message}"))
                _try_peers(found, one, str(path), name, drawn)
    return found


def _names(path: str) -> list[str]:
    """What there is to ask for in a file."""
    try:
        with load_operation(path, OPERATION):
            return [OPERATION]
    except SeveralOperations as several:
        return several.names


def _others(trial: Trial) -> tuple[str, str, bool, str]:
    return trial.file, trial.source, trial.is_right, trial.operation


def _try_peers(found: dict[str, list[Found]], trial: Trial, path: str, name: str, drawn: int) -> None:
    """Each checker on some cases, up to the first that it accuses."""
    with load_operation(path, name) as subject:
        judge = Judge(subject)
        checks: dict[str, Callable[[Any], Answer]] = {ONE_CASE: Posed.judged}
        checks.update({peer: checker.check for peer, checker in PEERS.items() if checker.installed})
        for checker, check in checks.items():
            rng, message = np.random.default_rng(1), ""
            started = perf_counter()
            for _ in range(drawn):
                try:
                    case = make(Seeded(rng), judge, REGULAR, sizes=judge.pool)
                    message = message or check(Posed(judge, case)).message
                except (NoCaseError, UnusableSubject):
                    continue
                except (Violation, SubjectGone) as fault:
                    message = message or str(fault)
            found[checker].append(Found(trial, bool(message), perf_counter() - started, message))


COLUMNS = ("", "wrong ones caught", "right ones accused", "s, right", "s, wrong")


def table(found: Mapping[str, list[Found]]) -> list[Table]:
    """Caught, accused, seconds; and what got past whom."""
    rows: list[tuple[Any, ...]] = []
    past: list[tuple[Any, ...]] = []
    for name, all_of_them in found.items():
        if not all_of_them:
            rows.append((name, "not installed", "", "", ""))
            continue
        right, wrong = (
            [one for one in all_of_them if one.trial.is_right is wanted] for wanted in (True, False)
        )
        rows.append(
            (
                name,
                f"{sum(one.accused for one in wrong)} of {len(wrong)}",
                f"{sum(one.accused for one in right)} of {len(right)}",
                *(median(one.seconds for one in some) if some else 0.0 for some in (right, wrong)),
            )
        )
        past += [(name, one.trial.name, "not caught", "") for one in wrong if not one.accused]
        past += [(name, one.trial.name, "accused", _short(one.message)) for one in right if one.accused]
    return [
        Table(
            "operations, from outside",
            COLUMNS,
            rows,
            "seconds: medians for an operation, its worker included",
        ),
        Table("what each got wrong", ("", "operation", "", "what it said"), past),
    ]


def _short(message: str) -> str:
    return " ".join(message.split())[:60]


@click.command("operations-from-outside")
@click.option(
    "--cases", default=25, show_default=True, help="Cases of each property of `manual-backprop verify`."
)
@click.option("--drawn", default=5, show_default=True, help="Cases on which each checker is asked.")
@click.option("--only", default="", help="Only the files whose names match this expression.")
@json_option
def command(cases: int, drawn: int, only: str, path: Path | None) -> None:
    """Right and wrong operations before the judge, torch, jax, autograd, scipy and the CS231n loop."""
    chosen = [one for one in trials() if re.search(only, one.name)]
    with np.errstate(all="ignore"):
        show("operations-from-outside", table(try_all(chosen, cases, drawn)), path)
