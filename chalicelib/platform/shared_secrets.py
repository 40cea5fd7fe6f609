"""What Slipway shares with Slack and with the subscribers of its webhooks, from SSM parameters.

SecureString parameters below `/slipway-control/<stack>/`, which no deployment can be allowed to
read by the prefix that is advised for its own secrets. They are kept for a while in the process: a
rotation takes that long to reach every function.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from chalicelib.platform import aws, clock
from chalicelib.platform.observability import logger
from chalicelib.platform.settings import settings

SLACK_SIGNING_SECRET = "slack-signing-secret"
SLACK_BOT_TOKEN = "slack-bot-token"
# An incoming webhook's URL: who has it may post to its channel.
SLACK_INCOMING_WEBHOOK = "slack-incoming-webhook"
# One or two secrets of Standard Webhooks (`whsec_...`), the new one first, a space between them.
WEBHOOK_SECRETS = "webhook-secrets"
ALL = (SLACK_SIGNING_SECRET, SLACK_BOT_TOKEN, SLACK_INCOMING_WEBHOOK, WEBHOOK_SECRETS)
KEPT = timedelta(minutes=5)

_kept: tuple[datetime, dict[str, str]] | None = None
# A hundred jobs of the courier begin at once: SSM allows 40 reads a second, to all together.
# https://docs.aws.amazon.com/general/latest/gr/ssm.html
_reading = threading.Lock()


def parameter(stack: str, name: str) -> str:
    """The name of the SSM parameter that holds a secret of a stack."""
    return f"/slipway-control/{stack}/{name}"


def get(name: str) -> str | None:
    """A secret, one of `ALL`, or None where the platform's operator has not set it."""
    global _kept
    with _reading:
        moment = clock.now()
        if _kept is None or moment - _kept[0] > KEPT:
            _kept = moment, _read_again({} if _kept is None else _kept[1])
        return _kept[1].get(name)


def forget() -> None:
    """Has the next `get` read them again. For tests."""
    global _kept
    _kept = None


def _read_again(known: dict[str, str]) -> dict[str, str]:
    """While SSM cannot be read, what is known already serves on."""
    try:
        return _read()
    except Exception as error:
        if not known:
            raise
        logger.warning("shared secrets not read again", extra={"reason": str(error)})
        return known


def _read() -> dict[str, str]:
    names = {parameter(settings().stack_name, name): name for name in ALL}
    found = aws.client("ssm").get_parameters(Names=list(names), WithDecryption=True)
    return {names[item["Name"]]: item["Value"] for item in found["Parameters"]}
