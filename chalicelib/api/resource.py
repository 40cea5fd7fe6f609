"""A deployment as the API answers it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chalicelib.api import answers
from chalicelib.domain import rates
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.operation import Operation

POLL_SECONDS = 5


def render(deployment: Deployment, now: datetime) -> dict[str, Any]:
    """The JSON document of a deployment: `answers.Deployment`, see `docs/api-reference.md`."""
    return shown(deployment, now).document()


def render_in_list(deployment: Deployment, now: datetime) -> dict[str, Any]:
    """As `render`, without the evidence of failures: a list of many would be too large."""
    document = render(deployment, now)
    for part in (document, document["health"] or {}):
        if part.get("failure"):
            part["failure"]["evidence"] = {}
    return document


def shown(deployment: Deployment, now: datetime) -> answers.Deployment:
    """The part of a record that a caller sees."""
    failure, health = deployment.failure, deployment.shown_health
    self_link = f"/deployments/{deployment.id}"
    return answers.Deployment(
        id=deployment.id,
        name=deployment.name,
        owner=deployment.owner,
        status=deployment.status,
        generation=deployment.generation,
        outcome=deployment.outcome,
        outcome_generation=deployment.outcome_generation,
        url=deployment.url,
        dns=deployment.dns,
        spec=deployment.spec,
        spec_sources=deployment.spec_sources,
        image=deployment.image,
        operation=_operation(deployment.operation),
        failure=answers.Failure.model_validate(failure) if failure else None,
        health=answers.DeploymentHealth.model_validate(health) if health else None,
        prediction=deployment.prediction,
        resources=[answers.Resource.model_validate(each) for each in deployment.resources],
        leftovers=deployment.leftovers,
        cost=answers.Cost(
            usd_per_hour=deployment.meter.usd_per_hour,
            accrued_usd=accrued(deployment, now),
            basis=rates.basis(),
        ),
        created_at=deployment.created_at,
        updated_at=deployment.updated_at,
        expires_at=deployment.expires_at,
        deleted_at=deployment.deleted_at,
        links=answers.Links(
            self=self_link,
            events=f"{self_link}/events",
            tasks=f"{self_link}/tasks",
            logs=f"{self_link}/logs",
        ),
    )


def accrued(deployment: Deployment, now: datetime) -> float:
    """USD accrued so far, rounded to cents; a finer figure would change with every poll."""
    return round(deployment.meter.accrued(now), 2)


def etag(deployment: Deployment, now: datetime) -> str:
    """The ETag, which changes with every write of the record and with every accrued cent."""
    return f'"{deployment.edition}-{deployment.version}-{accrued(deployment, now):.2f}"'


def edition_of(etag_value: str) -> str:
    """The record's edition in an ETag. `If-Match` compares it, because a cent is no conflict."""
    return etag_value.strip().removeprefix("W/").strip('"').partition("-")[0]


def headers(deployment: Deployment, now: datetime) -> dict[str, str]:
    """`ETag`, and while an operation runs `Retry-After`."""
    values = {"ETag": etag(deployment, now)}
    if deployment.is_running:
        values["Retry-After"] = str(POLL_SECONDS)
    return values


def _operation(operation: Operation) -> answers.Operation:
    return answers.Operation(
        kind=operation.kind,
        status=operation.status,
        generation=operation.generation,
        percent=operation.percent,
        started_at=operation.started_at,
        finished_at=operation.finished_at,
        deadline=operation.deadline,
        steps=[answers.Step.model_validate(step) for step in operation.steps],
    )
