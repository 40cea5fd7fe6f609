"""What Slack calls: `/slack/commands` for typed commands, `/slack/interactions` for buttons.

Slack waits three seconds for an answer and then shows its user an error. So this module writes a
command to the inbox and acknowledges it at once; the chat worker does the work. Nothing here calls
Slack, and of AWS only the table and the cached signing secret.

A request without a valid signature is 401. A signed request that Slipway cannot use is 200 with a
text for its user, because Slack does not show the body of any other status. A button that cannot be
recorded because AWS throttles is 503: Slack then marks the button as failed.
https://docs.slack.dev/interactivity/implementing-slash-commands/
https://docs.slack.dev/reference/interaction-payloads/block_actions-payload/
"""

from __future__ import annotations

import html
import json
from typing import Any, Literal
from urllib.parse import parse_qsl

from chalicelib.api import answers
from chalicelib.api.answer import Answer
from chalicelib.api.requests import Request
from chalicelib.domain import naming
from chalicelib.platform import clock
from chalicelib.platform.observability import logger
from chalicelib.slack import inbox, owners, signature
from chalicelib.slack.inbox import Asked
from chalicelib.workflow import aws_errors

BUTTONS = ("delete", "retry", "cancel")
# A form from Slack has about 15 fields.
MOST_FIELDS = 50
SHOWN = 200

UNREADABLE = "Slipway could not read this command. Try `/slipway help`."
UNAVAILABLE = (
    "Slipway cannot reach AWS at the moment. Running operations continue. Use `/slipway list` in a "
    "minute, and send the command again if it had no effect."
)


class SlackAnswer(answers.Shape):
    """A text that Slack shows at once, only to the user who sent the command."""

    response_type: Literal["ephemeral"]
    text: str


def commands(request: Request) -> Answer:
    """`POST /slack/commands`: 200 with the reply, or with a note that the command is accepted."""
    request_id = signature.verify(request.header_values, request.body, clock.now())
    try:
        form = _form(request.body)
        if form.get("ssl_check") == "1":
            return Answer(200)
        asked = _typed(form)
    except ValueError as error:
        logger.warning("slack command not readable", extra={"reason": str(error)})
        return _ephemeral(UNREADABLE)
    reply = _reply_at_once(request, asked.text)
    if reply is not None:
        return _ephemeral(reply)
    try:
        return _ephemeral(_accepted(request_id, asked))
    except Exception as error:
        if not aws_errors.is_transient(error):
            raise
        logger.warning("slack command not taken in", extra={"reason": str(error)})
        return _ephemeral(UNAVAILABLE)


def interactions(request: Request) -> Answer:
    """`POST /slack/interactions`: 200; the chat worker posts the result of the button."""
    request_id = signature.verify(request.header_values, request.body, clock.now())
    try:
        asked = _pressed(_payload(request.body))
    except (ValueError, RecursionError) as error:
        logger.warning("slack interaction ignored", extra={"reason": str(error)})
        return Answer(200)
    if not inbox.accept(request_id, asked):
        raise signature.refused("the request was accepted before")
    return Answer(200)


def _reply_at_once(request: Request, text: str) -> str | None:
    """The reply to a command that needs no work: help, or the hint for an unknown command."""
    from chalicelib.chat import commands as chat_commands
    from chalicelib.chat import grammar

    command = grammar.parse(text, inbox.PREFIX)
    if isinstance(command, grammar.Misunderstanding):
        return command.text
    if command.verb != "help":
        return None
    return chat_commands.run(command, request.caller, prefix=inbox.PREFIX).text


def _accepted(request_id: str, asked: Asked) -> str:
    """Writes the command to the inbox; the text for its user."""
    if owners.owner_of(asked.user, asked.channel) is None:
        return owners.refusal(asked.user, asked.channel)
    if not inbox.accept(request_id, asked):
        raise signature.refused("the request was accepted before")
    text = " ".join(asked.text.split())
    return f"Command received: {text if len(text) <= SHOWN else text[:SHOWN] + '…'}"


def _ephemeral(text: str) -> Answer:
    # https://docs.slack.dev/messaging/formatting-message-text/#escaping
    answer = SlackAnswer(response_type="ephemeral", text=html.escape(text, quote=False))
    return Answer(200, answer.document())


# --- what Slack sends ----------------------------------------------------------------------


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form. Raises `ValueError`, also if it has a field twice."""
    pairs = parse_qsl(
        body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
    )
    form = dict(pairs)
    if len(form) != len(pairs):
        raise ValueError("the form has a field twice")
    return form


def _payload(body: bytes) -> dict[str, Any]:
    payload = json.loads(_form(body).get("payload", ""))
    if not isinstance(payload, dict):
        raise ValueError("the payload is not a JSON object")
    return payload


def _typed(form: dict[str, str]) -> Asked:
    return _asked(
        user=form.get("user_id"),
        channel=form.get("channel_id"),
        text=form.get("text", ""),
        response_url=form.get("response_url"),
        team=form.get("team_id"),
    )


def _pressed(payload: dict[str, Any]) -> Asked:
    """The button that was pressed. Raises `ValueError` for anything but a button of Slipway."""
    if payload.get("type") != "block_actions":
        raise ValueError(f"the type of the payload is {str(payload.get('type'))[:SHOWN]!r}")
    actions = payload.get("actions")
    if not isinstance(actions, list) or len(actions) != 1:
        raise ValueError("the payload does not have exactly one action")
    button, value = _member(actions[0], "action_id"), _member(actions[0], "value")
    if button not in BUTTONS:
        raise ValueError(f"the button is {str(button)[:SHOWN]!r}")
    if value is None or not naming.ID_PATTERN.fullmatch(value):
        raise ValueError("the value of the button is not a deployment ID")
    return _asked(
        user=_member(payload.get("user"), "id"),
        channel=_member(payload.get("channel"), "id"),
        text=value,
        button=button,
        response_url=_member(payload, "response_url"),
        team=_member(payload.get("team"), "id"),
    )


def _member(value: Any, name: str) -> str | None:
    """A text member of a JSON object; None if there is no such text."""
    member = value.get(name) if isinstance(value, dict) else None
    return member if isinstance(member, str) else None


def _asked(
    *,
    user: str | None,
    channel: str | None,
    text: str,
    response_url: str | None,
    team: str | None,
    button: str | None = None,
) -> Asked:
    if user is None or not inbox.USER.fullmatch(user):
        raise ValueError("the request names no user")
    if channel is None or not inbox.CHANNEL.fullmatch(channel):
        raise ValueError("the request names no channel")
    return Asked(
        user=user,
        channel=channel,
        text=text,
        button=button,
        response_url=inbox.usable(response_url),
        team=team if team and inbox.TEAM.fullmatch(team) else None,
    )
