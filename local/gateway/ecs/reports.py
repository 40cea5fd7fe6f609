"""What the agent has reported about tasks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

# From the process's start to the first step of its stop.
RUNNING = "RUNNING"
STOPPED = "STOPPED"
# Reports of tasks that stopped longer ago are forgotten; ECS shows a stopped task for an hour.
KEPT_SECONDS = 3600.0


@dataclass(frozen=True)
class Report:
    """The latest report about one task.

    Attributes:
        status: a task status of ECS, such as "RUNNING", "DEACTIVATING", "STOPPED".
        cluster: the ARN of its cluster.
        address: the address of its process, "" if it never started.
        exit_code: None while it runs, and if it never started.
        container_reason: the container's own reason, such as "OutOfMemoryError: …".
        started_at: when the process started, in seconds since 1970; None if it never did.
        stopped_at: when it had ended.
    """

    status: str
    cluster: str
    address: str = ""
    exit_code: int | None = None
    container_reason: str = ""
    started_at: float | None = None
    stopped_at: float | None = None


class Reports:
    """The latest report about each task, by its ARN."""

    def __init__(self) -> None:
        self._reports: dict[str, Report] = {}

    def submit(self, params: Mapping[str, Any]) -> None:
        """Take the parameters of a SubmitTaskStateChange."""
        arn, status, now = params["task"], params["status"], time.time()
        before = self._reports.get(arn) or Report(status, params["cluster"])
        changed = replace(before, status=status)
        for container in params.get("containers", ()):
            bindings = container.get("networkBindings", ())
            changed = replace(
                changed,
                address=bindings[0]["bindIP"] if bindings else changed.address,
                exit_code=container.get("exitCode", changed.exit_code),
                container_reason=container.get("reason", changed.container_reason),
            )
        if status == RUNNING and before.started_at is None:
            changed = replace(changed, started_at=now)
        if status == STOPPED:
            changed = replace(changed, stopped_at=now)
            self._forget(now - KEPT_SECONDS)
        self._reports[arn] = changed

    def of(self, task: str) -> Report | None:
        """Return the report about a task, or None."""
        return self._reports.get(task)

    def of_cluster(self, cluster: str) -> dict[str, Report]:
        """Return the reports about a cluster's tasks. Args: cluster: its name or its ARN."""
        name = cluster.rpartition("/")[2]
        return {
            arn: report
            for arn, report in self._reports.items()
            if report.cluster.rpartition("/")[2] == name
        }

    def _forget(self, before: float) -> None:
        old = [arn for arn, each in self._reports.items() if (each.stopped_at or before) < before]
        for arn in old:
            del self._reports[arn]
