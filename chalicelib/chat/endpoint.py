"""`POST /chat/commands`: a typed command of any chat tool, passed on by its bot."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.api.answer import Answer
from chalicelib.api.requests import Request
from chalicelib.chat.words import MOST_CHARACTERS
from chalicelib.domain.spec import faults
from chalicelib.platform.observability import logger


class ChatCommand(BaseModel):
    """What a bot passes on."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)

    text: str = Field(
        min_length=1,
        max_length=MOST_CHARACTERS,
        description="The command as it was typed, such as `status recommender`; `help` lists them.",
    )
    # Nothing depends on it: what may be done is the token's affair.
    user: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Who typed it, in the chat's words: kept in the log, for the record.",
    )


def run(request: Request) -> Answer:
    """200 with the reply, also where the command was not understood or was refused.

    Raises `AwsUnavailable` where another try may help.
    """
    # Nobody else pays for the import.
    from chalicelib.chat import commands, grammar

    asked = faults.validated(ChatCommand, request.json())
    command = grammar.parse(asked.text)
    if isinstance(command, grammar.Misunderstanding):
        return Answer(200, {"text": command.text, "deployment": None}, is_final=False)
    reply = commands.run(command, request.caller)
    told = {
        "asked_by": asked.user,
        "owner": request.caller.owner,
        "by_token": request.caller.token_id,
        "verb": command.verb,
        "deployment": reply.deployment["id"] if reply.deployment else command.reference,
        "refused": reply.refused,
    }
    logger.info("chat command", extra=told)
    body = {"text": reply.text, "deployment": reply.deployment}
    # A refused command can be sent again with its key, as a request that was refused can.
    return Answer(200, body, is_final=not reply.refused)
