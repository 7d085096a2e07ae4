"""What the processes of one run share: what JAX compiles, and the machine, which some tests want for themselves."""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

if sys.platform != "win32":
    import fcntl

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # the first process of the run; the others inherit it
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled = tempfile.mkdtemp(prefix="jax-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    atexit.register(shutil.rmtree, compiled, ignore_errors=True)

pytest_plugins = ["harness.items"]

HAS_ITS_TURN = "PYTEST_TEST_HAS_ITS_TURN"
IS_WITHIN_A_TEST = HAS_ITS_TURN in os.environ
"""Whether a test started this run of pytest: it goes on in the turn of that test, which waits for it."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test marked `alone` waits until no other one runs, and none begins before it has ended.

    Files that fork for ever take all processes that the machine has. The others share `running`; who wants to be
    alone keeps `entrance` closed while it waits, or they would never all be out.
    """
    if sys.platform == "win32" or IS_WITHIN_A_TEST or "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)  # another process takes the turns, or this one runs all tests
    folder, is_alone = (
        Path(os.environ["JAX_COMPILATION_CACHE_DIR"]),
        item.get_closest_marker("alone") is not None,
    )
    folder.mkdir(exist_ok=True)
    with (folder / "entrance").open("w") as entrance, (folder / "running").open("w") as running:
        fcntl.flock(entrance, fcntl.LOCK_EX)
        fcntl.flock(running, fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH)
        if not is_alone:
            fcntl.flock(entrance, fcntl.LOCK_UN)
        os.environ[HAS_ITS_TURN] = "1"
        try:
            return (yield)
        finally:
            del os.environ[HAS_ITS_TURN]
