"""Subscriptions of the whole stack: URLs that are told of every owner's events.

| item | pk | sk |
|---|---|---|
| subscription | `SUBSCRIPTIONS` | `<subscription id>` |
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.domain.errors import NotFound, QuotaExceeded, Retryable
from chalicelib.platform import clock
from chalicelib.platform.clock import rfc3339
from chalicelib.platform.observability import logger
from chalicelib.store import keys, table

ID_PATTERN = re.compile(r"sub_[0-9a-f]{16}", re.ASCII)
# An event makes a delivery to each in one transaction, which holds 100 items.
MOST = 20


@dataclass(frozen=True)
class Subscription:
    """A URL that is told of the events of `types`, until it is disabled."""

    id: str
    url: str
    types: tuple[str, ...]
    created_at: str
    disabled_at: str | None = None
    disabled_reason: str | None = None


def create(url: str, types: tuple[str, ...]) -> Subscription:
    """Makes one, of a URL that was checked. Raises `QuotaExceeded` where there are MOST.

    A URL has one: that of a URL which has one already is given these types, and enabled again. Two
    at the same moment may both find room for the last one: one too many does no harm.
    """
    known = list_all()
    found = next((each for each in known if each.url == url), None)
    if found:
        return _renewed(found, types)
    if len(known) >= MOST:
        raise QuotaExceeded(
            f"There are {MOST} subscriptions, and no more are allowed: delete one first",
            headers={"Retry-After": "60"},
        )
    made = Subscription(f"sub_{secrets.token_hex(8)}", url, types, rfc3339(clock.now()))
    item = {
        **keys.subscription(made.id).attributes,
        "url": url,
        "types": list(types),
        "created_at": made.created_at,
    }
    table.put_item(item, "attribute_not_exists(pk)", {})
    return made


def _renewed(found: Subscription, types: tuple[str, ...]) -> Subscription:
    renewed = table.update(
        *keys.subscription(found.id),
        "attribute_exists(pk)",
        change={"types": list(types)},
        remove=("disabled_at", "disabled_reason"),
    )
    try:
        table.transact([renewed])
    except table.Conflict:
        raise Retryable(f"subscription {found.id} is being deleted: try again") from None
    return replace(found, types=types, disabled_at=None, disabled_reason=None)


def list_all() -> list[Subscription]:
    """All of them, newest first, also the disabled ones."""
    found = table.query("pk = :pk", {":pk": keys.SUBSCRIPTIONS}, ConsistentRead=True)
    return sorted(map(_subscription, found), key=lambda s: (s.created_at, s.id), reverse=True)


def find(subscription_id: str) -> Subscription | None:
    """One, or None where it was deleted."""
    item = table.get_item(*keys.subscription(subscription_id))
    return _subscription(item) if item else None


def delete(subscription_id: str) -> None:
    """Deletes one: what it has not taken yet it is not sent any more. Raises `NotFound`."""
    missing = NotFound(f"There is no subscription {subscription_id}")
    if not ID_PATTERN.fullmatch(subscription_id):
        raise missing
    try:
        table.delete_item(*keys.subscription(subscription_id), "attribute_exists(pk)", {})
    except table.Conflict:
        raise missing from None


def disable(subscription_id: str, reason: str) -> None:
    """Sends it nothing any more; the first reason stays. Does nothing where it was deleted."""
    change = {"disabled_at": rfc3339(clock.now()), "disabled_reason": reason}
    condition = "attribute_exists(pk) AND attribute_not_exists(disabled_at)"
    try:
        table.transact(
            [table.update(*keys.subscription(subscription_id), condition, change=change)]
        )
    except table.Conflict:
        return
    logger.warning("subscription disabled", extra={"subscription": subscription_id})


def _subscription(item: dict[str, Any]) -> Subscription:
    return Subscription(
        id=item["sk"],
        url=item["url"],
        types=tuple(item["types"]),
        created_at=item["created_at"],
        disabled_at=item.get("disabled_at"),
        disabled_reason=item.get("disabled_reason"),
    )
