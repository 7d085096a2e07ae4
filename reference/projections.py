"""The bound of a projection of a gradient, for programs in which the bounds of single entries explode.

Adding the sizes of correlated errors overstates them: one rounding reaches an entry by many paths, and the running
bound (`arithmetic.bounded`) adds all of these up as if they were independent. In deep and in recurrent programs
that is too much by orders of magnitude. So there the number r·g is judged, for random directions r of ±1, by
the first-order error of the program that computes it:

    |r·ĝ - r·g| ≤ Σ_v |∂(r·g)/∂v| w_v + O(u²),    w_v the rounding of the intermediate v,

where each ∂(r·g)/∂v is one number: what reaches r·g by several paths is added with its sign (M. Iri, *Simultaneous
computation of functions, partial derivatives and estimates of rounding errors*, Japan J. Appl. Math. 1, 1984). One
reverse pass through the backward program gives all of them; JAX makes that pass a program too, which is read in
floats. The weights are those of `bounded`: γ_m Σ|a||b| for sums of m products, `FORMULA` u max(1, |v|) for a
library's function, and (1 + `FREEDOM`) u |v| for the rest. `SECOND_ORDER` covers the terms in u².

Along a direction of ±1 no single wrong entry can hide, and several cancel with probability at most ½ (R. Freivalds,
1977): k directions miss with probability at most 2^-k.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from reference import systems
from reference.arithmetic import floats
from reference.arithmetic.bounded import FORMATS, FORMULA, FREEDOM
from reference.program import CALLS, CUSTOM, Derivative, Program, Sizes, as_tuple, closed_of, trace

Array = np.ndarray[Any, Any]

SECOND_ORDER = 2.0
"""The first order is the whole error but for a share of about itself; where it is not below 1/4, nothing is known."""
_MOVES = frozenset(floats.MOVES) | {
    "pad", "concatenate", "gather", "scatter", "stack", "unstack", "dynamic_slice", "dynamic_update_slice",
    "select_n", "convert_element_type", "stop_gradient", "neg", "max", "min", "reduce_max", "reduce_min", "abs",
    "sign", "sort", "iota", "clamp",
}  # fmt: skip
"""Primitives that round nothing."""
_FUNCTIONS = frozenset(floats.ELEMENTWISE) - {"sqrt", "rsqrt", "floor", "ceil", "is_finite", "rem"}


class Projection(NamedTuple):
    """⟨r, gradient⟩ for each of some directions r: (directions, *shape of the input), (directions,), (directions,)."""

    directions: Array
    value: Array
    error: Array


# --- the program with a place for every rounding -----------------------------------------------------------------


def _inner(equation: Any) -> core.ClosedJaxpr | None:
    """What a call calls."""
    name = equation.primitive.name
    if name in CALLS:
        return closed_of(equation.params["jaxpr"])
    if name in CUSTOM:
        return closed_of(equation.params[CUSTOM[name]])
    return None


def _is_rounded(variable: Any, name: str) -> bool:
    return name not in _MOVES and np.dtype(variable.aval.dtype).kind == "f"


def _zeros(jaxpr: Any, *, outer: tuple[Any, ...] = ()) -> list[Any]:
    """An array of zeros for each rounding, in the shape of what is rounded; of a loop, one for each turn."""
    found: list[Any] = []
    for equation in jaxpr.eqns:
        inner, name = _inner(equation), equation.primitive.name
        if inner is not None:
            found.append(_zeros(inner.jaxpr, outer=outer))
        elif name == "scan":
            length = equation.params["length"]
            found.append(_zeros(equation.params["jaxpr"].jaxpr, outer=(*outer, length)))
        else:
            found.append(
                [
                    jnp.zeros((*outer, *variable.aval.shape)) if _is_rounded(variable, name) else None
                    for variable in equation.outvars
                ]
            )
    return found


def _weight(
    name: str, inputs: Sequence[Any], outputs: Sequence[Any], parameters: Mapping[str, Any], place: int
) -> Any:
    """The rounding of an output, in units of u."""
    value = outputs[place]
    match name:
        case "add" | "sub" | "add_any":
            return (1 + FREEDOM) * (jnp.abs(inputs[0]) + jnp.abs(inputs[1]))
        case "reduce_sum":
            terms = 1
            for axis in parameters["axes"]:
                terms = terms * inputs[0].shape[axis]
            return (terms + FREEDOM) * jnp.sum(jnp.abs(inputs[0]), axis=parameters["axes"])
        case "cumsum":
            terms = inputs[0].shape[parameters["axis"]]
            whole = jnp.sum(jnp.abs(inputs[0]), axis=parameters["axis"], keepdims=True)
            return (terms + FREEDOM) * jnp.broadcast_to(whole, value.shape)
        case "dot_general":
            (contracted, _), _ = parameters["dimension_numbers"]
            terms = 1
            for axis in contracted:
                terms = terms * inputs[0].shape[axis]
            sizes = jax.lax.dot_general(
                jnp.abs(inputs[0]), jnp.abs(inputs[1]), parameters["dimension_numbers"]
            )
            return (terms + FREEDOM) * sizes
        case "solve" | "det" | "log_abs_det" | "cholesky_factor":
            return _weight_of_system(name, inputs, value)
        case _:
            is_function = name in _FUNCTIONS
            return FORMULA * jnp.maximum(1, jnp.abs(value)) if is_function else (1 + FREEDOM) * jnp.abs(value)


def _weight_of_system(name: str, inputs: Sequence[Any], value: Any) -> Any:
    """As `bounded` has them, with the norms of rows and columns for the sizes of the factors."""
    a, *others = inputs
    terms = 3 * a.shape[-1] + FREEDOM
    if name == "cholesky_factor":
        inverse, size = jnp.abs(systems.inv(value)), jnp.abs(value) @ jnp.abs(value).swapaxes(-1, -2)
        return terms * (jnp.abs(value) @ jnp.tril(inverse @ size @ inverse.swapaxes(-1, -2)))
    rows, columns = (jnp.sqrt((a * a).sum(axis, keepdims=True)) for axis in (-1, -2))
    inverse, size = jnp.abs(systems.inv(a)), jnp.maximum(rows, columns)
    if name == "solve":
        answer = inverse @ jnp.abs(others[0])
        return terms * (inverse @ (size @ answer) + answer)
    in_log = terms * (inverse.swapaxes(-1, -2) * size).sum((-1, -2))
    return in_log * jnp.abs(value) if name == "det" else in_log + FORMULA * jnp.maximum(1, jnp.abs(value))


def _run(
    closed: core.ClosedJaxpr, arguments: Sequence[Any], deltas: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """The outputs with the deltas added where something is rounded, and the weights of these roundings."""
    jaxpr, weights = closed.jaxpr, list[Any]()
    values: dict[Any, Any] = dict(zip(jaxpr.invars, arguments, strict=True))
    values.update(zip(jaxpr.constvars, closed.consts, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation, own in zip(jaxpr.eqns, deltas, strict=True):
        inputs = [read(atom) for atom in equation.invars]
        inner, name = _inner(equation), equation.primitive.name
        if inner is not None:
            outputs, weight = _run(inner, inputs, own)
        elif name == "scan":
            outputs, weight = _run_scan(equation.params, inputs, own)
        else:
            found = equation.primitive.bind(*inputs, **equation.params)
            outputs = list(found) if equation.primitive.multiple_results else [found]
            weight = [
                None
                if delta is None
                else jax.lax.stop_gradient(_weight(name, inputs, outputs, equation.params, i))
                for i, delta in enumerate(own)
            ]
            outputs = [one if delta is None else one + delta for one, delta in zip(outputs, own, strict=True)]
        weights.append(weight)
        values.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars], weights


def _run_scan(parameters: Mapping[str, Any], inputs: Sequence[Any], deltas: Any) -> tuple[list[Any], Any]:
    """A loop, whose roundings go along with its turns."""
    body, constants, carried = parameters["jaxpr"], parameters["num_consts"], parameters["num_carry"]
    fixed, carry, sequences = (
        inputs[:constants],
        inputs[constants : constants + carried],
        inputs[constants + carried :],
    )

    def turn(state: Sequence[Any], entries: tuple[Any, Any]) -> tuple[list[Any], tuple[list[Any], Any]]:
        given, own = entries
        outputs, weights = _run(body, [*fixed, *state, *given], own)
        return outputs[:carried], (outputs[carried:], weights)

    last, (made, weights) = jax.lax.scan(
        turn, list(carry), (list(sequences), deltas), reverse=parameters["reverse"]
    )
    return [*last, *made], weights


def _sensitivities(known: Derivative) -> Program:
    """The program (inputs, cotangents, r for each gradient) to (Σ_v |∂(r·g)/∂v| w_v / u for each gradient)."""
    count = len(known.shapes)
    gradients = range(known.outputs, known.outputs + len(known.differentiable))

    def bound(*given: Any) -> tuple[Any, ...]:
        arguments, directions = given[:count], given[count:]
        zeros = _zeros(known.closed.jaxpr)
        outputs, pull, weights = jax.vjp(lambda d: _run(known.closed, arguments, d), zeros, has_aux=True)
        sizes: list[Any] = []
        for gradient, r in zip(gradients, directions, strict=True):
            cotangents = [jnp.zeros(one.shape, one.dtype) for one in outputs]
            cotangents[gradient] = r
            (slopes,) = pull(cotangents)
            pairs = zip(jax.tree.leaves(slopes), jax.tree.leaves(weights), strict=True)
            sizes.append(sum((jnp.sum(jnp.abs(slope) * weight) for slope, weight in pairs), jnp.zeros(())))
        return as_tuple(sizes)

    shapes = [known.shapes[place] for place in known.differentiable]
    return trace(bound, [*known.shapes, *shapes])


_PROGRAMS: dict[int, tuple[Derivative, Program]] = {}


def projections(
    known: Derivative,
    inputs: Sequence[Array],
    cotangents: Sequence[Array],
    sizes: Sizes,
    *,
    format: str = "float64",  # noqa: A002  (the word of the field)
    count: int = 8,
    seed: int = 0,
) -> list[Projection]:
    """For each differentiable input, `count` projections of its gradient with their bounds.

    Args:
        known: the derivative of a known operation.
        inputs: in its order.
        cotangents: in its order.
        sizes: of its axes.
        format: in which the subject computes.
        count: how many directions; a wrong gradient is missed with probability at most 2^-count.
        seed: of the directions.
    """
    if id(known) not in _PROGRAMS:
        _PROGRAMS[id(known)] = known, _sensitivities(known)
    program = _PROGRAMS[id(known)][1]
    exact, rng = floats.Floats(), np.random.default_rng(seed)
    given = [exact.number(array) for array in (*inputs, *cotangents)]
    gradients = exact.read(known.program, given, sizes)[known.outputs :]
    unit = FORMATS[format].unit + FORMATS["float64"].unit
    directions = [rng.choice([-1.0, 1.0], (count, *np.shape(gradient))) for gradient in gradients]
    errors = np.array(
        [exact.read(program, [*given, *(r[k] for r in directions)], sizes) for k in range(count)]
    )  # (count, gradients)
    found: list[Projection] = []
    for place, (gradient, r) in enumerate(zip(gradients, directions, strict=True)):
        value = np.tensordot(r, gradient, axes=np.ndim(gradient))
        error = SECOND_ORDER * unit * errors[:, place]
        # ⟨r, ĝ⟩ is added up by us, in float64
        error = error + np.size(gradient) * FORMATS["float64"].unit * np.abs(gradient).sum()
        found.append(Projection(r, value, error))
    return found
