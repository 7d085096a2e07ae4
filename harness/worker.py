"""Run one module under test in a process of its own, and answer the judge's calls over two pipes.

`isolation.py` starts this file as a script under the subject's interpreter (Python 3.9 or newer, with NumPy),
so it stands alone. `isolation.py` also imports it, for the frames and the trees.

    judge ──► supervisor (this script) ──► worker (its fork, which imports NumPy and then the subject)

In a sandbox (`sandbox.py`) the supervisor is the first process of a PID namespace, and its parent waits for it outside.

**A frame**, the same in both directions, little-endian, and never pickled:

| bytes | field                                                  | checked before anything is allocated |
|-------|--------------------------------------------------------|--------------------------------------|
| 4     | magic, `MBP1`                                          | equal                                |
| 16    | token, drawn by the judge for each call, and echoed    | equal                                |
| 4     | j, the length of the JSON text                         | at most 8 MiB                        |
| 8     | p, the length of the payload                           | at most what the call may return     |
| j     | JSON, padded with spaces to a multiple of 16           | known tags, and nothing else         |
| p     | the bytes of the arrays in C order, in the order of    | known dtypes; the shapes fill p      |
|       | the trees, each padded with zeros to a multiple of 16  |                                      |

**A tree** stands for a value: null, a boolean and a number for themselves; `["l", ...]` a list, `["t", ...]`
a tuple, `["a", dtype, shape]` an array, `["s", dtype, []]` a NumPy or complex scalar, `["u", "a str"]`
anything else. In what a file declares alone: a string for itself, `["d", [key, tree], ...]` a dict, and
`["f", signature]` a function, which stays where it is.

**What the isolation promises** in any sandbox, and in none. The truth never enters this process. Time, memory (of each
process), output and the size of an answer are bounded. An answer belongs to its call: one written early, late or twice
has the wrong token. What the protocol needs is bound before the subject runs, to a copy of the built-ins: a subject
that patches NumPy, `json`, `os` or `builtins` breaks its own code, or its worker, and never an answer. One that takes
this process apart may send any answer, which gains it nothing over returning it; of the fields that the worker adds
(mutated, aliased, warnings) it can then lie.

**What ends with the worker.** In a sandbox all that the subject started, made and wrote: the kernel sees to it. Without
one, the supervisor adopts the daemons of the subject (Linux), and kills them when the worker ends, when the judge lets
go of it, and when the judge dies; a judge of ours adopts those of a supervisor that was killed. On other systems a
daemon with a session of its own escapes, and on Windows, where there is no supervisor and no memory limit, all that
the subject starts. `docs/gate.md` has the table of what each sandbox promises.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Python puts a script's folder first on the path; a name in it must not hide one of a library.
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib is a library

import builtins
import importlib
import inspect
import json
import signal
import struct
import threading
import time
import types
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from io import BytesIO
from linecache import getline
from math import prod
from pathlib import Path
from tokenize import detect_encoding
from typing import Any

MAGIC = b"MBP1"
HEADER = struct.Struct("<4s16sIQ")
ALIGNMENT = 16
JSON_LIMIT = 8 << 20
NODE_LIMIT = 100_000  # values in one returned structure
DEPTH_LIMIT = 16
TEXT_LIMIT = 300  # characters of a message
FRAME_LIMIT = 12  # frames of a traceback
WARNING_LIMIT = 5
NAME_LIMIT = 500  # names of a module, or methods of a class, that are looked at
RESERVE = 16 << 20  # bytes
FILE_LIMIT = 1 << 30  # bytes of a file that the subject writes
BROKEN = 120  # exit status: the pipes or the built-ins of this process are no longer what they were
NO_NUMPY = 121  # exit status
DAEMONS = 122  # exit status: there were processes that had left the worker's family
NO_SANDBOX = 123  # exit status: the system forbids the sandbox, and the last line of the output says why
LOOKS = 1000
SIGNALLED = 128  # exit status, plus the signal
OURS = frozenset({"manual_backprop", "reference", "properties", "harness", "lesson", "benchmarks"})
DECLARED = frozenset(  # what a file says of itself, but for PROBLEM
    {
        "OPERATION",
        "OPERATIONS",
        "OPTIONS",
        "SIZES",
        "REFERENCE",
        "DTYPE",
        "OUTPUTS",
        "ARRAYS",
        "LAYER",
        "PARAMETERS",
        "ONCE",
        "FUNCTION",
    }
)
CONTRACT = frozenset(  # functions that are known by their names, wherever they come from
    {
        "forward",
        "backward",
        "gradient",
        "grad",
        "jacobian",
        "jac",
        "jvp",
        "hessian",
        "hess",
        "hvp",
        "value_and_gradient",
        "value_and_grad",
        "stand_in",
        "valid",
        "step",
    }
)
LIBRARIES = frozenset({"numpy", "scipy", "jax", "jaxlib", "torch", "math", "autograd"})
HERE = Path(__file__).resolve()
ADAPTERS, TRACING = HERE.with_name("adapters.py"), HERE.with_name("tracing.py")
ROOT = HERE.parents[1]
LIBRARY = Path(os.__file__).parent
INSTALLED = frozenset({"site-packages", "dist-packages"})  # folders of libraries

Place = tuple[int, ...]  # where a value stands: an index for each list or tuple that it is in
Arrays = list[tuple[Place, Any]]
Tree = Any
Value = Any  # of the subject


def prctl(option: int, value: int) -> None:
    """Set a process attribute of Linux; elsewhere do nothing."""
    with suppress(ImportError, OSError, AttributeError, TypeError):
        import ctypes  # noqa: PLC0415 - not every Python has it

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def enclose(sandbox: str, folder: Path) -> None:
    """Enter the sandbox. In a namespace, that takes a fork: the child returns, and the parent ends as it does."""
    if sandbox == "none":
        return
    spec = spec_from_file_location("manual_backprop_sandbox", HERE.with_name("sandbox.py"))
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - it is beside this file
    boundary = module_from_spec(spec)
    with suppress(OSError):  # once it is furnished, /proc can't be written to
        first_to_go()
    try:
        spec.loader.exec_module(boundary)
        if sandbox == "bubblewrap":  # which has made the rest before it started us
            boundary.filter_calls()
            return
        boundary.detach()
        child = os.fork()
        if child == 0:
            prctl(
                1, signal.SIGKILL
            )  # PR_SET_PDEATHSIG: die with the parent, and all in the namespace with us
            boundary.furnish(folder, FILE_LIMIT)
            return
    except (OSError, ImportError, AttributeError) as error:
        what = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        os.write(2, f"{getattr(error, 'strerror', None) or error}{what}".encode())
        os._exit(NO_SANDBOX)
    for end in range(3):
        os.close(end)
    os.closerange(3, 1 + max(CHANNELS))
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def supervise(*channels: int) -> None:
    """Fork. The child returns, to become the worker; the parent outlives it, kills what is left, and exits.

    Standard input is a pipe that the judge alone holds open: its end says that the judge let go, or died.
    """
    prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans among our descendants become our children
    supervisor = os.getpid()
    worker = os.fork()
    if worker == 0:
        prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: die with the supervisor
        if os.getppid() != supervisor:
            os._exit(BROKEN)
        os.setsid()  # a group of its own, which the subject can kill without harm to the supervisor
        return
    prctl(4, 0)  # PR_SET_DUMPABLE: our memory is not the subject's to write
    for end in (*channels, 1, 2):
        os.close(end)  # or the judge would not see the worker close them
    orders: list[int] = []

    def obey() -> None:
        os.read(0, 1)
        orders.append(DAEMONS if has_orphans(worker) else BROKEN)
        os.kill(worker, signal.SIGKILL)

    threading.Thread(target=obey, daemon=True).start()
    ended, status = os.waitpid(-1, 0)
    while ended != worker:  # an orphan
        ended, status = os.waitpid(-1, 0)
    kill_family(worker)
    code = SIGNALLED + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    os._exit(orders[0] if orders else code)


def has_orphans(worker: int) -> bool:
    """Whether we have adopted what still runs; what has ended is gone after a look or two, when it was waited for.

    Of processes that fork and exit for ever, each is over when it is looked at, and there is another.
    """
    for _ in range(LOOKS):
        adopted = set(children(os.getpid())) - {worker}
        if not all(map(is_over, adopted)):
            return True
        if not adopted:
            return False
        time.sleep(0)  # lets others run
    return True


def kill_family(group: int) -> None:
    """Kill the process group and all our descendants, and wait for them.

    Of processes that fork and exit for ever, those that are listed are dead before they run again, all but the one
    that runs meanwhile on another core: each pass leaves less of them.
    """
    while True:
        with suppress(OSError):  # the group is gone
            os.killpg(group, signal.SIGKILL)
        for child in children(os.getpid()):
            with suppress(OSError):  # it runs as another user
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)  # whose children are ours now
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return


def children(parent: int) -> list[int]:
    """The processes whose parent this is, where the system has /proc: those too that are over and not waited for."""
    try:
        lists = [path.read_bytes() for path in Path(f"/proc/{parent}/task").glob("*/children")]
    except OSError:  # it is over
        lists = []
    if lists:
        return [int(child) for each in lists for child in each.split()]
    return [  # a kernel without these files
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if stat_of(process.name)[1:2] == [b"%d" % parent]
    ]


def is_over(process: int) -> bool:
    """Whether the process has ended, and is only not waited for."""
    return stat_of(process)[:1] in ([], [b"Z"], [b"X"])


def is_stopped(process: int) -> bool:
    """Whether the process was stopped by a signal, or is held by one of its own descendants that traces it."""
    state = stat_of(process)[:1]
    return state == [b"T"] or (state == [b"t"] and _descends(_tracer_of(process), process))


def _tracer_of(process: int) -> int:
    """The process that traces it; 0 for none."""
    try:
        status = Path(f"/proc/{process}/status").read_text("ascii", "replace")
    except OSError:
        return 0
    return int(status.partition("TracerPid:")[2].split()[0])


def _descends(process: int, ancestor: int) -> bool:
    while process > 1 and process != ancestor:
        stat = stat_of(process)
        process = int(stat[1]) if stat else 0
    return process == ancestor


def stat_of(process: int | str) -> list[bytes]:
    """State, parent and more of the process, as in /proc/PID/stat after the name; nothing where there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def first_to_go() -> None:
    """When the memory of the machine is full, this process shall end before others. Raises OSError."""
    Path("/proc/self/oom_score_adj").write_text("1000", "ascii")


ARGUMENTS = sys.argv[1:5] if __name__ == "__main__" else ["", "", "none", ""]
CHANNELS = [int(argument) for argument in ARGUMENTS[:2] if argument]
SANDBOX, FOLDER = ARGUMENTS[2], Path(ARGUMENTS[3])
if __name__ == "__main__":
    if os.name == "posix":
        enclose(SANDBOX, FOLDER)
        supervise(*CHANNELS)  # before NumPy: not all of its libraries survive a fork
    if find_spec("numpy") is None:
        os._exit(NO_NUMPY)
    __builtins__ = dict(vars(builtins))  # the functions below keep these, whatever the subject replaces

from numpy import (  # noqa: E402 - after the fork
    asarray,
    broadcast_to,
    dtype,
    empty,
    generic,
    may_share_memory,
    ndarray,
)

# Bound here, as the names above: a subject that replaces `np.asarray` or `os.write` does not replace ours.
read, write, getpid, leave, now = os.read, os.write, os.getpid, os._exit, time.perf_counter
settrace, setprofile, exc_info = sys.settrace, sys.setprofile, sys.exc_info
to_json = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
from_json = json.JSONDecoder().decode
name_of: Callable[[type], str] = vars(type)["__name__"].__get__  # a metaclass can't redefine it
NUMBERS = [dtype(code) for code in ("?", *"bhilqBHILQefdgFDG")]
DTYPES = {number.str: number for number in NUMBERS}


@dataclass(frozen=True, repr=False)
class Unsupported:
    """A value that is neither an array nor a number, list, tuple or None: `type_name` is "a str", for one."""

    type_name: str

    def __repr__(self) -> str:
        """As a sentence names it."""
        return self.type_name


class OversizeError(Exception):
    """What the subject returned is larger than any gradient of these arguments."""


class UnreadableError(Exception):
    """The subject can't be read as Python source."""


class Encoder:
    """Turns a value into a tree and a list of arrays, and trusts nothing that the value's classes define."""

    def __init__(self, limit: float, *, plain: bool = False) -> None:
        """At most `limit` bytes of arrays; `plain` for PROBLEM, with strings and dicts and without arrays."""
        self.limit = limit
        self.plain = plain
        self.bytes = 0
        self.nodes = 0
        self.arrays: Arrays = []
        self.refused: list[str] = []

    def refuse(self, what: str) -> Tree:
        """The tree of what can't be sent."""
        self.refused.append(what)
        return ["u", what]

    def encode(self, value: Value, place: Place = ()) -> Tree:
        """The tree of the value that stands there. Raises OversizeError."""
        self.nodes += 1
        if self.nodes > NODE_LIMIT:
            raise OversizeError(f"a structure of more than {NODE_LIMIT} values")
        kind = type(value)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**64 else self.refuse("an integer of more than 64 bits")
        if issubclass(kind, (list, tuple)):
            if len(place) == DEPTH_LIMIT:
                return self.refuse(f"a list inside of {DEPTH_LIMIT} lists")
            base = list if issubclass(kind, list) else tuple  # whose iteration the subject can't redefine
            items = [self.encode(item, (*place, i)) for i, item in enumerate(base.__iter__(value))]
            return ["l" if base is list or self.plain else "t", *items]
        try:
            return (
                self.encode_word(value, kind, place) if self.plain else self.encode_array(value, kind, place)
            )
        except (OversizeError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 - a method of the value raised it
            return self.refuse(a(kind))

    def encode_array(self, value: Value, kind: type, place: Place) -> Tree:
        """The tree of an array or a NumPy scalar, or of what NumPy converts to an array of numbers."""
        number = issubclass(kind, (generic, complex))
        if kind is not ndarray and not (number or hasattr(kind, "__array__")):
            return self.refuse(a(kind))
        if kind is not ndarray and "MaskedArray" in map(name_of, kind.__mro__):
            return self.refuse("a masked array")  # its mask would be lost
        array = asarray(value)
        code = array.dtype.str
        if code not in DTYPES and array.dtype.newbyteorder("<").str in DTYPES:
            array = array.astype(array.dtype.newbyteorder("<"))
            code = array.dtype.str
        if code not in DTYPES or array.ndim > DEPTH_LIMIT:
            content = "Python objects" if code == "|O" else f"dtype {array.dtype.name}"
            return self.refuse(f"an array of {content}" if kind is ndarray else a(kind))
        self.bytes += array.nbytes
        if self.bytes > self.limit:
            raise OversizeError(f"more than {self.limit / 2**20:.0f} MiB of arrays")
        self.arrays.append((place, array))
        return ["s" if number else "a", code, list(array.shape)]

    def encode_word(self, value: Value, kind: type, place: Place) -> Tree:
        """The tree of a string, a dict, a NumPy scalar, or a dtype (which becomes its name)."""
        if short(value):
            return value
        if issubclass(kind, dict):
            value = dict(value)  # of a subclass too, such as OrderedDict
            if not all(map(short, value)):
                return self.refuse("a dict with keys that are no names")
            if len(place) < DEPTH_LIMIT:
                return ["d", *([key, self.encode(value[key], (*place, i))] for i, key in enumerate(value))]
        if issubclass(kind, dtype) or value is float or (kind is type and issubclass(value, generic)):
            return dtype(value).name
        if issubclass(kind, generic) and type(value.item()) in (bool, int, float):
            return value.item()
        return self.refuse(a(kind))


class Words(Encoder):
    """Turns what a file declares into a tree: strings, dicts, and functions by their signatures."""

    def __init__(self) -> None:
        """No arrays."""
        super().__init__(0, plain=True)

    def encode(self, value: Value, place: Place = ()) -> Tree:
        """The tree of the value that stands there; tuples stay tuples."""
        kind = type(value)
        if kind is range and len(value) <= NODE_LIMIT:
            value = list(value)
        is_number_type = value is float or (kind is type and issubclass(value, generic))
        if callable(value) and not is_number_type:
            self.nodes += 1
            return ["f", described(value)]
        tree = super().encode(value, place)
        if issubclass(kind, tuple) and type(tree) is list and tree[0] == "l":
            tree[0] = "t"
        return tree


class Decoder:
    """Builds values from trees and a payload. Raises ValueError or TypeError for what is no tree.

    Without a `layout` the arrays are views of the payload. With one they are `arranged` copies.
    """

    def __init__(self, payload: bytearray, layout: str | None = None, *, plain: bool = False) -> None:
        """Start at the beginning of the payload; `plain` for PROBLEM."""
        self.payload = payload
        self.plain = plain
        self.offset = 0
        self.layout = layout
        self.arrays: list[tuple[Place, Any, Place, bytearray]] = []  # place, array, shape, bytes
        self.lists: list[tuple[Place, list[Any], list[Any]]] = []  # place, list, its items

    def decode(self, tree: Tree, place: Place = ()) -> Value:
        """The value of the tree that stands there."""
        kind = type(tree)
        if tree is None or kind in (bool, float) or (kind is int and -(2**63) <= tree < 2**64):
            return tree
        if self.plain and kind is str:
            return printable(tree)
        if kind is not list or not tree or len(place) > DEPTH_LIMIT:
            raise ValueError("not a tree")
        tag, *rest = tree
        if tag in ("l", "t"):
            value = [self.decode(item, (*place, i)) for i, item in enumerate(rest)]
            self.lists += [(place, value, value.copy())] if tag == "l" else []
            return value if tag == "l" else tuple(value)
        if self.plain and tag == "d":
            return {printable(key): self.decode(item, (*place, i)) for i, (key, item) in enumerate(rest)}
        if tag == "u":
            return Unsupported(printable(*rest))
        if tag not in ("a", "s"):
            raise ValueError("not a tag")
        array = self.decode_array(place, *rest)
        return array[()] if tag == "s" else array

    def decode_array(self, place: Place, code: str, shape: list[int]) -> Value:
        """The next array of the payload."""
        if type(shape) is not list or any(type(n) is not int or n < 0 for n in shape) or code not in DTYPES:
            raise ValueError("not an array")
        end = self.offset + prod(shape) * DTYPES[code].itemsize
        if end > len(self.payload):
            raise ValueError("the payload is too short")
        array = ndarray(shape, DTYPES[code], self.payload, self.offset)
        if self.layout:
            array = arranged(array, self.layout)
        self.arrays.append((place, array, array.shape, self.payload[self.offset : end]))
        self.offset = end + -end % ALIGNMENT
        return array

    def changes(self) -> list[Place]:
        """The places of the arrays and the lists that are no longer what they were when they were built."""
        changed = [
            place
            for place, array, shape, was in self.arrays
            if array.shape != shape or array.tobytes() != was
        ]
        for place, items, were in self.lists:
            if len(items) != len(were):
                changed.append(place)
            else:
                changed += [(*place, i) for i, item in enumerate(items) if item is not were[i]]
        return changed

    def shared(self, arrays: Arrays) -> list[Place]:
        """The places of those arrays that lie in our memory."""
        return [place for place, array in arrays if self.owner(array) is not None]

    def owner(self, array: Any) -> Place | None:
        """The place of our array in whose memory this one lies."""
        return next((place for place, own, _, _ in self.arrays if may_share_memory(array, own)), None)


def arranged(source: Any, layout: str) -> Any:
    """A copy that owns its memory, or is a view of an array that does: programs look at `.base`.

    In "C" order; in "F" order; "strided", every second element of a larger array (of NaN, or of -1); or
    "broadcast", with stride 0 along the axes on which all entries are equal, and read-only, as NumPy has it.
    """
    if layout == "strided" and source.size and source.ndim:
        memory = empty((*source.shape[:-1], 2 * source.shape[-1]), source.dtype)
        memory.view("u1").fill(255)
        array = memory[..., ::2]
    elif layout == "broadcast" and source.size:
        kept = source
        for axis in range(source.ndim):
            first = kept[(slice(None),) * axis + (slice(0, 1),)]
            kept = first if (kept == first).all() else kept
        return broadcast_to(kept.copy(), source.shape)
    else:
        array = empty(source.shape, source.dtype, order="F" if layout == "F" else "C")
    array[...] = source
    return array


def processor() -> float:
    """The processor seconds that the worker has used since it began, with those of its ended children."""
    return sum(os.times()[:4])


def short(value: Value) -> bool:
    """Whether this is a string of bounded length."""
    return type(value) is str and len(value) <= TEXT_LIMIT


def printable(text: Value) -> str:
    """The text without control characters, which could forge what a terminal shows.."""
    if type(text) is not str:
        raise TypeError("not a text")
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def a(kind: type) -> str:
    """A type's name with its article."""
    name = name_of(kind)[:TEXT_LIMIT] or "?"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def pack(token: bytes, message: dict[str, Any], arrays: Arrays) -> bytes:
    """One frame."""
    text = to_json(message).encode("ascii")
    text += b" " * (-len(text) % ALIGNMENT)
    payload = packed(arrays)
    return b"".join([HEADER.pack(MAGIC, token, len(text), len(payload)), text, payload])


def packed(arrays: Arrays) -> bytes:
    """The payload: the bytes of the arrays, each padded."""
    return b"".join(
        piece for _, array in arrays for piece in (array.tobytes(), b"\0" * (-array.nbytes % ALIGNMENT))
    )


def receive(
    pull: Callable[[int], bytes], limit: float, expected: bytes = b""
) -> tuple[bytes, dict[str, Any], bytearray]:
    """One frame as (token, message, payload), with the expected token and at most `limit` bytes of payload.

    `pull(n)` gives at most n bytes, and none at the end. Raises EOFError there, ValueError for another frame.
    """
    data, size, cut, token = bytearray(), HEADER.size, 0, b""
    while len(data) < size:
        piece = pull(min(1 << 20, size - len(data)) if cut else 1 << 16)
        if not piece:
            raise EOFError
        data += piece
        if not cut and len(data) >= size:
            magic, token, text_size, payload_size = HEADER.unpack_from(data)
            if (
                magic != MAGIC
                or expected not in (b"", token)
                or text_size > JSON_LIMIT
                or payload_size > limit
            ):
                raise ValueError("not the frame")
            cut = size + text_size
            size = cut + payload_size
    if len(data) > size:
        raise ValueError("more than a frame")
    try:
        message = from_json(data[HEADER.size : cut].decode("ascii"))
    except RecursionError:
        message = None
    if type(message) is not dict:
        raise ValueError("not a message")
    return token, message, data[cut:]


class Refusal:
    """The first finder: it refuses the judge's packages, but lets through a namesake beside the subject."""

    def __init__(self, folder: str, subject: str) -> None:
        """`subject` is the top-level name that is itself under test, or empty."""
        self.folder = folder
        self.subject = subject

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Called by `import` for each module that is not yet loaded."""
        del path, target
        if name not in OURS or name == self.subject:
            return None
        spec = PathFinder.find_spec(name, [self.folder])
        places = [] if spec is None else [spec.origin or "", *(spec.submodule_search_locations or [])]
        ours = {ROOT / name, ROOT / f"{name}.py"}
        if spec is None or any(
            ours & {place, *place.parents} for place in (Path(p).resolve() for p in places)
        ):
            raise ImportError(
                f"{name} belongs to the judge, and a module under test can't import it", name=name
            )
        return spec


class Subject:
    """The module under test: how it is loaded and called, and how its errors are told."""

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self.name = self.folder = ""
        self.memory: int | None = None
        self.reserve = b""
        self.functions: dict[str, Callable[..., Value]] = {}
        self.operations: Any = None  # those of `adapters`
        self.tracing: Any = None  # that file, once it was asked for
        self.answered: list[tuple[str, Place, Any, bytes]] = []  # by the last two calls of an operation
        self.warnings: list[str] = []
        self.returned: list[tuple[Place, Any, bytes]] = []  # place, array, its bytes at the time

    def answer(self, token: bytes, message: dict[str, Any], payload: bytearray) -> bytes:
        """The frame that answers a message. Nothing that the subject raises leaves this method."""
        doing = f"Importing {message['name']}" if "name" in message else message.get("function", "")
        try:
            self.reserve = self.reserve or bytes(RESERVE)
            if "name" in message:
                return pack(token, self.load(message["name"], message["path"], message["memory"]), [])
            if "operate" in message:
                return pack(token, *self.operate(message, payload))
            return pack(token, *self.call(message, payload)) if doing else pack(token, {}, [])
        except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt are answers here
            self.reserve = b""  # so that there is memory to tell that there is none
            return pack(token, self.explain(error, doing), [])
        finally:
            settrace(None)
            setprofile(None)

    def load(self, name: str, path: str, memory: int | None) -> dict[str, Any]:
        """Import the subject, a file or (where `path` is empty) a module of that name, and describe it."""
        self.name, self.memory = name, memory
        limit(memory)
        top = "" if path else name.partition(".")[0]
        # A subject finds its neighbours and its data where it does when its user runs it: in the folder of
        # the file, or for a module in the folder from where the judge was called.
        self.folder = str(Path(path).parent if path else Path.cwd())
        if top in OURS:
            sys.path.append(str(ROOT))
        else:
            sys.path[:] = [p for p in sys.path if Path(p).resolve() != ROOT or Path(p, "numpy").exists()]
        sys.path.insert(0, self.folder)
        sys.meta_path.insert(0, Refusal(self.folder, top))
        os.chdir(self.folder)
        warnings.simplefilter("always")
        warnings.showwarning = self.keep_warning
        sys.argv[:] = [path or name]  # as for a script that is run without arguments
        os.environ.setdefault("JAX_ENABLE_X64", "1")  # or JAX makes single precision of what it is given
        module = load_file(path) if path else self.load_module(name, top)
        for function_name in ("gradient", "loss", "step"):
            function = getattr(module, function_name, None)
            if callable(function):
                self.functions[function_name] = function
        problem = Encoder(0, plain=True).encode(getattr(module, "PROBLEM", None))
        self.operations = adapters.Operations(module)
        return {
            "problem": problem,
            "functions": {name: describe(f) for name, f in self.functions.items()},
            "module": self.contents(module),
        }

    def contents(self, module: types.ModuleType) -> dict[str, Any]:
        """What a declaration can be read from: the constants in capitals, and the module's own functions."""
        names = [name for name in vars(module) if short(name) and not name.startswith("_")][:NAME_LIMIT]
        constants: dict[str, Tree] = {}
        functions: dict[str, Any] = {}
        for name in names:
            value = vars(module)[name]
            if name.isupper() and len(name) > 1:
                constants[name] = Words().encode(value) if name in DECLARED else None
            elif callable(value) and (self.owns(value) or (name in CONTRACT and not came_along(name, value))):
                with suppress(Exception):  # one that can't be looked at is none that we could call
                    functions[name] = described(value)
        return {"constants": constants, "functions": functions, "jax": find_spec("jax") is not None}

    def seeing(self) -> list[types.ModuleType]:
        """The modules that see another NumPy while a forward pass is traced: see `tracing`."""
        return self.tracing.own_modules(self.folder)

    def owns(self, value: Value) -> bool:
        """Whether a function or a class was written in the subject's folder."""
        with suppress(Exception):
            code = getattr(value, "__code__", None) or getattr(
                getattr(value, "__wrapped__", None), "__code__", None
            )
            if code is not None:
                return bool(self.own(code.co_filename))
            return bool(self.own(getattr(sys.modules[value.__module__], "__file__", "")))
        return False

    def operate(self, message: dict[str, Any], payload: bytearray) -> tuple[dict[str, Any], Arrays]:
        """Do what an order says with an operation: see `adapters`, and `isolation.IsolatedModule.operate`."""
        decoder = Decoder(payload, message["layout"])
        arrays = list(decoder.decode(message["arguments"]))
        order = message["operate"]
        do, plan = order["do"], order["plan"]
        options = Decoder(bytearray(), plain=True).decode(order["options"])
        self.warnings.clear()
        answer: dict[str, Any] = {"run": 0, "once": "", "keys": None, "program": None, "why": ""}
        run: Any = None  # of `adapters`
        if do == "draw":
            value = self.operations.draw(order["path"], order["seed"], order["shape"], order["sizes"])
        elif do == "valid":
            value = bool(self.operations.function(plan, "valid")(order["sizes"], options))
        elif do == "trace":
            self.tracing = self.tracing or standing_alone(TRACING)
            answer["program"], value, answer["why"] = self.operations.program(
                order, options, self.tracing, self.folder, self.seeing()
            )
        elif do == "backward":
            run = self.operations.runs.get(order["run"])
            if run is None:
                raise adapters.Broken("The forward pass of this backward pass is no longer there")
            value = self.operations.backward(run, None if order["again"] else arrays, decoder)
        elif do == "several":
            value = self.several(order, arrays, options, decoder)
        else:
            count = len(plan["inputs"])
            run = self.operations.begin(plan, arrays[:count], options, order["sizes"], decoder)
            run.seed = order["seed"]
            adapters.seed_all(run.seed)
            if do == "forward":
                answer["run"] = self.operations.forward(run)
                answer["once"] = run.watch()
                value = run.outputs
            else:
                value = self.operations.evaluate(run, do, arrays[count:] if order["tangents"] else None)
        value = adapters.from_subject(value)
        if isinstance(value, dict):
            answer["keys"] = [key if short(key) else a(type(key)) for key in value]
            value = list(value.values())
        encoder = Encoder(message["limit"])
        answer["value"] = encoder.encode(value)
        answer["changed"], answer["cache"] = run.changes() if run is not None else ([], [])
        answer.update(self.traces(do, run, encoder.arrays), warnings=self.warnings, processor=processor())
        return answer, encoder.arrays

    def several(
        self, order: dict[str, Any], places: list[Any], options: dict[str, Value], decoder: Value
    ) -> list[list[Value]]:
        """The outputs at several places, up to the first where there are none, or for a while: a call has its limit."""
        found: list[list[Value]] = []
        end = now() + order["awhile"]
        for arrays in places:
            if now() > end:
                break
            run = self.operations.begin(order["plan"], arrays, options, order["sizes"], decoder)
            run.seed = order["seed"]
            adapters.seed_all(run.seed)
            try:
                self.operations.forward(run)
            except Exception:  # noqa: BLE001 - whoever asks for this place alone is told
                break
            outputs = adapters.from_subject(run.outputs)
            found.append(
                [copied(one) for one in (outputs.values() if isinstance(outputs, dict) else outputs)]
            )
        return found

    def traces(self, do: str, run: Any, arrays: Arrays) -> dict[str, Any]:
        """Whose memory the results lie in, and which earlier results this call changed."""
        aliased: list[list[Any]] = []
        reused: list[Place] = []
        decoders, watched = ([], []) if run is None else (run.decoders, run.watched)
        for place, array in arrays if run is not None else []:
            owners = [
                [group, *own]
                for group, decoder in enumerate(decoders)
                for own in [decoder.owner(array)]
                if own is not None
            ]
            inner = [label for label, own, _ in watched if may_share_memory(own, array)]
            if owners or inner:
                aliased.append([place, *(owners[:1] or [[]]), *(inner[:1] or [""])])
            elif any(may_share_memory(earlier, array) for _, _, earlier, _ in self.answered):
                reused.append(place)
        overwritten = [[who, place] for who, place, array, was in self.answered if array.tobytes() != was]
        kept = [one for one in self.answered if one[0] != do]
        if do in ("forward", "backward"):
            self.answered = [*kept, *((do, place, array, array.tobytes()) for place, array in arrays)]
        return {"aliased": aliased, "reused": reused, "overwritten": overwritten}

    def load_module(self, name: str, top: str) -> types.ModuleType:
        """Import a module by its name."""
        spec = find_spec(top)
        if spec is not None and spec.origin and Path(spec.origin).is_file():
            self.folder = str(Path(spec.origin).parent)
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not f"{name}.".startswith(f"{error.name}."):
                raise
            raise UnreadableError("is neither a file nor a module that the interpreter finds") from None

    def call(self, message: dict[str, Any], payload: bytearray) -> tuple[dict[str, Any], Arrays]:
        """Call a function of the subject on fresh arguments, and look at what it did to them."""
        decoder = Decoder(payload, message["layout"])
        arguments = decoder.decode(message["arguments"])
        self.warnings.clear()
        value = self.functions[message["function"]](*arguments, **message["keywords"])
        encoder = Encoder(message["limit"])
        answer = {
            "value": encoder.encode(value),
            "mutated": decoder.changes(),
            "aliased": decoder.shared(encoder.arrays),
            "overwritten": [place for place, array, was in self.returned if array.tobytes() != was],
            "warnings": self.warnings,
            "processor": processor(),
        }
        self.returned = [(place, array, array.tobytes()) for place, array in encoder.arrays]
        return answer, encoder.arrays

    def keep_warning(self, message: Value, category: type, *_: object, **__: object) -> None:
        """Stands in for `warnings.showwarning`."""
        if len(self.warnings) < WARNING_LIMIT:
            self.warnings.append(f"{name_of(category)}: {one_line(message)}")

    def explain(self, error: BaseException, doing: str) -> dict[str, Any]:
        """The fault that the judge tells: a kind, one sentence, and the frames of the subject's files."""
        text, name, frames = one_line(error), name_of(type(error)), self.frames()
        said = f"{name}: {text.rstrip('.')}" if text else name
        lines = [f'  File "{f}", line {line}, in {scope}\n    {code}' for f, line, scope, code in frames]
        trace = "\n".join(["Traceback (most recent call last):", *lines, said]) if lines else ""
        where = f" (line {frames[-1][1]} of {frames[-1][0]})" if frames else ""
        kind, sentence = self.sentence(error, doing, text, where) or (
            "exception",
            f"{doing} raised {said}{where}",
        )
        return {"fault": kind, "sentence": f"{sentence}.", "trace": trace}

    def sentence(  # noqa: PLR0911 - a table
        self, error: BaseException, doing: str, text: str, where: str
    ) -> tuple[str, str] | None:
        """The kind of the fault and its sentence, for an error that has a kind of its own."""
        if isinstance(error, SyntaxError) and self.shown(error.filename):
            place = f"{self.shown(error.filename)} has a syntax error in line {error.lineno}"
            return "syntax", f"{place}: {one_line(error.msg)}"
        if isinstance(error, MemoryError):
            allowed = (
                f"the {self.memory / 2**30:.3g} GiB of memory that it may use" if self.memory else "memory"
            )
            return "memory", f"{doing} used up {allowed}{where}"
        if isinstance(error, OversizeError):
            return "size", f"{doing} returned {text}, far more than its arguments have"
        if isinstance(error, adapters.Broken):
            return "contract", str(error)
        if is_refused(error, text):
            return "undefined", f"{doing} raised {name_of(type(error))}: {text.rstrip('.')}{where}"
        if isinstance(error, UnreadableError):
            return "not_found", f"{self.name} {text}"
        if isinstance(error, SystemExit):
            return "exit", f"{doing} called sys.exit({text}) instead of returning{where}"
        if isinstance(error, ModuleNotFoundError):
            hint = "install it for this interpreter, or choose the interpreter that has it (--python PATH)"
            return "import", f"{doing} failed: {text}{where}: {hint}"
        if isinstance(error, ImportError):
            return "import", f"{doing} failed: {text.rstrip('.')}{where}"
        return None

    def frames(self) -> list[tuple[str, int, str, str]]:
        """Of the error that is being handled, the frames outside of libraries and of us: file, line, scope, code."""
        every, found = [], []
        traceback = exc_info()[2]
        while traceback is not None:
            every.append((traceback.tb_frame.f_code, traceback.tb_lineno))
            traceback = traceback.tb_next
        for code, line in reversed(every):  # a recursion has a thousand
            file = self.shown(code.co_filename)
            if file:
                found.append((file, line, code.co_name, getline(code.co_filename, line).strip()))
            if len(found) == FRAME_LIMIT:
                break
        return found[::-1]

    def own(self, filename: str | None) -> str:
        """The file's path in the subject's folder; empty for one of a library, or of ours."""
        return self.shown(filename) if Path(self.folder) in Path(filename or "").parents else ""

    def shown(self, filename: str | None) -> str:
        """The file's path from the subject's folder, wherever it is; empty for one of a library, or of ours."""
        path = Path(filename or "")
        if not path.is_absolute() or LIBRARY in path.parents or path in (HERE, ADAPTERS, TRACING):
            return ""
        try:
            inner = Path(os.path.relpath(path, self.folder))
        except ValueError:  # on another drive of Windows
            inner = Path(path.name)
        return "" if INSTALLED.intersection(inner.parts) else str(inner)


def is_refused(error: BaseException, text: str) -> bool:
    """Whether a library has no answer for these numbers: for a singular matrix, or for what is no number."""
    kinds = {kind.__name__.lstrip("_") for kind in type(error).__mro__}
    return ("LinAlgError" in kinds and "square" not in text) or (
        "ValueError" in kinds and "infs or NaNs" in text
    )


def load_file(path: str) -> types.ModuleType:
    """Import a file under its own name, from its source: a stale .pyc is never used."""
    try:
        source = Path(path).read_bytes()
        source.decode(detect_encoding(BytesIO(source).readline)[0])
    except OSError as error:
        raise UnreadableError(f"can't be read: {error.strerror}") from None
    except (UnicodeDecodeError, SyntaxError):
        raise UnreadableError("is not a text in UTF-8, as Python source has to be") from None
    if b"\0" in source:
        raise UnreadableError("holds null bytes, so it is not Python source")
    name = Path(path).stem
    name = f"subject_{name}" if name in sys.modules else name
    spec = spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101 - the judge has looked that this is a .py file
    module = module_from_spec(spec)
    vars(module)["__builtins__"] = builtins  # not our copy
    sys.modules[name] = module
    exec(compile(source, path, "exec", dont_inherit=True), vars(module))  # noqa: S102 - the import
    return module


def copied(value: Value) -> Value:
    """The value in memory of ours, where the next call writes nothing."""
    if isinstance(value, (list, tuple)):
        return [copied(one) for one in value]
    if not isinstance(value, ndarray):
        return value
    array = empty(value.shape, value.dtype)
    array[...] = value
    return array


def in_library(value: Value) -> bool:
    """Whether a function is one of NumPy, or of its like, that a `from numpy import *` brought along."""
    return str(getattr(value, "__module__", "")).partition(".")[0] in LIBRARIES


def came_along(name: str, value: Value) -> bool:
    """Whether a library's function has its own name here: `forward = rosen` is somebody's choice."""
    return in_library(value) and getattr(value, "__name__", name) == name


def standing_alone(path: Path) -> Any:
    """A file beside this one, loaded by its path, with the built-ins that we keep; no subject can import it."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None  # noqa: S101 - the judge has looked that this is a .py file
    assert spec.loader is not None  # noqa: S101 - as above
    module = module_from_spec(spec)
    vars(module)["__builtins__"] = __builtins__
    spec.loader.exec_module(module)
    return module


adapters = standing_alone(ADAPTERS)


def described(value: Value) -> dict[str, Any]:
    """What a declaration needs of a function or a class: the fields of `isolation.Function`."""
    family = getattr(value, "__self__", value)  # of F.apply: F
    names = [
        (name_of(kind), str(kind.__module__))
        for kind in (family if isinstance(family, type) else type(value)).__mro__
    ]
    sort, methods, signature = "function", {}, None
    if any(name == "Function" and module.startswith("torch.autograd") for name, module in names):
        sort, signature = "autograd", describe(family.forward)
        context = signature["positional"][:1] == ["ctx"]
        signature.update(
            positional=signature["positional"][context:],
            required=signature["required"] - context,
            keywords=[],
            required_keywords=[],
        )
    elif any(name == "custom_vjp" and module.startswith("jax") for name, module in names):
        sort = "custom_vjp"
    elif isinstance(value, type):
        sort = "class"
        for name in [name for name in dir(value) if not name.startswith("_") and short(name)][:NAME_LIMIT]:
            method = getattr(value, name, None)
            if callable(method):
                methods[name] = describe(method)
                if isinstance(inspect.getattr_static(value, name), types.FunctionType):
                    methods[name]["positional"] = methods[name]["positional"][1:]
                    methods[name]["required"] = max(0, methods[name]["required"] - 1)
    return {"sort": sort, "signature": signature or describe(value), "methods": methods}


def describe(function: Callable[..., Any]) -> dict[str, Any]:
    """The signature, as the fields of `isolation.Signature`."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a function from C
        parameters = [inspect.Parameter("arguments", inspect.Parameter.VAR_POSITIONAL)]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keywords = [p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return {
        "positional": [p.name for p in positional],
        "required": sum(p.default is p.empty for p in positional),
        "keywords": [p.name for p in keywords],
        "required_keywords": [p.name for p in keywords if p.kind is p.KEYWORD_ONLY and p.default is p.empty],
        "any_positional": any(p.kind is p.VAR_POSITIONAL for p in parameters),
        "any_keyword": any(p.kind is p.VAR_KEYWORD for p in parameters),
    }


def one_line(value: object) -> str:
    """The text of an error or a warning, in one line of bounded length."""
    try:
        return " ".join(str(value)[:TEXT_LIMIT].split())
    except BaseException:  # noqa: BLE001 - the subject may have written `__str__`
        return ""


def limit(memory: int | None) -> None:
    """Bound what this process may use; the subject's children inherit it.

    RLIMIT_DATA counts private pages that can be written. RLIMIT_AS would also count the tens of GiB of
    address space that torch, JAX and CUDA reserve and never use.
    """
    if os.name != "posix":
        return
    import resource  # noqa: PLC0415 - Windows has none

    limits = ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_FSIZE, FILE_LIMIT), (resource.RLIMIT_CORE, 0))
    for name, value in limits:
        hard = resource.getrlimit(name)[1]
        if value is not None and (hard == resource.RLIM_INFINITY or value < hard):
            resource.setrlimit(name, (value, value))
    with suppress(OSError):  # not on Linux
        first_to_go()


def serve(requests: int, answers: int) -> None:
    """Answer until the judge closes its pipe. A child that the subject forked never gets to answer."""
    worker, subject, pull = getpid(), Subject(), partial(read, requests)
    try:
        while True:
            token, message, payload = receive(pull, float("inf"))
            frame = memoryview(subject.answer(token, message, payload))
            if getpid() != worker:
                break
            while frame:
                frame = frame[write(answers, frame) :]
    finally:
        leave(BROKEN)


if __name__ == "__main__":
    REQUESTS, ANSWERS = map(os.dup, CHANNELS)  # a duplicate is not passed on to programs that are started
    for channel in CHANNELS:
        os.close(channel)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the subject's input is empty,
    os.dup2(2, 1)  # and its output goes where its errors go
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue]
    with suppress(OSError):  # what is wrong with it, the import tells
        os.chdir(FOLDER)
    sys.modules["__main__"] = types.ModuleType("__main__")  # this module is out of the subject's easy reach
    serve(REQUESTS, ANSWERS)
