"""One look at the tasks of an ACTIVE deployment, sorted by what they do.

It costs one read of ELBv2, because all callers in an account share these: a bucket of 40 reads,
then 10 per second. The record has the target group's ARN, so nothing is looked up by name.
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/throttling.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.platform import clock
from chalicelib.resources import target_group, tasks
from chalicelib.resources.target_group import Target
from chalicelib.workflow.diagnosis.stopped_tasks import stopped_by_itself

# A task may need this long to get a network interface and to pull its image.
LAUNCH = timedelta(minutes=5)
# Two writers of ECS's timestamps may differ by some seconds.
CLOCK_MARGIN = timedelta(seconds=10)
# StopTask: a person or a script stopped it. Slipway stops tasks only through the service.
STOPPED_BY_HAND = "UserInitiated"
Task = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """The tasks of a service, sorted by what they do.

    Attributes:
        serving: they run, and are healthy targets.
        starting: they may still become healthy.
        failing: they run, and should be healthy by now.
        stopped: they have stopped or are stopping, and the service still needs them.
    """

    serving: list[Task]
    starting: list[Task]
    failing: list[Task]
    stopped: list[Task]
    stopping: bool
    targets: list[Target]

    @property
    def alive(self) -> int:
        """The number of tasks that are not being stopped."""
        return len(self.serving) + len(self.starting) + len(self.failing)

    @property
    def excused(self) -> int:
        """How many tasks start, and do not replace one that stopped by itself."""
        replacements = _replacements([*self.serving, *self.starting, *self.failing], self.stopped)
        return sum(task["taskArn"] not in replacements for task in self.starting)


def look(deployment: Deployment, moment: datetime) -> Look:
    """Reads the tasks from ECS and their health from the target group."""
    group = f"service:{deployment.id}"
    described = [task for task in tasks.describe(deployment.id) if task.get("group") == group]
    group_arn = next((each.arn for each in deployment.live(target_group.KIND)), None)
    targets = target_group.targets_of(group_arn) if group_arn else []
    healthy = {target.address for target in targets if target.state == "healthy"}
    alive = [task for task in described if task["desiredStatus"] == "RUNNING"]
    serving = [
        task for task in alive if task["lastStatus"] == "RUNNING" and tasks.address(task) in healthy
    ]
    others = [task for task in alive if task not in serving]
    starting = [task for task in others if _may_start(deployment, task, moment)]
    ended = [task for task in described if task["desiredStatus"] != "RUNNING"]
    return Look(
        serving=serving,
        starting=starting,
        failing=[task for task in others if task not in starting],
        stopped=[task for task in ended if is_missed(task) and _is_news(deployment, task)],
        stopping=any(task["lastStatus"] != "STOPPED" for task in ended),
        targets=targets,
    )


def _may_start(deployment: Deployment, task: Task, moment: datetime) -> bool:
    """Whether a task that does not serve may still become healthy in time.

    The load balancer notices a healthy task two checks after it began to answer.
    """
    check = deployment.spec.health_check
    grace = timedelta(seconds=check.grace + check.notice_seconds)
    if "startedAt" in task:
        return bool(moment < task["startedAt"] + grace)
    return bool(moment < task.get("createdAt", moment) + LAUNCH + grace)


def is_missed(task: Task) -> bool:
    """Whether the service still needed a task that stopped.

    A scale-in, zone rebalancing and the maintenance of Fargate stop tasks that are not needed.
    """
    return stopped_by_itself(task) or task.get("stopCode") == STOPPED_BY_HAND


def _is_news(deployment: Deployment, task: Task) -> bool:
    """Whether a task has stopped since the deployment was last seen healthy."""
    known = deployment.health.healthy_at if deployment.health else None
    return known is None or ended_at(task) > known - CLOCK_MARGIN


def ended_at(task: Task) -> datetime:
    """When a task began to stop."""
    moment: datetime = task.get("stoppingAt") or task.get("stoppedAt") or clock.now()
    return moment


def _replacements(alive: list[Task], stopped: list[Task]) -> set[str]:
    """The ARNs of the tasks that ECS started because another one had stopped by itself.

    ECS replaces each of those with one task, in order. A replacement may have stopped, too.
    """
    ends = [(ended_at(task), 0, "") for task in stopped]
    starts = [(task.get("createdAt", clock.now()), 1, task["taskArn"]) for task in alive + stopped]
    vacant, replacements = 0, set()
    for _, is_start, arn in sorted(ends + starts):
        if not is_start:
            vacant += 1
        elif vacant:
            vacant -= 1
            replacements.add(arn)
    return replacements
