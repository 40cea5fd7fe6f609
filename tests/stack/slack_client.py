"""Slack's requests to a stack: commands and clicks, signed as Slack signs them.

https://docs.slack.dev/interactivity/implementing-slash-commands
https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
"""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from slack_sdk.signature import SignatureVerifier

from local.stack import Stack
from tests.stack.client import Answer, ask
from tests.support.slack_server import CHANNEL, FakeSlack

USER, STRANGER, ELSEWHERE = "U0PERSON", "U0STRANGER", "C0ELSEWHERE"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Request:
    """A request as Slack sent it, so that a test can replay it."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class SlackClient:
    """Sends Slack's requests for a user in a channel."""

    def __init__(self, stack: Stack, slack: FakeSlack) -> None:
        self._stack, self._slack = stack, slack

    def command(
        self, text: str, *, user: str = USER, channel: str = CHANNEL, moment: float | None = None
    ) -> Request:
        """A request for `/slipway text`, typed by the user in the channel."""
        number = next(_numbers)
        return self.signed(
            "/slack/commands",
            {
                "token": "deprecated",
                "team_id": "T0",
                "team_domain": "predictions",
                "channel_id": channel,
                "channel_name": "predictions",
                "user_id": user,
                "user_name": "person",
                "command": "/slipway",
                "text": text,
                "api_app_id": "A0",
                "is_enterprise_install": "false",
                "response_url": self._slack.response_url(),
                "trigger_id": f"{number}.2.abc",
            },
            moment,
        )

    def click(
        self, action_id: str, deployment: str, *, user: str = USER, channel: str = CHANNEL
    ) -> Request:
        """A request for a click on a message's button."""
        number = next(_numbers)
        payload: dict[str, Any] = {
            "type": "block_actions",
            "user": {"id": user, "username": "person", "team_id": "T0"},
            "api_app_id": "A0",
            "token": "deprecated",
            "container": {"type": "message", "message_ts": f"{number}.1", "channel_id": channel},
            "trigger_id": f"{number}.2.abc",
            "team": {"id": "T0", "domain": "predictions"},
            "channel": {"id": channel, "name": "predictions"},
            "response_url": self._slack.response_url(),
            "actions": [
                {
                    "action_id": action_id,
                    "block_id": "b1",
                    "text": {"type": "plain_text", "text": action_id},
                    "value": deployment,
                    "type": "button",
                    "action_ts": f"{time.time():.6f}",
                }
            ],
        }
        return self.signed("/slack/interactions", {"payload": json.dumps(payload)})

    def signed(self, path: str, form: dict[str, str], moment: float | None = None) -> Request:
        """A form with Slack's signature, at the current time by default."""
        body = urlencode(form).encode()
        timestamp = str(int(time.time() if moment is None else moment))
        verifier = SignatureVerifier(self._stack.slack_signing_secret)
        signature = verifier.generate_signature(timestamp=timestamp, body=body)
        assert signature
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature,
        }
        return Request(path, body, headers)

    def send(self, request: Request, **headers: str) -> Answer:
        """Send a request. `headers` replace its own headers (`X_Slack_Signature`)."""
        own = request.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self._stack.api_url + request.path, "POST", request.body, own)

    def says(self, text: str, **where: str) -> str:
        """Send a command and return the text that only the user sees."""
        answer = self.send(self.command(text, **where))  # type: ignore[arg-type]
        assert answer.status == 200, answer.text
        assert answer.json.get("response_type", "ephemeral") == "ephemeral"
        return json.dumps(answer.json, ensure_ascii=False)


def shown(message: dict[str, Any]) -> str:
    """All visible texts of a message, as one text to search in."""
    return json.dumps(message, ensure_ascii=False)


def buttons(message: dict[str, Any]) -> dict[str, str]:
    """The buttons of a message that call Slipway: action_id -> value."""
    found = {}
    for block in message.get("blocks", []):
        for element in [*block.get("elements", []), block.get("accessory", {})]:
            if element.get("type") == "button" and "url" not in element:
                found[element["action_id"]] = element.get("value", "")
    return found
