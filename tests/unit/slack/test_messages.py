"""Messages about operations, with moto's table and a fake Slack on loopback."""

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.api import resource
from chalicelib.domain import errors
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.operation import CONVERGE_STEPS
from chalicelib.domain.parts import Leftover
from chalicelib.platform import aws, shared_secrets
from chalicelib.platform.clock import rfc3339
from chalicelib.platform.settings import settings
from chalicelib.slack import messages, notifier
from chalicelib.store import deployments as store
from chalicelib.store import table, work
from tests.support.builders import ID, MOMENT, OWNER, Clock, deployment_of, failure_of, seen
from tests.support.slack_server import CHANNEL, PRIVATE_CHANNEL, TOKEN, FakeSlack

LEASE = timedelta(seconds=70)
PK = f"DEPLOYMENT#{ID}"
USER = "U0ANNA"


@dataclass
class Courier:
    """The part of the courier that sends messages, with its own clock."""

    clock: Clock
    naps: list[float] = field(default_factory=list)

    def woken(self) -> None:
        """Wake the courier with an event of the deployment."""
        self.work_on(messages.keys_for({ID}))

    def sweep(self) -> None:
        self.work_on([k for k in work.list_due(work.COURIER) if k[1].startswith("MESSAGE#")])

    def work_on(self, keys: list[tuple[str, str]]) -> None:
        for key in keys:
            lease = work.acquire(*key, LEASE)
            if lease:
                notifier.notify(lease)

    def sweeps_for(self, **duration: float) -> None:
        """Run the courier's sweep every minute."""
        for _ in range(int(timedelta(**duration) / timedelta(minutes=1))):
            self.clock.advance(minutes=1)
            self.sweep()

    def nap(self, seconds: float) -> None:
        if seconds:
            self.naps.append(seconds)
            self.clock.advance(seconds=seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(MOMENT)
    monkeypatch.setattr("chalicelib.platform.clock.now", clock)
    return clock


@pytest.fixture
def courier(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Courier:
    courier = Courier(clock)
    monkeypatch.setattr(notifier, "sleep", courier.nap)
    return courier


@pytest.fixture
def slack(table: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    with FakeSlack(now=clock) as played:
        monkeypatch.setenv("SLACK_API_URL", played.api_url)
        settings.cache_clear()
        shared_secrets.forget()
        yield played
    shared_secrets.forget()


@pytest.fixture
def announcing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The channels that announce the owner's operations."""
    channels: list[str] = []

    def channels_of(owner: str) -> list[str]:
        return channels if owner == OWNER else []

    double = SimpleNamespace(channels_of=channels_of)
    monkeypatch.setitem(sys.modules, "chalicelib.slack.owners", double)
    monkeypatch.setattr("chalicelib.slack.owners", double, raising=False)
    return channels


@pytest.fixture
def bot(slack: FakeSlack, announcing: list[str]) -> None:
    share(shared_secrets.SLACK_BOT_TOKEN, TOKEN)


@pytest.fixture
def webhook(slack: FakeSlack, announcing: list[str]) -> None:
    share(shared_secrets.SLACK_INCOMING_WEBHOOK, slack.incoming_webhook)


@pytest.fixture
def commands_only(slack: FakeSlack, announcing: list[str]) -> None:
    """No bot token and no incoming webhook: only a command's `response_url`."""
    share(shared_secrets.SLACK_SIGNING_SECRET, "signed")


def share(name: str, value: str) -> None:
    aws.client("ssm").put_parameter(
        Name=shared_secrets.parameter("slipway-test", name), Value=value, Type="SecureString"
    )
    shared_secrets.forget()


def create() -> Deployment:
    return store.create(deployment_of())


def change(do: Callable[[Deployment], object]) -> None:
    store.update(ID, do)


def finish_step(name: str, clock: Clock) -> None:
    change(lambda d: d.finish_step(name, clock()))


def activate(clock: Clock) -> None:
    def do(deployment: Deployment) -> None:
        for name in CONVERGE_STEPS:
            deployment.finish_step(name, clock())
        deployment.activate(clock(), 0.04)

    change(do)


def announce(clock: Clock, channel: str = CHANNEL, response_url: str | None = None) -> None:
    deployment = store.get(ID)
    assert deployment
    shown = resource.render(deployment, clock())
    messages.announce(
        shown,
        channel=channel,
        user=USER,
        response_url=response_url,
        response_until=clock() + timedelta(minutes=30),
    )


def throttled(deployment_id: str) -> Deployment:
    raise errors.Throttled("slow down")


def items() -> list[dict[str, Any]]:
    return list(table.query("pk = :pk AND begins_with(sk, :m)", {":pk": PK, ":m": "MESSAGE#"}))


def only_item() -> dict[str, Any]:
    [item] = items()
    return item


def header(message: dict[str, Any]) -> str:
    return str(message["blocks"][0]["text"]["text"])


def visible_headers(slack: FakeSlack) -> list[str]:
    """The headers of the messages in the channels."""
    return [header(message) for message in slack.messages.values()]


def blocks_text(message: dict[str, Any]) -> str:
    return str(message["blocks"])


# --- with a bot token --------------------------------------------------------------------------


def test_an_operation_has_one_message_that_is_updated_to_its_end(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    courier.woken()
    for name in CONVERGE_STEPS[:8]:
        clock.advance(seconds=3)
        finish_step(name, clock)
        courier.woken()
    [half] = slack.messages.values()
    assert "*50 %*" in blocks_text(half)
    assert f"<@{USER}>" in blocks_text(half)
    clock.advance(seconds=3)
    activate(clock)
    courier.woken()
    assert len(slack.posts("chat.postMessage")) == 1
    assert len(slack.posts("chat.update")) == 9
    assert visible_headers(slack) == ["Deployed recommender"]
    assert "worker" not in only_item()  # no work remains
    courier.sweeps_for(minutes=5)
    courier.woken()
    assert len(slack.calls) == 10


def test_a_message_is_updated_every_two_seconds_at_most_and_the_last_time_at_once(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    courier.woken()
    clock.advance(seconds=0.5)
    finish_step("resolve_image", clock)
    courier.woken()
    assert courier.naps == [1.5]
    activate(clock)
    courier.woken()
    assert courier.naps == [1.5]
    assert visible_headers(slack) == ["Deployed recommender"]


def test_news_during_the_gap_is_part_of_the_update(
    bot: None,
    slack: FakeSlack,
    courier: Courier,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create()
    announce(clock)
    courier.woken()
    finish_step("resolve_image", clock)

    def nap(seconds: float) -> None:
        clock.advance(seconds=seconds)
        activate(clock)

    monkeypatch.setattr(notifier, "sleep", nap)
    courier.woken()
    assert visible_headers(slack) == ["Deployed recommender"]


def test_unchanged_content_is_updated_every_fifteen_seconds_at_most(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    courier.woken()
    for _ in range(8):
        clock.advance(seconds=4)
        courier.woken()
    assert len(slack.calls) == 3  # at 0, 16 and 32 s


def test_a_missed_end_is_sent_within_a_minute(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    courier.woken()
    activate(clock)  # and no event wakes the courier
    clock.advance(seconds=60)
    courier.sweep()
    assert visible_headers(slack) == ["Deployed recommender"]


def test_a_dead_courier_delays_a_message_by_its_lease_only(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    [key] = messages.keys_for({ID})
    assert work.acquire(*key, LEASE)  # and the courier dies
    courier.woken()
    assert not slack.calls
    clock.advance(seconds=71)
    courier.sweep()
    assert visible_headers(slack) == ["Deploying recommender"]


def test_a_failure_has_a_retry_button(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    courier.woken()

    def fail(deployment: Deployment) -> None:
        deployment.fail("resolve_image", failure_of("resolve_image"), clock())
        deployment.end_failed(clock())

    change(fail)
    courier.woken()
    [message] = slack.messages.values()
    assert header(message) == "Deploy failed: recommender"
    [button] = next(b for b in message["blocks"] if b["type"] == "actions")["elements"]
    assert (button["action_id"], button["value"]) == ("retry", ID)
    assert "push it" in blocks_text(message)


def test_two_couriers_at_once_leave_one_message(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    [key] = messages.keys_for({ID})
    slow = work.acquire(*key, LEASE)
    assert slow
    clock.advance(seconds=71)
    courier.sweep()  # another courier claimed the message, and has posted it
    notifier.notify(slow)
    assert len(slack.posts("chat.postMessage")) == 2
    assert len(slack.messages) == 1
    activate(clock)
    courier.woken()
    assert visible_headers(slack) == ["Deployed recommender"]


@pytest.mark.parametrize("written", [True, False])
def test_a_write_conflict_loses_no_message(
    bot: None,
    slack: FakeSlack,
    courier: Courier,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    written: bool,
) -> None:
    create()
    announce(clock)
    transact, met = table.transact, list[str]()

    def meeting(items: list[dict[str, Any]]) -> None:
        """The first write of `ts` returns a conflict, although it may have succeeded."""
        if not met and "ts" in str(items[0]) and slack.messages:
            met.append("conflict")
            if written:
                transact(items)
            raise table.Conflict
        transact(items)

    monkeypatch.setattr(table, "transact", meeting)
    courier.woken()
    assert met
    activate(clock)
    courier.woken()
    assert visible_headers(slack) == ["Deployed recommender"]


def test_a_lost_response_costs_one_duplicate_message(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    slack.drop(done=True)
    create()
    announce(clock)
    courier.woken()
    activate(clock)
    courier.sweeps_for(minutes=1)
    assert visible_headers(slack) == ["Deploying recommender", "Deployed recommender"]


def test_if_slack_rejects_the_blocks_it_gets_the_text(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    slack.refuse("invalid_blocks")
    create()
    announce(clock)
    courier.woken()
    [message] = slack.messages.values()
    assert (message["text"], message["blocks"]) == ("Deploying recommender: 0 %", [])
    activate(clock)
    courier.woken()
    assert visible_headers(slack) == ["Deployed recommender"]


def test_a_deleted_message_is_not_posted_again(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    courier.woken()
    slack.messages.clear()
    activate(clock)
    courier.woken()
    courier.sweeps_for(minutes=3)
    assert not slack.messages
    assert "worker" not in only_item()


# --- a Slack that throttles, fails, refuses ------------------------------------------------------


def test_a_throttled_message_waits_also_when_events_arrive(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    slack.throttle(40)
    courier.woken()
    for _ in range(3):
        clock.advance(seconds=10)
        finish_step(CONVERGE_STEPS[len(slack.calls)], clock)
        courier.woken()
    assert len(slack.calls) == 1
    activate(clock)
    clock.advance(seconds=11)
    courier.sweep()
    assert visible_headers(slack) == ["Deployed recommender"]
    assert "not_before" not in only_item()


def test_an_unreachable_slack_is_retried_with_growing_gaps(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    slack.fail(500, times=8)
    create()
    announce(clock)
    for _ in range(15 * 60 // 5):
        courier.woken()
        clock.advance(seconds=5)
    asked = [call.at for call in slack.calls[:9]]
    gaps = [(b - a).total_seconds() for a, b in pairwise(asked)]
    assert gaps == [5, 10, 20, 40, 80, 160, 240, 240]
    assert visible_headers(slack) == ["Deploying recommender"]
    assert "failures" not in only_item()


@pytest.mark.parametrize("trouble", ["throttle", "fail", "drop"])
def test_a_message_is_given_up_an_hour_after_the_end(
    bot: None,
    slack: FakeSlack,
    courier: Courier,
    clock: Clock,
    trouble: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "slipway")
    orders: dict[str, Callable[[], None]] = {
        "throttle": lambda: slack.throttle(60, times=1000),
        "fail": lambda: slack.fail(times=1000),
        "drop": lambda: slack.drop(times=1000),
    }
    orders[trouble]()
    create()
    announce(clock)
    activate(clock)
    courier.sweeps_for(minutes=58)
    assert "worker" in only_item()
    courier.sweeps_for(minutes=8)
    assert "worker" not in only_item()
    assert "Slack message is too late" in caplog.text
    calls = len(slack.calls)
    courier.woken()
    courier.sweeps_for(minutes=10)
    assert len(slack.calls) == calls


def test_a_bot_that_cannot_post_falls_back_to_the_response_url(
    bot: None,
    slack: FakeSlack,
    courier: Courier,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    create()
    announce(clock, PRIVATE_CHANNEL, slack.response_url())
    courier.woken()
    for name in CONVERGE_STEPS[:8]:
        clock.advance(seconds=30)
        finish_step(name, clock)
        courier.woken()
        courier.sweep()
    activate(clock)
    courier.woken()
    posts = [header(body) for body in slack.posts("response_url")]
    assert posts == ["Deploying recommender", "Deployed recommender"]
    assert len([call for call in slack.calls if call.error == "not_in_channel"]) == 1
    assert f"Slack rejected a call (bot, {PRIVATE_CHANNEL}): not_in_channel" in caplog.messages


@pytest.mark.parametrize("code", ["edit_window_closed", "cant_update_message", "token_revoked"])
def test_a_message_that_cannot_be_updated_ends_with_a_post(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock, code: str
) -> None:
    create()
    announce(clock, response_url=slack.response_url())
    courier.woken()
    slack.refuse(code, target="chat.update")
    clock.advance(seconds=20)
    courier.woken()
    activate(clock)
    courier.woken()
    assert [header(b) for b in slack.posts("response_url")] == ["Deployed recommender"]


@pytest.mark.parametrize("code", ["edit_window_closed", "cant_update_message"])
def test_without_a_command_it_ends_with_a_post_of_the_bot(
    bot: None, slack: FakeSlack, announcing: list[str], courier: Courier, clock: Clock, code: str
) -> None:
    announcing.append(CHANNEL)
    create()
    courier.woken()
    slack.refuse(code, target="chat.update")
    clock.advance(seconds=20)
    courier.woken()
    courier.sweeps_for(minutes=3)
    assert visible_headers(slack) == ["Deploying recommender"]
    activate(clock)
    courier.woken()
    assert visible_headers(slack) == ["Deploying recommender", "Deployed recommender"]
    assert "worker" not in only_item()


def test_the_incoming_webhook_replaces_a_closed_channel(
    bot: None, webhook: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock, PRIVATE_CHANNEL)
    courier.woken()
    clock.advance(seconds=1)
    courier.sweep()
    activate(clock)
    courier.woken()
    posts = slack.posts("incoming_webhook")
    assert [header(body) for body in posts] == ["Deploying recommender", "Deployed recommender"]


# --- without a bot token -------------------------------------------------------------------------


def test_a_response_url_gets_the_start_and_the_end(
    commands_only: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock, response_url=slack.response_url())
    for name in CONVERGE_STEPS[:8]:
        courier.woken()
        clock.advance(seconds=20)
        finish_step(name, clock)
        courier.sweep()
    activate(clock)
    courier.woken()
    courier.sweeps_for(minutes=3)
    posts = slack.posts("response_url")
    assert [header(body) for body in posts] == ["Deploying recommender", "Deployed recommender"]
    assert {body["response_type"] for body in posts} == {"in_channel"}
    assert len(slack.calls) == 2


def test_the_last_of_its_five_posts_is_reserved_for_the_end(
    commands_only: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    slack.drop(times=4, done=True)  # each was posted, but the response was lost
    create()
    announce(clock, response_url=slack.response_url())
    courier.woken()
    courier.sweeps_for(minutes=15)
    assert len(slack.calls) == 4
    activate(clock)
    courier.woken()
    assert header(slack.calls[-1].body) == "Deployed recommender"
    assert slack.calls[-1].status == 200


def test_before_a_response_url_expires_it_gets_a_last_post(
    commands_only: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock, response_url=slack.response_url())
    courier.woken()
    courier.sweeps_for(minutes=29)
    posts = slack.posts("response_url")
    assert len(posts) == 2
    assert "Slack accepts no more updates of this message." in blocks_text(posts[-1])
    courier.sweeps_for(minutes=10)
    assert len(slack.calls) == 2


def test_an_incoming_webhook_gets_the_start_and_the_end(
    webhook: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    courier.woken()
    for name in CONVERGE_STEPS[:8]:
        clock.advance(seconds=20)
        finish_step(name, clock)
        courier.woken()
    activate(clock)
    courier.woken()
    posts = slack.posts("incoming_webhook")
    assert [header(body) for body in posts] == ["Deploying recommender", "Deployed recommender"]


def test_without_a_setup_there_is_no_call_and_no_item(
    slack: FakeSlack, announcing: list[str], courier: Courier, clock: Clock, aws_calls: list[str]
) -> None:
    create()
    announce(clock)
    messages.keys_for({ID})
    aws_calls.clear()
    assert messages.keys_for({ID}) == []
    announce(clock)
    assert [call for call in aws_calls if "ssm" in call or "Transact" in call] == []
    assert not items()


def test_commands_without_a_response_url_leave_no_item(
    commands_only: None, slack: FakeSlack, clock: Clock
) -> None:
    create()
    announce(clock)
    assert not items()


# --- channels that announce ----------------------------------------------------------------------


def test_an_owners_channels_get_operations_started_elsewhere(
    bot: None, slack: FakeSlack, announcing: list[str], courier: Courier, clock: Clock
) -> None:
    slack.channels.add("C0ALERTS")
    announcing += [CHANNEL, "C0ALERTS"]
    create()
    courier.woken()
    activate(clock)
    courier.woken()
    assert visible_headers(slack) == ["Deployed recommender"] * 2
    assert {channel for channel, _ in slack.messages} == {CHANNEL, "C0ALERTS"}


def test_an_operation_started_there_has_one_message_with_its_user(
    bot: None, slack: FakeSlack, announcing: list[str], courier: Courier, clock: Clock
) -> None:
    announcing.append(CHANNEL)
    create()
    courier.woken()  # the event arrives before the worker's write
    announce(clock)
    announce(clock)
    clock.advance(seconds=3)
    courier.woken()
    [message] = slack.messages.values()
    assert f"<@{USER}>" in blocks_text(message)


def test_an_operation_that_ended_long_ago_gets_no_message(
    bot: None, slack: FakeSlack, announcing: list[str], courier: Courier, clock: Clock
) -> None:
    create()
    activate(clock)
    clock.advance(hours=2)
    announcing.append(CHANNEL)
    courier.woken()
    assert not items()


def test_an_event_costs_a_read_and_two_queries_at_most(
    bot: None, announcing: list[str], clock: Clock, aws_calls: list[str]
) -> None:
    announcing.append(CHANNEL)
    create()
    messages.keys_for({ID})
    aws_calls.clear()
    messages.keys_for({ID})
    assert aws_calls == ["dynamodb.GetItem", "dynamodb.Query"]  # and the query for the channels


def test_a_concurrent_write_keeps_the_user(
    bot: None, slack: FakeSlack, announcing: list[str], courier: Courier, clock: Clock
) -> None:
    announcing.append(CHANNEL)
    create()
    [key] = messages.keys_for({ID})
    lease = work.acquire(*key, LEASE)
    assert lease
    announce(clock, response_url=slack.response_url())
    notifier.notify(lease)  # the item as it was read, without the user
    assert only_item()["asked_by"] == USER
    clock.advance(seconds=3)
    courier.woken()
    assert f"<@{USER}>" in blocks_text(next(iter(slack.messages.values())))


def test_the_end_removes_the_attributes_for_updates(
    commands_only: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock, response_url=slack.response_url())
    courier.woken()
    activate(clock)
    courier.woken()
    assert not {"response_url", "shown", "sequence", "lease", "worker"} & only_item().keys()


def test_an_unreadable_record_does_not_affect_other_messages(
    bot: None, slack: FakeSlack, announcing: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    announcing.append(CHANNEL)
    create()
    spoilt = {"pk": "DEPLOYMENT#aaa-bbbbbb", "sk": "RECORD", "document": "{}"}
    table.put_item(spoilt, "attribute_not_exists(pk)", {})
    [(pk, _)] = messages.keys_for({"aaa-bbbbbb", ID})
    assert pk == PK
    assert "aaa-bbbbbb" in str(caplog.records[0].__dict__)


def test_a_message_that_fails_is_given_up_after_some_attempts(
    bot: None,
    slack: FakeSlack,
    courier: Courier,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    create()
    announce(clock)
    record = {"pk": PK, "sk": "RECORD", "document": "{}"}
    table.put_item(record, "attribute_exists(pk)", {})
    courier.sweeps_for(minutes=60)
    assert "worker" not in only_item()
    faults = [each for each in caplog.records if each.levelname == "ERROR"]
    assert len(faults) == notifier.MOST_FAULTS
    assert not slack.calls


def test_errors_of_aws_do_not_give_a_message_up(
    bot: None,
    slack: FakeSlack,
    courier: Courier,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create()
    announce(clock)
    [key] = messages.keys_for({ID})
    with monkeypatch.context() as patched:
        patched.setattr("chalicelib.store.deployments.get", throttled)
        for _ in range(notifier.MOST_FAULTS + 1):
            lease = work.acquire(*key, LEASE)
            assert lease
            with pytest.raises(errors.Throttled):
                notifier.notify(lease)
            clock.advance(seconds=71)
    courier.sweep()
    assert visible_headers(slack) == ["Deploying recommender"]


# --- a newer operation ---------------------------------------------------------------------------


def test_a_cancelled_operation_names_the_newer_one(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    courier.woken()
    clock.advance(seconds=30)
    change(lambda d: d.delete(clock()))
    announce(clock)
    courier.woken()
    assert visible_headers(slack) == [
        "Deploying recommender: cancelled (superseded by delete)",
        "Deleting recommender",
    ]


def test_a_superseded_success_is_shown_as_a_success(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    courier.woken()
    activate(clock)
    clock.advance(seconds=30)
    change(lambda d: d.pause(clock()))
    courier.woken()
    assert visible_headers(slack) == ["Deployed recommender (superseded by pause)"]


def test_an_operation_that_could_not_start_is_not_shown_as_running(
    bot: None, slack: FakeSlack, announcing: list[str], courier: Courier, clock: Clock
) -> None:
    announcing.append(CHANNEL)
    made = create()
    courier.woken()
    assert visible_headers(slack) == ["Deploying recommender"]
    store.discard(made)  # as the API does if Step Functions starts no execution
    courier.sweeps_for(minutes=1)
    assert visible_headers(slack) == ["Deploying recommender: cancelled"]
    assert "The operation did not start because AWS was not available." in blocks_text(
        next(iter(slack.messages.values()))
    )
    assert "worker" not in only_item()


def test_a_superseded_operation_without_a_message_gets_none(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    clock.advance(seconds=1)
    change(lambda d: d.delete(clock()))
    courier.woken()
    assert not slack.calls
    assert "worker" not in only_item()


def test_a_takeover_by_the_reconciler_is_the_same_operation(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    courier.woken()
    clock.advance(seconds=30)
    change(lambda d: d.continue_operation("its execution died", clock()))
    courier.woken()
    activate(clock)
    courier.woken()
    assert visible_headers(slack) == ["Deployed recommender"]


def test_a_delete_ends_with_its_leftovers(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    activate(clock)
    clock.advance(minutes=1)
    change(lambda d: d.delete(clock()))
    announce(clock)
    courier.woken()

    def end(deployment: Deployment) -> None:
        left = Leftover(kind="security_group", name=ID, reason="in use by eni-1")
        deployment.settle([left], clock())
        deployment.end_failed(clock())

    change(end)
    courier.woken()
    [message] = slack.messages.values()
    assert header(message) == "Delete failed: recommender"
    assert "in use by eni-1" in blocks_text(message)


def test_a_purged_record_ends_its_messages(
    bot: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    create()
    announce(clock)
    table.transact([table.delete(PK, "RECORD")])
    courier.sweep()
    assert not slack.calls
    assert "worker" not in only_item()


# --- expiring ------------------------------------------------------------------------------------


@pytest.fixture
def expiring(clock: Clock) -> None:
    """An hour before the expiry, when the reconciler has recorded that."""
    store.create(deployment_of(ttl="8h"))
    activate(clock)
    clock.advance(hours=7)
    change(lambda d: d.announce_expiry(clock()))


def test_an_expiry_gets_one_message_of_its_own(
    bot: None,
    expiring: None,
    slack: FakeSlack,
    announcing: list[str],
    courier: Courier,
    clock: Clock,
) -> None:
    announcing.append(CHANNEL)
    courier.woken()
    courier.woken()
    courier.sweeps_for(minutes=5)
    assert visible_headers(slack) == ["recommender expires soon"]
    assert "/slipway extend recommender 8h" in blocks_text(next(iter(slack.messages.values())))
    assert len(slack.calls) == 1


def test_an_extended_deployment_gets_no_notice(
    bot: None,
    expiring: None,
    slack: FakeSlack,
    announcing: list[str],
    courier: Courier,
    clock: Clock,
) -> None:
    announcing.append(CHANNEL)
    slack.throttle(60)
    courier.woken()
    change(lambda d: d.extend("8h", clock()))
    courier.sweeps_for(minutes=3)
    assert not slack.messages
    assert "worker" not in only_item()
    # It gets another notice at the new time.
    clock.advance(hours=7)
    change(lambda d: d.announce_expiry(clock()))
    courier.woken()
    assert visible_headers(slack) == ["recommender expires soon"]


def test_an_incoming_webhook_gets_the_notice_of_an_expiry(
    webhook: None, expiring: None, slack: FakeSlack, courier: Courier
) -> None:
    courier.woken()
    [posts] = slack.posts("incoming_webhook")
    assert header(posts) == "recommender expires soon"


# --- incidents -----------------------------------------------------------------------------------


@pytest.fixture
def served(announcing: list[str], clock: Clock, slack: FakeSlack) -> None:
    """A deployment that became ACTIVE two hours ago; its owner's channel is CHANNEL."""
    announcing.append(CHANNEL)
    create()
    activate(clock)
    clock.advance(hours=2)


def observe(courier: Courier, running: int) -> None:
    """A check of health, which wakes the courier if the status has changed."""
    courier.clock.advance(minutes=1)
    at, known = courier.clock(), store.get(ID)
    change(lambda d: d.record_health(seen(at, running), at))
    deployment = store.get(ID)
    if known and deployment and deployment.events_written > known.events_written:
        courier.woken()


def test_an_incident_has_one_message_that_is_updated(
    bot: None, served: None, slack: FakeSlack, courier: Courier
) -> None:
    observe(courier, 0)
    [down] = slack.messages.values()
    assert header(down) == "recommender is down"
    shown = blocks_text(down)
    assert "0 of 1 tasks serve. It has been down since" in shown
    assert "`CONTAINER_EXITED`\\n> it is not there" in shown
    assert "*What to do:* push it" in shown
    assert "It still costs $0.0400 per hour. To see its logs: `/slipway logs recommender`" in shown
    observe(courier, 1)
    assert visible_headers(slack) == ["recommender has recovered"]
    [recovered] = slack.messages.values()
    assert "1 min 0 s after it became unhealthy" in blocks_text(recovered)
    courier.sweeps_for(minutes=90)
    assert [len(slack.posts(f"chat.{kind}")) for kind in ("postMessage", "update")] == [1, 1]
    assert all("worker" not in item for item in items())


def test_a_deployment_that_flaps_changes_one_message(
    bot: None, served: None, slack: FakeSlack, courier: Courier
) -> None:
    for _ in range(200):
        observe(courier, 0)
        courier.sweep()
        observe(courier, 1)
        courier.sweep()
    assert visible_headers(slack) == ["recommender is down"]
    [message] = slack.messages.values()
    assert "It has become unhealthy 4 times since" in blocks_text(message)
    assert any("1 of 1 tasks serve now, but not steadily" in str(c.body) for c in slack.calls)
    assert len(slack.calls) < 40  # in 400 minutes, and an update notifies nobody


def test_a_failure_after_an_hour_of_peace_gets_a_message_of_its_own(
    bot: None, served: None, slack: FakeSlack, courier: Courier
) -> None:
    observe(courier, 0)
    observe(courier, 1)
    courier.sweeps_for(minutes=70)
    observe(courier, 0)
    assert visible_headers(slack) == ["recommender has recovered", "recommender is down"]


def test_an_incoming_webhook_gets_few_posts_about_an_incident(
    webhook: None, served: None, slack: FakeSlack, courier: Courier
) -> None:
    for running in (0, 1) * 6:
        observe(courier, running)
        courier.sweep()
    headers = [header(post) for post in slack.posts("incoming_webhook")]
    assert headers == ["recommender is down", "recommender has recovered"] * 2
    for _ in range(20):
        observe(courier, 1)
    courier.sweeps_for(minutes=90)
    headers = [header(post) for post in slack.posts("incoming_webhook")]
    assert headers == ["recommender is down", "recommender has recovered"] * 2
    assert all("worker" not in item for item in items())


def test_the_end_of_an_incident_is_posted_if_the_posts_before_it_did_not_show_it(
    webhook: None, served: None, slack: FakeSlack, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "INCIDENT_POSTS", 1)
    observe(courier, 0)
    observe(courier, 1)
    assert len(slack.posts("incoming_webhook")) == 1
    courier.sweeps_for(minutes=90)
    headers = [header(post) for post in slack.posts("incoming_webhook")]
    assert headers == ["recommender is down", "recommender has recovered"]


def test_a_pause_ends_the_message_of_an_incident(
    bot: None, served: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    observe(courier, 0)
    clock.advance(minutes=1)
    change(lambda d: d.pause(clock()))
    activate(clock)
    courier.woken()
    assert "recommender was unhealthy and is now PAUSED" in visible_headers(slack)
    courier.sweeps_for(minutes=90)
    assert all("worker" not in item for item in items())


def test_an_incident_that_nobody_was_told_of_is_not_told_when_it_is_over(
    bot: None, served: None, slack: FakeSlack, courier: Courier, clock: Clock
) -> None:
    at = clock()
    change(lambda d: d.record_health(seen(at, 0), at))
    messages.keys_for({ID})  # the courier died here
    change(lambda d: d.delete(clock()))
    courier.sweeps_for(minutes=5)
    assert not [each for each in visible_headers(slack) if "unhealthy" in each]


def test_items_are_purged_automatically(bot: None, clock: Clock, slack: FakeSlack) -> None:
    create()
    announce(clock)
    assert only_item()["purge_at"] == (MOMENT + messages.KEPT).timestamp()
    assert only_item()["sk"] == f"MESSAGE#{rfc3339(MOMENT)}#{CHANNEL}"
