"""Who calls: the Lambda authorizer that API Gateway asks, and what it passes on."""

from __future__ import annotations

from typing import Any

from chalicelib import tokens
from chalicelib.deployments.errors import Forbidden, Unauthenticated
from chalicelib.tokens import Caller

SCHEME = "bearer"


def authenticate(header: str) -> Caller:
    """The caller that an `Authorization` header names. Raises `Unauthenticated`."""
    scheme, _, token = header.strip().partition(" ")
    caller = tokens.find(token.strip()) if scheme.lower() == SCHEME and token.strip() else None
    if caller is None:
        raise Unauthenticated("Send a valid token as `Authorization: Bearer <token>`")
    return caller


def to_context(caller: Caller) -> dict[str, str]:
    """The caller as API Gateway carries it to the function: flat strings."""
    return {
        "owner": caller.owner,
        "scopes": " ".join(sorted(caller.scopes)),
        "token_id": caller.token_id,
    }


def from_context(context: dict[str, Any]) -> Caller:
    """The caller as the authorizer passed it on. Raises `Unauthenticated`."""
    if not context.get("owner"):
        raise Unauthenticated("Send a valid token as `Authorization: Bearer <token>`")
    scopes = frozenset(str(context.get("scopes", "")).split())
    return Caller(str(context["owner"]), scopes, str(context.get("token_id", "")))


def require(caller: Caller, scope: str) -> None:
    """Raises `Forbidden` unless the token has the scope; `admin` includes the others."""
    if scope not in caller.scopes and not caller.is_admin:
        raise Forbidden(f"This token lacks the scope {scope}")
