"""What Slack has asked for and the chat worker is to do: an item of the table each.

It is written before the request is acknowledged, on condition that it is not there: so what is
acknowledged gets done, and a request that is sent again is known as such. Slack itself sends none
of these requests twice.
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

# Before each command in a text for Slack: typed without it, one is a word to the channel.
PREFIX = "/slipway "
# Past the five minutes within which the signature could be used again, by far.
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
    """What somebody asked for: a command that was typed, or a button that was pressed.

    Attributes:
        user: the id of who asked; `channel` where.
        text: the command as it was typed after `/slipway`; for a button the deployment's id.
        button: its action_id, None for a command.
        response_url: where an answer may be posted, for 30 minutes; None where there is none.
        team: the workspace's id, for the log.
    """

    user: str
    channel: str
    text: str
    button: str | None = None
    response_url: str | None = None
    team: str | None = None


def accept(request_id: str, asked: Asked) -> bool:
    """Leaves it to the chat worker; False where this request was accepted before."""
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
    """What an item of the inbox asks for."""
    known: dict[str, Any] = {name: item.get(name) for name in Asked.__dataclass_fields__}
    return Asked(**known)


def answerable_until(item: dict[str, Any]) -> datetime:
    """How long its `response_url` lives."""
    return datetime.fromisoformat(item["asked_at"]) + RESPONSE_URL_LIVES


def usable(response_url: str | None) -> str | None:
    """A `response_url` that leads to Slack, or on a local stack to loopback; None for any other."""
    patterns = [_RESPONSE_URL, *([_ON_LOOPBACK] if settings().callbacks_on_loopback else [])]
    sent = response_url or ""
    return sent if any(pattern.fullmatch(sent) for pattern in patterns) else None
