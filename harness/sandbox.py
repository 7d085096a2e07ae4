"""A boundary of the kernel around a subject: what `--sandbox namespace` asks of Linux.

The supervisor (`worker.py`) loads this file under the subject's interpreter, so it needs Python 3.9 and its standard
library alone. `detach` leaves the namespaces of the user's other processes, and `furnish`, in the first process of the
new ones, makes the file system what the subject shall see. Sources: the manual pages namespaces(7),
user_namespaces(7), pid_namespaces(7), mount_setattr(2), capabilities(7), seccomp(2), and overlayfs of the kernel.

**Processes.** The first process of a PID namespace is the parent of all that lose theirs, no signal from within ends
it, and with it the kernel kills every other: none of them can fork faster than that.

**Network.** A new network namespace has no interface that is up. A socket of the file system is no part of it, and no
part of a read-only mount either: docker.sock, or the bus of a desktop, would start a process outside. So no socket of
such a family can be made (a filter of system calls); `socketpair` stays.

**Files.** Everything that the user can read stays where it is, and is read-only: every mount of the new namespace, by
one call. What is written to /tmp and to the folder of the subject goes to a layer in memory, which ends with the
namespace; /dev has the few files that programs need; /proc shows the processes of the namespace alone.

**Rights.** None are left that could undo this, and none can be had: no user namespace can be made within.
"""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress
from pathlib import Path

NEWNS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
READ_ONLY, NO_SUID, NO_DEVICES, NO_PROGRAMS, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
DETACH = 2  # of umount2
MOUNT_SETATTR = 442  # the number of the system call, the same on all machines of `MACHINES`
AT_RECURSIVE = 0x8000
DAC_READ_SEARCH = 2  # the capability of root to read what belongs to others
ROOT, DEV, PROC, TEMPORARY = Path("/"), Path("/dev"), Path("/proc"), Path("/tmp")  # noqa: S108 - one of its own
SHARED = DEV / "shm"
DEVICES = ("null", "zero", "full", "random", "urandom")

MACHINES = {  # the kernel's name of the machine, and of its calls: socket, clone, and those that are refused
    "x86_64": (0xC000003E, 41, 56, (248, 249, 250, 272)),  # add_key, request_key, keyctl, unshare
    "aarch64": (0xC00000B7, 198, 220, (217, 218, 219, 97)),
}
REFUSED = (
    425,
    435,
)  # on every machine: io_uring_setup, which makes sockets too; clone3, for which there is clone
FAMILIES = (2, 10, 16)  # IPv4, IPv6 and netlink: they are as empty as the network namespace
X32 = 0x40000000  # x86-64 has a second set of calls from here on
ALLOW, REFUSE = 0x7FFF0000, 0x00050000  # of a filter; the lower half of REFUSE is the error
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # of the filter's language
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in what the filter sees

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library, with integers as wide as a register. Raises OSError."""
    wide = (ctypes.c_long(one) if isinstance(one, int) else one for one in arguments)
    if getattr(_libc, name)(*wide) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def _mount(source: Path | str, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    texts = [os.fsencode(text) or None for text in (source, target, kind, options)]
    _call("mount", *texts[:3], flags, texts[3])


def _set_attributes(path: Path, *, on: int = 0, off: int = 0, flags: int = 0) -> None:
    """Change the attributes of a mount, with AT_RECURSIVE of all below it too."""
    wanted = struct.pack("=4Q", on, off, 0, 0)
    _call("syscall", MOUNT_SETATTR, -1, os.fsencode(path), flags, wanted, len(wanted))


def detach() -> None:
    """Unshare; the next fork is the first process of the new namespaces. Raises OSError where that is forbidden."""
    if os.uname().machine not in MACHINES:
        raise OSError(ENOSYS, f"its calls on {os.uname().machine} are not known", "seccomp")
    user, group = os.geteuid(), os.getegid()
    namespaces = NEWNS | NEWPID | NEWNET | NEWIPC
    if user == 0:
        with suppress(PermissionError):
            _call("unshare", namespaces)
            return
    _call("unshare", namespaces | NEWUSER)
    (PROC / "self/setgroups").write_text("deny", "ascii")
    (PROC / "self/uid_map").write_text(f"{user} {user} 1", "ascii")
    (PROC / "self/gid_map").write_text(f"{group} {group} 1", "ascii")


def furnish(folder: Path, size: int) -> None:
    """Mount what the subject in `folder` shall see, with `size` bytes for each writable place, and give up all rights.

    Raises OSError where a part of it is forbidden.
    """
    _mount("", ROOT, flags=RECURSIVE | PRIVATE)
    _furnish_devices()
    folder = folder.resolve()
    places = {place: _opened(place) for place in (TEMPORARY, folder)}  # as they are now, without a layer
    if not _layer(TEMPORARY, places[TEMPORARY], size):
        _furnish_temporary(size)
    _set_attributes(ROOT, on=READ_ONLY, flags=AT_RECURSIVE)
    _set_attributes(TEMPORARY, off=READ_ONLY)
    if folder != TEMPORARY:
        _layer(folder, places[folder], size)  # where that can't be done, it is read-only
    for opened in filter(None, places.values()):
        os.close(opened)
    _memory(SHARED, size)
    _mount("proc", PROC, "proc", READ_ONLY | NO_SUID | NO_DEVICES | NO_PROGRAMS)
    _drop_rights()
    filter_calls()


def _memory(target: Path, size: int) -> None:
    """A file system in memory."""
    _mount("tmpfs", target, "tmpfs", NO_SUID | NO_DEVICES, f"size={size},mode=1777")


def _furnish_devices() -> None:
    """A /dev with the files that programs need, instead of the machine's disks and terminals."""
    kept = {DEV / name: os.open(DEV / name, os.O_PATH) for name in DEVICES}
    _mount("tmpfs", DEV, "tmpfs", NO_SUID, "size=64k,mode=755")
    for target, opened in kept.items():
        target.touch()
        _mount(PROC / f"self/fd/{opened}", target, flags=BIND)
        os.close(opened)
    for name, source in (("fd", ""), ("stdin", "0"), ("stdout", "1"), ("stderr", "2")):
        (DEV / name).symlink_to(PROC / "self/fd" / source)
    SHARED.mkdir()


def _opened(folder: Path) -> int | None:
    """The folder as a file descriptor; None where it can't be opened, which the import of the subject tells."""
    with suppress(OSError):
        return os.open(folder, os.O_PATH | os.O_DIRECTORY)
    return None


def _layer(folder: Path, opened: int | None, size: int) -> bool:
    """Put a writable layer in memory over the opened folder, at its place; whether that can be done here.

    It can't where something is mounted below the folder, which the layer would hide.
    """
    if opened is None:
        return False
    below = os.path.join(os.fsencode(folder), b"")  # noqa: PTH118 - with a slash at its end
    mounts = (PROC / "self/mountinfo").read_bytes().splitlines()
    if any(line.split()[4].startswith(below) for line in mounts):
        return False
    _memory(SHARED, size)
    try:
        upper, work = SHARED / "upper", SHARED / "work"
        upper.mkdir()
        work.mkdir()
        was = os.fstat(opened)
        with suppress(OSError):  # of a user that this one can't give files to: the layer is its own then
            os.chown(upper, was.st_uid, was.st_gid)
        upper.chmod(was.st_mode & 0o7777)
        os.fchdir(opened)  # its name may hold what separates options
        options = f"lowerdir=.,upperdir={upper},workdir={work},userxattr"
        _mount("overlay", folder, "overlay", NO_SUID | NO_DEVICES, options)
    except OSError:
        return False
    else:
        return True
    finally:
        os.chdir(ROOT)
        _call("umount2", os.fsencode(SHARED), DETACH)  # the layer holds it


def _furnish_temporary(size: int) -> None:
    """A /tmp in memory, with what is there now in it, read-only like all else."""
    links = {entry: entry.readlink() for entry in TEMPORARY.iterdir() if entry.is_symlink()}
    kept = {entry: os.open(entry, os.O_PATH) for entry in TEMPORARY.iterdir() if _is_kept(entry)}
    folders = {entry for entry in kept if entry.is_dir()}
    _memory(TEMPORARY, size)
    for entry, target in links.items():
        entry.symlink_to(target)
    for entry, opened in kept.items():
        entry.mkdir() if entry in folders else entry.touch()
        _mount(PROC / f"self/fd/{opened}", entry, flags=BIND | RECURSIVE)
        os.close(opened)


def _is_kept(entry: Path) -> bool:
    """Whether this is something to read, and no socket or pipe."""
    return not entry.is_symlink() and (entry.is_dir() or entry.is_file())


def _drop_rights() -> None:
    """Give up all capabilities, and with no_new_privs what programs could give. Root still reads what root can."""
    kept = DAC_READ_SEARCH if os.geteuid() == 0 else -1
    with suppress(OSError):  # EINVAL: there are no more
        for capability in range(64):
            if capability != kept:
                _call("prctl", 24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    with suppress(OSError):  # a kernel that has none
        _call("prctl", 47, 4, 0, 0, 0)  # PR_CAP_AMBIENT_CLEAR_ALL
    _call("prctl", 38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    left = 1 << kept if kept >= 0 else 0
    header, rights = struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", left, left, 0, 0, 0, 0)
    _call("capset", header, rights)  # two words each of effective, permitted and inheritable


def filter_calls() -> None:
    """Refuse what leads out of the namespaces: sockets of the file system, keyrings, and user namespaces.

    Needs no right. A filter is a program without loops, which ends with what becomes of the call.
    """
    machine, socket, clone, refused = MACHINES[os.uname().machine]
    refused += REFUSED
    lines = [  # (what to do, operand, lines to skip where it holds, and where it doesn't)
        (LOAD, ARCHITECTURE, 0, 0),
        (EQUAL, machine, 1, 0),
        (RETURN, REFUSE | ENOSYS, 0, 0),  # the calls of 32-bit programs have other numbers
        (LOAD, NUMBER, 0, 0),
        (AT_LEAST, X32, len(refused), 0),
        *((EQUAL, number, len(refused) - 1 - i, 0) for i, number in enumerate(refused[:-1])),
        (EQUAL, refused[-1], 0, 1),
        (RETURN, REFUSE | ENOSYS, 0, 0),
        (EQUAL, clone, 0, 3),
        (LOAD, FIRST_ARGUMENT, 0, 0),
        (ANY_BIT, NEWUSER, 0, 4 + len(FAMILIES)),
        (RETURN, REFUSE | EPERM, 0, 0),
        (EQUAL, socket, 0, 2 + len(FAMILIES)),
        (LOAD, FIRST_ARGUMENT, 0, 0),
        *((EQUAL, family, len(FAMILIES) - i, 0) for i, family in enumerate(FAMILIES)),
        (RETURN, REFUSE | EAFNOSUPPORT, 0, 0),
        (RETURN, ALLOW, 0, 0),
    ]
    code = b"".join(struct.pack("=HBBI", what, yes, no, operand) for what, operand, yes, no in lines)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(lines), ctypes.addressof(buffer))
    _call("prctl", 38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, without which only root may filter
    _call("prctl", 22, 2, program, 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
