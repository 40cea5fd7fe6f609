"""The calls of Slack, and what can come of them.

One try each, three seconds at most: whoever calls knows when to try again. Slack's SDK follows a
redirect of 301 to 303 with a GET; its answer is none that is known here, so nothing counts as told.

https://docs.slack.dev/reference/methods/chat.postMessage
https://docs.slack.dev/reference/methods/chat.update
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
https://docs.slack.dev/interactivity/handling-user-interaction#message_responses
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from chalicelib.platform import shared_secrets
from chalicelib.platform.settings import settings

if TYPE_CHECKING:
    from slack_sdk import WebClient

    from chalicelib.slack.blocks import Message

TIMEOUT = 3  # seconds, for each of connecting and reading
# Slack names the seconds; where it does not, or names a day, this.
RETRY_AFTER, LONGEST_RETRY_AFTER = timedelta(seconds=30), timedelta(minutes=10)
# Slack's own troubles, which pass. Every other code says that the same call is refused again.
PASSING = {
    "fatal_error",
    "internal_error",
    "request_timeout",
    "rollup_error",
    "service_unavailable",
    "team_added_to_org",
}
THROTTLED = {"rate_limited", "ratelimited", "message_limit_exceeded"}
# The message is gone, and whoever deleted it wants no other.
MESSAGE_GONE = "message_not_found"
BAD_BLOCKS = {"invalid_blocks", "invalid_blocks_format", "invalid_payload", "msg_blocks_too_long"}
# The SDK logs URLs and bodies where the root logger's level is DEBUG; those of hooks are secrets.
_silent = logging.getLogger("slipway.slack_sdk")
_silent.setLevel(logging.CRITICAL)


class Throttled(Exception):
    """Slack takes no more for now; `retry_after`: for how long."""

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(f"Slack throttles for {retry_after.total_seconds():.0f} s")
        self.retry_after = retry_after


class Unreachable(Exception):
    """No answer, or one that says nothing of the call: it may have been carried out."""


class Rejected(Exception):
    """Slack refused the call, and would refuse it again; `code` is Slack's."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Slack refused: {code}")
        self.code = code


def post_message(channel: str, message: Message) -> str:
    """Posts a new message; its `ts`, by which it is updated. Raises all three."""
    answer = _call(
        lambda api: (
            api.chat_postMessage(
                channel=channel,
                text=message.text,
                blocks=message.blocks,
                unfurl_links=False,
                unfurl_media=False,
            ).data
        )
    )
    if not isinstance(answer.get("ts"), str):
        raise Unreachable("an answer without a ts")
    return answer["ts"]


def update_message(channel: str, ts: str, message: Message) -> None:
    """Puts `message` in the place of what was posted as `ts`. Raises all three."""
    _call(
        lambda api: (
            api.chat_update(channel=channel, ts=ts, text=message.text, blocks=message.blocks).data
        )
    )


def delete_message(channel: str, ts: str) -> None:
    """Takes a message of ours away. Raises all three."""
    _call(lambda api: api.chat_delete(channel=channel, ts=ts).data)


def post_to_url(url: str, message: Message, *, replace: bool, in_channel: bool) -> None:
    """Posts to a `response_url` or an incoming webhook. Raises all three.

    Args:
        replace: in the place of the message that an interaction came from.
        in_channel: for all to see, not only for who asked; an incoming webhook knows no other.
    """
    from slack_sdk.webhook import WebhookClient

    hook = WebhookClient(url, timeout=TIMEOUT, logger=_silent, retry_handlers=[])
    hook.proxy = None  # urllib's own rules of proxies hold, and those know exceptions
    try:
        answer = hook.send(
            text=message.text,
            blocks=message.blocks,
            response_type="in_channel" if in_channel else "ephemeral",
            replace_original=replace,
            unfurl_links=False,
            unfurl_media=False,
        )
    except (OSError, HTTPException, ValueError) as error:
        raise Unreachable(type(error).__name__) from None
    body = answer.body.strip()
    if answer.status_code != 200:
        raise _outcome(answer.status_code, body, answer.headers)
    if body != "ok" and _json(body).get("ok") is not True:
        raise _outcome(200, str(_json(body).get("error", "")), answer.headers)


# --- inside --------------------------------------------------------------------------------


def _call(do: Callable[[WebClient], Any]) -> dict[str, Any]:
    """A call of Slack's API; the answer."""
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError, SlackClientError

    token = shared_secrets.get(shared_secrets.SLACK_BOT_TOKEN)
    if token is None:
        raise Rejected("not_authed")
    api = WebClient(
        token,
        base_url=settings().slack_api_url,
        timeout=TIMEOUT,
        logger=_silent,
        retry_handlers=[],
    )
    api.proxy = None
    try:
        answer = do(api)
        answer["ok"]
    except SlackApiError as error:
        answered = error.response
        data = answered.data if isinstance(answered.data, dict) else {}
        raise _outcome(answered.status_code, str(data.get("error", "")), answered.headers) from None
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
        # The last three: of an answer that is no JSON object.
        raise Unreachable(type(error).__name__) from None
    except SlackClientError as error:
        raise Unreachable(type(error).__name__) from None
    return dict(answer)


def _outcome(status: int, code: str, headers: Mapping[str, Any]) -> Exception:
    """What an answer other than success comes to."""
    if status == 429 or code in THROTTLED:
        return Throttled(_retry_after(headers))
    named = re.fullmatch(r"[a-z][a-z_]{1,60}", code)
    if code in PASSING or status >= 500 or (status < 400 and not named):
        return Unreachable(code if named else f"HTTP status {status}")
    return Rejected(code if named else f"http_{status}")


def _retry_after(headers: Mapping[str, Any]) -> timedelta:
    named = str(next((v for k, v in headers.items() if k.lower() == "retry-after"), "")).strip()
    if not named.isdecimal() or not named.isascii():
        return RETRY_AFTER
    seconds = min(int(named[:9]), int(LONGEST_RETRY_AFTER.total_seconds()))
    return timedelta(seconds=max(1, seconds))


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
