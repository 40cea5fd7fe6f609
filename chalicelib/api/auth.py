"""The caller of a request: found by the Lambda authorizer, passed on by API Gateway."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.errors import Unauthenticated
from chalicelib.platform import clock
from chalicelib.store import tokens
from chalicelib.store.tokens import Caller

SCHEME = "bearer"


def authenticate(header: str) -> Caller:
    """The caller of an `Authorization` header; records when the token was used.

    Raises `Unauthenticated`, also for an expired token.
    """
    scheme, _, rest = header.strip().partition(" ")
    token, moment = rest.strip(), clock.now()
    known = tokens.find(token) if scheme.lower() == SCHEME and token else None
    if known is None or tokens.has_expired(known.expires_at, moment):
        raise unauthenticated()
    tokens.note_use(token, known, moment)
    return known.caller


def to_context(caller: Caller) -> dict[str, str]:
    """The caller as flat strings, which is all that API Gateway passes on."""
    return {
        "owner": caller.owner,
        "scopes": " ".join(sorted(caller.scopes)),
        "token_id": caller.token_id,
        "expires_at": caller.expires_at or "",
    }


def from_context(context: dict[str, Any]) -> Caller:
    """The caller that the authorizer passed on. Raises `Unauthenticated`.

    API Gateway caches the authorizer's answer, so the token may have expired since.
    """
    expires_at = str(context.get("expires_at") or "") or None
    if not context.get("owner") or tokens.has_expired(expires_at, clock.now()):
        raise unauthenticated()
    scopes = frozenset(str(context.get("scopes", "")).split())
    return Caller(str(context["owner"]), scopes, str(context.get("token_id", "")), expires_at)


def require_unrevoked(caller: Caller) -> None:
    """Raises `Unauthenticated` if the caller's token was revoked. Reads the table once.

    For endpoints that must not serve a revoked token from API Gateway's cache.
    """
    if not tokens.exists(caller.token_id):
        raise unauthenticated()


def unauthenticated() -> Unauthenticated:
    """The 401 with the challenge that RFC 9110 requires."""
    return Unauthenticated(
        "Send a valid token as `Authorization: Bearer <token>`.",
        headers={"WWW-Authenticate": "Bearer"},
    )
