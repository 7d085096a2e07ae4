"""Does a seed give the same answer on every machine? One file of each verdict: alone, in a folder, beside others."""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks.report import Table, json_option, show

DENSE = """import numpy as np
PROBLEM = {{"layers": 1, "output": "{output}"}}

def gradient(parameters, inputs, targets):
    ((W, b),) = parameters
    z = inputs @ W + b
    with np.errstate(all="ignore"):
        o = {activation}
        dz = 2 * (o - targets) / targets.size * {slope}
    return [(inputs.T @ dz, dz.sum(axis=0))]
"""
OPERATION = """import numpy as np
OPERATION = {{"x": "n d", "w": "d"}}

def forward(x, w):
    return np.exp(-(x**2)) @ w, (x, w)

def backward(dy, cache):
    x, w = cache
    e = np.exp(-(x**2))
    return {dx}, e.T @ dy
"""
FILES = {
    "PASS": DENSE.format(output="tanh", activation="np.tanh(z)", slope="(1 - o**2)"),
    "FAIL": DENSE.format(output="tanh", activation="np.tanh(z)", slope="(1 - o)"),
    "UNSTABLE": DENSE.format(output="tanh", activation="np.tanh(z)", slope="(1 - o**2 + 0 * np.arctanh(o))"),
    "ERROR": "PROBLEM = {'hiden': 'relu'}\ndef gradient(parameters, inputs, targets): ...\n",
    "PASS_operation": OPERATION.format(dx="-2 * x * e * np.outer(dy, w)"),
    "FAIL_operation": OPERATION.format(dx="-2 * e * np.outer(dy, w)"),
}
"""A network of each verdict that a file can be given on purpose, and its operations."""


@contextmanager
def busy(processes: int) -> Generator[None]:
    """So many loops that leave the processor no rest."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def verified(paths: list[Path], cases: int, jobs: int) -> dict[str, Any]:
    """What `verify` writes of each of the files, but for the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        options = ["--cases", str(cases), "--seed", "1", "--jobs", str(jobs), "--json", str(results)]
        command = [sys.executable, "-m", "harness.cli", "verify", *map(str, paths), *options]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
        if not results.exists():
            raise click.ClickException(f"verify wrote no results: {done.stdout}{done.stderr}")
        found = json.loads(results.read_text("utf-8"))
    return {Path(one["subject"]).stem: without_seconds(one) for one in found}


def without_seconds(found: Any) -> Any:
    """What was found, without how long it took."""
    match found:
        case dict():
            return {key: without_seconds(value) for key, value in found.items() if key != "seconds"}
        case list():
            return [without_seconds(value) for value in found]
        case _:
            return found


def places_that_differ(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two results are not the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(f"{place}.{key}", one.get(key), other.get(key)) for key in one | other]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{place}[{number}]", *pair) for number, pair in enumerate(zip(one, other, strict=True))]
    else:
        return [] if one == other else [place]
    return [found for name, mine, theirs in pairs for found in places_that_differ(mine, theirs, name)]


@click.command("determinism")
@click.option("--times", default=10, show_default=True, help="Runs of each kind.")
@click.option("--cases", default=100, show_default=True, help="Cases for each property.")
@click.option("--loops", default=8, show_default=True, help="Busy loops beside the last kind of run.")
@json_option
def command(times: int, cases: int, loops: int, path: Path | None) -> None:
    """The same seed, several times: everything but the seconds has to be the same."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{verdict}.py" for verdict in FILES]
        for file, source in zip(paths, FILES.values(), strict=True):
            file.write_text(source, "utf-8")
        first = {file.stem: verified([file], cases, 1)[file.stem] for file in paths}
        differ = [
            f"{name} is {one['verdict']}"
            for name, one in first.items()
            if one["verdict"] != name.removesuffix("_operation")
        ]
        counts = Counter[str]()
        for _ in range(times):
            runs = {"alone": {file.stem: verified([file], cases, 1)[file.stem] for file in paths}}
            runs["in a folder"] = verified(paths, cases, 4)
            with busy(loops):
                runs["beside busy loops"] = verified(paths, cases, 4)
            for way, found in runs.items():
                places = places_that_differ(first, found)
                differ += [f"{way}: {place.removeprefix('.')}" for place in places]
                lost = [one["message"] for one in found.values() if not one["again"]]
                differ += [f"{way}: {message}" for message in lost]  # of a process that the machine ended
                counts[way] += not places
    rows = [(way, times, counts[way]) for way in ("alone", "in a folder", "beside busy loops")]
    show("determinism", [Table("Runs with one seed", ("", "runs", "the same"), rows)], path)
    if differ:
        raise click.ClickException("; ".join(dict.fromkeys(differ)))
