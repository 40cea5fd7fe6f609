"""An event that is published becomes a delivery to each who asked for it."""

from __future__ import annotations

import json

from chalicelib.store import table, work
from chalicelib.webhooks import deliveries, subscriptions


def fan_out(lease: work.Lease) -> list[tuple[str, str]]:
    """Makes the deliveries of an event's item, and ends the item's work with that; their keys.

    In one transaction: a function that dies before it leaves the event due, and one that dies after
    it leaves the deliveries due. Raises `table.Conflict` where the lease was lost.
    """
    event = lease.item
    kind = json.loads(event["published"])["type"]
    receivers: list[tuple[str, str | None]] = [
        (each.url, each.id)
        for each in subscriptions.list_all()
        if kind in each.types and each.disabled_at is None
    ]
    if event.get("callback_url"):
        receivers.append((event["callback_url"], None))
    puts = [deliveries.put(event, url, subscription) for url, subscription in receivers]
    table.transact([*puts, work.settling(lease, {}, None)])
    return [(put["Put"]["Item"]["pk"]["S"], put["Put"]["Item"]["sk"]["S"]) for put in puts]
