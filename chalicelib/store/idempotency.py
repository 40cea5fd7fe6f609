"""Idempotency keys: work with a key takes effect once, however often its request is sent.

A key is claimed before the work and its result kept after it, both by conditional writes:

- A claim expires after `CLAIMED`, when its function is dead for certain. The request can then be
  sent again. What the function did until then remains: a name is taken, an operation runs.
- Only final results are kept. Work that fails or is refused releases its claim, so that the caller
  can correct the request and send it again with the same key.
- A key belongs to an owner, and its result to the request that the fingerprint describes.

Not the Idempotency utility of Powertools for AWS (3.37 was read and measured): it adds 1.0 MB to a
zip of 8.2 MB, and 34 ms of import time after boto3. It claims by a plain conditional put. After a
lost answer botocore's own retry finds that claim, so the first caller is told that the key is in
use. If the result cannot be kept it raises instead of answering, although the work was accepted.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chalicelib.domain.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from chalicelib.platform import clock
from chalicelib.platform.observability import logger
from chalicelib.store import keys, table

NAME = "Idempotency-Key"
KEPT = timedelta(hours=24)
# The API function ends after 29 s (.chalice/config.json); the rest is for differing clocks.
CLAIMED = timedelta(seconds=35)
CLAIM_ATTEMPTS = 3
# DynamoDB deletes an expired item within days, so an expired item may still exist:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ttl-expired-items.html
_FREE = "attribute_not_exists(pk) OR purge_at <= :now"
_MINE = "holder = :holder"

Document = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What the work came to, as JSON; it is kept if it is final."""

    document: Document
    is_final: bool = True


@dataclass(frozen=True)
class _Claim:
    """A key of an owner, held by one invocation for one request."""

    owner: str
    key: str
    fingerprint: str | None
    holder: str

    @property
    def table_key(self) -> keys.Key:
        return keys.idempotency(self.owner, self.key)

    def item(self, lifetime: timedelta, document: str | None = None) -> dict[str, Any]:
        return {
            **self.table_key.attributes,
            "fingerprint": self.fingerprint,
            "holder": self.holder,
            "purge_at": int((clock.now() + lifetime).timestamp()),
            "document": document,
        }


def once(owner: str, key: str, fingerprint: str | None, work: Callable[[], Result]) -> Document:
    """The document of `work`, or the kept one if the work was done before.

    `fingerprint` describes the request. None if nothing but this request can have the key.
    Raises `IdempotencyKeyReused` if the key was used for another request, `IdempotencyKeyInUse`
    while the first request is in progress, and whatever `work` raises.
    """
    claim = _Claim(owner, key, fingerprint, secrets.token_hex(8))
    kept = _take(claim)
    if kept is not None:
        return kept
    try:
        result = work()
    except Exception:
        _release(claim)
        raise
    if result.is_final:
        _keep(claim, result.document)
    else:
        _release(claim)
    return result.document


def _take(claim: _Claim) -> Document | None:
    """Claims the key: None if the claim succeeded, the kept document if the work is done."""
    for _ in range(CLAIM_ATTEMPTS):
        moment = int(clock.now().timestamp())
        try:
            table.put_item(claim.item(CLAIMED), _FREE, {":now": moment})
            return None
        except table.Conflict:
            item = table.get_item(*claim.table_key)
        if item:  # None if it was released in between
            return _kept(claim, item, moment)
    raise _in_use(1)


def _kept(claim: _Claim, item: dict[str, Any], moment: int) -> Document:
    if claim.fingerprint is not None and item.get("fingerprint") != claim.fingerprint:
        raise IdempotencyKeyReused(
            f"This {NAME} was used for another request within 24 hours. "
            "Send the same request again, or use a new key.",
            errors=[{"field": NAME, "message": "was used for another request"}],
        )
    if "document" not in item:
        raise _in_use(int(item["purge_at"]) - moment)
    document: Document = json.loads(item["document"])
    return document


def _in_use(seconds: int) -> IdempotencyKeyInUse:
    # The work takes well under a second. The claim lasts longer only if its function died.
    return IdempotencyKeyInUse(
        f"The first request with this {NAME} is still in progress. Retry in a second. "
        f"The key is free after {seconds} s at the latest.",
        headers={"Retry-After": "1"},
    )


def _keep(claim: _Claim, document: Document) -> None:
    item = claim.item(KEPT, json.dumps(document))
    try:
        table.put_item(item, _MINE, {":holder": claim.holder})
    except Exception:
        # The work is accepted, and its caller waits for the answer.
        logger.exception("answer not kept", extra={"owner": claim.owner})


def _release(claim: _Claim) -> None:
    try:
        table.delete_item(*claim.table_key, _MINE, {":holder": claim.holder})
    except Exception:
        # The caller must see why the work failed; the claim expires by itself.
        logger.exception("idempotency key not given back", extra={"owner": claim.owner})
