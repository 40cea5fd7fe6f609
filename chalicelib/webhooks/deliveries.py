"""Deliveries: an event on its way to one receiver, with the result of each try.

| item | pk | sk |
|---|---|---|
| delivery | `RECEIVER#<16 hex of its URL>` | `DELIVERY#<16 hex of event and receiver>` |

The ID of a delivery consists of both hashes. So its key shows the receiver, because the courier
sends the deliveries of one receiver one after another (`courier.py`). The same event and receiver
always give the same ID.

The body is in the event's item (`published`), which stays. For lists, a delivery is in two indexes
that also hold deployments. `by_owner` has it under `DELIVERIES#<owner>`, which cannot be an owner's
name because of the #. Deliveries of subscriptions are not there, because those belong to an admin.
`everything` has it under the type `delivery`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain.errors import NotFound, Retryable
from chalicelib.domain.publication import DeliveryStatus
from chalicelib.platform import clock
from chalicelib.platform.clock import rfc3339
from chalicelib.store import keys, table, work

ID_PATTERN = re.compile(r"dlv_[0-9a-f]{32}", re.ASCII)
KEPT = timedelta(days=30)
# Of a delivery with more tries, the latest are kept.
MOST_TRIES_KEPT = 20
REDELIVER_ATTEMPTS = 5


@dataclass(frozen=True)
class Try:
    """One call. `status` is the response's status; `error` is None if that was a 2xx."""

    at: str
    status: int | None
    error: str | None
    duration_ms: int


@dataclass(frozen=True)
class Delivery:
    """A delivery. `tried` counts its tries since its creation or the last `redeliver`."""

    id: str
    event_id: str
    type: str
    deployment: str
    owner: str
    sequence: int
    url: str
    subscription_id: str | None
    status: DeliveryStatus
    next_try_at: str | None
    tries: tuple[Try, ...]
    created_at: str
    tried: int = 0
    first_try_at: str | None = None


def event_id(pk: str, sk: str) -> str:
    """The ID that receivers see. It is the same in every try and for every receiver."""
    return f"evt_{keys.identifier(pk)}_{keys.identifier(sk)}"


def put(event: dict[str, Any], url: str, subscription_id: str | None = None) -> dict[str, Any]:
    """The write of an event's delivery that is due at once, for `table.transact`.

    It wakes no worker, because the courier that writes it also sends it. The sweep finds the rest.
    """
    published, moment = json.loads(event["published"]), clock.now()
    deployment, sequence = published["data"]["deployment"], published["data"]["sequence"]
    delivery_id = _id(event_id(event["pk"], event["sk"]), url, subscription_id)
    item = {
        **key(delivery_id).attributes,
        # Due at the time of the event, so that a sweep finds deliveries in the order of the events.
        **work.due(work.COURIER, datetime.fromisoformat(published["timestamp"])),
        "delivery_id": delivery_id,
        "event_pk": event["pk"],
        "event_sk": event["sk"],
        "type": published["type"],
        "deployment_id": deployment["id"],
        "deployment_name": deployment["name"],
        "deployment_owner": deployment["owner"],
        "sequence": sequence,
        "url": url,
        "subscription_id": subscription_id,
        "status": DeliveryStatus.PENDING,
        "tries": "[]",
        "tried": 0,
        "created_at": rfc3339(moment),
        "record_type": keys.DELIVERIES,
        "owner": None if subscription_id else keys.deliveries_of(deployment["owner"]),
        # Lists have the order of the events.
        "created_key": f"{published['timestamp']}#{sequence:08d}#{delivery_id}",
        "purge_at": _purge_at(moment),
    }
    return table.put(item, "attribute_not_exists(pk)")


def key(delivery_id: str) -> keys.Key:
    """The key (pk, sk) of a delivery."""
    rest = delivery_id.removeprefix("dlv_")
    return keys.delivery(rest[:16], rest[16:])


def get(delivery_id: str) -> Delivery | None:
    """A delivery, or None if there is none."""
    item = table.get_item(*key(delivery_id)) if ID_PATTERN.fullmatch(delivery_id) else None
    return read(item) if item else None


def read(item: dict[str, Any]) -> Delivery:
    """The delivery in an item."""
    return Delivery(
        id=item["delivery_id"],
        event_id=event_id(item["event_pk"], item["event_sk"]),
        type=item["type"],
        deployment=item["deployment_id"],
        owner=item["deployment_owner"],
        sequence=int(item["sequence"]),
        url=item["url"],
        subscription_id=item.get("subscription_id"),
        status=DeliveryStatus(item["status"]),
        next_try_at=item.get("due_at"),
        tries=tuple(Try(**each) for each in json.loads(item["tries"])),
        created_at=item["created_at"],
        tried=int(item["tried"]),
        first_try_at=item.get("first_try_at"),
    )


def body_of(item: dict[str, Any]) -> str | None:
    """The event's body; None if the event was deleted with a deployment that could not start."""
    event = table.get_item(item["event_pk"], item["event_sk"])
    return str(event["published"]) if event else None


def end(lease: work.Lease, status: DeliveryStatus, attempt: Try) -> None:
    """Ends the delivery as `delivered` or `failed`."""
    work.done(lease, status=status, **_tried(lease, attempt), purge_at=_purge_at(clock.now()))


def leave(lease: work.Lease, at: datetime, attempt: Try) -> None:
    """Leaves the delivery for another try at `at`."""
    work.again(lease, at, status=DeliveryStatus.PENDING, **_tried(lease, attempt))


def redeliver(delivery_id: str) -> Delivery:
    """Sends a delivery again now, with all its tries, whatever its status. Raises `NotFound`.

    The result of a try that runs at this moment is not recorded.
    """
    pk, sk = key(delivery_id)
    for _ in range(REDELIVER_ATTEMPTS):
        moment = clock.now()
        change = {
            **work.due_now(work.COURIER, moment),
            "status": DeliveryStatus.PENDING,
            "tried": 0,
            "purge_at": _purge_at(moment),
        }
        again = table.update(
            pk, sk, "attribute_exists(pk)", change=change, remove=("lease", "first_try_at")
        )
        try:
            table.transact([again])
        except table.Conflict:  # a courier writes it at this moment, or it no longer exists
            if get(delivery_id) is None:
                raise NotFound(f"There is no delivery {delivery_id}.") from None
            continue
        delivery = get(delivery_id)
        if delivery:
            return delivery
    raise Retryable(f"other requests keep writing the delivery {delivery_id}")


def list_page(
    owner: str | None,
    *,
    limit: int,
    after: str | None,
    status: str | None = None,
    deployment: str | None = None,
) -> tuple[list[Delivery], str | None]:
    """A page, newest first, and the position of the next page.

    Without an `owner`, the page has all deliveries, including those of subscriptions. `deployment`
    is an ID or a name.
    """
    filters: list[str] = []
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    if status:
        filters.append("#status = :status")
        names["#status"], values[":status"] = "status", status
    if deployment:
        filters.append("(deployment_id = :deployment OR deployment_name = :deployment)")
        values[":deployment"] = deployment
    page, position = table.newest(
        "by_owner" if owner else "everything",
        keys.deliveries_of(owner) if owner else keys.DELIVERIES,
        limit=limit,
        after=after,
        filters=filters,
        names=names,
        values=values,
    )
    return [read(item) for item in page], position


# --- inside --------------------------------------------------------------------------------


def _id(event: str, url: str, subscription_id: str | None) -> str:
    receiver = hashlib.sha256(url.encode()).hexdigest()[:16]
    what = hashlib.sha256(f"{event} {subscription_id or 'callback'}".encode()).hexdigest()[:16]
    return f"dlv_{receiver}{what}"


def _purge_at(moment: datetime) -> int:
    return int((moment + KEPT).timestamp())


def _tried(lease: work.Lease, attempt: Try) -> dict[str, Any]:
    tries = [*json.loads(lease.item["tries"]), attempt.__dict__]
    return {
        "tries": json.dumps(tries[-MOST_TRIES_KEPT:]),
        "tried": int(lease.item["tried"]) + 1,
        "first_try_at": lease.item.get("first_try_at") or attempt.at,
    }
