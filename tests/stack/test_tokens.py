"""Tokens over HTTP, through the gateway, the real authorizer and its cache.

API Gateway caches the authorizer's response for a minute, and so does the emulator. The checks of
used and then revoked tokens hold before and after the cache expires.
"""

from typing import Any

import pytest

from app import AUTHORIZER_CACHE_SECONDS
from local.emulator import client as aws_client
from local.stack import Stack
from tests.stack.client import Answer, Client, issue_token
from tests.stack.test_edge import check_problem

BODY = {"owner": "ci", "scopes": ["read"]}


@pytest.fixture
def admin(stack: Stack) -> Client:
    """A caller with only the scope admin."""
    return Client(stack, issue_token(stack, "platform", "admin"))


def create(admin: Client, **fields: Any) -> dict[str, Any]:
    answer = admin.send("POST", "/tokens", {**BODY, **fields})
    assert answer.status == 201, answer.text
    return dict(answer.json)


def revoke(admin: Client, token_id: str) -> Answer:
    return admin.send("DELETE", f"/tokens/{token_id}")


def listed(admin: Client, token_id: str) -> dict[str, Any] | None:
    answer = admin.send("GET", "/tokens")
    assert answer.status == 200, answer.text
    return next((dict(t) for t in answer.json["tokens"] if t["id"] == token_id), None)


def stored(stack: Stack) -> str:
    """The whole content of the table, as text."""
    dynamodb = aws_client("dynamodb", stack)
    (table,) = dynamodb.list_tables()["TableNames"]
    return str(dynamodb.scan(TableName=table)["Items"])


def test_a_token_is_created_and_its_use_is_shown(admin: Client, stack: Stack) -> None:
    made = create(admin, scopes=["deploy", "read"], expires_in="8h")

    assert set(made) == {"id", "token", "owner", "scopes", "expires_at"}
    unused = listed(admin, made["id"])
    assert unused is not None
    assert {k: unused[k] for k in ("owner", "scopes", "expires_at", "last_used_at")} == {
        "owner": "ci",
        "scopes": ["read", "deploy"],
        "expires_at": made["expires_at"],
        "last_used_at": None,
    }
    assert Client(stack, made["token"]).send("GET", "/deployments").status == 200
    used = listed(admin, made["id"])
    assert used is not None
    assert used["created_at"] < used["last_used_at"] < used["expires_at"]
    assert made["token"] not in stored(stack)


def test_a_revoked_token_is_401(admin: Client, stack: Stack) -> None:
    made = create(admin)

    answer = revoke(admin, made["id"])

    assert (answer.status, answer.text) == (204, "")
    answer = Client(stack, made["token"]).send("GET", "/deployments")
    check_problem(answer, 401, "UNAUTHENTICATED")
    assert listed(admin, made["id"]) is None
    check_problem(revoke(admin, made["id"]), 404, "NOT_FOUND")


def test_a_revoked_admin_is_refused_immediately_below_tokens(admin: Client, stack: Stack) -> None:
    made = create(admin, scopes=["admin"])
    second = Client(stack, made["token"])
    victim = create(second)  # the gateway has cached the second admin

    assert revoke(second, made["id"]).status == 204

    for answer in (
        second.send("POST", "/tokens", BODY),
        second.send("GET", "/tokens"),
        revoke(second, victim["id"]),
    ):
        check_problem(answer, 401, "UNAUTHENTICATED")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert listed(admin, victim["id"]) is not None


def test_a_token_has_the_requested_scopes(admin: Client, stack: Stack) -> None:
    reader = Client(stack, create(admin)["token"])

    assert reader.send("GET", "/deployments").status == 200
    check_problem(reader.send("POST", "/deployments", reader.spec("x")), 403, "FORBIDDEN")
    check_problem(reader.send("GET", "/tokens"), 403, "FORBIDDEN")
    check_problem(reader.send("POST", "/tokens", BODY), 403, "FORBIDDEN")
    check_problem(revoke(reader, "tok_0000000000000000"), 403, "FORBIDDEN")


def test_a_body_with_faults_reports_them_all(admin: Client) -> None:
    body = {"owner": "No One", "scopes": [], "expires_in": "soon", "colour": "red"}

    answer = admin.send("POST", "/tokens", body)

    check_problem(answer, 422, "VALIDATION_FAILED")
    fields = {fault["field"] for fault in answer.json["errors"]}
    assert fields == {"owner", "scopes", "expires_in", "colour"}


def test_the_gateway_caches_a_token_for_the_documented_time(stack: Stack) -> None:
    gateway = aws_client("apigateway", stack)

    kept = [
        authorizer["authorizerResultTtlInSeconds"]
        for api in gateway.get_rest_apis()["items"]
        for authorizer in gateway.get_authorizers(restApiId=api["id"])["items"]
    ]

    assert kept == [AUTHORIZER_CACHE_SECONDS] == [60]


@pytest.mark.parametrize("token_id", ["tok_0000000000000000", "%00", "%C3%A9", "a%23b", "%25"])
def test_an_unknown_token_is_404(admin: Client, token_id: str) -> None:
    check_problem(revoke(admin, token_id), 404, "NOT_FOUND")
