"""What a file has, as it is told by the process that runs it: its constants, and its functions with their signatures.

This imports nothing that takes long: whoever starts and watches such a process needs no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Signature:
    """What a function of the subject takes."""

    positional: tuple[str, ...]  # parameters that can be passed by position, in order
    required: int  # how many of these have no default
    keywords: frozenset[str]  # parameters that can be passed by name
    required_keywords: frozenset[str]  # those that can be passed by name alone, and have no default
    any_positional: bool  # *args
    any_keyword: bool  # **kwargs


@dataclass(frozen=True)
class Function:
    """A function or a class of the subject, which stays where it is.

    `path` leads to it from the module: a name, and the keys of dicts and the indices of lists below it. `sort`
    is "function", "class", "custom_vjp" (of JAX) or "autograd" (a torch.autograd.Function, or its `apply`).
    The `methods` are those of a class.
    """

    path: tuple[str | int, ...]
    signature: Signature
    sort: str = "function"
    methods: Mapping[str, Signature] = field(default_factory=dict[str, Signature])

    @property
    def name(self) -> str:
        """What reports call it."""
        return ".".join(map(str, self.path))


@dataclass(frozen=True)
class Module:
    """What a file has: its constants in capitals as plain values, and its functions and classes by name."""

    name: str
    constants: Mapping[str, Any]
    functions: Mapping[str, Function]

    @property
    def stem(self) -> str:
        """Its name without folder and ending."""
        return self.name.replace("\\", "/").rpartition("/")[2].removesuffix(".py").rpartition(".")[2]
