"""Bearer tokens: shown once when they are created, and stored as a hash.

A token has 256 random bits, so a plain SHA-256 is safe: there is no dictionary to try.

A token has two items, written and deleted in one transaction, so that nothing needs a scan. The
authorizer reads `keys.token` by the hash. Admins list and revoke `keys.listed_token` by the ID.
Times are RFC 3339 text in UTC with milliseconds, so they sort in order of time.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain.errors import NotFound, Retryable
from chalicelib.platform import aws, clock
from chalicelib.platform.observability import logger
from chalicelib.platform.settings import settings
from chalicelib.store import keys, table

SCOPES = ("read", "deploy", "admin")
PREFIX = "slw_"
# An owner is part of keys of the table, and the value of the tag `slipway:owner`.
OWNER_PATTERN = r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?"
OWNER_RULE = (
    "must have 1 to 63 characters: a-z, 0-9, dot, hyphen and _, with a letter or digit at both ends"
)
ID_PATTERN = re.compile(r"tok_[0-9a-f]{16}", re.ASCII)
# How exact `last_used_at` is: a write for each use would cost more than the use.
LAST_USE_EVERY = timedelta(hours=1)
# How long an expired token stays listed, to explain why its requests are refused.
KEPT_EXPIRED = timedelta(days=30)


@dataclass(frozen=True)
class Caller:
    """Who makes a request: the token's owner, its scopes, its ID and its expiry."""

    owner: str
    scopes: frozenset[str]
    token_id: str
    expires_at: str | None = None

    @property
    def is_admin(self) -> bool:
        return "admin" in self.scopes


@dataclass(frozen=True)
class Token:
    """What is stored about a token. Only its holder has the token itself."""

    id: str
    owner: str
    scopes: tuple[str, ...]
    created_at: str
    expires_at: str | None
    last_used_at: str | None

    @property
    def caller(self) -> Caller:
        return Caller(self.owner, frozenset(self.scopes), self.id, self.expires_at)


def token_hash(token: str) -> str:
    """The hash by which a token is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def has_expired(expires_at: str | None, moment: datetime) -> bool:
    """Whether a token with this expiry is expired."""
    return expires_at is not None and expires_at <= clock.rfc3339(moment)


def issue(
    *,
    table_name: str,
    owner: str,
    scopes: list[str],
    client: Any,
    created_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> tuple[str, str]:
    """Creates a token, stores its hash, and returns (token ID, token). The token is not stored.

    Args:
        client: a boto3 DynamoDB client.
        created_at: None means now.
        expires_at: None means never.

    Raises:
        ValueError: a scope is unknown, no scope is given, or the owner is invalid.
    """
    unknown = set(scopes) - set(SCOPES)
    if unknown or not scopes:
        given = ", ".join(sorted(unknown)) or "none"
        raise ValueError(f"scopes must be one or more of {', '.join(SCOPES)}, not {given}")
    if not re.fullmatch(OWNER_PATTERN, owner):
        raise ValueError(f"owner {OWNER_RULE}, not {owner!r}")
    token_id, token = f"tok_{secrets.token_hex(8)}", PREFIX + secrets.token_urlsafe(32)
    known: dict[str, Any] = {
        "token_id": token_id,
        "token_owner": owner,
        "scopes": [scope for scope in SCOPES if scope in scopes],
        "created_at": clock.rfc3339(created_at or clock.now()),
    }
    if expires_at:
        known["expires_at"] = clock.rfc3339(expires_at)
        # Seconds since 1970. DynamoDB may delete the items days later, and one before the other:
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
        known["purge_at"] = int((expires_at + KEPT_EXPIRED).timestamp())
    hashed = token_hash(token)
    items = (
        {**keys.token(hashed).attributes, **known},
        {**keys.listed_token(token_id).attributes, **known, "token_hash": hashed},
    )
    puts = [
        {
            "TableName": table_name,
            "Item": table.serialized(item),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        for item in items
    ]
    client.transact_write_items(TransactItems=[{"Put": put} for put in puts])
    return token_id, token


def find(token: str) -> Token | None:
    """The stored data of a token, even if it is expired; None if it does not exist."""
    item = table.get_item(*keys.token(token_hash(token)))
    return _token(item) if item else None


def note_use(token: str, known: Token, moment: datetime) -> None:
    """Records when the token was last used, if the recorded time is old. Never raises."""
    stale = clock.rfc3339(moment - LAST_USE_EVERY)
    if known.last_used_at is not None and known.last_used_at > stale:
        return
    dynamodb = aws.client("dynamodb")
    try:
        # `known` comes from the item that is written last, so an interrupted write is repeated.
        # The condition prevents that the update creates a revoked token again.
        for key in (keys.listed_token(known.id), keys.token(token_hash(token))):
            dynamodb.update_item(
                TableName=settings().table_name,
                Key=table.key(*key),
                UpdateExpression="SET last_used_at = :moment",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues=table.serialized({":moment": clock.rfc3339(moment)}),
            )
    except Exception as error:
        # A request must not fail because its use cannot be recorded.
        logger.warning("use of a token not noted", extra={"token": known.id, "reason": str(error)})


def list_tokens() -> list[Token]:
    """Every token of all owners that is not revoked, newest first, including expired ones."""
    listed = table.query("pk = :pk", {":pk": keys.TOKENS}, ConsistentRead=True)
    return sorted(map(_token, listed), key=lambda t: (t.created_at, t.id), reverse=True)


def exists(token_id: str) -> bool:
    """Whether the token is not revoked, by a read of the table and not from a cache."""
    return _listed_item(token_id) is not None


def revoke(token_id: str) -> None:
    """Deletes a token, so that the authorizer does not accept it any more.

    Raises `NotFound` if it does not exist, `Retryable` if it is being written.
    """
    missing = NotFound(f"There is no token {token_id}.")
    item = _listed_item(token_id)
    if item is None:
        raise missing
    dynamodb = aws.client("dynamodb")
    listed = table.delete(*keys.listed_token(token_id), "attribute_exists(pk)")
    # Without a condition, because DynamoDB may have deleted this item of an expired token already.
    by_hash = table.delete(*keys.token(item["token_hash"]))
    try:
        dynamodb.transact_write_items(TransactItems=[listed, by_hash])
    except dynamodb.exceptions.TransactionCanceledException as error:
        reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
        if "ConditionalCheckFailed" in reasons:
            raise missing from error
        raise Retryable(f"token {token_id} is not revoked, because it is being written") from error


# --- internal --------------------------------------------------------------------------------


def _listed_item(token_id: str) -> dict[str, Any] | None:
    # Not every text can be a sort key: DynamoDB allows 1 to 1024 bytes.
    return table.get_item(*keys.listed_token(token_id)) if ID_PATTERN.fullmatch(token_id) else None


def _token(item: dict[str, Any]) -> Token:
    return Token(
        id=item["token_id"],
        owner=item["token_owner"],
        scopes=tuple(item["scopes"]),
        created_at=item["created_at"],
        expires_at=item.get("expires_at"),
        last_used_at=item.get("last_used_at"),
    )
