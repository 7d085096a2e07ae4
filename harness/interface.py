"""The judge as Python functions: `verify`, and `assert_gradient` for a test of somebody's own project.

    >>> from harness import verify
    >>> result = verify(forward=forward, backward=backward, operation={"x": "n d", "gain": "d"})
    >>> print(result)

Functions in hand are judged in this process (`harness.held`), files in isolation, both by the code behind the command
`manual-backprop verify`. Nothing is printed, and nothing of the process is left changed: neither its generators of
random numbers, nor its warnings, nor the precision of its JAX. In several threads, judgements take turns.
"""

import inspect
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar

import numpy as np
from hypothesis import currently_in_test_context
from numpy.typing import NDArray
from rich.console import Console

from harness import report
from harness.assertion import GradientError
from harness.contents import holds_network, is_network
from harness.held import HeldModule, as_it_was
from harness.isolation import SANDBOXES, IsolatedModule, Sandbox, SubjectFault
from harness.judging import known, properties_of
from harness.judging import verify as judged
from harness.outcomes import OPERATION, Outcome, Request
from harness.paths import NoSubjectError, expanded
from harness.progress import Progress, shown_where_it_can_be
from harness.worker import described
from properties.cases import Case
from properties.operation.cases import OperationCase
from properties.search import Effort, Example, Record, Verdict
from reference.precision import double_precision

Array: TypeAlias = NDArray[Any]
P = ParamSpec("P")
R = TypeVar("R")

OF_A_FILE, IN_HAND, QUICK = 100, 50, 25
"""Cases for each property of a file, of functions in hand, for which somebody waits, and with `quick`."""

CONSTANTS = {
    keyword: keyword.upper()
    for keyword in (
        *("problem", "operation", "options", "sizes", "reference"),
        *("outputs", "dtype", "arrays", "parameters", "once"),
    )
}
"""What a file says in capitals, by the keyword that says it here."""

OF_A_NETWORK = frozenset({"problem", "loss", "step"})
"""Keywords of the contract of a network."""

WHAT = (
    'Hand over functions, as in verify(forward=forward, backward=backward, operation={"x": "n d"}) or '
    'verify(gradient, problem={"hidden": "tanh"}), a module, or the name of a file.'
)
CALLED_AS = "is called as gradient(parameters, inputs, targets)"
OF_AN_OPERATION = (
    "That is the contract of a network; for an operation: verify(forward=forward, backward=backward, "
    'operation={"x": "n d"}).'
)
TWO_NAMES = "{} is given twice, by position and by name: give it once."
NOT_OF_A_FILE = "{} says itself what is in it: leave out {}."
NESTED = "verify draws cases of its own: call it outside of @given. For inside there is assert_gradient."


@dataclass(frozen=True)
class Counterexample:
    """The smallest case on which a derivative is wrong, as arrays.

    Attributes:
        sentence: the property that does not hold.
        inputs: by name, in the order of forward; of a network `parameters`, `inputs` and `targets`.
        options: what was drawn for it besides; of a network `hidden`, `output`, `loss` and `reduction`.
        cotangents: dy, one for each output of forward; empty for a network.
        given: the gradients that came back, by name: dx, or dW1; empty where none did.
        right: those that should have come back.
        text: the case as Python to paste, which prints the gradients.
    """

    sentence: str
    inputs: Mapping[str, Any]
    options: Mapping[str, Any]
    cotangents: tuple[Array, ...]
    given: Mapping[str, Array]
    right: Mapping[str, Array]
    text: str = field(repr=False)

    def __str__(self) -> str:
        """As Python to paste."""
        return self.text


@dataclass(frozen=True)
class Result:
    """What came of a verification.

    `print(result)` is the report of the terminal; a notebook shows that of the page. Where several operations were
    judged (a file of several, a folder), `parts` has a result for each, and the rest is of the first with the
    worst verdict.

    Attributes:
        outcomes: what the judge found of each operation.
        hints: how much is told of a mistake: 0 where it shows, 1 a hint besides, 2 its name and the cure.
    """

    outcomes: tuple[Outcome, ...] = field(repr=False)
    hints: int = 2

    @property
    def _worst(self) -> Outcome:
        return min(self.outcomes, key=lambda one: _WORST_FIRST.index(one.verdict))

    @property
    def parts(self) -> tuple["Result", ...]:
        """A result for each operation."""
        return tuple(Result((one,), self.hints) for one in self.outcomes)

    @property
    def name(self) -> str:
        """What was judged."""
        return self._worst.subject

    @property
    def verdict(self) -> Verdict:
        """A string: "PASS", "FAIL", "ERROR", "UNSTABLE" or "INCONCLUSIVE"."""
        return self._worst.verdict

    @property
    def message(self) -> str:
        """What the verdict is for, in a sentence; empty for a PASS."""
        return self._worst.message

    @property
    def mistakes(self) -> tuple[str, ...]:
        """The names of the mistake, or of those that explain it together; empty where none is known."""
        found = self._worst.diagnosis
        return found.mistakes if found is not None and self.hints > 1 else ()

    @property
    def where(self) -> str:
        """Which gradients are wrong, in how many entries; empty where none is."""
        found = self._worst.diagnosis
        return "" if found is None else found.where if self.hints > 0 else found.place

    @property
    def counterexample(self) -> Counterexample | None:
        """The smallest case on which it is wrong, or weak; None where there is none."""
        outcome = self._worst
        if outcome.shown is None:
            return None
        record, example = outcome.shown
        inputs, cotangents = _arrays(example)
        return Counterexample(
            record.sentence,
            inputs,
            dict(example.choices),
            cotangents,
            outcome.given,
            outcome.right,
            outcome.script,
        )

    @property
    def properties(self) -> tuple[Record, ...]:
        """What was found of each property, in the order in which they were tried."""
        return tuple(self._worst.records)

    @property
    def could_have_seen(self) -> float | None:
        """The smallest relative error of a typical entry that would have failed; None where nothing was compared."""
        return self._worst.resolution

    @property
    def output(self) -> str:
        """What the functions printed while they were judged."""
        return self._worst.output

    def raise_for_failure(self, *, strict: bool = False) -> None:
        """Raise `GradientError`, an AssertionError, unless the verdict is PASS, or UNSTABLE and not `strict`."""
        __tracebackhide__ = True
        passes = {Verdict.PASS} if strict else {Verdict.PASS, Verdict.UNSTABLE}
        failed = [one for one in self.outcomes if one.verdict not in passes]
        if failed:
            raise GradientError("\n\n".join(_story(one, self.hints) for one in failed), self)

    def __str__(self) -> str:
        """The report of the terminal."""
        console, text = _console()
        if len(self.outcomes) > 1:
            report.several(console, list(self.outcomes), hints=self.hints)
            return text.getvalue().rstrip()
        outcome = self._worst
        counted = f"\n{report.counted(outcome)}" if outcome.records else ""
        return f"{_story(outcome, self.hints)}{counted}"

    def __repr__(self) -> str:
        """The verdict in a line."""
        return f"<Result {self.verdict} {self.name}>"

    def _repr_html_(self) -> str:
        """The report of the page, for a notebook."""
        from harness import documents  # noqa: PLC0415  (with jinja2: not for who prints)

        return documents.as_fragment(list(self.outcomes), self.hints)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001  (as IPython calls it)
        """The report of the terminal, for IPython."""
        printer.text(repr(self) if cycle else str(self))


def in_brief(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which `help` shows without the types of its arguments: they are many, and its text says them."""
    signature = inspect.signature(function)
    brief = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    vars(function)["__signature__"] = inspect.Signature(brief)
    return function


_WORST_FIRST = (
    *(Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.UNSTABLE),
    *(Verdict.PASS, Verdict.NOT_APPLICABLE),
)


@in_brief
def verify(  # noqa: PLR0913  (the contract of an operation, a keyword for each thing that it may say)
    subject: "str | Path | ModuleType | Callable[..., Any] | None" = None,
    backward: Callable[..., Any] | None = None,
    *,
    problem: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    operation: Mapping[str, Any] | None = None,
    forward: Callable[..., Any] | None = None,
    gradient: Callable[..., Any] | None = None,
    jacobian: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    value_and_gradient: Callable[..., Any] | None = None,
    hessian: Callable[..., Any] | None = None,
    hvp: Callable[..., Any] | None = None,
    stand_in: Callable[..., Any] | None = None,
    loss: Callable[..., Any] | None = None,
    step: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
    sizes: Mapping[str, Any] | None = None,
    valid: Callable[..., Any] | None = None,
    reference: str | Callable[..., Any] | None = None,
    outputs: Sequence[bool] | None = None,
    dtype: str | None = None,
    arrays: Literal["numpy", "torch", "jax"] | None = None,
    parameters: Mapping[str, str] | None = None,
    once: bool | None = None,
    name: str = "",
    cases: int | None = None,
    quick: bool = False,
    only: str | Iterable[str] = (),
    seed: int | None = None,
    hints: Literal[0, 1, 2] = 2,
    time_limit: float = 120.0,
    python: str | None = None,
    sandbox: Sandbox = "auto",
    progress: Progress | bool | None = None,
) -> Result:
    """Say whether a hand-written derivative is right, and if not, which step of it is wrong, where, on which case.

    An operation is a forward pass with its derivative, and the axes of its inputs (equal names, equal sizes)::

        verify(forward=forward, backward=backward, operation={"x": "n d", "gain": "d"})
        verify(rosenbrock, gradient=slope, operation={"x": "n"}, sizes={"n": [2, 3, 4]})
        verify(Dense, operation={"x": "n d", "W": "d k", "b": "k"}, parameters={"W": "dW", "b": "db"})
        verify(Cube.apply, operation={"x": "n d"}, arrays="torch")

    The gradient of a network is one function, of (parameters, inputs, targets)::

        verify(gradient, problem={"hidden": "relu", "loss": "mse"})

    A module of this process, a file or a folder says itself what is in it::

        verify(layers)
        verify("mine.py")

    Functions, classes and modules in hand are called in this process: what they do there they do, and a call that
    hangs is ended by Ctrl-C alone. Files are run in processes of their own, in a sandbox.

    Args:
        subject: a function, a class, a module, or the name of a file, a folder or a module to be run in isolation.
        backward: `backward(dy, cache)`, or `backward(dy, *inputs)`. Given by position it may also take what forward
            takes, and is then its gradient or Jacobian.
        problem: what the gradient of a network handles: `layers`, `hidden`, `output`, `loss`, `reduction`, ...
        operation: the inputs by name, in forward's order, each with its axes (`"n d"`, `""` for a scalar), or a dict
            of `axes`, `values` and `constant`.
        forward: returns y, or (y, cache); `subject` may stand for it.
        gradient: `gradient(*inputs)`, of a forward pass that returns a number.
        jacobian: `jacobian(*inputs)`, y's axes before the input's.
        jvp: `jvp(inputs, tangents)`.
        value_and_gradient: returns both, as `scipy.optimize.minimize(jac=True)` takes it.
        hessian: `hessian(*inputs)`, besides a gradient.
        hvp: `hvp(inputs, tangents)`, besides a gradient.
        stand_in: the function that the derivative is meant to be of, where that is not forward.
        loss: `loss(parameters, inputs, targets)` of a network, checked too.
        step: `step(parameters, inputs, targets, rate)` of a network, in the place of a gradient.
        options: values to draw keywords of the functions from: `{"eps": [1e-5, 1e-3]}`.
        sizes: sizes to draw axes from: `{"d": [4, 8]}`.
        valid: `valid(sizes, options)`, False for a combination that makes no sense.
        reference: the known operation that forward has to be (`"layer_norm"`), or a forward pass in `jax.numpy`.
        outputs: which of several outputs are differentiable.
        dtype: "float32" where the functions work in single precision.
        arrays: whose arrays the functions take.
        parameters: the attributes of a class, each with that of its gradient.
        once: whether one object of the class serves all cases.
        name: what reports call it.
        cases: so many for each property: 100 of a file, 50 of functions in hand, 25 with `quick`.
        quick: fewer cases, and an end with the first property that fails.
        only: the names of the properties to try.
        seed: repeats a run; without one it is drawn, and the report names it.
        hints: how much to tell of a mistake: 0 where it shows, 1 a hint besides, 2 its name and the cure.
        time_limit: seconds of processor time; what sleeps counts a quarter.
        python: the interpreter that runs a file.
        sandbox: of a file.
        progress: called with (properties done, properties in all, the next one); True for a bar in a notebook, which
            is also what None means there; False for none.

    Returns:
        The verdict, the mistake, the smallest case, and what could have been seen.

    Raises:
        TypeError: where arguments don't go together.
        ValueError: where one has no meaning; the message says what to write.
        FileNotFoundError: where there is no such file.
    """
    given = {key: value for key, value in locals().items() if key in _KEYWORDS and value is not None}
    if currently_in_test_context():
        raise RuntimeError(NESTED)
    for keyword, number in (("cases", cases), ("seed", seed)):
        if number is not None and (isinstance(number, bool) or number < (keyword == "cases")):
            raise ValueError(
                f"{keyword} has to be a whole number of {int(keyword == 'cases')} or more, not {number!r}."
            )
    seed = secrets.randbelow(2**32) if seed is None else seed
    usual = OF_A_FILE if isinstance(subject, str | Path) else IN_HAND
    effort = Effort(cases or (QUICK if quick else usual), seed)
    common = Request(
        None, effort, python, time_limit, known((only,) if isinstance(only, str) else only), quick
    )
    if isinstance(subject, str | Path):
        if given:
            raise TypeError(NOT_OF_A_FILE.format(subject, ", ".join(sorted(given))))
        requests = _files(str(subject), replace(common, sandbox=sandbox))
    else:
        if python is not None:
            raise TypeError(
                "python names the interpreter of a file: functions in hand are called in this one."
            )
        requests = [_held(subject, given, name, common)]
    outcomes: list[Outcome] = []
    with shown_where_it_can_be(progress) as show:
        while requests:
            request = requests.pop(0)
            outcome = _judged(request, show)
            if outcome.contents:
                requests = [replace(request, operation=one) for one in outcome.contents] + requests
            else:
                outcomes.append(outcome)
    for one in outcomes:
        _check_call(one, subject)
    return Result(tuple(outcomes), hints)


_KEYWORDS = frozenset(
    {
        *CONSTANTS,
        *("forward", "backward", "gradient", "jacobian", "jvp", "value_and_gradient"),
        *("hessian", "hvp", "stand_in", "valid", "loss", "step"),
    }
)


def _files(subject: str, common: Request) -> list[Request]:
    """What to judge under the name of a file, a folder or a module. Raises as `verify`."""
    try:
        paths = expanded(subject)
    except NoSubjectError as error:
        raise FileNotFoundError(str(error)) from None
    if common.sandbox not in ("auto", *SANDBOXES):
        raise ValueError(f"sandbox is one of auto, {', '.join(SANDBOXES)}, not {common.sandbox!r}.")
    if common.python is not None or common.sandbox != "auto":
        try:
            IsolatedModule("nothing.py", python=common.python, sandbox=common.sandbox).probe()
        except SubjectFault as fault:
            raise ValueError(str(fault)) from None
    return [replace(common, path=one, operation="" if is_network(one) else OPERATION) for one in paths]


def _held(subject: Any, given: dict[str, Any], name: str, common: Request) -> Request:
    """What to judge of functions, a class or a module in hand. Raises as `verify`."""
    if isinstance(subject, ModuleType):
        if given:
            raise TypeError(NOT_OF_A_FILE.format(f"The module {subject.__name__}", ", ".join(sorted(given))))
        held = HeldModule(name or subject.__name__, subject)
        aliases = (f"from {subject.__name__} import *",) if subject.__name__ != "__main__" else ()
        is_network_ = holds_network(held)
        return replace(
            common, path=held.name, operation="" if is_network_ else OPERATION, held=held, aliases=aliases
        )
    contents = _contents(subject, given)
    title = name or _name_of(subject if subject is not None else given.get("forward"), given)
    if isinstance(contents.get("REFERENCE"), str) or not callable(contents.get("REFERENCE")):
        held = HeldModule(title, contents)
    else:
        contents["reference"] = contents["REFERENCE"]
        held = HeldModule(f"{title}.py", {**contents, "REFERENCE": f"{title}.py:reference"})
    is_operation = not contents.keys() <= {"gradient", "step", "loss", "PROBLEM"}
    return replace(
        common,
        path=held.name,
        title=title,
        operation=OPERATION if is_operation else "",
        held=held,
        aliases=_aliases(contents),
    )


def _contents(subject: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What a file would have, by the names that it would have there. Raises as `verify`."""
    contents = {CONSTANTS.get(key, key): value for key, value in given.items()}
    for key, value in given.items():
        if key not in CONSTANTS and not callable(value):
            raise TypeError(f"{key} has to be a function, not {_a(value)}.")
    if subject is None:
        if not given.keys() & {"forward", "value_and_gradient", "gradient", "step"}:
            raise TypeError(f"There is nothing to judge. {WHAT}")
        return contents
    if not callable(subject):
        raise TypeError(f"{_a(subject)} can't be judged. {WHAT}".capitalize())
    contents.update(_role(subject, given))
    if "backward" in contents and "forward" not in given and _takes(contents["backward"]) == _takes(subject):
        contents["jacobian"] = contents.pop("backward")  # a function of what forward takes
    return contents


def _role(subject: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the function or the class that comes first is, by the name that a file would give it."""
    sort = described(subject)["sort"]
    if sort == "class":
        return {"LAYER": subject}
    if sort != "function" or "arrays" in given:
        arrays = given.get("arrays") or {"autograd": "torch", "custom_vjp": "jax"}[sort]
        return {"FUNCTION": subject, "ARRAYS": arrays}
    if given.keys() <= OF_A_NETWORK:
        if "step" in given:
            raise TypeError("A step stands in the place of a gradient: give one of them.")
        return {"step" if getattr(subject, "__name__", "") == "step" else "gradient": subject}
    if "forward" in given:
        raise TypeError(TWO_NAMES.format("forward"))
    return {"forward": subject}


def _takes(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's positional parameters."""
    return tuple(described(function)["signature"]["positional"]) or ("?",)


def _name_of(subject: Any, given: Mapping[str, Any]) -> str:
    """What reports call functions in hand: after the forward pass, the class, or the only one there is."""
    found = subject if subject is not None else next((one for one in given.values() if callable(one)), None)
    found = getattr(found, "__self__", found)  # of Cube.apply: Cube
    words = [one for one in str(getattr(found, "__name__", "")).split("_") if one not in {"forward", "fwd"}]
    name = "_".join(words)
    return name if name.isidentifier() else "operation" if OF_A_NETWORK.isdisjoint(given) else "gradient"


def _aliases(contents: Mapping[str, Any]) -> tuple[str, ...]:
    """Lines that give functions the names that the contract has for them, where they have others."""
    lines = [
        f"{role} = {name}"
        for role, value in contents.items()
        if callable(value)
        and (name := str(getattr(value, "__name__", ""))) != role
        and name.isidentifier()
        and role.islower()
    ]
    return tuple(lines)


def _check_call(outcome: Outcome, subject: Any) -> None:
    """Raise ValueError where what can't be judged is what the call says, and no file or module."""
    if outcome.verdict is not Verdict.ERROR or isinstance(subject, str | Path | ModuleType):
        return
    message = outcome.message
    for key, constant in CONSTANTS.items():
        message = re.sub(
            rf"\b{constant}\b( = )?", lambda found, key=key: f"{key}=" if found[1] else key, message
        )
    message = message.replace("LAYER", "the class").replace("FUNCTION", "the function")
    if CALLED_AS in message:
        message += f" {OF_AN_OPERATION}"
    raise ValueError("\n".join(filter(None, [message, outcome.trace])))


def _judged(request: Request, show: Progress) -> Outcome:
    """The outcome of one request, in the turn of this thread."""
    waiting = [one.name.replace("_", " ") for one in properties_of(request)]
    done = 0

    def announce(_: Record) -> None:
        nonlocal done
        done += 1
        show(done, len(waiting), waiting[done] if done < len(waiting) else "")

    with as_it_was(), double_precision():
        show(0, len(waiting), waiting[0] if waiting else "")
        outcome = judged(request, announce)
    if request.held is not None:
        outcome.remark = outcome.remark.replace("REFERENCE = ", "reference=")
    return outcome


def _arrays(example: Example) -> tuple[dict[str, Any], tuple[Array, ...]]:
    """The inputs and the cotangents of an example."""
    if isinstance(example, OperationCase):
        cotangents = example.cotangents([np.zeros(shape) for shape in example.shapes])
        return dict(example.inputs), cotangents
    if isinstance(example, Case):
        inputs = {"parameters": example.parameters, "inputs": example.inputs, "targets": example.targets}
        return inputs, ()
    return {}, ()


def _story(outcome: Outcome, hints: int) -> str:
    console, text = _console()
    report.story(console, outcome, hints=hints)
    return text.getvalue().rstrip()


def _console() -> tuple[Console, StringIO]:
    """A console that writes to a text, as wide as a file is, whatever this process has for a terminal."""
    text = StringIO()
    return Console(
        file=text, width=report.WIDTH, force_terminal=False, force_jupyter=False, color_system=None
    ), text


def _a(value: Any) -> str:
    kind = type(value).__name__
    return "None" if value is None else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
