"""By which names the functions of an operation are found."""

from collections.abc import Mapping

from properties.functions import Function

ROLES: Mapping[str, tuple[str, ...]] = {
    "forward": ("forward",),
    "backward": ("backward",),
    "gradient": ("gradient", "grad"),
    "jacobian": ("jacobian", "jac"),
    "jvp": ("jvp",),
    "value_and_gradient": ("value_and_gradient", "value_and_grad"),
    "hessian": ("hessian", "hess"),
    "hvp": ("hvp",),
    "stand_in": ("stand_in",),
    "valid": ("valid",),
}
"""What a function of an operation is, and what people call it."""

IMPLEMENTATIONS = (
    *("naive", "fast", "slow", "loop", "loops", "vec", "vectorized", "vectorised", "im2col", "strides"),
    *("alt", "simple", "efficient", "numpy", "np", "v1", "v2", "1", "2"),
)
"""Words at the end of a function's name that say how it is written, and not what it computes."""

PAIRS = (("forward", "backward"), ("fwd", "bwd"), ("fprop", "bprop"))
"""What the two functions of a pair are called."""


def plain(name: str) -> str:
    """A name without what people write differently: layer_norm, LayerNorm, layernorm."""
    return name.replace("_", "").replace("-", "").replace(" ", "").lower()


def operation_names(name: str) -> tuple[str, ...]:
    """The name, and what is left without the words for its implementation: conv_naive, conv."""
    words = [word for word in name.split("_") if word]
    names = ["_".join(words)]
    while len(words) > 1 and words[-1] in IMPLEMENTATIONS:
        words.pop()
        names.append("_".join(words))
    return tuple(names)


def pairs_of(functions: Mapping[str, Function]) -> dict[str, tuple[Function, Function]]:
    """The pairs of a forward and a backward function, by the name of the operation.

    A backward without a forward of its own (`batchnorm_backward_alt`) belongs to that of the shorter name.
    """
    pairs: dict[str, tuple[Function, Function]] = {}
    for name, function in functions.items():
        words = name.split("_")
        for there, back in PAIRS:
            if words.count(back) != 1 or function.sort != "function":
                continue
            place = words.index(back)
            operation = "_".join(word for word in words if word != back)
            named = [*words[:place], there, *words[place + 1 :]]
            while (
                "_".join(named) not in functions and len(named) > place + 1 and named[-1] in IMPLEMENTATIONS
            ):
                named.pop()
            forward = functions.get("_".join(named))
            if forward is not None and forward.sort == "function":
                pairs[operation] = forward, function
    return pairs
