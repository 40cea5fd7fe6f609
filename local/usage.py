"""Measures memory and CPU time of a process, because no container engine does it here."""

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

MIB = 1024 * 1024
VCPU = 1024  # CPU units
# Fields of /proc/<pid>/stat after the name in parentheses: utime, stime, cutime and cstime.
CPU_FIELDS = slice(11, 15)
FIRST_SECONDS, REPORT_SECONDS = 5.0, 15.0


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process in MiB; 0 if the system does not report it."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, IndexError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / MIB
    return 0.0


def cpu_seconds(pid: int) -> float | None:
    """Return the CPU time of a process and its ended children; None if it is not reported."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return sum(map(int, fields[CPU_FIELDS])) / os.sysconf("SC_CLK_TCK")
    return None


class Usage:
    """Reports a task's utilization as ECS does: in percent of what the task reserves.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html
    """

    def __init__(
        self, cloudwatch: Any, cluster: str, service: str, reserved: tuple[float, float]
    ) -> None:
        """Args:
        cloudwatch: a boto3 client.
        cluster, service: their names.
        reserved: CPU units, and memory in MiB.
        """
        self._cloudwatch = cloudwatch
        names = {"ClusterName": cluster, "ServiceName": service}
        self._dimensions = [{"Name": name, "Value": value} for name, value in names.items()]
        self._cpu, self._memory = reserved
        self._since = time.monotonic()
        self._used = 0.0
        self._due = self._since + FIRST_SECONDS

    def report_when_due(self, pid: int) -> None:
        """Report the use since the last report, every `REPORT_SECONDS`."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + REPORT_SECONDS
        used = cpu_seconds(pid)
        if used is None:
            return
        vcpus = (used - self._used) / (now - self._since)
        self._used, self._since = used, now
        values = {
            "CPUUtilization": 100 * vcpus * VCPU / self._cpu,
            "MemoryUtilization": 100 * resident_mib(pid) / self._memory,
        }
        data = [
            {"MetricName": name, "Dimensions": self._dimensions, "Value": value, "Unit": "Percent"}
            for name, value in values.items()
        ]
        with contextlib.suppress(ClientError, BotoCoreError):
            self._cloudwatch.put_metric_data(Namespace="AWS/ECS", MetricData=data)
