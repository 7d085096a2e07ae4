"""What is known of a mistake that people make on a page: the step that they replace, and what to say about it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Change = Callable[[Any], Any]


def passes(page: ModuleType, operation: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Forward and backward pass of an operation of the page, which are found by name where it has several."""
    prefix = f"{operation}_" if hasattr(page, "OPERATIONS") else ""
    return getattr(page, f"{prefix}forward"), getattr(page, f"{prefix}backward")


def as_it_is(array: Any) -> Any:
    """No change."""
    return array


@dataclass(frozen=True)
class Where:
    """What is asked of a case that is generic otherwise: sizes, options, inputs, cotangent.

    Attributes:
        sizes: of named axes.
        options: of the operation.
        inputs: by name, what becomes of an input that was drawn.
        cotangent: what becomes of a cotangent that was drawn; a tuple for several outputs.
    """

    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    inputs: Mapping[str, Change] = field(default_factory=dict[str, Change])
    cotangent: Change = as_it_is


@dataclass(frozen=True)
class Mistake:
    """The page with one step of its backward pass replaced.

    Attributes:
        page: the page.
        name: what the mistake is called; unique for its operation.
        step: the lines of the page, or a part of one, that are right; they stand on the page once.
        wrong: what people write in their place.
        sentence: what is wrong, and why.
        hint: a question that leads there.
        cure: what to write.
        hides: where it can't be seen, in words.
        hidden: the same as cases, one for each way to hide; empty where it hides nowhere.
        shown: what a case needs for it to be seen, if a generic one doesn't show it.
        of: which operation, on a page that has several.
    """

    page: ModuleType
    name: str
    step: str
    wrong: str
    sentence: str
    hint: str
    cure: str
    hides: str = "Nowhere."
    hidden: tuple[Where, ...] = ()
    shown: Where = field(default_factory=Where)
    of: str = ""

    @property
    def operation(self) -> str:
        """The operation in which it is made."""
        return self.of or self.page.__name__.rsplit(".", maxsplit=1)[-1]

    @cached_property
    def source(self) -> str:
        """The page as its author would have written it: a file that can be judged.

        Raises:
            ValueError: where the step is not on the page, or more than once.
        """
        page = inspect.getsource(self.page)
        if page.count(self.step) != 1:
            raise ValueError(f"{self.operation} has {self.step!r} {page.count(self.step)} times, not once.")
        return page.replace(self.step, self.wrong)

    @cached_property
    def backward(self) -> Callable[..., Any]:
        """The wrong backward pass, in the contract of the page and with the cache of its forward pass."""
        module = ModuleType(f"{self.page.__name__}_{self.name}")
        exec(compile(self.source, f"<{self.operation}: {self.name}>", "exec"), module.__dict__)  # noqa: S102 - our page
        return passes(module, self.operation)[1]


def ones(array: Array) -> Array:
    """An array of ones in its place."""
    return np.ones_like(array)


def zeros(array: Array) -> Array:
    """An array of zeros in its place."""
    return np.zeros_like(array)
