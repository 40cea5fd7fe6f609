"""The parts of a deployment's record: image, resources, failure, prediction, events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, model_validator

from chalicelib.domain.errors import FailureCode
from chalicelib.domain.spec import sources
from chalicelib.domain.spec.image_reference import ImageReference, parse
from chalicelib.domain.spec.image_settings import ImageSettings
from chalicelib.domain.spec.spec import Spec
from chalicelib.domain.stored_enum import StoredEnum


class ResourceKind(StoredEnum):
    """The kinds of AWS resources that a deployment has."""

    CLUSTER = "cluster"
    SERVICE = "service"
    TASK_DEFINITION = "task_definition"
    SCALABLE_TARGET = "scalable_target"
    LOAD_BALANCER = "load_balancer"
    TARGET_GROUP = "target_group"
    LISTENER = "listener"
    LISTENER_RULE = "listener_rule"
    SECURITY_GROUP = "security_group"
    LOG_GROUP = "log_group"
    DNS_RECORD = "dns_record"
    # AWS reported something that Slipway cannot classify, or could not be asked.
    UNKNOWN = "unknown"


class EventType(StoredEnum):
    """The types of a deployment's events. Webhooks receive only some of them.

    `publication.py` says which.
    """

    CREATING = "deployment.creating"
    UPDATING = "deployment.updating"
    DELETING = "deployment.deleting"
    ACTIVE = "deployment.active"
    PAUSED = "deployment.paused"
    ROLLED_BACK = "deployment.rolled_back"
    FAILED = "deployment.failed"
    DELETE_FAILED = "deployment.delete_failed"
    DELETED = "deployment.deleted"
    EXTENDED = "deployment.extended"
    EXPIRING = "deployment.expiring"
    UNHEALTHY = "deployment.unhealthy"
    RECOVERED = "deployment.recovered"
    OPERATION_CANCELLED = "operation.cancelled"
    OPERATION_CONTINUED = "operation.taken_up"
    OPERATION_ROLLBACK = "operation.rollback"
    OPERATION_DESTROY = "operation.destroy"
    STEP_RUNNING = "step.running"
    STEP_SUCCEEDED = "step.succeeded"
    STEP_FAILED = "step.failed"
    STEP_SKIPPED = "step.skipped"


class Image(BaseModel):
    """The image as requested and, once it is resolved, as the registry describes it."""

    reference: str
    digest: str | None = None
    size_bytes: int | None = None

    @property
    def parsed(self) -> ImageReference:
        return parse(self.reference)

    @property
    def pinned(self) -> str:
        """The reference for the task definition: by digest if the digest is known."""
        return self.parsed.pinned(self.digest) if self.digest else self.reference


class Failure(BaseModel):
    """Why an operation failed. `evidence` has what AWS reported."""

    code: FailureCode
    step: str
    message: str
    hint: str
    evidence: dict[str, Any] = {}


# The smoke test's response is kept up to this length.
SAMPLE_BYTES = 512
# How a hint refers to the log lines in `evidence`. Slack replaces it, because it shows the lines.
IN_EVIDENCE = "in `evidence.log_lines`"


class Prediction(BaseModel):
    """The response to the smoke test; `sample` is its first 512 bytes."""

    path: str
    status: int
    latency_ms: int
    sample: str


class Resource(BaseModel):
    """An AWS resource of the deployment, to show to people. A teardown uses names instead."""

    kind: ResourceKind
    name: str
    arn: str | None = None
    created_at: datetime | None = None
    deleted_at: datetime | None = None
    verified_gone: bool = False


class Dns(BaseModel):
    """The DNS record that points `domain` to the load balancer.

    `managed`: Slipway created the record in a hosted zone of this account. Otherwise the caller
    must create it at the DNS provider of the domain.
    """

    name: str
    type: str
    value: str
    managed: bool


class Leftover(BaseModel):
    """A resource that a teardown could not remove, and why."""

    kind: ResourceKind
    name: str
    reason: str


class Event(BaseModel):
    """One change of a deployment. `sequence` orders the events, without gaps or repeats."""

    sequence: int
    at: datetime
    type: EventType
    generation: int
    operation: str
    status: str
    step: str | None = None
    message: str = ""


class Snapshot(BaseModel):
    """The version when the deployment was last ACTIVE or PAUSED. A failed operation restores it.

    `served` is false if the version was deployed while PAUSED and has not served since.
    """

    spec: Spec
    # The names in the spec that the caller set (`spec/sources.py`); None in old records: all.
    named: list[str] | None = None
    image: Image
    image_settings: ImageSettings | None = None
    paused: bool = False
    served: bool = True

    @model_validator(mode="after")
    def _mark_spec(self) -> Self:
        if self.named is not None:
            self.spec = sources.marked(self.spec, self.named)
        return self

    def is_same_version(self, other: Snapshot) -> bool:
        """Whether both serve the same: a pause, `ttl` and `callback_url` do not matter for that."""
        ignored = {"ttl": None, "callback_url": None}
        return self.image == other.image and (
            self.spec.model_copy(update=ignored) == other.spec.model_copy(update=ignored)
        )
