"""The endpoints below `/tokens`, for admins: make a token, list them, revoke one."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from chalicelib.api import answers, auth, idempotency
from chalicelib.api.answer import Answer
from chalicelib.api.requests import Request, invalid
from chalicelib.domain.spec import faults, time_to_live
from chalicelib.platform import aws
from chalicelib.platform.clock import now
from chalicelib.platform.observability import logger
from chalicelib.platform.settings import settings
from chalicelib.store import tokens


class TokenRequest(BaseModel):
    """What an admin sends to `POST /tokens`; `expires_in` None is without an end."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    owner: str = Field(
        description="Whose deployments the token sees and changes.",
        json_schema_extra={"pattern": f"^{tokens.OWNER_PATTERN}$"},
    )
    scopes: list[Literal["read", "deploy", "admin"]] = Field(
        min_length=1,
        description="`admin` includes the others, and sees every owner's deployments.",
        json_schema_extra={"uniqueItems": True},
    )
    expires_in: str | None = Field(
        None,
        description=f"Without it the token does not expire; {time_to_live.RULE}.",
        json_schema_extra={"pattern": f"^{time_to_live.PATTERN.pattern}$"},
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
        if len(set(value)) != len(value):
            raise ValueError("must name each scope once")
        return value

    @field_validator("expires_in")
    @classmethod
    def _expires_in(cls, value: str | None) -> str | None:
        if value is not None:
            time_to_live.parse(value)
        return value


def create(request: Request) -> Answer:
    """`POST /tokens`: 201 with the token, which no other answer holds."""
    auth.require_unrevoked(request.caller)
    if request.header(idempotency.HEADER) is not None:
        # To answer it again the token itself would have to be kept, where only its hash may be.
        raise invalid(idempotency.HEADER, "cannot be used here: a token is shown only once")
    wanted = faults.validated(TokenRequest, request.json())
    moment = now()
    lifetime = time_to_live.parse(wanted.expires_in) if wanted.expires_in else None
    expires_at = moment + lifetime if lifetime else None
    token_id, token = tokens.issue(
        table_name=settings().table_name,
        owner=wanted.owner,
        scopes=list(wanted.scopes),
        client=aws.client("dynamodb"),
        created_at=moment,
        expires_at=expires_at,
    )
    by = {"token": token_id, "owner": wanted.owner, "by_token": request.caller.token_id}
    logger.info("token issued", extra=by)
    issued = answers.IssuedToken(
        id=token_id,
        token=token,
        owner=wanted.owner,
        scopes=[scope for scope in tokens.SCOPES if scope in wanted.scopes],
        expires_at=expires_at,
    )
    return Answer(201, issued.document())


def list_all(request: Request) -> Answer:
    """`GET /tokens`: every owner's, newest first, with all but the tokens themselves."""
    auth.require_unrevoked(request.caller)
    listed = answers.Tokens(tokens=tokens.list_tokens())
    return Answer(200, listed.document())


def revoke(request: Request, token_id: str) -> Answer:
    """`DELETE /tokens/{token_id}`: 204, and 404 when there is none, or none any more."""
    auth.require_unrevoked(request.caller)
    tokens.revoke(token_id)
    logger.info("token revoked", extra={"token": token_id, "by_token": request.caller.token_id})
    return Answer(204)
