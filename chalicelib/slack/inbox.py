"""Requests of Slack that the chat worker has to carry out, each as an item of the table.

The item is written before the request is acknowledged, on condition that it does not exist. So
every acknowledged request is carried out, and a replayed request is recognized. Slack itself sends
none of these requests twice.
https://docs.slack.dev/interactivity/implementing-slash-commands/
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.platform import clock
from chalicelib.platform.settings import settings
from chalicelib.store import keys, table, work

# The start of every command in a text for Slack. Without it, Slack posts the text to the channel.
PREFIX = "/slipway "
# Much longer than the five minutes within which a signature is valid.
KEPT = timedelta(days=1)
# https://docs.slack.dev/interactivity/handling-user-interaction/#message_responses
RESPONSE_URL_LIVES = timedelta(minutes=30)
USER = re.compile(r"[UW][A-Z0-9]{1,20}", re.ASCII)
CHANNEL = re.compile(r"[CGD][A-Z0-9]{1,20}", re.ASCII)
TEAM = re.compile(r"[TE][A-Z0-9]{1,20}", re.ASCII)
_RESPONSE_URL = re.compile(r"https://hooks\.slack\.com/[A-Za-z0-9/_.-]{1,500}", re.ASCII)
_ON_LOOPBACK = re.compile(
    r"https?://(127\.0\.0\.1|localhost)(:[0-9]{1,5})?/[A-Za-z0-9/_.-]{0,500}", re.ASCII
)


@dataclass(frozen=True)
class Asked:
    """A request of a Slack user: a typed command, or a pressed button.

    Attributes:
        user: the user's ID.
        channel: the ID of the channel in which the user typed or pressed.
        text: the command as typed after `/slipway`; for a button, the deployment's ID.
        button: the button's `action_id`; None for a command.
        response_url: accepts replies for 30 minutes; None if there is none.
        team: the workspace's ID, for the log.
    """

    user: str
    channel: str
    text: str
    button: str | None = None
    response_url: str | None = None
    team: str | None = None


def accept(request_id: str, asked: Asked) -> bool:
    """Leaves the request to the chat worker. False if it was accepted before."""
    moment = clock.now()
    item = {
        **keys.slack_request(request_id).attributes,
        **asdict(asked),
        "asked_at": clock.rfc3339(moment),
        "purge_at": int((moment + KEPT).timestamp()),
        **work.due_now(work.CHAT_WORKER, moment),
    }
    try:
        table.put_item(item, "attribute_not_exists(pk)", {})
    except table.Conflict:
        return False
    return True


def asked_by(item: dict[str, Any]) -> Asked:
    """The request in an item."""
    fields: dict[str, Any] = {name: item.get(name) for name in Asked.__dataclass_fields__}
    return Asked(**fields)


def answerable_until(item: dict[str, Any]) -> datetime:
    """When the item's `response_url` expires."""
    return datetime.fromisoformat(item["asked_at"]) + RESPONSE_URL_LIVES


def usable(response_url: str | None) -> str | None:
    """A `response_url` that points to Slack (on a local stack also to loopback), else None."""
    patterns = [_RESPONSE_URL, *([_ON_LOOPBACK] if settings().callbacks_on_loopback else [])]
    url = response_url or ""
    return url if any(pattern.fullmatch(url) for pattern in patterns) else None
