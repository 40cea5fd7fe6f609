"""The signature of an event, as Standard Webhooks specifies it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

from datetime import datetime

from chalicelib.platform import shared_secrets


class NotSetUp(Exception):
    """The stack has no secret for signatures, or an invalid one."""


def headers(message_id: str, moment: datetime, body: str) -> dict[str, str]:
    """The three headers that a receiver verifies. During a rotation, each secret signs.

    `moment` is the time of the try in UTC, because receivers reject messages that are older than
    five minutes. Raises `NotSetUp`.
    """
    from standardwebhooks import Webhook

    secrets = shared_secrets.webhook_secrets()
    if not secrets:
        raise NotSetUp("the stack has no webhook secret")
    try:
        signatures = [Webhook(each).sign(message_id, moment, body) for each in secrets]
    except Exception:
        # Not the library's message, because it may contain a part of the secret.
        raise NotSetUp("the stack's webhook secret must have the form whsec_<base64>") from None
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
