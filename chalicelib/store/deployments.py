"""The deployments' records in the table.

One table, two keys (`pk`, `sk`):

| item            | pk                | sk              |
|-----------------|-------------------|-----------------|
| deployment      | `DEPLOYMENT#<id>` | `RECORD`        |
| event           | `DEPLOYMENT#<id>` | `EVENT#<00000001>` |
| name, while live| `OWNER#<owner>`   | `NAME#<name>`   |
| domain, while live| `DOMAIN#<domain>` | `DOMAIN`      |
| token           | `TOKEN#<hash>`    | `TOKEN`         |
| idempotency key | `OWNER#<owner>`   | `IDEMPOTENCY#<key>` |
| token, listed   | `TOKENS`          | `<token id>`    |
| guard of a quota | `OWNER#<owner>`  | `QUOTA`         |

The items of tokens are `tokens.py`'s, those of domains `domains.py`'s, those of idempotency keys
`api/idempotency.py`'s, and the guard is `usage.py`'s. Deliveries and subscriptions are in
`webhooks/`.

Records and events are JSON text in one attribute, `document`: as nested attributes each read and
write would walk the whole record in Python, which took most of a step's time.

Two indexes of deployments: `by_owner` (`owner`, `created_key`) and `everything` (`record_type`,
`created_key`) for admins and sweeps. Deliveries are in them under other keys
(`webhooks/deliveries.py`). An event is its own outbox (`work.py`, index `due`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from chalicelib.domain import publication, quota
from chalicelib.domain.deployment import DELETED_EVENT, EXPIRING_EVENT, Deployment
from chalicelib.domain.errors import NameTaken, NotFound, QuotaExceeded, Retryable
from chalicelib.domain.parts import Event
from chalicelib.domain.quota import Use
from chalicelib.domain.record import Status
from chalicelib.platform.clock import rfc3339
from chalicelib.store import domains, table, work
from chalicelib.store import quota_guard as usage

Result = TypeVar("Result")

WRITE_ATTEMPTS = 12
RECORD_TYPE = "deployment"
# What a condition, a filter or an index needs beside the document that holds everything.
QUERIED = ("name", "owner", "status", "version", "purge_at")


def get(deployment_id: str) -> Deployment | None:
    """The deployment, by one consistent read."""
    item = table.get_item(f"DEPLOYMENT#{deployment_id}", "RECORD")
    return Deployment.model_validate_json(item["document"]) if item else None


def id_of_name(owner: str, name: str) -> str | None:
    """The id of the owner's live deployment of that name."""
    item = table.get_item(*_name_key(owner, name))
    return item["deployment_id"] if item else None


def create(deployment: Deployment) -> Deployment:
    """Writes a new record, its name and its events at once.

    Raises `NameTaken` where the owner has a live deployment of that name, or anybody one of that
    domain, `QuotaExceeded` where the owner has as much as it may.
    """
    pk, sk = _name_key(deployment.owner, deployment.name)
    name = table.put(
        {"pk": pk, "sk": sk, "deployment_id": deployment.id},
        "attribute_not_exists(pk)",
    )
    taken = domains.changes(deployment, frozenset())
    for attempt in range(WRITE_ATTEMPTS):
        try:
            return _write(deployment, None, [name, *usage.claim(deployment, Use()), *taken])
        except QuotaExceeded:
            _refuse_taken(deployment)  # that one needs no more of the quota, only its id
            raise
        except table.Conflict:
            _refuse_taken(deployment)
            domains.refuse_taken(deployment, ())
            # Another request of this owner got through meanwhile: is there room still?
            _wait(attempt)
    raise Retryable(f"{deployment.id} could not be recorded")


def _refuse_taken(deployment: Deployment) -> None:
    taken_by = id_of_name(deployment.owner, deployment.name)
    if taken_by and taken_by != deployment.id:
        raise NameTaken(
            f"{name_taken(deployment.owner, deployment.name, taken_by)}. "
            "Delete it first or choose another name"
        )


def name_taken(owner: str, name: str, taken_by: str) -> str:
    """By which deployment, and how that is: one that failed keeps its name until it is deleted."""
    found = get(taken_by)
    status = f", which is {found.status}" if found else ""
    return f"{owner} has a deployment named {name} already: {taken_by}{status}"


def adopt(deployment: Deployment) -> Deployment | None:
    """Writes a record for resources that had none; it reserves no name.

    None where there is a record after all.
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
            raise NotFound(f"There is no deployment {deployment_id}")
        before, held = quota.held(deployment), domains.held(deployment)
        result = change(deployment)
        also = [*usage.claim(deployment, before), *domains.changes(deployment, held)]
        try:
            return _write(deployment, deployment.version, also), result
        except table.Conflict:
            domains.refuse_taken(deployment, held)
            _wait(attempt)  # steps of parallel branches meet here
    raise Retryable(f"{deployment_id} is written by too many at once")


def _wait(attempt: int) -> None:
    """Longer each time, with a jitter so that those who met do not meet again."""
    time.sleep(random.uniform(0, 0.02 * 2 ** min(attempt, 5)))


def discard(deployment: Deployment) -> None:
    """Takes back a record for which no execution could be started, with its name and events.

    Raises `table.Conflict` when somebody wrote it since: an execution is at work after all.
    """
    pk = f"DEPLOYMENT#{deployment.id}"
    keys = [(pk, f"EVENT#{n:08d}") for n in range(1, deployment.events_written + 1)]
    keys.append(_name_key(deployment.owner, deployment.name))
    unchanged = {":version": deployment.version}
    record = table.delete(pk, "RECORD", "version = :version", unchanged)
    given_back = domains.given_back(deployment)
    table.transact([record, *(table.delete(*key) for key in keys), *given_back])


def list_deployments(
    owner: str | None,
    *,
    limit: int,
    after: str | None,
    name: str | None = None,
    statuses: tuple[str, ...] = (),
    show_deleted: bool = False,
) -> tuple[list[Deployment], str | None]:
    """A page of deployments, newest first, and the position to go on from.

    `owner` None means all owners. `after` is the position that the page before ended at.
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
        owner or RECORD_TYPE,
        limit=limit,
        after=after,
        filters=filters,
        names=names,
        values=values,
    )
    return [Deployment.model_validate_json(item["document"]) for item in page], position


def all_deployments() -> Iterator[Deployment]:
    """Every deployment that is not deleted, newest first, page by page."""
    after: str | None = None
    while True:
        page, after = list_deployments(None, limit=100, after=after)
        yield from page
        if after is None:
            return


def list_events(deployment_id: str, *, limit: int, after: int) -> tuple[list[Event], int | None]:
    """Events with a sequence above `after`, oldest first, and the sequence to go on from."""
    found = table.query(
        "pk = :pk AND sk BETWEEN :first AND :last",
        {
            ":pk": f"DEPLOYMENT#{deployment_id}",
            ":first": f"EVENT#{after + 1:08d}",
            ":last": "EVENT#99999999",
        },
        ConsistentRead=True,
    )
    items = _take(found, limit + 1)
    events = [Event.model_validate_json(item["document"]) for item in items[:limit]]
    return events, events[-1].sequence if len(items) > limit else None


def last_event(deployment_id: str) -> int:
    """The number of the last event of a deployment, whether or not its record is there still."""
    found = table.query(
        "pk = :pk AND begins_with(sk, :event)",
        {":pk": f"DEPLOYMENT#{deployment_id}", ":event": "EVENT#"},
        ScanIndexForward=False,
        Limit=1,
        ConsistentRead=True,
    )
    last = next(iter(found), None)
    return int(last["sk"].removeprefix("EVENT#")) if last else 0


# --- inside --------------------------------------------------------------------------------


def _write(
    deployment: Deployment, expected_version: int | None, also: list[dict[str, Any]] | None = None
) -> Deployment:
    """One transaction: the record if its version is the expected one, and its new events."""
    events = deployment.new_events
    before = deployment.version, deployment.events_written
    deployment.version += 1
    deployment.edition += any(event.type != EXPIRING_EVENT for event in events)
    deployment.events_written += len(events)
    pk = f"DEPLOYMENT#{deployment.id}"
    record = {
        "pk": pk,
        "sk": "RECORD",
        "document": deployment.model_dump_json(),
        "record_type": RECORD_TYPE,
        "created_key": f"{rfc3339(deployment.created_at)}#{deployment.id}",
        **{name: getattr(deployment, name) for name in QUERIED},
    }
    if expected_version is None:
        put = table.put(record, "attribute_not_exists(pk)")
    else:
        put = table.put(record, "version = :version", {":version": expected_version})
    items = [put, *(also or [])]
    items += [
        table.put(
            {
                "pk": pk,
                "sk": f"EVENT#{event.sequence:08d}",
                "document": event.model_dump_json(),
                **_outbox(deployment, event),
            },
            "attribute_not_exists(pk)",
        )
        for event in events
    ]
    if any(event.type == DELETED_EVENT for event in events):
        items += _release_name(deployment)
    try:
        table.transact(items)
    except table.Conflict:
        deployment.version, deployment.events_written = before  # a create is tried again
        raise
    deployment.new_events.clear()
    return deployment


def _outbox(deployment: Deployment, event: Event) -> dict[str, Any]:
    """What has the courier tell of an event. One that is published stays due until it has been told
    on; of the others the courier brings messages up to date, and the next event does, too."""
    body = publication.published(deployment, event)
    if body is None:
        return {"wake": work.COURIER}
    return {
        **work.due_now(work.COURIER, event.at),
        "published": body,
        "callback_url": deployment.spec.callback_url,
    }


def _release_name(deployment: Deployment) -> list[dict[str, Any]]:
    """Nothing where another deployment has the name by now: after a second teardown of this one."""
    if id_of_name(deployment.owner, deployment.name) != deployment.id:
        return []
    return [
        table.delete(
            *_name_key(deployment.owner, deployment.name),
            "attribute_not_exists(pk) OR deployment_id = :id",
            {":id": deployment.id},
        )
    ]


def _name_key(owner: str, name: str) -> tuple[str, str]:
    return f"OWNER#{owner}", f"NAME#{name}"


def _take(items: Iterable[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return [item for _, item in zip(range(count), items, strict=False)]
