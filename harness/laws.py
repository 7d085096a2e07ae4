"""Which files state the law, in the order in which a subject meets them."""

from importlib.resources import files
from pathlib import Path

LAWS = (
    "test_against_the_truth.py",
    "test_averaging.py",
    "test_chain_rule.py",
    "test_purity.py",
    "test_seed_problem.py",
)


def paths() -> list[str]:
    """The files themselves, wherever the package is installed."""
    folder = Path(str(files("properties")))
    return [str(folder / name) for name in LAWS]
