"""The header `Idempotency-Key`: a request that changes something takes effect once.

`store/idempotency.py` claims the key and keeps the answer. Only 2xx answers are kept, and of chat
commands only those that took effect. An answer belongs to its request: method, path, query, body,
and whether the caller is an admin, because an admin sees what others must not see.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable

from chalicelib.api.answer import Answer
from chalicelib.api.requests import Request, invalid
from chalicelib.store import idempotency as store
from chalicelib.store.idempotency import Result

HEADER = store.NAME
METHODS = ("POST", "PATCH")
KEY = re.compile(r"[\x21-\x7e]{1,255}")


def once(request: Request, work: Callable[[], Answer]) -> Answer:
    """The answer of `work`, or the kept answer if the key was used for this request before.

    Without a key, and for a method that takes none, this is `work` alone. Raises
    `ValidationFailed` for an invalid key, what `store.idempotency.once` raises, and what `work`
    raises.
    """
    key = request.header(HEADER)
    # A request without a token has no owner that its key could belong to.
    if key is None or request.method not in METHODS or not request.caller.owner:
        return work()
    if not KEY.fullmatch(key):
        raise invalid(HEADER, "must have 1 to 255 visible ASCII characters, and no others")

    def carried_out() -> Result:
        answer = work()
        document = {"status": answer.status, "body": answer.body, "headers": answer.headers}
        return Result(document, is_final=answer.is_final and 200 <= answer.status < 300)

    return Answer(**store.once(request.caller.owner, key, _fingerprint(request), carried_out))


def _fingerprint(request: Request) -> str:
    """A hash of what makes two requests the same; the order of a body's members does not count."""
    try:
        body = json.dumps(json.loads(request.body), sort_keys=True)
    except (ValueError, RecursionError):
        body = request.body.hex()
    parts = [request.method, request.path, request.query, body, request.caller.is_admin]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
