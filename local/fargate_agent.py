"""The local Fargate agent runs the emulator's ECS tasks as processes.

Without a container engine, MiniStack reports a task as RUNNING although nothing runs. The agent
starts a process for each task, registers it with the service's target groups, and reports what it
does. It also does what MiniStack leaves out of ECS:

- It stops a task whose targets are unhealthy after the grace period, or that uses too much memory.
- It replaces a task that ended, with an increasing delay.
- It keeps the old tasks of a rolling update until the new tasks serve.
- It stops a task only when its targets are drained.
"""

import logging
import threading
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from local.emulator import Endpoint, client, time_scale
from local.fargate_task import Task
from local.gateway.ecs.tasks import REPLACED
from local.target_health import TargetHealth
from local.task_logs import TaskLog
from local.task_plan import CannotStart, Planner, arns_of_running_tasks
from local.task_reports import TaskReports
from local.usage import Usage

LOOK_SECONDS = 0.2
STOP_SECONDS = 3.0
RESTART_SECONDS_MAX = 10.0
# From a container's exit until its replacement runs on AWS: 23 s until the task is STOPPED, and
# 28 s for a new one, as measured in public. Without this delay, no check would see that a task is
# missing.
REPLACEMENT_SECONDS = 51.0
log = logging.getLogger("agent")
ServiceKey = tuple[str, str]  # cluster ARN, service name


class Agent:
    """Runs in a thread of the supervisor until `stop`."""

    def __init__(self, emulator: Endpoint, gateway: Endpoint, model: Path, log_file: Path) -> None:
        """Args:
        emulator: MiniStack, which knows what ECS wants to run.
        gateway: knows the health of targets, and gets the reports.
        model: the trained sample model.
        log_file: the agent's log.
        """
        self._time_scale = time_scale()
        self._ecs = client("ecs", emulator)
        self._logs, self._cloudwatch = client("logs", emulator), client("cloudwatch", emulator)
        self._reporting = client("ecs", gateway)
        self._elbv2 = client("elbv2", gateway)
        self._health = TargetHealth(self._elbv2)
        self._planner = Planner(emulator, model)
        self._tasks: dict[str, Task] = {}  # wanted by ECS, by ARN
        self._replaced: list[Task] = []  # stopped by ECS, kept until the new tasks serve
        self._ending: list[Task] = []
        self._failures: dict[
            ServiceKey, int
        ] = {}  # consecutive tasks that ended before they served
        self._short: dict[ServiceKey, float] = {}  # when a service may start a replacement
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._handler = logging.FileHandler(log_file)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(self._handler)
        log.setLevel(logging.INFO)

    def start(self) -> None:
        """Start to watch ECS."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the process of every task; return when all have exited or were killed."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)
        tasks = [*self._tasks.values(), *self._replaced, *self._ending]
        for task in tasks:
            task.abandon()
        for task in tasks:
            task.join(STOP_SECONDS)
        log.removeHandler(self._handler)
        self._handler.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except (ClientError, BotoCoreError) as error:
                log.warning("reading the state of ECS failed: %s", error)
            except Exception:
                log.exception("watching ECS failed")
            self._stopping.wait(LOOK_SECONDS)

    def _look(self) -> None:
        wanted = arns_of_running_tasks(self._ecs)
        for arn, cluster in wanted.items():
            if arn not in self._tasks:
                self._begin(arn, cluster)
        for arn in [arn for arn in self._tasks if arn not in wanted]:
            self._retire(self._tasks.pop(arn))
        tasks = [*self._tasks.values(), *self._replaced]
        self._health.forget({group for task in tasks for group in task.plan.target_groups})
        self._observe_targets(tasks)
        for task in [task for task in self._tasks.values() if task.ended or task.fault]:
            plan = self._tasks.pop(task.plan.arn).plan
            self._give_up(plan.arn, plan.cluster, plan.service, task.serving, task.fault)
            task.stop()
            self._ending.append(task)
        for task in [task for task in self._replaced if task.ended or self._is_replaced(task)]:
            self._replaced.remove(task)
            task.stop()
            self._ending.append(task)
        self._ending = [task for task in self._ending if not task.ended]
        self._fill_up_services()

    def _observe_targets(self, tasks: list[Task]) -> None:
        watched = {group for task in tasks if not task.serving for group in task.plan.target_groups}
        for task in tasks:
            own = task.plan.address.target_id
            groups = task.plan.target_groups
            states = {group: self._health.states(group, group in watched) for group in groups}
            task.observe({group: states[group].get(own, "") for group in groups})

    def _begin(self, arn: str, cluster: str) -> None:
        task = self._ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"][0]
        group = task.get("group", "")
        service = group.removeprefix("service:") if group.startswith("service:") else ""
        try:
            plan = self._planner.plan(task, service)
            container = self._planner.container(task)
            task_log = TaskLog(self._logs, container, arn.rsplit("/", 1)[-1])
            reports = TaskReports(self._reporting, cluster, arn, container["name"])
            reserved = (float(task["cpu"]), plan.memory)
            usage = Usage(self._cloudwatch, cluster.rpartition("/")[2], service, reserved)
            self._tasks[arn] = Task(plan, self._elbv2, task_log, reports, usage, self._time_scale)
        except CannotStart as error:
            self._give_up(arn, cluster, service, False, str(error))
        except OSError as error:
            self._give_up(arn, cluster, service, False, f"CannotStartContainerError: {error}")

    def _retire(self, task: Task) -> None:
        """Stop the process of a task that ECS has stopped, or keep it until it is replaced."""
        plan = task.plan
        answer = self._ecs.describe_tasks(cluster=plan.cluster, tasks=[plan.arn])
        reason = answer["tasks"][0].get("stoppedReason", "") if answer["tasks"] else ""
        log.info("%s: stopped by ECS: %s", plan.label, reason or "the cluster is deleted")
        if reason in REPLACED and not task.serving:
            # Its target may have become healthy since the last look.
            self._health.forget(set())
            self._observe_targets([task])
        if reason in REPLACED and task.serving:
            self._replaced.append(task)
            return
        task.stop()
        self._ending.append(task)
        if plan.service:  # the service also replaces a task after a manual StopTask
            self._short[plan.cluster, plan.service] = time.monotonic()

    def _is_replaced(self, task: Task) -> bool:
        """Return whether the service's new tasks serve, or the service is no longer active."""
        plan = task.plan
        service = self._planner.service(plan.cluster, plan.service)
        if service is None or service["status"] != "ACTIVE":
            return True
        serving = [
            new
            for new in self._tasks.values()
            if (new.plan.cluster, new.plan.service) == (plan.cluster, plan.service) and new.serving
        ]
        return len(serving) >= int(service["desiredCount"])

    def _give_up(self, arn: str, cluster: str, service: str, served: bool, reason: str) -> None:
        """Report to ECS that a task has ended; schedule its replacement with the throttling of ECS.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html
        """
        log.warning("%s: %s", arn, reason)
        self._reporting.stop_task(cluster=cluster, task=arn, reason=reason)
        if service:
            key = (cluster, service)
            failures = 0 if served else self._failures.get(key, 0) + 1
            self._failures[key] = failures
            delay = min(0.25 * 2**failures, RESTART_SECONDS_MAX)
            if served:
                delay = REPLACEMENT_SECONDS * self._time_scale
            self._short[key] = time.monotonic() + delay

    def _fill_up_services(self) -> None:
        """Make services that lack a task start one, because StopTask alone does not."""
        for key in [key for key, due in self._short.items() if due <= time.monotonic()]:
            cluster, name = key
            del self._short[key]
            service = self._planner.service(cluster, name)
            if service is None or service["status"] != "ACTIVE":
                self._failures.pop(key, None)
            elif service["runningCount"] < service["desiredCount"]:
                # Without arguments, this call only makes MiniStack check the service. A count could
                # overwrite one that another caller sets at the same time.
                self._ecs.update_service(cluster=cluster, service=name)
