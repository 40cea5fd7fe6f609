"""What the courier does when it is woken, and what it makes good that one before it died over."""

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


def live(time: SimulatedClock, url: str | None, deployment_id: str = ID) -> None:
    """A deployment's whole life, a second between its events; the courier has told of none yet."""
    store.create(deployment_of(deployment_id, now=clock.now(), callback_url=url))
    for change in CHANGES:
        time.advance_to(time.seconds() + 1)
        store.update(deployment_id, change)


def types(received: list[Received]) -> list[str]:
    return [each.event["type"].removeprefix("deployment.") for each in received]


def published() -> dict[int, str]:
    """The type of each event that is to be told, by its number."""
    events = table.query("pk = :pk", {":pk": f"DEPLOYMENT#{ID}"}, ConsistentRead=True)
    bodies = [json.loads(item["published"]) for item in events if "published" in item]
    assert [body["type"].removeprefix("deployment.") for body in bodies] == LIFE
    return {body["data"]["sequence"]: body["type"] for body in bodies}


def statuses() -> list[str]:
    found, _ = deliveries.list_page(None, limit=100, after=None)
    return [each.status for each in found]


def test_a_whole_life_is_told_in_its_order(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    live(simulated_time, subscriber.url())
    told = wake()
    assert types(subscriber.received) == LIFE
    sequences = [each.sequence for each in subscriber.received]
    assert sequences == sorted(set(sequences))
    # Four events and four deliveries; the others are no subscriber's business.
    assert told["done"] == 8
    assert work.list_due(work.COURIER) == []


def test_what_the_stream_tells_twice_is_done_once(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    live(simulated_time, subscriber.url())
    event = stream()
    courier.run(event)
    assert courier.run(event)["done"] == 0
    assert len(subscriber.received) == len(LIFE)


def test_what_the_stream_never_told_is_found_by_the_sweep(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    live(simulated_time, subscriber.url())
    sweep()
    assert sorted(types(subscriber.received)) == sorted(LIFE)
    assert sweep()["done"] == 0


def test_two_at_once_send_each_once(subscriber: Subscriber, simulated_time: SimulatedClock) -> None:
    live(simulated_time, subscriber.url())
    event = stream()
    both = [threading.Thread(target=courier.run, args=(event,)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    sweep()  # where their claims met
    assert len({each.id for each in subscriber.received}) == len(LIFE)
    assert statuses() == ["delivered"] * len(LIFE)


# --- who dies, and who is slow -------------------------------------------------------------


class Died(BaseException):
    """The function was ended at this line."""


def die(call: int, *, written: bool) -> list[int]:
    """From the n-th transaction on nothing more is written; whether that one is, `written` says."""
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


# Claim and fan-out of the event, lease and end of each of its two deliveries.
WRITES = 6


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(1, WRITES + 1))
def test_whichever_write_it_dies_at_every_event_arrives(
    subscriber: Subscriber, simulated_time: SimulatedClock, call: int, written: bool
) -> None:
    subscriptions.create(subscriber.url("/all"), TYPES)
    live(simulated_time, subscriber.url("/own"))
    # One event in the dying run: its writes are in one order then, but for the two deliveries'.
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
        # Sent twice, where it died after the call: then with the same id and the same words.
        assert len({(each.id, each.body) for each in received}) == len(LIFE)
    assert statuses() == ["delivered"] * 2 * len(LIFE)
    assert work.list_due(work.COURIER) == []


def test_the_writes_of_an_event_are_as_many_as_the_test_above_dies_at(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    subscriptions.create(subscriber.url("/all"), TYPES)
    store.create(deployment_of(now=clock.now(), callback_url=subscriber.url()))
    seen = aws_says.watch("dynamodb", "TransactWriteItems")
    wake()
    assert len(seen) == WRITES


def test_a_job_that_fails_fails_no_other(
    subscriber: Subscriber, simulated_time: SimulatedClock, caplog: pytest.LogCaptureFixture
) -> None:
    live(simulated_time, subscriber.url())
    live(simulated_time, subscriber.url(), "other-abcdef")
    key = {"pk": f"DEPLOYMENT#{ID}", "sk": "EVENT#00000001"}
    broken = table.update(**key, condition="attribute_exists(pk)", change={"published": "{"})
    table.transact([broken])
    with caplog.at_level(logging.ERROR, "slipway"):
        wake()
    assert "job of the courier failed" in caplog.text
    assert len(subscriber.received) == 2 * len(LIFE) - 1
    # And is tried again when its lease has passed.
    simulated_time.advance_to(simulated_time.seconds() + LEASE_SECONDS)
    assert work.list_due(work.COURIER) == [(key["pk"], key["sk"])]


def test_one_who_does_not_answer_holds_up_nobody(
    subscriber: Subscriber, simulated_time: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has one call in the run, whatever is due to it; the rest waits for the next sweep."""
    monkeypatch.setattr(dispatch, "LONGEST_CALL", timedelta(seconds=1))
    with listening() as silent:
        silent.answer = lambda received: None
        live(simulated_time, silent.url(), "silent-abcdef")
        live(simulated_time, subscriber.url())
        wake()
        assert types(subscriber.received) == LIFE
        assert len(silent.received) == 1
        sweep()
        assert len(silent.received) == 2
    assert sorted(statuses()) == ["delivered"] * len(LIFE) + ["pending"] * len(LIFE)


def test_what_is_due_to_one_who_does_not_answer_does_not_stand_before_the_others(
    subscriber: Subscriber, simulated_time: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of it is due than is done at once, and for longer than what is due to the others."""
    monkeypatch.setattr(dispatch, "LONGEST_CALL", timedelta(seconds=1))
    monkeypatch.setattr(work, "MOST_AT_ONCE", 2)
    with listening() as silent:
        silent.answer = lambda received: None
        live(simulated_time, silent.url(), "silent-abcdef")
        live(simulated_time, subscriber.url())
        sweep()
        assert len(silent.received) >= 1
        sweep()
    assert sorted(types(subscriber.received)) == sorted(LIFE)


def test_one_who_answers_slowly_has_its_turn_and_no_more(
    subscriber: Subscriber, simulated_time: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much is due to it, and for longer than what is due to the others."""
    monkeypatch.setattr(work, "MOST_AT_ONCE", len(LIFE))
    with listening() as slow:

        def slowly(received: Received) -> tuple[int, dict[str, str]]:
            simulated_time.advance_to(simulated_time.seconds() + 9)
            return 200, {}

        slow.answer = slowly
        for n in range(3):
            live(simulated_time, slow.url(), f"slow-abcde{n}")
        live(simulated_time, subscriber.url())
        sweep()
        assert len(slow.received) == 2
        assert types(subscriber.received) == LIFE


def test_they_are_called_at_once(subscriber: Subscriber, simulated_time: SimulatedClock) -> None:
    """None of three gets its answer before all have been called."""
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


def test_it_begins_nothing_shortly_before_its_end(
    subscriber: Subscriber, simulated_time: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "TURN", timedelta(minutes=5))

    def slowly(received: Received) -> tuple[int, dict[str, str]]:
        simulated_time.advance_to(simulated_time.seconds() + 30)
        return 200, {}

    subscriber.answer = slowly
    live(simulated_time, subscriber.url())
    wake()
    assert len(subscriber.received) == 2
    sweep()
    assert len(subscriber.received) == len(LIFE)


def test_without_the_secrets_nothing_is_claimed(
    subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    subscriber.says(500)
    live(simulated_time, subscriber.url())
    wake()
    subscriber.says(200)
    simulated_time.advance_to(simulated_time.seconds() + 60)
    shared_secrets.forget()
    aws_says.refuse("ssm", "GetParameters", "ThrottlingException", times=1)
    with pytest.raises(ClientError):
        sweep()
    sweep()
    assert statuses() == ["delivered"] * len(LIFE)


def test_each_of_its_threads_keeps_a_connection_to_dynamodb() -> None:
    assert aws.client("dynamodb").meta.config.max_pool_connections >= courier.THREADS


def test_a_sweep_does_all_that_is_due(
    subscriber: Subscriber, simulated_time: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "MOST_AT_ONCE", 3)
    live(simulated_time, subscriber.url())
    sweep()
    assert statuses() == ["delivered"] * len(LIFE)


def test_its_lease_outlives_the_function() -> None:
    timeout = function_config(ROOT, "courier")["lambda_timeout"]
    assert timeout < LEASE_SECONDS
    longest = courier.LAST_START + dispatch.LONGEST_CALL
    assert longest < timedelta(seconds=timeout)


# --- Slack ---------------------------------------------------------------------------------


@dataclass
class Played:
    """The messages of Slack, played: one for each deployment that is told of."""

    asked: list[set[str]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def keys_for(self, deployment_ids: set[str]) -> list[tuple[str, str]]:
        self.asked.append(deployment_ids)
        keys = [(f"DEPLOYMENT#{each}", "MESSAGE#1#C1") for each in sorted(deployment_ids)]
        for pk, sk in keys:
            due = work.due(work.COURIER, clock.now())
            table.transact([table.put({"pk": pk, "sk": sk, **due}, "attribute_not_exists(wake)")])
        return keys

    def tell(self, lease: work.Lease) -> None:
        self.told.append(lease.pk)
        work.done(lease)


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Played:
    """In place of `slack.messages`, which has tests of its own."""
    played = Played()
    monkeypatch.setattr(messages, "keys_for", lambda ids: played.keys_for(ids))
    monkeypatch.setattr(notifier, "notify", lambda lease: played.tell(lease))
    return played


def set_up_slack() -> None:
    name = shared_secrets.parameter("slipway-test", shared_secrets.SLACK_BOT_TOKEN)
    aws.client("ssm").put_parameter(Name=name, Value="xoxb-1", Type="SecureString")
    shared_secrets.forget()


def test_messages_are_brought_up_to_date_with_every_event(
    slack: Any, simulated_time: SimulatedClock
) -> None:
    set_up_slack()
    store.create(deployment_of(now=clock.now()))
    wake()
    store.update(ID, lambda d: d.begin_step("resolve_image", "1", clock.now(), clock.now()))
    records = stream()["Records"]
    courier.run({"Records": records[-1:]})
    assert slack.asked == [{ID}, {ID}]
    assert slack.told == [f"DEPLOYMENT#{ID}"] * 2


def test_a_message_that_is_due_is_told_of(slack: Any, simulated_time: SimulatedClock) -> None:
    key = {"pk": f"DEPLOYMENT#{ID}", "sk": "MESSAGE#1#C1"}
    due = work.due_now(work.COURIER, clock.now())
    table.put_item({**key, **due}, "attribute_not_exists(pk)", {})
    wake()
    assert slack.told == [key["pk"]]
    assert sweep()["done"] == 0


def test_a_deployment_whose_messages_are_not_found_keeps_none_from_others(
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
    assert slack.told == [f"DEPLOYMENT#{ID}"]


def test_slack_that_fails_keeps_nothing_from_subscribers(
    slack: Any, subscriber: Subscriber, simulated_time: SimulatedClock
) -> None:
    set_up_slack()

    def broken(_: Any) -> Any:
        raise RuntimeError("Slack is away")

    slack.tell = broken
    live(simulated_time, subscriber.url())
    wake()
    assert types(subscriber.received) == LIFE
    slack.keys_for = broken
    live(simulated_time, subscriber.url(), "other-abcdef")
    wake()
    assert len(subscriber.received) == 2 * len(LIFE)
