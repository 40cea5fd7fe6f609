"""Sets the secrets of Slack and webhooks on the local stack, and restricts both to loopback."""

from __future__ import annotations

import os
import secrets
from typing import Any

from chalicelib.platform import shared_secrets
from infra.secrets import new_webhook_secret, put

# The discard port. Without a server that simulates Slack, every call to Slack fails at once.
UNUSED = "http://127.0.0.1:9/api/"
# Set only if the environment has them, because without that server no call can succeed.
HANDED_OVER = {
    "LOCAL_SLACK_BOT_TOKEN": shared_secrets.SLACK_BOT_TOKEN,
    "LOCAL_SLACK_INCOMING_WEBHOOK": shared_secrets.SLACK_INCOMING_WEBHOOK,
}


def environment() -> dict[str, str]:
    """Return the variables of the functions that the template does not set."""
    chosen = {
        "CALLBACKS_ON_LOOPBACK": "true",
        "SLACK_API_URL": os.environ.get("SLACK_API_URL") or UNUSED,
    }
    if scale := os.environ.get("RETRY_TIME_SCALE"):
        chosen["RETRY_TIME_SCALE"] = scale
    return chosen


def put_secrets(ssm: Any, stack: str) -> tuple[str, str]:
    """Set the stack's secrets in the emulator.

    Returns:
        The signing secret of Slack, and the secret that signs webhooks.
    """
    signing, webhook = secrets.token_hex(16), new_webhook_secret()
    put(ssm, stack, shared_secrets.SLACK_SIGNING_SECRET, signing)
    put(ssm, stack, shared_secrets.WEBHOOK_SECRETS, webhook)
    for variable, name in HANDED_OVER.items():
        if value := os.environ.get(variable):
            put(ssm, stack, name, value)
    return signing, webhook
