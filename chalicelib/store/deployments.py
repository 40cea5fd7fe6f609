"""Deployments in the table: their records, events and names (`keys.py` has the keys).

A record or event is JSON text in one attribute, `document`. As nested attributes, each read and
write would walk the whole record in Python, which took most of a step's time.

Owners list their deployments by the index `by_owner`; admins and sweeps use `everything`. An event
is its own outbox: its item is work for the courier until the event is published (`work.py`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeVar

from chalicelib.domain import publication, quota
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NameTaken, NotFound, QuotaExceeded, Retryable
from chalicelib.domain.parts import Event, EventType
from chalicelib.domain.quota import Use
from chalicelib.domain.record import Status
from chalicelib.platform.clock import rfc3339
from chalicelib.store import domains, kept_logs, keys, quota_guard, table, work

Result = TypeVar("Result")

WRITE_ATTEMPTS = 12
# Attributes that conditions, filters and indexes need beside the document, which has everything.
QUERIED = ("name", "owner", "status", "version", "purge_at")
# Events that change nothing that a caller could overwrite with a stale `If-Match`.
WITHOUT_EDITION = (EventType.EXPIRING, EventType.UNHEALTHY, EventType.RECOVERED)


def get(deployment_id: str) -> Deployment | None:
    """The deployment, by one consistent read; None if it does not exist."""
    item = table.get_item(*keys.deployment(deployment_id))
    return Deployment.model_validate_json(item["document"]) if item else None


def id_of_name(owner: str, name: str) -> str | None:
    """The ID of the owner's live deployment with that name."""
    item = table.get_item(*keys.name(owner, name))
    return item["deployment_id"] if item else None


def create(deployment: Deployment) -> Deployment:
    """Writes a new record, its name, its domain and its events in one transaction.

    Raises `NameTaken` if the owner has a live deployment with that name, or any owner has one with
    that domain. Raises `QuotaExceeded` if the deployment would exceed the owner's quota.
    """
    key = keys.name(deployment.owner, deployment.name)
    name = table.put({**key.attributes, "deployment_id": deployment.id}, "attribute_not_exists(pk)")
    reserved = domains.changes(deployment, frozenset())
    for attempt in range(WRITE_ATTEMPTS):
        try:
            return _write(
                deployment, None, [name, *quota_guard.reserve(deployment, Use()), *reserved]
            )
        except QuotaExceeded:
            _refuse_taken_name(deployment)  # the caller needs the ID of that one, not more quota
            raise
        except table.Conflict:
            _refuse_taken_name(deployment)
            domains.check_available(deployment, ())
            # Another request of this owner was faster: check the quota again.
            _wait(attempt)
    raise Retryable(f"the record of {deployment.id} could not be written")


def _refuse_taken_name(deployment: Deployment) -> None:
    taken_by = id_of_name(deployment.owner, deployment.name)
    if taken_by and taken_by != deployment.id:
        raise NameTaken(" ".join(name_taken(deployment.owner, deployment.name, taken_by)))


def name_taken(owner: str, name: str, taken_by: str) -> tuple[str, str]:
    """Which deployment has the name and its status, and what to do.

    A failed deployment keeps its name until it is deleted.
    """
    holder = get(taken_by)
    status = f", which is {holder.status}" if holder else ""
    fix = "Delete it first, or choose another name."
    if holder and holder.status is Status.FAILED:
        fix += " To create it again with other settings, use PATCH (`update` in a chat)."
    return f"{owner} already has a deployment named {name}: {taken_by}{status}.", fix


def adopt(deployment: Deployment) -> Deployment | None:
    """Writes a record for resources without one. It reserves no name.

    Returns None if the record exists by now.
    """
    try:
        return _write(deployment, expected_version=None)
    except table.Conflict:
        return None


def update(deployment_id: str, change: Callable[[Deployment], object]) -> Deployment:
    """As `update_with_result`, if only the deployment is needed."""
    return update_with_result(deployment_id, change)[0]


def update_with_result(
    deployment_id: str, change: Callable[[Deployment], Result]
) -> tuple[Deployment, Result]:
    """Reads the record, lets `change` alter it, and writes it with its new events.

    Returns the deployment as written, and what `change` returned for it. If somebody else writes
    the record meanwhile, `change` runs again on the newer record. If `change` raises, nothing is
    written. Raises `NotFound` if the deployment does not exist, `QuotaExceeded` if it would exceed
    its owner's quota, `NameTaken` if its domain belongs to another live deployment.
    """
    for attempt in range(WRITE_ATTEMPTS):
        deployment = get(deployment_id)
        if deployment is None:
            raise NotFound(f"There is no deployment {deployment_id}.")
        before, held = quota.held(deployment), domains.held(deployment)
        result = change(deployment)
        also = [*quota_guard.reserve(deployment, before), *domains.changes(deployment, held)]
        try:
            return _write(deployment, deployment.version, also), result
        except table.Conflict:
            domains.check_available(deployment, held)
            _wait(attempt)  # parallel steps write the same record
    raise Retryable(f"too many concurrent writes to the record of {deployment_id}")


def _wait(attempt: int) -> None:
    """Waits longer after each attempt, with jitter, so that writers do not collide again."""
    time.sleep(random.uniform(0, 0.02 * 2 ** min(attempt, 5)))


def discard(deployment: Deployment) -> None:
    """Deletes a record whose execution could not be started, with its name, domains and events.

    Raises `table.Conflict` if the record was written since, because then an execution runs.
    """
    record = table.delete(
        *keys.deployment(deployment.id), "version = :version", {":version": deployment.version}
    )
    sequences = range(1, deployment.events_written + 1)
    events = [table.delete(*keys.event(deployment.id, sequence)) for sequence in sequences]
    name = table.delete(*keys.name(deployment.owner, deployment.name))
    table.transact([record, *events, name, *domains.release_all(deployment)])


def list_deployments(
    owner: str | None,
    *,
    limit: int,
    after: str | None,
    name: str | None = None,
    statuses: tuple[str, ...] = (),
    show_deleted: bool = False,
) -> tuple[list[Deployment], str | None]:
    """A page of deployments, newest first, and the position of the next page, if any.

    `owner` None means all owners. `after` is the position where the previous page ended.
    """
    filters: list[str] = []
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    if name:
        filters.append("#name = :name")
        names["#name"], values[":name"] = "name", name
    if statuses:
        filters.append(f"#status IN ({', '.join(f':s{n}' for n in range(len(statuses)))})")
        values |= {f":s{n}": status for n, status in enumerate(statuses)}
    if not show_deleted and Status.DELETED not in statuses:
        filters.append("#status <> :deleted")
        values[":deleted"] = Status.DELETED
    if any("#status" in text for text in filters):
        names["#status"] = "status"
    page, position = table.newest(
        "by_owner" if owner else "everything",
        owner or keys.DEPLOYMENTS,
        limit=limit,
        after=after,
        filters=filters,
        names=names,
        values=values,
    )
    return [Deployment.model_validate_json(item["document"]) for item in page], position


def all_deployments() -> Iterator[Deployment]:
    """Every deployment that is not DELETED, newest first, page by page."""
    after: str | None = None
    while True:
        page, after = list_deployments(None, limit=100, after=after)
        yield from page
        if after is None:
            return


def position(deployment: Deployment) -> str:
    """The position of a deployment in the lists: `after` for the page that follows it."""
    return f"{rfc3339(deployment.created_at)}#{deployment.id}"


def list_events(deployment_id: str, *, limit: int, after: int) -> tuple[list[Event], int | None]:
    """Events after the sequence `after`, oldest first, and the `after` of the next page, if any."""
    following = table.query(
        "pk = :pk AND sk BETWEEN :first AND :last",
        {
            ":pk": keys.deployment(deployment_id).pk,
            ":first": keys.event(deployment_id, after + 1).sk,
            ":last": keys.event(deployment_id, 99_999_999).sk,
        },
        ConsistentRead=True,
    )
    items = list(islice(following, limit + 1))
    events = [Event.model_validate_json(item["document"]) for item in items[:limit]]
    return events, events[-1].sequence if len(items) > limit else None


def last_event(deployment_id: str) -> int:
    """The sequence of a deployment's last event, even if its record does not exist any more."""
    newest = table.query(
        "pk = :pk AND begins_with(sk, :event)",
        {":pk": keys.deployment(deployment_id).pk, ":event": keys.EVENT},
        ScanIndexForward=False,
        Limit=1,
        ConsistentRead=True,
    )
    last = next(newest, None)
    return int(keys.identifier(last["sk"])) if last else 0


# --- internal --------------------------------------------------------------------------------


def _write(
    deployment: Deployment, expected_version: int | None, also: list[dict[str, Any]] | None = None
) -> Deployment:
    """Writes the record, if its version is the expected one, and its new events."""
    events = deployment.new_events
    before = deployment.version, deployment.events_written
    deployment.version += 1
    deployment.edition += any(event.type not in WITHOUT_EDITION for event in events)
    deployment.events_written += len(events)
    record = {
        **keys.deployment(deployment.id).attributes,
        "document": deployment.model_dump_json(),
        "record_type": keys.DEPLOYMENTS,
        "created_key": position(deployment),
        **{name: getattr(deployment, name) for name in QUERIED},
        **_health_check(deployment),
    }
    if expected_version is None:
        put = table.put(record, "attribute_not_exists(pk)")
    else:
        put = table.put(record, "version = :version", {":version": expected_version})
    items = [put, *(also or [])]
    items += [
        table.put(
            {
                **keys.event(deployment.id, event.sequence).attributes,
                "document": event.model_dump_json(),
                **_outbox(deployment, event),
            },
            "attribute_not_exists(pk)",
        )
        for event in events
    ]
    types = {event.type for event in events}
    if EventType.DELETED in types:
        items += _release_name(deployment)
    if EventType.DELETED in types or (EventType.CREATING in types and expected_version):
        items.append(kept_logs.delete(deployment.id))
    try:
        table.transact(items)
    except table.Conflict:
        deployment.version, deployment.events_written = before  # a create tries again
        raise
    deployment.new_events.clear()
    return deployment


def _outbox(deployment: Deployment, event: Event) -> dict[str, Any]:
    """The attributes that make an event work for the courier.

    A published event stays due until every receiver has it. Other events only refresh Slack
    messages, and so does the next event.
    """
    body = publication.published(deployment, event)
    if body is None:
        return {"wake": work.COURIER}
    return {
        **work.due_now(work.COURIER, event.at),
        "published": body,
        "callback_url": deployment.spec.callback_url,
    }


def _health_check(deployment: Deployment) -> dict[str, Any]:
    """The attributes that make the record work for the function `health`."""
    if deployment.health_due_at is None or not deployment.can_be_checked:
        return {}
    return work.due(work.HEALTH, deployment.health_due_at)


def _release_name(deployment: Deployment) -> list[dict[str, Any]]:
    """Releases the name, unless another deployment has it: after a second teardown of this one."""
    if id_of_name(deployment.owner, deployment.name) != deployment.id:
        return []
    return [
        table.delete(
            *keys.name(deployment.owner, deployment.name),
            "attribute_not_exists(pk) OR deployment_id = :id",
            {":id": deployment.id},
        )
    ]
