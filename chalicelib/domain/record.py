"""The record of a deployment: its fields, and the bookkeeping of steps, resources and events.

The transitions between its states are in `deployment.py`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, Field, PrivateAttr, model_validator

from chalicelib.domain import operation as operations
from chalicelib.domain.errors import Superseded
from chalicelib.domain.operation import Kind, Operation, OperationStatus, Path, StepStatus
from chalicelib.domain.parts import (
    Dns,
    Event,
    EventType,
    Failure,
    Image,
    Leftover,
    Prediction,
    Resource,
    ResourceKind,
    Snapshot,
)
from chalicelib.domain.pricing import Meter
from chalicelib.domain.spec import sources, time_to_live
from chalicelib.domain.spec.image_settings import ImageSettings
from chalicelib.domain.spec.scaling import Scaling
from chalicelib.domain.spec.spec import Spec


class Status(StrEnum):
    """The status of a deployment, as the API shows it."""

    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    UPDATING = "UPDATING"
    PAUSED = "PAUSED"
    DELETING = "DELETING"
    DELETED = "DELETED"
    FAILED = "FAILED"
    DELETE_FAILED = "DELETE_FAILED"


STATUS_EVENTS = {
    Status.CREATING: EventType.CREATING,
    Status.ACTIVE: EventType.ACTIVE,
    Status.UPDATING: EventType.UPDATING,
    Status.PAUSED: EventType.PAUSED,
    Status.DELETING: EventType.DELETING,
    Status.DELETED: EventType.DELETED,
    Status.FAILED: EventType.FAILED,
    Status.DELETE_FAILED: EventType.DELETE_FAILED,
}
STEP_EVENTS = {
    StepStatus.RUNNING: EventType.STEP_RUNNING,
    StepStatus.SUCCEEDED: EventType.STEP_SUCCEEDED,
    StepStatus.FAILED: EventType.STEP_FAILED,
    StepStatus.SKIPPED: EventType.STEP_SKIPPED,
}
# A deployment may have several resources of these kinds: two security groups, and two DNS records
# while its domain changes. A leftover of another kind is identified by its kind alone.
SEVERAL_OF_A_KIND = (ResourceKind.SECURITY_GROUP, ResourceKind.DNS_RECORD)
# AWS deletes these together with their load balancer.
PARTS_OF_A_LOAD_BALANCER = {ResourceKind.LISTENER, ResourceKind.LISTENER_RULE}


class Record(BaseModel):
    """What the table stores.

    `version` counts all writes. `edition` counts the writes that change what the API shows, and
    `If-Match` compares it: an update of the cost alone is no conflict.
    """

    id: str
    name: str
    owner: str
    status: Status
    generation: int = 1
    version: int = 0
    edition: int = 0
    events_written: int = 0
    url: str | None = None
    dns: Dns | None = None
    # Every domain that may point here: from before the first AWS call for it until its DNS record
    # is proven gone. A domain is in the list of at most one live deployment (`store/domains.py`).
    domains: list[str] = []
    spec: Spec
    # The names in the spec that the caller set (`spec/sources.py`); None in old records: all.
    named: list[str] | None = None
    image: Image
    # What the image says about itself; None until it was read, or if nothing depends on it.
    image_settings: ImageSettings | None = None
    operation: Operation
    # The result of the latest requested operation, and the generation in that operation's 202.
    outcome: OperationStatus | None = None
    outcome_generation: int | None = None
    failure: Failure | None = None
    prediction: Prediction | None = None
    # Desired state: no task runs, and the URL answers 503.
    paused: bool = False
    resources: list[Resource] = []
    leftovers: list[Leftover] = []
    meter: Meter = Field(default_factory=Meter)
    last_active: Snapshot | None = None
    # The version that served before `last_active`: a requested rollback restores it.
    active_before: Snapshot | None = None
    # Keys of tags that have changed since then. A resource may have their old or new values.
    retagged: list[str] = []
    expires_at: datetime | None = None
    expiry_told: bool = False
    # Invocations that may be calling AWS now -> when their function has certainly ended.
    in_flight: dict[str, datetime] = {}
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    purge_at: int | None = None

    _events: list[Event] = PrivateAttr([])

    @model_validator(mode="after")
    def _derive_outcome(self) -> Self:
        """Gives a record of an older version its outcome, as far as its operation shows it.

        A record whose last operation is a repair does not know what was requested before. If its
        operation was taken over before it changed its path, the generation may be too high.
        """
        operation = self.operation
        if "outcome_generation" in self.model_fields_set:
            return self
        adopted = operation.kind is Kind.DELETE and operation.generation == 1
        operation.requested = operation.kind is not Kind.REPAIR and not adopted
        if operation.requested:
            self.outcome_generation = operation.generation - operation.takeovers
            self.outcome = None if self.is_running else operation.status
        return self

    @model_validator(mode="after")
    def _mark_spec(self) -> Self:
        if self.named is not None:
            self.spec = sources.marked(self.spec, self.named)
        return self

    # --- reading -------------------------------------------------------------------------

    @property
    def new_events(self) -> list[Event]:
        """Events added since the record was read. They are written together with it."""
        return self._events

    @property
    def names(self) -> list[str]:
        """The names in the spec that the caller set, see `spec/sources.py`."""
        return sources.named(self.spec) if self.named is None else self.named

    @property
    def spec_sources(self) -> dict[str, sources.Source]:
        """Where each value of the spec comes from."""
        return sources.of(self.spec, self.names, self.image_settings)

    @property
    def proves_prediction(self) -> bool:
        """Whether someone described the smoke test, so that it proves more than an answer."""
        return sources.proves_prediction(self.names, self.image_settings)

    @property
    def is_running(self) -> bool:
        return self.operation.status == OperationStatus.RUNNING

    @property
    def scaling(self) -> Scaling | None:
        """The bounds of automatic scaling; None if the service must not scale by itself."""
        return None if self.paused else self.spec.scaling

    @property
    def wanted_tasks(self) -> int:
        """The desired number of tasks; the minimum if the service scales by itself."""
        return 0 if self.paused else self.spec.least_tasks

    @property
    def most_tasks(self) -> int:
        """The most tasks that the service may run after a rollout."""
        return self.scaling.max if self.scaling else self.wanted_tasks

    @property
    def serving_spec(self) -> Spec | None:
        """The spec of the version that an operation replaces; None if none has been ACTIVE."""
        return self.last_active.spec if self.last_active else None

    @property
    def request_timeouts(self) -> list[int | None]:
        """Of this version, and of the one that an operation replaces: its requests may be open."""
        return [each.request_timeout for each in (self.spec, self.serving_spec) if each]

    def live(self, kind: str) -> list[Resource]:
        """Its resources of a kind that have not been deleted."""
        return [each for each in self.resources if each.kind == kind and not each.deleted_at]

    # --- time to live ----------------------------------------------------------------------

    def set_expiry(self, ttl: str | None, now: datetime) -> None:
        """Sets its expiry to `ttl` after `now`; None means that it never expires."""
        self.expires_at = now + time_to_live.parse(ttl) if ttl else None
        self.expiry_told = False

    # --- what a step does ----------------------------------------------------------------

    def check_fence(self, generation: int, path: Path) -> None:
        """Raises `Superseded` unless a step of this generation and path may continue."""
        operation = self.operation
        if not self.is_running or (self.generation, operation.path) != (generation, path):
            raise Superseded(
                f"{self.id} is at generation {self.generation} ({operation.path}, "
                f"{operation.status}); this step belongs to generation {generation} ({path})"
            )

    def begin_step(self, name: str, invocation: str, until: datetime, now: datetime) -> None:
        """Records that the step runs, before its first call to AWS."""
        step = self.operation.step(name)
        self.in_flight[invocation] = until
        step.attempts += 1
        if step.status is StepStatus.PENDING:
            step.status, step.started_at = StepStatus.RUNNING, now
            self._add_event(now, EventType.STEP_RUNNING, step=step.full_name)

    def others_in_flight(self, path: Path, now: datetime) -> list[str]:
        """Invocations of an older generation or another path that may still call AWS."""
        current = f"{self.generation}/{path}/"
        return [
            invocation
            for invocation, until in self.in_flight.items()
            if until > now and not invocation.startswith(current)
        ]

    def end_invocation(self, invocation: str, now: datetime) -> None:
        """Records that the invocation makes no more AWS calls. Drops entries of ended functions."""
        self.in_flight = {
            other: until
            for other, until in self.in_flight.items()
            if other != invocation and until > now
        }

    def describe_step(self, name: str, message: str, evidence: dict[str, Any]) -> None:
        """Records what the step waits for, and evidence that AWS may not report again."""
        self.operation.step(name).message = message
        self.operation.evidence |= evidence

    def finish_step(
        self,
        name: str,
        now: datetime,
        message: str = "",
        status: StepStatus = StepStatus.SUCCEEDED,
    ) -> None:
        """Records the outcome; does nothing if it is already recorded."""
        step = self.operation.step(name)
        if step.status not in (StepStatus.PENDING, StepStatus.RUNNING):
            return
        step.status, step.finished_at, step.message = status, now, message
        self._add_event(now, STEP_EVENTS[status], step=step.full_name, message=message)

    def fail(self, step_name: str, failure: Failure, now: datetime) -> None:
        """Records why the operation failed. Only the first failure counts, as the cause."""
        if self.failure is None:
            evidence = {**self.operation.evidence, **failure.evidence}
            self.failure = failure.model_copy(update={"evidence": evidence})
        if any(step.name == step_name for step in self.operation.steps):
            self.finish_step(step_name, now, failure.message, status=StepStatus.FAILED)

    def record_resource(self, resource: Resource, now: datetime) -> None:
        """Records a resource that exists now.

        A resource has one entry, even if it is deleted and created again with another ARN: the
        record must not grow with each pause.
        """
        for recorded in self.resources:
            if (recorded.kind, recorded.name) == (resource.kind, resource.name):
                recorded.arn = resource.arn
                if recorded.deleted_at:
                    recorded.created_at = now
                    recorded.deleted_at, recorded.verified_gone = None, False
                return
        self.resources.append(resource.model_copy(update={"created_at": now}))

    def keep_only(self, kind: str, names: set[str], now: datetime) -> None:
        """Records that resources of the kind with other names are gone, as AWS has reported."""
        for resource in self.live(kind):
            if resource.name not in names:
                resource.deleted_at, resource.verified_gone = now, True

    def settle(self, leftovers: list[Leftover], now: datetime) -> None:
        """Writes the receipt of a teardown: everything but the leftovers is verified gone."""
        names, kinds = {each.name for each in leftovers}, {each.kind for each in leftovers}
        if ResourceKind.LOAD_BALANCER in kinds:
            kinds |= PARTS_OF_A_LOAD_BALANCER
        for resource in self.resources:
            is_named = resource.kind not in SEVERAL_OF_A_KIND or resource.name in names
            exists = ResourceKind.UNKNOWN in kinds or (resource.kind in kinds and is_named)
            if not resource.verified_gone and not exists:
                resource.deleted_at, resource.verified_gone = now, True
        costly = {ResourceKind.LOAD_BALANCER, ResourceKind.SERVICE, ResourceKind.UNKNOWN}
        if not kinds & costly:
            self.url = self.dns = None
            self.meter.set_rate(0.0, now)
        self.leftovers = leftovers

    # --- internal ------------------------------------------------------------------------

    def _begin(
        self,
        kind: Kind,
        path: Path,
        status: Status,
        now: datetime,
        reason: str = "",
        *,
        requested: bool = True,
    ) -> None:
        self.generation += 1
        self.status = status
        self.failure = None
        self.operation = operations.begin(
            kind,
            self.generation,
            path,
            self.spec,
            now,
            before=self.serving_spec,
            requested=requested,
        )
        if requested:
            self._await_outcome()
        self._add_event(now, STATUS_EVENTS[status], message=reason)

    def _await_outcome(self) -> None:
        """The running operation is the latest that was requested."""
        self.operation.requested = True
        self.outcome, self.outcome_generation = None, self.generation

    def _end(self, status: OperationStatus, now: datetime) -> None:
        self.operation.status, self.operation.finished_at = status, now
        if self.operation.requested:
            self.outcome = status

    def _add_event(
        self, now: datetime, kind: EventType, step: str | None = None, message: str = ""
    ) -> None:
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
