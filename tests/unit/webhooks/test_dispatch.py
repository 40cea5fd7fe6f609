"""Deliveries to a real server, and the observed schedule of their attempts."""

from __future__ import annotations

import logging
import math
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from standardwebhooks import Webhook

from chalicelib import __version__
from chalicelib.domain.publication import TYPES
from chalicelib.platform import clock
from chalicelib.platform.settings import settings
from chalicelib.store import deployments as store
from chalicelib.webhooks import deliveries, dispatch, subscriptions
from chalicelib.webhooks.deliveries import Delivery
from chalicelib.webhooks.retry_schedule import GAPS, JITTER
from tests.support import certificates, subscribers
from tests.support.builders import ID, deployment_of
from tests.support.simulated_aws.clock import START, SimulatedClock
from tests.support.subscribers import (
    NEW_SECRET,
    WEBHOOK_SECRET,
    Received,
    Resolver,
    Subscriber,
    set_webhook_secrets,
    sweep,
    wake,
)

pytestmark = pytest.mark.usefixtures("table", "webhook_secret", "one_call_at_a_time")


def begin(subscriber: Subscriber, **fields: Any) -> None:
    """Create a deployment with a callback, and wake the courier with its first event."""
    url = fields.pop("callback_url", subscriber.url())
    store.create(deployment_of(now=clock.now(), callback_url=url, **fields))
    wake()


def found(**query: Any) -> list[Delivery]:
    return deliveries.list_page(None, **{"limit": 100, "after": None, **query})[0]


def only() -> Delivery:
    [delivery] = found()
    return delivery


def next_minute(time: SimulatedClock) -> None:
    """Advance to the sweep that finds the next due delivery."""
    due = only().next_try_at
    assert due
    seconds = (datetime.fromisoformat(due) - START).total_seconds()
    time.advance_to(math.ceil(seconds / 60) * 60)


# --- what is sent --------------------------------------------------------------------------


def test_an_event_is_posted_and_verified_by_the_library(subscriber: Subscriber) -> None:
    begin(subscriber)
    [received] = subscriber.received
    event = Webhook(WEBHOOK_SECRET).verify(received.body, received.headers)
    assert event["type"] == "deployment.created"
    assert event["data"]["deployment"]["id"] == ID
    assert received.path == "/hooks"
    assert received.id == f"evt_{ID}_00000001"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"] == f"Slipway/{__version__}"
    assert received.headers["host"] == f"127.0.0.1:{subscriber.port}"
    assert "x-forwarded-for" not in received.headers
    delivery = only()
    assert (delivery.status, delivery.next_try_at) == ("delivered", None)
    [attempt] = delivery.tries
    assert (attempt.status, attempt.error) == (200, None)


def test_during_a_rotation_both_secrets_verify(subscriber: Subscriber) -> None:
    set_webhook_secrets(NEW_SECRET, WEBHOOK_SECRET)
    begin(subscriber)
    [received] = subscriber.received
    assert received.headers["webhook-signature"].count("v1,") == 2
    for secret in (NEW_SECRET, WEBHOOK_SECRET):
        assert Webhook(secret).verify(received.body, received.headers)


@pytest.mark.parametrize("secrets", ["whsec_***", "whsec_", "  "])
def test_an_invalid_secret_is_recorded_and_retried(
    subscriber: Subscriber, secrets: str, caplog: pytest.LogCaptureFixture
) -> None:
    set_webhook_secrets(secrets)
    begin(subscriber)
    assert subscriber.received == []
    delivery = only()
    assert delivery.status == "pending"
    assert str(delivery.tries[0].error).startswith("not sent: the stack")
    assert secrets.strip() == "" or secrets not in caplog.text


# --- the answer ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_each_2xx_is_a_success(subscriber: Subscriber, status: int) -> None:
    subscriber.says(status)
    begin(subscriber)
    assert only().status == "delivered"


@pytest.mark.parametrize("status", [400, 401, 404, 408, 429, 500, 502, 503])
def test_all_other_statuses_are_retried(subscriber: Subscriber, status: int) -> None:
    subscriber.says(status)
    begin(subscriber)
    delivery = only()
    assert delivery.status == "pending"
    assert (delivery.tries[0].status, delivery.tries[0].error) == (status, f"returned {status}")
    assert delivery.next_try_at


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(subscriber: Subscriber, status: int) -> None:
    subscriber.says(status, Location=subscriber.url("/elsewhere"))
    begin(subscriber)
    assert subscriber.paths == ["/hooks"]
    assert only().tries[0].error == f"returned {status}; redirects are not followed"


def test_the_body_of_a_redirect_is_not_read(subscriber: Subscriber) -> None:
    """Its body may be endless, or decompress to more than a function's memory."""
    head = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n"
    with subscribers.Endless(head=head) as endless:
        begin(subscriber, callback_url=f"http://127.0.0.1:{endless.port}/")
        assert endless.left.wait(10)
    assert only().tries[0].error == "returned 302; redirects are not followed"


@pytest.mark.parametrize("where", ["http://[::1", "http://a:99999999/", "\xff\xfe", "//", ""])
def test_a_redirect_to_an_invalid_url_is_a_failed_try(subscriber: Subscriber, where: str) -> None:
    subscriber.says(302, Location=where)
    begin(subscriber)
    assert only().tries[0].error == "returned 302; redirects are not followed"


def test_any_error_of_a_call_is_a_failed_try(
    subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the courier would repeat the attempt every minute, forever."""

    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("an answer that the client has not met yet")

    monkeypatch.setattr(requests.Session, "post", broken)
    begin(subscriber)
    assert only().tries[0].error == "no response: ValueError"


def test_410_ends_a_delivery(subscriber: Subscriber) -> None:
    subscriber.says(410)
    begin(subscriber)
    delivery = only()
    assert (delivery.status, delivery.next_try_at) == ("failed", None)


def test_410_disables_a_subscription(subscriber: Subscriber) -> None:
    made = subscriptions.create(subscriber.url("/all"), TYPES)
    subscriber.says(410)
    begin(subscriber, callback_url=None)
    [subscription] = subscriptions.list_all()
    assert (subscription.id, subscription.disabled_reason) == (made.id, "returned 410 Gone")
    assert only().status == "failed"
    store.update(ID, lambda deployment: deployment.activate(clock.now(), 0.04))
    wake()
    assert subscriber.paths == ["/all"]


def test_nothing_is_sent_to_a_disabled_subscription(subscriber: Subscriber) -> None:
    subscriptions.create(subscriber.url("/all"), TYPES)
    subscriber.says(410)
    begin(subscriber, callback_url=None)
    deliveries.redeliver(only().id)
    wake()
    assert subscriber.paths == ["/all"]
    delivery = only()
    assert (delivery.status, delivery.tries[-1].error) == ("failed", "the subscription is disabled")


def test_pending_deliveries_of_a_deleted_subscription_are_not_sent(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    made = subscriptions.create(subscriber.url("/all"), TYPES)
    subscriber.says(500)
    begin(subscriber, callback_url=None)
    subscriptions.delete(made.id)
    next_minute(simulated_time)
    sweep()
    assert subscriber.paths == ["/all"]
    delivery = only()
    assert (delivery.status, delivery.tries[-1].error) == ("failed", "the subscription was deleted")


@pytest.mark.parametrize(("status", "is_heard"), [(429, True), (503, True), (500, False)])
def test_retry_after_is_honoured(
    subscriber: Subscriber, simulated_time: SimulatedClock, status: int, is_heard: bool
) -> None:
    subscriber.says(status, Retry_After="3600")
    begin(subscriber)
    assert (only().next_try_at == "2026-11-24T10:30:00.000Z") is is_heard


def test_a_refused_connection_is_retried(subscriber: Subscriber) -> None:
    begin(subscriber, callback_url="http://127.0.0.1:1/hooks")
    assert only().tries[0].error == "no response: ConnectionError"
    assert only().status == "pending"


def test_a_timeout_is_retried(subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "LONGEST_CALL", timedelta(milliseconds=200))
    subscriber.answer = lambda received: None
    begin(subscriber)
    assert len(subscriber.received) == 1
    assert str(only().tries[0].error).startswith("no response within")
    assert only().status == "pending"


def test_an_endless_response_is_not_read(
    subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "LONGEST_CALL", timedelta(seconds=0.5))
    with subscribers.Endless() as endless:
        begin(subscriber, callback_url=f"http://127.0.0.1:{endless.port}/")
        assert endless.left.wait(10)
    assert str(only().tries[0].error).startswith("no response within")


def test_a_self_signed_certificate_is_not_trusted(subscriber: Subscriber, tmp_path: Any) -> None:
    files = []
    for name, pem in zip(("key", "certificate"), certificates.make("127.0.0.1"), strict=True):
        files.append(tmp_path / name)
        files[-1].write_bytes(pem)
    with subscribers.listening(*files) as secured:
        begin(subscriber, callback_url=secured.url().replace("http", "https"))
        assert secured.received == []
    assert only().tries[0].error == "no response: SSLError"


def test_an_address_that_has_become_private_fails_one_try(
    monkeypatch: pytest.MonkeyPatch, resolver: Resolver, subscriber: Subscriber
) -> None:
    """The second DNS lookup decides. DNS can be fixed later, so there are more attempts."""
    monkeypatch.delenv("CALLBACKS_ON_LOOPBACK")
    settings.cache_clear()
    resolver.names["example.com"] = ["10.0.0.1"]
    begin(subscriber, callback_url="https://example.com/hooks")
    delivery = only()
    assert (delivery.status, delivery.tries[0].status) == ("pending", None)
    assert str(delivery.tries[0].error).startswith("not sent: the URL must point to a public")


def test_an_event_of_a_withdrawn_deployment_is_not_sent(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    subscriber.says(500)
    begin(subscriber)
    deployment = store.get(ID)
    assert deployment
    store.discard(deployment)
    next_minute(simulated_time)
    sweep()
    assert only().status == "failed"
    assert len(subscriber.received) == 1


# --- over a day ----------------------------------------------------------------------------


def table_of(observed: list[tuple[timedelta, Received]]) -> str:
    """The observed attempts, for the documentation."""
    rows = [f"| {n} | {since} | {each.id} |" for n, (since, each) in enumerate(observed, 1)]
    return "\n".join(["| try | after the first | `webhook-id` |", "|---|---|---|", *rows])


def test_the_schedule_as_observed(subscriber: Subscriber, simulated_time: SimulatedClock) -> None:
    """With a sweep every minute, as in the template."""
    subscriber.says(500)
    seen: list[float] = []
    begin(subscriber)
    seen.append(0)
    while only().status == "pending":
        next_minute(simulated_time)
        sweep()
        seen.append(simulated_time.seconds())
    assert len(subscriber.received) == len(seen) == len(GAPS) + 1
    observed = [
        (timedelta(seconds=at), each) for at, each in zip(seen, subscriber.received, strict=True)
    ]
    print(f"\n{table_of(observed)}")
    assert len({each.id for each in subscriber.received}) == 1
    stamps = [int(each.headers["webhook-timestamp"]) for each in subscriber.received]
    assert [stamp - int(START.timestamp()) for stamp in stamps] == [round(at) for at in seen]
    assert all(each.is_signed() for each in subscriber.received)
    for (before, _), (after, _), gap in zip(observed, observed[1:], GAPS, strict=False):
        assert gap <= after - before <= gap * (1 + JITTER) + timedelta(minutes=1)
    assert timedelta(hours=23) < observed[-1][0] < timedelta(hours=25, minutes=1)
    delivery = only()
    assert (delivery.status, len(delivery.tries)) == ("failed", len(GAPS) + 1)
    simulated_time.advance_to(48 * 3600)
    assert sweep()["done"] == 0


def test_a_redelivery_starts_with_the_first_try(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    subscriber.says(410)
    begin(subscriber)
    subscriber.says(500)
    simulated_time.advance_to(7 * 86400)
    deliveries.redeliver(only().id)
    wake()
    delivery = only()
    assert (delivery.status, len(delivery.tries), delivery.tried) == ("pending", 2, 1)
    assert delivery.first_try_at == delivery.tries[-1].at
    subscriber.says(200)
    next_minute(simulated_time)
    sweep()
    assert only().status == "delivered"
    assert len({each.id for each in subscriber.received}) == 1


def test_a_delivery_can_be_redelivered_during_a_try(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    """The end of the running attempt does not end the redelivery."""

    def ask(received: Received) -> tuple[int, dict[str, str]]:
        subscriber.says(200)
        deliveries.redeliver(only().id)
        return 410, {}

    subscriber.answer = ask
    begin(subscriber)
    assert only().status == "pending"
    wake()
    assert only().status == "delivered"
    assert len(subscriber.received) == 2


def test_only_the_latest_tries_are_kept(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    begin(subscriber)
    for n in range(1, deliveries.MOST_TRIES_KEPT + 5):
        simulated_time.advance_to(n)
        deliveries.redeliver(only().id)
        wake()
    tries = only().tries
    assert len(tries) == deliveries.MOST_TRIES_KEPT
    assert tries[-1].at == clock.rfc3339(clock.now())


def test_the_log_has_no_url_and_no_body(
    subscriber: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    """Both may contain a secret of the receiver."""
    with caplog.at_level(logging.INFO, "slipway"):
        begin(subscriber, callback_url=subscriber.url("/hooks?token=hunter2"))
    assert subscriber.paths == ["/hooks?token=hunter2"]
    records = [str(record.__dict__) for record in caplog.records if record.name == "slipway"]
    assert records and not any("hunter2" in each for each in records)
