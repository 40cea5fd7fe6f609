"""Bearer tokens: made once, shown once, stored as a hash.

A token is 256 random bits, so a plain SHA-256 is enough: there is no dictionary to try.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

SCOPES = ("read", "deploy", "admin")
PREFIX = "slw_"


@dataclass(frozen=True)
class Caller:
    """Who makes a request: the token's owner, what the token may do, and its id."""

    owner: str
    scopes: frozenset[str]
    token_id: str

    @property
    def is_admin(self) -> bool:
        return "admin" in self.scopes


def token_hash(token: str) -> str:
    """The hash under which a token is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def issue(
    *, table_name: str, owner: str, scopes: list[str], client: Any, created_at: str = ""
) -> tuple[str, str]:
    """Makes a token and stores its hash: (token id, token). The token is nowhere else afterwards.

    `client` is a boto3 DynamoDB client. Raises `ValueError` for an unknown scope or an empty owner.
    """
    unknown = set(scopes) - set(SCOPES)
    if unknown or not scopes:
        given = ", ".join(sorted(unknown)) or "none"
        raise ValueError(f"scopes must be some of {', '.join(SCOPES)}, not {given}")
    if not owner:
        raise ValueError("owner must not be empty")
    token_id, token = f"tok_{secrets.token_hex(8)}", PREFIX + secrets.token_urlsafe(32)
    item = {
        "pk": {"S": f"TOKEN#{token_hash(token)}"},
        "sk": {"S": "TOKEN"},
        "token_id": {"S": token_id},
        "token_owner": {"S": owner},
        "scopes": {"L": [{"S": scope} for scope in scopes]},
        "issued_at": {"S": created_at},
    }
    client.put_item(TableName=table_name, Item=item, ConditionExpression="attribute_not_exists(pk)")
    return token_id, token


def find(token: str) -> Caller | None:
    """The caller that a token belongs to, or None."""
    from chalicelib import store

    item = store.get_item(f"TOKEN#{token_hash(token)}", "TOKEN")
    if item is None:
        return None
    return Caller(item["token_owner"], frozenset(item["scopes"]), item["token_id"])
