"""Slack and webhooks on the local stack: their secrets, and settings that hold them to loopback."""

from __future__ import annotations

import os
import secrets
from typing import Any

from chalicelib.platform import shared_secrets
from infra.secrets import new_webhook_secret, put

# "discard", where nobody listens: without a server that plays Slack, calls of it go nowhere.
NOBODY = "http://127.0.0.1:9/api/"
# Only where the environment sets them, for without that server there is nobody to call.
HANDED_OVER = {
    "LOCAL_SLACK_BOT_TOKEN": shared_secrets.SLACK_BOT_TOKEN,
    "LOCAL_SLACK_INCOMING_WEBHOOK": shared_secrets.SLACK_INCOMING_WEBHOOK,
}


def environment() -> dict[str, str]:
    """The functions' variables, which a template cannot set."""
    chosen = {
        "CALLBACKS_ON_LOOPBACK": "true",
        "SLACK_API_URL": os.environ.get("SLACK_API_URL") or NOBODY,
    }
    if scale := os.environ.get("RETRY_TIME_SCALE"):
        chosen["RETRY_TIME_SCALE"] = scale
    return chosen


def put_secrets(ssm: Any, stack: str) -> tuple[str, str]:
    """Sets the stack's secrets in the emulator.

    Returns:
        Slack's signing secret, and the webhooks' secret.
    """
    signing, webhook = secrets.token_hex(16), new_webhook_secret()
    put(ssm, stack, shared_secrets.SLACK_SIGNING_SECRET, signing)
    put(ssm, stack, shared_secrets.WEBHOOK_SECRETS, webhook)
    for variable, name in HANDED_OVER.items():
        if value := os.environ.get(variable):
            put(ssm, stack, name, value)
    return signing, webhook
