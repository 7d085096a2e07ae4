"""The operations of a user's module as subjects: each in a worker of its own, behind the contract of an operation."""

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.contract import ContractError, UndefinedError, of_numbers
from harness.isolation import (
    IsolatedModule,
    Limits,
    Operated,
    Sandbox,
    SubjectFault,
    SubjectModule,
    Unsupported,
)
from harness.loading import UnusableSubject
from properties.conventions import CONVENTIONS
from properties.declaration import Call, Contents, Declaration, DeclarationError, Function, Missing, read
from properties.operation.cases import numbered
from properties.operation.programs import NoProgramError, Shapes
from properties.search import SubjectGone
from reference import operations
from reference.operations.operation import Input, Operation
from reference.transcript import Transcript, TranscriptError, read_transcript

Array: TypeAlias = NDArray[Any]
Layout: TypeAlias = Literal["C", "F", "strided", "broadcast"]
P = ParamSpec("P")
R = TypeVar("R")

KNOWN: tuple[Operation, ...] = tuple(getattr(operations, "OPERATIONS", {}).values())
"""The operations whose derivatives are known to the last digit."""

TOLD = frozenset({"exception", "contract", "undefined"})
"""Faults after which the next call makes sense; after the others the subject is gone."""

READ_ONLY = "read-only"
"""What NumPy says of an array that can't be written to."""

PROBES = (2, 3, 4, 5)
"""Sizes with which a first call is tried, where a pair of functions can be read in several ways."""


@dataclass(frozen=True)
class Manners:
    """What a call did besides returning. Names are of inputs, of cotangents (dy, dy2) and of results (y, dx).

    Attributes:
        mutated: inputs, cotangents and arrays of the cache that the call changed in place.
        aliased: results that lie in the memory of an argument or of the cache, each with whose.
        reused: results that lie in the memory of an earlier result: a buffer that is always the same.
        overwritten: earlier results that the call changed.
        warnings: the first few.
        remarks: sentences about what may go wrong, though it did not here.
    """

    mutated: tuple[str, ...] = ()
    aliased: tuple[tuple[str, str], ...] = ()
    reused: tuple[str, ...] = ()
    overwritten: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(eq=False)
class Forward:
    """A forward pass: its outputs, and the way back to what it left in the worker."""

    inputs: Mapping[str, Any]
    options: Mapping[str, Any]
    outputs: tuple[Array, ...]
    manners: Manners
    seconds: float
    layout: Layout = "C"
    seed: int = 0
    run: int = 0
    worker: int = 0
    cotangents: tuple[Array, ...] | None = field(default=None, repr=False)  # of the last backward pass


@dataclass(frozen=True)
class Backward:
    """A backward pass: the gradient of each differentiable input, in its shape."""

    gradients: dict[str, Array]
    manners: Manners
    seconds: float


@dataclass(frozen=True)
class Result:
    """Both."""

    outputs: tuple[Array, ...]
    gradients: dict[str, Array]
    manners: tuple[Manners, Manners]


class OperationSubject:
    """One operation of a file: whatever its kind, inputs by name go in, outputs and gradients come out.

    Every call may raise `ContractError`, a sentence for the author, or `SubjectGone`, where no further call
    makes sense.
    """

    def __init__(self, name: str, declaration: Declaration, module: SubjectModule) -> None:
        """What a report calls it, what its file declares, and the module, which nobody else uses."""
        self.name = name
        self.declaration = declaration
        self._module = module
        self._plan = plan_of(declaration)
        self.check_limit: Callable[[], None] = lambda: None
        """Called before each call: it may end the verification."""
        self._processor: dict[int, float] = {}  # by worker

    # --- calls

    def forward(
        self,
        inputs: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        *,
        layout: Layout = "C",
        seed: int = 0,
    ) -> Forward:
        """The outputs for these inputs, with what the backward pass needs kept in the worker.

        The global generators are seeded with `seed` before. A complex input gives complex outputs.
        """
        options = dict(options or {})
        name = self._forward_function()
        done = self._do("forward", inputs, (), options, name, layout, seed)
        values = done.value if isinstance(done.value, list) else [done.value]
        outputs = self._outputs(values, name)
        manners = self._manners(done, numbered(self.declaration.output, len(values)), of_forward=True)
        if done.once:
            remark = f"{done.once}, which can be read once: a second backward pass finds it empty"
            manners = replace(manners, remarks=(*manners.remarks, remark))
        return Forward(
            dict(inputs),
            options,
            outputs,
            manners,
            done.seconds,
            layout,
            seed,
            done.run,
            self._module.worker_id,
        )

    def forwards(
        self, places: Sequence[Mapping[str, Any]], options: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[Array, ...] | ContractError]:
        """The outputs at several places, inputs of the same shapes, in few calls: nothing is kept for a backward pass.

        Where there are none, it is what `forward` raises.
        """
        options, names = dict(options or {}), list(self.declaration.inputs)
        function = self._forward_function()
        waiting = list(places)
        while waiting:
            sizes = self.declaration.sizes_of({name: np.shape(waiting[0][name]) for name in names})
            order = {
                "do": "several",
                "plan": self._plan,
                "sizes": sizes,
                "seed": 0,
                "awhile": self._module.awhile,
            }
            arrays = tuple([_passed(place[name]) for name in names] for place in waiting)
            found: list[Any] = []
            with suppress(ContractError):  # of one of them, which is asked for alone
                found = self._operate(order, arrays, options, function).value
            for values in found:
                del waiting[0]
                yield _tried(self._outputs, values, function)
            if waiting:  # there are none here, or it takes long
                alone = _tried(self.forward, waiting.pop(0), options)
                yield alone if isinstance(alone, ContractError) else alone.outputs

    def _forward_function(self) -> str:
        """What the author calls the function that gives the outputs."""
        calls = self.declaration.calls
        return (calls.get("forward") or calls["value_and_gradient"]).function.name

    def backward(
        self, forward: Forward, cotangents: Sequence[Array] | None = None, *, layout: Layout = "C"
    ) -> Backward:
        """The gradients for these cotangents, one for each output (those without derivative are passed over).

        Without cotangents the subject gets the very same objects as the last time. With the layout "broadcast"
        they have stride 0 along the axes on which they are constant.
        """
        again = cotangents is None
        given = forward.cotangents if cotangents is None else tuple(cotangents)
        if given is None:
            raise ValueError("a first backward pass needs cotangents")
        declared = self.declaration
        if forward.worker != self._module.worker_id:  # what it kept is gone with its process
            renewed = self.forward(forward.inputs, forward.options, layout=forward.layout, seed=forward.seed)
            forward.run, forward.worker, again = renewed.run, renewed.worker, False
        forward.cotangents = given
        if declared.kind == "jvp":
            return self._from_tangents(forward, given)
        function = self._derivative()
        sent = tuple(one for one, flag in zip(given, self._flags(len(given)), strict=True) if flag)
        order = {"do": "backward", "plan": self._plan, "run": forward.run, "again": again}
        done = self._operate(order, () if again else sent, forward.options, function, layout)
        manners = self._manners(
            done, numbered(self.declaration.output, len(forward.outputs)), of_forward=False
        )
        gradients = self._gradients(done, forward, given, function)
        return Backward(gradients, manners, done.seconds)

    def vjp(
        self,
        inputs: Mapping[str, Any],
        cotangents: Sequence[Array],
        options: Mapping[str, Any] | None = None,
        *,
        layout: Layout = "C",
        cotangent_layout: Layout = "C",
        seed: int = 0,
    ) -> Result:
        """Outputs and gradients: forward, and backward."""
        forward = self.forward(inputs, options, layout=layout, seed=seed)
        backward = self.backward(forward, cotangents, layout=cotangent_layout)
        return Result(forward.outputs, backward.gradients, (forward.manners, backward.manners))

    def jvp(
        self,
        inputs: Mapping[str, Any],
        tangents: Mapping[str, Array],
        options: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
    ) -> tuple[Array, ...]:
        """J v, one array for each output, for a tangent of each differentiable input."""
        name = self.declaration.calls["jvp"].function.name
        along = tuple(tangents[one] for one in self.declaration.differentiable)
        done = self._do("jvp", inputs, along, dict(options or {}), name, "C", seed)
        values = list(done.value) if isinstance(done.value, list | tuple) else [done.value]
        count = len(self.declaration.outputs) or 1
        if len(values) == 2 * count or (len(values) == 2 and isinstance(values[1], list | tuple)):  # noqa: PLR2004
            values = (
                list(values[1]) if isinstance(values[1], list | tuple) else values[count:]
            )  # (y, J v), as JAX
        return tuple(_floats(value, f"what {name} returns", None) for value in values)

    def hvp(
        self,
        inputs: Mapping[str, Any],
        tangents: Mapping[str, Array],
        options: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
    ) -> dict[str, Array]:
        """H v, one array in the shape of each differentiable input."""
        name = self.declaration.calls["hvp"].function.name
        along = tuple(tangents[one] for one in self.declaration.differentiable)
        done = self._do("hvp", inputs, along, dict(options or {}), name, "C", seed)
        return self._by_input(done, inputs, name, "Hv of ")

    def jacobian(
        self, inputs: Mapping[str, Any], options: Mapping[str, Any] | None = None, *, seed: int = 0
    ) -> dict[str, Array]:
        """One array for each differentiable input: the axes of y, then those of the input."""
        name = self.declaration.calls["jacobian"].function.name
        done = self._do("jacobian", inputs, (), dict(options or {}), name, "C", seed)
        values = self._listed(done, name)
        return {
            one: _floats(value, f"the Jacobian by {one}", None)
            for one, value in zip(self.declaration.differentiable, values, strict=True)
        }

    def hessian(
        self, inputs: Mapping[str, Any], options: Mapping[str, Any] | None = None, *, seed: int = 0
    ) -> dict[tuple[str, str], Array]:
        """The second derivatives by pairs of differentiable inputs, the axes of the first before the second's."""
        name = self.declaration.calls["hessian"].function.name
        done = self._do("hessian", inputs, (), dict(options or {}), name, "C", seed)
        names = self.declaration.differentiable
        rows: Any = done.value
        if len(names) == 1:
            while isinstance(rows, list | tuple) and len(rows) == 1:
                rows = rows[0]
            rows = [[rows]]
        square = isinstance(rows, list | tuple) and len(rows) == len(names)
        if not square or any(not isinstance(row, list | tuple) or len(row) != len(names) for row in rows):
            raise ContractError(
                f"{name} has to return a tuple of {len(names)} tuples of {len(names)}: by {', '.join(names)}, and "
                "again by each of them."
            )
        found: dict[tuple[str, str], Array] = {}
        for one, other in product(range(len(names)), repeat=2):
            pair = names[one], names[other]
            wanted = (*np.shape(inputs[pair[0]]), *np.shape(inputs[pair[1]]))
            found[pair] = _shaped(rows[one][other], f"the Hessian by {pair[0]} and {pair[1]}", wanted)
        return found

    def stand_in(
        self, inputs: Mapping[str, Any], options: Mapping[str, Any] | None = None, *, seed: int = 0
    ) -> tuple[Array, ...]:
        """The value of the function that the derivative is meant to be of."""
        name = self.declaration.calls["stand_in"].function.name
        done = self._do("stand_in", inputs, (), dict(options or {}), name, "C", seed)
        return self._outputs(list(done.value) if isinstance(done.value, list | tuple) else [done.value], name)

    def draw(self, name: str, seed: int, shape: Sequence[int], sizes: Mapping[str, int]) -> Array:
        """The values of an input whose `values` are a function of the file: (rng, shape, sizes)."""
        function = self.declaration.inputs[name].values
        assert isinstance(function, Function)  # noqa: S101  (the caller has looked)
        order = {
            "do": "draw",
            "plan": self._plan,
            "path": list(function.path),
            "seed": seed,
            "shape": [int(one) for one in shape],
            "sizes": _integers(sizes),
        }
        value = self._operate(order, (), {}, function.name).value
        if not isinstance(value, np.ndarray | np.generic | int | float):
            raise ContractError(
                f"{function.name} has to return an array of shape {tuple(shape)}, not {_a(value)}."
            )
        array = np.asarray(value)
        if array.shape != tuple(shape):
            raise ContractError(
                f"{function.name} returns an array of shape {array.shape}, and {name} has {tuple(shape)}."
            )
        return array

    def valid(self, sizes: Mapping[str, int], options: Mapping[str, Any]) -> bool:
        """Whether a combination of sizes and options makes sense, as far as the file and the judge know."""
        declared = self.declaration
        if declared.valid is not None and not declared.valid(sizes, options):
            return False
        if not declared.has_valid:
            return True
        order = {"do": "valid", "plan": self._plan, "sizes": _integers(sizes)}
        return self._operate(order, (), options, declared.calls["valid"].function.name).value is True

    def program(
        self, shapes: Shapes, options: Mapping[str, Any], reference: str = "", symbols: Sequence[str] = ()
    ) -> Transcript:
        """The forward pass for inputs of these types and shapes as a program, or a function "mine.py:function".

        With symbols for its sizes the shapes are expressions of those, and it is a program for all of them.

        Either is traced in a process of its own, which is none that is judged: what tracing leaves behind in a module
        is no fault of it.

        Raises:
            NoProgramError: where it can't be traced; the message says why.
        """
        file, _, function = reference.rpartition(":")
        module = self._module.beside(file)
        given = dict(zip(self.declaration.inputs, (shape for _, shape in shapes), strict=True))
        sizes = {} if symbols else self.declaration.sizes_of(given)
        order: dict[str, Any] = {
            "do": "trace",
            "symbols": list(symbols),
            "plan": self._plan,
            "sizes": sizes,
            "seed": 0,
            "function": function,
        }
        order |= {"shapes": [[dtype, list(shape)] for dtype, shape in shapes], "keywords": []}
        self.check_limit()
        try:
            if not self._module.description.has_jax:
                if not function:
                    raise NoProgramError("the interpreter has no JAX")
                module = self._module.beside(file, python=sys.executable)
            if function:
                known = module.description.module.functions.get(function)
                if known is None:
                    raise NoProgramError(f"{file} has no function {function}")
                order["keywords"] = sorted(known.signature.keywords)
            done = module.operate(order, options=options, doing=reference or "tracing forward")
        except SubjectFault as fault:
            raise NoProgramError(str(fault).rstrip(".")) from None
        self._processor[module.worker_id] = done.processor
        if done.program is None:
            raise NoProgramError(done.why)
        try:
            return read_transcript(done.program, done.value)
        except TranscriptError as error:
            raise NoProgramError(str(error)) from None

    def first_call(self) -> bool:
        """Whether the forward and the backward pass take small inputs as they are declared."""
        declared, rng = self.declaration, np.random.default_rng(0)
        options = {name: values[0] for name, values in declared.options.items()}
        choices = [declared.sizes.get(axis, PROBES) for axis in declared.axes]
        sizes = dict(zip(declared.axes, (some[i % len(some)] for i, some in enumerate(choices)), strict=True))
        if not self.valid(sizes, options):
            drawn = (dict(zip(declared.axes, some, strict=True)) for some in product(*choices))
            sizes = next((one for one in drawn if self.valid(one, options)), sizes)
        inputs = {name: _simple(one, sizes, rng) for name, one in declared.inputs.items()}
        try:
            forward = self.forward(inputs, options)
            self.backward(forward, [np.ones_like(one) for one in forward.outputs])
        except ContractError:
            return False
        return True

    @property
    def sandbox(self) -> str:
        """The one that its process runs in."""
        return self._module.sandbox

    @property
    def processor_seconds(self) -> float:
        """What its processes have used so far."""
        return sum(self._processor.values())

    @property
    def output(self) -> str:
        """What the module printed."""
        return self._module.output

    def renew(self) -> None:
        """Let the next call come to a process in which there was none before."""
        self._module.renew()

    def close(self) -> bool:
        """End the process; whether processes were left that it does not wait for."""
        return self._module.close()

    # --- orders

    def _do(
        self,
        do: str,
        inputs: Mapping[str, Any],
        tangents: tuple[Array, ...],
        options: Mapping[str, Any],
        doing: str,
        layout: Layout,
        seed: int,
    ) -> Operated:
        """Call a function with the inputs by position."""
        arrays = tuple(_passed(inputs[name]) for name in self.declaration.inputs)
        sizes = self.declaration.sizes_of({name: np.shape(inputs[name]) for name in self.declaration.inputs})
        order = {"do": do, "plan": self._plan, "sizes": sizes, "seed": seed, "tangents": bool(tangents)}
        return self._operate(order, (*arrays, *tangents), options, doing, layout)

    def _operate(
        self,
        order: Mapping[str, Any],
        arrays: tuple[Any, ...],
        options: Mapping[str, Any],
        doing: str,
        layout: Layout = "C",
    ) -> Operated:
        self.check_limit()
        try:
            done = self._module.operate(order, arrays, options=options, doing=doing, layout=layout)
        except SubjectFault as fault:
            if fault.kind not in TOLD:
                raise SubjectGone(str(fault)) from None
            if READ_ONLY in str(fault) and layout == "broadcast":
                raise ContractError(
                    f"{doing} writes into its cotangent, which is a broadcast array here, and so is read-only: "
                    f"work on a copy.\n{fault.trace}".rstrip()
                ) from None
            error = UndefinedError if fault.kind == "undefined" else ContractError
            raise error(f"{fault}\n{fault.trace}".rstrip()) from None
        self._processor[self._module.worker_id] = done.processor
        return done

    def _derivative(self) -> str:
        """What the author calls the derivative."""
        calls, kind = self.declaration.calls, self.declaration.kind
        if kind == "class":
            return calls["layer"].function.name + ".backward"
        return (calls["forward"] if kind == "function" else calls[kind]).function.name

    def _flags(self, count: int) -> tuple[bool, ...]:
        """Which of so many outputs are differentiable."""
        return self.declaration.outputs or (True,) * count

    # --- answers

    def _outputs(self, values: Sequence[Any], function: str) -> tuple[Array, ...]:
        """The outputs as arrays. Raises `ContractError`."""
        flags = self._flags(len(values))
        if len(flags) != len(values):
            raise ContractError(
                f"{function} returns {len(values)} {_plural('output', len(values))}, and OUTPUTS says which of "
                f"{len(flags)} are differentiable."
            )
        names = [
            f"output {i + 1} of {function}" if len(values) > 1 else f"what {function} returns"
            for i in range(len(values))
        ]
        if not values:
            raise ContractError(f"{function} returns an empty tuple; it has to return its output.")
        found: list[Array] = []
        for value, flag, name in zip(values, flags, names, strict=True):
            if (
                flag
                and len(values) > 1
                and isinstance(value, Unsupported | list | tuple)
                and value is values[-1]
            ):
                takes = ", ".join(self.declaration.inputs)
                raise ContractError(
                    f"{name} is {_a(value)}; if it is a cache, let the backward pass take it: backward(dy, cache), and "
                    f"not backward(dy, {takes})."
                )
            found.append(_floats(value, name, None) if flag else np.asarray(value))
        scalar = self.declaration.kind in ("gradient", "value_and_gradient")
        if scalar and (len(found) > 1 or found[0].size != 1):
            raise ContractError(
                f"{function} has to return one number, of which there is a gradient, not an array of shape "
                f"{found[0].shape}: for an array, define backward(dy, cache) or jacobian."
            )
        return tuple(one.reshape(()) for one in found) if scalar else tuple(found)

    def _gradients(
        self, done: Operated, forward: Forward, cotangents: tuple[Array, ...], function: str
    ) -> dict[str, Array]:
        """The gradients by input, for the kind of derivative that the file has. Raises `ContractError`."""
        declared = self.declaration
        if declared.kind == "class":
            return self._of_class(done, forward, function)
        if declared.kind == "jacobian":
            return self._contracted(self._listed(done, function), forward, cotangents)
        gradients = self._by_input(done, forward.inputs, function, "d")
        if declared.kind in ("gradient", "value_and_gradient"):
            dy = np.asarray(cotangents[0]).reshape(())
            return {name: (dy * one).astype(one.dtype) for name, one in gradients.items()}
        return gradients

    def _listed(self, done: Operated, function: str, wanted: Sequence[str] | None = None) -> list[Any]:
        """One value for each differentiable input, in that order. Raises `ContractError`."""
        inputs = self.declaration.inputs
        names = list(self.declaration.differentiable if wanted is None else wanted)
        value = done.value
        if isinstance(value, Unsupported):
            raise ContractError(f"{function} returns {value}; it has to return {_list_of_gradients(names)}.")
        if done.keys is not None:
            by_key = dict(zip(done.keys, value, strict=True))
            missing = [name for name in names if name not in by_key and f"d{name}" not in by_key]
            if missing:
                raise ContractError(
                    f"{function} returns a dict with {', '.join(done.keys) or 'nothing'}, "
                    f"and no gradient of {missing[0]}."
                )
            return [by_key[name] if name in by_key else by_key[f"d{name}"] for name in names]
        values = list(value) if isinstance(value, list | tuple) else [value]
        if value is None and len(names) > 0:
            raise ContractError(f"{function} returns None; it has to return {_list_of_gradients(names)}.")
        if isinstance(value, np.ndarray) and value.ndim and len(value) == len(names) > 1:
            values = list(value)  # as `dx, dy = gradient(...)` unpacks it
        if len(values) == len(inputs) > len(names) and wanted is None:
            values = [one for one, name in zip(values, inputs, strict=True) if name in names]
        if len(values) != len(names):
            raise ContractError(
                f"{function} returns {len(values)} {_plural('gradient', len(values))}, and there are {len(names)} "
                f"differentiable {_plural('input', len(names))}: it has to return {_list_of_gradients(names)}, "
                "in that order."
            )
        return values

    def _by_input(
        self, done: Operated, inputs: Mapping[str, Any], function: str, prefix: str
    ) -> dict[str, Array]:
        """An array in the shape of each differentiable input. Raises `ContractError`."""
        names = self.declaration.differentiable
        if len(names) == 1 and done.keys is None:  # a list of its numbers, which is no list of gradients
            done = replace(done, value=of_numbers(done.value, np.shape(inputs[names[0]])))
        values = self._listed(done, function)
        self._check_order(values, names, inputs, function)
        return {
            name: self._gradient(value, inputs[name], f"{prefix}{name}")
            for name, value in zip(names, values, strict=True)
        }

    def _of_class(self, done: Operated, forward: Forward, function: str) -> dict[str, Array]:
        """What `backward` returns for the inputs of `forward`, and the attributes for the parameters."""
        returned, attributes = done.value
        parameters = [one.name for one in self.declaration.parameters]
        passed = [name for name in self.declaration.differentiable if name not in parameters]
        values = self._listed(replace(done, value=returned), function, passed) if passed else []
        found = {
            name: self._gradient(value, forward.inputs[name], f"d{name}")
            for name, value in zip(passed, values, strict=True)
        }
        for one, value in zip(self.declaration.parameters, attributes, strict=True):
            if self.declaration.inputs[one.name].differentiable:
                found[one.name] = self._gradient(value, forward.inputs[one.name], one.gradient)
        return {name: found[name] for name in self.declaration.differentiable}

    def _contracted(
        self, jacobians: Sequence[Any], forward: Forward, cotangents: tuple[Array, ...]
    ) -> dict[str, Array]:
        """Σ dy ∂y/∂x for each input, summed in the longest format that there is, so that it adds no error."""
        names, found = self.declaration.differentiable, dict[str, Array]()
        count = len(forward.outputs)
        for name, value in zip(names, jacobians, strict=True):
            blocks = list(value) if count > 1 and isinstance(value, list | tuple) else [value]
            if len(blocks) != count:
                raise ContractError(
                    f"the Jacobian by {name} has to be a tuple of {count}, one for each output, not {_a(value)}."
                )
            shape = np.shape(forward.inputs[name])
            total: Any = np.zeros(shape, np.longdouble)
            for block, output, dy in zip(blocks, forward.outputs, cotangents, strict=True):
                jacobian = _shaped(block, f"the Jacobian by {name}", (*output.shape, *shape))
                self._check_digits(jacobian, forward.inputs[name], f"the Jacobian by {name}")
                wide = jacobian.astype(np.longdouble).reshape(output.size, -1)
                total = total + (np.asarray(dy).astype(np.longdouble).reshape(-1) @ wide).reshape(shape)
            found[name] = np.asarray(total).astype(np.asarray(blocks[0]).dtype)
        return found

    def _from_tangents(self, forward: Forward, cotangents: tuple[Array, ...]) -> Backward:
        """The gradient entry by entry: ⟨dy, J e⟩ for each unit vector e of the inputs."""
        names = self.declaration.differentiable
        zeros = {name: np.zeros_like(forward.inputs[name]) for name in names}
        gradients = {name: np.zeros_like(forward.inputs[name]) for name in names}
        seconds = 0.0
        for name in names:
            for index in np.ndindex(np.shape(forward.inputs[name])):
                unit = np.zeros_like(forward.inputs[name])
                unit[index] = 1
                along = self.jvp(forward.inputs, {**zeros, name: unit}, forward.options, seed=forward.seed)
                if [one.shape for one in along] != [np.shape(one) for one in cotangents]:
                    raise ContractError(
                        f"{self.declaration.calls['jvp'].function.name} returns shapes "
                        f"{', '.join(str(one.shape) for one in along)}, and the outputs have "
                        f"{', '.join(str(np.shape(one)) for one in cotangents)}."
                    )
                gradients[name][index] = sum(
                    np.sum(np.asarray(dy).astype(np.longdouble) * one)
                    for dy, one in zip(cotangents, along, strict=True)
                )
        return Backward(gradients, Manners(), seconds)

    def _gradient(self, value: Any, given: Any, name: str) -> Array:
        """A gradient in the shape of its input. Raises `ContractError`."""
        array = _shaped(value, name, np.shape(given))
        if array.dtype.kind == "c" and np.asarray(given).dtype.kind != "c":
            raise ContractError(f"{name} is complex where the input is real: return its real part.")
        self._check_digits(array, given, name)
        return array

    def _check_digits(self, array: Array, given: Any, name: str) -> None:
        """Refuse a gradient in a format shorter than its input's."""
        wanted = np.asarray(given).dtype
        if wanted.kind == "f" and np.finfo(array.dtype).eps > np.finfo(wanted).eps:
            raise ContractError(
                f"{name} is {array.dtype} where the input is {wanted}: digits are lost; if that is "
                f'meant, say so with DTYPE = "{array.dtype}".'
            )

    def _check_order(
        self, values: Sequence[Any], names: Sequence[str], inputs: Mapping[str, Any], function: str
    ) -> None:
        """Tell gradients in the wrong order, where their shapes show it."""
        shapes = [np.shape(one) if isinstance(one, np.ndarray) else None for one in values]
        wanted = [np.shape(inputs[name]) for name in names]
        if shapes == wanted or None in shapes or len(set(wanted)) == 1:
            return
        if sorted(map(repr, shapes)) == sorted(map(repr, wanted)):
            fits = [names[wanted.index(shape)] for shape in shapes if shape in wanted]
            raise ContractError(
                f"{function} returns its gradients in the wrong order: their shapes are those of {', '.join(fits)}, "
                f"and it has to be {', '.join(names)}."
            )

    def _manners(self, done: Operated, outputs: Sequence[str], *, of_forward: bool) -> Manners:
        """What a call did, by names; outputs are called so."""
        inputs = list(self.declaration.inputs)

        def argument(place: tuple[int, ...]) -> str:
            group, index = place[0], place[1] if len(place) > 1 else 0
            if group == 0:
                return inputs[index] if index < len(inputs) else "a tangent"
            return f"d{self.declaration.output}" if index == 0 else f"d{self.declaration.output}{index + 1}"

        def result(place: tuple[int, ...], *, of_forward: bool) -> str:
            if not of_forward:
                return self._called(done, place)
            index = place[0] if place else 0
            return outputs[index] if index < len(outputs) else "a result"

        return Manners(
            mutated=(*map(argument, done.changed), *done.cache),
            aliased=tuple(
                (result(place, of_forward=of_forward), argument(owner) if owner else label)
                for place, owner, label in done.aliased
            ),
            reused=tuple(result(place, of_forward=of_forward) for place in done.reused),
            overwritten=tuple(result(place, of_forward=who == "forward") for who, place in done.overwritten),
            warnings=done.warnings,
        )

    def _called(self, done: Operated, place: tuple[int, ...]) -> str:
        """What the gradient is called that lies there in what a backward pass returns."""
        declared, names = self.declaration, list(self.declaration.differentiable)
        called = [f"d{name}" for name in names]
        if declared.kind == "class":  # what it returns, and the attributes
            attributes = [one.gradient for one in declared.parameters]
            held = {one.name for one in declared.parameters}
            called = attributes if place[:1] == (1,) else [f"d{name}" for name in names if name not in held]
            place = place[1:]
        elif done.keys is not None:
            called = [f"d{key}" if key in names else key for key in done.keys]
        elif isinstance(done.value, list | tuple) and len(done.value) == len(declared.inputs) > len(names):
            called = [f"d{name}" for name in declared.inputs]
        if len(called) == 1:  # its numbers may come as a list
            return called[0]
        return called[place[0]] if place and place[0] < len(called) else "a result"


def _tried(function: Callable[P, R], *arguments: P.args, **keywords: P.kwargs) -> R | ContractError:
    """What a function returns, or what the author is told."""
    try:
        return function(*arguments, **keywords)
    except ContractError as fault:
        return fault


def plan_of(declaration: Declaration) -> dict[str, Any]:
    """What the worker has to know of a declaration: see `adapters`."""

    def plain(call: Call) -> dict[str, Any]:
        arguments = [one if isinstance(one, str) else dict(one) for one in call.arguments]
        return {"path": list(call.function.path), "arguments": arguments, "keywords": list(call.keywords)}

    return {
        "kind": declaration.kind,
        "inputs": list(declaration.inputs),
        "differentiable": list(declaration.differentiable),
        "outputs": list(declaration.outputs),
        "arrays": declaration.arrays,
        "takes": declaration.takes,
        "apart": declaration.apart,
        "parameters": [[one.name, one.attribute, one.gradient] for one in declaration.parameters],
        "once": declaration.once,
        "calls": {role: plain(call) for role, call in declaration.calls.items()},
    }


def _passed(value: Any) -> Any:
    """An input as it is sent: a scalar as a NumPy scalar, which is a Python float as well."""
    array = np.asarray(value)
    return array[()] if array.ndim == 0 else array


def _simple(one: Input, sizes: Mapping[str, int], rng: np.random.Generator) -> Array:
    """Some values of an input for a first call."""
    shape = one.shape(sizes)
    if one.values == "labels":
        below = sizes[one.below] if isinstance(one.below, str) else int(one.below or 1)
        return rng.integers(0, below, shape)
    if one.values == "mask":
        return np.ones(shape, bool)
    return rng.uniform(0.5, 1.5, shape)


def _integers(sizes: Mapping[str, int]) -> dict[str, int]:
    return {axis: int(size) for axis, size in sizes.items()}


def _floats(value: Any, name: str, shape: tuple[int, ...] | None) -> Array:
    """An array of floats, or of complex numbers. Raises `ContractError`."""
    wanted = "an array of floats" if shape is None else f"an array of shape {shape}" if shape else "a number"
    value = value if shape is None else of_numbers(value, shape)
    if value is None or isinstance(value, Unsupported | list | tuple):
        raise ContractError(f"{name} is {_a(value)}; it has to be {wanted}.")
    array = np.asarray(value, np.float64) if type(value) in (int, bool) else np.asarray(value)
    if array.dtype.kind not in "fc":
        raise ContractError(f"{name} has dtype {array.dtype}; it has to hold floats.")
    return array


def _shaped(value: Any, name: str, shape: tuple[int, ...]) -> Array:
    """An array of floats of that shape. Raises `ContractError`."""
    array = _floats(value, name, shape)
    if array.shape != shape:
        raise ContractError(
            f"{name} has shape {array.shape}, and has to have {shape}{_guess(array.shape, shape)}.",
            name,
            array.shape,
            shape,
        )
    return array


def _guess(given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What the shape looks like, where that is plain."""
    if given == wanted[::-1] and len(wanted) > 1:
        return ": it looks transposed"
    if given == (1, *wanted):
        return ": drop keepdims"
    if given in ((*wanted, 1), wanted[1:]) or wanted == (1, *given):
        return ": an axis of length 1 is wrong" if given[1:] != wanted[1:] else ""
    if len(given) == len(wanted) + 1 and given[1:] == wanted:
        return f": it looks as if it was not summed over an axis of {given[0]}"
    return ""


def _list_of_gradients(names: Sequence[str]) -> str:
    gradients = [f"d{name}" for name in names]
    return gradients[0] if len(gradients) == 1 else f"({', '.join(gradients)})"


def _a(value: Any) -> str:
    """What a value is, in words."""
    match value:
        case None:
            return "None"
        case Unsupported():
            return str(value.type_name)
        case np.ndarray():
            return f"an array of shape {value.shape}"
        case list() | tuple():
            return f"a {type(value).__name__} of {len(value)}"
        case _:
            return "a number"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else word + "s"


# --- Loading -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """What there is to judge in a file: one verdict for each subject, and one for each that lacks a line."""

    subjects: tuple[OperationSubject, ...]
    missing: tuple[Missing, ...]
    network: bool


def contents_of(name: str, module: SubjectModule, known: Iterable[Operation] = KNOWN) -> Contents:
    """What a module has. Raises `UnusableSubject` where it can't be imported, or declares what can't be read."""
    try:
        found = replace(module.description.module, name=Path(name).name)
        return read(found, known, CONVENTIONS)
    except SubjectFault as fault:
        if fault.kind == "interpreter":  # which is no fault of the module
            raise
        raise UnusableSubject(str(fault), fault.trace) from None
    except DeclarationError as error:
        raise UnusableSubject(str(error)) from None


@contextmanager
def load_operations(
    path: str | Path,
    *,
    python: str | None = None,
    limits: Limits | None = None,
    known: Iterable[Operation] = KNOWN,
    sandbox: Sandbox = "auto",
) -> Generator[Loaded]:
    """The operations of a file, each in a worker that starts at its first call; all are stopped at the end.

    Raises:
        UnusableSubject: where it can't be imported, its declaration can't be read, or there is nothing to judge.
    """
    modules = [IsolatedModule(path, python=python, limits=limits, sandbox=sandbox)]
    try:
        contents = contents_of(str(path), modules[0], known)
        modules += [
            IsolatedModule(path, python=python, limits=limits, sandbox=sandbox)
            for _ in range(1, len(contents.operations))
        ]
        subjects = [as_meant(*pair) for pair in zip(contents.operations, modules, strict=False)]
        yield Loaded(tuple(subjects), contents.missing, contents.network)
    finally:
        for one in modules:
            one.close()


def as_meant(declaration: Declaration, module: SubjectModule) -> OperationSubject:
    """The subject under the first reading of its functions whose forward pass takes the shapes.

    Where none does, the first reading stands, and says what is wrong when it is judged.
    """
    subject = OperationSubject(declaration.name, declaration, module)
    readings = [declaration]
    while readings[-1].alternatives:
        readings += readings[-1].alternatives
    for reading in readings if len(readings) > 1 else []:
        tried = OperationSubject(reading.name, reading, module)
        try:
            if tried.first_call():
                return tried
        except SubjectGone:
            break
    return subject
