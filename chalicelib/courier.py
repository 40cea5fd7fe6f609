"""The courier: tells subscribers and Slack what has happened to deployments.

Woken by the table's stream as events are written, and every minute for what came due since.
"""

from __future__ import annotations

from typing import Any

from chalicelib import work
from chalicelib.observability import logger


def run(event: dict[str, Any]) -> dict[str, Any]:
    """Does what the event's items ask for, or what is due where the event is a schedule's.

    Args:
        event: of the table's stream (`Records`), or of EventBridge's schedule.

    Returns:
        `{"woken": how many items woke it, "due": how many were due}`, as logged.
    """
    woken = work.woken_by(event)
    due = [] if woken else work.list_due(work.COURIER)
    logger.info("COURIER %s %s", len(woken), due)
    return {"woken": len(woken), "due": len(due)}
