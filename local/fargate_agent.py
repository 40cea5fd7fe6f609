"""The local Fargate agent: makes the emulator's ECS tasks real, through the public API alone.

Without a container engine MiniStack calls a task RUNNING at once though nothing runs. The agent
starts a process for each, registers it with the service's target groups when it passes their
health checks, and plays the parts of ECS that MiniStack leaves out: it ends tasks that do not
pass them within the grace period or take too much memory, replaces tasks that ended, with a
growing delay, and keeps the old tasks of a rolling update alive until the new ones serve.
"""

import logging
import threading
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from local.emulator import client, time_scale
from local.fargate_task import Task
from local.task_logs import TaskLog
from local.task_plan import CannotStart, Planner, arns_of_running_tasks
from local.task_tags import TaskTags

LOOK_SECONDS = 0.1
STOP_SECONDS = 3.0
RESTART_SECONDS_MAX = 10.0
# Why MiniStack stops a task when newer ones take its place. It does so at once; ECS waits until
# the new ones are healthy. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html
REPLACED = ("Task definition updated", "Deployment completed", "Deployment capacity limit")
log = logging.getLogger("agent")
ServiceKey = tuple[str, str]  # cluster ARN, service name


class Agent:
    """Runs in a thread of the supervisor until `stop`."""

    def __init__(self, url: str, model: Path, log_file: Path) -> None:
        """Args: url: the emulator; model: the sample's trained model; log_file: for its own log."""
        self._time_scale = time_scale()
        self._ecs = client("ecs", url)
        self._elbv2 = client("elbv2", url)
        self._logs = client("logs", url)
        self._planner = Planner(url, model)
        self._tasks: dict[str, Task] = {}  # wanted by ECS, by ARN
        self._replaced: list[Task] = []  # stopped by ECS, serving until the new ones do
        self._ending: list[Task] = []
        self._failures: dict[ServiceKey, int] = {}  # tasks in a row that ended before they served
        self._short: dict[ServiceKey, float] = {}  # when a service gets a task for one that ended
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        handler = logging.FileHandler(log_file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)

    def start(self) -> None:
        """Begin to watch ECS."""
        self._thread.start()

    def stop(self) -> None:
        """End every task's process; return when they are gone or were killed."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)
        tasks = [*self._tasks.values(), *self._replaced, *self._ending]
        for task in tasks:
            task.abandon()
        for task in tasks:
            task.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except (ClientError, BotoCoreError) as error:
                log.warning("a look failed: %s", error)
            except Exception:
                log.exception("a look failed")
            self._stopping.wait(LOOK_SECONDS)

    def _look(self) -> None:
        wanted = arns_of_running_tasks(self._ecs)
        for arn, cluster in wanted.items():
            if arn not in self._tasks:
                self._begin(arn, cluster)
        for arn in [arn for arn in self._tasks if arn not in wanted]:
            self._retire(self._tasks.pop(arn))
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

    def _begin(self, arn: str, cluster: str) -> None:
        task = self._ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"][0]
        group = task.get("group", "")
        service = group.removeprefix("service:") if group.startswith("service:") else ""
        try:
            plan = self._planner.plan(task, service)
            container = self._planner.container(task)
            task_log = TaskLog(self._logs, container, arn.rsplit("/", 1)[-1])
            tags = TaskTags(self._ecs, arn)
            self._tasks[arn] = Task(plan, self._elbv2, task_log, tags, self._time_scale)
        except CannotStart as error:
            self._give_up(arn, cluster, service, False, str(error))
        except OSError as error:
            self._give_up(arn, cluster, service, False, f"CannotStartContainerError: {error}")

    def _retire(self, task: Task) -> None:
        """Look after a task that ECS has stopped."""
        plan = task.plan
        answer = self._ecs.describe_tasks(cluster=plan.cluster, tasks=[plan.arn])
        reason = answer["tasks"][0].get("stoppedReason", "") if answer["tasks"] else ""
        log.info("%s: ECS stops it: %s", plan.label, reason or "its cluster is gone")
        if reason in REPLACED and task.serving:
            self._replaced.append(task)
            return
        task.stop()
        self._ending.append(task)
        if plan.service:  # also after a StopTask by hand the service puts another in its place
            self._short[plan.cluster, plan.service] = time.monotonic()

    def _is_replaced(self, task: Task) -> bool:
        """Tell whether the service's new tasks serve, or it wants none any more."""
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
        """Tell ECS that a task has ended, and see to its replacement as ECS throttles restarts.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html
        """
        log.warning("%s: %s", arn, reason)
        self._ecs.stop_task(cluster=cluster, task=arn, reason=reason)
        if service:
            key = (cluster, service)
            failures = 0 if served else self._failures.get(key, 0) + 1
            self._failures[key] = failures
            delay = min(0.25 * 2**failures, RESTART_SECONDS_MAX) if failures else 0.0
            self._short[key] = time.monotonic() + delay

    def _fill_up_services(self) -> None:
        """Have the services that are short of a task start one: StopTask alone does not."""
        for key in [key for key, due in self._short.items() if due <= time.monotonic()]:
            cluster, name = key
            del self._short[key]
            service = self._planner.service(cluster, name)
            if service is None or service["status"] != "ACTIVE":
                self._failures.pop(key, None)
            elif service["runningCount"] < service["desiredCount"]:
                # Without a change it only makes MiniStack look again; a count given here could
                # undo one that someone sets meanwhile.
                self._ecs.update_service(cluster=cluster, service=name)
