"""Slopes by complex steps, as far as a circle of complex numbers shows the function to be analytic."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reference.slopes.ground import DOUBLE, EXCESS, Direction, Floats, Ground
from reference.slopes.line import SAFETY, Found

_HALF = 8
"""Half of the places on a circle."""
_RADII = (2.0**-4, 2.0**-8)
_STEP = 2.0**-300


@dataclass(frozen=True)
class _Departure:
    """By how much a complex step along a number of one input may err, (outputs,), times its part of `lengths`."""

    error: Floats
    lengths: Floats
    gain: float


def by_complex_steps(ground: Ground, directions: Sequence[Direction], check: Found) -> list[Found] | None:
    """Im f(x + ihv) / h, without a subtraction (W. Squire and G. Trapp, SIAM Review 40, 1998).

    It errs by as much as f departs from an analytic function within rounding (`_departures`): an absolute value that
    does not show in f at all can't be held against a backward pass. Along n numbers with random signs such errors
    add up as √n.

    Returns:
        What was found for each direction; None where f is not analytic, takes no complex numbers, or `check`, by
        differences, says otherwise.
    """
    departures = _departures(ground) if ground.roundoff == DOUBLE and not check.jump.any() else None
    if departures is None:
        return None
    ours = _along(ground, check.direction, departures)
    apart = abs(ours.value - check.value) > ours.error + check.error
    if (apart | ~np.isfinite(ours.error))[ground.weights > 0].any():
        return None
    return [_along(ground, direction, departures) for direction in directions]


def _along(ground: Ground, direction: Direction, departures: Mapping[int, Sequence[_Departure]]) -> Found:
    (there,) = ground.moved_by_complex(direction, [1j * _STEP])
    value = np.imag(there) / _STEP
    nothing = np.zeros(value.size)
    error, gain = 8 * ground.roundoff * abs(value), nothing
    for number, part in direction.parts.items():
        some, root = departures[number], math.sqrt(np.count_nonzero(part))
        shares = np.array([[float((abs(part) / one.lengths).max()) * root] for one in some])
        errors = shares * np.array([one.error for one in some])  # (circles, outputs)
        error = error + errors.min(axis=0)
        gain = gain + (shares[:, 0] * [one.gain for one in some])[errors.argmin(axis=0)]
    known = np.isfinite(value) & np.isfinite(error)
    return Found(direction, np.where(known, value, 0), np.where(known, error, np.inf), nothing, gain, nothing)


def _departures(ground: Ground) -> dict[int, list[_Departure]] | None:
    """How far from analytic the outputs are by each input; None where more than noise, or without complex numbers.

    On a circle, f(x + r e^(iθ) v) = Σ_m c_m e^(imθ). Where f is analytic, c_m = 0 for m < 0, and c₀ = f(x). For z̄,
    Re z, |z| and the like c₋₁ / r is at least half of what they do to a complex step, or, of |z| about 0, c₀ / r; with
    a random v of no simple ratios such parts seldom cancel to less than an eighth. Of 16 places on a circle 9 are
    enough, as f(z̄) is the conjugate of f(z) (J. N. Lyness and C. B. Moler, *Numerical differentiation of analytic
    functions*, 1967). Noise counts for less where all numbers of an input move like its largest, unless f itself is
    larger there: then they move each like itself.
    """
    found: dict[int, list[_Departure]] = {}
    for number, own in ground.lengths.items():
        circles = [_departure(ground, number, np.full(own.shape, own.max()), _RADII[0])]
        for radius in _RADII:
            if circles[-1] is None or own.min() < own.max() / 4:
                circles.append(_departure(ground, number, own, radius))
            if circles[-1] is not None:
                break
        found[number] = [one for one in circles if one is not None]
        if not found[number]:
            return None
    return found


def _departure(ground: Ground, number: int, lengths: Floats, radius: float) -> _Departure | None:
    """Of one input on one circle; None where it is too long."""
    direction = ground.scattered({number: lengths}, generic=True)
    if not radius < min(ground.rooms(direction)) / 2:
        return None
    (first,) = ground.moved_by_complex(direction, [complex(radius)])
    if not np.isfinite(first[ground.weights > 0]).all():
        return None
    places = radius * np.exp(1j * np.pi * np.arange(1, _HALF + 1) / _HALF)
    half = np.array([first, *ground.moved_by_complex(direction, places.tolist())])
    whole = np.concatenate([half, half[-2:0:-1].conj()])  # (16, outputs)
    epsilon = np.maximum(ground.noise, ground.roundoff * abs(whole).max(axis=0))
    parts = np.fft.fft(whole, axis=0) / len(whole)
    departure = abs(np.concatenate([parts[_HALF + 1 :], parts[:1] - ground.value]))  # c₋₇ ... c₋₁, c₀ - f(x)
    if not (departure <= EXCESS * epsilon)[:, ground.weights > 0].all():
        return None
    gain = 2 * SAFETY / radius  # the parts of v are up to 2 times shorter than `lengths`
    return _Departure(EXCESS * gain * (departure.max(axis=0) + epsilon), lengths, gain)
