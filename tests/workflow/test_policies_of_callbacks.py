"""The policies of the functions that receive from and send to chats and subscribers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from slack_sdk.signature import SignatureVerifier

from chalicelib.api.requests import Request
from chalicelib.chat import endpoint as chat
from chalicelib.platform import shared_secrets
from chalicelib.platform.settings import settings
from chalicelib.slack import endpoints as slack
from chalicelib.slack import owner_endpoints as slack_owners
from chalicelib.store import tokens
from chalicelib.store.tokens import Caller
from chalicelib.webhooks import endpoints as webhooks
from chalicelib.workers import chat_worker, courier
from infra.secrets import new_webhook_secret, put
from tests.support.in_process import REGISTRY, STACK, TABLE
from tests.support.slack_server import CHANNEL, FakeSlack
from tests.support.subscriber import Reply, Subscriber
from tests.workflow.policies import check, needed
from tests.workflow.world import OWNER, World

SIGNING_SECRET, WEBHOOK_SECRET = "0123456789abcdef0123456789abcdef", new_webhook_secret()
SWEEP: dict[str, Any] = {"source": "aws.events", "detail": {}}
Send = Callable[..., Any]
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def played(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    """A Slack server on loopback, and all shared secrets of the stack."""
    with FakeSlack() as running:
        monkeypatch.setenv("CALLBACKS_ON_LOOPBACK", "true")
        monkeypatch.setenv("SLACK_API_URL", running.api_url)
        settings.cache_clear()
        ssm = world.client("ssm")
        put(ssm, STACK, shared_secrets.SLACK_SIGNING_SECRET, SIGNING_SECRET)
        put(ssm, STACK, shared_secrets.SLACK_BOT_TOKEN, running.token)
        put(ssm, STACK, shared_secrets.WEBHOOK_SECRETS, WEBHOOK_SECRET)
        shared_secrets.forget()
        yield running
        shared_secrets.forget()


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    with Subscriber(WEBHOOK_SECRET) as running:
        yield running


@pytest.fixture
def send(world: World) -> Send:
    """Call a handler as an admin and return the response body."""
    scopes = ["read", "deploy", "admin"]
    token_id, _ = tokens.issue(
        table_name=TABLE, owner="platform", scopes=scopes, client=world.client("dynamodb")
    )
    admin = Caller("platform", frozenset(scopes), token_id)

    def send(handler: Any, *args: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json"}
        request = Request(admin, "/", headers, body=json.dumps(body).encode(), method="POST")
        return handler(request, *args).body

    return send


def typed(played: FakeSlack, text: str) -> None:
    """Send a command in the channel to the API."""
    form = {
        "user_id": "U0PERSON",
        "channel_id": CHANNEL,
        "team_id": "T0",
        "command": "/slipway",
        "text": text,
        "response_url": played.response_url(),
    }
    body, timestamp = urlencode(form).encode(), str(int(time.time()))
    signature = SignatureVerifier(SIGNING_SECRET).generate_signature(timestamp=timestamp, body=body)
    headers = {
        "Content-Type": FORM,
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": str(signature),
    }
    values = {name: [value] for name, value in headers.items()}
    nobody = Caller("", frozenset(), "")
    request = Request(nobody, "/slack/commands", headers, body=body, header_values=values)
    assert slack.commands(request).status == 200


def sweep(world: World, function: str, run: Any) -> None:
    """Run the scheduled sweep of a worker that has just started, and record its calls."""
    shared_secrets.forget()
    world.record_as(function)
    run(SWEEP)
    world.record_as("")


def test_the_policies_allow_the_calls_of_the_courier(
    world: World, played: FakeSlack, subscriber: Subscriber, send: Send
) -> None:
    send(slack_owners.put, CHANNEL, body={"owner": OWNER})
    send(webhooks.subscribe, body={"url": subscriber.url})
    subscriber.answer(Reply(500), then=Reply(410))

    deployment = world.deploy()
    sweep(world, "courier", courier.run)
    world.execute(world.accept_delete(deployment))
    sweep(world, "courier", courier.run)

    assert {call.reply.status for call in subscriber.received} == {500, 410}
    assert send(webhooks.list_subscriptions)["subscriptions"][0]["disabled_at"]
    assert played.posts("chat.postMessage")
    taken = {"ssm:GetParameters", "dynamodb:UpdateItem", "dynamodb:PutItem"}
    assert taken <= needed(world.calls["courier"])
    check(world, "courier")


def test_the_policies_allow_the_calls_of_the_chat_worker(
    world: World, played: FakeSlack, send: Send
) -> None:
    world.make_state_machine()
    send(slack_owners.put, CHANNEL, body={"owner": OWNER})
    spec = world.deploy(name="asked").spec
    for text in (
        f"deploy {REGISTRY}/recommend:1 name=typed",
        "status",
        "list",
        "logs asked",
        "scale asked 2",
        "extend asked 8h",
        "delete typed",
    ):
        typed(played, text)
        sweep(world, "chat_worker", chat_worker.run)

    assert spec.count == 1
    # One response for each command, except the two that started an operation.
    assert len(played.posts("response_url")) == 5
    assert "states:StartExecution" in needed(world.calls["chat_worker"])
    check(world, "chat_worker")


def test_the_policies_allow_the_chat_and_admin_calls_of_the_api(
    world: World, played: FakeSlack, subscriber: Subscriber, send: Send
) -> None:
    world.make_state_machine()
    world.record_as("api_handler")
    send(slack_owners.put, CHANNEL, body={"owner": OWNER})
    made = send(webhooks.subscribe, body={"url": subscriber.url})
    for text in ("help", "scael model 2", f"deploy {REGISTRY}/recommend:1 name=typed"):
        typed(played, text)
        send(chat.run, body={"text": text, "user": "ann"})
    sweep(world, "courier", courier.run)
    world.record_as("api_handler")
    sent = send(webhooks.list_deliveries)["deliveries"]
    send(webhooks.redeliver, sent[0]["id"])
    send(webhooks.list_subscriptions)
    send(webhooks.unsubscribe, made["id"])
    send(slack_owners.list_all)
    send(slack_owners.delete, CHANNEL)

    taken = {"ssm:GetParameters", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}
    assert taken <= needed(world.calls["api_handler"])
    check(world, "api_handler")
