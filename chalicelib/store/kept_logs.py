"""The last log lines of a failed create, kept after its log group was deleted.

They are an item of their own, because a DynamoDB item has at most 400 KB and the record needs its
own room. 256 KiB of any text fit into it compressed. The item is deleted in the transaction that
creates the deployment again or marks it DELETED (`store/deployments.py`).
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from chalicelib.store import keys, table

Event = dict[str, Any]


def save(deployment_id: str, events: list[Event]) -> None:
    """Keeps the events, as `resources/log_tail.py` reads them, instead of any kept before."""
    document = zlib.compress(json.dumps(events).encode())
    table.transact([table.put({**keys.kept_logs(deployment_id).attributes, "document": document})])


def find(deployment_id: str) -> list[Event]:
    """The kept events, oldest first; empty if none were kept."""
    item = table.get_item(*keys.kept_logs(deployment_id))
    return list(json.loads(zlib.decompress(bytes(item["document"])))) if item else []


def delete(deployment_id: str) -> dict[str, Any]:
    """Deletes them: a part of a transaction."""
    return table.delete(*keys.kept_logs(deployment_id))
