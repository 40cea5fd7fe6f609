"""Webhooks of the packaged application, with subscribers on loopback.

Some subscribers fail, hang or no longer exist. Most deployments here use an image that does not
exist: they have two events each and create no resources.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.webhooks import retry_schedule
from local.stack import Stack
from tests.stack.client import Client, wait_until
from tests.stack.conftest import RETRY_TIME_SCALE
from tests.stack.functions import run_scheduled, sweep
from tests.support.subscriber import Received, Reply, Subscriber
from tests.support.summary import LINES

CREATED, FAILED = "deployment.created", "deployment.failed"


@pytest.fixture
def subscriber(stack: Stack) -> Iterator[Subscriber]:
    """A subscriber with the stack's secret."""
    with Subscriber(stack.webhook_secret) as running:
        yield running


@pytest.fixture
def other(stack: Stack) -> Iterator[Subscriber]:
    """A second subscriber."""
    with Subscriber(stack.webhook_secret) as running:
        yield running


@pytest.fixture
def admin(stack: Stack) -> Client:
    return Client(stack, stack.admin_token)


def missing(stack: Stack) -> str:
    """An image that does not exist in the registry."""
    return f"{stack.sample_image.rsplit(':', 1)[0]}:none"


def fail(api: Client, stack: Stack, name: str, url: str | None) -> str:
    """Run a create that fails at its first step, and return the ID."""
    more = {"callback_url": url} if url else {}
    return str(api.deploy(name, image=missing(stack), **more)["id"])


def deliveries(api: Client, deployment: str, **query: str) -> list[dict[str, Any]]:
    """The deliveries as the API lists them, newest first."""
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    answer = api.send("GET", f"/webhooks/deliveries?deployment={deployment}&{asked}")
    assert answer.status == 200, answer.text
    return list(answer.json["deliveries"])


def settled(api: Client, stack: Stack, deployment: str, status: str) -> list[dict[str, Any]]:
    """The deliveries of a failed create, once both have this status. The sweep makes retries."""

    def all_settled() -> list[dict[str, Any]] | None:
        found = deliveries(api, deployment, status=status)
        if len(found) == 2:
            return found
        sweep(stack)
        return None

    return list(wait_until(all_settled, f"both deliveries of {deployment} {status}"))


# --- the lifecycle -------------------------------------------------------------------------


@dataclass(frozen=True)
class Lifecycle:
    """The events of a deployment, and what the API returned meanwhile."""

    calls: list[Received]
    events: list[dict[str, Any]]
    active: dict[str, Any]
    deleted: dict[str, Any]

    def first_event(self, kind: str) -> dict[str, Any]:
        """The first event of a type."""
        return next(call.event for call in self.calls if call.event["type"] == kind)


@pytest.fixture(scope="module")
def lifecycle(stack: Stack, api: Client) -> Iterator[Lifecycle]:
    """A deployment from create to delete, with a subscriber that accepts everything."""
    with Subscriber(stack.webhook_secret) as subscriber:
        active = api.deploy("hook", callback_url=subscriber.url, ttl="59m")
        path = f"/deployments/{active['id']}"
        run_scheduled(stack, "Reconciler")
        api.change(active["id"], count=2)
        for verb in ("pause", "resume"):
            assert api.send("POST", f"{path}/{verb}").status == 202
            api.follow(active["id"])
        api.change(active["id"], image=missing(stack))
        deleted = api.delete(active["id"])
        subscriber.wait_for(lambda: "deployment.deleted" in subscriber.types(active["id"]))
        wait_until(lambda: not deliveries(api, active["id"], status="pending"), "all delivered")
        yield Lifecycle(
            calls=sorted(
                subscriber.about(active["id"]), key=lambda c: int(c.event["data"]["sequence"])
            ),
            events=api.events(active["id"]),
            active=active,
            deleted=deleted,
        )


def test_a_lifecycle_is_delivered_in_order(lifecycle: Lifecycle) -> None:
    assert [call.event["type"] for call in lifecycle.calls] == [
        "deployment.created",
        "deployment.active",
        "deployment.expiring",
        "deployment.updated",
        "deployment.paused",
        "deployment.active",
        "deployment.rolled_back",
        "deployment.deleted",
    ]


def test_events_are_signed_and_each_has_its_own_id(lifecycle: Lifecycle) -> None:
    assert [call.fault for call in lifecycle.calls if call.fault] == []
    assert len({call.id for call in lifecycle.calls}) == len(lifecycle.calls)
    assert {call.headers["content-type"] for call in lifecycle.calls} == {"application/json"}


def test_sequence_numbers_match_the_deployments_events(lifecycle: Lifecycle) -> None:
    own = {event["sequence"]: event["at"] for event in lifecycle.events}

    for call in lifecycle.calls:
        assert call.event["timestamp"] == own[call.event["data"]["sequence"]]


def test_an_event_shows_the_state_at_its_time(lifecycle: Lifecycle) -> None:
    created = lifecycle.first_event("deployment.created")["data"]["deployment"]
    active = lifecycle.first_event("deployment.active")["data"]["deployment"]
    paused = lifecycle.first_event("deployment.paused")["data"]["deployment"]
    deleted = lifecycle.first_event("deployment.deleted")["data"]["deployment"]

    assert (created["status"], created["url"]) == ("CREATING", None)
    for name in ("id", "name", "owner", "status", "url", "image", "prediction", "expires_at"):
        assert active[name] == lifecycle.active[name], name
    assert active["usd_per_hour"] == lifecycle.active["cost"]["usd_per_hour"]
    assert paused["status"] == "PAUSED"
    assert (deleted["status"], deleted["url"], deleted["leftovers"]) == ("DELETED", None, [])


def test_a_rolled_back_update_reports_why(lifecycle: Lifecycle) -> None:
    failed = lifecycle.first_event("deployment.rolled_back")["data"]["deployment"]

    assert failed["operation"] == {"kind": "update", "status": "rolled_back"}
    assert failed["status"] == "ACTIVE"
    assert failed["failure"]["code"] == "IMAGE_NOT_FOUND" and failed["failure"]["hint"]


def test_a_failed_create_is_delivered_with_its_hint(
    api: Client, stack: Stack, subscriber: Subscriber
) -> None:
    deployment = fail(api, stack, "hook-failed", subscriber.url)
    subscriber.wait_for(lambda: len(subscriber.types(deployment)) == 2)

    assert subscriber.types(deployment) == [CREATED, FAILED]
    call = next(c for c in subscriber.about(deployment) if c.event["type"] == FAILED)
    own = api.get(deployment)["failure"]
    assert call.event["data"]["deployment"]["failure"] == {
        name: own[name] for name in ("code", "step", "message", "hint")
    }


# --- a subscriber that fails -----------------------------------------------------------------


def test_a_delivery_with_500_is_retried_with_the_same_id(
    api: Client, stack: Stack, subscriber: Subscriber
) -> None:
    subscriber.answer(Reply(500), Reply(503, {"Retry-After": "2"}), Reply(500), Reply(drop=True))
    deployment = fail(api, stack, "hook-late", subscriber.url)

    found = settled(api, stack, deployment, "delivered")

    assert subscriber.types(deployment) == [CREATED, FAILED]
    tries = {
        one.id: [c for c in subscriber.received if c.id == one.id] for one in subscriber.received
    }
    assert len(tries) == 2
    assert sum(map(len, tries.values())) == 6
    assert [call.fault for call in subscriber.received if call.fault] == []
    # The subscriber asked for two seconds, and each attempt's own time is signed.
    assert any(calls[-1].timestamp > calls[0].timestamp for calls in tries.values())
    assert all(calls[-1].body == calls[0].body for calls in tries.values())
    assert sorted(len(one["tries"]) for one in found) == sorted(map(len, tries.values()))


def test_a_redirect_is_not_followed(
    api: Client, stack: Stack, subscriber: Subscriber, other: Subscriber
) -> None:
    statuses = (301, 302, 303, 307, 308)
    subscriber.answer(*(Reply.redirect(other.url, status) for status in statuses))
    deployment = fail(api, stack, "hook-elsewhere", subscriber.url)

    settled(api, stack, deployment, "delivered")

    assert subscriber.types(deployment) == [CREATED, FAILED]
    assert other.received == []
    assert {call.path for call in subscriber.received} == {"/hook"}


def test_410_ends_the_delivery(api: Client, stack: Stack, subscriber: Subscriber) -> None:
    subscriber.answer(then=Reply(410))
    deployment = fail(api, stack, "hook-gone", subscriber.url)

    found = settled(api, stack, deployment, "failed")
    sweep(stack)

    assert [[attempt["status"] for attempt in one["tries"]] for one in found] == [[410], [410]]
    assert len(subscriber.received) == 2


def test_a_failed_delivery_is_listed_and_sent_again(
    api: Client, stack: Stack, subscriber: Subscriber
) -> None:
    subscriber.answer(then=Reply(500))
    deployment = fail(api, stack, "hook-never", subscriber.url)
    failed = settled(api, stack, deployment, "failed")
    ids = {call.id for call in subscriber.received}
    assert {one["type"] for one in failed} == {CREATED, FAILED}
    for one in failed:
        assert {attempt["status"] for attempt in one["tries"]} == {500}
        check_gaps([datetime.fromisoformat(attempt["at"]) for attempt in one["tries"]])

    subscriber.answer()
    for one in failed:
        assert api.send("POST", f"/webhooks/deliveries/{one['id']}/redeliver").status == 202
    subscriber.wait_for(lambda: len(subscriber.accepted(deployment)) == 2)

    assert {call.id for call in subscriber.accepted(deployment)} == ids
    settled(api, stack, deployment, "delivered")
    assert deliveries(api, deployment, status="failed") == []


def check_gaps(tries: list[datetime]) -> None:
    """Check that the gaps between attempts are at least those of the schedule, at this scale."""
    gaps = [gap * RETRY_TIME_SCALE for gap in retry_schedule.GAPS]
    observed = [after - before for before, after in itertools.pairwise(tries)]
    LINES.append(
        "A webhook's retries, a day being 17 s: after "
        + ", ".join(f"{gap.total_seconds():.3f}" for gap in observed)
        + " s; the schedule has "
        + ", ".join(f"{gap.total_seconds():.4g}" for gap in gaps)
    )
    # Due times have a precision of one millisecond.
    slack = timedelta(milliseconds=1)
    assert len(observed) == len(gaps)
    # The last gap is shorter if earlier attempts were late: no attempt is after the end of the day.
    assert all(seen >= gap - slack for seen, gap in zip(observed[:-1], gaps[:-1], strict=True))
    assert tries[-1] - tries[0] >= sum(gaps, timedelta()) - slack


def test_a_subscriber_that_hangs_delays_neither_deployments_nor_others(
    api: Client, stack: Stack, subscriber: Subscriber, other: Subscriber
) -> None:
    subscriber.hang()
    url = before(subscriber.url, other.url)
    stuck = api.create("hook-stuck", image=missing(stack), callback_url=url)
    subscriber.wait_for(lambda: subscriber.hanging)

    deployment = fail(api, stack, "hook-freely", other.url)
    assert api.follow(stuck)["status"] == "FAILED"
    # The sweep calls both subscribers, and waits for one while it calls the other. It replaces the
    # stream, which the emulator reads with one function at a time.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(sweep, stack)
        other.wait_for(lambda: len(other.types(deployment)) == 2)
        waiting = [one["tries"] for one in deliveries(api, stuck) if one["type"] == FAILED]
        subscriber.release()

    assert waiting == [[]]
    wait_until(lambda: sweep(stack) or len(subscriber.types(stuck)) == 2, "what had to wait")


def before(url: str, other: str) -> str:
    """`url` with a query, so that a courier without concurrency would call it before the other.

    The courier orders receivers by the hashes of their URLs.
    """

    def hashed(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    candidates = (f"{url}?{number}" for number in itertools.count())
    return next(each for each in candidates if hashed(each) < hashed(other))


def test_a_throttling_subscriber_is_called_again_after_its_retry_after(
    api: Client, stack: Stack, subscriber: Subscriber
) -> None:
    subscriber.answer(Reply.throttled(1))
    deployment = fail(api, stack, "hook-slowly", subscriber.url)

    settled(api, stack, deployment, "delivered")

    first = subscriber.received[0]
    (again,) = [call for call in subscriber.received[1:] if call.id == first.id]
    assert (again.at - first.at).total_seconds() >= 1


# --- subscriptions of the whole stack --------------------------------------------------------


def test_a_subscription_gets_its_types_for_every_owner(
    api: Client, admin: Client, stack: Stack, subscriber: Subscriber, other: Subscriber
) -> None:
    body = {"url": subscriber.url, "types": [FAILED]}
    made = admin.send("POST", "/webhooks/subscriptions", body)
    assert made.status == 201, made.text
    path = f"/webhooks/subscriptions/{made.json['id']}"
    try:
        deployment = fail(api, stack, "hook-to-all", other.url)
        subscriber.wait_for(lambda: subscriber.types(deployment))
        other.wait_for(lambda: len(other.types(deployment)) == 2)
    finally:
        assert admin.send("DELETE", path).status == 204

    assert subscriber.types(deployment) == [FAILED]
    assert subscriber.received[0].fault is None
    # An event has the same ID for every receiver.
    assert subscriber.received[0].id in {call.id for call in other.received}

    after = fail(api, stack, "hook-no-more", other.url)
    other.wait_for(lambda: len(other.types(after)) == 2)
    assert subscriber.about(after) == []


def test_a_subscription_that_returns_410_is_disabled(
    api: Client, admin: Client, stack: Stack, subscriber: Subscriber
) -> None:
    subscriber.answer(then=Reply(410))
    made = admin.send("POST", "/webhooks/subscriptions", {"url": subscriber.url}).json
    try:
        fail(api, stack, "hook-a-goner", None)

        def disabled() -> dict[str, Any] | None:
            listed = admin.send("GET", "/webhooks/subscriptions").json["subscriptions"]
            (own,) = (one for one in listed if one["id"] == made["id"])
            return own if own["disabled_at"] else None

        assert wait_until(disabled, "the subscription's end")["disabled_reason"]
    finally:
        admin.send("DELETE", f"/webhooks/subscriptions/{made['id']}")


# --- refused URLs --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/hook",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/",
        "https://[::ffff:10.0.0.1]/",
        "https://0xa9fea9fe/",
        "https://2852039166/",
        "https://0.0.0.0/",
        "http://10.0.0.1/hook",
        "ftp://127.0.0.1/hook",
        "https://user:password@127.0.0.1/",
    ],
)
def test_a_callback_to_a_private_address_is_refused(api: Client, url: str) -> None:
    answer = api.send("POST", "/deployments", api.spec("hook-private", callback_url=url))

    assert (answer.status, answer.json["code"]) == (422, "VALIDATION_FAILED")
    assert [fault["field"] for fault in answer.json["errors"]] == ["callback_url"]


@pytest.mark.parametrize("url", ["https://10.0.0.1/hook", "https://169.254.169.254/"])
def test_a_subscription_to_a_private_address_is_refused(admin: Client, url: str) -> None:
    answer = admin.send("POST", "/webhooks/subscriptions", {"url": url})

    assert (answer.status, [fault["field"] for fault in answer.json["errors"]]) == (422, ["url"])
