"""The calls to Slack, and their errors.

Each call is one attempt of at most three seconds, because the caller knows when to retry. Slack's
SDK follows a redirect of 301 to 303 with a GET. The response to that is not one of Slack's, so the
call counts as failed.

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
# The gap after a throttled call if Slack names none, and the longest that is accepted from Slack.
RETRY_AFTER, LONGEST_RETRY_AFTER = timedelta(seconds=30), timedelta(minutes=10)
# Transient errors of Slack. With any other code, Slack would reject the same call again.
TRANSIENT = {
    "fatal_error",
    "internal_error",
    "request_timeout",
    "rollup_error",
    "service_unavailable",
    "team_added_to_org",
}
THROTTLED = {"rate_limited", "ratelimited", "message_limit_exceeded"}
# Someone deleted the message, so no other is posted.
MESSAGE_GONE = "message_not_found"
BAD_BLOCKS = {"invalid_blocks", "invalid_blocks_format", "invalid_payload", "msg_blocks_too_long"}
# If the root logger's level is DEBUG, the SDK logs bodies and URLs. A webhook's URL is secret.
_silent = logging.getLogger("slipway.slack_sdk")
_silent.setLevel(logging.CRITICAL)


class Throttled(Exception):
    """Slack throttles the calls. `retry_after` says for how long."""

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(f"Slack throttles for {retry_after.total_seconds():.0f} s")
        self.retry_after = retry_after


class Unreachable(Exception):
    """No response, or one that does not show the result. Slack may have carried out the call."""


class Rejected(Exception):
    """Slack rejected the call, and would reject it again. `code` is Slack's error code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Slack rejected the call: {code}")
        self.code = code


def post_message(channel: str, message: Message) -> str:
    """Posts a new message and returns its `ts`, with which it can be updated.

    Raises `Throttled`, `Unreachable` or `Rejected`.
    """
    response = _call(
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
    if not isinstance(response.get("ts"), str):
        raise Unreachable("Slack's response has no ts")
    return response["ts"]


def update_message(channel: str, ts: str, message: Message) -> None:
    """Replaces the message that was posted as `ts`. Raises the same errors."""
    _call(
        lambda api: (
            api.chat_update(channel=channel, ts=ts, text=message.text, blocks=message.blocks).data
        )
    )


def delete_message(channel: str, ts: str) -> None:
    """Deletes a message of Slipway. Raises the same errors."""
    _call(lambda api: api.chat_delete(channel=channel, ts=ts).data)


def post_to_url(url: str, message: Message, *, replace: bool, in_channel: bool) -> None:
    """Posts to a `response_url` or an incoming webhook. Raises the same errors.

    Args:
        replace: whether to replace the message that an interaction came from.
        in_channel: whether everyone in the channel sees the post, or only the user who sent the
            command. A post to an incoming webhook is always visible to everyone.
    """
    from slack_sdk.webhook import WebhookClient

    hook = WebhookClient(url, timeout=TIMEOUT, logger=_silent, retry_handlers=[])
    hook.proxy = None  # then urllib's own proxy rules apply, which know exceptions (`no_proxy`)
    try:
        response = hook.send(
            text=message.text,
            blocks=message.blocks,
            response_type="in_channel" if in_channel else "ephemeral",
            replace_original=replace,
            unfurl_links=False,
            unfurl_media=False,
        )
    except (OSError, HTTPException, ValueError) as error:
        raise Unreachable(type(error).__name__) from None
    body = response.body.strip()
    if response.status_code != 200:
        raise _error(response.status_code, body, response.headers)
    if body != "ok" and _json(body).get("ok") is not True:
        raise _error(200, str(_json(body).get("error", "")), response.headers)


# --- inside --------------------------------------------------------------------------------


def _call(do: Callable[[WebClient], Any]) -> dict[str, Any]:
    """Calls Slack's API and returns its response."""
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
        response = do(api)
        response["ok"]
    except SlackApiError as error:
        failed = error.response
        data = failed.data if isinstance(failed.data, dict) else {}
        raise _error(failed.status_code, str(data.get("error", "")), failed.headers) from None
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
        # The last three are raised for a response that is not a JSON object.
        raise Unreachable(type(error).__name__) from None
    except SlackClientError as error:
        raise Unreachable(type(error).__name__) from None
    return dict(response)


def _error(status: int, code: str, headers: Mapping[str, Any]) -> Exception:
    """The error for an unsuccessful response."""
    if status == 429 or code in THROTTLED:
        return Throttled(_retry_after(headers))
    is_code = re.fullmatch(r"[a-z][a-z_]{1,60}", code)
    if code in TRANSIENT or status >= 500 or (status < 400 and not is_code):
        return Unreachable(code if is_code else f"HTTP status {status}")
    return Rejected(code if is_code else f"http_{status}")


def _retry_after(headers: Mapping[str, Any]) -> timedelta:
    value = str(next((v for k, v in headers.items() if k.lower() == "retry-after"), "")).strip()
    if not value.isdecimal() or not value.isascii():
        return RETRY_AFTER
    seconds = min(int(value[:9]), int(LONGEST_RETRY_AFTER.total_seconds()))
    return timedelta(seconds=max(1, seconds))


def _json(text: str) -> dict[str, Any]:
    """A JSON object; empty if the text is not one."""
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
