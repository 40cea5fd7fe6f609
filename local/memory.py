"""Measures the memory of a process, because no container engine limits it here."""

import contextlib
import os
import sys
from pathlib import Path

MIB = 1024 * 1024


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process in MiB; 0 if the system does not report it."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, IndexError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / MIB
    return 0.0
