"""The endpoints below `/deployments`: each reads its request, calls one use case, and renders."""

from __future__ import annotations

from chalicelib.api import answers, cursor, resource
from chalicelib.api.answer import Answer
from chalicelib.api.pages import fitting
from chalicelib.api.parameters import (
    CreateParameters,
    EventsParameters,
    ListParameters,
    UpdateParameters,
)
from chalicelib.api.requests import Request
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.digits import is_number
from chalicelib.platform import clock
from chalicelib.store import deployments as store
from chalicelib.usecases import access, changes, reads


def create(request: Request) -> Answer:
    """`POST /deployments`: 202 with the deployment.

    With `validate_only=true` 200: the checks and the cost.
    """
    query = request.parameters(CreateParameters)
    body = request.json()
    if query.validate_only:
        # Only this request needs the preflight checks.
        from chalicelib.api import validation

        return validation.validate(request.caller, body)
    deployment = changes.create(request.caller, body)
    return _shown(202, deployment, {"Location": f"/deployments/{deployment.id}"})


def list_all(request: Request) -> Answer:
    """`GET /deployments`: the caller's deployments, newest first; an admin sees every owner's."""
    query = request.parameters(ListParameters)
    deployments, after = reads.list_page(
        request.caller,
        limit=query.limit,
        after=cursor.decode(query.cursor) if query.cursor is not None else None,
        name=query.name,
        statuses=query.status,
        show_deleted=query.show_deleted,
    )
    moment = clock.now()
    page = fitting(resource.render_in_list(deployment, moment) for deployment in deployments)
    if len(page) < len(deployments):
        after = store.position(deployments[len(page) - 1])
    return Answer(200, {"deployments": page, "next_cursor": cursor.next_of(after)})


def get(request: Request, reference: str) -> Answer:
    """`GET /deployments/{deployment}`: 200, or 304 if `If-None-Match` has its ETag."""
    deployment, moment = reads.find(request.caller, reference), clock.now()
    headers = resource.headers(deployment, moment)
    sent = request.header("If-None-Match") or ""
    tags = [tag.strip().removeprefix("W/") for tag in sent.split(",")]
    if headers["ETag"] in tags or "*" in tags:
        return Answer(304, None, headers)
    return Answer(200, resource.render(deployment, moment), headers)


def update(request: Request, reference: str) -> Answer:
    """`PATCH /deployments/{deployment}`: 202, or 200 if nothing changes.

    With `validate_only=true` 200: the checks, the cost and the changes.
    """
    query = request.parameters(UpdateParameters)
    body, editions = request.json(), _editions(request)
    if query.validate_only:
        from chalicelib.api import validation

        return validation.validate_change(request.caller, reference, body, editions)
    deployment, started = changes.update(request.caller, reference, body, editions=editions)
    return _shown(202 if started else 200, deployment)


def rollback(request: Request, reference: str) -> Answer:
    """`POST /deployments/{deployment}/rollback`: 202."""
    _refuse_body(request, reference)
    return _shown(202, changes.rollback(request.caller, reference))


def pause(request: Request, reference: str) -> Answer:
    """`POST /deployments/{deployment}/pause`: 202."""
    _refuse_body(request, reference)
    return _shown(202, changes.pause(request.caller, reference))


def resume(request: Request, reference: str) -> Answer:
    """`POST /deployments/{deployment}/resume`: 202."""
    _refuse_body(request, reference)
    return _shown(202, changes.resume(request.caller, reference))


def extend(request: Request, reference: str) -> Answer:
    """`POST /deployments/{deployment}/extend`: 200."""
    return _shown(200, changes.extend(request.caller, reference, request.json()))


def delete(request: Request, reference: str) -> Answer:
    """`DELETE /deployments/{deployment}`: 202, also if it is deleted already."""
    return _shown(202, changes.delete(request.caller, reference, editions=_editions(request)))


def retry(request: Request, reference: str) -> Answer:
    """`POST /deployments/{deployment}/retry`: 202."""
    _refuse_body(request, reference)
    return _shown(202, changes.retry(request.caller, reference))


def events(request: Request, reference: str) -> Answer:
    """`GET /deployments/{deployment}/events`: every change of status and step, oldest first."""
    query = request.parameters(EventsParameters)
    position = cursor.decode(query.cursor) if query.cursor is not None else "0"
    if not is_number(position):
        raise cursor.foreign()
    listed, after = reads.events(request.caller, reference, limit=query.limit, after=int(position))
    page = fitting(answers.Event(**event.model_dump()).model_dump(mode="json") for event in listed)
    if len(page) < len(listed):
        after = listed[len(page) - 1].sequence
    return Answer(200, {"events": page, "next_cursor": cursor.next_of(after)})


def tasks(request: Request, reference: str) -> Answer:
    """`GET /deployments/{deployment}/tasks`: live from ECS, with the health of each target."""
    listed = reads.tasks(request.caller, reference)
    page = answers.Tasks(tasks=[answers.Task.model_validate(task) for task in listed])
    return Answer(200, page.document())


def _shown(status: int, deployment: Deployment, headers: dict[str, str] | None = None) -> Answer:
    moment = clock.now()
    shown = resource.render(deployment, moment)
    return Answer(status, shown, {**resource.headers(deployment, moment), **(headers or {})})


def _refuse_body(request: Request, reference: str) -> None:
    """Refuses a body with 422, but answers 404 first if the caller does not see the deployment."""
    if request.has_body:
        access.find(request.caller, reference)
        raise request.unexpected_body()


def _editions(request: Request) -> frozenset[int] | None:
    """The editions in `If-Match`; None if any edition will do."""
    sent = request.header("If-Match")
    if sent is None or sent.strip() == "*":
        return None
    editions = map(resource.edition_of, sent.split(","))
    return frozenset(int(edition) for edition in editions if is_number(edition))
