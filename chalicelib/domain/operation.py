"""An operation on a deployment: its steps, its deadline, and its path."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field, field_serializer, model_validator

from chalicelib.domain import plan
from chalicelib.domain.spec import request_timeout
from chalicelib.domain.spec.spec import Spec


class Path(StrEnum):
    """The path of an execution through the state machine.

    A step belongs to a generation and a path: a failed create turns from `converge` to `destroy`
    within its generation. A step of the old path must not begin after that.
    """

    CONVERGE = "converge"
    ROLLBACK = "rollback"
    DESTROY = "destroy"


class Kind(StrEnum):
    """What an operation does to a deployment."""

    CREATE = "create"
    UPDATE = "update"
    ROLLBACK = "rollback"
    PAUSE = "pause"
    RESUME = "resume"
    REPAIR = "repair"
    DELETE = "delete"


class OperationStatus(StrEnum):
    """Whether an operation runs, and how it ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    """Whether a step runs, and how it ended."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


CONVERGE_STEPS = tuple(step.name for step in plan.CONVERGE)
DESTROY_STEPS = tuple(step.name for step in plan.DESTROY)
STEPS_OF_PATH = {
    Path.CONVERGE: CONVERGE_STEPS,
    Path.ROLLBACK: CONVERGE_STEPS,
    Path.DESTROY: DESTROY_STEPS,
}
# One operation can have the steps of both `converge` and `rollback`. So outside this module the
# names of the second path have this prefix: in the table, in answers, events and messages.
ROLLBACK_PREFIX = "rollback_"
# `health_check.grace` is added to this, because a container may take that long to start, and
# `request_timeout`, because the tasks that it replaces may take that long to stop.
CONVERGE_DEADLINE = timedelta(minutes=15)
# Network interfaces of a load balancer have held its security group for up to 45 minutes.
DESTROY_DEADLINE = timedelta(minutes=60)


class Step(BaseModel):
    """One step of an operation, as a client sees it in a progress bar.

    It is written and read with `full_name` as its name and without its path.
    """

    name: str
    path: Path = Field(exclude=True)
    status: StepStatus = StepStatus.PENDING
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0
    message: str = ""

    @property
    def full_name(self) -> str:
        """The name that clients see."""
        return full_name(self.name, self.path)

    @model_validator(mode="before")
    @classmethod
    def _split_full_name(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "path" in data or not isinstance(data.get("name"), str):
            return data
        name, is_rollback = split_name(data["name"])
        path = Path.DESTROY if name in DESTROY_STEPS else Path.CONVERGE
        return {**data, "name": name, "path": Path.ROLLBACK if is_rollback else path}

    @field_serializer("name")
    def _write_full_name(self, _: str) -> str:
        return self.full_name


class Operation(BaseModel):
    """What is done to a deployment now, or was done last; its steps are listed from the start."""

    kind: Kind
    status: OperationStatus = OperationStatus.RUNNING
    generation: int
    path: Path
    # Whether a caller or the time to live started it, and not the reconciler.
    requested: bool = True
    started_at: datetime
    finished_at: datetime | None = None
    deadline: datetime
    steps: list[Step]
    # How often a new execution resumed the operation because the previous one had died.
    takeovers: int = 0
    # What AWS answered when a step last found that it is not done.
    evidence: dict[str, Any] = {}

    @property
    def percent(self) -> int:
        """Steps done of steps listed; 100 only when the operation has succeeded."""
        if self.status == OperationStatus.SUCCEEDED:
            return 100
        done = sum(step.status in (StepStatus.SUCCEEDED, StepStatus.SKIPPED) for step in self.steps)
        return min(99, 100 * done // len(self.steps))

    def list_steps(self) -> None:
        """Adds the steps of its path that are not listed yet."""
        known = {step.name for step in self.steps if step.path is self.path}
        self.steps += [step for step in steps_of(self.path) if step.name not in known]

    def step(self, name: str) -> Step:
        """The step of this name on the operation's latest path that has one."""
        return next(step for step in reversed(self.steps) if step.name == name)

    @property
    def undone_deletes(self) -> dict[str, str]:
        """Steps of the teardown that have not deleted what they should, with the reason."""
        return {
            step.name: step.message
            for step in self.steps
            if _deletes(step.name) and step.status != StepStatus.SUCCEEDED
        }

    def blocking(self, name: str) -> str | None:
        """A step that `name` needs and that has not succeeded, if there is one."""
        undone = self.undone_deletes
        return next((needed for needed in plan.STEPS[name].needs if needed in undone), None)


def _deletes(name: str) -> bool:
    """Whether the step deletes something; the others of a teardown check and record the result."""
    return name in plan.STEPS and not plan.STEPS[name].decisive


def full_name(name: str, path: Path) -> str:
    """A step's name as clients see it."""
    return f"{ROLLBACK_PREFIX}{name}" if path is Path.ROLLBACK else name


def split_name(full_name: str) -> tuple[str, bool]:
    """A step's name, and whether it is on the path `rollback`."""
    return full_name.removeprefix(ROLLBACK_PREFIX), full_name.startswith(ROLLBACK_PREFIX)


def steps_of(path: Path) -> list[Step]:
    """The steps of a path, all pending."""
    return [Step(name=name, path=path) for name in STEPS_OF_PATH[path]]


def deadline(path: Path, spec: Spec, before: Spec | None, now: datetime) -> datetime:
    """The moment by which a path that begins now must have ended.

    Args:
        before: the version that it replaces, if one serves.
    """
    if path is Path.DESTROY:
        return now + DESTROY_DEADLINE
    timeouts = [each.request_timeout for each in (spec, before) if each]
    drain = max(map(request_timeout.deregistration_delay, timeouts))
    return now + CONVERGE_DEADLINE + timedelta(seconds=spec.health_check.grace + drain)


def begin(
    kind: Kind,
    generation: int,
    path: Path,
    spec: Spec,
    now: datetime,
    *,
    before: Spec | None = None,
    requested: bool = True,
) -> Operation:
    """An operation that runs from `now` on, with every step listed."""
    return Operation(
        kind=kind,
        generation=generation,
        path=path,
        requested=requested,
        started_at=now,
        deadline=deadline(path, spec, before, now),
        steps=steps_of(path),
    )
