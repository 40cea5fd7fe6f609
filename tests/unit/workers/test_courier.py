"""The courier's work when it is woken, and its recovery after a crash."""

from __future__ import annotations

import itertools
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.publication import TYPES
from chalicelib.platform import aws, clock, shared_secrets
from chalicelib.slack import messages, notifier
from chalicelib.store import deployments as store
from chalicelib.store import table, work
from chalicelib.webhooks import deliveries, dispatch, subscriptions
from chalicelib.workers import courier
from infra.template import function_config
from tests.support import aws_says
from tests.support.builders import ID, deployment_of
from tests.support.project import ROOT
from tests.support.simulated_aws.clock import SimulatedClock
from tests.support.subscribers import Received, Subscriber, listening, stream, sweep, wake

pytestmark = pytest.mark.usefixtures("table", "webhook_secret", "one_call_at_a_time")

LEASE_SECONDS = courier.LEASE.total_seconds()
CHANGES: list[Callable[[Deployment], object]] = [
    lambda d: d.activate(clock.now(), 0.04),
    lambda d: d.pause(clock.now()),
    lambda d: d.activate(clock.now(), 0.03),
    lambda d: d.delete(clock.now()),
    lambda d: d.end_torn_down(clock.now()),
]
LIFE = ["created", "active", "paused", "deleted"]


def run_lifecycle(time: SimulatedClock, url: str | None, deployment_id: str = ID) -> None:
    """A deployment's lifecycle with a second between its events; none is delivered yet."""
    store.create(deployment_of(deployment_id, now=clock.now(), callback_url=url))
    for change in CHANGES:
        time.advance_to(time.seconds() + 1)
        store.update(deployment_id, change)


def types(received: list[Received]) -> list[str]:
    return [each.event["type"].removeprefix("deployment.") for each in received]


def published() -> dict[int, str]:
    """The type of each published event, by its number."""
    events = table.query("pk = :pk", {":pk": f"DEPLOYMENT#{ID}"}, ConsistentRead=True)
    bodies = [json.loads(item["published"]) for item in events if "published" in item]
    assert [body["type"].removeprefix("deployment.") for body in bodies] == LIFE
    return {body["data"]["sequence"]: body["type"] for body in bodies}


def statuses() -> list[str]:
    found, _ = deliveries.list_page(None, limit=100, after=None)
    return [each.status for each in found]


def test_a_lifecycle_is_delivered_in_order(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    run_lifecycle(simulated_time, subscriber.url())
    result = wake()
    assert types(subscriber.received) == LIFE
    sequences = [each.sequence for each in subscriber.received]
    assert sequences == sorted(set(sequences))
    # Four events and four deliveries; the other events are not published.
    assert result["done"] == 8
    assert work.list_due(work.COURIER) == []


def test_a_repeated_stream_event_is_handled_once(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    run_lifecycle(simulated_time, subscriber.url())
    event = stream()
    courier.run(event)
    assert courier.run(event)["done"] == 0
    assert len(subscriber.received) == len(LIFE)


def test_the_sweep_finds_events_that_the_stream_missed(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    run_lifecycle(simulated_time, subscriber.url())
    sweep()
    assert sorted(types(subscriber.received)) == sorted(LIFE)
    assert sweep()["done"] == 0


def test_two_concurrent_couriers_send_each_event_once(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    run_lifecycle(simulated_time, subscriber.url())
    event = stream()
    both = [threading.Thread(target=courier.run, args=(event,)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    sweep()  # where their claims conflicted
    assert len({each.id for each in subscriber.received}) == len(LIFE)
    assert statuses() == ["delivered"] * len(LIFE)


# --- crashes and slow receivers ------------------------------------------------------------


class Died(BaseException):
    """The function died at this line."""


def die(call: int, *, written: bool) -> list[int]:
    """Fail all writes after the n-th transaction. `written` says whether that one is stored."""
    counted = itertools.count(1)
    seen: list[int] = []

    def before(**_: Any) -> None:
        seen.append(next(counted))
        if seen[-1] > call or (seen[-1] == call and not written):
            raise Died

    def after(**_: Any) -> None:
        if seen[-1] >= call:
            raise Died

    events = aws.client("dynamodb").meta.events
    events.register("before-call.dynamodb.TransactWriteItems", before)
    events.register("after-call.dynamodb.TransactWriteItems", after)
    return seen


# The event's claim and fan-out, and the lease and end of each of its two deliveries.
WRITES = 6


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(1, WRITES + 1))
def test_every_event_arrives_after_a_crash_at_any_write(
    subscriber: Subscriber, simulated_time: SimulatedClock, call: int, written: bool
) -> None:
    subscriptions.create(subscriber.url("/all"), TYPES)
    run_lifecycle(simulated_time, subscriber.url("/own"))
    # The crashed run has one event, so its writes have one order, except for the two deliveries.
    records = stream()["Records"]
    first = {"Records": [r for r in records if r["dynamodb"]["NewImage"]["sk"]["S"][-1] == "1"]}
    expected = published()
    seen = die(call, written=written)
    with pytest.raises(Died):
        courier.run(first)
    assert len(seen) >= call
    aws.forget_clients()

    wake()
    simulated_time.advance_to(simulated_time.seconds() + LEASE_SECONDS)
    sweep()

    for path in ("/own", "/all"):
        received = [each for each in subscriber.received if each.path == path]
        assert {each.sequence: each.event["type"] for each in received} == expected
        assert all(each.is_signed() for each in received)
        # A crash after the call sends the event twice, with the same ID and body.
        assert len({(each.id, each.body) for each in received}) == len(LIFE)
    assert statuses() == ["delivered"] * 2 * len(LIFE)
    assert work.list_due(work.COURIER) == []


def test_the_crash_test_covers_every_write_of_an_event(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    subscriptions.create(subscriber.url("/all"), TYPES)
    store.create(deployment_of(now=clock.now(), callback_url=subscriber.url()))
    seen = aws_says.watch("dynamodb", "TransactWriteItems")
    wake()
    assert len(seen) == WRITES


def test_a_failed_job_does_not_fail_others(
    subscriber: Subscriber, simulated_time: SimulatedClock, caplog: pytest.LogCaptureFixture
) -> None:
    run_lifecycle(simulated_time, subscriber.url())
    run_lifecycle(simulated_time, subscriber.url(), "other-abcdef")
    key = {"pk": f"DEPLOYMENT#{ID}", "sk": "EVENT#00000001"}
    broken = table.update(**key, condition="attribute_exists(pk)", change={"published": "{"})
    table.transact([broken])
    with caplog.at_level(logging.ERROR, "slipway"):
        wake()
    assert "job of the courier failed" in caplog.text
    assert len(subscriber.received) == 2 * len(LIFE) - 1
    # It is retried after its lease ends.
    simulated_time.advance_to(simulated_time.seconds() + LEASE_SECONDS)
    assert work.list_due(work.COURIER) == [(key["pk"], key["sk"])]


def test_a_receiver_that_hangs_delays_no_other(
    subscriber: Subscriber, simulated_time: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets one call in the run. Its other due deliveries wait for the next sweep."""
    monkeypatch.setattr(dispatch, "LONGEST_CALL", timedelta(seconds=1))
    with listening() as silent:
        silent.answer = lambda received: None
        run_lifecycle(simulated_time, silent.url(), "silent-abcdef")
        run_lifecycle(simulated_time, subscriber.url())
        wake()
        assert types(subscriber.received) == LIFE
        assert len(silent.received) == 1
        sweep()
        assert len(silent.received) == 2
    assert sorted(statuses()) == ["delivered"] * len(LIFE) + ["pending"] * len(LIFE)


def test_the_backlog_of_a_receiver_that_hangs_delays_no_other(
    subscriber: Subscriber, simulated_time: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has more due deliveries than one run sends, and they are due for longest."""
    monkeypatch.setattr(dispatch, "LONGEST_CALL", timedelta(seconds=1))
    monkeypatch.setattr(work, "MOST_AT_ONCE", 2)
    with listening() as silent:
        silent.answer = lambda received: None
        run_lifecycle(simulated_time, silent.url(), "silent-abcdef")
        run_lifecycle(simulated_time, subscriber.url())
        sweep()
        assert len(silent.received) >= 1
        sweep()
    assert sorted(types(subscriber.received)) == sorted(LIFE)


def test_a_slow_receiver_gets_only_its_share(
    subscriber: Subscriber, simulated_time: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has many due deliveries, and they are due for longer than those of the others."""
    monkeypatch.setattr(work, "MOST_AT_ONCE", len(LIFE))
    with listening() as slow:

        def slowly(received: Received) -> tuple[int, dict[str, str]]:
            simulated_time.advance_to(simulated_time.seconds() + 9)
            return 200, {}

        slow.answer = slowly
        for n in range(3):
            run_lifecycle(simulated_time, slow.url(), f"slow-abcde{n}")
        run_lifecycle(simulated_time, subscriber.url())
        sweep()
        assert len(slow.received) == 2
        assert types(subscriber.received) == LIFE


def test_receivers_are_called_concurrently(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    """None of the three calls gets a response before all three have started."""
    together = threading.Barrier(3)

    def meet(received: Received) -> tuple[int, dict[str, str]]:
        together.wait(timeout=5)
        return 200, {}

    subscriber.answer = meet
    for path in "abc":
        subscriptions.create(subscriber.url(f"/{path}"), TYPES)
    store.create(deployment_of(now=clock.now()))
    wake()
    assert statuses() == ["delivered"] * 3


def test_the_courier_starts_nothing_shortly_before_its_timeout(
    subscriber: Subscriber, simulated_time: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "TURN", timedelta(minutes=5))

    def slowly(received: Received) -> tuple[int, dict[str, str]]:
        simulated_time.advance_to(simulated_time.seconds() + 30)
        return 200, {}

    subscriber.answer = slowly
    run_lifecycle(simulated_time, subscriber.url())
    wake()
    assert len(subscriber.received) == 2
    sweep()
    assert len(subscriber.received) == len(LIFE)


def test_without_the_secrets_nothing_is_claimed(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    subscriber.says(500)
    run_lifecycle(simulated_time, subscriber.url())
    wake()
    subscriber.says(200)
    simulated_time.advance_to(simulated_time.seconds() + 60)
    shared_secrets.forget()
    aws_says.refuse("ssm", "GetParameters", "ThrottlingException", times=1)
    with pytest.raises(ClientError):
        sweep()
    sweep()
    assert statuses() == ["delivered"] * len(LIFE)


def test_each_thread_keeps_a_connection_to_dynamodb() -> None:
    assert aws.client("dynamodb").meta.config.max_pool_connections >= courier.THREADS


def test_a_sweep_handles_all_due_work(
    subscriber: Subscriber, simulated_time: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "MOST_AT_ONCE", 3)
    run_lifecycle(simulated_time, subscriber.url())
    sweep()
    assert statuses() == ["delivered"] * len(LIFE)


def test_the_lease_outlives_the_function() -> None:
    timeout = function_config(ROOT, "courier")["lambda_timeout"]
    assert timeout < LEASE_SECONDS
    longest = courier.LAST_START + dispatch.LONGEST_CALL
    assert longest < timedelta(seconds=timeout)


# --- Slack ---------------------------------------------------------------------------------


@dataclass
class FakeMessages:
    """Fakes Slack's messages: one for each deployment in the events."""

    asked: list[set[str]] = field(default_factory=list)
    notified: list[str] = field(default_factory=list)

    def keys_for(self, deployment_ids: set[str]) -> list[tuple[str, str]]:
        self.asked.append(deployment_ids)
        keys = [(f"DEPLOYMENT#{each}", "MESSAGE#1#C1") for each in sorted(deployment_ids)]
        for pk, sk in keys:
            due = work.due(work.COURIER, clock.now())
            table.transact([table.put({"pk": pk, "sk": sk, **due}, "attribute_not_exists(wake)")])
        return keys

    def notify(self, lease: work.Lease) -> None:
        self.notified.append(lease.pk)
        work.done(lease)


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> FakeMessages:
    """Replaces `slack.messages`, which has its own tests."""
    fake_messages = FakeMessages()
    monkeypatch.setattr(messages, "keys_for", lambda ids: fake_messages.keys_for(ids))
    monkeypatch.setattr(notifier, "notify", lambda lease: fake_messages.notify(lease))
    return fake_messages


def set_up_slack() -> None:
    name = shared_secrets.parameter("slipway-test", shared_secrets.SLACK_BOT_TOKEN)
    aws.client("ssm").put_parameter(Name=name, Value="xoxb-1", Type="SecureString")
    shared_secrets.forget()


def test_messages_are_updated_with_every_event(slack: Any, simulated_time: SimulatedClock) -> None:
    set_up_slack()
    store.create(deployment_of(now=clock.now()))
    wake()
    store.update(ID, lambda d: d.begin_step("resolve_image", "1", clock.now(), clock.now()))
    records = stream()["Records"]
    courier.run({"Records": records[-1:]})
    assert slack.asked == [{ID}, {ID}]
    assert slack.notified == [f"DEPLOYMENT#{ID}"] * 2


def test_a_due_message_is_sent(slack: Any, simulated_time: SimulatedClock) -> None:
    key = {"pk": f"DEPLOYMENT#{ID}", "sk": "MESSAGE#1#C1"}
    due = work.due_now(work.COURIER, clock.now())
    table.put_item({**key, **due}, "attribute_not_exists(pk)", {})
    wake()
    assert slack.notified == [key["pk"]]
    assert sweep()["done"] == 0


def test_a_failed_message_lookup_does_not_block_other_deployments(
    slack: Any, simulated_time: SimulatedClock
) -> None:
    set_up_slack()
    store.create(deployment_of("other-abcdef", now=clock.now(), name="other"))
    store.create(deployment_of(now=clock.now()))
    found = slack.keys_for

    def broken(ids: set[str]) -> Any:
        if "other-abcdef" in ids:
            raise RuntimeError("its record cannot be read")
        return found(ids)

    slack.keys_for = broken
    wake()
    assert slack.notified == [f"DEPLOYMENT#{ID}"]


def test_a_failing_slack_does_not_block_subscribers(
    slack: Any, subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    set_up_slack()

    def broken(_: Any) -> Any:
        raise RuntimeError("Slack is away")

    slack.notify = broken
    run_lifecycle(simulated_time, subscriber.url())
    wake()
    assert types(subscriber.received) == LIFE
    slack.keys_for = broken
    run_lifecycle(simulated_time, subscriber.url(), "other-abcdef")
    wake()
    assert len(subscriber.received) == 2 * len(LIFE)
