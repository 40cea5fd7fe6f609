"""The secrets shared with Slack and subscribers, read by many threads."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest

from chalicelib.platform import aws, clock, shared_secrets
from tests.support.subscribers import WEBHOOK_SECRET


@pytest.mark.usefixtures("webhook_secret")
def test_many_threads_read_the_secrets_once() -> None:
    """SSM allows few reads a second."""
    both, calls = threading.Barrier(2), []

    def meet(**_: Any) -> None:
        calls.append(True)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)

    aws.client("ssm").meta.events.register("provide-client-params.ssm.GetParameters", meet)
    found: list[str | None] = []

    def read() -> None:
        found.append(shared_secrets.get(shared_secrets.WEBHOOK_SECRETS))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [WEBHOOK_SECRET] * 2
    assert len(calls) == 1


@pytest.mark.usefixtures("webhook_secret")
def test_cached_secrets_are_used_while_ssm_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moment = clock.now()
    assert shared_secrets.get(shared_secrets.WEBHOOK_SECRETS) == WEBHOOK_SECRET

    def fail(**_: Any) -> None:
        raise ConnectionError("SSM is away")

    aws.client("ssm").meta.events.register("provide-client-params.ssm.GetParameters", fail)
    later = moment + 2 * shared_secrets.KEPT
    monkeypatch.setattr(clock, "now", lambda: later)

    assert shared_secrets.get(shared_secrets.WEBHOOK_SECRETS) == WEBHOOK_SECRET
    shared_secrets.forget()
    with pytest.raises(ConnectionError):
        shared_secrets.get(shared_secrets.WEBHOOK_SECRETS)
