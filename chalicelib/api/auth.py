"""Who calls: the Lambda authorizer that API Gateway asks, and what it passes on."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.errors import Forbidden, Unauthenticated
from chalicelib.platform import clock
from chalicelib.store import tokens
from chalicelib.store.tokens import Caller

SCHEME = "bearer"


def authenticate(header: str) -> Caller:
    """The caller that an `Authorization` header names; the use of the token is noted.

    Raises `Unauthenticated`, also for a token that has expired.
    """
    scheme, _, rest = header.strip().partition(" ")
    token, moment = rest.strip(), clock.now()
    known = tokens.find(token) if scheme.lower() == SCHEME and token else None
    if known is None or tokens.has_expired(known.expires_at, moment):
        raise unauthenticated()
    tokens.note_use(token, known, moment)
    return known.caller


def to_context(caller: Caller) -> dict[str, str]:
    """The caller as API Gateway carries it to the function: flat strings."""
    return {
        "owner": caller.owner,
        "scopes": " ".join(sorted(caller.scopes)),
        "token_id": caller.token_id,
        "expires_at": caller.expires_at or "",
    }


def from_context(context: dict[str, Any]) -> Caller:
    """The caller as the authorizer passed it on. Raises `Unauthenticated`.

    API Gateway keeps what the authorizer said, so a token may have expired since.
    """
    expires_at = str(context.get("expires_at") or "") or None
    if not context.get("owner") or tokens.has_expired(expires_at, clock.now()):
        raise unauthenticated()
    scopes = frozenset(str(context.get("scopes", "")).split())
    return Caller(str(context["owner"]), scopes, str(context.get("token_id", "")), expires_at)


def require(caller: Caller, scope: str) -> None:
    """Raises `Forbidden` unless the token has the scope; `admin` includes the others."""
    if scope not in caller.scopes and not caller.is_admin:
        raise Forbidden(f"This token lacks the scope {scope}")


def require_unrevoked(caller: Caller) -> None:
    """Raises `Unauthenticated` where the table does not have the caller's token any more.

    For what must not wait until API Gateway forgets the token: one read of the table.
    """
    if not tokens.exists(caller.token_id):
        raise unauthenticated()


def unauthenticated() -> Unauthenticated:
    """The 401 of RFC 9110, with the challenge that it must carry."""
    return Unauthenticated(
        "Send a valid token as `Authorization: Bearer <token>`",
        headers={"WWW-Authenticate": "Bearer"},
    )
