"""The cookies that keep a client with its target group, or with its target.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

GROUP_COOKIE, TARGET_COOKIE, APP_COOKIE = "AWSALBTG", "AWSALB", "AWSALBAPP-0"
# "It has its own expiry of 7 days, which isn't configurable."
COOKIE_LIFETIME = timedelta(days=7)


class Cookies:
    """Issues and reads the cookies. Their content is signed, so a client cannot change it."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._key = secrets.token_bytes(32)

    def read(self, cookies: Mapping[str, str], name: str) -> str | None:
        """What the cookie refers to; None if it is missing, malformed or no longer valid."""
        try:
            raw = base64.b64decode(cookies.get(name, ""), validate=True)
        except ValueError:
            return None
        signature, content = raw[:32], raw[32:]
        if not content or not hmac.compare_digest(signature, self._sign(name, content)):
            return None
        refers_to, until = json.loads(content)
        return str(refers_to) if self._now().timestamp() < until else None

    def issue(self, name: str, refers_to: str, seconds: float, https: bool) -> list[str]:
        """The values of the `Set-Cookie` headers; the second one serves cross-origin requests."""
        content = json.dumps([refers_to, self._now().timestamp() + seconds]).encode()
        value = base64.b64encode(self._sign(name, content) + content).decode()
        expires = format_datetime(self._now() + COOKIE_LIFETIME, usegmt=True)
        plain = f"{name}={value}; Expires={expires}; Path=/"
        if name == APP_COOKIE:
            return [plain]
        secure = "; Secure" if https else ""
        return [plain, f"{name}CORS={value}; Expires={expires}; Path=/; SameSite=None{secure}"]

    def _sign(self, name: str, content: bytes) -> bytes:
        return hmac.digest(self._key, name.encode() + b" " + content, hashlib.sha256)
