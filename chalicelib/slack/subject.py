"""What a message has to tell: the record's operation as it stands, how an older one ended, or that
a deployment expires."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.api import resource
from chalicelib.domain.deployment import Deployment
from chalicelib.platform import clock
from chalicelib.platform.clock import rfc3339
from chalicelib.slack import blocks, messages
from chalicelib.slack.blocks import Message
from chalicelib.store import deployments as store
from chalicelib.store import keys, work

# Events that end an operation, and what its status was then.
ENDS = {
    "deployment.active": "succeeded",
    "deployment.paused": "succeeded",
    "deployment.deleted": "succeeded",
    "deployment.rolled_back": "rolled_back",
    "deployment.failed": "failed",
    "deployment.delete_failed": "failed",
    "operation.cancelled": "cancelled",
}


@dataclass(frozen=True)
class Subject:
    """What a message is to say now.

    `digest`: of what it says apart from the time that passes. `is_last`: nothing comes after it.
    `until`: when it is too late to tell. `known`: what the item keeps of it once it is told.
    """

    message: Message
    digest: str
    is_last: bool
    until: datetime | None
    known: dict[str, Any]


def subject_of(lease: work.Lease) -> Subject | None:
    """What to tell by the record as it is now; None where there is nothing any more."""
    deployment = store.get(keys.identifier(lease.pk))
    if deployment is None:
        return _taken_back(lease)
    subject = lease.sk.split("#")[1]
    if subject.startswith(keys.EXPIRY):
        return _expiry(deployment, subject.removeprefix(keys.EXPIRY))
    if rfc3339(deployment.operation.started_at) == subject:
        return _present(lease, deployment)
    return _superseded(lease, deployment)


def _present(lease: work.Lease, deployment: Deployment) -> Subject:
    moment = clock.now()
    shown = resource.render(deployment, moment)
    asked_by, finished = lease.item.get("asked_by"), deployment.operation.finished_at
    return Subject(
        message=blocks.operation(shown, asked_by, moment),
        digest=_digest(blocks.content(shown, asked_by)),
        is_last=not deployment.is_running,
        until=finished + messages.TOLD_WITHIN if finished else None,
        known={"shown": _brief(shown), "sequence": deployment.events_written},
    )


def _superseded(lease: work.Lease, deployment: Deployment) -> Subject | None:
    """The record tells of a newer operation: what was last shown of this one, and how it ended.

    Nothing where nothing was shown: the newer operation has a message of its own.
    """
    if "shown" not in lease.item:
        return None
    shown = json.loads(lease.item["shown"])
    found, _ = store.list_events(deployment.id, limit=200, after=int(lease.item["sequence"]))
    end = next((event for event in found if event.type in ENDS), None)
    newer = deployment.operation
    shown["operation"]["status"] = ENDS[end.type] if end else "cancelled"
    shown["operation"]["finished_at"] = rfc3339(end.at if end else newer.started_at)
    asked_by = lease.item.get("asked_by")
    message = blocks.operation(shown, asked_by, newer.started_at, superseded_by=newer.kind)
    return Subject(
        message=message,
        digest=_digest(message.blocks),
        is_last=True,
        until=newer.started_at + messages.TOLD_WITHIN,
        known={},
    )


def _taken_back(lease: work.Lease) -> Subject | None:
    """There is no record any more: the API takes back a create that nobody could start."""
    if "shown" not in lease.item:
        return None
    shown, moment = json.loads(lease.item["shown"]), clock.now()
    shown["operation"]["status"] = "cancelled"
    shown["cost"]["usd_per_hour"] = 0  # nothing was made
    message = blocks.operation(shown, lease.item.get("asked_by"), moment, withdrawn=True)
    until = datetime.fromisoformat(lease.item["told_at"]) + messages.TOLD_WITHIN
    return Subject(message, _digest(message.blocks), is_last=True, until=until, known={})


def _expiry(deployment: Deployment, expires_at: str) -> Subject | None:
    """Nothing where its time was extended meanwhile, or it is going already."""
    moment, ends = clock.now(), deployment.expires_at
    if not messages.is_expiring(deployment, moment) or not ends or rfc3339(ends) != expires_at:
        return None
    message = blocks.expiring(resource.render(deployment, moment))
    return Subject(message, _digest(message.blocks), is_last=True, until=ends, known={})


def _brief(shown: dict[str, Any]) -> str:
    """What a superseded message is finished from; the rest of a record may be large."""
    failure = shown["failure"] and {**shown["failure"], "evidence": {}}
    left_out: dict[str, Any] = {"spec": {}, "resources": [], "leftovers": [], "prediction": None}
    return json.dumps({**shown, **left_out, "failure": failure})


def _digest(told: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
