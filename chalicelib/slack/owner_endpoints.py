"""The endpoints below `/slack/owners`, for admins: which Slack users and channels act for whom."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from chalicelib.api import answers, auth
from chalicelib.api.answer import Answer
from chalicelib.api.requests import Owner, Request, invalid
from chalicelib.api.route import PathParameter
from chalicelib.domain.errors import NotFound
from chalicelib.domain.spec import faults
from chalicelib.platform.observability import logger
from chalicelib.slack import owners

SLACK_ID = PathParameter(
    "slack_id",
    "The ID of a Slack user (`U...`, `W...`) or channel (`C...`, `G...`, `D...`).",
    owners.ID_PATTERN.pattern,
)


class SlackOwnerRequest(BaseModel):
    """What an admin sends to `PUT /slack/owners/{slack_id}`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    owner: Owner = Field(
        description="The owner whose deployments the user or channel can read and change."
    )
    scopes: list[Literal["read", "deploy"]] = Field(
        ["read", "deploy"],
        description="At least `read`. Slack cannot have `admin`.",
        json_schema_extra={"uniqueItems": True, "contains": {"const": "read"}},
    )
    announce: bool | None = Field(
        None,
        description="Whether Slipway posts all operations of the owner to this channel. The "
        "default is true for a channel; it must be false for a user.",
    )

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value) or "read" not in value:
            raise ValueError("must be `read`, or `read` and `deploy`, each only once")
        return value


class SlackOwner(answers.Shape):
    """A Slack user or channel, and the owner for whom it acts.

    `announce`: whether Slipway posts all operations of the owner to this channel.
    """

    id: str
    owner: str
    scopes: list[Literal["read", "deploy"]]
    announce: bool
    created_at: answers.Moment


class SlackOwners(answers.Shape):
    """All Slack users and channels that act for an owner, sorted by ID."""

    owners: list[SlackOwner]


def list_all(request: Request) -> Answer:
    """`GET /slack/owners`: every mapping, sorted by ID."""
    auth.require_unrevoked(request.caller)
    listed = SlackOwners(
        owners=[SlackOwner.model_validate(each) for each in owners.list_mappings()]
    )
    return Answer(200, listed.document())


def put(request: Request, slack_id: str) -> Answer:
    """`PUT /slack/owners/{slack_id}`: 201 with a new mapping, 200 if it replaced one."""
    auth.require_unrevoked(request.caller)
    sent = faults.validated(SlackOwnerRequest, request.json())
    if not owners.ID_PATTERN.fullmatch(slack_id):
        raise invalid(
            "slack_id",
            "must be the ID of a user (U..., W...) or a channel (C..., G..., D...). Copy it from "
            "the profile or the channel details in Slack",
        )
    is_channel = owners.is_channel(slack_id)
    if sent.announce and not is_channel:
        raise invalid("announce", "must be false for a user: only channels get announcements")
    announce = is_channel if sent.announce is None else sent.announce
    mapping, is_new = owners.put(slack_id, sent.owner, list(sent.scopes), announce)
    by = {"slack_id": slack_id, "owner": sent.owner, "by_token": request.caller.token_id}
    logger.info("slack id mapped", extra=by)
    return Answer(201 if is_new else 200, SlackOwner.model_validate(mapping).document())


def delete(request: Request, slack_id: str) -> Answer:
    """`DELETE /slack/owners/{slack_id}`: 204, or 404 if there is no such mapping."""
    auth.require_unrevoked(request.caller)
    if not owners.ID_PATTERN.fullmatch(slack_id):
        raise NotFound(f"{slack_id} is not mapped to an owner.")
    owners.delete(slack_id)
    logger.info(
        "slack id unmapped", extra={"slack_id": slack_id, "by_token": request.caller.token_id}
    )
    return Answer(204)
