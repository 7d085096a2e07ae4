"""A subject runs apart from the judge: what it does wrong is one sentence, and nothing of it is left."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import venv
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import worker
from harness.isolation import SANDBOXES, IsolatedModule, Limits, Sandbox, Signature, SubjectFault, Unsupported

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

PARAMETERS = [
    (np.arange(1.0, 7.0).reshape(2, 3), np.array([0.5, -0.5, 0.25])),
    (np.arange(-3.0, 3.0).reshape(3, 2), None),
]
INPUTS = np.arange(8.0).reshape(4, 2)
TARGETS = np.linspace(-1.0, 1.0, 8).reshape(4, 2)
CASE = (PARAMETERS, INPUTS, TARGETS)
MARKER = "MANUAL_BACKPROP_TEST"

Subject = Callable[..., IsolatedModule]


@cache
def obstacle(sandbox: Sandbox) -> str:
    """Why this machine has no such sandbox; empty where it has it."""
    try:
        IsolatedModule("none.py", sandbox=sandbox).probe()
    except SubjectFault as fault:
        return str(fault)
    return ""


def needs(sandbox: Sandbox) -> None:
    """Skip the test where the sandbox is not to be had."""
    if reason := obstacle(sandbox):
        pytest.skip(reason)


@pytest.fixture(params=SANDBOXES)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Every sandbox that this machine has."""
    needs(request.param)
    return request.param


def left(mark: str) -> list[str]:
    """The command lines of the processes that carry the mark."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARKER}={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
                if "resource_tracker" in found[-1]:  # of Python's own, which lives as long as the tests
                    found.pop()
        except OSError:
            continue
    return found


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mark on all processes that the test starts; at its end none of them may be alive."""
    mark = os.urandom(8).hex()
    monkeypatch.setenv(MARKER, mark)
    yield mark
    assert left(mark) == []


@pytest.fixture
def subject(tmp_path: Path, mark: str) -> Iterator[Subject]:
    """Write a file, and isolate it."""
    del mark
    opened: list[IsolatedModule] = []

    def isolate(
        source: str | bytes,
        name: str = "mine.py",
        limits: Limits | None = None,
        python: str | None = None,
        sandbox: Sandbox = "auto",
    ) -> IsolatedModule:
        path = tmp_path / name
        path.write_bytes(source if isinstance(source, bytes) else textwrap.dedent(source).encode())
        opened.append(IsolatedModule(path, limits=limits, python=python, sandbox=sandbox))
        return opened[-1]

    yield isolate
    for module in opened:
        module.close()


def gradient(body: str) -> str:
    """A module whose gradient has this body."""
    head = "import os, signal, sys, threading, time\nimport numpy as np\n\ndef gradient(*case):\n"
    return head + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ") + "\n"


def fault_of(module: IsolatedModule) -> SubjectFault:
    """The fault of a start and a call."""
    with pytest.raises(SubjectFault) as raised:
        module.call("gradient", CASE)
    return raised.value


BROKEN = (
    "gradient broke the channel to the judge: it closes or writes to file descriptors that it did not open, "
    "or replaces parts of Python."
)
REFUSED = "belongs to the judge, and a module under test can't import it (line"
WRITE_EVERYWHERE = """
for descriptor in range(3, 60):
    try: os.write(descriptor, frame)
    except OSError: pass
"""
FORGE = (
    "import struct\nframe = struct.pack('<4s16sIQ', b'MBP1', bytes(16), 16, {}) + b'{{\"value\": 1.0}}    '"
)
FAULTS = {  # the body of a gradient (its first line is line 5), the kind of its fault, and the sentence
    "endless loop": ("while True: pass", "timeout", "gradient did not finish within 0.5 s."),
    "sleep": ("time.sleep(1000)", "timeout", "gradient did not finish within 0.5 s."),
    "stop": ("os.kill(os.getpid(), signal.SIGSTOP)", "timeout", "gradient did not finish within 0.5 s."),
    "terabytes": (
        "return np.zeros(10**12)",
        "memory",
        "gradient used up the 0.25 GiB of memory that it may use (line 5 of mine.py).",
    ),
    "eaten memory": (
        "x = []\nwhile True: x.append(np.ones(10**6))",
        "memory",
        "gradient used up the 0.25 GiB of memory that it may use (line 6 of mine.py).",
    ),
    "held memory": (
        "x = np.ones(2 * 10**7)\nwhile True: pass",
        "memory",
        "gradient used 0.1x GiB of memory, and did not finish in its time.",
    ),
    "_exit": ("os._exit(0)", "exit", "gradient ended Python with exit status 0 instead of returning."),
    "_exit 201": (
        "os._exit(201)",
        "exit",
        "gradient ended Python with exit status 201 instead of returning.",
    ),
    "sys.exit": (
        "sys.exit(0)",
        "exit",
        "gradient called sys.exit(0) instead of returning (line 5 of mine.py).",
    ),
    "interrupt": (
        "raise KeyboardInterrupt",
        "exception",
        "gradient raised KeyboardInterrupt (line 5 of mine.py).",
    ),
    "division": (
        "return 1 / 0",
        "exception",
        "gradient raised ZeroDivisionError: division by zero (line 5 of mine.py).",
    ),
    "recursion": (
        "def f(): return f()\nf()",
        "exception",
        "gradient raised RecursionError: maximum recursion depth exceeded (line 5 of mine.py).",
    ),
    "error without text": (
        "class E(Exception):\n    def __str__(self): raise E\nraise E",
        "exception",
        "gradient raised E (line 7 of mine.py).",
    ),
    "error that clears the screen": (
        "raise ValueError('\\x1b[2J' + 'a\\n ' * 10**6)",
        "exception",
        f"gradient raised ValueError: \N{REPLACEMENT CHARACTER}[2J{'a ' * 98}a (line 5 of mine.py).",
    ),
    "input": (
        "input()",
        "exception",
        "gradient raised EOFError: EOF when reading a line (line 5 of mine.py).",
    ),
    "syntax of a string": (
        "exec('1 +')",
        "exception",
        "gradient raised SyntaxError: invalid syntax (<string>, line 1) (line 5 of mine.py).",
    ),
    "import of ours": ("import harness", "import", f"gradient failed: harness {REFUSED} 5 of mine.py)."),
    "segmentation fault": (
        "import ctypes\nctypes.string_at(0)",
        "crash",
        "gradient crashed Python: Segmentation fault.",
    ),
    "abort": ("os.abort()", "crash", "gradient crashed Python: Aborted."),
    "killed group": ("os.killpg(0, signal.SIGKILL)", "crash", "gradient crashed Python: Killed."),
    "alarm": (
        "signal.setitimer(signal.ITIMER_REAL, 0.01)\ntime.sleep(99)",
        "crash",
        "gradient crashed Python: Alarm clock.",
    ),
    "closed descriptors": ("os.closerange(0, 1000)", "protocol", BROKEN),
    "closed descriptors and a loop": ("os.closerange(0, 1000)\nwhile True: pass", "protocol", BROKEN),
    "patched built-ins": ("import builtins\nbuiltins.isinstance = builtins.len = None", "protocol", BROKEN),
    "garbage": (f"frame = b'garbage' * 10{WRITE_EVERYWHERE}", "protocol", BROKEN),
    "forged answer": (f"{FORGE.format(0)}{WRITE_EVERYWHERE}", "protocol", BROKEN),
    "forged length": (f"{FORGE.format(2**62)}{WRITE_EVERYWHERE}", "protocol", BROKEN),
    "gigabytes returned": (
        "return np.broadcast_to(1.0, (10**5, 10**5))",
        "size",
        "gradient returned more than 64 MiB of arrays, far more than its arguments have.",
    ),
    "millions returned": (
        "return [0.0] * 10**6",
        "size",
        "gradient returned a structure of more than 100000 values, far more than its arguments have.",
    ),
    "exit on conversion": (
        "class Bomb:\n    def __array__(self, *_, **__): sys.exit(7)\nreturn Bomb()",
        "exit",
        "gradient called sys.exit(7) instead of returning (line 6 of mine.py).",
    ),
}


@pytest.mark.parametrize(("body", "kind", "sentence"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_one_sentence(
    subject: Subject, body: str, kind: str, sentence: str, sandbox: Sandbox
) -> None:
    limits = Limits(call_seconds=0.5 if kind == "timeout" else 5.0, memory_bytes=256 << 20)
    fault = fault_of(subject(gradient(body), limits=limits, sandbox=sandbox))
    assert (fault.kind, re.sub(r"0\.1\d", "0.1x", str(fault))) == (kind, sentence)


def test_a_file_can_kill_what_supervises_it_only_without_a_namespace(subject: Subject) -> None:
    body = "os.kill(os.getppid(), signal.SIGKILL)\nreturn 1.0"
    fault = fault_of(subject(gradient(f"{body[:-10]}time.sleep(9)"), sandbox="none"))
    assert (fault.kind, str(fault)) == ("crash", "gradient killed the process that supervises it.")
    needs("namespace")
    with subject(gradient(body), sandbox="namespace") as module:
        assert module.call("gradient", CASE).value == 1.0


def test_the_process_survives_a_fault_that_python_can_catch(subject: Subject) -> None:
    with subject(gradient("return os.getpid() * 1.0 if case[0] else case[1]()")) as module:
        first = module.call("gradient", (1,)).value
        with pytest.raises(SubjectFault, match="raised TypeError: 'NoneType' object is not callable"):
            module.call("gradient", (0, None))
        assert module.call("gradient", (1,)).value == first


def test_the_trace_holds_the_frames_of_the_subject_alone(subject: Subject, tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text("def backward(W):\n    return W @ W\n")
    source = "import layers\n\ndef gradient(parameters, *_):\n    return layers.backward(parameters[0][0])\n"
    fault = fault_of(subject(source))
    assert str(fault).startswith("gradient raised ValueError: matmul: Input operand 1 has a mismatch")
    assert str(fault).endswith("(line 2 of layers.py).")
    assert fault.trace.splitlines()[:-1] == [
        "Traceback (most recent call last):",
        '  File "mine.py", line 4, in gradient',
        "    return layers.backward(parameters[0][0])",
        '  File "layers.py", line 2, in backward',
        "    return W @ W",
    ]


def test_the_innermost_frame_may_lie_outside_of_the_subjects_folder(subject: Subject, tmp_path: Path) -> None:
    elsewhere = tmp_path.parent / f"{tmp_path.name}_beside"
    elsewhere.mkdir()
    (elsewhere / "layers.py").write_text("def backward(W):\n    return W @ W\n")
    source = f"import sys\nsys.path.append({str(elsewhere)!r})\nimport layers\n\n"
    source += "def gradient(parameters, *_):\n    return layers.backward(parameters[0][0])\n"
    fault = fault_of(subject(source))
    assert str(fault).endswith(f"(line 2 of ../{elsewhere.name}/layers.py).")
    assert fault.trace.splitlines()[-3:-1] == [
        f'  File "../{elsewhere.name}/layers.py", line 2, in backward',
        "    return W @ W",
    ]


INSTALL = "install it for this interpreter, or choose the interpreter that has it (--python PATH)."
IMPORTS = {  # the source, the kind of its fault, and the sentence
    "syntax": ("x = 1\n\ndef f(:\n", "syntax", "mine.py has a syntax error in line 3: invalid syntax."),
    "indentation": ("x = 1\n  y = 2", "syntax", "mine.py has a syntax error in line 2: unexpected indent."),
    "no such module": (
        "import no_such_module",
        "import",
        f"Importing mine.py failed: No module named 'no_such_module' (line 1 of mine.py): {INSTALL}",
    ),
    "no such name": (
        "from sys import x",
        "import",
        "Importing mine.py failed: cannot import name 'x' from 'sys' (unknown location) (line 1 of mine.py).",
    ),
    "our subject": (
        "import manual_backprop",
        "import",
        f"Importing mine.py failed: manual_backprop {REFUSED} 1 of mine.py).",
    ),
    "our truth": (
        "from reference.model import gradient",
        "import",
        f"Importing mine.py failed: reference {REFUSED} 1 of mine.py).",
    ),
    "no such variable": (
        "x = y",
        "exception",
        "Importing mine.py raised NameError: name 'y' is not defined (line 1 of mine.py).",
    ),
    "sys.exit": (
        "import sys\nsys.exit('bye')",
        "exit",
        "Importing mine.py called sys.exit(bye) instead of returning (line 2 of mine.py).",
    ),
    "_exit": (
        "import os\nos._exit(3)",
        "exit",
        "Importing mine.py ended Python with exit status 3 instead of returning.",
    ),
    "endless loop": ("while True: pass", "timeout", "Importing mine.py did not finish within 2 s."),
    "bytes": (b"x = '\xff'", "not_found", "mine.py is not a text in UTF-8, as Python source has to be."),
    "null bytes": (b"x = 1\0", "not_found", "mine.py holds null bytes, so it is not Python source."),
}


@pytest.mark.parametrize(("source", "kind", "sentence"), IMPORTS.values(), ids=IMPORTS)
def test_a_file_that_cant_be_imported_is_told_so_once_and_for_all(
    subject: Subject, source: str | bytes, kind: str, sentence: str
) -> None:
    module = subject(source, limits=Limits(start_seconds=2.0 if kind == "timeout" else 60.0))
    for _ in range(2):
        fault = fault_of(module)
        assert (fault.kind, str(fault)) == (kind, sentence)


def test_a_path_that_leads_to_no_python_file_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder.py").mkdir()
    for name, sentence in {
        "missing.py": f"There is no file missing.py in {tmp_path}.",
        "folder.py": "folder.py is a folder: name the Python file in it.",
        "notes.txt": "notes.txt is not a Python file: its name should end in .py.",
    }.items():
        fault = fault_of(IsolatedModule(tmp_path / name))
        assert (fault.kind, str(fault)) == ("not_found", sentence)


def test_an_interpreter_of_no_use_is_told_so(subject: Subject, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    bare = str(tmp_path / "bare" / "bin" / "python")
    for python, sentence in {
        "no-such-python": "The interpreter no-such-python can't be started: No such file or directory.",
        "/bin/false": "The interpreter /bin/false can't run a module under test: it gives no answer.",
        bare: f"The interpreter {bare} can't run a module under test: it has no NumPy.",
    }.items():
        fault = fault_of(subject("", python=python))
        assert (fault.kind, str(fault)) == ("interpreter", sentence)


def test_a_function_that_is_not_there_is_told_so(subject: Subject) -> None:
    fault = fault_of(subject("def loss(): pass"))
    assert (fault.kind, str(fault)) == ("not_found", "mine.py has no function gradient.")


HARMLESS = {  # the body of a gradient that returns 1.0 all the same
    "patches": """
        import json, struct
        np.asarray = np.ndarray = np.may_share_memory = json.dumps = json.JSONEncoder = None
        os.write = os.read = os.getpid = os._exit = struct.Struct = struct.pack = sys.exc_info = None
    """,
    "fork": "os.fork()",
    "fork and error": "if os.fork() == 0: raise ValueError",
    "thread": "threading.Thread(target=time.sleep, args=(1000,)).start()",
    "exit handler": "import atexit\natexit.register(time.sleep, 1000)",
    "destructor": "class D:\n    def __del__(self): raise ValueError\nD()",
    "folder and seed": "os.chdir('/')\nnp.random.seed(0)",
    "signals": "for number in set(signal.Signals) - {9, 19}: signal.signal(number, signal.SIG_IGN)",
    "warnings": "import warnings\nwarnings.simplefilter('ignore')\nnp.float64(1) / 0",
    "reserved memory": """
        import mmap
        mmap.mmap(-1, 1 << 36, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0)
    """,
    "children": "import subprocess\nfor _ in range(20): subprocess.Popen(['sleep', '1000'])",
    "daemons": "os.system('env -i setsid sleep 1000 & env -i setsid sleep 1000 &')",
    "daemon of a daemon": """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0: time.sleep(1000)
            os._exit(0)
        os.wait()
    """,
}


@pytest.mark.parametrize("body", HARMLESS.values(), ids=HARMLESS)
def test_what_spares_the_channel_spoils_no_answer_and_leaves_no_process(
    subject: Subject, body: str, sandbox: Sandbox
) -> None:
    with subject(gradient(textwrap.dedent(body) + "\nreturn 1.0"), sandbox=sandbox) as module:
        assert [module.call("gradient", CASE).value for _ in range(2)] == [1.0, 1.0]
        assert module.close() == ("setsid" in body)


@pytest.mark.parametrize("end", ["return 1.0", "os._exit(0)", "time.sleep(1000)"])
def test_a_daemon_with_an_empty_environment_is_killed(subject: Subject, tmp_path: Path, end: str) -> None:
    body = """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0: os.execve("/bin/sh", ["sh", "-c", "echo $$ > pid; mv pid id; sleep 1000"], {})
            os._exit(0)
        os.wait()
        while not os.path.exists("id"): time.sleep(0.01)
    """
    module = subject(gradient(textwrap.dedent(body) + end), limits=Limits(call_seconds=1.0), sandbox="none")
    with contextlib.suppress(SubjectFault):
        module.call("gradient", CASE)
    module.close()
    assert not Path("/proc", (tmp_path / "id").read_text().strip()).exists()


def test_a_daemon_whose_supervisor_was_killed_is_killed(subject: Subject, mark: str) -> None:
    body = """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0: time.sleep(1000)
            os._exit(0)
        os.wait()
        os.kill(os.getppid(), signal.{})
        time.sleep(1000)
    """
    for name in ("SIGKILL", "SIGSTOP"):
        module = subject(gradient(body.format(name)), limits=Limits(call_seconds=1.0), sandbox="none")
        assert fault_of(module).kind in {"crash", "timeout"}
        assert left(mark) == []


def test_megabytes_of_output_neither_block_nor_reach_the_judge(subject: Subject) -> None:
    source = gradient(
        "print('x' * 10**6); os.write(1, b'y' * 10**6); sys.stderr.write('z' * 10**6); return 1.0"
    )
    with subject(f"print('first \\x1b[2J')\n{source}") as module:
        for _ in range(3):
            assert module.call("gradient", CASE).value == 1.0
    assert module.output.startswith("first \N{REPLACEMENT CHARACTER}[2J\nxxx")
    assert module.output.endswith("x\n[and 8934478 bytes more]")
    assert len(module.output) < 70_000


RETURNS = {  # what a gradient returns: what arrives
    "None": None,
    "7": 7,
    "True": True,
    "-0.5": -0.5,
    "2**64": Unsupported("an integer of more than 64 bits"),
    "'text'": Unsupported("a str"),
    "{'dW': 1.0}": Unsupported("a dict"),
    "(x for x in (1, 2))": Unsupported("a generator"),
    "np.array([None])": Unsupported("an array of Python objects"),
    "np.array(['a'])": Unsupported("an array of dtype str32"),
    "np.ma.masked_less(np.ones(2), 2)": Unsupported("a masked array"),
    "np.str_('a')": Unsupported("a str_"),
    "[(np.float32(1.5), None), [object(), ()]]": [(np.float32(1.5), None), [Unsupported("an object"), ()]],
    "type('A' * 10**6, (), {})()": Unsupported(f"an {'A' * 300}"),
    "type('\\x1b[2J', (), {})()": Unsupported("a \N{REPLACEMENT CHARACTER}[2J"),
    "type('Liar', (), {'__class__': np.ndarray, '__len__': None, '__iter__': 1 .__add__})()": Unsupported(
        "a Liar"
    ),
    "type('Late', (), {'__array__': lambda *_: 1 / 0})()": Unsupported("a Late"),
    "type('Bomb', (), {'__reduce__': lambda self: (os._exit, (9,))})()": Unsupported("a Bomb"),
    "type('Meta', (type,), {'__name__': property(lambda _: 1 / 0)})('Plain', (), {})()": Unsupported(
        "a Plain"
    ),
    "type('Row', (list,), {'__iter__': lambda _: iter('no'), '__len__': lambda _: 9})([1.0, 2.0])": [
        1.0,
        2.0,
    ],
    "__import__('collections').namedtuple('Pair', 'W b')(1.0, None)": (1.0, None),
}


def test_a_value_arrives_as_it_was_or_as_what_it_is(subject: Subject) -> None:
    with subject(gradient(f"return eval({list(RETURNS)}[case[0]])")) as module:
        for i, expected in enumerate(RETURNS.values()):
            value = module.call("gradient", (i,)).value
            assert value == expected
            assert type(value) is type(expected)


def test_a_list_that_contains_itself_is_cut(subject: Subject) -> None:
    with subject(gradient("loop = []; loop.append(loop); return loop")) as module:
        value = module.call("gradient", CASE).value
        for _ in range(worker.DEPTH_LIMIT):
            (value,) = value
        assert value == Unsupported(f"a list inside of {worker.DEPTH_LIMIT} lists")


ARRAYS = [
    *(np.arange(1, 7).reshape(2, 3).astype(number) for number in worker.NUMBERS),
    np.array([np.nan, -np.inf, -0.0, 5e-324]),
    np.zeros((0, 3)),
    np.array(2.5),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(12.0).reshape(2, 6)[:, ::-2],
    np.broadcast_to(np.float32(1.5), (2, 2)),
]


LAYOUTS: dict[Any, tuple[int, int]] = {  # the strides of a (2, 3) array of float64
    "C": (24, 8),
    "F": (8, 16),
    "strided": (48, 16),
}


def identical(left: np.ndarray | np.generic, right: np.ndarray | np.generic) -> bool:
    """Whether two arrays have the same dtype and shape, and bytes."""
    return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())


def test_arrays_travel_to_the_last_bit_in_every_layout(subject: Subject) -> None:
    source = "def gradient(*arrays): return [a.copy('K') for a in arrays], [a.strides for a in arrays]"
    with subject(source) as module:
        for layout, expected in LAYOUTS.items():
            result = module.call("gradient", tuple(ARRAYS), layout=layout)
            values, strides = result.value
            assert all(map(identical, values, ARRAYS))
            assert (result.mutated, result.aliased) == ((), ())
            assert strides[worker.NUMBERS.index(np.dtype(float))] == expected


def test_arrays_of_other_kinds_become_plain_ones(subject: Subject) -> None:
    source = """
        import numpy as np

        class Tensor:
            def __array__(self, *_, **__): return np.ones(2, np.float32)

        def gradient(*_): return [np.matrix([[1.0, 2.0]]), np.array([1.0], '>f8'), Tensor(), 1j]
    """
    with subject(source) as module:
        value = module.call("gradient", CASE).value
    expected = [np.array([[1.0, 2.0]]), np.array([1.0]), np.ones(2, np.float32), np.complex128(1j)]
    assert all(map(identical, value, expected))
    assert [type(item) for item in value] == [np.ndarray, np.ndarray, np.ndarray, np.complex128]


CHANGES = {  # a statement: what it changes in place
    "pass": (),
    "parameters[0][0][1, 2] += 1": ((0, 0, 0),),
    "parameters[1][0][:] = np.nan; targets *= 2": ((0, 1, 0), (2,)),
    "inputs[...] = inputs.copy()": (),
    "inputs = inputs + 1": (),
    "inputs.shape = (1, *inputs.shape)": ((1,),),
    "parameters[1] = parameters[1]": (),
    "parameters[1] = (parameters[1][0] - 1, None)": ((0, 1),),
    "parameters.pop()": ((0,),),
}


def test_what_a_call_changes_in_place_is_named(subject: Subject) -> None:
    source = f"import numpy as np\ndef gradient(parameters, inputs, targets, i): exec({list(CHANGES)}[i])"
    with subject(source) as module:
        for layout in LAYOUTS:
            for i, mutated in enumerate(CHANGES.values()):
                assert module.call("gradient", (*CASE, i), layout=layout).mutated == mutated


def test_an_array_that_lies_in_an_argument_is_named(subject: Subject) -> None:
    source = "def gradient(p, x, y): return [(p[0][0].T[1:], p[0][1] + 0), (x, [y[::2]])]"
    with subject(source) as module:
        for layout in LAYOUTS:
            assert module.call("gradient", CASE, layout=layout).aliased == ((0, 0), (1, 0), (1, 1, 0))


def test_an_answer_that_the_next_call_changes_is_named(subject: Subject) -> None:
    source = """
        import numpy as np
        kept, sizes = np.zeros(3), []

        def gradient(fresh):
            sizes.append(1)
            kept[:] = len(sizes)
            return [(np.full(2, len(sizes)), kept.copy() if fresh else kept[1:])]
    """
    with subject(source) as module:
        found = [module.call("gradient", (fresh,)).overwritten for fresh in (False, False, True, True, False)]
        assert found == [(), ((0, 1),), ((0, 1),), (), ()]


def test_warnings_are_returned_each_time_and_bounded(subject: Subject) -> None:
    source = gradient(
        "import warnings\nfor i in range(9): warnings.warn(f'{i} \\x1b')\nreturn np.exp(np.array([1e4]))"
    )
    with subject(source) as module:
        for _ in range(2):
            warnings = module.call("gradient", CASE).warnings
            assert warnings == tuple(f"UserWarning: {i} \N{REPLACEMENT CHARACTER}" for i in range(5))
    with subject(gradient("return np.exp(np.array([1e4]))")) as module:
        for _ in range(2):
            assert module.call("gradient", CASE).warnings == ("RuntimeWarning: overflow encountered in exp",)


def test_a_subject_is_described_without_being_trusted(subject: Subject) -> None:
    source = """
        import numpy as np
        PROBLEM = [{"layers": np.int64(2), "hidden": ("tanh", "relu"), "dtype": np.float32, "bias": True,
                    "outputs": None, "loss": print}, {1: 2}, {"x" * 9999: 1}, {"dtype": np.dtype("f8")}]
        step = 1
        def gradient(parameters, inputs, /, targets, hidden="tanh", *rest, loss, bias=True, **more): pass
        class Loss:
            def __call__(self, a, b): pass
        loss = Loss()
    """
    with subject(source) as module:
        assert module.description.problem == [
            {
                "layers": 2,
                "hidden": ["tanh", "relu"],
                "dtype": "float32",
                "bias": True,
                "outputs": None,
                "loss": Unsupported("a builtin_function_or_method"),
            },
            Unsupported("a dict with keys that are no names"),
            Unsupported("a dict with keys that are no names"),
            {"dtype": "float64"},
        ]
        assert module.description.functions == {
            "gradient": Signature(
                positional=("parameters", "inputs", "targets", "hidden"),
                required=3,
                keywords=frozenset({"targets", "hidden", "loss", "bias"}),
                required_keywords=frozenset({"loss"}),
                any_positional=True,
                any_keyword=True,
            ),
            "loss": Signature(
                ("a", "b"), 2, frozenset({"a", "b"}), frozenset(), any_positional=False, any_keyword=False
            ),
        }


def test_keywords_arrive(subject: Subject) -> None:
    with subject("def gradient(a, *, loss, rate): return [a, loss == 'mse', rate]") as module:
        assert module.call("gradient", (1,), {"loss": "mse", "rate": 0.1}).value == [1, True, 0.1]


def test_an_argument_that_cant_be_sent_is_the_judges_mistake(subject: Subject) -> None:
    with subject("def gradient(a, **k): pass") as module:
        with pytest.raises(TypeError, match="an argument is a str"):
            module.call("gradient", ("text",))
        with pytest.raises(TypeError, match="not JSON serializable"):
            module.call("gradient", (1,), {"rate": np.int64(1)})  # pyright: ignore[reportArgumentType]


def test_siblings_are_found_even_by_the_names_of_our_packages(subject: Subject, tmp_path: Path) -> None:
    for name in ("lesson", "properties", "layers"):
        (tmp_path / f"{name}.py").write_text("ONE = 1.0")
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "__init__.py").touch()
    (tmp_path / "data.txt").touch()
    source = """
        import lesson, properties, layers, harness

        def gradient(*_):
            open("data.txt").close()
            return [lesson.ONE, properties.ONE, layers.ONE, __name__ == "json" or __name__ == "subject_json"]
    """
    with subject(source, name="json.py") as module:
        assert module.call("gradient", CASE).value == [1.0, 1.0, 1.0, True]
    assert not (tmp_path / "__pycache__").exists()


def test_our_packages_are_out_of_reach_through_the_path(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(worker.ROOT), str(tmp_path / "other")]))
    source = f"""
        import sys
        PROBLEM = [{str(worker.ROOT)!r} in sys.path, {str(tmp_path / "other")!r} in sys.path]
        sys.path.insert(0, {str(worker.ROOT)!r})
        import manual_backprop
    """
    module = subject(source)
    assert "manual_backprop belongs to the judge" in str(fault_of(module))
    with subject(source.replace("import manual_backprop", "")) as module:
        assert module.description.problem == [False, True]


def test_a_module_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "deep.py").write_text("from . import other\ndef gradient(x): return x / 0")
    (tmp_path / "package" / "other.py").touch()
    monkeypatch.chdir(tmp_path)
    with IsolatedModule("package.deep") as module, pytest.raises(SubjectFault) as raised:
        module.call("gradient", (1,))
    assert (
        str(raised.value)
        == "gradient raised ZeroDivisionError: division by zero (line 2 of package/deep.py)."
    )
    for name in ("no_such_module", "package.no_such_module"):
        sentence = f"{name} is neither a file nor a module that the interpreter finds."
        assert str(fault_of(IsolatedModule(name))) == sentence


def test_our_own_subject_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with IsolatedModule("manual_backprop") as module:
        assert "gradient" in module.description.functions


def test_a_lost_worker_is_restarted_until_it_is_enough(subject: Subject, tmp_path: Path) -> None:
    source = gradient("return os._exit(0) if case[0] else os.getpid() * 1.0") + (
        "with open('starts.txt', 'a') as file: file.write('.')\n"
    )
    with subject(source, limits=Limits(restarts=2), sandbox="none") as module:
        first = module.call("gradient", (0,)).value
        assert module.call("gradient", (0,)).value == first
        for _ in range(2):
            with pytest.raises(SubjectFault, match="exit status 0"):
                module.call("gradient", (1,))
            assert module.call("gradient", (0,)).value != first
        for call in (1, 0, 0):
            with pytest.raises(SubjectFault, match="exit status 0"):
                module.call("gradient", (call,))
    assert (tmp_path / "starts.txt").read_text() == "..."


def test_the_total_time_is_bounded(subject: Subject) -> None:
    module = subject(gradient("time.sleep(0.15)"), limits=Limits(total_seconds=1.0))
    began = time.monotonic()
    while (fault := outcome(module)) is None:
        assert time.monotonic() - began < 5.0
    assert (fault.kind, str(fault)) == ("timeout", "mine.py used up its 1 s.")
    assert time.monotonic() - began > 0.5
    assert str(fault_of(module)) == str(fault)


def outcome(module: IsolatedModule) -> SubjectFault | None:
    """The fault of a call, if there is one."""
    try:
        module.call("gradient", CASE)
    except SubjectFault as fault:
        return fault
    return None


def test_an_answer_written_early_is_not_taken_for_a_later_one(subject: Subject) -> None:
    body = f"""
        frame = sys._getframe()
        while "token" not in frame.f_locals: frame = frame.f_back
        text = b'{{"value": 7.0, "mutated": [], "aliased": [], "overwritten": [], "warnings": [], "processor": 0.0}}'
        frame = frame.f_globals["HEADER"].pack(b"MBP1", frame.f_locals["token"], len(text), 0) + text
        {textwrap.indent(WRITE_EVERYWHERE, " " * 8).strip()}
        time.sleep(0.2)
        return 1.0
    """
    with subject(gradient(body)) as module:
        assert module.call("gradient", CASE).value == 7.0  # its own answer, which it may choose
        assert fault_of(module).kind == "protocol"


def test_the_worker_dies_with_the_judge(
    subject: Subject, mark: str, tmp_path: Path, sandbox: Sandbox
) -> None:
    module = subject(gradient("while True: pass"))
    source = (
        "import sys; from harness.isolation import *\n"
        "IsolatedModule(sys.argv[1], sandbox=sys.argv[2]).call('gradient', ())"
    )
    judge = subprocess.Popen(  # noqa: S603 - our own source
        [sys.executable, "-c", source, str(tmp_path / module.name), sandbox],
        cwd=worker.ROOT,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: len(left(mark)) == 1 + {"none": 2, "namespace": 3, "bubblewrap": 4}[sandbox])
    judge.kill()
    judge.wait()
    wait_until(lambda: left(mark) == [])


def test_an_interrupt_of_the_judge_is_not_seen_by_the_subject(
    subject: Subject, mark: str, tmp_path: Path
) -> None:
    module = subject(gradient("open('called', 'w').close()\ntime.sleep(1000)"))
    source = (
        "import signal, sys; from harness.isolation import *\n"
        "module = IsolatedModule(sys.argv[1], sandbox='none')\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background ignores it
        "try: module.call('gradient', ())\n"
        "except KeyboardInterrupt: print(repr(module.output))"
    )
    judge = subprocess.Popen(  # noqa: S603 - our own source
        [sys.executable, "-c", source, str(tmp_path / module.name)],
        cwd=worker.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    wait_until((tmp_path / "called").exists)
    os.killpg(judge.pid, signal.SIGINT)
    assert judge.communicate(timeout=10)[0] == b"''\n"
    assert left(mark) == []


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until it holds, for so many seconds at most."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    "tree",
    [
        "text",
        {},
        [],
        ["?"],
        ["u"],
        ["u", 1],
        ["d", ["key", 1.0]],
        2**64,
        ["a", "<f8"],
        ["a", "|O", [1]],
        ["a", "<U1", [1]],
        ["a", ["<f8"], [1]],
        ["a", "<f8", 1],
        ["a", "<f8", [-1]],
        ["a", "<f8", [True]],
        ["a", "<f8", [1.0]],
        ["a", "<f8", [3]],
        ["a", "<f8", [2**40, 2**40]],
        ["a", "<f8", [0, 2**70]],
        ["a", "<f8", [1] * 65],
        eval("[" * 40 + "]" * 40),  # noqa: S307 - a constant
    ],
    ids=str,
)
def test_a_tree_that_is_none_builds_no_value(tree: object) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        worker.Decoder(bytearray(16)).decode(tree)


FRAMES: dict[str, Callable[[bytes], bytes]] = {  # what is done to a good frame
    "another magic": lambda frame: b"X" + frame[1:],
    "another token": lambda frame: frame[:4] + b"X" + frame[5:],
    "too long a text": lambda frame: frame[:20] + b"\xff" * 4 + frame[24:],
    "too long a payload": lambda frame: frame[:24] + b"\xff" * 8 + frame[32:],
    "more than a frame": lambda frame: frame + b"X",
    "no JSON": lambda frame: frame[:32] + b"[" + frame[33:],
    "no text": lambda frame: frame[:32] + b"\xff" + frame[33:],
    "too deep": lambda _: worker.HEADER.pack(worker.MAGIC, bytes(16), 10**6, 0) + b"[" * 10**6,
    "no message": lambda _: worker.HEADER.pack(worker.MAGIC, bytes(16), 4, 0) + b"[{}]",
}


@pytest.mark.parametrize("change", FRAMES.values(), ids=FRAMES)
def test_a_frame_that_is_none_is_refused_before_it_is_read(change: Callable[[bytes], bytes]) -> None:
    arrays: worker.Arrays = [((0,), np.ones(3))]
    frame = worker.pack(bytes(16), {"value": ["a", "<f8", [3]]}, arrays)
    token, message, payload = worker.receive(reader(frame), 32, bytes(16))
    assert (token, message, payload[:24]) == (bytes(16), {"value": ["a", "<f8", [3]]}, np.ones(3).tobytes())
    with pytest.raises(ValueError, match=r"not |more than a frame|Expecting|ascii"):
        worker.receive(reader(change(frame)), 32, bytes(16))
    for size in (0, 31, len(frame) - 1):
        with pytest.raises(EOFError):
            worker.receive(reader(frame[:size]), 32, bytes(16))


def reader(data: bytes) -> Callable[[int], bytes]:
    """A pipe that holds the data, and is then closed."""
    return io.BytesIO(data).read
