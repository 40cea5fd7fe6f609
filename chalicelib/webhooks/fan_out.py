"""Create the deliveries of a published event, one for each receiver."""

from __future__ import annotations

import json

from chalicelib.store import table, work
from chalicelib.webhooks import deliveries, subscriptions


def fan_out(lease: work.Lease) -> list[tuple[str, str]]:
    """Creates the deliveries of an event's item, ends the item's work, and returns their keys.

    All in one transaction. If the function dies before it, the event stays due. If it dies after
    it, the deliveries are due. Raises `table.Conflict` if the lease was lost.
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
