"""Work that an item of the table asks for, done by a function that the item wakes.

An item with `worker` and `due_at` is open work, and is in the index `due`. If it also has `wake`,
the table's stream invokes the worker at once. A sweep every minute finds work that became due
later, and work of a worker that died. So nothing is lost between a write and what must follow from
it. Work may be done twice, so a worker's calls carry an ID.

| attribute | meaning |
|---|---|
| `worker`  | the function that does the work: COURIER, CHAT_WORKER or HEALTH |
| `due_at`  | RFC 3339: when the work is due; while it is leased, when the lease ends |
| `wake`    | the worker's name, if the stream is to invoke it; taking the lease removes it |
| `lease`   | a random value that identifies the lease |

The record of an ACTIVE deployment is work for HEALTH, without a lease: a check writes the whole
record on the condition that it has not changed.

To request work again that may be leased, update its item with `due_now`. The holder of the lease
cannot end the work then, and it is done once more.

The filters of the stream are in `infra/template.yaml`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from chalicelib.platform import clock
from chalicelib.platform.clock import rfc3339
from chalicelib.store import table
from chalicelib.store.keys import Key

COURIER = "courier"
CHAT_WORKER = "chat_worker"
HEALTH = "health"
MOST_AT_ONCE = 100


@dataclass(frozen=True)
class Lease:
    """An item that only this invocation works on, until the lease ends.

    `token` identifies the lease.
    """

    pk: str
    sk: str
    token: str
    item: dict[str, Any]


def due(worker: str, at: datetime) -> dict[str, str]:
    """The attributes of an item that the sweep finds from `at` on."""
    return {"worker": worker, "due_at": rfc3339(at)}


def due_now(worker: str, at: datetime) -> dict[str, str]:
    """The attributes of an item that wakes its worker as soon as it is written."""
    return {**due(worker, at), "wake": worker}


def acquire(pk: str, sk: str, duration: timedelta) -> Lease | None:
    """Leases an item that is due. None if it is not due, done, or leased by someone else."""
    moment, token = clock.now(), secrets.token_hex(8)
    leased = table.update(
        pk,
        sk,
        "attribute_exists(worker) AND (attribute_exists(wake) OR due_at <= :now)",
        values={":now": rfc3339(moment)},
        change={"due_at": rfc3339(moment + duration), "lease": token},
        remove=("wake",),
    )
    if not table.try_transact([leased]):
        return None
    item = table.get_item(pk, sk)
    return Lease(pk, sk, token, item) if item and item.get("lease") == token else None


def done(lease: Lease, **change: Any) -> bool:
    """Ends the work and writes `change` to the item; None removes an attribute.

    If the work was requested again during the lease, `change` is written and the work stays due.
    Returns False if the lease was lost.
    """
    ended = table.try_transact([settling(lease, change, None)])
    return ended or again(lease, clock.now(), **change)


def again(lease: Lease, at: datetime, **change: Any) -> bool:
    """Ends the lease, and leaves the work due at `at`. Otherwise as `done`."""
    return table.try_transact([settling(lease, change, at)])


def settling(lease: Lease, change: dict[str, Any], at: datetime | None) -> dict[str, Any]:
    """The write of `again` for `table.transact`. If `at` is None, the write of `done`, which fails
    if the work was requested again."""
    held = "lease = :lease"
    if at is None:
        ended = ("worker", "due_at", "lease")
        return _update(lease, f"{held} AND attribute_not_exists(wake)", change, ended)
    return _update(lease, held, {**change, "due_at": rfc3339(at)}, ("lease",))


def list_due(worker: str) -> list[tuple[str, str]]:
    """The keys of the work that is due, the longest due first, at most MOST_AT_ONCE."""
    return list(islice(all_due(worker), MOST_AT_ONCE))


def all_due(worker: str) -> Iterator[tuple[str, str]]:
    """The keys of all work that is due, the longest due first, page by page as they are consumed.

    The index may lag behind the table for a moment; `acquire` decides.
    """
    items = table.query(
        "worker = :worker AND due_at <= :now",
        {":worker": worker, ":now": rfc3339(clock.now())},
        IndexName="due",
    )
    return (Key(item["pk"], item["sk"]) for item in items)


def woken_by(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The items in an event of the table's stream, as they were written."""
    images = (record["dynamodb"].get("NewImage") for record in event.get("Records", []))
    return [table.deserialized(image) for image in images if image]


def _update(
    lease: Lease, condition: str, change: dict[str, Any], remove: tuple[str, ...]
) -> dict[str, Any]:
    removed = tuple(name for name, value in change.items() if value is None)
    return table.update(
        lease.pk,
        lease.sk,
        condition,
        values={":lease": lease.token},
        change={name: value for name, value in change.items() if value is not None},
        remove=(*remove, *removed),
    )
