"""What the world is told of a deployment: which of its events are published, and in what words.

What is told is fixed when the event is, in the same write, so that it is true of that moment
however late it is delivered.
"""

from __future__ import annotations

from typing import Any

from chalicelib.clock import rfc3339
from chalicelib.deployments.parts import Event
from chalicelib.deployments.record import Record

# The record's own events, by the name under which they are published.
_SAME = {
    "deployment.active",
    "deployment.failed",
    "deployment.rolled_back",
    "deployment.paused",
    "deployment.expiring",
    "deployment.deleted",
    "deployment.delete_failed",
}
# An operation that ended well with ACTIVE or PAUSED is told by what it was.
_ENDED_WELL = {"update": "deployment.updated", "rollback": "deployment.rolled_back"}
CREATED = "deployment.created"
TYPES = (CREATED, "deployment.updated", *sorted(_SAME))


def published_type(event: Event) -> str | None:
    """The name under which an event is published; None for one that is Slipway's own."""
    if event.type == "deployment.creating":
        return CREATED if event.generation == 1 else None  # otherwise a retry
    if event.type in ("deployment.active", "deployment.paused"):
        return _ENDED_WELL.get(event.operation, event.type)
    return event.type if event.type in _SAME else None


def published(record: Record, event: Event) -> dict[str, Any] | None:
    """The body of an event as subscribers get it; None for one that is not published.

    `data.sequence` orders the events of a deployment; numbers in between are of events that are
    not published.
    """
    kind = published_type(event)
    if kind is None:
        return None
    failure = record.failure
    return {
        "type": kind,
        "timestamp": rfc3339(event.at),
        "data": {
            "sequence": event.sequence,
            "message": event.message,
            "deployment": {
                "id": record.id,
                "name": record.name,
                "owner": record.owner,
                "status": record.status,
                "generation": record.generation,
                "url": record.url,
                "image": record.image.model_dump(),
                "operation": {"kind": record.operation.kind, "status": record.operation.status},
                "failure": failure.model_dump(exclude={"evidence"}) if failure else None,
                "prediction": record.prediction.model_dump() if record.prediction else None,
                "leftovers": [left.model_dump() for left in record.leftovers],
                "usd_per_hour": record.meter.usd_per_hour,
                "expires_at": rfc3339(record.expires_at) if record.expires_at else None,
                "links": {"self": f"/deployments/{record.id}"},
            },
        },
    }
