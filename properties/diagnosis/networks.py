"""A network's backward pass as a program whose steps have names, and what it gives when some of them are replaced.

The steps of the way back are told apart by what they make: ∂L/∂o and ∂L/∂z of the last layer ("error" and "scores"),
and in each layer ∂L/∂z from ∂L/∂h ("slope"), ∂L/∂h of the layer below ("down"), dW and db ("weights", "bias").
A function stands in the place of a step: its arguments are the arrays that it needs, by name.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from properties.cases import Array, Case
from properties.diagnosis.probes import Probe, wide
from properties.diagnosis.search import Candidate, Change
from properties.diagnosis.trials import Trial
from reference.arithmetic.floats import Floats
from reference.mutations import Edit, Passage, Reading
from reference.network import Choices
from reference.operations import OPERATIONS
from reference.operations.network import OF_OUTPUTS, network, sizes_of
from reference.operations.operation import Operation
from reference.program import derivative

SQUARED = tuple(OF_OUTPUTS)
"""Losses of the output, whose error goes back through the output's activation."""
OF_PROBABILITIES: Mapping[str, str] = {
    "cross_entropy": "cross_entropy_of_probabilities",
    "binary_cross_entropy": "binary_cross_entropy_of_probabilities",
    "mean_binary_cross_entropy": "binary_cross_entropy_of_probabilities",
}
"""An entropy as a loss of the output: its ∂L/∂o."""

KINDS = ("error", "slope", "scores", "down", "weights", "bias", "value")
"""Of steps, in the order in which those at one equation are replaced."""
Function = Callable[..., Any]
_FLOATS = Floats()


def value(activation: str, z: Array, **options: Any) -> Array:
    """h = f(z), by the name of an operation."""
    return _both(OPERATIONS[activation], (z, np.zeros_like(z)), options)[0]


def back(activation: str, dh: Array, z: Array, **options: Any) -> Array:
    """∂L/∂z from ∂L/∂h, through an activation at z."""
    return _both(OPERATIONS[activation], (z, dh), options)[1]


def error(loss: str, o: Array, y: Array, reduction: str, **options: Any) -> Array:
    """∂L/∂o, by the name of a loss; ∂L/∂z of an entropy with its output inside; a mean or a sum over rows."""
    given = (
        {name: values[0] for name, values in OPERATIONS[loss].options.items()}
        | {"reduction": "sum"}
        | options
    )
    return _both(OPERATIONS[loss], (o, y, np.ones(())), given)[1] / (len(o) if reduction == "mean" else 1)


def _both(operation: Operation, values: Sequence[Array], options: Mapping[str, Any]) -> list[Array]:
    dimensions = operation.inputs["x"].dimensions
    sizes = dict(zip(dimensions, values[0].shape, strict=True))
    with np.errstate(all="ignore"):
        return _FLOATS.read(derivative(operation, options, sizes).program, list(values), sizes)


@dataclass(frozen=True)
class Step:
    """A step of the way back: its kind, its layer from 1, the number of its equation, and what it may read."""

    kind: str
    layer: int
    equation: int
    reads: Mapping[str, int]
    within: str = ""
    """Of an entropy, whose ∂L/∂o and whose output's slope are no steps of their own: which of them is replaced."""


Replaced = tuple[Step, Function]
"""A step, and what stands in its place."""


class _Traced:
    """The program of the choices of a network, and its steps."""

    def __init__(self, layers: int, bias: Sequence[bool], choices: Choices) -> None:
        """See `reference.operations.network`."""
        self.layers, self.loss = layers, choices["loss"]
        self.operation = network(layers, **choices, bias=bias)
        self.passage = Passage(self.operation, {}, dict.fromkeys(self.operation.axes, 2))
        self.names = tuple(f"d{name}" for name in self.passage.gradients)
        self.steps = list(self._steps())
        values = self.passage.program.outputs[1 : 1 + 2 * layers]
        called = {slot: f"{'zh'[place % 2]}{place // 2 + 1}" for place, slot in enumerate(values)}
        called |= {one.reads["dz"]: f"dz{one.layer}" for one in self.steps}
        called |= {
            one.reads["dh"]: f"dh{one.layer}" for one in self.steps if one.kind == "slope" and not one.within
        }
        self.passage.call(called)

    def _steps(self) -> Iterator[Step]:
        flow, program = self.passage.flow, self.passage.program
        made = {slot: i for i, one in enumerate(flow.steps) for slot in one.outputs}
        inputs = dict(zip(self.operation.inputs, program.inputs, strict=False))
        zs, hs = program.outputs[1 : 1 + 2 * self.layers : 2], program.outputs[2 : 2 + 2 * self.layers : 2]
        ends = dict(zip(self.names, self.passage.ends, strict=True))
        lower: dict[str, int] = {}
        for layer in range(1, self.layers + 1):
            product = made[ends[f"dW{layer}"]]
            while flow.steps[product].primitive != "dot_general":
                product = made[flow.steps[product].inputs[0]]
            (dz,) = (slot for slot in flow.steps[product].inputs if slot in flow.carried)
            x = inputs["X"] if layer == 1 else hs[layer - 2]
            here = {"x": x, "z": zs[layer - 1], "h": hs[layer - 1], "dz": dz, "W": inputs[f"W{layer}"]}
            here |= {"o": hs[-1], "y": inputs["y"]}
            here |= {"b": inputs[f"b{layer}"]} if f"b{layer}" in inputs else {}
            if lower:
                pair = {dz, inputs[f"W{layer}"]}
                (down,) = (i for i in flow.matters if set(flow.steps[i].inputs) == pair)
                (dh,) = flow.steps[down].outputs
                yield Step("down", layer - 1, down, {**here, "dW": ends[f"dW{layer}"]})
                yield Step("slope", layer - 1, made[lower["dz"]], {**lower, "dh": dh})
            if layer == self.layers:
                if self.loss in SQUARED:
                    dh = self._error_of_outputs(dz)
                    yield Step("error", layer, made[dh], here)
                    yield Step("slope", layer, made[dz], {**here, "dh": dh})
                else:
                    for within in ("error", "slope"):
                        yield Step(within, layer, made[dz], {**here, "dh": dz}, within)
                yield Step("scores", layer, made[dz], here)
            yield Step("weights", layer, made[ends[f"dW{layer}"]], {**here, "w": here["W"]})
            if f"db{layer}" in ends:
                yield Step("bias", layer, made[ends[f"db{layer}"]], {**here, "w": here["b"]})
            yield Step("value", layer, made[hs[layer - 1]], here)
            lower = here

    def _error_of_outputs(self, dz: int) -> int:
        """∂L/∂o of a squared loss: what the loss hands to the way back through the output's activation."""
        flow = self.passage.flow
        losses = [
            i for i in sorted(flow.matters)
            if flow.backward(i) and "losses.py" in flow.steps[i].line and dz in _all_outputs(flow, i)
        ]  # fmt: skip
        return flow.steps[losses[-1]].outputs[0]


@cache
def _traced(
    layers: int, bias: tuple[bool, ...], hidden: str, output: str, loss: str, reduction: str
) -> _Traced:
    return _Traced(layers, bias, {"hidden": hidden, "output": output, "loss": loss, "reduction": reduction})


class Network:
    """The program of a case's choices, its steps, and its readings at probes of the same choices."""

    def __init__(self, case: Case) -> None:
        """Choices are traced once."""
        self.case, self.layers = case, len(case.parameters)
        bias = tuple(b is not None for _, b in case.parameters)
        traced = _traced(self.layers, bias, **case.choices)
        self.operation, self.passage = traced.operation, traced.passage
        self.names, self.steps = traced.names, traced.steps
        self._readings = dict[int, tuple[Trial, Reading]]()

    def of(self, kind: str) -> list[Step]:
        """The steps of a kind, from the first layer to the last."""
        return sorted((one for one in self.steps if one.kind == kind), key=lambda one: one.layer)

    def activation(self, layer: int) -> str:
        """The name of a layer's activation."""
        return self.case.output if layer == self.layers else self.case.hidden

    def reading(self, trial: Trial, change: Change | None = None) -> Reading:
        """The program's values at a probe, or at changed inputs: W1, b1, ..., X, y by name."""
        if change is not None:
            return self._read(trial.case, change)
        if id(trial) not in self._readings:
            self._readings[id(trial)] = trial, self._read(trial.case)
        return self._readings[id(trial)][1]

    def applies(self, trial: Trial) -> bool:
        """It has the choices of every trial."""
        del trial
        return True

    def inputs(self, trial: Trial) -> dict[str, Array]:
        """W1, b1, ..., X, y."""
        return _arrays(wide(trial.case))

    def _read(self, case: Case, change: Change | None = None) -> Reading:
        arrays = _arrays(wide(case))
        if change is not None:
            change(arrays)
        values = [arrays[name] for name in self.operation.inputs]
        return Reading(self.passage, sizes_of(arrays, self.layers), [*values, np.ones(())])

    def candidate(self, text: str, replaced: Sequence[Replaced] = (), **more: Any) -> Candidate:
        """The gradients with these steps replaced."""
        return Candidate(text, self, tuple(self.edit(step, function) for step, function in replaced), **more)

    def right(self, case: Case) -> dict[str, Array]:
        """The right gradients of a case of these choices, by name."""
        return self.candidate("").at(Probe(case, {})) or {}

    def edit(self, step: Step, function: Function) -> Edit:
        """The step replaced by a function of the arrays that it names; `v` is what would be right."""
        function = self._through_output(function, step.within) if step.within else function
        names = _parameters_of(function)
        reads = tuple(dict.fromkeys(step.reads[name] for name in names if name != "v"))

        def rule(c: Any, *given: Any) -> Any:
            table = dict(zip(reads, given[len(c.step.inputs) :], strict=True))
            found = function(*(c.right if name == "v" else table[step.reads[name]] for name in names))
            if np.shape(found) != np.shape(c.right):
                raise ValueError
            return found

        return Edit((step.equation,), "path", rule, "{0}", reads=reads, rank=KINDS.index(step.kind))

    def _through_output(self, function: Function, within: str) -> Function:
        """What takes the place of an entropy's ∂L/∂z, where its ∂L/∂o or the slope of its output is replaced."""
        names, choices = _parameters_of(function), self.case.choices

        def replaced(z: Array, o: Array, y: Array) -> Array:
            mean = 1 if choices["loss"] == "binary_cross_entropy" else 1 / o.shape[1]
            per_output = o.shape[1] * mean if choices["output"] == "sigmoid" else 1
            do = error(OF_PROBABILITIES[choices["loss"]], o, y, choices["reduction"]) * per_output
            table = {"v": do, "dh": do, "z": z, "h": o, "o": o, "y": y}
            found = function(*(table[name] for name in names))
            return back(choices["output"], found, z) if within == "error" else found

        return replaced

    def fits(self, step: Step, function: Function) -> bool:
        """Whether a step has all arrays that a function names."""
        return set(_parameters_of(function)) <= {*step.reads, "v"}


@cache
def _parameters_of(function: Function) -> tuple[str, ...]:
    return tuple(
        one.name for one in inspect.signature(function).parameters.values() if one.default is one.empty
    )


def _all_outputs(flow: Any, i: int) -> set[int]:
    return {slot for j in (i, *flow.after(i)) for slot in flow.steps[j].outputs}


def _arrays(case: Case) -> dict[str, Array]:
    """The inputs of the operation, from a case in float64 whose targets are rows."""
    arrays: dict[str, Array] = {"X": case.inputs, "y": case.targets}
    for layer, (W, b) in enumerate(case.parameters, start=1):
        arrays[f"W{layer}"] = W
        if b is not None:
            arrays[f"b{layer}"] = b
    return arrays
