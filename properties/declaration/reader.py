"""Reads a whole file: what it declares, what needs no word, and what lacks one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from properties.declaration.calls import (
    backward_of,
    call_of,
    constructor_of,
    keywords_of,
    parameters_of,
    those_of,
)
from properties.declaration.model import (
    DERIVATIVES,
    Call,
    Contents,
    Convention,
    Counterpart,
    Declaration,
    DeclarationError,
    Missing,
    Parameter,
)
from properties.declaration.names import ROLES, operation_names, pairs_of, plain
from properties.declaration.parts import (
    ARRAYS,
    DTYPES,
    near,
    one_of,
    paste,
    read_inputs,
    read_options,
    read_outputs,
    read_sizes,
    shown,
    template,
)
from properties.functions import Function, Module
from reference.operations.operation import Input, Operation, names_of

CONSTANTS = (
    "OPERATION",
    "OPERATIONS",
    "OPTIONS",
    "SIZES",
    "REFERENCE",
    "DTYPE",
    "OUTPUTS",
    "ARRAYS",
    "LAYER",
    "PARAMETERS",
    "ONCE",
    "FUNCTION",
    "PROBLEM",
)
"""The names that a file may set."""

NETWORK = ("parameters", "inputs", "targets")
"""What the gradient of a network is called with; its `step` takes a rate besides."""


class Reader:
    """Reads one module: see `read`."""

    def __init__(self, module: Module, known: Iterable[Operation], conventions: Iterable[Convention]) -> None:
        """The module, the known operations and the conventions."""
        self.module = module
        self.constants = module.constants
        self.functions = module.functions
        self.known = {plain(name): one for one in known for name in (one.name, *one.also)}
        self.conventions: dict[str, list[Convention]] = {}
        for one in conventions:
            for name in one.names:
                self.conventions.setdefault(plain(name), []).append(one)

    def read(self) -> Contents:
        """Everything that the module has. Raises `DeclarationError`."""
        self.check_names()
        has_problem, network = "PROBLEM" in self.constants, self.network()
        if self.constants.keys() & {"OPERATION", "OPERATIONS", "LAYER", "FUNCTION"} or (
            "REFERENCE" in self.constants and not network
        ):
            found, missing = self.declared()
            return Contents(found, missing, network=has_problem and network)
        if network or has_problem:
            return Contents((), network=True)
        pairs = self.undeclared()
        if not pairs.operations and not pairs.missing:
            raise DeclarationError(self.nothing())
        return pairs

    def check_names(self) -> None:
        """Refuse a constant that is nearly one of ours, and none."""
        for name in self.constants:
            close = get_close_matches(name, CONSTANTS, n=1, cutoff=0.85)
            if name not in CONSTANTS and close and close[0] not in self.constants:
                raise DeclarationError(f"{self.module.name} sets {name}; did you mean {close[0]}?")

    def network(self) -> bool:
        """Whether there is a `gradient` or a `step` that can be called with parameters, inputs and targets."""
        for name, count in (("gradient", len(NETWORK)), ("step", len(NETWORK) + 1)):
            function = self.functions.get(name)
            if function is None:
                continue
            signature = function.signature
            if signature.any_positional or len(signature.positional) >= count >= signature.required:
                return "forward" not in self.functions or signature.positional[:count][:1] == NETWORK[:1]
        return False

    # --- declared

    def declared(self) -> tuple[tuple[Declaration, ...], tuple[Missing, ...]]:
        """The operations that the module declares, and those beside them."""
        found: list[Declaration] = []
        missing: tuple[Missing, ...] = ()
        if {"OPERATION", "LAYER", "FUNCTION"} & self.constants.keys() or "OPERATIONS" not in self.constants:
            found.append(self.one())
        entries = self.constants.get("OPERATIONS")
        if "OPERATIONS" in self.constants:
            if not isinstance(entries, Mapping) or not entries:
                raise DeclarationError(
                    f"OPERATIONS has to be a dict of operations, each with its inputs, not {shown(entries)}:"
                    + paste('OPERATIONS = {"affine": {"x": "n d", "w": "d m", "b": "m"}}')
                )
            found += [self.entry(str(name), entry) for name, entry in entries.items() if entry is not None]
            self.check_options(found)
            rest = self.undeclared(without={plain(str(name)) for name in entries})
            found, missing = [*found, *rest.operations], rest.missing
        return tuple(found), missing

    def check_options(self, found: Sequence[Declaration]) -> None:
        """Refuse an option of the module that no operation takes."""
        options = read_options(self.constants.get("OPTIONS"))
        used = {name for one in found for name in one.options}
        for name in options:
            if name not in used:
                takes = {key for one in found for key in one.calls["forward"].function.signature.keywords}
                raise DeclarationError(f"OPTIONS has {name!r}, which no operation takes{near(name, takes)}")

    def one(self) -> Declaration:
        """What `OPERATION`, `LAYER` or `FUNCTION` declares."""
        roles = {
            role: next((self.functions[name] for name in names if name in self.functions), None)
            for role, names in ROLES.items()
        }
        special = self.special(roles)
        options = read_options(self.constants.get("OPTIONS"))
        forward = special or roles["forward"]
        inputs = self.declared_inputs(forward)
        there = {role: one for role, one in roles.items() if one}
        parameters = self.constants.get("PARAMETERS")
        return self.build(self.module.stem, inputs, there, options, special, parameters)

    def declared_inputs(self, forward: Function | None) -> Mapping[str, Input]:
        """The inputs of `OPERATION`; without it those of the known operation that `REFERENCE` names."""
        if "OPERATION" in self.constants:
            return read_inputs(self.constants["OPERATION"], "OPERATION")
        operation = self.known.get(plain(str(self.constants.get("REFERENCE", ""))))
        names = () if forward is None else forward.signature.positional
        is_class = forward is not None and forward.sort == "class"
        if operation is not None and not is_class and (len(names) >= len(operation.inputs) or not names):
            own = names[: len(operation.inputs)] or tuple(operation.inputs)
            return dict(zip(own, operation.inputs.values(), strict=True))
        if forward is not None and forward.sort == "class":
            names = (
                (*forward.methods["forward"].positional, "W") if "forward" in forward.methods else ("x", "W")
            )
        raise DeclarationError(
            f"{self.module.name} doesn't say what {forward.name if forward else 'forward'} takes: add the inputs "
            "with their axes (equal names have equal sizes):"
            + paste(f"OPERATION = {template(names or ('x', 'w'))}")
        )

    def special(self, roles: Mapping[str, Function | None]) -> Function | None:
        """The class or the framework's function that is judged, declared or the only one that there is."""
        for constant in ("LAYER", "FUNCTION"):
            if constant in self.constants:
                value = self.constants[constant]
                if not isinstance(value, Function):
                    raise DeclarationError(
                        f"{constant} has to be the {'class' if constant == 'LAYER' else 'function'} itself, "
                        f"not {shown(value)}."
                    )
                self.check_special(constant, value)
                return value
        if roles["forward"] is not None or any(roles[one] is not None for one in DERIVATIVES):
            return None
        layers = self.layers()
        if len(layers) > 1:
            first = layers[0]
            constant = "LAYER" if first.sort == "class" else "FUNCTION"
            raise DeclarationError(
                f"{self.module.name} has {', '.join(one.name for one in layers)}: say which one OPERATION is about:"
                + paste(f"{constant} = {first.name}")
            )
        return layers[0] if layers else None

    def check_special(self, constant: str, value: Function) -> None:
        """Refuse a `LAYER` that is no class, and a `FUNCTION` of nobody knows which framework."""
        if constant == "LAYER" and value.sort == "function":
            raise DeclarationError("LAYER has to be the class itself, and not a function or an object.")
        if constant == "FUNCTION" and value.sort == "class":
            raise DeclarationError("FUNCTION is a class: call it LAYER.")
        if constant == "FUNCTION" and value.sort == "function" and "ARRAYS" not in self.constants:
            raise DeclarationError(
                "FUNCTION is differentiated by its framework, and nothing says by which: add"
                + paste('ARRAYS = "torch"')
            )

    def entry(self, name: str, entry: object) -> Declaration:
        """One entry of `OPERATIONS`: its inputs, or a dict of `inputs` and of all that a file may say."""
        where = f"OPERATIONS[{name!r}]"
        if not isinstance(entry, Mapping):
            raise DeclarationError(
                f"{where} has to be a dict of the inputs with their axes, not {shown(entry)}."
            )
        inner = entry.get("inputs")
        full = isinstance(inner, Mapping) and "axes" not in inner
        keys = (
            *("inputs", "options", "sizes", "reference", "outputs", "layer", "function", "parameters"),
            *ROLES,
        )
        for key in entry if full else ():
            if key not in keys:
                raise DeclarationError(f"{where} has an unknown key {shown(key)}{near(key, keys)}")
        said: Mapping[str, Any] = entry if full else {"inputs": entry}
        inputs = read_inputs(said["inputs"], f"{where}['inputs']" if full else where)
        roles = self.roles_of(name)
        for role in ROLES:
            if role in said:
                roles[role] = self.given(said[role], f"{where}[{role!r}]")
        special = next((said[key] for key in ("layer", "function") if key in said), None)
        if special is not None:
            special = self.given(special, where)
        elif name in self.functions and self.functions[name].sort != "function":
            special = self.functions[name]
        if special is None:
            self.complete(name, roles, where)
        own = read_options(said.get("options"), f"{where}['options']")
        common = read_options(self.constants.get("OPTIONS"))
        takes = keywords_of(special or roles.get("forward") or roles["value_and_gradient"])
        options = {n: v for n, v in common.items() if n in takes} | own
        parameters = said.get("parameters", those_of(self.constants.get("PARAMETERS"), inputs))
        declaration = self.build(name, inputs, roles, options, special, parameters)
        sizes = read_sizes(said.get("sizes"), declaration.axes, f"{where}['sizes']")
        reference = said.get("reference")
        return replace(
            declaration,
            sizes={**declaration.sizes, **sizes},
            outputs=read_outputs(said.get("outputs")) or declaration.outputs,
            counterpart=self.counterpart(reference, inputs, options)
            if reference
            else declaration.counterpart,
        )

    def complete(self, name: str, roles: dict[str, Function], where: str) -> None:
        """See that the functions of an entry are there; one alone returns its value and its gradient."""
        if "forward" not in roles and "value_and_gradient" not in roles:
            functions = [n for n, one in self.functions.items() if one.sort == "function"]
            raise DeclarationError(
                f"{self.module.name} has no function {name}_forward for {where}{near(name + '_forward', functions)}"
            )
        if "forward" in roles and not any(role in roles for role in DERIVATIVES):
            bare = roles.pop("forward")
            if bare.name != name:
                raise DeclarationError(
                    f"{self.module.name} has {bare.name} and no {name}_backward for {where}"
                    f"{near(name + '_backward', self.functions)}"
                )
            roles["value_and_gradient"] = bare

    def given(self, value: object, where: str) -> Function:
        """A function that an entry names, or holds."""
        if isinstance(value, Function):
            return value
        if isinstance(value, str) and value in self.functions:
            return self.functions[value]
        raise DeclarationError(
            f"{where} is {shown(value)}, which is not a function in the file{near(value, self.functions)}"
        )

    def roles_of(self, name: str) -> dict[str, Function]:
        """The functions of an operation of that name, by role: affine_forward, forward_affine, affine_forward_fast."""
        roles: dict[str, Function] = {}
        pairs = pairs_of(self.functions)
        for one, (forward, backward) in pairs.items():
            if one == name or (plain(name) in map(plain, operation_names(one)) and "backward" not in roles):
                roles["forward"], roles["backward"] = forward, backward
        for role, words in ROLES.items():
            for word in words:
                for full in (f"{name}_{word}", f"{word}_{name}"):
                    if full in self.functions and role not in roles:
                        roles[role] = self.functions[full]
        if "forward" not in roles and name in self.functions:
            roles["forward"] = self.functions[name]
        return roles

    def counterpart(
        self, reference: object, inputs: Mapping[str, Input], options: Mapping[str, object]
    ) -> Counterpart | None:
        """What `REFERENCE` names. Raises `DeclarationError` where nothing of that name is known."""
        if reference is None:
            return None
        if not isinstance(reference, str):
            raise DeclarationError(
                f'REFERENCE has to be the name of a known operation, or "file.py:function", not {shown(reference)}.'
            )
        if ":" in reference:
            file, _, function = reference.rpartition(":")
            if not file.endswith(".py") or not function.isidentifier():
                raise DeclarationError(
                    f'REFERENCE is {reference!r}; of a file it has to be "file.py:function".'
                )
            return Counterpart(reference, said=True)
        operation = self.known.get(plain(reference))
        if operation is None:
            names = [one.name for one in self.known.values()]
            raise DeclarationError(
                f"REFERENCE names {reference!r}, which is not known{near(reference, names)}"
            )
        if len(operation.inputs) != len(inputs):
            raise DeclarationError(
                f"REFERENCE names {operation.name}, which takes {', '.join(operation.inputs)}, and {', '.join(inputs)} "
                "is declared: the inputs have to be the same, in the same order."
            )
        return _counterpart(operation, inputs, options, said=True)

    def namesake(
        self, name: str, inputs: Mapping[str, Input], options: Mapping[str, object]
    ) -> Counterpart | None:
        """The known operation of that name, if there is one that takes as many inputs."""
        for one in operation_names(name):
            operation = self.known.get(plain(one))
            if operation is not None and len(operation.inputs) == len(inputs):
                return _counterpart(operation, inputs, options)
        return None

    def build(
        self,
        name: str,
        inputs: Mapping[str, Input],
        roles: Mapping[str, Function],
        options: Mapping[str, tuple[Any, ...]],
        special: Function | None,
        parameters: object,
    ) -> Declaration:
        """A declaration of these functions. Raises `DeclarationError`."""
        reference = self.constants.get("REFERENCE")
        if isinstance(reference, Mapping):
            reference = reference.get(name)
        common: dict[str, Any] = {
            "sizes": {},
            "has_valid": "valid" in roles,
            "dtype": one_of(self.module, "DTYPE", DTYPES, "float64"),
            "arrays": one_of(self.module, "ARRAYS", ARRAYS, _usual_arrays(special)),
            "outputs": read_outputs(self.constants.get("OUTPUTS")),
            "counterpart": self.counterpart(reference, inputs, options)
            or self.namesake(name, inputs, options),
            "options": options,
        }
        axes = names_of(dimension for one in inputs.values() for dimension in one.dimensions)
        if "SIZES" in self.constants:
            several = "OPERATIONS" in self.constants
            sizes = self.constants["SIZES"]
            if several and isinstance(sizes, Mapping):  # one dict for all: each has some of its axes
                sizes = {axis: some for axis, some in sizes.items() if axis in axes}
            common["sizes"] = read_sizes(sizes, axes)
        calls: dict[str, Call] = {}
        if "valid" in roles:
            calls["valid"] = Call(roles["valid"])
        if special is not None and special.sort == "class":
            return self.layer(
                name, inputs, special, parameters_of(inputs, special, parameters), calls, common
            )
        if special is not None:
            calls["forward"] = call_of(special, tuple(inputs), options, strict=True)
            return Declaration(
                name, inputs, "function", {**calls, **self.more(inputs, roles, options)}, **common
            )
        return self.functions_of(name, inputs, roles, options, calls, common)

    def functions_of(
        self,
        name: str,
        inputs: Mapping[str, Input],
        roles: Mapping[str, Function],
        options: Mapping[str, tuple[Any, ...]],
        calls: dict[str, Call],
        common: Mapping[str, Any],
    ) -> Declaration:
        """A declaration of plain functions."""
        kind = next((role for role in DERIVATIVES if role in roles), "")
        if not kind:
            given = f"{roles['forward'].name} and no derivative of it" if "forward" in roles else "no forward"
            raise DeclarationError(
                f"{self.module.name} has {given}: it needs backward(dy, cache), backward(dy, {', '.join(inputs)}), "
                f"gradient({', '.join(inputs)}), jacobian({', '.join(inputs)}) or jvp(inputs, tangents)"
                f"{near('backward', [one for one in self.functions if one not in ROLES['forward']])}"
            )
        if kind != "value_and_gradient" and "forward" not in roles:
            raise DeclarationError(
                f"{self.module.name} has {roles[kind].name} and no forward({', '.join(inputs)}), which says what it is "
                f"the derivative of{near('forward', [one for one in self.functions if one != roles[kind].name])}"
            )
        more = self.more(inputs, roles, options)
        if "forward" in roles:
            calls["forward"] = call_of(roles["forward"], tuple(inputs), options, strict=True)
        takes, apart = "cache", 0
        if "backward" in roles:
            forward = calls["forward"]
            more["backward"], takes, apart = backward_of(
                roles["backward"], tuple(inputs), options, (*forward.arguments,)
            )
        return Declaration(name, inputs, kind, {**calls, **more}, takes, apart, **common)

    def more(
        self, inputs: Mapping[str, Input], roles: Mapping[str, Function], options: Mapping[str, object]
    ) -> dict[str, Call]:
        """How the other functions of an operation are called."""
        calls: dict[str, Call] = {}
        for role in ("gradient", "jacobian", "hessian", "value_and_gradient", "stand_in"):
            if role in roles:
                calls[role] = call_of(roles[role], tuple(inputs), options)
        for role in ("jvp", "hvp"):
            if role in roles:
                calls[role] = call_of(roles[role], ("inputs", "tangents"), options)
        return calls

    def layer(
        self,
        name: str,
        inputs: Mapping[str, Input],
        layer: Function,
        parameters: tuple[Parameter, ...],
        calls: dict[str, Call],
        common: dict[str, Any],
    ) -> Declaration:
        """A declaration of a class."""
        own = {one.name for one in parameters}
        passed = tuple(one for one in inputs if one not in own)
        options, takes = common["options"], keywords_of(layer)
        for one in options:
            if one not in takes:
                raise DeclarationError(
                    f"OPTIONS has {one!r}, which neither {layer.name} nor its forward takes{near(one, takes)}"
                )
        method = Function((*layer.path, "forward"), layer.methods["forward"])
        calls["forward"] = call_of(
            method, passed, {one: 0 for one in options if one in method.signature.keywords}
        )
        axes = names_of(dimension for one in inputs.values() for dimension in one.dimensions)
        calls["layer"] = constructor_of(layer, (*inputs, *options, *axes), axes)
        once = self.constants.get("ONCE", False)
        if not isinstance(once, bool):
            raise DeclarationError(f"ONCE has to be True or False, not {shown(once)}.")
        return Declaration(name, inputs, "class", calls, parameters=parameters, once=once, **common)

    # --- not declared

    def undeclared(self, without: Iterable[str] = ()) -> Contents:
        """The operations that need no word, and those that lack one."""
        found: list[Declaration] = []
        missing: list[Missing] = []
        pairs = pairs_of(self.functions)
        if "forward" in self.functions and "backward" in self.functions:
            pairs[self.module.stem] = self.functions["forward"], self.functions["backward"]
        pairs.pop("", None)
        done = set(without)
        for name, (forward, backward) in pairs.items():
            if done & set(map(plain, operation_names(name))):
                continue
            declaration = self.by_convention(name, forward, backward)
            if declaration is None:
                missing.append(self.lacking(name, forward))
            else:
                found.append(declaration)
        for name, function in self.functions.items():
            rows = [
                row
                for row in self.rows(name)
                if row.kind == "value_and_gradient" and row.fits(function.signature)
            ]
            if rows and not done & set(map(plain, operation_names(name))):
                found.append(self.conventional(name, rows, {"value_and_gradient": function}))
        for name, function in self.functions.items():
            operation = self.known_layer(name, function)
            if operation is not None and plain(name) not in done:
                found.append(self.build(name, operation.inputs, {}, {}, function, None))
        if not pairs and (found or done):  # a file of layers
            known = {*done, *(plain(one.name) for one in found)}
            missing += [self.lacking_layer(one) for one in self.layers() if plain(one.name) not in known]
        return Contents(tuple(found), tuple(missing))

    def layers(self) -> list[Function]:
        """The classes and the functions of frameworks that could be operations."""
        return [
            one
            for one in self.functions.values()
            if one.sort in ("custom_vjp", "autograd")
            or (one.sort == "class" and {"forward", "backward"} <= one.methods.keys())
        ]

    def lacking_layer(self, layer: Function) -> Missing:
        """What is missing for a class, or a function of a framework, among others."""
        line = f'OPERATIONS = {{"{layer.name}": {template(_inputs_of(layer))}}}'
        return Missing(
            layer.name,
            f"{self.module.name} doesn't say what {layer.name} takes: add its inputs and its parameters with their "
            "axes (equal names have equal sizes); or None, to leave it out:" + paste(line),
        )

    def known_layer(self, name: str, layer: Function) -> Operation | None:
        """The known operation of a class's name, where `forward` takes all its inputs: there are no parameters."""
        operation = self.known.get(plain(name)) if layer.sort == "class" else None
        if operation is None or not {"forward", "backward"} <= layer.methods.keys():
            return None
        forward = layer.methods["forward"]
        fits = forward.required <= len(operation.inputs) <= len(forward.positional)
        return operation if fits and not layer.signature.required else None

    def rows(self, name: str) -> list[Convention]:
        """The conventions for an operation of that name."""
        return [row for one in operation_names(name) for row in self.conventions.get(plain(one), ())]

    def by_convention(self, name: str, forward: Function, backward: Function) -> Declaration | None:
        """A pair that follows a convention, or has the name of a known operation and takes what that takes."""
        rows = [row for row in self.rows(name) if row.kind == "backward" and row.fits(forward.signature)]
        known = self.by_name(name, forward, backward)
        return (
            self.conventional(name, rows, {"forward": forward, "backward": backward}, known)
            if rows
            else known
        )

    def conventional(
        self,
        name: str,
        rows: Sequence[Convention],
        roles: Mapping[str, Function],
        last: Declaration | None = None,
    ) -> Declaration:
        """The declaration of functions that follow one of the rows: the first, else the others in turn, or `last`."""
        row, *others = rows
        arguments = row.arguments or tuple(row.inputs)
        calls = {role: Call(function, arguments) for role, function in roles.items() if role != "backward"}
        takes, apart = "cache", 0
        if "backward" in roles:
            calls["backward"], takes, apart = backward_of(roles["backward"], tuple(row.inputs), {}, arguments)
        return Declaration(
            name,
            row.inputs,
            row.kind,
            calls,
            takes,
            apart,
            options=row.options,
            sizes=row.sizes,
            valid=row.valid,
            counterpart=row.counterpart,
            dtype=one_of(self.module, "DTYPE", DTYPES, "float64"),
            arrays=one_of(self.module, "ARRAYS", ARRAYS, "numpy"),
            alternatives=(self.conventional(name, others, roles, last),)
            if others
            else (last,)
            if last
            else (),
        )

    def by_name(self, name: str, forward: Function, backward: Function) -> Declaration | None:
        """A pair whose name is a known operation, with its inputs in that order."""
        operation = next(
            (self.known[plain(one)] for one in operation_names(name) if plain(one) in self.known), None
        )
        if operation is None:
            return None
        signature = forward.signature
        count = len(operation.inputs)
        own = signature.positional[:count]
        options = {
            one: some for one, some in operation.options.items() if one in signature.keywords - set(own)
        }
        inputs = dict(zip(own, operation.inputs.values(), strict=False))
        if len(own) < count:
            return None
        try:
            forward_call = call_of(forward, own, options)
            call, takes, apart = backward_of(backward, own, options, forward_call.arguments)
        except DeclarationError:
            return None  # it takes something besides: `lacking` asks what
        defaults = {one: some[0] for one, some in operation.options.items()}
        return Declaration(
            name,
            inputs,
            "backward",
            {"forward": forward_call, "backward": call},
            takes,
            apart,
            options=options,
            sizes=operation.sizes,
            valid=lambda sizes, options: operation.valid(sizes, {**defaults, **options}),
            counterpart=_counterpart(operation, own, options),
            outputs=operation.outputs,
            dtype=one_of(self.module, "DTYPE", DTYPES, "float64"),
            arrays=one_of(self.module, "ARRAYS", ARRAYS, "numpy"),
        )

    def lacking(self, name: str, forward: Function) -> Missing:
        """What is missing for a pair that is no known operation."""
        known = next(
            (self.known[plain(one)] for one in operation_names(name) if plain(one) in self.known), None
        )
        axes = [] if known is None else [one.axes for one in known.inputs.values()]
        inputs = template(forward.signature.positional, axes)
        bare = forward.name == "forward"
        line = f"OPERATION = {inputs}" if bare else f'OPERATIONS = {{"{name}": {inputs}}}'
        leave = "" if bare else "; or None, to leave it out"
        return Missing(
            name,
            f"{self.module.name} doesn't say what {forward.name} takes: add the inputs with their axes (equal names "
            f"have equal sizes), and the others as OPTIONS{leave}:" + paste(line),
        )

    def nothing(self) -> str:
        """What is said of a module in which there is nothing to judge."""
        layers = self.layers()
        derivative = next(
            (name for role in DERIVATIVES for name in ROLES[role] if name in self.functions), ""
        )
        if len(layers) > 1:
            lines = ", ".join(f'"{one.name}": {template(_inputs_of(one))}' for one in layers)
            return (
                f"{self.module.name} has {', '.join(one.name for one in layers)}, and doesn't say what they take: add "
                "their inputs and their parameters with their axes (equal names have equal sizes):"
                + paste(
                    f"OPERATIONS = {{{lines}}}", *(['PARAMETERS = {"W": "dW"}'] if layers[0].methods else [])
                )
            )
        if layers:
            (one,) = layers
            inputs = template(_inputs_of(one))
            if one.sort == "class":
                return (
                    f"{self.module.name} has the class {one.name}, and doesn't say what it takes: add its inputs and "
                    "its parameters with their axes (equal names have equal sizes):"
                    + paste(f"LAYER = {one.name}", f"OPERATION = {inputs}", 'PARAMETERS = {"W": "dW"}')
                )
            return (
                f"{self.module.name} has {one.name}, and doesn't say what it takes: add its inputs with their axes "
                "(equal names have equal sizes):" + paste(f"FUNCTION = {one.name}", f"OPERATION = {inputs}")
            )
        if derivative and "forward" in self.functions:
            return self.lacking("", self.functions["forward"]).sentence
        if derivative == "gradient" and not self.functions[derivative].signature.any_positional:
            takes = ", ".join(self.functions[derivative].signature.positional)
            return (
                f"{self.module.name} has gradient({takes}): of a network it has to take ({', '.join(NETWORK)}); of a "
                f"scalar function it needs forward({takes}) and the axes of the inputs:"
                + paste(f"OPERATION = {template(self.functions[derivative].signature.positional or ('x',))}")
            )
        close = [
            name for name in self.functions if get_close_matches(name, ["gradient", "forward", "backward"])
        ]
        also = f" (it has {close[0]})" if close else ""
        return (
            f"{self.module.name} has no function gradient({', '.join(NETWORK)}) of a network, and no forward and "
            f"backward of an operation{also}: one of these is what is checked."
        )


def _inputs_of(function: Function) -> tuple[str, ...]:
    """What a class's `forward`, or a function, takes by position."""
    signature = function.methods.get("forward", function.signature)
    return signature.positional or ("x",)


def _counterpart(
    operation: Operation, inputs: Iterable[str], options: Iterable[str], *, said: bool = False
) -> Counterpart:
    """A known operation that takes the inputs in that order, and the options by their own names."""
    options = set(options)
    same: dict[str, str | tuple[str, ...]] = {name: name for name in operation.options if name in options}
    return Counterpart(operation.name, tuple(inputs), options=same, said=said)


def _usual_arrays(special: Function | None) -> str:
    """The arrays that a framework's function takes."""
    sort = "" if special is None else special.sort
    return {"custom_vjp": "jax", "autograd": "torch"}.get(sort, "numpy")


def read(module: Module, known: Iterable[Operation] = (), conventions: Iterable[Convention] = ()) -> Contents:
    """What a module has to be judged.

    Args:
        module: its constants and functions.
        known: the operations of `reference.operations`, for `REFERENCE` and for pairs of their names.
        conventions: the rows of `conventions`.

    Raises:
        DeclarationError: where a declaration is wrong, or there is nothing to judge.
    """
    return Reader(module, known, conventions).read()
