"""The arrows of the architecture never turn back: what each package imports is read from its source."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What each package may import of ours, besides itself.
ARROWS = {
    "manual_backprop": set[str](),
    "reference": set[str](),
    "properties": {"manual_backprop", "reference"},
    "harness": {"manual_backprop", "reference", "properties"},
    "lesson": {"manual_backprop", "reference", "properties", "harness"},
    "benchmarks": {"manual_backprop", "reference", "properties", "harness", "lesson"},
    "conftest": {"harness"},
}
# The subject and the truth are pure: of others' libraries they import these alone. The rest import what they
# need, but for JAX, which belongs to the truth (and to measurements against it).
JAX = {"jax", "jaxlib"}
LIBRARIES = {"manual_backprop": {"numpy"}, "reference": {"numpy", "scipy", "flint"} | JAX}
MAY_IMPORT_JAX = {"reference", "benchmarks"}


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Each import of the source as (line, top-level name), wherever it stands.

    A relative import is left out: it can't leave its top-level package. A module that is imported by a name
    computed at run time can't be seen.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                modules = [module]
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in {
                "import_module",
                "__import__",
                "importorskip",
            }:
                modules = strings([*node.args, *(keyword.value for keyword in node.keywords)])[:1]
            case ast.Assign(targets=[ast.Name(id="pytest_plugins")], value=value):
                modules = strings(ast.walk(value))
            case _:
                continue
        for module in modules:
            if not module.startswith("."):
                yield node.lineno, module.split(".")[0]


def strings(nodes: Iterator[ast.AST] | list[ast.expr]) -> list[str]:
    """The string literals among the nodes."""
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def allowed(package: str, name: str) -> bool:
    """Whether a file of the package may import the top-level name."""
    if name in ARROWS:
        return name == package or name in ARROWS[package]
    if name in sys.stdlib_module_names:
        return True
    if package in LIBRARIES:
        return name in LIBRARIES[package]
    return name not in JAX or package in MAY_IMPORT_JAX


def arrows_that_turn_back(package: str, source: str) -> list[str]:
    """One sentence for each import that the package may not make."""
    return [
        f"line {line}: {package} imports {name}"
        for line, name in imports(source)
        if not allowed(package, name)
    ]


FILES = [
    *(path for package in ARROWS for path in sorted(ROOT.glob(f"{package}/**/*.py"))),
    *ROOT.glob("conftest.py"),
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_arrow_turns_back(path: Path) -> None:
    package = path.relative_to(ROOT).with_suffix("").parts[0]
    assert not arrows_that_turn_back(package, path.read_text(encoding="utf-8"))


def test_every_package_is_read() -> None:
    read = {path.relative_to(ROOT).parts[0] for path in FILES}
    assert {"manual_backprop", "reference", "properties", "harness"} <= read


@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="looks at a checkout")
def test_every_package_of_the_checkout_has_its_place() -> None:
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} <= ARROWS.keys()


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("manual_backprop", "import jax"),
        ("manual_backprop", "from reference import model"),
        ("manual_backprop", "import numpy as np, properties.comparison as c"),
        ("manual_backprop", "from scipy.special import expit"),
        ("reference", "import manual_backprop"),
        ("reference", "from manual_backprop.network import gradient"),
        ("reference", "import torch"),
        ("properties", "import jax.numpy as jnp"),
        ("properties", "from harness.plugin import subject"),
        ("properties", "def judge():\n    from harness import report"),
        ("properties", "if TYPE_CHECKING:\n    import harness"),
        ("properties", "import importlib\njax = importlib.import_module('jax.numpy')"),
        ("properties", "from importlib import import_module\nimport_module(name='harness.cli')"),
        ("properties", "__import__('harness')"),
        ("properties", "jax = pytest.importorskip('jax')"),
        ("properties", "pytest_plugins = ['pytester', 'harness.plugin']"),
        ("harness", "import lesson.story"),
        ("harness", "import jaxlib"),
        ("lesson", "from jax import grad"),
        ("lesson", "import benchmarks"),
        ("conftest", "from properties import strategies"),
        ("conftest", "pytest_plugins = 'properties.plugin'"),
    ],
)
def test_a_planted_arrow_that_turns_back_is_found(package: str, source: str) -> None:
    assert len(arrows_that_turn_back(package, source)) == 1


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("manual_backprop", "import numpy.typing\nfrom fractions import Fraction\nfrom .losses import mse"),
        ("manual_backprop", "import_module('.mistakes', package='manual_backprop')"),
        ("manual_backprop", "text = 'import jax'  # import jax"),
        ("reference", "import jax.numpy as jnp\nimport numpy as np\nimport math"),
        ("properties", "import hypothesis, pytest, reference.model, manual_backprop, properties.digits"),
        ("harness", "import click, rich, properties, reference, manual_backprop"),
        ("lesson", "import harness, properties, reference, manual_backprop"),
        ("benchmarks", "import jax, torch, lesson, harness, properties"),
        ("conftest", "import pytest\npytest_plugins = ['harness.plugin']"),
    ],
)
def test_an_arrow_of_the_picture_is_left_alone(package: str, source: str) -> None:
    assert arrows_that_turn_back(package, source) == []
