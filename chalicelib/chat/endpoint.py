"""`POST /chat/commands`: a command that a user typed in any chat, sent by the chat's bot."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.api import answers
from chalicelib.api.answer import Answer
from chalicelib.api.requests import Request
from chalicelib.chat.words import MOST_CHARACTERS
from chalicelib.domain.spec import faults
from chalicelib.platform.observability import logger


class ChatCommand(BaseModel):
    """What a bot sends to `POST /chat/commands`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)

    text: str = Field(
        min_length=1,
        max_length=MOST_CHARACTERS,
        description="The command as typed, such as `status recommender`; `help` lists them all.",
    )
    # For the log only: the token decides what is allowed.
    user: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="The user who typed the command, as the chat names them. Slipway only logs it.",
    )


class ChatReply(answers.Shape):
    """The result of a command. Show `text` unchanged; its commands are in backquotes.

    `deployment` is null if the command was about none, or if it was not understood or refused.
    """

    text: str
    deployment: answers.Deployment | None


def run(request: Request) -> Answer:
    """200 with the reply, also if the command was not understood or was refused.

    Raises `AwsUnavailable` if a retry may help.
    """
    # Only this request needs them.
    from chalicelib.chat import commands, grammar

    sent = faults.validated(ChatCommand, request.json())
    command = grammar.parse(sent.text)
    if isinstance(command, grammar.Misunderstanding):
        return Answer(200, {"text": command.text, "deployment": None}, is_final=False)
    reply = commands.run(command, request.caller)
    extra = {
        "asked_by": sent.user,
        "owner": request.caller.owner,
        "by_token": request.caller.token_id,
        "verb": command.verb,
        "deployment": reply.deployment["id"] if reply.deployment else command.reference,
        "refused": reply.refused,
    }
    logger.info("chat command", extra=extra)
    body = {"text": reply.text, "deployment": reply.deployment}
    # A refused command can be sent again with the same key, as any refused request can.
    return Answer(200, body, is_final=not reply.refused)
