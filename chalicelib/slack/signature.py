"""Verify that a request comes from Slack, by its signature over the raw body.

https://docs.slack.dev/authentication/verifying-requests-from-slack/
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from chalicelib.domain.errors import Unauthenticated
from chalicelib.platform import shared_secrets
from chalicelib.platform.observability import logger

TIMESTAMP = "X-Slack-Request-Timestamp"
SIGNATURE = "X-Slack-Signature"
# Seconds since 1970, and an HMAC-SHA256 in hexadecimal digits. For some malformed values, and for a
# body that is not UTF-8, the library raises. So it gets only well-formed ones.
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")


def verify(headers: Mapping[str, Sequence[str]], raw_body: bytes, now: datetime) -> str:
    """Raises `Unauthenticated` unless Slack signed the request within five minutes of `now`.

    Args:
        headers: all values of each header, with names in any case.
        raw_body: the body as received, before parsing.

    Returns:
        An ID of the request: the SHA-256 of the signed timestamp and body. It is the same if the
        request is sent again.
    """
    secret = (shared_secrets.get(shared_secrets.SLACK_SIGNING_SECRET) or "").strip()
    if not secret:
        logger.error("Slack is not set up. Store its signing secret with `make slack STAGE=...`")
        raise refused("no signing secret is set")
    timestamp, signature = _only(headers, TIMESTAMP), _only(headers, SIGNATURE)
    if not _TIMESTAMP.fullmatch(timestamp):
        raise refused(f"{TIMESTAMP} must appear once, as a number")
    if not _SIGNATURE.fullmatch(signature):
        raise refused(f"{SIGNATURE} must appear once, as v0= and 64 hexadecimal digits")
    try:
        body = raw_body.decode()
    except UnicodeDecodeError:
        raise refused("the body is not UTF-8") from None
    if not _is_signed(secret, timestamp, body, signature, now):
        raise refused("the signature does not match, or is older than five minutes")
    return hashlib.sha256(f"v0:{timestamp}:{body}".encode()).hexdigest()


def refused(reason: str) -> Unauthenticated:
    """The same error for every reason, which only the log shows."""
    logger.info("slack request refused", extra={"reason": reason})
    return Unauthenticated(
        "This endpoint accepts a request only once, and only if Slack signed it less than five "
        "minutes ago.",
        headers={"WWW-Authenticate": "Slack-Signature"},
    )


def _is_signed(secret: str, timestamp: str, body: str, signature: str, moment: datetime) -> bool:
    # This import takes 30 ms, and only Slack's requests need it.
    from slack_sdk.signature import Clock, SignatureVerifier

    class At(Clock):
        def now(self) -> float:
            return moment.timestamp()

    return SignatureVerifier(secret, At()).is_valid(body, timestamp, signature)


def _only(headers: Mapping[str, Sequence[str]], name: str) -> str:
    """The value of a header that appears once, else an empty text."""
    values = [v for key, every in headers.items() if key.lower() == name.lower() for v in every]
    return values[0] if len(values) == 1 else ""
