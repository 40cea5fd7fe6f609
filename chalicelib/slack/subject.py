"""What a Slack message says: an operation, the end of an earlier one, an expiry, or an incident."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.api import resource
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.health import INCIDENT_ENDS_AFTER
from chalicelib.platform import clock
from chalicelib.platform.clock import rfc3339
from chalicelib.slack import blocks, messages
from chalicelib.slack.blocks import Message
from chalicelib.store import deployments as store
from chalicelib.store import keys, work

# An event wakes the message of an incident. This finds its end.
INCIDENT_CHECK = timedelta(minutes=15)
# Events that end an operation -> the operation's status at its end.
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
    """What a message should say now.

    Attributes:
        digest: of the content without the elapsed time.
        is_last: no other content follows.
        until: when it is too late to send it; None for no limit.
        known: attributes that the item gets once the content is sent.
        check_after: how soon to look for other content without an event; None for the default.
        state: of an incident: the health that the message shows.
    """

    message: Message
    digest: str
    is_last: bool
    until: datetime | None
    known: dict[str, Any]
    check_after: timedelta | None = None
    state: str | None = None


def subject_of(lease: work.Lease) -> Subject | None:
    """The content according to the current record; None if there is nothing to say any more."""
    deployment = store.get(keys.identifier(lease.pk))
    if deployment is None:
        return _withdrawn(lease)
    subject = lease.sk.split("#")[1]
    if subject.startswith(keys.EXPIRY):
        return _expiry(deployment, subject.removeprefix(keys.EXPIRY))
    if subject.startswith(keys.INCIDENT):
        return _incident(lease, deployment, subject.removeprefix(keys.INCIDENT))
    if rfc3339(deployment.operation.started_at) == subject:
        return _current(lease, deployment)
    return _superseded(lease, deployment)


def _current(lease: work.Lease, deployment: Deployment) -> Subject:
    moment = clock.now()
    shown = resource.render(deployment, moment)
    asked_by, finished = lease.item.get("asked_by"), deployment.operation.finished_at
    return Subject(
        message=blocks.operation(shown, asked_by, moment),
        digest=_digest(blocks.content(shown, asked_by)),
        is_last=not deployment.is_running,
        until=finished + messages.SENT_WITHIN if finished else None,
        known={"shown": _brief(shown), "sequence": deployment.events_written},
    )


def _superseded(lease: work.Lease, deployment: Deployment) -> Subject | None:
    """The last sent content of an operation that a newer one replaced, with how it ended.

    None if nothing was sent, because the newer operation has its own message.
    """
    if "shown" not in lease.item:
        return None
    shown = json.loads(lease.item["shown"])
    events, _ = store.list_events(deployment.id, limit=200, after=int(lease.item["sequence"]))
    end = next((event for event in events if event.type in ENDS), None)
    newer = deployment.operation
    shown["operation"]["status"] = ENDS[end.type] if end else "cancelled"
    shown["operation"]["finished_at"] = rfc3339(end.at if end else newer.started_at)
    asked_by = lease.item.get("asked_by")
    message = blocks.operation(shown, asked_by, newer.started_at, superseded_by=newer.kind)
    return Subject(
        message=message,
        digest=_digest(message.blocks),
        is_last=True,
        until=newer.started_at + messages.SENT_WITHIN,
        known={},
    )


def _withdrawn(lease: work.Lease) -> Subject | None:
    """The content after the API has deleted the record, because the create could not start."""
    if "shown" not in lease.item:
        return None
    shown, moment = json.loads(lease.item["shown"]), clock.now()
    shown["operation"]["status"] = "cancelled"
    shown["cost"]["usd_per_hour"] = 0  # nothing was created
    message = blocks.operation(shown, lease.item.get("asked_by"), moment, withdrawn=True)
    until = datetime.fromisoformat(lease.item["told_at"]) + messages.SENT_WITHIN
    return Subject(message, _digest(message.blocks), is_last=True, until=until, known={})


def _expiry(deployment: Deployment, expires_at: str) -> Subject | None:
    """The notice of an expiry; None if the deployment was extended or is being deleted."""
    moment, ends = clock.now(), deployment.expires_at
    if not messages.is_expiring(deployment, moment) or not ends or rfc3339(ends) != expires_at:
        return None
    message = blocks.expiring(resource.render(deployment, moment))
    return Subject(message, _digest(message.blocks), is_last=True, until=ends, known={})


def _incident(lease: work.Lease, deployment: Deployment, started_at: str) -> Subject | None:
    """The content about an incident. None if there is a newer one, or if it is over unsaid.

    It ends an hour after the last recovery, or when no tasks should serve any more.
    """
    trouble, health, moment = deployment.incident, deployment.shown_health, clock.now()
    if trouble is None or rfc3339(trouble.started_at) != started_at:
        return None
    is_last = health is None or trouble.is_over(moment)
    if is_last and "digest" not in lease.item:
        return None
    state = "over" if health is None else str(health.status)
    message = blocks.incident(resource.render(deployment, moment), trouble)
    recovered = trouble.recovered_at or deployment.updated_at
    return Subject(
        message=message,
        digest=_digest(message.blocks),
        is_last=is_last,
        until=recovered + INCIDENT_ENDS_AFTER + messages.SENT_WITHIN if is_last else None,
        known={"state": state},
        check_after=INCIDENT_CHECK,
        state=state,
    )


def _brief(shown: dict[str, Any]) -> str:
    """The parts of the document from which a superseded message is finished, as JSON.

    The other parts can be large.
    """
    failure = shown["failure"] and {**shown["failure"], "evidence": {}}
    omitted: dict[str, Any] = {"spec": {}, "resources": [], "leftovers": [], "prediction": None}
    return json.dumps({**shown, **omitted, "failure": failure})


def _digest(blocks: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(blocks, sort_keys=True).encode()).hexdigest()
