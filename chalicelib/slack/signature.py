"""Whether a request comes from Slack: its signature, made over the raw body with a shared secret.

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
# Seconds since 1970, and HMAC-SHA256 in hexadecimal digits. The library raises on much that is
# neither, as it does on a body that is not UTF-8; so it is asked about these alone.
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")


def verify(headers: Mapping[str, Sequence[str]], raw_body: bytes, now: datetime) -> str:
    """Raises `Unauthenticated` for all that Slack has not signed within five minutes of `now`.

    Args:
        headers: every value of each; names in any case.
        raw_body: as it came in, before anything was read from it.

    Returns:
        What the request is known by: the SHA-256 of what was signed, its timestamp and body. It is
        the same for a request that is sent again.
    """
    secret = (shared_secrets.get(shared_secrets.SLACK_SIGNING_SECRET) or "").strip()
    if not secret:
        logger.error("Slack is not set up: store its signing secret with `make slack STAGE=...`")
        raise refused("no signing secret is set")
    timestamp, signature = _only(headers, TIMESTAMP), _only(headers, SIGNATURE)
    if not _TIMESTAMP.fullmatch(timestamp):
        raise refused(f"{TIMESTAMP} is not there once as a number")
    if not _SIGNATURE.fullmatch(signature):
        raise refused(f"{SIGNATURE} is not there once as v0= and 64 hexadecimal digits")
    try:
        body = raw_body.decode()
    except UnicodeDecodeError:
        raise refused("the body is not UTF-8") from None
    if not _is_signed(secret, timestamp, body, signature, now):
        raise refused("the signature is another one, or older than five minutes")
    return hashlib.sha256(f"v0:{timestamp}:{body}".encode()).hexdigest()


def refused(reason: str) -> Unauthenticated:
    """The same refusal for every reason, which is for the log alone."""
    logger.info("slack request refused", extra={"reason": reason})
    return Unauthenticated(
        "Only Slack may send this: it signs each request, which is good once and for five minutes",
        headers={"WWW-Authenticate": "Slack-Signature"},
    )


def _is_signed(secret: str, timestamp: str, body: str, signature: str, moment: datetime) -> bool:
    # 30 ms of import, for the requests of Slack alone.
    from slack_sdk.signature import Clock, SignatureVerifier

    class At(Clock):
        def now(self) -> float:
            return moment.timestamp()

    return SignatureVerifier(secret, At()).is_valid(body, timestamp, signature)


def _only(headers: Mapping[str, Sequence[str]], name: str) -> str:
    """The value of a header that is there once; else an empty text."""
    values = [v for key, every in headers.items() if key.lower() == name.lower() for v in every]
    return values[0] if len(values) == 1 else ""
