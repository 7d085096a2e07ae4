"""A class on a cluster: the same reports as the local pool's? As many files a minute? And what if a node dies?"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import click

from benchmarks.determinism import without_seconds
from benchmarks.report import Table, json_option, show

SLOPES = {
    "np.tanh(u)": "1 - np.tanh(u) ** 2",
    "np.sin(u)": "np.cos(u)",
    "np.exp(u)": "np.exp(u)",
    "u**3": "3 * u**2",
    "np.log1p(u**2)": "2 * u / (1 + u**2)",
    "np.sqrt(1 + u**2)": "u / np.sqrt(1 + u**2)",
}
"""Functions of u = a·x, and their slopes."""

SUBMISSION = """
import numpy as np

OPERATION = {{"x": "n d"}}


def forward(x):
    u = {a} * x
    return {value}, u


def backward(dy, u):
    return {factor}dy * ({slope})
"""

WORKERS = 2
COLUMNS = ("where", "files", "seconds", "files a minute", "PASS", "FAIL", "the same report")


def submissions(folder: Path, count: int) -> None:
    """So many files, no two the same; every second one forgets that u = a·x has the slope a."""
    for number in range(count):
        value, slope = list(SLOPES.items())[number % len(SLOPES)]
        a = 1 + (number + 1) / 1024  # exact in binary, and never 1
        factor = "" if number // len(SLOPES) % 2 else f"{a} * "
        text = SUBMISSION.format(a=a, value=value, slope=slope, factor=factor)
        (folder / f"student{number:03}.py").write_text(text, "utf-8")


def command_for(folder: Path, report: Path, cases: int, where: list[str]) -> list[str]:
    """The command as a course calls it."""
    call = [sys.executable, "-m", "harness.cli", "verify", str(folder), "--cases", str(cases), "--seed", "1"]
    return [*call, "--json", str(report), *where]


@click.command("cluster")
@click.option("--files", default=300, show_default=True, help="So many, half of them wrong.")
@click.option("--cases", default=5, show_default=True, help="Cases for each property.")
@json_option
def command(path: Path | None, files: int, cases: int) -> None:
    """A class on a local cluster of Dask with two workers, beside the local pool with two jobs."""
    try:
        from distributed import Client, LocalCluster  # noqa: PLC0415  (an extra)
    except ImportError:
        raise click.UsageError("It needs Dask's distributed: pip install '.[cluster]'.") from None
    rows: list[tuple[Any, ...]] = []
    reports: list[Any] = []

    def measure(name: str, where: list[str], after: float = 0.0, kill: Any = None) -> float:
        report = scratch / "report.json"
        started = perf_counter()
        with subprocess.Popen(  # noqa: S603  (our own command)
            command_for(folder, report, cases, where), stdout=subprocess.DEVNULL
        ) as running:
            if kill is not None:
                sleep(after)
                kill()
        seconds = perf_counter() - started
        reports.append(without_seconds(json.loads(report.read_text("utf-8"))))
        verdicts = Counter(one["verdict"] for one in reports[-1])
        found = len(reports[-1])
        same = "the measure" if len(reports) == 1 else "yes" if reports[-1] == reports[0] else "NO"
        rows.append((name, found, seconds, 60 * found / seconds, verdicts["PASS"], verdicts["FAIL"], same))
        return seconds if running.returncode == 1 else float("nan")

    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        folder = scratch / "submissions"
        folder.mkdir()
        submissions(folder, files)
        pool = measure("the local pool, two jobs", ["--jobs", str(WORKERS)])
        local: Any = LocalCluster  # whose annotations leave out that there may be no dashboard
        with (
            local(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            where = ["--dask", cluster.scheduler_address]
            dask = measure("a cluster of two workers", where)

            def kill_a_worker() -> None:
                found: Any = client.run(os.getpid)
                os.kill(next(iter(found.values())), signal.SIGKILL)

            measure("the same, one killed in the middle", where, dask / 2, kill_a_worker)
    note = f"throughput of the cluster: {pool / dask:.2f} of the pool's; the goal: at least 0.9, and the same report"
    show("cluster", [Table(f"{files} files, {cases} cases for each property", COLUMNS, rows, note)], path)
