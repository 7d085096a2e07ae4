"""A cluster judges as the local pool does, and loses nothing where a node dies."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness import node, parcels
from harness.cli import main
from harness.cluster import KILLS, Cluster, ClusterError
from harness.outcomes import Outcome, Request
from harness.test_examples import verify
from harness.test_right_programs import without_seconds
from properties.search import Effort, Verdict

Client: Any = pytest.importorskip("distributed", reason="Dask's distributed is the extra `cluster`").Client

SCHEDULER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""

RIGHT = """
import numpy as np
OPERATION = {"x": "n d"}
def forward(x):
    return np.tanh(x), x
def backward(dy, x):
    return dy * (1 - np.tanh(x) ** 2)
"""
WRONG = RIGHT.replace("1 - np.tanh(x) ** 2", "1 - np.tanh(x)")
TWO = """
import numpy as np
OPERATIONS = {"sine": {"x": "n"}, "cosine": {"x": "n"}}
def sine_forward(x):
    return np.sin(x), x
def sine_backward(dy, x):
    return dy * np.cos(x)
def cosine_forward(x):
    return np.cos(x), x
def cosine_backward(dy, x):
    return dy * np.sin(x)
"""
WITH_NEIGHBOURS = """
import numpy as np
from parts.slope import slope
OPERATION = {"x": "n"}
FACTOR = float(open("factor.txt").read())
def forward(x):
    return FACTOR * np.sin(x), x
def backward(dy, x):
    return FACTOR * dy * slope(x)
"""
KILLER = """
import os, signal, time
def parent(process):
    return int(open(f"/proc/{process}/stat").read().rpartition(")")[2].split()[1])
process = os.getpid()
for _ in ("supervisor", "judge", "process of the node", "worker of Dask"):
    process = parent(process)
os.kill(process, signal.SIGKILL)
time.sleep(100)
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two workers, each a process with one thread, as `dask worker` starts them."""
    script = tmp_path_factory.mktemp("cluster") / "scheduler.py"
    script.write_text(SCHEDULER, "utf-8")
    with subprocess.Popen(  # noqa: S603  (our own script)
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def write(folder: Path, **texts: str) -> list[Path]:
    """Files by their names."""
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text), "utf-8")
    return [folder / f"{name}.py" for name in texts]


def wait_until(holds: Callable[[], object]) -> None:
    """Wait until something holds, for a minute at most."""
    for _ in range(600):
        if holds():
            return
        threading.Event().wait(0.1)
    pytest.fail("it never came to hold")


def test_a_cluster_writes_the_report_of_the_local_pool_but_for_seconds(address: str, tmp_path: Path) -> None:
    write(tmp_path, wrong=WRONG, two=TWO, with_neighbours=WITH_NEIGHBOURS, broken="def (")
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts", slope="import numpy as np\ndef slope(x):\n    return np.cos(x)\n")
    (tmp_path / "factor.txt").write_text("2.5", "utf-8")
    reports: list[Any] = []
    for where in ([], ["--dask", address]):
        folder = tmp_path / f"results{len(where)}"
        folder.mkdir()
        status, found, output = verify(
            tmp_path, "--quick", "--cases", "2", "--seed", "1", *where, folder=folder
        )
        assert status == 1, output
        reports.append((without_seconds(found), [line.split("  ")[:2] for line in output.splitlines()]))
    for here, there in zip(*(found for found, _ in reports), strict=True):
        assert here == there
    assert reports[0][1] == reports[1][1]
    assert [one["verdict"] for one in reports[0][0]] == ["ERROR", "PASS", "FAIL", "PASS", "FAIL"]
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_node_that_dies_loses_nothing_and_nothing_is_judged_twice(address: str, tmp_path: Path) -> None:
    texts = {f"f{number}": (RIGHT, WRONG)[number % 2] for number in range(6)}
    requests = [Request(str(path), Effort(3, 1), operation="?") for path in write(tmp_path, **texts)]
    done: list[Outcome] = []

    def kill_a_node(outcome: Outcome) -> None:
        done.append(outcome)
        if len(done) == 1:
            busy = [worker for worker, tasks in client.processing().items() if tasks]
            os.kill(client.run(os.getpid)[busy[0]], signal.SIGKILL)

    with Client(address, set_as_default=False) as client, Cluster(address) as cluster:
        outcomes = cluster.judge_all(requests, kill_a_node)
    assert [one.subject for one in outcomes] == [one.path for one in requests]
    assert [one.verdict for one in outcomes] == [Verdict.PASS, Verdict.FAIL] * 3
    assert sorted(one.subject for one in done) == [one.path for one in requests]


@pytest.mark.skipif(sys.platform != "linux", reason="the file finds the node in /proc")
def test_a_file_that_kills_its_node_twice_fails_and_the_others_go_on(address: str, tmp_path: Path) -> None:
    paths = write(tmp_path, killer=KILLER, right=RIGHT, wrong=WRONG)
    requests = [Request(str(path), Effort(3, 1), operation="?") for path in paths]
    with Cluster(address, sandbox="none") as cluster:
        outcomes = cluster.judge_all(requests, lambda _: None)
    assert [one.verdict for one in outcomes] == [Verdict.FAIL, Verdict.PASS, Verdict.FAIL]
    assert outcomes[0].message == f"{paths[0]} {KILLS}"


def test_what_nobody_waits_for_any_more_ends_on_its_node(address: str, tmp_path: Path) -> None:
    (sleeper,) = write(
        tmp_path, sleeper=f"open({str(tmp_path / 'begun')!r}, 'w')\nimport time\ntime.sleep(1000)\n"
    )
    with Cluster(address, sandbox="none") as cluster:
        cluster.submit(Request(str(sleeper), Effort(3, 1)))
        wait_until((tmp_path / "begun").exists)
    with Client(address, set_as_default=False) as client:
        wait_until(lambda: not any("harness.node" in str(names) for names in client.run(_children).values()))


def _children() -> list[str]:
    import psutil  # noqa: PLC0415  (which distributed needs)

    return [" ".join(one.cmdline()) for one in psutil.Process().children()]


def test_another_version_on_a_node_is_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = node.installed()
    monkeypatch.setattr(node, "installed", lambda: "99.0")
    with pytest.raises(
        ClusterError, match=f"has manual-backprop {here}, and you have 99.0: install the same"
    ):
        Cluster(address)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dask", "nowhere"], "No scheduler of Dask can be reached at nowhere (missing port number"),
        (["--dask", ""], "No scheduler of Dask can be reached at "),
        (["--dask", "gopher://here:70"], "unknown address scheme 'gopher'"),
        (["--dask", "localhost:8786", "--jobs", "2"], "--jobs is for this machine"),
    ],
)
def test_a_wrong_call_gets_one_sentence(arguments: list[str], words: str, tmp_path: Path) -> None:
    (mine,) = write(tmp_path, mine=RIGHT)
    done = CliRunner().invoke(main, ["verify", str(mine), *arguments])
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_without_the_extra_the_command_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    (mine,) = write(tmp_path, mine=RIGHT)
    done = CliRunner().invoke(main, ["verify", str(mine), "--dask", "localhost:8786"])
    assert done.exit_code == 2
    assert "pip install 'manual-backprop[cluster]'" in done.output


def test_a_node_without_the_sandbox_that_was_asked_for_is_told(address: str) -> None:
    with pytest.raises(ClusterError, match="can't judge: The interpreter no-such-python can't be started"):
        Cluster(address, python="no-such-python")


# --- what travels, and who waits for whom --------------------------------------------------------------------


def test_a_folder_travels_with_what_is_in_it_but_hidden_and_compiled_files(tmp_path: Path) -> None:
    for name in ("a.py", "data/x.npz", "data/deep/y.txt", ".git/config", ".secret", "__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, "utf-8")
    (tmp_path / "data" / "back").symlink_to(tmp_path)
    parcel = parcels.pack(tmp_path)
    assert sorted(parcel.files) == ["a.py", "data/deep/y.txt", "data/x.npz"]
    parcel.unpack(tmp_path / "there")
    assert (tmp_path / "there/data/deep/y.txt").read_text("utf-8") == "data/deep/y.txt"
    assert parcels.pack(tmp_path / "there") == parcel


def test_a_folder_that_is_too_large_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, a=RIGHT)
    monkeypatch.setattr(parcels, "LARGEST", 10)
    with pytest.raises(
        parcels.TooLargeError, match="put the files that are to be judged into one of their own"
    ):
        parcels.pack(tmp_path)


def test_a_module_travels_with_the_current_folder_where_it_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, mine=RIGHT)
    (tmp_path / "course").mkdir()
    assert [parcels.folder_of(name) for name in ("mine", "mine.py", "course.week3")] == [tmp_path] * 3
    assert parcels.folder_of("json") is None


def test_who_is_alone_waits_for_the_others_and_lets_nobody_in() -> None:
    turns, order = node._Turns(), list[str]()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    waits = threading.Event()

    def be_alone() -> None:
        waits.set()
        with turns.alone():
            order.append("alone")

    def be_beside() -> None:
        with turns.beside_others():
            order.append("beside")

    with turns.beside_others():
        alone = threading.Thread(target=be_alone)
        alone.start()
        waits.wait()
        while not turns._entrance.locked():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            threading.Event().wait(0.001)
        beside = threading.Thread(target=be_beside)
        beside.start()
        order.append("first")
    alone.join()
    beside.join()
    assert order == ["first", "alone", "beside"]
