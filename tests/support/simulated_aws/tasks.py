"""The lifecycle of a Fargate task, from PROVISIONING to STOPPED and removed.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tests.support.simulated_aws.containers import Behaviour
from tests.support.simulated_aws.interfaces import TASK, Interface, NetworkInterfaces
from tests.support.simulated_aws.targets import Met
from tests.support.simulated_aws.timeline import Timeline
from tests.support.simulated_aws.times import TASK_RUNNING, TASK_STOPPED, Times

# Fractions of the time to RUNNING: when the interface exists and the pull starts, and when ECS
# gives up a pull that cannot succeed. Only the total is measured.
PENDING_AT, GIVEN_UP_AT = 0.3, 0.7
# "stopped tasks only appear in the returned results for at least one hour"
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html
FORGOTTEN_AFTER = 3600.0
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html
DEFAULT_STOP_TIMEOUT = 30.0
ESSENTIAL = "Essential container in task exited"


@dataclass(eq=False)
class Task:
    """One task. `status` is lastStatus, `wanted` is desiredStatus; times are seconds or None."""

    arn: str
    cluster: str
    group: str
    started_by: str
    definition: dict[str, Any]
    behaviour: Behaviour
    interface: Interface
    tags: list[dict[str, str]]
    zone: str
    created: float
    status: str = "PROVISIONING"
    wanted: str = "RUNNING"
    running_at: float | None = None
    stopping_at: float | None = None
    stopped_at: float | None = None
    stop_code: str = ""
    stopped_reason: str = ""
    exit_code: int | None = None
    container_reason: str = ""
    exited: bool = False
    ever_healthy: bool = False
    pulled_at: float | None = None

    @property
    def id(self) -> str:
        return self.arn.rsplit("/", 1)[-1]

    @property
    def port(self) -> int:
        """The container's port in the task definition."""
        mappings = self.definition["containerDefinitions"][0].get("portMappings") or [{}]
        return int(mappings[0].get("containerPort", 80))

    @property
    def vcpus(self) -> float:
        return int(self.definition.get("cpu") or 256) / 1024

    def answer(self, now: float, port: int, path: str) -> Met:
        """The result of a request to the task."""
        if self.running_at is None or self.exited:
            return "refused"
        return self.behaviour.answer(now - self.running_at, self.port, port, path)


@dataclass
class Tasks:
    """All tasks, by ARN, and their state changes.

    Attributes:
        on_running, on_exit, on_stopped: the service scheduler's callbacks.
        watchers: called with each task that has become STOPPED, as EventBridge is.
        log: writes a task's lines into its log stream.
    """

    timeline: Timeline
    times: Times
    interfaces: NetworkInterfaces
    log: Callable[[Task, tuple[str, ...]], None]
    random: random.Random
    region: str
    account: str
    all: dict[str, Task] = field(default_factory=dict)
    on_running: Callable[[Task], None] = lambda task: None
    on_exit: Callable[[Task], None] = lambda task: None
    on_stopped: Callable[[Task], None] = lambda task: None
    watchers: list[Callable[[Task], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._turns = itertools.count()

    def launch(
        self,
        *,
        cluster: str,
        group: str,
        started_by: str,
        definition: dict[str, Any],
        behaviour: Behaviour,
        network: dict[str, Any],
        zones: dict[str, str],
        tags: list[dict[str, str]],
    ) -> Task:
        """Start a task, in PROVISIONING. `network` is its awsvpcConfiguration."""
        task_id = f"{self.random.getrandbits(128):032x}"
        subnet = network["subnets"][next(self._turns) % len(network["subnets"])]
        interface = self.interfaces.attach(
            subnet=subnet,
            groups=tuple(network.get("securityGroups", ())),
            description=TASK.format(region=self.region, account=self.account, id=task_id),
            owner=task_id,
            at=self.timeline.moment(),
            public=network.get("assignPublicIp") == "ENABLED",
        )
        task = Task(
            arn=f"arn:aws:ecs:{self.region}:{self.account}:task/{cluster}/{task_id}",
            cluster=cluster,
            group=group,
            started_by=started_by,
            definition=definition,
            behaviour=behaviour,
            interface=interface,
            tags=tags,
            zone=zones.get(subnet, f"{self.region}a"),
            created=self.timeline.now,
        )
        self.all[task.arn] = task
        delay = self.times.draw(TASK_RUNNING)
        self.timeline.after(delay * PENDING_AT, lambda: self._pend(task))
        if behaviour.not_started:
            self.timeline.after(delay * GIVEN_UP_AT, lambda: self._give_up(task))
        else:
            self.timeline.after(delay, lambda: self._run(task))
        return task

    def _pend(self, task: Task) -> None:
        if task.status == "PROVISIONING":
            task.status = "PENDING"

    def _give_up(self, task: Task) -> None:
        if task.stopping_at is None:
            self._begin_stop(task, "TaskFailedToStart", task.behaviour.not_started)
            task.container_reason = task.behaviour.not_started
            self._finish(task, self.times.draw(TASK_STOPPED))

    def _run(self, task: Task) -> None:
        if task.stopping_at is not None:
            return
        task.status, task.running_at = "RUNNING", self.timeline.now
        if task.behaviour.logs:
            self.log(task, task.behaviour.logs)
        if task.behaviour.exits_after is not None:
            self.timeline.after(task.behaviour.exits_after, lambda: self._exit(task))
        self.on_running(task)

    def exit_now(self, task: Task, code: int) -> None:
        """The container exits, whatever its image usually does."""
        task.behaviour = replace(task.behaviour, exit_code=code)
        self._exit(task)

    def _exit(self, task: Task) -> None:
        """The container exits by itself."""
        if task.exited:
            return
        task.exited, task.exit_code = True, task.behaviour.exit_code
        task.container_reason = task.behaviour.container_reason
        if task.stopping_at is None:
            self._begin_stop(task, "EssentialContainerExited", ESSENTIAL)
            self._finish(task, self.times.draw(TASK_STOPPED))

    def stop(self, task: Task, code: str, reason: str, drained: Callable[..., None]) -> None:
        """Stop a task. `drained(then)` first deregisters it from the target group."""
        if task.stopping_at is not None:
            return
        was_running = task.running_at is not None
        self._begin_stop(task, code, reason)
        if was_running:
            drained(lambda: self._signal(task))
        else:
            self._finish(task, self.times.draw(TASK_STOPPED))

    def _signal(self, task: Task) -> None:
        """Send SIGTERM, and SIGKILL to a container that ignores it."""
        if task.exited:
            self._finish(task, self.times.draw(TASK_STOPPED))
            return
        container = task.definition["containerDefinitions"][0]
        timeout = float(container.get("stopTimeout") or DEFAULT_STOP_TIMEOUT)
        delay, code = (timeout, 137) if task.behaviour.ignores_sigterm else (0.2, 0)

        def end() -> None:
            if not task.exited:
                task.exited, task.exit_code = True, code
            self._finish(task, self.times.draw(TASK_STOPPED))

        self.timeline.after(delay, end)

    def _begin_stop(self, task: Task, code: str, reason: str) -> None:
        task.wanted, task.stopping_at = "STOPPED", self.timeline.now
        task.status = "DEACTIVATING" if task.running_at is not None else "STOPPING"
        task.stop_code, task.stopped_reason = code, reason
        self.on_exit(task)

    def _finish(self, task: Task, delay: float) -> None:
        """The container has exited. After `delay` the task is STOPPED without an interface."""
        task.status = "DEPROVISIONING"
        self.timeline.after(delay, lambda: self._stopped(task))

    def _stopped(self, task: Task) -> None:
        task.status, task.stopped_at, task.exited = "STOPPED", self.timeline.now, True
        self.interfaces.detach(task.id)
        self.timeline.after(FORGOTTEN_AFTER, lambda: self.all.pop(task.arn, None))
        self.on_stopped(task)
        for watcher in self.watchers:
            watcher(task)

    def in_cluster(self, cluster: str) -> list[Task]:
        """The tasks that ECS still returns, oldest first."""
        return [task for task in self.all.values() if task.cluster == cluster]

    def described(self, task: Task, *, tags: bool) -> dict[str, Any]:
        """The task as DescribeTasks shows it."""
        description = {
            "taskArn": task.arn,
            "clusterArn": f"arn:aws:ecs:{self.region}:{self.account}:cluster/{task.cluster}",
            "taskDefinitionArn": task.definition["taskDefinitionArn"],
            "group": task.group,
            "startedBy": task.started_by,
            "launchType": "FARGATE",
            "platformVersion": "1.4.0",
            "availabilityZone": task.zone,
            "cpu": str(task.definition.get("cpu", "256")),
            "memory": str(task.definition.get("memory", "512")),
            "connectivity": "CONNECTED",
            "healthStatus": "UNKNOWN",
            "lastStatus": task.status,
            "desiredStatus": task.wanted,
            "attachments": [self._attachment(task)],
            "containers": [self._container(task)],
            "tags": task.tags if tags else [],
            **self._moments(task),
        }
        if task.stopping_at is not None:
            description |= {"stopCode": task.stop_code, "stoppedReason": task.stopped_reason}
        return description

    def _moments(self, task: Task) -> dict[str, datetime]:
        moments = {
            "createdAt": task.created,
            "startedAt": task.running_at,
            "stoppingAt": task.stopping_at,
            "stoppedAt": task.stopped_at,
        }
        return {key: self.timeline.moment(at) for key, at in moments.items() if at is not None}

    @staticmethod
    def _attachment(task: Task) -> dict[str, Any]:
        details = {
            "subnetId": task.interface.subnet,
            "networkInterfaceId": task.interface.id,
            "privateIPv4Address": task.interface.address,
        }
        return {
            "id": task.id,
            "type": "ElasticNetworkInterface",
            "status": "DELETED" if task.status == "STOPPED" else "ATTACHED",
            "details": [{"name": name, "value": value} for name, value in details.items()],
        }

    @staticmethod
    def _container(task: Task) -> dict[str, Any]:
        container = task.definition["containerDefinitions"][0]
        running = "PENDING" if task.running_at is None else "RUNNING"
        container: dict[str, Any] = {
            "name": container["name"],
            "image": container["image"],
            "taskArn": task.arn,
            "lastStatus": "STOPPED" if task.exited else running,
            "networkInterfaces": [{"privateIpv4Address": task.interface.address}],
        }
        if task.exit_code is not None:
            container["exitCode"] = task.exit_code
        if task.container_reason:
            container["reason"] = task.container_reason
        return container
