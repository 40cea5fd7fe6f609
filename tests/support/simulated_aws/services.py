"""An ECS service and its deployments, as data and as DescribeServices shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.simulated_aws.tasks import Task
from tests.support.simulated_aws.timeline import Timeline

# "The event stream ... up to 100 of the latest events are displayed."
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Service.html
MOST_EVENTS = 100
STOPPING = {"DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"}


@dataclass
class Rollout:
    """An ECS deployment of a service. The first in the list is the PRIMARY deployment.

    Attributes:
        failed: tasks in a row that never served; `never_ran` of those did not even run.
        not_before: the earliest time at which the next task may start, in seconds.
        load_balancers: where its tasks are registered, as in CreateService.
    """

    id: str
    definition: str
    created: float
    updated: float
    rollout_state: str = "IN_PROGRESS"
    reason: str = ""
    failed: int = 0
    never_ran: int = 0
    not_before: float = 0.0
    load_balancers: list[dict[str, Any]] = field(default_factory=list)


@dataclass(eq=False)
class Service:
    """One service; `params` are those of CreateService, `rollouts` newest first."""

    cluster: str
    name: str
    arn: str
    params: dict[str, Any]
    desired: int
    created: float
    rollouts: list[Rollout]
    status: str = "ACTIVE"
    events: list[dict[str, Any]] = field(default_factory=list)
    grace: float = 0.0

    @property
    def primary(self) -> Rollout:
        return self.rollouts[0]

    @property
    def load_balancers(self) -> list[dict[str, Any]]:
        return list(self.params.get("loadBalancers", []))

    @property
    def configuration(self) -> dict[str, Any]:
        return dict(self.params.get("deploymentConfiguration", {}))

    @property
    def maximum_percent(self) -> int:
        return int(self.configuration.get("maximumPercent", 200))

    @property
    def minimum_percent(self) -> int:
        return int(self.configuration.get("minimumHealthyPercent", 100))

    @property
    def breaker(self) -> bool:
        return bool(self.configuration.get("deploymentCircuitBreaker", {}).get("enable"))

    @property
    def breaker_threshold(self) -> int:
        """The configured value, or half of the desired count, at least 3 and at most 200.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentCircuitBreaker.html
        """
        given = self.configuration["deploymentCircuitBreaker"].get("thresholdConfiguration", {})
        if given.get("type") == "COUNT":
            return int(given["value"])
        return min(max(math_ceil_half(self.desired), 3), 200)

    def add_event(self, timeline: Timeline, message: str) -> None:
        """Add a service event. The list is newest first."""
        event = {
            "id": f"{len(self.events):08d}-{int(timeline.now * 1000)}",
            "createdAt": timeline.moment(),
            "message": f"(service {self.name}) {message}",
        }
        self.events = [event, *self.events][:MOST_EVENTS]

    def described(self, timeline: Timeline, tasks: list[Task], *, tags: bool) -> dict[str, Any]:
        """The service as DescribeServices shows it."""
        cluster_arn = self.arn.replace(":service/", ":cluster/").rpartition("/")[0]
        definition = self.primary.definition if self.rollouts else self.params["taskDefinition"]
        return {
            "serviceArn": self.arn,
            "serviceName": self.name,
            "clusterArn": cluster_arn,
            "status": self.status,
            "desiredCount": self.desired,
            "runningCount": _running(tasks),
            "pendingCount": _pending(tasks),
            "taskDefinition": definition,
            "launchType": self.params.get("launchType", "FARGATE"),
            "platformVersion": "LATEST",
            "platformFamily": "Linux",
            "loadBalancers": self.load_balancers,
            "serviceRegistries": [],
            "deploymentConfiguration": self.configuration,
            "deployments": [self._deployment(timeline, r, tasks) for r in self.rollouts],
            "events": self.events,
            "createdAt": timeline.moment(self.created),
            "healthCheckGracePeriodSeconds": int(self.grace),
            "networkConfiguration": self.params.get("networkConfiguration", {}),
            "schedulingStrategy": "REPLICA",
            "deploymentController": {"type": "ECS"},
            "propagateTags": self.params.get("propagateTags", "NONE"),
            "tags": self.params.get("tags", []) if tags else [],
        }

    def _deployment(self, timeline: Timeline, rollout: Rollout, tasks: list[Task]) -> Any:
        own = [task for task in tasks if task.started_by == rollout.id]
        first = rollout is self.primary
        return {
            "id": rollout.id,
            "status": "PRIMARY" if first else "ACTIVE",
            "taskDefinition": rollout.definition,
            "desiredCount": self.desired if first else _running(own),
            "runningCount": _running(own),
            "pendingCount": _pending(own),
            "failedTasks": rollout.failed,
            "rolloutState": rollout.rollout_state,
            "rolloutStateReason": rollout.reason or f"ECS deployment {rollout.id} in progress.",
            "createdAt": timeline.moment(rollout.created),
            "updatedAt": timeline.moment(rollout.updated),
            "launchType": "FARGATE",
        }


def math_ceil_half(count: int) -> int:
    """Half of `count`, rounded up."""
    return (count + 1) // 2


def _running(tasks: list[Task]) -> int:
    return sum(task.status == "RUNNING" for task in tasks)


def _pending(tasks: list[Task]) -> int:
    return sum(task.status in ("PROVISIONING", "PENDING", "ACTIVATING") for task in tasks)
