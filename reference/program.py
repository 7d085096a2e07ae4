"""The backward pass of an operation as a program: the flattened jaxpr of its forward pass and of its VJP.

JAX differentiates; we keep the equations. A program is traced once with symbolic sizes, and read at any sizes by
one of the `arithmetic`: no XLA compilation. Nested calls (jit, custom_jvp, custom_vjp) are inlined, equal equations
joined, and those that nothing needs left out; a scan stays a loop, and its body is a program of its own.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import jax
import numpy as np
from jax import export
from jax.extend import core

from reference.operations.operation import Operation
from reference.operations.tracing import abstract_inputs
from reference.precision import in_double_precision

Array = np.ndarray[Any, Any]
Sizes = Mapping[str, int]
Slot = int
"""The number of a variable of a program: its place among the values while it is read."""

CALLS = ("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint", "custom_lin")
CUSTOM = {
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}


@dataclass(frozen=True)
class Equation:
    """One step: `outputs = primitive(inputs)`; `line` is where the reference says so, "layer_norm (norms.py:12)"."""

    primitive: str
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    parameters: Mapping[str, Any]
    line: str = ""

    @cached_property
    def _has_sizes(self) -> bool:
        return any(map(_depends_on_sizes, self.parameters.values()))

    def at(self, sizes: Sizes) -> "Equation":
        """The same for these sizes: every parameter is a number."""
        if not self._has_sizes:
            return self
        known = {name: resolved(value, sizes) for name, value in self.parameters.items()}
        return replace(self, parameters=known)


@dataclass
class Program:
    """Equations from inputs to outputs, with variables numbered, and constants in slots of their own.

    `sizes` names the symbolic sizes, and is empty where the program was traced for one shape.
    """

    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    equations: tuple[Equation, ...]
    constants: Mapping[Slot, Array]
    slots: int
    shapes: Sequence[tuple[Any, ...]]
    _at: dict[Any, "Instance"] = field(default_factory=dict, repr=False)

    def at(self, sizes: Sizes) -> "Instance":
        """The program for these sizes: every parameter is a number."""
        key = tuple(sizes.values()), tuple(sizes)
        if key not in self._at:
            if len(self._at) >= KEPT:
                self._at.pop(next(iter(self._at)))
            self._at[key] = Instance(self, sizes)
        return self._at[key]

    @cached_property
    def parted(self) -> tuple[Sequence[Equation], Sequence[Equation]]:
        """The equations that depend on no input (sizes, counts, masks of positions), and the others."""
        known, static, dynamic = set(self.constants), list[Equation](), list[Equation]()
        for one in self.equations:
            if known.issuperset(one.inputs):
                known.update(one.outputs)
                static.append(one)
            else:
                dynamic.append(one)
        return static, dynamic

    def first(self, outputs: int) -> "Program":
        """The program of its first outputs alone, such as the forward pass of a `Derivative`."""
        kept = self.outputs[:outputs]
        equations = _needed(self.equations, kept)
        return Program(self.inputs, kept, equations, self.constants, self.slots, self.shapes)

    def shape(self, slot: Slot, sizes: Sizes) -> tuple[int, ...]:
        """The shape of a variable at these sizes."""
        return tuple(resolved(size, sizes) for size in self.shapes[slot])


LINE = re.compile(r"[\w.-]+\.py:\d+ \([\w.<>]+\)( «[^«»\n]{1,60}» \d+)?")
"""A line as it is told, what stands there, and from which column: "mine.py:12 (forward) «x @ W» 8"."""
ELSEWHERE = "traced elsewhere"
"""A scope for equations of which nobody knows the line."""
KEPT = 64
"""Instances of a program that are kept."""


class Instance:
    """A program at given sizes.

    `static` are the equations that depend on no input, and are read once for each arithmetic; `dynamic` are the others.
    """

    def __init__(self, program: Program, sizes: Sizes) -> None:
        """Put the sizes into the parameters."""
        self.program, self.sizes = program, sizes
        self.static, self.dynamic = ([one.at(sizes) for one in some] for some in program.parted)
        self.once: dict[Any, list[Any]] = {}
        """Of each arithmetic, all values that depend on no input."""
        self._halves: dict[int, tuple[list[Equation], list[Equation]]] = {}

    def halves(self, inputs: int) -> tuple[list[Equation], list[Equation]]:
        """The dynamic equations that need the first so many inputs alone, and those that need the others too."""
        if inputs not in self._halves:
            late = set(self.program.inputs[inputs:])
            first, second = list[Equation](), list[Equation]()
            for step in self.dynamic:
                if late.isdisjoint(step.inputs):
                    first.append(step)
                else:
                    late.update(step.outputs)
                    second.append(step)
            self._halves[inputs] = first, second
        return self._halves[inputs]

    @cached_property
    def largest(self) -> int:
        """The numbers of its largest array."""
        shapes = set(map(tuple, self.program.shapes))
        return max((prod(resolved(size, self.sizes) for size in shape) for shape in shapes), default=0)

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the outputs."""
        return [self.program.shape(slot, self.sizes) for slot in self.program.outputs]


def resolved(value: Any, sizes: Sizes) -> Any:
    """A parameter with its sizes put in: numbers for symbolic sizes, instances for the bodies of loops."""

    def put(one: Any) -> Any:
        if isinstance(one, Program):
            return one.at(sizes)
        # jax.export has no public name for it
        return int(one._evaluate(dict(sizes))) if is_symbolic(one) else one  # noqa: SLF001

    return with_each(value, put)


def with_each(value: Any, put: Callable[[Any], Any]) -> Any:
    """A parameter with something in the place of each of its parts."""
    if isinstance(value, tuple | list):
        found = [with_each(one, put) for one in value]
        return type(value)(*found) if hasattr(value, "_fields") else tuple(found)
    return put(value)


def _depends_on_sizes(value: Any) -> bool:
    """Whether `resolved` makes something else of a parameter."""
    if isinstance(value, tuple):
        return any(map(_depends_on_sizes, value))
    return isinstance(value, Program | list) or is_symbolic(value)


def is_symbolic(value: Any) -> bool:
    """Whether a size is an expression in named sizes."""
    return export.is_symbolic_dim(value)


# --- tracing -------------------------------------------------------------------------------------------------


def flattened(closed: core.ClosedJaxpr) -> Program:
    """A jaxpr as a program."""
    return _Flattening().program(closed)


class _Flattening:
    """Numbers variables, inlines calls, joins equal equations."""

    def __init__(self) -> None:
        self.equations: list[Equation] = []
        self.constants: dict[Slot, Array] = {}
        self.shapes: list[tuple[Any, ...]] = []
        self.known: dict[Any, tuple[Slot, ...]] = {}
        self.same: dict[Slot, Any] = {}
        """Of a constant, what equal ones have in common: that two are equal may be so at these sizes alone."""

    def program(self, closed: core.ClosedJaxpr) -> Program:
        inputs = [self._new(variable.aval) for variable in closed.jaxpr.invars]
        outputs = self._inline(closed, inputs)
        equations = _needed(self.equations, outputs)
        used = {slot for one in equations for slot in one.inputs} | set(outputs)
        constants = {slot: array for slot, array in self.constants.items() if slot in used}
        return Program(tuple(inputs), tuple(outputs), equations, constants, len(self.shapes), self.shapes)

    def _new(self, aval: Any) -> Slot:
        self.shapes.append(tuple(aval.shape))
        return len(self.shapes) - 1

    def _constant(self, value: Any, aval: Any) -> Slot:
        array, slot = np.asarray(value), self._new(aval)
        self.constants[slot] = array
        self.same[slot] = "constant", array.dtype.str, array.shape, array.tobytes()
        return slot

    def _inline(self, closed: core.ClosedJaxpr, inputs: Sequence[Slot]) -> list[Slot]:
        jaxpr = closed.jaxpr
        slots: dict[Any, Slot] = dict(zip(jaxpr.invars, inputs, strict=True))
        for variable, value in zip(jaxpr.constvars, closed.consts, strict=True):
            slots[variable] = self._constant(value, variable.aval)

        def slot(atom: Any) -> Slot:
            return self._constant(atom.val, atom.aval) if isinstance(atom, core.Literal) else slots[atom]

        for equation in jaxpr.eqns:
            arguments = [slot(atom) for atom in equation.invars]
            outputs = self._step(equation, arguments)
            slots.update(zip(equation.outvars, outputs, strict=True))
        return [slot(atom) for atom in jaxpr.outvars]

    def _step(self, equation: Any, inputs: Sequence[Slot]) -> Sequence[Slot]:
        name, parameters = equation.primitive.name, equation.params
        if name in CALLS:
            return self._inline(closed_of(parameters["jaxpr"]), inputs)
        if name in CUSTOM:
            return self._inline(closed_of(parameters[CUSTOM[name]]), inputs)
        if name in {"stop_gradient", "copy", "copy_p", "optimization_barrier"}:
            return inputs
        kept = {key: _nested(value) for key, value in parameters.items() if not _says_nothing(key, value)}
        key = (
            name,
            tuple(self.same.get(slot, slot) for slot in inputs),
            repr(sorted(kept.items(), key=lambda item: item[0])) if name != "scan" else id(equation),
        )
        if key not in self.known:
            self.known[key] = tuple(self._new(variable.aval) for variable in equation.outvars)
            self.equations.append(Equation(name, tuple(inputs), self.known[key], kept, _line(equation)))
        return self.known[key]


_SAYS_NOTHING = {
    # where and how fast XLA computes
    "sharding", "out_sharding", "mesh", "precision", "accuracy", "preferred_element_type", "out_dtype", "algorithm",
    "unroll", "linear", "_split_transpose", "indices_are_sorted", "unique_indices",
    # how a scatter combines, which its name says; of a constant, how its type may be promoted
    "update_jaxpr", "update_consts", "weak_type",
}  # fmt: skip
_NEUTRAL = (None, "None", "Precision.DEFAULT", "(None, None)")


def _says_nothing(name: str, value: Any) -> bool:
    """Whether a parameter changes no number of the result; a precision or a type that was asked for does."""
    if name not in _SAYS_NOTHING:
        return False
    if name in {"precision", "accuracy", "algorithm"}:
        return str(value) in _NEUTRAL or value is None
    if name in {"preferred_element_type", "out_dtype"}:
        return value is None or np.dtype(value).kind != "f" or np.dtype(value).itemsize >= 8  # noqa: PLR2004
    return True


def closed_of(jaxpr: Any) -> core.ClosedJaxpr:
    """What a call calls, with the constants that it closes over."""
    return jaxpr if isinstance(jaxpr, core.ClosedJaxpr) else core.ClosedJaxpr(jaxpr, ())


def _nested(value: Any) -> Any:
    """Jaxprs in parameters, the bodies of loops and branches, as programs of their own."""
    if isinstance(value, core.ClosedJaxpr):
        return flattened(value)
    if isinstance(value, tuple) and any(isinstance(one, core.ClosedJaxpr) for one in value):
        return tuple(map(_nested, value))
    return value


def _needed(equations: Iterable[Equation], outputs: Iterable[Slot]) -> tuple[Equation, ...]:
    """The equations that an output depends on."""
    needed, kept = set(outputs), list[Equation]()
    for equation in reversed(list(equations)):
        if needed.intersection(equation.outputs):
            needed.update(equation.inputs)
            kept.append(equation)
    return tuple(reversed(kept))


def _line(equation: Any) -> str:
    """The line of the reference that an equation comes from: "norms.py:12 (layer_norm)".

    Or the one of a subject, which a program that was traced elsewhere gives as a scope (`transcript`).
    """
    if said := LINE.search(scope := str(equation.source_info.name_stack)):
        return said[0]
    if ELSEWHERE in scope:
        return ""
    from jax._src import source_info_util  # noqa: PLC0415  (no public name)

    told = source_info_util.summarize(equation.source_info)
    return re.sub(r"^.*/", "", told)


@in_double_precision
def trace(function: Callable[..., Any], shapes: Sequence[Any]) -> Program:
    """The program of a function in `jax.numpy` for arguments of these shapes (`jax.ShapeDtypeStruct`s)."""
    return flattened(jax.make_jaxpr(function)(*shapes))


@dataclass(frozen=True)
class Derivative:
    """The forward pass and the VJP of an operation as one program: (inputs, cotangents) to (outputs, gradients).

    `outputs` counts the outputs, `pulled` are the places of those that have a cotangent, `differentiable` those of
    the inputs that have a gradient. `closed` is the same as JAX traced it, for arguments of these `shapes`.
    """

    program: Program
    outputs: int
    pulled: tuple[int, ...]
    differentiable: tuple[int, ...]
    closed: core.ClosedJaxpr
    shapes: tuple[Any, ...]

    @cached_property
    def forward(self) -> Program:
        """The forward pass alone; it still takes the cotangents."""
        return self.program.first(self.outputs)


def derivative(
    operation: Operation,
    options: Mapping[str, Any],
    sizes: Sizes,
    forward: Callable[..., Any] | None = None,
) -> Derivative:
    """The derivative of an operation with these options, traced the first time.

    Of the sizes, those of the axes that are `concrete` are traced as numbers, and the others as symbols.

    Args:
        operation: what to differentiate.
        options: its keywords.
        sizes: of all its axes.
        forward: one of its formulations, in place of `operation.forward`.
    """
    concrete = {name: sizes[name] for name in operation.concrete}
    function = forward or operation.forward  # itself, as its name and its id may come again for another
    traced_as = operation.above, operation.outputs, tuple(operation.inputs.items())
    key = traced_as, repr(sorted(options.items())), tuple(concrete.items())
    known = _DERIVATIVES.setdefault(function, {})
    if key not in known:
        known[key] = _traced(operation, options, concrete, function)
    return known[key]


_DERIVATIVES: WeakKeyDictionary[Callable[..., Any], dict[Any, Derivative]] = WeakKeyDictionary()
"""Those of a function that is gone, as of a subject's forward pass that was traced, go with it."""


@in_double_precision
def _traced(
    operation: Operation, options: Mapping[str, Any], concrete: Sizes, forward: Callable[..., Any]
) -> Derivative:
    arguments = abstract_inputs(operation, concrete)
    places = operation.differentiable

    once = jax.make_jaxpr(lambda *inputs: as_tuple(forward(*inputs, **options)))(*arguments)
    outputs_of, shapes = core.jaxpr_as_fun(once), once.out_avals
    wanted = operation.outputs or (True,) * len(shapes)
    pulled = tuple(
        i
        for i, (is_wanted, one) in enumerate(zip(wanted, shapes, strict=True))
        if is_wanted and one.dtype.kind == "f"
    )

    def both(*given: Any) -> tuple[Any, ...]:
        inputs, cotangents = list(given[: len(arguments)]), given[len(arguments) :]

        def of(*moving: Any) -> tuple[Any, ...]:
            for place, value in zip(places, moving, strict=True):
                inputs[place] = value
            found = outputs_of(*inputs)
            return tuple(found[i] for i in pulled)

        outputs = outputs_of(*inputs)  # first: of equal equations, the line of the forward pass is kept
        _, pull = jax.vjp(of, *(given[place] for place in places))
        return (*outputs, *pull(tuple(cotangents)))

    every = (*arguments, *(shapes[i] for i in pulled))
    closed = jax.make_jaxpr(both)(*every)
    return Derivative(flattened(closed), len(shapes), pulled, places, closed, every)


def as_tuple(outputs: Any) -> tuple[Any, ...]:
    """The outputs of a forward pass, one or several, as a tuple."""
    return tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)
