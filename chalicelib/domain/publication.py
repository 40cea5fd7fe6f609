"""Published events: which events of a deployment receivers get, and the bodies of these.

The body is written in the same transaction as the event. So it describes the deployment at that
moment, however late it is delivered.
"""

from __future__ import annotations

import json
from typing import Any, Literal, get_args

from chalicelib.domain.parts import Event, EventType
from chalicelib.domain.stored_enum import StoredEnum
from chalicelib.domain.watched import Watched
from chalicelib.platform.clock import rfc3339

PublishedType = Literal[
    "deployment.created",
    "deployment.active",
    "deployment.failed",
    "deployment.updated",
    "deployment.rolled_back",
    "deployment.paused",
    "deployment.expiring",
    "deployment.unhealthy",
    "deployment.recovered",
    "deployment.deleted",
    "deployment.delete_failed",
]
TYPES: tuple[str, ...] = get_args(PublishedType)


# Most published types equal the event's own type. If an operation of these kinds succeeds, the type
# names the operation instead of the status.
_TYPES_OF_SUCCESS = {"update": "deployment.updated", "rollback": "deployment.rolled_back"}
CREATED = "deployment.created"
# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#payload-size
MOST_BYTES = 20_000
# Lengths to which the texts of a longer body are cut, until it is short enough.
MOST_CHARACTERS = (1000, 200, 40)


class DeliveryStatus(StoredEnum):
    """The status of a delivery: one published event on its way to one receiver."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


def published_type(event: Event) -> str | None:
    """The type that receivers see; None if the event is not published."""
    if event.type == EventType.CREATING:
        return CREATED if event.generation == 1 else None  # a later one is a retry
    if event.type in (EventType.ACTIVE, EventType.PAUSED):
        return _TYPES_OF_SUCCESS.get(event.operation, event.type)
    return event.type if event.type in TYPES else None


def published(record: Watched, event: Event) -> str | None:
    """The body of an event for its receivers, as JSON; None if the event is not published.

    `data.sequence` orders the events of a deployment; missing numbers are events that are not
    published. `data.cut` is true if texts were cut to keep the body within MOST_BYTES.
    """
    kind = published_type(event)
    if kind is None:
        return None
    body = _body(record, event, kind)
    document = json.dumps(body)
    for most in MOST_CHARACTERS:
        if len(document) <= MOST_BYTES:  # JSON in ASCII: one byte per character
            break
        document = json.dumps(_cut(body, most))
    return document


def _cut(body: dict[str, Any], most: int) -> dict[str, Any]:
    """The body with its texts cut to `most` characters, and with at most 20 leftovers."""
    data, deployment = body["data"], body["data"]["deployment"]

    def short(part: dict[str, Any] | None, *names: str) -> dict[str, Any] | None:
        return part and {k: v[:most] if k in names else v for k, v in part.items()}

    health = deployment["health"]
    shown = {
        **deployment,
        "health": health and {**health, "failure": short(health["failure"], "message", "hint")},
        "failure": short(deployment["failure"], "message", "hint"),
        "prediction": short(deployment["prediction"], "path", "sample"),
        "leftovers": [short(each, "name", "reason") for each in deployment["leftovers"]][:20],
    }
    cut = {"cut": True, "message": data["message"][:most], "deployment": shown}
    return {**body, "data": {**data, **cut}}


def _body(record: Watched, event: Event, kind: str) -> dict[str, Any]:
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
                "outcome": record.outcome,
                "outcome_generation": record.outcome_generation,
                "url": record.url,
                "image": record.image.model_dump(),
                "operation": {"kind": record.operation.kind, "status": record.operation.status},
                "failure": failure.model_dump(exclude={"evidence"}) if failure else None,
                "health": _health(record),
                "prediction": record.prediction.model_dump() if record.prediction else None,
                "leftovers": [each.model_dump() for each in record.leftovers],
                "usd_per_hour": record.meter.usd_per_hour,
                "expires_at": rfc3339(record.expires_at) if record.expires_at else None,
                "links": {"self": f"/deployments/{record.id}"},
            },
        },
    }


def _health(record: Watched) -> dict[str, Any] | None:
    health = record.shown_health
    if health is None:
        return None
    shown = health.model_dump(include={"status", "running", "wanted"})
    failure = health.failure.model_dump(exclude={"evidence"}) if health.failure else None
    return {**shown, "since": rfc3339(health.since), "failure": failure}
