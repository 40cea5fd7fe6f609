import json
import logging
import sys
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from chalicelib.api import auth
from chalicelib.domain.errors import Unauthenticated
from chalicelib.platform import aws, clock
from chalicelib.platform.clock import rfc3339
from chalicelib.store import tokens
from infra import token as bootstrap
from tests.support.builders import MOMENT, Clock
from tests.support.gateway import Answered, Gateway, escaped

BODY = {"owner": "ci", "scopes": ["deploy", "read"]}


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(clock, "now", made)
    return made


def create(gateway: Gateway, **fields: Any) -> dict[str, Any]:
    """Create a token for `ci`, and add it to the gateway as the caller `ci`."""
    answer = gateway.post("/tokens", {**BODY, **fields}, caller="admin")
    assert answer.status == 201, answer.text
    gateway.tokens["ci"] = answer.json["token"]
    return dict(answer.json)


def listed(gateway: Gateway, token_id: str) -> dict[str, Any] | None:
    answer = gateway.get("/tokens", caller="admin")
    assert answer.status == 200, answer.text
    return next((dict(t) for t in answer.json["tokens"] if t["id"] == token_id), None)


def refused(answer: Answered) -> tuple[int, str, str | None]:
    return answer.status, answer.code, answer.headers.get("www-authenticate")


def test_a_token_is_shown_once_and_works(gateway: Gateway) -> None:
    made = create(gateway)
    assert set(made) == {"id", "token", "owner", "scopes", "expires_at"}
    assert (made["owner"], made["scopes"], made["expires_at"]) == ("ci", ["read", "deploy"], None)
    assert gateway.get("/deployments", caller="ci").status == 200
    everything = gateway.get("/tokens", caller="admin").text
    assert made["token"] not in everything
    assert tokens.token_hash(made["token"]) not in everything


def test_the_response_with_a_token_must_not_be_cached(gateway: Gateway) -> None:
    answer = gateway.post("/tokens", BODY, caller="admin")
    assert answer.headers["cache-control"] == "no-store"


def test_the_list_shows_each_token_of_every_owner(gateway: Gateway, time: Clock) -> None:
    made = create(gateway, expires_in="8h")
    assert listed(gateway, made["id"]) == {
        "id": made["id"],
        "owner": "ci",
        "scopes": ["read", "deploy"],
        "created_at": rfc3339(MOMENT),
        "expires_at": rfc3339(MOMENT + timedelta(hours=8)),
        "last_used_at": None,
    }
    found = gateway.get("/tokens", caller="admin").json["tokens"]
    assert {t["owner"] for t in found} == {"team-a", "team-b", "platform", "ci"}


@pytest.mark.parametrize("scopes", [["read"], ["admin"], ["admin", "deploy", "read"]])
def test_a_token_gets_the_requested_scopes(gateway: Gateway, scopes: list[str]) -> None:
    create(gateway, scopes=scopes)
    assert gateway.authorize("ci")["scopes"] == " ".join(sorted(scopes))


@pytest.mark.parametrize(
    ("text", "lifetime"),
    [
        ("10m", timedelta(minutes=10)),
        ("90m", timedelta(minutes=90)),
        ("8h", timedelta(hours=8)),
        ("365d", timedelta(days=365)),
    ],
)
def test_a_token_has_the_requested_lifetime(
    gateway: Gateway, time: Clock, text: str, lifetime: timedelta
) -> None:
    assert create(gateway, expires_in=text)["expires_at"] == rfc3339(MOMENT + lifetime)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("owner", "Team A"),
        ("owner", "a\n"),
        ("owner", ""),
        ("owner", 7),
        ("owner", None),
        ("scopes", []),
        ("scopes", "read"),
        ("scopes", None),
        ("scopes", ["read", "read"]),
        ("expires_in", "soon"),
        ("expires_in", "9m"),
        ("expires_in", "366d"),
        ("expires_in", "8h "),
        ("expires_in", 3600),
        ("token", "slw_of_my_own"),
        ("id", "tok_1"),
    ],
)
def test_an_invalid_field_is_reported(gateway: Gateway, field: str, value: Any) -> None:
    answer = gateway.post("/tokens", {**BODY, field: value}, caller="admin")
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_FAILED", [field])


def test_all_faults_are_reported_at_once_with_their_fixes(gateway: Gateway) -> None:
    body = {"scopes": ["read", "root"], "expires_in": "0d", "owners": ["x"]}
    answer = gateway.post("/tokens", body, caller="admin")
    assert {error["field"]: error["message"] for error in answer.json["errors"]} == {
        "owner": "is required",
        "scopes.1": "must be 'read', 'deploy' or 'admin', not 'root'",
        "expires_in": "must be a duration from 10m to 365d, such as 90m, 8h or 3d, not '0d'",
        "owners": 'Unknown field. Did you mean "owner"?',
    }
    assert not [t for t in tokens.list_tokens() if t.owner == "x"]


@pytest.mark.parametrize("body", ["[]", "null", '"owner"', "7"])
def test_a_body_that_is_not_an_object_is_refused(gateway: Gateway, body: str) -> None:
    answer = gateway.post("/tokens", body, caller="admin")
    assert (answer.status, answer.code) == (422, "VALIDATION_FAILED")


def test_malformed_json_and_another_content_type_are_refused(gateway: Gateway) -> None:
    assert gateway.post("/tokens", "{", caller="admin").code == "MALFORMED_JSON"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = gateway.post("/tokens", "owner=ci", caller="admin", headers=form)
    assert answer.code == "UNSUPPORTED_MEDIA_TYPE"


def test_parameters_and_idempotency_keys_are_refused(gateway: Gateway) -> None:
    for method, path in [("POST", "/tokens"), ("GET", "/tokens"), ("DELETE", "/tokens/tok_1")]:
        body = BODY if method == "POST" else None
        answer = gateway.send(method, path, body, caller="admin", query={"owner": "ci"})
        assert (answer.status, answer.fields) == (422, ["owner"])
    answer = gateway.post("/tokens", BODY, caller="admin", headers={"Idempotency-Key": "1"})
    assert (answer.status, answer.fields) == (422, ["Idempotency-Key"])


@pytest.mark.parametrize("caller", ["team-a", "team-b", "reader", "deployer"])
def test_only_an_admin_can_manage_tokens(gateway: Gateway, caller: str) -> None:
    made = create(gateway)
    for answer in (
        gateway.post("/tokens", BODY, caller=caller),
        gateway.get("/tokens", caller=caller),
        gateway.delete(f"/tokens/{made['id']}", caller=caller),
        gateway.delete(f"/tokens/{gateway.authorize(caller)['token_id']}", caller=caller),
    ):
        assert (answer.status, answer.code) == (403, "FORBIDDEN")
    assert len([t for t in tokens.list_tokens() if t.owner == "ci"]) == 1


def test_a_revoked_token_is_invalid_and_not_listed(gateway: Gateway) -> None:
    made = create(gateway)
    answer = gateway.delete(f"/tokens/{made['id']}", caller="admin")
    assert (answer.status, answer.text) == (204, "")
    assert listed(gateway, made["id"]) is None
    with pytest.raises(Unauthenticated):
        auth.authenticate(f"Bearer {made['token']}")
    assert gateway.delete(f"/tokens/{made['id']}", caller="admin").code == "NOT_FOUND"


@pytest.mark.parametrize("token_id", ["tok_0000000000000000", "x", "é", "a#b", "\0", "x" * 2000])
def test_an_unknown_token_is_404(gateway: Gateway, token_id: str) -> None:
    answer = gateway.delete(f"/tokens/{escaped(token_id)}", caller="admin")
    assert (answer.status, answer.code) == (404, "NOT_FOUND")


def test_a_token_and_its_hash_are_not_ids(gateway: Gateway) -> None:
    made = create(gateway)
    for text in (made["token"], tokens.token_hash(made["token"])):
        assert gateway.delete(f"/tokens/{text}", caller="admin").status == 404


def test_an_admin_can_revoke_its_own_token(gateway: Gateway) -> None:
    own = gateway.authorize("admin")["token_id"]
    assert gateway.delete(f"/tokens/{own}", caller="admin").status == 204


def test_a_revoked_admin_cannot_create_tokens_while_the_gateway_caches_it(
    gateway: Gateway,
) -> None:
    own = gateway.authorize("admin")["token_id"]
    other = create(gateway)["id"]
    gateway.delete(f"/tokens/{own}", caller="admin")
    for answer in (
        gateway.post("/tokens", BODY, caller="admin"),
        gateway.get("/tokens", caller="admin"),
        gateway.delete(f"/tokens/{other}", caller="admin"),
    ):
        assert refused(answer) == (401, "UNAUTHENTICATED", "Bearer")
    assert [t.id for t in tokens.list_tokens() if t.owner == "ci"] == [other]


def test_a_token_expires_even_while_the_gateway_caches_it(gateway: Gateway, time: Clock) -> None:
    made = create(gateway, expires_in="10m")
    time.advance(seconds=599)
    assert gateway.get("/deployments", caller="ci").status == 200
    time.advance(seconds=1)
    assert refused(gateway.get("/deployments", caller="ci")) == (401, "UNAUTHENTICATED", "Bearer")
    with pytest.raises(Unauthenticated):
        auth.authenticate(f"Bearer {made['token']}")


def test_an_expired_token_is_listed_without_use_and_can_be_revoked(
    gateway: Gateway, time: Clock
) -> None:
    made = create(gateway, expires_in="10m")
    time.advance(minutes=10)
    with pytest.raises(Unauthenticated):
        auth.authenticate(f"Bearer {made['token']}")
    found = listed(gateway, made["id"])
    assert found is not None
    assert found["last_used_at"] is None
    assert gateway.delete(f"/tokens/{made['id']}", caller="admin").status == 204


def test_the_authorizer_records_the_use_once_an_hour(
    gateway: Gateway, time: Clock, aws_calls: list[str]
) -> None:
    made = create(gateway)

    def used(moment: datetime) -> list[str]:
        time.moment = moment
        aws_calls.clear()
        auth.authenticate(f"Bearer {made['token']}")
        return list(aws_calls)

    read, noted = ["dynamodb.GetItem"], ["dynamodb.UpdateItem", "dynamodb.UpdateItem"]
    assert used(MOMENT) == read + noted
    assert used(MOMENT + timedelta(minutes=59)) == read
    found = listed(gateway, made["id"])
    assert found is not None
    assert found["last_used_at"] == rfc3339(MOMENT)
    assert used(MOMENT + timedelta(minutes=61)) == read + noted


def test_a_use_that_cannot_be_recorded_is_allowed(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = create(gateway)

    def broken(**_: Any) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setattr(aws.client("dynamodb"), "update_item", broken)
    with caplog.at_level(logging.WARNING, "slipway"):
        assert auth.authenticate(f"Bearer {made['token']}").owner == "ci"
    assert "use of a token not noted" in caplog.text


def test_the_log_names_who_created_and_revoked_a_token_but_not_the_token(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    admin = gateway.authorize("admin")["token_id"]
    with caplog.at_level(logging.INFO, "slipway"):
        made = create(gateway)
        gateway.delete(f"/tokens/{made['id']}", caller="admin")
    lines = [vars(record) for record in caplog.records]
    assert [(line["msg"], line["token"], line["by_token"]) for line in lines] == [
        ("token issued", made["id"], admin),
        ("token revoked", made["id"], admin),
    ]
    assert made["token"] not in str(lines)


def test_the_command_line_creates_the_first_token_of_a_stack(
    gateway: Gateway, table: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"TableName": {"Value": table}},
    }
    boto3.client("cloudformation").create_stack(StackName="s", TemplateBody=json.dumps(template))
    line = ["token", "--stack", "s", "--owner", "platform", "--scopes", "admin"]
    monkeypatch.setattr(sys, "argv", line)
    assert bootstrap.main() == 0
    gateway.tokens["first"] = capsys.readouterr().out.strip()
    assert gateway.post("/tokens", BODY, caller="first").status == 201

    monkeypatch.setattr(sys, "argv", [*line[:4], "Not A Name"])
    assert bootstrap.main() == 1
    assert "owner must have 1 to 63 characters" in capsys.readouterr().err
