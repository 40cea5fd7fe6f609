"""A deployment: its states, its running operation, and every transition between them.

The record in the table is this model. Methods change it in memory and note an event for each
change; `store.update` writes both in one transaction, on condition that nobody else wrote
meanwhile, and repeats the change on the newer record otherwise. So a method may run twice on the
way to one write, and must come to the same result when it runs again after one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field, PrivateAttr

from chalicelib.deployments import operation as operations
from chalicelib.deployments.errors import InvalidState, OperationInProgress, Superseded
from chalicelib.deployments.operation import (
    CONVERGE_STEPS,
    DEADLINES,
    DESTROY_STEPS,
    Operation,
    Path,
    Step,
)
from chalicelib.deployments.parts import Event, Failure, Image, Prediction, Resource, Snapshot
from chalicelib.deployments.pricing import Meter
from chalicelib.deployments.spec import Spec


class Status(StrEnum):
    """What a deployment is; the names are the contract's."""

    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    UPDATING = "UPDATING"
    PAUSED = "PAUSED"
    DELETING = "DELETING"
    DELETED = "DELETED"
    FAILED = "FAILED"
    DELETE_FAILED = "DELETE_FAILED"


DELETED_EVENT = "deployment.deleted"
KEPT_AFTER_DELETION = timedelta(days=30)


class Deployment(BaseModel):
    """The record. `version` counts writes and is the heart of the ETag."""

    id: str
    name: str
    owner: str
    status: Status
    generation: int = 1
    version: int = 0
    events_written: int = 0
    url: str | None = None
    spec: Spec
    image: Image
    operation: Operation
    failure: Failure | None = None
    prediction: Prediction | None = None
    resources: list[Resource] = []
    leftovers: list[dict[str, Any]] = []
    meter: Meter = Field(default_factory=Meter)
    last_active: Snapshot | None = None
    # Invocations that may touch AWS this very moment: key -> when its function is dead for sure.
    in_flight: dict[str, datetime] = {}
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    purge_at: int | None = None

    _events: list[Event] = PrivateAttr(default_factory=list)

    # --- reading -------------------------------------------------------------------------

    @property
    def new_events(self) -> list[Event]:
        """Events noted since the record was read, to be written with it."""
        return self._events

    @property
    def is_running(self) -> bool:
        return self.operation.status == "running"

    # --- what a caller asks --------------------------------------------------------------

    @classmethod
    def create(cls, deployment_id: str, owner: str, spec: Spec, now: datetime) -> Deployment:
        """A new deployment with its create operation running."""
        deployment = cls(
            id=deployment_id,
            name=spec.name,
            owner=owner,
            status=Status.CREATING,
            spec=spec,
            image=Image(reference=spec.image),
            operation=operations.begin("create", 1, Path.CONVERGE, CONVERGE_STEPS, now),
            created_at=now,
            updated_at=now,
        )
        deployment._note(now, "deployment.creating")
        return deployment

    def update(self, spec: Spec, now: datetime, *, new_image: bool) -> None:
        """Starts a rollout of `spec`. Raises `OperationInProgress` or `InvalidState`.

        `new_image`: the caller named an image, so its tag is looked up again even if it is the
        same; a change of `count` alone keeps the digest, whatever the tag points to by now.
        """
        if self.is_running:
            raise OperationInProgress(
                f"{self.id} is {self.status}: wait until its {self.operation.kind} has ended"
            )
        if self.status is not Status.ACTIVE:
            raise InvalidState(f"{self.id} is {self.status}: only an ACTIVE deployment can change")
        if new_image:
            self.image = Image(reference=spec.image)
        self.spec = spec
        self._begin("update", Path.CONVERGE, CONVERGE_STEPS, Status.UPDATING, now)

    def withdraw_update(self, generation: int, now: datetime) -> None:
        """Takes back an update for which no execution could be started, if no step has begun."""
        begun = any(step.attempts for step in self.operation.steps)
        if self.generation != generation or begun or not self.is_running or not self.last_active:
            return
        self.spec, self.image = self.last_active.spec, self.last_active.image
        self.status = Status.ACTIVE
        self._end("cancelled", now)
        self._note(now, "operation.cancelled", message="it could not be started")

    def can_be_deleted(self, now: datetime) -> bool:
        """False when it is deleted, or on its way; a teardown past its deadline has died."""
        if self.status is Status.DELETING:
            return now > self.operation.deadline
        return self.status is not Status.DELETED

    def delete(self, now: datetime) -> bool:
        """Starts the teardown; False when there is nothing to start: deleted, or on its way."""
        if not self.can_be_deleted(now):
            return False
        if self.is_running:
            self.operation.status = "cancelled"
            self.operation.finished_at = now
            self._note(now, "operation.cancelled", message="a DELETE came in")
        self._begin("delete", Path.DESTROY, DESTROY_STEPS, Status.DELETING, now)
        return True

    # --- what a step does ----------------------------------------------------------------

    def check_fence(self, generation: int, path: Path) -> None:
        """Raises `Superseded` unless a step of this generation and path may go on."""
        operation = self.operation
        if (self.generation, operation.path, operation.status) != (generation, path, "running"):
            raise Superseded(
                f"{self.id} is at generation {self.generation} ({operation.path}, "
                f"{operation.status}), this step is of {generation} ({path})"
            )

    def begin_step(self, name: str, invocation: str, until: datetime, now: datetime) -> None:
        """Records the intent, before the first call to AWS."""
        step = self.operation.step(name)
        self.in_flight[invocation] = until
        step.attempts += 1
        if step.status == "pending":
            step.status, step.started_at = "running", now
            self._note(now, "step.running", step=name)

    def others_in_flight(self, path: Path, now: datetime) -> list[str]:
        """Invocations of an older generation or another path that may still touch AWS."""
        mine = f"{self.generation}/{path}/"
        return [
            key for key, until in self.in_flight.items() if until > now and not key.startswith(mine)
        ]

    def end_invocation(self, invocation: str, now: datetime) -> None:
        """The invocation touches AWS no more; entries of dead functions go with it."""
        self.in_flight = {
            key: until for key, until in self.in_flight.items() if key != invocation and until > now
        }

    def describe_step(self, name: str, message: str) -> None:
        """What the step is waiting for."""
        self.operation.step(name).message = message

    def finish_step(
        self, name: str, now: datetime, message: str = "", status: str = "succeeded"
    ) -> None:
        """Records the outcome; does nothing when it was recorded before."""
        step = self.operation.step(name)
        if step.status not in ("pending", "running"):
            return
        step.status, step.finished_at, step.message = status, now, message
        self._note(now, f"step.{status}", step=name, message=message)

    def fail(self, step_name: str, failure: Failure, now: datetime) -> None:
        """Tells the reason at once; the first one counts, what follows from it does not."""
        if self.failure is None:
            self.failure = failure
        if any(step.name == step_name for step in self.operation.steps):
            self.finish_step(step_name, now, failure.message, status="failed")

    def created(self, resource: Resource, now: datetime) -> None:
        """Records a resource that exists now; a new ARN replaces the old one of that name."""
        for known in self.resources:
            if (known.kind, known.name) == (resource.kind, resource.name) and not known.deleted_at:
                known.arn = resource.arn
                return
        self.resources.append(resource.model_copy(update={"created_at": now}))

    # --- how operations end --------------------------------------------------------------

    def activate(self, now: datetime, usd_per_hour: float) -> None:
        """The operation is done and the deployment serves."""
        rolled_back = self.operation.path is Path.ROLLBACK
        self.status = Status.ACTIVE
        self.meter.set_rate(usd_per_hour, now)
        if not rolled_back:
            self.failure = None
        self.last_active = Snapshot(spec=self.spec, image=self.image)
        self._end("rolled_back" if rolled_back else "succeeded", now)
        self._note(now, "deployment.rolled_back" if rolled_back else "deployment.active")

    def turn_to(self, path: Path, steps: tuple[str, ...], now: datetime) -> None:
        """Takes a failed operation down its way out: what was pending will not be done."""
        operation = self.operation
        if operation.path is path:
            return
        for step in operation.steps:
            if step.status in ("pending", "running"):
                self.finish_step(step.name, now, status="skipped")
        operation.path = path
        operation.deadline = now + DEADLINES["delete" if path is Path.DESTROY else "update"]
        operation.steps += [Step(name=name) for name in steps]
        if path is Path.ROLLBACK and self.last_active:
            self.spec, self.image = self.last_active.spec, self.last_active.image
        self._note(now, f"operation.{path}")

    def end_failed(self, now: datetime) -> None:
        """The operation failed and everything that was to be done about it is done."""
        deleting = self.operation.kind == "delete"
        self.status = Status.DELETE_FAILED if deleting else Status.FAILED
        for step in self.operation.steps:
            if step.status in ("pending", "running"):
                self.finish_step(step.name, now, status="skipped")
        self._end("failed", now)
        self._note(
            now,
            "deployment.delete_failed" if deleting else "deployment.failed",
            message=self.failure.message if self.failure else "",
        )

    def end_torn_down(self, now: datetime) -> None:
        """AWS says that everything is gone: DELETED, or FAILED after a create that failed."""
        self.url = None
        self.meter.set_rate(0.0, now)
        if self.operation.kind != "delete":
            self.end_failed(now)
            return
        self.status, self.deleted_at, self.failure = Status.DELETED, now, None
        self.purge_at = int((now + KEPT_AFTER_DELETION).timestamp())
        self._end("succeeded", now)
        self._note(now, DELETED_EVENT)

    # --- inside --------------------------------------------------------------------------

    def _begin(
        self, kind: str, path: Path, steps: tuple[str, ...], status: Status, now: datetime
    ) -> None:
        self.generation += 1
        self.status = status
        self.failure = None
        self.operation = operations.begin(kind, self.generation, path, steps, now)
        self._note(now, f"deployment.{status.lower()}")

    def _end(self, status: str, now: datetime) -> None:
        self.operation.status, self.operation.finished_at = status, now

    def _note(self, now: datetime, kind: str, step: str | None = None, message: str = "") -> None:
        self.updated_at = now
        self._events.append(
            Event(
                sequence=self.events_written + len(self._events) + 1,
                at=now,
                type=kind,
                generation=self.generation,
                operation=self.operation.kind,
                status=self.status,
                step=step,
                message=message,
            )
        )
