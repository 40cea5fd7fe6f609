"""A bot of another chat program passes commands on: a lifecycle by text only."""

from __future__ import annotations

from typing import Any

import pytest

from local.stack import Stack
from tests.stack.client import SAMPLE_PATH, Client, issue_token, predict, wait_until

NAME = "texted"


@pytest.fixture(scope="module")
def bot(api: Client) -> Any:
    """Send a text and return the body of the response."""

    def say(text: str) -> dict[str, Any]:
        answer = api.send("POST", "/chat/commands", {"text": text, "user": "ann"})
        assert answer.status == 200, answer.text
        assert set(answer.json) == {"text", "deployment"}
        return dict(answer.json)

    return say


def until(bot: Any, command: str, word: str) -> dict[str, Any]:
    """Repeat a command until its response contains `word`, and return the response."""

    def asked() -> dict[str, Any] | None:
        said = bot(command)
        return said if word in said["text"] else None

    return dict(wait_until(asked, f"{word!r} in the answer to {command!r}"))


def test_from_deploy_to_delete(bot: Any, api: Client, stack: Stack) -> None:
    options = f"health_check.path=/health smoke_test.path={SAMPLE_PATH} ttl=8h"
    begun = bot(f"deploy {stack.sample_image} name={NAME} {options}")
    deployment = begun["deployment"]
    assert (deployment["name"], deployment["status"]) == (NAME, "CREATING")
    assert deployment["id"] in begun["text"]

    url = until(bot, f"status {NAME}", "ACTIVE")["deployment"]["url"]
    assert predict(url).status == 200
    assert NAME in bot("list")["text"]
    assert bot(f"logs {NAME}")["text"]
    extended = bot(f"extend {NAME} 3d")["deployment"]
    assert extended["expires_at"] > deployment["expires_at"]

    assert bot(f"scale {NAME} 2")["deployment"]["spec"]["count"] == 2
    api.follow(deployment["id"])
    refused = bot(f"resume {NAME}")
    assert refused["deployment"] is None and refused["text"]

    assert bot(f"delete {NAME}")["deployment"]["status"] == "DELETING"
    assert api.follow(deployment["id"])["status"] == "DELETED"


def test_a_mistyped_command_gets_a_suggestion_and_starts_nothing(bot: Any) -> None:
    said = bot(f"pasue {NAME}")

    assert said["deployment"] is None
    assert f"pause {NAME}" in said["text"]


def test_a_token_with_only_read_is_refused(stack: Stack) -> None:
    reader = Client(stack, issue_token(stack, "reader", "read"))

    assert reader.send("POST", "/chat/commands", {"text": "list", "user": "a"}).status == 403
