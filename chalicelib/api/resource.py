"""A deployment as the contract shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chalicelib import rates
from chalicelib.clock import rfc3339
from chalicelib.deployments.deployment import Deployment
from chalicelib.deployments.operation import Operation, Step
from chalicelib.deployments.parts import Event, Resource

POLL_SECONDS = 5


def render(deployment: Deployment, now: datetime) -> dict[str, Any]:
    """The deployment resource of `api.md`."""
    self_link = f"/deployments/{deployment.id}"
    return {
        "id": deployment.id,
        "name": deployment.name,
        "owner": deployment.owner,
        "status": deployment.status,
        "generation": deployment.generation,
        "url": deployment.url,
        "dns": deployment.dns.model_dump() if deployment.dns else None,
        "spec": deployment.spec.model_dump(),
        "image": deployment.image.model_dump(),
        "operation": _operation(deployment.operation),
        "failure": deployment.failure.model_dump() if deployment.failure else None,
        "prediction": deployment.prediction.model_dump() if deployment.prediction else None,
        "resources": [_resource(resource) for resource in deployment.resources],
        "leftovers": [left.model_dump() for left in deployment.leftovers],
        "cost": {
            "usd_per_hour": deployment.meter.usd_per_hour,
            "accrued_usd": accrued(deployment, now),
            "basis": rates.basis(),
        },
        "created_at": rfc3339(deployment.created_at),
        "updated_at": rfc3339(deployment.updated_at),
        "expires_at": _moment(deployment.expires_at),
        "deleted_at": _moment(deployment.deleted_at),
        "links": {
            "self": self_link,
            **{name: f"{self_link}/{name}" for name in ("events", "tasks", "logs")},
        },
    }


def accrued(deployment: Deployment, now: datetime) -> float:
    """USD so far, in cents: finer, and no two polls would ever be the same."""
    return round(deployment.meter.accrued(now), 2)


def etag(deployment: Deployment, now: datetime) -> str:
    """Changes with every write of the record, and with every cent that accrues."""
    return f'"{deployment.version}-{accrued(deployment, now):.2f}"'


def version_of(etag_value: str) -> str:
    """The record's version in an ETag: what `If-Match` is about, for a cent is no conflict."""
    return etag_value.strip().removeprefix("W/").strip('"').partition("-")[0]


def headers(deployment: Deployment, now: datetime) -> dict[str, str]:
    """ETag, and when to ask again while an operation runs."""
    values = {"ETag": etag(deployment, now)}
    if deployment.is_running:
        values["Retry-After"] = str(POLL_SECONDS)
    return values


def render_event(event: Event) -> dict[str, Any]:
    """An event of `/events`."""
    return {**event.model_dump(), "at": rfc3339(event.at)}


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "kind": operation.kind,
        "status": operation.status,
        "generation": operation.generation,
        "percent": operation.percent,
        "started_at": rfc3339(operation.started_at),
        "finished_at": _moment(operation.finished_at),
        "deadline": rfc3339(operation.deadline),
        "steps": [_step(step) for step in operation.steps],
    }


def _step(step: Step) -> dict[str, Any]:
    times = {"started_at": _moment(step.started_at), "finished_at": _moment(step.finished_at)}
    return {**step.model_dump(), **times}


def _resource(resource: Resource) -> dict[str, Any]:
    times = {"created_at": _moment(resource.created_at), "deleted_at": _moment(resource.deleted_at)}
    return {**resource.model_dump(), **times}


def _moment(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
