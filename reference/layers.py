"""Layers with cross terms as links of a chain, and losses that are other averages over the samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reference.arithmetic import complex_step
from reference.arithmetic.bounded import Bounding, Enclosed
from reference.chain import Array, Chain, Link, bounding
from reference.network_truth import ACTIVATIONS, AFFINE, TERMS
from reference.operations import OPERATIONS
from reference.operations.operation import Input, Operation, inputs

_NORM: Mapping[str, float] = {"eps": 1e-5}

LAYERS: Mapping[str, Link] = {
    "dense": AFFINE,
    **ACTIVATIONS,
    "dropout": Link(OPERATIONS["dropout"], {"rate": 0.5}),
    "residual": Link(OPERATIONS["residual"]),
    "tied": Link(OPERATIONS["tied_weights"]),
    **{name: Link(OPERATIONS[name], _NORM) for name in ("layer_norm", "rms_norm", "batch_norm")},
}
"""By the names of `manual_backprop.layers`."""

_CONTRASTIVE = Link(
    Operation(
        "contrastive", lambda x, y: (x @ x.T - y @ y.T) ** 2, inputs(x="n k", y=Input("n k", constant=True))
    )
)
"""(x_i · x_l - y_i · y_l)² of every pair of samples, (n, n)."""


def backward(name: str, dy: Array, x: Array, parameters: Sequence[Array]) -> list[Enclosed]:
    """dx and the gradient of each parameter that is learned, with their bounds, for a cotangent dy."""
    chain = _alone(name, x, parameters)
    (found,) = chain.pull(Bounding().input(dy, varies=False))
    return [one.enclosed for one in (chain.cotangents[0], *found)]


def jacobians(name: str, x: Array, parameters: Sequence[Array]) -> list[Enclosed]:
    """∂y[i, j]/∂a for x and for each parameter a that is learned, (n, units, *shape of a), with their bounds."""
    chain = _alone(name, x, parameters)
    shape = chain.values[-1].x.shape
    rows: list[list[Enclosed]] = []
    for one in np.eye(int(np.prod(shape))):
        (found,) = chain.pull(Bounding().input(one.reshape(shape), varies=False))
        rows.append([d.enclosed for d in (chain.cotangents[0], *found)])
    return [
        Enclosed(*(np.stack(part).reshape(*shape, *part[0].shape) for part in zip(*column, strict=True)))
        for column in zip(*rows, strict=True)
    ]


def complex_steps(name: str, dy: Array, x: Array, parameters: Sequence[Array]) -> list[Array]:
    """What `backward` tells, without bounds, from the forward pass alone: a complex step for every entry.

    Raises:
        UndecidedError: at a kink.
    """
    link = LAYERS[name]
    arrays = [x, *parameters]
    return complex_step.gradients(link.programs[0], arrays, [dy], link.sizes([one.shape for one in arrays]))


def _alone(name: str, x: Array, parameters: Sequence[Array]) -> Chain:
    reading, link = bounding(), LAYERS[name]
    kinds = list(link.operation.inputs.values())[1:]
    given = [
        reading.enter(one, varies=kind.differentiable) for one, kind in zip(parameters, kinds, strict=True)
    ]
    return Chain(reading, [(link, given)], reading.enter(x))


def gradient(
    names: Sequence[str],
    loss: str,
    parameters: Sequence[Sequence[Array]],
    batch: Array,
    targets: Array,
    weights: Array,
    penalised: Sequence[Sequence[bool]],
    strength: float = 0.0,
) -> list[tuple[Enclosed | None, ...]]:
    """The gradient of the loss of a batch, with its bounds, for each layer and parameter; None for one that is given.

    Args:
        names: of `LAYERS`; the softmax and the sigmoid belong to the entropies, and are left out.
        loss: "contrastive", or a name in `reference.network.LOSSES`.
        parameters: of each layer.
        batch: the inputs, (n, fan_in).
        targets: (n, K).
        weights: of the samples, (n,); they divide by their sum.
        penalised: which parameters pay the penalty λ/2 Σ W².
        strength: λ.
    """
    reading, share = bounding(), weights / weights.sum()
    links = [
        (LAYERS[name], [reading.enter(one) for one in arrays])
        for name, arrays in zip(names, parameters, strict=True)
    ]
    if loss == "contrastive":
        terms, cotangent = _CONTRASTIVE, np.outer(share, share)
    else:
        terms, factor = TERMS[loss]
        cotangent = share[:, None] * np.full(targets.shape, factor(targets.shape[1]))
    chain = Chain(
        reading,
        [*links, (terms, [reading.enter(targets, varies=False)])],
        reading.enter(batch, varies=False),
    )
    found = chain.pull(reading.enter(cotangent, varies=False))
    add = reading.arithmetic.rules["add"]
    gradients: list[tuple[Enclosed | None, ...]] = []
    for (link, _), arrays, pays, ds in zip(links, parameters, penalised, found, strict=False):
        places = dict(zip(link.operation.differentiable[1:], ds, strict=True))
        of_layer: list[Enclosed | None] = []
        for place, (array, pay) in enumerate(zip(arrays, pays, strict=True), start=1):
            d: Any = places.get(place)
            if d is not None and pay:
                d = add(reading.arithmetic, d, reading.enter(strength * array, varies=False))
            of_layer.append(None if d is None else d.enclosed)
        gradients.append(tuple(of_layer))
    return gradients


def weighted_mean(
    gradients: Sequence[Sequence[tuple[Enclosed | None, ...]]], weights: Sequence[float]
) -> list[tuple[Enclosed | None, ...]]:
    """Σ_p weight_p gradient_p / Σ_p weight_p, array by array; None stays None."""
    gamma, total = Bounding().gamma(len(weights)), sum(weights)

    def mean(arrays: tuple[Enclosed | None, ...]) -> Enclosed | None:
        kept = [one for one in arrays if one is not None]
        if not kept:
            return None

        def averaged(parts: Sequence[Array]) -> Any:
            return sum(weight / total * part for weight, part in zip(weights, parts, strict=True))

        size = averaged([abs(one.value) + one.error for one in kept])
        value, error, opened = (averaged(parts) for parts in zip(*kept, strict=True))
        return Enclosed(value, error + gamma * size, opened)

    return [tuple(map(mean, zip(*layer, strict=True))) for layer in zip(*gradients, strict=True)]
