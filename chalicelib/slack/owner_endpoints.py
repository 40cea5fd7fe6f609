"""The endpoints below `/slack/owners`, for admins: for whom users and channels of Slack act."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from chalicelib.api import answers, auth
from chalicelib.api.answer import Answer
from chalicelib.api.requests import Request, invalid
from chalicelib.domain.errors import NotFound
from chalicelib.domain.spec import faults
from chalicelib.platform.observability import logger
from chalicelib.slack import owners
from chalicelib.store import tokens


class SlackOwnerRequest(BaseModel):
    """What an admin sends to `PUT /slack/owners/{slack_id}`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    owner: str = Field(
        description="Whose deployments are seen and changed from there.",
        json_schema_extra={"pattern": f"^{tokens.OWNER_PATTERN}$"},
    )
    scopes: list[Literal["read", "deploy"]] = Field(
        ["read", "deploy"],
        description="`read` at least. Slack is never given `admin`.",
        json_schema_extra={"uniqueItems": True, "contains": {"const": "read"}},
    )
    announce: bool | None = Field(
        None,
        description="For a channel: whether the owner's operations are told there, however they "
        "were started; by default they are.",
    )

    @field_validator("owner")
    @classmethod
    def _owner(cls, value: str) -> str:
        if not re.fullmatch(tokens.OWNER_PATTERN, value):
            raise ValueError(tokens.OWNER_RULE)
        return value

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value) or "read" not in value:
            raise ValueError("must name read, and may name deploy, each once")
        return value


def list_all(request: Request) -> Answer:
    """`GET /slack/owners`: every mapping, by id."""
    auth.require_unrevoked(request.caller)
    listed = answers.SlackOwners(
        owners=[answers.SlackOwner.model_validate(each) for each in owners.list_mappings()]
    )
    return Answer(200, listed.document())


def put(request: Request, slack_id: str) -> Answer:
    """`PUT /slack/owners/{slack_id}`: 201 with the mapping, 200 where it replaced one."""
    auth.require_unrevoked(request.caller)
    wanted = faults.validated(SlackOwnerRequest, request.json())
    if not owners.ID_PATTERN.fullmatch(slack_id):
        raise invalid(
            "slack_id",
            "must be the id of a user (U..., W...) or a channel (C..., G..., D...): open its "
            "profile or details in Slack and copy it from there",
        )
    is_channel = owners.is_channel(slack_id)
    if wanted.announce and not is_channel:
        raise invalid("announce", "is for channels alone: nothing is announced to a user")
    announce = is_channel if wanted.announce is None else wanted.announce
    mapping, is_new = owners.put(slack_id, wanted.owner, list(wanted.scopes), announce)
    by = {"slack_id": slack_id, "owner": wanted.owner, "by_token": request.caller.token_id}
    logger.info("slack id mapped", extra=by)
    return Answer(201 if is_new else 200, answers.SlackOwner.model_validate(mapping).document())


def delete(request: Request, slack_id: str) -> Answer:
    """`DELETE /slack/owners/{slack_id}`: 204, and 404 where there is no such mapping."""
    auth.require_unrevoked(request.caller)
    if not owners.ID_PATTERN.fullmatch(slack_id):
        raise NotFound(f"{slack_id} is not mapped to an owner")
    owners.delete(slack_id)
    logger.info(
        "slack id unmapped", extra={"slack_id": slack_id, "by_token": request.caller.token_id}
    )
    return Answer(204)
