"""Runs one ECS task as a local process: starts it, registers its target, watches and stops it."""

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.addresses import Address
from local.emulator import CALL_FAILED
from local.task_logs import TaskLog
from local.task_reports import TaskReports
from local.usage import Usage, resident_mib

LOOK_SECONDS = 0.05
DRAIN_LOOK_SECONDS = 0.1
REGISTER_SECONDS = 1.0  # until a failed registration is repeated
STOP_TIMEOUT_SECONDS = 30  # the default of ECS
# Even if the scaled times are short, a busy machine needs this time to load a model.
GRACE_SECONDS_MIN = 10.0
# The words of ECS.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
EXITED = "Essential container in task exited"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
UNHEALTHY = "Task failed ELB health checks in (target-group {group})"
log = logging.getLogger("agent")


@dataclass(frozen=True)
class Program:
    """The process that replaces a container.

    Attributes:
        arguments: the command line.
        environment: the complete environment of the process.
        folder: its working directory.
    """

    arguments: tuple[str, ...]
    environment: dict[str, str]
    folder: Path


@dataclass(frozen=True)
class Plan:
    """How the agent runs an ECS task.

    Attributes:
        service: the name of its ECS service, "" for a task without a service.
        target_groups: the ARNs of the target groups that it belongs to.
        stop_timeout: seconds from SIGTERM to SIGKILL.
        memory: the maximum memory of the process in MiB.
        grace: the health check grace period of the service in seconds.
    """

    arn: str
    cluster: str
    service: str
    program: Program
    address: Address
    target_groups: tuple[str, ...]
    stop_timeout: float
    memory: float
    grace: float

    @property
    def label(self) -> str:
        """The name of the task in log lines."""
        return f"{self.service or 'task'}/{self.arn.rsplit('/', 1)[-1][:8]}"


class Task:
    """A running task.

    Attributes:
        serving: whether all of its targets are healthy, or were healthy before it stopped.
        fault: the reason for which ECS must stop the task, in the words of ECS, or "".
        ended: whether the process and the registration are gone.
    """

    def __init__(
        self,
        plan: Plan,
        elbv2: Any,
        task_log: TaskLog,
        reports: TaskReports,
        usage: Usage,
        time_scale: float,
    ) -> None:
        """Start the process, register it as a target, and watch it in a thread.

        Args:
            time_scale: the factor on the waits of ECS.

        Raises:
            OSError: the program cannot be run.
        """
        self.plan = plan
        self.serving = False
        self.fault = ""
        self._elbv2, self._log, self._reports, self._usage = elbv2, task_log, reports, usage
        self._container_reason = ""
        self._unregistered, self._register_at = [*plan.target_groups], 0.0
        self._stop = threading.Event()
        self._abandoned = False
        self._process = subprocess.Popen(
            plan.program.arguments,
            cwd=plan.program.folder,
            env=plan.program.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,  # the end of a container ends all its processes
        )
        self._deadline = time.monotonic() + max(plan.grace * time_scale, GRACE_SECONDS_MIN)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        log.info("%s: process %d on %s", plan.label, self._process.pid, plan.address)

    @property
    def ended(self) -> bool:
        """Whether the process and the registration are gone."""
        return not self._thread.is_alive()

    def observe(self, states: Mapping[str, str]) -> None:
        """Take the states of its targets, by target group.

        ECS stops a task that is unhealthy after the service's grace period.
        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/load-balancer-healthcheck.html
        """
        if all(states.get(group) == "healthy" for group in self.plan.target_groups):
            self.serving = True
        is_graced = time.monotonic() < self._deadline
        for group in self.plan.target_groups:
            if states.get(group) == "unhealthy" and not is_graced and not self.fault:
                self.fault = UNHEALTHY.format(group=group)

    def stop(self) -> None:
        """Start the ordered stop: deregister, drain, SIGTERM, and SIGKILL after the timeout."""
        self._stop.set()

    def abandon(self) -> None:
        """Start the fast stop without deregistration, because the whole stack ends."""
        self._abandoned = True
        self._stop.set()

    def join(self, seconds: float) -> None:
        """Wait until the task has ended, at most `seconds`."""
        self._thread.join(seconds)

    def _run(self) -> None:
        self._reports.running(self.plan.address)
        while self._process.poll() is None and not self._stop.is_set():
            self._register_when_due()
            if resident_mib(self._process.pid) > self.plan.memory:
                self._container_reason = OUT_OF_MEMORY
                self._process.kill()
                self._process.wait()
            self._log.flush_when_due()
            self._usage.report_when_due(self._process.pid)
            self._stop.wait(LOOK_SECONDS)
        ended_by_itself = self._process.poll() is not None
        if not self._abandoned:
            self._leave_target_groups()
        if not ended_by_itself:
            self._end_process()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._reader.join(1)
        self._log.flush()
        self._report_end(ended_by_itself)

    def _register_when_due(self) -> None:
        if not self._unregistered or time.monotonic() < self._register_at:
            return
        self._register_at = time.monotonic() + REGISTER_SECONDS
        self._unregistered = [
            group
            for group in self._unregistered
            if not self._change(self._elbv2.register_targets, group)
        ]

    def _leave_target_groups(self) -> None:
        """Deregister; return when the targets are drained, or when the process has ended.

        ECS sends SIGTERM only then.
        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
        """
        self._reports.stopping("DEACTIVATING")
        for group in self.plan.target_groups:
            self._change(self._elbv2.deregister_targets, group)
        for group in self.plan.target_groups:
            while self._drains(group) and self._process.poll() is None and not self._abandoned:
                self._log.flush_when_due()
                time.sleep(DRAIN_LOOK_SECONDS)

    def _drains(self, group: str) -> bool:
        try:
            answer = self._elbv2.describe_target_health(
                TargetGroupArn=group, Targets=[self._target]
            )
        except CALL_FAILED:
            return False
        found = answer["TargetHealthDescriptions"]
        return any(each["TargetHealth"]["State"] == "draining" for each in found)

    def _end_process(self) -> None:
        if not self._abandoned:
            self._reports.stopping("STOPPING")
        self._process.terminate()
        deadline = time.monotonic() + self.plan.stop_timeout
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._abandoned:
                deadline = min(deadline, time.monotonic() + 1)
            self._log.flush_when_due()
            time.sleep(LOOK_SECONDS)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _report_end(self, ended_by_itself: bool) -> None:
        code = self._process.returncode
        if not self._abandoned:
            # A signal is reported as a shell does it.
            self._reports.stopped(128 - code if code < 0 else code, self._container_reason)
        if ended_by_itself and not self.fault:
            self.fault = EXITED
        log.info("%s: ended with %s", self.plan.label, code)

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._log.write(line.decode(errors="replace").rstrip("\n"))

    @property
    def _target(self) -> dict[str, Any]:
        return {"Id": self.plan.address.target_id, "Port": self.plan.address.port}

    def _change(self, call: Any, group: str) -> bool:
        try:
            call(TargetGroupArn=group, Targets=[self._target])
        except CALL_FAILED as error:
            # During a teardown the target group may be deleted before its tasks.
            log.info("%s: %s", self.plan.label, error)
            return False
        return True
