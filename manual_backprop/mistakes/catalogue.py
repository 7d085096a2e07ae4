"""What the catalogue knows of a mistake: its wrong formula, its texts, and gradients that make it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, TypedDict, Unpack

from manual_backprop.activations import Activation, Array
from manual_backprop.losses import LOSSES
from manual_backprop.mistakes.rule import Rule
from manual_backprop.network import Parameters


class Names(TypedDict):
    """The keywords of a gradient."""

    hidden: str
    output: str
    loss: str
    reduction: str


class Gradient(Protocol):
    """A backward pass, right or wrong: arguments and result as `network.gradient`."""

    def __call__(
        self,
        parameters: Parameters,
        inputs: Array,
        targets: Array,
        *,
        hidden: str,
        output: str,
        loss: str,
        reduction: str,
    ) -> Parameters:
        """[(dW, db), ...] for each (W, b)."""
        ...


@dataclass(frozen=True)
class Setting:
    """The choices and sizes on which it depends whether a mistake shows.

    `sizes` is (fan_in, widths..., K); where it is not given, all sizes are taken to be different.
    """

    hidden: str
    output: str
    loss: str
    reduction: str
    layers: int
    samples: int
    outputs: int
    sizes: tuple[int, ...] = ()
    bias: bool = True
    dtype: str = "float64"

    @property
    def divides_by_samples(self) -> bool:
        """Whether the loss has a 1/N, and N is not 1."""
        return self.reduction == "mean" and self.samples > 1

    @property
    def squared(self) -> bool:
        """Whether the loss is a squared one, so that its error goes back through the output's activation."""
        return LOSSES[self.loss].output is None

    @property
    def upper_shapes(self) -> list[tuple[int, int]]:
        """(fan_in, fan_out) of every layer but the first: those that an error is passed down through."""
        different = (*range(self.outputs + self.layers, self.outputs, -1), self.outputs)
        return list(pairwise(self.sizes or different))[1:]


def setting_of(parameters: Parameters, inputs: Array, **names: Unpack[Names]) -> dict[str, Any]:
    """The keywords of `Mistake.applies` for a case and the keywords of its gradient."""
    sizes = (*(len(W) for W, _ in parameters), parameters[-1][0].shape[1])
    return {
        **names,
        "layers": len(parameters),
        "samples": len(inputs),
        "outputs": sizes[-1],
        "sizes": sizes,
        "bias": any(b is not None for _, b in parameters),
        "dtype": str(inputs.dtype),
    }


Where = Callable[[Setting], bool]


@dataclass(frozen=True)
class WrongGradient:
    """One way to write a mistake: called as `network.gradient` is, and `where` says where it differs from it.

    Calls are independent of each other and leave their arguments as they were, also where the mistake
    is one of state: then a call answers what the second of two calls of the mistaken function would.
    The answer has another shape than the parameters where the mistake is one of shape.
    """

    gradient: Gradient
    where: Where

    def __call__(
        self, parameters: Parameters, inputs: Array, targets: Array, **names: Unpack[Names]
    ) -> Parameters:
        """The wrong gradient of the case."""
        return self.gradient(parameters, inputs, targets, **names)

    def applies(self, **setting: Any) -> bool:
        """Whether it differs here from the right gradient; the keywords are the fields of `Setting`.

        Nothing is said to differ for a softmax of one unit, which is constant: there all gradients are 0.
        """
        here = Setting(**setting)
        return (here.output != "softmax" or here.outputs > 1) and self.where(here)


Variant = tuple[str, WrongGradient]


@dataclass(frozen=True)
class Mistake:
    """A known way to get a gradient wrong.

    Attributes:
        name: the key in `MISTAKES`.
        rule: the wrong formula.
        sentence: what to remember.
        hint: where to look, without the answer.
        answer: what to change in the code.
        variants: (label, wrong gradient) for each way to make the mistake that programs have.
    """

    name: str
    rule: str
    sentence: str
    hint: str
    answer: str
    variants: tuple[Variant, ...]

    def applies(self, **setting: Any) -> bool:
        """Whether any variant differs from the right gradient here; keywords as `WrongGradient.applies`."""
        return any(wrong.applies(**setting) for _, wrong in self.variants)


def variant(label: str, wrong: Gradient, where: Where) -> Variant:
    """A variant from the rule that it follows, or from its gradient as a whole."""
    return label, WrongGradient(wrong, where)


ThroughActivation = Callable[[Activation, Array, Array, Array], Array]


def through_activations(
    what: str, step: ThroughActivation, *, hidden: Iterable[str], output: Iterable[str]
) -> tuple[Variant, Variant, Variant]:
    """One wrong step in three places; `hidden` and `output` name the activations for which it is wrong."""

    def wrong_below(s: Setting) -> bool:
        return s.layers > 1 and s.hidden in hidden

    def wrong_above(s: Setting) -> bool:
        return s.squared and s.output in output

    return (
        variant(f"{what} in the hidden layers", Rule(through_hidden=step), wrong_below),
        variant(f"{what} at the output", Rule(through_output=step), wrong_above),
        variant(
            f"{what} in every layer",
            Rule(through_hidden=step, through_output=step),
            lambda s: wrong_below(s) and wrong_above(s),
        ),
    )
