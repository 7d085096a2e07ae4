"""Sensible programs that go as wrong as they may: every result rounded by u, up or down, or anything between.

An arithmetic to hold `reference.arithmetic.bounded` against. A sum of n terms errs in each term by n u, the worst that
any order of n - 1 additions can make of it to first order; a library's function by 4 units in the last place of 1.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from reference.arithmetic import floats
from reference.arithmetic.floats import Floats
from reference.arithmetic.reading import Rule

Array = np.ndarray[Any, Any]

LIBRARY = 8
"""u of a function: 4 units in the last place."""


class Rough(Floats):
    """Floats of unit roundoff u that are rounded at random, often as far as it goes."""

    name = "rough"

    def __init__(self, unit: float, rng: np.random.Generator) -> None:
        """The unit roundoff, and where the directions come from."""
        super().__init__()
        self.unit, self.rng, self.rules = unit, rng, RULES

    @property
    def key(self) -> Any:
        """Each is rounded in its own way."""
        return self.name, id(self)

    def directions(self, shape: tuple[int, ...]) -> Array:
        """All up, all down, each up or down, or anything between: in [-1, 1]."""
        way = self.rng.integers(4)
        if way < 2:  # noqa: PLR2004  (of the four ways)
            return np.full(shape, 2.0 * way - 1)
        return self.rng.choice([-1.0, 1.0], shape) if way == 2 else self.rng.uniform(-1, 1, shape)  # noqa: PLR2004

    def rounded(self, x: Any, times: float = 1, size: Any = None) -> Any:
        """A result after so many roundings, relative to a size, which is its own where none is said."""
        x = np.asarray(x)
        if x.dtype.kind != "f":
            return x
        return x + times * self.unit * self.directions(x.shape) * np.abs(x if size is None else size)


def _rounded(rule: Rule, times: float = 1) -> Rule:
    return lambda self, *inputs, **parameters: self.rounded(rule(self, *inputs, **parameters), times)


def _of_terms(rule: Rule, terms: Callable[..., int]) -> Rule:
    """A rule that adds: the first input's entries, rounded as often as there are terms."""

    def rough(self: Rough, x: Array, *others: Array, **parameters: Any) -> Any:
        rounded = self.rounded(x, terms(x, *others, **parameters))
        return rule(self, rounded, *others, **parameters)

    return rough


def _function(name: str) -> Rule:
    def rough(self: Rough, *inputs: Array) -> Array:
        y = floats.RULES[name](self, *inputs)
        return self.rounded(y, LIBRARY, np.maximum(1, np.abs(y)))

    return rough


def _along(x: Array, *, axes: Any = None, axis: Any = None, **_: Any) -> int:
    return int(np.prod([x.shape[one] for one in axes or (axis,)]))


def _one(*_: Any, **__: Any) -> int:
    return 1


def _contracted(a: Array, b: Array, *, dimension_numbers: Any) -> int:
    del b
    return int(np.prod([a.shape[axis] for axis in dimension_numbers[0][0]]))


def _rows(a: Array, *_: Array) -> int:
    return a.shape[-1]


def _in_patch(a: Array, b: Array, **parameters: Any) -> int:
    return floats.Convolution(a.shape, b.shape, **parameters).patches(a).shape[-1]


def _in_window(x: Array, *, window_dimensions: Any, **_: Any) -> int:
    del x
    return int(np.prod(window_dimensions))


FUNCTIONS = (
    *(
        "exp",
        "exp2",
        "expm1",
        "log",
        "log1p",
        "logistic",
        "tanh",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
    ),
    *("sinh", "cosh", "asinh", "acosh", "atanh", "erf", "erfc", "erf_inv", "lgamma", "digamma"),
)

RULES: Mapping[str, Rule] = {
    **floats.RULES,
    **{
        name: _rounded(floats.RULES[name])
        for name in ("add", "add_any", "sub", "mul", "div", "square", "sqrt", "rsqrt", "cbrt")
    },
    **{name: _function(name) for name in FUNCTIONS},
    "pow": _rounded(floats.RULES["pow"], LIBRARY),
    "integer_pow": lambda self, x, *, y: self.rounded(floats.RULES["integer_pow"](self, x, y=y), abs(y)),
    **{name: _of_terms(floats.RULES[name], _along) for name in ("reduce_sum", "cumsum")},
    **{name: _of_terms(floats.RULES[name], _one) for name in ("reduce_prod", "cumprod")},
    **{name: _rounded(floats.RULES[name]) for name in ("scatter-add", "select_and_scatter_add")},
    "dot_general": _of_terms(floats.RULES["dot_general"], _contracted),
    **{
        name: _of_terms(floats.RULES[name], _rows)
        for name in ("solve", "det", "log_abs_det", "cholesky_factor")
    },
    "conv_general_dilated": _of_terms(floats.RULES["conv_general_dilated"], _in_patch),
    "reduce_window_sum": _of_terms(floats.RULES["reduce_window_sum"], _in_window),
}
