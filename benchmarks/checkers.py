"""The gradient checkers that are compared, each called as its documentation says.

What a checker is given is the same for all: a gradient written in NumPy, with the case that it is checked
on. The loss is `manual_backprop.loss`, so that a wrong gradient is the only fault. Each checker is imported
where it is called, so that `python -m benchmarks.checkers NAME SIZES` times one alone from a cold start.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

import manual_backprop
from manual_backprop.activations import Array
from manual_backprop.network import Names, Parameters

SIZES = {"6-4-3": ((6, 4, 3), 5), "128-64-10": ((128, 64, 10), 20)}
"""(fan_in, width, K) and the samples n."""
SEED_PROBLEM = Names(hidden="tanh", output="identity", loss="mse", reduction="mean")


@dataclass(frozen=True)
class Subject:
    """A gradient and the case to check it on; `gradient_of` is called as `manual_backprop.gradient` is.

    A checker differentiates the loss as a function of `arrays`, W1, b1, W2, b2.
    """

    gradient_of: Callable[..., Parameters]
    parameters: Parameters
    inputs: Array
    targets: Array
    names: Names

    @property
    def arrays(self) -> list[Any]:
        """Every W and b."""
        return [array for pair in self.parameters for array in pair]

    def loss(self, *arrays: Any) -> Array:
        """The loss at other parameters."""
        return manual_backprop.loss(_pairs(arrays), self.inputs, self.targets, **self.names)

    def gradient(self, *arrays: Any) -> list[Any]:
        """The gradient under test, an array for each of `arrays`."""
        found = self.gradient_of(_pairs(arrays), self.inputs, self.targets, **self.names)
        return [array for pair in found for array in pair]


def _pairs(arrays: Any) -> Parameters:
    arrays = [np.asarray(array) for array in arrays]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def subject(
    gradient_of: Callable[..., Parameters],
    sizes: str,
    names: Names = SEED_PROBLEM,
    dtype: Any = np.float64,
    scale: float = 1.0,
) -> Subject:
    """A gradient with its case: entries of size 1, rows of probabilities as targets, inputs times `scale`."""
    units, samples = SIZES[sizes]
    random = np.random.default_rng(0)
    parameters: Parameters = [
        (
            (random.standard_normal((m, k)) / np.sqrt(m)).astype(dtype),
            random.uniform(-0.5, 0.5, k).astype(dtype),
        )
        for m, k in pairwise(units)
    ]
    parameters[0] = (parameters[0][0] / dtype(scale), parameters[0][1])
    inputs = (scale * random.standard_normal((samples, units[0]))).astype(dtype)  # (n, fan_in)
    targets = random.dirichlet(np.ones(units[-1]), samples).astype(dtype)  # (n, K)
    return Subject(gradient_of, parameters, inputs, targets, names)


@dataclass(frozen=True)
class Answer:
    """What a checker says: nothing for a gradient that it accepts, and the mistakes that it names."""

    message: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checker:
    """A checker, and the module that it needs."""

    check: Callable[[Subject], Answer]
    module: str

    @property
    def installed(self) -> bool:
        """Whether it can be called here."""
        return find_spec(self.module) is not None


def _raised(check: Callable[[], object]) -> Answer:
    """The message of what a checker raises; whatever it is, the gradient does not pass."""
    try:
        check()
    except Exception as error:  # noqa: BLE001  (each checker has exceptions of its own)
        return Answer(str(error) or repr(error))
    return Answer()


def manual_backprop_judges(subject: Subject) -> Answer:
    """The judge of `manual-backprop verify` on the same one case, and the diagnosis where it fails."""
    from benchmarks.mistakes import Accused  # noqa: PLC0415
    from manual_backprop.mistakes import WrongGradient  # noqa: PLC0415
    from properties.cases import Case  # noqa: PLC0415
    from properties.checks import check_gradient  # noqa: PLC0415
    from properties.diagnosis.answer import diagnose  # noqa: PLC0415
    from properties.problem import Claim  # noqa: PLC0415
    from properties.search import Violation  # noqa: PLC0415

    case = Case(subject.parameters, subject.inputs, subject.targets, **subject.names)
    claim = Claim(
        **{key: (value,) for key, value in subject.names.items()},
        **dict(zip(("inputs", "width", "outputs"), ((size,) for size in case.sizes), strict=True)),
        dtype=(str(case.inputs.dtype),),
    )
    accused = Accused(WrongGradient(subject.gradient_of, bool), (claim,))
    try:
        check_gradient(accused.gradient(case), case)
    except Violation as violation:
        return Answer(str(violation), diagnose(accused, case).mistakes)
    return Answer()


def torch_gradcheck(subject: Subject, *, fast: bool) -> Answer:
    """`torch.autograd.gradcheck` of a `torch.autograd.Function`."""
    torch = import_module("torch")

    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arrays: Any) -> Any:
            ctx.save_for_backward(*arrays)
            return arrays[0].new_tensor(subject.loss(*(array.detach() for array in arrays)))

        @staticmethod
        def backward(ctx: Any, dL: Any) -> Any:
            gradient = subject.gradient(*(array.detach() for array in ctx.saved_tensors))
            return tuple(dL * torch.as_tensor(array) for array in gradient)

    arrays = [torch.tensor(array, requires_grad=True) for array in subject.arrays]
    return _raised(lambda: torch.autograd.gradcheck(Loss.apply, arrays, fast_mode=fast))


def jax_check_grads(subject: Subject) -> Answer:
    """`jax.test_util.check_grads` of a `jax.custom_vjp`, which has reverse mode of first order alone."""
    jax, test_util = import_module("jax"), import_module("jax.test_util")
    jax.config.update("jax_enable_x64", True)  # noqa: FBT003  (takes its value by position)
    loss = jax.custom_vjp(subject.loss)

    def forward(*arrays: Any) -> Any:
        return subject.loss(*arrays), arrays

    def backward(arrays: Any, dL: Any) -> Any:
        return tuple(dL * jax.numpy.asarray(array) for array in subject.gradient(*arrays))

    loss.defvjp(forward, backward)
    return _raised(lambda: test_util.check_grads(loss, subject.arrays, order=1, modes=["rev"]))


def autograd_check_grads(subject: Subject) -> Answer:
    """`autograd.test_util.check_grads` of an `autograd.extend.primitive`, as for JAX."""
    extend, test_util = import_module("autograd.extend"), import_module("autograd.test_util")
    loss = extend.primitive(subject.loss)

    def backward(argnums: Any, answer: Any, arrays: Any, kwargs: Any) -> Any:
        del answer, kwargs
        gradient = subject.gradient(*arrays)

        def product(dL: Any) -> list[Any]:
            return [dL * gradient[i] for i in argnums]

        return product

    extend.defvjp_argnums(loss, backward)
    np.random.seed(0)  # noqa: NPY002  (it draws its direction from the global generator)
    every = tuple(range(len(subject.arrays)))  # it checks the first argument alone, unless told which
    return _raised(lambda: test_util.check_grads(loss, every, modes=["rev"], order=1)(*subject.arrays))


def relative_errors(subject: Subject, *, limit: float, step: float = 1e-5) -> Answer:
    """The loop over all weights of Stanford's CS231n: |a - d| / max(|a|, |d|) for a central difference d.

    The course's notes on gradient checks call a relative error above 1e-2 probably wrong, and one of 1e-4
    usually okay where the loss has kinks, but too high where it has none; 1e-7 and less is a reason to be happy:
    https://cs231n.github.io/neural-networks-3/#gradcheck.
    """
    arrays = [array.copy() for array in subject.arrays]
    for array, given in zip(arrays, subject.gradient(*arrays), strict=True):
        if np.shape(given) != array.shape:
            return Answer(f"the gradient has shape {np.shape(given)}, the parameter {array.shape}")
        for place, derivative in np.ndenumerate(given):
            kept = array[place]
            array[place] = kept + step
            above = subject.loss(*arrays)
            array[place] = kept - step
            difference = (above - subject.loss(*arrays)) / (2 * step)
            array[place] = kept
            largest = max(abs(derivative), abs(difference))
            if largest and not abs(derivative - difference) / largest <= limit:
                return Answer(f"{place}: {derivative} and numerically {difference}")
    return Answer()


CHECKERS = {
    "manual-backprop": Checker(manual_backprop_judges, "manual_backprop"),
    "torch gradcheck": Checker(lambda subject: torch_gradcheck(subject, fast=False), "torch"),
    "torch gradcheck, fast mode": Checker(lambda subject: torch_gradcheck(subject, fast=True), "torch"),
    "jax check_grads": Checker(jax_check_grads, "jax"),
    "autograd check_grads": Checker(autograd_check_grads, "autograd"),
    "CS231n loop, 1e-4": Checker(lambda subject: relative_errors(subject, limit=1e-4), "numpy"),
    "CS231n loop, 1e-7": Checker(lambda subject: relative_errors(subject, limit=1e-7), "numpy"),
}

if __name__ == "__main__":
    print(CHECKERS[sys.argv[1]].check(subject(manual_backprop.gradient, sys.argv[2])))  # noqa: T201
