"""Runs one ECS task as a local process: starts it, registers its target, watches and stops it."""

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.addresses import Address
from local.health_checks import HealthChecks, TargetGroup
from local.memory import resident_mib
from local.task_logs import TaskLog
from local.task_tags import TaskTags

LOOK_SECONDS = 0.05
# A load balancer may have chosen the target just before its deregistration.
DRAIN_SECONDS = 0.3
STOP_TIMEOUT_SECONDS = 30  # the default of ECS
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
        stop_timeout: seconds from SIGTERM to SIGKILL.
        memory: the maximum memory of the process in MiB.
        grace: the health check grace period of the service in seconds.
    """

    arn: str
    cluster: str
    service: str
    program: Program
    address: Address
    target_groups: tuple[TargetGroup, ...]
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
        serving: whether the task is or was registered with all of its target groups.
        fault: the reason for which ECS must stop the task, in the words of ECS, or "".
        ended: whether the process and the registration are gone.
    """

    def __init__(
        self, plan: Plan, elbv2: Any, task_log: TaskLog, tags: TaskTags, time_scale: float
    ) -> None:
        """Start the process and watch it in a thread.

        Args:
            time_scale: the factor on the waits of ECS.

        Raises:
            OSError: the program cannot be run.
        """
        self.plan = plan
        self.serving = False
        self.fault = ""
        self._elbv2 = elbv2
        self._log = task_log
        self._tags = tags
        self._out_of_memory = False
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
        self._checks = HealthChecks(plan.address, plan.target_groups, plan.grace, time_scale)
        # On AWS, the attached network interface would show the address of the task.
        tags.set(address=plan.address.target_id, state="RUNNING")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        log.info("%s: process %d on %s", plan.label, self._process.pid, plan.address)

    @property
    def ended(self) -> bool:
        """Whether the process and the registration are gone."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Start the ordered stop: deregister, SIGTERM, and SIGKILL after the stop timeout."""
        self._stop.set()

    def abandon(self) -> None:
        """Start the fast stop without deregistration, because the whole stack ends."""
        self._abandoned = True
        self._stop.set()

    def join(self, seconds: float) -> None:
        """Wait until the task has ended, at most `seconds`."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while self._process.poll() is None and not self._stop.is_set():
            if not self.serving:
                self._try_to_serve()
            if resident_mib(self._process.pid) > self.plan.memory:
                self._out_of_memory = True
                self._process.kill()
                self._process.wait()
            self._log.flush_when_due()
            self._stop.wait(LOOK_SECONDS)
        ended_by_itself = self._process.poll() is not None
        if not self._abandoned:
            self._tags.set(state="STOPPING")
            self._deregister()
        if not ended_by_itself:
            self._end_process()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._reader.join(1)
        self._log.flush()
        self._record_end(ended_by_itself)

    def _record_end(self, ended_by_itself: bool) -> None:
        code = self._process.returncode
        exit_code = 128 - code if code < 0 else code  # as in a shell
        if ended_by_itself and not self.fault:
            self.fault = f"Essential container in task exited (exit code {exit_code})"
            if self._out_of_memory:
                self.fault += ": OutOfMemoryError: Container killed due to memory usage"
        if not self._abandoned:
            self._tags.set(state="STOPPED", exit_code=str(exit_code))
        log.info("%s: ended with %s", self.plan.label, code)

    def _end_process(self) -> None:
        if not self._abandoned:
            time.sleep(DRAIN_SECONDS)
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

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._log.write(line.decode(errors="replace").rstrip("\n"))

    def _try_to_serve(self) -> None:
        before = self._checks.result
        passed = self._checks.passed()
        if self._checks.result != before:
            self._tags.set(health_check=self._checks.result)
            log.info("%s: health check returns %s", self.plan.label, self._checks.result)
        if self._checks.failed_in and not self.fault:
            self.fault = f"Task failed ELB health checks in (target-group {self._checks.failed_in})"
        if not passed:
            return
        for group in self.plan.target_groups:
            if not self._change(self._elbv2.register_targets, group.arn):
                return
        self.serving = True

    def _deregister(self) -> None:
        for group in self.plan.target_groups:
            self._change(self._elbv2.deregister_targets, group.arn)

    def _change(self, call: Any, group_arn: str) -> bool:
        target = {"Id": self.plan.address.target_id, "Port": self.plan.address.port}
        try:
            call(TargetGroupArn=group_arn, Targets=[target])
        except (ClientError, BotoCoreError) as error:
            # During a teardown the target group may be deleted before its tasks.
            log.info("%s: %s", self.plan.label, error)
            return False
        return True
