"""This version delivers the events that the versions before it had not delivered yet."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

import app
from tests.faults.world import World
from tests.support.subscribers import listening, set_webhook_secrets, stream
from tests.upgrade.record import CALLBACK, WEBHOOK_SECRET
from tests.upgrade.takeover import VERSIONS, upgraded


@pytest.mark.parametrize("version", VERSIONS)
def test_pending_events_are_delivered(version: str) -> None:
    with (
        listening() as subscriber,
        upgraded(version, "active", {CALLBACK: subscriber.url()}) as made,
    ):
        set_webhook_secrets(WEBHOOK_SECRET)
        _one_call_at_a_time(made.world)
        event = stream()
        app.courier(event, SimpleNamespace(aws_request_id="1"))
    types = [each.event["type"] for each in subscriber.received]
    assert types == ["deployment.created", "deployment.active"]
    assert all(each.is_signed() for each in subscriber.received)


def _one_call_at_a_time(world: World) -> None:
    """The courier has threads, and moto copies the table for a transaction."""
    lock, handle = threading.Lock(), world.account.layer.handle

    def locked(*arguments: Any) -> Any:
        with lock:
            return handle(*arguments)

    world.account.layer.handle = locked  # type: ignore[method-assign]
