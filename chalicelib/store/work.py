"""Work that an item of the table asks for, done by a function that the item wakes.

An item with `worker` and `due_at` is work that is not done: it stands in the index `due` until it
is. `wake` beside them has the table's stream wake the worker at once; a sweep every minute finds
what came due later, and what a worker that died has left. So nothing is lost between a write and
what must follow from it, and what is done may be done twice: a worker's calls carry an id.

| attribute | what |
|---|---|
| `worker`  | the function that does it: COURIER or CHAT_WORKER |
| `due_at`  | RFC 3339: from when on; while somebody is at it, when that one is dead for sure |
| `wake`    | the worker's name, where the stream is to wake it; the claim takes it away |
| `lease`   | who is at it |

To ask again for what somebody may be at: `due_now`, by an update. The one at it cannot end it then:
the work is done once more.

The stream's filters are in `infra/resources.json`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from chalicelib.platform.clock import now, rfc3339
from chalicelib.store import table

COURIER = "courier"
CHAT_WORKER = "chat_worker"
MOST_AT_ONCE = 100


@dataclass(frozen=True)
class Claim:
    """An item that is this invocation's to work on until its lease has passed."""

    pk: str
    sk: str
    lease: str
    item: dict[str, Any]


def due(worker: str, at: datetime) -> dict[str, str]:
    """The attributes of an item that the sweep is to find from `at` on."""
    return {"worker": worker, "due_at": rfc3339(at)}


def due_now(worker: str, at: datetime) -> dict[str, str]:
    """The attributes of an item that wakes its worker as soon as it is written."""
    return {**due(worker, at), "wake": worker}


def claim(pk: str, sk: str, lease: timedelta) -> Claim | None:
    """Takes an item that is due, for so long; None where it is not due, done, or another's."""
    moment, mark = now(), secrets.token_hex(8)
    taken = table.update(
        pk,
        sk,
        "attribute_exists(worker) AND (attribute_exists(wake) OR due_at <= :now)",
        values={":now": rfc3339(moment)},
        change={"due_at": rfc3339(moment + lease), "lease": mark},
        remove=("wake",),
    )
    try:
        table.transact([taken])
    except table.Conflict:
        return None
    item = table.get_item(pk, sk)
    return Claim(pk, sk, mark, item) if item and item.get("lease") == mark else None


def done(claim: Claim, **change: Any) -> bool:
    """Ends the work, with `change` written to the item (None takes an attribute away).

    Where it was asked for again meanwhile the change is written and the work stays due. False where
    the lease was lost.
    """
    return _written(settling(claim, change, None)) or again(claim, now(), **change)


def again(claim: Claim, at: datetime, **change: Any) -> bool:
    """Leaves the work for later, likewise."""
    return _written(settling(claim, change, at))


def settling(claim: Claim, change: dict[str, Any], at: datetime | None) -> dict[str, Any]:
    """The same as an item for `table.transact`: left until `at`, or done where that is None and it
    was not asked for again."""
    mine = "lease = :lease"
    if at is None:
        ended = ("worker", "due_at", "lease")
        return _update(claim, f"{mine} AND attribute_not_exists(wake)", change, ended)
    return _update(claim, mine, {**change, "due_at": rfc3339(at)}, ("lease",))


def list_due(worker: str) -> list[tuple[str, str]]:
    """The keys (pk, sk) of what is due, the longest first, at most MOST_AT_ONCE."""
    return list(islice(all_due(worker), MOST_AT_ONCE))


def all_due(worker: str) -> Iterator[tuple[str, str]]:
    """The keys of all that is due by now, likewise, page by page as they are taken.

    The index may lag the table by a moment: a claim decides.
    """
    found = table.query(
        "worker = :worker AND due_at <= :now",
        {":worker": worker, ":now": rfc3339(now())},
        IndexName="due",
    )
    return ((item["pk"], item["sk"]) for item in found)


def woken_by(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The items whose writes an event of the table's stream tells of, as they were then."""
    images = (record["dynamodb"].get("NewImage") for record in event.get("Records", []))
    return [table.deserialized(image) for image in images if image]


def _written(settled: dict[str, Any]) -> bool:
    try:
        table.transact([settled])
    except table.Conflict:
        return False
    return True


def _update(
    claim: Claim, condition: str, change: dict[str, Any], remove: tuple[str, ...]
) -> dict[str, Any]:
    # None is no value of an attribute: it goes.
    gone = tuple(name for name, value in change.items() if value is None)
    return table.update(
        claim.pk,
        claim.sk,
        condition,
        values={":lease": claim.lease},
        change={name: value for name, value in change.items() if value is not None},
        remove=(*remove, *gone),
    )
