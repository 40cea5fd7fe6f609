"""`Idempotency-Key`: a request that changes something takes effect once, however often it is sent.

The key is claimed before the work and the answer kept after it, both by writes with a condition:

- a claim ends by itself when the function that made it is dead for sure, so that a request whose
  function died can be sent again. What it did by then stands: a name is taken, an operation runs;
- only 2xx answers are kept, and of a chat those that did something. A refused or failed request
  gives its claim back, to be mended and sent again with the same key;
- a claim belongs to the owner, and the answer to the request that it was given to: method, path,
  parameters, body, and whether the caller is an admin, for an admin sees what others must not.

Not Powertools' Idempotency (3.37 was read and measured): it adds 1.0 MB to a zip of 8.2 and 34 ms
of import after boto3. It claims by a plain conditional put, so that botocore's own retry after a
lost answer meets its own claim and tells the first caller that the key is in use; and where the
answer cannot be kept it raises in place of an answer, though the work has been accepted.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chalicelib.api.answer import Answer
from chalicelib.api.requests import Request, invalid
from chalicelib.domain.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from chalicelib.platform.clock import now
from chalicelib.platform.observability import logger
from chalicelib.store import keys, table

HEADER = "Idempotency-Key"
METHODS = ("POST", "PATCH")
KEPT = timedelta(hours=24)
# The API function is ended after 29 s (.chalice/config.json); the rest is for clocks that differ.
CLAIMED = timedelta(seconds=35)
CLAIM_ATTEMPTS = 3
KEY = re.compile(r"[\x21-\x7e]{1,255}")
# DynamoDB deletes an expired item within days, so an item may be there and count no more:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ttl-expired-items.html
_FREE = "attribute_not_exists(pk) OR purge_at <= :now"
_MINE = "holder = :holder"


@dataclass(frozen=True)
class _Claim:
    """A key of an owner, held by one invocation for one request."""

    owner: str
    key: str
    fingerprint: str
    holder: str

    @property
    def table_key(self) -> keys.Key:
        return keys.idempotency(self.owner, self.key)

    def item(self, lifetime: timedelta, document: str | None = None) -> dict[str, Any]:
        return {
            **self.table_key.attributes,
            "fingerprint": self.fingerprint,
            "holder": self.holder,
            "purge_at": int((now() + lifetime).timestamp()),
            "document": document,
        }


def once(request: Request, work: Callable[[], Answer]) -> Answer:
    """The answer of `work`, or the kept one where the key was used for this request before.

    Without a key, and for a method that needs none, it is just `work`. Raises `ValidationFailed`
    for a key that is none, `IdempotencyKeyReused` where it was used for another request,
    `IdempotencyKeyInUse` while the first is at work, and whatever `work` raises.
    """
    key = request.header(HEADER)
    # Where no token is asked for there is no owner whose key it were: nothing is written for those.
    if key is None or request.method not in METHODS or not request.caller.owner:
        return work()
    if not KEY.fullmatch(key):
        raise invalid(HEADER, "must be 1 to 255 visible ASCII characters")
    claim = _Claim(request.caller.owner, key, _fingerprint(request), secrets.token_hex(8))
    kept = _take(claim)
    if kept is not None:
        return kept
    try:
        answer = work()
    except Exception:
        _give_back(claim)
        raise
    if answer.is_final and 200 <= answer.status < 300:
        _keep(claim, answer)
    else:
        _give_back(claim)
    return answer


def _take(claim: _Claim) -> Answer | None:
    """Claims the key: None when it is ours now, the kept answer when the work is done."""
    for _ in range(CLAIM_ATTEMPTS):
        moment = int(now().timestamp())
        try:
            table.put_item(claim.item(CLAIMED), _FREE, {":now": moment})
            return None
        except table.Conflict:
            found = table.get_item(*claim.table_key)
        if found:  # otherwise it was given back in between
            return _kept(claim, found, moment)
    raise _in_use(1)


def _kept(claim: _Claim, found: dict[str, Any], moment: int) -> Answer:
    if found["fingerprint"] != claim.fingerprint:
        raise IdempotencyKeyReused(
            f"This {HEADER} was used for another request within 24 hours: "
            "send the same request, or a new key",
            errors=[{"field": HEADER, "message": "was used for another request"}],
        )
    if "document" not in found:
        raise _in_use(int(found["purge_at"]) - moment)
    return Answer(**json.loads(found["document"]))


def _in_use(seconds: int) -> IdempotencyKeyInUse:
    # The work takes well under a second; only after the death of its function it is the whole time.
    return IdempotencyKeyInUse(
        f"The first request with this {HEADER} is still at work: send it again in a moment, "
        f"at the latest in {seconds} s",
        headers={"Retry-After": "1"},
    )


def _keep(claim: _Claim, answer: Answer) -> None:
    document = json.dumps({"status": answer.status, "body": answer.body, "headers": answer.headers})
    try:
        table.put_item(claim.item(KEPT, document), _MINE, {":holder": claim.holder})
    except Exception:
        # The work is accepted all the same, and its caller is here to be told.
        logger.exception("answer not kept", extra={"owner": claim.owner})


def _give_back(claim: _Claim) -> None:
    try:
        table.delete_item(*claim.table_key, _MINE, {":holder": claim.holder})
    except Exception:
        # The refusal is what the caller must be told; the claim ends by itself.
        logger.exception("idempotency key not given back", extra={"owner": claim.owner})


def _fingerprint(request: Request) -> str:
    """What must be the same for a request to be the same; the order of a body's names need not."""
    try:
        body = json.dumps(json.loads(request.body), sort_keys=True)
    except (ValueError, RecursionError):
        body = request.body.hex()
    parts = [request.method, request.path, request.query, body, request.caller.is_admin]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
