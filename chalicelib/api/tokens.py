"""The endpoints below `/tokens`, for admins: create a token, list tokens, revoke one."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from chalicelib.api import answers, auth, idempotency
from chalicelib.api.answer import Answer
from chalicelib.api.requests import Owner, Request, invalid
from chalicelib.api.route import PathParameter
from chalicelib.domain.spec import faults, time_to_live
from chalicelib.platform import aws, clock
from chalicelib.platform.observability import logger
from chalicelib.platform.settings import settings
from chalicelib.store import tokens

TOKEN_ID = PathParameter("token_id", "The `id` of a token.", tokens.ID_PATTERN.pattern)


class TokenRequest(BaseModel):
    """What an admin sends to `POST /tokens`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    owner: Owner = Field(description="The owner whose deployments the token can read and change.")
    scopes: list[Literal["read", "deploy", "admin"]] = Field(
        min_length=1,
        description="`admin` includes the other scopes and covers every owner's deployments.",
        json_schema_extra={"uniqueItems": True},
    )
    expires_in: str | None = Field(
        None,
        description="The lifetime of the token. If you omit it, the token does not expire. "
        f"The value {time_to_live.RULE}.",
        json_schema_extra={"pattern": f"^{time_to_live.PATTERN.pattern}$"},
    )

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("must list each scope once")
        return value

    @field_validator("expires_in")
    @classmethod
    def _expires_in(cls, value: str | None) -> str | None:
        if value is not None:
            time_to_live.parse(value)
        return value


def create(request: Request) -> Answer:
    """`POST /tokens`: 201 with the token. No other answer contains the token itself."""
    auth.require_unrevoked(request.caller)
    if request.header(idempotency.HEADER) is not None:
        # To repeat the answer, Slipway would have to store the token, and it stores only the hash.
        raise invalid(idempotency.HEADER, "is not supported here: a token is shown only once")
    sent = faults.validated(TokenRequest, request.json())
    moment = clock.now()
    lifetime = time_to_live.parse(sent.expires_in) if sent.expires_in else None
    expires_at = moment + lifetime if lifetime else None
    token_id, token = tokens.issue(
        table_name=settings().table_name,
        owner=sent.owner,
        scopes=list(sent.scopes),
        client=aws.client("dynamodb"),
        created_at=moment,
        expires_at=expires_at,
    )
    by = {"token": token_id, "owner": sent.owner, "by_token": request.caller.token_id}
    logger.info("token issued", extra=by)
    issued = answers.IssuedToken(
        id=token_id,
        token=token,
        owner=sent.owner,
        scopes=[scope for scope in tokens.SCOPES if scope in sent.scopes],
        expires_at=expires_at,
    )
    return Answer(201, issued.document())


def list_all(request: Request) -> Answer:
    """`GET /tokens`: every owner's tokens, newest first, without the tokens themselves."""
    auth.require_unrevoked(request.caller)
    listed = answers.Tokens(tokens=tokens.list_tokens())
    return Answer(200, listed.document())


def revoke(request: Request, token_id: str) -> Answer:
    """`DELETE /tokens/{token_id}`: 204, or 404 if it does not exist or was revoked."""
    auth.require_unrevoked(request.caller)
    tokens.revoke(token_id)
    logger.info("token revoked", extra={"token": token_id, "by_token": request.caller.token_id})
    return Answer(204)
