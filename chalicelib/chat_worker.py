"""The chat worker: does what was asked for in Slack, after the request was acknowledged."""

from __future__ import annotations

from typing import Any

from chalicelib import work


def run(event: dict[str, Any]) -> dict[str, Any]:
    """Does the commands that the event's items hold, or those due where it is a schedule's."""
    woken = work.woken_by(event)
    due = [] if woken else work.list_due(work.CHAT_WORKER)
    return {"woken": len(woken), "due": len(due)}
