"""Subscriptions of the whole stack: URLs that get the events of all owners.

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
# An event's deliveries to all of them are created in one transaction, which holds 100 items.
MOST = 20


@dataclass(frozen=True)
class Subscription:
    """A URL that gets the events of `types` until it is disabled."""

    id: str
    url: str
    types: tuple[str, ...]
    created_at: str
    disabled_at: str | None = None
    disabled_reason: str | None = None


def create(url: str, types: tuple[str, ...]) -> Subscription:
    """Creates a subscription for a validated URL. Raises `QuotaExceeded` if there are MOST.

    A URL has at most one subscription. If it has one already, that one gets these types and is
    enabled again. Two requests at the same moment may both create the last allowed subscription.
    One too many does no harm.
    """
    existing = list_all()
    same_url = next((each for each in existing if each.url == url), None)
    if same_url:
        return _renewed(same_url, types)
    if len(existing) >= MOST:
        raise QuotaExceeded(
            f"There are already {MOST} subscriptions, the maximum. Delete a subscription first.",
            headers={"Retry-After": "60"},
        )
    created = Subscription(f"sub_{secrets.token_hex(8)}", url, types, rfc3339(clock.now()))
    item = {
        **keys.subscription(created.id).attributes,
        "url": url,
        "types": list(types),
        "created_at": created.created_at,
    }
    table.put_item(item, "attribute_not_exists(pk)", {})
    return created


def _renewed(subscription: Subscription, types: tuple[str, ...]) -> Subscription:
    """The subscription with other types, and enabled."""
    write = table.update(
        *keys.subscription(subscription.id),
        "attribute_exists(pk)",
        change={"types": list(types)},
        remove=("disabled_at", "disabled_reason"),
    )
    try:
        table.transact([write])
    except table.Conflict:
        raise Retryable(f"the subscription {subscription.id} is being deleted") from None
    return replace(subscription, types=types, disabled_at=None, disabled_reason=None)


def list_all() -> list[Subscription]:
    """All subscriptions, newest first, including the disabled ones."""
    items = table.query("pk = :pk", {":pk": keys.SUBSCRIPTIONS}, ConsistentRead=True)
    return sorted(map(_subscription, items), key=lambda s: (s.created_at, s.id), reverse=True)


def find(subscription_id: str) -> Subscription | None:
    """A subscription, or None if there is none."""
    item = table.get_item(*keys.subscription(subscription_id))
    return _subscription(item) if item else None


def delete(subscription_id: str) -> None:
    """Deletes a subscription. Its pending deliveries are not sent. Raises `NotFound`."""
    missing = NotFound(f"There is no subscription {subscription_id}.")
    if not ID_PATTERN.fullmatch(subscription_id):
        raise missing
    try:
        table.delete_item(*keys.subscription(subscription_id), "attribute_exists(pk)", {})
    except table.Conflict:
        raise missing from None


def disable(subscription_id: str, reason: str) -> None:
    """Disables a subscription, so that nothing is sent to it.

    Keeps the reason of an earlier call. Does nothing if the subscription was deleted.
    """
    change = {"disabled_at": rfc3339(clock.now()), "disabled_reason": reason}
    condition = "attribute_exists(pk) AND attribute_not_exists(disabled_at)"
    write = table.update(*keys.subscription(subscription_id), condition, change=change)
    if table.try_transact([write]):
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
