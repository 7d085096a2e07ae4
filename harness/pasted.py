"""The call of a subject on its smallest case as Python to paste, which prints what came back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.loading import RATES
from harness.outcomes import Outcome
from harness.verification import as_text, is_printed
from properties.cases import Case
from properties.comparison import named
from properties.declaration import Declaration
from properties.operation.cases import numbered
from properties.search import Kind

# --- what is shown -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NetworkCall:
    """How the gradient of a network is called.

    Attributes:
        path: a file, or the name of a module.
        function: the one that is called: gradient, or step.
        takes_keywords: the drawn choices, where it has parameters for them.
        held: lines that give functions in hand their names; None for a file.
    """

    path: str
    function: str = "gradient"
    takes_keywords: bool = True
    held: Sequence[str] | None = None


def script(outcome: Outcome, call: NetworkCall | None = None) -> str:
    """The smallest case as Python to paste, with both gradients; of a large one its sizes alone; empty for none."""
    if outcome.shown is None:
        return ""
    record, example = outcome.shown
    if call is not None and isinstance(example, Case) and is_printed(example):
        return network(
            example, call, breaks_the_contract=any(one.kind is Kind.CONTRACT for one in outcome.failures)
        )
    are_compared = record.kind in {Kind.TRUTH, Kind.EDGES} and not getattr(example, "after", ())
    right = [f"# right: {name} = {_rounded(one).tolist()}" for name, one in outcome.right.items()]
    return "\n".join(
        [as_text(example), *(right if are_compared and is_printed(example) else []), f"# {outcome.again}"]
    )


def _rounded(array: Any) -> Any:
    """To as many digits as anybody compares: measured ones end before the last."""
    return np.reshape([float(f"{one:.12g}") for one in np.ravel(array)], np.shape(array))


# --- the gradient of a network -------------------------------------------------------------------------------


def network(case: Case, call: NetworkCall, *, breaks_the_contract: bool = False) -> str:
    """The lines that call it, and print its gradient beside the right one: as it is, where it may be of any kind."""
    path, function = Path(call.path), call.function
    keywords = ", ".join(f"{key}={value!r}" for key, value in case.choices.items() if call.takes_keywords)
    lines = [
        "import inspect, runpy, sys" if call.held is None else "import inspect",
        "import numpy as np",
        "",
        case.as_python(),
        f"choices = dict({keywords})",
    ]
    if call.held is not None:
        lines += call.held
    elif path.suffix == ".py":
        lines += [
            f"sys.path.insert(0, {str(path.parent)!r})",
            f"{function} = runpy.run_path({str(path)!r})[{function!r}]",
        ]
    else:
        lines += [f"from {call.path} import {function}"]
    lines += [
        f"accepted = inspect.signature({function}).parameters",
        "if all(one.kind is not one.VAR_KEYWORD for one in accepted.values()):",
        "    choices = {name: value for name, value in choices.items() if name in accepted}",
        "",  # which ends the block where it is pasted at a prompt
    ]
    if function == "step":
        lines += [
            f"rate = {RATES[str(case.inputs.dtype)]!r}  # so large that the parameters are lost in rounding",
            "moved = step(parameters, inputs, targets, rate, **choices)",
            "yours = [",
            "    ((W - new_W) / rate, None if b is None else (b - new_b) / rate)",
            "    for (W, b), (new_W, new_b) in zip(parameters, moved)",
            "]",
        ]
    else:
        lines += ["yours = gradient(parameters, inputs, targets, **choices)"]
    right = named(case.oracle.gradient)
    lines += ["", "right = {", *(f"    {name!r}: np.array({one.tolist()})," for name, one in right.items())]
    return "\n".join([*lines, "}", *(_AS_IT_IS if breaks_the_contract else _SIDE_BY_SIDE)])


_AS_IT_IS = ["print('yours', yours, 'right', right, sep='\\n')"]

_SIDE_BY_SIDE = [
    "for layer, (dW, db) in enumerate(yours, start=1):",
    "    print(f'dW{layer} yours', dW, 'right', right[f'dW{layer}'], sep='\\n')",
    "    print(f'db{layer} yours', db, 'right', right.get(f'db{layer}'), sep='\\n')",
]

# --- an operation --------------------------------------------------------------------------------------------

_FRAMEWORKS = {
    "jax": ["import jax", 'jax.config.update("jax_enable_x64", True)'],
    "torch": ["import torch"],
}
"""What a file in a framework's arrays needs: JAX makes single precision of what it is given, unless it is told."""


def calls(path: str, declared: Declaration, held: Sequence[str] | None = None) -> str:
    """The lines that call an operation of a file on the inputs, options and cotangents of a case, and print.

    Or one that is `held`, after lines that give its functions their names. An empty line is between what is there once
    and the call.
    """
    names = dict.fromkeys(call.function.path[0] for call in declared.calls.values())
    file, lines = Path(path), ["", *_FRAMEWORKS.get(declared.arrays, [])]
    if held is not None:
        lines += held
    elif file.suffix == ".py":
        lines += [
            "import runpy, sys",
            f"sys.path.insert(0, {str(file.parent)!r})",
            f"module = runpy.run_path({str(file)!r})",
        ]
        lines += [f"{name} = module[{name!r}]" for name in names]
    else:
        lines += [f"from {path} import {', '.join(map(str, names))}"]
    gradients = ", ".join(f"d{name}" for name in declared.differentiable)
    body = _of_a_framework(declared, gradients) if declared.kind == "function" else _body(declared, gradients)
    return "\n".join([*lines, "", *_converted(declared), *body])


def _body(declared: Declaration, gradients: str) -> list[str]:
    kind, every = declared.kind, declared.calls
    y = declared.output
    match kind:
        case "backward":
            forward = f"{every['forward'].called}({every['forward'].given})"
            backward = every["backward"].called
            if declared.takes == "cache":
                several, dy = (
                    ("*", ", ".join(numbered(f"d{y}", declared.apart))) if declared.apart else ("", f"d{y}")
                )
                return [f"{several}{y}, cache = {forward}", f"print({backward}({dy}, cache))  # {gradients}"]
            arguments = every["backward"].given
            return [f"{y} = {forward}", f"print({backward}(d{y}, {arguments}))  # {gradients}"]
        case "gradient" | "jacobian" | "value_and_gradient":
            return [f"print({every[kind].called}({every[kind].given}))  # {gradients}"]
        case "class":
            parameters, of_them = (
                [f"layer.{one.attribute} = {one.name}" for one in declared.parameters],
                "".join(f", layer.{one.gradient}" for one in declared.parameters),
            )
            return [
                f"layer = {every['layer'].called}({every['layer'].given})",
                *parameters,
                f"{y} = layer.forward({every['forward'].given})",
                f"print(layer.backward(d{y}){of_them})  # {gradients}",
            ]
        case "jvp":
            inputs, moving = _listed([*declared.inputs]), declared.differentiable
            zeros = ", ".join(f"np.zeros_like({name})" for name in moving)
            return [
                f"inputs, tangents = ({inputs}), ({zeros},)",
                f"tangents[0].flat[0] = 1  # by the first number of {moving[0]}; and so by each of the others",
                f"print({every['jvp'].called}({every['jvp'].given}))",
                f"# summed with d{y}: the first number of d{moving[0]}",
            ]
        case _:
            return []


def _of_a_framework(declared: Declaration, gradients: str) -> list[str]:
    """A function that has its derivative from its framework: a pull back of JAX, or the gradient of torch."""
    forward, y, inputs = declared.calls["forward"], declared.output, ", ".join(declared.differentiable)
    if declared.arrays == "jax":
        return [
            f"{y}, pull = jax.vjp(lambda {inputs}: {forward.called}({forward.given}), {inputs})",
            f"print(pull(d{y}))  # {gradients}",
        ]
    called = f'getattr({forward.called}, "apply", {forward.called})'
    return [
        f"{y} = {called}({forward.given})",
        f"print(torch.autograd.grad({y}, [{inputs}], d{y}, allow_unused=True))  # {gradients}",
    ]


def _converted(declared: Declaration) -> list[str]:
    """Inputs and cotangents as arrays of the framework whose arrays the file takes."""
    if declared.arrays not in _FRAMEWORKS:
        return []
    takes_one = declared.kind in {"backward", "class", "function"}
    names = _listed([*declared.inputs, *[f"d{declared.output}"] * takes_one])
    if declared.arrays == "jax":
        return [f"{names} = jax.tree.map(jax.numpy.asarray, ({names}))"]
    moving = [f"{name}.requires_grad_()" for name in declared.differentiable]
    return [
        f"{names} = (torch.as_tensor(np.float64(one) if type(one) is float else one) for one in ({names}))",
        *(moving if declared.kind == "function" else []),
    ]


def _listed(names: Sequence[str]) -> str:
    """`x, w`, or `x,` of one: as the elements of a tuple."""
    return ", ".join(names) if len(names) > 1 else f"{names[0]},"
