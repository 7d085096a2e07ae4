"""A user's module as a subject: in its own process, behind the contract."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from harness.clock import PATIENCE
from harness.contract import ContractError, check_finite, read_gradient, read_loss
from harness.isolation import IsolatedModule, Limits, Sandbox, Signature, SubjectFault, SubjectModule
from harness.worker import printable
from properties.cases import Case, Parameters
from properties.checks import alike
from properties.comparison import compare, named
from properties.problem import Claim, ProblemError, read
from properties.search import Inconclusive, NoGradient, SubjectGone, Violation

RATES = {"float64": 2.0**200, "float32": 2.0**60}
"""A `step` moves by rate · gradient. Next to so large a move the parameters are lost in rounding, and dividing
by a power of two loses nothing, so the gradient comes back with all its digits."""
OTHER_RATES = {"float64": (), "float32": (2.0**110, 2.0**95, 2.0**80, 2.0**10)}
"""Single precision has no room for large gradients and for small ones at one rate; the largest that fits is taken."""

UNEXPECTED = "got an unexpected keyword argument"
"""What Python says of a call with a keyword that a function does not have."""

NOT_CALLABLE = "'str' object is not callable"
"""What it says where a choice is taken for a function, and is a name."""

_LOST = {
    "timeout",
    "crash",
    "exit",
    "memory",
    "protocol",
    "size",
    "not_found",
    "import",
    "syntax",
}


class StepViolation(NoGradient):
    """A step that is not its rate times one gradient.

    `moved` is what it moved by at `rate`, over the rate; `moved_by_one` the same at a rate of 1.
    """

    def __init__(self, sentence: str, moved: Parameters, rate: float, moved_by_one: Parameters) -> None:
        """The sentence, and what shows which mistake it is."""
        super().__init__(sentence)
        self.moved, self.rate, self.moved_by_one = moved, rate, moved_by_one


class StateViolation(Violation):
    """A step whose second call with the same arguments gives another answer."""

    keeps_state = True


class RestViolation(NoGradient):
    """A step that moves the parameters at a rate of 0, by `moved_by_none`."""

    def __init__(self, sentence: str, moved_by_none: Parameters) -> None:
        """The sentence, and what shows what it is."""
        super().__init__(sentence)
        self.moved_by_none = moved_by_none

    def __reduce__(self) -> tuple[type["RestViolation"], tuple[str, Parameters]]:
        """How it comes to another process."""
        return RestViolation, (str(self), self.moved_by_none)


class UnusableSubject(Exception):  # noqa: N818  (an answer about a subject)
    """A module that can't be judged at all; the message is one sentence for its author."""

    def __init__(self, sentence: str, trace: str = "") -> None:
        """The sentence, and the author's own traceback where there is one."""
        super().__init__(sentence)
        self.trace = trace


class FileSubject:
    """The gradient of a file or module, judged by the same protocol as the bundled one."""

    rational = False

    def __init__(self, name: str, module: SubjectModule) -> None:
        """Read what the module says of itself. Raises `UnusableSubject`."""
        self.name = name
        self._module = module
        functions = module.description.functions
        try:
            self.claims: tuple[Claim, ...] = read(module.description.problem)
        except ProblemError as error:
            raise UnusableSubject(str(error)) from None
        self.function = "gradient" if "gradient" in functions else "step"
        if self.function not in functions:
            raise UnusableSubject(
                f"{name} has no function gradient. Define gradient(parameters, inputs, targets): the checker calls it."
            )
        self._signatures = functions
        for function, count in ((self.function, 3 + (self.function == "step")), ("loss", 3)):
            if function in functions:
                _check_arity(function, functions[function], count)
        _check_choices(self.function, functions[self.function], self.claims)
        self.has_loss = "loss" in functions
        self._impurity = ""
        self.overwrites = False
        """Whether a call changed the arrays that the call before had returned."""
        self.check_limit: Callable[[], None] = lambda: None
        """Called before every call; it may raise `TimeIsOver`."""
        self._processor, self._processor_before, self._waited = 0.0, 0.0, 0.0
        self.takes_keywords = True
        """False for a wrapper that takes any keyword and passes it on to a function that does not."""

    def gradient(self, case: Case) -> Parameters:
        """The subject's gradient. Raises `ContractError`, `Inconclusive`, or `SubjectGone`."""
        arguments: tuple[Any, ...] = (case.parameters, case.inputs, case.targets)
        if self.function == "gradient":
            gradient = read_gradient(self._call("gradient", arguments, case), case)
        else:
            gradient = self._read_off(case)
            impurity = self._impurity
            try:
                self._check_rates(case, gradient)
            except Violation:
                self._check_state(case, gradient)
                raise
            self._impurity = impurity or self._impurity
        check_finite(gradient, case)
        return gradient

    def _read_off(self, case: Case) -> Parameters:
        """The gradient that a step moves by, each entry by a rate at which it neither overflows nor is lost.

        Raises `Inconclusive` where there is no such rate: the parameter's own rounding is more than what the gradient
        may be off by.
        """
        fmt = str(case.inputs.dtype)
        gradient = self._gradient_of_step(case, RATES[fmt])
        with np.errstate(all="ignore"):
            arrays, parameters = named(gradient), named(case.parameters)
            right, opened = named(case.oracle.gradient), named(case.oracle.open)
            allowed = {name: error + opened[name] for name, error in named(case.oracle.error).items()}
            rates = {name: np.full(array.shape, RATES[fmt]) for name, array in arrays.items()}

            def resolved(name: str) -> Any:
                """How far the parameter's own rounding may carry what is read off."""
                return 2 * float(np.finfo(fmt).eps) * abs(parameters[name]) / rates[name]

            def lost(name: str) -> Any:
                """Which entries a step can't tell from the right ones, though they may be off by more than allowed."""
                off = resolved(name)
                near = abs(arrays[name] - right[name]) <= off + allowed[name]
                return ((arrays[name] != 0) | (right[name] != 0)) & (off > allowed[name]) & near

            for rate in OTHER_RATES[fmt]:
                wanted = {
                    name: lost(name) & (rates[name] < rate) if rate > RATES[fmt] else ~np.isfinite(array)
                    for name, array in arrays.items()
                }
                if any(mask.any() for mask in wanted.values()):
                    for name, array in named(self._gradient_of_step(case, rate)).items():
                        better = wanted[name] & np.isfinite(array)
                        arrays[name][better], rates[name][better] = array[better], rate
            for name, array in arrays.items():
                array[(right[name] == 0) & (abs(array) <= resolved(name))] = (
                    0  # all that a step can show of 0
                )
            is_wrong = any(
                (abs(array - right[name]) > resolved(name) + allowed[name]).any()
                for name, array in arrays.items()
            )
            if not is_wrong and any(lost(name).any() for name in arrays):
                raise Inconclusive("the gradient is too small to measure: the step's own rounding hides it")
        return gradient

    def _gradient_of_step(self, case: Case, rate: float) -> Parameters:
        """(parameters - step(parameters, ..., rate)) / rate; with a rate of 0 the move itself."""
        arguments = case.parameters, case.inputs, case.targets, rate
        moved = read_gradient(self._call("step", arguments, case), case, "step")
        return [
            ((W - new_W) / (rate or 1), None if b is None or new_b is None else (b - new_b) / (rate or 1))
            for (W, b), (new_W, new_b) in zip(case.parameters, moved, strict=True)
        ]

    def _check_rates(self, case: Case, gradient: Parameters) -> None:
        """Raise `Violation` where the move is not the rate times the gradient, for a rate of 0 and of 1."""
        unit, parameters = float(np.finfo(case.inputs.dtype).eps), named(case.parameters)
        if not all(np.isfinite(array).all() for array in named(gradient).values()) and case.overflows:
            return
        with np.errstate(all="ignore"):
            by_none = self._gradient_of_step(case, 0.0)
            if any(array.any() for array in named(by_none).values()):
                raise RestViolation(
                    "step moves the parameters with a rate of 0 too: a part of its move is not multiplied by the rate",
                    by_none,
                )
            # Either reading is rounded twice by the step and once here, beside numbers up to |W| + |dW|; a step may
            # subtract the samples' shares one by one.
            roundings = 8 + case.samples
            error = {
                name: roundings * unit * (abs(parameters[name]) + abs(array))
                + 2 * named(case.oracle.error)[name]
                for name, array in named(gradient).items()
            }
            by_one = self._gradient_of_step(case, 1.0)
            found = compare(named(by_one), named(gradient), error)
        if not found.holds:
            raise StepViolation(
                "step moves by something other than its rate times one gradient: with a rate of 1 it moves by a "
                f"different gradient than with a very large rate, in {found.census()}",
                gradient,
                RATES[str(case.inputs.dtype)],
                by_one,
            )

    def _check_state(self, case: Case, gradient: Parameters) -> None:
        """Raise `StateViolation` where a second call does not give the same gradient, but for rounding."""
        again = self._gradient_of_step(case, RATES[str(case.inputs.dtype)])
        if all(
            np.array_equal(named(again)[name], array, equal_nan=True)
            for name, array in named(gradient).items()
        ):
            return
        try:
            alike(self._read_off(case), gradient, case, what="")
        except Violation:
            raise StateViolation(
                "step gives a different answer in a second call with the same arguments: it keeps something "
                "between calls"
            ) from None
        except Inconclusive:
            return

    def loss(self, case: Case) -> float:
        """The subject's loss. Raises as `gradient`."""
        return read_loss(self._call("loss", (case.parameters, case.inputs, case.targets), case))

    @property
    def seconds(self) -> float:
        """What its calls have used so far: processor time, or a part of what they took on the wall."""
        return max(self._processor_before + self._processor, self._waited / PATIENCE)

    @property
    def output(self) -> str:
        """What the module printed."""
        return self._module.output

    @property
    def sandbox(self) -> str:
        """The one that its process runs in."""
        return self._module.sandbox

    def close(self) -> bool:
        """End the module's process; whether processes were left that it does not wait for."""
        return self._module.close()

    def impurity(self) -> str:
        """What the last call did to its arguments, as a sentence; empty where it did nothing."""
        return self._impurity

    def renew(self) -> None:
        """Let the next call come to a process in which there was none before."""
        self._module.renew()

    def _call(self, function: str, arguments: tuple[Any, ...], case: Case) -> Any:
        self.check_limit()
        signature = self._signatures[function]
        taken = signature.positional[: len(arguments)]
        keywords: dict[str, str | float] = {
            key: str(value)
            for key, value in case.choices.items()
            if (key in signature.keywords or signature.any_keyword) and key not in taken
        }
        try:
            result = self._module.call(
                function, arguments, keywords if self.takes_keywords else {}, layout=_layout(case)
            )
        except SubjectFault as fault:
            if self.takes_keywords and signature.any_keyword and UNEXPECTED in str(fault):
                self.takes_keywords = False
                return self._call(function, arguments, case)
            if fault.kind == "interpreter":
                raise  # it ran before, so that this is no fault of the subject
            if fault.kind in _LOST:
                raise SubjectGone(str(fault)) from None
            named = ", ".join(f"{key}={value!r}" for key, value in keywords.items())
            hint = f" It is called with {named}." if named and NOT_CALLABLE in str(fault) else ""
            raise ContractError(f"{fault}{hint}\n{fault.trace}".rstrip()) from None
        if result.processor < self._processor:  # a new process begins at 0
            self._processor_before += self._processor
        self._processor = result.processor
        self._waited += result.seconds
        self.overwrites = self.overwrites or bool(result.overwritten)
        self._impurity = ""
        if result.mutated:
            self._impurity = f"{function} changes its argument {_place(result.mutated[0])} in place"
        elif result.aliased:
            self._impurity = f"{function} returns an array that lies in the memory of an argument"
        return result.value


def _check_arity(function: str, signature: Signature, count: int) -> None:
    """Raise `UnusableSubject` where a function can't be called with `count` arguments and the known keywords."""
    names = ("parameters", "inputs", "targets", "rate")[:count]
    known = {"hidden", "output", "loss", "reduction"}
    missing = set(signature.positional[count : signature.required]) - known
    missing |= set(signature.required_keywords) - known
    too_few = len(signature.positional) < count and not signature.any_positional
    if too_few or missing:
        extra = f"; there is nothing to pass for {', '.join(sorted(missing))}" if missing else ""
        raise UnusableSubject(
            f"{function} takes ({', '.join(signature.positional)}), and is called as "
            f"{function}({', '.join(names)}){extra}."
        )


CHOICES = ("hidden", "output", "loss", "reduction")
"""What is passed by keyword, as a name, to a function that takes it."""


def _check_choices(function: str, signature: Signature, claims: Sequence[Claim]) -> None:
    """Raise `UnusableSubject` where one of several values is drawn, and the function is not told which."""
    for key in CHOICES:
        several = next((getattr(claim, key) for claim in claims if len(getattr(claim, key)) > 1), ())
        if several and key not in signature.keywords and not signature.any_keyword:
            raise UnusableSubject(
                f"PROBLEM lists {len(several)} values for {key!r}. One of them is drawn for each case, the same for "
                f"all layers, and passed by keyword: let {function} take {key}, or name one value."
            )


def _layout(case: Case) -> Literal["C", "F", "strided"]:
    """How the case's own arrays lie in memory, so that the subject gets them likewise."""
    arrays = [case.inputs, *(W for W, _ in case.parameters)]
    if all(array.flags.c_contiguous for array in arrays):
        return "C"
    return "F" if all(array.flags.f_contiguous for array in arrays) else "strided"


def _place(path: tuple[int, ...]) -> str:
    """`W of layer 2` for the path (0, 1, 0)."""
    match path:
        case (0, layer, 0):
            return f"W of layer {layer + 1}"
        case (0, layer, 1):
            return f"b of layer {layer + 1}"
        case (1,):
            return "inputs"
        case _:
            return "targets"


@contextmanager
def load(
    path: str | Path,
    *,
    python: str | None = None,
    limits: Limits | None = None,
    sandbox: Sandbox = "auto",
    folder: str = "",
) -> Generator[FileSubject]:
    """Start a module in its worker, and stop it at the end.

    Raises:
        UnusableSubject: where it can't be imported, has no `gradient`, or its `PROBLEM` can't be read.
        SubjectFault: where the interpreter or the sandbox can't be started, which is no fault of the module.
    """
    with IsolatedModule(path, python=python, limits=limits, sandbox=sandbox, folder=folder) as module:
        try:
            module.start()
        except SubjectFault as fault:
            if fault.kind == "interpreter":
                raise
            raise UnusableSubject(str(fault), fault.trace) from None
        yield FileSubject(printable(str(path)), module)
