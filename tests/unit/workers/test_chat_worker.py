"""Slack requests that the worker executes through the API's use cases, with a fake Slack."""

import html
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.exceptions
import pytest

from chalicelib.domain.record import Status
from chalicelib.platform import aws, clock
from chalicelib.platform.settings import settings
from chalicelib.slack import inbox, owners
from chalicelib.slack.inbox import Asked
from chalicelib.store import deployments as store
from chalicelib.store import table, work
from chalicelib.workers import chat_worker
from infra.template import function_config
from tests.support import slack_request
from tests.support.builders import REGISTRY, Clock, active, failed
from tests.support.gateway import Gateway
from tests.support.project import ROOT
from tests.support.slack_server import FakeSlack

# The worker has threads.
pytestmark = pytest.mark.usefixtures("one_call_at_a_time")
USER, CHANNEL = "U0ALICE", "C0TEAMA"
IMAGE = f"{REGISTRY}/recommend:1"
PASSING = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(datetime.now(UTC))
    monkeypatch.setattr(clock, "now", made)
    return made


@pytest.fixture
def slack(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, time: Clock) -> Iterator[FakeSlack]:
    """Slack, with team-a's channel mapped."""
    monkeypatch.setenv("CALLBACKS_ON_LOOPBACK", "true")
    settings.cache_clear()
    slack_request.set_up()
    owners.put(CHANNEL, "team-a", ["read", "deploy"], True)
    with FakeSlack(now=time) as played:
        yield played


def ask(slack: FakeSlack, text: str, button: str | None = None, **fields: Any) -> str:
    """Store a request in the inbox and return its partition key."""
    known = {"user": USER, "channel": CHANNEL, "response_url": slack.response_url(), **fields}
    request = f"{len(slack.response_urls):064x}"
    assert inbox.accept(request, Asked(text=text, button=button, **known))
    return f"SLACK#{request}"


def poisoned(slack: FakeSlack) -> str:
    """A request that always fails."""
    pk = ask(slack, "list")
    table.transact([table.update(pk, "REQUEST", "attribute_exists(pk)", remove=("text",))])
    return pk


def stream() -> dict[str, Any]:
    """The table stream's event with all items that wake a worker."""
    items = aws.client("dynamodb").scan(TableName="slipway-records")["Items"]
    woken = [item for item in items if item.get("wake") == {"S": work.CHAT_WORKER}]
    return {"Records": [{"dynamodb": {"NewImage": item}} for item in woken]}


def woken() -> dict[str, Any]:
    return chat_worker.run(stream())


def swept(time: Clock, **later: float) -> dict[str, Any]:
    """Advance the clock and send the schedule's event."""
    time.advance(**later)
    return chat_worker.run({"source": "aws.events"})


def item_of(pk: str) -> dict[str, Any]:
    item = table.get_item(pk, "REQUEST")
    assert item is not None
    return item


def is_done(pk: str) -> bool:
    return "worker" not in item_of(pk)


def said(slack: FakeSlack) -> list[str]:
    return [post["text"] for post in slack.posts("response_url")]


def messages_of(deployment_id: str) -> list[dict[str, Any]]:
    condition = "pk = :pk AND begins_with(sk, :message)"
    values = {":pk": f"DEPLOYMENT#{deployment_id}", ":message": "MESSAGE#"}
    return list(table.query(condition, values))


def deployments() -> list[str]:
    found, _ = store.list_deployments("team-a", limit=100, after=None)
    return [each.id for each in found]


def kept(deployment: Any) -> Any:
    return store.create(deployment)


# --- commands ------------------------------------------------------------------------------


def test_a_read_is_answered_only_to_its_user(slack: FakeSlack) -> None:
    kept(active())
    pk = ask(slack, "list")
    assert woken() == {"woken": 1, "due": 0, "taken": 1}
    [post] = slack.posts("response_url")
    assert (post["response_type"], post["replace_original"]) == ("ephemeral", False)
    assert "recommender" in str(post["blocks"])
    assert is_done(pk)
    # Anyone with the URL can post to the channel, so it is deleted after use.
    assert "response_url" not in item_of(pk)


def test_a_deploy_is_announced_by_its_operations_message(slack: FakeSlack) -> None:
    pk = ask(slack, f"deploy {IMAGE} name=shop ttl=8h")
    woken()
    [deployment_id] = deployments()
    deployment = store.get(deployment_id)
    assert deployment is not None
    assert (deployment.name, deployment.owner, deployment.spec.ttl) == ("shop", "team-a", "8h")
    [message] = messages_of(deployment_id)
    assert message["sk"].endswith(f"#{CHANNEL}")
    assert (message["asked_by"], message["worker"]) == (USER, work.COURIER)
    assert message["response_url"].startswith(slack.url)
    assert said(slack) == []
    assert is_done(pk)


def test_a_refusal_has_the_apis_text(slack: FakeSlack) -> None:
    ask(slack, "deploy docker.io/library/nginx:1 name=shop")
    woken()
    [text] = said(slack)
    assert "must be in an allowed registry" in text
    assert deployments() == []


def test_a_change_without_an_operation_is_answered(slack: FakeSlack) -> None:
    deployment = kept(active())
    ask(slack, "extend recommender 8h")
    woken()
    assert len(said(slack)) == 1
    assert messages_of(deployment.id) == []


def test_a_failed_command_does_not_block_the_others_of_its_event(slack: FakeSlack) -> None:
    poison = poisoned(slack)
    others = [ask(slack, text) for text in ("list", "help", "nonsense")]
    assert woken()["taken"] == 4
    assert [is_done(pk) for pk in others] == [True, True, True]
    assert not is_done(poison)
    assert len(said(slack)) == 3


@pytest.mark.parametrize(
    ("typed", "answered"),
    [
        ("scal rec 3", "`/slipway scale rec 3`"),
        ("status rec", "`/slipway list`"),
        ("list", "`/slipway deploy <image>`"),
    ],
)
def test_replies_spell_commands_as_slack_accepts_them(
    slack: FakeSlack, typed: str, answered: str
) -> None:
    ask(slack, typed)
    woken()
    assert answered in html.unescape(said(slack)[0])


def test_a_user_without_a_mapping_gets_a_message(slack: FakeSlack) -> None:
    ask(slack, f"deploy {IMAGE} name=shop")
    owners.delete(CHANNEL)
    woken()
    [text] = said(slack)
    assert f"PUT /slack/owners/{CHANNEL}" in text
    assert deployments() == []


def test_a_command_without_a_response_url_is_executed(slack: FakeSlack) -> None:
    pk = ask(slack, f"deploy {IMAGE} name=shop", response_url=None)
    woken()
    assert len(deployments()) == 1
    assert is_done(pk)


# --- the confirmation of a delete ------------------------------------------------------------


def test_a_delete_asks_for_confirmation_first(slack: FakeSlack) -> None:
    deployment = kept(active())
    ask(slack, "delete recommender")
    woken()
    [post] = slack.posts("response_url")
    [buttons] = [block for block in post["blocks"] if block["type"] == "actions"]
    pressed = {each["action_id"]: each["value"] for each in buttons["elements"]}
    assert pressed == {"delete": deployment.id, "cancel": deployment.id}
    assert status(deployment.id) is Status.ACTIVE


def test_the_button_deletes_and_replaces_the_question(slack: FakeSlack) -> None:
    deployment = kept(active())
    ask(slack, deployment.id, "delete")
    woken()
    assert status(deployment.id) is Status.DELETING
    [post] = slack.posts("response_url")
    assert post["replace_original"] is True
    assert "actions" not in [block["type"] for block in post["blocks"]]
    [message] = messages_of(deployment.id)
    assert message["asked_by"] == USER


def test_a_second_click_says_that_the_delete_is_running(slack: FakeSlack) -> None:
    deployment = kept(active())
    for _ in range(2):
        ask(slack, deployment.id, "delete")
        woken()
    assert len(slack.posts("response_url")) == 2
    assert len(messages_of(deployment.id)) == 1


def test_the_question_is_replaced_even_if_the_deployment_is_gone(slack: FakeSlack) -> None:
    ask(slack, "recommender-abcdef", "delete")
    woken()
    [post] = slack.posts("response_url")
    assert post["replace_original"] is True
    assert "recommender-abcdef" in post["text"]


def test_cancel_changes_nothing(slack: FakeSlack) -> None:
    deployment = kept(active())
    ask(slack, deployment.id, "cancel")
    woken()
    [post] = slack.posts("response_url")
    assert post["replace_original"] is True
    assert deployment.id in post["text"]
    assert status(deployment.id) is Status.ACTIVE


def test_cancel_does_not_claim_that_the_deployment_exists(slack: FakeSlack) -> None:
    ask(slack, "gone-aaaaaa", "cancel")
    woken()
    assert said(slack) == ["Cancelled. gone-aaaaaa was not changed."]


def test_a_missing_or_deleting_deployment_gets_no_question(slack: FakeSlack) -> None:
    deployment = kept(active())
    ask(slack, deployment.id, "delete")
    woken()
    slack.forget()
    for text in ("delete nothing", "delete recommender"):
        ask(slack, text)
    woken()
    assert all("actions" not in str(post["blocks"]) for post in slack.posts("response_url"))
    assert len(said(slack)) == 2


def test_a_user_with_only_read_is_refused_without_a_question(slack: FakeSlack) -> None:
    deployment = kept(active())
    owners.put(CHANNEL, "team-a", ["read"], True)
    ask(slack, "delete recommender")
    ask(slack, deployment.id, "delete")
    woken()
    assert all(f"`PUT /slack/owners/{CHANNEL}`" in text for text in said(slack))
    assert all("the scope `deploy` is missing" in text for text in said(slack))
    assert not any("token" in text for text in said(slack))
    assert len(said(slack)) == 2
    assert status(deployment.id) is Status.ACTIVE


def test_a_user_without_read_gets_a_message_and_can_use_help(slack: FakeSlack) -> None:
    owners.put(CHANNEL, "team-a", ["deploy"], True)
    for text in ("list", "delete recommender", "help"):
        ask(slack, text)
    woken()
    looked, deleted, helped = sorted(said(slack), key=lambda text: "scope" not in text)
    assert "the scope `read` is missing" in looked and "the scope `read` is missing" in deleted
    assert "`/slipway deploy" in helped


def test_another_owners_deployment_is_not_found(slack: FakeSlack) -> None:
    deployment = kept(active())
    owners.put(CHANNEL, "team-b", ["read", "deploy"], True)
    for button in ("delete", "retry"):
        ask(slack, deployment.id, button)
    ask(slack, f"delete {deployment.id}")
    woken()
    assert all("There is no deployment" in text for text in said(slack))
    assert len(said(slack)) == 3
    assert status(deployment.id) is Status.ACTIVE


# --- retry -----------------------------------------------------------------------------------


def test_a_retry_starts_an_operation_with_its_own_message(slack: FakeSlack) -> None:
    deployment = kept(failed())
    ask(slack, deployment.id, "retry")
    woken()
    assert status(deployment.id) is Status.CREATING
    assert len(messages_of(deployment.id)) == 1
    assert said(slack) == []


def test_a_refused_retry_does_not_replace_the_failure_message(slack: FakeSlack) -> None:
    deployment = kept(active())
    ask(slack, deployment.id, "retry")
    woken()
    [post] = slack.posts("response_url")
    assert (post["response_type"], post["replace_original"]) == ("ephemeral", False)


# --- repeated requests and errors ------------------------------------------------------------


def test_only_the_worker_with_the_claim_runs_the_request(slack: FakeSlack) -> None:
    pk = ask(slack, f"deploy {IMAGE} name=shop")
    event = stream()
    assert work.acquire(pk, "REQUEST", chat_worker.LEASE)
    assert chat_worker.run(event)["taken"] == 0
    assert deployments() == []


def test_the_sweep_finishes_a_dead_workers_request(slack: FakeSlack, time: Clock) -> None:
    pk = ask(slack, f"deploy {IMAGE} name=shop")
    work.acquire(pk, "REQUEST", chat_worker.LEASE)
    assert swept(time, seconds=60)["due"] == 0
    assert swept(time, seconds=11) == {"woken": 0, "due": 1, "taken": 1}
    assert len(deployments()) == 1


def test_an_expired_request_is_not_started(
    slack: FakeSlack, time: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise a request that kills its worker would do so forever."""
    pk = ask(slack, f"deploy {IMAGE} name=shop")
    work.acquire(pk, "REQUEST", chat_worker.LEASE)
    with caplog.at_level(logging.ERROR, "slipway"):
        swept(time, minutes=30)
    assert is_done(pk)
    assert deployments() == []
    assert "slack request came to nothing" in caplog.text


def test_a_second_run_starts_nothing_twice(
    slack: FakeSlack, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deploy was accepted, but the next write failed."""
    dynamodb = aws.client("dynamodb")
    write, failing = dynamodb.transact_write_items, [True]

    def throttled(**asked: Any) -> Any:
        if "MESSAGE#" in str(asked) and failing and failing.pop():
            raise botocore.exceptions.ClientError(PASSING, "TransactWriteItems")
        return write(**asked)

    monkeypatch.setattr(dynamodb, "transact_write_items", throttled)
    pk = ask(slack, f"deploy {IMAGE} name=shop")
    woken()
    first = deployments()
    assert (len(first), messages_of(first[0]), item_of(pk)["attempts"]) == (1, [], 1)
    swept(time, minutes=1)
    assert deployments() == first
    assert len(messages_of(first[0])) == 1
    assert is_done(pk)


def test_slack_is_called_again_after_its_retry_after(slack: FakeSlack, time: Clock) -> None:
    slack.throttle(120)
    pk = ask(slack, "list")
    woken()
    assert swept(time, seconds=119)["due"] == 0
    assert said(slack) == []
    swept(time, seconds=2)
    assert len(said(slack)) == 1
    assert is_done(pk)


@pytest.mark.parametrize("trouble", ["fail", "drop"])
def test_an_unreachable_slack_is_retried_with_growing_gaps_while_the_url_is_valid(
    slack: FakeSlack, time: Clock, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    getattr(slack, trouble)(times=100)
    pk, asked_at = ask(slack, "list"), time()
    gaps = []
    woken()
    while not is_done(pk):
        due = datetime.fromisoformat(item_of(pk)["due_at"])
        gaps.append(round((due - time()).total_seconds()))
        with caplog.at_level(logging.ERROR, "slipway"):
            swept(time, seconds=gaps[-1] + 1)
    assert gaps == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]
    assert time() - asked_at < inbox.RESPONSE_URL_LIVES
    assert "slack request given up" in caplog.text
    assert swept(time, hours=1)["due"] == 0


def test_aws_is_retried_and_finally_the_user_gets_a_message(
    slack: FakeSlack, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(**_: Any) -> Any:
        raise botocore.exceptions.ClientError(PASSING, "StartExecution")

    states = aws.client("stepfunctions")
    monkeypatch.setattr(states, "start_execution", throttled)
    pk = ask(slack, f"deploy {IMAGE} name=shop")
    woken()
    [text] = said(slack)  # immediately, because otherwise the user sends the command again
    assert "Do not send it again: " in text
    assert not is_done(pk)
    for _ in range(40):
        swept(time, minutes=1)
    assert is_done(pk)
    [_, text] = said(slack)
    assert f"deploy {IMAGE} name=shop" in text
    assert "send it again" in text


def test_a_delayed_command_does_not_extend_the_response_url(
    slack: FakeSlack, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(**_: Any) -> Any:
        raise botocore.exceptions.ClientError(PASSING, "StartExecution")

    asked_at = time()
    ask(slack, f"deploy {IMAGE} name=shop")
    with monkeypatch.context() as patched:
        patched.setattr(aws.client("stepfunctions"), "start_execution", throttled)
        woken()
    swept(time, minutes=20)
    [deployment_id] = deployments()
    [message] = messages_of(deployment_id)
    ends = datetime.fromisoformat(message["response_until"])
    assert abs(ends - asked_at - timedelta(minutes=30)) < timedelta(seconds=1)


@pytest.mark.parametrize("code", ["expired_url", "used_url"])
def test_a_used_up_response_url_ends_the_request(
    slack: FakeSlack, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    slack.refuse(code)
    pk = ask(slack, "list")
    with caplog.at_level(logging.WARNING, "slipway"):
        woken()
    assert is_done(pk)
    assert "slack refused an answer" in caplog.text
    assert slack.url not in caplog.text


def test_a_poisoned_request_ends_after_some_attempts_with_a_message(
    slack: FakeSlack, time: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    pk = poisoned(slack)
    with caplog.at_level(logging.ERROR, "slipway"):
        woken()
        for _ in range(10):
            swept(time, minutes=1)
    assert is_done(pk)
    assert int(item_of(pk)["attempts"]) == chat_worker.MOST_FAULTS
    [text] = said(slack)
    assert pk in text
    assert "slack request given up" in caplog.text


def test_a_poisoned_request_ends_even_if_slack_is_unreachable(
    slack: FakeSlack, time: Clock
) -> None:
    slack.fail(times=100)
    pk = poisoned(slack)
    woken()
    for _ in range(10):
        swept(time, minutes=1)
    assert is_done(pk)


def test_the_lease_outlives_the_function() -> None:
    timeout = function_config(ROOT, "chat_worker")["lambda_timeout"]
    assert timedelta(seconds=timeout) < chat_worker.LEASE


def status(deployment_id: str) -> Status:
    found = store.get(deployment_id)
    assert found is not None
    return found.status
