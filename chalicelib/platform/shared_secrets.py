"""The secrets that Slipway shares with Slack and with webhook receivers, from SSM parameters.

They are SecureString parameters below `/slipway-control/<stack>/`. The recommended prefix for the
secrets of deployments does not cover them, so no deployment can read them. Each process keeps them
for five minutes, so a rotation reaches every function after that time.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from chalicelib.platform import aws, clock
from chalicelib.platform.observability import logger
from chalicelib.platform.settings import settings

SLACK_SIGNING_SECRET = "slack-signing-secret"
SLACK_BOT_TOKEN = "slack-bot-token"
# The URL of an incoming webhook. Anyone with this URL can post to its channel.
SLACK_INCOMING_WEBHOOK = "slack-incoming-webhook"
# One or two secrets of Standard Webhooks (`whsec_...`), separated by a space, the new one first.
WEBHOOK_SECRETS = "webhook-secrets"
ALL = (SLACK_SIGNING_SECRET, SLACK_BOT_TOKEN, SLACK_INCOMING_WEBHOOK, WEBHOOK_SECRETS)
KEPT = timedelta(minutes=5)

_kept: tuple[datetime, dict[str, str]] | None = None
# A hundred jobs of the courier start at once, and SSM allows an account 40 reads a second.
# https://docs.aws.amazon.com/general/latest/gr/ssm.html
_reading = threading.Lock()


def parameter(stack: str, name: str) -> str:
    """The name of the SSM parameter that holds a secret of a stack."""
    return f"/slipway-control/{stack}/{name}"


def get(name: str) -> str | None:
    """A secret of `ALL`, or None if the operator of the stack has not set it."""
    global _kept
    with _reading:
        moment = clock.now()
        if _kept is None or moment - _kept[0] > KEPT:
            _kept = moment, _read_again({} if _kept is None else _kept[1])
        return _kept[1].get(name)


def webhook_secrets() -> list[str]:
    """The secrets that sign events, the newest first; empty if the operator has set none."""
    return (get(WEBHOOK_SECRETS) or "").split()


def forget() -> None:
    """Makes the next `get` read the parameters again. Tests need it."""
    global _kept
    _kept = None


def _read_again(known: dict[str, str]) -> dict[str, str]:
    """The parameters, or those already known if SSM cannot be read. Raises if none are known."""
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
