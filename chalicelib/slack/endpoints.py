"""What Slack calls: `/slack/commands` for what was typed, `/slack/interactions` for buttons.

Slack waits three seconds for an answer, and then tells its user that there was none. So what takes
longer is written to the inbox, where the chat worker finds it, and acknowledged at once: nothing
here calls Slack, nor any AWS service but for the signing secret (kept) and the table.

Every request that Slack did not sign is 401. One that it did sign and that is of no use is 200 with
a word for its user, for Slack shows nobody the body of another answer. (A button that cannot be
written down, for AWS throttles, is 503: Slack marks it as one that did not work.)
https://docs.slack.dev/interactivity/implementing-slash-commands/
https://docs.slack.dev/reference/interaction-payloads/block_actions-payload/
"""

from __future__ import annotations

import html
import json
from typing import Any
from urllib.parse import parse_qsl

from chalicelib.api import answers
from chalicelib.api.answer import Answer
from chalicelib.api.requests import Request
from chalicelib.domain import naming
from chalicelib.domain.errors import Retryable, Throttled
from chalicelib.platform import aws
from chalicelib.platform.clock import now
from chalicelib.platform.observability import logger
from chalicelib.slack import inbox, owners, signature
from chalicelib.slack.inbox import Asked

BUTTONS = ("delete", "retry", "cancel")
# A form of Slack's has some 15.
MOST_FIELDS = 50
SHOWN = 200

UNREADABLE = "Slipway could not read this command. Try `/slipway help`."
UNAVAILABLE = (
    "Slipway does not reach AWS at this moment. Nothing is lost that was running: look with "
    "`/slipway list` in a minute, and send the command again where it did nothing."
)


def commands(request: Request) -> Answer:
    """`POST /slack/commands`: 200 with what is known at once, or that it is being done."""
    request_id = signature.verify(request.header_values, request.body, now())
    try:
        form = _form(request.body)
        if form.get("ssl_check") == "1":
            return Answer(200)
        asked = _typed(form)
    except ValueError as error:
        logger.warning("slack command not readable", extra={"reason": str(error)})
        return _told(UNREADABLE)
    known = _known_at_once(request, asked.text)
    if known is not None:
        return _told(known)
    try:
        return _told(_left_to_the_worker(request_id, asked))
    except Exception as error:
        passing = aws.workflow_error(error) or error
        if not isinstance(passing, (Throttled, Retryable)):
            raise
        logger.warning("slack command not taken in", extra={"reason": str(error)})
        return _told(UNAVAILABLE)


def interactions(request: Request) -> Answer:
    """`POST /slack/interactions`: 200; what comes of a button, the chat worker posts."""
    request_id = signature.verify(request.header_values, request.body, now())
    try:
        asked = _pressed(_payload(request.body))
    except (ValueError, RecursionError) as error:
        logger.warning("slack interaction ignored", extra={"reason": str(error)})
        return Answer(200)
    if not inbox.accept(request_id, asked):
        raise signature.refused("it was accepted before")
    return Answer(200)


def _known_at_once(request: Request, text: str) -> str | None:
    """The answer to what needs no work: help, and the hint for what is no command."""
    from chalicelib.chat import commands as chat_commands
    from chalicelib.chat import grammar

    command = grammar.parse(text, inbox.PREFIX)
    if isinstance(command, grammar.Misunderstanding):
        return command.text
    if command.verb != "help":
        return None
    return chat_commands.run(command, request.caller, prefix=inbox.PREFIX).text


def _left_to_the_worker(request_id: str, asked: Asked) -> str:
    if owners.owner_of(asked.user, asked.channel) is None:
        return owners.refusal(asked.user, asked.channel)
    if not inbox.accept(request_id, asked):
        raise signature.refused("it was accepted before")
    text = " ".join(asked.text.split())
    return f"On it: {text if len(text) <= SHOWN else text[:SHOWN] + '…'}"


def _told(text: str) -> Answer:
    # https://docs.slack.dev/messaging/formatting-message-text/#escaping
    told = answers.SlackAnswer(response_type="ephemeral", text=html.escape(text, quote=False))
    return Answer(200, told.document())


# --- what Slack sends ----------------------------------------------------------------------


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form. Raises `ValueError`, also where one is there twice."""
    pairs = parse_qsl(
        body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
    )
    form = dict(pairs)
    if len(form) != len(pairs):
        raise ValueError("a field is there twice")
    return form


def _payload(body: bytes) -> dict[str, Any]:
    payload = json.loads(_form(body).get("payload", ""))
    if not isinstance(payload, dict):
        raise ValueError("the payload is no object")
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
    """The button that was pressed. Raises `ValueError` for all that is none of ours."""
    if payload.get("type") != "block_actions":
        raise ValueError(f"its type is {str(payload.get('type'))[:SHOWN]!r}")
    actions = payload.get("actions")
    if not isinstance(actions, list) or len(actions) != 1:
        raise ValueError("it has not one action")
    button, value = _member(actions[0], "action_id"), _member(actions[0], "value")
    if button not in BUTTONS:
        raise ValueError(f"its button is {str(button)[:SHOWN]!r}")
    if value is None or not naming.ID_PATTERN.fullmatch(value):
        raise ValueError("its value is no deployment's id")
    return _asked(
        user=_member(payload.get("user"), "id"),
        channel=_member(payload.get("channel"), "id"),
        text=value,
        button=button,
        response_url=_member(payload, "response_url"),
        team=_member(payload.get("team"), "id"),
    )


def _member(value: Any, name: str) -> str | None:
    """A text in an object of JSON; None where it is none, or not there."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


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
        raise ValueError("it names no user")
    if channel is None or not inbox.CHANNEL.fullmatch(channel):
        raise ValueError("it names no channel")
    return Asked(
        user=user,
        channel=channel,
        text=text,
        button=button,
        response_url=inbox.usable(response_url),
        team=team if team and inbox.TEAM.fullmatch(team) else None,
    )
