"""`POST /chat/commands`: a bot's requests, and the text that it shows."""

import json
import logging
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from chalicelib.routes import document
from tests.support import aws_says
from tests.support.builders import IMAGE
from tests.support.gateway import Answered, Gateway

PATH = "/chat/commands"


def say(gateway: Gateway, text: str, **more: Any) -> Answered:
    return gateway.post(PATH, {"text": text, "user": "ann"}, **more)


def is_valid(body: Any) -> bool:
    schema = {"$ref": "#/components/schemas/ChatReply", "components": document()["components"]}
    return Draft202012Validator(schema).is_valid(body)


def test_a_command_is_answered_with_text_and_deployment(gateway: Gateway) -> None:
    answer = say(gateway, f"/slipway deploy {IMAGE} name=rec")
    assert answer.status == 200
    assert set(answer.json) == {"text", "deployment"}
    assert is_valid(answer.json)
    made = answer.json["deployment"]
    assert answer.json["text"].startswith(f"Deploying rec ({made['id']}).")
    assert gateway.get("/deployments/rec").json == made


def test_a_read_is_answered_in_the_same_way(gateway: Gateway) -> None:
    say(gateway, f"deploy {IMAGE} name=rec")
    answer = say(gateway, "status rec")
    assert answer.json["deployment"] == gateway.get("/deployments/rec").json
    assert "is CREATING: 0 %" in answer.json["text"]
    listed = say(gateway, "list").json
    assert listed["deployment"] is None and listed["text"].startswith("rec CREATING")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scal rec 3", "Did you mean `scale rec 3`?"),
        ("pause rec", "There is no deployment rec."),
        ("deploy nginx", "image must be an image reference"),
        (" ", "`deploy <image>"),
        ("help", "`deploy <image>"),
    ],
)
def test_a_refused_command_is_200_with_a_text_for_the_user(
    gateway: Gateway, text: str, expected: str
) -> None:
    answer = say(gateway, text)
    assert (answer.status, answer.json["deployment"]) == (200, None)
    assert expected in answer.json["text"]
    assert is_valid(answer.json)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"user": "ann"}, ["text"]),
        ({"text": ""}, ["text"]),
        ({"text": "x" * 4001}, ["text"]),
        ({"text": 3}, ["text"]),
        ({"text": "list", "user": ""}, ["user"]),
        ({"text": "list", "user": "x" * 201}, ["user"]),
        ({"text": "list", "user": "ann", "channel": "c"}, ["channel"]),
        ([], [""]),
    ],
)
def test_an_invalid_body_is_422(gateway: Gateway, body: Any, fields: list[str]) -> None:
    answer = gateway.post(PATH, body)
    assert (answer.status, answer.fields) == (422, fields)


def test_the_user_is_optional(gateway: Gateway) -> None:
    assert gateway.post(PATH, {"text": "list"}).status == 200
    assert gateway.post(PATH, {"text": "list", "user": None}).status == 200


def test_the_log_names_the_user_and_the_deployment(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "slipway"):
        made = say(gateway, f"deploy {IMAGE} name=rec").json["deployment"]
    [record] = [r for r in caplog.records if r.getMessage() == "chat command"]
    logged = vars(record)
    assert (logged["asked_by"], logged["verb"], logged["owner"]) == ("ann", "deploy", "team-a")
    assert (logged["deployment"], logged["refused"]) == (made["id"], False)


def test_another_owner_sees_and_changes_nothing(gateway: Gateway) -> None:
    made = say(gateway, f"deploy {IMAGE} name=rec").json["deployment"]
    for text in ("status rec", f"delete {made['id']}", "logs rec", f"scale {made['id']} 2"):
        answer = say(gateway, text, caller="team-b").json
        assert answer["text"].startswith("There is no deployment")
    assert say(gateway, "list", caller="team-b").json["text"].startswith("There are no deployments")
    assert gateway.get("/deployments/rec").json == made


def test_a_token_without_the_scope_read_gets_403(gateway: Gateway) -> None:
    say(gateway, f"deploy {IMAGE} name=rec")
    answer = say(gateway, "status rec", caller="deployer")
    assert (answer.status, answer.json["text"]) == (200, "This token does not have the scope read.")


def test_a_command_with_a_key_can_be_sent_again(gateway: Gateway) -> None:
    key = {"Idempotency-Key": "message-17"}
    first = say(gateway, f"deploy {IMAGE}", headers=key)
    assert say(gateway, f"deploy {IMAGE}", headers=key).json == first.json
    other = say(gateway, "list", headers=key)
    assert (other.status, other.code) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_a_refused_command_can_be_sent_again_with_its_key(gateway: Gateway) -> None:
    key = {"Idempotency-Key": "message-17"}
    assert "There is no deployment rec." in say(gateway, "status rec", headers=key).json["text"]
    say(gateway, f"deploy {IMAGE} name=rec")
    assert "is CREATING" in say(gateway, "status rec", headers=key).json["text"]
    key = {"Idempotency-Key": "message-18"}
    assert "Did you mean" in say(gateway, "stauts rec", headers=key).json["text"]
    assert say(gateway, "list", headers=key).status == 200


def test_unavailable_aws_is_503(gateway: Gateway) -> None:
    gateway.authorize("team-a")
    aws_says.refuse("dynamodb", "Query", "ThrottlingException")
    answer = say(gateway, "list")
    assert (answer.status, answer.code) == (503, "AWS_UNAVAILABLE")
    assert answer.headers["retry-after"] == "5"


def test_any_text_gets_a_response(gateway: Gateway) -> None:
    for text in ("\u0000", "🚀 deploy", "status \u202e", "'", "<|>", "=", "deploy \x7f port=1"):
        answer = say(gateway, text)
        assert answer.status == 200, (text, answer.text)
        json.loads(answer.text)
