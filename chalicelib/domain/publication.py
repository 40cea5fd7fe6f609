"""What the world is told of a deployment: which of its events are published, and in what words.

What is told is fixed when the event is, in the same write, so that it is true of that moment
however late it is delivered.
"""

from __future__ import annotations

import json
from typing import Any, Literal, get_args

from chalicelib.domain.parts import Event
from chalicelib.domain.record import Record
from chalicelib.platform.clock import rfc3339

EventType = Literal[
    "deployment.created",
    "deployment.active",
    "deployment.failed",
    "deployment.updated",
    "deployment.rolled_back",
    "deployment.paused",
    "deployment.expiring",
    "deployment.deleted",
    "deployment.delete_failed",
]
TYPES: tuple[str, ...] = get_args(EventType)
# Most are the record's own events, under their own names. An operation that ended well with ACTIVE
# or PAUSED is told by what it was.
_ENDED_WELL = {"update": "deployment.updated", "rollback": "deployment.rolled_back"}
CREATED = "deployment.created"
# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#payload-size
MOST_BYTES = 20_000
# To which texts are cut where a body is longer: the first of these that is short enough.
MOST_CHARACTERS = (1000, 200, 40)


def published_type(event: Event) -> str | None:
    """The name under which an event is published; None for one that is Slipway's own."""
    if event.type == "deployment.creating":
        return CREATED if event.generation == 1 else None  # otherwise a retry
    if event.type in ("deployment.active", "deployment.paused"):
        return _ENDED_WELL.get(event.operation, event.type)
    return event.type if event.type in TYPES else None


def published(record: Record, event: Event) -> str | None:
    """The body of an event as subscribers get it, as JSON; None for one that is not published.

    `data.sequence` orders the events of a deployment; numbers in between are of events that are
    not published. `data.cut` tells that texts were cut to keep it within MOST_BYTES.
    """
    kind = published_type(event)
    if kind is None:
        return None
    body = _body(record, event, kind)
    told = json.dumps(body)
    for most in MOST_CHARACTERS:
        if len(told) <= MOST_BYTES:  # it is ASCII: a byte a character
            break
        told = json.dumps(_cut(body, most))
    return told


def _cut(body: dict[str, Any], most: int) -> dict[str, Any]:
    """The body with its free texts cut, and with no more leftovers than that allows."""
    data, deployment = body["data"], body["data"]["deployment"]

    def short(part: dict[str, Any] | None, *names: str) -> dict[str, Any] | None:
        return part and {k: v[:most] if k in names else v for k, v in part.items()}

    shown = {
        **deployment,
        "failure": short(deployment["failure"], "message", "hint"),
        "prediction": short(deployment["prediction"], "path", "sample"),
        "leftovers": [short(left, "name", "reason") for left in deployment["leftovers"]][:20],
    }
    cut = {"cut": True, "message": data["message"][:most], "deployment": shown}
    return {**body, "data": {**data, **cut}}


def _body(record: Record, event: Event, kind: str) -> dict[str, Any]:
    failure = record.failure
    return {
        "type": kind,
        "timestamp": rfc3339(event.at),
        "data": {
            "sequence": event.sequence,
            "cut": False,
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
