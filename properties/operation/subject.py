"""What an operation under test answers, from outside."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from properties.operation.cases import Caller
from properties.operation.programs import Traceable
from properties.search import Violation

Array = NDArray[Any]


class Pass(Protocol):
    """A forward pass that has been made."""

    @property
    def outputs(self) -> tuple[Array, ...]:
        """What it returned."""
        ...


class Gradients(Protocol):
    """A backward pass that has been made."""

    @property
    def gradients(self) -> dict[str, Array]:
        """The gradient of each differentiable input."""
        ...


class Subject(Caller, Traceable, Protocol):
    """An operation under test, from outside."""

    name: str

    def forward(
        self,
        inputs: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        *,
        layout: Any = "C",
        seed: int = 0,
    ) -> Any:
        """The outputs, with what the backward pass needs kept where it was made."""
        ...

    def forwards(
        self, places: Sequence[Mapping[str, Any]], options: Mapping[str, Any] | None = None
    ) -> Iterable[Sequence[Array] | Violation]:
        """The outputs at several places, or in their place why there are none; nothing is kept."""
        ...

    def backward(self, forward: Any, cotangents: Sequence[Array] | None = None, *, layout: Any = "C") -> Any:
        """The gradients for these cotangents, or once more for the same."""
        ...

    def renew(self) -> None:
        """Let the next call come to a process in which there was none before, if there are any."""
        ...

    def hessian(self, inputs: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> Any:
        """The second derivatives by pairs of inputs."""
        ...

    def hvp(
        self,
        inputs: Mapping[str, Any],
        tangents: Mapping[str, Array],
        options: Mapping[str, Any] | None = None,
    ) -> dict[str, Array]:
        """Second derivatives along tangents."""
        ...

    def stand_in(
        self, inputs: Mapping[str, Any], options: Mapping[str, Any] | None = None
    ) -> tuple[Array, ...]:
        """The function that the derivative is meant to be of."""
        ...
