"""Requests as Slack sends them, signed as Slack documents it, without Slipway's own code.

https://docs.slack.dev/authentication/verifying-requests-from-slack/
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode

from chalicelib.platform import aws, shared_secrets
from chalicelib.platform.settings import settings
from tests.support.gateway import Answered, call, proxy_event

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
TEAM_CHANNEL = "C0TEAMA"
USER, CHANNEL = "U0ALICE", TEAM_CHANNEL
RESPONSE_URL = "https://hooks.slack.com/commands/T0SLIP/397700885554/96rGlfmibIGlgcZRskXaIFfN"
FORM = "application/x-www-form-urlencoded"
TIMESTAMP, SIGNATURE = "X-Slack-Request-Timestamp", "X-Slack-Signature"

Headers = list[tuple[str, str]]


def set_up(secret: str = SECRET) -> None:
    """Stores the signing secret as `make slack` does."""
    name = shared_secrets.parameter(settings().stack_name, shared_secrets.SLACK_SIGNING_SECRET)
    aws.client("ssm").put_parameter(Name=name, Value=secret, Type="SecureString", Overwrite=True)
    shared_secrets.forget()


def sign(body: bytes, timestamp: str, secret: str = SECRET) -> str:
    base = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


def signed(body: bytes, timestamp: str | None = None, secret: str = SECRET) -> Headers:
    """Headers of a request that Slack sends now, or at `timestamp`."""
    at = str(int(time.time())) if timestamp is None else timestamp
    return [(TIMESTAMP, at), (SIGNATURE, sign(body, at, secret))]


def command(text: str = "list", **fields: str) -> bytes:
    """The body of a slash command."""
    form = {
        "team_id": "T0SLIP",
        "channel_id": CHANNEL,
        "channel_name": "team-a",
        "user_id": USER,
        "user_name": "alice",
        "command": "/slipway",
        "text": text,
        "response_url": RESPONSE_URL,
        "trigger_id": "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
    }
    return urlencode({**form, **fields}).encode()


def press(action_id: str, value: str, **members: Any) -> bytes:
    """The body of a pressed button."""
    payload = {
        "type": "block_actions",
        "team": {"id": "T0SLIP", "domain": "slip"},
        "user": {"id": USER, "username": "alice"},
        "channel": {"id": CHANNEL, "name": "team-a"},
        "response_url": RESPONSE_URL,
        "actions": [{"type": "button", "action_id": action_id, "block_id": "b", "value": value}],
    }
    return interaction({**payload, **members})


def interaction(payload: Any) -> bytes:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return urlencode({"payload": text}).encode()


def post(
    path: str, body: bytes, headers: Headers | None = None, *, method: str = "POST"
) -> Answered:
    """Pass the body to the app as API Gateway does: as text, or as base64 if it is not UTF-8."""
    sent = [("Content-Type", FORM), *(signed(body) if headers is None else headers)]
    event = proxy_event(method, path, None, {}, {})
    try:
        event["body"] = body.decode()
    except UnicodeDecodeError:
        event["body"], event["isBase64Encoded"] = base64.b64encode(body).decode(), True
    # API Gateway puts the last value of each header in `headers`, and all values here.
    event["headers"] = dict(sent)
    event["multiValueHeaders"] = {}
    for name, value in sent:
        event["multiValueHeaders"].setdefault(name, []).append(value)
    return call(event)
