"""An operation on a deployment: its steps, its deadline, and the path that it is on."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel


class Path(StrEnum):
    """The way through the state machine that an execution is on.

    A step belongs to a generation and a path: a failed create goes from `converge` to
    `destroy` within its generation, and a step still running on the old path must not begin.
    """

    CONVERGE = "converge"
    ROLLBACK = "rollback"
    DESTROY = "destroy"


CONVERGE_STEPS = (
    "resolve_image",
    "preflight",
    "create_security_groups",
    "create_load_balancer",
    "create_target_group",
    "create_listener",
    "create_cluster",
    "create_log_group",
    "register_task_definition",
    "create_service",
    "await_ready",
    "route_traffic",
    "smoke_test",
    "apply_scaling",
    "create_dns_record",
    "finish",
)
DESTROY_STEPS = (
    "delete_scaling",
    "delete_service",
    "delete_dns_record",
    "delete_load_balancer",
    "delete_target_group",
    "drain_tasks",
    "delete_security_groups",
    "delete_task_definitions",
    "delete_cluster",
    "delete_log_group",
    "verify_teardown",
    "finish_teardown",
)
ROLLBACK_PREFIX = "rollback_"
# What the steps that remove something begin with; the others of a teardown say what came of it.
DELETING = ("delete_", "drain_")
# A step of a teardown is not tried when one that it builds on failed: it could only wait in vain.
NEEDS: dict[str, tuple[str, ...]] = {
    "delete_target_group": ("delete_load_balancer",),
    "drain_tasks": ("delete_service",),
    "delete_cluster": ("delete_service", "drain_tasks"),
    "delete_security_groups": ("delete_load_balancer", "delete_service", "drain_tasks"),
}
# A container may take `health_check.grace` to start, so that comes on top.
CONVERGE_DEADLINE = timedelta(minutes=15)
# Network interfaces of a load balancer have held its security group for 45 minutes at worst.
DESTROY_DEADLINE = timedelta(minutes=60)


class Step(BaseModel):
    """One step of an operation, as a client sees it in a progress bar."""

    name: str
    status: str = "pending"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0
    message: str = ""


class Operation(BaseModel):
    """A create, update or delete under way or ended; all its steps are listed from the start."""

    kind: str
    status: str = "running"
    generation: int
    path: Path
    started_at: datetime
    finished_at: datetime | None = None
    deadline: datetime
    steps: list[Step]
    # How often another execution took the operation up because the one before had died.
    takeovers: int = 0
    # What AWS said at the latest look that found it not ready.
    evidence: dict[str, Any] = {}

    @property
    def percent(self) -> int:
        """Steps done of steps listed; 100 only when the operation has succeeded."""
        if self.status == "succeeded":
            return 100
        done = sum(step.status in ("succeeded", "skipped") for step in self.steps)
        return min(99, 100 * done // len(self.steps))

    def list_steps(self) -> None:
        """Lists those of its path that are not listed yet."""
        known = {step.name for step in self.steps}
        self.steps += [Step(name=name) for name in steps_of(self.path) if name not in known]

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    @property
    def undone_deletes(self) -> dict[str, str]:
        """Steps of the teardown that have not removed what they should, with the reason."""
        return {
            step.name: step.message
            for step in self.steps
            if step.name.startswith(DELETING) and step.status != "succeeded"
        }

    def blocking(self, name: str) -> str | None:
        """The step before `name` that did not succeed and so makes it vain, if there is one."""
        undone = self.undone_deletes
        return next((needed for needed in NEEDS.get(name, ()) if needed in undone), None)


def steps_of(path: Path) -> tuple[str, ...]:
    """Names of the steps of a path; those of a rollback have a prefix, for they come after the
    others in one operation."""
    if path is Path.DESTROY:
        return DESTROY_STEPS
    prefix = ROLLBACK_PREFIX if path is Path.ROLLBACK else ""
    return tuple(f"{prefix}{name}" for name in CONVERGE_STEPS)


def deadline(path: Path, grace_seconds: int, now: datetime) -> datetime:
    """When the way through `path` that begins now must have come to its end."""
    if path is Path.DESTROY:
        return now + DESTROY_DEADLINE
    return now + CONVERGE_DEADLINE + timedelta(seconds=grace_seconds)


def begin(
    kind: str,
    generation: int,
    path: Path,
    grace_seconds: int,
    now: datetime,
) -> Operation:
    """An operation that runs from `now` on, with every step listed."""
    return Operation(
        kind=kind,
        generation=generation,
        path=path,
        started_at=now,
        deadline=deadline(path, grace_seconds, now),
        steps=[Step(name=name) for name in steps_of(path)],
    )
