"""Reads of deployments: from the table, and of the tasks from ECS."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.parts import Event
from chalicelib.store import deployments as store
from chalicelib.store.tokens import Caller
from chalicelib.usecases import access
from chalicelib.usecases.access import require

SCOPE = "read"


@dataclass(frozen=True)
class Task:
    """A task as ECS and the target group report it now; None if they report nothing."""

    id: str
    status: str
    health: str | None
    target_health: str | None
    public_ip: str | None
    zone: str | None
    started_at: datetime | None
    stopped_reason: str | None


def find(caller: Caller, reference: str) -> Deployment:
    """The deployment with this ID or name. Raises `Forbidden` and `NotFound`."""
    require(caller, SCOPE)
    return access.find(caller, reference)


def list_page(
    caller: Caller,
    *,
    limit: int,
    after: str | None = None,
    name: str | None = None,
    statuses: tuple[str, ...] = (),
    show_deleted: bool = False,
) -> tuple[list[Deployment], str | None]:
    """A page of the deployments that the caller sees, newest first, and the next `after`."""
    require(caller, SCOPE)
    return store.list_deployments(
        access.owner_filter(caller),
        limit=limit,
        after=after,
        name=name,
        statuses=statuses,
        show_deleted=show_deleted,
    )


def events(
    caller: Caller, reference: str, *, limit: int, after: int
) -> tuple[list[Event], int | None]:
    """The events with a sequence above `after`, oldest first, and the next `after`."""
    deployment = find(caller, reference)
    return store.list_events(deployment.id, limit=limit, after=after)


def tasks(caller: Caller, reference: str) -> list[Task]:
    """The tasks of the deployment, live from ECS, with the health of their targets."""
    # Only this request needs them.
    from chalicelib.resources import target_group
    from chalicelib.resources import tasks as ecs_tasks

    deployment = find(caller, reference)
    described = ecs_tasks.describe(deployment.id)
    addresses = ecs_tasks.public_addresses(described)
    targets = target_group.targets(deployment.id) if described else []
    health = {target.address: target.state for target in targets}
    return [_task(each, addresses, health) for each in described]


def _task(task: dict[str, Any], addresses: dict[str, str], health: dict[str, str]) -> Task:
    from chalicelib.resources.tasks import address, attachment, task_id

    return Task(
        id=task_id(task),
        status=task["lastStatus"],
        health=task.get("healthStatus"),
        target_health=health.get(address(task) or ""),
        public_ip=addresses.get(attachment(task, "networkInterfaceId") or ""),
        zone=task.get("availabilityZone"),
        started_at=task.get("startedAt"),
        stopped_reason=task.get("stoppedReason") or None,
    )
