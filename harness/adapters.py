"""How the functions of a file are called as an operation: in the worker, under the subject's interpreter.

`worker.py` loads this file by its path, so it stands alone, as that one does (Python 3.9 or newer, with NumPy).
It knows no operation. What a call passes comes from the judge as a plan (JSON, made by `operation_subject`):

    {"kind": "backward", "inputs": ["x", "w"], "differentiable": ["x", "w"], "outputs": [], "arrays": "numpy",
     "takes": "cache", "apart": 0, "parameters": [], "once": false,
     "calls": {"forward": {"path": ["conv_forward"], "arguments": ["x", "w", {"stride": "stride"}], "keywords": []}}}

A forward pass and all that it leaves behind (cache, object, graph) is a `Run`. It stays here: a number travels.
"""

from __future__ import annotations

import importlib
import random
import re
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

import numpy as np

RUNS = 16  # forward passes that are kept
CACHE_ARRAYS = 200  # of a cache, that are watched
CACHE_BYTES = 32 << 20
CACHE_DEPTH = 4

Value = Any  # of the subject
Plan = dict[str, Any]  # from JSON
STEPS = re.compile(r"\.?([A-Za-z_]\w*)|\[(?:'([^']*)'|\"([^\"]*)\"|(-?\d+))\]")


class Broken(Exception):  # noqa: N818 - an answer: one sentence for the subject's author
    """The subject's functions don't fit together."""


class Run:
    """One forward pass: what it was given, and what it left for the backward pass."""

    def __init__(self, plan: Plan, options: dict[str, Value], sizes: dict[str, int], decoder: Value) -> None:
        """Nothing is called yet. `decoder` knows which inputs are changed (see `worker.Decoder`)."""
        self.plan, self.options, self.sizes, self.decoder = plan, options, sizes, decoder
        self.seed = 0  # of the global generators
        self.given: dict[str, Value] = {}  # inputs, as the subject gets them
        self.arrays: list[Any] = []  # the arrays behind them
        self.outputs: list[Value] = []  # all of them, those of an output (h, c) too
        self.whole: list[Value] = []  # the outputs as they were returned
        self.keeps = False  # whether forward returned a cache
        self.cache: Value = None
        self.object: Value = None  # of a class
        self.pull: Value = None  # of jax.vjp
        self.gradient: Value = None  # that came with the value
        self.cotangents: list[Value] = []  # of the last backward pass, the very objects
        self.shaped: list[Value] = []  # the same, where an output is a tuple
        self.decoders: list[Value] = [decoder]  # of these too
        self.watched: list[tuple[str, Any, bytes]] = []  # the arrays in the cache, and their bytes
        self.told: set[Any] = set()  # what changed, and was said

    def watch(self) -> str:
        """Remember what the cache holds; what in it can be read only once, in words."""
        found: list[tuple[str, Any]] = []
        once: list[str] = []
        if self.keeps or self.object is not None:
            root = "self" if self.object is not None else "cache"
            arrays_in(self.cache if self.keeps else self.object, root, found, once, set())
        known = [id(array) for array in self.arrays]
        size = 0
        for label, array in found:
            size += array.nbytes
            if size <= CACHE_BYTES and id(array) not in known:
                self.watched.append((label, array, array.tobytes()))
        return once[0] if once else ""

    def changes(self) -> tuple[list[list[int]], list[str]]:
        """What changed since the last look: the places of inputs (0, i) and cotangents (1, i), and cache arrays."""
        places: list[list[int]] = []
        for group, decoder in enumerate(self.decoders[-2:]):
            for place in decoder.changes():
                if (group, place) not in self.told:
                    self.told.add((group, place))
                    places.append([group, *place])
        labels = [label for label, array, was in self.watched if array.tobytes() != was]
        self.watched = [(label, array, array.tobytes()) for label, array, _ in self.watched]
        inputs = {id(array) for array in self.arrays}
        own = [label for label, array, _ in self.watched if label in labels and id(array) not in inputs]
        return places, own


def arrays_in(
    value: Value, label: str, found: list[tuple[str, Any]], once: list[str], seen: set[int], depth: int = 0
) -> None:
    """The arrays in a structure with where they stand, and the iterators, which a second reader finds empty."""
    if id(value) in seen or len(found) >= CACHE_ARRAYS:
        return
    seen.add(id(value))
    kind = type(value)
    if issubclass(kind, np.ndarray):
        found.append((label, value))
    elif is_tensor(value):
        with suppress(Exception):
            found.append((label, value.detach().numpy()))
    elif hasattr(kind, "__next__"):
        once.append(f"{label} is {'a generator' if issubclass(kind, types.GeneratorType) else 'an iterator'}")
    elif depth < CACHE_DEPTH:
        children: list[tuple[str, Value]] = []
        if issubclass(kind, (list, tuple)):
            base = list if issubclass(kind, list) else tuple
            children = [(f"{label}[{i}]", item) for i, item in enumerate(base.__iter__(value))]
        elif issubclass(kind, dict):
            children = [(f"{label}[{key!r}]", item) for key, item in dict.items(value)]
        elif not isinstance(value, (type, types.ModuleType, types.FunctionType)):
            with suppress(Exception):
                children = [(f"{label}.{name}", item) for name, item in vars(value).items()]
        for where, item in children:
            arrays_in(item, where, found, once, seen, depth + 1)


class Operations:
    """The operations of one module, and their forward passes that are under way."""

    def __init__(self, module: types.ModuleType) -> None:
        """The module, imported."""
        self.module = module
        self.runs: OrderedDict[int, Run] = OrderedDict()
        self.count = 0
        self.objects: dict[str, Value] = {}  # those that serve all cases

    def find(self, path: list[Any]) -> Value:
        """The function that a path leads to."""
        first, *rest = path
        value = getattr(self.module, first)
        for step in rest:
            is_item = isinstance(value, (dict, list, tuple))
            value = value[step] if is_item else getattr(value, step)
        return value

    def function(self, plan: Plan, role: str) -> Value:
        """The function of a role, ready to be called."""
        value = self.find(plan["calls"][role]["path"])
        return value.apply if isinstance(value, type) and hasattr(value, "apply") else value

    def called(self, run: Run, role: str, *leading: Value, inputs: bool = True) -> Value:
        """What the function of a role returns, called with `leading` and what the plan says."""
        call = run.plan["calls"][role]
        return self.function(run.plan, role)(
            *leading, *arguments(run, call, inputs=inputs), **keywords(run, call)
        )

    def begin(
        self, plan: Plan, arrays: list[Any], options: dict[str, Value], sizes: dict[str, int], decoder: Value
    ) -> Run:
        """A run, with the inputs as the subject's arrays."""
        run = Run(plan, options, sizes, decoder)
        run.arrays = [array for array in arrays if type(array) is np.ndarray]
        for name, array in zip(plan["inputs"], arrays):  # noqa: B905 - Python 3.9
            run.given[name] = to_subject(array, plan["arrays"])
        return run

    def forward(self, run: Run) -> int:
        """Call the forward pass; the number by which the run is found again."""
        kind = run.plan["kind"]
        if kind == "class":
            self.make(run)
            run.outputs = as_list(self.onward(run))
            self.look_for_replaced(run)
        elif kind == "function":
            self.trace(run)
        elif kind == "value_and_gradient":
            value, run.gradient = self.both(run)
            run.outputs = [value]
        else:
            value = self.called(run, "forward")
            split(run, value)
        run.whole = list(run.outputs)
        if run.keeps:  # a tuple that is none of outputs is a cache that backward should take
            run.outputs = [leaf for output in run.whole for leaf in leaves(output)]
        self.count += 1
        self.runs[self.count] = run
        while len(self.runs) > RUNS:
            self.runs.popitem(last=False)
        return self.count

    def make(self, run: Run) -> None:
        """The object of a class, new or the one that serves all cases, with the parameters of this run."""
        plan = run.plan
        call = plan["calls"]["layer"]
        key = repr(call["path"])
        if not plan["once"] or key not in self.objects:
            made = self.find(call["path"])
            self.objects[key] = made(*arguments(run, call), **keywords(run, call))
        run.object = self.objects[key]
        for name, attribute, _ in plan["parameters"]:
            place(run.object, attribute, run.given[name])

    def look_for_replaced(self, run: Run) -> None:
        """Raises Broken where `forward` makes a parameter anew, whatever was set before it.

        It has other numbers afterwards, and the same ones where others were set: what it clips or norms hangs on these.
        """
        plan = run.plan
        for name, attribute, _ in plan["parameters"] if not plan["once"] else []:
            other, now, then = Run(plan, run.options, run.sizes, None), None, None
            with suppress(Exception):  # whatever a subject does here is no fault of its own
                now = walk(run.object, steps(attribute))
                if now is run.given[name] or alike(now, run.given[name]):
                    continue
                other.given, other.seed = {**run.given, name: run.given[name] + 1}, run.seed
                self.make(other)
                seed_all(run.seed)
                self.onward(other)
                then = walk(other.object, steps(attribute))
            if then is not None and alike(now, then):
                raise Broken(
                    f"forward puts other numbers in the place of {attribute}, which was set before it: give {name} its "
                    "first values where the layer is made, not in forward"
                )

    def onward(self, run: Run) -> Value:
        """What the forward pass of an object returns."""
        call = run.plan["calls"]["forward"]
        return run.object.forward(*arguments(run, call), **keywords(run, call))

    def trace(self, run: Run) -> None:
        """Call a framework's function so that it can be differentiated by the framework."""
        plan = run.plan
        call = plan["calls"]["forward"]
        if plan["arrays"] == "jax":
            jax = framework("jax")
            function = self.function(plan, "forward")

            def of_differentiable(*values: Value) -> Value:
                given = {**run.given, **dict(zip(plan["differentiable"], values))}  # noqa: B905 - Python 3.9
                return function(*arguments(run, call, given), **keywords(run, call))

            values = [run.given[name] for name in plan["differentiable"]]
            value, run.pull = jax.vjp(of_differentiable, *values)
            run.keeps = isinstance(value, (tuple, list))
        else:
            for name in plan["differentiable"]:
                if hasattr(run.given[name], "requires_grad_"):
                    run.given[name].requires_grad_(True)  # noqa: FBT003 - torch's own
            value = self.called(run, "forward")
        run.outputs = as_list(value)

    def both(self, run: Run) -> tuple[Value, Value]:
        """The value and the gradient of a function that gives both."""
        value = self.called(run, "value_and_gradient")
        if not isinstance(value, (tuple, list)) or len(value) < 2:  # noqa: PLR2004 - value and gradient
            name = name_in(run.plan, "value_and_gradient")
            raise Broken(f"{name} has to return the value and the gradient, not {a(value)}")
        return value[0], value[1] if len(value) == 2 else tuple(value[1:])  # noqa: PLR2004

    def backward(self, run: Run, cotangents: list[Any] | None, decoder: Value) -> Value:
        """What the backward pass returns: gradients, or what the kind gives in their place.

        `cotangents` has one for each differentiable output; None for the very objects of the last time.
        """
        plan, kind = run.plan, run.plan["kind"]
        if cotangents is not None:
            run.cotangents = [to_subject(one, plan["arrays"]) for one in cotangents]
            run.decoders = [run.decoder, decoder]
            run.told = {one for one in run.told if one[0] == 0}
        if kind in ("gradient", "jacobian"):
            return self.called(run, kind)
        if kind == "value_and_gradient":
            gradient, run.gradient = run.gradient, None  # a second answer is that of a second call
            return self.both(run)[1] if gradient is None else gradient
        if kind == "function":
            return self.pulled(run)
        if run.keeps and any(isinstance(output, (tuple, list)) for output in run.whole):
            if cotangents is not None:
                rest = iter(filled(run))
                run.shaped = [like(output, rest) for output in run.whole]
            leading = run.shaped if plan["apart"] or len(run.shaped) == 1 else [tuple(run.shaped)]
            return self.called(run, "backward", *leading, run.cache, inputs=False)
        dy: Value = run.cotangents[0] if len(run.cotangents) == 1 else tuple(run.cotangents)
        if kind == "class":
            if hasattr(run.object, "zero_grad"):
                run.object.zero_grad()
            returned = run.object.backward(dy)
            return returned, [reached(run, name, attribute) for name, _, attribute in plan["parameters"]]
        leading = list(run.cotangents) if plan["apart"] else [dy]
        if plan["apart"]:
            leading = filled(run)
        return self.called(
            run, "backward", *leading, *([run.cache] if run.keeps else []), inputs=not run.keeps
        )

    def pulled(self, run: Run) -> Value:
        """The cotangents pulled back by the framework of the function."""
        plan = run.plan
        flags = plan["outputs"] or [True] * len(run.outputs)
        if plan["arrays"] == "jax":
            jax = framework("jax")
            rest = iter(run.cotangents)
            full = [
                next(rest)
                if flag
                else np.zeros(output.shape, output.dtype if output.dtype.kind in "fc" else jax.dtypes.float0)
                for flag, output in zip(flags, run.outputs)  # noqa: B905 - Python 3.9
            ]
            return run.pull(like(tuple(run.whole), iter(full)) if run.keeps else full[0])
        torch = framework("torch")
        outputs = [output for flag, output in zip(flags, run.outputs) if flag]  # noqa: B905 - Python 3.9
        return torch.autograd.grad(
            outputs,
            [run.given[name] for name in plan["differentiable"]],
            run.cotangents,
            retain_graph=True,
            allow_unused=True,
        )

    def evaluate(self, run: Run, role: str, tangents: list[Any] | None) -> Value:
        """What the function of a role returns: jacobian, hessian, stand_in; with tangents jvp and hvp."""
        if tangents is None:
            return self.called(run, role)
        given = tuple(run.given.values())
        along = tuple(to_subject(one, run.plan["arrays"]) for one in tangents)
        call = run.plan["calls"][role]
        rest = arguments(run, {**call, "arguments": call["arguments"][2:]})
        return self.function(run.plan, role)(given, along, *rest, **keywords(run, call))

    def program(
        self,
        order: dict[str, Any],
        options: dict[str, Value],
        tracing: Any,
        folder: str,
        modules: list[types.ModuleType],
    ) -> tuple[Any, list[Any], str]:
        """The forward pass for inputs of some types and shapes as a program: see `tracing`.

        Or that of a function of the module that an order names. Where there is none: None, no constants, and why.
        """
        plan, sizes, shapes = order["plan"], order["sizes"], order["shapes"]

        def outputs(values: list[Value], *, wrapped: bool) -> list[Value]:
            run = Run(plan, options, sizes, None)
            run.given.update(
                (name, tracing.Traced(value) if wrapped else value)
                for name, value in zip(plan["inputs"], values)  # noqa: B905 - Python 3.9
            )
            seed_all(order["seed"])
            if order["function"]:
                takes = order["keywords"]
                own = {name: value for name, value in options.items() if name in takes}
                return as_list(getattr(self.module, order["function"])(*run.given.values(), **own))
            if plan["kind"] == "function":  # as it is: jax.vjp would trace what belongs to its derivative
                return as_list(self.called(run, "forward"))
            self.forward(run)
            return run.outputs

        why = ""
        ways = (True, False) if plan["arrays"] == "numpy" else (False,)
        for wrapped in ways[:1] if order["symbols"] else ways:
            seen = tracing.numpy_seen(modules) if wrapped else nullcontext()
            try:
                if order["symbols"]:
                    sizes, shapes = tracing.symbols(order["symbols"], order["shapes"])
                with seen:
                    return (*tracing.traced(partial(outputs, wrapped=wrapped), shapes, folder), "")
            except Exception as error:  # noqa: BLE001 - whatever it is, it ends the attempt
                why = why or tracing.told(error, folder)
        return None, [], why[:300]

    def draw(self, path: list[Any], seed: int, shape: list[int], sizes: dict[str, int]) -> Value:
        """The values of an input that the file draws itself."""
        return from_subject(self.find(path)(np.random.default_rng(seed), tuple(shape), dict(sizes)))


def split(run: Run, value: Value) -> None:
    """Tell the outputs from a cache: it is one where `backward` takes it."""
    plan = run.plan
    several = isinstance(value, (tuple, list)) and len(value) > 1
    first: Any = next(iter(value)) if several else None
    nested = isinstance(first, (tuple, list))  # (y1, y2), cache
    if plan["kind"] != "backward" or plan["takes"] != "cache":
        run.outputs = as_list(value)
        return
    forward, backward = name_in(plan, "forward"), name_in(plan, "backward")
    names = ", ".join(plan["inputs"])
    if not several:
        if not plan["calls"]["backward"]["arguments"]:
            takes = "(" + ", ".join(["dy"] * (plan["apart"] or 1)) + ", cache)"
            raise Broken(
                f"{forward} returns no cache, and {backward} takes {takes}: return (y, cache), "
                f"or let it take the inputs: {backward}(dy, {names})"
            )
        run.outputs = as_list(value)
    elif plan["outputs"] and len(plan["outputs"]) == len(value) and not plan["apart"] and not nested:
        if not plan["calls"]["backward"]["arguments"]:
            raise Broken(f"{forward} returns its {len(value)} outputs and no cache, which {backward} takes")
        run.outputs = list(value)
    else:
        *run.outputs, run.cache = list(value)
        run.keeps = True
        if plan["apart"] and len(run.outputs) != plan["apart"]:
            raise Broken(
                f"{backward} takes {plan['apart']} cotangents and a cache, and {forward} returns {len(value)} values: "
                "it has to be one output for each cotangent, and the cache"
            )


def leaves(value: Value) -> list[Value]:
    """The arrays of an output, which may be a tuple of some: (h, c), (y, (h, c))."""
    if isinstance(value, (tuple, list)) and value:
        return [leaf for one in value for leaf in leaves(one)]
    return [value]


def like(value: Value, rest: Iterator[Value]) -> Value:
    """The next cotangents, as an output has them."""
    if isinstance(value, (tuple, list)) and value:
        found = [like(one, rest) for one in value]
        return found if isinstance(value, list) else tuple(found)
    return next(rest)


def filled(run: Run) -> list[Value]:
    """A cotangent for each output: 0 for one that has no derivative."""
    flags, rest = run.plan["outputs"] or [True] * len(run.outputs), iter(run.cotangents)
    return [
        next(rest) if flag else to_subject(np.zeros_like(from_subject(output)), run.plan["arrays"])
        for flag, output in zip(flags, run.outputs)  # noqa: B905 - Python 3.9
    ]


def arguments(
    run: Run, call: Plan, given: dict[str, Value] | None = None, *, inputs: bool = True
) -> list[Value]:
    """What a call passes by position: inputs, options, sizes, and dicts of options."""
    known = {**run.sizes, **run.options, **(run.given if given is None else given)}
    if not inputs:
        return []
    return [
        {key: known[name] for key, name in one.items()} if isinstance(one, dict) else known[one]
        for one in call["arguments"]
        if isinstance(one, dict) or one in known
    ]


def keywords(run: Run, call: Plan) -> dict[str, Value]:
    """What a call passes by name."""
    known = {**run.sizes, **run.given, **run.options}
    return {name: known[name] for name in call["keywords"] if name in known}


def as_list(value: Value) -> list[Value]:
    """The outputs of a forward pass that keeps nothing."""
    return list(value) if isinstance(value, (tuple, list)) else [value]


def steps(path: str) -> list[tuple[str, Any]]:
    """The steps of "params['W']": ("a", "params"), ("i", "W")."""
    return [
        ("a", name) if name else ("i", int(number) if number else one or other)
        for name, one, other, number in STEPS.findall(path)
    ]


def walk(value: Value, path: list[tuple[str, Any]]) -> Value:
    """What the steps lead to."""
    for sort, key in path:
        value = getattr(value, key) if sort == "a" else value[key]
    return value


def place(value: Value, path: str, new: Value) -> None:
    """Set what the path leads to."""
    *before, (sort, key) = steps(path)
    holder = walk(value, before)
    if sort == "a":
        setattr(holder, key, new)
    else:
        holder[key] = new


def reached(run: Run, name: str, path: str) -> Value:
    """The gradient of a parameter of a class. Raises Broken where it isn't there."""
    try:
        return walk(run.object, steps(path))
    except (AttributeError, KeyError, IndexError, TypeError):
        shape = np.shape(from_subject(run.given[name]))
        found: list[tuple[str, Any]] = []
        arrays_in(run.object, "", found, [], set())
        known = {id(array) for array in run.arrays}
        fits = [
            label.lstrip(".") for label, array in found if array.shape == shape and id(array) not in known
        ]
        line = fits[0] if fits else f"d{name}"
        raise Broken(
            f"After backward there is no {path}, where the gradient of {name} should be: say where it is with "
            f'PARAMETERS = {{"{name}": "{line}"}}'
        ) from None


def alike(one: Value, other: Value) -> bool:
    """Whether two arrays of any kind hold the same numbers."""
    return np.array_equal(np.asarray(from_subject(one)), np.asarray(from_subject(other)), equal_nan=True)


def seed_all(seed: int) -> None:
    """Seed the global generators: of Python, of NumPy, and of torch where the subject imported it."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global one is what a subject may use
    torch = sys.modules.get("torch")
    if torch is not None:
        with suppress(Exception):
            torch.manual_seed(seed)


def framework(name: str) -> Any:
    """The subject's own torch or jax, which it has imported: we know them by name alone."""
    return importlib.import_module(name)


def is_tensor(value: Value) -> bool:
    """Whether this is an array of torch, known by its name."""
    return any(
        kind.__name__ == "Tensor" and kind.__module__.partition(".")[0] == "torch"
        for kind in type(value).__mro__
    )


def to_subject(array: Any, arrays: str) -> Value:
    """An array of NumPy as one of the subject's kind; torch's share its memory, so that a change is seen."""
    if arrays == "torch":
        torch = framework("torch")
        whole = np.asarray(array)
        return torch.from_numpy(whole if whole.flags.writeable else whole.copy())
    if arrays == "jax":
        return framework("jax").numpy.array(array)
    return array


def from_subject(value: Value) -> Value:
    """The same structure with arrays of NumPy in place of torch's; others are left to the encoder."""
    if is_tensor(value):
        plain = value.detach().cpu()
        plain = plain.float() if str(plain.dtype) == "torch.bfloat16" else plain
        return plain.resolve_conj().resolve_neg().numpy()
    if type(value) in (list, tuple):
        return type(value)(from_subject(one) for one in value)
    if isinstance(value, dict):
        return {key: from_subject(one) for key, one in dict.items(value)}
    return value


def name_in(plan: Plan, role: str) -> str:
    """What the function of a role is called in its file."""
    return ".".join(map(str, plan["calls"][role]["path"]))


def a(value: Value) -> str:
    """A value in words."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"
