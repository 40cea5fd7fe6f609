"""The record of a deployment: what it holds, and the bookkeeping of its steps and events.

The transitions between its states are in `deployment.py`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field, PrivateAttr

from chalicelib.domain import operation as operations
from chalicelib.domain.errors import Superseded
from chalicelib.domain.operation import Operation, Path
from chalicelib.domain.parts import (
    Dns,
    Event,
    Failure,
    Image,
    Leftover,
    Prediction,
    Resource,
    Snapshot,
)
from chalicelib.domain.pricing import Meter
from chalicelib.domain.spec import time_to_live
from chalicelib.domain.spec.scaling import Scaling
from chalicelib.domain.spec.spec import Spec


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


class Record(BaseModel):
    """What the table keeps.

    `version` counts writes. `edition` counts those that tell something new, and is what `If-Match`
    is about: what a deployment costs by now is no conflict.
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
    # Every domain that may lead here: noted before the first call about it, and until its record
    # is proven gone. A domain is in one live deployment's list only (`domains.py`).
    domains: list[str] = []
    spec: Spec
    image: Image
    operation: Operation
    failure: Failure | None = None
    prediction: Prediction | None = None
    # What is wanted: no task runs, and the URL answers that it is paused.
    paused: bool = False
    resources: list[Resource] = []
    leftovers: list[Leftover] = []
    meter: Meter = Field(default_factory=Meter)
    last_active: Snapshot | None = None
    # What served before that: where a rollback on request goes.
    active_before: Snapshot | None = None
    # Keys of the caller's tags that have changed since: the resources may be as before or after.
    retagged: list[str] = []
    expires_at: datetime | None = None
    expiry_told: bool = False
    # Invocations that may touch AWS this very moment: key -> when its function is dead for sure.
    in_flight: dict[str, datetime] = {}
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    purge_at: int | None = None

    _events: list[Event] = PrivateAttr([])

    # --- reading -------------------------------------------------------------------------

    @property
    def new_events(self) -> list[Event]:
        """Events noted since the record was read, to be written with it."""
        return self._events

    @property
    def is_running(self) -> bool:
        return self.operation.status == "running"

    @property
    def scaling(self) -> Scaling | None:
        """Within which bounds the service scales by itself; None while nothing may scale it."""
        return None if self.paused else self.spec.scaling

    @property
    def wanted_tasks(self) -> int:
        """How many tasks the service is to run; at least, where it scales by itself."""
        return 0 if self.paused else self.spec.least_tasks

    @property
    def most_tasks(self) -> int:
        """How many tasks the service may run once a rollout has ended."""
        return self.scaling.max if self.scaling else self.wanted_tasks

    def live(self, kind: str) -> list[Resource]:
        """Its resources of a kind that have not been deleted."""
        return [known for known in self.resources if known.kind == kind and not known.deleted_at]

    # --- time to live ----------------------------------------------------------------------

    def live_for(self, ttl: str | None, now: datetime) -> None:
        """From `now` on; None is without an end."""
        self.expires_at = now + time_to_live.parse(ttl) if ttl else None
        self.expiry_told = False

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

    def describe_step(self, name: str, message: str, evidence: dict[str, Any]) -> None:
        """What the step is waiting for, and what AWS said that it might not say again."""
        self.operation.step(name).message = message
        self.operation.evidence |= evidence

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
            evidence = {**self.operation.evidence, **failure.evidence}
            self.failure = failure.model_copy(update={"evidence": evidence})
        if any(step.name == step_name for step in self.operation.steps):
            self.finish_step(step_name, now, failure.message, status="failed")

    def created(self, resource: Resource, now: datetime) -> None:
        """Records a resource that exists now; a new ARN replaces the old one of that name, and one
        that was taken away and made again has one entry: pauses must not let the record grow."""
        for known in self.resources:
            if (known.kind, known.name) == (resource.kind, resource.name):
                known.arn = resource.arn
                if known.deleted_at:
                    known.created_at, known.deleted_at, known.verified_gone = now, None, False
                return
        self.resources.append(resource.model_copy(update={"created_at": now}))

    def keep_only(self, kind: str, names: set[str], now: datetime) -> None:
        """Those of the kind under other names are gone: AWS has just said so."""
        for known in self.live(kind):
            if known.name not in names:
                known.deleted_at, known.verified_gone = now, True

    # --- inside --------------------------------------------------------------------------

    def settle(self, left: list[Leftover], now: datetime) -> None:
        """Writes the receipt: gone is what AWS says it no longer has."""
        names, kinds = {item.name for item in left}, {item.kind for item in left}
        if "load_balancer" in kinds:
            kinds |= {"listener", "listener_rule"}  # they go with their load balancer
        for resource in self.resources:
            # There are two security groups, and there may be two DNS records while a domain
            # changes; the others are told by their kind.
            several = resource.kind in ("security_group", "dns_record")
            told = resource.name in names if several else True
            still_there = "unknown" in kinds or (resource.kind in kinds and told)
            if not resource.verified_gone and not still_there:
                resource.deleted_at, resource.verified_gone = now, True
        if not kinds & {"load_balancer", "service", "unknown"}:
            self.url = self.dns = None
            self.meter.set_rate(0.0, now)
        self.leftovers = left

    def _begin(
        self,
        kind: str,
        path: Path,
        status: Status,
        now: datetime,
        reason: str = "",
    ) -> None:
        self.generation += 1
        self.status = status
        self.failure = None
        self.operation = operations.begin(
            kind, self.generation, path, self.spec.health_check.grace, now
        )
        self._note(now, f"deployment.{status.lower()}", message=reason)

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
