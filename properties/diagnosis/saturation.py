"""Cases whose activations are flat: how large z is, and where on the way there something begins to fail."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from properties.cases import Array, Case
from properties.comparison import named
from properties.diagnosis.probes import Interview, Probe
from reference.network import forward, layers_of

SATURATED = 16.0


def saturated(case: Case, factor: float) -> Case:
    """The same network with every z of the first layer `factor` times larger, and with larger weights above."""
    fmt = case.inputs.dtype.type
    parameters = [(W * fmt(factor), None if b is None else b * fmt(factor)) for W, b in case.parameters]
    return replace(case, parameters=parameters)


def curved(case: Case) -> list[Array]:
    """The z of the layers with a curved activation where there are any, else of all, (n, fan_out) each."""
    layers = layers_of(case.parameters, case.hidden, case.output)
    with np.errstate(all="ignore"):
        zs, _ = forward(np, layers, case.inputs)
    found = [z for z, layer in zip(zs, layers, strict=True) if layer.activation not in {"identity", "relu"}]
    return found or list(zs)


def largest_z(case: Case) -> float:
    """The largest |z| of these."""
    return max(float(abs(z).max(initial=0)) for z in curved(case))


def two_digits(number: float) -> str:
    """`380` for 382.1."""
    return f"{float(f'{number:.2g}'):g}"


Fails = Callable[[Probe], bool]


def boundary(
    interview: Interview, make: Callable[[float], Case], fails: Fails = lambda probe: probe.fails
) -> Probe | None:
    """The answer at the boundary, by bisection: make(0) is right, make(1) fails; None where this is not so.

    The arrays of `make(part)` change in geometric progression. Of the cases that fail, the answer is one
    whose numbers, and largest |z|, are within 2 % of those of one that does not: two digits are told.
    """

    def failing(part: float) -> Probe | None:
        probe = interview.ask(make(part))
        return probe if probe is not None and fails(probe) else None

    low, high, found = 0.0, 1.0, failing(1.0)
    if found is None or failing(low) is not None:
        return None
    while _apart(found.case, make(low)) > 1.02 and high - low > 2.0**-20:
        middle = (low + high) / 2
        probe = failing(middle)
        if probe is None:
            low = middle
        else:
            high, found = middle, probe
    return found


def _apart(one: Case, other: Case) -> float:
    """The largest factor between what two cases have in the same place: an array's size, or that of z."""
    pairs = zip(_sizes_of(one), _sizes_of(other), strict=True)
    return max((max(a / b, b / a) for a, b in pairs if a > 0 and b > 0), default=1.0)


def _sizes_of(case: Case) -> list[float]:
    arrays = [*named(case.parameters).values(), case.inputs, case.rows]
    return [largest_z(case), *(float(abs(array).max(initial=0)) for array in arrays)]


def saturating(case: Case, largest: float) -> Callable[[float], Case]:
    """The case with its parameters larger and larger, up to the factor `largest`."""
    return lambda part: saturated(case, largest**part)
