"""The parts of a deployment's record: image, resources, failure, prediction, events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from chalicelib.domain.spec.image_reference import ImageReference, parse
from chalicelib.domain.spec.spec import Spec


class Image(BaseModel):
    """The image as asked for, and as the registry knows it once it was resolved."""

    reference: str
    digest: str | None = None
    size_bytes: int | None = None

    @property
    def parsed(self) -> ImageReference:
        return parse(self.reference)

    @property
    def pinned(self) -> str:
        """What the task definition names: by digest where it is known."""
        return self.parsed.pinned(self.digest) if self.digest else self.reference


class Failure(BaseModel):
    """Why an operation failed: `evidence` holds what AWS said."""

    code: str
    step: str
    message: str
    hint: str
    evidence: dict[str, Any] = {}


# Of the smoke test's answer so much is kept.
SAMPLE_BYTES = 512
# How a hint names the lines that `evidence` has; who shows them says so instead.
IN_EVIDENCE = "in `evidence.log_lines`"


class Prediction(BaseModel):
    """The answer of the smoke test; `sample` is its first 512 bytes."""

    path: str
    status: int
    latency_ms: int
    sample: str


class Resource(BaseModel):
    """An AWS resource of the deployment, for people to read: teardown goes by names instead."""

    kind: str
    name: str
    arn: str | None = None
    created_at: datetime | None = None
    deleted_at: datetime | None = None
    verified_gone: bool = False


class Dns(BaseModel):
    """The record by which `domain` leads to the load balancer.

    `managed`: Slipway wrote it, into a hosted zone of this account; otherwise it is the caller's to
    set with whoever holds the zone.
    """

    name: str
    type: str
    value: str
    managed: bool


class Leftover(BaseModel):
    """Something that a teardown could not remove, and why."""

    kind: str
    name: str
    reason: str


class Event(BaseModel):
    """One change of a deployment; `sequence` orders them and has no gap or repeat."""

    sequence: int
    at: datetime
    type: str
    generation: int
    operation: str
    status: str
    step: str | None = None
    message: str = ""


class Snapshot(BaseModel):
    """What stood when the deployment was last ACTIVE or PAUSED: where a failed operation goes back.

    `served` is false for a version that was put in place while PAUSED and has not served since.
    """

    spec: Spec
    image: Image
    paused: bool = False
    served: bool = True

    def is_same_version(self, other: Snapshot) -> bool:
        """Whether both would serve the same: a time to live, a pause and who is told of it are no
        part of that."""
        apart = {"ttl": None, "callback_url": None}
        return self.image == other.image and (
            self.spec.model_copy(update=apart) == other.spec.model_copy(update=apart)
        )
