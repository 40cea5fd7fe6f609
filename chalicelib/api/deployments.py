"""The endpoints below `/deployments`: each checks, makes one call, and answers."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from chalicelib.api import answers, cursor, resource
from chalicelib.api.answer import Answer
from chalicelib.api.parameters import (
    CreateParameters,
    EventsParameters,
    ListParameters,
    is_number,
)
from chalicelib.api.requests import Request
from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import AwsUnavailable, NotFound, PreconditionFailed, WorkflowError
from chalicelib.domain.operation import Path
from chalicelib.domain.rates import hourly_rate
from chalicelib.domain.record import Status
from chalicelib.domain.spec import spec as specs
from chalicelib.platform import aws
from chalicelib.platform.clock import now
from chalicelib.platform.observability import logger
from chalicelib.platform.settings import settings
from chalicelib.store import deployments as store
from chalicelib.store import table
from chalicelib.store.tokens import Caller
from chalicelib.webhooks import callback_url
from chalicelib.workflow import executions

MOST_CURSOR = 256


def create(request: Request) -> Answer:
    """`POST /deployments`: 202 with the resource, its execution started.

    With `validate_only=true` 200: the checks and the cost.
    """
    query = request.parameters(CreateParameters)
    body = request.json()
    spec = specs.parse(body, **_limits(body))
    if query.validate_only:
        # With all that is known of AWS's limits; no other request pays for it.
        from chalicelib.api import validation

        return Answer(200, validation.validate(request.caller.owner, spec))
    moment = now()
    deployment = Deployment.create(naming.new_id(spec.name), request.caller.owner, spec, moment)
    # From the first minute on: the load balancer costs before anything serves.
    deployment.meter.set_rate(hourly_rate(spec), moment)
    deployment = store.create(deployment)
    try:
        executions.start(deployment)
    except Exception as error:
        # Nothing half-made: without an execution nobody would ever finish this record.
        with contextlib.suppress(table.Conflict):  # the start took effect, its answer was lost
            store.discard(deployment)
            raise _unavailable(error) from error
    location = {"Location": f"/deployments/{deployment.id}"}
    return _accepted(deployment, location)


def list_all(request: Request) -> Answer:
    """`GET /deployments`: the caller's deployments, newest first; an admin sees everyone's."""
    query = request.parameters(ListParameters)
    deployments, after = store.list_deployments(
        None if request.caller.is_admin else request.caller.owner,
        limit=query.limit,
        after=_position(query.cursor),
        name=query.name,
        statuses=query.status,
        show_deleted=query.show_deleted,
    )
    moment = now()
    page = answers.Deployments(
        deployments=[resource.shown(deployment, moment) for deployment in deployments],
        next_cursor=cursor.encode(after) if after else None,
    )
    return Answer(200, page.document())


def get(request: Request, reference: str) -> Answer:
    """`GET /deployments/{deployment}`: from the table alone; 304 when the poller knows it."""
    deployment, moment = find(request.caller, reference), now()
    headers = resource.headers(deployment, moment)
    known = request.header("If-None-Match") or ""
    tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
    if headers["ETag"] in tags or "*" in tags:
        return Answer(304, None, headers)
    return Answer(200, resource.render(deployment, moment), headers)


def update(request: Request, reference: str) -> Answer:
    """`PATCH /deployments/{deployment}`: 202; the change is rolled out by a new execution."""
    body = request.json()
    found = find(request.caller, reference)
    wanted, limits = request.header("If-Match"), _limits(body)

    def change(deployment: Deployment) -> None:
        _check_match(deployment, wanted)
        spec = specs.patched(deployment.spec, body, **limits)
        deployment.update(spec, now(), new_image="image" in body)

    return _rolled_out(store.update(found.id, change))


def rollback(request: Request, reference: str) -> Answer:
    """`POST /deployments/{deployment}/rollback`: 202; back to what served before this version."""
    found = find(request.caller, reference)
    request.refuse_body()
    return _rolled_out(store.update(found.id, lambda deployment: deployment.roll_back(now())))


def pause(request: Request, reference: str) -> Answer:
    """`POST /deployments/{deployment}/pause`: 202; no task is left, and its URL answers 503."""
    found = find(request.caller, reference)
    request.refuse_body()
    return _rolled_out(store.update(found.id, lambda deployment: deployment.pause(now())))


def resume(request: Request, reference: str) -> Answer:
    """`POST /deployments/{deployment}/resume`: 202; its tasks start and its URL serves again."""
    found = find(request.caller, reference)
    request.refuse_body()
    return _rolled_out(store.update(found.id, lambda deployment: deployment.resume(now())))


def extend(request: Request, reference: str) -> Answer:
    """`POST /deployments/{deployment}/extend`: 200; its time to live begins anew, now."""
    ttl = specs.parse_extension(request.json())
    found = find(request.caller, reference)
    deployment, moment = store.update(found.id, lambda d: d.extend(ttl, now())), now()
    body = resource.render(deployment, moment)
    return Answer(200, body, resource.headers(deployment, moment))


def delete(request: Request, reference: str) -> Answer:
    """`DELETE /deployments/{deployment}`: 202 at any moment, and again when it is gone already."""
    found = find(request.caller, reference)
    wanted = request.header("If-Match")
    superseded: list[int] = []

    def change(deployment: Deployment) -> None:
        _check_match(deployment, wanted)
        running = deployment.is_running
        if deployment.delete(now()):
            superseded[:] = [deployment.generation - 1] if running else []

    if found.can_be_deleted(now()):
        found = store.update(found.id, change)
    else:
        _check_match(found, wanted)
    if superseded:
        _stop(found.id, superseded[0])
    # Started again too, in case the function that accepted the first DELETE died before it did.
    return _started(found) if found.status is Status.DELETING else _accepted(found)


def retry(request: Request, reference: str) -> Answer:
    """`POST /deployments/{deployment}/retry`: 202; FAILED is made, DELETE_FAILED removed, again."""
    found = find(request.caller, reference)
    request.refuse_body()

    def change(deployment: Deployment) -> None:
        deployment.retry(now())
        if deployment.operation.path is Path.CONVERGE:
            rate = hourly_rate(deployment.spec, deployment.wanted_tasks)
            deployment.meter.set_rate(rate, now())

    deployment = store.update(found.id, change)
    try:
        executions.start(deployment)
    except Exception:
        # Accepted all the same: the reconciler starts what the record says within minutes.
        logger.exception("execution not started", extra={"deployment": deployment.id})
    return _accepted(deployment)


def events(request: Request, reference: str) -> Answer:
    """`GET /deployments/{deployment}/events`: every change of status and step, oldest first."""
    query = request.parameters(EventsParameters)
    deployment = find(request.caller, reference)
    position = _position(query.cursor)
    if position is not None and not is_number(position):
        raise cursor.foreign()
    found, after = store.list_events(deployment.id, limit=query.limit, after=int(position or 0))
    page = answers.Events(
        events=[answers.Event(**event.model_dump()) for event in found],
        next_cursor=cursor.encode(str(after)) if after else None,
    )
    return Answer(200, page.document())


def tasks(request: Request, reference: str) -> Answer:
    """`GET /deployments/{deployment}/tasks`: live from ECS, with each target's health."""
    from chalicelib.resources import target_group
    from chalicelib.resources import tasks as ecs_tasks

    deployment = find(request.caller, reference)
    found = ecs_tasks.describe(deployment.id)
    addresses = ecs_tasks.public_addresses(found)
    targets = target_group.targets(deployment.id) if found else []
    health = {target.address: target.state for target in targets}
    page = answers.Tasks(tasks=[_task(task, addresses, health) for task in found])
    return Answer(200, page.document())


def _task(task: dict[str, Any], addresses: dict[str, str], health: dict[str, str]) -> answers.Task:
    from chalicelib.resources.tasks import address, attachment, task_id

    return answers.Task(
        id=task_id(task),
        status=task["lastStatus"],
        health=task.get("healthStatus"),
        target_health=health.get(address(task) or ""),
        public_ip=addresses.get(attachment(task, "networkInterfaceId") or ""),
        zone=task.get("availabilityZone"),
        started_at=task.get("startedAt"),
        stopped_reason=task.get("stoppedReason") or None,
    )


# --- shared by the endpoints ---------------------------------------------------------------


def _limits(body: Any) -> specs.Limits:
    """What the stack allows; a look-up of the host that the body names is made here, once."""
    url = body.get("callback_url") if isinstance(body, dict) else None
    return {
        "callback_fault": callback_url.fault(url) if isinstance(url, str) else None,
        "allowed_registries": settings().allowed_registries,
        "allowed_secrets": settings().allowed_secrets,
        "allowed_domains": settings().allowed_domains,
        "region": settings().aws_region,
        "max_tasks": settings().max_tasks,
    }


def find(caller: Caller, reference: str) -> Deployment:
    """By id, or by the name of a live deployment of the caller. Raises `NotFound`.

    Another owner's deployment is not found, so that nobody learns that it exists.
    """

    def is_theirs(found: Deployment | None) -> bool:
        return found is not None and (caller.is_admin or found.owner == caller.owner)

    deployment = store.get(reference) if naming.ID_PATTERN.fullmatch(reference) else None
    if not is_theirs(deployment) and re.fullmatch(naming.NAME_PATTERN, reference):
        named = store.id_of_name(caller.owner, reference)
        deployment = store.get(named) if named else None
    if deployment is None or not is_theirs(deployment):
        raise NotFound(f"There is no deployment {reference}")
    return deployment


def _check_match(deployment: Deployment, wanted: str | None) -> None:
    if wanted is None or wanted.strip() == "*":
        return
    if str(deployment.edition) not in [resource.edition_of(tag) for tag in wanted.split(",")]:
        raise PreconditionFailed(f"{deployment.id} has changed since: get it again, then decide")


def _accepted(deployment: Deployment, headers: dict[str, str] | None = None) -> Answer:
    moment = now()
    own = resource.headers(deployment, moment)
    return Answer(202, resource.render(deployment, moment), {**own, **(headers or {})})


def _rolled_out(deployment: Deployment) -> Answer:
    """Starts the execution of a change to what serves."""
    try:
        executions.start(deployment)
    except Exception as error:
        # Nothing half-made: back to what serves, so that the same request can be sent again.
        store.update(deployment.id, lambda d: d.withdraw_update(deployment.generation, now()))
        raise _unavailable(error) from error
    return _accepted(deployment)


def _started(deployment: Deployment) -> Answer:
    try:
        executions.start(deployment)
    except Exception as error:
        # The record says what is wanted; the reconciler starts it, or the same DELETE again.
        raise _unavailable(error) from error
    return _accepted(deployment)


def _stop(deployment_id: str, generation: int) -> None:
    try:
        executions.stop(deployment_id, generation)
    except Exception as error:
        logger.warning(
            "execution not stopped", extra={"deployment": deployment_id, "reason": str(error)}
        )


def _unavailable(error: Exception) -> Exception:
    known = aws.workflow_error(error)
    if isinstance(known, WorkflowError):
        return AwsUnavailable(
            f"AWS could not start the work: {known}. Nothing was lost; send the request again",
            headers={"Retry-After": "5"},
        )
    return error


def _position(text: str | None) -> str | None:
    return None if text is None else cursor.decode(text, MOST_CURSOR)
