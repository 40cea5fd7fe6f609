"""The stack's own processes: found by a mark in their environment, ended without mistake."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

# Every process of a stack inherits this variable, with a value that no other stack has. So also
# those whose parent was killed are found, and never a stranger that got a recorded process id.
MARK = "SLIPWAY_LOCAL_STACK"


def marked(mark: str) -> set[int]:
    """Return the ids of all live processes which carry `mark`, the caller left out."""
    sought = f"{MARK}={mark}"
    found = _marked_on_linux(sought) if sys.platform == "linux" else _marked_elsewhere(sought)
    return found - {os.getpid()}


def _marked_on_linux(sought: str) -> set[int]:
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            # Gone meanwhile, or another user's. A zombie's environment reads as empty.
            with contextlib.suppress(OSError):
                if sought.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.add(int(folder.name))
    return found


def _marked_elsewhere(sought: str) -> set[int]:
    listing = subprocess.run(
        ["ps", "-A", "-E", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=True
    )
    rows = (line.split() for line in listing.stdout.splitlines())
    return {int(row[0]) for row in rows if sought in row[1:]}


def end_marked(mark: str, grace: float, spared: Iterable[int] = ()) -> None:
    """End all processes which carry `mark`: SIGTERM, and after `grace` seconds SIGKILL.

    Raises:
        TimeoutError: some are still there 5 s after SIGKILL.
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
    raise TimeoutError(f"processes {sorted(rest())} of the local stack do not end")


def end(process: "subprocess.Popen[bytes]", grace: float) -> int:
    """End one child: SIGTERM, and after `grace` seconds SIGKILL. Return its exit status."""
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
        TimeoutError: it was not true within `seconds`; the message is `what`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what or f"not within {seconds:g} s")
        time.sleep(interval)


def tail(path: Path, lines: int = 20) -> str:
    """Return the last `lines` lines of a text file, "" when there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
