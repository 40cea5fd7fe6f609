"""Finds the processes of a stack by a mark in their environment, and ends only those."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

# Every process of a stack inherits this variable, with a value that no other stack has. The mark
# finds processes whose parent was killed, and never a process that reuses a recorded process ID.
MARK = "SLIPWAY_LOCAL_STACK"


def marked(mark: str) -> set[int]:
    """Return the IDs of all live processes that have `mark`, without the caller."""
    sought = f"{MARK}={mark}"
    pids = _marked_on_linux(sought) if sys.platform == "linux" else _marked_elsewhere(sought)
    return pids - {os.getpid()}


def _marked_on_linux(sought: str) -> set[int]:
    pids = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            # OSError: the process has exited or belongs to another user. A zombie reads as empty.
            with contextlib.suppress(OSError):
                if sought.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    pids.add(int(folder.name))
    return pids


def _marked_elsewhere(sought: str) -> set[int]:
    listing = subprocess.run(
        ["ps", "-A", "-E", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=True
    )
    rows = (line.split() for line in listing.stdout.splitlines())
    return {int(row[0]) for row in rows if sought in row[1:]}


def end_marked(mark: str, grace: float, spared: Iterable[int] = ()) -> None:
    """End all processes that have `mark`: SIGTERM, and after `grace` seconds SIGKILL.

    Raises:
        TimeoutError: some processes still run 5 s after SIGKILL.
    """
    kept = set(spared)

    def rest() -> set[int]:
        return marked(mark) - kept

    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        for pid in rest():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not rest(), seconds)
            return
    raise TimeoutError(
        f"The processes {sorted(rest())} of the local stack do not end after SIGKILL"
    )


def end(process: "subprocess.Popen[bytes]", grace: float) -> int:
    """End one child with SIGTERM, after `grace` seconds with SIGKILL; return its exit status."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        return process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def wait_until(
    condition: Callable[[], object], seconds: float, what: str = "", interval: float = 0.05
) -> None:
    """Return as soon as `condition()` is true.

    Raises:
        TimeoutError: the condition was false for `seconds`; the message is `what`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what or f"The condition was not true within {seconds:g} s")
        time.sleep(interval)


def tail(path: Path, lines: int = 20) -> str:
    """Return the last `lines` lines of a text file, "" if the file does not exist."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
