"""What files have done to be judged as they are not, or to outlive it, each as the input of a test."""

import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import click
import pytest
from click.testing import CliRunner
from hypothesis import strategies as st

from harness import pool
from harness.cli import INTERRUPTED, main
from harness.isolation import Sandbox
from harness.judging import conclude, quoted, verify
from harness.outcomes import Outcome, Request
from harness.reports import Reports
from harness.scratch import scratch
from harness.test_isolation import MARKER, Subject, left, mark, needs, sandbox, subject, wait_until
from harness.verification import Verification
from properties.search import Effort, Kind, Record, Verdict, search
from properties.subjects import Bundled

__all__ = ["mark", "sandbox", "subject"]  # fixtures

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
takes_the_machine = pytest.mark.alone
"""For files that fork until no process can be started any more, and for what looks at the whole machine."""

COMMAND = Path(sys.executable).with_name("manual-backprop")
RIGHT = """
PROBLEM = {"layers": 1, "loss": "half_sse"}
def gradient(parameters, inputs, targets):
    ((W, b),) = parameters
    d = (inputs @ W + b - targets) / len(inputs)
    return [(inputs.T @ d, d.sum(axis=0))]
"""
NONE = "\ndef gradient(parameters, inputs, targets): return None\n"
WEAK = ["setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all"]
"""What starts a command without the rights of root. Its user stays root, since nobody else may be able to start this
Python; for root alone, the kernel asks for CAP_SETFCAP where a user namespace has the same user."""


def unprivileged(command: list[str]) -> list[str]:
    """The command, without the rights of root."""
    if os.geteuid() != 0:
        return command
    if shutil.which(WEAK[0]) is None:
        pytest.skip("there is no setpriv to run a command without the rights of root")
    return [*WEAK, *command]


def call(*arguments: object, folder: Path, **more: Any) -> Any:
    """Run the command, from a folder."""
    line = [str(COMMAND), "verify", "--cases", "2", "--seed", "1", *map(str, arguments)]
    return subprocess.run(  # noqa: S603  (our own command)
        line, capture_output=True, text=True, check=False, cwd=folder, timeout=300, **more
    )


JUDGE = """
import json, sys
from harness.isolation import IsolatedModule
with IsolatedModule(sys.argv[1], sandbox=sys.argv[2]) as module:
    print(json.dumps(module.description.problem))
"""


def problem_of(path: Path, sandbox: Sandbox, prefix: Callable[[list[str]], list[str]]) -> list[Any]:
    """The PROBLEM of a file whose judge is a process of its own, which runs as the prefix says."""
    line = prefix([sys.executable, "-P", "-c", JUDGE, str(path), sandbox])
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=path.parent)  # noqa: S603  (as above)
    if "isn't available here" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def judges() -> Iterator[pool.Judges]:
    """One judge for many tests, so that it is started once."""
    with pool.Judges(1) as judges:
        yield judges


def judged(judges: pool.Judges, *paths: Path, sandbox: Sandbox = "none") -> list[Outcome]:
    """The outcomes of the files."""
    return judges.judge_all(
        [Request(str(path), Effort(1, 1), sandbox=sandbox) for path in paths], lambda _: None
    )


def write(path: Path, text: str) -> Path:
    """The path, with the text in it."""
    path.write_text(textwrap.dedent(text), "utf-8")
    return path


# 1. What lies in the current folder


def test_nothing_in_the_current_folder_is_imported_in_place_of_what_we_need(
    tmp_path: Path, mark: str
) -> None:
    plant = f"open({str(tmp_path / 'planted')!r}, 'a').write(__name__ + ' ')\nraise SystemExit('planted')\n"
    for name in {*sys.stdlib_module_names, *importlib.metadata.packages_distributions()}:
        if name.isidentifier() and not (tmp_path / f"{name}.py").exists():
            write(tmp_path / f"{name}.py", plant)
    for name in ("one_of_mine.py", "two_of_mine.py"):
        write(tmp_path / name, f"import numpy\n{RIGHT}")
    for arguments in (["--jobs", "2"], ["--python", sys.executable]):
        done = call("one_of_mine.py", "two_of_mine.py", *arguments, "--sandbox", "none", folder=tmp_path)
        assert not (tmp_path / "planted").exists(), (tmp_path / "planted").read_text()
        assert "2 files: 2 PASS" in done.stdout, done.stdout + done.stderr


# 2. A PASS that rests on nothing


PEEK = """
import os
PROBLEM = []
for process in filter(str.isdigit, os.listdir("/proc")):
    try:
        if {name!r} not in open(f"/proc/{{process}}/cmdline").read().split("\\0")[-3:]: continue
        open(f"/proc/{{process}}/mem", "r+b")
        PROBLEM.append("opened")
    except OSError as error: PROBLEM.append(error.strerror)
"""


@pytest.mark.parametrize("prefix", [list, unprivileged], ids=["as we are", "unprivileged"])
def test_the_memory_of_the_judge_is_out_of_reach(
    tmp_path: Path, sandbox: Sandbox, prefix: Callable[[list[str]], list[str]]
) -> None:
    if sandbox == "none" and prefix is list and os.geteuid() == 0:
        pytest.skip("root may write to any memory, which a sandbox alone prevents")
    mine = tmp_path / "mine.py"
    write(mine, PEEK.format(name=str(mine)))
    # The judge's command names the file; so does that of the file's own first process, in a sandbox or none.
    found = problem_of(mine, sandbox, prefix)
    assert found == (["Permission denied"] if sandbox == "none" else []), found


def test_a_property_without_a_case_does_not_pass_and_a_file_that_none_compared_neither() -> None:
    def stop(example: int) -> None:
        raise AssertionError(example)

    record = search(Record("alone"), stop, st.nothing() | st.integers(), Effort(1, 1), lambda: True)
    assert record.verdict is Verdict.INCONCLUSIVE
    truth = Record("gradient_equals_autodiff", kind=Kind.TRUTH, is_decisive=True)
    one = Outcome("mine.py", records=[truth, Record("other", held=3, cases=3)])
    conclude(one, Verification(Bundled(), (), Effort(1, 1)))
    assert one.verdict is Verdict.INCONCLUSIVE


# 3. What outlives the run


CHAINS = """
import os, signal, sys, time
AGAIN = '''
import os
os.setsid()
while True:
    if os.fork(): os._exit(0)
'''
def fork_for_ever():
    for _ in range(24):
        if os.fork() == 0:
            os.execve(sys.executable, [{name!r}, "-I", "-S", "-c", AGAIN], {{}})
"""


def named(name: str) -> list[str]:
    """The processes whose command has this name."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(name.encode()):
                found.append(process.name)
        except OSError:
            continue
    return found


@takes_the_machine
@pytest.mark.parametrize(
    "end", ["", "os.kill(os.getppid(), signal.SIGKILL)", "os.kill(os.getppid(), signal.SIGSTOP)"]
)
def test_processes_that_fork_and_exit_for_ever_end_with_their_file_which_fails(
    judges: pool.Judges, tmp_path: Path, sandbox: Sandbox, end: str
) -> None:
    name = f"chain-{os.urandom(8).hex()}"
    source = CHAINS.format(name=name) + f"fork_for_ever()\ntime.sleep(0.3)\n{end}\n{RIGHT}"
    (outcome,) = judged(judges, write(tmp_path / "mine.py", source), sandbox=sandbox)
    assert outcome.verdict in {Verdict.FAIL, Verdict.ERROR}  # the latter where it is lost as it is imported
    wait_until(lambda: named(name) == [])


# 4. One file and the later ones


def test_what_a_file_did_to_its_judge_is_not_charged_to_the_next(judges: pool.Judges, tmp_path: Path) -> None:
    source = """
        import os, resource
        judge = int(open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()[1])
        resource.prlimit(judge, resource.RLIMIT_NOFILE, (12, 12))
    """
    spoiler = write(tmp_path / "spoiler.py", textwrap.dedent(source) + NONE)
    right = write(tmp_path / "right.py", RIGHT)
    outcomes = judged(judges, spoiler, right, right)
    assert outcomes[0].verdict is not Verdict.PASS
    assert [one.verdict for one in outcomes[1:]] == [Verdict.PASS, Verdict.PASS]


def test_a_file_with_which_every_judge_fails_alike_is_told_so(judges: pool.Judges, tmp_path: Path) -> None:
    source = """
        import os, signal
        judge = int(open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()[1])
        os.kill(judge, signal.SIGSTOP)
    """
    right = write(tmp_path / "right.py", RIGHT)
    stopper = write(tmp_path / "stopper.py", textwrap.dedent(source) + NONE)
    outcomes = judged(judges, stopper, right)
    assert [one.verdict for one in outcomes] == [Verdict.FAIL, Verdict.PASS]
    assert outcomes[0].message.endswith(pool.STOPPED)


# 6. The operator's mistakes


def test_an_interpreter_of_an_old_version_is_a_wrong_call_that_names_the_one_that_is_wanted(
    tmp_path: Path,
) -> None:
    old = write(
        tmp_path / "python", '#!/bin/sh\ncase "$*" in *version_info*) echo 3 8;; *) echo no; exit 1;; esac\n'
    )
    old.chmod(0o755)
    mine = write(tmp_path / "mine.py", RIGHT)
    done = CliRunner().invoke(main, ["verify", str(mine), "--python", str(old)])
    assert done.exit_code == 2
    assert "it is Python 3.8, and Python 3.9 or newer is needed." in " ".join(done.output.split())


def test_a_sandbox_that_is_not_to_be_had_is_a_wrong_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    mine = write(tmp_path / "mine.py", RIGHT)
    done = CliRunner().invoke(main, ["verify", str(mine), "--sandbox", "bubblewrap"])
    assert done.exit_code == 2
    assert "The sandbox bubblewrap isn't available here: the program bwrap is not installed." in done.output


def test_what_the_machine_refuses_is_not_charged_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    one = verify(Request(str(write(tmp_path / "mine.py", RIGHT)), Effort(1, 1), sandbox="bubblewrap"))
    assert (one.verdict, one.is_broken) == (Verdict.INCONCLUSIVE, True)
    assert "The sandbox bubblewrap isn't available here" in one.message


# 7. Reports


def test_reports_replace_what_stands_in_their_place_and_one_loses_no_other(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("plain.json", "fifo.xml", "link.html")]
    lost = tmp_path / "folder" / "lost.json"
    lost.parent.mkdir()
    (tmp_path / "victim").write_text("kept")
    with scratch() as run:
        reports = Reports([*map(str, paths), str(lost)], run)
        os.mkfifo(paths[1])
        paths[2].symlink_to(tmp_path / "victim")
        shutil.rmtree(lost.parent)
        with pytest.raises(click.UsageError, match=r"lost.json can't be written: No such file or directory."):
            reports.write({str(lost): lambda: "lost", **{str(path): lambda: "whole" for path in paths}})
    assert [path.read_text() for path in paths] == ["whole"] * 3
    assert not any(path.is_symlink() for path in paths)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(path.name for path in paths), "victim"]
    )
    assert (tmp_path / "victim").read_text() == "kept"


def test_a_report_in_the_place_of_what_is_no_file_is_a_wrong_call(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with (
        scratch() as run,
        pytest.raises(click.UsageError, match="is not a file: a report has to be one"),
    ):
        Reports([str(tmp_path / "fifo")], run)


# 8. Names from outside


def test_a_name_with_signs_that_a_terminal_obeys_is_shown_without_them(tmp_path: Path) -> None:
    name = "a\x1b[2J\udc80'.py"
    write(tmp_path / name, RIGHT)
    write(tmp_path / "b.py", "def gradient(:")
    done = call(".", "--junit", "junit.xml", "--html", "page.html", folder=tmp_path, errors="surrogateescape")
    assert "a\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}'.py" in done.stdout, done.stdout
    assert "\x1b" not in done.stdout + done.stderr + (tmp_path / "page.html").read_text("utf-8")
    suites = ET.parse(tmp_path / "junit.xml").getroot()  # noqa: S314  (our own)
    assert len(suites) == 2
    again = suites[0].find("properties/property[@name='again']")
    assert again is not None
    assert quoted(name) in again.attrib["value"]
    shown = subprocess.run(["bash", "-c", f"printf %s {quoted(name)}"], capture_output=True, check=True)  # noqa: S603, S607
    assert shown.stdout == os.fsencode(name)


# 9. What is left


@pytest.mark.parametrize(
    ("name", "count"),
    [("SIGINT", 1), ("SIGKILL", 1), ("SIGINT", 2), ("SIGTERM", 2), ("SIGHUP", 2)],
)
def test_a_run_that_is_ended_leaves_no_process_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, name: str, count: int
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    for i in range(count):
        text = f"import tempfile\ntempfile.mkdtemp()\nopen({str(tmp_path / f'{i}.started')!r}, 'w').close()\n"
        write(tmp_path / f"{i}.py", text + "while True: pass")
    line = [COMMAND, "verify", ".", "--jobs", "2", "--sandbox", "none", "--json", "report.json"]
    heed = "import os, signal as s, sys; [s.signal(i, s.SIG_DFL) for i in (1, 2)]; os.execv(sys.argv[1], sys.argv[1:])"
    run = subprocess.Popen(  # noqa: S603  (our own command, which ignores them in the background, or under nohup)
        [sys.executable, "-c", heed, *line],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: len(list(tmp_path.glob("*.started"))) == count, 60)
    number = signal.Signals[name]
    run.send_signal(number)
    assert run.wait(60) in {-number, INTERRUPTED}
    wait_until(lambda: left(mark) == [], 60)
    assert list(temporary.iterdir()) == []
    assert not list(tmp_path.glob("*report.json*"))


@takes_the_machine
def test_the_report_says_which_sandbox_it_was_and_without_one_what_is_left_in_shared_memory(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    name = f"left-{os.urandom(8).hex()}"
    mine = write(tmp_path / "mine.py", f"open('/dev/shm/{name}', 'w').close()\n{NONE}")
    try:
        done = call(mine, "--sandbox", sandbox, "--json", "found.json", folder=tmp_path)
        assert f"\nsandbox {sandbox}\n" in done.stdout, done.stdout + done.stderr
        assert f'"sandbox": "{sandbox}"' in (tmp_path / "found.json").read_text()
        told = f"Shared memory that is there now, and was not before: /dev/shm/{name}"
        assert (told in " ".join(done.stdout.split())) == (sandbox == "none"), done.stdout
        assert Path("/dev/shm", name).exists() == (sandbox == "none")  # noqa: S108
    finally:
        Path("/dev/shm", name).unlink(missing_ok=True)  # noqa: S108


def test_a_file_is_not_told_that_it_is_judged(subject: Subject, sandbox: Sandbox) -> None:
    source = "import os\nPROBLEM = [key for key in os.environ if 'BACKPROP' in key]"
    with subject(source, sandbox=sandbox) as module:
        assert module.description.problem == [MARKER]  # of this test


# What a sandbox promises


@pytest.fixture
def boundary(sandbox: Sandbox) -> Sandbox:
    """Every sandbox that this machine has, but none."""
    if sandbox == "none":
        pytest.skip("without a sandbox nothing of this is promised")
    return sandbox


FORBIDDEN = [
    "open(os.__file__, 'r+')",
    "os.mkdir('/etc/new')",
    "open('/proc/sys/kernel/core_pattern', 'w')",
    "os.kill(JUDGE, 0)",
    "open(f'/proc/{JUDGE}/mem')",
    "resource.prlimit(JUDGE, resource.RLIMIT_NOFILE)",
    "socket.create_connection(('127.0.0.1', PORT), 5)",
    "socket.create_connection(('192.0.2.1', 80), 5)",
    "socket.socket(socket.AF_UNIX)",
    "socket.socket(socket.AF_UNIX).connect(DOOR)",
    "socket.socket(40, socket.SOCK_STREAM)",  # AF_VSOCK
    "check(libc.syscall(425, 8, None))",  # io_uring_setup
    "check(libc.unshare(0x10000000))",  # CLONE_NEWUSER
    "check(libc.mount(b'tmpfs', b'/mnt', b'tmpfs', 0, None))",
    "check(libc.mount(None, b'/', None, 32 | 4096, None))",  # MS_REMOUNT | MS_BIND: writable again
    "check(libc.umount2(b'/tmp', 2))",
    "check(libc.umount2(b'/proc', 2))",
    "check(libc.ptrace(16, JUDGE, 0, 0))",  # PTRACE_ATTACH
    "check(libc.sethostname(b'mine', 4))",
    "os.mknod(os.path.join(tempfile.gettempdir(), 'disk'), 0o60600, os.makedev(254, 0))",
    "os.chroot('/tmp')",
    "os.setgroups([0])",
    "os.listdir(os.path.join('/proc', str(JUDGE), 'root'))",
]


@pytest.mark.parametrize("prefix", [list, unprivileged], ids=["as we are", "unprivileged"])
def test_what_a_sandbox_forbids_fails(
    tmp_path: Path, boundary: Sandbox, prefix: Callable[[list[str]], list[str]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "door"))
        door.listen()
        head = f"""
            import ctypes, os, resource, socket, tempfile
            JUDGE, PORT, DOOR = {os.getpid()}, {server.getsockname()[1]}, {str(tmp_path / "door")!r}
            libc = ctypes.CDLL(None, use_errno=True)
            def check(status):
                if status < 0: raise OSError(ctypes.get_errno(), "refused")
            PROBLEM = []
            for statement in {FORBIDDEN}:
                try: exec(statement)
                except OSError: continue
                PROBLEM.append(statement)
        """
        assert problem_of(write(tmp_path / "mine.py", head), boundary, prefix) == []


def test_a_file_in_a_sandbox_writes_to_places_of_its_own_and_reads_what_it_could(
    subject: Subject, tmp_path: Path, boundary: Sandbox
) -> None:
    write(tmp_path / "neighbour.py", "ONE = 1.0")
    write(tmp_path / "data.txt", "data")
    name = f"mine-{os.urandom(8).hex()}"
    source = f"""
        import os, pathlib, socket, subprocess, sys, tempfile
        import neighbour
        assert open("data.txt").read() == open({str(tmp_path / "data.txt")!r}).read() == "data"
        for place in ("/tmp", "/dev/shm", tempfile.gettempdir()):
            path = pathlib.Path(place, {name!r})
            path.write_text("mine")
            assert path.read_text() == "mine"
        for device in ("null", "zero", "urandom"): open(f"/dev/{{device}}", "rb").read(1)
        a, b = socket.socketpair()
        a.send(b"x")
        assert subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True).stdout == b"1\\n"
        def own():
            try: pathlib.Path({name!r}).write_text("mine")
            except OSError: return False
            return pathlib.Path({name!r}).read_text() == "mine"
        PROBLEM = [os.getcwd(), own()]
    """
    with subject(source, sandbox=boundary) as module:
        assert module.description.problem == [str(tmp_path), boundary == "namespace"]
        assert (module.sandbox, module.close()) == (boundary, False)
    assert not any(Path(place, name).exists() for place in ("/tmp", "/dev/shm", tmp_path))  # noqa: S108


def test_a_sandbox_that_cannot_be_layered_still_has_a_temporary_folder(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("namespace")
    text = (Path(pool.__file__).with_name("sandbox.py")).read_text("utf-8")
    copy = tmp_path / "copy"
    copy.mkdir()
    write(copy / "sandbox.py", text.replace('"overlay", NO_SUID', '"nothing", NO_SUID'))
    for name in ("worker.py", "adapters.py"):
        shutil.copy(Path(pool.__file__).with_name(name), copy)
    monkeypatch.setattr("harness.worker.HERE", copy / "worker.py")
    source = """
        import neighbour, pathlib, tempfile
        pathlib.Path(tempfile.gettempdir(), "mine").write_text("mine")
        try: pathlib.Path("mine").write_text("mine")
        except OSError as error: PROBLEM = [error.strerror]
    """
    write(tmp_path / "neighbour.py", "")
    with subject(source, sandbox="namespace") as module:
        assert module.description.problem == ["Read-only file system"]


# Hostile files


HEAD = """
import ctypes, os, resource, signal, socket, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
PARENT = os.getppid()
JUDGE = int(open(f"/proc/{PARENT}/stat").read().rpartition(")")[2].split()[1])
"""
HOSTILE = {
    "kills its judge": "if JUDGE: os.kill(JUDGE, signal.SIGKILL)",
    "stops its judge": "if JUDGE: os.kill(JUDGE, signal.SIGSTOP)",
    "stops its supervisor": "os.kill(PARENT, signal.SIGSTOP)",
    "kills its supervisor": "os.kill(PARENT, signal.SIGKILL)",
    "interrupts its supervisor": "os.kill(PARENT, signal.SIGINT)\nos.kill(PARENT, signal.SIGTERM)",
    "takes memory from its judge": "if JUDGE: resource.prlimit(JUDGE, resource.RLIMIT_DATA, (1, 1))",
    "takes files from its judge": "if JUDGE: resource.prlimit(JUDGE, resource.RLIMIT_NOFILE, (5, 5))",
    "takes time from its judge": "if JUDGE: resource.prlimit(JUDGE, resource.RLIMIT_CPU, (1, 1))",
    "traces its supervisor": "libc.ptrace(16, PARENT, 0, 0)\ntime.sleep(0.2)",
    "traces its judge": "if JUDGE: libc.ptrace(16, JUDGE, 0, 0)\ntime.sleep(0.2)",
    "leaves a daemon": "os.system('env -i setsid sleep 1000 &')",
    "leaves a daemon of a daemon": """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0: os.execve("/bin/sleep", ["sleep", "1000"], {})
            os._exit(0)
        os.wait()
    """,
    "leaves a stopped daemon": """
        if os.fork() == 0:
            os.setsid()
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.1)
    """,
    "leaves two hundred": "for _ in range(200):\n    if os.fork() == 0: time.sleep(1000)",
    "leaves what ignores signals": """
        if os.fork() == 0:
            for number in set(signal.Signals) - {9, 19}: signal.signal(number, signal.SIG_IGN)
            os.setsid()
            time.sleep(1000)
    """,
    "leaves a thread": "threading.Thread(target=lambda: time.sleep(1000)).start()",
    "closes everything": "os.closerange(0, 999)",
    "writes to what it finds open": """
        for i in range(3, 40):
            try: os.write(i, bytes(10**5))
            except OSError: pass
    """,
    "ends as a daemon": "if os.fork(): os._exit(0)\nos.setsid()\ntime.sleep(1000)",
    "exits while it forks": "os.fork()\nos.fork()\nos.fork()\nos._exit(0)",
    "replaces itself": "os.execv('/bin/sleep', ['sleep', '1000'])",
    "kills all": "if b'worker.py' in open('/proc/1/cmdline', 'rb').read(): os.kill(-1, signal.SIGKILL)",
}


@takes_the_machine
def test_no_hostile_file_passes_or_outlives_its_trial_and_no_right_one_fails_for_it(
    tmp_path: Path, sandbox: Sandbox, mark: str
) -> None:
    asleep = str(1_000_000 + os.getpid())  # seconds, so that other people's sleepers are none of these
    files = [
        write(tmp_path / f"{i}.py", HEAD + textwrap.dedent(body).replace("1000", asleep) + NONE)
        for i, body in enumerate(HOSTILE.values())
    ]
    rights = [write(tmp_path / f"right{i}.py", RIGHT) for i in range(3)]
    requests = [
        Request(str(path), Effort(1, 1), seconds=seconds, sandbox=sandbox)
        for paths, seconds in ((files, 1.0), (rights, 30.0))
        for path in paths
    ]
    with pool.Judges(2) as judges:
        outcomes = judges.judge_all(requests, lambda _: None)
    # ERROR where the import does not come to its end, INCONCLUSIVE where every judge fails alike
    failed = {Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE}
    assert [kind for kind, one in zip(HOSTILE, outcomes, strict=False) if one.verdict not in failed] == []
    assert [one.verdict for one in outcomes[-3:]] == [Verdict.PASS] * 3, [one.message for one in outcomes]
    wait_until(lambda: left(mark) == [] and named(f"sleep\0{asleep}\0") == [])
