"""No operation of the API lets an owner see or change another owner's deployment.

A new endpoint is tested as soon as its route exists. Add an example of its request here.
"""

import json
from typing import Any

import pytest

from chalicelib.api.route import Route
from chalicelib.platform import aws
from chalicelib.routes import ROUTES
from tests.support import aws_says
from tests.support.builders import body_of
from tests.support.gateway import Answered, Gateway, call, proxy_event

# A valid body for each operation, by the operation's name.
BODIES: dict[str, Any] = {
    "create_deployment": body_of(name="theirs"),
    "update_deployment": {"count": 2},
    "extend_deployment": {"ttl": "8h"},
    "create_token": {"owner": "team-b", "scopes": ["read"]},
    "run_chat_command": {"text": "list"},
    "create_subscription": {"url": "https://example.com/hooks"},
    "put_slack_owner": {"owner": "team-b"},
}
# What an operation without a deployment may return to another owner.
# (test_chat.py checks the chat replies.)
SEES_NOTHING = {"list_deployments", "list_deliveries", "run_chat_command"}
ADMINS = {
    "create_token",
    "list_tokens",
    "revoke_token",
    "create_subscription",
    "list_subscriptions",
    "delete_subscription",
    "list_slack_owners",
    "put_slack_owner",
    "delete_slack_owner",
}
# An owner's resources that are not deployments: tests/unit/webhooks/test_endpoints.py.
OTHERS = {"redeliver"}
OPEN = {"get_health", "get_openapi"}
# Slack signs its requests instead of using a token: tests/unit/slack/test_endpoints.py.
SIGNED = {"receive_slack_command", "receive_slack_interaction"}
OWN = {"create_deployment"}

OF_ONE = pytest.mark.parametrize(
    "operation",
    [each for each in ROUTES if "{deployment}" in each.path],
    ids=lambda each: each.name,
)
WITH_TOKEN = [each for each in ROUTES if each.scope]


def path_of(operation: Route, deployment: str = "x-aaaaaa") -> str:
    return operation.path.format(
        deployment=deployment,
        token_id="tok_0123456789abcdef",
        delivery_id=f"dlv_{'0' * 32}",
        subscription_id="sub_0123456789abcdef",
        slack_id="C0123456789",
    )


def ask(gateway: Gateway, operation: Route, path: str, caller: str) -> Answered:
    return gateway.send(operation.method, path, BODIES.get(operation.name), caller=caller)


def everything() -> str:
    """All executions, and all table items except tokens, because their last use changes."""
    items = aws.client("dynamodb").scan(TableName="slipway-records")["Items"]
    kept = [item for item in items if not item["pk"]["S"].startswith("TOKEN")]
    states = aws.client("stepfunctions")
    [machine] = states.list_state_machines()["stateMachines"]
    started = states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    names = sorted(each["name"] for each in started)
    return json.dumps([sorted(kept, key=json.dumps), names], sort_keys=True)


@pytest.fixture
def owned(gateway: Gateway) -> dict[str, Any]:
    """A deployment of team-a."""
    made: dict[str, Any] = gateway.post("/deployments", body_of()).json
    return made


def test_every_operation_is_tested_here() -> None:
    apart = SEES_NOTHING | ADMINS | OPEN | SIGNED | OWN | OTHERS
    elsewhere = {each.name for each in ROUTES if "{deployment}" not in each.path}
    assert elsewhere == apart
    assert {each.name for each in ROUTES if each.body} == set(BODIES)


@OF_ONE
@pytest.mark.parametrize("reference", ["id", "name"])
def test_another_owners_deployment_is_not_found_and_not_changed(
    gateway: Gateway, owned: dict[str, Any], operation: Route, reference: str
) -> None:
    unknown = ask(gateway, operation, path_of(operation), "team-b")
    gateway.authorize("team-b")
    before, calls = everything(), aws_says.watch("ecs", "ListTasks")

    answer = ask(gateway, operation, path_of(operation, owned[reference]), "team-b")

    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert everything() == before
    assert calls == []
    # The response is the same as for a missing deployment, so that it reveals nothing.
    body = answer.text.replace(owned[reference], "x-aaaaaa")
    assert body == unknown.text
    assert answer.headers == unknown.headers


@OF_ONE
def test_the_owner_finds_the_deployment(
    gateway: Gateway, owned: dict[str, Any], operation: Route
) -> None:
    """Without this, the 404 for other owners would prove nothing."""
    aws_says.answer("cloudwatch", "GetMetricData", {"MetricDataResults": []})
    answer = ask(gateway, operation, path_of(operation, owned["id"]), "team-a")
    assert answer.status in (200, 202, 409), answer.text


def test_a_list_shows_only_the_callers_deployments(gateway: Gateway, owned: dict[str, Any]) -> None:
    for query in ({}, {"name": owned["name"]}, {"show_deleted": "true"}, {"status": "CREATING"}):
        answer = gateway.get("/deployments", caller="team-b", query=query)
        assert answer.json == {"deployments": [], "next_cursor": None}


def test_a_cursor_of_another_owner_gives_nothing_of_theirs(
    gateway: Gateway, owned: dict[str, Any]
) -> None:
    gateway.post("/deployments", body_of(name="second"))
    cursor = gateway.get("/deployments", query={"limit": "1"}).json["next_cursor"]
    answer = gateway.get("/deployments", caller="team-b", query={"cursor": cursor})
    assert answer.status == 422 or answer.json["deployments"] == []


def test_owners_can_use_the_same_name_and_key(gateway: Gateway, owned: dict[str, Any]) -> None:
    key = {"Idempotency-Key": "k"}
    body = body_of(name="both")
    first = gateway.post("/deployments", body, headers=key)
    theirs = gateway.post("/deployments", body, headers=key, caller="team-b")
    assert theirs.status == 202
    assert theirs.json["id"] != first.json["id"]
    assert theirs.json["owner"] == "team-b"


def test_every_operation_without_a_token_is_401(gateway: Gateway) -> None:
    for operation in WITH_TOKEN:
        body = BODIES.get(operation.name)
        sent = {"Content-Type": "application/json"} if body else {}
        raw = json.dumps(body) if body else None
        answer = call(proxy_event(operation.method, path_of(operation), raw, {}, sent))
        refusal = (answer.status, answer.code, answer.headers.get("www-authenticate"))
        assert refusal == (401, "UNAUTHENTICATED", "Bearer"), operation.name


def test_every_operation_without_its_scope_is_403(gateway: Gateway, owned: dict[str, Any]) -> None:
    without = {"read": "deployer", "deploy": "reader", "admin": "team-a"}
    before = everything()
    for operation in WITH_TOKEN:
        caller = without[operation.scope or ""]
        answer = ask(gateway, operation, path_of(operation, owned["id"]), caller)
        assert (answer.status, answer.code) == (403, "FORBIDDEN"), operation.name
    assert everything() == before


def test_every_operation_refuses_unknown_parameters(
    gateway: Gateway, owned: dict[str, Any]
) -> None:
    for operation in ROUTES:
        answer = ask_with(gateway, operation, owned["id"], {"colour": "red"})
        assert (answer.status, answer.fields) == (422, ["colour"]), operation.name


def test_every_operation_accepts_its_documented_parameters(
    gateway: Gateway, owned: dict[str, Any]
) -> None:
    for operation in ROUTES:
        for name in operation.parameters.model_fields if operation.parameters else ():
            answer = ask_with(gateway, operation, owned["id"], {name: ["1", "2"]})
            assert (answer.status, answer.fields) == (422, [name]), operation.name


def ask_with(
    gateway: Gateway, operation: Route, deployment: str, query: dict[str, Any]
) -> Answered:
    path, body = path_of(operation, deployment), BODIES.get(operation.name)
    return gateway.send(operation.method, path, body, caller="admin", query=query)
