"""An operation on a deployment: its steps, its deadline, and the path that it is on."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

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
    "create_security_groups",
    "create_load_balancer",
    "create_target_group",
    "create_listener",
    "create_cluster",
    "create_log_group",
    "register_task_definition",
    "create_service",
    "await_ready",
    "smoke_test",
    "finish",
)
DESTROY_STEPS = (
    "delete_service",
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
DEADLINES = {
    "create": timedelta(minutes=15),
    "update": timedelta(minutes=15),
    "delete": timedelta(minutes=60),
}


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

    @property
    def percent(self) -> int:
        """Steps done of steps listed; 100 only when the operation has succeeded."""
        if self.status == "succeeded":
            return 100
        done = sum(step.status in ("succeeded", "skipped") for step in self.steps)
        return min(99, 100 * done // len(self.steps))

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)


def begin(
    kind: str, generation: int, path: Path, steps: tuple[str, ...], now: datetime
) -> Operation:
    """An operation that runs from `now` on, with every step listed."""
    return Operation(
        kind=kind,
        generation=generation,
        path=path,
        started_at=now,
        deadline=now + DEADLINES[kind],
        steps=[Step(name=name) for name in steps],
    )
