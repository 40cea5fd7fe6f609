"""A request that Slipway sends to a deployment, and how its answer differs from the wanted one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from chalicelib.domain import json_pointer
from chalicelib.domain.spec import request_body, status_codes
from chalicelib.domain.spec.smoke_test import SmokeTest

USER_AGENT = "slipway-smoke-test"


@dataclass(frozen=True)
class ProbeRequest:
    """An HTTP request. `str` is its name in messages, such as `POST /predict`."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def build(test: SmokeTest, host: str | None = None) -> ProbeRequest:
    """The request of a test.

    A header of the test replaces a default with the same name: `User-Agent`, and the `Content-Type`
    of a JSON body.

    Args:
        host: the Host header; None for the address of the request.
    """
    defaults = {"User-Agent": USER_AGENT}
    body = None
    if test.body is not None:
        body, defaults["Content-Type"] = request_body.content(test.body)
    own = {name.lower() for name in test.headers}
    headers = {name: value for name, value in defaults.items() if name.lower() not in own}
    headers |= test.headers
    if host:
        headers["Host"] = host
    return ProbeRequest(test.method, test.path or "/", headers, body)


def fault(test: SmokeTest, status: int, body: bytes) -> str:
    """How a response differs from what the test wants; empty if it does not."""
    if not expects(test, status):
        return f"returned {status}, expected {test.status}"
    if missing := _missing(body, test.json_has):
        return f"returned a response without the JSON key(s) {', '.join(missing)}"
    return ""


def expects(test: SmokeTest, status: int) -> bool:
    """Whether the test wants this status."""
    return test.status is not None and status_codes.covers(test.status, status)


def _missing(body: bytes, wanted: list[str]) -> list[str]:
    """The keys and JSON Pointers that the body does not have."""
    if not wanted:
        return []
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return wanted
    return [place for place in wanted if not _has(document, place)]


def _has(document: Any, place: str) -> bool:
    if place.startswith("/"):
        return json_pointer.exists(document, place)
    return isinstance(document, dict) and place in document
